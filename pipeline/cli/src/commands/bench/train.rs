//! `bench train`: forests grown and asked on tables of numbers, beside scikit-learn, LightGBM, XGBoost and ONNX Runtime where a Python with
//! them is given.

mod fit;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use self::fit::{Fitted, Task};
use crate::exit::{Exit, UsageError};
use crate::layout::{Align, aligned, grouped};
use crate::messages::Messages;
use crate::project::ProjectArguments;

/// Threads of every program that is measured, unless `--threads` says otherwise.
const THREADS: usize = 2;

/// Other people's models, each beside one of ours.
const PEERS: [(&str, Task); 5] = [
    ("sklearn", Task::Classifier),
    ("lightgbm-rf", Task::Classifier),
    ("xgboost-rf", Task::Classifier),
    ("sklearn-regressor", Task::Regressor),
    ("lightgbm", Task::Boosting),
];

/// Largest difference of ONNX Runtime's answers to ours: it adds in 32 bits.
const ONNX_TOLERANCE: f64 = 1e-6;

/// The script that runs other people's models; part of the program, so that it is found wherever the program is.
const SCRIPT: &str = include_str!("../../../../../tests/peers/forest.py");

/// Flags of `bench train`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Training rows of the tables, which all have 40 columns, 4 classes and 10,000 rows to judge on
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000])]
    rows: Vec<usize>,
    /// Trees of each forest, rounds of each boosting
    #[arg(long, value_name = "N", default_value_t = 100)]
    trees: u32,
    /// Fits of every model, each with a seed of its own: times are medians, scores means
    #[arg(long, value_name = "N", default_value_t = 5)]
    repeats: u64,
    /// Predictions that classifiers of the first table make at least; 0 asks each row of the test table once
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    predict: u64,
    /// Python with scikit-learn, lightgbm, xgboost, onnx and onnxruntime, to run them beside on the same tables; on a busy machine set
    /// OMP_WAIT_POLICY=passive, or their idle threads spin
    #[arg(long, value_name = "PATH")]
    peer_python: Option<PathBuf>,
    /// What runs beside: sklearn, lightgbm-rf, xgboost-rf, sklearn-regressor, lightgbm
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', requires = "peer_python", value_parser = PEERS.map(|(name, _)| name))]
    peers: Vec<String>,
    /// What is grown without peers to say it
    #[arg(long, value_name = "TASK,…", value_delimiter = ',', conflicts_with = "peers", default_values = ["classifier", "regressor", "boosting"])]
    tasks: Vec<Task>,
    /// Folder for the tables, which are removed afterwards; the system's temporary folder by default
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// One fit on the table in this folder, and nothing else
    #[arg(long, value_name = "DIR")]
    table: Option<PathBuf>,
    #[command(flatten)]
    fit: fit::FitArguments,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Answer {
    schema_version: u32,
    threads: usize,
    repeats: u64,
    /// What the tables are.
    tables: &'static str,
    fits: Vec<Compared>,
    /// Exponent with which the CPU seconds of our fits grow from the smallest table of at least 10,000 rows to the largest.
    growth: BTreeMap<String, f64>,
    predictions: Vec<Predicted>,
    /// Largest difference of ONNX Runtime's answers to ours.
    onnx_difference: Option<f64>,
}

/// A model, and what it is as a multiple of ours.
#[derive(Debug, Serialize)]
struct Compared {
    #[serde(flatten)]
    fitted: Fitted,
    cpu_of_ours: Option<f64>,
    peak_of_ours: Option<f64>,
    /// Our log loss, or root mean square error, over theirs, less 1.
    our_excess_loss: Option<f64>,
}

/// How fast a model answers.
#[derive(Debug, Serialize, Deserialize)]
struct Predicted {
    name: String,
    rows: u64,
    cpu_seconds: f64,
    wall_seconds: f64,
}

/// Measures and shows.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    if let Some(folder) = &arguments.table {
        let fitted = fit::run(folder, &arguments.fit, arguments.trees, arguments.predict)?;
        messages.result(&in_words(&[Compared::alone(fitted.clone())]), &fitted)?;
        return Ok(Exit::Done);
    }
    if arguments.repeats == 0 || arguments.rows.contains(&0) {
        return Err(UsageError("`--repeats` and `--rows` need at least 1".to_owned()).into());
    }
    let place = match &arguments.out {
        Some(out) => tempfile::tempdir_in(out).with_context(|| format!("cannot use `{}`", out.display()))?,
        None => tempfile::tempdir()?,
    };
    let bench = Bench { arguments, threads: project.threads.unwrap_or(THREADS), place: place.path() };
    let mut answer = Answer {
        schema_version: 1,
        threads: bench.threads,
        repeats: arguments.repeats,
        tables: if arguments.peer_python.is_some() { "scikit-learn's make_classification" } else { "generated" },
        fits: Vec::new(),
        growth: BTreeMap::new(),
        predictions: Vec::new(),
        onnx_difference: None,
    };
    for &n_rows in &arguments.rows {
        let table = bench.table(n_rows)?;
        let fits = bench.fits(&table, messages)?;
        answer.fits.extend(fits);
    }
    answer.growth = growth(&answer.fits);
    if 0 < arguments.predict {
        (answer.predictions, answer.onnx_difference) = bench.predictions(&bench.folder(arguments.rows[0]))?;
    }
    messages.result(&all_in_words(&answer), &answer)?;
    Ok(Exit::Done)
}

/// What is needed for every measurement.
struct Bench<'a> {
    arguments: &'a Arguments,
    threads: usize,
    place: &'a Path,
}

impl Bench<'_> {
    fn folder(&self, n_rows: usize) -> PathBuf {
        self.place.join(format!("rows{n_rows}"))
    }

    /// Writes a table: scikit-learn's where there is one, so that the measurement is the one that others know.
    fn table(&self, n_rows: usize) -> anyhow::Result<PathBuf> {
        let folder = self.folder(n_rows);
        fs::create_dir_all(&folder)?;
        match &self.arguments.peer_python {
            Some(_) => self.script::<u64>(&["table", "--place", &folder.to_string_lossy(), "--rows", &n_rows.to_string()]).map(|_| ())?,
            None => table::write(&folder, n_rows)?,
        }
        Ok(folder)
    }

    /// Ours, and then the peers of each.
    fn fits(&self, table: &Path, messages: &Messages) -> anyhow::Result<Vec<Compared>> {
        let seeds = 1..=self.arguments.repeats;
        let peers = self.peers();
        let mut tasks = if peers.is_empty() { self.arguments.tasks.clone() } else { peers.iter().map(|(_, task)| *task).collect() };
        tasks.sort_unstable();
        tasks.dedup();
        let mut fits = Vec::new();
        for task in tasks {
            let ours: Vec<Fitted> = seeds.clone().map(|seed| self.ours(table, task, seed, 0, &[])).collect::<Result<_, _>>()?;
            let ours = middle(&ours);
            messages.say(in_words(&[Compared::alone(ours.clone())]).trim_end());
            fits.push(Compared::alone(ours.clone()));
            for (name, _) in peers.iter().filter(|(_, of)| *of == task) {
                let found: Vec<Fitted> = seeds.clone().map(|seed| self.theirs(table, name, seed, 0)).collect::<Result<_, _>>()?;
                let found = Compared::with(middle(&found), &ours);
                messages.say(in_words(std::slice::from_ref(&found)).trim_end());
                fits.push(found);
            }
        }
        Ok(fits)
    }

    /// The peers that run.
    fn peers(&self) -> Vec<(&'static str, Task)> {
        let Arguments { peer_python, peers, .. } = self.arguments;
        let is_wanted = |name: &str| peers.is_empty() || peers.iter().any(|wanted| wanted == name);
        PEERS.into_iter().filter(|(name, _)| peer_python.is_some() && is_wanted(name)).collect()
    }

    /// Predictions of our classifier, of ONNX Runtime on what we export of it, and of the other classifiers and boosters.
    fn predictions(&self, table: &Path) -> anyhow::Result<(Vec<Predicted>, Option<f64>)> {
        let n_predicted = self.arguments.predict;
        let (model, answers) = (table.join("classifier.onnx"), table.join("answers.f64"));
        let (model, answers) = (model.to_string_lossy(), answers.to_string_lossy());
        let files = ["--onnx", &model, "--answers", &answers];
        let mut predictions = vec![Predicted::of(&self.ours(table, Task::Classifier, 1, n_predicted, &files)?)];
        let peers = self.peers();
        if peers.iter().any(|(_, task)| *task == Task::Boosting) {
            predictions.push(Predicted::of(&self.ours(table, Task::Boosting, 1, n_predicted, &[])?));
        }
        if peers.is_empty() {
            return Ok((predictions, None));
        }
        let (place, rows, threads) = (table.to_string_lossy(), n_predicted.to_string(), self.threads.to_string());
        let onnx = ["onnx", "--place", &place, "--model", &model, "--answers", &answers, "--predict", &rows, "--threads", &threads];
        let found: OnnxRuntime = self.script(&onnx)?;
        if ONNX_TOLERANCE < found.difference {
            bail!("ONNX Runtime's answers differ from ours by up to {:e}", found.difference);
        }
        predictions.push(found.predicted);
        for (name, _) in peers.iter().filter(|(_, task)| *task != Task::Regressor) {
            predictions.push(Predicted::of(&self.theirs(table, name, 1, n_predicted)?));
        }
        Ok((predictions, Some(found.difference)))
    }

    /// One fit of ours, in a process of its own.
    fn ours(&self, table: &Path, task: Task, seed: u64, n_predicted: u64, more: &[&str]) -> anyhow::Result<Fitted> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--json", "--threads", &self.threads.to_string(), "bench", "train", "--table"]).arg(table);
        command.args(["--task", task.name(), "--seed", &seed.to_string(), "--predict", &n_predicted.to_string()]);
        command.args(["--trees", &self.arguments.trees.to_string(), "--features", &self.arguments.fit.features.to_string()]);
        spoken(command.args(more))
    }

    /// One fit of a peer.
    fn theirs(&self, table: &Path, name: &str, seed: u64, n_predicted: u64) -> anyhow::Result<Fitted> {
        let numbers = [u64::from(self.arguments.trees), seed, n_predicted, self.threads as u64].map(|number| number.to_string());
        let place = table.to_string_lossy();
        let [trees, seed, predict, threads] = &numbers;
        self.script(&[
            "peer",
            "--place",
            &place,
            "--name",
            name,
            "--trees",
            trees,
            "--seed",
            seed,
            "--predict",
            predict,
            "--threads",
            threads,
        ])
    }

    /// What the script answers.
    fn script<T: for<'de> Deserialize<'de>>(&self, arguments: &[&str]) -> anyhow::Result<T> {
        let Some(python) = &self.arguments.peer_python else { bail!("no Python to run other people's models with") };
        let file = self.place.join("peers.py");
        fs::write(&file, SCRIPT)?;
        spoken(Command::new(python).arg(file).args(arguments))
    }
}

/// What ONNX Runtime answered.
#[derive(Debug, Deserialize)]
struct OnnxRuntime {
    difference: f64,
    #[serde(flatten)]
    predicted: Predicted,
}

/// Runs a program whose last words are JSON.
fn spoken<T: for<'de> Deserialize<'de>>(command: &mut Command) -> anyhow::Result<T> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run `{name}`"))?;
    let words = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("`{name}` failed: {}", words.trim_end());
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("`{name}` did not answer in JSON: {}", words.trim_end()))
}

impl Compared {
    /// One of ours.
    fn alone(fitted: Fitted) -> Self {
        Self { fitted, cpu_of_ours: None, peak_of_ours: None, our_excess_loss: None }
    }

    /// A peer beside ours.
    fn with(fitted: Fitted, ours: &Fitted) -> Self {
        let excess = |mine: Option<f64>, theirs: Option<f64>| mine.zip(theirs).map(|(mine, theirs)| mine / theirs - 1.0);
        Self {
            cpu_of_ours: Some(fitted.fit_cpu / ours.fit_cpu),
            peak_of_ours: Some(fitted.peak_megabytes / ours.peak_megabytes),
            our_excess_loss: excess(ours.log_loss, fitted.log_loss).or_else(|| excess(ours.rmse, fitted.rmse)),
            fitted,
        }
    }
}

impl Predicted {
    fn of(fitted: &Fitted) -> Self {
        Self {
            name: fitted.name.clone(),
            rows: fitted.predicted_rows,
            cpu_seconds: fitted.predict_cpu,
            wall_seconds: fitted.predict_seconds,
        }
    }
}

/// Several fits as one: medians of what they took, means of how good they are.
fn middle(fits: &[Fitted]) -> Fitted {
    let numbers = |pick: fn(&Fitted) -> f64| -> Vec<f64> { fits.iter().map(pick).collect() };
    let median = |pick| {
        let mut numbers = numbers(pick);
        numbers.sort_by(f64::total_cmp);
        let (low, high) = (numbers[(numbers.len() - 1) / 2], numbers[numbers.len() / 2]);
        low.midpoint(high)
    };
    let mean = |pick: fn(&Fitted) -> Option<f64>| -> Option<f64> {
        let numbers: Vec<f64> = fits.iter().map(pick).collect::<Option<_>>()?;
        Some(numbers.iter().sum::<f64>() / numbers.len() as f64)
    };
    Fitted {
        fit_cpu: median(|fit| fit.fit_cpu),
        fit_seconds: median(|fit| fit.fit_seconds),
        peak_megabytes: median(|fit| fit.peak_megabytes),
        predict_cpu: median(|fit| fit.predict_cpu),
        predict_seconds: median(|fit| fit.predict_seconds),
        accuracy: mean(|fit| fit.accuracy),
        log_loss: mean(|fit| fit.log_loss),
        rmse: mean(|fit| fit.rmse),
        ..fits[0].clone()
    }
}

/// Rows from which growth is looked at: below, what a fit takes is mostly not about rows.
const GROWTH_FROM: usize = 10_000;

/// The exponent of CPU seconds by rows, per model of ours that was grown on tables of several sizes.
fn growth(fits: &[Compared]) -> BTreeMap<String, f64> {
    let mut sizes: BTreeMap<String, Vec<(usize, f64)>> = BTreeMap::new();
    for fit in fits.iter().filter(|fit| fit.cpu_of_ours.is_none() && GROWTH_FROM <= fit.fitted.rows) {
        sizes.entry(fit.fitted.name.clone()).or_default().push((fit.fitted.rows, fit.fitted.fit_cpu));
    }
    let exponent = |mut sizes: Vec<(usize, f64)>| {
        sizes.sort_unstable_by_key(|(rows, _)| *rows);
        let ((few, small), (many, large)) = (*sizes.first()?, *sizes.last()?);
        (few < many).then(|| (large / small).ln() / (many as f64 / few as f64).ln())
    };
    sizes.into_iter().filter_map(|(name, sizes)| Some((name, exponent(sizes)?))).collect()
}

/// One line per fit.
fn in_words(fits: &[Compared]) -> String {
    let score = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"));
    let times = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.1}x"));
    let cells = |fit: &Compared| {
        let fitted = &fit.fitted;
        vec![
            format!("{:>9}", grouped(fitted.rows)),
            format!("{:<22}", fitted.name),
            format!("{:>9.3}", fitted.fit_cpu),
            format!("{:>9.3}", fitted.fit_seconds),
            format!("{:>6.0}", fitted.peak_megabytes),
            format!("{:>8}", score(fitted.accuracy)),
            format!("{:>12}", score(fitted.log_loss.or(fitted.rmse))),
            format!("{:>10}", times(fit.cpu_of_ours)),
            format!("{:>11}", times(fit.peak_of_ours)),
            format!("{:>15}", fit.our_excess_loss.map_or_else(String::new, |excess| format!("{:+.2} %", 100.0 * excess))),
        ]
    };
    aligned(&[], &fits.iter().map(cells).collect::<Vec<_>>(), &[])
}

/// Names of the columns of [`in_words`].
const HEADER: &str =
    "     rows                              CPU s     wall s  MiB     accuracy  loss          CPU / ours  peak / ours  our excess loss\n";

fn all_in_words(answer: &Answer) -> String {
    let mut text = format!(
        "forests on tables of 40 columns and 4 classes ({}), {} threads, medians of {}; loss is log loss, or RMSE for regressors\n{HEADER}{}",
        answer.tables,
        answer.threads,
        answer.repeats,
        in_words(&answer.fits)
    );
    for (name, exponent) in &answer.growth {
        text.push_str(&format!("{name}: CPU seconds grow with rows to the power of {exponent:.2}\n"));
    }
    if let Some(first) = answer.fits.first().filter(|_| !answer.predictions.is_empty()) {
        text.push_str(&format!("\npredictions by models of {} rows\n", grouped(first.fitted.rows)));
        let cells = |found: &Predicted| {
            let (rows, per_second) = (found.rows as f64, found.rows as f64 / found.wall_seconds);
            vec![found.name.clone(), grouped(per_second as usize), format!("{:.2}", 1e6 * found.cpu_seconds / rows)]
        };
        let rows: Vec<Vec<String>> = answer.predictions.iter().map(cells).collect();
        text.push_str(&aligned(&["", "rows/s", "CPU s per million"], &rows, &[Align::Left, Align::Right, Align::Right]));
    }
    if let Some(difference) = answer.onnx_difference {
        text.push_str(&format!("largest difference of ONNX Runtime's answers to ours {difference:.1e}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(name: &str, rows: usize, fit_cpu: f64, log_loss: f64) -> Fitted {
        Fitted {
            name: name.to_owned(),
            rows,
            trees: 1,
            fit_cpu,
            fit_seconds: 1.0,
            peak_megabytes: 10.0,
            predicted_rows: 1,
            predict_cpu: 1.0,
            predict_seconds: 1.0,
            accuracy: Some(0.5),
            log_loss: Some(log_loss),
            rmse: None,
        }
    }

    #[test]
    fn times_are_medians_and_scores_are_means() {
        let found = middle(&[fitted("a", 1, 9.0, 1.0), fitted("a", 1, 1.0, 2.0), fitted("a", 1, 2.0, 6.0)]);
        assert_eq!((found.fit_cpu, found.log_loss, found.rmse), (2.0, Some(3.0), None));
        assert_eq!(middle(&[fitted("a", 1, 1.0, 1.0), fitted("a", 1, 2.0, 1.0)]).fit_cpu, 1.5);
    }

    #[test]
    fn a_peer_is_told_as_multiples_of_ours() {
        let found = Compared::with(fitted("peer", 1, 8.0, 1.0), &fitted("ours", 1, 2.0, 1.01));
        assert_eq!((found.cpu_of_ours, found.peak_of_ours), (Some(4.0), Some(1.0)));
        assert!((found.our_excess_loss.unwrap() - 0.01).abs() < 1e-12);
    }

    #[test]
    fn growth_is_that_of_our_large_tables() {
        let ours = |rows, cpu| Compared::alone(fitted("ours", rows, cpu, 1.0));
        let peer = Compared::with(fitted("peer", 100_000, 900.0, 1.0), &fitted("ours", 100_000, 1.0, 1.0));
        let found = growth(&[ours(100_000, 20.0), ours(1_000, 19.0), ours(10_000, 2.0), peer]);
        assert_eq!(found.len(), 1);
        assert!((found["ours"] - 1.0).abs() < 1e-12);
        assert!(growth(&[ours(10_000, 2.0)]).is_empty());
    }
}
