//! What the logger notes about a query's text.

use serde::Serialize;

use crate::draw::rounded;
use crate::vocabulary::{WordClass, lookup, words};

/// Most keywords that are logged for one query.
const MAX_KEYWORDS: usize = 6;

/// Words that open a question, in lower case.
const QUESTION_WORDS: [&str; 11] = ["what", "why", "how", "which", "who", "when", "where", "is", "are", "does", "can"];

/// The five logged features of a query.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct QueryFeatures {
    /// Number of words.
    pub length: u32,
    /// Whether there is a code block.
    pub has_code: bool,
    /// Whether it asks: a question mark, or a question word at the start.
    pub has_question: bool,
    /// How hard the router thinks it is, in [0, 1], to two decimals.
    pub complexity_estimate: f64,
    /// Words of the vocabulary, in order of appearance, each once.
    pub keywords: Vec<&'static str>,
}

/// How many words of each class a text has; what the static rules look at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct WordCounts {
    /// Small talk.
    pub chat: u32,
    /// Programming.
    pub coding: u32,
    /// Weighing and explaining.
    pub reasoning: u32,
    /// Lookups and actions.
    pub tool: u32,
    /// Haste.
    pub urgent: u32,
    /// Nothing in particular.
    pub vague: u32,
}

/// Reads the features and the word counts off a text. Words inside a code block count for the length only.
pub(crate) fn read(text: &str) -> (QueryFeatures, WordCounts) {
    let mut counts = WordCounts::default();
    let mut keywords: Vec<&'static str> = Vec::new();
    let mut length = 0;
    let mut starts_as_question = false;
    for (part, prose) in text.split("```").enumerate().map(|(position, part)| (part, position % 2 == 0)) {
        for word in words(part) {
            if length == 0 {
                starts_as_question = QUESTION_WORDS.iter().any(|known| known.eq_ignore_ascii_case(word));
            }
            length += 1;
            let Some((keyword, class)) = lookup(word).filter(|_| prose) else { continue };
            counts.add(class);
            if keywords.len() < MAX_KEYWORDS && !keywords.contains(&keyword) {
                keywords.push(keyword);
            }
        }
    }
    let has_code = text.contains("```");
    let features = QueryFeatures {
        length,
        has_code,
        has_question: starts_as_question || text.contains('?'),
        complexity_estimate: complexity(length, has_code, &counts),
        keywords,
    };
    (features, counts)
}

/// A rule of thumb: longer, more technical and more demanding texts are harder.
fn complexity(length: u32, has_code: bool, counts: &WordCounts) -> f64 {
    let score = 0.05
        + 0.006 * f64::from(length.min(40))
        + 0.12 * f64::from(counts.coding.min(3))
        + 0.13 * f64::from(counts.reasoning.min(3))
        + 0.05 * f64::from(counts.vague.min(2))
        + if has_code { 0.15 } else { 0.0 };
    rounded(score.clamp(0.0, 1.0), 100.0)
}

impl WordCounts {
    /// Counts one word.
    fn add(&mut self, class: WordClass) {
        *match class {
            WordClass::Chat => &mut self.chat,
            WordClass::Coding => &mut self.coding,
            WordClass::Reasoning => &mut self.reasoning,
            WordClass::Tool => &mut self.tool,
            WordClass::Urgent => &mut self.urgent,
            WordClass::Vague => &mut self.vague,
        } += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_question_is_read() {
        let (features, counts) = read("What is the CPU usage on web-01? CPU only.");
        assert_eq!(features.keywords, ["cpu", "usage"]);
        assert_eq!((features.length, features.has_code, features.has_question), (9, false, true));
        assert_eq!((counts.tool, counts.coding), (3, 0));
    }

    #[test]
    fn words_inside_code_only_make_it_longer() {
        let (features, counts) = read("Fix this:\n```\nlet python = loop;\n```");
        assert_eq!(counts.coding, 0);
        assert_eq!((features.length, features.has_code), (5, true));
    }
}
