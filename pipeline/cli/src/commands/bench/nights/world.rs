//! The world of `bench nights`: what is asked on a day, what every path would give, what is deployed, and what the log says of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use anyhow::Context;
use rand::RngExt;
use routewright_domain::{Arm, Decision, Seed};
use routewright_generate::{GeneratedDecision, World, WorldSettings};
use routewright_rollout::{Status, Store};
use routewright_router::{Request, Router};
use routewright_table::{Decisions, IngestPlaces, IngestSettings, ingest, known_at_decision};
use serde::Serialize;
use serde_json::{Value, json};

use crate::commands::nightly::router_of;
use crate::commands::verify::load;

/// Share of the decisions that take a path drawn evenly.
const EPSILON: f64 = 0.2;

/// The path that has an outage, and the share of its successes that it loses.
const BROKEN: (&str, f64) = ("DIRECT_TOOL", 0.4);

/// The path that gets worse for good, and the share of its successes that it loses.
const WORSE: (&str, f64) = ("REASONING", 0.25);

/// Share of the outcomes of a poisoned night that are written the wrong way round.
const POISONED: f64 = 0.35;

/// Moment of the night at which the nightly run begins, UTC.
const NIGHT: &str = "03:17:00Z";

/// What happens on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Event {
    /// A path fails often, for some days.
    Outage,
    /// Another path fails more often from now on.
    Worse,
    /// Outcomes are written the wrong way round.
    Poison,
    /// The log comes a day late.
    NoData,
    /// The nightly run is killed, and started again.
    Kill,
}

impl Event {
    /// What happens on a day of so many.
    fn on(day: u32, n_days: u32) -> Vec<Self> {
        let at = |share: f64| (share * f64::from(n_days)) as u32;
        let mut events = Vec::new();
        if (at(0.40)..at(0.52)).contains(&day) {
            events.push(Self::Outage);
        }
        if at(0.77) <= day {
            events.push(Self::Worse);
        }
        for (event, share) in [(Self::Poison, 0.63), (Self::NoData, 0.55), (Self::Kill, 0.70)] {
            if day == at(share) {
                events.push(event);
            }
        }
        events
    }
}

/// A day as it was.
pub(super) struct Day {
    pub date: String,
    pub file: String,
    pub events: Vec<Event>,
    pub log: Vec<u8>,
    /// Share of the traffic that followed the deployed artifact.
    pub share: f64,
    /// Mean true probability of success.
    pub static_success: f64,
    pub served_success: f64,
    pub best_success: f64,
}

/// The world.
pub(super) struct Nights {
    world: World,
    n_nights: u32,
    seed: Seed,
}

/// A question.
struct Asked {
    truth: GeneratedDecision,
    logged: Decision,
    line: Value,
}

/// What takes the traffic.
#[derive(Default)]
struct Served {
    share: f64,
    artifact: Option<Router>,
    baseline: Option<Router>,
}

impl Served {
    /// What the deployment on file says.
    fn of(project: &Path) -> anyhow::Result<Self> {
        let Some(deployment) = Store::open(project).load()? else { return Ok(Self::default()) };
        let configuration = &deployment.configuration;
        let baseline = configuration.baseline_path.as_ref().map(|place| load(&project.join(place))).transpose()?;
        let is_deployed = deployment.status == Status::Deployed && !configuration.model_path.is_empty();
        let artifact = if is_deployed { Some(load(&project.join(&configuration.model_path))?) } else { None };
        Ok(Self { share: if artifact.is_some() { configuration.ab_test_percentage } else { 0.0 }, artifact, baseline })
    }
}

impl Nights {
    /// Draws the world.
    pub(super) fn new(n_nights: u32, per_day: u64, uplift_points: f64, seed: Seed) -> anyhow::Result<Self> {
        let settings = WorldSettings {
            n_decisions: per_day * u64::from(n_nights),
            n_days: n_nights,
            epsilon: EPSILON,
            uplift_points,
            drift: 0.5,
            dirt: 0.0,
            ..WorldSettings::default()
        };
        Ok(Self { world: World::new(&settings, seed)?, n_nights, seed })
    }

    /// Number of nights.
    pub(super) fn n_nights(&self) -> u32 {
        self.n_nights
    }

    /// When a night is run: early on the next day.
    pub(super) fn moment(&self, day: u32) -> String {
        let next = self.world.date(day).saturating_add(jiff::Span::new().days(1));
        format!("{next}T{NIGHT}")
    }

    /// True probability of success per path.
    fn probabilities(&self, decision: &GeneratedDecision, events: &[Event]) -> Vec<f64> {
        let mut probabilities = decision.success_probability.clone();
        for (event, (path, lost)) in [(Event::Outage, BROKEN), (Event::Worse, WORSE)] {
            if let Some(arm) = self.world.paths().arm(path).filter(|_| events.contains(&event)) {
                probabilities[arm.index()] *= 1.0 - lost;
            }
        }
        probabilities
    }

    /// The path that a router takes.
    fn choice(&self, router: Option<&Router>, asked: &Asked) -> Arm {
        let chosen = router.and_then(|router| self.world.paths().arm(router.route(&Request::from(&asked.logged)).path?));
        chosen.unwrap_or(asked.truth.static_arm)
    }

    /// What is asked on a day: as the world knows it, as the log's format reads it, and its line.
    fn asked(&self, day: u32) -> anyhow::Result<Vec<Asked>> {
        let mut log = Vec::new();
        self.world.write_day(day, &mut log, None::<&mut Vec<u8>>)?;
        let folder = tempfile::tempdir()?;
        let place = folder.path().join(self.world.file_name(day));
        std::fs::write(&place, &log)?;
        let [decisions, layers, quarantine] = ["decisions", "layers", "quarantine"].map(|name| folder.path().join(name));
        let places = IngestPlaces { decisions, layers, quarantine };
        ingest(&[place], &IngestSettings::default(), &places, &|_, _| {})?;
        let mut logged: BTreeMap<String, Decision> = BTreeMap::new();
        for of_day in Decisions::open(&places.decisions)?.iter() {
            for mut decision in of_day? {
                decision.extras.retain(|key, _| known_at_decision(key));
                logged.insert(decision.trace_id.clone(), decision);
            }
        }
        let lines = log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        self.world
            .rows_of_day(day)
            .zip(lines)
            .map(|(row, line)| {
                let truth = self.world.decision(row);
                let logged = logged.remove(&truth.trace_id).context("a generated line was rejected")?;
                Ok(Asked { truth, logged, line: serde_json::from_slice(line).context("a generated line is not JSON")? })
            })
            .collect()
    }

    /// A day under what is deployed.
    pub(super) fn day(&self, day: u32, project: &Path) -> anyhow::Result<Day> {
        let events = Event::on(day, self.n_nights);
        let served = Served::of(project)?;
        let asked = self.asked(day)?;
        let n = asked.len() as f64;
        let (mut log, mut sums) = (Vec::new(), [0.0; 3]);
        for one in asked {
            let learned = self.choice(served.artifact.as_ref(), &one);
            let base = self.choice(served.baseline.as_ref(), &one);
            let Asked { truth: decision, mut line, .. } = one;
            let probabilities = self.probabilities(&decision, &events);
            let n_paths = probabilities.len() as f64;
            let share_of = |arm: Arm| {
                let follows = |own: Arm, share: f64| if own == arm { share } else { 0.0 };
                EPSILON / n_paths + (1.0 - EPSILON) * (follows(learned, served.share) + follows(base, 1.0 - served.share))
            };
            let shares: Vec<f64> = (0..probabilities.len()).map(|arm| share_of(Arm(arm as u16))).collect();
            let unit = line["session_id"].as_str().unwrap_or_default().to_owned();
            let treated = self.seed.derive(&unit, 0).rng().random::<f64>() < served.share;
            let mut luck = self.seed.derive("night", decision.index).rng();
            let explored = luck.random::<f64>() < EPSILON;
            let drawn = Arm((luck.random::<f64>() * n_paths) as u16);
            let arm = if explored {
                drawn
            } else if treated {
                learned
            } else {
                base
            };
            let success = luck.random::<f64>() < probabilities[arm.index()];
            let poisoned = events.contains(&Event::Poison) && luck.random::<f64>() < POISONED;
            sums[0] += probabilities[decision.static_arm.index()] / n;
            sums[1] += shares.iter().zip(&probabilities).map(|(share, probability)| share * probability).sum::<f64>() / n;
            sums[2] += probabilities.iter().copied().fold(0.0, f64::max) / n;
            let paths = self.world.paths();
            let routing = &mut line["routing_decision"];
            routing["execution_path"] = json!(paths.name(arm));
            routing["propensity"] = json!(shares[arm.index()]);
            routing["propensities"] =
                Value::Object(paths.names().iter().zip(&shares).map(|(name, share)| (name.clone(), json!(share))).collect());
            routing["explored"] = json!(explored);
            routing["policy_id"] = json!("nightly");
            line["execution_outcome"]["success"] = json!(success != poisoned);
            line["execution_outcome"]["latency_ms"] = json!(decision.latency_ms[arm.index()]);
            if served.artifact.is_some() {
                line["ab_test_group"] = json!(if treated { "treatment" } else { "control" });
                line["method"] = json!(if treated { "ml" } else { "rule-based" });
            }
            serde_json::to_writer(&mut log, &line)?;
            log.push(b'\n');
        }
        let [static_success, served_success, best_success] = sums;
        Ok(Day {
            date: self.world.date(day).to_string(),
            file: self.world.file_name(day),
            events,
            log,
            share: served.share,
            static_success,
            served_success,
            best_success,
        })
    }

    /// True success of a challenger less that of the champion on some days, in points; a champion that is not there is the static router.
    pub(super) fn true_points(
        &self,
        challenger: &str,
        champion: Option<&str>,
        days: Range<u32>,
        project: &Path,
    ) -> anyhow::Result<Option<f64>> {
        let challenger = router_of(project, challenger)?;
        let champion = champion.map(|digest| router_of(project, digest)).transpose()?;
        let (mut sum, mut n) = (0.0, 0.0);
        for day in days {
            let events = Event::on(day, self.n_nights);
            for asked in self.asked(day)? {
                let probabilities = self.probabilities(&asked.truth, &events);
                let [one, other] = [Some(&challenger), champion.as_ref()].map(|router| self.choice(router, &asked));
                sum += probabilities[one.index()] - probabilities[other.index()];
                n += 1.0;
            }
        }
        Ok((n > 0.0).then(|| 100.0 * sum / n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_happens_once_in_sixty_nights() {
        let on = |event: Event| (0..60).filter(|day| Event::on(*day, 60).contains(&event)).count();
        assert_eq!([on(Event::Poison), on(Event::NoData), on(Event::Kill), on(Event::Outage), on(Event::Worse)], [1, 1, 1, 7, 14]);
    }

    #[test]
    fn what_nothing_is_deployed_for_is_the_static_router_with_exploration() {
        let nights = Nights::new(4, 100, 8.0, Seed(1)).unwrap();
        let empty = tempfile::tempdir().unwrap();
        let day = nights.day(0, empty.path()).unwrap();
        let text = String::from_utf8(day.log).unwrap();
        let explored = text.lines().filter(|line| line.contains("\"explored\":true")).count() as f64 / text.lines().count() as f64;
        assert!((0.05..0.4).contains(&explored), "{explored}");
        assert!(day.static_success < day.best_success && day.served_success < day.static_success);
    }
}
