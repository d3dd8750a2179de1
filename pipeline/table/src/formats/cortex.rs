//! `cortex`: events of a routing cascade of any depth (`performance.jsonl`).

use routewright_domain::{BACKEND, CACHE_HIT, LayerAttempt, Scalar, WAS_RIGHT};

use super::fields::{NOT_NEGATIVE, SHARE, count, flag, further, name, number, object, record, required, text, timestamp, wrong_type};
use super::{Format, Parsed};
use crate::json::Json;
use crate::reason::{Reason, Rejection};

pub(super) const FORMAT: Format =
    Format { name: "cortex", summary: "cascade events: one decision per event, one row per attempted layer", sniff: has_shape, parse };

/// What `outcome.task_status` may say.
const STATUSES: &[&str] = &["completed", "failed", "in_progress", "unknown"];

fn has_shape(records: &[Json<'_>]) -> bool {
    let looks = |record: &Json<'_>| {
        let decides = record.get("final_decision").is_some() || record.get("routing_layers").is_some();
        decides && record.get("routing_decision").is_none()
    };
    !records.is_empty() && records.iter().all(looks)
}

/// What the outcome says, before it becomes success.
#[derive(Default)]
struct Outcome {
    completed: Option<bool>,
    status: Option<String>,
    correct: Option<bool>,
    corrected_to: Option<String>,
}

/// The selected master is path and static path: the cascade's rules chose it. Its scores never become propensities.
fn parse(value: &Json<'_>) -> Result<Parsed, Rejection> {
    let mut parsed = Parsed::default();
    let (mut event_id, mut time, mut query, mut decided, mut latency, mut layers) = (None, None, None, None, None, None);
    let mut outcome = Outcome::default();
    for (key, value) in record(value)? {
        match key.as_ref() {
            "event_id" => event_id = name("event_id", value)?,
            "timestamp" => time = timestamp("timestamp", value)?,
            "task_description" => query = text("task_description", value)?,
            "task_metadata" => take_metadata(value, &mut parsed)?,
            "routing_layers" => layers = Some(value),
            "final_decision" => decided = Some(value),
            "total_latency_ms" => latency = number("total_latency_ms", value, NOT_NEGATIVE)?,
            "outcome" => outcome = take_outcome(value, &mut parsed)?,
            "learning_feedback" => {
                object("learning_feedback", value)?;
                further("learning_feedback".to_owned(), value, &mut parsed.decision.extras, &mut parsed.ignored);
            }
            other => further(format!("log.{other}"), value, &mut parsed.decision.extras, &mut parsed.ignored),
        }
    }
    parsed.decision.trace_id = required("event_id", event_id)?;
    parsed.decision.timestamp = required("timestamp", time)?;
    parsed.decision.query = required("task_description", query)?;
    parsed.decision.latency_ms = Some(required("total_latency_ms", latency)?);
    take_decision(required("final_decision", decided)?, &mut parsed)?;
    take_layers(required("routing_layers", layers)?, &mut parsed)?;
    let decision = &mut parsed.decision;
    decision.query_id.clone_from(&decision.trace_id);
    decision.static_path = Some(decision.path.clone());
    decision.success = success(&outcome);
    decision.optimal_path = match (outcome.corrected_to, outcome.correct) {
        (Some(path), _) => Some(path),
        (None, Some(true)) => Some(decision.path.clone()),
        (None, _) => None,
    };
    Ok(parsed)
}

/// Right master and task done; unknown while the task runs, or while neither is known to have failed.
fn success(outcome: &Outcome) -> Option<bool> {
    if matches!(outcome.status.as_deref(), Some("in_progress" | "unknown")) {
        return None;
    }
    match (outcome.correct, outcome.completed) {
        (Some(correct), Some(completed)) => Some(correct && completed),
        (Some(false), None) | (None, Some(false)) => Some(false),
        _ => None,
    }
}

fn take_metadata(value: &Json<'_>, parsed: &mut Parsed) -> Result<(), Rejection> {
    for (key, value) in object("task_metadata", value)? {
        match key.as_ref() {
            "user_id" => parsed.decision.user_id = text("task_metadata.user_id", value)?,
            other => further(format!("task_metadata.{other}"), value, &mut parsed.decision.extras, &mut parsed.ignored),
        }
    }
    Ok(())
}

fn take_decision(value: &Json<'_>, parsed: &mut Parsed) -> Result<(), Rejection> {
    let (mut path, mut confidence) = (None, None);
    for (key, value) in object("final_decision", value)? {
        match key.as_ref() {
            "selected_master" => path = name("final_decision.selected_master", value)?,
            "confidence" => confidence = number("final_decision.confidence", value, SHARE)?,
            other => further(format!("final_decision.{other}"), value, &mut parsed.decision.extras, &mut parsed.ignored),
        }
    }
    parsed.decision.path = required("final_decision.selected_master", path)?;
    parsed.decision.confidence = Some(required("final_decision.confidence", confidence)?);
    Ok(())
}

fn take_outcome(value: &Json<'_>, parsed: &mut Parsed) -> Result<Outcome, Rejection> {
    let mut outcome = Outcome::default();
    for (key, value) in object("outcome", value)? {
        match key.as_ref() {
            "task_completed" => outcome.completed = flag("outcome.task_completed", value)?,
            "task_status" => outcome.status = take_status(value)?,
            "was_correct_master" => {
                outcome.correct = flag(WAS_RIGHT[0], value)?;
                // A wrong master that nobody corrected has no right path; that it was wrong is known all the same.
                if let Some(correct) = outcome.correct {
                    parsed.decision.extras.insert(WAS_RIGHT[0].to_owned(), Scalar::Bool(correct));
                }
            }
            "user_corrected_to" => outcome.corrected_to = name("outcome.user_corrected_to", value)?,
            "quality_score" => parsed.decision.quality_score = number("outcome.quality_score", value, SHARE)?,
            other => further(format!("outcome.{other}"), value, &mut parsed.decision.extras, &mut parsed.ignored),
        }
    }
    Ok(outcome)
}

fn take_status(value: &Json<'_>) -> Result<Option<String>, Rejection> {
    let status = text("outcome.task_status", value)?;
    match status {
        Some(status) if !STATUSES.contains(&status.as_str()) => Err(Rejection::new(
            Reason::WrongType,
            format!("`outcome.task_status` must be one of {}, found \"{status}\"", STATUSES.join(", ")),
        )),
        other => Ok(other),
    }
}

fn take_layers(value: &Json<'_>, parsed: &mut Parsed) -> Result<(), Rejection> {
    let Json::List(items) = value else { return Err(wrong_type("routing_layers", "a list", value)) };
    for (position, item) in items.iter().enumerate() {
        if let Some(mut layer) = take_layer(&format!("routing_layers[{position}]"), item, &mut parsed.ignored)? {
            layer.trace_id.clone_from(&parsed.decision.trace_id);
            layer.timestamp = parsed.decision.timestamp;
            parsed.layers.push(layer);
        }
    }
    Ok(())
}

/// One layer, or nothing where it was not attempted.
fn take_layer(prefix: &str, value: &Json<'_>, ignored: &mut Vec<String>) -> Result<Option<LayerAttempt>, Rejection> {
    let mut layer = LayerAttempt::default();
    let (mut layer_id, mut layer_name, mut attempted, mut confidence) = (None, None, None, None);
    for (key, value) in object(prefix, value)? {
        let dotted = || format!("{prefix}.{key}");
        match key.as_ref() {
            "layer_id" => layer_id = count(&dotted(), value)?,
            "layer_name" => layer_name = name(&dotted(), value)?,
            "attempted" => attempted = flag(&dotted(), value)?,
            "success" => layer.success = flag(&dotted(), value)?,
            "confidence" => confidence = number(&dotted(), value, SHARE)?,
            "threshold" => layer.threshold = number(&dotted(), value, SHARE)?,
            "selected_master" => layer.selected_path = text(&dotted(), value)?,
            "latency_ms" => layer.latency_ms = number(&dotted(), value, NOT_NEGATIVE)?,
            "metadata" => take_layer_metadata(value, &mut layer, ignored),
            other => ignored.push(format!("routing_layers.{other}")),
        }
    }
    let missing = |key: &str| format!("{prefix}.{key}");
    layer.layer_id = required(&missing("layer_id"), layer_id)?;
    layer.layer_name = required(&missing("layer_name"), layer_name)?;
    layer.confidence = required(&missing("confidence"), confidence)?;
    let attempted = required(&missing("attempted"), attempted)?;
    if layer.layer_id < 1 {
        return Err(Rejection::new(Reason::NumberOutOfRange, format!("`{prefix}.layer_id` must be 1 or more, found {}", layer.layer_id)));
    }
    Ok(attempted.then_some(layer))
}

/// What served the layer, and whether a cache answered; the rest belongs to the layer and has no column.
fn take_layer_metadata(value: &Json<'_>, layer: &mut LayerAttempt, ignored: &mut Vec<String>) {
    let Json::Object(pairs) = value else { return ignored.push("routing_layers.metadata".to_owned()) };
    for (key, value) in pairs {
        match (key.as_ref(), value) {
            (key, Json::Text(text)) if BACKEND.contains(&key) => layer.backend = Some(text.clone().into_owned()),
            (key, Json::Bool(hit)) if CACHE_HIT.contains(&key) => layer.cache_hit = Some(*hit),
            (other, _) => ignored.push(format!("routing_layers.metadata.{other}")),
        }
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
    fn an_event_gives_a_decision_and_its_attempted_layers() {
        let parsed = parse_text(samples::CORTEX).unwrap();
        let decision = &parsed.decision;
        assert_eq!(
            (decision.path.as_str(), decision.static_path.as_deref(), decision.optimal_path.as_deref()),
            ("cicd-master", Some("cicd-master"), Some("cicd-master"))
        );
        assert_eq!((decision.success, decision.latency_ms, decision.user_id.as_deref()), (Some(true), Some(41.0), Some("u7")));
        assert_eq!(decision.propensity, None);
        assert!(decision.propensities.is_empty());
        let layers: Vec<(i64, &str, Option<bool>)> =
            parsed.layers.iter().map(|layer| (layer.layer_id, layer.layer_name.as_str(), layer.success)).collect();
        assert_eq!(layers, [(1, "keyword", Some(false)), (2, "semantic", Some(true))]);
    }

    #[test]
    fn a_layer_says_what_served_it() {
        let served = samples::CORTEX.replace("\"metadata\":{}", r#""metadata":{"backend":"QDRANT","cache_hit":true,"k":[1]}"#);
        let parsed = parse_text(&served).unwrap();
        assert_eq!((parsed.layers[0].backend.as_deref(), parsed.layers[0].cache_hit), (Some("QDRANT"), Some(true)));
        assert_eq!((parsed.layers[1].backend.as_deref(), parsed.layers[1].cache_hit), (None, None));
        assert_eq!(parsed.ignored, ["routing_layers.metadata.k"]);
    }

    #[test]
    fn a_cascade_may_be_deeper_than_the_seeds() {
        let deep = samples::CORTEX.replace("\"layer_id\":2", "\"layer_id\":17");
        assert_eq!(parse_text(&deep).unwrap().layers[1].layer_id, 17);
        let none = samples::CORTEX.replace("\"layer_id\":2", "\"layer_id\":0");
        assert_eq!(parse_text(&none).unwrap_err().reason, Reason::NumberOutOfRange);
    }

    #[test]
    fn a_wrong_master_that_nobody_corrected_is_known_to_be_wrong() {
        let wrong = samples::CORTEX.replace("\"was_correct_master\":true", "\"was_correct_master\":false");
        let decision = parse_text(&wrong).unwrap().decision;
        assert_eq!((decision.optimal_path, decision.extras.get(WAS_RIGHT[0])), (None, Some(&Scalar::Bool(false))));
    }

    #[test]
    fn success_waits_for_the_task() {
        let with = |outcome: &str| {
            let start = samples::CORTEX.find("\"outcome\":").unwrap();
            let end = samples::CORTEX.find("\"learning_feedback\"").unwrap();
            let text = format!("{}\"outcome\":{outcome},{}", &samples::CORTEX[..start], &samples::CORTEX[end..]);
            parse_text(&text).map(|parsed| (parsed.decision.success, parsed.decision.optimal_path))
        };
        let cicd = Some("cicd-master".to_owned());
        let dev = Some("development-master".to_owned());
        assert_eq!(with(r#"{"task_completed":true,"task_status":"in_progress","was_correct_master":true}"#), Ok((None, cicd.clone())));
        assert_eq!(with(r#"{"task_completed":true,"task_status":"unknown","was_correct_master":null}"#), Ok((None, None)));
        assert_eq!(with(r#"{"task_completed":false,"task_status":"failed","was_correct_master":true}"#), Ok((Some(false), cicd)));
        assert_eq!(
            with(
                r#"{"task_completed":true,"task_status":"completed","was_correct_master":false,"user_corrected_to":"development-master"}"#
            ),
            Ok((Some(false), dev))
        );
        assert_eq!(with("null"), Ok((None, None)));
        assert_eq!(with(r#"{"task_status":"done"}"#).unwrap_err().reason, Reason::WrongType);
    }
}
