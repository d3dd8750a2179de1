//! Gradient boosting on the same trees: each round grows trees on what the rounds before it got wrong.

use rayon::prelude::*;
use routewright_domain::Seed;
use routewright_router::{Forest, NodeKind, Tree};
use serde::{Deserialize, Serialize};

use crate::binned::{Binned, Coding};
use crate::cells::{CURVATURE_STEPS, Cell, GRADIENT_STEPS, Gradients, MAX_BOOSTED_ROWS, Sample as SampledRow};
use crate::fit::{FitError, MAX_CLASSES};
use crate::grow::{Grown, Threads, grow};
use crate::matrix::Matrix;
use crate::metrics::LOG_LOSS_MARGIN;
use crate::params::{ForestParams, InvalidParam, MaxFeatures, Sample};
use crate::plan::Plan;
use crate::predict::predict;
use crate::search::goes_left;

/// Least curvature of a row, so that rows that are predicted with certainty do not ask for endless steps.
const MIN_CURVATURE: f64 = 1e-4;

/// Largest Newton step of a leaf, before shrinkage, in units of the logit (or of half the target's range).
const MAX_STEP: f64 = 4.0;

/// Rows that one task moves at a time.
const CHUNK_ROWS: usize = 4096;

/// Settings of boosting; what they are unless said otherwise is in [`BoostParams::default`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BoostParams {
    /// Rounds, each a tree, or one per class where there are more than two.
    pub n_rounds: u32,
    /// Share of each step that is taken, in (0, 1].
    pub learning_rate: f64,
    /// Levels below the root.
    pub max_depth: u16,
    /// Rows that a leaf needs.
    pub min_samples_leaf: u32,
    /// Columns among which each split is sought.
    pub max_features: MaxFeatures,
    /// Share of the rows that each round sees, without replacement, in (0, 1]; of more than 16,777,215 rows it sees so many.
    pub subsample: f64,
    /// Rounds without a gain on the judging rows after which boosting stops, at least 1; without judging rows every round is grown.
    pub patience: u32,
}

impl Default for BoostParams {
    fn default() -> Self {
        Self {
            n_rounds: 100,
            learning_rate: 0.1,
            max_depth: 6,
            min_samples_leaf: 20,
            max_features: MaxFeatures::All,
            subsample: 1.0,
            patience: 10,
        }
    }
}

impl BoostParams {
    /// How each tree is grown.
    fn forest(&self) -> ForestParams {
        ForestParams {
            n_trees: self.n_rounds,
            max_depth: self.max_depth,
            min_samples_leaf: self.min_samples_leaf,
            max_features: self.max_features,
            max_sample_rows: MAX_BOOSTED_ROWS,
            sample: if self.subsample < 1.0 { Sample::Subsample(self.subsample) } else { Sample::All },
            ..ForestParams::default()
        }
    }

    /// Checks what trees do not check.
    fn check(&self) -> Result<(), InvalidParam> {
        let unit = |name, found: f64| match 0.0 < found && found <= 1.0 {
            true => Ok(()),
            false => Err(InvalidParam { name, expected: "in (0, 1]", found }),
        };
        unit("learning_rate", self.learning_rate)?;
        unit("subsample", self.subsample)?;
        match self.patience {
            0 => Err(InvalidParam { name: "patience", expected: "at least 1", found: 0.0 }),
            _ => Ok(()),
        }
    }
}

/// What the sum of the trees is made into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// The prediction itself, in half ranges from the middle.
    Identity,
    /// The logit of the second of two classes.
    Logistic,
    /// One number per class, whose exponentials are in the ratio of the probabilities.
    Softmax,
}

/// Boosted trees: the base and the sum over the trees, through the link.
#[derive(Clone, Debug, PartialEq)]
pub struct Boosted {
    /// The trees; a prediction is their number times their mean.
    trees: Forest,
    base: Vec<f64>,
    link: Link,
    middle: f64,
    half_range: f64,
    n_classes: usize,
}

/// What is learned from each row, and how predictions move towards it.
struct Loss<'a> {
    link: Link,
    /// Class, as a number, or target in half ranges from the middle.
    truth: &'a (dyn Fn(u32) -> f64 + Sync),
    weights: Option<&'a [f32]>,
    n_outputs: usize,
}

/// The rows of a table that boosting learns from, and those that say when to stop.
#[derive(Clone, Copy, Debug)]
pub struct BoostRows<'a> {
    /// Positions in the table to learn from; repeats count twice.
    pub train: &'a [u32],
    /// Positions of other rows: boosting ends when their loss has not fallen for [`BoostParams::patience`] rounds, and keeps the rounds up
    /// to the lowest. None of them, and every round is grown.
    pub judge: &'a [u32],
}

impl<'a> BoostRows<'a> {
    /// All rounds on these rows.
    pub fn all(train: &'a [u32]) -> Self {
        Self { train, judge: &[] }
    }
}

/// Boosts a classifier. Arguments as for [`crate::fit_classifier`]; weights are scaled to a largest weight of 1.
///
/// Each round takes a Newton step in the log loss per class (Friedman 2001; Chen & Guestrin 2016). Equal input and seed give equal trees for
/// any number of threads.
///
/// # Errors
/// [`FitError`] as for [`crate::fit_classifier`].
pub fn boost_classifier(
    (binned, rows): (&Binned, BoostRows<'_>),
    labels: &[u16],
    n_classes: usize,
    weights: Option<&[f32]>,
    params: &BoostParams,
    seed: Seed,
) -> Result<Boosted, FitError> {
    params.check()?;
    let forest = params.forest();
    let plan = Plan::new(binned, rows.train, ("labels", labels.len()), weights, &forest, seed)?;
    let judge = judges(&plan, rows.judge, ("labels", labels.len()), weights)?;
    if n_classes == 0 || MAX_CLASSES < n_classes {
        return Err(FitError::Classes { found: n_classes });
    }
    if let Some(&row) = rows.train.iter().chain(rows.judge).find(|&&row| n_classes <= usize::from(labels[row as usize])) {
        return Err(FitError::Label { row, found: labels[row as usize], n_classes });
    }
    let (link, n_outputs) = if n_classes <= 2 { (Link::Logistic, 1) } else { (Link::Softmax, n_classes) };
    let mut shares = vec![0.0; n_classes.max(2)];
    for &position in &plan.kept {
        let row = rows.train[position as usize];
        shares[usize::from(labels[row as usize])] += weights.map_or(1.0, |weights| f64::from(weights[row as usize]));
    }
    let total: f64 = shares.iter().sum();
    // Half a row more of every class keeps logarithms finite.
    let share = |class: usize| (shares[class] + 0.5) / (total + 0.5 * shares.len() as f64);
    let base = match link {
        Link::Softmax => (0..n_classes).map(|class| share(class).ln()).collect(),
        _ => vec![(share(1) / share(0)).ln()],
    };
    let loss = Loss { link, truth: &|row| f64::from(labels[row as usize]), weights, n_outputs };
    boost(&Plan { n_outputs, ..plan }, &judge, params, &loss, base, n_classes)
}

/// Boosts a regressor of the mean. Arguments as for [`crate::fit_regressor`].
///
/// # Errors
/// [`FitError`] as for [`crate::fit_regressor`].
pub fn boost_regressor(
    (binned, rows): (&Binned, BoostRows<'_>),
    target: &[f64],
    weights: Option<&[f32]>,
    params: &BoostParams,
    seed: Seed,
) -> Result<Boosted, FitError> {
    params.check()?;
    let forest = params.forest();
    let plan = Plan::new(binned, rows.train, ("target", target.len()), weights, &forest, seed)?;
    let judge = judges(&plan, rows.judge, ("target", target.len()), weights)?;
    let (middle, half_range) = plan.range(target)?;
    if let Some(&row) = judge.iter().find(|&&row| !target[row as usize].is_finite()) {
        return Err(FitError::Target { row, found: target[row as usize] });
    }
    let scale = if half_range > 0.0 { half_range } else { 1.0 };
    let truth = |row: u32| (target[row as usize] - middle) / scale;
    let weight = |row: u32| weights.map_or(1.0, |weights| f64::from(weights[row as usize]));
    let sums = plan
        .kept
        .iter()
        .map(|&position| rows.train[position as usize])
        .fold((0.0, 0.0), |(sum, total), row| (sum + weight(row) * truth(row), total + weight(row)));
    let loss = Loss { link: Link::Identity, truth: &truth, weights, n_outputs: 1 };
    boost(&Plan { middle, half_range: scale, ..plan }, &judge, params, &loss, vec![sums.0 / sums.1], 1)
}

/// Judging rows with a weight, checked as the rows of the plan are.
fn judges(plan: &Plan<'_>, rows: &[u32], column: (&'static str, usize), weights: Option<&[f32]>) -> Result<Vec<u32>, FitError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let checked = Plan::new(plan.binned, rows, column, weights, plan.params, plan.seed)?;
    Ok(checked.kept.iter().map(|&position| rows[position as usize]).collect())
}

/// Rows and where their predictions stand, before the link: `n_outputs` scores each.
struct Standing {
    rows: Vec<u32>,
    scores: Vec<f64>,
}

impl Standing {
    fn new(rows: Vec<u32>, base: &[f64]) -> Self {
        let scores = base.iter().copied().cycle().take(rows.len() * base.len()).collect();
        Self { rows, scores }
    }

    /// Adds what a round's trees say, one tree per output.
    fn advance(&mut self, coding: &Coding, grown: &[Grown]) {
        let n_outputs = grown.len();
        self.scores.par_chunks_mut(CHUNK_ROWS * n_outputs).zip(self.rows.par_chunks(CHUNK_ROWS)).for_each(|(scores, rows)| {
            for (scores, &row) in scores.chunks_exact_mut(n_outputs).zip(rows) {
                for (class, (score, grown)) in scores.iter_mut().zip(grown).enumerate() {
                    let leaf = leaf_of(grown, coding.row(row as usize));
                    *score += f64::from(grown.tree.values[leaf * n_outputs + class]);
                }
            }
        });
    }
}

/// Grows the rounds.
fn boost(
    plan: &Plan<'_>,
    judge: &[u32],
    params: &BoostParams,
    loss: &Loss<'_>,
    base: Vec<f64>,
    n_classes: usize,
) -> Result<Boosted, FitError> {
    let n_outputs = loss.n_outputs;
    let rows: Vec<u32> = plan.kept.iter().map(|&position| plan.rows[position as usize]).collect();
    let largest = loss.weights.map_or(1.0, |weights| rows.iter().fold(0.0, |most: f32, &row| most.max(weights[row as usize])));
    let (mut learned, mut judged) = (Standing::new(rows, &base), Standing::new(judge.to_vec(), &base));
    let threads = if n_outputs < rayon::current_num_threads() { Threads::Shared } else { Threads::PerTree };
    let mut trees: Vec<Tree> = Vec::new();
    let (mut least, mut n_best) = (f64::INFINITY, 0);
    for round in 0..params.n_rounds {
        let round_seed = plan.seed.derive("round", u64::from(round));
        let n_draws = plan.draw(&mut round_seed.rng());
        let coding = plan.binned.coding(round as usize);
        let steps: Vec<(i32, u32)> = loss.steps(&learned.rows, &learned.scores, largest);
        let grow_class = |class: usize| {
            let drawn = learned.rows.iter().enumerate().filter(|(position, _)| n_draws[*position] > 0);
            let samples = drawn.map(|(position, &row)| SampledRow { row, n_draws: 1, payload: steps[position * n_outputs + class] });
            let leaf = |cell: &Gradients, values: &mut Vec<f32>| {
                let step = params.learning_rate * cell.mean(0).clamp(-MAX_STEP, MAX_STEP);
                values.extend((0..n_outputs).map(|output| if output == class { step as f32 } else { 0.0 }));
            };
            let rng = round_seed.derive("class", class as u64).rng();
            grow::<Gradients>(coding, samples.collect(), plan.params, threads, rng, &leaf)
        };
        let grown: Vec<Grown> = (0..n_outputs).into_par_iter().map(grow_class).collect();
        learned.advance(coding, &grown);
        judged.advance(coding, &grown);
        trees.extend(grown.into_iter().map(|grown| grown.tree));
        if judge.is_empty() {
            continue;
        }
        let found = loss.mean(&judged);
        if found < least {
            (least, n_best) = (found, round + 1);
        } else if params.patience <= round + 1 - n_best {
            break;
        }
    }
    if !judge.is_empty() {
        trees.truncate(n_best.max(1) as usize * n_outputs);
    }
    let trees = Forest::new(plan.binned.n_columns(), n_outputs, &trees)?;
    Ok(Boosted { trees, base, link: loss.link, middle: plan.middle, half_range: plan.half_range, n_classes })
}

/// The leaf of a coded row in one tree.
fn leaf_of(grown: &Grown, codes: &[u8]) -> usize {
    let mut node = 0;
    loop {
        match grown.tree.nodes[node].kind() {
            NodeKind::Leaf { leaf } => return leaf,
            NodeKind::Split { feature, test, missing, left, right } => {
                let is_left = goes_left(codes[feature], grown.cuts[node], test, missing, &grown.tree.sets);
                node = if is_left { left } else { right };
            }
        }
    }
}

impl Loss<'_> {
    /// Minus the gradient, and the curvature, of every row and output, in steps of [`GRADIENT_STEPS`] and [`CURVATURE_STEPS`].
    fn steps(&self, rows: &[u32], scores: &[f64], largest: f32) -> Vec<(i32, u32)> {
        let n_outputs = self.n_outputs;
        let mut steps = vec![(0, 0_u32); scores.len()];
        let places = steps.par_chunks_mut(n_outputs).zip(scores.par_chunks(n_outputs)).zip(rows);
        places.for_each_init(Vec::new, |probabilities, ((steps, scores), &row)| {
            let (truth, weight) = ((self.truth)(row), self.weights.map_or(1.0, |weights| f64::from(weights[row as usize] / largest)));
            probabilities.clear();
            probabilities.extend_from_slice(scores);
            apply(self.link, probabilities);
            for (output, (step, &p)) in steps.iter_mut().zip(probabilities.iter()).enumerate() {
                let (error, curvature) = match self.link {
                    // Errors are at most twice the half range: half of both is the same step.
                    Link::Identity => ((truth - p) / 4.0, 0.25),
                    Link::Logistic => (truth - p, p * (1.0 - p)),
                    Link::Softmax => (f64::from(u8::from(truth == output as f64)) - p, p * (1.0 - p)),
                };
                let gradient = (weight * error.clamp(-1.0, 1.0) * GRADIENT_STEPS).round() as i32;
                *step = (gradient, (weight * curvature.max(MIN_CURVATURE) * CURVATURE_STEPS).round().max(1.0) as u32);
            }
        });
        steps
    }

    /// The weighted mean loss where predictions stand: squared error, or −ln of the true class's probability.
    fn mean(&self, at: &Standing) -> f64 {
        let (mut sum, mut total) = (0.0, 0.0);
        for (scores, &row) in at.scores.chunks_exact(self.n_outputs).zip(&at.rows) {
            let (truth, weight) = ((self.truth)(row), self.weights.map_or(1.0, |weights| f64::from(weights[row as usize])));
            let mut predictions = scores.to_vec();
            apply(self.link, &mut predictions);
            let likelihood = match self.link {
                Link::Identity => {
                    sum += weight * (truth - predictions[0]).powi(2);
                    1.0
                }
                Link::Logistic if truth == 1.0 => predictions[0],
                Link::Logistic => 1.0 - predictions[0],
                Link::Softmax => predictions[truth as usize],
            };
            sum -= weight * likelihood.max(LOG_LOSS_MARGIN).ln();
            total += weight;
        }
        sum / total
    }
}

/// Makes scores into predictions.
fn apply(link: Link, scores: &mut [f64]) {
    match link {
        Link::Identity => {}
        Link::Logistic => scores.iter_mut().for_each(|score| *score = 1.0 / (1.0 + (-*score).exp())),
        Link::Softmax => {
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            scores.iter_mut().for_each(|score| *score = (*score - largest).exp());
            let sum: f64 = scores.iter().sum();
            scores.iter_mut().for_each(|score| *score /= sum);
        }
    }
}

impl Boosted {
    /// The trees.
    pub fn trees(&self) -> &Forest {
        &self.trees
    }

    /// Predicts rows of a table: one probability per class, or one mean, per entry of `rows`.
    pub fn predict(&self, matrix: &Matrix<'_>, rows: &[u32]) -> Vec<f64> {
        let n_trees = self.trees.n_trees() as f64;
        let mut scores = predict(&self.trees, matrix, rows);
        for scores in scores.chunks_exact_mut(self.base.len()) {
            scores.iter_mut().zip(&self.base).for_each(|(score, base)| *score = base + n_trees * *score);
            apply(self.link, scores);
        }
        match self.link {
            Link::Identity => scores.iter().map(|score| self.middle + self.half_range * score).collect(),
            Link::Softmax => scores,
            Link::Logistic if self.n_classes == 1 => vec![1.0; rows.len()],
            Link::Logistic => scores.iter().flat_map(|&p| [1.0 - p, p]).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng as _;

    use super::*;
    use crate::{Classified, MAX_BINS};

    fn table(n_rows: usize) -> Vec<Vec<f32>> {
        let mut rng = Seed(11).rng();
        (0..3).map(|_| (0..n_rows).map(|_| rng.next_u32() as f32 / u32::MAX as f32).collect()).collect()
    }

    #[test]
    fn classes_are_learned_and_probabilities_sum_to_one() {
        let columns = table(1500);
        let matrix = Matrix::new(&columns).unwrap();
        let binned = Binned::new(&matrix, MAX_BINS);
        let (train, test): (Vec<u32>, Vec<u32>) = (0..1500).partition(|row| row % 3 != 0);
        for n_classes in [2_u16, 3] {
            let labels: Vec<u16> = (0..1500).map(|row| ((columns[0][row] + columns[1][row]) * 1.5) as u16 % n_classes).collect();
            let params = BoostParams { n_rounds: 40, ..BoostParams::default() };
            let boosted =
                boost_classifier((&binned, BoostRows::all(&train)), &labels, usize::from(n_classes), None, &params, Seed(1)).unwrap();
            let probabilities = boosted.predict(&matrix, &test);
            let truth: Vec<u16> = test.iter().map(|&row| labels[row as usize]).collect();
            let scores = Classified::new(usize::from(n_classes), &probabilities, &truth).unwrap();
            assert!(scores.accuracy() > 0.95 && scores.log_loss() < 0.2, "{} {}", scores.accuracy(), scores.log_loss());
            let sums = probabilities.chunks_exact(usize::from(n_classes)).map(|row| row.iter().sum::<f64>());
            assert!(sums.fold(0.0, |most: f64, sum| most.max((sum - 1.0).abs())) < 1e-12);
        }
    }

    #[test]
    fn a_target_is_learned_in_its_own_units_and_a_constant_one_is_kept() {
        let columns = table(1200);
        let matrix = Matrix::new(&columns).unwrap();
        let binned = Binned::new(&matrix, MAX_BINS);
        let rows: Vec<u32> = (0..1200).collect();
        let target: Vec<f64> = columns[0].iter().map(|&value| 1000.0 + 100.0 * f64::from(value).powi(2)).collect();
        let params = BoostParams { n_rounds: 100, subsample: 0.5, ..BoostParams::default() };
        let boosted = boost_regressor((&binned, BoostRows::all(&rows)), &target, None, &params, Seed(1)).unwrap();
        let error = boosted.predict(&matrix, &rows).iter().zip(&target).fold(0.0, |sum: f64, (found, truth)| sum + (found - truth).abs());
        assert!(error / 1200.0 < 2.0, "{}", error / 1200.0);
        let constant = boost_regressor((&binned, BoostRows::all(&rows)), &[7.5; 1200], None, &params, Seed(1)).unwrap();
        assert_eq!(constant.predict(&matrix, &[0, 5]), [7.5, 7.5]);
    }

    #[test]
    fn threads_and_weights_of_zero_do_not_matter() {
        let columns = table(9000);
        let binned = Binned::new(&Matrix::new(&columns).unwrap(), MAX_BINS);
        let labels: Vec<u16> = columns[0].iter().map(|&value| u16::from(value > 0.3)).collect();
        let rows: Vec<u32> = (0..9000).collect();
        let weights: Vec<f32> = (0..9000).map(|row| if row < 8500 { 1.0 } else { 0.0 }).collect();
        let params = BoostParams { n_rounds: 5, ..BoostParams::default() };
        let fit = |n_threads: usize, rows: &[u32], weights: Option<&[f32]>| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            pool.install(|| boost_classifier((&binned, BoostRows::all(rows)), &labels, 2, weights, &params, Seed(1)).unwrap())
        };
        let one = fit(1, &rows, Some(&weights));
        assert_eq!(one, fit(3, &rows, Some(&weights)));
        assert_eq!(one.trees(), fit(1, &rows[..8500], None).trees());
    }

    #[test]
    fn boosting_stops_when_other_rows_gain_no_more() {
        let columns = table(900);
        let binned = Binned::new(&Matrix::new(&columns).unwrap(), MAX_BINS);
        let matrix = Matrix::new(&columns).unwrap();
        // Nine labels of ten follow a column, the others nothing: what is learned after the column is noise.
        let labels: Vec<u16> =
            (0..900).map(|row| if row % 10 == 0 { (row / 10 % 3) as u16 } else { (columns[0][row] * 3.0) as u16 }).collect();
        let target: Vec<f64> = labels.iter().map(|&label| f64::from(label)).collect();
        let (train, judge): (Vec<u32>, Vec<u32>) = (0..900).partition(|row| row % 3 != 1);
        let params = BoostParams { n_rounds: 300, min_samples_leaf: 1, learning_rate: 0.3, patience: 5, ..BoostParams::default() };
        let all = BoostRows::all(&train);
        let stopping = BoostRows { judge: &judge, ..all };
        let fit = |rows| boost_classifier((&binned, rows), &labels, 3, None, &params, Seed(1)).unwrap();
        let truth: Vec<u16> = judge.iter().map(|&row| labels[row as usize]).collect();
        let loss = |boosted: &Boosted| Classified::new(3, &boosted.predict(&matrix, &judge), &truth).unwrap().log_loss();
        let (stopped, whole) = (fit(stopping), fit(all));
        assert_eq!(whole.trees().n_trees(), 900);
        assert!(stopped.trees().n_trees() < 150 && loss(&stopped) < loss(&whole), "{}", stopped.trees().n_trees());
        // What is kept is the beginning of the whole.
        let n_rounds = stopped.trees().n_trees() as u32 / 3;
        let short = BoostParams { n_rounds, ..params };
        assert_eq!(boost_classifier((&binned, all), &labels, 3, None, &short, Seed(1)).unwrap(), stopped);
        let means = boost_regressor((&binned, stopping), &target, None, &params, Seed(1)).unwrap();
        assert!((1..100).contains(&means.trees().n_trees()), "{}", means.trees().n_trees());
        let bad = BoostRows { judge: &[900], ..all };
        let error = boost_classifier((&binned, bad), &labels, 3, None, &params, Seed(1)).unwrap_err();
        assert_eq!(error, FitError::Row { row: 900, n_rows: 900 });
    }

    #[test]
    fn boosting_ends_once_its_patience_does() {
        let columns = table(300);
        let binned = Binned::new(&Matrix::new(&columns).unwrap(), MAX_BINS);
        let matrix = Matrix::new(&columns).unwrap();
        let labels: Vec<u16> =
            (0..300).map(|row| if row % 4 == 0 { (row / 4 % 2) as u16 } else { (columns[0][row] * 2.0) as u16 }).collect();
        let (train, judge): (Vec<u32>, Vec<u32>) = (0..300).partition(|row| row % 3 != 1);
        let truth: Vec<u16> = judge.iter().map(|&row| labels[row as usize]).collect();
        let all = BoostRows::all(&train);
        let params = BoostParams { learning_rate: 0.2, max_depth: 2, min_samples_leaf: 1, subsample: 0.05, ..BoostParams::default() };
        let loss_after = |n_rounds| {
            let boosted = boost_classifier((&binned, all), &labels, 2, None, &BoostParams { n_rounds, ..params }, Seed(1)).unwrap();
            Classified::new(2, &boosted.predict(&matrix, &judge), &truth).unwrap().log_loss()
        };
        let losses: Vec<f64> = (1..=40).map(loss_after).collect();
        let kept = |patience: u32| {
            let params = BoostParams { n_rounds: 40, patience, ..params };
            let rows = BoostRows { judge: &judge, ..all };
            let boosted = boost_classifier((&binned, rows), &labels, 2, None, &params, Seed(1)).unwrap();
            boosted.trees().n_trees()
        };
        // The least loss so far, up to the first round that ends a row of `patience` rounds without a new one.
        let expected = |patience: usize| {
            let mut best = 0;
            for (round, loss) in losses.iter().enumerate().skip(1) {
                if *loss < losses[best] {
                    best = round;
                } else if round - best == patience {
                    break;
                }
            }
            best + 1
        };
        let found: Vec<usize> = [1, 2, 5, 40].map(kept).to_vec();
        assert_eq!(found, [1, 2, 5, 40].map(expected));
        assert!(found[0] < found[3], "an impatient run ends at an early dip: {losses:?}");
    }

    #[test]
    fn steps_out_of_range_are_refused_by_name() {
        let columns = [vec![0.0, 1.0]];
        let binned = Binned::new(&Matrix::new(&columns).unwrap(), MAX_BINS);
        let params = BoostParams { learning_rate: 0.0, ..BoostParams::default() };
        let error = boost_regressor((&binned, BoostRows::all(&[0, 1])), &[0.0, 1.0], None, &params, Seed(1)).unwrap_err();
        assert_eq!(error.to_string(), "`learning_rate` must be in (0, 1], found 0");
    }
}
