//! Charts with one row per name: names at the left, marks over a shared axis, numbers in columns at the right.

use crate::axes::{Axis, fitting_ticks, tick_labels, x_title};
use crate::figure::Role;
use crate::page::{Key, MARGIN, NAME_SIZE, Page, SMALL_SIZE, Symbol, WIDTH};
use crate::palette::{AXIS, GRID, Ink, MUTED, STRIPE, TEXT, VERMILLION, role_ink};
use crate::scale::{Scale, Tick, count, grouped, is_drawable, signed};
use crate::scene::{Bounds, Dash, Label, Marker, Scene};
use crate::text::{self, Weight};

/// The most rows a chart draws; it says how many it left out.
pub(crate) const MOST_ROWS: usize = 150;

/// Names are shortened to this width.
const NAME_ROOM: f64 = 250.0;
/// The page widens when names and columns leave less than this for the marks.
const LEAST_PANEL: f64 = 280.0;
/// Space between the end of a stripe and what is written on it.
const STRIPE_PADDING: f64 = 8.0;
/// Above this many rows, rows are lower and ticks stand above the rows too.
const MANY_ROWS: usize = 22;

/// An estimate with its interval: one row of a chart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IntervalRow<'a> {
    /// A policy, an estimator or a segment.
    pub name: &'a str,
    /// Decisions behind it, if that is worth saying.
    pub n: Option<u64>,
    /// The estimate; a row whose estimate is NaN is listed without a mark.
    pub value: f64,
    /// Lower end of the interval; NaN for none.
    pub low: f64,
    /// Upper end of the interval; NaN for none.
    pub high: f64,
    /// Decides colour and marker; the learned row stands out.
    pub role: Role,
}

/// A column of numbers beside the chart.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub head: String,
    pub cells: Vec<String>,
}

/// A vertical line through all rows, with its meaning above.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    pub value: f64,
    pub text: String,
    pub dash: Dash,
    pub ink: Ink,
}

/// A chart before its marks are drawn.
#[derive(Clone, Debug)]
pub(crate) struct RowsChart<'a> {
    pub names: Vec<&'a str>,
    /// The row that stands out.
    pub strong: Option<usize>,
    pub axis: Axis<'a>,
    pub columns: Vec<Column>,
    pub references: Vec<Reference>,
    /// Pixels per row for few rows and for many.
    pub row_height: (f64, f64),
}

/// Where the marks go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowsPanel {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub row_height: f64,
    pub scale: Scale,
}

impl RowsPanel {
    /// Where a number lies, in pixels.
    pub(crate) fn x(&self, value: f64) -> f64 {
        self.left + (self.right - self.left) * self.scale.share(value)
    }

    /// Where a number lies, cut to the panel.
    pub(crate) fn x_within(&self, value: f64) -> f64 {
        self.x(value).clamp(self.left, self.right)
    }

    /// The middle of a row, in pixels.
    pub(crate) fn middle(&self, row: usize) -> f64 {
        self.top + (row as f64 + 0.5) * self.row_height
    }
}

/// Draws names, columns, references and axis over the width of the page, and moves the page's end below them.
pub(crate) fn rows(page: &mut Page, chart: &RowsChart<'_>) -> RowsPanel {
    let n_rows = chart.names.len();
    let many = MANY_ROWS < n_rows;
    let row_height = if many { chart.row_height.1 } else { chart.row_height.0 };
    let bold = |row| if chart.strong == Some(row) { Weight::Bold } else { Weight::Regular };
    let names: Vec<String> = chart.names.iter().map(|name| text::shorten(name, NAME_ROOM, NAME_SIZE)).collect();
    let name_room = names.iter().enumerate().map(|(row, name)| text::width(name, NAME_SIZE, bold(row))).fold(40.0, f64::max);
    let widths: Vec<f64> = chart
        .columns
        .iter()
        .map(|column| text::widest(column.cells.iter().map(String::as_str).chain([column.head.as_str()]), SMALL_SIZE) + 16.0)
        .collect();

    let left = MARGIN + STRIPE_PADDING + name_room + 10.0;
    let right = page.right() - STRIPE_PADDING - widths.iter().sum::<f64>() - 8.0;
    let missing = (LEAST_PANEL - (right - left)).max(0.0).ceil();
    page.scene.width += missing;
    let right = right + missing;
    let lanes = lanes(chart, left, right);
    let n_lanes = lanes.iter().map(|lane| lane.lane + 1).max().unwrap_or(0).max(usize::from(!widths.is_empty()));
    let heads = page.bottom + n_lanes as f64 * 17.0 - 8.0;
    let top = page.bottom + n_lanes as f64 * 17.0 + if many { 18.0 } else { 4.0 };
    let panel = RowsPanel { left, right, top, row_height, scale: chart.axis.scale };
    let bottom = top + n_rows as f64 * row_height;

    for row in (0..n_rows).filter(|row| row % 2 == 0) {
        page.scene.rect((MARGIN, top + row as f64 * row_height), page.right() - MARGIN, row_height, STRIPE);
    }
    if let Some(row) = chart.strong {
        page.scene.rect((MARGIN, top + row as f64 * row_height), page.right() - MARGIN, row_height, VERMILLION.with_alpha(0.1));
    }
    let ticks = fitting_ticks(&chart.axis, |value| panel.x(value), (left, right));
    for tick in &ticks {
        page.scene.line((panel.x(tick.value), top), (panel.x(tick.value), bottom), 1.0, GRID);
    }
    page.scene.line((left, bottom), (right, bottom), 1.0, AXIS);
    if many {
        page.scene.line((left, top), (right, top), 1.0, AXIS);
        let crossed =
            |tick: &Tick| lanes.iter().any(|lane| (panel.x(chart.references[lane.reference].value) - panel.x(tick.value)).abs() < 22.0);
        let free: Vec<Tick> = ticks.iter().filter(|tick| !crossed(tick)).cloned().collect();
        tick_labels(&mut page.scene, &free, |value| panel.x(value), top - 10.0);
    }
    tick_labels(&mut page.scene, &ticks, |value| panel.x(value), bottom + 13.0);
    for lane in lanes {
        let reference = &chart.references[lane.reference];
        let (x, y) = (panel.x(reference.value), heads - lane.lane as f64 * 17.0);
        page.scene.stroke(vec![(x, heads + 9.0), (x, bottom)], 1.4, reference.dash, reference.ink);
        page.scene.hover(format!("{}: {}", reference.text, grouped(reference.value, 3)));
        page.scene.label(Label { at: (lane.middle, y), ..lane.label });
    }
    for (row, name) in names.iter().enumerate() {
        let label = Label::new(name.as_str(), (left - 10.0, panel.middle(row)), NAME_SIZE, TEXT).ending();
        page.scene.label(if chart.strong == Some(row) { label.bold() } else { label });
        page.scene.hover(chart.names[row]);
    }
    let mut end = right + 8.0;
    for (column, width) in chart.columns.iter().zip(&widths) {
        end += width;
        page.scene.label(Label::new(column.head.as_str(), (end, heads), SMALL_SIZE, MUTED).ending());
        for (row, cell) in column.cells.iter().enumerate() {
            page.scene.label(Label::new(cell.as_str(), (end, panel.middle(row)), SMALL_SIZE, TEXT).ending());
        }
    }
    page.bottom = bottom + 24.0;
    x_title(page, chart.axis.title, (left, right));
    page.bottom += 4.0;
    panel
}

/// A reference label in its lane; lane 0 is the lowest.
struct Lane {
    reference: usize,
    lane: usize,
    middle: f64,
    label: Label,
}

/// Stacks the labels of references so that they do not touch.
fn lanes(chart: &RowsChart<'_>, left: f64, right: f64) -> Vec<Lane> {
    let mut taken: Vec<(usize, Bounds)> = Vec::new();
    let mut lanes = Vec::new();
    for (reference, line) in chart.references.iter().enumerate().filter(|(_, line)| chart.axis.scale.holds(line.value)) {
        let label = Label::new(text::shorten(&line.text, right - left, SMALL_SIZE), (0.0, 0.0), SMALL_SIZE, line.ink).centred();
        let half = label.length() / 2.0;
        let place = left + (right - left) * chart.axis.scale.share(line.value);
        let middle = place.max(left + half).min(right - half);
        let bounds = Bounds { left: middle - half - 6.0, top: 0.0, right: middle + half + 6.0, bottom: 1.0 };
        let free = |lane: &usize| taken.iter().all(|(other, theirs)| other != lane || !theirs.overlaps(&bounds));
        let lane = (0..=taken.len()).find(free).unwrap_or(0);
        taken.push((lane, bounds));
        lanes.push(Lane { reference, lane, middle, label });
    }
    lanes
}

/// How the numbers of an interval chart are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    Plain,
    Signed,
}

/// What an interval chart needs beside its rows.
#[derive(Clone, Debug)]
pub(crate) struct IntervalChart<'a> {
    pub title: &'a str,
    pub subtitle: Option<&'a str>,
    pub axis_title: &'a str,
    /// What is called a row: `policy`, `estimator`, `segment`.
    pub what: &'a str,
    pub references: Vec<Reference>,
    pub writing: Writing,
    /// The numbers an axis need not go beyond.
    pub limits: (f64, f64),
    pub keys: Vec<Key>,
}

/// Draws a whole page of estimates with intervals.
pub(crate) fn interval_page(chart: IntervalChart<'_>, all: &[IntervalRow<'_>]) -> Scene {
    let shown = &all[..all.len().min(MOST_ROWS)];
    let numbers = shown.iter().flat_map(|row| [row.value, row.low, row.high]);
    let scale = Scale::linear(numbers.chain(chart.references.iter().map(|line| line.value)));
    let (Some(scale), true) = (scale, shown.iter().any(|row| is_drawable(row.value))) else {
        let reason = if all.is_empty() { format!("there is no {}", chart.what) } else { format!("no {} has an estimate", chart.what) };
        return Page::without_data(chart.title, chart.subtitle, &reason);
    };
    let write = |value: f64| match chart.writing {
        Writing::Plain => grouped(value, 1),
        Writing::Signed => signed(value, 1),
    };
    let interval = |row: &IntervalRow<'_>| {
        let known = row.low.is_finite() || row.high.is_finite();
        if known { format!("[{}, {}]", write(row.low), write(row.high)) } else { String::new() }
    };
    let mut columns = vec![
        Column { head: "estimate".to_owned(), cells: shown.iter().map(|row| write(row.value)).collect() },
        Column { head: "interval".to_owned(), cells: shown.iter().map(interval).collect() },
    ];
    if shown.iter().any(|row| row.n.is_some()) {
        columns.push(Column { head: "n".to_owned(), cells: shown.iter().map(|row| row.n.map_or_else(String::new, count)).collect() });
    }

    let mut page = Page::open(chart.title, chart.subtitle, WIDTH);
    page.legend(&chart.keys);
    let layout = RowsChart {
        names: shown.iter().map(|row| row.name).collect(),
        strong: shown.iter().position(|row| row.role == Role::Learned),
        axis: Axis::new(chart.axis_title, scale.within(chart.limits.0, chart.limits.1)),
        columns,
        references: chart.references,
        row_height: (28.0, 21.0),
    };
    let panel = rows(&mut page, &layout);
    for (position, row) in shown.iter().enumerate() {
        mark(&mut page.scene, &panel, panel.middle(position), row, &format!("{}: {} {}", row.name, write(row.value), interval(row)));
    }
    left_out(&mut page, all.len(), chart.what);
    page.close()
}

/// Says how many rows were left out.
pub(crate) fn left_out(page: &mut Page, n: usize, what: &str) {
    if MOST_ROWS < n {
        page.note(&format!("{} of {} rows ({what}) are drawn.", count(MOST_ROWS as u64), count(n as u64)));
    }
}

fn mark(scene: &mut Scene, panel: &RowsPanel, y: f64, row: &IntervalRow<'_>, hover: &str) {
    let ink = role_ink(row.role);
    if is_drawable(row.low) && is_drawable(row.high) {
        let (low, high) = (panel.x_within(row.low), panel.x_within(row.high));
        scene.line((low, y), (high, y), 2.4, ink);
        scene.hover(hover);
        for (end, value) in [(low, row.low), (high, row.high)] {
            if panel.scale.holds(value) {
                scene.line((end, y - 4.5), (end, y + 4.5), 1.6, ink);
            }
        }
    }
    if is_drawable(row.value) && panel.scale.holds(row.value) {
        scene.marker(role_marker(row.role), (panel.x(row.value), y), 5.0, ink);
        scene.hover(hover);
    }
}

/// The marker of a role: readable without colour.
pub(crate) fn role_marker(role: Role) -> Marker {
    match role {
        Role::Static => Marker::Diamond,
        Role::Learned => Marker::Disc,
        Role::Control => Marker::Square,
        Role::Path => Marker::Triangle,
    }
}

/// The legend entry of a role.
pub(crate) fn role_key(role: Role, text: &str) -> Key {
    Key::new(Symbol::Marker(role_marker(role), role_ink(role)), text)
}
