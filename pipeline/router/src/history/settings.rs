//! Settings of the history index.

use serde::{Deserialize, Serialize};

/// Settings of the index. Its memory is bounded by `max_cells` × (`cell_size` members of 152 bytes + a tally per path).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HistorySettings {
    /// Cells of the embedding space, at most; each is a topic.
    pub max_cells: usize,
    /// Latest queries kept per cell; a full cell is split while cells are left, then forgets its oldest.
    pub cell_size: usize,
    /// Cells that a query looks into; 0 looks for no similar queries, which is most of the time of a decision.
    pub n_probes: usize,
    /// Most similar queries of each path that are weighed.
    pub n_nearest: usize,
    /// How fast a similar query's weight falls with its distance: weight = exp(sharpness · (cosine − 1)).
    pub sharpness: f64,
    /// Decisions' worth of trust in the coarser rate when a path or a query type is shrunk towards it.
    pub prior_strength: f64,
    /// The same for topics towards the rate of the query type.
    pub topic_prior_strength: f64,
    /// The same for similar queries towards their topics, in units of weight: the first guess of what the index then estimates from
    /// how far the outcomes of neighbours agree.
    pub similar_prior_strength: f64,
    /// The same for a session towards the rate of all paths.
    pub session_prior_strength: f64,
    /// Half-life of a topic's evidence, in days.
    pub topic_half_life_days: f64,
    /// Half-life of a query type's evidence, in days.
    pub type_half_life_days: f64,
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self {
            max_cells: 16_384,
            cell_size: 128,
            n_probes: 12,
            n_nearest: 16,
            sharpness: 10.0,
            prior_strength: 10.0,
            topic_prior_strength: 20.0,
            similar_prior_strength: 4.0,
            session_prior_strength: 4.0,
            topic_half_life_days: 30.0,
            type_half_life_days: 14.0,
        }
    }
}

impl HistorySettings {
    /// Whether similar past queries are looked for.
    pub(crate) fn looks_for_similar(&self) -> bool {
        0 < self.n_probes
    }

    /// Checks the ranges.
    pub(crate) fn check(&self) -> Result<(), String> {
        let counts = [
            ("max_cells", self.max_cells, 1..=65_536),
            ("cell_size", self.cell_size, 1..=65_536),
            ("n_probes", self.n_probes, 0..=1024),
            ("n_nearest", self.n_nearest, 1..=1024),
        ];
        for (name, count, range) in counts {
            if !range.contains(&count) {
                return Err(format!("`{name}` must be in {} to {}, found {count}", range.start(), range.end()));
            }
        }
        let numbers = [
            ("sharpness", self.sharpness),
            ("prior_strength", self.prior_strength),
            ("topic_prior_strength", self.topic_prior_strength),
            ("similar_prior_strength", self.similar_prior_strength),
            ("session_prior_strength", self.session_prior_strength),
            ("topic_half_life_days", self.topic_half_life_days),
            ("type_half_life_days", self.type_half_life_days),
        ];
        match numbers.iter().find(|(_, number)| !(number.is_finite() && *number > 0.0)) {
            Some((name, number)) => Err(format!("`{name}` must be positive, found {number}")),
            None => Ok(()),
        }
    }
}
