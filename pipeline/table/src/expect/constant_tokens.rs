//! Columns of token counts whose values are all equal: a default that somebody forgot to fill.

use super::seen::Wanted;
use super::{ExpectSettings, Finding, Severity, Subject, number_columns, severity};
use crate::decisions::Decisions;

pub(super) fn ask<'a>(settings: &'a ExpectSettings, newest: &'a Decisions, wanted: &mut Wanted<'a>) {
    if settings.constant_tokens != Severity::Off {
        for column in columns(newest) {
            wanted.numbers.entry(column).or_default();
        }
    }
}

pub(super) fn find(subject: &Subject<'_>) -> Vec<Finding> {
    if subject.settings.constant_tokens == Severity::Off {
        return Vec::new();
    }
    let constant: Vec<String> = columns(subject.newest)
        .map(|column| (column, subject.seen.column(column)))
        .filter(|(_, seen)| seen.n_numbers >= subject.settings.min_rows && seen.min == seen.max)
        .map(|(column, seen)| format!("`{column}` is always {}", seen.min))
        .collect();
    let detail = if constant.is_empty() { "no column of token counts is constant".to_owned() } else { constant.join("; ") };
    let status = severity(!constant.is_empty(), subject.settings.constant_tokens);
    vec![Finding { name: "constant_tokens".to_owned(), status, detail }]
}

fn columns(newest: &Decisions) -> impl Iterator<Item = &str> {
    number_columns(newest, &["response_length"], |name| name.contains("token")).into_iter()
}
