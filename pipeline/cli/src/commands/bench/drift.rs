//! `bench drift`: how often `drift` fires on generated worlds that stand still, and how soon on worlds that something happens to.

use std::path::Path;

use rayon::prelude::*;
use routewright_domain::Seed;
use routewright_engine::{Artifact, Config, Job, Override, Selection};
use routewright_generate::{World, WorldSettings};
use routewright_ope::Confidence;
use routewright_ope::stats::wilson;
use serde::Serialize;
use stages::STAGES;
use stages::artifacts::{DriftKind, DriftReport, DriftSeverity};

use super::cpu_seconds;
use super::disturb::Disturbance;
use crate::exit::{Exit, UsageError};
use crate::layout::{Align, aligned};
use crate::messages::Messages;

/// Flags of `bench drift`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Decisions of each world
    #[arg(short = 'n', long = "number", value_name = "N", default_value_t = 12_000)]
    number: u64,
    /// Days of each world
    #[arg(long, value_name = "D", default_value_t = 35)]
    days: u32,
    /// Worlds that stand still
    #[arg(long, value_name = "N", default_value_t = 100)]
    still: u64,
    /// Worlds per thing that happens, and per number of days since
    #[arg(long, value_name = "N", default_value_t = 20)]
    moved: u64,
    /// Things that happen
    #[arg(long, value_name = "WHAT", value_delimiter = ',', default_values = ["outage", "fall", "slow", "mix", "exodus", "poison"])]
    what: Vec<Disturbance>,
    /// Days for which they have been going on
    #[arg(long, value_name = "D", value_delimiter = ',', default_values_t = [1, 2, 4, 7])]
    since: Vec<u32>,
    /// Chance of a finding where nothing moved, instead of the default
    #[arg(long, value_name = "LEVEL")]
    level: Option<f64>,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Answer {
    schema_version: u32,
    number: u64,
    days: u32,
    cases: Vec<Case>,
    cpu_seconds_per_look: f64,
}

/// Worlds to which the same happened.
#[derive(Debug, Serialize)]
struct Case {
    what: Option<Disturbance>,
    since_days: u32,
    worlds: usize,
    /// Share of worlds on which `drift` fired, with a 95 % interval.
    fired: f64,
    lower: f64,
    upper: f64,
    /// Share of worlds with any finding at all, small ones too.
    found: f64,
    /// Share of worlds in which a new router is due, and in which the back-test proves a gain.
    retrain: f64,
    helps: f64,
    /// Share of worlds by kind of finding that fired.
    kinds: Vec<(DriftKind, f64)>,
}

/// What one world's report said.
struct Look {
    fired: bool,
    found: bool,
    retrain: bool,
    helps: bool,
    kinds: Vec<DriftKind>,
}

/// Measures and shows.
pub(crate) fn run(arguments: &Arguments, messages: &Messages) -> anyhow::Result<Exit> {
    if arguments.still + arguments.moved == 0 {
        return Err(UsageError("`--still 0 --moved 0` leaves no world".to_owned()).into());
    }
    let level =
        arguments.level.map(|level| Override { key: "drift.level".to_owned(), value: level.to_string(), flag: format!("--level {level}") });
    let config = Config::load(None, level.as_slice(), STAGES, &[])?;
    let started = cpu_seconds().unwrap_or_default();
    let mut cases = vec![case(arguments, &config, None, 0, arguments.still)?];
    for what in &arguments.what {
        for since in &arguments.since {
            cases.push(case(arguments, &config, Some(*what), *since, arguments.moved)?);
            messages.say(&format!("{what:?} for {since} days: done"));
        }
    }
    cases.retain(|case| case.worlds > 0);
    let looks: usize = cases.iter().map(|case| case.worlds).sum();
    let spent = cpu_seconds().unwrap_or_default() - started;
    let answer =
        Answer { schema_version: 1, number: arguments.number, days: arguments.days, cases, cpu_seconds_per_look: spent / looks as f64 };
    messages.result(&in_words(&answer), &answer)?;
    Ok(Exit::Done)
}

/// Looks at worlds to which the same happened.
fn case(arguments: &Arguments, config: &Config, what: Option<Disturbance>, since: u32, worlds: u64) -> anyhow::Result<Case> {
    let looks: Vec<Look> = (1..=worlds)
        .into_par_iter()
        .map(|seed| look(arguments, config, what.map(|what| (what, since)), Seed(seed)))
        .collect::<anyhow::Result<_>>()?;
    let share = |holds: &dyn Fn(&Look) -> bool| looks.iter().filter(|look| holds(look)).count() as f64 / looks.len().max(1) as f64;
    let fired = looks.iter().filter(|look| look.fired).count() as f64;
    let interval = wilson(fired, looks.len().max(1) as f64, Confidence::TWO_SIDED_95);
    let mut kinds: Vec<DriftKind> = looks.iter().flat_map(|look| look.kinds.clone()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    Ok(Case {
        what,
        since_days: since,
        worlds: looks.len(),
        fired: share(&|look| look.fired),
        lower: interval.lower,
        upper: interval.upper,
        found: share(&|look| look.found),
        retrain: share(&|look| look.retrain),
        helps: share(&|look| look.helps),
        kinds: kinds.into_iter().map(|kind| (kind, share(&|look| look.kinds.contains(&kind)))).collect(),
    })
}

/// Generates a world, runs the line as far as `drift` needs it, and reads the report.
fn look(arguments: &Arguments, config: &Config, what: Option<(Disturbance, u32)>, seed: Seed) -> anyhow::Result<Look> {
    let settings =
        WorldSettings { n_decisions: arguments.number, n_days: arguments.days, drift: 0.0, dirt: 0.0, ..WorldSettings::default() };
    let world = World::new(&settings, seed)?;
    let project = tempfile::tempdir()?;
    let raw = project.path().join("data/raw");
    std::fs::create_dir_all(&raw)?;
    for day in 0..arguments.days {
        let mut log = Vec::new();
        world.write_day(day, &mut log, None::<&mut Vec<u8>>)?;
        if let Some((what, since)) = what
            && arguments.days - since.min(arguments.days) <= day
        {
            log = what.rewrite(&log, seed)?;
        }
        std::fs::write(raw.join(world.file_name(day)), log)?;
    }
    let report = report_of(project.path(), config)?;
    let fired: Vec<DriftKind> =
        report.findings.iter().filter(|found| DriftSeverity::Moderate <= found.severity).map(|found| found.kind).collect();
    Ok(Look {
        fired: report.fired,
        found: report.severity > DriftSeverity::None,
        retrain: report.retrain,
        helps: report.retraining.is_some_and(|gain| gain.helps),
        kinds: fired,
    })
}

/// Runs the stage with what it needs.
fn report_of(project: &Path, config: &Config) -> anyhow::Result<DriftReport> {
    let selection = Selection { stages: vec!["drift".to_owned()], ..Selection::default() };
    let job = Job { project, stages: STAGES, config, selection, command: "routewright bench drift".to_owned() };
    routewright_engine::run(&job, &())?;
    DriftReport::read(&project.join(DriftReport::PATH)).map_err(|error| anyhow::anyhow!("the report cannot be read: {error}"))
}

fn in_words(answer: &Answer) -> String {
    let percent = |share: f64| format!("{:.0}%", 100.0 * share);
    let rows: Vec<Vec<String>> = answer
        .cases
        .iter()
        .map(|case| {
            let kinds: Vec<String> =
                case.kinds.iter().map(|(kind, share)| format!("{} {}", format!("{kind:?}").to_lowercase(), percent(*share))).collect();
            vec![
                case.what.map_or_else(|| "nothing".to_owned(), |what| format!("{what:?}").to_lowercase()),
                case.since_days.to_string(),
                case.worlds.to_string(),
                percent(case.fired),
                format!("{}-{}", percent(case.lower), percent(case.upper)),
                percent(case.found),
                percent(case.retrain),
                percent(case.helps),
                kinds.join(", "),
            ]
        })
        .collect();
    let heads = ["what happened", "days", "worlds", "fired", "95%", "found", "retrain", "helps", "what fired"];
    let mut sides = [Align::Right; 9];
    (sides[0], sides[8]) = (Align::Left, Align::Left);
    format!(
        "{} decisions over {} days per world; {:.1} CPU seconds per look, with reading the log\n{}",
        answer.number,
        answer.days,
        answer.cpu_seconds_per_look,
        aligned(&heads, &rows, &sides)
    )
}
