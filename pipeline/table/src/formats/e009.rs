//! `e009`: routing outcomes, one object per decision (`YYYY-MM-DD-routing-outcomes.jsonl`).

use std::collections::BTreeMap;

use routewright_domain::{Propensity, Scalar};

use super::fields::{
    NOT_NEGATIVE, SHARE, count, flag, further, name, names, number, object, record, required, text, timestamp, wrong_type,
};
use super::{Format, Parsed, matrix};
use crate::json::Json;
use crate::reason::{Reason, Rejection};

pub(super) const FORMAT: Format = Format {
    name: "e009",
    summary: "routing outcomes: one decision per record with its outcome",
    sniff: |records| has_shape(records) && !matrix::repeats_queries(records),
    parse,
};

/// How far propensities may sum from 1: they are logged with few digits.
const SUM_TOLERANCE: f64 = 1e-3;

/// Whether every record looks like a routing outcome.
pub(super) fn has_shape(records: &[Json<'_>]) -> bool {
    let looks = |record: &Json<'_>| {
        let decides = matches!(record.get("routing_decision"), Some(Json::Object(_)));
        let asks = record.get("trace_id").is_some() && record.get("query").is_some();
        decides || asks
    };
    !records.is_empty() && records.iter().all(looks)
}

/// A record with `static_path` as FORMATS.md defaults it: what ran, unless that was exploration.
fn parse(value: &Json<'_>) -> Result<Parsed, Rejection> {
    let mut parsed = parse_as_logged(value)?;
    let decision = &mut parsed.decision;
    if decision.static_path.is_none() && decision.explored != Some(true) {
        decision.static_path = Some(decision.path.clone());
    }
    Ok(parsed)
}

/// A record with nothing defaulted but `query_id`.
pub(super) fn parse_as_logged(value: &Json<'_>) -> Result<Parsed, Rejection> {
    let mut parsed = Parsed::default();
    let (mut trace_id, mut time, mut query, mut query_id, mut routed) = (None, None, None, None, None);
    for (key, value) in record(value)? {
        match key.as_ref() {
            "trace_id" => trace_id = name("trace_id", value)?,
            "timestamp" => time = timestamp("timestamp", value)?,
            "query" => query = text("query", value)?,
            "query_id" => query_id = name("query_id", value)?,
            "session_id" => parsed.decision.session_id = text("session_id", value)?,
            "user_id" => parsed.decision.user_id = text("user_id", value)?,
            "query_features" => take_scalars("query_features", value, &mut parsed)?,
            "context" => take_scalars("context", value, &mut parsed)?,
            "routing_decision" => routed = Some(value),
            "execution_outcome" => take_outcome(value, &mut parsed)?,
            "quality_metrics" => take_quality(value, &mut parsed)?,
            other => further(format!("log.{other}"), value, &mut parsed.decision.extras, &mut parsed.ignored),
        }
    }
    parsed.decision.trace_id = required("trace_id", trace_id)?;
    parsed.decision.timestamp = required("timestamp", time)?;
    parsed.decision.query = required("query", query)?;
    take_routing(required("routing_decision", routed)?, &mut parsed)?;
    let decision = &mut parsed.decision;
    decision.query_id = query_id.unwrap_or_else(|| decision.trace_id.clone());
    if decision.query_type.is_none() {
        decision.query_type =
            ["query_features.query_type", "query_features.category"].iter().find_map(|key| match decision.extras.get(*key) {
                Some(Scalar::Text(text)) => Some(text.clone()),
                _ => None,
            });
    }
    Ok(parsed)
}

/// Takes an object of further scalars.
fn take_scalars(key: &str, value: &Json<'_>, parsed: &mut Parsed) -> Result<(), Rejection> {
    for (name, value) in object(key, value)? {
        further(format!("{key}.{name}"), value, &mut parsed.decision.extras, &mut parsed.ignored);
    }
    Ok(())
}

fn take_routing(value: &Json<'_>, parsed: &mut Parsed) -> Result<(), Rejection> {
    let (mut path, mut propensity) = (None, None);
    for (key, value) in object("routing_decision", value)? {
        let decision = &mut parsed.decision;
        match key.as_ref() {
            "execution_path" => path = name("routing_decision.execution_path", value)?,
            "tool_name" => decision.tool_name = text("routing_decision.tool_name", value)?,
            "confidence" => decision.confidence = number("routing_decision.confidence", value, SHARE)?,
            "static_path" => decision.static_path = name("routing_decision.static_path", value)?,
            "propensity" => propensity = take_propensity(value)?,
            "propensities" => decision.propensities = take_propensities(value)?,
            "candidates" => decision.candidates = names("routing_decision.candidates", value)?,
            "policy_id" => decision.policy_id = text("routing_decision.policy_id", value)?,
            "explored" => decision.explored = flag("routing_decision.explored", value)?,
            "stage_1_result" | "stage_2_result" | "stage_3_result" => take_stage(key, value, parsed)?,
            other => further(format!("routing_decision.{other}"), value, &mut decision.extras, &mut parsed.ignored),
        }
    }
    parsed.decision.path = required("routing_decision.execution_path", path)?;
    parsed.decision.propensity = agreed_propensity(&parsed.decision.path, propensity, &parsed.decision.propensities)?;
    Ok(())
}

/// One stage of the static router: stage 1's type and complexity have columns, the rest are further scalars.
fn take_stage(stage: &str, value: &Json<'_>, parsed: &mut Parsed) -> Result<(), Rejection> {
    let stage_key = format!("routing_decision.{stage}");
    for (key, value) in object(&stage_key, value)? {
        let dotted = format!("{stage_key}.{key}");
        match (stage, key.as_ref()) {
            ("stage_1_result", "query_type") => parsed.decision.query_type = text(&dotted, value)?,
            ("stage_1_result", "complexity") => parsed.decision.complexity = text(&dotted, value)?,
            (_, "confidence" | "confidence_score") => {
                if let Some(confidence) = number(&dotted, value, SHARE)? {
                    parsed.decision.extras.insert(dotted, Scalar::Number(confidence));
                }
            }
            _ => further(dotted, value, &mut parsed.decision.extras, &mut parsed.ignored),
        }
    }
    Ok(())
}

fn take_outcome(value: &Json<'_>, parsed: &mut Parsed) -> Result<(), Rejection> {
    for (key, value) in object("execution_outcome", value)? {
        let decision = &mut parsed.decision;
        match key.as_ref() {
            "success" => decision.success = flag("execution_outcome.success", value)?,
            "latency_ms" => decision.latency_ms = number("execution_outcome.latency_ms", value, NOT_NEGATIVE)?,
            "error" => decision.error = text("execution_outcome.error", value)?,
            "tool_execution_time_ms" => {
                decision.tool_execution_time_ms = number("execution_outcome.tool_execution_time_ms", value, NOT_NEGATIVE)?;
            }
            "llm_calls" => decision.llm_calls = count("execution_outcome.llm_calls", value)?,
            "cost" => decision.cost = number("execution_outcome.cost", value, NOT_NEGATIVE)?,
            other => further(format!("execution_outcome.{other}"), value, &mut decision.extras, &mut parsed.ignored),
        }
    }
    Ok(())
}

fn take_quality(value: &Json<'_>, parsed: &mut Parsed) -> Result<(), Rejection> {
    for (key, value) in object("quality_metrics", value)? {
        let decision = &mut parsed.decision;
        match key.as_ref() {
            "user_feedback" => decision.user_feedback = text("quality_metrics.user_feedback", value)?,
            "response_length" => decision.response_length = count("quality_metrics.response_length", value)?,
            "hallucination_detected" => decision.hallucination_detected = flag("quality_metrics.hallucination_detected", value)?,
            "quality_score" => decision.quality_score = number("quality_metrics.quality_score", value, SHARE)?,
            "optimal_path" => decision.optimal_path = name("quality_metrics.optimal_path", value)?,
            other => further(format!("quality_metrics.{other}"), value, &mut decision.extras, &mut parsed.ignored),
        }
    }
    Ok(())
}

fn take_propensity(value: &Json<'_>) -> Result<Option<Propensity>, Rejection> {
    let number = match value {
        Json::Null => return Ok(None),
        Json::Integer(value) => *value as f64,
        Json::Number(value) => *value,
        Json::Text(_) => return number("routing_decision.propensity", value, SHARE).map(|_| None),
        other => return Err(wrong_type("routing_decision.propensity", "a number", other)),
    };
    let propensity = Propensity::try_from(number).map_err(|_| {
        Rejection::new(Reason::PropensityOutOfRange, format!("`routing_decision.propensity` must lie in (0, 1], found {number}"))
    })?;
    Ok(Some(propensity))
}

fn take_propensities(value: &Json<'_>) -> Result<BTreeMap<String, f64>, Rejection> {
    let mut propensities = BTreeMap::new();
    for (path, value) in object("routing_decision.propensities", value)? {
        let key = format!("routing_decision.propensities.{path}");
        let number = match value {
            Json::Integer(value) => *value as f64,
            Json::Number(value) => *value,
            other => return Err(wrong_type(&key, "a number", other)),
        };
        if !(0.0..=1.0).contains(&number) {
            return Err(Rejection::new(Reason::PropensityOutOfRange, format!("`{key}` must lie in [0, 1], found {number}")));
        }
        propensities.insert(path.clone().into_owned(), number);
    }
    let sum: f64 = propensities.values().sum();
    if propensities.is_empty() || (sum - 1.0).abs() <= SUM_TOLERANCE {
        Ok(propensities)
    } else {
        Err(Rejection::new(Reason::PropensitiesSum, format!("`routing_decision.propensities` must sum to 1, found {sum}")))
    }
}

/// The propensity of the path that ran: the logged one, else its entry in the vector; where both are logged they must agree.
fn agreed_propensity(
    path: &str,
    logged: Option<Propensity>,
    propensities: &BTreeMap<String, f64>,
) -> Result<Option<Propensity>, Rejection> {
    if propensities.is_empty() {
        return Ok(logged);
    }
    let of_path = propensities.get(path).copied().unwrap_or(0.0);
    let Ok(entry) = Propensity::try_from(of_path) else {
        return Err(Rejection::new(
            Reason::PropensityOutOfRange,
            format!("`routing_decision.propensities` gives `{path}`, which ran, a probability of {of_path}"),
        ));
    };
    match logged {
        Some(logged) if (logged.get() - of_path).abs() > SUM_TOLERANCE => Err(Rejection::new(
            Reason::PropensityMismatch,
            format!("`routing_decision.propensity` is {}, `propensities` gives `{path}` {of_path}", logged.get()),
        )),
        Some(logged) => Ok(Some(logged)),
        None => Ok(Some(entry)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples;

    fn parse_text(text: &str) -> Result<Parsed, Rejection> {
        parse(&Json::parse(text).unwrap())
    }

    #[test]
    fn every_key_of_a_full_record_arrives() {
        let decision = parse_text(samples::E009).unwrap().decision;
        assert_eq!((decision.trace_id.as_str(), decision.query_id.as_str(), decision.path.as_str()), ("t-1", "q-1", "DIRECT_TOOL"));
        assert_eq!(decision.timestamp.0, 1_767_600_000_500_000);
        assert_eq!(decision.propensity.map(Propensity::get), Some(0.85));
        assert_eq!(
            (decision.success, decision.latency_ms, decision.llm_calls, decision.cost),
            (Some(true), Some(234.0), Some(0), Some(0.001))
        );
        assert_eq!((decision.query_type.as_deref(), decision.complexity.as_deref()), (Some("tool_direct"), Some("simple")));
        assert_eq!(decision.candidates, ["DIRECT_TOOL", "REASONING"]);
        assert_eq!((decision.user_feedback.as_deref(), decision.quality_score), (Some("positive"), Some(0.8)));
        let keys: Vec<&str> = decision.extras.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "context.recent_error_rate",
                "context.system_mode",
                "query_features.has_code",
                "query_features.keywords",
                "query_features.length",
                "query_features.query_type",
                "routing_decision.stage_1_result.confidence",
                "routing_decision.stage_1_result.requires_tools",
                "routing_decision.stage_2_result.execution_path",
                "routing_decision.stage_2_result.rationale",
                "routing_decision.stage_3_result.concerns",
                "routing_decision.stage_3_result.is_valid",
            ]
        );
    }

    #[test]
    fn the_static_path_is_what_ran_unless_that_was_exploration() {
        let record = |explored: &str| {
            let text = format!(
                r#"{{"trace_id":"t","timestamp":"2026-01-01T00:00:00Z","query":"q","routing_decision":{{"execution_path":"A"{explored}}}}}"#
            );
            parse_text(&text).unwrap().decision
        };
        assert_eq!(record("").static_path.as_deref(), Some("A"));
        assert_eq!(record(r#","explored":true"#).static_path, None);
        assert_eq!(record("").query_id, "t");
        assert_eq!(record("").success, None);
    }

    #[test]
    fn the_propensity_may_come_from_the_vector() {
        let text = samples::E009.replace("\"propensity\":0.85,", "");
        assert_eq!(parse_text(&text).unwrap().decision.propensity.map(Propensity::get), Some(0.85));
    }
}
