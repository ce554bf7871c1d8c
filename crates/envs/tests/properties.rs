//! What holds for any text.

use proptest::prelude::*;
use razor_data::{ChoiceOption, ToolCall};
use razor_envs::{MathGold, Outcome, TextGold, choice_answer, tool_call};

/// Small expressions in LaTeX.
fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (0_u32..200).prop_map(|n| n.to_string()),
        (0_u32..50, 1_u32..9).prop_map(|(a, b)| format!("{a}.{b}")),
        prop::sample::select(vec!["x", "y", "\\pi", "i", "e", "a_1"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}+{b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}-{b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{{a}}} \\cdot {{{b}}}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("\\frac{{{a}}}{{{b}}}")),
            (inner.clone(), 0_u32..4).prop_map(|(a, n)| format!("({a})^{{{n}}}")),
            inner.clone().prop_map(|a| format!("\\sqrt{{{a}}}")),
            inner.clone().prop_map(|a| format!("\\sin({a})")),
            inner.prop_map(|a| format!("-{a}")),
        ]
    })
}

/// Text that is made of the pieces parsers care about.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "\\boxed{",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "\\{",
        "\\}",
        "\\frac",
        "\\sqrt",
        "\\text{",
        "\\begin{pmatrix}",
        "\\end{pmatrix}",
        "&",
        "\\\\",
        "^",
        "_",
        "!",
        "|",
        ",",
        "1",
        "23",
        ".5",
        "x",
        "e9",
        "\\pm",
        "\\cup",
        "\\infty",
        "=",
        "<",
        "\\in",
        "\\log_",
        "\\binom",
        "\\sin",
        "\\%",
        "%",
        "$",
        "é",
        "\u{1F600}",
        "٣",
        "\\",
        " ",
        "\n",
        "Answer:",
        "####",
        "<answer>",
        "<tool_call>",
        "Action:",
        "Action Input:",
        "B",
        "or",
        "'",
        "\\prime",
        "\\left",
        "°",
    ]);
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
}

fn judge_with_everything(gold: &str, completion: &str) {
    let options: Vec<ChoiceOption> = ["A", "B"]
        .map(|label| ChoiceOption { label: label.to_owned(), text: format!("{gold}{label}") })
        .into();
    let _ = choice_answer("B", &options, completion).expect("the gold answer is sound");
    let _ = tool_call(&[ToolCall { action: "f".to_owned(), action_input: gold.to_owned() }], completion)
        .expect("the gold answer is sound");
    if let Ok(text) = TextGold::new(&[gold]) {
        let _ = text.judge(completion);
    }
    if let Ok(math) = MathGold::parse(&[gold]) {
        assert_eq!(math.judge_answer(gold).outcome, Outcome::Correct, "{gold:?}");
        let _ = math.judge(completion);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equivalence_is_symmetric(a in expressions(), b in expressions()) {
        if let (Ok(x), Ok(y)) = (MathGold::parse(&[&a]), MathGold::parse(&[&b])) {
            prop_assert_eq!(x.judge_answer(&b).outcome, y.judge_answer(&a).outcome);
        }
    }

    #[test]
    fn an_answer_is_itself_and_not_twice_itself_and_a_bit(a in expressions()) {
        // No expression of these is -0.123457. Adding one would not do: it drowns in an irrational value of 1e13.
        if let Ok(gold) = MathGold::parse(&[&a]) {
            prop_assert_ne!(gold.judge_answer(&format!("0.123457+2\\cdot({a})")).outcome, Outcome::Correct);
            prop_assert_eq!(gold.judge_answer(&a).outcome, Outcome::Correct);
        }
    }

    #[test]
    fn any_text_gets_a_verdict(gold in ".{0,80}", completion in ".{0,400}") {
        judge_with_everything(&gold, &completion);
    }

    #[test]
    fn hostile_text_gets_a_verdict(gold in hostile(), completion in hostile()) {
        judge_with_everything(&gold, &completion);
    }
}

#[test]
fn hard_answers_are_refused_quickly() {
    let gold = MathGold::parse(&["5"]).unwrap();
    let started = std::time::Instant::now();
    let list = (0..60).map(|n| format!("\\sqrt{{{n}}}")).collect::<Vec<_>>().join(",");
    for answer in [
        "(".repeat(1_900),
        "\\sqrt{".repeat(300),
        "5!".repeat(600),
        "9^".repeat(900),
        "\\frac1".repeat(300),
        "1,".repeat(900),
        "\\text{".repeat(300),
        "x'".repeat(900),
        "{".repeat(1_900),
        "2^{9999}\\cdot".repeat(150),
        "99^{4000}+1/".repeat(150),
        "20000!/".repeat(250),
        "\\binom{30000}{15000}".to_owned(),
        "1e-999+".repeat(250),
        list.clone(),
    ] {
        assert_ne!(gold.judge_answer(&answer).outcome, Outcome::Correct);
        if let Ok(itself) = MathGold::parse(&[&answer]) {
            assert_eq!(itself.judge_answer(&answer).outcome, Outcome::Correct);
        }
    }
    let shuffled = list.split(',').rev().collect::<Vec<_>>().join(",");
    assert_eq!(MathGold::parse(&[&list]).unwrap().judge_answer(&shuffled).outcome, Outcome::Correct);
    // A generous bound: a hang is what must not happen. An optimized build takes milliseconds.
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn long_completions_of_nothing_but_marks_are_judged_quickly() {
    let started = std::time::Instant::now();
    for mark in [
        "\\boxed",
        "\\boxed{",
        "\\fbox{}",
        "answer:",
        "answer: . ",
        "<answer>",
        "#### ",
        "Action:\n",
        "<tool_call>",
        "[\n",
        "{\n",
        "(A) ",
        "1,",
        "$",
        "$$",
        "final answer is \\[",
        "option is ",
        "\n",
    ] {
        let completion = mark.repeat(razor_envs::limits::MAX_COMPLETION_BYTES / mark.len());
        judge_with_everything("12", &completion);
    }
    // As above: seconds in a build without optimization, where a square would take hours.
    assert!(started.elapsed().as_secs() < 120, "{:?}", started.elapsed());
}
