//! Time to code a table, to grow forests on it, and to predict with them.

use divan::{Bencher, black_box};
use rand::Rng as _;
use routewright_domain::Seed;
use routewright_forest::{Binned, ForestParams, MAX_BINS, Matrix, MaxFeatures, fit_classifier, fit_regressor, predict};

const N_COLUMNS: usize = 40;
const SIZES: [usize; 2] = [1_000, 10_000];

fn main() {
    divan::main();
}

/// Columns of noise and labels that follow three of them.
fn table(n_rows: usize) -> (Vec<Vec<f32>>, Vec<u16>) {
    let mut rng = Seed(1).rng();
    let columns: Vec<Vec<f32>> = (0..N_COLUMNS).map(|_| (0..n_rows).map(|_| rng.next_u32() as f32 / u32::MAX as f32).collect()).collect();
    let labels = (0..n_rows).map(|row| ((columns[0][row] + columns[1][row] + 0.3 * columns[2][row]) * 1.73) as u16 % 4).collect();
    (columns, labels)
}

#[divan::bench(args = SIZES)]
fn code(bencher: Bencher, n_rows: usize) {
    let (columns, _) = table(n_rows);
    bencher.bench(|| Matrix::new(black_box(&columns)).map(|matrix| Binned::new(&matrix, MAX_BINS)));
}

#[divan::bench(args = SIZES, sample_count = 5)]
fn classifier(bencher: Bencher, n_rows: usize) {
    let (columns, labels) = table(n_rows);
    let binned = Matrix::new(&columns).map(|matrix| Binned::new(&matrix, MAX_BINS));
    let rows: Vec<u32> = (0..n_rows as u32).collect();
    bencher.bench(|| binned.as_ref().map(|binned| fit_classifier(binned, &rows, &labels, 4, None, &ForestParams::default(), Seed(1))));
}

#[divan::bench(args = SIZES, sample_count = 5)]
fn regressor_on_all_columns(bencher: Bencher, n_rows: usize) {
    let (columns, labels) = table(n_rows);
    let target: Vec<f64> = labels.iter().zip(&columns[3]).map(|(&label, &noise)| f64::from(label) + f64::from(noise)).collect();
    let binned = Matrix::new(&columns).map(|matrix| Binned::new(&matrix, MAX_BINS));
    let rows: Vec<u32> = (0..n_rows as u32).collect();
    let params = ForestParams { max_features: MaxFeatures::All, min_samples_leaf: 5, ..ForestParams::default() };
    bencher.bench(|| binned.as_ref().map(|binned| fit_regressor(binned, &rows, &target, None, &params, Seed(1))));
}

#[divan::bench(args = SIZES)]
fn predictions(bencher: Bencher, n_rows: usize) {
    let (columns, labels) = table(n_rows);
    let rows: Vec<u32> = (0..n_rows as u32).collect();
    let Ok(matrix) = Matrix::new(&columns) else { return };
    let Ok(fitted) = fit_classifier(&Binned::new(&matrix, MAX_BINS), &rows, &labels, 4, None, &ForestParams::default(), Seed(1)) else {
        return;
    };
    bencher.bench(|| predict(&fitted.forest, &matrix, &rows));
}
