//! `compare`: what changed from one run to another: settings, inputs, metrics, verdict; and a figure of the way there. In a CI, `--tolerance` says how
//! much metrics may move, and the exit code whether they stayed within.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};
use stages::trend::{Found, trend};

use crate::exit::{Exit, UsageError};
use crate::layout::{Align, aligned};
use crate::manifest::{self, Recorded};
use crate::messages::Messages;
use crate::project::ProjectArguments;

/// Flags of `compare`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The earlier run: its id or the beginning of it, latest, or latest-good
    #[arg(value_name = "RUN_A")]
    first: String,
    /// The later run
    #[arg(value_name = "RUN_B")]
    second: String,
    /// Show metrics that did not change, too
    #[arg(long)]
    all: bool,
    /// Exit with 10 when a metric moves by more than this share of itself, appears or goes away, or the verdict changes; 0 allows no change
    #[arg(long, value_name = "SHARE")]
    tolerance: Option<f64>,
}

/// Something that differs; absent where only one run has it.
#[derive(Debug, PartialEq, Serialize)]
struct Change<T> {
    name: String,
    from: Option<T>,
    to: Option<T>,
}

/// Compares two runs on record.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    if let Some(tolerance) = arguments.tolerance.filter(|tolerance| !(0.0 <= *tolerance && tolerance.is_finite())) {
        return Err(UsageError(format!("`--tolerance` must be a number of at least 0, found {tolerance}")).into());
    }
    let all = manifest::all(&project.project)?;
    let first = manifest::find(&project.project, &all, &arguments.first)?;
    let second = manifest::find(&project.project, &all, &arguments.second)?;
    let settings = changes(&first.settings_by_key(), &second.settings_by_key());
    let inputs = changes(&first.inputs, &second.inputs);
    let metrics = if arguments.all { pairs(&first.metrics, &second.metrics) } else { changes(&first.metrics, &second.metrics) };
    let figure = draw(project, &all, first, second)?;

    let verdict = |run: &Recorded| run.verdict.clone().unwrap_or_else(|| "no verdict".to_owned());
    let mut text = format!("from {} to {}\n\nverdict    {} → {}\n", first.id, second.id, verdict(first), verdict(second));
    if first.version != second.version {
        text.push_str(&format!("version    {} → {}\n", first.version, second.version));
    }
    text.push_str(&section("settings", &settings, |value: &Value| value.to_string()));
    text.push_str(&section("inputs", &inputs, |digest: &String| digest.get(..12).unwrap_or(digest).to_owned()));
    let written = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
    let rows: Vec<Vec<String>> = metrics
        .iter()
        .map(|change| {
            let difference = change.to.zip(change.from).map(|(to, from)| to - from);
            let difference = difference.map_or_else(
                || "–".to_owned(),
                |change| if change == 0.0 { "0".to_owned() } else { format!("{}{}", if change > 0.0 { "+" } else { "" }, number(change)) },
            );
            vec![change.name.clone(), written(change.from), written(change.to), difference]
        })
        .collect();
    if rows.is_empty() {
        text.push_str("\nmetrics: equal\n");
    } else {
        let align = [Align::Left, Align::Right, Align::Right, Align::Right];
        text.push_str(&format!("\n{}", aligned(&["metric", "from", "to", "change"], &rows, &align)));
    }
    text.push_str(&format!("\ntrend      {}\n", figure.display()));
    let moved: Option<Vec<&str>> = arguments.tolerance.map(|tolerance| moved(&metrics, (&first.verdict, &second.verdict), tolerance));
    match &moved {
        Some(moved) if moved.is_empty() => text.push_str("tolerance  kept\n"),
        Some(moved) => text.push_str(&format!("tolerance  exceeded by {}\n", moved.join(", "))),
        None => {}
    }
    let document = json!({
        "schema_version": 1, "from": first.id, "to": second.id, "verdict": { "from": first.verdict, "to": second.verdict },
        "settings": settings, "inputs": inputs, "metrics": metrics, "trend": figure,
        "tolerance": arguments.tolerance, "moved": moved,
    });
    messages.result(&text, &document)?;
    Ok(if moved.is_some_and(|moved| !moved.is_empty()) { Exit::Refused } else { Exit::Done })
}

/// Metrics that moved by more than a share of the larger of their two values, or that only one run has; `verdict` where it changed.
fn moved<'a>(metrics: &'a [Change<f64>], verdicts: (&Option<String>, &Option<String>), tolerance: f64) -> Vec<&'a str> {
    let stays = |change: &Change<f64>| match (change.from, change.to) {
        // What is no number on both sides did not move.
        (Some(from), Some(to)) => (from - to).abs() <= tolerance * from.abs().max(to.abs()) || (from.is_nan() && to.is_nan()),
        (from, to) => from.is_none() && to.is_none(),
    };
    let changed = metrics.iter().filter(|change| !stays(change)).map(|change| change.name.as_str());
    (verdicts.0 != verdicts.1).then_some("verdict").into_iter().chain(changed).collect()
}

/// What is different in two maps, in the order of the names.
fn changes<T: Clone + PartialEq>(first: &BTreeMap<String, T>, second: &BTreeMap<String, T>) -> Vec<Change<T>> {
    pairs(first, second).into_iter().filter(|change| change.from != change.to).collect()
}

/// Two maps side by side, in the order of the names.
fn pairs<T: Clone>(first: &BTreeMap<String, T>, second: &BTreeMap<String, T>) -> Vec<Change<T>> {
    let names: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let change = |name: &String| Change { name: name.clone(), from: first.get(name).cloned(), to: second.get(name).cloned() };
    names.into_iter().map(change).collect()
}

/// A heading and what changed below it.
fn section<T>(heading: &str, changes: &[Change<T>], write: impl Fn(&T) -> String) -> String {
    if changes.is_empty() {
        return format!("{heading:10} equal\n");
    }
    let side = |value: &Option<T>| value.as_ref().map_or_else(|| "–".to_owned(), &write);
    let lines: Vec<String> =
        changes.iter().map(|change| format!("  {}: {} → {}\n", change.name, side(&change.from), side(&change.to))).collect();
    format!("{heading:10} {} changed\n{}", changes.len(), lines.concat())
}

/// A number with at most six digits behind the point, and no zeros at the end.
fn number(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" || text.is_empty() { "0".to_owned() } else { text.to_owned() }
}

/// Draws every run from the earlier to the later one, and says where the figure is.
fn draw(project: &ProjectArguments, all: &[Recorded], first: &Recorded, second: &Recorded) -> anyhow::Result<std::path::PathBuf> {
    let (from, to) = if first.id <= second.id { (&first.id, &second.id) } else { (&second.id, &first.id) };
    let between = all.iter().filter(|run| from <= &run.id && &run.id <= to && run.metrics.contains_key("uplift_lower_points"));
    let found: Vec<Found> = between
        .map(|run| {
            let metric = |name: &str| run.metrics.get(name).copied().unwrap_or(f64::NAN);
            Found {
                run: run.started.get(..16).unwrap_or(&run.id).replace('T', " "),
                points: metric("uplift_points"),
                lower: metric("uplift_lower_points"),
                upper: metric("uplift_upper_points"),
            }
        })
        .collect();
    let figure = trend(&found)?;
    let folder = project.project.join(manifest::FOLDER);
    std::fs::write(folder.join("trend.png"), &figure.png)?;
    std::fs::write(folder.join("trend.svg"), &figure.svg)?;
    Ok(folder.join("trend.png"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_one_side_has_is_a_change() {
        let map = |pairs: &[(&str, u32)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect::<BTreeMap<_, _>>();
        let found = changes(&map(&[("a", 1), ("b", 2), ("c", 3)]), &map(&[("a", 1), ("b", 3), ("d", 4)]));
        let named: Vec<(&str, Option<u32>, Option<u32>)> =
            found.iter().map(|change| (change.name.as_str(), change.from, change.to)).collect();
        assert_eq!(named, [("b", Some(2), Some(3)), ("c", Some(3), None), ("d", None, Some(4))]);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([1.0, -0.000_000_1, 0.25, 1234.5].map(number), ["1", "0", "0.25", "1234.5"]);
    }

    #[test]
    fn metrics_may_move_within_the_tolerance_and_the_verdict_may_not() {
        let change = |name: &str, from: Option<f64>, to: Option<f64>| Change { name: name.to_owned(), from, to };
        let metrics = [change("auc", Some(0.80), Some(0.79)), change("rows", Some(100.0), None), change("harm", Some(0.0), Some(0.0))];
        let (keep, adopt) = (Some("KEEP".to_owned()), Some("ADOPT".to_owned()));
        assert_eq!(moved(&metrics[..1], (&keep, &keep), 0.02), Vec::<&str>::new());
        assert_eq!(moved(&metrics, (&keep, &keep), 0.01), ["auc", "rows"]);
        assert_eq!(moved(&metrics[2..], (&keep, &adopt), 0.0), ["verdict"]);
    }
}
