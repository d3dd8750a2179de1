//! Code that has to be understood, not written.

use super::Region;
use crate::surface::Role;

/// Complexity estimate from which a question about code is one of reasoning.
const HARD: f64 = 0.60;

/// Sent to the coding path, where reasoning would do better.
pub(super) const REGION: Region = Region {
    name: "hard_code",
    summary: "hard questions about a code block need reasoning",
    better: Role::Reasoning,
    strength: 1.0,
    trend: -0.3,
    contains: |situation| situation.features.has_code && situation.features.complexity_estimate >= HARD,
};
