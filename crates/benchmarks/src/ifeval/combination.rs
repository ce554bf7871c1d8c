//! `combination:`: responses made of parts.

use crate::ifeval::{arguments::Arguments, error::IfevalError, python_text::strip};

/// Checkers of `combination:`.
#[derive(Debug)]
pub(super) enum Combination {
    /// Two responses that differ, with six asterisks between them.
    TwoResponses,
    /// The response begins with this text, in any case.
    RepeatPrompt(String),
}

impl Combination {
    pub(super) fn parse(name: &str, arguments: &mut Arguments<'_>) -> Result<Option<Self>, IfevalError> {
        Ok(Some(match name {
            "two_responses" => Self::TwoResponses,
            "repeat_prompt" => Self::RepeatPrompt(strip(&arguments.text("prompt_to_repeat")?).to_lowercase()),
            _ => return Ok(None),
        }))
    }

    pub(super) fn follows(&self, response: &str) -> bool {
        match self {
            Self::TwoResponses => are_two_responses(response),
            Self::RepeatPrompt(prompt) => strip(response).to_lowercase().starts_with(prompt),
        }
    }
}

/// An empty part is allowed only before the first and after the last separator.
fn are_two_responses(response: &str) -> bool {
    let parts: Vec<&str> = response.split("******").map(strip).collect();
    let inner = parts.get(1..parts.len() - 1).unwrap_or_default();
    if inner.iter().any(|part| part.is_empty()) {
        return false;
    }
    let responses: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    responses.len() == 2 && responses[0] != responses[1]
}

#[cfg(test)]
mod tests {
    use crate::ifeval::instruction::follows;

    #[test]
    fn two_responses_must_differ() {
        assert!(follows("combination:two_responses", "{}", "one\n******\ntwo"));
        assert!(follows("combination:two_responses", "{}", "******one******two******"));
        assert!(!follows("combination:two_responses", "{}", "one ****** one\n"));
        assert!(!follows("combination:two_responses", "{}", "one ****** ****** two"));
        assert!(!follows("combination:two_responses", "{}", "one"));
        assert!(!follows("combination:two_responses", "{}", "a ****** b ****** c"));
    }

    #[test]
    fn the_prompt_comes_first_in_any_case() {
        let prompt = r#"{"prompt_to_repeat": "Write a haiku. "}"#;
        assert!(follows("combination:repeat_prompt", prompt, "\n write a HAIKU. Frogs jump."));
        assert!(!follows("combination:repeat_prompt", prompt, "Sure: Write a haiku."));
    }
}
