//! `alerts`: metrics against targets; exits 12 when one fires, and writes what Prometheus scrapes.

use std::path::{Path, PathBuf};

use anyhow::Context;
use routewright_cascade::{AlertStatus, Firing, Metric, State, alerts, metrics, overview};
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::layout::grouped;
use crate::messages::Messages;
use crate::operations::{Feed, Head, WindowArguments, moment, now, window_words};
use crate::project::ProjectArguments;

/// What fired at the last look, relative to the project.
const STATE: &str = "reports/alerts.json";

/// For node-exporter's textfile collector, relative to the project.
const METRICS: &str = "reports/alerts.prom";

/// The dashboard for Grafana that shows these metrics.
const GRAFANA: &str = include_str!("../../grafana.json");

/// Flags of `alerts`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    window: WindowArguments,
    /// File for Prometheus instead of reports/alerts.prom; its folder is what node-exporter's textfile collector watches
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// Print a Grafana dashboard that shows these metrics, and do nothing else
    #[arg(long)]
    grafana: bool,
}

/// What one look found.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    head: Head,
    time: String,
    firing: bool,
    alerts: &'a [AlertStatus],
    state: Firing,
}

/// What the next look needs of it.
#[derive(Deserialize)]
struct OnFile {
    state: Firing,
}

/// Holds every rule against the window.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    if arguments.grafana {
        messages.bytes(GRAFANA.as_bytes())?;
        return Ok(Exit::Done);
    }
    let hours = arguments.window.hours;
    let feed = Feed::open(&arguments.window, 0.0, project)?;
    let window = feed.window(hours);
    let overview = overview(&feed.scope(window), feed.params.declared_split);
    let statuses = alerts(&feed.params.alerts, &overview, hours, now(), &read_state(&project.project));
    let fires = statuses.iter().any(|alert| alert.state == State::Firing);
    let answer = Answer { head: feed.head(window), time: moment(now()), firing: fires, alerts: &statuses, state: Firing::of(&statuses) };
    if !project.dry_run {
        write_whole(&project.project.join(STATE), &serde_json::to_vec_pretty(&answer)?)?;
        let place = arguments.metrics.clone().unwrap_or_else(|| project.project.join(METRICS));
        write_whole(&place, metrics(&overview, &statuses, hours).text().as_bytes())?;
        messages.say(&format!("metrics are in {}", place.display()));
    }
    let mut text = format!("{}; {} routes\n", window_words(window), grouped(overview.events as usize));
    for alert in &statuses {
        let word = match alert.state {
            State::Firing => messages.paint("31", "FIRING "),
            State::Ok => messages.paint("32", "ok     "),
            State::TooFew => "no data".to_owned(),
        };
        text.push_str(&format!("{word}  {}\n", sentence(alert)));
    }
    messages.result(&text, &answer)?;
    Ok(if fires { Exit::Fired } else { Exit::Done })
}

/// What fired at the last look; nothing where there was none.
pub(crate) fn read_state(project: &Path) -> Firing {
    let bytes = std::fs::read(project.join(STATE)).unwrap_or_default();
    serde_json::from_slice(&bytes).map(|on_file: OnFile| on_file.state).unwrap_or_default()
}

/// An alert in one line: the number, where it should be, where it fires or ends.
pub(crate) fn sentence(alert: &AlertStatus) -> String {
    let (shown, is_share) = (|value: f64| value_text(alert.metric, value), alert.interval.is_some());
    let value = alert.value.map_or_else(|| "nothing to make it of".to_owned(), shown);
    let side = if alert.target > alert.alert { "below" } else { "above" };
    let layer = if alert.layer.is_empty() { String::new() } else { format!(" of {}", alert.layer) };
    let mut text = format!("{:14} {}{layer} is {value}", alert.name, metric_text(alert.metric));
    if let Some(interval) = alert.interval.filter(|_| is_share && alert.value.is_some()) {
        text.push_str(&format!(" [{}, {}]", shown(interval.lower), shown(interval.upper)));
    }
    text.push_str(&format!(", target {}, fires {side} {}", shown(alert.target), shown(alert.alert)));
    match alert.since {
        Some(since) => text.push_str(&format!(", since {} UTC, ends at {}", moment(since), shown(alert.clear))),
        None if alert.count < alert.min_count => text.push_str(&format!("; {} events, {} are needed", alert.count, alert.min_count)),
        None => {}
    }
    text
}

/// A metric as people say it.
fn metric_text(metric: Metric) -> &'static str {
    match metric {
        Metric::Accuracy => "accuracy",
        Metric::SuccessRate => "task success",
        Metric::Capture => "share settled",
        Metric::LayerSuccess => "success rate",
        Metric::ClarificationRate => "clarification rate",
        Metric::LatencyMean => "mean latency",
        Metric::LatencyP50 => "median latency",
        Metric::LatencyP95 => "p95 latency",
        Metric::LatencyP99 => "p99 latency",
        Metric::CacheHitRate => "cache hit rate",
        Metric::EventsPerHour => "routes per hour",
        Metric::HoursSinceEvent => "hours since the last route",
        Metric::SplitP => "probability of the split",
    }
}

fn value_text(metric: Metric, value: f64) -> String {
    match metric {
        Metric::LatencyMean | Metric::LatencyP50 | Metric::LatencyP95 | Metric::LatencyP99 => format!("{value:.1}ms"),
        Metric::EventsPerHour | Metric::HoursSinceEvent => format!("{value:.1}"),
        Metric::SplitP => format!("{value:.4}"),
        _ => format!("{:.1}%", value * 100.0),
    }
}

/// Writes a file that is whole at every moment, readable by all: the collector runs as another user.
pub(crate) fn write_whole(place: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().prefix(".routewright-").permissions(readable()).tempfile_in(folder)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.as_file().sync_all()?;
        file.persist(place)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write `{}`", place.display()))
}

/// Permissions of a file that everybody may read.
fn readable() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o644)
}
