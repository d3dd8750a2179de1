//! The state of the system over time: mode, recent errors, model load.

use routewright_domain::{Rng, Seed, Timestamp};
use serde::Serialize;

use crate::calendar::{Moment, load};
use crate::draw::{normal, position, rounded, uniform};

/// Slots of a day: one per ten minutes.
const SLOTS: usize = 144;

/// How the system is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    /// All is well.
    Normal,
    /// Something is being looked at.
    Alert,
    /// Parts are failing.
    Degraded,
}

/// What the router knows about the system when it decides; the values are logged as they act.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Context {
    /// Mode of the system.
    pub system_mode: Mode,
    /// Share of recent requests that failed, in [0, 1], to three decimals.
    pub recent_error_rate: f64,
    /// Share of the model memory in use, in [0, 1], to three decimals.
    pub vram_usage: f64,
}

/// One slot of ten minutes.
#[derive(Clone, Copy, Debug)]
struct Slot {
    mode: Mode,
    error_rate: f64,
    vram_wander: f64,
}

/// The state of the system over all days of a world.
#[derive(Clone, Debug)]
pub(crate) struct ContextTable(Vec<Slot>);

impl ContextTable {
    /// Draws episodes and wandering levels for every slot of every day. Each day has two episodes of each kind, so that days are alike.
    pub fn new(n_days: u32, seed: Seed) -> Self {
        let (mut error_wander, mut vram_wander) = (0.0, 0.0);
        let mut slots = Vec::with_capacity(n_days as usize * SLOTS);
        for day in 0..n_days {
            let mut rng = seed.derive("context", u64::from(day)).rng();
            let modes = modes(&mut rng);
            for mode in modes {
                error_wander = 0.9 * error_wander + 0.004 * normal(&mut rng);
                vram_wander = 0.93 * vram_wander + 0.045 * normal(&mut rng);
                let base = match mode {
                    Mode::Normal => 0.03,
                    Mode::Alert => 0.07,
                    Mode::Degraded => 0.15,
                };
                slots.push(Slot { mode, error_rate: base + error_wander, vram_wander });
            }
        }
        Self(slots)
    }

    /// What the router sees at a moment, with the noise of one measurement.
    pub fn at(&self, moment: Moment, rng: &mut Rng) -> Context {
        let hour = moment.timestamp.hour_of_day();
        let slot = self.0[moment.day as usize * SLOTS + slot_of(moment.timestamp)];
        let vram = 0.50 + 0.24 * load(hour) + slot.vram_wander + 0.02 * normal(rng);
        Context {
            system_mode: slot.mode,
            recent_error_rate: rounded((slot.error_rate + 0.006 * normal(rng)).clamp(0.0, 1.0), 1000.0),
            vram_usage: rounded(vram.clamp(0.05, 0.99), 1000.0),
        }
    }
}

/// The slot of a time within its day.
fn slot_of(timestamp: Timestamp) -> usize {
    ((timestamp.hour_of_day() * 6.0) as usize).min(SLOTS - 1)
}

/// The modes of one day: two alerts of one to three hours, then two outages of one and a half to four hours over them.
fn modes(rng: &mut Rng) -> [Mode; SLOTS] {
    let mut modes = [Mode::Normal; SLOTS];
    for (mode, shortest, longest) in [(Mode::Alert, 6.0, 18.0), (Mode::Degraded, 9.0, 24.0)] {
        for half in 0..2 {
            let length = (shortest + (longest - shortest) * uniform(rng)) as usize;
            // Few requests come before six in the morning: episodes there would hardly be seen.
            let start = 36 + half * 54 + position(rng, 54 - length.min(53));
            modes[start..(start + length).min(SLOTS)].fill(mode);
        }
    }
    modes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Calendar;
    use jiff::civil::date;

    #[test]
    fn every_mode_is_seen_and_measures_stay_in_range() {
        let calendar = Calendar::new(5_000, 7, date(2026, 1, 1));
        let table = ContextTable::new(7, Seed(5));
        let mut rng = Seed(6).rng();
        let mut counts = [0; 3];
        for row in 0..5_000 {
            let context = table.at(calendar.moment(row, 0.0), &mut rng);
            counts[context.system_mode as usize] += 1;
            assert!((0.0..=1.0).contains(&context.recent_error_rate) && (0.0..=1.0).contains(&context.vram_usage));
        }
        assert!(counts.iter().all(|&count| count > 300), "{counts:?}");
        assert!(counts[0] > 2_500, "{counts:?}");
    }
}
