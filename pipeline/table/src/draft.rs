//! A decision while its record is read: it borrows from the record, and keeps its further scalars in the form that rows have.

use std::borrow::Cow;
use std::collections::BTreeMap;

use routewright_domain::{Decision, LayerAttempt, Propensity, Scalar, Timestamp};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::bytes::{begins_with, is_same};
use crate::extras::{ExtraKind, Key, Keys, kind_of};
use crate::json::Json;
use crate::rows::{Input, put_bytes, put_texts};
use crate::shapes::Shapes;

/// What one record gives; the fields are those of [`Decision`](routewright_domain::Decision). One draft serves many records in turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft<'a> {
    pub(crate) trace_id: Cow<'a, str>,
    pub(crate) timestamp: Timestamp,
    pub(crate) query: Cow<'a, str>,
    pub(crate) query_id: Cow<'a, str>,
    pub(crate) session_id: Option<Cow<'a, str>>,
    pub(crate) user_id: Option<Cow<'a, str>>,
    pub(crate) path: Cow<'a, str>,
    pub(crate) static_path: Option<Cow<'a, str>>,
    pub(crate) propensity: Option<Propensity>,
    pub(crate) propensities: Propensities<'a>,
    pub(crate) candidates: Vec<Cow<'a, str>>,
    pub(crate) policy_id: Option<Cow<'a, str>>,
    pub(crate) explored: Option<bool>,
    pub(crate) tool_name: Option<Cow<'a, str>>,
    pub(crate) confidence: Option<f64>,
    pub(crate) query_type: Option<Cow<'a, str>>,
    pub(crate) complexity: Option<Cow<'a, str>>,
    pub(crate) success: Option<bool>,
    pub(crate) latency_ms: Option<f64>,
    pub(crate) error: Option<Cow<'a, str>>,
    pub(crate) tool_execution_time_ms: Option<f64>,
    pub(crate) llm_calls: Option<i64>,
    pub(crate) cost: Option<f64>,
    pub(crate) user_feedback: Option<Cow<'a, str>>,
    pub(crate) response_length: Option<i64>,
    pub(crate) hallucination_detected: Option<bool>,
    pub(crate) quality_score: Option<f64>,
    pub(crate) optimal_path: Option<Cow<'a, str>>,
    /// The layers that were attempted, where the format logs a cascade.
    pub(crate) layers: Vec<LayerDraft<'a>>,
    /// Every further scalar.
    pub(crate) extras: Extras,
}

/// One attempted layer; the id and the time are the decision's.
#[derive(Clone, Debug, Default)]
pub(crate) struct LayerDraft<'a> {
    pub(crate) layer_id: i64,
    pub(crate) layer_name: Cow<'a, str>,
    pub(crate) success: Option<bool>,
    pub(crate) confidence: f64,
    pub(crate) threshold: Option<f64>,
    pub(crate) selected_path: Option<Cow<'a, str>>,
    pub(crate) latency_ms: Option<f64>,
    pub(crate) backend: Option<Cow<'a, str>>,
    pub(crate) cache_hit: Option<bool>,
}

impl Draft<'_> {
    /// An empty draft that goes on with the memory and the keys of another's further scalars.
    pub(crate) fn with(mut extras: Extras) -> Self {
        extras.clear();
        Self { extras, ..Self::default() }
    }

    /// The decision and its layers, for those who want no row.
    pub(crate) fn into_parts(mut self) -> (Decision, Vec<LayerAttempt>) {
        self.extras.settle();
        let attempts = self.layers.iter().map(|layer| LayerAttempt {
            trace_id: self.trace_id.clone().into_owned(),
            timestamp: self.timestamp,
            layer_id: layer.layer_id,
            layer_name: layer.layer_name.clone().into_owned(),
            success: layer.success,
            confidence: layer.confidence,
            threshold: layer.threshold,
            selected_path: owned(&layer.selected_path),
            latency_ms: layer.latency_ms,
            backend: owned(&layer.backend),
            cache_hit: layer.cache_hit,
        });
        let attempts = attempts.collect();
        let decision = Decision {
            extras: self.extras.to_scalars(),
            trace_id: self.trace_id.into_owned(),
            timestamp: self.timestamp,
            query: self.query.into_owned(),
            query_id: self.query_id.into_owned(),
            session_id: owned(&self.session_id),
            user_id: owned(&self.user_id),
            path: self.path.into_owned(),
            static_path: owned(&self.static_path),
            propensity: self.propensity,
            propensities: self.propensities.0.into_iter().map(|(path, probability)| (path.into_owned(), probability)).collect(),
            candidates: self.candidates.into_iter().map(Cow::into_owned).collect(),
            policy_id: owned(&self.policy_id),
            explored: self.explored,
            tool_name: owned(&self.tool_name),
            confidence: self.confidence,
            query_type: owned(&self.query_type),
            complexity: owned(&self.complexity),
            success: self.success,
            latency_ms: self.latency_ms,
            error: owned(&self.error),
            tool_execution_time_ms: self.tool_execution_time_ms,
            llm_calls: self.llm_calls,
            cost: self.cost,
            user_feedback: owned(&self.user_feedback),
            response_length: self.response_length,
            hallucination_detected: self.hallucination_detected,
            quality_score: self.quality_score,
            optimal_path: owned(&self.optimal_path),
        };
        (decision, attempts)
    }
}

fn owned(text: &Option<Cow<'_, str>>) -> Option<String> {
    text.as_deref().map(str::to_owned)
}

/// Probabilities of paths, sorted by path; every path once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Propensities<'a>(Vec<(Cow<'a, str>, f64)>);

impl<'a> Propensities<'a> {
    /// Takes the probability of a path; the last one of a path counts.
    pub(crate) fn set(&mut self, path: Cow<'a, str>, probability: f64) {
        match self.0.binary_search_by(|(known, _)| known.cmp(&path)) {
            Ok(at) => self.0[at].1 = probability,
            Err(at) => self.0.insert(at, (path, probability)),
        }
    }

    /// The probability of a path.
    pub(crate) fn get(&self, path: &str) -> Option<f64> {
        self.0.iter().find(|(known, _)| known == path).map(|(_, probability)| *probability)
    }

    /// The sum, in the order of paths.
    pub(crate) fn sum(&self) -> f64 {
        self.0.iter().map(|(_, probability)| probability).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Vectors of propensities as JSON, of many records: a log has few of them, and numbers take long to write.
#[derive(Debug, Default)]
pub(crate) struct KnownVectors {
    known: Vec<KnownVector>,
    /// The one that is looked for.
    bytes: Vec<u8>,
}

/// A vector as bytes, and its JSON.
#[derive(Debug)]
struct KnownVector {
    bytes: Box<[u8]>,
    json: Box<[u8]>,
}

/// Vectors that are remembered.
const MAX_VECTORS: usize = 16;

impl KnownVectors {
    /// Propensities as JSON.
    pub(crate) fn json(&mut self, propensities: &Propensities<'_>) -> &[u8] {
        self.bytes.clear();
        for (path, probability) in &propensities.0 {
            put_bytes(path.as_bytes(), &mut self.bytes);
            self.bytes.extend_from_slice(&probability.to_le_bytes());
        }
        let is_it = |known: &KnownVector| known.bytes.len() == self.bytes.len() && begins_with(&known.bytes, &self.bytes);
        let at = match self.known.iter().position(is_it) {
            Some(known) => known,
            None => {
                if self.known.len() == MAX_VECTORS {
                    self.known.clear();
                }
                // An object of names and finite numbers can be written.
                let json = serde_json::to_vec(propensities).unwrap_or_default();
                self.known.push(KnownVector { bytes: self.bytes.as_slice().into(), json: json.into() });
                self.known.len() - 1
            }
        };
        &self.known[at].json
    }
}

impl Serialize for Propensities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().try_for_each(|(path, probability)| map.serialize_entry(path, probability))?;
        map.end()
    }
}

/// The further scalars of one record, encoded, with the table of all keys that were seen.
///
/// Most records of a log have keys in one of a few orders, so what was found out for the records before is looked at first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extras {
    /// Kind and value of each, one after the other.
    values: Vec<u8>,
    slots: Vec<ExtraSlot>,
    /// Keys whose values have no column.
    ignored: Vec<Key>,
    /// The dotted key that is being made.
    dotted: String,
    /// Parts of the records that were ended: every one has its own keys.
    part: u64,
    /// Every key of the records so far.
    pub(crate) keys: Keys,
    /// Every shape of the records so far.
    pub(crate) shapes: Shapes,
    /// Keys by the key that stood before them: the last one that did.
    followers: Vec<Option<(Box<str>, Key)>>,
    /// Place of the key that was made last.
    last: Option<u32>,
    /// Orders that keys came in, and the one at hand.
    layouts: Vec<Layout>,
    layout: usize,
    /// The shape that is being made.
    pairs: Vec<(u64, ExtraKind)>,
}

/// A dotted name that comes again and again, with the key that it has in the part of the records at hand.
pub(crate) struct DottedName {
    name: Box<str>,
    key: Option<(u64, Key)>,
}

impl DottedName {
    pub(crate) fn new(name: String) -> Self {
        Self { name: name.into(), key: None }
    }
}

#[derive(Clone, Copy, Debug)]
struct ExtraSlot {
    key: Key,
    start: u32,
    end: u32,
}

/// The order of rows for scalars that came in some order.
#[derive(Clone, Debug, Default)]
struct Layout {
    /// Place of the key and kind of every scalar as they came.
    came: Vec<(u32, u8)>,
    /// Positions of the scalars in the order of rows; of equal keys the last one's.
    order: Vec<u32>,
    /// Digest of the shape of what is known at the decision, and of what is not.
    shape: [u64; 2],
    /// Records of this layout that are not counted yet.
    n_records: u64,
}

/// Whether a key is `prefix.name`.
#[inline]
fn is_dotted(key: &str, prefix: &str, name: &str) -> bool {
    let (key, dot) = (key.as_bytes(), prefix.len());
    key.len() == dot + 1 + name.len()
        && key[dot] == b'.'
        && begins_with(&key[dot + 1..], name.as_bytes())
        && begins_with(key, prefix.as_bytes())
}

/// Layouts that are remembered.
const MAX_LAYOUTS: usize = 16;

impl Extras {
    fn clear(&mut self) {
        self.values.clear();
        self.slots.clear();
        self.ignored.clear();
        self.last = None;
    }

    /// Ends a part of the records: gives its keys and shapes, and begins new ones.
    pub(crate) fn take_seen(&mut self) -> (Keys, Shapes) {
        self.count();
        self.part += 1;
        self.followers.clear();
        (std::mem::take(&mut self.keys), std::mem::take(&mut self.shapes))
    }

    /// Counts the keys of the records of every layout, and forgets the layouts.
    fn count(&mut self) {
        for Layout { came, order, n_records, .. } in self.layouts.drain(..) {
            for (at, kind) in order.iter().filter_map(|position| came.get(*position as usize)) {
                self.keys.count(*at, *kind, n_records);
            }
        }
    }

    /// Takes every scalar and list of texts under `prefix.name`; the last of equal keys wins, null counts as absent.
    /// Keys of other lists are counted as ignored.
    pub(crate) fn take(&mut self, prefix: &str, name: &str, value: &Json<'_>) {
        match value {
            Json::Null => {}
            Json::Object(_) => {
                self.begin(prefix, name);
                self.take_dotted(value);
            }
            scalar => {
                let key = self.key_of(prefix, name);
                self.take_scalar(key, scalar);
            }
        }
    }

    /// Takes a number that was read already.
    pub(crate) fn take_number(&mut self, prefix: &str, name: &str, value: f64) {
        let key = self.key_of(prefix, name);
        self.put(key, ExtraKind::Number, |out| out.extend_from_slice(&value.to_le_bytes()));
    }

    /// Takes a text that was read already.
    pub(crate) fn take_text(&mut self, prefix: &str, name: &str, value: &str) {
        let key = self.key_of(prefix, name);
        self.put(key, ExtraKind::Text, |out| put_bytes(value.as_bytes(), out));
    }

    /// Counts a key whose value has no column.
    pub(crate) fn ignore(&mut self, prefix: &str, name: &str) {
        let key = self.key_of(prefix, name);
        self.ignored.push(key);
    }

    /// Takes a value that is no object under a dotted name.
    pub(crate) fn take_named(&mut self, name: &mut DottedName, value: &Json<'_>) {
        let key = self.key_named(name);
        self.take_scalar(key, value);
    }

    /// Counts a dotted name whose value has no column.
    pub(crate) fn ignore_named(&mut self, name: &mut DottedName) {
        let key = self.key_named(name);
        self.ignored.push(key);
    }

    fn key_named(&mut self, name: &mut DottedName) -> Key {
        match name.key {
            Some((part, key)) if part == self.part => key,
            _ => {
                let key = self.keys.key(&name.name);
                name.key = Some((self.part, key));
                key
            }
        }
    }

    fn begin(&mut self, prefix: &str, name: &str) {
        self.dotted.clear();
        self.dotted.push_str(prefix);
        self.dotted.push('.');
        self.dotted.push_str(name);
    }

    /// Takes what stands under the dotted key that was begun.
    fn take_dotted(&mut self, value: &Json<'_>) {
        match value {
            Json::Null => {}
            Json::Object(pairs) => {
                let length = self.dotted.len();
                for (name, value) in *pairs {
                    self.dotted.push('.');
                    self.dotted.push_str(name);
                    self.take_dotted(value);
                    self.dotted.truncate(length);
                }
            }
            scalar => {
                let key = self.key();
                self.take_scalar(key, scalar);
            }
        }
    }

    fn take_scalar(&mut self, key: Key, value: &Json<'_>) {
        match value {
            Json::Bool(value) => self.put(key, ExtraKind::Bool, |out| out.push(u8::from(*value))),
            Json::Integer(value) => self.put(key, ExtraKind::Number, |out| out.extend_from_slice(&(*value as f64).to_le_bytes())),
            Json::Number(value) => self.put(key, ExtraKind::Number, |out| out.extend_from_slice(&value.to_le_bytes())),
            Json::Text(text) => self.put(key, ExtraKind::Text, |out| put_bytes(text.as_bytes(), out)),
            Json::List(items) if items.iter().all(|item| matches!(item, Json::Text(_))) => {
                let texts = items.iter().filter_map(|item| if let Json::Text(text) = item { Some(*text) } else { None });
                self.put(key, ExtraKind::List, |out| put_texts(items.len(), texts, out));
            }
            Json::List(_) => self.ignored.push(key),
            Json::Null | Json::Object(_) => {}
        }
    }

    fn put(&mut self, key: Key, kind: ExtraKind, put: impl FnOnce(&mut Vec<u8>)) {
        let start = self.values.len();
        self.values.push(kind as u8);
        put(&mut self.values);
        // A record is far smaller than 4 GiB: `RecordLimits`.
        self.slots.push(ExtraSlot { key, start: start as u32, end: self.values.len() as u32 });
    }

    /// The key `prefix.name`, which is only made where another one was expected.
    fn key_of(&mut self, prefix: &str, name: &str) -> Key {
        let before = self.last.map_or(0, |at| at as usize + 1);
        if let Some(Some((known, key))) = self.followers.get(before)
            && is_dotted(known, prefix, name)
        {
            self.last = Some(key.at);
            return *key;
        }
        self.begin(prefix, name);
        self.key()
    }

    /// The key that was begun.
    fn key(&mut self) -> Key {
        let before = self.last.map_or(0, |at| at as usize + 1);
        let key = match self.followers.get(before) {
            Some(Some((name, key))) if is_same(name, &self.dotted) => *key,
            _ => {
                let key = self.keys.key(&self.dotted);
                if self.followers.len() <= before {
                    self.followers.resize(before + 1, None);
                }
                self.followers[before] = Some((self.dotted.as_str().into(), key));
                key
            }
        };
        self.last = Some(key.at);
        key
    }

    /// Brings the scalars into the order of rows, and counts them and what was ignored.
    pub(crate) fn settle(&mut self) {
        self.ignored.iter().for_each(|key| self.keys.count_ignored(*key));
        let came = self.slots.iter().map(|slot| (slot.key.at, self.values[slot.start as usize]));
        let is_known = |layout: &Layout| came.clone().eq(layout.came.iter().copied());
        if !self.layouts.get(self.layout).is_some_and(is_known) {
            self.layout = match self.layouts.iter().position(is_known) {
                Some(known) => known,
                None => {
                    let came = came.collect();
                    if self.layouts.len() == MAX_LAYOUTS {
                        self.count();
                    }
                    let layout = self.lay_out(came);
                    self.layouts.push(layout);
                    self.layouts.len() - 1
                }
            };
        }
        self.layouts[self.layout].n_records += 1;
    }

    fn lay_out(&mut self, came: Vec<(u32, u8)>) -> Layout {
        let mut order: Vec<u32> = (0..self.slots.len() as u32).collect();
        let digest = |position: u32| self.slots[position as usize].key.digest;
        order.sort_by_key(|position| digest(*position));
        // Of equal keys the last one stays.
        order.dedup_by(|next, kept| {
            let is_same = digest(*next) == digest(*kept);
            if is_same {
                *kept = *next;
            }
            is_same
        });
        let mut shape = [0; 2];
        for (shape, at_decision) in shape.iter_mut().zip([true, false]) {
            self.pairs.clear();
            let chosen = order.iter().map(|position| self.slots[*position as usize]).filter(|slot| slot.key.at_decision == at_decision);
            self.pairs.extend(chosen.map(|slot| (slot.key.digest, kind_of(self.values[slot.start as usize]))));
            *shape = self.shapes.digest(&self.pairs);
        }
        Layout { came, order, shape, n_records: 0 }
    }

    /// Digest of the shape of the settled scalars that are known at the decision, or of those that are not.
    pub(crate) fn shape(&self, at_decision: bool) -> u64 {
        self.layouts.get(self.layout).map_or(0, |layout| layout.shape[usize::from(!at_decision)])
    }

    /// The values of the settled scalars that are known at the decision, or of those that are not, as bytes.
    pub(crate) fn known(&self, at_decision: bool) -> impl Iterator<Item = &[u8]> {
        let chosen = self.settled().filter(move |slot| slot.key.at_decision == at_decision);
        chosen.map(|slot| &self.values[slot.start as usize + 1..slot.end as usize])
    }

    fn settled(&self) -> impl Iterator<Item = ExtraSlot> {
        let order = self.layouts.get(self.layout).map_or(&[][..], |layout| &layout.order);
        order.iter().filter_map(|position| self.slots.get(*position as usize).copied())
    }

    /// The settled scalars by key.
    fn to_scalars(&self) -> BTreeMap<String, Scalar> {
        let scalars = self.settled().filter_map(|slot| {
            let mut input = Input(&self.values[slot.start as usize..slot.end as usize]);
            let scalar = match kind_of(input.byte()) {
                ExtraKind::Bool => Scalar::Bool(input.byte() == 1),
                ExtraKind::Number => Scalar::Number(input.number()),
                ExtraKind::Text => Scalar::Text(input.text().to_owned()),
                ExtraKind::List => Scalar::List(input.texts().map(str::to_owned).collect()),
            };
            Some((self.keys.name(slot.key.digest)?.to_owned(), scalar))
        });
        scalars.collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_dotted_key_is_known_by_its_parts(key in "[ab.]{0,9}", prefix in "[ab.]{0,4}", name in "[ab.]{0,4}") {
            let whole = format!("{prefix}.{name}");
            prop_assert!(is_dotted(&whole, &prefix, &name));
            prop_assert_eq!(is_dotted(&key, &prefix, &name), key == whole);
        }

        #[test]
        fn vectors_that_are_remembered_are_written_as_they_would_be(vectors in prop::collection::vec(prop::collection::vec(("[ab\"é]{0,2}", 0..4_u8), 0..4), 0..60)) {
            let mut known = KnownVectors::default();
            for vector in vectors {
                let mut propensities = Propensities::default();
                vector.iter().for_each(|(path, share)| propensities.set(path.as_str().into(), f64::from(*share) / 3.0));
                prop_assert_eq!(known.json(&propensities), serde_json::to_vec(&propensities).unwrap());
            }
        }
    }
}
