//! `analyze`: each layer's numbers, its threshold, and what to do about it.

use routewright_cascade::{Action, LayerAnalysis, analyze, overview};
use serde::Serialize;

use crate::exit::{Exit, UsageError};
use crate::layout::grouped;
use crate::messages::Messages;
use crate::operations::{Feed, Head, WindowArguments, hours_text, millis, percent, span_words};
use crate::project::ProjectArguments;

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON document
    Json,
}

/// Flags of `analyze`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    window: WindowArguments,
    /// Name or place (from 1) of one layer
    #[arg(short, long, value_name = "LAYER")]
    layer: Option<String>,
    /// How to write the result
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// Everything that is said.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    head: Head,
    events: u64,
    accuracy: routewright_cascade::Rate,
    layers: &'a [LayerAnalysis],
}

/// Analyses the window.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    let feed = Feed::open(&arguments.window, 0.0, project)?;
    let window = feed.window(arguments.window.hours);
    let scope = feed.scope(window);
    let overview = overview(&scope, feed.params.declared_split);
    let mut layers = analyze(&scope, &overview, feed.params.tune.step);
    if let Some(wanted) = &arguments.layer {
        let place = scope.find(wanted).ok_or_else(|| {
            let known: Vec<&str> = scope.layers().iter().map(|layer| layer.name.as_str()).collect();
            UsageError(format!(
                "`--layer {wanted}`: no such layer, the log has {}",
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            ))
        })?;
        layers = vec![layers.swap_remove(place)];
    }
    let answer = Answer { head: feed.head(window), events: overview.events, accuracy: overview.accuracy, layers: &layers };
    if arguments.format == Format::Json {
        let mut document = serde_json::to_vec_pretty(&answer)?;
        document.push(b'\n');
        messages.bytes(&document)?;
    } else {
        let head = format!(
            "Routing Performance Analysis\nTime window: Last {} hours, {}\n",
            hours_text(window.hours).trim_end_matches('h'),
            span_words(window)
        );
        messages.result(&(head + &in_words(&layers, overview.events)), &answer)?;
    }
    Ok(Exit::Done)
}

fn in_words(layers: &[LayerAnalysis], events: u64) -> String {
    let mut text = String::new();
    for analysis in layers {
        let layer = &analysis.layer;
        text.push_str(&format!("\n=== Layer: {} ===\n", layer.layer));
        text.push_str(&format!("Total events: {}\nLayer attempts: {}\n", grouped(events as usize), grouped(layer.success.n as usize)));
        text.push_str(&format!("Success rate: {}\n", percent(layer.success.value)));
        text.push_str(&format!("Avg confidence: {}\n", layer.mean_confidence.map_or_else(|| "-".to_owned(), |mean| format!("{mean:.3}"))));
        if let Some(latency) = layer.latency {
            let [mean, p50, p95, p99] = [latency.mean, latency.p50, latency.p95, latency.p99].map(|value| millis(Some(value)));
            text.push_str(&format!("Avg latency: {mean} (p50 {p50}, p95 {p95}, p99 {p99})\n"));
        }
        let accuracy = layer.accuracy;
        if accuracy.n == 0 {
            text.push_str("Accuracy: unknown (no outcomes)\n");
        } else {
            text.push_str(&format!(
                "Accuracy: {} (based on {} outcomes; 95% interval {} to {})\n",
                percent(accuracy.value),
                grouped(accuracy.n as usize),
                percent(Some(accuracy.interval.lower)),
                percent(Some(accuracy.interval.upper))
            ));
        }
        text.push_str(&threshold_words(analysis));
    }
    text.push_str("\n=== Recommendations ===\n");
    for analysis in layers {
        text.push_str(&recommendation_words(analysis));
    }
    text
}

fn threshold_words(analysis: &LayerAnalysis) -> String {
    let Some(threshold) = &analysis.threshold else { return String::new() };
    let mut text = format!("\n=== Threshold Analysis: {} ===\nCurrent threshold: {:.2}\n", analysis.layer.layer, threshold.threshold);
    if threshold.thresholds_seen.len() > 1 {
        let seen: Vec<String> = threshold.thresholds_seen.iter().map(|threshold| format!("{threshold:.2}")).collect();
        text.push_str(&format!("Thresholds in this window: {}\n", seen.join(", ")));
    }
    let (below, above) = (threshold.would_have_been_right, threshold.were_wrong);
    text.push_str(&format!("Events below threshold: {}\n", grouped(threshold.below as usize)));
    text.push_str(&format!(
        "  - Would have been correct: {} of {} known ({})\n",
        grouped(below.hits as usize),
        grouped(below.n as usize),
        percent(below.value)
    ));
    let not_taken = threshold.above - threshold.above_settled;
    let aside = if not_taken > 0 { format!(" ({} of them were not taken)", grouped(not_taken as usize)) } else { String::new() };
    text.push_str(&format!("Events above threshold: {}{aside}\n", grouped(threshold.above as usize)));
    text.push_str(&format!(
        "  - Were incorrect: {} of {} known ({})\n",
        grouped(above.hits as usize),
        grouped(above.n as usize),
        percent(above.value)
    ));
    if let Some(lower) = &threshold.one_step_lower {
        text.push_str(&format!(
            "Lowered to {:.2}: {} events settle here; right here {} of {}, in the end {}; {} earlier each\n",
            lower.threshold,
            grouped(lower.events as usize),
            lower.right_here.hits,
            lower.right_here.n,
            lower.right_later.hits,
            millis(lower.saved_ms)
        ));
    }
    if let Some(higher) = &threshold.one_step_higher {
        text.push_str(&format!(
            "Raised to {:.2}: {} events are passed on; right here {} of {}; what later layers would say to them is not in the log\n",
            higher.threshold,
            grouped(higher.events as usize),
            higher.right_here.hits,
            higher.right_here.n
        ));
    }
    text
}

fn recommendation_words(analysis: &LayerAnalysis) -> String {
    let (name, recommendation) = (&analysis.layer.layer, &analysis.recommendation);
    let from = analysis.threshold.as_ref().map(|threshold| threshold.threshold);
    let action = match (recommendation.action, from, recommendation.to) {
        (Action::Lower, Some(from), Some(to)) => format!("Lower threshold from {from:.2} to {to:.2}"),
        (Action::Raise, Some(from), Some(to)) => format!("Raise threshold from {from:.2} to {to:.2}"),
        (Action::TooFew, ..) => "Keep the threshold: too little evidence".to_owned(),
        (Action::NotFollowed, ..) => "Keep the threshold: it is not what decides".to_owned(),
        (Action::None, ..) => "Nothing to tune".to_owned(),
        _ => "Keep the threshold".to_owned(),
    };
    let mut text = format!("[{name}] {action}\n  Reason: {}\n", recommendation.reason);
    if let (Some(effect), true) = (recommendation.accuracy_change, recommendation.to.is_some()) {
        let latency = recommendation.latency_change_ms.map(|change| format!(", mean latency {change:+.1} ms")).unwrap_or_default();
        text.push_str(&format!(
            "  Expected effect on all events: accuracy {:+.2} to {:+.2} points{latency}\n",
            effect.lower * 100.0,
            effect.upper * 100.0
        ));
    }
    text
}
