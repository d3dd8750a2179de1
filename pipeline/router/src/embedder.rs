//! Embeddings: a text's direction in a space where texts of one topic lie together.
//!
//! The built-in embedder (`hashed`) needs nothing but the text. A sentence model runs outside this crate and hands its vectors in with
//! the [`Request`](crate::Request); here they are only projected (`sentence`). Either gives [`DIMENSIONS`] numbers of unit length.

mod base64;
mod fit;
mod hashed;
mod sentence;
mod spectrum;

use routewright_domain::Seed;
use serde::{Deserialize, Serialize};

use crate::profile::TextProfile;
use crate::request::Request;
use hashed::{CountScratch, HashedEmbedder};
use sentence::SentenceEmbedder;

pub use hashed::HashedModel;
pub use sentence::{SentenceModel, SentenceSource};

/// Length of an embedding.
pub const DIMENSIONS: usize = 64;

/// The largest number below a half: added to the number below a half it stays below one.
const HALF: f32 = 0.499_999_97;

/// A text's direction, each number a signed 127th: similarities are whole numbers, the same on every machine.
///
/// The numbers fit a byte, and take one in files; two bytes in memory spare the widening in every similarity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Embedding(pub(crate) [i16; DIMENSIONS]);

/// Settings of the embedder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbedderSettings {
    /// Buckets that words are hashed to; a power of two.
    pub word_buckets: usize,
    /// Buckets that n-grams are hashed to; a power of two.
    pub gram_buckets: usize,
    /// Leading components that become columns; at most [`DIMENSIONS`].
    pub columns: usize,
    /// Distinct texts the projection is fitted on, at most.
    pub max_texts: usize,
    /// Distinct texts below which the projection is random signs.
    pub min_texts: usize,
}

impl Default for EmbedderSettings {
    fn default() -> Self {
        Self { word_buckets: 8192, gram_buckets: 4096, columns: 16, max_texts: 8192, min_texts: 100 }
    }
}

/// What turns texts into directions: part of the feature schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "backend", rename_all = "snake_case")]
pub enum EmbedderModel {
    /// The built-in embedder.
    Hashed(HashedModel),
    /// A projection of a sentence model's vectors.
    Sentence(SentenceModel),
}

impl EmbedderModel {
    /// Fits to the texts of the training window; their order and repetitions do not matter.
    ///
    /// With a `source`, the requests' [`sentence`](Request::sentence) vectors are used, without one their texts.
    pub(crate) fn fit<'a>(
        requests: impl Iterator<Item = Request<'a>>,
        settings: &EmbedderSettings,
        source: Option<&SentenceSource>,
        seed: Seed,
    ) -> Self {
        match source {
            None => Self::Hashed(HashedModel::fit(requests.map(|request| request.query), settings, seed)),
            Some(source) => {
                let texts = requests.filter_map(|request| Some((request.query, request.sentence?)));
                Self::Sentence(SentenceModel::fit(texts, settings, source, seed))
            }
        }
    }

    /// Whether components stand by falling variance over the training window, rather than being drawn.
    pub fn is_fitted(&self) -> bool {
        match self {
            Self::Hashed(model) => model.is_fitted(),
            Self::Sentence(_) => true,
        }
    }

    /// The sentence model whose vectors requests must carry; `None` for the built-in embedder.
    pub fn sentence_source(&self) -> Option<&SentenceSource> {
        match self {
            Self::Hashed(_) => None,
            Self::Sentence(model) => Some(model.source()),
        }
    }

    /// Checks sizes and numbers, and that `columns` exist.
    pub(crate) fn check(&self, columns: usize) -> Result<(), String> {
        if columns > DIMENSIONS {
            return Err(format!("`columns` must be at most {DIMENSIONS}, found {columns}"));
        }
        match self {
            Self::Hashed(model) => model.check(),
            Self::Sentence(model) => model.check(),
        }
    }
}

/// Room for one text, reused.
#[derive(Clone, Debug, Default)]
pub(crate) struct EmbedderScratch {
    counts: CountScratch,
    direction: Vec<f32>,
}

impl EmbedderScratch {
    /// The direction of the text embedded last: [`DIMENSIONS`] numbers of unit length, or zeros; empty where it could not be embedded.
    pub(crate) fn direction(&self) -> &[f32] {
        &self.direction
    }
}

/// An embedder ready for use: the model's tables unpacked.
#[derive(Clone, Debug)]
pub(crate) enum Embedder {
    Hashed(Box<HashedEmbedder>),
    Sentence(SentenceEmbedder),
}

impl Embedder {
    /// Unpacks a model.
    pub(crate) fn new(model: &EmbedderModel) -> Self {
        match model {
            EmbedderModel::Hashed(model) => Self::Hashed(Box::new(HashedEmbedder::new(model))),
            EmbedderModel::Sentence(model) => Self::Sentence(SentenceEmbedder::new(model)),
        }
    }

    /// Embeds a text; `scratch` then holds the direction unrounded. Without the vector that a sentence model needs, no direction is known.
    pub(crate) fn embed(&self, request: &Request<'_>, profile: &TextProfile, scratch: &mut EmbedderScratch) -> Embedding {
        scratch.direction.clear();
        let direction = match self {
            Self::Hashed(embedder) => Some(embedder.direction(profile, &mut scratch.counts)),
            Self::Sentence(embedder) => request.sentence.and_then(|sentence| embedder.direction(sentence)),
        };
        let Some(direction) = direction else { return Embedding::ZERO };
        scratch.direction.extend_from_slice(&direction);
        Embedding::of(&direction)
    }
}

/// Scales a vector to unit length; zeros stay.
fn scale_to_unit(vector: &mut [f32]) {
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    if length > f32::MIN_POSITIVE {
        for number in vector {
            *number /= length;
        }
    }
}

impl Embedding {
    /// A text without direction.
    pub const ZERO: Self = Self([0; DIMENSIONS]);

    /// A direction, rounded.
    pub(crate) fn of(direction: &[f32; DIMENSIONS]) -> Self {
        // As `f32::round`, half away from zero, which is a call of a function where the machine is not known to have an instruction for it.
        Self(direction.map(|number| (number * 127.0 + HALF.copysign(number)) as i16))
    }

    /// The numbers, in 127ths.
    pub fn components(&self) -> &[i16; DIMENSIONS] {
        &self.0
    }

    /// Similarity as a whole number: the cosine times 127², up to rounding.
    pub(crate) fn dot(&self, other: &Self) -> i32 {
        // Products added in pairs, four pairs side by side: one instruction for eight numbers on every x86-64 (`pmaddwd`), which a plain sum does not get.
        let mut sums = [0; 4];
        for (ours, theirs) in self.0.as_chunks::<8>().0.iter().zip(other.0.as_chunks::<8>().0) {
            let product = |number: usize| i32::from(ours[number]) * i32::from(theirs[number]);
            for (pair, sum) in sums.iter_mut().enumerate() {
                *sum += product(2 * pair) + product(2 * pair + 1);
            }
        }
        sums.iter().sum()
    }

    /// Cosine of the angle between two texts, in [-1, 1] up to rounding.
    pub fn cosine(&self, other: &Self) -> f64 {
        f64::from(self.dot(other)) / (127.0 * 127.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn directions_are_rounded_half_away_from_zero(numbers in prop::collection::vec(prop_oneof![
            -1.0..1.0_f32,
            (-254..=254_i16).prop_map(|halves| f32::from(halves) / 254.0),
            (-254..=254_i16).prop_map(|halves| (f32::from(halves) / 254.0).next_down()),
        ], DIMENSIONS)) {
            let direction = <[f32; DIMENSIONS]>::try_from(numbers).unwrap();
            prop_assert_eq!(Embedding::of(&direction).0, direction.map(|number| f32::round(number * 127.0) as i16));
        }
    }
}
