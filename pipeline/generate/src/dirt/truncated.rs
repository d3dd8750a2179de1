//! A line that stops somewhere.

use super::{Dirt, Fate};

/// The writer was killed.
pub(super) const DIRT: Dirt = Dirt {
    name: "truncated",
    share: 0.08,
    fate: Fate::Lost,
    write: |line, out| {
        out.extend_from_slice(&line.text[..line.place()]);
        out.push(b'\n');
    },
};
