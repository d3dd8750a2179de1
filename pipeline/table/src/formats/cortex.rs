//! `cortex`: events of a routing cascade of any depth (`performance.jsonl`).

mod check;

use std::borrow::Cow;

use routewright_domain::{BACKEND, CACHE_HIT, WAS_RIGHT};

use super::Format;
use super::fields::{NOT_NEGATIVE, SHARE, count, flag, name, number, object, record, required, text, timestamp, wrong_type};
use crate::draft::{Draft, Extras, LayerDraft};
use crate::json::Json;
use crate::reason::{Reason, Rejection};

pub(super) const FORMAT: Format = Format {
    name: "cortex",
    summary: "cascade events: one decision per event, one row per attempted layer",
    sniff: has_shape,
    check: Some(check::check),
    parse,
};

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
struct Outcome<'a> {
    completed: Option<bool>,
    status: Option<Cow<'a, str>>,
    correct: Option<bool>,
    corrected_to: Option<Cow<'a, str>>,
}

/// The selected master is path and static path: the cascade's rules chose it. Its scores never become propensities.
fn parse<'a>(value: &Json<'a>, draft: &mut Draft<'a>) -> Result<(), Rejection> {
    let (mut event_id, mut time, mut query, mut decided, mut latency, mut layers) = (None, None, None, None, None, None);
    let mut outcome = Outcome::default();
    for (key, value) in record(value)? {
        match *key {
            "event_id" => event_id = name("event_id", value)?,
            "timestamp" => time = timestamp("timestamp", value)?,
            "task_description" => query = text("task_description", value)?,
            "task_metadata" => take_metadata(value, draft)?,
            "routing_layers" => layers = Some(value),
            "final_decision" => decided = Some(value),
            "total_latency_ms" => latency = number("total_latency_ms", value, NOT_NEGATIVE)?,
            "outcome" => outcome = take_outcome(value, draft)?,
            "learning_feedback" => {
                for (key, value) in object("learning_feedback", value)? {
                    draft.extras.take("learning_feedback", key, value);
                }
            }
            other => draft.extras.take("log", other, value),
        }
    }
    draft.trace_id = required("event_id", event_id)?;
    draft.timestamp = required("timestamp", time)?;
    draft.query = required("task_description", query)?;
    draft.latency_ms = Some(required("total_latency_ms", latency)?);
    take_decision(required("final_decision", decided)?, draft)?;
    take_layers(required("routing_layers", layers)?, draft)?;
    draft.query_id = draft.trace_id.clone();
    draft.static_path = Some(draft.path.clone());
    draft.success = success(&outcome);
    draft.optimal_path = match (outcome.corrected_to, outcome.correct) {
        (Some(path), _) => Some(path),
        (None, Some(true)) => Some(draft.path.clone()),
        (None, _) => None,
    };
    Ok(())
}

/// Right master and task done; unknown while the task runs, or while neither is known to have failed.
fn success(outcome: &Outcome<'_>) -> Option<bool> {
    if matches!(outcome.status.as_deref(), Some("in_progress" | "unknown")) {
        return None;
    }
    match (outcome.correct, outcome.completed) {
        (Some(correct), Some(completed)) => Some(correct && completed),
        (Some(false), None) | (None, Some(false)) => Some(false),
        _ => None,
    }
}

fn take_metadata<'a>(value: &Json<'a>, draft: &mut Draft<'a>) -> Result<(), Rejection> {
    for (key, value) in object("task_metadata", value)? {
        match *key {
            "user_id" => draft.user_id = text("task_metadata.user_id", value)?,
            other => draft.extras.take("task_metadata", other, value),
        }
    }
    Ok(())
}

fn take_decision<'a>(value: &Json<'a>, draft: &mut Draft<'a>) -> Result<(), Rejection> {
    let (mut path, mut confidence) = (None, None);
    for (key, value) in object("final_decision", value)? {
        match *key {
            "selected_master" => path = name("final_decision.selected_master", value)?,
            "confidence" => confidence = number("final_decision.confidence", value, SHARE)?,
            other => draft.extras.take("final_decision", other, value),
        }
    }
    draft.path = required("final_decision.selected_master", path)?;
    draft.confidence = Some(required("final_decision.confidence", confidence)?);
    Ok(())
}

fn take_outcome<'a>(value: &Json<'a>, draft: &mut Draft<'a>) -> Result<Outcome<'a>, Rejection> {
    let mut outcome = Outcome::default();
    for (key, value) in object("outcome", value)? {
        match *key {
            "task_completed" => outcome.completed = flag("outcome.task_completed", value)?,
            "task_status" => outcome.status = take_status(value)?,
            "was_correct_master" => {
                outcome.correct = flag(WAS_RIGHT[0], value)?;
                // A wrong master that nobody corrected has no right path; that it was wrong is known all the same.
                draft.extras.take("outcome", key, value);
            }
            "user_corrected_to" => outcome.corrected_to = name("outcome.user_corrected_to", value)?,
            "quality_score" => draft.quality_score = number("outcome.quality_score", value, SHARE)?,
            other => draft.extras.take("outcome", other, value),
        }
    }
    Ok(outcome)
}

fn take_status<'a>(value: &Json<'a>) -> Result<Option<Cow<'a, str>>, Rejection> {
    let status = text("outcome.task_status", value)?;
    match status {
        Some(status) if !STATUSES.contains(&status.as_ref()) => Err(Rejection::new(
            Reason::WrongType,
            format!("`outcome.task_status` must be one of {}, found \"{status}\"", STATUSES.join(", ")),
        )),
        other => Ok(other),
    }
}

fn take_layers<'a>(value: &Json<'a>, draft: &mut Draft<'a>) -> Result<(), Rejection> {
    let Json::List(items) = value else { return Err(wrong_type("routing_layers", "a list", value)) };
    for (position, item) in items.iter().enumerate() {
        if let Some(layer) = take_layer(position, item, &mut draft.extras)? {
            draft.layers.push(layer);
        }
    }
    Ok(())
}

/// One layer, or nothing where it was not attempted.
fn take_layer<'a>(position: usize, value: &Json<'a>, extras: &mut Extras) -> Result<Option<LayerDraft<'a>>, Rejection> {
    let mut layer = LayerDraft::default();
    let (mut layer_id, mut layer_name, mut attempted, mut confidence) = (None, None, None, None);
    for (key, value) in object(format_args!("routing_layers[{position}]"), value)? {
        let dotted = format_args!("routing_layers[{position}].{key}");
        match *key {
            "layer_id" => layer_id = count(dotted, value)?,
            "layer_name" => layer_name = name(dotted, value)?,
            "attempted" => attempted = flag(dotted, value)?,
            "success" => layer.success = flag(dotted, value)?,
            "confidence" => confidence = number(dotted, value, SHARE)?,
            "threshold" => layer.threshold = number(dotted, value, SHARE)?,
            "selected_master" => layer.selected_path = text(dotted, value)?,
            "latency_ms" => layer.latency_ms = number(dotted, value, NOT_NEGATIVE)?,
            "metadata" => take_layer_metadata(value, &mut layer, extras),
            other => extras.ignore("routing_layers", other),
        }
    }
    let missing = |key: &'static str| format!("routing_layers[{position}].{key}");
    layer.layer_id = layer_id.ok_or_else(|| Rejection::missing(&missing("layer_id")))?;
    layer.layer_name = layer_name.ok_or_else(|| Rejection::missing(&missing("layer_name")))?;
    layer.confidence = confidence.ok_or_else(|| Rejection::missing(&missing("confidence")))?;
    let attempted = attempted.ok_or_else(|| Rejection::missing(&missing("attempted")))?;
    if layer.layer_id < 1 {
        let message = format!("`{}` must be 1 or more, found {}", missing("layer_id"), layer.layer_id);
        return Err(Rejection::new(Reason::NumberOutOfRange, message));
    }
    Ok(attempted.then_some(layer))
}

/// What served the layer, and whether a cache answered; the rest belongs to the layer and has no column.
fn take_layer_metadata<'a>(value: &Json<'a>, layer: &mut LayerDraft<'a>, extras: &mut Extras) {
    let Json::Object(pairs) = value else { return extras.ignore("routing_layers", "metadata") };
    for (key, value) in *pairs {
        match (*key, value) {
            (key, Json::Text(text)) if BACKEND.contains(&key) => layer.backend = Some(Cow::Borrowed(text)),
            (key, Json::Bool(hit)) if CACHE_HIT.contains(&key) => layer.cache_hit = Some(*hit),
            (other, _) => extras.ignore("routing_layers.metadata", other),
        }
    }
}

#[cfg(test)]
mod tests {
    use routewright_domain::{Decision, LayerAttempt};

    use super::*;
    use crate::formats::samples;
    use crate::json::tests::arena;

    fn parse_text(text: &str) -> Result<(Decision, Vec<LayerAttempt>), Rejection> {
        samples::parsed(&FORMAT, text)
    }

    #[test]
    fn an_event_gives_a_decision_and_its_attempted_layers() {
        let (decision, layers) = parse_text(samples::CORTEX).unwrap();
        assert_eq!(
            (decision.path.as_str(), decision.static_path.as_deref(), decision.optimal_path.as_deref()),
            ("cicd-master", Some("cicd-master"), Some("cicd-master"))
        );
        assert_eq!((decision.success, decision.latency_ms, decision.user_id.as_deref()), (Some(true), Some(41.0), Some("u7")));
        assert_eq!(decision.propensity, None);
        assert!(decision.propensities.is_empty());
        let layers: Vec<(i64, &str, Option<bool>)> =
            layers.iter().map(|layer| (layer.layer_id, layer.layer_name.as_str(), layer.success)).collect();
        assert_eq!(layers, [(1, "keyword", Some(false)), (2, "semantic", Some(true))]);
    }

    #[test]
    fn a_layer_says_what_served_it() {
        let served = samples::CORTEX.replace("\"metadata\":{}", r#""metadata":{"backend":"QDRANT","cache_hit":true,"k":[1]}"#);
        let (_, layers) = parse_text(&served).unwrap();
        assert_eq!((layers[0].backend.as_deref(), layers[0].cache_hit), (Some("QDRANT"), Some(true)));
        assert_eq!((layers[1].backend.as_deref(), layers[1].cache_hit), (None, None));
        let mut draft = Draft::default();
        parse(&Json::parse(&served, arena()).unwrap(), &mut draft).unwrap();
        draft.extras.settle();
        let ignored: Vec<&str> =
            draft.extras.keys.by_name().into_iter().filter(|(_, (_, key))| key.ignored > 0).map(|(name, _)| name).collect();
        assert_eq!(ignored, ["routing_layers.metadata.k"]);
    }

    #[test]
    fn a_cascade_may_be_deeper_than_the_seeds() {
        let deep = samples::CORTEX.replace("\"layer_id\":2", "\"layer_id\":17");
        assert_eq!(parse_text(&deep).unwrap().1[1].layer_id, 17);
        let none = samples::CORTEX.replace("\"layer_id\":2", "\"layer_id\":0");
        assert_eq!(parse_text(&none).unwrap_err().reason, Reason::NumberOutOfRange);
    }

    #[test]
    fn a_wrong_master_that_nobody_corrected_is_known_to_be_wrong() {
        let wrong = samples::CORTEX.replace("\"was_correct_master\":true", "\"was_correct_master\":false");
        let decision = parse_text(&wrong).unwrap().0;
        assert_eq!((decision.optimal_path, decision.extras.get(WAS_RIGHT[0])), (None, Some(&routewright_domain::Scalar::Bool(false))));
    }

    #[test]
    fn success_waits_for_the_task() {
        let with = |outcome: &str| {
            let start = samples::CORTEX.find("\"outcome\":").unwrap();
            let end = samples::CORTEX.find("\"learning_feedback\"").unwrap();
            let text = format!("{}\"outcome\":{outcome},{}", &samples::CORTEX[..start], &samples::CORTEX[end..]);
            parse_text(&text).map(|(decision, _)| (decision.success, decision.optimal_path))
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
