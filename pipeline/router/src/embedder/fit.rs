//! Fitting the projection: latent semantic analysis of the training window's texts by subspace iteration.

use routewright_domain::Seed;

use super::DIMENSIONS;
use super::hashed::{Buckets, CountScratch, FittedBucket, sublinear};
use super::spectrum::eigen;
use crate::profile::TextProfile;

/// Width of the subspace: the wanted components and some room, which speeds convergence.
pub(super) const WIDTH: usize = DIMENSIONS + 8;

/// Rounds of subspace iteration.
const N_ROUNDS: usize = 4;

/// Texts that must share a bucket before it is fitted: a word of one text tells nothing about others.
const MIN_TEXTS_PER_BUCKET: u32 = 2;

/// Share of the largest eigenvalue below which a direction is rounding error.
const RANK_TOLERANCE: f64 = 1e-9;

/// A fitted projection.
pub(super) struct Projection {
    pub mean: Vec<f32>,
    pub buckets: Vec<FittedBucket>,
}

/// Texts as sparse rows of bucket weights, unit length each.
struct Matrix {
    /// Ends of the rows in [`Self::entries`].
    ends: Vec<usize>,
    /// Bucket, counted among the kept ones, and weight.
    entries: Vec<(u32, f32)>,
    /// Mean weight of every bucket.
    mean: Vec<f32>,
}

/// Distinct texts, at most `max_texts`, chosen by their hash.
pub(super) fn distinct_sample<'a>(texts: impl Iterator<Item = &'a str>, max_texts: usize) -> Vec<&'a str> {
    let hash = |text: &str| Seed(0x7465_7874).derive(text, 0).0;
    let mut hashed: Vec<(u64, &str)> = texts.map(|text| (hash(text), text)).collect();
    hashed.sort_unstable();
    hashed.dedup();
    hashed.truncate(max_texts);
    hashed.into_iter().map(|(_, text)| text).collect()
}

/// Fits IDF and the leading components.
pub(super) fn fit_projection(texts: &[&str], buckets: Buckets, seed: Seed) -> Projection {
    let counts = count_buckets(texts, buckets);
    let mut n_texts_with = vec![0_u32; buckets.total()];
    for &(bucket, _) in counts.iter().flatten() {
        n_texts_with[bucket as usize] += 1;
    }
    let kept: Vec<usize> = (0..buckets.total()).filter(|&bucket| n_texts_with[bucket] >= MIN_TEXTS_PER_BUCKET).collect();
    let idf: Vec<f32> = kept.iter().map(|&bucket| rarity(texts.len(), n_texts_with[bucket])).collect();
    let matrix = Matrix::new(&counts, &kept, &idf, buckets);
    let mut basis: Vec<f32> = kept.iter().flat_map(|&bucket| random_row(seed, bucket)).collect();
    for _ in 0..N_ROUNDS {
        orthonormalise(&mut basis);
        basis = matrix.transpose_times(&matrix.times(&basis));
    }
    orthonormalise(&mut basis);
    let axes = principal_axes(&matrix, &basis);
    let directions = rotate(&basis, &axes);
    let mean = matrix.project_mean(&directions);
    let rows = directions.chunks_exact(WIDTH).map(|row| row[..DIMENSIONS].to_vec());
    let fitted = kept.iter().zip(idf).zip(rows);
    Projection {
        mean: mean[..DIMENSIONS].to_vec(),
        buckets: fitted.map(|((&bucket, idf), direction)| FittedBucket { position: bucket as u16, idf, direction }).collect(),
    }
}

/// Buckets and their counts, per text.
fn count_buckets(texts: &[&str], buckets: Buckets) -> Vec<Vec<(u32, u16)>> {
    let (mut profile, mut scratch) = (TextProfile::default(), CountScratch::default());
    let mut count = |text: &&str| {
        profile.read(text);
        scratch.count(&profile, buckets);
        let counts = &mut scratch.counts;
        scratch.touched.iter().map(|&bucket| (bucket, std::mem::take(&mut counts[bucket as usize]))).collect()
    };
    texts.iter().map(&mut count).collect()
}

/// Smoothed inverse document frequency.
fn rarity(n_texts: usize, n_texts_with: u32) -> f32 {
    (((1.0 + n_texts as f64) / (1.0 + f64::from(n_texts_with))).ln() + 1.0) as f32
}

/// A bucket's row of the first, random basis.
pub(super) fn random_row(seed: Seed, bucket: usize) -> impl Iterator<Item = f32> {
    let words = [seed.derive("basis", 2 * bucket as u64).0, seed.derive("basis", 2 * bucket as u64 + 1).0];
    (0..WIDTH).map(move |column| if words[column / 64] >> (column % 64) & 1 == 0 { 1.0 } else { -1.0 })
}

impl Matrix {
    /// Weighs the kept buckets of every text and scales each text to unit length.
    fn new(counts: &[Vec<(u32, u16)>], kept: &[usize], idf: &[f32], buckets: Buckets) -> Self {
        let mut position_of = vec![u32::MAX; buckets.total()];
        for (position, &bucket) in kept.iter().enumerate() {
            position_of[bucket] = position as u32;
        }
        let mut matrix = Self { ends: Vec::with_capacity(counts.len()), entries: Vec::new(), mean: vec![0.0; kept.len()] };
        for text in counts {
            let start = matrix.entries.len();
            for &(bucket, count) in text {
                let position = position_of[bucket as usize];
                if position != u32::MAX {
                    let weight = sublinear(count) * idf[position as usize] * buckets.family_weight(bucket as usize);
                    matrix.entries.push((position, weight));
                }
            }
            let row = &mut matrix.entries[start..];
            let length = row.iter().map(|(_, weight)| weight * weight).sum::<f32>().sqrt();
            for (position, weight) in row {
                *weight /= length;
                matrix.mean[*position as usize] += *weight / counts.len() as f32;
            }
            matrix.ends.push(matrix.entries.len());
        }
        matrix
    }

    /// The rows, one per text.
    fn rows(&self) -> impl Iterator<Item = &[(u32, f32)]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.entries[start..end])
    }

    /// The mean text, projected.
    fn project_mean(&self, basis: &[f32]) -> [f32; WIDTH] {
        let mut sums = [0.0; WIDTH];
        for (&mean, row) in self.mean.iter().zip(basis.chunks_exact(WIDTH)) {
            add_scaled(&mut sums, mean, row);
        }
        sums
    }

    /// Centred texts times a basis of kept buckets × [`WIDTH`].
    fn times(&self, basis: &[f32]) -> Vec<f32> {
        let mean = self.project_mean(basis);
        let mut product = vec![0.0; self.ends.len() * WIDTH];
        for (sums, row) in product.chunks_exact_mut(WIDTH).zip(self.rows()) {
            for &(position, weight) in row {
                add_scaled(sums, weight, &basis[position as usize * WIDTH..][..WIDTH]);
            }
            add_scaled(sums, -1.0, &mean);
        }
        product
    }

    /// Centred texts, transposed, times a matrix of texts × [`WIDTH`].
    fn transpose_times(&self, product: &[f32]) -> Vec<f32> {
        let mut result = vec![0.0; self.mean.len() * WIDTH];
        let mut total = [0.0; WIDTH];
        for (factors, row) in product.chunks_exact(WIDTH).zip(self.rows()) {
            for &(position, weight) in row {
                add_scaled(&mut result[position as usize * WIDTH..][..WIDTH], weight, factors);
            }
            add_scaled(&mut total, 1.0, factors);
        }
        for (sums, &mean) in result.chunks_exact_mut(WIDTH).zip(&self.mean) {
            add_scaled(sums, -mean, &total);
        }
        result
    }
}

/// `sums += factor · row`.
fn add_scaled(sums: &mut [f32], factor: f32, row: &[f32]) {
    for (sum, number) in sums.iter_mut().zip(row) {
        *sum += factor * number;
    }
}

/// `matrixᵀ · matrix` of a matrix with [`WIDTH`] columns.
pub(super) fn gram(matrix: &[f32]) -> Vec<f64> {
    let mut sums = vec![0.0; WIDTH * WIDTH];
    for row in matrix.chunks_exact(WIDTH) {
        for (sums, &a) in sums.chunks_exact_mut(WIDTH).zip(row) {
            for (sum, &b) in sums.iter_mut().zip(row) {
                *sum += f64::from(a) * f64::from(b);
            }
        }
    }
    sums
}

/// Turns every row by a matrix of [`WIDTH`] × [`WIDTH`].
pub(super) fn rotate(basis: &[f32], axes: &[f64]) -> Vec<f32> {
    let mut turned = Vec::with_capacity(basis.len());
    for row in basis.chunks_exact(WIDTH) {
        let mut sums = [0.0_f64; WIDTH];
        for (&number, axis) in row.iter().zip(axes.chunks_exact(WIDTH)) {
            for (sum, &entry) in sums.iter_mut().zip(axis) {
                *sum += f64::from(number) * entry;
            }
        }
        turned.extend(sums.map(|sum| sum as f32));
    }
    turned
}

/// Makes the columns orthonormal; directions that are rounding error become zero.
pub(super) fn orthonormalise(basis: &mut Vec<f32>) {
    let (values, vectors) = eigen(gram(basis), WIDTH);
    *basis = rotate(basis, &scaled_axes(&values, &vectors, 0.5));
}

/// Axes of falling variance of the projected texts.
fn principal_axes(matrix: &Matrix, basis: &[f32]) -> Vec<f64> {
    let (values, vectors) = eigen(gram(&matrix.times(basis)), WIDTH);
    // Not whitened: dividing components by their deviation changed log losses on real logs by less than .005, in either direction.
    scaled_axes(&values, &vectors, 0.0)
}

/// Eigenvectors divided by a power of their eigenvalue; zero where the eigenvalue is rounding error.
pub(super) fn scaled_axes(values: &[f64], vectors: &[f64], power: f64) -> Vec<f64> {
    let floor = values.first().copied().unwrap_or(0.0) * RANK_TOLERANCE;
    let scale: Vec<f64> = values.iter().map(|&value| if value > floor && value > 0.0 { value.powf(-power) } else { 0.0 }).collect();
    vectors.iter().enumerate().map(|(entry, &number)| number * scale[entry % WIDTH]).collect()
}
