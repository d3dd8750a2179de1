//! `router-metrics`: the A/B gateway's log (`ml-router-metrics.jsonl`).
//!
//! It carries no query text: a row becomes a decision with an empty query whose `trace_id` is the task, so that it can be joined with a
//! log that has the text. The group stays a further scalar (`log.ab_test_group`): its share of the traffic is a property of the whole
//! log and not of a row.

use routewright_domain::Scalar;

use super::fields::{SHARE, further, name, number, record, required, text, timestamp};
use super::{Format, Parsed};
use crate::json::Json;
use crate::reason::{Reason, Rejection};

pub(super) const FORMAT: Format = Format {
    name: "router-metrics",
    summary: "A/B gateway: method, group and outcome per task, without query texts",
    sniff: has_shape,
    parse,
};

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

fn parse(value: &Json<'_>) -> Result<Parsed, Rejection> {
    let mut parsed = Parsed::default();
    let (mut task_id, mut time, mut method, mut path, mut group) = (None, None, None, None, None);
    for (key, value) in record(value)? {
        let decision = &mut parsed.decision;
        match key.as_ref() {
            "timestamp" => time = timestamp("timestamp", value)?,
            "task_id" => task_id = name("task_id", value)?,
            "method" => method = one_of("method", value, METHODS)?,
            "selected_master" => path = name("selected_master", value)?,
            "confidence" => decision.confidence = number("confidence", value, SHARE)?,
            "ab_test_group" => group = one_of("ab_test_group", value, GROUPS)?,
            "outcome" => decision.success = one_of("outcome", value, &["completed", "failed"])?.map(|outcome| outcome == "completed"),
            other => further(format!("log.{other}"), value, &mut decision.extras, &mut parsed.ignored),
        }
    }
    let decision = &mut parsed.decision;
    decision.trace_id = required("task_id", task_id)?;
    decision.query_id.clone_from(&decision.trace_id);
    decision.timestamp = required("timestamp", time)?;
    decision.path = required("selected_master", path)?;
    let method = required("method", method)?;
    if method == "rule-based" {
        decision.static_path = Some(decision.path.clone());
    }
    decision.policy_id = Some(method);
    decision.extras.insert("log.ab_test_group".to_owned(), Scalar::Text(required("ab_test_group", group)?));
    Ok(parsed)
}

fn one_of(key: &str, value: &Json<'_>, allowed: &[&str]) -> Result<Option<String>, Rejection> {
    match text(key, value)? {
        Some(word) if !allowed.contains(&word.as_str()) => {
            Err(Rejection::new(Reason::WrongType, format!("`{key}` must be one of {}, found \"{word}\"", allowed.join(", "))))
        }
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples;

    #[test]
    fn a_task_is_a_decision_without_a_query() {
        let decision = parse(&Json::parse(samples::ROUTER_METRICS).unwrap()).unwrap().decision;
        assert_eq!((decision.trace_id.as_str(), decision.query.as_str(), decision.path.as_str()), ("task-1", "", "cicd-master"));
        assert_eq!((decision.policy_id.as_deref(), decision.success, decision.propensity), (Some("rule-based"), Some(true), None));
        assert_eq!(decision.extras.get("log.ab_test_group"), Some(&Scalar::Text("control".into())));
    }
}
