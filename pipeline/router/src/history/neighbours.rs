//! Similar past queries: an inverted file whose cells split as they fill, so that dense topics get many cells.
//!
//! A query looks into the cells whose centres are nearest. Each gives two kinds of evidence per path: the cell's own tally, which
//! covers everything that ever fell into it (the topic), and its latest members, each weighted by its cosine (the similar queries).

use routewright_domain::Timestamp;

use super::tally::Tally;
use super::{HALF_LIFE_DAY, HistorySettings, Observation};
use crate::embedder::{DIMENSIONS, Embedding};

/// Insertions between two computations of a cell's centre, once the cell has this many members.
const CENTRE_INTERVAL: usize = 16;

/// Rounds of two-means when a cell is split.
const SPLIT_ROUNDS: usize = 6;

/// A split must leave each half at least this share of the members; a smaller part would be an outlier's own cell.
const MIN_SPLIT_SHARE: f64 = 0.0625;

/// Similarities per entry of the kernel's table.
const KERNEL_STEP: i32 = 32;

/// The largest similarity of two rounded unit vectors, with room for rounding.
const MAX_DOT: i32 = 127 * 127 + 2048;

/// The outcome of one member.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemberOutcome {
    pub at: Timestamp,
    pub arm: u16,
    pub success: bool,
    /// ln(1 + milliseconds); NaN where not logged.
    pub log_latency: f32,
}

/// A region of the embedding space.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    /// The latest members' embeddings, and their outcomes in the same order.
    pub embeddings: Vec<Embedding>,
    pub outcomes: Vec<MemberOutcome>,
    /// Where the next member goes once the cell is full.
    pub next: usize,
    /// Everything that ever fell into the cell, per path.
    pub tallies: Vec<Tally>,
}

/// Past queries by region.
#[derive(Clone, Debug)]
pub(super) struct Neighbours {
    pub n_arms: usize,
    pub centres: Vec<Embedding>,
    pub cells: Vec<Cell>,
    /// Weight by similarity.
    kernel: Vec<f32>,
}

/// What the index says about one query; reused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probe {
    /// Nearest cells: similarity to the centre, position; nearest first.
    nearest: Vec<(i32, u32)>,
    similar: Vec<Tally>,
    topics: Vec<Tally>,
    /// Cosine to the most similar member; `None` without members.
    pub nearest_cosine: Option<f64>,
    /// Cosine to the nearest centre; `None` without cells.
    pub centre_cosine: Option<f64>,
    /// Weight of all members that were looked at.
    pub evidence: f64,
}

impl Probe {
    /// Evidence of the topics near the query, for one path.
    pub(super) fn topic(&self, arm: usize) -> Tally {
        self.topics.get(arm).copied().unwrap_or_default()
    }

    /// Evidence of the most similar queries, for one path.
    pub(super) fn similar(&self, arm: usize) -> Tally {
        self.similar.get(arm).copied().unwrap_or_default()
    }
}

impl Neighbours {
    /// An empty index.
    pub(super) fn new(settings: &HistorySettings, n_arms: usize) -> Self {
        let weight = |entry: i32| {
            let cosine = (f64::from(entry * KERNEL_STEP) / (127.0 * 127.0)).min(1.0);
            (settings.sharpness * (cosine - 1.0)).exp() as f32
        };
        Self { n_arms, centres: Vec::new(), cells: Vec::new(), kernel: (0..=MAX_DOT / KERNEL_STEP).map(weight).collect() }
    }

    /// Weight of a member by its similarity; none on the far side.
    fn weight(&self, dot: i32) -> f64 {
        if dot <= 0 { 0.0 } else { self.kernel.get((dot / KERNEL_STEP) as usize).copied().map_or(1.0, f64::from) }
    }

    /// Adds an outcome to the cell whose centre is nearest, and splits that cell when it is full.
    pub(super) fn insert(&mut self, observation: &Observation, settings: &HistorySettings) {
        let embedding = observation.sketch.embedding;
        let position = self.nearest_cell(&embedding).unwrap_or_else(|| self.add_cell(embedding, Cell::empty(self.n_arms)));
        let cell = &mut self.cells[position];
        let outcome = MemberOutcome {
            at: observation.visible_at,
            arm: observation.arm.0,
            success: observation.success,
            log_latency: observation.log_latency().unwrap_or(f32::NAN),
        };
        cell.tally(&outcome, settings);
        let wrapped = cell.push(embedding, outcome, settings.cell_size);
        let n_members = cell.embeddings.len();
        if n_members < CENTRE_INTERVAL || cell.next.is_multiple_of(CENTRE_INTERVAL) {
            self.centres[position] = centre(cell.embeddings.iter());
        }
        if wrapped && self.cells.len() < settings.max_cells {
            self.split(position, settings);
        }
    }

    /// Sums the evidence around a query, aged to `now`.
    pub(super) fn probe(&self, embedding: &Embedding, now: Timestamp, settings: &HistorySettings, probe: &mut Probe) {
        for tallies in [&mut probe.similar, &mut probe.topics] {
            tallies.clear();
            tallies.resize(self.n_arms, Tally::default());
        }
        (probe.nearest_cosine, probe.centre_cosine, probe.evidence) = (None, None, 0.0);
        probe.nearest.clear();
        if *embedding == Embedding::ZERO {
            return;
        }
        self.nearest_cells(embedding, settings.n_probes, &mut probe.nearest);
        let Some(&(centre_dot, _)) = probe.nearest.first() else { return };
        probe.centre_cosine = Some(cosine(centre_dot));
        let half_life = settings.topic_half_life_days * HALF_LIFE_DAY;
        let mut best = i32::MIN;
        for &(dot, position) in &probe.nearest {
            let cell = &self.cells[position as usize];
            // The nearest topic counts in full, the others by how much farther they are.
            let share = self.weight(dot) / self.weight(centre_dot).max(f64::MIN_POSITIVE);
            for (topic, tally) in probe.topics.iter_mut().zip(&cell.tallies) {
                topic.merge(&tally.aged(now, half_life), share);
            }
            for (member, outcome) in cell.embeddings.iter().zip(&cell.outcomes) {
                let dot = member.dot(embedding);
                best = best.max(dot);
                let weight = self.weight(dot);
                probe.evidence += weight;
                outcome.add_to(&mut probe.similar[usize::from(outcome.arm)], weight);
            }
        }
        probe.nearest_cosine = Some(cosine(best));
    }

    /// Position of the cell with the nearest centre, the first of equals.
    fn nearest_cell(&self, embedding: &Embedding) -> Option<usize> {
        let dots = self.centres.iter().map(|centre| centre.dot(embedding));
        let nearest = dots.enumerate().fold(None, |best: Option<(usize, i32)>, (position, dot)| match best {
            Some((_, best_dot)) if best_dot >= dot => best,
            _ => Some((position, dot)),
        });
        nearest.map(|(position, _)| position)
    }

    /// The cells with the nearest centres, nearest first, the first of equals before the others.
    fn nearest_cells(&self, embedding: &Embedding, n_cells: usize, nearest: &mut Vec<(i32, u32)>) {
        let mut threshold = i32::MIN;
        for (position, centre) in self.centres.iter().enumerate() {
            let dot = centre.dot(embedding);
            if dot <= threshold && nearest.len() == n_cells {
                continue;
            }
            let place = nearest.partition_point(|&(other, _)| other >= dot);
            if nearest.len() == n_cells {
                nearest.pop();
            }
            nearest.insert(place, (dot, position as u32));
            threshold = nearest.last().map_or(i32::MIN, |&(dot, _)| dot);
        }
    }

    /// Adds a cell and returns its position.
    fn add_cell(&mut self, centre: Embedding, cell: Cell) -> usize {
        self.centres.push(centre);
        self.cells.push(cell);
        self.cells.len() - 1
    }

    /// Splits a cell in two by two-means, unless its members are all alike.
    fn split(&mut self, position: usize, settings: &HistorySettings) {
        let Some(side) = two_means(&self.cells[position].embeddings) else { return };
        let whole = std::mem::take(&mut self.cells[position]);
        let mut halves = [Cell::empty(self.n_arms), Cell::empty(self.n_arms)];
        // Oldest first, so that each half forgets in the order of time.
        let n_members = whole.embeddings.len();
        for member in (whole.next..n_members).chain(0..whole.next) {
            let half = &mut halves[usize::from(side[member])];
            half.tally(&whole.outcomes[member], settings);
            half.push(whole.embeddings[member], whole.outcomes[member], settings.cell_size);
        }
        let half_life = settings.topic_half_life_days * HALF_LIFE_DAY;
        for arm in 0..self.n_arms {
            divide_forgotten(&whole.tallies[arm], [&halves[0], &halves[1]].map(|half| half.tallies[arm]), half_life, |half, tally| {
                halves[half].tallies[arm] = tally;
            });
        }
        let [first, second] = halves;
        self.centres[position] = centre(first.embeddings.iter());
        let second_centre = centre(second.embeddings.iter());
        self.cells[position] = first;
        self.add_cell(second_centre, second);
    }
}

impl Cell {
    /// A cell without members.
    fn empty(n_arms: usize) -> Self {
        Self { tallies: vec![Tally::default(); n_arms], ..Self::default() }
    }

    /// Counts an outcome.
    fn tally(&mut self, outcome: &MemberOutcome, settings: &HistorySettings) {
        let half_life = settings.topic_half_life_days * HALF_LIFE_DAY;
        let log_latency = (!outcome.log_latency.is_nan()).then_some(outcome.log_latency);
        self.tallies[usize::from(outcome.arm)].add(outcome.at, half_life, outcome.success, log_latency);
    }

    /// Adds a member, in place of the oldest where the cell is full. Whether the last place was just filled.
    fn push(&mut self, embedding: Embedding, outcome: MemberOutcome, cell_size: usize) -> bool {
        if self.embeddings.len() < cell_size {
            self.embeddings.push(embedding);
            self.outcomes.push(outcome);
        } else {
            self.embeddings[self.next] = embedding;
            self.outcomes[self.next] = outcome;
        }
        self.next = (self.next + 1) % cell_size;
        self.next == 0
    }
}

impl MemberOutcome {
    /// Adds the outcome to a tally, weighted.
    fn add_to(&self, tally: &mut Tally, weight: f64) {
        tally.weight += weight;
        tally.successes += if self.success { weight } else { 0.0 };
        if !self.log_latency.is_nan() {
            tally.latency_weight += weight;
            tally.log_latency += weight * f64::from(self.log_latency);
        }
    }
}

/// Divides what a cell remembers beyond its members between its halves, in proportion to what their members hold.
fn divide_forgotten(whole: &Tally, halves: [Tally; 2], half_life: f64, mut set: impl FnMut(usize, Tally)) {
    let now = Timestamp(whole.at);
    let halves = halves.map(|half| half.aged(now, half_life));
    let known = halves[0].weight + halves[1].weight;
    for (index, half) in halves.into_iter().enumerate() {
        let share = if known > 0.0 { half.weight / known } else { 0.5 };
        let scaled = |whole: f64, known: f64, own: f64| own + share * (whole - known).max(0.0);
        let tally = Tally {
            at: whole.at,
            weight: scaled(whole.weight, known, half.weight),
            successes: scaled(whole.successes, halves[0].successes + halves[1].successes, half.successes),
            latency_weight: scaled(whole.latency_weight, halves[0].latency_weight + halves[1].latency_weight, half.latency_weight),
            log_latency: scaled(whole.log_latency, halves[0].log_latency + halves[1].log_latency, half.log_latency),
        };
        set(index, tally);
    }
}

/// The direction of the mean of some embeddings.
fn centre<'a>(embeddings: impl Iterator<Item = &'a Embedding>) -> Embedding {
    let mut sums = [0_i32; DIMENSIONS];
    for embedding in embeddings {
        for (sum, number) in sums.iter_mut().zip(&embedding.0) {
            *sum += i32::from(*number);
        }
    }
    let length = sums.iter().map(|&sum| f64::from(sum) * f64::from(sum)).sum::<f64>().sqrt();
    if length == 0.0 { Embedding::ZERO } else { Embedding(sums.map(|sum| (f64::from(sum) / length * 127.0).round() as i16)) }
}

/// Which half each member belongs to; `None` where they cannot be divided.
fn two_means(members: &[Embedding]) -> Option<Vec<bool>> {
    let whole = centre(members.iter());
    let farthest = |from: &Embedding| members.iter().min_by_key(|member| member.dot(from)).copied();
    let mut centres = [farthest(&farthest(&whole)?)?, farthest(&whole)?];
    let mut side = vec![false; members.len()];
    for _ in 0..SPLIT_ROUNDS {
        for (side, member) in side.iter_mut().zip(members) {
            *side = member.dot(&centres[1]) > member.dot(&centres[0]);
        }
        for (half, slot) in [false, true].into_iter().zip(&mut centres) {
            *slot = centre(members.iter().zip(&side).filter(|(_, side)| **side == half).map(|(member, _)| member));
        }
    }
    let n_second = side.iter().filter(|side| **side).count();
    let smaller = n_second.min(members.len() - n_second);
    (smaller > 0 && smaller as f64 >= MIN_SPLIT_SHARE * members.len() as f64).then_some(side)
}

/// A similarity as a cosine.
fn cosine(dot: i32) -> f64 {
    f64::from(dot) / (127.0 * 127.0)
}
