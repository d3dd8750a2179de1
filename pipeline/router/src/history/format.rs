//! `history.bin`: the history index as bytes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use routewright_domain::{Arm, Timestamp};

use super::neighbours::{Agreement, Cell, MemberOutcome, Neighbours, Region};
use super::sessions::Session;
use super::{History, Observation, PathTallies, Tally, TypeTallies};
use crate::bytes::{FormatError, Reader, Writer};
use crate::embedder::{DIMENSIONS, Embedding};
use crate::encoder::QuerySketch;
use crate::schema::Schema;

/// First bytes of the file: name and version.
const MAGIC: &[u8; 8] = b"RWHIST02";

/// Code of a missing query type.
const NO_TYPE: u16 = u16::MAX;

/// Bytes of a tally, a member, a session and a pending outcome.
const TALLY_BYTES: usize = 40;
const MEMBER_BYTES: usize = DIMENSIONS + 15;
const SESSION_BYTES: usize = 28;
const PENDING_BYTES: usize = DIMENSIONS + 40;

impl History {
    /// Everything the index holds, pending outcomes included; equal pasts give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.0.extend_from_slice(MAGIC);
        writer.count(self.n_arms);
        writer.count(self.n_types);
        writer.i64(self.now.0);
        writer.i64(self.latest.0);
        writer.u64(self.n_visible);
        for tallies in &self.paths {
            for tally in [&tallies.overall, &tallies.day, &tallies.hour] {
                write_tally(&mut writer, tally);
            }
        }
        for tallies in &self.types {
            write_tally(&mut writer, &tallies.long);
            write_tally(&mut writer, &tallies.day);
        }
        writer.count(self.sessions.0.len());
        for (identity, session) in &self.sessions.0 {
            writer.u64(*identity);
            writer.i64(session.at.0);
            for count in [session.n_outcomes, session.n_successes, session.n_failures_running] {
                writer.u32(count);
            }
        }
        write_neighbours(&mut writer, &self.neighbours);
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
        history.latest = Timestamp(reader.i64()?);
        history.n_visible = reader.u64()?;
        for tallies in &mut history.paths {
            *tallies = PathTallies { overall: read_tally(&mut reader)?, day: read_tally(&mut reader)?, hour: read_tally(&mut reader)? };
        }
        for tallies in &mut history.types {
            *tallies = TypeTallies { long: read_tally(&mut reader)?, day: read_tally(&mut reader)? };
        }
        for _ in 0..reader.count(SESSION_BYTES, usize::MAX)? {
            let (identity, at) = (reader.u64()?, Timestamp(reader.i64()?));
            let (n_outcomes, n_successes, n_failures_running) = (reader.u32()?, reader.u32()?, reader.u32()?);
            history.sessions.0.insert(identity, Session { at, n_outcomes, n_successes, n_failures_running });
        }
        let (max_cells, cell_size) = (history.settings.max_cells, history.settings.cell_size);
        read_neighbours(&mut reader, &mut history.neighbours, max_cells, cell_size)?;
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

fn write_neighbours(writer: &mut Writer, neighbours: &Neighbours) {
    writer.u64(neighbours.n_filed);
    writer.f64(neighbours.agreement.covariance);
    writer.f64(neighbours.agreement.variance);
    writer.count(neighbours.cells.len());
    for cell in &neighbours.cells {
        writer.count(cell.next);
        for tally in &cell.tallies {
            write_tally(writer, tally);
        }
        write_members(writer, &cell.embeddings, &cell.outcomes);
    }
    writer.count(neighbours.regions.len());
    for (centre, region) in neighbours.region_centres.iter().zip(&neighbours.regions) {
        write_embedding(writer, centre);
        writer.count(region.cells.len());
        for (centre, cell) in region.centres.iter().zip(&region.cells) {
            write_embedding(writer, centre);
            writer.u32(*cell);
        }
    }
    write_members(writer, &neighbours.fresh_embeddings, &neighbours.fresh_outcomes);
}

/// Reads the cells, the regions, which must hold every cell once, and what no cell has yet.
fn read_neighbours(reader: &mut Reader<'_>, neighbours: &mut Neighbours, max_cells: usize, cell_size: usize) -> Result<(), FormatError> {
    let n_arms = neighbours.n_arms;
    neighbours.n_filed = reader.u64()?;
    neighbours.agreement = Agreement { covariance: reader.finite()?, variance: reader.finite()? };
    for _ in 0..reader.count(8 + n_arms * TALLY_BYTES, max_cells)? {
        let next = reader.u32()? as usize;
        let tallies: Result<Vec<Tally>, FormatError> = (0..n_arms).map(|_| read_tally(reader)).collect();
        let (embeddings, outcomes) = read_members(reader, n_arms, cell_size)?;
        let n_members = embeddings.len();
        let expected_next = if n_members < cell_size { n_members..n_members + 1 } else { 0..cell_size };
        if !expected_next.contains(&next) {
            return Err(reader.error(format!("next member {next} of {n_members}")));
        }
        neighbours.cells.push(Cell { embeddings, outcomes, next, tallies: tallies? });
    }
    let n_cells = neighbours.cells.len();
    let mut has_region = vec![false; n_cells];
    for _ in 0..reader.count(2 * DIMENSIONS + 8, n_cells)? {
        neighbours.region_centres.push(read_embedding(reader)?);
        let mut region = Region::default();
        for _ in 0..reader.count(DIMENSIONS + 4, n_cells)? {
            region.centres.push(read_embedding(reader)?);
            let cell = reader.u32()?;
            match has_region.get_mut(cell as usize) {
                Some(has_region) if !*has_region => *has_region = true,
                _ => return Err(reader.error(format!("cell {cell} of {n_cells} does not exist or lies in two regions"))),
            }
            region.cells.push(cell);
        }
        if region.cells.is_empty() {
            return Err(reader.error("a region without cells"));
        }
        neighbours.regions.push(region);
    }
    if has_region.contains(&false) {
        return Err(reader.error("a cell lies in no region"));
    }
    (neighbours.fresh_embeddings, neighbours.fresh_outcomes) = read_members(reader, n_arms, usize::MAX)?;
    Ok(())
}

fn write_members(writer: &mut Writer, embeddings: &[Embedding], outcomes: &[MemberOutcome]) {
    writer.count(embeddings.len());
    for (embedding, outcome) in embeddings.iter().zip(outcomes) {
        write_embedding(writer, embedding);
        writer.i64(outcome.at.0);
        writer.u16(outcome.arm);
        writer.u8(u8::from(outcome.success));
        writer.f32(outcome.log_latency);
    }
}

fn read_members(reader: &mut Reader<'_>, n_arms: usize, limit: usize) -> Result<(Vec<Embedding>, Vec<MemberOutcome>), FormatError> {
    let n_members = reader.count(MEMBER_BYTES, limit)?;
    let (mut embeddings, mut outcomes) = (Vec::with_capacity(n_members), Vec::with_capacity(n_members));
    for _ in 0..n_members {
        embeddings.push(read_embedding(reader)?);
        outcomes.push(MemberOutcome {
            at: Timestamp(reader.i64()?),
            arm: read_arm(reader, n_arms)?.0,
            success: read_bool(reader)?,
            log_latency: read_log_latency(reader)?,
        });
    }
    Ok((embeddings, outcomes))
}

fn write_pending(writer: &mut Writer, observation: &Observation) {
    writer.i64(observation.visible_at.0);
    writer.u64(observation.id);
    writer.u16(observation.arm.0);
    writer.u8(u8::from(observation.success));
    writer.u16(observation.sketch.query_type.unwrap_or(NO_TYPE));
    writer.u8(u8::from(observation.sketch.session.is_some()));
    writer.u64(observation.sketch.session.unwrap_or(0));
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
    let (has_session, session) = (read_bool(reader)?, reader.u64()?);
    let has_latency = reader.u16()? == 1;
    let latency = reader.finite()?;
    if latency < 0.0 {
        return Err(reader.error("negative latency"));
    }
    let query_type = (query_type != NO_TYPE).then_some(query_type);
    let sketch = QuerySketch { query_type, session: has_session.then_some(session), embedding: read_embedding(reader)? };
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
        other => Err(reader.error(format!("{other} where 0 or 1 is expected"))),
    }
}

/// ln(1 + milliseconds), or NaN where not logged.
fn read_log_latency(reader: &mut Reader<'_>) -> Result<f32, FormatError> {
    let number = reader.f32()?;
    if number.is_nan() || (0.0..=f32::MAX).contains(&number) { Ok(number) } else { Err(reader.error("latency is not finite")) }
}
