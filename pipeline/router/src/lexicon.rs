//! Short English word lists, chosen for this project: which words hint at which kind of query.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use crate::features::{LANGUAGE_WORDS, Languages};

/// A kind of word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// Haste.
    Urgent,
    /// Praise and thanks.
    Positive,
    /// Complaint and failure.
    Negative,
    /// Courtesy.
    Polite,
    /// Words that open a question.
    Question,
    /// Verbs that open a command.
    Command,
    /// Tools and actions on systems.
    Tool,
    /// Programming.
    Coding,
    /// Words that stand in programs.
    CodeToken,
    /// Explaining, comparing, proving.
    Reasoning,
    /// Small talk.
    Chat,
    /// Numbers and mathematics.
    Mathematics,
    /// Machines and operations.
    System,
    /// Data and documents.
    Data,
    /// Steps and conditions.
    Structure,
}

/// Number of topics.
pub(crate) const N_TOPICS: usize = 15;

/// The words of every topic, in the order of [`Topic`].
const WORDS: [(Topic, &str); N_TOPICS] = [
    (
        Topic::Urgent,
        "urgent urgently asap immediately now quickly quick hurry emergency critical deadline today tonight right-away instantly soon outage blocked blocking",
    ),
    (
        Topic::Positive,
        "good great nice love thanks thank excellent awesome perfect happy helpful glad wonderful amazing works cool best fine enjoy",
    ),
    (
        Topic::Negative,
        "bad wrong broken fail failed fails failing failure error errors bug crash crashed crashes issue problem hate terrible awful useless stuck angry annoying slow worse worst never not cannot can't doesn't won't",
    ),
    (Topic::Polite, "please kindly could would thanks thank appreciate sorry excuse"),
    (
        Topic::Question,
        "what why how when where who whom whose which is are was were do does did can could should would will whether am may",
    ),
    (
        Topic::Command,
        "show list find get give tell create make write run execute start stop open close delete remove add update set send check search compute calculate convert translate summarize summarise explain fix refactor implement generate build deploy install fetch read book schedule order play turn compare analyze analyse review draw plot describe sort count print restart kill move copy rename download upload",
    ),
    (
        Topic::Tool,
        "run execute start stop restart open close launch list show search fetch get set send email mail message call calendar schedule book order timer alarm reminder remind weather temperature forecast stock price flight hotel map directions file files folder directory screenshot browser api endpoint lookup status tool command shell terminal play volume light lights turn toggle enable disable download upload ticket inventory",
    ),
    (
        Topic::Coding,
        "code function functions class method methods variable bug debug refactor compile compiler test tests unit python rust java javascript typescript c sql regex algorithm implement implementation script library package module api json yaml xml html css git commit branch merge exception stacktrace stack trace loop array string integer pointer async thread recursion recursive struct enum interface database query index docker kubernetes pipeline lint parser parse program programming snippet",
    ),
    (
        Topic::CodeToken,
        "def fn func return const let var import from class public private static void int str bool self null none true false elif else if for while try except catch finally lambda struct impl enum match async await select where print println include namespace",
    ),
    (
        Topic::Reasoning,
        "why explain reason reasoning because therefore prove proof derive compare contrast difference differences tradeoff tradeoffs trade-offs pros cons advantages disadvantages evaluate assess analyze analyse analysis argue argument implications consequences hypothesis infer conclude conclusion strategy plan design decide should optimal philosophy ethical impact cause effect consider logic logical puzzle understand interpret",
    ),
    (
        Topic::Chat,
        "hi hello hey yo morning evening afternoon bye goodbye thanks thank you joke story poem fun chat talk feel feeling lonely bored happy sad weekend favorite favourite movie song music lol haha friend who are name",
    ),
    (
        Topic::Mathematics,
        "calculate compute sum add subtract multiply divide product ratio percent percentage average mean median equation solve integral derivative probability area volume distance speed triangle circle square root factorial prime number numbers total interest rate many much equal equals twice half algebra geometry matrix vector sqrt factor",
    ),
    (
        Topic::System,
        "server servers service services process processes memory cpu gpu vram disk network port log logs latency cluster node nodes container containers pod deploy deployment restart database cache queue backup monitor monitoring alert alerts metrics status health uptime security vulnerability scan firewall certificate permission permissions user users password login token",
    ),
    (
        Topic::Data,
        "data table csv excel spreadsheet report dataset column row rows columns document documents pdf article text summary summarize summarise translate extract classify label chart plot graph dashboard statistics record records paper email page website list",
    ),
    (
        Topic::Structure,
        "first second third then next finally after before if unless when while until step steps also and or but however additionally both each every either otherwise given assume suppose such using multiple several",
    ),
];

/// Names of days and months, and words that stand for a day.
const DATES: &str = "today tomorrow yesterday tonight monday tuesday wednesday thursday friday saturday sunday january february march april june july \
                     august september october november december jan feb apr jun jul aug sep oct dec";

/// Function words as long as a keyword.
const FUNCTION_WORDS: &str = "about after again also been before being between both does doing down during each from have having here into just more \
                              most only other over same some such than that their them there these";

/// Bytes of the longest word of all lists: what fits into a number.
pub(crate) const KEY_BYTES: usize = 16;

/// What the lists say about a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts(u64);

impl Facts {
    const DATE: u64 = 1 << N_TOPICS;
    const FUNCTION_WORD: u64 = 1 << (N_TOPICS + 1);
    /// Languages begin at this bit.
    const LANGUAGES: u32 = 32;

    /// Looks up a word in lower case, once for everything that is asked of it.
    pub(crate) fn of(word: WordKey) -> Self {
        FACTS.get(&word.0).copied().unwrap_or_default()
    }

    /// Whether a topic holds the word.
    pub(crate) fn has(self, topic: Topic) -> bool {
        self.0 >> topic as u32 & 1 == 1
    }

    /// Whether the word names a day or a month.
    pub(crate) fn is_date(self) -> bool {
        self.0 & Self::DATE != 0
    }

    /// Whether the word is a function word as long as a keyword.
    pub(crate) fn is_function_word(self) -> bool {
        self.0 & Self::FUNCTION_WORD != 0
    }

    /// The languages that have the word as a function word, or as an ending.
    pub(crate) fn languages(self) -> Languages {
        (self.0 >> Self::LANGUAGES) as Languages
    }

    /// Counts the word in every topic that holds it.
    pub(crate) fn count(self, counts: &mut [u32; N_TOPICS]) {
        let mut topics = self.0 & (Self::DATE - 1);
        while topics != 0 {
            counts[topics.trailing_zeros() as usize % N_TOPICS] += 1;
            topics &= topics - 1;
        }
    }
}

/// A word of at most [`KEY_BYTES`] bytes as a number, its first byte the lowest; nothing for longer words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WordKey(u128);

impl WordKey {
    /// The key of the bytes from `start` to `end`.
    #[inline]
    pub(crate) fn of(text: &[u8], start: usize, end: usize) -> Self {
        let n_bytes = end - start;
        if KEY_BYTES < n_bytes || n_bytes == 0 {
            return Self::default();
        }
        // Sixteen bytes at once where there are as many, the last of them cleared.
        let bytes = text.get(start..).and_then(<[u8]>::first_chunk).copied().unwrap_or_else(|| {
            let mut bytes = [0; KEY_BYTES];
            bytes[..n_bytes].copy_from_slice(&text[start..end]);
            bytes
        });
        Self(u128::from_le_bytes(bytes) & (u128::MAX >> (8 * (KEY_BYTES - n_bytes))))
    }

    /// The key of an ending, before which the lists have a hyphen.
    pub(crate) fn of_ending(ending: &str) -> Self {
        Self::of_word(ending).after_hyphen()
    }

    /// The key of the ending of a word that is `n_bytes` long, of which this is the key; nothing where it has none.
    pub(crate) fn of_last_bytes(self, n_bytes: usize, n_last: usize) -> Self {
        let skipped = n_bytes.saturating_sub(n_last).min(KEY_BYTES - 1);
        Self(self.0 >> (8 * skipped)).after_hyphen()
    }

    fn after_hyphen(self) -> Self {
        let is_short = 0 < self.0 && self.0 < 1 << (8 * (KEY_BYTES - 1));
        Self(if is_short { self.0 << 8 | u128::from(b'-') } else { 0 })
    }

    /// The same for a whole word.
    pub(crate) fn of_word(word: &str) -> Self {
        Self::of(word.as_bytes(), 0, word.len())
    }
}

/// Every word of the lists.
static FACTS: LazyLock<FxHashMap<u128, Facts>> = LazyLock::new(|| {
    let topics = WORDS.iter().map(|&(topic, words)| (words, 1 << topic as u32));
    let languages = LANGUAGE_WORDS.iter().map(|&(language, words)| (words, 1 << (Facts::LANGUAGES + language as u32)));
    let others = [(DATES, Facts::DATE), (FUNCTION_WORDS, Facts::FUNCTION_WORD)];
    let mut facts = FxHashMap::<u128, Facts>::default();
    for (words, fact) in topics.chain(languages).chain(others) {
        for word in words.split_ascii_whitespace() {
            facts.entry(WordKey::of_word(word).0).or_default().0 |= fact;
        }
    }
    facts
});

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(word: &str) -> Facts {
        Facts::of(WordKey::of_word(word))
    }

    #[test]
    fn a_key_is_the_word_wherever_it_stands() {
        let text = b"see the_quick_brown_fox and a";
        for (start, end, word) in [(0, 3, "see"), (8, 13, "quick"), (24, 27, "and"), (28, 29, "a"), (8, 23, "quick_brown_fox")] {
            assert_eq!(WordKey::of(text, start, end), WordKey::of_word(word), "{word}");
            let ending = &word[word.len().saturating_sub(3)..];
            assert_eq!(WordKey::of_word(word).of_last_bytes(word.len(), 3), WordKey::of_ending(ending), "{word}");
        }
        let none = WordKey::default();
        assert_eq!((WordKey::of_word("seventeen_letters"), WordKey::of_word(""), none.of_last_bytes(17, 3)), (none, none, none));
    }

    #[test]
    fn topics_stand_in_the_order_of_their_numbers() {
        for (position, (topic, _)) in WORDS.iter().enumerate() {
            assert_eq!(*topic as usize, position);
        }
    }

    #[test]
    fn a_word_counts_in_every_topic_that_holds_it() {
        let mut counts = [0; N_TOPICS];
        ["debug", "thanks", "zyzzyva"].iter().for_each(|word| facts(word).count(&mut counts));
        assert_eq!(counts.iter().sum::<u32>(), 4);
        assert_eq!((counts[Topic::Coding as usize], counts[Topic::Chat as usize], counts[Topic::Polite as usize]), (1, 1, 1));
        assert!(facts("why").has(Topic::Question) && !facts("because").has(Topic::Question));
    }

    #[test]
    fn every_word_of_the_lists_is_found_and_nothing_else() {
        for (topic, word) in WORDS.iter().flat_map(|&(topic, words)| words.split_ascii_whitespace().map(move |word| (topic, word))) {
            assert!(facts(word).has(topic), "{word}");
        }
        assert!(DATES.split_ascii_whitespace().all(|word| facts(word).is_date()));
        assert!(FUNCTION_WORDS.split_ascii_whitespace().all(|word| facts(word).is_function_word()));
        for word in ["", "whyy", "wh", "abcdefghijklmnop", "abcdefghijklmnopq"] {
            assert_eq!(facts(word), Facts::default(), "{word}");
        }
    }
}
