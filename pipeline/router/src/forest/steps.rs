//! A forest's trees once more, made for walking: half the memory, and neither missing values nor leaves take a branch.
//!
//! A row is laid out in slots first, two per column: what the value is where missing values go left, and where they go right. Missing values
//! become −∞ in the one and +∞ in the other, so that one comparison sends every row on; leaves look at a slot of −∞ and stay.

use std::sync::OnceLock;
use std::{array, fmt};

use super::{Forest, Node, NodeKind, Side, Test};

/// Bits of a step's slot; the others are how far its left child stands behind it.
const SLOT_BITS: u32 = 11;

/// Slots that a row has at most.
const MOST_SLOTS: usize = 1 << SLOT_BITS;

/// Trees that a row walks through side by side, so that the memory they wait for arrives together.
const TREES: usize = 8;

/// Nodes of a tree from which on it is better walked by all rows before the next one is: a few of them would not stay in the cache.
const LARGE_TREE: usize = 1 << 14;

/// A node in 8 bytes.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// The threshold of a split; a leaf's value, or the bits of its position where leaves hold several.
    number: f32,
    /// The slot, and how far behind this node its left child stands, which the right one follows: nothing for a leaf.
    slot_and_left: u32,
}

/// A row as forests that read the same columns walk through it: laid out once for all of them. Room that is used again, and no part of what
/// makes predictions equal.
#[derive(Clone, Default)]
pub(crate) struct RowSlots {
    n_features: usize,
    slots: Vec<f32>,
}

impl PartialEq for RowSlots {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for RowSlots {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RowSlots")
    }
}

impl RowSlots {
    /// Lays out a row of so many columns; a shorter one is missing at its end.
    pub(crate) fn lay_out(&mut self, row: &[f32], n_features: usize) {
        self.slots.resize(MOST_SLOTS, f32::NEG_INFINITY);
        self.n_features = n_features.min(MOST_SLOTS / 2 - 1);
        fill(&mut self.slots[..2 * self.n_features], row);
        // What leaves look at.
        self.slots[2 * self.n_features] = f32::NEG_INFINITY;
    }
}

/// Made from a forest when it first predicts, and no part of what makes forests equal.
#[derive(Clone, Debug, Default)]
pub(super) struct LazySteps(OnceLock<Option<Steps>>);

impl PartialEq for LazySteps {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl LazySteps {
    /// The steps; `None` where a forest cannot be said in so few bytes.
    pub(super) fn of(&self, forest: &Forest) -> Option<&Steps> {
        self.0.get_or_init(|| Steps::of(forest)).as_ref()
    }
}

/// The trees of a forest that tests no sets.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    n_features: usize,
    n_outputs: usize,
    roots: Vec<u32>,
    steps: Vec<Step>,
    has_large_trees: bool,
}

impl Steps {
    fn of(forest: &Forest) -> Option<Self> {
        let (n_features, n_outputs) = (forest.n_features, forest.n_outputs);
        let steps = forest.nodes.iter().enumerate().map(|(position, node)| step(position, node, forest));
        let has_large_trees = (0..forest.n_trees()).any(|tree| LARGE_TREE < forest.tree_range(tree).len());
        let fits = 2 * n_features < MOST_SLOTS && forest.sets.is_empty();
        let steps = fits.then(|| steps.collect::<Option<Vec<Step>>>())??;
        Some(Self { n_features, n_outputs, roots: forest.roots.clone(), steps, has_large_trees })
    }

    /// Whether some of the trees are so large that rows had better walk through one after another.
    pub(super) fn has_large_trees(&self) -> bool {
        self.has_large_trees
    }

    /// Adds the leaves in which a row ends to `out`, tree after tree. A shorter row is missing at its end. `values`: the forest's.
    pub(super) fn add(&self, row: &[f32], values: &[f32], out: &mut [f64]) {
        match self.n_features {
            0..64 => self.add_slots(&self.slots::<128>(row), values, out),
            64..256 => self.add_slots(&self.slots::<512>(row), values, out),
            _ => self.add_slots(&self.slots::<MOST_SLOTS>(row), values, out),
        }
    }

    /// [`Self::add`] for a row that is laid out already, unless for another number of columns.
    pub(super) fn add_laid_out(&self, row: &[f32], laid_out: &RowSlots, values: &[f32], out: &mut [f64]) {
        match laid_out.slots.first_chunk::<MOST_SLOTS>().filter(|_| laid_out.n_features == self.n_features) {
            Some(slots) => self.add_slots(slots, values, out),
            None => self.add(row, values, out),
        }
    }

    /// [`Self::add`] for rows that lie one after another, a block of them at a time.
    pub(super) fn add_rows(&self, rows: &[f32], values: &[f32], out: &mut [f64]) {
        match self.n_features {
            0..64 => self.add_blocks::<128, 64>(rows, values, out),
            64..256 => self.add_blocks::<512, 16>(rows, values, out),
            _ => self.add_blocks::<MOST_SLOTS, 4>(rows, values, out),
        }
    }

    /// Lays out a row.
    #[inline]
    fn slots<const SLOTS: usize>(&self, row: &[f32]) -> [f32; SLOTS] {
        let mut slots = [f32::NEG_INFINITY; SLOTS];
        fill(&mut slots[..2 * self.n_features], row);
        slots
    }

    fn add_slots<const SLOTS: usize>(&self, slots: &[f32; SLOTS], values: &[f32], out: &mut [f64]) {
        self.roots.chunks(TREES).for_each(|roots| self.add_trees(roots, slots, values, out));
    }

    /// Adds the leaves of a few trees.
    #[inline]
    fn add_trees<const SLOTS: usize>(&self, roots: &[u32], slots: &[f32; SLOTS], values: &[f32], out: &mut [f64]) {
        let leaves = self.leaves(roots, slots);
        let numbers = leaves.iter().take(roots.len()).map(|leaf| self.steps[*leaf as usize].number);
        if let [out] = out {
            *out = numbers.fold(*out, |sum, number| sum + f64::from(number));
        } else {
            for number in numbers {
                let values = values.get(number.to_bits() as usize * self.n_outputs..).unwrap_or_default();
                out.iter_mut().zip(values).for_each(|(sum, value)| *sum += f64::from(*value));
            }
        }
    }

    /// Where a row ends in up to [`TREES`] trees. A leaf stays where it is, without a branch, which would be guessed wrongly once per tree.
    #[inline]
    fn leaves<const SLOTS: usize>(&self, roots: &[u32], slots: &[f32; SLOTS]) -> [u32; TREES] {
        let mut at: [u32; TREES] = array::from_fn(|lane| roots[lane.min(roots.len() - 1)]);
        let mut lefts = u32::MAX;
        while MOST_SLOTS as u32 <= lefts {
            lefts = 0;
            for at in &mut at {
                let step = self.steps[*at as usize];
                let is_right = slots[step.slot_and_left as usize % SLOTS] > step.number;
                *at += (step.slot_and_left >> SLOT_BITS) + u32::from(is_right);
                lefts |= step.slot_and_left;
            }
        }
        at
    }

    fn add_blocks<const SLOTS: usize, const BLOCK: usize>(&self, rows: &[f32], values: &[f32], out: &mut [f64]) {
        let mut block = [[0.0; SLOTS]; BLOCK];
        for (rows, out) in rows.chunks(BLOCK * self.n_features).zip(out.chunks_mut(BLOCK * self.n_outputs)) {
            block.iter_mut().zip(rows.chunks_exact(self.n_features)).for_each(|(slots, row)| *slots = self.slots(row));
            for roots in self.roots.chunks(TREES) {
                let rows = block.iter().zip(out.chunks_exact_mut(self.n_outputs));
                rows.for_each(|(slots, out)| self.add_trees(roots, slots, values, out));
            }
        }
    }
}

/// Fills two slots per column. Values beyond what a 32-bit number holds count as the largest: no threshold lies between the two.
#[inline]
fn fill(slots: &mut [f32], row: &[f32]) {
    let (pairs, _) = slots.as_chunks_mut::<2>();
    let (known, missing) = pairs.split_at_mut(row.len().min(pairs.len()));
    for (pair, &value) in known.iter_mut().zip(row) {
        let known = value.min(f32::MAX);
        *pair = if value.is_nan() { [f32::NEG_INFINITY, f32::INFINITY] } else { [known, known] };
    }
    missing.fill([f32::NEG_INFINITY, f32::INFINITY]);
}

/// A node as a step; `None` where a number does not fit.
fn step(position: usize, node: &Node, forest: &Forest) -> Option<Step> {
    match node.kind() {
        NodeKind::Leaf { leaf } => {
            let number = if forest.n_outputs == 1 { *forest.values.get(leaf)? } else { f32::from_bits(u32::try_from(leaf).ok()?) };
            Some(Step { number, slot_and_left: u32::try_from(2 * forest.n_features).ok()? })
        }
        // Infinity, which every value passes, becomes the largest number, which is no other threshold then.
        NodeKind::Split { feature, test: Test::AtMost(threshold), missing, left, .. } if threshold != f32::MAX => {
            let slot = u32::try_from(2 * feature + usize::from(missing == Side::Right)).ok()?;
            let left = u32::try_from(left - position).ok().filter(|left| left.leading_zeros() >= SLOT_BITS)?;
            Some(Step { number: threshold.min(f32::MAX), slot_and_left: left << SLOT_BITS | slot })
        }
        NodeKind::Split { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{CategorySet, Forest, Tree};
    use super::*;

    /// A tree of splits on 3 columns, level by level, whose leaves hold `n_outputs` numbers.
    fn tree(draws: &[(u16, i8, bool)], n_outputs: usize) -> Tree {
        let mut nodes = vec![Node::leaf(0, 1.0)];
        for (index, &(feature, threshold, goes_right)) in draws.iter().enumerate() {
            let missing = if goes_right { Side::Right } else { Side::Left };
            let threshold = if threshold == i8::MAX { f32::INFINITY } else { f32::from(threshold) };
            let left = nodes.len() as u32;
            nodes[index] = Node::split(feature % 3, threshold, missing, left, 1.0);
            nodes.extend([Node::leaf(0, 1.0); 2]);
        }
        let mut values = Vec::new();
        for node in &mut nodes {
            if matches!(node.kind(), NodeKind::Leaf { .. }) {
                *node = Node::leaf((values.len() / n_outputs) as u32, 1.0);
                let first = values.len();
                values.extend((first..first + n_outputs).map(|position| position as f32 / 7.0));
            }
        }
        Tree { nodes, values, ..Tree::default() }
    }

    /// The means over the trees by [`Forest::leaf_of`], one after another.
    fn by_leaves(forest: &Forest, row: &[f32]) -> Vec<u64> {
        let leaf = |tree, output: usize| f64::from(forest.leaf_values(forest.leaf_of(tree, row))[output]);
        let sum = |output| (0..forest.n_trees()).fold(0.0, |sum, tree| sum + leaf(tree, output));
        (0..forest.n_outputs()).map(|output| (sum(output) * (1.0 / forest.n_trees() as f64)).to_bits()).collect()
    }

    fn bits(numbers: &[f64]) -> Vec<u64> {
        numbers.iter().map(|number| number.to_bits()).collect()
    }

    fn number() -> impl Strategy<Value = f32> {
        prop_oneof![8 => -130.0..130.0_f32, 1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 0.0, -0.0])]
    }

    proptest! {
        #[test]
        fn a_prediction_is_that_of_the_nodes_bit_for_bit(
            trees in prop::collection::vec(prop::collection::vec((0..3_u16, any::<i8>(), any::<bool>()), 0..12), 1..20),
            rows in prop::collection::vec(number(), 0..240),
            n_outputs in 1..4_usize,
        ) {
            let trees: Vec<Tree> = trees.iter().map(|draws| tree(draws, n_outputs)).collect();
            let forest = Forest::new(3, n_outputs, &trees).unwrap();
            prop_assert!(forest.steps.of(&forest).is_some());
            let rows = &rows[..rows.len() / 3 * 3];
            let mut together = vec![9.0; rows.len() / 3 * n_outputs];
            forest.predict_rows(rows, &mut together);
            for (row, found) in rows.chunks_exact(3).zip(together.chunks_exact(n_outputs)) {
                let mut alone = vec![9.0; n_outputs];
                forest.predict(row, &mut alone);
                let expected = by_leaves(&forest, row);
                prop_assert_eq!((bits(&alone), bits(found)), (expected.clone(), expected));
                for shorter in [&row[..2], &[]] {
                    forest.predict(shorter, &mut alone);
                    prop_assert_eq!(bits(&alone), by_leaves(&forest, shorter));
                }
            }
        }
    }

    /// Splits the last of so many columns at a threshold: values above it are 3, others 1.
    fn stump(n_features: u16, threshold: f32) -> Forest {
        let nodes = vec![Node::split(n_features - 1, threshold, Side::Left, 1, 1.0), Node::leaf(0, 1.0), Node::leaf(1, 1.0)];
        Forest::new(usize::from(n_features), 1, &[Tree { nodes, values: vec![1.0, 3.0], ..Tree::default() }]).unwrap()
    }

    #[test]
    fn rows_of_every_width_are_walked() {
        for n_features in [1, 63, 64, 255, 256, 1023, 1024, 40_000] {
            let forest = stump(n_features, 0.0);
            assert_eq!(forest.steps.of(&forest).is_some(), n_features < 1024, "{n_features}");
            let mut rows = vec![-1.0; 70 * usize::from(n_features)];
            rows[usize::from(n_features) - 1] = 1.0;
            *rows.last_mut().unwrap() = 1.0;
            let mut out = vec![0.0; 70];
            forest.predict_rows(&rows, &mut out);
            assert_eq!((out[0], out[1], out[69]), (3.0, 1.0, 3.0), "{n_features}");
            let mut alone = [0.0];
            forest.predict(&rows[..usize::from(n_features)], &mut alone);
            assert_eq!(alone, [3.0], "{n_features}");
        }
    }

    #[test]
    fn what_does_not_fit_is_walked_as_nodes() {
        let of_largest = stump(1, f32::MAX);
        let mut out = [0.0; 2];
        of_largest.predict_rows(&[f32::INFINITY, f32::MAX], &mut out);
        assert_eq!((of_largest.steps.of(&of_largest).is_some(), out), (false, [3.0, 1.0]));
        let with_set = Tree {
            nodes: vec![Node::split_by_set(0, 0, Side::Right, 1, 1.0), Node::leaf(0, 1.0), Node::leaf(1, 1.0)],
            values: vec![1.0, 3.0],
            sets: vec![CategorySet::default()],
        };
        let with_set = Forest::new(1, 1, &[with_set]).unwrap();
        assert!(with_set.steps.of(&with_set).is_none());
    }

    #[test]
    fn forests_are_equal_whether_they_have_predicted_or_not() {
        let (forest, other) = (stump(1, 0.0), stump(1, 0.0));
        forest.warm_up();
        assert_eq!(forest, other);
    }
}
