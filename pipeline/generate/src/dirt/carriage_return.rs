//! A line that ends in carriage return and line feed.

use super::{Dirt, Fate};

/// Written on another system.
pub(super) const DIRT: Dirt = Dirt {
    name: "carriage_return",
    share: 0.10,
    fate: Fate::Kept,
    write: |line, out| {
        out.extend_from_slice(line.text);
        out.extend_from_slice(b"\r\n");
    },
};
