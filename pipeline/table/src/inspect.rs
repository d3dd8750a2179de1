//! Reads a log without writing anything: what its records would become.

use std::io::Read;
use std::path::Path;

use crate::error::IngestError;
use crate::formats::Format;
use crate::ingest::IngestSettings;
use crate::pieces::{Rules, Tasks, sniff_batch};
use crate::reason::Reason;
use crate::records::RecordReader;
use crate::report::Counts;
use crate::wide;

/// Counts what the records of a log would become, duplicates not looked for. `name`: the file's, whose ending tells a wide table; `text`: its
/// content, decompressed; `format`: of every record, none sniffs it.
///
/// # Errors
/// [`IngestError::AmbiguousFormat`].
pub fn inspect(
    name: &Path,
    text: Box<dyn Read + Send>,
    format: Option<&'static Format>,
    settings: &IngestSettings,
) -> Result<Counts, IngestError> {
    let (text, mut format) = match wide::of_csv(name, text, &settings.matrix) {
        Ok(records) => (records, crate::format_named("matrix")),
        Err(text) => (text, format),
    };
    let (mut rules, mut is_first) = (Rules::of(settings), true);
    let mut reader = RecordReader::new(text, settings.limits);
    let (mut counts, tasks) = (Counts::default(), Tasks::default());
    loop {
        let batch = match reader.next_batch() {
            Ok(batch) if batch.records.is_empty() => return Ok(counts),
            Ok(batch) => batch,
            Err(_) => {
                counts.read += 1;
                *counts.quarantined.entry(Reason::DecompressionError.code().to_owned()).or_default() += 1;
                return Ok(counts);
            }
        };
        if format.is_none() {
            format = sniff_batch(&batch, name)?.0;
        }
        if std::mem::take(&mut is_first) {
            rules = rules.for_file(&batch, format);
        }
        for piece in tasks.parse(&batch, format, rules).into_iter().flatten() {
            for outcome in piece.outcomes {
                counts.read += 1;
                match outcome {
                    Ok(row) => {
                        counts.kept += 1;
                        counts.pending += u64::from(!row.entry.completed);
                    }
                    Err(rejection) => *counts.quarantined.entry(rejection.reason.code().to_owned()).or_default() += 1,
                }
            }
        }
    }
}
