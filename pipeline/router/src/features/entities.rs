//! Things that the query names: dates, times, mail addresses, versions, amounts, quotations. Numbers, paths and addresses of the web are
//! counted in `text`.

use super::{Feature, QueryInput, Write, columns};
use crate::schema::ColumnKind::Count;

pub(super) const FEATURE: Feature = Feature {
    name: "entities",
    summary: "dates, times, mail addresses, versions, amounts, quotations",
    columns: |_| {
        columns(
            "entities",
            &[
                ("entities_dates", Count, "dates in digits (2026-01-31, 31.1.2026, 1/31/26) and names of days and months"),
                ("entities_times", Count, "times of day in digits (09:30)"),
                ("entities_mails", Count, "mail addresses"),
                ("entities_versions", Count, "versions and network addresses (1.2.3)"),
                ("entities_amounts", Count, "numbers with a sign of currency or of percent"),
                ("entities_quotations", Count, "pairs of double quotation marks"),
            ],
        )
    },
    write: Write::Query(write),
};

fn write(input: &QueryInput<'_>, row: &mut [f32]) {
    let text = input.profile.head(input.request.query);
    let (mut dates, mut times, mut mails, mut versions, mut amounts) = (0_u32, 0, 0, 0, 0);
    for token in telling_tokens(text) {
        let core = token.trim_matches(|character: char| !character.is_alphanumeric() && !matches!(character, '$' | '€' | '£' | '%'));
        match kind(core) {
            Some(Kind::Date) => dates += 1,
            Some(Kind::Time) => times += 1,
            Some(Kind::Mail) => mails += 1,
            Some(Kind::Version) => versions += 1,
            Some(Kind::Amount) => amounts += 1,
            None => {}
        }
    }
    dates += input.profile.facts().filter(|facts| facts.is_date()).count() as u32;
    let n_opening = if 0 < input.profile.n_non_ascii { text.matches('“').count() } else { 0 };
    let n_straight = text.bytes().filter(|byte| *byte == b'"').count();
    let quotations = (n_straight + n_opening) as u32 / if 0 < n_opening { 1 } else { 2 };
    row.copy_from_slice(&[dates, times, mails, versions, amounts, quotations].map(|count| count as f32));
}

/// The parts between white space that hold a digit or an at sign, as all of what is counted does. Only around these is white space looked for.
fn telling_tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let at = rest.bytes().position(|byte| byte.is_ascii_digit() || byte == b'@')?;
        let (before, behind) = rest.split_at(at);
        let start = before.char_indices().rfind(|(_, character)| character.is_whitespace()).map_or(0, |(at, space)| at + space.len_utf8());
        let end = at + behind.find(char::is_whitespace).unwrap_or(behind.len());
        let token = &rest[start..end];
        rest = &rest[end..];
        Some(token)
    })
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Date,
    Time,
    Mail,
    Version,
    Amount,
}

/// What a token is, without the marks around it.
fn kind(token: &str) -> Option<Kind> {
    if let Some((user, host)) = token.split_once('@') {
        return (!user.is_empty() && host.contains('.')).then_some(Kind::Mail);
    }
    if !token.contains(|character: char| character.is_ascii_digit()) {
        return None;
    }
    let is_sign = |character: char| matches!(character, '$' | '€' | '£' | '%');
    if token.starts_with(is_sign) || token.ends_with(is_sign) {
        return Some(Kind::Amount);
    }
    let parts = |separator: char| {
        let parts = token.split(separator);
        let all_digits = parts.clone().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        (all_digits && token.contains(separator)).then_some(parts)
    };
    if let Some(mut parts) = parts(':') {
        return (parts.clone().count() <= 3 && parts.all(|part| part.len() <= 2)).then_some(Kind::Time);
    }
    if let Some(parts) = parts('-').or_else(|| parts('/')) {
        let has_year = parts.clone().any(|part| part.len() == 4 || part.len() == 2);
        let is_date = parts.clone().count() == 3 && has_year && parts.clone().nth(1).is_some_and(|part| part.len() <= 2);
        return is_date.then_some(Kind::Date);
    }
    let mut parts = parts('.').filter(|parts| parts.clone().count() >= 3)?;
    let ends_in_year = parts.clone().count() == 3 && parts.next_back().is_some_and(|part| part.len() == 4);
    Some(if ends_in_year { Kind::Date } else { Kind::Version })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn telling_tokens_are_those_with_a_digit_or_an_at_sign(text in "[a-c1-3@ .\\t\u{a0}é]{0,60}") {
            let telling = |token: &&str| token.contains(|character: char| character.is_ascii_digit() || character == '@');
            let expected: Vec<&str> = text.split_whitespace().filter(telling).collect();
            prop_assert_eq!(telling_tokens(&text).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn tokens_are_what_people_take_them_for() {
        let cases = [
            ("2026-01-31", Some(Kind::Date)),
            ("1/31/26", Some(Kind::Date)),
            ("31.1.2026", Some(Kind::Date)),
            ("09:30", Some(Kind::Time)),
            ("jane@example.org", Some(Kind::Mail)),
            ("1.2.3", Some(Kind::Version)),
            ("10.0.0.1", Some(Kind::Version)),
            ("$20", Some(Kind::Amount)),
            ("5%", Some(Kind::Amount)),
            ("3.5", None),
            ("v2", None),
            ("a@b", None),
        ];
        for (token, expected) in cases {
            assert_eq!(kind(token), expected, "{token}");
        }
    }
}
