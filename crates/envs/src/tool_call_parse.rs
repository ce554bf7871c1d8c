//! Tool calls in the three forms that prompts ask for.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use crate::limits::MAX_CALLS;

/// The input of a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    Json(Value),
    /// Not JSON; white space folded.
    Text(String),
}

/// One call, as written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) input: Input,
}

impl Input {
    /// Reads an input. Nothing at all is a call without arguments.
    pub(crate) fn read(text: &str) -> Self {
        let text = without_fence(text);
        if text.is_empty() {
            return Self::Json(Value::Object(Map::new()));
        }
        match first_json(text) {
            // Prose may follow on lines of its own.
            Some((value, rest))
                if rest.trim().is_empty() || rest.trim_start_matches(' ').starts_with('\n') =>
            {
                Self::Json(value)
            }
            _ => Self::Text(text.split_whitespace().collect::<Vec<_>>().join(" ")),
        }
    }
}

/// The calls of a completion, in order.
///
/// # Errors
/// Why there is none, or why one cannot be read.
pub(crate) fn read_calls(completion: &str) -> Result<Vec<Call>, String> {
    // What begins as JSON is JSON, whatever its strings hold.
    let begins_as_json = completion.trim_start().starts_with(['[', '{']);
    let calls = if let Some(calls) = begins_as_json.then(|| json(completion).ok()).flatten() {
        calls
    } else if completion.contains("<tool_call>") {
        tagged(completion)?
    } else if ACTION.is_match(completion) {
        react(completion)
    } else {
        json(completion)?
    };
    if calls.len() > MAX_CALLS {
        return Err(format!("{} calls, at most {MAX_CALLS} are read", calls.len()));
    }
    Ok(calls)
}

static ACTION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^[ \t>*]*Action[ \t]*\d*[ \t*]*:[ \t*]*").expect("the pattern is a literal of this file")
});
static ACTION_INPUT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^[ \t>*]*Action[ _]?Input[ \t]*\d*[ \t*]*:[ \t*]*")
        .expect("the pattern is a literal of this file")
});
static NEXT_FIELD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^[ \t>*]*(?:Thought|Observation|Final Answer|Response|Question)[ \t]*\d*[ \t*]*:")
        .expect("the pattern is a literal of this file")
});

/// `Action: name`, then `Action Input: {...}`, any number of times.
fn react(completion: &str) -> Vec<Call> {
    let starts: Vec<_> = ACTION.find_iter(completion).collect();
    let ends = starts.iter().skip(1).map(regex::Match::start).chain([completion.len()]);
    let mut calls = Vec::new();
    for (start, end) in starts.iter().zip(ends) {
        let body = &completion[start.end()..end];
        let body = NEXT_FIELD.find(body).map_or(body, |field| &body[..field.start()]);
        let (name, input) = match ACTION_INPUT.find(body) {
            Some(mark) => (&body[..mark.start()], &body[mark.end()..]),
            None => (body, ""),
        };
        let name = name.lines().next().unwrap_or("");
        let name = name.trim_matches(|c: char| c.is_whitespace() || matches!(c, '`' | '"' | '\'' | '*'));
        calls.push(Call { name: name.to_owned(), input: Input::read(input) });
    }
    calls
}

/// `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`
fn tagged(completion: &str) -> Result<Vec<Call>, String> {
    let mut calls = Vec::new();
    for (number, piece) in completion.split("<tool_call>").skip(1).enumerate() {
        let Some((body, _)) = piece.split_once("</tool_call>") else {
            return Err(format!("call {}: `<tool_call>` is not closed", number + 1));
        };
        let value: Value = serde_json::from_str(without_fence(body))
            .map_err(|error| format!("call {}: not JSON: {error}", number + 1))?;
        calls.push(from_json(&value).ok_or_else(|| format!("call {}: no field `name`", number + 1))?);
    }
    Ok(calls)
}

/// `[{"name": ..., "arguments": {...}}]`, or one such object, as the first JSON value that begins a line.
fn json(completion: &str) -> Result<Vec<Call>, String> {
    let mut place = 0;
    let mut tried = 0;
    for line in completion.split_inclusive('\n') {
        let start = place + line.len() - line.trim_start().len();
        place += line.len();
        if !completion[start..].starts_with(['[', '{']) {
            continue;
        }
        // Each try reads up to the first mistake, so their number is bounded.
        tried += 1;
        if tried > MAX_CALLS {
            break;
        }
        let Some((value, _)) = first_json(&completion[start..]) else { continue };
        let items = match value {
            Value::Array(items) => items,
            item => vec![item],
        };
        let calls: Option<Vec<Call>> = items.iter().map(from_json).collect();
        if let Some(calls) = calls.filter(|calls| !calls.is_empty()) {
            return Ok(calls);
        }
    }
    Err("no tool call in any known form".to_owned())
}

fn from_json(value: &Value) -> Option<Call> {
    let field = |names: [&str; 4]| names.iter().find_map(|name| value.get(*name));
    let name = field(["name", "Action", "action", "function"])?.as_str()?.trim().to_owned();
    let input = match field(["arguments", "Action_Input", "action_input", "parameters"]) {
        Some(Value::String(text)) => Input::read(text),
        Some(value) => Input::Json(value.clone()),
        None => Input::Json(Value::Object(Map::new())),
    };
    Some(Call { name, input })
}

/// The JSON value at the start and what follows it. Nesting is limited by the reader.
fn first_json(text: &str) -> Option<(Value, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next()?.ok()?;
    Some((value, &text[values.byte_offset()..]))
}

/// The content of a code fence, or the text itself.
fn without_fence(text: &str) -> &str {
    let text = text.trim();
    let Some(inner) = text.strip_prefix("```") else { return text };
    let inner = inner.strip_prefix("json").unwrap_or(inner);
    inner.split("```").next().unwrap_or(inner).trim()
}
