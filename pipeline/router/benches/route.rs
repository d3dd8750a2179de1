//! Time of one decision: encoding, choosing, and both. Run with `cargo bench -p routewright-router`.
#![expect(clippy::expect_used, reason = "a benchmark stops at the first error")]

use std::sync::Arc;

use divan::{Bencher, black_box};
use routewright_domain::{Arm, Paths, Seed, Timestamp};
use routewright_router::{
    Calibration, Encoder, Forest, History, Node, Observation, Policy, PolicySettings, Request, Router, RouterScratch, Schema,
    SchemaSettings, Scratch, Side, SuccessModel, Tree,
};

const N_PATHS: usize = 5;
const N_TREES: usize = 100;
const TREE_DEPTH: u32 = 10;
const N_OBSERVATIONS: usize = 50_000;

fn main() {
    divan::main();
}

/// A query of about twelve words.
fn text(row: usize) -> String {
    let (verbs, things) =
        (["restart", "explain", "write", "fix", "compare"], ["server", "function", "poem", "query", "weather", "invoice", "graph"]);
    let word = |step: usize| things[row / step % things.len()];
    format!("please {} the {} and its {} before {} number {} is due in {}?", verbs[row % 5], word(1), word(5), word(7), row % 97, word(11))
}

/// A complete tree on pseudo-random columns.
fn tree(n_columns: usize, seed: Seed) -> Tree {
    let n_splits = (1_u32 << TREE_DEPTH) - 1;
    let split = |node: u32| {
        let draw = seed.derive("split", u64::from(node)).0;
        Node::split((draw % n_columns as u64) as u16, (draw >> 32) as f32 / u32::MAX as f32, Side::Left, 2 * node + 1, 1.0)
    };
    let leaves = (0..=n_splits).map(|leaf| Node::leaf(leaf, 1.0));
    let values = (0..=n_splits).map(|leaf| (seed.derive("leaf", u64::from(leaf)).0 >> 40) as f32 / (1 << 24) as f32).collect();
    Tree { nodes: (0..n_splits).map(split).chain(leaves).collect(), values, ..Tree::default() }
}

fn forest(n_columns: usize, seed: Seed) -> Forest {
    let trees: Vec<Tree> = (0..N_TREES).map(|index| tree(n_columns, seed.derive("tree", index as u64))).collect();
    Forest::new(n_columns, 1, &trees).expect("complete trees are valid")
}

/// A router on five paths with 50,000 outcomes, two forests of 100 trees per path.
fn router() -> Router {
    let texts: Vec<String> = (0..N_OBSERVATIONS).map(text).collect();
    let requests = texts.iter().map(|text| Request::new(text, Timestamp(0)));
    let paths = Paths::from_names((0..N_PATHS).map(|path| format!("path-{path}")));
    let schema = Arc::new(Schema::fit(&paths, requests, &SchemaSettings::default(), Seed(1)).expect("default settings are valid"));
    let (encoder, mut history) = (Encoder::new(schema.clone()), History::new(&schema));
    let (mut scratch, mut row) = (Scratch::default(), vec![0.0; encoder.n_columns()]);
    for (position, text) in texts.iter().enumerate() {
        let sketch = encoder.encode_query(&Request::new(text, Timestamp(0)), &mut scratch, &mut row);
        let arm = Arm((position % N_PATHS) as u16);
        let visible_at = Timestamp(position as i64 * 1_000_000);
        history.observe(Observation { visible_at, id: position as u64, arm, success: position % 3 > 0, latency_ms: Some(50.0), sketch });
    }
    history.advance(Timestamp(i64::MAX));
    let grown = |name: &str, path: usize| forest(schema.n_columns(), Seed(2).derive(name, path as u64));
    let policy = Policy {
        paths,
        success: (0..N_PATHS)
            .map(|path| Some(SuccessModel { forest: grown("success", path), calibration: Calibration::default() }))
            .collect(),
        latency: (0..N_PATHS).map(|path| Some(grown("latency", path))).collect(),
        cost: vec![None; N_PATHS],
        classifier: None,
        support: vec![10_000; N_PATHS],
        settings: PolicySettings::default(),
    };
    Router::new(schema, policy, history)
}

#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let router = router();
    let (mut scratch, mut row) = (Scratch::default(), vec![0.0; router.encoder().n_columns()]);
    let texts: Vec<String> = (0..1000).map(text).collect();
    let mut next = 0;
    bencher.bench_local(|| {
        next = (next + 1) % texts.len();
        let request = Request::new(&texts[next], Timestamp(i64::MAX / 2));
        router.encoder().encode(black_box(&request), router.history(), &mut scratch, &mut row)
    });
}

#[divan::bench]
fn encode_query_only(bencher: Bencher<'_, '_>) {
    let router = router();
    let (mut scratch, mut row) = (Scratch::default(), vec![0.0; router.encoder().n_columns()]);
    let texts: Vec<String> = (0..1000).map(text).collect();
    let mut next = 0;
    bencher.bench_local(|| {
        next = (next + 1) % texts.len();
        router.encoder().encode_query(black_box(&Request::new(&texts[next], Timestamp(i64::MAX / 2))), &mut scratch, &mut row)
    });
}

#[divan::bench]
fn choose_from_row(bencher: Bencher<'_, '_>) {
    let router = router();
    let (mut scratch, request) = (RouterScratch::default(), text(5));
    router.decide(&Request::new(&request, Timestamp(i64::MAX / 2)), &mut scratch);
    let row = scratch.row().to_vec();
    let mut predictions = scratch.predictions().clone();
    bencher.bench_local(|| router.policy().choose(black_box(&row), Some(Arm(0)), &mut predictions));
}

#[divan::bench]
fn route_from_text(bencher: Bencher<'_, '_>) {
    let router = router();
    let mut scratch = RouterScratch::default();
    let texts: Vec<String> = (0..1000).map(text).collect();
    let mut next = 0;
    bencher.bench_local(|| {
        next = (next + 1) % texts.len();
        let request = Request { static_path: Some("path-0"), ..Request::new(&texts[next], Timestamp(i64::MAX / 2)) };
        router.decide(black_box(&request), &mut scratch)
    });
}
