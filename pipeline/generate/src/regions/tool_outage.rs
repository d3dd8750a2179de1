//! Tool calls while tools are failing.

use super::Region;
use crate::context::Mode;
use crate::router::QueryType;
use crate::surface::Role;

/// Share of recent failures from which tools are not to be trusted.
const FAILING: f64 = 0.10;

/// Sent to a failing tool, where the general model would do better.
pub(super) const REGION: Region = Region {
    name: "tool_outage",
    summary: "tools fail while the system is degraded or errors pile up",
    better: Role::Standard,
    strength: 1.1,
    trend: 0.2,
    contains: |situation| {
        let context = &situation.context;
        let failing = context.system_mode == Mode::Degraded || context.recent_error_rate >= FAILING;
        situation.route.query_type == QueryType::ToolDirect && failing
    },
};
