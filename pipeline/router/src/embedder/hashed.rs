//! The built-in embedder: words and character n-grams, hashed, weighted by rarity, projected to a short vector.
//!
//! A text becomes weights `(1 + ln count) · idf · family` over hashed words and over n-grams of 3 to 5 bytes of every word,
//! scaled to unit length, projected to [`DIMENSIONS`] numbers and scaled again. The projection and the IDF are fitted on the
//! training window's texts (latent semantic analysis: Deerwester et al. 1990, by subspace iteration: Halko, Martinsson, Tropp 2011),
//! so that words of one topic point the same way; with too few texts they are seeded random signs and 1. No outcome is ever used.

use routewright_domain::Seed;
use serde::{Deserialize, Serialize};

use super::{DIMENSIONS, EmbedderSettings, base64, fit, scale_to_unit};
use crate::profile::TextProfile;

/// Weight of an n-gram beside a whole word: a word has about a dozen n-grams, so the two families weigh about the same.
const GRAM_WEIGHT: f32 = 0.3;

/// Bytes of a word that n-grams are taken from; longer "words" are data.
const MAX_WORD_BYTES: usize = 48;

/// Bytes of one fitted bucket in the table: position, idf, scale, one byte per dimension.
const RECORD_BYTES: usize = 2 + 4 + 4 + DIMENSIONS;

/// What the built-in embedder was fitted to: part of the feature schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HashedModel {
    word_buckets: usize,
    gram_buckets: usize,
    /// Seed of the random signs.
    seed: Seed,
    /// Distinct texts that were seen; 0 where the projection is random signs.
    n_texts: usize,
    /// Mean of the projected texts; empty where the projection is random signs.
    mean: Vec<f32>,
    /// Fitted buckets by position, [`RECORD_BYTES`] each, as base 64; empty where the projection is random signs.
    table: String,
}

/// One bucket of a fitted projection.
pub(super) struct FittedBucket {
    pub position: u16,
    pub idf: f32,
    pub direction: Vec<f32>,
}

impl HashedModel {
    /// Fits to the texts of the training window; their order and repetitions do not matter.
    pub(super) fn fit<'a>(texts: impl Iterator<Item = &'a str>, settings: &EmbedderSettings, seed: Seed) -> Self {
        let mut model = Self {
            word_buckets: settings.word_buckets,
            gram_buckets: settings.gram_buckets,
            seed,
            n_texts: 0,
            mean: Vec::new(),
            table: String::new(),
        };
        if model.check().is_err() {
            return model;
        }
        let texts = fit::distinct_sample(texts, settings.max_texts);
        if texts.len() < settings.min_texts {
            return model;
        }
        let fitted = fit::fit_projection(&texts, model.buckets(), seed);
        model.n_texts = texts.len();
        model.mean = fitted.mean;
        model.table = base64::encode(&fitted.buckets.iter().flat_map(FittedBucket::to_record).collect::<Vec<u8>>());
        model
    }

    /// Whether the projection was fitted, rather than drawn.
    pub(super) fn is_fitted(&self) -> bool {
        self.n_texts > 0
    }

    /// Checks sizes and numbers.
    pub(super) fn check(&self) -> Result<(), String> {
        for (name, count) in [("word_buckets", self.word_buckets), ("gram_buckets", self.gram_buckets)] {
            if !(count.is_power_of_two() && (16..=32_768).contains(&count)) {
                return Err(format!("`{name}` must be a power of two from 16 to 32768, found {count}"));
            }
        }
        if self.is_fitted() && (self.mean.len() != DIMENSIONS || !self.mean.iter().all(|number| number.is_finite())) {
            return Err(format!("`mean` must hold {DIMENSIONS} finite numbers"));
        }
        let buckets = self.fitted_buckets()?;
        let n_buckets = self.buckets().total();
        let ascending = buckets.windows(2).all(|pair| pair[0].position < pair[1].position);
        let in_range = buckets.iter().all(|bucket| usize::from(bucket.position) < n_buckets);
        let finite = buckets.iter().all(|bucket| bucket.idf.is_finite() && bucket.direction.iter().all(|number| number.is_finite()));
        if ascending && in_range && finite { Ok(()) } else { Err("`table` holds buckets that are out of order or not finite".to_owned()) }
    }

    /// The fitted buckets.
    fn fitted_buckets(&self) -> Result<Vec<FittedBucket>, String> {
        let bytes = base64::decode(&self.table).ok_or("`table` is not base 64")?;
        let records = bytes.chunks_exact(RECORD_BYTES);
        if records.remainder().is_empty() {
            Ok(records.map(FittedBucket::from_record).collect())
        } else {
            Err("`table` is cut short".to_owned())
        }
    }

    fn buckets(&self) -> Buckets {
        Buckets { words: self.word_buckets, grams: self.gram_buckets }
    }
}

impl FittedBucket {
    /// Position, idf and scale, then one signed byte per dimension.
    fn to_record(&self) -> Vec<u8> {
        let largest = self.direction.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
        let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        let mut record = Vec::with_capacity(RECORD_BYTES);
        record.extend(self.position.to_le_bytes());
        record.extend(self.idf.to_le_bytes());
        record.extend(scale.to_le_bytes());
        record.extend(self.direction.iter().map(|number| ((number / scale).round() as i8) as u8));
        record
    }

    /// Reads what [`Self::to_record`] wrote; `record` has [`RECORD_BYTES`].
    fn from_record(record: &[u8]) -> Self {
        let scale = f32::from_le_bytes([record[6], record[7], record[8], record[9]]);
        Self {
            position: u16::from_le_bytes([record[0], record[1]]),
            idf: f32::from_le_bytes([record[2], record[3], record[4], record[5]]),
            direction: record[10..].iter().map(|byte| f32::from(*byte as i8) * scale).collect(),
        }
    }
}

/// How tokens are hashed to buckets: words first, then n-grams.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buckets {
    words: usize,
    grams: usize,
}

impl Buckets {
    /// Number of buckets.
    pub(super) fn total(self) -> usize {
        self.words + self.grams
    }

    /// Weight of a bucket's family.
    pub(super) fn family_weight(self, bucket: usize) -> f32 {
        if bucket < self.words { 1.0 } else { GRAM_WEIGHT }
    }

    /// Calls `found` with the bucket of every word and n-gram.
    fn for_each(self, profile: &TextProfile, mut found: impl FnMut(usize)) {
        for word in profile.words() {
            found(mix(word.bytes().fold(FNV_OFFSET, fnv)) & (self.words - 1));
            let bytes = &word.as_bytes()[..word.len().min(MAX_WORD_BYTES)];
            let at = |position: usize| match position {
                0 => b'<',
                _ => bytes.get(position - 1).copied().unwrap_or(b'>'),
            };
            let n_marked = bytes.len() + 2;
            for start in 0..n_marked.saturating_sub(2) {
                let mut hash = (start..start + 3).map(at).fold(FNV_OFFSET ^ 0x5bd1, fnv);
                found(self.words + (mix(hash) & (self.grams - 1)));
                for end in [start + 3, start + 4] {
                    if end < n_marked {
                        hash = fnv(hash, at(end));
                        found(self.words + (mix(hash) & (self.grams - 1)));
                    }
                }
            }
        }
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// One step of FNV-1a.
fn fnv(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

/// Spreads the upper bits of a hash over the lower ones, which choose the bucket.
fn mix(hash: u64) -> usize {
    let spread = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (spread >> 40) as usize
}

/// Weight of a token by how often it occurs in the text.
pub(super) fn sublinear(count: u16) -> f32 {
    1.0 + f32::from(count).ln()
}

/// Room for one text, reused.
#[derive(Clone, Debug, Default)]
pub(crate) struct CountScratch {
    pub(super) counts: Vec<u16>,
    pub(super) touched: Vec<u32>,
}

impl CountScratch {
    /// Counts the buckets of a text into [`Self::touched`] and [`Self::counts`].
    pub(super) fn count(&mut self, profile: &TextProfile, buckets: Buckets) {
        self.counts.resize(buckets.total(), 0);
        self.touched.clear();
        let (counts, touched) = (&mut self.counts, &mut self.touched);
        buckets.for_each(profile, |bucket| {
            if counts[bucket] == 0 {
                touched.push(bucket as u32);
            }
            counts[bucket] = counts[bucket].saturating_add(1);
        });
    }
}

/// An embedder ready for use: the model's tables unpacked.
#[derive(Clone, Debug)]
pub(crate) struct HashedEmbedder {
    buckets: Buckets,
    /// Rarity times family weight per bucket; 0 where the bucket was not fitted.
    weights: Vec<f32>,
    /// One direction per bucket.
    directions: Vec<[f32; DIMENSIONS]>,
    /// Row of a bucket in [`Self::directions`].
    rows: Vec<u32>,
    mean: [f32; DIMENSIONS],
}

impl HashedEmbedder {
    /// Unpacks a model; buckets of a model that was not checked are left out where they do not fit.
    pub(crate) fn new(model: &HashedModel) -> Self {
        let buckets = model.buckets();
        let mut embedder = Self {
            buckets,
            weights: vec![0.0; buckets.total()],
            directions: Vec::new(),
            rows: vec![0; buckets.total()],
            mean: [0.0; DIMENSIONS],
        };
        let fitted = if model.is_fitted() { model.fitted_buckets().unwrap_or_default() } else { random_signs(buckets, model.seed) };
        for bucket in fitted {
            let position = usize::from(bucket.position);
            let Ok(direction) = <[f32; DIMENSIONS]>::try_from(bucket.direction) else { continue };
            if position < buckets.total() {
                embedder.weights[position] = bucket.idf * buckets.family_weight(position);
                embedder.rows[position] = embedder.directions.len() as u32;
                embedder.directions.push(direction);
            }
        }
        for (mean, number) in embedder.mean.iter_mut().zip(&model.mean) {
            *mean = *number;
        }
        embedder
    }

    /// The direction of a text: unit length, or zeros.
    pub(super) fn direction(&self, profile: &TextProfile, scratch: &mut CountScratch) -> [f32; DIMENSIONS] {
        scratch.count(profile, self.buckets);
        let mut sums = [0.0_f32; DIMENSIONS];
        let mut squares = 0.0_f32;
        for &bucket in &scratch.touched {
            let bucket = bucket as usize;
            let count = std::mem::take(&mut scratch.counts[bucket]);
            let rarity = self.weights[bucket];
            if rarity > 0.0 {
                let weight = rarity * if count == 1 { 1.0 } else { sublinear(count) };
                squares += weight * weight;
                let direction = &self.directions[self.rows[bucket] as usize];
                for (sum, number) in sums.iter_mut().zip(direction) {
                    *sum += weight * number;
                }
            }
        }
        let length = squares.sqrt();
        if length > 0.0 {
            for (sum, mean) in sums.iter_mut().zip(&self.mean) {
                *sum = *sum / length - mean;
            }
        }
        scale_to_unit(&mut sums);
        sums
    }
}

/// The projection of an embedder that was not fitted: a random sign per bucket and dimension.
fn random_signs(buckets: Buckets, seed: Seed) -> Vec<FittedBucket> {
    let scale = 1.0 / (DIMENSIONS as f32).sqrt();
    let signs = |position: usize| {
        let word = seed.derive("signs", position as u64).0;
        (0..DIMENSIONS).map(|bit| if word >> bit & 1 == 0 { scale } else { -scale }).collect()
    };
    (0..buckets.total()).map(|position| FittedBucket { position: position as u16, idf: 1.0, direction: signs(position) }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::RngExt;

    use super::*;
    use crate::embedder::Embedding;

    fn embed(embedder: &HashedEmbedder, text: &str) -> Embedding {
        let mut profile = TextProfile::default();
        profile.read(text);
        Embedding::of(&embedder.direction(&profile, &mut CountScratch::default()))
    }

    /// Texts of two topics; two texts of one topic may share no word of it.
    fn two_topics() -> Vec<String> {
        let weather = "rain sun wind cloud storm snow fog hail frost thaw drizzle breeze".split(' ').collect::<Vec<_>>();
        let code = "rust loop borrow trait async enum slice macro crate cargo clippy match".split(' ').collect::<Vec<_>>();
        let mut rng = Seed(7).rng();
        let mut text = |words: &[&str]| (0..6).map(|_| words[rng.random_range(0..words.len())]).collect::<Vec<_>>().join(" ");
        (0..300).flat_map(|_| [text(&weather), text(&code)]).collect()
    }

    #[test]
    fn the_first_component_of_a_fitted_embedder_tells_two_topics_apart() {
        let texts = two_topics();
        let model = HashedModel::fit(texts.iter().map(String::as_str), &EmbedderSettings::default(), Seed(1));
        assert!(model.is_fitted());
        let embedder = HashedEmbedder::new(&model);
        let first = |text| f64::from(embed(&embedder, text).0[0]) / 127.0;
        let (weather, code) = (["rain", "snow storm", "fog and hail"], ["rust", "trait loop", "cargo clippy"]);
        let side = first("rain").signum();
        assert!(weather.iter().all(|text| side * first(text) > 0.1), "{:?}", weather.map(first));
        assert!(code.iter().all(|text| side * first(text) < -0.1), "{:?}", code.map(first));
    }

    #[test]
    fn too_few_texts_leave_random_signs_which_keep_equal_texts_together() {
        let model = HashedModel::fit(["a b c", "d e f"].into_iter(), &EmbedderSettings::default(), Seed(1));
        assert!(!model.is_fitted());
        let embedder = HashedEmbedder::new(&model);
        let text = embed(&embedder, "restart the payment server");
        assert!(text.cosine(&embed(&embedder, "please restart the payment server")) > 0.7);
        assert!(text.cosine(&embed(&embedder, "write me a poem about summer")) < 0.5);
    }

    #[test]
    fn order_and_repetition_of_the_texts_do_not_matter() {
        let texts = two_topics();
        let forward = HashedModel::fit(texts.iter().map(String::as_str), &EmbedderSettings::default(), Seed(1));
        let backward = texts.iter().rev().chain(&texts).map(String::as_str);
        assert_eq!(forward, HashedModel::fit(backward, &EmbedderSettings::default(), Seed(1)));
    }

    #[test]
    fn a_damaged_table_is_refused() {
        let texts = two_topics();
        let mut model = HashedModel::fit(texts.iter().map(String::as_str), &EmbedderSettings::default(), Seed(1));
        assert_eq!(model.check(), Ok(()));
        model.table.truncate(model.table.len() - 4);
        assert!(model.check().is_err());
    }

    proptest! {
        #[test]
        fn every_text_has_unit_length_or_none(text in "\\PC{0,80}") {
            let model = HashedModel::fit(std::iter::empty(), &EmbedderSettings::default(), Seed(3));
            let embedding = embed(&HashedEmbedder::new(&model), &text);
            let length = embedding.cosine(&embedding);
            // Rounding moves each of 64 numbers by at most half a 127th: 3 % of the length, 6 % of its square.
            prop_assert!(embedding == Embedding::ZERO || (length - 1.0).abs() < 0.07, "{}", length);
        }
    }
}
