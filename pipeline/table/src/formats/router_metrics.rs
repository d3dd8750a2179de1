//! `router-metrics`: the A/B gateway's log (`ml-router-metrics.jsonl`).
//!
//! It carries no query text: a row becomes a decision with an empty query whose `query_id` is the task, so that it can be joined with a
//! log that has the text; its `trace_id` is its own, since that log may use the task as its id. The group stays a further scalar
//! (`log.ab_test_group`): its share of the traffic is a property of the whole log and not of a row.

use std::borrow::Cow;

use super::Format;
use super::fields::{SHARE, name, number, record, required, text, timestamp};
use crate::draft::Draft;
use crate::json::Json;
use crate::reason::{Reason, Rejection};

pub(super) const FORMAT: Format = Format {
    name: "router-metrics",
    summary: "A/B gateway: method, group and outcome per task, without query texts",
    sniff: has_shape,
    check: None,
    parse,
};

/// What the gateway's own ids begin with.
const ID_PREFIX: &str = "ab-test/";

/// What `method` may say.
const METHODS: &[&str] = &["rule-based", "ml"];
/// What `ab_test_group` may say.
const GROUPS: &[&str] = &["control", "treatment"];

fn has_shape(records: &[Json<'_>]) -> bool {
    let looks = |record: &Json<'_>| {
        record.get("ab_test_group").is_some()
            && record.get("task_id").is_some()
            && record.get("routing_layers").is_none()
            && record.get("routing_decision").is_none()
    };
    !records.is_empty() && records.iter().all(looks)
}

fn parse<'a>(value: &Json<'a>, draft: &mut Draft<'a>) -> Result<(), Rejection> {
    let (mut task_id, mut time, mut method, mut path, mut group) = (None, None, None, None, None);
    for (key, value) in record(value)? {
        match *key {
            "timestamp" => time = timestamp("timestamp", value)?,
            "task_id" => task_id = name("task_id", value)?,
            "method" => method = one_of("method", value, METHODS)?,
            "selected_master" => path = name("selected_master", value)?,
            "confidence" => draft.confidence = number("confidence", value, SHARE)?,
            "ab_test_group" => group = one_of("ab_test_group", value, GROUPS)?,
            "outcome" => draft.success = one_of("outcome", value, &["completed", "failed"])?.map(|outcome| outcome == "completed"),
            other => draft.extras.take("log", other, value),
        }
    }
    draft.query_id = required("task_id", task_id)?;
    draft.trace_id = Cow::Owned(format!("{ID_PREFIX}{}", draft.query_id));
    draft.timestamp = required("timestamp", time)?;
    draft.path = required("selected_master", path)?;
    let method = required("method", method)?;
    if method == "rule-based" {
        draft.static_path = Some(draft.path.clone());
    }
    draft.policy_id = Some(method);
    draft.extras.take_text("log", "ab_test_group", &required("ab_test_group", group)?);
    Ok(())
}

fn one_of<'a>(key: &str, value: &Json<'a>, allowed: &[&str]) -> Result<Option<Cow<'a, str>>, Rejection> {
    match text(key, value)? {
        Some(word) if !allowed.contains(&word.as_ref()) => {
            Err(Rejection::new(Reason::WrongType, format!("`{key}` must be one of {}, found \"{word}\"", allowed.join(", "))))
        }
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use routewright_domain::Scalar;

    use super::*;
    use crate::formats::samples;

    #[test]
    fn a_task_is_a_decision_without_a_query() {
        let decision = samples::decision(&FORMAT, samples::ROUTER_METRICS).unwrap();
        assert_eq!((decision.trace_id.as_str(), decision.query.as_str(), decision.path.as_str()), ("ab-test/task-1", "", "cicd-master"));
        assert_eq!(decision.query_id, "task-1");
        assert_eq!((decision.policy_id.as_deref(), decision.success, decision.propensity), (Some("rule-based"), Some(true), None));
        assert_eq!(decision.extras.get("log.ab_test_group"), Some(&Scalar::Text("control".into())));
    }
}
