//! Rows as bytes: the compact form in which decisions wait between reading and writing.

use routewright_domain::{Decision, LayerAttempt, Scalar, Timestamp};

use crate::columns::{Access, Column, DECISION_COLUMNS, Known, LAYER_COLUMNS};
use crate::extras::known_at_decision;

/// A decision as bytes appended to a buffer, with what is needed to order it and to find its duplicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowShape {
    /// Where the part that is known after the path ran begins, from the row's start.
    pub(crate) outcome_at: usize,
    /// One bit per outcome column that has a value; bit 15: some further outcome scalar.
    pub(crate) outcome_fields: u16,
}

/// Bit of [`RowShape::outcome_fields`] for the further scalars that are outcomes.
const OUTCOME_EXTRAS: u16 = 1 << 15;

/// Appends a decision and its layers: what was known at the decision first, then the outcome.
pub(crate) fn encode(decision: &Decision, layers: &[LayerAttempt], out: &mut Vec<u8>) -> RowShape {
    let start = out.len();
    for column in DECISION_COLUMNS.iter().filter(|column| column.known != Known::Outcome) {
        // The timestamp orders rows and leads their duplicates, so it stands beside the row and not in it.
        if !matches!(column.access, Access::Time(..)) {
            encode_value(column, decision, out);
        }
    }
    encode_extras(decision, true, out);
    put_length(layers.len(), out);
    for layer in layers {
        LAYER_COLUMNS.iter().filter(|column| !matches!(column.name, "trace_id" | "timestamp")).for_each(|column| {
            encode_value(column, layer, out);
        });
    }
    let outcome_at = out.len() - start;
    let mut outcome_fields = 0;
    for (bit, column) in DECISION_COLUMNS.iter().filter(|column| column.known == Known::Outcome).enumerate() {
        if encode_value(column, decision, out) {
            outcome_fields |= 1 << bit;
        }
    }
    if encode_extras(decision, false, out) > 0 {
        outcome_fields |= OUTCOME_EXTRAS;
    }
    RowShape { outcome_at, outcome_fields }
}

/// Reads back what [`encode`] wrote. Bytes that it did not write give a row with the values that could be read.
pub(crate) fn decode(timestamp: Timestamp, bytes: &[u8]) -> (Decision, Vec<LayerAttempt>) {
    let mut input = Input(bytes);
    let mut decision = Decision { timestamp, ..Decision::default() };
    for column in DECISION_COLUMNS.iter().filter(|column| column.known != Known::Outcome && !matches!(column.access, Access::Time(..))) {
        decode_value(column, &mut decision, &mut input);
    }
    decode_extras(&mut decision, &mut input);
    let n_layers = input.length().min(input.0.len());
    let mut layers = Vec::new();
    for _ in 0..n_layers {
        let mut layer = LayerAttempt { trace_id: decision.trace_id.clone(), timestamp, ..LayerAttempt::default() };
        for column in LAYER_COLUMNS.iter().filter(|column| !matches!(column.name, "trace_id" | "timestamp")) {
            decode_value(column, &mut layer, &mut input);
        }
        layers.push(layer);
    }
    for column in DECISION_COLUMNS.iter().filter(|column| column.known == Known::Outcome) {
        decode_value(column, &mut decision, &mut input);
    }
    decode_extras(&mut decision, &mut input);
    (decision, layers)
}

/// The id that begins every row.
pub(crate) fn trace_id(bytes: &[u8]) -> &[u8] {
    let mut input = Input(bytes);
    input.take(1);
    input.bytes()
}

/// Appends a mark (0: null) and the value; whether there was one.
fn encode_value<T>(column: &Column<T>, row: &T, out: &mut Vec<u8>) -> bool {
    match &column.access {
        Access::Time(get, _) => put_some(Some(get(row).0), out, |value, out| out.extend_from_slice(&value.to_le_bytes())),
        Access::Text(get, _) => put_some(get(row), out, |text, out| put_bytes(text.as_bytes(), out)),
        Access::Made(get, _) => put_some(get(row), out, |text, out| put_bytes(text.as_bytes(), out)),
        Access::Texts(get, _) => put_some(Some(get(row)).filter(|texts| !texts.is_empty()), out, put_texts),
        Access::Number(get, _) => put_some(get(row), out, |value, out| out.extend_from_slice(&value.to_le_bytes())),
        Access::Integer(get, _) => put_some(get(row), out, |value, out| out.extend_from_slice(&value.to_le_bytes())),
        Access::Flag(get, _) => put_some(get(row), out, |value, out| out.push(u8::from(value))),
    }
}

fn decode_value<T>(column: &Column<T>, row: &mut T, input: &mut Input<'_>) {
    if input.byte() == 0 {
        return;
    }
    match &column.access {
        Access::Time(_, set) => set(row, Timestamp(input.integer())),
        Access::Text(_, set) | Access::Made(_, set) => set(row, input.text()),
        Access::Texts(_, set) => set(row, input.texts()),
        Access::Number(_, set) => set(row, input.number()),
        Access::Integer(_, set) => set(row, input.integer()),
        Access::Flag(_, set) => set(row, input.byte() == 1),
    }
}

/// Appends the further scalars that are known at the decision, or those that are not; how many.
fn encode_extras(decision: &Decision, at_decision: bool, out: &mut Vec<u8>) -> usize {
    let count_at = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut n_extras = 0_u32;
    for (key, value) in decision.extras.iter().filter(|(key, _)| known_at_decision(key) == at_decision) {
        n_extras += 1;
        put_bytes(key.as_bytes(), out);
        match value {
            Scalar::Bool(value) => out.extend_from_slice(&[0, u8::from(*value)]),
            Scalar::Number(value) => {
                out.push(1);
                out.extend_from_slice(&value.to_le_bytes());
            }
            Scalar::Text(text) => {
                out.push(2);
                put_bytes(text.as_bytes(), out);
            }
            Scalar::List(texts) => {
                out.push(3);
                put_texts(texts, out);
            }
        }
    }
    out[count_at..count_at + 4].copy_from_slice(&n_extras.to_le_bytes());
    n_extras as usize
}

fn decode_extras(decision: &mut Decision, input: &mut Input<'_>) {
    let n_extras = (u32::from_le_bytes(input.array()) as usize).min(input.0.len());
    for _ in 0..n_extras {
        let key = input.text();
        let value = match input.byte() {
            0 => Scalar::Bool(input.byte() == 1),
            1 => Scalar::Number(input.number()),
            2 => Scalar::Text(input.text()),
            _ => Scalar::List(input.texts()),
        };
        decision.extras.insert(key, value);
    }
}

fn put_some<V>(value: Option<V>, out: &mut Vec<u8>, put: impl FnOnce(V, &mut Vec<u8>)) -> bool {
    match value {
        Some(value) => {
            out.push(1);
            put(value, out);
            true
        }
        None => {
            out.push(0);
            false
        }
    }
}

/// A length in groups of seven bits, the lowest first.
fn put_length(mut length: usize, out: &mut Vec<u8>) {
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn put_texts(texts: &[String], out: &mut Vec<u8>) {
    put_length(texts.len(), out);
    texts.iter().for_each(|text| put_bytes(text.as_bytes(), out));
}

/// The rest of a row; past its end every value is zero or empty.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.take(N).try_into().unwrap_or([0; N])
    }

    fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    fn integer(&mut self) -> i64 {
        i64::from_le_bytes(self.array())
    }

    fn number(&mut self) -> f64 {
        f64::from_le_bytes(self.array())
    }

    fn length(&mut self) -> usize {
        let mut length = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.byte();
            length |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        length
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = self.length();
        self.take(length)
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    fn texts(&mut self) -> Vec<String> {
        let n_texts = self.length().min(self.0.len());
        (0..n_texts).map(|_| self.text()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use routewright_domain::Propensity;

    use super::*;

    fn full() -> Decision {
        Decision {
            trace_id: "t".into(),
            timestamp: Timestamp(5),
            query: "größer".into(),
            query_id: "q".into(),
            path: "A".into(),
            propensity: Some(Propensity::CERTAIN),
            propensities: BTreeMap::from([("A".to_owned(), 0.75), ("B".to_owned(), 0.25)]),
            candidates: vec!["A".into(), "B".into()],
            success: Some(false),
            llm_calls: Some(-3),
            extras: BTreeMap::from([
                ("context.mode".to_owned(), Scalar::Text("x".repeat(300))),
                ("execution_outcome.tokens".to_owned(), Scalar::Number(1.5)),
                ("query_features.keywords".to_owned(), Scalar::List(vec!["a".into(), String::new()])),
                ("query_features.has_code".to_owned(), Scalar::Bool(true)),
            ]),
            ..Decision::default()
        }
    }

    #[test]
    fn a_row_comes_back_as_it_was() {
        let layer = LayerAttempt {
            trace_id: "t".into(),
            timestamp: Timestamp(5),
            layer_id: 2,
            layer_name: "rag".into(),
            confidence: 0.5,
            ..Default::default()
        };
        let mut bytes = Vec::new();
        encode(&full(), std::slice::from_ref(&layer), &mut bytes);
        assert_eq!(decode(Timestamp(5), &bytes), (full(), vec![layer]));
        assert_eq!(trace_id(&bytes), b"t");
    }

    #[test]
    fn an_outcome_changes_only_the_bytes_after_the_decision() {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let shape = encode(&full(), &[], &mut first);
        let pending = Decision { success: None, timestamp: Timestamp(9), ..full() };
        assert_eq!(encode(&pending, &[], &mut second).outcome_at, shape.outcome_at);
        assert_eq!(first[..shape.outcome_at], second[..shape.outcome_at]);
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let capped: Vec<u8> = bytes.into_iter().map(|byte| byte & 0x0f).collect();
            decode(Timestamp(0), &capped);
            trace_id(&capped);
        }
    }
}
