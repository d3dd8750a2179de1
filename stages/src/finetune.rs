//! Approach 3: decisions as chats, to fine-tune a language model that routes. Deduplicated, balanced, split by query and time; and a check of such files.
//!
//! The answer to a query is the best path that the log knows of: where several paths ran, the one that succeeded with the lowest latency, then cost;
//! elsewhere the path that ran and succeeded, weighted by one over the probability with which it was chosen, because what the rules choose
//! often would else be learnt only for being frequent. Queries whose runs all failed teach nothing and are left out.

mod check;

use std::collections::{BTreeMap, BTreeSet};

use routewright_domain::{Decision, Scalar, Timestamp};
use routewright_table::{Decisions, TableError, known_at_decision};
use serde::{Deserialize, Serialize};

pub use check::{Checked, Problem, check};

/// How weights reach the trainer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// A key `weight` beside `messages`, for trainers that read it.
    Field,
    /// Lines repeated or left out in proportion, for trainers that know messages only.
    Repeat,
    /// None: every line once.
    Off,
}

/// How chats are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChatSettings {
    /// Share of the queries, in the order of time, that train; the rest validates.
    pub train_share: f64,
    /// Largest weight of a chat, as a multiple of the mean.
    pub max_weight: f64,
    /// How far paths are brought to equal weight: 0 not at all, 1 wholly.
    pub balance: f64,
    /// How weights reach the trainer.
    pub weights: Weights,
}

impl Default for ChatSettings {
    fn default() -> Self {
        Self { train_share: 0.8, max_weight: 10.0, balance: 0.5, weights: Weights::Field }
    }
}

/// One message of a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

/// One line of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chat {
    /// System, user, assistant.
    pub messages: Vec<Message>,
    /// What the chat counts in training; its mean over a file is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

/// Chats of both windows, and how they came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Chats {
    /// Chats to train on, in the order of time.
    pub train: Vec<Chat>,
    /// Chats to validate on: queries that were first asked after all of the training.
    pub valid: Vec<Chat>,
    /// What became of the decisions.
    pub account: ChatAccount,
}

/// What became of the decisions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatAccount {
    /// Decisions read.
    pub decisions: usize,
    /// Decisions without an outcome so far.
    pub pending: usize,
    /// Questions none of whose runs succeeded.
    pub unsolved: usize,
    /// Different questions, with their context.
    pub questions: usize,
    /// Questions of the later window that had been asked before; they would validate what was trained.
    pub asked_before: usize,
    /// Chats to train on by path, and to validate on.
    pub train_by_path: BTreeMap<String, usize>,
    /// The same for validation.
    pub valid_by_path: BTreeMap<String, usize>,
    /// Share of the training weight by path, after balancing.
    pub weight_by_path: BTreeMap<String, f64>,
    /// Moment from which questions validate, in microseconds since 1970.
    pub valid_from_us: i64,
}

/// A question with what is known of its best path.
#[derive(Default)]
struct Question {
    first: Option<Timestamp>,
    user: String,
    /// Weight per path that succeeded.
    solved: BTreeMap<String, f64>,
}

/// Makes chats of a project's decisions.
///
/// # Errors
/// [`TableError`] for a table that cannot be read.
pub fn chats(decisions: &Decisions, settings: &ChatSettings) -> Result<Chats, TableError> {
    let system = system_message(decisions.paths().names());
    let mut account = ChatAccount::default();
    let mut questions: BTreeMap<String, Question> = BTreeMap::new();
    for day in decisions.iter() {
        let mut runs: BTreeMap<String, Vec<Decision>> = BTreeMap::new();
        for decision in day? {
            account.decisions += 1;
            if decision.success.is_none() {
                account.pending += 1;
            } else {
                runs.entry(decision.query_id.clone()).or_default().push(decision);
            }
        }
        for runs in runs.into_values() {
            add(&mut questions, &runs);
        }
    }
    account.questions = questions.len();
    let mut answered: Vec<(Timestamp, String, String, f64)> = Vec::new();
    for question in questions.into_values() {
        // Of equal weights the first path by name, so that the files do not depend on the order of days.
        let best = question.solved.iter().rev().max_by(|one, other| one.1.total_cmp(other.1));
        match (best, question.first) {
            (Some((path, weight)), Some(first)) => answered.push((first, question.user, path.clone(), *weight)),
            _ => account.unsolved += 1,
        }
    }
    answered.sort_by(|one, other| one.0.cmp(&other.0).then_with(|| one.1.cmp(&other.1)));
    let n_train = (answered.len() as f64 * settings.train_share).round() as usize;
    account.valid_from_us = answered.get(n_train).map_or(i64::MAX, |first| first.0.0);
    let (train, valid) = answered.split_at(n_train.min(answered.len()));
    // The same words in another context are another chat; they must not be on both sides.
    let words = |user: &str| normalised(user.split(CONTEXT).next().unwrap_or_default());
    let trained: BTreeSet<String> = train.iter().map(|chat| words(&chat.1)).collect();
    let (valid, asked_before): (Vec<_>, Vec<_>) = valid.iter().cloned().partition(|chat| !trained.contains(&words(&chat.1)));
    account.asked_before = asked_before.len();
    let train = weighted(train, settings);
    let valid = weighted(&valid, settings);
    let total: f64 = train.iter().map(|chat| chat.3).sum();
    for (_, _, path, weight) in &train {
        *account.train_by_path.entry(path.clone()).or_default() += 1;
        *account.weight_by_path.entry(path.clone()).or_default() += weight / total;
    }
    for (_, _, path, _) in &valid {
        *account.valid_by_path.entry(path.clone()).or_default() += 1;
    }
    Ok(Chats { train: lines(&system, &train, settings.weights), valid: lines(&system, &valid, settings.weights), account })
}

/// Adds the runs of one query to its question.
fn add(questions: &mut BTreeMap<String, Question>, runs: &[Decision]) {
    let Some(first) = runs.first() else { return };
    let user = user_message(first);
    let question = questions.entry(normalised(&user)).or_default();
    if question.first.is_none_or(|known| first.timestamp < known) {
        question.first = Some(first.timestamp);
        question.user = user;
    }
    let paths: BTreeSet<&str> = runs.iter().map(|run| run.path.as_str()).collect();
    let number = |value: Option<f64>| value.unwrap_or(f64::MAX);
    let solved = runs.iter().filter(|run| run.success == Some(true));
    if paths.len() > 1 {
        let best = solved.min_by(|one, other| {
            let worth = |run: &Decision| (number(run.latency_ms), number(run.cost), run.static_path.as_deref() != Some(&run.path));
            let (one_worth, other_worth) = (worth(one), worth(other));
            let costs = one_worth.0.total_cmp(&other_worth.0).then(one_worth.1.total_cmp(&other_worth.1));
            costs.then(one_worth.2.cmp(&other_worth.2)).then_with(|| one.path.cmp(&other.path))
        });
        best.into_iter().for_each(|run| *question.solved.entry(run.path.clone()).or_default() += 1.0);
        return;
    }
    for run in solved {
        *question.solved.entry(run.path.clone()).or_default() += run.propensity.map_or(1.0, |propensity| 1.0 / propensity.get());
    }
}

/// Brings paths closer to equal weight, takes the mean to 1, and cuts what is too heavy.
fn weighted(chats: &[(Timestamp, String, String, f64)], settings: &ChatSettings) -> Vec<(Timestamp, String, String, f64)> {
    let mut of_path: BTreeMap<&str, f64> = BTreeMap::new();
    for (_, _, path, weight) in chats {
        *of_path.entry(path).or_default() += weight;
    }
    let balanced = chats.iter().map(|(_, _, path, weight)| weight * of_path[path.as_str()].powf(-settings.balance));
    let mut weights: Vec<f64> = balanced.collect();
    if settings.weights == Weights::Off {
        weights.fill(1.0);
    }
    // Cutting lowers the mean, which raises the multiple again: a few rounds settle it.
    for _ in 0..20 {
        let mean = weights.iter().sum::<f64>() / weights.len().max(1) as f64;
        weights.iter_mut().for_each(|weight| *weight = (*weight / mean).min(settings.max_weight));
    }
    chats.iter().zip(weights).map(|((time, user, path, _), weight)| (*time, user.clone(), path.clone(), weight)).collect()
}

/// Chats as lines, with their weights as the trainer wants them.
fn lines(system: &str, chats: &[(Timestamp, String, String, f64)], weights: Weights) -> Vec<Chat> {
    let message = |role: &str, content: &str| Message { role: role.to_owned(), content: content.to_owned() };
    let chat = |user: &str, path: &str, weight| Chat {
        messages: vec![message("system", system), message("user", user), message("assistant", path)],
        weight,
    };
    let (mut out, mut due) = (Vec::new(), 0.5);
    for (_, user, path, weight) in chats {
        match weights {
            Weights::Field => out.push(chat(user, path, Some((weight * 1e4).round() / 1e4))),
            Weights::Off => out.push(chat(user, path, None)),
            Weights::Repeat => {
                // Systematic: what is owed is carried on, so that totals are right to one line whatever the weights.
                due += weight;
                while due >= 1.0 {
                    out.push(chat(user, path, None));
                    due -= 1.0;
                }
            }
        }
    }
    out
}

/// What the model is told it does.
fn system_message(paths: &[String]) -> String {
    format!(
        "You route queries. Answer with the name of the execution path that will handle the query best, and nothing else: {}.",
        paths.join(", ")
    )
}

/// What stands between the query and its context.
const CONTEXT: &str = "\n\nContext:";

/// The query, and what was known of the system when it came.
fn user_message(decision: &Decision) -> String {
    let known = decision.extras.iter().filter(|(key, _)| key.starts_with("context.") && known_at_decision(key));
    let lines: Vec<String> = known.map(|(key, value)| format!("{}: {}", key.trim_start_matches("context."), coarse(value))).collect();
    let query = decision.query.trim();
    if lines.is_empty() { query.to_owned() } else { format!("{query}{CONTEXT}\n{}", lines.join("\n")) }
}

/// A value as a model can use it: numbers to two digits, because the third tells nothing and makes every question another one.
fn coarse(value: &Scalar) -> String {
    match value {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Number(value) if value.fract() == 0.0 => format!("{value}"),
        Scalar::Number(value) => format!("{:.1$}", value, (1.0 - value.abs().log10().floor()).clamp(0.0, 6.0) as usize),
        Scalar::Text(text) => text.clone(),
        Scalar::List(texts) => texts.join(", "),
    }
}

/// A text without what makes no difference.
fn normalised(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use routewright_domain::Propensity;

    use super::*;

    fn run(query: &str, path: &str, success: bool, propensity: f64, at: i64) -> Decision {
        Decision {
            trace_id: format!("{query}-{path}-{at}"),
            query_id: format!("{query}-{at}"),
            timestamp: Timestamp(at),
            query: query.to_owned(),
            path: path.to_owned(),
            success: Some(success),
            propensity: Propensity::try_from(propensity).ok(),
            ..Decision::default()
        }
    }

    fn solved(runs: &[Decision]) -> BTreeMap<String, f64> {
        let mut questions = BTreeMap::new();
        runs.iter().for_each(|run| add(&mut questions, std::slice::from_ref(run)));
        questions.into_values().next().unwrap().solved
    }

    #[test]
    fn what_was_explored_counts_as_often_as_it_would_have_run() {
        let found = solved(&[run("Hi", "A", true, 0.9, 1), run("hi ", "B", true, 0.1, 2), run("HI", "B", false, 0.1, 3)]);
        assert!((found["A"] - 1.0 / 0.9).abs() < 1e-9 && (found["B"] - 10.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn where_every_path_ran_the_fastest_that_succeeded_is_the_best() {
        let with = |path: &str, success, latency| Decision { latency_ms: Some(latency), ..run("q", path, success, 1.0, 1) };
        let mut questions = BTreeMap::new();
        add(&mut questions, &[with("A", true, 30.0), with("B", true, 20.0), with("C", false, 10.0)]);
        assert_eq!(questions["q"].solved.keys().collect::<Vec<_>>(), ["B"]);
    }

    #[test]
    fn weights_have_a_mean_of_one_and_an_end() {
        let chat = |path: &str, weight| (Timestamp(0), String::new(), path.to_owned(), weight);
        let chats: Vec<_> = (0..99).map(|_| chat("A", 1.0)).chain([chat("B", 50.0)]).collect();
        let settings = ChatSettings { max_weight: 4.0, balance: 0.0, ..ChatSettings::default() };
        let found = weighted(&chats, &settings);
        let mean = found.iter().map(|chat| chat.3).sum::<f64>() / 100.0;
        assert!((mean - 1.0).abs() < 1e-6 && found[99].3 <= 4.0 + 1e-9, "{mean} {}", found[99].3);
    }

    #[test]
    fn balancing_wholly_gives_every_path_the_same_weight() {
        let chat = |path: &str| (Timestamp(0), String::new(), path.to_owned(), 1.0);
        let chats: Vec<_> = (0..30).map(|row| chat(if row < 20 { "A" } else { "B" })).collect();
        let found = weighted(&chats, &ChatSettings { balance: 1.0, ..ChatSettings::default() });
        let total = |path: &str| found.iter().filter(|chat| chat.2 == path).map(|chat| chat.3).sum::<f64>();
        assert!((total("A") - total("B")).abs() < 1e-9);
    }

    #[test]
    fn repeated_lines_stand_for_their_weights() {
        let chats: Vec<_> =
            [3.0, 0.25, 0.25, 0.5].iter().map(|weight| (Timestamp(0), format!("q{weight}"), "A".to_owned(), *weight)).collect();
        let lines = lines("s", &chats, Weights::Repeat);
        assert_eq!(lines.len(), 4);
        assert_eq!(lines.iter().filter(|chat| chat.messages[1].content == "q3").count(), 3);
        assert!(lines.iter().all(|chat| chat.weight.is_none()));
    }

    #[test]
    fn numbers_keep_two_digits() {
        let text = |value: f64| coarse(&Scalar::Number(value));
        assert_eq!([text(0.532), text(0.0234), text(12.34), text(3.0), text(0.0)], ["0.53", "0.023", "12", "3", "0"]);
    }
}
