//! Which columns a feature row has, what they mean, and the tables fitted on the training window that encode them.

use std::collections::BTreeMap;

use routewright_domain::{Paths, Scalar, Seed};
use serde::{Deserialize, Serialize};

use crate::digest::sha256_hex;
use crate::embedder::{EmbedderModel, EmbedderSettings, Embedding, SentenceSource};
use crate::features::FEATURES;
use crate::history::HistorySettings;
use crate::request::Request;
use crate::types::TypeCentres;

/// Version of [`Schema`] and of the meaning of its columns; a reader refuses any other.
pub const SCHEMA_VERSION: u32 = 3;

/// What a column's numbers are. A missing value is NaN in every kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// A number of things.
    Count,
    /// A share in [0, 1].
    Share,
    /// 0 or 1.
    Flag,
    /// A position in an ordered scale or a dictionary.
    Code,
    /// An estimated probability in [0, 1].
    Probability,
    /// A similarity or direction in [-1, 1].
    Cosine,
    /// A duration.
    Milliseconds,
    /// Any other number.
    Number,
}

/// One column of a feature row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The column's name, unique in the schema.
    pub name: String,
    /// The feature it belongs to: a name in [`FEATURES`].
    pub group: String,
    /// What its numbers are.
    pub kind: ColumnKind,
    /// One sentence for people.
    pub meaning: String,
}

/// Texts by falling frequency: a text's code is its position, texts that it does not hold share the code after the last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Dictionary(Vec<String>);

impl Dictionary {
    /// The most frequent texts, ties in alphabetical order.
    fn fit(counts: &BTreeMap<&str, usize>, max_entries: usize) -> Self {
        let mut entries: Vec<(&str, usize)> = counts.iter().map(|(&text, &count)| (text, count)).collect();
        entries.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        Self(entries.into_iter().take(max_entries).map(|(text, _)| text.to_owned()).collect())
    }

    /// The code of a text.
    pub fn code(&self, text: &str) -> usize {
        self.0.iter().position(|entry| entry == text).unwrap_or(self.0.len())
    }

    /// The texts in the order of their codes.
    pub fn entries(&self) -> &[String] {
        &self.0
    }
}

/// How an extra of the log becomes a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtraEncoding {
    /// Numbers as they are, Booleans as 0 and 1.
    Number,
    /// The code of the text.
    Code(Dictionary),
    /// The length of the list.
    Length,
}

/// An extra of the log that became a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExtraColumn {
    /// The dotted key of the log.
    pub key: String,
    /// How its value becomes a number.
    pub encoding: ExtraEncoding,
}

/// Settings of [`Schema::fit`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SchemaSettings {
    /// Features to encode, by their name in [`FEATURES`]; their order is that of the list.
    pub groups: Vec<String>,
    /// Largest number of extras that become columns, the most frequently logged first.
    pub max_extras: usize,
    /// Share of the requests below which an extra is left out.
    pub min_extra_share: f64,
    /// Largest number of texts in a dictionary.
    pub max_dictionary: usize,
    /// The embedder's settings.
    pub embedder: EmbedderSettings,
    /// The history index's settings.
    pub history: HistorySettings,
}

impl Default for SchemaSettings {
    fn default() -> Self {
        Self {
            groups: FEATURES.iter().map(|feature| feature.name.to_owned()).collect(),
            max_extras: 256,
            min_extra_share: 0.01,
            max_dictionary: 64,
            embedder: EmbedderSettings::default(),
            history: HistorySettings::default(),
        }
    }
}

/// The columns of a feature row and everything fitted that encoding them needs; made by [`Schema::fit`] or [`Schema::from_json`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    version: u32,
    paths: Paths,
    columns: Vec<Column>,
    groups: Vec<String>,
    /// Columns that features write and the row leaves out.
    dropped: Vec<String>,
    query_types: Dictionary,
    type_centres: TypeCentres,
    pub(crate) extras: Vec<ExtraColumn>,
    pub(crate) embedding_columns: usize,
    pub(crate) history: HistorySettings,
    pub(crate) embedder: EmbedderModel,
}

/// What every version of a schema begins with, so that another version is named as such and not by the first field that differs.
#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

/// A schema that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The bytes are no schema.
    #[error("not a feature schema")]
    Json(#[from] serde_json::Error),
    /// A version this reader does not know.
    #[error("feature schema version {found}, this program reads {SCHEMA_VERSION}: fit and export it again with this program")]
    Version {
        /// The version found.
        found: u32,
    },
    /// A feature that [`FEATURES`] does not hold.
    #[error("unknown feature `{name}`, there are {known}")]
    Feature {
        /// The name found.
        name: String,
        /// The names there are, comma separated.
        known: String,
    },
    /// Columns that differ from what the features write.
    #[error("column {position} is `{found}` where this program writes `{expected}`")]
    Column {
        /// Position of the first column that differs.
        position: usize,
        /// The name in the schema; empty when it ends there.
        found: String,
        /// The name that the features give; empty when they end there.
        expected: String,
    },
    /// A table or setting out of its range.
    #[error("`{field}` is invalid: {reason}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// Extras that have columns of their own in other features.
const NAMED_EXTRAS: [&str; 4] = ["context.system_mode", "context.recent_error_rate", "context.vram_usage", "query_features.keywords"];

impl Schema {
    /// Fits dictionaries and the embedder on the requests of the training window, given in time order.
    ///
    /// Only what the caller passes is seen: rows after the training window must not be among the requests.
    ///
    /// # Errors
    /// [`SchemaError::Feature`] for an unknown name in `settings.groups`, [`SchemaError::Field`] for a setting out of range.
    pub fn fit<'a>(
        paths: &Paths,
        requests: impl Iterator<Item = Request<'a>> + Clone,
        settings: &SchemaSettings,
        seed: Seed,
    ) -> Result<Self, SchemaError> {
        Self::fit_with(paths, requests, settings, None, seed)
    }

    /// Like [`Self::fit`], with the vectors that a sentence model made of the requests' texts in place of the built-in embedder.
    ///
    /// # Errors
    /// As of [`Self::fit`].
    pub fn fit_with<'a>(
        paths: &Paths,
        requests: impl Iterator<Item = Request<'a>> + Clone,
        settings: &SchemaSettings,
        source: Option<&SentenceSource>,
        seed: Seed,
    ) -> Result<Self, SchemaError> {
        let groups: Vec<String> =
            FEATURES.iter().map(|feature| feature.name.to_owned()).filter(|name| settings.groups.contains(name)).collect();
        if let Some(name) = settings.groups.iter().find(|name| !groups.contains(name)) {
            return Err(unknown_feature(name));
        }
        let mut query_types: BTreeMap<&str, usize> = BTreeMap::new();
        for request in requests.clone() {
            if let Some(query_type) = request.query_type {
                *query_types.entry(query_type).or_default() += 1;
            }
        }
        let embedder = EmbedderModel::fit(requests.clone(), &settings.embedder, source, seed.derive("embedder", 0));
        embedder.check(settings.embedder.columns).map_err(|reason| SchemaError::Field { field: "embedder", reason })?;
        let mut query_types = Dictionary::fit(&query_types, settings.max_dictionary);
        let type_centres = if query_types.entries().is_empty() {
            let clusters = TypeCentres::clusters(requests.clone(), &embedder);
            query_types = Dictionary(clusters.names());
            clusters
        } else {
            TypeCentres::of_types(requests.clone(), &query_types, &embedder)
        };
        let mut schema = Self {
            version: SCHEMA_VERSION,
            paths: paths.clone(),
            columns: Vec::new(),
            groups,
            dropped: Vec::new(),
            query_types,
            type_centres,
            extras: fit_extras(requests, settings),
            embedding_columns: settings.embedder.columns,
            history: settings.history.clone(),
            embedder,
        };
        schema.columns = schema.expected_columns();
        schema.check()?;
        Ok(schema)
    }

    /// The columns, in the order of the row.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The paths, in the order in which per-path columns are numbered.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Features that are encoded, in the order of [`FEATURES`].
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// Codes of query types.
    pub fn query_types(&self) -> &Dictionary {
        &self.query_types
    }

    /// Extras that are columns, by key.
    pub fn extras(&self) -> &[ExtraColumn] {
        &self.extras
    }

    /// The fitted embedder.
    pub fn embedder(&self) -> &EmbedderModel {
        &self.embedder
    }

    /// The same schema without some columns.
    #[must_use]
    pub fn without(mut self, names: &[String]) -> Self {
        self.dropped.extend(names.iter().filter(|name| self.columns.iter().any(|column| column.name == **name)).cloned());
        self.columns = self.expected_columns();
        self
    }

    /// Columns that were left out, by name.
    pub fn dropped(&self) -> &[String] {
        &self.dropped
    }

    /// Whether a column was left out.
    pub(crate) fn is_dropped(&self, name: &str) -> bool {
        self.dropped.iter().any(|dropped| dropped == name)
    }

    /// Whether a feature is encoded.
    pub(crate) fn has_group(&self, name: &str) -> bool {
        self.groups.iter().any(|group| group == name)
    }

    /// Code of the type whose texts lie nearest to a direction; `None` without a direction or types.
    pub(crate) fn nearest_type(&self, embedding: &Embedding) -> Option<u16> {
        self.type_centres.nearest(embedding)
    }

    /// Whether types are clusters of texts, because the training window logged none.
    pub fn types_are_clusters(&self) -> bool {
        self.type_centres.are_clusters()
    }

    /// Number of columns of a row.
    pub fn n_columns(&self) -> usize {
        self.columns.len()
    }

    /// The schema as `features.json`: canonical, equal schemas give equal bytes.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads `features.json` and checks that this program writes exactly these columns.
    ///
    /// # Errors
    /// [`SchemaError`] says what does not fit.
    pub fn from_json(bytes: &[u8]) -> Result<Self, SchemaError> {
        let VersionOnly { version } = serde_json::from_slice(bytes)?;
        if version != SCHEMA_VERSION {
            return Err(SchemaError::Version { found: version });
        }
        let schema: Self = serde_json::from_slice(bytes)?;
        schema.check()?;
        Ok(schema)
    }

    /// SHA-256 of [`Self::to_json`], in hexadecimal digits.
    pub fn digest(&self) -> String {
        sha256_hex(&self.to_json())
    }

    /// The columns that the features write under this schema's tables.
    fn expected_columns(&self) -> Vec<Column> {
        let chosen = FEATURES.iter().filter(|feature| self.has_group(feature.name));
        chosen.flat_map(|feature| (feature.columns)(self)).filter(|column| !self.is_dropped(&column.name)).collect()
    }

    /// Checks names and ranges.
    fn check(&self) -> Result<(), SchemaError> {
        if let Some(name) = self.groups.iter().find(|name| !FEATURES.iter().any(|feature| feature.name == name.as_str())) {
            return Err(unknown_feature(name));
        }
        self.embedder.check(self.embedding_columns).map_err(|reason| SchemaError::Field { field: "embedder", reason })?;
        self.type_centres.check(self.query_types.entries().len()).map_err(|reason| SchemaError::Field { field: "type_centres", reason })?;
        self.history.check().map_err(|reason| SchemaError::Field { field: "history", reason })?;
        let expected = self.expected_columns();
        for position in 0..expected.len().max(self.columns.len()) {
            let (found, wanted) = (self.columns.get(position), expected.get(position));
            if found != wanted {
                let name = |column: Option<&Column>| column.map_or_else(String::new, |column| column.name.clone());
                return Err(SchemaError::Column { position, found: name(found), expected: name(wanted) });
            }
        }
        Ok(())
    }
}

/// The error for a feature name that the list does not hold.
fn unknown_feature(name: &str) -> SchemaError {
    let known: Vec<&str> = FEATURES.iter().map(|feature| feature.name).collect();
    SchemaError::Feature { name: name.to_owned(), known: known.join(", ") }
}

/// What the requests hold under one key.
#[derive(Default)]
struct ExtraCounts<'a> {
    numbers: usize,
    lists: usize,
    texts: usize,
    values: BTreeMap<&'a str, usize>,
}

/// Distinct texts counted per extra; a key with more is an identifier, whose rare values share the last code anyway.
const MAX_COUNTED_TEXTS: usize = 4096;

/// Chooses the extras that become columns, and how.
fn fit_extras<'a>(requests: impl Iterator<Item = Request<'a>>, settings: &SchemaSettings) -> Vec<ExtraColumn> {
    let mut keys: BTreeMap<&str, ExtraCounts<'a>> = BTreeMap::new();
    let mut n_requests = 0_usize;
    for request in requests {
        n_requests += 1;
        for (key, value) in request.extras {
            let counts = keys.entry(key).or_default();
            match value {
                Scalar::Bool(_) | Scalar::Number(_) => counts.numbers += 1,
                Scalar::List(_) => counts.lists += 1,
                Scalar::Text(text) => {
                    counts.texts += 1;
                    if counts.values.len() < MAX_COUNTED_TEXTS || counts.values.contains_key(text.as_str()) {
                        *counts.values.entry(text).or_default() += 1;
                    }
                }
            }
        }
    }
    let total = |counts: &ExtraCounts<'_>| counts.numbers + counts.lists + counts.texts;
    let needed = (settings.min_extra_share * n_requests as f64).max(1.0);
    let mut chosen: Vec<(&str, ExtraCounts<'a>)> =
        keys.into_iter().filter(|(key, counts)| !NAMED_EXTRAS.contains(key) && total(counts) as f64 >= needed).collect();
    chosen.sort_by(|a, b| total(&b.1).cmp(&total(&a.1)).then(a.0.cmp(b.0)));
    chosen.truncate(settings.max_extras);
    chosen.sort_by(|a, b| a.0.cmp(b.0));
    let encoding = |counts: &ExtraCounts<'_>| {
        if counts.numbers >= counts.texts.max(counts.lists) {
            ExtraEncoding::Number
        } else if counts.texts >= counts.lists {
            ExtraEncoding::Code(Dictionary::fit(&counts.values, settings.max_dictionary))
        } else {
            ExtraEncoding::Length
        }
    };
    chosen.into_iter().map(|(key, counts)| ExtraColumn { key: key.to_owned(), encoding: encoding(&counts) }).collect()
}

#[cfg(test)]
mod tests {
    use routewright_domain::Timestamp;

    use super::*;

    fn fit(extras: &[BTreeMap<String, Scalar>], settings: &SchemaSettings) -> Schema {
        let requests = extras.iter().enumerate().map(|(row, extras)| Request {
            query_type: Some(if row == 0 { "rare" } else { "common" }),
            extras,
            ..Request::new("hello", Timestamp(row as i64))
        });
        Schema::fit(&Paths::from_names(["a", "b"]), requests, settings, Seed(1)).unwrap()
    }

    fn extras(entries: &[(&str, Scalar)]) -> BTreeMap<String, Scalar> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    }

    #[test]
    fn codes_follow_frequency_and_unknown_texts_share_the_last() {
        let schema = fit(&[extras(&[]), extras(&[]), extras(&[])], &SchemaSettings::default());
        assert_eq!(schema.query_types().entries(), ["common", "rare"]);
        assert_eq!(schema.query_types().code("never seen"), 2);
    }

    #[test]
    fn an_extra_is_encoded_by_the_kind_it_mostly_has() {
        let (text, number) = (Scalar::Text("x".to_owned()), Scalar::Number(1.0));
        let list = Scalar::List(vec!["x".to_owned()]);
        let rows = [
            extras(&[("a", text.clone()), ("n", number.clone()), ("l", list.clone()), ("context.system_mode", text.clone())]),
            extras(&[("a", text), ("n", Scalar::Bool(true)), ("l", list)]),
            extras(&[("a", number)]),
        ];
        let schema = fit(&rows, &SchemaSettings::default());
        let found: Vec<(&str, &ExtraEncoding)> = schema.extras().iter().map(|extra| (extra.key.as_str(), &extra.encoding)).collect();
        let code = ExtraEncoding::Code(Dictionary(vec!["x".to_owned()]));
        assert_eq!(found, [("a", &code), ("l", &ExtraEncoding::Length), ("n", &ExtraEncoding::Number)]);
    }

    #[test]
    fn a_schema_survives_json_with_its_digest() {
        let schema = fit(&[extras(&[("n", Scalar::Number(0.1))])], &SchemaSettings::default());
        let read = Schema::from_json(&schema.to_json()).unwrap();
        assert_eq!(read, schema);
        assert_eq!(read.digest(), schema.digest());
    }

    #[test]
    fn a_schema_with_another_column_is_refused_by_name() {
        let schema = fit(&[extras(&[])], &SchemaSettings::default());
        let text = String::from_utf8(schema.to_json()).unwrap();
        let error = Schema::from_json(text.replacen("text_words", "text_sighs", 1).as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "column 1 is `text_sighs` where this program writes `text_words`");
    }

    #[test]
    fn a_schema_of_another_version_is_refused_as_such_whatever_else_differs() {
        let error = Schema::from_json(br#"{"version":1,"embedder":{"word_buckets":8192}}"#).unwrap_err();
        assert_eq!(error.to_string(), "feature schema version 1, this program reads 3: fit and export it again with this program");
    }

    #[test]
    fn every_feature_can_be_left_out() {
        for feature in FEATURES {
            let mut settings = SchemaSettings::default();
            settings.groups.retain(|group| group != feature.name);
            let schema = fit(&[extras(&[("n", Scalar::Number(0.1))])], &settings);
            assert!(schema.columns().iter().all(|column| column.group != feature.name), "{}", feature.name);
        }
        let settings = SchemaSettings { groups: vec!["mood".to_owned()], ..SchemaSettings::default() };
        let error = Schema::fit(&Paths::default(), std::iter::empty(), &settings, Seed(1)).unwrap_err();
        assert!(error.to_string().starts_with("unknown feature `mood`, there are text, language"));
    }

    #[test]
    fn names_of_columns_are_unique_and_every_column_has_a_meaning() {
        let schema = fit(&[extras(&[("n", Scalar::Number(0.1))])], &SchemaSettings::default());
        let mut names: Vec<&str> = schema.columns().iter().map(|column| column.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), schema.n_columns());
        assert!(schema.columns().iter().all(|column| !column.meaning.is_empty()));
    }
}
