//! Tasks that an A/B gateway put into groups, joined by task with the decisions that other logs hold of them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, StringArray, TimestampMicrosecondArray};
use polars::prelude::*;
use routewright_domain::{Decision, Timestamp};

use crate::columns::{Access, Column, Known, column};
use crate::decisions::Decisions;
use crate::error::TableError;
use crate::parquet_file::{TableReader, TableWriter, fields, provenance, take_columns};
use crate::scan::scan_days;

/// Key of a gateway's group among the further scalars.
pub(crate) const GROUP: &str = "log.ab_test_group";
/// Key of the task among the further scalars of other logs.
const TASK: &str = "log.task_id";

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
];

/// Whether a decision is a gateway's row: it names a group and carries no query, so there is nothing to learn a route from.
pub(crate) fn is_assignment(decision: &Decision) -> bool {
    decision.query.is_empty() && decision.extras.contains_key(GROUP)
}

/// The tasks of a gateway's log among the decisions, joined with the other decisions on them by `task_id` or `trace_id`, in the order (timestamp,
/// task). None where no log is a gateway's. Of several decisions on one task the one with an outcome counts, else the last.
///
/// # Errors
/// [`TableError`] for a table that cannot be read.
pub fn assignments(decisions: &Decisions) -> Result<Vec<Assignment>, TableError> {
    if !decisions.extras().contains_key(GROUP) {
        return Ok(Vec::new());
    }
    let failed = |error| TableError::query(decisions.folder(), error);
    let text = DataType::String;
    let wanted = [
        ("trace_id", text.clone()),
        ("query_id", text.clone()),
        ("timestamp", DataType::Int64),
        ("query", text.clone()),
        (GROUP, text.clone()),
        (TASK, text.clone()),
        ("policy_id", text.clone()),
        ("path", text.clone()),
        ("query_type", text),
        ("confidence", DataType::Float64),
        ("success", DataType::Boolean),
        ("latency_ms", DataType::Float64),
        ("cost", DataType::Float64),
    ];
    let all = scan_days(decisions, &wanted)?;
    let gateway = || col(GROUP).is_not_null().and(col("query").eq(lit("")));
    let mut assigned = read_assigned(&all.clone().filter(gateway()).collect().map_err(failed)?).map_err(failed)?;
    let positions: HashMap<String, usize> = assigned.iter().enumerate().map(|(at, row)| (row.task_id.clone(), at)).collect();
    let others = all.filter(gateway().not()).collect().map_err(failed)?;
    join(&others, &positions, &mut assigned).map_err(failed)?;
    Ok(assigned)
}

fn read_assigned(frame: &DataFrame) -> PolarsResult<Vec<Assignment>> {
    let text =
        |column: &str, row: usize| -> PolarsResult<String> { Ok(frame.column(column)?.str()?.get(row).unwrap_or_default().to_owned()) };
    let mut rows = Vec::with_capacity(frame.height());
    for row in 0..frame.height() {
        rows.push(Assignment {
            task_id: text("query_id", row)?,
            timestamp: Timestamp(frame.column("timestamp")?.i64()?.get(row).unwrap_or(0)),
            group: text(GROUP, row)?,
            method: text("policy_id", row)?,
            path: text("path", row)?,
            confidence: frame.column("confidence")?.f64()?.get(row),
            success: frame.column("success")?.bool()?.get(row),
            ..Assignment::default()
        });
    }
    rows.sort_by(|a, b| (a.timestamp, &a.task_id).cmp(&(b.timestamp, &b.task_id)));
    Ok(rows)
}

/// Adds what other logs know of the tasks.
fn join(others: &DataFrame, positions: &HashMap<String, usize>, assigned: &mut [Assignment]) -> PolarsResult<()> {
    let (ids, tasks) = (others.column("trace_id")?.str()?, others.column(TASK)?.str()?);
    let (successes, types) = (others.column("success")?.bool()?, others.column("query_type")?.str()?);
    let (latencies, costs) = (others.column("latency_ms")?.f64()?, others.column("cost")?.f64()?);
    // Outcomes that came from other logs, by position: a joined decision without one must not hide another with one.
    let mut joined: BTreeMap<usize, Option<bool>> = BTreeMap::new();
    for row in 0..others.height() {
        let task = [tasks.get(row), ids.get(row)].into_iter().flatten().find_map(|task| positions.get(task));
        let Some(&position) = task else { continue };
        let success = successes.get(row);
        if joined.get(&position).is_some_and(|known| known.is_some() && success.is_none()) {
            continue;
        }
        joined.insert(position, success);
        let Some(slot) = assigned.get_mut(position) else { continue };
        slot.trace_id = ids.get(row).map(str::to_owned);
        slot.query_type = types.get(row).map(str::to_owned);
        slot.latency_ms = latencies.get(row);
        slot.cost = costs.get(row);
    }
    for (position, success) in joined {
        if let Some(slot) = assigned.get_mut(position) {
            slot.success = slot.success.or(success);
        }
    }
    Ok(())
}

/// Rows as one array per column.
fn arrays(rows: &[Assignment]) -> Vec<ArrayRef> {
    let text = |get: fn(&Assignment) -> Option<&str>| -> ArrayRef { Arc::new(StringArray::from_iter(rows.iter().map(get))) };
    let number = |get: fn(&Assignment) -> Option<f64>| -> ArrayRef { Arc::new(Float64Array::from_iter(rows.iter().map(get))) };
    vec![
        text(|row| Some(&row.task_id)),
        Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.timestamp.0)).with_timezone("UTC")),
        text(|row| Some(&row.group)),
        text(|row| Some(&row.method)),
        text(|row| Some(&row.path)),
        number(|row| row.confidence),
        text(|row| row.trace_id.as_deref()),
        text(|row| row.query_type.as_deref()),
        Arc::new(BooleanArray::from_iter(rows.iter().map(|row| row.success))),
        number(|row| row.latency_ms),
        number(|row| row.cost),
    ]
}

/// Writes `assignments.parquet`.
///
/// # Errors
/// [`TableError`] when the file cannot be written.
pub fn write_assignments(rows: &[Assignment], path: &Path) -> Result<(), TableError> {
    let mut writer = TableWriter::create(path, fields(ASSIGNMENT_COLUMNS))?;
    writer.write(arrays(rows))?;
    writer.finish(&provenance(env!("CARGO_PKG_VERSION"), &[]))
}

/// Reads `assignments.parquet`.
///
/// # Errors
/// [`TableError`] for a file that cannot be read.
pub fn read_assignments(path: &Path) -> Result<Vec<Assignment>, TableError> {
    let mut rows = Vec::new();
    for batch in TableReader::open(path)?.batches()? {
        let batch = batch?;
        let start = rows.len();
        rows.resize_with(start + batch.num_rows(), Assignment::default);
        take_columns(ASSIGNMENT_COLUMNS, &batch, &mut rows[start..], path)?;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IngestSettings;
    use crate::corpus::Run;
    use crate::formats::samples;

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
        let path = run.folder.path().join("assignments.parquet");
        write_assignments(&rows, &path).unwrap();
        assert_eq!(read_assignments(&path).unwrap(), rows);
        let learnable: usize = decisions.iter().map(|day| day.unwrap().len()).sum();
        assert_eq!(learnable, 4, "rows without a query are no examples");
    }

    #[test]
    fn a_log_without_a_gateway_has_none() {
        let run = Run::of(samples::E009.as_bytes());
        assert_eq!(assignments(&Decisions::open(&run.folder.path().join("decisions")).unwrap()).unwrap(), []);
    }
}
