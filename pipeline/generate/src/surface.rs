//! The surfaces: probability of success and expected latency of every path, given what is logged.

use routewright_domain::{Arm, Paths};

use crate::calendar::load;
use crate::context::Mode;
use crate::regions::region_of;
use crate::vocabulary::WordClass;
use crate::world::Situation;

/// How much the static path is ahead of a region's better one when there is no gain at all.
const HEAD_START: f64 = 0.04;

/// Share of a region's gap by which the static path falls behind its usual level; the better path rises by the rest.
pub(crate) const FALL: f64 = 0.65;

/// Probabilities of success stay within these bounds.
const SUCCESS_BOUNDS: (f64, f64) = (0.02, 0.985);

/// Least amount by which a path is behind the static one outside its regions.
const LEAST_PENALTY: f64 = 0.06;

/// Growth of every latency from the first to the last day at drift 1.
const LATENCY_DRIFT: f64 = 0.10;

/// Fall of every success rate from the first to the last day at drift 1.
const SUCCESS_DRIFT: f64 = 0.02;

/// What a path is made for; the first four paths of a world take these roles in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Calls a tool, no model.
    DirectTool,
    /// A large model that thinks before it answers.
    Reasoning,
    /// A model for programs.
    Coding,
    /// A general model.
    Standard,
    /// One of several further general models, weaker with every number.
    Further(u16),
}

impl Role {
    /// The roles of the first four paths.
    pub const ALL: [Self; 4] = [Self::DirectTool, Self::Reasoning, Self::Coding, Self::Standard];

    /// Name of the path with this role, where nobody gives another.
    pub fn default_name(self) -> &'static str {
        match self {
            Self::DirectTool => "DIRECT_TOOL",
            Self::Reasoning => "REASONING",
            Self::Coding => "CODING",
            Self::Standard | Self::Further(_) => "STANDARD",
        }
    }

    /// How much worse this path does on a query that the rules send to `chosen`; 0 for `chosen` itself.
    fn penalty(self, chosen: Self) -> f64 {
        use Role::{Coding, DirectTool, Reasoning};
        if self == chosen {
            return 0.0;
        }
        match (chosen, self) {
            (DirectTool, Reasoning) => 0.24,
            (DirectTool, Coding) => 0.36,
            (DirectTool, _) => 0.22,
            (Reasoning, DirectTool) => 0.48,
            (Reasoning, Coding) => 0.28,
            (Reasoning, _) => 0.24,
            (Coding, DirectTool) => 0.48,
            (Coding, Reasoning) => 0.20,
            (Coding, _) => 0.28,
            (_, DirectTool) => 0.44,
            (_, Reasoning) => 0.20,
            (_, Coding) => 0.30,
            (_, _) => 0.16,
        }
    }
}

/// The paths of a world with their roles.
#[derive(Clone, Debug)]
pub(crate) struct Cast {
    paths: Paths,
    roles: Vec<Role>,
    arms: [Arm; 4],
}

impl Cast {
    /// Gives the names their roles; names are known to be distinct, at least four.
    pub fn new(names: &[String]) -> Self {
        let paths = Paths::from_names(names.iter().cloned());
        let role = |name: &String| match names.iter().position(|known| known == name) {
            Some(position) if position < Role::ALL.len() => Role::ALL[position],
            position => Role::Further(position.map_or(0, |position| (position - Role::ALL.len()) as u16)),
        };
        let roles: Vec<Role> = paths.names().iter().map(role).collect();
        let arm = |wanted: Role| Arm(roles.iter().position(|&role| role == wanted).unwrap_or(0) as u16);
        let arms = Role::ALL.map(arm);
        Self { paths, roles, arms }
    }

    /// The paths by name.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The role of a path.
    pub fn role(&self, arm: Arm) -> Role {
        self.roles[arm.index()]
    }

    /// The path with a role; further paths are never asked for.
    pub fn arm(&self, role: Role) -> Arm {
        let position = Role::ALL.iter().position(|&known| known == role).unwrap_or(3);
        self.arms[position]
    }
}

/// Everything about a query's success that does not depend on the gain and the level, so that a calibration reuses it.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// Deviation of this query from the level, for all paths.
    pub deviation: f64,
    /// The static path.
    pub chosen: Arm,
    /// The better path and the strength of its region, where there is one.
    pub better: Option<(Arm, f64)>,
    /// How much each path is behind the static one outside regions.
    pub penalties: Vec<f64>,
}

/// Reads the terms off a situation.
pub(crate) fn terms(cast: &Cast, drift: f64, situation: &Situation) -> Terms {
    let chosen_role = situation.route.role;
    let better = region_of(situation).map(|region| {
        let trend = 1.0 + region.trend * drift * (2.0 * situation.progress - 1.0);
        (cast.arm(region.better), region.strength * trend * topic_factor(situation))
    });
    let penalties = cast.roles.iter().map(|&role| penalty(role, chosen_role, situation)).collect();
    Terms { deviation: deviation(drift, situation), chosen: cast.arm(chosen_role), better, penalties }
}

impl Terms {
    /// Probability of success of every path, at a gain and a level.
    pub fn success(&self, gain: f64, level: f64, probabilities: &mut Vec<f64>) {
        let usual = level + self.deviation;
        probabilities.clear();
        probabilities.extend(self.penalties.iter().map(|penalty| usual - penalty));
        if let Some((better, strength)) = self.better {
            let gap = gain * strength - HEAD_START;
            let fallen = usual - FALL * gap.max(0.0);
            probabilities[self.chosen.index()] = fallen;
            probabilities[better.index()] = fallen + gap;
        }
        for probability in probabilities.iter_mut() {
            *probability = probability.clamp(SUCCESS_BOUNDS.0, SUCCESS_BOUNDS.1);
        }
    }
}

/// How a query differs from the usual level, whatever the path: harder texts, a worse system and haste lower it.
fn deviation(drift: f64, situation: &Situation) -> f64 {
    let context = &situation.context;
    let mode = match context.system_mode {
        Mode::Normal => 0.01,
        Mode::Alert => -0.01,
        Mode::Degraded => -0.03,
    };
    let night = if situation.timestamp.hour_of_day() < 6.0 { -0.02 } else { 0.0 };
    let haste = if situation.words.urgent > 0 { -0.02 } else { 0.0 };
    mode + night + haste
        - 0.08 * (situation.features.complexity_estimate - 0.4)
        - 0.20 * (context.recent_error_rate - 0.05)
        - 0.04 * (context.vram_usage - 0.65)
        - SUCCESS_DRIFT * drift * (situation.progress - 0.5)
}

/// Some subjects gain a little more than others: those with more words of their own class.
fn topic_factor(situation: &Situation) -> f64 {
    let own = situation.features.keywords.iter().filter(|keyword| matters(keyword)).count();
    0.9 + 0.1 * own.min(2) as f64
}

/// Whether a keyword says what the query is about.
fn matters(keyword: &str) -> bool {
    crate::vocabulary::lookup(keyword).is_some_and(|(_, class)| matches!(class, WordClass::Tool | WordClass::Coding | WordClass::Reasoning))
}

/// How much a path is behind the static one on this query, outside regions.
fn penalty(role: Role, chosen: Role, situation: &Situation) -> f64 {
    if role == chosen {
        return 0.0;
    }
    let context = &situation.context;
    let starved = if context.vram_usage >= 0.75 { 0.05 } else { 0.0 };
    let extra = match role {
        Role::DirectTool if context.system_mode == Mode::Degraded => 0.06,
        Role::Reasoning => starved,
        Role::Standard => 0.06 * (situation.features.complexity_estimate - 0.4),
        Role::Further(number) => 0.02 * f64::from(number + 1).min(8.0),
        Role::DirectTool | Role::Coding => 0.0,
    };
    (role.penalty(chosen) + extra).max(LEAST_PENALTY)
}

/// Expected latency of every path, in milliseconds.
pub(crate) fn latencies(cast: &Cast, drift: f64, situation: &Situation, latencies_ms: &mut Vec<f64>) {
    let busy = 1.0 + 0.15 * load(situation.timestamp.hour_of_day());
    let drifted = 1.0 + LATENCY_DRIFT * drift * situation.progress;
    latencies_ms.clear();
    latencies_ms.extend(cast.roles.iter().map(|&role| busy * drifted * idle_latency(role, situation)));
}

/// Expected latency on an idle system on the first day, in milliseconds.
fn idle_latency(role: Role, situation: &Situation) -> f64 {
    let context = &situation.context;
    let hard = situation.features.complexity_estimate;
    let pressure = |from: f64| ((context.vram_usage - from) / (1.0 - from)).max(0.0);
    match role {
        Role::DirectTool => {
            let outage = match context.system_mode {
                Mode::Normal => 1.0,
                Mode::Alert => 1.6,
                Mode::Degraded => 6.0,
            };
            let retries = if situation.features.has_question { 2.5 } else { 1.0 };
            420.0 * outage * retries * (1.0 + 4.0 * context.recent_error_rate)
        }
        Role::Standard => 2_300.0 * (0.7 + 0.8 * hard) * (1.0 + 0.4 * pressure(0.6)),
        Role::Coding => 4_600.0 * (0.45 + 1.4 * hard) * (1.0 + 0.4 * pressure(0.6)),
        Role::Reasoning => 6_800.0 * (0.6 + 0.9 * hard) * (1.0 + 2.9 * pressure(0.7)),
        Role::Further(number) => 2_000.0 * (0.7 + 0.8 * hard) * (1.0 + 0.03 * f64::from(number.min(20))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_follow_the_order_of_the_settings_and_arms_the_alphabet() {
        let names = ["t", "r", "c", "s", "a"].map(str::to_owned);
        let cast = Cast::new(&names);
        assert_eq!(cast.paths().names(), ["a", "c", "r", "s", "t"]);
        assert_eq!(cast.role(Arm(0)), Role::Further(0));
        assert_eq!(cast.arm(Role::DirectTool), Arm(4));
        assert_eq!(cast.arm(Role::Standard), Arm(3));
    }

    #[test]
    fn without_gain_the_static_path_is_ahead_and_with_gain_the_better_one() {
        let terms = Terms { deviation: 0.0, chosen: Arm(0), better: Some((Arm(1), 1.0)), penalties: vec![0.0, 0.2, 0.2] };
        let mut success = Vec::new();
        terms.success(0.0, 0.9, &mut success);
        assert_eq!(success, [0.9, 0.9 - HEAD_START, 0.7]);
        terms.success(0.24, 0.9, &mut success);
        assert!((success[1] - success[0] - 0.2).abs() < 1e-12, "{success:?}");
    }
}
