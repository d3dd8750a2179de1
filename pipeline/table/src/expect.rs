//! What a log must be like to be believed: one expectation per file, each with pass, warn or fail.
//!
//! The newest days are looked at, so that the cost does not grow with the age of the store; [`ExpectSettings::days`] says how many.

mod age;
mod constant_tokens;
mod nulls;
mod other_paths;
mod ranges;
mod seen;
mod type_conflicts;
mod unknown_paths;
mod volume;
mod zero_cost;

use std::collections::BTreeMap;

use routewright_domain::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decisions::Decisions;
use crate::error::TableError;
use crate::expect::seen::{Seen, Wanted};
use crate::report::IngestReport;

/// Two limits of one quantity; one that is not given is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Beyond it the expectation warns.
    pub warn: f64,
    /// Beyond it the expectation fails.
    pub fail: f64,
}

/// What an expectation without limits does when it is not met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing: it is not looked at.
    Off,
    /// It warns.
    #[default]
    Warn,
    /// It fails.
    Fail,
}

/// What is expected of a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExpectSettings {
    /// Newest days that are looked at; 0 means all.
    pub days: usize,
    /// Decisions below which nothing is said about constant columns.
    pub min_rows: u64,
    /// Share of decisions without a value, by column.
    pub nulls: BTreeMap<String, Limits>,
    /// Lowest and highest plausible value, by column.
    pub ranges: BTreeMap<String, [f64; 2]>,
    /// Share of the values that may lie outside their range.
    pub outside: Limits,
    /// Paths there may be; empty allows all.
    pub paths: Vec<String>,
    /// Share of decisions that may take other paths.
    pub other_paths: Limits,
    /// Share of decisions on paths whose name says that nobody knows, or that differ only in spelling from another.
    pub unknown_paths: Limits,
    /// Moment at which the log should be fresh (RFC 3339); empty is the clock of the command that runs the line.
    pub until: String,
    /// Hours that the newest decision may lie behind that moment; 0 allows any.
    pub age_hours: Limits,
    /// Decisions of a day as a share of the median of the week before it; less is suspicious.
    pub volume: Limits,
    /// A column of token counts whose values are all equal.
    pub constant_tokens: Severity,
    /// A column of costs that are all zero.
    pub zero_cost: Severity,
    /// A key whose values have several types.
    pub type_conflicts: Severity,
}

impl Default for ExpectSettings {
    fn default() -> Self {
        let limits = |warn, fail| Limits { warn, fail };
        let named = |pairs: &[(&str, Limits)]| pairs.iter().map(|(name, limits)| ((*name).to_owned(), *limits)).collect();
        Self {
            days: 8,
            min_rows: 100,
            nulls: named(&[("latency_ms", limits(0.5, 1.0)), ("propensity", limits(1.0, 1.0)), ("success", limits(0.5, 0.99))]),
            ranges: BTreeMap::from([("cost".to_owned(), [0.0, 100.0]), ("latency_ms".to_owned(), [0.0, 3_600_000.0])]),
            outside: limits(0.0, 0.05),
            paths: Vec::new(),
            other_paths: limits(0.0, 0.01),
            unknown_paths: limits(0.0, 0.1),
            until: String::new(),
            age_hours: limits(0.0, 0.0),
            volume: limits(0.3, 0.0),
            constant_tokens: Severity::Warn,
            zero_cost: Severity::Warn,
            type_conflicts: Severity::Warn,
        }
    }
}

impl ExpectSettings {
    /// Checks what types cannot. Gives the key below `[ingest]` and what is expected.
    ///
    /// # Errors
    /// The key, and what is wrong with its value.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let shares = self.nulls.values().map(|limits| ("expect.nulls", *limits)).chain([
            ("expect.outside", self.outside),
            ("expect.other_paths", self.other_paths),
            ("expect.unknown_paths", self.unknown_paths),
        ]);
        for (key, limits) in shares {
            let ordered = 0.0 <= limits.warn && limits.warn <= limits.fail && limits.fail <= 1.0;
            if !ordered {
                return Err((key, format!("needs 0 <= warn <= fail <= 1, found {} and {}", limits.warn, limits.fail)));
            }
        }
        if !(0.0 <= self.volume.fail && self.volume.fail <= self.volume.warn) {
            return Err(("expect.volume", format!("needs 0 <= fail <= warn, found {} and {}", self.volume.fail, self.volume.warn)));
        }
        if !(self.age_hours.warn >= 0.0 && self.age_hours.fail >= 0.0) {
            return Err(("expect.age_hours", "hours must be 0 or more".to_owned()));
        }
        if let Some((column, [low, high])) = self.ranges.iter().find(|(_, [low, high])| low.is_nan() || high.is_nan() || low > high) {
            return Err(("expect.ranges", format!("`{column}`: the lowest value {low} must not be above the highest {high}")));
        }
        if !self.until.is_empty() && self.until_time().is_none() {
            return Err(("expect.until", format!("must be a moment such as 2026-01-31T00:00:00Z, found `{}`", self.until)));
        }
        Ok(())
    }

    /// The moment at which the log should be fresh, where it is set.
    pub fn until_time(&self) -> Option<Timestamp> {
        let instant: jiff::Timestamp = self.until.trim().parse().ok()?;
        Some(Timestamp(instant.as_microsecond()))
    }
}

/// How an expectation was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As expected.
    Pass,
    /// Worth a look.
    Warn,
    /// The log is not to be used.
    Fail,
}

/// What became of one expectation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its setting below `ingest.expect`: `nulls.success`.
    pub name: String,
    /// How it was met.
    pub status: Status,
    /// What was found, and what is allowed.
    pub detail: String,
}

/// What the expectations look at.
struct Subject<'a> {
    settings: &'a ExpectSettings,
    /// The newest days, and what they hold.
    newest: &'a Decisions,
    seen: &'a Seen,
    /// All days.
    all: &'a Decisions,
    report: &'a IngestReport,
}

/// Looks at one thing.
struct Expectation {
    /// Asks for the columns of the newest days that it looks at.
    ask: for<'a> fn(&'a ExpectSettings, &'a Decisions, &mut Wanted<'a>),
    /// Says how it is met; nothing where the settings do not ask for it, several where they ask for several columns.
    find: fn(&Subject<'_>) -> Vec<Finding>,
}

/// Asks for no column.
fn no_column<'a>(_: &'a ExpectSettings, _: &'a Decisions, _: &mut Wanted<'a>) {}

/// Every expectation, in the order of the report.
const EXPECTATIONS: &[Expectation] = &[
    Expectation { ask: nulls::ask, find: nulls::find },
    Expectation { ask: ranges::ask, find: ranges::find },
    Expectation { ask: no_column, find: other_paths::find },
    Expectation { ask: no_column, find: unknown_paths::find },
    Expectation { ask: no_column, find: age::find },
    Expectation { ask: no_column, find: volume::find },
    Expectation { ask: constant_tokens::ask, find: constant_tokens::find },
    Expectation { ask: zero_cost::ask, find: zero_cost::find },
    Expectation { ask: no_column, find: type_conflicts::find },
];

/// Compares a log with what is expected of it. The newest days are read once, whatever is expected of them.
///
/// # Errors
/// [`TableError`] for a table that cannot be read.
pub fn expectations(settings: &ExpectSettings, decisions: &Decisions, report: &IngestReport) -> Result<Vec<Finding>, TableError> {
    let n_days = if settings.days == 0 { usize::MAX } else { settings.days };
    let newest = decisions.newest_days(n_days);
    let mut wanted = Wanted::default();
    EXPECTATIONS.iter().for_each(|expectation| (expectation.ask)(settings, &newest, &mut wanted));
    let seen = Seen::of(&newest, &wanted)?;
    let subject = Subject { settings, newest: &newest, seen: &seen, all: decisions, report };
    Ok(EXPECTATIONS.iter().flat_map(|expectation| (expectation.find)(&subject)).collect())
}

/// How old a log may be: compares its newest decision with a moment. Nothing where any age is allowed.
pub fn freshness(limits: Limits, newest: Timestamp, now: Timestamp) -> Option<Finding> {
    age::judge(limits, newest, now)
}

/// Status of a quantity that should be small.
fn above(value: f64, limits: Limits) -> Status {
    if value > limits.fail {
        Status::Fail
    } else if value > limits.warn {
        Status::Warn
    } else {
        Status::Pass
    }
}

/// Status of something that should not be.
fn severity(found: bool, severity: Severity) -> Status {
    match severity {
        _ if !found => Status::Pass,
        Severity::Off => Status::Pass,
        Severity::Warn => Status::Warn,
        Severity::Fail => Status::Fail,
    }
}

/// The number columns whose last word satisfies a condition: canonical ones by name, further scalars by key.
fn number_columns<'d>(decisions: &'d Decisions, canonical: &[&'static str], is_wanted: impl Fn(&str) -> bool) -> Vec<&'d str> {
    let further = decisions.extras().iter().filter(|(key, kind)| {
        **kind == crate::extras::ExtraKind::Number && is_wanted(&key.rsplit('.').next().unwrap_or_default().to_lowercase())
    });
    canonical.iter().map(|name| -> &'d str { name }).chain(further.map(|(key, _)| key.as_str())).collect()
}

/// A share as people read it.
fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests;
