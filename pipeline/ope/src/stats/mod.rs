//! Statistics that have nothing to do with routing: intervals, tests, corrections, quantiles.
//!
//! Golden values: scipy 1.17.1, statsmodels 0.15.0, gbstats and confseq, in `tests/golden/stats`.

mod anytime;
mod betting;
mod bootstrap;
mod confidence_sequences;
mod empirical_bernstein;
mod finite_sample;
mod means;
mod multiple;
mod normal;
mod odds_evidence;
mod proportion;
mod quantile;
mod ranks;
mod score;
mod shift;
mod two_proportions;

pub use anytime::{asymptotic_half_width, asymptotic_tuning, mixture_sprt, normal_mixture_bound};
pub use betting::betting_sequence;
pub use bootstrap::{acceleration, basic_interval, bca_interval, median_bias};
pub use confidence_sequences::{
    bernoulli_sequence, gamma_exponential_mixture_bound, hoeffding_sequence, normal_mixture_bound_one_sided, poly_stitching_bound,
};
pub use empirical_bernstein::empirical_bernstein_sequence;
pub use finite_sample::{bernstein_lower, hoeffding_lower, student_lower};
pub use means::{Ratio, WelchTest, bonett_price, cuped, cuped_adjusted, fieller, paired_ratio, ratio_of_means, welch};
pub use multiple::{benjamini_hochberg, benjamini_yekutieli, bonferroni, hochberg, holm, hommel, sidak};
pub use normal::{Confidence, normal_cdf, normal_quantile, normal_sf, student_quantile};
pub use odds_evidence::{Alternative, OddsEvidence, TwoGroups, odds_ratio_sequence};
pub use proportion::{agresti_coull, clopper_pearson, jeffreys, wald, wilson};
pub use quantile::{order_statistic_interval, quantile, quantile_of_sorted};
pub use ranks::{MannWhitney, kolmogorov_smirnov, mann_whitney};
pub use score::{ratio_of_proportions, score_interval, score_statistic, score_superiority};
pub use shift::{
    ClusteredAuc, Split, Windows, best_split, binned_kolmogorov_smirnov, clustered_auc, family_wise, population_stability, random_orders,
};
pub use two_proportions::{Mcnemar, agresti_caffo, fisher_exact, mcnemar, newcombe, pooled_z, sample_ratio};

pub(crate) use means::mean;
