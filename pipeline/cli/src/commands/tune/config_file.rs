//! The cascade's `config.json` on disk: changed as a whole or not at all, with a backup and a line that says why.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use routewright_cascade::{CascadeConfig, Tuning, with_thresholds};
use serde::{Deserialize, Serialize};

use crate::commands::alerts::write_whole;
use crate::exit::{DataError, UsageError};
use crate::operations::now;

/// A `config.json` that was read.
pub(super) struct ConfigFile {
    pub(super) place: PathBuf,
    pub(super) config: CascadeConfig,
    text: String,
}

/// What an `--apply` left behind.
#[derive(Debug, Serialize)]
pub(super) struct Applied {
    /// The version before.
    pub(super) backup: PathBuf,
    /// Where the reason is.
    pub(super) audit: PathBuf,
}

/// One line of the audit.
#[derive(Serialize, Deserialize)]
struct AuditLine {
    time: String,
    action: String,
    backup: PathBuf,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    thresholds: Vec<Moved>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    window_hours: Option<f64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
    /// The whole file after the action, to see that nobody else changed it since.
    after: String,
    version: String,
}

#[derive(Serialize, Deserialize)]
struct Moved {
    layer: String,
    from: f64,
    to: f64,
}

impl ConfigFile {
    /// Reads and checks it.
    pub(super) fn read(place: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(place).with_context(|| format!("cannot read `{}`", place.display())).map_err(DataError::of)?;
        let config = CascadeConfig::parse(&text).with_context(|| format!("`{}`", place.display())).map_err(DataError::of)?;
        Ok(Self { place: place.to_owned(), config, text })
    }

    /// What other thresholds change, line by line.
    pub(super) fn diff(&self, moved: &[(&str, f64)]) -> anyhow::Result<String> {
        let changed = self.with(moved)?;
        let mut diff = format!("--- {0}\n+++ {0} (proposed)\n", self.place.display());
        let lines = self.text.lines().zip(changed.lines()).enumerate();
        for (row, (before, after)) in lines.filter(|(_, (before, after))| before != after) {
            diff.push_str(&format!("@@ line {} @@\n-{before}\n+{after}\n", row + 1));
        }
        Ok(diff)
    }

    /// Writes other thresholds; the version before and the reason are on disk first.
    pub(super) fn apply(&self, tuning: &Tuning, moved: &[(&str, f64)], window_hours: f64) -> anyhow::Result<Applied> {
        if self.config.performance_tracking.enable_auto_tuning == Some(false) {
            return Err(UsageError(format!("`{}` says `enable_auto_tuning: false`; nothing is written", self.place.display())).into());
        }
        let changed = self.with(moved)?;
        let (stamp, time) = stamps();
        let backup = self.beside(&format!("{stamp}.bak"));
        write_whole(&backup, self.text.as_bytes())?;
        let moved = tuning.layers.iter().filter(|layer| layer.from != layer.to);
        let audit = self.note(&AuditLine {
            time,
            action: "apply".to_owned(),
            backup: backup.clone(),
            thresholds: moved.map(|layer| Moved { layer: layer.layer.clone(), from: layer.from, to: layer.to }).collect(),
            window_hours: Some(window_hours),
            reason: tuning.reason.clone(),
            after: digest(&changed),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })?;
        write_whole(&self.place, changed.as_bytes())?;
        Ok(Applied { backup, audit })
    }

    /// Puts back what the last apply replaced, unless somebody changed the file since; gives the version that is put back.
    pub(super) fn undo(&self, dry_run: bool) -> anyhow::Result<PathBuf> {
        let audit = self.audit();
        let text = std::fs::read_to_string(&audit).unwrap_or_default();
        let lines: Vec<AuditLine> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let undone = |line: &AuditLine| lines.iter().any(|other| other.action == "undo" && other.backup == line.backup);
        let last = lines.iter().rev().find(|line| line.action == "apply" && !undone(line));
        let last = last.ok_or_else(|| UsageError(format!("`--undo`: `{}` knows of nothing that was applied", audit.display())))?;
        if last.after != digest(&self.text) {
            return Err(DataError(format!(
                "`{}` was changed after {}, when it was tuned; the version before that is `{}`",
                self.place.display(),
                last.time,
                last.backup.display()
            ))
            .into());
        }
        let before =
            std::fs::read_to_string(&last.backup).with_context(|| format!("cannot read the backup `{}`", last.backup.display()))?;
        if !dry_run {
            self.note(&AuditLine {
                time: stamps().1,
                action: "undo".to_owned(),
                backup: last.backup.clone(),
                thresholds: Vec::new(),
                window_hours: None,
                reason: String::new(),
                after: digest(&before),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            })?;
            write_whole(&self.place, before.as_bytes())?;
        }
        Ok(last.backup.clone())
    }

    fn with(&self, moved: &[(&str, f64)]) -> anyhow::Result<String> {
        let changed = with_thresholds(&self.text, moved).with_context(|| format!("`{}`", self.place.display()));
        Ok(changed.map_err(DataError::of)?)
    }

    /// Appends a line to the audit, and gives its place.
    fn note(&self, line: &AuditLine) -> anyhow::Result<PathBuf> {
        let place = self.audit();
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        let append = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().create(true).append(true).open(&place)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        append().with_context(|| format!("cannot write `{}`", place.display()))?;
        Ok(place)
    }

    fn audit(&self) -> PathBuf {
        self.beside("audit.jsonl")
    }

    /// The file's own name with something behind it.
    fn beside(&self, ending: &str) -> PathBuf {
        let name = self.place.file_name().unwrap_or_default().to_string_lossy();
        self.place.with_file_name(format!("{name}.{ending}"))
    }
}

/// The moment for names of files, and for people.
fn stamps() -> (String, String) {
    let time = jiff::Timestamp::from_microsecond(now().0).unwrap_or_default();
    (time.strftime("%Y%m%dT%H%M%S%.6fZ").to_string(), time.to_string())
}

/// A text's length and 64-bit hash: enough to see that it is not the one that was written.
fn digest(text: &str) -> String {
    format!("{}-{:016x}", text.len(), routewright_domain::event_id(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{\n  \"routing_layers\": [\n    {\"layer_name\": \"a\", \"confidence_threshold\": 0.80},\n    {\"layer_name\": \"b\", \"confidence_threshold\": 1.00}\n  ]\n}\n";

    fn tuning() -> Tuning {
        serde_json::from_value(serde_json::json!({
            "events": 1, "outcomes": 1, "reproduced": 1, "max_move": 0.05, "changed": true, "reason": "because", "chosen_on": null, "held_out": null,
            "layers": [{ "layer": "a", "from": 0.8, "to": 0.75, "samples": 1, "note": "moves", "raise": null }]
        }))
        .unwrap()
    }

    #[test]
    fn what_was_applied_can_be_undone_once() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("config.json");
        std::fs::write(&place, TEXT).unwrap();
        let file = ConfigFile::read(&place).unwrap();
        assert!(file.diff(&[("a", 0.75)]).unwrap().ends_with(
            "@@ line 3 @@\n-    {\"layer_name\": \"a\", \"confidence_threshold\": 0.80},\n+    {\"layer_name\": \"a\", \"confidence_threshold\": 0.75},\n"
        ));
        let applied = file.apply(&tuning(), &[("a", 0.75)], 24.0).unwrap();
        assert_eq!(std::fs::read_to_string(&place).unwrap(), TEXT.replace("0.80", "0.75"));
        assert_eq!(std::fs::read_to_string(&applied.backup).unwrap(), TEXT);
        assert!(std::fs::read_to_string(&applied.audit).unwrap().contains("\"reason\":\"because\""));
        ConfigFile::read(&place).unwrap().undo(true).unwrap();
        assert_ne!(std::fs::read_to_string(&place).unwrap(), TEXT, "a dry run writes nothing");
        ConfigFile::read(&place).unwrap().undo(false).unwrap();
        assert_eq!(std::fs::read_to_string(&place).unwrap(), TEXT);
        let again = ConfigFile::read(&place).unwrap().undo(false).unwrap_err().to_string();
        assert!(again.contains("nothing that was applied"), "{again}");
    }

    #[test]
    fn a_file_that_somebody_else_changed_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("config.json");
        std::fs::write(&place, TEXT).unwrap();
        ConfigFile::read(&place).unwrap().apply(&tuning(), &[("a", 0.75)], 24.0).unwrap();
        std::fs::write(&place, TEXT.replace("0.80", "0.90")).unwrap();
        let error = ConfigFile::read(&place).unwrap().undo(false).unwrap_err().to_string();
        assert!(error.contains("was changed after"), "{error}");
    }

    #[test]
    fn a_cascade_that_wants_no_tuning_gets_none() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("config.json");
        let text = TEXT.replacen("{\n", "{\n  \"performance_tracking\": {\"enable_auto_tuning\": false},\n", 1);
        std::fs::write(&place, &text).unwrap();
        assert!(ConfigFile::read(&place).unwrap().apply(&tuning(), &[("a", 0.75)], 24.0).is_err());
        assert_eq!(std::fs::read_to_string(&place).unwrap(), text);
    }
}
