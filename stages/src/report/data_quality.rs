//! The report on the log itself: expectations, what was taken out, and keys that changed.

use routewright_table::{IngestReport, Status};

use super::document::{Block, Cell, Table, Words, quoted};

/// Most keys that are named.
const MAX_KEYS: usize = 10;

/// The chapter.
pub(super) fn blocks(ingest: &IngestReport) -> Vec<Block> {
    let mut blocks = vec![Block::Chapter("Quality of the log".to_owned())];
    if ingest.findings.is_empty() {
        blocks.push(Block::paragraph("Nothing is expected of the log in `[ingest.expect]`."));
    } else {
        let mut table = Table::of(&["expectation", "met?", "detail"]);
        for finding in &ingest.findings {
            let met = match finding.status {
                Status::Pass => "pass",
                Status::Warn => "**warn**",
                Status::Fail => "**fail**",
            };
            // Names in the detail come from the log, so that marks in it are not ours.
            table.row([Cell::name(&finding.name), Cell::text(met), Cell { words: Words::plain(finding.detail.clone()), sort: None }]);
        }
        blocks.push(Block::Table(table));
    }
    let redacted: Vec<String> = ingest.redacted.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if !redacted.is_empty() {
        blocks.push(Block::Paragraph(Words::plain(format!("Taken out before anything was written: {}.", redacted.join(", ")))));
    }
    for (title, keys) in [
        ("Keys whose values have several types, kept as text", ingest.type_conflicts.keys().collect::<Vec<_>>()),
        ("Keys without a column", ingest.ignored_keys.keys().collect()),
    ] {
        if keys.is_empty() {
            continue;
        }
        let named: Vec<String> = keys.iter().take(MAX_KEYS).map(|key| quoted(key)).collect();
        let more = if keys.len() > MAX_KEYS { format!(" and {} more", keys.len() - MAX_KEYS) } else { String::new() };
        blocks.push(Block::paragraph(&format!("{title}: {}{more}.", named.join(", "))));
    }
    blocks
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use routewright_table::Finding;

    use super::*;
    use crate::report::document::Document;
    use crate::report::markdown;

    fn text(ingest: &IngestReport) -> String {
        markdown::render(&Document { title: "t".to_owned(), blocks: blocks(ingest) }, "figures")
    }

    #[test]
    fn expectations_removals_and_keys_are_told() {
        let finding = |name: &str, status, detail: &str| Finding { name: name.to_owned(), status, detail: detail.to_owned() };
        let ingest = IngestReport {
            findings: vec![finding("volume", Status::Pass, "fine"), finding("unknown_paths", Status::Warn, "3 odd names")],
            redacted: BTreeMap::from([("emails".to_owned(), 2)]),
            ignored_keys: (0..12).map(|position| (format!("log.k{position:02}"), 1)).collect(),
            ..IngestReport::default()
        };
        let text = text(&ingest);
        assert!(text.contains("| `volume` | pass | fine |\n") && text.contains("| **warn** | 3 odd names |\n"), "{text}");
        assert!(text.contains("Taken out before anything was written: emails 2.\n"), "{text}");
        assert!(text.contains("`log.k09` and 2 more.\n") && !text.contains("several types"), "{text}");
    }

    #[test]
    fn nothing_expected_is_said() {
        assert!(text(&IngestReport::default()).contains("Nothing is expected"));
    }
}
