//! Questions that sound like a tool call.

use super::Region;
use crate::router::QueryType;
use crate::surface::Role;

/// Sent to a tool that misreads them, where the general model would do better.
pub(super) const REGION: Region = Region {
    name: "tool_question",
    summary: "questions are misread by the tool's argument parser",
    better: Role::Standard,
    strength: 0.9,
    trend: -0.2,
    contains: |situation| situation.route.query_type == QueryType::ToolDirect && situation.features.has_question,
};
