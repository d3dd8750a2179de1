//! Programming questions phrased as small talk.

use super::Region;
use crate::router::QueryType;
use crate::surface::Role;

/// Sent to the general model, where the coding path would do better.
pub(super) const REGION: Region = Region {
    name: "coding_as_chat",
    summary: "friendly programming questions are taken for chat",
    better: Role::Coding,
    strength: 1.1,
    trend: 0.3,
    contains: |situation| situation.route.query_type == QueryType::Chat && situation.words.coding > 0,
};
