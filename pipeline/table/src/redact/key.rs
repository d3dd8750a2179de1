//! Keys, tokens and passwords: by the shapes that their makers gave them, by the word before them, or because nothing else looks so random.

use std::sync::LazyLock;

use memchr::{memchr_iter, memchr2_iter};
use regex::Regex;

use super::signs::{
    AT, B, BEFORE_DASH, BEFORE_UNDERSCORE, BLANK, CAPITAL, CAPITAL_A, CAPITAL_G, CAPITAL_I, CAPITAL_J, CAPITAL_O, CAPITAL_S, COLON, DASH,
    DIGIT, DOT, EQUALS, SLASH, SMALL, SMALL_Y, SPECIAL, STRANGE, Signs, UNDERSCORE,
};
use super::{Detector, Place, is_word};

pub(super) const DETECTOR: Detector = Detector { name: "keys", mark: "[key]", wanted: |settings| settings.keys, may_hold, find };

/// Shapes that say by themselves what they are; a first group, where there is one, is the secret.
static SHAPES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let shapes = [
        r"(?:AKIA|ASIA|AROA)[0-9A-Z]{16}",
        r"AIza[0-9A-Za-z_\-]{35}",
        r"gh[pousr]_[A-Za-z0-9]{30,}",
        r"github_pat_[A-Za-z0-9_]{22,}",
        r"glpat-[A-Za-z0-9_\-]{20,}",
        r"xox[abeoprs]-[A-Za-z0-9\-]{10,}",
        r"sk-[A-Za-z0-9_\-]{20,}",
        r"[rsp]k_(?:live|test)_[A-Za-z0-9]{16,}",
        r"hf_[A-Za-z0-9]{30,}",
        r"npm_[A-Za-z0-9]{36}",
        r"pypi-[A-Za-z0-9_\-]{16,}",
        r"SG\.[A-Za-z0-9_\-]{16,}\.[A-Za-z0-9_\-]{16,}",
        r"eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*)?",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
        r"(?i:bearer) +[A-Za-z0-9._~+/\-]{16,}=*",
        r"://[^/\s:@]+:[^/\s@]+@",
    ];
    Regex::new(&shapes.join("|")).ok()
});

/// A secret with its name before it; the group is the secret.
static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?i)(?:api[_ \-]?key|access[_ \-]?key|secret|token|passw(?:or)?d|passphrase|pwd|credentials?)["'\\]*(?:\s*[:=]\s*|\s+is\s+)["'\\]*([^\s"',;&\\]{6,})"#).ok()
});

/// Runs of characters that a random token is made of.
static RUNS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[A-Za-z0-9_+/\-]{24,}={0,2}").ok());

/// Words of which every match of [`NAMED`] holds one.
static WORDS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("(?i:key|secret|token|passw|passphrase|pwd|credential)").ok());

/// Length from which a run is long enough to be a random token.
const SHORTEST_RUN: usize = 24;

/// Shortest text that can hold a secret.
const SHORTEST: usize = 12;

/// Bits per character from which a run counts as random; words and identifiers have less, tokens of 24 mixed characters more.
const RANDOM_BITS: f64 = 3.8;

fn find(text: &str, place: Place, found: &mut Vec<(usize, usize)>) {
    if text.len() < SHORTEST {
        return;
    }
    if let Some(shapes) = SHAPES.as_ref() {
        let starts_word = |at: usize| at == 0 || !is_word(text.as_bytes()[at - 1]) || text.as_bytes()[at] == b':';
        found.extend(shapes.find_iter(text).filter(|hit| starts_word(hit.start())).map(|hit| (hit.start(), hit.end())));
    }
    if place != Place::Identifier
        && let Some(named) = NAMED.as_ref()
    {
        let secrets = named.captures_iter(text).filter_map(|hit| hit.get(1)).filter(|secret| looks_chosen(secret.as_str()));
        found.extend(secrets.map(|secret| (secret.start(), secret.end())));
    }
    if place == Place::Free
        && let Some(runs) = RUNS.as_ref()
    {
        found.extend(runs.find_iter(text).filter(|run| looks_random(run.as_str())).map(|run| (run.start(), run.end())));
    }
    found.sort_unstable();
    found.dedup_by(|next, kept| {
        let inside = next.0 < kept.1;
        if inside {
            kept.1 = kept.1.max(next.1);
        }
        inside
    });
}

fn may_hold(signs: Signs, text: &str, place: Place) -> bool {
    if text.len() < SHORTEST {
        return false;
    }
    let is_free = place == Place::Free && signs.has(CAPITAL | SMALL | DIGIT) && text.len() >= SHORTEST_RUN;
    may_have_shape(signs, text) || (place != Place::Identifier && may_have_name(signs, text)) || (is_free && has_long_run(text))
}

/// Whether a text has a part that every match of one of [`SHAPES`] has.
fn may_have_shape(signs: Signs, text: &str) -> bool {
    let bytes = text.as_bytes();
    let begins = |first: u8, is_it: fn(&[u8]) -> bool| memchr_iter(first, bytes).any(|at| is_it(&bytes[at + 1..]));
    (signs.has(CAPITAL_A)
        && signs.has_one(CAPITAL_I | CAPITAL_O)
        && begins(b'A', |rest| [b"KIA", b"SIA", b"ROA", b"Iza"].iter().any(|part| rest.starts_with(*part))))
        || (signs.has(CAPITAL_S | CAPITAL_G | DOT) && begins(b'S', |rest| rest.starts_with(b"G.")))
        || (signs.has(SMALL_Y | CAPITAL_J) && begins(b'e', |rest| rest.starts_with(b"yJ")))
        || (signs.has(COLON | SLASH) && begins(b':', |rest| rest.starts_with(b"//")))
        || (signs.has(DASH) && signs.has_one(BEFORE_DASH | CAPITAL_G) && begins_token(b'-', bytes))
        || (signs.has(UNDERSCORE) && signs.has_one(BEFORE_UNDERSCORE) && begins_token(b'_', bytes))
        || (signs.has(BLANK | B) && memchr2_iter(b'b', b'B', bytes).any(|at| begins_with_bearer(&bytes[at..])))
}

fn begins_with_bearer(bytes: &[u8]) -> bool {
    bytes.get(..7).is_some_and(|word| word.eq_ignore_ascii_case(b"bearer "))
}

/// Whether a dash or an underscore stands where one of [`SHAPES`] has it, by the two characters before it.
fn begins_token(sign: u8, bytes: &[u8]) -> bool {
    let is_prefix = |at: usize| match bytes[at.saturating_sub(2)..=at] {
        [b's', b'k', b'-'] | [b'a', b't', b'-'] | [b'p', b'i', b'-'] | [b'-', b'-', b'-'] | [b'x', b'a'..=b's', b'-'] => true,
        [b'a', b't', b'_'] | [b'h', b'f', b'_'] | [b'p', b'm', b'_'] => true,
        [before, b'k', b'_'] => matches!(before, b'r' | b's' | b'p'),
        [b'h', kind, b'_'] => matches!(kind, b'p' | b'o' | b'u' | b's' | b'r'),
        _ => false,
    };
    memchr_iter(sign, bytes).any(is_prefix)
}

/// Whether a text has what every match of [`NAMED`] has: a digit or a special character, what stands between the name and the secret, and
/// the name.
fn may_have_name(signs: Signs, text: &str) -> bool {
    let has_is =
        || text.as_bytes().windows(4).any(|part| part[1] | 0x20 == b'i' && part[2] | 0x20 == b's' && part[0] <= b' ' && part[3] <= b' ');
    signs.has_one(DIGIT | SPECIAL | AT)
        && (signs.has_one(COLON | EQUALS | STRANGE) || (signs.has(BLANK) && has_is()))
        && WORDS.as_ref().is_some_and(|words| words.is_match(text))
}

/// Whether characters of tokens stand together long enough, with letters of both kinds and digits among them.
fn has_long_run(text: &str) -> bool {
    let bytes = text.as_bytes();
    // A run of that length cannot lie between two of these positions.
    let mut at = SHORTEST_RUN - 1;
    while at < bytes.len() {
        let before = bytes[..at].iter().rev().take_while(|byte| is_of_token(**byte)).count();
        let after = bytes[at..].iter().take_while(|byte| is_of_token(**byte)).count();
        let run = &bytes[at - if after > 0 { before } else { 0 }..at + after];
        let has = |is: fn(&u8) -> bool| run.iter().any(is);
        if run.len() >= SHORTEST_RUN && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit) {
            return true;
        }
        at += after.max(1) + SHORTEST_RUN - 1;
    }
    false
}

fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'/' | b'-')
}

/// Whether a word after "password is" may be one: not a word of prose, and no mark of an earlier pass.
fn looks_chosen(word: &str) -> bool {
    let has = |is: fn(&char) -> bool| word.chars().any(|letter| is(&letter));
    !word.starts_with('[')
        && has(char::is_ascii_alphabetic)
        && (has(char::is_ascii_digit) || word.chars().any(|letter| "!@#$%^*?".contains(letter)))
}

/// Whether a run is a random token: capital and small letters and several runs of digits, of high entropy. Identifiers of other kinds
/// (UUIDs, hexadecimal digests, ULIDs) lack one kind of letters.
fn looks_random(run: &str) -> bool {
    let bytes = run.as_bytes();
    let n_digit_runs = (0..bytes.len()).filter(|&at| bytes[at].is_ascii_digit() && (at == 0 || !bytes[at - 1].is_ascii_digit())).count();
    n_digit_runs >= 3
        && bytes.iter().any(u8::is_ascii_uppercase)
        && bytes.iter().any(u8::is_ascii_lowercase)
        && bits_per_character(bytes) >= RANDOM_BITS
}

/// Shannon's entropy of the characters.
fn bits_per_character(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let n = bytes.len() as f64;
    counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / n).map(|share| -share * share.log2()).sum()
}
