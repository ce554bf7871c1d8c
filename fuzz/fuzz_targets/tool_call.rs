//! First line: the input of the gold call. The rest: a completion.
#![no_main]

use libfuzzer_sys::fuzz_target;
use razor_data::ToolCall;
use razor_envs::{Outcome, ToolCallGold};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (input, completion) = text.split_once('\n').unwrap_or((&text, ""));
    let call = ToolCall { action: "find".to_owned(), action_input: input.to_owned() };
    let gold = ToolCallGold::new(&[call]).expect("the call has a name");
    if let Ok(arguments) = serde_json::from_str::<serde_json::Value>(input)
        && arguments.is_object()
    {
        let itself = serde_json::json!([{"name": "find", "arguments": arguments}]).to_string();
        let verdict = gold.judge(&itself);
        assert_eq!(verdict.outcome, Outcome::Correct, "{input:?}: {}", verdict.reason);
    }
    let _ = gold.judge(completion);
});
