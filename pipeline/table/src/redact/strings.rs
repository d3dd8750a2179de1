//! Finds the strings of a JSON text, also of one that is torn or no JSON at all, and rewrites those that change.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// A string of a JSON text, without its escapes.
pub(super) enum Piece<'a> {
    /// A key.
    Key(&'a str),
    /// A value, with the last key before it.
    Value {
        /// The key, empty where there was none.
        key: &'a str,
        /// The text.
        value: &'a str,
    },
}

/// Rewrites the strings for which `change` gives another text.
pub(super) fn rewrite<'t>(text: &'t str, change: &mut dyn FnMut(Piece<'_>) -> Option<String>) -> Cow<'t, str> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    let mut key: Cow<'_, str> = Cow::Borrowed("");
    while let Some(length) = memchr(b'"', &bytes[at..]) {
        let start = at + length + 1;
        let end = end_of_string(bytes, start);
        let content = unescaped(&text[start..end]);
        at = (end + 1).min(bytes.len());
        let is_key = bytes[at..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
        let changed = if is_key { change(Piece::Key(&content)) } else { change(Piece::Value { key: &key, value: &content }) };
        if let Some(changed) = changed {
            out.push_str(&text[copied..start]);
            out.push_str(&escaped(&changed));
            copied = end;
        }
        if is_key {
            key = content;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// The quote that ends a string, or the end of the text.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(length) = memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
        at += length;
        if bytes[at] == b'"' {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

/// A string's text; as it stands where its escapes make no sense.
fn unescaped(content: &str) -> Cow<'_, str> {
    if memchr(b'\\', content.as_bytes()).is_none() {
        return Cow::Borrowed(content);
    }
    serde_json::from_str(&format!("\"{content}\"")).map_or(Cow::Borrowed(content), Cow::Owned)
}

/// A text as it stands between quotes.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::String(text.to_owned()).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        rewrite(text, &mut |piece| {
            found.push(match piece {
                Piece::Key(key) => format!("{key}:"),
                Piece::Value { key, value } => format!("{key}={value}"),
            });
            None
        });
        found
    }

    #[test]
    fn keys_and_values_are_told_apart_and_escapes_read() {
        let text = r#"{"a" : "x\u0040y", "b": ["1", "2\"3"], "c": {"d": 4}}"#;
        assert_eq!(pieces(text), ["a:", "a=x@y", "b:", "b=1", "b=2\"3", "c:", "d:"]);
    }

    #[test]
    fn a_torn_string_reaches_to_the_end() {
        assert_eq!(pieces(r#"{"a": "x"#), ["a:", "a=x"]);
        assert_eq!(pieces(r#"{"a": "x\"#), ["a:", "a=x\\"]);
        assert_eq!(pieces("\""), ["="]);
    }

    #[test]
    fn what_does_not_change_is_not_copied() {
        assert!(matches!(rewrite(r#"{"a":"b"}"#, &mut |_| None), Cow::Borrowed(_)));
        let upper = rewrite(r#"{"a":"b","c":1}"#, &mut |piece| match piece {
            Piece::Key(_) => None,
            Piece::Value { value, .. } => Some(value.to_uppercase() + "\""),
        });
        assert_eq!(upper, r#"{"a":"B\"","c":1}"#);
    }
}
