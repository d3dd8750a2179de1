//! The model card: what the artifact is for, what it was made from, how good it is and for whom, and what it cannot do.

use routewright_router::{Policy, Schema};

use crate::artifacts::{DecisionReport, Evaluation, TrainingReport};
use crate::report::document::{Block, Cell, Document, Table, Words, quoted};
use crate::report::format::{grouped, minute, share, short, signed, spelled};
use crate::report::markdown;

/// Everything that the card tells.
pub(super) struct Known<'a> {
    pub policy: &'a Policy,
    pub schema: &'a Schema,
    pub training: &'a TrainingReport,
    pub evaluation: &'a Evaluation,
    pub decision: &'a DecisionReport,
}

/// `MODEL_CARD.md`.
pub(super) fn card(known: &Known<'_>) -> String {
    let blocks = [intended_use(known), data(known), metrics(known), calibration(known), thresholds(known), limits(known)].concat();
    // No figures lie beside the artifact.
    markdown::render(&Document { title: "Model card of the learned router".to_owned(), blocks }, "")
}

fn intended_use(known: &Known<'_>) -> Vec<Block> {
    let decision = known.decision;
    let paths: Vec<String> = known.policy.paths.names().iter().map(|name| quoted(name)).collect();
    vec![
        Block::Chapter("Intended use".to_owned()),
        Block::paragraph(&format!(
            "Chooses one of {} execution paths ({}) for a query, from what is known before it runs; where it is not sure, or has seen too little of a path, the static path is taken.",
            paths.len(),
            paths.join(", ")
        )),
        Block::paragraph(&format!(
            "The decision of the experiment that made it: **{}** ({}). {}",
            spelled(&decision.verdict),
            spelled(&decision.reason),
            decision.summary.trim()
        )),
        Block::Bullets(
            [
                "Not for queries, paths or times unlike those it was trained on; not for decisions about people.",
                "Not without the static router behind it: the fallback is part of the router.",
            ]
            .map(Words::marked)
            .to_vec(),
        ),
    ]
}

fn data(known: &Known<'_>) -> Vec<Block> {
    let (training, decision) = (known.training, known.decision);
    let mut table = Table::of(&["path", "training rows #", "success #", "has a success model"]);
    for path in &training.paths {
        let position = known.policy.paths.arm(&path.path);
        let has_model = position.is_some_and(|arm| known.policy.success[arm.index()].is_some());
        table.row([
            Cell::name(&path.path),
            Cell::count(path.n_rows as u64),
            Cell::number(share(path.success_rate), path.success_rate),
            Cell::text(if has_model { "yes" } else { "no" }),
        ]);
    }
    vec![
        Block::Chapter("Data".to_owned()),
        Block::paragraph(&format!(
            "{} decisions from {} to {}, in {} columns of features ({}). Data `{}`, seed {}, made by routewright {}.",
            grouped(training.n_rows as u64),
            minute(training.window_us.0),
            minute(training.window_us.1),
            known.schema.n_columns(),
            known.schema.groups().join(", "),
            short(&decision.provenance.data_digest),
            decision.provenance.seed,
            decision.provenance.version
        )),
        Block::Table(table),
    ]
}

fn metrics(known: &Known<'_>) -> Vec<Block> {
    let decision = known.decision;
    let rate = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), share);
    let mut blocks = vec![
        Block::Chapter("Metrics".to_owned()),
        Block::paragraph(&format!(
            "On {} held-out decisions from {} to {}: success {} with the learned router and {} with the static one, uplift between {} and {} points (one-sided 95 % bounds; the log is {}).",
            grouped(decision.diagnostics.rows as u64),
            decision.provenance.window[0],
            decision.provenance.window[1],
            rate(decision.success.learned),
            rate(decision.success.static_rate),
            signed(decision.success.lower),
            signed(decision.success.upper),
            quoted(&spelled(&decision.identification)),
        )),
    ];
    if decision.segments.is_empty() {
        blocks.push(Block::paragraph("The log does not identify the uplift of single query types."));
        return blocks;
    }
    let mut table = Table::of(&["query type", "share #", "uplift in points #", "one-sided 95 % bounds", "use learned there"]);
    for segment in &decision.segments {
        table.row([
            Cell::name(&segment.name),
            Cell::number(share(segment.weight), segment.weight),
            Cell::number(signed(segment.uplift_points), segment.uplift_points),
            Cell::text(&format!("[{}, {}]", signed(segment.lower), signed(segment.upper))),
            Cell::text(if segment.use_learned { "yes" } else { "no" }),
        ]);
    }
    blocks.push(Block::Table(table));
    blocks
}

fn calibration(known: &Known<'_>) -> Vec<Block> {
    let found = &known.evaluation.calibrated;
    let mut table = Table::of(&["predicted success #", "observed #", "decisions #"]);
    for bin in &found.bins {
        table.row([
            Cell::number(share(bin.predicted), bin.predicted),
            Cell::number(share(bin.observed), bin.observed),
            Cell::count(bin.count as u64),
        ]);
    }
    vec![
        Block::Chapter("Calibration".to_owned()),
        Block::paragraph(&format!(
            "Expected calibration error {:.4}, Brier score {:.4}, log loss {:.4} nats.",
            found.ece, found.brier, found.log_loss
        )),
        Block::Table(table),
    ]
}

fn thresholds(known: &Known<'_>) -> Vec<Block> {
    let settings = &known.policy.settings;
    let explained = known.evaluation.explainability;
    vec![
        Block::Chapter("When it leaves the static path".to_owned()),
        Block::Bullets(
            [
                format!("The predicted gain is at least {} of success probability.", settings.min_gain),
                format!("The confidence is at least {}.", settings.min_confidence),
                format!("The path ran on at least {} training decisions.", settings.min_support),
                format!(
                    "A tree of depth {} chooses as the router does on {} of the held-out queries; the report shows it.",
                    explained.surrogate_depth,
                    share(explained.surrogate_fidelity)
                ),
            ]
            .map(|text| Words::marked(&text))
            .to_vec(),
        ),
    ]
}

fn limits(known: &Known<'_>) -> Vec<Block> {
    let worse = known.evaluation.success.iter().filter(|model| model.log_loss > model.log_loss_of_rate);
    let worse: Vec<String> = worse.map(|model| quoted(&model.path)).collect();
    let mut limits = vec![
        "Its history of similar queries ends with the log; it does not learn while it routes.".to_owned(),
        "Paths that are new, or that changed since the log ended, are unknown to it: train again.".to_owned(),
        known.decision.retraining.map_or_else(
            || "How soon it needs retraining is not known: the log is too short to tell.".to_owned(),
            |found| {
                if found.decays {
                    format!("It needs retraining after about {} days.", found.interval_days)
                } else {
                    format!("Over {} days it was not shown to age.", found.interval_days)
                }
            },
        ),
    ];
    if !worse.is_empty() {
        limits
            .push(format!("On held-out decisions its predictions for {} are no better than these paths' success rates.", worse.join(", ")));
    }
    limits.push("`routewright verify` checks its files, its schema and its golden decisions.".to_owned());
    vec![Block::Chapter("Limits".to_owned()), Block::Bullets(limits.iter().map(|limit| Words::marked(limit)).collect())]
}
