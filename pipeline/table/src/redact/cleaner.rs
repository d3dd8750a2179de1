//! Cleans the texts of records while they are parsed: most hold nothing, which one look at their bytes shows.

use std::collections::HashMap;
use std::sync::LazyLock;

use memchr::memmem;
use xxhash_rust::xxh3::xxh3_64;

use super::{DETECTORS, Detector, Place, RedactCounts, Redactor, key, phone, place_of};
use crate::bytes::begins_with;
use crate::json::Clean;

/// Cleans the texts of many records. Most texts of a log are its keys and a few words that come again and again: those that held nothing
/// are remembered.
pub(crate) struct Cleaner<'r> {
    redactor: &'r Redactor,
    detectors: Vec<&'static Detector>,
    /// What was taken out of the record at hand.
    counts: RedactCounts,
    /// Harmless keys, and their places by name.
    keys: Vec<KnownKey>,
    places: HashMap<Box<str>, u16>,
    /// Keys that were seen to follow the start of a record, and every key; and which of these stood there last.
    followers: Vec<Followers>,
    last: usize,
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

/// A key that stays as it is.
struct KnownKey {
    name: Box<str>,
    says: KeySays,
    /// How it begins in a record, the quote behind it included, and the bits of that which count.
    head: u64,
    mask: u64,
}

/// Bytes of [`KnownKey::head`].
const HEAD: usize = 8;

impl KnownKey {
    fn new(name: &str, says: KeySays) -> Self {
        let length = HEAD.min(name.len() + 1);
        let mut head = [0; HEAD];
        let mut mask = [0; HEAD];
        head.iter_mut().zip(name.bytes().chain([b'"'])).for_each(|(slot, byte)| *slot = byte);
        mask[..length].fill(u8::MAX);
        Self { name: name.into(), says, head: u64::from_ne_bytes(head), mask: u64::from_ne_bytes(mask) }
    }

    /// Whether a record goes on with it and a quote.
    #[inline]
    fn begins(&self, rest: &[u8]) -> bool {
        let n_bytes = self.name.len();
        match rest.first_chunk::<HEAD>() {
            Some(head) if (u64::from_ne_bytes(*head) ^ self.head) & self.mask != 0 => false,
            Some(_) if n_bytes < HEAD => true,
            _ => rest.get(n_bytes) == Some(&b'"') && begins_with(rest, self.name.as_bytes()),
        }
    }
}

/// Texts that a [`Cleaner`] remembers, a power of two, and the length of the longest.
const KNOWN: usize = 512;
const LONGEST_KNOWN: usize = 64;

/// Keys that were seen behind another, the last one first: most records of a log have their keys in one of a few orders.
type Followers = [u16; 6];

/// Stands for no key: there are no more than [`KNOWN`].
const NO_KEY: u16 = u16::MAX;

/// Length of the shortest text that a detector finds something in: the e-mail address `a@b.cd`.
const SHORTEST: usize = 6;

impl<'r> Cleaner<'r> {
    pub(super) fn new(redactor: &'r Redactor) -> Self {
        let detectors = DETECTORS.iter().filter(|detector| (detector.wanted)(&redactor.settings)).collect();
        Self {
            redactor,
            detectors,
            counts: RedactCounts::new(),
            keys: Vec::new(),
            places: HashMap::new(),
            followers: vec![[NO_KEY; _]],
            last: 0,
            known: vec![None; KNOWN],
        }
    }

    /// Ends a record: what was taken out of it.
    pub(crate) fn end_record(&mut self) -> RedactCounts {
        self.last = 0;
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

    /// Goes on to a key, and remembers that it stood behind the last one.
    fn follow(&mut self, place: u16) {
        let followers = &mut self.followers[self.last];
        followers.rotate_right(1);
        followers[0] = place;
        self.last = usize::from(place) + 1;
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
        for &place in &self.followers[self.last] {
            let Some(known) = self.keys.get(usize::from(place)) else { break };
            if known.begins(text.as_bytes()) {
                self.last = usize::from(place) + 1;
                return Some((known.name.len(), known.says));
            }
        }
        None
    }

    fn key(&mut self, key: &str) -> (Option<String>, KeySays) {
        if let Some(&place) = self.places.get(key) {
            self.follow(place);
            return (None, self.keys[usize::from(place)].says);
        }
        let cleaned = self.clean(key, Place::Name);
        let says = self.says(cleaned.as_deref().unwrap_or(key));
        // What JSON escapes is written otherwise than it reads.
        let is_plain = key.bytes().all(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20));
        if cleaned.is_none() && is_plain && self.keys.len() < KNOWN {
            let place = self.keys.len() as u16;
            self.keys.push(KnownKey::new(key, says));
            self.places.insert(key.into(), place);
            self.followers.push([NO_KEY; _]);
            self.follow(place);
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
    let hints = [CAPITAL_A | CAPITAL_IRS, CAPITAL_IRS | CAPITAL_G | DOT, CAPITAL_J | LETTER_Y, COLON | SLASH];
    let has_prefix = has_one(DASH | UNDERSCORE) && key::may_have_prefix(text);
    if hints.into_iter().any(has) || has_prefix || (has_one(BLANK) && BEARER.find(text.as_bytes()).is_some()) {
        return true;
    }
    let may_be_random = place == Place::Free && has(CAPITAL | SMALL | DIGIT) && text.len() >= key::SHORTEST_RUN;
    // A secret after its name has a digit or a special character, and what stands between both.
    let may_be_named = place != Place::Identifier && has_one(DIGIT | SPECIAL) && has_one(COLON | EQUALS | BLANK);
    may_be_random || (may_be_named && key::has_name(text))
}

/// End of the word before a token. In capitals it has those of other hints.
static BEARER: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new("earer "));

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
const LETTER_Y: u32 = 1 << 18;
const STRANGE: u32 = 1 << 19;

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
            b'B'..=b'Z' => CAPITAL,
            b'y' => SMALL | LETTER_Y,
            b'a'..=b'z' => SMALL,
            0x80.. => STRANGE,
            _ => 0,
        };
        byte += 1;
    }
    signs
};
