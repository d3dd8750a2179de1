//! The `routewright` command: learns from logs of routing outcomes which path a query should take, judges it honestly, ships it.
//!
//! This is the front page of the documentation. The line is in [`stages`], one file per stage; the machinery below it knows no stage:
//!
//! * [`routewright_domain`]: decisions, paths, propensities, estimates: words and invariants, no I/O
//! * [`routewright_router`]: encode, predict, choose, and the artifact: what online routers embed
//! * [`routewright_forest`]: growing forests, folds, metrics, calibration
//! * [`routewright_ope`]: off-policy estimators, intervals, gates, the E-009 decision
//! * [`routewright_table`]: log formats in, Parquet tables out; the only crate that names polars
//! * [`routewright_engine`]: stages, settings, plans, records, locks, atomic outputs
//! * [`routewright_generate`]: generated worlds with known potential outcomes
//! * [`routewright_cascade`]: cascades of layers
//! * [`routewright_rollout`]: from verdict to traffic: steps, guardrails, rollback
//!
//! ```text
//! cli → stages → { forest → router → domain,  ope → domain,  table → domain,  plot → domain }      engine → none of ours
//! ```
//!
//! A command is one file below `commands` and one line of its enum; results go to stdout, words to stderr, exit codes are in `exit`.

mod ci;
mod commands;
mod deployments;
mod exit;
mod freshness;
mod layout;
mod manifest;
mod messages;
mod operations;
mod overrides;
mod project;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

use crate::messages::Messages;
use crate::project::ProjectArguments;

/// Threads that parse, encode and grow trees ask for memory all the time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Learn from logs of routing outcomes which path a query should take, judge it honestly, ship it
#[derive(Debug, Parser)]
#[command(name = "routewright", version, propagate_version = true)]
struct Arguments {
    #[command(flatten)]
    project: ProjectArguments,
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    let Arguments { project, command } = Arguments::parse();
    let messages = Messages::new(project.progress, project.color, project.ci, project.quiet, project.json);
    let result = use_threads(project.threads).and_then(|()| commands::execute(&command, &project, &messages));
    let exit = result.unwrap_or_else(|error| {
        messages.error(&error);
        let exit = exit::exit_of(&error);
        if messages.json() {
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            let document = serde_json::json!({ "schema_version": 1, "error": causes.join(": "), "exit_code": exit as u8 });
            // The error itself has been said; a closed stdout cannot be told about.
            let _ = messages.result("", &document);
        }
        exit
    });
    exit.into()
}

/// Limits the number of threads, where the user asked for it.
fn use_threads(threads: Option<usize>) -> anyhow::Result<()> {
    match threads {
        None => Ok(()),
        Some(0) => Err(exit::UsageError("`--threads 0`: at least one thread is needed".to_owned()).into()),
        Some(threads) => Ok(rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?),
    }
}
