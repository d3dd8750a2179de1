//! What holds for every forest: the edges of its input, and what its result does not depend on.
#![expect(clippy::unwrap_used, reason = "tests, and the functions they share")]

use proptest::prelude::*;
use routewright_domain::Seed;
use routewright_forest::{
    Binned, ClassWeight, Classified, Criterion, Cuts, FitError, Fitted, ForestParams, MAX_BINS, Matrix, MaxFeatures, OutOfBag, Sample,
    continue_regressor, contributions, fit_classifier, fit_regressor, predict,
};
use routewright_router::{Forest, NodeKind, Test};

/// Columns of few and many values with some missing, and labels of three classes that follow them.
fn table(n_rows: usize, seed: u64) -> (Vec<Vec<f32>>, Vec<u16>) {
    let mut rng = Seed(seed).rng();
    let mut uniform = move || rng.next_u32() as f32 / u32::MAX as f32;
    let mut columns: Vec<Vec<f32>> = (0..5).map(|_| (0..n_rows).map(|_| uniform()).collect()).collect();
    columns[3].iter_mut().for_each(|value| *value = (*value * 3.0).floor());
    columns[4].iter_mut().filter(|value| **value < 0.2).for_each(|value| *value = f32::NAN);
    let label = |row: usize| u16::from(columns[0][row] > 0.5) + u16::from(columns[4][row].is_nan() || columns[1][row] > 0.7);
    let labels = (0..n_rows).map(label).collect();
    (columns, labels)
}

fn all_rows(n_rows: usize) -> Vec<u32> {
    (0..n_rows as u32).collect()
}

fn classifier(columns: &[Vec<f32>], rows: &[u32], labels: &[u16], weights: Option<&[f32]>, params: &ForestParams) -> Fitted {
    let binned = Binned::new(&Matrix::new(columns).unwrap(), MAX_BINS);
    fit_classifier(&binned, rows, labels, 3, weights, params, Seed(1)).unwrap()
}

fn regressor(columns: &[Vec<f32>], rows: &[u32], target: &[f64], weights: Option<&[f32]>, params: &ForestParams) -> Fitted {
    let binned = Binned::new(&Matrix::new(columns).unwrap(), MAX_BINS);
    fit_regressor(&binned, rows, target, weights, params, Seed(1)).unwrap()
}

fn few_trees() -> ForestParams {
    ForestParams { n_trees: 8, ..ForestParams::default() }
}

/// Every row once and no draw of rows: what then differs, differs because of the rows.
fn without_bootstrap() -> ForestParams {
    ForestParams { sample: Sample::All, ..few_trees() }
}

#[test]
fn a_forest_learns_what_is_there_to_learn() {
    let (columns, labels) = table(2000, 1);
    let (train, test): (Vec<u32>, Vec<u32>) = (0..2000).partition(|row| row % 4 != 0);
    let truth: Vec<u16> = test.iter().map(|&row| labels[row as usize]).collect();
    let matrix = Matrix::new(&columns).unwrap();
    let target: Vec<f64> = labels.iter().map(|&label| f64::from(label) * 10.0).collect();
    for (max_features, cuts, least) in
        [(MaxFeatures::Sqrt, Cuts::Best, 0.97), (MaxFeatures::All, Cuts::Best, 0.98), (MaxFeatures::All, Cuts::Random, 0.93)]
    {
        let params = ForestParams { n_trees: 50, max_features, cuts, ..ForestParams::default() };
        let forest = classifier(&columns, &train, &labels, None, &params).forest;
        let probabilities = predict(&forest, &matrix, &test);
        assert!(Classified::new(3, &probabilities, &truth).unwrap().accuracy() > least, "{max_features:?} {cuts:?}");
        let means = predict(&regressor(&columns, &train, &target, None, &params).forest, &matrix, &test);
        let error = means.iter().zip(&truth).map(|(mean, &label)| (mean - 10.0 * f64::from(label)).abs()).sum::<f64>() / truth.len() as f64;
        assert!(error < 1.5, "{max_features:?} {cuts:?}: {error}");
    }
}

#[test]
fn threads_do_not_matter() {
    let (columns, labels) = table(700, 2);
    let target: Vec<f64> = columns[1].iter().map(|&value| f64::from(value).exp()).collect();
    let params = ForestParams { out_of_bag: OutOfBag::Predict, ..few_trees() };
    let fit = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| {
            let classifier = classifier(&columns, &all_rows(700), &labels, None, &params);
            let regressor = regressor(&columns, &all_rows(700), &target, None, &params);
            let bits = |fitted: &Fitted| fitted.out_of_bag.iter().map(|value| value.to_bits()).collect::<Vec<u64>>();
            [classifier, regressor].map(|fitted| (fitted.forest.to_bytes(), bits(&fitted), fitted.importance))
        })
    };
    assert_eq!(fit(1), fit(2));
}

#[test]
fn the_order_of_rows_does_not_matter_without_a_bootstrap() {
    let (columns, labels) = table(1500, 3);
    let target: Vec<f64> = columns[0].iter().zip(&columns[1]).map(|(one, two)| f64::from(one * two)).collect();
    let mut turned = columns.clone();
    turned.iter_mut().for_each(|column| column.rotate_left(389));
    let (mut turned_labels, mut turned_target) = (labels.clone(), target.clone());
    turned_labels.rotate_left(389);
    turned_target.rotate_left(389);
    for max_features in [MaxFeatures::Sqrt, MaxFeatures::All] {
        let params = ForestParams { max_features, ..without_bootstrap() };
        let rows = all_rows(1500);
        assert_eq!(classifier(&columns, &rows, &labels, None, &params), classifier(&turned, &rows, &turned_labels, None, &params));
        assert_eq!(regressor(&columns, &rows, &target, None, &params), regressor(&turned, &rows, &turned_target, None, &params));
    }
}

#[test]
fn a_row_twice_is_a_row_of_weight_two() {
    let (columns, labels) = table(300, 4);
    let target: Vec<f64> = columns[2].iter().map(|&value| f64::from(value)).collect();
    let twice: Vec<u32> = (0..300).chain(0..100).collect();
    let weights: Vec<f32> = (0..300).map(|row| if row < 100 { 2.0 } else { 1.0 }).collect();
    let params = without_bootstrap();
    let (repeated, weighted) =
        (classifier(&columns, &twice, &labels, None, &params), classifier(&columns, &all_rows(300), &labels, Some(&weights), &params));
    assert_eq!(repeated.forest, weighted.forest);
    let (repeated, weighted) =
        (regressor(&columns, &twice, &target, None, &params), regressor(&columns, &all_rows(300), &target, Some(&weights), &params));
    // Weighted sums of steps pass 2⁵³ and are rounded, so equal worth may be decided the other way; predictions stay the same.
    let matrix = Matrix::new(&columns).unwrap();
    let difference = predict(&repeated.forest, &matrix, &all_rows(300))
        .iter()
        .zip(predict(&weighted.forest, &matrix, &all_rows(300)))
        .fold(0.0_f64, |largest, (one, other)| largest.max((one - other).abs()));
    assert!(difference < 1e-6, "{difference}");
}

#[test]
fn rows_of_weight_zero_are_as_good_as_absent() {
    let (columns, labels) = table(300, 5);
    let weights: Vec<f32> = (0..300).map(|row| f32::from(u8::from(row < 200))).collect();
    let ones = vec![1.0; 300];
    let with = classifier(&columns, &all_rows(300), &labels, Some(&weights), &few_trees());
    assert_eq!(with.forest, classifier(&columns, &all_rows(200), &labels, Some(&ones), &few_trees()).forest);
    let binned = Binned::new(&Matrix::new(&columns).unwrap(), MAX_BINS);
    let zero = fit_classifier(&binned, &all_rows(300), &labels, 3, Some(&[0.0; 300]), &few_trees(), Seed(1));
    assert_eq!(zero.unwrap_err(), FitError::NoRows);
}

#[test]
fn a_monotone_transform_leaves_predictions_of_training_rows_as_they_are() {
    let (columns, labels) = table(500, 6);
    let mut moved = columns.clone();
    moved[0].iter_mut().for_each(|value| *value = value.exp() * 100.0);
    let fit = |columns: &[Vec<f32>]| {
        let forest = classifier(columns, &all_rows(500), &labels, None, &few_trees()).forest;
        predict(&forest, &Matrix::new(columns).unwrap(), &all_rows(500))
    };
    assert_eq!(fit(&columns), fit(&moved));
}

#[test]
fn histograms_by_subtraction_are_histograms_by_counting() {
    // With all columns in every node, nodes from 1,024 rows on subtract; with one column of two they count.
    let (columns, labels) = table(6000, 7);
    let twin = vec![columns[0].clone(), columns[1].clone()];
    let all = ForestParams { max_features: MaxFeatures::All, n_trees: 1, ..without_bootstrap() };
    let subtracted = classifier(&twin, &all_rows(6000), &labels, None, &all).forest;
    let wide: Vec<Vec<f32>> = [twin.clone(), vec![vec![0.0; 6000]; 3]].concat();
    let counted = classifier(&wide, &all_rows(6000), &labels, None, &ForestParams { max_features: MaxFeatures::Count(2), ..all }).forest;
    assert_eq!(
        predict(&subtracted, &Matrix::new(&twin).unwrap(), &all_rows(6000)),
        predict(&counted, &Matrix::new(&wide).unwrap(), &all_rows(6000))
    );
}

#[test]
fn constant_targets_single_classes_single_rows_and_empty_columns_give_leaves() {
    let (columns, labels) = table(50, 8);
    let single_leaf = |forest: &Forest| forest.nodes().iter().all(|node| matches!(node.kind(), NodeKind::Leaf { .. }));
    let constant = regressor(&columns, &all_rows(50), &[2.5; 50], None, &few_trees());
    assert!(single_leaf(&constant.forest) && constant.importance.iter().all(|importance| *importance == 0.0));
    assert_eq!(predict(&constant.forest, &Matrix::new(&columns).unwrap(), &[0]), [2.5]);
    let one_class = classifier(&columns, &all_rows(50), &[1; 50], None, &few_trees());
    assert_eq!(predict(&one_class.forest, &Matrix::new(&columns).unwrap(), &[0]), [0.0, 1.0, 0.0]);
    assert!(single_leaf(&classifier(&columns, &[7], &labels, None, &few_trees()).forest));
    let missing = [vec![f32::NAN; 50]];
    assert!(single_leaf(&classifier(&missing, &all_rows(50), &labels, None, &few_trees()).forest));
    let infinite = [(0..50).map(|row| if row % 2 == 0 { f32::INFINITY } else { f32::NEG_INFINITY }).collect::<Vec<f32>>()];
    let target: Vec<f64> = (0..50).map(|row| f64::from(row % 2)).collect();
    let forest = regressor(&infinite, &all_rows(50), &target, None, &without_bootstrap()).forest;
    assert_eq!(predict(&forest, &Matrix::new(&infinite).unwrap(), &[0, 1]), [0.0, 1.0]);
}

#[test]
fn missing_values_have_a_side_of_their_own() {
    let columns = [(0..60).map(|row| if row % 3 == 0 { f32::NAN } else { (row % 3) as f32 }).collect::<Vec<f32>>()];
    let labels: Vec<u16> = (0..60).map(|row| [1, 0, 2][row % 3]).collect();
    let forest = classifier(&columns, &all_rows(60), &labels, None, &without_bootstrap()).forest;
    let matrix = Matrix::new(&columns).unwrap();
    assert_eq!(predict(&forest, &matrix, &[0, 1, 2]), [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn a_few_trees_grown_by_all_threads_are_the_trees_of_one_thread() {
    let (columns, labels) = table(20_000, 12);
    let target: Vec<f64> = columns[0].iter().zip(&columns[1]).map(|(one, two)| f64::from(one * two)).collect();
    let fit = |n_threads: usize, max_features, cuts| {
        let params = ForestParams { n_trees: 2, max_features, cuts, ..ForestParams::default() };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        let rows = all_rows(20_000);
        pool.install(|| {
            [classifier(&columns, &rows, &labels, None, &params), regressor(&columns, &rows, &target, None, &params)]
                .map(|fitted| (fitted.forest.to_bytes(), fitted.importance))
        })
    };
    for (max_features, cuts) in [(MaxFeatures::Sqrt, Cuts::Best), (MaxFeatures::All, Cuts::Best), (MaxFeatures::Sqrt, Cuts::Random)] {
        assert_eq!(fit(1, max_features, cuts), fit(3, max_features, cuts), "{max_features:?} {cuts:?}");
    }
}

#[test]
fn the_order_of_columns_does_not_matter_where_no_two_cuts_are_worth_the_same() {
    let (columns, _) = table(400, 13);
    let target: Vec<f64> = columns[0].iter().zip(&columns[2]).map(|(one, two)| f64::from(one + 2.0 * two * two)).collect();
    let params = ForestParams { max_features: MaxFeatures::All, min_samples_leaf: 5, ..without_bootstrap() };
    let (rows, order) = (all_rows(400), [3, 1, 4, 0, 2]);
    let turned: Vec<Vec<f32>> = order.iter().map(|&column| columns[column].clone()).collect();
    let (one, other) = (regressor(&columns, &rows, &target, None, &params), regressor(&turned, &rows, &target, None, &params));
    let predictions = |fitted: &Fitted, columns: &[Vec<f32>]| predict(&fitted.forest, &Matrix::new(columns).unwrap(), &rows);
    assert_eq!(predictions(&one, &columns), predictions(&other, &turned));
    for (position, &column) in order.iter().enumerate() {
        assert!((other.importance[position] - one.importance[column]).abs() < 1e-12);
    }
}

#[test]
fn columns_that_say_the_same_give_the_same_predictions_in_any_order() {
    let (mut columns, labels) = table(400, 14);
    columns[1] = columns[0].clone();
    columns[2] = columns[0].iter().map(|value| value.powi(3)).collect();
    let params = ForestParams { max_features: MaxFeatures::All, ..without_bootstrap() };
    let (rows, order) = (all_rows(400), [2, 4, 1, 3, 0]);
    let turned: Vec<Vec<f32>> = order.iter().map(|&column| columns[column].clone()).collect();
    let predictions = |columns: &[Vec<f32>]| {
        let forest = classifier(columns, &rows, &labels, None, &params).forest;
        predict(&forest, &Matrix::new(columns).unwrap(), &rows)
    };
    assert_eq!(predictions(&columns), predictions(&turned));
}

/// One column of 30 categories without an order, of which every third succeeds, and one of noise.
fn categories() -> (Vec<Vec<f32>>, Vec<u16>) {
    let (mut columns, _) = table(1800, 15);
    columns.truncate(2);
    columns[0] = (0..1800).map(|row| if row % 31 == 30 { f32::NAN } else { (row % 31) as f32 }).collect();
    let labels = (0..1800).map(|row| u16::from(row % 31 == 30 || (row % 31) % 3 == 0)).collect();
    (columns, labels)
}

#[test]
fn categories_are_told_apart_by_one_set() {
    let (columns, labels) = categories();
    let matrix = Matrix::new(&columns).unwrap();
    let rows = all_rows(1800);
    let target: Vec<f64> = labels.iter().map(|&label| f64::from(label)).collect();
    let params = ForestParams { max_depth: 1, max_features: MaxFeatures::All, ..without_bootstrap() };
    let by_set = Binned::with_categories(&matrix, MAX_BINS, |column| column == 0);
    for weights in [None, Some(vec![0.5; 1800])] {
        let forest = fit_classifier(&by_set, &rows, &labels, 3, weights.as_deref(), &params, Seed(1)).unwrap().forest;
        assert_eq!(predict(&forest, &matrix, &[0, 1, 2, 30]), [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        assert_eq!(Forest::from_bytes(&forest.to_bytes()).unwrap(), forest);
    }
    let forest = fit_regressor(&by_set, &rows, &target, None, &params, Seed(1)).unwrap().forest;
    assert_eq!(predict(&forest, &matrix, &[0, 1, 2, 30]), [1.0, 0.0, 0.0, 1.0]);
    assert!(matches!(forest.nodes()[0].kind(), NodeKind::Split { test: Test::OneOf(_), .. }));
    // What it never saw goes where missing values go.
    let mut unseen = [0.0];
    forest.predict(&[77.0, 0.0], &mut unseen);
    assert_eq!(unseen, [1.0]);
    // As numbers, one cut cannot tell every third category apart.
    let as_numbers = fit_classifier(&Binned::new(&matrix, MAX_BINS), &rows, &labels, 3, None, &params, Seed(1)).unwrap().forest;
    assert!(predict(&as_numbers, &matrix, &[3, 4]).iter().all(|share| *share < 0.9));
}

#[test]
fn the_names_of_categories_do_not_matter() {
    let (columns, labels) = categories();
    let mut renamed = columns.clone();
    renamed[0].iter_mut().for_each(|value| *value = (*value * 7.0) % 31.0);
    let params = ForestParams { max_features: MaxFeatures::All, out_of_bag: OutOfBag::Predict, ..few_trees() };
    let fit = |columns: &[Vec<f32>], cuts| {
        let matrix = Matrix::new(columns).unwrap();
        let binned = Binned::with_categories(&matrix, MAX_BINS, |column| column == 0);
        let fitted = fit_classifier(&binned, &all_rows(1800), &labels, 2, None, &ForestParams { cuts, ..params }, Seed(1)).unwrap();
        let predictions = predict(&fitted.forest, &matrix, &all_rows(1800));
        (predictions, fitted.out_of_bag.iter().map(|value| value.to_bits()).collect::<Vec<u64>>())
    };
    let (one, other) = (fit(&columns, Cuts::Best), fit(&renamed, Cuts::Best));
    // Equally good sets may be found in another order, so rare rows may differ; what is learned may not.
    let n_different = one.0.iter().zip(&other.0).filter(|(one, other)| (**one - **other).abs() > 0.2).count();
    assert!(n_different < 36, "{n_different} of 3600");
    let score = |predictions: &[f64]| Classified::new(2, predictions, &labels).unwrap().accuracy();
    assert!(score(&one.0) > 0.99 && score(&fit(&columns, Cuts::Random).0) > 0.95);
}

#[test]
fn contributions_of_sets_sum_to_the_prediction() {
    let (columns, labels) = categories();
    let matrix = Matrix::new(&columns).unwrap();
    let binned = Binned::with_categories(&matrix, MAX_BINS, |column| column == 0);
    let forest = fit_classifier(&binned, &all_rows(1800), &labels, 2, None, &few_trees(), Seed(1)).unwrap().forest;
    for row in [[4.0, 0.3], [f32::NAN, 0.9], [200.0, 0.1]] {
        let (found, mut prediction) = (contributions(&forest, &row), [0.0; 2]);
        forest.predict(&row, &mut prediction);
        assert!((found.base[1] + found.columns[1] + found.columns[3] - prediction[1]).abs() < 1e-12);
    }
}

#[test]
fn entropy_and_balanced_classes_learn_too() {
    let (columns, labels) = table(1200, 16);
    let matrix = Matrix::new(&columns).unwrap();
    let rows = all_rows(1200);
    let entropy = ForestParams { criterion: Criterion::Entropy, ..without_bootstrap() };
    let shallow = ForestParams { max_depth: 4, max_features: MaxFeatures::All, ..entropy };
    let forest = classifier(&columns, &rows, &labels, None, &shallow).forest;
    assert!(Classified::new(3, &predict(&forest, &matrix, &rows), &labels).unwrap().accuracy() > 0.95);
    let grown = |criterion| classifier(&columns, &rows, &labels, None, &ForestParams { criterion, ..entropy }).forest;
    assert_ne!(grown(Criterion::Entropy), grown(Criterion::Gini));
    // A class of one row in twenty that no column knows: alone, its share is a twentieth; balanced, a half.
    let rare: Vec<u16> = (0..1200).map(|row| u16::from(row % 20 == 0)).collect();
    let mean_share = |class_weight| {
        let params = ForestParams { class_weight, min_samples_leaf: 1200, ..without_bootstrap() };
        let forest = classifier(&columns, &rows, &rare, None, &params).forest;
        predict(&forest, &matrix, &rows).iter().skip(1).step_by(3).sum::<f64>() / 1200.0
    };
    assert!((mean_share(ClassWeight::Equal) - 0.05).abs() < 1e-6);
    assert!((mean_share(ClassWeight::Balanced) - 0.5).abs() < 1e-6);
}

#[test]
fn honest_leaves_are_not_flattered_by_the_rows_that_found_them() {
    let (columns, _) = table(1000, 17);
    let mut rng = Seed(4).rng();
    let noise: Vec<f64> = (0..1000).map(|_| f64::from(rng.next_u32() % 2)).collect();
    let spread = |honest_share| {
        let params = ForestParams { honest_share, min_samples_leaf: 10, sample: Sample::Subsample(0.5), ..few_trees() };
        let forest = regressor(&columns, &all_rows(1000), &noise, None, &params).forest;
        predict(&forest, &Matrix::new(&columns).unwrap(), &all_rows(1000)).iter().map(|mean| (mean - 0.5).powi(2)).sum::<f64>() / 1000.0
    };
    let (greedy, honest) = (spread(0.0), spread(0.5));
    assert!(honest < 0.8 * greedy, "{honest} {greedy}");
    let (columns, labels) = table(2000, 18);
    let params = ForestParams { honest_share: 0.5, n_trees: 30, ..ForestParams::default() };
    let forest = classifier(&columns, &all_rows(2000), &labels, None, &params).forest;
    let probabilities = predict(&forest, &Matrix::new(&columns).unwrap(), &all_rows(2000));
    assert!(Classified::new(3, &probabilities, &labels).unwrap().accuracy() > 0.95);
}

#[test]
fn samples_have_the_rows_that_were_asked_for() {
    let (columns, labels) = table(600, 19);
    let rows_of = |params: ForestParams| {
        let forest = classifier(&columns, &all_rows(600), &labels, None, &ForestParams { n_trees: 1, ..params }).forest;
        forest.nodes()[0].cover()
    };
    assert_eq!(rows_of(ForestParams::default()), 600.0);
    assert_eq!(rows_of(ForestParams { sample: Sample::Subsample(0.25), ..ForestParams::default() }), 150.0);
    assert_eq!(rows_of(ForestParams { max_sample_rows: 100, ..ForestParams::default() }), 100.0);
    assert_eq!(rows_of(ForestParams { max_sample_rows: 100, sample: Sample::All, ..ForestParams::default() }), 100.0);
    assert_eq!(rows_of(ForestParams { max_sample_rows: 1000, sample: Sample::All, ..ForestParams::default() }), 600.0);
    assert_eq!(rows_of(ForestParams { honest_share: 0.4, sample: Sample::All, ..ForestParams::default() }), 360.0);
}

#[test]
fn a_forest_that_is_continued_is_the_forest_grown_at_once() {
    let (columns, _) = table(500, 20);
    let target: Vec<f64> = columns[1].iter().map(|&value| f64::from(value)).collect();
    let binned = Binned::new(&Matrix::new(&columns).unwrap(), MAX_BINS);
    let rows = all_rows(500);
    let (few, many) = (ForestParams { n_trees: 3, ..few_trees() }, few_trees());
    let first = fit_regressor(&binned, &rows, &target, None, &few, Seed(1)).unwrap().forest;
    let whole = fit_regressor(&binned, &rows, &target, None, &many, Seed(1)).unwrap().forest;
    let go_on = |first: &Forest, params| continue_regressor(first, (&binned, &rows), &target, None, params, Seed(1)).unwrap().forest;
    assert_eq!(go_on(&first, &many), whole);
    assert_eq!(go_on(&whole, &few), whole);
    assert_eq!(whole.first_trees(3), first, "the first trees are the forest of fewer");
}

#[test]
fn limits_of_depth_and_leaf_hold() {
    let (columns, labels) = table(500, 9);
    let stump = classifier(&columns, &all_rows(500), &labels, None, &ForestParams { max_depth: 1, ..few_trees() }).forest;
    assert_eq!(stump.n_nodes(), 3 * 8);
    for params in [ForestParams { min_samples_leaf: 40, ..few_trees() }, ForestParams { min_leaf_weight: 0.08, ..few_trees() }] {
        let forest = classifier(&columns, &all_rows(500), &labels, None, &params).forest;
        assert!(forest.nodes().iter().all(|node| node.cover() >= 40.0));
        assert!(forest.n_nodes() > 3 * 8);
    }
}

#[test]
fn smoothing_pulls_leaves_to_the_shares_of_the_sample() {
    let columns = [vec![0.0, 0.0, 0.0, 1.0]];
    let params = ForestParams { smoothing: 1.0, ..without_bootstrap() };
    let forest = classifier(&columns, &all_rows(4), &[0, 0, 0, 1], None, &params).forest;
    // One row of class 1, and one more in the shares 3/4 and 1/4.
    assert_eq!(predict(&forest, &Matrix::new(&columns).unwrap(), &[3]), [0.375, 0.625, 0.0]);
}

#[test]
fn out_of_bag_predictions_come_from_the_trees_that_did_not_see_the_row() {
    let (columns, labels) = table(400, 10);
    let params = ForestParams { n_trees: 40, out_of_bag: OutOfBag::Predict, ..ForestParams::default() };
    // Random labels: whoever had seen a row would know its label.
    let mut rng = Seed(2).rng();
    let noise: Vec<u16> = (0..400).map(|_| (rng.next_u32() % 3) as u16).collect();
    let score = |labels: &[u16]| {
        let out_of_bag = classifier(&columns, &all_rows(400), labels, None, &params).out_of_bag;
        assert_eq!(out_of_bag.len(), 1200);
        Classified::new(3, &out_of_bag, labels).unwrap().accuracy()
    };
    assert!(score(&labels) > 0.9);
    assert!((score(&noise) - 1.0 / 3.0).abs() < 0.1);
    let one_tree = classifier(&columns, &all_rows(400), &labels, None, &ForestParams { n_trees: 1, ..params }).out_of_bag;
    let n_unseen = one_tree.iter().filter(|value| !value.is_nan()).count() / 3;
    assert!((120..180).contains(&n_unseen), "{n_unseen} of 400 rows, 147 expected");
}

#[test]
fn input_that_does_not_hold_is_refused_by_name() {
    let columns = [vec![0.0, 1.0]];
    let binned = Binned::new(&Matrix::new(&columns).unwrap(), MAX_BINS);
    let params = few_trees();
    let classify = |rows: &[u32], labels: &[u16], weights: Option<&[f32]>| {
        fit_classifier(&binned, rows, labels, 2, weights, &params, Seed(1)).unwrap_err()
    };
    assert_eq!(classify(&[], &[0, 1], None), FitError::NoRows);
    assert_eq!(classify(&[2], &[0, 1], None), FitError::Row { row: 2, n_rows: 2 });
    assert_eq!(classify(&[0], &[0], None), FitError::Length { column: "labels", expected: 2, found: 1 });
    assert_eq!(classify(&[0, 1], &[0, 2], None), FitError::Label { row: 1, found: 2, n_classes: 2 });
    assert_eq!(classify(&[0], &[0, 1], Some(&[-1.0, 1.0])), FitError::Weight { row: 0, found: -1.0 });
    assert!(matches!(fit_regressor(&binned, &[0], &[f64::NAN, 0.0], None, &params, Seed(1)), Err(FitError::Target { row: 0, .. })));
    assert!(fit_regressor(&binned, &[1], &[f64::NAN, 0.0], None, &params, Seed(1)).is_ok());
    assert_eq!(fit_classifier(&binned, &[0], &[0, 0], 0, None, &params, Seed(1)).unwrap_err(), FitError::Classes { found: 0 });
}

/// Rows of any numbers: many ties, some missing, some infinite; with one of three classes.
fn any_rows() -> impl Strategy<Value = Vec<([f32; 3], u16)>> {
    let number = prop_oneof![6 => (-8..8_i32).prop_map(|eighths| eighths as f32 / 8.0), 1 => Just(f32::NAN), 1 => Just(f32::INFINITY)];
    prop::collection::vec((prop::array::uniform3(number), 0..3_u16), 1..60)
}

/// Columns, labels, and a target that is no class.
fn as_table(rows: &[([f32; 3], u16)]) -> (Vec<Vec<f32>>, Vec<u16>, Vec<f64>) {
    let columns = (0..3).map(|column| rows.iter().map(|row| row.0[column]).collect()).collect();
    let labels: Vec<u16> = rows.iter().map(|row| row.1).collect();
    let target = labels.iter().map(|&label| [0.25, 1.0, -3.5][usize::from(label)]).collect();
    (columns, labels, target)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_order_of_rows_gives_the_same_forest(
        (rows, shuffled) in any_rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
    ) {
        let (one, other) = (as_table(&rows), as_table(&shuffled));
        let (positions, params) = (all_rows(rows.len()), without_bootstrap());
        prop_assert_eq!(
            classifier(&one.0, &positions, &one.1, None, &params),
            classifier(&other.0, &positions, &other.1, None, &params)
        );
        prop_assert_eq!(
            regressor(&one.0, &positions, &one.2, None, &params),
            regressor(&other.0, &positions, &other.2, None, &params)
        );
    }

    #[test]
    fn any_row_twice_is_a_row_of_weight_two(rows in any_rows(), of in 1..4_usize) {
        let (columns, labels, _) = as_table(&rows);
        let twice: Vec<u32> = all_rows(rows.len()).into_iter().flat_map(|row| vec![row; if (row as usize).is_multiple_of(of) { 2 } else { 1 }]).collect();
        let weights: Vec<f32> = (0..rows.len()).map(|row| if row.is_multiple_of(of) { 2.0 } else { 1.0 }).collect();
        let params = without_bootstrap();
        prop_assert_eq!(
            classifier(&columns, &twice, &labels, None, &params).forest,
            classifier(&columns, &all_rows(rows.len()), &labels, Some(&weights), &params).forest
        );
    }

    #[test]
    fn any_monotone_transform_of_a_column_gives_the_same_predictions(rows in any_rows(), column in 0..3_usize) {
        let (columns, labels, _) = as_table(&rows);
        let mut moved = columns.clone();
        moved[column].iter_mut().for_each(|value| *value = *value * *value * *value * 1000.0 + 7.0);
        let fit = |columns: &[Vec<f32>]| {
            let forest = classifier(columns, &all_rows(rows.len()), &labels, None, &few_trees()).forest;
            predict(&forest, &Matrix::new(columns).unwrap(), &all_rows(rows.len()))
        };
        prop_assert_eq!(fit(&columns), fit(&moved));
    }

    #[test]
    fn any_order_of_equivalent_columns_gives_the_same_predictions(
        rows in any_rows(), order in Just(vec![0_usize, 1, 2, 3]).prop_shuffle(),
    ) {
        // All columns order the rows alike, so every cut is worth the same in each of them.
        let (columns, labels, _) = as_table(&rows);
        let own = |factor: f32| columns[0].iter().map(|value| value * factor).collect::<Vec<f32>>();
        let columns = [own(1.0), own(2.0), own(16.0), vec![1.0; rows.len()]];
        let turned: Vec<Vec<f32>> = order.iter().map(|&column| columns[column].clone()).collect();
        let predictions = |columns: &[Vec<f32>]| {
            let params = ForestParams { max_features: MaxFeatures::All, ..without_bootstrap() };
            let forest = classifier(columns, &all_rows(rows.len()), &labels, None, &params).forest;
            predict(&forest, &Matrix::new(columns).unwrap(), &all_rows(rows.len()))
        };
        prop_assert_eq!(predictions(&columns), predictions(&turned));
    }

    #[test]
    fn what_does_not_vary_is_predicted_as_it_is(rows in any_rows(), class in 0..3_u16, constant in -1e6_f32..1e6) {
        let (columns, _, _) = as_table(&rows);
        let (positions, n_rows) = (all_rows(rows.len()), rows.len());
        let constant = f64::from(constant);
        let matrix = Matrix::new(&columns).unwrap();
        let of_one_class = classifier(&columns, &positions, &vec![class; n_rows], None, &few_trees()).forest;
        let mut certain = [0.0; 3];
        certain[usize::from(class)] = 1.0;
        prop_assert_eq!(predict(&of_one_class, &matrix, &positions), certain.repeat(n_rows));
        let of_one_number = regressor(&columns, &positions, &vec![constant; n_rows], None, &few_trees()).forest;
        prop_assert_eq!(predict(&of_one_number, &matrix, &positions), vec![constant; n_rows]);
        let of_one_row = regressor(&columns, &positions[..1], &vec![constant; n_rows], None, &few_trees()).forest;
        prop_assert_eq!(predict(&of_one_row, &matrix, &positions), vec![constant; n_rows]);
    }

    #[test]
    fn tables_without_a_value_predict_the_shares_of_the_sample(labels in prop::collection::vec(0..3_u16, 1..60)) {
        let columns = [vec![f32::NAN; labels.len()], vec![f32::NAN; labels.len()]];
        let forest = classifier(&columns, &all_rows(labels.len()), &labels, None, &without_bootstrap()).forest;
        let found = predict(&forest, &Matrix::new(&columns).unwrap(), &[0]);
        for (class, share) in found.iter().enumerate() {
            let expected = labels.iter().filter(|label| usize::from(**label) == class).count() as f64 / labels.len() as f64;
            prop_assert!((share - expected).abs() < 1e-6, "{} {}", share, expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_number_of_threads_gives_the_same_bytes(rows in any_rows(), n_threads in 2..5_usize, n_trees in 1..6_u32) {
        let (columns, labels, target) = as_table(&rows);
        let params = ForestParams { n_trees, out_of_bag: OutOfBag::Predict, ..ForestParams::default() };
        let positions = all_rows(rows.len());
        let fit = |n_threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            pool.install(|| {
                [classifier(&columns, &positions, &labels, None, &params), regressor(&columns, &positions, &target, None, &params)]
                    .map(|fitted| (fitted.forest.to_bytes(), fitted.out_of_bag.iter().map(|value| value.to_bits()).collect::<Vec<u64>>()))
            })
        };
        prop_assert_eq!(fit(1), fit(n_threads));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_table_gives_probabilities_that_survive_their_bytes(
        rows in prop::collection::vec(
            (prop::array::uniform3(prop_oneof![4 => -2.0_f32..2.0, 4 => (0..3_i32).prop_map(|value| value as f32), 1 => Just(f32::NAN), 1 => Just(f32::INFINITY)]), 0..9_u16, 0.0_f32..3.0),
            1..80,
        ),
        is_weighted: bool, cuts in prop_oneof![Just(Cuts::Best), Just(Cuts::Random)], min_samples_leaf in 1..4_u32,
        max_features in prop_oneof![Just(MaxFeatures::All), Just(MaxFeatures::Sqrt)],
        has_categories: bool, honest_share in prop_oneof![2 => Just(0.0), 1 => Just(0.5)],
        criterion in prop_oneof![Just(Criterion::Gini), Just(Criterion::Entropy)],
        class_weight in prop_oneof![Just(ClassWeight::Equal), Just(ClassWeight::Balanced)],
        sample in prop_oneof![Just(Sample::Bootstrap(1.0)), Just(Sample::Subsample(0.5))],
    ) {
        let columns: Vec<Vec<f32>> = (0..3).map(|column| rows.iter().map(|row| row.0[column]).collect()).collect();
        let labels: Vec<u16> = rows.iter().map(|row| row.1).collect();
        let weights: Vec<f32> = rows.iter().map(|row| row.2).collect();
        let matrix = Matrix::new(&columns).unwrap();
        let out_of_bag = OutOfBag::Predict;
        let drawn = ForestParams { sample, honest_share, criterion, class_weight, ..ForestParams::default() };
        let params = ForestParams { n_trees: 5, cuts, min_samples_leaf, max_features, out_of_bag, ..drawn };
        let positions = all_rows(rows.len());
        let weights = is_weighted.then_some(weights.as_slice());
        let binned = Binned::with_categories(&matrix, 7, |column| has_categories && column != 1);
        let fitted = fit_classifier(&binned, &positions, &labels, 9, weights, &params, Seed(1));
        prop_assume!(fitted != Err(FitError::NoRows));
        let fitted = fitted.unwrap();
        prop_assert_eq!(&Forest::from_bytes(&fitted.forest.to_bytes()).unwrap(), &fitted.forest);
        let predictions = predict(&fitted.forest, &matrix, &positions);
        let mut one = [0.0; 9];
        for (position, probabilities) in predictions.chunks_exact(9).enumerate() {
            prop_assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-5);
            let mut row = [0.0; 3];
            matrix.copy_row(position, &mut row);
            fitted.forest.predict(&row, &mut one);
            prop_assert_eq!(probabilities, one);
        }
        let importance: f64 = fitted.importance.iter().sum();
        prop_assert!(importance == 0.0 || (importance - 1.0).abs() < 1e-9);
    }
}
