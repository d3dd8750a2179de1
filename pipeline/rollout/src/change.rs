//! What changes a deployment: a step, a nightly look, a rollback. Each checks, changes a copy, and saves it with one rename.

use std::path::Path;

use routewright_domain::Timestamp;

use crate::assess::{Assessment, Look, Standing, assess, in_words};
use crate::deployment::{Accepted, Action, Configuration, DEPLOYMENT_VERSION, Deployment, Status, short};
use crate::error::RolloutError;
use crate::settings::{OnBreach, RolloutSettings};
use crate::step::Step;
use crate::store::{Retained, Store};
use crate::time::date;

/// What somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask<'a> {
    /// The step.
    pub step: Step,
    /// Folder of the artifact; none goes on with the one that is deployed.
    pub artifact: Option<&'a Path>,
    /// The reason for overriding what speaks against it, or makes it wait.
    pub force: Option<&'a str>,
}

/// A rollback that somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Back<'a> {
    /// Beginning of the digest of a retained artifact, or `static` for the rules; none for the baseline.
    pub to: Option<&'a str>,
    /// Why, for the history.
    pub reason: &'a str,
    /// The reason for returning to an artifact that a guardrail stopped.
    pub force: Option<&'a str>,
}

/// Whether a nightly look may take a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promote {
    /// It may, where the next step is ready.
    WhenReady,
    /// It may not; a breach still acts.
    Never,
}

/// What a nightly look did.
#[derive(Clone, Debug, PartialEq)]
pub enum Advance {
    /// Nothing is deployed, or the rollout is at its end or was taken back.
    Nothing,
    /// The next step waits, or is refused.
    Waited,
    /// The next step was taken.
    Promoted(Step),
    /// A guardrail took all traffic away.
    Stopped(String),
    /// A guardrail is breached, and the settings hold the share.
    Held(String),
}

/// Takes a step: begins a rollout, promotes, or gives traffic back. Smaller steps never wait; no force makes a damaged artifact pass.
///
/// # Errors
/// [`RolloutError`], and nothing has changed.
pub fn deploy(store: &Store, ask: Ask<'_>, look: &Look<'_>) -> Result<Deployment, RolloutError> {
    let &Look { settings, now, .. } = look;
    if ask.force.is_some_and(|reason| reason.trim().is_empty()) {
        return Err(RolloutError::NoReason);
    }
    let _lock = store.lock()?;
    let before = store.load()?;
    let retained = ask.artifact.map(|folder| store.retain(folder)).transpose()?;
    let other = retained.as_ref().filter(|retained| before.as_ref().is_none_or(|before| before.artifact != retained.digest));
    let begins_again = before.as_ref().is_some_and(|before| before.status == Status::RolledBack);
    let mut deployment = match (before, other, retained.as_ref()) {
        (None, None, _) => return Err(RolloutError::NothingDeployed),
        (before, Some(retained), _) => begin(before, retained, settings),
        (Some(before), None, _) if begins_again => resumed(store, before, settings)?,
        (Some(before), None, _) => before,
    };
    let begins = begins_again || other.is_some();
    let forced = ask.force.map(str::to_owned);
    if begins {
        let words = format!("began with artifact {}", short(&deployment.artifact));
        deployment.note(now, Action::Begin, words, if ask.step == Step::Shadow { forced.clone() } else { None });
        // By the time the first step is ready, the line has judged other models.
        accept(&mut deployment, look);
        if ask.step == Step::Shadow {
            return saved(store, deployment, settings);
        }
    }
    take(store, &mut deployment, ask.step, forced, look)?;
    saved(store, deployment, settings)
}

/// A nightly look: acts on a breached guardrail, takes the next step where it is ready and allowed, and says what it saw.
///
/// # Errors
/// [`RolloutError`], and nothing has changed.
pub fn advance(store: &Store, promote: Promote, look: &Look<'_>) -> Result<(Advance, Option<Assessment>), RolloutError> {
    let &Look { settings, now, .. } = look;
    let _lock = store.lock()?;
    let Some(mut deployment) = store.load()? else { return Ok((Advance::Nothing, None)) };
    let assessment = assess(&deployment, &soundness(store, &deployment), look);
    let done = match (assessment.standing, assessment.next, promote) {
        (Standing::Breached, ..) => {
            let breached = assessment.breached().filter_map(|guardrail| Some((guardrail, guardrail.breached_on?)));
            let why = breached.map(in_words).collect::<Vec<_>>().join(", ");
            if settings.on_breach == OnBreach::Rollback {
                fall_back(store, &mut deployment, settings);
                deployment.note(now, Action::Stop, why.clone(), None);
                saved(store, deployment, settings)?;
                Advance::Stopped(why)
            } else {
                Advance::Held(why)
            }
        }
        (Standing::Ready, Some(next), Promote::WhenReady) => {
            promoted(&mut deployment, next, None, look);
            saved(store, deployment, settings)?;
            Advance::Promoted(next)
        }
        (Standing::Finished | Standing::RolledBack, ..) => Advance::Nothing,
        _ => Advance::Waited,
    };
    Ok((done, Some(assessment)))
}

/// Takes the rollout back. Waits for nothing; an artifact that takes traffic is checked first.
///
/// # Errors
/// [`RolloutError`], and nothing has changed.
pub fn roll_back(store: &Store, back: Back<'_>, settings: &RolloutSettings, now: Timestamp) -> Result<Deployment, RolloutError> {
    if back.force.is_some_and(|reason| reason.trim().is_empty()) {
        return Err(RolloutError::NoReason);
    }
    let _lock = store.lock()?;
    let mut deployment = store.load()?.ok_or(RolloutError::NothingDeployed)?;
    match back.to {
        None if deployment.status == Status::RolledBack => return Err(RolloutError::NothingToRollBack),
        None => fall_back(store, &mut deployment, settings),
        Some("static") => rules(&mut deployment, settings),
        Some(prefix) => {
            let digest = find(store, prefix)?;
            if digest == deployment.artifact && deployment.status == Status::Deployed {
                return Err(RolloutError::SameArtifact { artifact: short(&digest) });
            }
            if let Some(event) = deployment.stopped(&digest).filter(|_| back.force.is_none()) {
                return Err(RolloutError::WasStopped { artifact: short(&digest), day: date(event.time.day()), why: event.reason.clone() });
            }
            let retained = store.verify_kept(&digest)?;
            give_back(&mut deployment, retained, settings);
        }
    }
    deployment.note(now, Action::RollBack, back.reason.to_owned(), back.force.map(str::to_owned));
    saved(store, deployment, settings)
}

/// The deployment after another artifact came: in shadow, with what has all traffic now as its baseline.
fn begin(before: Option<Deployment>, retained: &Retained, settings: &RolloutSettings) -> Deployment {
    let (baseline, history) = match before {
        None => (None, Vec::new()),
        Some(before) => {
            let has_all = before.status == Status::Deployed && before.stage == Step::Full;
            let baseline = if has_all { Some(before.artifact) } else { before.baseline };
            // An artifact cannot be compared with itself.
            (baseline.filter(|baseline| *baseline != retained.digest), before.history)
        }
    };
    let mut deployment = Deployment {
        schema_version: DEPLOYMENT_VERSION,
        version: retained.version.clone(),
        deployment_date: Timestamp::default(),
        configuration: Configuration {
            ab_test_percentage: 0.0,
            enable_neural: true,
            enable_rag: false,
            model_path: String::new(),
            vectorstore_path: String::new(),
            baseline_path: None,
        },
        status: Status::Deployed,
        stage: Step::Shadow,
        artifact: retained.digest.clone(),
        models: retained.models.clone(),
        baseline,
        verdict: None,
        history,
    };
    deployment.configure(settings);
    deployment
}

/// The deployment after a rollback, its artifact in shadow again.
fn resumed(store: &Store, mut deployment: Deployment, settings: &RolloutSettings) -> Result<Deployment, RolloutError> {
    store.verify_kept(&deployment.artifact)?;
    deployment.status = Status::Deployed;
    deployment.stage = Step::Shadow;
    deployment.verdict = None;
    deployment.configure(settings);
    Ok(deployment)
}

/// Moves to a step, after everything that it needs.
fn take(store: &Store, deployment: &mut Deployment, step: Step, forced: Option<String>, look: &Look<'_>) -> Result<(), RolloutError> {
    let &Look { settings, now, .. } = look;
    let stage = deployment.stage;
    if step == stage {
        return Err(RolloutError::Already { step });
    }
    if step < stage {
        deployment.stage = step;
        deployment.configure(settings);
        deployment.note(now, Action::Reduce, format!("from {} to {}", stage.words(), step.words()), forced);
        return Ok(());
    }
    store.verify_kept(&deployment.artifact)?;
    if let Some(next) = stage.next().filter(|next| *next != step && forced.is_none()) {
        return Err(RolloutError::Skips { now: stage, next, asked: step });
    }
    let assessment = assess(deployment, &Ok(()), look);
    if forced.is_none() && assessment.standing != Standing::Ready {
        let is_refused = assessment.standing != Standing::Waits;
        return Err(RolloutError::Unmet { step, requirements: assessment.unmet(), is_refused });
    }
    promoted(deployment, step, forced, look);
    Ok(())
}

/// Keeps the gate's verdict with the deployment, where it accepts these very models.
fn accept(deployment: &mut Deployment, look: &Look<'_>) {
    if look.verdict.accepted && look.verdict.models.as_ref() == Some(&deployment.models) {
        deployment.verdict = Some(Accepted { at: look.now, words: look.verdict.words.clone() });
    }
}

/// Puts a larger step into the deployment.
fn promoted(deployment: &mut Deployment, step: Step, forced: Option<String>, look: &Look<'_>) {
    let &Look { settings, now, .. } = look;
    let words = format!("from {} to {}", deployment.stage.words(), step.words());
    accept(deployment, look);
    if let (None, Some(reason)) = (&deployment.verdict, &forced) {
        deployment.verdict = Some(Accepted { at: now, words: format!("forced: {reason}") });
    }
    deployment.stage = step;
    deployment.configure(settings);
    deployment.note(now, Action::Promote, words, forced);
}

/// Gives all traffic to the baseline; to the static rules where there is none, or where it cannot be trusted.
fn fall_back(store: &Store, deployment: &mut Deployment, settings: &RolloutSettings) {
    let baseline = deployment.baseline.as_ref().map(|baseline| store.verify_kept(baseline));
    match baseline {
        Some(Ok(retained)) => give_back(deployment, retained, settings),
        _ => rules(deployment, settings),
    }
}

/// Gives all traffic to the static rules.
fn rules(deployment: &mut Deployment, settings: &RolloutSettings) {
    deployment.status = Status::RolledBack;
    deployment.stage = Step::Shadow;
    deployment.baseline = None;
    deployment.configure(settings);
}

/// Gives an earlier artifact the largest step it ever had, with the baseline it had then.
fn give_back(deployment: &mut Deployment, retained: Retained, settings: &RolloutSettings) {
    let (stage, baseline) = match deployment.best_step(&retained.digest) {
        Some(event) => (event.stage, event.baseline.clone()),
        None => (Step::Shadow, None),
    };
    deployment.status = Status::Deployed;
    (deployment.stage, deployment.baseline) = (stage, baseline);
    (deployment.artifact, deployment.models, deployment.version) = (retained.digest, retained.models, retained.version);
    deployment.verdict = None;
    deployment.configure(settings);
}

/// The retained artifact whose digest begins so.
fn find(store: &Store, prefix: &str) -> Result<String, RolloutError> {
    let retained = store.retained()?;
    let mut fitting = retained.iter().filter(|digest| !prefix.is_empty() && digest.starts_with(prefix));
    match (fitting.next(), fitting.next()) {
        (Some(digest), None) => Ok(digest.clone()),
        _ => {
            let known = retained.iter().map(|digest| short(digest)).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "none".to_owned() } else { known };
            Err(RolloutError::UnknownArtifact { asked: prefix.to_owned(), known })
        }
    }
}

/// Whether the deployed artifact can be trusted.
fn soundness(store: &Store, deployment: &Deployment) -> Result<(), String> {
    store.verify_kept(&deployment.artifact).map(drop).map_err(|error| {
        let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
        std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
    })
}

/// Saves, and removes artifacts that nobody can want any more.
fn saved(store: &Store, deployment: Deployment, settings: &RolloutSettings) -> Result<Deployment, RolloutError> {
    store.save(&deployment)?;
    // Whatever cannot be removed now is removed after the next change; the change itself is done.
    let _ = store.collect(&deployment, settings);
    Ok(deployment)
}
