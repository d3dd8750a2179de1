//! A panel with two axes: frame, grid, tick labels that never touch each other, titles with units.

use crate::page::{MARGIN, NAME_SIZE, Page, SMALL_SIZE};
use crate::palette::{AXIS, GRID, MUTED, TEXT};
use crate::scale::{Scale, Tick};
use crate::scene::{Label, Point, Scene};
use crate::text;

/// Room that the turned title of a vertical axis takes.
const TITLE_ROOM: f64 = 24.0;
/// Free space between two tick labels of a horizontal axis.
const TICK_GAP: f64 = 10.0;

/// What an axis shows.
#[derive(Clone, Debug)]
pub(crate) struct Axis<'a> {
    /// With its unit.
    pub title: &'a str,
    /// The range.
    pub scale: Scale,
    /// Named places instead of round numbers.
    pub names: Option<Vec<Tick>>,
}

impl<'a> Axis<'a> {
    /// An axis of round numbers.
    pub(crate) fn new(title: &'a str, scale: Scale) -> Self {
        Self { title, scale, names: None }
    }
}

/// A rectangle with scales along its sides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panel {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
    pub x_scale: Scale,
    pub y_scale: Scale,
}

impl Panel {
    /// Where a number of the horizontal axis lies, in pixels.
    pub(crate) fn x(&self, value: f64) -> f64 {
        self.left + (self.right - self.left) * self.x_scale.share(value)
    }

    /// Where a number of the vertical axis lies, in pixels.
    pub(crate) fn y(&self, value: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * self.y_scale.share(value)
    }

    /// Where a pair of numbers lies.
    pub(crate) fn at(&self, x: f64, y: f64) -> Point {
        (self.x(x), self.y(y))
    }
}

/// The room that a vertical axis needs at the left of its panel.
pub(crate) fn room_for(axis: &Axis<'_>, height: f64) -> f64 {
    let ticks = y_ticks(axis, height);
    TITLE_ROOM + text::widest(ticks.iter().map(|tick| tick.text.as_str()), SMALL_SIZE).max(28.0) + 8.0
}

fn y_ticks(axis: &Axis<'_>, height: f64) -> Vec<Tick> {
    axis.scale.ticks(((height / 38.0) as usize).clamp(3, 10))
}

/// Draws an empty panel over the width of the page, and moves the page's end below it. `room`: pixels for the vertical axis, see [`room_for`].
pub(crate) fn panel(page: &mut Page, x: &Axis<'_>, y: &Axis<'_>, height: f64, room: f64) -> Panel {
    let (left, right, top) = (MARGIN + room, page.right() - 14.0, page.bottom + 4.0);
    let panel = Panel { left, right, top, bottom: top + height, x_scale: x.scale, y_scale: y.scale };
    for tick in y_ticks(y, height) {
        let at = panel.y(tick.value);
        page.scene.line((left, at), (right, at), 1.0, GRID);
        page.scene.label(Label::new(tick.text, (left - 8.0, at), SMALL_SIZE, MUTED).ending());
    }
    let ticks = fitting_ticks(x, |value| panel.x(value), (left, right));
    for tick in &ticks {
        page.scene.line((panel.x(tick.value), top), (panel.x(tick.value), panel.bottom), 1.0, GRID);
    }
    page.scene.outline((left, top), right - left, height, 1.0, AXIS);
    tick_labels(&mut page.scene, &ticks, |value| panel.x(value), panel.bottom + 13.0);
    let title = text::shorten(y.title, height, NAME_SIZE);
    page.scene.label(Label::new(title, (MARGIN + 7.0, top + height / 2.0), NAME_SIZE, TEXT).centred().upwards());
    page.bottom = panel.bottom + 24.0;
    x_title(page, x.title, (left, right));
    page.bottom += 8.0;
    panel
}

/// Writes the title of a horizontal axis below what is on the page.
pub(crate) fn x_title(page: &mut Page, title: &str, (left, right): (f64, f64)) {
    if title.is_empty() {
        return;
    }
    let title = text::shorten(title, right - left, NAME_SIZE);
    page.scene.label(Label::new(title, (left.midpoint(right), page.bottom + 8.0), NAME_SIZE, TEXT).centred());
    page.bottom += 18.0;
}

/// Writes tick labels centred below (or above) their places.
pub(crate) fn tick_labels(scene: &mut Scene, ticks: &[Tick], place: impl Fn(f64) -> f64, y: f64) {
    for tick in ticks {
        let text = text::shorten(&tick.text, 110.0, SMALL_SIZE);
        scene.label(Label::new(text, (place(tick.value), y), SMALL_SIZE, MUTED).centred());
    }
}

/// As many ticks as have room beside each other.
pub(crate) fn fitting_ticks(axis: &Axis<'_>, place: impl Fn(f64) -> f64, (left, right): (f64, f64)) -> Vec<Tick> {
    let fit = |ticks: &[Tick]| {
        ticks.windows(2).all(|pair| {
            let half = |tick: &Tick| text::regular_width(&tick.text, SMALL_SIZE).min(110.0) / 2.0;
            place(pair[0].value) + half(&pair[0]) + TICK_GAP <= place(pair[1].value) - half(&pair[1])
        })
    };
    if let Some(names) = &axis.names {
        let thinned = (1..=names.len()).map(|every| names.iter().step_by(every).cloned().collect::<Vec<_>>());
        return thinned.into_iter().find(|ticks| fit(ticks)).unwrap_or_default();
    }
    let most = (((right - left) / 70.0) as usize).clamp(3, 12);
    (2..=most).rev().map(|most| axis.scale.ticks(most)).find(|ticks| fit(ticks)).unwrap_or_default()
}
