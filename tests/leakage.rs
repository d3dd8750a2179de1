//! No feature knows what was not known yet, and what knows too much is named.

use std::sync::Arc;

use routewright_domain::Timestamp;
use routewright_router::{Encoder, History, Observation, Request, Schema, Scratch};
use routewright_table::{Decisions, FeatureTable, known_at_decision};
use serde_json::{Value, json};

use crate::project::Project;

/// The shipped sample.
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/sample");

/// A generated log without dirt, record by record in time order.
fn records(n_decisions: &str) -> Vec<Value> {
    let project = Project::generated(&["-n", n_decisions, "--seed", "7", "--epsilon", "0.3", "--dirt", "0"]);
    let files = project.files("data/raw").into_iter().filter(|(name, _)| name.ends_with(".jsonl"));
    let lines: Vec<String> =
        files.flat_map(|(_, bytes)| String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A project with some records as its log.
fn project(records: &[Value]) -> Project {
    let project = Project::empty();
    project.write("data/raw/log.jsonl", &records.iter().map(|record| format!("{record}\n")).collect::<String>());
    project
}

/// Moves every outcome from a position on to another record, in a fixed order that looks like chance.
fn shuffle_outcomes(records: &mut [Value], from: usize) {
    let mut outcomes: Vec<Value> = records[from..].iter().map(|record| record["execution_outcome"].clone()).collect();
    let mut state = 88_172_645_463_325_252_u64;
    for last in (1..outcomes.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        outcomes.swap(last, (state % (last as u64 + 1)) as usize);
    }
    for (record, outcome) in records[from..].iter_mut().zip(outcomes) {
        record["execution_outcome"] = outcome;
    }
}

/// The feature table of a project.
fn features(project: &Project) -> FeatureTable {
    let ran = project.run(&["run", "features"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    FeatureTable::read(&project.path("data/features.parquet")).unwrap()
}

#[test]
fn batch_and_online_agree_to_the_last_bit_on_every_row_of_the_sample() {
    let project = Project::empty();
    project.write("pipeline.toml", &format!("[ingest]\ninput = [{SAMPLE:?}]\n"));
    let table = features(&project);
    let schema = Schema::from_json(&std::fs::read(project.path("data/features.json")).unwrap()).unwrap();
    let encoder = Encoder::new(Arc::new(schema));
    let (mut history, mut scratch) = (History::new(encoder.schema()), Scratch::default());
    let (mut online, mut batch) = (vec![0.0; encoder.n_columns()], vec![0.0; encoder.n_columns()]);
    let mut position = 0;
    for day in Decisions::open(&project.path("data/decisions")).unwrap().iter() {
        for mut decision in day.unwrap() {
            decision.extras.retain(|key, _| known_at_decision(key));
            history.advance(decision.timestamp);
            let sketch = encoder.encode(&Request::from(&decision), &history, &mut scratch, &mut online);
            table.copy_row(position, &mut batch);
            for (column, (online, batch)) in encoder.schema().columns().iter().zip(online.iter().zip(&batch)) {
                let same = online.to_bits() == batch.to_bits() || (online.is_nan() && batch.is_nan());
                assert!(same, "row {position}, `{}`: {online} online, {batch} in the batch", column.name);
            }
            if let Some(observation) = Observation::from_decision(&decision, encoder.schema().paths(), sketch) {
                history.observe(observation);
            }
            position += 1;
        }
    }
    assert_eq!(position, table.n_rows());
    history.advance(Timestamp(history.now().0 + 1));
    assert!(history.to_bytes() == std::fs::read(project.path("data/history.bin")).unwrap(), "the frozen histories differ");
}

#[test]
fn outcomes_from_a_time_on_change_no_feature_up_to_it() {
    let mut records = records("600");
    let whole = features(&project(&records));
    let from = records.len() * 8 / 10;
    shuffle_outcomes(&mut records, from);
    let shuffled = features(&project(&records));
    assert_eq!(whole.names(), shuffled.names());
    let mut n_changed_later = 0;
    for (left, right) in whole.features.iter().zip(&shuffled.features) {
        let changed = (0..whole.n_rows()).filter(|row| left.values[*row].to_bits() != right.values[*row].to_bits());
        let early: Vec<usize> = changed.clone().filter(|row| *row <= from).collect();
        assert!(early.is_empty(), "`{}` changed in rows {early:?}", left.name);
        n_changed_later += changed.count();
    }
    assert!(n_changed_later > 0, "the shuffle changed nothing at all");
}

#[test]
fn shuffled_outcomes_leave_nothing_to_learn_and_a_leak_is_named() {
    let mut records = records("1600");
    shuffle_outcomes(&mut records, 0);
    let chance = project(&records);
    assert_eq!(chance.run(&["run", "evaluate"]).code, 0);
    let worst = |project: &Project| {
        let evaluation = project.json("reports/evaluation.json");
        let models = evaluation["success"].as_array().unwrap().clone();
        let mut aucs: Vec<(f64, f64)> = Vec::new();
        for model in &models {
            if let (Some(auc), Some(n_rows)) = (model["auc"].as_f64(), model["n_rows"].as_f64()) {
                aucs.push((auc, n_rows));
            }
        }
        assert!(!aucs.is_empty(), "{evaluation}");
        aucs.iter().map(|(auc, n_rows)| auc * n_rows).sum::<f64>() / aucs.iter().map(|(_, n_rows)| n_rows).sum::<f64>()
    };
    // 480 held-out rows, about one in four of which fail: a standard error of about .03, so one false alarm in 10,000 seeds.
    assert!((worst(&chance) - 0.5).abs() < 0.12, "{}", worst(&chance));

    for record in &mut records {
        record["query_features"]["hint"] = json!(if record["execution_outcome"]["success"] == true { 0.9 } else { 0.1 });
    }
    let leaky = project(&records);
    let ran = leaky.run(&["run", "evaluate"]);
    assert_eq!(ran.code, 0);
    assert!(worst(&leaky) > 0.95, "{}", worst(&leaky));
    assert!(ran.stderr.contains("`extra:query_features.hint` alone predicts success"), "{}", ran.stderr);
    let report = leaky.json("reports/features.json");
    let column = |report: &Value| {
        report["columns"].as_array().unwrap().iter().find(|column| column["name"] == "extra:query_features.hint").cloned().unwrap()
    };
    assert_eq!(column(&report)["findings"], json!(["leaking"]));

    assert_eq!(leaky.run(&["--set", "features.selection.drop=[\"leaking\"]", "run", "features"]).code, 0);
    assert_eq!(column(&leaky.json("reports/features.json"))["dropped"], true);
    let schema = Schema::from_json(&std::fs::read(leaky.path("data/features.json")).unwrap()).unwrap();
    assert_eq!(schema.dropped(), ["extra:query_features.hint"]);
}

#[test]
fn a_missing_sentence_model_is_an_error_with_the_commands_that_fetch_it() {
    let project = project(&records("50"));
    project.write("pipeline.toml", "[features.embedding]\nbackend = \"fastembed\"\nruntime = \"models/none.so\"\n");
    let checked = project.run(&["check"]);
    assert_eq!(checked.code, 3);
    assert!(checked.stdout.contains("FAILED embedder") && checked.stdout.contains("pip download"), "{}", checked.stdout);
    let ran = project.run(&["run"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("pip download --no-deps --dest models onnxruntime"), "{}", ran.stderr);
    assert!(!project.path("data/features.parquet").exists());
}
