//! What people see: results on stdout, words and progress on stderr. The only file that prints.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use routewright_engine::{Event, Observer};
use serde::Serialize;

use crate::ci::Ci;

/// How long a plain progress line keeps quiet between two messages of one stage.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Progress {
    /// Bars on a terminal, plain lines elsewhere.
    Auto,
    /// Bars.
    Bar,
    /// A line now and then.
    Plain,
    /// Nothing.
    None,
}

/// Whether words are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where words and results go, and how.
pub(crate) struct Messages {
    progress: Progress,
    ci: Ci,
    quiet: bool,
    json: bool,
    color: bool,
    bars: Mutex<Bars>,
}

/// What is moving on the screen.
#[derive(Default)]
struct Bars {
    bar: Option<ProgressBar>,
    last: BTreeMap<&'static str, Instant>,
}

impl Messages {
    /// Decides how to speak from what the user asked for and where the words go.
    pub(crate) fn new(progress: Progress, color: Color, ci: Ci, quiet: bool, json: bool) -> Self {
        let terminal = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let progress = match progress {
            Progress::Auto if terminal => Progress::Bar,
            Progress::Auto => Progress::Plain,
            chosen => chosen,
        };
        let color = match color {
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            Color::Always => true,
            Color::Never => false,
        };
        Self { progress, ci, quiet, json, color, bars: Mutex::default() }
    }

    /// Whether results are to be JSON.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Writes a result: the text for people, or one JSON document.
    pub(crate) fn result(&self, text: &str, document: &impl Serialize) -> anyhow::Result<()> {
        if self.json {
            let mut line = serde_json::to_string_pretty(document)?;
            line.push('\n');
            return write_out(line.as_bytes());
        }
        write_out(text.as_bytes())
    }

    /// Writes bytes to stdout as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> anyhow::Result<()> {
        write_out(bytes)
    }

    /// Says a line to people, unless they asked for quiet.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            self.line(text);
        }
    }

    /// Writes a line that the CI acts upon, whatever was asked for.
    pub(crate) fn command(&self, line: &str) {
        self.line(line);
    }

    /// Begins a part of the log that the CI folds.
    fn begin_fold(&self, stage: &str) {
        match self.ci {
            Ci::Github => self.line(&format!("::group::{stage}")),
            Ci::Gitlab => self.line(&format!("\x1b[0Ksection_start:{}:{stage}\r\x1b[0K{stage}", unix_seconds())),
            Ci::None => {}
        }
    }

    /// Ends it.
    fn end_fold(&self, stage: &str) {
        match self.ci {
            Ci::Github => self.line("::endgroup::"),
            Ci::Gitlab => self.line(&format!("\x1b[0Ksection_end:{}:{stage}\r\x1b[0K", unix_seconds())),
            Ci::None => {}
        }
    }

    /// Says what went wrong, with its causes, whatever was asked for.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let mut text = format!("{}: {error}", self.paint("31", "error"));
        for cause in error.chain().skip(1) {
            text.push_str(&format!("\n  because: {cause}"));
        }
        self.line(&text);
    }

    /// Text in a colour, where colours are wanted.
    pub(crate) fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A line on stderr, above a bar where there is one.
    fn line(&self, text: &str) {
        let bars = self.bars.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &bars.bar {
            Some(bar) => bar.suspend(|| write_err(text)),
            None => write_err(text),
        }
    }

    /// Shows how far a stage is.
    fn advance(&self, stage: &'static str, what: &str, done: u64, total: u64) {
        let mut bars = self.bars.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match self.progress {
            Progress::Bar => {
                let bar = bars.bar.get_or_insert_with(|| {
                    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                    let style = ProgressStyle::with_template("{prefix:10} {bar:30} {percent:>3} % {wide_msg}");
                    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                    bar
                });
                bar.set_prefix(stage);
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(what.to_owned());
            }
            Progress::Plain => {
                let last = bars.last.entry(stage).or_insert_with(Instant::now);
                if last.elapsed() >= PLAIN_INTERVAL {
                    *last = Instant::now();
                    let share = (100 * done).checked_div(total).unwrap_or_default();
                    write_err(&format!("{stage:10} {share} % {what}"));
                }
            }
            Progress::None | Progress::Auto => {}
        }
    }

    /// Takes a stage's bar off the screen.
    fn clear_bar(&self) {
        let mut bars = self.bars.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(bar) = bars.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Messages {
    fn event(&self, event: Event<'_>) {
        if self.quiet {
            return;
        }
        match event {
            Event::Fresh { stage } => self.line(&format!("{stage:10} {}", self.paint("2", "fresh"))),
            Event::Started { stage, reason } => {
                self.begin_fold(stage);
                self.line(&format!("{stage:10} runs: {reason}"));
            }
            Event::Advanced { stage, what, done, total } => self.advance(stage, what, done, total),
            Event::Noted { stage, text } => self.line(&format!("{stage:10} {text}")),
            Event::Finished { stage, seconds, peak_bytes } => {
                self.clear_bar();
                let memory = peak_bytes.map(|bytes| format!(", peak memory {} MiB", bytes >> 20)).unwrap_or_default();
                self.line(&format!("{stage:10} {} in {seconds:.1} s{memory}", self.paint("32", "done")));
                self.end_fold(stage);
            }
            Event::Failed { stage } => {
                self.clear_bar();
                self.line(&format!("{stage:10} {}", self.paint("31", "failed")));
                self.end_fold(stage);
            }
        }
    }
}

/// Seconds since 1970, as GitLab wants them.
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Writes to stdout; a reader that has gone away (`| head`) is no error.
fn write_out(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// Writes a line to stderr; there is nowhere to complain when that fails.
fn write_err(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
