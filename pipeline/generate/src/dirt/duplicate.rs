//! The same line twice.

use super::{Dirt, Fate};

/// A retry of the log shipper.
pub(super) const DIRT: Dirt = Dirt {
    name: "duplicate",
    share: 0.14,
    fate: Fate::Kept,
    write: |line, out| {
        line.copy(out);
        line.copy(out);
    },
};
