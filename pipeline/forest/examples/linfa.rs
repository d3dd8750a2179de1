//! A forest of ours in the hands of linfa: its datasets, its `Fit` and `Predict`, its metrics. `cargo run --example linfa --features ecosystem`
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;

use linfa::prelude::*;
use ndarray::{Array1, Array2};
use rand::RngExt as _;
use routewright_domain::Seed;
use routewright_forest::ForestParams;
use routewright_forest::linfa_traits::{RandomForestClassifier, RandomForestRegressor};

fn main() -> Result<(), Box<dyn Error>> {
    let mut rng = Seed(3).rng();
    let records = Array2::from_shape_fn((2_000, 4), |_| rng.random::<f64>());
    let classes: Array1<usize> = records.rows().into_iter().map(|row| usize::from(row[0] + row[1] * row[2] > 0.8)).collect();
    let (train, test) = Dataset::new(records.clone(), classes).split_with_ratio(0.7);
    let forest = RandomForestClassifier { params: ForestParams::default(), seed: Seed(1) }.fit(&train)?;
    let confusion = forest.predict(&test).confusion_matrix(&test)?;
    println!("{confusion:?}\naccuracy {:.3}, Matthews correlation {:.3}", confusion.accuracy(), confusion.mcc());

    let target: Array1<f64> = records.rows().into_iter().map(|row| row[0] * 10.0 + row[1] * row[2]).collect();
    let (train, test) = Dataset::new(records, target).split_with_ratio(0.7);
    let forest = RandomForestRegressor { params: ForestParams::default(), seed: Seed(1) }.fit(&train)?;
    println!("R² {:.3}, {} trees for the router", forest.predict(&test).r2(&test)?, forest.forest().n_trees());
    Ok(())
}
