//! The decision of E-009: one pure function from evidence and rule to a verdict.

mod evidence;
mod rule;
mod summary;
mod verdict;

pub use evidence::{CandidateUplift, Counts, Evidence, Explainability, LatencyRatio, Retraining, SimpleRule, UpliftPoints};
pub use rule::Rule;
pub use verdict::{Decision, Reason, Verdict};

use crate::{Gate, GateName, Identification, PowerPlan, power};

/// Applies E-009's rule.
///
/// Gates come first: a log that cannot bear a verdict gives KEEP and says what to collect. Then, in this order: ADOPT and its three qualifications
/// (`INVESTIGATE_FEATURES`, `OPTIMIZE_MODEL`, `COST_BENEFIT`), HYBRID, KEEP. An interval decides, never a point estimate alone.
pub fn decide(evidence: &Evidence, rule: &Rule) -> Decision {
    let (verdict, reason) = judge(evidence, rule);
    let needed = if reason.is_conclusive() { PowerPlan::default() } else { needed(evidence, rule) };
    let summary = summary::paragraph(evidence, rule, verdict, reason, needed);
    Decision { verdict, reason, identification: evidence.identification, summary, needed }
}

/// The verdict and its reason.
fn judge(evidence: &Evidence, rule: &Rule) -> (Verdict, Reason) {
    if let Some(blocked) = blocked(evidence, rule) {
        return blocked;
    }
    let uplift = evidence.uplift.filter(UpliftPoints::is_usable);
    let support_is_full = evidence.identification.supports_adoption() && failed(evidence).next().is_none();
    if let Some(uplift) = uplift
        && support_is_full
        && let Some(verdict) = clear_win(evidence, rule, uplift)
    {
        return verdict;
    }
    if let Some(reason) = hybrid(evidence, rule, uplift) {
        return (Verdict::Hybrid, reason);
    }
    (Verdict::Keep, reason_to_keep(evidence, rule, uplift))
}

/// Gates: what stops every verdict but KEEP.
fn blocked(evidence: &Evidence, rule: &Rule) -> Option<(Verdict, Reason)> {
    let keep = |reason| Some((Verdict::Keep, reason));
    if failed(evidence).any(|gate| gate.name.reason() == Reason::InvalidLog) {
        return keep(Reason::InvalidLog);
    }
    if evidence.counts.decisions < rule.min_decisions || failed(evidence).any(|gate| gate.name == GateName::Decisions) {
        return keep(Reason::InsufficientEvidence);
    }
    if matches!(evidence.identification, Identification::NotIdentified | Identification::EstimatedPropensity) {
        return keep(bounded(evidence, rule).unwrap_or(match evidence.identification {
            Identification::NotIdentified => Reason::NotIdentified,
            _ => Reason::InsufficientEvidence,
        }));
    }
    if evidence.identification.rests_on_exploration() && !has_enough_matches(evidence, rule) {
        return keep(bounded(evidence, rule).unwrap_or(Reason::InsufficientEvidence));
    }
    // Missing support stops the whole policy, not the one that stays static where support is missing.
    if failed(evidence).any(|gate| gate.name != GateName::UnsupportedMass) {
        return keep(Reason::InsufficientEvidence);
    }
    None
}

/// What the bounds prove. They need neither propensities nor matches, so few disagreements prove that little is to be gained, never that much is.
fn bounded(evidence: &Evidence, rule: &Rule) -> Option<Reason> {
    let bounds = evidence.bounds.filter(UpliftPoints::is_usable)?;
    if bounds.upper < 0.0 {
        return Some(Reason::Harm);
    }
    (bounds.upper < rule.keep_below).then_some(Reason::Proven)
}

/// Whether the learned path ran often enough where the routers disagree; nothing is needed where they never do.
fn has_enough_matches(evidence: &Evidence, rule: &Rule) -> bool {
    evidence.counts.exploration_matches >= rule.min_exploration_matches || evidence.counts.disagreement == 0.0
}

/// Gates that failed.
fn failed(evidence: &Evidence) -> impl Iterator<Item = &Gate> {
    evidence.gates.iter().filter(|gate| !gate.passed)
}

/// Rules 1 to 4: the uplift is large and shown to be; is there anything against adopting?
fn clear_win(evidence: &Evidence, rule: &Rule, uplift: UpliftPoints) -> Option<(Verdict, Reason)> {
    let proven_above = if rule.strict { rule.adopt_points } else { rule.adopt_lower };
    if uplift.points < rule.adopt_points || uplift.lower <= proven_above {
        return None;
    }
    // Latency that was not measured, or not precisely enough, is no ground for a full rollout, nor for blaming the model.
    let latency = evidence.latency.filter(LatencyRatio::is_usable)?;
    if latency.lower > rule.latency_margin || latency.ratio >= rule.latency_margin {
        return Some((Verdict::OptimizeModel, Reason::Latency));
    }
    if latency.upper >= rule.latency_margin || !evidence.harmed_segments.is_empty() {
        return None;
    }
    if !evidence.explainability.is_some_and(|explainability| explainability.acceptable) {
        return Some((Verdict::InvestigateFeatures, Reason::Opaque));
    }
    if evidence.retraining.is_some_and(|retraining| !retraining.acceptable) {
        return Some((Verdict::CostBenefit, Reason::Retraining));
    }
    Some((Verdict::Adopt, Reason::Proven))
}

/// Rule 5: learned routing where it is shown to help, or on a share of traffic.
fn hybrid(evidence: &Evidence, rule: &Rule, uplift: Option<UpliftPoints>) -> Option<Reason> {
    let slower =
        |latency: Option<LatencyRatio>| latency.is_some_and(|latency| latency.lower.is_nan() || latency.lower > rule.latency_margin);
    let helps = |candidate: &CandidateUplift| {
        candidate.uplift.is_usable() && candidate.uplift.lower > 0.0 && !slower(candidate.latency.or(evidence.latency))
    };
    // Segments that make up the traffic are no segments: the whole router is judged by its own rules.
    let used: f64 = evidence.segments.iter().filter(|segment| segment.use_learned).map(|segment| segment.weight).sum();
    if used < NEARLY_ALL && evidence.composed.as_ref().is_some_and(helps) {
        return Some(Reason::Segments);
    }
    if evidence.supported.as_ref().is_some_and(|candidate| helps(candidate) && candidate.uplift.points >= rule.hybrid_points) {
        return Some(Reason::Supported);
    }
    let whole = evidence.identification.supports_adoption() && failed(evidence).next().is_none();
    let uplift = uplift.filter(|uplift| whole && uplift.points >= rule.hybrid_points && uplift.lower > 0.0)?;
    let unharmed = evidence.harmed_segments.is_empty();
    (!slower(evidence.latency)).then_some(match (unharmed, uplift.lower) {
        (true, _) => Reason::LimitedRollout,
        (false, _) => Reason::Segments,
    })
}

/// Share of the rows from which confirmed segments are the whole traffic.
const NEARLY_ALL: f64 = 0.95;

/// Rule 6: why static stays.
fn reason_to_keep(evidence: &Evidence, rule: &Rule, uplift: Option<UpliftPoints>) -> Reason {
    let Some(uplift) = uplift else { return Reason::InsufficientEvidence };
    if failed(evidence).next().is_some() || evidence.identification == Identification::Partial && uplift.upper >= rule.keep_below {
        return Reason::InsufficientEvidence;
    }
    // What is said about keeping static is said of learned against static; a control that wins is another matter.
    let over_static = evidence.over_static.filter(UpliftPoints::is_usable).unwrap_or(uplift);
    if over_static.upper < 0.0 {
        return Reason::Harm;
    }
    if over_static.upper < rule.keep_below {
        return Reason::Proven;
    }
    if evidence.control.as_ref().is_some_and(|control| control.over_static.lower > 0.0) && uplift.lower <= 0.0 {
        return Reason::SimpleRule;
    }
    match evidence.latency {
        Some(latency) if latency.lower > rule.latency_margin => Reason::Latency,
        _ => Reason::InsufficientEvidence,
    }
}

/// What would settle the question.
fn needed(evidence: &Evidence, rule: &Rule) -> PowerPlan {
    let counts = &evidence.counts;
    let believed = evidence.uplift.filter(|_| evidence.identification.supports_adoption());
    let uplift = believed.map_or(rule.adopt_points, |uplift| uplift.points.max(rule.adopt_points)) / 100.0;
    let mut plan = power::plan(counts.static_success, uplift, counts.disagreement, counts.deviation_share, counts.n_paths);
    if evidence.identification == Identification::Randomised {
        let per_arm =
            power::per_arm_to_prove(counts.static_success, uplift, rule.adopt_lower / 100.0, power::POWER, crate::Confidence::ONE_SIDED_95);
        plan.decisions = per_arm.saturating_mul(2);
    }
    plan.decisions = plan.decisions.max(if counts.decisions < rule.min_decisions { rule.min_decisions } else { 0 });
    plan
}

#[cfg(test)]
mod tests;
