//! What a gateway's log says at a glance: the seed's block, its key metrics, and its success criteria with measured values.

use std::collections::BTreeMap;

use routewright_domain::{Interval, Timestamp};
use routewright_ope::stats::{Confidence, quantile_of_sorted, sample_ratio, wilson};
use routewright_ope::{MIN_EXPECTED, SAMPLE_RATIO_LEVEL};
use routewright_router::Group;
use serde::Serialize;

use crate::assess::{Difference, difference};
use crate::deployment::{Action, Deployment, Status};
use crate::nights::{Count, Outcome, Period, nights};
use crate::settings::RolloutSettings;
use crate::time::{HOUR, rfc3339};

/// Longest routing decision that the success criteria allow, in milliseconds.
const MAX_ROUTING_MS: f64 = 100.0;
/// Mean confidence that is aimed at.
const GOOD_CONFIDENCE: f64 = 0.8;
/// Share of the tasks with relevant context that is aimed at.
const GOOD_HIT_RATE: f64 = 0.8;
/// Share of the traffic that a canary gets, where no deployment declares one.
const CANARY_SHARE: f64 = 0.1;

/// A task as the monitoring sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Task<'a> {
    /// What guardrails see of it.
    pub outcome: Outcome,
    /// Whether the learned router decided, rather than the rules.
    pub by_model: bool,
    /// The path that ran.
    pub path: &'a str,
    /// The path that would have been right, where somebody rated it.
    pub optimal_path: Option<&'a str>,
    /// Confidence of what decided, in [0, 1].
    pub confidence: Option<f64>,
    /// Time to the routing decision, in milliseconds.
    pub routing_ms: Option<f64>,
    /// Whether retrieval found context.
    pub context_found: Option<bool>,
    /// Whether the gateway met an error.
    pub routing_error: Option<bool>,
}

/// A share with its 95 % interval; nothing where it was never logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Measured {
    /// What was counted.
    #[serde(flatten)]
    pub count: Count,
    /// The share.
    pub share: Option<f64>,
    /// Its interval.
    pub interval: Option<Interval>,
}

/// One side: the learned router, or the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct SideMetrics {
    /// Decisions.
    pub routes: u64,
    /// Decisions that somebody rated, and those that were right.
    pub accuracy: Measured,
    /// Tasks with an outcome, and successes.
    pub success: Measured,
    /// Mean confidence.
    pub confidence: Option<f64>,
}

/// Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Times {
    /// How many were logged.
    pub count: u64,
    /// The median.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The longest.
    pub max: f64,
    /// Share longer than the criteria allow.
    pub share_over_limit: f64,
}

/// Whether the traffic is split as declared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Balance {
    /// Tasks in the treatment group.
    pub treatment: u64,
    /// Tasks in the control group.
    pub control: u64,
    /// Expected share of the treatment group, over the shares that were declared at each time; none where nothing is deployed.
    pub declared: Option<f64>,
    /// p-value of the split against it, at this look.
    pub p_value: Option<f64>,
    /// Tasks of the treatment group that the rules decided, and of control that the model did.
    pub crossed: u64,
}

/// Whether a criterion is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Met {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// The log cannot tell yet, or does not hold what would tell.
    Open,
}

/// A success criterion of the seed with its measured value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Criterion {
    /// The criterion.
    pub name: &'static str,
    /// Whether it is met.
    pub met: Met,
    /// The numbers, in words.
    pub measured: String,
}

/// What a gateway's log says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Monitoring {
    /// All decisions.
    pub total_routes: u64,
    /// Share of the learned router's, in percent.
    pub ml_percentage: f64,
    /// The learned router's.
    pub ml: SideMetrics,
    /// The rules'.
    pub rules: SideMetrics,
    /// Decisions per path.
    pub paths: BTreeMap<String, u64>,
    /// Mean confidence of all.
    pub confidence: Option<f64>,
    /// Tasks for which context was found.
    pub retrieval: Measured,
    /// Times to the routing decision.
    pub routing: Option<Times>,
    /// Decisions that fell back to the static path, among those of the treatment group.
    pub fallbacks: Measured,
    /// Routing errors.
    pub errors: Measured,
    /// Made-up answers.
    pub hallucinations: Measured,
    /// Tasks without an outcome so far.
    pub pending: u64,
    /// The split of the traffic.
    pub balance: Balance,
    /// Success of treatment minus control within days, by bounds that hold at every look.
    pub difference: Option<Difference>,
    /// The first decision.
    pub first: Option<String>,
    /// The last decision.
    pub last: Option<String>,
    /// The criteria of the seed.
    pub criteria: Vec<Criterion>,
}

/// Sums up tasks, in any order. `deployment`: what declares the shares; `now`: the moment of the look.
pub fn monitor(tasks: &[Task<'_>], deployment: Option<&Deployment>, settings: &RolloutSettings, now: Timestamp) -> Monitoring {
    let count = |value: fn(&Task<'_>) -> Option<bool>| {
        let mut count = Count::default();
        tasks.iter().for_each(|task| count.add(value(task)));
        measured(count)
    };
    let times = |keep: fn(&Task<'_>) -> Option<f64>| tasks.iter().filter_map(keep).collect::<Vec<f64>>();
    let mut paths = BTreeMap::new();
    tasks.iter().for_each(|task| *paths.entry(task.path.to_owned()).or_default() += 1);
    let (ml, rules) = (side(tasks, true), side(tasks, false));
    let (first, last) = (tasks.iter().map(|task| task.outcome.timestamp).min(), tasks.iter().map(|task| task.outcome.timestamp).max());
    let mut found = Monitoring {
        total_routes: tasks.len() as u64,
        ml_percentage: 100.0 * ml.routes as f64 / tasks.len().max(1) as f64,
        ml,
        rules,
        paths,
        confidence: mean(tasks.iter().filter_map(|task| task.confidence)),
        retrieval: count(|task| task.context_found),
        routing: routing_times(times(|task| task.routing_ms)),
        fallbacks: count(|task| task.outcome.fallback),
        errors: count(|task| task.routing_error),
        hallucinations: count(|task| task.outcome.hallucination),
        pending: tasks.iter().filter(|task| task.outcome.success.is_none()).count() as u64,
        balance: balance(tasks, deployment),
        difference: within_days(tasks, settings),
        first: first.map(rfc3339),
        last: last.map(rfc3339),
        criteria: Vec::new(),
    };
    found.criteria = criteria(&found, last, deployment, settings, now);
    found
}

fn measured(count: Count) -> Measured {
    let interval = (count.trials > 0).then(|| wilson(count.hits as f64, count.trials as f64, Confidence::TWO_SIDED_95));
    Measured { count, share: count.rate(), interval }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (n, sum) = values.fold((0_u64, 0.0), |(n, sum), value| (n + 1, sum + value));
    (n > 0).then(|| sum / n as f64)
}

fn side(tasks: &[Task<'_>], by_model: bool) -> SideMetrics {
    let own = || tasks.iter().filter(move |task| task.by_model == by_model);
    let (mut accuracy, mut success) = (Count::default(), Count::default());
    own().for_each(|task| {
        accuracy.add(task.optimal_path.map(|optimal| optimal == task.path));
        success.add(task.outcome.success);
    });
    SideMetrics {
        routes: own().count() as u64,
        accuracy: measured(accuracy),
        success: measured(success),
        confidence: mean(own().filter_map(|task| task.confidence)),
    }
}

fn routing_times(mut values: Vec<f64>) -> Option<Times> {
    values.sort_by(f64::total_cmp);
    let max = *values.last()?;
    let over = values.iter().filter(|value| **value >= MAX_ROUTING_MS).count();
    let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| quantile_of_sorted(&values, share));
    Some(Times { count: values.len() as u64, p50, p95, p99, max, share_over_limit: over as f64 / values.len() as f64 })
}

/// The split against the share that held when each task was decided.
fn balance(tasks: &[Task<'_>], deployment: Option<&Deployment>) -> Balance {
    let is_treated = |task: &Task<'_>| task.outcome.group == Group::Treatment;
    let treatment = tasks.iter().filter(|task| is_treated(task)).count() as u64;
    let control = tasks.len() as u64 - treatment;
    let events = deployment.map(|deployment| deployment.history.as_slice()).unwrap_or_default();
    let share_at = |time: Timestamp| events.iter().rev().find(|event| event.time <= time).map(|event| event.share);
    let shares: Vec<f64> = tasks.iter().filter_map(|task| share_at(task.outcome.timestamp)).collect();
    let declared = if shares.is_empty() || shares.len() < tasks.len() { None } else { mean(shares.into_iter()) };
    let is_split = |share: f64| share > 0.0 && share < 1.0 && tasks.len() as f64 * share.min(1.0 - share) >= MIN_EXPECTED;
    let p_value = declared.filter(|share| is_split(*share)).map(|share| sample_ratio(&[treatment, control], &[share, 1.0 - share]));
    let crossed = tasks.iter().filter(|task| is_treated(task) != task.by_model).count() as u64;
    Balance { treatment, control, declared, p_value, crossed }
}

/// Success of treatment minus control, compared within complete days.
fn within_days(tasks: &[Task<'_>], settings: &RolloutSettings) -> Option<Difference> {
    let outcomes: Vec<Outcome> = tasks.iter().map(|task| task.outcome).collect();
    let always = Period { from: Timestamp(i64::MIN), to: Timestamp(i64::MAX), share: CANARY_SHARE };
    difference(&nights(&outcomes, &[always], settings, Timestamp(i64::MAX)), settings)
}

fn criteria(
    found: &Monitoring,
    last: Option<Timestamp>,
    deployment: Option<&Deployment>,
    settings: &RolloutSettings,
    now: Timestamp,
) -> Vec<Criterion> {
    let criterion = |name, (met, measured)| Criterion { name, met, measured };
    vec![
        criterion("A/B test running with 10% ML traffic", running(found, deployment)),
        criterion("Routing accuracy >= baseline (rule-based)", accuracy(found)),
        criterion("RAG providing relevant context (>80% hit rate)", retrieval(found)),
        criterion("Latency < 100ms per routing decision", latency(found)),
        criterion("Zero routing errors/exceptions", errors(found)),
        criterion("Metrics collection working", collection(found, last, settings, now)),
        criterion("Rollback procedure tested", rollback(deployment)),
    ]
}

fn running(found: &Monitoring, deployment: Option<&Deployment>) -> (Met, String) {
    let Balance { treatment, control, declared, p_value, .. } = found.balance;
    let tasks = treatment + control;
    if tasks == 0 {
        return (Met::No, "no task was logged".to_owned());
    }
    let share = treatment as f64 / tasks as f64;
    let declared = declared.unwrap_or(CANARY_SHARE);
    let p_value = p_value.unwrap_or_else(|| sample_ratio(&[treatment, control], &[declared, 1.0 - declared]));
    let measured = format!(
        "{:.2} % of {tasks} tasks in the treatment group, {:.2} % {}, p = {p_value:.3}",
        100.0 * share,
        100.0 * declared,
        if found.balance.declared.is_some() { "were declared" } else { "are asked for" }
    );
    let is_live = deployment.is_none_or(|deployment| deployment.status == Status::Deployed);
    let met = if treatment == 0 || !is_live || p_value < SAMPLE_RATIO_LEVEL { Met::No } else { Met::Yes };
    (met, measured)
}

fn accuracy(found: &Monitoring) -> (Met, String) {
    let percent = |measured: Measured| format!("{:.1} % of {}", 100.0 * measured.share.unwrap_or_default(), measured.count.trials);
    let rated = [found.ml.accuracy, found.rules.accuracy];
    let words = if rated.iter().all(|side| side.count.trials > 0) {
        format!("rated decisions right: {} by the model, {} by the rules; ", percent(rated[0]), percent(rated[1]))
    } else {
        String::new()
    };
    let Some(difference) = found.difference else {
        return (Met::Open, format!("{words}no day has outcomes in both groups"));
    };
    let Interval { lower, upper } = difference.points;
    let met = if lower >= 0.0 {
        Met::Yes
    } else if upper < 0.0 {
        Met::No
    } else {
        Met::Open
    };
    let points = |bound: f64| if bound.is_finite() { format!("{bound:+.1}") } else { "?".to_owned() };
    let sides = [difference.treatment, difference.control].map(|count| percent(measured(count)));
    let measured = format!("{words}success {} against {}: [{}, {}] points within days", sides[0], sides[1], points(lower), points(upper));
    (met, measured)
}

fn retrieval(found: &Monitoring) -> (Met, String) {
    let (Some(share), Some(interval)) = (found.retrieval.share, found.retrieval.interval) else {
        return (Met::Open, "not logged: `rag_hit` or `rag_context_count` would tell".to_owned());
    };
    let met = if interval.lower > GOOD_HIT_RATE {
        Met::Yes
    } else if interval.upper <= GOOD_HIT_RATE {
        Met::No
    } else {
        Met::Open
    };
    let Count { trials, .. } = found.retrieval.count;
    (met, format!("{:.1} % of {trials} [{:.1}, {:.1}]", 100.0 * share, 100.0 * interval.lower, 100.0 * interval.upper))
}

fn latency(found: &Monitoring) -> (Met, String) {
    let Some(times) = found.routing else { return (Met::Open, "not logged: `latency_ms` would tell".to_owned()) };
    let measured = format!(
        "p50 {:.1}, p95 {:.1}, p99 {:.1}, longest {:.1} ms; {:.2} % of {} take longer",
        times.p50,
        times.p95,
        times.p99,
        times.max,
        100.0 * times.share_over_limit,
        times.count
    );
    (if times.p95 < MAX_ROUTING_MS { Met::Yes } else { Met::No }, measured)
}

fn errors(found: &Monitoring) -> (Met, String) {
    let Count { hits, trials } = found.errors.count;
    match (hits, trials) {
        (0, 0) => (Met::Open, "not logged: `error` would tell".to_owned()),
        // The rule of three: what no event among n trials leaves possible.
        (0, _) => (Met::Yes, format!("none in {trials} decisions: at most {:.3} % of them, with 95 % certainty", 300.0 / trials as f64)),
        _ => (Met::No, format!("{hits} in {trials} decisions")),
    }
}

fn collection(found: &Monitoring, last: Option<Timestamp>, settings: &RolloutSettings, now: Timestamp) -> (Met, String) {
    let Some(last) = last else { return (Met::No, "no task was logged".to_owned()) };
    let hours = now.0.saturating_sub(last.0) as f64 / HOUR;
    let met = if hours <= settings.max_age_hours { Met::Yes } else { Met::No };
    (met, format!("{} tasks, the newest {hours:.1} hours old; {} without an outcome", found.total_routes, found.pending))
}

fn rollback(deployment: Option<&Deployment>) -> (Met, String) {
    let events = deployment.map(|deployment| deployment.history.as_slice()).unwrap_or_default();
    let tested = events.iter().rfind(|event| matches!(event.action, Action::RollBack | Action::Stop));
    tested.map_or_else(
        || (Met::No, "never rolled back: `routewright rollback` takes a moment, `deploy shadow` begins again".to_owned()),
        |event| (Met::Yes, format!("last on {}: {}", rfc3339(event.time), event.reason)),
    )
}

impl Monitoring {
    /// Whether the mean confidence is what is aimed at; nothing where none was logged.
    pub fn is_confident(&self) -> Option<bool> {
        self.confidence.map(|confidence| confidence > GOOD_CONFIDENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::outcome;

    fn task(day: i64, group: Group, success: bool) -> Task<'static> {
        Task {
            outcome: outcome(day, group, success),
            by_model: group == Group::Treatment,
            path: "development-master",
            optimal_path: None,
            confidence: Some(0.8),
            routing_ms: Some(20.0),
            context_found: Some(true),
            routing_error: Some(false),
        }
    }

    /// A hundred tasks of the model and nine hundred of the rules, with successes in percent.
    fn tasks(treated: usize, control: usize) -> Vec<Task<'static>> {
        let treatment = (0..100).map(|row| task(0, Group::Treatment, row < treated));
        treatment.chain((0..900).map(|row| task(0, Group::Control, row % 100 < control))).collect()
    }

    fn met(tasks: &[Task<'_>]) -> Vec<Met> {
        let found = monitor(tasks, None, &RolloutSettings::default(), Timestamp(crate::time::DAY));
        found.criteria.iter().map(|criterion| criterion.met).collect()
    }

    #[test]
    fn the_block_of_the_seed_adds_up() {
        let found = monitor(&tasks(90, 80), None, &RolloutSettings::default(), Timestamp(0));
        assert_eq!((found.total_routes, found.ml.routes, found.rules.routes, found.ml_percentage), (1000, 100, 900, 10.0));
        assert_eq!((found.ml.success.count, found.rules.success.count.hits), (Count { hits: 90, trials: 100 }, 720));
        assert_eq!((found.balance.treatment, found.balance.crossed, found.balance.declared), (100, 0, None));
        assert!((found.confidence.unwrap() - 0.8).abs() < 1e-12);
    }

    #[test]
    fn each_criterion_is_met_open_or_not() {
        use Met::{No, Open, Yes};
        assert_eq!(met(&tasks(99, 70)), [Yes, Yes, Yes, Yes, Yes, Yes, No]);
        assert_eq!(met(&tasks(82, 80))[1], Open, "two points among a hundred prove nothing");
        assert_eq!(met(&tasks(40, 80))[1], No);
        let with = |change: fn(&mut Task<'_>)| {
            let mut rows = tasks(99, 70);
            rows.iter_mut().for_each(change);
            met(&rows)
        };
        assert_eq!(with(|task| task.context_found = None)[2], Open);
        assert_eq!(with(|task| task.context_found = Some(task.by_model))[2], No);
        assert_eq!(with(|task| task.routing_ms = Some(150.0))[3], No);
        assert_eq!(with(|task| task.routing_error = Some(task.by_model))[4], No);
        assert_eq!(with(|task| task.routing_error = None)[4], Open);
        assert_eq!(with(|task| task.outcome.group = Group::Control)[0], No);
        assert_eq!(with(|task| task.outcome.timestamp = Timestamp(-9 * crate::time::DAY))[5], No);
        assert_eq!(met(&[]), [No, Open, Open, Open, Open, No, No]);
    }
}
