//! A shallow tree that says in a few rules what a router does, and how often it is right about that.

use std::fmt::Write as _;

use routewright_domain::Seed;
use routewright_router::{Forest, NodeKind, Side};

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
        self.write_rules(0, 0, (column_names, class_names), &mut text);
        text
    }

    /// Writes the rules below a node.
    fn write_rules(&self, node: usize, level: usize, names: (&[String], &[String]), text: &mut String) {
        let indent = "  ".repeat(level);
        let name =
            |names: &[String], kind: &str, position: usize| names.get(position).cloned().unwrap_or_else(|| format!("{kind} {position}"));
        let shares = self.class_weights(node);
        let choice = most_probable(&shares);
        let n_rows: f64 = shares.iter().sum();
        match self.tree.nodes()[node].kind() {
            NodeKind::Split { feature, threshold, missing, left, right } if self.only_choice(node).is_none() => {
                let column = name(names.0, "column", feature);
                let [left_missing, right_missing] = if missing == Side::Left { [", or missing", ""] } else { ["", ", or missing"] };
                // Writing to a string cannot fail.
                let _ = if threshold == f32::INFINITY {
                    writeln!(text, "{indent}if {column} is there")
                } else {
                    writeln!(text, "{indent}if {column} <= {threshold}{left_missing}")
                };
                self.write_rules(left, level + 1, names, text);
                let _ = writeln!(text, "{indent}else{right_missing}");
                self.write_rules(right, level + 1, names, text);
            }
            _ => {
                let percent = 100.0 * shares[choice] / n_rows;
                let _ = writeln!(text, "{indent}{} ({percent:.0} % of {n_rows:.0} rows)", name(names.1, "class", choice));
            }
        }
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
    fn without_held_out_rows_fidelity_is_unknown() {
        let columns = [vec![1.0, 2.0]];
        let matrix = Matrix::new(&columns).unwrap();
        let surrogate = fit_surrogate(&matrix, &Binned::new(&matrix, MAX_BINS), (&[0, 1], &[]), &[0, 0], 1, 9).unwrap();
        assert!(surrogate.fidelity.is_nan());
        assert_eq!(surrogate.rules(&[], &[]), "class 0 (100 % of 2 rows)\n");
    }
}
