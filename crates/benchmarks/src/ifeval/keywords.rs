//! `keywords:`: words and letters that must, or must not, appear.

use regex::Regex;
use serde_json::Value;

use crate::ifeval::{
    arguments::Arguments,
    error::IfevalError,
    python_text::{caseless, compile, is_word, strip},
    relation::Relation,
};

/// Checkers of `keywords:`. Keywords are plain text in any case, found inside of words too.
#[derive(Debug)]
pub(super) enum Keywords {
    /// Every keyword appears.
    Existence(Vec<Regex>),
    /// A keyword appears often or seldom enough.
    Frequency { keyword: Regex, relation: Relation, frequency: usize },
    /// None of the words appears as a word of its own.
    Forbidden(Vec<Forbidden>),
    /// A character, upper and lower case alike, appears often or seldom enough.
    ///
    /// The reference replaces a character outside a to z by a random letter (two published prompts ask
    /// for `#` and `!`); we count what the prompt asks for.
    Letter { letter: char, relation: Relation, frequency: usize },
}

impl Keywords {
    pub(super) fn parse(name: &str, arguments: &mut Arguments<'_>) -> Result<Option<Self>, IfevalError> {
        Ok(Some(match name {
            "existence" => Self::Existence(
                arguments.texts("keywords")?.iter().map(|word| anywhere(word)).collect::<Result<_, _>>()?,
            ),
            "frequency" => Self::Frequency {
                keyword: anywhere(strip(&arguments.text("keyword")?))?,
                relation: arguments.relation("relation")?,
                frequency: arguments.count("frequency")?,
            },
            "forbidden_words" => {
                let words = arguments.texts("forbidden_words")?;
                Self::Forbidden(words.iter().map(|word| Forbidden::new(word)).collect::<Result<_, _>>()?)
            }
            "letter_frequency" => Self::Letter {
                letter: one_letter(arguments)?,
                relation: arguments.relation("let_relation")?,
                frequency: arguments.count("let_frequency")?,
            },
            _ => return Ok(None),
        }))
    }

    pub(super) fn follows(&self, response: &str) -> bool {
        match self {
            Self::Existence(keywords) => keywords.iter().all(|keyword| keyword.is_match(response)),
            Self::Frequency { keyword, relation, frequency } => {
                relation.holds(keyword.find_iter(response).count(), *frequency)
            }
            Self::Forbidden(words) => !words.iter().any(|word| word.appears(response)),
            Self::Letter { letter, relation, frequency } => {
                let found = response.to_lowercase().chars().filter(|c| c == letter).count();
                relation.holds(found, *frequency)
            }
        }
    }
}

fn anywhere(keyword: &str) -> Result<Regex, IfevalError> {
    compile(&caseless(keyword)?)
}

fn one_letter(arguments: &mut Arguments<'_>) -> Result<char, IfevalError> {
    let text = arguments.text("letter")?;
    let mut lower = text.to_lowercase().chars().collect::<Vec<_>>();
    match (lower.pop(), lower.is_empty()) {
        (Some(letter), true) => Ok(letter),
        _ => Err(arguments.wrong("letter", "one character", &Value::String(text))),
    }
}

/// A word between two word boundaries of Python's kind.
#[derive(Debug)]
pub(super) struct Forbidden {
    word: Regex,
}

impl Forbidden {
    fn new(word: &str) -> Result<Self, IfevalError> {
        Ok(Self { word: anywhere(word)? })
    }

    fn appears(&self, response: &str) -> bool {
        let mut start = 0;
        while let Some(found) = self.word.find_at(response, start) {
            if is_boundary(response, found.start()) && is_boundary(response, found.end()) {
                return true;
            }
            // Matches may overlap: go on at the next character, not behind this match.
            let Some(next) = response[found.start()..].chars().next() else { return false };
            start = found.start() + next.len_utf8();
        }
        false
    }
}

/// `\b` of Python's `re` at byte `position`.
pub(super) fn is_boundary(text: &str, position: usize) -> bool {
    let before = text[..position].chars().next_back().is_some_and(is_word);
    let after = text[position..].chars().next().is_some_and(is_word);
    before != after
}

#[cfg(test)]
mod tests {
    use crate::ifeval::instruction::follows;

    #[test]
    fn every_keyword_must_appear_in_any_case_and_inside_words_too() {
        let both = r#"{"keywords": ["rock", "le"]}"#;
        assert!(follows("keywords:existence", both, "ROCKET fueLED"));
        assert!(!follows("keywords:existence", both, "a rock"));
    }

    #[test]
    fn keyword_frequency_counts_matches_inside_words() {
        let twice = r#"{"keyword": " war ", "frequency": 2, "relation": "at least"}"#;
        assert!(follows("keywords:frequency", twice, "War and wares"));
        assert!(!follows("keywords:frequency", twice, "war"));
        let never = r#"{"keyword": "war", "frequency": 1, "relation": "less than"}"#;
        assert!(follows("keywords:frequency", never, "peace"));
    }

    #[test]
    fn a_forbidden_word_counts_only_between_word_boundaries() {
        let rock = r#"{"forbidden_words": ["rock"]}"#;
        assert!(follows("keywords:forbidden_words", rock, "rocks and a bedrock, rock_1"));
        assert!(!follows("keywords:forbidden_words", rock, "hard Rock-music"));
        assert!(!follows("keywords:forbidden_words", rock, "rockrock ROCK"));
    }

    #[test]
    fn letters_are_counted_without_case() {
        let two = r#"{"letter": "Q", "let_frequency": 2, "let_relation": "at least"}"#;
        assert!(follows("keywords:letter_frequency", two, "Quite a quest"));
        assert!(!follows("keywords:letter_frequency", two, "quite"));
        let marks = r##"{"letter": "#", "let_frequency": 2, "let_relation": "less than"}"##;
        assert!(!follows("keywords:letter_frequency", marks, "## heading"));
    }
}
