//! The line: every stage, in the order in which they run.
//!
//! * [`STAGES`]: the list. A stage is one file here and one line there.
//! * [`artifacts`]: what stages hand to each other, each type with its one place.
//! * [`LINE`]: the picture of it all.

pub mod artifacts;
pub mod checks;
pub mod duel;
pub mod finetune;
pub mod metrics;
pub mod retune;
pub mod trend;

mod cascade;
mod decide;
mod drift;
mod evaluate;
mod explore;
mod export;
mod features;
mod ingest;
mod numbered;
mod predictions;
mod replay;
mod report;
mod time;
mod train;

use routewright_engine::StageEntry;

pub use cascade::{CASCADE_TABLES, CascadeParams};
pub use drift::{DriftParams, RetrainParams};
pub use features::{QueryEmbedder, SentenceError, check_embedder};

/// The line as README shows it.
pub const LINE: &str = "\
data/raw ─ ingest → decisions, layers ─ explore → exploration ─ features → feature table ─ train → models ─ evaluate → evaluation
         ─ replay → A/B ─ decide → decision ─ report → markdown, png, html ─ export → artifact";

/// Every stage, in the order in which they run.
pub const STAGES: &[StageEntry] = &[
    StageEntry::of::<ingest::Ingest>(),
    StageEntry::of::<explore::Explore>(),
    StageEntry::of::<features::BuildFeatures>(),
    StageEntry::of::<train::Train>(),
    StageEntry::of::<evaluate::Evaluate>(),
    StageEntry::of::<replay::Replay>(),
    StageEntry::of::<decide::Decide>(),
    StageEntry::of::<report::Report>(),
    StageEntry::of::<export::Export>(),
    StageEntry::of::<cascade::Cascade>(),
    StageEntry::of::<drift::Drift>(),
];

/// The log files and folders that `ingest` reads under some settings.
pub fn sources(config: &routewright_engine::Config) -> Vec<String> {
    let input = config.table(<ingest::Ingest as routewright_engine::Stage>::NAME).get("input");
    input.and_then(serde_json::Value::as_array).into_iter().flatten().filter_map(|place| place.as_str().map(str::to_owned)).collect()
}

/// Whether what `[ingest.redact]` asks for can be done: patterns that can be used, and a salt where texts are hashed.
///
/// # Errors
/// What is missing, in words.
pub fn check_redaction(config: &routewright_engine::Config) -> Result<String, String> {
    let settings = config.table(<ingest::Ingest as routewright_engine::Stage>::NAME).get("redact").cloned().unwrap_or_default();
    let settings: routewright_table::RedactSettings = serde_json::from_value(settings).map_err(|error| error.to_string())?;
    ingest::redactor(&settings).map_err(|error| error.to_string())?;
    let hashed = if settings.hash.is_empty() { "nothing is hashed".to_owned() } else { format!("hashed: {}", settings.hash.join(", ")) };
    let kinds = [("emails", settings.emails), ("phones", settings.phones), ("keys", settings.keys)];
    let taken: Vec<&str> = kinds.iter().filter(|(_, taken)| *taken).map(|(name, _)| *name).collect();
    Ok(format!(
        "taken out: {}; {} patterns; {hashed}",
        if taken.is_empty() { "nothing".to_owned() } else { taken.join(", ") },
        settings.patterns.len()
    ))
}
