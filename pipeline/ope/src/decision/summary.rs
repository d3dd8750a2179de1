//! The verdict in one paragraph for people.

use super::{Evidence, Reason, Rule, Verdict};
use crate::{Identification, PowerPlan};

/// Writes the paragraph: the verdict, the numbers, the reason, and what to collect.
pub(super) fn paragraph(evidence: &Evidence, rule: &Rule, verdict: Verdict, reason: Reason, needed: PowerPlan) -> String {
    let mut sentences = vec![headline(verdict, reason).to_owned()];
    sentences.extend(uplift(evidence, reason));
    sentences.extend(latency(evidence));
    sentences.push(explanation(evidence, rule, verdict, reason));
    sentences.extend(to_collect(evidence, reason, needed));
    sentences.join(" ")
}

/// What to do.
fn headline(verdict: Verdict, reason: Reason) -> &'static str {
    match verdict {
        Verdict::Keep if reason == Reason::SimpleRule => "KEEP: do not route with the learned router; a simple rule does as well.",
        Verdict::Adopt => "ADOPT: route with the learned router.",
        Verdict::Hybrid => "HYBRID: use the learned router in part.",
        Verdict::Keep => "KEEP the static router.",
        Verdict::InvestigateFeatures => "INVESTIGATE_FEATURES: the gain is clear, the model is not.",
        Verdict::OptimizeModel => "OPTIMIZE_MODEL: the gain is clear, but the learned router is too slow.",
        Verdict::CostBenefit => "COST_BENEFIT: the gain is clear, but it has to be weighed against frequent retraining.",
    }
}

/// The uplift, or the bounds where there is none.
fn uplift(evidence: &Evidence, reason: Reason) -> Option<String> {
    let disagreement = 100.0 * evidence.counts.disagreement;
    let identified = !matches!(evidence.identification, Identification::NotIdentified | Identification::EstimatedPropensity);
    match (evidence.uplift, evidence.bounds) {
        (Some(uplift), _) if identified && reason != Reason::InvalidLog => {
            let over_static = evidence.over_static.unwrap_or(uplift);
            let mut text = format!(
                "Learned routing changes the success rate by {:+.1} points (one-sided 95 % bounds {:+.1} and {:+.1}); the routers disagree on {disagreement:.0} % of the queries.",
                over_static.points, over_static.lower, over_static.upper
            );
            if let Some(control) = &evidence.control {
                text.push_str(&format!(
                    " The bar is the rule `{}`, itself {:+.1} points ({:+.1} to {:+.1}) from static: against it the learned router changes {:+.1} points ({:+.1} to {:+.1}).",
                    control.name,
                    control.over_static.points,
                    control.over_static.lower,
                    control.over_static.upper,
                    uplift.points,
                    uplift.lower,
                    uplift.upper
                ));
            }
            Some(text)
        }
        (_, Some(bounds)) if reason != Reason::InvalidLog => Some(format!(
            "Without exploration the log only bounds the change: between {:+.1} and {:+.1} points; the routers disagree on {disagreement:.0} % of the queries.",
            bounds.lower, bounds.upper
        )),
        _ => None,
    }
}

/// The latency ratio.
fn latency(evidence: &Evidence) -> Option<String> {
    let latency = evidence.latency?;
    Some(format!("Mean latency is {:.2} times that of static routing ({:.2} to {:.2}).", latency.ratio, latency.lower, latency.upper))
}

/// Why.
fn explanation(evidence: &Evidence, rule: &Rule, verdict: Verdict, reason: Reason) -> String {
    let failed: Vec<&str> = evidence.gates.iter().filter(|gate| !gate.passed).map(|gate| gate.detail.as_str()).collect();
    match reason {
        Reason::Proven if verdict == Verdict::Adopt => {
            let bound = if rule.strict { rule.adopt_points } else { rule.adopt_lower };
            format!("The gain is at least {:.0} points and certainly above {bound:.0}, latency does not regress, and no segment is harmed.", rule.adopt_points)
        }
        Reason::Proven => format!("The gain is certainly below {:.0} points: not worth the complexity.", rule.keep_below),
        Reason::LimitedRollout => "There is a gain, but it is small, or its size or latency is not certain enough for all traffic: roll out on a share and measure.".to_owned(),
        Reason::Segments if !evidence.harmed_segments.is_empty() => {
            format!("It does harm in {}: keep static routing there.", evidence.harmed_segments.join(", "))
        }
        Reason::Segments => {
            let names = evidence.composed.as_ref().map_or("some segments", |candidate| candidate.name.as_str());
            format!("The gain is confirmed on separate data in {names}: use learned routing there.")
        }
        Reason::Supported => "The gain is shown where the log explores: use learned routing there, static routing elsewhere.".to_owned(),
        Reason::Opaque => match evidence.explainability {
            Some(measured) => format!(
                "A tree of depth {} follows only {:.0} % of its choices.",
                measured.surrogate_depth,
                100.0 * measured.surrogate_fidelity
            ),
            None => "How well its choices can be explained was not measured.".to_owned(),
        },
        Reason::Retraining => {
            let days = evidence.retraining.map_or(0, |retraining| retraining.interval_days);
            format!("It loses a point within {days} days, sooner than every {} days.", rule.min_retraining_days)
        }
        Reason::SimpleRule => {
            let name = evidence.control.as_ref().map_or("a simple rule", |control| control.name.as_str());
            format!("The learned router is not shown to beat `{name}`, which needs no model: consider that rule instead.")
        }
        Reason::Harm => "Learned routing certainly does harm.".to_owned(),
        Reason::Latency => format!("It is slower than the {:.0} % allowed.", 100.0 * (rule.latency_margin - 1.0)),
        Reason::NotIdentified => "Only the static choice was ever run, or nothing says how paths were chosen, so no gain can be shown from this log.".to_owned(),
        Reason::InvalidLog => format!("The log contradicts itself: {}.", failed.join("; ")),
        Reason::InsufficientEvidence if failed.is_empty() => "The log does not say enough to tell a gain from none.".to_owned(),
        Reason::InsufficientEvidence => format!("The log does not say enough: {}.", failed.join("; ")),
    }
}

/// What to collect, where the question is open.
fn to_collect(evidence: &Evidence, reason: Reason, needed: PowerPlan) -> Option<String> {
    if reason == Reason::InvalidLog {
        return Some("Repair the logging before asking again.".to_owned());
    }
    if reason.is_conclusive() || needed == PowerPlan::default() {
        return None;
    }
    let mut ways = Vec::new();
    if needed.decisions > 0 {
        ways.push(format!("about {} decisions in all at the present exploration", needed.decisions));
    }
    if needed.exploration_matches > 0 && evidence.identification != Identification::Randomised {
        ways.push(format!(
            "{} decisions on which the routers disagree and the learned path runs (randomise 50/50 on a share of the disagreement)",
            needed.exploration_matches
        ));
    }
    if needed.shadow_runs > 0 {
        ways.push(format!("{} shadow runs of both paths on such queries", needed.shadow_runs));
    }
    (!ways.is_empty()).then(|| format!("What would settle it: {}.", ways.join(", or ")))
}
