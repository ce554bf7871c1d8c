//! The tiny language goes through the judges of every other task.

use std::path::Path;

use razor_core::Seed;
use razor_data::{Answer, CorpusMix, TaskId, completion_style, load_task, tiny_documents};
use razor_envs::{Judge, Outcome};

const NO_FOLDER: &str = "";

#[test]
fn every_completion_of_the_annotator_is_right() {
    for task in TaskId::GENERATED {
        for example in load_task(task, None, Path::new(NO_FOLDER)).unwrap().examples {
            let verdict = Judge::new(&example.answer.unwrap()).unwrap().judge(&example.target.unwrap());
            assert_eq!(verdict.outcome, Outcome::Correct, "{}: {}", example.id, verdict.reason);
        }
    }
}

/// Punctuation alone is forgiven, so a policy has to end its answer.
#[test]
fn what_goes_on_after_the_answer_is_wrong() {
    for task in TaskId::GENERATED {
        for example in load_task(task, None, Path::new(NO_FOLDER)).unwrap().examples.iter().take(100) {
            let answer = example.answer.as_ref().unwrap();
            // A word behind a number reads as a factor, and nothing changes 0.
            if matches!(answer, Answer::Math { accepted } if accepted[0] == "0") {
                continue;
            }
            let judge = Judge::new(answer).unwrap();
            for more in ["red", "say", "3", "+ 3", "; 3", "Answer: red", "#### 41", "Action: pay"] {
                let text = format!("{} {more}", example.target.as_ref().unwrap());
                assert_eq!(judge.judge(&text).reward(), 0.0, "{}: {text}", example.id);
            }
        }
    }
}

#[test]
fn the_corpus_is_judged_as_its_styles_are_meant() {
    // Shares of right completions by task and style, with what the shares of wrong ones in the corpus make of them.
    let expected = [
        (TaskId::TinyMath, "direct", 0.5),
        (TaskId::TinyMath, "steps", 0.75),
        (TaskId::TinyMath, "totals", 0.75),
        (TaskId::TinyMath, "words", 0.75),
        (TaskId::TinyTools, "bare", 0.0),
        (TaskId::TinyTools, "call", 28.0 / 48.0),
        (TaskId::TinyScience, "guess", 0.25),
        (TaskId::TinyScience, "fact", 0.85), // one in five takes any option, which is the right one in a quarter
        (TaskId::TinyScience, "value", 0.85),
        (TaskId::TinyScience, "elimination", 0.85),
    ];
    for task in TaskId::GENERATED {
        let one = |of: TaskId| if of == task { 1.0 } else { 0.0 };
        let mix = CorpusMix {
            math: one(TaskId::TinyMath),
            tools: one(TaskId::TinyTools),
            science: one(TaskId::TinyScience),
            ..NOTHING
        };
        let answers: std::collections::HashMap<String, Judge> = load_task(task, None, Path::new(NO_FOLDER))
            .unwrap()
            .examples
            .into_iter()
            .map(|example| (example.prompt[0].content.clone(), Judge::new(&example.answer.unwrap()).unwrap()))
            .collect();
        let mut counts = std::collections::BTreeMap::<&str, (f64, f64)>::new();
        for document in tiny_documents(&mix, Seed::new(1)).take(60_000) {
            let Some(judge) = answers.get(&document.prompt) else { continue };
            let (n, right) = counts.entry(completion_style(task, &document.completion)).or_default();
            *n += 1.0;
            *right += f64::from(judge.judge(&document.completion).reward());
        }
        let styles: Vec<(TaskId, &str, f64)> = expected.into_iter().filter(|(of, ..)| *of == task).collect();
        assert_eq!(counts.len(), styles.len(), "{counts:?}");
        for (_, style, share) in styles {
            let (n, right) = counts[style];
            let tolerance = 4.0 * (share * (1.0 - share) / n).sqrt() + 1e-12; // four standard errors
            assert!(
                (right / n - share).abs() <= tolerance,
                "{task} {style}: {right} of {n}, expected {share}"
            );
        }
    }
}

const NOTHING: CorpusMix = CorpusMix {
    math: 0.0,
    tools: 0.0,
    science: 0.0,
    reverse: 0.0,
    sort: 0.0,
    look_up: 0.0,
    repeat: 0.0,
    brackets: 0.0,
    facts: 0.0,
    compare: 0.0,
    who: 0.0,
    pattern: 0.0,
};
