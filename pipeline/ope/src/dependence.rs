//! What the logger drew exploration for: every decision, or a whole session at once.
//!
//! Under sticky exploration the propensities of single decisions are right, and every estimate is unbiased, but a thousand decisions of ten sessions say
//! about as much as ten. It shows in the log: whether a row deviates from the static path goes together with whether the other rows of its session do.

use std::collections::BTreeMap;

use crate::error::check_length;
use crate::{Comparison, ExplorationUnit, Gate, GateName, OpeError};

/// Standard deviations from which dependence is more than chance.
const MIN_Z: f64 = 3.0;

/// Correlation within a session from which it is more than days or loads that explore unevenly.
const MIN_CORRELATION: f64 = 0.05;

/// How exploration goes together within sessions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExplorationDependence {
    /// What exploration was drawn for.
    pub unit: ExplorationUnit,
    /// Correlation of the deviations of two rows of a session.
    pub correlation: f64,
    /// Standard deviations from independence.
    pub z: f64,
    /// Number of sessions.
    pub sessions: usize,
}

/// Looks whether deviations from the static path go together within sessions; `sessions` holds one number per row.
///
/// A row's deviation is compared with the rate of its stratum: strata of propensity classes keep exploration rates that were declared to differ from
/// looking like dependence. `z = Σ_g [(Σe)² − Σe²] / sqrt(2 Σ_g [(Σv)² − Σv²])`, e the residual and v its variance.
///
/// # Errors
/// [`OpeError::Length`] when there is not one session per row.
pub fn exploration_unit(comparison: &Comparison<'_>, sessions: &[u32]) -> Result<ExplorationDependence, OpeError> {
    let log = comparison.log();
    check_length("sessions", log.n_rows(), sessions.len())?;
    let stratum = |row: usize| comparison.strata().map_or(0, |strata| strata[row]);
    let deviates = |row: usize| f64::from(u8::from(log.arms()[row] != comparison.baseline()[row]));
    let mut rates: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for row in 0..log.n_rows() {
        let (deviating, rows) = rates.entry(stratum(row)).or_default();
        *deviating += deviates(row);
        *rows += 1.0;
    }
    let mut sums: BTreeMap<u32, [f64; 6]> = BTreeMap::new();
    for (row, session) in sessions.iter().enumerate() {
        let (deviating, rows) = rates[&stratum(row)];
        let rate = deviating / rows;
        let (residual, variance) = (deviates(row) - rate, rate * (1.0 - rate));
        let terms = [residual, residual * residual, variance, variance * variance, variance.sqrt(), 1.0];
        for (sum, term) in sums.entry(*session).or_default().iter_mut().zip(terms) {
            *sum += term;
        }
    }
    let total = |term: fn(&[f64; 6]) -> f64| sums.values().map(term).sum::<f64>();
    let products = total(|s| s[0] * s[0] - s[1]);
    let spread = (2.0 * total(|s| s[2] * s[2] - s[3])).max(0.0).sqrt();
    let scale = total(|s| s[4] * s[4] - s[2]);
    let (z, correlation) = if spread > 0.0 && scale > 0.0 { (products / spread, products / scale) } else { (0.0, 0.0) };
    let shared = z > MIN_Z && correlation > MIN_CORRELATION;
    let unit = if shared { ExplorationUnit::Session } else { ExplorationUnit::Decision };
    Ok(ExplorationDependence { unit, correlation, z, sessions: sums.len() })
}

/// Says what was found, and checks that there are enough sessions where a session is what counts.
///
/// `explored`: sessions with an exploration match ([`Uplift::exploration_sessions`](crate::Uplift)).
pub fn exploration_dependence(found: &ExplorationDependence, explored: usize, needed: usize) -> Gate {
    let (passed, what) = match found.unit {
        ExplorationUnit::Decision => (true, "each decision was explored on its own".to_owned()),
        ExplorationUnit::Session => (
            explored >= needed,
            format!(
                "exploration was drawn once per session, so intervals and gates count sessions: {explored} with an exploration match, {needed} needed"
            ),
        ),
    };
    let detail =
        format!("correlation {:.3} ({:+.1} sd) of deviations within {} sessions; {what}", found.correlation, found.z, found.sessions);
    Gate { name: GateName::ExplorationDependence, passed, detail }
}

#[cfg(test)]
mod tests {
    use routewright_domain::{Arm, Log, Propensity, Seed};

    use super::*;
    use rand::RngExt;

    /// A log of 2,000 rows in sessions of 10 that explores a fifth of the decisions, or of the sessions.
    fn found(sticky: bool) -> ExplorationDependence {
        let mut rng = Seed(4).rng();
        let mut arms: Vec<Arm> = Vec::new();
        for row in 0..2_000 {
            let again = sticky && row % 10 > 0;
            arms.push(if again { arms[row - 1] } else { Arm(u16::from(rng.random::<f64>() < 0.2)) });
        }
        let propensities: Vec<Propensity> =
            arms.iter().map(|arm| Propensity::try_from(if arm.0 == 1 { 0.2 } else { 0.8 }).unwrap()).collect();
        let rewards = vec![1.0; 2_000];
        let log = Log::new(2, &arms, &rewards, &propensities).unwrap();
        let (learned, baseline) = ([Arm(1); 2_000], [Arm(0); 2_000]);
        let sessions: Vec<u32> = (0..2_000).map(|row| row / 10).collect();
        exploration_unit(&Comparison::new(log, &learned, &baseline).unwrap(), &sessions).unwrap()
    }

    #[test]
    fn sticky_exploration_is_recognised() {
        let found = found(true);
        assert_eq!(found.unit, ExplorationUnit::Session);
        assert!(found.correlation > 0.9, "{found:?}");
        assert!(!exploration_dependence(&found, 9, 10).passed && exploration_dependence(&found, 10, 10).passed);
    }

    #[test]
    fn exploration_of_single_decisions_is_recognised() {
        let found = found(false);
        assert_eq!(found.unit, ExplorationUnit::Decision);
        assert!(exploration_dependence(&found, 0, 10).passed);
    }
}
