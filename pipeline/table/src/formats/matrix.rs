//! `matrix`: full information, the e009 object with many rows per query, one for every path that ran.

use std::collections::BTreeMap;

use super::{Field, Format, Take, e009};
use crate::json::Json;
use crate::reason::{REASONS, Reason, Rejection};
use crate::wide::FAULT;

/// Rows name no static path unless it is logged: that a path ran says nothing about what the rules would have chosen.
pub(super) const FORMAT: Format = Format {
    name: "matrix",
    summary: "full information: the e009 object, one row per query and path",
    sniff: |records| e009::has_shape(records) && repeats_queries(records),
    schema: None,
    fields: &FIELDS,
    finish: e009::finish_as_logged,
};

/// The keys of a record, and the one that stands in its place where a row of a wide table was none.
const FIELDS: [Field; 1 + e009::FIELDS.len()] = {
    let mut fields = [(FAULT, Take::Value(|_, value| Err(fault(value)))); 1 + e009::FIELDS.len()];
    let mut at = 0;
    while at < e009::FIELDS.len() {
        fields[1 + at] = e009::FIELDS[at];
        at += 1;
    }
    fields
};

/// Why a row of a wide table is no record.
fn fault(value: &Json<'_>) -> Rejection {
    let code = value.get_text("code").unwrap_or_default();
    let entry = REASONS.iter().find(|entry| entry.code == code);
    Rejection::new(entry.map_or(Reason::UnknownFormat, |entry| entry.reason), value.get_text("message").unwrap_or_default())
}

/// Whether one `query_id` stands in two records with different paths.
pub(super) fn repeats_queries(records: &[Json<'_>]) -> bool {
    let mut paths = BTreeMap::new();
    records.iter().any(|record| {
        let path = record.get("routing_decision").and_then(|decision| decision.get_text("execution_path"));
        let query = record.get_text("query_id");
        match (query, path) {
            (Some(query), Some(path)) => *paths.entry(query).or_insert(path) != path,
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_static_path_is_made_up() {
        let text =
            r#"{"trace_id":"t","timestamp":"2026-01-01T00:00:00Z","query":"q","query_id":"1","routing_decision":{"execution_path":"A"}}"#;
        assert_eq!(crate::formats::samples::decision(&FORMAT, text).unwrap().static_path, None);
    }
}
