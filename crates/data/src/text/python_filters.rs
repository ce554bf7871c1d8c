//! Filters where Jinja's behaviour follows from Python's and the engine's differs.

use minijinja::value::Kwargs;
use minijinja::{Error, ErrorKind, Value};

/// More blanks than this are a mistake or an attack.
const MAX_WIDTH: usize = 256;

/// The filter `indent`: every line but the first, unless `first`, and no empty ones, unless `blank`. A line break at the
/// end stays.
#[expect(clippy::needless_pass_by_value, reason = "the shape of a filter")]
pub(crate) fn indent(
    text: String,
    width: Option<Value>,
    first: Option<bool>,
    blank: Option<bool>,
    options: Kwargs,
) -> Result<String, Error> {
    let width = width.or(options.get("width")?).unwrap_or_else(|| 4.into());
    let first = first.or(options.get("first")?).unwrap_or(false);
    let blank = blank.or(options.get("blank")?).unwrap_or(false);
    options.assert_all_used()?;
    let blanks = match width.as_str() {
        Some(text) => text.to_owned(),
        None => " ".repeat(usize::try_from(i64::try_from(width)?).unwrap_or(0).min(MAX_WIDTH + 1)),
    };
    if blanks.len() > MAX_WIDTH {
        return Err(Error::new(ErrorKind::InvalidOperation, "indent: the width is larger than 256"));
    }
    let mut lines = split_lines(&text);
    if lines.is_empty() || text.ends_with(is_line_break) {
        lines.push(""); // what stands behind the last line break is a line here
    }
    let mut out = String::new();
    for (idx, line) in lines.iter().enumerate() {
        let indented = if idx == 0 { first } else { blank || !line.is_empty() };
        if idx > 0 {
            out.push('\n');
        }
        if indented {
            out.push_str(&blanks);
        }
        out.push_str(line);
    }
    Ok(out)
}

/// The filter `escape`, with the entities Python writes for quotes.
#[expect(clippy::needless_pass_by_value, reason = "the shape of a filter")]
pub(crate) fn escape(text: String) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            _ => out.push(character),
        }
    }
    out
}

/// Python's `str.splitlines`: more characters end a line than in Rust, and a last line break begins no line.
fn split_lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(is_line_break) {
        lines.push(&rest[..at]);
        let n_bytes = if rest[at..].starts_with("\r\n") {
            2
        } else {
            rest[at..].chars().next().map_or(1, char::len_utf8)
        };
        rest = &rest[at + n_bytes..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

fn is_line_break(character: char) -> bool {
    matches!(character, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}
