//! The models: how good they are on the held-out window, what drives them, and the tree that explains the router.

use routewright_forest::CalibrationGap;

use super::document::{Block, Cell, Table};
use super::format::{grouped, minute, share};
use super::sources::Sources;
use crate::artifacts::{CalibrationReport, OriginScore, PathReferences};

/// The chapter.
pub(super) fn blocks(sources: &Sources<'_>) -> Vec<Block> {
    let (evaluation, training) = (sources.evaluation, sources.training);
    let mut blocks = vec![
        Block::Chapter("The models".to_owned()),
        Block::paragraph(&format!(
            "Trained on {} decisions from {} to {}, judged on {} later ones.",
            grouped(training.n_rows as u64),
            minute(training.window_us.0),
            minute(training.window_us.1),
            grouped(evaluation.n_held_out as u64)
        )),
    ];
    blocks.extend(success_models(sources));
    blocks.extend(references(&training.references));
    blocks.extend(classifier(sources));
    blocks.extend(importance(sources));
    blocks.push(Block::Section("The learned router as a short tree".to_owned()));
    let explained = evaluation.explainability;
    blocks.push(Block::paragraph(&format!(
        "A tree of depth {} that chooses as the learned router does on {} of the held-out queries{}.",
        explained.surrogate_depth,
        share(explained.surrogate_fidelity),
        if explained.acceptable { "" } else { ": not often enough to stand for it" }
    )));
    blocks.push(Block::Verbatim(evaluation.surrogate_rules.trim_end().to_owned()));
    blocks
}

fn success_models(sources: &Sources<'_>) -> Vec<Block> {
    let evaluation = sources.evaluation;
    let mut table =
        Table::of(&["path", "rows #", "success #", "log loss #", "of the rate alone #", "Brier #", "calibration error #", "AUC #"]);
    for model in &evaluation.success {
        let number = |value: f64| Cell::number(format!("{value:.4}"), value);
        table.row([
            Cell::name(&model.path),
            Cell::count(model.n_rows as u64),
            Cell::number(share(model.success_rate), model.success_rate),
            number(model.log_loss),
            number(model.log_loss_of_rate),
            number(model.brier),
            number(model.ece),
            Cell::maybe(model.auc, |auc| format!("{auc:.3}")),
        ]);
    }
    let worse = evaluation.success.iter().filter(|model| model.log_loss > model.log_loss_of_rate).count();
    let words = match worse {
        0 => "Each predicts better than the path's success rate alone.".to_owned(),
        _ => format!(
            "{worse} of {} predict no better than the path's success rate alone (log loss above the next column).",
            evaluation.success.len()
        ),
    };
    let (before, after) = (&evaluation.uncalibrated, &evaluation.calibrated);
    let mut blocks = vec![
        Block::Section("Success of every path".to_owned()),
        Block::paragraph(&format!("One forest per path predicts whether it would succeed. {words}")),
        Block::Table(table),
        Block::paragraph(&format!(
            "All of them together: expected calibration error {} before the calibration map and {} after it{}, Brier score {:.4} and {:.4}.",
            calibration_error(before),
            calibration_error(after),
            chance(after),
            before.brier,
            after.brier
        )),
    ];
    blocks.extend(sources.figure("calibration", "Predicted against observed success, with counts"));
    blocks.extend(sources.figure("learning_curve", "Loss on other folds of the training window by the number of decisions trained on"));
    blocks.extend(origins(&sources.training.origins));
    if !evaluation.latency.is_empty() {
        let mut table = Table::of(&["path", "rows #", "mean absolute error of ln(1 + ms) #", "variance explained #"]);
        for model in &evaluation.latency {
            table.row([
                Cell::name(&model.path),
                Cell::count(model.n_rows as u64),
                Cell::number(format!("{:.3}", model.mean_absolute_log_error), model.mean_absolute_log_error),
                Cell::number(share(model.r_squared), model.r_squared),
            ]);
        }
        blocks.push(Block::Section("Latency of every path".to_owned()));
        blocks.push(Block::Table(table));
    }
    blocks
}

/// The error with its interval, where there is one.
fn calibration_error(report: &CalibrationReport) -> String {
    let interval = |gap: CalibrationGap| format!(" ({:.4} to {:.4})", gap.lower, gap.upper);
    format!("{:.4}{}", report.ece, report.ece_interval.map(interval).unwrap_or_default())
}

/// What a perfect forecaster would show.
fn chance(report: &CalibrationReport) -> String {
    let words = |gap: CalibrationGap| format!(" (a perfect forecaster would show {:.4} by chance)", gap.if_calibrated);
    report.ece_interval.map(words).unwrap_or_default()
}

/// How regressors did on what came after what they learned from.
fn origins(scores: &[OriginScore]) -> Vec<Block> {
    if scores.is_empty() {
        return Vec::new();
    }
    let mut table = Table::of(&["judged from", "learned from, rows #", "judged, rows #", "Brier #", "of the rate alone #"]);
    for score in scores {
        table.row([
            Cell::text(&minute(score.from_us)),
            Cell::count(score.n_training as u64),
            Cell::count(score.n_judged as u64),
            Cell::number(format!("{:.4}", score.brier), score.brier),
            Cell::number(format!("{:.4}", score.brier_of_rate), score.brier_of_rate),
        ]);
    }
    let words = "Inside the training window, smaller forests that learned up to a moment, on the stretch after it:";
    vec![Block::paragraph(words), Block::Table(table)]
}

/// Other people's models beside our forest, where they were asked for.
fn references(paths: &[PathReferences]) -> Vec<Block> {
    if paths.is_empty() {
        return Vec::new();
    }
    let mut table = Table::of(&["path", "model", "accuracy #", "log loss #", "gain over ours, points #", "95 % interval", "p #"]);
    for (path, score) in paths.iter().flat_map(|path| path.scores.iter().map(move |score| (&path.path, score))) {
        let gain = score.accuracy_gain;
        table.row([
            Cell::name(path),
            Cell::name(&score.name),
            Cell::number(format!("{:.4}", score.accuracy), score.accuracy),
            Cell::maybe(score.log_loss, |loss| format!("{loss:.4}")),
            Cell::maybe(gain.map(|gain| 100.0 * gain.mean), |points| format!("{points:+.2}")),
            Cell::text(&gain.map_or_else(|| "–".to_owned(), |gain| format!("{:+.2} to {:+.2}", 100.0 * gain.lower, 100.0 * gain.upper))),
            Cell::maybe(gain.map(|gain| gain.p_value), |p| format!("{p:.3}")),
        ]);
    }
    vec![
        Block::Section("Beside other people's models".to_owned()),
        Block::paragraph(
            "Whether a path succeeds, said by our forest with the settings of the line and by other models on the same rows and folds. Gains are tested by the corrected resampled t-test, which knows that folds share training rows.",
        ),
        Block::Table(table),
    ]
}

fn classifier(sources: &Sources<'_>) -> Vec<Block> {
    let Some(found) = &sources.evaluation.classifier else { return Vec::new() };
    let folds = &sources.training.classifier.fold_accuracy;
    let mean = folds.iter().sum::<f64>() / folds.len().max(1) as f64;
    let mut table = Table::of(&["path", "precision #", "recall #", "F1 #", "rows #"]);
    for class in &found.paths {
        let number = |value: f64| Cell::number(format!("{value:.3}"), value);
        table.row([Cell::name(&class.path), number(class.precision), number(class.recall), number(class.f1), Cell::count(class.support)]);
    }
    let ties = sources.training.classifier.tie_share.filter(|ties| *ties > 0.0);
    let ties =
        ties.map(|ties| format!(" On {} of the queries several paths were equally good, so that the label is a tie rule.", share(ties)));
    let mut blocks = vec![
        Block::Section("The path classifier".to_owned()),
        Block::paragraph(&format!(
            "It learns the {} and is right on {} of {} held-out rows ({} in {}-fold cross-validation); log loss {:.4}, Brier score {:.4}.{}",
            found.label,
            share(found.accuracy),
            grouped(found.n_rows as u64),
            share(mean),
            folds.len(),
            found.log_loss,
            found.brier,
            ties.unwrap_or_default()
        )),
        Block::Table(table),
    ];
    blocks.extend(sources.figure("confusion", "Confusion matrix of the path classifier"));
    blocks
}

fn importance(sources: &Sources<'_>) -> Vec<Block> {
    let mut table = Table::of(&["feature", "loss when shuffled, nats/1000 #", "± sd #", "impurity share #"]);
    for feature in &sources.evaluation.importance {
        let (mean, sd) = (1000.0 * feature.permutation, 1000.0 * feature.permutation_sd);
        table.row([
            Cell::name(&feature.label),
            Cell::number(format!("{mean:+.2}"), mean),
            Cell::number(format!("{sd:.2}"), sd),
            Cell::number(share(feature.impurity), feature.impurity),
        ]);
    }
    let mut blocks = vec![
        Block::Section("What the predictions rest on".to_owned()),
        Block::paragraph(
            "How much worse success is predicted on the held-out window when a feature's values are shuffled. A value within two standard deviations of 0 says nothing.",
        ),
        Block::Table(table),
    ];
    blocks.extend(sources.figure("importance", "Permutation importance with its spread"));
    for name in super::figures::DEPENDENCE {
        blocks.extend(sources.figure(name, "Predicted success by the value of one feature"));
    }
    blocks
}
