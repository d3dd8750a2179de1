//! A time that cannot be.

use super::{Dirt, Fate};

/// A clock that was never set, or a format nobody declared.
pub(super) const DIRT: Dirt = Dirt {
    name: "bad_timestamp",
    share: 0.03,
    fate: Fate::Lost,
    write: |line, out| {
        line.changed(|object| object["timestamp"] = if line.cut < 0.5 { "1970-01-01T00:00:00Z".into() } else { "yesterday".into() }, out)
    },
};
