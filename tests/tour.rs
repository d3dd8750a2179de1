//! README's tour, typed as it is written.

use std::path::Path;
use std::process::Command;

/// Decisions that the tour generates, and fewer that show the same in a test.
const DECISIONS: (&str, &str) = ("-n 20000", "-n 1600");

/// The lines of the first block of commands below a heading of README, without their comments.
fn commands(heading: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    let (_, section) = readme.split_once(heading).unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    block.lines().map(|line| line.split("  #").next().unwrap().trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// The words of a command, quotes taken off.
fn words(line: &str) -> Vec<String> {
    let quoted = line.split('"').enumerate();
    let of_part = |(position, part): (usize, &str)| -> Vec<String> {
        if position % 2 == 1 { vec![part.to_owned()] } else { part.split_whitespace().map(str::to_owned).collect() }
    };
    quoted.flat_map(of_part).collect()
}

#[test]
fn the_tour_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut fresh = false;
    let commands = commands("## A five-minute tour");
    assert!(commands.len() >= 8, "{commands:?}");
    assert!(commands.iter().any(|line| line.contains(DECISIONS.0)));
    for line in commands {
        let words = words(&line.replace(DECISIONS.0, DECISIONS.1));
        assert_eq!(words[0], "routewright", "{line}");
        let output = Command::new(env!("CARGO_BIN_EXE_routewright")).current_dir(&folder).args(&words[1..]).output().unwrap();
        let (code, stdout) = (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned());
        // The gate's answers are codes of their own.
        let expected: &[i32] = if words.contains(&"gate".to_owned()) { &[0, 10, 11] } else { &[0] };
        assert!(expected.contains(&code), "{line}: {code}\n{}", String::from_utf8_lossy(&output.stderr));
        fresh |= stdout.starts_with("everything is fresh");
    }
    assert!(fresh, "the second run was to find everything fresh");
}
