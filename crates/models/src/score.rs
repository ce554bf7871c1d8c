//! Log-probabilities of given continuations.

use std::collections::HashMap;

use burn::tensor::{Int, Tensor, TensorData};
use half::bf16;
use razor_tensor::{Bf16Softmax, TileBudget, bf16_token_scores, token_scores};

use crate::decoder::{Decoder, KvCache, NoTap, TokenRows};
use crate::error::ModelError;
use crate::prefix_tree::{Node, PrefixTree};

/// Slots of keys and values that exist at a time, for every token of a batch.
const CACHE_SHARE: usize = 4;

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
    /// The same with bf16 logits, where they were asked for.
    pub bf16: Option<Bf16ContinuationScore>,
    /// Tokens of the context that were cut from its left to fit the model's positions.
    pub n_cut: usize,
}

/// What a policy thinks of a continuation when logits, log-probabilities and their sum are bf16.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bf16ContinuationScore {
    /// Sum of the tokens' log-probabilities in nats, added in f32 and rounded as PyTorch adds bf16 numbers.
    pub log_prob: f32,
    /// Whether every token is the policy's likeliest, the first of those that bf16 cannot tell apart.
    pub is_greedy: bool,
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
/// Tokens that requests have in common at their beginning are read once: few-shot examples, a question before its
/// answers. Requests that differ in their last token only cost one pass. Rows are padded on the right with others of their
/// length, the longest first. A row longer than the model's positions is cut from the left
/// as lm-evaluation-harness does: the last `max_positions + 1` tokens are kept, the last of which is only predicted.
/// `on_score` hears of every request as soon as it is scored. With `bf16` the head is read a second time for what a model
/// with bf16 logits would say.
///
/// # Errors
/// [`ModelError::Prompt`] when context or continuation is empty or names an unknown token, before anything is computed.
pub fn score_continuations(
    policy: &Decoder,
    requests: &[ScoreRequest],
    bf16: Option<Bf16Softmax>,
    limits: ScoreLimits,
    on_score: &mut dyn FnMut(usize, &ContinuationScore),
) -> Result<Vec<ContinuationScore>, ModelError> {
    check(requests, policy.config().vocab_size)?;
    let rows: Vec<Row> =
        requests.iter().map(|request| Row::new(request, policy.config().max_positions)).collect();
    let inputs: Vec<&[u32]> = rows.iter().map(|row| row.inputs.as_slice()).collect();
    let tree = PrefixTree::new(&inputs);
    let unscored = |row: &Row| Unfinished {
        tokens: vec![Scored::default(); row.targets.len()],
        n_left: row.targets.len(),
    };
    let mut scoring = Scoring {
        policy,
        rows: &rows,
        order: &tree.order,
        bf16,
        limits,
        unfinished: rows.iter().map(unscored).collect(),
        finished: vec![None; rows.len()],
        on_score,
    };
    let roots: Vec<(usize, &Node)> = tree.roots.iter().map(|root| (0, root)).collect();
    scoring.descend(None, roots);
    Ok(scoring.finished.into_iter().map(|score| score.expect("every row is in the tree")).collect())
}

fn check(requests: &[ScoreRequest], vocab_size: usize) -> Result<(), ModelError> {
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
    Ok(())
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

/// Log-probability of a token and whether it is the likeliest, in f32 and in bf16.
#[derive(Clone, Copy, Default)]
struct Scored {
    log_prob: f32,
    is_greedy: bool,
    bf16: Option<(f32, bool)>,
}

/// The tokens of a row that were scored so far.
struct Unfinished {
    tokens: Vec<Scored>,
    n_left: usize,
}

/// The way down a [`PrefixTree`], level by level.
struct Scoring<'a> {
    policy: &'a Decoder,
    rows: &'a [Row],
    /// The rows as the tree sorts them.
    order: &'a [usize],
    bf16: Option<Bf16Softmax>,
    limits: ScoreLimits,
    unfinished: Vec<Unfinished>,
    finished: Vec<Option<ContinuationScore>>,
    on_score: &'a mut dyn FnMut(usize, &ContinuationScore),
}

impl Scoring<'_> {
    /// Reads nodes in batches, each after a row of the cache that holds what comes before it.
    fn descend(&mut self, parents: Option<&KvCache>, mut nodes: Vec<(usize, &Node)>) {
        nodes.sort_by_key(|&(_, node)| std::cmp::Reverse(node.tokens.len())); // the largest batch first
        let filled = parents.map_or(0, KvCache::filled);
        let mut rest = &nodes[..];
        while let Some(&(_, longest)) = rest.first() {
            let width = longest.tokens.len();
            let by_tokens = self.limits.batch_tokens / width;
            let by_slots = CACHE_SHARE * self.limits.batch_tokens / (filled + width);
            let (batch, later) = rest.split_at(by_tokens.min(by_slots).clamp(1, rest.len()));
            rest = later;
            self.read(parents, batch);
        }
    }

    fn read(&mut self, parents: Option<&KvCache>, batch: &[(usize, &Node)]) {
        let segment = |node: &Node| &self.rows[self.order[node.rows.end - 1]].inputs[node.tokens.clone()];
        let segments: Vec<&[u32]> = batch.iter().map(|&(_, node)| segment(node)).collect();
        let tokens = TokenRows::right_padded(&segments);
        let mut cache = self.cache_of(parents, batch, tokens.width());
        let hidden = self.policy.forward(&tokens, cache.as_mut(), &mut NoTap); // [B, T, D]
        self.score(hidden, batch);
        let (mut prefixes, mut children) = (Vec::new(), Vec::new());
        for (at, (_, node)) in batch.iter().enumerate().filter(|(_, (_, node))| !node.children.is_empty()) {
            children.extend(node.children.iter().map(|child| (prefixes.len(), child)));
            prefixes.push((at, node.tokens.end));
        }
        if let Some(cache) = cache.filter(|_| !prefixes.is_empty()) {
            let longest = prefixes.iter().map(|&(_, n_tokens)| n_tokens).max().unwrap_or(0);
            let read = cache.select_prefixes(&prefixes, longest);
            drop(cache); // it has the slots of the whole batch
            self.descend(Some(&read), children);
        }
    }

    /// Room for a batch behind what its rows have read; none where nothing was read and nothing follows.
    fn cache_of(&self, parents: Option<&KvCache>, batch: &[(usize, &Node)], width: usize) -> Option<KvCache> {
        if let Some(parents) = parents {
            let prefixes: Vec<_> = batch.iter().map(|&(row, node)| (row, node.tokens.start)).collect();
            let longest = prefixes.iter().map(|&(_, n_tokens)| n_tokens).max().unwrap_or(0);
            return Some(parents.select_prefixes(&prefixes, longest + width));
        }
        let goes_on = batch.iter().any(|(_, node)| !node.children.is_empty());
        let (policy, padding) = (self.policy, vec![0; batch.len()]);
        goes_on.then(|| KvCache::new(policy.config(), &padding, width, policy.compute(), &policy.device()))
    }

    /// Scores the targets that a batch predicts. Rows that share a position and a target share the score.
    fn score(&mut self, hidden: Tensor<3>, batch: &[(usize, &Node)]) {
        let width = hidden.dims()[1];
        let (mut positions, mut targets, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
        for (at, (_, node)) in batch.iter().enumerate() {
            let mut known = HashMap::new();
            for &row_idx in &self.order[node.rows.clone()] {
                let row = &self.rows[row_idx];
                let first = row.inputs.len() - row.targets.len();
                for position in first.max(node.tokens.start)..row.inputs.len().min(node.tokens.end) {
                    let target = row.targets[position - first];
                    let place = *known.entry((position, target)).or_insert(targets.len());
                    if place == targets.len() {
                        positions.push(at * width + position - node.tokens.start);
                        targets.push(target);
                    }
                    wanted.push((row_idx, position - first, place));
                }
            }
        }
        if targets.is_empty() {
            return;
        }
        let hidden = rows_at(hidden, &positions);
        let in_bf16 = self.bf16.map(|softmax| {
            bf16_token_scores(hidden.clone(), self.policy.head(), &targets, softmax, self.limits.tiles)
        });
        let found = token_scores(hidden, self.policy.head(), &targets, 1.0, self.limits.tiles);
        for (row_idx, target_idx, place) in wanted {
            let unfinished = &mut self.unfinished[row_idx];
            unfinished.tokens[target_idx] = Scored {
                log_prob: found.log_probs[place],
                is_greedy: found.is_greedy[place],
                bf16: in_bf16.as_ref().map(|found| (found.log_probs[place], found.is_greedy[place])),
            };
            unfinished.n_left -= 1;
            if unfinished.n_left == 0 {
                self.finish(row_idx);
            }
        }
    }

    fn finish(&mut self, row_idx: usize) {
        let tokens = &self.unfinished[row_idx].tokens;
        let score = ContinuationScore {
            token_log_probs: tokens.iter().map(|token| token.log_prob).collect(),
            is_greedy: tokens.iter().all(|token| token.is_greedy),
            bf16: tokens.iter().map(|token| token.bf16).collect::<Option<Vec<_>>>().map(|tokens| {
                Bf16ContinuationScore {
                    log_prob: bf16::from_f32(tokens.iter().map(|(log_prob, _)| log_prob).sum()).to_f32(),
                    is_greedy: tokens.iter().all(|&(_, is_greedy)| is_greedy),
                }
            }),
            n_cut: self.rows[row_idx].n_cut,
        };
        (self.on_score)(row_idx, &score);
        self.finished[row_idx] = Some(score);
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
