//! The report as Markdown: verdict first, then the table of E-009, then what is behind it.

use routewright_table::{IngestReport, Summary};

use crate::artifacts::{Bounded, DecisionReport, Evaluation, RatePair, ReplayReport, Role, TrainingReport};
use crate::report::exploration;
use crate::time::rfc3339;

/// Most rows of a table that a person reads.
const MAX_ROWS: usize = 20;

/// Everything that the report tells.
pub(super) struct Sources<'a> {
    pub decision: &'a DecisionReport,
    pub replay: &'a ReplayReport,
    pub evaluation: &'a Evaluation,
    pub training: &'a TrainingReport,
    pub exploration: &'a Summary,
    pub ingest: &'a IngestReport,
    /// Names of the figures that were drawn.
    pub figures: &'a [String],
}

/// `E-009-results.md`.
pub(super) fn report(sources: &Sources<'_>) -> String {
    let sections = [
        verdict(sources),
        criteria(sources),
        policies(sources),
        trust(sources),
        segments(sources),
        questions(sources),
        exploration::section(sources),
        models(sources),
        provenance(sources),
        limits(sources),
    ];
    let mut text = sections.join("\n");
    text.push('\n');
    text
}

/// `summary.md`: what fits on the page of a CI job.
pub(super) fn summary(sources: &Sources<'_>) -> String {
    let decision = sources.decision;
    let mut text = format!("## routewright: {} ({})\n\n{}\n\n", spelled(&decision.verdict), spelled(&decision.reason), decision.summary);
    text.push_str(&criteria_table(sources));
    text.push_str(&format!(
        "\n{} of {} gates passed; {} decisions, {} in quarantine; seed {}, data `{}`.\n",
        decision.diagnostics.gates.iter().filter(|gate| gate.passed).count(),
        decision.diagnostics.gates.len(),
        sources.ingest.totals.kept,
        sources.ingest.totals.n_quarantined(),
        decision.provenance.seed,
        short(&decision.provenance.data_digest),
    ));
    text
}

fn verdict(sources: &Sources<'_>) -> String {
    let decision = sources.decision;
    format!(
        "# E-009: learned routing against static routing\n\n**Verdict: {}** (reason: {}; the log is {})\n\n{}\n",
        spelled(&decision.verdict),
        spelled(&decision.reason),
        spelled(&decision.identification),
        decision.summary
    )
}

/// E-009, section 4.
fn criteria(sources: &Sources<'_>) -> String {
    let mut text = "## Success criteria\n\n".to_owned();
    text.push_str(&criteria_table(sources));
    text.push_str(&figure(sources, "controls", "Success rate of every policy on the held-out window"));
    text
}

fn criteria_table(sources: &Sources<'_>) -> String {
    let (decision, replay) = (sources.decision, sources.replay);
    let mut text = "| metric | static | learned | target | met? |\n|---|---|---|---|---|\n".to_owned();
    let success = |name: &str| replay.policy(name).map_or_else(|| "unknown".to_owned(), |policy| percent(policy.success));
    let uplift_met = decision.success.uplift_points.map(|points| points >= 5.0 && decision.success.lower > 3.0);
    text.push_str(&format!(
        "| success rate | {} | {} | uplift of 5 points or more, lower bound above 3 | {}: {} |\n",
        success("static"),
        success("learned"),
        met(uplift_met),
        points(replay)
    ));
    text.push_str(&match replay.latency {
        Some(ratio) => format!(
            "| mean latency | {} | {} | within 10 % | {}: ratio {:.3} [{:.3}, {:.3}] |\n",
            milliseconds(ratio.static_mean),
            milliseconds(ratio.learned_mean),
            met(Some(ratio.upper < 1.10)),
            ratio.ratio,
            ratio.lower,
            ratio.upper
        ),
        None => "| mean latency | unknown | unknown | within 10 % | unknown |\n".to_owned(),
    });
    if let Some((theirs, ours)) = replay.latency_p95_ms {
        text.push_str(&format!("| p95 latency | {} | {} | – | – |\n", milliseconds(theirs), milliseconds(ours)));
    }
    text.push_str(&rate_row("routing accuracy", "above 97 %", replay.routing_accuracy, |ours, _| ours > 0.97));
    text.push_str(&rate_row("hallucination rate", "below 3 %", replay.hallucination_rate, |ours, _| ours < 0.03));
    text.push_str(&rate_row("user satisfaction", "10 % above static", replay.user_satisfaction, |ours, theirs| ours >= 1.1 * theirs));
    if let Some(ratio) = replay.cost {
        text.push_str(&format!(
            "| mean cost | {:.5} USD | {:.5} USD | – | ratio {:.3} |\n",
            ratio.static_mean, ratio.learned_mean, ratio.ratio
        ));
    }
    let explained = sources.evaluation.explainability;
    text.push_str(&format!(
        "| explainability | rules | a tree of depth {} agrees on {:.1} % | 90 % at depth 5 | {} |\n",
        explained.surrogate_depth,
        100.0 * explained.surrogate_fidelity,
        met(Some(explained.acceptable))
    ));
    text
}

/// A rate that a higher or lower value of is better.
fn rate_row(name: &str, target: &str, rates: RatePair, is_met: impl Fn(f64, f64) -> bool) -> String {
    let (Some(theirs), Some(ours)) = (rates.static_rate, rates.learned_rate) else {
        return format!("| {name} | not logged | not logged | {target} | unknown |\n");
    };
    let answer = ours.value.zip(theirs.value).map(|(ours, theirs)| is_met(ours, theirs));
    format!("| {name} (n = {}) | {} | {} | {target} | {} |\n", rates.n, percent(theirs), percent(ours), met(answer))
}

fn policies(sources: &Sources<'_>) -> String {
    let replay = sources.replay;
    let mut text = format!(
        "## Policies on the held-out window\n\n{} queries from {} to {}; the static choice is {}.\n\n",
        replay.n_queries,
        rfc3339(replay.window_us.0),
        rfc3339(replay.window_us.1),
        replay.static_source
    );
    text.push_str("| policy | role | success, 95 % interval | estimator | mean latency | mean cost | differs from static |\n|---|---|---|---|---|---|---|\n");
    for policy in &replay.policies {
        let role = match policy.role {
            Role::Static => "static",
            Role::Learned => "learned",
            Role::Alternative => "alternative",
            Role::Control => "control",
            Role::Oracle => "oracle, with hindsight",
        };
        text.push_str(&format!(
            "| {} | {role} | {} | {} | {} | {} | {:.1} % |\n",
            policy.name,
            percent(policy.success),
            policy.estimator,
            policy.latency_ms.map_or_else(|| "–".to_owned(), milliseconds),
            policy.cost_usd.map_or_else(|| "–".to_owned(), |cost| format!("{cost:.5} USD")),
            100.0 * policy.disagreement
        ));
    }
    if let Some(gap) = replay.gap_closed {
        let par10 = gap.par10.map(|share| format!(", {:.1} % in PAR10", 100.0 * share)).unwrap_or_default();
        text.push_str(&format!(
            "\nOf the gap from the best single path to the oracle the learned router closes {:.1} % in success{par10}.\n",
            100.0 * gap.success
        ));
    }
    let curve: Vec<String> = replay
        .thresholds
        .iter()
        .filter_map(|point| {
            point
                .success
                .map(|success| format!("{:.2}: {:.1} % at {:.0} % coverage", point.threshold, 100.0 * success, 100.0 * point.coverage))
        })
        .collect();
    if !curve.is_empty() {
        text.push_str(&format!("\nSuccess by fallback threshold: {}.\n", curve.join("; ")));
    }
    text.push_str(&figure(sources, "risk_coverage", "Failures by share of queries that the model decides"));
    text
}

fn trust(sources: &Sources<'_>) -> String {
    let replay = sources.replay;
    let mut text = "## How far the log can be trusted\n\n| gate | passed | detail |\n|---|---|---|\n".to_owned();
    for gate in &replay.gates {
        text.push_str(&format!("| {} | {} | {} |\n", spelled(&gate.name), if gate.passed { "yes" } else { "**no**" }, gate.detail));
    }
    if let Some(found) = replay.diagnostics {
        text.push_str(&format!(
            "\n{} rows; the routers disagree on {:.1} %; {} exploration matches there, {:.0} failures among them; effective sample size {:.0}, {:.0} where they disagree; mean weight {:.3}; largest weight share {:.2} %; smallest propensity {:.4}.\n",
            found.rows,
            100.0 * found.disagreement,
            found.exploration_matches,
            found.exploration_failures,
            found.effective_sample_size,
            found.effective_sample_size_on_disagreement,
            found.mean_weight,
            100.0 * found.largest_weight_share,
            found.smallest_propensity
        ));
    }
    let mut shown = false;
    for (title, answers) in [
        ("Every estimator of the learned router's success", &replay.estimators),
        ("The static router over the whole log (A/A check)", &replay.static_whole_log),
    ] {
        if answers.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{title}"));
        if title.contains("A/A") {
            text.push_str(&format!("; logged mean {:.4}", replay.logged_mean));
        }
        text.push_str(":\n\n| estimator | value | 95 % interval |\n|---|---|---|\n");
        shown = true;
        for answer in answers {
            let value = answer.estimate.value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"));
            text.push_str(&format!("| {} | {value} | [{:.4}, {:.4}] |\n", answer.name, answer.estimate.lower, answer.estimate.upper));
        }
    }
    if shown {
        text.push_str(
            "\nOnly the stratified estimator decides; the others are cross-checks. The interval of `dm` leaves out the error of its model, and replay matching is unbiased only where the logger chose at random.\n",
        );
    }
    text.push_str(&figure(sources, "uplift_by_estimator", "Uplift by estimator"));
    let needed = sources.decision.needed;
    if needed.decisions + needed.exploration_matches + needed.shadow_runs > 0 {
        text.push_str(&format!(
            "\n**What would settle it:** {} decisions at the present exploration, or {} exploration matches where the routers disagree, or {} shadow runs of both paths there.\n",
            if needed.decisions > 0 { needed.decisions.to_string() } else { "no number of".to_owned() },
            needed.exploration_matches,
            needed.shadow_runs
        ));
    }
    text
}

fn segments(sources: &Sources<'_>) -> String {
    if sources.replay.segments.is_empty() {
        return "## Segments\n\nThe log does not identify uplifts by query type.\n".to_owned();
    }
    let mut text = "## Segments\n\nQuery types chosen on one half of the held-out queries, judged on the other.\n\n| query type | share | uplift in points, one-sided 95 % bounds | learned there |\n|---|---|---|---|\n".to_owned();
    for segment in sources.replay.segments.iter().take(MAX_ROWS) {
        text.push_str(&format!(
            "| {} | {:.1} % | {:+.1} [{:.1}, {:.1}] | {} |\n",
            segment.name,
            100.0 * segment.weight,
            segment.uplift_points,
            segment.lower,
            segment.upper,
            if segment.use_learned { "confirmed" } else { "no" }
        ));
    }
    text.push_str(&figure(sources, "uplift_by_segment", "Uplift by query type"));
    text
}

fn questions(sources: &Sources<'_>) -> String {
    let mut text = "## The seven questions\n\n".to_owned();
    for (position, answer) in sources.decision.answers.iter().enumerate() {
        text.push_str(&format!("{}. **{}** {}\n", position + 1, answer.question, answer.answer));
    }
    text
}

fn models(sources: &Sources<'_>) -> String {
    let (evaluation, training) = (sources.evaluation, sources.training);
    let mut text = format!(
        "## Models\n\nTrained on {} rows from {} to {}, judged on {} later ones.\n\n| path | rows | success | log loss | of the rate alone | Brier | ECE | AUC |\n|---|---|---|---|---|---|---|---|\n",
        training.n_rows,
        rfc3339(training.window_us.0),
        rfc3339(training.window_us.1),
        evaluation.n_held_out
    );
    for model in evaluation.success.iter().take(MAX_ROWS) {
        text.push_str(&format!(
            "| {} | {} | {:.1} % | {:.4} | {:.4} | {:.4} | {:.4} | {} |\n",
            model.path,
            model.n_rows,
            100.0 * model.success_rate,
            model.log_loss,
            model.log_loss_of_rate,
            model.brier,
            model.ece,
            model.auc.map_or_else(|| "–".to_owned(), |auc| format!("{auc:.3}"))
        ));
    }
    text.push_str(&format!(
        "\nCalibration of the success probabilities: ECE {:.4} before, {:.4} after; Brier {:.4} before, {:.4} after.\n",
        evaluation.uncalibrated.ece, evaluation.calibrated.ece, evaluation.uncalibrated.brier, evaluation.calibrated.brier
    ));
    text.push_str(&figure(sources, "calibration", "Predicted against observed success"));
    if let Some(classifier) = &evaluation.classifier {
        let folds = &training.classifier.fold_accuracy;
        let mean = folds.iter().sum::<f64>() / folds.len().max(1) as f64;
        text.push_str(&format!(
            "\nThe path classifier (label: {}) is right on {:.1} % of {} held-out rows ({:.1} % in {}-fold cross-validation); log loss {:.4}, Brier {:.4}.\n\n| path | precision | recall | F1 | rows |\n|---|---|---|---|---|\n",
            classifier.label,
            100.0 * classifier.accuracy,
            classifier.n_rows,
            100.0 * mean,
            folds.len(),
            classifier.log_loss,
            classifier.brier
        ));
        for class in classifier.paths.iter().take(MAX_ROWS) {
            text.push_str(&format!(
                "| {} | {:.3} | {:.3} | {:.3} | {} |\n",
                class.path, class.precision, class.recall, class.f1, class.support
            ));
        }
        text.push_str(&figure(sources, "confusion", "Confusion matrix of the path classifier"));
    }
    text.push_str("\n| feature | permutation: rise in held-out log loss | impurity share |\n|---|---|---|\n");
    for feature in evaluation.importance.iter().take(MAX_ROWS) {
        text.push_str(&format!(
            "| {} | {:.5} ± {:.5} | {:.3} |\n",
            feature.label, feature.permutation, feature.permutation_sd, feature.impurity
        ));
    }
    text.push_str(&figure(sources, "importance", "Permutation importance"));
    text.push_str(&format!(
        "\nThe shallow tree that imitates the learned router:\n\n```text\n{}\n```\n",
        evaluation.surrogate_rules.trim_end()
    ));
    text
}

fn provenance(sources: &Sources<'_>) -> String {
    let (decision, ingest) = (sources.decision, sources.ingest);
    let totals = &ingest.totals;
    let from = &decision.provenance;
    let mut text = format!(
        "## What was done\n\n{} records of {} files were read: {} decisions ({} with a pending outcome), {} duplicates, {} in quarantine. They date from {} to {}.\n",
        totals.read,
        ingest.files.len(),
        totals.kept,
        totals.pending,
        totals.duplicate,
        totals.n_quarantined(),
        ingest.first.map_or_else(|| "?".to_owned(), |time| rfc3339(time.0)),
        ingest.last.map_or_else(|| "?".to_owned(), |time| rfc3339(time.0))
    );
    if totals.n_quarantined() > 0 {
        text.push_str("\n| reason for quarantine | records |\n|---|---|\n");
        for (reason, count) in &totals.quarantined {
            text.push_str(&format!("| {reason} | {count} |\n"));
        }
    }
    text.push_str(&format!(
        "\nSeed {}; routewright {}; data `{}`, settings `{}`, models `{}`.\n",
        from.seed,
        from.version,
        short(&from.data_digest),
        short(&from.settings_digest),
        short(&from.artifact_digest)
    ));
    text
}

fn limits(sources: &Sources<'_>) -> String {
    use routewright_ope::Identification;
    let regime = match sources.decision.identification {
        Identification::FullInformation => {
            "Every path ran on (nearly) every query, so values are exact for these queries; the intervals speak about other queries like them."
        }
        Identification::Randomised => "Groups were randomised: the difference between them is the effect, as long as the split was kept.",
        Identification::Identified => {
            "Values of paths that did not run follow from exploration with logged propensities; they are as good as these propensities."
        }
        Identification::Partial => "Part of what the learned router would do was never tried: for that part there are only bounds.",
        Identification::EstimatedPropensity => {
            "Propensities were estimated, not logged: the numbers hold only if nothing hidden drove the choice of path."
        }
        Identification::NotIdentified => {
            "The log shows only what its own rules chose. No statistic can say what other paths would have earned there: exploration or shadow runs can."
        }
    };
    format!(
        "## Limits\n\n{regime} The held-out window lies after the training window: what changes later is not in these numbers. Outcomes that are still pending are left out ({} decisions), as are {} rows whose static choice or propensity is unknown.\n",
        sources.ingest.totals.pending, sources.replay.rows_without_static
    )
}

/// A figure, where it was drawn.
pub(super) fn figure(sources: &Sources<'_>, name: &str, alt: &str) -> String {
    let file = format!("{name}.png");
    if sources.figures.contains(&file) { format!("\n![{alt}](figures/{file})\n") } else { String::new() }
}

/// A name as machines write it.
pub(super) fn spelled(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A rate with its interval.
pub(super) fn percent(rate: Bounded) -> String {
    match rate.value {
        Some(value) => format!("{:.1} % [{:.1}, {:.1}]", 100.0 * value, 100.0 * rate.lower, 100.0 * rate.upper),
        None => format!("between {:.1} and {:.1} %", 100.0 * rate.lower, 100.0 * rate.upper),
    }
}

/// The uplift with its one-sided bounds.
fn points(replay: &ReplayReport) -> String {
    let uplift = &replay.uplift;
    match uplift.points.value {
        Some(value) => format!("{value:+.1} points, one-sided bounds [{:.1}, {:.1}]", uplift.lower_one_sided, uplift.upper_one_sided),
        None => format!("between {:.1} and {:.1} points", uplift.lower_one_sided, uplift.upper_one_sided),
    }
}

fn milliseconds(value: f64) -> String {
    if value >= 10_000.0 { format!("{:.1} s", value / 1000.0) } else { format!("{value:.0} ms") }
}

fn met(answer: Option<bool>) -> &'static str {
    match answer {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    }
}

/// The beginning of a digest, enough to compare by eye.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
