//! `decide`: applies the rule of E-009 to what replay and evaluation found, and answers its seven questions.

mod answers;

use routewright_engine::{Context, Stage, StageError};
use routewright_ope::{Counts, Evidence, Explainability, LatencyRatio, Retraining, Rule, SimpleRule, UpliftPoints};
use routewright_router::sha256_hex;
use serde::{Deserialize, Serialize};

use crate::artifacts::{
    DECISION_SCHEMA_VERSION, DecisionReport, DiagnosticsSummary, Evaluation, Models, PolicyResult, Provenance, RatePair, ReplayReport,
    Role, RowAccount, SuccessSummary, UpliftResult,
};
use crate::time::rfc3339;

/// Level of the one-sided bounds that the rule looks at.
const LEVEL: f64 = 0.95;

/// Settings of `[decide]`: the rule's thresholds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct DecideParams(Rule);

/// The stage.
pub(crate) struct Decide;

impl Stage for Decide {
    const NAME: &'static str = "decide";
    const SUMMARY: &'static str = "applies E-009's decision rule and answers its seven questions";
    const VERSION: u32 = 2;
    const USES_SEED: bool = true;
    const TRACES: &'static [&'static str] = &["ingest", "features", "train", "evaluate", "replay"];
    type Params = DecideParams;
    type Inputs = (ReplayReport, Evaluation, Models, RowAccount);
    type Outputs = (DecisionReport,);

    fn run(
        params: &DecideParams,
        (replay, evaluation, models, RowAccount(ingest)): (ReplayReport, Evaluation, Models, RowAccount),
        context: &Context<'_>,
    ) -> Result<(DecisionReport,), StageError> {
        let measured = evaluation.explainability;
        // The measures are evaluation's, the judgement is the rule's.
        let explainability =
            Explainability::judge(measured.surrogate_fidelity, measured.surrogate_depth, measured.top10_importance, &params.0);
        let evaluation = Evaluation { explainability, ..evaluation };
        let retraining = replay.retraining.as_ref().map(|found| Retraining::judge(found.interval_days, found.decays, &params.0));
        let evidence = evidence(&replay, &evaluation, retraining, models.policy.paths.len());
        let decision = routewright_ope::decide(&evidence, &params.0);
        let digests: Vec<&str> = ingest.files.iter().map(|file| file.blake3.as_str()).collect();
        let provenance = Provenance {
            data_digest: sha256_hex(digests.join("\n").as_bytes()),
            rows: replay.decisions,
            window: [rfc3339(replay.window_us.0), rfc3339(replay.window_us.1)],
            settings_digest: sha256_hex(&serde_json::to_vec(&(context.traced(), params, context.seed()))?),
            seed: context.seed(),
            artifact_digest: sha256_hex(&models.policy.to_bytes()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let (strongest, over_strongest) = strongest(&replay);
        context.note(&format!("verdict {:?} ({:?})", decision.verdict, decision.reason));
        Ok((DecisionReport {
            schema_version: DECISION_SCHEMA_VERSION,
            verdict: decision.verdict,
            reason: decision.reason,
            summary: decision.summary,
            identification: decision.identification,
            success: SuccessSummary {
                static_rate: replay.policy("static").and_then(|policy| policy.success.value),
                learned: replay.policy("learned").and_then(|policy| policy.success.value),
                uplift_points: replay.uplift.points.value,
                lower: replay.uplift.lower_one_sided,
                upper: replay.uplift.upper_one_sided,
                level: LEVEL,
                estimator: replay.uplift.estimator.clone(),
                strongest_control: strongest.to_owned(),
                over_strongest_control: [
                    over_strongest.points.value,
                    Some(over_strongest.lower_one_sided),
                    Some(over_strongest.upper_one_sided),
                ],
            },
            latency: replay.latency.map(Into::into),
            latency_p95_ms: replay.latency_p95_ms,
            routing_accuracy: known(replay.routing_accuracy),
            hallucination_rate: known(replay.hallucination_rate),
            user_satisfaction: known(replay.user_satisfaction),
            cost: replay.cost,
            controls: replay.policies.iter().filter(|policy| matches!(policy.role, Role::Control | Role::Oracle)).map(Into::into).collect(),
            estimators: replay.estimators.iter().map(Into::into).collect(),
            diagnostics: DiagnosticsSummary {
                rows: replay.n_rows,
                disagreement: replay.facts.disagreement,
                exploration_matches: replay.diagnostics.map_or(0, |found| found.exploration_matches),
                effective_sample_size: replay.diagnostics.map(|found| found.effective_sample_size),
                mean_weight: replay.diagnostics.map(|found| found.mean_weight),
                unsupported_mass: replay.facts.unsupported_mass,
                gates: replay.gates.clone(),
            },
            segments: replay.segments.clone(),
            explainability: Some(evaluation.explainability),
            retraining,
            needed: decision.needed,
            rule: params.0,
            answers: answers::all(&replay, &evaluation),
            provenance,
        },))
    }
}

/// What the rule looks at.
fn evidence(replay: &ReplayReport, evaluation: &Evaluation, retraining: Option<Retraining>, n_paths: usize) -> Evidence {
    let (_, over_strongest) = strongest(replay);
    let diagnostics = replay.diagnostics;
    let one_sided = |result: &UpliftResult| {
        let middle = f64::midpoint(result.lower_one_sided, result.upper_one_sided);
        UpliftPoints { points: result.points.value.unwrap_or(middle), lower: result.lower_one_sided, upper: result.upper_one_sided }
    };
    let identified = over_strongest.points.value.is_some();
    let control = replay.control_over_static.as_ref().filter(|control| control.points.value.is_some_and(|points| points > 0.0));
    let control_points = control.and_then(|control| control.points.value).unwrap_or(0.0);
    Evidence {
        identification: replay.identification,
        gates: replay.gates.clone(),
        counts: Counts {
            decisions: replay.decisions,
            exploration_matches: diagnostics.map_or(0, |found| found.exploration_matches),
            disagreement: replay.facts.disagreement,
            deviation_share: replay.facts.deviation_share,
            n_paths,
            static_success: replay.policy("static").and_then(|policy| policy.success.value).unwrap_or(replay.logged_mean),
        },
        uplift: identified.then(|| one_sided(over_strongest)),
        over_static: replay.uplift.points.value.map(|_| one_sided(&replay.uplift)),
        control: control.map(|control| SimpleRule { name: control.over.clone(), over_static: one_sided(control) }),
        bounds: replay.bounds.as_ref().map(one_sided),
        latency: replay.latency.map(|ratio| LatencyRatio {
            static_ms: ratio.static_mean,
            learned_ms: ratio.learned_mean,
            ratio: ratio.ratio,
            lower: ratio.lower,
            upper: ratio.upper,
        }),
        explainability: Some(evaluation.explainability),
        retraining,
        segments: replay.segments.clone(),
        harmed_segments: replay.harmed_segments.clone(),
        composed: replay.composed.clone().filter(|composed| composed.uplift.lower >= control_points),
        supported: replay.supported.clone(),
    }
}

/// The stronger of the static router and the strongest control, and the learned router's uplift over it.
fn strongest(replay: &ReplayReport) -> (&str, &UpliftResult) {
    let value = |name: &str| replay.policy(name).and_then(|policy: &PolicyResult| policy.success.value);
    match &replay.uplift_over_control {
        Some(over) if over.points.value.is_some() && value(&over.over) > value("static") => (over.over.as_str(), over),
        _ => ("static", &replay.uplift),
    }
}

/// A rate that was looked for.
fn known(rate: RatePair) -> Option<RatePair> {
    (rate.n > 0).then_some(rate)
}
