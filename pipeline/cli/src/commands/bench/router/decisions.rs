//! Decisions per second on one core, piece by piece.

use std::hint::black_box;

use routewright_router::{
    Ask, BatchScratch, CacheSettings, Gateway, GatewayDecision, GatewaySettings, Learned, Live, LogSettings, Mode, OutcomeLog,
    PolicyScratch, Request, RouterScratch,
};

use super::measure::{Row, SEED_LEARNED, each, time};
use super::{Bench, Kind, Measured};

/// Decisions of a batch.
const BATCH: usize = 10_000;

/// Batches that a single forest predicts: one is over before the clock of the CPU moves.
const REPEATS: usize = 10;

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Measured> {
    let (router, n) = (&bench.router, bench.n_decisions);
    let (mut scratch, mut rows) = (RouterScratch::default(), Vec::new());
    rows.push(
        each("from text", n, |position| {
            black_box(router.decide(&bench.request(position), &mut scratch));
        })
        .against(SEED_LEARNED),
    );
    rows.push(from_features(bench));
    rows.extend(batches(bench));
    rows.extend(one_forest(bench).into_iter().flatten());
    let live = Live::new(router.clone(), CacheSettings { entries: bench.decisions.len().max(1), seconds: 3600 });
    rows.push(each("from text, repeated queries", n, |position| {
        black_box(live.decide(&bench.request(position), &mut scratch));
    }));
    let hit_rate = live.counts().hit_rate();
    let settings = GatewaySettings { mode: Mode::Live, treatment_share: 0.5, explore: 0.05, ..GatewaySettings::default() };
    let (gateway, mut shared) = (Gateway::new(settings)?, GatewayDecision::default());
    rows.push(each("from text, through the gateway", n, |position| {
        through(bench, &gateway, position, &mut scratch, &mut shared);
    }));
    let folder = tempfile::tempdir()?;
    let log = OutcomeLog::open(folder.path(), &LogSettings::default())?;
    rows.push(each("tracking alone", n, |position| {
        // A log that cannot be written shows in its counts below.
        let _written = log.record("trace", &bench.request(position), &router.policy().paths, &shared, router.digest());
    }));
    log.flush()?;
    let counts = log.counts();
    let notes = vec![
        format!("cache: {:.1} % of the repeated queries were there", 100.0 * hit_rate),
        format!("tracker: {} of {} lines written, {} lost", counts.written, counts.accepted, counts.dropped + counts.failed),
    ];
    Ok(Measured { kind: Kind::Decisions, rows, notes })
}

/// One decision through the gateway.
fn through(bench: &Bench, gateway: &Gateway, position: usize, scratch: &mut RouterScratch, shared: &mut GatewayDecision) {
    let (router, request) = (&bench.router, bench.request(position));
    let decided = router.decide(&request, scratch);
    let unit = request.session_id.unwrap_or(request.query);
    let ask = Ask {
        unit,
        trace_id: unit,
        n_paths: router.policy().paths.len(),
        static_arm: request.static_path.and_then(|name| router.policy().paths.arm(name)),
        learned: Learned::Path(decided.arm),
        candidates: &[],
        confidence: decided.confidence,
        fallback: decided.fallback,
    };
    gateway.decide(black_box(&ask), shared);
}

/// The rows of up to a batch of queries, one after another.
fn feature_rows(bench: &Bench, n: usize) -> Vec<f32> {
    let (mut scratch, mut rows) = (RouterScratch::default(), Vec::new());
    for position in 0..n {
        bench.router.decide(&bench.request(position), &mut scratch);
        rows.extend_from_slice(scratch.row());
    }
    rows
}

fn from_features(bench: &Bench) -> Row {
    let (policy, n_columns) = (bench.router.policy(), bench.router.encoder().n_columns());
    let n_rows = bench.n_decisions.min(BATCH);
    let (rows, mut scratch) = (feature_rows(bench, n_rows), PolicyScratch::default());
    each("from features", bench.n_decisions, |position| {
        let at = position % n_rows * n_columns;
        let static_arm = bench.request(position).static_path.and_then(|name| policy.paths.arm(name));
        black_box(policy.choose(&rows[at..at + n_columns], static_arm, &mut scratch));
    })
    .against(SEED_LEARNED)
}

/// Batches from text and from features: warm, once.
fn batches(bench: &Bench) -> [Row; 2] {
    let (router, n_columns) = (&bench.router, bench.router.encoder().n_columns());
    let requests: Vec<Request<'_>> = (0..BATCH).map(|position| bench.request(position)).collect();
    let (mut scratch, mut decided) = (BatchScratch::default(), Vec::new());
    router.decide_batch(&requests[..BATCH / 10], &mut scratch, &mut decided);
    let took = time(|| router.decide_batch(black_box(&requests), &mut scratch, &mut decided));
    let from_text = Row::of_batch("from text, batch of 10,000", BATCH, took).against(SEED_LEARNED);
    let (rows, mut predictions) = (feature_rows(bench, BATCH), Vec::new());
    let took = time(|| router.policy().predict_rows(black_box(&rows), n_columns, &mut predictions));
    let from_rows = Row::of_batch("from features, batch of 10,000", BATCH, took).against(SEED_LEARNED);
    [from_text, from_rows]
}

/// The success forest of the first path that has one, alone: what other libraries for forests are compared with.
fn one_forest(bench: &Bench) -> Option<[Row; 2]> {
    let (policy, n_columns) = (bench.router.policy(), bench.router.encoder().n_columns());
    let (path, forest) = policy.success.iter().enumerate().find_map(|(path, model)| Some((path, &model.as_ref()?.forest)))?;
    let name = &policy.paths.names()[path];
    let (rows, mut outputs) = (feature_rows(bench, BATCH), vec![0.0; BATCH]);
    let single = each(&format!("success forest of {name}"), bench.n_decisions, |position| {
        let at = position % BATCH * n_columns;
        forest.predict(black_box(&rows[at..at + n_columns]), &mut outputs[..1]);
    });
    let took = time(|| (0..REPEATS).for_each(|_| forest.predict_rows(black_box(&rows), &mut outputs)));
    Some([single, Row::of_batch(&format!("success forest of {name}, batches of 10,000"), REPEATS * BATCH, took)])
}
