//! A decision whose outcome never came.

use super::{Dirt, Fate, make_pending};

/// The request was never finished.
pub(super) const DIRT: Dirt =
    Dirt { name: "pending", share: 0.16, fate: Fate::Pending, write: |line, out| line.changed(make_pending, out) };
