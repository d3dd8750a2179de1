//! What the next step waits for: one pure look at a deployment and its outcomes.

use routewright_domain::{Interval, Timestamp};
use routewright_ope::stats::{Alternative, OddsEvidence, TwoGroups, odds_ratio_sequence};
use serde::Serialize;

use crate::deployment::{Deployment, Status, short};
use crate::guardrails::{Guardrail, guardrails};
use crate::nights::{Count, Night, Outcome, nights};
use crate::settings::RolloutSettings;
use crate::step::Step;
use crate::time::{DAY, HOUR, date};

/// What the gate says at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the verdict is one of those that are accepted, and may be believed.
    pub accepted: bool,
    /// Whether it proves anything.
    pub conclusive: bool,
    /// SHA-256 of the models that were judged; none where there is no decision.
    pub models: Option<String>,
    /// The verdict in one paragraph.
    pub words: String,
}

/// A look at a rollout: what is known at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look<'a> {
    /// The gateway's tasks, in any order; those of other times are left aside.
    pub outcomes: &'a [Outcome],
    /// What the gate says.
    pub verdict: &'a Verdict,
    /// The settings in force.
    pub settings: &'a RolloutSettings,
    /// The moment.
    pub now: Timestamp,
}

/// Something that the next step needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Requirement {
    /// What: `artifact`, `verdict`, `guardrails`, `stopped`, `days`, `outcomes`, `fresh`, `not_worse`.
    pub name: &'static str,
    /// Whether it is met.
    pub met: bool,
    /// Whether an unmet one speaks against the step; the others only wait.
    pub refuses: bool,
    /// The numbers, in words.
    pub detail: String,
}

/// Where the rollout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The artifact has all traffic it will get.
    Finished,
    /// The rollout was taken back.
    RolledBack,
    /// A guardrail is breached.
    Breached,
    /// Something speaks against the next step.
    Refused,
    /// The next step waits.
    Waits,
    /// The next step may be taken.
    Ready,
}

/// Success of the artifact minus that of the baseline, within nights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Successes of the artifact's group.
    pub treatment: Count,
    /// Successes of the baseline's group.
    pub control: Count,
    /// Bounds in points at the baseline's rate, each of which holds at all looks together but for `harm_risk`.
    pub points: Interval,
}

/// One look.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assessment {
    /// Where the rollout stands.
    pub standing: Standing,
    /// The next step; none at the last, and after a rollback.
    pub next: Option<Step>,
    /// What the next step needs.
    pub requirements: Vec<Requirement>,
    /// The guardrails.
    pub guardrails: Vec<Guardrail>,
    /// Success against the baseline; none while no night has outcomes in both groups.
    pub difference: Option<Difference>,
    /// Complete nights that count as evidence.
    pub nights: Vec<Night>,
    /// The newest outcome.
    pub newest: Option<Timestamp>,
}

impl Assessment {
    /// What is not met.
    pub fn unmet(&self) -> Vec<Requirement> {
        self.requirements.iter().filter(|requirement| !requirement.met).cloned().collect()
    }

    /// Guardrails that are breached.
    pub fn breached(&self) -> impl Iterator<Item = &Guardrail> {
        self.guardrails.iter().filter(|guardrail| guardrail.is_breached())
    }
}

/// Looks at a deployment. `artifact`: whether its artifact can be trusted, else what is wrong with it.
pub fn assess(deployment: &Deployment, artifact: &Result<(), String>, look: &Look<'_>) -> Assessment {
    let &Look { outcomes, verdict, settings, now } = look;
    let periods = deployment.periods(settings);
    let nights = nights(outcomes, &periods, settings, now);
    let guardrails = guardrails(&nights, settings);
    let newest = outcomes.iter().map(|outcome| outcome.timestamp).filter(|time| *time <= now).max();
    let next = if deployment.status == Status::RolledBack { None } else { deployment.stage.next() };
    let requirements = next.map_or_else(Vec::new, |_| {
        let latest: Vec<Night> = nights.iter().filter(|night| night.period + 1 == periods.len()).copied().collect();
        let mut requirements = vec![
            sound(artifact),
            accepted(deployment, verdict),
            no_breach(&guardrails),
            never_stopped(deployment),
            days(deployment, settings, now),
            enough_outcomes(deployment, &latest, settings),
            fresh(newest, settings, now),
        ];
        if deployment.stage > Step::Shadow {
            requirements.push(not_worse(&nights, settings));
        }
        requirements
    });
    let unmet = || requirements.iter().filter(|requirement| !requirement.met);
    let standing = if deployment.status == Status::RolledBack {
        Standing::RolledBack
    } else if guardrails.iter().any(Guardrail::is_breached) {
        Standing::Breached
    } else if next.is_none() {
        Standing::Finished
    } else if unmet().any(|requirement| requirement.refuses) {
        Standing::Refused
    } else if unmet().next().is_some() {
        Standing::Waits
    } else {
        Standing::Ready
    };
    let difference = difference(&nights, settings);
    Assessment { standing, next, requirements, guardrails, difference, nights, newest }
}

fn sound(artifact: &Result<(), String>) -> Requirement {
    let detail = match artifact {
        Ok(()) => "checksums, schema and golden decisions agree".to_owned(),
        Err(why) => format!("the artifact cannot be trusted: {why}"),
    };
    Requirement { name: "artifact", met: artifact.is_ok(), refuses: true, detail }
}

/// The gate's verdict on these very models. Where it has judged others since, or data came that it does not know, the one under which the rollout
/// began or the artifact was given traffic.
fn accepted(deployment: &Deployment, verdict: &Verdict) -> Requirement {
    let is_about_it = verdict.models.as_ref() == Some(&deployment.models);
    // What is proven of these models now takes the place of what was said then.
    let of_then = deployment.verdict.as_ref().filter(|_| !(is_about_it && verdict.conclusive));
    let (met, refuses, detail) = match of_then {
        Some(accepted) => (true, false, format!("on {}: {}", date(accepted.at.day()), accepted.words)),
        None if is_about_it => (verdict.accepted, verdict.conclusive, verdict.words.clone()),
        None if verdict.models.is_some() => {
            (false, false, "the decision is about other models than this artifact's; `routewright run` judges and packs them".to_owned())
        }
        None => (false, false, format!("no verdict: {}", verdict.words)),
    };
    Requirement { name: "verdict", met, refuses, detail }
}

fn no_breach(guardrails: &[Guardrail]) -> Requirement {
    let breached: Vec<String> = guardrails.iter().filter_map(|guardrail| Some((guardrail, guardrail.breached_on?))).map(in_words).collect();
    let met = breached.is_empty();
    let detail = if met { "none is breached".to_owned() } else { breached.join(", ") };
    Requirement { name: "guardrails", met, refuses: true, detail }
}

/// A breached guardrail in words.
pub(crate) fn in_words((guardrail, day): (&Guardrail, i64)) -> String {
    format!("{} breached on {} (p = {:.1e})", guardrail.name.words(), date(day), guardrail.p_value)
}

fn never_stopped(deployment: &Deployment) -> Requirement {
    let stopped = deployment.stopped(&deployment.artifact);
    let detail = stopped.map_or_else(
        || "no guardrail stopped this artifact before".to_owned(),
        |event| format!("artifact {} was stopped on {}: {}", short(&deployment.artifact), date(event.time.day()), event.reason),
    );
    Requirement { name: "stopped", met: stopped.is_none(), refuses: true, detail }
}

fn days(deployment: &Deployment, settings: &RolloutSettings, now: Timestamp) -> Requirement {
    let days = now.0.saturating_sub(deployment.step_began().0) as f64 / DAY as f64;
    let met = settings.min_days <= days;
    let detail = format!("{days:.1} days at {}, {} are needed", deployment.stage.words(), settings.min_days);
    Requirement { name: "days", met, refuses: false, detail }
}

fn enough_outcomes(deployment: &Deployment, latest: &[Night], settings: &RolloutSettings) -> Requirement {
    let sum = |group: fn(&Night) -> Count| latest.iter().map(group).fold(Count::default(), Count::plus).trials;
    let (treatment, control) = (sum(|night| night.treatment.successes), sum(|night| night.control.successes));
    let needed = settings.min_outcomes;
    let met = needed <= control && (deployment.stage == Step::Shadow || needed <= treatment);
    let detail = match deployment.stage {
        Step::Shadow => format!("{control} outcomes of complete nights were collected, {needed} are needed"),
        _ => format!("{treatment} outcomes of the artifact and {control} of the baseline at this step, {needed} of each are needed"),
    };
    Requirement { name: "outcomes", met, refuses: false, detail }
}

fn fresh(newest: Option<Timestamp>, settings: &RolloutSettings, now: Timestamp) -> Requirement {
    let hours = newest.map(|newest| now.0.saturating_sub(newest.0) as f64 / HOUR);
    let met = hours.is_some_and(|hours| hours <= settings.max_age_hours);
    let detail = hours.map_or_else(
        || "the gateway's log holds no task; is it logged, and ingested?".to_owned(),
        |hours| format!("the newest task is {hours:.1} hours old, at most {} are allowed", settings.max_age_hours),
    );
    Requirement { name: "fresh", met, refuses: false, detail }
}

/// The nights' successes as tables.
fn tables(nights: &[Night]) -> Vec<TwoGroups> {
    let of = |night: &Night| {
        let (treatment, control) = (night.treatment.successes, night.control.successes);
        TwoGroups { hits: [treatment.hits, control.hits], trials: [treatment.trials, control.trials] }
    };
    nights.iter().map(of).filter(|table| !table.trials.contains(&0)).collect()
}

/// Successes of both groups over nights with both.
fn sums(tables: &[TwoGroups]) -> [Count; 2] {
    [0, 1].map(|side| {
        tables.iter().fold(Count::default(), |sum, table| sum.plus(Count { hits: table.hits[side], trials: table.trials[side] }))
    })
}

/// Success rates that odds can be made of: half a success away from 0 and 1.
fn inner(count: Count) -> f64 {
    (count.hits as f64 + 0.5) / (count.trials as f64 + 1.0)
}

fn log_odds(rate: f64) -> f64 {
    (rate / (1.0 - rate)).ln()
}

/// Whether the artifact is proven not to be worse by `harm_points` at the baseline's rate.
fn not_worse(nights: &[Night], settings: &RolloutSettings) -> Requirement {
    let tables = tables(nights);
    let [treatment, control] = sums(&tables);
    let harm = settings.harm_points / 100.0;
    let base = inner(control);
    let at_stake = (base - harm).max(harm.min(base) / 2.0);
    let mut evidence = OddsEvidence::new(log_odds(at_stake) - log_odds(base), Alternative::Higher);
    tables.iter().for_each(|table| evidence.add_groups(*table));
    let met = evidence.refutes(settings.harm_risk);
    let needed = -settings.harm_risk.ln();
    let detail = if tables.is_empty() {
        "no complete night has outcomes of both groups".to_owned()
    } else {
        let pace = evidence.ln() / tables.len() as f64;
        let more = ((needed - evidence.ln()) / pace).ceil();
        let wait = match (met, more.is_finite() && 0.0 < pace && more < 1000.0) {
            (true, _) => "which proves it".to_owned(),
            (false, true) => format!("not enough; about {more:.0} more nights at the present pace"),
            (false, false) => "not enough, and more of the same would not prove it".to_owned(),
        };
        format!(
            "success {:.1} % of {} against {:.1} % of {} must prove the artifact less than {} points worse: p = {:.2e} at {}, {wait}",
            100.0 * treatment.rate().unwrap_or_default(),
            treatment.trials,
            100.0 * control.rate().unwrap_or_default(),
            control.trials,
            settings.harm_points,
            (-evidence.ln_peak()).exp().min(1.0),
            settings.harm_risk
        )
    };
    Requirement { name: "not_worse", met, refuses: false, detail }
}

/// Success against the baseline, with bounds for people; the requirement needs one test, the bounds forty.
pub(crate) fn difference(nights: &[Night], settings: &RolloutSettings) -> Option<Difference> {
    let tables = tables(nights);
    if tables.is_empty() {
        return None;
    }
    let [treatment, control] = sums(&tables);
    let base = inner(control);
    let [lower, upper] = odds_ratio_sequence(&tables, settings.harm_risk).map(|bound| {
        let odds = log_odds(base) + bound;
        let rate = if odds > 0.0 { 1.0 / (1.0 + (-odds).exp()) } else { odds.exp() / (1.0 + odds.exp()) };
        100.0 * (rate - base)
    });
    Some(Difference { treatment, control, points: Interval { lower, upper } })
}
