//! Every gold answer of the real sets is itself. Needs `RAZOR_DATA`; without it, nothing is checked.

use std::io::Read;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use razor_data::ToolCall;
use razor_envs::{MathGold, Outcome, TextGold, ToolCallGold};
use serde_json::Value;

fn data() -> Option<PathBuf> {
    std::env::var_os("RAZOR_DATA").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

fn read(folder: &std::path::Path, name: &str) -> Vec<Value> {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(folder.join(name)).expect("the file is as published"))
        .read_to_string(&mut text)
        .expect("the file is as published");
    if name.ends_with(".jsonl.gz") {
        return text
            .lines()
            .map(|line| serde_json::from_str(line).expect("the file is as published"))
            .collect();
    }
    serde_json::from_str(&text).expect("the file is as published")
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.trim().to_owned()],
        other => vec![other.to_string()],
    }
}

/// Mathematical gold answers of one set.
fn golds(folder: &std::path::Path, name: &str) -> Vec<String> {
    let field =
        |row: &Value| texts(row.get("final_answer").or(row.get("answer")).expect("every set has an answer"));
    let all = read(folder, name).iter().flat_map(field).collect::<Vec<_>>();
    let tail =
        |text: String| text.rsplit_once("####").map_or(text.clone(), |(_, tail)| tail.trim().to_owned());
    all.into_iter().map(tail).collect()
}

const MATH: [(&str, f64); 8] = [
    ("open_reasoner_zero/math500.json.gz", 1.0),
    ("open_reasoner_zero/aime2024.json.gz", 1.0),
    ("math_extra/math_test_5000.jsonl.gz", 0.999),
    ("math_extra/asdiv_train.jsonl.gz", 1.0),
    ("math_extra/amc.jsonl.gz", 1.0),
    ("gsm8k/train.jsonl.gz", 1.0),
    ("math_extra/olympiad_bench.jsonl.gz", 0.97),
    ("math_extra/minerva_math.jsonl.gz", 0.97),
];

#[test]
fn every_mathematical_gold_answer_is_itself() {
    let Some(folder) = data() else { return };
    for (name, floor) in MATH {
        let golds = golds(&folder, name);
        let (mut itself, mut words) = (0, 0);
        for gold in &golds {
            match MathGold::parse(&[gold]) {
                Ok(parsed) => {
                    let verdict = parsed.judge(&format!("So it is $\\boxed{{{gold}}}$."));
                    // Whatever is accepted as gold has to be judged as itself.
                    assert_eq!(verdict.outcome, Outcome::Correct, "{name}: {gold}: {}", verdict.reason);
                    itself += 1;
                    words += usize::from(verdict.reason.contains("text"));
                }
                Err(error) => println!("  {name}: {error}"),
            }
        }
        println!("{name}: {itself} of {} are themselves, {words} as words", golds.len());
        assert!(itself as f64 >= floor * golds.len() as f64, "{name}: {itself} of {}", golds.len());
    }
}

#[test]
fn another_number_of_gsm8k_is_wrong_unless_it_is_the_same() {
    let Some(folder) = data() else { return };
    let golds = golds(&folder, "gsm8k/test.jsonl.gz");
    for pair in golds.windows(2) {
        let number = |text: &str| text.replace(',', "").parse::<f64>().unwrap();
        let expected = if number(&pair[0]) == number(&pair[1]) { Outcome::Correct } else { Outcome::Wrong };
        let gold = MathGold::parse(&pair[..1]).unwrap();
        assert_eq!(gold.judge(&format!("<<1+1=2>> steps\n#### {}", pair[1])).outcome, expected, "{pair:?}");
        assert_eq!(gold.judge(&format!("steps\n#### {}", pair[0])).outcome, Outcome::Correct, "{pair:?}");
    }
}

#[test]
fn every_gold_call_is_itself() {
    let Some(folder) = data() else { return };
    let mut rows = 0;
    for name in ["toolalpaca/eval_simulated.json.gz", "toolalpaca/eval_real.json.gz"] {
        for answers in
            read(&folder, name).iter().flat_map(|tool| tool["Golden_Answers"].as_array().unwrap().clone())
        {
            let calls: Vec<ToolCall> = serde_json::from_value(answers).unwrap();
            if calls.is_empty() {
                continue;
            }
            let completion: String = calls
                .iter()
                .map(|call| {
                    format!("Thought: go\nAction: {}\nAction Input: {}\n", call.action, call.action_input)
                })
                .collect();
            let verdict = ToolCallGold::new(&calls).unwrap().judge(&completion);
            assert_eq!(verdict.outcome, Outcome::Correct, "{completion}: {}", verdict.reason);
            rows += 1;
        }
    }
    println!("{rows} rows of gold calls are themselves");
    assert!(rows > 200);
}

#[test]
fn every_balanced_equation_is_itself_and_not_its_unbalanced_form() {
    let Some(folder) = data() else { return };
    let rows = read(&folder, "sciknoweval/raw_data/Chemistry/L3/balancing_chemical_equation.jsonl.gz");
    let (mut as_equations, mut balanced_already) = (0, 0);
    for row in &rows {
        let answer = row["answer"].as_str().unwrap();
        let gold = TextGold::new(&[answer]).unwrap();
        let verdict = gold.judge(&format!("\\boxed{{{}}}", answer.replace('=', "\\rightarrow")));
        as_equations +=
            usize::from(verdict.outcome == Outcome::Correct && verdict.reason.contains("chemical"));
        let question = row["question"].as_str().unwrap().lines().nth(1).unwrap();
        balanced_already += usize::from(gold.judge(question).outcome == Outcome::Correct);
    }
    println!("{as_equations} of {} are chemical equations, {balanced_already} came balanced", rows.len());
    assert!(as_equations * 100 >= rows.len() * 98, "{as_equations} of {}", rows.len());
}
