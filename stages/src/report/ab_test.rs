//! The report on the randomised test of a gateway's log.

use super::document::{Block, Cell, Table, Words};
use crate::artifacts::AbTestReport;

/// The chapter; nothing where no log is a gateway's.
pub(super) fn blocks(report: &AbTestReport) -> Vec<Block> {
    if report.tasks == 0 {
        return Vec::new();
    }
    let paragraph = |text: String| Block::Paragraph(Words::plain(text));
    let mut blocks = vec![
        Block::Chapter("The randomised test".to_owned()),
        paragraph(format!(
            "Of {} tasks of the A/B gateway, {} are joined with a decision; {}.",
            report.tasks, report.joined, report.summary
        )),
    ];
    let Some(test) = report.test else { return blocks };
    let mut table = Table::of(&["group", "tasks #", "with an outcome #", "successes #"]);
    for (name, side) in [("control", test.control), ("treatment", test.treatment)] {
        table.row([Cell::text(name), Cell::count(side.tasks), Cell::count(side.decisions), Cell::count(side.successes)]);
    }
    blocks.push(Block::Table(table));
    let split =
        test.split_p_value.map_or_else(|| "no share was declared (explore.treatment_share)".to_owned(), |value| format!("p = {value:.4}"));
    blocks.push(paragraph(format!(
        "{:.1} % of the tasks are in treatment, split as declared: {split}; outcomes missing alike: p = {:.4}; {} tasks ran the other group's method and count where they were put. All days together: {:+.1} points, p = {:.4}.",
        100.0 * test.share,
        test.missing_p_value,
        report.crossed,
        100.0 * test.pooled.estimate.value,
        test.pooled.p_value
    )));
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_without_a_gateway_has_no_chapter() {
        assert!(blocks(&AbTestReport::default()).is_empty());
        let report = AbTestReport { tasks: 2, summary: "no day has both".to_owned(), ..AbTestReport::default() };
        assert_eq!(blocks(&report).len(), 2);
    }
}
