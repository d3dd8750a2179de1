//! Whether files of chats are what trainers expect: shape, answers, weights, nothing twice, nothing on both sides.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

/// The roles of a chat, in order.
const ROLES: [&str; 3] = ["system", "user", "assistant"];

/// Characters of a chat from which trainers with a window of 2,048 tokens cut it off, at about four characters a token.
const MAX_CHARACTERS: usize = 8_000;

/// Something wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong and what was expected.
    pub message: String,
}

/// What files hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Checked {
    /// Chats by file, in the order given.
    pub chats: Vec<(String, usize)>,
    /// Chats by answer, over all files.
    pub answers: BTreeMap<String, usize>,
    /// Longest chat in characters.
    pub longest: usize,
    /// What is wrong, in order.
    pub problems: Vec<Problem>,
}

/// Checks files of chats against each other; `files`: names with contents, those to train on first.
pub fn check(files: &[(String, String)]) -> Checked {
    let mut checked = Checked::default();
    let mut seen: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut systems = BTreeSet::new();
    for (number, (file, text)) in files.iter().enumerate() {
        let mut n_chats = 0;
        let (mut weighted, mut sum) = (0_usize, 0.0);
        for (position, line) in text.lines().enumerate() {
            let mut wrong = |message: String| checked.problems.push(Problem { file: file.clone(), line: position + 1, message });
            let chat = match parse(line) {
                Ok(chat) => chat,
                Err(message) => {
                    wrong(message);
                    continue;
                }
            };
            n_chats += 1;
            if let Some(weight) = chat.weight {
                weighted += 1;
                sum += weight;
            }
            if chat.characters > MAX_CHARACTERS {
                wrong(format!("{} characters, where trainers cut off at about {MAX_CHARACTERS}", chat.characters));
            }
            if !names(&chat.system).contains(chat.assistant.as_str()) {
                wrong(format!("the answer `{}` is none of the paths that the system message names", chat.assistant));
            }
            match seen.get(&chat.user) {
                Some((other, _)) if *other != number => wrong("the same user message is in another file".to_owned()),
                Some((_, answer)) if *answer != chat.assistant => {
                    wrong(format!("the same user message was answered with `{answer}` before, here with `{}`", chat.assistant));
                }
                // The same chat again is how weights are written for trainers that know none.
                _ => drop(seen.insert(chat.user.clone(), (number, chat.assistant.clone()))),
            }
            systems.insert(chat.system);
            checked.longest = checked.longest.max(chat.characters);
            *checked.answers.entry(chat.assistant).or_default() += 1;
        }
        let mut whole = |message: String| checked.problems.push(Problem { file: file.clone(), line: 0, message });
        if n_chats == 0 {
            whole("no chat in this file".to_owned());
        }
        if weighted != 0 && weighted != n_chats {
            whole(format!("{weighted} of {n_chats} chats have a weight: all or none must"));
        }
        if weighted != 0 && weighted == n_chats && (sum / n_chats as f64 - 1.0).abs() > 0.05 {
            whole(format!("weights have a mean of {:.3}, which changes the learning rate; 1 is expected", sum / n_chats as f64));
        }
        checked.chats.push((file.clone(), n_chats));
    }
    if systems.len() > 1 {
        let message = format!("{} different system messages: a router is asked with one", systems.len());
        checked.problems.push(Problem { file: files[0].0.clone(), line: 0, message });
    }
    if let [(only, _)] = checked.answers.iter().collect::<Vec<_>>()[..] {
        let message = format!("every answer is `{only}`: there is nothing to learn");
        checked.problems.push(Problem { file: files[0].0.clone(), line: 0, message });
    }
    checked
}

/// A chat that has the right shape.
struct Parsed {
    system: String,
    user: String,
    assistant: String,
    weight: Option<f64>,
    characters: usize,
}

/// Reads a line.
fn parse(line: &str) -> Result<Parsed, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("not JSON: {error}"))?;
    let object = value.as_object().ok_or("a JSON object is expected")?;
    if let Some(key) = object.keys().find(|key| !["messages", "weight"].contains(&key.as_str())) {
        return Err(format!("unknown key `{key}`: only `messages` and `weight` are expected"));
    }
    let messages = object.get("messages").and_then(Value::as_array).ok_or("`messages` must be a list")?;
    if messages.len() != ROLES.len() {
        return Err(format!("{} messages, where system, user and assistant are expected", messages.len()));
    }
    let mut contents = Vec::new();
    for (message, expected) in messages.iter().zip(ROLES) {
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        if role != expected {
            return Err(format!("role `{role}`, where `{expected}` is expected"));
        }
        let content = message.get("content").and_then(Value::as_str).unwrap_or_default();
        if content.trim().is_empty() {
            return Err(format!("the {expected} says nothing: `content` must be a text"));
        }
        contents.push(content.to_owned());
    }
    let weight = match object.get("weight") {
        None => None,
        Some(weight) => match weight.as_f64() {
            Some(weight) if weight.is_finite() && weight >= 0.0 => Some(weight),
            _ => return Err(format!("`weight` must be a number of at least 0, found {weight}")),
        },
    };
    let characters = contents.iter().map(|content| content.chars().count()).sum();
    let [system, user, assistant] = contents.try_into().map_err(|_| "three messages are expected".to_owned())?;
    Ok(Parsed { system, user, assistant, weight, characters })
}

/// The paths that a system message names: what stands between its last colon and its end.
fn names(system: &str) -> BTreeSet<&str> {
    let list = system.rsplit_once(": ").map_or("", |(_, list)| list);
    list.trim_end_matches('.').split(", ").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        r#"{"messages":[{"role":"system","content":"Route: A, B."},{"role":"user","content":"hi"},{"role":"assistant","content":"A"}]}"#;

    fn problems(files: &[(&str, String)]) -> Vec<String> {
        let files: Vec<(String, String)> = files.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect();
        check(&files).problems.into_iter().map(|problem| format!("{}:{} {}", problem.file, problem.line, problem.message)).collect()
    }

    #[test]
    fn what_is_right_passes() {
        let other = GOOD.replace("hi", "bye").replace(r#""content":"A""#, r#""content":"B""#);
        assert_eq!(problems(&[("train", format!("{GOOD}\n{GOOD}\n{other}\n"))]), [""; 0]);
    }

    #[test]
    fn what_is_wrong_is_said_with_file_and_line() {
        let second = |line: &str| problems(&[("train", format!("{GOOD}\n{line}\n"))]);
        for (line, said) in [
            ("{", "train:2 not JSON"),
            ("[]", "train:2 a JSON object is expected"),
            (r#"{"messages":[]}"#, "train:2 0 messages"),
            (&GOOD.replace("\"user\"", "\"human\""), "train:2 role `human`, where `user` is expected"),
            (&GOOD.replace("\"hi\"", "\" \""), "train:2 the user says nothing"),
            (&GOOD.replace("\"A\"", "\"C\""), "train:2 the answer `C` is none of the paths"),
            (&GOOD.replace("\"A\"", "\"B\""), "train:2 the same user message was answered with `A`"),
            (&GOOD.replace("]}", "],\"weight\":-1}"), "train:2 `weight` must be a number"),
            (&GOOD.replace("]}", "],\"weight\":1}"), "train:0 1 of 2 chats have a weight"),
            (&GOOD.replace("]}", "],\"note\":1}"), "train:2 unknown key `note`"),
            (&GOOD.replace("hi", &"x".repeat(9_000)), "train:2 9"),
        ] {
            let found = second(line);
            assert!(found.iter().any(|problem| problem.starts_with(said)), "{said}: {found:?}");
        }
    }

    #[test]
    fn a_question_on_both_sides_is_found() {
        let found = problems(&[("train", GOOD.to_owned()), ("valid", GOOD.to_owned())]);
        assert!(found.iter().any(|problem| problem.starts_with("valid:1 the same user message is in another file")), "{found:?}");
    }
}
