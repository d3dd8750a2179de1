//! `check`: everything a run would trip over, without running.

use std::path::{Path, PathBuf};

use routewright_engine::{Plan, Selection, expand_sources};
use routewright_table::Status;
use serde::Serialize;
use stages::STAGES;

use crate::commands::verify::{ARTIFACT, load};
use crate::exit::{DataError, Exit};
use crate::freshness::by_the_clock;
use crate::messages::Messages;
use crate::project::{Project, ProjectArguments, other_inputs};

/// Flags of `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Check these logs instead of the configured ones
    #[arg(long, value_name = "PATH", num_args = 1..)]
    input: Vec<PathBuf>,
}

/// One thing looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    passed: bool,
    detail: String,
}

impl Check {
    fn new(name: &'static str, result: Result<String, String>) -> Self {
        let passed = result.is_ok();
        let (Ok(detail) | Err(detail)) = result;
        Self { name, passed, detail }
    }
}

/// Looks at settings, logs, writable folders, the embedder and the artifact.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    let inputs = other_inputs(&arguments.input)?;
    let loaded = project.load(&inputs.flags)?;
    let checks = [
        Check::new("settings", Ok(format!("{} settings are in force", loaded.config.settings().len()))),
        Check::new(
            "line",
            Plan::make(&loaded.folder, STAGES, &loaded.config, &Selection::default())
                .map(|plan| plan_words(&plan))
                .map_err(|error| error.to_string()),
        ),
        Check::new("logs", logs(&loaded)),
        Check::new("privacy", stages::check_redaction(&loaded.config)),
        Check::new("age", age(&loaded)),
        Check::new("folders", writable(&loaded)),
        Check::new(
            "embedder",
            stages::check_embedder(&loaded.config, &loaded.folder).map_err(|error| format!("{:#}", anyhow::Error::from(error))),
        ),
        Check::new("artifact", artifact(&loaded)),
    ];
    let mut text = String::new();
    for check in &checks {
        text.push_str(&format!("{:6} {:10} {}\n", if check.passed { "ok" } else { "FAILED" }, check.name, check.detail));
    }
    messages.result(&text, &serde_json::json!({ "schema_version": 1, "checks": checks }))?;
    if checks.iter().all(|check| check.passed) {
        Ok(Exit::Done)
    } else {
        Err(DataError("a run would trip over what is marked FAILED".to_owned()).into())
    }
}

/// How many stages would run.
fn plan_words(plan: &Plan) -> String {
    let n_running = plan.stages.iter().filter(|planned| planned.reason.is_some()).count();
    format!("{n_running} of {} stages would run", plan.stages.len())
}

/// Whether the newest decision on file is fresh enough.
fn age(project: &Project) -> Result<String, String> {
    match by_the_clock(project) {
        None => Ok("no age of the log is too high".to_owned()),
        Some(finding) if finding.status == Status::Fail => Err(format!("`ingest.expect.{}`: {}", finding.name, finding.detail)),
        Some(finding) => Ok(finding.detail),
    }
}

/// Whether the logs are there and can be opened.
fn logs(project: &Project) -> Result<String, String> {
    let sources: Vec<PathBuf> =
        expand_sources(&project.folder, &stages::sources(&project.config)).iter().map(|source| project.folder.join(source)).collect();
    let mut n_files = 0;
    for source in &sources {
        n_files += count_files(source).map_err(|error| format!("`{}` cannot be read: {error}", source.display()))?;
    }
    let places: Vec<String> = sources.iter().map(|source| format!("`{}`", source.display())).collect();
    if n_files == 0 { Err(format!("no files in {}", places.join(", "))) } else { Ok(format!("{n_files} files in {}", places.join(", "))) }
}

/// Files at a place that are not hidden.
fn count_files(place: &Path) -> std::io::Result<usize> {
    if !std::fs::metadata(place)?.is_dir() {
        return std::fs::File::open(place).map(|_| 1);
    }
    let mut n_files = 0;
    for entry in std::fs::read_dir(place)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        n_files += if hidden { 0 } else { count_files(&path)? };
    }
    Ok(n_files)
}

/// Whether the folders that stages write to can be written.
fn writable(project: &Project) -> Result<String, String> {
    for folder in ["data", "models", "reports"] {
        let folder = project.folder.join(folder);
        let tried = std::fs::create_dir_all(&folder).and_then(|()| tempfile::tempfile_in(&folder));
        tried.map_err(|error| format!("`{}` cannot be written: {error}", folder.display()))?;
    }
    Ok("data, models and reports can be written".to_owned())
}

/// Whether the artifact on file, if there is one, is sound.
fn artifact(project: &Project) -> Result<String, String> {
    let folder = project.folder.join(ARTIFACT);
    if !folder.exists() {
        return Ok("none yet".to_owned());
    }
    let router = load(&folder).map_err(|error| format!("{error:#}"))?;
    router.verify().map(|n_golden| format!("sound, {n_golden} golden decisions agree")).map_err(|error| error.to_string())
}
