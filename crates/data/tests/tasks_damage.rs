//! A damaged record is refused by file, line and field.

use razor_data::{TaskId, load_task};

/// What loading says about one record put into the file `name` after a line that is blank.
fn refusal(task: TaskId, subset: &str, name: &str, record: &str) -> String {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join(name);
    std::fs::create_dir_all(path.parent().expect("the name has a folder")).expect("a new folder");
    std::fs::write(&path, format!("\n{record}\n")).expect("a new file");
    let message = load_task(task, Some(subset), dir.path()).expect_err("the record is damaged").to_string();
    assert!(message.contains(&format!("{name}:2: ")), "{message}");
    message
}

fn refused_at(task: TaskId, subset: &str, name: &str, cases: &[(&str, &str)]) {
    for (record, expected) in cases {
        let message = refusal(task, subset, name, record);
        assert!(message.contains(expected), "{message} instead of {expected}");
    }
}

#[test]
fn gsm8k() {
    let cases = [
        (r#"{"question": "q"}"#, "field `answer`: expected a value, found none"),
        (r#"{"question": 3, "answer": "a #### 1"}"#, "field `question`: expected a string, found a number"),
        (
            r#"{"question": " ", "answer": "a #### 1"}"#,
            "field `question`: expected text, found an empty string",
        ),
        (r#"{"question": "q", "answer": "no result"}"#, "field `answer`: expected a result after `#### `"),
        (r#"{"question": "q", "answer": "none #### "}"#, "field `answer`: expected a result after `#### `"),
        (r#"{"question": "q", "answer": "a #### 1"#, "expected JSON"),
    ];
    refused_at(TaskId::Gsm8k, "train", "gsm8k/train.jsonl", &cases);
}

#[test]
fn mathematics() {
    let cases = [
        (r#"{"problem": "p", "answer": []}"#, "field `answer`: expected at least one answer"),
        (r#"{"problem": "p", "answer": ["1", {}]}"#, "field `answer[1]`: expected a string, found an object"),
        (r#"{"problem": "p", "answer": null}"#, "field `answer`"),
        (r#"{"problem": "p", "answer": 1, "difficulty": "hard"}"#, "field `difficulty`: expected a number"),
    ];
    refused_at(TaskId::Amc, "test", "math_extra/amc.jsonl", &cases);
}

#[test]
fn open_reasoner_zero() {
    let name = "open_reasoner_zero/math500.json";
    let cases = [
        (r#"[{"prompt": [], "final_answer": "1"}]"#, "field `prompt`: expected one turn, found 0"),
        (
            r#"[{"prompt": [{"from": "system", "value": "v"}], "final_answer": "1"}]"#,
            "field `prompt[0].from`: expected `user`, found `system`",
        ),
        (r#"[[{"from": "human", "value": "v"}]]"#, "field `(record)`: expected two turns, found 1"),
        (
            r#"[[{"from": "human", "value": "v"}, {"from": "assistant", "ground_truth": {}}]]"#,
            "field `[1].ground_truth.value`: expected a value, found none",
        ),
    ];
    refused_at(TaskId::OpenReasonerZero, "math500", name, &cases);
}

#[test]
fn sciknoweval() {
    let row = |choices: &str, key: &str, kind: &str, answer: &str| {
        format!(
            r#"{{"question": "q", "choices": {choices}, "answerKey": "{key}", "type": "{kind}", "answer": "{answer}",
                "prompt": {{"default": "p"}}, "domain": "Chemistry", "details": {{"level": "L3"}}}}"#
        )
        .replace('\n', " ")
    };
    let two = r#"{"text": ["x", "y"], "label": ["A", "B"]}"#;
    let cases = [
        (row(two, "C", "mcq-2-choices", ""), "field `answerKey`: expected a label of the options, found `C`"),
        (
            row(r#"{"text": [], "label": []}"#, "A", "mcq-4-choices", ""),
            "field `choices`: expected 2 to 4 options",
        ),
        (
            row(r#"{"text": [1, 2], "label": ["A", "B"]}"#, "A", "mcq-2-choices", ""),
            "field `choices.text[0]`",
        ),
        (row(two, "", "true_or_false", "Perhaps"), "field `answer`: expected `Yes` or `No`, found `Perhaps`"),
        (row(two, "", "filling", ""), "field `answer`: expected text, found an empty string"),
        (row(two, "A", "essay", ""), "field `type`: expected mcq-4-choices"),
        (row("3", "A", "mcq-2-choices", ""), "field `choices`: expected an object, found a number"),
    ];
    let cases: Vec<(&str, &str)> =
        cases.iter().map(|(record, expected)| (record.as_str(), *expected)).collect();
    let name = "sciknoweval/raw_data/Chemistry/L3/retrosynthesis.jsonl";
    refused_at(TaskId::Sciknoweval, "Chemistry/L3", name, &cases);
}

#[test]
fn toolalpaca() {
    let tool = |instructions: &str, golden: &str| {
        format!(
            r#"[{{"Name": "N", "Description": "", "NLDocumentation": "f: does", "Function_Description": {{"f": "does"}},
                "Instructions": {instructions}, "Golden_Answers": {golden}}}]"#
        )
    };
    let cases = [
        (
            tool(r#"["i", "j"]"#, "[[]]"),
            "field `Golden_Answers`: expected 2 answers, one an instruction, found 1",
        ),
        (tool(r#"["i"]"#, "[[]]"), "field `Golden_Answers[0]`: expected at least one call"),
        (tool(r#"["i"]"#, r#"[[{"Action": "f"}]]"#), "field `Golden_Answers[0][0].Action_Input`"),
        (
            tool(r#"["i"]"#, r#"[[{"Action": "f", "Action_Input": {}}]]"#),
            "field `Golden_Answers[0][0].Action_Input`: expected a string, found an object",
        ),
    ];
    let cases: Vec<(&str, &str)> =
        cases.iter().map(|(record, expected)| (record.as_str(), *expected)).collect();
    refused_at(TaskId::Toolalpaca, "eval_real", "toolalpaca/eval_real.json", &cases);
}

#[test]
fn sets_of_related_work() {
    let cases = [
        (r#"{"prompt": "no options", "answer": "A"}"#, "field `prompt`: expected options A to D"),
        (
            r#"{"prompt": "q\n\nA: 1\nB: 2\nC: 3\nD: 4", "answer": "E"}"#,
            "field `answer`: expected A, B, C or D",
        ),
        (
            r#"{"prompt": [{"role": "tool", "content": ""}], "answer": "A"}"#,
            "field `prompt[0].role`: expected system, user or assistant, found `tool`",
        ),
    ];
    refused_at(TaskId::ScienceEval, "eval", "self_distillation_eval/science_eval.jsonl", &cases);
    let cases = [
        (r#"{"prompt": "p\nQuestion: q", "answer": "not JSON"}"#, "field `answer`: expected a JSON text"),
        (r#"{"prompt": "p\nQuestion: q", "answer": "[]"}"#, "field `answer`: expected at least one call"),
        (
            r#"{"prompt": "no question", "answer": "[{\"Action\": \"f\", \"Action_Input\": \"{}\"}]"}"#,
            "`Question: `",
        ),
    ];
    refused_at(TaskId::TooluseEval, "sdpo_test", "self_distillation_eval/sdpo_tooluse_test.jsonl", &cases);
}

/// Every sample file cut short and with single bytes changed: refused or read, never a panic.
#[test]
fn no_damage_is_a_panic() {
    let datasets = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    for (task, subset, sample, name) in [
        (TaskId::Gsm8k, "train", "gsm8k", "gsm8k/train.jsonl"),
        (
            TaskId::OpenReasonerZero,
            "57k",
            "open_reasoner_zero",
            "open_reasoner_zero/orz_math_57k_collected.json",
        ),
        (TaskId::Toolalpaca, "eval_real", "toolalpaca", "toolalpaca/eval_real.json"),
        (TaskId::ScienceEval, "eval", "self_distillation_eval", "self_distillation_eval/science_eval.jsonl"),
    ] {
        let sound =
            std::fs::read(datasets.join(sample).join("sample").join(name)).expect("the sample is there");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut n_refused = 0;
        for at in (0..sound.len()).step_by(7) {
            for replacement in [None, Some(b'['), Some(b'"'), Some(0xff)] {
                let mut bytes = sound.clone();
                match replacement {
                    None => bytes.truncate(at),
                    Some(byte) => bytes[at] = byte,
                }
                std::fs::write(&path, bytes).unwrap();
                n_refused += usize::from(load_task(task, Some(subset), dir.path()).is_err());
            }
        }
        assert!(n_refused > sound.len() / 7, "{name}: {n_refused} refused");
    }
}
