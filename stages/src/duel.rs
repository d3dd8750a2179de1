//! Champion against challenger: two artifacts on the newest decisions, which neither learnt from.
//!
//! Both are asked as an online router would ask them, and compared by the estimator that decides in the line: strata of equal propensities,
//! the rows on which they differ, one-sided bounds. Without logged propensities nothing is claimed.

use std::ops::Range;

use routewright_domain::{Arm, Decision, Log, Paths, Propensity, Timestamp};
use routewright_ope::{Comparison, Confidence, OpeError, counterfactual_ratio, propensity_classes};
use routewright_router::{Request, Router};
use routewright_table::{Decisions, TableError};
use serde::{Deserialize, Serialize};

use crate::features::as_of_decision;

/// Classes of equal propensity that strata are made from at most.
const MAX_CLASSES: usize = 16;

/// How a duel is judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DuelSettings {
    /// Points by which the challenger may be worse at most, proven, to take the champion's place.
    pub margin_points: f64,
    /// Largest ratio of mean latencies, as a point estimate.
    pub latency_margin: f64,
    /// Decisions below which nothing is judged.
    pub min_decisions: usize,
    /// Decisions on which the two differ that ran the path of the challenger, and as many that ran the champion's, below which nothing is concluded.
    pub min_matches: usize,
}

impl Default for DuelSettings {
    fn default() -> Self {
        Self { margin_points: 1.0, latency_margin: 1.1, min_decisions: 500, min_matches: 10 }
    }
}

/// How a duel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DuelVerdict {
    /// Proven better.
    Better,
    /// Proven not to be worse by the margin, and no worse as far as one can see.
    NotWorse,
    /// Nothing is proven.
    Unclear,
    /// Proven worse, or slower than allowed.
    Worse,
    /// Both choose alike.
    Alike,
    /// Too few decisions or matches, or none with a propensity.
    Unknown,
}

impl DuelVerdict {
    /// Whether the challenger may take the champion's place.
    pub fn accepts(self) -> bool {
        matches!(self, Self::Better | Self::NotWorse)
    }
}

/// A duel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Duel {
    /// How it ended.
    pub verdict: DuelVerdict,
    /// Decisions that were judged: with an outcome and a propensity.
    pub rows: usize,
    /// First and last day.
    pub window: [String; 2],
    /// Share of decisions on which the two differ.
    pub disagreement: f64,
    /// Of these, decisions that ran the challenger's path.
    pub matches: usize,
    /// Of these, decisions that ran the champion's path.
    #[serde(default)]
    pub champion_matches: usize,
    /// Challenger less champion, in points.
    pub points: Option<f64>,
    /// One-sided 95 % lower bound.
    pub lower: Option<f64>,
    /// One-sided 95 % upper bound.
    pub upper: Option<f64>,
    /// Mean latency of the challenger over that of the champion, where identified.
    pub latency_ratio: Option<f64>,
}

/// Why a duel could not be held.
#[derive(Debug, thiserror::Error)]
pub enum DuelError {
    /// The decisions cannot be read.
    #[error("the decisions cannot be read")]
    Table(#[from] TableError),
    /// The numbers do not fit together.
    #[error("the decisions cannot be judged")]
    Judge(#[from] OpeError),
    /// The numbers make no log.
    #[error("the decisions make no log")]
    Log(#[from] routewright_domain::LogError),
}

/// Columns of the decisions that are judged.
#[derive(Default)]
struct Rows {
    arms: Vec<Arm>,
    successes: Vec<f64>,
    latencies: Vec<Option<f64>>,
    propensities: Vec<Propensity>,
    vectors: Vec<f64>,
    choices: [Vec<Arm>; 2],
    times: Vec<Timestamp>,
}

/// Judges two routers on the decisions within two moments, both exclusive; a champion that is not there is the static router.
///
/// # Errors
/// [`DuelError`] for decisions that cannot be read or judged.
pub fn duel(
    champion: Option<&Router>,
    challenger: &Router,
    decisions: &Decisions,
    window: Range<Timestamp>,
    settings: &DuelSettings,
) -> Result<Duel, DuelError> {
    judged(champion, challenger, (decisions.paths(), decisions.within(&window).iter()), window, settings)
}

/// The same on the decisions of some days, in any order.
pub(crate) fn judged(
    champion: Option<&Router>,
    challenger: &Router,
    (paths, days): (&Paths, impl Iterator<Item = Result<Vec<Decision>, TableError>>),
    window: Range<Timestamp>,
    settings: &DuelSettings,
) -> Result<Duel, DuelError> {
    let mut rows = Rows::default();
    for of_day in days {
        for decision in
            as_of_decision(of_day?).into_iter().filter(|decision| window.start < decision.timestamp && decision.timestamp < window.end)
        {
            rows.add(&decision, paths, champion, challenger);
        }
    }
    rows.judge(paths.len(), settings)
}

impl Rows {
    /// Adds a decision that can be judged.
    fn add(&mut self, decision: &Decision, paths: &Paths, champion: Option<&Router>, challenger: &Router) {
        let static_arm = decision.static_path.as_deref().and_then(|path| paths.arm(path));
        let (Some(success), Some(propensity), Some(arm)) = (decision.success, decision.propensity, paths.arm(&decision.path)) else {
            return;
        };
        let request = Request::from(decision);
        // A path that nobody ever logged cannot be judged; the static one stands for it.
        let choice = |router: &Router| router.route(&request).path.and_then(|path| paths.arm(path)).or(static_arm);
        let champion = champion.map_or(static_arm, choice);
        let (Some(champion), Some(challenger)) = (champion, choice(challenger)) else { return };
        self.arms.push(arm);
        self.successes.push(f64::from(u8::from(success)));
        self.latencies.push(decision.latency_ms);
        self.propensities.push(propensity);
        self.vectors.extend(paths.names().iter().map(|name| decision.propensities.get(name).copied().unwrap_or(f64::NAN)));
        self.choices[0].push(champion);
        self.choices[1].push(challenger);
        self.times.push(decision.timestamp);
    }

    fn judge(&self, n_paths: usize, settings: &DuelSettings) -> Result<Duel, DuelError> {
        let [champion, challenger] = &self.choices;
        let n = self.arms.len();
        let differ = champion.iter().zip(challenger).filter(|(one, other)| one != other).count();
        let date = |time: Option<&Timestamp>| time.map(|time| crate::time::day(time.0)).unwrap_or_default();
        let mut found = Duel {
            verdict: DuelVerdict::Unknown,
            rows: n,
            window: [date(self.times.iter().min()), date(self.times.iter().max())],
            disagreement: differ as f64 / n.max(1) as f64,
            matches: 0,
            champion_matches: 0,
            points: None,
            lower: None,
            upper: None,
            latency_ratio: None,
        };
        if n < settings.min_decisions.max(1) {
            return Ok(found);
        }
        if differ == 0 {
            found.verdict = DuelVerdict::Alike;
            return Ok(found);
        }
        let log = Log::new(n_paths, &self.arms, &self.successes, &self.propensities)?;
        let plain = Comparison::new(log, challenger, champion)?;
        let strata = if self.vectors.iter().all(|propensity| propensity.is_finite()) {
            propensity_classes(&plain, &self.vectors, MAX_CLASSES)?
        } else {
            vec![0; n]
        };
        let uplift = plain.with_strata(&strata)?.uplift(Confidence::ONE_SIDED_95);
        let [points, lower, upper] =
            [uplift.estimate.value, uplift.estimate.interval.lower, uplift.estimate.interval.upper].map(|v| 100.0 * v);
        (found.matches, found.champion_matches) = (uplift.exploration_matches, uplift.baseline_matches);
        (found.points, found.lower, found.upper) = (Some(points), Some(lower), Some(upper));
        found.latency_ratio = self.latency_ratio(n_paths)?;
        if found.matches.min(found.champion_matches) < settings.min_matches {
            return Ok(found);
        }
        let too_slow = found.latency_ratio.is_some_and(|ratio| settings.latency_margin < ratio);
        found.verdict = match () {
            () if upper < 0.0 || too_slow => DuelVerdict::Worse,
            () if 0.0 < lower => DuelVerdict::Better,
            () if -settings.margin_points < lower && 0.0 <= points => DuelVerdict::NotWorse,
            () => DuelVerdict::Unclear,
        };
        Ok(found)
    }

    /// Ratio of the mean latencies, on rows that have one.
    fn latency_ratio(&self, n_paths: usize) -> Result<Option<f64>, DuelError> {
        let known: Vec<usize> = (0..self.arms.len()).filter(|row| self.latencies[*row].is_some()).collect();
        if known.is_empty() {
            return Ok(None);
        }
        let pick = |column: &[Arm]| -> Vec<Arm> { known.iter().map(|row| column[*row]).collect() };
        let (arms, champion, challenger) = (pick(&self.arms), pick(&self.choices[0]), pick(&self.choices[1]));
        let latencies: Vec<f64> = known.iter().filter_map(|row| self.latencies[*row]).collect();
        let propensities: Vec<Propensity> = known.iter().map(|row| self.propensities[*row]).collect();
        let log = Log::new(n_paths, &arms, &latencies, &propensities)?;
        Ok(counterfactual_ratio(log, &challenger, &champion, None, Confidence::ONE_SIDED_95)?.map(|ratio| ratio.ratio))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: DuelSettings = DuelSettings { margin_points: 1.0, latency_margin: 1.1, min_decisions: 100, min_matches: 10 };

    /// Rows of two paths drawn evenly; the challenger takes the second on half of the queries, where it succeeds more often by `gain`.
    fn rows(n: usize, gain: f64) -> Rows {
        let half = Propensity::try_from(0.5).unwrap();
        let mut rows = Rows::default();
        for row in 0..n {
            let arm = Arm((row % 2) as u16);
            let differs = row % 4 < 2;
            let rate = if arm == Arm(1) && differs { 0.6 + gain } else { 0.6 };
            rows.arms.push(arm);
            rows.successes.push(f64::from(u8::from(((row / 4) as f64 * 0.618_034).fract() < rate)));
            rows.latencies.push(Some(100.0));
            rows.propensities.push(half);
            rows.vectors.extend([0.5, 0.5]);
            rows.choices[0].push(Arm(0));
            rows.choices[1].push(Arm(u16::from(differs)));
            rows.times.push(Timestamp(row as i64));
        }
        rows
    }

    #[test]
    fn a_gain_is_seen_and_a_loss_refused() {
        let better = rows(4_000, 0.2).judge(2, &SETTINGS).unwrap();
        assert_eq!(better.verdict, DuelVerdict::Better, "{better:?}");
        assert!((better.points.unwrap() - 10.0).abs() < 1.0 && better.matches == 1_000, "{better:?}");
        assert_eq!(rows(4_000, -0.2).judge(2, &SETTINGS).unwrap().verdict, DuelVerdict::Worse);
        assert_eq!(rows(200, 0.02).judge(2, &SETTINGS).unwrap().verdict, DuelVerdict::Unclear);
    }

    /// The rows on which the two differ run the path of one of them alone, but for `n` of them.
    fn with_matches(n: usize, scarce: Arm) -> Rows {
        let mut rows = rows(4_000, 0.2);
        let differing: Vec<usize> = (0..rows.arms.len()).filter(|row| rows.choices[0][*row] != rows.choices[1][*row]).collect();
        let other = Arm(1 - scarce.0);
        differing.iter().enumerate().for_each(|(place, row)| rows.arms[*row] = if place < n { scarce } else { other });
        // The scarce path failed wherever the other one succeeded: as clear as it gets.
        differing.iter().for_each(|row| rows.successes[*row] = f64::from(u8::from(rows.arms[*row] == Arm(1))));
        rows
    }

    #[test]
    fn nothing_is_concluded_from_fewer_than_ten_matches_of_either() {
        for scarce in [Arm(0), Arm(1)] {
            let nine = with_matches(9, scarce).judge(2, &SETTINGS).unwrap();
            assert_eq!((nine.verdict, nine.matches.min(nine.champion_matches)), (DuelVerdict::Unknown, 9), "{nine:?}");
            let ten = with_matches(10, scarce).judge(2, &SETTINGS).unwrap();
            assert_eq!(ten.verdict, DuelVerdict::Better, "{ten:?}");
        }
    }

    #[test]
    fn a_slower_challenger_is_refused_however_good() {
        let mut slow = rows(4_000, 0.2);
        for (arm, latency) in slow.arms.iter().zip(&mut slow.latencies) {
            *latency = Some(if *arm == Arm(1) { 200.0 } else { 100.0 });
        }
        assert_eq!(slow.judge(2, &SETTINGS).unwrap().verdict, DuelVerdict::Worse);
    }

    #[test]
    fn routers_that_choose_alike_and_logs_that_are_short_are_told_apart() {
        let mut alike = rows(400, 0.0);
        alike.choices[1] = alike.choices[0].clone();
        assert_eq!(alike.judge(2, &SETTINGS).unwrap().verdict, DuelVerdict::Alike);
        assert_eq!(rows(40, 0.2).judge(2, &SETTINGS).unwrap().verdict, DuelVerdict::Unknown);
    }
}
