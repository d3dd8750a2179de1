//! The static router as data: keywords to paths, or three stages that classify, select and validate.
//!
//! `rules.toml` has either `[[keywords]]` (the first rule of which a word occurs gives the path) or `[[classify]]`, `[[select]]` and
//! `[[validate]]`. Texts are compared in lower case. Two files come with this crate: [`Rules::keyword_cascade`] and
//! [`Rules::three_stages`].

mod text;

use routewright_domain::Scalar;
use serde::{Deserialize, Serialize};

use crate::request::Request;
pub use text::RulesScratch;

/// Version of the file; a reader refuses any other.
pub const RULES_VERSION: u32 = 1;

/// Matches beyond the first that add to a confidence.
const COUNTED_MATCHES: usize = 3;

/// A rule on words that gives a path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeywordRule {
    name: String,
    /// Parts of the text of which one must occur.
    any: Vec<String>,
    path: String,
    confidence: f64,
}

/// A rule of stage 1. All conditions that are there must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ClassifyRule {
    query_type: String,
    /// Parts of the text of which one must occur.
    any: Vec<String>,
    /// Whole words of which one must occur.
    words: Vec<String>,
    /// Words with one of which the text must begin.
    first: Vec<String>,
    confidence: f64,
    /// Confidence that every match beyond the first adds, three at most.
    per_match: f64,
}

/// Stage 1 where no rule applies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassifyOtherwise {
    query_type: String,
    confidence: f64,
}

/// Numbers of words up to which a query is simple, and up to which it is of medium complexity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ComplexityRule {
    simple_words: usize,
    medium_words: usize,
}

/// A rule of stage 2.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SelectRule {
    query_type: String,
    /// Where given, the complexity must be this.
    complexity: Option<String>,
    path: String,
    tool_name: Option<String>,
    rationale: String,
}

/// A rule of stage 3. All conditions that are there must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ValidateRule {
    path: Option<String>,
    below_confidence: Option<f64>,
    /// Key of an extra, such as `context.system_mode`.
    key: Option<String>,
    /// What the extra must say.
    equals: Option<String>,
    concern: String,
    alternative: Option<String>,
    /// Whether the alternative is taken at once.
    replace: bool,
}

/// The path where no rule applies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Otherwise {
    name: String,
    path: String,
    confidence: f64,
}

/// A static router; made by [`Rules::parse`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    version: u32,
    #[serde(default)]
    keywords: Vec<KeywordRule>,
    #[serde(default)]
    classify: Vec<ClassifyRule>,
    classify_otherwise: Option<ClassifyOtherwise>,
    complexity: Option<ComplexityRule>,
    #[serde(default)]
    select: Vec<SelectRule>,
    otherwise: Otherwise,
    #[serde(default)]
    validate: Vec<ValidateRule>,
}

/// Rules that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Not TOML, or not the tables and keys of rules.
    #[error("the rules cannot be read")]
    Toml(#[from] toml::de::Error),
    /// A version this program does not read.
    #[error("rules of version {found}, this program reads {RULES_VERSION}")]
    Version {
        /// The version found.
        found: u32,
    },
    /// A rule that cannot apply, or says nothing.
    #[error("rule {position} of `[[{table}]]`: {reason}")]
    Rule {
        /// The table.
        table: &'static str,
        /// The rule, from 1.
        position: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// Tables that do not go together.
    #[error("{0}")]
    Tables(&'static str),
}

/// What the static rules decided, with what their stages said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StaticRoute<'a> {
    /// The path.
    pub path: &'a str,
    /// The tool, where a rule names one.
    pub tool_name: Option<&'a str>,
    /// Confidence in the choice, in [0, 1].
    pub confidence: f64,
    /// The rule that gave the path: its name, or its rationale.
    pub rule: &'a str,
    /// Stage 1's query type.
    pub query_type: Option<&'a str>,
    /// Stage 1's complexity: simple, medium, complex.
    pub complexity: Option<&'static str>,
    /// What speaks against the choice.
    pub concern: Option<&'a str>,
    /// The path that stage 3 would take instead.
    pub alternative: Option<&'a str>,
    /// Whether stage 3 let the choice stand.
    pub is_valid: bool,
}

impl Rules {
    /// Reads and checks rules.
    ///
    /// # Errors
    /// [`RulesError`] names the line, or the first rule that cannot be used.
    pub fn parse(toml: &str) -> Result<Self, RulesError> {
        let mut rules: Self = toml::from_str(toml)?;
        rules.check()?;
        rules.lower();
        Ok(rules)
    }

    /// Five masters by keywords, as in the cascade's first layer.
    ///
    /// # Errors
    /// [`RulesError`] cannot come: the file is part of this crate and of its tests.
    pub fn keyword_cascade() -> Result<Self, RulesError> {
        Self::parse(include_str!("../rules/keyword-cascade.toml"))
    }

    /// Four paths by query type, complexity and system mode.
    ///
    /// # Errors
    /// [`RulesError`] cannot come: the file is part of this crate and of its tests.
    pub fn three_stages() -> Result<Self, RulesError> {
        Self::parse(include_str!("../rules/three-stages.toml"))
    }

    /// Every path that a rule can give, in alphabetical order.
    pub fn paths(&self) -> Vec<&str> {
        let mut paths = vec![self.otherwise.path.as_str()];
        paths.extend(self.keywords.iter().map(|rule| rule.path.as_str()));
        paths.extend(self.select.iter().map(|rule| rule.path.as_str()));
        paths.extend(self.validate.iter().filter(|rule| rule.replace).filter_map(|rule| rule.alternative.as_deref()));
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// Decides. Allocates nothing once `scratch` has seen as long a text.
    pub fn route<'a>(&'a self, request: &Request<'_>, scratch: &mut RulesScratch) -> StaticRoute<'a> {
        scratch.read(request.query);
        if !self.classify.is_empty() {
            return self.three_stage_route(request, scratch);
        }
        let rule = self.keywords.iter().find(|rule| rule.any.iter().any(|part| scratch.contains(part)));
        let (path, confidence, rule) = match rule {
            Some(rule) => (rule.path.as_str(), rule.confidence, rule.name.as_str()),
            None => (self.otherwise.path.as_str(), self.otherwise.confidence, self.otherwise.name.as_str()),
        };
        StaticRoute {
            path,
            tool_name: None,
            confidence,
            rule,
            query_type: None,
            complexity: None,
            concern: None,
            alternative: None,
            is_valid: true,
        }
    }

    /// The words of the rule that decided which occur in the text that was last read.
    pub fn matched<'a>(&'a self, route: &StaticRoute<'_>, scratch: &RulesScratch) -> Vec<&'a str> {
        let rule = self.keywords.iter().find(|rule| rule.name == route.rule);
        rule.map_or_else(Vec::new, |rule| rule.any.iter().map(String::as_str).filter(|part| scratch.contains(part)).collect())
    }

    fn three_stage_route<'a>(&'a self, request: &Request<'_>, scratch: &RulesScratch) -> StaticRoute<'a> {
        let (query_type, confidence) = self.classify(scratch);
        let complexity = self.complexity.map(|rule| match scratch.n_words() {
            words if words <= rule.simple_words => "simple",
            words if words <= rule.medium_words => "medium",
            _ => "complex",
        });
        let fits = |rule: &&SelectRule| {
            Some(rule.query_type.as_str()) == query_type && rule.complexity.as_deref().is_none_or(|wanted| Some(wanted) == complexity)
        };
        let selected = self.select.iter().find(fits);
        let mut route = StaticRoute {
            path: selected.map_or(self.otherwise.path.as_str(), |rule| &rule.path),
            tool_name: selected.and_then(|rule| rule.tool_name.as_deref()),
            confidence,
            rule: selected.map_or(self.otherwise.name.as_str(), |rule| &rule.rationale),
            query_type,
            complexity,
            concern: None,
            alternative: None,
            is_valid: true,
        };
        if let Some(rule) = self.validate.iter().find(|rule| rule.applies(&route, request)) {
            (route.concern, route.alternative) = (Some(rule.concern.as_str()), rule.alternative.as_deref());
            if let Some(alternative) = rule.alternative.as_deref().filter(|_| rule.replace) {
                (route.path, route.tool_name, route.is_valid) = (alternative, None, false);
            }
        }
        route
    }

    fn classify(&self, scratch: &RulesScratch) -> (Option<&str>, f64) {
        for rule in &self.classify {
            if let Some(n_matches) = rule.matches(scratch) {
                let more = n_matches.saturating_sub(1).min(COUNTED_MATCHES) as f64;
                return (Some(&rule.query_type), (rule.confidence + rule.per_match * more).clamp(0.0, 1.0));
            }
        }
        self.classify_otherwise.as_ref().map_or((None, self.otherwise.confidence), |rule| (Some(&rule.query_type), rule.confidence))
    }

    fn check(&self) -> Result<(), RulesError> {
        if self.version != RULES_VERSION {
            return Err(RulesError::Version { found: self.version });
        }
        if self.keywords.is_empty() == self.classify.is_empty() {
            return Err(RulesError::Tables("rules need either `[[keywords]]` or `[[classify]]` with `[[select]]`"));
        }
        if self.classify.is_empty() != self.select.is_empty() {
            return Err(RulesError::Tables("`[[classify]]` and `[[select]]` need each other"));
        }
        if !self.keywords.is_empty() && !self.validate.is_empty() {
            return Err(RulesError::Tables("`[[validate]]` belongs to `[[classify]]`, these rules have `[[keywords]]`"));
        }
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let any_empty = |lists: &[&[String]]| lists.iter().any(|list| list.iter().any(|text| text.trim().is_empty()));
        for (position, rule) in (1..).zip(&self.keywords) {
            check_rule("keywords", position, rule.any.is_empty() || any_empty(&[&rule.any]), "`any` needs texts")?;
            check_rule("keywords", position, rule.path.is_empty(), "`path` is empty")?;
            check_rule("keywords", position, !share(rule.confidence), "`confidence` must lie in [0, 1]")?;
        }
        for (position, rule) in (1..).zip(&self.classify) {
            let lists: [&[String]; 3] = [&rule.any, &rule.words, &rule.first];
            let says_nothing = lists.iter().all(|list| list.is_empty()) || any_empty(&lists);
            check_rule("classify", position, says_nothing, "one of `any`, `words` and `first` needs texts")?;
            check_rule("classify", position, rule.query_type.is_empty(), "`query_type` is empty")?;
            let valid = share(rule.confidence) && rule.per_match.is_finite();
            check_rule("classify", position, !valid, "`confidence` must lie in [0, 1] and `per_match` be finite")?;
        }
        for (position, rule) in (1..).zip(&self.select) {
            check_rule("select", position, rule.path.is_empty() || rule.query_type.is_empty(), "`path` or `query_type` is empty")?;
            let known = rule.complexity.as_deref().is_none_or(|complexity| ["simple", "medium", "complex"].contains(&complexity));
            check_rule("select", position, !known, "`complexity` must be simple, medium or complex")?;
            check_rule("select", position, rule.complexity.is_some() && self.complexity.is_none(), "`complexity` needs `[complexity]`")?;
        }
        for (position, rule) in (1..).zip(&self.validate) {
            check_rule("validate", position, rule.key.is_some() != rule.equals.is_some(), "`key` and `equals` need each other")?;
            let is_always = rule.path.is_none() && rule.below_confidence.is_none() && rule.key.is_none();
            check_rule("validate", position, is_always, "a condition is missing")?;
            check_rule("validate", position, rule.replace && rule.alternative.is_none(), "`replace` needs an `alternative`")?;
        }
        let otherwise = share(self.otherwise.confidence) && self.classify_otherwise.as_ref().is_none_or(|rule| share(rule.confidence));
        if otherwise && !self.otherwise.path.is_empty() {
            Ok(())
        } else {
            Err(RulesError::Tables("`[otherwise]` and `[classify_otherwise]` need a path or type and a confidence in [0, 1]"))
        }
    }

    /// Texts in lower case, once.
    fn lower(&mut self) {
        let keywords = self.keywords.iter_mut().flat_map(|rule| rule.any.iter_mut());
        let classify =
            self.classify.iter_mut().flat_map(|rule| rule.any.iter_mut().chain(rule.words.iter_mut()).chain(rule.first.iter_mut()));
        keywords.chain(classify).for_each(|text| *text = text.to_lowercase());
    }
}

impl ClassifyRule {
    /// How many of its texts occur; `None` where the rule does not apply.
    fn matches(&self, scratch: &RulesScratch) -> Option<usize> {
        if !self.first.is_empty() {
            let first = scratch.first_word()?;
            self.first.iter().find(|word| first == word.as_str())?;
        }
        let n_parts = self.any.iter().filter(|part| scratch.contains(part)).count();
        let n_words = self.words.iter().filter(|word| scratch.has_word(word)).count();
        let applies = (self.any.is_empty() || n_parts > 0) && (self.words.is_empty() || n_words > 0);
        applies.then_some(n_parts + n_words)
    }
}

impl ValidateRule {
    fn applies(&self, route: &StaticRoute<'_>, request: &Request<'_>) -> bool {
        let path = self.path.as_deref().is_none_or(|path| path == route.path);
        let doubt = self.below_confidence.is_none_or(|limit| route.confidence < limit);
        let extra = match (self.key.as_deref(), self.equals.as_deref()) {
            (Some(key), Some(wanted)) => match request.extras.get(key) {
                Some(Scalar::Text(text)) => text == wanted,
                Some(Scalar::Bool(flag)) => wanted == if *flag { "true" } else { "false" },
                _ => false,
            },
            _ => true,
        };
        path && doubt && extra
    }
}

fn check_rule(table: &'static str, position: usize, is_wrong: bool, reason: &'static str) -> Result<(), RulesError> {
    if is_wrong { Err(RulesError::Rule { table, position, reason }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use routewright_domain::Timestamp;

    use super::*;

    fn route<'a>(rules: &'a Rules, query: &str) -> StaticRoute<'a> {
        rules.route(&Request::new(query, Timestamp(0)), &mut RulesScratch::default())
    }

    #[test]
    fn the_first_rule_of_which_a_word_occurs_decides() {
        let rules = Rules::keyword_cascade().unwrap();
        for (query, path, confidence) in [
            ("Deploy API to production", "cicd-master", 0.86),
            ("Audit the deploy pipeline for CVE-2024-1", "security-master", 0.88),
            ("Update the DOCUMENTation", "inventory-master", 0.85),
            ("Fix authentication bug in login system", "development-master", 0.82),
            ("What is for lunch?", "coordinator-master", 0.5),
        ] {
            let found = route(&rules, query);
            assert_eq!((found.path, found.confidence), (path, confidence), "{query}");
        }
        let mut scratch = RulesScratch::default();
        let found = rules.route(&Request::new("fix the bug", Timestamp(0)), &mut scratch);
        assert_eq!(rules.matched(&found, &scratch), ["fix", "bug"]);
    }

    #[test]
    fn three_stages_classify_select_and_validate() {
        let rules = Rules::three_stages().unwrap();
        let found = route(&rules, "Please show the cpu usage on web-01");
        assert_eq!((found.path, found.query_type, found.complexity), ("DIRECT_TOOL", Some("tool_direct"), Some("simple")));
        let found = route(&rules, "Why does this happen? Explain and compare.");
        assert_eq!((found.path, found.query_type), ("REASONING", Some("reasoning")));
        assert!((found.confidence - 0.86).abs() < 1e-12);
        let found = route(&rules, "what about lunch");
        assert_eq!(
            (found.path, found.concern, found.alternative, found.is_valid),
            ("STANDARD", Some("type is uncertain"), Some("REASONING"), true)
        );
        let extras = BTreeMap::from([("context.system_mode".to_owned(), Scalar::Text("DEGRADED".into()))]);
        let request = Request { extras: &extras, ..Request::new("restart the server", Timestamp(0)) };
        let found = rules.route(&request, &mut RulesScratch::default());
        assert_eq!((found.path, found.is_valid), ("REASONING", false));
        assert_eq!(rules.paths(), ["CODING", "DIRECT_TOOL", "REASONING", "STANDARD"]);
    }

    #[test]
    fn rules_that_cannot_be_used_are_named() {
        let cascade = include_str!("../rules/keyword-cascade.toml");
        let wrong = |from: &str, to: &str| Rules::parse(&cascade.replacen(from, to, 1)).unwrap_err().to_string();
        assert_eq!(wrong("version = 1", "version = 2"), "rules of version 2, this program reads 1");
        assert_eq!(wrong("confidence = 0.86", "confidence = 86.0"), "rule 2 of `[[keywords]]`: `confidence` must lie in [0, 1]");
        assert_eq!(wrong("\"security\", ", "\" \", "), "rule 1 of `[[keywords]]`: `any` needs texts");
        let Err(RulesError::Toml(error)) = Rules::parse(&cascade.replacen("any", "some", 1)) else { panic!("an unknown key is read") };
        assert!(error.to_string().contains("line 6") && error.to_string().contains("some"), "{error}");
        let both = format!("{cascade}\n[[validate]]\npath = \"a\"\nconcern = \"b\"\n");
        assert!(Rules::parse(&both).unwrap_err().to_string().starts_with("`[[validate]]` belongs to"));
    }
}
