//! Rows to columns: appends encoded rows to one array builder per column, without a decision in between.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, StringArray, StringBuilder,
    TimestampMicrosecondBuilder,
};
use routewright_domain::Timestamp;

use crate::columns::{Access, Column, DECISION_COLUMNS, Known, LAYER_COLUMNS};
use crate::extras::{ExtraKind, KINDS, known_at_decision};
use crate::parquet_file::ExtraColumn;
use crate::rows::{Input, columns, shapes};
use crate::shapes::{Shape, Shapes};
use crate::unhashed::Unhashed;

/// The kinds that the further scalars of some rows have, one bit per kind, by the digest of the key.
pub(crate) type KindsByKey = BTreeMap<u64, u8>;

/// The kinds that some shapes hold.
pub(crate) fn kinds_of(digests: impl IntoIterator<Item = u64>, shapes: &Shapes) -> KindsByKey {
    let mut kinds = KindsByKey::new();
    for (key, kind) in digests.into_iter().flat_map(|digest| shapes.get(digest)) {
        *kinds.entry(*key).or_default() |= 1 << *kind as u8;
    }
    kinds
}

fn skip_kind(kind: ExtraKind, input: &mut Input<'_>) {
    match kind {
        ExtraKind::Bool => drop(input.byte()),
        ExtraKind::Number => drop(input.number()),
        ExtraKind::Text => input.skip_bytes(),
        ExtraKind::List => (0..input.length().min(input.0.len())).for_each(|_| input.skip_bytes()),
    }
}

/// A column that is being filled. Nulls wait for the next value, for most columns of a log have nothing at all.
struct Filling {
    values: Values,
    /// Nulls after the last value.
    n_nulls: usize,
    /// Rows that memory is taken for when the first value comes, so that columns do not grow by and by; zero once it is there.
    n_expected: usize,
    /// Bytes of text per row, as far as rows were seen; zero before.
    width: usize,
}

/// The values of a column.
enum Values {
    Time(TimestampMicrosecondBuilder),
    /// Bytes, which are found to be text in one go.
    Text(BinaryBuilder),
    Texts(ListBuilder<StringBuilder>),
    Number(Float64Builder),
    Integer(Int64Builder),
    Flag(BooleanBuilder),
}

/// Columns of further scalars, beyond which most rows have nothing for most of them, and memory is taken only as it is needed.
const MANY: usize = 64;

impl Filling {
    fn of<T>(access: &Access<T>, n_expected: usize) -> Self {
        Self { values: Values::of(access), n_nulls: 0, n_expected, width: 0 }
    }

    fn of_kind(kind: ExtraKind, n_expected: usize) -> Self {
        Self { values: Values::of_kind(kind), n_nulls: 0, n_expected, width: 0 }
    }

    /// Appends the mark and value that come next, or the row's time.
    #[inline]
    fn take(&mut self, timestamp: Timestamp, input: &mut Input<'_>) {
        match &mut self.values {
            Values::Time(_) => self.values_at_end().append_time(timestamp),
            _ if input.byte() == 0 => self.n_nulls += 1,
            _ => self.values_at_end().take_value(input),
        }
    }

    /// The values, with all nulls so far, and memory for the next ones.
    #[inline]
    fn values_at_end(&mut self) -> &mut Values {
        if self.n_expected > 0 {
            self.make_room();
        }
        self.with_nulls()
    }

    #[cold]
    fn make_room(&mut self) {
        let n_expected = std::mem::take(&mut self.n_expected);
        self.values.make_room(n_expected, self.width);
    }

    #[inline]
    fn with_nulls(&mut self) -> &mut Values {
        if self.n_nulls > 0 {
            self.values.append_nulls(std::mem::take(&mut self.n_nulls));
        }
        &mut self.values
    }

    fn append_null(&mut self) {
        self.n_nulls += 1;
    }

    /// Appends a value of a kind; one that is not the column's becomes text.
    fn take_kind(&mut self, kind: ExtraKind, input: &mut Input<'_>) {
        self.values_at_end().take_kind(kind, input);
    }

    /// The values so far. `n_expected`: values that come after them.
    fn finish(&mut self, n_expected: usize) -> ArrayRef {
        let array = self.with_nulls().finish();
        let has_values = array.null_count() < array.len();
        if let Some(texts) = array.as_any().downcast_ref::<StringArray>().filter(|_| has_values) {
            // An eighth more, for rows are not all alike.
            self.width = texts.value_data().len() * 9 / (8 * texts.len()) + 1;
        }
        self.n_expected = if has_values { n_expected } else { 0 };
        array
    }
}

impl Values {
    fn of<T>(access: &Access<T>) -> Self {
        match access {
            Access::Time(_) => Self::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            Access::Text(_) => Self::Text(BinaryBuilder::new()),
            Access::Texts(_) => Self::Texts(ListBuilder::new(StringBuilder::new())),
            Access::Number(_) => Self::Number(Float64Builder::new()),
            Access::Integer(_) => Self::Integer(Int64Builder::new()),
            Access::Flag(_) => Self::Flag(BooleanBuilder::new()),
        }
    }

    fn of_kind(kind: ExtraKind) -> Self {
        match kind {
            ExtraKind::Bool => Self::Flag(BooleanBuilder::new()),
            ExtraKind::Number => Self::Number(Float64Builder::new()),
            ExtraKind::Text => Self::Text(BinaryBuilder::new()),
            ExtraKind::List => Self::Texts(ListBuilder::new(StringBuilder::new())),
        }
    }

    fn take_value(&mut self, input: &mut Input<'_>) {
        match self {
            Self::Time(column) => column.append_value(input.integer()),
            Self::Text(column) => column.append_value(input.bytes()),
            Self::Texts(column) => {
                input.texts().for_each(|text| column.values().append_value(text));
                column.append(true);
            }
            Self::Number(column) => column.append_value(input.number()),
            Self::Integer(column) => column.append_value(input.integer()),
            Self::Flag(column) => column.append_value(input.byte() == 1),
        }
    }

    fn append_nulls(&mut self, n_nulls: usize) {
        match self {
            Self::Time(column) => column.append_nulls(n_nulls),
            Self::Text(column) => column.append_nulls(n_nulls),
            Self::Texts(column) => column.append_nulls(n_nulls),
            Self::Number(column) => column.append_nulls(n_nulls),
            Self::Integer(column) => column.append_nulls(n_nulls),
            Self::Flag(column) => column.append_nulls(n_nulls),
        }
    }

    /// Appends a value of a kind; one that is not the column's becomes text.
    fn take_kind(&mut self, kind: ExtraKind, input: &mut Input<'_>) {
        match (&mut *self, kind) {
            (Self::Text(column), ExtraKind::Bool) => column.append_value(if input.byte() == 1 { "true" } else { "false" }),
            (Self::Text(column), ExtraKind::Number) => column.append_value(input.number().to_string()),
            (Self::Text(column), ExtraKind::List) => {
                let texts: Vec<&str> = input.texts().collect();
                column.append_value(serde_json::to_string(&texts).unwrap_or_default());
            }
            _ => self.take_value(input),
        }
    }

    /// Takes memory for so many values, of so many bytes each where they are texts; there are none yet.
    fn make_room(&mut self, n_values: usize, width: usize) {
        match self {
            Self::Time(column) => *column = TimestampMicrosecondBuilder::with_capacity(n_values).with_timezone("UTC"),
            Self::Text(column) if width > 0 => *column = BinaryBuilder::with_capacity(n_values, n_values * width),
            Self::Number(column) => *column = Float64Builder::with_capacity(n_values),
            Self::Integer(column) => *column = Int64Builder::with_capacity(n_values),
            Self::Text(_) | Self::Texts(_) | Self::Flag(_) => {}
        }
    }

    fn append_time(&mut self, time: Timestamp) {
        if let Self::Time(column) = self {
            column.append_value(time.0);
        }
    }

    /// The values so far.
    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Time(column) => Arc::new(std::mem::replace(column, TimestampMicrosecondBuilder::new().with_timezone("UTC")).finish()),
            Self::Text(column) => Arc::new(texts(column)),
            Self::Texts(column) => Arc::new(column.finish()),
            Self::Number(column) => Arc::new(column.finish()),
            Self::Integer(column) => Arc::new(column.finish()),
            Self::Flag(column) => Arc::new(column.finish()),
        }
    }
}

/// Position of a further scalar's column by the digest of its key, in the order of digests.
type Places = Vec<(u64, usize)>;

/// Decisions and their layers as columns.
pub(crate) struct RowColumns<'s> {
    decisions: Vec<Filling>,
    extras: Vec<Filling>,
    known_places: Places,
    outcome_places: Places,
    shapes: &'s Shapes,
    /// By the digest of the shape, of the outcome's part and of the decision's.
    plans: [HashMap<u64, Plan, BuildHasherDefault<Unhashed>>; 2],
    layers: Vec<Filling>,
    /// Columns that are known at the decision; the outcome's follow.
    n_known: usize,
    /// Positions of the columns whose names are noted.
    path_columns: [usize; 2],
    /// Of the layers: positions of the decision's id, and of the path whose names are noted.
    layer_columns: [usize; 2],
    n_rows: usize,
    n_layers: usize,
    paths: Names,
    layer_paths: Names,
}

/// Position of a column in a list.
fn position_of<T>(columns: &[Column<T>], name: &str) -> usize {
    columns.iter().position(|column| column.name == name).unwrap_or(columns.len())
}

/// The texts of a column; none where bytes are no text, which a damaged temporary file may hold.
fn texts(column: &mut BinaryBuilder) -> StringArray {
    let bytes = column.finish();
    let n_rows = bytes.len();
    StringArray::try_from_binary(bytes).unwrap_or_else(|_| StringArray::new_null(n_rows))
}

impl<'s> RowColumns<'s> {
    /// Columns for rows with these further scalars, each with the digest of its key, of these shapes. `n_expected`: rows that come before the
    /// first [`Self::finish_decisions`].
    pub(crate) fn new(extras: &[(u64, ExtraColumn)], shapes: &'s Shapes, n_expected: usize) -> Self {
        let places = |at_decision: bool| {
            let chosen = extras.iter().enumerate().filter(|(_, (_, extra))| known_at_decision(&extra.key) == at_decision);
            let mut places: Places = chosen.map(|(position, (digest, _))| (*digest, position)).collect();
            places.sort_unstable();
            places
        };
        let n_extras_expected = if extras.len() <= MANY { n_expected } else { 0 };
        Self {
            decisions: DECISION_COLUMNS.iter().map(|column| Filling::of(&column.access, n_expected)).collect(),
            extras: extras.iter().map(|(_, extra)| Filling::of_kind(extra.kind, n_extras_expected)).collect(),
            known_places: places(true),
            outcome_places: places(false),
            shapes,
            plans: Default::default(),
            layers: LAYER_COLUMNS.iter().map(|column| Filling::of(&column.access, 0)).collect(),
            n_known: DECISION_COLUMNS.iter().take_while(|column| column.known != Known::Outcome).count(),
            path_columns: ["path", "static_path"].map(|name| position_of(DECISION_COLUMNS, name)),
            layer_columns: ["trace_id", "selected_path"].map(|name| position_of(LAYER_COLUMNS, name)),
            n_rows: 0,
            n_layers: 0,
            paths: Names::default(),
            layer_paths: Names::default(),
        }
    }

    /// Rows and layers since the last [`Self::finish_decisions`] and [`Self::finish_layers`].
    pub(crate) fn lengths(&self) -> (usize, usize) {
        (self.n_rows, self.n_layers)
    }

    /// Every path that ran or that the rules chose.
    pub(crate) fn paths(&self) -> &BTreeSet<String> {
        &self.paths.all
    }

    /// Every path that a layer would have taken.
    pub(crate) fn layer_paths(&self) -> &BTreeSet<String> {
        &self.layer_paths.all
    }

    /// Appends a row.
    pub(crate) fn push(&mut self, timestamp: Timestamp, row: &[u8]) {
        let mut input = columns(row);
        let [known, outcome] = shapes(row);
        let [path_at, static_path_at] = self.path_columns;
        for (position, filling) in self.decisions.iter_mut().take(self.n_known).enumerate() {
            if position == path_at || position == static_path_at {
                note_name(input, &mut self.paths);
            }
            filling.take(timestamp, &mut input);
        }
        self.take_extras(known, true, &mut input);
        for _ in 0..input.length().min(input.0.len()) {
            self.n_layers += 1;
            let [id_at, selected_path_at] = self.layer_columns;
            for (position, filling) in self.layers.iter_mut().enumerate() {
                if position == id_at {
                    filling.take(timestamp, &mut columns(row));
                    continue;
                }
                if position == selected_path_at {
                    note_name(input, &mut self.layer_paths);
                }
                filling.take(timestamp, &mut input);
            }
        }
        self.decisions.iter_mut().skip(self.n_known).for_each(|filling| filling.take(timestamp, &mut input));
        self.take_extras(outcome, false, &mut input);
        self.n_rows += 1;
    }

    /// Appends the further scalars that come next, which have a shape.
    fn take_extras(&mut self, digest: u64, at_decision: bool, input: &mut Input<'_>) {
        let places = if at_decision { &self.known_places } else { &self.outcome_places };
        let plan = self.plans[usize::from(at_decision)].entry(digest).or_insert_with(|| Plan::of(self.shapes.get(digest), places));
        for (kind, place) in &plan.values {
            match place.and_then(|place| self.extras.get_mut(place)) {
                Some(column) => column.take_kind(*kind, input),
                None => skip_kind(*kind, input),
            }
        }
        for place in &plan.missing {
            if let Some(column) = self.extras.get_mut(*place) {
                column.append_null();
            }
        }
    }

    /// The decisions so far as arrays: canonical columns, then further scalars. `n_expected`: rows that come before the next call.
    pub(crate) fn finish_decisions(&mut self, n_expected: usize) -> Vec<ArrayRef> {
        self.n_rows = 0;
        self.decisions.iter_mut().chain(&mut self.extras).map(|filling| filling.finish(n_expected)).collect()
    }

    /// The layers so far as arrays. `n_expected`: layers that come before the next call.
    pub(crate) fn finish_layers(&mut self, n_expected: usize) -> Vec<ArrayRef> {
        self.n_layers = 0;
        self.layers.iter_mut().map(|filling| filling.finish(n_expected)).collect()
    }
}

/// Notes a name that comes next, without passing it.
fn note_name(mut input: Input<'_>, names: &mut Names) {
    if input.byte() == 0 {
        return;
    }
    // There are few, which are told apart by their bytes.
    let bytes = input.bytes();
    if names.known.iter().all(|known| **known != *bytes) {
        if names.known.len() < MAX_KNOWN {
            names.known.push(bytes.into());
        }
        let name = std::str::from_utf8(bytes).unwrap_or_default();
        if !names.all.contains(name) {
            names.all.insert(name.to_owned());
        }
    }
}

/// Names that were noted.
#[derive(Default)]
struct Names {
    all: BTreeSet<String>,
    /// The first of them.
    known: Vec<Box<[u8]>>,
}

/// Names that are known without a look at all of them.
const MAX_KNOWN: usize = 8;

/// Where the values of a shape go.
struct Plan {
    /// Kind and column of every value; what has no column is passed.
    values: Vec<(ExtraKind, Option<usize>)>,
    /// Columns that rows of the shape have nothing for.
    missing: Vec<usize>,
}

impl Plan {
    fn of(shape: &Shape, places: &Places) -> Self {
        let place_of = |key: u64| places.binary_search_by_key(&key, |(digest, _)| *digest).ok().map(|at| places[at].1);
        let values: Vec<_> = shape.iter().map(|(key, kind)| (*kind, place_of(*key))).collect();
        let is_missing = |place: &usize| values.iter().all(|(_, taken)| *taken != Some(*place));
        let missing = places.iter().map(|(_, place)| *place).filter(is_missing).collect();
        Self { values, missing }
    }
}

/// What comes back of a draft that becomes a row, columns, and a decision again.
#[cfg(test)]
pub(crate) fn round_trip(draft: &mut crate::draft::Draft<'_>) -> (routewright_domain::Decision, Vec<routewright_domain::LayerAttempt>) {
    use arrow::array::RecordBatch;
    use arrow::datatypes::Schema;
    use std::path::Path;

    use crate::draft::KnownVectors;
    use crate::parquet_file::{extra_fields, fields, take_columns, take_extras};
    use crate::rows::encode;

    draft.extras.settle();
    let mut row = Vec::new();
    encode(draft, &mut KnownVectors::default(), &mut row);
    let kinds = kinds_of(shapes(&row), &draft.extras.shapes);
    let extras = extra_columns(&kinds, &draft.extras.keys);
    let mut columns = RowColumns::new(&extras, &draft.extras.shapes, 1);
    columns.push(draft.timestamp, &row);
    let batch = |fields: Vec<arrow::datatypes::Field>, arrays| RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    let all_fields = fields(DECISION_COLUMNS).into_iter().chain(extra_fields(extras.iter().map(|(_, extra)| extra))).collect();
    let decisions = batch(all_fields, columns.finish_decisions(0));
    let mut decision = [routewright_domain::Decision::default()];
    take_columns(DECISION_COLUMNS, &decisions, &mut decision, Path::new("")).unwrap();
    let merged = extras.iter().map(|(_, extra)| (extra.key.clone(), extra.kind)).collect();
    take_extras(&decisions, &merged, &mut decision, Path::new("")).unwrap();
    let layers = batch(fields(LAYER_COLUMNS), columns.finish_layers(0));
    let mut attempts = vec![routewright_domain::LayerAttempt::default(); layers.num_rows()];
    take_columns(LAYER_COLUMNS, &layers, &mut attempts, Path::new("")).unwrap();
    let [decision] = decision;
    (decision, attempts)
}

/// The columns of further scalars, by name: the one kind that rows have, or text where they disagree.
pub(crate) fn extra_columns(kinds: &KindsByKey, keys: &crate::extras::Keys) -> Vec<(u64, ExtraColumn)> {
    let named = kinds.iter().filter_map(|(digest, bits)| Some((*digest, *bits, keys.name(*digest)?.to_owned())));
    let mut columns: Vec<(u64, ExtraColumn)> =
        named.map(|(digest, bits, key)| (digest, ExtraColumn { key, kind: one_kind(bits) })).collect();
    columns.sort_by(|a, b| a.1.key.cmp(&b.1.key));
    columns
}

fn one_kind(bits: u8) -> ExtraKind {
    KINDS.into_iter().find(|kind| bits == 1 << *kind as u8).unwrap_or(ExtraKind::Text)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;
    use routewright_domain::{Propensity, Scalar};

    use super::*;
    use crate::draft::{Draft, KnownVectors, LayerDraft};
    use crate::json::Json;
    use crate::json::tests::arena;
    use crate::rows::{encode, trace_id};

    fn full() -> Draft<'static> {
        let mut draft = Draft {
            trace_id: "t".into(),
            timestamp: Timestamp(5),
            query: "größer".into(),
            query_id: "q".into(),
            session_id: Some("s".into()),
            user_id: Some("u".into()),
            path: "A".into(),
            static_path: Some("B".into()),
            propensity: Some(Propensity::CERTAIN),
            candidates: vec!["A".into(), "B".into()],
            policy_id: Some("p".into()),
            explored: Some(true),
            tool_name: Some("tool".into()),
            confidence: Some(0.5),
            query_type: Some("chat".into()),
            complexity: Some("simple".into()),
            success: Some(false),
            latency_ms: Some(1.5),
            error: Some("timeout".into()),
            tool_execution_time_ms: Some(2.5),
            llm_calls: Some(-3),
            cost: Some(0.25),
            user_feedback: Some("positive".into()),
            response_length: Some(7),
            hallucination_detected: Some(true),
            quality_score: Some(0.75),
            optimal_path: Some("C".into()),
            ..Draft::default()
        };
        draft.propensities.set("B".into(), 0.25);
        draft.propensities.set("A".into(), 0.5);
        draft.propensities.set("A".into(), 0.75);
        draft.extras.take("context", "mode", &Json::Text(&"x".repeat(300)));
        draft.extras.take("execution_outcome", "tokens", &Json::Integer(1));
        draft.extras.take("execution_outcome", "tokens", &Json::Number(1.5));
        draft.extras.take(
            "query_features",
            "",
            &Json::parse(r#"{"keywords":["a",""],"points":[1,2],"deep":{"er":true},"none":null}"#, arena()).unwrap(),
        );
        draft
    }

    #[test]
    fn the_columns_of_outcomes_are_the_last() {
        assert!(DECISION_COLUMNS.is_sorted_by_key(|column| column.known == Known::Outcome));
    }

    #[test]
    fn every_field_comes_back_as_it_was() {
        let (decision, layers) = round_trip(&mut full());
        assert_eq!(full().into_parts(), (decision.clone(), layers.clone()));
        let expected = routewright_domain::Decision {
            trace_id: "t".into(),
            timestamp: Timestamp(5),
            query: "größer".into(),
            query_id: "q".into(),
            session_id: Some("s".into()),
            user_id: Some("u".into()),
            path: "A".into(),
            static_path: Some("B".into()),
            propensity: Some(Propensity::CERTAIN),
            propensities: BTreeMap::from([("A".to_owned(), 0.75), ("B".to_owned(), 0.25)]),
            candidates: vec!["A".into(), "B".into()],
            policy_id: Some("p".into()),
            explored: Some(true),
            tool_name: Some("tool".into()),
            confidence: Some(0.5),
            query_type: Some("chat".into()),
            complexity: Some("simple".into()),
            success: Some(false),
            latency_ms: Some(1.5),
            error: Some("timeout".into()),
            tool_execution_time_ms: Some(2.5),
            llm_calls: Some(-3),
            cost: Some(0.25),
            user_feedback: Some("positive".into()),
            response_length: Some(7),
            hallucination_detected: Some(true),
            quality_score: Some(0.75),
            optimal_path: Some("C".into()),
            extras: BTreeMap::from([
                ("context.mode".to_owned(), Scalar::Text("x".repeat(300))),
                ("execution_outcome.tokens".to_owned(), Scalar::Number(1.5)),
                ("query_features..deep.er".to_owned(), Scalar::Bool(true)),
                ("query_features..keywords".to_owned(), Scalar::List(vec!["a".into(), String::new()])),
            ]),
        };
        assert_eq!((decision, layers), (expected, Vec::new()));
    }

    #[test]
    fn layers_carry_the_id_and_time_of_their_decision() {
        let layer = LayerDraft {
            layer_id: 2,
            layer_name: Cow::Borrowed("rag"),
            success: Some(true),
            confidence: 0.5,
            threshold: Some(0.25),
            selected_path: Some("A".into()),
            latency_ms: Some(4.0),
            backend: Some("QDRANT".into()),
            cache_hit: Some(false),
        };
        let (_, layers) = round_trip(&mut Draft { layers: vec![layer.clone(), LayerDraft::default()], ..full() });
        let expected = routewright_domain::LayerAttempt {
            trace_id: "t".into(),
            timestamp: Timestamp(5),
            layer_id: 2,
            layer_name: "rag".into(),
            success: Some(true),
            confidence: 0.5,
            threshold: Some(0.25),
            selected_path: Some("A".into()),
            latency_ms: Some(4.0),
            backend: Some("QDRANT".into()),
            cache_hit: Some(false),
        };
        assert_eq!((layers.len(), &layers[0]), (2, &expected));
    }

    #[test]
    fn an_outcome_changes_only_the_bytes_after_the_decision() {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let (mut done, mut pending) = (full(), Draft { success: None, timestamp: Timestamp(9), ..full() });
        done.extras.settle();
        pending.extras.settle();
        let shape = encode(&done, &mut KnownVectors::default(), &mut first);
        let other = encode(&pending, &mut KnownVectors::default(), &mut second);
        assert_eq!((other.outcome_at, other.outcome_fields), (shape.outcome_at, shape.outcome_fields & !1));
        assert_eq!(first[..shape.outcome_at], second[..shape.outcome_at]);
        assert_eq!(shape.outcome_fields, 0b1000_0111_1111_1111);
    }

    #[test]
    fn a_settled_row_counts_its_keys_once_and_what_was_ignored() {
        let mut draft = full();
        draft.extras.settle();
        let (keys, _) = draft.extras.take_seen();
        let counts: Vec<(&str, [u64; 4], u64)> =
            keys.by_name().into_iter().map(|(name, (_, entry))| (name, entry.kinds, entry.ignored)).collect();
        assert_eq!(
            counts,
            [
                ("context.mode", [0, 0, 1, 0], 0),
                ("execution_outcome.tokens", [0, 1, 0, 0], 0),
                ("query_features..deep.er", [1, 0, 0, 0], 0),
                ("query_features..keywords", [0, 0, 0, 1], 0),
                ("query_features..points", [0; 4], 1),
            ]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_become_columns_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let capped: Vec<u8> = bytes.into_iter().map(|byte| byte & 0x0f).collect();
            let shapes = Shapes::default();
            RowColumns::new(&[], &shapes, 1).push(Timestamp(0), &capped);
            trace_id(&capped);
        }
    }
}
