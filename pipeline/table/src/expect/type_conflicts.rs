//! Keys whose values have several types; their columns are text.

use super::{Finding, Severity, Subject, severity};

/// Keys that are named; the rest is in the report.
const NAMED: usize = 5;

pub(super) fn find(subject: &Subject<'_>) -> Vec<Finding> {
    if subject.settings.type_conflicts == Severity::Off {
        return Vec::new();
    }
    let conflicts = &subject.report.type_conflicts;
    let words: Vec<String> = conflicts
        .iter()
        .take(NAMED)
        .map(|(key, seen)| {
            let kinds: Vec<String> = seen.iter().map(|(kind, count)| format!("{} {count}", kind.name())).collect();
            format!("`{key}` ({})", kinds.join(", "))
        })
        .collect();
    let detail = match conflicts.len() {
        0 => "every key has one type".to_owned(),
        n => format!("{n} keys with several types, kept as text: {}", words.join("; ")),
    };
    let status = severity(!conflicts.is_empty(), subject.settings.type_conflicts);
    vec![Finding { name: "type_conflicts".to_owned(), status, detail }]
}
