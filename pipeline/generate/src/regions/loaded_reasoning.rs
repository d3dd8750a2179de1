//! Reasoning while the model memory is full.

use super::Region;
use crate::router::QueryType;
use crate::surface::Role;

/// Share of model memory from which long reasoning is cut off.
const FULL: f64 = 0.75;

/// Sent to a slow and starved model, where the general one would do better.
pub(super) const REGION: Region = Region {
    name: "loaded_reasoning",
    summary: "long reasoning is cut off while model memory is full",
    better: Role::Standard,
    strength: 1.0,
    trend: 0.0,
    contains: |situation| situation.route.query_type == QueryType::Reasoning && situation.context.vram_usage >= FULL,
};
