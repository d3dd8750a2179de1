//! A forest as bytes: little-endian, sizes known from the header, nothing reserved before they are checked.

use super::{CategorySet, Forest, ForestError, Node};
use crate::bytes::{Reader, Writer};

/// Newest version of the bytes; raised when an old reader would misread them. Version 2 adds sets of categories, and is written only where
/// there are some.
pub const FOREST_VERSION: u32 = 2;

/// The version without sets.
const WITHOUT_SETS: u32 = 1;

const MAGIC: &str = "RWFOREST";

/// Magic, then version, columns, outputs, trees, nodes and values as 32-bit counts; version 2 adds the number of sets.
const HEADER_BYTES: u64 = 8 + 6 * 4;

const NODE_BYTES: u64 = 16;
const SET_BYTES: u64 = 32;

impl Forest {
    /// The forest as bytes: header, root positions, nodes (key, threshold, next, cover), leaf values, sets.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.0.reserve(HEADER_BYTES as usize + 4 * self.roots.len() + NODE_BYTES as usize * self.nodes.len() + 4 * self.values.len());
        writer.0.extend_from_slice(MAGIC.as_bytes());
        writer.u32(if self.sets.is_empty() { WITHOUT_SETS } else { FOREST_VERSION });
        for count in [self.n_features, self.n_outputs, self.roots.len(), self.nodes.len(), self.values.len()] {
            writer.count(count);
        }
        if !self.sets.is_empty() {
            writer.count(self.sets.len());
        }
        self.roots.iter().for_each(|&root| writer.u32(root));
        for node in &self.nodes {
            writer.u32(node.key);
            writer.f32(node.threshold);
            writer.u32(node.next);
            writer.f32(node.cover);
        }
        self.values.iter().for_each(|&value| writer.f32(value));
        self.sets.iter().flat_map(|set| set.0).for_each(|word| writer.u64(word));
        writer.0
    }

    /// Reads a forest from exactly these bytes, and checks it as [`Forest::new`] does.
    ///
    /// # Errors
    /// [`ForestError`] when the bytes are no forest, another version, of another length than their header says, or hold an impossible tree.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ForestError> {
        let mut reader = Reader::new(bytes);
        let size = |expected| move |_| ForestError::Size { expected, found: bytes.len() };
        if reader.take(MAGIC.len()).ok() != Some(MAGIC.as_bytes()) {
            return Err(ForestError::Magic { expected: MAGIC });
        }
        let mut header = [0_u32; 6];
        for number in &mut header {
            *number = reader.u32().map_err(size(HEADER_BYTES))?;
        }
        let [version, n_features, n_outputs, n_trees, n_nodes, n_values] = header;
        let n_sets = match version {
            WITHOUT_SETS => None,
            FOREST_VERSION => Some(reader.u32().map_err(size(HEADER_BYTES + 4))?),
            _ => return Err(ForestError::Version { found: version, expected: FOREST_VERSION }),
        };
        let expected = HEADER_BYTES
            + n_sets.map_or(0, |n_sets| 4 + SET_BYTES * u64::from(n_sets))
            + 4 * u64::from(n_trees)
            + NODE_BYTES * u64::from(n_nodes)
            + 4 * u64::from(n_values);
        if expected != bytes.len() as u64 {
            return Err(ForestError::Size { expected, found: bytes.len() });
        }
        let roots = (0..n_trees).map(|_| reader.u32()).collect::<Result<Vec<u32>, _>>().map_err(size(expected))?;
        let mut nodes = Vec::with_capacity(n_nodes as usize);
        for _ in 0..n_nodes {
            let mut node = || Ok(Node { key: reader.u32()?, threshold: reader.f32()?, next: reader.u32()?, cover: reader.f32()? });
            nodes.push(node().map_err(|_: crate::bytes::FormatError| ForestError::Size { expected, found: bytes.len() })?);
        }
        let values = (0..n_values).map(|_| reader.f32()).collect::<Result<Vec<f32>, _>>().map_err(size(expected))?;
        let mut sets = vec![CategorySet::default(); n_sets.unwrap_or(0) as usize];
        for word in sets.iter_mut().flat_map(|set| &mut set.0) {
            *word = reader.u64().map_err(size(expected))?;
        }
        Self::checked(n_features as usize, n_outputs as usize, roots, nodes, values, sets)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::small_forest;
    use super::*;

    /// A forest that was read predicts every row without a panic.
    fn survives(bytes: &[u8]) {
        if let Ok(forest) = Forest::from_bytes(bytes) {
            let mut out = vec![0.0; forest.n_outputs()];
            forest.predict(&[0.0, f32::NAN], &mut out);
            assert!(out.iter().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn bytes_give_the_same_forest() {
        let forest = small_forest();
        assert_eq!(Forest::from_bytes(&forest.to_bytes()), Ok(forest));
    }

    #[test]
    fn version_1_starts_as_it_always_did() {
        let bytes = small_forest().to_bytes();
        assert_eq!(&bytes[..32], b"RWFOREST\x01\0\0\0\x02\0\0\0\x02\0\0\0\x02\0\0\0\x06\0\0\0\x08\0\0\0");
        assert_eq!(bytes.len(), 32 + 2 * 4 + 6 * 16 + 8 * 4);
    }

    #[test]
    fn sets_survive_their_bytes_as_version_2() {
        let forest = super::super::tests::forest_with_a_set();
        let bytes = forest.to_bytes();
        assert_eq!((bytes[8], bytes.len()), (2, 32 + 4 + 2 * 4 + 6 * 16 + 2 * 4 + 2 * 32));
        assert_eq!(Forest::from_bytes(&bytes), Ok(forest));
    }

    #[test]
    fn other_bytes_are_refused_by_name() {
        let bytes = small_forest().to_bytes();
        assert_eq!(Forest::from_bytes(b"RWFORES"), Err(ForestError::Magic { expected: "RWFOREST" }));
        assert_eq!(Forest::from_bytes(&bytes[..40]), Err(ForestError::Size { expected: 168, found: 40 }));
        assert_eq!(Forest::from_bytes(&[&bytes[..], &[0]].concat()), Err(ForestError::Size { expected: 168, found: 169 }));
        let mut other = bytes;
        other[8] = 3;
        assert_eq!(Forest::from_bytes(&other), Err(ForestError::Version { found: 3, expected: 2 }));
    }

    #[test]
    fn a_header_that_asks_for_the_world_reserves_nothing() {
        let mut bytes = small_forest().to_bytes();
        bytes[20..32].fill(0xff);
        assert!(matches!(Forest::from_bytes(&bytes), Err(ForestError::Size { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            survives(&bytes);
            survives(&[b"RWFOREST\x01\0\0\0", &bytes[..]].concat());
        }

        #[test]
        fn changed_bytes_are_read_or_refused(changes in prop::collection::vec((8_usize..168, any::<u8>()), 1..6)) {
            let mut bytes = small_forest().to_bytes();
            for (position, byte) in changes {
                bytes[position] = byte;
            }
            survives(&bytes);
        }

        #[test]
        fn changed_bytes_with_sets_are_read_or_refused(changes in prop::collection::vec((8_usize..212, any::<u8>()), 1..6)) {
            let mut bytes = super::super::tests::forest_with_a_set().to_bytes();
            for (position, byte) in changes {
                bytes[position] = byte;
            }
            survives(&bytes);
        }
    }
}
