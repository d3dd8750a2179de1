//! A sentence model's vectors, projected to the leading components of the training window's texts (principal component analysis).

use routewright_domain::Seed;
use serde::{Deserialize, Serialize};

use super::fit::{WIDTH, gram, orthonormalise, random_row, rotate, scaled_axes};
use super::spectrum::eigen;
use super::{DIMENSIONS, EmbedderSettings, base64, scale_to_unit};

/// Rounds of subspace iteration on the covariance, whose eigenvalues are the squares of a matrix's.
const N_ROUNDS: usize = 8;

/// Longest vector that is accepted.
const MAX_LENGTH: usize = 8192;

/// Which sentence model made the vectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentenceSource {
    /// Its name, for people.
    pub name: String,
    /// Digest of everything that its vectors depend on: model, tokenizer, length limit.
    pub digest: String,
    /// Numbers of a vector.
    pub dimensions: usize,
}

/// A projection of a sentence model's vectors: part of the feature schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentenceModel {
    source: SentenceSource,
    /// Mean of the training window's vectors.
    mean: Vec<f32>,
    /// One row of [`DIMENSIONS`] little-endian floats per number of a vector, as base 64.
    projection: String,
}

impl SentenceModel {
    /// Fits to texts with their vectors; at most `settings.max_texts` distinct texts count, chosen by their hash.
    pub(super) fn fit<'a>(
        texts: impl Iterator<Item = (&'a str, &'a [f32])>,
        settings: &EmbedderSettings,
        source: &SentenceSource,
        seed: Seed,
    ) -> Self {
        let n = source.dimensions;
        let mut hashed: Vec<(u64, &str, &[f32])> = texts
            .filter(|(_, vector)| vector.len() == n)
            .map(|(text, vector)| (Seed(0x7465_7874).derive(text, 0).0, text, vector))
            .collect();
        hashed.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        hashed.dedup_by(|a, b| a.1 == b.1);
        hashed.truncate(settings.max_texts);
        let vectors: Vec<&[f32]> = hashed.into_iter().map(|(_, _, vector)| vector).collect();
        let mean = mean(&vectors, n);
        let covariance = covariance(&vectors, &mean);
        let mut basis: Vec<f32> = (0..n).flat_map(|row| random_row(seed, row)).collect();
        for _ in 0..N_ROUNDS {
            orthonormalise(&mut basis);
            basis = times(&covariance, &basis);
        }
        orthonormalise(&mut basis);
        // `gram` of C·B has the eigenvectors of Bᵀ C B where B spans an invariant subspace, and their squared eigenvalues.
        let (values, vectors) = eigen(gram(&times(&covariance, &basis)), WIDTH);
        let directions = rotate(&basis, &scaled_axes(&values, &vectors, 0.0));
        let bytes = directions.chunks_exact(WIDTH).flat_map(|row| row[..DIMENSIONS].iter().flat_map(|number| number.to_le_bytes()));
        Self { source: source.clone(), mean, projection: base64::encode(&bytes.collect::<Vec<u8>>()) }
    }

    /// Which model's vectors are projected.
    pub fn source(&self) -> &SentenceSource {
        &self.source
    }

    /// Checks sizes and numbers.
    pub(super) fn check(&self) -> Result<(), String> {
        let n = self.source.dimensions;
        if !(1..=MAX_LENGTH).contains(&n) {
            return Err(format!("`dimensions` must be in 1 to {MAX_LENGTH}, found {n}"));
        }
        if self.mean.len() != n || !self.mean.iter().all(|number| number.is_finite()) {
            return Err(format!("`mean` must hold {n} finite numbers"));
        }
        let rows = self.rows().ok_or("`projection` is not base 64")?;
        let whole = rows.len() == n && rows.iter().flatten().all(|number| number.is_finite());
        if whole { Ok(()) } else { Err(format!("`projection` must hold {n} rows of {DIMENSIONS} finite numbers")) }
    }

    /// The projection's rows; `None` where they cannot be read.
    fn rows(&self) -> Option<Vec<[f32; DIMENSIONS]>> {
        let bytes = base64::decode(&self.projection)?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        let numbers: Vec<f32> = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
        let (rows, left) = numbers.as_chunks::<DIMENSIONS>();
        (rest.is_empty() && left.is_empty()).then(|| rows.to_vec())
    }
}

/// A projection ready for use.
#[derive(Clone, Debug)]
pub(crate) struct SentenceEmbedder {
    mean: Vec<f32>,
    rows: Vec<[f32; DIMENSIONS]>,
}

impl SentenceEmbedder {
    /// Unpacks a model that was checked.
    pub(super) fn new(model: &SentenceModel) -> Self {
        Self { mean: model.mean.clone(), rows: model.rows().unwrap_or_default() }
    }

    /// The direction of a vector: unit length, or zeros. `None` for a vector of another length or with numbers that are not finite.
    pub(super) fn direction(&self, sentence: &[f32]) -> Option<[f32; DIMENSIONS]> {
        if sentence.len() != self.rows.len() || !sentence.iter().all(|number| number.is_finite()) {
            return None;
        }
        let mut sums = [0.0_f32; DIMENSIONS];
        for ((number, mean), row) in sentence.iter().zip(&self.mean).zip(&self.rows) {
            for (sum, entry) in sums.iter_mut().zip(row) {
                *sum += (number - mean) * entry;
            }
        }
        scale_to_unit(&mut sums);
        Some(sums)
    }
}

/// Mean of the vectors, of length `n`; zeros without any.
fn mean(vectors: &[&[f32]], n: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f64; n];
    for vector in vectors {
        for (sum, number) in sums.iter_mut().zip(*vector) {
            *sum += f64::from(*number);
        }
    }
    sums.into_iter().map(|sum| (sum / vectors.len().max(1) as f64) as f32).collect()
}

/// Covariance of the vectors, row-major.
fn covariance(vectors: &[&[f32]], mean: &[f32]) -> Vec<f32> {
    let n = mean.len();
    let mut sums = vec![0.0_f32; n * n];
    let scale = 1.0 / vectors.len().max(1) as f32;
    let mut centred = vec![0.0_f32; n];
    for vector in vectors {
        for ((slot, number), mean) in centred.iter_mut().zip(*vector).zip(mean) {
            *slot = number - mean;
        }
        for (row, &factor) in sums.chunks_exact_mut(n).zip(&centred) {
            for (sum, number) in row.iter_mut().zip(&centred) {
                *sum += factor * scale * number;
            }
        }
    }
    sums
}

/// A square matrix times a basis with [`WIDTH`] columns.
fn times(matrix: &[f32], basis: &[f32]) -> Vec<f32> {
    let n = basis.len() / WIDTH;
    let mut product = vec![0.0_f32; basis.len()];
    for (sums, row) in product.chunks_exact_mut(WIDTH).zip(matrix.chunks_exact(n.max(1))) {
        for (&factor, entries) in row.iter().zip(basis.chunks_exact(WIDTH)) {
            for (sum, entry) in sums.iter_mut().zip(entries) {
                *sum += factor * entry;
            }
        }
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of 100 numbers that spread most along the third, then the first axis.
    fn fitted() -> SentenceModel {
        let source = SentenceSource { name: "test".to_owned(), digest: "d".to_owned(), dimensions: 100 };
        let vectors: Vec<Vec<f32>> = (0..200_i16)
            .map(|row| {
                let mut vector = vec![0.5; 100];
                vector[2] += f32::from(row % 20 - 10);
                vector[0] += 0.3 * f32::from(row % 7 - 3);
                vector
            })
            .collect();
        let texts: Vec<String> = (0..200).map(|row| format!("text {row}")).collect();
        let pairs = texts.iter().map(String::as_str).zip(vectors.iter().map(Vec::as_slice));
        SentenceModel::fit(pairs, &EmbedderSettings::default(), &source, Seed(1))
    }

    #[test]
    fn the_first_component_is_the_axis_of_the_largest_variance() {
        let model = fitted();
        assert_eq!(model.check(), Ok(()));
        let embedder = SentenceEmbedder::new(&model);
        let mut vector = model.mean.clone();
        vector[2] += 1.0;
        let direction = embedder.direction(&vector).unwrap();
        assert!(direction[0].abs() > 0.999, "{direction:?}");
        vector[2] -= 2.0;
        assert!(embedder.direction(&vector).unwrap()[0] * direction[0] < 0.0);
    }

    #[test]
    fn a_vector_of_another_length_or_with_holes_has_no_direction() {
        let embedder = SentenceEmbedder::new(&fitted());
        assert_eq!(embedder.direction(&[1.0; 99]), None);
        assert_eq!(embedder.direction(&[f32::NAN; 100]), None);
    }

    #[test]
    fn a_damaged_projection_is_refused() {
        let mut model = fitted();
        model.projection.truncate(model.projection.len() - 4);
        assert!(model.check().is_err());
    }
}
