//! Reads the events of a cascade from the tables: few columns, only the days that are asked for, on all threads.

use std::path::Path;

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use rayon::prelude::*;
use routewright_domain::{
    BACKEND, CACHE_HIT, CascadeAttempt, CascadeEvent, CascadeLog, GROUP, Names, SETTLED_BY, Timestamp, WAS_RIGHT, event_id, last_part,
};

use crate::decisions::{Decisions, day_name, table_files};
use crate::error::TableError;
use crate::parquet_file::TableReader;

/// Row groups that one thread reads at a time.
const GROUPS: usize = 4;

/// The events from a moment on, with their layers; every event without one.
///
/// `decisions`: the folder of decisions; `layers`: the folder of layers (or one file), which may be absent.
///
/// # Errors
/// [`TableError`] for a file that cannot be read.
pub fn read_cascade(decisions: &Path, layers: &Path, from: Option<Timestamp>) -> Result<CascadeLog, TableError> {
    let from = from.unwrap_or(Timestamp(i64::MIN));
    let (events, attempts) = rayon::join(|| read_events(decisions, from), || read_attempts(layers, from));
    Ok(joined(events?, attempts?))
}

/// Rows of one file, with the names they use.
struct Part<T> {
    names: Names,
    rows: Vec<T>,
}

/// A layer with the event it belongs to.
struct AttemptRow {
    id: u64,
    timestamp: Timestamp,
    attempt: CascadeAttempt,
}

fn read_events(folder: &Path, from: Timestamp) -> Result<Vec<Part<CascadeEvent>>, TableError> {
    let decisions = Decisions::open(folder)?;
    let first_day = if from.0 == i64::MIN { String::new() } else { day_name(from.day()) };
    let files: Vec<&Path> = decisions.files_by_day().filter(|(day, _)| *day >= first_day.as_str()).map(|(_, file)| file).collect();
    files.into_par_iter().map(|file| read_event_file(file, from)).collect()
}

fn read_event_file(path: &Path, from: Timestamp) -> Result<Part<CascadeEvent>, TableError> {
    let reader = TableReader::open(path)?;
    let schema = reader.schema();
    let named = |wanted: &[&str]| -> Vec<String> {
        let fields = schema.fields().iter().map(|field| field.name().clone());
        fields.filter(|name| name.contains('.') && wanted.contains(&last_part(name))).collect()
    };
    let (groups, backends, hits) = (named(GROUP), named(BACKEND), named(CACHE_HIT));
    let canonical = ["trace_id", "timestamp", "path", "success", "latency_ms", "optimal_path", "tool_name", SETTLED_BY];
    let wanted = |name: &str| {
        canonical.contains(&name)
            || WAS_RIGHT.contains(&name)
            || [&groups, &backends, &hits].iter().any(|list| list.iter().any(|known| known == name))
    };
    let positions: Vec<usize> = (0..schema.fields().len()).filter(|&position| wanted(schema.field(position).name())).collect();
    let mut part = Part { names: Names::default(), rows: Vec::new() };
    for batch in reader.with_columns(positions).batches()? {
        let batch = Batch { batch: &batch?, path };
        let (ids, times, paths) = (batch.texts("trace_id")?, batch.times("timestamp")?, batch.texts("path")?);
        let (right_paths, tools) = (batch.texts("optimal_path")?, batch.texts("tool_name")?);
        let (success, latency, settled_by) = (batch.flags("success")?, batch.numbers("latency_ms")?, batch.texts(SETTLED_BY)?);
        let told = WAS_RIGHT.iter().map(|key| batch.flags(key)).collect::<Result<Vec<_>, _>>()?;
        let texts = |keys: &[String]| keys.iter().map(|key| batch.texts(key)).collect::<Result<Vec<_>, _>>();
        let (groups, backends) = (texts(&groups)?, texts(&backends)?);
        let hits = hits.iter().map(|key| batch.flags(key)).collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.batch.num_rows() {
            let Some(timestamp) = times.get(row).filter(|timestamp| *timestamp >= from) else { continue };
            let names = &mut part.names;
            let mut first_name = |columns: &[Texts]| columns.iter().find_map(|column| column.get(row)).map(|text| names.name_of(text));
            let (group, backend) = (first_name(&groups), first_name(&backends).or_else(|| first_name(std::slice::from_ref(&tools))));
            let (path, right_path) = (names.name_of(paths.get(row).unwrap_or("")), right_paths.get(row).map(|text| names.name_of(text)));
            let id = event_id(ids.get(row).unwrap_or(""));
            let told = told.iter().find_map(|column| column.get(row));
            let mut event = CascadeEvent::new(id, timestamp, path, right_path, success.get(row), latency.get(row)).with_verdict(told);
            event.settled_by = settled_by.get(row).map(|text| names.name_of(text));
            (event.group, event.backend, event.cache_hit) = (group, backend, hits.iter().find_map(|column| column.get(row)));
            part.rows.push(event);
        }
    }
    Ok(part)
}

fn read_attempts(path: &Path, from: Timestamp) -> Result<Vec<Part<AttemptRow>>, TableError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let mut tasks = Vec::new();
    for file in table_files(path)? {
        let groups = TableReader::open(&file)?.row_groups_from("timestamp", from);
        tasks.extend(groups.chunks(GROUPS).map(|groups| (file.clone(), groups.to_vec())));
    }
    tasks.into_par_iter().map(|(file, groups)| read_attempt_groups(&file, groups, from)).collect()
}

fn read_attempt_groups(path: &Path, groups: Vec<usize>, from: Timestamp) -> Result<Part<AttemptRow>, TableError> {
    let mut part = Part { names: Names::default(), rows: Vec::new() };
    for batch in TableReader::open(path)?.with_row_groups(groups).batches()? {
        let batch = Batch { batch: &batch?, path };
        let (ids, times, layers, paths) =
            (batch.texts("trace_id")?, batch.times("timestamp")?, batch.texts("layer_name")?, batch.texts("selected_path")?);
        let (confidences, thresholds, latencies) =
            (batch.numbers("confidence")?, batch.numbers("threshold")?, batch.numbers("latency_ms")?);
        let (taken, hits, backends) = (batch.flags("success")?, batch.flags("cache_hit")?, batch.texts("backend")?);
        let positions = batch.integers("layer_id")?;
        for row in 0..batch.batch.num_rows() {
            let Some(timestamp) = times.get(row).filter(|timestamp| *timestamp >= from) else { continue };
            let names = &mut part.names;
            let attempt = CascadeAttempt {
                layer: names.name_of(layers.get(row).unwrap_or("")),
                position: positions.get(row).unwrap_or(0),
                taken: taken.get(row),
                confidence: confidences.get(row).unwrap_or(0.0),
                threshold: thresholds.get(row),
                path: paths.get(row).map(|text| names.name_of(text)),
                latency_ms: latencies.get(row),
                backend: backends.get(row).map(|text| names.name_of(text)),
                cache_hit: hits.get(row),
            };
            part.rows.push(AttemptRow { id: event_id(ids.get(row).unwrap_or("")), timestamp, attempt });
        }
    }
    Ok(part)
}

/// Events with their layers. Both come in the order (timestamp, `trace_id`), so one pass joins them.
fn joined(events: Vec<Part<CascadeEvent>>, attempts: Vec<Part<AttemptRow>>) -> CascadeLog {
    let mut log = CascadeLog::default();
    let mut layers: Vec<AttemptRow> = Vec::with_capacity(attempts.iter().map(|part| part.rows.len()).sum());
    for part in attempts {
        let adopted = log.names_mut().adopt(&part.names);
        layers.extend(part.rows.into_iter().map(|row| AttemptRow { attempt: adopted.attempt(row.attempt), ..row }));
    }
    let mut at = 0;
    for part in events {
        let adopted = log.names_mut().adopt(&part.names);
        for event in part.rows {
            let event = adopted.event(event);
            while layers.get(at).is_some_and(|row| row.timestamp < event.timestamp) {
                at += 1;
            }
            // Events without layers may share the moment: only rows of this event are taken, others wait for theirs.
            let same_time =
                layers[at..].iter().take_while(|row| row.timestamp == event.timestamp).take_while(|row| row.id != event.id).count();
            let own = layers[at + same_time..].iter().take_while(|row| row.id == event.id && row.timestamp == event.timestamp).count();
            let start = at + same_time;
            log.push(event, layers[start..start + own].iter().map(|row| row.attempt));
            if own > 0 {
                at = start + own;
            }
        }
    }
    log
}

/// The columns of some rows; a column that a file has not has no values.
struct Batch<'a> {
    batch: &'a RecordBatch,
    path: &'a Path,
}

struct Texts(Option<StringArray>);
struct Numbers(Option<Float64Array>);
struct Integers(Option<Int64Array>);
struct Flags(Option<BooleanArray>);
struct Times(Option<TimestampMicrosecondArray>);

impl Texts {
    fn get(&self, row: usize) -> Option<&str> {
        self.0.as_ref().filter(|array| array.is_valid(row)).map(|array| array.value(row))
    }
}

impl Numbers {
    fn get(&self, row: usize) -> Option<f64> {
        self.0.as_ref().filter(|array| array.is_valid(row)).map(|array| array.value(row))
    }
}

impl Integers {
    fn get(&self, row: usize) -> Option<i64> {
        self.0.as_ref().filter(|array| array.is_valid(row)).map(|array| array.value(row))
    }
}

impl Flags {
    fn get(&self, row: usize) -> Option<bool> {
        self.0.as_ref().filter(|array| array.is_valid(row)).map(|array| array.value(row))
    }
}

impl Times {
    fn get(&self, row: usize) -> Option<Timestamp> {
        self.0.as_ref().filter(|array| array.is_valid(row)).map(|array| Timestamp(array.value(row)))
    }
}

impl Batch<'_> {
    /// A column as a type, where there is one.
    fn column(&self, name: &str, wanted: &DataType) -> Result<Option<ArrayRef>, TableError> {
        let cast_one = |array: &ArrayRef| cast(array, wanted).map_err(|error| TableError::columns(self.path, error));
        self.batch.column_by_name(name).map(cast_one).transpose()
    }

    fn typed<A: Clone + 'static>(&self, name: &str, wanted: &DataType) -> Result<Option<A>, TableError> {
        Ok(self.column(name, wanted)?.and_then(|array| array.as_any().downcast_ref::<A>().cloned()))
    }

    fn texts(&self, name: &str) -> Result<Texts, TableError> {
        Ok(Texts(self.typed(name, &DataType::Utf8)?))
    }

    fn numbers(&self, name: &str) -> Result<Numbers, TableError> {
        Ok(Numbers(self.typed(name, &DataType::Float64)?))
    }

    fn integers(&self, name: &str) -> Result<Integers, TableError> {
        Ok(Integers(self.typed(name, &DataType::Int64)?))
    }

    fn flags(&self, name: &str) -> Result<Flags, TableError> {
        Ok(Flags(self.typed(name, &DataType::Boolean)?))
    }

    fn times(&self, name: &str) -> Result<Times, TableError> {
        Ok(Times(self.typed(name, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?))
    }
}

#[cfg(test)]
mod tests {
    use routewright_domain::{CascadeLog, Name};

    use super::*;
    use crate::formats::samples;
    use crate::{IngestPlaces, IngestSettings, Tail, ingest};

    /// What a log says, as text.
    fn shown(log: &CascadeLog) -> Vec<String> {
        let name = |name: Option<Name>| name.map_or("-", |name| log.text(name)).to_owned();
        let attempt = |attempt: &CascadeAttempt| {
            format!(
                "{}@{} {} {} {:?} {:?} {} {:?}",
                log.text(attempt.layer),
                attempt.position,
                attempt.confidence,
                name(attempt.path),
                attempt.taken,
                attempt.latency_ms,
                name(attempt.backend),
                attempt.cache_hit
            )
        };
        let event = |event: &CascadeEvent| {
            let attempts: Vec<String> = log.attempts(event).iter().map(attempt).collect();
            format!(
                "{} {} {} {} {:?} {:?} {attempts:?}",
                event.timestamp.0,
                name(event.settled_by),
                log.text(event.path),
                name(event.right_path),
                event.right,
                event.success
            )
        };
        log.events().iter().map(event).collect()
    }

    #[test]
    fn the_tables_and_the_log_tell_the_same_events() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log.jsonl");
        let mut text = String::new();
        for (second, id) in [(0, "1a"), (0, "1c"), (0, "1b"), (1, "2"), (2, "3")] {
            let time = format!("2026-01-0{}T10:00:0{second}+00:00", second + 1);
            let mut record = samples::CORTEX.replace("2026-01-05T10:00:00+00:00", &time).replace("0000007f", id).replace('\n', " ");
            if id == "1c" {
                record = record.replace("\"attempted\":true", "\"attempted\":false");
            }
            if id == "2" {
                record = record.replace("\"was_correct_master\":true", "\"was_correct_master\":false");
            }
            text.push_str(&record);
            text.push('\n');
        }
        std::fs::write(&log, text).unwrap();
        let places = IngestPlaces {
            decisions: folder.path().join("decisions"),
            layers: folder.path().join("layers"),
            quarantine: folder.path().join("quarantine"),
        };
        ingest(std::slice::from_ref(&log), &IngestSettings::default(), &places, &|_, _| {}).unwrap();
        let from_tables = read_cascade(&places.decisions, &places.layers, None).unwrap();
        let mut from_log = CascadeLog::default();
        Tail::new(vec![log]).read(&mut from_log).unwrap();
        let (mut tables, mut lines) = (shown(&from_tables), shown(&from_log));
        assert_eq!((tables.len(), from_tables.attempts(&from_tables.events()[0]).len()), (5, 2));
        tables.sort();
        lines.sort();
        assert_eq!(tables, lines);
        let late = read_cascade(&places.decisions, &places.layers, Some(from_tables.events()[3].timestamp)).unwrap();
        assert_eq!(shown(&late), shown(&from_tables)[3..]);
        assert_eq!(late.events()[0].right, Some(false));
    }
}
