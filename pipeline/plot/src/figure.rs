//! What every figure returns, what can go wrong, and the words that several figures share.

use crate::{raster, scene::Scene, vector};

/// One figure in both formats: the same drawing, byte for byte the same for the same input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// An RGB PNG at 1 pixel per unit of the SVG.
    pub png: Vec<u8>,
    /// A self-contained SVG; marks carry a `<title>` with their numbers, which browsers show on hover.
    pub svg: String,
}

/// Why a figure could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// Two slices of the input contradict each other.
    #[error("figure `{figure}`: `{field}` must hold {expected} values, found {found}")]
    Length {
        /// The figure's function.
        figure: &'static str,
        /// The field, or the name of the series, with the wrong length.
        field: String,
        /// The length that the other fields imply.
        expected: usize,
        /// Its length.
        found: usize,
    },
    /// The bundled font could not be read.
    #[error("the bundled font could not be read")]
    Font,
    /// The canvas would take more memory than a figure is worth.
    #[error("a canvas of {width} x {height} pixels is larger than {most} pixels")]
    TooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The most pixels a canvas may have.
        most: u64,
    },
    /// The drawing backend refused.
    #[error("cannot draw: {reason}")]
    Draw {
        /// What the backend said.
        reason: String,
    },
    /// The picture could not be encoded.
    #[error("cannot encode the picture as PNG")]
    Encode(#[from] png::EncodingError),
}

/// The part that a policy or a point plays; decides its colour and marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The router in production, the reference.
    Static,
    /// The router under test.
    Learned,
    /// Something to compare with: best single path, random, oracle.
    Control,
    /// A single execution path.
    Path,
}

/// Draws a scene in both formats.
pub(crate) fn render(scene: &Scene) -> Result<Figure, PlotError> {
    Ok(Figure { png: raster::png(scene)?, svg: vector::svg(scene) })
}

/// Checks the length of a slice against what the other fields imply.
pub(crate) fn require_length(figure: &'static str, field: &str, expected: usize, found: usize) -> Result<(), PlotError> {
    if expected == found {
        return Ok(());
    }
    Err(PlotError::Length { figure, field: field.to_owned(), expected, found })
}
