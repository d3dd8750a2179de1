//! `ingest`: reads the logs into the canonical tables; nothing is dropped in silence.

use std::path::Path;

use routewright_engine::{Context, Stage, StageError};
use routewright_table::{
    Decisions, EarlierAssignments, ExpectSettings, IngestError, IngestPlaces, IngestReport, IngestSettings, MatrixSettings, RedactError,
    RedactSettings, Redactor, Status, expectations, ingest_more, write_assignments, write_quarantine_counts,
};
use serde::{Deserialize, Serialize};

use crate::artifacts::{Assignments, DecisionTable, Layers, Quarantine, RowAccount};

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
    /// Whether cascade events are checked against the five-layer schema too, in files whose first records mostly keep it.
    pub check_schema: bool,
    /// Names of the columns of wide tables.
    pub matrix: MatrixSettings,
    /// What is taken out of every record.
    pub redact: RedactSettings,
    /// What is expected of the log.
    pub expect: ExpectSettings,
}

impl Default for IngestParams {
    fn default() -> Self {
        Self {
            input: vec!["data/raw".to_owned()],
            format: String::new(),
            max_rejected: IngestSettings::default().max_rejected,
            check_schema: IngestSettings::default().check_schema,
            matrix: MatrixSettings::default(),
            redact: RedactSettings::default(),
            expect: ExpectSettings::default(),
        }
    }
}

/// The stage.
pub(crate) struct Ingest;

impl Stage for Ingest {
    const NAME: &'static str = "ingest";
    const SUMMARY: &'static str = "reads the logs into the tables of decisions and layers; what cannot be read goes to quarantine";
    const VERSION: u32 = 8;
    type Params = IngestParams;
    type Inputs = ();
    type Outputs = (DecisionTable, Layers, Assignments, Quarantine, RowAccount);

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
        params.matrix.check()?;
        params.expect.check()?;
        // Whether the salt is there is a matter of the run and not of the settings.
        match Redactor::new(&params.redact, Some("any")) {
            Ok(_) => Ok(()),
            Err(error) => Err(("redact.patterns", format!("cannot be used: {error}"))),
        }
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
            check_schema: params.check_schema,
            matrix: params.matrix.clone(),
            redact: Some(redactor(&params.redact).map_err(StageError::settings)?).filter(Redactor::takes_out_anything),
            ..IngestSettings::default()
        };
        let progress = |done, total| context.advance("bytes read", done, total);
        let rejected = context.scratch().with_file_name(REJECTED);
        let ingested = ingest_more(context.sources(), &settings, &places, earlier(context).as_ref(), &progress);
        let mut report = ingested.map_err(|error| keep_rejected(blame(error), &places.quarantine, &rejected))?;
        report.files.iter().for_each(|file| context.tell_digest(file.path.clone().into(), file.blake3.clone()));
        write_quarantine_counts(&report, &places.quarantine)?;
        context.note(&account(&report));
        let decisions = Decisions::open(&places.decisions)?;
        report.findings = expectations(&params.expect, &decisions, &report)?;
        let failed = judge(&report, context);
        if !failed.is_empty() {
            return Err(keep_rejected(StageError::data(failed.join("; ")), &places.quarantine, &rejected));
        }
        // An earlier failure is mended.
        let _ = std::fs::remove_dir_all(&rejected);
        let tasks = context.scratch().join("assignments");
        let earlier = context.earlier::<Assignments>();
        let earlier = earlier.as_ref().map(|folder| EarlierAssignments { folder, written: &report.days_written });
        write_assignments(&decisions, earlier, &tasks)?;
        Ok((DecisionTable(decisions), Layers(places.layers), Assignments(tasks), Quarantine(places.quarantine), RowAccount(report)))
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

/// Name of the folder, beside the stages' records, where the quarantine of a failed ingest is kept.
const REJECTED: &str = "rejected";

/// What takes personal data and secrets out, with the salt from the environment.
pub(crate) fn redactor(settings: &RedactSettings) -> Result<Redactor, RedactError> {
    Redactor::new(settings, std::env::var(&settings.salt_variable).ok().as_deref())
}

/// Tells people about expectations that were not met; gives those that failed, with their settings.
fn judge(report: &IngestReport, context: &Context<'_>) -> Vec<String> {
    let mut failed = Vec::new();
    for finding in &report.findings {
        let words = format!("`ingest.expect.{}`: {}", finding.name, finding.detail);
        match finding.status {
            Status::Pass => {}
            Status::Warn => context.note(&format!("warning: {words}")),
            Status::Fail => failed.push(words),
        }
    }
    failed
}

/// Keeps the quarantine of a failed ingest where people can look at it; the tables and the quarantine before it stay as they were.
fn keep_rejected(error: StageError, quarantine: &Path, rejected: &Path) -> StageError {
    // What stands there is of an earlier failure, and an error here must not hide the one on its way.
    let _ = std::fs::remove_dir_all(rejected);
    let is_log = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|extension| extension == "jsonl");
    let has_records = std::fs::read_dir(quarantine).is_ok_and(|files| files.flatten().any(|entry| is_log(&entry)));
    if !has_records || std::fs::rename(quarantine, rejected).is_err() {
        return error;
    }
    let words = format!("{} (the rejected records are in `{}`)", error.source, rejected.display());
    StageError { kind: error.kind, source: words.into() }
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
        text.push_str(&format!("; {n_known} files were known, {} of {n_days} days written", report.days_written.len()));
    }
    if report.files_gone > 0 {
        text.push_str(&format!("; {} files that were read before are gone or rewritten, and their rows with them", report.files_gone));
    }
    let redacted: Vec<String> = report.redacted.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if !redacted.is_empty() {
        text.push_str(&format!("; taken out: {}", redacted.join(", ")));
    }
    if report.n_layers > 0 {
        text.push_str(&format!("; {} layers", report.n_layers));
    }
    text
}
