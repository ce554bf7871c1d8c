//! Log-probabilities of given continuations.

use burn::tensor::{Int, Tensor, TensorData};
use razor_tensor::{TileBudget, token_scores};

use crate::decoder::{Decoder, NoTap, TokenRows};
use crate::error::ModelError;

/// A continuation to be scored after its context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreRequest {
    /// Token ids that the policy reads first; at least one.
    pub context: Vec<u32>,
    /// Token ids that are scored; at least one.
    pub continuation: Vec<u32>,
}

/// What the policy thinks of a continuation.
#[derive(Debug, Clone, PartialEq)]
pub struct ContinuationScore {
    /// Log-probability of each token in nats, given all before it. A token that did not fit the context is not among them.
    pub token_log_probs: Vec<f32>,
    /// Whether every token is the policy's likeliest.
    pub is_greedy: bool,
    /// Tokens of the context that were cut from its left to fit the model's positions.
    pub n_cut: usize,
}

/// How much is computed at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScoreLimits {
    /// Tokens of one batch, padding included; a longer row is a batch of its own.
    pub batch_tokens: usize,
    /// Memory for tiles of logits.
    pub tiles: TileBudget,
}

/// Scores continuations; results are in the order of the requests.
///
/// Rows are padded on the right with others of their length. A row longer than the model's positions is cut from the left
/// as lm-evaluation-harness does: the last `max_positions + 1` tokens are kept, the last of which is only predicted.
/// `on_done` hears of every batch how many requests are finished.
///
/// # Errors
/// [`ModelError::Prompt`] when context or continuation is empty or names an unknown token, before anything is computed.
pub fn score_continuations(
    policy: &Decoder,
    requests: &[ScoreRequest],
    limits: ScoreLimits,
    on_done: &mut dyn FnMut(usize),
) -> Result<Vec<ContinuationScore>, ModelError> {
    let vocab_size = policy.config().vocab_size;
    for (request_idx, request) in requests.iter().enumerate() {
        let refused = |message: String| Err(ModelError::Prompt { request_idx, message });
        if request.context.is_empty() || request.continuation.is_empty() {
            return refused(
                "has an empty context or continuation: give the context at least the BOS token".into(),
            );
        }
        let mut ids = request.context.iter().chain(&request.continuation);
        if let Some(id) = ids.find(|&&id| id as usize >= vocab_size) {
            return refused(format!("has token {id}, the vocabulary ends at {}", vocab_size - 1));
        }
    }
    let rows: Vec<Row> =
        requests.iter().map(|request| Row::new(request, policy.config().max_positions)).collect();
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|&idx| (std::cmp::Reverse(rows[idx].inputs.len()), idx)); // the largest batch first
    let mut scores: Vec<Option<ContinuationScore>> = vec![None; rows.len()];
    let mut n_done = 0;
    while n_done < order.len() {
        let width = rows[order[n_done]].inputs.len();
        let n_rows = (limits.batch_tokens / width).clamp(1, order.len() - n_done);
        let members = &order[n_done..n_done + n_rows];
        score_batch(policy, &rows, members, limits.tiles, &mut scores);
        n_done += n_rows;
        on_done(n_done);
    }
    Ok(scores.into_iter().map(|score| score.expect("every row was in one batch")).collect())
}

/// What the network reads and what it should say.
struct Row {
    inputs: Vec<u32>,
    targets: Vec<u32>,
    n_cut: usize,
}

impl Row {
    fn new(request: &ScoreRequest, max_positions: usize) -> Self {
        let mut inputs = [request.context.as_slice(), &request.continuation].concat();
        inputs.pop(); // the last token is predicted, not read
        let n_cut = inputs.len().saturating_sub(max_positions);
        inputs.drain(..n_cut);
        let n_targets = request.continuation.len().min(inputs.len());
        let targets = request.continuation[request.continuation.len() - n_targets..].to_vec();
        Self { inputs, targets, n_cut }
    }
}

fn score_batch(
    policy: &Decoder,
    rows: &[Row],
    members: &[usize],
    tiles: TileBudget,
    scores: &mut [Option<ContinuationScore>],
) {
    let inputs: Vec<&[u32]> = members.iter().map(|&idx| rows[idx].inputs.as_slice()).collect();
    let tokens = TokenRows::right_padded(&inputs);
    let width = tokens.width();
    let (mut positions, mut targets) = (Vec::new(), Vec::new());
    for (at, row) in members.iter().map(|&idx| &rows[idx]).enumerate() {
        let (end, n) = (at * width + row.inputs.len(), row.targets.len());
        positions.extend(end - n..end);
        targets.extend_from_slice(&row.targets);
    }
    let hidden = policy.forward(&tokens, None, &mut NoTap); // [B, T, D]
    let found = token_scores(rows_at(hidden, &positions), policy.head(), &targets, 1.0, tiles);
    let mut start = 0;
    for &idx in members {
        let range = start..start + rows[idx].targets.len();
        start = range.end;
        scores[idx] = Some(ContinuationScore {
            is_greedy: found.is_greedy[range.clone()].iter().all(|&is_greedy| is_greedy),
            token_log_probs: found.log_probs[range].to_vec(),
            n_cut: rows[idx].n_cut,
        });
    }
}

/// The hidden states at some positions of a batch, counted through all its rows.
///
/// # Shapes
/// - `hidden`: `[B, T, D]`
/// - `positions`: `[N]`, each below B * T
/// - returns: `[N, D]`
pub fn rows_at(hidden: Tensor<3>, positions: &[usize]) -> Tensor<2> {
    let [n_rows, width, hidden_size] = hidden.dims();
    let positions: Vec<i64> = positions.iter().map(|&at| at as i64).collect();
    let n = positions.len();
    let positions = Tensor::<1, Int>::from_data(TensorData::new(positions, [n]), &hidden.device());
    hidden.reshape([n_rows * width, hidden_size]).select(0, positions) // [N, D]
}
