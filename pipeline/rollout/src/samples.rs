//! Small things that tests are made of.

use routewright_domain::Timestamp;
use routewright_router::Group;

use crate::nights::{Count, GroupNight, Night, Outcome};
use crate::time::DAY;

/// A task at noon of a day.
pub(crate) fn outcome(day: i64, group: Group, success: bool) -> Outcome {
    Outcome {
        timestamp: Timestamp(day * DAY + DAY / 2),
        group,
        success: Some(success),
        latency_ms: None,
        hallucination: None,
        error: None,
        fallback: None,
    }
}

/// A night with given successes, and rates that are alike in both groups of everything else.
pub(crate) fn night(day: i64, share: f64, treatment: [u64; 2], control: [u64; 2]) -> Night {
    let group = |[hits, trials]: [u64; 2]| {
        let one_in = |n: u64| Count { hits: trials / n, trials };
        GroupNight {
            missing: one_in(50),
            successes: Count { hits, trials },
            slow: one_in(20),
            hallucinations: one_in(25),
            errors: one_in(25),
            fallbacks: one_in(3),
        }
    };
    Night { day, period: 0, share, treatment: group(treatment), control: group(control), baseline_p95_ms: Some(100.0) }
}
