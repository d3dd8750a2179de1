//! Shapes: which further scalars a row has, and of which kinds. Most rows of a log have one of a few, so a row carries a digest only.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use xxhash_rust::xxh3::xxh3_64;

use crate::error::IngestError;
use crate::extras::ExtraKind;
use crate::unhashed::Unhashed;

/// A shape: digests of the keys, in their order, and kinds of the values.
pub(crate) type Shape = [(u64, ExtraKind)];

/// Every shape of some rows by its digest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shapes {
    shapes: HashMap<u64, Box<Shape>, BuildHasherDefault<Unhashed>>,
    bytes: Vec<u8>,
    /// Two shapes have one digest.
    is_clash: bool,
}

impl Shapes {
    /// The digest of a shape, which is remembered: the same in every run; 0 for none.
    pub(crate) fn digest(&mut self, shape: &Shape) -> u64 {
        if shape.is_empty() {
            return 0;
        }
        self.bytes.clear();
        for (key, kind) in shape {
            self.bytes.extend_from_slice(&key.to_le_bytes());
            self.bytes.push(*kind as u8);
        }
        let digest = xxh3_64(&self.bytes).max(1);
        self.is_clash |= **self.shapes.entry(digest).or_insert_with(|| shape.into()) != *shape;
        digest
    }

    /// The shape of a digest; an empty one where it is not known, which a damaged row may bring about.
    pub(crate) fn get(&self, digest: u64) -> &Shape {
        self.shapes.get(&digest).map_or(&[], |shape| shape)
    }

    /// Adds the shapes of other rows.
    ///
    /// # Errors
    /// Two shapes with one digest, which a log cannot have by accident.
    pub(crate) fn merge(&mut self, other: Self) -> Result<(), IngestError> {
        self.is_clash |= other.is_clash;
        for (digest, theirs) in other.shapes {
            let ours = self.shapes.entry(digest).or_insert_with(|| theirs.clone());
            self.is_clash |= *ours != theirs;
        }
        match self.is_clash {
            true => Err(IngestError::RowsDoNotAddUp { detail: "two sets of keys have one digest".to_owned() }),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_stands_for_one_shape() {
        let (mut ours, mut theirs) = (Shapes::default(), Shapes::default());
        let (number, text) = ([(7, ExtraKind::Number)], [(7, ExtraKind::Text)]);
        let digest = ours.digest(&number);
        assert_eq!((ours.digest(&number), ours.digest(&[]), ours.get(digest)), (digest, 0, &number[..]));
        assert_eq!((ours.get(0), ours.get(5)), (&[][..], &[][..]));
        theirs.digest(&text);
        theirs.digest(&number);
        ours.merge(theirs.clone()).unwrap();
        let forged = Shapes { shapes: HashMap::from_iter([(digest, text.into())]), ..Shapes::default() };
        assert!(ours.merge(forged).is_err());
    }
}
