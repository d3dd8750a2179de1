//! A forest's trees once more, in half the memory: what a single row walks through. Most of its time is waiting for nodes.

use super::{LANES, Node, NodeKind, Side, Test};

/// Key of a leaf; a split's key is twice its column, plus one where missing values go right.
const LEAF: u16 = u16::MAX;

/// A node in 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    /// The threshold of a split, the value of a leaf.
    number: f32,
    key: u16,
    /// How far behind this node its left child stands, which the right one follows; 0 for a leaf.
    left: u16,
}

/// The trees of a forest that gives one number and tests no sets; no trees where that cannot be said in so few bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Steps {
    roots: Vec<u32>,
    steps: Vec<Step>,
}

impl Steps {
    /// Rewrites checked nodes whose leaves hold one value each.
    pub(super) fn of(roots: &[u32], nodes: &[Node], values: &[f32]) -> Self {
        let steps: Option<Vec<Step>> = nodes.iter().enumerate().map(|(position, node)| step(position, node.kind(), values)).collect();
        steps.map_or_else(Self::default, |steps| Self { roots: roots.to_vec(), steps })
    }

    /// Whether there is nothing to walk through.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The sum of the leaves in which a row ends, tree after tree. Several trees are walked side by side.
    pub(super) fn sum(&self, row: &[f32]) -> f64 {
        let mut sum = 0.0;
        for roots in self.roots.chunks(LANES) {
            let mut at = [roots.first().copied().unwrap_or_default(); LANES];
            at[..roots.len()].copy_from_slice(roots);
            let mut is_walking = true;
            while is_walking {
                is_walking = false;
                for at in &mut at {
                    is_walking |= self.walk(at, row);
                }
            }
            at[..roots.len()].iter().for_each(|&at| sum += f64::from(self.steps[at as usize].number));
        }
        sum
    }

    /// One step of a row from a node on; a leaf stays where it is, without a branch, which would be guessed wrongly once per tree.
    #[inline]
    fn walk(&self, at: &mut u32, row: &[f32]) -> bool {
        let step = self.steps[*at as usize];
        let is_split = step.key != LEAF;
        let value = row.get(usize::from(step.key >> 1)).copied().unwrap_or(f32::NAN);
        let is_right = (value > step.number) | (value.is_nan() & (step.key & 1 == 1));
        *at += u32::from(step.left) + u32::from(is_right & is_split);
        is_split
    }
}

/// A node as a step; `None` where a number does not fit.
fn step(position: usize, kind: NodeKind, values: &[f32]) -> Option<Step> {
    match kind {
        NodeKind::Leaf { leaf } => Some(Step { number: *values.get(leaf)?, key: LEAF, left: 0 }),
        NodeKind::Split { feature, test: Test::AtMost(number), missing, left, .. } => {
            let key = u16::try_from(2 * feature + usize::from(missing == Side::Right)).ok().filter(|key| *key < LEAF - 1)?;
            Some(Step { number, key, left: u16::try_from(left - position).ok()? })
        }
        NodeKind::Split { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{CategorySet, Forest, Tree};
    use super::*;

    /// A tree of splits on 3 columns, level by level.
    fn tree(draws: &[(u16, i8, bool)]) -> Tree {
        let mut nodes = vec![Node::leaf(0, 1.0)];
        for (index, &(feature, threshold, goes_right)) in draws.iter().enumerate() {
            let missing = if goes_right { Side::Right } else { Side::Left };
            let left = nodes.len() as u32;
            nodes[index] = Node::split(feature % 3, f32::from(threshold), missing, left, 1.0);
            nodes.extend([Node::leaf(0, 1.0); 2]);
        }
        let mut values = Vec::new();
        for node in &mut nodes {
            if matches!(node.kind(), NodeKind::Leaf { .. }) {
                *node = Node::leaf(values.len() as u32, 1.0);
                values.push(values.len() as f32 / 7.0);
            }
        }
        Tree { nodes, values, ..Tree::default() }
    }

    /// The mean over the trees by [`Forest::leaf_of`], one after another.
    fn by_leaves(forest: &Forest, row: &[f32]) -> f64 {
        let sum = (0..forest.n_trees()).fold(0.0, |sum, tree| sum + f64::from(forest.leaf_values(forest.leaf_of(tree, row))[0]));
        sum * (1.0 / forest.n_trees() as f64)
    }

    proptest! {
        #[test]
        fn a_prediction_is_that_of_the_nodes_bit_for_bit(
            trees in prop::collection::vec(prop::collection::vec((0..3_u16, any::<i8>(), any::<bool>()), 0..12), 1..20),
            rows in prop::collection::vec(prop::option::of(-130.0..130.0_f32), 0..40),
        ) {
            let trees: Vec<Tree> = trees.iter().map(|draws| tree(draws)).collect();
            let forest = Forest::new(3, 1, &trees).unwrap();
            prop_assert!(!forest.steps.is_empty());
            let rows: Vec<f32> = rows.chunks_exact(3).flatten().map(|number| number.unwrap_or(f32::NAN)).collect();
            let mut together = vec![9.0; rows.len() / 3];
            forest.predict_rows(&rows, &mut together);
            for (row, found) in rows.chunks_exact(3).zip(together) {
                let mut alone = [9.0];
                forest.predict(row, &mut alone);
                let expected = by_leaves(&forest, row).to_bits();
                prop_assert_eq!((alone[0].to_bits(), found.to_bits()), (expected, expected));
                forest.predict(&row[..2], &mut alone);
                prop_assert_eq!(alone[0].to_bits(), by_leaves(&forest, &row[..2]).to_bits());
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_walked_as_nodes() {
        let wide = Tree {
            nodes: vec![Node::split(40_000, 0.0, Side::Left, 1, 1.0), Node::leaf(0, 1.0), Node::leaf(1, 1.0)],
            values: vec![1.0, 3.0],
            ..Tree::default()
        };
        let forest = Forest::new(50_000, 1, &[wide]).unwrap();
        let (mut row, mut out) = (vec![0.0; 50_000], [0.0]);
        row[40_000] = 1.0;
        forest.predict(&row, &mut out);
        assert_eq!((forest.steps.is_empty(), out), (true, [3.0]));
        let with_set = Tree {
            nodes: vec![Node::split_by_set(0, 0, Side::Right, 1, 1.0), Node::leaf(0, 1.0), Node::leaf(1, 1.0)],
            values: vec![1.0, 3.0],
            sets: vec![CategorySet::default()],
        };
        assert!(Forest::new(1, 1, &[with_set]).unwrap().steps.is_empty());
    }
}
