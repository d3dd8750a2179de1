//! The first page: the verdict and why, E-009's success criteria, and what to do next; also the page of a CI job.

use super::document::{Block, Cell, Document, Table, Words, quoted};
use super::format::{as_words, dollars, grouped, met, milliseconds, minute, percent, points, share, short, spelled};
use super::sources::Sources;
use crate::artifacts::{Bounded, RatePair};

/// E-009: "routing accuracy above 97 %".
const ROUTING_ACCURACY: f64 = 0.97;

/// E-009: "hallucination rate below 3 %".
const HALLUCINATION_RATE: f64 = 0.03;

/// E-009: "user satisfaction 10 % above the baseline".
const SATISFACTION_GAIN: f64 = 1.1;

/// The blocks of the first page.
pub(super) fn blocks(sources: &Sources<'_>) -> Vec<Block> {
    let decision = sources.decision;
    let verdict =
        format!("**{}: {}.** {}", spelled(&decision.verdict).replace('_', " "), reason_in_words(sources), decision.summary.trim());
    let mut blocks =
        vec![Block::Paragraph(Words::marked(&verdict)), Block::Table(criteria(sources)), Block::paragraph(&judged_on(sources))];
    blocks.extend(sources.figure("controls", "Success rate of every policy on the held-out window"));
    blocks.push(Block::Section("What to do next".to_owned()));
    blocks.push(Block::Bullets(next_steps(sources)));
    blocks
}

/// `summary.md`: what fits on the page of a CI job.
pub(super) fn summary(sources: &Sources<'_>) -> Document {
    let decision = sources.decision;
    let failed: Vec<String> =
        decision.diagnostics.gates.iter().filter(|gate| !gate.passed).map(|gate| quoted(&spelled(&gate.name))).collect();
    let gates = if failed.is_empty() {
        format!("All {} gates passed", decision.diagnostics.gates.len())
    } else {
        format!("**{} of {} gates failed**: {}", failed.len(), decision.diagnostics.gates.len(), failed.join(", "))
    };
    let totals = &sources.ingest.totals;
    let blocks = vec![
        Block::paragraph(decision.summary.trim()),
        Block::Table(criteria(sources)),
        Block::paragraph(&format!(
            "{gates}; {} decisions, {} in quarantine; seed {}, data `{}`, models `{}`.",
            grouped(totals.kept),
            grouped(totals.n_quarantined()),
            decision.provenance.seed,
            short(&decision.provenance.data_digest),
            short(&decision.provenance.artifact_digest),
        )),
    ];
    Document { title: format!("routewright: {} ({})", spelled(&decision.verdict), spelled(&decision.reason)), blocks }
}

/// Why, in plain words.
pub(super) fn reason_in_words(sources: &Sources<'_>) -> String {
    use routewright_ope::Reason;
    match sources.decision.reason {
        Reason::Proven => "the interval proves it",
        Reason::LimitedRollout => "the gain is there, but small or not wholly certain",
        Reason::Segments => "learned routing helps some kinds of queries, or harms some",
        Reason::Supported => "learned routing helps where the log supports it",
        Reason::Opaque => "the gain is clear, but no short tree explains the router",
        Reason::Retraining => "the gain is clear, but the router ages too fast",
        Reason::SimpleRule => "a rule without a model beats the static router, and the learned one is not shown to beat that rule",
        Reason::Harm => "learned routing does harm",
        Reason::Latency => "learned routing is too slow",
        Reason::NotIdentified => "the log cannot say how other paths would have done",
        Reason::InsufficientEvidence => "the log does not say enough",
        Reason::InvalidLog => "the log contradicts itself",
    }
    .to_owned()
}

/// E-009, section 4: metric, static, learned, target, met.
pub(super) fn criteria(sources: &Sources<'_>) -> Table {
    let (decision, replay, rule) = (sources.decision, sources.replay, &sources.decision.rule);
    let mut table = Table::of(&["metric", "static", "learned", "learned against static", "target", "met"]);
    let mut row = |cells: [String; 6]| table.row(cells.map(|text| Cell::text(&text)));
    let success = |name: &str| replay.policy(name).map_or_else(|| "unknown".to_owned(), |policy| percent(policy.success));
    let floor = if rule.strict { rule.adopt_points } else { rule.adopt_lower };
    let is_met = decision.success.uplift_points.map(|value| value >= rule.adopt_points && decision.success.lower > floor);
    row([
        "success rate".to_owned(),
        success("static"),
        success("learned"),
        points(&replay.uplift),
        format!("{:+} points or more, lower bound above {floor:+}", rule.adopt_points),
        strong(is_met),
    ]);
    let target = format!("at most {:.0} % slower, upper bound too", 100.0 * (rule.latency_margin - 1.0));
    row(match replay.latency {
        Some(ratio) => [
            "mean latency".to_owned(),
            milliseconds(ratio.static_mean),
            milliseconds(ratio.learned_mean),
            format!("× {:.2} [{:.2}, {:.2}]", ratio.ratio, ratio.lower, ratio.upper),
            target,
            strong(Some(ratio.upper < rule.latency_margin)),
        ],
        None => ["mean latency".to_owned(), "unknown".to_owned(), "unknown".to_owned(), "–".to_owned(), target, strong(None)],
    });
    if let Some((theirs, ours)) = replay.latency_p95_ms {
        let ratio = if theirs > 0.0 { format!("× {:.2}", ours / theirs) } else { "–".to_owned() };
        row(["p95 latency".to_owned(), milliseconds(theirs), milliseconds(ours), ratio, "–".to_owned(), "–".to_owned()]);
    }
    let satisfied = |ours: f64, theirs: f64| ours >= SATISFACTION_GAIN * theirs;
    row(rate("routing accuracy", "above 97 %", replay.routing_accuracy, |ours, _| ours > ROUTING_ACCURACY));
    row(rate("hallucination rate", "below 3 %", replay.hallucination_rate, |ours, _| ours < HALLUCINATION_RATE));
    row(rate("user satisfaction", "10 % above static", replay.user_satisfaction, satisfied));
    if let Some(ratio) = replay.cost {
        row([
            "mean cost".to_owned(),
            dollars(ratio.static_mean),
            dollars(ratio.learned_mean),
            format!("× {:.2} [{:.2}, {:.2}]", ratio.ratio, ratio.lower, ratio.upper),
            "–".to_owned(),
            "–".to_owned(),
        ]);
    }
    let explained = sources.evaluation.explainability;
    row([
        "explainability".to_owned(),
        "rules".to_owned(),
        format!("a tree of depth {} agrees on {}", explained.surrogate_depth, share(explained.surrogate_fidelity)),
        "–".to_owned(),
        format!("{:.0} % at depth {} or less", 100.0 * rule.min_surrogate_fidelity, rule.max_surrogate_depth),
        strong(Some(explained.acceptable)),
    ]);
    let target = format!("{} days or more", rule.min_retraining_days);
    row(match sources.decision.retraining {
        Some(found) => [
            "retraining interval".to_owned(),
            "none".to_owned(),
            if found.decays { format!("{} days", found.interval_days) } else { format!("more than {} days", found.interval_days) },
            "–".to_owned(),
            target,
            strong(Some(found.acceptable)),
        ],
        None => {
            let unknown = "the log is too short to tell".to_owned();
            ["retraining interval".to_owned(), "none".to_owned(), unknown, "–".to_owned(), target, strong(None)]
        }
    });
    table
}

/// A rate that E-009 has a target for.
fn rate(name: &str, target: &str, rates: RatePair, is_met: impl Fn(f64, f64) -> bool) -> [String; 6] {
    let (Some(theirs), Some(ours)) = (rates.static_rate, rates.learned_rate) else {
        let unknown = || "not logged".to_owned();
        return [name.to_owned(), unknown(), unknown(), "–".to_owned(), target.to_owned(), strong(None)];
    };
    let pair = ours.value.zip(theirs.value);
    let difference = pair.map_or_else(|| "–".to_owned(), |(ours, theirs)| format!("{:+.1} points", 100.0 * (ours - theirs)));
    let answer = pair.map(|(ours, theirs)| is_met(ours, theirs));
    let written = |rate: Bounded| percent(rate);
    [format!("{name} (n = {})", rates.n), written(theirs), written(ours), difference, target.to_owned(), strong(answer)]
}

/// A yes or no that is seen at once.
fn strong(answer: Option<bool>) -> String {
    format!("**{}**", met(answer))
}

/// What the numbers rest on, in two sentences.
fn judged_on(sources: &Sources<'_>) -> String {
    let replay = sources.replay;
    format!(
        "Judged on {} held-out queries from {} to {}, after training on {} earlier decisions; the log is {}. Rates carry two-sided 95 % intervals, differences and ratios one-sided 95 % bounds on either side.",
        grouped(replay.n_queries as u64),
        minute(replay.window_us.0),
        minute(replay.window_us.1),
        grouped(sources.training.n_rows as u64),
        quoted(&as_words(&spelled(&sources.decision.identification))),
    )
}

/// What a reader should do now.
fn next_steps(sources: &Sources<'_>) -> Vec<Words> {
    use routewright_ope::{Reason, Verdict};
    let decision = sources.decision;
    let mut steps: Vec<String> = Vec::new();
    for gate in decision.diagnostics.gates.iter().filter(|gate| !gate.passed) {
        steps.push(format!("Look at the gate {}: {}.", quoted(&spelled(&gate.name)), gate.detail));
    }
    match decision.verdict {
        Verdict::Adopt => steps.push("Deploy `models/artifact`, first in shadow, then on a growing share of the traffic.".to_owned()),
        Verdict::Hybrid => steps.push("Deploy `models/artifact` for the part named above only, and measure it there.".to_owned()),
        Verdict::Keep => steps.push("Keep routing by the static rules.".to_owned()),
        Verdict::InvestigateFeatures => steps.push("Find the few features that carry the gain, and train on these.".to_owned()),
        Verdict::OptimizeModel => {
            steps.push("Set `train.policy.lambda_latency` above 0, so that the router weighs time too, and run again.".to_owned());
        }
        Verdict::CostBenefit => steps.push("Weigh the gain against retraining as often as the table above says.".to_owned()),
    }
    let needed = decision.needed;
    if needed.decisions > 0 {
        steps.push(format!("Or log about {} decisions in all at the present exploration.", grouped(needed.decisions as u64)));
    }
    if needed.exploration_matches > 0 {
        steps.push(format!(
            "Or explore where the routers disagree: run the learned path on {} such queries, chosen by a coin that is logged as `propensity`.",
            grouped(needed.exploration_matches as u64)
        ));
    }
    if needed.shadow_runs > 0 {
        steps.push(format!(
            "Or run both paths in shadow on {} queries on which the routers disagree: the cheapest honest way.",
            grouped(needed.shadow_runs as u64)
        ));
    }
    if decision.reason == Reason::NotIdentified {
        steps.push(
            "Log `propensity`: the probability with which the path that ran was chosen. Without it no log can prove a gain.".to_owned(),
        );
    }
    if sources.replay.routing_accuracy.n == 0 {
        steps.push("Have some decisions rated (`quality_metrics.optimal_path`): routing accuracy is unknown without.".to_owned());
    }
    steps.iter().map(|step| Words::marked(step)).collect()
}
