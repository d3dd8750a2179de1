//! The coverage study of STATISTICS.md, section 7: does the interval that decides cover, does the rule adopt when it should not, do the gates see?
//!
//! `cargo run --release -p routewright-ope --example coverage [REPLICATIONS] [PART]`; 1,000 by default, 200 of the largest logs. PART is one of cells,
//! sessions, adoption, deterministic, verdicts, faults; all by default. Seeded: the same numbers every time.

#![expect(clippy::print_stdout, reason = "an example reports to the terminal")]
#![expect(clippy::disallowed_methods, reason = "an example reads its arguments")]

mod simulation;

use rand::RngExt;
use rayon::prelude::*;
use routewright_domain::Seed;
use routewright_ope::{Confidence, GateName, Identification, Reason, Verdict};
use simulation::{Fault, Judged, SessionKind, World, judge, oracle};

type Failure = Box<dyn std::error::Error>;

const SEED: Seed = Seed(20_260_118);
const EPSILONS: [f64; 3] = [0.01, 0.05, 0.2];
const ROWS: [usize; 3] = [1_000, 10_000, 100_000];

/// What can be asked for alone.
const PARTS: [&str; 6] = ["cells", "sessions", "adoption", "deterministic", "verdicts", "faults"];

/// Logs of 100,000 rows per cell at most.
const MAX_LARGE: u64 = 200;

fn main() -> Result<(), Failure> {
    let replications: u64 = std::env::args().nth(1).map_or(Ok(1_000), |count| count.parse())?;
    let part = std::env::args().nth(2);
    let wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    if !PARTS.into_iter().any(wanted) {
        return Err(format!("no such part, known are {}", PARTS.join(", ")).into());
    }
    println!(
        "{replications} replications per line ({} at 100,000 rows); 5 paths, 40 % disagreement, 90 % baseline\n",
        at_size(replications, 100_000)
    );
    if wanted("cells") {
        coverage(replications)?;
    }
    if wanted("sessions") {
        sticky(replications.min(500))?;
    }
    if wanted("adoption") {
        adoption(replications)?;
    }
    if wanted("deterministic") {
        deterministic()?;
    }
    if wanted("verdicts") {
        verdicts(300)?;
    }
    if wanted("faults") {
        faults(replications.min(300))?;
    }
    Ok(())
}

/// Large logs are judged less often: their cells cost the most and their shares are known well enough.
fn at_size(replications: u64, rows: usize) -> u64 {
    if rows >= 100_000 { replications.min(MAX_LARGE) } else { replications }
}

/// Sessions that share their draw of exploration, or only their user: does the interval still cover?
fn sticky(replications: u64) -> Result<(), Failure> {
    println!(
        "\nsessions (8 % of them hopeless)   rows  coverage by session  by row  | uplift 0: coverage  false ADOPT  false ADOPT by row"
    );
    for (sticky, size) in [(false, 5), (false, 20), (true, 5), (true, 20)] {
        for rows in [2_000, 10_000, 50_000] {
            let sessions = Some(SessionKind { rows: size, sticky, hopeless: 0.08 });
            let base = World { baseline: 0.8, ..World::standard(rows, 0.2, 0.05) };
            let name = |what: &str| format!("sessions {what} {sticky} {size} {rows}");
            let judged = |uplift: f64| judge_all(World { sessions, uplift, ..base }, &name(&uplift.to_string()), replications);
            let (gain, none) = (judged(0.05)?, judged(0.0)?);
            let adopts = |one: &Judged| one.decision.verdict == Verdict::Adopt;
            // Row by row: the point of 5 and the bound of 3, without latency and gates.
            let by_row = |one: &Judged| one.by_row.estimate.value >= 0.05 && one.by_row.estimate.interval.lower > 0.03;
            let covered_by_row = |one: &Judged| {
                let half = Confidence::TWO_SIDED_95.z() / Confidence::ONE_SIDED_95.z();
                let (value, interval) = (one.by_row.estimate.value, one.by_row.estimate.interval);
                value + half * (interval.lower - value) <= 0.05 && 0.05 <= value + half * (interval.upper - value)
            };
            println!(
                "{:>20} of {size:>2} rows {rows:>8} {:>20.3} {:>7.3}  | {:>18.3} {:>12.4} {:>19.4}",
                if sticky { "sticky" } else { "independent draws" },
                share(&gain, |one| one.interval.contains(0.05)),
                share(&gain, covered_by_row),
                share(&none, |one| one.interval.contains(0.0)),
                share(&none, adopts),
                share(&none, by_row),
            );
        }
    }
    Ok(())
}

/// Random worlds: what the product says of their logs against what it would say if it knew the truth.
fn verdicts(worlds: u64) -> Result<(), Failure> {
    let judged: Result<Vec<(Verdict, Verdict, bool)>, String> = (0..worlds)
        .into_par_iter()
        .map(|index| {
            let seed = SEED.derive("verdicts", index);
            let mut rng = seed.rng();
            let mut pick = |values: &[f64]| values[rng.random_range(0..values.len())];
            let disagreement = pick(&[0.2, 0.4, 0.6]);
            let uplift = pick(&[-0.05, 0.0, 0.02, 0.04, 0.08, 0.12]);
            let sticky = pick(&[0.0, 0.0, 1.0]) > 0.0;
            let world = World {
                epsilon: pick(&[0.0, 0.05, 0.2, 0.5]),
                disagreement,
                baseline: 0.8,
                uplift,
                slowness: pick(&[0.9, 1.0, 1.0, 2.0]),
                fidelity: pick(&[0.95, 0.95, 0.95, 0.6]),
                lasts_days: (pick(&[0.0, 0.0, 0.0, 1.0]) > 0.0).then_some(7),
                sessions: sticky.then_some(SessionKind { rows: 5, sticky, hopeless: 0.05 }),
                ..World::standard(pick(&[2_000.0, 10_000.0, 50_000.0]) as usize, 0.0, 0.0)
            };
            let columns = world.log(seed.derive("log", 0)).map_err(|error| error.to_string())?;
            let judged = judge(&world, &columns).map_err(|error| error.to_string())?;
            Ok((oracle(&world).verdict, judged.decision.verdict, judged.decision.reason.is_conclusive()))
        })
        .collect();
    let judged = judged?;
    let all = [Verdict::Adopt, Verdict::Hybrid, Verdict::InvestigateFeatures, Verdict::OptimizeModel, Verdict::CostBenefit, Verdict::Keep];
    println!("\n{worlds} random worlds; rows: verdict with the truth known, columns: verdict from the log (KEEP? is inconclusive)");
    println!("{:>20} {}    KEEP?", "", all.map(|verdict| format!("{:>19}", format!("{verdict:?}"))).join(""));
    for truth in all {
        let count = |verdict: Verdict, conclusive: bool| {
            judged.iter().filter(|one| one.0 == truth && one.1 == verdict && (one.2 == conclusive || verdict != Verdict::Keep)).count()
        };
        let cells = all.map(|verdict| format!("{:>19}", count(verdict, true))).join("");
        println!("{:>20} {cells} {:>8}", format!("{truth:?}"), count(Verdict::Keep, false));
    }
    Ok(())
}

/// Judges many logs of one world, in parallel, in order.
fn judge_all(world: World, name: &str, replications: u64) -> Result<Vec<Judged>, Failure> {
    let judged: Result<Vec<Judged>, String> = (0..replications)
        .into_par_iter()
        .map(|index| {
            let columns = world.log(SEED.derive(name, index)).map_err(|error| error.to_string())?;
            judge(&world, &columns).map_err(|error| error.to_string())
        })
        .collect();
    Ok(judged?)
}

/// A share of replications.
fn share(judged: &[Judged], holds: impl Fn(&Judged) -> bool) -> f64 {
    judged.iter().filter(|one| holds(one)).count() as f64 / judged.len().max(1) as f64
}

/// The nine cells: coverage of the interval, and false adoption at zero uplift.
fn coverage(replications: u64) -> Result<(), Failure> {
    println!(
        "   epsilon    rows  matches  coverage 95 %  lower 95 %  upper 95 %  | uplift 0: coverage  false ADOPT  false HYBRID  a gate of validity fails"
    );
    for epsilon in EPSILONS {
        for rows in ROWS {
            let world = World::standard(rows, epsilon, 0.05);
            let replications = at_size(replications, rows);
            let judged = judge_all(world, &format!("cover {epsilon} {rows}"), replications)?;
            let none = World::standard(rows, epsilon, 0.0);
            let at_zero = judge_all(none, &format!("zero {epsilon} {rows}"), replications)?;
            let matches = judged.iter().map(|one| one.uplift.exploration_matches).sum::<usize>() as f64 / judged.len() as f64;
            println!(
                "{epsilon:>10} {rows:>7} {matches:>8.0} {:>14.3} {:>11.3} {:>11.3}  | {:>18.3} {:>12.4} {:>13.4} {:>25.4}",
                share(&judged, |one| one.interval.contains(world.uplift)),
                share(&judged, |one| one.uplift.estimate.interval.lower <= world.uplift),
                share(&judged, |one| world.uplift <= one.uplift.estimate.interval.upper),
                share(&at_zero, |one| one.interval.contains(0.0)),
                share(&at_zero, |one| one.decision.verdict == Verdict::Adopt),
                share(&at_zero, |one| one.decision.verdict == Verdict::Hybrid),
                share(&at_zero, |one| one.decision.reason == Reason::InvalidLog),
            );
        }
    }
    Ok(())
}

/// How often the rule adopts, by true uplift.
fn adoption(replications: u64) -> Result<(), Failure> {
    println!("\nP(ADOPT) at epsilon 5 %:       0       3       5       8 points");
    for rows in [10_000, 100_000] {
        let replications = at_size(replications, rows);
        let (mut shares, mut without_latency) = (Vec::new(), Vec::new());
        for points in [0, 3, 5, 8] {
            let world = World::standard(rows, 0.05, f64::from(points) / 100.0);
            let judged = judge_all(world, &format!("adopt {rows} {points}"), replications)?;
            shares.push(format!("{:>7.3}", share(&judged, |one| one.decision.verdict == Verdict::Adopt)));
            let wins = |one: &Judged| one.uplift.estimate.value >= 0.05 && one.uplift.estimate.interval.lower > 0.03;
            without_latency.push(format!("{:>7.3}", share(&judged, wins)));
        }
        println!("{rows:>18} rows     {}     by the uplift alone {}", shares.join(" "), without_latency.join(" "));
    }
    Ok(())
}

/// A thousand deterministic logs of random worlds, most of them with a real uplift.
fn deterministic() -> Result<(), Failure> {
    let mut verdicts = std::collections::BTreeMap::new();
    for index in 0..1_000_u32 {
        let part = |step: u32| f64::from(index / step % 10) / 10.0;
        let disagreement = 0.02 + 0.9 * part(1);
        let uplift = (0.2 * part(10)).min(0.5 * disagreement);
        let world = World { disagreement, baseline: 0.6 + 0.15 * part(100), uplift, ..World::standard(2_000, 0.0, 0.0) };
        let columns = world.log(SEED.derive("deterministic", u64::from(index)))?;
        let judged = judge(&world, &columns)?;
        assert!(judged.decision.identification == Identification::NotIdentified, "a deterministic log identifies nothing");
        *verdicts.entry((judged.decision.verdict, judged.decision.reason)).or_insert(0) += 1;
    }
    println!("\n1,000 deterministic logs: {verdicts:?}");
    Ok(())
}

/// How often the gates see what is wrong with a log.
fn faults(replications: u64) -> Result<(), Failure> {
    const SHOWN: [GateName; 6] = [
        GateName::MeanWeight,
        GateName::MeanWeightPerPath,
        GateName::MeanWeightPerSegment,
        GateName::MeanWeightPerDay,
        GateName::ExplorationShare,
        GateName::AaReplay,
    ];
    println!("\nshare of logs that fail ({replications} replications, epsilon 20 %)");
    println!("{:>25} {:>7}  weight  /path   /segm.  /day    share   A/A     any", "fault", "rows");
    for fault in [Fault::None, Fault::UniformPropensities, Fault::ShiftedDay, Fault::MissingFailures, Fault::MissingExploredFailures] {
        for rows in ROWS {
            let world = World { fault, ..World::standard(rows, 0.2, 0.03) };
            let replications = at_size(replications, rows);
            let judged = judge_all(world, &format!("fault {fault:?} {rows}"), replications)?;
            let fails = |name: GateName| share(&judged, |one| one.gates.iter().any(|gate| gate.name == name && !gate.passed));
            let cells: Vec<String> = SHOWN.into_iter().map(|name| format!("{:.3}", fails(name))).collect();
            let any = share(&judged, |one| one.decision.reason == Reason::InvalidLog);
            println!("{:>25} {rows:>7}  {}   {any:.3}", format!("{fault:?}"), cells.join("   "));
        }
    }
    Ok(())
}
