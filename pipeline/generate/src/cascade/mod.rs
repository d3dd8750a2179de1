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
use serde::Serialize;

use crate::calendar::Calendar;
use crate::draw::uniform;
use crate::settings::{FIRST_DAY, SettingsError, check_extent, check_range};
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
    /// Share of events in which every layer but the user is asked, whoever settled it: shadow runs, in [0, 1].
    pub shadow: f64,
    /// Threshold of every layer, in the order they are asked, in [0, 1]; the last one asks the user whatever it says.
    pub thresholds: [f64; N_LAYERS],
}

/// Layers of the cascade.
pub const N_LAYERS: usize = layers::LAYERS.len();

/// A cascade's `config.json`.
#[derive(Serialize)]
struct Config {
    routing_layers: Vec<ConfigLayer>,
    masters: [&'static str; MASTERS.len()],
}

/// A layer in it.
#[derive(Serialize)]
struct ConfigLayer {
    layer_id: usize,
    layer_name: &'static str,
    latency_target_ms: f64,
    confidence_threshold: f64,
    enabled: bool,
}

impl Default for CascadeSettings {
    fn default() -> Self {
        Self {
            n_decisions: 2_000,
            n_days: 7,
            first_day: FIRST_DAY,
            shadow: 0.0,
            thresholds: layers::LAYERS.each_ref().map(|layer| layer.threshold),
        }
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
        check_range("shadow", settings.shadow, 0.0, 1.0)?;
        settings.thresholds.iter().try_for_each(|&threshold| check_range("thresholds", threshold, 0.0, 1.0))?;
        let calendar = Calendar::new(settings.n_decisions, settings.n_days, settings.first_day);
        Ok(Self { settings: *settings, seed, calendar, truth: truth::truth(&settings.thresholds) })
    }

    /// The settings it was made of.
    pub fn settings(&self) -> &CascadeSettings {
        &self.settings
    }

    /// The values of the logged thresholds and of the best ones.
    pub fn truth(&self) -> &CascadeTruth {
        &self.truth
    }

    /// Expected value of an event with other thresholds, in units of a right answer; see [`CascadeTruth`].
    pub fn value(&self, thresholds: &[f64; N_LAYERS]) -> f64 {
        truth::value(thresholds)
    }

    /// Name of the cascade's own configuration.
    pub const CONFIG_NAME: &'static str = "config.json";

    /// The cascade's own configuration: its layers with the thresholds that the log shows.
    ///
    /// # Errors
    /// Never, in effect: what serialising returns.
    pub fn config(&self) -> serde_json::Result<String> {
        let layer = |(row, layer): (usize, &layers::Layer)| ConfigLayer {
            layer_id: row + 1,
            layer_name: layer.name,
            latency_target_ms: layer.latency_ms,
            confidence_threshold: self.settings.thresholds[row],
            enabled: true,
        };
        let config = Config { routing_layers: layers::LAYERS.iter().enumerate().map(layer).collect(), masters: MASTERS };
        Ok(serde_json::to_string_pretty(&config)? + "\n")
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
            let drawn = event::draw(index, moment.timestamp, self.settings.thresholds, &mut rng);
            let is_shadowed = uniform(&mut self.rng("cascade shadow", index)) < self.settings.shadow;
            event::write_line(&drawn, is_shadowed, &mut self.rng("cascade details", index), &mut written.log)?;
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
