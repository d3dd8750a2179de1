//! `power`: how much data a verdict needs.

use routewright_ope::{
    Confidence, MATCHES_ABOVE_THREE, MATCHES_ABOVE_ZERO, POWER, exploration_rows, matches_needed, paired_runs, per_arm_to_prove,
    power_per_arm, shadow_runs_on_disagreement,
};
use serde::Serialize;

use crate::exit::{Exit, UsageError};
use crate::layout::{Align, aligned, grouped};
use crate::messages::Messages;

/// Decisions per variant in the protocol that E-009 began with.
const SEED_PROTOCOL: usize = 100;

/// Uplift that ADOPT must prove, as a share.
const MARGIN: f64 = 0.03;

/// Smallest uplift that is taken for points, not for a share.
const SMALLEST_POINTS: f64 = 0.1;

/// Flags of `power`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Success rate of the static router, in (0, 1)
    #[arg(long, value_name = "P", default_value_t = 0.9)]
    baseline: f64,
    /// Uplift to find, in points of success rate
    #[arg(long, value_name = "POINTS", default_value_t = 5.0)]
    uplift: f64,
    /// Share of decisions that explore, in [0, 1]
    #[arg(long, value_name = "E", default_value_t = 0.05)]
    epsilon: f64,
    /// Number of paths among which exploration chooses
    #[arg(long, value_name = "K", default_value_t = 5)]
    paths: usize,
    /// Share of decisions on which the two routers disagree, in (0, 1]
    #[arg(long, value_name = "D", default_value_t = 0.4)]
    disagreement: f64,
    /// Decisions per variant whose power is shown
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "100,250,500,1000")]
    per_arm: Vec<usize>,
}

/// What the verdict needs, under one schema version.
#[derive(Debug, Serialize)]
struct Answer {
    schema_version: u32,
    baseline: f64,
    uplift_points: f64,
    epsilon: f64,
    paths: usize,
    disagreement: f64,
    power: f64,
    level: f64,
    randomised: Randomised,
    exploration: Exploration,
    shadow: Shadow,
}

/// A test with two randomised groups.
#[derive(Debug, Serialize)]
struct Randomised {
    /// Decisions per variant that show the uplift.
    per_arm: usize,
    /// Decisions per variant that prove more than the margin of ADOPT; nothing where the uplift is not above it.
    per_arm_to_prove: Option<usize>,
    powers: Vec<PowerAt>,
}

/// The chance of seeing the uplift.
#[derive(Debug, Serialize)]
struct PowerAt {
    per_arm: usize,
    power: f64,
}

/// A log that explores.
#[derive(Debug, Serialize)]
struct Exploration {
    /// Decisions that show the uplift; nothing where the log does not explore.
    decisions: Option<usize>,
    /// Exploration matches among them, on rows where the routers disagree.
    matches: Option<usize>,
    rule_of_thumb_above_zero: usize,
    rule_of_thumb_above_three: usize,
}

/// Both paths run on the same query.
#[derive(Debug, Serialize)]
struct Shadow {
    /// On any query, where outcomes differ 1, 1.5 and 2 times as often as the uplift makes necessary.
    paired_runs: [usize; 3],
    /// Only where the routers disagree.
    on_disagreement: usize,
}

/// Computes and shows.
pub(crate) fn run(arguments: &Arguments, messages: &Messages) -> anyhow::Result<Exit> {
    check(arguments)?;
    let answer = answer(arguments);
    messages.result(&in_words(&answer), &answer)?;
    Ok(Exit::Done)
}

/// Refuses what cannot be meant.
fn check(arguments: &Arguments) -> Result<(), UsageError> {
    let Arguments { baseline, uplift, epsilon, paths, disagreement, per_arm } = arguments;
    let refuse = |message: String| Err(UsageError(message));
    if !(0.0 < *baseline && *baseline < 1.0) {
        return refuse(format!("`--baseline {baseline}`: expected a rate in (0, 1), such as 0.9"));
    }
    if !(SMALLEST_POINTS..=100.0).contains(uplift) {
        return refuse(format!("`--uplift {uplift}`: expected points from {SMALLEST_POINTS} to 100, such as 5"));
    }
    if baseline + uplift / 100.0 > 1.0 + 1e-9 {
        return refuse(format!("`--uplift {uplift}`: no rate can be {uplift} points above {baseline}"));
    }
    if !(0.0..=1.0).contains(epsilon) {
        return refuse(format!("`--epsilon {epsilon}`: expected a share in [0, 1], such as 0.05"));
    }
    if *paths < 2 {
        return refuse(format!("`--paths {paths}`: a choice needs at least 2"));
    }
    if !(0.0 < *disagreement && *disagreement <= 1.0) {
        return refuse(format!("`--disagreement {disagreement}`: expected a share in (0, 1], such as 0.4"));
    }
    if uplift / 100.0 / disagreement > baseline + uplift / 100.0 {
        return refuse(format!(
            "`--uplift {uplift}`: routers that disagree on {:.1} % of decisions cannot differ by that much",
            100.0 * disagreement
        ));
    }
    if let Some(n) = per_arm.iter().find(|n| **n < 1) {
        return refuse(format!("`--per-arm {n}`: expected at least 1"));
    }
    Ok(())
}

/// Asks every planner.
fn answer(arguments: &Arguments) -> Answer {
    let Arguments { baseline, epsilon, paths, disagreement, ref per_arm, .. } = *arguments;
    let two = Confidence::TWO_SIDED_95;
    let uplift = arguments.uplift / 100.0;
    let explored = epsilon / paths as f64;
    let matches = || matches_needed(baseline, uplift, disagreement, (1.0 - epsilon + explored) / explored, POWER, two);
    let explores = epsilon > 0.0;
    Answer {
        schema_version: 1,
        baseline,
        uplift_points: arguments.uplift,
        epsilon,
        paths,
        disagreement,
        power: POWER,
        level: two.level(),
        randomised: Randomised {
            per_arm: routewright_ope::per_arm(baseline, uplift, POWER, two),
            per_arm_to_prove: (uplift > MARGIN).then(|| per_arm_to_prove(baseline, uplift, MARGIN, POWER, Confidence::ONE_SIDED_95)),
            powers: per_arm.iter().map(|&n| PowerAt { per_arm: n, power: power_per_arm(baseline, uplift, n, two) }).collect(),
        },
        exploration: Exploration {
            decisions: explores.then(|| exploration_rows(baseline, uplift, disagreement, epsilon, paths, POWER, two)),
            matches: explores.then(matches),
            rule_of_thumb_above_zero: MATCHES_ABOVE_ZERO,
            rule_of_thumb_above_three: MATCHES_ABOVE_THREE,
        },
        shadow: Shadow {
            paired_runs: [1.0, 1.5, 2.0].map(|factor| paired_runs(uplift, (factor * uplift).min(1.0), POWER, two)),
            on_disagreement: shadow_runs_on_disagreement(baseline, uplift, disagreement, POWER, two),
        },
    }
}

/// For people.
fn in_words(answer: &Answer) -> String {
    let percent = |share: f64| format!("{} %", (1_000.0 * share).round() / 10.0);
    let mut text = format!(
        "To see an uplift of {} points over {} with {} power at the {} level\n\n",
        answer.uplift_points,
        percent(answer.baseline),
        percent(answer.power),
        percent(answer.level)
    );
    let mut rows = Vec::new();
    let mut line = |what: String, value: String| rows.push(vec![what, value]);
    line("randomised test, decisions per variant".to_owned(), grouped(answer.randomised.per_arm));
    let to_prove = answer.randomised.per_arm_to_prove.map_or_else(|| "never".to_owned(), grouped);
    line(format!("  to prove more than {} points (one-sided), per variant", 100.0 * MARGIN), to_prove);
    for PowerAt { per_arm, power } in &answer.randomised.powers {
        let note = if *per_arm == SEED_PROTOCOL { " (the seed's protocol)" } else { "" };
        line(format!("  power with {} per variant{note}", grouped(*per_arm)), format!("{:.0} %", 100.0 * power));
    }
    let explored = format!("log that explores {} over {} paths", percent(answer.epsilon), answer.paths);
    line(format!("{explored}, decisions"), answer.exploration.decisions.map_or_else(|| "never".to_owned(), grouped));
    if let Some(matches) = answer.exploration.matches {
        line("  exploration matches among them, where the routers disagree".to_owned(), grouped(matches));
    }
    line("  rule of thumb, matches to show more than 0 points".to_owned(), grouped(answer.exploration.rule_of_thumb_above_zero));
    line("  rule of thumb, matches to show more than 3 points".to_owned(), grouped(answer.exploration.rule_of_thumb_above_three));
    line(
        format!("shadow runs of both paths where the routers disagree ({} of decisions)", percent(answer.disagreement)),
        grouped(answer.shadow.on_disagreement),
    );
    for (factor, runs) in ["1", "1.5", "2"].iter().zip(answer.shadow.paired_runs) {
        line(format!("  on any decision, outcomes differ {factor} times the uplift"), grouped(runs));
    }
    text.push_str(&aligned(&[], &rows, &[Align::Left, Align::Right]));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Arguments {
        Arguments { baseline: 0.9, uplift: 5.0, epsilon: 0.05, paths: 5, disagreement: 0.4, per_arm: vec![100, 250, 500, 1_000] }
    }

    #[test]
    fn the_protocol_of_the_seed_has_little_power() {
        let answer = answer(&defaults());
        assert_eq!((answer.randomised.per_arm, answer.randomised.per_arm_to_prove), (435, Some(2_126)));
        assert_eq!((answer.shadow.paired_runs, answer.shadow.on_disagreement), ([155, 234, 312], 102));
        assert!(in_words(&answer).contains("power with 100 per variant (the seed's protocol)"));
        assert!((answer.randomised.powers[0].power - 0.27).abs() < 0.005);
    }

    #[test]
    fn a_log_that_does_not_explore_never_settles_it() {
        let answer = answer(&Arguments { epsilon: 0.0, ..defaults() });
        assert_eq!((answer.exploration.decisions, answer.exploration.matches), (None, None));
        assert!(in_words(&answer).lines().any(|line| line.starts_with("log that explores 0 %") && line.ends_with("never")));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert!(check(&defaults()).is_ok());
        let wrong = [
            Arguments { baseline: 1.0, ..defaults() },
            Arguments { uplift: 0.05, ..defaults() },
            Arguments { uplift: 11.0, ..defaults() },
            Arguments { epsilon: f64::NAN, ..defaults() },
            Arguments { paths: 1, ..defaults() },
            Arguments { disagreement: 0.0, ..defaults() },
            Arguments { disagreement: 0.05, ..defaults() },
            Arguments { per_arm: vec![0], ..defaults() },
        ];
        for arguments in wrong {
            assert!(check(&arguments).is_err(), "{arguments:?}");
        }
    }
}
