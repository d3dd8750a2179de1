//! A graded outcome: where failures are timeouts, the time that a success took says how near the next query of its kind is to failing.
//!
//! With the timeout c as the longest latency, a failure counts as 10 c (PAR10) and a success as its time t. The grade is the mean of three views of it, each
//! in [0, 1] and 0 for a failure: success itself, `1 − t / 10c`, and `1 − ln(1 + t) / ln(1 + 10c)`. A regressor of the grade learns from every run how
//! easy the query was, where one of success learns a single bit. Its out-of-fold calibration gives back the probability of success.
//!
//! Source: runtime prediction with censored runs in algorithm selection (Xu, Hutter, Hoos, Leyton-Brown 2008; Lindauer et al. 2015).

use routewright_table::FeatureTable;

use super::Outcome;

/// How much worse than the timeout a failure counts.
const PENALTY: f64 = 10.0;

/// Share of the failures that must have reached the timeout before failing counts as running out of time.
const MIN_TIMEOUTS: f64 = 0.95;

/// How near to the longest latency a failure must be to count as a timeout.
const NEAR_TIMEOUT: f64 = 0.99;

/// The grade of every row; `None` where success is learnt instead.
pub(super) fn grades(outcome: Outcome, table: &FeatureTable, rows: &[u32]) -> Option<Vec<f64>> {
    let outcomes = &table.outcomes;
    let latency = |row: &u32| outcomes.latencies_ms[*row as usize];
    let failed = |row: &u32| outcomes.successes[*row as usize] != Some(true);
    let timeout = rows.iter().map(latency).filter(|latency| latency.is_finite()).fold(0.0, f64::max);
    let wanted = match outcome {
        Outcome::Success => false,
        Outcome::Grade => true,
        Outcome::Auto => {
            let n_failed = rows.iter().filter(|row| failed(row)).count();
            let at_timeout = rows.iter().filter(|row| failed(row) && latency(row) >= NEAR_TIMEOUT * timeout).count();
            n_failed > 0 && at_timeout as f64 >= MIN_TIMEOUTS * n_failed as f64
        }
    };
    if !wanted || timeout <= 0.0 {
        return None;
    }
    let worst = PENALTY * timeout;
    let grade = |row: &u32| {
        // A success whose time is unknown counts as one of the timeout's length.
        let time = Some(latency(row)).filter(|time| time.is_finite()).unwrap_or(timeout).clamp(0.0, timeout);
        if failed(row) { 0.0 } else { (1.0 + (1.0 - time / worst) + (1.0 - time.ln_1p() / worst.ln_1p())) / 3.0 }
    };
    Some(rows.iter().map(grade).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use routewright_table::Outcomes;

    /// Two successes and a failure that took as long as given.
    fn table(failure_ms: f64) -> FeatureTable {
        let outcomes = Outcomes {
            successes: vec![Some(true), Some(true), Some(false)],
            latencies_ms: vec![100.0, 5_000.0, failure_ms],
            ..Outcomes::default()
        };
        FeatureTable { outcomes, ..FeatureTable::default() }
    }

    #[test]
    fn failures_that_are_timeouts_are_graded() {
        let found = grades(Outcome::Auto, &table(5_000.0), &[0, 1, 2]).unwrap();
        assert!(found[0] > found[1] && found[1] > 0.6, "{found:?}");
        assert_eq!(found[2], 0.0);
    }

    #[test]
    fn failures_for_other_reasons_are_not() {
        assert_eq!(grades(Outcome::Auto, &table(200.0), &[0, 1, 2]), None);
        assert!(grades(Outcome::Grade, &table(200.0), &[0, 1, 2]).is_some());
        assert_eq!(grades(Outcome::Success, &table(5_000.0), &[0, 1, 2]), None);
    }
}
