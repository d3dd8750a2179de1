//! What a written world promises: the same bytes however it is written, the declared dirt, sound propensities, and an oracle that agrees.
#![expect(clippy::unwrap_used, reason = "a test stops at the first error")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use routewright_domain::Seed;
use routewright_generate::{CascadeSettings, CascadeWorld, DIRT, DayCounts, World, WorldSettings};
use serde_json::Value;

fn settings(n_decisions: u64) -> WorldSettings {
    WorldSettings { n_decisions, ..WorldSettings::default() }
}

fn written(world: &World) -> (Vec<u8>, Vec<u8>, DayCounts) {
    let (mut log, mut oracle, mut counts) = (Vec::new(), Vec::new(), DayCounts::default());
    for day in 0..world.settings().n_days {
        counts.add(&world.write_day(day, &mut log, Some(&mut oracle)).unwrap());
    }
    (log, oracle, counts)
}

fn objects(lines: &[u8]) -> Vec<Value> {
    lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect()
}

fn in_pool<T: Send>(n_threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap().install(work)
}

#[test]
fn the_number_of_threads_does_not_matter() {
    // Two days of about 15,000 rows each: several chunks a day, so that threads do share the work.
    let make = || written(&World::new(&WorldSettings { n_days: 2, ..settings(30_000) }, Seed(3)).unwrap());
    let one = in_pool(1, make);
    assert!(one == in_pool(3, make));
}

#[test]
fn pieces_give_the_same_bytes_as_days() {
    let world = World::new(&settings(3_000), Seed(3)).unwrap();
    let (log, oracle, _) = written(&world);
    let (mut log_in_pieces, mut oracle_in_pieces) = (Vec::new(), Vec::new());
    for start in (0..3_000).step_by(701) {
        world.write_rows(start..(start + 701).min(3_000), &mut log_in_pieces, Some(&mut oracle_in_pieces)).unwrap();
    }
    assert!(log == log_in_pieces && oracle == oracle_in_pieces);
}

#[test]
fn seeds_differ() {
    let of = |seed| World::new(&settings(10), Seed(seed)).unwrap().decision(0);
    assert_ne!(of(1).situation.query, of(2).situation.query);
    assert_eq!(of(1), of(1));
}

#[test]
fn the_logged_rows_carry_the_uplift_that_was_asked_for() {
    for uplift_points in [0.0, 3.0, 8.0] {
        let world = World::new(&WorldSettings { uplift_points, ..settings(60_000) }, Seed(11)).unwrap();
        let gap = |index: u64| {
            let decision = world.decision(index);
            decision.success_probability[decision.best_arm.index()] - decision.success_probability[decision.static_arm.index()]
        };
        let mean = 100.0 * (0..60_000).map(gap).sum::<f64>() / 60_000.0;
        assert!((mean - uplift_points).abs() < 0.2, "{mean} for {uplift_points}: four standard errors");
    }
}

#[test]
fn the_oracle_agrees_with_the_log_and_with_its_own_probabilities() {
    let world = World::new(&WorldSettings { dirt: 0.0, ..settings(20_000) }, Seed(5)).unwrap();
    let (log, oracle, counts) = written(&world);
    assert!(counts.dirt.is_empty());
    let (log, oracle) = (objects(&log), objects(&oracle));
    assert_eq!((log.len(), oracle.len()), (20_000, 20_000));
    let mut squared = BTreeMap::<String, (f64, f64)>::new();
    for (row, truth) in log.iter().zip(&oracle) {
        let path = row["routing_decision"]["execution_path"].as_str().unwrap();
        assert_eq!(row["trace_id"], truth["trace_id"]);
        assert_eq!(row["routing_decision"]["static_path"], truth["static_path"]);
        assert_eq!(row["execution_outcome"]["success"], truth["success"][path]);
        assert_eq!(row["execution_outcome"]["latency_ms"], truth["latency_ms"][path]);
        for (path, p) in truth["p"].as_object().unwrap() {
            let (error, ratio) = squared.entry(path.clone()).or_default();
            *error += f64::from(u8::from(truth["success"][path].as_bool().unwrap())) - p.as_f64().unwrap();
            *ratio += truth["latency_ms"][path].as_f64().unwrap() / truth["expected_latency_ms"][path].as_f64().unwrap();
        }
    }
    for (path, (error, ratio)) in squared {
        assert!((error / 20_000.0).abs() < 0.013, "{path}: {error}: four standard errors");
        assert!((ratio / 20_000.0 - 1.0).abs() < 0.011, "{path}: {ratio}: four standard errors");
    }
}

#[test]
fn exploration_is_the_declared_share_and_the_weights_average_to_one() {
    let epsilon = 0.2;
    let world = World::new(&WorldSettings { epsilon, dirt: 0.0, ..settings(40_000) }, Seed(6)).unwrap();
    let n = 40_000.0;
    let mut explored = 0.0;
    let mut weights = vec![0.0; world.paths().len()];
    for index in 0..40_000 {
        let decision = world.decision(index);
        let propensities = world.propensities(decision.static_arm);
        assert!((propensities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(decision.propensity, propensities[decision.arm.index()]);
        explored += f64::from(u8::from(decision.arm != decision.static_arm)) / n;
        weights[decision.arm.index()] += 1.0 / decision.propensity / n;
    }
    assert!((explored - 0.75 * epsilon).abs() < 0.0072, "{explored}: four standard errors");
    for weight in weights {
        assert!((weight - 1.0).abs() < 0.09, "{weight}: four standard errors");
    }
}

#[test]
fn a_deterministic_log_explores_nothing() {
    let world = World::new(&WorldSettings { epsilon: 0.0, dirt: 0.0, ..settings(2_000) }, Seed(6)).unwrap();
    for row in objects(&written(&world).0) {
        let routing = &row["routing_decision"];
        assert_eq!(routing["propensity"], 1.0);
        assert_eq!(routing["propensities"].as_object().unwrap().len(), 1);
        assert_eq!(routing["explored"], false);
        assert_eq!(routing["execution_path"], routing["static_path"]);
    }
}

#[test]
fn exploration_and_uplift_leave_queries_and_luck_as_they_are() {
    let of = |epsilon, uplift_points| World::new(&WorldSettings { epsilon, uplift_points, ..settings(500) }, Seed(8)).unwrap();
    let (plain, other) = (of(0.0, 0.0), of(0.3, 8.0));
    for index in 0..500 {
        assert_eq!(plain.decision(index).situation, other.decision(index).situation);
    }
}

#[test]
fn the_dirt_is_the_declared_share_and_every_other_line_is_clean() {
    let world = World::new(&WorldSettings { dirt: 0.05, ..settings(20_000) }, Seed(9)).unwrap();
    let (log, oracle, counts) = written(&world);
    let dirty: u64 = counts.dirt.values().sum();
    assert_eq!((counts.rows, counts.bytes), (20_000, log.len() as u64));
    assert!((dirty as f64 / 20_000.0 - 0.05).abs() < 0.0062, "{dirty}: four standard errors");
    assert_eq!(counts.dirt.len(), DIRT.len(), "every kind occurs: {:?}", counts.dirt);
    assert_eq!(objects(&oracle).len(), 20_000);

    let lines: Vec<&[u8]> = log.split(|&byte| byte == b'\n').collect();
    let of = |name: &str| counts.dirt[name];
    let unparsable = lines.iter().filter(|line| !line.is_empty() && serde_json::from_slice::<Value>(line).is_err()).count() as u64;
    assert_eq!(unparsable, of("truncated") + of("not_json") + of("invalid_utf8"));
    assert_eq!(lines.iter().filter(|line| line.last() == Some(&b'\r')).count() as u64, of("carriage_return"));
    assert_eq!(lines.iter().filter(|line| line.is_empty()).count() as u64, of("blank_line") + 1);
    let twice = of("duplicate") + of("conflicting_duplicate") + of("pending_then_done");
    assert_eq!(lines.len() as u64, 20_000 + twice + of("blank_line") + 1);
    let parsed: Vec<Value> = lines.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let pending = parsed.iter().filter(|row| row["execution_outcome"]["success"].is_null()).count() as u64;
    assert_eq!(pending, of("pending") + of("pending_then_done"));
}

/// The keys of an object and of the objects inside it, dotted; the per-path maps count as one key.
fn keys(value: &Value, prefix: &str, into: &mut BTreeSet<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let name = format!("{prefix}{key}");
        if value.is_object() && key != "propensities" {
            keys(value, &format!("{name}."), into);
        } else {
            into.insert(name);
        }
    }
}

#[test]
fn the_keys_are_those_of_the_format() {
    let world = World::new(&WorldSettings { dirt: 0.0, ..settings(3_000) }, Seed(10)).unwrap();
    let mut found = BTreeSet::new();
    objects(&written(&world).0).iter().for_each(|row| keys(row, "", &mut found));
    let expected = "context.recent_error_rate context.system_mode context.vram_usage \
        execution_outcome.cost execution_outcome.error execution_outcome.latency_ms execution_outcome.llm_calls execution_outcome.success \
        execution_outcome.tool_execution_time_ms \
        quality_metrics.hallucination_detected quality_metrics.optimal_path quality_metrics.quality_score quality_metrics.response_length \
        quality_metrics.user_feedback query query_features.complexity_estimate query_features.has_code query_features.has_question \
        query_features.keywords query_features.length query_id routing_decision.candidates routing_decision.confidence \
        routing_decision.execution_path routing_decision.explored routing_decision.policy_id routing_decision.propensities \
        routing_decision.propensity routing_decision.stage_1_result.complexity routing_decision.stage_1_result.confidence \
        routing_decision.stage_1_result.query_type routing_decision.stage_1_result.requires_tools \
        routing_decision.stage_2_result.execution_path routing_decision.stage_2_result.rationale routing_decision.stage_2_result.tool_name \
        routing_decision.stage_3_result.alternative routing_decision.stage_3_result.concerns \
        routing_decision.stage_3_result.confidence_score routing_decision.stage_3_result.is_valid \
        routing_decision.static_path routing_decision.tool_name session_id timestamp trace_id user_id";
    assert_eq!(found, expected.split_whitespace().map(str::to_owned).collect());
}

#[test]
fn files_are_named_by_day_and_hold_that_day_in_order() {
    let world = World::new(&WorldSettings { dirt: 0.0, ..settings(2_000) }, Seed(12)).unwrap();
    assert_eq!(world.file_name(27), "2026-01-28-routing-outcomes.jsonl");
    assert_eq!(world.rows_of_day(28), 0..0);
    let mut log = Vec::new();
    world.write_day(27, &mut log, None).unwrap();
    let times: Vec<String> = objects(&log).iter().map(|row| row["timestamp"].as_str().unwrap()[..19].to_owned()).collect();
    assert!(!times.is_empty() && times.iter().all(|time| time.starts_with("2026-01-28T")));
    assert!(times.is_sorted());
}

#[test]
fn more_paths_than_four_work_and_the_uplift_holds() {
    let paths = ["TOOL", "THINK", "CODE", "GENERAL", "SMALL", "TINY"].map(str::to_owned).to_vec();
    let world = World::new(&WorldSettings { paths, ..settings(1_000) }, Seed(13)).unwrap();
    assert_eq!(world.paths().len(), 6);
    assert!((world.truth().uplift_points - 8.0).abs() < 0.01);
}

#[test]
fn an_uplift_holds_in_a_world_of_one_day_without_drift_too() {
    for drift in [0.0, 1.0] {
        let world = World::new(&WorldSettings { n_days: 1, drift, ..settings(1_000) }, Seed(14)).unwrap();
        assert!((world.truth().uplift_points - 8.0).abs() < 0.01);
    }
}

#[test]
fn cascade_events_have_the_required_keys_and_known_names() {
    let world = CascadeWorld::new(&CascadeSettings { n_decisions: 3_000, ..CascadeSettings::default() }, Seed(1)).unwrap();
    let (mut log, mut oracle) = (Vec::new(), Vec::new());
    (0..28).for_each(|day| drop(world.write_day(day, &mut log, Some(&mut oracle)).unwrap()));
    let (log, oracle) = (objects(&log), objects(&oracle));
    assert_eq!((log.len(), oracle.len()), (3_000, 3_000));
    let mut ids = BTreeSet::new();
    for (event, truth) in log.iter().zip(&oracle) {
        let id = event["event_id"].as_str().unwrap();
        assert!(ids.insert(id) && event["event_id"] == truth["event_id"]);
        assert!(is_event_id(id), "{id}");
        let required = ["timestamp", "task_description", "routing_layers", "final_decision", "total_latency_ms"];
        assert!(required.iter().all(|key| !event[*key].is_null()), "{event}");
        assert!(routewright_generate::MASTERS.iter().any(|master| event["final_decision"]["selected_master"] == *master));
        assert!(["completed", "failed", "in_progress", "unknown"].iter().any(|status| event["outcome"]["task_status"] == *status));
        let layers = event["routing_layers"].as_array().unwrap();
        for (row, layer) in layers.iter().enumerate() {
            let passed = layer["confidence"].as_f64() >= layer["threshold"].as_f64();
            assert_eq!(layer["success"], passed);
            assert_eq!(passed, row + 1 == layers.len());
            assert_eq!(layer["selected_master"], truth["layers"][row]["selected_master"]);
        }
    }
}

#[test]
fn shadow_runs_ask_every_layer_and_change_nothing_else() {
    let events = |shadow: f64| {
        let world =
            CascadeWorld::new(&CascadeSettings { n_decisions: 2_000, n_days: 1, shadow, ..CascadeSettings::default() }, Seed(3)).unwrap();
        let mut log = Vec::new();
        world.write_day(0, &mut log, None).unwrap();
        objects(&log)
    };
    let (plain, shadowed) = (events(0.0), events(0.25));
    let mut n_longer = 0;
    for (plain, shadowed) in plain.iter().zip(&shadowed) {
        assert_eq!(plain["final_decision"]["selected_master"], shadowed["final_decision"]["selected_master"]);
        assert_eq!(plain["total_latency_ms"], shadowed["total_latency_ms"]);
        let layers = |event: &Value| event["routing_layers"].as_array().unwrap().clone();
        let (before, after) = (layers(plain), layers(shadowed));
        assert_eq!(after.iter().filter(|layer| layer["success"] == true).count(), 1);
        if before.len() < after.len() {
            n_longer += 1;
            assert_eq!(after.len(), 4, "the user is not asked in shadow");
        }
    }
    assert!((400..600).contains(&n_longer), "{n_longer}: about a quarter, but for those that asked every layer anyway");
}

#[test]
fn the_cascade_is_as_accurate_as_its_truth_says() {
    let n = 40_000;
    for thresholds in [CascadeSettings::default().thresholds, [0.95, 0.93, 0.8, 0.95, 1.0]] {
        let settings = CascadeSettings { n_decisions: n, n_days: 1, thresholds, ..CascadeSettings::default() };
        let world = CascadeWorld::new(&settings, Seed(2)).unwrap();
        let (mut log, mut oracle) = (Vec::new(), Vec::new());
        world.write_day(0, &mut log, Some(&mut oracle)).unwrap();
        let right = objects(&oracle).iter().filter(|event| event["true_master"] == event["selected_master"]).count();
        let accuracy = right as f64 / n as f64;
        assert!((accuracy - world.truth().accuracy).abs() < 0.006, "{accuracy}: four standard errors");
        assert!((world.value(&thresholds) - world.truth().value).abs() < 1e-12);
    }
}

/// `route-<8 digits>-<6 digits>-<8 hex digits>`.
fn is_event_id(id: &str) -> bool {
    let parts: Vec<&str> = id.split('-').collect();
    let digits = |part: &str, n: usize| part.len() == n && part.bytes().all(|byte| byte.is_ascii_digit());
    let hex = |part: &str| part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    parts.len() == 4 && parts[0] == "route" && digits(parts[1], 8) && digits(parts[2], 6) && hex(parts[3])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn every_decision_is_well_formed(seed in any::<u64>(), epsilon in 0.0..=1.0_f64, uplift_points in 0.0..20.0_f64, drift in 0.0..=1.0_f64) {
        let world = World::new(&WorldSettings { epsilon, uplift_points, drift, ..settings(200) }, Seed(seed)).unwrap();
        for index in 0..200 {
            let decision = world.decision(index);
            prop_assert!(decision.success_probability.iter().all(|p| (0.0..=1.0).contains(p)));
            prop_assert!(decision.expected_latency_ms.iter().chain(&decision.latency_ms).all(|ms| *ms > 0.0 && ms.is_finite()));
            prop_assert!(0.0 < decision.propensity && decision.propensity <= 1.0);
            let best = decision.success_probability[decision.best_arm.index()];
            prop_assert!(decision.success_probability.iter().all(|p| *p <= best));
        }
    }
}

/// Whether each row deviates from the static path, by session, for sessions of several rows.
fn deviations_by_session(sticky: bool) -> Vec<Vec<bool>> {
    let world = World::new(&WorldSettings { sticky, epsilon: 0.5, dirt: 0.0, ..settings(3_000) }, Seed(3)).unwrap();
    let mut sessions: BTreeMap<String, Vec<bool>> = BTreeMap::new();
    for row in objects(&written(&world).0) {
        let decision = &row["routing_decision"];
        let deviates = decision["execution_path"] != decision["static_path"];
        sessions.entry(row["session_id"].as_str().unwrap().to_owned()).or_default().push(deviates);
    }
    sessions.into_values().filter(|rows| rows.len() > 2).collect()
}

#[test]
fn sticky_exploration_is_drawn_once_per_session() {
    // A session that explores takes one path throughout, which is now and then the static one: a session never deviates on some rows only because
    // another draw was made.
    let share_of_mixed = |sessions: &[Vec<bool>]| {
        sessions.iter().filter(|rows| rows.iter().any(|row| *row) && rows.iter().any(|row| !*row)).count() as f64 / sessions.len() as f64
    };
    let (sticky, free) = (deviations_by_session(true), deviations_by_session(false));
    let never = |sessions: &[Vec<bool>]| sessions.iter().filter(|rows| rows.iter().all(|row| !*row)).count() as f64 / sessions.len() as f64;
    assert!((0.4..0.65).contains(&never(&sticky)), "half of the sessions follow the static rules: {}", never(&sticky));
    assert!(never(&free) < 0.3 && share_of_mixed(&free) > share_of_mixed(&sticky));
}
