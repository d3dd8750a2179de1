//! The models as ONNX, so that Python, Node and Java predict what the native forests predict.
//!
//! Each model takes `features`: n × columns of [`Schema`](crate::Schema), 32-bit floats, NaN = missing, and computes in double precision
//! as the native code does. `success.onnx` gives `probabilities` (n × paths, calibrated; NaN without a model), `latency.onnx` gives
//! `latency_ms` (n × paths; NaN without a model), `classifier.onnx` gives `label` and `probabilities`: what the log would have done.

mod message;

use std::collections::BTreeMap;

use self::message::{Element, Graph, ML, Node as Operation, doubles, tensor, value};
use crate::calibration::Calibration;
use crate::forest::{Forest, NodeKind, Side, Test};
use crate::policy::Policy;

/// The success models' file.
pub const SUCCESS_FILE: &str = "success.onnx";
/// The latency models' file.
pub const LATENCY_FILE: &str = "latency.onnx";
/// The imitation of the log.
pub const CLASSIFIER_FILE: &str = "classifier.onnx";

/// Comparisons of a split, as `TreeEnsemble` numbers them: a forest goes left up to the threshold, a curve's piece ends below the next.
const AT_MOST: u8 = 0;
const BELOW: u8 = 1;

/// Versions of `ai.onnx.ml`: the first whose trees give double precision, and the last that knows classifiers.
const TREE_ENSEMBLE: i64 = 5;
const TREE_CLASSIFIER: i64 = 3;

/// How far from 0 and 1 a score is held before its logit is taken; as in the native calibration.
const LOGIT_MARGIN: f64 = 1e-12;

/// Every model of a policy as a file of ONNX; models that the policy does not have are left out, and files of forests that split by sets of
/// categories, for which these operators have no form. Equal policies give equal bytes.
pub fn onnx_files(policy: &Policy, n_columns: usize) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let has_form = |forest: &Forest| forest.sets().is_empty();
    if policy.success.iter().any(Option::is_some) && policy.success.iter().flatten().all(|model| has_form(&model.forest)) {
        files.insert(SUCCESS_FILE.to_owned(), success(policy, n_columns));
    }
    if policy.latency.iter().any(Option::is_some) && policy.latency.iter().flatten().all(has_form) {
        files.insert(LATENCY_FILE.to_owned(), latency(policy, n_columns));
    }
    if let Some(classifier) = policy.classifier.as_ref().filter(|forest| policy.paths.len() > 1 && has_form(forest)) {
        files.insert(CLASSIFIER_FILE.to_owned(), imitation(policy, classifier, n_columns));
    }
    files
}

/// What readers may want to know of every model.
fn properties(policy: &Policy) -> [(&'static str, String); 1] {
    [("paths", policy.paths.names().join("\n"))]
}

/// A graph that has turned the features into doubles.
fn begin(n_columns: usize) -> Graph {
    let mut graph = Graph { inputs: vec![value("features", Element::Float, Some(n_columns))], ..Graph::default() };
    graph.nodes.push(Operation::new("Cast", "", &["features"], &["doubles"]).int("to", Element::Double as i64));
    graph
}

fn success(policy: &Policy, n_columns: usize) -> Vec<u8> {
    let n_paths = policy.paths.len();
    let mut graph = begin(n_columns);
    let mut trees = Ensemble { comparison: AT_MOST, ..Ensemble::default() };
    for (path, model) in policy.success.iter().enumerate() {
        model.iter().for_each(|model| trees.add_forest(&model.forest, path));
    }
    graph.nodes.push(trees.operation("doubles", "sums", n_paths));
    let calibrations: Vec<Option<&Calibration>> =
        policy.success.iter().map(|model| model.as_ref().map(|model| &model.calibration)).collect();
    constant(&mut graph, "zero", &[0.0]);
    constant(&mut graph, "one", &[1.0]);
    graph.add("Max", &["sums", "zero"], "not_negative");
    graph.add("Min", &["not_negative", "one"], "scores");
    let calibrated = calibrate(&mut graph, &calibrations);
    graph.add("Max", &[calibrated, "zero"], "at_least_zero");
    graph.add("Min", &["at_least_zero", "one"], "in_unit");
    finish(graph, "in_unit", "probabilities", &calibrations, "success", policy)
}

fn latency(policy: &Policy, n_columns: usize) -> Vec<u8> {
    let mut graph = begin(n_columns);
    let mut trees = Ensemble { comparison: AT_MOST, ..Ensemble::default() };
    for (path, forest) in policy.latency.iter().enumerate() {
        forest.iter().for_each(|forest| trees.add_forest(forest, path));
    }
    graph.nodes.push(trees.operation("doubles", "sums", policy.paths.len()));
    constant(&mut graph, "zero", &[0.0]);
    constant(&mut graph, "one", &[1.0]);
    graph.add("Exp", &["sums"], "powers");
    graph.add("Sub", &["powers", "one"], "milliseconds");
    graph.add("Max", &["milliseconds", "zero"], "not_negative");
    finish(graph, "not_negative", "latency_ms", &policy.latency, "latency", policy)
}

/// Marks paths without a model as NaN and names the output.
fn finish<T>(mut graph: Graph, last: &str, output: &str, models: &[Option<T>], name: &str, policy: &Policy) -> Vec<u8> {
    let missing: Vec<f64> = models.iter().map(|model| if model.is_some() { 0.0 } else { f64::NAN }).collect();
    graph.constants.push(doubles("missing", &[1, missing.len()], &missing));
    graph.add("Add", &[last, "missing"], output);
    graph.outputs.push(value(output, Element::Double, Some(missing.len())));
    graph.model(name, TREE_ENSEMBLE, &properties(policy))
}

fn constant(graph: &mut Graph, name: &str, numbers: &[f64]) {
    graph.constants.push(doubles(name, &[1, numbers.len()], numbers));
}

/// From `scores` to probabilities, one calibration per column; returns the name of the result.
fn calibrate(graph: &mut Graph, calibrations: &[Option<&Calibration>]) -> &'static str {
    let mut current = "scores";
    if calibrations.iter().flatten().any(|calibration| matches!(calibration, Calibration::Isotonic(_))) {
        current = isotonic(graph, calibrations);
    }
    if calibrations.iter().flatten().any(|calibration| matches!(calibration, Calibration::Platt(_))) {
        current = platt(graph, calibrations, current);
    }
    if calibrations.iter().flatten().any(|calibration| matches!(calibration, Calibration::Beta(_))) {
        current = beta(graph, calibrations, current);
    }
    current
}

/// Straight lines between points: per column one tree each for where the line starts, how high, and how steep it is.
fn isotonic(graph: &mut Graph, calibrations: &[Option<&Calibration>]) -> &'static str {
    let n_paths = calibrations.len();
    let mut trees = Ensemble { comparison: BELOW, ..Ensemble::default() };
    for (path, calibration) in calibrations.iter().enumerate() {
        let points: Vec<(f64, f64)> = match calibration {
            Some(Calibration::Isotonic(curve)) => curve.points().collect(),
            _ => vec![(0.0, 0.0), (1.0, 1.0)],
        };
        let lines = lines_between(&points);
        let cuts: Vec<f64> = points.iter().map(|point| point.0).collect();
        for part in 0..3 {
            let values: Vec<f64> = lines.iter().map(|line| line[part]).collect();
            trees.add_steps(path, &cuts, &values, part * n_paths + path);
        }
    }
    graph.nodes.push(trees.operation("scores", "lines", 3 * n_paths));
    let split = Operation::new("Split", "", &["lines"], &["starts", "heights", "slopes"]);
    graph.nodes.push(split.int("axis", 1).int("num_outputs", 3));
    graph.add("Sub", &["scores", "starts"], "distances");
    graph.add("Mul", &["distances", "slopes"], "rises");
    graph.add("Add", &["heights", "rises"], "on_lines");
    "on_lines"
}

/// The line on every piece between points and beyond them: its start, its height there, its slope.
fn lines_between(points: &[(f64, f64)]) -> Vec<[f64; 3]> {
    let Some(&(_, first)) = points.first() else { return vec![[0.0; 3]] };
    let mut lines = vec![[0.0, first, 0.0]];
    for pair in points.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let slope = if from.0 < to.0 { (to.1 - from.1) / (to.0 - from.0) } else { 0.0 };
        lines.push([from.0, from.1, slope]);
    }
    let last = points[points.len() - 1];
    lines.push([last.0, last.1, 0.0]);
    lines
}

/// Logistic curves over the logit, where a column has one.
fn platt(graph: &mut Graph, calibrations: &[Option<&Calibration>], current: &str) -> &'static str {
    let parameters = |pick: fn(&crate::calibration::Platt) -> f64, otherwise: f64| -> Vec<f64> {
        let one = |calibration: &Option<&Calibration>| match calibration {
            Some(Calibration::Platt(curve)) => pick(curve),
            _ => otherwise,
        };
        calibrations.iter().map(one).collect()
    };
    let is_platt: Vec<u8> = calibrations.iter().map(|calibration| u8::from(matches!(calibration, Some(Calibration::Platt(_))))).collect();
    constant(graph, "lowest", &[LOGIT_MARGIN]);
    constant(graph, "highest", &[1.0 - LOGIT_MARGIN]);
    constant(graph, "curve_slope", &parameters(|curve| curve.slope(), 1.0));
    constant(graph, "curve_intercept", &parameters(|curve| curve.intercept(), 0.0));
    graph.constants.push(tensor("is_curve", Element::Bool, &[1, is_platt.len()], &is_platt));
    graph.add("Max", &["scores", "lowest"], "from_lowest");
    graph.add("Min", &["from_lowest", "highest"], "held");
    graph.add("Sub", &["one", "held"], "rest");
    graph.add("Div", &["held", "rest"], "odds");
    graph.add("Log", &["odds"], "logit");
    graph.add("Mul", &["logit", "curve_slope"], "steep");
    graph.add("Add", &["steep", "curve_intercept"], "shifted");
    graph.add("Neg", &["shifted"], "opposite");
    graph.add("Exp", &["opposite"], "decay");
    graph.add("Add", &["decay", "one"], "denominator");
    graph.add("Div", &["one", "denominator"], "on_curves");
    graph.nodes.push(Operation::new("Where", "", &["is_curve", "on_curves", current], &["calibrated"]));
    "calibrated"
}

/// Beta curves over the logarithms of the score and of its distance to 1, where a column has one.
fn beta(graph: &mut Graph, calibrations: &[Option<&Calibration>], current: &str) -> &'static str {
    let parameters = |calibration: &Option<&Calibration>| match calibration {
        Some(Calibration::Beta(curve)) => curve.parameters(),
        _ => [0.0; 3],
    };
    let found: Vec<[f64; 3]> = calibrations.iter().map(parameters).collect();
    let each = |position: usize| -> Vec<f64> { found.iter().map(|found| found[position]).collect() };
    let is_beta: Vec<u8> = calibrations.iter().map(|calibration| u8::from(matches!(calibration, Some(Calibration::Beta(_))))).collect();
    constant(graph, "beta_lowest", &[LOGIT_MARGIN]);
    constant(graph, "beta_highest", &[1.0 - LOGIT_MARGIN]);
    constant(graph, "beta_success_slope", &each(0));
    constant(graph, "beta_failure_slope", &each(1));
    constant(graph, "beta_intercept", &each(2));
    graph.constants.push(tensor("is_beta", Element::Bool, &[1, is_beta.len()], &is_beta));
    graph.add("Max", &["scores", "beta_lowest"], "beta_from_lowest");
    graph.add("Min", &["beta_from_lowest", "beta_highest"], "beta_held");
    graph.add("Sub", &["one", "beta_held"], "beta_rest");
    graph.add("Log", &["beta_held"], "log_success");
    graph.add("Log", &["beta_rest"], "log_failure");
    graph.add("Mul", &["log_success", "beta_success_slope"], "for_success");
    graph.add("Mul", &["log_failure", "beta_failure_slope"], "for_failure");
    graph.add("Sub", &["for_success", "for_failure"], "beta_steep");
    graph.add("Add", &["beta_steep", "beta_intercept"], "beta_shifted");
    graph.add("Neg", &["beta_shifted"], "beta_opposite");
    graph.add("Exp", &["beta_opposite"], "beta_decay");
    graph.add("Add", &["beta_decay", "one"], "beta_denominator");
    graph.add("Div", &["one", "beta_denominator"], "on_beta");
    graph.nodes.push(Operation::new("Where", "", &["is_beta", "on_beta", current], &["calibrated_by_beta"]));
    "calibrated_by_beta"
}

/// Trees of `TreeEnsemble` (ai.onnx.ml 5), whose leaves add one number to one column.
#[derive(Clone, Debug, Default)]
struct Ensemble {
    comparison: u8,
    roots: Vec<i64>,
    features: Vec<i64>,
    splits: Vec<f64>,
    missing_true: Vec<i64>,
    /// Per side: the child, and whether it is a leaf.
    children: [(Vec<i64>, Vec<i64>); 2],
    targets: Vec<i64>,
    weights: Vec<f64>,
}

impl Ensemble {
    /// The mean over a forest's trees goes to one column.
    fn add_forest(&mut self, forest: &Forest, target: usize) {
        let share = forest.n_trees() as f64;
        for tree in 0..forest.n_trees() {
            let range = forest.tree_range(tree);
            let nodes = &forest.nodes()[range.clone()];
            let leaf_weight = |leaf: usize| forest.leaf_values(leaf).first().map_or(0.0, |&weight| f64::from(weight) / share);
            // Where every node of the tree goes: a split to the splits, a leaf to the leaves.
            let (mut next_split, mut places) = (self.features.len() as i64, Vec::with_capacity(nodes.len()));
            self.roots.push(next_split);
            for node in nodes {
                places.push(match node.kind() {
                    NodeKind::Leaf { leaf } => self.leaf(target, leaf_weight(leaf)),
                    NodeKind::Split { .. } => {
                        next_split += 1;
                        (next_split - 1, 0)
                    }
                });
            }
            if let Some(NodeKind::Leaf { .. }) = nodes.first().map(|node| node.kind()) {
                self.split(0, 0.0, 1, places[0], places[0]);
                continue;
            }
            for node in nodes {
                if let NodeKind::Split { feature, test: Test::AtMost(threshold), missing, left, right } = node.kind() {
                    let place = |child: usize| places[child - range.start];
                    self.split(feature, f64::from(threshold), i64::from(missing == Side::Left), place(left), place(right));
                }
            }
        }
    }

    /// A function with steps: `values[i]` from the i-th cut on, `values[0]` below the first.
    fn add_steps(&mut self, feature: usize, cuts: &[f64], values: &[f64], target: usize) {
        let first_leaf = self.weights.len() as i64;
        for &value in values {
            self.leaf(target, value);
        }
        self.roots.push(self.features.len() as i64);
        self.bisect(feature, cuts, first_leaf);
    }

    /// Adds the splits over a run of cuts and returns the place of their root; `first_leaf`: the leaf below the first of them.
    fn bisect(&mut self, feature: usize, cuts: &[f64], first_leaf: i64) -> (i64, i64) {
        if cuts.is_empty() {
            return (first_leaf, 1);
        }
        let middle = cuts.len() / 2;
        let place = self.features.len();
        self.split(feature, cuts[middle], 0, (0, 1), (0, 1));
        let below = self.bisect(feature, &cuts[..middle], first_leaf);
        let above = self.bisect(feature, &cuts[middle + 1..], first_leaf + middle as i64 + 1);
        for ((nodes, leaves), child) in self.children.iter_mut().zip([below, above]) {
            (nodes[place], leaves[place]) = child;
        }
        (place as i64, 0)
    }

    fn leaf(&mut self, target: usize, weight: f64) -> (i64, i64) {
        self.targets.push(target as i64);
        self.weights.push(weight);
        (self.weights.len() as i64 - 1, 1)
    }

    fn split(&mut self, feature: usize, threshold: f64, missing_true: i64, left: (i64, i64), right: (i64, i64)) {
        self.features.push(feature as i64);
        self.splits.push(threshold);
        self.missing_true.push(missing_true);
        for ((nodes, leaves), child) in self.children.iter_mut().zip([left, right]) {
            nodes.push(child.0);
            leaves.push(child.1);
        }
    }

    fn operation(&self, input: &str, output: &str, n_targets: usize) -> Operation {
        let modes = vec![self.comparison; self.features.len()];
        let [(true_nodes, true_leaves), (false_nodes, false_leaves)] = &self.children;
        Operation::new("TreeEnsemble", ML, &[input], &[output])
            .int("n_targets", n_targets as i64)
            .int("aggregate_function", 1)
            .int("post_transform", 0)
            .ints("tree_roots", &self.roots)
            .ints("nodes_featureids", &self.features)
            .tensor("nodes_splits", &doubles("", &[self.splits.len()], &self.splits))
            .tensor("nodes_modes", &tensor("", Element::Byte, &[modes.len()], &modes))
            .ints("nodes_missing_value_tracks_true", &self.missing_true)
            .ints("nodes_truenodeids", true_nodes)
            .ints("nodes_trueleafs", true_leaves)
            .ints("nodes_falsenodeids", false_nodes)
            .ints("nodes_falseleafs", false_leaves)
            .ints("leaf_targetids", &self.targets)
            .tensor("leaf_weights", &doubles("", &[self.weights.len()], &self.weights))
    }
}

/// The classifier, whose leaves hold a number per class: `TreeEnsembleClassifier` of ai.onnx.ml 3.
fn imitation(policy: &Policy, forest: &Forest, n_columns: usize) -> Vec<u8> {
    let mut graph = begin(n_columns);
    let share = forest.n_trees() as f64;
    let (mut tree_ids, mut node_ids, mut features, mut modes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut thresholds, mut lefts, mut rights, mut missing_true) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut class_trees, mut class_nodes, mut class_ids, mut weights) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for tree in 0..forest.n_trees() {
        let range = forest.tree_range(tree);
        for (position, node) in forest.nodes()[range.clone()].iter().enumerate() {
            tree_ids.push(tree as i64);
            node_ids.push(position as i64);
            match node.kind() {
                NodeKind::Split { feature, test, missing, left, right } => {
                    features.push(feature as i64);
                    modes.push("BRANCH_LEQ");
                    // Forests with sets do not come here.
                    thresholds.push(if let Test::AtMost(threshold) = test { f64::from(threshold) } else { f64::INFINITY });
                    lefts.push((left - range.start) as i64);
                    rights.push((right - range.start) as i64);
                    missing_true.push(i64::from(missing == Side::Left));
                }
                NodeKind::Leaf { leaf } => {
                    features.push(0);
                    modes.push("LEAF");
                    thresholds.push(0.0);
                    lefts.push(0);
                    rights.push(0);
                    missing_true.push(0);
                    for (class, &weight) in forest.leaf_values(leaf).iter().enumerate() {
                        class_trees.push(tree as i64);
                        class_nodes.push(position as i64);
                        class_ids.push(class as i64);
                        weights.push(f64::from(weight) / share);
                    }
                }
            }
        }
    }
    let names: Vec<&str> = policy.paths.names().iter().map(String::as_str).collect();
    let operation = Operation::new("TreeEnsembleClassifier", ML, &["doubles"], &["label", "probabilities"])
        .text("post_transform", "NONE")
        .texts("classlabels_strings", &names)
        .ints("nodes_treeids", &tree_ids)
        .ints("nodes_nodeids", &node_ids)
        .ints("nodes_featureids", &features)
        .texts("nodes_modes", &modes)
        .tensor("nodes_values_as_tensor", &doubles("", &[thresholds.len()], &thresholds))
        .ints("nodes_truenodeids", &lefts)
        .ints("nodes_falsenodeids", &rights)
        .ints("nodes_missing_value_tracks_true", &missing_true)
        .ints("class_treeids", &class_trees)
        .ints("class_nodeids", &class_nodes)
        .ints("class_ids", &class_ids)
        .tensor("class_weights_as_tensor", &doubles("", &[weights.len()], &weights));
    graph.nodes.push(operation);
    graph.outputs.push(value("label", Element::Text, None));
    graph.outputs.push(value("probabilities", Element::Float, Some(names.len())));
    graph.model("classifier", TREE_CLASSIFIER, &properties(policy))
}
