//! The line: every stage, in the order in which they run.
//!
//! * [`STAGES`]: the list. A stage is one file here and one line there.
//! * [`artifacts`]: what stages hand to each other, each type with its one place.
//! * [`LINE`]: the picture of it all.

pub mod artifacts;
pub mod checks;
pub mod metrics;
pub mod trend;

mod cascade;
mod decide;
mod evaluate;
mod explore;
mod export;
mod features;
mod ingest;
mod replay;
mod report;
mod time;
mod train;

use routewright_engine::StageEntry;

pub use cascade::{CASCADE_TABLES, CascadeParams};

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
];

/// The log files and folders that `ingest` reads under some settings.
pub fn sources(config: &routewright_engine::Config) -> Vec<String> {
    let input = config.table(<ingest::Ingest as routewright_engine::Stage>::NAME).get("input");
    input.and_then(serde_json::Value::as_array).into_iter().flatten().filter_map(|place| place.as_str().map(str::to_owned)).collect()
}
