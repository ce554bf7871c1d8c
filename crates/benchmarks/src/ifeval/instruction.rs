//! One instruction of a prompt: its name and arguments become a checker.

use serde_json::{Map, Value};

use crate::ifeval::{
    arguments::Arguments,
    case::Case,
    combination::Combination,
    error::IfevalError,
    format::{Content, Format},
    keywords::Keywords,
    language::Language,
    length::Length,
    punctuation::Punctuation,
    punkt_model::Punkt,
    python_text::strip,
    start_end::StartEnd,
};

/// A verifiable instruction, ready to check responses.
#[derive(Debug)]
pub struct Instruction {
    checker: Checker,
}

/// The families of checkers, named by what stands before the colon.
#[derive(Debug)]
enum Checker {
    Case(Case),
    Combination(Combination),
    Content(Content),
    Format(Format),
    Keywords(Keywords),
    Language(Language),
    Length(Length),
    Punctuation(Punctuation),
    StartEnd(StartEnd),
}

impl Instruction {
    /// The instruction `id`, such as `keywords:existence`, with the arguments of the data set.
    ///
    /// # Errors
    /// An unknown id; an argument that is missing, superfluous or of the wrong kind; a keyword or marker
    /// that is a regular expression. Empty values (null, 0, `""`) count as missing.
    pub fn parse(id: &str, kwargs: &Map<String, Value>) -> Result<Self, IfevalError> {
        let mut arguments = Arguments::new(id, kwargs);
        let checker = parse_checker(id, &mut arguments)?;
        let checker = checker.ok_or_else(|| IfevalError::UnknownInstruction { id: id.to_owned() })?;
        arguments.finish()?;
        Ok(Self { checker })
    }

    /// Whether `response`, exactly as it is, follows the instruction. A blank response follows none. Sentences are
    /// those of `punkt`.
    pub fn follows(&self, response: &str, punkt: &Punkt) -> bool {
        !strip(response).is_empty()
            && match &self.checker {
                Checker::Case(case) => case.follows(response, punkt),
                Checker::Combination(combination) => combination.follows(response),
                Checker::Content(content) => content.follows(response),
                Checker::Format(format) => format.follows(response),
                Checker::Keywords(keywords) => keywords.follows(response),
                Checker::Language(language) => language.follows(response),
                Checker::Length(length) => length.follows(response, punkt),
                Checker::Punctuation(punctuation) => punctuation.follows(response),
                Checker::StartEnd(start_end) => start_end.follows(response),
            }
    }
}

fn parse_checker(id: &str, arguments: &mut Arguments<'_>) -> Result<Option<Checker>, IfevalError> {
    let Some((family, name)) = id.split_once(':') else { return Ok(None) };
    Ok(match family {
        "change_case" => Case::parse(name, arguments)?.map(Checker::Case),
        "combination" => Combination::parse(name, arguments)?.map(Checker::Combination),
        "detectable_content" => Content::parse(name, arguments)?.map(Checker::Content),
        "detectable_format" => Format::parse(name, arguments)?.map(Checker::Format),
        "keywords" => Keywords::parse(name, arguments)?.map(Checker::Keywords),
        "language" => Language::parse(name, arguments)?.map(Checker::Language),
        "length_constraints" => Length::parse(name, arguments)?.map(Checker::Length),
        "punctuation" => Punctuation::parse(name).map(Checker::Punctuation),
        "startend" => StartEnd::parse(name, arguments)?.map(Checker::StartEnd),
        _ => None,
    })
}

/// Parses and checks in one go, for the tests of the families.
#[cfg(test)]
pub(super) fn follows(id: &str, kwargs: &str, response: &str) -> bool {
    let instruction = Instruction::parse(id, &serde_json::from_str(kwargs).unwrap()).unwrap();
    instruction.follows(response, &Punkt::english())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(id: &str, kwargs: &str) -> String {
        Instruction::parse(id, &serde_json::from_str(kwargs).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn wrong_instructions_name_what_is_wrong() {
        assert_eq!(error("startend:middle", "{}"), "unknown instruction `startend:middle`");
        assert_eq!(error("no_comma", "{}"), "unknown instruction `no_comma`");
        let id = "length_constraints:number_words";
        assert_eq!(
            error(id, r#"{"relation": "at least", "num_words": 0}"#),
            format!("`{id}` needs `num_words`")
        );
        assert_eq!(
            error(id, r#"{"relation": "at most", "num_words": 3}"#),
            format!("`{id}`: `relation` must be `less than` or `at least`, not \"at most\"")
        );
        assert_eq!(
            error(id, r#"{"relation": "at least", "num_words": 2.5}"#),
            format!("`{id}`: `num_words` must be a whole number above 0, not 2.5")
        );
        assert_eq!(
            error("punctuation:no_comma", r#"{"letter": "a"}"#),
            "`punctuation:no_comma` does not take `letter`"
        );
        assert!(error("language:response_language", r#"{"language": "tlh"}"#).contains("not \"tlh\""));
    }

    #[test]
    fn empty_arguments_are_dropped() {
        assert!(follows("punctuation:no_comma", r#"{"letter": null, "num_words": 0}"#, "yes"));
    }

    #[test]
    fn a_blank_response_follows_nothing() {
        assert!(!follows("punctuation:no_comma", "{}", " \n\u{1c}"));
    }
}
