//! `cortex`: events of a routing cascade of any depth (`performance.jsonl`).

pub(super) mod check;

use std::borrow::Cow;

use routewright_domain::{BACKEND, CACHE_HIT, WAS_RIGHT};

use super::fields::{NOT_NEGATIVE, SHARE, flag, required};
use super::reading::Outcome;
use super::{Field, Format, LAYERS, Reading, Take};
use crate::json::Json;
use crate::reason::Rejection;

pub(super) const FORMAT: Format = Format {
    name: "cortex",
    summary: "cascade events: one decision per event, one row per attempted layer",
    sniff: has_shape,
    schema: Some(&check::EVENT),
    fields: FIELDS,
    finish,
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

/// The keys of an event.
const FIELDS: &[Field] = &[
    ("event_id", Take::Name(|reading| &mut reading.trace_id)),
    ("timestamp", Take::Time),
    ("task_description", Take::Text(|reading| &mut reading.query)),
    ("task_metadata", Take::Object("task_metadata", METADATA)),
    (LAYERS, Take::Layers(LAYER)),
    ("final_decision", Take::Object("final_decision", DECISION)),
    ("total_latency_ms", Take::Number(NOT_NEGATIVE, |reading| &mut reading.draft.latency_ms)),
    ("outcome", Take::Object("outcome", OUTCOME)),
    ("learning_feedback", Take::Object("learning_feedback", &[])),
];

const METADATA: &[Field] = &[("user_id", Take::Text(|reading| &mut reading.draft.user_id))];

const DECISION: &[Field] = &[
    ("selected_master", Take::Name(|reading| &mut reading.path)),
    ("confidence", Take::Number(SHARE, |reading| &mut reading.draft.confidence)),
];

const OUTCOME: &[Field] = &[
    ("task_completed", Take::Flag(|reading| &mut reading.outcome.completed)),
    ("task_status", Take::OneOf(STATUSES, |reading| &mut reading.outcome.status)),
    ("was_correct_master", Take::Value(take_correct)),
    ("user_corrected_to", Take::Name(|reading| &mut reading.outcome.corrected_to)),
    ("quality_score", Take::Number(SHARE, |reading| &mut reading.draft.quality_score)),
];

const LAYER: &[Field] = &[
    ("layer_id", Take::Count(|reading| &mut reading.layer.layer_id)),
    ("layer_name", Take::Name(|reading| &mut reading.layer.layer_name)),
    ("attempted", Take::Flag(|reading| &mut reading.layer.attempted)),
    ("success", Take::Flag(|reading| &mut reading.layer.draft.success)),
    ("confidence", Take::Number(SHARE, |reading| &mut reading.layer.confidence)),
    ("threshold", Take::Number(SHARE, |reading| &mut reading.layer.draft.threshold)),
    ("selected_master", Take::Text(|reading| &mut reading.layer.draft.selected_path)),
    ("latency_ms", Take::Number(NOT_NEGATIVE, |reading| &mut reading.layer.draft.latency_ms)),
    ("metadata", Take::Value(take_layer_metadata)),
];

/// The selected master is path and static path: the cascade's rules chose it. Its scores never become propensities.
fn finish(reading: &mut Reading<'_>) -> Result<(), Rejection> {
    let draft = &mut reading.draft;
    draft.trace_id = required("event_id", reading.trace_id.take())?;
    draft.timestamp = required("timestamp", reading.timestamp)?;
    draft.query = required("task_description", reading.query.take())?;
    required("total_latency_ms", draft.latency_ms)?;
    draft.path = required("final_decision.selected_master", reading.path.take())?;
    required("final_decision.confidence", draft.confidence)?;
    if !reading.has_layers {
        return Err(Rejection::missing(LAYERS));
    }
    draft.query_id = draft.trace_id.clone();
    draft.static_path = Some(draft.path.clone());
    let outcome = std::mem::take(&mut reading.outcome);
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

/// Takes whether the master was right: that a wrong one was wrong is known even where nobody named the right one.
fn take_correct(reading: &mut Reading<'_>, value: &Json<'_>) -> Result<(), Rejection> {
    reading.outcome.correct = flag(WAS_RIGHT[0], value)?;
    reading.draft.extras.take("outcome", "was_correct_master", value);
    Ok(())
}

/// Takes what served the layer, and whether a cache answered; the rest belongs to the layer and has no column.
fn take_layer_metadata<'a>(reading: &mut Reading<'a>, value: &Json<'a>) -> Result<(), Rejection> {
    let (layer, extras) = (&mut reading.layer.draft, &mut reading.draft.extras);
    let Json::Object(pairs) = value else {
        extras.ignore(LAYERS, "metadata");
        return Ok(());
    };
    for (key, value) in *pairs {
        match (*key, value) {
            (key, Json::Text(text)) if BACKEND.contains(&key) => layer.backend = Some(Cow::Borrowed(text)),
            (key, Json::Bool(hit)) if CACHE_HIT.contains(&key) => layer.cache_hit = Some(*hit),
            (other, _) => extras.ignore("routing_layers.metadata", other),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use routewright_domain::{Decision, LayerAttempt};

    use super::*;
    use crate::formats::samples;
    use crate::json::tests::arena;
    use crate::reason::Reason;

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
        let mut reading = Reading::default();
        FORMAT.read(&Json::parse(&served, arena()).unwrap(), &mut reading).unwrap();
        let mut draft = reading.draft;
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
