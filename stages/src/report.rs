//! `report`: what people read: Markdown and one HTML page with figures, a summary for the page of a CI job, and metrics for machines.

mod ab_test;
mod data_quality;
pub(crate) mod document;
mod done;
mod evidence;
mod exploration;
mod figures;
mod first_page;
pub(crate) mod format;
mod html;
pub(crate) mod markdown;
mod models;
mod sources;
mod weights;

use routewright_engine::{Context, Stage, StageError};
use serde::{Deserialize, Serialize};

use self::document::{Block, Document};
use self::figures::Drawn;
use self::sources::Sources;
use crate::artifacts::{
    AbTestReport, DecisionReport, Evaluation, Exploration, Features, Figures, Metrics, Models, Page, ReplayReport, Results, RowAccount,
    SummaryPage, TrainingReport,
};
use crate::metrics;

/// Where figures lie, as seen from the Markdown report.
const FIGURES: &str = "figures";

/// Settings of `[report]`: none yet.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ReportParams {}

/// The stage.
pub(crate) struct Report;

impl Stage for Report {
    const NAME: &'static str = "report";
    const SUMMARY: &'static str = "writes the report for people, its figures, and a summary for the CI job";
    const VERSION: u32 = 6;
    const USES_SEED: bool = false;
    type Params = ReportParams;
    type Inputs = (DecisionReport, ReplayReport, Evaluation, TrainingReport, Exploration, RowAccount, Features, Models, AbTestReport);
    type Outputs = (Results, Page, SummaryPage, Metrics, Figures);

    fn run(_: &ReportParams, inputs: Self::Inputs, _: &Context<'_>) -> Result<Self::Outputs, StageError> {
        let (decision, replay, evaluation, training, Exploration(exploration), RowAccount(ingest), Features(table), models, ab_test) =
            inputs;
        let weights = weights::weights(&table, &models.policy);
        let drawn = Drawn { replay: &replay, evaluation: &evaluation, exploration: &exploration, table: &table, weights: weights.as_ref() };
        let figures = figures::all(&drawn)?;
        let names: Vec<String> = figures.iter().map(|(name, _)| (*name).to_owned()).collect();
        let sources = Sources {
            decision: &decision,
            replay: &replay,
            evaluation: &evaluation,
            training: &training,
            exploration: &exploration,
            ingest: &ingest,
            ab_test: &ab_test,
            figures: &names,
        };
        let document = contents(&sources);
        let page = html::render(&document, &html::Head::of(&sources), &figures)?;
        Ok((
            Results(markdown::render(&document, FIGURES)),
            Page(page),
            SummaryPage(markdown::render(&first_page::summary(&sources), FIGURES)),
            Metrics(metrics::text(&decision, &metrics::of(&decision, &replay, &evaluation, &ingest))),
            Figures(figures::files(figures)),
        ))
    }
}

/// The report: a page that says what matters, then everything behind it.
fn contents(sources: &Sources<'_>) -> Document {
    let mut blocks: Vec<Block> = first_page::blocks(sources);
    blocks.extend(evidence::policies(sources));
    blocks.extend(evidence::trust(sources));
    blocks.extend(ab_test::blocks(sources.ab_test));
    blocks.extend(evidence::segments(sources));
    blocks.extend(evidence::ageing(sources));
    blocks.extend(evidence::questions(sources));
    blocks.extend(exploration::blocks(sources));
    blocks.extend(models::blocks(sources));
    blocks.extend(done::provenance(sources));
    blocks.extend(data_quality::blocks(sources.ingest));
    blocks.extend(done::limits(sources));
    Document { title: "E-009: learned routing against static routing".to_owned(), blocks }
}
