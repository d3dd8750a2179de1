//! `forest.bin`: every forest of a policy with its calibration, each with its length in front.

use routewright_domain::Paths;
use serde::{Deserialize, Serialize};

use super::{Policy, PolicySettings, SuccessModel};
use crate::bytes::{FormatError, Reader, Writer};
use crate::calibration::Calibration;
use crate::forest::Forest;

/// First bytes of the file: name and version.
const MAGIC: &[u8; 8] = b"RWPOLI01";

/// What a policy holds beside its forests.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    paths: Paths,
    cost: Vec<Option<f64>>,
    support: Vec<u64>,
    settings: PolicySettings,
    /// Calibration per path; `None` where the path has no success model.
    calibration: Vec<Option<Calibration>>,
}

impl Policy {
    /// The policy as bytes; equal policies give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = Header {
            paths: self.paths.clone(),
            cost: self.cost.clone(),
            support: self.support.clone(),
            settings: self.settings.clone(),
            calibration: self.success.iter().map(|model| model.as_ref().map(|model| model.calibration.clone())).collect(),
        };
        let mut writer = Writer::default();
        writer.0.extend_from_slice(MAGIC);
        writer.block(&serde_json::to_vec(&header).unwrap_or_default());
        for model in &self.success {
            write_forest(&mut writer, model.as_ref().map(|model| &model.forest));
        }
        for forest in &self.latency {
            write_forest(&mut writer, forest.as_ref());
        }
        write_forest(&mut writer, self.classifier.as_ref());
        writer.0
    }

    /// Reads what [`Self::to_bytes`] wrote, for rows of `n_columns`.
    ///
    /// # Errors
    /// [`FormatError`] for any other bytes, and for parts that do not fit together.
    pub fn from_bytes(bytes: &[u8], n_columns: usize) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(reader.error("not a policy of this version"));
        }
        let header: Header = serde_json::from_slice(reader.block()?).map_err(|error| reader.error(format!("header: {error}")))?;
        let mut success = Vec::new();
        for calibration in header.calibration {
            let forest = read_forest(&mut reader)?;
            if forest.is_some() != calibration.is_some() {
                return Err(reader.error("a success forest and its calibration come together"));
            }
            success.push(forest.zip(calibration).map(|(forest, calibration)| SuccessModel { forest, calibration }));
        }
        let latency: Result<Vec<_>, _> = (0..header.paths.len()).map(|_| read_forest(&mut reader)).collect();
        let policy = Self {
            success,
            latency: latency?,
            classifier: read_forest(&mut reader)?,
            paths: header.paths,
            cost: header.cost,
            support: header.support,
            settings: header.settings,
        };
        reader.end()?;
        policy.check(n_columns).map_err(|error| reader.error(error.to_string()))?;
        Ok(policy)
    }
}

/// Writes a forest with its length in front; length 0 stands for none.
fn write_forest(writer: &mut Writer, forest: Option<&Forest>) {
    writer.block(&forest.map_or_else(Vec::new, Forest::to_bytes));
}

/// Reads what [`write_forest`] wrote.
fn read_forest(reader: &mut Reader<'_>) -> Result<Option<Forest>, FormatError> {
    let bytes = reader.block()?;
    if bytes.is_empty() {
        return Ok(None);
    }
    Forest::from_bytes(bytes).map(Some).map_err(|error| reader.error(format!("forest: {error}")))
}
