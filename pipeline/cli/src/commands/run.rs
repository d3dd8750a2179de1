//! `run`, and the command of every single stage: runs what is not fresh.

use std::path::PathBuf;
use std::time::SystemTime;

use routewright_engine::{Job, Override, Plan, Reason, RunError, RunReport, Selection, Status};
use routewright_table::{Finding, Status as FindingStatus};
use serde_json::json;
use stages::STAGES;

use super::nightly;
use crate::ci;
use crate::exit::{DataError, Exit};
use crate::freshness::by_the_clock;
use crate::manifest;
use crate::messages::Messages;
use crate::project::{Project, ProjectArguments, other_inputs, read_json};

/// Flags of `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Run these stages and what they need; all by default
    #[arg(value_name = "STAGE")]
    stages: Vec<String>,
    /// Run nothing before this stage
    #[arg(long, value_name = "STAGE")]
    from: Option<String>,
    /// Run nothing after this stage
    #[arg(long = "until", id = "until_stage", value_name = "STAGE")]
    until: Option<String>,
    /// Read what is new, look for drift, train where that is due, and keep a challenger that beats the champion
    #[arg(long, conflicts_with_all = ["stages", "from", "until_stage", "force"])]
    nightly: bool,
    /// Run the night as of this moment (RFC 3339) instead of now
    #[arg(long, value_name = "TIME", requires = "nightly")]
    at: Option<String>,
    #[command(flatten)]
    common: StageArguments,
}

/// Flags of every command that runs stages.
#[derive(Debug, clap::Args)]
pub(crate) struct StageArguments {
    /// Run also what is fresh
    #[arg(long)]
    force: bool,
    /// Read these logs instead of the configured ones: files, folders, patterns, or - for standard input
    #[arg(long, value_name = "PATH", num_args = 1..)]
    input: Vec<PathBuf>,
}

/// Runs the line, or the part of it that was asked for.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    if arguments.nightly {
        return nightly::run(arguments.at.as_deref(), &arguments.common, project, messages);
    }
    let selection = Selection {
        stages: arguments.stages.clone(),
        from: arguments.from.clone(),
        until: arguments.until.clone(),
        forced: arguments.common.force,
    };
    execute(selection, &arguments.common, project, messages)
}

/// Runs one stage with what it needs.
pub(crate) fn run_stage(stage: &str, arguments: &StageArguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    execute(only(stage, arguments), arguments, project, messages)
}

/// One stage with what it needs.
pub(crate) fn only(stage: &str, arguments: &StageArguments) -> Selection {
    Selection { stages: vec![stage.to_owned()], forced: arguments.force, ..Selection::default() }
}

fn execute(selection: Selection, arguments: &StageArguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    if project.dry_run {
        let inputs = other_inputs(&arguments.input)?;
        return dry_run(&selection, &project.load(&inputs.flags)?, messages);
    }
    let (loaded, report) = carry_out(selection, arguments, &[], project, messages)?;
    let text = closing_words(&loaded, &report);
    let age = by_the_clock(&loaded).filter(|_| report.stages.iter().any(|stage| stage.stage == "ingest"));
    let document = json!({ "schema_version": 1, "stages": report.stages, "decision": decision(&loaded), "age": age });
    judge_age(age.as_ref(), &text, messages)?;
    messages.result(&text, &document)?;
    Ok(Exit::Done)
}

/// Runs a selection with some settings changed, records it and tells the CI; results are left to the caller.
pub(crate) fn carry_out(
    selection: Selection,
    arguments: &StageArguments,
    settings: &[Override],
    project: &ProjectArguments,
    messages: &Messages,
) -> anyhow::Result<(Project, RunReport)> {
    let inputs = other_inputs(&arguments.input)?;
    if !arguments.input.is_empty() {
        project.make_folder()?;
    }
    let loaded = project.load(&[settings, &inputs.flags].concat())?;
    let job = Job { project: &loaded.folder, stages: STAGES, config: &loaded.config, selection, command: command_line() };
    let started = SystemTime::now();
    match routewright_engine::run(&job, messages) {
        Ok(report) => {
            if report.stages.iter().any(|stage| stage.status == Status::Ran) {
                manifest::record(&loaded, &report, started, None)?;
            }
            ci::tell(project, Some(&report), None, messages)?;
            Ok((loaded, report))
        }
        Err(error) => {
            if let RunError::Stage { stage, report, .. } = &error {
                let blocked: Vec<&str> =
                    report.stages.iter().filter(|stage| stage.status == Status::Blocked).map(|stage| stage.stage).collect();
                if !blocked.is_empty() {
                    messages.say(&format!("not run because of that: {}", blocked.join(", ")));
                }
                // The failure itself is on its way to the user; a record that cannot be written must not hide it.
                if let Err(unwritten) = manifest::record(&loaded, report, started, Some(error.to_string())) {
                    messages.error(&unwritten);
                }
                if let Err(untold) = ci::tell(project, Some(report), Some(&failure_in_words(&error)), messages) {
                    messages.error(&untold);
                }
                messages.say(&format!("to go on once mended: {} run --from {stage}", same_project(project)));
            }
            Err(error.into())
        }
    }
}

/// A failure with its causes, in one line.
fn failure_in_words(error: &RunError) -> String {
    let causes: Vec<String> =
        std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source()).map(ToString::to_string).collect();
    causes.join(": ")
}

/// Warns about a log that gets old, and fails for one that is too old. What ran stays: it is right, only not of today.
fn judge_age(age: Option<&Finding>, closing_words: &str, messages: &Messages) -> anyhow::Result<()> {
    let Some(finding) = age.filter(|finding| finding.status != FindingStatus::Pass) else { return Ok(()) };
    let words = format!("`ingest.expect.{}`: {}", finding.name, finding.detail);
    if finding.status == FindingStatus::Fail {
        messages.say(closing_words.trim_end());
        return Err(DataError(words).into());
    }
    messages.say(&format!("warning: {words}"));
    Ok(())
}

/// Says what would run and why.
fn dry_run(selection: &Selection, project: &Project, messages: &Messages) -> anyhow::Result<Exit> {
    let plan = Plan::make(&project.folder, STAGES, &project.config, selection)?;
    let mut text = String::new();
    let mut rows = Vec::new();
    for planned in &plan.stages {
        let words = match &planned.reason {
            None => "fresh".to_owned(),
            Some(reason @ Reason::After(_)) => format!("may run: {reason}"),
            Some(reason) => format!("would run: {reason}"),
        };
        text.push_str(&format!("{:10} {words}\n", planned.entry.name));
        rows.push(json!({ "stage": planned.entry.name, "fresh": planned.reason.is_none(), "reason": planned.reason.as_ref().map(Reason::to_string) }));
    }
    messages.result(&text, &json!({ "schema_version": 1, "stages": rows }))?;
    Ok(Exit::Done)
}

/// The decision on file, where there is one.
fn decision(project: &Project) -> Option<serde_json::Value> {
    read_json(&project.folder.join("reports/decision.json"), "run").ok()
}

/// The verdict and where to read on, or that everything was fresh.
fn closing_words(project: &Project, report: &RunReport) -> String {
    let mut text = String::new();
    if report.stages.iter().all(|stage| stage.status == Status::Fresh) {
        text.push_str("everything is fresh\n");
    }
    if let Some(decision) = decision(project).filter(|_| report.stages.iter().any(|stage| stage.stage == "decide")) {
        let field = |name: &str| decision.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        text.push_str(&format!("verdict    {} ({})\n{}\n", field("verdict"), field("reason"), field("summary")));
        for (name, place) in [("report", "reports/E-009-results.md"), ("page", "reports/report.html"), ("artifact", "models/artifact")] {
            let place = project.folder.join(place);
            if place.exists() {
                text.push_str(&format!("{name:10} {}\n", place.strip_prefix("./").unwrap_or(&place).display()));
            }
        }
    }
    text
}

/// The command line as it was typed, for the lock.
fn command_line() -> String {
    let words: Vec<String> = std::env::args().skip(1).collect();
    format!("routewright {}", words.join(" "))
}

/// How a command that works on the same project begins.
fn same_project(project: &ProjectArguments) -> String {
    if project.project.as_os_str() == "." {
        "routewright".to_owned()
    } else {
        format!("routewright --project {}", project.project.display())
    }
}
