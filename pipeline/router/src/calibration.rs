//! From a forest's score to a probability.

use serde::{Deserialize, Serialize};

/// How far from 0 and 1 a score is held before its logit is taken.
const LOGIT_MARGIN: f64 = 1e-12;

/// A map from a score in [0, 1] to a probability in [0, 1], never falling.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Calibration {
    /// The score is the probability.
    #[default]
    Identity,
    /// A logistic curve over the score's logit.
    Platt(Platt),
    /// A logistic curve over the logarithms of the score and of its distance to 1, each with a slope of its own.
    Beta(Beta),
    /// Steps joined by straight lines.
    Isotonic(Isotonic),
}

/// `1 / (1 + exp(−(slope · logit(p) + intercept)))`, with a slope that is not negative.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PlattFields")]
pub struct Platt {
    slope: f64,
    intercept: f64,
}

/// `1 / (1 + exp(−(success_slope · ln p − failure_slope · ln(1 − p) + intercept)))`, with slopes that are not negative.
///
/// With equal slopes it is [`Platt`]'s curve; with unequal ones it can be right at both ends of scores that err differently there.
/// Source: Kull, Silva Filho, Flach (2017).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BetaFields")]
pub struct Beta {
    success_slope: f64,
    failure_slope: f64,
    intercept: f64,
}

/// Points of a curve: scores and probabilities, neither falling; between points a straight line, beyond them the nearest point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "IsotonicFields")]
pub struct Isotonic {
    scores: Vec<f64>,
    probabilities: Vec<f64>,
}

/// Numbers that make no calibration.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CalibrationError {
    /// A slope or intercept that is not finite, or a slope below zero.
    #[error("a logistic calibration needs finite numbers and a slope of at least 0, found slope {slope} and intercept {intercept}")]
    Curve {
        /// The slope.
        slope: f64,
        /// The intercept.
        intercept: f64,
    },
    /// No points, or lists of different length.
    #[error("an isotonic calibration needs as many probabilities as scores and at least one, found {scores} and {probabilities}")]
    Length {
        /// Number of scores.
        scores: usize,
        /// Number of probabilities.
        probabilities: usize,
    },
    /// A point that falls, or lies outside the unit square.
    #[error("point {point} of an isotonic calibration falls or is outside [0, 1]")]
    Point {
        /// The point, from 0.
        point: usize,
    },
}

impl Calibration {
    /// The probability for a score. A score that is NaN stays NaN.
    pub fn apply(&self, score: f64) -> f64 {
        if score.is_nan() {
            return score;
        }
        let score = score.clamp(0.0, 1.0);
        match self {
            Self::Identity => score,
            Self::Platt(curve) => curve.apply(score),
            Self::Beta(curve) => curve.apply(score),
            Self::Isotonic(curve) => curve.apply(score),
        }
    }

    /// The kind as written in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Platt(_) => "platt",
            Self::Beta(_) => "beta",
            Self::Isotonic(_) => "isotonic",
        }
    }
}

impl Platt {
    /// A curve over the logit.
    ///
    /// # Errors
    /// [`CalibrationError::Curve`] when a number is not finite or the slope is negative.
    pub fn new(slope: f64, intercept: f64) -> Result<Self, CalibrationError> {
        let valid = slope.is_finite() && intercept.is_finite() && 0.0 <= slope;
        if valid { Ok(Self { slope, intercept }) } else { Err(CalibrationError::Curve { slope, intercept }) }
    }

    /// Slope over the logit.
    pub fn slope(self) -> f64 {
        self.slope
    }

    /// Value at a score of one half.
    pub fn intercept(self) -> f64 {
        self.intercept
    }

    fn apply(self, score: f64) -> f64 {
        let held = score.clamp(LOGIT_MARGIN, 1.0 - LOGIT_MARGIN);
        let logit = (held / (1.0 - held)).ln();
        1.0 / (1.0 + (-(self.slope * logit + self.intercept)).exp())
    }
}

impl Beta {
    /// A curve over the logarithms of the score and of its distance to 1.
    ///
    /// # Errors
    /// [`CalibrationError::Curve`] when a number is not finite or a slope is negative.
    pub fn new(success_slope: f64, failure_slope: f64, intercept: f64) -> Result<Self, CalibrationError> {
        let slope = success_slope.min(failure_slope);
        let valid = success_slope.is_finite() && failure_slope.is_finite() && intercept.is_finite() && 0.0 <= slope;
        if valid { Ok(Self { success_slope, failure_slope, intercept }) } else { Err(CalibrationError::Curve { slope, intercept }) }
    }

    /// Slopes over `ln p` and `−ln(1 − p)`, and the intercept.
    pub fn parameters(self) -> [f64; 3] {
        [self.success_slope, self.failure_slope, self.intercept]
    }

    fn apply(self, score: f64) -> f64 {
        let held = score.clamp(LOGIT_MARGIN, 1.0 - LOGIT_MARGIN);
        let logit = self.success_slope * held.ln() - self.failure_slope * (1.0 - held).ln() + self.intercept;
        1.0 / (1.0 + (-logit).exp())
    }
}

impl Isotonic {
    /// A curve through points. `scores` and `probabilities`: equally many, in [0, 1], never falling.
    ///
    /// # Errors
    /// [`CalibrationError`] names the first point that does not hold.
    pub fn new(scores: Vec<f64>, probabilities: Vec<f64>) -> Result<Self, CalibrationError> {
        if scores.is_empty() || scores.len() != probabilities.len() {
            return Err(CalibrationError::Length { scores: scores.len(), probabilities: probabilities.len() });
        }
        let unit = 0.0..=1.0;
        let holds = |point: usize| {
            let inside = unit.contains(&scores[point]) && unit.contains(&probabilities[point]);
            inside && (point == 0 || (scores[point - 1] <= scores[point] && probabilities[point - 1] <= probabilities[point]))
        };
        if let Some(point) = (0..scores.len()).find(|&point| !holds(point)) {
            return Err(CalibrationError::Point { point });
        }
        Ok(Self { scores, probabilities })
    }

    /// The points, by score.
    pub fn points(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.scores.iter().copied().zip(self.probabilities.iter().copied())
    }

    fn apply(&self, score: f64) -> f64 {
        let above = self.scores.partition_point(|&point| point <= score);
        let last = self.scores.len() - 1;
        if above == 0 {
            return self.probabilities[0];
        }
        if last < above {
            return self.probabilities[last];
        }
        let (low, high) = (self.probabilities[above - 1], self.probabilities[above]);
        let share = (score - self.scores[above - 1]) / (self.scores[above] - self.scores[above - 1]);
        (low + share * (high - low)).clamp(low, high)
    }
}

/// [`Platt`] as written, before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlattFields {
    slope: f64,
    intercept: f64,
}

impl TryFrom<PlattFields> for Platt {
    type Error = CalibrationError;

    fn try_from(fields: PlattFields) -> Result<Self, CalibrationError> {
        Self::new(fields.slope, fields.intercept)
    }
}

/// [`Beta`] as written, before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BetaFields {
    success_slope: f64,
    failure_slope: f64,
    intercept: f64,
}

impl TryFrom<BetaFields> for Beta {
    type Error = CalibrationError;

    fn try_from(fields: BetaFields) -> Result<Self, CalibrationError> {
        Self::new(fields.success_slope, fields.failure_slope, fields.intercept)
    }
}

/// [`Isotonic`] as written, before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IsotonicFields {
    scores: Vec<f64>,
    probabilities: Vec<f64>,
}

impl TryFrom<IsotonicFields> for Isotonic {
    type Error = CalibrationError;

    fn try_from(fields: IsotonicFields) -> Result<Self, CalibrationError> {
        Self::new(fields.scores, fields.probabilities)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identity_holds_the_score_in_the_unit_interval() {
        assert_eq!(Calibration::Identity.apply(0.25), 0.25);
        assert_eq!(Calibration::Identity.apply(-1.0), 0.0);
        assert!(Calibration::Identity.apply(f64::NAN).is_nan());
    }

    #[test]
    fn a_slope_of_one_without_intercept_changes_nothing() {
        let platt = Calibration::Platt(Platt::new(1.0, 0.0).unwrap());
        assert!((platt.apply(0.3) - 0.3).abs() < 1e-12);
        assert!(platt.apply(0.0) >= 0.0 && platt.apply(1.0) <= 1.0);
    }

    #[test]
    fn isotonic_draws_straight_lines_between_points() {
        let isotonic = Calibration::Isotonic(Isotonic::new(vec![0.2, 0.4, 0.4, 0.8], vec![0.1, 0.3, 0.5, 0.7]).unwrap());
        assert_eq!(isotonic.apply(0.1), 0.1);
        assert!((isotonic.apply(0.3) - 0.2).abs() < 1e-12);
        assert!((isotonic.apply(0.6) - 0.6).abs() < 1e-12);
        assert_eq!(isotonic.apply(0.4), 0.5);
        assert_eq!(isotonic.apply(0.9), 0.7);
    }

    #[test]
    fn curves_that_fall_or_do_not_exist_are_refused() {
        assert!(Platt::new(-0.1, 0.0).is_err());
        assert!(Platt::new(1.0, f64::NAN).is_err());
        assert!(Beta::new(1.0, -0.1, 0.0).is_err());
        assert_eq!(Isotonic::new(vec![], vec![]), Err(CalibrationError::Length { scores: 0, probabilities: 0 }));
        assert_eq!(Isotonic::new(vec![0.1, 0.2], vec![0.5, 0.4]), Err(CalibrationError::Point { point: 1 }));
        assert_eq!(Isotonic::new(vec![f64::NAN], vec![0.5]), Err(CalibrationError::Point { point: 0 }));
    }

    #[test]
    fn json_is_checked_when_read() {
        let isotonic = Calibration::Isotonic(Isotonic::new(vec![0.0, 1.0], vec![0.25, 0.5]).unwrap());
        let text = r#"{"kind":"isotonic","scores":[0.0,1.0],"probabilities":[0.25,0.5]}"#;
        assert_eq!(serde_json::to_string(&isotonic).unwrap(), text);
        assert_eq!(serde_json::from_str::<Calibration>(text).unwrap(), isotonic);
        let beta = Calibration::Beta(Beta::new(1.5, 0.5, -0.25).unwrap());
        assert_eq!(serde_json::from_str::<Calibration>(&serde_json::to_string(&beta).unwrap()).unwrap(), beta);
        assert!(
            serde_json::from_str::<Calibration>(r#"{"kind":"beta","success_slope":-1.0,"failure_slope":1.0,"intercept":0.0}"#).is_err()
        );
        assert!(serde_json::from_str::<Calibration>(r#"{"kind":"isotonic","scores":[0.0],"probabilities":[]}"#).is_err());
        assert!(serde_json::from_str::<Calibration>(r#"{"kind":"platt","slope":-1.0,"intercept":0.0}"#).is_err());
        assert_eq!(serde_json::from_str::<Calibration>(r#"{"kind":"identity"}"#).unwrap(), Calibration::Identity);
    }

    proptest! {
        #[test]
        fn a_calibration_never_falls_and_stays_a_probability(
            mut scores in prop::collection::vec(0.0..=1.0, 1..8), mut heights in prop::collection::vec(0.0..=1.0, 8),
            slope in 0.0..50.0, other_slope in 0.0..50.0, intercept in -50.0..50.0, mut at in prop::collection::vec(-0.1..1.1, 2),
        ) {
            scores.sort_by(f64::total_cmp);
            heights.sort_by(f64::total_cmp);
            heights.truncate(scores.len());
            at.sort_by(f64::total_cmp);
            for map in [Calibration::Isotonic(Isotonic::new(scores, heights).unwrap()), Calibration::Platt(Platt::new(slope, intercept).unwrap()), Calibration::Beta(Beta::new(slope, other_slope, intercept).unwrap())] {
                let (low, high) = (map.apply(at[0]), map.apply(at[1]));
                prop_assert!(0.0 <= low && low <= high && high <= 1.0, "{map:?}: {low} {high}");
            }
        }
    }
}
