//! The A/B gateway's log: which side decided, without the query.

use std::path::Path;

use serde::Serialize;

use super::clock;
use super::journal::{Journal, LogSettings, TrackerError, named, share};
use super::log_file::FileName;
use super::queue::LogCounts;
use crate::gateway::{GatewayDecision, Group};

/// Name of the log.
const FILE: &str = "ml-router-metrics.jsonl";

/// A line of the log.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    task_id: &'a str,
    method: &'static str,
    selected_master: &'a str,
    confidence: f64,
    ab_test_group: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
}

/// Logs the decisions of a gateway as the seed's monitoring reads them; shared by threads.
#[derive(Debug)]
pub struct GatewayLog(Journal);

impl GatewayLog {
    /// Opens `ml-router-metrics.jsonl` in a folder, which is made where it is not there.
    ///
    /// # Errors
    /// [`TrackerError`] for a folder that cannot be written.
    pub fn open(folder: &Path, settings: &LogSettings) -> Result<Self, TrackerError> {
        Journal::open(folder, FileName::Fixed(FILE.to_owned()), "task_id", settings).map(Self)
    }

    /// Logs who decided a task. `selected`: the name of the path that was taken.
    ///
    /// # Errors
    /// [`TrackerError`] for an empty name or a log that cannot be written.
    pub fn record(&self, task_id: &str, selected: &str, decision: &GatewayDecision) -> Result<(), TrackerError> {
        let line = Line {
            timestamp: clock::rfc3339(clock::now()),
            task_id: named("task_id", task_id)?,
            method: if decision.source.is_static() { "rule-based" } else { "ml" },
            selected_master: named("selected_master", selected)?,
            confidence: share("confidence", decision.confidence)?,
            ab_test_group: if decision.group == Group::Treatment { "treatment" } else { "control" },
            fallback: decision.fell_back(),
            outcome: None,
        };
        self.0.append(task_id, &line)
    }

    /// Adds how a task ended.
    ///
    /// # Errors
    /// [`TrackerError`] for a task that the log does not have.
    pub fn record_outcome(&self, task_id: &str, is_completed: bool) -> Result<(), TrackerError> {
        let outcome = if is_completed { "completed" } else { "failed" };
        self.0.amend(task_id, |line| drop(line.insert("outcome".to_owned(), outcome.into()))).map(drop)
    }

    /// Waits until everything handed over before is in the file.
    ///
    /// # Errors
    /// [`TrackerError`], the first since the last flush.
    pub fn flush(&self) -> Result<(), TrackerError> {
        self.0.flush()
    }

    /// Lines accepted, written and lost so far.
    pub fn counts(&self) -> LogCounts {
        self.0.counts()
    }
}
