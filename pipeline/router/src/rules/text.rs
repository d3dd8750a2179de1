//! A query's text as rules see it: in lower case, with its words.

use std::ops::Range;

/// Words that a command may begin with without being one.
const COURTESY: [&str; 7] = ["please", "can", "could", "you", "urgent", "asap", "kindly"];

/// A text in lower case and where its words are; reused.
#[derive(Clone, Debug, Default)]
pub struct RulesScratch {
    lower: String,
    words: Vec<Range<usize>>,
    /// The [`mark`]s of all words: most words that rules ask for have one that no word has.
    marks: u64,
}

/// One of 64 marks of a word, by its first byte and its length.
fn mark(word: &str) -> u64 {
    let first = word.as_bytes().first().copied().unwrap_or_default();
    1 << ((usize::from(first) + 5 * word.len()) % 64)
}

impl RulesScratch {
    /// Takes a text.
    pub(super) fn read(&mut self, text: &str) {
        self.lower.clear();
        if text.is_ascii() {
            self.lower.push_str(text);
            self.lower.make_ascii_lowercase();
        } else {
            self.lower.extend(text.chars().flat_map(char::to_lowercase));
        }
        self.words.clear();
        let mut start = None;
        for (position, letter) in self.lower.char_indices() {
            let is_word = letter.is_alphanumeric() || (start.is_some() && matches!(letter, '-' | '_' | '\''));
            match (is_word, start) {
                (true, None) => start = Some(position),
                (false, Some(from)) => {
                    self.words.push(from..position);
                    start = None;
                }
                _ => {}
            }
        }
        if let Some(from) = start {
            self.words.push(from..self.lower.len());
        }
        self.marks = self.words().fold(0, |marks, word| marks | mark(word));
    }

    pub(super) fn contains(&self, part: &str) -> bool {
        self.lower.contains(part)
    }

    pub(super) fn has_word(&self, word: &str) -> bool {
        self.marks & mark(word) != 0 && self.words().any(|found| found == word)
    }

    /// The first word that is no courtesy.
    pub(super) fn first_word(&self) -> Option<&str> {
        self.words().find(|word| !COURTESY.contains(word))
    }

    pub(super) fn n_words(&self) -> usize {
        self.words.len()
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(|range| &self.lower[range.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_at_everything_but_letters_digits_and_inner_hyphens() {
        let mut scratch = RulesScratch::default();
        scratch.read("Could you RESTART web-01, then Größe?");
        assert_eq!(scratch.words().collect::<Vec<_>>(), ["could", "you", "restart", "web-01", "then", "größe"]);
        assert_eq!((scratch.first_word(), scratch.has_word("web"), scratch.contains("web")), (Some("restart"), false, true));
        scratch.read("");
        assert_eq!((scratch.first_word(), scratch.n_words()), (None, 0));
    }
}
