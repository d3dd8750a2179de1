//! The artifact: what was packed is loaded, decides the same, and damage is an error that names the file.
#![expect(clippy::unwrap_used, reason = "fixtures of tests stop at the first error")]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use routewright_domain::{Arm, Paths, Scalar, Seed, Timestamp};
use routewright_router::{
    Ask, BatchScratch, CacheSettings, Calibration, Encoder, Fallback, Forest, Gateway, GatewayDecision, GatewaySettings, Golden, History,
    Isotonic, Learned, Live, Mode, Node, Observation, Parts, Platt, Policy, PolicySettings, Provenance, Request, Router, RouterScratch,
    Rules, RulesScratch, Schema, SchemaSettings, Scratch, Side, SuccessModel, TrainingWindow, Tree, onnx_files, pack,
};

type Files = BTreeMap<String, Vec<u8>>;

/// Texts of two kinds.
fn text(row: i64) -> String {
    let words = ["restart", "server", "deploy", "poem", "story", "joke"];
    format!("please {} the {} number {}", words[(row % 6) as usize], words[(row / 2 % 6) as usize], row % 10)
}

/// A forest of one stump on a column.
fn stump(schema: &Schema, column: &str, low: &[f32], high: &[f32]) -> Forest {
    let feature = schema.columns().iter().position(|found| found.name == column).unwrap() as u16;
    let nodes = vec![Node::split(feature, 0.0, Side::Left, 1, 2.0), Node::leaf(0, 1.0), Node::leaf(1, 1.0)];
    Forest::new(schema.n_columns(), low.len(), &[Tree { nodes, values: [low, high].concat(), ..Tree::default() }]).unwrap()
}

/// A router on two paths with some history, not yet packed.
fn router() -> Router {
    let texts: Vec<String> = (0..150).map(text).collect();
    let requests = texts.iter().map(|text| Request::new(text, Timestamp(0)));
    let schema = Arc::new(Schema::fit(&Paths::from_names(["chat", "tool"]), requests, &SchemaSettings::default(), Seed(9)).unwrap());
    let encoder = Encoder::new(schema.clone());
    let (mut history, mut scratch, mut row) = (History::new(&schema), Scratch::default(), vec![0.0; encoder.n_columns()]);
    for (position, text) in texts.iter().enumerate() {
        let sketch = encoder.encode_query(&Request::new(text, Timestamp(0)), &mut scratch, &mut row);
        let (visible_at, id) = (Timestamp(position as i64), position as u64);
        let (arm, success) = (Arm((position % 2) as u16), position % 3 > 0);
        history.observe(Observation { visible_at, id, arm, success, latency_ms: Some(100.0), sketch });
    }
    history.advance(Timestamp(140));
    let success =
        |low, high| Some(SuccessModel { forest: stump(&schema, "keywords_system", &[low], &[high]), calibration: Calibration::default() });
    let policy = Policy {
        paths: schema.paths().clone(),
        success: vec![success(0.9, 0.4), success(0.5, 0.8)],
        latency: vec![Some(stump(&schema, "history_nearest", &[4.0], &[5.0])), None],
        cost: vec![None, Some(0.01)],
        classifier: Some(stump(&schema, "text_words", &[0.5, 0.5], &[0.9, 0.1])),
        support: vec![75, 75],
        settings: PolicySettings::default(),
    };
    Router::new(schema, policy, history)
}

/// The artifact of [`router`], with its golden decisions.
fn artifact() -> Files {
    pack_router(&router(), 6, &BTreeMap::from([("classifier.onnx".to_owned(), vec![1, 2, 3])]))
}

/// An artifact with as many golden decisions.
fn pack_router(router: &Router, n_golden: i64, extra_files: &Files) -> Files {
    let extras = BTreeMap::from([("load".to_owned(), Scalar::Number(0.1))]);
    let golden: Vec<Golden> = (0..n_golden)
        .map(|row| {
            let text = text(row * 7);
            let request = Request { static_path: Some("chat"), extras: &extras, ..Request::new(&text, Timestamp(200 + row)) };
            Golden::record(router, &request)
        })
        .collect();
    let provenance = Provenance {
        product_version: "0.1.0".to_owned(),
        training_window: TrainingWindow { first: Timestamp(0), last: Timestamp(140), rows: 150 },
        data_digest: "d".repeat(64),
        settings_digest: "s".repeat(64),
        seed: Seed(9),
        metrics: BTreeMap::from([("log_loss".to_owned(), 0.5)]),
    };
    let parts = Parts {
        schema: router.encoder().schema(),
        policy: router.policy(),
        history: router.history(),
        golden: &golden,
        provenance: &provenance,
        extra_files,
    };
    pack(&parts).unwrap()
}

static ARTIFACT: LazyLock<Files> = LazyLock::new(artifact);

#[test]
fn a_packed_router_decides_as_before() {
    let (before, after) = (router(), Router::load(&ARTIFACT).unwrap());
    assert_eq!(after.verify(), Ok(6));
    for row in 0..40 {
        let text = text(row);
        let request = Request { static_path: Some("chat"), ..Request::new(&text, Timestamp(500 + row)) };
        let (mut one, mut other) = (RouterScratch::default(), RouterScratch::default());
        assert_eq!(before.decide(&request, &mut one), after.decide(&request, &mut other));
        let bits = |scratch: &RouterScratch| scratch.row().iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&one), bits(&other));
    }
    assert_eq!(after.digest().len(), 64);
    assert_eq!(after.route(&Request::new("x", Timestamp(0))).artifact_digest, after.digest());
}

#[test]
fn a_batch_decides_as_one_by_one() {
    let router = Router::load(&ARTIFACT).unwrap();
    let texts: Vec<String> = (0..40).map(text).collect();
    let static_path = |row: usize| [None, Some("chat"), Some("tool"), Some("oracle")][row % 4];
    let requests: Vec<Request<'_>> = texts
        .iter()
        .enumerate()
        .map(|(row, text)| Request { static_path: static_path(row), ..Request::new(text, Timestamp(500)) })
        .collect();
    let (mut scratch, mut decided) = (BatchScratch::default(), Vec::new());
    router.decide_batch(&requests, &mut scratch, &mut decided);
    let mut single = RouterScratch::default();
    for ((request, found), predictions) in requests.iter().zip(&decided).zip(scratch.predictions()) {
        assert_eq!(*found, router.decide(request, &mut single));
        let bits = |numbers: &[f64]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&predictions.success), bits(&single.predictions().success));
        assert_eq!(bits(&predictions.utility), bits(&single.predictions().utility));
    }
}

/// Queries in other languages, in code, and of nothing that tells a language.
const STRANGE_TEXTS: [&str; 14] = [
    "¿por qué se rompe la página cuando reinicio el servidor?",
    "pourquoi la page ne s'ouvre pas quand je redémarre le serveur ?",
    "warum öffnet sich die Seite nicht, wenn ich den Server neu starte?",
    "dlaczego strona się nie otwiera, gdy uruchamiam ponownie serwer?",
    "tại sao trang không mở khi tôi khởi động lại máy chủ?",
    "почему страница не открывается, когда я перезапускаю сервер?",
    "为什么重启服务器后页面打不开？",
    "サーバーを再起動するとページが開かないのはなぜですか？",
    "서버를 다시 시작하면 왜 페이지가 열리지 않나요?",
    "لماذا لا تفتح الصفحة عندما أعيد تشغيل الخادم؟",
    "सर्वर को फिर से शुरू करने पर पेज क्यों नहीं खुलता?",
    "let total: u64 = rows.iter().map(|row| row.n_items).sum();",
    "nginx postgres redis kafka zookeeper",
    "mail a.b@example.org before 2026-01-31 09:30, version 1.2.3, $40",
];

#[test]
fn deciding_allocates_nothing_after_the_first_few() {
    let texts: Vec<String> = (0..40).map(text).chain(STRANGE_TEXTS.map(str::to_owned)).collect();
    let live = Live::new(Router::load(&ARTIFACT).unwrap(), CacheSettings { entries: 16, seconds: 1 });
    let uncached = Live::new(Router::load(&ARTIFACT).unwrap(), CacheSettings { entries: 0, seconds: 1 });
    let settings = GatewaySettings { mode: Mode::Live, treatment_share: 0.5, explore: 0.1, ..GatewaySettings::default() };
    let (gateway, rules) = (Gateway::new(settings).unwrap(), Rules::keyword_cascade().unwrap());
    let (mut scratch, mut decision, mut words) = (RouterScratch::default(), GatewayDecision::default(), RulesScratch::default());
    let mut decide_all = || {
        for text in &texts {
            let request = Request { static_path: Some("chat"), ..Request::new(text, Timestamp(500)) };
            let decided = uncached.decide(&request, &mut scratch);
            assert_eq!(live.decide(&request, &mut scratch), decided);
            let ask = Ask {
                unit: text,
                trace_id: text,
                n_paths: 2,
                static_arm: Some(Arm(0)),
                learned: Learned::Path(decided.arm),
                candidates: &[],
                confidence: decided.confidence,
                fallback: decided.fallback,
            };
            gateway.decide(&ask, &mut decision);
            rules.route(&request, &mut words);
        }
    };
    (0..20).for_each(|_| decide_all());
    assert_eq!(allocation_counter::measure(decide_all).count_total, 0);
}

#[test]
fn a_swapped_router_answers_at_once_and_repeated_queries_are_counted() {
    let live = Live::new(Router::load(&ARTIFACT).unwrap(), CacheSettings::default());
    let mut scratch = RouterScratch::default();
    let request = Request { static_path: Some("chat"), ..Request::new("restart the server", Timestamp(1000)) };
    let before = live.decide(&request, &mut scratch);
    assert_eq!((before, before.arm), (live.decide(&request, &mut scratch), Some(Arm(1))));
    assert_eq!((live.counts().hits, live.counts().misses), (1, 1));
    let mut strict = router().policy().clone();
    strict.settings.min_confidence = 1.0;
    let other = router();
    let old = live.swap(Router::new(other.encoder().schema().clone(), strict, other.history().clone()));
    assert_eq!(old.digest().len(), 64);
    assert_eq!(live.decide(&request, &mut scratch).fallback, Some(Fallback::LowConfidence));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..200).for_each(|_| assert!(live.decide(&request, &mut RouterScratch::default()).arm.is_some())));
        }
        (0..20).for_each(|_| drop(live.swap(router())));
    });
    assert_eq!(live.decide(&request, &mut scratch), before);
}

#[test]
fn equal_parts_give_equal_bytes() {
    assert!(*ARTIFACT == artifact());
}

#[test]
fn a_system_query_goes_to_the_tool_path() {
    let router = Router::load(&ARTIFACT).unwrap();
    let request = Request { static_path: Some("chat"), ..Request::new("restart the server", Timestamp(1000)) };
    let routed = router.route(&request);
    assert_eq!((routed.path, routed.fallback), (Some("tool"), None));
    assert!((routed.success[1] - 0.8).abs() < 1e-6 && routed.latency_ms[1].is_nan());
}

#[test]
fn a_static_path_that_the_model_does_not_know_is_kept() {
    let router = Router::load(&ARTIFACT).unwrap();
    let request = Request { static_path: Some("oracle"), ..Request::new("restart the server", Timestamp(1000)) };
    let routed = router.route(&request);
    assert_eq!((routed.path, routed.learned_path, routed.fallback), (Some("oracle"), Some("tool"), Some(Fallback::NoModel)));
}

#[test]
fn a_missing_file_is_named() {
    for name in ARTIFACT.keys() {
        let mut files = ARTIFACT.clone();
        files.remove(name);
        assert_eq!(Router::load(&files).unwrap_err().to_string(), format!("`{name}` is missing"));
    }
}

#[test]
fn another_version_is_refused() {
    let mut files = ARTIFACT.clone();
    let manifest = String::from_utf8(files["manifest.json"].clone()).unwrap();
    let newer = manifest.replace("\"format_version\": 1", "\"format_version\": 2");
    files.insert("manifest.json".to_owned(), newer.into_bytes());
    let error = Router::load(&files).unwrap_err();
    assert_eq!(error.to_string(), "`manifest.json`: artifact version 2, this program reads 1");
}

#[test]
fn a_file_that_passes_its_digest_is_still_checked() {
    for name in ["forest.bin", "features.json", "history.bin", "golden.jsonl"] {
        let mut files = ARTIFACT.clone();
        files.insert(name.to_owned(), b"{}\n".to_vec());
        let error = Router::load(&seal(files)).unwrap_err().to_string();
        assert!(error.contains(name), "{name}: {error}");
    }
}

#[test]
fn a_golden_decision_that_is_not_repeated_is_named() {
    let mut files = ARTIFACT.clone();
    let golden = String::from_utf8(files["golden.jsonl"].clone()).unwrap();
    files.insert("golden.jsonl".to_owned(), golden.replacen("\"fallback\":null", "\"fallback\":\"no_model\"", 1).into_bytes());
    let error = Router::load(&seal(files)).unwrap().verify().unwrap_err();
    assert_eq!((error.field, error.found.as_str(), error.expected.as_str()), ("fallback", "none", "no_model"));
}

/// The artifact of format version 1 as it was first written, with every kind of calibration and the ONNX exports.
const FROZEN: [(&str, &[u8]); 8] = [
    ("classifier.onnx", include_bytes!("../../../tests/golden/artifact-v1/classifier.onnx")),
    ("features.json", include_bytes!("../../../tests/golden/artifact-v1/features.json")),
    ("forest.bin", include_bytes!("../../../tests/golden/artifact-v1/forest.bin")),
    ("golden.jsonl", include_bytes!("../../../tests/golden/artifact-v1/golden.jsonl")),
    ("history.bin", include_bytes!("../../../tests/golden/artifact-v1/history.bin")),
    ("latency.onnx", include_bytes!("../../../tests/golden/artifact-v1/latency.onnx")),
    ("manifest.json", include_bytes!("../../../tests/golden/artifact-v1/manifest.json")),
    ("success.onnx", include_bytes!("../../../tests/golden/artifact-v1/success.onnx")),
];

/// A red test here means that artifacts in service would no longer load, or decide otherwise: raise `ARTIFACT_VERSION` and keep reading
/// version 1. Only as long as no version is released, the sample may be frozen anew: `cargo test --test artifact freeze -- --ignored`.
#[test]
fn the_frozen_artifact_of_version_1_is_loaded_and_decides_as_then() {
    let files: Files = FROZEN.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
    let router = Router::load(&files).unwrap();
    assert_eq!(router.verify(), Ok(24));
    let exports = onnx_files(router.policy(), router.encoder().n_columns());
    assert!(exports.iter().all(|(name, bytes)| files[name] == *bytes));
}

#[test]
#[ignore = "writes the frozen sample"]
fn freeze() {
    let plain = router();
    let schema = plain.encoder().schema().clone();
    let mut policy = plain.policy().clone();
    let isotonic = Isotonic::new(vec![0.1, 0.45, 0.85], vec![0.2, 0.5, 0.95]).unwrap();
    let calibrations = [Calibration::Isotonic(isotonic), Calibration::Platt(Platt::new(1.2, -0.1).unwrap())];
    for (model, calibration) in policy.success.iter_mut().flatten().zip(calibrations) {
        model.calibration = calibration;
    }
    let router = Router::new(schema, policy, plain.history().clone());
    let exports = onnx_files(router.policy(), router.encoder().n_columns());
    for (name, bytes) in pack_router(&router, 24, &exports) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/artifact-v1");
        std::fs::create_dir_all(folder).unwrap();
        let mut file = std::fs::File::options().create(true).truncate(true).write(true).open(format!("{folder}/{name}")).unwrap();
        std::io::Write::write_all(&mut file, &bytes).unwrap();
    }
}

/// Brings sizes and digests of the manifest up to date, as an attacker would.
fn seal(mut files: Files) -> Files {
    let mut manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    for (name, bytes) in files.iter().filter(|(name, _)| *name != "manifest.json") {
        manifest["files"][name] = serde_json::json!({ "bytes": bytes.len(), "sha256": routewright_router::sha256_hex(bytes) });
    }
    manifest["feature_schema_digest"] = manifest["files"]["features.json"]["sha256"].clone();
    files.insert("manifest.json".to_owned(), serde_json::to_vec(&manifest).unwrap());
    files
}

/// Flips bits of one byte of one file.
fn flip(files: &Files, file: prop::sample::Index, position: prop::sample::Index, flip: u8) -> (String, Files) {
    let mut files = files.clone();
    let name = files.keys().nth(file.index(files.len())).unwrap().clone();
    let bytes = files.get_mut(&name).unwrap();
    let position = position.index(bytes.len());
    bytes[position] ^= flip;
    (name, files)
}

proptest! {
    #[test]
    fn a_flipped_byte_is_an_error_that_names_the_file(file in any::<prop::sample::Index>(), position in any::<prop::sample::Index>(), mask in 1..=255_u8) {
        let (name, files) = flip(&ARTIFACT, file, position, mask);
        match Router::load(&files) {
            Err(error) => prop_assert!(error.to_string().contains(&name) || name == "manifest.json", "{}: {}", name, error),
            // Only words of the manifest that nothing is checked against may change unseen here; its own digest tells.
            Ok(router) => {
                prop_assert_eq!(name, "manifest.json");
                prop_assert!(router.digest() != Router::load(&ARTIFACT).unwrap().digest());
            }
        }
    }

    #[test]
    fn a_flipped_byte_behind_a_valid_digest_never_panics(file in any::<prop::sample::Index>(), position in any::<prop::sample::Index>(), mask in 1..=255_u8) {
        let (name, files) = flip(&ARTIFACT, file, position, mask);
        if name != "manifest.json" && let Ok(router) = Router::load(&seal(files)) {
            let _repeated = router.verify();
            router.route(&Request::new("restart the server", Timestamp(1000)));
        }
    }
}
