//! Where the answer of a completion is looked for.

use razor_envs::{Outcome, math_answer};

const FOUND: &[(&str, &str)] = &[
    ("so \\boxed{5}", "5"),
    ("\\boxed{4} no, \\boxed{5}", "5"),
    ("\\boxed 5", "5"),
    ("\\fbox{5}", "5"),
    ("\\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
    ("\\boxed{\\{1,2\\}}", "\\{1,2\\}"),
    ("\\boxed{x=\\boxed{5}}", "5"),
    ("work 3+4\n#### 7", "7"),
    ("She pays 1,200 in all.\n#### 1,200", "1,200"),
    ("Answer: 12", "12"),
    ("**Answer:** 12", "12"),
    ("The final answer is 12.", "12"),
    ("the final answer is: $\\frac{1}{2}$.", "\\frac{1}{2}"),
    ("Final Answer: The final answer is $12$. I hope it is correct.", "12"),
    ("<think>2</think><answer>12</answer>", "12"),
    ("The answer is 3.5. That was easy.", "3.5"),
    ("so we get x = 12", "12"),
    ("There are 12 apples left.", "12"),
    ("Total: $12 + 5 = 17$", "12 + 5 = 17"),
    ("12", "12"),
    ("x^2+1", "x^2+1"),
    ("first 3\nthen 4\n\n", "4"),
    ("It costs 1,200 dollars", "1,200"),
    ("Answer: 3\nAnswer: 4", "4"),
    ("The answer is the sum, which is 12.", "12"),
    ("The answer is therefore $x^2$ for all x", "x^2"),
    ("The final answer is:\n\\[\nx + 1\n\\]", "x + 1"),
    ("The final answer is\n\n$$ 7 $$", "7"),
    ("So:\n$$\nx + 2\n$$\n", "x + 2"),
    ("Answer: sqrt(2)", "sqrt(2)"),
];

#[test]
fn the_last_statement_of_a_completion_is_its_answer() {
    for (completion, answer) in FOUND {
        let verdict = math_answer("1", completion).unwrap();
        assert_eq!(verdict.extracted.as_deref(), Some(*answer), "{completion}");
    }
}

#[test]
fn a_completion_without_an_answer_is_unparseable() {
    for completion in [
        "",
        "  \n ",
        "I do not know anything.",
        "\\boxed{",
        "\\boxed{}",
        "so \\boxed{5} and then \\boxed{\\frac{1}{2}",
    ] {
        let verdict = math_answer("5", completion).unwrap();
        assert_eq!(verdict.outcome, Outcome::Unparseable, "{completion}");
        assert_eq!(verdict.extracted, None);
    }
}

#[test]
fn a_completion_over_the_limit_is_unparseable() {
    let long = format!("{}\\boxed{{5}}", " ".repeat(razor_envs::limits::MAX_COMPLETION_BYTES));
    assert_eq!(math_answer("5", &long).unwrap().outcome, Outcome::Unparseable);
}
