//! Generated events of a five-layer routing cascade, in the `cortex` format.

mod event;
mod layers;
mod tasks;
mod truth;

use std::io::{self, Write};
use std::ops::Range;

use jiff::civil::Date;
use rayon::prelude::*;
use routewright_domain::{Rng, Seed};

use crate::calendar::Calendar;
use crate::draw::uniform;
use crate::settings::{FIRST_DAY, SettingsError, check_extent};
use crate::write::{CHUNK, CHUNKS_IN_MEMORY, DayCounts, Written, split};

pub use tasks::MASTERS;
pub use truth::{CascadeTruth, LayerTruth};

/// The settings of a [`CascadeWorld`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CascadeSettings {
    /// Number of events over all days.
    pub n_decisions: u64,
    /// Number of days.
    pub n_days: u32,
    /// The first day.
    pub first_day: Date,
}

impl Default for CascadeSettings {
    fn default() -> Self {
        Self { n_decisions: 2_000, n_days: 28, first_day: FIRST_DAY }
    }
}

/// A generated cascade: every layer's answer is known for every event, asked or not.
#[derive(Clone, Debug)]
pub struct CascadeWorld {
    settings: CascadeSettings,
    seed: Seed,
    calendar: Calendar,
    truth: CascadeTruth,
}

impl CascadeWorld {
    /// Name of the log file; all days go into one.
    pub const FILE_NAME: &'static str = "performance.jsonl";

    /// Checks the settings and works out the best thresholds.
    ///
    /// # Errors
    /// [`SettingsError`] when a setting is out of range.
    pub fn new(settings: &CascadeSettings, seed: Seed) -> Result<Self, SettingsError> {
        check_extent(settings.n_decisions, settings.n_days, settings.first_day)?;
        let calendar = Calendar::new(settings.n_decisions, settings.n_days, settings.first_day);
        Ok(Self { settings: *settings, seed, calendar, truth: truth::truth() })
    }

    /// The settings it was made of.
    pub fn settings(&self) -> &CascadeSettings {
        &self.settings
    }

    /// The values of the logged thresholds and of the best ones.
    pub fn truth(&self) -> &CascadeTruth {
        &self.truth
    }

    /// The events of a day (from 0), as positions in the world; empty past the last day.
    pub fn rows_of_day(&self, day: u32) -> Range<u64> {
        self.calendar.rows(day)
    }

    /// Writes a day (from 0) as JSON lines in order of time, and every layer's answer where asked for. Cascade logs have no dirt.
    ///
    /// # Errors
    /// What the writers return.
    pub fn write_day<W: Write>(&self, day: u32, log: &mut W, mut oracle: Option<&mut W>) -> io::Result<DayCounts> {
        let mut counts = DayCounts::default();
        for block in split(self.rows_of_day(day), CHUNK * CHUNKS_IN_MEMORY) {
            let chunks: Vec<Range<u64>> = split(block, CHUNK).collect();
            let written: Vec<io::Result<Written>> = chunks.into_par_iter().map(|chunk| self.chunk(chunk)).collect();
            for chunk in written {
                let chunk = chunk?;
                log.write_all(&chunk.log)?;
                if let Some(oracle) = oracle.as_deref_mut() {
                    oracle.write_all(&chunk.oracle)?;
                }
                counts.add(&chunk.counts);
            }
        }
        Ok(counts)
    }

    /// Makes the events and the oracle's lines of one chunk.
    fn chunk(&self, rows: Range<u64>) -> io::Result<Written> {
        let mut written = Written::default();
        for index in rows {
            let mut rng = self.rng("cascade", index);
            let moment = self.calendar.moment(index, uniform(&mut rng));
            let drawn = event::draw(index, moment.timestamp, &mut rng);
            event::write_line(&drawn, &mut self.rng("cascade details", index), &mut written.log)?;
            event::write_oracle(&drawn, &mut written.oracle)?;
            written.log.push(b'\n');
            written.oracle.push(b'\n');
            written.counts.rows += 1;
        }
        written.counts.bytes = written.log.len() as u64;
        Ok(written)
    }

    /// The generator of one named part of an event.
    fn rng(&self, part: &str, index: u64) -> Rng {
        self.seed.derive(part, index).rng()
    }
}
