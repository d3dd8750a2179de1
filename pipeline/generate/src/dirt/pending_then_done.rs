//! A decision logged twice: without its outcome, then with it.

use super::{Dirt, Fate, make_pending};

/// The logger writes at the start and at the end.
pub(super) const DIRT: Dirt = Dirt {
    name: "pending_then_done",
    share: 0.16,
    fate: Fate::Kept,
    write: |line, out| {
        line.changed(make_pending, out);
        line.copy(out);
    },
};
