//! `length_constraints:`: numbers of words, sentences and paragraphs.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::ifeval::{
    arguments::Arguments,
    error::IfevalError,
    punkt_model::Punkt,
    python_text::{SPACE, is_space, strip},
    relation::Relation,
};

/// Checkers of `length_constraints:`.
#[derive(Debug)]
pub(super) enum Length {
    /// Sentences as Punkt splits them.
    Sentences { relation: Relation, sentences: usize },
    /// Runs of word characters.
    Words { relation: Relation, words: usize },
    /// Paragraphs between `***` dividers, an exact number.
    Paragraphs(usize),
    /// Paragraphs between blank lines, an exact number, of which one begins with a given word.
    FirstWord { paragraphs: usize, nth: usize, word: String },
}

impl Length {
    pub(super) fn parse(name: &str, arguments: &mut Arguments<'_>) -> Result<Option<Self>, IfevalError> {
        Ok(Some(match name {
            "number_sentences" => Self::Sentences {
                relation: arguments.relation("relation")?,
                sentences: arguments.count("num_sentences")?,
            },
            "number_words" => Self::Words {
                relation: arguments.relation("relation")?,
                words: arguments.count("num_words")?,
            },
            "number_paragraphs" => Self::Paragraphs(arguments.count("num_paragraphs")?),
            "nth_paragraph_first_word" => {
                let paragraphs = arguments.count("num_paragraphs")?;
                let nth = arguments.count("nth_paragraph")?;
                if nth > paragraphs {
                    let found = Value::from(nth);
                    return Err(arguments.wrong("nth_paragraph", "at most `num_paragraphs`", &found));
                }
                Self::FirstWord { paragraphs, nth, word: arguments.text("first_word")?.to_lowercase() }
            }
            _ => return Ok(None),
        }))
    }

    pub(super) fn follows(&self, response: &str, punkt: &Punkt) -> bool {
        match self {
            Self::Sentences { relation, sentences } => {
                relation.holds(punkt.sentences(response).len(), *sentences)
            }
            Self::Words { relation, words } => relation.holds(count_words(response), *words),
            Self::Paragraphs(paragraphs) => count_divided_paragraphs(response) == Some(*paragraphs),
            Self::FirstWord { paragraphs, nth, word } => {
                first_word(response, *paragraphs, *nth).is_some_and(|first| first == *word)
            }
        }
    }
}

/// Number of `\w+` runs. Since NLTK's tokenizers run on the `regex` package, its `\w` is Unicode's, as ours
/// is: vowel signs belong to their word. NLTK 3.9 split words of Indic scripts at them.
fn count_words(response: &str) -> usize {
    static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\w+").expect("a valid expression"));
    WORD.find_iter(response).count()
}

/// Number of paragraphs between `***`, or `None` when one inside is empty; empty ends are not counted.
fn count_divided_paragraphs(response: &str) -> Option<usize> {
    static DIVIDER: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(&format!(r"{SPACE}?\*\*\*{SPACE}?")).expect("a valid expression"));
    let paragraphs: Vec<&str> = DIVIDER.split(response).collect();
    let last = paragraphs.len() - 1;
    let mut count = 0;
    for (paragraph_idx, paragraph) in paragraphs.into_iter().enumerate() {
        if !strip(paragraph).is_empty() {
            count += 1;
        } else if paragraph_idx != 0 && paragraph_idx != last {
            return None;
        }
    }
    Some(count)
}

/// First word of paragraph `nth` (from 1), lower-case, without quotes before it and cut at punctuation; or
/// `None` when the number of paragraphs is wrong or that paragraph is empty.
///
/// Empty paragraphs are not counted, yet `nth` counts them: so does the reference.
fn first_word(response: &str, paragraphs: usize, nth: usize) -> Option<String> {
    let parts: Vec<&str> = response.split("\n\n").map(strip).collect();
    if parts.iter().filter(|part| !part.is_empty()).count() != paragraphs {
        return None;
    }
    let word = parts.get(nth - 1)?.split(is_space).next().filter(|word| !word.is_empty())?;
    let word = word.trim_start_matches('\'').trim_start_matches('"');
    let letters = word.chars().take_while(|letter| !matches!(letter, '.' | ',' | '?' | '!' | '\'' | '"'));
    Some(letters.flat_map(char::to_lowercase).collect())
}

#[cfg(test)]
mod tests {
    use crate::ifeval::instruction::follows;

    #[test]
    fn abbreviations_do_not_end_sentences() {
        let two = r#"{"relation": "less than", "num_sentences": 3}"#;
        assert!(follows("length_constraints:number_sentences", two, "Dr. Smith paid 3.50 dollars. Why?"));
        assert!(!follows("length_constraints:number_sentences", two, "One. Two. Three."));
    }

    #[test]
    fn words_are_runs_of_letters_digits_and_underscores() {
        let four = r#"{"relation": "at least", "num_words": 4}"#;
        assert!(follows("length_constraints:number_words", four, "it's well-known"));
        assert!(!follows("length_constraints:number_words", four, "a_b नमस्ते 1 -- !"));
    }

    #[test]
    fn paragraphs_are_divided_by_three_asterisks() {
        let two = r#"{"num_paragraphs": 2}"#;
        assert!(follows("length_constraints:number_paragraphs", two, "one\n***\ntwo"));
        assert!(follows("length_constraints:number_paragraphs", two, "***\none\n***\ntwo\n***"));
        assert!(!follows("length_constraints:number_paragraphs", two, "one\n***\n***\ntwo"));
        assert!(!follows("length_constraints:number_paragraphs", two, "one\n\ntwo"));
    }

    #[test]
    fn the_nth_paragraph_begins_with_the_word() {
        let second = r#"{"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Elm"}"#;
        let id = "length_constraints:nth_paragraph_first_word";
        assert!(follows(id, second, "Oak trees.\n\n'\"ELM's grow."));
        assert!(!follows(id, second, "Oak.\n\nThe elm."));
        assert!(!follows(id, second, "Oak.\n\nElm.\n\nAsh."));
        assert!(!follows(id, second, "Oak.\n\n\n\nElm."), "the empty paragraph is the second");
        assert!(!follows(id, second, "Elm."));
    }
}
