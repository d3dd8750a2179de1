//! A shallow tree that says in a few rules what a router does, and how often it is right about that.

use std::fmt::Write as _;

use routewright_domain::Seed;
use routewright_router::{CategorySet, Forest, NodeKind, Side, Test};
use serde::{Deserialize, Serialize};

use crate::binned::Binned;
use crate::fit::{FitError, fit_classifier};
use crate::matrix::Matrix;
use crate::metrics::most_probable;
use crate::params::{ForestParams, MaxFeatures, Sample};
use crate::predict::predict;

/// Deepest surrogate: more levels than this are no explanation.
pub const MAX_SURROGATE_DEPTH: u16 = 5;

/// Rows that a rule needs, as a share of the training rows: rules for fewer explain nothing.
const MIN_LEAF_SHARE: f64 = 0.005;

/// One tree in place of a router.
#[derive(Clone, Debug, PartialEq)]
pub struct Surrogate {
    /// The tree, as a forest of one.
    pub tree: Forest,
    /// Levels below the root that it uses.
    pub depth: usize,
    /// Share of training rows on which it says what the router does.
    pub train_fidelity: f64,
    /// The same on held-out rows; NaN where there are none.
    pub fidelity: f64,
}

/// A surrogate's tree from some node down, for people and for drawings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// What the router mostly does here.
    pub choice: String,
    /// How often it does, of the training rows that come here.
    pub share: f64,
    /// Training rows that come here.
    pub n_rows: u64,
    /// How these rows are told apart; absent where the tree ends.
    pub split: Option<RuleSplit>,
}

/// A question about a row, with what follows from either answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleSplit {
    /// The column asked about.
    pub column: String,
    /// What its value must be for the left side, such as `<= 12.5`.
    pub condition: String,
    /// Whether rows without a value go left.
    pub missing_goes_left: bool,
    /// Rows for which the condition holds.
    pub left: Box<Rule>,
    /// The other rows.
    pub right: Box<Rule>,
}

/// Fits a tree of at most `max_depth` levels, never more than [`MAX_SURROGATE_DEPTH`], to what a router does.
///
/// `labels`: the router's choice per row of the table; `train` and `test`: rows to fit and to judge on. Every column is looked at in every
/// node and no row is left to chance, so the tree depends on nothing but its input.
///
/// # Errors
/// [`FitError`] as for [`fit_classifier`].
pub fn fit_surrogate(
    matrix: &Matrix<'_>,
    binned: &Binned,
    (train, test): (&[u32], &[u32]),
    labels: &[u16],
    n_classes: usize,
    max_depth: u16,
) -> Result<Surrogate, FitError> {
    let params = ForestParams {
        n_trees: 1,
        max_depth: max_depth.clamp(1, MAX_SURROGATE_DEPTH),
        max_features: MaxFeatures::All,
        sample: Sample::All,
        min_leaf_weight: MIN_LEAF_SHARE,
        ..ForestParams::default()
    };
    let tree = fit_classifier(binned, train, labels, n_classes, None, &params, Seed(0))?.forest;
    let fidelity = |rows: &[u32]| {
        let probabilities = predict(&tree, matrix, rows);
        let choices = probabilities.chunks_exact(n_classes).map(most_probable);
        let n_agreed = choices.zip(rows).filter(|(choice, row)| *choice == usize::from(labels[**row as usize])).count();
        n_agreed as f64 / rows.len() as f64
    };
    let (train_fidelity, fidelity) = (fidelity(train), fidelity(test));
    Ok(Surrogate { depth: depth(&tree, 0), tree, train_fidelity, fidelity })
}

impl Surrogate {
    /// The tree as indented rules; splits whose sides agree are left out. Names that lack are replaced by positions.
    ///
    /// ```text
    /// if n_tokens <= 12.5
    ///   tool (97 % of 310 rows)
    /// else, or missing
    ///   reasoning (88 % of 690 rows)
    /// ```
    pub fn rules(&self, column_names: &[String], class_names: &[String]) -> String {
        let mut text = String::new();
        self.structure(column_names, class_names).write_rules(0, &mut text);
        text
    }

    /// The tree for people and for drawings; splits whose sides agree are left out. Names that lack are replaced by positions.
    pub fn structure(&self, column_names: &[String], class_names: &[String]) -> Rule {
        self.rule(0, (column_names, class_names))
    }

    /// The rules from a node down.
    fn rule(&self, node: usize, names: (&[String], &[String])) -> Rule {
        let name =
            |names: &[String], kind: &str, position: usize| names.get(position).cloned().unwrap_or_else(|| format!("{kind} {position}"));
        let weights = self.class_weights(node);
        let choice = most_probable(&weights);
        let n_rows: f64 = weights.iter().sum();
        let split = match self.tree.nodes()[node].kind() {
            NodeKind::Split { feature, test, missing, left, right } if self.only_choice(node).is_none() => Some(RuleSplit {
                column: name(names.0, "column", feature),
                condition: match test {
                    Test::AtMost(f32::INFINITY) => "is there".to_owned(),
                    Test::AtMost(threshold) => format!("<= {threshold}"),
                    Test::OneOf(set) => format!("is one of {}", listed(self.tree.sets().get(set).copied().unwrap_or_default())),
                },
                missing_goes_left: missing == Side::Left,
                left: Box::new(self.rule(left, names)),
                right: Box::new(self.rule(right, names)),
            }),
            _ => None,
        };
        Rule { choice: name(names.1, "class", choice), share: weights[choice] / n_rows, n_rows: n_rows.round() as u64, split }
    }

    /// Training rows per class below a node.
    fn class_weights(&self, node: usize) -> Vec<f64> {
        let here = self.tree.nodes()[node];
        match here.kind() {
            NodeKind::Leaf { leaf } => {
                self.tree.leaf_values(leaf).iter().map(|&share| f64::from(share) * f64::from(here.cover())).collect()
            }
            NodeKind::Split { left, right, .. } => {
                self.class_weights(left).iter().zip(self.class_weights(right)).map(|(one, other)| one + other).collect()
            }
        }
    }

    /// The class that every leaf below a node names, if there is one.
    fn only_choice(&self, node: usize) -> Option<usize> {
        match self.tree.nodes()[node].kind() {
            NodeKind::Leaf { leaf } => {
                let shares: Vec<f64> = self.tree.leaf_values(leaf).iter().map(|&share| f64::from(share)).collect();
                Some(most_probable(&shares))
            }
            NodeKind::Split { left, right, .. } => self.only_choice(left).filter(|choice| self.only_choice(right) == Some(*choice)),
        }
    }
}

impl Rule {
    /// Writes the rules, each level indented by two more blanks.
    fn write_rules(&self, level: usize, text: &mut String) {
        let indent = "  ".repeat(level);
        // Writing to a string cannot fail.
        let Some(split) = &self.split else {
            let _ = writeln!(text, "{indent}{} ({:.0} % of {} rows)", self.choice, 100.0 * self.share, self.n_rows);
            return;
        };
        let is_about_missing = split.condition == "is there";
        let side = |takes_missing: bool| if takes_missing && !is_about_missing { ", or missing" } else { "" };
        let _ = writeln!(text, "{indent}if {} {}{}", split.column, split.condition, side(split.missing_goes_left));
        split.left.write_rules(level + 1, text);
        let otherwise = if is_about_missing { ", or missing" } else { side(!split.missing_goes_left) };
        let _ = writeln!(text, "{indent}else{otherwise}");
        split.right.write_rules(level + 1, text);
    }
}

/// The categories of a set, neighbours as ranges.
fn listed(set: CategorySet) -> String {
    let categories: Vec<u8> = set.iter().collect();
    let runs = categories.chunk_by(|one, other| one + 1 == *other);
    let run = |run: &[u8]| match run {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}–{last}"),
        [] => String::new(),
    };
    runs.map(run).collect::<Vec<String>>().join(", ")
}

/// Levels below a node.
fn depth(tree: &Forest, node: usize) -> usize {
    match tree.nodes()[node].kind() {
        NodeKind::Leaf { .. } => 0,
        NodeKind::Split { left, right, .. } => 1 + depth(tree, left).max(depth(tree, right)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MAX_BINS;

    #[test]
    fn a_rule_is_found_said_and_judged() {
        let columns = [(0..200).map(|row| (row % 20) as f32).collect::<Vec<f32>>(), (0..200).map(|row| (row / 20) as f32).collect()];
        let matrix = Matrix::new(&columns).unwrap();
        let binned = Binned::new(&matrix, MAX_BINS);
        let labels: Vec<u16> = (0..200).map(|row| u16::from(row % 20 > 11 && row / 20 > 4)).collect();
        let (train, test): (Vec<u32>, Vec<u32>) = (0..200).partition(|row| row % 3 != 0);
        let surrogate = fit_surrogate(&matrix, &binned, (&train, &test), &labels, 2, 5).unwrap();
        assert_eq!((surrogate.depth, surrogate.train_fidelity, surrogate.fidelity), (2, 1.0, 1.0));
        let names = ["tokens".to_owned(), "load".to_owned()];
        let rules = surrogate.rules(&names, &["fast".to_owned()]);
        assert_eq!(
            rules,
            [
                "if tokens <= 11.5, or missing",
                "  fast (100 % of 80 rows)",
                "else",
                "  if load <= 4.5",
                "    fast (100 % of 26 rows)",
                "  else, or missing",
                "    class 1 (100 % of 27 rows)",
                "",
            ]
            .join("\n")
        );
    }

    #[test]
    fn categories_are_listed_as_ranges() {
        let columns = [(0..200).map(|row| (row % 10) as f32).collect::<Vec<f32>>()];
        let matrix = Matrix::new(&columns).unwrap();
        let binned = Binned::with_categories(&matrix, MAX_BINS, |_| true);
        let labels: Vec<u16> = (0..200).map(|row| u16::from(![1, 2, 3, 7].contains(&(row % 10)))).collect();
        let rows: Vec<u32> = (0..200).collect();
        let surrogate = fit_surrogate(&matrix, &binned, (&rows, &rows), &labels, 2, 5).unwrap();
        assert_eq!((surrogate.depth, surrogate.fidelity), (1, 1.0));
        let rule = surrogate.structure(&["kind".to_owned()], &[]);
        let split = rule.split.unwrap();
        // Categories that no row has go with the heavier side.
        assert_eq!((split.condition.as_str(), split.missing_goes_left), ("is one of 0, 4–6, 8–254", true));
        assert_eq!((split.left.choice.as_str(), split.left.n_rows, split.left.share), ("class 1", 120, 1.0));
        assert_eq!((split.right.choice.as_str(), split.right.n_rows), ("class 0", 80));
    }

    #[test]
    fn without_held_out_rows_fidelity_is_unknown() {
        let columns = [vec![1.0, 2.0]];
        let matrix = Matrix::new(&columns).unwrap();
        let surrogate = fit_surrogate(&matrix, &Binned::new(&matrix, MAX_BINS), (&[0, 1], &[]), &[0, 0], 1, 9).unwrap();
        assert!(surrogate.fidelity.is_nan());
        assert_eq!(surrogate.rules(&[], &[]), "class 0 (100 % of 2 rows)\n");
    }
}
