//! A cache of sentence vectors by content digest: Parquet files in a folder, each written whole or not at all.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, FixedSizeBinaryArray, FixedSizeListArray, Float32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use sha2::{Digest, Sha256};

use crate::error::TableError;
use crate::parquet_file::next_batch;

/// Columns of a file of the cache.
const DIGEST: &str = "text_sha256";
const VECTOR: &str = "vector";

/// SHA-256 of a text: the key of its vector.
pub type TextDigest = [u8; 32];

/// Vectors of one model by the digest of their text.
#[derive(Debug)]
pub struct EmbeddingCache {
    folder: PathBuf,
    dimensions: usize,
    vectors: HashMap<TextDigest, Vec<f32>>,
    n_files: usize,
}

impl EmbeddingCache {
    /// Opens the cache of one model, in a folder of its own, and reads what is there.
    ///
    /// A file that is damaged or holds vectors of another length is removed, for its vectors can be made again; its name is among the
    /// second part. What a killed run left half-written is removed without a word.
    ///
    /// # Errors
    /// [`TableError`] of the file system.
    pub fn open(folder: &Path, dimensions: usize) -> Result<(Self, Vec<String>), TableError> {
        fs::create_dir_all(folder).map_err(|source| TableError::write(folder, source))?;
        let entries = fs::read_dir(folder).map_err(|source| TableError::read(folder, source))?;
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.sort();
        let mut cache = Self { folder: folder.to_owned(), dimensions, vectors: HashMap::new(), n_files: 0 };
        let mut damaged = Vec::new();
        for file in files {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if !name.ends_with(".parquet") {
                fs::remove_file(&file).map_err(|source| TableError::write(&file, source))?;
            } else if cache.read(&file).is_none() {
                fs::remove_file(&file).map_err(|source| TableError::write(&file, source))?;
                damaged.push(name);
            }
        }
        Ok((cache, damaged))
    }

    /// The key of a text.
    pub fn digest_of(text: &str) -> TextDigest {
        Sha256::digest(text.as_bytes()).into()
    }

    /// The vector of a text.
    pub fn get(&self, digest: &TextDigest) -> Option<&[f32]> {
        self.vectors.get(digest).map(Vec::as_slice)
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.vectors.len()
    }

    /// Whether there are no vectors.
    pub fn is_empty(&self) -> bool {
        self.vectors.is_empty()
    }

    /// Adds vectors, in memory and as a file, which is renamed into its place once it is on the disk.
    ///
    /// # Errors
    /// [`TableError`] of the file system, or for a vector of another length.
    pub fn append(&mut self, vectors: Vec<(TextDigest, Vec<f32>)>) -> Result<(), TableError> {
        if vectors.is_empty() {
            return Ok(());
        }
        let writing = self.folder.join(".writing");
        let mut place = self.folder.join(format!("{:06}.parquet", self.n_files));
        while place.exists() {
            self.n_files += 1;
            place = self.folder.join(format!("{:06}.parquet", self.n_files));
        }
        let batch = self.batch(&vectors).map_err(|source| TableError::columns(&place, source))?;
        let write = |source| TableError::write(&writing, source);
        let file = File::create(&writing).map_err(write)?;
        write_batch(&batch, file.try_clone().map_err(write)?).map_err(|source| TableError::parquet(&writing, source))?;
        file.sync_all().map_err(write)?;
        fs::rename(&writing, &place).map_err(write)?;
        self.n_files += 1;
        self.vectors.extend(vectors);
        Ok(())
    }

    /// Vectors as a record batch.
    fn batch(&self, vectors: &[(TextDigest, Vec<f32>)]) -> Result<RecordBatch, ArrowError> {
        let digests = FixedSizeBinaryArray::try_from_iter(vectors.iter().map(|(digest, _)| digest))?;
        let numbers: Float32Array = vectors.iter().flat_map(|(_, vector)| vector.iter().copied()).collect();
        let item = Arc::new(Field::new_list_field(DataType::Float32, true));
        let lists = FixedSizeListArray::try_new(item, self.dimensions as i32, Arc::new(numbers), None)?;
        let fields = vec![Field::new(DIGEST, digests.data_type().clone(), false), Field::new(VECTOR, lists.data_type().clone(), false)];
        let columns: Vec<ArrayRef> = vec![Arc::new(digests), Arc::new(lists)];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
    }

    /// Reads a file; `None` where it is not one of this cache.
    fn read(&mut self, file: &Path) -> Option<()> {
        let mut reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).ok()?).ok()?.build().ok()?;
        let mut found = Vec::new();
        while let Some(batch) = next_batch(&mut reader) {
            let batch = batch.ok()?;
            let digests = batch.column_by_name(DIGEST)?.as_any().downcast_ref::<FixedSizeBinaryArray>()?;
            let lists = batch.column_by_name(VECTOR)?.as_any().downcast_ref::<FixedSizeListArray>()?;
            if usize::try_from(lists.value_length()).ok()? != self.dimensions {
                return None;
            }
            let numbers = lists.values().as_any().downcast_ref::<Float32Array>()?.values();
            for (row, vector) in numbers.chunks_exact(self.dimensions).enumerate() {
                found.push((TextDigest::try_from(digests.value(row)).ok()?, vector.to_vec()));
            }
        }
        self.vectors.extend(found);
        Some(())
    }
}

/// Writes a batch as a Parquet file (zstd).
fn write_batch(batch: &RecordBatch, file: File) -> Result<(), ParquetError> {
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?)).build();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties))?;
    writer.write(batch)?;
    writer.close().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(number: f32) -> Vec<f32> {
        vec![number, -number, 0.25]
    }

    #[test]
    fn what_was_appended_is_there_after_opening_again_to_the_last_bit() {
        let folder = tempfile::tempdir().unwrap();
        let (mut cache, _) = EmbeddingCache::open(folder.path(), 3).unwrap();
        assert!(cache.is_empty());
        for (text, number) in [("a", 0.1), ("b", f32::MIN_POSITIVE)] {
            cache.append(vec![(EmbeddingCache::digest_of(text), vector(number))]).unwrap();
        }
        let (again, damaged) = EmbeddingCache::open(folder.path(), 3).unwrap();
        assert!(damaged.is_empty());
        assert_eq!(again.len(), 2);
        assert_eq!(again.get(&EmbeddingCache::digest_of("b")), Some(&vector(f32::MIN_POSITIVE)[..]));
        assert_eq!(again.get(&EmbeddingCache::digest_of("c")), None);
    }

    #[test]
    fn a_crash_or_damage_costs_the_file_it_hit_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let (mut cache, _) = EmbeddingCache::open(folder.path(), 3).unwrap();
        for text in ["a", "b"] {
            cache.append(vec![(EmbeddingCache::digest_of(text), vector(1.0))]).unwrap();
        }
        fs::write(folder.path().join(".writing"), "half").unwrap();
        let whole = fs::read(folder.path().join("000001.parquet")).unwrap();
        fs::write(folder.path().join("000001.parquet"), &whole[..whole.len() / 2]).unwrap();
        let (mut again, damaged) = EmbeddingCache::open(folder.path(), 3).unwrap();
        assert_eq!(damaged, ["000001.parquet"]);
        assert!(again.get(&EmbeddingCache::digest_of("a")).is_some());
        assert!(again.get(&EmbeddingCache::digest_of("b")).is_none());
        again.append(vec![(EmbeddingCache::digest_of("b"), vector(2.0))]).unwrap();
        assert_eq!(EmbeddingCache::open(folder.path(), 3).unwrap().0.len(), 2);
    }

    #[test]
    fn vectors_of_another_length_are_not_taken_for_this_model() {
        let folder = tempfile::tempdir().unwrap();
        let (mut cache, _) = EmbeddingCache::open(folder.path(), 3).unwrap();
        cache.append(vec![(EmbeddingCache::digest_of("a"), vector(1.0))]).unwrap();
        let (other, damaged) = EmbeddingCache::open(folder.path(), 4).unwrap();
        assert_eq!((other.len(), damaged.len()), (0, 1));
    }
}
