//! The natural language of the query, by trigram profiles of the crate `whatlang`.

use whatlang::{Detector, Lang, Script, detect_script};

use super::{Feature, QueryInput, Write, columns, or_missing};
use crate::schema::ColumnKind::{Code, Share};

/// Languages that are told apart; the code of a language is its position here, so new ones go to the end.
const LANGUAGES: [Lang; 20] = [
    Lang::Eng,
    Lang::Spa,
    Lang::Por,
    Lang::Fra,
    Lang::Deu,
    Lang::Ita,
    Lang::Nld,
    Lang::Pol,
    Lang::Tur,
    Lang::Swe,
    Lang::Vie,
    Lang::Ind,
    Lang::Rus,
    Lang::Ukr,
    Lang::Cmn,
    Lang::Jpn,
    Lang::Kor,
    Lang::Ara,
    Lang::Hin,
    Lang::Heb,
];

/// Bytes that the language is read from; more of the same text says nothing new.
const MAX_BYTES: usize = 256;

/// English words that stand in most English sentences and in few of other languages; a text of the Latin script in which one word in
/// four is among them is English, which spares most queries the trigrams.
const ENGLISH: [&str; 40] = [
    "the", "and", "of", "to", "is", "for", "with", "that", "this", "what", "how", "why", "which", "when", "where", "are", "was", "does",
    "can", "should", "would", "could", "you", "your", "my", "it", "its", "from", "between", "about", "please", "not", "have", "has",
    "write", "explain", "find", "show", "number", "before",
];

/// Words below which trigrams of the Latin script say too little.
const MIN_LATIN_WORDS: u32 = 4;

pub(super) const FEATURE: Feature = Feature {
    name: "language",
    summary: "natural language, by trigrams",
    columns: |_| {
        columns(
            "language",
            &[
                (
                    "language",
                    Code,
                    "0 English, 1 Spanish, 2 Portuguese, 3 French, 4 German, 5 Italian, 6 Dutch, 7 Polish, 8 Turkish, 9 Swedish, \
                     10 Vietnamese, 11 Indonesian, 12 Russian, 13 Ukrainian, 14 Chinese, 15 Japanese, 16 Korean, 17 Arabic, 18 Hindi, \
                     19 Hebrew; missing for a short text",
                ),
                ("language_confidence", Share, "how clear the language is; missing for a short text"),
            ],
        )
    },
    write: Write::Query(write),
};

fn write(input: &QueryInput<'_>, row: &mut [f32]) {
    let n_english = input.profile.words().filter(|word| ENGLISH.contains(word)).count();
    let n_words = input.profile.n_words();
    if n_words >= MIN_LATIN_WORDS && n_english as u32 * 4 >= n_words && input.profile.n_non_ascii == 0 {
        row.copy_from_slice(&[0.0, 1.0]);
        return;
    }
    let text = head(input.request.query);
    let too_short = input.profile.n_words() < MIN_LATIN_WORDS && detect_script(text).is_none_or(|script| script == Script::Latin);
    let found = if too_short { None } else { Detector::with_allowlist(LANGUAGES.to_vec()).detect(text) };
    let position = found.as_ref().and_then(|found| LANGUAGES.iter().position(|language| *language == found.lang()));
    let confidence = found.as_ref().filter(|_| position.is_some()).map(whatlang::Info::confidence);
    row.copy_from_slice(&[or_missing(position.map(|position| position as f64)), or_missing(confidence)]);
}

/// The part of a text that is looked at.
fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_BYTES)]
}
