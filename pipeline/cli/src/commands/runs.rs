//! `runs`: every run on record, newest last.

use serde_json::json;

use crate::exit::Exit;
use crate::layout::{Align, aligned};
use crate::manifest::{self, Recorded};
use crate::messages::Messages;
use crate::project::ProjectArguments;

/// Flags of `runs`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Show the newest N only
    #[arg(short = 'n', long, value_name = "N")]
    newest: Option<usize>,
}

/// Lists what `reports/runs` holds.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    project.require_folder()?;
    let all = manifest::all(&project.project)?;
    let shown = &all[all.len() - arguments.newest.unwrap_or(all.len()).min(all.len())..];
    let [latest, good] = ["latest", "latest-good"].map(|name| manifest::pointed(&project.project, name));
    let rows: Vec<Vec<String>> = shown
        .iter()
        .map(|run| {
            let mut names = Vec::new();
            names.extend((latest.as_deref() == Some(&run.id)).then_some("latest"));
            names.extend((good.as_deref() == Some(&run.id)).then_some("latest-good"));
            vec![run.id.clone(), format!("{:.1} s", run.seconds), outcome(run), uplift(run), names.join(", ")]
        })
        .collect();
    let text = if rows.is_empty() {
        "no run is on record; `routewright run` makes one\n".to_owned()
    } else {
        aligned(&["run", "took", "outcome", "uplift", ""], &rows, &[Align::Left, Align::Right])
    };
    messages.result(&text, &json!({ "schema_version": 1, "latest": latest, "latest_good": good, "runs": shown }))?;
    Ok(Exit::Done)
}

fn outcome(run: &Recorded) -> String {
    match (&run.error, &run.verdict, &run.reason) {
        (Some(error), ..) => format!("failed: {error}"),
        (None, Some(verdict), Some(reason)) => format!("{verdict} ({reason})"),
        _ => "no verdict".to_owned(),
    }
}

fn uplift(run: &Recorded) -> String {
    let metric = |name: &str| run.metrics.get(name).copied();
    match (metric("uplift_points"), metric("uplift_lower_points"), metric("uplift_upper_points")) {
        (Some(points), Some(lower), Some(upper)) => format!("{points:+.1} [{lower:+.1}, {upper:+.1}]"),
        (None, Some(lower), Some(upper)) => format!("in [{lower:+.1}, {upper:+.1}]"),
        _ => String::new(),
    }
}
