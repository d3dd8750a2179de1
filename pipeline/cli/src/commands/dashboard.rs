//! `dashboard`: a cascade at a glance, once or live.

mod blocks;
mod live;

use routewright_cascade::{AlertStatus, Firing, Overview, Trend, alerts, overview, trend};
use serde::Serialize;

use crate::commands::alerts::read_state;
use crate::exit::Exit;
use crate::messages::Messages;
use crate::operations::{Feed, Head, Window, WindowArguments, now};
use crate::project::ProjectArguments;

/// Steps of a trend.
const N_STEPS: usize = 48;

/// Flags of `dashboard`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    window: WindowArguments,
    /// Follow the log until `q` is pressed; new lines show within a second
    #[arg(long)]
    live: bool,
}

/// Everything on the screen.
#[derive(Debug, Serialize)]
pub(crate) struct Picture {
    #[serde(flatten)]
    head: Head,
    overview: Overview,
    trend: Trend,
    alerts: Vec<AlertStatus>,
    #[serde(skip)]
    window: Window,
    /// Position of the layer whose share the trend follows.
    #[serde(skip)]
    layer: usize,
}

impl Picture {
    /// Adds up a window. `layer`: whose share the trend follows.
    fn of(feed: &Feed, hours: f64, layer: usize, firing: &Firing) -> Self {
        let window = feed.window(hours);
        let scope = feed.scope(window);
        let overview = overview(&scope, feed.params.declared_split);
        Self {
            head: feed.head(window),
            trend: trend(&scope, window.from, window.to, N_STEPS, layer),
            alerts: alerts(&feed.params.alerts, &overview, hours, now(), firing),
            overview,
            window,
            layer,
        }
    }
}

/// Shows the dashboard.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    let feed = Feed::open(&arguments.window, 0.0, project)?;
    let firing = read_state(&project.project);
    if arguments.live {
        return live::run(feed, &arguments.window, project, &firing);
    }
    let picture = Picture::of(&feed, arguments.window.hours, 0, &firing);
    messages.result(&blocks::text(&picture), &picture)?;
    Ok(Exit::Done)
}
