//! Share of values outside the plausible range, per column.

use super::seen::{OfColumn, Wanted};
use super::{ExpectSettings, Finding, Subject, above, percent};
use crate::decisions::Decisions;

pub(super) fn ask<'a>(settings: &'a ExpectSettings, _newest: &'a Decisions, wanted: &mut Wanted<'a>) {
    wanted.numbers.extend(settings.ranges.iter().map(|(column, range)| (column.as_str(), Some(*range))));
}

pub(super) fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let findings = subject.settings.ranges.iter().map(|(column, [low, high])| {
        let OfColumn { n_numbers, n_outside, .. } = subject.seen.column(column);
        let share = n_outside as f64 / n_numbers.max(1) as f64;
        Finding {
            name: format!("ranges.{column}"),
            status: above(share, subject.settings.outside),
            detail: format!("{n_outside} of {n_numbers} values ({}) lie outside [{low}, {high}]", percent(share)),
        }
    });
    findings.collect()
}
