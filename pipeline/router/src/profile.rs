//! What a query's text holds: counts, and its words in lower case.

mod ascii;

use crate::lexicon::{Facts, N_TOPICS, Topic, WordKey};

/// Bytes of a text that are looked at; the rest counts as characters only. Bounds the time of one decision.
pub(crate) const MAX_TEXT_BYTES: usize = 16 * 1024;

/// Bytes from which on a word may be a keyword.
const MIN_CONTENT_BYTES: u32 = 4;

/// Distinct content words that are counted, at most.
const MAX_CONTENT_WORDS: usize = 64;

/// What is found in a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TextProfile {
    /// Characters of the whole text.
    pub n_chars: u32,
    /// Lines, blank ones included.
    pub n_lines: u32,
    /// Sentences: runs of `.`, `!`, `?`.
    pub n_sentences: u32,
    pub n_digits: u32,
    /// Numbers: runs of digits.
    pub n_numbers: u32,
    pub n_letters: u32,
    pub n_upper: u32,
    pub n_non_ascii: u32,
    /// Punctuation marks of prose.
    pub n_marks: u32,
    /// Characters that are frequent in programs and rare in prose.
    pub n_code_marks: u32,
    pub n_question_marks: u32,
    pub n_exclamation_marks: u32,
    pub n_backticks: u32,
    /// Fences of three backticks.
    pub n_fences: u32,
    pub n_urls: u32,
    /// File paths: `/` or `\` between word characters, outside addresses.
    pub n_paths: u32,
    /// Words with an underscore, or with a capital after a small letter.
    pub n_identifiers: u32,
    /// Lines that start with two blanks or a tab.
    pub n_indented: u32,
    /// List items: lines that start with `-`, `*` or a number and a full stop.
    pub n_items: u32,
    /// Distinct words that are no function words and open no question, at most [`MAX_CONTENT_WORDS`].
    pub n_content_words: u32,
    /// Words of each topic.
    pub topics: [u32; N_TOPICS],
    /// Length of the longest word, in bytes.
    pub longest_word: u32,
    /// Whether the first word opens a question or a command.
    pub opens_question: bool,
    pub opens_command: bool,
    lower: String,
    words: Vec<Word>,
    /// The first of each of [`Self::n_content_words`], by their positions.
    distinct: Vec<u32>,
}

/// Where a word stands in the lower-case text, and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Word {
    start: u32,
    end: u32,
    pub has_apostrophe: bool,
    pub key: WordKey,
    /// What the lists say about it.
    pub facts: Facts,
}

impl TextProfile {
    /// Replaces the contents by what a text holds.
    pub fn read(&mut self, text: &str) {
        let (mut lower, mut words) = (std::mem::take(&mut self.lower), std::mem::take(&mut self.words));
        let mut distinct = std::mem::take(&mut self.distinct);
        lower.clear();
        words.clear();
        distinct.clear();
        *self = Self { lower, words, distinct, ..Self::default() };
        self.n_chars = saturate(if text.is_ascii() { text.len() } else { text.chars().count() });
        let text = head(text);
        if text.is_ascii() {
            ascii::count_characters(self, text.as_bytes());
            ascii::split_words(self, text);
        } else {
            self.count_characters(text);
            self.split_words(text);
        }
        self.count_lines(text);
        self.count_words();
        self.count_content_words();
    }

    /// Number of words.
    pub fn n_words(&self) -> u32 {
        saturate(self.words.len())
    }

    /// The words in lower case, in the order of the text.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.entries().map(|(text, _)| text)
    }

    /// [`Self::words`] with what is known of each.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Word)> {
        self.words.iter().map(|word| (self.lower.get(word.start as usize..word.end as usize).unwrap_or_default(), word))
    }

    /// What the lists say about each of [`Self::words`].
    pub fn facts(&self) -> impl Iterator<Item = Facts> {
        self.words.iter().map(|word| word.facts)
    }

    /// The part of a text that is looked at.
    pub fn head<'a>(&self, text: &'a str) -> &'a str {
        head(text)
    }

    /// How many words of a topic there are.
    pub fn topic(&self, topic: Topic) -> u32 {
        self.topics[topic as usize]
    }

    /// Share of code, in [0, 1]: fences decide; otherwise code marks, identifiers, keywords and indentation against words.
    pub fn code_likelihood(&self) -> f64 {
        if self.n_fences >= 2 {
            return 1.0;
        }
        let signs = f64::from(self.n_code_marks) + 2.0 * f64::from(self.n_identifiers) + 0.5 * f64::from(self.n_indented);
        let keywords = 0.25 * f64::from(self.topic(Topic::CodeToken));
        let evidence = if self.n_code_marks + self.n_identifiers > 0 { signs + keywords } else { 0.0 };
        (evidence / (f64::from(self.n_words()) + 4.0)).min(1.0)
    }

    /// Counts what single characters and their neighbours tell.
    fn count_characters(&mut self, text: &str) {
        let (mut before_previous, mut previous) = (' ', ' ');
        let mut backtick_run = 0;
        for character in text.chars() {
            if character == '`' {
                self.n_backticks += 1;
                backtick_run += 1;
                self.n_fences += u32::from(backtick_run == 3);
            } else {
                backtick_run = 0;
            }
            match character {
                '0'..='9' => {
                    self.n_digits += 1;
                    self.n_numbers += u32::from(!previous.is_ascii_digit());
                }
                '{' | '}' | ';' | '=' | '<' | '>' | '[' | ']' | '$' | '|' | '&' | '#' => self.n_code_marks += 1,
                '.' | '!' | '?' => {
                    self.n_sentences += u32::from(!matches!(previous, '.' | '!' | '?'));
                    self.n_marks += 1;
                    self.n_question_marks += u32::from(character == '?');
                    self.n_exclamation_marks += u32::from(character == '!');
                }
                ',' | ':' | '"' | '\'' | '-' => self.n_marks += 1,
                '/' | '\\' => {
                    self.n_urls += u32::from((before_previous, previous, character) == (':', '/', '/'));
                    self.n_paths += u32::from(previous.is_alphanumeric() || matches!(previous, ' ' | '.' | '~'));
                }
                '(' => self.n_code_marks += u32::from(previous.is_alphanumeric() || previous == '_'),
                _ if character.is_alphabetic() => {
                    self.n_letters += 1;
                    self.n_upper += u32::from(character.is_uppercase());
                }
                _ => {}
            }
            self.n_non_ascii += u32::from(!character.is_ascii());
            (before_previous, previous) = (previous, character);
        }
    }

    /// Counts lines, indented ones and list items.
    fn count_lines(&mut self, text: &str) {
        // Most queries are one line, which takes no search for the ends of lines.
        let n_ends = text.bytes().filter(|byte| *byte == b'\n').count();
        let is_one = !text.is_empty() && n_ends == 0;
        let (one, several) = if is_one { (Some(text), "") } else { (None, text) };
        for line in one.into_iter().chain(several.lines()) {
            self.n_lines += 1;
            self.n_indented += u32::from(line.starts_with("  ") || line.starts_with('\t'));
            let start = line.trim_start();
            let numbered = start.trim_start_matches(|c: char| c.is_ascii_digit());
            let is_numbered = numbered.len() < start.len() && numbered.starts_with(". ");
            self.n_items += u32::from(start.starts_with("- ") || start.starts_with("* ") || is_numbered);
        }
    }

    /// Splits words at everything that is neither letter, digit nor underscore, in lower case; an apostrophe inside a word stays.
    fn split_words(&mut self, text: &str) {
        let (mut start, mut previous) = (0, ' ');
        let (mut is_identifier, mut has_apostrophe) = (false, false);
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let inside = self.lower.len() > start;
            let joins = matches!(character, '\'' | '-') && inside && characters.peek().is_some_and(|next| next.is_alphabetic());
            let is_part = character.is_alphanumeric() || character == '_' || joins;
            if is_part {
                is_identifier |= (character == '_' && inside) || (character.is_uppercase() && previous.is_lowercase() && inside);
                has_apostrophe |= character == '\'';
                self.lower.extend(character.to_lowercase());
            }
            if self.lower.len() > start && !(is_part && characters.peek().is_some()) {
                let end = self.lower.len();
                self.n_identifiers += u32::from(is_identifier);
                self.longest_word = self.longest_word.max(saturate(end - start));
                self.push_word(start, end, has_apostrophe);
                (start, is_identifier, has_apostrophe) = (end, false, false);
            }
            previous = character;
        }
    }

    /// Adds a word that stands in the lower-case text.
    fn push_word(&mut self, start: usize, end: usize, has_apostrophe: bool) {
        let key = WordKey::of(self.lower.as_bytes(), start, end);
        self.words.push(Word { start: saturate(start), end: saturate(end), has_apostrophe, key, facts: Facts::of(key) });
    }

    /// Counts the distinct content words.
    fn count_content_words(&mut self) {
        let (words, lower) = (&self.words, &self.lower);
        let text = |word: &Word| lower.get(word.start as usize..word.end as usize);
        // A word that is too long for a key is known by its letters.
        let is_same = |word: &Word, other: &Word| word.key == other.key && (word.key != WordKey::default() || text(word) == text(other));
        for (position, word) in words.iter().enumerate().filter(|(_, word)| word.is_content()) {
            if self.distinct.len() == MAX_CONTENT_WORDS {
                break;
            }
            if !self.distinct.iter().any(|&earlier| is_same(&words[earlier as usize], word)) {
                self.distinct.push(position as u32);
            }
        }
        self.n_content_words = saturate(self.distinct.len());
    }

    /// Counts words by topic and looks at the opening word, after words of courtesy.
    fn count_words(&mut self) {
        let mut topics = [0; N_TOPICS];
        let mut opening = None;
        for facts in self.facts() {
            facts.count(&mut topics);
            let skipped = facts.has(Topic::Polite) && !facts.has(Topic::Question);
            if opening.is_none() && !skipped {
                opening = Some((facts.has(Topic::Question), facts.has(Topic::Command)));
            }
        }
        self.topics = topics;
        (self.opens_question, self.opens_command) = opening.unwrap_or((false, false));
    }
}

impl Word {
    /// Whether the word may be one of the text's own keywords.
    fn is_content(&self) -> bool {
        let facts = self.facts;
        MIN_CONTENT_BYTES <= self.end - self.start && !facts.is_function_word() && !facts.has(Topic::Question) && !facts.has(Topic::Polite)
    }
}

/// The part of a text that is looked at.
fn head(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A count as 32 bits; larger ones stay at the top.
fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn profile(text: &str) -> TextProfile {
        let mut profile = TextProfile::default();
        profile.read(text);
        profile
    }

    #[test]
    fn words_are_lower_case_and_split_at_marks() {
        let profile = profile("Why doesn't read_file() work, ASAP?");
        assert_eq!(profile.words().collect::<Vec<_>>(), ["why", "doesn't", "read_file", "work", "asap"]);
        assert!(profile.opens_question && !profile.opens_command);
        assert_eq!((profile.n_identifiers, profile.n_question_marks, profile.topic(Topic::Urgent)), (1, 1, 1));
    }

    #[test]
    fn addresses_are_not_paths() {
        let profile = profile("see https://a.b and src/main.rs and /etc/hosts");
        assert_eq!(profile.n_urls, 1);
        assert_eq!(profile.n_paths, 3);
    }

    #[test]
    fn a_fenced_block_is_code() {
        assert_eq!(profile("fix ```\nlet x = 1;\n```").code_likelihood(), 1.0);
        assert_eq!(profile("how are you today my friend").code_likelihood(), 0.0);
        assert!(profile("let total = items.iter().sum();").code_likelihood() > 0.3);
    }

    /// A text by characters, whatever it is written in.
    fn by_characters(text: &str) -> TextProfile {
        let mut profile = TextProfile { n_chars: saturate(text.chars().count()), ..TextProfile::default() };
        profile.count_characters(text);
        profile.split_words(text);
        profile.count_lines(text);
        profile.count_words();
        profile.count_content_words();
        profile
    }

    /// A profile but for where its words lie.
    fn found(profile: TextProfile) -> (TextProfile, Vec<(String, bool, WordKey, Facts)>) {
        let words = profile.entries().map(|(text, word)| (text.to_owned(), word.has_apostrophe, word.key, word.facts)).collect::<Vec<_>>();
        (TextProfile { lower: String::new(), words: Vec::new(), ..profile }, words)
    }

    proptest! {
        #[test]
        fn ascii_is_read_byte_by_byte_as_by_characters(
            text in prop_oneof!["[ -~\\t\\n\\r]{0,300}", "[a-cA-C0-2 _'./:`!?(-]{0,40}", "(why|can't|read_file|SomeName|x|//|://|```|``| |\\.){0,30}"],
        ) {
            prop_assert_eq!(found(profile(&text)), found(by_characters(&text)));
        }

        #[test]
        fn any_text_is_read_and_reading_again_forgets_the_first(text in "\\PC{0,200}", other in ".{0,100}") {
            let mut reused = profile(&other);
            reused.read(&text);
            prop_assert_eq!(&reused, &profile(&text));
            prop_assert!(reused.code_likelihood() <= 1.0);
            prop_assert_eq!(reused.words().count(), reused.n_words() as usize);
        }
    }
}
