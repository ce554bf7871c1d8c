//! Reference and policy on the same completions, token by token.

use std::ops::Range;

use razor_models::{Decoder, ModelError, NoTap, ScoreLimits, ScoreRequest, TokenRows, rows_at};
use razor_tensor::{TileBudget, TokenDivergences, token_divergences, token_scores};

/// What reference and policy say of one completion; every list has one value per token, the stop token included.
#[derive(Debug, Clone, PartialEq)]
pub struct CompletionShift {
    /// log π₀ of each token given all before it, nats.
    pub reference_log_probs: Vec<f32>,
    /// log π of each token, nats.
    pub policy_log_probs: Vec<f32>,
    /// Distances of the two distributions that each token was, or could have been, drawn from.
    pub divergences: TokenDivergences,
}

/// Measures both models on given completions; results are in the order of `completions`.
///
/// Both read the same tokens in the same batches, so a model has no distance at all from itself. `on_done` hears of every
/// batch how many completions are finished.
///
/// # Errors
/// [`ModelError::Prompt`] when a prompt or completion is empty, names a token that is not in the vocabulary, or is longer
/// than the positions of either model, before anything is computed.
///
/// # Panics
/// When the vocabularies differ in size.
pub fn completion_shifts(
    reference: &Decoder,
    policy: &Decoder,
    completions: &[ScoreRequest],
    limits: ScoreLimits,
    on_done: &mut dyn FnMut(usize),
) -> Result<Vec<CompletionShift>, ModelError> {
    let (vocab_size, other) = (reference.config().vocab_size, policy.config().vocab_size);
    assert_eq!(vocab_size, other, "reference and policy have different vocabularies");
    let max_positions = reference.config().max_positions.min(policy.config().max_positions);
    for (request_idx, completion) in completions.iter().enumerate() {
        if let Some(message) = problem(completion, vocab_size, max_positions) {
            return Err(ModelError::Prompt { request_idx, message });
        }
    }
    let length = |idx: &usize| completions[*idx].context.len() + completions[*idx].continuation.len();
    let mut order: Vec<usize> = (0..completions.len()).collect();
    order.sort_by_key(|idx| (std::cmp::Reverse(length(idx)), *idx)); // the largest batch first
    let mut shifts: Vec<Option<CompletionShift>> = vec![None; completions.len()];
    let mut n_done = 0;
    while n_done < order.len() {
        let width = length(&order[n_done]) - 1;
        let n_rows = (limits.batch_tokens / width).clamp(1, order.len() - n_done);
        let members = &order[n_done..n_done + n_rows];
        let batch: Vec<&ScoreRequest> = members.iter().map(|&idx| &completions[idx]).collect();
        for (&idx, shift) in members.iter().zip(batch_shifts(reference, policy, &batch, limits.tiles)) {
            shifts[idx] = Some(shift);
        }
        n_done += n_rows;
        on_done(n_done);
    }
    Ok(shifts.into_iter().map(|shift| shift.expect("every completion was in one batch")).collect())
}

fn problem(completion: &ScoreRequest, vocab_size: usize, max_positions: usize) -> Option<String> {
    let ScoreRequest { context, continuation } = completion;
    if context.is_empty() || continuation.is_empty() {
        return Some("has no tokens, or its completion has none".to_owned());
    }
    if let Some(id) = context.iter().chain(continuation).find(|&&id| id as usize >= vocab_size) {
        return Some(format!("has token {id}, the vocabulary ends at {}", vocab_size - 1));
    }
    let n_read = context.len() + continuation.len() - 1;
    (n_read > max_positions).then(|| {
        format!("has {n_read} tokens with its completion, the models share {max_positions} positions")
    })
}

fn batch_shifts(
    reference: &Decoder,
    policy: &Decoder,
    batch: &[&ScoreRequest],
    tiles: TileBudget,
) -> Vec<CompletionShift> {
    let mut inputs: Vec<Vec<u32>> = Vec::with_capacity(batch.len());
    for completion in batch {
        let mut row = [completion.context.as_slice(), &completion.continuation].concat();
        row.pop(); // the last token is predicted, not read
        inputs.push(row);
    }
    let tokens = TokenRows::right_padded(&inputs);
    let (mut positions, mut targets) = (Vec::new(), Vec::new());
    for (row_idx, (completion, row)) in batch.iter().zip(&inputs).enumerate() {
        let end = row_idx * tokens.width() + row.len();
        positions.extend(end - completion.continuation.len()..end);
        targets.extend_from_slice(&completion.continuation);
    }
    let [of_reference, of_policy] =
        [reference, policy].map(|model| rows_at(model.forward(&tokens, None, &mut NoTap), &positions)); // [N, D]
    let log_probs =
        |model: &Decoder, hidden| token_scores(hidden, model.head(), &targets, 1.0, tiles).log_probs;
    let reference_log_probs = log_probs(reference, of_reference.clone());
    let policy_log_probs = log_probs(policy, of_policy.clone());
    let divergences = token_divergences((of_reference, reference.head()), (of_policy, policy.head()), tiles);
    let mut start = 0;
    let shift = |completion: &&ScoreRequest| {
        let range = start..start + completion.continuation.len();
        start = range.end;
        CompletionShift {
            reference_log_probs: reference_log_probs[range.clone()].to_vec(),
            policy_log_probs: policy_log_probs[range.clone()].to_vec(),
            divergences: part(&divergences, &range),
        }
    };
    batch.iter().map(shift).collect()
}

fn part(whole: &TokenDivergences, range: &Range<usize>) -> TokenDivergences {
    let of = |column: &[f32]| column[range.clone()].to_vec();
    TokenDivergences {
        kl_reference_to_policy: of(&whole.kl_reference_to_policy),
        kl_policy_to_reference: of(&whole.kl_policy_to_reference),
        total_variation: of(&whole.total_variation),
        l2: of(&whole.l2),
        reference_entropy: of(&whole.reference_entropy),
        policy_entropy: of(&whole.policy_entropy),
    }
}
