//! `deploy`: gives an artifact its share of the traffic, step by step, and says what the next step waits for.

use std::path::PathBuf;

use anyhow::Context;
use routewright_domain::Timestamp;
use routewright_rollout::{
    Advance, Ask, Assessment, Deployment, Guardrail, GuardrailName, Look, Promote, RolloutSettings, Standing, Status, Step, Store, Verdict,
    assess, date, deploy, rfc3339,
};
use serde::Serialize;

use crate::commands::gate;
use crate::deployments::{candidate, look, outcomes, settings, tasks};
use crate::exit::{Exit, UsageError};
use crate::layout::{Align, aligned, aligned_texts};
use crate::messages::Messages;
use crate::operations::now;
use crate::project::ProjectArguments;

/// Flags of `deploy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// shadow, canary, 25, 50, 75, full, or a share such as 0.25; next for whatever comes next, status to look, gc to tidy up
    #[arg(value_name = "STEP", value_parser = what)]
    what: What,
    /// Folder of the artifact to begin with; models/artifact by default
    #[arg(long, value_name = "DIR")]
    artifact: Option<PathBuf>,
    /// Take the step whatever speaks against it or makes it wait, for a reason that is recorded; no force deploys a damaged artifact
    #[arg(long, value_name = "REASON")]
    force: Option<String>,
    /// With status: print the environment variables of the deployment for a shell, and nothing else
    #[arg(long)]
    env: bool,
    /// Moment of the look (RFC 3339) instead of now
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Timestamp>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Step(Step),
    Next,
    Status,
    Collect,
}

fn what(text: &str) -> Result<What, String> {
    match text {
        "next" => Ok(What::Next),
        "status" => Ok(What::Status),
        "gc" => Ok(What::Collect),
        _ => Step::parse(text)
            .map(What::Step)
            .ok_or_else(|| format!("`{text}` is no step, there are shadow, canary, 25, 50, 75 and full, and next, status and gc")),
    }
}

/// A moment of the command line.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    let instant: jiff::Timestamp = text.parse().map_err(|error| format!("expected a time such as 2026-01-31T02:00:00Z: {error}"))?;
    Ok(Timestamp(instant.as_microsecond()))
}

/// What every answer holds.
#[derive(Serialize)]
struct Answer<'a> {
    schema_version: u32,
    deployment: Option<&'a Deployment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    did: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assessment: Option<&'a Assessment>,
}

/// Looks, or changes the deployment.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    if arguments.env && arguments.what != What::Status {
        return Err(UsageError("`--env` goes with `deploy status`".to_owned()).into());
    }
    let at = arguments.at.unwrap_or_else(now);
    match arguments.what {
        What::Status => status(arguments.env, at, project, messages),
        _ if project.dry_run => status(false, at, project, messages),
        What::Step(step) => take(step, arguments, at, project, messages),
        What::Next => next(at, project, messages),
        What::Collect => collect(project, messages),
    }
}

/// Says where the rollout stands.
fn status(as_environment: bool, at: Timestamp, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    let loaded = project.load(&[])?;
    let store = Store::open(&loaded.folder);
    let Some(deployment) = store.load()? else {
        let answer = Answer { schema_version: 1, deployment: None, did: None, assessment: None };
        let shell = "export AB_TEST_PERCENTAGE=0\nexport ENABLE_NEURAL=false\n";
        let words = "nothing is deployed: the static rules take all traffic; `routewright deploy shadow` begins\n";
        messages.result(if as_environment { shell } else { words }, &answer)?;
        return Ok(Exit::Done);
    };
    if as_environment {
        messages.bytes(deployment.environment().as_bytes())?;
        return Ok(Exit::Done);
    }
    let settings = settings(&loaded)?;
    let tasks = tasks(&loaded, &[])?;
    let verdict = gate::judge(&loaded.folder, &settings.accept)?;
    let artifact = store.verify_kept(&deployment.artifact).map(drop);
    let artifact = artifact.map_err(|error| format!("{:#}", anyhow::Error::from(error)));
    let look = Look { outcomes: &outcomes(&tasks), verdict: &verdict, settings: &settings, now: at };
    let assessment = assess(&deployment, &artifact, &look);
    let text = in_words(&deployment, &assessment, &settings, messages);
    let answer = Answer { schema_version: 1, deployment: Some(&deployment), did: None, assessment: Some(&assessment) };
    messages.result(&text, &answer)?;
    Ok(if assessment.standing == Standing::Breached { Exit::Fired } else { Exit::Done })
}

/// Takes a step.
fn take(step: Step, arguments: &Arguments, at: Timestamp, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    let loaded = project.load(&[])?;
    let settings = settings(&loaded)?;
    let store = Store::open(&loaded.folder);
    let before = store.load()?;
    let artifact = match &arguments.artifact {
        Some(named) => Some(named.clone()),
        None => candidate(&loaded.folder, before.as_ref(), step)?,
    };
    // Less traffic, and shadow, need no evidence: they must not wait for the reading of a log.
    let needs_evidence = before.as_ref().map_or(step > Step::Shadow, |before| before.status == Status::RolledBack || before.stage < step);
    let (seen, verdict) = if needs_evidence {
        (outcomes(&tasks(&loaded, &[])?), gate::judge(&loaded.folder, &settings.accept)?)
    } else {
        (Vec::new(), Verdict::default())
    };
    let ask = Ask { step, artifact: artifact.as_deref(), force: arguments.force.as_deref() };
    let look = Look { outcomes: &seen, verdict: &verdict, settings: &settings, now: at };
    let deployment = deploy(&store, ask, &look)?;
    let text = changed(&deployment);
    messages.result(
        &text,
        &Answer { schema_version: 1, deployment: Some(&deployment), did: Some(text.trim_end().to_owned()), assessment: None },
    )?;
    Ok(Exit::Done)
}

/// Takes the next step if nothing speaks against it, or takes the traffic away if a guardrail is breached.
fn next(at: Timestamp, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    let loaded = project.load(&[])?;
    let (did, assessment) = look(&loaded, Promote::WhenReady, at)?;
    let deployment = Store::open(&loaded.folder).load()?;
    let (exit, words) = match (&did, &assessment) {
        (Advance::Promoted(step), _) => (Exit::Done, format!("promoted to {}", step.words())),
        (Advance::Stopped(why), _) => (Exit::Fired, format!("stopped: {why}; the baseline takes all traffic")),
        (Advance::Held(why), _) => (Exit::Fired, format!("held: {why}; `routewright rollback` takes the traffic away")),
        (Advance::Nothing, None) => (Exit::Done, "nothing is deployed; `routewright deploy shadow` begins".to_owned()),
        (Advance::Nothing, Some(assessment)) if assessment.standing == Standing::RolledBack => {
            (Exit::Done, "the rollout was taken back; `routewright deploy shadow` begins again".to_owned())
        }
        (Advance::Nothing, Some(_)) => (Exit::Done, "the rollout is at its end".to_owned()),
        (Advance::Waited, assessment) => {
            let unmet = assessment.as_ref().map(Assessment::unmet).unwrap_or_default();
            let is_refused = unmet.iter().any(|requirement| requirement.refuses);
            let words = unmet.iter().map(|requirement| requirement.detail.as_str()).collect::<Vec<_>>().join("; ");
            if is_refused { (Exit::Refused, format!("refused: {words}")) } else { (Exit::Inconclusive, format!("waits: {words}")) }
        }
    };
    let answer = Answer { schema_version: 1, deployment: deployment.as_ref(), did: Some(words.clone()), assessment: assessment.as_ref() };
    messages.result(&format!("{words}\n"), &answer)?;
    Ok(exit)
}

/// Removes artifacts that nobody rolls back to any more.
fn collect(project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    let loaded = project.load(&[])?;
    let settings = settings(&loaded)?;
    let store = Store::open(&loaded.folder);
    let _lock = store.lock()?;
    let deployment = store.load()?.context("nothing is deployed, so that nothing is kept")?;
    let gone = store.collect(&deployment, &settings)?;
    let kept = store.retained()?;
    let text = format!("{} removed, {} kept\n", gone.len(), kept.len());
    messages.result(&text, &serde_json::json!({ "schema_version": 1, "removed": gone, "kept": kept }))?;
    Ok(Exit::Done)
}

/// A change in one sentence.
pub(crate) fn changed(deployment: &Deployment) -> String {
    let baseline = deployment.baseline.as_deref().map_or("the static rules".to_owned(), |digest| format!("artifact {}", short(digest)));
    match deployment.status {
        Status::RolledBack => "rolled back: the static rules take all traffic, and the artifact is not asked\n".to_owned(),
        Status::Deployed => format!(
            "artifact {} is at {}, everybody else follows {baseline}; routers follow `models/deployment.json`\n",
            short(&deployment.artifact),
            deployment.stage.words()
        ),
    }
}

fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}

/// The status for people.
fn in_words(deployment: &Deployment, assessment: &Assessment, settings: &RolloutSettings, messages: &Messages) -> String {
    let baseline = deployment.baseline.as_deref().map_or("the static rules".to_owned(), |digest| format!("artifact {}", short(digest)));
    let standing = match assessment.standing {
        Standing::Finished => "at its end".to_owned(),
        Standing::RolledBack => "rolled back; `routewright deploy shadow` begins again".to_owned(),
        Standing::Breached => messages.paint("31", "a guardrail is breached; `routewright rollback` takes the traffic away"),
        Standing::Refused => messages.paint("31", "the next step is refused"),
        Standing::Waits => "waits".to_owned(),
        Standing::Ready => messages.paint("32", "ready: `routewright deploy next` takes the step"),
    };
    let mut head = vec![
        vec!["stage".to_owned(), format!("{} since {}", deployment.stage.words(), rfc3339(deployment.step_began()))],
        vec!["artifact".to_owned(), format!("{}, everybody else follows {baseline}", short(&deployment.artifact))],
        vec!["standing".to_owned(), standing],
    ];
    if let Some(next) = assessment.next {
        head.push(vec!["next step".to_owned(), next.words().to_owned()]);
    }
    if let Some(difference) = assessment.difference {
        let percent = |count: routewright_rollout::Count| format!("{:.1} % of {}", 100.0 * count.rate().unwrap_or_default(), count.trials);
        let point = |bound: f64| if bound.is_finite() { format!("{bound:+.1}") } else { "?".to_owned() };
        let text = format!(
            "{} against {}: [{}, {}] points, at every look",
            percent(difference.treatment),
            percent(difference.control),
            point(difference.points.lower),
            point(difference.points.upper)
        );
        head.push(vec!["success".to_owned(), text]);
    }
    let mut text = aligned_texts(&[], &head);
    if !assessment.requirements.is_empty() {
        text.push_str("\nwhat the next step needs\n");
        let rows: Vec<Vec<String>> = assessment
            .requirements
            .iter()
            .map(|requirement| {
                let mark = if requirement.met { "[x]" } else { "[ ]" };
                vec![format!("  {mark}"), requirement.name.replace('_', " "), requirement.detail.clone()]
            })
            .collect();
        text.push_str(&aligned_texts(&[], &rows));
    }
    if deployment.status == Status::Deployed {
        text.push_str(&format!(
            "\nguardrails: {} complete nights, false alarms at most {} % over all looks\n",
            assessment.nights.len(),
            100.0 * settings.false_alarms
        ));
        let rows: Vec<Vec<String>> = assessment.guardrails.iter().map(|guardrail| row(guardrail, settings)).collect();
        let sides = [Align::Left, Align::Right, Align::Right, Align::Right, Align::Right, Align::Left];
        text.push_str(&aligned(&["  guardrail", "artifact", "baseline", "p", "breached at", ""], &rows, &sides));
    }
    text
}

/// A guardrail as a row.
fn row(guardrail: &Guardrail, settings: &RolloutSettings) -> Vec<String> {
    let rate = |count: routewright_rollout::Count| count.rate().map_or("-".to_owned(), |rate| format!("{:.2} %", 100.0 * rate));
    let baseline = match guardrail.name {
        GuardrailName::Fallbacks => format!("limit {} %", 100.0 * settings.max_fallbacks),
        GuardrailName::SampleRatio => "as declared".to_owned(),
        _ => rate(guardrail.control),
    };
    let state = match guardrail.breached_on {
        Some(day) => format!("breached on {}", date(day)),
        None if guardrail.treatment.trials == 0 => "no data".to_owned(),
        None => "ok".to_owned(),
    };
    vec![
        format!("  {}", guardrail.name.words()),
        rate(guardrail.treatment),
        baseline,
        if guardrail.p_value < 0.001 { format!("{:.1e}", guardrail.p_value) } else { format!("{:.3}", guardrail.p_value) },
        format!("{:.4}", guardrail.level),
        state,
    ]
}
