//! Template values written as Python's `json.dumps` writes them.

use std::fmt::Write;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};

use crate::text::python_repr::{as_float, python_float};

/// More spaces than this before each line are a mistake or an attack.
const MAX_INDENT: usize = 64;
/// Python gives up at about this depth too.
const MAX_DEPTH: usize = 200;

/// The filter `tojson` of chat templates: `json.dumps` without escapes for HTML, key order kept, `", "` and `": "`
/// between things unless told otherwise, and non-ASCII text as it is.
#[expect(clippy::needless_pass_by_value, reason = "the shape of a filter")]
pub(crate) fn tojson(
    value: &Value,
    ensure_ascii: Option<bool>,
    indent: Option<Value>,
    separators: Option<Value>,
    options: Kwargs,
) -> Result<String, Error> {
    let ensure_ascii = ensure_ascii.or(options.get("ensure_ascii")?).unwrap_or(false);
    let indent = indent.or(options.get("indent")?).filter(|indent| !indent.is_none());
    let separators = separators.or(options.get("separators")?).filter(|given| !given.is_none());
    let sort_keys = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    options.assert_all_used()?;

    let indent = indent.map(|indent| indent_text(&indent)).transpose()?;
    let between = if indent.is_some() { "," } else { ", " };
    let (item, key) = match separators {
        None => (between.to_owned(), ": ".to_owned()),
        Some(pair) => separator_pair(&pair)?,
    };
    let mut writer = Writer { out: String::new(), ensure_ascii, indent, item, key, sort_keys };
    writer.value(value, 0)?;
    Ok(writer.out)
}

struct Writer {
    out: String,
    ensure_ascii: bool,
    indent: Option<String>,
    item: String,
    key: String,
    sort_keys: bool,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(refuse("tojson: nested too deeply"));
        }
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self.out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.out.push_str(&number(value)),
            ValueKind::String => self.text(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?.collect::<Vec<_>>();
                self.container(['[', ']'], &items, depth, |writer, item| writer.value(item, depth + 1))?;
            }
            ValueKind::Map => {
                let mut entries = Vec::new();
                for key in value.try_iter()? {
                    entries.push((key_text(&key)?, value.get_item(&key)?));
                }
                if self.sort_keys {
                    entries.sort_by(|(left, _), (right, _)| left.cmp(right));
                }
                self.container(['{', '}'], &entries, depth, |writer, (key, item)| {
                    writer.text(key);
                    let separator = writer.key.clone();
                    writer.out.push_str(&separator);
                    writer.value(item, depth + 1)
                })?;
            }
            other => return Err(refuse(&format!("tojson: a value of kind {other} is not JSON"))),
        }
        Ok(())
    }

    fn container<T>(
        &mut self,
        [open, close]: [char; 2],
        items: &[T],
        depth: usize,
        mut write: impl FnMut(&mut Self, &T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.out.push(open);
        for (idx, item) in items.iter().enumerate() {
            if idx > 0 {
                let separator = self.item.clone();
                self.out.push_str(&separator);
            }
            self.new_line(depth + 1);
            write(self, item)?;
        }
        if !items.is_empty() {
            self.new_line(depth);
        }
        self.out.push(close);
        Ok(())
    }

    fn new_line(&mut self, depth: usize) {
        if let Some(indent) = &self.indent {
            self.out.push('\n');
            self.out.push_str(&indent.repeat(depth));
        }
    }

    fn text(&mut self, text: &str) {
        self.out.push('"');
        for character in text.chars() {
            match character {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                ' '..='\u{7f}' => self.out.push(character),
                '\u{80}'.. if !self.ensure_ascii => self.out.push(character),
                _ => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        write!(self.out, "\\u{unit:04x}").expect("writing to a string does not fail");
                    }
                }
            }
        }
        self.out.push('"');
    }
}

fn number(value: &Value) -> String {
    match as_float(value) {
        Some(x) if x.is_nan() => "NaN".to_owned(),
        Some(x) if x.is_infinite() => if x < 0.0 { "-Infinity" } else { "Infinity" }.to_owned(),
        Some(x) => python_float(x),
        None => value.to_string(),
    }
}

fn key_text(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or_default().to_owned()),
        ValueKind::None => Ok("null".to_owned()),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::Number => Ok(number(key)),
        other => Err(refuse(&format!("tojson: a key of kind {other} is not JSON"))),
    }
}

fn indent_text(indent: &Value) -> Result<String, Error> {
    let text = match indent.as_str() {
        Some(text) => text.to_owned(),
        // Python takes a negative indent as none, but still breaks lines.
        None => match i64::try_from(indent.clone()) {
            Ok(width) => " ".repeat(usize::try_from(width).unwrap_or(0).min(MAX_INDENT + 1)),
            Err(_) => return Err(refuse("tojson: indent is neither a number nor text")),
        },
    };
    if text.len() > MAX_INDENT {
        return Err(refuse("tojson: indent is larger than 64"));
    }
    Ok(text)
}

fn separator_pair(pair: &Value) -> Result<(String, String), Error> {
    let parts: Vec<Value> = pair.try_iter()?.collect();
    match &parts[..] {
        [item, key] if item.as_str().is_some() && key.as_str().is_some() => {
            Ok((item.to_string(), key.to_string()))
        }
        _ => Err(refuse("tojson: separators are not a pair of texts")),
    }
}

fn refuse(reason: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.to_owned())
}
