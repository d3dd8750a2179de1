//! The table of the quarantine: how many records of which file were rejected for which reason.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};

use crate::columns::{Access, Column, Known, column};
use crate::error::TableError;
use crate::parquet_file::{TableWriter, fields, provenance};
use crate::reason::REASONS;
use crate::report::IngestReport;

/// Name of the file in the folder of the quarantine.
pub const QUARANTINE_COUNTS: &str = "counts.parquet";

/// Records of one file that were rejected for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RejectedCount {
    file: String,
    format: String,
    reason: String,
    records: i64,
    read: i64,
    meaning: String,
}

/// The columns of `quarantine`, in the order of the file.
pub(crate) static QUARANTINE_COLUMNS: &[Column<RejectedCount>] = &[
    column("file", Known::Always, "-", "the log, as it was named", Access::Text(|row, value| row.file = value)),
    column(
        "format",
        Known::Always,
        "-",
        "its format; `unknown` where no record gave it away. The records are in `<format>.jsonl`",
        Access::Text(|row, value| row.format = value),
    ),
    column("reason", Known::Always, "-", "code of the reason", Access::Text(|row, value| row.reason = value)),
    column("records", Known::Always, "records", "records that were rejected for it", Access::Integer(|row, value| row.records = value)),
    column("read", Known::Always, "records", "records of the log in all", Access::Integer(|row, value| row.read = value)),
    column("meaning", Known::Always, "-", "what the reason means", Access::Text(|row, value| row.meaning = value)),
];

/// Writes `counts.parquet` into the folder of the quarantine; without rejected records it has no rows.
///
/// # Errors
/// [`TableError`] when the file cannot be written.
pub fn write_quarantine_counts(report: &IngestReport, folder: &Path) -> Result<(), TableError> {
    std::fs::create_dir_all(folder).map_err(|error| TableError::write(folder, error))?;
    let mut rows = Vec::new();
    for file in &report.files {
        rows.extend(file.counts.quarantined.iter().map(|(reason, records)| RejectedCount {
            file: file.path.clone(),
            format: file.format.clone().unwrap_or_else(|| "unknown".to_owned()),
            reason: reason.clone(),
            records: i64::try_from(*records).unwrap_or(i64::MAX),
            read: i64::try_from(file.counts.read).unwrap_or(i64::MAX),
            meaning: REASONS.iter().find(|entry| entry.code == reason).map_or("", |entry| entry.meaning).to_owned(),
        }));
    }
    let mut writer = TableWriter::create(&folder.join(QUARANTINE_COUNTS), fields(QUARANTINE_COLUMNS))?;
    let text = |get: fn(&RejectedCount) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(get))) };
    let count = |get: fn(&RejectedCount) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(rows.iter().map(get))) };
    writer.write(vec![
        text(|row| &row.file),
        text(|row| &row.format),
        text(|row| &row.reason),
        count(|row| row.records),
        count(|row| row.read),
        text(|row| &row.meaning),
    ])?;
    writer.finish(&provenance(env!("CARGO_PKG_VERSION"), &[]))
}
