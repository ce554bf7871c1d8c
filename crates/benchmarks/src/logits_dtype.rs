//! What bf16 logits did to the scores of a task.

use serde::Serialize;

use crate::choice_scoring::{ChoiceMetric, ChoiceScore};
use crate::task::Scoring;
use crate::task_result::{Answer, TaskResult};

/// How scores from bf16 logits differ from those of f32 logits, on one task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DtypeEffect {
    /// Largest difference of a choice's log-likelihood, nats.
    pub largest_difference: f64,
    /// Every metric of the task, in its order.
    pub metrics: Vec<MetricEffect>,
}

/// One metric with logits of either type.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricEffect {
    /// `acc`, ...
    pub metric: &'static str,
    /// Mean over the documents with bf16 logits.
    pub bf16: f64,
    /// Mean over the documents with f32 logits.
    pub f32: f64,
    /// Documents that are right with one and wrong with the other; `None` for a share of probability.
    pub n_changed: Option<usize>,
}

impl DtypeEffect {
    /// `None` for written answers, without documents, and where the logits were f32.
    pub fn of(result: &TaskResult) -> Option<Self> {
        let Scoring::Choice(metrics) = &result.task.scoring else { return None };
        let pairs: Vec<[Vec<ChoiceScore>; 2]> =
            result.answers.iter().map(both).collect::<Option<Vec<_>>>().filter(|pairs| !pairs.is_empty())?;
        let differences = pairs.iter().flat_map(|[bf16, f32]| {
            bf16.iter().zip(f32).map(|(bf16, f32)| (bf16.log_likelihood - f32.log_likelihood).abs())
        });
        let effect = |&metric: &ChoiceMetric| {
            let values: Vec<[f64; 2]> = result
                .task
                .documents
                .iter()
                .zip(&pairs)
                .map(|(document, pair)| pair.each_ref().map(|scores| metric.of(document, scores)))
                .collect();
            let mean = |at: usize| values.iter().map(|pair| pair[at]).sum::<f64>() / values.len() as f64;
            let is_verdict = metric != ChoiceMetric::TrueMass;
            let n_changed = values.iter().filter(|[bf16, f32]| bf16 != f32).count();
            MetricEffect {
                metric: metric.name(),
                bf16: mean(0),
                f32: mean(1),
                n_changed: is_verdict.then_some(n_changed),
            }
        };
        Some(Self {
            largest_difference: differences.fold(0.0, f64::max),
            metrics: metrics.iter().map(effect).collect(),
        })
    }
}

/// The choices of a document with bf16 and with f32 logits.
fn both(answer: &Answer) -> Option<[Vec<ChoiceScore>; 2]> {
    let Answer::Choices(scores) = answer else { return None };
    let in_f32 =
        |score: &ChoiceScore| Some(ChoiceScore { log_likelihood: score.f32_log_likelihood?, ..*score });
    Some([scores.clone(), scores.iter().map(in_f32).collect::<Option<_>>()?])
}
