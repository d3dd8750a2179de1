//! `tune`: thresholds that replaying the cascade proves better; shown as a diff, and written only when asked for.

mod config_file;

use std::path::{Path, PathBuf};

use routewright_cascade::{CascadeConfig, Scope, TuneSettings, Tuning, overview, tune};
use serde::Serialize;

use self::config_file::{Applied, ConfigFile};
use crate::exit::{DataError, Exit, UsageError};
use crate::layout::{Align, aligned, grouped};
use crate::messages::Messages;
use crate::operations::{Feed, Head, WindowArguments, millis, percent, window_words};
use crate::project::ProjectArguments;

/// Hours that the nightly run looks at.
const NIGHTLY_HOURS: f64 = 168.0;

/// Flags of `tune`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    window: WindowArguments,
    /// Only show what would change; the default
    #[arg(short, long = "preview", conflicts_with_all = ["apply", "undo"])]
    dry: bool,
    /// Write the proven thresholds to the cascade's config.json, with a backup and an audit line
    #[arg(long, conflicts_with = "undo")]
    apply: bool,
    /// Take larger steps
    #[arg(short, long)]
    aggressive: bool,
    /// Outcomes among the attempts of a layer below which its threshold stays
    #[arg(short, long, value_name = "N")]
    min_samples: Option<u64>,
    /// How far a threshold moves at most
    #[arg(short, long)]
    step: Option<f64>,
    /// The cascade's config.json instead of `cascade.config`, or of the one beside the log
    #[arg(long, value_name = "FILE")]
    cascade: Option<PathBuf>,
    /// Put back the config.json that the last --apply replaced
    #[arg(long)]
    undo: bool,
}

/// Everything that is said.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    head: Head,
    config: Option<&'a Path>,
    tuning: &'a Tuning,
    diff: &'a str,
    applied: Option<&'a Applied>,
}

/// Tunes, shows, and applies where asked for.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    if arguments.undo {
        return undo(arguments, project, messages);
    }
    let feed = Feed::open(&arguments.window, 0.0, project)?;
    let settings = settings(arguments, &feed.params.tune)?;
    let window = feed.window(arguments.window.hours);
    let scope = feed.scope(window);
    if scope.layers().is_empty() {
        return Err(
            DataError("the log has no layers; thresholds belong to a cascade, whose events name `routing_layers`".to_owned()).into()
        );
    }
    let place = arguments.cascade.clone().or_else(|| feed.config_place(&project.project));
    let file = place.as_deref().map(ConfigFile::read).transpose()?;
    let present = thresholds(&scope, file.as_ref().map(|file| &file.config), feed.params.declared_split);
    let max_move = if arguments.aggressive { settings.step * settings.aggressive } else { settings.step };
    let tuning = tune(&scope, &present, max_move, &settings);
    let moved: Vec<(&str, f64)> =
        tuning.layers.iter().filter(|layer| layer.from != layer.to).map(|layer| (layer.layer.as_str(), layer.to)).collect();
    let diff = match &file {
        Some(file) if tuning.changed => file.diff(&moved)?,
        _ => String::new(),
    };
    let mut text = format!("{}\n{}", window_words(window), in_words(&tuning));
    if tuning.changed {
        text.push_str(&match &file {
            Some(_) => format!("\n{diff}"),
            None => "\nno config.json is known: name it with --cascade, or set `cascade.config`\n".to_owned(),
        });
    }
    let mut applied = None;
    if arguments.apply && !arguments.dry && tuning.changed && !project.dry_run {
        let file = file.as_ref().ok_or_else(|| UsageError("`--apply`: no config.json is known; name it with --cascade".to_owned()))?;
        let done = file.apply(&tuning, &moved, window.hours)?;
        text.push_str(&format!(
            "\nwritten to {}; the version before is {}, the reason is in {}\n",
            file.place.display(),
            done.backup.display(),
            done.audit.display()
        ));
        applied = Some(done);
    } else if tuning.changed && file.is_some() {
        text.push_str("\nnothing is written; add --apply to write it\n");
    }
    let answer = Answer { head: feed.head(window), config: place.as_deref(), tuning: &tuning, diff: &diff, applied: applied.as_ref() };
    messages.result(&text, &answer)?;
    Ok(Exit::Done)
}

/// Writes proven thresholds of the last week to the cascade's config.json, as `--apply` does; what it did in words, nothing where there is no cascade
/// or nothing is proven.
///
/// # Errors
/// Logs or a configuration that cannot be read, or no configuration to write to.
pub(crate) fn every_night(project: &ProjectArguments) -> anyhow::Result<Option<String>> {
    let window = WindowArguments { hours: NIGHTLY_HOURS, input: Vec::new() };
    let feed = Feed::open(&window, 0.0, project)?;
    let settings = &feed.params.tune;
    let window = feed.window(window.hours);
    let scope = feed.scope(window);
    if scope.layers().is_empty() {
        return Ok(None);
    }
    let place = feed.config_place(&project.project);
    let place = place.ok_or_else(|| UsageError("`nightly.tune_cascade`: no config.json is known; set `cascade.config`".to_owned()))?;
    let file = ConfigFile::read(&place)?;
    let tuning = tune(&scope, &thresholds(&scope, Some(&file.config), feed.params.declared_split), settings.step, settings);
    if !tuning.changed {
        return Ok(None);
    }
    let layers = || tuning.layers.iter().filter(|layer| layer.from != layer.to);
    let moved: Vec<(&str, f64)> = layers().map(|layer| (layer.layer.as_str(), layer.to)).collect();
    file.apply(&tuning, &moved, window.hours)?;
    let words: Vec<String> = layers().map(|layer| format!("{} {} to {}", layer.layer, layer.from, layer.to)).collect();
    Ok(Some(format!("{}: {}", words.join(", "), tuning.reason)))
}

/// Puts back what the last `--apply` replaced.
fn undo(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    let place = match &arguments.cascade {
        Some(place) => place.clone(),
        None => Feed::open(&arguments.window, 0.0, project)?
            .config_place(&project.project)
            .ok_or_else(|| UsageError("`--undo`: no config.json is known; name it with --cascade".to_owned()))?,
    };
    let file = ConfigFile::read(&place)?;
    let backup = file.undo(project.dry_run)?;
    let words = if project.dry_run { "would be" } else { "is" };
    messages.result(
        &format!("{} {words} again what it was: {}\n", place.display(), backup.display()),
        &serde_json::json!({ "schema_version": 1, "config": place, "restored": backup }),
    )?;
    Ok(Exit::Done)
}

/// The settings with what the flags change.
fn settings(arguments: &Arguments, settings: &TuneSettings) -> anyhow::Result<TuneSettings> {
    let settings = TuneSettings {
        step: arguments.step.unwrap_or(settings.step),
        min_samples: arguments.min_samples.unwrap_or(settings.min_samples),
        ..settings.clone()
    };
    settings.check().map_err(|(key, message)| UsageError(format!("`--{}` {message}", key.replace('_', "-"))))?;
    Ok(settings)
}

/// The present thresholds: as configured, else as last logged.
fn thresholds(scope: &Scope<'_>, config: Option<&CascadeConfig>, declared_split: f64) -> Vec<f64> {
    let logged = overview(scope, declared_split).layers;
    let configured = |layer: &str| config.and_then(|config| config.threshold(layer));
    logged.iter().map(|layer| configured(&layer.layer).or(layer.threshold).unwrap_or(1.0)).collect()
}

fn in_words(tuning: &Tuning) -> String {
    let mut text = format!(
        "{} routes, {} of them with a verdict; the present thresholds give back {} of their answers\n\n",
        grouped(tuning.events),
        grouped(tuning.outcomes),
        grouped(tuning.reproduced)
    );
    let rows: Vec<Vec<String>> = tuning
        .layers
        .iter()
        .map(|layer| {
            vec![
                layer.layer.clone(),
                format!("{}", layer.from),
                format!("{}", layer.to),
                grouped(layer.samples as usize),
                layer.note.clone(),
            ]
        })
        .collect();
    let align = [Align::Left, Align::Right, Align::Right, Align::Right, Align::Left];
    text.push_str(&aligned(&["layer", "threshold", "proposed", "outcomes", ""], &rows, &align));
    text.push('\n');
    for layer in &tuning.layers {
        let Some(raise) = layer.raise.as_ref().filter(|raise| !raise.identified) else { continue };
        text.push_str(&format!(
            "{}: what {} would pass on is not known: {} routes, later layers saw {} like them; accuracy changes by {:+.1} to {:+.1} points\n",
            layer.layer,
            raise.to,
            grouped(raise.unknown),
            raise.seen,
            raise.accuracy_change.lower * 100.0,
            raise.accuracy_change.upper * 100.0
        ));
    }
    if tuning.layers.iter().any(|layer| layer.raise.as_ref().is_some_and(|raise| !raise.identified)) {
        text.push_str("to know it, ask later layers in shadow for a random share of the routes that a layer settles\n\n");
    }
    text.push_str(&format!("{}: {}\n", if tuning.changed { "PROVEN" } else { "NO CHANGE" }, tuning.reason));
    if let Some(effect) = &tuning.held_out {
        text.push_str(&format!(
            "on these {} routes: accuracy {} to {}, mean latency {} to {}, clarification {} to {}; {} answers change\n",
            grouped(effect.events),
            percent(Some(effect.accuracy[0])),
            percent(Some(effect.accuracy[1])),
            millis(Some(effect.latency_ms[0])),
            millis(Some(effect.latency_ms[1])),
            percent(Some(effect.clarification[0])),
            percent(Some(effect.clarification[1])),
            grouped(effect.changed)
        ));
    }
    text
}
