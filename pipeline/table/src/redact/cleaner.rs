//! Cleans the texts of records while they are parsed: most hold nothing, which one look at their bytes shows.

use memchr::memmem;
use xxhash_rust::xxh3::xxh3_64;

use super::{DETECTORS, Detector, Place, RedactCounts, Redactor, key, phone, place_of};
use crate::json::Clean;

/// Cleans the texts of many records. Most texts of a log are its keys and a few words that come again and again: those that held nothing
/// are remembered.
pub(crate) struct Cleaner<'r> {
    redactor: &'r Redactor,
    detectors: Vec<&'static Detector>,
    /// What was taken out of the record at hand.
    counts: RedactCounts,
    /// Harmless keys of the first record in their order, which is that of most records; the one that is expected next.
    keys: Vec<(Box<str>, KeySays)>,
    next_key: usize,
    /// Texts that hold nothing wherever they stand, each in the place that its digest gives.
    known: Vec<Option<Box<str>>>,
}

/// What a key says about the texts that stand under it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeySays {
    /// They become hashes.
    Hashed,
    /// They are searched as texts of that place are.
    Searched(Place),
}

/// Texts that a [`Cleaner`] remembers, a power of two, and the length of the longest.
const KNOWN: usize = 512;
const LONGEST_KNOWN: usize = 64;

/// Keys that a record may leave out between two that are expected.
const LEFT_OUT: usize = 8;

/// Length of the shortest text that a detector finds something in: the e-mail address `a@b.cd`.
const SHORTEST: usize = 6;

impl<'r> Cleaner<'r> {
    pub(super) fn new(redactor: &'r Redactor) -> Self {
        let detectors = DETECTORS.iter().filter(|detector| (detector.wanted)(&redactor.settings)).collect();
        Self { redactor, detectors, counts: RedactCounts::new(), keys: Vec::new(), next_key: 0, known: vec![None; KNOWN] }
    }

    /// Ends a record: what was taken out of it.
    pub(crate) fn end_record(&mut self) -> RedactCounts {
        self.next_key = 0;
        std::mem::take(&mut self.counts)
    }

    fn is_clean_anywhere(&self, text: &str) -> bool {
        self.redactor.text(text, Place::Free, &self.detectors, &mut RedactCounts::new()).is_none()
    }

    fn clean(&mut self, text: &str, place: Place) -> Option<String> {
        if self.redactor.patterns.is_empty() && (text.len() < SHORTEST || !may_hold(text, place)) {
            return None;
        }
        self.search(text, place)
    }

    fn search(&mut self, text: &str, place: Place) -> Option<String> {
        let redactor = self.redactor;
        if place == Place::Identifier || text.len() > LONGEST_KNOWN {
            return redactor.text(text, place, &self.detectors, &mut self.counts);
        }
        let at = xxh3_64(text.as_bytes()) as usize % KNOWN;
        if self.known[at].as_deref() == Some(text) {
            return None;
        }
        let cleaned = redactor.text(text, place, &self.detectors, &mut self.counts);
        // A name may be no secret only because it is one.
        if cleaned.is_none() && (place == Place::Free || self.is_clean_anywhere(text)) {
            self.known[at] = Some(text.into());
        }
        cleaned
    }

    fn says(&self, key: &str) -> KeySays {
        if self.redactor.settings.hash.iter().any(|hashed| hashed == key) { KeySays::Hashed } else { KeySays::Searched(place_of(key)) }
    }
}

impl Clean for Cleaner<'_> {
    type Key = KeySays;

    fn no_key(&self) -> KeySays {
        self.says("")
    }

    fn known_key(&mut self, text: &str) -> Option<(usize, KeySays)> {
        let is_at = |known: &str| text.as_bytes().get(known.len()) == Some(&b'"') && text.as_bytes().starts_with(known.as_bytes());
        let (left_out, (known, says)) =
            self.keys.iter().skip(self.next_key).take(LEFT_OUT).enumerate().find(|(_, (known, _))| is_at(known))?;
        self.next_key += left_out + 1;
        Some((known.len(), *says))
    }

    fn key(&mut self, key: &str) -> (Option<String>, KeySays) {
        let cleaned = self.clean(key, Place::Name);
        let says = self.says(cleaned.as_deref().unwrap_or(key));
        // What JSON escapes is written otherwise than it reads.
        let is_plain = key.bytes().all(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20));
        if cleaned.is_none() && is_plain && self.next_key == self.keys.len() && self.keys.len() < KNOWN {
            self.keys.push((key.into(), says));
            self.next_key += 1;
        }
        (cleaned, says)
    }

    fn text(&mut self, key: KeySays, text: &str) -> Option<String> {
        match key {
            KeySays::Hashed => self.redactor.hashed(text, &mut self.counts),
            KeySays::Searched(place) => self.clean(text, place),
        }
    }
}

/// Whether a text may hold something that one of [`DETECTORS`] finds, by the bytes that everything they find has.
fn may_hold(text: &str, place: Place) -> bool {
    let (mut signs, mut n_digits) = (0, 0);
    for byte in text.bytes() {
        let sign = SIGNS[usize::from(byte)];
        signs |= sign;
        n_digits += usize::from(sign & DIGIT != 0);
    }
    let has = |wanted: u32| signs & wanted == wanted;
    let has_one = |wanted: u32| signs & wanted != 0;
    // What is no ASCII may stand for a letter, a digit or a blank.
    if has_one(AT | STRANGE) {
        return true;
    }
    let separates = if place == Place::Identifier { PLUS | OPEN } else { PLUS | OPEN | DASH | DOT | BLANK | SLASH };
    if n_digits >= phone::MIN_DIGITS && has_one(separates) {
        return true;
    }
    if text.len() < key::SHORTEST {
        return false;
    }
    let hints = [
        UNDERSCORE,
        CAPITAL_A | CAPITAL_IRS,
        CAPITAL_IRS | CAPITAL_G | DOT,
        CAPITAL_J | LETTER_Y,
        CAPITAL_B | DASH,
        LETTER_G | DASH,
        LETTER_K | DASH,
        LETTER_Y | DASH,
        LETTER_X | LETTER_O,
        COLON | SLASH,
    ];
    if hints.into_iter().any(has)
        || (has_one(BLANK) && [BEARER, BEARER_IN_CAPITALS].iter().any(|word| memmem::find(text.as_bytes(), word).is_some()))
    {
        return true;
    }
    // A secret after its name has a digit or a special character, and what stands between both.
    let may_be_named = place != Place::Identifier && has_one(DIGIT | SPECIAL) && has_one(COLON | EQUALS | BLANK);
    let may_be_random = place == Place::Free && has(CAPITAL | SMALL | DIGIT) && text.len() >= key::SHORTEST_RUN;
    may_be_named || may_be_random
}

/// Ends of the word before a token.
const BEARER: &[u8] = b"earer ";
const BEARER_IN_CAPITALS: &[u8] = b"EARER ";

const AT: u32 = 1;
const PLUS: u32 = 1 << 1;
const OPEN: u32 = 1 << 2;
const DASH: u32 = 1 << 3;
const DOT: u32 = 1 << 4;
const SLASH: u32 = 1 << 5;
const COLON: u32 = 1 << 6;
const EQUALS: u32 = 1 << 7;
const BLANK: u32 = 1 << 8;
const UNDERSCORE: u32 = 1 << 9;
const SPECIAL: u32 = 1 << 10;
const DIGIT: u32 = 1 << 11;
const CAPITAL: u32 = 1 << 12;
const SMALL: u32 = 1 << 13;
const CAPITAL_A: u32 = 1 << 14;
const CAPITAL_IRS: u32 = 1 << 15;
const CAPITAL_G: u32 = 1 << 16;
const CAPITAL_J: u32 = 1 << 17;
const CAPITAL_B: u32 = 1 << 18;
const LETTER_G: u32 = 1 << 19;
const LETTER_K: u32 = 1 << 20;
const LETTER_Y: u32 = 1 << 21;
const LETTER_X: u32 = 1 << 22;
const LETTER_O: u32 = 1 << 23;
const STRANGE: u32 = 1 << 24;

/// What every byte may be a part of.
const SIGNS: [u32; 256] = {
    let mut signs = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        signs[byte] = match byte as u8 {
            b'@' => AT,
            b'+' => PLUS,
            b'(' => OPEN,
            b'-' => DASH,
            b'.' => DOT,
            b'/' => SLASH,
            b':' => COLON,
            b'=' => EQUALS,
            b' ' | b'\t'..=b'\r' => BLANK,
            b'_' => UNDERSCORE,
            b'!' | b'#' | b'$' | b'%' | b'^' | b'*' | b'?' => SPECIAL,
            b'0'..=b'9' => DIGIT,
            b'A' => CAPITAL | CAPITAL_A,
            b'I' | b'R' | b'S' => CAPITAL | CAPITAL_IRS,
            b'G' => CAPITAL | CAPITAL_G,
            b'J' => CAPITAL | CAPITAL_J,
            b'B' => CAPITAL | CAPITAL_B,
            b'C'..=b'Z' => CAPITAL,
            b'g' => SMALL | LETTER_G,
            b'k' => SMALL | LETTER_K,
            b'y' => SMALL | LETTER_Y,
            b'x' => SMALL | LETTER_X,
            b'o' => SMALL | LETTER_O,
            b'a'..=b'z' => SMALL,
            0x80.. => STRANGE,
            _ => 0,
        };
        byte += 1;
    }
    signs
};
