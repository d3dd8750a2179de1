//! `router-metrics`: the A/B gateway's log (`ml-router-metrics.jsonl`).
//!
//! It carries no query text: a row becomes a decision with an empty query whose `query_id` is the task, so that it can be joined with a
//! log that has the text; its `trace_id` is its own, since that log may use the task as its id. The group stays a further scalar
//! (`log.ab_test_group`): its share of the traffic is a property of the whole log and not of a row.

use std::borrow::Cow;

use super::fields::{SHARE, required};
use super::{Field, Format, Reading, TOP, Take};
use crate::json::Json;
use crate::reason::Rejection;

pub(super) const FORMAT: Format = Format {
    name: "router-metrics",
    summary: "A/B gateway: method, group and outcome per task, without query texts",
    sniff: has_shape,
    schema: None,
    fields: FIELDS,
    finish,
};

/// What the gateway's own ids begin with.
const ID_PREFIX: &str = "ab-test/";

/// What `method` may say.
const METHODS: &[&str] = &[RULES, "ml"];
/// The method of the static rules.
const RULES: &str = "rule-based";
/// What `ab_test_group` may say.
const GROUPS: &[&str] = &["control", "treatment"];
/// What `outcome` may say.
const OUTCOMES: &[&str] = &[COMPLETED, "failed"];
/// The outcome of a success.
const COMPLETED: &str = "completed";

fn has_shape(records: &[Json<'_>]) -> bool {
    let looks = |record: &Json<'_>| {
        record.get("ab_test_group").is_some()
            && record.get("task_id").is_some()
            && record.get("routing_layers").is_none()
            && record.get("routing_decision").is_none()
    };
    !records.is_empty() && records.iter().all(looks)
}

/// The keys of a record.
const FIELDS: &[Field] = &[
    ("timestamp", Take::Time),
    ("task_id", Take::Name(|reading| &mut reading.query_id)),
    ("method", Take::OneOf(METHODS, |reading| &mut reading.method)),
    ("selected_master", Take::Name(|reading| &mut reading.path)),
    ("confidence", Take::Number(SHARE, |reading| &mut reading.draft.confidence)),
    ("ab_test_group", Take::OneOf(GROUPS, |reading| &mut reading.group)),
    ("outcome", Take::OneOf(OUTCOMES, |reading| &mut reading.outcome.status)),
];

fn finish(reading: &mut Reading<'_>) -> Result<(), Rejection> {
    let draft = &mut reading.draft;
    draft.query_id = required("task_id", reading.query_id.take())?;
    draft.trace_id = Cow::Owned([ID_PREFIX, &draft.query_id].concat());
    draft.timestamp = required("timestamp", reading.timestamp)?;
    draft.path = required("selected_master", reading.path.take())?;
    let method = required("method", reading.method.take())?;
    if method == RULES {
        draft.static_path = Some(draft.path.clone());
    }
    draft.policy_id = Some(method);
    draft.success = reading.outcome.status.take().map(|status| status == COMPLETED);
    draft.extras.take_text(TOP, "ab_test_group", &required("ab_test_group", reading.group.take())?);
    Ok(())
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
