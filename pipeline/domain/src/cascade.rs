//! The events of a routing cascade, in the compact form that analyses scan: rows of numbers, names once.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use crate::{Decision, LayerAttempt, Scalar, Timestamp};

/// A text of a [`CascadeLog`]: a layer, a path, a group or a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(u32);

/// One routed query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CascadeEvent {
    /// Identifies the event: [`event_id`] of the decision's `trace_id`.
    pub id: u64,
    /// When it was routed.
    pub timestamp: Timestamp,
    /// The path that ran.
    pub path: Name,
    /// The path that would have been right, where somebody knows it.
    pub right_path: Option<Name>,
    /// Whether the path was right; `None` while nobody said.
    pub right: Option<bool>,
    /// Whether the query's task succeeded; `None` while pending.
    pub success: Option<bool>,
    /// Time to the decision, in milliseconds.
    pub latency_ms: Option<f64>,
    /// The layer whose answer was taken, where the log names it.
    pub settled_by: Option<Name>,
    /// Group of a randomised test.
    pub group: Option<Name>,
    /// What served the path: a backend or tool.
    pub backend: Option<Name>,
    /// Whether a cache answered.
    pub cache_hit: Option<bool>,
    first: u32,
    n_attempts: u32,
}

/// One layer that was asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CascadeAttempt {
    /// Its layer.
    pub layer: Name,
    /// The layer's position in the cascade, from 1.
    pub position: i64,
    /// Whether its answer was taken.
    pub taken: Option<bool>,
    /// Its confidence, in [0, 1].
    pub confidence: f64,
    /// Threshold that the confidence was compared with.
    pub threshold: Option<f64>,
    /// The path it would have taken.
    pub path: Option<Name>,
    /// Time spent in it, in milliseconds.
    pub latency_ms: Option<f64>,
    /// What served it.
    pub backend: Option<Name>,
    /// Whether a cache answered.
    pub cache_hit: Option<bool>,
}

/// Texts by number.
#[derive(Clone, Debug, Default)]
pub struct Names {
    texts: Vec<String>,
    by_text: BTreeMap<String, Name>,
}

/// Names that are looked up by comparing before the map is asked: a log has few, and the first ones are the frequent ones.
const COMPARED: usize = 24;

impl Names {
    /// The number of a text, a new one where it is new.
    pub fn name_of(&mut self, text: &str) -> Name {
        if let Some(position) = self.texts.iter().take(COMPARED).position(|known| known == text) {
            return Name(position as u32);
        }
        if let Some(name) = self.by_text.get(text) {
            return *name;
        }
        let name = Name(self.texts.len() as u32);
        self.texts.push(text.to_owned());
        self.by_text.insert(text.to_owned(), name);
        name
    }

    /// The numbers of all texts of another log here, in the order of their numbers there.
    pub fn adopt(&mut self, other: &Self) -> Adopted {
        Adopted(other.texts.iter().map(|text| self.name_of(text)).collect())
    }

    /// The number of a text that is known.
    pub fn find(&self, text: &str) -> Option<Name> {
        self.by_text.get(text).copied()
    }

    /// The text of a name; empty for a name of another log.
    pub fn text(&self, name: Name) -> &str {
        self.texts.get(name.0 as usize).map_or("", String::as_str)
    }
}

/// What the names of one log are called in another.
#[derive(Clone, Debug, Default)]
pub struct Adopted(Vec<Name>);

impl Adopted {
    /// An event with its names as the other log has them.
    pub fn event(&self, event: CascadeEvent) -> CascadeEvent {
        CascadeEvent {
            path: self.of(event.path),
            right_path: event.right_path.map(|name| self.of(name)),
            settled_by: event.settled_by.map(|name| self.of(name)),
            group: event.group.map(|name| self.of(name)),
            backend: event.backend.map(|name| self.of(name)),
            ..event
        }
    }

    /// A layer's attempt with its names as the other log has them.
    pub fn attempt(&self, attempt: CascadeAttempt) -> CascadeAttempt {
        CascadeAttempt {
            layer: self.of(attempt.layer),
            path: attempt.path.map(|name| self.of(name)),
            backend: attempt.backend.map(|name| self.of(name)),
            ..attempt
        }
    }

    /// A name of a third log stays what it is: it has no text here either.
    fn of(&self, name: Name) -> Name {
        self.0.get(name.0 as usize).copied().unwrap_or(name)
    }
}

/// Events in the order of time, each with the layers that were asked, in the order they were asked.
#[derive(Clone, Debug, Default)]
pub struct CascadeLog {
    names: Names,
    events: Vec<CascadeEvent>,
    attempts: Vec<CascadeAttempt>,
    /// Events by id; made when an event may have to be replaced.
    by_id: Option<HashMap<u64, Timestamp>>,
}

impl CascadeLog {
    /// The names of layers, paths, groups and backends.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The names, for adding some.
    pub fn names_mut(&mut self) -> &mut Names {
        &mut self.names
    }

    /// The text of a name.
    pub fn text(&self, name: Name) -> &str {
        self.names.text(name)
    }

    /// The events, in the order of time.
    pub fn events(&self) -> &[CascadeEvent] {
        &self.events
    }

    /// Positions of the events from one moment to before another.
    pub fn between(&self, from: Timestamp, to: Timestamp) -> Range<usize> {
        let at = |moment: Timestamp| self.events.partition_point(|event| event.timestamp < moment);
        let start = at(from);
        start..at(to).max(start)
    }

    /// The layers that were asked for an event, in that order.
    pub fn attempts(&self, event: &CascadeEvent) -> &[CascadeAttempt] {
        let first = event.first as usize;
        self.attempts.get(first..first + event.n_attempts as usize).unwrap_or_default()
    }

    /// Adds an event in the place that its time gives it. `event` needs no layers; `attempts` are in the order they were asked.
    pub fn push(&mut self, mut event: CascadeEvent, attempts: impl IntoIterator<Item = CascadeAttempt>) {
        let first = self.attempts.len();
        self.attempts.extend(attempts);
        event.first = first as u32;
        event.n_attempts = (self.attempts.len() - first) as u32;
        if let Some(by_id) = &mut self.by_id {
            by_id.insert(event.id, event.timestamp);
        }
        match self.events.last() {
            Some(last) if event.timestamp < last.timestamp => {
                let at = self.events.partition_point(|other| other.timestamp <= event.timestamp);
                self.events.insert(at, event);
            }
            _ => self.events.push(event),
        }
    }

    /// Adds a decision with its layers, or puts it in the place of one with the same id: later lines of a log bring outcomes.
    pub fn put(&mut self, decision: &Decision, layers: &[LayerAttempt]) {
        let event = self.event_of(decision);
        let attempts: Vec<CascadeAttempt> = layers.iter().map(|layer| self.attempt_of(layer)).collect();
        self.replace(event, &attempts);
    }

    /// Adds the events of a log that was read after this one, each as [`Self::put`] does.
    pub fn append(&mut self, later: &Self) {
        let adopted = self.names.adopt(&later.names);
        let mut attempts = Vec::new();
        for event in &later.events {
            attempts.clear();
            attempts.extend(later.attempts(event).iter().map(|attempt| adopted.attempt(*attempt)));
            self.replace(adopted.event(*event), &attempts);
        }
    }

    /// Adds an event, or puts it in the place of the one with the same id.
    fn replace(&mut self, mut event: CascadeEvent, attempts: &[CascadeAttempt]) {
        let events = &self.events;
        let by_id = self.by_id.get_or_insert_with(|| events.iter().map(|event| (event.id, event.timestamp)).collect());
        if let Some(timestamp) = by_id.get(&event.id).copied() {
            let same_time = self.between(timestamp, Timestamp(timestamp.0.saturating_add(1)));
            if let Some(at) = self.events[same_time.clone()].iter().position(|other| other.id == event.id) {
                let at = same_time.start + at;
                if timestamp == event.timestamp {
                    // Nothing else moves: a log may replace every event.
                    (event.first, event.n_attempts) = (self.attempts.len() as u32, attempts.len() as u32);
                    self.attempts.extend(attempts);
                    self.events[at] = event;
                    return;
                }
                self.events.remove(at);
            }
        }
        self.push(event, attempts.iter().copied());
    }

    fn event_of(&mut self, decision: &Decision) -> CascadeEvent {
        let path = self.names.name_of(&decision.path);
        let right_path = decision.optimal_path.as_deref().map(|text| self.names.name_of(text));
        let told =
            WAS_RIGHT.iter().find_map(|key| if let Some(Scalar::Bool(right)) = decision.extras.get(*key) { Some(*right) } else { None });
        let text_of = |keys: &[&str]| {
            let extras = decision.extras.iter().filter(|(key, _)| keys.contains(&last_part(key)));
            extras.filter_map(|(_, value)| if let Scalar::Text(text) = value { Some(text.as_str()) } else { None }).next()
        };
        let hit = decision.extras.iter().filter(|(key, _)| CACHE_HIT.contains(&last_part(key)));
        let cache_hit = hit.filter_map(|(_, value)| if let Scalar::Bool(hit) = value { Some(*hit) } else { None }).next();
        let settled_by = match decision.extras.get(SETTLED_BY) {
            Some(Scalar::Text(layer)) => Some(self.names.name_of(layer)),
            _ => None,
        };
        let group = text_of(GROUP).map(|text| self.names.name_of(text));
        let backend = text_of(BACKEND).or(decision.tool_name.as_deref()).map(|text| self.names.name_of(text));
        CascadeEvent {
            right: right(told, path, right_path),
            settled_by,
            group,
            backend,
            cache_hit,
            ..CascadeEvent::new(event_id(&decision.trace_id), decision.timestamp, path, right_path, decision.success, decision.latency_ms)
        }
    }

    fn attempt_of(&mut self, layer: &LayerAttempt) -> CascadeAttempt {
        let named = |names: &mut Names, text: &Option<String>| text.as_deref().map(|text| names.name_of(text));
        CascadeAttempt {
            layer: self.names.name_of(&layer.layer_name),
            position: layer.layer_id,
            taken: layer.success,
            confidence: layer.confidence,
            threshold: layer.threshold,
            path: named(&mut self.names, &layer.selected_path),
            latency_ms: layer.latency_ms,
            backend: named(&mut self.names, &layer.backend),
            cache_hit: layer.cache_hit,
        }
    }
}

impl CascadeEvent {
    /// An event without layers; right where the path that ran is the right one.
    pub fn new(
        id: u64,
        timestamp: Timestamp,
        path: Name,
        right_path: Option<Name>,
        success: Option<bool>,
        latency_ms: Option<f64>,
    ) -> Self {
        Self {
            id,
            timestamp,
            path,
            right_path,
            right: right(None, path, right_path),
            success,
            latency_ms,
            settled_by: None,
            group: None,
            backend: None,
            cache_hit: None,
            first: 0,
            n_attempts: 0,
        }
    }

    /// Takes in what the log itself says about the path being right; a right path that is known says more.
    pub fn with_verdict(mut self, told: Option<bool>) -> Self {
        self.right = right(told, self.path, self.right_path);
        self
    }
}

/// Further scalars that say whether the path was right, the most direct first.
pub const WAS_RIGHT: &[&str] = &["outcome.was_correct_master", "learning_feedback.correct_routing"];
/// The further scalar that names the layer whose answer was taken.
pub const SETTLED_BY: &str = "final_decision.routing_layer";
/// Last parts of the further scalars that name the group of a randomised test.
pub const GROUP: &[&str] = &["ab_test_group", "experiment_group"];
/// Last parts of the further scalars that name what served a path.
pub const BACKEND: &[&str] = &["backend"];
/// Last parts of the further scalars that say whether a cache answered.
pub const CACHE_HIT: &[&str] = &["cache_hit", "from_cache"];

/// The part of a dotted key after its last dot.
pub fn last_part(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// Whether a path was right: by the right path where that is known, else as the log says.
fn right(told: Option<bool>, path: Name, right_path: Option<Name>) -> Option<bool> {
    right_path.map(|right| right == path).or(told)
}

/// The number that stands for an identifier: its 64-bit FNV-1a hash.
pub fn event_id(trace_id: &str) -> u64 {
    trace_id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(id: &str, at: i64, right: Option<&str>) -> Decision {
        Decision {
            trace_id: id.into(),
            timestamp: Timestamp(at),
            path: "a".into(),
            optimal_path: right.map(str::to_owned),
            ..Decision::default()
        }
    }

    fn layer(name: &str, position: i64) -> LayerAttempt {
        LayerAttempt { layer_name: name.into(), layer_id: position, confidence: 0.5, ..LayerAttempt::default() }
    }

    #[test]
    fn events_stand_in_the_order_of_time_with_their_layers() {
        let mut log = CascadeLog::default();
        log.put(&decision("2", 20, None), &[layer("one", 1), layer("two", 2)]);
        log.put(&decision("1", 10, Some("a")), &[layer("one", 1)]);
        log.put(&decision("3", 30, Some("b")), &[]);
        let shown: Vec<(i64, Option<bool>, Vec<&str>)> = log
            .events()
            .iter()
            .map(|event| (event.timestamp.0, event.right, log.attempts(event).iter().map(|attempt| log.text(attempt.layer)).collect()))
            .collect();
        assert_eq!(shown, [(10, Some(true), vec!["one"]), (20, None, vec!["one", "two"]), (30, Some(false), vec![])]);
        assert_eq!(log.between(Timestamp(10), Timestamp(30)), 0..2);
    }

    #[test]
    fn a_later_line_of_an_event_takes_the_place_of_the_earlier() {
        let mut log = CascadeLog::default();
        log.put(&decision("1", 10, None), &[layer("one", 1)]);
        log.put(&decision("2", 20, None), &[]);
        log.put(&decision("1", 10, Some("b")), &[layer("one", 1)]);
        assert_eq!(log.events().len(), 2);
        assert_eq!(log.events()[0].right, Some(false));
    }

    #[test]
    fn a_log_that_is_appended_adds_and_replaces_events_whatever_its_names_are_called() {
        let mut log = CascadeLog::default();
        log.put(&decision("1", 10, None), &[layer("one", 1)]);
        log.put(&decision("2", 20, None), &[layer("two", 2)]);
        let mut later = CascadeLog::default();
        later.put(&decision("3", 15, Some("c")), &[layer("two", 2), layer("one", 1)]);
        later.put(&decision("1", 10, Some("b")), &[layer("three", 3)]);
        log.append(&later);
        let shown: Vec<(i64, Option<&str>, Vec<&str>)> = log
            .events()
            .iter()
            .map(|event| {
                let layers = log.attempts(event).iter().map(|attempt| log.text(attempt.layer)).collect();
                (event.timestamp.0, event.right_path.map(|path| log.text(path)), layers)
            })
            .collect();
        assert_eq!(shown, [(10, Some("b"), vec!["three"]), (15, Some("c"), vec!["two", "one"]), (20, None, vec!["two"])]);
    }

    #[test]
    fn many_events_that_are_replaced_move_no_other() {
        let mut log = CascadeLog::default();
        (0..2_000).for_each(|at| log.put(&decision(&at.to_string(), at / 10, None), &[]));
        let ids: Vec<u64> = log.events().iter().map(|event| event.id).collect();
        (0..2_000).rev().for_each(|at| log.put(&decision(&at.to_string(), at / 10, Some("a")), &[layer("one", 1)]));
        let events = log.events();
        assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), ids, "also of those of one moment");
        assert!(events.iter().all(|event| event.right == Some(true) && log.attempts(event).len() == 1));
    }

    #[test]
    fn what_a_reviewer_said_counts_before_what_the_log_says() {
        let mut told = decision("1", 10, None);
        told.extras.insert("outcome.was_correct_master".into(), Scalar::Bool(false));
        let mut log = CascadeLog::default();
        log.put(&told, &[]);
        told.optimal_path = Some("a".into());
        told.trace_id = "2".into();
        log.put(&told, &[]);
        assert_eq!([log.events()[0].right, log.events()[1].right], [Some(false), Some(true)]);
    }

    #[test]
    fn an_id_is_its_fnv_hash() {
        // Reference values of the FNV-1a specification (Fowler, Noll, Vo), 64 bits.
        assert_eq!(
            [event_id(""), event_id("a"), event_id("foobar")],
            [0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c, 0x8594_4171_f739_67e8]
        );
    }
}
