//! Counts of outcomes that fade with time.

use routewright_domain::Timestamp;

/// Outcomes, each with a weight that halves with every half-life.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    /// The time the weights are of.
    pub at: i64,
    /// Weight of all outcomes.
    pub weight: f64,
    /// Weight of the successes.
    pub successes: f64,
    /// Weight of the outcomes with a latency.
    pub latency_weight: f64,
    /// Weighted sum of ln(1 + milliseconds).
    pub log_latency: f64,
}

impl Tally {
    /// The tally aged to a later time; an earlier one leaves it as it is. `half_life`: microseconds.
    pub(crate) fn aged(&self, now: Timestamp, half_life: f64) -> Self {
        let age = now.0.saturating_sub(self.at);
        if age <= 0 || self.weight == 0.0 {
            return *self;
        }
        let factor = (-(age as f64) / half_life).exp2();
        Self {
            at: now.0,
            weight: self.weight * factor,
            successes: self.successes * factor,
            latency_weight: self.latency_weight * factor,
            log_latency: self.log_latency * factor,
        }
    }

    /// Adds one outcome at its time; outcomes come in time order.
    pub(crate) fn add(&mut self, now: Timestamp, half_life: f64, success: bool, log_latency: Option<f32>) {
        *self = self.aged(now, half_life);
        self.at = self.at.max(now.0);
        if self.weight == 0.0 {
            self.at = now.0;
        }
        self.weight += 1.0;
        self.successes += f64::from(u8::from(success));
        if let Some(log_latency) = log_latency {
            self.latency_weight += 1.0;
            self.log_latency += f64::from(log_latency);
        }
    }

    /// Adds another tally of the same time, weighted.
    pub(crate) fn merge(&mut self, other: &Self, weight: f64) {
        self.at = self.at.max(other.at);
        self.weight += weight * other.weight;
        self.successes += weight * other.successes;
        self.latency_weight += weight * other.latency_weight;
        self.log_latency += weight * other.log_latency;
    }

    /// Share of successes; `None` without outcomes.
    pub(crate) fn success_rate(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.successes / self.weight)
    }

    /// Mean ln(1 + milliseconds); `None` without latencies.
    pub(crate) fn mean_log_latency(&self) -> Option<f64> {
        (self.latency_weight > 0.0).then(|| self.log_latency / self.latency_weight)
    }
}

/// Mean of a sum over a weight, pulled towards a prior mean that counts `strength`.
pub(crate) fn shrink(sum: f64, weight: f64, prior: f64, strength: f64) -> f64 {
    (sum + strength * prior) / (weight + strength)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_halves_with_every_half_life() {
        let mut tally = Tally::default();
        tally.add(Timestamp(-500), 100.0, true, Some(2.0));
        tally.add(Timestamp(-400), 100.0, false, None);
        assert_eq!((tally.weight, tally.successes), (1.5, 0.5));
        let aged = tally.aged(Timestamp(-200), 100.0);
        assert_eq!((aged.weight, aged.mean_log_latency()), (0.375, Some(2.0)));
        assert_eq!(tally.aged(Timestamp(-900), 100.0), tally);
    }

    #[test]
    fn shrinking_moves_from_the_prior_to_the_evidence() {
        assert_eq!(shrink(0.0, 0.0, 0.8, 10.0), 0.8);
        assert_eq!(shrink(0.0, 10.0, 0.8, 10.0), 0.4);
    }
}
