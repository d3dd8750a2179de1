//! Verdicts and their reasons, spelled as in `reports/decision.json`.

use serde::{Deserialize, Serialize};

use crate::{Identification, PowerPlan};

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Route with the learned router.
    Adopt,
    /// Route with it in part.
    Hybrid,
    /// Keep the static router.
    Keep,
    /// The gain is clear, the model is not: find the features that carry it.
    InvestigateFeatures,
    /// The gain is clear, but too slow.
    OptimizeModel,
    /// The gain is clear, but the model ages fast.
    CostBenefit,
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// The interval proves it.
    Proven,
    /// The gain is there, but small, or not all of it is certain: roll out on a share of the traffic.
    LimitedRollout,
    /// Learned routing helps in some segments only, or harms some.
    Segments,
    /// Learned routing helps where the log supports it.
    Supported,
    /// The model cannot be followed.
    Opaque,
    /// The model needs retraining too often.
    Retraining,
    /// A rule without a model beats static, and the learned router is not shown to beat that rule.
    SimpleRule,
    /// Learned routing does harm.
    Harm,
    /// Learned routing is too slow.
    Latency,
    /// The log cannot say.
    NotIdentified,
    /// The log says too little.
    InsufficientEvidence,
    /// The log contradicts itself.
    InvalidLog,
}

impl Reason {
    /// Whether the question is settled: exit code 0 or 10 of `gate`, not 11.
    pub fn is_conclusive(self) -> bool {
        !matches!(self, Self::NotIdentified | Self::InsufficientEvidence | Self::InvalidLog)
    }
}

/// The verdict, why, in words, and what would settle the question where it is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What to do.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// What the log identifies.
    pub identification: Identification,
    /// One paragraph for people.
    pub summary: String,
    /// What would settle the question; all zero where it is settled.
    pub needed: PowerPlan,
}
