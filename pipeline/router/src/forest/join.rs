//! Trees joined into a forest one after another, so that each can be dropped once it is in.

use super::{CategorySet, Forest, ForestError, LEAF, MAX_WIDTH, Node, Tree};

/// As many leaves as this many bits can count are remembered: more than there are different ones of a few rows.
const REMEMBERED_BITS: u32 = 12;

/// How much larger than those before it a tree may be until there is no room for it. Memory that nobody writes to takes none.
const SPARE_PERCENT: usize = 10;

/// No leaf is remembered here.
const NOTHING: u32 = u32::MAX;

/// Trees on their way into a [`Forest`].
///
/// Most leaves of a deep tree hold one of a few values, such as a single class: leaves that hold what an earlier one held share its values,
/// as far as it is remembered. Joining forests gives what joining all of their trees gives.
#[derive(Clone, Debug)]
pub struct JoinedTrees {
    n_features: usize,
    n_outputs: usize,
    roots: Vec<u32>,
    nodes: Vec<Node>,
    values: Vec<f32>,
    sets: Vec<CategorySet>,
    /// Positions of leaves by what their values hash to.
    remembered: Vec<u32>,
}

impl JoinedTrees {
    /// No trees yet. `n_features`: columns of a row; `n_outputs`: numbers per leaf; both from 1 to 65,536.
    ///
    /// # Errors
    /// [`ForestError::Count`] for a number of columns or outputs that cannot be.
    pub fn new(n_features: usize, n_outputs: usize) -> Result<Self, ForestError> {
        let width = |part, found| if (1..=MAX_WIDTH).contains(&found) { Ok(found) } else { Err(ForestError::Count { part, found }) };
        Ok(Self {
            n_features: width("columns", n_features)?,
            n_outputs: width("outputs", n_outputs)?,
            roots: Vec::new(),
            nodes: Vec::new(),
            values: Vec::new(),
            sets: Vec::new(),
            remembered: vec![NOTHING; 1 << REMEMBERED_BITS],
        })
    }

    /// Adds a tree.
    ///
    /// # Errors
    /// [`ForestError::Count`] for more nodes than can be counted, or values that are not `n_outputs` per leaf. What else does not hold is
    /// found by [`Self::into_forest`].
    pub fn push(&mut self, tree: &Tree) -> Result<(), ForestError> {
        self.append(&[0], &tree.nodes, &tree.values, &tree.sets)
    }

    /// Trees that are in.
    pub fn n_trees(&self) -> usize {
        self.roots.len()
    }

    /// Makes room for so many more trees like those that are in, so that the nodes do not move, which takes them twice while they do.
    pub fn reserve(&mut self, n_trees: usize) {
        let n_more = |n_entries: usize| (n_entries / self.roots.len().max(1) * n_trees / 100).saturating_mul(100 + SPARE_PERCENT);
        let (n_nodes, n_values) = (n_more(self.nodes.len()), n_more(self.values.len()));
        self.nodes.reserve_exact(n_nodes);
        self.values.reserve_exact(n_values);
    }

    /// Adds the trees of a forest of the same shape.
    pub(super) fn push_forest(&mut self, forest: &Forest) -> Result<(), ForestError> {
        self.append(&forest.roots, &forest.nodes, &forest.values, &forest.sets)
    }

    /// The forest, everything checked: every walk ends in a leaf, every column and value exists, every number is finite.
    ///
    /// # Errors
    /// [`ForestError`] names the first tree and node that do not hold.
    pub fn into_forest(mut self) -> Result<Forest, ForestError> {
        self.nodes.shrink_to_fit();
        self.values.shrink_to_fit();
        Forest::checked(self.n_features, self.n_outputs, self.roots, self.nodes, self.values, self.sets)
    }

    /// Adds trees whose positions count from their own first node, leaf and set.
    fn append(&mut self, roots: &[u32], nodes: &[Node], values: &[f32], sets: &[CategorySet]) -> Result<(), ForestError> {
        let (n_nodes, first_set) = (self.nodes.len() + nodes.len(), self.sets.len() as u32);
        let first_node = self.nodes.len() as u32;
        if u32::try_from(n_nodes).is_err() {
            return Err(ForestError::Count { part: "nodes", found: n_nodes });
        }
        if !values.len().is_multiple_of(self.n_outputs) {
            return Err(ForestError::Count { part: "values", found: values.len() });
        }
        let leaves: Vec<u32> = values.chunks_exact(self.n_outputs).map(|values| self.leaf(values)).collect();
        // Positions past the end stay there, where they are refused.
        let moved = nodes.iter().map(|&node| match node {
            Node { key: LEAF, next, .. } => Node { next: leaves.get(next as usize).copied().unwrap_or(u32::MAX), ..node },
            _ if node.has_set() => {
                let set = node.threshold.to_bits().saturating_add(first_set);
                Node { next: node.next.saturating_add(first_node), threshold: f32::from_bits(set), ..node }
            }
            _ => Node { next: node.next.saturating_add(first_node), ..node },
        });
        self.nodes.extend(moved);
        self.roots.extend(roots.iter().map(|root| root + first_node));
        self.sets.extend_from_slice(sets);
        Ok(())
    }

    /// The position of a leaf with these values: that of an earlier one where it is remembered.
    fn leaf(&mut self, values: &[f32]) -> u32 {
        let hash = values.iter().fold(0, |hash: u32, value| (hash.rotate_left(5) ^ value.to_bits()).wrapping_mul(0x9e37_79b9));
        // The upper bits: a product's lower ones do not know the upper ones of what was multiplied.
        let place = (hash >> (u32::BITS - REMEMBERED_BITS)) as usize;
        let start = self.remembered[place] as usize * self.n_outputs;
        let is_same = |earlier: &[f32]| earlier.iter().zip(values).all(|(one, other)| one.to_bits() == other.to_bits());
        if self.remembered[place] != NOTHING && self.values.get(start..start + self.n_outputs).is_some_and(is_same) {
            return self.remembered[place];
        }
        // Fewer than nodes, which are counted with 32 bits.
        let leaf = (self.values.len() / self.n_outputs) as u32;
        self.values.extend_from_slice(values);
        self.remembered[place] = leaf;
        leaf
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::forest::Side;

    /// A split of column 0 at 0 with these leaves.
    fn stump(left: [f32; 2], right: [f32; 2]) -> Tree {
        let nodes = vec![Node::split(0, 0.0, Side::Left, 1, 2.0), Node::leaf(0, 1.0), Node::leaf(1, 1.0)];
        Tree { nodes, values: [left, right].concat(), ..Tree::default() }
    }

    fn joined(trees: &[Tree]) -> Forest {
        let mut joined = JoinedTrees::new(1, 2).unwrap();
        trees.iter().for_each(|tree| joined.push(tree).unwrap());
        joined.into_forest().unwrap()
    }

    #[test]
    fn equal_leaves_share_their_values() {
        let forest = joined(&[stump([1.0, 0.0], [0.0, 1.0]), stump([0.0, 1.0], [0.5, 0.5])]);
        let leaves = [0, 1].map(|tree| [-1.0, 1.0].map(|value| forest.leaf_of(tree, &[value])));
        assert_eq!(leaves, [[0, 1], [1, 2]]);
        assert_eq!(forest.leaf_values(2), [0.5, 0.5]);
        assert_eq!(forest.leaf_values(3), [0.0; 0]);
    }

    #[test]
    fn values_that_are_no_leaves_are_refused_where_they_come_in() {
        let mut ragged = stump([1.0, 0.0], [0.0, 1.0]);
        ragged.values.push(0.5);
        let error = JoinedTrees::new(1, 2).unwrap().push(&ragged).unwrap_err();
        assert_eq!(error, ForestError::Count { part: "values", found: 5 });
        assert_eq!(JoinedTrees::new(1, 0).unwrap_err(), ForestError::Count { part: "outputs", found: 0 });
    }

    proptest! {
        // Values by the thousand, so that many are forgotten again.
        #[test]
        fn sharing_changes_no_prediction_and_forests_join_as_their_trees(
            picks in prop::collection::vec((0_u16..9000, 0_u16..9000), 1..400),
            cut in 0_usize..400,
        ) {
            let leaf = |pick: u16| [f32::from(pick % 3000), f32::from(pick / 3)];
            let trees: Vec<Tree> = picks.iter().map(|&(left, right)| stump(leaf(left), leaf(right))).collect();
            let forest = joined(&trees);
            for (tree, &(left, right)) in picks.iter().enumerate() {
                prop_assert_eq!(forest.leaf_values(forest.leaf_of(tree, &[-1.0])), leaf(left));
                prop_assert_eq!(forest.leaf_values(forest.leaf_of(tree, &[1.0])), leaf(right));
            }
            let (first, second) = trees.split_at(cut.clamp(1, trees.len()));
            if !second.is_empty() {
                prop_assert_eq!(Forest::join(&[joined(first), joined(second)]), Ok(forest));
            }
        }
    }
}
