//! A randomised test of two routers behind a gateway: what the groups say, and whether the groups can be believed.

use routewright_domain::{Estimate, Interval};
use serde::{Deserialize, Serialize};

use crate::gates::SAMPLE_RATIO_LEVEL;
use crate::randomised::{Group, GroupComparison, compare_groups};
use crate::stats::{Confidence, pooled_z, sample_ratio};

/// One group during one period: intention to treat, whatever ran in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// Tasks that were put into the group.
    pub tasks: u64,
    /// Of these, tasks with an outcome.
    pub decisions: u64,
    /// Of these, successes.
    pub successes: u64,
}

impl Assigned {
    fn plus(self, other: Self) -> Self {
        Self { tasks: self.tasks + other.tasks, decisions: self.decisions + other.decisions, successes: self.successes + other.successes }
    }

    fn group(self) -> Group {
        Group { successes: self.successes, decisions: self.decisions }
    }
}

/// Both groups during one period, in which the share of traffic may be taken as constant: a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// The static router's group.
    pub control: Assigned,
    /// The learned router's group.
    pub treatment: Assigned,
}

/// What a randomised test says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AbTest {
    /// The static router's group, all periods.
    pub control: Assigned,
    /// The learned router's group, all periods.
    pub treatment: Assigned,
    /// Share of the tasks in the treatment group.
    pub share: f64,
    /// Treatment minus control, all periods together: right where the share never changed.
    pub pooled: GroupComparison,
    /// Treatment minus control within periods (Mantel and Haenszel's weights): right also where the share was raised on the way.
    pub within_periods: Estimate,
    /// p-value of the group sizes against the declared share; none where no share was declared.
    pub split_p_value: Option<f64>,
    /// p-value of outcomes being missing equally often in both groups.
    pub missing_p_value: f64,
    /// Whether the groups can be believed: the split is as declared, and outcomes are missing alike.
    pub is_sound: bool,
}

/// Judges a randomised test; nothing where no period has outcomes in both groups. `declared_share`: of the traffic in the treatment group.
///
/// `Δ = Σ wᵢ(p₁ᵢ − p₀ᵢ)/Σ wᵢ` with `wᵢ = n₁ᵢn₀ᵢ/(n₁ᵢ + n₀ᵢ)`; its variance adds those of the differences, with one success and one failure
/// added to each group (Agresti and Caffo, 2000) so that a period without failures is not taken for certain.
pub fn ab_test(periods: &[Period], declared_share: Option<f64>, confidence: Confidence) -> Option<AbTest> {
    let sum = |side: fn(&Period) -> Assigned| periods.iter().map(side).fold(Assigned::default(), Assigned::plus);
    let (control, treatment) = (sum(|period| period.control), sum(|period| period.treatment));
    let share = treatment.tasks as f64 / (treatment.tasks + control.tasks).max(1) as f64;
    let pooled = compare_groups(treatment.group(), control.group(), declared_share.unwrap_or(share), confidence)?;
    let within_periods = mantel_haenszel(periods, confidence)?;
    let split_p_value = declared_share.map(|declared| sample_ratio(&[treatment.tasks, control.tasks], &[declared, 1.0 - declared]));
    let missing = |side: Assigned| (side.tasks - side.decisions.min(side.tasks)) as f64;
    let (_, missing_p_value) = pooled_z([missing(treatment), missing(control)], [treatment.tasks as f64, control.tasks as f64]);
    let is_sound = split_p_value.is_none_or(|p_value| p_value >= SAMPLE_RATIO_LEVEL) && missing_p_value >= SAMPLE_RATIO_LEVEL;
    Some(AbTest { control, treatment, share, pooled, within_periods, split_p_value, missing_p_value, is_sound })
}

/// The difference of success rates within periods.
fn mantel_haenszel(periods: &[Period], confidence: Confidence) -> Option<Estimate> {
    let (mut weights, mut value, mut variance) = (0.0, 0.0, 0.0);
    for period in periods.iter().filter(|period| period.control.decisions > 0 && period.treatment.decisions > 0) {
        let sizes = [period.treatment.decisions as f64, period.control.decisions as f64];
        let weight = sizes[0] * sizes[1] / (sizes[0] + sizes[1]);
        let successes = [period.treatment.successes as f64, period.control.successes as f64];
        weights += weight;
        value += weight * (successes[0] / sizes[0] - successes[1] / sizes[1]);
        for (successes, size) in successes.into_iter().zip(sizes) {
            let rate = (successes + 1.0) / (size + 2.0);
            variance += weight * weight * rate * (1.0 - rate) / (size + 2.0);
        }
    }
    if weights == 0.0 {
        return None;
    }
    let (value, std_error) = (value / weights, variance.sqrt() / weights);
    let half = confidence.z() * std_error;
    Some(Estimate { value, std_error, interval: Interval { lower: (value - half).max(-1.0), upper: (value + half).min(1.0) } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(tasks: u64, decisions: u64, successes: u64) -> Assigned {
        Assigned { tasks, decisions, successes }
    }

    fn test(periods: &[Period], declared: Option<f64>) -> Option<AbTest> {
        ab_test(periods, declared, Confidence::TWO_SIDED_95)
    }

    #[test]
    fn one_period_is_the_difference_of_two_proportions() {
        let period = Period { control: assigned(900, 900, 720), treatment: assigned(100, 100, 90) };
        let found = test(&[period], Some(0.1)).unwrap();
        assert!((found.within_periods.value - 0.1).abs() < 1e-12 && (found.pooled.estimate.value - 0.1).abs() < 1e-12);
        assert_eq!((found.share, found.is_sound), (0.1, true));
        assert!(found.within_periods.interval.lower > 0.02 && found.within_periods.interval.lower < 0.06, "{found:?}");
    }

    /// The learned router does equally well within each day; it got more traffic on the better day.
    #[test]
    fn a_share_that_was_raised_on_the_way_makes_no_uplift() {
        let periods = [
            Period { control: assigned(900, 900, 450), treatment: assigned(100, 100, 50) },
            Period { control: assigned(500, 500, 450), treatment: assigned(500, 500, 450) },
        ];
        let found = test(&periods, None).unwrap();
        assert!(found.pooled.estimate.interval.lower > 0.1, "pooled is misled: {found:?}");
        assert!(found.within_periods.value.abs() < 1e-12 && found.within_periods.interval.lower < 0.0, "{found:?}");
    }

    #[test]
    fn a_broken_split_or_outcomes_missing_on_one_side_are_not_sound() {
        let good = Period { control: assigned(5000, 5000, 4000), treatment: assigned(5000, 5000, 4000) };
        assert!(test(&[good], Some(0.5)).unwrap().is_sound);
        let split = Period { control: assigned(4600, 4600, 4000), treatment: assigned(5400, 5400, 4000) };
        assert!(!test(&[split], Some(0.5)).unwrap().is_sound);
        assert!(test(&[split], None).unwrap().is_sound, "no share was declared");
        let missing = Period { treatment: assigned(5000, 4500, 4000), ..good };
        assert!(!test(&[missing], Some(0.5)).unwrap().is_sound);
    }

    #[test]
    fn periods_with_one_group_say_nothing() {
        let lonely = Period { control: assigned(10, 10, 5), treatment: Assigned::default() };
        assert_eq!(test(&[lonely], None), None);
        let other = Period { control: Assigned::default(), treatment: assigned(10, 10, 5) };
        assert_eq!(test(&[lonely, other], None), None);
        assert_eq!(test(&[], None), None);
    }

    /// Worlds without a difference, share raised from 10 to 50 % while success drifts: the interval misses 0 in about 5 % of them.
    #[test]
    fn the_interval_covers_nothing_where_there_is_nothing() {
        let mut state = 7_u64;
        let mut uniform = move || {
            // A linear congruential generator, constants of Knuth's MMIX.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let mut missed = 0;
        for _ in 0..400 {
            let mut draw = |tasks: u64, rate: f64| assigned(tasks, tasks, (0..tasks).filter(|_| uniform() < rate).count() as u64);
            let periods: Vec<Period> = [(0.1, 0.6), (0.25, 0.75), (0.5, 0.9)]
                .map(|(share, rate)| Period {
                    treatment: draw((400.0 * share) as u64, rate),
                    control: draw((400.0 * (1.0 - share)) as u64, rate),
                })
                .to_vec();
            let interval = test(&periods, None).unwrap().within_periods.interval;
            missed += u32::from(interval.lower > 0.0 || interval.upper < 0.0);
        }
        // 5 % of 400 is 20, standard deviation 4.4; three of them either way.
        assert!((7..=33).contains(&missed), "{missed}");
    }
}
