//! The policies that are compared: one list, learned ones and the controls they have to beat. Controls are fitted on the training window.

mod controls;
mod edge_cases;
mod learners;
mod training;

use routewright_domain::{Arm, Seed};
use routewright_engine::StageError;
use routewright_router::Policy;
use routewright_table::FeatureTable;

use super::held_out::HeldOut;
use crate::artifacts::Role;

pub(super) use self::learners::{Classified, Learned, choose, classify};
pub(super) use self::training::{TrainingMeans, training_means};

/// What a policy does on the held-out queries.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Choices {
    /// One path per query.
    Fixed(Vec<Arm>),
    /// The same distribution over paths for every query.
    Mixed(Vec<f64>),
}

impl Choices {
    /// Share of every path.
    pub fn shares(&self, n_arms: usize) -> Vec<f64> {
        match self {
            Self::Mixed(shares) => shares.clone(),
            Self::Fixed(arms) => {
                let mut shares = vec![0.0; n_arms];
                for arm in arms {
                    shares[arm.index()] += 1.0 / arms.len() as f64;
                }
                shares
            }
        }
    }
}

/// What policies are made from.
pub(super) struct Setting<'a> {
    pub table: &'a FeatureTable,
    pub held_out: &'a HeldOut,
    /// The models and their rules.
    pub policy: &'a Policy,
    /// The learned router's choices, one per query.
    pub learned: &'a [Learned],
    /// What the classifier says, one per query.
    pub classified: &'a [Classified],
    /// Query types in which the learned router gains, by the training window.
    pub helped_types: &'a [String],
    /// The learned choice where the log supports it, one per query; `None` where there is nothing to restrict.
    pub supported: Option<&'a [Arm]>,
    /// Training statistics of the paths.
    pub training: &'a TrainingMeans,
    /// Outcomes of held-out queries × paths, `NaN` where unknown: only the oracle looks.
    pub outcomes: &'a [f64],
    /// Whether every path ran on (nearly) every query.
    pub full_information: bool,
    /// The run's seed.
    pub seed: Seed,
}

/// A policy of the list.
pub(super) struct PolicyEntry {
    /// Its name in reports.
    pub name: &'static str,
    /// What it is in the comparison.
    pub role: Role,
    /// What it does; `None` where it cannot be made from this log.
    pub choose: fn(&Setting<'_>) -> Result<Option<Choices>, StageError>,
}

/// Every policy, in the order of reports.
pub(super) const POLICIES: &[PolicyEntry] = &[
    PolicyEntry { name: "static", role: Role::Static, choose: controls::static_router },
    PolicyEntry { name: "learned", role: Role::Learned, choose: learners::learned },
    PolicyEntry { name: "classifier", role: Role::Alternative, choose: learners::classifier },
    PolicyEntry { name: "hybrid_by_query_type", role: Role::Alternative, choose: learners::hybrid_by_query_type },
    PolicyEntry { name: "confidence_ensemble", role: Role::Alternative, choose: learners::confidence_ensemble },
    PolicyEntry { name: "edge_cases", role: Role::Alternative, choose: edge_cases::edge_cases },
    PolicyEntry { name: "supported", role: Role::Alternative, choose: learners::supported },
    PolicyEntry { name: "best_single", role: Role::Control, choose: controls::best_single },
    PolicyEntry { name: "best_per_query_type", role: Role::Control, choose: controls::best_per_query_type },
    PolicyEntry { name: "static_mix", role: Role::Control, choose: controls::static_mix },
    PolicyEntry { name: "random_shares", role: Role::Control, choose: controls::random_shares },
    PolicyEntry { name: "oracle", role: Role::Oracle, choose: controls::oracle },
];

impl Setting<'_> {
    /// The learned router's paths.
    fn learned_arms(&self) -> Vec<Arm> {
        self.learned.iter().map(|choice| choice.arm).collect()
    }

    /// The query types, one per query.
    fn query_types(&self) -> impl Iterator<Item = &String> {
        self.held_out.queries.iter().map(|query| &self.table.outcomes.query_types[query.row])
    }
}

/// The position of the highest finite number, the first of equals.
fn best_of(values: impl Iterator<Item = f64>) -> Option<Arm> {
    let mut best: Option<(usize, f64)> = None;
    for (position, value) in values.enumerate().filter(|(_, value)| value.is_finite()) {
        if best.is_none_or(|(_, highest)| value > highest) {
            best = Some((position, value));
        }
    }
    best.map(|(position, _)| Arm(position as u16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_equals_is_the_first_and_unknown_never_wins() {
        assert_eq!(best_of([f64::NAN, 0.5, 0.5].into_iter()), Some(Arm(1)));
        assert_eq!(best_of([f64::NAN].into_iter()), None);
    }

    #[test]
    fn shares_of_fixed_choices_sum_to_one() {
        assert_eq!(Choices::Fixed(vec![Arm(0), Arm(1), Arm(1), Arm(1)]).shares(2), [0.25, 0.75]);
    }
}
