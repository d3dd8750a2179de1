//! Predictions for many rows of a table.

use rayon::prelude::*;
use routewright_router::Forest;

use crate::matrix::Matrix;

/// Rows that one task predicts at a time: enough that a tree is fetched for many of them, few enough to stay in the second-level cache.
const CHUNK_ROWS: usize = 2048;

/// Predicts rows of a table, `n_outputs` numbers per entry of `rows`; equal to [`Forest::predict`] bit for bit.
///
/// The table's columns are those that the forest was grown on, in their order; columns that lack count as missing, others are not read.
pub fn predict(forest: &Forest, matrix: &Matrix<'_>, rows: &[u32]) -> Vec<f64> {
    let (n_features, n_outputs) = (forest.n_features(), forest.n_outputs());
    let mut out = vec![0.0; rows.len() * n_outputs];
    out.par_chunks_mut(CHUNK_ROWS * n_outputs).zip(rows.par_chunks(CHUNK_ROWS)).for_each_init(Vec::new, |buffer, (out, rows)| {
        buffer.clear();
        buffer.resize(rows.len() * n_features, f32::NAN);
        for column in 0..n_features.min(matrix.n_columns()) {
            let values = matrix.column(column);
            for (line, &row) in buffer.chunks_exact_mut(n_features).zip(rows) {
                line[column] = values[row as usize];
            }
        }
        forest.predict_rows(buffer, out);
    });
    out
}
