//! What a stage reads from outside the line: files, folders, and patterns of their names.

use std::path::Path;

use glob::{MatchOptions, Pattern, glob_with};

/// How names are compared: as they are written, and hidden files only where a pattern says so.
const OPTIONS: MatchOptions = MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// The files and folders that sources name, relative to the project where the source is: a pattern (`*`, `**`, `?`, `[…]`) stands for all that
/// it matches, in the order of their names. A source that is there as it is written is no pattern, and one that matches nothing stays as it is.
pub fn expand_sources(project: &Path, sources: &[String]) -> Vec<String> {
    let mut expanded = Vec::new();
    for source in sources {
        let matches = if project.join(source).exists() { Vec::new() } else { matches(project, source) };
        if matches.is_empty() {
            expanded.push(source.clone());
        }
        expanded.extend(matches);
    }
    expanded
}

fn matches(project: &Path, source: &str) -> Vec<String> {
    if !source.contains(['*', '?', '[']) {
        return Vec::new();
    }
    let is_absolute = Path::new(source).is_absolute();
    let pattern = if is_absolute {
        source.to_owned()
    } else {
        format!("{}/{source}", Pattern::escape(&project.to_string_lossy()).trim_end_matches('/'))
    };
    // A pattern that makes no sense matches nothing, and is then reported as the file that is not there.
    let Ok(paths) = glob_with(&pattern, OPTIONS) else { return Vec::new() };
    let name = |path: &Path| if is_absolute { path.to_owned() } else { path.strip_prefix(project).unwrap_or(path).to_owned() };
    paths.flatten().map(|path| name(&path).to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_what_they_match_in_order() {
        let project = tempfile::tempdir().unwrap();
        for name in ["raw/b.jsonl", "raw/a.jsonl", "raw/.hidden.jsonl", "raw/deep/c.jsonl", "raw/x[1].jsonl", "raw/notes.md"] {
            std::fs::create_dir_all(project.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(project.path().join(name), "").unwrap();
        }
        let expand =
            |sources: &[&str]| expand_sources(project.path(), &sources.iter().map(|source| (*source).to_owned()).collect::<Vec<_>>());
        assert_eq!(expand(&["raw/*.jsonl", "raw"]), ["raw/a.jsonl", "raw/b.jsonl", "raw/x[1].jsonl", "raw"]);
        assert_eq!(expand(&["raw/**/c.jsonl"]), ["raw/deep/c.jsonl"]);
        assert_eq!(expand(&["raw/x[1].jsonl"]), ["raw/x[1].jsonl"], "a file of that name is no pattern");
        assert_eq!(expand(&["none/*.jsonl", "raw/[", "none.jsonl"]), ["none/*.jsonl", "raw/[", "none.jsonl"]);
        let absolute = format!("{}/raw/?.jsonl", project.path().display());
        assert_eq!(expand(&[&absolute]), ["a", "b"].map(|name| format!("{}/raw/{name}.jsonl", project.path().display())));
    }
}
