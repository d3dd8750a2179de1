//! Reads single values of a record: type, range and a message that names the key.

use std::borrow::Cow;
use std::fmt::Display;

use routewright_domain::Timestamp;

use super::instant::usual_instant;
use crate::json::{Json, quote};
use crate::reason::{Reason, Rejection};

/// Range that a number must lie in, ends included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NumberRange {
    lower: f64,
    upper: f64,
    words: &'static str,
}

/// Shares, probabilities, confidences.
pub(super) const SHARE: NumberRange = NumberRange { lower: 0.0, upper: 1.0, words: "in [0, 1]" };
/// Durations, counts, costs.
pub(super) const NOT_NEGATIVE: NumberRange = NumberRange { lower: 0.0, upper: f64::MAX, words: "0 or more" };

/// Earliest plausible decision: 2000-01-01.
pub(crate) const EARLIEST: Timestamp = Timestamp(946_684_800_000_000);
/// First implausible moment after the last plausible decision: 2100-01-01.
pub(crate) const LATEST: Timestamp = Timestamp(4_102_444_800_000_000);

/// A value of the wrong type.
pub(super) fn wrong_type(key: impl Display, expected: &str, found: &Json<'_>) -> Rejection {
    Rejection::new(Reason::WrongType, format!("`{key}` must be {expected}, found {}", found.kind()))
}

/// Text, or nothing for null.
pub(super) fn text<'a>(key: impl Display, value: &Json<'a>) -> Result<Option<Cow<'a, str>>, Rejection> {
    match value {
        Json::Null => Ok(None),
        Json::Text(text) => Ok(Some(Cow::Borrowed(text))),
        other => Err(wrong_type(key, "text", other)),
    }
}

/// Text that identifies something, so an empty one counts as missing.
pub(super) fn name<'a>(key: impl Display, value: &Json<'a>) -> Result<Option<Cow<'a, str>>, Rejection> {
    match text(&key, value)? {
        Some(text) if text.is_empty() => Err(Rejection::new(Reason::MissingKey, format!("`{key}` is empty"))),
        other => Ok(other),
    }
}

/// One of some words, or nothing for null.
pub(super) fn one_of<'a>(key: impl Display, value: &Json<'a>, words: &[&str]) -> Result<Option<Cow<'a, str>>, Rejection> {
    match text(&key, value)? {
        Some(word) if !words.contains(&word.as_ref()) => {
            Err(Rejection::new(Reason::WrongType, format!("`{key}` must be one of {}, found \"{word}\"", words.join(", "))))
        }
        other => Ok(other),
    }
}

/// What must be there.
pub(super) fn required<T>(key: &str, value: Option<T>) -> Result<T, Rejection> {
    value.ok_or_else(|| Rejection::missing(key))
}

/// A number in a range, or nothing for null.
pub(super) fn number(key: impl Display, value: &Json<'_>, range: NumberRange) -> Result<Option<f64>, Rejection> {
    let number = match value {
        Json::Null => return Ok(None),
        Json::Integer(value) => *value as f64,
        Json::Number(value) => *value,
        Json::Text(text) if is_not_finite(text) => {
            return Err(Rejection::new(Reason::NotFinite, format!("`{key}` must be a finite number, found \"{}\"", quote(text))));
        }
        other => return Err(wrong_type(key, "a number", other)),
    };
    if range.lower <= number && number <= range.upper {
        Ok(Some(number))
    } else {
        Err(Rejection::new(Reason::NumberOutOfRange, format!("`{key}` must be {}, found {number}", range.words)))
    }
}

/// A whole number of 0 or more, or nothing for null; `3.0` counts as whole.
pub(super) fn count(key: impl Display, value: &Json<'_>) -> Result<Option<i64>, Rejection> {
    match number(&key, value, NOT_NEGATIVE)? {
        None => Ok(None),
        Some(number) if number.fract() != 0.0 => {
            Err(Rejection::new(Reason::WrongType, format!("`{key}` must be a whole number, found {number}")))
        }
        Some(number) if number > LARGEST_COUNT => {
            Err(Rejection::new(Reason::NumberOutOfRange, format!("`{key}` must be at most 2^53, found {number}")))
        }
        Some(number) => Ok(Some(number as i64)),
    }
}

/// Largest whole number up to which doubles have every one: 2^53.
const LARGEST_COUNT: f64 = 9_007_199_254_740_992.0;

/// True, false, or nothing for null.
pub(super) fn flag(key: impl Display, value: &Json<'_>) -> Result<Option<bool>, Rejection> {
    match value {
        Json::Null => Ok(None),
        Json::Bool(value) => Ok(Some(*value)),
        other => Err(wrong_type(key, "true or false", other)),
    }
}

/// Reads a list of names into `names`, none for null.
pub(super) fn names<'a>(key: impl Display, value: &Json<'a>, names: &mut Vec<Cow<'a, str>>) -> Result<(), Rejection> {
    names.clear();
    match value {
        Json::Null => Ok(()),
        Json::List(items) => items.iter().try_for_each(|item| {
            names.push(name(&key, item)?.ok_or_else(|| wrong_type(&key, "a list of texts", item))?);
            Ok(())
        }),
        other => Err(wrong_type(key, "a list of texts", other)),
    }
}

/// The pairs of an object, none for null.
pub(super) fn object<'a>(key: impl Display, value: &Json<'a>) -> Result<&'a [(&'a str, Json<'a>)], Rejection> {
    match value {
        Json::Null => Ok(&[]),
        Json::Object(pairs) => Ok(pairs),
        other => Err(wrong_type(key, "an object", other)),
    }
}

/// The pairs of a record.
pub(super) fn record<'a>(value: &Json<'a>) -> Result<&'a [(&'a str, Json<'a>)], Rejection> {
    match value {
        Json::Object(pairs) => Ok(pairs),
        other => Err(Rejection::new(Reason::NotAnObject, format!("a record must be an object, found {}", other.kind()))),
    }
}

/// A plausible point in time with an offset, in RFC 3339; digits past the microsecond are cut off.
pub(super) fn timestamp(key: impl Display, value: &Json<'_>) -> Result<Option<Timestamp>, Rejection> {
    let Some(text) = text(&key, value)? else { return Ok(None) };
    let trimmed = text.trim();
    let instant = usual_instant(trimmed).map_or_else(|| trimmed.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_microsecond), Ok);
    let timestamp = match instant {
        Ok(micros) => Some(Timestamp(micros)),
        // The last hours of the year 9999, which other programs write for "never", are past what can be counted.
        Err(_) if has_offset(trimmed) => None,
        Err(_) => {
            let message = format!("`{key}` must be RFC 3339 with an offset, found \"{}\"", quote(&text));
            return Err(Rejection::new(Reason::UnparsableTimestamp, message));
        }
    };
    match timestamp {
        Some(timestamp) if EARLIEST <= timestamp && timestamp < LATEST => Ok(Some(timestamp)),
        _ => {
            let message = format!("`{key}` must lie in the years 2000 to 2099, found \"{}\"", quote(&text));
            Err(Rejection::new(Reason::ImplausibleTimestamp, message))
        }
    }
}

/// Whether a text is a date and time with an offset, however far away.
fn has_offset(text: &str) -> bool {
    jiff::fmt::temporal::Pieces::parse(text).is_ok_and(|pieces| pieces.time().is_some() && pieces.offset().is_some())
}

/// Words that other programs write for numbers without a value.
fn is_not_finite(text: &str) -> bool {
    let word = text.trim_start_matches(['-', '+']).to_ascii_lowercase();
    matches!(word.as_str(), "nan" | "inf" | "infinity")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Result<Option<Timestamp>, Reason> {
        timestamp("timestamp", &Json::Text(text)).map_err(|rejection| rejection.reason)
    }

    #[test]
    fn timestamps_are_stored_in_utc_microseconds() {
        assert_eq!(time("2026-01-01T02:00:00.123456789+02:00"), Ok(Some(Timestamp(1_767_225_600_123_456))));
        assert_eq!(time("2026-01-01t00:00:00z"), Ok(Some(Timestamp(1_767_225_600_000_000))));
        assert_eq!(time("2025-12-31T18:00:00-0600"), Ok(Some(Timestamp(1_767_225_600_000_000))));
    }

    #[test]
    fn times_without_offset_or_outside_the_range_have_their_reasons() {
        for text in ["2026-01-01T00:00:00", "2026-02-30T00:00:00Z", "yesterday", "", "1767225600"] {
            assert_eq!(time(text), Err(Reason::UnparsableTimestamp), "{text}");
        }
        for text in ["1999-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
            assert_eq!(time(text), Err(Reason::ImplausibleTimestamp), "{text}");
        }
    }

    #[test]
    fn numbers_say_key_range_and_value() {
        let rejection = number("confidence", &Json::Number(-0.25), SHARE).unwrap_err();
        assert_eq!(rejection.message, "`confidence` must be in [0, 1], found -0.25");
        assert_eq!(number("x", &Json::Integer(1), SHARE), Ok(Some(1.0)));
        assert_eq!(number("x", &Json::Text("NaN"), SHARE).unwrap_err().reason, Reason::NotFinite);
        assert_eq!(count("x", &Json::Number(3.0)), Ok(Some(3)));
        assert_eq!(count("x", &Json::Number(3.5)).unwrap_err().reason, Reason::WrongType);
        assert_eq!(count("x", &Json::Number(1e300)).unwrap_err().reason, Reason::NumberOutOfRange);
    }
}
