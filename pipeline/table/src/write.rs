//! Writes the canonical tables: one Parquet file per day, days side by side, and one of layers.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use arrow::array::ArrayRef;
use rayon::prelude::*;

use crate::columns::{DECISION_COLUMNS, LAYER_COLUMNS};
use crate::columns_of_rows::{RowColumns, extra_columns, kinds_of};
use crate::decisions::day_name;
use crate::error::TableError;
use crate::extras::Keys;
use crate::ingest::IngestPlaces;
use crate::parquet_file::{PATHS_KEY, TableReader, TableWriter, extra_fields, fields, provenance};
use crate::rows::shapes;
use crate::shapes::Shapes;
use crate::spill::{DayRows, Spill, Traits};

/// Which of the rows that were read are kept, and of which file each is.
#[derive(Default)]
pub(crate) struct Kept {
    n_sequences: u64,
    /// One bit per row: dropped, because another took its place.
    dropped: Vec<u64>,
    /// Days that rows were dropped of.
    thinned: BTreeSet<i64>,
    /// First row of every file that was read, and the file's position.
    files: Vec<(u64, usize)>,
}

impl Kept {
    /// Begins the rows of a file.
    pub(crate) fn begin_file(&mut self, position: usize) {
        self.files.push((self.n_sequences, position));
    }

    /// Counts a row, and gives its place in the order of reading.
    pub(crate) fn add_row(&mut self) -> u64 {
        if self.n_sequences.is_multiple_of(64) {
            self.dropped.push(0);
        }
        self.n_sequences += 1;
        self.n_sequences - 1
    }

    /// Drops a row of a day.
    pub(crate) fn drop_row(&mut self, sequence: u64, day: i64) {
        self.thinned.insert(day);
        if let Some(word) = self.dropped.get_mut((sequence / 64) as usize) {
            *word |= 1 << (sequence % 64);
        }
    }

    fn file_of(&self, sequence: u64) -> usize {
        let at = self.files.partition_point(|(first, _)| *first <= sequence).saturating_sub(1);
        self.files.get(at).map_or(0, |(_, position)| *position)
    }

    /// Whether rows of a day were dropped.
    pub(crate) fn is_thinned(&self, day: i64) -> bool {
        self.thinned.contains(&day)
    }

    /// Rows so far.
    pub(crate) fn n_rows(&self) -> u64 {
        self.n_sequences
    }

    fn is_dropped(&self, sequence: u64) -> bool {
        self.dropped.get((sequence / 64) as usize).is_some_and(|word| word >> (sequence % 64) & 1 == 1)
    }
}

/// What was written.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Rows per day.
    pub(crate) days: BTreeMap<String, u64>,
    pub(crate) n_layers: u64,
}

impl Written {
    /// Adds other days.
    pub(crate) fn add(&mut self, other: Self) {
        self.days.extend(other.days);
        self.n_layers += other.n_layers;
    }
}

/// Rows that are turned into columns at once.
const CHUNK: usize = 8 << 10;

/// What all days have in common.
pub(crate) struct Writing<'w> {
    /// The rows.
    pub(crate) spill: &'w Spill,
    /// Shapes of its rows.
    pub(crate) shapes: &'w Shapes,
    /// Which of them are kept.
    pub(crate) kept: &'w Kept,
    /// Every key of further scalars.
    pub(crate) keys: &'w Keys,
    /// Digests of the keys that get no column.
    pub(crate) left_out: &'w HashSet<u64>,
    /// Fingerprints of the files, in the order of reading.
    pub(crate) digests: &'w [&'w str],
    /// Where the tables go.
    pub(crate) places: &'w IngestPlaces,
    /// Version of the program.
    pub(crate) product_version: &'w str,
}

impl Writing<'_> {
    /// Writes some days.
    pub(crate) fn write(&self, wanted: &BTreeSet<i64>) -> Result<Written, TableError> {
        fs::create_dir_all(&self.places.layers).map_err(|error| TableError::write(&self.places.layers, error))?;
        let days: Vec<i64> = self.spill.days().into_iter().filter(|day| wanted.contains(day)).collect();
        let mut all = Written::default();
        self.write_each(&days)?.into_iter().for_each(|day| all.add(day));
        Ok(all)
    }

    /// Writes days that are ready to be read, side by side; of fewer days than threads, the columns of each too.
    pub(crate) fn write_each(&self, days: &[i64]) -> Result<Vec<Written>, TableError> {
        let is_parallel = days.len() < rayon::current_num_threads();
        days.par_iter().map(|&day| self.write_day(day, is_parallel)).collect()
    }

    /// What the kept rows of a day have. Where rows were dropped, the others are looked at.
    fn traits(&self, day: i64) -> Result<Traits, TableError> {
        if !self.kept.is_thinned(day) {
            return Ok(self.spill.traits(day));
        }
        let mut traits = Traits::default();
        let mut rows = self.spill.read(day).map_err(|error| self.unread(error))?;
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            if !self.kept.is_dropped(row.sequence) {
                traits.shapes.insert(shapes(row.bytes));
                traits.files.insert(self.kept.file_of(row.sequence));
            }
        }
        Ok(traits)
    }

    /// Writes the decisions of a day, and its layers where there are any.
    fn write_day(&self, day: i64, is_parallel: bool) -> Result<Written, TableError> {
        let mut written = Written::default();
        let traits = self.traits(day)?;
        if traits.files.is_empty() {
            return Ok(written);
        }
        let seen: BTreeSet<u64> = traits.shapes.iter().flatten().copied().collect();
        let mut kinds = kinds_of(seen, self.shapes);
        kinds.retain(|digest, _| !self.left_out.contains(digest));
        let extras = extra_columns(&kinds, self.keys);
        let name = day_name(day);
        let all_fields = fields(DECISION_COLUMNS).into_iter().chain(extra_fields(extras.iter().map(|(_, extra)| extra))).collect();
        let mut decisions = TableWriter::create(&self.file(&self.places.decisions, &name)?, all_fields)?.in_parallel(is_parallel);
        let mut layers = None;
        let mut rows =
            Chunks { rows: self.spill.read(day).map_err(|error| self.unread(error))?, n_left: self.spill.n_rows(day), n_rows: 0 };
        let mut columns = RowColumns::new(&extras, self.shapes, rows.n_expected());
        let mut next = self.next_chunk(&mut rows, &mut columns)?;
        while let Some(chunk) = next {
            written.n_layers += chunk.n_layers;
            let write = || {
                chunk.decisions.map_or(Ok(()), |arrays| decisions.write(arrays))?;
                chunk.layers.map_or(Ok(()), |arrays| self.layers(&name, &mut layers)?.write(arrays))
            };
            let mut read = || self.next_chunk(&mut rows, &mut columns);
            let (done, read) = if is_parallel { rayon::join(write, read) } else { (write(), read()) };
            done?;
            next = read?;
        }
        let metadata = provenance(self.product_version, &digests_of(&traits.files, self.digests));
        let with_paths = |paths: &BTreeSet<String>| {
            let mut metadata = metadata.clone();
            metadata.push((PATHS_KEY, serde_json::to_string(paths).unwrap_or_default()));
            metadata
        };
        decisions.finish(&with_paths(columns.paths()))?;
        if let Some(layers) = layers {
            layers.finish(&with_paths(columns.layer_paths()))?;
        }
        written.days.insert(name, rows.n_rows);
        Ok(written)
    }

    /// The next kept rows of a day as columns; nothing at its end.
    fn next_chunk(&self, rows: &mut Chunks<'_>, columns: &mut RowColumns) -> Result<Option<Chunk>, TableError> {
        let mut chunk = Chunk::default();
        while let Some(row) = rows.rows.next().map_err(|error| self.unread(error))? {
            rows.n_left = rows.n_left.saturating_sub(1);
            if self.kept.is_dropped(row.sequence) {
                continue;
            }
            columns.push(row.timestamp, row.bytes);
            rows.n_rows += 1;
            let (n_decisions, n_layers) = columns.lengths();
            if n_decisions >= CHUNK {
                chunk.decisions = Some(columns.finish_decisions(rows.n_expected()));
            }
            if n_layers >= CHUNK {
                (chunk.layers, chunk.n_layers) = (Some(columns.finish_layers(CHUNK)), n_layers as u64);
            }
            if n_decisions >= CHUNK || n_layers >= CHUNK {
                return Ok(Some(chunk));
            }
        }
        let (n_decisions, n_layers) = columns.lengths();
        if n_decisions > 0 {
            chunk.decisions = Some(columns.finish_decisions(0));
        }
        if n_layers > 0 {
            (chunk.layers, chunk.n_layers) = (Some(columns.finish_layers(0)), n_layers as u64);
        }
        Ok((n_decisions + n_layers > 0).then_some(chunk))
    }

    /// The file of a day's layers, which is made where there is none yet.
    fn layers<'l>(&self, day: &str, writer: &'l mut Option<TableWriter>) -> Result<&'l mut TableWriter, TableError> {
        let open = match writer.take() {
            Some(open) => open,
            None => TableWriter::create(&self.file(&self.places.layers, day)?, fields(LAYER_COLUMNS))?,
        };
        Ok(writer.insert(open))
    }

    fn unread(&self, error: io::Error) -> TableError {
        TableError::read(&self.places.decisions, error)
    }

    /// The one file of a day; makes its folder.
    fn file(&self, table: &Path, day: &str) -> Result<PathBuf, TableError> {
        let folder = table.join(format!("day={day}"));
        fs::create_dir_all(&folder).map_err(|error| TableError::write(&folder, error))?;
        Ok(folder.join(PART))
    }
}

/// The rows of a day that are still to come.
struct Chunks<'r> {
    rows: DayRows<'r>,
    /// Dropped ones too.
    n_left: u64,
    /// Kept rows so far.
    n_rows: u64,
}

impl Chunks<'_> {
    /// Rows of the next chunk.
    fn n_expected(&self) -> usize {
        usize::try_from(self.n_left).unwrap_or(CHUNK).min(CHUNK)
    }
}

/// Columns that are ready to be written.
#[derive(Default)]
struct Chunk {
    decisions: Option<Vec<ArrayRef>>,
    layers: Option<Vec<ArrayRef>>,
    n_layers: u64,
}

/// Distinct digests of files, in alphabetical order.
fn digests_of<'d>(files: &BTreeSet<usize>, digests: &[&'d str]) -> Vec<&'d str> {
    let distinct: BTreeSet<&str> = files.iter().filter_map(|file| digests.get(*file).copied()).collect();
    distinct.into_iter().collect()
}

/// Removes what was written of a day.
pub(crate) fn remove_day(day: i64, places: &IngestPlaces) -> Result<(), TableError> {
    let name = format!("day={}", day_name(day));
    for folder in [places.decisions.join(&name), places.layers.join(&name)].iter().filter(|folder| folder.exists()) {
        fs::remove_dir_all(folder).map_err(|error| TableError::write(folder, error))?;
    }
    Ok(())
}

/// Takes a day over from an earlier ingest, by hard links where the file system has them; how many layers it has.
pub(crate) fn link_day(day: i64, from: &IngestPlaces, to: &IngestPlaces) -> Result<u64, TableError> {
    let name = format!("day={}", day_name(day));
    let mut n_layers = 0;
    for (from, to, is_layers) in [(&from.decisions, &to.decisions, false), (&from.layers, &to.layers, true)] {
        let (from, to) = (from.join(&name).join(PART), to.join(&name));
        if is_layers && !from.exists() {
            continue;
        }
        fs::create_dir_all(&to).map_err(|error| TableError::write(&to, error))?;
        let place = to.join(PART);
        link_file(&from, &place)?;
        if is_layers {
            n_layers = TableReader::open(&place)?.n_rows();
        }
    }
    Ok(n_layers)
}

/// Takes a file over, by a hard link where the file system has them.
pub(crate) fn link_file(from: &Path, to: &Path) -> Result<(), TableError> {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).map_err(|error| TableError::write(to, error))?;
    }
    Ok(())
}

/// The one file of a day: a day is written as a whole, so that there are never small files to put together.
pub(crate) const PART: &str = "part-0.parquet";
