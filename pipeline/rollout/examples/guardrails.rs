//! How often guardrails stop a harmless rollout in 60 nights, and how soon a harmful one:
//! `cargo run --release -p routewright-rollout --example guardrails [ROLLOUTS]`.
//!
//! Worlds of some thousand tasks a night whose success, latency and volume move from day to day. Beside the guardrails: the z test that is looked
//! at every night as if it were the only look, and the asymptotic confidence sequence of the difference.
#![expect(clippy::print_stdout, reason = "a program that prints a table")]
#![expect(clippy::disallowed_methods, reason = "a program: it takes an argument")]

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Normal, Poisson};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use routewright_domain::Timestamp;
use routewright_ope::stats::{asymptotic_half_width, pooled_z};
use routewright_rollout::{GUARDRAILS, Night, Outcome, Period, RolloutSettings, guardrails, nights};
use routewright_router::Group;

/// Nights of a rollout.
const NIGHTS: i64 = 60;
/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;
/// Nights at one share while it climbs by the week.
const WEEK: i64 = 7;

/// What the artifact does to its group.
#[derive(Clone, Copy, Default)]
struct Harm {
    /// Points of success that it loses.
    success: f64,
    /// Factor of its latencies, less 1.
    slower: f64,
    /// Points of answers that it makes up beyond the baseline's.
    made_up: f64,
    /// Points of its share of the traffic beyond the declared one.
    extra_share: f64,
}

/// A world.
#[derive(Clone, Copy)]
struct World {
    name: &'static str,
    /// Tasks per night, on average.
    tasks: f64,
    /// The baseline's success rate, on average over the days.
    success: f64,
    /// Share per night; climbs by the week where it is 0.
    share: f64,
    harm: Harm,
}

/// What a rollout came to.
struct Rollout {
    /// Nights until any guardrail was breached; none where none was.
    stopped: Option<i64>,
    /// Tasks of the artifact's group with an outcome until then.
    exposed: u64,
    /// Which guardrails were breached at any time.
    breached: [bool; GUARDRAILS.len()],
    /// Night on which the z test of every night said so, at 5 %, one-sided.
    naive: Option<i64>,
    /// Night on which the asymptotic confidence sequence of the difference excluded 0, at success's own level.
    asymptotic: Option<i64>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let n: u64 = std::env::args().nth(1).map_or(Ok(2000), |text| text.parse())?;
    let harmless = |name, tasks, success, share| World { name, tasks, success, share, harm: Harm::default() };
    println!("harmless rollouts: share stopped in {NIGHTS} nights, {n} rollouts each; at most 5 % may be\n");
    println!("{:44} {:>8} {:>9} {:>12} {:>12}   by guardrail", "world", "stopped", "95 %", "z per night", "asymptotic");
    for world in [
        harmless("1,000 a night, 80 %, 10 % of the traffic", 1000.0, 0.8, 0.1),
        harmless("1,000 a night, 80 %, 50 % of the traffic", 1000.0, 0.8, 0.5),
        harmless("1,000 a night, 80 %, climbing by the week", 1000.0, 0.8, 0.0),
        harmless("1,000 a night, 95 %, climbing by the week", 1000.0, 0.95, 0.0),
        harmless("200 a night, 80 %, climbing by the week", 200.0, 0.8, 0.0),
    ] {
        let rollouts = simulate(world, n)?;
        let share = |hit: &dyn Fn(&Rollout) -> bool| rollouts.iter().filter(|rollout| hit(rollout)).count() as f64 / n as f64;
        let stopped = share(&|rollout| rollout.stopped.is_some());
        let half = 1.96 * (stopped * (1.0 - stopped) / n as f64).sqrt();
        let per: Vec<String> =
            (0..GUARDRAILS.len()).map(|at| format!("{} {:.2} %", GUARDRAILS[at].words(), 100.0 * share(&|r| r.breached[at]))).collect();
        println!(
            "{:44} {:6.2} % {:>7.2} pt {:10.1} % {:10.1} %   {}",
            world.name,
            100.0 * stopped,
            100.0 * half,
            100.0 * share(&|rollout| rollout.naive.is_some()),
            100.0 * share(&|rollout| rollout.asymptotic.is_some()),
            per.join(", ")
        );
    }
    let n = n / 2;
    println!("\nharmful rollouts: nights and outcomes of the artifact's group until they are stopped, {n} rollouts each\n");
    println!(
        "{:44} {:>8} {:>16} {:>22} {:>12} {:>16}",
        "world", "stopped", "nights (p50 p90)", "outcomes (p50 p90)", "points lost", "asymptotic nights"
    );
    let harmful = |name, success, share, harm| World { name, tasks: 1000.0, success, share, harm };
    let loses = |points: f64| Harm { success: points, ..Harm::default() };
    for world in [
        harmful("80 %, loses 5 points, 10 % of the traffic", 0.8, 0.1, loses(5.0)),
        harmful("80 %, loses 10 points, 10 % of the traffic", 0.8, 0.1, loses(10.0)),
        harmful("80 %, loses 5 points, 25 % of the traffic", 0.8, 0.25, loses(5.0)),
        harmful("80 %, loses 10 points, 25 % of the traffic", 0.8, 0.25, loses(10.0)),
        harmful("80 %, loses 5 points, 50 % of the traffic", 0.8, 0.5, loses(5.0)),
        harmful("80 %, loses 10 points, 50 % of the traffic", 0.8, 0.5, loses(10.0)),
        harmful("95 %, loses 5 points, 10 % of the traffic", 0.95, 0.1, loses(5.0)),
        harmful("95 %, loses 10 points, 10 % of the traffic", 0.95, 0.1, loses(10.0)),
        harmful("80 %, half as slow again, 10 % of the traffic", 0.8, 0.1, Harm { slower: 0.5, ..Harm::default() }),
        harmful("80 %, makes up 3 points more, 10 %", 0.8, 0.1, Harm { made_up: 3.0, ..Harm::default() }),
        harmful("80 %, gets 12 instead of 10 % of the traffic", 0.8, 0.1, Harm { extra_share: 2.0, ..Harm::default() }),
    ] {
        let rollouts = simulate(world, n)?;
        let stopped = rollouts.iter().filter(|rollout| rollout.stopped.is_some()).count();
        let all = |value: &dyn Fn(&Rollout) -> Option<i64>| -> [String; 2] {
            let mut values: Vec<i64> = rollouts.iter().map(|rollout| value(rollout).unwrap_or(i64::MAX)).collect();
            values.sort_unstable();
            [0.5, 0.9].map(|share| {
                let value = values[((values.len() - 1) as f64 * share) as usize];
                if value == i64::MAX { format!("> {NIGHTS}") } else { value.to_string() }
            })
        };
        let (nights, exposed) = (all(&|rollout| rollout.stopped), all(&|rollout| rollout.stopped.map(|_| rollout.exposed as i64)));
        let exposure = rollouts.iter().map(|rollout| rollout.exposed).sum::<u64>() as f64 / n as f64;
        let asymptotic = all(&|rollout| rollout.asymptotic);
        println!(
            "{:44} {:6.1} % {:>8} {:>7} {:>11} {:>10} {:>12.0} {:>8} {:>7}",
            world.name,
            100.0 * stopped as f64 / n as f64,
            nights[0],
            nights[1],
            exposed[0],
            exposed[1],
            exposure * world.harm.success / 100.0,
            asymptotic[0],
            asymptotic[1]
        );
    }
    Ok(())
}

/// Rollouts of one world, each with its own seed.
fn simulate(world: World, n: u64) -> Result<Vec<Rollout>, rand_distr::NormalError> {
    (0..n).into_par_iter().map(|seed| rollout(world, seed)).collect()
}

/// One rollout of sixty nights.
fn rollout(world: World, seed: u64) -> Result<Rollout, rand_distr::NormalError> {
    let settings = RolloutSettings { holdback: 0.05, ..RolloutSettings::default() };
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (steps, noise) = (Normal::new(0.0, 0.15)?, Normal::new(0.0, 0.6)?);
    let (mut drift, mut speed) = (0.0, 0.0);
    let (mut outcomes, mut periods): (Vec<Outcome>, Vec<Period>) = (Vec::new(), Vec::new());
    // A day without the artifact comes first: shadow.
    for day in -1..NIGHTS {
        // Mean-reverting: success and latency wander, and weekends are quiet.
        drift = 0.8 * drift + steps.sample(&mut rng);
        speed = 0.8 * speed + steps.sample(&mut rng);
        let volume = if day.rem_euclid(7) > 4 { 0.6 } else { 1.0 };
        let share = if day < 0 { 0.0 } else { share_of(world, day, &settings) };
        let odds = (world.success / (1.0 - world.success)).ln() + drift;
        let base = 1.0 / (1.0 + (-odds).exp());
        let n_tasks = Poisson::new(world.tasks * volume).map_or(0.0, |poisson| poisson.sample(&mut rng)) as u64;
        for _ in 0..n_tasks {
            let is_treated = rng.random::<f64>() < share + if share > 0.0 { world.harm.extra_share / 100.0 } else { 0.0 };
            let harm = if is_treated { world.harm } else { Harm::default() };
            let latency = (5.0 + 0.3 * speed + noise.sample(&mut rng)).exp() * (1.0 + harm.slower);
            let mut happens = |rate: f64| rng.random::<f64>() < rate;
            let success = happens(base - harm.success / 100.0);
            outcomes.push(Outcome {
                timestamp: Timestamp(day * DAY + DAY / 2),
                group: if is_treated { Group::Treatment } else { Group::Control },
                success: if happens(0.02) { None } else { Some(success) },
                latency_ms: Some(latency),
                hallucination: Some(happens(0.03 + harm.made_up / 100.0)),
                error: Some(happens(0.02)),
                fallback: is_treated.then(|| happens(0.3)),
            });
        }
        periods.push(Period { from: Timestamp(day * DAY), to: Timestamp((day + 1) * DAY), share });
    }
    // Nights that are complete never change: one pass at the end sees what each night's look saw.
    let mut all = nights(&outcomes, &periods, &settings, Timestamp((NIGHTS + 1) * DAY));
    all.retain(|night| night.day >= 0);
    Ok(judged(&all, &settings))
}

fn share_of(world: World, day: i64, settings: &RolloutSettings) -> f64 {
    if world.share > 0.0 {
        return world.share;
    }
    [0.1, 0.25, 0.5, 0.75].get((day / WEEK) as usize).copied().unwrap_or(1.0 - settings.holdback)
}

/// What the guardrails say of all nights; that a later look sees an earlier breach is what makes one pass enough.
fn judged(all: &[Night], settings: &RolloutSettings) -> Rollout {
    let found = guardrails(all, settings);
    let first = found.iter().filter_map(|guardrail| guardrail.breached_on).min();
    let upto = |night: &&Night| first.is_none_or(|first| night.day <= first);
    let mut breached = [false; GUARDRAILS.len()];
    breached.iter_mut().zip(&found).for_each(|(slot, guardrail)| *slot = guardrail.is_breached());
    let (mut naive, mut asymptotic) = (None, None);
    let (mut hits, mut trials) = ([0.0; 2], [0.0; 2]);
    let (mut weighted, mut spread, mut weights) = (0.0, 0.0, 0.0);
    for night in all {
        let sides = [night.treatment.successes, night.control.successes];
        for (side, count) in sides.iter().enumerate() {
            hits[side] += count.hits as f64;
            trials[side] += count.trials as f64;
        }
        if sides.iter().any(|count| count.trials == 0) {
            continue;
        }
        let (z, p_value) = pooled_z(hits, trials);
        if naive.is_none() && z < 0.0 && p_value / 2.0 < 0.05 {
            naive = Some(night.day + 1);
        }
        // The difference within nights, each night weighing as its precision does.
        let [n1, n0] = sides.map(|count| count.trials as f64);
        let [p1, p0] = sides.map(|count| count.rate().unwrap_or_default());
        let weight = n1 * n0 / (n1 + n0);
        let pooled = (n1 * p1 + n0 * p0) / (n1 + n0);
        weighted += weight * (p1 - p0);
        spread += weight * pooled * (1.0 - pooled);
        weights += weight;
        // Tuned for a week at the canary; two-sided at twice the level is one-sided at the level.
        let half = asymptotic_half_width(spread / weights, weights, 630.0, settings.false_alarms);
        if asymptotic.is_none() && weighted / weights + half < 0.0 {
            asymptotic = Some(night.day + 1);
        }
    }
    Rollout {
        stopped: first.map(|day| day + 1),
        exposed: all.iter().filter(upto).map(|night| night.treatment.successes.trials).sum(),
        breached,
        naive,
        asymptotic,
    }
}
