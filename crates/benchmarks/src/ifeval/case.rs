//! `change_case:`: capital and lower-case letters.

use crate::ifeval::{
    arguments::Arguments,
    error::IfevalError,
    language::is_language,
    punkt_model::Punkt,
    python_text::{is_lower, is_upper},
    relation::Relation,
    word_tokens::word_tokens,
};

/// Checkers of `change_case:`.
#[derive(Debug)]
pub(super) enum Case {
    /// Tokens without a lower-case letter appear often or seldom enough.
    CapitalWords { relation: Relation, frequency: usize },
    /// The response is English, all in capitals.
    EnglishCapital,
    /// The response is English, all in lower case.
    EnglishLowercase,
}

impl Case {
    pub(super) fn parse(name: &str, arguments: &mut Arguments<'_>) -> Result<Option<Self>, IfevalError> {
        Ok(Some(match name {
            "capital_word_frequency" => Self::CapitalWords {
                relation: arguments.relation("capital_relation")?,
                frequency: arguments.count("capital_frequency")?,
            },
            "english_capital" => Self::EnglishCapital,
            "english_lowercase" => Self::EnglishLowercase,
            _ => return Ok(None),
        }))
    }

    pub(super) fn follows(&self, response: &str, punkt: &Punkt) -> bool {
        match self {
            Self::CapitalWords { relation, frequency } => {
                let capital = word_tokens(response, punkt).iter().filter(|token| is_upper(token)).count();
                relation.holds(capital, *frequency)
            }
            Self::EnglishCapital => is_upper(response) && is_language(response, "en"),
            Self::EnglishLowercase => is_lower(response) && is_language(response, "en"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ifeval::instruction::follows;

    #[test]
    fn capital_words_are_tokens() {
        let three = r#"{"capital_relation": "at least", "capital_frequency": 3}"#;
        assert!(follows("change_case:capital_word_frequency", three, "I CANNOT stop"), "CAN and NOT are two");
        assert!(!follows("change_case:capital_word_frequency", three, "NASA and THE-END"));
    }

    #[test]
    fn english_in_one_case() {
        let lower = "this is a plain english sentence with nothing special in it.";
        assert!(follows("change_case:english_lowercase", "{}", lower));
        assert!(!follows("change_case:english_lowercase", "{}", "This has one capital letter."));
        assert!(!follows("change_case:english_capital", "{}", lower));
        assert!(!follows("change_case:english_lowercase", "{}", "das ist ganz sicher kein englischer satz."));
        // langdetect leaves words in capitals out, so the language of a text in capitals is hard to tell.
        assert!(follows(
            "change_case:english_capital",
            "{}",
            "THIS IS A TEST THAT HAS ALL LETTERS IN CAPITALS"
        ));
    }
}
