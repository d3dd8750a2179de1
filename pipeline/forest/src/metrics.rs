//! How good predicted class probabilities are: accuracy, confusion, precision and recall, log loss, Brier score.

use serde::{Deserialize, Serialize};

/// Probabilities are held this far from 0 and 1 before a logarithm is taken.
pub const LOG_LOSS_MARGIN: f64 = 1e-15;

/// Predicted class probabilities with the classes that came true, borrowed and checked once.
#[derive(Clone, Copy, Debug)]
pub struct Classified<'a> {
    n_classes: usize,
    probabilities: &'a [f64],
    labels: &'a [u16],
}

/// Predictions that cannot be scored.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MetricError {
    /// No rows.
    #[error("no rows to score")]
    Empty,
    /// Lists of different length.
    #[error("`{list}` has {found} entries, expected {expected}")]
    Length {
        /// The list.
        list: &'static str,
        /// The length it should have.
        expected: usize,
        /// Its length.
        found: usize,
    },
    /// A number outside [0, 1].
    #[error("row {row}: `{list}` must lie in [0, 1], found {found}")]
    Range {
        /// The row, from 0.
        row: usize,
        /// The list.
        list: &'static str,
        /// The number.
        found: f64,
    },
    /// A class that is not there.
    #[error("row {row}: class {found} where there are {n_classes}")]
    Class {
        /// The row, from 0.
        row: usize,
        /// The class.
        found: u16,
        /// Number of classes.
        n_classes: usize,
    },
}

/// Scores of one class against all others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// Share of the rows predicted as this class that are; 0 where none was predicted.
    pub precision: f64,
    /// Share of the class's rows that were predicted as such; 0 where there is none.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Rows of the class.
    pub support: u64,
}

/// All scores of predicted class probabilities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// Number of rows.
    pub n_rows: usize,
    /// Share of rows whose most probable class came true, the first of equals.
    pub accuracy: f64,
    /// Mean of −ln of the probability given to the true class, in nats.
    pub log_loss: f64,
    /// Mean over rows of the squared distance to the true class's indicator, summed over classes: 0 to 2.
    pub brier: f64,
    /// Mean F1 over the classes that occur or were predicted.
    pub macro_f1: f64,
    /// One score per class.
    pub classes: Vec<ClassScore>,
    /// Rows by true class (outer) and predicted class (inner).
    pub confusion: Vec<Vec<u64>>,
}

impl<'a> Classified<'a> {
    /// Checks predictions. `probabilities`: n × `n_classes`, row after row, each in [0, 1]; `labels`: n classes below `n_classes`.
    ///
    /// # Errors
    /// [`MetricError`] names the first row that does not hold.
    pub fn new(n_classes: usize, probabilities: &'a [f64], labels: &'a [u16]) -> Result<Self, MetricError> {
        if labels.is_empty() || n_classes == 0 {
            return Err(MetricError::Empty);
        }
        if probabilities.len() != labels.len() * n_classes {
            return Err(MetricError::Length { list: "probabilities", expected: labels.len() * n_classes, found: probabilities.len() });
        }
        check_unit("probabilities", probabilities, n_classes)?;
        if let Some(row) = labels.iter().position(|&label| n_classes <= usize::from(label)) {
            return Err(MetricError::Class { row, found: labels[row], n_classes });
        }
        Ok(Self { n_classes, probabilities, labels })
    }

    /// Pairs of a row's probabilities and its true class.
    fn rows(&self) -> impl Iterator<Item = (&'a [f64], usize)> + use<'a> {
        self.probabilities.chunks_exact(self.n_classes).zip(self.labels.iter().map(|&label| usize::from(label)))
    }

    /// Mean of −ln of the probability given to the true class, held [`LOG_LOSS_MARGIN`] away from 0.
    pub fn log_loss(&self) -> f64 {
        let sum: f64 = self.rows().map(|(row, label)| -row[label].clamp(LOG_LOSS_MARGIN, 1.0).ln()).sum();
        sum / self.labels.len() as f64
    }

    /// Mean squared distance to the true class's indicator, summed over classes.
    pub fn brier(&self) -> f64 {
        let distance = |row: &[f64], label| -> f64 {
            row.iter().enumerate().map(|(class, p)| (p - f64::from(u8::from(class == label))).powi(2)).sum()
        };
        self.rows().map(|(row, label)| distance(row, label)).sum::<f64>() / self.labels.len() as f64
    }

    /// Share of rows whose most probable class came true.
    pub fn accuracy(&self) -> f64 {
        self.rows().filter(|(row, label)| most_probable(row) == *label).count() as f64 / self.labels.len() as f64
    }

    /// All scores at once.
    pub fn metrics(&self) -> ClassMetrics {
        let mut confusion = vec![vec![0_u64; self.n_classes]; self.n_classes];
        self.rows().for_each(|(row, label)| confusion[label][most_probable(row)] += 1);
        let classes = class_scores(&confusion);
        let is_seen = |class: &usize| classes[*class].support > 0 || confusion.iter().any(|row| row[*class] > 0);
        let seen: Vec<f64> = (0..self.n_classes).filter(is_seen).map(|class| classes[class].f1).collect();
        ClassMetrics {
            n_rows: self.labels.len(),
            accuracy: self.accuracy(),
            log_loss: self.log_loss(),
            brier: self.brier(),
            macro_f1: seen.iter().sum::<f64>() / seen.len() as f64,
            classes,
            confusion,
        }
    }
}

/// Scores per class from rows by true class (outer) and predicted class (inner), a square table.
pub fn class_scores(confusion: &[Vec<u64>]) -> Vec<ClassScore> {
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let score = |class: usize| {
        let hits = confusion[class][class];
        let support = confusion[class].iter().sum();
        let predicted: u64 = confusion.iter().map(|row| row[class]).sum();
        let (precision, recall) = (share(hits, predicted), share(hits, support));
        ClassScore { precision, recall, f1: share(2 * hits, predicted + support), support }
    };
    (0..confusion.len()).map(score).collect()
}

/// The class of highest probability, the first of equals.
pub fn most_probable(probabilities: &[f64]) -> usize {
    let better = |best: usize, class: usize| if probabilities[class] > probabilities[best] { class } else { best };
    (0..probabilities.len()).fold(0, better)
}

/// Whether all numbers lie in [0, 1]; `width` of them make a row.
pub(crate) fn check_unit(list: &'static str, numbers: &[f64], width: usize) -> Result<(), MetricError> {
    /// Sums of rounded shares may pass 1 by this much.
    const ROUNDING: f64 = 1e-6;
    match numbers.iter().position(|number| !(-ROUNDING..=1.0 + ROUNDING).contains(number)) {
        Some(position) => Err(MetricError::Range { row: position / width, list, found: numbers[position] }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBABILITIES: [f64; 12] = [0.7, 0.2, 0.1, 0.1, 0.8, 0.1, 0.5, 0.5, 0.0, 0.2, 0.3, 0.5];
    const LABELS: [u16; 4] = [0, 1, 1, 2];

    #[test]
    fn scores_match_sums_by_hand() {
        let metrics = Classified::new(3, &PROBABILITIES, &LABELS).unwrap().metrics();
        assert_eq!(metrics.accuracy, 0.75);
        assert_eq!(metrics.confusion, [[1, 0, 0], [1, 1, 0], [0, 0, 1]]);
        let log_loss = -(0.7_f64.ln() + 0.8_f64.ln() + 0.5_f64.ln() + 0.5_f64.ln()) / 4.0;
        assert!((metrics.log_loss - log_loss).abs() < 1e-12);
        // 0.09 + 0.04 + 0.01, 0.01 + 0.04 + 0.01, 0.25 + 0.25, 0.04 + 0.09 + 0.25
        assert!((metrics.brier - (0.14 + 0.06 + 0.5 + 0.38) / 4.0).abs() < 1e-12);
        let first = metrics.classes[0];
        assert_eq!((first.precision, first.recall, first.support), (0.5, 1.0, 1));
        assert!((first.f1 - 2.0 / 3.0).abs() < 1e-12);
        assert!((metrics.macro_f1 - (2.0 / 3.0 + 2.0 / 3.0 + 1.0) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_probability_of_zero_costs_no_more_than_the_margin() {
        let loss = Classified::new(2, &[1.0, 0.0], &[1]).unwrap().log_loss();
        assert!((loss - -LOG_LOSS_MARGIN.ln()).abs() < 1e-9);
    }

    #[test]
    fn predictions_that_cannot_be_scored_are_refused() {
        assert_eq!(Classified::new(2, &[], &[]).unwrap_err(), MetricError::Empty);
        assert!(Classified::new(2, &[0.5], &[0]).is_err());
        assert!(Classified::new(2, &[f64::NAN, 0.5], &[0]).is_err());
        assert_eq!(Classified::new(2, &[0.5, 0.5], &[2]).unwrap_err(), MetricError::Class { row: 0, found: 2, n_classes: 2 });
    }
}
