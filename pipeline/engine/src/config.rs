//! The settings in force: defaults, then the file, then flags; each with its origin.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::stage::{ParseError, ParseParams, StageEntry, TableEntry};

/// Table of the settings of the run itself.
const RUN_TABLE: &str = "run";

/// How alike a known name must be to be suggested for an unknown one (Jaro-Winkler, 0 to 1): typing errors, not other words.
const SUGGESTION_SIMILARITY: f64 = 0.75;

/// Settings of the run itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RunParams {
    seed: u64,
}

impl Default for RunParams {
    fn default() -> Self {
        Self { seed: 42 }
    }
}

/// A setting given on the command line.
#[derive(Clone, Debug)]
pub struct Override {
    /// Dotted key: `train.trees`.
    pub key: String,
    /// The value as text: TOML where it is that, a string otherwise.
    pub value: String,
    /// The flag as the user wrote it, for messages and for `config show --origin`.
    pub flag: String,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The file, at a line from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A flag, as the user wrote it.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

/// One setting in force.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// Dotted key.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// Who set it.
    pub origin: Origin,
}

/// Settings that cannot be used; nothing has run.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the settings `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file says something that cannot be; `shown` points at it.
    #[error("{}, line {line}: {message}\n{shown}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and what was expected.
        message: String,
        /// The line with a caret under the place.
        shown: String,
    },
    /// A flag says something that cannot be.
    #[error("`{flag}`: {message}")]
    Flag {
        /// The flag as written.
        flag: String,
        /// What is wrong, and what was expected.
        message: String,
    },
    /// A stage's own defaults do not pass its own checks: a bug.
    #[error("the defaults of [{table}] are refused: {message}")]
    Defaults {
        /// The table.
        table: &'static str,
        /// What is wrong.
        message: String,
    },
}

/// The settings in force.
#[derive(Clone, Debug)]
pub struct Config {
    seed: u64,
    tables: BTreeMap<&'static str, Value>,
    settings: Vec<Setting>,
}

/// The text of a settings file, for pointing into it.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Config {
    /// Reads the file (defaults only where there is none), applies the flags in order, and checks everything: the tables of the run, of the
    /// stages, and those of commands that are no stage.
    ///
    /// # Errors
    /// [`ConfigError`] for the first thing that cannot be, with line and caret where the file said it.
    pub fn load(path: Option<&Path>, overrides: &[Override], stages: &[StageEntry], tables: &[TableEntry]) -> Result<Self, ConfigError> {
        let text = match path {
            Some(path) => std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?,
            None => String::new(),
        };
        let source = Source { path: path.unwrap_or(Path::new("pipeline.toml")), text: &text };
        let document = DeTable::parse(&text).map_err(|error| source.error(error.span(), error.message()))?;
        let mut parsers: Vec<(&'static str, ParseParams)> = vec![(RUN_TABLE, parse_run)];
        parsers.extend(stages.iter().map(|stage| (stage.name, stage.parse)));
        parsers.extend(tables.iter().map(|table| (table.name, table.parse)));

        for (name, _) in document.get_ref() {
            if !parsers.iter().any(|(known, _)| *known == name.get_ref().as_ref()) {
                let known: Vec<&str> = parsers.iter().map(|(known, _)| *known).collect();
                return Err(source.error(Some(name.span()), &unknown("table", name.get_ref(), &known)));
            }
        }
        for given in overrides {
            let table = given.key.split('.').next().unwrap_or_default();
            if !parsers.iter().any(|(known, _)| *known == table) || !given.key.contains('.') {
                let known: Vec<&str> = parsers.iter().map(|(known, _)| *known).collect();
                let message = format!("{}; keys look like `train.folds`", unknown("table", table, &known));
                return Err(ConfigError::Flag { flag: given.flag.clone(), message });
            }
        }

        let mut config = Self { seed: 0, tables: BTreeMap::new(), settings: Vec::new() };
        for (table, parse) in parsers {
            let in_file = document.get_ref().get(table);
            let value = source.table(table, parse, in_file)?;
            let value = apply(table, parse, in_file, overrides, value)?;
            config.note_origins(table, &value, &source, in_file, overrides);
            if table == RUN_TABLE {
                config.seed = value.get("seed").and_then(Value::as_u64).unwrap_or_default();
            } else {
                config.tables.insert(table, value);
            }
        }
        Ok(config)
    }

    /// The run's seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The settings of a stage or of another table, defaults included.
    pub fn table(&self, stage: &str) -> &Value {
        self.tables.get(stage).unwrap_or(&Value::Null)
    }

    /// Every setting with its origin, in the order of the stages.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Lists the settings of a table with their origins.
    fn note_origins(
        &mut self,
        table: &str,
        value: &Value,
        source: &Source<'_>,
        in_file: Option<&Spanned<DeValue<'_>>>,
        overrides: &[Override],
    ) {
        let mut leaves = Vec::new();
        flatten(table, value, &mut leaves);
        for (key, value) in leaves {
            let flag = overrides.iter().rev().find(|given| given.key == key || key.starts_with(&format!("{}.", given.key)));
            let origin = match (flag, in_file.and_then(|item| find(item, &key[table.len()..]))) {
                (Some(given), _) => Origin::Flag(given.flag.clone()),
                (None, Some(span)) => Origin::File { path: source.path.to_owned(), line: source.line(span.start) },
                (None, None) => Origin::Default,
            };
            self.settings.push(Setting { key, value, origin });
        }
    }
}

impl Source<'_> {
    /// Reads one table of the file into the settings of its stage.
    fn table(&self, table: &'static str, parse: ParseParams, in_file: Option<&Spanned<DeValue<'_>>>) -> Result<Value, ConfigError> {
        let empty = Spanned::new(0..0, DeValue::Table(DeTable::new()));
        let item = in_file.unwrap_or(&empty);
        parse(ValueDeserializer::from(item.clone())).map_err(|error| match error {
            _ if in_file.is_none() => ConfigError::Defaults { table, message: message_of(&error) },
            ParseError::Text(error) => self.error(error.span(), &self.explain(table, parse, &error)),
            ParseError::Value(key, message) => {
                let span = find(item, &format!(".{key}")).unwrap_or_else(|| item.span());
                self.error(Some(span), &format!("`{table}.{key}` {message}"))
            }
        })
    }

    /// The words of a parser, with a near miss named for an unknown key.
    fn explain(&self, table: &str, parse: ParseParams, error: &toml::de::Error) -> String {
        let written = error.span().and_then(|span| self.text.get(span)).unwrap_or_default();
        if !error.message().starts_with("unknown field") {
            return format!("in [{table}]: {}", error.message());
        }
        unknown_key(table, parse, written)
    }

    /// An error that points into the file.
    fn error(&self, span: Option<Range<usize>>, message: &str) -> ConfigError {
        let span = span.unwrap_or(0..0);
        let start = span.start.min(self.text.len());
        let line = self.line(start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |position| position + 1);
        let content = self.text[line_start..].lines().next().unwrap_or_default();
        let column = self.text[line_start..start].chars().count();
        let width = self.text.get(span).map_or(1, |text| text.lines().next().unwrap_or_default().chars().count().max(1));
        let gutter = " ".repeat(line.to_string().len());
        let shown = format!("{gutter} |\n{line} | {content}\n{gutter} | {}{}", " ".repeat(column), "^".repeat(width));
        ConfigError::File { path: self.path.to_owned(), line, message: message.to_owned(), shown }
    }

    /// The line of a position, from 1.
    fn line(&self, position: usize) -> usize {
        self.text[..position.min(self.text.len())].matches('\n').count() + 1
    }
}

/// Applies the flags of one table, one after the other, so that an error names the flag.
fn apply(
    table: &'static str,
    parse: ParseParams,
    in_file: Option<&Spanned<DeValue<'_>>>,
    overrides: &[Override],
    mut value: Value,
) -> Result<Value, ConfigError> {
    let mut merged = toml::Table::new();
    if let Some(item) = in_file {
        merged = toml::Table::deserialize(ValueDeserializer::from(item.clone()))
            .map_err(|error| ConfigError::Defaults { table, message: error.message().to_owned() })?;
    }
    for given in overrides.iter().filter(|given| given.key.split('.').next() == Some(table)) {
        let flag_error = |message| ConfigError::Flag { flag: given.flag.clone(), message };
        let keys: Vec<&str> = given.key.split('.').skip(1).collect();
        insert(&mut merged, &keys, typed(&given.value)).map_err(flag_error)?;
        let text = toml::to_string(&merged).map_err(|error| flag_error(error.to_string()))?;
        let document = DeTable::parse(&text).map_err(|error| flag_error(error.message().to_owned()))?;
        let span = document.span();
        let item = Spanned::new(span, DeValue::Table(document.into_inner()));
        value = parse(ValueDeserializer::from(item)).map_err(|error| {
            flag_error(match error {
                ParseError::Text(error) if error.message().starts_with("unknown field") => {
                    unknown_key(table, parse, keys.last().copied().unwrap_or_default())
                }
                error => message_of(&error),
            })
        })?;
    }
    Ok(value)
}

/// A flag's value: TOML where it is that, a string otherwise.
fn typed(text: &str) -> toml::Value {
    toml::from_str::<toml::Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

/// Puts a value at a dotted key, making tables on the way.
fn insert(table: &mut toml::Table, keys: &[&str], value: toml::Value) -> Result<(), String> {
    match keys {
        [] => Err("names a table, not a setting".to_owned()),
        [key] => {
            table.insert((*key).to_owned(), value);
            Ok(())
        }
        [key, rest @ ..] => {
            let inner = table.entry((*key).to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            let inner = inner.as_table_mut().ok_or_else(|| format!("`{key}` is a value, not a table"))?;
            insert(inner, rest, value)
        }
    }
}

/// Says that a key is unknown, with the near miss among the table's keys.
fn unknown_key(table: &str, parse: ParseParams, written: &str) -> String {
    let empty = Spanned::new(0..0, DeValue::Table(DeTable::new()));
    let mut leaves = Vec::new();
    if let Ok(defaults) = parse(ValueDeserializer::from(empty)) {
        flatten("", &defaults, &mut leaves);
    }
    let known: Vec<&str> = leaves.iter().filter_map(|(key, _)| key.rsplit('.').next()).collect();
    format!("in [{table}]: {}", unknown("key", written, &known))
}

/// Says that a name is unknown, with the near miss or the names there are.
fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let nearest = known.iter().max_by(|left, right| strsim::jaro_winkler(name, left).total_cmp(&strsim::jaro_winkler(name, right)));
    match nearest {
        Some(near) if strsim::jaro_winkler(name, near) >= SUGGESTION_SIMILARITY => {
            format!("unknown {what} `{name}`, did you mean `{near}`?")
        }
        _ => format!("unknown {what} `{name}`, known are {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}

/// The words of a refusal without a place.
fn message_of(error: &ParseError) -> String {
    match error {
        ParseError::Text(error) => error.message().to_owned(),
        ParseError::Value(_, message) => message.clone(),
    }
}

/// Place of a dotted key (starting with a dot) below an item of the file.
fn find(item: &Spanned<DeValue<'_>>, key: &str) -> Option<Range<usize>> {
    let mut item = item;
    let mut span = None;
    for part in key.split('.').skip(1) {
        let table = item.get_ref().as_table()?;
        let (name, value) = table.get_key_value(part)?;
        span = Some(name.span());
        item = value;
    }
    span
}

/// Leaves of a JSON object by dotted key; lists are leaves.
fn flatten(prefix: &str, value: &Value, leaves: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&key, value, leaves);
            }
        }
        _ => leaves.push((prefix.to_owned(), value.clone())),
    }
}

fn parse_run(table: ValueDeserializer<'_>) -> Result<Value, ParseError> {
    let params = RunParams::deserialize(table).map_err(ParseError::Text)?;
    serde_json::to_value(params).map_err(|error| ParseError::Value("", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Stage, StageError};

    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct TrainParams {
        trees: u32,
        label: String,
    }

    impl Default for TrainParams {
        fn default() -> Self {
            Self { trees: 100, label: "logged".into() }
        }
    }

    struct Train;

    impl Stage for Train {
        const NAME: &'static str = "train";
        const SUMMARY: &'static str = "";
        const VERSION: u32 = 1;
        type Params = TrainParams;
        type Inputs = ();
        type Outputs = ();

        fn check(params: &TrainParams) -> Result<(), (&'static str, String)> {
            if params.trees == 0 { Err(("trees", "must be at least 1".into())) } else { Ok(()) }
        }

        fn run(_: &TrainParams, (): (), _: &Context<'_>) -> Result<(), StageError> {
            Ok(())
        }
    }

    const STAGES: &[StageEntry] = &[StageEntry::of::<Train>()];

    fn load(text: &str, flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipeline.toml");
        std::fs::write(&path, text).unwrap();
        let overrides: Vec<Override> = flags
            .iter()
            .map(|(key, value)| Override { key: (*key).into(), value: (*value).into(), flag: format!("--set {key}={value}") })
            .collect();
        Config::load(Some(&path), &overrides, STAGES, &[])
    }

    fn message(result: Result<Config, ConfigError>) -> String {
        let text = result.unwrap_err().to_string();
        text.split_once("pipeline.toml").map_or(text.clone(), |(_, rest)| format!("pipeline.toml{rest}"))
    }

    #[test]
    fn the_file_overrides_defaults_and_flags_override_the_file() {
        let config = load("[train]\ntrees = 50\n", &[("train.label", "best"), ("run.seed", "7")]).unwrap();
        assert_eq!(config.table("train"), &serde_json::json!({"trees": 50, "label": "best"}));
        assert_eq!(config.seed(), 7);
        let origin = |key: &str| config.settings().iter().find(|setting| setting.key == key).unwrap().origin.to_string();
        assert!(origin("train.trees").ends_with("pipeline.toml:2"));
        assert_eq!(origin("train.label"), "--set train.label=best");
    }

    #[test]
    fn an_unknown_key_is_shown_with_line_caret_and_near_miss() {
        insta::assert_snapshot!(message(load("[train]\ntress = 50\n", &[])), @r"
        pipeline.toml, line 2: in [train]: unknown key `tress`, did you mean `trees`?
          |
        2 | tress = 50
          | ^^^^^
        ");
    }

    #[test]
    fn an_unknown_table_is_shown_with_line_and_caret() {
        insta::assert_snapshot!(message(load("[trian]\n", &[])), @r"
        pipeline.toml, line 1: unknown table `trian`, did you mean `train`?
          |
        1 | [trian]
          |  ^^^^^
        ");
    }

    #[test]
    fn a_wrong_type_and_a_value_out_of_range_are_shown_where_they_stand() {
        insta::assert_snapshot!(message(load("[train]\ntrees = \"many\"\n", &[])), @r#"
        pipeline.toml, line 2: in [train]: invalid type: string "many", expected u32
          |
        2 | trees = "many"
          |         ^^^^^^
        "#);
        insta::assert_snapshot!(message(load("\n[train]\ntrees = 0\n", &[])), @r"
        pipeline.toml, line 3: `train.trees` must be at least 1
          |
        3 | trees = 0
          | ^^^^^
        ");
    }

    #[test]
    fn a_flag_that_cannot_be_is_named() {
        assert_eq!(
            message(load("", &[("train.tree", "3")])),
            "`--set train.tree=3`: in [train]: unknown key `tree`, did you mean `trees`?"
        );
        assert_eq!(message(load("", &[("train.trees", "0")])), "`--set train.trees=0`: must be at least 1");
        assert!(message(load("", &[("trees", "0")])).contains("keys look like `train.folds`"));
    }

    #[test]
    fn what_is_no_toml_is_shown_where_it_breaks() {
        assert!(message(load("[train\n", &[])).contains("1 | [train"));
    }
}
