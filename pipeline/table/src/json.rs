//! A JSON value that borrows from its text, keeps the order of keys and repeated keys.

mod parser;

use bumpalo::Bump;

pub(crate) use self::parser::Parser;
use crate::reason::{Reason, Rejection};

/// A JSON value. Objects keep every pair: where a key stands twice, readers let the last one win.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    Text(&'a str),
    /// A list.
    List(&'a [Json<'a>]),
    /// An object as its pairs.
    Object(&'a [(&'a str, Json<'a>)]),
}

/// Takes texts out of a record while it is parsed: gives what takes their place, or nothing where they stay.
pub(crate) trait Clean {
    /// What a key says about the texts that stand under it.
    type Key: Copy;
    /// What is said of texts without a key.
    fn no_key(&self) -> Self::Key;
    /// Length of the key that a text begins with, up to its quote, where it is one that stays and holds no escapes; what is not known at a look
    /// is read, and asked of [`Self::key`].
    fn known_key(&mut self, text: &str) -> Option<(usize, Self::Key)>;
    /// A key.
    fn key(&mut self, key: &str) -> (Option<String>, Self::Key);
    /// A text, with what its key says.
    fn text(&mut self, key: Self::Key, text: &str) -> Option<String>;
}

/// Takes nothing out.
pub(crate) struct Everything;

impl Clean for Everything {
    type Key = ();

    fn no_key(&self) {}

    fn known_key(&mut self, _: &str) -> Option<(usize, ())> {
        None
    }

    fn key(&mut self, _: &str) -> (Option<String>, ()) {
        (None, ())
    }

    fn text(&mut self, (): (), _: &str) -> Option<String> {
        None
    }
}

/// Deepest nesting; serde_json's.
const MAX_DEPTH: usize = 127;

/// Longest text that a message quotes, in characters.
const QUOTED: usize = 60;

impl<'a> Json<'a> {
    /// Parses one record; lists, objects and texts with escapes stand in the arena. What is refused is left to serde_json to explain.
    pub(crate) fn parse(text: &'a str, arena: &'a Bump) -> Result<Self, Rejection> {
        Self::parse_with(text, arena, MAX_DEPTH, &mut Everything)
    }

    /// As [`Self::parse`], down to a depth, and takes out what `clean` finds.
    pub(crate) fn parse_with(text: &'a str, arena: &'a Bump, max_depth: usize, clean: &mut impl Clean) -> Result<Self, Rejection> {
        Parser::new(text, arena, max_depth.min(MAX_DEPTH), clean).parse().ok_or_else(|| why_refused(text))
    }

    /// The last value under a key of an object.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Self> {
        match self {
            Json::Object(pairs) => pairs.iter().rev().find(|(name, _)| *name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The last value under a key, where it is text.
    pub(crate) fn get_text(&self, key: &str) -> Option<&'a str> {
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

/// Tells what is wrong with a text that was refused.
fn why_refused(text: &str) -> Rejection {
    let error = match serde_json::from_str::<serde_json::Value>(text) {
        Err(error) => error,
        Ok(_) => return Rejection::new(Reason::NestingTooDeep, "the record is nested deeper than `max_depth`"),
    };
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

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An arena for the rest of the test.
    pub(crate) fn arena() -> &'static Bump {
        Box::leak(Box::default())
    }

    fn parse(text: &str) -> Json<'_> {
        Json::parse(text, arena()).unwrap()
    }

    fn reason(text: &str) -> Reason {
        Json::parse(text, arena()).unwrap_err().reason
    }

    #[test]
    fn the_last_of_two_equal_keys_wins() {
        assert_eq!(parse(r#"{"a":1,"a":2}"#).get("a"), Some(&Json::Integer(2)));
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
        assert_eq!(parse("18446744073709551615"), Json::Number(18446744073709551615.0));
        assert_eq!(parse("-9223372036854775808"), Json::Integer(i64::MIN));
        assert_eq!(parse("-9223372036854775809"), Json::Number(-9223372036854775808.0));
        assert!(matches!(parse("-0"), Json::Number(zero) if zero.is_sign_negative()));
    }

    /// Whether serde_json reads the same.
    fn same(ours: Json<'_>, theirs: &serde_json::Value) -> bool {
        use serde_json::Value;
        match (ours, theirs) {
            (Json::Null, Value::Null) => true,
            (Json::Bool(ours), Value::Bool(theirs)) => ours == *theirs,
            (Json::Integer(ours), Value::Number(theirs)) => theirs.as_i64() == Some(ours),
            (Json::Number(ours), Value::Number(theirs)) => {
                theirs.as_i64().is_none() && theirs.as_f64().is_some_and(|theirs| theirs.to_bits() == ours.to_bits())
            }
            (Json::Text(ours), Value::String(theirs)) => ours == theirs,
            (Json::List(ours), Value::Array(theirs)) => {
                ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same(*ours, theirs))
            }
            (Json::Object(ours), Value::Object(theirs)) => {
                let names: std::collections::BTreeSet<&str> = ours.iter().map(|(name, _)| *name).collect();
                names.len() == theirs.len()
                    && theirs.iter().all(|(name, theirs)| Json::Object(ours).get(name).is_some_and(|ours| same(*ours, theirs)))
            }
            _ => false,
        }
    }

    /// serde_json, with correctly rounded doubles, is the oracle.
    fn judged_as_serde_json_does(text: &str) -> bool {
        match (Json::parse(text, arena()), serde_json::from_str::<serde_json::Value>(text)) {
            (Ok(ours), Ok(theirs)) => same(ours, &theirs),
            (ours, theirs) => ours.is_err() && theirs.is_err(),
        }
    }

    #[test]
    fn edges_of_the_grammar_are_judged_as_serde_json_does() {
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let cases = [
            "",
            " ",
            "{}",
            "[]",
            "{,}",
            "[,]",
            "[1,]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{1:1}",
            "tru",
            "truer",
            "nul",
            "null ",
            " false",
            "01",
            "-",
            "-01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "1e5",
            "1E-5",
            "1.0e-400",
            "1e308",
            "1.8e308",
            "-1e999",
            "0.1",
            "123456789012345678",
            "1234567890123456789",
            "9007199254740993",
            "9007199254740993.0",
            "0.30000000000000004",
            "1.7976931348623157e308",
            "5e-324",
            "2.2250738585072014e-308",
            "0e999999999999",
            "1e-999999999999",
            "\"\\u00e9\\ud83d\\ude00\"",
            "\"\\ud800\"",
            "\"\\x\"",
            "\"\\",
            "\"a\tb\"",
            "\"a\u{1f}b\"",
            "\"\u{7f}\u{80}é\"",
            "\"abcdefg\u{1}\"",
            "\"ÿÿÿÿ\u{20}\"",
            "[1]x",
            "{\"a\":1}{",
            "+1",
            "Infinity",
            "--1",
            "1-",
            "[1e5,-0.0,-0]",
            "\u{feff}1",
            "\"\\/\\b\\f\\n\\r\\t\\\"\"",
            "[\n1\r,\t2 ]",
        ];
        for text in cases {
            assert!(judged_as_serde_json_does(text), "{text:?}");
        }
        for depth in [1, 100, 126, 127, 128, 129, 1000] {
            assert!(judged_as_serde_json_does(&deep(depth)), "{depth}");
        }
    }

    /// Texts that are nearly JSON.
    fn pieces_of_json() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"", "\\", " ", "\n", "true", "false", "null", "-", "1", "0", ".", "e", "\"a\":", "\\u00",
                "é", "\u{1}"
            ])
            .prop_map(str::to_owned),
            any::<f64>().prop_map(|number| number.to_string()),
            any::<i64>().prop_map(|number| number.to_string()),
            "[ -~é\\\\\"]{0,12}".prop_map(|text| serde_json::Value::String(text).to_string()),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    /// Any value.
    fn values() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<u64>().prop_map(serde_json::Value::from),
            any::<f64>().prop_map(serde_json::Value::from),
            (-100_000_i32..100_000, 0..12_u32)
                .prop_map(|(digits, places)| serde_json::Value::from(f64::from(digits) / 10_f64.powi(places as i32))),
            any::<String>().prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6).prop_map(|pairs| pairs.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn what_is_nearly_json_is_judged_as_serde_json_does(text in pieces_of_json()) {
            prop_assert!(judged_as_serde_json_does(&text), "{}", text);
        }

        #[test]
        fn doubles_are_read_to_the_last_bit(number in any::<f64>(), places in 0..20_usize) {
            let (short, fixed) = (format!("{number:e}"), format!("{:.places$}", number % 1e12));
            prop_assert!(judged_as_serde_json_does(&short) && judged_as_serde_json_does(&fixed), "{} {}", short, fixed);
        }
    }

    proptest! {
        #[test]
        fn values_are_read_as_serde_json_reads_them(value in values()) {
            prop_assert!(judged_as_serde_json_does(&value.to_string()));
            prop_assert!(judged_as_serde_json_does(&serde_json::to_string_pretty(&value).unwrap()));
        }
    }
}
