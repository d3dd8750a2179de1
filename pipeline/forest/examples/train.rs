//! Trains on a table written as raw numbers, or on a generated one, and prints times and scores as one line of JSON.
//!
//! `train 100000` generates 100,000 training rows with 40 columns and 4 classes, and 10,000 more for testing. `train FOLDER` reads `train.f32`
//! and `test.f32` (little-endian, row after row, 40 columns), `train.u16` and `test.u16`, so that other libraries can be trained on exactly the
//! same numbers, which is what `tests/peers/forest.py` does. Further arguments are `KEY=VALUE`:
//!
//! * `task=classifier|regressor|boosting`: the regressor learns the class's number from all columns;
//! * `trees=100`, `rows=N` of the training rows, `leaf=1` rows of a leaf, `seed=1`;
//! * `onnx=FILE`: writes the classifier as the artifact's ONNX file; `shap=FILE`: writes its nodes with the contributions to 100 predictions; `answers=FILE`: predictions as raw
//!   64-bit numbers; `predict=N`: predicts the test rows again and again until there are N, and says how fast.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example stands at the edge: it reads files and a clock, and prints"
)]

use std::error::Error;
use std::time::Instant;

use rand::{Rng as _, RngExt as _};
use routewright_domain::{Paths, Seed};
use routewright_forest::{
    Binned, BoostParams, Classified, ForestParams, MAX_BINS, Matrix, MaxFeatures, boost_classifier, contributions, fit_classifier,
    fit_regressor, predict,
};
use routewright_router::{CLASSIFIER_FILE, Forest, NodeKind, Policy, PolicySettings, Side, Test, onnx_files};
use serde_json::{Value, json};

const N_COLUMNS: usize = 40;
const N_CLASSES: usize = 4;
const N_TEST: usize = 10_000;

/// Rows whose contributions are written.
const N_EXPLAINED: usize = 100;

/// Columns and labels.
type Table = (Vec<Vec<f32>>, Vec<u16>);

fn main() -> Result<(), Box<dyn Error>> {
    let source = std::env::args().nth(1).unwrap_or_else(|| "10000".to_owned());
    let setting = |key: &str| std::env::args().skip(2).find_map(|text| Some(text.strip_prefix(key)?.strip_prefix('=')?.to_owned()));
    let number = |key: &str, default: u64| setting(key).map_or(Ok(default), |text| text.parse());
    let (train, test) = match source.parse::<usize>() {
        Ok(n_rows) => (generate(n_rows, 1), generate(N_TEST, 2)),
        Err(_) => (read(&source, "train")?, read(&source, "test")?),
    };
    let (train_matrix, test_matrix) = (Matrix::new(&train.0)?, Matrix::new(&test.0)?);
    let n_rows = number("rows", u64::MAX)?.min(train_matrix.n_rows() as u64) as u32;
    let rows: Vec<u32> = (0..n_rows).collect();
    let test_rows: Vec<u32> = (0..test_matrix.n_rows() as u32).collect();
    let params =
        ForestParams { n_trees: number("trees", 100)? as u32, min_samples_leaf: number("leaf", 1)? as u32, ..ForestParams::default() };
    let seed = Seed(number("seed", 1)?);
    let task = setting("task").unwrap_or_else(|| "classifier".to_owned());

    let (clock, cpu) = (Instant::now(), cpu_seconds());
    let binned = Binned::new(&train_matrix, MAX_BINS);
    let binning = clock.elapsed().as_secs_f64();
    let mut boosted = None;
    let forest: Forest = match task.as_str() {
        "classifier" => fit_classifier(&binned, &rows, &train.1, N_CLASSES, None, &params, seed)?.forest,
        "regressor" => {
            let target: Vec<f64> = train.1.iter().map(|&label| f64::from(label)).collect();
            fit_regressor(&binned, &rows, &target, None, &ForestParams { max_features: MaxFeatures::All, ..params }, seed)?.forest
        }
        "boosting" => {
            let params = BoostParams { n_rounds: params.n_trees, ..BoostParams::default() };
            let found = boost_classifier((&binned, &rows), &train.1, N_CLASSES, None, &params, seed)?;
            boosted.insert(found).trees().clone()
        }
        other => return Err(format!("`task` is classifier, regressor or boosting, found `{other}`").into()),
    };
    let (fit_seconds, fit_cpu) = (clock.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    drop(binned);
    let peak_megabytes = peak_kilobytes() / 1024;

    let (clock, cpu) = (Instant::now(), cpu_seconds());
    let n_repeats = number("predict", 0)?.div_ceil(u64::from(test_rows.len() as u32)).max(1);
    let mut answers = Vec::new();
    for _ in 0..n_repeats {
        answers =
            boosted.as_ref().map_or_else(|| predict(&forest, &test_matrix, &test_rows), |found| found.predict(&test_matrix, &test_rows));
    }
    let (predict_seconds, predict_cpu) = (clock.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let n_predicted = n_repeats * test_rows.len() as u64;

    let mut line = json!({
        "name": format!("routewright {task}"), "rows": rows.len(), "trees": forest.n_trees(), "nodes": forest.n_nodes(),
        "bin_seconds": binning, "fit_seconds": fit_seconds, "fit_cpu": fit_cpu, "peak_megabytes": peak_megabytes,
        "predict_seconds": predict_seconds, "predict_cpu": predict_cpu, "predicted_rows": n_predicted,
        "rows_per_second": n_predicted as f64 / predict_seconds,
    });
    if task == "regressor" {
        let squares: f64 = answers.iter().zip(&test.1).map(|(mean, &label)| (mean - f64::from(label)).powi(2)).sum();
        line["rmse"] = json!((squares / answers.len() as f64).sqrt());
    } else {
        let scores = Classified::new(N_CLASSES, &answers, &test.1)?;
        line["accuracy"] = json!(scores.accuracy());
        line["log_loss"] = json!(scores.log_loss());
    }
    if let Some(path) = setting("answers") {
        std::fs::write(path, answers.iter().flat_map(|answer| answer.to_le_bytes()).collect::<Vec<u8>>())?;
    }
    if let Some(path) = setting("onnx") {
        std::fs::write(path, as_onnx(&forest)?)?;
    }
    if let Some(path) = setting("shap") {
        std::fs::write(path, serde_json::to_vec(&explained(&forest, &test_matrix)?)?)?;
    }
    println!("{line}");
    Ok(())
}

/// The classifier as the artifact's ONNX file.
fn as_onnx(forest: &Forest) -> Result<Vec<u8>, Box<dyn Error>> {
    let paths = Paths::from_names(["0", "1", "2", "3"]);
    let policy = Policy {
        success: vec![None; N_CLASSES],
        latency: vec![None; N_CLASSES],
        cost: vec![None; N_CLASSES],
        support: vec![0; N_CLASSES],
        classifier: Some(forest.clone()),
        paths,
        settings: PolicySettings::default(),
    };
    onnx_files(&policy, N_COLUMNS).remove(CLASSIFIER_FILE).ok_or_else(|| "a classifier of these classes has an ONNX file".into())
}

/// The nodes of all trees, and the contributions to the first predictions.
fn explained(forest: &Forest, matrix: &Matrix<'_>) -> Result<Value, Box<dyn Error>> {
    let mut trees = Vec::new();
    for tree in 0..forest.n_trees() {
        let range = forest.tree_range(tree);
        let node = |index: usize| -> Result<Value, Box<dyn Error>> {
            let here = forest.nodes()[index];
            Ok(match here.kind() {
                NodeKind::Leaf { leaf } => json!({ "values": forest.leaf_values(leaf), "cover": here.cover() }),
                NodeKind::Split { feature, test: Test::AtMost(threshold), missing, left, right } => json!({
                    "feature": feature, "threshold": threshold, "missing": usize::from(missing == Side::Right),
                    "children": [left - range.start, right - range.start], "cover": here.cover(),
                }),
                NodeKind::Split { test: Test::OneOf(_), .. } => return Err("sets of categories have no form here".into()),
            })
        };
        trees.push(range.clone().map(node).collect::<Result<Vec<Value>, _>>()?);
    }
    let mut row = vec![0.0; forest.n_features()];
    let mut rows = Vec::new();
    for position in 0..N_EXPLAINED.min(matrix.n_rows()) {
        matrix.copy_row(position, &mut row);
        let found = contributions(forest, &row);
        rows.push(json!({ "row": row, "base": found.base, "contributions": found.columns }));
    }
    Ok(json!({ "outputs": forest.n_outputs(), "trees": trees, "rows": rows }))
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
    let mut columns = vec![Vec::new(); N_COLUMNS];
    for (position, four) in bytes.chunks_exact(4).enumerate() {
        columns[position % N_COLUMNS].push(f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    }
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

/// The most memory that the program has had, in kilobytes; 0 where the system does not say.
fn peak_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
