//! Times as nearly every program writes them, read without looking for what else RFC 3339 and its relatives allow.

/// Microseconds since 1970 of a text like `2026-01-05T10:00:00.5+02:00`, in the years 2000 to 2099; digits past the microsecond are cut off.
/// Nothing for any other text, which may be a time all the same.
pub(super) fn usual_instant(text: &str) -> Option<i64> {
    let (head, rest) = text.as_bytes().split_first_chunk::<19>()?;
    let [b'2', b'0', y1, y0, b'-', m1, m0, b'-', d1, d0, b'T', h1, h0, b':', n1, n0, b':', s1, s0] = *head else { return None };
    let (year, month, day) = (2000 + two(y1, y0)?, two(m1, m0)?, two(d1, d0)?);
    let (hour, minute, second) = (two(h1, h0)?, two(n1, n0)?, two(s1, s0)?);
    let is_date = (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    if !(is_date && hour < 24 && minute < 60 && second < 60) {
        return None;
    }
    let (micros, rest) = fraction(rest)?;
    let offset = match *rest {
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), h1, h0, b':', n1, n0] => {
            let (hours, minutes) = (two(h1, h0)?, two(n1, n0)?);
            if hours > 14 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if sign == b'-' { -60 } else { 60 }
        }
        _ => return None,
    };
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Some(seconds * 1_000_000 + micros)
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

/// Microseconds of one to nine digits after a point, where there is one; and what follows.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = text.strip_prefix(b".") else { return Some((0, text)) };
    let n_digits = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&n_digits) {
        return None;
    }
    let (digits, rest) = digits.split_at(n_digits);
    let micros = (0..6).fold(0, |micros, place| micros * 10 + digits.get(place).map_or(0, |digit| i64::from(digit - b'0')));
    Some((micros, rest))
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        // Of these years, those that 4 divides are leap years.
        2 if year % 4 == 0 => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the years from 1970 to a date of the years 2000 to 2099.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    /// Days from 1970-01-01 to 2000-03-01, with which the leap years' rhythm begins.
    const TO_MARCH_2000: i64 = 11_017;
    let (years, months) = if month > 2 { (year - 2000, month - 3) } else { (year - 2001, month + 9) };
    TO_MARCH_2000 + years * 365 + years.div_euclid(4) + (153 * months + 2) / 5 + day - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// jiff is the oracle.
    fn theirs(text: &str) -> Option<i64> {
        text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
    }

    #[test]
    fn every_day_of_the_century_is_the_calendars() {
        let mut date = jiff::civil::date(2000, 1, 1);
        while date.year() < 2100 {
            for text in [format!("{date}T00:00:00Z"), format!("{date}T23:59:59.999999999+14:00")] {
                assert_eq!((usual_instant(&text), usual_instant(&text).is_some()), (theirs(&text), true), "{text}");
            }
            date = date.tomorrow().unwrap();
        }
    }

    #[test]
    fn what_is_no_date_is_not_read() {
        for text in ["2026-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-00-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-00T00:00:00Z"]
        {
            assert_eq!((usual_instant(text), theirs(text)), (None, None), "{text}");
        }
        for text in
            ["2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00", "", "2026-01-01T00:00:00Z "]
        {
            assert_eq!(usual_instant(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_read_as_jiff_reads_it(text in "20[0-9]{2}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?(Z|z|[+-][0-2][0-9]:?[0-6][0-9]|)") {
            if let Some(ours) = usual_instant(&text) {
                prop_assert_eq!(Some(ours), theirs(&text), "{}", text);
            }
        }
    }
}
