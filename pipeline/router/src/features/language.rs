//! The natural language of the query: by its script where one of the languages owns it, else by function words and letters.
//!
//! Trigram profiles tell languages apart as well, but weigh several hundred trigrams per language for every query, and allocate; a query's
//! function words are found while its words are read anyway.

use super::{Feature, QueryInput, Write, columns};
use crate::lexicon::{Facts, WordKey};
use crate::profile::Word;
use crate::schema::ColumnKind::{Code, Share};

/// Number of languages that are told apart.
const N_LANGUAGES: usize = 20;

/// A set of languages: bit `code` is the language of that code.
pub(crate) type Languages = u32;

const ENGLISH: usize = 0;
const SPANISH: usize = 1;
const PORTUGUESE: usize = 2;
const FRENCH: usize = 3;
const GERMAN: usize = 4;
const ITALIAN: usize = 5;
const DUTCH: usize = 6;
const POLISH: usize = 7;
const TURKISH: usize = 8;
const SWEDISH: usize = 9;
const VIETNAMESE: usize = 10;
const INDONESIAN: usize = 11;
const RUSSIAN: usize = 12;
const UKRAINIAN: usize = 13;
const CHINESE: usize = 14;
const JAPANESE: usize = 15;
const KOREAN: usize = 16;
const ARABIC: usize = 17;
const HINDI: usize = 18;
const HEBREW: usize = 19;

/// Function words by language, in lower case; a part that is joined by an apostrophe ends with it, the end of a word begins with a hyphen.
pub(crate) const WORDS: [(usize, &str); 14] = [
    (
        ENGLISH,
        "the and of to is are was were be been for with that this these those what how why which when where who does did do can \
         could should would will must may you your my its it it' don' doesn' isn' can' what' let' from about please not have has \
         had an in on at by or if as but there their they we our me any than then into out up no so one already without while \
         because between each some such more too -ing -ted -ion -ity -ght -ess -ous -ful -ble -ary",
    ),
    (
        SPANISH,
        "el la los las lo le les de del que en un una unos unas uno por para con no se su sus al es son más como pero este esta \
         esto estos estas ese esa cuál cómo qué cuando cuándo dónde donde muy ser ha han hay si sí sobre entre también hasta desde \
         puede pueden debe sin todos todas todo ya ni está están fue mi tu -ión -dad -ado -ada -ido -cia -ica -ico -ivo -dor -ndo \
         -nte",
    ),
    (
        PORTUGUESE,
        "os as da do das dos de em na no nas nos um uma para por com não se seu sua seus suas ao aos à às é são mais como mas este \
         esta isto isso esse essa quando onde qual quais que muito ser foi há ou também até pode podem deve sobre entre pelo pela \
         sem está estão já nem você meu minha -ção -ões -ado -ada -ido -ade -vel -ndo -dor -gem -ivo -cia -nte",
    ),
    (
        FRENCH,
        "le la les des du de un une et est en à dans pour par sur avec que qui ne pas ce cette ces cet il elle nous vous je au aux \
         ou où son sa ses leur leurs plus comme mais être sont quel quelle comment pourquoi quand se été fait peut doit si tout \
         tous sans ni aucun aucune n'est l' d' c' j' n' s' qu' m' -ion -ent -eur -que -ier -ire -ées -ait -nce -ble -ant -ère -ive",
    ),
    (
        GERMAN,
        "der die das den dem des ein eine einen einem einer eines und ist sind war nicht mit für von vom zu zum zur auf in im an am \
         aus bei nach wie was wer wo warum wann welche welcher welches ich du er sie es wir ihr man kann können wird werden wurde \
         sich auch als oder aber wenn dass noch nur über durch um so bitte hat haben sein mein kein keine muss ohne bis -ung -ten \
         -gen -den -hen -ert -eit -ich -tet -cht -che",
    ),
    (
        ITALIAN,
        "il lo la gli le di da in con su per tra fra un una uno del della dei delle dello degli al alla ai alle allo dal dalla dai \
         nel nella nei nelle è sono non che chi come cosa quando dove perché qual quale questo questa questi si più anche ma se ed \
         essere stato stata mi ci sul sulla può ogni deve senza l' d' dell' nell' all' dall' un' sull' -one -ato -are -ere -ire \
         -ità -ale -nte -ile -tto -ndo -ata -che -oni",
    ),
    (
        DUTCH,
        "de het een en van in is dat die op te voor met niet zijn aan er om ook als maar naar bij uit kan hoe wat wie waarom waar \
         wanneer welke ik je jij we wij dit deze door over tot of nog worden wordt werd geen moet mijn heeft hebben kunnen zonder \
         tussen -ing -den -ten -gen -ijk -eid -ren -aar -nde -jke",
    ),
    (
        POLISH,
        "do że się nie to jest są jak co czy dla po od przez przy oraz lub ale który która które tym tego ten ta te tej być jego \
         ich może gdy gdzie dlaczego kiedy mi mnie już tylko pod nad bez za ze we na został -nie -ych -ego -ści -owy -any -ana -wać \
         -cja -cji -ony",
    ),
    (
        TURKISH,
        "bir ve bu için ile ne de da olan olarak değil mi mı mu mü daha çok gibi kadar nasıl neden hangi var yok ya her ama veya şu \
         ben sen biz en sonra önce ise tüm -lar -ler -lan -mak -mek -nda -nin -tır -dır -ası -esi -ama",
    ),
    (
        SWEDISH,
        "och att det som en ett är på av för med till den de inte om har från kan hur vad vem varför när var vilken vilket jag du \
         han hon vi man eller men så nu också mot utan under vid ska skall blev bli blir sig sin min mitt alla kunde måste in ej ut \
         upp finns -het -ade -are -nde -ter -ing -der -rna -tet -ras -ats",
    ),
    (
        VIETNAMESE,
        "là của có cho không được trong với các những một này đó để như thế nào tại sao khi từ về ra vào người làm gì tôi bạn hay \
         hoặc trên dưới cách nếu đã sẽ",
    ),
    (
        INDONESIAN,
        "yang dan di dari untuk dengan ini itu pada tidak adalah ke dalam akan apa mengapa kenapa kapan siapa mana bisa dapat oleh \
         sebagai juga atau karena saya anda kami kita dia ada sudah telah lebih jika antara tentang harus satu secara bukan -kan \
         -nya -asi -aan -gan -nan -tas -ang",
    ),
    (
        RUSSIAN,
        "на что как это для по из от при или если его но же так был быть вы все мне где кто чем до за она они не со об -ние -ния \
         -ный -ных -ить -ать -тся -ого -ции",
    ),
    (
        UKRAINIAN,
        "та що як це для не на із від при або якщо його але був бути ви всі мені де хто чи про за до зі під -ння -ний -них -ити \
         -ати -ься -ого -ції",
    ),
];

/// Words and bytes that the language is read from; more of the same text says nothing new.
const MAX_WORDS: usize = 40;
const MAX_BYTES: usize = 256;

/// Weight of a word, a letter or an ending that a single language has; what several have is shared by them.
const WORD_WEIGHT: u32 = 60;
const LETTER_WEIGHT: u32 = 30;
const ENDING_WEIGHT: u32 = 20;

/// Characters of an ending.
const ENDING: usize = 3;

pub(super) const FEATURE: Feature = Feature {
    name: "language",
    summary: "natural language, by script, function words and letters",
    columns: |_| {
        columns(
            "language",
            &[
                (
                    "language",
                    Code,
                    "0 English, 1 Spanish, 2 Portuguese, 3 French, 4 German, 5 Italian, 6 Dutch, 7 Polish, 8 Turkish, 9 Swedish, \
                     10 Vietnamese, 11 Indonesian, 12 Russian, 13 Ukrainian, 14 Chinese, 15 Japanese, 16 Korean, 17 Arabic, 18 Hindi, \
                     19 Hebrew; missing where nothing tells",
                ),
                ("language_confidence", Share, "how clear the language is; missing where nothing tells"),
            ],
        )
    },
    write: Write::Query(write),
};

fn write(input: &QueryInput<'_>, row: &mut [f32]) {
    let is_ascii = input.profile.n_non_ascii == 0;
    let counts = if is_ascii { ScriptCounts::default() } else { ScriptCounts::of(head(input.request.query)) };
    let found = match counts.main() {
        Script::Latin | Script::Cyrillic => by_evidence(input.profile.entries().take(MAX_WORDS), is_ascii, counts.letters),
        Script::Owned(language, confidence) => Some((language, confidence)),
        Script::Other => None,
    };
    row.copy_from_slice(&found.map_or([f32::NAN; 2], |(language, confidence)| [language as f32, confidence]));
}

/// The language of the most evidence, the first of equals, and its share of all evidence; a single word is half a proof.
fn by_evidence<'a>(
    words: impl Iterator<Item = (&'a str, &'a Word)>,
    is_ascii: bool,
    mut evidence: [u32; N_LANGUAGES],
) -> Option<(usize, f32)> {
    for (text, word) in words {
        let languages = if word.has_apostrophe { languages_of_first_part(text) } else { word.facts.languages() };
        share(languages, WORD_WEIGHT, &mut evidence);
        if languages == 0 {
            let languages = match word.key {
                // Long words have no key.
                key if is_ascii && key != WordKey::default() => languages_of_last_bytes(key, text.len()),
                _ => languages_ending_like(text),
            };
            share(languages, ENDING_WEIGHT, &mut evidence);
        }
    }
    let total: u32 = evidence.iter().sum();
    let (language, best) = evidence.iter().enumerate().rev().max_by_key(|(_, weight)| **weight)?;
    (0 < *best).then_some((language, *best as f32 / (total + WORD_WEIGHT) as f32))
}

/// Shares a weight among languages.
fn share(languages: Languages, weight: u32, evidence: &mut [u32; N_LANGUAGES]) {
    let n_languages = languages.count_ones();
    let mut rest = languages;
    while rest != 0 {
        evidence[rest.trailing_zeros() as usize % N_LANGUAGES] += weight / n_languages;
        rest &= rest - 1;
    }
}

/// The languages that have the part of a lower-case word before its apostrophe as a function word.
fn languages_of_first_part(word: &str) -> Languages {
    let part = word.find('\'').map_or(word, |apostrophe| &word[..=apostrophe]);
    Facts::of(WordKey::of_word(part)).languages()
}

/// [`languages_ending_like`] a word in ASCII that is so many bytes long.
fn languages_of_last_bytes(key: WordKey, n_bytes: usize) -> Languages {
    if n_bytes < ENDING + 2 { 0 } else { Facts::of(key.of_last_bytes(n_bytes, ENDING)).languages() }
}

/// The languages whose words often end as a lower-case word does; none for words that are hardly longer than an ending.
fn languages_ending_like(word: &str) -> Languages {
    let Some((at, _)) = word.char_indices().rev().nth(ENDING - 1) else { return 0 };
    if at < 2 { 0 } else { Facts::of(WordKey::of_ending(&word[at..])).languages() }
}

/// What a text is written in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Script {
    Latin,
    Cyrillic,
    /// A script that one of the languages owns, and how sure that is.
    Owned(usize, f32),
    /// A script of none of the languages.
    Other,
}

/// Letters per script, and what the letters outside ASCII tell.
#[derive(Clone, Copy, Debug, Default)]
struct ScriptCounts {
    latin: u32,
    cyrillic: u32,
    han: u32,
    kana: u32,
    hangul: u32,
    arabic: u32,
    devanagari: u32,
    hebrew: u32,
    other: u32,
    letters: [u32; N_LANGUAGES],
}

impl ScriptCounts {
    fn of(text: &str) -> Self {
        let mut counts = Self::default();
        for character in text.chars() {
            let count = match character {
                'a'..='z' | 'A'..='Z' => &mut counts.latin,
                '\0'..='\u{bf}' => continue,
                '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' | '\u{400}'..='\u{52f}' => {
                    share(languages_with(character), LETTER_WEIGHT, &mut counts.letters);
                    if ('\u{400}'..='\u{52f}').contains(&character) { &mut counts.cyrillic } else { &mut counts.latin }
                }
                '\u{590}'..='\u{5ff}' => &mut counts.hebrew,
                '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}' => &mut counts.arabic,
                '\u{900}'..='\u{97f}' => &mut counts.devanagari,
                '\u{3040}'..='\u{30ff}' => &mut counts.kana,
                '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' => &mut counts.han,
                '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7af}' => &mut counts.hangul,
                _ if character.is_alphabetic() => &mut counts.other,
                _ => continue,
            };
            *count += 1;
        }
        counts
    }

    /// The script of the most letters; Latin where there are none.
    fn main(&self) -> Script {
        let east_asian = self.han + self.kana;
        // Names of programs stand in Latin letters in texts of every script, and an ideograph says as much as a word.
        let candidates = [
            (self.latin, Script::Latin),
            (2 * self.cyrillic, Script::Cyrillic),
            (3 * east_asian, if east_asian < 12 * self.kana { Script::Owned(JAPANESE, 1.0) } else { Script::Owned(CHINESE, 1.0) }),
            (3 * self.hangul, Script::Owned(KOREAN, 1.0)),
            (2 * self.arabic, Script::Owned(ARABIC, 1.0)),
            (2 * self.devanagari, Script::Owned(HINDI, 1.0)),
            (2 * self.hebrew, Script::Owned(HEBREW, 1.0)),
            (2 * self.other, Script::Other),
        ];
        candidates.into_iter().rev().max_by_key(|(weight, _)| *weight).map_or(Script::Latin, |(_, script)| script)
    }
}

/// The languages that write with a letter outside ASCII; none for letters that tell too little.
fn languages_with(character: char) -> Languages {
    let languages: &[usize] = match character.to_lowercase().next().unwrap_or(character) {
        'ñ' => &[SPANISH],
        'ã' | 'õ' => &[PORTUGUESE, VIETNAMESE],
        'ß' => &[GERMAN],
        'ä' => &[GERMAN, SWEDISH],
        'ö' => &[GERMAN, SWEDISH, TURKISH],
        'ü' => &[GERMAN, TURKISH],
        'å' => &[SWEDISH],
        'ą' | 'ć' | 'ę' | 'ł' | 'ń' | 'ś' | 'ź' | 'ż' => &[POLISH],
        'ğ' | 'ı' | 'ş' => &[TURKISH],
        'ç' => &[PORTUGUESE, FRENCH, TURKISH],
        'œ' | 'û' | 'î' => &[FRENCH],
        'ë' | 'ï' => &[FRENCH, DUTCH],
        'ò' | 'ì' | 'ù' => &[ITALIAN, VIETNAMESE],
        'è' => &[FRENCH, ITALIAN, VIETNAMESE],
        'à' => &[PORTUGUESE, FRENCH, ITALIAN, VIETNAMESE],
        'â' | 'ê' | 'ô' => &[PORTUGUESE, FRENCH, VIETNAMESE],
        'é' => &[SPANISH, PORTUGUESE, FRENCH],
        'á' | 'í' | 'ú' => &[SPANISH, PORTUGUESE, VIETNAMESE],
        'ó' => &[SPANISH, PORTUGUESE, POLISH],
        'ă' | 'đ' | 'ĩ' | 'ũ' | 'ơ' | 'ư' | '\u{1ea0}'..='\u{1ef9}' => &[VIETNAMESE],
        'ы' | 'э' | 'ъ' | 'ё' => &[RUSSIAN],
        'і' | 'ї' | 'є' | 'ґ' => &[UKRAINIAN],
        'и' => &[RUSSIAN, UKRAINIAN],
        _ => &[],
    };
    languages.iter().fold(0, |set, language| set | 1 << language)
}

/// The part of a text that is looked at.
fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_BYTES)]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use routewright_domain::{Paths, Seed, Timestamp};

    use super::*;
    use crate::{Encoder, Request, Schema, SchemaSettings, Scratch};

    fn languages(texts: &[&str]) -> Vec<Option<usize>> {
        let settings = SchemaSettings { groups: vec!["language".to_owned()], ..SchemaSettings::default() };
        let requests = texts.iter().map(|text| Request::new(text, Timestamp(0)));
        let schema = Schema::fit(&Paths::from_names(["a"]), requests.clone(), &settings, Seed(1)).unwrap();
        let (encoder, mut scratch) = (Encoder::new(Arc::new(schema)), Scratch::default());
        let mut row = [0.0; 2];
        requests
            .map(|request| {
                encoder.encode_query(&request, &mut scratch, &mut row);
                assert!(row[0].is_nan() == row[1].is_nan() && (row[1].is_nan() || (0.0..=1.0).contains(&row[1])));
                (!row[0].is_nan()).then_some(row[0] as usize)
            })
            .collect()
    }

    #[test]
    fn every_language_is_told_by_a_question() {
        let texts = [
            "why does the login page break when I restart it?",
            "¿por qué se rompe la página cuando reinicio el servidor?",
            "por que a página não abre quando reinicio o servidor?",
            "pourquoi la page ne s'ouvre pas quand je redémarre le serveur ?",
            "warum öffnet sich die Seite nicht, wenn ich den Server neu starte?",
            "perché la pagina non si apre quando riavvio il server?",
            "waarom gaat de pagina niet open als ik de server herstart?",
            "dlaczego strona się nie otwiera, gdy uruchamiam ponownie serwer?",
            "sunucuyu yeniden başlattığımda sayfa neden açılmıyor?",
            "varför öppnas inte sidan när jag startar om servern?",
            "tại sao trang không mở khi tôi khởi động lại máy chủ?",
            "mengapa halaman tidak terbuka ketika saya memulai ulang server?",
            "почему страница не открывается, когда я перезапускаю сервер?",
            "чому сторінка не відкривається, коли я перезапускаю сервер?",
            "为什么重启服务器后页面打不开？",
            "サーバーを再起動するとページが開かないのはなぜですか？",
            "서버를 다시 시작하면 왜 페이지가 열리지 않나요?",
            "لماذا لا تفتح الصفحة عندما أعيد تشغيل الخادم؟",
            "सर्वर को फिर से शुरू करने पर पेज क्यों नहीं खुलता?",
            "למה הדף לא נפתח כשאני מפעיל מחדש את השרת?",
        ];
        assert_eq!(languages(&texts), (0..N_LANGUAGES).map(Some).collect::<Vec<_>>());
    }

    #[test]
    fn what_tells_nothing_is_missing() {
        assert_eq!(languages(&["", "12 + 30", "restart nginx", "ქართული ენა"]), [None; 4]);
    }

    #[test]
    fn a_name_in_another_script_does_not_turn_the_language() {
        assert_eq!(languages(&["who wrote the book 战争 and when?", "перезапусти nginx и postgres"]), [Some(ENGLISH), Some(RUSSIAN)]);
    }

    #[test]
    fn every_word_and_ending_is_found() {
        for (language, words) in WORDS {
            for word in words.split_ascii_whitespace() {
                let fast = word.strip_prefix('-').filter(|ending| ending.is_ascii()).map(|ending| {
                    let long = format!("xx{ending}");
                    languages_of_last_bytes(WordKey::of_word(&long), long.len())
                });
                assert!(fast.is_none_or(|found| found & 1 << language != 0), "{word}");
                let found = word
                    .strip_prefix('-')
                    .map_or_else(|| languages_of_first_part(word), |ending| languages_ending_like(&format!("xx{ending}")));
                assert!(found & 1 << language != 0, "{word}");
                assert_eq!(word, word.to_lowercase());
            }
        }
    }
}
