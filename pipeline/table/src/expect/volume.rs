//! Decisions of a day against the median of the week before it.

use std::collections::BTreeMap;

use super::{Finding, Status, Subject, percent};
use crate::decisions::day_number;

/// Days of a week.
const WEEK: usize = 7;

/// The newest day is left out: it may still be growing. A day without a single decision counts as one with none.
pub(super) fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let limits = subject.settings.volume;
    if limits.warn == 0.0 && limits.fail == 0.0 {
        return Vec::new();
    }
    let days = without_gaps(&subject.all.days().filter_map(|(day, count)| Some((day_number(day)?, count))).collect());
    let n_judged = if subject.settings.days == 0 { days.len() } else { subject.settings.days };
    let complete = days.len().saturating_sub(1);
    let first = WEEK.max(complete.saturating_sub(n_judged));
    let worst = (first..complete)
        .filter_map(|position| {
            let mut week: Vec<u64> = days[position - WEEK..position].iter().map(|day| day.1).collect();
            week.sort_unstable();
            let median = week[WEEK / 2];
            (median > 0).then(|| (days[position].1 as f64 / median as f64, days[position], median))
        })
        .min_by(|one, other| one.0.total_cmp(&other.0));
    let finding = |status, detail| vec![Finding { name: "volume".to_owned(), status, detail }];
    let Some((share, (day, count), median)) = worst else {
        return finding(Status::Pass, "fewer than eight complete days: nothing to compare with".to_owned());
    };
    let status = if share < limits.fail {
        Status::Fail
    } else if share < limits.warn {
        Status::Warn
    } else {
        Status::Pass
    };
    let name = crate::decisions::day_name(day);
    finding(
        status,
        format!("the thinnest day, {name}, has {count} decisions, {} of the median of the week before ({median})", percent(share)),
    )
}

/// Days in order, those without a decision among them.
fn without_gaps(counted: &BTreeMap<i64, u64>) -> Vec<(i64, u64)> {
    match (counted.keys().next(), counted.keys().next_back()) {
        (Some(&first), Some(&last)) => (first..=last).map(|day| (day, counted.get(&day).copied().unwrap_or(0))).collect(),
        _ => Vec::new(),
    }
}
