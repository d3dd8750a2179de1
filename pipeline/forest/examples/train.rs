//! Trains a classifier, and a regressor of the class's number, on a generated table, or on one written as raw numbers, and prints times and scores.
//!
//! `train 100000` generates 100,000 training rows with 40 columns and 4 classes, 10,000 more for testing. `train FOLDER` reads
//! `train.f32`, `test.f32` (little-endian, row after row, 40 columns) and `train.u16`, `test.u16`, so that another library can be
//! trained on exactly the same numbers. A second argument is the number of repeats, whose median is printed.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example stands at the edge: it reads files and a clock, and prints"
)]

use std::error::Error;
use std::time::Instant;

use rand::{Rng as _, RngExt as _};
use routewright_domain::Seed;
use routewright_forest::{Binned, Classified, ForestParams, MAX_BINS, Matrix, MaxFeatures, fit_classifier, fit_regressor, predict};

const N_COLUMNS: usize = 40;
const N_CLASSES: usize = 4;
const N_TEST: usize = 10_000;

/// Columns and labels.
type Table = (Vec<Vec<f32>>, Vec<u16>);

fn main() -> Result<(), Box<dyn Error>> {
    let source = std::env::args().nth(1).unwrap_or_else(|| "10000".to_owned());
    let n_repeats: usize = std::env::args().nth(2).map_or(Ok(1), |text| text.parse())?;
    let (train, test) = match source.parse::<usize>() {
        Ok(n_rows) => (generate(n_rows, 1), generate(N_TEST, 2)),
        Err(_) => (read(&source, "train")?, read(&source, "test")?),
    };
    let (train_matrix, test_matrix) = (Matrix::new(&train.0)?, Matrix::new(&test.0)?);
    let rows: Vec<u32> = (0..train_matrix.n_rows() as u32).collect();
    let test_rows: Vec<u32> = (0..test_matrix.n_rows() as u32).collect();
    let params = ForestParams::default();
    let (mut walls, mut cpus, mut predict_walls) = (Vec::new(), Vec::new(), Vec::new());
    let (mut accuracy, mut log_loss, mut n_nodes, mut n_bytes) = (0.0, 0.0, 0, 0);
    for repeat in 0..n_repeats {
        let (clock, cpu) = (Instant::now(), cpu_seconds());
        let binned = Binned::new(&train_matrix, MAX_BINS);
        let binning = clock.elapsed().as_secs_f64();
        let fitted = fit_classifier(&binned, &rows, &train.1, N_CLASSES, None, &params, Seed(repeat as u64))?;
        walls.push(clock.elapsed().as_secs_f64());
        cpus.push(cpu_seconds() - cpu);
        let clock = Instant::now();
        let probabilities = predict(&fitted.forest, &test_matrix, &test_rows);
        predict_walls.push(clock.elapsed().as_secs_f64());
        let scores = Classified::new(N_CLASSES, &probabilities, &test.1)?;
        (accuracy, log_loss) = (accuracy + scores.accuracy() / n_repeats as f64, log_loss + scores.log_loss() / n_repeats as f64);
        (n_nodes, n_bytes) = (fitted.forest.n_nodes(), fitted.forest.to_bytes().len());
        if repeat == 0 {
            println!("binning {binning:.3} s of it");
        }
    }
    println!(
        "{} rows: fit {:.3} s wall, {:.3} s CPU; predict {:.3} s; accuracy {accuracy:.4}, log loss {log_loss:.4}; {n_nodes} nodes, {n_bytes} bytes",
        rows.len(),
        median(walls),
        median(cpus),
        median(predict_walls),
    );
    let target: Vec<f64> = train.1.iter().map(|&label| f64::from(label)).collect();
    let params = ForestParams { max_features: MaxFeatures::All, ..params };
    let (clock, cpu) = (Instant::now(), cpu_seconds());
    let fitted = fit_regressor(&Binned::new(&train_matrix, MAX_BINS), &rows, &target, None, &params, Seed(0))?;
    let (wall, cpu) = (clock.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let means = predict(&fitted.forest, &test_matrix, &test_rows);
    let squares: f64 = means.iter().zip(&test.1).map(|(mean, &label)| (mean - f64::from(label)).powi(2)).sum();
    println!(
        "regressor on all columns: fit {wall:.3} s wall, {cpu:.3} s CPU; root mean square error {:.4}",
        (squares / means.len() as f64).sqrt()
    );
    Ok(())
}

/// Fifteen informative columns around two centres per class, five mixtures of them, twenty of noise; a twentieth of the labels at random.
fn generate(n_rows: usize, stream: u64) -> Table {
    let mut centres_rng = Seed(7).rng();
    let centres: Vec<[f32; 15]> =
        (0..2 * N_CLASSES).map(|_| std::array::from_fn(|_| f32::from(centres_rng.random_bool(0.5)) * 2.0 - 1.0)).collect();
    let mixes: Vec<[f32; 15]> = (0..5).map(|_| std::array::from_fn(|_| centres_rng.random_range(-1.0..1.0))).collect();
    let mut rng = Seed(7).derive("rows", stream).rng();
    let mut normal = move || (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0;
    let mut label_rng = Seed(7).derive("labels", stream).rng();
    let mut columns = vec![Vec::new(); N_COLUMNS];
    let mut labels = Vec::with_capacity(n_rows);
    for _ in 0..n_rows {
        let centre = label_rng.next_u32() as usize % centres.len();
        let informative: [f32; 15] = std::array::from_fn(|column| centres[centre][column] + 1.2 * normal());
        informative.iter().enumerate().for_each(|(column, &value)| columns[column].push(value));
        for (column, mix) in mixes.iter().enumerate() {
            columns[15 + column].push(informative.iter().zip(mix).map(|(value, share)| value * share).sum());
        }
        columns[20..].iter_mut().for_each(|column| column.push(normal()));
        let is_random = label_rng.random_bool(0.05);
        labels.push(if is_random { label_rng.next_u32() as usize % N_CLASSES } else { centre % N_CLASSES } as u16);
    }
    (columns, labels)
}

/// Reads one table of a folder.
fn read(folder: &str, name: &str) -> Result<Table, Box<dyn Error>> {
    let bytes = std::fs::read(format!("{folder}/{name}.f32"))?;
    let values: Vec<f32> = bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect();
    let columns = (0..N_COLUMNS).map(|column| values.iter().skip(column).step_by(N_COLUMNS).copied().collect()).collect();
    let labels = std::fs::read(format!("{folder}/{name}.u16"))?.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]])).collect();
    Ok((columns, labels))
}

/// CPU seconds of all threads so far; 0 where the system does not say.
fn cpu_seconds() -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    let nanoseconds = |text: String| text.split(' ').next().and_then(|number| number.parse::<f64>().ok());
    let times = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok()).filter_map(nanoseconds);
    times.sum::<f64>() / 1e9
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
