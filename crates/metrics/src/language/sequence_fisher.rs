//! Diagonal Fisher information of a language model.

use burn::module::ParamId;
use razor_models::{Decoder, Gradients, ModelError, PackedTokens, ScoreRequest};
use razor_tensor::{HeadWeights, TileBudget, token_loss_gradient};

/// Mean over completions of the squared gradient of log π(completion | prompt), by parameter.
///
/// With completions that `policy` drew itself at temperature 1 this is the diagonal of its Fisher information, the
/// expectation over prompts and completions. It weighs changes in
/// [`fisher_weighted_change`](crate::fisher_weighted_change); Table 1 of arXiv 2509.04259 takes prompts of *prior* tasks.
///
/// Besides the weights this holds their gradients in f32 and one f64 per weight; logits go by tiles. `on_done` hears how many
/// completions are finished.
///
/// Returns names as in the checkpoint with one value per weight, in the order of
/// [`LmConfig::tensors`](razor_models::LmConfig::tensors).
///
/// # Errors
/// [`ModelError::Prompt`] when a prompt or completion is empty or names a token outside the vocabulary.
pub fn sequence_fisher(
    policy: &Decoder,
    completions: &[ScoreRequest],
    tiles: TileBudget,
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
    let parameters = policy.parameters();
    let ids: Vec<ParamId> = parameters.iter().map(|(_, parameter)| parameter.id()).collect();
    let mut sums: Vec<Vec<f64>> = parameters
        .iter()
        .map(|(_, parameter)| vec![0.0; parameter.values().shape().num_elements()])
        .collect();
    for (idx, completion) in completions.iter().enumerate() {
        on_done(idx);
        let mut gradients = log_prob_gradients(policy, completion, &ids, tiles);
        for (sum, &id) in sums.iter_mut().zip(&ids) {
            let Some(gradient) = gradients.take(id) else { continue };
            let gradient = gradient.into_data();
            let gradient = gradient.as_slice::<f32>().expect("gradients are f32");
            sum.iter_mut().zip(gradient).for_each(|(sum, &x)| *sum += f64::from(x) * f64::from(x));
        }
    }
    on_done(completions.len());
    let n = completions.len() as f64;
    let mean = |sum: Vec<f64>| sum.into_iter().map(|sum| (sum / n) as f32).collect();
    Ok(parameters.into_iter().zip(sums).map(|((name, _), sum)| (name, mean(sum))).collect())
}

/// Gradients of log π(completion | prompt).
fn log_prob_gradients(
    policy: &Decoder,
    completion: &ScoreRequest,
    ids: &[ParamId],
    tiles: TileBudget,
) -> Gradients {
    let mut inputs = [completion.context.as_slice(), &completion.continuation].concat();
    inputs.pop(); // the last token is predicted, not read
    let rows: Vec<usize> = (inputs.len() - completion.continuation.len()..inputs.len()).collect();
    let (hidden, activations) = policy.forward_for_training(PackedTokens::new(&[&inputs]), &rows, false);
    let found = token_loss_gradient(
        hidden,
        policy.head(),
        &completion.continuation,
        1.0,
        &mut |_, _| 1.0,
        None,
        HeadWeights::Trained(None),
        tiles,
    );
    let mut gradients = Gradients::of(ids.iter().copied());
    gradients.put(policy.head_parameter(), found.head.expect("the head is trained"));
    policy.backward(activations, found.hidden, &mut gradients);
    gradients
}
