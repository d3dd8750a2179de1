//! What stages read and write: types that know their one place.

use std::path::{Path, PathBuf};

/// Why an artifact could not be read or written; the chain of sources is shown to the user.
pub type ArtifactError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A type with one place in the project: a file, or a folder.
pub trait Artifact: Sized {
    /// Its place, relative to the project folder, with `/` as separator.
    const PATH: &'static str;

    /// Reads it from a place.
    ///
    /// # Errors
    /// Anything that keeps it from being read; the engine adds the place.
    fn read(place: &Path) -> Result<Self, ArtifactError>;

    /// Writes it to a place that does not exist yet; the engine renames it into [`Self::PATH`] afterwards.
    ///
    /// # Errors
    /// Anything that keeps it from being written; the engine adds the place.
    fn write(self, place: &Path) -> Result<(), ArtifactError>;
}

/// Several artifacts, as a tuple: a stage's inputs or outputs.
pub trait Artifacts: Sized {
    /// The places, in the order of the tuple.
    fn paths() -> Vec<&'static str>;

    /// Reads all of them; `place` turns a relative path into a real one.
    ///
    /// # Errors
    /// The relative path of the first that could not be read, and why.
    fn read_all(place: impl Fn(&'static str) -> PathBuf) -> Result<Self, (&'static str, ArtifactError)>;

    /// Writes all of them; `place` turns a relative path into one that does not exist yet.
    ///
    /// # Errors
    /// The relative path of the first that could not be written, and why.
    fn write_all(self, place: impl Fn(&'static str) -> PathBuf) -> Result<(), (&'static str, ArtifactError)>;
}

/// Implements [`Artifacts`] for one length of tuple: the language has no other way to say "for every length from one".
macro_rules! artifacts_of_tuple {
    ($($name:ident),*) => {
        impl<$($name: Artifact),*> Artifacts for ($($name,)*) {
            fn paths() -> Vec<&'static str> {
                vec![$($name::PATH),*]
            }

            fn read_all(place: impl Fn(&'static str) -> PathBuf) -> Result<Self, (&'static str, ArtifactError)> {
                Ok(($($name::read(&place($name::PATH)).map_err(|error| ($name::PATH, error))?,)*))
            }

            #[expect(non_snake_case, reason = "types name the fields")]
            fn write_all(self, place: impl Fn(&'static str) -> PathBuf) -> Result<(), (&'static str, ArtifactError)> {
                let ($($name,)*) = self;
                $($name.write(&place($name::PATH)).map_err(|error| ($name::PATH, error))?;)*
                Ok(())
            }
        }
    };
}

impl Artifacts for () {
    fn paths() -> Vec<&'static str> {
        Vec::new()
    }

    fn read_all(_: impl Fn(&'static str) -> PathBuf) -> Result<Self, (&'static str, ArtifactError)> {
        Ok(())
    }

    fn write_all(self, _: impl Fn(&'static str) -> PathBuf) -> Result<(), (&'static str, ArtifactError)> {
        Ok(())
    }
}

artifacts_of_tuple!(A);
artifacts_of_tuple!(A, B);
artifacts_of_tuple!(A, B, C);
artifacts_of_tuple!(A, B, C, D);
artifacts_of_tuple!(A, B, C, D, E);
artifacts_of_tuple!(A, B, C, D, E, F);
artifacts_of_tuple!(A, B, C, D, E, F, G);
artifacts_of_tuple!(A, B, C, D, E, F, G, H);
artifacts_of_tuple!(A, B, C, D, E, F, G, H, I);
