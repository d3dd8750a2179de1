//! Tasks that an A/B gateway put into groups, joined by task with the decisions that other logs hold of them.

use std::collections::{BTreeMap, HashMap, HashSet};
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
/// Keys that a gateway may log beside what it must.
const ROUTING_MS: &str = "log.latency_ms";
const CONTEXT_FOUND: &str = "log.rag_hit";
const CONTEXT_COUNT: &str = "log.rag_context_count";
const ERROR: &str = "log.error";
const FALLBACK: &str = "log.fallback";
const HALLUCINATION: &str = "log.hallucination_detected";

/// What a group may be called.
const GROUPS: [&str; 2] = ["control", "treatment"];

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

/// The tasks of a gateway's log among the decisions, joined with the other decisions on them by `task_id` or `trace_id`, in the order (timestamp,
/// task). None where no log is a gateway's. Of several decisions on one task the one with an outcome counts, else the last. Where a gateway keeps
/// no log of its own but names the group in its outcomes, these are the tasks.
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
        ("hallucination_detected", DataType::Boolean),
        ("error", DataType::String),
        ("optimal_path", DataType::String),
        // As texts: what a log calls an error may be a flag in one and a message in another.
        (ROUTING_MS, DataType::String),
        (CONTEXT_FOUND, DataType::String),
        (CONTEXT_COUNT, DataType::String),
        (ERROR, DataType::String),
        (FALLBACK, DataType::String),
        (HALLUCINATION, DataType::String),
    ];
    let all = scan_days(decisions, &wanted)?;
    let gateway = || col(GROUP).is_not_null().and(col("query").eq(lit("")));
    // In one piece: a row of a column in many has to be looked for.
    let collected = |rows: LazyFrame| -> Result<DataFrame, TableError> {
        let mut frame = rows.collect().map_err(failed)?;
        frame.rechunk_mut();
        Ok(frame)
    };
    let mut assigned = read_assigned(&collected(all.clone().filter(gateway()))?).map_err(failed)?;
    let others = collected(all.filter(gateway().not()))?;
    let known: HashSet<&str> = assigned.iter().map(|row| row.task_id.as_str()).collect();
    let own = read_own(&others, &known).map_err(failed)?;
    assigned.extend(own);
    assigned.sort_by(|a, b| (a.timestamp, &a.task_id).cmp(&(b.timestamp, &b.task_id)));
    let positions: HashMap<String, usize> = assigned.iter().enumerate().map(|(at, row)| (row.task_id.clone(), at)).collect();
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
            method: text("policy_id", row)?,
            success: frame.column("success")?.bool()?.get(row),
            ..logged(frame, row)?
        });
    }
    Ok(rows)
}

/// Decisions of other logs that name a group and that no gateway's log has: a task each, decided by its group's side.
fn read_own(others: &DataFrame, known: &HashSet<&str>) -> PolarsResult<Vec<Assignment>> {
    let (groups, ids, tasks) = (others.column(GROUP)?.str()?, others.column("trace_id")?.str()?, others.column(TASK)?.str()?);
    let mut seen: HashSet<&str> = HashSet::new();
    let mut rows = Vec::new();
    for row in 0..others.height() {
        let Some(group) = groups.get(row).filter(|group| GROUPS.contains(group)) else { continue };
        let Some(task) = tasks.get(row).or(ids.get(row)) else { continue };
        if known.contains(task) || ids.get(row).is_some_and(|id| known.contains(id)) || !seen.insert(task) {
            continue;
        }
        let method = if group == "control" { "rule-based" } else { "ml" };
        rows.push(Assignment { task_id: task.to_owned(), method: method.to_owned(), ..logged(others, row)? });
    }
    Ok(rows)
}

/// What a row says of the gateway, whichever log it stands in.
fn logged(frame: &DataFrame, row: usize) -> PolarsResult<Assignment> {
    let text = |column: &str| -> PolarsResult<Option<&str>> { Ok(frame.column(column)?.str()?.get(row)) };
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<f64>().ok());
    let found = flag(text(CONTEXT_FOUND)?).or(number(text(CONTEXT_COUNT)?).map(|count| count > 0.0));
    Ok(Assignment {
        timestamp: Timestamp(frame.column("timestamp")?.i64()?.get(row).unwrap_or(0)),
        group: text(GROUP)?.unwrap_or_default().to_owned(),
        path: text("path")?.unwrap_or_default().to_owned(),
        confidence: frame.column("confidence")?.f64()?.get(row),
        routing_ms: number(text(ROUTING_MS)?).filter(|millis| 0.0 <= *millis),
        context_found: found,
        fallback: flag(text(FALLBACK)?),
        routing_error: flag(text(ERROR)?),
        hallucination: flag(text(HALLUCINATION)?),
        ..Assignment::default()
    })
}

/// A flag, or a message that is there.
fn flag(text: Option<&str>) -> Option<bool> {
    text.map(|text| !matches!(text, "" | "false" | "0" | "0.0" | "none"))
}

/// Adds what other logs know of the tasks.
fn join(others: &DataFrame, positions: &HashMap<String, usize>, assigned: &mut [Assignment]) -> PolarsResult<()> {
    let (ids, tasks) = (others.column("trace_id")?.str()?, others.column(TASK)?.str()?);
    let (successes, types) = (others.column("success")?.bool()?, others.column("query_type")?.str()?);
    let (latencies, costs) = (others.column("latency_ms")?.f64()?, others.column("cost")?.f64()?);
    let (errors, made_up) = (others.column("error")?.str()?, others.column("hallucination_detected")?.bool()?);
    let best = others.column("optimal_path")?.str()?;
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
        // No error is only known of what has ended.
        slot.execution_error = if errors.get(row).is_some_and(|error| !error.is_empty()) { Some(true) } else { success.map(|_| false) };
        slot.hallucination = slot.hallucination.or(made_up.get(row));
        slot.optimal_path = best.get(row).map(str::to_owned);
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
