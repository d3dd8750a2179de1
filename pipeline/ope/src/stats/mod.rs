//! Statistics that have nothing to do with routing: intervals, tests, corrections, quantiles.
//!
//! Golden values: scipy 1.17.1, statsmodels 0.15.0, gbstats and confseq, in `tests/golden/stats`.

mod anytime;
mod confidence_sequences;
mod finite_sample;
mod means;
mod multiple;
mod normal;
mod proportion;
mod quantile;
mod two_proportions;

pub use anytime::{asymptotic_half_width, mixture_sprt, normal_mixture_bound};
pub use confidence_sequences::{
    bernoulli_sequence, gamma_exponential_mixture_bound, hoeffding_sequence, normal_mixture_bound_one_sided, poly_stitching_bound,
};
pub use finite_sample::{bernstein_lower, hoeffding_lower};
pub use means::{Ratio, WelchTest, bonett_price, cuped, fieller, paired_ratio, ratio_of_means, welch};
pub use multiple::{benjamini_hochberg, bonferroni, holm};
pub use normal::{Confidence, normal_cdf, normal_quantile, normal_sf, student_quantile};
pub use proportion::{agresti_coull, clopper_pearson, jeffreys, wald, wilson};
pub use quantile::{order_statistic_interval, quantile, quantile_of_sorted};
pub use two_proportions::{Mcnemar, agresti_caffo, fisher_exact, mcnemar, newcombe, pooled_z, sample_ratio};

pub(crate) use means::mean;
