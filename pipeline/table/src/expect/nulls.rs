//! Share of decisions without a value, per column.

use super::seen::Wanted;
use super::{ExpectSettings, Finding, Subject, above, percent};
use crate::decisions::Decisions;

pub(super) fn ask<'a>(settings: &'a ExpectSettings, _newest: &'a Decisions, wanted: &mut Wanted<'a>) {
    wanted.values.extend(settings.nulls.keys().map(String::as_str));
}

pub(super) fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let n_rows = subject.seen.n_rows;
    let findings = subject.settings.nulls.iter().map(|(column, limits)| {
        let n_nulls = n_rows - subject.seen.column(column).n_values;
        let share = n_nulls as f64 / n_rows.max(1) as f64;
        Finding {
            name: format!("nulls.{column}"),
            status: above(share, *limits),
            detail: format!("{} of the decisions have no `{column}`, up to {} are expected", percent(share), percent(limits.warn)),
        }
    });
    findings.collect()
}
