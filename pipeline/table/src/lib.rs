//! Tables: log formats in, canonical Parquet tables out; the only crate that names polars, arrow and parquet.
//!
//! * [`ingest()`]: reads log files of any of the [`FORMATS`], writes `decisions` and `layers`, quarantines what cannot be read.
//! * [`Decisions`]: the decisions of a project, day by day in order.
//! * [`read_cascade`] and [`Tail`]: the events of a cascade, from the tables and from the lines that were appended since.
//! * [`Summary`]: what a log says before anything is trained.
//!
//! ```
//! use routewright_table::{Decisions, IngestPlaces, IngestSettings, ingest};
//!
//! let folder = tempfile::tempdir()?;
//! let log = folder.path().join("log.jsonl");
//! std::fs::write(&log, r#"{"trace_id":"1","timestamp":"2026-01-01T08:00:00Z","query":"hi","routing_decision":{"execution_path":"CHAT"}}"#)?;
//! let places = IngestPlaces {
//!     decisions: folder.path().join("decisions"),
//!     layers: folder.path().join("layers"),
//!     quarantine: folder.path().join("quarantine"),
//! };
//! let report = ingest(&[log], &IngestSettings::default(), &places, &|_done, _total| {})?;
//! assert_eq!((report.totals.kept, report.totals.pending), (1, 1));
//! assert_eq!(Decisions::open(&places.decisions)?.paths().names(), ["CHAT"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod archive;
mod assignments;
mod blocks;
mod bytes;
mod cascade;
mod columns;
mod columns_of_rows;
mod counts;
mod decisions;
mod draft;
mod duplicates;
mod embeddings;
mod encoded;
mod error;
mod expect;
mod extras;
mod features;
mod formats;
mod ingest;
mod inspect;
mod json;
mod judgement;
mod ledger;
mod outline;
mod parquet_file;
mod pieces;
mod plain;
mod quarantine;
mod reason;
mod records;
mod redact;
mod report;
mod rows;
mod scan;
mod schema;
mod shapes;
mod source;
mod spill;
mod state;
mod storage;
mod summary;
mod tail;
mod unhashed;
mod wide;
mod write;

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod frozen;
#[cfg(test)]
mod increments;

pub use archive::{ARCHIVE, Archived, LogFile, archive, plain_logs};
pub use assignments::{Assignment, EarlierAssignments, assignments, read_assignments, write_assignments};
pub use cascade::read_cascade;
pub use counts::{QUARANTINE_COUNTS, write_quarantine_counts};
pub use decisions::{Decisions, read_layers};
pub use embeddings::{EmbeddingCache, TextDigest};
pub use error::{IngestError, TableError};
pub use expect::{ExpectSettings, Finding, Limits, Severity, Status, expectations, freshness};
pub use extras::{ExtraKind, known_at_decision};
pub use features::{FeatureColumn, FeatureTable, FeatureTableError, HeldOutRows, Outcomes, TrainingRows, Window};
pub use formats::{FORMATS, Format, format_named};
pub use ingest::{IngestPlaces, IngestSettings, ingest, ingest_more};
pub use inspect::inspect;
pub use parquet_file::SCHEMA_VERSION;
pub use plain::{PlainColumn, PlainField, PlainTable, plain_fields, write_csv};
pub use reason::{REASONS, Reason, ReasonEntry, Rejection};
pub use records::{Batch, Record, RecordLimits, RecordReader};
pub use redact::{RedactError, RedactSettings, Redactor};
pub use report::{Counts, FileReport, IngestReport};
pub use scan::head;
pub use schema::{ColumnSchema, TABLES, TableEntry, schema};
pub use summary::{ConfusionCell, Correlation, DayCount, LatencyRow, StaticSuccess, SuccessByValue, SuccessCell, SuccessCount, Summary};
pub use tail::{Appended, Tail};
pub use wide::MatrixSettings;
