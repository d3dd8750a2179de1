//! A byte that is no UTF-8, inside the line.

use super::{Dirt, Fate};

/// A disk or a wire turned some bits.
pub(super) const DIRT: Dirt = Dirt {
    name: "invalid_utf8",
    share: 0.04,
    fate: Fate::Lost,
    write: |line, out| {
        let (head, tail) = line.text.split_at(line.place());
        out.extend_from_slice(head);
        out.push(0xff);
        out.extend_from_slice(tail);
        out.push(b'\n');
    },
};
