//! `e009`: routing outcomes, one object per decision (`YYYY-MM-DD-routing-outcomes.jsonl`).

use std::borrow::Cow;

use routewright_domain::Propensity;

use super::fields::{NOT_NEGATIVE, SHARE, number, object, required, wrong_type};
use super::reading::TextSlot;
use super::{Field, Format, Reading, Take, matrix};
use crate::draft::Propensities;
use crate::json::Json;
use crate::reason::{Reason, Rejection};

pub(super) const FORMAT: Format = Format {
    name: "e009",
    summary: "routing outcomes: one decision per record with its outcome",
    sniff: |records| has_shape(records) && !matrix::repeats_queries(records),
    schema: None,
    fields: &FIELDS,
    finish,
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

/// The keys of a record.
pub(super) const FIELDS: [Field; 11] = [
    ("trace_id", Take::Name(|reading| &mut reading.trace_id)),
    ("timestamp", Take::Time),
    ("query", Take::Text(|reading| &mut reading.query)),
    ("query_id", Take::Name(|reading| &mut reading.query_id)),
    ("session_id", Take::Text(|reading| &mut reading.draft.session_id)),
    ("user_id", Take::Text(|reading| &mut reading.draft.user_id)),
    ("query_features", Take::Object("query_features", FEATURES)),
    ("context", Take::Object("context", &[])),
    ("routing_decision", Take::Object("routing_decision", ROUTING)),
    ("execution_outcome", Take::Object("execution_outcome", OUTCOME)),
    ("quality_metrics", Take::Object("quality_metrics", QUALITY)),
];

/// The kind of query among its features, for logs whose stage 1 says none.
const FEATURES: &[Field] = &[
    ("query_type", Take::Value(|reading, value| take_kind("query_type", |reading| &mut reading.logged_type, reading, value))),
    ("category", Take::Value(|reading, value| take_kind("category", |reading| &mut reading.category, reading, value))),
];

const ROUTING: &[Field] = &[
    ("execution_path", Take::Name(|reading| &mut reading.path)),
    ("tool_name", Take::Text(|reading| &mut reading.draft.tool_name)),
    ("confidence", Take::Number(SHARE, |reading| &mut reading.draft.confidence)),
    ("static_path", Take::Name(|reading| &mut reading.draft.static_path)),
    ("propensity", Take::Value(take_propensity)),
    ("propensities", Take::Value(|reading, value| take_propensities(value, &mut reading.draft.propensities))),
    ("candidates", Take::Candidates),
    ("policy_id", Take::Text(|reading| &mut reading.draft.policy_id)),
    ("explored", Take::Flag(|reading| &mut reading.draft.explored)),
    ("stage_1_result", Take::Object(STAGE_1, STAGE_1_FIELDS)),
    ("stage_2_result", Take::Object(STAGE_2, STAGE_2_FIELDS)),
    ("stage_3_result", Take::Object(STAGE_3, STAGE_3_FIELDS)),
];

/// The stages of the static router: stage 1's type and complexity have columns, the rest are further scalars.
const STAGE_1: &str = "routing_decision.stage_1_result";
const STAGE_2: &str = "routing_decision.stage_2_result";
const STAGE_3: &str = "routing_decision.stage_3_result";

const STAGE_1_FIELDS: &[Field] = &[
    ("query_type", Take::Text(|reading| &mut reading.draft.query_type)),
    ("complexity", Take::Text(|reading| &mut reading.draft.complexity)),
    ("confidence", Take::Value(|reading, value| take_share(STAGE_1, "confidence", reading, value))),
    ("confidence_score", Take::Value(|reading, value| take_share(STAGE_1, "confidence_score", reading, value))),
];

const STAGE_2_FIELDS: &[Field] = &[
    ("confidence", Take::Value(|reading, value| take_share(STAGE_2, "confidence", reading, value))),
    ("confidence_score", Take::Value(|reading, value| take_share(STAGE_2, "confidence_score", reading, value))),
];

const STAGE_3_FIELDS: &[Field] = &[
    ("confidence", Take::Value(|reading, value| take_share(STAGE_3, "confidence", reading, value))),
    ("confidence_score", Take::Value(|reading, value| take_share(STAGE_3, "confidence_score", reading, value))),
];

const OUTCOME: &[Field] = &[
    ("success", Take::Flag(|reading| &mut reading.draft.success)),
    ("latency_ms", Take::Number(NOT_NEGATIVE, |reading| &mut reading.draft.latency_ms)),
    ("error", Take::Text(|reading| &mut reading.draft.error)),
    ("tool_execution_time_ms", Take::Number(NOT_NEGATIVE, |reading| &mut reading.draft.tool_execution_time_ms)),
    ("llm_calls", Take::Count(|reading| &mut reading.draft.llm_calls)),
    ("cost", Take::Number(NOT_NEGATIVE, |reading| &mut reading.draft.cost)),
];

const QUALITY: &[Field] = &[
    ("user_feedback", Take::Text(|reading| &mut reading.draft.user_feedback)),
    ("response_length", Take::Count(|reading| &mut reading.draft.response_length)),
    ("hallucination_detected", Take::Flag(|reading| &mut reading.draft.hallucination_detected)),
    ("quality_score", Take::Number(SHARE, |reading| &mut reading.draft.quality_score)),
    ("optimal_path", Take::Name(|reading| &mut reading.draft.optimal_path)),
];

/// A record with `static_path` as FORMATS.md defaults it: what ran, unless that was exploration.
fn finish(reading: &mut Reading<'_>) -> Result<(), Rejection> {
    finish_as_logged(reading)?;
    let draft = &mut reading.draft;
    if draft.static_path.is_none() && draft.explored != Some(true) {
        draft.static_path = Some(draft.path.clone());
    }
    Ok(())
}

/// A record with nothing defaulted but `query_id`.
pub(super) fn finish_as_logged(reading: &mut Reading<'_>) -> Result<(), Rejection> {
    let draft = &mut reading.draft;
    draft.trace_id = required("trace_id", reading.trace_id.take())?;
    draft.timestamp = required("timestamp", reading.timestamp)?;
    draft.query = required("query", reading.query.take())?;
    draft.path = required("routing_decision.execution_path", reading.path.take())?;
    draft.propensity = agreed_propensity(&draft.path, reading.propensity, &draft.propensities)?;
    draft.query_id = reading.query_id.take().unwrap_or_else(|| draft.trace_id.clone());
    if draft.query_type.is_none() {
        draft.query_type = reading.logged_type.take().or(reading.category.take());
    }
    Ok(())
}

/// Takes a kind of query among the features, which is a further scalar as well; what is no text says nothing of the kind.
fn take_kind<'a>(name: &str, slot: TextSlot, reading: &mut Reading<'a>, value: &Json<'a>) -> Result<(), Rejection> {
    match value {
        Json::Null => {}
        Json::Text(text) => *slot(reading) = Some(Cow::Borrowed(text)),
        _ => *slot(reading) = None,
    }
    reading.draft.extras.take("query_features", name, value);
    Ok(())
}

/// Takes a further scalar that must be a share.
fn take_share(stage: &str, name: &str, reading: &mut Reading<'_>, value: &Json<'_>) -> Result<(), Rejection> {
    if let Some(share) = number(format_args!("{stage}.{name}"), value, SHARE)? {
        reading.draft.extras.take_number(stage, name, share);
    }
    Ok(())
}

fn take_propensity(reading: &mut Reading<'_>, value: &Json<'_>) -> Result<(), Rejection> {
    reading.propensity = None;
    let number = match value {
        Json::Null => return Ok(()),
        Json::Integer(value) => *value as f64,
        Json::Number(value) => *value,
        Json::Text(_) => return number("routing_decision.propensity", value, SHARE).map(|_| ()),
        other => return Err(wrong_type("routing_decision.propensity", "a number", other)),
    };
    let propensity = Propensity::try_from(number).map_err(|_| {
        Rejection::new(Reason::PropensityOutOfRange, format!("`routing_decision.propensity` must lie in (0, 1], found {number}"))
    })?;
    reading.propensity = Some(propensity);
    Ok(())
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
