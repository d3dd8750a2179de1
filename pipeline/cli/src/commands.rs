//! The commands, one file each.

mod alerts;
mod analyze;
mod bench;
mod check;
mod compare;
mod completions;
mod config;
mod dashboard;
pub(crate) mod deploy;
mod drift;
mod finetune_data;
mod fit;
pub(crate) mod gate;
mod generate;
mod head;
mod monitor;
pub(crate) mod nightly;
mod ope;
mod power;
mod profile;
mod rollback;
mod rotate;
mod route;
mod run;
mod runs;
mod schema;
mod stages;
mod status;
mod tune;
pub(crate) mod verify;

use crate::exit::Exit;
use crate::messages::Messages;
use crate::project::ProjectArguments;

/// What the user asked for.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Run what is not fresh
    Run(run::Arguments),
    /// Read the logs into the tables of decisions and layers
    Ingest(run::StageArguments),
    /// Answer the four questions of the exploratory analysis
    Explore(run::StageArguments),
    /// Compute what was known when each decision was made
    Features(run::StageArguments),
    /// Grow the forests on the training window
    Train(run::StageArguments),
    /// Judge the forests on the held-out window
    Evaluate(run::StageArguments),
    /// Estimate what each policy would have earned on the held-out window
    Replay(run::StageArguments),
    /// Apply the decision rule
    Decide(run::StageArguments),
    /// Write the report and its figures
    Report(run::StageArguments),
    /// Pack the artifact that online routers load
    Export(run::StageArguments),
    /// Say what each layer of a cascade settles, how right and how fast
    Cascade(run::StageArguments),
    /// Say whether the newest days are like those before, and exit 12 when something moved
    Drift(run::StageArguments),
    /// Say per stage whether it is fresh, or why it would run
    Status,
    /// List the stages of the line
    Stages,
    /// Look for everything a run would trip over, without running
    Check(check::Arguments),
    /// Show settings
    #[command(subcommand)]
    Config(config::Command),
    /// Read the decision and exit 0 (accepted), 10 (refused) or 11 (inconclusive)
    Gate(gate::Arguments),
    /// List the runs on record
    Runs(runs::Arguments),
    /// Show what changed from one run to another
    Compare(compare::Arguments),
    /// Write a log with known truth
    Generate(generate::Arguments),
    /// Show the columns of a table: name, type, unit, meaning
    Schema(schema::Arguments),
    /// Show the first rows of a table
    Head(head::Arguments),
    /// Archive logs beyond a size or an age
    Rotate(rotate::Arguments),
    /// Decide with an artifact
    Route(route::Arguments),
    /// Check an artifact: checksums, schema, golden decisions
    Verify(verify::Arguments),
    /// Estimate a policy on any table of logged decisions, with every estimator
    Ope(ope::Arguments),
    /// Grow a forest on any table and judge it
    Fit(fit::Arguments),
    /// Write decisions as chats to fine-tune a language model, or check such files
    FinetuneData(finetune_data::Arguments),
    /// Say how much data a verdict needs
    Power(power::Arguments),
    /// Show a cascade at a glance, once or live
    Dashboard(dashboard::Arguments),
    /// Analyse each layer of a cascade and its threshold
    Analyze(analyze::Arguments),
    /// Find better thresholds by replaying a cascade; writes them only with --apply
    Tune(tune::Arguments),
    /// Say where the time goes: percentiles, bottlenecks, caches, changes
    Profile(profile::Arguments),
    /// Hold metrics against targets, exit 12 when one is off, and write them for Prometheus
    Alerts(alerts::Arguments),
    /// Give an artifact traffic, step by step; say what the next step waits for
    Deploy(deploy::Arguments),
    /// Take the traffic away from an artifact, at once
    Rollback(rollback::Arguments),
    /// Say what the gateway's log shows, with the success criteria of a rollout
    Monitor(monitor::Arguments),
    /// Measure the router and the machinery
    #[command(subcommand)]
    Bench(bench::Kind),
    /// Print completions for a shell
    Completions(completions::Arguments),
}

/// Carries out a command.
pub(crate) fn execute(command: &Command, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    match command {
        Command::Run(arguments) => run::run(arguments, project, messages),
        Command::Ingest(arguments) => run::run_stage("ingest", arguments, project, messages),
        Command::Explore(arguments) => run::run_stage("explore", arguments, project, messages),
        Command::Features(arguments) => run::run_stage("features", arguments, project, messages),
        Command::Train(arguments) => run::run_stage("train", arguments, project, messages),
        Command::Evaluate(arguments) => run::run_stage("evaluate", arguments, project, messages),
        Command::Replay(arguments) => run::run_stage("replay", arguments, project, messages),
        Command::Decide(arguments) => run::run_stage("decide", arguments, project, messages),
        Command::Report(arguments) => run::run_stage("report", arguments, project, messages),
        Command::Export(arguments) => run::run_stage("export", arguments, project, messages),
        Command::Cascade(arguments) => run::run_stage("cascade", arguments, project, messages),
        Command::Drift(arguments) => drift::run(arguments, project, messages),
        Command::Status => status::run(project, messages),
        Command::Stages => stages::run(messages),
        Command::Check(arguments) => check::run(arguments, project, messages),
        Command::Config(config::Command::Show(arguments)) => config::show(arguments, project, messages),
        Command::Gate(arguments) => gate::run(arguments, project, messages),
        Command::Runs(arguments) => runs::run(arguments, project, messages),
        Command::Compare(arguments) => compare::run(arguments, project, messages),
        Command::Generate(arguments) => generate::run(arguments, project, messages),
        Command::Schema(arguments) => schema::run(arguments, project, messages),
        Command::Head(arguments) => head::run(arguments, project, messages),
        Command::Rotate(arguments) => rotate::run(arguments, project, messages),
        Command::Route(arguments) => route::run(arguments, project, messages),
        Command::Verify(arguments) => verify::run(arguments, project, messages),
        Command::Ope(arguments) => ope::run(arguments, messages),
        Command::Fit(arguments) => fit::run(arguments, project, messages),
        Command::FinetuneData(arguments) => finetune_data::run(arguments, project, messages),
        Command::Power(arguments) => power::run(arguments, messages),
        Command::Dashboard(arguments) => dashboard::run(arguments, project, messages),
        Command::Analyze(arguments) => analyze::run(arguments, project, messages),
        Command::Tune(arguments) => tune::run(arguments, project, messages),
        Command::Profile(arguments) => profile::run(arguments, project, messages),
        Command::Alerts(arguments) => alerts::run(arguments, project, messages),
        Command::Deploy(arguments) => deploy::run(arguments, project, messages),
        Command::Rollback(arguments) => rollback::run(arguments, project, messages),
        Command::Monitor(arguments) => monitor::run(arguments, project, messages),
        Command::Bench(kind) => bench::run(kind, project, messages),
        Command::Completions(arguments) => completions::run(arguments, messages),
    }
}
