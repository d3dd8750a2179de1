//! Evidence about an odds ratio that may be looked at as often as one likes, while rates move from night to night and groups change in size.
//!
//! A night's table of two groups, its margins given, says nothing but the odds ratio: the likelihood ratio of two odds ratios under Fisher's noncentral
//! hypergeometric law has mean 1 where the first is right, whatever that night's rate and however the groups were cut. Products of such ratios over
//! nights, mixed over a few odds ratios, are a test martingale: with probability `1 − α` it never reaches `1/α`, at all looks together (Ville, 1939).
//! Counts against a declared share are treated alike with the binomial law.
//!
//! Sources: Turner and Grünwald (2023), safe testing of stratified counts; Turner, Ly, Grünwald (2024), E-variables of 2 × 2 tables; Lindon and Malek
//! (2022), anytime-valid tests of counts against shares; Robbins (1970), mixtures.

use statrs::function::factorial::ln_binomial;

/// Distances, in log odds, from the null to what is bet on, each with the same weight: at a rate of 80 %, from 1 point to 38.
const DISTANCES: [f64; 9] = [0.08, 0.12, 0.18, 0.27, 0.4, 0.6, 0.9, 1.35, 2.0];

/// Share of a sum below which its further terms are left out.
const NEGLIGIBLE: f64 = 1e-18;

/// Largest log odds ratio that bounds are looked for at, either side of 0: an odds ratio of 3,000.
const LARGEST_LOG_ODDS: f64 = 8.0;

/// What is bet on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alternative {
    /// Lower odds than under the null.
    Lower,
    /// Higher odds than under the null.
    Higher,
    /// Either.
    Other,
}

/// Hits and trials of two groups during a time in which each group's rate may be taken as constant; the first is the one that is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TwoGroups {
    /// Hits.
    pub hits: [u64; 2],
    /// Trials, at least as many as hits.
    pub trials: [u64; 2],
}

/// Evidence against an odds ratio, growing table by table.
#[derive(Clone, Debug, PartialEq)]
pub struct OddsEvidence {
    null: f64,
    /// Log odds ratios that are bet on, and the logarithm of what each bet has become.
    bets: Vec<(f64, f64)>,
    peak: f64,
}

impl OddsEvidence {
    /// Evidence against the log odds ratio `null`; one-sided also against everything beyond it on the other side.
    pub fn new(null: f64, alternative: Alternative) -> Self {
        let lower = DISTANCES.iter().rev().map(|distance| null - distance).filter(|_| alternative != Alternative::Higher);
        let higher = DISTANCES.iter().map(|distance| null + distance).filter(|_| alternative != Alternative::Lower);
        Self { null, bets: lower.chain(higher).map(|odds| (odds, 0.0)).collect(), peak: 0.0 }
    }

    /// Adds a night's table of two groups; nothing is learned from one without hits, without misses or with an empty group.
    pub fn add_groups(&mut self, table: TwoGroups) {
        let drawn = table.hits[0] + table.hits[1];
        if table.trials.contains(&0) || drawn == 0 || drawn >= table.trials[0] + table.trials[1] {
            return;
        }
        let at_null = ln_sum_of_tables(table.trials, drawn, self.null);
        let hits = table.hits[0] as f64;
        let null = self.null;
        self.bets.iter_mut().for_each(|(odds, won)| {
            *won += (*odds - null) * hits - (ln_sum_of_tables(table.trials, drawn, *odds) - at_null);
        });
        self.note_peak();
    }

    /// Adds a night's hits and trials where each trial hits with a probability of `share` under the null, in (0, 1).
    pub fn add_counts(&mut self, hits: u64, trials: u64, share: f64) {
        let null = self.null + (share / (1.0 - share)).ln();
        let ln_one_plus = |odds: f64| if odds > 0.0 { odds + (-odds).exp().ln_1p() } else { odds.exp().ln_1p() };
        let shift = null - self.null;
        self.bets.iter_mut().for_each(|(odds, won)| {
            let at = *odds + shift;
            *won += (at - null) * hits as f64 - trials as f64 * (ln_one_plus(at) - ln_one_plus(null));
        });
        self.note_peak();
    }

    /// Logarithm of the evidence: of what a unit has become that was bet against the null.
    pub fn ln(&self) -> f64 {
        let largest = self.bets.iter().map(|(_, won)| *won).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = self.bets.iter().map(|(_, won)| (won - largest).exp()).sum();
        largest + (sum / self.bets.len() as f64).ln()
    }

    /// Logarithm of the largest evidence there ever was, after any table; 0 before the first.
    pub fn ln_peak(&self) -> f64 {
        self.peak
    }

    /// Whether the null was ever refuted at a level: happens to a true one with at most that probability, over all looks together.
    pub fn refutes(&self, level: f64) -> bool {
        self.peak >= -level.ln()
    }

    fn note_peak(&mut self) {
        self.peak = self.peak.max(self.ln());
    }
}

/// Lower and upper bound of the log odds ratio that nights share, each of which holds at all looks together but for `alpha`; infinite without evidence.
///
/// `tables`: a night each.
pub fn odds_ratio_sequence(tables: &[TwoGroups], alpha: f64) -> [f64; 2] {
    let refuted = |null: f64, alternative: Alternative| {
        let mut evidence = OddsEvidence::new(null, alternative);
        tables.iter().for_each(|table| evidence.add_groups(*table));
        evidence.ln() >= -alpha.ln()
    };
    [Alternative::Higher, Alternative::Lower].map(|alternative| {
        let (mut refuted_at, mut possible) = match alternative {
            Alternative::Lower => (LARGEST_LOG_ODDS, -LARGEST_LOG_ODDS),
            _ => (-LARGEST_LOG_ODDS, LARGEST_LOG_ODDS),
        };
        if !refuted(refuted_at, alternative) {
            return if alternative == Alternative::Lower { f64::INFINITY } else { f64::NEG_INFINITY };
        }
        // Forty halvings: far below a thousandth of a point.
        for _ in 0..40 {
            let middle = f64::midpoint(refuted_at, possible);
            if refuted(middle, alternative) { refuted_at = middle } else { possible = middle }
        }
        possible
    })
}

/// Logarithm of `Σₓ C(n₁, x) C(n₀, k − x) eˣᶿ` over all tables with these margins: summed outwards from its largest term.
fn ln_sum_of_tables(trials: [u64; 2], drawn: u64, odds: f64) -> f64 {
    let [first, second] = trials;
    let (low, high) = (drawn.saturating_sub(second), drawn.min(first));
    let factor = odds.exp();
    // How much larger the term of x + 1 is than that of x; falls in x.
    let rise = |x: u64| factor * ((first - x) as f64 * (drawn - x) as f64) / ((x + 1) as f64 * (second + x + 1 - drawn) as f64);
    let (mut mode, mut beyond) = (low, high);
    while mode < beyond {
        let middle = mode + (beyond - mode) / 2;
        if rise(middle) >= 1.0 { mode = middle + 1 } else { beyond = middle }
    }
    let mut sum = 1.0;
    let mut term = 1.0;
    for x in mode..high {
        term *= rise(x);
        sum += term;
        if term < NEGLIGIBLE * sum {
            break;
        }
    }
    term = 1.0;
    for x in (low..mode).rev() {
        term /= rise(x);
        sum += term;
        if term < NEGLIGIBLE * sum {
            break;
        }
    }
    ln_binomial(first, mode) + ln_binomial(second, drawn - mode) + odds * mode as f64 + sum.ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The sum as it is written.
    fn plain(trials: [u64; 2], drawn: u64, odds: f64) -> f64 {
        let range = drawn.saturating_sub(trials[1])..=drawn.min(trials[0]);
        range.map(|x| (ln_binomial(trials[0], x) + ln_binomial(trials[1], drawn - x) + odds * x as f64).exp()).sum::<f64>().ln()
    }

    fn table(hits: [u64; 2], trials: [u64; 2]) -> TwoGroups {
        TwoGroups { hits, trials }
    }

    proptest! {
        #[test]
        fn tables_are_summed_as_they_are_written(first in 1_u64..40, second in 1_u64..40, share in 0.0..1.0_f64, odds in -3.0..3.0_f64) {
            let drawn = ((first + second) as f64 * share) as u64;
            let (fast, slow) = (ln_sum_of_tables([first, second], drawn, odds), plain([first, second], drawn, odds));
            prop_assert!((fast - slow).abs() < 1e-9 * (1.0 + slow.abs()), "{fast} {slow}");
        }

        /// The exact mean over all tables with the margins: the bets are fair under the null, and lose on its other side.
        #[test]
        fn a_bet_is_fair_under_the_null(first in 1_u64..25, second in 1_u64..25, share in 0.05..0.95_f64, null in -1.0..1.0_f64, beyond in 0.0..1.0_f64) {
            let drawn = ((first + second) as f64 * share) as u64;
            for (truth, at_most) in [(null, 1.0 + 1e-9), (null - beyond, 1.0 + 1e-9)] {
                let range = drawn.saturating_sub(second)..=drawn.min(first);
                let total = plain([first, second], drawn, truth);
                let mean: f64 = range.map(|x| {
                    let mut evidence = OddsEvidence::new(null, Alternative::Higher);
                    evidence.add_groups(table([x, drawn - x], [first, second]));
                    let ln_probability = ln_binomial(first, x) + ln_binomial(second, drawn - x) + truth * x as f64 - total;
                    (ln_probability + evidence.ln()).exp()
                }).sum();
                prop_assert!(mean <= at_most, "{mean}");
                prop_assert!(truth < null || mean > 1.0 - 1e-9, "{mean}");
            }
        }

        #[test]
        fn counts_against_their_own_share_are_fair(trials in 1_u64..40, share in 0.02..0.98_f64) {
            let mean: f64 = (0..=trials).map(|hits| {
                let mut evidence = OddsEvidence::new(0.0, Alternative::Other);
                evidence.add_counts(hits, trials, share);
                let ln_probability = ln_binomial(trials, hits) + hits as f64 * share.ln() + (trials - hits) as f64 * (1.0 - share).ln();
                (ln_probability + evidence.ln()).exp()
            }).sum();
            prop_assert!((mean - 1.0).abs() < 1e-9, "{mean}");
        }
    }

    #[test]
    fn evidence_grows_against_a_wrong_null_and_its_peak_stays() {
        let mut evidence = OddsEvidence::new(0.0, Alternative::Lower);
        (0..10).for_each(|_| evidence.add_groups(table([70, 720], [100, 900])));
        assert!(evidence.refutes(0.001) && evidence.ln() == evidence.ln_peak(), "{}", evidence.ln());
        let peak = evidence.ln_peak();
        (0..20).for_each(|_| evidence.add_groups(table([90, 720], [100, 900])));
        assert!(evidence.ln() < 0.0 && evidence.ln_peak() == peak, "{} {peak}", evidence.ln());
    }

    #[test]
    fn a_table_that_cannot_tell_changes_nothing() {
        let mut evidence = OddsEvidence::new(0.3, Alternative::Other);
        for silent in [table([0, 0], [10, 10]), table([10, 10], [10, 10]), table([0, 5], [0, 10]), table([5, 0], [10, 0])] {
            evidence.add_groups(silent);
        }
        assert_eq!((evidence.ln(), evidence.ln_peak()), (0.0, 0.0));
    }

    /// Odds ratio of 0.7/0.3 against 0.8/0.2: −0.539.
    #[test]
    fn the_sequence_holds_the_odds_ratio_and_narrows() {
        let bounds = |nights: usize| odds_ratio_sequence(&vec![table([70, 80], [100, 100]); nights], 0.05);
        let (few, many) = (bounds(3), bounds(60));
        let truth = (0.7_f64 / 0.3).ln() - 4.0_f64.ln();
        assert!(few[0] < many[0] && many[0] < truth && truth < many[1] && many[1] < few[1], "{few:?} {many:?}");
        assert!(many[1] < -0.35 && many[0] > -0.75, "{many:?}");
        assert_eq!(bounds(0), [f64::NEG_INFINITY, f64::INFINITY]);
    }
}
