//! What figures need and no earlier stage tells: importance weights, how predictions follow a feature, and whether more decisions would help.
//!
//! All of it is measured on samples of fixed size, so that it takes seconds for logs of any length.

use rayon::prelude::*;
use routewright_domain::{Arm, Seed};
use routewright_engine::{Context, StageError};
use routewright_forest::{Binned, ForestParams, MAX_BINS, Matrix, fit_regressor};
use routewright_router::{Policy, PolicyScratch};
use routewright_table::{FeatureTable, Outcomes};

use crate::artifacts::Evaluation;

/// Held-out rows whose choices are looked at.
const WEIGHT_ROWS: usize = 10_000;

/// Bins of the weights.
const WEIGHT_BINS: usize = 24;

/// Features whose effect on the predictions is drawn.
pub(super) const DEPENDENCE_FEATURES: usize = 3;

/// Held-out rows whose predictions are averaged for it.
const DEPENDENCE_ROWS: usize = 200;

/// Values of a feature for which predictions are made.
const DEPENDENCE_VALUES: usize = 12;

/// Paths that a figure of a feature can show.
const DEPENDENCE_PATHS: usize = 7;

/// Bins of a feature's values.
const VALUE_BINS: usize = 24;

/// Training rows of the largest model of the learning curve, and held-out rows that it is judged on.
const LEARNING_ROWS: (usize, usize) = (8_000, 4_000);

/// Shares of these rows that the curve's models learn from.
const LEARNING_SHARES: [f64; 5] = [0.0625, 0.125, 0.25, 0.5, 1.0];

/// Draws of training rows per share.
const LEARNING_REPEATS: u64 = 3;

/// Trees of the learning curve's forests: fewer than the product's, since only the shape matters.
const LEARNING_TREES: u32 = 30;

/// Fewest training rows that a learning curve says anything about.
const MIN_LEARNING_ROWS: usize = 200;

/// What was measured.
pub(super) struct Probe {
    pub weights: Option<WeightSample>,
    pub dependence: Vec<Dependence>,
    pub learning: Option<Learning>,
}

/// Importance weights of the learned router on held-out rows.
pub(super) struct WeightSample {
    /// Edges of the bins of positive weights.
    pub edges: Vec<f64>,
    /// Rows per bin.
    pub counts: Vec<u64>,
    pub n: u64,
    pub n_zero: u64,
    pub effective_size: f64,
    pub largest: f64,
    /// Per path: its share in the log and under the learned router.
    pub shares: Vec<(f64, f64)>,
    /// Whether these are all held-out rows.
    pub is_whole: bool,
}

/// Mean predicted success by the value of one feature.
pub(super) struct Dependence {
    pub label: String,
    pub values: Vec<f64>,
    /// Paths with their mean predictions.
    pub paths: Vec<(Arm, Vec<f64>)>,
    pub n_rows: usize,
    pub edges: Vec<f64>,
    pub counts: Vec<u64>,
}

/// Mean squared error of predicted success by the number of decisions learned from.
pub(super) struct Learning {
    pub sizes: Vec<f64>,
    /// Mean, smallest and largest over the draws.
    pub forest: Vec<[f64; 3]>,
    /// Mean of predicting each path's success rate.
    pub rate: Vec<f64>,
    pub n_judged: usize,
}

impl Probe {
    /// Measures.
    pub(super) fn of(table: &FeatureTable, policy: &Policy, evaluation: &Evaluation, context: &Context<'_>) -> Result<Self, StageError> {
        let held_out = table.held_out_rows();
        let features = evaluation.importance.iter().take(DEPENDENCE_FEATURES);
        let named = features.filter_map(|feature| {
            let column = table.features.iter().position(|column| column.name == feature.feature)?;
            Some((column, feature.label.clone()))
        });
        let dependence = named
            .filter_map(|(column, label)| dependence(table, policy, &thinned(held_out.as_slice(), WEIGHT_ROWS), column, label))
            .collect();
        Ok(Self {
            weights: weights(table, policy, held_out.as_slice()),
            dependence,
            learning: learning(table, Seed(context.seed()).derive("learning curve", 0))?,
        })
    }
}

/// At most so many rows, evenly spread.
fn thinned(rows: &[u32], most: usize) -> Vec<u32> {
    let every = rows.len().div_ceil(most.max(1)).max(1);
    rows.iter().step_by(every).copied().collect()
}

/// Where the log has propensities, what the learned router's choices weigh.
fn weights(table: &FeatureTable, policy: &Policy, held_out: &[u32]) -> Option<WeightSample> {
    let outcomes = &table.outcomes;
    let rows = thinned(held_out, WEIGHT_ROWS);
    let known: Vec<u32> = rows
        .into_iter()
        .filter(|row| outcomes.propensities[*row as usize].is_some() && outcomes.static_arms[*row as usize].is_some())
        .collect();
    if known.is_empty() {
        return None;
    }
    let choices: Vec<Option<Arm>> = known
        .par_iter()
        .map_init(
            || (PolicyScratch::default(), vec![0.0; table.features.len()]),
            |(scratch, values), row| {
                table.copy_row(*row as usize, values);
                policy.choose(values, outcomes.static_arms[*row as usize], scratch).arm
            },
        )
        .collect();
    let weight = |(row, choice): (&u32, &Option<Arm>)| match outcomes.propensities[*row as usize] {
        Some(propensity) if *choice == Some(outcomes.arms[*row as usize]) => 1.0 / propensity.get(),
        _ => 0.0,
    };
    let weights: Vec<f64> = known.iter().zip(&choices).map(weight).collect();
    let positive: Vec<f64> = weights.iter().copied().filter(|weight| *weight > 0.0).collect();
    let edges = log_edges(&positive, WEIGHT_BINS);
    let (sum, squares) = weights.iter().fold((0.0, 0.0), |(sum, squares), weight| (sum + weight, squares + weight * weight));
    let n = known.len() as f64;
    let share = |arm: Arm| {
        let logged = known.iter().filter(|row| outcomes.arms[**row as usize] == arm).count() as f64 / n;
        (logged, choices.iter().filter(|choice| **choice == Some(arm)).count() as f64 / n)
    };
    Some(WeightSample {
        counts: histogram(&edges, &positive),
        edges,
        n: known.len() as u64,
        n_zero: (known.len() - positive.len()) as u64,
        effective_size: if squares > 0.0 { sum * sum / squares } else { 0.0 },
        largest: positive.iter().copied().fold(0.0, f64::max),
        shares: table.paths.arms().map(share).collect(),
        is_whole: known.len() == held_out.len(),
    })
}

/// How the predictions follow a feature; `None` where it has a single value.
fn dependence(table: &FeatureTable, policy: &Policy, held_out: &[u32], column: usize, label: String) -> Option<Dependence> {
    let known = |row: &u32| Some(f64::from(table.features[column].values[*row as usize])).filter(|value| value.is_finite());
    let mut sorted: Vec<f64> = held_out.iter().filter_map(known).collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let mut values: Vec<f64> = (0..DEPENDENCE_VALUES).map(|step| sorted[step * last / (DEPENDENCE_VALUES - 1)]).collect();
    values.dedup();
    if values.len() < 2 {
        return None;
    }
    let mut arms: Vec<Arm> = table.paths.arms().filter(|arm| policy.success[arm.index()].is_some()).collect();
    arms.sort_by_key(|arm| (std::cmp::Reverse(policy.support[arm.index()]), arm.index()));
    arms.truncate(DEPENDENCE_PATHS);
    let rows = thinned(held_out, DEPENDENCE_ROWS);
    let paths = arms.into_iter().filter_map(|arm| {
        let model = policy.success[arm.index()].as_ref()?;
        let mean = |value: &f64| {
            let mut row_values = vec![0.0; table.features.len()];
            let mut output = [0.0];
            let sum: f64 = rows
                .iter()
                .map(|row| {
                    table.copy_row(*row as usize, &mut row_values);
                    row_values[column] = *value as f32;
                    model.forest.predict(&row_values, &mut output);
                    model.calibration.apply(output[0]).clamp(0.0, 1.0)
                })
                .sum();
            sum / rows.len() as f64
        };
        Some((arm, values.par_iter().map(mean).collect::<Vec<f64>>()))
    });
    let paths: Vec<(Arm, Vec<f64>)> = paths.collect();
    let (low, high) = (values[0], values[values.len() - 1]);
    let edges: Vec<f64> = (0..=VALUE_BINS).map(|edge| low + (high - low) * edge as f64 / VALUE_BINS as f64).collect();
    Some(Dependence { label, paths, n_rows: rows.len(), counts: histogram(&edges, &sorted), edges, values })
}

/// Forests grown on more and more training rows, judged on the same held-out rows.
fn learning(table: &FeatureTable, seed: Seed) -> Result<Option<Learning>, StageError> {
    let train = thinned(table.training_rows().as_slice(), LEARNING_ROWS.0);
    let judged = thinned(table.held_out_rows().as_slice(), LEARNING_ROWS.1);
    if train.len() < MIN_LEARNING_ROWS || judged.is_empty() || table.features.is_empty() {
        return Ok(None);
    }
    let sample = Sample::of(table, &[train.as_slice(), judged.as_slice()].concat(), train.len());
    let binned = Binned::new(&Matrix::new(&sample.columns)?, MAX_BINS);
    let params = ForestParams { n_trees: LEARNING_TREES, ..ForestParams::default() };
    let mut learning = Learning { sizes: Vec::new(), forest: Vec::new(), rate: Vec::new(), n_judged: judged.len() };
    for share in LEARNING_SHARES {
        let size = (share * train.len() as f64).round() as usize;
        let (mut losses, mut rates) = (Vec::new(), Vec::new());
        for repeat in 0..LEARNING_REPEATS {
            let draw = seed.derive("draw", repeat);
            let mut order: Vec<u32> = (0..train.len() as u32).collect();
            order.sort_by_key(|row| (draw.derive("row", u64::from(*row)).0, *row));
            order.truncate(size);
            order.sort_unstable();
            let (loss, rate) = sample.loss(&binned, &order, &params, draw)?;
            losses.push(loss);
            rates.push(rate);
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let (low, high) = losses.iter().fold((f64::MAX, f64::MIN), |(low, high), loss| (low.min(*loss), high.max(*loss)));
        learning.sizes.push(size as f64);
        learning.forest.push([mean(&losses), low, high]);
        learning.rate.push(mean(&rates));
    }
    Ok(Some(learning))
}

/// Rows taken out of the table: first those to learn from, then those to judge on.
struct Sample {
    columns: Vec<Vec<f32>>,
    arms: Vec<Arm>,
    success: Vec<f64>,
    n_paths: usize,
    n_train: usize,
}

impl Sample {
    fn of(table: &FeatureTable, rows: &[u32], n_train: usize) -> Self {
        let outcomes: &Outcomes = &table.outcomes;
        let gather = |values: &[f32]| rows.iter().map(|row| values[*row as usize]).collect();
        Self {
            columns: table.features.iter().map(|column| gather(&column.values)).collect(),
            arms: rows.iter().map(|row| outcomes.arms[*row as usize]).collect(),
            success: rows.iter().map(|row| f64::from(u8::from(outcomes.successes[*row as usize] == Some(true)))).collect(),
            n_paths: table.paths.len(),
            n_train,
        }
    }

    /// Mean squared error on the judged rows of forests per path, and of each path's success rate alone, learned from `rows`.
    fn loss(&self, binned: &Binned, rows: &[u32], params: &ForestParams, seed: Seed) -> Result<(f64, f64), StageError> {
        let overall = self.rate(rows.iter().copied(), 0.5);
        let (mut loss, mut loss_of_rate) = (0.0, 0.0);
        let mut values = vec![0.0; self.columns.len()];
        for path in 0..self.n_paths {
            let of_path: Vec<u32> = rows.iter().copied().filter(|row| self.arms[*row as usize].index() == path).collect();
            let judged: Vec<usize> = (self.n_train..self.arms.len()).filter(|row| self.arms[*row].index() == path).collect();
            if judged.is_empty() {
                continue;
            }
            let rate = self.rate(of_path.iter().copied(), overall);
            let enough = of_path.len() >= 2 * params.min_samples_leaf as usize;
            let forest = if enough {
                Some(fit_regressor(binned, &of_path, &self.success, None, params, seed.derive("path", path as u64))?.forest)
            } else {
                None
            };
            for row in judged {
                let mut output = [rate];
                if let Some(forest) = &forest {
                    values.iter_mut().zip(&self.columns).for_each(|(value, column)| *value = column[row]);
                    forest.predict(&values, &mut output);
                }
                loss += (output[0] - self.success[row]).powi(2);
                loss_of_rate += (rate - self.success[row]).powi(2);
            }
        }
        let n = (self.arms.len() - self.n_train) as f64;
        Ok((loss / n, loss_of_rate / n))
    }

    /// The success rate of rows, pulled to another rate with the weight of one row.
    fn rate(&self, rows: impl Iterator<Item = u32>, otherwise: f64) -> f64 {
        let (n, sum) = rows.fold((1.0, otherwise), |(n, sum), row| (n + 1.0, sum + self.success[row as usize]));
        sum / n
    }
}

/// Edges of bins of equal ratio around positive numbers.
fn log_edges(positive: &[f64], n_bins: usize) -> Vec<f64> {
    let (low, high) = positive.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    if low > high {
        return Vec::new();
    }
    let (low, high) = (low / 1.2, high * 1.2);
    (0..=n_bins).map(|edge| low * (high / low).powf(edge as f64 / n_bins as f64)).collect()
}

/// Numbers per bin; what lies beyond the ends counts in the end bins.
fn histogram(edges: &[f64], values: &[f64]) -> Vec<u64> {
    let mut counts = vec![0; edges.len().saturating_sub(1)];
    if let Some(last) = counts.len().checked_sub(1) {
        for value in values {
            counts[edges.partition_point(|edge| edge <= value).saturating_sub(1).min(last)] += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_falls_into_one_bin() {
        let values = [1.0, 1.5, 2.0, 4.0];
        let edges = log_edges(&values, 4);
        assert_eq!(edges.len(), 5);
        assert_eq!(histogram(&edges, &values).iter().sum::<u64>(), 4);
        assert_eq!(histogram(&[0.0, 1.0, 2.0], &[-1.0, 0.5, 1.0, 2.0, 9.0]), [2, 3]);
    }

    #[test]
    fn nothing_gives_no_bins() {
        assert!(log_edges(&[], 4).is_empty() && histogram(&[], &[1.0]).is_empty());
    }

    #[test]
    fn thinned_rows_are_spread_and_few() {
        let rows: Vec<u32> = (0..100).collect();
        assert_eq!(thinned(&rows, 4), [0, 25, 50, 75]);
        assert_eq!(thinned(&rows, 1000).len(), 100);
    }
}
