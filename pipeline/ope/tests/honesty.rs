//! The coverage study in small: a few cells, few replications, fixed seeds. The whole study is `examples/coverage`.

#[path = "../examples/coverage/simulation.rs"]
mod simulation;

use routewright_domain::Seed;
use routewright_ope::{GateName, Identification, Reason, Verdict};
use simulation::{Fault, Judged, SessionKind, World, judge, oracle};

#[expect(clippy::unwrap_used, reason = "a test: a world that gives no log is a failure")]
fn judge_all(world: World, replications: u64) -> Vec<Judged> {
    (0..replications).map(|index| judge(&world, &world.log(Seed(3).derive("honesty", index)).unwrap()).unwrap()).collect()
}

/// A tenth of all failures missing moves weights too little to be seen in a small test; `examples/coverage` measures from where on it is.
#[test]
fn a_tenth_of_failures_missing_never_leads_to_adoption_without_gain() {
    let world = World { fault: Fault::MissingFailures, ..World::standard(5_000, 0.2, 0.0) };
    assert!(judge_all(world, 50).iter().all(|one| one.decision.verdict != Verdict::Adopt));
}

/// With coverage .95, fewer than 180 of 200 happen once in 600; the seed is fixed.
#[test]
fn the_interval_that_decides_covers() {
    for (rows, epsilon) in [(1_000, 0.05), (1_000, 0.2), (5_000, 0.2)] {
        let judged = judge_all(World::standard(rows, epsilon, 0.05), 200);
        let covered = judged.iter().filter(|one| one.interval.contains(0.05)).count();
        assert!(covered >= 180, "{rows} rows, epsilon {epsilon}: {covered} of 200");
    }
}

#[test]
fn nothing_is_adopted_where_nothing_is_gained() {
    for (rows, epsilon) in [(1_000, 0.05), (1_000, 0.2), (5_000, 0.2)] {
        let judged = judge_all(World::standard(rows, epsilon, 0.0), 200);
        let few = judged.iter().filter(|one| one.uplift.exploration_matches < 10);
        assert!(few.clone().all(|one| !one.decision.reason.is_conclusive()), "nothing is proven from fewer than 10 matches");
        assert!(judged.iter().filter(|one| one.decision.verdict == Verdict::Adopt).count() <= 2, "{rows} rows, epsilon {epsilon}");
    }
}

#[test]
fn a_large_gain_on_a_large_log_is_adopted() {
    let judged = judge_all(World::standard(100_000, 0.2, 0.08), 3);
    assert!(judged.iter().all(|one| one.decision.verdict == Verdict::Adopt));
}

#[test]
fn a_deterministic_log_is_never_adopted() {
    for judged in judge_all(World { disagreement: 0.5, baseline: 0.7, ..World::standard(2_000, 0.0, 0.2) }, 50) {
        assert_eq!((judged.decision.verdict, judged.decision.reason), (Verdict::Keep, Reason::NotIdentified));
        assert_eq!(judged.decision.identification, Identification::NotIdentified);
    }
}

#[test]
fn wrong_propensities_a_shifted_day_and_missing_failures_are_seen() {
    for (fault, rows, replications) in
        [(Fault::UniformPropensities, 10_000, 20), (Fault::ShiftedDay, 10_000, 20), (Fault::MissingExploredFailures, 100_000, 2)]
    {
        let judged = judge_all(World { fault, ..World::standard(rows, 0.2, 0.05) }, replications);
        assert!(judged.iter().all(|one| one.decision.reason == Reason::InvalidLog), "{fault:?}");
        assert!(judged.iter().all(|one| one.gates.iter().any(|gate| gate.name == GateName::MeanWeight && !gate.passed)), "{fault:?}");
    }
}

/// The gates of validity have an error of about 1.6 % together; more than 12 of 200 happen once in 2,000.
#[test]
fn a_sound_log_passes_the_gates() {
    for (rows, epsilon) in [(1_000, 0.01), (1_000, 0.2), (5_000, 0.05)] {
        let judged = judge_all(World::standard(rows, epsilon, 0.03), 200);
        let failed = judged.iter().filter(|one| one.decision.reason == Reason::InvalidLog).count();
        assert!(failed <= 12, "{rows} rows, epsilon {epsilon}: {failed} of 200");
    }
}

/// Sessions of twenty decisions that share their draw of exploration and, one in twelve, fail as a whole: counted row by row such a log covers in
/// far less than nine of ten cases.
#[test]
fn sticky_exploration_is_seen_and_the_interval_still_covers() {
    let sessions = Some(SessionKind { rows: 20, sticky: true, hopeless: 0.08 });
    for (rows, uplift) in [(10_000, 0.0), (20_000, 0.05)] {
        let world = World { sessions, baseline: 0.8, ..World::standard(rows, 0.2, uplift) };
        let judged = judge_all(world, 100);
        let seen = |one: &Judged| {
            one.gates.iter().any(|gate| gate.name == GateName::ExplorationDependence && gate.detail.contains("once per session"))
        };
        assert!(judged.iter().all(seen));
        let covered = judged.iter().filter(|one| one.interval.contains(uplift)).count();
        assert!(covered >= 90, "{rows} rows: {covered} of 100");
        assert!(uplift > 0.0 || judged.iter().all(|one| one.decision.verdict != Verdict::Adopt));
    }
}

#[test]
fn somebody_who_knows_the_truth_is_told_every_verdict() {
    let standard = |uplift| World::standard(1_000, 0.2, uplift);
    let cases = [
        (standard(0.08), Verdict::Adopt),
        (World { fidelity: 0.5, ..standard(0.08) }, Verdict::InvestigateFeatures),
        (World { slowness: 2.0, ..standard(0.08) }, Verdict::OptimizeModel),
        (World { lasts_days: Some(3), ..standard(0.08) }, Verdict::CostBenefit),
        (standard(0.04), Verdict::Hybrid),
        (standard(0.0), Verdict::Keep),
    ];
    for (world, verdict) in cases {
        assert_eq!(oracle(&world).verdict, verdict, "{world:?}");
    }
    let judged = judge_all(World { sessions: Some(SessionKind { rows: 5, sticky: true, hopeless: 0.0 }), ..standard(0.05) }, 1);
    assert!(judged[0].by_row.estimate.interval.lower >= judged[0].uplift.estimate.interval.lower, "sessions only widen");
}
