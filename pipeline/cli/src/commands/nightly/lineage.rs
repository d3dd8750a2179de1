//! `models/lineage.jsonl`: one line per night, what was found, decided and why; which router descends from which.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use stages::artifacts::DriftSeverity;
use stages::duel::Duel;
use stages::retune::Retuned;

use crate::commands::alerts::write_whole;

/// Where it is, relative to the project.
pub(crate) const PLACE: &str = "models/lineage.jsonl";

/// Version of a line; rises with any change that an old reader would misread.
pub(crate) const LINEAGE_VERSION: u32 = 1;

/// What a night came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// No decisions came since the last night.
    NoData,
    /// The data could not be used; everything is as it was.
    Failed,
    /// The champion stays; no new router was due.
    Kept,
    /// A new router was due, and the outcomes look like a bad batch: nothing was learnt.
    Held,
    /// A challenger was trained and did not win.
    Rejected,
    /// A challenger was trained and won: it is a candidate.
    Candidate,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Night {
    /// [`LINEAGE_VERSION`].
    pub schema_version: u32,
    /// When the night was run (RFC 3339).
    pub at: String,
    /// Last day with decisions.
    pub night: String,
    /// Days that came since the last night.
    pub days: Vec<String>,
    /// Decisions in the tables.
    pub decisions: u64,
    /// Digest of the tables.
    pub data_digest: String,
    /// What it came to.
    pub outcome: Outcome,
    /// Why.
    pub why: Vec<String>,
    /// Digest of the router in force when the night began.
    pub champion: Option<String>,
    /// Digest of the router that was trained.
    pub challenger: Option<String>,
    /// First and last day that it learnt from.
    pub learnt_from: Option<[String; 2]>,
    /// How far the newest days had moved.
    pub drift: Option<DriftSeverity>,
    /// Champion against challenger.
    pub duel: Option<Duel>,
    /// A fallback threshold that was proven better; the routers that are trained from now on have it.
    #[serde(default)]
    pub retuned: Option<Retuned>,
    /// Thresholds of a cascade that were written.
    #[serde(default)]
    pub cascade: Option<String>,
    /// Verdict of the line about the challenger against the static rules.
    pub verdict: Option<String>,
    /// What happened to the deployment.
    pub deployment: Option<String>,
}

/// All nights on record, oldest first; none where there is no file.
///
/// # Errors
/// A line that is none.
pub(crate) fn read(project: &Path) -> anyhow::Result<Vec<Night>> {
    let place = project.join(PLACE);
    let text = match std::fs::read_to_string(&place) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", place.display())),
    };
    let night = |(row, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("`{}`, line {}: no night of `run --nightly`", place.display(), row + 1))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(night).collect()
}

/// Adds a night: the whole file is replaced, so that a kill leaves it with or without the line.
///
/// # Errors
/// What the file system says.
pub(crate) fn append(project: &Path, night: &Night) -> anyhow::Result<()> {
    let place: PathBuf = project.join(PLACE);
    let mut text = std::fs::read_to_string(&place).unwrap_or_default();
    text.push_str(&serde_json::to_string(night)?);
    text.push('\n');
    write_whole(&place, text.as_bytes())
}
