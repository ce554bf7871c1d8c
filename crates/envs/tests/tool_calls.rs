//! Tool calls in every accepted form, and the first difference between wrong ones.

use razor_data::ToolCall;
use razor_envs::{Outcome, ToolCallGold};

fn gold(calls: &[(&str, &str)]) -> ToolCallGold {
    let calls: Vec<_> = calls
        .iter()
        .map(|(action, input)| ToolCall { action: (*action).to_owned(), action_input: (*input).to_owned() })
        .collect();
    ToolCallGold::new(&calls).expect("every call has a name")
}

fn two() -> ToolCallGold {
    gold(&[
        ("find", r#"{"city": "Oslo", "page": 1}"#),
        ("book", r#"{"date": "2024-01-02", "seats": [1, 2]}"#),
    ])
}

#[test]
fn all_three_forms_are_read() {
    for completion in [
        "Thought: look\nAction: find\nAction Input: {\"page\": 1.0, \"city\": \" Oslo \"}\nObservation: ok\nThought: book\nAction: book\nAction Input: {\"seats\": [1,2], \"date\": \"2024-01-02\"}\nFinal Answer: done",
        "<tool_call>\n{\"name\": \"find\", \"arguments\": {\"city\": \"Oslo\", \"page\": 1}}\n</tool_call>\n<tool_call>{\"name\": \"book\", \"arguments\": {\"date\": \"2024-01-02\", \"seats\": [1, 2]}}</tool_call>",
        "[{\"name\": \"find\", \"arguments\": {\"city\": \"Oslo\", \"page\": 1}}, {\"name\": \"book\", \"arguments\": \"{\\\"date\\\": \\\"2024-01-02\\\", \\\"seats\\\": [1, 2]}\"}]",
        "Here:\n```json\n[{\"name\": \"find\", \"arguments\": {\"city\": \"Oslo\", \"page\": 1}},\n {\"name\": \"book\", \"arguments\": {\"date\": \"2024-01-02\", \"seats\": [1, 2]}}]\n```",
        "**Action:** `find`\n**Action Input:** ```json\n{\"city\": \"Oslo\", \"page\": 1}\n```\n**Action:** book\n**Action Input:** {\"date\": \"2024-01-02\", \"seats\": [1, 2]}",
    ] {
        let verdict = two().judge(completion);
        assert_eq!(verdict.outcome, Outcome::Correct, "{completion}: {}", verdict.reason);
    }
}

#[test]
fn the_reason_names_the_first_difference() {
    let find = "Action: find\nAction Input: {\"city\": \"Oslo\", \"page\": 1}\n";
    for (rest, reason) in [
        (
            "Action: book\nAction Input: {\"date\": \"2024-01-03\", \"seats\": [1, 2]}",
            "call 2, argument `date`: expected \"2024-01-02\", found \"2024-01-03\"",
        ),
        (
            "Action: book\nAction Input: {\"date\": \"2024-01-02\", \"seats\": [1, 3]}",
            "call 2, argument `seats[1]`: expected 2, found 3",
        ),
        (
            "Action: book\nAction Input: {\"date\": \"2024-01-02\", \"seats\": [1]}",
            "call 2, argument `seats`: expected [1,2], found [1]",
        ),
        (
            "Action: book\nAction Input: {\"date\": \"2024-01-02\"}",
            "call 2, argument `seats`: expected [1,2], found none",
        ),
        (
            "Action: book\nAction Input: {\"date\": \"2024-01-02\", \"seats\": [1, 2], \"x\": 0}",
            "call 2, argument `x`: expected none, found 0",
        ),
        ("Action: cancel\nAction Input: {}", "call 2: expected `book`, found `cancel`"),
        ("", "expected 2 calls, found 1"),
        (
            "Action: book\nAction Input: tomorrow",
            "call 2: expected the input {\"date\":\"2024-01-02\",\"seats\":[1,2]}, found `tomorrow`, which is no JSON",
        ),
    ] {
        let verdict = two().judge(&format!("{find}{rest}"));
        assert_eq!((verdict.outcome, verdict.reason.as_str()), (Outcome::Wrong, reason), "{rest}");
    }
}

#[test]
fn a_number_is_not_its_text_and_order_matters() {
    let one = gold(&[("f", r#"{"n": 1}"#)]);
    assert_eq!(one.judge("Action: f\nAction Input: {\"n\": \"1\"}").outcome, Outcome::Wrong);
    let big = gold(&[("f", r#"{"n": 9007199254740993}"#)]);
    assert_eq!(big.judge("Action: f\nAction Input: {\"n\": 9007199254740992}").outcome, Outcome::Wrong);
    let swapped = "Action: book\nAction Input: {\"date\": \"2024-01-02\", \"seats\": [1, 2]}\nAction: find\nAction Input: {\"city\": \"Oslo\", \"page\": 1}";
    assert_eq!(two().judge(swapped).outcome, Outcome::Wrong);
}

#[test]
fn inputs_that_are_no_json_compare_as_text() {
    let template = gold(&[("get", r#"{"id": ${id  from find}}"#)]);
    assert_eq!(
        template.judge("Action: get\nAction Input: {\"id\": ${id from find}}").outcome,
        Outcome::Correct
    );
    assert_eq!(template.judge("Action: get\nAction Input: {\"id\": 5}").outcome, Outcome::Wrong);
}

#[test]
fn no_arguments_may_be_written_as_nothing() {
    let bare = gold(&[("now", "{}")]);
    for completion in [
        "Action: now\nAction Input:",
        "Action: now",
        "Action: now\nAction Input: {}",
        "<tool_call>{\"name\": \"now\"}</tool_call>",
    ] {
        assert_eq!(bare.judge(completion).outcome, Outcome::Correct, "{completion}");
    }
}

#[test]
fn completions_without_a_readable_call_are_unparseable() {
    for completion in [
        "",
        "I would call find.",
        "<tool_call>{\"name\": \"find\"",
        "<tool_call>{name: find}</tool_call>",
        "[1, 2]",
        "{\"city\": 1}",
        "[[[[[[[",
    ] {
        assert_eq!(two().judge(completion).outcome, Outcome::Unparseable, "{completion}");
    }
    let many = "Action: f\n".repeat(1_000);
    assert_eq!(two().judge(&many).outcome, Outcome::Unparseable);
    let deep = format!("Action: find\nAction Input: {}", "[".repeat(100_000));
    assert_eq!(two().judge(&deep).outcome, Outcome::Wrong);
}

#[test]
fn gold_calls_need_a_name() {
    assert!(ToolCallGold::new(&[]).is_err());
    assert!(
        ToolCallGold::new(&[ToolCall { action: " ".to_owned(), action_input: "{}".to_owned() }]).is_err()
    );
}

#[test]
fn marks_of_another_form_inside_a_json_string_are_text() {
    let quoting = gold(&[("say", r#"{"text": "<tool_call>\nAction: x"}"#)]);
    let completion = r#"[{"name": "say", "arguments": {"text": "<tool_call>\nAction: x"}}]"#;
    assert_eq!(quoting.judge(completion).outcome, Outcome::Correct);
}
