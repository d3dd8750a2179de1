//! One line of an `e009` log: the object of the format, borrowed from a decision.

use routewright_domain::{Arm, Rng, Timestamp};
use serde::{Serialize, Serializer};

use crate::context::Context;
use crate::draw::{factor, position, rounded, uniform};
use crate::features::QueryFeatures;
use crate::router::QueryType;
use crate::surface::Role;
use crate::world::{GeneratedDecision, World, share_around};

/// Share of answers a user reacts to.
const FEEDBACK_SHARE: f64 = 0.15;

/// Share of decisions a reviewer looked at.
const RATED_SHARE: f64 = 0.02;

/// Errors that a failing path reports.
const ERRORS: &[&str] = &[
    "answer rejected by validator",
    "tool returned an empty result",
    "context window exceeded",
    "upstream connection reset",
    "output did not parse",
    "rate limit reached",
    "wrong answer reported by user",
];

/// Tools by the keyword that asks for them; the first keyword of a query decides.
const TOOLS: &[(&[&str], &str)] = &[
    (&["calendar", "meeting"], "calendar"),
    (&["convert", "price", "rate"], "price_lookup"),
    (&["weather", "forecast", "temperature"], "weather"),
    (&["news"], "web_search"),
    (&["logs"], "log_reader"),
    (&["restart", "status", "backup", "uptime"], "service_control"),
];

/// The tool of a query without a telling keyword.
const DEFAULT_TOOL: &str = "system_metrics_snapshot";

/// Appends the decision as one line, without its end.
pub(crate) fn write_line(world: &World, decision: &GeneratedDecision, line: &mut Vec<u8>) -> serde_json::Result<()> {
    serde_json::to_writer(line, &record(world, decision))
}

/// Appends one line per path, each with what that path would have given. Nobody chose, so there are no propensities.
pub(crate) fn write_every_path(world: &World, decision: &GeneratedDecision, log: &mut Vec<u8>) -> serde_json::Result<()> {
    for at in 0..decision.success.len() {
        let arm = Arm(at as u16);
        let ran = GeneratedDecision { arm, trace_id: format!("{}-{at}", decision.trace_id), ..decision.clone() };
        let mut record = record(world, &ran);
        record.routing_decision =
            Routing { propensity: None, propensities: None, policy_id: "every-path", explored: false, ..record.routing_decision };
        serde_json::to_writer(&mut *log, &record)?;
        log.push(b'\n');
    }
    Ok(())
}

/// A line of a gateway that tests a learned router.
#[derive(Serialize)]
struct Test<'a> {
    #[serde(serialize_with = "rfc3339")]
    timestamp: Timestamp,
    task_id: &'a str,
    method: &'static str,
    selected_master: &'a str,
    confidence: f64,
    ab_test_group: &'static str,
    outcome: &'static str,
}

/// Appends the line of a randomised test: the static router's path, or the best.
pub(crate) fn write_test(world: &World, decision: &GeneratedDecision, log: &mut Vec<u8>) -> serde_json::Result<()> {
    let is_treated = uniform(&mut world.rng("group", decision.index)) < 0.5;
    let arm = if is_treated { decision.best_arm } else { decision.static_arm };
    let line = Test {
        timestamp: decision.situation.timestamp,
        task_id: &decision.trace_id,
        method: if is_treated { "ml" } else { "rule-based" },
        selected_master: world.paths().name(arm),
        confidence: decision.situation.route.confidence_score,
        ab_test_group: if is_treated { "treatment" } else { "control" },
        outcome: if decision.success[arm.index()] { "completed" } else { "failed" },
    };
    serde_json::to_writer(&mut *log, &line)?;
    log.push(b'\n');
    Ok(())
}

/// A map from path to value.
pub(crate) struct ByPath<'a, T> {
    /// Names of the paths.
    pub names: &'a [String],
    /// A value per path.
    pub values: &'a [T],
}

impl<T: Serialize> Serialize for ByPath<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.names.iter().zip(self.values))
    }
}

/// A map from path to probability that leaves out the impossible.
struct Possible<'a>(ByPath<'a, f64>);

impl Serialize for Possible<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.names.iter().zip(self.0.values).filter(|(_, probability)| **probability > 0.0))
    }
}

/// Writes a time as RFC 3339 in UTC.
pub(crate) fn rfc3339<S: Serializer>(timestamp: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    let instant = jiff::Timestamp::from_microsecond(timestamp.0).map_err(serde::ser::Error::custom)?;
    serializer.collect_str(&instant)
}

#[derive(Serialize)]
struct Record<'a> {
    trace_id: &'a str,
    #[serde(serialize_with = "rfc3339")]
    timestamp: Timestamp,
    query: &'a str,
    query_id: String,
    session_id: String,
    user_id: String,
    query_features: &'a QueryFeatures,
    context: &'a Context,
    routing_decision: Routing<'a>,
    execution_outcome: Outcome,
    quality_metrics: Quality<'a>,
}

#[derive(Serialize)]
struct Routing<'a> {
    execution_path: &'a str,
    tool_name: Option<&'static str>,
    confidence: f64,
    stage_1_result: Classified,
    stage_2_result: Selected<'a>,
    stage_3_result: Validated<'a>,
    static_path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    propensity: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    propensities: Option<Possible<'a>>,
    candidates: &'a [String],
    policy_id: &'static str,
    explored: bool,
}

#[derive(Serialize)]
struct Classified {
    query_type: QueryType,
    complexity: &'static str,
    confidence: f64,
    requires_tools: bool,
}

#[derive(Serialize)]
struct Selected<'a> {
    execution_path: &'a str,
    tool_name: Option<&'static str>,
    rationale: &'static str,
}

#[derive(Serialize)]
struct Validated<'a> {
    is_valid: bool,
    confidence_score: f64,
    concerns: &'static [&'static str],
    alternative: Option<&'a str>,
}

#[derive(Serialize)]
struct Outcome {
    success: bool,
    latency_ms: f64,
    error: Option<&'static str>,
    tool_execution_time_ms: Option<f64>,
    llm_calls: u32,
    cost: f64,
}

#[derive(Serialize)]
struct Quality<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_feedback: Option<&'static str>,
    response_length: u32,
    hallucination_detected: bool,
    quality_score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    optimal_path: Option<&'a str>,
}

/// Puts the record together; what no surface speaks about is drawn here.
fn record<'a>(world: &'a World, decision: &'a GeneratedDecision) -> Record<'a> {
    let situation = &decision.situation;
    let mut rng = world.rng("details", decision.index);
    let user = world.user(&mut rng);
    Record {
        trace_id: &decision.trace_id,
        timestamp: situation.timestamp,
        query: &situation.query,
        query_id: format!("q-{:08x}", decision.index),
        session_id: world.session(user, situation.timestamp),
        user_id: format!("u-{user:04}"),
        query_features: &situation.features,
        context: &situation.context,
        routing_decision: routing(world, decision),
        execution_outcome: outcome(world, decision, &mut rng),
        quality_metrics: quality(world, decision, &mut rng),
    }
}

/// What was decided, by the rules and by the logger.
fn routing<'a>(world: &'a World, decision: &'a GeneratedDecision) -> Routing<'a> {
    let route = &decision.situation.route;
    let name = |arm: Arm| world.paths().name(arm);
    let tool_of = |arm: Arm| (world.cast().role(arm) == Role::DirectTool).then(|| tool(decision));
    let explored = decision.arm != decision.static_arm;
    let deterministic = world.settings().epsilon == 0.0;
    Routing {
        execution_path: name(decision.arm),
        tool_name: tool_of(decision.arm),
        confidence: route.confidence_score,
        stage_1_result: Classified {
            query_type: route.query_type,
            complexity: route.complexity,
            confidence: route.confidence,
            requires_tools: route.requires_tools,
        },
        stage_2_result: Selected {
            execution_path: name(decision.static_arm),
            tool_name: tool_of(decision.static_arm),
            rationale: route.rationale,
        },
        stage_3_result: Validated {
            is_valid: route.is_valid,
            confidence_score: route.confidence_score,
            concerns: route.concerns,
            alternative: route.alternative.map(|role| name(world.cast().arm(role))),
        },
        static_path: name(decision.static_arm),
        propensity: Some(decision.propensity),
        propensities: Some(Possible(ByPath { names: world.paths().names(), values: world.propensities(decision.static_arm) })),
        candidates: world.paths().names(),
        policy_id: if deterministic { "static-v1" } else { "static-v1+uniform" },
        explored,
    }
}

/// The tool that a query asks for.
fn tool(decision: &GeneratedDecision) -> &'static str {
    let keywords = &decision.situation.features.keywords;
    let asks = |words: &[&str]| keywords.iter().any(|keyword| words.contains(keyword));
    TOOLS.iter().find(|(words, _)| asks(words)).map_or(DEFAULT_TOOL, |(_, tool)| tool)
}

/// The outcome of the path that ran.
fn outcome(world: &World, decision: &GeneratedDecision, rng: &mut Rng) -> Outcome {
    let arm = decision.arm.index();
    let (success, latency_ms) = (decision.success[arm], decision.latency_ms[arm]);
    let role = world.cast().role(decision.arm);
    let error = ERRORS[position(rng, ERRORS.len())];
    let (tool_share, extra_call, size) = (0.3 + 0.4 * uniform(rng), u32::from(uniform(rng) < 0.4), factor(rng, 0.4));
    let uses_tool = role == Role::DirectTool || decision.situation.route.requires_tools;
    let (llm_calls, dollars) = match role {
        Role::DirectTool => (0, 0.000_2),
        Role::Reasoning => (2 + extra_call, 0.012),
        Role::Coding => (1 + extra_call, 0.006),
        Role::Standard | Role::Further(_) => (1, 0.002),
    };
    Outcome {
        success,
        latency_ms,
        error: (!success).then_some(error),
        tool_execution_time_ms: uses_tool.then(|| rounded(latency_ms * tool_share, 10.0)),
        llm_calls,
        cost: rounded(dollars * size * (0.5 + decision.situation.features.complexity_estimate), 1e6),
    }
}

/// What is known about the quality of the answer.
fn quality<'a>(world: &'a World, decision: &GeneratedDecision, rng: &mut Rng) -> Quality<'a> {
    let success = decision.success[decision.arm.index()];
    let role = world.cast().role(decision.arm);
    let invents = match role {
        Role::DirectTool => 0.005,
        Role::Reasoning => 0.015,
        Role::Coding => 0.025,
        Role::Standard | Role::Further(_) => 0.03,
    };
    let usual_length = match role {
        Role::DirectTool => 40.0,
        Role::Reasoning => 420.0,
        Role::Coding => 300.0,
        Role::Standard | Role::Further(_) => 160.0,
    };
    let hallucination_detected = uniform(rng) < if success { invents } else { invents + 0.20 };
    let pleased = uniform(rng) < if success { 0.88 } else { 0.15 };
    let reacts = uniform(rng) < FEEDBACK_SHARE;
    let rated = uniform(rng) < RATED_SHARE;
    Quality {
        user_feedback: reacts.then_some(if pleased { "positive" } else { "negative" }),
        response_length: (usual_length * factor(rng, 0.5)) as u32,
        hallucination_detected,
        quality_score: share_around(rng, if success { 0.84 } else { 0.42 }, 0.09),
        optimal_path: rated.then(|| world.paths().name(decision.best_arm)),
    }
}
