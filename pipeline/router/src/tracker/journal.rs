//! Records by identifier: appended once, and appended again with what became known later.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::clock;
use super::log_file::{FileName, LogFile, lines_backwards};
use super::queue::{LogCounts, Queue, WhenFull};

/// Largest line in bytes; `ingest` refuses sixteen times as much.
const MAX_LINE: usize = 1 << 20;

/// Deepest nesting of a line; `ingest` refuses twice as much.
const MAX_DEPTH: usize = 32;

/// How a log is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// Lines that may wait for the writing thread; 0 writes in the caller, so that a line is in the file when the call returns.
    pub queue: usize,
    /// How long a line may wait for others that are written with it, in milliseconds.
    pub linger_ms: u64,
    /// What happens to a line that finds the queue full.
    pub when_full: WhenFull,
    /// Whether every write waits for the disk (`fdatasync`): lines survive a crash of the machine, not only of the program.
    pub fsync: bool,
    /// Bytes from which the file moves to the archive; 0 never.
    pub max_bytes: u64,
    /// Records whose outcome may come later that are kept at hand; older ones are looked for in the files.
    pub recent: usize,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { queue: 8192, linger_ms: 20, when_full: WhenFull::Wait, fsync: false, max_bytes: 100 << 20, recent: 4096 }
    }
}

/// A record that cannot be logged, or found.
#[derive(Debug, thiserror::Error)]
pub enum TrackerError {
    /// The log cannot be written or read.
    #[error("the log `{path}` cannot be written or read")]
    Log {
        /// The file or its folder.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A path without a file name.
    #[error("`{path}` names no file")]
    Path {
        /// The path.
        path: String,
    },
    /// A layer that the cascade does not have.
    #[error("unknown layer `{name}`, the cascade has {known}")]
    Layer {
        /// The layer.
        name: String,
        /// The layers there are.
        known: String,
    },
    /// A number that is not what it should be.
    #[error("`{name}` must be {expected}, found {found}")]
    Number {
        /// What it is.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it was.
        found: f64,
    },
    /// A name that is empty.
    #[error("`{name}` must not be empty")]
    Empty {
        /// What it is.
        name: &'static str,
    },
    /// An identifier that no record of the log has.
    #[error("no record `{id}` in the log `{path}`")]
    Unknown {
        /// The identifier.
        id: String,
        /// The log.
        path: String,
    },
    /// A record that is too long for a line.
    #[error("the record `{id}` has {bytes} bytes, at most {MAX_LINE} fit in a line of the log")]
    Long {
        /// Its identifier.
        id: String,
        /// Its length.
        bytes: usize,
    },
    /// A record whose metadata is nested too deeply.
    #[error("the record `{id}` is nested {depth} levels deep, at most {MAX_DEPTH} are read back")]
    Deep {
        /// Its identifier.
        id: String,
        /// Its depth.
        depth: usize,
    },
    /// A record that does not fit into JSON.
    #[error("the record cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// Checks that a number is a share.
pub(super) fn share(name: &'static str, found: f64) -> Result<f64, TrackerError> {
    if (0.0..=1.0).contains(&found) { Ok(found) } else { Err(TrackerError::Number { name, expected: "in [0, 1]", found }) }
}

/// Checks that a number is finite and not negative.
pub(super) fn amount(name: &'static str, found: f64) -> Result<f64, TrackerError> {
    let valid = (0.0..=f64::MAX).contains(&found);
    if valid { Ok(found) } else { Err(TrackerError::Number { name, expected: "a finite number of at least 0", found }) }
}

/// Checks that a name says something.
pub(super) fn named<'a>(name: &'static str, found: &'a str) -> Result<&'a str, TrackerError> {
    if found.trim().is_empty() { Err(TrackerError::Empty { name }) } else { Ok(found) }
}

/// A log of records with an identifier.
#[derive(Debug)]
pub(super) struct Journal {
    queue: Queue,
    /// The key of the identifier.
    id_key: &'static str,
    recent: Mutex<Recent>,
    /// Held while a record is read and written again.
    amending: Mutex<()>,
}

/// The last lines by identifier, the oldest forgotten first.
#[derive(Debug, Default)]
struct Recent {
    capacity: usize,
    order: VecDeque<String>,
    lines: BTreeMap<String, Vec<u8>>,
}

impl Recent {
    fn keep(&mut self, id: &str, line: &[u8]) {
        if self.capacity == 0 {
            return;
        }
        if let Some(known) = self.lines.get_mut(id) {
            known.clear();
            known.extend_from_slice(line);
            return;
        }
        if self.order.len() == self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.lines.remove(&oldest);
        }
        self.order.push_back(id.to_owned());
        self.lines.insert(id.to_owned(), line.to_vec());
    }
}

impl Journal {
    pub(super) fn open(folder: &Path, name: FileName, id_key: &'static str, settings: &LogSettings) -> Result<Self, TrackerError> {
        let wrong = |source| TrackerError::Log { path: folder.display().to_string(), source };
        let log = LogFile::open(folder, name, settings.max_bytes, settings.fsync).map_err(wrong)?;
        let queue = Queue::new(log, settings.queue, Duration::from_millis(settings.linger_ms), settings.when_full).map_err(wrong)?;
        Ok(Self {
            queue,
            id_key,
            recent: Mutex::new(Recent { capacity: settings.recent, ..Recent::default() }),
            amending: Mutex::default(),
        })
    }

    /// Writes a record.
    pub(super) fn append(&self, id: &str, record: &impl Serialize) -> Result<(), TrackerError> {
        let mut line = Vec::with_capacity(1024);
        serde_json::to_writer(&mut line, record)?;
        if MAX_LINE <= line.len() {
            return Err(TrackerError::Long { id: id.to_owned(), bytes: line.len() });
        }
        let depth = depth(&line);
        if MAX_DEPTH < depth {
            return Err(TrackerError::Deep { id: id.to_owned(), depth });
        }
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).keep(id, &line);
        line.push(b'\n');
        self.queue.push(line).map_err(|source| self.failed(source))
    }

    /// Writes a record again, changed. Its `timestamp` moves on by a microsecond, so that readers know which of the two is newer.
    pub(super) fn amend(&self, id: &str, change: impl FnOnce(&mut Map<String, Value>)) -> Result<Map<String, Value>, TrackerError> {
        let _alone = self.amending.lock().unwrap_or_else(PoisonError::into_inner);
        let mut record = self.find(id)?;
        if let Some(time) = record.get("timestamp").and_then(Value::as_str).and_then(clock::from_rfc3339) {
            let newer = clock::rfc3339(time.plus_millis(0.001));
            record.insert("timestamp".to_owned(), newer.into());
        }
        change(&mut record);
        self.append(id, &record)?;
        Ok(record)
    }

    /// The newest record of an identifier.
    pub(super) fn find(&self, id: &str) -> Result<Map<String, Value>, TrackerError> {
        let known = self.recent.lock().unwrap_or_else(PoisonError::into_inner).lines.get(id).cloned();
        if let Some(line) = known {
            return Ok(serde_json::from_slice(&line)?);
        }
        self.flush()?;
        let mut found = None;
        self.visit(|record| {
            if record.get(self.id_key).and_then(Value::as_str) == Some(id) {
                found = Some(record);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        found.ok_or_else(|| TrackerError::Unknown { id: id.to_owned(), path: self.path() })
    }

    /// The last records, the oldest first, each as it was last written.
    pub(super) fn recent(&self, limit: usize) -> Result<Vec<Map<String, Value>>, TrackerError> {
        self.flush()?;
        let (mut seen, mut records) = (BTreeSet::new(), Vec::new());
        self.visit(|record| {
            if records.len() == limit {
                return ControlFlow::Break(());
            }
            let is_new = record.get(self.id_key).and_then(Value::as_str).is_some_and(|id| seen.insert(id.to_owned()));
            if is_new {
                records.push(record);
            }
            ControlFlow::Continue(())
        })?;
        records.reverse();
        Ok(records)
    }

    pub(super) fn flush(&self) -> Result<(), TrackerError> {
        self.queue.flush().map_err(|source| self.failed(source))
    }

    pub(super) fn rotate(&self) -> Result<Option<std::path::PathBuf>, TrackerError> {
        self.flush()?;
        self.queue.log().rotate().map_err(|source| self.failed(source))
    }

    pub(super) fn counts(&self) -> LogCounts {
        self.queue.counts()
    }

    /// Where lines go now.
    pub(super) fn path(&self) -> String {
        self.queue.log().path().display().to_string()
    }

    /// Shows every record of the files, the last written first. What is no record belongs to somebody else and is passed over.
    fn visit(&self, mut visit: impl FnMut(Map<String, Value>) -> ControlFlow<()>) -> Result<(), TrackerError> {
        let files = self.queue.log().files().map_err(|source| self.failed(source))?;
        let mut enough = false;
        for file in files {
            lines_backwards(&file, |line| {
                let flow = serde_json::from_slice(line).map_or(ControlFlow::Continue(()), &mut visit);
                enough = flow.is_break();
                flow
            })
            .map_err(|source| TrackerError::Log { path: file.display().to_string(), source })?;
            if enough {
                break;
            }
        }
        Ok(())
    }

    fn failed(&self, source: io::Error) -> TrackerError {
        TrackerError::Log { path: self.path(), source }
    }
}

/// How deeply the brackets of a JSON text are nested.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut is_escaped) = (0_usize, 0, false, false);
    for &byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_texts_are_not_nesting() {
        assert_eq!(depth(br#"{"a":[{"b":"[[\"[{"}],"c":{}}"#), 3);
        assert_eq!(depth(b"1"), 0);
    }

    #[test]
    fn the_oldest_record_is_forgotten_first() {
        let mut recent = Recent { capacity: 2, ..Recent::default() };
        for id in ["a", "b", "a", "c"] {
            recent.keep(id, b"{}");
        }
        assert_eq!(recent.lines.keys().map(String::as_str).collect::<Vec<_>>(), ["b", "c"]);
    }
}
