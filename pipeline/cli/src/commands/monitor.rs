//! `monitor`: what the gateway's log says: the seed's block, its key metrics, and its success criteria with measured values.

use std::path::PathBuf;

use routewright_domain::Timestamp;
use routewright_rollout::{Measured, Met, Monitoring, Store, monitor};
use serde::Serialize;

use crate::commands::deploy::moment;
use crate::deployments::{monitored, settings, tasks};
use crate::exit::{Exit, UsageError};
use crate::layout::aligned_texts;
use crate::messages::Messages;
use crate::operations::{HOUR, now};
use crate::project::ProjectArguments;

/// Flags of `monitor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Hours to look at, up to the last task; all by default
    #[arg(short = 'w', long = "window", value_name = "HOURS")]
    hours: Option<f64>,
    /// Logs to read instead of the project's tables: ml-router-metrics.jsonl, and those that hold its tasks
    #[arg(long, value_name = "PATH", num_args = 1..)]
    input: Vec<PathBuf>,
    /// Moment of the look (RFC 3339) instead of now
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Timestamp>,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    schema_version: u32,
    #[serde(flatten)]
    monitoring: &'a Monitoring,
}

/// Sums up the gateway's tasks.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    if let Some(hours) = arguments.hours.filter(|hours| !(hours.is_finite() && 0.0 < *hours)) {
        return Err(UsageError(format!("`--window {hours}`: expected hours above 0")).into());
    }
    let loaded = project.load(&[])?;
    let mut tasks = tasks(&loaded, &arguments.input)?;
    if let (Some(hours), Some(last)) = (arguments.hours, tasks.iter().map(|task| task.timestamp).max()) {
        let from = last.plus_millis(-hours * HOUR / 1000.0);
        tasks.retain(|task| from < task.timestamp);
    }
    let deployment = Store::open(&loaded.folder).load()?;
    let found = monitor(&monitored(&tasks), deployment.as_ref(), &settings(&loaded)?, arguments.at.unwrap_or_else(now));
    messages.result(&in_words(&found), &Answer { schema_version: 1, monitoring: &found })?;
    Ok(Exit::Done)
}

/// The block of the seed, its key metrics, its criteria.
fn in_words(found: &Monitoring) -> String {
    let mut text = format!(
        "📊 ML Router Metrics\n====================\nTotal routes: {}\nML routes: {}\nRule-based routes: {}\nML percentage: {:.2}%\n\n",
        found.total_routes, found.ml.routes, found.rules.routes, found.ml_percentage
    );
    let confidence = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
    let routing = found.routing.map_or("not logged".to_owned(), |times| {
        format!(
            "p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, longest {:.1} ms (target: below 100)",
            times.p50, times.p95, times.p99, times.max
        )
    });
    let balance = &found.balance;
    let declared = balance.declared.map_or(String::new(), |share| format!(", {:.2} % declared", 100.0 * share));
    let p_value = balance.p_value.map_or(String::new(), |p_value| format!(", p = {p_value:.3}"));
    let rows: Vec<Vec<String>> = [
        ("Routing accuracy", format!("ML {}, rules {}", share(found.ml.accuracy), share(found.rules.accuracy))),
        ("Task success", format!("ML {}, rules {}", share(found.ml.success), share(found.rules.success))),
        (
            "Confidence score",
            format!(
                "{} on average (target: above 0.8), ML {}, rules {}",
                confidence(found.confidence),
                confidence(found.ml.confidence),
                confidence(found.rules.confidence)
            ),
        ),
        ("RAG hit rate", share(found.retrieval)),
        ("Latency", routing),
        (
            "A/B test balance",
            format!("{} treatment, {} control{declared}{p_value}; {} crossed over", balance.treatment, balance.control, balance.crossed),
        ),
        ("Fallbacks", share(found.fallbacks)),
        ("Routing errors", share(found.errors)),
        ("Hallucinations", share(found.hallucinations)),
        ("Without outcome", found.pending.to_string()),
        ("Paths", found.paths.iter().map(|(path, count)| format!("{path} {count}")).collect::<Vec<_>>().join(", ")),
        ("From, to", format!("{}, {}", found.first.as_deref().unwrap_or("-"), found.last.as_deref().unwrap_or("-"))),
    ]
    .into_iter()
    .map(|(name, value)| vec![name.to_owned(), value])
    .collect();
    text.push_str(&aligned_texts(&[], &rows));
    text.push_str("\nSuccess criteria ([x] met, [ ] not, [?] the log cannot tell)\n");
    for criterion in &found.criteria {
        let mark = match criterion.met {
            Met::Yes => "x",
            Met::No => " ",
            Met::Open => "?",
        };
        text.push_str(&format!("- [{mark}] {}: {}\n", criterion.name, criterion.measured));
    }
    text
}

/// A share with its interval.
fn share(measured: Measured) -> String {
    match (measured.share, measured.interval) {
        (Some(share), Some(interval)) => {
            format!("{:.1} % of {} [{:.1}, {:.1}]", 100.0 * share, measured.count.trials, 100.0 * interval.lower, 100.0 * interval.upper)
        }
        _ => "not logged".to_owned(),
    }
}
