//! A line of another log.

use super::{Dirt, Fate};

/// Two programs wrote to one file.
pub(super) const DIRT: Dirt = Dirt {
    name: "not_json",
    share: 0.04,
    fate: Fate::Lost,
    write: |line, out| {
        let stamp = line.place();
        out.extend_from_slice(format!("WARN  [router] queue length {stamp}, retrying\n").as_bytes());
    },
};
