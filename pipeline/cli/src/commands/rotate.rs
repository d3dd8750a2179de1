//! `rotate`: archives logs beyond a size or an age, each verified before the original goes.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use routewright_engine::{Lock, expand_sources};
use routewright_table::{Archived, LogFile, archive, plain_logs};
use serde_json::json;

use crate::exit::{DataError, Exit, UsageError};
use crate::layout::aligned_texts;
use crate::messages::Messages;
use crate::project::{Project, ProjectArguments};

/// Flags of `rotate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Archive logs larger than this, such as 100MB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
    /// Archive logs older than this many days, by the date in their name or else by their last change
    #[arg(long, value_name = "DAYS")]
    keep: Option<u32>,
}

/// Archives the logs that `ingest` reads.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    if arguments.max_size.is_none() && arguments.keep.is_none() {
        return Err(UsageError("say what is too much: `--max-size SIZE`, `--keep DAYS`, or both".to_owned()).into());
    }
    let loaded = project.load(&[])?;
    let sources: Vec<PathBuf> =
        expand_sources(&loaded.folder, &stages::sources(&loaded.config)).iter().map(|source| loaded.folder.join(source)).collect();
    // No ingest may read a log that is on its way into the archive.
    let _lock = Lock::take(&loaded.folder, "routewright rotate")?;
    let today = jiff::Timestamp::now().to_zoned(TimeZone::UTC).date();
    let logs = plain_logs(&sources).map_err(DataError::of)?;
    let chosen: Vec<(&LogFile, String)> = logs.iter().filter_map(|log| Some((log, reason(log, arguments, today)?))).collect();
    for (log, _) in &chosen {
        check_covered(&log.path, &sources, &loaded)?;
    }
    let mut rows = Vec::new();
    for (log, reason) in chosen {
        let place = log.path.display().to_string();
        let outcome = if project.dry_run {
            format!("would be archived: {reason}")
        } else {
            match archive(log, &today.strftime("%Y%m%d").to_string()).map_err(DataError::of)? {
                Archived::Moved { archive, bytes } => format!("{} ({bytes} bytes): {reason}", archive.display()),
                Archived::Grew => "left alone: it grew meanwhile".to_owned(),
            }
        };
        rows.push((place, log.bytes, outcome));
    }
    let cells: Vec<Vec<String>> =
        rows.iter().map(|(place, bytes, outcome)| vec![place.clone(), bytes.to_string(), outcome.clone()]).collect();
    let text =
        if rows.is_empty() { "no log is too large or too old\n".to_owned() } else { aligned_texts(&["LOG", "BYTES", "ARCHIVE"], &cells) };
    let logs: Vec<_> = rows.iter().map(|(place, bytes, outcome)| json!({ "log": place, "bytes": bytes, "outcome": outcome })).collect();
    messages.result(&text, &json!({ "schema_version": 1, "dry_run": project.dry_run, "logs": logs }))?;
    Ok(Exit::Done)
}

/// Why a log is archived; nothing where it stays.
fn reason(log: &LogFile, arguments: &Arguments, today: Date) -> Option<String> {
    if let Some(max_size) = arguments.max_size.filter(|max_size| log.bytes > *max_size) {
        return Some(format!("larger than {max_size} bytes"));
    }
    let days = (today - date_of(log)?).get_days();
    arguments.keep.filter(|keep| i64::from(days) > i64::from(*keep)).map(|keep| format!("{days} days old, {keep} are kept"))
}

/// The date in a log's name, or of its last change.
fn date_of(log: &LogFile) -> Option<Date> {
    let name = log.path.file_name()?.to_string_lossy().into_owned();
    let named = (0..name.len()).filter_map(|at| name.get(at..at + 10)?.parse::<Date>().ok()).next();
    named.or_else(|| changed(log.modified))
}

fn changed(modified: SystemTime) -> Option<Date> {
    jiff::Timestamp::try_from(modified).ok().map(|instant| instant.to_zoned(TimeZone::UTC).date())
}

/// An archive that the next ingest does not read would take its decisions out of the tables.
fn check_covered(log: &Path, sources: &[PathBuf], project: &Project) -> anyhow::Result<()> {
    if sources.iter().any(|source| source.is_dir() && log.starts_with(source)) {
        return Ok(());
    }
    let log = log.strip_prefix(&project.folder).unwrap_or(log);
    let words = format!(
        "`ingest.input` names `{}` itself and not its folder, so that its archive would not be read any more; name the folder `{}`",
        log.display(),
        log.parent().unwrap_or(Path::new(".")).display()
    );
    Err(UsageError(words).into())
}

/// A number of bytes with a unit: 1000 or 1024 of the next smaller one.
fn size(text: &str) -> Result<u64, String> {
    const UNITS: &[(&str, u64)] = &[
        ("", 1),
        ("b", 1),
        ("k", 1000),
        ("kb", 1000),
        ("kib", 1 << 10),
        ("m", 1_000_000),
        ("mb", 1_000_000),
        ("mib", 1 << 20),
        ("g", 1_000_000_000),
        ("gb", 1_000_000_000),
        ("gib", 1 << 30),
    ];
    let expected = || format!("expected a size such as 100MB or 1GiB, found `{text}`");
    let digits = text.trim().find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.trim().len());
    let (number, unit) = text.trim().split_at(digits);
    let factor = UNITS.iter().find(|(name, _)| *name == unit.trim().to_lowercase()).ok_or_else(expected)?.1;
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(["10", "100MB", "2 KiB", "1g"].map(|text| size(text).unwrap()), [10, 100_000_000, 2048, 1_000_000_000]);
        assert!(["", "MB", "1.5MB", "-1", "10 apples", "99999999999999GB"].iter().all(|text| size(text).is_err()));
    }

    #[test]
    fn a_log_goes_for_its_size_or_its_age() {
        let log = |name: &str| LogFile { path: PathBuf::from(name), bytes: 500, modified: SystemTime::UNIX_EPOCH };
        let today: Date = "2026-01-31".parse().unwrap();
        let reason = |name: &str, max_size, keep| reason(&log(name), &Arguments { max_size, keep }, today);
        assert_eq!(reason("x/2026-01-29-x.jsonl", Some(499), None).as_deref(), Some("larger than 499 bytes"));
        assert_eq!(reason("x/2026-01-29-x.jsonl", Some(500), Some(2)), None);
        assert_eq!(reason("x/2026-01-29-x.jsonl", None, Some(1)).as_deref(), Some("2 days old, 1 are kept"));
        assert_eq!(reason("x/performance.jsonl", None, Some(1)).as_deref(), Some("20484 days old, 1 are kept"));
    }
}
