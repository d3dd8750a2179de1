//! A JSON value that borrows from its text, keeps the order of keys and repeated keys.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::reason::{Reason, Rejection};

/// A JSON value. Objects keep every pair: where a key stands twice, readers let the last one win.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that fits 64 bits.
    Integer(i64),
    /// Any other number, always finite.
    Number(f64),
    /// Text, without a copy where it has no escapes.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Json<'a>>),
    /// An object as its pairs.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Longest text that a message quotes, in characters.
const QUOTED: usize = 60;

impl<'a> Json<'a> {
    /// Parses one record, with sonic-rs; what that refuses is left to serde_json, whose messages say more.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Rejection> {
        sonic_rs::from_str(text).or_else(|_| serde_json::from_str(text).map_err(|error| classify(text, &error)))
    }

    /// The last value under a key of an object.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Json::Object(pairs) => pairs.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The last value under a key, where it is text.
    pub(crate) fn get_text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Json::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The type's name, as messages say it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "a bool",
            Json::Integer(_) | Json::Number(_) => "a number",
            Json::Text(_) => "text",
            Json::List(_) => "a list",
            Json::Object(_) => "an object",
        }
    }
}

/// Tells what is wrong with a text that serde_json refuses.
fn classify(text: &str, error: &serde_json::Error) -> Rejection {
    if text.as_bytes().contains(&0) {
        return Rejection::new(Reason::NulBytes, "the text holds zero bytes");
    }
    let message = error.to_string();
    if message.starts_with("number out of range") {
        return Rejection::new(Reason::NumberOutOfRange, message);
    }
    let line_start = text.match_indices('\n').map(|(at, _)| at + 1).nth(error.line().saturating_sub(2)).unwrap_or(0);
    let line_start = if error.line() <= 1 { 0 } else { line_start };
    let at = (line_start + error.column()).saturating_sub(1).min(text.len());
    if is_not_finite_literal(text.as_bytes(), at) {
        return Rejection::new(Reason::NotFinite, format!("NaN or Infinity, which JSON has no word for ({message})"));
    }
    if error.is_eof() {
        return Rejection::new(Reason::NotJson, format!("the record ends early ({message})"));
    }
    Rejection::new(Reason::NotJson, message)
}

/// Whether one of the literals that other programs write for numbers without a value stands around a position.
fn is_not_finite_literal(bytes: &[u8], at: usize) -> bool {
    let first = at.saturating_sub(4);
    (first..=at.min(bytes.len())).any(|start| {
        let rest = &bytes[start..];
        let before = start.checked_sub(1).map(|before| bytes[before]);
        let begins = before.is_none_or(|byte| matches!(byte, b':' | b',' | b'[' | b' ' | b'-' | b'\t'));
        begins && ["NaN", "nan", "Infinity", "inf"].iter().any(|literal| rest.starts_with(literal.as_bytes()))
    })
}

/// A value as a message quotes it: short.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTED).collect();
    if quoted.len() < text.len() {
        quoted.push('…');
    }
    quoted
}

/// A key that borrows where it can.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Owned(text.to_owned())))
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(i64::try_from(value).map_or(Json::Number(value as f64), Json::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Json<'de>, A::Error> {
        let mut object = Vec::with_capacity(8);
        while let Some((Key(key), value)) = pairs.next_entry()? {
            object.push((key, value));
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> Reason {
        Json::parse(text).unwrap_err().reason
    }

    #[test]
    fn the_last_of_two_equal_keys_wins() {
        assert_eq!(Json::parse(r#"{"a":1,"a":2}"#).unwrap().get("a"), Some(&Json::Integer(2)));
    }

    #[test]
    fn texts_borrow_where_they_have_no_escapes() {
        assert!(matches!(Json::parse(r#""plain""#), Ok(Json::Text(Cow::Borrowed("plain")))));
        assert!(matches!(Json::parse(r#""a\nb""#), Ok(Json::Text(Cow::Owned(_)))));
    }

    #[test]
    fn what_is_no_json_has_its_own_reason() {
        assert_eq!(reason("{\"a\": NaN}"), Reason::NotFinite);
        assert_eq!(reason("{\"a\": -Infinity}"), Reason::NotFinite);
        assert_eq!(reason("{\n\"b\":1,\n\"a\": NaN}"), Reason::NotFinite);
        assert_eq!(reason("{\"a\": 1e999}"), Reason::NumberOutOfRange);
        assert_eq!(reason("{\"a\": nobody}"), Reason::NotJson);
        assert_eq!(reason("{\"a\": \u{0}1}"), Reason::NulBytes);
        assert_eq!(reason("{\"a\": 1"), Reason::NotJson);
    }

    #[test]
    fn numbers_past_64_bits_become_doubles() {
        assert_eq!(Json::parse("18446744073709551615").unwrap(), Json::Number(18446744073709551615.0));
    }
}
