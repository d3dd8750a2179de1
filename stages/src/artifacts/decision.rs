//! The decision: what the release gate reads. Its JSON is a contract (schema version 1).

use routewright_ope::{Explainability, Gate, Identification, PowerPlan, Reason, Retraining, Rule, Segment, Verdict};
use serde::{Deserialize, Serialize};

use super::replay::{Answer, PolicyResult, RatePair, RatioResult};

/// Version of `decision.json`; rises with any change that an old reader would misread.
pub const DECISION_SCHEMA_VERSION: u32 = 1;

/// Success of both routers, and the uplift in points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuccessSummary {
    /// Success rate of the static router.
    #[serde(rename = "static")]
    pub static_rate: Option<f64>,
    /// Success rate of the learned router; absent where the log does not identify it.
    pub learned: Option<f64>,
    /// Learned minus static, in points.
    pub uplift_points: Option<f64>,
    /// One-sided lower bound of the uplift, in points.
    pub lower: f64,
    /// One-sided upper bound of the uplift, in points.
    pub upper: f64,
    /// Level of each bound.
    pub level: f64,
    /// Which estimator gave it.
    pub estimator: String,
    /// What the learned router has to beat: the strongest of the static router and the controls.
    pub strongest_control: String,
    /// Learned minus the strongest control, in points, with one-sided bounds: what the rule looks at.
    pub over_strongest_control: [Option<f64>; 3],
}

/// Latency of both routers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencySummary {
    /// Mean latency of the static router, in milliseconds.
    pub static_ms: f64,
    /// Mean latency of the learned router, in milliseconds.
    pub learned_ms: f64,
    /// Learned over static.
    pub ratio: f64,
    /// One-sided lower bound.
    pub lower: f64,
    /// One-sided upper bound.
    pub upper: f64,
}

/// A control in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlSummary {
    /// Its name.
    pub name: String,
    /// Success rate, where identified.
    pub success: Option<f64>,
    /// Mean latency in milliseconds, where identified.
    pub latency_ms: Option<f64>,
    /// Mean cost in US dollars, where identified.
    pub cost: Option<f64>,
}

/// An estimator's value of the learned router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EstimatorSummary {
    /// The estimator.
    pub name: String,
    /// Its value.
    pub value: Option<f64>,
    /// Lower end, two-sided 95 %.
    pub lower: f64,
    /// Upper end, two-sided 95 %.
    pub upper: f64,
}

/// How far the log can be trusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiagnosticsSummary {
    /// Rows that were judged.
    pub rows: usize,
    /// Share of queries on which the routers disagree.
    pub disagreement: f64,
    /// Rows where they disagree and the learned path ran.
    pub exploration_matches: usize,
    /// Effective sample size of the learned router.
    pub effective_sample_size: Option<f64>,
    /// Mean importance weight.
    pub mean_weight: Option<f64>,
    /// Share of rows that disagree and have no support.
    pub unsupported_mass: f64,
    /// The checks.
    pub gates: Vec<Gate>,
}

/// An answer to one of the seven questions of E-009, section 8.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuestionAnswer {
    /// The question.
    pub question: String,
    /// The answer in words.
    pub answer: String,
    /// The numbers behind it.
    pub figures: serde_json::Value,
}

/// Where the decision comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Digest over the digests of the log files.
    pub data_digest: String,
    /// Decisions with an outcome.
    pub rows: usize,
    /// First and last time of the held-out window (RFC 3339).
    pub window: [String; 2],
    /// Digest over all settings that the decision rests on: the rule's, and those of every stage that feeds it.
    pub settings_digest: String,
    /// The run's seed.
    pub seed: u64,
    /// Digest of the models that were judged.
    pub artifact_digest: String,
    /// Version of routewright.
    pub version: String,
}

/// `reports/decision.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionReport {
    /// [`DECISION_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What to do.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// One paragraph for people.
    pub summary: String,
    /// What the log identifies.
    pub identification: Identification,
    /// Success.
    pub success: SuccessSummary,
    /// Latency, where identified.
    pub latency: Option<LatencySummary>,
    /// 95th percentiles of latency in milliseconds, static and learned, where identified.
    pub latency_p95_ms: Option<(f64, f64)>,
    /// Share of choices that a reviewer agreed with.
    pub routing_accuracy: Option<RatePair>,
    /// Share of answers with a hallucination.
    pub hallucination_rate: Option<RatePair>,
    /// Share of satisfied users.
    pub user_satisfaction: Option<RatePair>,
    /// Cost, where identified.
    pub cost: Option<RatioResult>,
    /// What the learned router has to beat, and the oracle where it is known.
    pub controls: Vec<ControlSummary>,
    /// Every estimator.
    pub estimators: Vec<EstimatorSummary>,
    /// How far the log can be trusted.
    pub diagnostics: DiagnosticsSummary,
    /// Query types with their own uplift.
    pub segments: Vec<Segment>,
    /// How well a person can follow the learned router.
    pub explainability: Option<Explainability>,
    /// How soon it needs retraining, where the log is long enough to tell.
    pub retraining: Option<Retraining>,
    /// What would settle the question; all zero where it is settled.
    pub needed: PowerPlan,
    /// The rule in force: `[decide]`.
    pub rule: Rule,
    /// The seven questions.
    pub answers: Vec<QuestionAnswer>,
    /// Where it comes from.
    pub provenance: Provenance,
}

impl From<&PolicyResult> for ControlSummary {
    fn from(policy: &PolicyResult) -> Self {
        Self { name: policy.name.clone(), success: policy.success.value, latency_ms: policy.latency_ms, cost: policy.cost_usd }
    }
}

impl From<&Answer> for EstimatorSummary {
    fn from(answer: &Answer) -> Self {
        Self { name: answer.name.clone(), value: answer.estimate.value, lower: answer.estimate.lower, upper: answer.estimate.upper }
    }
}

impl From<RatioResult> for LatencySummary {
    fn from(ratio: RatioResult) -> Self {
        Self { static_ms: ratio.static_mean, learned_ms: ratio.learned_mean, ratio: ratio.ratio, lower: ratio.lower, upper: ratio.upper }
    }
}
