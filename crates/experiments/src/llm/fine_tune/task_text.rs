//! A task as a model sees it: prompts as tokens, completions to imitate, judges.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use razor_core::read_json_lines;
use razor_data::{
    ChatOptions, ChatTemplate, ExampleCounts, ExampleProblem, ExampleRecipe, ExampleText, LengthPolicy,
    Message, TaskData, TaskExample, Tokenizer, build_examples, final_answer_text, load_user_task,
    split_by_question,
};
use razor_data::{Sources, TaskId, load_task_from};
use razor_envs::Judge;
use razor_trainers::language::Judgement;
use serde::Deserialize;

use crate::llm::fine_tune::settings::{PromptStyle, TaskSettings};

/// What turns text into tokens and back.
#[derive(Debug)]
pub struct ModelText {
    /// The model's tokenizer.
    pub tokenizer: Tokenizer,
    /// Its chat template, where it has one.
    pub template: Option<ChatTemplate>,
    /// Positions that it has.
    pub context_len: usize,
}

/// Questions of a task, split.
#[derive(Debug)]
pub struct TaskQuestions {
    /// Trained on.
    pub train: Vec<TaskExample>,
    /// Held out: evaluated and measured on, never trained on.
    pub test: Vec<TaskExample>,
}

impl TaskQuestions {
    /// Loads and splits a task.
    ///
    /// # Errors
    /// When the task is not known or not there, or one side of its split is empty.
    pub fn load(settings: &TaskSettings, sources: &Sources) -> anyhow::Result<Self> {
        let mut data = load(settings, sources)?;
        if let Some(annotations) = &settings.annotations {
            annotate(&mut data.examples, annotations)?;
        }
        if settings.imitates_answers {
            for example in data.examples.iter_mut().filter(|example| example.target.is_none()) {
                example.target =
                    example.answer.as_ref().map(|answer| final_answer_text(answer, example.format));
            }
        }
        if data.examples.is_empty() {
            bail!("{}: the data is empty, there is nothing to train on", described(settings));
        }
        let split = split_by_question(data.examples);
        let (mut train, mut test) = (split.train, split.test);
        if settings.max_train > 0 {
            train.truncate(settings.max_train);
        }
        test.truncate(settings.max_test.max(1));
        if train.is_empty() || test.is_empty() {
            bail!(
                "{}: {} questions to train on and {} held out; both sides of the split by question need some: add data",
                described(settings),
                train.len(),
                test.len()
            );
        }
        Ok(Self { train, test })
    }
}

/// A line of a file of annotations.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Annotation {
    id: String,
    completion: String,
}

/// Gives the questions the completions of a file, and leaves out those that have none there.
fn annotate(examples: &mut Vec<TaskExample>, file: &Path) -> anyhow::Result<()> {
    let mut completions: BTreeMap<String, String> = BTreeMap::new();
    for Annotation { id, completion } in read_json_lines::<Annotation>(file)? {
        if completions.insert(id.clone(), completion).is_some() {
            bail!("{}: `{id}` is there twice", file.display());
        }
    }
    examples.retain_mut(|example| {
        example.target = completions.remove(&example.id);
        example.target.is_some()
    });
    if let Some(id) = completions.keys().next() {
        bail!("{}: `{id}` is no question of the task", file.display());
    }
    Ok(())
}

fn described(settings: &TaskSettings) -> String {
    match &settings.file {
        Some(file) => file.display().to_string(),
        None => format!("task {}", settings.name),
    }
}

fn load(settings: &TaskSettings, sources: &Sources) -> anyhow::Result<TaskData> {
    if let Some(file) = &settings.file {
        return Ok(load_user_task(file)?);
    }
    let task: TaskId = settings.name.parse()?;
    let subset = (!settings.subset.is_empty()).then_some(settings.subset.as_str());
    Ok(load_task_from(task, subset, sources)?)
}

impl ModelText {
    /// A row to train on.
    ///
    /// # Errors
    /// When the style asks for a template that the model has not.
    pub fn example_text(
        &self,
        example: &TaskExample,
        completion: &str,
        style: PromptStyle,
    ) -> anyhow::Result<ExampleText> {
        let completion = completion.to_owned();
        Ok(match style {
            PromptStyle::Chat => {
                self.template()?;
                ExampleText::Chat { prompt: messages(example), completion }
            }
            PromptStyle::Plain => ExampleText::Plain { prompt: plain(example), completion },
        })
    }

    fn template(&self) -> anyhow::Result<&ChatTemplate> {
        self.template.as_ref().context(
            "the model has no chat template, so it is unclear how prompts are written: give --prompt-style plain to join \
             the messages by blank lines, or a model with a template",
        )
    }

    /// Rows to train on, with what became of them. Rows that are longer than the context are left out and counted.
    ///
    /// # Errors
    /// When an example has no completion to imitate, or a row cannot be trained on.
    pub fn examples(
        &self,
        questions: &[TaskExample],
        style: PromptStyle,
        max_tokens: usize,
    ) -> anyhow::Result<(Vec<razor_data::TokenExample>, ExampleCounts)> {
        let mut rows = Vec::with_capacity(questions.len());
        for question in questions {
            rows.push(self.example_text(question, completion_of(question)?, style)?);
        }
        let recipe = ExampleRecipe {
            tokenizer: &self.tokenizer,
            template: self.template.as_ref(),
            chat: ChatOptions::default(),
            context_len: max_tokens.min(self.context_len),
            length_policy: LengthPolicy::DropAndCount,
        };
        build_examples(rows, &recipe).map_err(|error| match error {
            razor_data::DataError::Example { row, problem } => {
                anyhow::anyhow!("example {} cannot be trained on: {problem}", questions[row].id)
            }
            other => other.into(),
        })
    }

    /// A prompt ready for the answer.
    ///
    /// # Errors
    /// When there is no template where one is needed, or it cannot be rendered; when the prompt has no token, or begins
    /// with two beginning tokens.
    pub fn prompt(&self, question: &TaskExample, style: PromptStyle) -> anyhow::Result<Vec<u32>> {
        let ids = match style {
            PromptStyle::Chat => {
                let text = self.template()?.render(&messages(question), true, &ChatOptions::default())?;
                self.tokenizer.encode(&text, false)? // the template writes the special tokens itself
            }
            PromptStyle::Plain => self.tokenizer.encode(&plain(question), true)?,
        };
        let problem = match (self.tokenizer.bos(), ids.as_slice()) {
            (_, []) => ExampleProblem::EmptyPrompt,
            (Some(bos), [first, second, ..]) if *first == bos && *second == bos => {
                ExampleProblem::DoubleBos { id: bos }
            }
            _ => return Ok(ids),
        };
        bail!("example {} cannot be trained on: {problem}", question.id)
    }

    /// Prompts that leave room for `max_new_tokens`, with the questions they are of; the others are left out. `option` is
    /// what the user sets that number by.
    ///
    /// # Errors
    /// As [`prompt`](Self::prompt), and when no prompt leaves room.
    pub fn prompts<'q>(
        &self,
        questions: &'q [TaskExample],
        style: PromptStyle,
        max_new_tokens: usize,
        option: &str,
    ) -> anyhow::Result<(Vec<Vec<u32>>, Vec<&'q TaskExample>)> {
        let (mut prompts, mut kept) = (Vec::new(), Vec::new());
        for question in questions {
            let ids = self.prompt(question, style)?;
            if ids.len() + max_new_tokens <= self.context_len {
                prompts.push(ids);
                kept.push(question);
            }
        }
        if prompts.is_empty() {
            bail!(
                "no prompt leaves room for {max_new_tokens} new tokens in a context of {}: lower {option}, or give shorter \
                 rows",
                self.context_len
            );
        }
        Ok((prompts, kept))
    }

    /// Judges for questions.
    ///
    /// # Errors
    /// When a question has no answer that can be checked.
    pub fn judges(&self, questions: &[&TaskExample]) -> anyhow::Result<Vec<Judge>> {
        let judge = |question: &&TaskExample| {
            let answer = question.answer.as_ref().with_context(|| {
                format!(
                    "example {} has no answer that a completion could be judged by: give `answer`, `choice`, `tool_calls` \
                     or `text` in your data",
                    question.id
                )
            })?;
            Judge::new(answer).with_context(|| format!("the answer of example {}", question.id))
        };
        questions.iter().map(judge).collect()
    }

    /// The text and verdict of a completion.
    ///
    /// # Errors
    /// When the tokens cannot be decoded.
    pub fn judged(&self, judge: &Judge, tokens: &[u32]) -> Result<Judgement, String> {
        let text = self.tokenizer.decode(tokens, true).map_err(|error| error.to_string())?;
        let verdict = judge.judge(&text);
        Ok(Judgement { reward: Some(verdict.reward()), text, reason: verdict.reason })
    }
}

/// What a question asks to be imitated.
pub(super) fn completion_of(question: &TaskExample) -> anyhow::Result<&str> {
    question.target.as_deref().with_context(|| {
        format!(
            "example {} has no completion to imitate: give `completion` in your data, or use a method that draws its own, \
             such as grpo or rejection-sft",
            question.id
        )
    })
}

fn messages(example: &TaskExample) -> Vec<Message> {
    example.prompt.iter().map(|message| Message::new(&message.role, &message.content)).collect()
}

fn plain(example: &TaskExample) -> String {
    let contents: Vec<&str> = example.prompt.iter().map(|message| message.content.as_str()).collect();
    contents.join("\n\n")
}
