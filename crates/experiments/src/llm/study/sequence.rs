//! Section: the tasks one after another.

use razor_report::{Block, Cell, Column, NumberFormat, Section, Table};

use crate::llm::study::method::StudyMethod;
use crate::llm::study::points::{Measured, Stage};
use crate::llm::study::record::Measurement;

/// The stages of one method, with the base as the row before them.
pub(crate) struct Sequence<'a> {
    pub method: StudyMethod,
    /// Stages that are done, in order.
    pub stages: Vec<&'a Stage>,
    /// Stages that were planned: one per task.
    pub n_tasks: usize,
}

impl<'a> Sequence<'a> {
    /// Every sequence of the study.
    pub(crate) fn all(measured: &'a Measured) -> Vec<Self> {
        let methods = measured.config.study.sequence.methods.iter();
        let of_method = |&method: &StudyMethod| Self {
            method,
            stages: measured.stages.iter().filter(|stage| stage.method == method).collect(),
            n_tasks: measured.config.study.tasks.len(),
        };
        methods.map(of_method).collect()
    }

    /// R(stage, task): new-task accuracy at temperature 1.
    fn score(&self, stage: usize, task: usize) -> Option<f64> {
        Some(self.stages.get(stage)?.on_tasks.get(task)?.new_task.sampled)
    }

    /// Tasks learned before the last, of a sequence that is finished.
    fn earlier(&self) -> Option<std::ops::Range<usize>> {
        (self.n_tasks >= 2 && self.stages.len() == self.n_tasks).then(|| 0..self.n_tasks - 1)
    }

    fn mean_over_earlier(&self, of: impl Fn(usize) -> Option<f64>) -> Option<f64> {
        let earlier = self.earlier()?;
        let n_earlier = earlier.len() as f64;
        let values: Option<Vec<f64>> = earlier.map(of).collect();
        Some(values?.iter().sum::<f64>() / n_earlier)
    }

    /// Backward transfer: mean over earlier tasks of R(T, i) − R(i, i). Below 0 where they were lost.
    pub(crate) fn backward_transfer(&self) -> Option<f64> {
        let last = self.n_tasks.checked_sub(1)?;
        self.mean_over_earlier(|task| Some(self.score(last, task)? - self.score(task, task)?))
    }

    /// Forgetting measure: mean over earlier tasks of the best earlier score less the last, max over t < T of R(t, i) − R(T, i).
    pub(crate) fn forgetting_measure(&self) -> Option<f64> {
        let last = self.n_tasks.checked_sub(1)?;
        self.mean_over_earlier(|task| {
            let best = (0..last).filter_map(|stage| self.score(stage, task)).reduce(f64::max)?;
            Some(best - self.score(last, task)?)
        })
    }

    fn final_mean(&self) -> Option<f64> {
        self.earlier()?;
        let scores = &self.stages.last()?.on_tasks;
        Some(scores.iter().map(|score| score.new_task.sampled).sum::<f64>() / scores.len() as f64)
    }
}

pub(crate) fn sequence_section(measured: &Measured) -> Section {
    let sequences = Sequence::all(measured);
    let config = &measured.config.study.sequence;
    let mut blocks = Vec::new();
    if sequences.is_empty() {
        blocks.push(Block::Text("This study has no sequence of tasks.".to_owned()));
    } else {
        blocks.push(Block::Table(stage_table(measured, &sequences)));
        blocks.push(Block::Table(transfer_table(measured, &sequences)));
        blocks.extend(measured.failed_stages.iter().map(|(method, task, reason)| {
            Block::Text(format!("The sequence of {} ended on {task}: {reason}.", method.title()))
        }));
    }
    Section {
        title: "The tasks one after another".to_owned(),
        intro: vec![format!(
            "Each stage starts from the policy of the one before (learning rate {:e}, epsilon {:e}, one repetition: differences \
             between methods here have no interval). Accuracy on each new task at temperature 1, and the prior score.",
            config.learning_rate, config.epsilon
        )],
        blocks,
    }
}

fn stage_table(measured: &Measured, sequences: &[Sequence<'_>]) -> Table {
    let mut columns = vec![Column::text("Method"), Column::text("After")];
    let tasks = &measured.config.study.tasks;
    columns.extend(tasks.iter().map(|task| Column::number(task.name.as_str(), "", NumberFormat::Percent(1))));
    columns.push(Column::number("Prior score", "", NumberFormat::Percent(1)));
    let caption = "Task by stage: accuracy on every new task and the prior score after each stage. A dash: not measured.";
    let mut table = Table::new("sequence_stages", caption, columns);
    let row = |method: &str, after: &str, scores: &[Measurement]| -> Vec<Cell> {
        let mut cells: Vec<Cell> = vec![method.into(), after.into()];
        cells.extend(
            (0..tasks.len()).map(|task| Cell::from(scores.get(task).map(|score| score.new_task.sampled))),
        );
        // The prior tasks do not depend on the new one: every measurement of a policy has the same score.
        cells.push(Cell::from(scores.first().map(|score| score.prior_score)));
        cells
    };
    for sequence in sequences {
        table.push(row(sequence.method.title(), "base", &measured.bases[0]));
        for (stage, task) in tasks.iter().enumerate() {
            let scores = sequence.stages.get(stage).map_or(&[][..], |stage| &stage.on_tasks);
            let after = format!("{}. {}", stage + 1, task.name);
            table.push(row(sequence.method.title(), &after, scores));
        }
    }
    table
}

fn transfer_table(measured: &Measured, sequences: &[Sequence<'_>]) -> Table {
    let columns = vec![
        Column::text("Method"),
        Column::number("Mean accuracy at the end", "", NumberFormat::Percent(1)),
        Column::number("Backward transfer", "points", NumberFormat::Percent(1)),
        Column::number("Forgetting measure", "points", NumberFormat::Percent(1)),
        Column::number("Drop of the prior score", "points", NumberFormat::Percent(1)),
    ];
    let caption = "Backward transfer: mean over earlier tasks of the accuracy at the end less that right after learning the task. \
                   Forgetting measure: mean over earlier tasks of the best accuracy after an earlier stage less that at the end. \
                   Only of sequences that are finished.";
    let mut table = Table::new("sequence_transfer", caption, columns);
    let base = measured.bases[0][0].prior_score;
    for sequence in sequences {
        let last = sequence.stages.last().and_then(|stage| stage.on_tasks.first());
        let drop = sequence.final_mean().and(last).map(|last| base - last.prior_score);
        table.push(vec![
            sequence.method.title().into(),
            sequence.final_mean().into(),
            sequence.backward_transfer().into(),
            sequence.forgetting_measure().into(),
            drop.into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::study::record::{NewTaskScore, WeightMovement};

    fn measurement(sampled: f64) -> Measurement {
        let new_task = NewTaskScore { sampled, sampled_error: 0.0, greedy: 0.0, pass_at_k: vec![], n: 10 };
        Measurement {
            step: 1,
            new_task,
            prior: vec![],
            prior_score: 0.5,
            kl_on_prior_prompts: 0.0,
            kl_on_random_prompts: 0.0,
            weights: WeightMovement { relative: 0.0, unchanged: 0.0, by_gradient: vec![] },
            cknna: None,
        }
    }

    #[test]
    fn transfer_and_forgetting_follow_their_definitions() {
        // Stage by task; task 0 is best after stage 2, task 1 right after its own.
        let scores = [[0.6, 0.1, 0.2], [0.7, 0.8, 0.2], [0.4, 0.5, 0.9]];
        let stages: Vec<Stage> = scores
            .iter()
            .map(|row| Stage {
                method: StudyMethod::Sft,
                on_tasks: row.iter().map(|&score| measurement(score)).collect(),
            })
            .collect();
        let sequence = |n_done: usize| Sequence {
            method: StudyMethod::Sft,
            stages: stages[..n_done].iter().collect(),
            n_tasks: 3,
        };
        // ((0.4 − 0.6) + (0.5 − 0.8)) / 2 and ((0.7 − 0.4) + (0.8 − 0.5)) / 2
        assert!((sequence(3).backward_transfer().unwrap() + 0.25).abs() < 1e-12);
        assert!((sequence(3).forgetting_measure().unwrap() - 0.30).abs() < 1e-12);
        assert_eq!(sequence(2).backward_transfer(), None, "not before the last stage");
    }
}
