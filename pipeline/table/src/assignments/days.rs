//! The tasks by day: written again are only days that something changed for.
//!
//! What is known of a task depends on the rows that name it, on the rows that share a name with these, and so on: rows that are not linked
//! say nothing of each other. So the names of all rows are kept, as digests, and what is linked to a day that changed is found out with them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::hash::BuildHasherDefault;
use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, BooleanArray, StringArray};
use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::joined::{TASK, assignments};
use super::plain::{PlainDay, QUERY, as_text, columns_of_day};
use super::{Assignment, GROUP, arrays, write_file};
use crate::decisions::{Decisions, day_name};
use crate::error::TableError;
use crate::unhashed::Unhashed;
use crate::write::{PART, link_file};

/// Tasks that were written before, to go on from.
#[derive(Clone, Copy, Debug)]
pub struct EarlierAssignments<'e> {
    /// Their folder.
    pub folder: &'e Path,
    /// Days of decisions that were written since (`YYYY-MM-DD`); the others are as they were then.
    pub written: &'e BTreeSet<String>,
}

/// The names that a row goes by, as digests: its task and its id; the task twice where its id is its own.
type Names = [u64; 2];

/// Digests of names.
type NameSet = HashSet<u64, BuildHasherDefault<Unhashed>>;

/// The names of every row, by day.
type NamesByDay<'n> = BTreeMap<&'n str, Cow<'n, [Names]>>;

/// Decisions whose tasks are found at a time.
const AT_ONCE: u64 = 64 << 10;

/// Times that all rows are looked through for what is linked; chains of names that are longer than that count as linked to everything.
const MAX_LOOKS: usize = 8;

/// File of a day's names, hidden beside its tasks.
const NAMES: &str = ".names";

/// Writes the tasks of [`assignments`] into a folder of days. What comes out does not depend on what was written `earlier`: days that nothing
/// changed for are linked, where the earlier folder is whole.
///
/// # Errors
/// [`TableError`] for tables that cannot be read or written.
pub fn write_assignments(decisions: &Decisions, earlier: Option<EarlierAssignments<'_>>, to: &Path) -> Result<(), TableError> {
    write_in_parts(decisions, earlier, to, AT_ONCE)
}

/// `at_once`: decisions whose tasks are found at a time.
fn write_in_parts(decisions: &Decisions, earlier: Option<EarlierAssignments<'_>>, to: &Path, at_once: u64) -> Result<(), TableError> {
    fs::create_dir_all(to).map_err(|error| TableError::write(to, error))?;
    if !decisions.extras().contains_key(GROUP) {
        return Ok(());
    }
    let before = earlier.and_then(|earlier| Some((earlier, names_before(earlier.folder)?)));
    let (names, done) = names_now(decisions, before.as_ref(), to)?;
    let again = match &before {
        Some((earlier, before)) => days_to_write(&names, before, earlier.written),
        None => names.keys().copied().collect(),
    };
    let shared = shared_names(&names, &again);
    let is_linked = |rows: &[Names]| !shared.is_empty() && rows.iter().flatten().any(|name| shared.contains(name));
    let linked_days: BTreeSet<&str> = again.par_iter().copied().filter(|day| names.get(day).is_none_or(|rows| is_linked(rows))).collect();
    for day in done.intersection(&linked_days) {
        let path = to.join(format!("day={day}")).join(PART);
        fs::remove_file(&path).map_err(|error| TableError::write(&path, error))?;
    }
    let undone: BTreeSet<&str> = again.difference(&done).copied().filter(|day| !linked_days.contains(day)).collect();
    let mut sought = write_plain_days(decisions, &undone, to)?;
    sought.extend(linked_days);
    let batches = batches(decisions, &sought, at_once);
    batches.par_iter().try_for_each(|batch| {
        let all = batch.iter().filter_map(|day| names.get(day)).flat_map(|rows| rows.iter().flatten().copied());
        let mut sources = linked(all.filter(|name| shared.contains(name)).collect(), &names);
        sources.extend(batch.iter().copied());
        let rows = assignments(&decisions.only(&sources))?;
        rows.chunk_by(|a, b| a.timestamp.day() == b.timestamp.day()).try_for_each(|rows| write_day(rows, batch, to))
    })?;
    // One after another: folders of one folder are made one at a time, and threads would wait for each other.
    for (day, rows) in names.iter().filter(|(day, _)| !done.contains(*day)) {
        let folder = folder_of(day, to)?;
        match &before {
            Some((earlier, _)) if !again.contains(day) => {
                let from = earlier.folder.join(format!("day={day}"));
                for name in [PART, NAMES].into_iter().filter(|name| from.join(name).exists()) {
                    link_file(&from.join(name), &folder.join(name))?;
                }
            }
            _ => write_names(rows, &folder.join(NAMES))?,
        }
    }
    Ok(())
}

/// Writes the tasks of days none of whose names stands in another day, where they have a gateway's rows only. Gives the other days: their
/// tasks have to be looked for.
fn write_plain_days<'n>(decisions: &Decisions, days: &BTreeSet<&'n str>, to: &Path) -> Result<BTreeSet<&'n str>, TableError> {
    let write = |day: &&'n str| -> Result<Option<&'n str>, TableError> {
        let Some(plain) = PlainDay::read(decisions, day)? else { return Ok(Some(*day)) };
        plain.write(&folder_of(day, to)?.join(PART))?;
        Ok(None)
    };
    days.par_iter().filter_map(|day| write(day).transpose()).collect()
}

/// Writes the tasks of one day, if it is one of the wanted.
fn write_day(rows: &[Assignment], wanted: &BTreeSet<&str>, to: &Path) -> Result<(), TableError> {
    let day = rows.first().map_or(String::new(), |row| day_name(row.timestamp.day()));
    if !wanted.contains(day.as_str()) {
        return Ok(());
    }
    write_columns(arrays(rows), &day, to)
}

/// Writes the one file of a day.
fn write_columns(columns: Vec<ArrayRef>, day: &str, to: &Path) -> Result<(), TableError> {
    write_file(columns, &folder_of(day, to)?.join(PART))
}

/// The folder of a day, which is made where it is missing.
fn folder_of(day: &str, to: &Path) -> Result<PathBuf, TableError> {
    let folder = to.join(format!("day={day}"));
    fs::create_dir_all(&folder).map_err(|error| TableError::write(&folder, error))?;
    Ok(folder)
}

/// The names of every row: of days that were not written since, those that stand with the earlier tasks. Days of a gateway's rows only are
/// read once: their tasks and names are written to `to` as if no other day had any of their names. Gives these days, too.
fn names_now<'n>(
    decisions: &'n Decisions,
    before: Option<&'n (EarlierAssignments<'_>, BTreeMap<String, Vec<Names>>)>,
    to: &Path,
) -> Result<(NamesByDay<'n>, BTreeSet<&'n str>), TableError> {
    let days: Vec<&str> = decisions.days().map(|(day, _)| day).collect();
    let names = days.par_iter().map(|&day| {
        let known = before.filter(|(earlier, _)| !earlier.written.contains(day)).and_then(|(_, names)| names.get(day));
        if let Some(rows) = known {
            return Ok((day, Cow::Borrowed(rows.as_slice()), false));
        }
        let Some(plain) = PlainDay::read(decisions, day)? else {
            return Ok((day, Cow::Owned(names_of_day(decisions, day)?), false));
        };
        let rows: Vec<Names> = plain.tasks().map(|task| [digest(Some(task)); 2]).collect();
        let folder = folder_of(day, to)?;
        plain.write(&folder.join(PART))?;
        write_names(&rows, &folder.join(NAMES))?;
        Ok((day, Cow::Owned(rows), true))
    });
    let names: Vec<(&str, Cow<'_, [Names]>, bool)> = names.collect::<Result<_, TableError>>()?;
    let done = names.iter().filter(|(_, _, is_done)| *is_done).map(|(day, _, _)| *day).collect();
    Ok((names.into_iter().map(|(day, rows, _)| (day, rows)).collect(), done))
}

/// The names of the rows of a day.
fn names_of_day(decisions: &Decisions, day: &str) -> Result<Vec<Names>, TableError> {
    let (n_rows, [own_tasks, queries, groups]) = columns_of_day(decisions, day, ["query_id", QUERY, GROUP])?;
    let own_tasks = texts(own_tasks.as_ref());
    let (queries, groups) = (queries.as_ref().and_then(|queries| queries.as_any().downcast_ref::<BooleanArray>()), groups.as_ref());
    let has_query = |row| queries.is_some_and(|queries| queries.is_valid(row) && queries.value(row));
    let (_, [ids, tasks]) = columns_of_day(decisions, day, ["trace_id", TASK])?;
    let (ids, tasks) = (texts(ids.as_ref()), tasks.as_ref().and_then(as_text));
    let of = |row| {
        let is_gateway = groups.is_some_and(|groups| groups.is_valid(row)) && !has_query(row);
        if is_gateway {
            return [digest(text(own_tasks, row)); 2];
        }
        let id = digest(text(ids, row));
        [text(tasks.as_ref(), row).map_or(id, |task| digest(Some(task))), id]
    };
    Ok((0..n_rows).map(of).collect())
}

fn digest(text: Option<&str>) -> u64 {
    xxh3_64(text.unwrap_or_default().as_bytes())
}

fn texts(column: Option<&ArrayRef>) -> Option<&StringArray> {
    column?.as_any().downcast_ref()
}

fn text(column: Option<&StringArray>, row: usize) -> Option<&str> {
    column.filter(|column| column.is_valid(row)).map(|column| column.value(row))
}

/// The days whose tasks may be others than before: those linked to days that are new, gone or written since.
fn days_to_write<'n>(names: &NamesByDay<'n>, before: &BTreeMap<String, Vec<Names>>, written: &BTreeSet<String>) -> BTreeSet<&'n str> {
    let is_changed = |day: &str| written.contains(day) || !before.contains_key(day);
    let changed: BTreeSet<&str> = names.keys().copied().filter(|day| is_changed(day)).collect();
    let mut start = NameSet::default();
    for day in &changed {
        start.extend(names.get(day).into_iter().flat_map(|rows| rows.iter().flatten()));
    }
    for (day, rows) in before {
        if written.contains(day) || !names.contains_key(day.as_str()) {
            start.extend(rows.iter().flatten());
        }
    }
    let mut again = linked(start, names);
    again.extend(changed);
    again
}

/// Days in order, in parts of so many decisions.
fn batches<'n>(decisions: &Decisions, days: &BTreeSet<&'n str>, at_once: u64) -> Vec<BTreeSet<&'n str>> {
    let n_rows: BTreeMap<&str, u64> = decisions.days().collect();
    let mut batches: Vec<BTreeSet<&str>> = Vec::new();
    let mut n_held = at_once;
    for day in days {
        if n_held >= at_once {
            batches.push(BTreeSet::new());
            n_held = 0;
        }
        n_held += n_rows.get(day).copied().unwrap_or(0);
        if let Some(batch) = batches.last_mut() {
            batch.insert(day);
        }
    }
    batches
}

/// Names of some days that stand in other days, too: only through these do days depend on each other.
fn shared_names(names: &NamesByDay<'_>, days: &BTreeSet<&str>) -> NameSet {
    /// Names that are looked at together: their table stays in the cache.
    const TOGETHER: usize = 64 << 10;
    /// Times that all names are looked through, at most: beyond, tables outgrow the cache instead.
    const MOST_PARTS: usize = 32;
    let n_names: usize = days.iter().filter_map(|day| names.get(day)).map(|rows| rows.len()).sum();
    let n_parts = (n_names / TOGETHER + 1).next_power_of_two().min(MOST_PARTS);
    let of_part = |part: usize| {
        // Tables go by the bits at both ends of a digest.
        let is_in_part = |name: &u64| (*name >> 24) as usize & (n_parts - 1) == part;
        let room = (n_names / n_parts).min(TOGETHER);
        let mut day_of: HashMap<u64, usize, BuildHasherDefault<Unhashed>> = HashMap::with_capacity_and_hasher(room, Default::default());
        let mut shared = Vec::new();
        for (position, rows) in days.iter().filter_map(|day| names.get(day)).enumerate() {
            for name in distinct(rows).filter(is_in_part) {
                let first = *day_of.entry(name).or_insert(position);
                shared.extend((first != position).then_some(name));
            }
        }
        for (_, rows) in names.iter().filter(|(day, _)| !days.contains(*day)) {
            shared.extend(distinct(rows).filter(|name| is_in_part(name) && day_of.contains_key(name)));
        }
        shared
    };
    (0..n_parts).into_par_iter().flat_map_iter(of_part).collect()
}

/// The names of rows, those that stand twice in a row once.
fn distinct(rows: &[Names]) -> impl Iterator<Item = u64> {
    rows.iter().flat_map(|[task, id]| [Some(*task), (task != id).then_some(*id)]).flatten()
}

/// Days with rows that names lead to, directly or through other rows' names.
fn linked<'n>(mut found: NameSet, names: &NamesByDay<'n>) -> BTreeSet<&'n str> {
    let mut days = BTreeSet::new();
    for look in 0.. {
        let n_found = found.len();
        if n_found == 0 {
            break;
        }
        if look == MAX_LOOKS {
            return names.keys().copied().collect();
        }
        for (day, rows) in names {
            let mut is_linked = false;
            for [task, id] in rows.iter() {
                let (by_task, by_id) = (found.contains(task), task != id && found.contains(id));
                is_linked |= by_task || by_id;
                if task != id && by_task != by_id {
                    found.insert(if by_task { *id } else { *task });
                }
            }
            if is_linked {
                days.insert(*day);
            }
        }
        if found.len() == n_found {
            break;
        }
    }
    days
}

/// Bytes of a file of names before them: their digest.
const DIGEST: usize = blake3::OUT_LEN;

fn write_names(rows: &[Names], path: &Path) -> Result<(), TableError> {
    let mut bytes = Vec::with_capacity(DIGEST + size_of_val(rows));
    bytes.resize(DIGEST, 0);
    rows.iter().flatten().for_each(|name| bytes.extend_from_slice(&name.to_le_bytes()));
    let digest = blake3::hash(&bytes[DIGEST..]);
    bytes[..DIGEST].copy_from_slice(digest.as_bytes());
    fs::write(path, bytes).map_err(|error| TableError::write(path, error))
}

/// The names that stand with earlier tasks; nothing where any are missing or torn.
fn names_before(folder: &Path) -> Option<BTreeMap<String, Vec<Names>>> {
    let days: Vec<_> = fs::read_dir(folder).ok()?.collect::<Result<_, _>>().ok()?;
    let names = days.par_iter().map(|entry| {
        let day = entry.file_name().to_str()?.strip_prefix("day=")?.to_owned();
        Some((day, read_names(&entry.path().join(NAMES))?))
    });
    names.collect()
}

fn read_names(path: &Path) -> Option<Vec<Names>> {
    let bytes = fs::read(path).ok()?;
    let (digest, rows) = bytes.split_at_checked(DIGEST)?;
    let is_whole = blake3::hash(rows).as_bytes() == digest;
    let (words, rest) = rows.as_chunks::<8>();
    let (pairs, odd) = words.as_chunks::<2>();
    let is_whole = is_whole && rest.is_empty() && odd.is_empty();
    is_whole.then(|| pairs.iter().map(|pair| pair.map(u64::from_le_bytes)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::IngestSettings;
    use crate::assignments::read_assignments;
    use crate::corpus::Run;

    /// A gateway's rows and decisions that name tasks, groups and each other, from numbers.
    fn logs(numbers: &[(usize, usize)]) -> (String, String) {
        let (mut gateway, mut outcomes) = (String::new(), String::new());
        for (position, (number, day)) in numbers.iter().enumerate() {
            let (name, day) = (format!("n{}", number / 4), 1 + day % 6);
            let group = if number % 3 == 0 { r#""ab_test_group":"control","# } else { "" };
            let success = if number % 5 == 0 { "" } else { r#","execution_outcome":{"success":true}"# };
            match number % 4 {
                0 => gateway.push_str(&format!(
                    "{{\"timestamp\":\"2026-01-{day:02}T10:00:00Z\",\"task_id\":\"{name}\",\"method\":\"ml\",\"selected_master\":\"m\",\"ab_test_group\":\"treatment\"}}\n"
                )),
                kind => {
                    let task = if kind == 1 { String::new() } else { format!(r#""task_id":"n{}","#, number / 5) };
                    let id = if kind == 3 { format!("x{position}") } else { name };
                    outcomes.push_str(&format!(
                        "{{{task}{group}\"trace_id\":\"{id}\",\"timestamp\":\"2026-01-{day:02}T11:00:00Z\",\"query\":\"q\",\"routing_decision\":{{\"execution_path\":\"A\"}}{success}}}\n"
                    ));
                }
            }
        }
        (gateway, outcomes)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, ..ProptestConfig::default() })]
        #[test]
        fn tasks_that_are_found_day_by_day_are_those_found_at_once(numbers in proptest::collection::vec((0..60_usize, 0..6_usize), 1..40)) {
            let (gateway, outcomes) = logs(&numbers);
            let files = [("gateway.jsonl", gateway.as_bytes()), ("outcomes.jsonl", outcomes.as_bytes())];
            let present: Vec<_> = files.into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
            let run = Run::of_files(&present, &IngestSettings { max_rejected: 1.0, ..IngestSettings::default() });
            let decisions = Decisions::open(&run.folder.path().join("decisions")).unwrap();
            let place = run.folder.path().join("assignments");
            write_in_parts(&decisions, None, &place, 1).unwrap();
            prop_assert_eq!(read_assignments(&place).unwrap(), assignments(&decisions).unwrap());
        }
    }

    #[test]
    fn names_that_are_torn_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join(NAMES);
        write_names(&[[1, 2], [3, 3]], &place).unwrap();
        assert_eq!(read_names(&place), Some(vec![[1, 2], [3, 3]]));
        let bytes = fs::read(&place).unwrap();
        fs::write(&place, &bytes[..bytes.len() - 16]).unwrap();
        assert_eq!(read_names(&place), None);
    }

    #[test]
    fn names_lead_on_through_other_rows() {
        let rows = |rows: &[Names]| Cow::Owned(rows.to_vec());
        let names =
            BTreeMap::from([("1", rows(&[[3, 4], [9, 9]])), ("2", rows(&[[2, 3]])), ("3", rows(&[[1, 2]])), ("4", rows(&[[8, 8]]))]);
        let days = |start: &[u64]| linked(start.iter().copied().collect(), &names).into_iter().collect::<Vec<_>>();
        assert_eq!(days(&[1]), ["1", "2", "3"]);
        assert_eq!(days(&[8]), ["4"]);
        assert_eq!(days(&[7]), [""; 0]);
        let all = names.keys().copied().collect();
        assert_eq!(shared_names(&names, &all).len(), 2);
        assert_eq!(shared_names(&names, &BTreeSet::from(["1"])), NameSet::from_iter([3]));
    }
}
