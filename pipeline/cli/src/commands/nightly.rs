//! `run --nightly`: reads what is new, looks for drift, trains where that is due, holds champion against challenger, keeps the winner as a
//! candidate, and writes a line of lineage.
//!
//! Every step is whole or not there: stages by the engine, candidates and lineage by a rename. A night that was killed is done again by the
//! next call, with the same answer; nights that were missed are caught up with in one go, because every step looks at all that is new.

mod candidates;
mod lineage;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use anyhow::Context;
use routewright_domain::Timestamp;
use routewright_engine::{Artifact, LockError, Override, RunError, Selection, Table, digest_of};
use routewright_rollout::{Advance, Ask, Look, Promote, Status, Step, Store, deploy};
use routewright_router::Router;
use routewright_table::Decisions;
use serde::{Deserialize, Serialize};
use stages::DriftParams;
use stages::artifacts::{DecisionReport, DecisionTable, DriftReport, DriftSeverity};
use stages::duel::{Duel, DuelSettings, DuelVerdict, duel};
use stages::retune::{RetuneSettings, retune};

pub(crate) use lineage::{Night, Outcome};

use super::gate;
use super::run::{StageArguments, carry_out};
use super::tune;
use super::verify::load;
use crate::deployments;
use crate::exit::{DataError, Exit, exit_of};
use crate::messages::Messages;
use crate::operations::now;
use crate::project::{Project, ProjectArguments, read_json};

/// The table `[nightly]`.
pub(crate) struct NightlyTable;

impl Table for NightlyTable {
    const NAME: &'static str = "nightly";
    type Params = NightlyParams;

    fn check(params: &NightlyParams) -> Result<(), (&'static str, String)> {
        if params.judge_days == 0 {
            return Err(("judge_days", "must be at least 1".to_owned()));
        }
        if !(0.0 <= params.duel.margin_points && params.duel.margin_points < 100.0) {
            return Err(("duel.margin_points", format!("must lie in [0, 100), found {}", params.duel.margin_points)));
        }
        let RetuneSettings { step, lowest, highest } = params.retune;
        if !((0.0..=0.5).contains(&step) && 0.0 <= lowest && lowest <= highest && highest <= 1.0) {
            let found = format!("found {step}, {lowest}, {highest}");
            return Err(("retune", format!("needs a step in [0, 0.5] and limits in [0, 1] in order, {found}")));
        }
        if params.growth.is_nan() || params.growth <= 1.0 {
            return Err(("growth", format!("must be above 1, found {}", params.growth)));
        }
        if params.duel.latency_margin.is_nan() || params.duel.latency_margin < 1.0 {
            return Err(("duel.latency_margin", format!("must be at least 1, found {}", params.duel.latency_margin)));
        }
        Ok(())
    }
}

/// Settings of `[nightly]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NightlyParams {
    /// Newest days that a challenger does not learn from, because it is judged on them.
    pub judge_days: u32,
    /// How champion and challenger are compared on these days.
    pub duel: DuelSettings,
    /// Newest days in a row of outcomes unlike any other that are taken for a bad batch, so that nothing is learnt from them yet; more are a change.
    pub patience_days: u32,
    /// Within which limits the fallback threshold moves.
    pub retune: RetuneSettings,
    /// Whether proven thresholds of a cascade are written to its config.json.
    pub tune_cascade: bool,
    /// Days that pass after a challenger before the next one.
    pub rest_days: u32,
    /// Times the decisions that the router in force learnt from, from which a new one is due while none is being rolled out.
    pub growth: f64,
    /// Challengers that are kept.
    pub keep: usize,
    /// Whether a challenger that won begins a rollout by itself.
    pub promote: bool,
}

impl Default for NightlyParams {
    fn default() -> Self {
        Self {
            judge_days: 5,
            duel: DuelSettings::default(),
            retune: RetuneSettings::default(),
            tune_cascade: false,
            patience_days: 2,
            rest_days: 2,
            growth: 2.0,
            keep: 10,
            promote: false,
        }
    }
}

/// The lock of the nightly run, relative to the project; stages take their own.
const LOCK: &str = "models/.nightly.lock";

/// Decisions with which a first router is trained at least.
const MIN_DECISIONS: u64 = 1_000;

/// Times the decisions of the last try from which another router is tried while the static rules are in force.
const TRY_AGAIN: f64 = 1.25;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Runs a night and tells what it came to.
pub(crate) fn run(at: Option<&str>, arguments: &StageArguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    let moment = match at {
        None => now(),
        Some(text) => {
            let time: jiff::Timestamp = text.parse().map_err(|error| crate::exit::UsageError(format!("`--at {text}`: {error}")))?;
            Timestamp(time.as_microsecond())
        }
    };
    project.require_folder()?;
    let _lock = lock(&project.project)?;
    let nights = lineage::read(&project.project)?;
    let night = match of_today(&nights, moment, arguments, project, messages) {
        Ok(night) => night,
        // What the data did wrong is part of the story; anything else is not of the night's making, and the next call tries again.
        Err(error) if exit_of(&error) == Exit::Data => {
            let mut failed = blank(&nights, moment);
            failed.outcome = Outcome::Failed;
            failed.why = vec![format!("{error:#}")];
            lineage::append(&project.project, &failed)?;
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    let loaded = project.load(&[])?;
    let deployment = roll_out(&loaded, &night, &settings(&loaded)?, moment)?;
    let cascade = if settings(&loaded)?.tune_cascade { tune::every_night(project)? } else { None };
    let night = Night { deployment, cascade, ..night };
    lineage::append(&project.project, &night)?;
    messages.result(&in_words(&night), &night)?;
    Ok(Exit::Done)
}

/// One run at a time, whatever it does.
fn lock(project: &Path) -> anyhow::Result<File> {
    let path = project.join(LOCK);
    let open = || -> std::io::Result<File> {
        std::fs::create_dir_all(project.join("models"))?;
        OpenOptions::new().create(true).truncate(false).write(true).open(&path)
    };
    let file = open().with_context(|| format!("cannot lock `{}`", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RunError::Lock(LockError::Held { holder: None }).into()),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock `{}`", path.display())),
    }
}

/// A night of which nothing is known yet; days and digest are those of the last one.
fn blank(nights: &[Night], at: Timestamp) -> Night {
    let last = nights.last();
    Night {
        schema_version: lineage::LINEAGE_VERSION,
        at: jiff::Timestamp::from_microsecond(at.0).map(|time| time.to_string()).unwrap_or_default(),
        night: last.map(|last| last.night.clone()).unwrap_or_default(),
        days: Vec::new(),
        decisions: last.map(|last| last.decisions).unwrap_or_default(),
        data_digest: last.map(|last| last.data_digest.clone()).unwrap_or_default(),
        outcome: Outcome::NoData,
        why: Vec::new(),
        champion: None,
        challenger: None,
        learnt_from: None,
        drift: None,
        duel: None,
        retuned: None,
        cascade: None,
        verdict: None,
        deployment: None,
    }
}

/// Everything but the line of lineage.
fn of_today(
    nights: &[Night],
    at: Timestamp,
    arguments: &StageArguments,
    project: &ProjectArguments,
    messages: &Messages,
) -> anyhow::Result<Night> {
    let only = |stage: &str| Selection { stages: vec![stage.to_owned()], ..Selection::default() };
    let mut night = blank(nights, at);
    let (loaded, _) = carry_out(only("ingest"), arguments, &[], project, messages)?;
    let params = DriftParams::of(&loaded.config)?;
    let nightly = settings(&loaded)?;
    let decisions = decisions(&loaded)?;
    let days: Vec<(String, u64)> = decisions.days().map(|(day, rows)| (day.to_owned(), rows)).collect();
    let last_known = nights.last().map(|last| last.night.clone()).unwrap_or_default();
    night.data_digest = digest_of(&loaded.folder.join(DecisionTable::PATH))?.unwrap_or_default();
    night.decisions = decisions.n_rows();
    night.days = days.iter().map(|(day, _)| day.clone()).filter(|day| last_known < *day).collect();
    night.night = days.last().map(|(day, _)| day.clone()).unwrap_or(last_known);
    let champion = champion(&loaded, nights)?;
    night.champion = champion.as_ref().map(|router| router.digest().to_owned());
    if nights.last().is_some_and(|last| last.data_digest == night.data_digest && last.outcome != Outcome::Failed) {
        night.why.push("no decisions came since the last night".to_owned());
        return Ok(night);
    }
    if night.decisions < MIN_DECISIONS {
        night.outcome = Outcome::Kept;
        night.why.push(format!("{} decisions are too few to learn from, {MIN_DECISIONS} are needed", night.decisions));
        return Ok(night);
    }
    // The newest days judge: the split of the features follows them.
    let share = train_share(&days, nightly.judge_days);
    let split = [Override { key: "features.train_share".to_owned(), value: format!("{share}"), flag: "run --nightly".to_owned() }];
    carry_out(only("drift"), arguments, &split, project, messages)?;
    let drift: DriftReport = read_json(&loaded.folder.join(DriftReport::PATH), "drift")?;
    night.drift = Some(drift.severity);
    let mut due = due(nights, &night, champion.as_ref(), &drift, &params);
    if let Some((router, learnt)) = champion.as_ref().and_then(|router| Some((router, learnt_until(router)?))) {
        night.retuned = retune(router, &decisions, learnt, &nightly.retune, &nightly.duel).map_err(DataError::of)?;
        due.extend(
            night.retuned.iter().map(|found| format!("a fallback threshold of {} instead of {} is proven better", found.to, found.from)),
        );
    }
    due.extend(grown(&loaded, champion.as_ref(), share * night.decisions as f64, nightly.growth)?);
    if due.is_empty() {
        night.outcome = Outcome::Kept;
        night.why.push(drift.too_short.clone().unwrap_or_else(|| drift.summary.clone()));
        return Ok(night);
    }
    night.why = due;
    if let Some(rest) = rests(nights, &night, nightly.rest_days) {
        night.outcome = Outcome::Kept;
        night.why.push(rest);
        return Ok(night);
    }
    if let Some(odd) = bad_batch(&drift, &night.night, nightly.patience_days) {
        night.outcome = Outcome::Held;
        night.why.push(odd);
        return Ok(night);
    }
    let mut settings = split.to_vec();
    settings.extend(threshold(nights, &night).map(|to| Override {
        key: "train.policy.min_confidence".to_owned(),
        value: format!("{to}"),
        flag: "run --nightly".to_owned(),
    }));
    carry_out(only("export"), arguments, &settings, project, messages)?;
    let challenger = candidates::keep(&loaded.folder)?;
    let decision: DecisionReport = read_json(&loaded.folder.join(DecisionReport::PATH), "decide")?;
    night.challenger = Some(challenger.digest().to_owned());
    night.verdict = Some(verdict_words(&decision));
    let windows = [champion.as_ref(), Some(&challenger)].map(|router| router.and_then(learnt_until));
    let after = windows.into_iter().flatten().max().unwrap_or_default();
    night.learnt_from = challenger
        .manifest()
        .map(|manifest| [manifest.provenance.training_window.first, manifest.provenance.training_window.last].map(date));
    let found = duel(champion.as_ref(), &challenger, &decisions, after..Timestamp(i64::MAX), &nightly.duel).map_err(DataError::of)?;
    night.outcome = if found.verdict.accepts() { Outcome::Candidate } else { Outcome::Rejected };
    night.why.push(duel_words(&found, champion.is_some()));
    night.duel = Some(found);
    let needed: Vec<&str> = [&night.champion, &night.challenger].into_iter().flatten().map(String::as_str).collect();
    candidates::clear(&loaded.folder, nightly.keep, &needed)?;
    Ok(night)
}

/// The settings of `[nightly]`.
fn settings(project: &Project) -> anyhow::Result<NightlyParams> {
    Ok(serde_json::from_value(project.config.table(NightlyTable::NAME).clone())?)
}

/// The tables.
fn decisions(project: &Project) -> anyhow::Result<Decisions> {
    let place = project.folder.join(DecisionTable::PATH);
    Decisions::open(&place).map_err(|error| DataError::of(error).into())
}

/// The router in force: what is deployed, else the last challenger that won; none where the static rules are.
fn champion(project: &Project, nights: &[Night]) -> anyhow::Result<Option<Router>> {
    let store = Store::open(&project.folder);
    if let Some(deployment) = store.load()? {
        // After a rollback the baseline is in force, or the rules.
        let in_force = match deployment.status {
            Status::Deployed => Some(deployment.artifact),
            Status::RolledBack => deployment.baseline,
        };
        return in_force.map(|digest| load(&store.folder(&digest))).transpose();
    }
    let won = nights.iter().rev().find(|night| night.outcome == Outcome::Candidate).and_then(|night| night.challenger.as_deref());
    won.map(|digest| load(&candidates::place(&project.folder, digest))).transpose()
}

/// A router that was a challenger once, wherever it is now.
pub(crate) fn router_of(project: &Path, digest: &str) -> anyhow::Result<Router> {
    let kept = candidates::place(project, digest);
    load(&if kept.is_dir() { kept } else { Store::open(project).folder(digest) })
}

/// Every night on record.
pub(crate) fn nights_of(project: &Path) -> anyhow::Result<Vec<Night>> {
    lineage::read(project)
}

/// Begins the rollout of a challenger that won, where the settings allow it; else looks at the one under way. What it did, in words.
fn roll_out(project: &Project, night: &Night, params: &NightlyParams, now: Timestamp) -> anyhow::Result<Option<String>> {
    let settings = deployments::settings(project)?;
    let won = night.challenger.as_deref().filter(|_| night.outcome == Outcome::Candidate && params.promote);
    let verdict = gate::judge(&project.folder, &settings.accept)?;
    let is_better = night.duel.as_ref().is_some_and(|duel| duel.verdict == DuelVerdict::Better);
    // A rollout that began is finished, unless what would take its place is proven better; and nothing begins that could not go on.
    let stays = match under_way(project)? {
        _ if !verdict.accepted => Some(format!("the challenger stays a candidate: {}", night.verdict.as_deref().unwrap_or("no verdict"))),
        Some(step) if !is_better => Some(format!("the challenger waits for the rollout under way, at {}", step.words())),
        _ => None,
    };
    if let Some(digest) = won.filter(|_| stays.is_none()) {
        let outcomes = deployments::outcomes(&deployments::tasks(project, &[])?);
        let place = candidates::place(&project.folder, digest);
        let ask = Ask { step: Step::Shadow, artifact: Some(&place), force: None };
        let short = &digest[..8.min(digest.len())];
        let look = Look { outcomes: &outcomes, verdict: &verdict, settings: &settings, now };
        let words = match deploy(&Store::open(&project.folder), ask, &look) {
            Ok(deployed) => format!("{short} begins in {}", deployed.stage.words()),
            // A challenger that may not be rolled out stays a candidate.
            Err(error) => format!("{short} is not rolled out: {error}"),
        };
        return Ok(Some(words));
    }
    let promote = if settings.automatic { Promote::WhenReady } else { Promote::Never };
    let (advance, assessment) = deployments::look(project, promote, now)?;
    let done = match advance {
        Advance::Nothing => None,
        Advance::Promoted(step) => Some(format!("promoted to {}", step.words())),
        Advance::Stopped(why) => Some(format!("rolled back: {why}")),
        Advance::Held(why) => Some(format!("held: {why}")),
        Advance::Waited => {
            let unmet = assessment.map(|assessment| assessment.unmet()).unwrap_or_default();
            unmet.first().map(|requirement| format!("waits: {}", requirement.detail))
        }
    };
    Ok([won.and(stays), done].into_iter().flatten().reduce(|one, other| format!("{one}; {other}")))
}

/// Share of the decisions before the days that judge.
fn train_share(days: &[(String, u64)], judge_days: u32) -> f64 {
    let total: u64 = days.iter().map(|(_, rows)| rows).sum();
    let judged: u64 = days.iter().rev().take(judge_days as usize).map(|(_, rows)| rows).sum();
    (1.0 - judged as f64 / total.max(1) as f64).clamp(0.5, 0.99)
}

/// Why a new router is due; empty where none is.
fn due(nights: &[Night], night: &Night, champion: Option<&Router>, drift: &DriftReport, params: &DriftParams) -> Vec<String> {
    let tried = nights.iter().rev().find(|night| night.challenger.is_some());
    let Some(champion) = champion else {
        return match tried {
            None => vec!["there is no learned router yet".to_owned()],
            Some(tried) if TRY_AGAIN * tried.decisions as f64 <= night.decisions as f64 => {
                vec![format!("no learned router is in force, and {} decisions came since one was tried", night.decisions - tried.decisions)]
            }
            Some(_) => Vec::new(),
        };
    };
    let mut why = Vec::new();
    if drift.retrain {
        why.push(drift.summary.clone());
        why.extend(drift.retraining.iter().filter(|gain| gain.helps).map(|gain| {
            format!(
                "forests that know the newest days predict success better (Brier score {:.4} against {:.4})",
                gain.brier_fresh, gain.brier_old
            )
        }));
    }
    let age = learnt_until(champion).and_then(|until| Some(day_number(&night.night)? - until.day()));
    if let Some(age) = age.filter(|age| params.retrain.max_age_days > 0 && i64::from(params.retrain.max_age_days) <= *age) {
        why.push(format!("what the router learnt is {age} days old"));
    }
    why
}

/// Whether a challenger was trained so short ago that the newest days say nothing new yet.
fn rests(nights: &[Night], night: &Night, rest_days: u32) -> Option<String> {
    let tried = nights.iter().rev().find(|night| night.challenger.is_some())?;
    let days = day_number(&night.night)? - day_number(&tried.night)?;
    (days <= i64::from(rest_days)).then(|| format!("the last challenger is {days} days old, the next comes after {rest_days}"))
}

/// The step of a rollout that some of the traffic follows, and not all of it.
fn under_way(project: &Project) -> anyhow::Result<Option<Step>> {
    let deployment = Store::open(&project.folder).load()?.filter(|deployment| deployment.status == Status::Deployed);
    Ok(deployment.map(|deployment| deployment.stage).filter(|stage| *stage != Step::Shadow && *stage != Step::Full))
}

/// Whether there is so much more to learn from than the router in force knew that a new one is due; never while one is being rolled out.
fn grown(project: &Project, champion: Option<&Router>, decisions: f64, growth: f64) -> anyhow::Result<Option<String>> {
    let Some(learnt) = champion.and_then(|router| router.manifest()).map(|manifest| manifest.provenance.training_window.rows) else {
        return Ok(None);
    };
    let under_way = under_way(project)?.is_some();
    let is_due = !under_way && growth * learnt as f64 <= decisions;
    Ok(is_due.then(|| {
        format!("there are {decisions:.0} decisions to learn from, {:.1} times as many as the router knew", decisions / learnt as f64)
    }))
}

/// The fallback threshold that was last proven; none where the settings' own is.
fn threshold(nights: &[Night], night: &Night) -> Option<f64> {
    nights.iter().chain([night]).rev().find_map(|night| night.retuned.as_ref()).map(|found| found.to)
}

/// The newest days, where their outcomes are unlike any other's and too few to be a change.
fn bad_batch(drift: &DriftReport, night: &str, patience_days: u32) -> Option<String> {
    let last = day_number(night)?;
    let in_a_row: Vec<_> = drift
        .odd_days
        .iter()
        .rev()
        .enumerate()
        .take_while(|(back, odd)| day_number(&odd.day) == Some(last - *back as i64))
        .map(|(_, odd)| odd)
        .collect();
    let newest = in_a_row.first()?;
    let is_batch = in_a_row.len() <= patience_days as usize;
    is_batch.then(|| {
        format!(
            "success on {} is {:+.1} points from the usual day ({:.0} times what days differ by): a bad batch until {} days say otherwise",
            newest.day,
            newest.points,
            newest.deviation.abs(),
            patience_days + 1
        )
    })
}

/// The last moment that a router learnt from.
fn learnt_until(router: &Router) -> Option<Timestamp> {
    router.manifest().map(|manifest| manifest.provenance.training_window.last)
}

/// A date as days since 1970.
fn day_number(date: &str) -> Option<i64> {
    let midnight: jiff::Timestamp = format!("{date}T00:00:00Z").parse().ok()?;
    Some(midnight.as_microsecond().div_euclid(DAY))
}

/// A moment as a date.
fn date(time: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(time.0).map(|time| time.strftime("%Y-%m-%d").to_string()).unwrap_or_default()
}

/// The verdict of the line in short.
fn verdict_words(decision: &DecisionReport) -> String {
    let word =
        |value: serde_json::Result<serde_json::Value>| value.ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
    format!("{} ({})", word(serde_json::to_value(decision.verdict)), word(serde_json::to_value(decision.reason)))
}

/// A duel in one sentence.
fn duel_words(found: &Duel, has_champion: bool) -> String {
    let other = if has_champion { "the champion" } else { "the static rules" };
    let on = format!("on {} decisions from {} to {}", found.rows, found.window[0], found.window[1]);
    let differ = format!("{:.0}% chosen differently", 100.0 * found.disagreement);
    match (found.points, found.lower, found.upper) {
        (Some(_), ..) if found.verdict == DuelVerdict::Unknown => {
            let (matches, of_champion) = (found.matches, found.champion_matches);
            format!("challenger and {other} cannot be compared {on}: {differ}, of which {matches} and {of_champion} ran their paths")
        }
        (Some(points), Some(lower), Some(upper)) => {
            format!("challenger against {other}: {points:+.1} points [{lower:+.1}, {upper:+.1}] {on}, {differ}")
        }
        _ if found.rows > 0 && found.disagreement == 0.0 => format!("challenger and {other} choose alike {on}"),
        _ => format!("challenger and {other} cannot be compared {on}: too few, or without propensities"),
    }
}

/// The night for people.
fn in_words(night: &Night) -> String {
    let outcome = match night.outcome {
        Outcome::NoData => "no data",
        Outcome::Failed => "failed",
        Outcome::Kept => "kept",
        Outcome::Held => "held",
        Outcome::Rejected => "rejected",
        Outcome::Candidate => "candidate",
    };
    let mut text = format!("{}  {outcome}\n", night.night);
    night.why.iter().for_each(|why| text.push_str(&format!("  {why}\n")));
    if let Some(verdict) = &night.verdict {
        text.push_str(&format!("  against the static rules: {verdict}\n"));
    }
    if let Some(cascade) = &night.cascade {
        text.push_str(&format!("  thresholds of the cascade: {cascade}\n"));
    }
    if let Some(deployment) = &night.deployment {
        text.push_str(&format!("  deployment: {deployment}\n"));
    }
    if night.drift.is_some_and(|severity| severity > DriftSeverity::None) {
        text.push_str("  `routewright drift` says what moved\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_days_judge() {
        let days: Vec<(String, u64)> = (0..10).map(|day| (format!("2026-01-{:02}", day + 1), 100)).collect();
        assert!((train_share(&days, 3) - 0.7).abs() < 1e-12);
        assert_eq!(train_share(&days[..2], 5), 0.5, "a short log is shared evenly");
    }

    #[test]
    fn dates_are_days() {
        assert_eq!((day_number("1970-01-02"), date(Timestamp(DAY))), (Some(1), "1970-01-02".to_owned()));
        assert_eq!(day_number("soon"), None);
    }

    fn report(odd: &[&str]) -> DriftReport {
        let odd_days: Vec<serde_json::Value> =
            odd.iter().map(|day| serde_json::json!({ "day": day, "points": -20.0, "deviation": -8.0 })).collect();
        let window = serde_json::json!({ "first": "", "last": "", "days": 0, "rows": 0 });
        serde_json::from_value(serde_json::json!({
            "schema_version": 1, "fired": false, "severity": "none", "retrain": false, "reasons": [], "summary": "", "reference": window,
            "current": window, "level": 0.05, "comparisons": 0, "too_short": null, "findings": [], "classifier": null, "tells_apart": [],
            "paths": [], "odd_days": odd_days, "retraining": null, "left_out": []
        }))
        .unwrap()
    }

    #[test]
    fn an_odd_last_night_is_a_bad_batch_and_three_are_a_change() {
        let held = |odd: &[&str]| bad_batch(&report(odd), "2026-02-10", 2).is_some();
        assert!(held(&["2026-02-10"]) && held(&["2026-02-09", "2026-02-10"]) && held(&["2026-02-01", "2026-02-10"]));
        assert!(!held(&["2026-02-08", "2026-02-09", "2026-02-10"]) && !held(&["2026-02-09"]) && !held(&[]));
    }
}
