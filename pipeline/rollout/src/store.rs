//! Deployments on disk: `models/deployment.json`, and the artifacts that can be rolled back to. The one part of the crate that touches files.
//!
//! Every change is one rename: a reader sees the deployment before it or after it, and a kill at any moment leaves one of both.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use routewright_router::{FOREST_FILE, Router};

use crate::deployment::{DEPLOYMENT_VERSION, Deployment, RETAINED, place_of};
use crate::error::RolloutError;
use crate::settings::RolloutSettings;

/// The deployment, relative to the project.
const DEPLOYMENT: &str = "models/deployment.json";

/// The lock, relative to the project. Its own, so that a rollback never waits for a run.
const LOCK: &str = "models/.deployment.lock";

/// How often the lock is tried for, and the pause between: half a second in all.
const LOCK_TRIES: u32 = 25;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Beginning of the names of folders that are not whole yet, or not any more.
const UNFINISHED: &str = ".unfinished-";

/// A project's deployments.
#[derive(Clone, Debug)]
pub struct Store {
    project: PathBuf,
}

/// The right to change the deployment; given back when dropped, and by the system when the process ends in any way.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

/// An artifact that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// SHA-256 of its manifest, which holds the digests of all its files.
    pub digest: String,
    /// SHA-256 of its models.
    pub models: String,
    /// Version of the program that trained it.
    pub version: String,
    /// Golden decisions that it repeated.
    pub n_golden: usize,
}

impl Store {
    /// The deployments of a project folder.
    pub fn open(project: &Path) -> Self {
        Self { project: project.to_owned() }
    }

    /// Where the deployment is.
    pub fn place(&self) -> PathBuf {
        self.project.join(DEPLOYMENT)
    }

    /// Folder of a retained artifact.
    pub fn folder(&self, digest: &str) -> PathBuf {
        self.project.join(place_of(digest))
    }

    /// Takes the lock.
    ///
    /// # Errors
    /// [`RolloutError::Locked`] where another command holds it for more than half a second.
    pub fn lock(&self) -> Result<StoreLock, RolloutError> {
        let path = self.project.join(LOCK);
        self.make_folder()?;
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|source| failed("open", &path, source))?;
        // A change takes a moment: a rollback must not fail because a nightly look is at it.
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(StoreLock { _file: file }),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(source)) => return Err(failed("lock", &path, source)),
            }
        }
        Err(RolloutError::Locked { path })
    }

    /// The deployment; none before the first.
    ///
    /// # Errors
    /// [`RolloutError`] for a file that cannot be read, is damaged, or is another version's.
    pub fn load(&self) -> Result<Option<Deployment>, RolloutError> {
        let path = self.place();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("read", &path, source)),
        };
        let damaged = |source| RolloutError::Damaged { path: path.clone(), source };
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(damaged)?;
        let version = value.get("schema_version").and_then(serde_json::Value::as_u64);
        if let Some(found) = version.filter(|version| *version != u64::from(DEPLOYMENT_VERSION)) {
            let found = u32::try_from(found).unwrap_or(u32::MAX);
            return Err(RolloutError::Version { path, found, expected: DEPLOYMENT_VERSION });
        }
        serde_json::from_value(value).map(Some).map_err(damaged)
    }

    /// Writes the deployment: on disk before this returns, and whole at every moment.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn save(&self, deployment: &Deployment) -> Result<(), RolloutError> {
        let path = self.place();
        let folder = self.make_folder()?;
        let write = || -> io::Result<()> {
            let mut file = tempfile::Builder::new().prefix(UNFINISHED).permissions(Permissions::from_mode(0o644)).tempfile_in(&folder)?;
            serde_json::to_writer_pretty(&mut file, deployment)?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            File::open(&folder)?.sync_all()
        };
        write().map_err(|source| failed("write", &path, source))
    }

    /// Checks an artifact's checksums, schema and golden decisions.
    ///
    /// # Errors
    /// [`RolloutError::Artifact`] with the first thing that is wrong.
    pub fn verify(&self, folder: &Path) -> Result<Retained, RolloutError> {
        check(&read_files(folder)?, folder)
    }

    /// Checks an artifact that is kept, and that it is the one its name says.
    ///
    /// # Errors
    /// [`RolloutError::Artifact`] with the first thing that is wrong.
    pub fn verify_kept(&self, digest: &str) -> Result<Retained, RolloutError> {
        let folder = self.folder(digest);
        let retained = self.verify(&folder)?;
        if retained.digest == digest {
            return Ok(retained);
        }
        Err(RolloutError::Artifact { folder, source: format!("it holds another artifact, {}", retained.digest).into() })
    }

    /// Keeps a copy of an artifact, after checking it; nothing is copied where it is kept already.
    ///
    /// # Errors
    /// [`RolloutError::Artifact`] for one that cannot be trusted; what the file system says.
    pub fn retain(&self, folder: &Path) -> Result<Retained, RolloutError> {
        let files = read_files(folder)?;
        let retained = check(&files, folder)?;
        let place = self.folder(&retained.digest);
        if place.is_dir() && self.verify_kept(&retained.digest).is_ok() {
            return Ok(retained);
        }
        let parent = self.project.join(RETAINED);
        let write = || -> io::Result<()> {
            std::fs::create_dir_all(&parent)?;
            let copy = tempfile::Builder::new().prefix(UNFINISHED).permissions(Permissions::from_mode(0o755)).tempdir_in(&parent)?;
            for (name, bytes) in &files {
                let mut file = File::create(copy.path().join(name))?;
                file.write_all(bytes)?;
                file.sync_all()?;
            }
            if place.is_dir() {
                // What is there does not hold what its name says.
                std::fs::remove_dir_all(&place)?;
            }
            std::fs::rename(copy.keep(), &place)?;
            File::open(&parent)?.sync_all()
        };
        write().map_err(|source| failed("write", &place, source))?;
        Ok(retained)
    }

    /// The digests of the artifacts that are kept, in their order.
    ///
    /// # Errors
    /// What the file system says.
    pub fn retained(&self) -> Result<Vec<String>, RolloutError> {
        let folder = self.project.join(RETAINED);
        let mut names = names_in(&folder)?;
        names.retain(|name| !name.starts_with(UNFINISHED));
        Ok(names)
    }

    /// Removes artifacts that are neither in use nor among the last ones kept, and what kills left behind. Gives the digests that went.
    ///
    /// # Errors
    /// What the file system says.
    pub fn collect(&self, deployment: &Deployment, settings: &RolloutSettings) -> Result<Vec<String>, RolloutError> {
        let in_use = [Some(deployment.artifact.as_str()), deployment.baseline.as_deref()];
        let others = deployment.artifacts().into_iter().filter(|artifact| !in_use.contains(&Some(*artifact)));
        let kept: Vec<&str> = others.take(settings.keep).collect();
        let folder = self.project.join(RETAINED);
        let mut gone = Vec::new();
        for name in names_in(&folder)? {
            if kept.contains(&name.as_str()) || in_use.contains(&Some(name.as_str())) {
                continue;
            }
            let (place, unfinished) = (folder.join(&name), folder.join(format!("{UNFINISHED}{name}")));
            let remove = || -> io::Result<()> {
                // First out of sight: an artifact that is half there must not be found.
                let place = if name.starts_with(UNFINISHED) {
                    place.clone()
                } else {
                    std::fs::rename(&place, &unfinished)?;
                    unfinished.clone()
                };
                std::fs::remove_dir_all(place)
            };
            remove().map_err(|source| failed("remove", &place, source))?;
            if !name.starts_with(UNFINISHED) {
                gone.push(name);
            }
        }
        Ok(gone)
    }

    fn make_folder(&self) -> Result<PathBuf, RolloutError> {
        let folder = self.project.join("models");
        std::fs::create_dir_all(&folder).map_err(|source| failed("make", &folder, source))?;
        Ok(folder)
    }
}

/// Names of the folders in a folder, sorted; none where it is not there.
fn names_in(folder: &Path) -> Result<Vec<String>, RolloutError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed("read", folder, source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| failed("read", folder, source))?;
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// A place of an artifact that the system does not let anybody read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{}`", path.display())]
pub struct Unreadable {
    /// The artifact's folder, or a file in it.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// The files in an artifact's folder by name, as [`Router::load`] takes them; folders in it are none of the artifact's.
///
/// # Errors
/// [`Unreadable`] names the first place that cannot be read.
pub fn read_artifact(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, Unreadable> {
    let failed = |path: &Path, source| Unreadable { path: path.to_owned(), source };
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(|error| failed(folder, error))? {
        let path = entry.map_err(|error| failed(folder, error))?.path();
        if let Some(name) = path.file_name().filter(|_| path.is_file()) {
            files.insert(name.to_string_lossy().into_owned(), std::fs::read(&path).map_err(|error| failed(&path, error))?);
        }
    }
    Ok(files)
}

/// The files of an artifact that is to be deployed.
fn read_files(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, RolloutError> {
    read_artifact(folder).map_err(|error| RolloutError::Artifact { folder: folder.to_owned(), source: error.source.into() })
}

/// Loads an artifact as an online router does, and repeats its golden decisions.
fn check(files: &BTreeMap<String, Vec<u8>>, folder: &Path) -> Result<Retained, RolloutError> {
    let wrong = |source: Box<dyn std::error::Error + Send + Sync>| RolloutError::Artifact { folder: folder.to_owned(), source };
    let router = Router::load(files).map_err(|error| wrong(error.into()))?;
    let n_golden = router.verify().map_err(|error| wrong(error.into()))?;
    let manifest = router.manifest().ok_or_else(|| wrong("it has no manifest".into()))?;
    Ok(Retained {
        digest: router.digest().to_owned(),
        models: manifest.files.get(FOREST_FILE).map(|file| file.sha256.clone()).unwrap_or_default(),
        version: manifest.provenance.product_version.clone(),
        n_golden,
    })
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> RolloutError {
    RolloutError::Io { what, path: path.to_owned(), source }
}
