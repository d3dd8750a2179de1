//! `bench nights`: `run --nightly` night after night on a generated world to which things happen, against the truth.
//!
//! The world moves by itself; a path has an outage of some days and gets worse for good later; one night's outcomes are written the wrong way
//! round; one night's log comes a day late; one night's run is killed. What is deployed takes its share of the next day's traffic, so that guardrails
//! see what it does. The truth is the probability of success that the world draws from, of every path, whatever ran.

mod world;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use routewright_domain::Seed;
use serde::Serialize;

use self::world::{Day, Event, Nights};
use super::cpu_seconds;
use crate::commands::nightly::{Night, nights_of};
use crate::exit::{DataError, Exit, UsageError};
use crate::layout::{Align, aligned, shortened};
use crate::messages::Messages;

/// Longest reason in the table.
const MAX_WORDS: usize = 110;

/// Days after a decision on which its truth is looked at.
const TRUTH_DAYS: u32 = 7;

/// How often a running night is looked at before it is killed.
const LOOK: Duration = Duration::from_millis(20);

/// The settings of the project: a rollout that walks by itself, on short steps; forests that are quick to grow.
const SETTINGS: &str = r#"
[train]
learning_curve = []
origins = 0
success_leaf_sizes = [20]

[evaluate]
importance_features = 5
importance_rows = 500
importance_repeats = 1
calibration_resamples = 20

[export]
golden = 10

[nightly]
judge_days = 7
growth = 1.6
promote = true

[deploy]
automatic = true
min_days = 2.0
min_outcomes = 40
harm_points = 10.0
"#;

/// Flags of `bench nights`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Nights
    #[arg(long, value_name = "N", default_value_t = 60)]
    nights: u32,
    /// Decisions a day, on average
    #[arg(short = 'n', long = "number", value_name = "N", default_value_t = 400)]
    number: u64,
    /// Seed of the world
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Expected success of the best path per query minus that of the static router, in points
    #[arg(long, value_name = "POINTS", default_value_t = 12.0)]
    uplift: f64,
    /// Keep the project in this folder, which must not exist
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// What was seen.
#[derive(Debug, Serialize)]
struct Answer {
    schema_version: u32,
    nights: Vec<Seen>,
    /// Mean true success over all nights, of the static rules, of what was served, and of the best path per query.
    static_success: f64,
    served_success: f64,
    best_success: f64,
    /// Challengers that were kept, and how many of them are truly no worse than the champion by a point on the days after.
    accepted: usize,
    accepted_rightly: usize,
    /// Challengers that were rejected, and how many of them are truly not better by a point.
    rejected: usize,
    rejected_rightly: usize,
    cpu_seconds_per_night: f64,
}

/// A night.
#[derive(Debug, Serialize)]
struct Seen {
    night: u32,
    date: String,
    events: Vec<Event>,
    outcome: Option<String>,
    why: String,
    deployment: Option<String>,
    share: f64,
    /// True success on that day, in percent.
    static_success: f64,
    served_success: f64,
    best_success: f64,
    /// True success of the challenger less that of the champion on the days after, in points.
    true_points: Option<f64>,
    /// What the duel said.
    found_points: Option<f64>,
    seconds: f64,
}

/// Runs the nights and shows them.
pub(crate) fn run(arguments: &Arguments, messages: &Messages) -> anyhow::Result<Exit> {
    if arguments.nights < 2 || arguments.number == 0 {
        return Err(UsageError("at least 2 nights and 1 decision a day are needed".to_owned()).into());
    }
    let scratch = tempfile::tempdir()?;
    let project = arguments.keep.clone().unwrap_or_else(|| scratch.path().to_owned());
    if arguments.keep.as_ref().is_some_and(|folder| folder.exists()) {
        return Err(UsageError(format!("`--keep {}`: there is something already", project.display())).into());
    }
    std::fs::create_dir_all(project.join("data/raw"))?;
    std::fs::write(project.join("pipeline.toml"), SETTINGS)?;
    let world = Nights::new(arguments.nights, arguments.number, arguments.uplift, Seed(arguments.seed))?;
    let mut late: Option<(PathBuf, Vec<u8>)> = None;
    let mut seen = Vec::new();
    let started = cpu_of_children() + cpu_seconds().unwrap_or_default();
    for number in 0..arguments.nights {
        let day = world.day(number, &project)?;
        let place = project.join("data/raw").join(&day.file);
        if let Some((place, log)) = late.take() {
            std::fs::write(place, log)?;
        }
        if day.events.contains(&Event::NoData) {
            late = Some((place, day.log.clone()));
        } else {
            std::fs::write(&place, &day.log)?;
        }
        let watch = Instant::now();
        if day.events.contains(&Event::Kill) {
            kill_in_the_middle(&project, &world.moment(number))?;
        }
        let status = nightly(&project, &world.moment(number)).status().context("cannot run the night")?;
        let night = nights_of(&project)?.pop();
        let one = one(&world, number, day, night.as_ref(), &project, watch.elapsed().as_secs_f64())?;
        if !status.success() && status.code() != Some(Exit::Data as i32) {
            return Err(DataError(format!("night {number} ended with {status}")).into());
        }
        messages.say(&line(&one));
        seen.push(one);
    }
    let spent = cpu_of_children() + cpu_seconds().unwrap_or_default() - started;
    let answer = summary(seen, spent);
    messages.result(&in_words(&answer), &answer)?;
    Ok(Exit::Done)
}

/// The command of a night.
fn nightly(project: &Path, at: &str) -> Command {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("routewright"));
    let mut command = Command::new(program);
    command.args(["--quiet", "--progress", "none", "--project"]).arg(project).args(["run", "--nightly", "--at", at]);
    command.stdout(Stdio::null()).stderr(Stdio::inherit());
    command
}

/// Starts a night and kills it while a stage is at work; a night that is faster than that has nothing in its middle.
fn kill_in_the_middle(project: &Path, at: &str) -> anyhow::Result<()> {
    let mut child = nightly(project, at).spawn().context("cannot run the night")?;
    let busy = project.join("data/.stages/.scratch-features");
    while !busy.exists() && child.try_wait()?.is_none() {
        std::thread::sleep(LOOK);
    }
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// What a night came to, beside the truth.
fn one(world: &Nights, number: u32, day: Day, night: Option<&Night>, project: &Path, seconds: f64) -> anyhow::Result<Seen> {
    let duelled = night.and_then(|night| Some((night.duel.as_ref()?, night.challenger.as_deref()?, night.champion.as_deref())));
    let days = number + 1..(number + 1 + TRUTH_DAYS).min(world.n_nights());
    let true_points = match duelled {
        Some((_, challenger, champion)) if !days.is_empty() => world.true_points(challenger, champion, days, project)?,
        _ => None,
    };
    let word = |night: &Night| serde_json::to_value(night.outcome).ok().and_then(|value| value.as_str().map(str::to_owned));
    Ok(Seen {
        night: number + 1,
        date: day.date,
        events: day.events,
        outcome: night.and_then(word),
        why: night.and_then(|night| night.why.last().cloned()).unwrap_or_default(),
        deployment: night.and_then(|night| night.deployment.clone()),
        share: day.share,
        static_success: 100.0 * day.static_success,
        served_success: 100.0 * day.served_success,
        best_success: 100.0 * day.best_success,
        true_points,
        found_points: duelled.and_then(|(duel, _, _)| duel.points),
        seconds,
    })
}

fn summary(nights: Vec<Seen>, cpu: f64) -> Answer {
    let mean = |value: &dyn Fn(&Seen) -> f64| nights.iter().map(value).sum::<f64>() / nights.len().max(1) as f64;
    let judged = |outcome: &str| -> Vec<f64> {
        nights.iter().filter(|night| night.outcome.as_deref() == Some(outcome)).filter_map(|night| night.true_points).collect()
    };
    let (accepted, rejected) = (judged("candidate"), judged("rejected"));
    Answer {
        schema_version: 1,
        static_success: mean(&|night| night.static_success),
        served_success: mean(&|night| night.served_success),
        best_success: mean(&|night| night.best_success),
        accepted: accepted.len(),
        accepted_rightly: accepted.iter().filter(|points| **points > -1.0).count(),
        rejected: rejected.len(),
        rejected_rightly: rejected.iter().filter(|points| **points < 1.0).count(),
        cpu_seconds_per_night: cpu / nights.len().max(1) as f64,
        nights,
    }
}

/// A night in one line, while they run.
fn line(night: &Seen) -> String {
    let events: Vec<String> = night.events.iter().map(|event| format!("{event:?}").to_lowercase()).collect();
    format!(
        "night {:2} {} {:10} share {:3.0}% served {:.1}% static {:.1}% {}",
        night.night,
        night.date,
        night.outcome.as_deref().unwrap_or("-"),
        100.0 * night.share,
        night.served_success,
        night.static_success,
        events.join(", ")
    )
}

fn in_words(answer: &Answer) -> String {
    let points = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:+.1}"));
    let rows: Vec<Vec<String>> = answer
        .nights
        .iter()
        .map(|night| {
            let events: Vec<String> = night.events.iter().map(|event| format!("{event:?}").to_lowercase()).collect();
            let why = [Some(night.why.clone()), night.deployment.clone()].into_iter().flatten().collect::<Vec<_>>().join(" | ");
            vec![
                night.night.to_string(),
                night.date.clone(),
                events.join("+"),
                night.outcome.clone().unwrap_or_else(|| "-".to_owned()),
                format!("{:.0}%", 100.0 * night.share),
                format!("{:.1}", night.static_success),
                format!("{:.1}", night.served_success),
                format!("{:.1}", night.best_success),
                points(night.found_points),
                points(night.true_points),
                shortened(&why, MAX_WORDS),
            ]
        })
        .collect();
    let heads = ["night", "day", "event", "outcome", "share", "static", "served", "best", "found", "true", "why | deployment"];
    let mut sides = [Align::Right; 11];
    (sides[1], sides[2], sides[3], sides[10]) = (Align::Left, Align::Left, Align::Left, Align::Left);
    format!(
        "{}\ntrue success   static {:.1}%, served {:.1}%, best {:.1}%\naccepted       {} challengers, {} of them rightly; rejected {}, {} of them rightly\n\
         cost           {:.1} CPU seconds a night\n",
        aligned(&heads, &rows, &sides),
        answer.static_success,
        answer.served_success,
        answer.best_success,
        answer.accepted,
        answer.accepted_rightly,
        answer.rejected,
        answer.rejected_rightly,
        answer.cpu_seconds_per_night
    )
}

/// CPU seconds of the processes that were started and have ended, where the system tells (Linux).
fn cpu_of_children() -> f64 {
    /// Clock ticks per second that Linux reports process times in.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let numbers = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    numbers.split_whitespace().skip(13).take(2).filter_map(|number| number.parse::<f64>().ok()).sum::<f64>() / TICKS
}
