//! The words of the language, in the order of their token ids.

use std::sync::LazyLock;

use crate::tiny_language::world::{ATTRIBUTES, entity_names, verb_names};

/// Ends a text.
pub(super) const END: &str = "<eos>";
/// Fills rows.
pub(super) const PAD: &str = "<pad>";
/// Stands for what is not a word.
pub(super) const UNKNOWN: &str = "<unk>";

/// The largest number that is a word; all from 0 on are.
pub(super) const LARGEST: i32 = 40;

pub(super) const LETTERS: [&str; 16] =
    ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];
pub(super) const NAMES: [&str; 6] = ["ann", "bob", "cid", "dee", "eve", "fay"];
pub(super) const OBJECTS: [&str; 6] = ["cup", "box", "hat", "key", "pen", "map"];
pub(super) const COLORS: [&str; 6] = ["red", "blue", "green", "black", "white", "pink"];
pub(super) const TOOLS: [&str; 4] = ["send", "lend", "sell", "mail"];
pub(super) const KEYS: [&str; 4] = ["color", "object", "to", "at"];
/// Opening brackets with those that close them.
pub(super) const BRACKETS: [[&str; 2]; 4] = [["(", ")"], ["[", "]"], ["<<", ">>"], ["/", "\\"]];

const OTHERS: [&str; 46] = [
    ":",
    "?",
    ",",
    ";",
    ".",
    "+",
    "-",
    "=",
    ">",
    "{",
    "}",
    "\n",
    "####",
    "Action:",
    "Action_Input:",
    "Thought:",
    "Answer:",
    "math",
    "tool",
    "science",
    "rev",
    "sort",
    "look",
    "say",
    "last",
    "now",
    "is",
    "yes",
    "no",
    "who",
    "has",
    "not",
    "by",
    "next",
    "plus",
    "minus",
    "then",
    "so",
    "to",
    "at",
    "class",
    "taste",
    "shape",
    "home",
    "of",
    "it",
];

/// Every word once; its place is its token id.
pub(super) static WORDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let plain = [PAD, END, UNKNOWN].into_iter().chain(OTHERS).chain(LETTERS).chain(NAMES).chain(OBJECTS);
    let plain = plain.chain(COLORS).chain(TOOLS).chain(BRACKETS.into_iter().flatten());
    let values = ATTRIBUTES.iter().flat_map(|attribute| attribute.values);
    let mut words: Vec<String> = plain.chain(values).map(str::to_owned).collect();
    words.extend((0..=LARGEST).map(|number| number.to_string()));
    words.extend(KEYS.iter().map(|key| format!("\"{key}\":")));
    words.extend(COLORS.iter().chain(&OBJECTS).chain(&NAMES).map(|word| quoted(word)));
    words.extend(entity_names());
    words.extend(verb_names());
    words
});

/// The word that is this one as a JSON string.
pub(super) fn quoted(word: &str) -> String {
    format!("\"{word}\"")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_word_is_there_once_and_has_no_space() {
        let distinct: HashSet<&String> = WORDS.iter().collect();
        assert_eq!(distinct.len(), WORDS.len());
        assert!(WORDS.iter().all(|word| !word.is_empty() && !word.contains(' ')));
    }
}
