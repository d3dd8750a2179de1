//! What a run tells while it runs.

use crate::Reason;

/// Something that happened during a run.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A stage does not need to run.
    Fresh {
        /// The stage.
        stage: &'static str,
    },
    /// A stage starts.
    Started {
        /// The stage.
        stage: &'static str,
        /// Why it runs.
        reason: &'a Reason,
    },
    /// A stage got further.
    Advanced {
        /// The stage.
        stage: &'static str,
        /// What it is doing.
        what: &'a str,
        /// How much is done, in the stage's own unit.
        done: u64,
        /// How much there is.
        total: u64,
    },
    /// A stage says something that people should know.
    Noted {
        /// The stage.
        stage: &'static str,
        /// The words.
        text: &'a str,
    },
    /// A stage has ended well and its outputs are in place.
    Finished {
        /// The stage.
        stage: &'static str,
        /// Wall time.
        seconds: f64,
        /// Peak resident memory during the stage, in bytes, where the system tells.
        peak_bytes: Option<u64>,
    },
    /// A stage has failed; nothing of its outputs changed.
    Failed {
        /// The stage.
        stage: &'static str,
    },
}

/// Receives events; called from any thread.
pub trait Observer: Sync {
    /// Takes one event.
    fn event(&self, event: Event<'_>);
}

/// Hears nothing.
impl Observer for () {
    fn event(&self, _: Event<'_>) {}
}
