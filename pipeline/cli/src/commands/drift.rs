//! `drift`: runs the stage with what it needs, says what moved, and exits 12 when something fired.

use routewright_engine::Artifact;
use stages::artifacts::{DriftMeasure, DriftReport, DriftSeverity};

use super::run::{self, StageArguments};
use crate::exit::Exit;
use crate::layout::{Align, aligned};
use crate::messages::Messages;
use crate::project::{ProjectArguments, read_json};

/// Lines of findings for people; the file has them all.
const MAX_LINES: usize = 12;

/// Runs what is not fresh, and shows the report.
pub(crate) fn run(arguments: &StageArguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    if project.dry_run {
        return run::run_stage("drift", arguments, project, messages);
    }
    run::carry_out(run::only("drift", arguments), arguments, &[], project, messages)?;
    let report: DriftReport = read_json(&project.project.join(DriftReport::PATH), "drift")?;
    messages.result(&in_words(&report), &report)?;
    Ok(if report.fired { Exit::Fired } else { Exit::Done })
}

/// The report for a terminal.
fn in_words(report: &DriftReport) -> String {
    let mut text = format!("{}\n", report.summary);
    let moved: Vec<Vec<String>> = report
        .findings
        .iter()
        .take_while(|found| found.severity > DriftSeverity::None)
        .take(MAX_LINES)
        .map(|found| {
            let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
            let effect = match found.measure {
                DriftMeasure::Psi => format!("psi {:.3}", found.effect),
                DriftMeasure::Auc => format!("auc {:.3}", 0.5 + found.effect),
                DriftMeasure::Points => format!("{:+.1} points", found.effect),
                DriftMeasure::LogRatio => format!("x{:.2}", found.effect.exp()),
            };
            let word = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
            vec![
                word(&found.severity),
                word(&found.kind),
                found.name.clone(),
                number(found.reference),
                number(found.current),
                effect,
                format!("{:.3}", found.p),
                found.since.clone().unwrap_or_default(),
            ]
        })
        .collect();
    if !moved.is_empty() {
        let heads = ["severity", "kind", "what", "before", "now", "effect", "p", "since"];
        let sides = [Align::Left, Align::Left, Align::Left, Align::Right, Align::Right, Align::Right, Align::Right, Align::Left];
        text.push_str(&aligned(&heads, &moved, &sides));
    }
    if report.too_short.is_none() {
        let word = if report.retrain { "a new router is due" } else { "no new router is due" };
        text.push_str(&format!("{word}\n"));
        report.reasons.iter().for_each(|reason| text.push_str(&format!("  {reason}\n")));
    }
    text
}
