//! Checks that a log can bear a verdict.
//!
//! The mean of the importance weights is 1 in every slice of rows that was fixed before the path ran. A slice is checked in parts: rows where the
//! routers agree, rows of D for the learned router, rows of D for the static one. With p the part's typical propensity, the weighted share of
//! matches behaves like a Poisson count of `μ = n p / (1 − p)` rows where p is small, and the share of *misses* like one of `μ = n (1 − p) / p` where p is
//! large, so the rarer of the two is compared with what was expected on Anscombe's scale, `1.5 √μ (ratio^⅔ − 1) + 1 / (6 √μ)`, which is close to normal
//! already for counts of ten. The plain `3 sd / √n` with the sample's own sd alarms far too often there, because few matches make mean and sd small
//! together. Where fewer than [`MIN_EXPECTED`] are expected, misses get the exact Poisson tail (too many of them is the only thing that can be seen) and
//! matches are not checked. With m parts, the threshold is the normal quantile that keeps the error of the *whole gate* at that of a single 3 sd
//! check (0.27 %), by Bonferroni.
//!
//! These gates are for logs with propensities, and for a learned policy that the log supports: judge [`supported_choices`] where it supports only a part.

use std::collections::BTreeMap;

use routewright_domain::{Arm, Paths};
use serde::{Deserialize, Serialize};
use statrs::function::gamma::gamma_lr;

use crate::error::check_length;
use crate::stats::{Confidence, normal_quantile, pooled_z, sample_ratio};
use crate::{Comparison, ExplorationUnit, OpeError, PropensitySource, Reason, Sessions, Uplift};

/// A check of the log and how it came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Which check.
    pub name: GateName,
    /// Whether the log passes.
    pub passed: bool,
    /// The numbers behind it, in words.
    pub detail: String,
}

/// Every gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateName {
    /// Enough decisions to train.
    Decisions,
    /// Where propensities come from.
    PropensitySource,
    /// Weights average 1 over the log.
    MeanWeight,
    /// Weights average 1 on the rows of every path.
    MeanWeightPerPath,
    /// Weights average 1 in every segment.
    MeanWeightPerSegment,
    /// Weights average 1 on every day.
    MeanWeightPerDay,
    /// The share of explored decisions is the declared one.
    ExplorationShare,
    /// Enough exploration matches where the routers disagree.
    ExplorationMatches,
    /// Little of the learned router lies where the log has no support.
    UnsupportedMass,
    /// The static router, replayed, has the success rate that was logged.
    AaReplay,
    /// Training ends before evaluation begins, and no query is in both.
    TimeSplit,
    /// Randomised groups have the declared sizes.
    SampleRatio,
    /// Outcomes are pending as often on explored rows as on static ones.
    PendingOutcomes,
    /// Enough sessions were explored, where exploration was drawn once per session.
    ExplorationDependence,
}

impl GateName {
    /// Every gate, in the order of reports.
    pub const ALL: [Self; 14] = [
        Self::Decisions,
        Self::PropensitySource,
        Self::MeanWeight,
        Self::MeanWeightPerPath,
        Self::MeanWeightPerSegment,
        Self::MeanWeightPerDay,
        Self::ExplorationShare,
        Self::ExplorationMatches,
        Self::UnsupportedMass,
        Self::AaReplay,
        Self::TimeSplit,
        Self::SampleRatio,
        Self::PendingOutcomes,
        Self::ExplorationDependence,
    ];

    /// The reason that a verdict gives when this gate fails.
    pub fn reason(self) -> Reason {
        match self {
            Self::Decisions | Self::ExplorationMatches | Self::UnsupportedMass | Self::PropensitySource | Self::ExplorationDependence => {
                Reason::InsufficientEvidence
            }
            Self::MeanWeight | Self::MeanWeightPerPath | Self::MeanWeightPerSegment | Self::MeanWeightPerDay => Reason::InvalidLog,
            Self::ExplorationShare | Self::AaReplay | Self::TimeSplit | Self::SampleRatio | Self::PendingOutcomes => Reason::InvalidLog,
        }
    }
}

/// Parts in which fewer matches than this are expected are not checked: ten is where the normal scale becomes good.
pub const MIN_EXPECTED: f64 = 10.0;

/// Two-sided error of a whole gate: that of one check at 3 standard deviations.
pub const GATE_ERROR: f64 = 0.0027;

/// Below this p-value a sample ratio counts as broken: the customary threshold, because the check is run on every test.
pub const SAMPLE_RATIO_LEVEL: f64 = 0.001;

/// Checks that weights average 1 over the whole log.
pub fn mean_weight(comparison: &Comparison<'_>) -> Gate {
    let slice = (0..comparison.log().n_rows()).map(|row| (row, 0, Sides::Both));
    judge(GateName::MeanWeight, &parts(comparison, slice), |_| "all rows".to_owned())
}

/// Checks that weights average 1 on the rows for which each router chooses each path.
pub fn mean_weight_per_path(comparison: &Comparison<'_>, paths: &Paths) -> Gate {
    let n_arms = comparison.log().n_arms() as u32;
    let rows = || 0..comparison.log().n_rows();
    let learned = rows().map(|row| (row, u32::from(comparison.learned()[row].0), Sides::Learned));
    let baseline = rows().map(|row| (row, n_arms + u32::from(comparison.baseline()[row].0), Sides::Baseline));
    let label = |slice: u32| match slice.checked_sub(n_arms) {
        Some(arm) => format!("static path {}", paths.name(Arm(arm as u16))),
        None => format!("learned path {}", paths.name(Arm(slice as u16))),
    };
    judge(GateName::MeanWeightPerPath, &parts(comparison, learned.chain(baseline)), label)
}

/// Checks that weights average 1 in every slice: segments, or days.
///
/// # Errors
/// [`OpeError::Length`] when there is not one slice per row.
pub fn mean_weight_per_slice(
    name: GateName,
    comparison: &Comparison<'_>,
    slices: &[u32],
    label: impl Fn(u32) -> String,
) -> Result<Gate, OpeError> {
    check_length("slices", comparison.log().n_rows(), slices.len())?;
    let rows = slices.iter().enumerate().map(|(row, &slice)| (row, slice, Sides::Both));
    Ok(judge(name, &parts(comparison, rows), label))
}

/// Checks the share of decisions that deviated from the static path against the declared one, at 3 standard deviations.
///
/// `independent`: independent draws among the rows ([`independent_draws`]); all of them where each decision was explored on its own.
pub fn exploration_share(deviations: usize, rows: usize, independent: f64, declared: f64) -> Gate {
    let (n, found) = (independent, deviations as f64 / rows.max(1) as f64);
    let sd = (declared * (1.0 - declared) / n.max(1.0)).sqrt();
    let expected = n * declared;
    // Few expected deviations are a Poisson count; the plain normal scale would alarm too often above.
    let z = if expected < 100.0 && expected > 0.0 { anscombe(found / declared, expected) } else { (found - declared) / sd };
    let passed = if sd == 0.0 { (found - declared).abs() < 1e-12 } else { z.abs() <= 3.0 };
    Gate { name: GateName::ExplorationShare, passed, detail: format!("{found:.4} of {rows} decisions deviate, declared {declared:.4}") }
}

/// Independent draws behind a log's exploration: its rows, or `n² / Σ_g n_g²` where exploration was drawn once per session.
pub fn independent_draws(comparison: &Comparison<'_>) -> f64 {
    let n = comparison.log().n_rows() as f64;
    match comparison.sessions() {
        Some(Sessions { of_rows, unit: ExplorationUnit::Session }) => n / session_size(of_rows.iter().copied()),
        _ => n,
    }
}

/// The size of a session as a row sees it, `Σ_g n_g² / n`.
fn session_size(sessions: impl Iterator<Item = u32>) -> f64 {
    let mut counts: BTreeMap<u32, f64> = BTreeMap::new();
    for session in sessions {
        *counts.entry(session).or_default() += 1.0;
    }
    let rows: f64 = counts.values().sum();
    if rows > 0.0 { counts.values().map(|count| count * count).sum::<f64>() / rows } else { 1.0 }
}

/// Checks that the learned path ran often enough where the routers disagree.
pub fn exploration_matches(uplift: &Uplift, needed: usize) -> Gate {
    let (matches, failures) = (uplift.exploration_matches, uplift.exploration_failures);
    // Without disagreement there is nothing to explore, and the uplift is exactly 0.
    let passed = matches >= needed || uplift.disagreement == 0.0;
    let detail = format!("{matches} exploration matches where the routers disagree, {failures} failures among them, {needed} needed");
    Gate { name: GateName::ExplorationMatches, passed, detail }
}

/// Checks that at most a share of the disagreement lies where the log has no support.
pub fn unsupported_mass(uplift: &Uplift, largest_share: f64) -> Gate {
    let share = if uplift.disagreement > 0.0 { uplift.unsupported / uplift.disagreement } else { 0.0 };
    let detail =
        format!("{:.1} % of the disagreement has no support in the log, at most {:.1} % allowed", 100.0 * share, 100.0 * largest_share);
    Gate { name: GateName::UnsupportedMass, passed: share <= largest_share, detail }
}

/// Checks that propensities were logged or declared.
pub fn propensity_source(source: PropensitySource) -> Gate {
    let (passed, detail) = match source {
        PropensitySource::Logged => (true, "logged with each decision"),
        PropensitySource::Declared => (true, "computed from the declared exploration rule"),
        PropensitySource::Estimated => (false, "estimated by a model: believed only if nothing hidden drove the choice"),
        PropensitySource::Absent => (false, "no propensities"),
    };
    Gate { name: GateName::PropensitySource, passed, detail: detail.to_owned() }
}

/// Checks that the static router, sent through the estimator that decides, has the success rate that was logged.
pub fn aa_replay(comparison: &Comparison<'_>, confidence: Confidence) -> Gate {
    let value = comparison.baseline_value(confidence).estimate;
    let Some(logged) = logged_mean(comparison) else {
        return Gate { name: GateName::AaReplay, passed: false, detail: "the static path never ran".to_owned() };
    };
    let detail =
        format!("static replayed {:.4} [{:.4}, {:.4}], logged {logged:.4}", value.value, value.interval.lower, value.interval.upper);
    Gate { name: GateName::AaReplay, passed: value.interval.contains(logged), detail }
}

/// The mean reward of the rows on which the static path ran; `None` without any.
///
/// Where the log explores unevenly (the static path's propensity varies) those rows are no fair sample, and are weighted by 1/p.
pub fn logged_mean(comparison: &Comparison<'_>) -> Option<f64> {
    let log = comparison.log();
    let ran = || (0..log.n_rows()).filter(|&row| log.arms()[row] == comparison.baseline()[row]);
    let (smallest, largest) = ran().map(|row| log.propensities()[row].get()).fold((1.0, 0.0), |(low, high), p| (p.min(low), p.max(high)));
    /// Propensities closer than this are the same number, written or computed with rounding.
    const SAME: f64 = 1e-9;
    let even = largest - smallest < SAME;
    let (weights, sum) = ran().fold((0.0, 0.0), |(weights, sum), row| {
        let weight = if even { 1.0 } else { 1.0 / log.propensities()[row].get() };
        (weights + weight, sum + weight * log.rewards()[row])
    });
    (weights > 0.0).then(|| sum / weights)
}

/// Checks that training ended before evaluation began, and that no query is in both; positions in time in any one unit.
pub fn time_split(training_end: i64, evaluation_start: i64, shared_queries: usize) -> Gate {
    let passed = training_end < evaluation_start && shared_queries == 0;
    let order = if training_end < evaluation_start { "training ends before evaluation begins" } else { "training reaches into evaluation" };
    Gate { name: GateName::TimeSplit, passed, detail: format!("{order}, {shared_queries} queries in both") }
}

/// Checks that there are enough decisions to train on.
pub fn enough_decisions(decisions: usize, needed: usize) -> Gate {
    Gate {
        name: GateName::Decisions,
        passed: decisions >= needed,
        detail: format!("{decisions} decisions with an outcome, {needed} needed"),
    }
}

/// Checks the sizes of randomised groups against their declared shares.
pub fn sample_ratio_gate(counts: &[u64], shares: &[f64]) -> Gate {
    let p_value = sample_ratio(counts, shares);
    let detail = format!("groups of {counts:?}, declared {shares:?}: p = {p_value:.2e}");
    Gate { name: GateName::SampleRatio, passed: p_value >= SAMPLE_RATIO_LEVEL, detail }
}

/// Checks that outcomes are missing as often on explored rows as on static ones; each pair is (pending rows, rows).
///
/// Outcomes that are missing for one kind of row are rarely missing by chance: slow failures that never report make the others look good.
pub fn pending_outcomes(on_static: (usize, usize), explored: (usize, usize)) -> Gate {
    let (_, p_value) = pooled_z([explored.0 as f64, on_static.0 as f64], [explored.1 as f64, on_static.1 as f64]);
    let known = explored.1 > 0 && on_static.1 > 0 && p_value.is_finite();
    let detail =
        format!("{} of {} explored rows and {} of {} static rows have no outcome yet", explored.0, explored.1, on_static.0, on_static.1);
    Gate { name: GateName::PendingOutcomes, passed: !known || p_value >= SAMPLE_RATIO_LEVEL, detail }
}

/// Which router's weights a slice checks.
#[derive(Clone, Copy, PartialEq)]
enum Sides {
    Both,
    Learned,
    Baseline,
}

/// Which rows of a slice, and whose weights, a part holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Agree,
    LearnedWhereDiffering,
    StaticWhereDiffering,
}

/// Sums of a part.
#[derive(Clone, Default)]
struct Part {
    rows: f64,
    matches: f64,
    weight: f64,
    weight_squared: f64,
    /// 1/p over rows on which another path than the static one ran: what a match would weigh where there is none yet.
    others: f64,
    other_inverse: f64,
    /// Rows per session, where exploration was drawn once per session.
    sessions: BTreeMap<u32, f64>,
}

/// Collects the parts of slices given as (row, slice, whose weights).
fn parts(comparison: &Comparison<'_>, rows: impl Iterator<Item = (usize, u32, Sides)>) -> BTreeMap<(u32, Kind), Part> {
    let log = comparison.log();
    let sticky = comparison.sessions().filter(|sessions| sessions.unit == ExplorationUnit::Session);
    let mut parts: BTreeMap<(u32, Kind), Part> = BTreeMap::new();
    for (row, slice, sides) in rows {
        let (ran, learned, baseline) = (log.arms()[row], comparison.learned()[row], comparison.baseline()[row]);
        let inverse = 1.0 / log.propensities()[row].get();
        let mut add = |kind: Kind, choice: Arm| {
            let part = parts.entry((slice, kind)).or_default();
            let weight = if ran == choice { inverse } else { 0.0 };
            part.rows += 1.0;
            if let Some(sessions) = sticky {
                *part.sessions.entry(sessions.of_rows[row]).or_default() += 1.0;
            }
            part.matches += f64::from(u8::from(ran == choice));
            part.weight += weight;
            part.weight_squared += weight * weight;
            if ran != baseline && kind == Kind::LearnedWhereDiffering {
                part.others += 1.0;
                part.other_inverse += inverse;
            }
        };
        if learned == baseline {
            add(Kind::Agree, learned);
            continue;
        }
        if sides != Sides::Baseline {
            add(Kind::LearnedWhereDiffering, learned);
        }
        if sides != Sides::Learned {
            add(Kind::StaticWhereDiffering, baseline);
        }
    }
    parts
}

/// How a part came out.
struct Check {
    /// Mean weight.
    mean: f64,
    /// Standard deviations from what was expected.
    z: f64,
}

impl Part {
    /// Compares the part with what its propensities promise; `None` where too little is expected to tell.
    fn check(&self) -> Option<Check> {
        let mean = self.weight / self.rows;
        let own = if self.weight > 0.0 { self.weight_squared / self.weight } else { 0.0 };
        let proxy = if self.others > 0.0 { self.other_inverse / self.others } else { 0.0 };
        let inverse = own.max(proxy);
        if inverse < 1.0 {
            // No match, and no other path that ran: nothing says how rare matches are.
            return None;
        }
        let odds = inverse - 1.0;
        // Independent draws: rows, or sessions where exploration was drawn once for each.
        let draws = self.draws();
        if odds >= 1.0 {
            let expected = draws / odds;
            return (expected >= MIN_EXPECTED).then(|| Check { mean, z: anscombe(mean, expected) });
        }
        let (expected, share) = (draws * odds, odds / inverse);
        if expected >= MIN_EXPECTED {
            let misses = (1.0 - mean / inverse).max(0.0) / share;
            return Some(Check { mean, z: -anscombe(misses, expected) });
        }
        let misses = (self.rows - self.matches).max(0.0) * draws / self.rows;
        (misses > expected).then(|| Check { mean, z: -poisson_z(misses, draws * share) })
    }

    /// Independent draws among the rows.
    fn draws(&self) -> f64 {
        let squares: f64 = self.sessions.values().map(|rows| rows * rows).sum();
        if squares > 0.0 { self.rows * self.rows / squares } else { self.rows }
    }
}

/// Judges the parts of a gate together.
fn judge(name: GateName, parts: &BTreeMap<(u32, Kind), Part>, label: impl Fn(u32) -> String) -> Gate {
    let checked: Vec<_> = parts.iter().filter_map(|(key, part)| Some((*key, part, part.check()?))).collect();
    // Parts that are not checked still count: whether they are depends on what came out.
    let threshold = normal_quantile(1.0 - GATE_ERROR / (2.0 * parts.len().max(1) as f64));
    let Some(((slice, kind), part, worst)) = checked.iter().max_by(|a, b| a.2.z.abs().total_cmp(&b.2.z.abs())) else {
        return Gate { name, passed: true, detail: format!("too few rows to check any of {} parts", parts.len()) };
    };
    let rows = match kind {
        Kind::Agree => "where the routers agree",
        Kind::LearnedWhereDiffering => "of the learned router where they differ",
        Kind::StaticWhereDiffering => "of the static router where they differ",
    };
    let detail = format!(
        "largest deviation: mean weight {:.3} on {} rows of {} {rows} ({:+.1} sd, limit {threshold:.1}); {} of {} parts checked",
        worst.mean,
        part.rows,
        label(*slice),
        worst.z,
        checked.len(),
        parts.len()
    );
    Gate { name, passed: worst.z.abs() <= threshold, detail }
}

/// The normal quantile of a Poisson count's upper tail, `P(X ≥ count)`.
fn poisson_z(count: f64, expected: f64) -> f64 {
    if expected <= 0.0 {
        return f64::INFINITY;
    }
    // P(X ≥ c) is the lower regularised gamma function at the expected count.
    normal_quantile((1.0 - gamma_lr(count, expected)).clamp(0.0, 1.0 - f64::EPSILON))
}

/// How far a count lies from the `expected` one, in standard deviations, given their ratio.
fn anscombe(ratio: f64, expected: f64) -> f64 {
    1.5 * expected.sqrt() * (ratio.powf(2.0 / 3.0) - 1.0) + 1.0 / (6.0 * expected.sqrt())
}

#[cfg(test)]
mod tests {
    use routewright_domain::{Log, Propensity};

    use super::*;

    /// A log over two paths: static is path 0, learned path 1, of which every `every`-th row is a match, all with the propensity given.
    fn gate(rows: usize, every: usize, explored: f64) -> Gate {
        let arms: Vec<Arm> = (0..rows).map(|row| Arm(u16::from(row % every == 0))).collect();
        let propensity = |arm: &Arm| Propensity::try_from(if arm.0 == 1 { explored } else { 1.0 - explored }).unwrap();
        let propensities: Vec<Propensity> = arms.iter().map(propensity).collect();
        let rewards = vec![1.0; rows];
        let log = Log::new(2, &arms, &rewards, &propensities).unwrap();
        mean_weight(&Comparison::new(log, &vec![Arm(1); rows], &vec![Arm(0); rows]).unwrap())
    }

    #[test]
    fn weights_that_average_one_pass() {
        assert!(gate(10_000, 10, 0.1).passed);
    }

    #[test]
    fn exploration_that_was_half_of_what_is_logged_fails() {
        let gate = gate(10_000, 20, 0.1);
        assert!(!gate.passed);
        assert_eq!(
            gate.detail,
            "largest deviation: mean weight 1.056 on 10000 rows of all rows of the static router where they differ (+18.5 sd, limit 3.2); 2 of 2 \
             parts checked"
        );
    }

    #[test]
    fn a_deterministic_log_has_no_weights_to_check() {
        let (arms, rewards, propensities) = (vec![Arm(0); 500], vec![1.0; 500], vec![Propensity::CERTAIN; 500]);
        let log = Log::new(2, &arms, &rewards, &propensities).unwrap();
        assert!(mean_weight(&Comparison::new(log, &vec![Arm(1); 500], &arms).unwrap()).passed);
    }

    #[test]
    fn certain_choices_that_were_not_made_fail() {
        let arms: Vec<Arm> = (0..500).map(|row| Arm(u16::from(row % 50 == 0))).collect();
        let (rewards, propensities) = (vec![1.0; 500], vec![Propensity::CERTAIN; 500]);
        let log = Log::new(2, &arms, &rewards, &propensities).unwrap();
        assert!(!mean_weight(&Comparison::new(log, &vec![Arm(0); 500], &vec![Arm(0); 500]).unwrap()).passed);
    }

    #[test]
    fn a_share_as_declared_passes_and_another_fails() {
        assert!(exploration_share(42, 1_000, 1_000.0, 0.04).passed);
        assert!(!exploration_share(100, 1_000, 1_000.0, 0.04).passed);
        assert!(exploration_share(100, 1_000, 25.0, 0.04).passed, "25 sessions may deviate by that much");
        assert!(exploration_share(0, 1_000, 1_000.0, 0.0).passed);
        assert!(!exploration_share(1, 1_000, 1_000.0, 0.0).passed);
    }

    #[test]
    fn training_must_end_before_evaluation() {
        assert!(time_split(3, 4, 0).passed);
        assert!(!time_split(4, 4, 0).passed);
        assert!(!time_split(3, 4, 1).passed);
    }

    #[test]
    fn estimated_propensities_do_not_pass() {
        assert!(propensity_source(PropensitySource::Declared).passed);
        assert!(!propensity_source(PropensitySource::Estimated).passed);
    }

    #[test]
    fn a_log_that_explores_unevenly_still_replays_its_static_router() {
        // Two kinds of rows: easy ones explored at 10 %, hard ones at 90 %. The plain mean of static rows is far from static's value.
        let n = 2_000;
        let hard = |row: usize| row >= n / 2;
        let arms: Vec<Arm> = (0..n).map(|row| Arm(u16::from(hard(row) == (row % 10 != 0)))).collect();
        let propensities: Vec<Propensity> = arms
            .iter()
            .enumerate()
            .map(|(row, arm)| Propensity::try_from(if hard(row) == (arm.0 == 1) { 0.9 } else { 0.1 }).unwrap())
            .collect();
        let rewards: Vec<f64> = (0..n).map(|row| f64::from(u8::from(!hard(row)))).collect();
        let log = Log::new(2, &arms, &rewards, &propensities).unwrap();
        let (learned, baseline) = (vec![Arm(1); n], vec![Arm(0); n]);
        let gate = aa_replay(&Comparison::new(log, &learned, &baseline).unwrap(), Confidence::TWO_SIDED_95);
        assert!(gate.passed, "{}", gate.detail);
    }
}
