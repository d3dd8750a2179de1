//! Learned against static on one log of successes.

use std::collections::BTreeMap;

use routewright_domain::{Arm, Log, LogError};
use serde::{Deserialize, Serialize};

use crate::error::{check_finite, check_length};
use crate::stats::Confidence;
use crate::tally::Row;
use crate::{OpeError, Side, StratifiedValue, Tally, Uplift};

/// A log of successes with what the learned and the static router choose on its rows: the estimator that decides.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    log: Log<'a>,
    learned: &'a [Arm],
    baseline: &'a [Arm],
    strata: Option<&'a [u32]>,
    sessions: Option<Sessions<'a>>,
}

/// Which rows belong together: sessions, or users. What they share makes rows of one session alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sessions<'a> {
    /// The session of every row.
    pub of_rows: &'a [u32],
    /// What exploration was drawn for: see [`exploration_unit`](crate::exploration_unit).
    pub unit: ExplorationUnit,
}

/// What the logger drew exploration for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExplorationUnit {
    /// Every decision anew.
    #[default]
    Decision,
    /// A whole session at once (sticky exploration): its rows say little more than one of them.
    Session,
}

impl<'a> Comparison<'a> {
    /// Puts a log and two policies together; rewards must be successes in [0, 1].
    ///
    /// # Errors
    /// [`OpeError`] names the column or row that does not fit.
    pub fn new(log: Log<'a>, learned: &'a [Arm], baseline: &'a [Arm]) -> Result<Self, OpeError> {
        check_choices("learned choices", log, learned)?;
        check_choices("static choices", log, baseline)?;
        if let Some(row) = log.rewards().iter().position(|reward| !(0.0..=1.0).contains(reward)) {
            return Err(OpeError::NotSuccess { row, found: log.rewards()[row] });
        }
        Ok(Self { log, learned, baseline, strata: None, sessions: None })
    }

    /// Splits the rows further: by propensity class ([`propensity_classes`]), by segment, or both ([`cross_strata`]).
    ///
    /// A stratum must not depend on which path ran, only on what was known before.
    ///
    /// # Errors
    /// [`OpeError::Length`] when there is not one key per row.
    pub fn with_strata(mut self, strata: &'a [u32]) -> Result<Self, OpeError> {
        check_length("strata", self.log.n_rows(), strata.len())?;
        self.strata = Some(strata);
        Ok(self)
    }

    /// Says which rows belong to one session: intervals and gates allow for it.
    ///
    /// # Errors
    /// [`OpeError::Length`] when there is not one session per row.
    pub fn with_sessions(mut self, sessions: Option<Sessions<'a>>) -> Result<Self, OpeError> {
        if let Some(sessions) = sessions {
            check_length("sessions", self.log.n_rows(), sessions.of_rows.len())?;
        }
        self.sessions = sessions;
        Ok(self)
    }

    /// The sessions, where given.
    pub fn sessions(&self) -> Option<Sessions<'a>> {
        self.sessions
    }

    /// The log.
    pub fn log(&self) -> Log<'a> {
        self.log
    }

    /// The learned router's choices.
    pub fn learned(&self) -> &'a [Arm] {
        self.learned
    }

    /// The static router's choices.
    pub fn baseline(&self) -> &'a [Arm] {
        self.baseline
    }

    /// The stratum keys, where given.
    pub fn strata(&self) -> Option<&'a [u32]> {
        self.strata
    }

    /// The stratum sums of all rows.
    pub fn tally(&self) -> Tally {
        self.tally_of(0..self.log.n_rows())
    }

    /// The stratum sums of some rows.
    pub fn tally_of(&self, rows: impl Iterator<Item = usize>) -> Tally {
        let mut tally = Tally::default();
        for row in rows {
            tally.push(self.row(row));
        }
        tally
    }

    /// The stratum sums of every segment, in the order of the segments' numbers.
    ///
    /// # Errors
    /// [`OpeError::Length`] when there is not one segment per row.
    pub fn tally_by_segment(&self, segments: &[u32]) -> Result<BTreeMap<u32, Tally>, OpeError> {
        check_length("segments", self.log.n_rows(), segments.len())?;
        let mut tallies: BTreeMap<u32, Tally> = BTreeMap::new();
        for (row, &segment) in segments.iter().enumerate() {
            tallies.entry(segment).or_default().push(self.row(row));
        }
        Ok(tallies)
    }

    /// The learned router's success rate.
    pub fn learned_value(&self, confidence: Confidence) -> StratifiedValue {
        self.tally().value(Side::Learned, confidence)
    }

    /// The static router's success rate.
    pub fn baseline_value(&self, confidence: Confidence) -> StratifiedValue {
        self.tally().value(Side::Baseline, confidence)
    }

    /// The uplift of learned over static.
    pub fn uplift(&self, confidence: Confidence) -> Uplift {
        self.tally().uplift(confidence)
    }

    /// One row as a tally sees it.
    fn row(&self, row: usize) -> Row {
        let (arm, learned, baseline) = (self.log.arms()[row], self.learned[row], self.baseline[row]);
        Row {
            key: self.strata.map_or(0, |strata| strata[row]),
            differ: learned != baseline,
            learned_ran: arm == learned,
            baseline_ran: arm == baseline,
            propensity: self.log.propensities()[row].get(),
            reward: self.log.rewards()[row],
            session: self.sessions.map(|sessions| (sessions.of_rows[row], sessions.unit)),
        }
    }
}

/// Propensity classes as stratum keys, from the whole vectors of logged propensities (n × k, row after row).
///
/// Rows with equal propensities of the learned and of the static path share a class. Where the log has more than `max_classes` of these, rows
/// are put into `max_classes` classes of equal size by the learned path's propensity, and weights act inside them.
///
/// # Errors
/// [`OpeError`] when lengths do not fit, a propensity is not finite, or `max_classes` is 0.
pub fn propensity_classes(comparison: &Comparison<'_>, vectors: &[f64], max_classes: usize) -> Result<Vec<u32>, OpeError> {
    let n_arms = comparison.log.n_arms();
    check_length("propensity vectors", comparison.log.n_rows() * n_arms, vectors.len())?;
    check_finite("propensity vectors", vectors)?;
    if max_classes == 0 {
        return Err(OpeError::Setting { name: "max_classes", expected: "be at least 1", found: 0.0 });
    }
    /// Propensities closer than this are the same number, written or computed with rounding.
    const RESOLUTION: f64 = 1e9;
    let pairs: Vec<(u64, u64)> = vectors
        .chunks_exact(n_arms)
        .zip(comparison.learned.iter().zip(comparison.baseline))
        .map(|(row, (learned, baseline))| {
            let rounded = |arm: &Arm| (row[arm.index()].clamp(0.0, 1.0) * RESOLUTION).round() as u64;
            (rounded(learned), rounded(baseline))
        })
        .collect();
    let mut distinct = pairs.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() <= max_classes {
        return Ok(pairs.iter().map(|pair| distinct.partition_point(|other| other < pair) as u32).collect());
    }
    let mut sorted: Vec<u64> = pairs.iter().map(|pair| pair.0).collect();
    sorted.sort_unstable();
    let mut edges: Vec<u64> = (1..max_classes).map(|class| sorted[class * sorted.len() / max_classes]).collect();
    edges.dedup();
    Ok(pairs.iter().map(|pair| edges.partition_point(|edge| *edge <= pair.0) as u32).collect())
}

/// The learned router where the log supports it, static elsewhere: the policy to judge on a log that explores only a part of the space.
///
/// A row is supported where the learned and the static path both have a logged propensity of at least `p_min`, and above 0. `vectors`: n × k, row after
/// row.
///
/// # Errors
/// [`OpeError`] when lengths do not fit or a propensity is not finite.
pub fn supported_choices(comparison: &Comparison<'_>, vectors: &[f64], p_min: f64) -> Result<Vec<Arm>, OpeError> {
    let n_arms = comparison.log.n_arms();
    check_length("propensity vectors", comparison.log.n_rows() * n_arms, vectors.len())?;
    check_finite("propensity vectors", vectors)?;
    let rows = vectors.chunks_exact(n_arms).zip(comparison.learned.iter().zip(comparison.baseline));
    let supports = |row: &[f64], arm: Arm| row[arm.index()] > 0.0 && row[arm.index()] >= p_min;
    Ok(rows
        .map(|(row, (&learned, &baseline))| if supports(row, learned) && supports(row, baseline) { learned } else { baseline })
        .collect())
}

/// Combines two stratifications: one key per pair that occurs, in ascending order of the pairs.
///
/// # Errors
/// [`OpeError::Length`] when they are not over the same rows.
pub fn cross_strata(first: &[u32], second: &[u32]) -> Result<Vec<u32>, OpeError> {
    check_length("second stratification", first.len(), second.len())?;
    let pairs: Vec<(u32, u32)> = first.iter().copied().zip(second.iter().copied()).collect();
    let mut distinct = pairs.clone();
    distinct.sort_unstable();
    distinct.dedup();
    Ok(pairs.iter().map(|pair| distinct.partition_point(|other| other < pair) as u32).collect())
}

/// Checks one choice per row, each a path of the log.
pub(crate) fn check_choices(column: &'static str, log: Log<'_>, choices: &[Arm]) -> Result<(), OpeError> {
    check_length(column, log.n_rows(), choices.len())?;
    match choices.iter().position(|arm| arm.index() >= log.n_arms()) {
        Some(row) => Err(LogError::Arm { row, found: choices[row].index(), n_arms: log.n_arms() }.into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use routewright_domain::Propensity;

    use super::*;
    use crate::stats::{newcombe, wilson};

    const CONFIDENCE: Confidence = Confidence::TWO_SIDED_95;

    /// Paths that ran, rewards, propensities, learned and static choices.
    type Rows = (Vec<Arm>, Vec<f64>, Vec<Propensity>, Vec<Arm>, Vec<Arm>);

    /// An ε-greedy log of two paths: static is path 0 everywhere, learned path 1 on the first `n_differ` rows.
    fn log_rows(n: usize, n_differ: usize) -> Rows {
        let arms: Vec<Arm> = (0..n).map(|row| Arm(u16::from(row % 5 == 0))).collect();
        let rewards = (0..n).map(|row| f64::from(u8::from(row % 3 != 0 || row % 5 == 0))).collect();
        let propensities = arms.iter().map(|arm| Propensity::try_from(if arm.0 == 0 { 0.8 } else { 0.2 }).unwrap()).collect();
        let learned = (0..n).map(|row| Arm(u16::from(row < n_differ))).collect();
        (arms, rewards, propensities, learned, vec![Arm(0); n])
    }

    #[test]
    fn the_uplift_is_the_hybrid_score_interval_on_the_rows_that_differ() {
        let (arms, rewards, propensities, learned, baseline) = log_rows(100, 100);
        let log = Log::new(2, &arms, &rewards, &propensities).unwrap();
        let uplift = Comparison::new(log, &learned, &baseline).unwrap().uplift(CONFIDENCE);
        // Learned ran on 20 rows and never failed; static ran on 80, of which those divisible by 3 but not by 5 failed: 27.
        let expected = newcombe([20.0, 53.0], [20.0, 80.0], CONFIDENCE);
        assert!((uplift.estimate.interval.lower - expected.lower).abs() < 1e-12);
        assert!((uplift.estimate.interval.upper - expected.upper).abs() < 1e-12);
        assert_eq!((uplift.exploration_matches, uplift.exploration_failures, uplift.disagreement), (20, 0.0, 1.0));
    }

    #[test]
    fn the_formula_of_the_specification_holds_on_partial_disagreement() {
        let (arms, rewards, propensities, learned, baseline) = log_rows(200, 80);
        let log = Log::new(2, &arms, &rewards, &propensities).unwrap();
        let uplift = Comparison::new(log, &learned, &baseline).unwrap().uplift(CONFIDENCE);
        let (m_l, m_s) = (16.0, 64.0);
        assert_eq!(uplift.exploration_matches as f64, m_l);
        let k_s: f64 = (0..80).filter(|row| row % 5 != 0).map(|row| rewards[row]).sum();
        let d = 1.0 - k_s / m_s;
        let (l, s) = (wilson(m_l, m_l, CONFIDENCE), wilson(k_s, m_s, CONFIDENCE));
        let (share, z) = (0.4, CONFIDENCE.z());
        let below = ((1.0 - l.lower).powi(2) + (s.upper - k_s / m_s).powi(2)).sqrt();
        let lower = share * d - ((share * below).powi(2) + (z * d).powi(2) * share * (1.0 - share) / 200.0).sqrt();
        assert!((uplift.estimate.value - share * d).abs() < 1e-12);
        assert!((uplift.estimate.interval.lower - lower).abs() < 1e-12);
    }

    #[test]
    fn a_stratum_without_matches_is_partial_and_says_nothing() {
        let (arms, rewards) = (vec![Arm(0); 50], vec![1.0; 50]);
        let propensities = vec![Propensity::CERTAIN; 50];
        let log = Log::new(2, &arms, &rewards, &propensities).unwrap();
        let comparison = Comparison::new(log, &[Arm(1); 50], &[Arm(0); 50]).unwrap();
        let (value, uplift) = (comparison.learned_value(CONFIDENCE), comparison.uplift(CONFIDENCE));
        assert!(value.partial && uplift.is_partial());
        assert_eq!((value.estimate.interval.lower, value.estimate.interval.upper), (0.0, 1.0));
        assert_eq!((uplift.estimate.value, uplift.unsupported), (0.0, 1.0));
        assert!(uplift.estimate.interval.lower <= -1.0 + 1e-9);
    }

    #[test]
    fn static_against_itself_has_no_uplift_and_no_error() {
        let (arms, rewards, propensities, _, baseline) = log_rows(50, 0);
        let log = Log::new(2, &arms, &rewards, &propensities).unwrap();
        let uplift = Comparison::new(log, &baseline, &baseline).unwrap().uplift(CONFIDENCE);
        assert_eq!((uplift.estimate.value, uplift.estimate.interval.lower, uplift.estimate.interval.upper), (0.0, 0.0, 0.0));
    }

    #[test]
    fn a_latency_is_no_success() {
        let (arms, propensities) = ([Arm(0)], [Propensity::CERTAIN]);
        let log = Log::new(1, &arms, &[230.0], &propensities).unwrap();
        assert_eq!(Comparison::new(log, &arms, &arms).unwrap_err(), OpeError::NotSuccess { row: 0, found: 230.0 });
    }

    #[test]
    fn classes_are_few_where_propensities_are() {
        let (arms, rewards, propensities, learned, baseline) = log_rows(4, 2);
        let log = Log::new(2, &arms, &rewards, &propensities).unwrap();
        let comparison = Comparison::new(log, &learned, &baseline).unwrap();
        let vectors = [0.8, 0.2, 0.9, 0.1, 0.8, 0.2, 0.8, 0.2];
        assert_eq!(propensity_classes(&comparison, &vectors, 8).unwrap(), [1, 0, 2, 2]);
        assert_eq!(propensity_classes(&comparison, &vectors, 1).unwrap(), [0, 0, 0, 0]);
        assert_eq!(supported_choices(&comparison, &vectors, 0.15).unwrap(), [Arm(1), Arm(0), Arm(0), Arm(0)]);
        assert_eq!(cross_strata(&[0, 1, 0], &[5, 5, 6]).unwrap(), [0, 2, 1]);
    }

    proptest! {
        #[test]
        fn intervals_contain_their_values_and_shards_add_up(
            rows in prop::collection::vec((0_u16..3, any::<bool>(), 0.01_f64..=1.0, 0_u16..3, 0_u16..3, 0_u32..3), 1..80), split in 0_usize..80,
        ) {
            let arms: Vec<Arm> = rows.iter().map(|row| Arm(row.0)).collect();
            let rewards: Vec<f64> = rows.iter().map(|row| f64::from(u8::from(row.1))).collect();
            let propensities: Vec<Propensity> = rows.iter().map(|row| Propensity::try_from(row.2).unwrap()).collect();
            let learned: Vec<Arm> = rows.iter().map(|row| Arm(row.3)).collect();
            let baseline: Vec<Arm> = rows.iter().map(|row| Arm(row.4)).collect();
            let strata: Vec<u32> = rows.iter().map(|row| row.5).collect();
            let log = Log::new(3, &arms, &rewards, &propensities).unwrap();
            let comparison = Comparison::new(log, &learned, &baseline).unwrap().with_strata(&strata).unwrap();
            let uplift = comparison.uplift(CONFIDENCE);
            prop_assert!(uplift.estimate.interval.contains(uplift.estimate.value));
            prop_assert!(uplift.estimate.value.abs() <= uplift.disagreement + 1e-12);
            let value = comparison.learned_value(CONFIDENCE).estimate;
            prop_assert!(value.interval.contains(value.value));

            let split = split.min(rows.len());
            let mut merged = comparison.tally_of(0..split);
            merged.merge(&comparison.tally_of(split..rows.len()));
            prop_assert!((merged.uplift(CONFIDENCE).estimate.interval.lower - uplift.estimate.interval.lower).abs() < 1e-9);
            let forward = comparison.tally_of((0..rows.len()).rev()).uplift(CONFIDENCE);
            prop_assert!((forward.estimate.interval.upper - uplift.estimate.interval.upper).abs() < 1e-9);
        }

        #[test]
        fn p_values_invert_the_interval(k in 0_usize..=20, m in 0_usize..=60) {
            let n = 80;
            let arms: Vec<Arm> = (0..n).map(|row| Arm(u16::from(row < 20))).collect();
            let rewards: Vec<f64> = (0..n).map(|row| f64::from(u8::from(row < k || (20 <= row && row < 20 + m)))).collect();
            let propensities = vec![Propensity::try_from(0.5).unwrap(); n];
            let log = Log::new(2, &arms, &rewards, &propensities).unwrap();
            let (learned, baseline) = (vec![Arm(1); n], vec![Arm(0); n]);
            let tally = Comparison::new(log, &learned, &baseline).unwrap().tally();
            let interval = tally.uplift(Confidence::ONE_SIDED_95).estimate.interval;
            prop_assert_eq!(tally.p_value_of_gain() < 0.05, interval.lower > 0.0);
            prop_assert_eq!(tally.p_value_of_harm() < 0.05, interval.upper < 0.0);
        }
    }
}
