//! Similar past queries: an inverted file of two levels, regions of cells, that split as they fill, so that dense topics get many cells.
//!
//! A query looks into the cells whose centres are nearest, and at the outcomes that no cell has yet. Per path it gets two kinds of
//! evidence: the cells' own tallies, which cover everything that ever fell into them (the topic), and the most similar queries that ran
//! the path, each weighted by its cosine. Cells change only when fresh outcomes are filed, so that between two filings queries can be
//! answered side by side.

use routewright_domain::Timestamp;

use super::partition::{centre, halves};
use super::tally::Tally;
use super::{HALF_LIFE_DAY, HistorySettings, Observation};
use crate::embedder::Embedding;

/// Insertions between two computations of a cell's centre, once the cell has this many members.
const CENTRE_INTERVAL: usize = 16;

/// Cells of a region, at most; a fuller one is split.
const REGION_SIZE: usize = 64;

/// Regions that a query looks into, and that an outcome's cell is looked for in.
const N_REGION_PROBES: usize = 8;
const N_REGION_CANDIDATES: usize = 3;

/// Fresh outcomes are filed once they are this share of the filed ones, but not one by one, and not later than this many.
const FRESH_SHARE: u64 = 16;
const MIN_FRESH: u64 = 16;
const MAX_FRESH: u64 = 1024;

/// Similarities per entry of the kernel's table.
const KERNEL_STEP: i32 = 32;

/// The largest similarity of two rounded unit vectors, with room for rounding.
const MAX_DOT: i32 = 127 * 127 + 2048;

/// Information (in units of p (1 − p)) that the configured strength of the prior counts for beside what pairs of neighbours say.
const STRENGTH_INFORMATION: f64 = 5.0;

/// Bounds of the estimated strength of the prior, in units of weight.
const STRENGTH_RANGE: (f64, f64) = (1.0, 50.0);

/// The outcome of one member.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemberOutcome {
    pub at: Timestamp,
    pub arm: u16,
    pub success: bool,
    /// ln(1 + milliseconds); NaN where not logged.
    pub log_latency: f32,
}

/// A cell of the embedding space.
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

/// Cells that lie together.
#[derive(Clone, Debug, Default)]
pub(super) struct Region {
    /// Centres of the cells, and their positions in [`Neighbours::cells`].
    pub centres: Vec<Embedding>,
    pub cells: Vec<u32>,
}

/// How far the outcomes of neighbours agree: the intraclass correlation of nearest pairs around their topic's rate, as two sums.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Agreement {
    pub covariance: f64,
    pub variance: f64,
}

/// Past queries by cell.
#[derive(Clone, Debug)]
pub(super) struct Neighbours {
    pub n_arms: usize,
    /// Centres of the regions.
    pub region_centres: Vec<Embedding>,
    pub regions: Vec<Region>,
    pub cells: Vec<Cell>,
    /// Outcomes that are seen but not in a cell yet, oldest first.
    pub fresh_embeddings: Vec<Embedding>,
    pub fresh_outcomes: Vec<MemberOutcome>,
    /// Outcomes that were filed.
    pub n_filed: u64,
    pub agreement: Agreement,
    /// Weight by similarity.
    kernel: Vec<f32>,
}

/// One of the most similar queries of a path.
#[derive(Clone, Copy, Debug)]
struct Neighbour {
    dot: i32,
    outcome: MemberOutcome,
}

/// What the index says about one query; reused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probe {
    /// Nearest regions and cells: similarity to the centre, position; nearest first.
    regions: Vec<(i32, u32)>,
    cells: Vec<(i32, u32)>,
    /// Most similar queries per path, nearest first.
    nearest: Vec<Vec<Neighbour>>,
    similar: Vec<Tally>,
    ages: Vec<f64>,
    topics: Vec<Tally>,
    /// Cosine to the most similar member; `None` without members.
    pub nearest_cosine: Option<f64>,
    /// Cosine to the nearest centre; `None` without cells.
    pub centre_cosine: Option<f64>,
    /// Weight of the similar queries of all paths.
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

    /// Weighted mean age of the most similar queries of one path, in days; NaN without any.
    pub(super) fn age_days(&self, arm: usize) -> f64 {
        self.ages.get(arm).copied().unwrap_or(f64::NAN)
    }

    /// Cosines to the most similar queries of any path, the highest first.
    pub(super) fn cosines(&self, n_cosines: usize) -> Vec<f64> {
        let mut dots: Vec<i32> = self.nearest.iter().flatten().map(|neighbour| neighbour.dot).collect();
        dots.sort_unstable_by(|a, b| b.cmp(a));
        dots.into_iter().take(n_cosines).map(cosine).collect()
    }

    /// Forgets the last query.
    fn clear(&mut self, n_arms: usize) {
        for tallies in [&mut self.similar, &mut self.topics] {
            tallies.clear();
            tallies.resize(n_arms, Tally::default());
        }
        self.ages.clear();
        self.ages.resize(n_arms, f64::NAN);
        self.nearest.resize_with(n_arms, Vec::new);
        self.nearest.iter_mut().for_each(Vec::clear);
        (self.nearest_cosine, self.centre_cosine, self.evidence) = (None, None, 0.0);
        self.regions.clear();
        self.cells.clear();
    }

    /// Keeps a member where it is among the nearest of its path; of equals the first stays.
    fn consider(&mut self, dot: i32, outcome: &MemberOutcome, n_nearest: usize) {
        let nearest = &mut self.nearest[usize::from(outcome.arm)];
        if nearest.len() == n_nearest {
            if nearest.last().is_some_and(|last| last.dot >= dot) {
                return;
            }
            nearest.pop();
        }
        let place = nearest.partition_point(|neighbour| neighbour.dot >= dot);
        nearest.insert(place, Neighbour { dot, outcome: *outcome });
    }
}

impl Neighbours {
    /// An empty index.
    pub(super) fn new(settings: &HistorySettings, n_arms: usize) -> Self {
        let weight = |entry: i32| {
            let cosine = (f64::from(entry * KERNEL_STEP) / (127.0 * 127.0)).min(1.0);
            (settings.sharpness * (cosine - 1.0)).exp() as f32
        };
        Self {
            n_arms,
            region_centres: Vec::new(),
            regions: Vec::new(),
            cells: Vec::new(),
            fresh_embeddings: Vec::new(),
            fresh_outcomes: Vec::new(),
            n_filed: 0,
            agreement: Agreement::default(),
            kernel: (0..=MAX_DOT / KERNEL_STEP).map(weight).collect(),
        }
    }

    /// Weight of a member by its similarity; none on the far side.
    fn weight(&self, dot: i32) -> f64 {
        if dot <= 0 { 0.0 } else { self.kernel.get((dot / KERNEL_STEP) as usize).copied().map_or(1.0, f64::from) }
    }

    /// Takes an outcome; it is seen from now on.
    pub(super) fn add(&mut self, observation: &Observation) {
        self.fresh_embeddings.push(observation.sketch.embedding);
        self.fresh_outcomes.push(MemberOutcome {
            at: observation.visible_at,
            arm: observation.arm.0,
            success: observation.success,
            log_latency: observation.log_latency().unwrap_or(f32::NAN),
        });
    }

    /// Whether there are enough fresh outcomes to file them. Depends on the outcomes alone, not on who asked what in between.
    pub(super) fn is_due(&self) -> bool {
        self.fresh_outcomes.len() as u64 >= (self.n_filed / FRESH_SHARE).clamp(MIN_FRESH, MAX_FRESH)
    }

    /// Files the fresh outcomes in their cells. `path_rates`: success rate per path, as of now.
    pub(super) fn file(&mut self, path_rates: &[f64], settings: &HistorySettings) {
        let (embeddings, outcomes) = (std::mem::take(&mut self.fresh_embeddings), std::mem::take(&mut self.fresh_outcomes));
        if settings.looks_for_similar() {
            for (embedding, outcome) in embeddings.iter().zip(&outcomes) {
                self.insert(embedding, outcome, path_rates, settings);
            }
        }
        self.n_filed += outcomes.len() as u64;
    }

    /// Strength of the prior that similar queries are shrunk with: `1/ρ − 1` of the intraclass correlation ρ of nearest pairs, the
    /// moment estimate of a beta-binomial prior.
    pub(super) fn similar_strength(&self, settings: &HistorySettings) -> f64 {
        let prior = 1.0 / (1.0 + settings.similar_prior_strength);
        let Agreement { covariance, variance } = self.agreement;
        let correlation = (covariance + STRENGTH_INFORMATION * prior) / (variance + STRENGTH_INFORMATION);
        let (lowest, highest) = STRENGTH_RANGE;
        if correlation <= 1.0 / (1.0 + highest) { highest } else { (1.0 / correlation - 1.0).max(lowest) }
    }

    /// Adds an outcome to the cell whose centre is nearest, and splits that cell when it is full.
    fn insert(&mut self, embedding: &Embedding, outcome: &MemberOutcome, path_rates: &[f64], settings: &HistorySettings) {
        let (region, slot) = self.nearest_cell(embedding).unwrap_or_else(|| self.first_cell(*embedding));
        let position = self.regions[region].cells[slot] as usize;
        self.compare(position, embedding, outcome, path_rates, settings);
        let cell = &mut self.cells[position];
        cell.tally(outcome, settings);
        let wrapped = cell.push(*embedding, *outcome, settings.cell_size);
        let n_members = cell.embeddings.len();
        if n_members < CENTRE_INTERVAL || cell.next.is_multiple_of(CENTRE_INTERVAL) {
            self.regions[region].centres[slot] = centre(cell.embeddings.iter());
        }
        if wrapped && self.cells.len() < settings.max_cells {
            self.split_cell(region, slot, settings);
        }
    }

    /// Learns from an outcome and the nearest one of the same path in its cell how far neighbours agree.
    fn compare(&mut self, position: usize, embedding: &Embedding, outcome: &MemberOutcome, path_rates: &[f64], settings: &HistorySettings) {
        let cell = &self.cells[position];
        let same_path = cell.embeddings.iter().zip(&cell.outcomes).filter(|(_, other)| other.arm == outcome.arm);
        let Some((dot, success)) = same_path.map(|(other, member)| (other.dot(embedding), member.success)).max_by_key(|(dot, _)| *dot)
        else {
            return;
        };
        let arm = usize::from(outcome.arm);
        let topic = cell.tallies[arm].aged(outcome.at, settings.topic_half_life_days * HALF_LIFE_DAY);
        let prior = path_rates.get(arm).copied().unwrap_or(0.5);
        let rate = super::tally::shrink(topic.successes, topic.weight, prior, settings.topic_prior_strength);
        let residual = |success: bool| f64::from(u8::from(success)) - rate;
        let weight = self.weight(dot);
        self.agreement.covariance += weight * residual(outcome.success) * residual(success);
        self.agreement.variance += weight * rate * (1.0 - rate);
    }

    /// Sums the evidence around a query, aged to `now`. `n_fresh`: how many of the fresh outcomes are seen.
    pub(super) fn probe(&self, embedding: &Embedding, n_fresh: usize, now: Timestamp, settings: &HistorySettings, probe: &mut Probe) {
        probe.clear(self.n_arms);
        if *embedding == Embedding::ZERO || !settings.looks_for_similar() {
            return;
        }
        let n_fresh = n_fresh.min(self.fresh_outcomes.len());
        // The latest first: of equals the first stays.
        for (member, outcome) in self.fresh_embeddings[..n_fresh].iter().zip(&self.fresh_outcomes[..n_fresh]).rev() {
            probe.consider(member.dot(embedding), outcome, settings.n_nearest);
        }
        for (position, region) in self.region_centres.iter().enumerate() {
            keep_nearest(&mut probe.regions, N_REGION_PROBES, region.dot(embedding), position as u32);
        }
        for &(_, region) in &probe.regions {
            let region = &self.regions[region as usize];
            for (centre, &position) in region.centres.iter().zip(&region.cells) {
                keep_nearest(&mut probe.cells, settings.n_probes, centre.dot(embedding), position);
            }
        }
        self.probe_cells(embedding, now, settings, probe);
        self.sum_nearest(now, probe);
    }

    /// Adds the tallies of the nearest cells, and looks at their members.
    fn probe_cells(&self, embedding: &Embedding, now: Timestamp, settings: &HistorySettings, probe: &mut Probe) {
        let Some(&(centre_dot, _)) = probe.cells.first() else { return };
        probe.centre_cosine = Some(cosine(centre_dot));
        let half_life = settings.topic_half_life_days * HALF_LIFE_DAY;
        for index in 0..probe.cells.len() {
            let (dot, position) = probe.cells[index];
            let cell = &self.cells[position as usize];
            // The nearest topic counts in full, the others by how much farther they are.
            let share = self.weight(dot) / self.weight(centre_dot).max(f64::MIN_POSITIVE);
            for (topic, tally) in probe.topics.iter_mut().zip(&cell.tallies) {
                topic.merge(&tally.aged(now, half_life), share);
            }
            for (member, outcome) in cell.embeddings.iter().zip(&cell.outcomes) {
                probe.consider(member.dot(embedding), outcome, settings.n_nearest);
            }
        }
    }

    /// Weighs the nearest members of every path.
    fn sum_nearest(&self, now: Timestamp, probe: &mut Probe) {
        let mut best: Option<i32> = None;
        for (arm, nearest) in probe.nearest.iter().enumerate() {
            let mut age = 0.0;
            for neighbour in nearest {
                let weight = self.weight(neighbour.dot);
                neighbour.outcome.add_to(&mut probe.similar[arm], weight);
                age += weight * now.0.saturating_sub(neighbour.outcome.at.0) as f64;
            }
            let weight = probe.similar[arm].weight;
            if weight > 0.0 {
                probe.ages[arm] = age / weight / HALF_LIFE_DAY;
            }
            probe.evidence += weight;
            best = best.max(nearest.first().map(|neighbour| neighbour.dot));
        }
        probe.nearest_cosine = best.map(cosine);
    }

    /// Region and slot of the cell with the nearest centre in the nearest regions, the first of equals.
    fn nearest_cell(&self, embedding: &Embedding) -> Option<(usize, usize)> {
        let mut regions = Vec::with_capacity(N_REGION_CANDIDATES);
        for (position, region) in self.region_centres.iter().enumerate() {
            keep_nearest(&mut regions, N_REGION_CANDIDATES, region.dot(embedding), position as u32);
        }
        let mut best: Option<(i32, usize, usize)> = None;
        for (_, region) in regions {
            for (slot, centre) in self.regions[region as usize].centres.iter().enumerate() {
                let dot = centre.dot(embedding);
                if best.is_none_or(|(highest, _, _)| dot > highest) {
                    best = Some((dot, region as usize, slot));
                }
            }
        }
        best.map(|(_, region, slot)| (region, slot))
    }

    /// Makes the first cell, in the first region.
    fn first_cell(&mut self, embedding: Embedding) -> (usize, usize) {
        self.cells.push(Cell::empty(self.n_arms));
        self.regions.push(Region { centres: vec![embedding], cells: vec![0] });
        self.region_centres.push(embedding);
        (0, 0)
    }

    /// Splits a full cell in two, unless its members are all alike, and its region where that makes it too large.
    fn split_cell(&mut self, region: usize, slot: usize, settings: &HistorySettings) {
        let position = self.regions[region].cells[slot] as usize;
        let Some(side) = halves(&self.cells[position].embeddings) else { return };
        let whole = std::mem::take(&mut self.cells[position]);
        let mut parts = [Cell::empty(self.n_arms), Cell::empty(self.n_arms)];
        // Oldest first, so that each half forgets in the order of time.
        let n_members = whole.embeddings.len();
        for member in (whole.next..n_members).chain(0..whole.next) {
            let part = &mut parts[usize::from(side[member])];
            part.tally(&whole.outcomes[member], settings);
            part.push(whole.embeddings[member], whole.outcomes[member], settings.cell_size);
        }
        let half_life = settings.topic_half_life_days * HALF_LIFE_DAY;
        for arm in 0..self.n_arms {
            let tallies = [&parts[0], &parts[1]].map(|part| part.tallies[arm]);
            let divided = divide_forgotten(&whole.tallies[arm], tallies, half_life);
            for (part, tally) in parts.iter_mut().zip(divided) {
                part.tallies[arm] = tally;
            }
        }
        let [first, second] = parts;
        let new_position = self.cells.len() as u32;
        let home = &mut self.regions[region];
        home.centres[slot] = centre(first.embeddings.iter());
        home.centres.push(centre(second.embeddings.iter()));
        home.cells.push(new_position);
        self.cells[position] = first;
        self.cells.push(second);
        self.settle_region(region);
    }

    /// Computes a region's centre anew, after splitting it where it has grown too large.
    fn settle_region(&mut self, position: usize) {
        let is_full = self.regions[position].cells.len() > REGION_SIZE;
        if let Some(side) = is_full.then(|| halves(&self.regions[position].centres)).flatten() {
            let whole = std::mem::take(&mut self.regions[position]);
            let mut parts = [Region::default(), Region::default()];
            for (slot, side) in side.into_iter().enumerate() {
                let part = &mut parts[usize::from(side)];
                part.centres.push(whole.centres[slot]);
                part.cells.push(whole.cells[slot]);
            }
            let [first, second] = parts;
            self.regions[position] = first;
            self.region_centres.push(centre(second.centres.iter()));
            self.regions.push(second);
        }
        self.region_centres[position] = centre(self.regions[position].centres.iter());
    }
}

impl Cell {
    /// A cell without members.
    pub(super) fn empty(n_arms: usize) -> Self {
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
fn divide_forgotten(whole: &Tally, halves: [Tally; 2], half_life: f64) -> [Tally; 2] {
    let now = Timestamp(whole.at);
    let halves = halves.map(|half| half.aged(now, half_life));
    let known = halves[0].weight + halves[1].weight;
    halves.map(|half| {
        let share = if known > 0.0 { half.weight / known } else { 0.5 };
        let scaled = |whole: f64, known: f64, own: f64| own + share * (whole - known).max(0.0);
        Tally {
            at: whole.at,
            weight: scaled(whole.weight, known, half.weight),
            successes: scaled(whole.successes, halves[0].successes + halves[1].successes, half.successes),
            latency_weight: scaled(whole.latency_weight, halves[0].latency_weight + halves[1].latency_weight, half.latency_weight),
            log_latency: scaled(whole.log_latency, halves[0].log_latency + halves[1].log_latency, half.log_latency),
        }
    })
}

/// Keeps a place in a list of the nearest, nearest first; of equals the first stays.
fn keep_nearest(nearest: &mut Vec<(i32, u32)>, n_kept: usize, dot: i32, position: u32) {
    if nearest.len() == n_kept {
        if nearest.last().is_some_and(|&(last, _)| last >= dot) {
            return;
        }
        nearest.pop();
    }
    let place = nearest.partition_point(|&(other, _)| other >= dot);
    nearest.insert(place, (dot, position));
}

/// A similarity as a cosine.
fn cosine(dot: i32) -> f64 {
    f64::from(dot) / (127.0 * 127.0)
}
