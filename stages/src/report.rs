//! `report`: what people read: Markdown with figures, and a summary that fits the page of a CI job.

mod exploration;
mod figures;
mod markdown;

use routewright_engine::{Context, Stage, StageError};
use serde::{Deserialize, Serialize};

use self::figures::Drawn;
use self::markdown::Sources;
use crate::artifacts::{
    DecisionReport, Evaluation, Exploration, Features, Figures, ReplayReport, Results, RowAccount, SummaryPage, TrainingReport,
};

/// Settings of `[report]`: none yet.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ReportParams {}

/// The stage.
pub(crate) struct Report;

impl Stage for Report {
    const NAME: &'static str = "report";
    const SUMMARY: &'static str = "writes the report for people, its figures, and a summary for the CI job";
    const VERSION: u32 = 1;
    type Params = ReportParams;
    type Inputs = (DecisionReport, ReplayReport, Evaluation, TrainingReport, Exploration, RowAccount, Features);
    type Outputs = (Results, SummaryPage, Figures);

    fn run(_: &ReportParams, inputs: Self::Inputs, _: &Context<'_>) -> Result<Self::Outputs, StageError> {
        let (decision, replay, evaluation, training, Exploration(exploration), RowAccount(ingest), Features(table)) = inputs;
        let drawn = Drawn { replay: &replay, evaluation: &evaluation, exploration: &exploration, table: &table };
        let figures = figures::all(&drawn)?;
        let names: Vec<String> = figures.iter().map(|(name, _)| name.clone()).collect();
        let sources = Sources {
            decision: &decision,
            replay: &replay,
            evaluation: &evaluation,
            training: &training,
            exploration: &exploration,
            ingest: &ingest,
            figures: &names,
        };
        Ok((Results { markdown: markdown::report(&sources) }, SummaryPage(markdown::summary(&sources)), Figures(figures)))
    }
}
