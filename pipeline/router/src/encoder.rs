//! From a request to a feature row: the one encoder of the batch and of the online router.

use std::ops::Range;
use std::sync::Arc;

use routewright_domain::Timestamp;

use crate::embedder::{Embedder, EmbedderScratch, Embedding};
use crate::features::{FEATURES, Feature, HistoryInput, QueryInput, Write};
use crate::history::{History, Reading};
use crate::profile::TextProfile;
use crate::request::Request;
use crate::schema::Schema;

/// What the history index needs to know of a query: where it lies in the embedding space, and its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuerySketch {
    /// Direction of the query's text.
    pub embedding: Embedding,
    /// Code of the query's type in the schema's dictionary.
    pub query_type: Option<u16>,
}

/// Room for one query at a time; reused, so that encoding allocates nothing after the first few queries.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    profile: TextProfile,
    embedder: EmbedderScratch,
    reading: Reading,
}

/// Encodes requests under one schema. Shared by threads; each thread brings its own [`Scratch`].
#[derive(Clone, Debug)]
pub struct Encoder {
    schema: Arc<Schema>,
    embedder: Embedder,
    slices: Vec<(usize, Range<usize>)>,
}

impl Encoder {
    /// Unpacks the schema's tables.
    pub fn new(schema: Arc<Schema>) -> Self {
        let mut slices = Vec::new();
        let mut start = 0;
        for (index, feature) in FEATURES.iter().enumerate() {
            let n_columns = schema.columns().iter().filter(|column| column.group == feature.name).count();
            if n_columns > 0 {
                slices.push((index, start..start + n_columns));
                start += n_columns;
            }
        }
        Self { embedder: Embedder::new(&schema.embedder), schema, slices }
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
        let embedding = self.embedder.embed(&scratch.profile, &mut scratch.embedder);
        let query_type = request.query_type.map(|query_type| self.schema.query_types().code(query_type) as u16);
        let input =
            QueryInput { request, profile: &scratch.profile, schema: &self.schema, direction: scratch.embedder.direction(), query_type };
        for (feature, range) in self.features() {
            if let (Write::Query(write), Some(slice)) = (&feature.write, row.get_mut(range)) {
                write(&input, slice);
            }
        }
        QuerySketch { embedding, query_type }
    }

    /// Writes the columns that depend on the past, as of `now`; rows must be written in time order, between advances.
    ///
    /// `row`: [`Self::n_columns`] numbers; all other columns are left as they are.
    pub fn encode_history(&self, sketch: &QuerySketch, now: Timestamp, history: &History, scratch: &mut Scratch, row: &mut [f32]) {
        let Some((feature, range)) = self.features().find(|(feature, _)| matches!(feature.write, Write::History(_))) else {
            return;
        };
        history.read(sketch, now, &mut scratch.reading);
        if let (Write::History(write), Some(slice)) = (&feature.write, row.get_mut(range)) {
            write(&HistoryInput { reading: &scratch.reading }, slice);
        }
    }

    /// The features that are encoded, each with its part of the row.
    fn features(&self) -> impl Iterator<Item = (&'static Feature, Range<usize>)> {
        self.slices.iter().map(|(index, range)| (&FEATURES[*index], range.clone()))
    }
}
