//! What the columns of every table mean.

use serde::Serialize;

use crate::assignments::ASSIGNMENT_COLUMNS;
use crate::columns::{Column, DECISION_COLUMNS, Known, LAYER_COLUMNS};
use crate::counts::QUARANTINE_COLUMNS;
use crate::error::TableError;

/// One column of a table, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnSchema {
    /// Name of the table.
    pub table: &'static str,
    /// Name of the column.
    pub column: &'static str,
    /// Its type.
    pub kind: &'static str,
    /// Its unit or range, or `-`.
    pub unit: &'static str,
    /// When it is known: `always`, `logged` (null where it was not logged), `outcome` (null while pending).
    pub known: &'static str,
    /// What it holds.
    pub meaning: &'static str,
}

/// A canonical table.
pub struct TableEntry {
    /// Its name in commands.
    pub name: &'static str,
    /// Its place in a project.
    pub place: &'static str,
    /// What a row is.
    pub row: &'static str,
    columns: fn(&'static str) -> Vec<ColumnSchema>,
}

/// Every canonical table.
pub const TABLES: &[TableEntry] = &[
    TableEntry {
        name: "decisions",
        place: "data/decisions",
        row: "a routing decision with its outcome",
        columns: |table| describe(table, DECISION_COLUMNS),
    },
    TableEntry {
        name: "layers",
        place: "data/layers",
        row: "an attempted layer of a routing cascade",
        columns: |table| describe(table, LAYER_COLUMNS),
    },
    TableEntry {
        name: "assignments",
        place: "data/assignments",
        row: "a task that an A/B gateway put into a group",
        columns: |table| describe(table, ASSIGNMENT_COLUMNS),
    },
    TableEntry {
        name: "quarantine",
        place: "data/quarantine/counts.parquet",
        row: "a file and a reason for which records of it were rejected",
        columns: |table| describe(table, QUARANTINE_COLUMNS),
    },
];

/// Every canonical column in the order of the files; of one table, or of all. The log's further scalars follow in `decisions`, see
/// [`Decisions::extras`](crate::Decisions::extras).
///
/// # Errors
/// [`TableError::UnknownTable`], which lists the tables there are.
pub fn schema(table: Option<&str>) -> Result<Vec<ColumnSchema>, TableError> {
    let wanted: Vec<&TableEntry> = TABLES.iter().filter(|entry| table.is_none_or(|name| name == entry.name)).collect();
    match table {
        Some(name) if wanted.is_empty() => {
            let known: Vec<&str> = TABLES.iter().map(|entry| entry.name).collect();
            Err(TableError::UnknownTable { name: name.to_owned(), known: known.join(", ") })
        }
        _ => Ok(wanted.iter().flat_map(|entry| (entry.columns)(entry.name)).collect()),
    }
}

fn describe<T>(table: &'static str, columns: &'static [Column<T>]) -> Vec<ColumnSchema> {
    columns
        .iter()
        .map(|column| ColumnSchema {
            table,
            column: column.name,
            kind: column.access.type_name(),
            unit: column.unit,
            known: match column.known {
                Known::Always => "always",
                Known::Logged => "logged",
                Known::Outcome => "outcome",
            },
            meaning: column.meaning,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_meaning_and_every_table_its_columns() {
        let columns = schema(None).unwrap();
        assert!(columns.iter().all(|column| !column.meaning.is_empty() && !column.unit.is_empty()));
        let by_table: Vec<usize> = TABLES.iter().map(|entry| schema(Some(entry.name)).unwrap().len()).collect();
        assert_eq!(columns.len(), by_table.iter().sum::<usize>());
        assert!(by_table.iter().all(|n_columns| *n_columns > 3));
    }

    #[test]
    fn an_unknown_table_lists_the_known_ones() {
        let known = TABLES.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
        assert_eq!(schema(Some("rows")).unwrap_err().to_string(), format!("unknown table `rows`, there are {known}"));
    }

    /// `data/README.md` names every table and every column as the schemas do, and nothing else in its tables of columns.
    #[test]
    fn the_readme_of_the_data_says_what_the_schemas_say() {
        let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/README.md")).unwrap();
        for entry in TABLES {
            let heading = format!("## {}\n", entry.name);
            let (_, section) = readme.split_once(&heading).unwrap_or_else(|| panic!("no section `{heading}`"));
            let section = section.split("\n## ").next().unwrap();
            assert!(section.contains(entry.place) && section.contains(entry.row), "{} lacks its place or its row", entry.name);
            let said: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
            let expected: Vec<String> = schema(Some(entry.name))
                .unwrap()
                .iter()
                .map(|column| format!("| {} | {} | {} | {} |", column.column, column.kind, column.unit, column.meaning))
                .collect();
            assert_eq!(said, expected, "{}", entry.name);
        }
    }
}
