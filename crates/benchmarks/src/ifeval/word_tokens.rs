//! Word tokens as NLTK 3.10's `word_tokenize` makes them: Punkt sentences, then Penn Treebank rules.
//!
//! The rules rewrite a sentence step by step until white space separates its tokens. Their order matters, and
//! some step only undoes another.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::ifeval::{
    keywords::is_boundary,
    punkt_model::Punkt,
    python_text::{is_space, is_word},
};

/// An expression and what replaces its matches.
type Rule = (Regex, &'static str);

/// Marks that open something.
static OPENING: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    rules(&[(r"([«“‘„]|`+)", " $1 "), (r#"^""#, "``"), (r"``", " `` "), (r#"([ (\[{<])("|'{2})"#, "$1 `` ")])
});

/// Punctuation, brackets and dashes.
static INSIDE: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    rules(&[
        (r#"([^.])\.([\])}>"'»”’ ]*)\s*\z"#, "$1 . $2 "),
        (r"([:,])(\D)", " $1 $2"),
        (r"([:,])(\n?)\z", " $1 $2"),
        (r"\.{2,}", " $0 "),
        (r"[;@#$%&]", " $0 "),
        (r"[\x{2012}-\x{2015}]", " $0 "),
        (r#"([^.])\.([\])}>"']*)\s*\z"#, "$1 .$2 "),
        (r"[?!]", " $0 "),
        (r"([^'])' ", "$1 ' "),
        (r"\*", " $0 "),
        (r"[\]\[(){}<>]", " $0 "),
        (r"--", " -- "),
    ])
});

/// Marks that close something, and endings such as `'s` and `n't`.
static CLOSING: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    rules(&[
        (r"([»”’])", " $1 "),
        (r"''", " '' "),
        (r#"""#, " '' "),
        (r"\s+", " "),
        (r"([^' ])('[sS]|'[mM]|'[dD]|') ", "$1 $2 "),
        (r"([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", "$1 $2 "),
    ])
});

/// Words that are two: front, back, and whether white space must follow instead of a word boundary.
static CONTRACTIONS: LazyLock<Vec<(Regex, bool)>> = LazyLock::new(|| {
    [
        (r"(?i)(can)(not)", false),
        (r"(?i)(d)('ye)", false),
        (r"(?i)(g[iİı]m)(me)", false),
        (r"(?i)(gon)(na)", false),
        (r"(?i)(got)(ta)", false),
        (r"(?i)(lem)(me)", false),
        (r"(?i)(more)('n)", false),
        (r"(?i)(wan)(na)", true),
        (r"(?i)( 't)([iİı]s)", false),
        (r"(?i)( 't)(was)", false),
    ]
    .map(|(pattern, before_space)| (expression(pattern), before_space))
    .into()
});

/// The tokens of an English text, whose sentences are those of `punkt`.
pub(super) fn word_tokens(text: &str, punkt: &Punkt) -> Vec<String> {
    punkt.sentences(text).iter().flat_map(|sentence| tokens_of_sentence(sentence)).collect()
}

fn tokens_of_sentence(sentence: &str) -> Vec<String> {
    let opened = apply(&OPENING, sentence.to_owned());
    let spaced = apply(&INSIDE, detach_opening_quotes(&opened));
    let closed = apply(&CLOSING, format!(" {spaced} "));
    let split = CONTRACTIONS.iter().fold(closed, |text, rule| split_contractions(&text, rule));
    split.split(is_space).filter(|token| !token.is_empty()).map(str::to_owned).collect()
}

fn apply(rules: &[Rule], text: String) -> String {
    rules
        .iter()
        .fold(text, |text, (pattern, replacement)| pattern.replace_all(&text, *replacement).into_owned())
}

/// Sets a single quote in front of a word apart, unless it begins an ending such as `'s` or `'ll`.
fn detach_opening_quotes(text: &str) -> String {
    static WORD: LazyLock<Regex> = LazyLock::new(|| expression(r"^\w"));
    static WORD_BEFORE: LazyLock<Regex> = LazyLock::new(|| expression(r"\w\z"));
    static ENDING: LazyLock<Regex> = LazyLock::new(|| expression(r"^(?i:re|ve|ll|m|t|s|d|n)\b"));
    let mut result = String::with_capacity(text.len());
    let mut before: Option<char> = None;
    for (position, character) in text.char_indices() {
        result.push(character);
        let rest = &text[position + character.len_utf8()..];
        let after_word = before.is_some_and(|c| WORD_BEFORE.is_match(c.encode_utf8(&mut [0; 4])));
        if character == '\'' && !after_word && WORD.is_match(rest) && !ENDING.is_match(rest) {
            result.push(' ');
        }
        before = Some(character);
    }
    result
}

fn split_contractions(text: &str, (pattern, before_space): &(Regex, bool)) -> String {
    let split = |parts: &Captures<'_>| {
        let (start, end) = parts.get(0).map_or((0, 0), |whole| (whole.start(), whole.end()));
        let starts = parts[0].starts_with(' ') || is_boundary(text, start);
        let next = text[end..].chars().next();
        let ends = if *before_space { next.is_some_and(is_space) } else { !next.is_some_and(is_word) };
        if starts && ends {
            format!(" {} {} ", parts[1].trim_start(), &parts[2])
        } else {
            parts[0].to_owned()
        }
    };
    pattern.replace_all(text, split).into_owned()
}

fn rules(rules: &[(&str, &'static str)]) -> Vec<Rule> {
    rules.iter().map(|(pattern, replacement)| (expression(pattern), *replacement)).collect()
}

fn expression(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid expression")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_of_the_penn_treebank() {
        assert_eq!(
            word_tokens(
                "\"Mr. O'Neil can't, I'm sure,\" she (Ann) said -- it's 3:30. 'Tis $5.50!",
                &Punkt::english()
            ),
            [
                "``", "Mr.", "O'Neil", "ca", "n't", ",", "I", "'m", "sure", ",", "''", "she", "(", "Ann",
                ")", "said", "--", "it", "'s", "3:30", ".", "'", "Tis", "$", "5.50", "!"
            ]
        );
    }

    #[test]
    fn contractions_are_split_only_as_whole_words() {
        assert_eq!(
            word_tokens("GONNA cannot cannots wanna wanna-be", &Punkt::english()),
            ["GON", "NA", "can", "not", "cannots", "wan", "na", "wanna-be"]
        );
    }
}
