//! `pipeline.toml` says every setting with its default and one line of meaning.

use std::path::Path;

use crate::project::Project;

/// The one setting that the shipped file says otherwise: the sample instead of `data/raw`.
const SAMPLE: &str = "ingest.input = [\"data/sample\"]  # ";

/// The shipped file.
fn shipped() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipeline.toml")).unwrap()
}

#[test]
fn every_setting_stands_in_the_file_with_its_default() {
    let (with_file, without) = (Project::empty(), Project::empty());
    with_file.write("pipeline.toml", &shipped());
    let said = with_file.run(&["config", "show", "--origin"]).stdout;
    for line in said.lines() {
        assert!(line.contains("pipeline.toml:"), "not in pipeline.toml: {line}");
    }
    assert!(said.contains(SAMPLE), "{said}");
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  # ").next().unwrap().to_owned()).filter(|line| !line.starts_with("ingest.input")).collect()
    };
    assert_eq!(values(&said), values(&without.run(&["config", "show"]).stdout));
}

#[test]
fn every_setting_has_a_line_of_meaning() {
    for line in shipped().lines().filter(|line| line.contains(" = ") && !line.starts_with('#')) {
        let meaning = line.split(" # ").nth(1).unwrap_or_default();
        assert!(meaning.len() > 10, "no meaning: {line}");
    }
}

#[test]
fn tables_stand_in_the_order_of_the_stages() {
    let text = shipped();
    let tables: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix('[')?.strip_suffix(']')).filter(|name| !name.contains('.')).collect();
    let listed = Project::empty().run(&["stages"]).stdout;
    let stages: Vec<&str> =
        listed.lines().skip_while(|line| !line.is_empty()).skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(tables[0], "run");
    assert_eq!(tables[1..=stages.len()], stages[..]);
    assert_eq!(tables[stages.len() + 1..], ["deploy", "nightly"], "tables of commands that are no stage come last");
}
