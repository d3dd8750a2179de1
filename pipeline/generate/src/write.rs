//! Writing a world as JSON lines, chunk by chunk, with its share of dirt.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;

use rayon::prelude::*;
use serde::Serialize;

use crate::dirt::{DIRT, Line};
use crate::draw::{uniform, weighted};
use crate::settings::Log;
use crate::world::World;
use crate::{oracle, record};

/// Decisions that one thread makes at a time: about 3 MB of text.
pub(crate) const CHUNK: u64 = 2_048;

/// Chunks in memory at a time, so that a day of any size needs the same memory.
pub(crate) const CHUNKS_IN_MEMORY: u64 = 16;

/// What a written day holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DayCounts {
    /// Decisions, each with one line in the oracle's file.
    pub rows: u64,
    /// Bytes of the log.
    pub bytes: u64,
    /// Dirty decisions by kind of dirt; kinds that did not occur are not listed.
    pub dirt: BTreeMap<&'static str, u64>,
}

impl DayCounts {
    /// Adds the counts of another part.
    pub fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        for (name, count) in &other.dirt {
            *self.dirt.entry(name).or_default() += count;
        }
    }
}

/// What one chunk becomes.
#[derive(Default)]
pub(crate) struct Written {
    /// Lines of the log.
    pub log: Vec<u8>,
    /// Lines of the oracle's file.
    pub oracle: Vec<u8>,
    /// What was written.
    pub counts: DayCounts,
}

impl World {
    /// Writes a day (from 0) as JSON lines in order of time, and the truth about it where asked for. Uses every thread of rayon's pool.
    ///
    /// # Errors
    /// What the writers return.
    pub fn write_day<W: Write>(&self, day: u32, log: &mut W, oracle: Option<&mut W>) -> io::Result<DayCounts> {
        self.write_rows(self.rows_of_day(day), log, oracle)
    }

    /// Writes decisions by their positions; see [`Self::write_day`].
    ///
    /// # Errors
    /// What the writers return.
    pub fn write_rows<W: Write>(&self, rows: Range<u64>, log: &mut W, mut oracle: Option<&mut W>) -> io::Result<DayCounts> {
        let with_oracle = oracle.is_some();
        let mut counts = DayCounts::default();
        for block in split(rows, CHUNK * CHUNKS_IN_MEMORY) {
            let chunks: Vec<Range<u64>> = split(block, CHUNK).collect();
            let written: Vec<io::Result<Written>> = chunks.into_par_iter().map(|chunk| self.chunk(chunk, with_oracle)).collect();
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

    /// Makes one chunk.
    fn chunk(&self, rows: Range<u64>, with_oracle: bool) -> io::Result<Written> {
        let mut written = Written::default();
        let mut line = Vec::with_capacity(2_048);
        for index in rows {
            let decision = self.decision(index);
            line.clear();
            let mut rng = self.rng("dirt", index);
            match self.settings().log {
                Log::Matrix => record::write_every_path(self, &decision, &mut written.log)?,
                Log::Gateway => record::write_test(self, &decision, &mut written.log)?,
                Log::Outcomes => {
                    record::write_line(self, &decision, &mut line)?;
                    if uniform(&mut rng) < self.settings().dirt {
                        let dirt = &DIRT[weighted(&mut rng, &DIRT.iter().map(|dirt| dirt.share).collect::<Vec<_>>())];
                        (dirt.write)(&Line { text: &line, cut: uniform(&mut rng) }, &mut written.log);
                        *written.counts.dirt.entry(dirt.name).or_default() += 1;
                    } else {
                        written.log.extend_from_slice(&line);
                        written.log.push(b'\n');
                    }
                }
            }
            if with_oracle {
                oracle::write_line(self, &decision, &mut written.oracle)?;
                written.oracle.push(b'\n');
            }
            written.counts.rows += 1;
        }
        written.counts.bytes = written.log.len() as u64;
        Ok(written)
    }
}

/// A range in pieces of a size, the last one possibly smaller.
pub(crate) fn split(range: Range<u64>, size: u64) -> impl Iterator<Item = Range<u64>> {
    let end = range.end;
    range.step_by(size as usize).map(move |start| start..(start + size).min(end))
}
