//! `explore`: the four questions of E-009's exploratory analysis, as numbers.

use routewright_engine::{Context, Stage, StageError};
use routewright_table::Summary;
use serde::{Deserialize, Serialize};

use crate::artifacts::{DecisionTable, Exploration};

/// Settings of `[explore]`: none yet.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ExploreParams {}

/// The stage.
pub(crate) struct Explore;

impl Stage for Explore {
    const NAME: &'static str = "explore";
    const SUMMARY: &'static str =
        "answers what correlates with success, where static routing fails, what it confuses, and which path does best where";
    const VERSION: u32 = 1;
    type Params = ExploreParams;
    type Inputs = (DecisionTable,);
    type Outputs = (Exploration,);

    fn run(_: &ExploreParams, (DecisionTable(decisions),): (DecisionTable,), _: &Context<'_>) -> Result<(Exploration,), StageError> {
        Ok((Exploration(Summary::of(&decisions)?),))
    }
}
