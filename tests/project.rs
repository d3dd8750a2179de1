//! A project folder of a test, and the command run in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A project in a temporary folder.
pub struct Project(tempfile::TempDir);

/// What a command left behind.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Project {
    /// An empty project.
    pub fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A project with a generated log in `data/raw`.
    pub fn generated(arguments: &[&str]) -> Self {
        let project = Self::empty();
        let out = project.path("data/raw");
        let mut all = vec!["generate", "--out", out.to_str().unwrap()];
        all.extend_from_slice(arguments);
        assert_eq!(project.run(&all).code, 0);
        project
    }

    /// A place in the project.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.0.path().join(relative)
    }

    /// Writes a file of the project.
    pub fn write(&self, relative: &str, text: &str) {
        let place = self.path(relative);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, text).unwrap();
    }

    /// Reads a JSON file of the project.
    pub fn json(&self, relative: &str) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.path(relative)).unwrap()).unwrap()
    }

    /// Runs the command in the project.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_routewright")).arg("--project").arg(self.0.path()).args(arguments).output().unwrap();
        Ran::of(&output)
    }

    /// Every file below a folder with its bytes, by relative name.
    pub fn files(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let root = self.path(folder);
        let mut files = Vec::new();
        collect(&root, &root, &mut files);
        files.sort();
        files
    }
}

impl Ran {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            files.push((path.strip_prefix(root).unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()));
        }
    }
}
