//! `profile`: where the time goes, what makes the tail, and what changed against the week before.

use routewright_cascade::{Profile, ProfileRow, profile};
use serde::Serialize;

use crate::exit::Exit;
use crate::layout::{Align, aligned, grouped, shortened};
use crate::messages::Messages;
use crate::operations::{Feed, Head, WEEK_HOURS, WindowArguments, millis, percent, window_words};
use crate::project::ProjectArguments;

/// Flags of `profile`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    window: WindowArguments,
}

/// Everything that is said.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    head: Head,
    events_of_the_week_before: usize,
    #[serde(flatten)]
    profile: &'a Profile,
}

/// Profiles the window.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    let feed = Feed::open(&arguments.window, WEEK_HOURS, project)?;
    let window = feed.window(arguments.window.hours);
    let before = feed.week_before(window);
    let profile = profile(&feed.scope(window), before.clone(), window.hours);
    let answer = Answer { head: feed.head(window), events_of_the_week_before: before.len(), profile: &profile };
    let text = format!("Routing Performance Report\n{}\n{}", window_words(window), in_words(&profile, before.len()));
    messages.result(&text, &answer)?;
    Ok(Exit::Done)
}

fn in_words(profile: &Profile, n_before: usize) -> String {
    let throughput = profile.throughput;
    let mut text = format!(
        "{} routes: {:.1} per hour, {} in the busiest hour, {} in the busiest minute\n",
        grouped(profile.events as usize),
        throughput.per_hour,
        grouped(throughput.busiest_hour as usize),
        grouped(throughput.busiest_minute as usize)
    );
    if let Some(latency) = &profile.latency {
        let [mean, p50, p95, p99, max] =
            [latency.mean, latency.p50, latency.p95, latency.p99, latency.max].map(|value| millis(Some(value)));
        text.push_str(&format!("Time to the decision: mean {mean}, p50 {p50}, p95 {p95}, p99 {p99}, longest {max}\n"));
    }
    for (title, rows) in [("Layer", &profile.layers), ("Path", &profile.paths), ("Backend", &profile.backends)] {
        if !rows.is_empty() {
            text.push_str(&format!("\n{title} Latency:\n{}", table(title, rows)));
        }
    }
    let cache = profile.cache;
    text.push_str(&match cache.n {
        0 => "\nCache: the log does not say whether a cache answered\n".to_owned(),
        n => format!(
            "\nCache: {} of {} answers came from it ({})\n",
            grouped(cache.hits as usize),
            grouped(n as usize),
            percent(cache.value)
        ),
    });
    text.push_str("\nBottlenecks (extra time of the slowest 5 % of routes):\n");
    for bottleneck in &profile.bottlenecks {
        text.push_str(&format!(
            "  {:16} {:>6} of it; {} in them, {} on average\n",
            shortened(&bottleneck.layer, 16),
            percent(Some(bottleneck.share_of_tail)),
            millis(Some(bottleneck.tail_ms)),
            millis(Some(bottleneck.mean_ms))
        ));
    }
    if profile.bottlenecks.is_empty() {
        text.push_str("  none: no route is slower than 95 % of them, or no layer has a time\n");
    }
    text.push_str(&format!("\nChanges against the week before ({} routes):\n", grouped(n_before)));
    for change in &profile.changes {
        text.push_str(&format!(
            "  {:7} {:16} {} to {} ({:+.0} %) from {} on, {:.0} standard errors\n",
            change.kind,
            shortened(&change.name, 16),
            millis(Some(change.before_ms)),
            millis(Some(change.after_ms)),
            (change.ratio - 1.0) * 100.0,
            change.at_text(),
            change.errors
        ));
    }
    if profile.changes.is_empty() {
        text.push_str("  none that chance does not explain\n");
    }
    text.push_str("\nRecommendations:\n");
    for recommendation in &profile.recommendations {
        text.push_str(&format!("  - {recommendation}\n"));
    }
    if profile.recommendations.is_empty() {
        text.push_str("  none\n");
    }
    text
}

fn table(title: &str, rows: &[ProfileRow]) -> String {
    let cells = |row: &ProfileRow| {
        let latency = &row.latency;
        let mut cells = vec![format!("  {}", shortened(&row.name, 30)), grouped(latency.n as usize)];
        cells.extend([latency.mean, latency.p50, latency.p95, latency.p99, latency.max].map(|value| millis(Some(value))));
        cells.extend([percent(Some(row.share_of_time)), percent(row.cache.value)]);
        cells
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let mut align = [Align::Right; 9];
    align[0] = Align::Left;
    let name = format!("  {}", title.to_lowercase());
    aligned(&[&name, "answers", "mean", "p50", "p95", "p99", "longest", "of time", "cache"], &rows, &align)
}
