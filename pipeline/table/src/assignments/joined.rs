//! The tasks of a gateway's log, found among the decisions and joined with those of other logs.

use std::collections::{BTreeMap, HashMap, HashSet};

use polars::prelude::*;
use routewright_domain::Timestamp;

use super::{Assignment, GROUP};
use crate::decisions::Decisions;
use crate::error::TableError;
use crate::scan::scan_days;

/// Key of the task among the further scalars of other logs.
pub(super) const TASK: &str = "log.task_id";
/// Keys that a gateway may log beside what it must.
pub(super) const ROUTING_MS: &str = "log.latency_ms";
pub(super) const CONTEXT_FOUND: &str = "log.rag_hit";
pub(super) const CONTEXT_COUNT: &str = "log.rag_context_count";
pub(super) const ERROR: &str = "log.error";
pub(super) const FALLBACK: &str = "log.fallback";
pub(super) const HALLUCINATION: &str = "log.hallucination_detected";

/// What a group may be called.
const GROUPS: [&str; 2] = ["control", "treatment"];

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
    let by_time = |a: &Assignment, b: &Assignment| (a.timestamp, &a.task_id).cmp(&(b.timestamp, &b.task_id));
    if others.height() == 0 {
        assigned.sort_by(by_time);
        return Ok(assigned);
    }
    let known: HashSet<&str> = assigned.iter().map(|row| row.task_id.as_str()).collect();
    let own = read_own(&others, &known).map_err(failed)?;
    assigned.extend(own);
    assigned.sort_by(by_time);
    let positions: HashMap<String, usize> = assigned.iter().enumerate().map(|(at, row)| (row.task_id.clone(), at)).collect();
    join(&others, &positions, &mut assigned).map_err(failed)?;
    Ok(assigned)
}

fn read_assigned(frame: &DataFrame) -> PolarsResult<Vec<Assignment>> {
    let logged = Logged::of(frame)?;
    let (tasks, methods) = (frame.column("query_id")?.str()?, frame.column("policy_id")?.str()?);
    let successes = frame.column("success")?.bool()?;
    let text = |column: &StringChunked, row: usize| column.get(row).unwrap_or_default().to_owned();
    let read = |row| Assignment { task_id: text(tasks, row), method: text(methods, row), success: successes.get(row), ..logged.row(row) };
    Ok((0..frame.height()).map(read).collect())
}

/// Decisions of other logs that name a group and that no gateway's log has: a task each, decided by its group's side.
fn read_own(others: &DataFrame, known: &HashSet<&str>) -> PolarsResult<Vec<Assignment>> {
    let logged = Logged::of(others)?;
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
        rows.push(Assignment { task_id: task.to_owned(), method: method.to_owned(), ..logged.row(row) });
    }
    Ok(rows)
}

/// The columns that say something of the gateway, whichever log they stand in.
struct Logged<'f> {
    timestamps: &'f Int64Chunked,
    groups: &'f StringChunked,
    paths: &'f StringChunked,
    confidences: &'f Float64Chunked,
    routing: &'f StringChunked,
    found: &'f StringChunked,
    counts: &'f StringChunked,
    fallbacks: &'f StringChunked,
    errors: &'f StringChunked,
    made_up: &'f StringChunked,
}

impl<'f> Logged<'f> {
    fn of(frame: &'f DataFrame) -> PolarsResult<Self> {
        let text = |column: &str| -> PolarsResult<&'f StringChunked> { frame.column(column)?.str() };
        Ok(Self {
            timestamps: frame.column("timestamp")?.i64()?,
            groups: text(GROUP)?,
            paths: text("path")?,
            confidences: frame.column("confidence")?.f64()?,
            routing: text(ROUTING_MS)?,
            found: text(CONTEXT_FOUND)?,
            counts: text(CONTEXT_COUNT)?,
            fallbacks: text(FALLBACK)?,
            errors: text(ERROR)?,
            made_up: text(HALLUCINATION)?,
        })
    }

    fn row(&self, row: usize) -> Assignment {
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<f64>().ok());
        Assignment {
            timestamp: Timestamp(self.timestamps.get(row).unwrap_or(0)),
            group: self.groups.get(row).unwrap_or_default().to_owned(),
            path: self.paths.get(row).unwrap_or_default().to_owned(),
            confidence: self.confidences.get(row),
            routing_ms: routing_time(self.routing.get(row)),
            context_found: flag(self.found.get(row)).or(number(self.counts.get(row)).map(|count| count > 0.0)),
            fallback: flag(self.fallbacks.get(row)),
            routing_error: flag(self.errors.get(row)),
            hallucination: flag(self.made_up.get(row)),
            ..Assignment::default()
        }
    }
}

/// Milliseconds that routing took.
pub(super) fn routing_time(text: Option<&str>) -> Option<f64> {
    text.and_then(|text| text.parse().ok()).filter(|millis: &f64| 0.0 <= *millis)
}

/// A flag, or a message that is there.
pub(super) fn flag(text: Option<&str>) -> Option<bool> {
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
