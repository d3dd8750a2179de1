//! Which of several rows with one id is kept.
//!
//! Two rows with one `trace_id` are the same decision if everything known at the decision is equal, the timestamp excepted. Of these the
//! winner is, in this order: the one with a completed outcome, the one with the newer timestamp, the one whose outcome says more. Its
//! copies and forerunners count as duplicates. Anything else with that id contradicts the row that was read first: a conflict.
//! The winner does not depend on the order of reading.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasherDefault;

use xxhash_rust::xxh3::xxh3_64;

use crate::rows::{RowShape, trace_id};
use crate::unhashed::Unhashed;

/// What is remembered of the row that is kept for an id: 40 bytes, so that a hundred million rows are possible on one machine.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Digest of everything known at the decision, the id included: an accidental equality of id digests shows as a conflict.
    decision: u64,
    /// Digest of the outcome.
    outcome: u64,
    timestamp: i64,
    sequence: u64,
    outcome_fields: u16,
    completed: bool,
}

/// A row's place in the order of reading, and the digests that tell it from others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    id: u64,
    known: Known,
}

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The first of its id.
    New,
    /// It takes the place of the row with that sequence number.
    Replaces {
        /// The row that is dropped.
        sequence: u64,
        /// Whether that row was still pending.
        was_pending: bool,
    },
    /// It says nothing that the kept row does not say.
    Duplicate,
    /// It contradicts the kept row.
    Conflict,
}

/// The kept row of every id.
#[derive(Default)]
pub(crate) struct Duplicates(HashMap<u64, Known, BuildHasherDefault<Unhashed>>);

/// Digests of an encoded row. `completed`: whether it has an outcome.
pub(crate) fn candidate(bytes: &[u8], shape: RowShape, timestamp: i64, completed: bool) -> Candidate {
    let (decision, outcome) = bytes.split_at(shape.outcome_at.min(bytes.len()));
    let known = Known {
        decision: xxh3_64(decision),
        outcome: xxh3_64(outcome),
        timestamp,
        sequence: 0,
        outcome_fields: shape.outcome_fields,
        completed,
    };
    Candidate { id: xxh3_64(trace_id(bytes)), known }
}

impl Duplicates {
    /// Judges the next row, and remembers it where it is kept.
    pub(crate) fn judge(&mut self, candidate: Candidate, sequence: u64) -> Verdict {
        let next = Known { sequence, ..candidate.known };
        match self.0.entry(candidate.id) {
            Entry::Vacant(slot) => {
                slot.insert(next);
                Verdict::New
            }
            Entry::Occupied(mut slot) => {
                let kept = *slot.get();
                let verdict = compare(&kept, &next);
                if matches!(verdict, Verdict::Replaces { .. }) {
                    slot.insert(next);
                }
                verdict
            }
        }
    }
}

fn compare(kept: &Known, next: &Known) -> Verdict {
    if kept.decision != next.decision {
        return Verdict::Conflict;
    }
    let replaces = Verdict::Replaces { sequence: kept.sequence, was_pending: !kept.completed };
    if kept.completed != next.completed {
        return if next.completed { replaces } else { Verdict::Duplicate };
    }
    if kept.timestamp != next.timestamp {
        return if next.timestamp > kept.timestamp { replaces } else { Verdict::Duplicate };
    }
    if kept.outcome == next.outcome {
        return Verdict::Duplicate;
    }
    match (next.outcome_fields & !kept.outcome_fields != 0, kept.outcome_fields & !next.outcome_fields != 0) {
        (true, false) => replaces,
        (false, true) => Verdict::Duplicate,
        _ => Verdict::Conflict,
    }
}

#[cfg(test)]
mod tests {
    use routewright_domain::Timestamp;

    use super::*;
    use crate::draft::Draft;
    use crate::rows::encode;

    fn decision(timestamp: i64, success: Option<bool>, latency_ms: Option<f64>) -> Draft<'static> {
        Draft {
            trace_id: "t".into(),
            query: "q".into(),
            path: "A".into(),
            timestamp: Timestamp(timestamp),
            success,
            latency_ms,
            ..Draft::default()
        }
    }

    fn judge_all(rows: &[Draft<'_>]) -> Vec<Verdict> {
        let mut duplicates = Duplicates::default();
        (0..)
            .zip(rows)
            .map(|(sequence, row)| {
                let mut bytes = Vec::new();
                let shape = encode(row, &mut bytes);
                duplicates.judge(candidate(&bytes, shape, row.timestamp.0, row.success.is_some()), sequence)
            })
            .collect()
    }

    const REPLACES_PENDING: Verdict = Verdict::Replaces { sequence: 0, was_pending: true };
    const REPLACES_DONE: Verdict = Verdict::Replaces { sequence: 0, was_pending: false };

    #[test]
    fn a_completed_outcome_wins_in_either_order() {
        let (pending, done) = (decision(1, None, None), decision(1, Some(true), Some(5.0)));
        assert_eq!(judge_all(&[pending.clone(), done.clone()]), [Verdict::New, REPLACES_PENDING]);
        assert_eq!(judge_all(&[done, pending]), [Verdict::New, Verdict::Duplicate]);
    }

    #[test]
    fn a_newer_outcome_wins_in_either_order() {
        let (old, new) = (decision(1, Some(false), None), decision(2, Some(true), None));
        assert_eq!(judge_all(&[old.clone(), new.clone()]), [Verdict::New, REPLACES_DONE]);
        assert_eq!(judge_all(&[new, old]), [Verdict::New, Verdict::Duplicate]);
    }

    #[test]
    fn an_outcome_that_says_more_wins_in_either_order() {
        let (less, more) = (decision(1, Some(true), None), decision(1, Some(true), Some(5.0)));
        assert_eq!(judge_all(&[less.clone(), more.clone()]), [Verdict::New, REPLACES_DONE]);
        assert_eq!(judge_all(&[more, less]), [Verdict::New, Verdict::Duplicate]);
    }

    #[test]
    fn copies_are_duplicates_and_contradictions_conflicts() {
        let row = decision(1, Some(true), Some(5.0));
        assert_eq!(judge_all(&[row.clone(), row.clone()])[1], Verdict::Duplicate);
        assert_eq!(judge_all(&[row.clone(), decision(1, Some(false), Some(5.0))])[1], Verdict::Conflict);
        assert_eq!(judge_all(&[row.clone(), Draft { path: "B".into(), ..row }])[1], Verdict::Conflict);
    }
}
