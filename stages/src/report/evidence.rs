//! The evidence: every policy, how far the log can be trusted, every estimator, query types, and E-009's seven questions.

use super::document::{Block, Cell, Table, Words, quoted};
use super::format::{as_words, dollars, grouped, milliseconds, percent, share, signed, spelled};
use super::sources::Sources;
use crate::artifacts::{Answer, Bounded, FrontierResult, Role};

/// Policies on the held-out window.
pub(super) fn policies(sources: &Sources<'_>) -> Vec<Block> {
    let replay = sources.replay;
    let mut table =
        Table::of(&["policy", "role", "success #", "95 % interval", "estimator", "mean latency #", "mean cost #", "differs from static #"]);
    for policy in &replay.policies {
        let success = policy.success;
        table.row([
            Cell::name(&policy.name),
            Cell::text(role(policy.role)),
            Cell::maybe(success.value, share),
            interval(success),
            Cell::name(&policy.estimator),
            Cell::maybe(policy.latency_ms, milliseconds),
            Cell::maybe(policy.cost_usd, dollars),
            Cell::number(share(policy.disagreement), policy.disagreement),
        ]);
    }
    let mut blocks = vec![
        Block::Chapter("Every policy on the held-out window".to_owned()),
        Block::paragraph(&format!(
            "{} queries; the static choice is {}. A control is something simple that a learned router has to beat; an oracle knows the outcomes and is nobody's to have.",
            grouped(replay.n_queries as u64),
            replay.static_source
        )),
        Block::Table(table),
    ];
    if let Some(gap) = replay.gap_closed {
        let par10 = gap
            .par10
            .map(|closed| format!(", {} in mean latency with failures counted tenfold (PAR10)", share(closed)))
            .unwrap_or_default();
        blocks.push(Block::paragraph(&format!(
            "Of the way from the best single path to the oracle the learned router goes {} in success{par10}.",
            share(gap.success)
        )));
    }
    blocks.extend(sources.figure("cost_quality", "Success against mean latency of every policy"));
    let known = replay.thresholds.iter().filter_map(|point| Some((point, point.success?)));
    let mut thresholds = Table::of(&["confidence from #", "decided by the model #", "success of the whole router #"]);
    for (point, success) in known {
        thresholds.row([
            Cell::number(format!("{:.2}", point.threshold), point.threshold),
            Cell::number(share(point.coverage), point.coverage),
            Cell::number(share(success), success),
        ]);
    }
    if !thresholds.rows.is_empty() {
        blocks.push(Block::Section("The fallback threshold".to_owned()));
        blocks.push(Block::paragraph("Below a confidence the static router is asked. What the whole router would have earned at others:"));
        blocks.push(Block::Table(thresholds));
        blocks.extend(sources.figure("risk_coverage", "Failures by share of queries that the model decides"));
    }
    blocks.extend(replay.frontier.as_ref().map(frontier).unwrap_or_default());
    blocks
}

/// What success would cost at other weights of the price.
fn frontier(found: &FrontierResult) -> Vec<Block> {
    let price = |value: f64| if found.unit == "usd" { dollars(value) } else { milliseconds(value) };
    let mut table = Table::of(&["success that one mean price is worth #", "mean price #", "success #"]);
    for setting in &found.settings {
        table.row([
            Cell::number(format!("{:.3}", setting.lambda), setting.lambda),
            Cell::number(price(setting.cost), setting.cost),
            Cell::number(share(setting.quality), setting.quality),
        ]);
    }
    let mut blocks = vec![Block::Section("What success costs".to_owned()), Block::Table(table)];
    if let Some(quality) = found.aiq {
        blocks.push(Block::paragraph(&format!(
            "The mean success of the best mixtures between prices of {} and {} is {} (AIQ).",
            price(found.costs[0]),
            price(found.costs[1]),
            share(quality)
        )));
    }
    if let Some(calls) = &found.strong_calls {
        let known = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), share);
        blocks.push(Block::paragraph(&format!(
            "Between the cheapest path {} ({}) and the strongest {} ({}): {} of the gap is recovered on average; half of it takes {} of calls to the strong path, four fifths {}.",
            quoted(&calls.weak),
            share(calls.weak_success),
            quoted(&calls.strong),
            share(calls.strong_success),
            known(calls.apgr),
            known(calls.cpt_50),
            known(calls.cpt_80)
        )));
    }
    blocks
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Static => "static",
        Role::Learned => "learned",
        Role::Alternative => "alternative",
        Role::Control => "control",
        Role::Oracle => "oracle",
    }
}

fn interval(bounds: Bounded) -> Cell {
    Cell { words: Words::plain(format!("[{:.1}, {:.1}]", 100.0 * bounds.lower, 100.0 * bounds.upper)), sort: Some(bounds.lower) }
}

/// Gates, overlap and estimators.
pub(super) fn trust(sources: &Sources<'_>) -> Vec<Block> {
    let replay = sources.replay;
    let mut gates = Table::of(&["gate", "passed", "what was found"]);
    for gate in &replay.gates {
        gates.row([
            Cell::text(&as_words(&spelled(&gate.name))),
            Cell::text(if gate.passed { "yes" } else { "**no**" }),
            Cell { words: Words::plain(&gate.detail), sort: None },
        ]);
    }
    let mut blocks = vec![
        Block::Chapter("How far the log can be trusted".to_owned()),
        Block::paragraph("A gate that fails makes the verdict `KEEP`, whatever the estimates say."),
        Block::Table(gates),
    ];
    if let Some(found) = replay.diagnostics {
        let mut overlap = Table::of(&["overlap of the log with the learned router", "value #"]);
        let mut row = |name: &str, text: String, value: f64| overlap.row([Cell::text(name), Cell::number(text, value)]);
        row("rows judged", grouped(found.rows as u64), found.rows as f64);
        row("queries on which the routers disagree", share(found.disagreement), found.disagreement);
        row("exploration matches there", grouped(found.exploration_matches as u64), found.exploration_matches as f64);
        row("failures among these", format!("{:.0}", found.exploration_failures), found.exploration_failures);
        row("effective sample size", format!("{:.0}", found.effective_sample_size), found.effective_sample_size);
        row(
            "effective sample size where they disagree",
            format!("{:.0}", found.effective_sample_size_on_disagreement),
            found.effective_sample_size_on_disagreement,
        );
        row("mean weight (1 where propensities are right)", format!("{:.3}", found.mean_weight), found.mean_weight);
        row("largest weight's share", share(found.largest_weight_share), found.largest_weight_share);
        row("smallest propensity", format!("{:.4}", found.smallest_propensity), found.smallest_propensity);
        row("disagreement without support", share(found.unsupported_mass), found.unsupported_mass);
        blocks.push(Block::Table(overlap));
    }
    blocks.extend(sources.figure("weight_overlap", "Importance weights, and every path's share in the log and under the learned router"));
    blocks.extend(estimators(sources));
    blocks.extend(other_looks(sources));
    blocks
}

/// The evidence seen otherwise: by session, night by night, and by the protocol that E-009 began with.
fn other_looks(sources: &Sources<'_>) -> Vec<Block> {
    let replay = sources.replay;
    let mut blocks = Vec::new();
    if let Some(found) = replay.sessions {
        blocks.push(Block::paragraph(&format!(
            "The {} rows belong to {} sessions; the deviations of two rows of a session correlate by {:.3}, and intervals count sessions.",
            grouped(found.rows as u64),
            grouped(found.sessions as u64),
            found.exploration_correlation
        )));
    }
    if !replay.looks.is_empty() {
        let mut table =
            Table::of(&["day", "decisions so far #", "uplift in points #", "95 % over all nights", "95 % had this been the only look"]);
        for look in &replay.looks {
            table.row([
                Cell::text(&crate::time::day(look.day * MICROS_PER_DAY)),
                Cell::count(look.rows as u64),
                Cell::number(signed(look.uplift_points), look.uplift_points),
                Cell::text(&format!("[{}, {}]", signed(look.lower), signed(look.upper))),
                Cell::text(&format!("[{}, {}]", signed(look.lower_at_one_look), signed(look.upper_at_one_look))),
            ]);
        }
        blocks.push(Block::Section("The uplift night by night".to_owned()));
        blocks.push(Block::paragraph(
            "Who looks every night and stops at the first good one needs the wider interval, which holds at all nights together.",
        ));
        blocks.push(Block::Table(table));
    }
    if let Some(found) = replay.seed_protocol {
        blocks.push(Block::Section("The protocol that E-009 began with".to_owned()));
        blocks.push(Block::paragraph(&format!(
            "{} held-out queries to the static router, {} to the learned one: {} and {}, a difference of {} points [{}, {}]. Groups of this size show an uplift of {} points in {:.0} of 100 tests.",
            found.static_queries,
            found.learned_queries,
            percent(found.static_success),
            percent(found.learned_success),
            found.difference_points.value.map_or_else(|| "unknown".to_owned(), signed),
            signed(found.difference_points.lower),
            signed(found.difference_points.upper),
            found.power_for_points,
            100.0 * found.power
        )));
    }
    blocks
}

/// Microseconds of a day.
const MICROS_PER_DAY: i64 = 86_400_000_000;

fn estimators(sources: &Sources<'_>) -> Vec<Block> {
    let replay = sources.replay;
    let mut blocks = Vec::new();
    let table = |answers: &[Answer]| {
        let mut table = Table::of(&["estimator", "value #", "95 % interval"]);
        for answer in answers {
            let bounds = Words::plain(format!("[{:.4}, {:.4}]", answer.estimate.lower, answer.estimate.upper));
            table.row([
                Cell::name(&answer.name),
                Cell::maybe(answer.estimate.value, |value| format!("{value:.4}")),
                Cell { words: bounds, sort: Some(answer.estimate.lower) },
            ]);
        }
        Block::Table(table)
    };
    if !replay.estimators.is_empty() {
        blocks.push(Block::Section("Every estimator of the learned router's success".to_owned()));
        blocks.push(Block::paragraph(
            "The stratified estimator decides; the others are cross-checks. The interval of `dm` leaves out the error of its model, and replay matching (`replay`) is unbiased only where the logger chose at random.",
        ));
        blocks.push(table(&replay.estimators));
    }
    blocks.extend(sources.figure("uplift_by_estimator", "Uplift by estimator, with intervals"));
    if !replay.static_whole_log.is_empty() {
        blocks.push(Block::Section("The static router, replayed over the whole log".to_owned()));
        blocks.push(Block::paragraph(&format!(
            "A check of the machinery and of the logged propensities: the estimators that weigh should agree with each other. The success rate of everything that was logged, explored decisions included, is {:.4}.",
            replay.logged_mean
        )));
        blocks.push(table(&replay.static_whole_log));
    }
    blocks
}

/// Query types.
pub(super) fn segments(sources: &Sources<'_>) -> Vec<Block> {
    let replay = sources.replay;
    let mut blocks = vec![Block::Chapter("Uplift by query type".to_owned())];
    if replay.segments.is_empty() {
        blocks.push(Block::paragraph("The log does not identify uplifts by query type."));
        return blocks;
    }
    let mut table = Table::of(&["query type", "share #", "uplift in points #", "one-sided 95 % bounds", "use learned there"]);
    for segment in &replay.segments {
        let bounds = if segment.is_without_difference() {
            "no difference".to_owned()
        } else {
            format!("[{}, {}]", signed(segment.lower), signed(segment.upper))
        };
        table.row([
            Cell::name(&segment.name),
            Cell::number(share(segment.weight), segment.weight),
            Cell::number(signed(segment.uplift_points), segment.uplift_points),
            Cell { words: Words::plain(bounds), sort: Some(segment.lower) },
            Cell::text(if segment.use_learned { "**confirmed**" } else { "no" }),
        ]);
    }
    blocks.push(Block::paragraph(
        "Query types are chosen on one half of the held-out queries and judged on the other, so that luck is not chosen.",
    ));
    blocks.push(Block::Table(table));
    if let Some(composed) = &replay.composed {
        blocks.push(Block::paragraph(&format!(
            "Learned routing in the confirmed types only, static elsewhere: {} points over all queries [{}, {}].",
            signed(composed.uplift.points),
            signed(composed.uplift.lower),
            signed(composed.uplift.upper)
        )));
    }
    if !replay.harmed_segments.is_empty() {
        let names: Vec<String> = replay.harmed_segments.iter().map(|name| quoted(name)).collect();
        blocks.push(Block::paragraph(&format!("**Harmed:** {}.", names.join(", "))));
    }
    blocks.extend(sources.figure("uplift_by_segment", "Uplift by query type, with bounds"));
    blocks
}

/// How the learned router ages.
pub(super) fn ageing(sources: &Sources<'_>) -> Vec<Block> {
    let mut blocks = vec![Block::Chapter("How the learned router ages".to_owned())];
    let Some(found) = &sources.replay.retraining else {
        blocks.push(Block::paragraph("The log is too short to tell, or identifies nothing."));
        return blocks;
    };
    let words = if found.decays {
        format!("It has lost a point to a freshly trained one after about {} days.", found.interval_days)
    } else {
        format!("No loss of a point within {} days is shown.", found.interval_days)
    };
    blocks.push(Block::paragraph(&format!(
        "{words} It loses {:.2} points a day [{:.2}, {:.2}], one-sided 95 % bounds.",
        found.loss_per_day, found.loss_per_day_lower, found.loss_per_day_upper
    )));
    let mut table = Table::of(&["age in days #", "fresh minus old, points #", "95 % interval"]);
    for point in &found.points {
        table.row([
            Cell::number(format!("{:.1}", point.age_days), point.age_days),
            Cell::number(signed(point.loss_points), point.loss_points),
            Cell::text(&format!("[{}, {}]", signed(point.lower), signed(point.upper))),
        ]);
    }
    blocks.push(Block::Table(table));
    blocks
}

/// E-009, section 8.
pub(super) fn questions(sources: &Sources<'_>) -> Vec<Block> {
    let answers = sources.decision.answers.iter();
    let words = answers.map(|answer| Words::marked(&format!("**{}** {}", answer.question, answer.answer))).collect();
    vec![Block::Chapter("The seven questions of E-009".to_owned()), Block::Numbered(words)]
}
