//! Template values written as Python's `str` and `repr` write them.

use std::fmt::Write;
use std::sync::LazyLock;

use minijinja::Value;
use minijinja::value::ValueKind;
use regex::Regex;

/// Deeper values are left to the engine's own writer.
const MAX_DEPTH: usize = 50;

/// A value as `{{ value }}` prints it, where the engine would print it differently: floats, and lists and mappings, whose
/// text may hold invisible characters that Python escapes.
pub(crate) fn python_str(value: &Value) -> Option<String> {
    match value.kind() {
        ValueKind::Number => as_float(value).map(python_float),
        ValueKind::Seq | ValueKind::Map => {
            let mut out = String::new();
            write_repr(&mut out, value, 0)?;
            Some(out)
        }
        _ => None,
    }
}

/// A float as Python prints it: shortest digits that read back, with an exponent below 1e-4 and from 1e16.
pub(crate) fn python_float(x: f64) -> String {
    if !x.is_finite() {
        return if x.is_nan() { "nan".to_owned() } else { format!("{}inf", if x < 0.0 { "-" } else { "" }) };
    }
    let scientific = format!("{x:e}");
    let (digits, exponent) = scientific.split_once('e').expect("`{:e}` writes an exponent");
    let exponent: i32 = exponent.parse().expect("`{:e}` writes a number after the e");
    if x == 0.0 || (-4..16).contains(&exponent) {
        let plain = x.to_string();
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// The number as a float, if it is one and not an integer.
pub(crate) fn as_float(value: &Value) -> Option<f64> {
    if value.kind() != ValueKind::Number || value.is_integer() {
        return None;
    }
    f64::try_from(value.clone()).ok()
}

fn write_repr(out: &mut String, value: &Value, depth: usize) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    match value.kind() {
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => match as_float(value) {
            Some(x) => out.push_str(&python_float(x)),
            None => out.push_str(&value.to_string()),
        },
        ValueKind::String => write_text(out, value.as_str()?),
        ValueKind::Seq => {
            let is_tuple = value.is_tuple();
            out.push(if is_tuple { '(' } else { '[' });
            for (idx, item) in value.try_iter().ok()?.enumerate() {
                out.push_str(if idx > 0 { ", " } else { "" });
                write_repr(out, &item, depth + 1)?;
            }
            if is_tuple && value.len() == Some(1) {
                out.push(',');
            }
            out.push(if is_tuple { ')' } else { ']' });
        }
        // Only mappings that are data: loops and namespaces print their own names.
        ValueKind::Map => {
            out.push('{');
            for (idx, key) in value.try_iter().ok()?.enumerate() {
                out.push_str(if idx > 0 { ", " } else { "" });
                write_repr(out, &key, depth + 1)?;
                out.push_str(": ");
                write_repr(out, &value.get_item(&key).ok()?, depth + 1)?;
            }
            out.push('}');
        }
        _ => return None,
    }
    Some(())
}

fn write_text(out: &mut String, text: &str) {
    static INVISIBLE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"[\p{C}\p{Z}--[ ]]").expect("the pattern is valid"));
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for character in text.chars() {
        let code = u32::from(character);
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if character == quote => out.extend(['\\', character]),
            ' '..='~' => out.push(character),
            _ if !INVISIBLE.is_match(character.encode_utf8(&mut [0; 4])) => out.push(character),
            _ if code <= 0xff => write!(out, "\\x{code:02x}").expect(NEVER),
            _ if code <= 0xffff => write!(out, "\\u{code:04x}").expect(NEVER),
            _ => write!(out, "\\U{code:08x}").expect(NEVER),
        }
    }
    out.push(quote);
}

const NEVER: &str = "writing to a string does not fail";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_read_as_in_python() {
        let pairs = [
            (0.1, "0.1"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (123_456_789.0, "123456789.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e300, "1.25e+300"),
        ];
        for (x, expected) in pairs {
            assert_eq!(python_float(x), expected);
        }
    }
}
