//! A signed-off override of the gate: who, why, when, and for which decision. Recorded beside the decision and in the manifest of its run, never silent.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::manifest;

/// Where it is recorded, relative to the project.
const PLACE: &str = "reports/override.json";

/// Key of the manifest under which it is repeated.
const KEY: &str = "override";

/// `reports/override.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Override {
    /// Version of this format.
    pub schema_version: u32,
    /// Who signed.
    pub by: String,
    /// Why.
    pub why: String,
    /// When (RFC 3339).
    pub at: String,
    /// Digest of the decision that was overridden: it counts for no other.
    pub decision_digest: String,
    /// The verdict that was overridden.
    pub verdict: String,
    /// Its reason.
    pub reason: String,
}

impl Override {
    /// The override on record; `None` where there is none.
    ///
    /// # Errors
    /// What the file system says, or a file that is no override.
    pub(crate) fn read(project: &Path) -> anyhow::Result<Option<Self>> {
        let place = place(project);
        match std::fs::read(&place) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("`{}` is no override", place.display()))?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read `{}`", place.display())),
        }
    }

    /// Puts an override on record, and into the manifest of the last run.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn sign(project: &Path, by: &str, why: &str, digest: &str, (verdict, reason): (&str, &str)) -> anyhow::Result<()> {
        let signed = Self {
            schema_version: 1,
            by: by.trim().to_owned(),
            why: why.trim().to_owned(),
            at: jiff::Timestamp::now().to_string(),
            decision_digest: digest.to_owned(),
            verdict: verdict.to_owned(),
            reason: reason.to_owned(),
        };
        let place = place(project);
        std::fs::write(&place, serde_json::to_vec_pretty(&signed)?).with_context(|| format!("cannot write `{}`", place.display()))?;
        manifest::amend_latest(project, KEY, serde_json::to_value(&signed)?)
    }

    /// Takes an override back; the manifest keeps that it was there.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn revoke(project: &Path) -> anyhow::Result<()> {
        let Some(signed) = Self::read(project)? else { return Ok(()) };
        std::fs::remove_file(place(project))?;
        let mut told = serde_json::to_value(signed)?;
        told["revoked_at"] = Value::String(jiff::Timestamp::now().to_string());
        manifest::amend_latest(project, KEY, told)
    }
}

fn place(project: &Path) -> PathBuf {
    project.join(PLACE)
}
