//! Unclear queries in the evening, when nobody is there to ask back.

use super::Region;
use crate::router::QueryType;
use crate::surface::Role;

/// Hour (UTC) from which the evening counts.
const EVENING: f64 = 17.0;

/// Sent to the general model, which guesses, where reasoning would do better.
pub(super) const REGION: Region = Region {
    name: "unclear_evening",
    summary: "unclear queries in the evening are guessed at",
    better: Role::Reasoning,
    strength: 1.0,
    trend: 0.2,
    contains: |situation| {
        let unclear = situation.route.query_type == QueryType::Chat && situation.words.vague > 0;
        unclear && situation.timestamp.hour_of_day() >= EVENING
    },
};
