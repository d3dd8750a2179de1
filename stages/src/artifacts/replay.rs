//! What `replay` found: every policy's value on the held-out window, and how far the log can be trusted.

use routewright_ope::{CandidateUplift, Diagnostics, ExplorationUnit, Gate, Identification, LogFacts, Ratio, Segment};
use serde::{Deserialize, Serialize};

/// A number with its 95 % interval; the value is absent where the log does not identify it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bounded {
    /// The estimate.
    pub value: Option<f64>,
    /// Lower end, two-sided 95 %.
    pub lower: f64,
    /// Upper end, two-sided 95 %.
    pub upper: f64,
}

impl Bounded {
    /// From an estimate.
    pub fn of(estimate: routewright_domain::Estimate) -> Self {
        Self { value: Some(estimate.value), lower: estimate.interval.lower, upper: estimate.interval.upper }
    }

    /// Scaled, for example from shares to points.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self { value: self.value.map(|value| value * factor), lower: self.lower * factor, upper: self.upper * factor }
    }
}

/// What a policy is in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The static router.
    Static,
    /// The learned router that is judged.
    Learned,
    /// Another way to learn.
    Alternative,
    /// Something simple that a learned router has to beat.
    Control,
    /// What nobody can have.
    Oracle,
}

/// An estimator's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The estimator.
    pub name: String,
    /// Its estimate; the interval is by influence function, by session where rows have sessions.
    pub estimate: Bounded,
    /// The percentile interval of a bootstrap that recomputes the whole statistic; absent where rows have sessions.
    #[serde(default)]
    pub bootstrap: Option<[f64; 2]>,
    /// The limit on the weights, for estimators that have one.
    #[serde(default)]
    pub limit: Option<f64>,
}

/// One policy on the held-out window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyResult {
    /// Its name.
    pub name: String,
    /// What it is here.
    pub role: Role,
    /// Success rate.
    pub success: Bounded,
    /// Which estimator gave it.
    pub estimator: String,
    /// Mean latency in milliseconds, where identified.
    pub latency_ms: Option<f64>,
    /// Mean cost in US dollars, where identified.
    pub cost_usd: Option<f64>,
    /// Share of queries on which it differs from the static router.
    pub disagreement: f64,
    /// Share of every path in its choices.
    pub shares: Vec<(String, f64)>,
}

/// The learned router's success minus another policy's, in points.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UpliftResult {
    /// Against which policy.
    pub over: String,
    /// Points with a two-sided 95 % interval.
    pub points: Bounded,
    /// One-sided 95 % lower bound, in points: what the decision looks at.
    pub lower_one_sided: f64,
    /// One-sided 95 % upper bound, in points.
    pub upper_one_sided: f64,
    /// Which estimator gave it.
    pub estimator: String,
}

/// Learned over static as a ratio of means, with one-sided 95 % bounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RatioResult {
    /// The static router's mean.
    pub static_mean: f64,
    /// The learned router's mean.
    pub learned_mean: f64,
    /// Learned over static.
    pub ratio: f64,
    /// One-sided 95 % lower bound.
    pub lower: f64,
    /// One-sided 95 % upper bound.
    pub upper: f64,
}

impl RatioResult {
    /// From a ratio with one-sided bounds; `None` where a number of it is not finite.
    pub(crate) fn of(ratio: Ratio) -> Option<Self> {
        let found = Self {
            static_mean: ratio.denominator,
            learned_mean: ratio.numerator,
            ratio: ratio.ratio,
            lower: ratio.interval.lower,
            upper: ratio.interval.upper,
        };
        [found.static_mean, found.learned_mean, found.ratio, found.lower, found.upper]
            .iter()
            .all(|value| value.is_finite())
            .then_some(found)
    }
}

/// A rate of both routers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RatePair {
    /// Rows on which it was looked for.
    pub n: usize,
    /// The static router.
    pub static_rate: Option<Bounded>,
    /// The learned router.
    pub learned_rate: Option<Bounded>,
}

/// What happens where the routers disagree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DisagreementResult {
    /// Share of queries on which they disagree.
    pub share: f64,
    /// Success of the learned choice minus that of the static one on these queries, in points.
    pub difference_points: Bounded,
    /// Queries on which only the learned choice succeeds, where both are known.
    pub gains: Option<u64>,
    /// Queries on which only the static choice succeeds, where both are known.
    pub losses: Option<u64>,
}

/// How much of the way from the best single path to the oracle a policy goes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GapResult {
    /// In success rate: (learned − best single) / (oracle − best single).
    pub success: f64,
    /// In mean latency where a failure counts ten times the longest latency of the log (PAR10).
    pub par10: Option<f64>,
    /// The longest latency of the log, in milliseconds: the cutoff of PAR10.
    pub cutoff_ms: Option<f64>,
}

/// How the success of the learned router follows the fallback threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThresholdPoint {
    /// Confidence below which the static router is asked.
    pub threshold: f64,
    /// Share of queries decided by the model.
    pub coverage: f64,
    /// Success rate of the whole router at this threshold.
    pub success: Option<f64>,
}

/// The uplift as it was seen one night.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Day since 1970 whose decisions are the last that count.
    pub day: i64,
    /// Decisions so far.
    pub rows: usize,
    /// Learned minus static, in points.
    pub uplift_points: f64,
    /// Lower end of the interval that holds at all looks together (95 %), in points.
    pub lower: f64,
    /// Upper end of it.
    pub upper: f64,
    /// Lower end of the interval that would hold at one planned look, for comparison.
    pub lower_at_one_look: f64,
    /// Upper end of it.
    pub upper_at_one_look: f64,
}

/// A weight of the price in the utility, and what it would give.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrontierSetting {
    /// Success probability that one mean price of the paths is worth.
    pub lambda: f64,
    /// Mean price of the choices.
    pub cost: f64,
    /// Success rate.
    pub quality: f64,
}

/// Routing between the cheapest path and the best one by predicted advantage (Ong et al. 2024).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StrongCalls {
    /// The cheapest path.
    pub weak: String,
    /// The path with the highest training success rate.
    pub strong: String,
    /// Success rate of the weak path.
    pub weak_success: f64,
    /// Success rate of the strong path.
    pub strong_success: f64,
    /// Share of calls to the strong path, and success rate.
    pub curve: Vec<[f64; 2]>,
    /// Average performance gap recovered.
    pub apgr: Option<f64>,
    /// Share of strong calls that recovers half of the gap.
    pub cpt_50: Option<f64>,
    /// Share of strong calls that recovers four fifths of the gap.
    pub cpt_80: Option<f64>,
}

/// The cost-quality frontier of the learned router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrontierResult {
    /// What prices are in: `usd` or `milliseconds`.
    pub unit: String,
    /// Success by price, one entry per weight.
    pub settings: Vec<FrontierSetting>,
    /// Their non-decreasing concave hull: price and success.
    pub hull: Vec<[f64; 2]>,
    /// Cheapest and dearest setting.
    pub costs: [f64; 2],
    /// Average improvement in quality: mean success of the hull over these prices (Hu et al. 2024).
    pub aiq: Option<f64>,
    /// The same with two paths.
    pub strong_calls: Option<StrongCalls>,
}

/// E-009's first protocol: 200 held-out queries, half to each variant.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeedProtocol {
    /// Queries given to the static router.
    pub static_queries: usize,
    /// Queries given to the learned router.
    pub learned_queries: usize,
    /// Success rate of the first group.
    pub static_success: Bounded,
    /// Success rate of the second group.
    pub learned_success: Bounded,
    /// Their difference in points.
    pub difference_points: Bounded,
    /// Chance that groups of this size show an uplift of [`Self::power_for_points`] at the two-sided 5 % level.
    pub power: f64,
    /// The uplift that the power is for, in points.
    pub power_for_points: f64,
    /// The static success rate that the power is for.
    pub power_from_baseline: f64,
}

/// What sessions do to the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionsResult {
    /// Number of sessions.
    pub sessions: usize,
    /// Rows in them.
    pub rows: usize,
    /// What exploration was drawn for.
    pub exploration_unit: ExplorationUnit,
    /// Correlation of the deviations of two rows of a session.
    pub exploration_correlation: f64,
}

/// What the old router loses to a fresh one at an age.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgePoint {
    /// Days since the old router's training ended.
    pub age_days: f64,
    /// Success of the fresh router minus that of the old one, in points.
    pub loss_points: f64,
    /// Lower end, two-sided 95 %.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// How the learned router ages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetrainingResult {
    /// Day on which a point is lost; the oldest age tested where no such loss is shown.
    pub interval_days: u32,
    /// Whether a loss of a point within the log is shown.
    pub decays: bool,
    /// Points lost per day.
    pub loss_per_day: f64,
    /// One-sided 95 % lower bound of it.
    pub loss_per_day_lower: f64,
    /// One-sided 95 % upper bound of it.
    pub loss_per_day_upper: f64,
    /// The loss by age.
    pub points: Vec<AgePoint>,
}

/// Everything `replay` found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplayReport {
    /// What can be known from this log.
    pub identification: Identification,
    /// The facts from which that follows.
    pub facts: LogFacts,
    /// How the static choice is known.
    pub static_source: String,
    /// Held-out queries that were judged.
    pub n_queries: usize,
    /// Rows among them with an outcome.
    pub n_rows: usize,
    /// Rows left out because the static choice is unknown.
    pub rows_without_static: usize,
    /// First and last time of the held-out window, in microseconds since 1970.
    pub window_us: (i64, i64),
    /// Queries with an outcome in both windows together.
    pub decisions: usize,
    /// The policies, static first.
    pub policies: Vec<PolicyResult>,
    /// Learned over static.
    pub uplift: UpliftResult,
    /// What can be said of that uplift without any propensity; absent for full information.
    pub bounds: Option<UpliftResult>,
    /// Learned over the strongest control.
    pub uplift_over_control: Option<UpliftResult>,
    /// The strongest control over static.
    pub control_over_static: Option<UpliftResult>,
    /// The learned router where the log supports it, static elsewhere; absent where it supports everything.
    pub supported: Option<CandidateUplift>,
    /// Every estimator's value of the learned router.
    pub estimators: Vec<Answer>,
    /// Every estimator's uplift over the static router, in points.
    pub uplift_estimators: Vec<Answer>,
    /// Every estimator's value of the static router over the whole log: an A/A check, since that is what was logged.
    pub static_whole_log: Vec<Answer>,
    /// The share of successes in the whole log.
    pub logged_mean: f64,
    /// Latency.
    pub latency: Option<RatioResult>,
    /// Cost.
    pub cost: Option<RatioResult>,
    /// 95th percentile of latency, static and learned, in milliseconds.
    pub latency_p95_ms: Option<(f64, f64)>,
    /// Share of choices that a reviewer agreed with.
    pub routing_accuracy: RatePair,
    /// Share of answers with a hallucination.
    pub hallucination_rate: RatePair,
    /// Share of satisfied users.
    pub user_satisfaction: RatePair,
    /// Where the routers disagree.
    pub disagreement: DisagreementResult,
    /// Overlap of the log with the learned router; absent for full information.
    pub diagnostics: Option<Diagnostics>,
    /// Checks that the log can bear a verdict.
    pub gates: Vec<Gate>,
    /// Query types with their own uplift.
    pub segments: Vec<Segment>,
    /// The router that is learned only in confirmed segments.
    pub composed: Option<CandidateUplift>,
    /// Segments in which the learned router does harm.
    pub harmed_segments: Vec<String>,
    /// The way from best single path to oracle; full information only.
    pub gap_closed: Option<GapResult>,
    /// Success by fallback threshold.
    pub thresholds: Vec<ThresholdPoint>,
    /// The uplift night by night; empty where it is not identified.
    pub looks: Vec<Look>,
    /// Cost and quality; absent where no price is known.
    pub frontier: Option<FrontierResult>,
    /// The protocol that E-009 began with; absent where nothing is identified.
    pub seed_protocol: Option<SeedProtocol>,
    /// Sessions; absent where each holds one decision.
    pub sessions: Option<SessionsResult>,
    /// How the learned router ages; absent where the log is too short, or identifies nothing.
    pub retraining: Option<RetrainingResult>,
}

impl ReplayReport {
    /// A policy by name.
    pub fn policy(&self, name: &str) -> Option<&PolicyResult> {
        self.policies.iter().find(|policy| policy.name == name)
    }
}
