//! Diagonal Fisher information of a language model.

use burn::tensor::{Int, Tensor, TensorData};
use razor_models::{Decoder, ModelError, NoTap, ParameterRef, ScoreRequest, TokenRows, rows_at};
use razor_tensor::{label_log_probs, log_probs};

use crate::fisher::diagonal_fisher;

/// Mean over completions of the squared gradient of log π(completion | prompt), by parameter.
///
/// With completions that `policy` drew itself at temperature 1 this is the diagonal of its Fisher information, the
/// expectation over prompts and completions. It weighs changes in
/// [`fisher_weighted_change`](crate::fisher_weighted_change); Table 1 of arXiv 2509.04259 takes prompts of *prior* tasks.
///
/// `policy` lives on a device with gradients, its weights in f32. Besides them this holds their gradients and one f64 per
/// weight, and the `[T, V]` logits of one completion at a time. `on_done` hears how many completions are finished.
///
/// Returns names as in the checkpoint with one value per weight, in the order of
/// [`LmConfig::tensors`](razor_models::LmConfig::tensors).
///
/// # Errors
/// [`ModelError::Prompt`] when a prompt or completion is empty or names a token outside the vocabulary.
pub fn sequence_fisher(
    policy: &Decoder,
    completions: &[ScoreRequest],
    on_done: &mut dyn FnMut(usize),
) -> Result<Vec<(String, Vec<f32>)>, ModelError> {
    let vocab_size = policy.config().vocab_size;
    for (request_idx, completion) in completions.iter().enumerate() {
        let refused = |message: &str| Err(ModelError::Prompt { request_idx, message: message.to_owned() });
        if completion.context.is_empty() || completion.continuation.is_empty() {
            return refused("has no tokens, or its completion has none");
        }
        let mut ids = completion.context.iter().chain(&completion.continuation);
        if ids.any(|&id| id as usize >= vocab_size) {
            return refused("has a token outside the vocabulary");
        }
    }
    let log_prob = |idx: usize| {
        let log_prob = completion_log_prob(policy, &completions[idx]);
        on_done(idx);
        log_prob
    };
    let fisher = diagonal_fisher(policy, completions.len(), log_prob);
    on_done(completions.len());
    let parameters = policy.parameters();
    assert_eq!(parameters.len(), fisher.len(), "one Fisher tensor for each parameter");
    let named = |((name, parameter), values): ((String, ParameterRef<'_>), Vec<f32>)| {
        let n_weights = match parameter {
            ParameterRef::Matrix(matrix) => matrix.val().dims().iter().product::<usize>(),
            ParameterRef::Vector(vector) => vector.val().dims()[0],
        };
        assert_eq!(n_weights, values.len(), "{name}: parameters are listed as they are visited");
        (name, values)
    };
    Ok(parameters.into_iter().zip(fisher).map(named).collect())
}

/// log π(completion | prompt), `[1]`, with its graph.
fn completion_log_prob(policy: &Decoder, completion: &ScoreRequest) -> Tensor<1> {
    let mut inputs = [completion.context.as_slice(), &completion.continuation].concat();
    inputs.pop(); // the last token is predicted, not read
    let n_targets = completion.continuation.len();
    let positions: Vec<usize> = (inputs.len() - n_targets..inputs.len()).collect();
    let hidden = policy.forward(&TokenRows::right_padded(&[&inputs]), None, &mut NoTap); // [1, T, D]
    let log_probs = log_probs(policy.logits(rows_at(hidden, &positions))); // [N, V]
    let targets: Vec<i64> = completion.continuation.iter().map(|&id| i64::from(id)).collect();
    let targets = TensorData::new(targets, [n_targets]);
    let targets = Tensor::<1, Int>::from_data(targets, &policy.device()); // [N]
    label_log_probs(log_probs, targets).sum() // [1]
}
