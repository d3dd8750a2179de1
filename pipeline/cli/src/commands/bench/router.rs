//! How fast the router is, on the project's own artifact and queries: decisions, strategies, patterns, scale, loads.

mod decisions;
mod loads;
mod measure;
mod patterns;
mod scale;
mod strategies;

use std::path::PathBuf;

use anyhow::Context;
use routewright_domain::{Decision, Timestamp};
use routewright_router::{Request, Router};
use routewright_table::Decisions;
use serde::Serialize;

use self::measure::Row;
use crate::commands::verify::{ARTIFACT, load};
use crate::exit::{DataError, Exit};
use crate::layout::{Align, aligned, grouped};
use crate::messages::Messages;
use crate::project::ProjectArguments;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Decisions,
    Strategies,
    Patterns,
    Scale,
    Loads,
}

impl Kind {
    /// Every kind, in the order in which they are measured.
    pub(crate) const ALL: [Self; 5] = [Self::Decisions, Self::Strategies, Self::Patterns, Self::Scale, Self::Loads];
}

/// Flags of every measurement of the router.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Folder of the artifact; the project's own by default
    #[arg(long, value_name = "DIR")]
    artifact: Option<PathBuf>,
    /// Decisions that each measurement takes
    #[arg(short = 'n', long = "number", value_name = "N", default_value_t = 20_000)]
    n_decisions: usize,
    /// What executing a path takes where patterns are measured, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 15.0)]
    path_ms: f64,
}

/// A router with the queries it is measured on.
struct Bench {
    router: Router,
    /// Where its artifact lies.
    folder: PathBuf,
    decisions: Vec<Decision>,
    /// When the queries are asked: right after the past that the router knows.
    now: Timestamp,
    n_decisions: usize,
}

impl Bench {
    /// The request at a position; positions past the last query begin anew.
    fn request(&self, position: usize) -> Request<'_> {
        Request { timestamp: self.now, ..Request::from(&self.decisions[position % self.decisions.len()]) }
    }
}

/// One kind's measurements.
#[derive(Debug, Serialize)]
struct Measured {
    kind: Kind,
    rows: Vec<Row>,
    /// What else was found.
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    schema_version: u32,
    artifact_digest: &'a str,
    queries: usize,
    measurements: &'a [Measured],
}

/// Measures what was asked for.
pub(crate) fn run(kinds: &[Kind], arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    let folder = arguments.artifact.clone().unwrap_or_else(|| project.project.join(ARTIFACT));
    let router = load(&folder)?;
    let table = Decisions::open(&project.project.join("data/decisions")).map_err(DataError::of)?;
    let mut decisions = Vec::new();
    for day in table.iter() {
        decisions.extend(day.map_err(DataError::of)?);
        if arguments.n_decisions <= decisions.len() {
            break;
        }
    }
    if decisions.is_empty() {
        return Err(DataError("the table of decisions is empty: there are no queries to measure on".to_owned()).into());
    }
    let now = router.history().now().plus_millis(1.0);
    let bench = Bench { router, folder, decisions, now, n_decisions: arguments.n_decisions.max(1) };
    let mut measurements = Vec::new();
    for kind in kinds {
        measurements.push(match kind {
            Kind::Decisions => decisions::measure(&bench).context("cannot measure decisions")?,
            Kind::Strategies => strategies::measure(&bench).context("cannot measure strategies")?,
            Kind::Patterns => patterns::measure(&bench, arguments.path_ms),
            Kind::Scale => scale::measure(&bench),
            Kind::Loads => loads::measure(&bench)?,
        });
    }
    let document = Document {
        schema_version: 1,
        artifact_digest: bench.router.digest(),
        queries: bench.decisions.len().min(bench.n_decisions),
        measurements: &measurements,
    };
    messages.result(&in_words(&measurements), &document)?;
    Ok(Exit::Done)
}

fn in_words(measurements: &[Measured]) -> String {
    let mut text = String::new();
    for measured in measurements {
        let cells = |row: &Row| {
            let micros = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"));
            vec![
                row.name.clone(),
                grouped(row.n),
                grouped(row.per_second as usize),
                row.per_cpu_second.map_or_else(|| "–".to_owned(), |rate| grouped(rate as usize)),
                micros(row.p50_us),
                micros(row.p99_us),
                micros(row.p999_us),
                row.times_seed.map_or_else(|| "–".to_owned(), |times| format!("{times:.1}x")),
            ]
        };
        let rows: Vec<Vec<String>> = measured.rows.iter().map(cells).collect();
        let header = ["", "n", "per second", "per CPU s", "p50 µs", "p99 µs", "p99.9 µs", "seed's"];
        let align = [Align::Left, Align::Right, Align::Right, Align::Right, Align::Right, Align::Right, Align::Right, Align::Right];
        text.push_str(&format!("{:?}\n", measured.kind).to_lowercase());
        text.push_str(&aligned(&header, &rows, &align));
        measured.notes.iter().for_each(|note| text.push_str(&format!("{note}\n")));
        text.push('\n');
    }
    text
}
