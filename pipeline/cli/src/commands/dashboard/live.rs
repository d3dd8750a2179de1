//! The live dashboard: follows the log, redraws what changed, gives the terminal back however it ends.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::disable_raw_mode;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Sparkline, SparklineBar, Table};
use ratatui::{DefaultTerminal, Frame};
use routewright_cascade::{Firing, LayerOverview, State};

use super::Picture;
use super::blocks::{LAYER_HEADER, accuracy_lines, alert_lines, group_lines, layer_cells, overview_lines, range, step_text};
use crate::exit::{Exit, UsageError};
use crate::layout::grouped;
use crate::operations::{Feed, WindowArguments, hours_text, millis, moment, now, percent};
use crate::project::ProjectArguments;

/// How often the log is looked at: new lines show within a second.
const LOOK: Duration = Duration::from_millis(250);

/// How often numbers are added up again without new lines: windows move.
const MOVE: Duration = Duration::from_secs(5);

/// Shortest time between two pictures, whatever happens: a slow terminal falls behind no further.
const PICTURE: Duration = Duration::from_millis(100);

/// How long after a signal a terminal that takes no more text, or is gone, may hold up the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Windows that `w` goes through, in hours.
const WINDOWS: [f64; 6] = [1.0, 6.0, 24.0, 168.0, 720.0, 8_760.0];

/// Narrowest and lowest screen that shows more than a sentence.
const SMALLEST: (u16, u16) = (50, 12);

/// Lines of the trends, at least.
const TRENDS: usize = 6;

/// What the user chose.
struct View {
    hours: f64,
    layer: usize,
    sort: usize,
}

/// Follows the log until the user has seen enough.
pub(super) fn run(mut feed: Feed, window: &WindowArguments, project: &ProjectArguments, firing: &Firing) -> anyhow::Result<Exit> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(UsageError("`--live` needs a terminal; without it `dashboard` prints once".to_owned()).into());
    }
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&ended)).context("cannot catch signals")?;
    }
    end_anyway(Arc::clone(&ended));
    // Restores the terminal on a panic, too.
    let mut terminal = ratatui::try_init().context("cannot use this terminal")?;
    let widen = |feed: &mut Feed, hours: f64| feed.widen(hours, &window.input, project);
    let result = follow(&mut terminal, &mut feed, View { hours: window.hours, layer: 0, sort: 0 }, firing, &ended, &widen);
    ratatui::restore();
    result.map(|()| Exit::Done)
}

/// Ends the program some time after a signal, whatever it waits for then: a terminal that was closed is read from forever, and one that
/// nobody reads is written to forever.
fn end_anyway(ended: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK);
        }
        std::thread::sleep(PATIENCE);
        // Sets the terminal's modes and writes nothing; a terminal that is gone has none to set.
        drop(disable_raw_mode());
        std::process::exit(Exit::Done as i32);
    });
}

/// `widen`: reads what a longer window needs.
fn follow(
    terminal: &mut DefaultTerminal,
    feed: &mut Feed,
    mut view: View,
    firing: &Firing,
    ended: &AtomicBool,
    widen: &dyn Fn(&mut Feed, f64) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut picture = Picture::of(feed, view.hours, view.layer, firing);
    let (mut looked, mut added, mut drawn) = (Instant::now(), Instant::now(), None::<Instant>);
    let (mut is_old, mut trouble) = (true, None::<String>);
    while !ended.load(Ordering::Relaxed) {
        if is_old && drawn.is_none_or(|drawn| drawn.elapsed() >= PICTURE) {
            terminal.draw(|frame| draw(frame, &picture, &view, trouble.as_deref()))?;
            (drawn, is_old) = (Some(Instant::now()), false);
        }
        if event::poll(if is_old { PICTURE } else { LOOK })? {
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => {
                    let ctrl_c = key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
                    if ctrl_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                        return Ok(());
                    }
                    if view.press(key.code, picture.overview.layers.len()) {
                        trouble = widen(feed, view.hours).err().map(|error| format!("{error:#}"));
                        picture = Picture::of(feed, view.hours, view.layer, firing);
                        (is_old, added) = (true, Instant::now());
                    }
                }
                Event::Resize(..) => is_old = true,
                _ => {}
            }
        }
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            // A log that cannot be read for a moment (rotation, permissions) is said and tried again.
            let found = feed.read_new();
            let appended = found.as_ref().map_or(0, |found| found.n_decisions + found.n_rejected);
            let new_trouble = found.err().map(|error| format!("{error:#}"));
            if appended > 0 || new_trouble != trouble || added.elapsed() >= MOVE {
                trouble = new_trouble;
                picture = Picture::of(feed, view.hours, view.layer, firing);
                (is_old, added) = (true, Instant::now());
            }
        }
    }
    Ok(())
}

impl View {
    /// Takes a key; whether it changes the picture.
    fn press(&mut self, key: KeyCode, n_layers: usize) -> bool {
        let next = |hours: f64| WINDOWS.iter().copied().find(|window| *window > hours).unwrap_or(WINDOWS[0]);
        let before = |hours: f64| WINDOWS.iter().rev().copied().find(|window| *window < hours).unwrap_or(WINDOWS[WINDOWS.len() - 1]);
        match key {
            KeyCode::Char('w') => self.hours = next(self.hours),
            KeyCode::Char('W') => self.hours = before(self.hours),
            KeyCode::Char('l') | KeyCode::Down => self.layer = (self.layer + 1) % n_layers.max(1),
            KeyCode::Char('L') | KeyCode::Up => self.layer = (self.layer + n_layers.max(1) - 1) % n_layers.max(1),
            KeyCode::Char('s') => self.sort = (self.sort + 1) % SORTS.len(),
            _ => return false,
        }
        true
    }
}

/// A way to sort the layers: its name, and what they are sorted by, largest first.
type Sort = (&'static str, fn(&LayerOverview) -> f64);

/// Every way to sort the layers.
const SORTS: [Sort; 5] = [
    ("cascade", |layer| -(layer.place as f64)),
    ("attempts", |layer| layer.success.n as f64),
    ("success", |layer| layer.success.value.unwrap_or(-1.0)),
    ("latency", |layer| layer.latency.map_or(-1.0, |latency| latency.mean)),
    ("accuracy", |layer| layer.accuracy.value.unwrap_or(-1.0)),
];

fn draw(frame: &mut Frame<'_>, picture: &Picture, view: &View, trouble: Option<&str>) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let accuracy = percent(picture.overview.accuracy.value);
        let text = format!("{} routes, accuracy {accuracy}; enlarge the window, q quits", grouped(picture.overview.events as usize));
        frame.render_widget(Paragraph::new(text).wrap(ratatui::widgets::Wrap { trim: true }), area);
        return;
    }
    let overview = overview_lines(picture);
    let numbers = accuracy_lines(picture);
    let mut notes = alert_lines(&picture.alerts);
    notes.extend(picture.overview.groups.iter().flat_map(group_lines));
    let notes: Vec<String> = notes.iter().flat_map(|note| wrapped(note, usize::from(area.width))).collect();
    let table = picture.overview.layers.len() + 3;
    let areas = stacked(area, [2, overview.len() + 2, table, numbers.len() + 2, TRENDS, notes.len() + 2]);
    header(frame, areas[0], picture, trouble);
    block(frame, areas[1], "Routing Cascade Overview", overview);
    layers(frame, areas[2], picture, view);
    block(frame, areas[3], "Accuracy and Outcomes", numbers);
    trends(frame, areas[4], picture);
    alerts(frame, areas[5], picture, notes);
    let keys = " w/W window   l/L layer   s sort   q quit";
    frame.render_widget(Paragraph::new(Line::from(keys).dim()), areas[6]);
}

/// Blocks one below the other, with a line for the keys below them. What does not fit is left out: trends first, then alerts, and so on up;
/// trends take what is left over.
fn stacked(area: Rect, heights: [usize; 6]) -> [Rect; 7] {
    let mut left = usize::from(area.height).saturating_sub(1);
    let mut given = [0_usize; 6];
    for block in [0, 1, 2, 3, 5, 4] {
        let height = if block == 4 { left } else { heights[block].min(left) };
        given[block] = if height >= 3 || block == 0 { height } else { 0 };
        left -= given[block];
    }
    let mut rows: Vec<Constraint> = given.iter().map(|height| Constraint::Length(*height as u16)).collect();
    rows.push(Constraint::Length(1));
    Layout::vertical(rows).areas(area)
}

fn header(frame: &mut Frame<'_>, area: Rect, picture: &Picture, trouble: Option<&str>) {
    let title = Line::from(format!(
        " ROUTING PERFORMANCE DASHBOARD   window {}   updated {} UTC",
        hours_text(picture.head.window_hours),
        moment(now())
    ))
    .bold();
    let second = match (trouble, picture.window.ends_with_log) {
        (Some(trouble), _) => Line::from(format!(" {trouble}")).red(),
        (None, true) => {
            Line::from(format!(" no event is recent: the window ends with the last one, {} UTC", moment(picture.window.to))).yellow()
        }
        (None, false) => Line::from(format!(" {}", picture.head.origin)).dim(),
    };
    frame.render_widget(Paragraph::new(vec![title, second]), area);
}

fn block(frame: &mut Frame<'_>, area: Rect, title: &str, lines: Vec<String>) {
    let lines: Vec<Line<'_>> = lines.into_iter().map(Line::from).collect();
    frame.render_widget(Paragraph::new(lines).block(framed(title)), area);
}

fn framed(title: &str) -> Block<'_> {
    Block::new().borders(Borders::TOP).title(format!("━ {title} ").bold())
}

fn layers(frame: &mut Frame<'_>, area: Rect, picture: &Picture, view: &View) {
    let (name, by) = SORTS[view.sort];
    let mut order: Vec<&LayerOverview> = picture.overview.layers.iter().collect();
    order.sort_by(|one, other| by(other).total_cmp(&by(one)).then(one.place.cmp(&other.place)));
    let rows = order.iter().map(|layer| {
        let cells = layer_cells(layer).into_iter().enumerate();
        let aligned = cells.map(|(column, text)| Cell::from(if column == 0 { Line::from(text) } else { Line::from(text).right_aligned() }));
        let style = if layer.place == view.layer + 1 { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        Row::new(aligned).style(style)
    });
    let head = LAYER_HEADER.iter().enumerate();
    let head = head.map(|(column, text)| Cell::from(if column == 0 { Line::from(*text) } else { Line::from(*text).right_aligned() }));
    let widths = [16, 9, 8, 8, 11, 8, 8, 12].map(Constraint::Length);
    let title = format!("Layer Performance, by {name}");
    frame.render_widget(Table::new(rows, widths).header(Row::new(head).bold()).block(framed(&title)), area);
}

/// A number that is followed: its name, its values, and how one is written.
type Followed<'a> = (String, &'a [Option<f64>], &'a dyn Fn(f64) -> String);

fn trends(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    if area.height < 3 {
        return;
    }
    let trend = &picture.trend;
    let events: Vec<Option<f64>> = trend.events.iter().map(|&events| Some(events as f64)).collect();
    let layer = picture.overview.layers.get(picture.layer).map_or("", |layer| layer.layer.as_str());
    let routes = |value: f64| format!("{value:.0}");
    let all: [Followed<'_>; 4] = [
        ("routes".to_owned(), &events, &routes),
        ("accuracy".to_owned(), &trend.accuracy, &|value| percent(Some(value))),
        ("latency".to_owned(), &trend.latency_ms, &|value| millis(Some(value))),
        (format!("by {layer}"), &trend.captured, &|value| percent(Some(value))),
    ];
    let title = format!("Trends, steps of {}", step_text(trend));
    let frame_of_all = framed(&title);
    let inner = frame_of_all.inner(area);
    frame.render_widget(frame_of_all, area);
    // Two by two where there is room for it: then every step fits on a wide screen.
    let n_rows = if inner.height >= 6 { 2 } else { 1 };
    let rows = Layout::vertical(vec![Constraint::Fill(1); n_rows]).split(inner);
    let columns = vec![Constraint::Fill(1); all.len() / n_rows];
    let places: Vec<Rect> = rows.iter().flat_map(|row| Layout::horizontal(columns.clone()).spacing(2).split(*row).to_vec()).collect();
    for (area, (name, values, shown)) in places.into_iter().zip(all) {
        let values = &values[values.len() - values.len().min(usize::from(area.width))..];
        let known = || values.iter().flatten().copied();
        let (low, high) = (known().fold(f64::MAX, f64::min), known().fold(f64::MIN, f64::max));
        // The lowest value keeps an eighth of the height, so that it differs from nothing at all.
        let height = |value: f64| if high > low { 10 + ((value - low) / (high - low) * 70.0) as u64 } else { 40 };
        let bars = values.iter().map(|value| SparklineBar::from(value.map(height)));
        let title = format!("{name} {}", range(values, shown));
        frame.render_widget(Sparkline::default().max(80).data(bars).block(Block::new().title(title)), area);
    }
}

/// A line in pieces that fit a width, broken between words; later pieces are indented.
fn wrapped(line: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for word in line.split_inclusive(' ') {
        let current = pieces.last().map_or(0, |piece| piece.chars().count());
        if current > 0 && current + word.trim_end().chars().count() > width {
            pieces.push("        ".to_owned());
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push_str(word);
        }
    }
    pieces
}

fn alerts(frame: &mut Frame<'_>, area: Rect, picture: &Picture, lines: Vec<String>) {
    let fires = picture.alerts.iter().any(|alert| alert.state == State::Firing);
    let lines: Vec<Line<'_>> =
        lines.into_iter().map(|line| if line.starts_with("FIRING") { Line::from(line).red() } else { Line::from(line) }).collect();
    let title = if fires { "Alerts: FIRING" } else { "Alerts" };
    frame.render_widget(Paragraph::new(lines).block(framed(title)), area);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out_from_the_trends_up() {
        let heights = [2, 8, 8, 6, 6, 4];
        let of = |height: u16| stacked(Rect::new(0, 0, 80, height), heights).map(|area| area.height);
        assert_eq!(of(40), [2, 8, 8, 6, 11, 4, 1]);
        assert_eq!(of(31), [2, 8, 8, 6, 0, 4, 1]);
        assert_eq!(of(24), [2, 8, 8, 5, 0, 0, 1]);
        assert_eq!(of(12), [2, 8, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn long_lines_are_broken_between_words() {
        assert_eq!(wrapped("one two three", 20), ["one two three"]);
        assert_eq!(wrapped("FIRING  latency is high", 16), ["FIRING  latency ", "        is high"]);
    }

    #[test]
    fn keys_go_round() {
        let mut view = View { hours: 24.0, layer: 0, sort: 0 };
        assert!(view.press(KeyCode::Char('w'), 3) && view.hours == 168.0);
        assert!(view.press(KeyCode::Char('W'), 3) && view.hours == 24.0);
        assert!(view.press(KeyCode::Char('L'), 3) && view.layer == 2);
        assert!(view.press(KeyCode::Char('l'), 3) && view.layer == 0);
        for _ in 0..SORTS.len() {
            assert!(view.press(KeyCode::Char('s'), 3));
        }
        assert_eq!(view.sort, 0);
        assert!(!view.press(KeyCode::Char('x'), 3));
        view.hours = 8_760.0;
        view.press(KeyCode::Char('w'), 0);
        assert_eq!((view.hours, view.press(KeyCode::Char('l'), 0)), (1.0, true));
    }
}
