//! Where in a completion its answer stands.

use std::sync::LazyLock;

use regex::Regex;

use super::lexer::closing_brace;
use crate::limits::MAX_ANSWER_BYTES;

/// An answer found in a completion, or why there is none.
pub(crate) type Extracted<'a> = Result<&'a str, String>;

/// The answer of a completion: its last box, else what stands behind its last marker (`####`, "answer:", "the answer
/// is"), else the last formula or number of its last line.
///
/// Only the last box counts. A box that is cut off is an answer that was not given. Where a formula is wanted, a marker
/// may be followed by words first: "the answer is the sum, 12" answers 12.
pub(crate) fn extract(completion: &str, wants_formula: bool) -> Extracted<'_> {
    if let Some(boxed) = last_box(completion) {
        return boxed;
    }
    if let Some(marked) = last_marked(completion) {
        return Ok(if wants_formula { formula_in(marked) } else { marked });
    }
    let mut lines = completion.lines().rev().map(str::trim);
    let Some(line) = lines.find(|line| line.contains(char::is_alphanumeric)) else {
        return Err("the completion is empty".to_owned());
    };
    last_of_line(line).ok_or_else(|| "no box, no marker and no number in the last line".to_owned())
}

/// The last formula or number of a marked text that begins with words.
fn formula_in(marked: &str) -> &str {
    let starts_with_word =
        marked.split(|c: char| !c.is_alphabetic()).next().is_some_and(|word| word.len() >= 2);
    if !starts_with_word || marked.contains(['=', '<', '>', '(']) && !marked.contains('$') {
        return marked;
    }
    match FORMULA.captures_iter(marked).last() {
        Some(_) => last_of_line(marked).unwrap_or(marked),
        None => NUMBER.find_iter(marked).last().map_or(marked, |found| found.as_str()),
    }
}

/// Content of the last `\boxed` or `\fbox`.
pub(crate) fn last_box(completion: &str) -> Option<Extracted<'_>> {
    let start =
        ["\\boxed", "\\fbox"].iter().filter_map(|mark| Some((completion.rfind(mark)?, mark.len()))).max()?;
    let rest = completion[start.0 + start.1..].trim_start_matches([' ', '\t']);
    if rest.starts_with('{') {
        return Some(match closing_brace(rest) {
            Some(end) if rest[1..end].trim().is_empty() => Err("the last box is empty".to_owned()),
            Some(end) => Ok(rest[1..end].trim()),
            None => Err("the last box is not closed".to_owned()),
        });
    }
    // `\boxed 5`
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '$' | ',' | ';')).unwrap_or(rest.len());
    let word = rest[..end].trim_end_matches('.');
    Some(if word.is_empty() { Err("the last box is empty".to_owned()) } else { Ok(word) })
}

/// Most markers that are looked at, from the end.
const MAX_MARKS: usize = 64;

static MARKER: LazyLock<Regex> = LazyLock::new(|| {
    // The longest run of marks before the answer: `**Final Answer:** $`, `the answer is: `.
    Regex::new(
        r"(?i)(?:####|<answer>|\bfinal\s+answer\b[\s*_:]*(?:is)?|\banswer\s*\**\s*[:=]|\banswer\s+(?:is|to\s+be)\b|\bsolution\s+is\b)[\s*_:]*",
    )
    .expect("the pattern is a literal of this file")
});

/// As much of a text as an answer may take, and a little more, so that what is too long is seen to be.
pub(crate) fn head(text: &str) -> &str {
    let mut end = text.len().min(2 * MAX_ANSWER_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What stands behind the last marker, up to the end of its line or sentence.
pub(crate) fn last_marked(completion: &str) -> Option<&str> {
    let marks: Vec<_> = MARKER.find_iter(completion).collect();
    // A marker at the very end has nothing behind it: an earlier one may.
    marks.iter().rev().take(MAX_MARKS).find_map(|mark| {
        let rest = head(&completion[mark.end()..]).split("</answer>").next().unwrap_or("");
        let rest = rest.trim_start();
        let displayed = [("\\[", "\\]"), ("$$", "$$")].iter().find_map(|(open, close)| {
            let inner = rest.strip_prefix(open)?;
            inner.find(close).map(|end| inner[..end].trim())
        });
        if let Some(formula) = displayed.filter(|formula| !formula.is_empty()) {
            return Some(formula);
        }
        let line = rest.lines().next().unwrap_or("");
        let answer = trim_sentence(first_sentence(line));
        (!answer.is_empty()).then_some(answer)
    })
}

/// The line up to a period that ends a sentence: one before white space that follows no other number.
fn first_sentence(line: &str) -> &str {
    line.split_once(". ").map_or(line, |(first, _)| first)
}

fn trim_sentence(text: &str) -> &str {
    let trimmed =
        text.trim().trim_end_matches(['.', '*', '`', ' ', ';', ',']).trim_start_matches(['*', '`', ' ', ':']);
    let delimited =
        [("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")].iter().find_map(|(open, close)| {
            let inner = trimmed.strip_prefix(open)?;
            // A formula followed by words: the formula is the answer.
            let end = inner.find(close)?;
            let behind = inner[end + close.len()..].trim_start();
            (!behind.contains('$')).then(|| inner[..end].trim())
        });
    delimited.filter(|inner| !inner.is_empty()).unwrap_or(trimmed).trim_end_matches('.')
}

static FORMULA: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\$([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]").expect("the pattern is a literal of this file")
});
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s*/\s*\d+)?(?:\s*\\?%)?|-?\.\d+")
        .expect("the pattern is a literal of this file")
});

/// The right side of the last formula of a line, else what stands behind its last `=`, else its last number.
fn last_of_line(line: &str) -> Option<&str> {
    if let Some(found) = FORMULA.captures_iter(line).last() {
        let inner = found.get(1).or(found.get(2)).or(found.get(3)).map_or("", |inner| inner.as_str()).trim();
        if !inner.is_empty() {
            return Some(inner);
        }
    }
    if let Some((_, right)) = line.rsplit_once('=') {
        let right = trim_sentence(first_sentence(right));
        if right.contains(|c: char| c.is_ascii_digit()) && !right.contains(|c: char| c.is_whitespace()) {
            return Some(right);
        }
    }
    // A whole line that is an expression, such as a bare `x^2 + 1`, has no words.
    let words = line.split(|c: char| !c.is_alphabetic()).any(|run| run.chars().count() >= 4);
    if !words || line.starts_with('\\') {
        return Some(trim_sentence(line)).filter(|answer| !answer.is_empty());
    }
    NUMBER.find_iter(line).last().map(|found| found.as_str())
}
