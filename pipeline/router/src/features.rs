//! The features: what a row says about a query. One file per feature, one line in [`FEATURES`].

mod code;
mod complexity;
mod context;
mod embedding;
mod entities;
mod extras;
mod history;
mod keywords;
mod language;
mod query_type;
mod text;
mod time;
mod tone;

pub(crate) use language::{Languages, WORDS as LANGUAGE_WORDS};

use crate::history::Reading;
use crate::profile::TextProfile;
use crate::request::Request;
use crate::schema::{Column, ColumnKind, Schema};

/// A feature: some columns of the row, and what writes them.
pub struct Feature {
    /// The feature's name; the group of its columns, and the name in the settings.
    pub name: &'static str,
    /// One sentence for people.
    pub summary: &'static str,
    /// Its columns under a schema.
    pub columns: fn(&Schema) -> Vec<Column>,
    /// Writes its columns: exactly as many numbers as [`Self::columns`] has entries.
    pub(crate) write: Write,
}

/// What a feature is written from.
pub(crate) enum Write {
    /// From the query alone.
    Query(fn(&QueryInput<'_>, &mut [f32])),
    /// From the query and the past.
    History(fn(&HistoryInput<'_>, &mut [f32])),
}

/// What is known about a query.
pub(crate) struct QueryInput<'a> {
    pub request: &'a Request<'a>,
    pub profile: &'a TextProfile,
    pub schema: &'a Schema,
    /// The query's direction in the embedding space, unit length or all zero.
    pub direction: &'a [f32],
    pub query_type: Option<u16>,
    /// Whether the request named it.
    pub is_type_logged: bool,
}

/// What is known about the past of similar queries.
pub(crate) struct HistoryInput<'a> {
    pub reading: &'a Reading,
    /// Whether similar queries were looked for.
    pub looks_for_similar: bool,
}

/// Every feature, in the order of the row.
pub const FEATURES: &[Feature] = &[
    text::FEATURE,
    language::FEATURE,
    code::FEATURE,
    entities::FEATURE,
    tone::FEATURE,
    keywords::FEATURE,
    complexity::FEATURE,
    query_type::FEATURE,
    embedding::FEATURE,
    context::FEATURE,
    time::FEATURE,
    extras::FEATURE,
    history::FEATURE,
];

/// A column of a feature.
pub(crate) fn column(group: &'static str, name: impl Into<String>, kind: ColumnKind, meaning: impl Into<String>) -> Column {
    Column { name: name.into(), group: group.to_owned(), kind, meaning: meaning.into() }
}

/// Columns given as a table of name, kind and meaning.
pub(crate) fn columns(group: &'static str, table: &[(&str, ColumnKind, &str)]) -> Vec<Column> {
    table.iter().map(|&(name, kind, meaning)| column(group, name, kind, meaning)).collect()
}

/// A number or the missing value.
pub(crate) fn or_missing(value: Option<f64>) -> f32 {
    value.map_or(f32::NAN, |number| number as f32)
}
