//! E-mail addresses.

use std::sync::LazyLock;

use regex::Regex;

use super::signs::{self, Signs};
use super::{Detector, Place};

pub(super) const DETECTOR: Detector = Detector { name: "emails", mark: "[email]", wanted: |settings| settings.emails, may_hold, find };

static ADDRESS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"[\p{L}\p{N}._%+'\-]+@[\p{L}\p{N}](?:[\p{L}\p{N}\-]*[\p{L}\p{N}])?(?:\.[\p{L}\p{N}](?:[\p{L}\p{N}\-]*[\p{L}\p{N}])?)*\.\p{L}{2,24}").ok()
});

fn may_hold(signs: Signs, _: &str, _: Place) -> bool {
    signs.has(signs::AT)
}

fn find(text: &str, _: Place, found: &mut Vec<(usize, usize)>) {
    if let Some(address) = ADDRESS.as_ref() {
        found.extend(address.find_iter(text).map(|hit| (hit.start(), hit.end())));
    }
}
