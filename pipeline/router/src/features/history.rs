//! What happened to similar queries, to queries of the same type, and on each path lately.

use super::{Feature, HistoryInput, Write, column, or_missing};
use crate::history::PathReading;
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

/// Columns before those of the paths.
const N_SHARED: usize = 9;

fn columns(schema: &Schema) -> Vec<Column> {
    let shared = [
        ("history_nearest", Cosine, "cosine to the most similar past query"),
        ("history_centre", Cosine, "cosine to the centre of the nearest topic"),
        ("history_evidence", Number, "number of the most similar past queries of all paths, each counted by its similarity"),
        ("history_recent_load", Number, "weight of all outcomes, half-life one hour"),
        ("history_recent_errors", Probability, "share of failures among all outcomes, half-life one hour"),
        ("history_session_outcomes", Count, "outcomes of the session so far"),
        ("history_session_success", Probability, "success rate of the session so far"),
        ("history_session_failures", Count, "failures of the session since its last success"),
        ("history_session_idle", Number, "minutes since the session's last outcome"),
    ];
    let mut columns = super::columns("history", &shared);
    for (number, path) in schema.paths().names().iter().enumerate() {
        for (name, kind, meaning, _) in PATH_COLUMNS {
            columns.push(column("history", format!("history_{name}_{number}"), kind, format!("{meaning} path {number}, `{path}`")));
        }
    }
    columns
}

fn write(input: &HistoryInput<'_>, row: &mut [f32]) {
    let probe = &input.reading.probe;
    row[0] = or_missing(probe.nearest_cosine);
    row[1] = or_missing(probe.centre_cosine);
    let reading = input.reading;
    let shared = [
        probe.evidence,
        reading.recent_load,
        reading.recent_errors,
        reading.session_outcomes,
        reading.session_success,
        reading.session_failures_running,
        reading.session_idle_minutes,
    ];
    for (number, value) in row[2..N_SHARED].iter_mut().zip(shared) {
        *number = value as f32;
    }
    let paths = row[N_SHARED..].chunks_exact_mut(PATH_COLUMNS.len());
    for (numbers, reading) in paths.zip(&reading.paths) {
        for (number, (_, _, _, get)) in numbers.iter_mut().zip(PATH_COLUMNS) {
            *number = get(reading) as f32;
        }
    }
}
