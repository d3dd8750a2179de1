//! The four questions of E-009's exploratory analysis (section 5.1), from `exploration.json`.

use routewright_table::{SuccessCount, Summary};

use super::markdown::{Sources, figure};

/// Most rows of a table that a person reads.
const MAX_ROWS: usize = 15;

/// Fewest decisions of a query type before its static success rate is called anything.
const MIN_ROWS: u64 = 20;

/// How far below the overall rate a query type's static success must lie to count as failing, in standard errors.
const CLEAR: f64 = 3.0;

/// The section of the report.
pub(super) fn section(sources: &Sources<'_>) -> String {
    let summary = sources.exploration;
    [
        "## The four questions of the exploratory analysis\n".to_owned(),
        correlations(summary),
        failing_types(summary),
        confusion(summary),
        figure(sources, "static_confusion", "Confusion matrix of the logged choices"),
        best_paths(summary),
        figure(sources, "success_heatmap", "Success rate by query type and path"),
        figure(sources, "latency", "Latency by path"),
        figure(sources, "success_over_time", "Success rate by day"),
    ]
    .join("\n")
}

fn correlations(summary: &Summary) -> String {
    let mut found: Vec<_> = summary.correlations.iter().filter_map(|feature| feature.r.map(|r| (r, feature))).collect();
    found.sort_by(|left, right| right.0.abs().total_cmp(&left.0.abs()).then(left.1.feature.cmp(&right.1.feature)));
    let mut text = "**What correlates with success?**\n\n".to_owned();
    if found.is_empty() {
        return text + "The log has no numeric feature with known outcomes.\n";
    }
    text.push_str("| logged feature | correlation with success | decisions |\n|---|---|---|\n");
    for (r, feature) in found.iter().take(MAX_ROWS) {
        text.push_str(&format!("| {} | {r:+.3} | {} |\n", feature.feature, feature.n));
    }
    text
}

fn failing_types(summary: &Summary) -> String {
    let overall = summary.success.rate().unwrap_or_default();
    let error = |count: SuccessCount| (overall * (1.0 - overall) / count.n as f64).sqrt();
    let mut failing: Vec<_> = summary
        .static_success_by_type
        .iter()
        .filter_map(|found| Some((found.success.rate()?, found)))
        .filter(|(rate, found)| found.success.n >= MIN_ROWS && *rate < overall - CLEAR * error(found.success))
        .collect();
    failing.sort_by(|left, right| left.0.total_cmp(&right.0));
    let mut text = "**Where does the static router consistently fail?**\n\n".to_owned();
    if failing.is_empty() {
        return text + "Nowhere by more than three standard errors, as far as the log knows the static choice.\n";
    }
    text.push_str("| query type | static success | decisions |\n|---|---|---|\n");
    for (rate, found) in failing.iter().take(MAX_ROWS) {
        text.push_str(&format!("| {} | {:.1} % | {} |\n", found.query_type.as_deref().unwrap_or("(none)"), 100.0 * rate, found.success.n));
    }
    text
}

fn confusion(summary: &Summary) -> String {
    let total: u64 = summary.confusion.iter().map(|cell| cell.n).sum();
    let right: u64 = summary.confusion.iter().filter(|cell| cell.chosen == cell.optimal).map(|cell| cell.n).sum();
    let mut text = "**What does the static router confuse?**\n\n".to_owned();
    if total == 0 {
        return text + "Nobody rated which path would have been right.\n";
    }
    let mut wrong: Vec<_> = summary.confusion.iter().filter(|cell| cell.chosen != cell.optimal).collect();
    wrong.sort_by(|left, right| right.n.cmp(&left.n).then((&left.chosen, &left.optimal).cmp(&(&right.chosen, &right.optimal))));
    text.push_str(&format!("It agrees with {:.1} % of {total} ratings", 100.0 * right as f64 / total as f64));
    let pairs: Vec<String> =
        wrong.iter().take(3).map(|cell| format!("`{}` where `{}` was right ({})", cell.chosen, cell.optimal, cell.n)).collect();
    text.push_str(&if pairs.is_empty() { ".\n".to_owned() } else { format!("; most often it takes {}.\n", pairs.join(", ")) });
    text
}

fn best_paths(summary: &Summary) -> String {
    let mut text =
        "**Which path does best on which query type?**\n\n| query type | best path | success | decisions |\n|---|---|---|---|\n".to_owned();
    let mut types: Vec<&Option<String>> = summary.success_by_type_and_path.iter().map(|cell| &cell.query_type).collect();
    types.sort();
    types.dedup();
    let n_types = types.len();
    for query_type in types.into_iter().take(MAX_ROWS) {
        let cells = summary.success_by_type_and_path.iter().filter(|cell| &cell.query_type == query_type && cell.success.n >= MIN_ROWS);
        let best = cells
            .filter_map(|cell| Some((cell.success.rate()?, cell)))
            .max_by(|left, right| left.0.total_cmp(&right.0).then(right.1.path.cmp(&left.1.path)));
        if let Some((rate, cell)) = best {
            text.push_str(&format!(
                "| {} | {} | {:.1} % | {} |\n",
                query_type.as_deref().unwrap_or("(none)"),
                cell.path,
                100.0 * rate,
                cell.success.n
            ));
        }
    }
    if n_types > MAX_ROWS {
        text.push_str(&format!("\n{} further query types are in `exploration.json`.\n", n_types - MAX_ROWS));
    }
    text.push_str("\nThese are rates of what was logged, not of what would have happened: the router chose which queries each path got.\n");
    text
}
