//! Static rules, the learned router, and Thompson sampling warm-started from it.

use std::hint::black_box;

use routewright_domain::{Arm, Seed};
use routewright_router::{RouterScratch, Rules, RulesScratch, Thompson, ThompsonSettings};

use super::measure::{SEED_LEARNED, SEED_STATIC, each};
use super::{Bench, Kind, Measured};

/// Queries whose predictions warm the sampler.
const WARM: usize = 2000;

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Measured> {
    let (router, n) = (&bench.router, bench.n_decisions);
    let mut rows = Vec::new();
    for (name, rules) in [("static: keywords", Rules::keyword_cascade()?), ("static: three stages", Rules::three_stages()?)] {
        let mut scratch = RulesScratch::default();
        rows.push(
            each(name, n, |position| {
                black_box(rules.route(&bench.request(position), &mut scratch));
            })
            .against(SEED_STATIC),
        );
    }
    let mut scratch = RouterScratch::default();
    rows.push(
        each("learned", n, |position| {
            black_box(router.decide(&bench.request(position), &mut scratch));
        })
        .against(SEED_LEARNED),
    );
    let types = router.encoder().schema().query_types();
    let code = |position: usize| bench.request(position).query_type.map(|name| types.code(name) as u16);
    let mut thompson = Thompson::new(router.policy().paths.len(), types.entries().len() + 1, ThompsonSettings::default())?;
    for position in 0..bench.decisions.len().min(WARM) {
        router.decide(&bench.request(position), &mut scratch);
        thompson.expect(code(position), &scratch.predictions().success);
    }
    let draws = Seed(1);
    let draw = |position: usize| (draws.derive("draw", position as u64).0 >> 11) as f64 / (1_u64 << 53) as f64;
    let mut learning = thompson.clone();
    rows.push(
        each("Thompson sampling", n, |position| {
            black_box(thompson.choose(code(position), bench.now, draw(position)));
        })
        .against(SEED_LEARNED),
    );
    let learned = each("Thompson sampling, each outcome learned", n, |position| {
        let (arm, propensity) = learning.choose(code(position), bench.now, draw(position));
        learning.observe(code(position), arm, black_box(propensity) > 0.0 && arm == Arm(0), bench.now);
    });
    rows.push(learned.against(SEED_LEARNED));
    let overhead = rows[0].per_second / rows[2].per_second;
    let notes = vec![format!("the learned router takes {overhead:.1} times as long as the keyword rules")];
    Ok(Measured { kind: Kind::Strategies, rows, notes })
}
