//! A propensity outside (0, 1].

use super::{Dirt, Fate};

/// Percent where a share belongs, or nothing at all.
pub(super) const DIRT: Dirt = Dirt {
    name: "bad_propensity",
    share: 0.03,
    fate: Fate::Lost,
    write: |line, out| {
        line.changed(|object| object["routing_decision"]["propensity"] = if line.cut < 0.5 { 73.5.into() } else { 0.0.into() }, out)
    },
};
