//! The forest that predicts: flat arrays of nodes, checked once, walked without allocation.

mod bytes;
mod join;
mod steps;

pub use bytes::FOREST_VERSION;
pub use join::JoinedTrees;

use self::steps::LazySteps;
pub(crate) use self::steps::RowSlots;

/// Levels below the root that a tree may have: far more than a grown tree needs, few enough for recursive readers.
pub const MAX_TREE_DEPTH: usize = 128;

/// Key of a leaf in [`Node`]; a split's key is twice its column, plus one where missing values go right, plus [`SET`] for a set.
const LEAF: u32 = u32::MAX;

/// Marks a split by a set of categories; its threshold's bits are the position of the set.
const SET: u32 = 1 << 30;

/// Categories that a set can tell apart: whole numbers from 0.
pub const MAX_CATEGORIES: usize = 255;

/// Rows that walk through a tree side by side.
const LANES: usize = 8;

/// Columns that a forest may read, and numbers that a leaf may hold: bounds what a hostile header can ask for.
const MAX_WIDTH: usize = 1 << 16;

/// A side of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Values up to the threshold.
    Left,
    /// Values above the threshold.
    Right,
}

/// Some of the categories 0 to [`MAX_CATEGORIES`] − 1, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CategorySet(pub [u64; 4]);

impl CategorySet {
    /// Adds a category.
    pub fn insert(&mut self, category: u8) {
        self.0[usize::from(category >> 6)] |= 1 << (category & 63);
    }

    /// Whether a category is in it.
    #[inline]
    pub fn contains(&self, category: u8) -> bool {
        self.0[usize::from(category >> 6)] >> (category & 63) & 1 == 1
    }

    /// The categories in it, in order.
    pub fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        (0..MAX_CATEGORIES as u8).filter(|category| self.contains(*category))
    }
}

/// The category that a number names; `None` for missing values, fractions, and numbers outside 0 to [`MAX_CATEGORIES`] − 1.
#[inline]
pub fn category_of(value: f32) -> Option<u8> {
    let category = value as u8;
    (f32::from(category) == value && usize::from(category) < MAX_CATEGORIES).then_some(category)
}

/// What sends a row to the left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Test {
    /// A value of at most this; infinite where every value that is there goes left.
    AtMost(f32),
    /// A category of this set of [`Forest::sets`].
    OneOf(usize),
}

/// A node of a tree in 16 bytes: a split, or a leaf that points at its values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    key: u32,
    threshold: f32,
    /// Left child (the right one follows it), or the position of a leaf's values.
    next: u32,
    cover: f32,
}

/// What a node says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NodeKind {
    /// A row goes to `left` when its value passes the test, to `right` when it does not, and to `missing` when it is NaN, or no category
    /// where categories are tested. [`Forest::goes_left`] says which.
    Split {
        /// The column.
        feature: usize,
        /// What goes left.
        test: Test,
        /// Where NaN goes.
        missing: Side,
        /// Node of the left side.
        left: usize,
        /// Node of the right side.
        right: usize,
    },
    /// The walk ends here.
    Leaf {
        /// Position of the leaf's values among the leaves.
        leaf: usize,
    },
}

impl Node {
    /// A split; its children are the nodes `left` and `left + 1`. `cover`: weight of the training rows that reached it.
    pub fn split(feature: u16, threshold: f32, missing: Side, left: u32, cover: f32) -> Self {
        Self { key: u32::from(feature) << 1 | u32::from(missing == Side::Right), threshold, next: left, cover }
    }

    /// A split by a set of categories, the `set`-th of the tree's; otherwise as [`Self::split`].
    pub fn split_by_set(feature: u16, set: u32, missing: Side, left: u32, cover: f32) -> Self {
        let node = Self::split(feature, f32::from_bits(set), missing, left, cover);
        Self { key: node.key | SET, ..node }
    }

    /// A leaf whose values are the `leaf`-th of the tree's.
    pub fn leaf(leaf: u32, cover: f32) -> Self {
        Self { key: LEAF, threshold: 0.0, next: leaf, cover }
    }

    /// The node's content.
    pub fn kind(self) -> NodeKind {
        let next = self.next as usize;
        if self.key == LEAF {
            return NodeKind::Leaf { leaf: next };
        }
        let missing = if self.key & 1 == 1 { Side::Right } else { Side::Left };
        let test = if self.has_set() { Test::OneOf(self.threshold.to_bits() as usize) } else { Test::AtMost(self.threshold) };
        NodeKind::Split { feature: self.feature(), test, missing, left: next, right: next + 1 }
    }

    /// The column of a split.
    #[inline]
    fn feature(self) -> usize {
        (self.key >> 1 & 0xffff) as usize
    }

    /// Whether a split tests categories.
    #[inline]
    fn has_set(self) -> bool {
        self.key & SET != 0 && self.key != LEAF
    }

    /// Weight of the training rows that reached the node.
    pub fn cover(self) -> f32 {
        self.cover
    }
}

/// One tree: nodes with the root first and children after their parents, and the values of its leaves, `n_outputs` each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree {
    /// The nodes; children are positions in this list.
    pub nodes: Vec<Node>,
    /// The leaves' values, leaf after leaf.
    pub values: Vec<f32>,
    /// The sets that its splits name.
    pub sets: Vec<CategorySet>,
}

/// A forest: the mean over its trees of what their leaves hold, class probabilities or one mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Forest {
    n_features: usize,
    n_outputs: usize,
    roots: Vec<u32>,
    nodes: Vec<Node>,
    values: Vec<f32>,
    sets: Vec<CategorySet>,
    /// What rows walk through, where that is possible.
    steps: LazySteps,
}

/// Trees, or bytes, that make no forest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForestError {
    /// Bytes that do not start as a forest does.
    #[error("not a forest: the first bytes are not `{expected}`")]
    Magic {
        /// The bytes a forest starts with.
        expected: &'static str,
    },
    /// A forest of another format.
    #[error("forest format {found}, this program reads {expected}")]
    Version {
        /// The version found.
        found: u32,
        /// The version that can be read.
        expected: u32,
    },
    /// Bytes that are too few or too many for what their header says.
    #[error("forest of {found} bytes, its header says {expected}")]
    Size {
        /// Bytes that the header asks for.
        expected: u64,
        /// Bytes there are.
        found: usize,
    },
    /// A number of columns, outputs, trees or nodes that cannot be.
    #[error("`{part}`: {found} is out of range")]
    Count {
        /// What is counted.
        part: &'static str,
        /// The count.
        found: usize,
    },
    /// A node that points nowhere, or holds a number that is none.
    #[error("tree {tree}, node {node}: {reason}")]
    Node {
        /// The tree, from 0.
        tree: usize,
        /// The node, from 0 at the tree's root.
        node: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A leaf value that is not finite.
    #[error("leaf value {position} is not finite")]
    Value {
        /// Its position.
        position: usize,
    },
}

impl Forest {
    /// Joins trees into a forest and checks everything, as [`JoinedTrees`] does with trees that come one after another.
    ///
    /// `n_features`: columns of a row; `n_outputs`: numbers per leaf; both from 1 to 65,536.
    ///
    /// # Errors
    /// [`ForestError`] names the first tree and node that do not hold.
    pub fn new(n_features: usize, n_outputs: usize, trees: &[Tree]) -> Result<Self, ForestError> {
        let mut joined = JoinedTrees::new(n_features, n_outputs)?;
        trees.iter().try_for_each(|tree| joined.push(tree))?;
        joined.into_forest()
    }

    /// Joins forests of one shape into one of all their trees, in order.
    ///
    /// # Errors
    /// [`ForestError::Count`] for no forests, forests of different shape, or more nodes than can be counted.
    pub fn join(forests: &[Self]) -> Result<Self, ForestError> {
        let Some(first) = forests.first() else { return Err(ForestError::Count { part: "trees", found: 0 }) };
        if let Some(other) = forests.iter().find(|other| other.n_outputs != first.n_outputs) {
            return Err(ForestError::Count { part: "outputs", found: other.n_outputs });
        }
        if let Some(other) = forests.iter().find(|other| other.n_features != first.n_features) {
            return Err(ForestError::Count { part: "columns", found: other.n_features });
        }
        let mut joined = JoinedTrees::new(first.n_features, first.n_outputs)?;
        forests.iter().try_for_each(|forest| joined.push_forest(forest))?;
        joined.into_forest()
    }

    /// The forest of the first trees, at least one: what growing so many gives.
    pub fn first_trees(&self, n_trees: usize) -> Self {
        let n_trees = n_trees.clamp(1, self.n_trees());
        let nodes = self.nodes[..self.tree_range(n_trees - 1).end].to_vec();
        let leaf = |node: &Node| if let NodeKind::Leaf { leaf } = node.kind() { leaf + 1 } else { 0 };
        let set = |node: &Node| if let NodeKind::Split { test: Test::OneOf(set), .. } = node.kind() { set + 1 } else { 0 };
        let values = self.values[..nodes.iter().map(leaf).max().unwrap_or(0) * self.n_outputs].to_vec();
        let sets = self.sets[..nodes.iter().map(set).max().unwrap_or(0)].to_vec();
        Self { roots: self.roots[..n_trees].to_vec(), nodes, values, sets, steps: LazySteps::default(), ..*self }
    }

    /// Checks flat arrays whose positions count from the forest's first node.
    fn checked(
        n_features: usize,
        n_outputs: usize,
        roots: Vec<u32>,
        nodes: Vec<Node>,
        values: Vec<f32>,
        sets: Vec<CategorySet>,
    ) -> Result<Self, ForestError> {
        let count = |part, found, valid| if valid { Ok(()) } else { Err(ForestError::Count { part, found }) };
        count("columns", n_features, (1..=MAX_WIDTH).contains(&n_features))?;
        count("outputs", n_outputs, (1..=MAX_WIDTH).contains(&n_outputs))?;
        count("trees", roots.len(), !roots.is_empty())?;
        count("values", values.len(), values.len().is_multiple_of(n_outputs))?;
        if let Some(position) = values.iter().position(|value| !value.is_finite()) {
            return Err(ForestError::Value { position });
        }
        let forest = Self { n_features, n_outputs, roots, nodes, values, sets, steps: LazySteps::default() };
        let mut depths = vec![UNREACHED; forest.nodes.len()];
        for tree in 0..forest.roots.len() {
            forest.check_tree(tree, &mut depths)?;
        }
        Ok(forest)
    }

    /// Makes what rows walk through, which the first prediction makes otherwise.
    pub fn warm_up(&self) {
        self.steps.of(self);
    }

    /// Checks one tree: its nodes fill its range, each non-root node has exactly one parent, which comes before it.
    fn check_tree(&self, tree: usize, depths: &mut [u8]) -> Result<(), ForestError> {
        let range = self.tree_range(tree);
        let (start, end) = (range.start, range.end);
        let wrong = |node: usize, reason| Err(ForestError::Node { tree, node: node.saturating_sub(start), reason });
        if end <= start || self.nodes.len() < end || (tree == 0 && start != 0) {
            return wrong(start, "no root");
        }
        depths[start] = 0;
        let n_leaves = self.values.len() / self.n_outputs;
        for index in start..end {
            let node = self.nodes[index];
            let depth = depths[index];
            if depth == UNREACHED {
                return wrong(index, "no parent before it");
            }
            if !(node.cover.is_finite() && 0.0 <= node.cover) {
                return wrong(index, "cover is not a finite weight");
            }
            match node.kind() {
                NodeKind::Leaf { leaf } if n_leaves <= leaf => return wrong(index, "leaf values past the end"),
                NodeKind::Leaf { .. } => {}
                NodeKind::Split { feature, test, left, right, .. } => {
                    if self.n_features <= feature || 1 << 17 <= node.key & !SET {
                        return wrong(index, "column past the end");
                    }
                    match test {
                        Test::AtMost(threshold) if threshold.is_nan() || threshold == f32::NEG_INFINITY => {
                            return wrong(index, "threshold is no number");
                        }
                        Test::OneOf(set) if self.sets.len() <= set => return wrong(index, "set past the end"),
                        _ => {}
                    }
                    if left <= index || end <= right {
                        return wrong(index, "children are not after it, inside the tree");
                    }
                    if depths[left] != UNREACHED || depths[right] != UNREACHED {
                        return wrong(index, "a child has two parents");
                    }
                    if usize::from(depth) == MAX_TREE_DEPTH {
                        return wrong(index, "too deep");
                    }
                    depths[left] = depth + 1;
                    depths[right] = depth + 1;
                }
            }
        }
        Ok(())
    }

    /// Columns of a row.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Numbers per prediction: classes, or 1.
    pub fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    /// Number of trees.
    pub fn n_trees(&self) -> usize {
        self.roots.len()
    }

    /// Number of nodes of all trees.
    pub fn n_nodes(&self) -> usize {
        self.nodes.len()
    }

    /// All nodes; children and leaves are positions in the whole forest.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Positions of a tree's nodes, root first; empty past the last tree.
    pub fn tree_range(&self, tree: usize) -> std::ops::Range<usize> {
        let start = self.roots.get(tree).map_or(self.nodes.len(), |&root| root as usize);
        let end = self.roots.get(tree + 1).map_or(self.nodes.len(), |&root| root as usize);
        start..end
    }

    /// The values of a leaf, `n_outputs` numbers; empty for a leaf that is not there.
    pub fn leaf_values(&self, leaf: usize) -> &[f32] {
        self.values.get(leaf * self.n_outputs..(leaf + 1) * self.n_outputs).unwrap_or_default()
    }

    /// The sets of categories that splits name.
    pub fn sets(&self) -> &[CategorySet] {
        &self.sets
    }

    /// Whether a value goes left at a split with this test and side of missing values.
    #[inline]
    pub fn goes_left(&self, test: Test, missing: Side, value: f32) -> bool {
        match test {
            Test::AtMost(_) if value.is_nan() => missing == Side::Left,
            Test::AtMost(threshold) => value <= threshold,
            Test::OneOf(set) => match (category_of(value), self.sets.get(set)) {
                (Some(category), Some(set)) => set.contains(category),
                _ => missing == Side::Left,
            },
        }
    }

    /// Predicts one row: the mean over the trees. Allocates nothing after [`Self::warm_up`] or another prediction.
    ///
    /// `row`: `n_features` numbers, NaN = missing, shorter rows are missing at their end; `out`: `n_outputs` numbers, overwritten.
    pub fn predict(&self, row: &[f32], out: &mut [f64]) {
        out.fill(0.0);
        match self.steps.of(self) {
            Some(steps) => steps.add(row, &self.values, out),
            None => (0..self.roots.len()).for_each(|tree| self.add_leaf(self.leaf_of(tree, row), out)),
        }
        self.divide_by_trees(out);
    }

    /// [`Self::predict`] for a row that was laid out.
    pub(crate) fn predict_laid_out(&self, row: &[f32], slots: &RowSlots, out: &mut [f64]) {
        let Some(steps) = self.steps.of(self) else { return self.predict(row, out) };
        out.fill(0.0);
        steps.add_laid_out(row, slots, &self.values, out);
        self.divide_by_trees(out);
    }

    /// From sums over the trees to means.
    fn divide_by_trees(&self, sums: &mut [f64]) {
        let share = 1.0 / self.roots.len() as f64;
        sums.iter_mut().for_each(|sum| *sum *= share);
    }

    /// Predicts rows that lie one after another so that the trees stay in the cache; equal to [`Self::predict`] bit for bit.
    ///
    /// `rows`: n × `n_features` numbers; `out`: n × `n_outputs` numbers, overwritten.
    pub fn predict_rows(&self, rows: &[f32], out: &mut [f64]) {
        out.fill(0.0);
        match self.steps.of(self).filter(|steps| !steps.has_large_trees()) {
            Some(steps) => steps.add_rows(rows, &self.values, out),
            None if self.sets.is_empty() => self.walk_rows::<false>(rows, out),
            None => self.walk_rows::<true>(rows, out),
        }
        self.divide_by_trees(out);
    }

    /// Adds the leaves in which rows end to `out`, tree by tree, with code for sets only where there are some.
    fn walk_rows<const HAS_SETS: bool>(&self, rows: &[f32], out: &mut [f64]) {
        for &root in &self.roots {
            let lanes = rows.chunks(LANES * self.n_features).zip(out.chunks_mut(LANES * self.n_outputs));
            for (rows, out) in lanes {
                let nodes = self.leaf_nodes::<HAS_SETS>(root, rows);
                for (node, out) in nodes.into_iter().zip(out.chunks_exact_mut(self.n_outputs)) {
                    self.add_leaf(self.nodes[node as usize].next as usize, out);
                }
            }
        }
    }

    /// The leaf in which a row ends in one tree, as a position for [`Self::leaf_values`]; leaves that hold the same may share one.
    pub fn leaf_of(&self, tree: usize, row: &[f32]) -> usize {
        let mut node = self.nodes[self.roots[tree] as usize];
        while node.key != LEAF {
            let value = row.get(node.feature()).copied().unwrap_or(f32::NAN);
            node = self.nodes[node.next as usize + usize::from(self.is_right::<true>(node, value))];
        }
        node.next as usize
    }

    /// The leaf nodes of up to [`LANES`] rows, which walk side by side, so that the memory they wait for arrives together.
    fn leaf_nodes<const HAS_SETS: bool>(&self, root: u32, rows: &[f32]) -> [u32; LANES] {
        let n_rows = rows.len() / self.n_features;
        let mut nodes = [root; LANES];
        let mut is_walking = true;
        while is_walking {
            is_walking = false;
            for (lane, at) in nodes.iter_mut().enumerate().take(n_rows) {
                let node = self.nodes[*at as usize];
                if node.key != LEAF {
                    let value = rows[lane * self.n_features + node.feature()];
                    *at = node.next + u32::from(self.is_right::<HAS_SETS>(node, value));
                    is_walking = true;
                }
            }
        }
        nodes
    }

    /// Whether a value goes right at a split.
    #[inline]
    fn is_right<const HAS_SETS: bool>(&self, node: Node, value: f32) -> bool {
        if HAS_SETS && node.has_set() {
            let missing = if node.key & 1 == 1 { Side::Right } else { Side::Left };
            return !self.goes_left(Test::OneOf(node.threshold.to_bits() as usize), missing, value);
        }
        (value > node.threshold) | (value.is_nan() & (node.key & 1 == 1))
    }

    /// Adds a leaf's values.
    fn add_leaf(&self, leaf: usize, out: &mut [f64]) {
        for (sum, &value) in out.iter_mut().zip(self.leaf_values(leaf)) {
            *sum += f64::from(value);
        }
    }
}

/// Depth of a node that no parent has been seen for.
const UNREACHED: u8 = u8::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits column 0 at 1.5 and column 1 at -2 on its right side; missing goes right, then left.
    pub(super) fn small_tree() -> Tree {
        Tree {
            nodes: vec![
                Node::split(0, 1.5, Side::Right, 1, 6.0),
                Node::leaf(0, 2.0),
                Node::split(1, -2.0, Side::Left, 3, 4.0),
                Node::leaf(1, 3.0),
                Node::leaf(2, 1.0),
            ],
            values: vec![1.0, 0.0, 0.25, 0.75, 0.0, 1.0],
            sets: Vec::new(),
        }
    }

    pub(super) fn small_forest() -> Forest {
        let stump = Tree { nodes: vec![Node::leaf(0, 6.0)], values: vec![0.5, 0.5], ..Tree::default() };
        Forest::new(2, 2, &[small_tree(), stump]).unwrap()
    }

    /// Sends the categories 1 and 200 of column 0 left, missing values right, in the second of two trees.
    pub(super) fn forest_with_a_set() -> Forest {
        let mut sets = [CategorySet::default(); 2];
        [1, 200].into_iter().for_each(|category| sets[0].insert(category));
        sets[1].insert(7);
        let tree = |position: usize| Tree {
            nodes: vec![Node::split_by_set(0, 0, Side::Right, 1, 3.0), Node::leaf(0, 1.0), Node::leaf(1, 2.0)],
            values: vec![1.0, 0.0],
            sets: vec![sets[position]],
        };
        Forest::new(1, 1, &[tree(1), tree(0)]).unwrap()
    }

    #[test]
    fn a_set_sends_its_categories_left_and_what_is_no_category_where_missing_values_go() {
        let forest = forest_with_a_set();
        let values = [1.0, 200.0, 7.0, 0.0, 1.5, -1.0, 255.0, f32::NAN, f32::INFINITY];
        let leaves = values.map(|value| forest.leaf_of(1, &[value]));
        assert_eq!(leaves, [0, 0, 1, 1, 1, 1, 1, 1, 1]);
        let mut out = [9.0; 9];
        forest.predict_rows(&values, &mut out);
        assert_eq!(out, [0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(forest.sets()[1].iter().collect::<Vec<u8>>(), [1, 200]);
    }

    #[test]
    fn the_first_trees_are_the_forest_of_those_alone() {
        let with_sets = forest_with_a_set();
        let joined = Forest::join(&[with_sets.clone(), with_sets.clone()]).unwrap();
        assert_eq!(joined.first_trees(2), with_sets);
        let one = Forest::new(2, 2, &[small_tree()]).unwrap();
        assert_eq!(small_forest().first_trees(0), one);
        assert_eq!(small_forest().first_trees(9), small_forest());
    }

    #[test]
    fn joined_forests_have_all_trees() {
        let (one, other) = (small_forest(), Forest::new(2, 2, &[small_tree()]).unwrap());
        let stump = Tree { nodes: vec![Node::leaf(0, 6.0)], values: vec![0.5, 0.5], ..Tree::default() };
        assert_eq!(Forest::join(&[one.clone(), other]), Forest::new(2, 2, &[small_tree(), stump, small_tree()]));
        let with_sets = forest_with_a_set();
        let twice = Forest::join(&[with_sets.clone(), with_sets.clone()]).unwrap();
        assert_eq!(Forest::from_bytes(&twice.to_bytes()), Ok(twice.clone()));
        assert_eq!(twice.leaf_of(3, &[200.0]), with_sets.leaf_of(1, &[200.0]));
        assert_eq!(Forest::join(&[one, with_sets]), Err(ForestError::Count { part: "outputs", found: 1 }));
        assert_eq!(Forest::join(&[]), Err(ForestError::Count { part: "trees", found: 0 }));
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Tree)) -> String {
        let mut tree = small_tree();
        change(&mut tree);
        Forest::new(2, 2, &[tree]).unwrap_err().to_string()
    }

    #[test]
    fn a_row_goes_left_up_to_the_threshold_and_missing_values_where_the_node_says() {
        let forest = Forest::new(2, 2, &[small_tree()]).unwrap();
        for (row, leaf) in [([1.5, 0.0], 0), ([1.6, -2.0], 1), ([1.6, -1.9], 2), ([f32::NAN, -1.9], 2), ([f32::NAN, f32::NAN], 1)] {
            assert_eq!(forest.leaf_of(0, &row), leaf, "{row:?}");
        }
    }

    #[test]
    fn a_prediction_is_the_mean_over_the_trees() {
        let mut out = [9.0, 9.0];
        small_forest().predict(&[2.0, -3.0], &mut out);
        assert_eq!(out, [0.375, 0.625]);
        let mut rows = [9.0; 4];
        small_forest().predict_rows(&[2.0, -3.0, 1.0, 0.0], &mut rows);
        assert_eq!(rows, [0.375, 0.625, 0.75, 0.25]);
    }

    #[test]
    fn infinite_thresholds_send_everything_that_is_there_left() {
        let tree = Tree {
            nodes: vec![Node::split(0, f32::INFINITY, Side::Right, 1, 2.0), Node::leaf(0, 1.0), Node::leaf(1, 1.0)],
            values: vec![0.0, 1.0],
            ..Tree::default()
        };
        let forest = Forest::new(1, 1, &[tree]).unwrap();
        assert_eq!(forest.leaf_of(0, &[f32::INFINITY]), 0);
        assert_eq!(forest.leaf_of(0, &[f32::NAN]), 1);
    }

    #[test]
    fn what_would_not_end_or_not_be_there_is_refused() {
        assert_eq!(
            refused(|tree| tree.nodes[2] = Node::split(0, 0.0, Side::Left, 0, 1.0)),
            "tree 0, node 2: children are not after it, inside the tree"
        );
        assert_eq!(
            refused(|tree| tree.nodes[2] = Node::split(0, 0.0, Side::Left, 4, 1.0)),
            "tree 0, node 2: children are not after it, inside the tree"
        );
        assert_eq!(refused(|tree| tree.nodes[1] = Node::split(0, 0.0, Side::Left, 2, 1.0)), "tree 0, node 1: a child has two parents");
        assert_eq!(refused(|tree| tree.nodes.push(Node::leaf(0, 1.0))), "tree 0, node 5: no parent before it");
        assert_eq!(refused(|tree| tree.nodes[0] = Node::split(2, 0.0, Side::Left, 1, 1.0)), "tree 0, node 0: column past the end");
        assert_eq!(refused(|tree| tree.nodes[4] = Node::leaf(3, 1.0)), "tree 0, node 4: leaf values past the end");
        assert_eq!(refused(|tree| tree.nodes[4] = Node::leaf(2, f32::NAN)), "tree 0, node 4: cover is not a finite weight");
        assert_eq!(refused(|tree| tree.nodes[0] = Node::split(0, f32::NAN, Side::Left, 1, 1.0)), "tree 0, node 0: threshold is no number");
        assert_eq!(refused(|tree| tree.nodes[0] = Node::split_by_set(0, 0, Side::Left, 1, 1.0)), "tree 0, node 0: set past the end");
        assert_eq!(refused(|tree| tree.values[3] = f32::INFINITY), "leaf value 3 is not finite");
        assert_eq!(refused(|tree| tree.nodes.clear()), "tree 0, node 0: no root");
        assert_eq!(Forest::new(2, 2, &[]).unwrap_err(), ForestError::Count { part: "trees", found: 0 });
        assert_eq!(Forest::new(0, 2, &[small_tree()]).unwrap_err(), ForestError::Count { part: "columns", found: 0 });
    }

    #[test]
    fn a_chain_deeper_than_the_limit_is_refused() {
        let chain = |depth: u32| {
            let split = |level: u32| Node::split(0, 0.0, Side::Left, 2 * level + 1, 1.0);
            let mut nodes = vec![split(0)];
            for level in 1..=depth {
                nodes.push(Node::leaf(0, 1.0));
                nodes.push(if level == depth { Node::leaf(0, 1.0) } else { split(level) });
            }
            Forest::new(1, 1, &[Tree { nodes, values: vec![0.0], ..Tree::default() }])
        };
        assert!(chain(MAX_TREE_DEPTH as u32).is_ok());
        assert!(chain(MAX_TREE_DEPTH as u32 + 1).is_err());
    }
}
