//! The fallback threshold of the router in force, moved within limits where later decisions prove that it pays: the proof that `tune` asks for.
//!
//! Candidates are chosen on the older half of decisions that the router did not learn from, and the one that wins is proven on the newer half.

use std::sync::Arc;

use routewright_domain::{Decision, Paths, Timestamp};
use routewright_router::{Policy, PolicySettings, Router};
use routewright_table::{Decisions, TableError};
use serde::{Deserialize, Serialize};

use crate::duel::{Duel, DuelError, DuelSettings, DuelVerdict, judged};

/// Limits of the confidence below which the static path is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetuneSettings {
    /// How far it moves in a night at most; 0 never moves it.
    pub step: f64,
    /// Smallest it may become.
    pub lowest: f64,
    /// Largest it may become.
    pub highest: f64,
}

impl Default for RetuneSettings {
    fn default() -> Self {
        Self { step: 0.05, lowest: 0.5, highest: 0.95 }
    }
}

/// A threshold that is proven to pay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retuned {
    /// The threshold in force.
    pub from: f64,
    /// The better one.
    pub to: f64,
    /// Better against present, on decisions that had no part in the choice.
    pub proof: Duel,
}

/// Looks for a better fallback threshold; `None` where none is proven. `after`: the moment up to which the router learnt.
///
/// # Errors
/// [`DuelError`] for decisions that cannot be read or judged.
pub fn retune(
    router: &Router,
    decisions: &Decisions,
    after: Timestamp,
    limits: &RetuneSettings,
    settings: &DuelSettings,
) -> Result<Option<Retuned>, DuelError> {
    let unseen = decisions.within(&(after..Timestamp(i64::MAX)));
    search(router, decisions.paths(), || unseen.iter(), after, limits, settings)
}

/// The same on days that can be read again and again.
fn search<Days: Iterator<Item = Result<Vec<Decision>, TableError>>>(
    router: &Router,
    paths: &Paths,
    days: impl Fn() -> Days,
    after: Timestamp,
    limits: &RetuneSettings,
    settings: &DuelSettings,
) -> Result<Option<Retuned>, DuelError> {
    let mut times = Vec::new();
    for day in days() {
        times.extend(day?.into_iter().map(|decision| decision.timestamp).filter(|time| after < *time));
    }
    times.sort_unstable();
    let Some(&middle) = times.get(times.len() / 2) else { return Ok(None) };
    let from = router.policy().settings.min_confidence;
    let mut best: Option<(f64, f64)> = None;
    for to in candidates(from, limits) {
        let points = judged(Some(router), &with_threshold(router, to), (paths, days()), after..middle, settings)?.points;
        if let Some(points) = points.filter(|points| best.map_or(0.0, |best| best.1) < *points) {
            best = Some((to, points));
        }
    }
    let Some((to, _)) = best else { return Ok(None) };
    let proof = judged(Some(router), &with_threshold(router, to), (paths, days()), middle..Timestamp(i64::MAX), settings)?;
    Ok((proof.verdict == DuelVerdict::Better).then_some(Retuned { from, to, proof }))
}

/// The thresholds that may be tried: half a step and a step to both sides, within the limits.
fn candidates(from: f64, limits: &RetuneSettings) -> Vec<f64> {
    let moves = [-1.0, -0.5, 0.5, 1.0].map(|share| ((from + share * limits.step) * 1e4).round() / 1e4);
    moves.into_iter().filter(|to| limits.step > 0.0 && (limits.lowest..=limits.highest).contains(to)).collect()
}

/// A router with another threshold.
fn with_threshold(router: &Router, min_confidence: f64) -> Router {
    let policy = router.policy();
    let settings = PolicySettings { min_confidence, ..policy.settings.clone() };
    Router::new(Arc::clone(router.encoder().schema()), Policy { settings, ..policy.clone() }, router.history().clone())
}

#[cfg(test)]
mod tests {
    use routewright_domain::{Propensity, Seed};
    use routewright_router::{Calibration, Forest, History, Node, Request, Schema, SchemaSettings, Side, SuccessModel, Tree};

    use super::*;

    const SETTINGS: DuelSettings = DuelSettings { margin_points: 1.0, latency_margin: 1.1, min_decisions: 100, min_matches: 10 };

    /// A clear question and an unclear one: of `tool` the router expects 90 % on the first and 65 % on the second, of `chat` 40 % on both.
    fn text(is_clear: bool) -> &'static str {
        if is_clear { "restart the server and deploy the service" } else { "tell a story" }
    }

    fn leaf(n_columns: usize, value: f32) -> Forest {
        Forest::new(n_columns, 1, &[Tree { nodes: vec![Node::leaf(0, 1.0)], values: vec![value], ..Tree::default() }]).unwrap()
    }

    /// The router, which is certain to 0.96 on the clear questions and to 0.86 on the others.
    fn router(min_confidence: f64) -> Router {
        let texts = [text(true), text(false)].repeat(20);
        let requests = texts.iter().map(|text| Request::new(text, Timestamp(0)));
        let schema = Arc::new(Schema::fit(&Paths::from_names(["chat", "tool"]), requests, &SchemaSettings::default(), Seed(9)).unwrap());
        let n_columns = schema.n_columns();
        let words = schema.columns().iter().position(|column| column.name == "text_words").unwrap() as u16;
        let nodes = vec![Node::split(words, 4.0, Side::Left, 1, 2.0), Node::leaf(0, 1.0), Node::leaf(1, 1.0)];
        let split = Forest::new(n_columns, 1, &[Tree { nodes, values: vec![0.65, 0.9], ..Tree::default() }]).unwrap();
        let model = |forest| Some(SuccessModel { forest, calibration: Calibration::default() });
        let policy = Policy {
            paths: schema.paths().clone(),
            success: vec![model(leaf(n_columns, 0.4)), model(split)],
            latency: vec![None, None],
            cost: vec![None, None],
            classifier: None,
            support: vec![100, 100],
            settings: PolicySettings { min_confidence, ..PolicySettings::default() },
        };
        let history = History::new(&schema);
        Router::new(schema, policy, history)
    }

    /// Four days on which both paths were drawn evenly. `tool`: how often it truly succeeds on unclear questions, in the older and in the newer half;
    /// `chat` succeeds in 60 of 100.
    fn days(tool: [f64; 2]) -> Vec<Vec<Decision>> {
        let half = Propensity::try_from(0.5).unwrap();
        let decision = |row: usize| {
            let (is_clear, is_tool) = ((row / 2).is_multiple_of(2), row % 2 == 1);
            let rate = match (is_tool, is_clear) {
                (false, _) => 0.6,
                (true, true) => 0.9,
                (true, false) => tool[row / 2_000],
            };
            Decision {
                trace_id: row.to_string(),
                timestamp: Timestamp(1 + row as i64),
                query: text(is_clear).to_owned(),
                path: if is_tool { "tool" } else { "chat" }.to_owned(),
                static_path: Some("chat".to_owned()),
                propensity: Some(half),
                success: Some(((row / 4) as f64 * 0.618_034).fract() < rate),
                ..Decision::default()
            }
        };
        (0..4).map(|day| (1_000 * day..1_000 * (day + 1)).map(decision).collect()).collect()
    }

    /// What is found after some moment, in thousandths.
    fn found(from: f64, tool: [f64; 2], after: i64) -> Option<u32> {
        let (days, paths) = (days(tool), Paths::from_names(["chat", "tool"]));
        let read = || days.iter().cloned().map(Ok);
        let found = search(&router(from), &paths, read, Timestamp(after), &RetuneSettings::default(), &SETTINGS).unwrap();
        found.map(|found| (1_000.0 * found.to).round() as u32)
    }

    #[test]
    fn a_threshold_that_keeps_a_better_path_away_is_lowered() {
        assert_eq!(found(0.88, [0.9, 0.9], 0), Some(830));
    }

    #[test]
    fn a_threshold_that_lets_a_worse_path_through_is_raised() {
        assert_eq!(found(0.85, [0.3, 0.3], 0), Some(875));
    }

    #[test]
    fn what_paid_once_and_does_not_any_more_is_left_as_it_is() {
        assert_eq!(found(0.88, [0.9, 0.3], 0), None);
    }

    #[test]
    fn what_makes_no_difference_is_left_as_it_is() {
        assert_eq!(found(0.88, [0.6, 0.6], 0), None);
        assert_eq!(found(0.7, [0.9, 0.9], 0), None, "no threshold within a step chooses otherwise");
    }

    #[test]
    fn what_the_router_learnt_from_proves_nothing() {
        assert_eq!(found(0.88, [0.9, 0.9], 3_950), None);
    }

    #[test]
    fn thresholds_stay_within_their_limits() {
        let limits = RetuneSettings { step: 0.1, lowest: 0.6, highest: 0.72 };
        assert_eq!(candidates(0.7, &limits), [0.6, 0.65]);
        assert_eq!(candidates(0.7, &RetuneSettings { step: 0.0, ..limits }), [0.0; 0]);
    }
}
