//! Cleans the texts of records while they are parsed: most hold nothing, which one look at their bytes shows.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

use super::{Place, RedactCounts, Redactor, may_hold, place_of};
use crate::bytes::begins_with;
use crate::json::Clean;

/// Cleans the texts of many records. Most texts of a log are its keys and a few words that come again and again: those that held nothing
/// are remembered.
pub(crate) struct Cleaner<'r> {
    /// Nothing where nothing is to be taken out.
    redactor: Option<&'r Redactor>,
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
    pub(crate) fn new(redactor: Option<&'r Redactor>) -> Self {
        Self {
            redactor,
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

    fn clean(&mut self, text: &str, place: Place) -> Option<String> {
        let redactor = self.redactor?;
        if redactor.patterns.is_empty() && (text.len() < SHORTEST || !may_hold(text, place)) {
            return None;
        }
        self.search(redactor, text, place)
    }

    fn search(&mut self, redactor: &Redactor, text: &str, place: Place) -> Option<String> {
        if place == Place::Identifier || text.len() > LONGEST_KNOWN {
            return redactor.text(text, place, &mut self.counts);
        }
        let at = xxh3_64(text.as_bytes()) as usize % KNOWN;
        if self.known[at].as_deref() == Some(text) {
            return None;
        }
        let cleaned = redactor.text(text, place, &mut self.counts);
        // A name may be no secret only because it is one.
        let is_clean_anywhere = || redactor.text(text, Place::Free, &mut RedactCounts::new()).is_none();
        if cleaned.is_none() && (place == Place::Free || is_clean_anywhere()) {
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
        let is_hashed = self.redactor.is_some_and(|redactor| redactor.settings.hash.iter().any(|hashed| hashed == key));
        if is_hashed { KeySays::Hashed } else { KeySays::Searched(place_of(key)) }
    }

    /// What a key says, where it is one that stays. It was counted before.
    pub(crate) fn says_of(&mut self, key: &str) -> Option<KeySays> {
        let counts = std::mem::take(&mut self.counts);
        let stays = self.places.contains_key(key) || self.clean(key, Place::Name).is_none();
        self.counts = counts;
        stays.then(|| self.says(key))
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
            KeySays::Hashed => self.redactor?.hashed(text, &mut self.counts),
            KeySays::Searched(place) => self.clean(text, place),
        }
    }
}
