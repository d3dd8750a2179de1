//! Age of the newest decision. The clock is not read here: it is compared with a moment of the settings, or by the command.

use routewright_domain::Timestamp;

use super::{Finding, Limits, Status, Subject};

/// Microseconds of an hour.
const HOUR: f64 = 3_600e6;

pub(super) fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let found = subject.settings.until_time().zip(subject.report.last);
    found.and_then(|(now, newest)| judge(subject.settings.age_hours, newest, now)).into_iter().collect()
}

/// Judges the age of the newest decision; nothing where any age is allowed.
pub(super) fn judge(limits: Limits, newest: Timestamp, now: Timestamp) -> Option<Finding> {
    if limits.warn == 0.0 && limits.fail == 0.0 {
        return None;
    }
    let hours = (now.0 - newest.0) as f64 / HOUR;
    let beyond = |limit: f64| limit > 0.0 && hours > limit;
    let status = if beyond(limits.fail) {
        Status::Fail
    } else if beyond(limits.warn) {
        Status::Warn
    } else {
        Status::Pass
    };
    let allowed = if limits.fail > 0.0 { limits.fail } else { limits.warn };
    let detail = format!("the newest decision is {hours:.1} hours old, up to {allowed} are allowed");
    Some(Finding { name: "age_hours".to_owned(), status, detail })
}
