//! How a record becomes a decision: a format names the keys it knows and what becomes of their values, everything else is a further scalar.

use std::borrow::Cow;
use std::fmt;

use routewright_domain::{Propensity, Timestamp};

use super::fields::{NumberRange, count, flag, name, names, number, object, one_of, record, text, timestamp, wrong_type};
use crate::draft::{Draft, Extras, LayerDraft};
use crate::json::Json;
use crate::reason::{Reason, Rejection};

/// A key that a format knows, and what becomes of its value.
pub(crate) type Field = (&'static str, Take);

/// What becomes of a value.
#[derive(Clone, Copy)]
pub(crate) enum Take {
    /// Text.
    Text(TextSlot),
    /// Text that identifies something, so that it must not be empty.
    Name(TextSlot),
    /// One of some words.
    OneOf(&'static [&'static str], TextSlot),
    /// A number in a range.
    Number(NumberRange, for<'r> fn(&'r mut Reading<'_>) -> &'r mut Option<f64>),
    /// A whole number of 0 or more.
    Count(for<'r> fn(&'r mut Reading<'_>) -> &'r mut Option<i64>),
    /// True or false.
    Flag(for<'r> fn(&'r mut Reading<'_>) -> &'r mut Option<bool>),
    /// A time.
    Time,
    /// The paths that could have run.
    Candidates,
    /// Something else.
    Value(for<'a> fn(&mut Reading<'a>, &Json<'a>) -> Result<(), Rejection>),
    /// An object, whose keys have fields of their own; every other one is a further scalar under this dotted name.
    Object(&'static str, &'static [Field]),
    /// The list of a cascade's layers, each of them an object; keys without a field are ignored.
    Layers(&'static [Field]),
}

/// Where a text goes.
pub(crate) type TextSlot = for<'r, 'a> fn(&'r mut Reading<'a>) -> &'r mut Option<Cow<'a, str>>;

/// Dotted name of the keys that stand beside each other at a record's top.
pub(crate) const TOP: &str = "log";
/// Name of the list of layers, and of what is ignored in it.
pub(crate) const LAYERS: &str = "routing_layers";

/// What is known of a record while it is read: the decision, and what becomes a part of it only when everything is read.
#[derive(Debug, Default)]
pub(crate) struct Reading<'a> {
    pub(crate) draft: Draft<'a>,
    pub(super) trace_id: Option<Cow<'a, str>>,
    pub(super) timestamp: Option<Timestamp>,
    pub(super) query: Option<Cow<'a, str>>,
    pub(super) query_id: Option<Cow<'a, str>>,
    pub(super) path: Option<Cow<'a, str>>,
    pub(super) propensity: Option<Propensity>,
    /// Kind of query among its features, for logs whose stage 1 says none, and its category where there is no kind.
    pub(super) logged_type: Option<Cow<'a, str>>,
    pub(super) category: Option<Cow<'a, str>>,
    pub(super) outcome: Outcome<'a>,
    pub(super) method: Option<Cow<'a, str>>,
    pub(super) group: Option<Cow<'a, str>>,
    /// Whether the list of layers was read, and the layer at hand.
    pub(crate) has_layers: bool,
    pub(super) layer: LayerReading<'a>,
}

/// What a cascade's outcome says, before it becomes success.
#[derive(Debug, Default)]
pub(super) struct Outcome<'a> {
    pub(super) completed: Option<bool>,
    pub(super) status: Option<Cow<'a, str>>,
    pub(super) correct: Option<bool>,
    pub(super) corrected_to: Option<Cow<'a, str>>,
}

/// The layer at hand.
#[derive(Debug, Default)]
pub(super) struct LayerReading<'a> {
    /// Its place in the list.
    pub(super) position: usize,
    pub(super) draft: LayerDraft<'a>,
    pub(super) layer_id: Option<i64>,
    pub(super) layer_name: Option<Cow<'a, str>>,
    pub(super) attempted: Option<bool>,
    pub(super) confidence: Option<f64>,
}

impl<'a> Reading<'a> {
    /// Nothing is known yet; goes on with the memory and the keys of another's further scalars.
    pub(crate) fn with(extras: Extras) -> Self {
        Self { draft: Draft::with(extras), ..Self::default() }
    }

    /// Takes a record's values. Of equal keys the last one counts.
    pub(super) fn take_record(&mut self, fields: &[Field], value: &Json<'a>) -> Result<(), Rejection> {
        self.take_pairs(TOP, fields, record(value)?)
    }

    fn take_pairs(&mut self, prefix: &str, fields: &[Field], pairs: &'a [(&'a str, Json<'a>)]) -> Result<(), Rejection> {
        for (at, (key, value)) in pairs.iter().enumerate() {
            let is_last = || pairs[at + 1..].iter().all(|(other, _)| other != key);
            match field(fields, key) {
                Some(Take::Object(dotted, fields)) if is_last() => self.take_pairs(dotted, fields, object(dotted, value)?)?,
                Some(Take::Layers(fields)) if is_last() => self.take_layers(fields, value)?,
                Some(Take::Object(..) | Take::Layers(_)) => {}
                Some(take) => self.take(take, &Key { prefix, position: None, name: key }, value)?,
                None => self.draft.extras.take(prefix, key, value),
            }
        }
        Ok(())
    }

    fn take_layers(&mut self, fields: &[Field], value: &Json<'a>) -> Result<(), Rejection> {
        let Json::List(items) = value else { return Err(wrong_type(LAYERS, "a list", value)) };
        self.has_layers = true;
        for (position, item) in items.iter().enumerate() {
            self.begin_layer(position);
            for (key, value) in object(format_args!("{LAYERS}[{position}]"), item)? {
                match field(fields, key) {
                    Some(take) => self.take(take, &Key { prefix: LAYERS, position: Some(position), name: key }, value)?,
                    None => self.draft.extras.ignore(LAYERS, key),
                }
            }
            self.end_layer()?;
        }
        Ok(())
    }

    /// Takes a value, unless others stand in it that are taken one by one. `key`: as messages name it.
    ///
    /// # Errors
    /// Why it cannot be what it should be.
    #[inline]
    pub(crate) fn take(&mut self, take: Take, key: &Key<'_>, value: &Json<'a>) -> Result<(), Rejection> {
        match take {
            Take::Text(slot) => *slot(self) = text(key, value)?,
            Take::Name(slot) => *slot(self) = name(key, value)?,
            Take::OneOf(words, slot) => *slot(self) = one_of(key, value, words)?,
            Take::Number(range, slot) => *slot(self) = number(key, value, range)?,
            Take::Count(slot) => *slot(self) = count(key, value)?,
            Take::Flag(slot) => *slot(self) = flag(key, value)?,
            Take::Time => self.timestamp = timestamp(key, value)?,
            Take::Candidates => names(key, value, &mut self.draft.candidates)?,
            Take::Value(take) => take(self, value)?,
            Take::Object(..) | Take::Layers(_) => {}
        }
        Ok(())
    }

    /// Begins the layer at a place of the list.
    pub(crate) fn begin_layer(&mut self, position: usize) {
        self.has_layers = true;
        self.layer = LayerReading { position, ..LayerReading::default() };
    }

    /// Ends the layer at hand: it is one of the decision's where it was attempted.
    ///
    /// # Errors
    /// What it lacks.
    pub(crate) fn end_layer(&mut self) -> Result<(), Rejection> {
        let layer = std::mem::take(&mut self.layer);
        let attempted = layer.attempted;
        let draft = layer.finish()?;
        if attempted == Some(true) {
            self.draft.layers.push(draft);
        }
        Ok(())
    }
}

impl<'a> LayerReading<'a> {
    fn finish(self) -> Result<LayerDraft<'a>, Rejection> {
        let Self { position, draft, layer_id, layer_name, attempted, confidence } = self;
        let key = |name| Key { prefix: LAYERS, position: Some(position), name };
        let missing = |name| Rejection::missing(&key(name).to_string());
        let layer_id = layer_id.ok_or_else(|| missing("layer_id"))?;
        let layer_name = layer_name.ok_or_else(|| missing("layer_name"))?;
        let confidence = confidence.ok_or_else(|| missing("confidence"))?;
        attempted.ok_or_else(|| missing("attempted"))?;
        if layer_id < 1 {
            let message = format!("`{}` must be 1 or more, found {layer_id}", key("layer_id"));
            return Err(Rejection::new(Reason::NumberOutOfRange, message));
        }
        Ok(LayerDraft { layer_id, layer_name, confidence, ..draft })
    }
}

/// A key as messages name it, written only where one needs it.
pub(crate) struct Key<'k> {
    /// The dotted name of the object that it stands in.
    pub(crate) prefix: &'k str,
    /// That object's place in a list.
    pub(crate) position: Option<usize>,
    pub(crate) name: &'k str,
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key { prefix: TOP, name, .. } => write!(out, "{name}"),
            Key { prefix, position: None, name } => write!(out, "{prefix}.{name}"),
            Key { prefix, position: Some(position), name } => write!(out, "{prefix}[{position}].{name}"),
        }
    }
}

/// What becomes of a key's value, where the fields have the key.
#[inline]
pub(crate) fn field(fields: &[Field], key: &str) -> Option<Take> {
    fields.iter().find(|(name, _)| *name == key).map(|(_, take)| *take)
}
