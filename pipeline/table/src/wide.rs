//! Wide tables of full information, one row per query and one column of outcomes per path: read as records of the `matrix` format, so that
//! limits, reasons, duplicates and accounting are the same for both.
//!
//! The records of a row stand on the line that the row began on, so that a rejected one is found in the table.

mod csv_rows;
mod parquet_rows;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::reason::Reason;

/// What stands for a path's name in the names of columns.
const PATH: &str = "{path}";

/// Key of a record that stands for a row which cannot be one: an object of a reason's `code` and a `message`.
pub(crate) const FAULT: &str = "wide_table_fault";

/// Which columns of a wide table hold what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MatrixSettings {
    /// Column of the query text.
    pub query: String,
    /// Column of the query's id; where there is none, file and row are the id.
    pub query_id: String,
    /// Column of the time of the decision.
    pub timestamp: String,
    /// Column of what the static rules chose.
    pub static_path: String,
    /// Columns of success, one per path.
    pub success: String,
    /// Columns of latencies in milliseconds, one per path.
    pub latency_ms: String,
    /// Columns of costs in US dollars, one per path.
    pub cost: String,
    /// Columns of rated quality in [0, 1], one per path.
    pub quality_score: String,
    /// The paths; empty takes every column that fits `success`.
    pub paths: Vec<String>,
    /// Smallest number in a column of success that counts as one.
    pub success_from: f64,
    /// Time of the first row where there is no column of times (RFC 3339), the others a second later each; empty: such rows are rejected.
    pub start: String,
}

impl Default for MatrixSettings {
    fn default() -> Self {
        Self {
            query: "query".to_owned(),
            query_id: "query_id".to_owned(),
            timestamp: "timestamp".to_owned(),
            static_path: "static_path".to_owned(),
            success: format!("success_{PATH}"),
            latency_ms: format!("latency_ms_{PATH}"),
            cost: format!("cost_{PATH}"),
            quality_score: format!("quality_score_{PATH}"),
            paths: Vec::new(),
            success_from: 0.5,
            start: String::new(),
        }
    }
}

impl MatrixSettings {
    /// Checks what types cannot. Gives the key below `[ingest]` and what is expected.
    ///
    /// # Errors
    /// The key, and what is wrong with its value.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        for (key, name) in [
            ("matrix.success", &self.success),
            ("matrix.latency_ms", &self.latency_ms),
            ("matrix.cost", &self.cost),
            ("matrix.quality_score", &self.quality_score),
        ] {
            if name.matches(PATH).count() != 1 {
                return Err((key, format!("must hold `{PATH}` once, where the path's name stands, found `{name}`")));
            }
        }
        if !self.start.is_empty() && self.start.parse::<jiff::Timestamp>().is_err() {
            return Err(("matrix.start", format!("must be a moment such as 2026-01-31T00:00:00Z, found `{}`", self.start)));
        }
        Ok(())
    }
}

/// A value of a table.
#[derive(Clone, Debug, PartialEq)]
enum Cell {
    Empty,
    Text(String),
    Number(f64),
    Flag(bool),
}

/// Rows of a table, one at a time.
trait Rows: Send {
    /// The header.
    fn header(&self) -> &[String];
    /// The next row with the line it begins on; nothing at the end.
    fn next_row(&mut self) -> io::Result<Option<Row>>;
}

/// A row, or why it is none.
struct Row {
    /// The line it begins on, from 1.
    line: u64,
    cells: Result<Vec<Cell>, (Reason, String)>,
}

/// The text of a CSV or TSV table, by the ending of its name before `.gz` or `.zst`, as records; nothing for other files.
/// `text` is the file, decompressed.
pub(crate) fn of_csv(
    path: &Path,
    text: Box<dyn Read + Send>,
    settings: &MatrixSettings,
) -> Result<Box<dyn Read + Send>, Box<dyn Read + Send>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let stem = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    let separator = match stem.rsplit_once('.').map(|(_, ending)| ending) {
        Some("csv") => b',',
        Some("tsv") => b'\t',
        _ => return Err(text),
    };
    Ok(Box::new(Records::new(path, csv_rows::CsvRows::new(text, separator), settings)))
}

/// A Parquet table as records.
pub(crate) fn of_parquet(path: &Path, file: File, settings: &MatrixSettings) -> Box<dyn Read + Send> {
    match parquet_rows::ParquetRows::new(file) {
        Ok(rows) => Box::new(Records::new(path, rows, settings)),
        Err(message) => Box::new(io::Cursor::new(fault(Reason::UnknownFormat, &format!("no readable Parquet table: {message}")))),
    }
}

/// A record that says why there is none.
fn fault(reason: Reason, message: &str) -> Vec<u8> {
    let mut text = json!({ FAULT: { "code": reason.code(), "message": message } }).to_string().into_bytes();
    text.push(b'\n');
    text
}

/// The positions of a path's columns.
struct PathColumns {
    path: String,
    success: usize,
    latency_ms: Option<usize>,
    cost: Option<usize>,
    quality_score: Option<usize>,
}

/// Turns rows into records, as a stream of text.
struct Records<R> {
    rows: R,
    columns: Vec<PathColumns>,
    query: Option<usize>,
    query_id: Option<usize>,
    timestamp: Option<usize>,
    static_path: Option<usize>,
    /// The columns that are features, with their names.
    features: Vec<(usize, String)>,
    success_from: f64,
    start: Option<jiff::Timestamp>,
    file: String,
    n_rows: u64,
    line: u64,
    ready: Vec<u8>,
    at: usize,
}

impl<R: Rows> Records<R> {
    fn new(path: &Path, rows: R, settings: &MatrixSettings) -> Self {
        let header = rows.header();
        let position = |name: &str| header.iter().position(|column| column == name);
        let of_path = |pattern: &str, path: &str| position(&pattern.replace(PATH, path));
        let (before, after) = settings.success.split_once(PATH).unwrap_or((&settings.success, ""));
        let named = |column: &String| {
            let name = column.strip_prefix(before)?.strip_suffix(after)?;
            Some(name.to_owned()).filter(|name| !name.is_empty())
        };
        let paths: Vec<String> = if settings.paths.is_empty() { header.iter().filter_map(named).collect() } else { settings.paths.clone() };
        let columns: Vec<PathColumns> = paths
            .into_iter()
            .filter_map(|path| {
                Some(PathColumns {
                    success: of_path(&settings.success, &path)?,
                    latency_ms: of_path(&settings.latency_ms, &path),
                    cost: of_path(&settings.cost, &path),
                    quality_score: of_path(&settings.quality_score, &path),
                    path,
                })
            })
            .collect();
        let (query, query_id) = (position(&settings.query), position(&settings.query_id));
        let (timestamp, static_path) = (position(&settings.timestamp), position(&settings.static_path));
        let mut taken: Vec<usize> = [query, query_id, timestamp, static_path].into_iter().flatten().collect();
        for column in &columns {
            taken.push(column.success);
            taken.extend([column.latency_ms, column.cost, column.quality_score].into_iter().flatten());
        }
        let features = header
            .iter()
            .enumerate()
            .filter(|(position, _)| !taken.contains(position))
            .map(|(position, name)| (position, name.clone()))
            .collect();
        let ready = if columns.is_empty() {
            let known = header.iter().take(8).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            fault(
                Reason::UnknownFormat,
                &format!("no column fits `ingest.matrix.success` (`{}`); the first columns are {known}", settings.success),
            )
        } else {
            Vec::new()
        };
        Self {
            rows,
            columns,
            query,
            query_id,
            timestamp,
            static_path,
            features,
            success_from: settings.success_from,
            start: settings.start.parse().ok(),
            file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            n_rows: 0,
            line: 1,
            ready,
            at: 0,
        }
    }

    /// Makes the records of the next row; whether there was one.
    fn fill(&mut self) -> io::Result<bool> {
        self.ready.clear();
        self.at = 0;
        if self.columns.is_empty() {
            return Ok(false);
        }
        let Some(row) = self.rows.next_row()? else { return Ok(false) };
        while self.line < row.line {
            self.ready.push(b'\n');
            self.line += 1;
        }
        match row.cells {
            Ok(cells) => self.records(&cells),
            Err((reason, message)) => {
                self.ready.extend(fault(reason, &message));
                self.line += 1;
            }
        }
        self.n_rows += 1;
        Ok(true)
    }

    /// The records of a row, one per path that has an outcome.
    fn records(&mut self, cells: &[Cell]) {
        let text = |column: Option<usize>| column.and_then(|column| words(cells.get(column)?));
        let query_id = text(self.query_id).unwrap_or_else(|| format!("{}#{}", self.file, self.n_rows + 1));
        let seconds = i64::try_from(self.n_rows).unwrap_or(i64::MAX);
        let from_start = || self.start.and_then(|start| start.checked_add(jiff::SignedDuration::from_secs(seconds)).ok());
        let timestamp = text(self.timestamp).or_else(|| from_start().map(|instant| instant.to_string()));
        let mut features = Map::new();
        for (column, name) in &self.features {
            features.insert(name.clone(), cells.get(*column).map_or(Value::Null, value));
        }
        for column in &self.columns {
            let success = match cells.get(column.success) {
                None | Some(Cell::Empty) => continue,
                Some(Cell::Number(number)) => Value::Bool(*number >= self.success_from),
                Some(cell) => value(cell),
            };
            let of = |column: Option<usize>| column.and_then(|column| cells.get(column)).map_or(Value::Null, value);
            let record = json!({
                "trace_id": format!("{query_id}/{}", column.path),
                "timestamp": timestamp,
                "query": text(self.query),
                "query_id": query_id,
                "query_features": features,
                "routing_decision": { "execution_path": column.path, "static_path": text(self.static_path) },
                "execution_outcome": { "success": success, "latency_ms": of(column.latency_ms), "cost": of(column.cost) },
                "quality_metrics": { "quality_score": of(column.quality_score) },
            });
            self.ready.extend(record.to_string().into_bytes());
        }
    }
}

impl<R: Rows> Read for Records<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.ready.len() {
            if !self.fill()? {
                return Ok(0);
            }
        }
        let n_read = buffer.len().min(self.ready.len() - self.at);
        buffer[..n_read].copy_from_slice(&self.ready[self.at..self.at + n_read]);
        self.at += n_read;
        Ok(n_read)
    }
}

/// A cell as text; nothing for an empty one.
fn words(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Empty => None,
        Cell::Text(text) => Some(text.clone()),
        Cell::Number(number) => Some(number.to_string()),
        Cell::Flag(flag) => Some(flag.to_string()),
    }
}

/// A cell as a JSON value; a number without a value becomes the word for it, which is then rejected as such.
fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Empty => Value::Null,
        Cell::Text(text) => Value::String(text.clone()),
        Cell::Number(number) => serde_json::Number::from_f64(*number).map_or_else(|| Value::String(number.to_string()), Value::Number),
        Cell::Flag(flag) => Value::Bool(*flag),
    }
}

#[cfg(test)]
mod tests;
