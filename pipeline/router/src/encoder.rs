//! From a request to a feature row: the one encoder of the batch and of the online router.

use std::ops::Range;
use std::sync::Arc;

use routewright_domain::Timestamp;

use crate::embedder::{Embedder, EmbedderScratch, Embedding};
use crate::features::{FEATURES, HistoryInput, QueryInput, Write};
use crate::history::{History, Moment, Reading, stable_id};
use crate::profile::TextProfile;
use crate::request::Request;
use crate::schema::Schema;

/// What the history index needs to know of a query: where it lies in the embedding space, and its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuerySketch {
    /// Direction of the query's text.
    pub embedding: Embedding,
    /// Code of the query's type in the schema's dictionary: as logged, else the nearest type's.
    pub query_type: Option<u16>,
    /// A hash of the session's identity.
    pub session: Option<u64>,
}

/// Room for one query at a time; reused, so that encoding allocates nothing after the first few queries.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    profile: TextProfile,
    embedder: EmbedderScratch,
    reading: Reading,
    moment: Moment,
    /// A feature's columns before the dropped ones are taken out.
    wide: Vec<f32>,
}

/// Encodes requests under one schema. Shared by threads; each thread brings its own [`Scratch`].
#[derive(Clone, Debug)]
pub struct Encoder {
    schema: Arc<Schema>,
    embedder: Embedder,
    slices: Vec<Slice>,
    /// Whether a column reads the text's direction.
    reads_direction: bool,
    /// Whether a column reads the query's type, which the direction tells where it is not logged.
    reads_type: bool,
}

/// Where a feature's columns stand in the row.
#[derive(Clone, Debug)]
struct Slice {
    /// Position of the feature in [`FEATURES`].
    feature: usize,
    range: Range<usize>,
    /// Number of columns that the feature writes.
    n_written: usize,
    /// Which of them the schema keeps; empty where it keeps all.
    kept: Vec<usize>,
}

impl Slice {
    /// Writes the feature's columns into their part of the row.
    fn write(&self, row: &mut [f32], wide: &mut Vec<f32>, write: impl FnOnce(&mut [f32])) {
        let Some(slice) = row.get_mut(self.range.clone()) else { return };
        if self.kept.is_empty() {
            return write(slice);
        }
        wide.clear();
        wide.resize(self.n_written, f32::NAN);
        write(wide);
        for (number, &position) in slice.iter_mut().zip(&self.kept) {
            *number = wide[position];
        }
    }
}

impl Encoder {
    /// Unpacks the schema's tables.
    pub fn new(schema: Arc<Schema>) -> Self {
        let (mut slices, mut start) = (Vec::new(), 0);
        for (index, feature) in FEATURES.iter().enumerate().filter(|(_, feature)| schema.has_group(feature.name)) {
            let written = (feature.columns)(&schema);
            let kept: Vec<usize> = (0..written.len()).filter(|&position| !schema.is_dropped(&written[position].name)).collect();
            let range = start..start + kept.len();
            start = range.end;
            let drops_none = kept.len() == written.len();
            if !kept.is_empty() {
                slices.push(Slice { feature: index, range, n_written: written.len(), kept: if drops_none { Vec::new() } else { kept } });
            }
        }
        let reads = |group: &str| slices.iter().any(|slice| FEATURES[slice.feature].name == group);
        let reads_direction = reads("embedding") || (reads("history") && schema.history.looks_for_similar());
        let reads_type = reads("query_type") || reads("history");
        Self { embedder: Embedder::new(&schema.embedder), schema, slices, reads_direction, reads_type }
    }

    /// The schema of the rows.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Number of columns of a row.
    pub fn n_columns(&self) -> usize {
        self.schema.n_columns()
    }

    /// Writes the whole row: [`Self::encode_query`], then [`Self::encode_history`] as of the history's own time.
    ///
    /// The caller has advanced `history` to the request's time. `row`: [`Self::n_columns`] numbers; a shorter one is left as it is.
    pub fn encode(&self, request: &Request<'_>, history: &History, scratch: &mut Scratch, row: &mut [f32]) -> QuerySketch {
        let sketch = self.encode_query(request, scratch, row);
        self.encode_history(&sketch, request.timestamp, history, scratch, row);
        sketch
    }

    /// Writes the columns that depend on the request alone; rows of a batch may be written in parallel.
    ///
    /// `row`: [`Self::n_columns`] numbers; the columns of the history are left as they are.
    pub fn encode_query(&self, request: &Request<'_>, scratch: &mut Scratch, row: &mut [f32]) -> QuerySketch {
        scratch.profile.read(request.query);
        let logged_type = request.query_type.map(|query_type| self.schema.query_types().code(query_type) as u16);
        // A direction that no column depends on is not looked for: it takes as long as the other columns of a text.
        let is_embedded = self.reads_direction || (self.reads_type && logged_type.is_none());
        let embedding = if is_embedded { self.embedder.embed(request, &scratch.profile, &mut scratch.embedder) } else { Embedding::ZERO };
        let query_type = logged_type.or_else(|| self.schema.nearest_type(&embedding));
        let input = QueryInput {
            request,
            profile: &scratch.profile,
            schema: &self.schema,
            direction: scratch.embedder.direction(),
            query_type,
            is_type_logged: logged_type.is_some(),
        };
        for slice in &self.slices {
            if let Write::Query(write) = &FEATURES[slice.feature].write {
                slice.write(row, &mut scratch.wide, |columns| write(&input, columns));
            }
        }
        QuerySketch { embedding, query_type, session: request.session_id.map(stable_id) }
    }

    /// Writes the columns that depend on the past, as of `now`; rows must be written in time order, between advances.
    ///
    /// `row`: [`Self::n_columns`] numbers; all other columns are left as they are.
    pub fn encode_history(&self, sketch: &QuerySketch, now: Timestamp, history: &History, scratch: &mut Scratch, row: &mut [f32]) {
        if self.history_slice().is_some() {
            let mut moment = std::mem::take(&mut scratch.moment);
            history.read_moment(sketch, now, &mut moment);
            self.encode_moment(sketch, &moment, history, scratch, row);
            scratch.moment = moment;
        }
    }

    /// Writes the columns that depend on the past, as of a moment of the same history since its last filing; rows may be written in
    /// parallel, and get the same bits as by [`Self::encode_history`] at that moment.
    pub fn encode_moment(&self, sketch: &QuerySketch, moment: &Moment, history: &History, scratch: &mut Scratch, row: &mut [f32]) {
        let Some(slice) = self.history_slice() else { return };
        history.read(sketch, moment, &mut scratch.reading);
        let input = HistoryInput { reading: &scratch.reading, looks_for_similar: self.schema.history.looks_for_similar() };
        if let Write::History(write) = &FEATURES[slice.feature].write {
            slice.write(row, &mut scratch.wide, |columns| write(&input, columns));
        }
    }

    /// Where the columns that depend on the past stand; `None` where there are none.
    fn history_slice(&self) -> Option<&Slice> {
        self.slices.iter().find(|slice| matches!(FEATURES[slice.feature].write, Write::History(_)))
    }
}
