//! Who decides: the static rules, the learned router, or chance; and with which probability.
//!
//! A decision is a mixture with known shares. With share `ε` a path is drawn evenly from the candidates. Else, where static and learned
//! differ, with share `δ` a fair coin decides between them. Else the unit's group decides: a fixed share `p` of all units follows the
//! learned router. The probability of each path under this mixture is its propensity:
//!
//! `π(a) = ε/K + (1 − ε) [ (1 − δ)(p ℓ(a) + (1 − p) s(a)) + δ (ℓ(a) + s(a))/2 ]`, `δ = 0` where static and learned agree.
//!
//! Every draw is a hash of the salt and an identifier: the same unit stays in its group, a decision can be repeated, and nothing that is
//! known of the query has a say in the draw.

use routewright_domain::{Arm, Seed};
use serde::{Deserialize, Serialize};

use crate::policy::Fallback;

/// Whether the learned router may take traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The static path is always taken; what the learned router would have done is logged.
    #[default]
    Shadow,
    /// Traffic is shared as the settings say.
    Live,
}

/// How traffic is shared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewaySettings {
    /// Whether the learned model is asked at all; without it every unit follows the static rules.
    pub use_learned_model: bool,
    /// Whether it may take traffic.
    pub mode: Mode,
    /// Share of the units that follow the learned router, in [0, 1].
    pub treatment_share: f64,
    /// Share of the decisions that take a path drawn evenly from all candidates, in [0, 1].
    pub explore: f64,
    /// Share of the decisions on which static and learned differ that a fair coin decides, in [0, 1]: the cheapest way to learn which is
    /// better.
    pub randomise_disagreement: f64,
    /// Sets this experiment's groups apart from those of others; changing it draws new groups.
    pub salt: String,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            use_learned_model: true,
            mode: Mode::Shadow,
            treatment_share: 0.0,
            explore: 0.0,
            randomise_disagreement: 0.0,
            salt: "routewright".to_owned(),
        }
    }
}

/// A share outside [0, 1].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{name}` must lie in [0, 1], found {value}")]
pub struct InvalidShare {
    /// The setting.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
}

/// The group of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Follows the static rules.
    Control,
    /// Follows the learned router.
    Treatment,
}

impl Group {
    /// The group as written in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Treatment => "treatment",
        }
    }
}

/// Who chose the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The static rules, for their group or because nothing else may decide.
    Static,
    /// The learned router.
    Learned,
    /// The coin between static and learned.
    Randomised,
    /// The draw from all candidates.
    Explored,
}

impl Source {
    /// Whether the static rules chose.
    pub fn is_static(self) -> bool {
        self == Self::Static
    }
}

/// What the learned side would do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Learned<'a> {
    /// Nothing: there is no model, or it is turned off.
    Absent,
    /// A path, after the policy's own fallback.
    Path(Option<Arm>),
    /// A path drawn with these probabilities, one per path: Thompson sampling.
    Mixture(&'a [f64]),
}

/// What is known when traffic is shared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask<'a> {
    /// What is assigned to a group as a whole, such as a user or a session.
    pub unit: &'a str,
    /// Identifier of this decision.
    pub trace_id: &'a str,
    /// Number of paths.
    pub n_paths: usize,
    /// What the static rules chose, where the router knows the path.
    pub static_arm: Option<Arm>,
    /// What the learned side would do.
    pub learned: Learned<'a>,
    /// Paths that exploration may take; empty for all.
    pub candidates: &'a [Arm],
    /// Confidence in the learned path.
    pub confidence: f64,
    /// Why the learned side kept the static path.
    pub fallback: Option<Fallback>,
}

/// A decision with its propensities; reused.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayDecision {
    /// The path to take; `None` where neither side knows one.
    pub arm: Option<Arm>,
    /// What the learned side wanted, or drew.
    pub learned_arm: Option<Arm>,
    /// The unit's group.
    pub group: Group,
    /// Who chose.
    pub source: Source,
    /// Probability of the path that was taken, in (0, 1]; 1 without a path.
    pub propensity: f64,
    /// Probability of every path.
    pub propensities: Vec<f64>,
    /// Confidence in the learned path.
    pub confidence: f64,
    /// Why the learned side kept the static path.
    pub fallback: Option<Fallback>,
}

impl Default for GatewayDecision {
    fn default() -> Self {
        Self {
            arm: None,
            learned_arm: None,
            group: Group::Control,
            source: Source::Static,
            propensity: 1.0,
            propensities: Vec::new(),
            confidence: 0.0,
            fallback: None,
        }
    }
}

impl GatewayDecision {
    /// Whether the learned side kept the static path for want of confidence, support or gain; unknown where it was not asked.
    pub(crate) fn fell_back(&self) -> Option<bool> {
        (self.learned_arm.is_some() || self.fallback.is_some()).then_some(self.fallback.is_some())
    }
}

/// Shares traffic between the static rules and the learned router.
#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    settings: GatewaySettings,
    seed: Seed,
}

impl Gateway {
    /// A gateway with checked settings.
    ///
    /// # Errors
    /// [`InvalidShare`] names the first share outside [0, 1].
    pub fn new(settings: GatewaySettings) -> Result<Self, InvalidShare> {
        let shares = [
            ("treatment_share", settings.treatment_share),
            ("explore", settings.explore),
            ("randomise_disagreement", settings.randomise_disagreement),
        ];
        if let Some(&(name, value)) = shares.iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
            return Err(InvalidShare { name, value });
        }
        let seed = Seed(0).derive(&settings.salt, 0);
        Ok(Self { settings, seed })
    }

    /// The settings.
    pub fn settings(&self) -> &GatewaySettings {
        &self.settings
    }

    /// The group of a unit. It never changes under one salt, but that a unit in control may join the treatment as its share grows.
    pub fn group(&self, unit: &str) -> Group {
        if self.draw("group", unit) < self.settings.treatment_share { Group::Treatment } else { Group::Control }
    }

    /// Decides, and writes the decision into `out`. Allocates nothing once `out` has seen as many paths.
    pub fn decide(&self, ask: &Ask<'_>, out: &mut GatewayDecision) {
        let learned = if self.settings.use_learned_model { ask.learned } else { Learned::Absent };
        let known = |arm: Option<Arm>| arm.filter(|arm| arm.index() < ask.n_paths);
        let static_arm = known(ask.static_arm);
        out.learned_arm = match learned {
            Learned::Absent => None,
            Learned::Path(arm) => known(arm),
            Learned::Mixture(shares) => drawn(shares.get(..ask.n_paths).unwrap_or(shares), self.draw("mixture", ask.trace_id)),
        };
        out.group = self.group(ask.unit);
        (out.confidence, out.fallback) = if learned == Learned::Absent { (0.0, None) } else { (ask.confidence, ask.fallback) };
        out.propensities.clear();
        out.propensities.resize(ask.n_paths, 0.0);
        let is_shadow = self.settings.mode == Mode::Shadow;
        let (arm, source) = match (static_arm, out.learned_arm) {
            (None, None) => (None, Source::Static),
            (Some(arm), _) if is_shadow => self.certain(arm, Source::Static, out),
            // Without a static path there is nothing to share traffic with.
            (None, Some(_)) => self.mix(ask, None, learned, out),
            (Some(_), _) => self.mix(ask, static_arm, learned, out),
        };
        (out.arm, out.source) = (arm, source);
        out.propensity = arm.map_or(1.0, |arm| out.propensities[arm.index()].min(1.0));
    }

    /// A path without a draw.
    fn certain(&self, arm: Arm, source: Source, out: &mut GatewayDecision) -> (Option<Arm>, Source) {
        out.propensities[arm.index()] = 1.0;
        (Some(arm), source)
    }

    /// Fills in the propensities of the mixture and draws from it.
    fn mix(&self, ask: &Ask<'_>, static_arm: Option<Arm>, learned: Learned<'_>, out: &mut GatewayDecision) -> (Option<Arm>, Source) {
        let (explore, treated) = (self.settings.explore, self.settings.treatment_share);
        let has_learned = out.learned_arm.is_some();
        let is_agreed = match learned {
            Learned::Mixture(shares) => static_arm.is_some_and(|arm| shares.get(arm.index()).is_some_and(|share| *share == 1.0)),
            _ => static_arm == out.learned_arm,
        };
        let coin = if static_arm.is_some() && has_learned && !is_agreed { self.settings.randomise_disagreement } else { 0.0 };
        let learned_share = match (static_arm, has_learned) {
            (None, _) => 1.0,
            (_, false) => 0.0,
            _ => (1.0 - coin) * treated + coin / 2.0,
        };
        let candidates = || ask.candidates.iter().filter(|arm| arm.index() < ask.n_paths);
        let n_candidates = if ask.candidates.is_empty() { ask.n_paths } else { candidates().count() };
        let explore = if n_candidates == 0 { 0.0 } else { explore };
        let add = |propensities: &mut Vec<f64>, arm: usize, share: f64| propensities[arm] += share;
        if let Some(arm) = static_arm {
            add(&mut out.propensities, arm.index(), (1.0 - explore) * (1.0 - learned_share));
        }
        match (learned, out.learned_arm) {
            (Learned::Mixture(shares), Some(_)) => {
                let total: f64 = shares.iter().take(ask.n_paths).sum();
                shares.iter().take(ask.n_paths).enumerate().for_each(|(arm, share)| {
                    add(&mut out.propensities, arm, (1.0 - explore) * learned_share * share / total);
                });
            }
            (_, Some(arm)) => add(&mut out.propensities, arm.index(), (1.0 - explore) * learned_share),
            (_, None) => {}
        }
        let even = explore / n_candidates.max(1) as f64;
        if ask.candidates.is_empty() {
            out.propensities.iter_mut().for_each(|share| *share += even);
        } else {
            candidates().for_each(|arm| add(&mut out.propensities, arm.index(), even));
        }
        if self.draw("explore", ask.trace_id) < explore {
            let position = (self.draw("candidate", ask.trace_id) * n_candidates as f64) as usize;
            let arm = if ask.candidates.is_empty() { Some(Arm(position as u16)) } else { candidates().nth(position).copied() };
            return (arm, Source::Explored);
        }
        if self.draw("coin", ask.trace_id) < coin {
            let side = if self.draw("side", ask.trace_id) < 0.5 { out.learned_arm } else { static_arm };
            return (side, Source::Randomised);
        }
        match (static_arm, out.learned_arm) {
            (Some(arm), Some(_)) if out.group == Group::Control => (Some(arm), Source::Static),
            (Some(arm), None) => (Some(arm), Source::Static),
            (_, learned) => (learned, Source::Learned),
        }
    }

    /// A number in [0, 1) that depends on salt, purpose and identifier only.
    fn draw(&self, purpose: &str, id: &str) -> f64 {
        let bits = self.seed.derive(purpose, 0).derive(id, 0).0;
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The arm at a position of the distribution; `None` where there is no probability at all.
pub(crate) fn drawn(shares: &[f64], draw: f64) -> Option<Arm> {
    let total: f64 = shares.iter().sum();
    let mut left = draw * total;
    let mut last = None;
    for (arm, &share) in shares.iter().enumerate().filter(|(_, share)| 0.0 < **share) {
        last = Some(Arm(arm as u16));
        if left < share {
            break;
        }
        left -= share;
    }
    last
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn live(treatment_share: f64, explore: f64, randomise_disagreement: f64) -> Gateway {
        let settings = GatewaySettings { mode: Mode::Live, treatment_share, explore, randomise_disagreement, ..GatewaySettings::default() };
        Gateway::new(settings).unwrap()
    }

    fn ask<'a>(id: &'a str, static_arm: Option<u16>, learned: Learned<'a>) -> Ask<'a> {
        let static_arm = static_arm.map(Arm);
        Ask { unit: id, trace_id: id, n_paths: 3, static_arm, learned, candidates: &[], confidence: 0.9, fallback: None }
    }

    fn decide(gateway: &Gateway, ask: &Ask<'_>) -> GatewayDecision {
        let mut out = GatewayDecision::default();
        gateway.decide(ask, &mut out);
        out
    }

    /// How often each path is taken over many units, and the propensities that were logged. Standard error below 0.0025.
    fn shares(gateway: &Gateway, learned: Learned<'_>, candidates: &[Arm]) -> ([f64; 3], Vec<f64>) {
        const N: u32 = 40_000;
        let (mut counts, mut out) = ([0.0; 3], GatewayDecision::default());
        for row in 0..N {
            let id = format!("unit-{row}");
            gateway.decide(&Ask { candidates, ..ask(&id, Some(0), learned) }, &mut out);
            counts[out.arm.unwrap().index()] += 1.0 / f64::from(N);
            assert_eq!(out.propensity, out.propensities[out.arm.unwrap().index()].min(1.0));
        }
        (counts, out.propensities)
    }

    #[test]
    fn paths_are_taken_as_often_as_their_propensities_say() {
        let learned = Learned::Path(Some(Arm(1)));
        for (gateway, learned, candidates) in [
            (live(0.1, 0.0, 0.0), learned, &[][..]),
            (live(0.5, 0.2, 0.0), learned, &[]),
            (live(0.25, 0.1, 0.4), learned, &[]),
            (live(0.25, 0.3, 0.4), learned, &[Arm(0), Arm(2)]),
            (live(0.6, 0.1, 0.3), Learned::Mixture(&[0.2, 0.5, 0.3]), &[]),
            (live(0.6, 0.1, 0.3), Learned::Path(Some(Arm(0))), &[]),
            (live(0.6, 0.1, 0.3), Learned::Absent, &[]),
        ] {
            let (counts, propensities) = shares(&gateway, learned, candidates);
            assert!((propensities.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{propensities:?}");
            for (count, propensity) in counts.iter().zip(&propensities) {
                assert!((count - propensity).abs() < 0.01, "{learned:?}: {counts:?} {propensities:?}");
            }
        }
    }

    #[test]
    fn the_formula_holds_on_a_disagreement() {
        let decision = decide(&live(0.25, 0.1, 0.4), &ask("a", Some(0), Learned::Path(Some(Arm(1)))));
        let learned = 0.9 * (0.6 * 0.25 + 0.4 * 0.5) + 0.1 / 3.0;
        assert!((decision.propensities[1] - learned).abs() < 1e-15);
        assert!((decision.propensities[2] - 0.1 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn agreement_is_not_randomised() {
        let decision = decide(&live(0.25, 0.0, 1.0), &ask("a", Some(1), Learned::Path(Some(Arm(1)))));
        assert_eq!((decision.arm, decision.propensities), (Some(Arm(1)), vec![0.0, 1.0, 0.0]));
    }

    #[test]
    fn shadow_serves_the_static_path_and_tells_the_learned_one() {
        let gateway = Gateway::new(GatewaySettings { treatment_share: 1.0, explore: 0.5, ..GatewaySettings::default() }).unwrap();
        for row in 0..100 {
            let id = row.to_string();
            let decision = decide(&gateway, &ask(&id, Some(2), Learned::Path(Some(Arm(1)))));
            assert_eq!((decision.arm, decision.learned_arm, decision.propensity), (Some(Arm(2)), Some(Arm(1)), 1.0));
        }
    }

    #[test]
    fn a_model_that_is_turned_off_decides_nothing() {
        let settings = GatewaySettings { use_learned_model: false, mode: Mode::Live, treatment_share: 1.0, ..GatewaySettings::default() };
        let decision = decide(&Gateway::new(settings).unwrap(), &ask("a", Some(2), Learned::Path(Some(Arm(1)))));
        assert_eq!((decision.arm, decision.learned_arm, decision.source), (Some(Arm(2)), None, Source::Static));
    }

    #[test]
    fn groups_stay_and_only_grow() {
        let units: Vec<String> = (0..2000).map(|row| format!("user-{row}")).collect();
        let treated = |share| -> Vec<bool> { units.iter().map(|unit| live(share, 0.0, 0.0).group(unit) == Group::Treatment).collect() };
        let (tenth, half) = (treated(0.1), treated(0.5));
        assert!(tenth.iter().zip(&half).all(|(early, late)| !early || *late));
        assert_eq!(tenth, treated(0.1));
        let count = |groups: &[bool]| groups.iter().filter(|is_treated| **is_treated).count();
        assert!(count(&tenth).abs_diff(200) < 60 && count(&half).abs_diff(1000) < 100);
        assert_eq!((count(&treated(0.0)), count(&treated(1.0))), (0, 2000));
    }

    #[test]
    fn another_salt_draws_other_groups() {
        let other = GatewaySettings { salt: "b".into(), treatment_share: 0.5, ..GatewaySettings::default() };
        let (one, other) = (live(0.5, 0.0, 0.0), Gateway::new(other).unwrap());
        let both = (0..2000).filter(|row| one.group(&row.to_string()) == other.group(&row.to_string())).count();
        assert!(both.abs_diff(1000) < 150, "{both}");
    }

    #[test]
    fn shares_outside_the_unit_interval_are_refused() {
        let settings = GatewaySettings { treatment_share: 10.0, ..GatewaySettings::default() };
        assert_eq!(Gateway::new(settings).unwrap_err().to_string(), "`treatment_share` must lie in [0, 1], found 10");
    }

    proptest! {
        #[test]
        fn what_is_taken_had_a_chance(
            (p, explore, coin) in (0.0..=1.0, 0.0..=1.0, 0.0..=1.0),
            static_arm in prop::option::of(0..4_u16),
            learned_arm in prop::option::of(0..4_u16),
            id in "[a-z]{0,8}",
        ) {
            let decision = decide(&live(p, explore, coin), &ask(&id, static_arm, Learned::Path(learned_arm.map(Arm))));
            match decision.arm {
                Some(arm) => {
                    prop_assert!(arm.index() < 3 && 0.0 < decision.propensity && decision.propensity <= 1.0);
                    prop_assert!((decision.propensities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                }
                None => prop_assert!(static_arm.is_none_or(|arm| arm > 2) && learned_arm.is_none_or(|arm| arm > 2)),
            }
        }
    }
}
