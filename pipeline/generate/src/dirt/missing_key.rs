//! A required key that is not there.

use super::{Dirt, Fate};

/// Without a query or a path there is no decision.
pub(super) const DIRT: Dirt = Dirt {
    name: "missing_key",
    share: 0.05,
    fate: Fate::Lost,
    write: |line, out| {
        line.changed(
            |object| {
                let owner = if line.cut < 0.5 { Some(&mut *object) } else { object.get_mut("routing_decision") };
                if let Some(object) = owner.and_then(|owner| owner.as_object_mut()) {
                    object.remove(if line.cut < 0.5 { "query" } else { "execution_path" });
                }
            },
            out,
        )
    },
};
