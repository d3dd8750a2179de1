//! `generate`: a log whose truth is known, for trying things out and for tests.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use routewright_domain::Seed;
use routewright_generate::{CascadeSettings, CascadeWorld, DayCounts, Log, World, WorldSettings};
use serde_json::json;

use crate::exit::{Exit, UsageError};
use crate::messages::Messages;
use crate::project::ProjectArguments;

/// Formats that can be generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Routing outcomes, one file per day
    E009,
    /// Events of a five-layer cascade, one file
    Cortex,
    /// Full information: every path of every decision, one file per day
    Matrix,
    /// A gateway's randomised test of the best paths against the static router, one file per day
    RouterMetrics,
}

impl Format {
    /// What the log of a world tells in it; nothing for the events of a cascade, which is another world.
    pub(crate) fn log(self) -> Option<Log> {
        match self {
            Self::E009 => Some(Log::Outcomes),
            Self::Matrix => Some(Log::Matrix),
            Self::RouterMetrics => Some(Log::Gateway),
            Self::Cortex => None,
        }
    }
}

/// Flags of `generate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Number of decisions
    #[arg(short = 'n', long = "number", value_name = "N", default_value_t = WorldSettings::default().n_decisions)]
    n_decisions: u64,
    /// Seed of the world
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder to write to; the project's data/raw by default
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Format of the log
    #[arg(long, default_value = "e009")]
    format: Format,
    /// Share of decisions that explore, in [0, 1]; 0 gives a deterministic log. Of a cascade: share of events that ask every layer in
    /// shadow; 0.2, of a cascade 0, by default
    #[arg(long)]
    epsilon: Option<f64>,
    /// Draw exploration once per session, which then lasts a day, instead of once per decision
    #[arg(long)]
    sticky: bool,
    /// Expected success of the best path per query minus that of the static router, in points
    #[arg(long, value_name = "POINTS", default_value_t = WorldSettings::default().uplift_points)]
    uplift: f64,
    /// Number of days; 28, of a cascade 7, by default
    #[arg(long)]
    days: Option<u32>,
    /// Share of records that are damaged, pending or repeated, in [0, 1]
    #[arg(long, default_value_t = WorldSettings::default().dirt)]
    dirt: f64,
    /// How far the world moves over the days, in [0, 1]
    #[arg(long, default_value_t = WorldSettings::default().drift)]
    drift: f64,
    /// File for the truth: what every path would have earned
    #[arg(long, value_name = "FILE")]
    oracle: Option<PathBuf>,
}

/// Writes the log, and the truth where asked for.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    let folder = arguments.out.clone().unwrap_or_else(|| project.project.join("data/raw"));
    if project.dry_run {
        messages.result(
            &format!("would write {} decisions to {}\n", arguments.n_decisions, folder.display()),
            &json!({ "schema_version": 1 }),
        )?;
        return Ok(Exit::Done);
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    match arguments.format.log() {
        Some(log) => outcomes(arguments, log, &folder, messages),
        None => cascade(arguments, &folder, messages),
    }
}

/// One file per day of routing outcomes.
fn outcomes(arguments: &Arguments, log: Log, folder: &Path, messages: &Messages) -> anyhow::Result<Exit> {
    let default = WorldSettings::default();
    let settings = WorldSettings {
        n_decisions: arguments.n_decisions,
        n_days: arguments.days.unwrap_or(default.n_days),
        epsilon: arguments.epsilon.unwrap_or(default.epsilon),
        sticky: arguments.sticky,
        uplift_points: arguments.uplift,
        dirt: arguments.dirt,
        drift: arguments.drift,
        log,
        ..default
    };
    let world = World::new(&settings, Seed(arguments.seed)).map_err(|error| UsageError(error.to_string()))?;
    let mut oracle = arguments.oracle.as_deref().map(create).transpose()?;
    let mut counts = DayCounts::default();
    for day in 0..settings.n_days {
        let place = folder.join(world.file_name(day));
        let mut log = create(&place)?;
        counts.add(&world.write_day(day, &mut log, oracle.as_mut()).with_context(|| format!("cannot write `{}`", place.display()))?);
        log.flush()?;
    }
    if let Some(oracle) = &mut oracle {
        oracle.flush()?;
    }
    let truth = world.truth();
    let text = format!(
        "wrote {} decisions of {} days to {}, {} of them dirty\ntruth: static {:.4}, best per query {:.4}, uplift {:.2} points\n",
        counts.rows,
        settings.n_days,
        folder.display(),
        counts.dirt.values().sum::<u64>(),
        truth.static_success,
        truth.best_success,
        truth.uplift_points
    );
    messages.result(&text, &json!({ "schema_version": 1, "folder": folder, "counts": counts, "truth": truth }))?;
    Ok(Exit::Done)
}

/// One file of cascade events, with the cascade's own configuration beside it.
fn cascade(arguments: &Arguments, folder: &Path, messages: &Messages) -> anyhow::Result<Exit> {
    let default = CascadeSettings::default();
    let settings = CascadeSettings {
        n_decisions: arguments.n_decisions,
        n_days: arguments.days.unwrap_or(default.n_days),
        shadow: arguments.epsilon.unwrap_or(default.shadow),
        ..default
    };
    let world = CascadeWorld::new(&settings, Seed(arguments.seed)).map_err(|error| UsageError(error.to_string()))?;
    let (place, config) = (folder.join(CascadeWorld::FILE_NAME), folder.join(CascadeWorld::CONFIG_NAME));
    let mut log = create(&place)?;
    let mut oracle = arguments.oracle.as_deref().map(create).transpose()?;
    for day in 0..settings.n_days {
        world.write_day(day, &mut log, oracle.as_mut()).with_context(|| format!("cannot write `{}`", place.display()))?;
    }
    log.flush()?;
    if let Some(oracle) = &mut oracle {
        oracle.flush()?;
    }
    std::fs::write(&config, world.config()?).with_context(|| format!("cannot write `{}`", config.display()))?;
    let truth = world.truth();
    let mut text = format!(
        "wrote {} events of {} days to {}, the cascade's thresholds to {}\n",
        arguments.n_decisions,
        settings.n_days,
        place.display(),
        config.display()
    );
    text.push_str(&format!(
        "truth: value {:.4}, with the best thresholds {:.4}; accuracy {:.4}, with them {:.4}\n",
        truth.value, truth.best_value, truth.accuracy, truth.best_accuracy
    ));
    for layer in &truth.layers {
        text.push_str(&format!("  {:14} threshold {:.3}, best {:.3}\n", layer.layer, layer.threshold, layer.best_threshold));
    }
    messages.result(&text, &json!({ "schema_version": 1, "file": place, "config": config, "truth": truth }))?;
    Ok(Exit::Done)
}

/// Makes a file for writing.
fn create(place: &Path) -> anyhow::Result<BufWriter<File>> {
    Ok(BufWriter::new(File::create(place).with_context(|| format!("cannot write `{}`", place.display()))?))
}
