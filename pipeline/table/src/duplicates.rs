//! Which of several rows with one id is kept.
//!
//! Two rows with one `trace_id` are the same decision if everything known at the decision is equal, the timestamp excepted. Of these the
//! winner is, in this order: the one with a completed outcome, the one with the newer timestamp, the one whose outcome says more. Its
//! copies and forerunners count as duplicates. Anything else with that id contradicts the row that was read first: a conflict.
//! The winner does not depend on the order of reading.

use crate::ledger::{Entry, Verdict};

/// Judges the rows of one id, in the order of reading.
pub(crate) fn judge(rows: &mut [Entry]) {
    let mut kept = 0;
    for next in 0..rows.len() {
        if next == 0 {
            rows[0].verdict = Verdict::Kept;
            continue;
        }
        match compare(&rows[kept], &rows[next]) {
            Relation::Replaces => {
                rows[kept].verdict = Verdict::Duplicate;
                rows[next].verdict = Verdict::Kept;
                kept = next;
            }
            Relation::Duplicate => rows[next].verdict = Verdict::Duplicate,
            Relation::Conflict => rows[next].verdict = Verdict::Conflict,
        }
    }
}

/// What a row is to the one that is kept so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Replaces,
    Duplicate,
    Conflict,
}

fn compare(kept: &Entry, next: &Entry) -> Relation {
    if kept.decision != next.decision {
        return Relation::Conflict;
    }
    let newer = |is_newer: bool| if is_newer { Relation::Replaces } else { Relation::Duplicate };
    if kept.completed != next.completed {
        return newer(next.completed);
    }
    if kept.timestamp != next.timestamp {
        return newer(next.timestamp > kept.timestamp);
    }
    if kept.outcome == next.outcome {
        return Relation::Duplicate;
    }
    match (next.outcome_fields & !kept.outcome_fields != 0, kept.outcome_fields & !next.outcome_fields != 0) {
        (true, false) => Relation::Replaces,
        (false, true) => Relation::Duplicate,
        _ => Relation::Conflict,
    }
}

#[cfg(test)]
mod tests {
    use routewright_domain::Timestamp;

    use super::*;
    use crate::draft::{Draft, KnownVectors};
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
        let mut entries: Vec<Entry> = rows
            .iter()
            .map(|row| {
                let mut bytes = Vec::new();
                let shape = encode(row, &mut KnownVectors::default(), &mut bytes);
                Entry::of(&bytes, shape, row)
            })
            .collect();
        judge(&mut entries);
        entries.into_iter().map(|entry| entry.verdict).collect()
    }

    const SECOND: [Verdict; 2] = [Verdict::Duplicate, Verdict::Kept];
    const FIRST: [Verdict; 2] = [Verdict::Kept, Verdict::Duplicate];

    #[test]
    fn a_completed_outcome_wins_in_either_order() {
        let (pending, done) = (decision(1, None, None), decision(1, Some(true), Some(5.0)));
        assert_eq!(judge_all(&[pending.clone(), done.clone()]), SECOND);
        assert_eq!(judge_all(&[done, pending]), FIRST);
    }

    #[test]
    fn a_newer_outcome_wins_in_either_order() {
        let (old, new) = (decision(1, Some(false), None), decision(2, Some(true), None));
        assert_eq!(judge_all(&[old.clone(), new.clone()]), SECOND);
        assert_eq!(judge_all(&[new, old]), FIRST);
    }

    #[test]
    fn an_outcome_that_says_more_wins_in_either_order() {
        let (less, more) = (decision(1, Some(true), None), decision(1, Some(true), Some(5.0)));
        assert_eq!(judge_all(&[less.clone(), more.clone()]), SECOND);
        assert_eq!(judge_all(&[more, less]), FIRST);
    }

    #[test]
    fn copies_are_duplicates_and_contradictions_conflicts() {
        let row = decision(1, Some(true), Some(5.0));
        assert_eq!(judge_all(&[row.clone(), row.clone()]), FIRST);
        assert_eq!(judge_all(&[row.clone(), decision(1, Some(false), Some(5.0))])[1], Verdict::Conflict);
        assert_eq!(judge_all(&[row.clone(), Draft { path: "B".into(), ..row }])[1], Verdict::Conflict);
    }
}
