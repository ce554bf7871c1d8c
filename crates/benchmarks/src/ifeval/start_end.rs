//! `startend:`: how the response begins and ends.

use crate::ifeval::{arguments::Arguments, error::IfevalError, python_text::strip};

/// Checkers of `startend:`.
#[derive(Debug)]
pub(super) enum StartEnd {
    /// The response ends with this phrase in any case; quotes around the response do not count.
    EndPhrase(String),
    /// The whole response stands between straight double quotes.
    Quotation,
}

impl StartEnd {
    pub(super) fn parse(name: &str, arguments: &mut Arguments<'_>) -> Result<Option<Self>, IfevalError> {
        Ok(Some(match name {
            "end_checker" => Self::EndPhrase(strip(&arguments.text("end_phrase")?).to_lowercase()),
            "quotation" => Self::Quotation,
            _ => return Ok(None),
        }))
    }

    pub(super) fn follows(&self, response: &str) -> bool {
        let response = strip(response);
        match self {
            Self::EndPhrase(phrase) => response.trim_matches('"').to_lowercase().ends_with(phrase),
            Self::Quotation => response.strip_prefix('"').is_some_and(|rest| rest.ends_with('"')),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ifeval::instruction::follows;

    #[test]
    fn the_end_phrase_is_compared_without_case_and_quotes() {
        let peace = r#"{"end_phrase": " Peace! "}"#;
        assert!(follows("startend:end_checker", peace, "\"I say PEACE!\" \n"));
        assert!(!follows("startend:end_checker", peace, "Peace! Bye."));
        assert!(!follows("startend:end_checker", peace, "Peace! \""));
    }

    #[test]
    fn a_single_quote_mark_does_not_wrap_anything() {
        assert!(follows("startend:quotation", "{}", " \"yes\"\n"));
        assert!(follows("startend:quotation", "{}", "\"\""));
        assert!(!follows("startend:quotation", "{}", "\""));
        assert!(!follows("startend:quotation", "{}", "“yes”"));
    }
}
