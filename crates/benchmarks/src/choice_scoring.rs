//! Multiple choice: the log-likelihood of each choice after its context, and what is read off it.

use rayon::prelude::*;
use razor_data::{DataError, EncodedContinuation, Tokenizer, encode_continuations};
use razor_models::{ContinuationScore, Decoder, ScoreLimits, ScoreRequest, score_continuations};
use razor_tensor::Bf16Softmax;
use serde::{Deserialize, Serialize};

use crate::error::BenchmarkError;
use crate::prompt::Prompt;
use crate::task::Document;
use crate::verdict::{Verdict, VerdictValue};

/// What a document's log-likelihoods say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChoiceMetric {
    /// Whether the likeliest choice is the right one.
    Acc,
    /// The same with each log-likelihood divided by the number of characters of its choice.
    AccNorm,
    /// The same with the number of bytes.
    AccBytes,
    /// The share of probability that true choices have among all choices.
    TrueMass,
}

/// What a policy thinks of one choice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ChoiceScore {
    /// Sum over the tokens of the continuation, in nats.
    pub log_likelihood: f64,
    /// Whether every token is the policy's likeliest.
    pub is_greedy: bool,
    /// With bf16 logits: what `log_likelihood` is with logits and log-softmax in f32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub f32_log_likelihood: Option<f64>,
}

impl ChoiceScore {
    fn new(score: &ContinuationScore) -> Self {
        let in_f32 = score.token_log_probs.iter().map(|&log_prob| f64::from(log_prob)).sum();
        match score.bf16 {
            None => Self { log_likelihood: in_f32, is_greedy: score.is_greedy, f32_log_likelihood: None },
            Some(bf16) => Self {
                log_likelihood: f64::from(bf16.log_prob),
                is_greedy: bf16.is_greedy,
                f32_log_likelihood: Some(in_f32),
            },
        }
    }
}

impl ChoiceMetric {
    /// The name in lm-evaluation-harness.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acc | Self::TrueMass => "acc",
            Self::AccNorm => "acc_norm",
            Self::AccBytes => "acc_bytes",
        }
    }

    pub(crate) fn verdict(self, document: &Document, scores: &[ChoiceScore]) -> Verdict {
        let value = VerdictValue::Number(self.of(document, scores));
        Verdict { metric: self.name(), filter: "none", found: None, value }
    }

    /// The value for one document; `scores` has one entry a choice.
    pub fn of(self, document: &Document, scores: &[ChoiceScore]) -> f64 {
        let is_right = |length: fn(&str) -> usize| {
            let divided = scores.iter().enumerate().map(|(choice, score)| {
                let text = &document.continuations[choice.min(document.continuations.len() - 1)];
                score.log_likelihood / length(text) as f64
            });
            f64::from(u8::from(first_maximum(divided) == document.gold))
        };
        match self {
            Self::Acc => is_right(|_| 1),
            Self::AccNorm => is_right(|text| text.chars().count()),
            Self::AccBytes => is_right(str::len),
            Self::TrueMass => true_mass(&document.is_true, scores),
        }
    }
}

/// The first of the largest numbers.
fn first_maximum(numbers: impl Iterator<Item = f64>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (idx, number) in numbers.enumerate() {
        if number > best.1 {
            best = (idx, number);
        }
    }
    best.0
}

/// Relative to the likeliest choice: probabilities of long answers underflow, and the reference then has no value.
fn true_mass(is_true: &[bool], scores: &[ChoiceScore]) -> f64 {
    let max = scores.iter().map(|score| score.log_likelihood).fold(f64::NEG_INFINITY, f64::max);
    let weight = |score: &ChoiceScore| (score.log_likelihood - max).exp();
    let total: f64 = scores.iter().map(weight).sum();
    let of_true: f64 =
        scores.iter().zip(is_true).filter(|&(_, &is_true)| is_true).map(|(score, _)| weight(score)).sum();
    of_true / total
}

/// Every choice in tokens. A context is encoded once for all continuations.
fn encode(prompt: &Prompt, tokenizer: &Tokenizer) -> Result<Vec<EncodedContinuation>, DataError> {
    let of_context = |context: &String| encode_continuations(tokenizer, context, &prompt.continuations);
    Ok(prompt.contexts.iter().map(of_context).collect::<Result<Vec<_>, _>>()?.concat())
}

/// Scores the choices of many documents, of any tasks. `on_document` hears of each as soon as all its choices are scored.
/// The log-softmax is f32; with `bf16` it is that of a model whose logits are bf16, and f32 beside it.
///
/// # Errors
/// [`BenchmarkError::Data`] for text without tokens, [`BenchmarkError::Choice`] where a continuation adds no token to its
/// context; its document is the place in `prompts`.
pub fn score_choices(
    policy: &Decoder,
    tokenizer: &Tokenizer,
    prompts: &[&Prompt],
    bf16: Option<Bf16Softmax>,
    limits: ScoreLimits,
    on_document: &mut dyn FnMut(usize, &[ChoiceScore]),
) -> Result<(), BenchmarkError> {
    let encoded: Vec<Vec<EncodedContinuation>> =
        prompts.par_iter().map(|prompt| encode(prompt, tokenizer)).collect::<Result<_, _>>()?;
    let (mut requests, mut places) = (Vec::new(), Vec::new());
    for (document, choices) in encoded.into_iter().enumerate() {
        for (choice, EncodedContinuation { context, continuation }) in choices.into_iter().enumerate() {
            if continuation.is_empty() {
                let text = prompts[document].pair(choice).1.to_owned();
                return Err(BenchmarkError::Choice { document, choice, text });
            }
            requests.push(ScoreRequest { context, continuation });
            places.push((document, choice));
        }
    }
    let mut found: Vec<Vec<Option<ChoiceScore>>> =
        prompts.iter().map(|prompt| vec![None; prompt.n_choices()]).collect();
    let mut on_score = |request: usize, score: &ContinuationScore| {
        let (document, choice) = places[request];
        found[document][choice] = Some(ChoiceScore::new(score));
        if let Some(scores) = found[document].iter().copied().collect::<Option<Vec<_>>>() {
            on_document(document, &scores);
        }
    };
    score_continuations(policy, &requests, bf16, limits, &mut on_score)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn document(choices: &[&str], gold: usize, is_true: &[bool]) -> Document {
        Document {
            record: Value::Null,
            contexts: vec![String::new()],
            continuations: choices.iter().map(ToString::to_string).collect(),
            gold,
            is_true: is_true.to_vec(),
            target: String::new(),
            answer_start: String::new(),
        }
    }

    fn scores(log_likelihoods: &[f64]) -> Vec<ChoiceScore> {
        log_likelihoods
            .iter()
            .map(|&log_likelihood| ChoiceScore { log_likelihood, is_greedy: false, f32_log_likelihood: None })
            .collect()
    }

    #[test]
    fn each_accuracy_divides_by_its_own_length() {
        // per choice -4; per character -2, -1.5; per byte -1, -1.5
        let document = document(&["éé", "abcd"], 0, &[]);
        let found = scores(&[-4.0, -6.0]);
        let value = |metric: ChoiceMetric| metric.of(&document, &found);
        assert_eq!(
            [ChoiceMetric::Acc, ChoiceMetric::AccNorm, ChoiceMetric::AccBytes].map(value),
            [1.0, 0.0, 1.0]
        );
    }

    #[test]
    fn the_first_of_equal_choices_wins() {
        let found = scores(&[-3.0, -2.0, -2.0]);
        assert_eq!(ChoiceMetric::Acc.of(&document(&["a", "b", "c"], 1, &[]), &found), 1.0);
        assert_eq!(ChoiceMetric::Acc.of(&document(&["a", "b", "c"], 2, &[]), &found), 0.0);
    }

    #[test]
    fn true_mass_survives_where_probabilities_vanish() {
        let document = document(&["a", "b", "c"], 0, &[true, false, true]);
        let near = ChoiceMetric::TrueMass.of(&document, &scores(&[-1.0, -2.0, -3.0]));
        let far = ChoiceMetric::TrueMass.of(&document, &scores(&[-2001.0, -2002.0, -2003.0]));
        let expected = (1.0 + (-2.0_f64).exp()) / (1.0 + (-1.0_f64).exp() + (-2.0_f64).exp());
        assert!((near - expected).abs() < 1e-15 && (far - expected).abs() < 1e-15, "{near} {far} {expected}");
    }
}
