//! A value of the wrong type.

use super::{Dirt, Fate};

/// A new version of the logger wrote latency as text, or the path as a number.
pub(super) const DIRT: Dirt = Dirt {
    name: "wrong_type",
    share: 0.05,
    fate: Fate::Lost,
    write: |line, out| {
        line.changed(
            |object| {
                if line.cut < 0.5 {
                    object["execution_outcome"]["latency_ms"] = "fast".into();
                } else {
                    object["routing_decision"]["execution_path"] = 3.into();
                }
            },
            out,
        )
    },
};
