//! Everything that the report tells, by where it comes from.

use routewright_table::{IngestReport, Summary};

use super::document::{Block, FigureBlock};
use crate::artifacts::{AbTestReport, DecisionReport, Evaluation, ReplayReport, TrainingReport};

/// What the stages before found.
pub(super) struct Sources<'a> {
    pub decision: &'a DecisionReport,
    pub replay: &'a ReplayReport,
    pub evaluation: &'a Evaluation,
    pub training: &'a TrainingReport,
    pub exploration: &'a Summary,
    pub ingest: &'a IngestReport,
    pub ab_test: &'a AbTestReport,
    /// Names of the figures that were drawn.
    pub figures: &'a [String],
}

impl Sources<'_> {
    /// A figure of the document, where it was drawn.
    pub(super) fn figure(&self, name: &str, alt: &str) -> Option<Block> {
        let is_drawn = self.figures.iter().any(|drawn| drawn == name);
        is_drawn.then(|| Block::Figure(FigureBlock { name: name.to_owned(), alt: alt.to_owned() }))
    }
}
