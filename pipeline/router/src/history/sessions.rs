//! What happened earlier in a session.

use std::collections::BTreeMap;

use routewright_domain::Timestamp;

/// Time after which a session without outcomes is forgotten, in microseconds: a day.
const MAX_IDLE: i64 = 86_400_000_000;

/// Outcomes of one session that are seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Session {
    /// When the latest outcome became known.
    pub at: Timestamp,
    pub n_outcomes: u32,
    pub n_successes: u32,
    /// Failures since the last success.
    pub n_failures_running: u32,
}

/// Sessions by their stable identity.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions(pub BTreeMap<u64, Session>);

impl Sessions {
    /// Adds an outcome; outcomes come in time order.
    pub(super) fn add(&mut self, session: u64, at: Timestamp, success: bool) {
        let entry = self.0.entry(session).or_default();
        if at.0.saturating_sub(entry.at.0) > MAX_IDLE {
            *entry = Session::default();
        }
        entry.at = at;
        entry.n_outcomes = entry.n_outcomes.saturating_add(1);
        entry.n_successes = entry.n_successes.saturating_add(u32::from(success));
        entry.n_failures_running = if success { 0 } else { entry.n_failures_running.saturating_add(1) };
    }

    /// A session as of a point in time; empty where it is unknown or was idle for too long.
    pub(super) fn of(&self, session: Option<u64>, now: Timestamp) -> Session {
        let known = session.and_then(|session| self.0.get(&session)).copied();
        known.filter(|session| now.0.saturating_sub(session.at.0) <= MAX_IDLE).unwrap_or_default()
    }

    /// Forgets the sessions that [`Self::of`] would give as empty from now on.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.0.retain(|_, session| now.0.saturating_sub(session.at.0) <= MAX_IDLE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_run_until_a_success() {
        let mut sessions = Sessions::default();
        for (at, success) in [(1, true), (2, false), (3, false)] {
            sessions.add(7, Timestamp(at), success);
        }
        let session = sessions.of(Some(7), Timestamp(4));
        assert_eq!((session.n_outcomes, session.n_successes, session.n_failures_running), (3, 1, 2));
        assert_eq!(sessions.of(Some(8), Timestamp(4)), Session::default());
        assert_eq!(sessions.of(None, Timestamp(4)), Session::default());
    }

    #[test]
    fn a_session_is_forgotten_after_a_day_whether_or_not_it_was_removed() {
        let mut sessions = Sessions::default();
        sessions.add(7, Timestamp(0), true);
        assert_eq!(sessions.of(Some(7), Timestamp(MAX_IDLE)).n_outcomes, 1);
        assert_eq!(sessions.of(Some(7), Timestamp(MAX_IDLE + 1)), Session::default());
        let mut pruned = sessions.clone();
        pruned.forget(Timestamp(MAX_IDLE + 1));
        assert!(pruned.0.is_empty());
        for sessions in [&mut sessions, &mut pruned] {
            sessions.add(7, Timestamp(MAX_IDLE + 1), false);
        }
        assert_eq!(sessions.0, pruned.0);
    }
}
