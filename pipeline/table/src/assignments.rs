//! Tasks that an A/B gateway put into groups, joined by task with the decisions that other logs hold of them.

mod days;
mod joined;
mod plain;

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, StringArray, TimestampMicrosecondArray};
use routewright_domain::{Decision, Timestamp};

use crate::columns::{Access, Column, Known, column};
use crate::decisions::table_files;
use crate::error::TableError;
use crate::parquet_file::{TableReader, TableWriter, fields, provenance, take_columns};

pub use days::{EarlierAssignments, write_assignments};
pub use joined::assignments;

/// Key of a gateway's group among the further scalars.
pub(crate) const GROUP: &str = "log.ab_test_group";

/// A task of an A/B gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assignment {
    /// The task.
    pub task_id: String,
    /// When the gateway decided.
    pub timestamp: Timestamp,
    /// The group: `control` or `treatment`.
    pub group: String,
    /// What decided: `rule-based` or `ml`.
    pub method: String,
    /// The path that ran.
    pub path: String,
    /// Confidence of what decided, in [0, 1].
    pub confidence: Option<f64>,
    /// The decision of another log on the same task.
    pub trace_id: Option<String>,
    /// Kind of query, of that decision.
    pub query_type: Option<String>,
    /// Whether the task succeeded: the gateway's outcome, else that decision's.
    pub success: Option<bool>,
    /// Time to the outcome in milliseconds, of that decision.
    pub latency_ms: Option<f64>,
    /// Cost in US dollars, of that decision.
    pub cost: Option<f64>,
    /// Time to the routing decision in milliseconds.
    pub routing_ms: Option<f64>,
    /// Whether retrieval found context.
    pub context_found: Option<bool>,
    /// Whether the learned router kept the static path for want of confidence, support or a model.
    pub fallback: Option<bool>,
    /// Whether the gateway met an error on its way to the decision.
    pub routing_error: Option<bool>,
    /// Whether the task's execution met an error, of that decision.
    pub execution_error: Option<bool>,
    /// Whether the answer was made up: as the gateway says, else that decision.
    pub hallucination: Option<bool>,
    /// The path that would have been right, of that decision, where somebody rated it.
    pub optimal_path: Option<String>,
}

/// The columns of `assignments`, in the order of the file.
pub(crate) static ASSIGNMENT_COLUMNS: &[Column<Assignment>] = &[
    column("task_id", Known::Always, "-", "the task", Access::Text(|row, value| row.task_id = value)),
    column("timestamp", Known::Always, "UTC", "when the gateway decided", Access::Time(|row, value| row.timestamp = value)),
    column("group", Known::Always, "-", "the group: control or treatment", Access::Text(|row, value| row.group = value)),
    column("method", Known::Always, "-", "what decided: rule-based or ml", Access::Text(|row, value| row.method = value)),
    column("path", Known::Always, "-", "the path that ran", Access::Text(|row, value| row.path = value)),
    column("confidence", Known::Logged, "[0, 1]", "confidence of what decided", Access::Number(|row, value| row.confidence = Some(value))),
    column(
        "trace_id",
        Known::Logged,
        "-",
        "the decision of another log on the same task",
        Access::Text(|row, value| row.trace_id = Some(value)),
    ),
    column("query_type", Known::Logged, "-", "kind of query, of that decision", Access::Text(|row, value| row.query_type = Some(value))),
    column(
        "success",
        Known::Outcome,
        "-",
        "whether the task succeeded: the gateway's outcome, else that decision's",
        Access::Flag(|row, value| row.success = Some(value)),
    ),
    column(
        "latency_ms",
        Known::Outcome,
        "ms",
        "time to the outcome, of that decision",
        Access::Number(|row, value| row.latency_ms = Some(value)),
    ),
    column("cost", Known::Outcome, "USD", "cost, of that decision", Access::Number(|row, value| row.cost = Some(value))),
    column("routing_ms", Known::Logged, "ms", "time to the routing decision", Access::Number(|row, value| row.routing_ms = Some(value))),
    column(
        "context_found",
        Known::Logged,
        "-",
        "whether retrieval found context",
        Access::Flag(|row, value| row.context_found = Some(value)),
    ),
    column(
        "fallback",
        Known::Logged,
        "-",
        "whether the learned router kept the static path for want of confidence, support or a model",
        Access::Flag(|row, value| row.fallback = Some(value)),
    ),
    column(
        "routing_error",
        Known::Logged,
        "-",
        "whether the gateway met an error on its way to the decision",
        Access::Flag(|row, value| row.routing_error = Some(value)),
    ),
    column(
        "execution_error",
        Known::Outcome,
        "-",
        "whether the task's execution met an error, of that decision",
        Access::Flag(|row, value| row.execution_error = Some(value)),
    ),
    column(
        "hallucination",
        Known::Outcome,
        "-",
        "whether the answer was made up: as the gateway says, else that decision",
        Access::Flag(|row, value| row.hallucination = Some(value)),
    ),
    column(
        "optimal_path",
        Known::Outcome,
        "-",
        "the path that would have been right, of that decision, where somebody rated it",
        Access::Text(|row, value| row.optimal_path = Some(value)),
    ),
];

/// Whether a decision is a gateway's row: it names a group and carries no query, so there is nothing to learn a route from.
pub(crate) fn is_assignment(decision: &Decision) -> bool {
    decision.query.is_empty() && decision.extras.contains_key(GROUP)
}

/// Rows as one array per column.
fn arrays(rows: &[Assignment]) -> Vec<ArrayRef> {
    let text = |get: fn(&Assignment) -> Option<&str>| -> ArrayRef { Arc::new(StringArray::from_iter(rows.iter().map(get))) };
    let number = |get: fn(&Assignment) -> Option<f64>| -> ArrayRef { Arc::new(Float64Array::from_iter(rows.iter().map(get))) };
    let flag = |get: fn(&Assignment) -> Option<bool>| -> ArrayRef { Arc::new(BooleanArray::from_iter(rows.iter().map(get))) };
    vec![
        text(|row| Some(&row.task_id)),
        Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.timestamp.0)).with_timezone("UTC")),
        text(|row| Some(&row.group)),
        text(|row| Some(&row.method)),
        text(|row| Some(&row.path)),
        number(|row| row.confidence),
        text(|row| row.trace_id.as_deref()),
        text(|row| row.query_type.as_deref()),
        flag(|row| row.success),
        number(|row| row.latency_ms),
        number(|row| row.cost),
        number(|row| row.routing_ms),
        flag(|row| row.context_found),
        flag(|row| row.fallback),
        flag(|row| row.routing_error),
        flag(|row| row.execution_error),
        flag(|row| row.hallucination),
        text(|row| row.optimal_path.as_deref()),
    ]
}

/// Writes tasks, as one array per column, as a Parquet file.
fn write_file(columns: Vec<ArrayRef>, path: &Path) -> Result<(), TableError> {
    let mut writer = TableWriter::create(path, fields(ASSIGNMENT_COLUMNS))?;
    writer.write(columns)?;
    writer.finish(&table_metadata())
}

/// Key-value metadata of the files.
fn table_metadata() -> Vec<(&'static str, String)> {
    provenance(env!("CARGO_PKG_VERSION"), &[])
}

/// Reads the tasks of a folder of days, or of one Parquet file as versions before 0.2 wrote, in the order (timestamp, task).
///
/// # Errors
/// [`TableError`] for a file that cannot be read.
pub fn read_assignments(place: &Path) -> Result<Vec<Assignment>, TableError> {
    let mut rows = Vec::new();
    for path in table_files(place)? {
        for batch in TableReader::open(&path)?.batches()? {
            let batch = batch?;
            let start = rows.len();
            rows.resize_with(start + batch.num_rows(), Assignment::default);
            take_columns(ASSIGNMENT_COLUMNS, &batch, &mut rows[start..], &path)?;
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Run;
    use crate::formats::samples;
    use crate::{Decisions, IngestSettings};

    fn gateway(task: &str, group: &str, outcome: &str) -> String {
        let method = if group == "control" { "rule-based" } else { "ml" };
        format!(
            "{{\"timestamp\":\"2026-01-05T10:00:00Z\",\"task_id\":\"{task}\",\"method\":\"{method}\",\"selected_master\":\"cicd-master\",\"confidence\":0.8,\"ab_test_group\":\"{group}\"{outcome}}}\n"
        )
    }

    fn event(task: &str, outcome: &str) -> String {
        samples::CORTEX.replace('\n', " ").replace("task-1", task).replace("0000007f", outcome) + "\n"
    }

    #[test]
    fn tasks_are_joined_and_read_back() {
        let log = [
            gateway("task-1", "treatment", ""),
            gateway("task-2", "control", ",\"outcome\":\"failed\""),
            gateway("task-3", "control", ""),
            gateway("t-1", "treatment", ""),
        ];
        let events = event("task-1", "00000001") + &event("task-2", "00000002") + &event("task-9", "00000003");
        let other = samples::E009.replace('\n', " ") + "\n";
        let files =
            [("ml-router-metrics.jsonl", log.concat()), ("performance.jsonl", events), ("2026-01-05-routing-outcomes.jsonl", other)];
        let bytes: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
        let run = Run::of_files(&bytes, &IngestSettings::default());
        assert_eq!((run.report.totals.kept, run.reasons()), (8, vec![]));
        let decisions = Decisions::open(&run.folder.path().join("decisions")).unwrap();
        let rows = assignments(&decisions).unwrap();
        let seen: Vec<_> = rows.iter().map(|row| (row.task_id.as_str(), row.success, row.trace_id.as_deref(), row.latency_ms)).collect();
        let expected = [
            ("t-1", Some(true), Some("t-1"), Some(234.0)),
            ("task-1", Some(true), Some("route-20260105-100000-00000001"), Some(41.0)),
            ("task-2", Some(false), Some("route-20260105-100000-00000002"), Some(41.0)),
            ("task-3", None, None, None),
        ];
        assert_eq!(seen, expected, "the gateway's own outcome wins");
        let place = run.folder.path().join("assignments");
        write_assignments(&decisions, None, &place).unwrap();
        assert_eq!(read_assignments(&place).unwrap(), rows);
        let learnable: usize = decisions.iter().map(|day| day.unwrap().len()).sum();
        assert_eq!(learnable, 4, "rows without a query are no examples");
    }

    #[test]
    fn what_a_gateway_logs_beside_what_it_must_is_kept() {
        let log = [
            gateway("task-1", "treatment", ",\"latency_ms\":12.5,\"rag_hit\":true,\"fallback\":\"low_confidence\",\"error\":\"timeout\""),
            gateway("task-2", "control", ",\"latency_ms\":3,\"rag_context_count\":0,\"hallucination_detected\":true"),
            gateway("task-3", "treatment", ",\"fallback\":false,\"error\":\"\""),
        ];
        let run = Run::of(log.concat().as_bytes());
        let rows = assignments(&Decisions::open(&run.folder.path().join("decisions")).unwrap()).unwrap();
        let seen: Vec<_> =
            rows.iter().map(|row| (row.routing_ms, row.context_found, row.fallback, row.routing_error, row.hallucination)).collect();
        let expected = [
            (Some(12.5), Some(true), Some(true), Some(true), None),
            (Some(3.0), Some(false), None, None, Some(true)),
            (None, None, Some(false), Some(false), None),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn outcomes_that_name_their_group_are_tasks_where_no_gateway_has_a_log() {
        let grouped = samples::E009.replace('\n', " ").replacen('{', "{\"ab_test_group\":\"treatment\",", 1) + "\n";
        let other = grouped.replace("t-1", "t-2").replace("treatment", "control");
        let run = Run::of((grouped + &other).as_bytes());
        let rows = assignments(&Decisions::open(&run.folder.path().join("decisions")).unwrap()).unwrap();
        let seen: Vec<_> =
            rows.iter().map(|row| (row.task_id.as_str(), row.method.as_str(), row.success, row.latency_ms, row.execution_error)).collect();
        assert_eq!(
            seen,
            [("t-1", "ml", Some(true), Some(234.0), Some(false)), ("t-2", "rule-based", Some(true), Some(234.0), Some(false))]
        );
    }

    #[test]
    fn a_log_without_a_gateway_has_none() {
        let run = Run::of(samples::E009.as_bytes());
        assert_eq!(assignments(&Decisions::open(&run.folder.path().join("decisions")).unwrap()).unwrap(), []);
    }
}
