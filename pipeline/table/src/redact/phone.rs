//! Telephone numbers: international ones and those with an area code in brackets everywhere, other national ones in texts that people write.

use std::sync::LazyLock;

use regex::Regex;

use super::signs::{BLANK, DASH, DIGIT, DOT, OPEN, PLUS, SLASH, Signs};
use super::{Detector, Place, is_word};

pub(super) const DETECTOR: Detector = Detector { name: "phones", mark: "[phone]", wanted: |settings| settings.phones, may_hold, find };

/// With a plus sign and the country's digits.
static INTERNATIONAL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\+\d{1,3}[ .\-/]?(?:\(\d{1,4}\)[ .\-/]?)?\d(?:[ .\-/]?\d){6,13}").ok());

/// With an area code in brackets, which no program puts into an id.
static BRACKETED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\(\d{2,5}\) ?\d{3,4}[ .\-]?\d{3,5}").ok());

/// With dashes or dots as in North America, or with a leading zero and a separator.
static NATIONAL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\d{3}-\d{3}-\d{4}|\d{3}\.\d{3}\.\d{4}|0\d{2,4}[ /\-]\d{3,4}[ \-]?\d{3,7}").ok());

/// Digits that the shortest number has.
const MIN_DIGITS: usize = 7;

fn may_hold(signs: Signs, text: &str, place: Place) -> bool {
    let separates = if place == Place::Identifier { PLUS | OPEN } else { PLUS | OPEN | DASH | DOT | BLANK | SLASH };
    signs.has(DIGIT) && signs.has_one(separates) && has_enough_digits(text)
}

fn has_enough_digits(text: &str) -> bool {
    text.bytes().filter(u8::is_ascii_digit).count() >= MIN_DIGITS
}

fn find(text: &str, place: Place, found: &mut Vec<(usize, usize)>) {
    if !has_enough_digits(text) {
        return;
    }
    take(text, INTERNATIONAL.as_ref(), found);
    take(text, BRACKETED.as_ref(), found);
    if place != Place::Identifier {
        take(text, NATIONAL.as_ref(), found);
    }
    found.sort_unstable();
    found.dedup_by(|next, kept| next.0 < kept.1);
}

/// Takes the matches that do not stand inside a longer number or word.
fn take(text: &str, regex: Option<&Regex>, found: &mut Vec<(usize, usize)>) {
    let Some(regex) = regex else { return };
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(hit) = regex.find_at(text, at) {
        let before = hit.start().checked_sub(1).map(|before| bytes[before]);
        let after = bytes.get(hit.end());
        let joined = |byte: u8| is_word(byte) || matches!(byte, b'-' | b'+');
        if before.is_some_and(joined) || before == Some(b'.') || after.is_some_and(|byte| joined(*byte)) {
            // All that a match begins with is one byte long.
            at = hit.start() + 1;
        } else {
            found.push((hit.start(), hit.end()));
            at = hit.end();
        }
    }
}
