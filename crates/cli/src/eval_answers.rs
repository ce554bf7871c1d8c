//! The answers of one model: those that are kept, and those that it still owes.

use razor_benchmarks::{
    Answer, BenchmarkError, ChoiceScore, Judges, Prompt, PromptStyle, Scoring, Task, TaskResult, TextLimits,
    prompts, score_choices, write_answers,
};
use razor_data::ChatTemplate;

use crate::eval::EvalArgs;
use crate::eval_kept::KeptAnswers;
use crate::model::LoadedModel;
use crate::progress::CountProgress;

/// The tasks of each benchmark with prompts and answers.
type Answered = Vec<Vec<(Task, Vec<Prompt>, Vec<Answer>)>>;

/// One model about to answer.
pub(crate) struct Answering<'a> {
    pub(crate) name: &'a str,
    pub(crate) model: &'a LoadedModel,
    pub(crate) template: Option<&'a ChatTemplate>,
    pub(crate) args: &'a EvalArgs,
}

/// A document of a task, by place.
#[derive(Debug, Clone, Copy)]
struct Place {
    task: usize,
    document: usize,
}

impl Answering<'_> {
    /// Asks for every answer that is not kept. Multiple choice is scored over all tasks at once, so that
    /// batches are full and what tasks share is computed once.
    pub(crate) fn run(&self, tasks: Vec<Vec<Task>>) -> anyhow::Result<Answered> {
        let style = PromptStyle {
            system_instruction: self.args.system_instruction.as_deref(),
            template: self.template,
            shots_as_turns: !self.args.fewshot_in_one_turn,
        };
        let sizes: Vec<usize> = tasks.iter().map(Vec::len).collect();
        let tasks: Vec<Task> = tasks.into_iter().flatten().collect();
        let mut all_prompts = Vec::new();
        for task in &tasks {
            let n = self.args.limit.map_or(task.documents.len(), |limit| limit.of(task.documents.len()));
            all_prompts.push(prompts(task, n, &style)?);
        }
        let answers = self.answers(&tasks, &all_prompts)?;
        let mut answered = tasks.into_iter().zip(all_prompts).zip(answers).map(|((a, b), c)| (a, b, c));
        Ok(sizes.into_iter().map(|n| answered.by_ref().take(n).collect()).collect())
    }

    fn answers(&self, tasks: &[Task], prompts: &[Vec<Prompt>]) -> anyhow::Result<Vec<Vec<Answer>>> {
        let mut kept = KeptAnswers::open(self.name, self.model, self.template, self.args)?;
        let mut found: Vec<Vec<Option<Answer>>> = Vec::new();
        let (mut choices, mut texts) = (Vec::new(), Vec::new());
        for (task_idx, (task, prompts)) in tasks.iter().zip(prompts).enumerate() {
            let known: Vec<Option<Answer>> = prompts.iter().map(|prompt| kept.get(task, prompt)).collect();
            let owed = (0..known.len()).filter(|&document| known[document].is_none());
            let places = owed.map(|document| Place { task: task_idx, document });
            match task.scoring {
                Scoring::Choice(_) => choices.extend(places),
                Scoring::Text(_) => texts.extend(places),
            }
            found.push(known);
        }
        let n_kept = found.iter().flatten().flatten().count();
        if n_kept > 0 && !self.args.quiet {
            eprintln!("{n_kept} answers were kept from an earlier run");
        }
        let mut keep = |place: Place, answer: Answer| {
            let Place { task, document } = place;
            kept.put(&tasks[task], &prompts[task][document], &answer);
            found[task][document] = Some(answer);
        };
        self.score(&choices, tasks, prompts, &mut keep)?;
        self.write(&texts, tasks, prompts, &mut keep)?;
        kept.finish()?;
        let all = |known: Vec<Option<Answer>>| {
            known.into_iter().map(|answer| answer.expect("what was owed was answered")).collect()
        };
        Ok(found.into_iter().map(all).collect())
    }

    fn score(
        &self,
        places: &[Place],
        tasks: &[Task],
        prompts: &[Vec<Prompt>],
        keep: &mut dyn FnMut(Place, Answer),
    ) -> anyhow::Result<()> {
        let owed: Vec<&Prompt> = places.iter().map(|place| &prompts[place.task][place.document]).collect();
        let progress = CountProgress::new("documents scored", owed.len(), self.args.quiet);
        let mut on_document = |idx: usize, scores: &[ChoiceScore]| {
            keep(places[idx], Answer::Choices(scores.to_vec()));
            progress.add(1);
        };
        let (model, limits) = (self.model, self.args.batch.limits());
        let bf16 = self.args.bf16_softmax(model);
        let scored = score_choices(&model.decoder, &model.tokenizer, &owed, bf16, limits, &mut on_document);
        Ok(scored.map_err(|error| match error {
            BenchmarkError::Choice { document, choice, text } => {
                let Place { task, document } = places[document];
                let reason = format!(
                    "choice {choice}, {text:?}, adds no token to its context in this model's vocabulary"
                );
                BenchmarkError::Document { task: tasks[task].name.clone(), document, reason }
            }
            other => other,
        })?)
    }

    /// Task by task: each has its own stop strings and lengths.
    fn write(
        &self,
        places: &[Place],
        tasks: &[Task],
        prompts: &[Vec<Prompt>],
        keep: &mut dyn FnMut(Place, Answer),
    ) -> anyhow::Result<()> {
        let stop_tokens = self.model.stop_tokens();
        for of_task in places.chunk_by(|a, b| a.task == b.task) {
            let task = &tasks[of_task[0].task];
            let Scoring::Text(scoring) = &task.scoring else { continue };
            let encode =
                |place: &Place| self.model.encode_prompt(&prompts[place.task][place.document].contexts[0]);
            let tokens = of_task.iter().map(encode).collect::<anyhow::Result<Vec<_>>>()?;
            let progress =
                CountProgress::new(&format!("answers of {}", task.name), of_task.len(), self.args.quiet);
            let mut on_answer = |idx: usize, text: String| {
                keep(of_task[idx], Answer::Text(text));
                progress.add(1);
            };
            let limits = TextLimits {
                stop_tokens: &stop_tokens,
                max_rows: self.args.batch_rows,
                max_new_tokens: scoring.max_new_tokens,
            };
            let (decoder, tokenizer) = (&self.model.decoder, &self.model.tokenizer);
            write_answers(decoder, tokenizer, tokens, scoring.stops, limits, &mut on_answer)?;
        }
        Ok(())
    }
}

/// Judges every answer.
pub(crate) fn judged(
    answered: Answered,
    judges: &Judges,
    is_quiet: bool,
) -> anyhow::Result<Vec<Vec<TaskResult>>> {
    let n = answered.iter().flatten().map(|(_, _, answers)| answers.len()).sum();
    let progress = CountProgress::new("answers judged", n, is_quiet);
    let judge = |(task, prompts, answers): (Task, Vec<Prompt>, Vec<Answer>)| {
        let mut verdicts = Vec::with_capacity(answers.len());
        for (document, answer) in task.documents.iter().zip(&answers) {
            verdicts.push(task.judge(document, answer, judges)?);
            progress.add(1);
        }
        Ok(TaskResult { task, prompts, answers, verdicts })
    };
    let mut results = Vec::new();
    for tasks in answered {
        results.push(tasks.into_iter().map(judge).collect::<anyhow::Result<_>>()?);
    }
    Ok(results)
}
