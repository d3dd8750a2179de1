//! Queries that do not say what they want; more of them come in the evening.

use super::QueryKind;

/// The static rules fall back to conversation.
pub(super) const KIND: QueryKind =
    QueryKind { name: "ambiguous", day_share: 0.11, evening_share: 0.24, trend: 0.1, groups: &[(1.0, UNCLEAR)] };

const UNCLEAR: &[&str] = &[
    "That thing from %weekday% is back, can you look into it?",
    "There is something weird with %service% since %weekday%",
    "%person% says the issue with %host% is not solved, what next?",
    "Can you do the same for the %service% stuff as for %host%?",
    "I need a better way to handle the %company% thing before %weekday%",
    "Something about %topic% does not add up, see the numbers for %city%",
    "It happened again on %host%, same situation as %number% days ago",
    "How should we go on with the %field% stuff?",
    "%person% and I see the situation in %city% differently, help us",
    "The thing with %company%: yes or no?",
    "Anyway, what about the other issue in %region%, the one with %number%?",
    "Make the %service% situation better for %person% until %weekday%",
];
