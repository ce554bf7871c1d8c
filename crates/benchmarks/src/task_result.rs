//! What a policy did on a task.

use serde::{Deserialize, Serialize};

use crate::choice_scoring::ChoiceScore;
use crate::error::BenchmarkError;
use crate::prompt::Prompt;
use crate::statistics::Score;
use crate::suite::{Benchmark, Group};
use crate::task::{Document, Scoring, Task};
use crate::text_scoring::Judges;
use crate::verdict::{Verdict, VerdictValue};

/// What a policy answered to a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// What it thinks of each choice.
    Choices(Vec<ChoiceScore>),
    /// What it wrote.
    Text(String),
}

/// A task with the answers of a policy to its first documents, as many as prompts.
#[derive(Debug, Clone)]
pub struct TaskResult {
    /// What was asked.
    pub task: Task,
    /// The texts that the policy read.
    pub prompts: Vec<Prompt>,
    /// What it answered.
    pub answers: Vec<Answer>,
    /// What is said of each answer: the same metrics in the same order.
    pub verdicts: Vec<Vec<Verdict>>,
}

/// A mean with its name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MetricScore {
    /// `acc`, ...
    pub metric: &'static str,
    /// How answers were read; `none` for as they are.
    pub filter: &'static str,
    /// Over the documents.
    pub score: Score,
}

impl Task {
    /// What is said of an answer.
    ///
    /// # Errors
    /// [`BenchmarkError::Sandbox`] where a program cannot be run.
    ///
    /// # Panics
    /// When the answer is of the other kind.
    pub fn judge(
        &self,
        document: &Document,
        answer: &Answer,
        judges: &Judges,
    ) -> Result<Vec<Verdict>, BenchmarkError> {
        match (&self.scoring, answer) {
            (Scoring::Choice(metrics), Answer::Choices(scores)) => {
                Ok(metrics.iter().map(|metric| metric.verdict(document, scores)).collect())
            }
            (Scoring::Text(scoring), Answer::Text(text)) => (scoring.judge)(document, text, judges),
            _ => panic!("{} was answered by the other kind of answer", self.name),
        }
    }
}

impl TaskResult {
    /// Every metric of the task; empty without documents.
    pub fn scores(&self) -> Vec<MetricScore> {
        let Some(first) = self.verdicts.first() else { return Vec::new() };
        let score = |(idx, verdict): (usize, &Verdict)| {
            let values = self.verdicts.iter().map(|verdicts| &verdicts[idx].value);
            Some(MetricScore { metric: verdict.metric, filter: verdict.filter, score: mean(values)? })
        };
        first.iter().enumerate().filter_map(score).collect()
    }
}

fn mean<'a>(values: impl Iterator<Item = &'a VerdictValue>) -> Option<Score> {
    let (mut numbers, mut has_flags, mut n) = (Vec::new(), false, 0);
    for value in values {
        n += 1;
        match value {
            VerdictValue::Number(number) => numbers.push(*number),
            VerdictValue::Flags(flags) => {
                has_flags = true;
                numbers.extend(flags.iter().map(|&flag| f64::from(u8::from(flag))));
            }
        }
    }
    let score = Score::mean(&numbers)?;
    Some(if has_flags { Score { stderr: None, n, ..score } } else { score })
}

/// Tasks that are reported together.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupResult {
    /// What the group is.
    pub group: Group,
    /// Names of its tasks.
    pub tasks: Vec<String>,
    /// Weighted by documents.
    pub scores: Vec<MetricScore>,
}

impl GroupResult {
    /// The groups of a benchmark of which there are tasks.
    pub fn of(benchmark: &Benchmark, results: &[TaskResult]) -> Vec<Self> {
        let group = |group: &Group| {
            let is_member = |result: &&TaskResult| {
                group.tasks.is_empty() || group.tasks.contains(&result.task.alias.as_str())
            };
            let members: Vec<&TaskResult> = results.iter().filter(is_member).collect();
            let scores: Vec<Vec<MetricScore>> = members.iter().map(|result| result.scores()).collect();
            let pooled = |(idx, first): (usize, &MetricScore)| {
                let parts: Vec<Score> = scores.iter().map(|scores| scores[idx].score).collect();
                Some(MetricScore { score: Score::pooled(&parts)?, ..*first })
            };
            let pooled = scores.first()?.iter().enumerate().filter_map(pooled).collect();
            let tasks = members.iter().map(|result| result.task.name.clone()).collect();
            Some(Self { group: *group, tasks, scores: pooled })
        };
        benchmark.groups.iter().filter_map(group).collect()
    }
}
