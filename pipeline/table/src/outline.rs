//! Outlines of records: most records of a log have the same keys in the same order. What stood between the values of one is looked for in
//! the next in one piece, and what becomes of every value is known from its place. Records that have another outline, or that anything is
//! wrong with, are read key by key; nothing tells both ways apart but the time they take.

use crate::draft::DottedName;
use crate::formats::{self, Field, Format, LAYERS, Reading, Rule, TOP, Take, field};
use crate::json::{Everything, Json, Parser};
use crate::redact::{Cleaner, KeySays};

/// The outlines of the records so far, as a tree: records that begin alike share its first steps.
pub(crate) struct Outlines {
    /// The first one is where every record begins.
    steps: Vec<Step>,
    /// Goes up with records of a known outline, and down with others.
    worth: i32,
}

/// The way from the end of one value to the start of the next.
struct Step {
    /// What stands there: brackets, commas, keys.
    before: Box<[u8]>,
    place: Place,
    /// The steps that were seen to follow, the longest first: one may begin with another.
    next: Vec<usize>,
}

/// Where a step leads.
enum Place {
    /// To the end of the record.
    End,
    /// To a value.
    Value(Value),
}

/// A value of a record.
struct Value {
    says: KeySays,
    /// Lists and objects that it stands in.
    depth: usize,
    /// The layer of the cascade that it stands in.
    layer: Option<usize>,
    rule: Option<&'static Rule>,
    effect: Effect,
}

/// What becomes of a value.
enum Effect {
    /// What its field says.
    Take(Take),
    /// It is a further scalar of that name.
    Scalar(DottedName),
    /// It is counted as ignored under that name.
    Ignored(DottedName),
    /// Nothing: null in the place of an object.
    Null,
    /// A list of layers that has none.
    NoLayers,
}

/// Steps that are remembered.
const MAX_STEPS: usize = 4096;
/// Keys of an object that outlines are made of.
const MAX_KEYS: usize = 64;
/// How far [`Outlines::worth`] goes up and down.
const MOST_WORTH: i32 = 64;
/// Records of a piece that are looked at in vain where those before were.
const CHANCES: i32 = 16;

impl Default for Outlines {
    fn default() -> Self {
        Self { steps: vec![Step { before: Box::default(), place: Place::End, next: Vec::new() }], worth: 0 }
    }
}

impl Outlines {
    /// None, now and later.
    #[cfg(test)]
    pub(crate) fn worthless() -> Self {
        Self { worth: -MOST_WORTH, ..Self::default() }
    }

    /// Begins a piece of the records: those before say little of it where they were of another file.
    pub(crate) fn begin_piece(&mut self) {
        self.worth = self.worth.max(CHANCES - MOST_WORTH);
    }

    /// Whether records are so much alike that a look at their outlines is worth its time.
    pub(crate) fn are_worth_it(&self) -> bool {
        self.worth > -MOST_WORTH
    }

    /// Reads a record of a known outline; nothing where it has another one, or where anything is wrong with it.
    pub(crate) fn read<'a>(&mut self, parser: &mut Parser<'a, '_, Cleaner<'_>>, reading: &mut Reading<'a>) -> Option<()> {
        let read = self.follow(parser, reading);
        let up = if read.is_some() { 1 } else { -1 };
        self.worth = (self.worth + up).min(MOST_WORTH);
        read
    }

    fn follow<'a>(&mut self, parser: &mut Parser<'a, '_, Cleaner<'_>>, reading: &mut Reading<'a>) -> Option<()> {
        let mut at = 0;
        let mut layer = None;
        loop {
            at = *self.steps[at].next.iter().find(|next| parser.is_before(&self.steps[**next].before))?;
            let step = &mut self.steps[at];
            parser.pass(step.before.len());
            let Place::Value(place) = &mut step.place else { break };
            if place.layer != layer {
                if layer.is_some() {
                    reading.end_layer().ok()?;
                }
                layer = place.layer;
                layer.into_iter().for_each(|position| reading.begin_layer(position));
            }
            // The value stays where it is: a copy of what was just written waits for the writing.
            let Some(value) = &parser.value_at(place.depth, place.says) else { return None };
            place.take(value, reading)?;
        }
        if layer.is_some() {
            reading.end_layer().ok()?;
        }
        parser.is_at_end().then_some(())
    }

    /// Remembers the outline of a record that a decision was made of.
    pub(crate) fn learn(&mut self, text: &str, format: &Format, schema: Option<&'static Rule>, cleaner: &mut Cleaner<'_>) {
        let arena = bumpalo::Bump::new();
        let mut everything = Everything;
        let parser = Parser::new(text, &arena, usize::MAX, &mut everything);
        let mut tracer = Tracer { text, parser, cleaner, from: 0, depth: 0, found: Vec::new() };
        if tracer.record(format.fields, schema).is_none() || tracer.found.len() >= MAX_STEPS {
            return;
        }
        // Where there are too many, those that still come are learned again.
        if self.steps.len() + tracer.found.len() > MAX_STEPS {
            self.steps.truncate(1);
            self.steps[0].next.clear();
        }
        let mut at = 0;
        for (before, place) in tracer.found {
            let known = self.steps[at].next.iter().copied().find(|next| *self.steps[*next].before == *before);
            at = known.unwrap_or_else(|| self.add(at, before, place));
        }
    }

    fn add(&mut self, at: usize, before: &[u8], place: Place) -> usize {
        let added = self.steps.len();
        self.steps.push(Step { before: before.into(), place, next: Vec::new() });
        let position = self.steps[at].next.partition_point(|next| self.steps[*next].before.len() >= before.len());
        self.steps[at].next.insert(position, added);
        added
    }
}

impl Value {
    /// Takes a value; nothing where it is not what stands in such a place.
    #[inline]
    fn take<'a>(&mut self, value: &Json<'a>, reading: &mut Reading<'a>) -> Option<()> {
        if let Some(rule) = self.rule {
            rule.check(value).ok()?;
        }
        match (&mut self.effect, value) {
            (Effect::Take(take), value) => {
                let nobody_reads_it = formats::Key { prefix: TOP, position: None, name: "" };
                return reading.take(*take, &nobody_reads_it, value).ok();
            }
            (Effect::Scalar(_), Json::Object(_)) => return None,
            (Effect::Scalar(_) | Effect::Null, Json::Null) => {}
            (Effect::Scalar(name), value) => reading.draft.extras.take_named(name, value),
            (Effect::Ignored(name), _) => reading.draft.extras.ignore_named(name),
            (Effect::NoLayers, Json::List([])) => reading.has_layers = true,
            (Effect::Null | Effect::NoLayers, _) => return None,
        }
        Some(())
    }
}

/// What becomes of an object's keys that have no field.
enum Others {
    /// They are further scalars under a dotted name.
    Scalars(String),
    /// They are ignored, and counted under a dotted name.
    Ignored(&'static str),
}

/// Goes through a record that was read already.
struct Tracer<'t, 'p, 'c, 'r> {
    text: &'t str,
    parser: Parser<'t, 'p, Everything>,
    cleaner: &'c mut Cleaner<'r>,
    /// End of the value before.
    from: usize,
    depth: usize,
    found: Vec<(&'t [u8], Place)>,
}

impl<'t> Tracer<'t, '_, '_, '_> {
    fn record(&mut self, fields: &'static [Field], schema: Option<&'static Rule>) -> Option<()> {
        self.pass(b'{')?;
        self.object(fields, &Others::Scalars(TOP.to_owned()), schema, None)?;
        self.found.push((self.text.as_bytes().get(self.from..)?, Place::End));
        Some(())
    }

    fn pass(&mut self, mark: u8) -> Option<()> {
        (self.parser.mark()? == mark).then_some(())
    }

    /// An object whose bracket was passed.
    fn object(&mut self, fields: &'static [Field], others: &Others, rule: Option<&'static Rule>, layer: Option<usize>) -> Option<()> {
        self.depth += 1;
        let mut keys = Vec::new();
        let mut mark = self.parser.mark()?;
        while mark != b'}' {
            let start = self.parser.at();
            let key = self.parser.string()?;
            let is_plain = self.text.get(start..self.parser.at() - 1) == Some(key);
            // Which one of equal keys counts depends on what they are.
            if !is_plain || keys.contains(&key) || keys.len() == MAX_KEYS {
                return None;
            }
            keys.push(key);
            let says = self.cleaner.says_of(key)?;
            self.pass(b':')?;
            let (first, rule) = (self.parser.peek()?, rule.and_then(|rule| rule.of_key(key)));
            let value = |effect| Value { says, depth: self.depth, layer, rule, effect };
            match (field(fields, key), first, others) {
                (Some(Take::Object(dotted, fields)), b'{', _) => {
                    self.pass(b'{')?;
                    self.object(fields, &Others::Scalars(dotted.to_owned()), rule, None)?;
                }
                (Some(Take::Layers(fields)), b'[', _) if !self.parser.begins_empty_list() => self.layers(fields, rule)?,
                (Some(Take::Object(..)), ..) => self.value(value(Effect::Null))?,
                (Some(Take::Layers(_)), ..) => self.value(value(Effect::NoLayers))?,
                (Some(take), ..) => self.value(value(Effect::Take(take)))?,
                (None, b'{', Others::Scalars(prefix)) => {
                    self.pass(b'{')?;
                    self.object(&[], &Others::Scalars(format!("{prefix}.{key}")), rule, None)?;
                }
                (None, _, Others::Scalars(prefix)) => {
                    self.value(value(Effect::Scalar(DottedName::new(format!("{prefix}.{key}")))))?;
                }
                (None, _, Others::Ignored(prefix)) => {
                    self.value(value(Effect::Ignored(DottedName::new(format!("{prefix}.{key}")))))?;
                }
            }
            mark = self.parser.mark()?;
            if mark == b',' {
                mark = self.parser.mark()?;
            }
        }
        self.depth -= 1;
        Some(())
    }

    fn layers(&mut self, fields: &'static [Field], rule: Option<&'static Rule>) -> Option<()> {
        self.pass(b'[')?;
        self.depth += 1;
        for position in 0.. {
            self.pass(b'{')?;
            self.object(fields, &Others::Ignored(LAYERS), rule.and_then(Rule::of_items), Some(position))?;
            if self.parser.mark()? == b']' {
                break;
            }
        }
        self.depth -= 1;
        Some(())
    }

    fn value(&mut self, value: Value) -> Option<()> {
        let before = self.text.as_bytes().get(self.from..self.parser.at())?;
        self.parser.value(())?;
        self.from = self.parser.at();
        self.found.push((before, Place::Value(value)));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use crate::formats::{format_named, samples};
    use crate::pieces::tests::{parsed_by_key, parsed_by_outline};
    use crate::redact::{RedactSettings, Redactor};

    fn junk() -> Vec<Value> {
        vec![
            json!(null),
            json!(true),
            json!(""),
            json!("CODING"),
            json!("write to alice@example.org or +49 171 2345678"),
            json!("h-0123"),
            json!(0),
            json!(0.25),
            json!(7),
            json!(-1.5),
            json!([]),
            json!(["a"]),
            json!(["a", 1]),
            json!([{ "a": 1 }]),
            json!([{ "layer_id": 1, "layer_name": "rag", "attempted": true, "confidence": 0.5 }]),
            json!({}),
            json!({ "a": 1 }),
            json!({ "a": { "b": "c" }, "d": null }),
            json!({ "bob@example.org": 1 }),
        ]
    }

    /// What is done to a record: where, with what, and how.
    type Damage = (prop::sample::Index, prop::sample::Index, u8);

    fn damaged(sample: &str, damages: &[Damage], way: u8) -> String {
        let mut record: Value = serde_json::from_str(sample).unwrap();
        for (place, value, kind) in damages {
            let all = samples::places(&record);
            let (at, value) = (&all[place.index(all.len())], junk()[value.index(junk().len())].clone());
            match (kind % 3, at.rsplit_once('/')) {
                (0, Some((parent, key))) => {
                    if let Some(Value::Object(map)) = record.pointer_mut(parent) {
                        map.remove(key);
                    }
                }
                (1, _) => {
                    if let Some(Value::Object(map)) = record.pointer_mut(at) {
                        map.insert("new".to_owned(), value);
                    }
                }
                _ if !at.is_empty() => *record.pointer_mut(at).unwrap() = value,
                _ => {}
            }
        }
        match way % 8 {
            0 => serde_json::to_string_pretty(&record).unwrap(),
            1 => record.to_string().replacen("\"confidence\":", "\"confidence\":0.125,\"confidence\":", 1),
            2 => record.to_string().replacen("\"context\":", "\"context\":{\"twice\":1},\"context\":", 1),
            3 => record.to_string().replacen("query", "quer\\u0079", 1),
            _ => record.to_string(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn records_are_read_by_their_outlines_as_key_by_key(
            format in 0..4_usize,
            records in prop::collection::vec((prop::collection::vec(any::<Damage>(), 0..3), any::<u8>(), 1..3_usize), 1..8),
            is_redacted: bool,
            checks_schema: bool,
        ) {
            let (name, sample) = [("e009", samples::E009), ("matrix", samples::E009), ("cortex", samples::CORTEX), ("router-metrics", samples::ROUTER_METRICS)][format];
            let settings = RedactSettings { hash: vec!["user_id".to_owned()], ..RedactSettings::default() };
            let redactor = Redactor::new(&settings, Some("salt")).unwrap();
            let redactor = is_redacted.then_some(&redactor);
            let texts = records.iter().flat_map(|(damages, way, times)| vec![damaged(sample, damages, *way); *times]);
            // The record as it is, between the damaged ones.
            let texts: Vec<String> = texts.flat_map(|text| [sample.to_owned(), text]).collect();
            let format = format_named(name).unwrap();
            let (by_outline, is_known) = parsed_by_outline(&texts, format, redactor, checks_schema);
            prop_assert_eq!(by_outline, parsed_by_key(&texts, format, redactor, checks_schema), "{:#?}", texts);
            prop_assert!(is_known, "{}", texts[0]);
        }
    }
}
