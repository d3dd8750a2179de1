//! `explore`: the four questions of E-009's exploratory analysis, as numbers.

mod ab_test;

use routewright_engine::{Context, Stage, StageError};
use routewright_table::{Summary, read_assignments};
use serde::{Deserialize, Serialize};

use crate::artifacts::{AbTestReport, Assignments, DecisionTable, Exploration};

/// Settings of `[explore]`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ExploreParams {
    /// Declared share of an A/B gateway's traffic in the treatment group; 0 where it was changed on the way, or nobody knows.
    pub treatment_share: f64,
}

/// The stage.
pub(crate) struct Explore;

impl Stage for Explore {
    const NAME: &'static str = "explore";
    const SUMMARY: &'static str =
        "answers what correlates with success, where static routing fails, what it confuses, and which path does best where";
    const VERSION: u32 = 2;
    type Params = ExploreParams;
    type Inputs = (DecisionTable, Assignments);
    type Outputs = (Exploration, AbTestReport);

    fn check(params: &ExploreParams) -> Result<(), (&'static str, String)> {
        let share = params.treatment_share;
        if (0.0..1.0).contains(&share) { Ok(()) } else { Err(("treatment_share", format!("must lie in [0, 1), found {share}"))) }
    }

    fn run(params: &ExploreParams, inputs: Self::Inputs, context: &Context<'_>) -> Result<Self::Outputs, StageError> {
        let (DecisionTable(decisions), Assignments(assignments)) = inputs;
        let randomised = ab_test::judge(&read_assignments(&assignments)?, params.treatment_share);
        if !randomised.summary.is_empty() {
            context.note(&format!("randomised test: {}", randomised.summary));
        }
        Ok((Exploration(Summary::of(&decisions)?), randomised))
    }
}
