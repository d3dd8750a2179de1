//! `ingest`: reads the logs into the canonical tables; nothing is dropped in silence.

use routewright_engine::{Context, Stage, StageError};
use routewright_table::{Decisions, IngestError, IngestPlaces, IngestReport, IngestSettings, ingest_more};
use serde::{Deserialize, Serialize};

use crate::artifacts::{DecisionTable, Layers, Quarantine, RowAccount};

/// Settings of `[ingest]`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct IngestParams {
    /// Log files and folders of them, relative to the project or absolute.
    pub input: Vec<String>,
    /// Format of every file; empty recognises each from its first records.
    pub format: String,
    /// Share of records that may be rejected before the stage fails.
    pub max_rejected: f64,
}

impl Default for IngestParams {
    fn default() -> Self {
        Self { input: vec!["data/raw".to_owned()], format: String::new(), max_rejected: IngestSettings::default().max_rejected }
    }
}

/// The stage.
pub(crate) struct Ingest;

impl Stage for Ingest {
    const NAME: &'static str = "ingest";
    const SUMMARY: &'static str = "reads the logs into the tables of decisions and layers; what cannot be read goes to quarantine";
    const VERSION: u32 = 2;
    type Params = IngestParams;
    type Inputs = ();
    type Outputs = (DecisionTable, Layers, Quarantine, RowAccount);

    fn sources(params: &IngestParams) -> Vec<String> {
        params.input.clone()
    }

    fn check(params: &IngestParams) -> Result<(), (&'static str, String)> {
        if !(0.0..=1.0).contains(&params.max_rejected) {
            return Err(("max_rejected", format!("must lie in [0, 1], found {}", params.max_rejected)));
        }
        if !params.format.is_empty() && routewright_table::format_named(&params.format).is_none() {
            let known: Vec<&str> = routewright_table::FORMATS.iter().map(|format| format.name).collect();
            return Err(("format", format!("must be one of {}, found `{}`", known.join(", "), params.format)));
        }
        Ok(())
    }

    fn run(params: &IngestParams, (): (), context: &Context<'_>) -> Result<Self::Outputs, StageError> {
        let places = IngestPlaces {
            decisions: context.scratch().join("decisions"),
            layers: context.scratch().join("layers"),
            quarantine: context.scratch().join("quarantine"),
        };
        let settings = IngestSettings {
            format: Some(params.format.clone()).filter(|format| !format.is_empty()),
            max_rejected: params.max_rejected,
            ..IngestSettings::default()
        };
        let progress = |done, total| context.advance("bytes read", done, total);
        let earlier = earlier(context);
        let report = ingest_more(context.sources(), &settings, &places, earlier.as_ref(), &progress).map_err(blame)?;
        context.note(&account(&report));
        let decisions = Decisions::open(&places.decisions)?;
        Ok((DecisionTable(decisions), Layers(places.layers), Quarantine(places.quarantine), RowAccount(report)))
    }
}

/// The tables of the last ingest, where it can be gone on from.
fn earlier(context: &Context<'_>) -> Option<IngestPlaces> {
    Some(IngestPlaces {
        decisions: context.earlier::<DecisionTable>()?,
        layers: context.earlier::<Layers>()?,
        quarantine: context.earlier::<Quarantine>()?,
    })
}

/// Who is to blame for a failed ingest.
fn blame(error: IngestError) -> StageError {
    match error {
        IngestError::Table(_) => StageError::other(error),
        _ => StageError::data(error),
    }
}

/// What became of the records, in one line.
fn account(report: &IngestReport) -> String {
    let totals = &report.totals;
    let mut text = format!(
        "{} records of {} files: {} decisions ({} pending), {} duplicates, {} in quarantine",
        totals.read,
        report.files.len(),
        totals.kept,
        totals.pending,
        totals.duplicate,
        totals.n_quarantined()
    );
    if totals.n_quarantined() > 0 {
        let reasons: Vec<String> = totals.quarantined.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        text.push_str(&format!(" ({})", reasons.join(", ")));
    }
    let (n_known, n_days) = (report.files.len() as u64 - report.files_read, report.days.len() as u64);
    if n_known > 0 {
        text.push_str(&format!("; {n_known} files were known, {} of {n_days} days written", report.days_written));
    }
    if report.files_gone > 0 {
        text.push_str(&format!("; {} files that were read before are gone or rewritten, and their rows with them", report.files_gone));
    }
    if report.n_layers > 0 {
        text.push_str(&format!("; {} layers", report.n_layers));
    }
    text
}
