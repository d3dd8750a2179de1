//! What commands of a rollout share: the settings, the gateway's tasks, the verdict, and the look that the nightly run takes.

use std::path::{Path, PathBuf};

use anyhow::Context;
use routewright_domain::Timestamp;
use routewright_engine::{Artifact, Table};
use routewright_rollout::{Advance, Assessment, Deployment, Look, Outcome, Promote, RolloutSettings, Status, Step, Store, Task, advance};
use routewright_router::Group;
use routewright_table::{Assignment, Decisions, IngestPlaces, IngestSettings, assignments, ingest, read_assignments};
use stages::artifacts::Assignments;

use crate::commands::{gate, verify};
use crate::exit::{DataError, UsageError};
use crate::project::Project;

/// The table `[deploy]`.
pub(crate) struct DeployTable;

impl Table for DeployTable {
    const NAME: &'static str = "deploy";
    type Params = RolloutSettings;

    fn check(params: &RolloutSettings) -> Result<(), (&'static str, String)> {
        if let Some(unknown) = params.accept.iter().find(|verdict| !gate::VERDICTS.contains(&verdict.as_str())) {
            return Err(("accept", format!("names `{unknown}`, there are {}", gate::VERDICTS.join(", "))));
        }
        params.check()
    }
}

/// The settings of `[deploy]`.
pub(crate) fn settings(project: &Project) -> anyhow::Result<RolloutSettings> {
    Ok(serde_json::from_value(project.config.table(DeployTable::NAME).clone())?)
}

/// The gateway's tasks: of the logs that were named, else of the project's tables, else of its logs.
pub(crate) fn tasks(project: &Project, input: &[PathBuf]) -> anyhow::Result<Vec<Assignment>> {
    if let Some(missing) = input.iter().find(|input| !input.exists()) {
        return Err(UsageError(format!("`--input {}`: no such file or folder", missing.display())).into());
    }
    let table = project.folder.join(Assignments::PATH);
    if input.is_empty() && table.is_dir() {
        return read_assignments(&table).map_err(|error| DataError::of(error).into());
    }
    let sources = if input.is_empty() {
        stages::sources(&project.config).iter().map(|source| project.folder.join(source)).filter(|source| source.exists()).collect()
    } else {
        input.to_vec()
    };
    if sources.is_empty() {
        return Ok(Vec::new());
    }
    // Tables of their own, which nobody else reads and which go when this is done.
    let folder = tempfile::Builder::new().prefix("routewright-").tempdir().context("cannot make a folder for the tables of the logs")?;
    let [decisions, layers, quarantine] = ["decisions", "layers", "quarantine"].map(|name| folder.path().join(name));
    let places = IngestPlaces { decisions, layers, quarantine };
    ingest(&sources, &IngestSettings::default(), &places, &|_, _| {}).map_err(DataError::of)?;
    let decisions = Decisions::open(&places.decisions).map_err(DataError::of)?;
    assignments(&decisions).map_err(|error| DataError::of(error).into())
}

/// What guardrails see of tasks. Latencies are those of the tasks where any is known, else those of routing.
pub(crate) fn outcomes(tasks: &[Assignment]) -> Vec<Outcome> {
    let of_tasks = tasks.iter().any(|task| task.latency_ms.is_some());
    tasks.iter().map(|task| outcome(task, if of_tasks { task.latency_ms } else { task.routing_ms })).collect()
}

/// What the monitoring sees of tasks.
pub(crate) fn monitored(tasks: &[Assignment]) -> Vec<Task<'_>> {
    let of = |(task, outcome)| {
        let task: &Assignment = task;
        Task {
            outcome,
            by_model: task.method == "ml",
            path: &task.path,
            optimal_path: task.optimal_path.as_deref(),
            confidence: task.confidence,
            routing_ms: task.routing_ms,
            context_found: task.context_found,
            routing_error: task.routing_error,
        }
    };
    tasks.iter().zip(outcomes(tasks)).map(of).collect()
}

fn outcome(task: &Assignment, latency_ms: Option<f64>) -> Outcome {
    let is_treated = task.group == "treatment";
    let errors = [task.routing_error, task.execution_error];
    let error = errors.into_iter().flatten().reduce(|routing, execution| routing || execution);
    Outcome {
        timestamp: task.timestamp,
        group: if is_treated { Group::Treatment } else { Group::Control },
        success: task.success,
        latency_ms,
        hallucination: task.hallucination,
        error,
        // Where the log does not say it, the rules having decided for the treatment group does.
        fallback: is_treated.then(|| task.fallback.unwrap_or(task.method == "rule-based")),
    }
}

/// A look at the deployment with the newest tables, as the nightly run takes it: acts on a breached guardrail, and takes the next step where it is
/// ready and `promote` allows it.
///
/// # Errors
/// Tables, decision or deployment that cannot be read; nothing has changed then.
pub(crate) fn look(project: &Project, promote: Promote, now: Timestamp) -> anyhow::Result<(Advance, Option<Assessment>)> {
    let settings = settings(project)?;
    let outcomes = outcomes(&tasks(project, &[])?);
    let verdict = gate::judge(&project.folder, &settings.accept)?;
    let look = Look { outcomes: &outcomes, verdict: &verdict, settings: &settings, now };
    Ok(advance(&Store::open(&project.folder), promote, &look)?)
}

/// The artifact that a step begins with, where none was named: the project's own, for the first rollout, and for a new one in shadow once the last is
/// at its end. A rollout that is under way goes on with its artifact.
pub(crate) fn candidate(project: &Path, deployment: Option<&Deployment>, step: Step) -> anyhow::Result<Option<PathBuf>> {
    let own = project.join(verify::ARTIFACT);
    let begins = match deployment {
        None => true,
        Some(deployment) => step == Step::Shadow && (deployment.status == Status::RolledBack || deployment.stage == Step::Full),
    };
    if deployment.is_none() && !own.is_dir() {
        return Err(
            UsageError(format!("no artifact in `{}`; `routewright run` makes one, or name one with --artifact", own.display())).into()
        );
    }
    Ok((begins && own.is_dir()).then_some(own))
}
