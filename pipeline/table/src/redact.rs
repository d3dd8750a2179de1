//! Takes personal data and secrets out of records before anything of them is parsed, stored or quoted.
//!
//! A record is cleaned as text: every string in it, keys and values, goes through the [`DETECTORS`] and the patterns of the settings, and
//! the texts of the keys in [`RedactSettings::hash`] become keyed hashes. What goes to quarantine is no proper record, so it is cleaned
//! once more as a whole.

mod cleaner;
mod email;
mod hash;
mod key;
mod phone;
mod signs;
mod strings;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use regex::Regex;
use serde::{Deserialize, Serialize};

use self::hash::keyed_hash;
use self::signs::Signs;
use self::strings::{Piece, rewrite};

pub(crate) use self::cleaner::{Cleaner, KeySays};

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
pub(crate) enum Place {
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
    /// Whether a text may hold it, by the bytes that all of them have: a fast look, so that most texts need no slow one.
    may_hold: fn(Signs, &str, Place) -> bool,
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

    /// Whether the settings name anything at all.
    pub fn takes_out_anything(&self) -> bool {
        let RedactSettings { emails, phones, keys, patterns, hash, .. } = &self.settings;
        *emails || *phones || *keys || !patterns.is_empty() || !hash.is_empty()
    }

    /// Cleans the strings of a record, keys and values; the text stays JSON where it was.
    pub(crate) fn record<'t>(&self, text: &'t str, counts: &mut RedactCounts) -> Cow<'t, str> {
        rewrite(text, &mut |piece| match piece {
            Piece::Key(key) => self.text(key, Place::Name, counts),
            Piece::Value { key, value } if self.settings.hash.iter().any(|hashed| hashed == key) => self.hashed(value, counts),
            Piece::Value { key, value } => self.text(value, place_of(key), counts),
        })
    }

    /// Cleans text that may be anything: as a record, then as one text.
    pub(crate) fn anything<'t>(&self, text: &'t str, counts: &mut RedactCounts) -> Cow<'t, str> {
        let strings = self.record(text, counts);
        let mut cleaned = match self.text(&strings, Place::Free, counts) {
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
    fn text(&self, text: &str, place: Place, counts: &mut RedactCounts) -> Option<String> {
        let signs = Signs::of(text);
        self.search(text, place, counts, |detector| (detector.may_hold)(signs, text, place))
    }

    /// As [`Self::text`], with the detectors that are asked for.
    fn search(&self, text: &str, place: Place, counts: &mut RedactCounts, is_asked: impl Fn(&Detector) -> bool) -> Option<String> {
        let mut cleaned: Option<String> = None;
        let mut found = Vec::new();
        for detector in DETECTORS.iter().filter(|detector| (detector.wanted)(&self.settings) && is_asked(detector)) {
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

/// Whether one of [`DETECTORS`] may find something in a text.
#[inline]
fn may_hold(text: &str, place: Place) -> bool {
    let signs = Signs::of(text);
    DETECTORS.iter().any(|detector| (detector.may_hold)(signs, text, place))
}

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
