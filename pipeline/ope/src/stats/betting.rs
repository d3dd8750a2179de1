//! Confidence sequences by betting: a mean is refuted once a bet against it has won enough.

use routewright_domain::Interval;

use super::empirical_bernstein::predictable_bets;

/// Means that are bet against: 0, 0.001, …, 1.
const GRID: usize = 1_000;

/// Share of its capital that a bet may lose on one value.
const LARGEST_LOSS: f64 = 0.5;

/// An interval of the mean of values in [0, 1] after every value; all of them cover together except with probability `alpha`.
///
/// On a grid of thousandths, each end one step further out. A thousand bets per value: for up to some ten thousand values.
///
/// Source: the hedged capital process of Waudby-Smith and Ramdas (2024). Golden values: confseq 0.0.11.
pub fn betting_sequence(values: &[f64], alpha: f64) -> Vec<Interval> {
    let bets = predictable_bets(values, alpha / 2.0);
    let mut found = vec![(None, None); values.len()];
    for step in 0..=GRID {
        for ((first, last), capital) in found.iter_mut().zip(capitals(values, &bets, step as f64 / GRID as f64)) {
            if capital <= 1.0 / alpha {
                first.get_or_insert(step);
                *last = Some(step);
            }
        }
    }
    let of_steps = |(first, last): (Option<usize>, Option<usize>)| {
        let (first, last) = (first.unwrap_or(0), last.unwrap_or(GRID));
        Interval { lower: first.saturating_sub(1) as f64 / GRID as f64, upper: (last + 1).min(GRID) as f64 / GRID as f64 }
    };
    found.into_iter().map(of_steps).collect()
}

/// What half a unit has become, of two that bet on a larger and on a smaller mean than `mean`: the larger one, after every value.
fn capitals<'a>(values: &'a [f64], bets: &'a [f64], mean: f64) -> impl Iterator<Item = f64> + 'a {
    let (mut up, mut down) = (0.5, 0.5);
    values.iter().zip(bets).map(move |(value, bet)| {
        let surprise = value - mean;
        // A bet that cannot lose is not limited; where it also cannot win, nothing happens.
        let stake = |limit: f64| if limit == 0.0 { *bet } else { bet.min(LARGEST_LOSS / limit) };
        up *= 1.0 + stake(mean) * surprise;
        down *= 1.0 - stake(1.0 - mean) * surprise;
        f64::max(up, down)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interval_holds_the_share_of_a_fair_sequence() {
        let values: Vec<f64> = (0..300).map(|row| f64::from(row % 2)).collect();
        let sequence = betting_sequence(&values, 0.05);
        assert!(sequence.iter().all(|interval| interval.contains(0.5)));
        assert!(sequence[299].upper - sequence[299].lower < 0.25);
    }
}
