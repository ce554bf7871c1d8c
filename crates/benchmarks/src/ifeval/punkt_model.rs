//! What Punkt knows about a language: our own parameters, or a trained model that the user has.

use std::{
    collections::{HashMap, HashSet},
    env, fs,
    path::{Path, PathBuf},
};

use crate::ifeval::{
    error::IfevalError,
    punkt_english::{ABBREVIATIONS, BEFORE_NUMBERS, COMMON_WORDS, SENTENCE_STARTERS},
};

/// The folder of a trained model.
const VARIABLE: &str = "RAZOR_PUNKT";
/// Type of all numbers.
pub(super) const NUMBER: &str = "##number##";

/// The Punkt sentence splitter with its parameters.
///
/// Those of [`english`](Self::english) are lists of our own. They count other sentences than NLTK's trained model
/// in places; with that model ([`read`](Self::read)) counts are equal to NLTK's.
#[derive(Debug, Clone, Default)]
pub struct Punkt {
    abbreviations: HashSet<String>,
    sentence_starters: HashSet<String>,
    /// Second words of the pairs that a sentence end does not part, by the first.
    collocations: HashMap<String, HashSet<String>>,
    /// Words seen in lower case.
    spellings: HashMap<String, Spelling>,
}

/// In which cases and places a word was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// Never in lower case.
    NeverLower,
    /// In lower case, and in upper case inside of sentences.
    Mixed,
    /// In lower case, and in upper case at most where a sentence starts.
    UpperOnlyAtStart,
    /// Only in lower case, even where a sentence starts.
    LowerEvenAtStart,
}

impl Punkt {
    /// English with our own lists.
    pub fn english() -> Self {
        let number = HashSet::from([NUMBER.to_owned()]);
        Self {
            abbreviations: words(ABBREVIATIONS).collect(),
            sentence_starters: words(SENTENCE_STARTERS).collect(),
            collocations: words(BEFORE_NUMBERS).map(|word| (word, number.clone())).collect(),
            spellings: words(SENTENCE_STARTERS)
                .chain(words(COMMON_WORDS))
                .map(|word| (word, Spelling::UpperOnlyAtStart))
                .collect(),
        }
    }

    /// The trained model in `folder`, laid out as NLTK's `punkt_tab/english`: `abbrev_types.txt`,
    /// `sent_starters.txt`, `collocations.tab` and `ortho_context.tab`.
    ///
    /// # Errors
    /// A file that cannot be read; a line without the tab or the number that its file demands.
    pub fn read(folder: &Path) -> Result<Self, IfevalError> {
        let mut model = Self {
            abbreviations: read_lines(&folder.join("abbrev_types.txt"))?.into_iter().collect(),
            sentence_starters: read_lines(&folder.join("sent_starters.txt"))?.into_iter().collect(),
            ..Self::default()
        };
        for (word, next) in read_pairs(&folder.join("collocations.tab"), |next| Some(next.to_owned()))? {
            model.collocations.entry(word).or_default().insert(next);
        }
        let contexts = read_pairs(&folder.join("ortho_context.tab"), |flags| flags.parse().ok())?;
        model.spellings = contexts.into_iter().map(|(word, flags)| (word, Spelling::of(flags))).collect();
        Ok(model)
    }

    /// The model in the folder that the environment variable `RAZOR_PUNKT` names, or [`english`](Self::english)
    /// where it is unset or empty.
    ///
    /// # Errors
    /// As [`read`](Self::read): a folder that is named must be there.
    pub fn from_environment() -> Result<Self, IfevalError> {
        match env::var_os(VARIABLE).filter(|folder| !folder.is_empty()) {
            Some(folder) => Self::read(&PathBuf::from(folder)),
            None => Ok(Self::english()),
        }
    }

    pub(super) fn is_abbreviation(&self, word: &str) -> bool {
        self.abbreviations.contains(word)
    }

    pub(super) fn is_sentence_starter(&self, word: &str) -> bool {
        self.sentence_starters.contains(word)
    }

    pub(super) fn is_collocation(&self, word: &str, next: &str) -> bool {
        self.collocations.get(word).is_some_and(|seconds| seconds.contains(next))
    }

    pub(super) fn spelling(&self, word: &str) -> Spelling {
        self.spellings.get(word).copied().unwrap_or(Spelling::NeverLower)
    }

    pub(super) fn seen_lower(&self, word: &str) -> bool {
        self.spelling(word) != Spelling::NeverLower
    }
}

impl Spelling {
    /// From the bits of NLTK: 2, 4 and 8 for upper case at the start, inside and at an unknown place of a
    /// sentence, 16, 32 and 64 for lower case there.
    fn of(flags: u32) -> Self {
        let seen = |bits: u32| flags & bits != 0;
        match () {
            () if !seen(16 | 32 | 64) => Self::NeverLower,
            () if seen(16) && !seen(2 | 4 | 8) => Self::LowerEvenAtStart,
            () if seen(4) => Self::Mixed,
            () => Self::UpperOnlyAtStart,
        }
    }
}

fn words(lists: &[&str]) -> impl Iterator<Item = String> {
    lists.iter().flat_map(|list| list.split_whitespace()).map(str::to_owned)
}

/// The lines of a file that are not empty.
fn read_lines(path: &Path) -> Result<Vec<String>, IfevalError> {
    let text = fs::read_to_string(path)
        .map_err(|source| IfevalError::ReadPunkt { path: path.to_owned(), source })?;
    Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Pairs of a word and what `parse` makes of the text behind the tab.
fn read_pairs<T>(path: &Path, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<(String, T)>, IfevalError> {
    let pair = |text: String| {
        let (word, second) = text.split_once('\t')?;
        Some((word.to_owned(), parse(second)?))
    };
    read_lines(path)?
        .into_iter()
        .map(|text| pair(text.clone()).ok_or_else(|| IfevalError::PunktLine { path: path.to_owned(), text }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these four files, in the order of their names.
    fn folder(files: [&str; 4]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let names = ["abbrev_types.txt", "collocations.tab", "ortho_context.tab", "sent_starters.txt"];
        for (name, text) in names.iter().zip(files) {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn a_trained_model_is_read() {
        let folder = folder(["zz\nz.z", "old\tone\nold\ttwo", "cat\t34\nmark\t46\nrome\t4\nvan\t16\n", "lo"]);
        let model = Punkt::read(folder.path()).unwrap();
        assert!(model.is_abbreviation("z.z") && !model.is_abbreviation("mr"));
        assert!(model.is_collocation("old", "two") && !model.is_collocation("two", "old"));
        assert!(model.is_sentence_starter("lo"));
        let spellings = ["cat", "mark", "rome", "van", "dog"].map(|word| model.spelling(word));
        use Spelling::*;
        assert_eq!(spellings, [UpperOnlyAtStart, Mixed, NeverLower, LowerEvenAtStart, NeverLower]);
    }

    #[test]
    fn wrong_models_name_the_file_and_the_line() {
        let error = |files| Punkt::read(folder(files).path()).unwrap_err().to_string();
        assert!(
            error(["", "", "cat\tmany", ""]).ends_with("ortho_context.tab: unexpected line `cat\\tmany`")
        );
        assert!(error(["", "alone", "", ""]).ends_with("collocations.tab: unexpected line `alone`"));
        let missing = Punkt::read(Path::new("no/such/folder")).unwrap_err().to_string();
        assert_eq!(missing, "cannot read no/such/folder/abbrev_types.txt");
    }

    #[test]
    fn our_own_lists_hold_lower_case_words_once() {
        let model = Punkt::english();
        for lists in [ABBREVIATIONS, BEFORE_NUMBERS, SENTENCE_STARTERS, COMMON_WORDS] {
            let all: Vec<String> = words(lists).collect();
            let mut once = all.clone();
            once.sort();
            for pair in once.windows(2) {
                assert_ne!(pair[0], pair[1]);
            }
            assert!(all.iter().all(|word| *word == word.to_lowercase() && !word.ends_with('.')), "{lists:?}");
        }
        assert!(words(COMMON_WORDS).all(|word| !model.is_abbreviation(&word)));
        assert!(words(SENTENCE_STARTERS).all(|word| !model.is_abbreviation(&word)));
    }
}
