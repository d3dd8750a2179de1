//! One fit on one table, in a process of its own, so that its times and its peak are its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use routewright_domain::{Paths, Seed};
use routewright_forest::{
    Binned, BoostParams, BoostRows, Classified, ForestParams, MAX_BINS, Matrix, MaxFeatures, boost_classifier, contributions,
    fit_classifier, fit_regressor, predict,
};
use routewright_router::{CLASSIFIER_FILE, Forest, NodeKind, Policy, PolicySettings, Side, Test, onnx_files};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::table::{N_CLASSES, N_COLUMNS, read};
use crate::commands::bench::{peak_mebibytes, scheduled_seconds};

/// Rows whose contributions are written.
const N_EXPLAINED: usize = 100;

/// What is grown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Task {
    /// Forest of probabilities
    Classifier,
    /// Forest of means: the class's number from all columns
    Regressor,
    /// Gradient boosting
    Boosting,
}

impl Task {
    /// Its name on the command line and in tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Classifier => "classifier",
            Self::Regressor => "regressor",
            Self::Boosting => "boosting",
        }
    }
}

/// What one fit took and how good it is; peers say the same of theirs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Fitted {
    pub name: String,
    pub rows: usize,
    pub trees: u32,
    pub fit_cpu: f64,
    pub fit_seconds: f64,
    pub peak_megabytes: f64,
    /// Rows that were predicted, and what that took.
    pub predicted_rows: u64,
    pub predict_cpu: f64,
    pub predict_seconds: f64,
    /// Scores of a classifier.
    pub accuracy: Option<f64>,
    pub log_loss: Option<f64>,
    /// Score of a regressor.
    pub rmse: Option<f64>,
}

/// Flags of one fit.
#[derive(Debug, clap::Args)]
pub(crate) struct FitArguments {
    /// What is grown on `--table`
    #[arg(long, value_name = "TASK", default_value = "classifier", requires = "table")]
    pub(super) task: Task,
    /// Seed of the forest on `--table`
    #[arg(long, value_name = "SEED", default_value_t = 1, requires = "table")]
    seed: u64,
    /// Rows that a leaf needs on `--table`
    #[arg(long, value_name = "N", default_value_t = 1, requires = "table")]
    leaf: u32,
    /// Columns that a split of our classifier looks at; 0 is the square root of their number
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) features: u32,
    /// File for the classifier as the artifact's ONNX model
    #[arg(long, value_name = "FILE", requires = "table")]
    onnx: Option<PathBuf>,
    /// File for the predictions of the test rows as raw 64-bit numbers
    #[arg(long, value_name = "FILE", requires = "table")]
    answers: Option<PathBuf>,
    /// File for the nodes of all trees and their contributions to 100 predictions, as JSON
    #[arg(long, value_name = "FILE", requires = "table")]
    contributions: Option<PathBuf>,
}

/// Grows, predicts and measures.
pub(super) fn run(folder: &Path, arguments: &FitArguments, n_trees: u32, n_predicted: u64) -> anyhow::Result<Fitted> {
    let (train, test) = (read(folder, "train")?, read(folder, "test")?);
    let (train_matrix, test_matrix) = (Matrix::new(&train.columns)?, Matrix::new(&test.columns)?);
    let rows: Vec<u32> = (0..train_matrix.n_rows() as u32).collect();
    let test_rows: Vec<u32> = (0..test_matrix.n_rows() as u32).collect();
    let max_features = if arguments.features == 0 { MaxFeatures::Sqrt } else { MaxFeatures::Count(arguments.features) };
    let params = ForestParams { n_trees, min_samples_leaf: arguments.leaf, max_features, ..ForestParams::default() };
    let seed = Seed(arguments.seed);

    let (clock, cpu) = (Instant::now(), cpu_seconds());
    let binned = Binned::new(&train_matrix, MAX_BINS);
    let mut boosted = None;
    let forest: Forest = match arguments.task {
        Task::Classifier => fit_classifier(&binned, &rows, &train.labels, N_CLASSES, None, &params, seed)?.forest,
        Task::Regressor => {
            let target: Vec<f64> = train.labels.iter().map(|&label| f64::from(label)).collect();
            fit_regressor(&binned, &rows, &target, None, &ForestParams { max_features: MaxFeatures::All, ..params }, seed)?.forest
        }
        Task::Boosting => {
            let params = BoostParams { n_rounds: n_trees, ..BoostParams::default() };
            boosted
                .insert(boost_classifier((&binned, BoostRows::all(&rows)), &train.labels, N_CLASSES, None, &params, seed)?)
                .trees()
                .clone()
        }
    };
    let (fit_seconds, fit_cpu) = (clock.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    drop(binned);
    let peak_megabytes = peak_mebibytes().unwrap_or(0.0);

    let (clock, cpu) = (Instant::now(), cpu_seconds());
    let n_repeats = n_predicted.div_ceil(test_rows.len() as u64).max(1);
    let mut answers = Vec::new();
    for _ in 0..n_repeats {
        answers =
            boosted.as_ref().map_or_else(|| predict(&forest, &test_matrix, &test_rows), |found| found.predict(&test_matrix, &test_rows));
    }
    let (predict_seconds, predict_cpu) = (clock.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    if let Some(path) = &arguments.answers {
        fs::write(path, answers.iter().flat_map(|answer| answer.to_le_bytes()).collect::<Vec<u8>>())?;
    }
    if let Some(path) = &arguments.onnx {
        fs::write(path, as_onnx(&forest)?)?;
    }
    if let Some(path) = &arguments.contributions {
        fs::write(path, serde_json::to_vec(&explained(&forest, &test_matrix)?)?)?;
    }
    let scores = match arguments.task {
        Task::Regressor => None,
        _ => Some(Classified::new(N_CLASSES, &answers, &test.labels)?),
    };
    let squares = || -> f64 { answers.iter().zip(&test.labels).map(|(mean, &label)| (mean - f64::from(label)).powi(2)).sum() };
    Ok(Fitted {
        name: format!("routewright {}", arguments.task.name()),
        rows: rows.len(),
        trees: n_trees,
        fit_cpu,
        fit_seconds,
        peak_megabytes,
        predicted_rows: n_repeats * test_rows.len() as u64,
        predict_cpu,
        predict_seconds,
        accuracy: scores.as_ref().map(Classified::accuracy),
        log_loss: scores.as_ref().map(Classified::log_loss),
        rmse: scores.is_none().then(|| (squares() / answers.len() as f64).sqrt()),
    })
}

/// The classifier as the artifact's ONNX file.
fn as_onnx(forest: &Forest) -> anyhow::Result<Vec<u8>> {
    let names: Vec<String> = (0..N_CLASSES).map(|class| class.to_string()).collect();
    let policy = Policy {
        success: vec![None; N_CLASSES],
        latency: vec![None; N_CLASSES],
        cost: vec![None; N_CLASSES],
        support: vec![0; N_CLASSES],
        classifier: Some(forest.clone()),
        paths: Paths::from_names(names.iter().map(String::as_str)),
        settings: PolicySettings::default(),
    };
    onnx_files(&policy, N_COLUMNS).remove(CLASSIFIER_FILE).ok_or_else(|| anyhow::anyhow!("only a classifier has an ONNX file here"))
}

/// The nodes of all trees, and the contributions to the first predictions.
fn explained(forest: &Forest, matrix: &Matrix<'_>) -> anyhow::Result<Value> {
    let mut trees = Vec::new();
    for tree in 0..forest.n_trees() {
        let range = forest.tree_range(tree);
        let node = |index: usize| -> anyhow::Result<Value> {
            let here = forest.nodes()[index];
            Ok(match here.kind() {
                NodeKind::Leaf { leaf } => json!({ "values": forest.leaf_values(leaf), "cover": here.cover() }),
                NodeKind::Split { feature, test: Test::AtMost(threshold), missing, left, right } => json!({
                    "feature": feature, "threshold": threshold, "missing": usize::from(missing == Side::Right),
                    "children": [left - range.start, right - range.start], "cover": here.cover(),
                }),
                NodeKind::Split { test: Test::OneOf(_), .. } => anyhow::bail!("sets of categories have no form here"),
            })
        };
        trees.push(range.clone().map(node).collect::<anyhow::Result<Vec<Value>>>()?);
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

/// CPU seconds of all threads that run, to the microsecond: ticks of the process would be coarse for a fit of milliseconds. 0 where the system
/// does not say.
fn cpu_seconds() -> f64 {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return 0.0 };
    tasks.flatten().filter_map(|task| scheduled_seconds(&task.path().join("schedstat"))).sum()
}

#[cfg(test)]
mod tests {
    use super::super::table::write;
    use super::*;

    #[test]
    fn every_task_is_measured_and_writes_what_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 300).unwrap();
        for task in [Task::Classifier, Task::Regressor, Task::Boosting] {
            let file = |name: &str| Some(folder.path().join(format!("{name}-{}", task.name())));
            let onnx = if task == Task::Classifier { file("onnx") } else { None };
            let arguments =
                FitArguments { task, seed: 1, leaf: 5, features: 0, onnx, answers: file("answers"), contributions: file("contributions") };
            let fitted = run(folder.path(), &arguments, 5, 0).unwrap();
            assert_eq!((fitted.rows, fitted.trees, fitted.predicted_rows), (300, 5, 10_000));
            assert_eq!(fitted.rmse.is_some(), task == Task::Regressor);
            assert!(fitted.rmse.is_none_or(|rmse| rmse < 1.2) && fitted.accuracy.is_none_or(|accuracy| accuracy > 0.3));
            let n_outputs = if task == Task::Regressor { 1 } else { N_CLASSES };
            assert_eq!(fs::metadata(arguments.answers.unwrap()).unwrap().len(), 8 * 10_000 * n_outputs as u64);
            let explained: Value = serde_json::from_slice(&fs::read(arguments.contributions.unwrap()).unwrap()).unwrap();
            assert_eq!(explained["rows"].as_array().unwrap().len(), N_EXPLAINED);
            assert!(arguments.onnx.is_none_or(|path| fs::metadata(path).unwrap().len() > 1000));
        }
    }
}
