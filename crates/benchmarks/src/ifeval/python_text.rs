//! The notions of white space, word and case that the reference takes from Python's `str` and `re`.
//!
//! Rust's differ in corners that show in real answers: Python strips U+001C to U+001F, and does not
//! count vowel signs and joiners of Indic scripts as parts of a word. Unicode versions differ too (14 in
//! Python 3.11), which moves only characters assigned since.

use std::sync::LazyLock;

use regex::Regex;

use crate::ifeval::error::IfevalError;

/// `\s` of Python's `re` as a class body: white space and the four ASCII separators.
pub(super) const SPACE: &str = r"[\s\x1c-\x1f]";

/// Whether Python's `str.isspace` holds.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// Whether `\w` of Python's `re` matches: letters, numbers and the underscore, no marks.
pub(super) fn is_word(character: char) -> bool {
    static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^[\p{L}\p{N}_]").expect("a valid class"));
    WORD.is_match(character.encode_utf8(&mut [0; 4]))
}

/// Python's `str.strip()`.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Python's `str.isupper()`: at least one cased character, none of them in lower or title case.
pub(super) fn is_upper(text: &str) -> bool {
    text.chars().any(char::is_uppercase) && !text.chars().any(|c| c.is_lowercase() || is_title(c))
}

/// Python's `str.islower()`: at least one cased character, none of them in upper or title case.
pub(super) fn is_lower(text: &str) -> bool {
    text.chars().any(char::is_lowercase) && !text.chars().any(|c| c.is_uppercase() || is_title(c))
}

/// General category Lt: digraphs and Greek letters with iota that exist in title case.
fn is_title(character: char) -> bool {
    matches!(character,
        '\u{1c5}' | '\u{1c8}' | '\u{1cb}' | '\u{1f2}' | '\u{1fbc}' | '\u{1fcc}' | '\u{1ffc}'
        | '\u{1f88}'..='\u{1f8f}' | '\u{1f98}'..='\u{1f9f}' | '\u{1fa8}'..='\u{1faf}')
}

/// The expression for exactly `text`, for building into a larger one.
///
/// The reference pastes such texts into expressions unescaped. Every text in the published prompts is
/// plain; one that is not would silently mean something else, so it is refused.
///
/// # Errors
/// [`IfevalError::Pattern`] when `text` holds a character with a meaning in regular expressions.
pub(super) fn literal(text: &str) -> Result<String, IfevalError> {
    if text.contains(|c| ".^$*+?{}[]\\|()".contains(c)) {
        return Err(IfevalError::Pattern { text: text.to_owned() });
    }
    Ok(regex::escape(text))
}

/// [`literal`], in any case: Python also lets `i` stand for the Turkish letters U+0130 and U+0131.
///
/// # Errors
/// As [`literal`].
pub(super) fn caseless(text: &str) -> Result<String, IfevalError> {
    let dotless: String = literal(text)?
        .chars()
        .map(|c| if matches!(c, 'i' | 'I' | 'İ' | 'ı') { "[iİı]".to_owned() } else { c.to_string() })
        .collect();
    Ok(format!("(?i:{dotless})"))
}

/// Compiles an expression that holds a text of the prompt.
///
/// # Errors
/// [`IfevalError::Pattern`] when it is too long to compile.
pub(super) fn compile(expression: &str) -> Result<Regex, IfevalError> {
    Regex::new(expression).map_err(|_| IfevalError::Pattern { text: expression.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_space_and_vowel_signs_are_no_word() {
        assert_eq!(strip("\u{1c} a \u{a0}\n"), "a");
        assert!(is_word('अ') && is_word('²') && is_word('_') && is_word('漢'));
        assert!(!is_word('ि') && !is_word('\u{200d}') && !is_word('-'));
    }

    #[test]
    fn case_needs_one_cased_character_and_no_other_case() {
        assert!(is_upper("A 1!") && !is_upper("1!") && !is_upper("Aa") && !is_upper("Aǅ"));
        assert!(is_lower("a 1!") && !is_lower("") && !is_lower("aA") && !is_lower("aǅ"));
    }

    #[test]
    fn an_expression_in_a_keyword_is_refused() {
        assert!(matches!(literal("c++"), Err(IfevalError::Pattern { .. })));
        assert!(compile(&caseless("#Kind").unwrap()).unwrap().is_match("a #\u{212a}İND word"));
    }
}
