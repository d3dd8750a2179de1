//! The estimator that decides: stratum counts, and the intervals made from them.
//!
//! Strata are (agree | differ) × key, where the key is the propensity class and, where wanted, the segment. Within a stratum a policy's mean
//! reward is that of the rows on which its path ran, each weighted by 1/p; where p is the same on all of them this is the plain mean and the
//! interval is Wilson's on plain counts, otherwise Wilson's on Kish's effective count. Where rows belong to sessions the counts are divided by the
//! design effect of the sessions.

mod sessions;

use std::collections::BTreeMap;

use routewright_domain::{Estimate, Interval};
use serde::{Deserialize, Serialize};

use self::sessions::{Dependence, SessionSums};
use crate::ExplorationUnit;
use crate::stats::{Confidence, normal_sf, wilson};

/// The sums of a log that the deciding estimator needs. Tallies of shards add up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    strata: BTreeMap<(u32, bool), Cell>,
    /// Sums per session, where rows have sessions.
    sessions: Option<SessionSums>,
}

/// One stratum's sums.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Cell {
    n_rows: usize,
    learned: Matches,
    baseline: Matches,
}

/// The rows of a stratum on which one policy's path ran.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Matches {
    count: usize,
    failures: f64,
    weight: f64,
    weight_squared: f64,
    weighted_reward: f64,
}

/// One logged row as a tally sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Row {
    /// Stratum key.
    pub(crate) key: u32,
    /// Whether learned and static take different paths.
    pub(crate) differ: bool,
    /// Whether the learned path ran.
    pub(crate) learned_ran: bool,
    /// Whether the static path ran.
    pub(crate) baseline_ran: bool,
    /// Propensity of the path that ran.
    pub(crate) propensity: f64,
    /// Success, in [0, 1].
    pub(crate) reward: f64,
    /// Session, and what exploration was drawn for.
    pub(crate) session: Option<(u32, ExplorationUnit)>,
}

impl Row {
    /// Whether a policy's path ran.
    fn ran(&self, side: Side) -> bool {
        match side {
            Side::Learned => self.learned_ran,
            Side::Baseline => self.baseline_ran,
        }
    }
}

/// One of the two policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The learned router.
    Learned,
    /// The static router.
    Baseline,
}

/// A policy's mean reward in one stratum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stratum {
    /// Propensity class × segment.
    pub key: u32,
    /// Whether learned and static take different paths here.
    pub differ: bool,
    /// Share of all rows.
    pub share: f64,
    /// Rows on which the policy's path ran.
    pub matches: usize,
    /// Kish's effective number of them, divided by the design effect of sessions.
    pub effective: f64,
    /// Mean reward on them; ½ without matches.
    pub mean: f64,
    /// Wilson's interval of the mean; [0, 1] without matches.
    pub interval: Interval,
}

/// A policy's value by strata.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StratifiedValue {
    /// Mean reward with its interval; the standard error is the interval's half-width over z.
    pub estimate: Estimate,
    /// The strata, in the order of their keys.
    pub strata: Vec<Stratum>,
    /// Whether a stratum has no match, so that the interval is a bound there.
    pub partial: bool,
}

/// The uplift of learned over static, `Δ = P(D) · d`, in the unit of the reward (multiply by 100 for points).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Uplift {
    /// The uplift over all rows with its interval; the standard error is the interval's half-width over z.
    pub estimate: Estimate,
    /// Share of rows on which learned and static disagree: P(D).
    pub disagreement: f64,
    /// Rows of D on which the learned path ran.
    pub exploration_matches: usize,
    /// Sessions among them; as many as matches where rows have no sessions.
    pub exploration_sessions: usize,
    /// Failures among them.
    pub exploration_failures: f64,
    /// Rows of D on which the static path ran.
    pub baseline_matches: usize,
    /// Share of all rows that lie in strata of D without a match of one of the two: their part of the interval is a bound.
    pub unsupported: f64,
}

impl Uplift {
    /// Whether some stratum has no match.
    pub fn is_partial(&self) -> bool {
        self.unsupported > 0.0
    }
}

impl Tally {
    /// Counts one row.
    pub(crate) fn push(&mut self, row: Row) {
        let cell = self.strata.entry((row.key, row.differ)).or_default();
        cell.n_rows += 1;
        if row.learned_ran {
            cell.learned.push(row.propensity, row.reward);
        }
        if row.baseline_ran {
            cell.baseline.push(row.propensity, row.reward);
        }
        if let Some((session, unit)) = row.session {
            self.sessions.get_or_insert_with(|| SessionSums::new(unit)).push(session, row);
        }
    }

    /// Adds the tally of another shard; sessions that occur in both are one session.
    pub fn merge(&mut self, other: &Self) {
        for (key, cell) in &other.strata {
            let own = self.strata.entry(*key).or_default();
            own.n_rows += cell.n_rows;
            own.learned.merge(&cell.learned);
            own.baseline.merge(&cell.baseline);
        }
        match (&mut self.sessions, &other.sessions) {
            (Some(own), Some(theirs)) => own.merge(theirs),
            (own @ None, Some(theirs)) => *own = Some(theirs.clone()),
            (_, None) => {}
        }
    }

    /// Number of rows counted.
    pub fn n_rows(&self) -> usize {
        self.strata.values().map(|cell| cell.n_rows).sum()
    }

    /// A policy's value, `V = Σ π_h ȳ_h`, with the MOVER interval: squared distances to the ends of the strata's Wilson intervals, and the
    /// variance of the strata's shares.
    pub fn value(&self, side: Side, confidence: Confidence) -> StratifiedValue {
        let total = self.n_rows().max(1) as f64;
        let dependence = self.dependence();
        let strata: Vec<Stratum> = self
            .strata
            .iter()
            .map(|(&(key, differ), cell)| {
                let matches = cell.side(side);
                let effective = matches.effective() / dependence.of_matches(key, differ, side);
                let interval = matches.wilson(effective, confidence);
                let (share, mean) = (cell.n_rows as f64 / total, matches.mean().unwrap_or(0.5));
                Stratum { key, differ, share, matches: matches.count, effective, mean, interval }
            })
            .collect();
        let parts = strata.iter().map(|h| Part {
            share: h.share,
            mean: h.mean,
            below: h.mean - h.interval.lower,
            above: h.interval.upper - h.mean,
        });
        let estimate = combine(parts, total / dependence.of_shares(), confidence, Interval { lower: 0.0, upper: 1.0 });
        let partial = strata.iter().any(|stratum| stratum.matches == 0);
        StratifiedValue { estimate, strata, partial }
    }

    /// The uplift of learned over static: Newcombe's hybrid score interval per stratum of D, combined by MOVER with the variance of the shares.
    ///
    /// A stratum without matches of one policy is given no difference, and an interval that allows every one.
    pub fn uplift(&self, confidence: Confidence) -> Uplift {
        self.uplift_given(&self.dependence(), confidence)
    }

    /// The uplift, given how much rows of one session depend on each other.
    fn uplift_given(&self, dependence: &Dependence, confidence: Confidence) -> Uplift {
        let total = self.n_rows().max(1) as f64;
        let differing = || self.strata.iter().filter(|((_, differ), _)| *differ).map(|((key, _), cell)| (*key, cell));
        let parts = differing().map(|(key, cell)| {
            let interval = |side: Side| {
                let matches = cell.side(side);
                matches.wilson(matches.effective() / dependence.of_matches(key, true, side), confidence)
            };
            let (learned, baseline) = (interval(Side::Learned), interval(Side::Baseline));
            let (of_learned, of_baseline) = match (cell.learned.mean(), cell.baseline.mean()) {
                (Some(of_learned), Some(of_baseline)) => (of_learned, of_baseline),
                (Some(only), None) | (None, Some(only)) => (only, only),
                (None, None) => (0.5, 0.5),
            };
            let below = (of_learned - learned.lower).hypot(baseline.upper - of_baseline);
            let above = (learned.upper - of_learned).hypot(of_baseline - baseline.lower);
            Part { share: cell.n_rows as f64 / total, mean: of_learned - of_baseline, below, above }
        });
        let n_differing: usize = differing().map(|(_, cell)| cell.n_rows).sum();
        let disagreement = n_differing as f64 / total;
        let unsupported: usize =
            differing().filter(|(_, cell)| cell.learned.count == 0 || cell.baseline.count == 0).map(|(_, cell)| cell.n_rows).sum();
        let exploration_matches = differing().map(|(_, cell)| cell.learned.count).sum();
        Uplift {
            estimate: combine(parts, total / dependence.of_shares(), confidence, Interval { lower: -1.0, upper: 1.0 }),
            disagreement,
            exploration_matches,
            exploration_sessions: self.sessions.as_ref().map_or(exploration_matches, SessionSums::exploration_sessions),
            exploration_failures: differing().map(|(_, cell)| cell.learned.failures).sum(),
            baseline_matches: differing().map(|(_, cell)| cell.baseline.count).sum(),
            unsupported: unsupported as f64 / total,
        }
    }

    /// How much rows of one session depend on each other.
    fn dependence(&self) -> Dependence {
        self.sessions.as_ref().map_or_else(Dependence::none, |sessions| sessions.dependence(self))
    }

    /// One-sided p-value of "the uplift is at most 0": the smallest α whose one-sided lower bound is above 0.
    pub fn p_value_of_gain(&self) -> f64 {
        self.p_value(|uplift| uplift.interval.lower > 0.0)
    }

    /// One-sided p-value of "the uplift is at least 0": the smallest α whose one-sided upper bound is below 0.
    pub fn p_value_of_harm(&self) -> f64 {
        self.p_value(|uplift| uplift.interval.upper < 0.0)
    }

    /// Inverts the interval by bisection over z, which is enough for p down to 1e-99.
    fn p_value(&self, holds: impl Fn(Estimate) -> bool) -> f64 {
        const LARGEST_Z: f64 = 21.0;
        let dependence = self.dependence();
        let at = |z: f64| holds(self.uplift_given(&dependence, Confidence::of_z(z)).estimate);
        if !at(1e-9) {
            // The point estimate is on the other side: the p-value is above ½ and never rejects anything.
            return 1.0;
        }
        let (mut low, mut high) = (0.0, LARGEST_Z);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if at(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        normal_sf(low)
    }
}

impl Cell {
    /// The matches of one policy.
    fn side(&self, side: Side) -> &Matches {
        match side {
            Side::Learned => &self.learned,
            Side::Baseline => &self.baseline,
        }
    }
}

impl Matches {
    fn push(&mut self, propensity: f64, reward: f64) {
        let weight = 1.0 / propensity;
        self.count += 1;
        self.failures += 1.0 - reward;
        self.weight += weight;
        self.weight_squared += weight * weight;
        self.weighted_reward += weight * reward;
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.failures += other.failures;
        self.weight += other.weight;
        self.weight_squared += other.weight_squared;
        self.weighted_reward += other.weighted_reward;
    }

    /// Mean reward; `None` without rows.
    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.weighted_reward / self.weight).clamp(0.0, 1.0))
    }

    /// Kish's effective number of rows: the count itself where all weights are equal.
    fn effective(&self) -> f64 {
        if self.count == 0 { 0.0 } else { (self.weight * self.weight / self.weight_squared).min(self.count as f64) }
    }

    /// Wilson's interval of the mean, given the effective number of rows.
    fn wilson(&self, effective: f64, confidence: Confidence) -> Interval {
        wilson(self.mean().unwrap_or(0.0) * effective, effective, confidence)
    }
}

/// A stratum's part in a weighted sum: its mean, and how far its interval reaches below and above.
struct Part {
    share: f64,
    mean: f64,
    below: f64,
    above: f64,
}

/// MOVER: the weighted sum with squared one-sided distances, plus the variance of the strata's shares; cut to `range`.
fn combine(parts: impl Iterator<Item = Part>, total: f64, confidence: Confidence, range: Interval) -> Estimate {
    let (mut value, mut second_moment, mut below, mut above) = (0.0, 0.0, 0.0, 0.0);
    for part in parts {
        value += part.share * part.mean;
        second_moment += part.share * part.mean * part.mean;
        below += (part.share * part.below).powi(2);
        above += (part.share * part.above).powi(2);
    }
    let of_shares = confidence.z() * confidence.z() * (second_moment - value * value).max(0.0) / total;
    let interval = Interval {
        lower: (value - (below + of_shares).sqrt()).max(range.lower),
        upper: (value + (above + of_shares).sqrt()).min(range.upper),
    };
    Estimate { value, std_error: (interval.upper - interval.lower) / (2.0 * confidence.z()), interval }
}
