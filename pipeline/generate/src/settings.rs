//! What a generated world is made of, and the checks on it.

use jiff::civil::{Date, date};

use crate::surface::Role;

/// First day of a world when nobody says otherwise.
pub const FIRST_DAY: Date = date(2026, 1, 1);

/// Largest uplift that still leaves a believable static router, in points of success rate.
const MAX_UPLIFT_POINTS: f64 = 25.0;

/// Most decisions a world may have: the index must fit into the eight hex digits of an event id.
const MAX_DECISIONS: u64 = u32::MAX as u64;

/// Longest world: about ten years.
const MAX_DAYS: u32 = 3_660;

/// Most paths a world may have.
const MAX_PATHS: usize = 64;

/// What a world's log tells of its decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Log {
    /// The path that ran (`e009`).
    #[default]
    Outcomes,
    /// Every path, one record each: full information (`matrix`).
    Matrix,
    /// A randomised test of the static router against the best path per query, one half each (`router-metrics`); no texts.
    Gateway,
}

/// The settings of a [`World`](crate::World).
#[derive(Clone, Debug, PartialEq)]
pub struct WorldSettings {
    /// Number of decisions over all days, before dirt adds or spoils lines.
    pub n_decisions: u64,
    /// Number of days, one log file each.
    pub n_days: u32,
    /// The first day.
    pub first_day: Date,
    /// Probability that the logger picks a path uniformly at random instead of the static one, in [0, 1]; 0 logs no exploration at all.
    pub epsilon: f64,
    /// Whether exploration is drawn once per session, which then lasts a day, instead of once per decision.
    pub sticky: bool,
    /// Expected success of the best path per query minus that of the static router, in points.
    pub uplift_points: f64,
    /// Share of decisions whose log line is dirty, in [0, 1]; see [`DIRT`](crate::DIRT).
    pub dirt: f64,
    /// How far kinds of queries, gains and latency move over the days, in [0, 1]; 0 is a stationary world.
    pub drift: f64,
    /// What the log tells.
    pub log: Log,
    /// Names of the paths: the first four take the roles of [`Role`], in its order; further ones are weaker general models.
    pub paths: Vec<String>,
}

impl Default for WorldSettings {
    fn default() -> Self {
        Self {
            n_decisions: 2_000,
            n_days: 28,
            first_day: FIRST_DAY,
            epsilon: 0.2,
            sticky: false,
            uplift_points: 8.0,
            dirt: 0.005,
            drift: 0.2,
            log: Log::default(),
            paths: Role::ALL.iter().map(|role| role.default_name().to_owned()).collect(),
        }
    }
}

/// Settings that make no world.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// A number outside its range.
    #[error("`{name}` must lie in [{lowest}, {highest}], found {found}")]
    Range {
        /// The setting.
        name: &'static str,
        /// Smallest allowed value.
        lowest: f64,
        /// Largest allowed value.
        highest: f64,
        /// The value found.
        found: f64,
    },
    /// A path name that is empty or occurs twice.
    #[error("path {position} is called `{name}`: names must be distinct and not empty")]
    PathName {
        /// Position in the list, from 1.
        position: usize,
        /// The name.
        name: String,
    },
    /// Days past the end of the calendar.
    #[error("{n_days} days from {first_day} leave the calendar")]
    Calendar {
        /// The first day.
        first_day: Date,
        /// Number of days.
        n_days: u32,
    },
    /// An uplift that this world cannot give, because too few queries fall into regions where the static router errs.
    #[error("an uplift of {requested} points is out of reach, this world gives at most {reachable}")]
    Uplift {
        /// What was asked for, in points.
        requested: f64,
        /// The most there is, in points.
        reachable: f64,
    },
}

impl WorldSettings {
    /// Checks every range and name.
    ///
    /// # Errors
    /// [`SettingsError`] names the first setting that does not hold.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        check_extent(self.n_decisions, self.n_days, self.first_day)?;
        check_range("epsilon", self.epsilon, 0.0, 1.0)?;
        check_range("uplift_points", self.uplift_points, 0.0, MAX_UPLIFT_POINTS)?;
        check_range("dirt", self.dirt, 0.0, 1.0)?;
        check_range("drift", self.drift, 0.0, 1.0)?;
        check_range("paths", self.paths.len() as f64, Role::ALL.len() as f64, MAX_PATHS as f64)?;
        for (row, name) in self.paths.iter().enumerate() {
            if name.is_empty() || self.paths[..row].contains(name) {
                return Err(SettingsError::PathName { position: row + 1, name: name.clone() });
            }
        }
        Ok(())
    }
}

/// Checks the number of decisions and the span of days.
pub(crate) fn check_extent(n_decisions: u64, n_days: u32, first_day: Date) -> Result<(), SettingsError> {
    check_range("n_decisions", n_decisions as f64, 1.0, MAX_DECISIONS as f64)?;
    check_range("days", f64::from(n_days), 1.0, f64::from(MAX_DAYS))?;
    let span = jiff::Span::new().days(i64::from(n_days));
    first_day.checked_add(span).map_err(|_| SettingsError::Calendar { first_day, n_days })?;
    Ok(())
}

/// Whether a number lies in its range; NaN does not.
pub(crate) fn check_range(name: &'static str, found: f64, lowest: f64, highest: f64) -> Result<(), SettingsError> {
    if (lowest..=highest).contains(&found) { Ok(()) } else { Err(SettingsError::Range { name, lowest, highest, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold() {
        assert_eq!(WorldSettings::default().check(), Ok(()));
    }

    #[test]
    fn a_setting_out_of_range_is_named() {
        let error = WorldSettings { epsilon: f64::NAN, ..WorldSettings::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "`epsilon` must lie in [0, 1], found NaN");
        let error = WorldSettings { n_decisions: 0, ..WorldSettings::default() }.check().unwrap_err();
        assert!(matches!(error, SettingsError::Range { name: "n_decisions", .. }));
    }

    #[test]
    fn a_path_name_occurs_once() {
        let paths = ["a", "b", "c", "b"].map(str::to_owned).to_vec();
        let error = WorldSettings { paths, ..WorldSettings::default() }.check().unwrap_err();
        assert_eq!(error, SettingsError::PathName { position: 4, name: "b".to_owned() });
    }

    #[test]
    fn days_stay_in_the_calendar() {
        let settings = WorldSettings { first_day: Date::MAX, ..WorldSettings::default() };
        assert!(matches!(settings.check(), Err(SettingsError::Calendar { .. })));
    }
}
