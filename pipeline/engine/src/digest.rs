//! SHA-256 of files and folders.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Size of the buffer that files are read through, in bytes.
const BUFFER: usize = 1 << 18;

/// SHA-256 of bytes, in hexadecimal.
pub fn digest_of_bytes(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// SHA-256 of a file's content, or of a folder's sorted relative paths and contents, in hexadecimal; `None` where there is nothing.
/// Hidden files (named `.…`) do not count.
///
/// # Errors
/// What the file system says.
pub fn digest_of(place: &Path) -> io::Result<Option<String>> {
    let metadata = match std::fs::metadata(place) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if metadata.is_file() {
        return digest_of_file(place).map(Some);
    }
    let mut files = Vec::new();
    list_files(place, &mut files)?;
    files.sort_unstable();
    let mut hasher = Sha256::new();
    for file in files {
        let relative = file.strip_prefix(place).unwrap_or(&file);
        hasher.update(relative.to_string_lossy().as_bytes());
        hasher.update([0]);
        hasher.update(digest_of_file(&file)?.as_bytes());
        hasher.update([b'\n']);
    }
    Ok(Some(hexadecimal(&hasher.finalize())))
}

/// All files below a folder that are not hidden, in no order.
fn list_files(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        if path.is_dir() {
            list_files(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// SHA-256 of one file, read in pieces.
fn digest_of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let n_read = file.read(&mut buffer)?;
        if n_read == 0 {
            return Ok(hexadecimal(&hasher.finalize()));
        }
        hasher.update(&buffer[..n_read]);
    }
}

/// Bytes as lower-case hexadecimal digits.
fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_nothing_is_the_published_one() {
        assert_eq!(digest_of_bytes(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn a_folder_changes_with_names_and_contents_but_not_with_hidden_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "1").unwrap();
        let first = digest_of(folder.path()).unwrap();
        std::fs::write(folder.path().join(".hidden"), "x").unwrap();
        assert_eq!(digest_of(folder.path()).unwrap(), first);
        std::fs::rename(folder.path().join("a"), folder.path().join("b")).unwrap();
        assert_ne!(digest_of(folder.path()).unwrap(), first);
        assert_eq!(digest_of(&folder.path().join("none")).unwrap(), None);
    }
}
