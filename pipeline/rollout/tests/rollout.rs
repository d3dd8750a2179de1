//! A rollout on disk: what changes the deployment, what refuses to, and what a kill or a damaged file leaves.
#![expect(clippy::unwrap_used, reason = "fixtures of tests stop at the first error")]

use std::path::{Path, PathBuf};

use routewright_domain::Timestamp;
use routewright_rollout::{
    Action, Advance, Ask, Assessment, Back, Deployment, Look, Outcome, Promote, RolloutError, RolloutSettings, Standing, Status, Step,
    Store, Verdict, advance, deploy, roll_back,
};
use routewright_router::{Environment, GatewaySettings, Group};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// The frozen sample of the artifact's first version.
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/artifact-v1");

/// A project with artifacts that differ in their manifests only.
struct World {
    folder: tempfile::TempDir,
    store: Store,
    settings: RolloutSettings,
    outcomes: Vec<Outcome>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = RolloutSettings { min_days: 1.0, ..RolloutSettings::default() };
        Self { store: Store::open(folder.path()), folder, settings, outcomes: Vec::new() }
    }

    /// An artifact of its own digest and, as the gate sees it, the same models.
    fn artifact(&self, seed: u32) -> PathBuf {
        let folder = self.folder.path().join(format!("artifact-{seed}"));
        std::fs::create_dir_all(&folder).unwrap();
        for entry in std::fs::read_dir(SAMPLE).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            if name == "manifest.json" {
                let text = std::fs::read_to_string(&path).unwrap().replace("\"seed\": 9", &format!("\"seed\": {seed}"));
                std::fs::write(folder.join(name), text).unwrap();
            } else {
                std::fs::copy(&path, folder.join(name)).unwrap();
            }
        }
        folder
    }

    fn digest(&self, seed: u32) -> String {
        self.store.verify(&self.artifact(seed)).unwrap().digest
    }

    fn verdict(&self, accepted: bool) -> Verdict {
        let models = Some(self.store.verify(Path::new(SAMPLE)).unwrap().models);
        Verdict { accepted, conclusive: true, models, words: if accepted { "ADOPT" } else { "KEEP" }.to_owned() }
    }

    /// Tasks of a day, a thousand of them, in groups of the share, with success rates in percent.
    fn day(&mut self, day: i64, share: f64, treated: u64, control: u64) {
        let n_treated = (1000.0 * share) as u64;
        for row in 0..1000_u64 {
            let (group, rate) = if row < n_treated { (Group::Treatment, treated) } else { (Group::Control, control) };
            self.outcomes.push(Outcome {
                timestamp: Timestamp(day * DAY + 12 * HOUR + row as i64),
                group,
                // 37 and 100 have no common factor: every hundred tasks hold the rate exactly.
                success: Some(row * 37 % 100 < rate),
                latency_ms: Some(100.0),
                hallucination: Some(false),
                error: None,
                fallback: None,
            });
        }
    }

    fn deploy(&self, step: Step, artifact: Option<u32>, force: Option<&str>, day: i64) -> Result<Step, RolloutError> {
        let folder = artifact.map(|seed| self.artifact(seed));
        let ask = Ask { step, artifact: folder.as_deref(), force };
        deploy(&self.store, ask, &self.seen(&self.verdict(true), day)).map(|deployment| deployment.stage)
    }

    fn seen<'a>(&'a self, verdict: &'a Verdict, day: i64) -> Look<'a> {
        Look { outcomes: &self.outcomes, verdict, settings: &self.settings, now: night(day) }
    }

    /// The nightly look, under a verdict.
    fn look_under(&self, verdict: &Verdict, day: i64) -> (Advance, Assessment) {
        let (done, assessment) = advance(&self.store, Promote::WhenReady, &self.seen(verdict, day)).unwrap();
        (done, assessment.unwrap())
    }

    fn look(&self, day: i64) -> Advance {
        self.look_under(&self.verdict(true), day).0
    }

    fn roll_back(&self, to: Option<&str>, day: i64) -> Result<Deployment, RolloutError> {
        roll_back(&self.store, Back { to, reason: "a word", force: None }, &self.settings, night(day))
    }

    fn share(&self) -> f64 {
        self.store.load().unwrap().unwrap().configuration.ab_test_percentage
    }

    /// A rollout that has climbed to full by the day it gives.
    fn climbed(&mut self, artifact: u32, mut day: i64) -> i64 {
        self.deploy(Step::Shadow, Some(artifact), None, day).unwrap();
        while self.share() < 1.0 {
            self.day(day + 1, self.share(), 90, 80);
            day += 2;
            self.look(day);
            assert!(day < 200, "it never climbs");
        }
        day
    }
}

/// Two o'clock in the morning of a day: the nightly look.
fn night(day: i64) -> Timestamp {
    Timestamp(day * DAY + 2 * HOUR)
}

#[test]
fn a_better_artifact_climbs_every_step() {
    let mut world = World::new();
    world.climbed(1, 0);
    let deployment = world.store.load().unwrap().unwrap();
    let climbed: Vec<Step> = deployment.history.iter().map(|event| event.stage).collect();
    assert_eq!(climbed, routewright_rollout::LADDER);
    assert_eq!(
        (deployment.verdict.unwrap().words.as_str(), deployment.configuration.model_path),
        ("ADOPT", format!("models/deployed/{}", world.digest(1)))
    );
    assert_eq!(world.look(300), Advance::Nothing);
}

#[test]
fn a_harmful_one_is_stopped_and_stays_so() {
    let mut world = World::new();
    world.deploy(Step::Shadow, Some(1), None, 0).unwrap();
    world.day(1, 0.0, 0, 80);
    assert_eq!(world.look(2), Advance::Promoted(Step::Canary));
    let mut day = 3;
    while !matches!(world.look(day), Advance::Stopped(_)) {
        world.day(day, 0.1, 60, 80);
        day += 1;
        assert!(day < 20, "a harm of 20 points goes on");
    }
    let deployment = world.store.load().unwrap().unwrap();
    assert_eq!((deployment.status, world.share(), deployment.configuration.enable_neural), (Status::RolledBack, 0.0, false));
    assert!(deployment.history.last().unwrap().reason.starts_with("success breached on 1970-01-"), "{:?}", deployment.history.last());
    // It may be looked at again, and takes no traffic without a word from somebody.
    world.deploy(Step::Shadow, None, None, day).unwrap();
    world.day(day + 1, 0.0, 0, 80);
    let refused = world.deploy(Step::Canary, None, None, day + 2).unwrap_err();
    assert!(
        matches!(&refused, RolloutError::Unmet { is_refused: true, .. }) && refused.to_string().contains("was stopped on"),
        "{refused}"
    );
    assert_eq!(world.deploy(Step::Canary, None, Some("the log was wrong"), day + 2).unwrap(), Step::Canary);
    let deployment = world.store.load().unwrap().unwrap();
    assert_eq!(deployment.history.last().unwrap().forced.as_deref(), Some("the log was wrong"));
    world.day(day + 3, 0.1, 90, 80);
    assert_eq!(world.look(day + 4), Advance::Promoted(Step::Quarter), "what was overridden no longer counts");
}

#[test]
fn a_breach_holds_where_the_settings_say_so() {
    let mut world = World::new();
    world.settings.on_breach = routewright_rollout::OnBreach::Hold;
    world.deploy(Step::Shadow, Some(1), None, 0).unwrap();
    world.deploy(Step::Half, None, Some("a test"), 0).unwrap();
    (1..5).for_each(|day| world.day(day, 0.5, 60, 80));
    assert!(matches!(world.look(5), Advance::Held(_)));
    assert_eq!(world.share(), 0.5);
}

#[test]
fn steps_are_not_skipped_and_wait_for_what_they_need() {
    let mut world = World::new();
    world.deploy(Step::Shadow, Some(1), None, 0).unwrap();
    let skipped = world.deploy(Step::Half, None, None, 0).unwrap_err();
    assert_eq!(
        skipped.to_string(),
        "the rollout is at shadow (0 %), the next step is canary (10 %); `--force REASON` takes 50 % at once, and is recorded"
    );
    let waits = world.deploy(Step::Canary, None, None, 0).unwrap_err();
    assert!(matches!(&waits, RolloutError::Unmet { is_refused: false, requirements, .. } if requirements.len() == 3), "{waits}");
    world.day(1, 0.0, 0, 80);
    let ask = Ask { step: Step::Canary, artifact: None, force: None };
    let kept = deploy(&world.store, ask, &world.seen(&world.verdict(false), 2));
    assert_eq!(kept.unwrap_err().to_string(), "canary (10 %) may not be taken: KEEP");
    assert_eq!(world.deploy(Step::Canary, None, None, 2).unwrap(), Step::Canary);
    assert!(matches!(world.deploy(Step::Canary, None, None, 2), Err(RolloutError::Already { .. })));
    assert_eq!(world.deploy(Step::Shadow, None, None, 2).unwrap(), Step::Shadow, "less traffic never waits");
    assert!(matches!(world.deploy(Step::Half, None, Some(" "), 2), Err(RolloutError::NoReason)));
}

#[test]
fn a_verdict_on_other_models_is_none() {
    let mut world = World::new();
    let other = Verdict { models: Some("another".to_owned()), ..world.verdict(true) };
    let folder = world.artifact(1);
    let ask = Ask { step: Step::Shadow, artifact: Some(&folder), force: None };
    deploy(&world.store, ask, &world.seen(&other, 0)).unwrap();
    world.day(1, 0.0, 0, 80);
    let (done, assessment) = world.look_under(&other, 2);
    assert_eq!((done, assessment.unmet()[0].name), (Advance::Waited, "verdict"));
    assert_eq!(world.look(2), Advance::Promoted(Step::Canary));
    // The gate judges the next candidate meanwhile: the verdict of then counts.
    let assessment = world.look_under(&other, 3).1;
    assert!(assessment.requirements.iter().any(|requirement| requirement.name == "verdict" && requirement.met), "{assessment:?}");
}

#[test]
fn the_verdict_under_which_a_rollout_began_counts_while_others_are_judged() {
    let mut world = World::new();
    world.deploy(Step::Shadow, Some(1), None, 0).unwrap();
    world.day(1, 0.0, 0, 80);
    // The line judges the next challenger before the first nightly look: the artifact in shadow is still the one that was accepted.
    let other = Verdict { accepted: false, models: Some("another".to_owned()), ..world.verdict(true) };
    assert_eq!(world.look_under(&other, 2).0, Advance::Promoted(Step::Canary));
    // What was refused when it began waits for a verdict of its own.
    let folder = world.artifact(2);
    let ask = Ask { step: Step::Shadow, artifact: Some(&folder), force: None };
    deploy(&world.store, ask, &world.seen(&world.verdict(false), 2)).unwrap();
    world.day(3, 0.0, 0, 80);
    assert_eq!(world.look_under(&other, 4).0, Advance::Waited);
}

#[test]
fn a_verdict_that_newer_data_have_aged_still_counts_and_one_that_turned_does_not() {
    let mut world = World::new();
    world.deploy(Step::Shadow, Some(1), None, 0).unwrap();
    world.day(1, 0.0, 0, 80);
    // The gate does not believe a decision on a log that has grown since, and every night's log grows.
    let aged = Verdict { accepted: false, conclusive: false, ..world.verdict(true) };
    assert_eq!(world.look_under(&aged, 2).0, Advance::Promoted(Step::Canary));
    world.day(2, 0.1, 90, 80);
    world.day(3, 0.1, 90, 80);
    let (done, assessment) = world.look_under(&world.verdict(false), 4);
    assert_eq!((done, assessment.standing), (Advance::Waited, Standing::Refused), "proven against on newer data");
    assert_eq!(world.look_under(&aged, 4).0, Advance::Promoted(Step::Quarter));
}

#[test]
fn nothing_is_promoted_on_stale_outcomes() {
    let mut world = World::new();
    world.deploy(Step::Shadow, Some(1), None, 0).unwrap();
    world.day(1, 0.0, 0, 80);
    assert_eq!(world.look(9), Advance::Waited);
    world.day(9, 0.0, 0, 80);
    assert_eq!(world.look(10), Advance::Promoted(Step::Canary));
}

#[test]
fn a_challenger_has_the_champion_as_its_baseline_and_falls_back_to_it() {
    let mut world = World::new();
    let day = world.climbed(1, 0);
    world.deploy(Step::Shadow, Some(2), None, day).unwrap();
    let deployment = world.store.load().unwrap().unwrap();
    let (champion, challenger) = (world.digest(1), world.digest(2));
    assert_eq!((deployment.artifact, deployment.baseline.as_ref()), (challenger.clone(), Some(&champion)));
    assert_eq!(deployment.configuration.baseline_path, Some(format!("models/deployed/{champion}")));
    assert_eq!(world.share(), 0.0);
    let back = world.roll_back(None, day + 1).unwrap();
    assert_eq!(
        (back.artifact.clone(), back.stage, back.status, back.configuration.ab_test_percentage),
        (champion.clone(), Step::Full, Status::Deployed, 1.0)
    );
    assert_eq!(back.history.last().unwrap().action, Action::RollBack);
    // And on to the rules.
    let rules = world.roll_back(None, day + 2).unwrap();
    assert_eq!((rules.status, rules.configuration.ab_test_percentage), (Status::RolledBack, 0.0));
    assert!(matches!(world.roll_back(None, day + 3), Err(RolloutError::NothingToRollBack)));
    // And to any that is kept, by the beginning of its digest.
    let again = world.roll_back(Some(&champion[..8]), day + 3).unwrap();
    assert_eq!((again.artifact.as_str(), again.stage), (champion.as_str(), Step::Full));
    let unknown = world.roll_back(Some("xyz"), day + 3).unwrap_err();
    assert!(unknown.to_string().starts_with("no retained artifact begins with `xyz`, there are "), "{unknown}");
}

#[test]
fn no_force_deploys_a_damaged_artifact_and_no_rollback_returns_to_one() {
    let mut world = World::new();
    let damaged = world.artifact(3);
    std::fs::write(damaged.join("forest.bin"), b"nothing").unwrap();
    let ask = Ask { step: Step::Full, artifact: Some(&damaged), force: Some("trust me") };
    let refused = deploy(&world.store, ask, &world.seen(&world.verdict(true), 0)).unwrap_err();
    assert!(matches!(refused, RolloutError::Artifact { .. }), "{refused}");
    assert_eq!((world.store.load().unwrap(), world.store.retained().unwrap()), (None, Vec::new()));
    let day = world.climbed(1, 0);
    world.deploy(Step::Shadow, Some(2), None, day).unwrap();
    // The champion rots on disk: the next step is refused nothing by that, but the rollback goes to the rules.
    std::fs::write(world.store.folder(&world.digest(1)).join("history.bin"), b"rot").unwrap();
    let digest = world.digest(1);
    assert!(matches!(world.roll_back(Some(&digest), day), Err(RolloutError::Artifact { .. })));
    let back = world.roll_back(None, day).unwrap();
    assert_eq!(back.status, Status::RolledBack);
}

#[test]
fn a_rotten_artifact_is_not_promoted() {
    let mut world = World::new();
    world.deploy(Step::Shadow, Some(1), None, 0).unwrap();
    world.day(1, 0.0, 0, 80);
    std::fs::write(world.store.folder(&world.digest(1)).join("forest.bin"), b"rot").unwrap();
    let (done, assessment) = world.look_under(&world.verdict(true), 2);
    assert_eq!((done, assessment.standing), (Advance::Waited, Standing::Refused));
}

#[test]
fn an_artifact_that_was_exchanged_for_another_is_not_returned_to() {
    let mut world = World::new();
    let day = world.climbed(1, 0);
    world.deploy(Step::Shadow, Some(2), None, day).unwrap();
    std::fs::copy(world.artifact(3).join("manifest.json"), world.store.folder(&world.digest(1)).join("manifest.json")).unwrap();
    let refused = world.roll_back(Some(&world.digest(1)), day).unwrap_err();
    assert!(matches!(refused, RolloutError::Artifact { .. }), "{refused}");
}

#[test]
fn artifacts_are_kept_while_they_may_be_wanted() {
    let mut world = World::new();
    world.settings.keep = 1;
    let day = world.climbed(1, 0);
    for seed in 2..6 {
        world.deploy(Step::Shadow, Some(seed), None, day + i64::from(seed)).unwrap();
    }
    let mut expected = [1, 4, 5].map(|seed| world.digest(seed));
    expected.sort();
    assert_eq!(world.store.retained().unwrap(), expected, "the baseline, the one before, the one in use");
}

#[test]
fn what_a_kill_left_behind_is_removed_and_never_found() {
    let mut world = World::new();
    world.deploy(Step::Shadow, Some(1), None, 0).unwrap();
    let half = world.folder.path().join("models/deployed/.unfinished-x");
    std::fs::create_dir_all(&half).unwrap();
    assert_eq!(world.store.retained().unwrap(), [world.digest(1)]);
    world.day(1, 0.0, 0, 80);
    world.look(2);
    assert!(!half.exists());
}

#[test]
fn a_deployment_of_another_version_or_without_sense_is_refused() {
    let world = World::new();
    world.deploy(Step::Shadow, Some(1), None, 0).unwrap();
    let text = std::fs::read_to_string(world.store.place()).unwrap();
    std::fs::write(world.store.place(), text.replace("\"schema_version\": 1", "\"schema_version\": 2")).unwrap();
    assert!(matches!(world.store.load(), Err(RolloutError::Version { found: 2, expected: 1, .. })));
    for damaged in [&text[..text.len() / 2], "", "[]", "{}"] {
        std::fs::write(world.store.place(), damaged).unwrap();
        assert!(matches!(world.store.load(), Err(RolloutError::Damaged { .. })), "{damaged}");
    }
}

#[test]
fn two_commands_do_not_change_it_at_once() {
    let world = World::new();
    world.deploy(Step::Shadow, Some(1), None, 0).unwrap();
    let _held = world.store.lock().unwrap();
    assert!(matches!(world.roll_back(None, 1), Err(RolloutError::Locked { .. })));
}

#[test]
fn the_file_has_the_keys_of_the_seed() {
    let world = World::new();
    world.deploy(Step::Shadow, Some(1), None, 0).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&std::fs::read(world.store.place()).unwrap()).unwrap();
    for key in ["/version", "/deployment_date", "/status", "/stage", "/artifact", "/history/0/action"] {
        assert!(value.pointer(key).is_some_and(serde_json::Value::is_string), "{key}: {value}");
    }
    for key in ["ab_test_percentage", "enable_neural", "enable_rag", "model_path", "vectorstore_path"] {
        assert!(value["configuration"].get(key).is_some(), "{key}");
    }
    assert_eq!(value["status"], "deployed");
    let lines = world.store.load().unwrap().unwrap().environment();
    assert!(
        lines.starts_with(
            "export AB_TEST_PERCENTAGE=0\nexport ENABLE_NEURAL=true\nexport ENABLE_RAG=false\nexport MODEL_PATH='models/deployed/"
        ),
        "{lines}"
    );
}

#[test]
fn file_and_environment_steer_a_gateway_alike() {
    let mut world = World::new();
    world.deploy(Step::Shadow, Some(1), None, 0).unwrap();
    for (step, day) in [(Step::Canary, 1), (Step::Full, 2)] {
        world.deploy(step, None, Some("a test"), day).unwrap();
        world.day(day, 0.5, 80, 80);
        let deployment = world.store.load().unwrap().unwrap();
        let lines = deployment.environment();
        let variable = |name: &str| {
            let value = lines.lines().find_map(|line| line.strip_prefix("export ")?.strip_prefix(name)?.strip_prefix('='))?;
            Some(value.trim_matches('\'').to_owned())
        };
        let environment = Environment::read(variable).unwrap();
        assert_eq!(environment.apply(GatewaySettings::default()), deployment.gateway(GatewaySettings::default()));
        assert_eq!(environment.artifact, Some(PathBuf::from(&deployment.configuration.model_path)));
        assert_eq!(deployment.gateway(GatewaySettings::default()).treatment_share, step.share(0.0));
    }
}
