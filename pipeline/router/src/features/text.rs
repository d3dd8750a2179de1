//! Shape of the query's text: length, lines, marks, code, and whether it asks, commands or states.

use super::{Feature, QueryInput, Write, columns};
use crate::lexicon::Topic;
use crate::profile::MAX_TEXT_BYTES;
use crate::schema::ColumnKind::{Count, Flag, Number, Share};

pub(super) const FEATURE: Feature = Feature {
    name: "text",
    summary: "length, lines, marks, code, question or command",
    columns: |_| {
        columns(
            "text",
            &[
                ("text_characters", Count, "characters of the query"),
                ("text_words", Count, "words of the query"),
                ("text_sentences", Count, "runs of full stops, exclamation and question marks"),
                ("text_lines", Count, "lines of the query"),
                ("text_list_items", Count, "lines that begin like a list item"),
                ("text_mean_word_length", Number, "mean length of the words, in bytes"),
                ("text_longest_word", Count, "length of the longest word, in bytes"),
                ("text_upper_share", Share, "share of capitals among the letters"),
                ("text_digit_share", Share, "share of digits among the characters"),
                ("text_punctuation_share", Share, "share of punctuation marks among the characters"),
                ("text_non_ascii_share", Share, "share of characters outside ASCII"),
                ("text_numbers", Count, "runs of digits"),
                ("text_urls", Count, "addresses with a scheme"),
                ("text_paths", Count, "slashes that look like file paths"),
                ("text_code_fences", Count, "fences of three backticks"),
                ("text_backticks", Count, "backticks"),
                ("text_identifiers", Count, "words with an underscore or an inner capital"),
                ("text_code_likelihood", Share, "own estimate of how much of the query is code"),
                ("text_question_marks", Count, "question marks"),
                ("text_is_question", Flag, "opens with a question word or ends its first line with a question mark"),
                ("text_is_command", Flag, "opens with a verb in the imperative"),
                ("text_question_words", Count, "words that may open a question"),
            ],
        )
    },
    write: Write::Query(write),
};

fn write(input: &QueryInput<'_>, row: &mut [f32]) {
    let profile = input.profile;
    let words = profile.n_words();
    let characters = profile.n_chars.max(1) as f32;
    let word_bytes: usize = profile.words().map(str::len).sum();
    let query = input.request.query;
    let first_line = if profile.n_lines <= 1 && query.len() <= MAX_TEXT_BYTES { Some(query) } else { query.lines().next() };
    let asks = profile.opens_question || first_line.is_some_and(|line| line.trim_end().ends_with('?'));
    let numbers = [
        profile.n_chars as f32,
        words as f32,
        profile.n_sentences as f32,
        profile.n_lines as f32,
        profile.n_items as f32,
        word_bytes as f32 / words.max(1) as f32,
        profile.longest_word as f32,
        profile.n_upper as f32 / profile.n_letters.max(1) as f32,
        profile.n_digits as f32 / characters,
        profile.n_marks as f32 / characters,
        profile.n_non_ascii as f32 / characters,
        profile.n_numbers as f32,
        profile.n_urls as f32,
        profile.n_paths as f32,
        profile.n_fences as f32,
        profile.n_backticks as f32,
        profile.n_identifiers as f32,
        profile.code_likelihood() as f32,
        profile.n_question_marks as f32,
        f32::from(u8::from(asks)),
        f32::from(u8::from(profile.opens_command)),
        profile.topic(Topic::Question) as f32,
    ];
    row.copy_from_slice(&numbers);
}
