//! Decisions on paths that are not allowed.

use super::{Finding, Subject, above, percent};

pub(super) fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let settings = subject.settings;
    if settings.paths.is_empty() {
        return Vec::new();
    }
    let counted = &subject.seen.paths;
    let n_rows: u64 = counted.values().sum();
    let others: Vec<(&String, &u64)> = counted.iter().filter(|(path, _)| !settings.paths.contains(path)).collect();
    let share = others.iter().map(|(_, count)| **count).sum::<u64>() as f64 / n_rows.max(1) as f64;
    let names: Vec<String> = others.iter().map(|(path, count)| format!("`{path}` {count}")).collect();
    let detail = if names.is_empty() {
        format!("all decisions take one of the {} allowed paths", settings.paths.len())
    } else {
        format!("{} of the decisions take paths that are not allowed: {}", percent(share), names.join(", "))
    };
    vec![Finding { name: "other_paths".to_owned(), status: above(share, settings.other_paths), detail }]
}
