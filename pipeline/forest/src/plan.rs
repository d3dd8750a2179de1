//! Checked input of a fit: which rows each tree sees, trees in parallel, out-of-bag predictions.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use routewright_domain::{Rng, Seed};
use routewright_router::{Forest, ForestError, JoinedTrees, NodeKind};

use crate::binned::Binned;
use crate::cells::{Cell, Sample as SampledRow};
use crate::fit::{FitError, Fitted};
use crate::grow::{Grown, Threads, grow};
use crate::honest;
use crate::params::{ForestParams, OutOfBag, Sample};
use crate::search::{below, goes_left};

/// Rows that one task predicts out of bag at a time.
const CHUNK_ROWS: usize = 1024;

/// Checked input of a fit.
pub(crate) struct Plan<'a> {
    pub binned: &'a Binned,
    pub rows: &'a [u32],
    /// Positions in `rows` whose weight is not zero.
    pub kept: Vec<u32>,
    pub params: &'a ForestParams,
    pub seed: Seed,
    /// The first tree to grow; those before it are there already.
    pub first_tree: u32,
    pub n_outputs: usize,
    /// What a mean of 0 and of 1 more stand for: 0 and 1 for classes, the middle and half of the range for targets.
    pub middle: f64,
    pub half_range: f64,
}

impl<'a> Plan<'a> {
    /// Checks what classifiers and regressors have in common.
    pub(crate) fn new(
        binned: &'a Binned,
        rows: &'a [u32],
        (column, n_entries): (&'static str, usize),
        weights: Option<&[f32]>,
        params: &'a ForestParams,
        seed: Seed,
    ) -> Result<Self, FitError> {
        params.check()?;
        let n_rows = binned.n_rows();
        let lengths = [(column, n_entries), ("weights", weights.map_or(n_rows, <[f32]>::len))];
        if let Some(&(column, found)) = lengths.iter().find(|(_, found)| *found != n_rows) {
            return Err(FitError::Length { column, expected: n_rows, found });
        }
        if let Some(&row) = rows.iter().find(|&&row| n_rows <= row as usize) {
            return Err(FitError::Row { row, n_rows });
        }
        let weight = |row: u32| weights.map_or(1.0, |weights| weights[row as usize]);
        if let Some(&row) = rows.iter().find(|&&row| !(weight(row).is_finite() && 0.0 <= weight(row))) {
            return Err(FitError::Weight { row, found: weight(row) });
        }
        let kept: Vec<u32> = (0..rows.len() as u32).filter(|&position| weight(rows[position as usize]) > 0.0).collect();
        if kept.is_empty() {
            return Err(FitError::NoRows);
        }
        Ok(Self { binned, rows, kept, params, seed, first_tree: 0, n_outputs: 1, middle: 0.0, half_range: 1.0 })
    }

    /// The middle and half the range of a target.
    pub(crate) fn range(&self, target: &[f64]) -> Result<(f64, f64), FitError> {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for &position in &self.kept {
            let row = self.rows[position as usize];
            let found = target[row as usize];
            let is_number = found.abs() <= f64::from(f32::MAX);
            if !is_number {
                return Err(FitError::Target { row, found });
            }
            low = low.min(found);
            high = high.max(found);
        }
        Ok((low.midpoint(high), (high - low) / 2.0))
    }

    /// Grows the trees, in parallel, and joins them in order.
    pub(crate) fn fit<C: Cell>(&self, payload: impl Fn(u32) -> C::Payload + Sync) -> Result<Fitted, FitError> {
        let row_of = |position: u32| self.rows[position as usize];
        let mut all = C::default();
        self.kept.iter().for_each(|&position| all.add(1, payload(row_of(position))));
        let leaf = |cell: &C, values: &mut Vec<f32>| {
            let (weight, smoothing) = (cell.weight(), self.params.smoothing);
            values.extend((0..self.n_outputs).map(|output| {
                let mean = (cell.mean(output) * weight + all.mean(output) * smoothing) / (weight + smoothing);
                (self.middle + self.half_range * mean) as f32
            }));
        };
        let trees = self.first_tree..self.params.n_trees;
        let n_trees = trees.len();
        let threads = if trees.len() < rayon::current_num_threads() { Threads::Shared } else { Threads::PerTree };
        let grow_tree = |tree: u32| {
            let mut rng = self.seed.derive("tree", u64::from(tree)).rng();
            let n_draws = self.draw(&mut rng);
            let drawn = self.kept.iter().zip(&n_draws).filter(|(_, n_draws)| **n_draws > 0);
            let mut samples: Vec<SampledRow<C::Payload>> = drawn
                .map(|(&position, &n_draws)| {
                    let row = row_of(position);
                    SampledRow { row, n_draws, payload: payload(row) }
                })
                .collect();
            let judges = honest::part(&mut samples, self.params.honest_share, &mut rng);
            let coding = self.binned.coding(tree as usize);
            let mut grown = grow::<C>(coding, samples, self.params, threads, rng, &leaf);
            if !judges.is_empty() {
                honest::refill(&mut grown, coding, &judges, &leaf);
            }
            (grown, self.bag(&n_draws))
        };
        let n_columns = self.binned.n_columns();
        let (mut joined, mut importance) = (JoinedTrees::new(n_columns, self.n_outputs)?, vec![0.0; n_columns]);
        let (mut cuts, mut bags) = (Vec::new(), Vec::new());
        in_parallel(trees, &grow_tree, &mut |grown, bag| {
            add_importance(&mut importance, &grown.importance);
            if self.params.out_of_bag == OutOfBag::Predict {
                cuts.extend(grown.cuts);
                bags.push(bag);
            }
            joined.push(&grown.tree)?;
            if joined.n_trees() == 1 {
                joined.reserve(n_trees - 1);
            }
            Ok(())
        })?;
        let importance = scaled(importance);
        let forest = joined.into_forest()?;
        let out_of_bag = match self.params.out_of_bag {
            OutOfBag::Skip => Vec::new(),
            OutOfBag::Predict => self.predict_out_of_bag(&forest, &cuts, &bags),
        };
        Ok(Fitted { forest, importance, out_of_bag })
    }

    /// How often each kept row is in a tree's sample.
    pub(crate) fn draw(&self, rng: &mut Rng) -> Vec<u16> {
        let n_rows = self.kept.len();
        let most = if self.params.max_sample_rows == 0 { n_rows } else { (self.params.max_sample_rows as usize).min(n_rows) };
        let n_wanted = |share: f64| ((share * n_rows as f64).ceil() as usize).clamp(1, most);
        match self.params.sample {
            Sample::Bootstrap(share) => {
                let mut n_draws = vec![0_u16; n_rows];
                for _ in 0..n_wanted(share) {
                    let drawn = &mut n_draws[below(rng, n_rows)];
                    *drawn = drawn.saturating_add(1);
                }
                n_draws
            }
            Sample::Subsample(share) => without_replacement(n_wanted(share), n_rows, rng),
            Sample::All if most < n_rows => without_replacement(most, n_rows, rng),
            Sample::All => vec![1; n_rows],
        }
    }

    /// One bit per entry of `rows`: whether it is in the sample. Empty where nobody will ask.
    fn bag(&self, n_draws: &[u16]) -> Vec<u64> {
        if self.params.out_of_bag == OutOfBag::Skip {
            return Vec::new();
        }
        let mut bag = vec![0; self.rows.len().div_ceil(64)];
        for (&position, _) in self.kept.iter().zip(n_draws).filter(|(_, n_draws)| **n_draws > 0) {
            bag[position as usize / 64] |= 1 << (position % 64);
        }
        bag
    }

    /// Means over the trees that did not see a row, summed in the order of the trees.
    fn predict_out_of_bag(&self, forest: &Forest, cuts: &[u8], bags: &[Vec<u64>]) -> Vec<f64> {
        let mut out = vec![0.0; self.rows.len() * self.n_outputs];
        out.par_chunks_mut(CHUNK_ROWS * self.n_outputs).enumerate().for_each(|(chunk, out)| {
            let mut n_trees = [0_u32; CHUNK_ROWS];
            for (tree, bag) in bags.iter().enumerate() {
                let (root, coding) = (forest.tree_range(tree).start, self.binned.coding(self.first_tree as usize + tree));
                for (offset, out) in out.chunks_exact_mut(self.n_outputs).enumerate() {
                    let position = chunk * CHUNK_ROWS + offset;
                    if bag[position / 64] >> (position % 64) & 1 == 1 {
                        continue;
                    }
                    n_trees[offset] += 1;
                    let leaf = leaf_of(forest, cuts, root, coding.row(self.rows[position] as usize));
                    out.iter_mut().zip(forest.leaf_values(leaf)).for_each(|(sum, &value)| *sum += f64::from(value));
                }
            }
            for (out, &n_trees) in out.chunks_exact_mut(self.n_outputs).zip(&n_trees) {
                out.iter_mut().for_each(|sum| *sum /= f64::from(n_trees));
            }
        });
        out
    }
}

/// Trees that were grown before those in front of them, and what takes them in order.
struct Waiting<'a> {
    /// The tree to be taken next.
    next: u32,
    trees: BTreeMap<u32, (Grown, Vec<u64>)>,
    take: &'a mut Take<'a>,
    taken: Result<(), ForestError>,
}

/// Takes a tree and the rows that it saw.
type Take<'a> = dyn FnMut(Grown, Vec<u64>) -> Result<(), ForestError> + Send + 'a;

/// Grows trees on all threads and hands them over in their order as soon as they are there, so that few of them wait at a time. Takes any
/// closures by reference, so that the machinery of threads is compiled once and not per kind of cell.
fn in_parallel<'a>(
    trees: Range<u32>,
    grow_tree: &(dyn Fn(u32) -> (Grown, Vec<u64>) + Sync),
    take: &'a mut Take<'a>,
) -> Result<(), ForestError> {
    let begun = AtomicU64::new(u64::from(trees.start));
    let waiting = Mutex::new(Waiting { next: trees.start, trees: BTreeMap::new(), take, taken: Ok(()) });
    (0..rayon::current_num_threads()).into_par_iter().with_max_len(1).for_each(|_| {
        while let Some(tree) = u32::try_from(begun.fetch_add(1, Ordering::Relaxed)).ok().filter(|tree| *tree < trees.end) {
            let grown = grow_tree(tree);
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.trees.insert(tree, grown);
            waiting.take_those_in_order();
        }
    });
    waiting.into_inner().unwrap_or_else(PoisonError::into_inner).taken
}

impl Waiting<'_> {
    /// Hands over what does not wait for a tree in front of it; nothing after an error.
    fn take_those_in_order(&mut self) {
        while let Some((grown, bag)) = self.trees.remove(&self.next) {
            self.next += 1;
            if self.taken.is_ok() {
                self.taken = (self.take)(grown, bag);
            }
        }
    }
}

/// 1 for `n_wanted` rows, 0 for the others, every choice equally likely (Knuth's selection sampling).
fn without_replacement(n_wanted: usize, n_rows: usize, rng: &mut Rng) -> Vec<u16> {
    let mut n_left = n_wanted;
    let draw = |row: usize| {
        let is_drawn = below(rng, n_rows - row) < n_left;
        n_left -= usize::from(is_drawn);
        u16::from(is_drawn)
    };
    (0..n_rows).map(draw).collect()
}

/// The leaf of a coded row.
fn leaf_of(forest: &Forest, cuts: &[u8], root: usize, codes: &[u8]) -> usize {
    let mut node = root;
    loop {
        match forest.nodes()[node].kind() {
            NodeKind::Leaf { leaf } => return leaf,
            NodeKind::Split { feature, test, missing, left, right } => {
                let is_left = goes_left(codes[feature], cuts[node], test, missing, forest.sets());
                node = if is_left { left } else { right };
            }
        }
    }
}

/// Adds a tree's importance, scaled to a sum of 1.
fn add_importance(sum: &mut [f64], of_tree: &[f64]) {
    let total: f64 = of_tree.iter().sum();
    if total > 0.0 {
        sum.iter_mut().zip(of_tree).for_each(|(sum, importance)| *sum += importance / total);
    }
}

/// Numbers scaled to a sum of 1; as they are where they sum to 0.
fn scaled(mut numbers: Vec<f64>) -> Vec<f64> {
    let total: f64 = numbers.iter().sum();
    if total > 0.0 {
        numbers.iter_mut().for_each(|number| *number /= total);
    }
    numbers
}
