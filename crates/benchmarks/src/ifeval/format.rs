//! `detectable_content:` and `detectable_format:`: marks that a program can find.

use std::sync::LazyLock;

use regex::Regex;

use crate::ifeval::{
    arguments::Arguments,
    error::IfevalError,
    json::is_json,
    python_text::{SPACE, compile, literal, strip},
};

/// Checkers of `detectable_content:`.
#[derive(Debug)]
pub(super) enum Content {
    /// At least so many `[...]` on one line each.
    Placeholders(usize),
    /// A postscript marker stands somewhere.
    Postscript(Regex),
}

impl Content {
    pub(super) fn parse(name: &str, arguments: &mut Arguments<'_>) -> Result<Option<Self>, IfevalError> {
        Ok(Some(match name {
            "number_placeholders" => Self::Placeholders(arguments.count("num_placeholders")?),
            "postscript" => Self::Postscript(postscript(strip(&arguments.text("postscript_marker")?))?),
            _ => return Ok(None),
        }))
    }

    pub(super) fn follows(&self, response: &str) -> bool {
        match self {
            Self::Placeholders(placeholders) => {
                static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| expression(r"\[.*?\]"));
                PLACEHOLDER.find_iter(response).count() >= *placeholders
            }
            Self::Postscript(marker) => marker.is_match(&response.to_lowercase()),
        }
    }
}

/// The two usual markers allow one space between their letters; others must stand as they are.
fn postscript(marker: &str) -> Result<Regex, IfevalError> {
    match marker {
        "P.P.S" => compile(&format!(r"p\.{SPACE}?p\.{SPACE}?s")),
        "P.S." => compile(&format!(r"p\.{SPACE}?s\.")),
        other => compile(&literal(&other.to_lowercase())?),
    }
}

/// Checkers of `detectable_format:`.
#[derive(Debug)]
pub(super) enum Format {
    /// Exactly so many lines that begin with `-`, or with `*` that is not doubled.
    Bullets(usize),
    /// One of three fixed answers stands in the response.
    Constrained,
    /// At least so many spans between asterisks; a span in double asterisks counts for both patterns.
    Highlights(usize),
    /// At least so many section marks: the splitter and a number.
    Sections { mark: Regex, sections: usize },
    /// The response, without a code fence, is JSON.
    Json,
    /// A title that is not empty between `<<` and `>>`.
    Title,
}

impl Format {
    pub(super) fn parse(name: &str, arguments: &mut Arguments<'_>) -> Result<Option<Self>, IfevalError> {
        Ok(Some(match name {
            "number_bullet_lists" => Self::Bullets(arguments.count("num_bullets")?),
            "constrained_response" => Self::Constrained,
            "number_highlighted_sections" => Self::Highlights(arguments.count("num_highlights")?),
            "multiple_sections" => {
                let splitter = literal(strip(&arguments.text("section_spliter")?))?;
                let mark = compile(&format!(r"{splitter}{SPACE}?\d+"))?;
                Self::Sections { mark, sections: arguments.count("num_sections")? }
            }
            "json_format" => Self::Json,
            "title" => Self::Title,
            _ => return Ok(None),
        }))
    }

    pub(super) fn follows(&self, response: &str) -> bool {
        match self {
            Self::Bullets(bullets) => count_bullets(response) == *bullets,
            Self::Constrained => {
                const ANSWERS: [&str; 3] = ["My answer is yes.", "My answer is no.", "My answer is maybe."];
                ANSWERS.iter().any(|answer| response.contains(answer))
            }
            Self::Highlights(highlights) => count_highlights(response) >= *highlights,
            Self::Sections { mark, sections } => mark.find_iter(response).count() >= *sections,
            Self::Json => is_json(without_fence(response)),
            Self::Title => has_title(response),
        }
    }
}

/// The space before a mark may run over line ends, and what follows an asterisk may be the line end: both are
/// so in the reference.
fn count_bullets(response: &str) -> usize {
    static ASTERISK: LazyLock<Regex> = LazyLock::new(|| expression(&format!(r"(?m)^{SPACE}*\*[^*].*$")));
    static DASH: LazyLock<Regex> = LazyLock::new(|| expression(&format!(r"(?m)^{SPACE}*-.*$")));
    ASTERISK.find_iter(response).count() + DASH.find_iter(response).count()
}

fn count_highlights(response: &str) -> usize {
    static SINGLE: LazyLock<Regex> = LazyLock::new(|| expression(r"\*[^\n*]*\*"));
    static DOUBLE: LazyLock<Regex> = LazyLock::new(|| expression(r"\*\*[^\n*]*\*\*"));
    let filled = |pattern: &Regex| {
        pattern.find_iter(response).filter(|span| !strip(span.as_str().trim_matches('*')).is_empty()).count()
    };
    filled(&SINGLE) + filled(&DOUBLE)
}

/// Without the fence in front and behind; as in the reference, several may stand in front.
fn without_fence(response: &str) -> &str {
    let mut body = strip(response);
    for fence in ["```json", "```Json", "```JSON", "```"] {
        body = body.strip_prefix(fence).unwrap_or(body);
    }
    strip(body.strip_suffix("```").unwrap_or(body))
}

fn has_title(response: &str) -> bool {
    static TITLE: LazyLock<Regex> = LazyLock::new(|| expression(r"<<[^\n]+>>"));
    let inside = |title: &str| !strip(title.trim_start_matches('<').trim_end_matches('>')).is_empty();
    TITLE.find_iter(response).any(|title| inside(title.as_str()))
}

fn expression(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid expression")
}

#[cfg(test)]
mod tests {
    use crate::ifeval::instruction::follows;

    #[test]
    fn placeholders_close_on_their_own_line() {
        let two = r#"{"num_placeholders": 2}"#;
        assert!(follows("detectable_content:number_placeholders", two, "[name], [address]"));
        assert!(!follows("detectable_content:number_placeholders", two, "[name] and [ad\ndress]"));
        assert!(follows("detectable_content:number_placeholders", two, "[[a] b] and []"));
    }

    #[test]
    fn a_postscript_marker_may_be_spaced_and_in_any_case() {
        let ps = r#"{"postscript_marker": "P.S."}"#;
        assert!(follows("detectable_content:postscript", ps, "Bye.\np. s. call me"));
        assert!(!follows("detectable_content:postscript", ps, "Bye.\nPS: call me"));
        let pps = r#"{"postscript_marker": "P.P.S"}"#;
        assert!(follows("detectable_content:postscript", pps, "P.P.S: again"));
        assert!(!follows("detectable_content:postscript", pps, "P.S. once"));
        let other = r#"{"postscript_marker": "PS:"}"#;
        assert!(follows("detectable_content:postscript", other, "Bye. ps: call me"));
    }

    #[test]
    fn bullets_are_counted_exactly() {
        let two = r#"{"num_bullets": 2}"#;
        assert!(follows("detectable_format:number_bullet_lists", two, "List:\n* one\n  - two"));
        assert!(!follows("detectable_format:number_bullet_lists", two, "* one\n* two\n* three"));
        assert!(!follows("detectable_format:number_bullet_lists", two, "* one\n**two**"));
        assert!(!follows("detectable_format:number_bullet_lists", two, "1. one\n2. two"));
    }

    #[test]
    fn a_fixed_answer_may_stand_anywhere() {
        assert!(follows("detectable_format:constrained_response", "{}", "Well: My answer is maybe. Ok"));
        assert!(!follows("detectable_format:constrained_response", "{}", "my answer is yes."));
    }

    #[test]
    fn double_asterisks_count_for_both_patterns() {
        let two = r#"{"num_highlights": 2}"#;
        assert!(follows("detectable_format:number_highlighted_sections", two, "*one* and *two*"));
        assert!(!follows("detectable_format:number_highlighted_sections", two, "*one* and * *"));
        // `**one**` is two empty single spans and one double span.
        assert!(!follows("detectable_format:number_highlighted_sections", two, "**one**"));
        assert!(follows("detectable_format:number_highlighted_sections", two, "**one** **two**"));
    }

    #[test]
    fn sections_need_a_number() {
        let two = r#"{"section_spliter": "Section", "num_sections": 2}"#;
        assert!(follows("detectable_format:multiple_sections", two, "Section 1\na\nSection2\nb"));
        assert!(!follows("detectable_format:multiple_sections", two, "Section 1\na\nSection B"));
        assert!(!follows("detectable_format:multiple_sections", two, "SECTION 1\na\nSECTION 2"));
    }

    #[test]
    fn json_may_stand_in_a_fence() {
        assert!(follows("detectable_format:json_format", "{}", "```json\n{\"a\": [1, null]}\n```"));
        assert!(follows("detectable_format:json_format", "{}", "42"));
        assert!(!follows("detectable_format:json_format", "{}", "Here: {\"a\": 1}"));
        assert!(!follows("detectable_format:json_format", "{}", "{'a': 1}"));
    }

    #[test]
    fn a_title_is_not_empty() {
        assert!(follows("detectable_format:title", "{}", "text\n<<A poem>>"));
        assert!(!follows("detectable_format:title", "{}", "<< >>"));
        assert!(!follows("detectable_format:title", "{}", "<<A\npoem>>"));
        assert!(!follows("detectable_format:title", "{}", "<A poem>"));
    }
}
