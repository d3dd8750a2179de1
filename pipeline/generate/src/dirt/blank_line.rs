//! An empty line before the line.

use super::{Dirt, Fate};

/// A flush without a record.
pub(super) const DIRT: Dirt = Dirt {
    name: "blank_line",
    share: 0.08,
    fate: Fate::Kept,
    write: |line, out| {
        out.push(b'\n');
        line.copy(out);
    },
};
