//! The page around a figure, from top to bottom: title, subtitle, legend, whatever the figure is, notes.

use crate::palette::{AXIS, Ink, MUTED, STRIPE, TEXT, WHITE, ramp};
use crate::scene::{Dash, Label, Marker, Point, Scene};
use crate::text::{self, Weight};

/// Width of a page that does not depend on its content: fits the report's column at 100 %.
pub(crate) const WIDTH: f64 = 940.0;
/// Free space at every side.
pub(crate) const MARGIN: f64 = 20.0;
/// Size of names and legends.
pub(crate) const NAME_SIZE: f64 = 12.0;
/// Size of tick labels, numbers in columns and notes.
pub(crate) const SMALL_SIZE: f64 = 11.0;

const TITLE_SIZE: f64 = 16.0;
const SUBTITLE_SIZE: f64 = 12.5;
/// Names in a legend are shortened to this width.
const LEGEND_NAME: f64 = 330.0;
/// Width of the colour ramp in a legend.
const RAMP_WIDTH: f64 = 110.0;

/// A page that grows downwards.
#[derive(Debug)]
pub(crate) struct Page {
    /// What is on it so far.
    pub scene: Scene,
    /// Where the next block starts.
    pub bottom: f64,
}

/// What a legend entry shows beside its text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Symbol {
    Marker(Marker, Ink),
    Line(Dash, Ink),
    MarkedLine(Marker, Ink),
    Band(Ink),
    Hatch,
    Ramp,
}

/// A legend entry.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub symbol: Symbol,
    pub text: String,
}

impl Key {
    pub(crate) fn new(symbol: Symbol, text: impl Into<String>) -> Self {
        Self { symbol, text: text.into() }
    }
}

impl Page {
    /// A page with its title and subtitle.
    pub(crate) fn open(title: &str, subtitle: Option<&str>, width: f64) -> Self {
        let mut page = Self { scene: Scene::new(title, width), bottom: MARGIN };
        let room = page.right() - MARGIN;
        for line in text::wrap(title, room, TITLE_SIZE, Weight::Bold, 3) {
            page.scene.label(Label::new(line, (MARGIN, page.bottom + 8.0), TITLE_SIZE, TEXT).bold());
            page.bottom += 22.0;
        }
        for line in text::wrap(subtitle.unwrap_or_default(), room, SUBTITLE_SIZE, Weight::Regular, 4) {
            page.scene.label(Label::new(line, (MARGIN, page.bottom + 7.0), SUBTITLE_SIZE, MUTED));
            page.bottom += 18.0;
        }
        page.bottom += 8.0;
        page
    }

    /// A page that says why there is nothing to draw.
    pub(crate) fn without_data(title: &str, subtitle: Option<&str>, reason: &str) -> Scene {
        let mut page = Self::open(title, subtitle, WIDTH);
        let (height, room) = (180.0, page.right() - MARGIN);
        page.scene.rect((MARGIN, page.bottom), room, height, STRIPE);
        page.scene.outline((MARGIN, page.bottom), room, height, 1.0, AXIS);
        let middle = (page.scene.width / 2.0, page.bottom + height / 2.0);
        page.scene.label(Label::new("no data", (middle.0, middle.1 - 12.0), 16.0, TEXT).centred().bold());
        let reason = text::wrap(reason, room - 40.0, NAME_SIZE, Weight::Regular, 1).concat();
        page.scene.label(Label::new(reason, (middle.0, middle.1 + 14.0), NAME_SIZE, MUTED).centred());
        page.bottom += height;
        page.close()
    }

    /// Where the writing space ends at the right.
    pub(crate) fn right(&self) -> f64 {
        self.scene.width - MARGIN
    }

    /// Writes a legend, in as many lines as it needs.
    pub(crate) fn legend(&mut self, keys: &[Key]) {
        if keys.is_empty() {
            return;
        }
        let mut x = MARGIN;
        for key in keys {
            let symbol_width = if matches!(key.symbol, Symbol::Ramp) { RAMP_WIDTH } else { 24.0 };
            let name = text::shorten(&key.text, LEGEND_NAME, NAME_SIZE);
            let width = symbol_width + 6.0 + text::regular_width(&name, NAME_SIZE);
            if MARGIN < x && self.right() < x + width {
                x = MARGIN;
                self.bottom += 20.0;
            }
            let middle = self.bottom + 9.0;
            self.symbol(key.symbol, (x, middle), symbol_width);
            self.scene.label(Label::new(name, (x + symbol_width + 6.0, middle), NAME_SIZE, TEXT));
            self.scene.hover(key.text.clone());
            x += width + 20.0;
        }
        self.bottom += 28.0;
    }

    fn symbol(&mut self, symbol: Symbol, (x, y): Point, width: f64) {
        let (middle, end) = (x + width / 2.0, x + width);
        match symbol {
            Symbol::Marker(marker, ink) => self.scene.marker(marker, (middle, y), 5.0, ink),
            Symbol::Line(dash, ink) => self.scene.stroke(vec![(x, y), (end, y)], 2.0, dash, ink),
            Symbol::MarkedLine(marker, ink) => {
                self.scene.line((x, y), (end, y), 2.0, ink);
                self.scene.marker(marker, (middle, y), 3.6, ink);
            }
            Symbol::Band(ink) => self.scene.rect((x + 4.0, y - 6.0), width - 8.0, 12.0, ink),
            Symbol::Hatch => hatch(&mut self.scene, (x + 3.0, y - 7.0), (18.0, 14.0)),
            Symbol::Ramp => {
                let steps = 44;
                for step in 0..steps {
                    let left = x + width * f64::from(step) / f64::from(steps);
                    self.scene.rect((left, y - 7.0), width / f64::from(steps), 14.0, ramp(f64::from(step) / f64::from(steps - 1)));
                }
                self.scene.outline((x, y - 7.0), width, 14.0, 0.7, AXIS);
            }
        }
    }

    /// Writes a remark below what is on the page.
    pub(crate) fn note(&mut self, note: &str) {
        for line in text::wrap(note, self.right() - MARGIN, SMALL_SIZE, Weight::Regular, 3) {
            self.scene.label(Label::new(line, (MARGIN, self.bottom + 8.0), SMALL_SIZE, MUTED));
            self.bottom += 16.0;
        }
    }

    /// Ends the page here.
    pub(crate) fn close(mut self) -> Scene {
        self.scene.height = (self.bottom + MARGIN).ceil();
        self.scene
    }
}

/// Marks a cell as empty: a diagonal on white, which no value looks like.
pub(crate) fn hatch(scene: &mut Scene, (x, y): Point, (width, height): (f64, f64)) {
    scene.rect((x, y), width, height, WHITE);
    scene.outline((x, y), width, height, 0.7, AXIS);
    scene.line((x, y + height), (x + width, y), 0.7, AXIS);
}
