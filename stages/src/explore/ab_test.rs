//! The gateway's log as the randomised test that it is.

use std::collections::BTreeMap;

use routewright_ope::{AbTest, Assigned, Confidence, Period, ab_test};
use routewright_table::Assignment;

use crate::artifacts::AbTestReport;

/// Microseconds of a day: a gateway's share of traffic is changed between days.
const DAY: i64 = 86_400_000_000;

/// Judges the tasks of a gateway. `declared_share`: of the traffic in the treatment group; 0 where nobody declared one.
pub(super) fn judge(tasks: &[Assignment], declared_share: f64) -> AbTestReport {
    let mut days: BTreeMap<i64, Period> = BTreeMap::new();
    for task in tasks {
        let day = days.entry(task.timestamp.0.div_euclid(DAY)).or_default();
        let side = if is_treated(task) { &mut day.treatment } else { &mut day.control };
        side.tasks += 1;
        side.decisions += u64::from(task.success.is_some());
        side.successes += u64::from(task.success == Some(true));
    }
    let periods: Vec<Period> = days.into_values().collect();
    let test = ab_test(&periods, (declared_share > 0.0).then_some(declared_share), Confidence::TWO_SIDED_95);
    let has_both = |period: &&Period| period.control.decisions > 0 && period.treatment.decisions > 0;
    AbTestReport {
        tasks: tasks.len() as u64,
        joined: tasks.iter().filter(|task| task.trace_id.is_some()).count() as u64,
        days: periods.iter().filter(has_both).count() as u64,
        crossed: tasks.iter().filter(|task| is_treated(task) != (task.method == "ml")).count() as u64,
        test,
        summary: summary(tasks.len(), test.as_ref()),
    }
}

fn is_treated(task: &Assignment) -> bool {
    task.group == "treatment"
}

/// The test in one sentence.
fn summary(n_tasks: usize, test: Option<&AbTest>) -> String {
    let Some(test) = test else {
        return if n_tasks == 0 { String::new() } else { format!("{n_tasks} tasks of a gateway, but no day has outcomes in both groups") };
    };
    let rate = |side: Assigned| format!("{:.1} % of {}", 100.0 * side.successes as f64 / side.decisions.max(1) as f64, side.decisions);
    let estimate = test.within_periods;
    let words = format!(
        "the treatment group succeeds in {}, control in {}: {:+.1} points [{:.1}, {:.1}] within days",
        rate(test.treatment),
        rate(test.control),
        100.0 * estimate.value,
        100.0 * estimate.interval.lower,
        100.0 * estimate.interval.upper
    );
    if test.is_sound { words } else { format!("{words}; not to be believed, because the groups are not what they should be") }
}

#[cfg(test)]
mod tests {
    use routewright_domain::Timestamp;

    use super::*;

    fn task(day: i64, group: &str, success: Option<bool>) -> Assignment {
        let method = if group == "treatment" { "ml" } else { "rule-based" };
        Assignment { timestamp: Timestamp(day * DAY), group: group.to_owned(), method: method.to_owned(), success, ..Assignment::default() }
    }

    #[test]
    fn groups_are_compared_within_days() {
        let mut tasks = Vec::new();
        for day in 0..3 {
            tasks.extend((0..100).map(|position| task(day, "treatment", Some(position < 90))));
            tasks.extend((0..100).map(|position| task(day, "control", Some(position < 70))));
        }
        tasks.push(Assignment { method: "rule-based".to_owned(), ..task(0, "treatment", None) });
        let report = judge(&tasks, 0.5);
        assert_eq!((report.tasks, report.days, report.crossed), (601, 3, 1));
        let test = report.test.unwrap();
        assert!((test.within_periods.value - 0.2).abs() < 1e-12 && test.is_sound && test.split_p_value.is_some());
        assert!(
            report.summary.starts_with("the treatment group succeeds in 90.0 % of 300, control in 70.0 % of 300: +20.0 points ["),
            "{}",
            report.summary
        );
        assert!(judge(&tasks, 0.1).summary.ends_with("because the groups are not what they should be"));
    }

    #[test]
    fn without_both_groups_there_is_no_test() {
        assert_eq!(judge(&[], 0.0), AbTestReport::default());
        let report = judge(&[task(0, "control", Some(true)), task(1, "treatment", Some(true))], 0.0);
        assert_eq!((report.test, report.summary.as_str()), (None, "2 tasks of a gateway, but no day has outcomes in both groups"));
    }
}
