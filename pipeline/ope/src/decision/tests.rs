//! The decision matrix of E-009 §9, every gate, and what must hold for all evidence.

use proptest::prelude::*;

use super::*;
use crate::Segment;

/// Evidence of a clear, explainable win, from which the other rows of the matrix differ.
fn clear_win() -> Evidence {
    Evidence {
        identification: Identification::Identified,
        gates: GateName::ALL.map(|name| Gate { name, passed: true, detail: name_of(name) }).to_vec(),
        counts: Counts {
            decisions: 100_000,
            exploration_matches: 800,
            disagreement: 0.4,
            deviation_share: 0.04,
            n_paths: 5,
            static_success: 0.9,
        },
        uplift: Some(UpliftPoints { points: 8.0, lower: 6.0, upper: 10.0 }),
        over_static: None,
        control: None,
        bounds: None,
        latency: Some(LatencyRatio { static_ms: 8_000.0, learned_ms: 8_000.0, ratio: 1.0, lower: 0.96, upper: 1.04 }),
        explainability: Some(Explainability { surrogate_fidelity: 0.95, surrogate_depth: 5, top10_importance: 0.8, acceptable: true }),
        retraining: Some(Retraining { interval_days: 90, decays: true, acceptable: true }),
        segments: Vec::new(),
        harmed_segments: Vec::new(),
        composed: None,
        supported: None,
    }
}

fn name_of(name: GateName) -> String {
    format!("{name:?}")
}

fn uplift(points: f64, lower: f64, upper: f64) -> Option<UpliftPoints> {
    Some(UpliftPoints { points, lower, upper })
}

fn latency(ratio: f64, lower: f64, upper: f64) -> Option<LatencyRatio> {
    Some(LatencyRatio { static_ms: 8_000.0, learned_ms: 8_000.0 * ratio, ratio, lower, upper })
}

fn part(name: &str, points: f64, lower: f64) -> Option<CandidateUplift> {
    Some(CandidateUplift { name: name.to_owned(), uplift: UpliftPoints { points, lower, upper: points + 2.0 }, latency: None })
}

fn opaque() -> Option<Explainability> {
    Some(Explainability { surrogate_fidelity: 0.6, surrogate_depth: 5, top10_importance: 0.3, acceptable: false })
}

#[test]
fn every_row_of_the_decision_matrix_comes_out_as_written() {
    use Reason::*;
    use Verdict::*;
    let rows: Vec<(&str, Evidence, Verdict, Reason)> = vec![
        ("clear win, explainable", clear_win(), Adopt, Proven),
        ("clear win, opaque", Evidence { explainability: opaque(), ..clear_win() }, InvestigateFeatures, Opaque),
        ("marginal win", Evidence { uplift: uplift(3.0, 1.0, 5.0), ..clear_win() }, Hybrid, LimitedRollout),
        ("no improvement", Evidence { uplift: uplift(1.0, -0.5, 2.5), ..clear_win() }, Keep, Proven),
        ("no improvement, opaque", Evidence { uplift: uplift(1.0, -0.5, 2.5), explainability: None, ..clear_win() }, Keep, Proven),
        (
            "latency regression",
            Evidence { uplift: uplift(5.0, 3.5, 6.5), latency: latency(1.2, 1.15, 1.25), ..clear_win() },
            OptimizeModel,
            Latency,
        ),
        (
            "query-specific benefit",
            Evidence { uplift: uplift(1.0, -0.5, 2.5), composed: part("coding", 2.0, 1.0), ..clear_win() },
            Hybrid,
            Segments,
        ),
        (
            "requires frequent retraining",
            Evidence {
                uplift: uplift(5.0, 3.5, 6.5),
                retraining: Some(crate::Retraining { interval_days: 3, decays: true, acceptable: false }),
                ..clear_win()
            },
            CostBenefit,
            Retraining,
        ),
        // And what the matrix leaves to the rule.
        ("harm", Evidence { uplift: uplift(-2.0, -3.0, -1.0), ..clear_win() }, Keep, Harm),
        (
            "slower, gain not shown",
            Evidence { uplift: uplift(4.0, -1.0, 9.0), latency: latency(1.3, 1.2, 1.4), ..clear_win() },
            Keep,
            Latency,
        ),
        ("marginal but slower", Evidence { uplift: uplift(4.0, 1.0, 7.0), latency: latency(1.3, 1.2, 1.4), ..clear_win() }, Keep, Latency),
        ("wide interval", Evidence { uplift: uplift(4.0, -1.0, 9.0), ..clear_win() }, Keep, InsufficientEvidence),
        ("large but uncertain", Evidence { uplift: uplift(8.0, 2.0, 14.0), ..clear_win() }, Hybrid, LimitedRollout),
        ("latency not settled", Evidence { latency: latency(1.0, 0.85, 1.18), ..clear_win() }, Hybrid, LimitedRollout),
        ("latency not logged", Evidence { latency: None, ..clear_win() }, Hybrid, LimitedRollout),
        ("explainability not measured", Evidence { explainability: None, ..clear_win() }, InvestigateFeatures, Opaque),
        ("retraining not measured", Evidence { retraining: None, ..clear_win() }, Adopt, Proven),
        ("a harmed segment", Evidence { harmed_segments: vec!["chat".to_owned()], ..clear_win() }, Hybrid, Segments),
        ("nothing estimated", Evidence { uplift: None, ..clear_win() }, Keep, InsufficientEvidence),
        ("full information", Evidence { identification: Identification::FullInformation, ..clear_win() }, Adopt, Proven),
        ("randomised", Evidence { identification: Identification::Randomised, ..clear_win() }, Adopt, Proven),
        (
            "partial: only where supported",
            Evidence { identification: Identification::Partial, supported: part("supported part", 6.0, 4.0), ..clear_win() },
            Hybrid,
            Supported,
        ),
        ("partial, nothing shown", Evidence { identification: Identification::Partial, ..clear_win() }, Keep, InsufficientEvidence),
        (
            "estimated propensities",
            Evidence { identification: Identification::EstimatedPropensity, ..clear_win() },
            Keep,
            InsufficientEvidence,
        ),
        ("deterministic", Evidence { identification: Identification::NotIdentified, ..clear_win() }, Keep, NotIdentified),
        (
            "deterministic, routers hardly differ",
            Evidence { identification: Identification::NotIdentified, bounds: uplift(0.0, -2.0, 2.0), ..clear_win() },
            Keep,
            Proven,
        ),
    ];
    for (name, evidence, verdict, reason) in rows {
        let decision = decide(&evidence, &Rule::default());
        assert_eq!((decision.verdict, decision.reason), (verdict, reason), "{name}: {}", decision.summary);
        assert_eq!(decision.reason.is_conclusive(), decision.needed == PowerPlan::default(), "{name}");
    }
}

#[test]
fn every_gate_stops_adoption_and_gives_its_reason() {
    for name in GateName::ALL {
        let mut evidence = clear_win();
        evidence.gates.iter_mut().filter(|gate| gate.name == name).for_each(|gate| gate.passed = false);
        let decision = decide(&evidence, &Rule::default());
        assert_eq!((decision.verdict, decision.reason), (Verdict::Keep, name.reason()), "{name:?}");
        assert!(decision.summary.contains(&name_of(name)), "{name:?}: {}", decision.summary);
    }
}

#[test]
fn missing_support_leaves_the_supported_part_as_a_candidate() {
    let mut evidence = Evidence { supported: part("supported part", 6.0, 4.0), identification: Identification::Partial, ..clear_win() };
    evidence.gates.iter_mut().filter(|gate| gate.name == GateName::UnsupportedMass).for_each(|gate| gate.passed = false);
    assert_eq!(decide(&evidence, &Rule::default()).reason, Reason::Supported);
}

#[test]
fn few_matches_or_few_decisions_prove_nothing() {
    let few_matches = Evidence { counts: Counts { exploration_matches: 9, ..clear_win().counts }, ..clear_win() };
    let few_decisions = Evidence { counts: Counts { decisions: 999, ..clear_win().counts }, ..clear_win() };
    for evidence in [few_matches, few_decisions] {
        let decision = decide(&evidence, &Rule::default());
        assert_eq!((decision.verdict, decision.reason), (Verdict::Keep, Reason::InsufficientEvidence));
    }
}

#[test]
fn few_disagreements_prove_that_little_is_to_be_gained_without_a_single_match() {
    let counts = Counts { exploration_matches: 0, disagreement: 0.01, ..clear_win().counts };
    let decided = |bounds| decide(&Evidence { counts, bounds, ..clear_win() }, &Rule::default());
    let close = decided(uplift(0.0, -1.0, 1.0));
    assert_eq!((close.verdict, close.reason), (Verdict::Keep, Reason::Proven));
    let wide = decided(uplift(0.0, -1.0, 4.0));
    assert_eq!((wide.verdict, wide.reason), (Verdict::Keep, Reason::InsufficientEvidence));
}

#[test]
fn a_rule_that_wins_is_named_and_static_is_not_called_proven() {
    let control =
        |lower| SimpleRule { name: "best_per_query_type".to_owned(), over_static: UpliftPoints { points: 29.0, lower, upper: 33.0 } };
    let evidence = Evidence { uplift: uplift(-1.5, -3.0, -0.2), over_static: uplift(28.7, 24.5, 32.8), ..clear_win() };
    let decision = decide(&Evidence { control: Some(control(25.0)), ..evidence.clone() }, &Rule::default());
    assert_eq!((decision.verdict, decision.reason), (Verdict::Keep, Reason::SimpleRule));
    assert!(decision.summary.contains("best_per_query_type") && !decision.summary.contains("harm"), "{}", decision.summary);
    let lucky = decide(&Evidence { control: Some(control(-4.0)), ..evidence }, &Rule::default());
    assert_eq!((lucky.verdict, lucky.reason), (Verdict::Keep, Reason::InsufficientEvidence));
}

#[test]
fn segments_that_are_the_whole_traffic_are_no_way_around_the_rule() {
    let all = Segment { name: "chat".to_owned(), weight: 1.0, uplift_points: 4.0, lower: 2.0, upper: 6.0, use_learned: true };
    let evidence = Evidence { uplift: uplift(2.0, -1.0, 5.0), composed: part("chat", 4.0, 2.0), segments: vec![all], ..clear_win() };
    assert_eq!(decide(&evidence, &Rule::default()).verdict, Verdict::Keep);
}

#[test]
fn full_information_needs_no_exploration_matches() {
    let counts = Counts { exploration_matches: 0, ..clear_win().counts };
    let evidence = Evidence { identification: Identification::FullInformation, counts, ..clear_win() };
    assert_eq!(decide(&evidence, &Rule::default()).verdict, Verdict::Adopt);
}

#[test]
fn routers_that_never_disagree_are_proven_equal() {
    let counts = Counts { exploration_matches: 0, disagreement: 0.0, ..clear_win().counts };
    let decision = decide(&Evidence { counts, uplift: uplift(0.0, 0.0, 0.0), ..clear_win() }, &Rule::default());
    assert_eq!((decision.verdict, decision.reason), (Verdict::Keep, Reason::Proven));
}

#[test]
fn strict_asks_for_the_whole_gain_to_be_proven() {
    let rule = Rule { strict: true, ..Rule::default() };
    assert_eq!(decide(&clear_win(), &rule).verdict, Verdict::Adopt);
    let evidence = Evidence { uplift: uplift(6.0, 4.0, 8.0), ..clear_win() };
    assert_eq!(decide(&evidence, &Rule::default()).verdict, Verdict::Adopt);
    assert_eq!(decide(&evidence, &rule).verdict, Verdict::Hybrid);
}

#[test]
fn the_summary_says_what_would_settle_the_question() {
    let evidence = Evidence { identification: Identification::NotIdentified, bounds: uplift(0.0, -30.0, 9.0), ..clear_win() };
    let evidence = Evidence { counts: Counts { deviation_share: 0.0, ..evidence.counts }, ..evidence };
    let decision = decide(&evidence, &Rule::default());
    assert_eq!(
        decision.summary,
        "KEEP the static router. Without exploration the log only bounds the change: between -30.0 and +9.0 points; the routers disagree on 40 % of \
         the queries. Mean latency is 1.00 times that of static routing (0.96 to 1.04). Only the static choice was ever run, or nothing says how \
         paths were chosen, so no gain can be shown from this log. What would settle it: 200 decisions on which the routers disagree and the learned \
         path runs (randomise 50/50 on a share of the disagreement), or 102 shadow runs of both paths on such queries."
    );
}

#[test]
fn verdicts_and_reasons_are_spelled_as_in_the_decision_file() {
    let spelled = |value: serde_json::Value| value.as_str().unwrap().to_owned();
    assert_eq!(spelled(serde_json::to_value(Verdict::InvestigateFeatures).unwrap()), "INVESTIGATE_FEATURES");
    assert_eq!(spelled(serde_json::to_value(Verdict::OptimizeModel).unwrap()), "OPTIMIZE_MODEL");
    assert_eq!(spelled(serde_json::to_value(Reason::LimitedRollout).unwrap()), "LIMITED_ROLLOUT");
    assert_eq!(spelled(serde_json::to_value(GateName::AaReplay).unwrap()), "aa_replay");
}

#[test]
fn a_rule_reads_its_defaults_and_refuses_unknown_keys() {
    assert_eq!(serde_json::from_str::<Rule>("{}").unwrap(), Rule::default());
    assert!(serde_json::from_str::<Rule>("{\"adopt_pionts\": 1}").is_err());
}

/// Any evidence: numbers in order, but otherwise arbitrary, with gates that may fail.
fn evidence() -> impl Strategy<Value = Evidence> {
    let identification = prop::sample::select(vec![
        Identification::FullInformation,
        Identification::Randomised,
        Identification::Identified,
        Identification::Partial,
        Identification::EstimatedPropensity,
        Identification::NotIdentified,
    ]);
    let points = (-20.0_f64..20.0, 0.0_f64..10.0, 0.0_f64..10.0).prop_map(|(points, below, above)| UpliftPoints {
        points,
        lower: points - below,
        upper: points + above,
    });
    let ratio = (0.5_f64..1.5, 0.0_f64..0.3, 0.0_f64..0.3).prop_map(|(ratio, below, above)| LatencyRatio {
        static_ms: 1.0,
        learned_ms: ratio,
        ratio,
        lower: ratio - below,
        upper: ratio + above,
    });
    let candidate = points.clone().prop_map(|uplift| CandidateUplift { name: "part".to_owned(), uplift, latency: None });
    (
        identification,
        prop::collection::vec(prop::bool::weighted(0.97), GateName::ALL.len()),
        (0_usize..3_000, 0_usize..40, 0.0_f64..1.0),
        (prop::option::weighted(0.9, points.clone()), prop::option::of(points), prop::option::weighted(0.9, ratio)),
        (prop::option::weighted(0.9, any::<bool>()), prop::option::weighted(0.9, any::<bool>()), prop::bool::weighted(0.2)),
        (prop::option::of(candidate.clone()), prop::option::of(candidate)),
    )
        .prop_map(
            |(identification, passed, (decisions, exploration_matches, disagreement), numbers, (clear, stable, harmed), parts)| Evidence {
                identification,
                gates: GateName::ALL.into_iter().zip(passed).map(|(name, passed)| Gate { name, passed, detail: name_of(name) }).collect(),
                counts: Counts { decisions, exploration_matches, disagreement, ..clear_win().counts },
                uplift: numbers.0,
                over_static: None,
                control: None,
                bounds: numbers.1,
                latency: numbers.2,
                explainability: clear.map(|acceptable| Explainability { acceptable, ..clear_win().explainability.unwrap() }),
                retraining: stable.map(|acceptable| Retraining { interval_days: 30, decays: true, acceptable }),
                segments: Vec::new(),
                harmed_segments: if harmed { vec!["chat".to_owned()] } else { Vec::new() },
                composed: parts.0,
                supported: parts.1,
            },
        )
}

/// How good a verdict is for the learned router.
fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Keep => 0,
        Verdict::Hybrid => 1,
        Verdict::InvestigateFeatures | Verdict::OptimizeModel | Verdict::CostBenefit => 2,
        Verdict::Adopt => 3,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn adopt_needs_a_log_that_identifies_and_gates_that_pass(evidence in evidence()) {
        let decision = decide(&evidence, &Rule::default());
        if decision.verdict == Verdict::Adopt {
            prop_assert!(evidence.identification.supports_adoption());
            prop_assert!(evidence.gates.iter().all(|gate| gate.passed));
            let (uplift, latency) = (evidence.uplift.unwrap(), evidence.latency.unwrap());
            prop_assert!(uplift.points >= 5.0 && uplift.lower > 3.0 && latency.upper < 1.10);
            prop_assert!(evidence.explainability.unwrap().acceptable && evidence.harmed_segments.is_empty());
            prop_assert!(evidence.counts.decisions >= 1_000);
        }
    }

    #[test]
    fn a_log_that_identifies_nothing_is_always_kept(evidence in evidence()) {
        let evidence = Evidence { identification: Identification::NotIdentified, ..evidence };
        prop_assert_eq!(decide(&evidence, &Rule::default()).verdict, Verdict::Keep);
    }

    #[test]
    fn a_failed_gate_never_adopts(evidence in evidence(), gate in 0..GateName::ALL.len()) {
        let mut evidence = evidence;
        evidence.gates[gate].passed = false;
        prop_assert_ne!(decide(&evidence, &Rule::default()).verdict, Verdict::Adopt);
    }

    #[test]
    fn more_uplift_never_makes_the_verdict_worse(evidence in evidence(), more in 0.0_f64..10.0) {
        let mut better = evidence.clone();
        if let Some(uplift) = &mut better.uplift {
            *uplift = UpliftPoints { points: uplift.points + more, lower: uplift.lower + more, upper: uplift.upper + more };
        }
        prop_assert!(rank(decide(&better, &Rule::default()).verdict) >= rank(decide(&evidence, &Rule::default()).verdict));
    }

    #[test]
    fn a_higher_lower_bound_never_makes_the_verdict_worse(evidence in evidence(), part in 0.0_f64..1.0) {
        let mut tighter = evidence.clone();
        if let Some(uplift) = &mut tighter.uplift {
            uplift.lower += part * (uplift.points - uplift.lower);
        }
        prop_assert!(rank(decide(&tighter, &Rule::default()).verdict) >= rank(decide(&evidence, &Rule::default()).verdict));
    }

    #[test]
    fn less_latency_never_loses_an_adoption(evidence in evidence(), factor in 0.5_f64..1.0) {
        let mut faster = evidence.clone();
        if let Some(latency) = &mut faster.latency {
            *latency = LatencyRatio { ratio: latency.ratio * factor, lower: latency.lower * factor, upper: latency.upper * factor, ..*latency };
        }
        if decide(&evidence, &Rule::default()).verdict == Verdict::Adopt {
            prop_assert_eq!(decide(&faster, &Rule::default()).verdict, Verdict::Adopt);
        }
    }

    #[test]
    fn a_verdict_survives_its_file(evidence in evidence()) {
        let decision = decide(&evidence, &Rule::default());
        let read: Decision = serde_json::from_str(&serde_json::to_string(&decision).unwrap()).unwrap();
        prop_assert_eq!(read, decision);
    }
}
