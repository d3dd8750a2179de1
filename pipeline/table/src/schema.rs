//! What the columns of every table mean.

use serde::Serialize;

use crate::columns::{Column, DECISION_COLUMNS, Known, LAYER_COLUMNS};
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

/// Name of the table of decisions.
const DECISIONS: &str = "decisions";
/// Name of the table of layers.
const LAYERS: &str = "layers";

/// Every canonical column in the order of the files; of one table, or of all. The log's further scalars follow in `decisions`, see
/// [`Decisions::extras`](crate::Decisions::extras).
///
/// # Errors
/// [`TableError::UnknownTable`], which lists the tables there are.
pub fn schema(table: Option<&str>) -> Result<Vec<ColumnSchema>, TableError> {
    match table {
        None => Ok([describe(DECISIONS, DECISION_COLUMNS), describe(LAYERS, LAYER_COLUMNS)].concat()),
        Some(DECISIONS) => Ok(describe(DECISIONS, DECISION_COLUMNS)),
        Some(LAYERS) => Ok(describe(LAYERS, LAYER_COLUMNS)),
        Some(name) => Err(TableError::UnknownTable { name: name.to_owned(), known: format!("{DECISIONS}, {LAYERS}") }),
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
    fn every_column_has_a_meaning() {
        let columns = schema(None).unwrap();
        assert_eq!(columns.len(), DECISION_COLUMNS.len() + LAYER_COLUMNS.len());
        assert!(columns.iter().all(|column| !column.meaning.is_empty() && !column.unit.is_empty()));
    }

    #[test]
    fn an_unknown_table_lists_the_known_ones() {
        assert_eq!(schema(Some("rows")).unwrap_err().to_string(), "unknown table `rows`, there are decisions, layers");
    }
}
