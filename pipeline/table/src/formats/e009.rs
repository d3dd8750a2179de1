//! `e009`: routing outcomes, one object per decision (`YYYY-MM-DD-routing-outcomes.jsonl`).

use std::borrow::Cow;

use routewright_domain::Propensity;

use super::fields::{NOT_NEGATIVE, SHARE, count, flag, name, names, number, object, record, required, text, timestamp, wrong_type};
use super::{Format, matrix};
use crate::draft::{Draft, Propensities};
use crate::json::Json;
use crate::reason::{Reason, Rejection};

pub(super) const FORMAT: Format = Format {
    name: "e009",
    summary: "routing outcomes: one decision per record with its outcome",
    sniff: |records| has_shape(records) && !matrix::repeats_queries(records),
    check: None,
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
fn parse<'a>(value: &Json<'a>, draft: &mut Draft<'a>) -> Result<(), Rejection> {
    parse_as_logged(value, draft)?;
    if draft.static_path.is_none() && draft.explored != Some(true) {
        draft.static_path = Some(draft.path.clone());
    }
    Ok(())
}

/// A record with nothing defaulted but `query_id`.
pub(super) fn parse_as_logged<'a>(value: &Json<'a>, draft: &mut Draft<'a>) -> Result<(), Rejection> {
    let (mut trace_id, mut time, mut query, mut query_id, mut routed) = (None, None, None, None, None);
    let mut logged_type = LoggedType::default();
    for (key, value) in record(value)? {
        match *key {
            "trace_id" => trace_id = name("trace_id", value)?,
            "timestamp" => time = timestamp("timestamp", value)?,
            "query" => query = text("query", value)?,
            "query_id" => query_id = name("query_id", value)?,
            "session_id" => draft.session_id = text("session_id", value)?,
            "user_id" => draft.user_id = text("user_id", value)?,
            "query_features" => take_features(value, draft, &mut logged_type)?,
            "context" => {
                for (name, value) in object("context", value)? {
                    draft.extras.take("context", name, value);
                }
            }
            "routing_decision" => routed = Some(value),
            "execution_outcome" => take_outcome(value, draft)?,
            "quality_metrics" => take_quality(value, draft)?,
            other => draft.extras.take("log", other, value),
        }
    }
    draft.trace_id = required("trace_id", trace_id)?;
    draft.timestamp = required("timestamp", time)?;
    draft.query = required("query", query)?;
    take_routing(required("routing_decision", routed)?, draft)?;
    draft.query_id = query_id.unwrap_or_else(|| draft.trace_id.clone());
    if draft.query_type.is_none() {
        draft.query_type = logged_type.query_type.or(logged_type.category);
    }
    Ok(())
}

/// The kind of query among its features, for logs whose stage 1 says none.
#[derive(Default)]
struct LoggedType<'a> {
    query_type: Option<Cow<'a, str>>,
    category: Option<Cow<'a, str>>,
}

fn take_features<'a>(value: &Json<'a>, draft: &mut Draft<'a>, logged: &mut LoggedType<'a>) -> Result<(), Rejection> {
    for (name, value) in object("query_features", value)? {
        let slot = match *name {
            "query_type" => Some(&mut logged.query_type),
            "category" => Some(&mut logged.category),
            _ => None,
        };
        match (slot, value) {
            (_, Json::Null) | (None, _) => {}
            (Some(slot), Json::Text(text)) => *slot = Some(Cow::Borrowed(text)),
            (Some(slot), _) => *slot = None,
        }
        draft.extras.take("query_features", name, value);
    }
    Ok(())
}

fn take_routing<'a>(value: &Json<'a>, draft: &mut Draft<'a>) -> Result<(), Rejection> {
    let (mut path, mut propensity) = (None, None);
    for (key, value) in object("routing_decision", value)? {
        match *key {
            "execution_path" => path = name("routing_decision.execution_path", value)?,
            "tool_name" => draft.tool_name = text("routing_decision.tool_name", value)?,
            "confidence" => draft.confidence = number("routing_decision.confidence", value, SHARE)?,
            "static_path" => draft.static_path = name("routing_decision.static_path", value)?,
            "propensity" => propensity = take_propensity(value)?,
            "propensities" => take_propensities(value, &mut draft.propensities)?,
            "candidates" => names("routing_decision.candidates", value, &mut draft.candidates)?,
            "policy_id" => draft.policy_id = text("routing_decision.policy_id", value)?,
            "explored" => draft.explored = flag("routing_decision.explored", value)?,
            "stage_1_result" => take_stage("routing_decision.stage_1_result", value, draft)?,
            "stage_2_result" => take_stage("routing_decision.stage_2_result", value, draft)?,
            "stage_3_result" => take_stage("routing_decision.stage_3_result", value, draft)?,
            other => draft.extras.take("routing_decision", other, value),
        }
    }
    draft.path = required("routing_decision.execution_path", path)?;
    draft.propensity = agreed_propensity(&draft.path, propensity, &draft.propensities)?;
    Ok(())
}

/// One stage of the static router: stage 1's type and complexity have columns, the rest are further scalars.
fn take_stage<'a>(stage: &str, value: &Json<'a>, draft: &mut Draft<'a>) -> Result<(), Rejection> {
    let is_first = stage.ends_with("stage_1_result");
    for (key, value) in object(stage, value)? {
        let dotted = format_args!("{stage}.{key}");
        match *key {
            "query_type" if is_first => draft.query_type = text(dotted, value)?,
            "complexity" if is_first => draft.complexity = text(dotted, value)?,
            "confidence" | "confidence_score" => {
                if let Some(confidence) = number(dotted, value, SHARE)? {
                    draft.extras.take_number(stage, key, confidence);
                }
            }
            _ => draft.extras.take(stage, key, value),
        }
    }
    Ok(())
}

fn take_outcome<'a>(value: &Json<'a>, draft: &mut Draft<'a>) -> Result<(), Rejection> {
    for (key, value) in object("execution_outcome", value)? {
        match *key {
            "success" => draft.success = flag("execution_outcome.success", value)?,
            "latency_ms" => draft.latency_ms = number("execution_outcome.latency_ms", value, NOT_NEGATIVE)?,
            "error" => draft.error = text("execution_outcome.error", value)?,
            "tool_execution_time_ms" => {
                draft.tool_execution_time_ms = number("execution_outcome.tool_execution_time_ms", value, NOT_NEGATIVE)?;
            }
            "llm_calls" => draft.llm_calls = count("execution_outcome.llm_calls", value)?,
            "cost" => draft.cost = number("execution_outcome.cost", value, NOT_NEGATIVE)?,
            other => draft.extras.take("execution_outcome", other, value),
        }
    }
    Ok(())
}

fn take_quality<'a>(value: &Json<'a>, draft: &mut Draft<'a>) -> Result<(), Rejection> {
    for (key, value) in object("quality_metrics", value)? {
        match *key {
            "user_feedback" => draft.user_feedback = text("quality_metrics.user_feedback", value)?,
            "response_length" => draft.response_length = count("quality_metrics.response_length", value)?,
            "hallucination_detected" => draft.hallucination_detected = flag("quality_metrics.hallucination_detected", value)?,
            "quality_score" => draft.quality_score = number("quality_metrics.quality_score", value, SHARE)?,
            "optimal_path" => draft.optimal_path = name("quality_metrics.optimal_path", value)?,
            other => draft.extras.take("quality_metrics", other, value),
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

fn take_propensities<'a>(value: &Json<'a>, propensities: &mut Propensities<'a>) -> Result<(), Rejection> {
    propensities.clear();
    for (path, value) in object("routing_decision.propensities", value)? {
        let key = format_args!("routing_decision.propensities.{path}");
        let number = match value {
            Json::Integer(value) => *value as f64,
            Json::Number(value) => *value,
            other => return Err(wrong_type(key, "a number", other)),
        };
        if !(0.0..=1.0).contains(&number) {
            return Err(Rejection::new(Reason::PropensityOutOfRange, format!("`{key}` must lie in [0, 1], found {number}")));
        }
        propensities.set(Cow::Borrowed(path), number);
    }
    let sum = propensities.sum();
    if propensities.is_empty() || (sum - 1.0).abs() <= SUM_TOLERANCE {
        Ok(())
    } else {
        Err(Rejection::new(Reason::PropensitiesSum, format!("`routing_decision.propensities` must sum to 1, found {sum}")))
    }
}

/// The propensity of the path that ran: the logged one, else its entry in the vector; where both are logged they must agree.
fn agreed_propensity(path: &str, logged: Option<Propensity>, propensities: &Propensities<'_>) -> Result<Option<Propensity>, Rejection> {
    if propensities.is_empty() {
        return Ok(logged);
    }
    let of_path = propensities.get(path).unwrap_or(0.0);
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
    use routewright_domain::Decision;

    use super::*;
    use crate::formats::samples;

    fn parse_text(text: &str) -> Result<Decision, Rejection> {
        samples::decision(&FORMAT, text)
    }

    #[test]
    fn every_key_of_a_full_record_arrives() {
        let decision = parse_text(samples::E009).unwrap();
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
            parse_text(&text).unwrap()
        };
        assert_eq!(record("").static_path.as_deref(), Some("A"));
        assert_eq!(record(r#","explored":true"#).static_path, None);
        assert_eq!(record("").query_id, "t");
        assert_eq!(record("").success, None);
    }

    #[test]
    fn the_propensity_may_come_from_the_vector() {
        let text = samples::E009.replace("\"propensity\":0.85,", "");
        assert_eq!(parse_text(&text).unwrap().propensity.map(Propensity::get), Some(0.85));
    }
}
