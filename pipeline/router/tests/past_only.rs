//! The past and only the past: what a row may see, in the batch and online.
#![expect(clippy::unwrap_used, reason = "fixtures of tests stop at the first error")]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use routewright_domain::{Decision, Paths, Scalar, Seed, Timestamp};
use routewright_router::{Encoder, History, HistorySettings, Observation, Request, Schema, SchemaSettings, Scratch};

const PATHS: [&str; 3] = ["chat", "code", "tool"];

/// A decision of small numbers, so that times, texts and paths meet often.
fn decision() -> impl Strategy<Value = Decision> {
    let words = prop::sample::subsequence(vec!["restart", "server", "why", "poem", "rust", "trait", "weather", "rain"], 1..5);
    let outcome = prop::option::weighted(0.9, any::<bool>());
    // Whole seconds, so that many outcomes become known at the same time.
    let latency = prop::option::weighted(0.8, (0..4_u8).prop_map(|seconds| f64::from(seconds) * 1000.0));
    let query_type = prop::option::of(prop::sample::select(vec!["tool", "chat"]));
    let session = prop::option::of(prop::sample::select(vec!["s1", "s2"]));
    (words, 0..60_i64, 0..PATHS.len(), outcome, latency, query_type, session, any::<u64>()).prop_map(
        |(words, second, path, success, latency_ms, query_type, session, identity)| Decision {
            trace_id: format!("{identity:x}"),
            timestamp: Timestamp(second * 1_000_000),
            query: words.join(" "),
            path: PATHS[path].to_owned(),
            success,
            latency_ms,
            query_type: query_type.map(str::to_owned),
            session_id: session.map(str::to_owned),
            extras: BTreeMap::from([("load".to_owned(), Scalar::Number(second as f64))]),
            ..Decision::default()
        },
    )
}

/// Decisions in time order.
fn decisions() -> impl Strategy<Value = Vec<Decision>> {
    prop::collection::vec(decision(), 1..80).prop_map(|mut decisions| {
        decisions.sort_by_key(|decision| decision.timestamp);
        decisions
    })
}

/// An encoder with so few and small cells that they split and forget within a test.
fn encoder() -> Encoder {
    encoder_with(SchemaSettings::default(), 2)
}

/// The same that looks into so many cells.
fn encoder_with(settings: SchemaSettings, n_probes: usize) -> Encoder {
    let history = HistorySettings { max_cells: 4, cell_size: 4, n_probes, n_nearest: 3, ..HistorySettings::default() };
    let settings = SchemaSettings { history, ..settings };
    let extras = BTreeMap::from([("load".to_owned(), Scalar::Number(1.0))]);
    let typed = |query_type| Request { query_type: Some(query_type), extras: &extras, ..Request::new("restart the server", Timestamp(0)) };
    let requests = [typed("tool"), typed("chat")];
    let schema = Schema::fit(&Paths::from_names(PATHS), requests.iter().copied(), &settings, Seed(5)).unwrap();
    Encoder::new(Arc::new(schema))
}

/// The rows of a batch as bits, and the history after it.
fn batch(encoder: &Encoder, history: History, decisions: &[Decision]) -> (Vec<Vec<u32>>, History) {
    let (mut history, mut scratch) = (history, Scratch::default());
    let rows = decisions.iter().map(|decision| {
        // A sentinel that no feature writes shows columns left out.
        let mut row = vec![-12_345.5; encoder.n_columns()];
        history.advance(decision.timestamp);
        let sketch = encoder.encode(&Request::from(decision), &history, &mut scratch, &mut row);
        if let Some(observation) = Observation::from_decision(decision, encoder.schema().paths(), sketch) {
            history.observe(observation);
        }
        row.into_iter().map(f32::to_bits).collect()
    });
    (rows.collect(), history)
}

proptest! {
    #[test]
    fn outcomes_known_from_a_time_on_change_no_row_up_to_it(
        decisions in decisions(),
        second in 0..60_i64,
        changes in prop::collection::vec((any::<bool>(), 0.0..4000.0, 0..PATHS.len()), 80),
    ) {
        let encoder = encoder();
        let until = Timestamp(second * 1_000_000);
        let (rows, _) = batch(&encoder, History::new(encoder.schema()), &decisions);
        let mut changed = decisions.clone();
        for (decision, (success, latency, path)) in changed.iter_mut().zip(changes) {
            let visible_at = decision.timestamp.plus_millis(decision.latency_ms.unwrap_or(0.0));
            if visible_at >= until {
                decision.success = Some(success);
                PATHS[path].clone_into(&mut decision.path);
                // Still not known before the time.
                let at_least = (until.0 - decision.timestamp.0).max(0) as f64 / 1000.0;
                decision.latency_ms = Some(at_least + latency);
            }
        }
        let (other_rows, _) = batch(&encoder, History::new(encoder.schema()), &changed);
        for ((decision, row), other) in decisions.iter().zip(&rows).zip(&other_rows) {
            if decision.timestamp <= until {
                prop_assert_eq!(row, other);
            }
        }
    }

    #[test]
    fn without_similar_queries_and_embedding_all_other_columns_are_the_same(decisions in decisions()) {
        let full = encoder();
        let groups = SchemaSettings::default().groups.into_iter().filter(|group| group != "embedding").collect();
        let lean = encoder_with(SchemaSettings { groups, ..SchemaSettings::default() }, 0);
        let names = |encoder: &Encoder| -> Vec<String> { encoder.schema().columns().iter().map(|column| column.name.clone()).collect() };
        let (of_full, of_lean) = (names(&full), names(&lean));
        let is_similar = |name: &str| {
            let parts = ["embedding_", "history_similar_", "history_topic_", "history_nearest", "history_centre", "history_evidence"];
            parts.iter().any(|part| name.starts_with(part))
        };
        let kept: Vec<usize> = (0..of_full.len()).filter(|&position| !is_similar(&of_full[position])).collect();
        prop_assert_eq!(kept.iter().map(|&position| of_full[position].as_str()).collect::<Vec<_>>(), of_lean);
        let (rows, _) = batch(&full, History::new(full.schema()), &decisions);
        let (lean_rows, history) = batch(&lean, History::new(lean.schema()), &decisions);
        for (row, lean_row) in rows.iter().zip(&lean_rows) {
            prop_assert_eq!(&kept.iter().map(|&position| row[position]).collect::<Vec<_>>(), lean_row);
        }
        let read = History::from_bytes(&history.to_bytes(), lean.schema()).unwrap();
        prop_assert_eq!(read.to_bytes(), history.to_bytes());
    }

    #[test]
    fn a_row_never_sees_itself(decisions in decisions()) {
        let encoder = encoder();
        let (mut history, mut scratch) = (History::new(encoder.schema()), Scratch::default());
        for decision in &decisions {
            let (mut before, mut after) = (vec![0.0; encoder.n_columns()], vec![0.0; encoder.n_columns()]);
            history.advance(decision.timestamp);
            let sketch = encoder.encode(&Request::from(decision), &history, &mut scratch, &mut before);
            if let Some(observation) = Observation::from_decision(decision, encoder.schema().paths(), sketch) {
                history.observe(observation);
            }
            history.advance(decision.timestamp);
            encoder.encode(&Request::from(decision), &history, &mut scratch, &mut after);
            prop_assert_eq!(bits(&before), bits(&after));
        }
    }

    #[test]
    fn the_order_in_which_outcomes_arrive_does_not_matter(decisions in decisions(), shift in 0..80_usize) {
        let encoder = encoder();
        let mut scratch = Scratch::default();
        let mut row = vec![0.0; encoder.n_columns()];
        let mut observations: Vec<Observation> = decisions
            .iter()
            .filter_map(|decision| {
                let sketch = encoder.encode_query(&Request::from(decision), &mut scratch, &mut row);
                Observation::from_decision(decision, encoder.schema().paths(), sketch)
            })
            .collect();
        let frozen = |observations: &[Observation]| {
            let mut history = History::new(encoder.schema());
            for observation in observations {
                history.observe(*observation);
            }
            history.advance(Timestamp(40_000_000));
            history.to_bytes()
        };
        let forward = frozen(&observations);
        let shift = shift % observations.len().max(1);
        observations.rotate_left(shift);
        observations.reverse();
        prop_assert_eq!(forward, frozen(&observations));
    }

    #[test]
    fn a_frozen_and_thawed_history_continues_bit_for_bit(decisions in decisions(), cut in 0..80_usize) {
        let encoder = encoder();
        let cut = cut.min(decisions.len());
        let (rows, end) = batch(&encoder, History::new(encoder.schema()), &decisions);
        let (_, half) = batch(&encoder, History::new(encoder.schema()), &decisions[..cut]);
        let thawed = History::from_bytes(&half.to_bytes(), encoder.schema()).unwrap();
        let (online, online_end) = batch(&encoder, thawed, &decisions[cut..]);
        prop_assert_eq!(&rows[cut..], &online[..]);
        prop_assert_eq!(end.to_bytes(), online_end.to_bytes());
    }

    #[test]
    fn moments_that_are_read_later_give_the_same_bits(decisions in decisions()) {
        let encoder = encoder();
        let (rows, end) = batch(&encoder, History::new(encoder.schema()), &decisions);
        let (mut history, mut scratch) = (History::new(encoder.schema()), Scratch::default());
        let (mut later, mut taken) = (vec![vec![-12_345.5; encoder.n_columns()]; decisions.len()], Vec::new());
        let mut read = |taken: &mut Vec<_>, history: &History, scratch: &mut Scratch| {
            // Backwards, for the order must not matter.
            for (position, sketch, moment) in taken.drain(..).rev() {
                let position: usize = position;
                encoder.encode_moment(&sketch, &moment, history, scratch, &mut later[position]);
            }
        };
        let mut parts = Vec::new();
        for (position, decision) in decisions.iter().enumerate() {
            if !history.advance_within(decision.timestamp) {
                read(&mut taken, &history, &mut scratch);
                history.advance(decision.timestamp);
            }
            let mut part = vec![-12_345.5; encoder.n_columns()];
            let sketch = encoder.encode_query(&Request::from(decision), &mut scratch, &mut part);
            parts.push(part);
            taken.push((position, sketch, history.moment(&sketch, decision.timestamp)));
            if let Some(observation) = Observation::from_decision(decision, encoder.schema().paths(), sketch) {
                history.observe(observation);
            }
        }
        read(&mut taken, &history, &mut scratch);
        for ((row, part), later) in rows.iter().zip(&parts).zip(&later) {
            let whole: Vec<f32> = part.iter().zip(later).map(|(part, later)| if *later == -12_345.5 { *part } else { *later }).collect();
            prop_assert_eq!(row, &bits(&whole));
        }
        prop_assert_eq!(end.to_bytes(), history.to_bytes());
    }

    #[test]
    fn every_column_is_written_and_parallel_parts_make_the_whole(decisions in decisions()) {
        let encoder = encoder();
        let (rows, history) = batch(&encoder, History::new(encoder.schema()), &decisions);
        let sentinel = (-12_345.5_f32).to_bits();
        prop_assert!(rows.iter().flatten().all(|bits| *bits != sentinel));
        let (mut whole, mut parts) = (vec![0.0; encoder.n_columns()], vec![0.0; encoder.n_columns()]);
        let request = Request::from(&decisions[0]);
        encoder.encode(&request, &history, &mut Scratch::default(), &mut whole);
        let sketch = encoder.encode_query(&request, &mut Scratch::default(), &mut parts);
        encoder.encode_history(&sketch, request.timestamp, &history, &mut Scratch::default(), &mut parts);
        prop_assert_eq!(bits(&whole), bits(&parts));
    }

    #[test]
    fn damaged_bytes_are_refused_or_harmless(decisions in decisions(), position in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let encoder = encoder();
        let (_, history) = batch(&encoder, History::new(encoder.schema()), &decisions);
        let mut bytes = history.to_bytes();
        let position = position.index(bytes.len());
        prop_assert!(History::from_bytes(&bytes[..position], encoder.schema()).is_err());
        bytes[position] ^= flip;
        if let Ok(thawed) = History::from_bytes(&bytes, encoder.schema()) {
            batch(&encoder, thawed, &decisions);
        }
    }
}

/// A row as bits, so that missing values compare equal.
fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|number| number.to_bits()).collect()
}

#[test]
fn similar_queries_tell_which_path_succeeds() {
    let texts: Vec<String> =
        (0..200).map(|row| if row % 2 == 0 { format!("restart server {row}") } else { format!("write poem {row}") }).collect();
    let requests = texts.iter().map(|text| Request::new(text, Timestamp(0)));
    let schema = Schema::fit(&Paths::from_names(["chat", "tool"]), requests, &SchemaSettings::default(), Seed(5)).unwrap();
    let encoder = Encoder::new(Arc::new(schema));
    let decisions: Vec<Decision> = (0..200)
        .map(|row| Decision {
            trace_id: row.to_string(),
            timestamp: Timestamp(row * 1_000_000),
            query: texts[row as usize].clone(),
            path: if row % 4 < 2 { "tool" } else { "chat" }.to_owned(),
            // Restarts succeed on the tool path only, poems on the chat path only.
            success: Some((row % 2 == 0) == (row % 4 < 2)),
            ..Decision::default()
        })
        .collect();
    let (_, mut history) = batch(&encoder, History::new(encoder.schema()), &decisions);
    history.advance(Timestamp(1_000_000_000));
    let mut row = vec![0.0; encoder.n_columns()];
    encoder.encode(&Request::new("please restart the server", Timestamp(1_000_000_000)), &history, &mut Scratch::default(), &mut row);
    let column = |name: &str| row[encoder.schema().columns().iter().position(|column| column.name == name).unwrap()];
    assert!(column("history_similar_success_1") > column("history_similar_success_0") + 0.4);
    assert!(column("history_nearest") > 0.5);
}
