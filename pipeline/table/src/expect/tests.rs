//! Every expectation met, warned about and failed.

use super::*;
use crate::corpus::Run;

/// A day's decisions: `row` gives the parts of each that matter.
fn day(day: u32, n_rows: usize, row: impl Fn(usize) -> String) -> String {
    (0..n_rows)
        .map(|position| {
            format!(
                "{{\"trace_id\":\"{day}-{position}\",\"timestamp\":\"2026-01-{day:02}T10:00:00Z\",\"query\":\"q\",{}}}\n",
                row(position)
            )
        })
        .collect()
}

fn usual(position: usize) -> String {
    format!(
        "\"routing_decision\":{{\"execution_path\":\"{}\"}},\"execution_outcome\":{{\"success\":true,\"latency_ms\":{position},\"cost\":0.{position}1,\"output_tokens\":{position}}}",
        ["TOOL", "CHAT"][position % 2]
    )
}

fn findings(log: &str, settings: &ExpectSettings) -> Vec<Finding> {
    let run = Run::of(log.as_bytes());
    expectations(settings, &Decisions::open(&run.folder.path().join("decisions")).unwrap(), &run.report).unwrap()
}

fn found(log: &str, settings: &ExpectSettings, name: &str) -> (Status, String) {
    let all = findings(log, settings);
    let finding = all.iter().find(|finding| finding.name == name).unwrap_or_else(|| panic!("no {name} in {all:?}"));
    (finding.status, finding.detail.clone())
}

fn settings() -> ExpectSettings {
    ExpectSettings { min_rows: 3, ..ExpectSettings::default() }
}

#[test]
fn a_usual_log_passes_everything() {
    let log: String = (1..=10).map(|number| day(number, 4, usual)).collect();
    let all = findings(&log, &settings());
    let names: Vec<&str> = all.iter().map(|finding| finding.name.as_str()).collect();
    let expected = [
        "nulls.latency_ms",
        "nulls.propensity",
        "nulls.success",
        "ranges.cost",
        "ranges.latency_ms",
        "unknown_paths",
        "volume",
        "constant_tokens",
        "zero_cost",
        "type_conflicts",
    ];
    assert_eq!(names, expected);
    assert!(all.iter().all(|finding| finding.status == Status::Pass), "{all:?}");
}

#[test]
fn missing_values_are_counted_also_of_columns_that_no_file_has() {
    let log = day(1, 3, usual) + &day(2, 1, |_| "\"routing_decision\":{\"execution_path\":\"TOOL\"}".to_owned());
    let nulls = |column: &str, warn, fail| {
        let nulls = BTreeMap::from([(column.to_owned(), Limits { warn, fail })]);
        found(&log, &ExpectSettings { nulls, ..settings() }, &format!("nulls.{column}"))
    };
    assert_eq!(nulls("success", 0.25, 0.5).0, Status::Pass);
    assert_eq!(
        nulls("success", 0.2, 0.25),
        (Status::Warn, "25.0 % of the decisions have no `success`, up to 20.0 % are expected".to_owned())
    );
    assert_eq!(nulls("success", 0.1, 0.2).0, Status::Fail);
    assert_eq!(nulls("context.load", 0.5, 0.9).0, Status::Fail);
    assert_eq!(nulls("candidates", 1.0, 1.0).0, Status::Pass);
}

#[test]
fn values_outside_their_range_are_counted() {
    let ranges = |high, fail| {
        let ranges = BTreeMap::from([("execution_outcome.output_tokens".to_owned(), [0.0, high])]);
        let settings = ExpectSettings { ranges, outside: Limits { warn: 0.0, fail }, ..settings() };
        found(&day(1, 4, usual), &settings, "ranges.execution_outcome.output_tokens")
    };
    assert_eq!(ranges(3.0, 0.0).0, Status::Pass);
    assert_eq!(ranges(2.0, 0.5), (Status::Warn, "1 of 4 values (25.0 %) lie outside [0, 2]".to_owned()));
    assert_eq!(ranges(2.0, 0.2).0, Status::Fail);
}

#[test]
fn paths_that_are_not_allowed_or_that_nobody_knows_are_named() {
    let settings = ExpectSettings { paths: vec!["TOOL".to_owned()], other_paths: Limits { warn: 0.0, fail: 0.4 }, ..settings() };
    let detail = "50.0 % of the decisions take paths that are not allowed: `CHAT` 2".to_owned();
    assert_eq!(found(&day(1, 4, usual), &settings, "other_paths"), (Status::Fail, detail));
    let odd = |position: usize| usual(position).replace("CHAT", ["CHAT", "UNKNOWN", "CHAT", "chat"][position]);
    let detail = "50.0 % of the decisions take paths that nobody knows: `UNKNOWN` 1; `chat` 1, which looks like `CHAT`".to_owned();
    let log = day(1, 2, |_| usual(1)) + &day(2, 4, odd);
    let (status, words) = found(&log, &settings, "unknown_paths");
    assert_eq!((status, words), (Status::Fail, detail.replace("50.0", "33.3")));
}

#[test]
fn a_thin_or_missing_day_is_noticed_and_the_newest_one_is_not_judged() {
    let week: String = (1..=8).map(|number| day(number, 4, usual)).collect();
    let with = |warn, fail| ExpectSettings { volume: Limits { warn, fail }, ..settings() };
    let thin = week.clone() + &day(9, 1, usual);
    assert_eq!(found(&thin, &with(0.5, 0.4), "volume").0, Status::Pass, "day 9 is the newest");
    let (status, detail) = found(&(thin.clone() + &day(10, 4, usual)), &with(0.5, 0.2), "volume");
    let words = "the thinnest day, 2026-01-09, has 1 decisions, 25.0 % of the median of the week before (4)";
    assert_eq!((status, detail.as_str()), (Status::Warn, words));
    assert_eq!(found(&(week.clone() + &day(10, 4, usual)), &with(0.5, 0.2), "volume").0, Status::Fail, "day 9 is missing");
    assert_eq!(found(&day(1, 4, usual), &with(0.5, 0.2), "volume").0, Status::Pass);
}

#[test]
fn constant_tokens_zero_costs_and_changed_types_are_noticed() {
    let odd = |position: usize| {
        let row = usual(position).replace(&format!("\"output_tokens\":{position}"), "\"output_tokens\":512");
        let cost = format!("\"cost\":0.{position}1");
        row.replace(&cost, "\"cost\":0") + if position == 0 { ",\"context\":{\"load\":\"high\"}" } else { ",\"context\":{\"load\":1}" }
    };
    let log = day(1, 4, odd);
    let strict = ExpectSettings { constant_tokens: Severity::Fail, ..settings() };
    assert_eq!(found(&log, &strict, "constant_tokens"), (Status::Fail, "`execution_outcome.output_tokens` is always 512".to_owned()));
    assert_eq!(found(&log, &strict, "zero_cost"), (Status::Warn, "every `cost` is 0".to_owned()));
    let detail = "1 keys with several types, kept as text: `context.load` (number 3, text 1)".to_owned();
    assert_eq!(found(&log, &strict, "type_conflicts"), (Status::Warn, detail));
    let off = ExpectSettings { constant_tokens: Severity::Off, zero_cost: Severity::Off, type_conflicts: Severity::Off, ..settings() };
    assert!(findings(&log, &off).iter().all(|finding| finding.status == Status::Pass));
    assert_eq!(found(&day(1, 2, odd), &settings(), "constant_tokens").0, Status::Pass, "two rows say nothing");
}

#[test]
fn age_is_judged_against_a_given_moment_only() {
    let age = |until: &str, warn, fail| {
        let settings = ExpectSettings { until: until.to_owned(), age_hours: Limits { warn, fail }, ..settings() };
        findings(&day(1, 1, usual), &settings).into_iter().find(|finding| finding.name == "age_hours")
    };
    let finding = age("2026-01-02T10:00:00Z", 12.0, 48.0).unwrap();
    assert_eq!((finding.status, finding.detail.as_str()), (Status::Warn, "the newest decision is 24.0 hours old, up to 48 are allowed"));
    assert_eq!(age("2026-01-04T10:00:00Z", 12.0, 48.0).unwrap().status, Status::Fail);
    assert_eq!(age("2026-01-01T11:00:00Z", 12.0, 48.0).unwrap().status, Status::Pass);
    assert_eq!(age("", 12.0, 48.0), None);
    assert_eq!(age("2026-01-04T10:00:00Z", 0.0, 0.0), None);
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let key = |change: fn(&mut ExpectSettings)| {
        let mut settings = ExpectSettings::default();
        change(&mut settings);
        settings.check().map_err(|error| error.0)
    };
    assert_eq!(key(|_| {}), Ok(()));
    assert_eq!(key(|settings| settings.outside = Limits { warn: 0.5, fail: 0.1 }), Err("expect.outside"));
    assert_eq!(key(|settings| settings.volume = Limits { warn: 0.1, fail: 0.5 }), Err("expect.volume"));
    assert_eq!(key(|settings| settings.until = "soon".to_owned()), Err("expect.until"));
    assert_eq!(key(|settings| settings.ranges = BTreeMap::from([("x".to_owned(), [2.0, 1.0])])), Err("expect.ranges"));
    assert_eq!(key(|settings| settings.age_hours.warn = f64::NAN), Err("expect.age_hours"));
}
