//! The house rules of DESIGN.md that types cannot keep.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Longest source file, in lines before its tests.
const MAX_LINES: usize = 600;

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Runs cargo in the workspace and gives what it printed; a cargo that fails fails the test.
fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).arg("--offline").current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The names of all crates that a crate is built from, itself included.
fn crates_below(package: &str) -> Vec<String> {
    let tree = cargo(&["tree", "--no-dedupe", "--edges", "normal", "--prefix", "none", "--package", package]);
    let mut names: Vec<String> = tree.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.iter().any(|name| name == package), "{package} is missing from its own tree");
    names
}

/// Members of the workspace with the names of their direct dependencies, development ones left out.
fn members() -> Vec<(String, Vec<String>)> {
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let direct = |package: &Value| {
        let dependencies = package["dependencies"].as_array().unwrap().iter().filter(|dependency| dependency["kind"].is_null());
        dependencies.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
    };
    packages.iter().map(|package| (package["name"].as_str().unwrap().to_owned(), direct(package))).collect()
}

#[test]
fn the_router_carries_nothing_heavy() {
    let names = crates_below("routewright-router");
    for banned in ["polars", "arrow", "parquet", "clap", "tokio", "anyhow", "rayon", "fastembed", "ort", "routewright-engine", "stages"] {
        assert!(!names.iter().any(|name| name == banned), "the router depends on {banned}");
    }
}

#[test]
fn heavy_dependencies_have_one_owner() {
    let owners = [
        ("polars", "routewright-table"),
        ("arrow", "routewright-table"),
        ("parquet", "routewright-table"),
        ("plotters", "routewright-plot"),
        ("fastembed", "routewright-embedder"),
        ("ort", "routewright-embedder"),
        ("clap", "routewright"),
        ("indicatif", "routewright"),
        ("anyhow", "routewright"),
    ];
    for (package, dependencies) in members() {
        for (dependency, owner) in owners {
            let prefix = format!("{dependency}-");
            let names_it = dependencies.iter().any(|name| name == dependency || name.starts_with(&prefix));
            assert!(!names_it || package == owner, "{package} names {dependency}, which belongs to {owner}");
        }
    }
}

#[test]
fn the_engine_knows_no_stage_and_no_domain_type() {
    let ours: Vec<String> =
        crates_below("routewright-engine").into_iter().filter(|name| name.starts_with("routewright-") || name == "stages").collect();
    assert_eq!(ours, ["routewright-engine"]);
}

#[test]
fn dependencies_point_one_way() {
    let allowed: &[(&str, &[&str])] = &[
        ("routewright-domain", &[]),
        ("routewright-engine", &[]),
        ("routewright-plot", &["routewright-domain"]),
        ("routewright-ope", &["routewright-domain"]),
        ("routewright-generate", &["routewright-domain"]),
        ("routewright-cascade", &["routewright-domain", "routewright-ope"]),
        ("routewright-table", &["routewright-domain"]),
        ("routewright-router", &["routewright-domain"]),
        ("routewright-forest", &["routewright-domain", "routewright-router"]),
        ("routewright-rollout", &["routewright-domain", "routewright-ope", "routewright-router"]),
    ];
    for (package, dependencies) in members() {
        let Some((_, allowed)) = allowed.iter().find(|(name, _)| *name == package) else { continue };
        for dependency in dependencies.iter().filter(|name| name.starts_with("routewright") || *name == "stages") {
            assert!(allowed.contains(&dependency.as_str()), "{package} must not depend on {dependency}");
        }
    }
}

#[test]
fn every_source_file_is_short_and_says_what_it_is_for() {
    let mut files = Vec::new();
    for folder in ["pipeline", "stages", "tests"] {
        rust_files(&root().join(folder), &mut files);
    }
    assert!(files.len() > 50, "only {} source files found", files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//!"), "{} does not start with `//!`", file.display());
        let n_lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        if is_tests_only(&file) {
            continue;
        }
        assert!(n_lines <= MAX_LINES, "{} has {n_lines} lines before its tests", file.display());
    }
}

#[test]
fn pure_crates_are_kept_from_files_and_clocks_by_clippy() {
    let rules = std::fs::read_to_string(root().join("pipeline/domain/.clippy.toml")).unwrap();
    assert!(rules.contains("std::fs::File::open") && rules.contains("std::time::Instant::now"));
    for package in ["router", "forest", "ope", "generate", "plot", "cascade"] {
        let own = std::fs::read_to_string(root().join("pipeline").join(package).join(".clippy.toml")).unwrap();
        assert_eq!(own, rules, "{package} has other rules");
    }
}

/// Whether the crate's root or the folder's module names a file as tests only.
fn is_tests_only(file: &Path) -> bool {
    let name = file.file_stem().unwrap().to_string_lossy().into_owned();
    let parents = ["lib.rs", "mod.rs"].map(|parent| file.with_file_name(parent));
    parents
        .iter()
        .filter_map(|parent| std::fs::read_to_string(parent).ok())
        .any(|text| text.contains(&format!("#[cfg(test)]\nmod {name};")))
}

/// All Rust files below a folder.
fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
