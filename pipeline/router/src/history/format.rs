//! `history.bin`: the history index as bytes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use routewright_domain::{Arm, Timestamp};

use super::neighbours::{Cell, MemberOutcome};
use super::{History, Observation, PathTallies, Tally};
use crate::bytes::{FormatError, Reader, Writer};
use crate::embedder::{DIMENSIONS, Embedding};
use crate::encoder::QuerySketch;
use crate::schema::Schema;

/// First bytes of the file: name and version.
const MAGIC: &[u8; 8] = b"RWHIST01";

/// Code of a missing query type.
const NO_TYPE: u16 = u16::MAX;

/// Bytes of a tally, a member and a pending outcome.
const TALLY_BYTES: usize = 40;
const MEMBER_BYTES: usize = DIMENSIONS + 15;
const PENDING_BYTES: usize = DIMENSIONS + 31;

impl History {
    /// Everything the index holds, pending outcomes included; equal pasts give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.0.extend_from_slice(MAGIC);
        writer.count(self.n_arms);
        writer.count(self.n_types);
        writer.i64(self.now.0);
        writer.u64(self.n_visible);
        for tallies in &self.paths {
            for tally in [&tallies.overall, &tallies.day, &tallies.hour] {
                write_tally(&mut writer, tally);
            }
        }
        for tally in &self.types {
            write_tally(&mut writer, tally);
        }
        writer.count(self.neighbours.cells.len());
        for (centre, cell) in self.neighbours.centres.iter().zip(&self.neighbours.cells) {
            write_cell(&mut writer, centre, cell);
        }
        let mut pending: Vec<&Observation> = self.pending.iter().map(|Reverse(observation)| observation).collect();
        pending.sort_unstable();
        writer.count(pending.len());
        for observation in pending {
            write_pending(&mut writer, observation);
        }
        writer.0
    }

    /// Reads what [`Self::to_bytes`] wrote under the same schema.
    ///
    /// # Errors
    /// [`FormatError`] for any other bytes: sizes, positions and numbers are checked before use.
    pub fn from_bytes(bytes: &[u8], schema: &Schema) -> Result<Self, FormatError> {
        let mut history = Self::new(schema);
        let mut reader = Reader::new(bytes);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(reader.error("not a history index of this version"));
        }
        for (what, expected) in [("paths", history.n_arms), ("query types", history.n_types)] {
            let found = reader.u32()? as usize;
            if found != expected {
                return Err(reader.error(format!("{found} {what} where the schema has {expected}")));
            }
        }
        history.now = Timestamp(reader.i64()?);
        history.n_visible = reader.u64()?;
        for tallies in &mut history.paths {
            *tallies = PathTallies { overall: read_tally(&mut reader)?, day: read_tally(&mut reader)?, hour: read_tally(&mut reader)? };
        }
        for tally in &mut history.types {
            *tally = read_tally(&mut reader)?;
        }
        let n_cells = reader.count(DIMENSIONS + 8 + history.n_arms * TALLY_BYTES, history.settings.max_cells)?;
        for _ in 0..n_cells {
            let (centre, cell) = read_cell(&mut reader, history.n_arms, history.settings.cell_size)?;
            history.neighbours.centres.push(centre);
            history.neighbours.cells.push(cell);
        }
        let n_pending = reader.count(PENDING_BYTES, usize::MAX)?;
        let pending: Result<Vec<_>, _> =
            (0..n_pending).map(|_| read_pending(&mut reader, history.n_arms, history.n_types).map(Reverse)).collect();
        history.pending = BinaryHeap::from(pending?);
        reader.end()?;
        Ok(history)
    }
}

fn write_tally(writer: &mut Writer, tally: &Tally) {
    writer.i64(tally.at);
    for number in [tally.weight, tally.successes, tally.latency_weight, tally.log_latency] {
        writer.f64(number);
    }
}

/// Reads a tally: finite, nothing negative, parts not larger than the whole.
fn read_tally(reader: &mut Reader<'_>) -> Result<Tally, FormatError> {
    let at = reader.i64()?;
    let (weight, successes) = (reader.finite()?, reader.finite()?);
    let (latency_weight, log_latency) = (reader.finite()?, reader.finite()?);
    let parts = [successes, latency_weight];
    // Dividing a tally rounds, so a part may exceed the whole by a last digit.
    let valid = weight >= 0.0 && log_latency >= 0.0 && parts.iter().all(|part| (0.0..=weight * (1.0 + 1e-9)).contains(part));
    if valid { Ok(Tally { at, weight, successes, latency_weight, log_latency }) } else { Err(reader.error("tally does not add up")) }
}

fn write_embedding(writer: &mut Writer, embedding: &Embedding) {
    writer.0.extend(embedding.0.iter().map(|number| *number as i8 as u8));
}

fn read_embedding(reader: &mut Reader<'_>) -> Result<Embedding, FormatError> {
    let mut embedding = Embedding::ZERO;
    for (number, byte) in embedding.0.iter_mut().zip(reader.take(DIMENSIONS)?) {
        *number = i16::from(*byte as i8);
    }
    Ok(embedding)
}

fn write_cell(writer: &mut Writer, centre: &Embedding, cell: &Cell) {
    write_embedding(writer, centre);
    writer.count(cell.next);
    for tally in &cell.tallies {
        write_tally(writer, tally);
    }
    writer.count(cell.embeddings.len());
    for (embedding, outcome) in cell.embeddings.iter().zip(&cell.outcomes) {
        write_embedding(writer, embedding);
        writer.i64(outcome.at.0);
        writer.u16(outcome.arm);
        writer.u8(u8::from(outcome.success));
        writer.f32(outcome.log_latency);
    }
}

fn read_cell(reader: &mut Reader<'_>, n_arms: usize, cell_size: usize) -> Result<(Embedding, Cell), FormatError> {
    let centre = read_embedding(reader)?;
    let next = reader.u32()? as usize;
    let tallies: Result<Vec<Tally>, FormatError> = (0..n_arms).map(|_| read_tally(reader)).collect();
    let n_members = reader.count(MEMBER_BYTES, cell_size)?;
    let expected_next = if n_members < cell_size { n_members..n_members + 1 } else { 0..cell_size };
    if !expected_next.contains(&next) {
        return Err(reader.error(format!("next member {next} of {n_members}")));
    }
    let mut cell = Cell { next, tallies: tallies?, ..Cell::default() };
    for _ in 0..n_members {
        cell.embeddings.push(read_embedding(reader)?);
        cell.outcomes.push(MemberOutcome {
            at: Timestamp(reader.i64()?),
            arm: read_arm(reader, n_arms)?.0,
            success: read_bool(reader)?,
            log_latency: read_log_latency(reader)?,
        });
    }
    Ok((centre, cell))
}

fn write_pending(writer: &mut Writer, observation: &Observation) {
    writer.i64(observation.visible_at.0);
    writer.u64(observation.id);
    writer.u16(observation.arm.0);
    writer.u8(u8::from(observation.success));
    writer.u16(observation.sketch.query_type.unwrap_or(NO_TYPE));
    writer.u16(u16::from(observation.latency_ms.is_some()));
    writer.f64(observation.latency_ms.unwrap_or(0.0));
    write_embedding(writer, &observation.sketch.embedding);
}

fn read_pending(reader: &mut Reader<'_>, n_arms: usize, n_types: usize) -> Result<Observation, FormatError> {
    let (visible_at, id) = (Timestamp(reader.i64()?), reader.u64()?);
    let (arm, success) = (read_arm(reader, n_arms)?, read_bool(reader)?);
    let query_type = reader.u16()?;
    if query_type != NO_TYPE && usize::from(query_type) >= n_types {
        return Err(reader.error(format!("query type {query_type} of {n_types}")));
    }
    let has_latency = reader.u16()? == 1;
    let latency = reader.finite()?;
    if latency < 0.0 {
        return Err(reader.error("negative latency"));
    }
    let sketch = QuerySketch { query_type: (query_type != NO_TYPE).then_some(query_type), embedding: read_embedding(reader)? };
    Ok(Observation { visible_at, id, arm, success, latency_ms: has_latency.then_some(latency), sketch })
}

fn read_arm(reader: &mut Reader<'_>, n_arms: usize) -> Result<Arm, FormatError> {
    let arm = reader.u16()?;
    if usize::from(arm) < n_arms { Ok(Arm(arm)) } else { Err(reader.error(format!("path {arm} of {n_arms}"))) }
}

fn read_bool(reader: &mut Reader<'_>) -> Result<bool, FormatError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(reader.error(format!("success is {other}"))),
    }
}

/// ln(1 + milliseconds), or NaN where not logged.
fn read_log_latency(reader: &mut Reader<'_>) -> Result<f32, FormatError> {
    let number = reader.f32()?;
    if number.is_nan() || (0.0..=f32::MAX).contains(&number) { Ok(number) } else { Err(reader.error("latency is not finite")) }
}
