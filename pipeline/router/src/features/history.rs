//! What happened to similar queries, to queries of the same type, and on each path lately.

use super::{Feature, HistoryInput, Write, column};
use crate::history::{PathReading, Reading};
use crate::schema::ColumnKind::{Cosine, Count, Milliseconds, Number, Probability};
use crate::schema::{Column, ColumnKind, Schema};

pub(super) const FEATURE: Feature =
    Feature { name: "history", summary: "outcomes of similar and of recent queries, per path", columns, write: Write::History(write) };

/// Columns of every path: name before the path's number, kind, meaning before the path's name, and where the number comes from.
type PathColumn = (&'static str, ColumnKind, &'static str, fn(&PathReading) -> f64);

/// The columns that every path has, in their order.
const PATH_COLUMNS: [PathColumn; 12] = [
    ("similar_success", Probability, "success rate of the most similar past queries on", |reading| reading.similar_success),
    ("similar_evidence", Number, "number of the most similar past queries, each counted by its similarity, on", |reading| {
        reading.similar_evidence
    }),
    ("similar_age", Number, "mean age in days of the most similar past queries on", |reading| reading.similar_age_days),
    ("similar_latency", Milliseconds, "geometric mean latency of the most similar past queries on", |reading| reading.similar_latency_ms),
    ("topic_success", Probability, "success rate in the topics around the query on", |reading| reading.topic_success),
    ("topic_evidence", Number, "weight of the topics' outcomes on", |reading| reading.topic_evidence),
    ("type_success", Probability, "success rate of the query type on", |reading| reading.type_success),
    ("type_day_success", Probability, "success rate of the query type with a half-life of a day on", |reading| reading.type_day_success),
    ("day_success", Probability, "success rate with a half-life of a day on", |reading| reading.day_success),
    ("hour_success", Probability, "success rate with a half-life of an hour on", |reading| reading.hour_success),
    ("day_latency", Milliseconds, "geometric mean latency with a half-life of a day on", |reading| reading.day_latency_ms),
    ("drift", Number, "success rate of the last day minus that of the last quarter, in standard errors, on", |reading| reading.drift),
];

/// Columns of all paths together: name, kind, meaning, and where the number comes from.
type SharedColumn = (&'static str, ColumnKind, &'static str, fn(&Reading) -> f64);

/// The columns before those of the paths; those before [`N_OF_SIMILAR`] tell of similar queries.
const SHARED_COLUMNS: [SharedColumn; 9] = [
    ("history_nearest", Cosine, "cosine to the most similar past query", |reading| reading.probe.nearest_cosine.unwrap_or(f64::NAN)),
    ("history_centre", Cosine, "cosine to the centre of the nearest topic", |reading| reading.probe.centre_cosine.unwrap_or(f64::NAN)),
    ("history_evidence", Number, "number of the most similar past queries of all paths, each counted by its similarity", |reading| {
        reading.probe.evidence
    }),
    ("history_recent_load", Number, "weight of all outcomes, half-life one hour", |reading| reading.recent_load),
    ("history_recent_errors", Probability, "share of failures among all outcomes, half-life one hour", |reading| reading.recent_errors),
    ("history_session_outcomes", Count, "outcomes of the session so far", |reading| reading.session_outcomes),
    ("history_session_success", Probability, "success rate of the session so far", |reading| reading.session_success),
    ("history_session_failures", Count, "failures of the session since its last success", |reading| reading.session_failures_running),
    ("history_session_idle", Number, "minutes since the session's last outcome", |reading| reading.session_idle_minutes),
];

/// How many of [`SHARED_COLUMNS`] and of [`PATH_COLUMNS`], the first ones, tell of similar queries.
const N_OF_SIMILAR: (usize, usize) = (3, 6);

/// The columns that are written, with or without those that tell of similar queries.
fn written(looks_for_similar: bool) -> (&'static [SharedColumn], &'static [PathColumn]) {
    let (of_shared, of_path) = if looks_for_similar { (0, 0) } else { N_OF_SIMILAR };
    (&SHARED_COLUMNS[of_shared..], &PATH_COLUMNS[of_path..])
}

fn columns(schema: &Schema) -> Vec<Column> {
    let (shared, of_path) = written(schema.history.looks_for_similar());
    let mut columns: Vec<Column> = shared.iter().map(|&(name, kind, meaning, _)| column("history", name, kind, meaning)).collect();
    for (number, path) in schema.paths().names().iter().enumerate() {
        for &(name, kind, meaning, _) in of_path {
            columns.push(column("history", format!("history_{name}_{number}"), kind, format!("{meaning} path {number}, `{path}`")));
        }
    }
    columns
}

fn write(input: &HistoryInput<'_>, row: &mut [f32]) {
    let (shared, of_path) = written(input.looks_for_similar);
    let (shared_numbers, path_numbers) = row.split_at_mut(shared.len());
    for (number, (_, _, _, get)) in shared_numbers.iter_mut().zip(shared) {
        *number = get(input.reading) as f32;
    }
    for (numbers, reading) in path_numbers.chunks_exact_mut(of_path.len()).zip(&input.reading.paths) {
        for (number, (_, _, _, get)) in numbers.iter_mut().zip(of_path) {
            *number = get(reading) as f32;
        }
    }
}
