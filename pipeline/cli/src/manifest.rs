//! The records of runs: what was asked for, what was in force, what became of every stage, what was found. Information, never an input.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use routewright_engine::{Artifact, Record, RunReport, Setting, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stages::STAGES;
use stages::artifacts::{DecisionReport, Evaluation, ReplayReport, RowAccount};

use crate::exit::UsageError;
use crate::overrides::Override;
use crate::project::Project;

/// Where runs are recorded, relative to the project.
pub(crate) const FOLDER: &str = "reports/runs";

/// `reports/runs/<id>/manifest.json`.
#[derive(Serialize)]
struct Manifest<'a> {
    schema_version: u32,
    id: String,
    version: &'static str,
    command: Vec<String>,
    started: String,
    seconds: f64,
    succeeded: bool,
    error: Option<String>,
    seed: u64,
    settings: &'a [Setting],
    stages: &'a RunReport,
    inputs: Vec<Input>,
    /// Digests of what the chosen stages wrote, by place.
    outputs: BTreeMap<String, String>,
    rows: Option<Value>,
    metrics: BTreeMap<String, f64>,
    verdict: Option<Value>,
    reason: Option<Value>,
    /// The override of the gate that is on record when the run ends.
    #[serde(rename = "override")]
    signed_off: Option<Value>,
}

/// A log file that was read.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Input {
    path: String,
    #[serde(alias = "sha256")]
    blake3: String,
    bytes: u64,
    /// Decisions that it gave.
    rows: u64,
}

/// A run on record, as far as it is looked at again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Recorded {
    /// Its id: sorts by time.
    pub id: String,
    /// Version of routewright.
    pub version: String,
    /// When it began.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// Why it failed.
    pub error: Option<String>,
    /// The verdict on file when it ended.
    pub verdict: Option<String>,
    /// Its reason.
    pub reason: Option<String>,
    /// The numbers that machines follow.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// Settings in force.
    settings: Vec<Value>,
    /// Log files by path, with their digests.
    #[serde(default, deserialize_with = "digests")]
    pub inputs: BTreeMap<String, String>,
}

impl Recorded {
    /// The settings by key.
    pub(crate) fn settings_by_key(&self) -> BTreeMap<String, Value> {
        let pair = |setting: &Value| Some((setting.get("key")?.as_str()?.to_owned(), setting.get("value")?.clone()));
        self.settings.iter().filter_map(pair).collect()
    }
}

/// A list of files as a map from path to digest.
fn digests<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(Vec::<Input>::deserialize(deserializer)?.into_iter().map(|input| (input.path, input.blake3)).collect())
}

/// Records a run; `latest` names it, and `latest-good` too where it succeeded.
///
/// # Errors
/// What the file system says.
pub(crate) fn record(project: &Project, report: &RunReport, started: SystemTime, error: Option<String>) -> anyhow::Result<()> {
    let began = started.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let time = jiff::Timestamp::from_microsecond(began.as_micros() as i64)?;
    let id = format!("{}-{:05}", time.strftime("%Y%m%dT%H%M%SZ"), std::process::id() % 100_000);
    let folder = &project.folder;
    let ingest = artifact::<RowAccount>(folder).map(|account| account.0);
    // What an earlier run decided is not what a failed one found.
    let decision = artifact::<DecisionReport>(folder).filter(|_| error.is_none());
    let parts = decision.as_ref().zip(artifact::<ReplayReport>(folder)).zip(artifact::<Evaluation>(folder)).zip(ingest.as_ref());
    let metrics = parts.map(|(((decision, replay), evaluation), ingest)| stages::metrics::of(decision, &replay, &evaluation, ingest));
    let files = ingest.iter().flat_map(|account| &account.files);
    let manifest = Manifest {
        schema_version: 1,
        id: id.clone(),
        version: env!("CARGO_PKG_VERSION"),
        command: std::env::args().collect(),
        started: time.to_string(),
        seconds: started.elapsed().unwrap_or_default().as_secs_f64(),
        succeeded: error.is_none(),
        error,
        seed: project.config.seed(),
        settings: project.config.settings(),
        stages: report,
        inputs: files
            .map(|file| Input { path: file.path.clone(), blake3: file.blake3.clone(), bytes: file.bytes, rows: file.counts.kept })
            .collect(),
        outputs: outputs(folder, report),
        rows: ingest.as_ref().map(|account| serde_json::to_value(&account.totals)).transpose()?,
        metrics: metrics.map(|metrics| stages::metrics::flat(&metrics)).unwrap_or_default(),
        verdict: decision.as_ref().map(|decision| serde_json::to_value(decision.verdict)).transpose()?,
        reason: decision.as_ref().map(|decision| serde_json::to_value(decision.reason)).transpose()?,
        signed_off: Override::read(folder)?.map(serde_json::to_value).transpose()?,
    };
    let parent = folder.join(FOLDER);
    let own = parent.join(&id);
    std::fs::create_dir_all(&own).with_context(|| format!("cannot make `{}`", own.display()))?;
    std::fs::write(own.join("manifest.json"), serde_json::to_vec_pretty(&manifest)?)?;
    point(&parent, "latest", &id)?;
    if manifest.succeeded {
        point(&parent, "latest-good", &id)?;
    }
    Ok(())
}

/// An artifact of the project, where it is there and can be read.
fn artifact<A: Artifact>(folder: &Path) -> Option<A> {
    A::read(&folder.join(A::PATH)).ok()
}

/// Digests of what the stages of a run have written, now or earlier.
fn outputs(folder: &Path, report: &RunReport) -> BTreeMap<String, String> {
    let done = report.stages.iter().filter(|stage| matches!(stage.status, Status::Ran | Status::Fresh));
    let named = done.filter(|stage| STAGES.iter().any(|entry| entry.name == stage.stage));
    named.filter_map(|stage| Record::read(folder, stage.stage)).flat_map(|record| record.outputs).collect()
}

/// Adds an entry to the manifest of the last run, where there is one.
///
/// # Errors
/// What the file system says, or a manifest that is none.
pub(crate) fn amend_latest(project: &Path, key: &str, value: Value) -> anyhow::Result<()> {
    let parent = project.join(FOLDER);
    let Ok(latest) = std::fs::read_to_string(parent.join("latest")) else { return Ok(()) };
    let place = parent.join(latest.trim()).join("manifest.json");
    let mut manifest: Value = crate::project::read_json(&place, "run")?;
    manifest[key] = value;
    std::fs::write(&place, serde_json::to_vec_pretty(&manifest)?).with_context(|| format!("cannot write `{}`", place.display()))
}

/// Makes a small file that names a run, whole at every moment.
fn point(folder: &Path, name: &str, id: &str) -> anyhow::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut file, format!("{id}\n").as_bytes())?;
    file.persist(folder.join(name))?;
    Ok(())
}

/// The run that a small file names.
pub(crate) fn pointed(project: &Path, name: &str) -> Option<String> {
    Some(std::fs::read_to_string(project.join(FOLDER).join(name)).ok()?.trim().to_owned())
}

/// Every run on record, oldest first.
///
/// # Errors
/// A record that cannot be read; a project without records has none.
pub(crate) fn all(project: &Path) -> anyhow::Result<Vec<Recorded>> {
    let Ok(entries) = std::fs::read_dir(project.join(FOLDER)) else { return Ok(Vec::new()) };
    let mut runs = Vec::new();
    for entry in entries {
        let place = entry?.path().join("manifest.json");
        if !place.is_file() {
            continue;
        }
        let bytes = std::fs::read(&place).with_context(|| format!("cannot read `{}`", place.display()))?;
        runs.push(serde_json::from_slice(&bytes).with_context(|| format!("`{}` is no record of a run", place.display()))?);
    }
    runs.sort_by(|left: &Recorded, right: &Recorded| left.id.cmp(&right.id));
    Ok(runs)
}

/// The run that somebody names by its id, the beginning of it, or `latest` or `latest-good`.
///
/// # Errors
/// [`UsageError`] for a name of none or of several.
pub(crate) fn find<'a>(project: &Path, all: &'a [Recorded], name: &str) -> anyhow::Result<&'a Recorded> {
    let wanted = pointed(project, name).filter(|_| ["latest", "latest-good"].contains(&name)).unwrap_or_else(|| name.to_owned());
    let found: Vec<&Recorded> = all.iter().filter(|run| run.id.starts_with(&wanted)).collect();
    match found.as_slice() {
        [only] => Ok(only),
        [] => Err(UsageError(format!("no run is called `{name}`; `routewright runs` lists them")).into()),
        several => Err(UsageError(format!("`{name}` begins the names of {} runs; `routewright runs` lists them", several.len())).into()),
    }
}
