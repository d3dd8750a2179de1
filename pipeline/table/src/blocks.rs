//! BLAKE3 of a file that may be hashed by several threads, and gone on with when the file has grown.
//!
//! BLAKE3 is a tree: blocks of a power of two of its chunks are hashed on their own, and their digests put together. What comes out is the
//! digest that `b3sum` says. All of the content counts, so nobody changes what was read before and is not noticed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use rayon::prelude::*;

/// Bytes of a block: a power of two of BLAKE3's chunks of 1 KiB.
const BLOCK: u64 = 1 << 20;

/// Bytes that are read at once: they stay in the cache while they are hashed.
const AT_ONCE: usize = 128 << 10;

/// Blocks that one thread hashes in a row.
const IN_A_ROW: u64 = 32;

/// BLAKE3 of what was read so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlockHasher {
    /// Digests of whole subtrees, from the largest on: one per binary digit of [`Self::n_blocks`] that is 1.
    subtrees: Vec<ChainingValue>,
    /// Blocks that are complete and followed by more bytes.
    n_blocks: u64,
    /// The block that is not, and how many bytes it has.
    open: Hasher,
    n_open: u64,
}

impl BlockHasher {
    /// Takes the next bytes.
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.n_open == BLOCK {
                self.push(self.open.finalize_non_root());
            }
            let room = usize::try_from(BLOCK - self.n_open).unwrap_or(usize::MAX).min(bytes.len());
            let (now, later) = bytes.split_at(room);
            self.open.update(now);
            self.n_open += now.len() as u64;
            bytes = later;
        }
    }

    /// Takes the first bytes of a file, on all threads, where nothing was taken before; a file that is shorter gives what it
    /// has or [`io::ErrorKind::UnexpectedEof`].
    pub(crate) fn of_prefix(path: &Path, n_bytes: u64) -> io::Result<Self> {
        let mut hasher = Self::default();
        // The last block is the open one, even if it is full: the root of the tree is made of it.
        let n_blocks = n_bytes.saturating_sub(1) / BLOCK;
        let starts: Vec<u64> = (0..n_blocks).step_by(IN_A_ROW as usize).collect();
        let rows = starts.par_iter().map(|start| blocks_of(path, *start, n_blocks.min(start + IN_A_ROW)));
        let rows: Vec<Vec<ChainingValue>> = rows.collect::<io::Result<_>>()?;
        rows.into_iter().flatten().for_each(|block| hasher.push(block));
        let mut file = File::open(path)?;
        let start = n_blocks * BLOCK;
        file.seek(SeekFrom::Start(start))?;
        each_part(&mut file, n_bytes - start, &mut vec![0; AT_ONCE], |part| hasher.update(part))?;
        Ok(hasher)
    }

    /// The digest, in hexadecimal digits.
    pub(crate) fn digest(&self) -> String {
        let Some((first, rest)) = self.subtrees.split_first() else { return self.open.finalize().to_hex().to_string() };
        let last = self.open.finalize_non_root();
        let right = rest.iter().rev().fold(last, |right, left| merge_subtrees_non_root(left, &right, Mode::Hash));
        merge_subtrees_root(first, &right, Mode::Hash).to_hex().to_string()
    }

    /// Takes the digest of the block that is complete, and opens the next one.
    fn push(&mut self, block: ChainingValue) {
        self.n_blocks += 1;
        let mut subtree = block;
        for _ in 0..self.n_blocks.trailing_zeros() {
            let Some(left) = self.subtrees.pop() else { break };
            subtree = merge_subtrees_non_root(&left, &subtree, Mode::Hash);
        }
        self.subtrees.push(subtree);
        self.open = hasher_at(self.n_blocks);
        self.n_open = 0;
    }
}

/// The hasher of a block.
fn hasher_at(block: u64) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(block * BLOCK);
    hasher
}

/// The digests of some blocks of a file, none of which is its last.
fn blocks_of(path: &Path, start: u64, end: u64) -> io::Result<Vec<ChainingValue>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start * BLOCK))?;
    let mut buffer = vec![0; AT_ONCE];
    let digest = |block| {
        let mut hasher = hasher_at(block);
        match each_part(&mut file, BLOCK, &mut buffer, |part| {
            hasher.update(part);
        })? {
            BLOCK => Ok(hasher.finalize_non_root()),
            // Somebody cut it meanwhile.
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    };
    (start..end).map(digest).collect()
}

/// Calls back with up to a number of bytes of a file from where it stands; how many there were.
fn each_part(file: &mut File, n_bytes: u64, buffer: &mut [u8], mut take: impl FnMut(&[u8])) -> io::Result<u64> {
    let mut rest = file.take(n_bytes);
    let mut n_taken = 0;
    loop {
        match rest.read(buffer) {
            Ok(0) => return Ok(n_taken),
            Ok(n_read) => {
                take(&buffer[..n_read]);
                n_taken += n_read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(n_bytes: u64) -> Vec<u8> {
        (0..n_bytes).map(|at| (at * 31 % 251) as u8).collect()
    }

    #[test]
    fn whatever_the_length_the_digest_is_that_of_all_bytes_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        for n_bytes in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK, 3 * BLOCK + 5000, 4 * BLOCK, 7 * BLOCK + 1, 35 * BLOCK] {
            let (bytes, more) = (bytes(n_bytes), bytes(BLOCK + 7));
            let expected = |parts: &[&[u8]]| blake3::hash(&parts.concat()).to_hex().to_string();
            let mut hasher = BlockHasher::default();
            bytes.chunks(300_000).for_each(|part| hasher.update(part));
            assert_eq!(hasher.digest(), expected(&[&bytes]), "{n_bytes} bytes in parts");
            std::fs::write(&path, [bytes.as_slice(), b"behind"].concat()).unwrap();
            let mut hasher = BlockHasher::of_prefix(&path, n_bytes).unwrap();
            assert_eq!(hasher.digest(), expected(&[&bytes]), "{n_bytes} bytes of a file");
            hasher.update(&more);
            assert_eq!(hasher.digest(), expected(&[&bytes, &more]), "{n_bytes} bytes of a file, and more");
        }
    }
}
