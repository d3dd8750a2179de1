//! What can go wrong with tables.

use std::io;
use std::path::{Path, PathBuf};

use crate::report::IngestReport;

/// A table that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A file or folder that cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file or folder that cannot be written.
    #[error("cannot write `{path}`")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A Parquet file that cannot be read or written.
    #[error("`{path}` is no readable Parquet table")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the Parquet library found.
        source: parquet::errors::ParquetError,
    },
    /// Columns that do not fit together.
    #[error("columns of `{path}` do not fit")]
    Columns {
        /// The file.
        path: PathBuf,
        /// What the Arrow library found.
        source: arrow::error::ArrowError,
    },
    /// A file written by a newer version.
    #[error("`{path}` has schema version {found}, this program reads up to {known}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that can be read.
        known: u32,
    },
    /// A column that a table must have and does not.
    #[error("`{path}` has no column `{column}`")]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// Two columns of one name.
    #[error("`{path}` has two columns `{column}`")]
    RepeatedColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// A value that is not what a column must hold.
    #[error("`{path}`, column `{column}`, row {row}: expected {expected}, found {found}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The row, from 1.
        row: usize,
        /// What it must be.
        expected: &'static str,
        /// What it is, in words.
        found: String,
    },
    /// A CSV file that cannot be read or written.
    #[error("`{path}` is no readable CSV table")]
    Csv {
        /// The file.
        path: PathBuf,
        /// What the CSV library found.
        source: csv::Error,
    },
    /// A query that polars cannot answer.
    #[error("cannot query `{path}`")]
    Query {
        /// The table.
        path: PathBuf,
        /// What polars found.
        source: Box<polars::error::PolarsError>,
    },
    /// An archive that reads back as something else than what was put into it.
    #[error("the archive of `{path}` reads back with digest {found}, expected {expected}; the log stays where it is")]
    NotTheSame {
        /// The log.
        path: PathBuf,
        /// BLAKE3 of the log.
        expected: String,
        /// BLAKE3 of what the archive holds.
        found: String,
    },
    /// A name that is no table's.
    #[error("unknown table `{name}`, there are {known}")]
    UnknownTable {
        /// The name that was asked for.
        name: String,
        /// The names there are, comma separated.
        known: String,
    },
}

impl TableError {
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }

    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        Self::Write { path: path.to_owned(), source }
    }

    pub(crate) fn parquet(path: &Path, source: parquet::errors::ParquetError) -> Self {
        Self::Parquet { path: path.to_owned(), source }
    }

    pub(crate) fn columns(path: &Path, source: arrow::error::ArrowError) -> Self {
        Self::Columns { path: path.to_owned(), source }
    }

    pub(crate) fn csv(path: &Path, source: csv::Error) -> Self {
        Self::Csv { path: path.to_owned(), source }
    }

    pub(crate) fn query(path: &Path, source: polars::error::PolarsError) -> Self {
        Self::Query { path: path.to_owned(), source: Box::new(source) }
    }
}

/// Why an ingest gave no tables.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// A file or folder that cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A forced format that does not exist.
    #[error("unknown format `{name}`, there are {known}")]
    UnknownFormat {
        /// The name that was asked for.
        name: String,
        /// The names there are, comma separated.
        known: String,
    },
    /// A file whose first records several formats claim.
    #[error("`{path}` could be of several formats: {formats}; say which with `ingest.format`")]
    AmbiguousFormat {
        /// The file.
        path: PathBuf,
        /// The formats, comma separated.
        formats: String,
    },
    /// Sources without a single log file.
    #[error("no log files in {sources}")]
    NoFiles {
        /// The sources, comma separated.
        sources: String,
    },
    /// Files without a single record.
    #[error("no records in {n_files} files")]
    NoRecords {
        /// Files that were read.
        n_files: usize,
    },
    /// More rejects than allowed; the quarantine is written, the tables are not.
    #[error("{quarantined} of {read} records were rejected ({percent:.1} %), {limit:.1} % are allowed: {counts}", percent = share(*.quarantined, *.read) * 100.0, limit = .max_rejected * 100.0)]
    TooManyRejected {
        /// Records that were rejected.
        quarantined: u64,
        /// Records that were read.
        read: u64,
        /// Share that is allowed.
        max_rejected: f64,
        /// Counts by reason, most frequent first.
        counts: String,
        /// Everything that was counted.
        report: Box<IngestReport>,
    },
    /// Rows that were written for the next ingest and read back as something else: a fault of the disk.
    #[error("`{path}` holds other rows than were written; remove it to read all logs again")]
    TornLedger {
        /// Folder of the rows.
        path: PathBuf,
    },
    /// Counts that do not add up: a fault of this program.
    #[error("rows do not add up: {detail}")]
    RowsDoNotAddUp {
        /// Which counts.
        detail: String,
    },
    /// A table that cannot be written.
    #[error(transparent)]
    Table(#[from] TableError),
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

impl IngestError {
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }
}
