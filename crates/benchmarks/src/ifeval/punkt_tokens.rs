//! The tokens that Punkt decides about: words that keep their period, and punctuation.

use std::sync::LazyLock;

use regex::Regex;

use crate::ifeval::{punkt_model::NUMBER, python_text::strip};

/// A token with the marks that the passes leave.
#[derive(Debug)]
pub(super) struct PunktToken {
    /// The token as written; never empty.
    pub(super) text: String,
    /// Lower-case type, `##number##` for all numbers.
    kind: String,
    pub(super) ends_sentence: bool,
    pub(super) abbreviation: bool,
    pub(super) ellipsis: bool,
}

impl PunktToken {
    fn new(text: String) -> Self {
        static FORM: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"^-?[.,]?\d[\d,.\-]*\.?$").expect("a valid expression"));
        let lower = text.to_lowercase();
        let kind = if FORM.is_match(&lower) { NUMBER.to_owned() } else { lower };
        Self { text, kind, ends_sentence: false, abbreviation: false, ellipsis: false }
    }

    /// The type without a final period.
    pub(super) fn kind_without_period(&self) -> &str {
        self.kind.strip_suffix('.').filter(|kind| !kind.is_empty()).unwrap_or(&self.kind)
    }

    /// The type without the period that ends a sentence; that of an abbreviation stays.
    pub(super) fn kind_without_final_period(&self) -> &str {
        if self.ends_sentence { self.kind_without_period() } else { &self.kind }
    }

    pub(super) fn is_ellipsis(&self) -> bool {
        self.text.len() > 1 && self.text.bytes().all(|byte| byte == b'.')
    }

    pub(super) fn is_number(&self) -> bool {
        self.kind_without_period() == NUMBER
    }

    /// One letter and a period.
    pub(super) fn is_initial(&self) -> bool {
        static INITIAL: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"^[\w--\d]\.$").expect("a valid expression"));
        INITIAL.is_match(&self.text)
    }

    pub(super) fn starts_upper(&self) -> bool {
        self.text.starts_with(char::is_uppercase)
    }

    pub(super) fn starts_lower(&self) -> bool {
        self.text.starts_with(char::is_lowercase)
    }
}

/// Whether `character` may end a sentence.
pub(super) fn ends_sentence(character: char) -> bool {
    matches!(character, '.' | '?' | '!')
}

/// Punctuation that ends a word wherever it stands.
pub(super) fn is_not_in_words(character: char) -> bool {
    ")\";}]*:@'({[‘’“”«»?!".contains(character)
}

/// Punctuation that begins no word.
fn begins_no_word(character: char) -> bool {
    "(\"`{[:;&#*@)}]-,".contains(character)
}

/// The tokens of a text, line by line.
pub(super) fn tokens(text: &[char]) -> Vec<PunktToken> {
    let mut tokens = Vec::new();
    for line in text.split(|character| *character == '\n') {
        if strip(&line.iter().collect::<String>()).is_empty() {
            continue;
        }
        let mut at = 0;
        while at < line.len() {
            let length = token_length(line, at);
            if length > 0 {
                tokens.push(PunktToken::new(line[at..at + length].iter().collect()));
            }
            at += length.max(1);
        }
    }
    tokens
}

/// Length of the token at `at`; 0 at white space.
fn token_length(line: &[char], at: usize) -> usize {
    if let Some(length) = repeated_punctuation(line, at) {
        return length;
    }
    if line[at].is_whitespace() {
        return 0;
    }
    if begins_no_word(line[at]) {
        return 1;
    }
    let end = (at + 1..line.len()).find(|position| ends_word(line, *position));
    end.unwrap_or(line.len()) - at
}

/// Whether a word stops before `position`: at a space or punctuation, and at a comma before either.
fn ends_word(line: &[char], position: usize) -> bool {
    let separates = |position: usize| match line.get(position) {
        None => true,
        Some(character) => {
            character.is_whitespace()
                || is_not_in_words(*character)
                || repeated_punctuation(line, position).is_some()
        }
    };
    separates(position) || (line[position] == ',' && separates(position + 1))
}

/// Length of dashes, dots, or dots with a space between each (three at least) at `at`.
fn repeated_punctuation(line: &[char], at: usize) -> Option<usize> {
    let run = |mark: char| line[at..].iter().take_while(|character| **character == mark).count();
    let length = run('-').max(run('.'));
    if length > 1 {
        return Some(length);
    }
    let pairs =
        line[at..].chunks_exact(2).take_while(|pair| pair[0] == '.' && pair[1].is_whitespace()).count();
    // Without a dot behind the last pair, that pair's own dot closes the token.
    let pairs = if line.get(at + 2 * pairs) == Some(&'.') { pairs } else { pairs.saturating_sub(1) };
    (pairs >= 2).then_some(2 * pairs + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        tokens(&text.chars().collect::<Vec<_>>()).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn words_keep_periods_but_lose_other_punctuation() {
        assert_eq!(
            split("He said, \"3,5 e.g. (yes)!\""),
            ["He", "said", ",", "\"", "3,5", "e.g.", "(", "yes", ")", "!", "\""]
        );
        assert_eq!(split("a--b ... -x"), ["a", "--", "b", "...", "-", "x"]);
    }

    #[test]
    fn spaced_dots_are_one_token() {
        assert_eq!(split(". . . end"), [". . .", "end"]);
        assert_eq!(split(". . end"), [".", ".", "end"]);
        assert_eq!(split(". . . ."), [". . . ."]);
    }

    #[test]
    fn numbers_share_a_type_and_initials_have_one_letter() {
        let token = |text: &str| PunktToken::new(text.to_owned());
        assert!(token("-3,000.5").is_number() && token("7.").is_number() && !token("7th").is_number());
        assert!(token("É.").is_initial() && !token("7.").is_initial() && !token("ab.").is_initial());
        assert_eq!(token("U.S.").kind_without_period(), "u.s");
        assert_eq!(token(".").kind_without_period(), ".");
    }
}
