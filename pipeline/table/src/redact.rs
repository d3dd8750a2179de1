//! Takes personal data and secrets out of records before anything of them is parsed, stored or quoted.
//!
//! A record is cleaned as text: every string in it, keys and values, goes through the [`DETECTORS`] and the patterns of the settings, and
//! the texts of the keys in [`RedactSettings::hash`] become keyed hashes. What goes to quarantine is no proper record, so it is cleaned
//! once more as a whole.

mod email;
mod hash;
mod key;
mod phone;
mod strings;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use regex::Regex;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use self::hash::keyed_hash;
use self::strings::{Piece, rewrite};
use crate::json::Clean;

/// What is taken out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedactSettings {
    /// E-mail addresses become `[email]`.
    pub emails: bool,
    /// Telephone numbers become `[phone]`.
    pub phones: bool,
    /// Keys, tokens and passwords become `[key]`.
    pub keys: bool,
    /// Regular expressions whose matches become `[redacted]`.
    pub patterns: Vec<String>,
    /// Keys of the log whose texts become keyed hashes, such as `user_id`.
    pub hash: Vec<String>,
    /// Environment variable that holds the salt of these hashes.
    pub salt_variable: String,
}

impl Default for RedactSettings {
    fn default() -> Self {
        Self {
            emails: true,
            phones: true,
            keys: true,
            patterns: Vec::new(),
            hash: Vec::new(),
            salt_variable: "ROUTEWRIGHT_SALT".to_owned(),
        }
    }
}

/// Settings that cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// A pattern that is no regular expression.
    #[error("`{pattern}` is no regular expression")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: regex::Error,
    },
    /// A pattern that matches nothing at all, everywhere.
    #[error("`{pattern}` matches the empty text")]
    EmptyMatch {
        /// The pattern.
        pattern: String,
    },
    /// Hashes were asked for, and there is no salt.
    #[error("the environment variable `{variable}` holds no salt, which the hashes of `ingest.redact.hash` need")]
    NoSalt {
        /// The variable.
        variable: String,
    },
}

/// Where a text stands, as far as it matters for what it may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// People wrote it, or nobody knows who.
    Free,
    /// A program made it: an id, a time. Runs of digits and of mixed letters are what it is made of.
    Identifier,
    /// It names something that there are few of: a path, a model, a key. Runs of mixed letters are what models are called.
    Name,
}

/// One kind of secret.
struct Detector {
    /// Its name in settings and reports.
    name: &'static str,
    /// What takes its place.
    mark: &'static str,
    /// Whether the settings want it.
    wanted: fn(&RedactSettings) -> bool,
    /// Whether a record may hold it at all: a fast look at the whole, so that most records need no slow one at their parts.
    may_hold: fn(&str) -> bool,
    /// Byte ranges that hold it, in order, none inside another.
    find: fn(&str, Place, &mut Vec<(usize, usize)>),
}

/// Every kind of secret; keys first, since a password in an address of a server looks like part of an e-mail address.
const DETECTORS: &[Detector] = &[key::DETECTOR, email::DETECTOR, phone::DETECTOR];

/// Name in the counts of matches of the settings' own patterns.
const PATTERNS: &str = "patterns";
/// Name in the counts of hashed texts.
const HASHED: &str = "hash";
/// What takes the place of a match of the settings' own patterns.
const MARK: &str = "[redacted]";

/// How often what was taken out, by name of the setting.
pub(crate) type RedactCounts = BTreeMap<&'static str, u64>;

/// Takes out what some settings name.
#[derive(Clone)]
pub struct Redactor {
    settings: RedactSettings,
    patterns: Vec<Regex>,
    /// One per key that is hashed: finds it in text that is no JSON.
    hashed_in_text: Vec<Regex>,
    salt: Vec<u8>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The salt is nobody's business; its mark tells whether it is another one.
        let salt = if self.salt.is_empty() { String::new() } else { keyed_hash(&self.salt, "salt") };
        out.debug_tuple("Redactor").field(&self.settings).field(&salt).finish()
    }
}

impl PartialEq for Redactor {
    fn eq(&self, other: &Self) -> bool {
        (&self.settings, &self.salt) == (&other.settings, &other.salt)
    }
}

impl Redactor {
    /// Checks the settings. `salt`: what the variable [`RedactSettings::salt_variable`] holds.
    ///
    /// # Errors
    /// [`RedactError`] for a pattern that cannot be used, and for hashes without a salt.
    pub fn new(settings: &RedactSettings, salt: Option<&str>) -> Result<Self, RedactError> {
        let mut patterns = Vec::new();
        for pattern in &settings.patterns {
            let regex = Regex::new(pattern).map_err(|source| RedactError::Pattern { pattern: pattern.clone(), source })?;
            if regex.is_match("") {
                return Err(RedactError::EmptyMatch { pattern: pattern.clone() });
            }
            patterns.push(regex);
        }
        let salt = salt.unwrap_or_default();
        if !settings.hash.is_empty() && salt.is_empty() {
            return Err(RedactError::NoSalt { variable: settings.salt_variable.clone() });
        }
        let in_text = |key: &String| {
            let pattern = format!(r#"{}["'\\\s]*[:=]["'\\\s]*([^"',;}}\]\s\\]+)"#, regex::escape(key));
            Regex::new(&pattern).map_err(|source| RedactError::Pattern { pattern, source })
        };
        let hashed_in_text = settings.hash.iter().map(in_text).collect::<Result<_, _>>()?;
        Ok(Self { settings: settings.clone(), patterns, hashed_in_text, salt: salt.as_bytes().to_vec() })
    }

    /// Cleans the strings of a record, keys and values; the text stays JSON where it was.
    pub(crate) fn record<'t>(&self, text: &'t str, counts: &mut RedactCounts) -> Cow<'t, str> {
        let detectors = self.detectors(text);
        if detectors.is_empty() && self.patterns.is_empty() && self.settings.hash.is_empty() {
            return Cow::Borrowed(text);
        }
        rewrite(text, &mut |piece| match piece {
            Piece::Key(key) => self.text(key, Place::Name, &detectors, counts),
            Piece::Value { key, value } if self.settings.hash.iter().any(|hashed| hashed == key) => self.hashed(value, counts),
            Piece::Value { key, value } => self.text(value, place_of(key), &detectors, counts),
        })
    }

    /// Cleans the texts of records while they are parsed.
    pub(crate) fn cleaner(&self) -> Cleaner<'_> {
        let detectors = DETECTORS.iter().filter(|detector| (detector.wanted)(&self.settings)).collect();
        let (keys, known) = (Vec::new(), vec![None; KNOWN]);
        Cleaner { redactor: self, detectors, counts: RedactCounts::new(), keys, next_key: 0, known }
    }

    /// The wanted detectors that may find something in a record.
    fn detectors(&self, text: &str) -> Vec<&'static Detector> {
        // An escape may hide anything.
        let has_escapes = text.contains("\\u");
        let may_find = |detector: &&Detector| (detector.wanted)(&self.settings) && (has_escapes || (detector.may_hold)(text));
        DETECTORS.iter().filter(may_find).collect()
    }

    /// Cleans text that may be anything: as a record, then as one text.
    pub(crate) fn anything<'t>(&self, text: &'t str, counts: &mut RedactCounts) -> Cow<'t, str> {
        let strings = self.record(text, counts);
        let detectors = self.detectors(&strings);
        let mut cleaned = match self.text(&strings, Place::Free, &detectors, counts) {
            Some(cleaned) => Cow::Owned(cleaned),
            None => strings,
        };
        for regex in &self.hashed_in_text {
            let replaced = regex.replace_all(&cleaned, |found: &regex::Captures<'_>| {
                let (whole, value) = (&found[0], &found[1]);
                match self.hashed(value, counts) {
                    Some(hash) => whole.replace(value, &hash),
                    None => whole.to_owned(),
                }
            });
            if let Cow::Owned(replaced) = replaced {
                cleaned = Cow::Owned(replaced);
            }
        }
        cleaned
    }

    /// The keyed hash of a text; nothing where it is one already, or empty.
    fn hashed(&self, value: &str, counts: &mut RedactCounts) -> Option<String> {
        if value.is_empty() || hash::is_hash(value) {
            return None;
        }
        *counts.entry(HASHED).or_default() += 1;
        Some(keyed_hash(&self.salt, value))
    }

    /// A text without what the settings name; nothing where it holds none of it.
    fn text(&self, text: &str, place: Place, detectors: &[&Detector], counts: &mut RedactCounts) -> Option<String> {
        let mut cleaned: Option<String> = None;
        let mut found = Vec::new();
        for detector in detectors {
            (detector.find)(cleaned.as_deref().unwrap_or(text), place, &mut found);
            replace(&mut cleaned, text, &mut found, detector.mark, counts.entry(detector.name));
        }
        for regex in &self.patterns {
            let current = cleaned.as_deref().unwrap_or(text);
            found
                .extend(regex.find_iter(current).filter(|hit| hit.as_str() != MARK && !hit.is_empty()).map(|hit| (hit.start(), hit.end())));
            replace(&mut cleaned, text, &mut found, MARK, counts.entry(PATTERNS));
        }
        cleaned
    }
}

/// Cleans the texts of many records. Most texts of a log are its keys and a few words that come again and again: those that held nothing
/// are remembered.
pub(crate) struct Cleaner<'r> {
    redactor: &'r Redactor,
    detectors: Vec<&'static Detector>,
    /// What was taken out of the record at hand.
    counts: RedactCounts,
    /// Harmless keys of the first record in their order, which is that of most records; the one that is expected next.
    keys: Vec<Box<str>>,
    next_key: usize,
    /// Texts that hold nothing wherever they stand, each in the place that its digest gives.
    known: Vec<Option<Box<str>>>,
}

/// Texts that a [`Cleaner`] remembers, a power of two, and the length of the longest.
const KNOWN: usize = 512;
const LONGEST_KNOWN: usize = 64;

/// Keys that a record may leave out between two that are expected.
const LEFT_OUT: usize = 8;

impl Cleaner<'_> {
    /// Ends a record: what was taken out of it.
    pub(crate) fn end_record(&mut self) -> RedactCounts {
        self.next_key = 0;
        std::mem::take(&mut self.counts)
    }

    fn is_clean_anywhere(&self, text: &str) -> bool {
        self.redactor.text(text, Place::Free, &self.detectors, &mut RedactCounts::new()).is_none()
    }

    fn clean(&mut self, text: &str, place: Place) -> Option<String> {
        let redactor = self.redactor;
        if redactor.patterns.is_empty() && is_harmless(text, place) {
            return None;
        }
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
}

impl Clean for Cleaner<'_> {
    fn known_key(&mut self, text: &str) -> Option<usize> {
        let is_at = |known: &str| text.as_bytes().get(known.len()) == Some(&b'"') && text.as_bytes().starts_with(known.as_bytes());
        let (left_out, known) = self.keys.iter().skip(self.next_key).take(LEFT_OUT).enumerate().find(|(_, known)| is_at(known))?;
        self.next_key += left_out + 1;
        Some(known.len())
    }

    fn key(&mut self, key: &str) -> Option<String> {
        let cleaned = self.clean(key, Place::Name);
        // What JSON escapes is written otherwise than it reads.
        let is_plain = key.bytes().all(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20));
        if cleaned.is_none() && is_plain && self.next_key == self.keys.len() && self.keys.len() < KNOWN {
            self.keys.push(key.into());
            self.next_key += 1;
        }
        cleaned
    }

    fn text(&mut self, key: &str, text: &str) -> Option<String> {
        let redactor = self.redactor;
        if redactor.settings.hash.iter().any(|hashed| hashed == key) {
            return redactor.hashed(text, &mut self.counts);
        }
        self.clean(text, place_of(key))
    }
}

/// Whether one look shows that a text holds none of [`DETECTORS`]. A short one: too short for a key, too few digits for a telephone
/// number, and no address. An identifier: hardly any letter but those of hexadecimal digits and times.
fn is_harmless(text: &str, place: Place) -> bool {
    let bytes = text.bytes();
    if text.len() < key::SHORTEST {
        let weight = |byte: u8| if byte == b'@' { phone::MIN_DIGITS } else { usize::from(byte.is_ascii_digit()) };
        return bytes.map(weight).sum::<usize>() < phone::MIN_DIGITS;
    }
    place == Place::Identifier && bytes.map(|byte| usize::from(STRANGENESS[usize::from(byte)])).sum::<usize>() < 2
}

/// What every byte says against an identifier: whatever a detector finds in one has bytes that sum up to 2.
const STRANGENESS: [u8; 256] = {
    let mut strangeness = [1; 256];
    let usual = b"0123456789abcdefTZ-:. ";
    let mut at = 0;
    while at < usual.len() {
        strangeness[usual[at] as usize] = 0;
        at += 1;
    }
    // An address, an international telephone number, a password in the address of a server.
    strangeness[b'@' as usize] = 2;
    strangeness[b'+' as usize] = 2;
    strangeness[b'/' as usize] = 2;
    strangeness
};

/// Puts a mark in the place of every range, counts and forgets the ranges.
fn replace(
    cleaned: &mut Option<String>,
    text: &str,
    found: &mut Vec<(usize, usize)>,
    mark: &str,
    count: std::collections::btree_map::Entry<'_, &'static str, u64>,
) {
    if found.is_empty() {
        return;
    }
    *count.or_default() += found.len() as u64;
    let current = cleaned.as_deref().unwrap_or(text);
    let mut out = String::with_capacity(current.len());
    let mut at = 0;
    for (start, end) in found.drain(..) {
        out.push_str(&current[at..start]);
        out.push_str(mark);
        at = end;
    }
    out.push_str(&current[at..]);
    *cleaned = Some(out);
}

/// Keys whose texts are names, in every format.
const NAMES: &[&str] = &[
    "execution_path",
    "static_path",
    "optimal_path",
    "candidates",
    "alternative",
    "policy_id",
    "tool_name",
    "selected_master",
    "user_corrected_to",
    "should_have_routed_to",
    "model",
];

/// What a key says about its value: times and ids are made by programs, paths and models are called by names.
fn place_of(key: &str) -> Place {
    if NAMES.contains(&key) {
        Place::Name
    } else if key == "timestamp" || key == "id" || key.ends_with("_id") {
        Place::Identifier
    } else {
        Place::Free
    }
}

/// Bytes that a word is made of, for the check that a match does not stand inside a longer one.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests;
