//! Programming: with a code block, in plain words, or phrased as small talk.

use super::QueryKind;

/// The friendly ones are those that the static rules take for chat.
pub(super) const KIND: QueryKind = QueryKind {
    name: "coding",
    day_share: 0.26,
    evening_share: 0.24,
    trend: 0.4,
    groups: &[(0.27, BLOCKS), (0.28, HARD_BLOCKS), (0.33, FRIENDLY), (0.12, PLAIN)],
};

const BLOCKS: &[&str] = &[
    "Fix this:\n%code%",
    "Add a test for the case of %number% items:\n%code%",
    "Rename the variables so that they make sense\n%code%",
    "What does this return for %number%?\n%code%",
    "Port this to another language, keep it short\n%code%",
    "Add types and a comment, please.\n%code%",
];

const HARD_BLOCKS: &[&str] = &[
    "Explain why this function is slow with %number% rows, compare two ways to refactor it, and decide which is safer\n%code%",
    "This async code ends in a deadlock about once in %number% runs. Analyze the order of events and explain why it happens\n%code%",
    "Evaluate this class against our plan for %service%: what are the consequences when %number% clients call it?\n%code%",
    "Prove or disprove that the loop ends for every array, and explain the reasoning for %number% and for 0\n%code%",
    "Why does the parser raise an exception on input %number%? Analyze the recursion, then refactor\n%code%",
];

const FRIENDLY: &[&str] = &[
    "Hey, quick one: how do I reverse %thing_in_code% in %language%?",
    "Hi there! I was wondering how to write a regex for %pattern% in %language%",
    "Hello again, my %language% script stops at item %number% with an exception, what would you try?",
    "Just curious, what is the nicest way to loop over %thing_in_code% in %language%?",
    "Hi! Thanks for yesterday. Could you show me how a closure captures %thing_in_code% in %language%?",
    "Hey, do you know how to undo the last %number% git commits without losing the %service% work?",
    "Hi, my %language% function for %pattern% does not compile since %weekday%, any idea?",
    "Greetings! Is there a simple sql query that counts %thing_in_code% per %weekday%?",
    "Funny question maybe, but how would you refactor a %language% class with %number% methods?",
];

const PLAIN: &[&str] = &[
    "Write a %language% function that finds %pattern% in %thing_in_code%",
    "Write a sql query that joins %thing_in_code% with the %service% table and keeps the last %number% rows",
    "Refactor the %service% module so that the %language% script needs no loop over %thing_in_code%",
    "Turn %thing_in_code% into json with a %language% iterator, at most %number% at a time",
];
