//! `models/candidates/<digest>`: challengers that were trained, each a whole artifact.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use routewright_router::Router;

use crate::commands::verify::{ARTIFACT, load};

/// Where they are, relative to the project.
const FOLDER: &str = "models/candidates";

/// Letters of a digest that name a folder.
const N_LETTERS: usize = 16;

/// Folder of a candidate.
pub(crate) fn place(project: &Path, digest: &str) -> PathBuf {
    project.join(FOLDER).join(&digest[..digest.len().min(N_LETTERS)])
}

/// Keeps the artifact that the line has packed; a copy that is there already, whole, stays.
///
/// # Errors
/// An artifact that cannot be used, or what the file system says.
pub(crate) fn keep(project: &Path) -> anyhow::Result<Router> {
    let packed = project.join(ARTIFACT);
    let router = load(&packed)?;
    router.verify().with_context(|| format!("the artifact `{}` does not decide as it did when it was packed", packed.display()))?;
    let place = place(project, router.digest());
    if place.is_dir() {
        return Ok(router);
    }
    let unfinished = place.with_extension("unfinished");
    let copy = || -> std::io::Result<()> {
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished)?;
        }
        std::fs::create_dir_all(&unfinished)?;
        for entry in std::fs::read_dir(&packed)? {
            let entry = entry?;
            let to = unfinished.join(entry.file_name());
            std::fs::copy(entry.path(), &to)?;
            std::fs::File::open(&to)?.sync_all()?;
        }
        std::fs::rename(&unfinished, &place)
    };
    copy().with_context(|| format!("cannot keep the challenger in `{}`", place.display()))?;
    Ok(router)
}

/// Removes the oldest challengers beyond `count`, but for those that are named.
///
/// # Errors
/// What the file system says.
pub(crate) fn clear(project: &Path, count: usize, needed: &[&str]) -> anyhow::Result<()> {
    let Ok(entries) = std::fs::read_dir(project.join(FOLDER)) else { return Ok(()) };
    let mut known: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if !needed.iter().any(|digest| place(project, digest) == path) {
            known.push((entry.metadata()?.modified()?, path));
        }
    }
    known.sort();
    for (_, path) in known.iter().take(known.len().saturating_sub(count)) {
        std::fs::remove_dir_all(path).with_context(|| format!("cannot remove `{}`", path.display()))?;
    }
    Ok(())
}
