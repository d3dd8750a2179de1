//! What ran last: one record per stage, and the reason to run again that follows from it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Folder of the records, relative to the project.
pub(crate) const FOLDER: &str = "data/.stages";

/// Where stages keep what can be made again, relative to the project folder.
pub(crate) const CACHE: &str = "data/.cache";

/// Version of the record's format.
const FORMAT: u32 = 2;

/// What a stage was run with and what came out; written last, so that its presence means that the outputs are whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this format.
    pub format: u32,
    /// Version of the stage.
    pub version: u32,
    /// The run's seed, where the stage uses it.
    pub seed: Option<u64>,
    /// The settings in force, defaults included.
    pub settings: Value,
    /// Settings of other stages that the outputs name, by stage.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub traced: BTreeMap<String, Value>,
    /// Digest of every input, by place.
    pub inputs: BTreeMap<String, String>,
    /// Digest of every output, by place.
    pub outputs: BTreeMap<String, String>,
}

impl Record {
    /// A record of the present format without outputs yet.
    pub(crate) fn new(version: u32, seed: Option<u64>, settings: Value, inputs: BTreeMap<String, String>) -> Self {
        Self { format: FORMAT, version, seed, settings, traced: BTreeMap::new(), inputs, outputs: BTreeMap::new() }
    }

    /// Reads a stage's record; `None` where there is none that this version understands.
    pub fn read(project: &Path, stage: &str) -> Option<Self> {
        let bytes = std::fs::read(path_of(project, stage)).ok()?;
        let record: Self = serde_json::from_slice(&bytes).ok()?;
        (record.format == FORMAT).then_some(record)
    }

    /// Writes a stage's record beside its place and renames it.
    pub(crate) fn write(&self, project: &Path, stage: &str) -> io::Result<()> {
        let path = path_of(project, stage);
        let folder = path.parent().unwrap_or(project);
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Why the stage has to run, given what it would be run with now and the digests of its outputs now.
    pub(crate) fn reason(&self, now: &Self) -> Option<Reason> {
        if self.version != now.version {
            return Some(Reason::VersionChanged { from: self.version, to: now.version });
        }
        let mut settings = changed_keys(&self.settings, &now.settings);
        for (stage, table) in &now.traced {
            let before = self.traced.get(stage).unwrap_or(&Value::Null);
            settings.extend(changed_keys(before, table).into_iter().map(|key| format!("{stage}.{key}").trim_end_matches('.').to_owned()));
        }
        if self.seed != now.seed {
            settings.push("run.seed".to_owned());
        }
        if !settings.is_empty() {
            return Some(Reason::SettingsChanged(settings));
        }
        let inputs: Vec<String> = changed_places(&self.inputs, &now.inputs);
        if !inputs.is_empty() {
            return Some(Reason::InputsChanged(inputs));
        }
        for (place, digest) in &self.outputs {
            match now.outputs.get(place) {
                None => return Some(Reason::OutputMissing(place.clone())),
                Some(found) if found != digest => return Some(Reason::OutputChanged(place.clone())),
                Some(_) => {}
            }
        }
        None
    }
}

/// The failure that ended the last run of a project. A decision on file is older than it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFailure {
    /// The stage that failed.
    pub stage: String,
    /// What happened, causes included.
    pub message: String,
}

/// Name of the file that tells of the last run's failure.
const FAILURE_FILE: &str = ".failed.json";

impl LastFailure {
    /// The failure of the last run; `None` where it went well.
    pub fn read(project: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(project.join(FOLDER).join(FAILURE_FILE)).ok()?).ok()
    }

    /// Leaves the note.
    pub(crate) fn write(&self, project: &Path) -> io::Result<()> {
        std::fs::write(project.join(FOLDER).join(FAILURE_FILE), serde_json::to_vec(self)?)
    }

    /// Removes the note of an earlier run.
    pub(crate) fn clear(project: &Path) -> io::Result<()> {
        match std::fs::remove_file(project.join(FOLDER).join(FAILURE_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Place of a stage's record.
fn path_of(project: &Path, stage: &str) -> PathBuf {
    project.join(FOLDER).join(format!("{stage}.json"))
}

/// Places whose digests differ, or which only one side has.
fn changed_places(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let mut places: Vec<String> = before.keys().chain(now.keys()).filter(|place| before.get(*place) != now.get(*place)).cloned().collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// Dotted keys whose values differ, in alphabetical order.
fn changed_keys(before: &Value, now: &Value) -> Vec<String> {
    fn walk(prefix: &str, before: &Value, now: &Value, keys: &mut Vec<String>) {
        if let (Value::Object(left), Value::Object(right)) = (before, now) {
            let mut names: Vec<&String> = left.keys().chain(right.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                walk(&key, left.get(name).unwrap_or(&Value::Null), right.get(name).unwrap_or(&Value::Null), keys);
            }
        } else if before != now {
            keys.push(prefix.to_owned());
        }
    }
    let mut keys = Vec::new();
    walk("", before, now, &mut keys);
    keys
}

/// Why a stage runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No record of it.
    NeverRan,
    /// The user said so.
    Forced,
    /// The stage's code gives other outputs now.
    VersionChanged {
        /// Version of the record.
        from: u32,
        /// Version now.
        to: u32,
    },
    /// Settings changed: their keys.
    SettingsChanged(Vec<String>),
    /// Inputs changed: their places.
    InputsChanged(Vec<String>),
    /// An output is gone.
    OutputMissing(String),
    /// An output is not what the stage wrote.
    OutputChanged(String),
    /// A stage before it runs; whether this one has to is known after that (plans only).
    After(&'static str),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ticked = |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        match self {
            Self::NeverRan => write!(f, "never ran"),
            Self::Forced => write!(f, "forced"),
            Self::VersionChanged { from, to } => write!(f, "the stage changed (version {from} to {to})"),
            Self::SettingsChanged(keys) if keys.len() == 1 => write!(f, "setting {} changed", ticked(keys)),
            Self::SettingsChanged(keys) => write!(f, "settings {} changed", ticked(keys)),
            Self::InputsChanged(places) if places.len() == 1 => write!(f, "input {} changed", ticked(places)),
            Self::InputsChanged(places) => write!(f, "inputs {} changed", ticked(places)),
            Self::OutputMissing(place) => write!(f, "output `{place}` is missing"),
            Self::OutputChanged(place) => write!(f, "output `{place}` is not what the stage wrote"),
            Self::After(stage) => write!(f, "`{stage}` runs before it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record() -> Record {
        let mut record =
            Record::new(1, Some(42), json!({"trees": 100, "nested": {"a": 1}}), BTreeMap::from([("data/x".into(), "1".into())]));
        record.outputs.insert("models/y".into(), "2".into());
        record
    }

    #[test]
    fn nothing_changed_means_fresh() {
        assert_eq!(record().reason(&record()), None);
    }

    #[test]
    fn the_reason_names_what_changed() {
        let mut now = record();
        now.settings = json!({"trees": 300, "nested": {"a": 2}});
        assert_eq!(record().reason(&now).unwrap().to_string(), "settings `nested.a`, `trees` changed");
        let mut now = record();
        now.traced.insert("features".to_owned(), json!({"train_share": 0.5}));
        assert_eq!(record().reason(&now).unwrap().to_string(), "setting `features` changed");
        let mut before = record();
        before.traced.insert("features".to_owned(), json!({"train_share": 0.7}));
        assert_eq!(before.reason(&now).unwrap().to_string(), "setting `features.train_share` changed");
        let mut now = record();
        now.seed = Some(43);
        assert_eq!(record().reason(&now).unwrap().to_string(), "setting `run.seed` changed");
        let mut now = record();
        now.inputs.insert("data/x".into(), "other".into());
        assert_eq!(record().reason(&now).unwrap().to_string(), "input `data/x` changed");
        let mut now = record();
        now.outputs.clear();
        assert_eq!(record().reason(&now).unwrap().to_string(), "output `models/y` is missing");
        let mut now = record();
        now.version = 2;
        assert_eq!(record().reason(&now).unwrap().to_string(), "the stage changed (version 1 to 2)");
    }
}
