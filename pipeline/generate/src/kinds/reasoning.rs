//! Weighing, planning and explaining.

use super::QueryKind;

/// From one-line questions to long comparisons.
pub(super) const KIND: QueryKind =
    QueryKind { name: "reasoning", day_share: 0.21, evening_share: 0.18, trend: 0.2, groups: &[(0.5, SHORT), (0.5, LONG)] };

const SHORT: &[&str] = &[
    "Why does %topic% matter for %field%?",
    "Explain %topic% to a new colleague in %number% sentences",
    "Compare %topic% with %topic% for %field%",
    "Estimate how long it takes %company% to double its revenue at %number% percent a year",
    "Prove that the sum of %number% odd numbers is a square",
    "Why would %company% choose %topic% over %topic%?",
    "Evaluate the claim that %topic% makes %field% cheaper",
];

const LONG: &[&str] = &[
    "Analyze the implications of %topic% for %field% over the next %number% months, and decide whether %company% should invest. Justify each step.",
    "Compare %topic% and %topic% for %field%: list the trade-offs, assess the risks for %company%, and conclude which one to take",
    "We have %number% engineers and %number% weeks. Plan how to introduce %topic% in %field%, explain the strategy and its consequences",
    "Derive from first principles why %topic% changes the economics of %field%, and estimate the effect for a firm in %city%",
    "%company% wants to move %field% to %city%. Argue for and against, evaluate the consequences, and recommendations should come last",
    "Assess three ways to organise %field% around %topic%; explain the trade-offs and decide which fits a team of %number%",
];
