//! What a bin of a histogram adds up: class counts or targets, with and without weights.

use std::array;

/// How finely a target is divided: the distance from the middle of its range to an end, in steps.
///
/// Whole steps make sums exact, so a forest depends neither on the order of its rows nor on how histograms are subtracted.
pub(crate) const TARGET_STEPS: f64 = (1_u64 << 30) as f64;

/// A row of a tree's sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample<P> {
    /// Row of the table.
    pub row: u32,
    /// How often it was drawn.
    pub n_draws: u16,
    /// Its label or target, and its weight where there is one.
    pub payload: P,
}

/// Sums over rows, from which the worth of a split follows.
pub(crate) trait Cell: Copy + Default + Send + Sync {
    /// What a row adds.
    type Payload: Copy + Send + Sync;

    /// Adds a row that was drawn some times.
    fn add(&mut self, n_draws: u16, payload: Self::Payload);

    /// Adds another cell.
    fn merge(&mut self, other: &Self);

    /// Takes a cell away that was added.
    fn remove(&mut self, other: &Self);

    /// Rows, each as often as it was drawn.
    fn n_draws(&self) -> u32;

    /// Weight of the rows.
    fn weight(&self) -> f64;

    /// How alike the rows are, as a numerator and a denominator above 0: weight less impurity (Gini), or what the mean explains of the squares;
    /// larger is purer, and sides add up.
    fn purity_parts(&self) -> (f64, f64);

    /// [`Self::purity_parts`] as one number.
    fn purity(&self) -> f64 {
        let (numerator, denominator) = self.purity_parts();
        numerator / denominator
    }

    /// The share of a class in the weight; or the mean target in [-1, 1], as a share of half the range from its middle.
    fn mean(&self, output: usize) -> f64;

    /// In how many ways categories can be put into an order: one per class where there are more than two.
    const N_ORDERS: usize;

    /// Whether two rows have the same label or target.
    fn is_alike(one: Self::Payload, other: Self::Payload) -> bool;
}

/// Weights per class judged by their entropy.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Entropy<C>(C);

impl<const W: usize> Cell for Entropy<Weights<W>> {
    type Payload = (u16, f32);

    const N_ORDERS: usize = Weights::<W>::N_ORDERS;

    #[inline]
    fn add(&mut self, n_draws: u16, payload: (u16, f32)) {
        self.0.add(n_draws, payload);
    }

    #[inline]
    fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }

    #[inline]
    fn remove(&mut self, other: &Self) {
        self.0.remove(&other.0);
    }

    #[inline]
    fn n_draws(&self) -> u32 {
        self.0.n_draws()
    }

    #[inline]
    fn weight(&self) -> f64 {
        self.0.weight()
    }

    /// Minus weight times entropy: Σ w ln(w / W).
    #[inline]
    fn purity_parts(&self) -> (f64, f64) {
        let weight = self.weight();
        (self.0.weights.iter().filter(|class| **class > 0.0).map(|class| class * (class / weight).ln()).sum(), 1.0)
    }

    fn mean(&self, output: usize) -> f64 {
        self.0.mean(output)
    }

    #[inline]
    fn is_alike(one: (u16, f32), other: (u16, f32)) -> bool {
        Weights::<W>::is_alike(one, other)
    }
}

/// Draws per class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts<const W: usize>([u32; W]);

impl<const W: usize> Default for Counts<W> {
    fn default() -> Self {
        Self([0; W])
    }
}

impl<const W: usize> Cell for Counts<W> {
    type Payload = u16;

    const N_ORDERS: usize = if W > 2 { W } else { 1 };

    #[inline]
    fn add(&mut self, n_draws: u16, class: u16) {
        self.0[usize::from(class)] += u32::from(n_draws);
    }

    #[inline]
    fn merge(&mut self, other: &Self) {
        self.0 = array::from_fn(|class| self.0[class] + other.0[class]);
    }

    #[inline]
    fn remove(&mut self, other: &Self) {
        self.0 = array::from_fn(|class| self.0[class] - other.0[class]);
    }

    #[inline]
    fn n_draws(&self) -> u32 {
        self.0.iter().sum()
    }

    #[inline]
    fn weight(&self) -> f64 {
        f64::from(self.n_draws())
    }

    #[inline]
    fn purity_parts(&self) -> (f64, f64) {
        let squares: u64 = self.0.iter().map(|&count| u64::from(count) * u64::from(count)).sum();
        // Below 2⁶³, because a sample has fewer than 2³¹ rows; signed numbers convert in one instruction.
        (squares as i64 as f64, f64::from(self.n_draws() as i32))
    }

    fn mean(&self, output: usize) -> f64 {
        f64::from(self.0[output]) / self.weight()
    }

    #[inline]
    fn is_alike(one: u16, other: u16) -> bool {
        one == other
    }
}

/// Weight per class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights<const W: usize> {
    n_draws: u32,
    weights: [f64; W],
}

impl<const W: usize> Default for Weights<W> {
    fn default() -> Self {
        Self { n_draws: 0, weights: [0.0; W] }
    }
}

impl<const W: usize> Cell for Weights<W> {
    type Payload = (u16, f32);

    const N_ORDERS: usize = if W > 2 { W } else { 1 };

    #[inline]
    fn add(&mut self, n_draws: u16, (class, weight): (u16, f32)) {
        self.n_draws += u32::from(n_draws);
        self.weights[usize::from(class)] += f64::from(n_draws) * f64::from(weight);
    }

    #[inline]
    fn merge(&mut self, other: &Self) {
        self.n_draws += other.n_draws;
        self.weights = array::from_fn(|class| self.weights[class] + other.weights[class]);
    }

    #[inline]
    fn remove(&mut self, other: &Self) {
        self.n_draws -= other.n_draws;
        self.weights = array::from_fn(|class| (self.weights[class] - other.weights[class]).max(0.0));
    }

    #[inline]
    fn n_draws(&self) -> u32 {
        self.n_draws
    }

    #[inline]
    fn weight(&self) -> f64 {
        self.weights.iter().sum()
    }

    #[inline]
    fn purity_parts(&self) -> (f64, f64) {
        (self.weights.iter().map(|weight| weight * weight).sum(), self.weight().max(f64::MIN_POSITIVE))
    }

    fn mean(&self, output: usize) -> f64 {
        self.weights[output] / self.weight()
    }

    #[inline]
    fn is_alike(one: (u16, f32), other: (u16, f32)) -> bool {
        one.0 == other.0
    }
}

/// Draws and the sum of their targets, in steps from the middle of the range: numbers of one width, which are added in one instruction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Steps {
    n_draws: i64,
    sum: i64,
}

impl Cell for Steps {
    type Payload = i32;

    const N_ORDERS: usize = 1;

    #[inline]
    fn add(&mut self, n_draws: u16, steps: i32) {
        self.n_draws += i64::from(n_draws);
        self.sum += i64::from(n_draws) * i64::from(steps);
    }

    #[inline]
    fn merge(&mut self, other: &Self) {
        self.n_draws += other.n_draws;
        self.sum += other.sum;
    }

    #[inline]
    fn remove(&mut self, other: &Self) {
        self.n_draws -= other.n_draws;
        self.sum -= other.sum;
    }

    #[inline]
    fn n_draws(&self) -> u32 {
        self.n_draws as u32
    }

    #[inline]
    fn weight(&self) -> f64 {
        self.n_draws as f64
    }

    #[inline]
    fn purity_parts(&self) -> (f64, f64) {
        let sum = self.sum as f64 / TARGET_STEPS;
        (sum * sum, self.n_draws as f64)
    }

    fn mean(&self, _output: usize) -> f64 {
        self.sum as f64 / TARGET_STEPS / self.weight()
    }

    #[inline]
    fn is_alike(one: i32, other: i32) -> bool {
        one == other
    }
}

/// Weight and the weighted sum of targets, in steps from the middle of the range.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WeightedSteps {
    n_draws: u32,
    weight: f64,
    sum: f64,
}

impl Cell for WeightedSteps {
    type Payload = (i32, f32);

    const N_ORDERS: usize = 1;

    #[inline]
    fn add(&mut self, n_draws: u16, (steps, weight): (i32, f32)) {
        let weight = f64::from(n_draws) * f64::from(weight);
        self.n_draws += u32::from(n_draws);
        self.weight += weight;
        self.sum += weight * f64::from(steps);
    }

    #[inline]
    fn merge(&mut self, other: &Self) {
        self.n_draws += other.n_draws;
        self.weight += other.weight;
        self.sum += other.sum;
    }

    #[inline]
    fn remove(&mut self, other: &Self) {
        self.n_draws -= other.n_draws;
        self.weight = (self.weight - other.weight).max(0.0);
        self.sum -= other.sum;
    }

    #[inline]
    fn n_draws(&self) -> u32 {
        self.n_draws
    }

    #[inline]
    fn weight(&self) -> f64 {
        self.weight
    }

    #[inline]
    fn purity_parts(&self) -> (f64, f64) {
        let sum = self.sum / TARGET_STEPS;
        (sum * sum, self.weight.max(f64::MIN_POSITIVE))
    }

    fn mean(&self, _output: usize) -> f64 {
        self.sum / TARGET_STEPS / self.weight
    }

    #[inline]
    fn is_alike(one: (i32, f32), other: (i32, f32)) -> bool {
        one.0 == other.0
    }
}

/// How finely gradients are divided: 1 in steps. They are at most 1 in size, so sums of 2³¹ rows stay below 2⁶².
pub(crate) const GRADIENT_STEPS: f64 = (1_u64 << 30) as f64;

/// How finely curvatures are divided: 1 in steps. They are at most a quarter, so sums of [`MAX_BOOSTED_ROWS`] stay below 2⁴⁰.
pub(crate) const CURVATURE_STEPS: f64 = (1_u64 << 18) as f64;

/// Where the rows of [`Gradients`] are counted: above the sum of their curvatures.
const COUNT_SHIFT: u32 = 40;

/// Rows that a tree of boosting may see: as many as can be counted beside their curvatures.
pub(crate) const MAX_BOOSTED_ROWS: u32 = (1 << (u64::BITS - COUNT_SHIFT)) - 1;

/// Draws with the sums of their gradients and curvatures, for boosting: the mean is a Newton step. Two numbers of one width, which are added in
/// one instruction: most of boosting's time goes into these sums.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gradients {
    gradient: i64,
    /// Draws above [`COUNT_SHIFT`], curvature below.
    count_and_curvature: u64,
}

impl Gradients {
    fn curvature(&self) -> f64 {
        (self.count_and_curvature & ((1 << COUNT_SHIFT) - 1)) as f64 / CURVATURE_STEPS
    }
}

impl Cell for Gradients {
    type Payload = (i32, u32);

    const N_ORDERS: usize = 1;

    #[inline]
    fn add(&mut self, n_draws: u16, (gradient, curvature): (i32, u32)) {
        self.gradient += i64::from(n_draws) * i64::from(gradient);
        self.count_and_curvature += u64::from(n_draws) * (1 << COUNT_SHIFT | u64::from(curvature));
    }

    #[inline]
    fn merge(&mut self, other: &Self) {
        self.gradient += other.gradient;
        self.count_and_curvature += other.count_and_curvature;
    }

    #[inline]
    fn remove(&mut self, other: &Self) {
        self.gradient -= other.gradient;
        self.count_and_curvature -= other.count_and_curvature;
    }

    #[inline]
    fn n_draws(&self) -> u32 {
        (self.count_and_curvature >> COUNT_SHIFT) as u32
    }

    #[inline]
    fn weight(&self) -> f64 {
        self.curvature()
    }

    #[inline]
    fn purity_parts(&self) -> (f64, f64) {
        let gradient = self.gradient as f64 / GRADIENT_STEPS;
        (gradient * gradient, self.curvature().max(f64::MIN_POSITIVE))
    }

    fn mean(&self, _output: usize) -> f64 {
        self.gradient as f64 / GRADIENT_STEPS / self.curvature().max(1.0 / CURVATURE_STEPS)
    }

    #[inline]
    fn is_alike(one: (i32, u32), other: (i32, u32)) -> bool {
        one == other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contract of every cell: merging is adding, removing undoes it, purity is largest for equal rows.
    fn keeps_the_contract<C: Cell>(one: C::Payload, other: C::Payload, weight: f64) {
        let cell = |payloads: &[C::Payload]| {
            let mut cell = C::default();
            payloads.iter().for_each(|&payload| cell.add(2, payload));
            cell
        };
        let mut both = cell(&[one]);
        both.merge(&cell(&[other]));
        assert_eq!((both.n_draws(), both.weight()), (4, 4.0 * weight));
        assert_eq!(both.purity(), cell(&[one, other]).purity());
        both.remove(&cell(&[other]));
        assert_eq!(both.purity(), cell(&[one]).purity());
        assert!(cell(&[one]).purity() + cell(&[other]).purity() > cell(&[one, other]).purity());
        assert!(C::is_alike(one, one) && !C::is_alike(one, other));
    }

    #[test]
    fn every_cell_keeps_the_contract() {
        keeps_the_contract::<Counts<2>>(0, 1, 1.0);
        keeps_the_contract::<Weights<2>>((0, 0.5), (1, 0.5), 0.5);
        keeps_the_contract::<Entropy<Weights<4>>>((0, 0.5), (1, 0.5), 0.5);
        keeps_the_contract::<Gradients>((-3, 5), (7, 5), 5.0 / CURVATURE_STEPS);
        keeps_the_contract::<Steps>(-3, 7, 1.0);
        keeps_the_contract::<WeightedSteps>((-3, 0.5), (7, 0.5), 0.5);
    }

    #[test]
    fn as_many_rows_as_may_be_boosted_neither_wrap_nor_mix() {
        let most = (CURVATURE_STEPS / 4.0) as u32;
        let (mut cell, mut part) = (Gradients::default(), Gradients::default());
        // 65,535 × 256 rows, and 255 more.
        part.add(u16::MAX, (i32::MIN, most));
        (0..256).for_each(|_| cell.merge(&part));
        cell.add(255, (i32::MIN, most));
        assert_eq!(cell.n_draws(), MAX_BOOSTED_ROWS);
        assert_eq!(cell.weight(), f64::from(MAX_BOOSTED_ROWS) / 4.0);
        (0..256).for_each(|_| cell.remove(&part));
        assert_eq!((cell.n_draws(), cell.weight()), (255, 255.0 / 4.0));
    }
}
