//! The record of a run: what was asked for, what was in force, what became of every stage. Information, never an input.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use routewright_engine::{RunReport, Setting};
use serde::Serialize;
use serde_json::Value;

use crate::project::Project;

/// Where runs are recorded, relative to the project.
const FOLDER: &str = "reports/runs";

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
    rows: Option<Value>,
    verdict: Option<Value>,
    reason: Option<Value>,
}

/// Records a run; `latest` names it, and `latest-good` too where it succeeded.
///
/// # Errors
/// What the file system says.
pub(crate) fn record(project: &Project, report: &RunReport, started: SystemTime, error: Option<String>) -> anyhow::Result<()> {
    let began = started.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let time = jiff::Timestamp::from_microsecond(began.as_micros() as i64)?;
    let id = format!("{}-{:05}", time.strftime("%Y%m%dT%H%M%SZ"), std::process::id() % 100_000);
    let json = |place: &str| -> Option<Value> { serde_json::from_slice(&std::fs::read(project.folder.join(place)).ok()?).ok() };
    let decision = json("reports/decision.json");
    let field = |name: &str| decision.as_ref().and_then(|decision| decision.get(name).cloned());
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
        rows: json("data/ingest.json").and_then(|account| account.get("totals").cloned()),
        verdict: field("verdict"),
        reason: field("reason"),
    };
    let folder = project.folder.join(FOLDER).join(&id);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    std::fs::write(folder.join("manifest.json"), serde_json::to_vec_pretty(&manifest)?)?;
    let parent = project.folder.join(FOLDER);
    point(&parent, "latest", &id)?;
    if manifest.succeeded {
        point(&parent, "latest-good", &id)?;
    }
    Ok(())
}

/// Makes a small file that names a run, whole at every moment.
fn point(folder: &Path, name: &str, id: &str) -> anyhow::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut file, format!("{id}\n").as_bytes())?;
    file.persist(folder.join(name))?;
    Ok(())
}
