//! The normal distribution, and how confident an interval is.

use std::f64::consts::{PI, SQRT_2};

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use crate::OpeError;

/// How confident a two-sided interval is: its level and the normal quantile `z` that goes with it.
///
/// A one-sided bound at level `c` is the end of the two-sided interval at level `2c − 1`: [`Confidence::ONE_SIDED_95`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Confidence {
    level: f64,
    z: f64,
}

impl Confidence {
    /// Two-sided 95 %: the intervals that reports show.
    pub const TWO_SIDED_95: Self = Self { level: 0.95, z: 1.959_963_984_540_054 };
    /// Both ends are one-sided 95 % bounds: what the decision looks at.
    pub const ONE_SIDED_95: Self = Self { level: 0.9, z: 1.644_853_626_951_472_2 };

    /// The confidence of a two-sided interval at a level in (0, 1).
    ///
    /// # Errors
    /// [`OpeError::Setting`] outside that range.
    pub fn two_sided(level: f64) -> Result<Self, OpeError> {
        if 0.0 < level && level < 1.0 {
            Ok(Self { level, z: normal_quantile(0.5 + level / 2.0) })
        } else {
            Err(OpeError::Setting { name: "level", expected: "lie in (0, 1)", found: level })
        }
    }

    /// The confidence of an interval whose two ends are one-sided bounds at a level in (0.5, 1) each.
    ///
    /// # Errors
    /// [`OpeError::Setting`] outside that range.
    pub fn one_sided(level: f64) -> Result<Self, OpeError> {
        Self::two_sided(2.0 * level - 1.0)
    }

    /// The confidence that reaches `z` standard errors to both sides.
    pub(crate) fn of_z(z: f64) -> Self {
        Self { level: 1.0 - 2.0 * normal_sf(z), z }
    }

    /// The two-sided level, in (0, 1).
    pub fn level(self) -> f64 {
        self.level
    }

    /// Half-width in standard errors.
    pub fn z(self) -> f64 {
        self.z
    }

    /// The error probability of the two sides together: 1 − level.
    pub fn alpha(self) -> f64 {
        1.0 - self.level
    }
}

impl TryFrom<f64> for Confidence {
    type Error = OpeError;

    fn try_from(level: f64) -> Result<Self, OpeError> {
        Self::two_sided(level)
    }
}

impl From<Confidence> for f64 {
    fn from(confidence: Confidence) -> Self {
        confidence.level
    }
}

/// The standard normal distribution function.
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x / SQRT_2)
}

/// The upper tail of the standard normal, `1 − Φ(x)`, exact far out.
pub fn normal_sf(x: f64) -> f64 {
    0.5 * libm::erfc(x / SQRT_2)
}

/// The standard normal quantile of a probability in (0, 1).
pub fn normal_quantile(probability: f64) -> f64 {
    let first = Normal::standard().inverse_cdf(probability);
    let density = (-0.5 * first * first).exp() / (SQRT_2 * PI.sqrt());
    if !(first.is_finite() && density > 0.0) {
        return first;
    }
    // One step of Newton's method, on the smaller tail: the library's quantile is good to eleven digits, the errors above call for more.
    let error = if first < 0.0 { normal_cdf(first) - probability } else { (1.0 - probability) - normal_sf(first) };
    first - error / density
}

/// The quantile of Student's t with `degrees` > 0 degrees of freedom; the normal's when they are not a usable number.
pub fn student_quantile(probability: f64, degrees: f64) -> f64 {
    StudentsT::new(0.0, 1.0, degrees).map_or_else(|_| normal_quantile(probability), |student| student.inverse_cdf(probability))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_the_quantiles() {
        assert!((Confidence::TWO_SIDED_95.z() - normal_quantile(0.975)).abs() < 1e-14);
        assert!((Confidence::ONE_SIDED_95.z() - normal_quantile(0.95)).abs() < 1e-14);
    }

    #[test]
    fn a_level_is_a_probability() {
        assert!(Confidence::two_sided(1.0).is_err());
        assert!(Confidence::two_sided(f64::NAN).is_err());
        assert!(Confidence::one_sided(0.5).is_err());
    }

    #[test]
    fn a_confidence_is_written_as_its_level() {
        assert_eq!(serde_json::to_string(&Confidence::TWO_SIDED_95).unwrap(), "0.95");
        let read: Confidence = serde_json::from_str("0.95").unwrap();
        assert!((read.z() - Confidence::TWO_SIDED_95.z()).abs() < 1e-14);
    }
}
