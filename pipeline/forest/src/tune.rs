//! Hyperparameter search: settings drawn at random, all grown in full or thinned out by successive halving, within a budget.

use routewright_domain::Seed;
use serde::{Deserialize, Serialize};

use crate::params::{Cuts, ForestParams, MaxFeatures};
use crate::search::below;

/// The share of candidates that a rung of successive halving keeps, as one of this many; the next one grows as many times the trees.
const KEPT_OF: usize = 3;

/// Where settings are sought, and how much may be spent on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchParams {
    /// Settings that are tried; 0 searches nothing.
    pub candidates: usize,
    /// How candidates are thinned out.
    pub strategy: Strategy,
    /// Forests that may be grown, counted in forests of full size; fewer candidates are tried where they would cost more.
    pub budget: f64,
    /// Values of `min_samples_leaf` that are drawn from.
    pub min_samples_leaf: Vec<u32>,
    /// Shares of the columns that a split looks at; 0 stands for the square root of their number.
    pub max_features: Vec<f64>,
    /// Values of `max_depth`.
    pub max_depth: Vec<u16>,
    /// Values of `smoothing`.
    pub smoothing: Vec<f64>,
    /// Values of `cuts`.
    pub cuts: Vec<Cuts>,
}

/// How candidates are thinned out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Every candidate is grown in full.
    Random,
    /// A third goes on after each rung, with three times the trees (Jamieson & Talwalkar 2016).
    Halving,
}

impl Default for SearchParams {
    fn default() -> Self {
        Self {
            candidates: 0,
            strategy: Strategy::Halving,
            budget: 8.0,
            min_samples_leaf: vec![1, 3, 5, 10, 20, 40],
            max_features: vec![0.0, 0.2, 0.4],
            max_depth: vec![0],
            smoothing: vec![0.0, 1.0, 5.0],
            cuts: vec![Cuts::Best],
        }
    }
}

/// One rung: how many candidates reach it, and the trees that each has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// Candidates.
    pub n_candidates: usize,
    /// Trees of each.
    pub n_trees: u32,
}

/// One candidate's way through the search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its settings.
    pub params: ForestParams,
    /// Its loss on each rung that it reached.
    pub losses: Vec<f64>,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Walked<S> {
    /// The winner's position among the candidates, and what was grown of it; none without candidates or rungs.
    pub winner: Option<(usize, S)>,
    /// Every candidate's way.
    pub trials: Vec<Trial>,
}

impl SearchParams {
    /// Checks every setting.
    ///
    /// # Errors
    /// The setting's name and what is wrong with it.
    pub fn check(&self, base: &ForestParams) -> Result<(), String> {
        let lists = [
            ("min_samples_leaf", self.min_samples_leaf.len()),
            ("max_features", self.max_features.len()),
            ("max_depth", self.max_depth.len()),
            ("smoothing", self.smoothing.len()),
            ("cuts", self.cuts.len()),
        ];
        if let Some((name, _)) = lists.iter().find(|(_, length)| *length == 0) {
            return Err(format!("`{name}` needs at least one value"));
        }
        if !(1.0..=f64::MAX).contains(&self.budget) {
            return Err(format!("`budget` must be at least 1 forest, found {}", self.budget));
        }
        let every = |one: &dyn Fn(usize) -> ForestParams, n: usize| (0..n).try_for_each(|position| one(position).check());
        every(&|at| ForestParams { min_samples_leaf: self.min_samples_leaf[at], ..*base }, self.min_samples_leaf.len())
            .and_then(|()| every(&|at| ForestParams { max_features: share(self.max_features[at]), ..*base }, self.max_features.len()))
            .and_then(|()| every(&|at| ForestParams { smoothing: self.smoothing[at], ..*base }, self.smoothing.len()))
            .map_err(|error| error.to_string())
    }

    /// The candidates: different settings, drawn at random, after those that are there anyway.
    pub fn candidates(&self, first: &[ForestParams], base: &ForestParams, seed: Seed) -> Vec<ForestParams> {
        let mut rng = seed.derive("candidates", 0).rng();
        let mut found = first.to_vec();
        // A small space is used up before the candidates are: a bounded number of draws finds what there is.
        for _ in 0..20 * self.candidates {
            if found.len() >= self.candidates.max(first.len()) {
                break;
            }
            let mut draw = |n: usize| below(&mut rng, n);
            let candidate = ForestParams {
                min_samples_leaf: self.min_samples_leaf[draw(self.min_samples_leaf.len())],
                max_features: share(self.max_features[draw(self.max_features.len())]),
                max_depth: self.max_depth[draw(self.max_depth.len())],
                smoothing: self.smoothing[draw(self.smoothing.len())],
                cuts: self.cuts[draw(self.cuts.len())],
                ..*base
            };
            if !found.contains(&candidate) {
                found.push(candidate);
            }
        }
        found
    }
}

/// The share of columns that a number stands for.
fn share(number: f64) -> MaxFeatures {
    if number == 0.0 { MaxFeatures::Sqrt } else { MaxFeatures::Fraction(number) }
}

/// The rungs on which as many candidates as the budget allows are thinned out to one that has all `n_trees`.
///
/// `budget`: forests of full size that may be grown in all, at least 1; trees are kept from rung to rung and count once.
pub fn rungs(n_candidates: usize, n_trees: u32, strategy: Strategy, budget: f64) -> Vec<Rung> {
    let n_trees = n_trees.max(1);
    let plan = |n_candidates: usize| match strategy {
        Strategy::Random => vec![Rung { n_candidates, n_trees }],
        Strategy::Halving => {
            let mut rungs = vec![Rung { n_candidates: 1, n_trees }];
            let (mut n, mut trees) = (1, n_trees);
            while n < n_candidates && 1 < trees {
                (n, trees) = ((n * KEPT_OF).min(n_candidates), trees.div_ceil(KEPT_OF as u32));
                rungs.push(Rung { n_candidates: n, n_trees: trees });
            }
            if let Some(last) = rungs.last_mut() {
                last.n_candidates = n_candidates;
            }
            rungs.reverse();
            rungs
        }
    };
    let cost = |rungs: &[Rung]| {
        let grown = rungs.iter().scan(0, |before, rung| {
            let trees = rung.n_trees - *before;
            *before = rung.n_trees;
            Some(rung.n_candidates as f64 * f64::from(trees))
        });
        grown.sum::<f64>() / f64::from(n_trees)
    };
    (1..=n_candidates.max(1)).rev().map(plan).find(|rungs| cost(rungs) <= budget).unwrap_or_else(|| plan(1))
}

/// What the number of trees is divided by to find the fewest that do, the most first.
const TREE_DIVISORS: [usize; 3] = [8, 4, 2];

/// The fewest of a forest's trees whose loss is no more than all trees' and a share of it: an eighth, a quarter, a half, or all.
///
/// `loss`: of the first trees, so many of them; `tolerance`: the share, from 0.
pub fn fewest_trees(n_trees: usize, tolerance: f64, loss: impl Fn(usize) -> f64) -> usize {
    let most = loss(n_trees) * (1.0 + tolerance);
    TREE_DIVISORS.into_iter().map(|divisor| n_trees.div_ceil(divisor)).find(|n_trees| loss(*n_trees) <= most).unwrap_or(n_trees)
}

/// Walks candidates up the rungs; the winner is the one of least loss on the last rung, the first of equals.
///
/// `step`: grows a candidate's state to a number of trees and gives its loss.
///
/// # Errors
/// The first one of `step`.
pub fn walk<S, E>(
    candidates: &[ForestParams],
    rungs: &[Rung],
    mut step: impl FnMut(&ForestParams, Option<S>, u32) -> Result<(S, f64), E>,
) -> Result<Walked<S>, E> {
    let mut trials: Vec<Trial> = candidates.iter().map(|params| Trial { params: *params, losses: Vec::new() }).collect();
    let mut alive: Vec<(usize, Option<S>)> = (0..candidates.len()).map(|position| (position, None)).collect();
    for rung in rungs {
        alive.truncate(rung.n_candidates);
        let mut judged = Vec::new();
        for (position, state) in alive {
            let (state, loss) = step(&candidates[position], state, rung.n_trees)?;
            trials[position].losses.push(loss);
            judged.push((loss, position, state));
        }
        judged.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        alive = judged.into_iter().map(|(_, position, state)| (position, Some(state))).collect();
    }
    let winner = alive.into_iter().next().and_then(|(position, state)| Some((position, state?)));
    Ok(Walked { winner, trials })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn trees_are_left_out_while_the_loss_hardly_grows() {
        let loss = |n_trees: usize| 1.0 + 0.1 / n_trees as f64;
        let fewest = [0.0, 0.002, 0.004, 0.01, 1.0].map(|tolerance| fewest_trees(100, tolerance, loss));
        assert_eq!(fewest, [100, 50, 25, 13, 13]);
        assert_eq!(fewest_trees(100, 0.0, |_| 1.0), 13, "as good is good enough");
        assert_eq!(fewest_trees(1, 0.0, loss), 1);
        assert_eq!(fewest_trees(100, 0.5, |_| f64::NAN), 100);
    }

    #[test]
    fn halving_keeps_a_third_and_ends_with_all_trees() {
        let rung = |n_candidates, n_trees| Rung { n_candidates, n_trees };
        assert_eq!(rungs(9, 90, Strategy::Halving, 99.0), [rung(9, 10), rung(3, 30), rung(1, 90)]);
        assert_eq!(rungs(2, 100, Strategy::Halving, 99.0), [rung(2, 34), rung(1, 100)]);
        assert_eq!(rungs(1, 100, Strategy::Halving, 1.0), [rung(1, 100)]);
        assert_eq!(rungs(4, 1, Strategy::Halving, 4.0), [rung(4, 1)]);
    }

    #[test]
    fn the_budget_bounds_what_is_grown() {
        // Nine candidates cost 9·10 + 3·20 + 1·60 = 210 of 90 trees: 2.33 forests.
        assert_eq!(rungs(9, 90, Strategy::Halving, 2.4)[0].n_candidates, 9);
        assert!(rungs(9, 90, Strategy::Halving, 2.3)[0].n_candidates < 9);
        assert_eq!(rungs(9, 90, Strategy::Random, 4.0), [Rung { n_candidates: 4, n_trees: 90 }]);
        assert_eq!(rungs(9, 90, Strategy::Random, 0.5), [Rung { n_candidates: 1, n_trees: 90 }]);
    }

    #[test]
    fn candidates_differ_and_a_small_space_is_used_up() {
        let base = ForestParams::default();
        let search = SearchParams { candidates: 12, ..SearchParams::default() };
        let found = search.candidates(&[], &base, Seed(1));
        assert_eq!(found.len(), 12);
        assert!(found.iter().enumerate().all(|(position, one)| !found[..position].contains(one)));
        let small = SearchParams { candidates: 12, min_samples_leaf: vec![2, 7], max_features: vec![0.0], smoothing: vec![0.0], ..search };
        assert_eq!(small.candidates(&[], &base, Seed(1)).len(), 2);
        assert!(SearchParams { budget: 0.0, ..SearchParams::default() }.check(&base).is_err());
        assert!(
            SearchParams { min_samples_leaf: vec![0], ..SearchParams::default() }.check(&base).unwrap_err().contains("min_samples_leaf")
        );
        assert!(SearchParams { cuts: vec![], ..SearchParams::default() }.check(&base).unwrap_err().contains("cuts"));
    }

    #[test]
    fn the_candidate_of_least_loss_wins_and_states_are_carried_on() {
        let candidates: Vec<ForestParams> =
            [7, 3, 5, 9].into_iter().map(|min_samples_leaf| ForestParams { min_samples_leaf, ..ForestParams::default() }).collect();
        let plan = [Rung { n_candidates: 4, n_trees: 10 }, Rung { n_candidates: 2, n_trees: 30 }];
        let Walked { winner, trials } = walk(&candidates, &plan, |params, state: Option<u32>, n_trees| {
            assert_eq!(state, (n_trees == 30).then_some(10));
            // Leaf size 5 looks best at first, 3 with more trees.
            let loss = if n_trees == 10 { (f64::from(params.min_samples_leaf) - 4.9).abs() } else { f64::from(params.min_samples_leaf) };
            Ok::<_, Infallible>((n_trees, loss))
        })
        .unwrap();
        assert_eq!(winner, Some((1, 30)));
        assert_eq!(trials.iter().map(|trial| trial.losses.len()).collect::<Vec<_>>(), [1, 2, 2, 1]);
    }
}
