//! One logged decision, as every log format produces it.

use std::collections::BTreeMap;

use crate::{Propensity, Timestamp};

/// A routing decision with the outcome of the path that ran. `None` means: not logged, or (outcomes) still pending.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// Identifies the row.
    pub trace_id: String,
    /// When the decision was made.
    pub timestamp: Timestamp,
    /// The query text.
    pub query: String,
    /// Groups rows that ran the same query on several paths; the `trace_id` where the log has none.
    pub query_id: String,
    /// Cluster of the row: session.
    pub session_id: Option<String>,
    /// Cluster of the row: user.
    pub user_id: Option<String>,
    /// The path that ran.
    pub path: String,
    /// What the static rules chose, where logged.
    pub static_path: Option<String>,
    /// Probability with which the logger chose [`Self::path`].
    pub propensity: Option<Propensity>,
    /// Probability of every path, where the logger has it; empty otherwise.
    pub propensities: BTreeMap<String, f64>,
    /// Paths that were allowed for this query; empty means all.
    pub candidates: Vec<String>,
    /// The logging policy's name.
    pub policy_id: Option<String>,
    /// Whether the logger deviated from its rules to explore.
    pub explored: Option<bool>,
    /// Tool that the path used.
    pub tool_name: Option<String>,
    /// The logger's own confidence, in [0, 1].
    pub confidence: Option<f64>,
    /// Kind of query: stage 1's type, else `query_features.query_type` or `.category`.
    pub query_type: Option<String>,
    /// Stage 1's complexity: simple, medium, complex.
    pub complexity: Option<String>,
    /// Whether the path succeeded; `None` while pending.
    pub success: Option<bool>,
    /// Time to the outcome, in milliseconds.
    pub latency_ms: Option<f64>,
    /// The error the path ended with.
    pub error: Option<String>,
    /// Time spent in the tool, in milliseconds.
    pub tool_execution_time_ms: Option<f64>,
    /// Number of model calls.
    pub llm_calls: Option<i64>,
    /// Cost in US dollars.
    pub cost: Option<f64>,
    /// What the user said: `positive`, `negative`, ….
    pub user_feedback: Option<String>,
    /// Length of the answer, in the logger's unit.
    pub response_length: Option<i64>,
    /// Whether a hallucination was found.
    pub hallucination_detected: Option<bool>,
    /// Rated quality, in [0, 1].
    pub quality_score: Option<f64>,
    /// The path a reviewer would have chosen.
    pub optimal_path: Option<String>,
    /// Every further scalar of the log by dotted key: `query_features.length`, `context.system_mode`, ….
    pub extras: BTreeMap<String, Scalar>,
}

/// A value of the log that has no column of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// True or false.
    Bool(bool),
    /// A finite number.
    Number(f64),
    /// Text, such as a mode or a category.
    Text(String),
    /// Several texts, such as keywords.
    List(Vec<String>),
}

/// One attempted layer of a routing cascade.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerAttempt {
    /// The decision it belongs to ([`Decision::trace_id`]).
    pub trace_id: String,
    /// When the decision was made.
    pub timestamp: Timestamp,
    /// Position in the cascade, from 1.
    pub layer_id: i64,
    /// Name of the layer.
    pub layer_name: String,
    /// Whether the layer's answer was taken.
    pub success: Option<bool>,
    /// The layer's confidence, in [0, 1].
    pub confidence: f64,
    /// Threshold that confidence was compared with.
    pub threshold: Option<f64>,
    /// The path the layer would have taken.
    pub selected_path: Option<String>,
    /// Time spent in the layer, in milliseconds.
    pub latency_ms: Option<f64>,
    /// What served the layer: a backend.
    pub backend: Option<String>,
    /// Whether a cache answered.
    pub cache_hit: Option<bool>,
}
