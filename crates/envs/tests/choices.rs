//! Statements that name an option.

use razor_data::ChoiceOption;
use razor_envs::{ChoiceGold, Outcome, RewardError};

fn options(texts: &[(&str, &str)]) -> Vec<ChoiceOption> {
    texts
        .iter()
        .map(|(label, text)| ChoiceOption { label: (*label).to_owned(), text: (*text).to_owned() })
        .collect()
}

fn weights() -> Vec<ChoiceOption> {
    options(&[("A", "478.500"), ("B", "430.500"), ("C", "CC(=O)[O-]"), ("D", "A molecule of water")])
}

const NAMES_B: &[&str] = &[
    "Answer: B",
    "\\boxed{B}",
    "(B)",
    "B.",
    "<answer>B</answer>",
    "The correct option is B",
    "B",
    "**B**",
    "430.500",
    "\\boxed{430.500}",
    "Answer: **B**",
    "**Answer: B**",
    "**Answer:** B",
    "The answer is (B).",
    "The answer is B. 430.500",
    "B. 430.500",
    "B: 430.500",
    "B) 430.500",
    "(B) 430.500",
    "\\boxed{\\text{B}}",
    "$\\boxed{\\text{(B)}}$",
    "Final answer: option B",
    "the answer is option B",
    "Answer: A\nNo.\nAnswer: B",
    "\\boxed{A}, rather \\boxed{B}",
    "Answer: A\n\n\\boxed{B}",
    "\\boxed{A}\n\nAnswer: B",
    "<reasoning>A or C?</reasoning><answer>B</answer>",
    "<answer>B. 430.500</answer>",
    "<answer>\nB\n</answer>",
    "So I choose B",
    "It has to be (B).",
    "b",
    "\\boxed{b}",
    "Answer: B\n\nI hope this answer is helpful",
    "Therefore, the correct answer is **B**.",
    "Answer: B, since it fits",
    "A looks good.\nC too.\nThe right choice is B.",
    "The correct answer is:\nB",
    "Answer: (B) 430.500",
    "B is correct.",
    "…: B",
    "A molecule is heavy, so the answer is B",
];

#[test]
fn an_option_is_named_by_label_or_text() {
    let gold = ChoiceGold::new("B", &weights()).unwrap();
    for completion in NAMES_B {
        let verdict = gold.judge(completion);
        assert_eq!(verdict.outcome, Outcome::Correct, "{completion}: {}", verdict.reason);
        assert_eq!(verdict.extracted.as_deref(), Some("B"), "{completion}");
    }
}

#[test]
fn another_option_is_wrong() {
    let gold = ChoiceGold::new("B", &weights()).unwrap();
    for (completion, label) in [
        ("Answer: A", "A"),
        ("\\boxed{C}", "C"),
        ("A molecule of water", "D"),
        ("CC(=O)[O-]", "C"),
        ("Answer: B\nWait.\nAnswer: D", "D"),
        ("<answer>E</answer>", "E"),
        ("\\boxed{\\text{CC(=O)[O-]}}", "C"),
    ] {
        let verdict = gold.judge(completion);
        assert_eq!(
            (verdict.outcome, verdict.extracted.as_deref()),
            (Outcome::Wrong, Some(label)),
            "{completion}"
        );
    }
    assert!(gold.judge("Answer: F").reason.contains("none of the options"));
}

#[test]
fn several_options_or_none_are_unparseable() {
    let gold = ChoiceGold::new("B", &weights()).unwrap();
    for completion in [
        "",
        "I cannot tell",
        "Answer: A or B",
        "\\boxed{A, B}",
        "Answer: A and B",
        "A/B",
        "either (A) or (B)",
        "A molecule has atoms",
        "Answer:",
    ] {
        let verdict = gold.judge(completion);
        assert_eq!(verdict.outcome, Outcome::Unparseable, "{completion}: {verdict:?}");
    }
    assert!(gold.judge("Answer: A or B").reason.contains("several"));
}

#[test]
fn labels_may_be_words() {
    let gold = ChoiceGold::new("True", &options(&[("True", "True"), ("False", "False")])).unwrap();
    for completion in [
        "True",
        "true.",
        "\\boxed{\\text{True}}",
        "The statement is True",
        "Answer: true",
        "<answer>True</answer>",
    ] {
        assert_eq!(gold.judge(completion).outcome, Outcome::Correct, "{completion}");
    }
    for completion in ["False", "Answer: false", "The statement is False"] {
        assert_eq!(gold.judge(completion).outcome, Outcome::Wrong, "{completion}");
    }
}

#[test]
fn a_gold_label_must_be_among_distinct_options() {
    assert!(matches!(ChoiceGold::new("E", &weights()), Err(RewardError::UnknownLabel { .. })));
    assert!(matches!(ChoiceGold::new("A", &[]), Err(RewardError::NoGold { .. })));
    assert!(matches!(
        ChoiceGold::new("A", &options(&[("A", "x"), ("A", "y")])),
        Err(RewardError::RepeatedLabel { .. })
    ));
}
