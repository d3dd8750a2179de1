//! The age of the log by the clock, which only the command reads.

use std::time::{SystemTime, UNIX_EPOCH};

use routewright_domain::Timestamp;
use routewright_table::{ExpectSettings, Finding, IngestReport, freshness};

use crate::project::{Project, read_json};

/// Whether the newest decision on file is as fresh as `[ingest.expect]` wants; nothing where it does not ask for it, sets a moment of its
/// own, or there is no ingest yet.
pub(crate) fn by_the_clock(project: &Project) -> Option<Finding> {
    let settings = project.config.table("ingest").get("expect")?.clone();
    let settings: ExpectSettings = serde_json::from_value(settings).ok()?;
    if !settings.until.is_empty() {
        return None;
    }
    let report: IngestReport = read_json(&project.folder.join("data/ingest.json"), "ingest").ok()?;
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    freshness(settings.age_hours, report.last?, Timestamp(i64::try_from(elapsed.as_micros()).ok()?))
}
