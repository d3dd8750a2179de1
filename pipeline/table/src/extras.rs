//! The log's further scalars: one column per dotted key, with the type that fits all rows.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;

use routewright_domain::Scalar;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::IngestError;
use crate::unhashed::Unhashed;

/// Type of a further scalar's column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtraKind {
    /// True or false.
    Bool,
    /// A double.
    Number,
    /// Text; also where rows disagree about the type.
    Text,
    /// A list of texts.
    List,
}

impl ExtraKind {
    /// Its name, as `schema` and messages say it.
    pub fn name(self) -> &'static str {
        match self {
            ExtraKind::Bool => "bool",
            ExtraKind::Number => "number",
            ExtraKind::Text => "text",
            ExtraKind::List => "list",
        }
    }
}

/// Objects of a log whose values are known only after the path ran.
const OUTCOMES: &[&str] = &["execution_outcome.", "quality_metrics.", "outcome.", "learning_feedback.", "log."];

/// Whether a further scalar was known when the decision was made; only such keys may become features.
///
/// Keys of the outcome objects are not, nor are keys at the top of the log's object (`log.…`), of which nothing is known.
pub fn known_at_decision(key: &str) -> bool {
    !OUTCOMES.iter().any(|prefix| key.starts_with(prefix))
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyEntry {
    /// The dotted key.
    pub(crate) name: Box<str>,
    known_at_decision: bool,
    /// Rows per kind, in the order of [`KINDS`].
    pub(crate) kinds: [u64; 4],
    /// Values that have no column.
    pub(crate) ignored: u64,
}

/// A key among [`Keys`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Its digest.
    pub(crate) digest: u64,
    /// Whether it is known at the decision.
    pub(crate) at_decision: bool,
    /// Its place.
    pub(crate) at: u32,
}

/// Every key of some rows by its digest, which stands for it in rows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<KeyEntry>", into = "Vec<KeyEntry>")]
pub(crate) struct Keys {
    entries: Vec<KeyEntry>,
    places: HashMap<u64, u32, BuildHasherDefault<Unhashed>>,
    /// Two keys with one digest.
    clash: Option<(Box<str>, Box<str>)>,
}

impl From<Vec<KeyEntry>> for Keys {
    fn from(entries: Vec<KeyEntry>) -> Self {
        let places = entries.iter().zip(0..).map(|(entry, at)| (xxh3_64(entry.name.as_bytes()), at)).collect();
        Self { entries, places, clash: None }
    }
}

impl From<Keys> for Vec<KeyEntry> {
    fn from(keys: Keys) -> Self {
        let mut entries = keys.entries;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries
    }
}

impl Keys {
    /// A key, which is remembered. [`Self::merge`] tells of two keys with one digest.
    pub(crate) fn key(&mut self, name: &str) -> Key {
        let digest = xxh3_64(name.as_bytes());
        let entries = &mut self.entries;
        let at = *self.places.entry(digest).or_insert_with(|| {
            entries.push(KeyEntry { name: name.into(), known_at_decision: known_at_decision(name), kinds: [0; 4], ignored: 0 });
            // A log has a few thousand keys.
            (entries.len() - 1) as u32
        });
        let entry = &entries[at as usize];
        if *entry.name != *name {
            self.clash = Some((entry.name.clone(), name.into()));
        }
        Key { digest, at_decision: entry.known_at_decision, at }
    }

    /// Counts rows that have the key at a place, with a value of a kind.
    pub(crate) fn count(&mut self, at: u32, kind: u8, n_rows: u64) {
        if let Some(count) = self.entries.get_mut(at as usize).and_then(|entry| entry.kinds.get_mut(usize::from(kind))) {
            *count += n_rows;
        }
    }

    pub(crate) fn count_ignored(&mut self, key: Key) {
        if let Some(entry) = self.entries.get_mut(key.at as usize) {
            entry.ignored += 1;
        }
    }

    /// The name of a digest.
    pub(crate) fn name(&self, digest: u64) -> Option<&str> {
        self.places.get(&digest).and_then(|at| self.entries.get(*at as usize)).map(|entry| entry.name.as_ref())
    }

    /// Adds the counts of other rows.
    ///
    /// # Errors
    /// Two keys with one digest, which a log cannot have by accident.
    pub(crate) fn merge(&mut self, other: Self) -> Result<(), IngestError> {
        self.clash = self.clash.take().or(other.clash);
        for theirs in other.entries {
            let at = self.key(&theirs.name).at;
            let ours = &mut self.entries[at as usize];
            ours.kinds.iter_mut().zip(theirs.kinds).for_each(|(sum, count)| *sum += count);
            ours.ignored += theirs.ignored;
        }
        match &self.clash {
            None => Ok(()),
            Some((one, other)) => Err(IngestError::RowsDoNotAddUp { detail: format!("the keys `{one}` and `{other}` have one digest") }),
        }
    }

    /// All keys that rows have or would have, by name, with their digests.
    pub(crate) fn by_name(&self) -> BTreeMap<&str, (u64, &KeyEntry)> {
        self.entries.iter().map(|entry| (entry.name.as_ref(), (xxh3_64(entry.name.as_bytes()), entry))).collect()
    }
}

/// Every kind, in the order of the enum.
pub(crate) const KINDS: [ExtraKind; 4] = [ExtraKind::Bool, ExtraKind::Number, ExtraKind::Text, ExtraKind::List];

/// The kind that a byte of a row stands for.
pub(crate) fn kind_of(byte: u8) -> ExtraKind {
    KINDS.get(usize::from(byte)).copied().unwrap_or(ExtraKind::List)
}

/// The kinds that were seen.
pub(crate) fn kinds_seen(counts: &[u64; 4]) -> impl Iterator<Item = ExtraKind> {
    KINDS.into_iter().zip(counts).filter(|(_, count)| **count > 0).map(|(kind, _)| kind)
}

/// A value in a text column: text as it is, anything else as JSON.
pub(crate) fn as_text(value: Scalar) -> String {
    match value {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Number(value) => value.to_string(),
        Scalar::Text(text) => text,
        Scalar::List(texts) => serde_json::to_string(&texts).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_stands_for_one_key() {
        let (mut ours, mut theirs) = (Keys::default(), Keys::default());
        let key = ours.key("context.load");
        ours.count(key.at, ExtraKind::Number as u8, 1);
        let same = theirs.key("context.load");
        theirs.count(same.at, ExtraKind::Text as u8, 1);
        ours.merge(theirs).unwrap();
        assert_eq!(ours.by_name()["context.load"].1.kinds, [0, 1, 1, 0]);
        let mut forged = ours.clone();
        forged.entries[0].name = "x".into();
        forged.key("context.load");
        assert_eq!(ours.merge(forged).unwrap_err().to_string(), "rows do not add up: the keys `x` and `context.load` have one digest");
    }

    #[test]
    fn outcomes_are_not_known_at_the_decision() {
        assert!(known_at_decision("query_features.length"));
        assert!(known_at_decision("routing_decision.stage_1_result.confidence"));
        assert!(!known_at_decision("execution_outcome.tokens"));
        assert!(!known_at_decision("log.note"));
    }
}
