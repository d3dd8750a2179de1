//! The four questions of E-009's exploratory analysis (section 5.1), from `exploration.json`.

use std::collections::BTreeMap;

use routewright_table::{SuccessCell, SuccessCount, Summary};

use super::document::{Block, Cell, Table, quoted};
use super::format::{grouped, milliseconds, share};
use super::sources::Sources;

/// Fewest decisions of a query type before its static success rate is called anything.
const MIN_ROWS: u64 = 20;

/// How far below the overall rate a query type's static success must lie to count as failing, in standard errors.
const CLEAR: f64 = 3.0;

/// The chapter.
pub(super) fn blocks(sources: &Sources<'_>) -> Vec<Block> {
    let summary = sources.exploration;
    let mut blocks = vec![Block::Chapter("The four questions of the exploratory analysis".to_owned())];
    blocks.extend(correlations(summary));
    blocks.extend(failing_types(summary));
    blocks.extend(confusion(summary));
    blocks.extend(sources.figure("static_confusion", "Confusion matrix of the static router against the reviewers"));
    blocks.extend(best_paths(summary));
    blocks.extend(sources.figure("success_heatmap", "Success rate by query type and path"));
    blocks.extend(latencies(summary));
    blocks.extend(sources.figure("latency", "Latency by path"));
    blocks.push(Block::Section("Did it change over time?".to_owned()));
    blocks.extend(sources.figure("success_over_time", "Success rate by day"));
    blocks.extend(sources.figure("traffic_over_time", "Share of every path by day"));
    blocks
}

fn question(text: &str) -> Block {
    Block::Section(text.to_owned())
}

fn correlations(summary: &Summary) -> Vec<Block> {
    let mut found: Vec<_> = summary.correlations.iter().filter_map(|feature| feature.r.map(|r| (r, feature))).collect();
    found.sort_by(|left, right| right.0.abs().total_cmp(&left.0.abs()).then(left.1.feature.cmp(&right.1.feature)));
    let heading = question("What query features correlate with routing success?");
    if found.is_empty() {
        return vec![heading, Block::paragraph("The log has no numeric feature with known outcomes.")];
    }
    let mut table = Table::of(&["logged feature", "correlation with success #", "decisions #"]);
    for (r, feature) in found {
        table.row([Cell::name(&feature.feature), Cell::number(format!("{r:+.3}"), r.abs()), Cell::count(feature.n)]);
    }
    vec![heading, Block::Table(table)]
}

fn failing_types(summary: &Summary) -> Vec<Block> {
    let heading = question("Are there query types where static routing consistently fails?");
    let overall = summary.success.rate().unwrap_or_default();
    let error = |count: SuccessCount| (overall * (1.0 - overall) / count.n as f64).sqrt();
    let mut failing: Vec<_> = summary
        .static_success_by_type
        .iter()
        .filter_map(|found| Some((found.success.rate()?, found)))
        .filter(|(rate, found)| found.success.n >= MIN_ROWS && *rate < overall - CLEAR * error(found.success))
        .collect();
    failing.sort_by(|left, right| left.0.total_cmp(&right.0));
    if failing.is_empty() {
        return vec![
            heading,
            Block::paragraph(
                "None lies more than three standard errors below the overall rate, as far as the log knows the static choice.",
            ),
        ];
    }
    let mut table = Table::of(&["query type", "static success #", "decisions #"]);
    for (rate, found) in failing {
        table.row([Cell::name(type_name(found.query_type.as_deref())), Cell::number(share(rate), rate), Cell::count(found.success.n)]);
    }
    let words = format!("More than three standard errors below the overall success rate of {}:", share(overall));
    vec![heading, Block::paragraph(&words), Block::Table(table)]
}

fn confusion(summary: &Summary) -> Vec<Block> {
    let heading = question("What does the confusion matrix of current routing look like?");
    let total: u64 = summary.confusion.iter().map(|cell| cell.n).sum();
    let right: u64 = summary.confusion.iter().filter(|cell| cell.chosen == cell.optimal).map(|cell| cell.n).sum();
    if total == 0 {
        return vec![heading, Block::paragraph("Nobody rated which path would have been right (`quality_metrics.optimal_path`).")];
    }
    let mut wrong: Vec<_> = summary.confusion.iter().filter(|cell| cell.chosen != cell.optimal).collect();
    wrong.sort_by(|left, right| right.n.cmp(&left.n).then((&left.chosen, &left.optimal).cmp(&(&right.chosen, &right.optimal))));
    let pairs: Vec<String> = wrong
        .iter()
        .take(3)
        .map(|cell| format!("{} where {} was right ({})", quoted(&cell.chosen), quoted(&cell.optimal), cell.n))
        .collect();
    let most = if pairs.is_empty() { String::new() } else { format!("; most often it takes {}", pairs.join(", ")) };
    let words = format!("The static router agrees with {} of {} ratings{most}.", share(right as f64 / total as f64), grouped(total));
    vec![heading, Block::paragraph(&words)]
}

fn best_paths(summary: &Summary) -> Vec<Block> {
    let mut cells: BTreeMap<Option<&str>, Vec<&SuccessCell>> = BTreeMap::new();
    for cell in &summary.success_by_type_and_path {
        cells.entry(cell.query_type.as_deref()).or_default().push(cell);
    }
    let mut table = Table::of(&["query type", "best path", "success #", "decisions #"]);
    for (query_type, cells) in cells {
        let best = cells
            .iter()
            .filter(|cell| cell.success.n >= MIN_ROWS)
            .filter_map(|cell| Some((cell.success.rate()?, cell)))
            .max_by(|left, right| left.0.total_cmp(&right.0).then(right.1.path.cmp(&left.1.path)));
        table.row(match best {
            Some((rate, cell)) => {
                [Cell::name(type_name(query_type)), Cell::name(&cell.path), Cell::number(share(rate), rate), Cell::count(cell.success.n)]
            }
            None => {
                let n: u64 = cells.iter().map(|cell| cell.success.n).sum();
                [Cell::name(type_name(query_type)), Cell::text("too few decisions of any path"), Cell::text("–"), Cell::count(n)]
            }
        });
    }
    vec![
        question("Which paths have the highest success rates for which query types?"),
        Block::paragraph(&format!(
            "Rates of what was logged, not of what would have happened: the router chose which queries each path got. Paths with fewer than {MIN_ROWS} decisions of a type are left out."
        )),
        Block::Table(table),
    ]
}

fn latencies(summary: &Summary) -> Vec<Block> {
    if summary.latency_by_path.is_empty() {
        return Vec::new();
    }
    let mut table = Table::of(&["path", "mean #", "p50 #", "p95 #", "p99 #", "decisions #"]);
    for row in &summary.latency_by_path {
        let time = |value: f64| Cell::number(milliseconds(value), value);
        table.row([Cell::name(&row.path), time(row.mean), time(row.p50), time(row.p95), time(row.p99), Cell::count(row.n)]);
    }
    vec![Block::Section("How long does each path take?".to_owned()), Block::Table(table)]
}

/// A query type as it is called where the log has none.
pub(super) fn type_name(query_type: Option<&str>) -> &str {
    query_type.unwrap_or("(none)")
}
