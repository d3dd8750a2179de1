//! The words that the static router and the surfaces react to.

use std::cmp::Ordering;

/// What a word speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WordClass {
    /// Small talk.
    Chat,
    /// Programming.
    Coding,
    /// Weighing and explaining.
    Reasoning,
    /// Something a tool can look up or do.
    Tool,
    /// Haste.
    Urgent,
    /// Nothing in particular.
    Vague,
}

use WordClass::{Chat, Coding, Reasoning, Tool, Urgent, Vague};

/// Every word that counts, in alphabetical order.
pub(crate) const VOCABULARY: &[(&str, WordClass)] = &[
    ("analyze", Reasoning),
    ("anyway", Vague),
    ("argue", Reasoning),
    ("array", Coding),
    ("asap", Urgent),
    ("assess", Reasoning),
    ("async", Coding),
    ("backup", Tool),
    ("birthday", Chat),
    ("bored", Chat),
    ("borrow", Coding),
    ("calendar", Tool),
    ("class", Coding),
    ("closure", Coding),
    ("compare", Reasoning),
    ("compile", Coding),
    ("conclude", Reasoning),
    ("consequences", Reasoning),
    ("convert", Tool),
    ("cpu", Tool),
    ("curious", Chat),
    ("deadline", Urgent),
    ("deadlock", Coding),
    ("decide", Reasoning),
    ("derive", Reasoning),
    ("disk", Tool),
    ("emergency", Urgent),
    ("estimate", Reasoning),
    ("evaluate", Reasoning),
    ("exception", Coding),
    ("explain", Reasoning),
    ("favourite", Chat),
    ("forecast", Tool),
    ("function", Coding),
    ("funny", Chat),
    ("git", Coding),
    ("goroutine", Coding),
    ("greetings", Chat),
    ("hello", Chat),
    ("hey", Chat),
    ("hi", Chat),
    ("immediately", Urgent),
    ("implications", Reasoning),
    ("issue", Vague),
    ("iterator", Coding),
    ("javascript", Coding),
    ("joke", Chat),
    ("json", Coding),
    ("justify", Reasoning),
    ("latency", Tool),
    ("logs", Tool),
    ("loop", Coding),
    ("lovely", Chat),
    ("meeting", Tool),
    ("memory", Tool),
    ("metrics", Tool),
    ("mutex", Coding),
    ("network", Tool),
    ("news", Tool),
    ("now", Urgent),
    ("parser", Coding),
    ("ping", Tool),
    ("plan", Reasoning),
    ("price", Tool),
    ("prove", Reasoning),
    ("python", Coding),
    ("quickly", Urgent),
    ("rate", Tool),
    ("recommend", Chat),
    ("recursion", Coding),
    ("refactor", Coding),
    ("regex", Coding),
    ("restart", Tool),
    ("rust", Coding),
    ("script", Coding),
    ("situation", Vague),
    ("snapshot", Tool),
    ("something", Vague),
    ("sql", Coding),
    ("status", Tool),
    ("story", Chat),
    ("strategy", Reasoning),
    ("stuff", Vague),
    ("temperature", Tool),
    ("thanks", Chat),
    ("thing", Vague),
    ("traceback", Coding),
    ("trade-offs", Reasoning),
    ("typescript", Coding),
    ("uptime", Tool),
    ("urgent", Urgent),
    ("usage", Tool),
    ("weather", Tool),
    ("weekend", Chat),
    ("weird", Vague),
    ("why", Reasoning),
];

/// The class of a word, whatever its case, with its spelling in the vocabulary.
pub(crate) fn lookup(word: &str) -> Option<(&'static str, WordClass)> {
    let row = VOCABULARY.binary_search_by(|(known, _)| compare(known, word)).ok()?;
    Some(VOCABULARY[row])
}

/// Compares a word of the vocabulary with one of a text, letter by letter in lower case.
fn compare(known: &str, word: &str) -> Ordering {
    known.bytes().cmp(word.bytes().map(|byte| byte.to_ascii_lowercase()))
}

/// The words of a text: runs of letters, digits and inner hyphens.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '-')).map(|word| word.trim_matches('-')).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vocabulary_is_sorted() {
        assert!(VOCABULARY.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn case_does_not_matter() {
        assert_eq!(lookup("CPU"), Some(("cpu", Tool)));
        assert_eq!(lookup("cpus"), None);
        assert_eq!(words("Weigh the trade-offs - please!").collect::<Vec<_>>(), ["Weigh", "the", "trade-offs", "please"]);
    }
}
