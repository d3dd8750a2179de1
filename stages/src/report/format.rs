//! How numbers, names and times are written for people.

use crate::artifacts::{Bounded, UpliftResult};

/// A whole number with a comma between thousands.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share as percent, one decimal.
pub(crate) fn share(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A rate with its interval.
pub(crate) fn percent(rate: Bounded) -> String {
    match rate.value {
        Some(value) => format!("{:.1} % [{:.1}, {:.1}]", 100.0 * value, 100.0 * rate.lower, 100.0 * rate.upper),
        None => format!("between {:.1} and {:.1} %", 100.0 * rate.lower, 100.0 * rate.upper),
    }
}

/// An uplift with its one-sided bounds, in points.
pub(crate) fn points(uplift: &UpliftResult) -> String {
    match uplift.points.value {
        Some(value) => format!("{} points [{}, {}]", signed(value), signed(uplift.lower_one_sided), signed(uplift.upper_one_sided)),
        None => format!("between {} and {} points", signed(uplift.lower_one_sided), signed(uplift.upper_one_sided)),
    }
}

/// A signed number, one decimal, with a true minus.
pub(crate) fn signed(value: f64) -> String {
    format!("{value:+.1}").replace('-', "−")
}

/// A time span: milliseconds, or seconds where there are many.
pub(crate) fn milliseconds(value: f64) -> String {
    if value >= 10_000.0 { format!("{:.1} s", value / 1000.0) } else { format!("{value:.0} ms") }
}

/// An amount of money in US dollars with the decimals that it needs.
pub(crate) fn dollars(value: f64) -> String {
    if value.abs() >= 1.0 { format!("{value:.2} USD") } else { format!("{value:.5} USD") }
}

/// A yes or no that may be unknown.
pub(crate) fn met(answer: Option<bool>) -> &'static str {
    match answer {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    }
}

/// Microseconds since 1970 as a day and a time in UTC, to the minute; the number itself where no calendar holds it.
pub(crate) fn minute(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).map_or_else(|_| micros.to_string(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// The beginning of a digest, enough to compare by eye.
pub(crate) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// A name as machines write it.
pub(crate) fn spelled(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A machine's name as words: `mean_weight_per_day` as `mean weight per day`.
pub(crate) fn as_words(name: &str) -> String {
    name.replace('_', " ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn what_is_not_identified_is_written_as_bounds() {
        assert_eq!(percent(Bounded { value: None, lower: 0.5, upper: 0.75 }), "between 50.0 and 75.0 %");
        assert_eq!(percent(Bounded { value: Some(0.6), lower: 0.5, upper: 0.75 }), "60.0 % [50.0, 75.0]");
    }

    #[test]
    fn times_are_written_to_the_minute_in_utc() {
        assert_eq!(minute(1_769_000_000_000_000), "2026-01-21 12:53 UTC");
    }
}
