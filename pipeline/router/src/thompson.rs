//! Thompson sampling over the paths, per query type: warm-started from learned success, forgetting, with computed propensities.
//!
//! The success of each path is believed to follow `Beta(1 + k m + s, 1 + k (1 − m) + f)`: `m` is what the learned router expects, `k` how
//! many outcomes that counts for, and `s`, `f` are successes and failures, which fade with a half-life. Thompson sampling takes a path with
//! the probability that it is the best one,
//!
//! `P(a) = ∫ f_a(x) Π_{b≠a} F_b(x) dx`.
//!
//! These integrals are computed and the path is drawn from *them*, not from draws of the Beta distributions. Both have the same law, but
//! this way the probability that is logged is exactly the one that was used, whatever the integration leaves as error.
//!
//! Source: Thompson (1933); Chapelle & Li (2011).

use routewright_domain::{Arm, Timestamp};
use serde::{Deserialize, Serialize};
use statrs::function::beta::{beta_reg, ln_beta};

use crate::gateway::drawn;

/// Microseconds of a day.
const DAY: f64 = 86_400_000_000.0;

/// Where the range of integration is cut, in standard deviations around the mean of every path; far out for tails that fall like exp(−x).
const CUTS: [f64; 17] = [-40.0, -26.0, -18.0, -12.0, -8.0, -5.0, -3.0, -1.5, 0.0, 1.5, 3.0, 5.0, 8.0, 12.0, 18.0, 26.0, 40.0];

/// Nodes and weights of the Gauss-Legendre rule of order 8 on [-1, 1], positive half; Abramowitz & Stegun (1964), table 25.4.
const GAUSS: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_47),
    (0.960_289_856_497_536_3, 0.101_228_536_290_376_26),
];

/// How Thompson sampling learns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ThompsonSettings {
    /// Outcomes that the learned router's expectation counts for.
    pub prior_strength: f64,
    /// Days after which an outcome counts half.
    pub half_life_days: f64,
    /// Probability that every path keeps, so that all of them stay comparable; at most one over the number of paths.
    pub floor: f64,
    /// Share by which the evidence of a query type must change before its probabilities are computed anew.
    pub refresh_share: f64,
}

impl Default for ThompsonSettings {
    fn default() -> Self {
        Self { prior_strength: 20.0, half_life_days: 14.0, floor: 0.01, refresh_share: 0.01 }
    }
}

/// A setting out of range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{name}` must be {expected}, found {value}")]
pub struct ThompsonError {
    /// The setting.
    pub name: &'static str,
    /// What it should be.
    pub expected: &'static str,
    /// Its value.
    pub value: f64,
}

/// What is believed of one path under one query type.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Belief {
    /// Sum and number of the learned router's expectations.
    expected: (f64, f64),
    /// Faded successes and failures.
    outcomes: (f64, f64),
}

/// One query type.
#[derive(Clone, Debug, PartialEq)]
struct Cell {
    beliefs: Vec<Belief>,
    /// As of when the outcomes have faded.
    now: Timestamp,
    shares: Vec<f64>,
    /// Evidence that came or faded since the shares were computed; infinite when they never were.
    unseen: f64,
}

/// The sampler: one cell per query type, and a last one for queries of an unknown type.
#[derive(Clone, Debug, PartialEq)]
pub struct Thompson {
    settings: ThompsonSettings,
    n_paths: usize,
    cells: Vec<Cell>,
}

impl Thompson {
    /// A sampler that believes all paths equal. `n_types`: query types that are told apart.
    ///
    /// # Errors
    /// [`ThompsonError`] names the first setting out of range.
    pub fn new(n_paths: usize, n_types: usize, settings: ThompsonSettings) -> Result<Self, ThompsonError> {
        let check = |name, expected, value: f64, valid: bool| if valid { Ok(()) } else { Err(ThompsonError { name, expected, value }) };
        let positive = |value: f64| 0.0 < value && value.is_finite();
        check("n_paths", "at least 1", n_paths as f64, n_paths > 0)?;
        check("prior_strength", "a positive number", settings.prior_strength, positive(settings.prior_strength))?;
        check("half_life_days", "a positive number", settings.half_life_days, positive(settings.half_life_days))?;
        let largest_floor = 1.0 / n_paths.max(1) as f64;
        check("floor", "in [0, 1 / number of paths]", settings.floor, (0.0..=largest_floor).contains(&settings.floor))?;
        check("refresh_share", "in [0, 1]", settings.refresh_share, (0.0..=1.0).contains(&settings.refresh_share))?;
        let cell = Cell {
            beliefs: vec![Belief::default(); n_paths],
            now: Timestamp::default(),
            shares: vec![largest_floor; n_paths],
            unseen: f64::INFINITY,
        };
        Ok(Self { settings, n_paths, cells: vec![cell; n_types + 1] })
    }

    /// Takes what the learned router expects of each path on one query of a type; the mean over such queries is where the paths start.
    ///
    /// `success`: one probability per path, NaN where there is no model.
    pub fn expect(&mut self, query_type: Option<u16>, success: &[f64]) {
        let cell = self.cell(query_type);
        for (belief, &probability) in cell.beliefs.iter_mut().zip(success) {
            if (0.0..=1.0).contains(&probability) {
                belief.expected = (belief.expected.0 + probability, belief.expected.1 + 1.0);
            }
        }
        cell.unseen = f64::INFINITY;
    }

    /// Takes an outcome.
    pub fn observe(&mut self, query_type: Option<u16>, arm: Arm, is_success: bool, now: Timestamp) {
        let half_life = self.settings.half_life_days * DAY;
        let cell = self.cell(query_type);
        cell.fade(now, half_life);
        if let Some(belief) = cell.beliefs.get_mut(arm.index()) {
            let outcome = if is_success { &mut belief.outcomes.0 } else { &mut belief.outcomes.1 };
            *outcome += 1.0;
            cell.unseen += 1.0;
        }
    }

    /// The probability of each path for a query type.
    pub fn shares(&mut self, query_type: Option<u16>, now: Timestamp) -> &[f64] {
        let (half_life, strength) = (self.settings.half_life_days * DAY, self.settings.prior_strength);
        let (refresh, floor, n_paths) = (self.settings.refresh_share, self.settings.floor, self.n_paths as f64);
        let cell = self.cell(query_type);
        cell.fade(now, half_life);
        let evidence: f64 = cell.beliefs.iter().map(|belief| strength + belief.outcomes.0 + belief.outcomes.1).sum();
        if refresh * evidence < cell.unseen {
            let beliefs: Vec<(f64, f64)> = cell.beliefs.iter().map(|belief| belief.parameters(strength)).collect();
            best_probabilities(&beliefs, &mut cell.shares);
            cell.shares.iter_mut().for_each(|share| *share = floor + (1.0 - n_paths * floor) * *share);
            cell.unseen = 0.0;
        }
        &cell.shares
    }

    /// Draws a path: which one, and with which probability. `draw`: a number in [0, 1) that nothing known of the query has a say in.
    pub fn choose(&mut self, query_type: Option<u16>, now: Timestamp, draw: f64) -> (Arm, f64) {
        let shares = self.shares(query_type, now);
        let total: f64 = shares.iter().sum();
        let arm = drawn(shares, draw).unwrap_or(Arm(0));
        (arm, shares[arm.index()] / total)
    }

    fn cell(&mut self, query_type: Option<u16>) -> &mut Cell {
        let last = self.cells.len() - 1;
        let position = query_type.map_or(last, |code| usize::from(code).min(last));
        &mut self.cells[position]
    }
}

impl Cell {
    /// Lets outcomes fade to a later time; a clock that goes back changes nothing.
    fn fade(&mut self, now: Timestamp, half_life: f64) {
        let elapsed = now.0.saturating_sub(self.now.0);
        if elapsed <= 0 {
            return;
        }
        self.now = now;
        let kept = (-(elapsed as f64) / half_life).exp2();
        for belief in &mut self.beliefs {
            let (successes, failures) = belief.outcomes;
            self.unseen += (1.0 - kept) * (successes + failures);
            belief.outcomes = (kept * successes, kept * failures);
        }
    }
}

impl Belief {
    /// The parameters of its Beta distribution, both at least 1.
    fn parameters(&self, strength: f64) -> (f64, f64) {
        let (sum, count) = self.expected;
        let mean = if count > 0.0 { sum / count } else { 0.5 };
        (1.0 + strength * mean + self.outcomes.0, 1.0 + strength * (1.0 - mean) + self.outcomes.1)
    }
}

/// The probability of each of several independent Beta variables to be the largest. `parameters`: both at least 1; `out`: sums to 1.
fn best_probabilities(parameters: &[(f64, f64)], out: &mut [f64]) {
    let mut cuts: Vec<f64> = vec![0.0, 1.0];
    for &(a, b) in parameters {
        let mean = a / (a + b);
        let deviation = (mean * (1.0 - mean) / (a + b + 1.0)).sqrt();
        cuts.extend(CUTS.iter().map(|cut| mean + cut * deviation).filter(|cut| 0.0 < *cut && *cut < 1.0));
    }
    cuts.sort_unstable_by(f64::total_cmp);
    out.fill(0.0);
    let scales: Vec<f64> = parameters.iter().map(|&(a, b)| ln_beta(a, b)).collect();
    let mut below = vec![0.0; parameters.len()];
    for piece in cuts.windows(2) {
        let (middle, half) = ((piece[0] + piece[1]) / 2.0, (piece[1] - piece[0]) / 2.0);
        for (node, weight) in GAUSS.iter().flat_map(|&(node, weight)| [(-node, weight), (node, weight)]) {
            let x = middle + half * node;
            for (below, &(a, b)) in below.iter_mut().zip(parameters) {
                *below = beta_reg(a, b, x);
            }
            for (arm, (&(a, b), scale)) in parameters.iter().zip(&scales).enumerate() {
                let density = ((a - 1.0) * x.ln() + (b - 1.0) * (-x).ln_1p() - scale).exp();
                let others: f64 = below.iter().enumerate().filter(|(other, _)| *other != arm).map(|(_, below)| below).product();
                out[arm] += weight * half * density * others;
            }
        }
    }
    let total: f64 = out.iter().sum();
    out.iter_mut().for_each(|share| *share /= total);
}

#[cfg(test)]
mod tests {
    use rand_distr::{Beta, Distribution};
    use routewright_domain::Seed;

    use super::*;

    fn probabilities(parameters: &[(f64, f64)]) -> Vec<f64> {
        let mut out = vec![0.0; parameters.len()];
        best_probabilities(parameters, &mut out);
        out
    }

    /// P(B > A) for whole α of B: Σ_{i<α_B} B(α_A + i, β_A + β_B) / ((β_B + i) B(1 + i, β_B) B(α_A, β_A)); Miller (2015).
    fn exact((a1, b1): (f64, f64), (a2, b2): (f64, f64)) -> f64 {
        let term = |i: f64| (ln_beta(a1 + i, b1 + b2) - (b2 + i).ln() - ln_beta(1.0 + i, b2) - ln_beta(a1, b1)).exp();
        (0..a2 as u32).map(|i| term(f64::from(i))).sum()
    }

    #[test]
    fn two_paths_agree_with_the_closed_form() {
        for (first, second) in [
            ((1.0, 1.0), (1.0, 1.0)),
            ((3.0, 2.0), (2.0, 3.0)),
            ((10.0, 1.0), (1.0, 10.0)),
            ((90.0, 10.0), (85.0, 15.0)),
            ((9000.0, 1000.0), (9100.0, 900.0)),
            ((2.0, 1.0), (5000.0, 300.0)),
            ((1.0, 400.0), (2.0, 300.0)),
        ] {
            let found = probabilities(&[first, second])[1];
            assert!((found - exact(first, second)).abs() < 1e-9, "{first:?} {second:?}: {found} {}", exact(first, second));
        }
    }

    /// Standard error at most 0.0012 with 200,000 draws; 6 cells at 0.005 give a false alarm below 1e-3.
    #[test]
    fn many_paths_agree_with_simulation() {
        let parameters = [(19.0, 3.0), (17.5, 4.5), (60.0, 12.0), (2.0, 2.0), (1.0, 1.0), (300.0, 50.0)];
        let variables: Vec<Beta<f64>> = parameters.iter().map(|&(a, b)| Beta::new(a, b).unwrap()).collect();
        let (mut rng, mut wins) = (Seed(5).rng(), [0.0; 6]);
        for _ in 0..200_000 {
            let draws: Vec<f64> = variables.iter().map(|variable| variable.sample(&mut rng)).collect();
            let best = (0..6).max_by(|&a, &b| draws[a].total_cmp(&draws[b])).unwrap();
            wins[best] += 1.0 / 200_000.0;
        }
        for (found, simulated) in probabilities(&parameters).iter().zip(wins) {
            assert!((found - simulated).abs() < 0.005, "{:?} {wins:?}", probabilities(&parameters));
        }
    }

    fn sampler(settings: ThompsonSettings) -> Thompson {
        Thompson::new(2, 3, settings).unwrap()
    }

    #[test]
    fn it_starts_where_the_learned_router_is() {
        let mut thompson = sampler(ThompsonSettings::default());
        thompson.expect(Some(1), &[0.9, 0.6]);
        thompson.expect(Some(1), &[0.8, f64::NAN]);
        let warm = thompson.shares(Some(1), Timestamp(0))[0];
        assert!(warm > 0.9, "{warm}");
        assert!((thompson.shares(Some(0), Timestamp(0))[0] - 0.5).abs() < 1e-12);
        assert!((thompson.shares(None, Timestamp(0))[0] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn outcomes_outweigh_the_start_and_fade() {
        let mut thompson = sampler(ThompsonSettings::default());
        thompson.expect(Some(0), &[0.9, 0.6]);
        for _ in 0..200 {
            thompson.observe(Some(0), Arm(0), false, Timestamp(1));
            thompson.observe(Some(0), Arm(1), true, Timestamp(1));
        }
        assert!((thompson.shares(Some(0), Timestamp(1))[0] - 0.01).abs() < 1e-6);
        let later = Timestamp((365.0 * DAY) as i64);
        assert!(thompson.shares(Some(0), later)[0] > 0.9);
    }

    #[test]
    fn choices_follow_the_shares_and_no_path_is_forgotten() {
        let mut thompson = sampler(ThompsonSettings { floor: 0.1, ..ThompsonSettings::default() });
        thompson.expect(None, &[1.0, 0.0]);
        let mut taken = [0.0; 2];
        for step in 0..1000 {
            let (arm, propensity) = thompson.choose(None, Timestamp(0), f64::from(step) / 1000.0);
            assert!((propensity - [0.9, 0.1][arm.index()]).abs() < 1e-6, "{propensity}");
            taken[arm.index()] += 1.0;
        }
        assert_eq!(taken, [900.0, 100.0]);
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let error = Thompson::new(4, 1, ThompsonSettings { floor: 0.3, ..ThompsonSettings::default() }).unwrap_err();
        assert_eq!(error.to_string(), "`floor` must be in [0, 1 / number of paths], found 0.3");
        assert!(Thompson::new(0, 1, ThompsonSettings::default()).is_err());
    }
}
