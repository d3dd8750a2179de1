//! The profile of a text in ASCII, byte by byte with tables: what the pass over characters finds, several times as fast.

use super::{TextProfile, saturate};
use crate::lexicon::KEY_BYTES;

/// Bytes after which a counter of eight bits may be full.
const CHUNK: usize = 255;

/// What a byte counts as: eight counters side by side, eight bits each, in the order of [`add_counts`].
static COUNTS: [u64; 256] = table_of_counts();

/// As many as a key reads.
const SPACES: &str = "                ";
const _: () = assert!(SPACES.len() == KEY_BYTES);

/// Letters, digits and underscores: what words are made of.
const WORD: u8 = 1;
/// What counts only by what stands before it.
const DEPENDS: u8 = 2;
const UPPER: u8 = 4;
const LOWER: u8 = 8;

/// What kinds of byte there are.
static KINDS: [u8; 256] = table_of_kinds();

const fn table_of_counts() -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let character = byte as u8;
        let is = [
            character.is_ascii_digit(),
            character.is_ascii_alphabetic(),
            character.is_ascii_uppercase(),
            matches!(character, b'.' | b'!' | b'?' | b',' | b':' | b'"' | b'\'' | b'-'),
            matches!(character, b'{' | b'}' | b';' | b'=' | b'<' | b'>' | b'[' | b']' | b'$' | b'|' | b'&' | b'#'),
            character == b'?',
            character == b'!',
            character == b'`',
        ];
        let mut counter = 0;
        while counter < is.len() {
            table[byte] |= (is[counter] as u64) << (8 * counter);
            counter += 1;
        }
        byte += 1;
    }
    table
}

const fn table_of_kinds() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let character = byte as u8;
        let depends = character.is_ascii_digit() || matches!(character, b'.' | b'!' | b'?' | b'/' | b'\\' | b'(' | b'`');
        let kinds = [
            (WORD, character.is_ascii_alphanumeric() || character == b'_'),
            (DEPENDS, depends),
            (UPPER, character.is_ascii_uppercase()),
            (LOWER, character.is_ascii_lowercase()),
        ];
        let mut kind = 0;
        while kind < kinds.len() {
            if kinds[kind].1 {
                table[byte] |= kinds[kind].0;
            }
            kind += 1;
        }
        byte += 1;
    }
    table
}

fn is(byte: u8, kind: u8) -> bool {
    KINDS[usize::from(byte)] & kind != 0
}

/// Counts what single bytes and their neighbours tell.
pub(super) fn count_characters(profile: &mut TextProfile, text: &[u8]) {
    for chunk in text.chunks(CHUNK) {
        add_counts(profile, chunk.iter().map(|byte| COUNTS[usize::from(*byte)]).sum());
    }
    for (position, &byte) in text.iter().enumerate().filter(|(_, byte)| is(**byte, DEPENDS)) {
        let before = |distance: usize| position.checked_sub(distance).map_or(b' ', |at| text[at]);
        let previous = before(1);
        match byte {
            b'0'..=b'9' => profile.n_numbers += u32::from(!previous.is_ascii_digit()),
            b'.' | b'!' | b'?' => profile.n_sentences += u32::from(!matches!(previous, b'.' | b'!' | b'?')),
            b'(' => profile.n_code_marks += u32::from(is(previous, WORD)),
            b'`' => {
                let run = (2..4).map(before).take_while(|byte| *byte == b'`').count();
                profile.n_fences += u32::from(previous == b'`' && run == 1);
            }
            _ => {
                profile.n_urls += u32::from(byte == b'/' && previous == b'/' && before(2) == b':');
                profile.n_paths += u32::from(previous.is_ascii_alphanumeric() || matches!(previous, b' ' | b'.' | b'~'));
            }
        }
    }
}

fn add_counts(profile: &mut TextProfile, counts: u64) {
    let [digits, letters, upper, marks, code_marks, questions, exclamations, backticks] = counts.to_le_bytes().map(u32::from);
    profile.n_digits += digits;
    profile.n_letters += letters;
    profile.n_upper += upper;
    profile.n_marks += marks;
    profile.n_code_marks += code_marks;
    profile.n_question_marks += questions;
    profile.n_exclamation_marks += exclamations;
    profile.n_backticks += backticks;
}

/// Splits words, which lie in the whole text in lower case.
pub(super) fn split_words(profile: &mut TextProfile, text: &str) {
    profile.lower.push_str(text);
    profile.lower.make_ascii_lowercase();
    // So that the keys of the last words are read as those of the first.
    profile.lower.push_str(SPACES);
    let text = text.as_bytes();
    let mut at = 0;
    while let Some(skipped) = text[at..].iter().position(|byte| is(*byte, WORD)) {
        let start = at + skipped;
        let (mut is_identifier, mut has_apostrophe) = (false, false);
        at = start + 1;
        while let Some(&byte) = text.get(at) {
            if is(byte, WORD) {
                is_identifier |= byte == b'_' || (is(byte, UPPER) && is(text[at - 1], LOWER));
            } else if matches!(byte, b'\'' | b'-') && text.get(at + 1).is_some_and(u8::is_ascii_alphabetic) {
                has_apostrophe |= byte == b'\'';
            } else {
                break;
            }
            at += 1;
        }
        profile.n_identifiers += u32::from(is_identifier);
        profile.longest_word = profile.longest_word.max(saturate(at - start));
        profile.push_word(start, at, has_apostrophe);
    }
}
