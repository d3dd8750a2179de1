//! Writes the canonical tables: one Parquet file per day, days side by side, and one of layers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rayon::prelude::*;
use routewright_domain::{Decision, Timestamp};

use crate::columns::{DECISION_COLUMNS, LAYER_COLUMNS};
use crate::decisions::day_name;
use crate::error::TableError;
use crate::ingest::IngestPlaces;
use crate::parquet_file::{ExtraColumn, PATHS_KEY, TableWriter, arrays, extra_array, extra_fields, fields, provenance};
use crate::rows::decode;
use crate::spill::{DayRows, Spill};

/// Which of the rows that were read are kept, and of which file each is.
#[derive(Default)]
pub(crate) struct Kept {
    n_sequences: u64,
    /// One bit per row: dropped, because another took its place.
    dropped: Vec<u64>,
    /// First row of every file.
    files: Vec<u64>,
}

impl Kept {
    /// Begins the rows of the next file.
    pub(crate) fn begin_file(&mut self) {
        self.files.push(self.n_sequences);
    }

    /// Number of rows so far, which is the next row's place in the order of reading.
    pub(crate) fn n_sequences(&self) -> u64 {
        self.n_sequences
    }

    /// Counts a row.
    pub(crate) fn add_row(&mut self) {
        if self.n_sequences.is_multiple_of(64) {
            self.dropped.push(0);
        }
        self.n_sequences += 1;
    }

    /// Drops a row, and gives the position of its file.
    pub(crate) fn drop_row(&mut self, sequence: u64) -> usize {
        if let Some(word) = self.dropped.get_mut((sequence / 64) as usize) {
            *word |= 1 << (sequence % 64);
        }
        self.file_of(sequence)
    }

    fn file_of(&self, sequence: u64) -> usize {
        self.files.partition_point(|first| *first <= sequence).saturating_sub(1)
    }

    fn is_dropped(&self, sequence: u64) -> bool {
        self.dropped.get((sequence / 64) as usize).is_some_and(|word| word >> (sequence % 64) & 1 == 1)
    }
}

/// What was written.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) days: BTreeMap<String, u64>,
    pub(crate) n_pending: u64,
    pub(crate) n_layers: u64,
    pub(crate) first: Option<Timestamp>,
    pub(crate) last: Option<Timestamp>,
}

impl Written {
    pub(crate) fn n_rows(&self) -> u64 {
        self.days.values().sum()
    }
}

/// Rows that are turned into columns at once.
const CHUNK: usize = 4 << 10;

/// Writes all days, then the layers. `digests`: of the files, in the order of reading.
pub(crate) fn write_tables(
    spill: &Spill,
    kept: &Kept,
    extras: &[ExtraColumn],
    digests: &[&str],
    has_layers: bool,
    places: &IngestPlaces,
    product_version: &str,
) -> Result<Written, TableError> {
    let days = spill.days();
    let per_day: Vec<Result<Written, TableError>> =
        days.par_iter().map(|&day| write_day(day, spill, kept, extras, digests, places, product_version)).collect();
    let mut all = Written::default();
    for day in per_day {
        let day = day?;
        all.days.extend(day.days);
        all.n_pending += day.n_pending;
        all.first = all.first.or(day.first);
        all.last = day.last.or(all.last);
    }
    all.n_layers = write_layers(spill, kept, &if has_layers { days } else { Vec::new() }, digests, places, product_version)?;
    Ok(all)
}

fn write_day(
    day: i64,
    spill: &Spill,
    kept: &Kept,
    extras: &[ExtraColumn],
    digests: &[&str],
    places: &IngestPlaces,
    product_version: &str,
) -> Result<Written, TableError> {
    let name = day_name(day);
    let folder = places.decisions.join(format!("day={name}"));
    let mut written = Written::default();
    let mut rows = spill.read(day).map_err(|error| TableError::read(&places.decisions, error))?;
    let mut writer: Option<TableWriter> = None;
    let (mut sources, mut paths, mut n_rows) = (BTreeSet::new(), BTreeSet::new(), 0);
    loop {
        let chunk = next_chunk(&mut rows, kept, &mut sources).map_err(|error| TableError::read(&places.decisions, error))?;
        let (Some(first), Some(last)) = (chunk.first(), chunk.last()) else { break };
        written.first = written.first.or(Some(first.timestamp));
        written.last = Some(last.timestamp);
        n_rows += chunk.len() as u64;
        written.n_pending += chunk.iter().filter(|row| row.success.is_none()).count() as u64;
        for name in chunk.iter().flat_map(|row| [Some(&row.path), row.static_path.as_ref()]).flatten() {
            if !paths.contains(name) {
                paths.insert(name.clone());
            }
        }
        let mut columns = arrays(DECISION_COLUMNS, &chunk);
        columns.extend(extras.iter().map(|extra| extra_array(extra, &chunk)));
        let mut open = match writer.take() {
            Some(writer) => writer,
            None => {
                fs::create_dir_all(&folder).map_err(|error| TableError::write(&folder, error))?;
                let all_fields = fields(DECISION_COLUMNS).into_iter().chain(extra_fields(extras)).collect();
                TableWriter::create(&folder.join("part-0.parquet"), all_fields)?
            }
        };
        open.write(columns)?;
        writer = Some(open);
    }
    if let Some(writer) = writer {
        let mut metadata = provenance(product_version, &digests_of(&sources, digests));
        metadata.push((PATHS_KEY, serde_json::to_string(&paths).unwrap_or_default()));
        writer.finish(&metadata)?;
        written.days.insert(name, n_rows);
    }
    Ok(written)
}

/// The next rows of a day that are kept; `sources` collects the positions of their files.
fn next_chunk(rows: &mut DayRows<'_>, kept: &Kept, sources: &mut BTreeSet<usize>) -> std::io::Result<Vec<Decision>> {
    let mut chunk = Vec::new();
    while chunk.len() < CHUNK {
        let Some(row) = rows.next()? else { break };
        if !kept.is_dropped(row.sequence) {
            sources.insert(kept.file_of(row.sequence));
            chunk.push(decode(row.timestamp, &row.bytes).0);
        }
    }
    Ok(chunk)
}

fn write_layers(
    spill: &Spill,
    kept: &Kept,
    days: &[i64],
    digests: &[&str],
    places: &IngestPlaces,
    product_version: &str,
) -> Result<u64, TableError> {
    let failed = |error| TableError::read(&places.decisions, error);
    let mut writer = TableWriter::create(&places.layers, fields(LAYER_COLUMNS))?;
    let (mut sources, mut chunk, mut n_layers) = (BTreeSet::new(), Vec::new(), 0);
    for &day in days {
        let mut rows = spill.read(day).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            if kept.is_dropped(row.sequence) {
                continue;
            }
            let (_, layers) = decode(row.timestamp, &row.bytes);
            if !layers.is_empty() {
                sources.insert(kept.file_of(row.sequence));
            }
            n_layers += layers.len() as u64;
            chunk.extend(layers);
            if chunk.len() >= CHUNK {
                writer.write(arrays(LAYER_COLUMNS, &chunk))?;
                chunk.clear();
            }
        }
    }
    if !chunk.is_empty() {
        writer.write(arrays(LAYER_COLUMNS, &chunk))?;
    }
    writer.finish(&provenance(product_version, &digests_of(&sources, digests)))?;
    Ok(n_layers)
}

/// Distinct digests of files, in alphabetical order.
fn digests_of<'d>(files: &BTreeSet<usize>, digests: &[&'d str]) -> Vec<&'d str> {
    let distinct: BTreeSet<&str> = files.iter().filter_map(|file| digests.get(*file).copied()).collect();
    distinct.into_iter().collect()
}
