//! Small talk.

use super::QueryKind;

/// Nothing to look up, nothing to solve.
pub(super) const KIND: QueryKind = QueryKind { name: "chat", day_share: 0.12, evening_share: 0.14, trend: 0.0, groups: &[(1.0, TALK)] };

const TALK: &[&str] = &[
    "Hi, how was your %weekday%?",
    "Tell me a joke about %animal% and %animal%",
    "Hello! What is your favourite place in %city%?",
    "I am bored, tell me a story with %animal% in it",
    "What should I cook on the weekend for %number% friends?",
    "Can you recommend a film for a rainy %weekday%?",
    "Thanks, that was lovely. Talk to you on %weekday%!",
    "Write a birthday card for %person%, who turns %number%",
    "Hey, do you like %activity%?",
    "Tell me something nice, I had a long %weekday% with %person%, thanks",
    "What would be a funny name for %animal% that likes %activity%?",
    "Do you have a favourite book about %city%? %person% wants one for the weekend",
];
