//! Tool calls: whether a completion calls the right functions with the right arguments.

use razor_data::ToolCall;
use serde_json::Value;

use crate::error::RewardError;
use crate::limits::MAX_COMPLETION_BYTES;
use crate::tool_call_parse::{Call, Input, read_calls};
use crate::verdict::Verdict;

/// The calls that are right, in order.
#[derive(Debug, Clone)]
pub struct ToolCallGold {
    calls: Vec<Call>,
}

impl ToolCallGold {
    /// Reads gold calls. An input that is no JSON is kept as text.
    ///
    /// # Errors
    /// [`RewardError::NoGold`] without any call, [`RewardError::UnparseableGold`] for a call without a name.
    pub fn new(calls: &[ToolCall]) -> Result<Self, RewardError> {
        if calls.is_empty() {
            return Err(RewardError::NoGold { expected: "tool call" });
        }
        if let Some(nameless) = calls.iter().find(|call| call.action.trim().is_empty()) {
            let reason = "the call has no name".to_owned();
            return Err(RewardError::UnparseableGold { gold: nameless.action_input.clone(), reason });
        }
        let read = |call: &ToolCall| Call {
            name: call.action.trim().to_owned(),
            input: Input::read(&call.action_input),
        };
        Ok(Self { calls: calls.iter().map(read).collect() })
    }

    /// Judges a completion that calls tools as `Action:` / `Action Input:`, as `<tool_call>` elements, or as JSON.
    ///
    /// Number, order and names of the calls have to agree, and arguments as JSON values: keys in any order, `1` equal to
    /// `1.0`, strings equal after trimming. A number is not the string that writes it.
    #[must_use]
    pub fn judge(&self, completion: &str) -> Verdict {
        if completion.len() > MAX_COMPLETION_BYTES {
            return Verdict::nothing_found(format!(
                "the completion is longer than {MAX_COMPLETION_BYTES} bytes"
            ));
        }
        let calls = match read_calls(completion) {
            Ok(calls) => calls,
            Err(reason) => return Verdict::nothing_found(reason),
        };
        let extracted = calls.iter().map(written).collect::<Vec<_>>().join("\n");
        for (number, (gold, given)) in self.calls.iter().zip(&calls).enumerate() {
            if let Some(difference) = call_difference(gold, given) {
                return Verdict::wrong(format!("call {}{difference}", number + 1), extracted);
            }
        }
        if calls.len() != self.calls.len() {
            return Verdict::wrong(
                format!("expected {} calls, found {}", self.calls.len(), calls.len()),
                extracted,
            );
        }
        Verdict::correct("the same calls", extracted)
    }
}

fn written(call: &Call) -> String {
    match &call.input {
        Input::Json(value) => format!("{}({value})", call.name),
        Input::Text(text) => format!("{}({text})", call.name),
    }
}

/// The first difference between two calls.
fn call_difference(gold: &Call, given: &Call) -> Option<String> {
    if gold.name != given.name {
        return Some(format!(": expected `{}`, found `{}`", gold.name, given.name));
    }
    match (&gold.input, &given.input) {
        (Input::Json(gold), Input::Json(given)) => value_difference(gold, given, &mut String::new()),
        (Input::Text(gold), Input::Text(given)) if gold == given => None,
        (Input::Text(gold), given) => {
            let found = match given {
                Input::Json(value) => value.to_string(),
                Input::Text(text) => text.clone(),
            };
            // JSON that a template made valid still reads the same as text.
            let fold = |text: &str| text.split_whitespace().collect::<String>();
            (fold(gold) != fold(&found)).then(|| format!(": expected the input `{gold}`, found `{found}`"))
        }
        (Input::Json(gold), Input::Text(given)) => {
            Some(format!(": expected the input {gold}, found `{given}`, which is no JSON"))
        }
    }
}

/// The first difference between two arguments, with its path.
fn value_difference(gold: &Value, given: &Value, path: &mut String) -> Option<String> {
    match (gold, given) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, wanted) in a {
                let length = path.len();
                path.push_str(if path.is_empty() { "" } else { "." });
                path.push_str(key);
                match b.get(key) {
                    Some(found) => {
                        let difference = value_difference(wanted, found, path);
                        if difference.is_some() {
                            return difference;
                        }
                    }
                    None => return Some(format!(", argument `{path}`: expected {wanted}, found none")),
                }
                path.truncate(length);
            }
            let extra = b.iter().find(|(key, _)| !a.contains_key(*key));
            let dot = if path.is_empty() { "" } else { "." };
            extra.map(|(key, value)| format!(", argument `{path}{dot}{key}`: expected none, found {value}"))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (place, (wanted, found)) in a.iter().zip(b).enumerate() {
                let length = path.len();
                path.push_str(&format!("[{place}]"));
                let difference = value_difference(wanted, found, path);
                if difference.is_some() {
                    return difference;
                }
                path.truncate(length);
            }
            None
        }
        _ if same_leaf(gold, given) => None,
        _ => Some(format!(", argument `{path}`: expected {gold}, found {given}")),
    }
}

fn same_leaf(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.trim() == b.trim(),
        // Integers beyond 2^53 are compared as written first, or they would meet in one double.
        (Value::Number(x), Value::Number(y)) => {
            x == y || (!(x.is_i64() || x.is_u64()) || !(y.is_i64() || y.is_u64())) && x.as_f64() == y.as_f64()
        }
        _ => a == b,
    }
}

/// Judges a completion against gold calls.
///
/// # Errors
/// As [`ToolCallGold::new`].
pub fn tool_call(calls: &[ToolCall], completion: &str) -> Result<Verdict, RewardError> {
    Ok(ToolCallGold::new(calls)?.judge(completion))
}
