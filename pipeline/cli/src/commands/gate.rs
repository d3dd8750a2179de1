//! `gate`: what a release pipeline asks; reads the decision, says why in one paragraph, and answers with the exit code.

use std::path::Path;

use anyhow::Context;
use routewright_engine::{Artifact, LastFailure, Record, digest_of};
use routewright_rollout::Verdict;
use serde::{Deserialize, Serialize};
use stages::artifacts::DecisionReport;

use crate::commands::verify::ARTIFACT;
use crate::exit::{Exit, UsageError};
use crate::messages::Messages;
use crate::overrides::Override;
use crate::project::ProjectArguments;

/// Version of `decision.json` that this program understands.
const SCHEMA_VERSION: u64 = 1;

/// Every verdict there is.
pub(crate) const VERDICTS: &[&str] = &["ADOPT", "HYBRID", "KEEP", "INVESTIGATE_FEATURES", "OPTIMIZE_MODEL", "COST_BENEFIT"];

/// Reasons that prove nothing either way.
const INCONCLUSIVE: &[&str] = &["NOT_IDENTIFIED", "INSUFFICIENT_EVIDENCE", "INVALID_LOG"];

/// Flags of `gate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Verdicts to accept
    #[arg(long, value_name = "VERDICTS", value_delimiter = ',', default_value = "ADOPT,HYBRID")]
    accept: Vec<String>,
    /// Accept this decision against its verdict, for a reason that is recorded in `reports/override.json` and in the run's manifest
    #[arg(long = "override", value_name = "REASON", requires = "by")]
    reason: Option<String>,
    /// Who signs the override
    #[arg(long, value_name = "NAME", requires = "reason")]
    by: Option<String>,
    /// Take back the override on record
    #[arg(long, conflicts_with = "reason")]
    revoke: bool,
}

/// What the gate needs of `decision.json`.
#[derive(Debug, Deserialize)]
struct OnFile {
    schema_version: u64,
    verdict: String,
    reason: String,
    summary: String,
}

/// What the gate answers.
#[derive(Debug, Serialize)]
struct Answer {
    schema_version: u64,
    verdict: String,
    reason: String,
    accepted: bool,
    conclusive: bool,
    /// The override that turned the answer, where there is one.
    #[serde(rename = "override")]
    signed_off: Option<Override>,
    paragraph: String,
}

/// What the gate says, for whoever gives traffic on its word; signs nothing and prints nothing.
///
/// # Errors
/// A decision that is there and cannot be read.
pub(crate) fn judge(project: &Path, accepted: &[String]) -> anyhow::Result<Verdict> {
    let place = project.join(DecisionReport::PATH);
    if !place.exists() {
        let words = "there is no decision; `routewright run` makes one".to_owned();
        return Ok(Verdict { words, ..Verdict::default() });
    }
    let on_file = read(&place)?;
    let document: serde_json::Value = crate::project::read_json(&place, "run")?;
    let models = document.pointer("/provenance/artifact_digest").and_then(serde_json::Value::as_str).map(str::to_owned);
    let doubt = doubt(project, &place)?;
    let (exit, paragraph) = answer(&on_file, doubt.as_deref(), accepted);
    let digest = digest_of(&place).with_context(|| format!("cannot read `{}`", place.display()))?.unwrap_or_default();
    let signed = Override::read(project)?.map(|signed| {
        let holds = signed.decision_digest == digest && doubt.is_none();
        (signed, holds)
    });
    let (exit, words) = with_override(exit, paragraph, signed.as_ref());
    Ok(Verdict { accepted: exit == Exit::Done, conclusive: exit != Exit::Inconclusive, models, words })
}

/// The decision on file, of a version that this program reads.
fn read(place: &Path) -> anyhow::Result<OnFile> {
    let on_file: OnFile = crate::project::read_json(place, "run")?;
    if on_file.schema_version == SCHEMA_VERSION {
        return Ok(on_file);
    }
    Err(UsageError(format!(
        "`{}` has schema version {}, this program reads {SCHEMA_VERSION}; run it with the version that wrote it",
        place.display(),
        on_file.schema_version
    ))
    .into())
}

/// Reads the decision and answers.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    if let Some(unknown) = arguments.accept.iter().find(|verdict| !VERDICTS.contains(&verdict.as_str())) {
        return Err(UsageError(format!("`--accept {unknown}`: no such verdict, known are {}", VERDICTS.join(", "))).into());
    }
    let place = project.project.join(DecisionReport::PATH);
    let on_file = read(&place)?;
    let doubt = doubt(&project.project, &place)?;
    let (exit, paragraph) = answer(&on_file, doubt.as_deref(), &arguments.accept);
    if let (Some(doubt), Some(_)) = (&doubt, &arguments.reason) {
        return Err(
            UsageError(format!("a decision that may not be believed cannot be overridden: {doubt}; run the line again first")).into()
        );
    }
    let signed_off = signed_off(arguments, project, &place, (&on_file.verdict, &on_file.reason))?;
    // What may not be believed is not accepted, whoever signed it.
    let signed_off = signed_off.map(|(signed, holds)| (signed, holds && doubt.is_none()));
    let (exit, paragraph) = with_override(exit, paragraph, signed_off.as_ref());
    let signed_off = signed_off.map(|(signed, _)| signed);
    let answer = Answer {
        schema_version: 1,
        verdict: on_file.verdict,
        reason: on_file.reason,
        accepted: exit == Exit::Done,
        conclusive: exit != Exit::Inconclusive,
        signed_off,
        paragraph: paragraph.clone(),
    };
    crate::ci::tell(project, None, None, messages)?;
    messages.result(&format!("{paragraph}\n"), &answer)?;
    Ok(exit)
}

/// The override on record, with whether it was signed for this very decision; signs or revokes one where the user says so.
fn signed_off(
    arguments: &Arguments,
    project: &ProjectArguments,
    place: &Path,
    (verdict, reason): (&str, &str),
) -> anyhow::Result<Option<(Override, bool)>> {
    let digest = digest_of(place).with_context(|| format!("cannot read `{}`", place.display()))?.unwrap_or_default();
    if arguments.revoke {
        Override::revoke(&project.project)?;
    }
    if let (Some(why), Some(by)) = (&arguments.reason, &arguments.by) {
        if why.trim().is_empty() || by.trim().is_empty() {
            return Err(UsageError("an override needs a name and a reason: `--override \"why\" --by \"who\"`".to_owned()).into());
        }
        Override::sign(&project.project, by, why, &digest, (verdict, reason))?;
    }
    Ok(Override::read(&project.project)?.map(|signed| {
        let holds = signed.decision_digest == digest;
        (signed, holds)
    }))
}

/// Turns the answer where an override holds; says so, and what the answer would have been, whether it holds or not.
fn with_override(exit: Exit, paragraph: String, signed: Option<&(Override, bool)>) -> (Exit, String) {
    match signed {
        None => (exit, paragraph),
        Some((signed, true)) if exit != Exit::Done => {
            (Exit::Done, format!("ACCEPTED BY OVERRIDE: signed by {} on {}: {}. Without it: {paragraph}", signed.by, signed.at, signed.why))
        }
        Some((signed, true)) => (exit, format!("{paragraph} (An override by {} on {} is on record and not needed.)", signed.by, signed.at)),
        Some((signed, false)) => (
            exit,
            format!(
                "{paragraph} An override by {} on {} is on record, but does not count: it was signed for another decision ({}), or this one may not be believed.",
                signed.by, signed.at, signed.verdict
            ),
        ),
    }
}

/// Why the file may not be believed: a later run failed, or it is not what the stage wrote.
fn doubt(project: &Path, place: &Path) -> anyhow::Result<Option<String>> {
    if let Some(failure) = LastFailure::read(project) {
        return Ok(Some(format!("the decision is older than the last run, which failed at `{}`: {}", failure.stage, failure.message)));
    }
    let Some(record) = Record::read(project, "decide") else { return Ok(None) };
    let found = digest_of(place).with_context(|| format!("cannot read `{}`", place.display()))?;
    if record.outputs.get(DecisionReport::PATH) != found.as_ref() {
        return Ok(Some("`reports/decision.json` is not what the stage `decide` wrote".to_owned()));
    }
    for (input, digest) in &record.inputs {
        let place = project.join(input);
        let found = digest_of(&place).with_context(|| format!("cannot read `{}`", place.display()))?;
        if found.as_ref() != Some(digest) {
            return Ok(Some(format!("`{input}` has changed since the decision was made")));
        }
    }
    other_artifact(project)
}

/// Whether the artifact on disk holds other models than those that were judged.
fn other_artifact(project: &Path) -> anyhow::Result<Option<String>> {
    let manifest = project.join(ARTIFACT).join("manifest.json");
    if !manifest.exists() {
        return Ok(None);
    }
    let manifest: serde_json::Value = crate::project::read_json(&manifest, "run")?;
    let decision: serde_json::Value = crate::project::read_json(&project.join(DecisionReport::PATH), "run")?;
    let packed = manifest.pointer("/files/forest.bin/sha256");
    let judged = decision.pointer("/provenance/artifact_digest");
    Ok((packed != judged)
        .then(|| "`models/artifact` holds other models than those that were judged; `routewright run export` packs them".to_owned()))
}

/// The exit code and one paragraph.
fn answer(on_file: &OnFile, doubt: Option<&str>, accepted: &[String]) -> (Exit, String) {
    let verdict = format!("{} ({})", on_file.verdict, on_file.reason);
    if let Some(doubt) = doubt {
        return (Exit::Inconclusive, format!("INCONCLUSIVE: {doubt}. The file says {verdict}."));
    }
    if accepted.contains(&on_file.verdict) {
        return (Exit::Done, format!("ACCEPTED: {verdict}. {}", on_file.summary));
    }
    if INCONCLUSIVE.contains(&on_file.reason.as_str()) {
        return (Exit::Inconclusive, format!("INCONCLUSIVE: {verdict}. {}", on_file.summary));
    }
    (Exit::Refused, format!("REFUSED: {verdict}. {}", on_file.summary))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit_for(verdict: &str, reason: &str, accepted: &[&str]) -> Exit {
        let on_file = OnFile { schema_version: 1, verdict: verdict.into(), reason: reason.into(), summary: String::new() };
        let accepted: Vec<String> = accepted.iter().map(|verdict| (*verdict).to_owned()).collect();
        answer(&on_file, None, &accepted).0
    }

    #[test]
    fn the_exit_code_follows_verdict_and_reason() {
        assert_eq!(exit_for("ADOPT", "PROVEN", &["ADOPT", "HYBRID"]), Exit::Done);
        assert_eq!(exit_for("HYBRID", "SEGMENTS", &["ADOPT", "HYBRID"]), Exit::Done);
        assert_eq!(exit_for("HYBRID", "SEGMENTS", &["ADOPT"]), Exit::Refused);
        assert_eq!(exit_for("KEEP", "PROVEN", &["ADOPT"]), Exit::Refused);
        for reason in INCONCLUSIVE {
            assert_eq!(exit_for("KEEP", reason, &["ADOPT"]), Exit::Inconclusive);
        }
    }

    #[test]
    fn an_override_turns_the_answer_and_is_told() {
        let signed = |holds| {
            let signed = Override {
                schema_version: 1,
                by: "R. Geller".into(),
                why: "the pilot was agreed".into(),
                at: "2026-01-18T00:00:00Z".into(),
                decision_digest: String::new(),
                verdict: "KEEP".into(),
                reason: "PROVEN".into(),
            };
            with_override(Exit::Refused, "REFUSED: KEEP (PROVEN).".into(), Some(&(signed, holds)))
        };
        let (exit, paragraph) = signed(true);
        assert_eq!(exit, Exit::Done);
        for said in ["OVERRIDE", "R. Geller", "the pilot was agreed", "2026-01-18", "REFUSED: KEEP (PROVEN)"] {
            assert!(paragraph.contains(said), "{paragraph}");
        }
        let (exit, paragraph) = signed(false);
        assert_eq!(exit, Exit::Refused);
        assert!(paragraph.contains("another decision"), "{paragraph}");
    }

    #[test]
    fn a_doubtful_file_is_never_accepted() {
        let on_file = OnFile { schema_version: 1, verdict: "ADOPT".into(), reason: "PROVEN".into(), summary: String::new() };
        assert_eq!(answer(&on_file, Some("edited"), &["ADOPT".into()]).0, Exit::Inconclusive);
    }
}
