//! Columns of costs that are all zero: they were logged and never computed.

use super::seen::Wanted;
use super::{ExpectSettings, Finding, Severity, Subject, number_columns, severity};
use crate::decisions::Decisions;

pub(super) fn ask<'a>(settings: &'a ExpectSettings, newest: &'a Decisions, wanted: &mut Wanted<'a>) {
    if settings.zero_cost != Severity::Off {
        for column in columns(newest) {
            wanted.numbers.entry(column).or_default();
        }
    }
}

pub(super) fn find(subject: &Subject<'_>) -> Vec<Finding> {
    if subject.settings.zero_cost == Severity::Off {
        return Vec::new();
    }
    let zero: Vec<String> = columns(subject.newest)
        .map(|column| (column, subject.seen.column(column)))
        .filter(|(_, seen)| seen.n_numbers >= subject.settings.min_rows && seen.largest() == 0.0)
        .map(|(column, _)| format!("every `{column}` is 0"))
        .collect();
    let detail = if zero.is_empty() { "no column of costs is all zero".to_owned() } else { zero.join("; ") };
    let status = severity(!zero.is_empty(), subject.settings.zero_cost);
    vec![Finding { name: "zero_cost".to_owned(), status, detail }]
}

fn columns(newest: &Decisions) -> impl Iterator<Item = &str> {
    number_columns(newest, &["cost"], |name| name == "cost" || name.ends_with("_cost") || name.starts_with("cost_")).into_iter()
}
