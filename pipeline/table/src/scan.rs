//! Lazy polars frames over tables, whatever columns their files have.

use std::path::Path;

use polars::prelude::*;

use crate::decisions::{Decisions, table_files};
use crate::error::TableError;

/// A column that is asked for: its name and its type.
pub(crate) type Wanted<'a> = (&'a str, DataType);

/// Name of the column that [`scan_days`] adds.
pub(crate) const DAY: &str = "day";

/// Columns of all decisions in the order of days, with [`DAY`] first; a column that a file has not is null there.
pub(crate) fn scan_days(decisions: &Decisions, wanted: &[Wanted<'_>]) -> Result<LazyFrame, TableError> {
    let failed = |error| TableError::query(decisions.folder(), error);
    let mut frames = Vec::new();
    for (day, path) in decisions.files_by_day() {
        let mut frame = scan_file(path)?;
        let present = frame.collect_schema().map_err(failed)?;
        let mut columns = vec![lit(day.to_owned()).alias(DAY)];
        columns.extend(wanted.iter().map(|(name, kind)| {
            let value = if present.contains(name) { col(*name) } else { lit(NULL) };
            value.cast(kind.clone()).alias(*name)
        }));
        frames.push(frame.select(columns));
    }
    if frames.is_empty() {
        let columns = std::iter::once((DAY, DataType::String)).chain(wanted.iter().cloned());
        let empty = columns.map(|(name, kind)| Column::new_empty(name.into(), &kind)).collect();
        return Ok(DataFrame::new(0, empty).map_err(failed)?.lazy());
    }
    concat(frames, UnionArgs::default()).map_err(failed)
}

/// One Parquet file.
pub(crate) fn scan_file(path: &Path) -> Result<LazyFrame, TableError> {
    let failed = |error| TableError::query(path, error);
    let place = PlRefPath::try_from_path(path).map_err(failed)?;
    let arguments = ScanArgsParquet { glob: false, hive_options: HiveOptions::new_disabled(), ..Default::default() };
    LazyFrame::scan_parquet(place, arguments).map_err(failed)
}

/// The first rows of a table (a Parquet file or a folder of days) that a SQL condition holds for: per row its columns with their values as
/// text, nulls left out.
///
/// # Errors
/// [`TableError`] for a table that cannot be read, and for a condition that polars does not understand.
pub fn head(table: &Path, n_rows: usize, condition: Option<&str>) -> Result<Vec<Vec<(String, String)>>, TableError> {
    let failed = |error| TableError::query(table, error);
    let condition = condition.map(polars::sql::sql_expr).transpose().map_err(failed)?;
    let mut rows = Vec::new();
    for file in table_files(table)? {
        if rows.len() >= n_rows {
            break;
        }
        let mut frame = scan_file(&file)?;
        if let Some(condition) = &condition {
            frame = frame.filter(condition.clone());
        }
        let frame = frame.limit((n_rows - rows.len()) as IdxSize).collect().map_err(failed)?;
        for row in 0..frame.height() {
            let values = frame.columns().iter().map(|column| Ok((column.name().to_string(), column.get(row)?)));
            let values: PolarsResult<Vec<(String, AnyValue<'_>)>> = values.collect();
            let shown = values.map_err(failed)?.into_iter().filter(|(_, value)| !value.is_null());
            rows.push(shown.map(|(name, value)| (name, shown_value(&value))).collect());
        }
    }
    Ok(rows)
}

fn shown_value(value: &AnyValue<'_>) -> String {
    match value {
        AnyValue::String(text) => (*text).to_owned(),
        AnyValue::StringOwned(text) => text.to_string(),
        AnyValue::Datetime(micros, ..) | AnyValue::DatetimeOwned(micros, ..) => {
            jiff::Timestamp::from_microsecond(*micros).map_or_else(|_| micros.to_string(), |instant| instant.to_string())
        }
        AnyValue::List(texts) if texts.dtype() == &DataType::String => {
            texts.str().map(|texts| texts.iter().flatten().collect::<Vec<_>>().join(", ")).unwrap_or_default()
        }
        other => other.to_string(),
    }
}
