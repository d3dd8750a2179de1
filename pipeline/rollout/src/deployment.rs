//! `models/deployment.json`: what online routers follow, and how it came about.

use routewright_domain::Timestamp;
use routewright_router::{GatewaySettings, Mode};
use serde::{Deserialize, Serialize};

use crate::nights::Period;
use crate::settings::RolloutSettings;
use crate::step::Step;
use crate::time::as_text;

/// Version of `deployment.json`; a reader refuses any other.
pub const DEPLOYMENT_VERSION: u32 = 1;

/// Folder of retained artifacts, relative to the project.
pub(crate) const RETAINED: &str = "models/deployed";

/// Whether the artifact is asked at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The artifact is asked, and gets the share of its step.
    Deployed,
    /// The rollout was taken back: the baseline, or the static rules, have all traffic, and the artifact is not asked.
    RolledBack,
}

/// What gateways read; the keys of the seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// Share of the traffic that follows the artifact, in [0, 1].
    pub ab_test_percentage: f64,
    /// Whether the artifact is asked.
    pub enable_neural: bool,
    /// Whether context is retrieved.
    pub enable_rag: bool,
    /// Folder of the artifact, relative to the project.
    pub model_path: String,
    /// Folder of the vector store; empty where nothing is retrieved.
    pub vectorstore_path: String,
    /// Folder of the artifact that everybody else follows, relative to the project; none where that is the static rules.
    pub baseline_path: Option<String>,
}

/// The verdict under which an artifact was given traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// When.
    #[serde(with = "as_text")]
    pub at: Timestamp,
    /// What the gate said.
    pub words: String,
}

/// What an event did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Began the rollout of an artifact.
    Begin,
    /// Took a larger step.
    Promote,
    /// Took a smaller step.
    Reduce,
    /// A guardrail took all traffic away.
    Stop,
    /// Somebody took the rollout back.
    RollBack,
}

/// An event of the history, with what held after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    #[serde(with = "as_text")]
    pub time: Timestamp,
    /// What it did.
    pub action: Action,
    /// The step after it.
    pub stage: Step,
    /// Share of the traffic after it.
    pub share: f64,
    /// The artifact after it.
    pub artifact: String,
    /// The baseline after it.
    pub baseline: Option<String>,
    /// Why.
    pub reason: String,
    /// The reason that somebody gave for overriding what spoke against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<String>,
}

/// `deployment.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// [`DEPLOYMENT_VERSION`] of the writer.
    pub schema_version: u32,
    /// Version of the program that trained the artifact.
    pub version: String,
    /// When it last changed.
    #[serde(with = "as_text")]
    pub deployment_date: Timestamp,
    /// What gateways read.
    pub configuration: Configuration,
    /// Whether the artifact is asked.
    pub status: Status,
    /// The step.
    pub stage: Step,
    /// Digest of the artifact: SHA-256 of its manifest, which holds the digests of its files.
    pub artifact: String,
    /// SHA-256 of the artifact's models, by which the gate knows what it judged.
    pub models: String,
    /// The artifact that everybody else follows; none where that is the static rules.
    pub baseline: Option<String>,
    /// The verdict under which the rollout began or the artifact was given traffic; none before.
    pub verdict: Option<Accepted>,
    /// All events, the oldest first.
    pub history: Vec<Event>,
}

impl Deployment {
    /// Puts step, artifact and settings into the keys that gateways read.
    pub(crate) fn configure(&mut self, settings: &RolloutSettings) {
        let is_asked = self.status == Status::Deployed;
        self.configuration = Configuration {
            ab_test_percentage: if is_asked { self.stage.share(settings.holdback) } else { 0.0 },
            enable_neural: is_asked,
            enable_rag: !settings.vectorstore.is_empty(),
            model_path: place_of(&self.artifact),
            vectorstore_path: settings.vectorstore.clone(),
            baseline_path: self.baseline.as_deref().map(place_of),
        };
    }

    /// Adds an event with what holds now.
    pub(crate) fn note(&mut self, time: Timestamp, action: Action, reason: String, forced: Option<String>) {
        self.deployment_date = time;
        self.history.push(Event {
            time,
            action,
            stage: self.stage,
            share: self.configuration.ab_test_percentage,
            artifact: self.artifact.clone(),
            baseline: self.baseline.clone(),
            reason,
            forced,
        });
    }

    /// The events of the present rollout: since its artifact was begun or came back.
    pub fn rollout(&self) -> &[Event] {
        let starts = |event: &Event| matches!(event.action, Action::Begin | Action::RollBack | Action::Stop);
        let start = self.history.iter().rposition(starts).unwrap_or(0);
        self.history.get(start..).unwrap_or_default()
    }

    /// The events whose outcomes count as evidence: since the rollout began, or somebody overrode what spoke against it.
    fn counted(&self) -> &[Event] {
        let rollout = self.rollout();
        let start = rollout.iter().rposition(|event| event.forced.is_some()).unwrap_or(0);
        rollout.get(start..).unwrap_or_default()
    }

    /// The times at one share each whose outcomes count; the last has no end.
    pub fn periods(&self, settings: &RolloutSettings) -> Vec<Period> {
        let events = self.counted();
        let ends = events.iter().skip(1).map(|event| event.time).chain([Timestamp(i64::MAX)]);
        let grace = settings.grace_minutes * 60_000.0;
        events.iter().zip(ends).map(|(event, to)| Period { from: event.time.plus_millis(grace), to, share: event.share }).collect()
    }

    /// When the present step began.
    pub fn step_began(&self) -> Timestamp {
        let rollout = self.rollout();
        let before = rollout.iter().rposition(|event| event.stage != self.stage);
        let first = rollout.get(before.map_or(0, |position| position + 1)).or(rollout.last());
        first.map_or(self.deployment_date, |event| event.time)
    }

    /// The event by which a guardrail stopped an artifact, unless somebody overrode it since.
    pub fn stopped(&self, artifact: &str) -> Option<&Event> {
        let mut found = None;
        let mut running = "";
        for event in &self.history {
            if event.action == Action::Stop && running == artifact {
                found = Some(event);
            } else if event.artifact == artifact && event.forced.is_some() {
                found = None;
            }
            running = &event.artifact;
        }
        found
    }

    /// The largest step that an artifact ever had, with the baseline it had then.
    pub(crate) fn best_step(&self, artifact: &str) -> Option<&Event> {
        self.history.iter().filter(|event| event.artifact == artifact).max_by_key(|event| event.stage)
    }

    /// Artifacts in the order in which they were last in use, the latest first.
    pub(crate) fn artifacts(&self) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        for event in self.history.iter().rev() {
            if !found.contains(&event.artifact.as_str()) {
                found.push(&event.artifact);
            }
        }
        found
    }

    /// The gateway's settings as this deployment has them; everything else stays. Where there is a baseline, the gateway's static path is the
    /// baseline's.
    #[must_use]
    pub fn gateway(&self, settings: GatewaySettings) -> GatewaySettings {
        let share = self.configuration.ab_test_percentage;
        GatewaySettings {
            use_learned_model: self.configuration.enable_neural,
            mode: if share > 0.0 { Mode::Live } else { Mode::Shadow },
            treatment_share: share,
            ..settings
        }
    }

    /// The environment variables of the seed, as lines for a shell.
    pub fn environment(&self) -> String {
        let configuration = &self.configuration;
        format!(
            "export AB_TEST_PERCENTAGE={}\nexport ENABLE_NEURAL={}\nexport ENABLE_RAG={}\nexport MODEL_PATH={}\nexport VECTORSTORE_PATH={}\nexport BASELINE_MODEL_PATH={}\n",
            configuration.ab_test_percentage,
            configuration.enable_neural,
            configuration.enable_rag,
            quoted(&configuration.model_path),
            quoted(&configuration.vectorstore_path),
            quoted(configuration.baseline_path.as_deref().unwrap_or_default()),
        )
    }
}

/// A text that a POSIX shell takes as it is.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Folder of a retained artifact, relative to the project.
pub(crate) fn place_of(digest: &str) -> String {
    format!("{RETAINED}/{digest}")
}

/// A digest as people read it.
pub(crate) fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_any_path_as_it_is() {
        assert_eq!(quoted("a b/$(rm)'x"), "'a b/$(rm)'\\''x'");
    }
}
