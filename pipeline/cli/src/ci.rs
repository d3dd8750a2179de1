//! What a CI shows of a run: JUnit XML, annotations, the job's summary page.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use routewright_engine::{Artifact, RunReport, Status};
use serde_json::Value;
use stages::artifacts::{DecisionReport, RowAccount, SummaryPage};
use stages::checks::{self, Check, Outcome};

use crate::messages::Messages;
use crate::project::ProjectArguments;

/// Where the command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Ci {
    /// GitHub Actions: annotations, folded log, job summary.
    Github,
    /// GitLab: folded log.
    Gitlab,
    /// Nowhere special.
    None,
}

/// Annotations of one kind that GitHub shows per step.
const MOST_ANNOTATIONS: usize = 10;

/// Bytes that GitHub takes of a step's summary; of a longer one it shows nothing.
const MOST_SUMMARY_BYTES: usize = 1024 * 1024;

/// Tells the CI how a run or a gate came out; `stages`: what became of every stage, where stages ran. `failure`: what went wrong.
///
/// # Errors
/// A file that cannot be written.
pub(crate) fn tell(
    project: &ProjectArguments,
    stages: Option<&RunReport>,
    failure: Option<&str>,
    messages: &Messages,
) -> anyhow::Result<()> {
    if project.junit.is_none() && project.ci == Ci::None {
        return Ok(());
    }
    let document = |place: &str| -> Option<Value> { serde_json::from_slice(&std::fs::read(project.project.join(place)).ok()?).ok() };
    // What an earlier run decided says nothing about one that failed.
    let decision = document(DecisionReport::PATH).filter(|_| failure.is_none());
    let mut found = checks::of(decision.as_ref(), document(RowAccount::PATH).as_ref());
    found.extend(stages.map(|stages| of_stages(stages, failure)).unwrap_or_default());
    if let Some(place) = &project.junit {
        write(place, &checks::junit(&found)?)?;
    }
    if project.ci == Ci::Github {
        for line in annotations(&found) {
            messages.command(&line);
        }
        if failure.is_none() {
            append_summary(&project.project.join(SummaryPage::PATH))?;
        }
    }
    Ok(())
}

/// The stages as checks.
fn of_stages(stages: &RunReport, failure: Option<&str>) -> Vec<Check> {
    let check = |stage: &routewright_engine::StageReport| {
        let outcome = match stage.status {
            Status::Fresh | Status::Ran => Outcome::Passed,
            Status::Failed => Outcome::Failed,
            Status::Blocked => Outcome::Skipped,
        };
        let detail = match (stage.status, failure) {
            (Status::Failed, Some(failure)) => failure.to_owned(),
            _ => stage.reason.clone().unwrap_or_else(|| "fresh".to_owned()),
        };
        Check { suite: "stages", name: stage.stage.to_owned(), outcome, detail }
    };
    stages.stages.iter().map(check).collect()
}

fn write(place: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = place.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    }
    std::fs::write(place, text).with_context(|| format!("cannot write `{}`", place.display()))
}

/// GitHub's workflow commands for what failed or is worth a look; what is over the limit is gathered in the last one.
fn annotations(found: &[Check]) -> Vec<String> {
    let mut lines = Vec::new();
    for (outcome, kind) in [(Outcome::Failed, "error"), (Outcome::Warned, "warning")] {
        let of_kind: Vec<&Check> = found.iter().filter(|check| check.outcome == outcome).collect();
        let shown = if of_kind.len() > MOST_ANNOTATIONS { MOST_ANNOTATIONS - 1 } else { of_kind.len() };
        for check in &of_kind[..shown] {
            let title = format!("{}: {}", check.suite, check.name);
            lines.push(format!("::{kind} title={}::{}", property(&title), data(&check.detail)));
        }
        if shown < of_kind.len() {
            let names: Vec<&str> = of_kind[shown..].iter().map(|check| check.name.as_str()).collect();
            lines.push(format!("::{kind} title={} more::{}", names.len(), data(&names.join(", "))));
        }
    }
    lines
}

/// Text as a workflow command takes it.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Text as a property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Adds the summary to the page that GitHub names, as far as it takes it.
fn append_summary(place: &Path) -> anyhow::Result<()> {
    let (Some(page), Ok(text)) = (std::env::var_os("GITHUB_STEP_SUMMARY"), std::fs::read_to_string(place)) else { return Ok(()) };
    let page = Path::new(&page);
    let taken = std::fs::metadata(page).map_or(0, |found| found.len() as usize);
    if taken + text.len() > MOST_SUMMARY_BYTES {
        return Ok(());
    }
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(page)
        .with_context(|| format!("cannot write the job's summary `{}`", page.display()))?;
    Ok(file.write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, outcome: Outcome) -> Check {
        Check { suite: "gates", name: name.to_owned(), outcome, detail: "50 %\nof it".to_owned() }
    }

    #[test]
    fn annotations_are_escaped() {
        let lines = annotations(&[check("a", Outcome::Failed), check("b", Outcome::Passed), check("c", Outcome::Warned)]);
        assert_eq!(lines, ["::error title=gates%3A a::50 %25%0Aof it", "::warning title=gates%3A c::50 %25%0Aof it"]);
    }

    #[test]
    fn no_more_annotations_than_github_shows() {
        let many: Vec<Check> = (0..14).map(|position| check(&position.to_string(), Outcome::Failed)).collect();
        let lines = annotations(&many);
        assert_eq!(lines.len(), MOST_ANNOTATIONS);
        assert_eq!(lines[9], "::error title=5 more::9, 10, 11, 12, 13");
        assert_eq!(annotations(&many[..10]).len(), 10);
    }
}
