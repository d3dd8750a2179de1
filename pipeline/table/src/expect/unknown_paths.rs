//! Decisions on paths whose name says that nobody knows, or that differ from another only in spelling.

use std::collections::BTreeMap;

use super::{Finding, Subject, above, percent};

/// What loggers write where they do not know the path.
const NOBODY_KNOWS: &[&str] =
    &["unknown", "none", "null", "nil", "n/a", "na", "nan", "undefined", "unspecified", "other", "?", "-", "todo", "tbd", "default"];

pub(super) fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let counted = &subject.seen.paths;
    let n_rows: u64 = counted.values().sum();
    let mut spellings: BTreeMap<String, (&String, u64)> = BTreeMap::new();
    for (path, count) in counted {
        let usual = spellings.entry(plain(path)).or_insert((path, *count));
        if *count > usual.1 {
            *usual = (path, *count);
        }
    }
    let (mut n_unknown, mut words) = (0, Vec::new());
    for (path, count) in counted {
        let usual = spellings.get(&plain(path)).map_or(path, |usual| usual.0);
        if NOBODY_KNOWS.contains(&path.trim().to_lowercase().as_str()) {
            words.push(format!("`{path}` {count}"));
        } else if usual != path {
            words.push(format!("`{path}` {count}, which looks like `{usual}`"));
        } else {
            continue;
        }
        n_unknown += count;
    }
    let share = n_unknown as f64 / n_rows.max(1) as f64;
    let detail = if words.is_empty() {
        format!("{} paths, each with a name of its own", counted.len())
    } else {
        format!("{} of the decisions take paths that nobody knows: {}", percent(share), words.join("; "))
    };
    vec![Finding { name: "unknown_paths".to_owned(), status: above(share, subject.settings.unknown_paths), detail }]
}

/// A name without what people spell differently.
fn plain(path: &str) -> String {
    path.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
