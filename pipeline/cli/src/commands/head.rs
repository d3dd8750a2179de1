//! `head`: the first rows of a table that a condition holds for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use routewright_table::{TABLES, TableError, head};
use serde_json::json;

use crate::exit::{DataError, Exit, UsageError};
use crate::layout::{aligned_texts, shortened};
use crate::messages::Messages;
use crate::project::ProjectArguments;

/// Name and place of the table that `features` makes; the others are canonical.
const FEATURES: (&str, &str) = ("features", "data/features.parquet");

/// Longest value that is shown in full, in characters.
const LONGEST: usize = 60;

/// Widest line on which rows stand side by side, in characters; wider tables are shown row by row.
const WIDEST: usize = 160;

/// Flags of `head`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// decisions, layers, assignments, quarantine, features, or a Parquet file or folder of them
    table: String,
    /// Number of rows
    #[arg(short = 'n', long = "number", value_name = "N", default_value_t = 10)]
    n_rows: usize,
    /// Only rows that this SQL condition holds for, such as "success = false"
    #[arg(long = "where", value_name = "EXPR")]
    condition: Option<String>,
}

/// Shows the rows.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    let place = place_of(&arguments.table, project)?;
    let condition = arguments.condition.as_deref();
    let rows = head(&place, arguments.n_rows, condition).map_err(|error| match (&error, condition) {
        (TableError::Query { .. }, Some(condition)) => {
            anyhow::Error::from(UsageError(format!("`--where {condition}`: {}", DataError::of(error))))
        }
        _ => DataError::of(error).into(),
    })?;
    let objects: Vec<BTreeMap<&str, &str>> =
        rows.iter().map(|row| row.iter().map(|(column, value)| (column.as_str(), value.as_str())).collect()).collect();
    messages.result(&in_words(&rows), &json!({ "schema_version": 1, "table": place, "rows": objects }))?;
    Ok(Exit::Done)
}

/// The place of a table: one of the project's, or a path.
pub(crate) fn place_of(table: &str, project: &ProjectArguments) -> anyhow::Result<PathBuf> {
    let tables: Vec<(&str, &str)> = TABLES.iter().map(|entry| (entry.name, entry.place)).chain([FEATURES]).collect();
    let known = tables.iter().find(|(name, _)| *name == table);
    let place = known.map_or_else(|| Path::new(table).to_owned(), |(_, place)| project.project.join(place));
    match (place.exists(), known) {
        (true, _) => Ok(place),
        (false, Some(_)) => {
            let stage = if table == FEATURES.0 { "features" } else { "ingest" };
            Err(DataError(format!("there is no `{}` yet; `routewright {stage}` makes it", place.display())).into())
        }
        (false, None) => {
            let names: Vec<&str> = tables.iter().map(|(name, _)| *name).collect();
            Err(UsageError(format!("`{table}` is neither a file nor one of the tables {}", names.join(", "))).into())
        }
    }
}

/// Rows side by side where they fit on a line, otherwise one below the other.
fn in_words(rows: &[Vec<(String, String)>]) -> String {
    if rows.is_empty() {
        return "no rows\n".to_owned();
    }
    let names = columns(rows);
    let header: Vec<&str> = names.iter().map(String::as_str).collect();
    let value = |row: &[(String, String)], name: &str| {
        row.iter().find(|(column, _)| column == name).map_or_else(String::new, |(_, value)| shortened(value, LONGEST))
    };
    let cells: Vec<Vec<String>> = rows.iter().map(|row| names.iter().map(|name| value(row, name)).collect()).collect();
    let table = aligned_texts(&header, &cells);
    if table.lines().all(|line| line.chars().count() <= WIDEST) {
        return table;
    }
    let mut text = String::new();
    for (position, row) in rows.iter().enumerate() {
        let lines: Vec<Vec<String>> = row.iter().map(|(name, value)| vec![format!("  {name}"), shortened(value, LONGEST)]).collect();
        text.push_str(&format!("row {}\n{}", position + 1, aligned_texts(&[], &lines)));
    }
    text
}

/// All columns that any row has a value for, each where it first comes after what stood before it.
fn columns(rows: &[Vec<(String, String)>]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for row in rows {
        let mut after = 0;
        for (name, _) in row {
            match names.iter().position(|known| known == name) {
                Some(position) => after = position + 1,
                None => {
                    names.insert(after, name.clone());
                    after += 1;
                }
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[(&str, &str)]) -> Vec<(String, String)> {
        values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn narrow_rows_stand_side_by_side_and_nulls_stay_blank() {
        let rows = [row(&[("a", "1"), ("c", "x")]), row(&[("a", "22"), ("b", "y"), ("c", "z")])];
        assert_eq!(in_words(&rows), "a   b  c\n1      x\n22  y  z\n");
    }

    #[test]
    fn wide_rows_stand_one_below_the_other() {
        let long = "w".repeat(100);
        let rows = [row(&[("first", &long), ("second", &long), ("third", &long)])];
        let text = in_words(&rows);
        assert!(text.starts_with("row 1\n  first   wwww"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= LONGEST + 10));
    }

    #[test]
    fn nothing_found_is_said() {
        assert_eq!(in_words(&[]), "no rows\n");
    }
}
