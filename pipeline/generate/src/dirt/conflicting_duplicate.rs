//! Two lines with one id and different outcomes.

use super::{Dirt, Fate};

/// Two writers saw the end of one request differently; the first is true.
pub(super) const DIRT: Dirt = Dirt {
    name: "conflicting_duplicate",
    share: 0.04,
    fate: Fate::Contradicted,
    write: |line, out| {
        line.copy(out);
        line.changed(
            |object| {
                let success = object["execution_outcome"]["success"].as_bool();
                object["execution_outcome"]["success"] = success.map(|success| !success).into();
            },
            out,
        );
    },
};
