//! The checks of a run as a CI shows them: gates of the decision, expectations of the data, and the stages themselves.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::Value;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Worth a look.
    Warned,
    /// Not as it should.
    Failed,
    /// It could not be made.
    Skipped,
}

/// A check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What kind of check: `gates`, `expectations`, `stages`.
    pub suite: &'static str,
    /// Its name.
    pub name: String,
    /// How it came out.
    pub outcome: Outcome,
    /// What was found, and what was expected.
    pub detail: String,
}

/// The gates in `decision.json` and the expectations in `ingest.json`. Files of versions that know neither have none.
pub fn of(decision: Option<&Value>, ingest: Option<&Value>) -> Vec<Check> {
    let text = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |document: Option<&Value>, place: &str| -> Vec<Value> {
        document.and_then(|document| document.pointer(place)).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let findings = list(ingest, "/findings").into_iter().map(|finding| Check {
        suite: "expectations",
        name: text(&finding, "name"),
        outcome: match text(&finding, "status").to_lowercase().as_str() {
            "pass" => Outcome::Passed,
            "warn" => Outcome::Warned,
            _ => Outcome::Failed,
        },
        detail: text(&finding, "detail"),
    });
    let gates = list(decision, "/diagnostics/gates").into_iter().map(|gate| Check {
        suite: "gates",
        name: text(&gate, "name"),
        outcome: if gate.get("passed").and_then(Value::as_bool) == Some(true) { Outcome::Passed } else { Outcome::Failed },
        detail: text(&gate, "detail"),
    });
    findings.chain(gates).collect()
}

/// Checks as JUnit XML, one suite per kind, in the order in which the kinds first appear. Warnings count as passed and say so in their output.
///
/// # Errors
/// What the writer says.
pub fn junit(checks: &[Check]) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("routewright");
    let mut suites: Vec<&str> = checks.iter().map(|check| check.suite).collect();
    suites.dedup();
    for name in suites {
        let mut suite = TestSuite::new(name);
        for check in checks.iter().filter(|check| check.suite == name) {
            let mut status = match check.outcome {
                Outcome::Passed | Outcome::Warned => TestCaseStatus::success(),
                Outcome::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
                Outcome::Skipped => TestCaseStatus::skipped(),
            };
            if check.outcome != Outcome::Passed {
                status.set_message(check.detail.as_str());
            }
            let mut case = TestCase::new(check.name.as_str(), status);
            case.set_classname(format!("routewright.{name}"));
            let word = if check.outcome == Outcome::Warned { "warning: " } else { "" };
            case.set_system_out(format!("{word}{}", check.detail));
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    report.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample() -> Vec<Check> {
        let decision = json!({ "diagnostics": { "gates": [
            { "name": "mean_weight", "passed": true, "detail": "1.0" },
            { "name": "time_split", "passed": false, "detail": "3 queries in both <&>" },
        ] } });
        let ingest = json!({ "findings": [{ "name": "nulls.success", "status": "warn", "detail": "4 %" }] });
        of(Some(&decision), Some(&ingest))
    }

    #[test]
    fn gates_and_expectations_become_checks() {
        let outcomes: Vec<(&str, Outcome)> = sample().iter().map(|check| (check.suite, check.outcome)).collect();
        assert_eq!(outcomes, [("expectations", Outcome::Warned), ("gates", Outcome::Passed), ("gates", Outcome::Failed)]);
        assert_eq!(of(None, None), []);
    }

    #[test]
    fn junit_counts_failures_and_escapes() {
        let text = junit(&sample()).unwrap();
        let head = text.lines().find(|line| line.starts_with("<testsuites")).unwrap();
        assert!(head.contains("tests=\"3\"") && head.contains("failures=\"1\""), "{text}");
        assert!(text.contains("3 queries in both &lt;&amp;&gt;") && text.contains("warning: 4 %"), "{text}");
    }
}
