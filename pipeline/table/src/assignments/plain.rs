//! The tasks of days that hold nothing but a gateway's rows: columns of the decisions, taken over as they stand.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, new_null_array};
use arrow::compute::{cast, concat};
use arrow::datatypes::DataType;

use super::joined::{CONTEXT_COUNT, CONTEXT_FOUND, ERROR, FALLBACK, HALLUCINATION, ROUTING_MS, flag, routing_time};
use super::{ASSIGNMENT_COLUMNS, GROUP};
use crate::decisions::Decisions;
use crate::error::TableError;
use crate::parquet_file::{TableReader, fields};

/// The column of queries.
pub(super) const QUERY: &str = "query";

/// Columns of one day of decisions, each in one piece, null where one of several files has not the column; `None` for a column that the day
/// has not. Of [`QUERY`] there is only whether a row has a text: the texts of a day may be more than one array holds.
///
/// # Errors
/// [`TableError`] for a file that cannot be read.
pub(super) fn columns_of_day<const N: usize>(
    decisions: &Decisions,
    day: &str,
    names: [&str; N],
) -> Result<(usize, [Option<ArrayRef>; N]), TableError> {
    let mut parts: [Vec<Option<ArrayRef>>; N] = std::array::from_fn(|_| Vec::new());
    let mut lengths = Vec::new();
    for (_, path) in decisions.files_by_day().filter(|(of, _)| *of == day) {
        let reader = TableReader::open(path)?;
        let schema = reader.schema();
        let positions = names.map(|name| schema.index_of(name).ok());
        // Columns come in the order of the file.
        let mut wanted: Vec<usize> = positions.iter().flatten().copied().collect();
        wanted.sort_unstable();
        for batch in reader.with_columns(wanted.iter().copied()).batches()? {
            let batch = batch?;
            lengths.push(batch.num_rows());
            for (part, name) in parts.iter_mut().zip(names) {
                let column = batch.column_by_name(name);
                part.push(column.map(|column| if name == QUERY { has_text(column) } else { Arc::clone(column) }));
            }
        }
    }
    let failed = |error| TableError::columns(decisions.folder(), error);
    let mut whole: [Option<ArrayRef>; N] = std::array::from_fn(|_| None);
    for (whole, part) in whole.iter_mut().zip(&parts) {
        let Some(kind) = part.iter().flatten().map(|column| column.data_type().clone()).next() else { continue };
        let filled = part.iter().zip(&lengths).map(|(column, length)| column.clone().unwrap_or_else(|| new_null_array(&kind, *length)));
        let filled: Vec<ArrayRef> = filled.collect();
        *whole = Some(concat(&filled.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>()).map_err(failed)?);
    }
    Ok((lengths.iter().sum(), whole))
}

/// The tasks of a day whose rows are all a gateway's and of which no other day knows anything, as one array per column of `assignments`.
/// Nothing where a row is another's, or where a column is not what this version writes: then the tasks have to be looked for.
///
/// # Errors
/// [`TableError`] for a file that cannot be read.
pub(super) fn plain_tasks(decisions: &Decisions, day: &str) -> Result<Option<Vec<ArrayRef>>, TableError> {
    let names = [
        "query_id",
        "timestamp",
        GROUP,
        "policy_id",
        "path",
        "confidence",
        "success",
        QUERY,
        ROUTING_MS,
        CONTEXT_FOUND,
        CONTEXT_COUNT,
        FALLBACK,
        ERROR,
        HALLUCINATION,
    ];
    let (n_rows, columns) = columns_of_day(decisions, day, names)?;
    let [tasks, times, groups, methods, paths, confidences, successes, queries, logged @ ..] = columns;
    let (Some(tasks), Some(times), Some(groups), Some(methods), Some(paths)) = (tasks, times, groups, methods, paths) else {
        return Ok(None);
    };
    let is_gateway = is_all_gateway(&groups, queries.as_ref());
    let (is_whole, is_sorted) = ([&tasks, &methods, &paths].iter().all(|column| column.null_count() == 0), is_sorted(&times, &tasks));
    if !(is_gateway && is_whole && is_sorted) {
        return Ok(None);
    }
    let mut texts = Vec::new();
    for column in &logged {
        match column.as_ref().map(as_text) {
            None => texts.push(None),
            Some(Some(text)) => texts.push(Some(text)),
            Some(None) => return Ok(None),
        }
    }
    let text = |column: usize, row: usize| -> Option<&str> {
        let texts = texts.get(column)?.as_ref()?;
        texts.is_valid(row).then(|| texts.value(row))
    };
    let all = |kind: DataType, present: bool, make: &dyn Fn() -> ArrayRef| if present { make() } else { new_null_array(&kind, n_rows) };
    let flags = |column: usize| {
        let make = || -> ArrayRef { Arc::new((0..n_rows).map(|row| flag(text(column, row))).collect::<BooleanArray>()) };
        all(DataType::Boolean, texts[column].is_some(), &make)
    };
    let routing_ms = || -> ArrayRef { Arc::new((0..n_rows).map(|row| routing_time(text(0, row))).collect::<Float64Array>()) };
    let context_found = || -> ArrayRef {
        let found = |row| flag(text(1, row)).or(text(2, row).and_then(|text| text.parse().ok()).map(|count: f64| count > 0.0));
        Arc::new((0..n_rows).map(found).collect::<BooleanArray>())
    };
    let none = |kind: DataType| new_null_array(&kind, n_rows);
    let arrays = vec![
        tasks,
        times,
        groups,
        methods,
        paths,
        confidences.unwrap_or_else(|| none(DataType::Float64)),
        none(DataType::Utf8),
        none(DataType::Utf8),
        successes.unwrap_or_else(|| none(DataType::Boolean)),
        none(DataType::Float64),
        none(DataType::Float64),
        all(DataType::Float64, texts[0].is_some(), &routing_ms),
        all(DataType::Boolean, texts[1].is_some() || texts[2].is_some(), &context_found),
        flags(3),
        flags(4),
        none(DataType::Boolean),
        flags(5),
        none(DataType::Utf8),
    ];
    let is_ours = fields(ASSIGNMENT_COLUMNS).iter().zip(&arrays).all(|(field, array)| field.data_type() == array.data_type());
    Ok(is_ours.then_some(arrays))
}

/// Whether every row names a group and none has a query. `queries`: what [`columns_of_day`] gives for [`QUERY`].
pub(super) fn is_all_gateway(groups: &ArrayRef, queries: Option<&ArrayRef>) -> bool {
    let are_empty = |queries: &ArrayRef| {
        let has_text = queries.as_any().downcast_ref::<BooleanArray>();
        has_text.is_some_and(|has_text| has_text.null_count() == 0 && has_text.true_count() == 0)
    };
    groups.null_count() == 0 && *groups.data_type() == DataType::Utf8 && queries.is_some_and(are_empty)
}

/// Whether each row has a text; a column of something else as it is.
fn has_text(queries: &ArrayRef) -> ArrayRef {
    match queries.as_any().downcast_ref::<StringArray>() {
        Some(texts) => Arc::new(texts.iter().map(|text| text.map(|text| !text.is_empty())).collect::<BooleanArray>()),
        None => Arc::clone(queries),
    }
}

/// Whether rows stand in the order (timestamp, task).
fn is_sorted(times: &ArrayRef, tasks: &ArrayRef) -> bool {
    let times = cast(times, &DataType::Int64);
    let times = times.as_ref().ok().and_then(|times| times.as_any().downcast_ref::<Int64Array>());
    let (Some(times), Some(tasks)) = (times, tasks.as_any().downcast_ref::<StringArray>()) else { return false };
    times.null_count() == 0
        && (1..times.len()).all(|row| (times.value(row - 1), tasks.value(row - 1)) <= (times.value(row), tasks.value(row)))
}

/// A column as texts; nothing for a list.
pub(super) fn as_text(column: &ArrayRef) -> Option<StringArray> {
    if !matches!(column.data_type(), DataType::Utf8 | DataType::Boolean | DataType::Float64) {
        return None;
    }
    let texts = cast(column, &DataType::Utf8).ok()?;
    texts.as_any().downcast_ref::<StringArray>().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IngestSettings;
    use crate::corpus::Run;
    use crate::formats::samples;

    #[test]
    fn a_column_that_one_of_several_files_of_a_day_lacks_is_null_there() {
        let gateway = r#"{"timestamp":"2026-01-05T23:00:00Z","task_id":"g","method":"ml","selected_master":"m","ab_test_group":"control"}"#;
        let run = |text: &str| Run::of_files(&[("x.jsonl", text.as_bytes())], &IngestSettings::default());
        let (outcomes, gateway) = (run(samples::E009), run(gateway));
        let day = |run: &Run| run.folder.path().join("decisions/day=2026-01-05");
        std::fs::copy(day(&gateway).join("part-0.parquet"), day(&outcomes).join("part-1.parquet")).unwrap();
        let decisions = Decisions::open(&outcomes.folder.path().join("decisions")).unwrap();
        let (n_rows, [ids, groups, none]) = columns_of_day(&decisions, "2026-01-05", ["trace_id", GROUP, "no such column"]).unwrap();
        let valid = |column: Option<ArrayRef>| column.map(|column| (0..column.len()).map(|row| column.is_valid(row)).collect::<Vec<_>>());
        assert_eq!((n_rows, valid(ids), valid(groups), none.is_none()), (2, Some(vec![true, true]), Some(vec![false, true]), true));
    }
}
