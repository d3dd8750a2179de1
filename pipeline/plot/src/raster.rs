//! A scene as PNG: plotters draws shapes at [`OVERSAMPLING`] times the size, letters come as glyph coverage, then pixels are averaged.

use crate::figure::PlotError;
use crate::palette::Ink;
use crate::scene::{DASH, Dash, Direction, Label, Point, Scene, Shape};
use crate::text::{self, MIDDLE_TO_BASELINE, Weight};
use ab_glyph::{Font, GlyphId, point};
use plotters::prelude::{BitMapBackend, Color, DrawingBackend, RGBAColor};
use std::collections::BTreeMap;
use std::fmt::Display;

/// Drawn pixels per pixel of the picture, along each side: plotters' own edges of thick lines are ragged at 1.
const OVERSAMPLING: usize = 3;
/// The same for pictures of more than [`LARGE`] pixels, where time and memory count.
const OVERSAMPLING_LARGE: usize = 2;
/// Pixels of a large picture: about that of a chart with 60 rows.
const LARGE: u64 = 1_200_000;

/// The most pixels a picture may have: about 15 MB per million while it is drawn.
pub(crate) const MOST_PIXELS: u64 = 16_000_000;

/// Coverage of one glyph: offset of its upper left corner from its origin, width, and one value per pixel.
struct Stamp {
    left: i32,
    top: i32,
    width: usize,
    coverage: Vec<f32>,
}

/// What is drawn on, how much finer it is than the picture, and the letters outlined so far, by weight, bits of the size, and glyph.
struct Canvas<'a> {
    backend: BitMapBackend<'a>,
    fineness: f64,
    stamps: BTreeMap<(Weight, u32, GlyphId), Option<Stamp>>,
}

/// Draws a scene and encodes it.
pub(crate) fn png(scene: &Scene) -> Result<Vec<u8>, PlotError> {
    let (width, height) = (scene.width.ceil() as u32, scene.height.ceil() as u32);
    let n_pixels = u64::from(width) * u64::from(height);
    if MOST_PIXELS < n_pixels || n_pixels == 0 {
        return Err(PlotError::TooLarge { width, height, most: MOST_PIXELS });
    }
    let fineness = if LARGE < n_pixels { OVERSAMPLING_LARGE } else { OVERSAMPLING };
    let (fine_width, fine_height) = (width as usize * fineness, height as usize * fineness);
    let mut fine = vec![255_u8; fine_width * fine_height * 3];
    let backend = BitMapBackend::with_buffer(&mut fine, (fine_width as u32, fine_height as u32));
    let mut canvas = Canvas { backend, fineness: fineness as f64, stamps: BTreeMap::new() };
    for mark in &scene.marks {
        draw(&mut canvas, &mark.shape)?;
    }
    drop(canvas);
    encode(&average(&fine, width as usize, fineness), width, height)
}

/// Averages squares of drawn pixels.
fn average(fine: &[u8], width: usize, fineness: usize) -> Vec<u8> {
    let square = (fineness * fineness) as u16;
    let mut picture = Vec::with_capacity(fine.len() / (fineness * fineness));
    let mut sums = vec![0_u16; width * 3];
    for rows in fine.chunks_exact(width * fineness * 3 * fineness) {
        sums.fill(square / 2);
        for row in rows.chunks_exact(width * fineness * 3) {
            for (sum, pixels) in sums.chunks_exact_mut(3).zip(row.chunks_exact(fineness * 3)) {
                for pixel in pixels.chunks_exact(3) {
                    sum[0] += u16::from(pixel[0]);
                    sum[1] += u16::from(pixel[1]);
                    sum[2] += u16::from(pixel[2]);
                }
            }
        }
        picture.extend(sums.iter().map(|sum| (sum / square) as u8));
    }
    picture
}

fn encode(picture: &[u8], width: u32, height: u32) -> Result<Vec<u8>, PlotError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Default);
    // Flat areas and sharp edges: filters for photographs make these files larger and slower to write.
    encoder.set_filter(png::FilterType::NoFilter);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(picture)?;
    writer.finish()?;
    Ok(bytes)
}

impl Canvas<'_> {
    fn fine(&self, (x, y): Point) -> (i32, i32) {
        let scaled = |value: f64| (value * self.fineness).round().clamp(-1e6, 1e6) as i32;
        (scaled(x), scaled(y))
    }
}

fn draw(canvas: &mut Canvas<'_>, shape: &Shape) -> Result<(), PlotError> {
    match shape {
        Shape::Rect { x, y, width, height, ink } => {
            let (from, to) = (canvas.fine((*x, *y)), canvas.fine((x + width, y + height)));
            canvas.backend.draw_rect(from, (to.0.max(from.0 + 1), to.1.max(from.1 + 1)), &color(*ink), true).map_err(refused)
        }
        Shape::Polygon { points, ink } => {
            canvas.backend.fill_polygon(points.iter().map(|point| canvas.fine(*point)).collect::<Vec<_>>(), &color(*ink)).map_err(refused)
        }
        Shape::Disc { centre, radius, ink } => {
            canvas.backend.draw_circle(canvas.fine(*centre), (radius * canvas.fineness).round() as u32, &color(*ink), true).map_err(refused)
        }
        Shape::Stroke { points, width, dash: Dash::Solid, ink } => stroke(canvas, points, *width, *ink),
        Shape::Stroke { points, width, dash: Dash::Dashed, ink } => {
            dashes(points).iter().try_for_each(|piece| stroke(canvas, piece, *width, *ink))
        }
        Shape::Text(label) => letters(canvas, label),
    }
}

/// A thick line: one rectangle per piece, and a disc at every bend.
fn stroke(canvas: &mut Canvas<'_>, points: &[Point], width: f64, ink: Ink) -> Result<(), PlotError> {
    let half = width / 2.0;
    for pair in points.windows(2) {
        let ((ax, ay), (bx, by)) = (pair[0], pair[1]);
        let length = (bx - ax).hypot(by - ay);
        if length < 1e-9 {
            continue;
        }
        if ax == bx || ay == by {
            let (from, to) = (canvas.fine((ax.min(bx), ay.min(by))), canvas.fine((ax.max(bx), ay.max(by))));
            let thickness = ((width * canvas.fineness).round() as i32).max(1);
            let (across, along) = (thickness / 2, i32::from(points.len() > 2) * thickness / 2);
            let (dx, dy) = if ax == bx { (across, along) } else { (along, across) };
            let grown = |n: i32| if n == across { thickness - across } else { n };
            canvas
                .backend
                .draw_rect((from.0 - dx, from.1 - dy), (to.0 + grown(dx), to.1 + grown(dy)), &color(ink), true)
                .map_err(refused)?;
            continue;
        }
        let (nx, ny) = (-(by - ay) / length * half, (bx - ax) / length * half);
        let corners = [(ax + nx, ay + ny), (bx + nx, by + ny), (bx - nx, by - ny), (ax - nx, ay - ny)];
        canvas.backend.fill_polygon(corners.map(|corner| canvas.fine(corner)), &color(ink)).map_err(refused)?;
    }
    let radius = (half * canvas.fineness).round() as u32;
    if 1 < radius && 2 < points.len() {
        for bend in &points[1..points.len() - 1] {
            canvas.backend.draw_circle(canvas.fine(*bend), radius, &color(ink), true).map_err(refused)?;
        }
    }
    Ok(())
}

/// Cuts a line into the pieces that a dashed line shows.
fn dashes(points: &[Point]) -> Vec<Vec<Point>> {
    let mut pieces = Vec::new();
    let (mut left, mut drawing) = (DASH.0, true);
    for pair in points.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let at = |distance: f64| (from.0 + (to.0 - from.0) * distance / length, from.1 + (to.1 - from.1) * distance / length);
        let mut done = 0.0;
        while done < length {
            let step = left.min(length - done);
            if drawing {
                pieces.push(vec![at(done), at(done + step)]);
            }
            done += step;
            left -= step;
            if left <= 1e-9 {
                drawing = !drawing;
                left = if drawing { DASH.0 } else { DASH.1 };
            }
        }
    }
    pieces
}

fn letters(canvas: &mut Canvas<'_>, label: &Label) -> Result<(), PlotError> {
    let font = text::font(label.weight).ok_or(PlotError::Font)?;
    let size = (label.size * canvas.fineness) as f32;
    let (placed, _) = text::glyphs(font, &label.text, size);
    let origin = canvas.fine(label.at);
    let along = (label.start() * canvas.fineness) as f32;
    let down = (label.size * MIDDLE_TO_BASELINE * canvas.fineness).round() as i32;
    for (glyph, offset) in placed {
        let stamp = canvas.stamps.entry((label.weight, size.to_bits(), glyph)).or_insert_with(|| stamp(font, glyph, size));
        let Some(stamp) = stamp else { continue };
        let start = (along + offset).round() as i32 + stamp.left;
        for (position, coverage) in stamp.coverage.iter().enumerate() {
            if *coverage <= 0.0 {
                continue;
            }
            let across = start + (position % stamp.width) as i32;
            let below = down + stamp.top + (position / stamp.width) as i32;
            let pixel = match label.direction {
                Direction::Across => (origin.0 + across, origin.1 + below),
                Direction::Up => (origin.0 + below, origin.1 - across),
            };
            let ink = label.ink.with_alpha(label.ink.alpha * f64::from(coverage.min(1.0)));
            canvas.backend.draw_pixel(pixel, color(ink).to_backend_color()).map_err(refused)?;
        }
    }
    Ok(())
}

/// Outlines a glyph at the origin; `None` for blanks.
fn stamp(font: &ab_glyph::FontRef<'static>, glyph: GlyphId, size: f32) -> Option<Stamp> {
    let outline = font.outline_glyph(glyph.with_scale_and_position(text::em_scale(font, size), point(0.0, 0.0)))?;
    let bounds = outline.px_bounds();
    let (width, height) = (bounds.width() as usize, bounds.height() as usize);
    let mut coverage = vec![0.0; width * height];
    outline.draw(|x, y, share| {
        if let Some(pixel) = coverage.get_mut(y as usize * width + x as usize) {
            *pixel = share;
        }
    });
    (0 < width).then_some(Stamp { left: bounds.min.x as i32, top: bounds.min.y as i32, width, coverage })
}

fn color(ink: Ink) -> RGBAColor {
    let (r, g, b) = ink.rgb;
    RGBAColor(r, g, b, ink.alpha)
}

fn refused(error: impl Display) -> PlotError {
    PlotError::Draw { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dashed_line_keeps_its_pattern_round_a_bend() {
        let pieces = dashes(&[(0.0, 0.0), (7.0, 0.0), (7.0, 5.0)]);
        assert_eq!(pieces, [vec![(0.0, 0.0), (5.0, 0.0)], vec![(7.0, 2.0), (7.0, 5.0)]]);
    }

    #[test]
    fn a_canvas_beyond_reason_is_refused() {
        let scene = Scene { title: String::new(), width: 100_000.0, height: 1_000.0, marks: Vec::new() };
        assert!(matches!(png(&scene), Err(PlotError::TooLarge { width: 100_000, .. })));
    }
}
