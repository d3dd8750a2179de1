//! What can be known from a log at all.

use serde::{Deserialize, Serialize};

/// What a log identifies, from most to least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Identification {
    /// Every path ran on the query: values are exact, differences paired.
    FullInformation,
    /// Randomised groups: the difference of the groups.
    Randomised,
    /// Exploration with logged propensities: everything, at a price in variance.
    Identified,
    /// Exploration in part of the space: the supported part, bounds for the rest.
    Partial,
    /// Propensities estimated by a model: only if nothing hidden drove the choice.
    EstimatedPropensity,
    /// Deterministic routing, or no word on how paths were chosen: bounds only.
    NotIdentified,
}

impl Identification {
    /// Whether the log's uplift estimate may be believed enough to adopt.
    pub fn supports_adoption(self) -> bool {
        matches!(self, Self::FullInformation | Self::Randomised | Self::Identified)
    }

    /// Whether the evidence rests on exploration matches, so that their number matters.
    pub fn rests_on_exploration(self) -> bool {
        matches!(self, Self::Identified | Self::Partial)
    }
}

/// Where propensities come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PropensitySource {
    /// Logged with each decision.
    Logged,
    /// Computed from a declared exploration rule.
    Declared,
    /// Predicted by a model of the logger.
    Estimated,
    /// Unknown.
    Absent,
}

/// Facts about a log from which its regime is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogFacts {
    /// Share of queries on which both routers' paths have an outcome because several paths ran: 1 for full information.
    pub both_paths_known: f64,
    /// Whether decisions were assigned to routers in randomised groups with a declared share.
    pub randomised_groups: bool,
    /// Where the propensities come from.
    pub propensity_source: PropensitySource,
    /// Share of rows with a propensity below 1.
    pub uncertain_share: f64,
    /// Share of rows on which another path than the static one ran.
    pub deviation_share: f64,
    /// Share of rows on which learned and static disagree.
    pub disagreement: f64,
    /// Share of rows that disagree and lie where the log does not support both paths.
    pub unsupported_mass: f64,
}

/// From this share of queries on which both paths are known, a log counts as full information; the missing rest is reported.
pub const FULL_INFORMATION_SHARE: f64 = 0.95;

/// Recognises the regime of a log.
///
/// Propensities that are all 1, or none, identify nothing about paths that did not run, whatever else the log says.
pub fn identify(facts: &LogFacts) -> Identification {
    if facts.both_paths_known >= FULL_INFORMATION_SHARE {
        return Identification::FullInformation;
    }
    if facts.randomised_groups {
        return Identification::Randomised;
    }
    match facts.propensity_source {
        PropensitySource::Absent => return Identification::NotIdentified,
        PropensitySource::Estimated => return Identification::EstimatedPropensity,
        PropensitySource::Logged | PropensitySource::Declared => {}
    }
    let explores = facts.uncertain_share > 0.0 && facts.deviation_share > 0.0;
    let nothing_supported = facts.disagreement > 0.0 && facts.unsupported_mass >= facts.disagreement;
    if !explores || nothing_supported {
        return Identification::NotIdentified;
    }
    if facts.unsupported_mass > 0.0 { Identification::Partial } else { Identification::Identified }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPLORING: LogFacts = LogFacts {
        both_paths_known: 0.0,
        randomised_groups: false,
        propensity_source: PropensitySource::Logged,
        uncertain_share: 1.0,
        deviation_share: 0.04,
        disagreement: 0.4,
        unsupported_mass: 0.0,
    };

    #[test]
    fn every_regime_is_recognised() {
        let cases = [
            (LogFacts { both_paths_known: 1.0, propensity_source: PropensitySource::Absent, ..EXPLORING }, Identification::FullInformation),
            (LogFacts { randomised_groups: true, propensity_source: PropensitySource::Absent, ..EXPLORING }, Identification::Randomised),
            (EXPLORING, Identification::Identified),
            (LogFacts { unsupported_mass: 0.1, ..EXPLORING }, Identification::Partial),
            (LogFacts { unsupported_mass: 0.4, ..EXPLORING }, Identification::NotIdentified),
            (LogFacts { propensity_source: PropensitySource::Estimated, ..EXPLORING }, Identification::EstimatedPropensity),
            (LogFacts { propensity_source: PropensitySource::Absent, ..EXPLORING }, Identification::NotIdentified),
            (LogFacts { uncertain_share: 0.0, deviation_share: 0.0, ..EXPLORING }, Identification::NotIdentified),
            (LogFacts { uncertain_share: 0.0, ..EXPLORING }, Identification::NotIdentified),
        ];
        for (facts, expected) in cases {
            assert_eq!(identify(&facts), expected, "{facts:?}");
        }
    }

    #[test]
    fn regimes_are_spelled_as_in_the_decision_file() {
        assert_eq!(serde_json::to_string(&Identification::EstimatedPropensity).unwrap(), "\"ESTIMATED_PROPENSITY\"");
        assert_eq!(serde_json::to_string(&Identification::NotIdentified).unwrap(), "\"NOT_IDENTIFIED\"");
    }
}
