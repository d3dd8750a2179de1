//! The constraints of `schemas/cortex-event.schema.json`, checked by hand: a fraction of what a general validator costs.
//!
//! A test compares both on damaged events. Masters are those that the cascade's schema or its configuration lists.

use self::Need::{Optional, Required};
use crate::bytes::is_same;
use crate::json::{Json, quote};
use crate::reason::{Reason, Rejection};

/// What a value must be.
pub(crate) enum Rule {
    /// Text.
    Text,
    /// Text or null.
    TextOrNull,
    /// Text of a shape: its name, and whether a text has it.
    Shape(&'static str, fn(&str) -> bool),
    /// One of several texts.
    OneOf(&'static [&'static str]),
    /// True or false.
    Flag,
    /// True, false or null.
    FlagOrNull,
    /// A number in a range.
    Number(f64, f64),
    /// A number in a range, or null.
    NumberOrNull(f64, f64),
    /// A whole number in a range.
    Whole(f64, f64),
    /// An object: its known keys, at most [`MOST_KEYS`].
    Object(&'static [Known]),
    /// A list of values that all follow one rule.
    List(&'static Rule),
}

/// A key of an object, whether it must be there, and the rule of its value.
pub(crate) type Known = (&'static str, Need, Rule);

/// Whether a key must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    Optional,
}

/// Known keys of the largest object.
const MOST_KEYS: usize = 10;

const LAYERS: &[&str] = &["keyword", "semantic", "rag", "pytorch", "clarification"];
const MASTERS: &[&str] =
    &["development-master", "security-master", "inventory-master", "cicd-master", "resource-manager", "coordinator-master"];
const SHARE: Rule = Rule::Number(0.0, 1.0);
const DURATION: Rule = Rule::Number(0.0, f64::INFINITY);

const LAYER: Rule = Rule::Object(&[
    ("layer_id", Required, Rule::Whole(1.0, 5.0)),
    ("layer_name", Required, Rule::OneOf(LAYERS)),
    ("attempted", Required, Rule::Flag),
    ("success", Optional, Rule::Flag),
    ("confidence", Required, SHARE),
    ("threshold", Optional, SHARE),
    ("selected_master", Optional, Rule::TextOrNull),
    ("latency_ms", Optional, DURATION),
    ("metadata", Optional, Rule::Object(&[])),
]);

const METADATA: Rule = Rule::Object(&[
    ("priority", Optional, Rule::OneOf(&["low", "medium", "high", "critical"])),
    ("source", Optional, Rule::Text),
    ("user_id", Optional, Rule::Text),
]);

const DECISION: Rule = Rule::Object(&[
    ("selected_master", Required, Rule::OneOf(MASTERS)),
    ("routing_layer", Required, Rule::OneOf(LAYERS)),
    ("confidence", Required, SHARE),
    ("all_probabilities", Optional, Rule::Object(&[])),
]);

const OUTCOME: Rule = Rule::Object(&[
    ("task_completed", Optional, Rule::Flag),
    ("task_status", Optional, Rule::OneOf(super::STATUSES)),
    ("was_correct_master", Optional, Rule::FlagOrNull),
    ("user_corrected_to", Optional, Rule::TextOrNull),
    ("completion_time_minutes", Optional, Rule::NumberOrNull(f64::NEG_INFINITY, f64::INFINITY)),
    ("quality_score", Optional, Rule::NumberOrNull(0.0, 1.0)),
]);

const FEEDBACK: Rule = Rule::Object(&[
    ("correct_routing", Optional, Rule::Flag),
    ("should_have_routed_to", Optional, Rule::TextOrNull),
    ("layer_should_have_caught", Optional, Rule::TextOrNull),
    ("threshold_too_high", Optional, Rule::Flag),
    ("threshold_too_low", Optional, Rule::Flag),
]);

/// An event.
pub(crate) static EVENT: Rule = Rule::Object(&[
    ("event_id", Required, Rule::Shape("route-<date>-<time>-<8 hexadecimal digits>", is_event_id)),
    ("timestamp", Required, Rule::Text),
    ("task_id", Optional, Rule::Text),
    ("task_description", Required, Rule::Text),
    ("task_metadata", Optional, METADATA),
    ("routing_layers", Required, Rule::List(&LAYER)),
    ("final_decision", Required, DECISION),
    ("total_latency_ms", Required, DURATION),
    ("outcome", Optional, OUTCOME),
    ("learning_feedback", Optional, FEEDBACK),
]);

impl Rule {
    /// Checks a record.
    ///
    /// # Errors
    /// The first constraint that is not kept, with its key.
    pub(crate) fn check(&self, record: &Json<'_>) -> Result<(), Rejection> {
        follow(self, record, "")
    }

    /// The rule of what stands under a key of an object.
    pub(crate) fn of_key(&self, key: &str) -> Option<&Self> {
        match self {
            Rule::Object(known) => known.iter().find(|(name, ..)| *name == key).map(|(.., rule)| rule),
            _ => None,
        }
    }

    /// The rule of what stands in a list.
    pub(crate) fn of_items(&self) -> Option<&Self> {
        match self {
            Rule::List(rule) => Some(rule),
            _ => None,
        }
    }
}

fn follow(rule: &Rule, value: &Json<'_>, key: &str) -> Result<(), Rejection> {
    let wrong = |expected: &str| {
        let what = if key.is_empty() { "a record" } else { key };
        Err(Rejection::new(Reason::WrongType, format!("`{what}` must be {expected}, found {}", value.kind())))
    };
    match (rule, value) {
        (Rule::TextOrNull | Rule::FlagOrNull | Rule::NumberOrNull(..), Json::Null) => Ok(()),
        (Rule::Text | Rule::TextOrNull, Json::Text(_)) | (Rule::Flag | Rule::FlagOrNull, Json::Bool(_)) => Ok(()),
        (Rule::Shape(name, has_it), Json::Text(text)) if !has_it(text) => not_allowed(key, name, text),
        (Rule::OneOf(words), Json::Text(text)) if !words.contains(text) => not_allowed(key, &format!("one of {}", words.join(", ")), text),
        (Rule::Shape(..) | Rule::OneOf(_), Json::Text(_)) => Ok(()),
        (Rule::Number(low, high) | Rule::NumberOrNull(low, high), Json::Integer(_) | Json::Number(_)) => in_range(*low, *high, value, key),
        (Rule::Whole(low, high), Json::Integer(_)) => in_range(*low, *high, value, key),
        (Rule::Whole(low, high), Json::Number(number)) if number.fract() == 0.0 => in_range(*low, *high, value, key),
        (Rule::Object(known), Json::Object(pairs)) => follow_keys(known, pairs, key),
        (Rule::List(rule), Json::List(items)) => items.iter().try_for_each(|item| follow(rule, item, key)),
        (Rule::Text | Rule::TextOrNull | Rule::Shape(..) | Rule::OneOf(_), _) => wrong("text"),
        (Rule::Flag | Rule::FlagOrNull, _) => wrong("true or false"),
        (Rule::Number(..) | Rule::NumberOrNull(..), _) => wrong("a number"),
        (Rule::Whole(..), _) => wrong("a whole number"),
        (Rule::Object(..), _) => wrong("an object"),
        (Rule::List(_), _) => wrong("a list"),
    }
}

/// Follows the rules of an object's keys; of equal keys the last one counts.
fn follow_keys(known: &[Known], pairs: &[(&str, Json<'_>)], key: &str) -> Result<(), Rejection> {
    let mut found: [Option<&Json<'_>>; MOST_KEYS] = [None; MOST_KEYS];
    // Most objects have their keys in the order of the schema.
    let mut expected = 0;
    for (name, value) in pairs {
        let is_it = |at: &usize| known.get(*at).is_some_and(|(known, ..)| is_same(known, name));
        let at = if is_it(&expected) { Some(expected) } else { (0..known.len()).find(is_it) };
        if let Some((at, slot)) = at.and_then(|at| Some((at, found.get_mut(at)?))) {
            *slot = Some(value);
            expected = at + 1;
        }
    }
    // What is missing is told first.
    let is_missing = |(known, found): &(&Known, &Option<&Json<'_>>)| known.1 == Required && found.is_none();
    if let Some(((missing, ..), _)) = known.iter().zip(&found).find(is_missing) {
        return Err(Rejection::missing(&dotted(key, missing)));
    }
    let mut present = known.iter().zip(&found).filter_map(|((name, _, rule), found)| Some((name, rule, (*found)?)));
    present.try_for_each(|(name, rule, value)| follow(rule, value, name).map_err(|rejection| within(key, name, rejection)))
}

fn in_range(low: f64, high: f64, value: &Json<'_>, key: &str) -> Result<(), Rejection> {
    let number = match value {
        Json::Integer(number) => *number as f64,
        Json::Number(number) => *number,
        _ => return Ok(()),
    };
    if low <= number && number <= high {
        return Ok(());
    }
    let range = if high == f64::INFINITY { format!("{low} or more") } else { format!("in [{low}, {high}]") };
    Err(Rejection::new(Reason::NumberOutOfRange, format!("`{key}` must be {range}, found {number}")))
}

fn not_allowed(key: &str, expected: &str, found: &str) -> Result<(), Rejection> {
    Err(Rejection::new(Reason::ValueNotAllowed, format!("`{key}` must be {expected}, found \"{}\"", quote(found))))
}

/// Puts the outer key before the inner one in a message.
fn within(key: &str, name: &str, rejection: Rejection) -> Rejection {
    if key.is_empty() {
        return rejection;
    }
    let message = rejection.message.replacen(&format!("`{name}"), &format!("`{key}.{name}"), 1);
    Rejection::new(rejection.reason, message)
}

fn dotted(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

/// `route-`, eight digits, six digits, eight hexadecimal digits.
fn is_event_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    let part = |range: std::ops::Range<usize>, is: fn(&u8) -> bool| bytes[range].iter().all(is);
    bytes.len() == 30
        && bytes.starts_with(b"route-")
        && part(6..14, u8::is_ascii_digit)
        && bytes[14] == b'-'
        && part(15..21, u8::is_ascii_digit)
        && bytes[21] == b'-'
        && part(22..30, |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use bumpalo::Bump;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::formats::samples;

    fn validator() -> jsonschema::Validator {
        let schema: Value = serde_json::from_str(include_str!("../../../schemas/cortex-event.schema.json")).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    }

    fn checked(event: &Value) -> Result<(), Rejection> {
        EVENT.check(&Json::parse(&event.to_string(), &Bump::new()).unwrap())
    }

    /// Values of every type, and those at the borders of the constraints.
    fn junk() -> Vec<Value> {
        vec![
            json!(null),
            json!(true),
            json!(""),
            json!("keyword"),
            json!("cicd-master"),
            json!("resource-manager"),
            json!("root"),
            json!("completed"),
            json!("high"),
            json!("route-20260105-100000-0000007f"),
            json!("route-20260105-100000-0000007F"),
            json!("route-2026010-100000-0000007f"),
            json!("route-20260105-100000-0000007f-1"),
            json!("xroute-20260105-100000-0000007f"),
            json!(0),
            json!(1),
            json!(5),
            json!(6),
            json!(2.0),
            json!(2.5),
            json!(-1),
            json!(-0.0),
            json!(1.000001),
            json!(1e300),
            json!([]),
            json!([1]),
            json!([{}]),
            json!({}),
            json!({ "a": 1 }),
        ]
    }

    /// The jsonschema crate, 0.60, is the oracle.
    #[test]
    fn one_damage_anywhere_is_judged_as_the_schema_judges_it() {
        let (validator, event) = (validator(), serde_json::from_str::<Value>(samples::CORTEX).unwrap());
        assert!(validator.is_valid(&event));
        let all = samples::places(&event);
        let (mut n_refused, mut n_taken) = (0, 0);
        for place in &all {
            for value in junk() {
                let mut damaged = event.clone();
                *damaged.pointer_mut(place).unwrap() = value;
                let taken = validator.is_valid(&damaged);
                assert_eq!(checked(&damaged).is_ok(), taken, "{place}: {damaged}");
                (n_refused, n_taken) = (n_refused + u32::from(!taken), n_taken + u32::from(taken));
            }
            if let Some((parent, key)) = place.rsplit_once('/') {
                let mut damaged = event.clone();
                if let Some(Value::Object(map)) = damaged.pointer_mut(parent) {
                    map.remove(key);
                }
                assert_eq!(checked(&damaged).is_ok(), validator.is_valid(&damaged), "without {place}");
            }
        }
        assert!(n_refused > 500 && n_taken > 200, "{n_refused} {n_taken}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn several_damages_are_judged_as_the_schema_judges_them(damages in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4)) {
            let (validator, mut event) = (validator(), serde_json::from_str::<Value>(samples::CORTEX).unwrap());
            for (place, value) in damages {
                let all = samples::places(&event);
                *event.pointer_mut(&all[place.index(all.len())]).unwrap() = junk()[value.index(junk().len())].clone();
            }
            prop_assert_eq!(checked(&event).is_ok(), validator.is_valid(&event), "{}", event);
        }
    }

    #[test]
    fn messages_name_the_whole_key() {
        let mut event: Value = serde_json::from_str(samples::CORTEX).unwrap();
        event["final_decision"]["confidence"] = json!(1.5);
        let rejection = checked(&event).unwrap_err();
        assert_eq!(
            (rejection.reason, rejection.message.as_str()),
            (Reason::NumberOutOfRange, "`final_decision.confidence` must be in [0, 1], found 1.5")
        );
        event["final_decision"] = json!({ "selected_master": "root", "routing_layer": "rag", "confidence": 1 });
        assert!(checked(&event).unwrap_err().message.starts_with("`final_decision.selected_master` must be one of development-master, "));
        event["final_decision"] = json!({});
        assert_eq!(checked(&event).unwrap_err().message, "`final_decision.selected_master` is missing");
        event["routing_layers"][1]["layer_id"] = json!(9);
        assert_eq!(checked(&event).unwrap_err().message, "`routing_layers.layer_id` must be in [1, 5], found 9");
    }
}
