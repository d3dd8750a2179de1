//! How a forest is grown.

use serde::{Deserialize, Serialize};

use routewright_router::MAX_TREE_DEPTH;

/// Settings of a forest; what they are unless said otherwise is in [`ForestParams::default`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ForestParams {
    /// Number of trees, at least 1.
    pub n_trees: u32,
    /// Levels below the root; 0 and anything deeper than [`MAX_TREE_DEPTH`] mean as deep as a tree may be.
    pub max_depth: u16,
    /// Rows of the sample (each counted as often as it was drawn) that a leaf needs, at least 1.
    pub min_samples_leaf: u32,
    /// Share of the total weight that a leaf needs, in [0, 0.5].
    pub min_leaf_weight: f64,
    /// Columns among which each split is sought; constant columns do not count.
    pub max_features: MaxFeatures,
    /// How a column's cut is sought.
    pub cuts: Cuts,
    /// What makes class shares pure; regressors look at the variance.
    pub criterion: Criterion,
    /// What rows of each class count; regressors do not ask.
    pub class_weight: ClassWeight,
    /// Whether, and how, each tree gets a sample of its own.
    pub sample: Sample,
    /// Draws that a tree's sample has at most; 0 is no limit. With it, the cost of a tree does not grow with the table.
    pub max_sample_rows: u32,
    /// Share of each sample's rows that say what the leaves hold, and nothing about the splits (honest trees); 0 is none.
    pub honest_share: f64,
    /// Weight of the whole sample's class shares (or mean) in each leaf, in rows: 0 is none, more pulls small leaves to the middle.
    pub smoothing: f64,
    /// Whether out-of-bag predictions are made.
    pub out_of_bag: OutOfBag,
}

/// Columns that a split looks at.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxFeatures {
    /// The square root of their number, rounded down, at least 1.
    Sqrt,
    /// All of them.
    All,
    /// This many, held between 1 and all.
    Count(u32),
    /// This share of them in (0, 1], at least 1.
    Fraction(f64),
}

/// How the cut of a column is sought in a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cuts {
    /// The best of all cuts.
    Best,
    /// One cut at random between the node's smallest and largest bin: extremely randomised trees (Geurts, Ernst, Wehenkel 2006).
    Random,
}

/// What makes the class shares of a node pure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// The chance that two rows differ in class.
    Gini,
    /// The entropy of the class.
    Entropy,
}

/// What rows of each class count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeight {
    /// What their own weights say.
    Equal,
    /// As much that every class that occurs has the same weight in all.
    Balanced,
}

/// The rows of one tree.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sample {
    /// This share of as many draws as there are rows, with replacement; 1 is the usual bootstrap.
    Bootstrap(f64),
    /// This share of the rows, without replacement.
    Subsample(f64),
    /// Every row once.
    All,
}

/// Whether rows are predicted by the trees that did not see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutOfBag {
    /// They are.
    Predict,
    /// They are not, which saves about a tenth of the time.
    Skip,
}

/// A setting that is out of range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{name}` must be {expected}, found {found}")]
pub struct InvalidParam {
    /// The setting.
    pub name: &'static str,
    /// What it may be.
    pub expected: &'static str,
    /// What it is.
    pub found: f64,
}

impl Default for ForestParams {
    fn default() -> Self {
        Self {
            n_trees: 100,
            max_depth: 0,
            min_samples_leaf: 1,
            min_leaf_weight: 0.0,
            max_features: MaxFeatures::Sqrt,
            cuts: Cuts::Best,
            criterion: Criterion::Gini,
            class_weight: ClassWeight::Equal,
            sample: Sample::Bootstrap(1.0),
            max_sample_rows: 0,
            honest_share: 0.0,
            smoothing: 0.0,
            out_of_bag: OutOfBag::Skip,
        }
    }
}

impl ForestParams {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`InvalidParam`] names the first one out of range.
    pub fn check(&self) -> Result<(), InvalidParam> {
        let range = |name, expected, found: f64, valid| if valid { Ok(()) } else { Err(InvalidParam { name, expected, found }) };
        range("n_trees", "at least 1", f64::from(self.n_trees), 1 <= self.n_trees)?;
        range("min_samples_leaf", "at least 1", f64::from(self.min_samples_leaf), 1 <= self.min_samples_leaf)?;
        range("min_leaf_weight", "in [0, 0.5]", self.min_leaf_weight, (0.0..=0.5).contains(&self.min_leaf_weight))?;
        range("smoothing", "a finite number from 0", self.smoothing, 0.0 <= self.smoothing && self.smoothing.is_finite())?;
        if let MaxFeatures::Fraction(share) = self.max_features {
            range("max_features", "in (0, 1]", share, 0.0 < share && share <= 1.0)?;
        }
        range("honest_share", "in [0, 0.9]", self.honest_share, (0.0..=0.9).contains(&self.honest_share))?;
        if let Sample::Bootstrap(share) | Sample::Subsample(share) = self.sample {
            range("sample", "in (0, 1]", share, 0.0 < share && share <= 1.0)?;
        }
        Ok(())
    }

    /// The deepest level a node may have.
    pub(crate) fn depth_limit(&self) -> usize {
        if self.max_depth == 0 { MAX_TREE_DEPTH } else { usize::from(self.max_depth).min(MAX_TREE_DEPTH) }
    }
}

impl MaxFeatures {
    /// The number of columns, of `n_columns` that there are.
    pub fn count(self, n_columns: usize) -> usize {
        let wanted = match self {
            Self::Sqrt => n_columns.isqrt(),
            Self::All => n_columns,
            Self::Count(count) => count as usize,
            Self::Fraction(share) => (share * n_columns as f64) as usize,
        };
        wanted.clamp(1, n_columns.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_columns_are_at_least_one() {
        assert_eq!(MaxFeatures::Sqrt.count(40), 6);
        assert_eq!(MaxFeatures::All.count(40), 40);
        assert_eq!(MaxFeatures::Count(99).count(40), 40);
        assert_eq!(MaxFeatures::Fraction(0.01).count(40), 1);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let error = ForestParams { n_trees: 0, ..ForestParams::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "`n_trees` must be at least 1, found 0");
        assert!(ForestParams { smoothing: f64::NAN, ..ForestParams::default() }.check().is_err());
        assert!(ForestParams { sample: Sample::Bootstrap(0.0), ..ForestParams::default() }.check().is_err());
        assert!(ForestParams { honest_share: 1.0, ..ForestParams::default() }.check().is_err());
        assert!(ForestParams { max_features: MaxFeatures::Fraction(1.5), ..ForestParams::default() }.check().is_err());
        assert!(ForestParams::default().check().is_ok());
    }
}
