//! What is on a page before it becomes pixels or tags: shapes and labels at exact places, in pixels from the upper left corner.

use crate::palette::{Ink, WHITE};
use crate::text::{self, Weight};

/// A point: pixels to the right, pixels down.
pub(crate) type Point = (f64, f64);

/// Everything on one page, in drawing order.
#[derive(Debug)]
pub(crate) struct Scene {
    /// What the figure is called by a screen reader.
    pub title: String,
    /// Pixels.
    pub width: f64,
    /// Pixels.
    pub height: f64,
    /// What is drawn, from back to front.
    pub marks: Vec<Mark>,
}

/// A shape, and what it says on hover.
#[derive(Debug)]
pub(crate) struct Mark {
    pub shape: Shape,
    pub hover: Option<String>,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dash {
    Solid,
    Dashed,
}

/// Pixels drawn and left out of a dashed line.
pub(crate) const DASH: (f64, f64) = (5.0, 4.0);

/// The shapes there are.
#[derive(Debug)]
pub(crate) enum Shape {
    Rect { x: f64, y: f64, width: f64, height: f64, ink: Ink },
    Stroke { points: Vec<Point>, width: f64, dash: Dash, ink: Ink },
    Polygon { points: Vec<Point>, ink: Ink },
    Disc { centre: Point, radius: f64, ink: Ink },
    Text(Label),
}

/// Which part of a label lies at its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// Which way a label reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From left to right.
    Across,
    /// From bottom to top.
    Up,
}

/// A line of text; its point is on the middle of the capitals.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub text: String,
    pub at: Point,
    pub size: f64,
    pub weight: Weight,
    pub anchor: Anchor,
    pub direction: Direction,
    pub ink: Ink,
}

/// A rectangle by its sides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bounds {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Bounds {
    /// Whether two rectangles share some area.
    pub(crate) fn overlaps(&self, other: &Bounds) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    /// Whether a rectangle lies within this one.
    pub(crate) fn holds(&self, other: &Bounds) -> bool {
        self.left <= other.left && other.right <= self.right && self.top <= other.top && other.bottom <= self.bottom
    }
}

impl Label {
    /// A label with the weight, anchor and direction most labels have.
    pub(crate) fn new(text: impl Into<String>, at: Point, size: f64, ink: Ink) -> Self {
        let (weight, anchor, direction) = (Weight::Regular, Anchor::Start, Direction::Across);
        Self { text: text::clean(&text.into()), at, size, weight, anchor, direction, ink }
    }

    /// The same label, its middle at its point.
    pub(crate) fn centred(self) -> Self {
        Self { anchor: Anchor::Middle, ..self }
    }

    /// The same label, its end at its point.
    pub(crate) fn ending(self) -> Self {
        Self { anchor: Anchor::End, ..self }
    }

    /// The same label, reading upwards.
    pub(crate) fn upwards(self) -> Self {
        Self { direction: Direction::Up, ..self }
    }

    /// The same label in bold.
    pub(crate) fn bold(self) -> Self {
        Self { weight: Weight::Bold, ..self }
    }

    /// Its length along the line, in pixels.
    pub(crate) fn length(&self) -> f64 {
        text::width(&self.text, self.size, self.weight)
    }

    /// Where the text starts, as an offset along the line from its point.
    pub(crate) fn start(&self) -> f64 {
        match self.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => -self.length() / 2.0,
            Anchor::End => -self.length(),
        }
    }

    /// The box that its letters lie in.
    pub(crate) fn bounds(&self) -> Bounds {
        let (start, length) = (self.start(), self.length());
        let (above, below) = (text::ABOVE_MIDDLE * self.size, text::BELOW_MIDDLE * self.size);
        let (x, y) = self.at;
        match self.direction {
            Direction::Across => Bounds { left: x + start, top: y - above, right: x + start + length, bottom: y + below },
            Direction::Up => Bounds { left: x - above, top: y - start - length, right: x + below, bottom: y - start },
        }
    }
}

impl Scene {
    /// An empty page; its height is set when everything is on it.
    pub(crate) fn new(title: &str, width: f64) -> Self {
        Self { title: text::clean(title), width: width.ceil(), height: 0.0, marks: Vec::new() }
    }

    /// Puts a filled rectangle on the page.
    pub(crate) fn rect(&mut self, (x, y): Point, width: f64, height: f64, ink: Ink) {
        if all_drawable(&[(x, y), (width, height)]) {
            self.push(Shape::Rect { x, y, width, height, ink });
        }
    }

    /// Puts an open line on the page; width in pixels.
    pub(crate) fn stroke(&mut self, points: Vec<Point>, width: f64, dash: Dash, ink: Ink) {
        if 2 <= points.len() && all_drawable(&points) {
            self.push(Shape::Stroke { points, width, dash, ink });
        }
    }

    /// Puts a solid line between two points on the page.
    pub(crate) fn line(&mut self, from: Point, to: Point, width: f64, ink: Ink) {
        self.stroke(vec![from, to], width, Dash::Solid, ink);
    }

    /// Puts the outline of a rectangle on the page.
    pub(crate) fn outline(&mut self, (x, y): Point, width: f64, height: f64, line_width: f64, ink: Ink) {
        let (right, bottom) = (x + width, y + height);
        self.stroke(vec![(x, y), (right, y), (right, bottom), (x, bottom), (x, y)], line_width, Dash::Solid, ink);
    }

    /// Puts a filled polygon on the page.
    pub(crate) fn polygon(&mut self, points: Vec<Point>, ink: Ink) {
        if 3 <= points.len() && all_drawable(&points) {
            self.push(Shape::Polygon { points, ink });
        }
    }

    /// Puts a filled circle on the page.
    pub(crate) fn disc(&mut self, centre: Point, radius: f64, ink: Ink) {
        if all_drawable(&[centre, (radius, radius)]) {
            self.push(Shape::Disc { centre, radius, ink });
        }
    }

    /// Puts a marker on the page: its white rim keeps markers apart that lie on each other.
    pub(crate) fn marker(&mut self, marker: Marker, at: Point, radius: f64, ink: Ink) {
        for (radius, ink) in [(radius + 1.2, WHITE), (radius, ink)] {
            match marker {
                Marker::Disc => self.disc(at, radius, ink),
                Marker::Square => self.rect((at.0 - radius * 0.88, at.1 - radius * 0.88), radius * 1.76, radius * 1.76, ink),
                Marker::Diamond => self.polygon(around(at, radius * 1.25, &[(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)]), ink),
                Marker::Triangle => self.polygon(around(at, radius * 1.2, &[(0.0, -1.0), (0.95, 0.75), (-0.95, 0.75)]), ink),
            }
        }
    }

    /// Puts a label on the page.
    pub(crate) fn label(&mut self, label: Label) {
        if all_drawable(&[label.at]) && !label.text.is_empty() {
            self.push(Shape::Text(label));
        }
    }

    /// Says what the last mark shows on hover.
    pub(crate) fn hover(&mut self, text: impl Into<String>) {
        if let Some(mark) = self.marks.last_mut() {
            mark.hover = Some(text::clean(&text.into()));
        }
    }

    fn push(&mut self, shape: Shape) {
        self.marks.push(Mark { shape, hover: None });
    }
}

/// The markers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marker {
    Disc,
    Square,
    Diamond,
    Triangle,
}

/// Markers of series, in the order they are given out.
pub(crate) const MARKERS: [Marker; 4] = [Marker::Disc, Marker::Square, Marker::Diamond, Marker::Triangle];

fn around(at: Point, radius: f64, corners: &[Point]) -> Vec<Point> {
    corners.iter().map(|corner| (at.0 + corner.0 * radius, at.1 + corner.1 * radius)).collect()
}

/// Pixels from the corner beyond which nothing is drawn: far outside any page, and near enough that no loop along a line is long.
const FARTHEST: f64 = 1e5;

/// Whether a mark can be drawn: false for NaN too.
fn all_drawable(points: &[Point]) -> bool {
    points.iter().all(|point| point.0.abs() <= FARTHEST && point.1.abs() <= FARTHEST)
}
