//! What `features` says about its columns.

use serde::{Deserialize, Serialize};

/// What may be wrong with a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Nearly every row has the same value.
    NearConstant,
    /// Every row has the value of an earlier column.
    Duplicate,
    /// Its distribution moves over the training window.
    Unstable,
    /// Alone it predicts success so well that it was probably logged after the path ran.
    Leaking,
}

/// One column, judged on the training window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnReport {
    /// The column.
    pub name: String,
    /// The feature it belongs to.
    pub group: String,
    /// Share of rows without a value.
    pub missing_share: f64,
    /// Share of rows with the most frequent value, a missing one included.
    pub repeat_share: f64,
    /// The earlier column with the same values.
    pub same_as: Option<String>,
    /// Population stability index of the second half of the training window against the first.
    pub stability_index: f64,
    /// Area under the ROC curve of predicting success from this column alone, on the second half; absent with too few outcomes.
    pub auc: Option<f64>,
    /// Whether `features.selection.drop` left it out.
    pub dropped: bool,
    /// What may be wrong with it.
    pub findings: Vec<Finding>,
}

/// `reports/features.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureReport {
    /// Rows of the training window.
    pub n_rows: usize,
    /// Every column that was encoded, the dropped ones included.
    pub columns: Vec<ColumnReport>,
}

impl FeatureReport {
    /// Names of the columns with a finding.
    pub fn with(&self, finding: Finding) -> Vec<&str> {
        self.columns.iter().filter(|column| column.findings.contains(&finding)).map(|column| column.name.as_str()).collect()
    }
}
