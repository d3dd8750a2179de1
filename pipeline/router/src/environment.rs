//! The environment variables by which a deployment was steered before: read at the edge, checked here, recorded as settings.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::gateway::{GatewaySettings, Mode};

/// What the environment says; nothing where a variable is not set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// `AB_TEST_PERCENTAGE`: share of the units that follow the learned router, 0 to 1.
    pub treatment_share: Option<f64>,
    /// `ENABLE_NEURAL`: whether the learned router is asked.
    pub use_learned_model: Option<bool>,
    /// `ENABLE_RAG`: whether retrieval is used where an index is there.
    pub use_retrieval: Option<bool>,
    /// `MODEL_PATH`: the artifact's folder.
    pub artifact: Option<PathBuf>,
    /// `VECTORSTORE_PATH`: the index's folder.
    pub vector_store: Option<PathBuf>,
}

/// A variable that says nothing usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable `{name}` must be {expected}, found `{found}`")]
pub struct EnvironmentError {
    /// The variable.
    pub name: &'static str,
    /// What it should be.
    pub expected: &'static str,
    /// What it is.
    pub found: String,
}

impl Environment {
    /// Reads the variables through `lookup`, such as `|name| std::env::var(name).ok()`. Empty variables count as not set.
    ///
    /// # Errors
    /// [`EnvironmentError`] names the first variable that says nothing usable.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        let text = |name: &str| lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let flag = |name: &'static str| text(name).map(|found| read_flag(name, &found)).transpose();
        Ok(Self {
            treatment_share: text("AB_TEST_PERCENTAGE").map(|found| read_share("AB_TEST_PERCENTAGE", &found)).transpose()?,
            use_learned_model: flag("ENABLE_NEURAL")?,
            use_retrieval: flag("ENABLE_RAG")?,
            artifact: text("MODEL_PATH").map(PathBuf::from),
            vector_store: text("VECTORSTORE_PATH").map(PathBuf::from),
        })
    }

    /// The gateway's settings with what the environment says. A share above 0 goes live, a share of 0 is the shadow stage.
    #[must_use]
    pub fn apply(&self, settings: GatewaySettings) -> GatewaySettings {
        let mode = match self.treatment_share {
            None => settings.mode,
            Some(share) if share > 0.0 => Mode::Live,
            Some(_) => Mode::Shadow,
        };
        GatewaySettings {
            treatment_share: self.treatment_share.unwrap_or(settings.treatment_share),
            use_learned_model: self.use_learned_model.unwrap_or(settings.use_learned_model),
            mode,
            ..settings
        }
    }
}

fn read_share(name: &'static str, found: &str) -> Result<f64, EnvironmentError> {
    let share = found.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| EnvironmentError { name, expected: "a share from 0 to 1, such as 0.1 for 10 %", found: found.to_owned() })
}

fn read_flag(name: &'static str, found: &str) -> Result<bool, EnvironmentError> {
    match found.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(EnvironmentError { name, expected: "true or false", found: found.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
        Environment::read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_stages_of_a_deployment() {
        let stage = |share| read(&[("AB_TEST_PERCENTAGE", share)]).unwrap().apply(GatewaySettings::default());
        assert_eq!((stage("0.0").mode, stage("0.0").treatment_share), (Mode::Shadow, 0.0));
        assert_eq!((stage("0.1").mode, stage("0.1").treatment_share), (Mode::Live, 0.1));
        assert_eq!((stage("1.0").mode, stage("1.0").treatment_share), (Mode::Live, 1.0));
    }

    #[test]
    fn every_variable_is_read_and_an_empty_environment_changes_nothing() {
        let all = read(&[
            ("ENABLE_NEURAL", "false"),
            ("ENABLE_RAG", "True"),
            ("MODEL_PATH", "models/current"),
            ("VECTORSTORE_PATH", "vectors/codebase"),
        ])
        .unwrap();
        assert_eq!((all.use_learned_model, all.use_retrieval), (Some(false), Some(true)));
        assert_eq!((all.artifact, all.vector_store), (Some("models/current".into()), Some("vectors/codebase".into())));
        assert_eq!(read(&[("MODEL_PATH", "")]).unwrap().apply(GatewaySettings::default()), GatewaySettings::default());
    }

    #[test]
    fn a_percentage_written_as_one_is_refused() {
        let error = read(&[("AB_TEST_PERCENTAGE", "10")]).unwrap_err().to_string();
        assert_eq!(error, "the environment variable `AB_TEST_PERCENTAGE` must be a share from 0 to 1, such as 0.1 for 10 %, found `10`");
        assert!(read(&[("ENABLE_RAG", "maybe")]).is_err());
    }
}
