//! The regions where the static router errs: everything a learned router can win lies here.
//!
//! A region is a rule on what is logged, so a forest can find it. Inside it one path does better than the static one; how much better is
//! the world's gain times the region's strength.

mod coding_as_chat;
mod hard_code;
mod loaded_reasoning;
mod tool_outage;
mod tool_question;
mod unclear_evening;

use crate::surface::Role;
use crate::world::Situation;

/// A set of queries that the static router sends to the wrong path.
#[derive(Debug)]
pub struct Region {
    /// Name of the region.
    pub name: &'static str,
    /// One sentence on what goes wrong.
    pub summary: &'static str,
    /// The path that does better, by its role.
    pub better: Role,
    /// Strength relative to the world's gain.
    pub strength: f64,
    /// Change of the strength from the first to the last day at drift 1, as a share of itself; at most 1, so that no gain turns.
    pub trend: f64,
    /// Whether a query lies in it.
    pub contains: fn(&Situation) -> bool,
}

/// Every region; a query belongs to the first that contains it.
pub const REGIONS: &[Region] = &[
    coding_as_chat::REGION,
    hard_code::REGION,
    tool_outage::REGION,
    tool_question::REGION,
    loaded_reasoning::REGION,
    unclear_evening::REGION,
];

/// The region of a query.
pub(crate) fn region_of(situation: &Situation) -> Option<&'static Region> {
    REGIONS.iter().find(|region| (region.contains)(situation))
}

#[cfg(test)]
mod tests {
    use routewright_domain::Seed;

    use super::*;
    use crate::{World, WorldSettings};

    #[test]
    fn every_region_is_visited_and_together_they_hold_a_third_of_the_queries_or_more() {
        let world = World::new(&WorldSettings { n_decisions: 20_000, ..WorldSettings::default() }, Seed(1)).unwrap();
        let mut counts = vec![0_u32; REGIONS.len()];
        for row in 0..20_000 {
            let situation = world.decision(row).situation;
            if let Some(region) = region_of(&situation) {
                assert_ne!(region.better, situation.route.role, "{}", region.name);
                counts[REGIONS.iter().position(|known| known.name == region.name).unwrap()] += 1;
            }
        }
        assert!(counts.iter().all(|&count| count > 600), "{counts:?}");
        let share = f64::from(counts.iter().sum::<u32>()) / 20_000.0;
        assert!((0.30..=0.45).contains(&share), "{share} {counts:?}");
    }

    #[test]
    fn no_gain_turns_negative_under_drift() {
        assert!(REGIONS.iter().all(|region| region.strength > 0.0 && region.trend.abs() <= 1.0));
    }
}
