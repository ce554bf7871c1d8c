//! A user's own JSON lines.

use razor_data::{Answer, AnswerFormat, TaskData, TaskId, load_user_task};

fn load(text: &str) -> Result<TaskData, String> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("mine.jsonl");
    std::fs::write(&path, text).expect("a new file");
    load_user_task(&path).map_err(|error| error.to_string())
}

#[test]
fn every_kind_of_answer_is_read() {
    let data = load(concat!(
        r#"{"prompt": "2+2?", "answer": "4", "completion": "\\boxed{4}"}"#,
        "\n",
        r#"{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "which?"}], "choice": {"label": "B", "options": [{"label": "A", "text": "x"}, {"label": "B", "text": "y"}]}}"#,
        "\n",
        r#"{"prompt": "find", "tool_calls": [{"Action": "find", "Action_Input": "{}"}]}"#,
        "\n",
        r#"{"prompt": "say hello", "text": "hello"}"#,
        "\n",
        r#"{"prompt": "a prompt alone"}"#,
        "\n",
    ))
    .unwrap();
    assert_eq!((data.task, data.examples.len(), data.provenance[0].records), (TaskId::UserFile, 5, 5));
    let formats: Vec<AnswerFormat> = data.examples.iter().map(|example| example.format).collect();
    let expected = [
        AnswerFormat::Boxed,
        AnswerFormat::AnswerLine,
        AnswerFormat::ToolCalls,
        AnswerFormat::Whole,
        AnswerFormat::Whole,
    ];
    assert_eq!(formats, expected);
    assert_eq!(data.examples[0].prompt[0].content, "2+2?", "nothing is added to a user's prompt");
    assert_eq!(data.examples[0].target.as_deref(), Some("\\boxed{4}"));
    assert_eq!((data.examples[1].prompt.len(), data.examples[1].question.as_str()), (2, "which?"));
    assert!(
        matches!(&data.examples[1].answer, Some(Answer::Choice { label, options }) if label == "B" && options.len() == 2)
    );
    assert_eq!((data.examples[4].id.as_str(), &data.examples[4].answer), ("mine.jsonl:5", &None));
}

#[test]
fn what_is_wrong_is_named_by_line_and_field() {
    for (record, expected) in [
        (r#"{"prompt": "p", "anwser": "4"}"#, "found `anwser`"),
        (r#"{"completion": "c"}"#, "expected `prompt` or `messages`, found neither"),
        (r#"{"prompt": "p", "messages": []}"#, "found `prompt` and `messages`"),
        (r#"{"prompt": "p", "answer": "4", "text": "4"}"#, "found `answer` and `text`"),
        (
            r#"{"messages": [{"role": "assistant", "content": "c"}]}"#,
            "field `messages`: expected a last message of the user",
        ),
        (r#"{"messages": []}"#, "field `messages`: expected at least one message"),
        (
            r#"{"prompt": "p", "choice": {"label": "C", "options": [{"label": "A", "text": "x"}]}}"#,
            "field `choice.label`",
        ),
        (
            r#"{"prompt": "p", "choice": {"label": "A", "options": [{"label": "A", "text": "x"}, {"label": "A", "text": "y"}]}}"#,
            "field `choice.options[1].label`: expected labels that differ",
        ),
        (r#"{"prompt": ""}"#, "field `prompt`: expected text"),
        (r#""text""#, "expected an object"),
        ("{", "expected JSON"),
    ] {
        let message = load(&format!("{{\"prompt\": \"sound\"}}\n{record}\n")).unwrap_err();
        assert!(
            message.contains("mine.jsonl:2: ") && message.contains(expected),
            "{message} instead of {expected}"
        );
    }
}
