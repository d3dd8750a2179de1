//! The static three-stage router: classify, select, validate. Rules only; it errs on purpose where people phrase things unusually.

use serde::Serialize;

use crate::draw::rounded;
use crate::features::{QueryFeatures, WordCounts};
use crate::surface::Role;
use crate::vocabulary::words;

/// Verbs that open a command for a tool, in lower case.
const COMMANDS: [&str; 14] =
    ["show", "list", "check", "get", "run", "restart", "convert", "take", "fetch", "ping", "report", "create", "add", "look"];

/// Complexity estimates up to here are simple.
const SIMPLE: f64 = 0.35;

/// Complexity estimates up to here are medium, above they are complex.
const MEDIUM: f64 = 0.60;

/// Confidence below which stage 3 names an alternative.
const DOUBTFUL: f64 = 0.65;

/// The type stage 1 sees in a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryType {
    /// A lookup or an action.
    ToolDirect,
    /// Weighing and explaining.
    Reasoning,
    /// Programming.
    Coding,
    /// Everything else.
    Chat,
}

/// The static router's decision, with what its three stages said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StaticRoute {
    /// Stage 1: type of the query.
    pub query_type: QueryType,
    /// Stage 1: `simple`, `medium` or `complex`.
    pub complexity: &'static str,
    /// Stage 1: confidence in the type, in [0, 1].
    pub confidence: f64,
    /// Stage 1: whether a tool is needed.
    pub requires_tools: bool,
    /// Stage 2: the path by its role.
    pub role: Role,
    /// Stage 2: why.
    pub rationale: &'static str,
    /// Stage 3: whether the choice stands.
    pub is_valid: bool,
    /// Stage 3: confidence in the choice, in [0, 1].
    pub confidence_score: f64,
    /// Stage 3: what speaks against it.
    pub concerns: &'static [&'static str],
    /// Stage 3: the path it would take instead.
    pub alternative: Option<Role>,
}

/// Routes a query by fixed rules on its words.
pub(crate) fn route(text: &str, features: &QueryFeatures, counts: &WordCounts) -> StaticRoute {
    let (query_type, confidence) = classify(text, features, counts);
    let confidence = rounded(confidence.clamp(0.3, 0.98), 100.0);
    let (role, rationale) = match query_type {
        QueryType::ToolDirect => (Role::DirectTool, "a tool answers this directly"),
        QueryType::Reasoning => (Role::Reasoning, "needs several steps of reasoning"),
        QueryType::Coding => (Role::Coding, "programming words or a code block"),
        QueryType::Chat => (Role::Standard, "conversation, no special needs"),
    };
    let doubtful = confidence < DOUBTFUL;
    StaticRoute {
        query_type,
        complexity: bucket(features.complexity_estimate),
        confidence,
        requires_tools: counts.tool > 0,
        role,
        rationale,
        is_valid: true,
        confidence_score: rounded(0.1 + 0.9 * confidence, 100.0),
        concerns: if doubtful { &["type is uncertain"] } else { &[] },
        alternative: doubtful.then_some(Role::Reasoning),
    }
}

/// Stage 1. The first rule that applies decides.
fn classify(text: &str, features: &QueryFeatures, counts: &WordCounts) -> (QueryType, f64) {
    let [chat, coding, reasoning, tool, vague] = [counts.chat, counts.coding, counts.reasoning, counts.tool, counts.vague].map(f64::from);
    if features.has_code {
        return (QueryType::Coding, 0.90 + 0.02 * coding.min(3.0));
    }
    if counts.chat > 0 {
        return (QueryType::Chat, 0.88 + 0.02 * chat.min(3.0) - 0.07 * coding.min(3.0) - 0.04 * tool.min(3.0));
    }
    if counts.vague > 0 {
        return (QueryType::Chat, 0.58 - 0.03 * vague.min(3.0));
    }
    if counts.tool > 0 && starts_with_command(text) {
        return (QueryType::ToolDirect, 0.88 + 0.03 * tool.min(3.0) - 0.04 * reasoning.min(3.0));
    }
    if counts.reasoning > 0 && counts.reasoning >= counts.coding {
        return (QueryType::Reasoning, 0.76 + 0.05 * reasoning.min(3.0) - 0.03 * coding.min(3.0));
    }
    if counts.coding > 0 {
        return (QueryType::Coding, 0.74 + 0.05 * coding.min(3.0));
    }
    if counts.tool > 0 {
        return (QueryType::ToolDirect, 0.70 + 0.03 * tool.min(3.0));
    }
    (QueryType::Chat, 0.60)
}

/// Whether the first word is a command for a tool.
fn starts_with_command(text: &str) -> bool {
    let polite = |word: &&str| !["please", "urgent", "asap", "emergency"].iter().any(|known| known.eq_ignore_ascii_case(word));
    words(text).find(polite).is_some_and(|first| COMMANDS.iter().any(|known| known.eq_ignore_ascii_case(first)))
}

/// The three grades of complexity.
fn bucket(complexity_estimate: f64) -> &'static str {
    match complexity_estimate {
        c if c <= SIMPLE => "simple",
        c if c <= MEDIUM => "medium",
        _ => "complex",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::read;

    fn typed(text: &str) -> QueryType {
        let (features, counts) = read(text);
        route(text, &features, &counts).query_type
    }

    #[test]
    fn plain_phrasings_are_classified() {
        assert_eq!(typed("Show the cpu usage on web-01"), QueryType::ToolDirect);
        assert_eq!(typed("Please restart the billing service, check its status"), QueryType::ToolDirect);
        assert_eq!(typed("Why do caches go stale? Explain the trade-offs."), QueryType::Reasoning);
        assert_eq!(typed("Write a python function that sorts"), QueryType::Coding);
        assert_eq!(typed("Tell me a joke"), QueryType::Chat);
    }

    #[test]
    fn a_friendly_coding_question_is_taken_for_chat() {
        assert_eq!(typed("Hey, how do I write a regex in python?"), QueryType::Chat);
    }
}
