//! The parser of records. Reading JSON is most of what ingest does, and building values by way of serde cost three times as much, with
//! serde_json and with sonic-rs alike; the tests hold it against serde_json.

use bumpalo::{Bump, collections};

use super::{Clean, Json};
use crate::bytes::begins_with;

/// Parses one text from its start to its end.
pub(crate) struct Parser<'a, 'c, C> {
    text: &'a str,
    at: usize,
    arena: &'a Bump,
    clean: &'c mut C,
    /// Items of the lists, and pairs of the objects, that are being read.
    items: collections::Vec<'a, Json<'a>>,
    pairs: collections::Vec<'a, (&'a str, Json<'a>)>,
    depth: usize,
    max_depth: usize,
}

impl<'a, 'c, C: Clean> Parser<'a, 'c, C> {
    pub(crate) fn new(text: &'a str, arena: &'a Bump, max_depth: usize, clean: &'c mut C) -> Self {
        Self {
            text,
            at: 0,
            arena,
            clean,
            items: collections::Vec::new_in(arena),
            pairs: collections::Vec::new_in(arena),
            depth: 0,
            max_depth,
        }
    }

    /// The value, or nothing where the text is no JSON.
    pub(super) fn parse(mut self) -> Option<Json<'a>> {
        self.pairs.reserve(32);
        let value = self.value(self.clean.no_key())?;
        self.skip_blanks();
        (self.at == self.text.len()).then_some(value)
    }

    /// Where it is.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Whether some bytes come next.
    #[inline]
    pub(crate) fn is_before(&self, bytes: &[u8]) -> bool {
        self.text.as_bytes().get(self.at..).is_some_and(|rest| begins_with(rest, bytes))
    }

    /// Goes on behind bytes that come next.
    pub(crate) fn pass(&mut self, n_bytes: usize) {
        self.at += n_bytes;
    }

    /// Whether everything was read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// The next byte that is no blank, which is not passed.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        self.skip_blanks();
        self.byte()
    }

    /// Whether an empty list comes next.
    pub(crate) fn begins_empty_list(&self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        rest.strip_prefix('[').is_some_and(|rest| rest.trim_start_matches([' ', '\n', '\r', '\t']).starts_with(']'))
    }

    /// The value that comes next, inside of as many lists and objects.
    #[inline]
    pub(crate) fn value_at(&mut self, depth: usize, key: C::Key) -> Option<Json<'a>> {
        self.depth = depth;
        self.value(key)
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
    }

    /// The next byte that is no blank, which is passed.
    #[inline]
    pub(crate) fn mark(&mut self) -> Option<u8> {
        let mut byte = self.byte()?;
        // Programs write few blanks.
        if byte <= b' ' {
            self.skip_blanks();
            byte = self.byte()?;
        }
        self.at += 1;
        Some(byte)
    }

    /// The value that comes next.
    pub(crate) fn value(&mut self, key: C::Key) -> Option<Json<'a>> {
        match self.mark()? {
            b'"' => {
                let text = self.string()?;
                let changed = self.clean.text(key, text);
                Some(Json::Text(changed.map_or(text, |changed| self.arena.alloc_str(&changed))))
            }
            b'{' => self.object(),
            b'[' => self.list(key),
            b't' => self.word("rue", Json::Bool(true)),
            b'f' => self.word("alse", Json::Bool(false)),
            b'n' => self.word("ull", Json::Null),
            b'-' | b'0'..=b'9' => {
                self.at -= 1;
                self.number()
            }
            _ => None,
        }
    }

    fn word(&mut self, rest: &str, value: Json<'a>) -> Option<Json<'a>> {
        let is_it = self.text.as_bytes()[self.at..].starts_with(rest.as_bytes());
        self.at += rest.len();
        is_it.then_some(value)
    }

    fn object(&mut self) -> Option<Json<'a>> {
        self.enter()?;
        let first = self.pairs.len();
        let mut mark = self.mark()?;
        if mark != b'}' {
            loop {
                if mark != b'"' {
                    return None;
                }
                let (key, says) = self.key()?;
                if self.mark()? != b':' {
                    return None;
                }
                let value = self.value(says)?;
                self.pairs.push((key, value));
                match self.mark()? {
                    b',' => mark = self.mark()?,
                    b'}' => break,
                    _ => return None,
                }
            }
        }
        self.depth -= 1;
        let pairs = self.arena.alloc_slice_copy(&self.pairs[first..]);
        self.pairs.truncate(first);
        Some(Json::Object(pairs))
    }

    /// A key whose first quote was passed.
    fn key(&mut self) -> Option<(&'a str, C::Key)> {
        let rest = self.text.get(self.at..)?;
        if let Some((length, says)) = self.clean.known_key(rest) {
            self.at += length + 1;
            return Some((rest.get(..length)?, says));
        }
        let key = self.string()?;
        let (changed, says) = self.clean.key(key);
        Some((changed.map_or(key, |changed| self.arena.alloc_str(&changed)), says))
    }

    fn list(&mut self, key: C::Key) -> Option<Json<'a>> {
        self.enter()?;
        let first = self.items.len();
        self.skip_blanks();
        if self.byte()? == b']' {
            self.at += 1;
        } else {
            loop {
                let item = self.value(key)?;
                self.items.push(item);
                match self.mark()? {
                    b',' => {}
                    b']' => break,
                    _ => return None,
                }
            }
        }
        self.depth -= 1;
        let items = self.arena.alloc_slice_copy(&self.items[first..]);
        self.items.truncate(first);
        Some(Json::List(items))
    }

    fn enter(&mut self) -> Option<()> {
        self.depth += 1;
        (self.depth <= self.max_depth).then_some(())
    }

    /// A string whose first quote was passed.
    pub(crate) fn string(&mut self) -> Option<&'a str> {
        let start = self.at;
        let mut end = next_special(self.text.as_bytes(), start);
        let mut has_escapes = false;
        loop {
            match self.text.as_bytes().get(end)? {
                b'"' => break,
                b'\\' => {
                    has_escapes = true;
                    end = next_special(self.text.as_bytes(), end + 2);
                }
                _ => return None,
            }
        }
        self.at = end + 1;
        if !has_escapes {
            return self.text.get(start..end);
        }
        let unescaped: String = serde_json::from_str(self.text.get(start - 1..=end)?).ok()?;
        Some(self.arena.alloc_str(&unescaped))
    }

    fn number(&mut self) -> Option<Json<'a>> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let is_negative = bytes[start] == b'-';
        let first = start + usize::from(is_negative);
        let mut digits = 0_u64;
        let mut at = first;
        let mut take_digits = |at: &mut usize| {
            let from = *at;
            while let Some(digit @ b'0'..=b'9') = bytes.get(*at) {
                digits = digits.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
                *at += 1;
            }
            *at - from
        };
        let n_whole = take_digits(&mut at);
        if n_whole == 0 || (n_whole > 1 && bytes[first] == b'0') {
            return None;
        }
        let mut n_places = 0;
        if bytes.get(at) == Some(&b'.') {
            at += 1;
            n_places = take_digits(&mut at);
            if n_places == 0 {
                return None;
            }
        }
        let has_exponent = matches!(bytes.get(at), Some(b'e' | b'E'));
        if has_exponent {
            at += 1;
            at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
            let from = at;
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            if at == from {
                return None;
            }
        }
        self.at = at;
        let text = self.text.get(start..at)?;
        if n_places == 0 && !has_exponent && text != "-0" {
            if n_whole <= 18 {
                return Some(Json::Integer(if is_negative { -(digits as i64) } else { digits as i64 }));
            }
            if let Ok(number) = text.parse() {
                return Some(Json::Integer(number));
            }
        }
        // Both sides of the division are exact doubles, so it is rounded once (Clinger 1990).
        if !has_exponent && n_whole + n_places <= 18 && digits <= 1 << 53 {
            let number = digits as f64 / POWERS_OF_TEN[n_places.min(18)];
            return Some(Json::Number(if is_negative { -number } else { number }));
        }
        text.parse().ok().filter(|number: &f64| number.is_finite()).map(Json::Number)
    }
}

/// Powers of ten that doubles have exactly.
const POWERS_OF_TEN: [f64; 19] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18];

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

/// The first quote, backslash or control character from a position on, or the end: eight bytes at a time, by the test for a zero byte,
/// whose lowest hit is a true one (Mycroft 1987).
fn next_special(bytes: &[u8], mut at: usize) -> usize {
    while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*eight);
        let zero_in = |word: u64| word.wrapping_sub(ONES) & !word;
        let below_blank = word.wrapping_sub(ONES * 0x20) & !word;
        let hits = (zero_in(word ^ (ONES * u64::from(b'"'))) | zero_in(word ^ (ONES * u64::from(b'\\'))) | below_blank) & HIGH;
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)) {
        at += 1;
    }
    at
}
