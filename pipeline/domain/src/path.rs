//! Execution paths: their names, and their positions in a fixed order.

use serde::{Deserialize, Serialize};

/// Position of a path in a [`Paths`] list, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Arm(pub u16);

impl Arm {
    /// The position as an index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The execution paths of a log: distinct names in alphabetical order, so that an [`Arm`] means the same everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Paths(Vec<String>);

/// A path name that the list does not hold.
#[derive(Debug, thiserror::Error)]
#[error("unknown path `{name}`, the log has {known}")]
pub struct UnknownPath {
    /// The name that was asked for.
    pub name: String,
    /// The names there are, comma separated.
    pub known: String,
}

impl Paths {
    /// Collects distinct names in alphabetical order; names past the 65,536th have no [`Arm`] and are left out.
    pub fn from_names<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        names.sort_unstable();
        names.dedup();
        names.truncate(usize::from(u16::MAX) + 1);
        Self(names)
    }

    /// Number of paths.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no path.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The position of a name.
    pub fn arm(&self, name: &str) -> Option<Arm> {
        let position = self.0.binary_search_by(|known| known.as_str().cmp(name)).ok()?;
        u16::try_from(position).ok().map(Arm)
    }

    /// The position of a name that a person typed.
    ///
    /// # Errors
    /// [`UnknownPath`], which lists the names there are.
    pub fn require(&self, name: &str) -> Result<Arm, UnknownPath> {
        self.arm(name).ok_or_else(|| UnknownPath { name: name.to_owned(), known: self.0.join(", ") })
    }

    /// The name at a position; empty for a position the list does not hold.
    pub fn name(&self, arm: Arm) -> &str {
        self.0.get(arm.index()).map_or("", String::as_str)
    }

    /// All names, in the order of their positions.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// All positions.
    pub fn arms(&self) -> impl ExactSizeIterator<Item = Arm> + use<> {
        (0..self.0.len()).map(|position| Arm(position as u16))
    }
}

impl From<Vec<String>> for Paths {
    fn from(names: Vec<String>) -> Self {
        Self::from_names(names)
    }
}

impl From<Paths> for Vec<String> {
    fn from(paths: Paths) -> Self {
        paths.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_distinct() {
        let paths = Paths::from_names(["b", "a", "b"]);
        assert_eq!(paths.names(), ["a", "b"]);
        assert_eq!(paths.arm("b"), Some(Arm(1)));
        assert_eq!(paths.arm("c"), None);
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = Paths::from_names(["a", "b"]).require("c").unwrap_err();
        assert_eq!(error.to_string(), "unknown path `c`, the log has a, b");
    }
}
