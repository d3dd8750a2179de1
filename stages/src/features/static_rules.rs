//! What the static router would have chosen where the log does not say: its rules, read as data.

use std::path::Path;

use routewright_domain::{Arm, Decision, Paths};
use routewright_engine::StageError;
use routewright_router::{Request, Rules, RulesScratch};

/// The rules, and what they said of every decision so far.
pub(super) struct StaticRules {
    /// As in the settings.
    place: String,
    rules: Rules,
    scratch: RulesScratch,
    /// The paths that the rules can give, with their places in the log; none for a path that the log does not know.
    arms: Vec<(String, Option<Arm>)>,
    /// One per decision, in the order in which they were asked about.
    chosen: Vec<Option<Arm>>,
}

impl StaticRules {
    /// Reads the rules at a place, relative to the project; `None` where the place is empty.
    pub fn read(place: &str, paths: &Paths, project: &Path) -> Result<Option<Self>, StageError> {
        if place.is_empty() {
            return Ok(None);
        }
        let cannot = |what: &str, why: &dyn std::fmt::Display| {
            StageError::settings(format!("`features.static_rules`: cannot {what} `{place}`: {why}"))
        };
        let text = std::fs::read_to_string(project.join(place)).map_err(|error| cannot("read", &error))?;
        let rules = Rules::parse(&text).map_err(|error| match std::error::Error::source(&error) {
            Some(source) => cannot("use", &format!("{error}: {source}")),
            None => cannot("use", &error),
        })?;
        let arms: Vec<(String, Option<Arm>)> = rules.paths().into_iter().map(|path| (path.to_owned(), paths.arm(path))).collect();
        if arms.iter().all(|(_, arm)| arm.is_none()) {
            let known = |names: Vec<&str>| names.join("`, `");
            let (given, logged) = (known(rules.paths()), known(paths.names().iter().map(String::as_str).collect()));
            return Err(cannot("use", &format!("it gives the paths `{given}`, the log has `{logged}`")));
        }
        Ok(Some(Self { place: place.to_owned(), rules, scratch: RulesScratch::default(), arms, chosen: Vec::new() }))
    }

    /// Asks what the rules say of the next decision.
    pub fn ask(&mut self, decision: &Decision) {
        let path = self.rules.route(&Request::from(decision), &mut self.scratch).path;
        self.chosen.push(self.arms.iter().find(|(name, _)| name == path).and_then(|(_, arm)| *arm));
    }

    /// Fills in what the log does not say; gives a sentence on it.
    pub fn fill(self, static_arms: &mut [Option<Arm>]) -> String {
        let (mut n_missing, mut n_filled, mut n_logged, mut n_equal) = (0, 0, 0, 0);
        for (logged, chosen) in static_arms.iter_mut().zip(self.chosen) {
            if let Some(logged) = logged {
                n_logged += 1;
                n_equal += u64::from(chosen == Some(*logged));
            } else {
                n_missing += 1;
                n_filled += u64::from(chosen.is_some());
                *logged = chosen;
            }
        }
        let unknown: Vec<&str> = self.arms.iter().filter(|(_, arm)| arm.is_none()).map(|(name, _)| name.as_str()).collect();
        let unknown =
            if unknown.is_empty() { String::new() } else { format!("; the log does not know its path `{}`", unknown.join("`, `")) };
        format!(
            "the rules `{}` say what the static router chose for {n_filled} of the {n_missing} decisions whose log does not, and the same as the log \
             for {n_equal} of {n_logged} others{unknown}",
            self.place
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_cannot_be_used_are_named_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::from_names(["REASONING", "DIRECT_TOOL"]);
        let read = |text: Option<&str>, paths: &Paths| {
            text.iter().for_each(|text| std::fs::write(folder.path().join("rules.toml"), text).unwrap());
            StaticRules::read("rules.toml", paths, folder.path()).map(|rules| rules.is_some()).map_err(|error| error.source.to_string())
        };
        let says = |found: Result<bool, String>, words: &[&str]| {
            let error = found.unwrap_err();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        };
        says(read(None, &paths), &["features.static_rules", "cannot read `rules.toml`", "No such file"]);
        says(read(Some("version = 1\nkeywords = 3"), &paths), &["cannot use `rules.toml`", "line 2"]);
        let three_stages = include_str!("../../../pipeline/router/rules/three-stages.toml");
        assert_eq!(read(Some(three_stages), &paths), Ok(true));
        says(read(Some(three_stages), &Paths::from_names(["a"])), &["it gives the paths", "`REASONING`", "the log has `a`"]);
        assert!(StaticRules::read("", &paths, folder.path()).unwrap().is_none());
    }

    #[test]
    fn the_rules_speak_where_the_log_is_silent_and_nowhere_else() {
        let paths = Paths::from_names(["REASONING", "DIRECT_TOOL"]);
        let rules = Rules::three_stages().unwrap();
        let arms = rules.paths().into_iter().map(|path| (path.to_owned(), paths.arm(path))).collect();
        let (tool, llm) = (paths.arm("DIRECT_TOOL"), paths.arm("REASONING"));
        let mut asked = StaticRules { place: "rules.toml".to_owned(), rules, scratch: RulesScratch::default(), arms, chosen: Vec::new() };
        asked.chosen = vec![tool, tool, None, llm];
        let mut static_arms = [None, llm, None, llm];
        let said = asked.fill(&mut static_arms);
        assert_eq!(static_arms, [tool, llm, None, llm]);
        assert!(
            said.contains("for 1 of the 2 decisions") && said.contains("for 1 of 2 others") && said.contains("does not know"),
            "{said}"
        );
    }
}
