//! Routing outcomes with their propensities: the log that an honest comparison is made from.

use std::collections::BTreeMap;
use std::path::Path;

use routewright_domain::{Paths, Scalar};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::clock;
use super::journal::{Journal, LogSettings, TrackerError, amount, named, share};
use super::log_file::FileName;
use super::queue::LogCounts;
use crate::gateway::{GatewayDecision, Source};
use crate::request::Request;

/// End of the files' names; the day stands in front.
const FILE: &str = "routing-outcomes.jsonl";

/// How a path's execution went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Execution {
    /// Whether it succeeded; unknown while it runs.
    pub success: Option<bool>,
    /// How long it took, in milliseconds.
    pub latency_ms: Option<f64>,
    /// What went wrong.
    pub error: Option<String>,
    /// Of the latency, time spent in tools, in milliseconds.
    pub tool_execution_time_ms: Option<f64>,
    /// Calls of language models.
    pub llm_calls: Option<u32>,
    /// Cost in US dollars.
    pub cost: Option<f64>,
}

/// How good an answer was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quality {
    /// What the user said.
    pub user_feedback: Option<String>,
    /// Length of the answer.
    pub response_length: Option<u32>,
    /// Whether the answer was made up.
    pub hallucination_detected: Option<bool>,
    /// A grade in [0, 1].
    pub quality_score: Option<f64>,
    /// The path that would have been right, where somebody rated it.
    pub optimal_path: Option<String>,
}

/// A line of the log, before its outcome.
#[derive(Serialize)]
struct Line<'a> {
    trace_id: &'a str,
    timestamp: String,
    query: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    query_features: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    context: Map<String, Value>,
    routing_decision: Decided<'a>,
    /// Outside the decision, so that no feature is made of what an online router does not know beforehand.
    learned_path: Option<&'a str>,
    ab_test_group: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<bool>,
}

#[derive(Serialize)]
struct Decided<'a> {
    execution_path: &'a str,
    confidence: f64,
    #[serde(skip_serializing_if = "Stage1::is_empty")]
    stage_1_result: Stage1<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    static_path: Option<&'a str>,
    propensity: f64,
    propensities: BTreeMap<&'a str, f64>,
    policy_id: &'a str,
    explored: bool,
}

#[derive(Serialize)]
struct Stage1<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    query_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    complexity: Option<&'a str>,
}

impl Stage1<'_> {
    fn is_empty(&self) -> bool {
        self.query_type.is_none() && self.complexity.is_none()
    }
}

/// Logs decisions with the probability of each path, a file per day, and their outcomes when they are known; shared by threads.
#[derive(Debug)]
pub struct OutcomeLog(Journal);

impl OutcomeLog {
    /// Opens the day's file in a folder, which is made where it is not there.
    ///
    /// # Errors
    /// [`TrackerError`] for a folder that cannot be written.
    pub fn open(folder: &Path, settings: &LogSettings) -> Result<Self, TrackerError> {
        Journal::open(folder, FileName::Dated(FILE.to_owned()), "trace_id", settings).map(Self)
    }

    /// Logs a gateway's decision. `paths`: those of the router; `policy_id`: such as the artifact's digest.
    ///
    /// # Errors
    /// [`TrackerError`] for an empty identifier, a decision without a path, or a log that cannot be written.
    pub fn record(
        &self,
        trace_id: &str,
        request: &Request<'_>,
        paths: &Paths,
        decision: &GatewayDecision,
        policy_id: &str,
    ) -> Result<(), TrackerError> {
        let name = |arm| paths.name(arm);
        let path = decision.arm.map(name).or(request.static_path).unwrap_or_default();
        let propensities = paths.arms().zip(&decision.propensities).map(|(arm, &share)| (name(arm), share));
        let line = Line {
            trace_id: named("trace_id", trace_id)?,
            timestamp: clock::rfc3339(request.timestamp),
            query: request.query,
            session_id: request.session_id,
            query_features: group(request.extras, "query_features."),
            context: group(request.extras, "context."),
            routing_decision: Decided {
                execution_path: named("execution_path", path)?,
                confidence: share("confidence", decision.confidence)?,
                stage_1_result: Stage1 { query_type: request.query_type, complexity: request.complexity },
                static_path: request.static_path,
                propensity: decision.propensity,
                propensities: propensities.filter(|(_, share)| 0.0 < *share).collect(),
                policy_id,
                explored: matches!(decision.source, Source::Explored | Source::Randomised),
            },
            learned_path: decision.learned_arm.map(name),
            ab_test_group: decision.group.name(),
            fallback: decision.fell_back(),
        };
        self.0.append(trace_id, &line)
    }

    /// Adds what is known of a decision's execution, whenever it comes and whichever process logged the decision.
    ///
    /// # Errors
    /// [`TrackerError`] for a decision that the log does not have, or numbers out of range.
    pub fn record_outcome(&self, trace_id: &str, execution: &Execution, quality: &Quality) -> Result<(), TrackerError> {
        let amounts =
            [("latency_ms", execution.latency_ms), ("tool_execution_time_ms", execution.tool_execution_time_ms), ("cost", execution.cost)];
        for (name, number) in amounts {
            number.map_or(Ok(0.0), |number| amount(name, number))?;
        }
        quality.quality_score.map_or(Ok(0.0), |score| share("quality_score", score))?;
        let (execution, quality) = (serde_json::to_value(execution)?, serde_json::to_value(quality)?);
        let change = |line: &mut Map<String, Value>| {
            line.insert("execution_outcome".to_owned(), execution);
            line.insert("quality_metrics".to_owned(), quality);
        };
        self.0.amend(trace_id, change).map(drop)
    }

    /// The last decisions of the log, the oldest first, each as it was last written.
    ///
    /// # Errors
    /// [`TrackerError`] for a log that cannot be read.
    pub fn recent(&self, limit: usize) -> Result<Vec<Map<String, Value>>, TrackerError> {
        self.0.recent(limit)
    }

    /// Waits until everything handed over before is in the file.
    ///
    /// # Errors
    /// [`TrackerError`], the first since the last flush.
    pub fn flush(&self) -> Result<(), TrackerError> {
        self.0.flush()
    }

    /// Lines accepted, written and lost so far.
    pub fn counts(&self) -> LogCounts {
        self.0.counts()
    }
}

/// The extras of a group, their keys without the group. Numbers that JSON does not have are left out.
fn group(extras: &BTreeMap<String, Scalar>, prefix: &str) -> Map<String, Value> {
    let value = |scalar: &Scalar| match scalar {
        Scalar::Bool(flag) => Some(Value::from(*flag)),
        Scalar::Number(number) => serde_json::Number::from_f64(*number).map(Value::from),
        Scalar::Text(text) => Some(Value::from(text.as_str())),
        Scalar::List(texts) => Some(Value::from(texts.clone())),
    };
    extras.iter().filter_map(|(key, scalar)| Some((key.strip_prefix(prefix)?.to_owned(), value(scalar)?))).collect()
}
