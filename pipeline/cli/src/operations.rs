//! What the commands of operations share: the events of a window, from the tables and from the lines that were appended since.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use routewright_cascade::Scope;
use routewright_domain::{CascadeLog, Timestamp};
use routewright_table::{Appended, IngestReport, Tail, read_cascade};
use serde::Serialize;
use stages::{CASCADE_TABLES, CascadeParams};

use crate::exit::{DataError, UsageError};
use crate::project::{Project, ProjectArguments};

/// Microseconds of an hour.
pub(crate) const HOUR: f64 = 3.6e9;

/// Hours of the week that changes are looked for in, before the window.
pub(crate) const WEEK_HOURS: f64 = 168.0;

/// Longest window, in hours: more than a century.
const MAX_HOURS: f64 = 1e6;

/// Flags of every command that looks at a window.
#[derive(Debug, clap::Args)]
pub(crate) struct WindowArguments {
    /// Hours to look at, up to now; up to the last event where the log ends before that
    #[arg(short = 'w', long = "window", value_name = "HOURS", default_value_t = 24.0)]
    pub hours: f64,
    /// Logs to read instead of the project's tables and logs
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub input: Vec<PathBuf>,
}

/// The events there are, and the logs that bring more.
pub(crate) struct Feed {
    pub log: CascadeLog,
    pub params: CascadeParams,
    /// Where the events come from, in words.
    origin: String,
    /// Records that could not be read.
    n_rejected: u64,
    /// Logs that are followed.
    sources: Vec<PathBuf>,
    tail: Tail,
    /// Hours before the last event that were read.
    hours: f64,
}

/// The part of time that is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    /// Its first moment.
    pub from: Timestamp,
    /// The moment after it.
    pub to: Timestamp,
    /// Its length.
    pub hours: f64,
    /// Whether it ends with the last event because none is recent.
    pub ends_with_log: bool,
}

/// What every JSON answer begins with.
#[derive(Debug, Serialize)]
pub(crate) struct Head {
    schema_version: u32,
    pub window_hours: f64,
    from: String,
    to: String,
    pub origin: String,
    /// Records that could not be read.
    pub rejected: u64,
}

impl Feed {
    /// What an answer about a window begins with.
    pub(crate) fn head(&self, window: Window) -> Head {
        Head {
            schema_version: 1,
            window_hours: window.hours,
            from: moment(window.from),
            to: moment(window.to),
            origin: self.origin.clone(),
            rejected: self.n_rejected,
        }
    }

    /// Opens the logs that were named; otherwise the project's tables, with the lines that its logs have beyond them; otherwise its logs.
    /// `hours`: of the window; of `hours_before` more, history is read as well.
    pub(crate) fn open(arguments: &WindowArguments, hours_before: f64, project: &ProjectArguments) -> anyhow::Result<Self> {
        if !(0.0 < arguments.hours && arguments.hours <= MAX_HOURS) {
            return Err(UsageError(format!("`--window {}`: expected hours above 0, at most {MAX_HOURS}", arguments.hours)).into());
        }
        if let Some(missing) = arguments.input.iter().find(|input| !input.exists()) {
            return Err(UsageError(format!("`--input {}`: no such file or folder", missing.display())).into());
        }
        let loaded = project.load(&[])?;
        let params = CascadeParams::of(&loaded.config)?;
        let hours = arguments.hours + hours_before;
        let mut feed = if arguments.input.is_empty() {
            Self::of_project(&loaded, params, hours)?
        } else {
            let origin = arguments.input.iter().map(|input| input.display().to_string()).collect::<Vec<_>>().join(", ");
            Self::of_logs(arguments.input.clone(), origin, params, hours)
        };
        feed.read_new()?;
        if feed.log.events().is_empty() {
            let places: Vec<String> = feed.sources.iter().map(|source| format!("`{}`", source.display())).collect();
            return Err(DataError(format!(
                "no events in {}{}; name a log with --input, or try `routewright generate --format cortex -n 500`",
                places.join(", "),
                if feed.n_rejected > 0 { format!(" ({} records cannot be read)", feed.n_rejected) } else { String::new() }
            ))
            .into());
        }
        Ok(feed)
    }

    /// Reads what a longer window needs; nothing happens where it is read already.
    pub(crate) fn widen(&mut self, hours: f64, input: &[PathBuf], project: &ProjectArguments) -> anyhow::Result<()> {
        if self.hours < hours {
            *self = Self::open(&WindowArguments { hours, input: input.to_vec() }, 0.0, project)?;
        }
        Ok(())
    }

    fn of_logs(sources: Vec<PathBuf>, origin: String, params: CascadeParams, hours: f64) -> Self {
        let tail = Tail::new(sources.clone()).within((hours * HOUR) as i64);
        Self { log: CascadeLog::default(), params, origin, n_rejected: 0, sources, tail, hours }
    }

    fn of_project(project: &Project, params: CascadeParams, hours: f64) -> anyhow::Result<Self> {
        let span = hours * HOUR;
        let [decisions, layers, account] = CASCADE_TABLES.map(|place| project.folder.join(place));
        let mut sources: Vec<PathBuf> = stages::sources(&project.config).iter().map(|source| project.folder.join(source)).collect();
        if !decisions.is_dir() {
            let origin = places(&sources);
            return Ok(Self::of_logs(sources, origin, params, hours));
        }
        let account: Option<IngestReport> = std::fs::read(&account).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let last = account.as_ref().and_then(|account| account.last);
        let from = last.map(|last| Timestamp(end_of(last, now(), span).0.saturating_sub(span as i64)));
        let log = read_cascade(&decisions, &layers, from).map_err(DataError::of)?;
        let files = account.map(|account| account.files).unwrap_or_default();
        sources.extend(files.iter().map(|file| PathBuf::from(&file.path)).filter(|file| file.is_file()));
        let mut tail = Tail::new(sources.clone()).within(span as i64);
        for file in &files {
            tail.skip(Path::new(&file.path), file.bytes, file.format.as_deref());
        }
        let origin = format!("tables of `{}`, and new lines of {}", project.folder.display(), places(&sources));
        Ok(Self { log, params, origin, n_rejected: 0, sources, tail, hours })
    }

    /// Takes in the lines that were appended since the last look.
    pub(crate) fn read_new(&mut self) -> anyhow::Result<Appended> {
        let appended = self.tail.read(&mut self.log).map_err(DataError::of)?;
        self.n_rejected += appended.n_rejected;
        Ok(appended)
    }

    /// The window of some hours.
    pub(crate) fn window(&self, hours: f64) -> Window {
        let now = now();
        let last = self.log.events().last().map_or(now, |event| event.timestamp);
        let end = end_of(last, now, hours * HOUR);
        let to = Timestamp(end.0.saturating_add(1));
        Window { from: Timestamp(to.0.saturating_sub((hours * HOUR) as i64)), to, hours, ends_with_log: end == last && end != now }
    }

    /// The events of a window.
    pub(crate) fn scope(&self, window: Window) -> Scope<'_> {
        Scope::new(&self.log, self.log.between(window.from, window.to), &self.params.clarification)
    }

    /// Positions of the events of the week before a window.
    pub(crate) fn week_before(&self, window: Window) -> std::ops::Range<usize> {
        self.log.between(Timestamp(window.from.0.saturating_sub((WEEK_HOURS * HOUR) as i64)), window.from)
    }

    /// The place of the cascade's own `config.json`: as set, or beside a log.
    pub(crate) fn config_place(&self, project: &Path) -> Option<PathBuf> {
        if !self.params.config.is_empty() {
            return Some(project.join(&self.params.config));
        }
        let beside = |source: &PathBuf| if source.is_dir() { source.join("config.json") } else { source.with_file_name("config.json") };
        self.sources.iter().map(beside).find(|place| place.is_file())
    }
}

/// Where a window ends: now, or with the last event where that is longer ago than the window is long, or in the future.
fn end_of(last: Timestamp, now: Timestamp, span: f64) -> Timestamp {
    let is_recent = last <= now && (now.0 - last.0) as f64 <= span;
    if is_recent { now } else { last }
}

/// The present.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// A moment as `YYYY-MM-DD HH:MM:SS` in UTC.
pub(crate) fn moment(timestamp: Timestamp) -> String {
    let time = jiff::Timestamp::from_microsecond(timestamp.0).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Hours as people say them.
pub(crate) fn hours_text(hours: f64) -> String {
    if hours.fract() == 0.0 { format!("{hours:.0}h") } else { format!("{hours}h") }
}

/// A share in percent with one digit; a dash for nothing.
pub(crate) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1}%", share * 100.0))
}

/// Milliseconds with as many digits as they deserve; a dash for nothing.
pub(crate) fn millis(latency: Option<f64>) -> String {
    latency.map_or_else(|| "-".to_owned(), |latency| format!("{latency:.1}ms"))
}

/// What a window is of, in one line: its length, its ends, and why it does not end now.
pub(crate) fn window_words(window: Window) -> String {
    format!("{} {}", hours_text(window.hours), span_words(window))
}

/// The ends of a window, and why it does not end now.
pub(crate) fn span_words(window: Window) -> String {
    let why = if window.ends_with_log { "; it ends with the last event, none is recent" } else { "" };
    format!("from {} to {} UTC{why}", moment(window.from), moment(window.to))
}

fn places(sources: &[PathBuf]) -> String {
    let mut texts: Vec<String> = sources.iter().map(|source| format!("`{}`", source.display())).collect();
    texts.dedup();
    match texts.len() {
        0..=2 => texts.join(", "),
        n => format!("{} and {} more", texts[0], n - 1),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use routewright_domain::Seed;
    use routewright_generate::{CascadeSettings, CascadeWorld};
    use routewright_table::{IngestPlaces, IngestSettings, ingest};

    use super::*;

    #[test]
    fn a_window_ends_now_where_the_log_is_recent_and_with_the_log_where_it_is_not() {
        let day = 24.0 * HOUR;
        assert_eq!(end_of(Timestamp(100), Timestamp(150), day), Timestamp(150));
        assert_eq!(end_of(Timestamp(0), Timestamp(2 * day as i64), day), Timestamp(0));
        assert_eq!(end_of(Timestamp(200), Timestamp(150), day), Timestamp(200), "a log from the future ends with itself");
    }

    /// The flags of a project, as a command line gives them.
    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        project: ProjectArguments,
    }

    #[test]
    fn a_window_that_grows_brings_the_events_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let raw = folder.path().join("data/raw");
        std::fs::create_dir_all(&raw).unwrap();
        let world = CascadeWorld::new(&CascadeSettings { n_decisions: 700, ..CascadeSettings::default() }, Seed(1)).unwrap();
        let mut text = Vec::new();
        (0..7).for_each(|day| drop(world.write_day(day, &mut text, None).unwrap()));
        std::fs::write(raw.join(CascadeWorld::FILE_NAME), text).unwrap();
        let line = Line::parse_from(["test", "--project", folder.path().to_str().unwrap()]);
        let count = |feed: &Feed| feed.scope(feed.window(168.0)).events().len();
        for with_tables in [false, true] {
            if with_tables {
                let [decisions, layers, account] = CASCADE_TABLES.map(|place| folder.path().join(place));
                let quarantine = folder.path().join("quarantine");
                let places = IngestPlaces { decisions, layers, quarantine };
                let report = ingest(std::slice::from_ref(&raw), &IngestSettings::default(), &places, &|_, _| {}).unwrap();
                std::fs::write(account, serde_json::to_vec(&report).unwrap()).unwrap();
            }
            let mut feed = Feed::open(&WindowArguments { hours: 24.0, input: Vec::new() }, 0.0, &line.project).unwrap();
            let short = count(&feed);
            feed.widen(168.0, &[], &line.project).unwrap();
            let all = count(&feed);
            feed.widen(24.0, &[], &line.project).unwrap();
            assert!(short < all && all == count(&feed), "{short}, {all}");
            assert_eq!(all, 700);
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([hours_text(24.0), hours_text(0.5)], ["24h", "0.5h"]);
        assert_eq!([percent(Some(0.9733)), percent(None), millis(Some(3.21))], ["97.3%", "-", "3.2ms"]);
        assert_eq!(moment(Timestamp(0)), "1970-01-01 00:00:00");
    }
}
