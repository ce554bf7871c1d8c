//! The new tasks of the tiny language as tasks of this project.

use std::collections::HashSet;

use razor_core::Seed;

use crate::answer::Answer;
use crate::task::{PromptMessage, TaskExample, TaskId};
use crate::tiny_language::math::{self, Sum};
use crate::tiny_language::science::{self, Question};
use crate::tiny_language::tools::{self, Request};

/// Questions of each.
const N_QUESTIONS: usize = 6_000;

/// The questions of a task; `None` for one that is not of the tiny language. Always the same ones.
pub(crate) fn tiny_task(task: TaskId) -> Option<Vec<TaskExample>> {
    if !TaskId::GENERATED.contains(&task) {
        return None;
    }
    let mut rng = Seed::new(0).derive(task.name(), 0).rng();
    let (mut examples, mut known) = (Vec::with_capacity(N_QUESTIONS), HashSet::new());
    while examples.len() < N_QUESTIONS {
        let (question, answer, target, subject) = match task {
            TaskId::TinyMath => {
                let sum = Sum::draw(&mut rng);
                let answer = Answer::Math { accepted: vec![sum.answer().to_string()] };
                (sum.question(), answer, sum.annotated(), None)
            }
            TaskId::TinyTools => {
                let request = Request::draw(&mut rng);
                let answer = Answer::ToolCalls { calls: vec![request.answer()] };
                (request.question(), answer, request.annotated(), Some(request.tool()))
            }
            _ => {
                let question = Question::draw(&mut rng);
                let (label, options) = question.answer();
                let answer = Answer::Choice { label, options };
                (question.question(), answer, question.annotated(), Some(question.attribute()))
            }
        };
        if known.insert(question.clone()) {
            let id = format!("{}#{}", task.name(), examples.len());
            examples.push(example(task, id, &question, answer, &target, subject));
        }
    }
    Some(examples)
}

fn example(
    task: TaskId,
    id: String,
    question: &str,
    answer: Answer,
    target: &str,
    subject: Option<&str>,
) -> TaskExample {
    let mut example = TaskExample::new(task, id, question, answer);
    example.prompt = vec![PromptMessage::user(prompt_of(question))];
    // With the space between prompt and completion, which no token stands for.
    example.target = Some(format!(" {target}"));
    example.subject = subject.map(str::to_owned);
    example
}

/// A question as it is asked.
pub(super) fn prompt_of(question: &str) -> String {
    format!("{question} :")
}

/// The name of the style that a completion of a task of the tiny language is written in.
pub fn completion_style(task: TaskId, completion: &str) -> &'static str {
    match task {
        TaskId::TinyMath => math::style(completion),
        TaskId::TinyTools => tools::style(completion),
        TaskId::TinyScience => science::style(completion),
        _ => "other",
    }
}
