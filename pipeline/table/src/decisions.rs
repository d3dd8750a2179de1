//! Reads the canonical tables back: decisions day by day in order, layers as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use routewright_domain::{Decision, LayerAttempt, Paths, Timestamp};

use crate::assignments::is_assignment;
use crate::columns::{DECISION_COLUMNS, LAYER_COLUMNS};
use crate::error::TableError;
use crate::extras::ExtraKind;
use crate::parquet_file::{ExtraColumn, PATHS_KEY, SOURCES_KEY, TableReader, merge_extras, take_columns, take_extras};

/// Days that are in memory at a time while all are read.
const MAX_DAYS_AT_ONCE: usize = 4;

/// A folder of decisions: `day=YYYY-MM-DD/*.parquet`. Holds no rows; reads a day at a time.
#[derive(Clone, Debug)]
pub struct Decisions {
    folder: PathBuf,
    days: BTreeMap<String, Vec<PathBuf>>,
    rows_per_day: BTreeMap<String, u64>,
    paths: Paths,
    extras: BTreeMap<String, ExtraKind>,
    sources: BTreeSet<String>,
}

impl Decisions {
    /// Opens a folder: reads the footers, not the rows. A folder without days has no rows.
    ///
    /// # Errors
    /// [`TableError`] for a folder or file that cannot be read, and for a file of a newer version.
    pub fn open(folder: &Path) -> Result<Self, TableError> {
        let mut decisions = Self {
            folder: folder.to_owned(),
            days: BTreeMap::new(),
            rows_per_day: BTreeMap::new(),
            paths: Paths::default(),
            extras: BTreeMap::new(),
            sources: BTreeSet::new(),
        };
        let days: Vec<PathBuf> = entries(folder)?.into_iter().filter(|path| file_name(path).starts_with("day=")).collect();
        let footers = days.par_iter().map(|day| {
            let tables: Vec<PathBuf> = entries(day)?.into_iter().filter(|path| is_table(path)).collect();
            tables.into_iter().map(Footer::read).collect::<Result<Vec<_>, _>>()
        });
        let footers: Vec<Vec<Footer>> = footers.collect::<Result<_, TableError>>()?;
        let mut names = BTreeSet::new();
        for (folder, footers) in days.iter().zip(footers) {
            let day = file_name(folder).strip_prefix("day=").unwrap_or_default();
            for footer in footers {
                *decisions.rows_per_day.entry(day.to_owned()).or_default() += footer.n_rows;
                merge_extras(&mut decisions.extras, footer.extras);
                decisions.sources.extend(footer.sources);
                names.extend(footer.names);
                decisions.days.entry(day.to_owned()).or_default().push(footer.path);
            }
        }
        decisions.paths = Paths::from_names(names);
        Ok(decisions)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Number of decisions.
    pub fn n_rows(&self) -> u64 {
        self.rows_per_day.values().sum()
    }

    /// Every path that ran or that the static rules chose.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Days (`YYYY-MM-DD`, UTC) with their numbers of decisions, in order.
    pub fn days(&self) -> impl ExactSizeIterator<Item = (&str, u64)> {
        self.rows_per_day.iter().map(|(day, n_rows)| (day.as_str(), *n_rows))
    }

    /// The last days only, with paths, sources and further scalars of all.
    pub(crate) fn newest_days(&self, n_days: usize) -> Self {
        self.only(&self.days.keys().rev().take(n_days).map(String::as_str).collect())
    }

    /// So many days at most, evenly spread, with paths, sources and further scalars of all; other days are not read.
    pub fn spread(&self, n_days: usize) -> Self {
        let (n_days, names) = (n_days.clamp(1, self.days.len().max(1)), self.days.keys().map(String::as_str).collect::<Vec<_>>());
        self.only(&(0..n_days).filter_map(|number| names.get((2 * number + 1) * names.len() / (2 * n_days)).copied()).collect())
    }

    /// The days that may hold decisions between two moments, with paths, sources and further scalars of all; other days are not read.
    pub fn within(&self, window: &Range<Timestamp>) -> Self {
        let days = window.start.day()..=window.end.day();
        let may_hold = |name: &&str| day_number(name).is_none_or(|day| days.contains(&day));
        self.only(&self.days.keys().map(String::as_str).filter(may_hold).collect())
    }

    /// Some days only, with paths, sources and further scalars of all.
    pub(crate) fn only(&self, days: &BTreeSet<&str>) -> Self {
        let mut some = self.clone();
        some.days.retain(|day, _| days.contains(day.as_str()));
        some.rows_per_day.retain(|day, _| days.contains(day.as_str()));
        some
    }

    /// The further scalars of all days by dotted key; where days disagree about a type, text.
    pub fn extras(&self) -> &BTreeMap<String, ExtraKind> {
        &self.extras
    }

    /// Fingerprints of the log files that the rows came from.
    pub fn sources(&self) -> &BTreeSet<String> {
        &self.sources
    }

    /// The Parquet files, in the order of their days.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files_by_day().map(|(_, path)| path)
    }

    /// The Parquet files with their days, in order.
    pub(crate) fn files_by_day(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.days.iter().flat_map(|(day, files)| files.iter().map(|path| (day.as_str(), path.as_path())))
    }

    /// The decisions of one day in the order (timestamp, `trace_id`); none for a day without a file.
    ///
    /// # Errors
    /// [`TableError`] for a file that cannot be read.
    pub fn read_day(&self, day: &str) -> Result<Vec<Decision>, TableError> {
        let files = self.days.get(day).map_or(&[][..], Vec::as_slice);
        let mut decisions = Vec::new();
        for path in files {
            self.read_file(path, &mut decisions)?;
        }
        if files.len() > 1 {
            decisions.sort_by(|a, b| (a.timestamp, &a.trace_id).cmp(&(b.timestamp, &b.trace_id)));
        }
        Ok(decisions)
    }

    /// Appends the decisions of one file.
    fn read_file(&self, path: &Path, decisions: &mut Vec<Decision>) -> Result<(), TableError> {
        for batch in TableReader::open(path)?.batches()? {
            let batch = batch?;
            let start = decisions.len();
            decisions.resize_with(start + batch.num_rows(), Decision::default);
            take_columns(DECISION_COLUMNS, &batch, &mut decisions[start..], path)?;
            take_extras(&batch, &self.extras, &mut decisions[start..], path)?;
            for decision in &mut decisions[start..] {
                if decision.query_id.is_empty() {
                    decision.query_id.clone_from(&decision.trace_id);
                }
            }
        }
        Ok(())
    }

    /// All decisions that say something about routing a query, one item per day, in the order (timestamp, `trace_id`). Left out are the
    /// rows of an A/B gateway, which carry no query and of which other logs hold the decision: see [`assignments`](crate::assignments).
    ///
    /// Days are read by several threads, so a few of them are in memory at a time.
    pub fn iter(&self) -> impl Iterator<Item = Result<Vec<Decision>, TableError>> {
        let days: Vec<&str> = self.days.keys().map(String::as_str).collect();
        let at_once = rayon::current_num_threads().clamp(1, MAX_DAYS_AT_ONCE);
        (0..days.len()).step_by(at_once).flat_map(move |start| {
            let days = &days[start..days.len().min(start + at_once)];
            days.par_iter().map(|day| self.read_routed(day)).collect::<Vec<_>>()
        })
    }

    /// The decisions of one day that say something about routing a query.
    fn read_routed(&self, day: &str) -> Result<Vec<Decision>, TableError> {
        let mut decisions = self.read_day(day)?;
        decisions.retain(|decision| !is_assignment(decision));
        Ok(decisions)
    }
}

/// The layers of a folder of days, or of one Parquet file as versions before 0.2 wrote, in the order (timestamp, `trace_id`, position in
/// the cascade).
///
/// # Errors
/// [`TableError`] for a file that cannot be read.
pub fn read_layers(place: &Path) -> Result<Vec<LayerAttempt>, TableError> {
    let mut layers = Vec::new();
    for path in table_files(place)? {
        for batch in TableReader::open(&path)?.batches()? {
            let batch = batch?;
            let start = layers.len();
            layers.resize_with(start + batch.num_rows(), LayerAttempt::default);
            take_columns(LAYER_COLUMNS, &batch, &mut layers[start..], &path)?;
        }
    }
    Ok(layers)
}

/// The Parquet files of a table, in the order of their days: the table itself, or those of a folder of days.
pub(crate) fn table_files(table: &Path) -> Result<Vec<PathBuf>, TableError> {
    if !table.is_dir() {
        return Ok(vec![table.to_owned()]);
    }
    let mut files = Vec::new();
    for day in entries(table)?.into_iter().filter(|path| file_name(path).starts_with("day=")) {
        files.extend(entries(&day)?.into_iter().filter(|path| is_table(path)));
    }
    Ok(files)
}

/// What the footer of a file says.
struct Footer {
    path: PathBuf,
    n_rows: u64,
    extras: Vec<ExtraColumn>,
    sources: Vec<String>,
    /// Paths of its decisions.
    names: BTreeSet<String>,
}

impl Footer {
    fn read(path: PathBuf) -> Result<Self, TableError> {
        let reader = TableReader::open(&path)?;
        let (n_rows, extras) = (reader.n_rows(), reader.extras());
        let sources = list_of(reader.metadata(SOURCES_KEY)).unwrap_or_default();
        let names = match list_of(reader.metadata(PATHS_KEY)) {
            Some(listed) => listed.into_iter().collect(),
            None => names_in(reader, &path)?,
        };
        Ok(Self { path, n_rows, extras, sources, names })
    }
}

/// Paths of a file whose footer does not list them.
fn names_in(reader: TableReader, path: &Path) -> Result<BTreeSet<String>, TableError> {
    let mut names = BTreeSet::new();
    for batch in reader.batches()? {
        let batch = batch?;
        let mut rows = vec![Decision::default(); batch.num_rows()];
        take_columns(DECISION_COLUMNS, &batch, &mut rows, path)?;
        names.extend(rows.into_iter().flat_map(|row| [Some(row.path), row.static_path]).flatten());
    }
    Ok(names)
}

/// The day of a point in time, as folders are named.
pub(crate) fn day_name(day: i64) -> String {
    let start = Timestamp(day.saturating_mul(86_400_000_000));
    match jiff::Timestamp::from_microsecond(start.0) {
        Ok(instant) => jiff::tz::TimeZone::UTC.to_datetime(instant).date().to_string(),
        Err(_) => format!("{day}"),
    }
}

/// A day's number since 1970, by its folder's name; none where that is no date.
pub(crate) fn day_number(name: &str) -> Option<i64> {
    let start = jiff::civil::Date::new(1970, 1, 1).ok()?;
    let date: jiff::civil::Date = name.parse().ok()?;
    Some(i64::from(date.since(start).ok()?.get_days()))
}

fn list_of(metadata: Option<String>) -> Option<Vec<String>> {
    serde_json::from_str(&metadata?).ok()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, TableError> {
    let failed = |error| TableError::read(folder, error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort_unstable();
    Ok(paths)
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or("")
}

fn is_table(path: &Path) -> bool {
    !file_name(path).starts_with('.') && path.extension().is_some_and(|extension| extension == "parquet")
}
