//! The tasks of days that hold nothing but a gateway's rows: columns of the decisions, taken over as they stand.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, new_null_array};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field};

use super::joined::{CONTEXT_COUNT, CONTEXT_FOUND, ERROR, FALLBACK, HALLUCINATION, ROUTING_MS, flag, routing_time};
use super::{ASSIGNMENT_COLUMNS, GROUP, table_metadata};
use crate::decisions::Decisions;
use crate::encoded::{EncodedFile, Origin};
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
    let files = decisions.files_by_day().filter(|(of, _)| *of == day);
    columns_of(files.map(|(_, path)| TableReader::open(path)), names, decisions.folder())
}

/// As [`columns_of_day`], of some files in a folder.
fn columns_of<const N: usize>(
    readers: impl Iterator<Item = Result<TableReader, TableError>>,
    names: [&str; N],
    folder: &Path,
) -> Result<(usize, [Option<ArrayRef>; N]), TableError> {
    let mut parts: [Vec<Option<ArrayRef>>; N] = std::array::from_fn(|_| Vec::new());
    let mut lengths = Vec::new();
    for reader in readers {
        let reader = reader?;
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
    let failed = |error| TableError::columns(folder, error);
    let mut whole: [Option<ArrayRef>; N] = std::array::from_fn(|_| None);
    for (whole, part) in whole.iter_mut().zip(&parts) {
        let Some(kind) = part.iter().flatten().map(|column| column.data_type().clone()).next() else { continue };
        let filled = part.iter().zip(&lengths).map(|(column, length)| column.clone().unwrap_or_else(|| new_null_array(&kind, *length)));
        let filled: Vec<ArrayRef> = filled.collect();
        *whole = Some(concat(&filled.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>()).map_err(failed)?);
    }
    Ok((lengths.iter().sum(), whole))
}

/// The tasks of a day whose rows are all a gateway's, as far as no other day knows anything of them.
pub(super) struct PlainDay {
    decisions: EncodedFile,
    /// The columns of `assignments`.
    columns: Vec<Origin>,
    tasks: StringArray,
}

impl PlainDay {
    /// Reads a day. Nothing where a row is another's, or where a column is not what this version writes: then the tasks have to be looked
    /// for.
    ///
    /// # Errors
    /// [`TableError`] for a file that cannot be read.
    pub(super) fn read(decisions: &Decisions, day: &str) -> Result<Option<Self>, TableError> {
        let files: Vec<&Path> = decisions.files_by_day().filter(|(of, _)| *of == day).map(|(_, path)| path).collect();
        let [path] = files[..] else { return Ok(None) };
        let file = EncodedFile::open(path)?;
        let (Some(group), Some(query)) = (file.position(GROUP), file.position(QUERY)) else { return Ok(None) };
        if file.n_nulls(group) != Some(0) || !file.has_empty_texts_only(query) {
            return Ok(None);
        }
        let fields = fields(ASSIGNMENT_COLUMNS);
        let same =
            [("query_id", "task_id"), ("timestamp", "timestamp"), ("path", "path"), ("confidence", "confidence"), ("success", "success")];
        let mut origins = Vec::new();
        for (from, to) in same {
            let field = fields.iter().find(|field| field.name() == to);
            origins.extend(field.map(|field| origin(&file, from, field)).transpose()?.flatten());
        }
        let Ok([task, time, path, confidence, success]) = <[Origin; 5]>::try_from(origins) else { return Ok(None) };
        let names = ["query_id", "timestamp", GROUP, "policy_id", ROUTING_MS, CONTEXT_FOUND, CONTEXT_COUNT, FALLBACK, ERROR, HALLUCINATION];
        let (n_rows, columns) = columns_of([file.reader()].into_iter(), names, decisions.folder())?;
        let [Some(tasks), Some(times), Some(groups), Some(methods), logged @ ..] = columns else { return Ok(None) };
        if [&tasks, &groups, &methods].iter().any(|column| *column.data_type() != DataType::Utf8 || column.null_count() > 0)
            || !is_sorted(&times, &tasks)
        {
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
        let none = |kind: DataType| Origin::Values(new_null_array(&kind, n_rows));
        let [routing_ms, context_found, fallback, routing_error, hallucination] = logged_columns(&texts, n_rows).map(Origin::Values);
        let columns = vec![
            task,
            time,
            Origin::Values(groups),
            Origin::Values(methods),
            path,
            confidence,
            none(DataType::Utf8),
            none(DataType::Utf8),
            success,
            none(DataType::Float64),
            none(DataType::Float64),
            routing_ms,
            context_found,
            fallback,
            routing_error,
            none(DataType::Boolean),
            hallucination,
            none(DataType::Utf8),
        ];
        let tasks = tasks.as_any().downcast_ref::<StringArray>().cloned();
        Ok(tasks.map(|tasks| Self { decisions: file, columns, tasks }))
    }

    /// The task of every row.
    pub(super) fn tasks(&self) -> impl Iterator<Item = &str> {
        self.tasks.iter().map(Option::unwrap_or_default)
    }

    /// Writes the tasks as a Parquet file.
    ///
    /// # Errors
    /// [`TableError`] for a file that cannot be written.
    pub(super) fn write(&self, path: &Path) -> Result<(), TableError> {
        self.decisions.write_with(fields(ASSIGNMENT_COLUMNS), &self.columns, &table_metadata(), path)
    }
}

/// A column of the decisions as one of the tasks': as it is encoded where it can be. Nothing where it is not what this version writes.
fn origin(file: &EncodedFile, name: &str, field: &Field) -> Result<Option<Origin>, TableError> {
    if let Some(position) = file.position(name).filter(|position| file.is_written_as(*position, field)) {
        return Ok(Some(Origin::Taken(position)));
    }
    let (n_rows, [column]) = columns_of([file.reader()].into_iter(), [name], file.path())?;
    let values = column.unwrap_or_else(|| new_null_array(field.data_type(), n_rows));
    let is_ours = values.data_type() == field.data_type() && (field.is_nullable() || values.null_count() == 0);
    Ok(is_ours.then_some(Origin::Values(values)))
}

/// What a gateway logged beside what it must: routing time, whether context was found, fallback, error, hallucination. `texts`: the columns
/// of [`ROUTING_MS`], [`CONTEXT_FOUND`], [`CONTEXT_COUNT`], [`FALLBACK`], [`ERROR`] and [`HALLUCINATION`].
fn logged_columns(texts: &[Option<StringArray>], n_rows: usize) -> [ArrayRef; 5] {
    let text = |column: usize, row: usize| -> Option<&str> {
        let texts = texts.get(column)?.as_ref()?;
        texts.is_valid(row).then(|| texts.value(row))
    };
    let is_there = |column: usize| texts.get(column).is_some_and(Option::is_some);
    let flags = |of: &[usize], get: &dyn Fn(usize) -> Option<bool>| -> ArrayRef {
        match of.iter().any(|column| is_there(*column)) {
            true => Arc::new((0..n_rows).map(get).collect::<BooleanArray>()),
            false => new_null_array(&DataType::Boolean, n_rows),
        }
    };
    let routing_ms: ArrayRef = match is_there(0) {
        true => Arc::new((0..n_rows).map(|row| routing_time(text(0, row))).collect::<Float64Array>()),
        false => new_null_array(&DataType::Float64, n_rows),
    };
    let has_context = |row| flag(text(1, row)).or(text(2, row).and_then(|text| text.parse().ok()).map(|count: f64| count > 0.0));
    let [fallback, error, hallucination] = [3, 4, 5].map(|column| flags(&[column], &|row| flag(text(column, row))));
    [routing_ms, flags(&[1, 2], &has_context), fallback, error, hallucination]
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
    use crate::assignments::{arrays, assignments, write_file};
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

    #[test]
    fn a_day_that_is_taken_over_is_the_file_that_its_tasks_would_become() {
        // More rows than a page, and a row group, may hold; outcomes begin after the first batch of rows.
        let n_rows = 33_000;
        let line = |row: usize, rest: &str| {
            let (path, group) = (["a", "b", "longer"][row % 3], ["control", "treatment"][row % 2]);
            let time = format!("2026-01-05T{:02}:{:02}:{:02}Z", row / 3600, row / 60 % 60, row % 60);
            format!(
                "{{\"timestamp\":\"{time}\",\"task_id\":\"t{row}\",\"method\":\"ml\",\"selected_master\":\"{path}\",\"ab_test_group\":\"{group}\"{rest}}}\n"
            )
        };
        let of = |n_rows: usize, rest: &dyn Fn(usize) -> String| {
            let log: String = (0..n_rows).map(|row| line(row, &rest(row))).collect();
            let run = Run::of(log.as_bytes());
            let decisions = Decisions::open(&run.folder.path().join("decisions")).unwrap();
            let [taken, made] = ["taken", "made"].map(|name| run.folder.path().join(name));
            let plain = PlainDay::read(&decisions, "2026-01-05").unwrap();
            write_file(arrays(&assignments(&decisions).unwrap()), &made).unwrap();
            plain.map(|plain| {
                plain.write(&taken).unwrap();
                assert_eq!(plain.tasks().next(), Some("t0"));
                std::fs::read(taken).unwrap() == std::fs::read(made).unwrap()
            })
        };
        let full = |row: usize| format!(r#","confidence":0.{},"outcome":"completed","latency_ms":{row},"fallback":"x""#, row % 10);
        assert_eq!(of(n_rows, &full), Some(true));
        assert_eq!(of(n_rows, &|_| String::new()), Some(true));
        let late = |row: usize| if row < 9_000 { String::new() } else { full(row) };
        assert_eq!(of(n_rows, &late), Some(true), "columns that are compressed in one file only are encoded anew");
        let some = |row: usize| if row.is_multiple_of(7) { String::new() } else { full(row) };
        assert_eq!((of(n_rows, &some), of(100, &some), of(100, &|_| String::new())), (Some(true), Some(true), Some(true)));
    }
}
