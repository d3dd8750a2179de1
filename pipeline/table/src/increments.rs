//! Tests of ingests that go on from an earlier one: whatever happened to the files in between, the bytes are those of one full ingest.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::formats::samples;
use crate::*;

fn places(folder: &Path) -> IngestPlaces {
    IngestPlaces { decisions: folder.join("decisions"), layers: folder.join("layers"), quarantine: folder.join("quarantine") }
}

/// Every file of a folder that is not hidden, with its bytes.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for path in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            if path.file_name().unwrap().to_str().unwrap().starts_with('.') {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                all.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    all
}

/// Memory that no log here fills.
const MUCH: usize = 64 << 20;

/// A project whose logs change.
struct Project {
    folder: tempfile::TempDir,
    n_runs: usize,
}

impl Project {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("raw")).unwrap();
        Self { folder, n_runs: 0 }
    }

    fn raw(&self, name: &str) -> PathBuf {
        self.folder.path().join("raw").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.raw(name), text).unwrap();
    }

    fn append(&self, name: &str, text: &str) {
        let before = fs::read(self.raw(name)).unwrap_or_default();
        fs::write(self.raw(name), [before.as_slice(), text.as_bytes()].concat()).unwrap();
    }

    /// `memory_bytes`: of rows; with none, days are written as soon as they seem to be whole.
    fn ingest_into(&self, name: &str, earlier: Option<&IngestPlaces>, memory_bytes: usize) -> IngestReport {
        let settings = IngestSettings { max_rejected: 1.0, memory_bytes, ..IngestSettings::default() };
        let folder = self.folder.path().join(name);
        let out = places(&folder);
        let report = ingest_more(&[self.folder.path().join("raw")], &settings, &out, earlier, &|_, _| {}).unwrap();
        let tasks = earlier.map(|earlier| earlier.decisions.with_file_name("assignments"));
        let tasks = tasks.as_ref().map(|folder| EarlierAssignments { folder, written: &report.days_written });
        let decisions = Decisions::open(&out.decisions).unwrap();
        write_assignments(&decisions, tasks, &folder.join("assignments")).unwrap();
        assert_eq!(read_assignments(&folder.join("assignments")).unwrap(), assignments(&decisions).unwrap());
        report
    }

    /// Goes on from the last run, and compares with one full ingest.
    fn go_on(&mut self) -> IngestReport {
        let earlier = places(&self.folder.path().join(format!("run-{}", self.n_runs)));
        self.n_runs += 1;
        let name = format!("run-{}", self.n_runs);
        let report =
            self.ingest_into(&name, Some(&earlier).filter(|_| self.n_runs > 1), if self.n_runs.is_multiple_of(2) { 0 } else { MUCH });
        let full = self.ingest_into("full", None, MUCH);
        assert_eq!(self.ingest_into("early", None, 0), full);
        assert!(
            contents(&self.folder.path().join("early")) == contents(&self.folder.path().join("full")),
            "days that were written early differ"
        );
        fs::remove_dir_all(self.folder.path().join("early")).unwrap();
        let counted =
            IngestReport { files_read: full.files_read, files_gone: 0, days_written: full.days_written.clone(), ..report.clone() };
        assert_eq!(counted, full);
        let (ours, theirs) = (contents(&self.folder.path().join(&name)), contents(&self.folder.path().join("full")));
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
        for (path, bytes) in &ours {
            assert!(*bytes == theirs[path], "`{}` differs", path.display());
        }
        fs::remove_dir_all(self.folder.path().join("full")).unwrap();
        report
    }
}

/// A decision of a day; its outcome is pending where there is no latency.
fn record(id: usize, day: usize, path: &str, latency: Option<usize>) -> String {
    let outcome = latency.map_or(String::new(), |latency| format!(r#","execution_outcome":{{"success":true,"latency_ms":{latency}}}"#));
    format!(
        r#"{{"trace_id":"t{id}","timestamp":"2026-01-{day:02}T10:00:{:02}Z","query":"q {id}","routing_decision":{{"execution_path":"{path}"}}{outcome}}}"#,
        id % 60
    ) + "\n"
}

/// Records enough that the format of a file does not change any more.
fn many(first: usize, day: usize) -> String {
    (first..first + 80).map(|id| record(id, day, "A", Some(5))).collect()
}

#[test]
fn a_new_day_reads_one_file_and_writes_one_day() {
    let mut project = Project::new();
    (1..=5).for_each(|day| project.write(&format!("{day}.jsonl"), &many(day * 100, day)));
    assert_eq!((project.go_on().files_read, project.n_runs), (5, 1));
    project.write("6.jsonl", &many(600, 6));
    let report = project.go_on();
    assert_eq!((report.files_read, report.days_written.len(), report.days.len(), report.totals.kept), (1, 1, 6, 480));
    let report = project.go_on();
    assert_eq!((report.files_read, report.days_written.len()), (0, 0));
}

#[cfg(unix)]
#[test]
fn days_that_were_not_touched_are_the_same_files() {
    use std::os::unix::fs::MetadataExt;
    let mut project = Project::new();
    (1..=2).for_each(|day| project.write(&format!("{day}.jsonl"), &many(day * 100, day)));
    project.go_on();
    project.write("3.jsonl", &(record(100, 1, "A", Some(5)) + &record(999, 2, "A", None)));
    project.go_on();
    let inode = |run: usize, day: usize| {
        fs::metadata(project.folder.path().join(format!("run-{run}/decisions/day=2026-01-{day:02}/part-0.parquet"))).unwrap().ino()
    };
    assert_eq!(inode(1, 1), inode(2, 1));
    assert_ne!(inode(1, 2), inode(2, 2));
}

#[test]
fn a_late_outcome_reaches_the_day_of_its_decision() {
    let mut project = Project::new();
    project.write("1.jsonl", &(many(0, 1) + &record(90, 1, "A", None)));
    project.write("2.jsonl", &many(100, 2));
    assert_eq!(project.go_on().totals.pending, 1);
    project.append("2.jsonl", &record(90, 1, "A", Some(700)));
    let report = project.go_on();
    assert_eq!((report.totals.pending, report.totals.duplicate, report.files_read, report.days_written.len()), (0, 1, 1, 1));
    assert_eq!((report.files[0].counts.duplicate, report.files[1].counts.kept), (1, 81));
}

#[test]
fn a_day_that_was_written_early_is_written_again_where_rows_come_late() {
    let mut project = Project::new();
    (1..=5).for_each(|day| project.write(&format!("{day}.jsonl"), &many(day * 100, day)));
    // One takes the place of a row, one is the only row of its day and takes the place of one of another, one is new.
    project.write("6.jsonl", &(record(101, 1, "A", Some(6)) + &record(102, 7, "A", Some(6)) + &record(999, 3, "A", None)));
    assert_eq!(project.go_on().days.len(), 6);
    // And a day loses its only row.
    project.write("0.jsonl", &record(1, 9, "A", None));
    project.write("7.jsonl", &record(1, 10, "A", Some(1)));
    assert_eq!(project.go_on().days.keys().next_back().unwrap(), "2026-01-10");
}

#[test]
fn an_unfinished_last_line_waits_for_its_rest() {
    let mut project = Project::new();
    let (whole, late) = (many(0, 1), record(90, 1, "A", Some(1)));
    project.write("1.jsonl", &format!("{whole}{}", &late[..40]));
    assert_eq!(project.go_on().totals.quarantined.get("truncated_line"), Some(&1));
    project.append("1.jsonl", &late[40..]);
    let report = project.go_on();
    assert_eq!((report.totals.kept, report.totals.n_quarantined()), (81, 0));
}

#[test]
fn a_rotated_log_is_known_by_its_content() {
    let mut project = Project::new();
    project.write("log.jsonl", &many(0, 1));
    project.go_on();
    fs::rename(project.raw("log.jsonl"), project.raw("log.jsonl.1")).unwrap();
    project.write("log.jsonl", &many(100, 2));
    let report = project.go_on();
    assert_eq!((report.files_read, report.days_written.len(), report.totals.kept), (1, 1, 160));
}

#[test]
fn a_rewritten_or_truncated_log_gives_only_what_it_says_now() {
    let mut project = Project::new();
    project.write("1.jsonl", &(many(0, 1) + &many(100, 2)));
    project.write("2.jsonl", &record(5, 1, "A", Some(5)));
    project.go_on();
    project.write("1.jsonl", &many(100, 2));
    let report = project.go_on();
    assert_eq!((report.files_read, report.files_gone, report.totals.kept, report.totals.duplicate), (1, 1, 81, 0));
    fs::remove_file(project.raw("2.jsonl")).unwrap();
    assert_eq!((project.go_on().totals.kept, project.go_on().files_read), (80, 0));
}

#[test]
fn a_change_that_keeps_size_and_time_is_noticed() {
    let mut project = Project::new();
    project.write("1.jsonl", &many(0, 1));
    project.go_on();
    let modified = fs::metadata(project.raw("1.jsonl")).unwrap().modified().unwrap();
    project.write("1.jsonl", &many(0, 1).replace("\"latency_ms\":5", "\"latency_ms\":6"));
    fs::File::options().write(true).open(project.raw("1.jsonl")).unwrap().set_modified(modified).unwrap();
    assert_eq!(project.go_on().files_read, 1);
}

#[test]
fn a_torn_state_makes_the_next_ingest_read_everything() {
    for name in ["files.json", "ledger/2026-01-01", "rejected"] {
        let mut project = Project::new();
        project.write("1.jsonl", &(many(0, 1) + "bad\n"));
        project.go_on();
        let place = project.folder.path().join("run-1/decisions/.ingest").join(name);
        let bytes = fs::read(&place).unwrap();
        fs::write(&place, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(project.go_on().files_read, 1, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn ledgers_of_days_whose_ids_stay_alone_are_the_same_files_even_where_files_move() {
    use std::os::unix::fs::MetadataExt;
    let mut project = Project::new();
    (1..=3).for_each(|day| project.write(&format!("{day}.jsonl"), &many(day * 100, day)));
    project.go_on();
    // Every known file is read one place later than before.
    project.write("0.jsonl", &(record(210, 2, "A", Some(9)) + &record(999, 4, "A", None)));
    assert_eq!(project.go_on().files_read, 1);
    project.write("4.jsonl", &many(400, 4));
    fs::remove_file(project.raw("1.jsonl")).unwrap();
    project.go_on();
    let inode = |run: usize, day: usize| {
        let place = project.folder.path().join(format!("run-{run}/decisions/.ingest/ledger/2026-01-{day:02}"));
        fs::metadata(place).ok().map(|metadata| metadata.ino())
    };
    assert_eq!((inode(2, 1), inode(2, 3)), (inode(1, 1), inode(1, 3)));
    assert_ne!(inode(2, 2), inode(1, 2));
    assert_eq!((inode(3, 2), inode(3, 3)), (inode(2, 2), inode(2, 3)));
    assert_ne!(inode(3, 4), inode(2, 4));
}

#[test]
fn a_row_whose_winner_is_gone_is_kept_again_in_its_day() {
    let mut project = Project::new();
    project.write("1.jsonl", &(many(0, 1) + &record(90, 1, "A", None)));
    project.write("2.jsonl", &(many(100, 2) + &record(90, 2, "A", Some(3))));
    assert_eq!((project.go_on().days["2026-01-01"], project.n_runs), (80, 1));
    project.write("2.jsonl", &many(100, 2));
    let report = project.go_on();
    assert_eq!((report.days["2026-01-01"], report.totals.pending, report.days_written.len()), (81, 1, 2));
}

#[test]
fn conflicts_stay_in_the_quarantine_as_days_come() {
    let mut project = Project::new();
    project.write("1.jsonl", &(many(0, 1) + &record(5, 1, "B", Some(5)) + &record(6, 2, "B", Some(5))));
    let n_conflicts = |report: IngestReport| report.totals.quarantined.get("conflicting_duplicate").copied();
    assert_eq!(n_conflicts(project.go_on()), Some(2));
    project.write("0.jsonl", &many(300, 3));
    assert_eq!(n_conflicts(project.go_on()), Some(2), "of days that were taken over");
    project.write("3.jsonl", &(record(7, 1, "B", Some(5)) + &many(400, 4)));
    assert_eq!(n_conflicts(project.go_on()), Some(3), "of a day that was written again");
}

#[test]
fn what_contradicts_what_goes_by_the_order_of_files_now() {
    let mut project = Project::new();
    project.write("1.jsonl", &(many(0, 1) + &record(90, 1, "A", Some(5))));
    project.write("2.jsonl", &(many(100, 2) + &record(90, 2, "B", Some(5))));
    assert_eq!(project.go_on().files[1].counts.n_quarantined(), 1);
    fs::rename(project.raw("1.jsonl"), project.raw("3.jsonl")).unwrap();
    let report = project.go_on();
    assert_eq!((report.files_read, report.files[0].counts.n_quarantined(), report.files[1].counts.n_quarantined()), (0, 0, 1));
    assert_eq!(report.days_written.len(), 2);
}

#[test]
fn a_changed_byte_in_the_ledger_of_a_day_makes_the_next_ingest_read_everything() {
    // Of the first row, which is read because its id comes again; and of the ids, which are always read.
    for at in [40, 80 * 64 + 3] {
        let mut project = Project::new();
        project.write("1.jsonl", &many(0, 1));
        project.go_on();
        let place = project.folder.path().join("run-1/decisions/.ingest/ledger/2026-01-01");
        let mut bytes = fs::read(&place).unwrap();
        bytes[at] ^= 1;
        fs::write(&place, bytes).unwrap();
        project.write("2.jsonl", &(many(0, 1) + &many(200, 2)));
        let report = project.go_on();
        assert_eq!((report.files_read, report.totals.kept, report.totals.duplicate), (2, 160, 80), "byte {at}");
    }
}

#[test]
fn a_day_that_was_written_early_before_a_ledger_proved_torn_is_not_left_over() {
    let mut project = Project::new();
    // Days in no order, so that no day is written early where everything is read.
    [1, 20, 28, 1].iter().zip(0..).for_each(|(day, file)| project.write(&format!("{file}.jsonl"), &many(file * 100, *day)));
    project.go_on();
    let place = project.folder.path().join("run-1/decisions/.ingest/ledger/2026-01-20");
    let mut bytes = fs::read(&place).unwrap();
    bytes[80 * 64] ^= 1;
    fs::write(&place, bytes).unwrap();
    // The only row of its day is a forerunner of one that is kept.
    project.write("4.jsonl", &record(5, 9, "A", None));
    (5..7).for_each(|file| project.write(&format!("{file}.jsonl"), &many(file * 100, file + 5)));
    assert_eq!(project.go_on().files_read, 7);
}

#[test]
fn other_settings_make_the_next_ingest_read_everything() {
    let mut project = Project::new();
    project.write("1.jsonl", &many(0, 1));
    project.go_on();
    let earlier = places(&project.folder.path().join("run-1"));
    let settings = IngestSettings { max_extras: 1, ..IngestSettings::default() };
    let out = places(&project.folder.path().join("other"));
    let report = ingest_more(&[project.raw("1.jsonl")], &settings, &out, Some(&earlier), &|_, _| {}).unwrap();
    assert_eq!(report.files_read, 1);
}

/// Something that happens to the logs.
#[derive(Clone, Debug)]
enum Change {
    /// Records go to the end of a file; of the last one only a part, where it is torn.
    Append { file: usize, lines: Vec<usize>, torn: bool },
    /// A file gets another name.
    Rename { from: usize, to: usize },
    /// A file is gone.
    Remove { file: usize },
    /// A file says something else.
    Rewrite { file: usize, lines: Vec<usize> },
    /// The tables are brought up to date.
    Ingest,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let lines = || proptest::collection::vec(0..280_usize, 0..12);
    let change = prop_oneof![
        4 => (0..4_usize, lines(), any::<bool>()).prop_map(|(file, lines, torn)| Change::Append { file, lines, torn }),
        1 => (0..4_usize, 0..4_usize).prop_map(|(from, to)| Change::Rename { from, to }),
        1 => (0..4_usize).prop_map(|file| Change::Remove { file }),
        1 => (0..4_usize, lines()).prop_map(|(file, lines)| Change::Rewrite { file, lines }),
        3 => Just(Change::Ingest),
    ];
    proptest::collection::vec(change, 1..12)
}

/// A line of a log by its number: decisions, late outcomes, conflicts, new keys, other formats, bad lines.
fn line(number: usize) -> String {
    let (id, day) = (number % 40, 1 + number % 3);
    match number / 40 {
        0 => record(id, day, "A", None),
        1 | 2 => record(id, 1 + id % 3, "A", Some(number)),
        3 => record(id, day, "B", Some(5)).replace("\"query\"", &format!("\"context\":{{\"key{}\":{}}},\"query\"", id % 4, id)),
        4 => in_group(&record(id, day, "A", (id % 2 == 0).then_some(3)), id),
        5 => record(id, day, "A", Some(3)).replacen('{', &format!(r#"{{"task_id":"task-{}","#, id % 9), 1),
        _ if id % 5 == 0 => samples::CORTEX.replace('\n', " ").replace("0000007f", &format!("{id:08}")) + "\n",
        _ if id % 5 == 1 => "{\"torn\": \n".to_owned(),
        _ if id % 5 == 2 => "\n  \n".to_owned(),
        _ if id % 5 == 3 => record(id, day, "A", Some(1)).trim_end().to_owned() + " ",
        _ => record(id, day, "A", Some(1)).replace(",\"query\"", ",\n \"query\""),
    }
}

/// A record that names a group, and a task too where its number is odd.
fn in_group(record: &str, id: usize) -> String {
    let task = if id % 2 == 1 { format!(r#""task_id":"task-{}","#, id % 9) } else { String::new() };
    record.replacen('{', &format!(r#"{{{task}"ab_test_group":"{}","#, if id.is_multiple_of(3) { "control" } else { "treatment" }), 1)
}

/// A line of a gateway's log by its number.
fn gateway_line(number: usize) -> String {
    let (day, method) = (1 + number % 5, if number.is_multiple_of(2) { "ml" } else { "rule-based" });
    let task = if number.is_multiple_of(3) { format!("t{}", number % 40) } else { format!("task-{}", number % 9) };
    format!(
        r#"{{"timestamp":"2026-01-{day:02}T23:00:00Z","task_id":"{task}","method":"{method}","selected_master":"m","ab_test_group":"control"}}"#
    ) + "\n"
}

/// Name of the one log that is a gateway's.
const GATEWAY: usize = 3;

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn any_history_of_files_gives_the_bytes_of_one_full_ingest(changes in changes(), long in any::<bool>()) {
        let mut project = Project::new();
        let name = |file: usize| format!("log-{file}.jsonl");
        // A file whose format is settled can be gone on from; the others are short.
        project.write("always.jsonl", &if long { many(500, 2) } else { record(500, 2, "A", None) });
        project.write(&name(0), &if long { many(1000, 1) } else { String::new() });
        for change in changes {
            let text = |file: usize, lines: &[usize]| {
                lines.iter().map(|number| if file == GATEWAY { gateway_line(*number) } else { line(*number) }).collect::<String>()
            };
            match change {
                Change::Append { file, lines, torn } => {
                    let text = text(file, &lines);
                    let end = text.floor_char_boundary(if torn { text.len() * 2 / 3 } else { text.len() });
                    project.append(&name(file), &text[..end]);
                }
                Change::Rename { from, to } if project.raw(&name(from)).exists() => {
                    fs::rename(project.raw(&name(from)), project.raw(&name(to))).unwrap();
                }
                Change::Remove { file } => drop(fs::remove_file(project.raw(&name(file)))),
                Change::Rewrite { file, lines } => project.write(&name(file), &text(file, &lines)),
                Change::Ingest => drop(project.go_on()),
                Change::Rename { .. } => {}
            }
        }
        project.go_on();
    }
}
