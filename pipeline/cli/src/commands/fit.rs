//! `fit`: a forest on any table, judged out of bag or on a test table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use routewright_domain::Seed;
use routewright_forest::{
    Binned, ClassMetrics, Classified, Fitted, ForestParams, MAX_BINS, MAX_CLASSES, Matrix, MaxFeatures, OutOfBag, PermutationImportance,
    fit_classifier, fit_regressor, most_probable, permutation_importance, predict, single_columns,
};
use routewright_table::{PlainColumn, PlainTable, write_csv};
use serde::Serialize;

use crate::exit::{DataError, Exit, UsageError};
use crate::layout::{Align, aligned, grouped, shortened};
use crate::messages::Messages;
use crate::project::ProjectArguments;

/// Columns of texts with more distinct values than this are left out.
const MOST_VALUES: usize = 32;

/// Share of the columns that each split of a regression looks at (Breiman's third).
const REGRESSION_COLUMNS: f64 = 1.0 / 3.0;

/// Shuffles behind each column's importance.
const N_REPEATS: u32 = 3;

/// Columns whose importance is shown to people.
const N_SHOWN: usize = 20;

/// Flags of `fit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Parquet or CSV file to learn from
    table: PathBuf,
    /// Column to predict
    #[arg(long, value_name = "COLUMN")]
    target: String,
    /// Predict a number instead of a class
    #[arg(long)]
    regression: bool,
    /// Table to judge on; without it every row is judged by the trees that did not see it
    #[arg(long, value_name = "TABLE")]
    test: Option<PathBuf>,
    /// CSV file to write the predictions of the judged rows to
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Columns to leave out
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    without: Vec<String>,
    /// Number of trees
    #[arg(long, default_value_t = ForestParams::default().n_trees)]
    trees: u32,
    /// Seed of the forest
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A column that the forest sees: a number, or whether a column of texts has a value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Feature {
    column: String,
    value: Option<String>,
}

/// What is predicted.
enum Truth {
    Classes { names: Vec<String>, labels: Vec<u16> },
    Numbers(Vec<f64>),
}

/// Everything that is said about the forest.
#[derive(Debug, Serialize)]
struct Answer {
    schema_version: u32,
    table: PathBuf,
    target: String,
    rows: usize,
    features: usize,
    trees: u32,
    nodes: usize,
    judged: &'static str,
    judged_rows: usize,
    classes: Vec<String>,
    classification: Option<ClassMetrics>,
    regression: Option<NumberMetrics>,
    /// Most important first.
    importance: Vec<Importance>,
    left_out: Vec<LeftOut>,
    seconds: Seconds,
}

/// How good predicted numbers are.
#[derive(Debug, Serialize)]
struct NumberMetrics {
    rmse: f64,
    mae: f64,
    /// 1 − squared error / variance; nothing where the target does not vary.
    r2: Option<f64>,
}

/// What a column is worth.
#[derive(Debug, Serialize)]
struct Importance {
    feature: String,
    /// Its share of the impurity that splits removed on the training rows.
    impurity: f64,
    /// Loss (log loss, mean squared error) that shuffling it adds on the test table.
    permutation: Option<PermutationImportance>,
}

/// A column that the forest does not see.
#[derive(Debug, Serialize)]
struct LeftOut {
    column: String,
    reason: String,
}

/// Where the time went, in seconds.
#[derive(Debug, Default, Serialize)]
struct Seconds {
    read: f64,
    fit: f64,
    predict: f64,
    importance: f64,
}

/// Fits, judges, shows, and writes the predictions.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    if arguments.trees == 0 {
        return Err(UsageError("`--trees 0`: at least one tree is needed".to_owned()).into());
    }
    let mut seconds = Seconds::default();
    let started = Instant::now();
    let wanted = |name: &str| !arguments.without.iter().any(|column| column == name);
    let table = PlainTable::read(&arguments.table, wanted).map_err(DataError::of)?;
    let test = arguments.test.as_ref().map(|path| PlainTable::read(path, wanted)).transpose().map_err(DataError::of)?;
    seconds.read = started.elapsed().as_secs_f64();
    let truth = truth(&table, arguments)?;
    let (features, left_out) = features(&table, &arguments.target)?;
    if features.is_empty() {
        return Err(DataError(format!("`{}` has no column to predict `{}` from", arguments.table.display(), arguments.target)).into());
    }
    let columns = encode(&table, &features)?;
    let matrix = Matrix::new(&columns).map_err(DataError::of)?;

    let started = Instant::now();
    let fitted = grow(arguments, &matrix, &truth, test.is_none())?;
    seconds.fit = started.elapsed().as_secs_f64();

    let started = Instant::now();
    let judged = match &test {
        Some(test) => judged_on_test(arguments, test, &features, &truth, &fitted)?,
        None => judged_out_of_bag(truth, &fitted),
    };
    seconds.predict = started.elapsed().as_secs_f64();
    if judged.rows.is_empty() {
        return Err(DataError("no row was left out by any tree; use more trees or a test table".to_owned()).into());
    }

    let started = Instant::now();
    let permutation = judged.columns.as_ref().map(|columns| permutation(columns, &fitted, &judged, arguments.seed)).transpose()?;
    seconds.importance = started.elapsed().as_secs_f64();
    if let Some(out) = arguments.out.as_deref().filter(|_| !project.dry_run) {
        write_predictions(out, &judged).map_err(DataError::of)?;
    }
    let answer = answer(arguments, table.n_rows(), &features, left_out, &fitted, &judged, permutation, seconds)?;
    messages.result(&in_words(&answer), &answer)?;
    Ok(Exit::Done)
}

/// Rows with their predictions and what came true.
struct Judged {
    how: &'static str,
    /// Rows of the judged table, from 0.
    rows: Vec<u32>,
    truth: Truth,
    predictions: Vec<f64>,
    /// The encoded test table.
    columns: Option<Vec<Vec<f32>>>,
}

/// Labels or numbers to predict.
fn truth(table: &PlainTable, arguments: &Arguments) -> anyhow::Result<Truth> {
    if arguments.regression {
        return Ok(Truth::Numbers(table.numbers(&arguments.target).map_err(DataError::of)?.to_vec()));
    }
    let texts = table.texts(&arguments.target).map_err(DataError::of)?;
    let mut names = texts.clone();
    match table.column(&arguments.target).map_err(DataError::of)? {
        PlainColumn::Numbers(_) => names.sort_by(|one, other| number(one).total_cmp(&number(other))),
        PlainColumn::Texts(_) => names.sort_unstable(),
    }
    names.dedup();
    if names.len() > MAX_CLASSES {
        let message =
            format!("`{}` has {} values, a forest tells {MAX_CLASSES} apart; numbers want `--regression`", arguments.target, names.len());
        return Err(DataError(message).into());
    }
    let labels = labels(&names, &texts).map_err(|row| DataError(format!("row {}: unknown class", row + 1)))?;
    Ok(Truth::Classes { names, labels })
}

/// A written number again; written by us, so it is one.
fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

/// The classes of texts, or the first row whose text is none.
fn labels(names: &[String], texts: &[String]) -> Result<Vec<u16>, usize> {
    let positions: BTreeMap<&String, u16> = names.iter().enumerate().map(|(position, name)| (name, position as u16)).collect();
    texts.iter().enumerate().map(|(row, text)| positions.get(text).copied().ok_or(row)).collect()
}

/// What the forest sees of each column, and which columns it does not see.
fn features(table: &PlainTable, target: &str) -> anyhow::Result<(Vec<Feature>, Vec<LeftOut>)> {
    let (mut features, mut left_out) = (Vec::new(), Vec::new());
    for name in table.names().iter().filter(|name| *name != target) {
        match table.column(name).map_err(DataError::of)? {
            PlainColumn::Numbers(_) => features.push(Feature { column: name.clone(), value: None }),
            PlainColumn::Texts(texts) => {
                let values: std::collections::BTreeSet<&String> = texts.iter().filter(|text| !text.is_empty()).collect();
                if values.len() > MOST_VALUES {
                    left_out.push(LeftOut { column: name.clone(), reason: format!("{} different texts", values.len()) });
                } else {
                    features.extend(values.into_iter().map(|value| Feature { column: name.clone(), value: Some(value.clone()) }));
                }
            }
        }
    }
    Ok((features, left_out))
}

/// One column of numbers per feature; infinities and blanks are as the forest takes them.
fn encode(table: &PlainTable, features: &[Feature]) -> anyhow::Result<Vec<Vec<f32>>> {
    let column = |feature: &Feature| {
        Ok(match (table.column(&feature.column).map_err(DataError::of)?, &feature.value) {
            (PlainColumn::Numbers(numbers), None) => numbers.iter().map(|number| *number as f32).collect(),
            (PlainColumn::Texts(texts), Some(value)) => texts.iter().map(|text| f32::from(u8::from(text == value))).collect(),
            // A test table may have numbers where texts were learned: compared as texts.
            (PlainColumn::Numbers(numbers), Some(value)) => {
                numbers.iter().map(|number| f32::from(u8::from(number.to_string() == *value))).collect()
            }
            (PlainColumn::Texts(_), None) => {
                table.numbers(&feature.column).map_err(DataError::of)?;
                Vec::new()
            }
        })
    };
    features.iter().map(column).collect()
}

/// Grows the forest.
fn grow(arguments: &Arguments, matrix: &Matrix<'_>, truth: &Truth, out_of_bag: bool) -> anyhow::Result<Fitted> {
    let binned = Binned::new(matrix, MAX_BINS);
    let rows: Vec<u32> = (0..matrix.n_rows() as u32).collect();
    let out_of_bag = if out_of_bag { OutOfBag::Predict } else { OutOfBag::Skip };
    let params = ForestParams { n_trees: arguments.trees, out_of_bag, ..ForestParams::default() };
    let seed = Seed(arguments.seed);
    let fitted = match truth {
        Truth::Classes { names, labels } => fit_classifier(&binned, &rows, labels, names.len(), None, &params, seed),
        Truth::Numbers(numbers) => {
            let params = ForestParams { max_features: MaxFeatures::Fraction(REGRESSION_COLUMNS), ..params };
            fit_regressor(&binned, &rows, numbers, None, &params, seed)
        }
    };
    Ok(fitted.map_err(DataError::of)?)
}

/// Every row, by the trees that did not see it.
fn judged_out_of_bag(truth: Truth, fitted: &Fitted) -> Judged {
    let n_outputs = fitted.forest.n_outputs();
    let lines = fitted.out_of_bag.chunks_exact(n_outputs);
    let rows: Vec<u32> = lines.clone().enumerate().filter(|(_, line)| !line[0].is_nan()).map(|(row, _)| row as u32).collect();
    let predictions = lines.filter(|line| !line[0].is_nan()).flatten().copied().collect();
    let truth = match truth {
        Truth::Classes { names, labels } => Truth::Classes { names, labels: rows.iter().map(|&row| labels[row as usize]).collect() },
        Truth::Numbers(numbers) => Truth::Numbers(rows.iter().map(|&row| numbers[row as usize]).collect()),
    };
    Judged { how: "out_of_bag", rows, truth, predictions, columns: None }
}

/// The rows of the test table.
fn judged_on_test(
    arguments: &Arguments,
    test: &PlainTable,
    features: &[Feature],
    truth: &Truth,
    fitted: &Fitted,
) -> anyhow::Result<Judged> {
    let truth = match truth {
        Truth::Classes { names, .. } => {
            let texts = test.texts(&arguments.target).map_err(DataError::of)?;
            let labels = labels(names, &texts).map_err(|row| {
                DataError::of(test.value_error(&arguments.target, row, "a class of the training table", format!("`{}`", texts[row])))
            })?;
            Truth::Classes { names: names.clone(), labels }
        }
        Truth::Numbers(_) => Truth::Numbers(test.numbers(&arguments.target).map_err(DataError::of)?.to_vec()),
    };
    let columns = encode(test, features)?;
    let rows: Vec<u32> = (0..test.n_rows() as u32).collect();
    let predictions = predict(&fitted.forest, &Matrix::new(&columns).map_err(DataError::of)?, &rows);
    Ok(Judged { how: "test", rows, truth, predictions, columns: Some(columns) })
}

/// What shuffling each column costs on the test table.
fn permutation(columns: &[Vec<f32>], fitted: &Fitted, judged: &Judged, seed: u64) -> anyhow::Result<Vec<PermutationImportance>> {
    let matrix = Matrix::new(columns).map_err(DataError::of)?;
    let loss = |predictions: &[f64]| match &judged.truth {
        Truth::Classes { names, labels } => {
            Classified::new(names.len(), predictions, labels).map_or(f64::NAN, |classified| classified.log_loss())
        }
        Truth::Numbers(numbers) => squared_error(predictions, numbers),
    };
    let groups = single_columns(columns.len());
    Ok(permutation_importance(&fitted.forest, &matrix, &judged.rows, &groups, N_REPEATS, loss, Seed(seed).derive("importance", 0)))
}

/// Mean squared error.
fn squared_error(predictions: &[f64], truth: &[f64]) -> f64 {
    predictions.iter().zip(truth).map(|(prediction, truth)| (prediction - truth).powi(2)).sum::<f64>() / truth.len() as f64
}

/// How good predicted numbers are.
fn number_metrics(predictions: &[f64], truth: &[f64]) -> NumberMetrics {
    let n = truth.len() as f64;
    let mean = truth.iter().sum::<f64>() / n;
    let variance = truth.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / n;
    let error = squared_error(predictions, truth);
    NumberMetrics {
        rmse: error.sqrt(),
        mae: predictions.iter().zip(truth).map(|(prediction, truth)| (prediction - truth).abs()).sum::<f64>() / n,
        r2: (variance > 0.0).then(|| 1.0 - error / variance),
    }
}

/// Writes row (from 1), truth, prediction, and the probability of each class.
fn write_predictions(path: &Path, judged: &Judged) -> Result<(), routewright_table::TableError> {
    let mut header: Vec<String> = ["row", "target", "prediction"].map(str::to_owned).to_vec();
    let first = |position: usize| (judged.rows[position] + 1).to_string();
    match &judged.truth {
        Truth::Classes { names, labels } => {
            header.extend(names.iter().map(|name| format!("probability_{name}")));
            let lines = judged.predictions.chunks_exact(names.len()).zip(labels).enumerate();
            write_csv(
                path,
                &header,
                lines.map(|(position, (line, label))| {
                    let own = [first(position), names[usize::from(*label)].clone(), names[most_probable(line)].clone()];
                    own.into_iter().chain(line.iter().map(ToString::to_string)).collect()
                }),
            )
        }
        Truth::Numbers(numbers) => {
            let lines = judged.predictions.iter().zip(numbers).enumerate();
            write_csv(
                path,
                &header,
                lines.map(|(position, (prediction, truth))| vec![first(position), truth.to_string(), prediction.to_string()]),
            )
        }
    }
}

/// Puts the answer together.
#[expect(clippy::too_many_arguments, reason = "each is a result of one step of `run`, and they meet only here")]
fn answer(
    arguments: &Arguments,
    n_rows: usize,
    features: &[Feature],
    left_out: Vec<LeftOut>,
    fitted: &Fitted,
    judged: &Judged,
    permutation: Option<Vec<PermutationImportance>>,
    seconds: Seconds,
) -> anyhow::Result<Answer> {
    let (classes, classification, regression) = match &judged.truth {
        Truth::Classes { names, labels } => {
            let classified = Classified::new(names.len(), &judged.predictions, labels).map_err(DataError::of)?;
            (names.clone(), Some(classified.metrics()), None)
        }
        Truth::Numbers(numbers) => (Vec::new(), None, Some(number_metrics(&judged.predictions, numbers))),
    };
    let mut importance: Vec<Importance> = features
        .iter()
        .enumerate()
        .map(|(position, feature)| Importance {
            feature: feature.value.as_ref().map_or_else(|| feature.column.clone(), |value| format!("{} = {value}", feature.column)),
            impurity: fitted.importance[position],
            permutation: permutation.as_ref().map(|permutation| permutation[position]),
        })
        .collect();
    let worth = |row: &Importance| row.permutation.map_or(row.impurity, |permutation| permutation.mean);
    importance.sort_by(|one, other| worth(other).total_cmp(&worth(one)));
    Ok(Answer {
        schema_version: 1,
        table: arguments.table.clone(),
        target: arguments.target.clone(),
        rows: n_rows,
        features: features.len(),
        trees: arguments.trees,
        nodes: fitted.forest.nodes().len(),
        judged: judged.how,
        judged_rows: judged.rows.len(),
        classes,
        classification,
        regression,
        importance,
        left_out,
        seconds,
    })
}

/// For people.
fn in_words(answer: &Answer) -> String {
    let how = if answer.judged == "test" { "of the test table" } else { "out of bag" };
    let mut text = format!(
        "{} from {} columns: {} trees on {} rows, judged on {} rows {how}\n\n",
        answer.target,
        answer.features,
        answer.trees,
        grouped(answer.rows),
        grouped(answer.judged_rows)
    );
    let mut lines: Vec<Vec<String>> = Vec::new();
    let mut line = |what: &str, value: String| lines.push(vec![what.to_owned(), value]);
    if let Some(metrics) = &answer.classification {
        line("classes", answer.classes.len().to_string());
        line("accuracy", format!("{:.4}", metrics.accuracy));
        line("log loss", format!("{:.4}", metrics.log_loss));
        line("Brier score", format!("{:.4} (summed over classes, 0 to 2)", metrics.brier));
        line("macro F1", format!("{:.4}", metrics.macro_f1));
    }
    if let Some(metrics) = &answer.regression {
        line("RMSE", format!("{:.6}", metrics.rmse));
        line("mean absolute error", format!("{:.6}", metrics.mae));
        line("R²", metrics.r2.map_or_else(|| "- (the target does not vary)".to_owned(), |r2| format!("{r2:.4}")));
    }
    let Seconds { read, fit, predict, importance } = &answer.seconds;
    line("seconds", format!("read {read:.3}, fit {fit:.3}, predict {predict:.3}, importance {importance:.3}"));
    text.push_str(&aligned(&[], &lines, &[]));
    let cells = |row: &Importance| {
        let permutation = row.permutation.map(|permutation| format!("{:.5} ± {:.5}", permutation.mean, permutation.sd));
        vec![shortened(&row.feature, 48), format!("{:.4}", row.impurity), permutation.unwrap_or_default()]
    };
    let rows: Vec<Vec<String>> = answer.importance.iter().take(N_SHOWN).map(cells).collect();
    text.push('\n');
    let header = if answer.judged == "test" { ["COLUMN", "IMPURITY", "PERMUTATION"].as_slice() } else { &["COLUMN", "IMPURITY"] };
    text.push_str(&aligned(header, &rows, &[Align::Left, Align::Right, Align::Right]));
    if answer.importance.len() > N_SHOWN {
        text.push_str(&format!("and {} more, see --json\n", answer.importance.len() - N_SHOWN));
    }
    for LeftOut { column, reason } in &answer.left_out {
        text.push_str(&format!("left out {column}: {reason}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> (tempfile::TempDir, PlainTable) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        std::fs::write(&path, text).unwrap();
        let table = PlainTable::read(&path, |_| true).unwrap();
        (folder, table)
    }

    #[test]
    fn texts_become_one_column_per_value_and_free_texts_are_left_out() {
        let mut text = "kind,note,n,y\n".to_owned();
        (0..40).for_each(|row| text.push_str(&format!("{},note {row},{row},1\n", if row % 2 == 0 { "even" } else { "odd" })));
        let (_folder, table) = table(&text);
        let (features, left_out) = features(&table, "y").unwrap();
        let names: Vec<(&str, Option<&str>)> = features.iter().map(|one| (one.column.as_str(), one.value.as_deref())).collect();
        assert_eq!(names, [("kind", Some("even")), ("kind", Some("odd")), ("n", None)]);
        assert_eq!((left_out[0].column.as_str(), left_out[0].reason.as_str()), ("note", "40 different texts"));
        assert_eq!(encode(&table, &features).unwrap()[1][..4], [0.0, 1.0, 0.0, 1.0]);
    }

    #[test]
    fn a_perfect_prediction_explains_all_variance() {
        let metrics = number_metrics(&[1.0, 2.0, 4.0], &[1.0, 2.0, 4.0]);
        assert_eq!((metrics.rmse, metrics.mae, metrics.r2), (0.0, 0.0, Some(1.0)));
        let metrics = number_metrics(&[2.0, 2.0], &[1.0, 3.0]);
        assert_eq!((metrics.rmse, metrics.mae, metrics.r2), (1.0, 1.0, Some(0.0)));
        assert_eq!(number_metrics(&[2.0], &[2.0]).r2, None);
    }

    #[test]
    fn a_class_that_was_not_learned_is_found() {
        let names = ["a".to_owned(), "b".to_owned()];
        assert_eq!(labels(&names, &["b".to_owned(), "a".to_owned()]), Ok(vec![1, 0]));
        assert_eq!(labels(&names, &["b".to_owned(), "c".to_owned()]), Err(1));
    }
}
