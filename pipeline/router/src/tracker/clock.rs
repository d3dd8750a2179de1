//! The one clock of this crate, and identifiers made of it: a tracker has to know when something happened and how long it took.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use routewright_domain::Timestamp;

/// Now, in UTC.
#[expect(clippy::disallowed_methods, reason = "a tracker logs when something happened")]
pub(super) fn now() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_micros() as i64))
}

/// A point from which durations are measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "a tracker logs how long a layer took")]
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Milliseconds to three digits, as the logs have them.
    pub(super) fn elapsed_ms(self) -> f64 {
        self.elapsed().as_micros() as f64 / 1000.0
    }
}

/// A time as RFC 3339 in UTC with microseconds; empty for a time that no calendar has.
pub(super) fn rfc3339(time: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(time.0).map_or_else(|_| String::new(), |time| format!("{time:.6}"))
}

/// Reads what [`rfc3339`] or another program wrote.
pub(super) fn from_rfc3339(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|time| Timestamp(time.as_microsecond()))
}

/// A UTC time in a pattern of `strftime`, such as `%Y-%m-%d`.
pub(super) fn format(time: Timestamp, pattern: &str) -> String {
    jiff::Timestamp::from_microsecond(time.0).map_or_else(|_| String::new(), |time| time.strftime(pattern).to_string())
}

/// Makes event identifiers: `route-YYYYMMDD-HHMMSS-xxxxxxxx`.
///
/// The last part counts up from a random number of the process, so that one process never repeats an identifier within 2³² events, and
/// two processes only where their counters meet in the same second.
#[derive(Debug)]
pub(super) struct EventIds(AtomicU32);

impl EventIds {
    pub(super) fn new() -> Self {
        // The standard hasher is seeded by the operating system.
        Self(AtomicU32::new(RandomState::new().build_hasher().finish() as u32))
    }

    pub(super) fn next(&self, time: Timestamp) -> String {
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        format!("route-{}-{count:08x}", format(time, "%Y%m%d-%H%M%S"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_identifiers_look_as_in_the_logs() {
        let time = Timestamp(1_764_253_852_000_001);
        assert_eq!(rfc3339(time), "2025-11-27T14:30:52.000001Z");
        assert_eq!(from_rfc3339("2025-11-27T15:30:52.000001+01:00"), Some(time));
        let ids = EventIds(AtomicU32::new(0xa3f8_b2c1));
        assert_eq!(ids.next(time), "route-20251127-143052-a3f8b2c1");
        assert_eq!(ids.next(time), "route-20251127-143052-a3f8b2c2");
    }
}
