//! Rows as bytes: the compact form in which decisions wait between reading and writing.
//!
//! A row begins with the digests of two [shapes](crate::shapes): of the outcome's further scalars, and of those known at the decision. What
//! was known at the decision follows, then the outcome. Either part holds its columns in the order of
//! [`DECISION_COLUMNS`](crate::columns::DECISION_COLUMNS), each as a mark (0: null) and the value, and then the values of its further
//! scalars in the order of the shape. The layers stand between the parts. The timestamp orders rows and leads their duplicates, so it
//! stands beside the row and not in it.

use routewright_domain::Propensity;

use crate::draft::{Draft, KnownVectors, LayerDraft};

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

/// Appends a draft whose further scalars are settled. `vectors`: kept from draft to draft.
pub(crate) fn encode(draft: &Draft<'_>, vectors: &mut KnownVectors, out: &mut Vec<u8>) -> RowShape {
    let start = out.len();
    out.extend_from_slice(&draft.extras.shape(false).to_le_bytes());
    out.extend_from_slice(&draft.extras.shape(true).to_le_bytes());
    put_text(Some(&draft.trace_id), out);
    put_text(Some(&draft.query), out);
    put_text(Some(&draft.query_id), out);
    put_text(draft.session_id.as_deref(), out);
    put_text(draft.user_id.as_deref(), out);
    put_text(Some(&draft.path), out);
    put_text(draft.static_path.as_deref(), out);
    put_number(draft.propensity.map(Propensity::get), out);
    put_some(Some(&draft.propensities).filter(|propensities| !propensities.is_empty()), out, |propensities, out| {
        put_bytes(vectors.json(propensities), out);
    });
    let candidates = &draft.candidates;
    put_some(Some(candidates).filter(|names| !names.is_empty()), out, |names, out| {
        put_texts(names.len(), names.iter().map(AsRef::as_ref), out);
    });
    put_text(draft.policy_id.as_deref(), out);
    put_flag(draft.explored, out);
    put_text(draft.tool_name.as_deref(), out);
    put_number(draft.confidence, out);
    put_text(draft.query_type.as_deref(), out);
    put_text(draft.complexity.as_deref(), out);
    draft.extras.known(true).for_each(|value| out.extend_from_slice(value));
    put_length(draft.layers.len(), out);
    draft.layers.iter().for_each(|layer| put_layer(layer, out));
    let outcome_at = out.len() - start;
    let present = [
        put_flag(draft.success, out),
        put_number(draft.latency_ms, out),
        put_text(draft.error.as_deref(), out),
        put_number(draft.tool_execution_time_ms, out),
        put_integer(draft.llm_calls, out),
        put_number(draft.cost, out),
        put_text(draft.user_feedback.as_deref(), out),
        put_integer(draft.response_length, out),
        put_flag(draft.hallucination_detected, out),
        put_number(draft.quality_score, out),
        put_text(draft.optimal_path.as_deref(), out),
    ];
    let columns = present.iter().enumerate().fold(0, |fields, (bit, present)| fields | u16::from(*present) << bit);
    draft.extras.known(false).for_each(|value| out.extend_from_slice(value));
    let extras = if draft.extras.shape(false) == 0 { 0 } else { OUTCOME_EXTRAS };
    RowShape { outcome_at, outcome_fields: columns | extras }
}

/// Appends one layer in the order of [`LAYER_COLUMNS`](crate::columns::LAYER_COLUMNS), without the decision's id and time.
fn put_layer(layer: &LayerDraft<'_>, out: &mut Vec<u8>) {
    put_integer(Some(layer.layer_id), out);
    put_text(Some(&layer.layer_name), out);
    put_flag(layer.success, out);
    put_number(Some(layer.confidence), out);
    put_number(layer.threshold, out);
    put_text(layer.selected_path.as_deref(), out);
    put_number(layer.latency_ms, out);
    put_text(layer.backend.as_deref(), out);
    put_flag(layer.cache_hit, out);
}

/// Bytes of a shape's digest.
const SHAPE: usize = 8;

/// Digests of a row's shapes: of the further scalars known at the decision, and of the outcome's.
pub(crate) fn shapes(row: &[u8]) -> [u64; 2] {
    let mut input = Input(row);
    let outcome = input.digest();
    [input.digest(), outcome]
}

/// The columns of a row, behind the digests of its shapes.
pub(crate) fn columns(row: &[u8]) -> Input<'_> {
    Input(row.get(2 * SHAPE..).unwrap_or_default())
}

/// A row as what was known at the decision, and the outcome with the digest of its shape.
pub(crate) fn parts(row: &[u8], shape: RowShape) -> (&[u8], &[u8], u64) {
    let (decision, outcome) = row.split_at(shape.outcome_at.min(row.len()));
    (decision.get(SHAPE..).unwrap_or_default(), outcome, Input(row).digest())
}

/// The id that begins the columns of every row.
pub(crate) fn trace_id(row: &[u8]) -> &[u8] {
    let mut input = columns(row);
    input.byte();
    input.bytes()
}

fn put_some<V>(value: Option<V>, out: &mut Vec<u8>, put: impl FnOnce(V, &mut Vec<u8>)) -> bool {
    out.push(u8::from(value.is_some()));
    let is_some = value.is_some();
    if let Some(value) = value {
        put(value, out);
    }
    is_some
}

fn put_text(text: Option<&str>, out: &mut Vec<u8>) -> bool {
    put_some(text, out, |text, out| put_bytes(text.as_bytes(), out))
}

fn put_number(value: Option<f64>, out: &mut Vec<u8>) -> bool {
    put_some(value, out, |value, out| out.extend_from_slice(&value.to_le_bytes()))
}

fn put_integer(value: Option<i64>, out: &mut Vec<u8>) -> bool {
    put_some(value, out, |value, out| out.extend_from_slice(&value.to_le_bytes()))
}

fn put_flag(value: Option<bool>, out: &mut Vec<u8>) -> bool {
    put_some(value, out, |value, out| out.push(u8::from(value)))
}

/// A length in groups of seven bits, the lowest first.
fn put_length(mut length: usize, out: &mut Vec<u8>) {
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

/// Appends a length and the bytes.
pub(crate) fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Appends a number of texts and the texts.
pub(crate) fn put_texts<'t>(n_texts: usize, texts: impl Iterator<Item = &'t str>, out: &mut Vec<u8>) {
    put_length(n_texts, out);
    texts.for_each(|text| put_bytes(text.as_bytes(), out));
}

/// The rest of a row; past its end every value is zero or empty.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let Some((array, rest)) = self.0.split_first_chunk() else {
            self.0 = &[];
            return [0; N];
        };
        self.0 = rest;
        *array
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub(crate) fn integer(&mut self) -> i64 {
        i64::from_le_bytes(self.array())
    }

    pub(crate) fn number(&mut self) -> f64 {
        f64::from_le_bytes(self.array())
    }

    fn digest(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    #[inline]
    pub(crate) fn length(&mut self) -> usize {
        // Most texts are short.
        let first = self.byte();
        let mut length = usize::from(first & 0x7f);
        if first < 0x80 {
            return length;
        }
        for shift in (7..63).step_by(7) {
            let byte = self.byte();
            length |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        length
    }

    /// A length and as many bytes.
    #[inline]
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = self.length();
        self.take(length)
    }

    /// Passes a length and as many bytes.
    pub(crate) fn skip_bytes(&mut self) {
        self.bytes();
    }

    /// Text; what is none is read as empty.
    pub(crate) fn text(&mut self) -> &'a str {
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }

    /// Several texts.
    pub(crate) fn texts(&mut self) -> impl Iterator<Item = &'a str> {
        let n_texts = self.length().min(self.0.len());
        (0..n_texts).map(|_| self.text())
    }
}
