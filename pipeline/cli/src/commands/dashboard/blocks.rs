//! The blocks of the dashboard as lines of text.

use routewright_cascade::{AlertStatus, GroupBalance, LayerOverview, Rate, State, Trend};

use super::Picture;
use crate::commands::alerts::sentence;
use crate::layout::{Align, aligned, grouped, shortened};
use crate::operations::{hours_text, millis, moment, percent};

/// Characters of a bar between its brackets.
const BAR: usize = 28;

/// Longest name of a layer that is shown.
const NAME: usize = 16;

/// Columns of the page.
const WIDTH: usize = 70;

/// Levels of a sparkline.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Smallest probability of a split that is not called uneven.
const SPLIT_P: f64 = 0.001;

/// The whole dashboard.
pub(super) fn text(picture: &Picture) -> String {
    let title = format!("{:^width$}", "ROUTING PERFORMANCE DASHBOARD", width = WIDTH - 2);
    let line = "═".repeat(WIDTH - 2);
    let mut text = format!("╔{line}╗\n║{title}║\n╚{line}╝\n\n");
    text.push_str(&format!(
        "Time Window: {}  |  Updated: {} UTC\n",
        hours_text(picture.head.window_hours),
        moment(crate::operations::now())
    ));
    if picture.window.ends_with_log {
        text.push_str(&format!("No event is recent: the window ends with the last one, {} UTC\n", moment(picture.window.to)));
    }
    text.push_str(&format!("Log: {}\n", shortened(&picture.head.origin, 140)));
    if picture.head.rejected > 0 {
        text.push_str(&format!("{} records cannot be read; `routewright ingest` says why\n", picture.head.rejected));
    }
    section(&mut text, "Routing Cascade Overview", overview_lines(picture));
    if !picture.overview.layers.is_empty() {
        section(&mut text, "Layer Performance", layer_table(&picture.overview.layers).lines().map(str::to_owned).collect());
    }
    section(&mut text, "Accuracy and Outcomes", accuracy_lines(picture));
    section(&mut text, &format!("Trends ({} steps of {})", picture.trend.events.len(), step_text(&picture.trend)), trend_lines(picture));
    section(&mut text, "Alerts", alert_lines(&picture.alerts));
    if let Some(groups) = &picture.overview.groups {
        section(&mut text, "A/B Balance", group_lines(groups));
    }
    text
}

fn section(text: &mut String, title: &str, lines: Vec<String>) {
    text.push_str(&format!("\n━━━ {title} ━━━\n"));
    for line in lines {
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// Who settles how much.
pub(super) fn overview_lines(picture: &Picture) -> Vec<String> {
    let overview = &picture.overview;
    let mut lines = vec![format!("Total routes: {}", grouped(overview.events as usize)), String::new()];
    let width = overview.layers.iter().map(|layer| label(layer).chars().count()).max().unwrap_or(0);
    for layer in &overview.layers {
        let share = layer.captured.value.unwrap_or(0.0);
        lines.push(format!(
            "{:width$} {} {:>7} ({})",
            label(layer),
            bar(share),
            grouped(layer.captured.hits as usize),
            percent(Some(share))
        ));
    }
    if overview.layers.is_empty() {
        lines.push("the log names no layers; by path:".to_owned());
        for path in overview.paths.iter().take(12) {
            let share = path.share.value.unwrap_or(0.0);
            lines.push(format!(
                "{:NAME$} {} {:>7} ({})",
                shortened(&path.path, NAME),
                bar(share),
                grouped(path.share.hits as usize),
                percent(Some(share))
            ));
        }
    }
    lines
}

fn label(layer: &LayerOverview) -> String {
    format!("Layer {} - {}", layer.place, shortened(&layer.layer, NAME))
}

/// A share as a bar; the smallest share that is not zero shows.
fn bar(share: f64) -> String {
    let filled = if share > 0.0 { ((share * BAR as f64).round() as usize).clamp(1, BAR) } else { 0 };
    format!("[{}{}]", "=".repeat(filled), "-".repeat(BAR - filled))
}

/// The table of the layers.
fn layer_table(layers: &[LayerOverview]) -> String {
    let rows: Vec<Vec<String>> = layers.iter().map(layer_cells).collect();
    let mut align = vec![Align::Right; LAYER_HEADER.len()];
    align[0] = Align::Left;
    let table = aligned(LAYER_HEADER, &rows, &align);
    let width = table.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    table.replacen('\n', &format!("\n{}\n", "─".repeat(width)), 1)
}

/// Heads of the columns of [`layer_cells`].
pub(super) const LAYER_HEADER: &[&str] = &["Layer", "Attempts", "Success%", "Avg Conf", "Avg Latency", "p95", "Accuracy", "95% interval"];

/// One layer's row.
pub(super) fn layer_cells(layer: &LayerOverview) -> Vec<String> {
    vec![
        shortened(&layer.layer, NAME),
        grouped(layer.success.n as usize),
        percent(layer.success.value),
        layer.mean_confidence.map_or_else(|| "-".to_owned(), |confidence| format!("{confidence:.3}")),
        millis(layer.latency.map(|latency| latency.mean)),
        millis(layer.latency.map(|latency| latency.p95)),
        percent(layer.accuracy.value),
        interval(layer.accuracy),
    ]
}

/// The interval of a share, in percent.
fn interval(rate: Rate) -> String {
    if rate.n == 0 { "-".to_owned() } else { format!("{:.1}-{:.1}", rate.interval.lower * 100.0, rate.interval.upper * 100.0) }
}

/// Accuracy with its interval, success, latency, clarifications.
pub(super) fn accuracy_lines(picture: &Picture) -> Vec<String> {
    let overview = &picture.overview;
    let share = |name: &str, rate: Rate, of: &str| {
        if rate.n == 0 {
            format!("{name:15} -       no {of}")
        } else {
            format!(
                "{name:15} {:>6}  95% interval {}  ({} of {} {of})",
                percent(rate.value),
                interval(rate),
                grouped(rate.hits as usize),
                grouped(rate.n as usize)
            )
        }
    };
    let mut lines = vec![share("Accuracy", overview.accuracy, "outcomes"), share("Task success", overview.success, "finished tasks")];
    if !overview.layers.is_empty() {
        lines.push(share("Clarification", overview.clarification, "routes"));
    }
    if overview.cache.n > 0 {
        lines.push(share("Cache hits", overview.cache, "answers"));
    }
    if let Some(latency) = overview.latency {
        lines.push(format!(
            "{:15} {:>6}  p50 {}  p95 {}  p99 {}",
            "Latency",
            millis(Some(latency.mean)),
            millis(Some(latency.p50)),
            millis(Some(latency.p95)),
            millis(Some(latency.p99))
        ));
    }
    lines
}

/// How numbers move.
fn trend_lines(picture: &Picture) -> Vec<String> {
    let trend = &picture.trend;
    let events: Vec<Option<f64>> = trend.events.iter().map(|&events| Some(events as f64)).collect();
    let mut lines = vec![
        format!("{:15} {}  {}", "Routes", sparkline(&events), range(&events, |value| format!("{value:.0}"))),
        format!("{:15} {}  {}", "Accuracy", sparkline(&trend.accuracy), range(&trend.accuracy, |value| percent(Some(value)))),
        format!("{:15} {}  {}", "Latency", sparkline(&trend.latency_ms), range(&trend.latency_ms, |value| millis(Some(value)))),
    ];
    if let Some(layer) = picture.overview.layers.get(picture.layer) {
        let name = shortened(&format!("By {}", layer.layer), 15);
        lines.push(format!("{name:15} {}  {}", sparkline(&trend.captured), range(&trend.captured, |value| percent(Some(value)))));
    }
    lines
}

/// Length of a trend's step as people say it.
pub(super) fn step_text(trend: &Trend) -> String {
    let minutes = trend.step_seconds / 60.0;
    if minutes >= 60.0 { format!("{:.1} h", minutes / 60.0) } else { format!("{minutes:.0} min") }
}

/// Numbers as one character each, from the smallest to the largest; a blank for nothing.
fn sparkline(values: &[Option<f64>]) -> String {
    let known = || values.iter().flatten().copied();
    let (low, high) = (known().fold(f64::MAX, f64::min), known().fold(f64::MIN, f64::max));
    let level = |value: f64| if high > low { ((value - low) / (high - low) * 7.0).round() as usize } else { 3 };
    values.iter().map(|value| value.map_or(' ', |value| LEVELS[level(value).min(7)])).collect()
}

/// Smallest and largest of some numbers.
pub(super) fn range(values: &[Option<f64>], shown: impl Fn(f64) -> String) -> String {
    let known = || values.iter().flatten().copied();
    match known().next() {
        Some(_) => format!("{} to {}", shown(known().fold(f64::MAX, f64::min)), shown(known().fold(f64::MIN, f64::max))),
        None => "nothing known".to_owned(),
    }
}

/// One line per alert that fires, or one that none does.
pub(super) fn alert_lines(alerts: &[AlertStatus]) -> Vec<String> {
    let firing: Vec<String> =
        alerts.iter().filter(|alert| alert.state == State::Firing).map(|alert| format!("FIRING  {}", sentence(alert))).collect();
    let too_few = alerts.iter().filter(|alert| alert.state == State::TooFew).count();
    let mut lines = if firing.is_empty() { vec![format!("none of {} fires", alerts.len())] } else { firing };
    if too_few > 0 {
        lines.push(format!("{too_few} have too few events to say"));
    }
    lines
}

/// The groups of a randomised test.
pub(super) fn group_lines(balance: &GroupBalance) -> Vec<String> {
    let total: u64 = balance.groups.iter().map(|(_, count)| count).sum();
    let mut lines: Vec<String> = balance
        .groups
        .iter()
        .zip(&balance.accuracy)
        .map(|((name, count), accuracy)| {
            let share = *count as f64 / total.max(1) as f64;
            let right =
                if accuracy.n > 0 { format!("  accuracy {} ({})", percent(accuracy.value), interval(*accuracy)) } else { String::new() };
            format!("{:NAME$} {} {:>7} ({}){right}", shortened(name, NAME), bar(share), grouped(*count as usize), percent(Some(share)))
        })
        .collect();
    let verdict = if balance.split_p < SPLIT_P { "uneven: do not trust a comparison before the cause is found" } else { "as declared" };
    let p = if balance.split_p < SPLIT_P { format!("p < {SPLIT_P}") } else { format!("p = {:.3}", balance.split_p) };
    lines.push(format!("the split is {verdict} ({p})"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_the_smallest_share_and_never_overflows() {
        assert_eq!(bar(0.0), format!("[{}]", "-".repeat(28)));
        assert_eq!(bar(0.001), format!("[={}]", "-".repeat(27)));
        assert_eq!(bar(0.32), format!("[{}{}]", "=".repeat(9), "-".repeat(19)));
        assert_eq!(bar(1.0), format!("[{}]", "=".repeat(28)));
    }

    #[test]
    fn a_sparkline_reaches_from_the_smallest_to_the_largest() {
        assert_eq!(sparkline(&[Some(1.0), None, Some(3.0), Some(2.0)]), "▁ █▅");
        assert_eq!(sparkline(&[Some(2.0), Some(2.0)]), "▄▄");
        assert_eq!(range(&[None, None], |value| value.to_string()), "nothing known");
    }
}
