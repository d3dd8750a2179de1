//! The log's further scalars: one column per dotted key, with the type that fits all rows.

use std::collections::BTreeMap;

use routewright_domain::Scalar;
use serde::{Deserialize, Serialize};

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

/// Objects of a log whose values are known only after the path ran.
const OUTCOMES: &[&str] = &["execution_outcome.", "quality_metrics.", "outcome.", "learning_feedback.", "log."];

/// Whether a further scalar was known when the decision was made; only such keys may become features.
///
/// Keys of the outcome objects are not, nor are keys at the top of the log's object (`log.…`), of which nothing is known.
pub fn known_at_decision(key: &str) -> bool {
    !OUTCOMES.iter().any(|prefix| key.starts_with(prefix))
}

/// Which types each key was seen with, in how many rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ExtraKinds(BTreeMap<String, [u64; 4]>);

impl ExtraKinds {
    /// Counts the scalars of one row.
    pub(crate) fn count(&mut self, extras: &BTreeMap<String, Scalar>) {
        for (key, value) in extras {
            let slot = kind_of(value) as usize;
            match self.0.get_mut(key) {
                Some(counts) => counts[slot] += 1,
                None => {
                    let mut counts = [0; 4];
                    counts[slot] = 1;
                    self.0.insert(key.clone(), counts);
                }
            }
        }
    }

    /// Adds the counts of other rows.
    pub(crate) fn merge(&mut self, other: Self) {
        for (key, counts) in other.0 {
            let sums = self.0.entry(key).or_default();
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
    }

    /// The column of every key, by name: the one type that was seen, or text where rows disagree.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&str, ExtraKind)> {
        self.0.iter().map(|(key, counts)| (key.as_str(), column_kind(counts)))
    }

    /// Rows per type of every key, by name.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&str, [u64; 4])> {
        self.0.iter().map(|(key, counts)| (key.as_str(), *counts))
    }
}

/// Every kind, in the order of the enum.
pub(crate) const KINDS: [ExtraKind; 4] = [ExtraKind::Bool, ExtraKind::Number, ExtraKind::Text, ExtraKind::List];

/// The kinds that were seen.
pub(crate) fn kinds_seen(counts: &[u64; 4]) -> impl Iterator<Item = ExtraKind> {
    KINDS.into_iter().zip(counts).filter(|(_, count)| **count > 0).map(|(kind, _)| kind)
}

fn column_kind(counts: &[u64; 4]) -> ExtraKind {
    let mut seen = kinds_seen(counts);
    match (seen.next(), seen.next()) {
        (Some(kind), None) => kind,
        _ => ExtraKind::Text,
    }
}

pub(crate) fn kind_of(value: &Scalar) -> ExtraKind {
    match value {
        Scalar::Bool(_) => ExtraKind::Bool,
        Scalar::Number(_) => ExtraKind::Number,
        Scalar::Text(_) => ExtraKind::Text,
        Scalar::List(_) => ExtraKind::List,
    }
}

/// A value in a text column: text as it is, anything else as JSON.
pub(crate) fn as_text(value: &Scalar) -> String {
    match value {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Number(value) => value.to_string(),
        Scalar::Text(text) => text.clone(),
        Scalar::List(texts) => serde_json::to_string(texts).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_two_types_becomes_text() {
        let mut kinds = ExtraKinds::default();
        kinds.count(&BTreeMap::from([("context.load".to_owned(), Scalar::Number(0.5))]));
        assert_eq!(kinds.columns().collect::<Vec<_>>(), [("context.load", ExtraKind::Number)]);
        kinds.count(&BTreeMap::from([("context.load".to_owned(), Scalar::Text("high".into()))]));
        assert_eq!(kinds.columns().collect::<Vec<_>>(), [("context.load", ExtraKind::Text)]);
    }

    #[test]
    fn outcomes_are_not_known_at_the_decision() {
        assert!(known_at_decision("query_features.length"));
        assert!(known_at_decision("routing_decision.stage_1_result.confidence"));
        assert!(!known_at_decision("execution_outcome.tokens"));
        assert!(!known_at_decision("log.note"));
    }
}
