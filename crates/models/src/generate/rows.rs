//! The loop over tokens.

use burn::tensor::{DType, Int, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::decoder::{Decoder, KvCache, NoTap, TokenRows};
use crate::error::ModelError;
use crate::generate::request::{Completion, GenerationLimits, GenerationRequest, StopReason};
use crate::generate::sampler::{Draw, Sampling, sample_token};

/// Slots by which a cache grows beyond the longest prompt when completions may be long.
const GROWTH: usize = 256;

/// Draws the completions of all requests.
///
/// `is_done(request, seed, token)` is told of every drawn token and ends a completion by returning true; it is where stop
/// strings are looked for. `on_end(request, seed, completion)` gets each completion as its batch ends.
///
/// # Errors
/// [`ModelError::Prompt`] when a prompt is empty, names an unknown token or leaves no position for a new one, before
/// anything is drawn; [`ModelError::Logits`] when the network breaks down.
pub fn generate(
    policy: &Decoder,
    requests: &[GenerationRequest],
    sampling: Sampling,
    limits: &GenerationLimits,
    is_done: &mut dyn FnMut(usize, usize, u32) -> bool,
    on_end: &mut dyn FnMut(usize, usize, Completion),
) -> Result<(), ModelError> {
    for (request_idx, request) in requests.iter().enumerate() {
        check(policy, request_idx, &request.prompt)?;
    }
    // Neighbours in length share a batch, so that little of it is padding.
    let mut order: Vec<(usize, usize)> = (0..requests.len())
        .flat_map(|request_idx| {
            (0..requests[request_idx].seeds.len()).map(move |seed_idx| (request_idx, seed_idx))
        })
        .collect();
    order.sort_by_key(|&(request_idx, seed_idx)| (requests[request_idx].prompt.len(), request_idx, seed_idx));
    for members in order.chunks(limits.max_rows.max(1)) {
        let completions = Batch::read_prompts(policy, requests, members).draw(sampling, limits, is_done)?;
        for (&(request_idx, seed_idx), completion) in members.iter().zip(completions) {
            on_end(request_idx, seed_idx, completion);
        }
    }
    Ok(())
}

fn check(policy: &Decoder, request_idx: usize, prompt: &[u32]) -> Result<(), ModelError> {
    let config = policy.config();
    let refused = |message: String| Err(ModelError::Prompt { request_idx, message });
    if prompt.is_empty() {
        return refused("has no tokens".to_owned());
    }
    if let Some(id) = prompt.iter().find(|&&id| id as usize >= config.vocab_size) {
        return refused(format!("has token {id}, the vocabulary ends at {}", config.vocab_size - 1));
    }
    if prompt.len() >= config.max_positions {
        let (n, max) = (prompt.len(), config.max_positions);
        return refused(format!("has {n} tokens, the model has {max} positions: shorten it"));
    }
    Ok(())
}

/// Completions in the making.
struct Batch<'a> {
    policy: &'a Decoder,
    cache: KvCache,
    /// Logits of the next token, `[live rows, V]`.
    logits: Tensor<2>,
    rows: Vec<Row>,
    /// Row of each row of the cache.
    live: Vec<usize>,
}

struct Row {
    request_idx: usize,
    seed_idx: usize,
    n_prompt: usize,
    rng: ChaCha8Rng,
    completion: Completion,
    has_ended: bool,
}

impl<'a> Batch<'a> {
    /// Reads each prompt once and gives its keys and values to all rows of its group.
    fn read_prompts(policy: &'a Decoder, requests: &[GenerationRequest], members: &[(usize, usize)]) -> Self {
        let mut prompts: Vec<usize> = members.iter().map(|&(request_idx, _)| request_idx).collect();
        prompts.dedup(); // members are sorted by request
        let tokens: Vec<&[u32]> = prompts.iter().map(|&idx| requests[idx].prompt.as_slice()).collect();
        let tokens = TokenRows::left_padded(&tokens);
        let device = policy.device();
        let width = tokens.width();
        let mut cache =
            KvCache::new(policy.config(), tokens.left_padding(), width, policy.compute(), &device);
        let hidden = policy.forward(&tokens, Some(&mut cache), &mut NoTap); // [P, T, D]
        let [n_prompts, _, hidden_size] = hidden.dims();
        let last = hidden.slice([0..n_prompts, width - 1..width]).reshape([n_prompts, hidden_size]); // [P, D]
        let logits = policy.logits(last); // [P, V]
        let prompt_of =
            |request_idx| prompts.iter().position(|&idx| idx == request_idx).expect("it is a member");
        let of_rows: Vec<usize> = members.iter().map(|&(request_idx, _)| prompt_of(request_idx)).collect();
        let row = |&(request_idx, seed_idx): &(usize, usize)| Row {
            request_idx,
            seed_idx,
            n_prompt: requests[request_idx].prompt.len(),
            rng: requests[request_idx].seeds[seed_idx].rng(),
            completion: Completion {
                tokens: Vec::new(),
                log_probs: Vec::new(),
                stop_reason: StopReason::Length,
            },
            has_ended: false,
        };
        cache.select_rows(&of_rows, width);
        Self {
            policy,
            cache,
            logits: select(logits, &of_rows),
            rows: members.iter().map(row).collect(),
            live: (0..members.len()).collect(),
        }
    }

    fn draw(
        mut self,
        sampling: Sampling,
        limits: &GenerationLimits,
        is_done: &mut dyn FnMut(usize, usize, u32) -> bool,
    ) -> Result<Vec<Completion>, ModelError> {
        if limits.max_new_tokens == 0 {
            return Ok(self.rows.into_iter().map(|row| row.completion).collect());
        }
        loop {
            let draws = self.sample(sampling)?;
            for (&row_idx, draw) in self.live.iter().zip(draws) {
                let row = &mut self.rows[row_idx];
                if !row.has_ended {
                    row.push(draw, limits, self.policy.config().max_positions, is_done);
                }
            }
            let going: Vec<usize> =
                (0..self.live.len()).filter(|&at| !self.rows[self.live[at]].has_ended).collect();
            if going.is_empty() {
                return Ok(self.rows.into_iter().map(|row| row.completion).collect());
            }
            self.make_room(&going, limits);
            self.advance();
        }
    }

    fn sample(&mut self, sampling: Sampling) -> Result<Vec<Draw>, ModelError> {
        let vocab_size = self.policy.config().vocab_size;
        let logits = self.logits.clone().cast(DType::F32).into_data();
        let logits = logits.as_slice::<f32>().expect("they were cast to f32");
        let mut rngs: Vec<&mut ChaCha8Rng> = Vec::with_capacity(self.live.len());
        let mut live = self.live.iter().peekable();
        for (row_idx, row) in self.rows.iter_mut().enumerate() {
            if live.next_if(|&&live_idx| live_idx == row_idx).is_some() {
                rngs.push(&mut row.rng);
            }
        }
        logits
            .par_chunks(vocab_size)
            .zip(rngs)
            .map(|(logits, rng)| sample_token(logits, sampling, rng))
            .collect()
    }

    /// Drops rows that have ended once they are a quarter of the batch, and grows the cache when it is full.
    fn make_room(&mut self, going: &[usize], limits: &GenerationLimits) {
        let has_ended = self.live.len() - going.len();
        let is_full = self.cache.filled() == self.cache.capacity();
        if 4 * has_ended < self.live.len() && !is_full {
            return;
        }
        let drawn = self.rows[self.live[going[0]]].completion.tokens.len();
        let left = limits.max_new_tokens - drawn; // above 0, or the row would have ended
        let capacity = if is_full { self.cache.filled() + left.min(GROWTH) } else { self.cache.capacity() };
        self.cache.select_rows(going, capacity);
        self.live = going.iter().map(|&at| self.live[at]).collect();
    }

    /// Reads the last token of every live row.
    fn advance(&mut self) {
        let last =
            |&row_idx: &usize| [*self.rows[row_idx].completion.tokens.last().expect("a token was drawn")];
        let tokens: Vec<[u32; 1]> = self.live.iter().map(last).collect();
        let hidden = self.policy.forward(&TokenRows::left_padded(&tokens), Some(&mut self.cache), &mut NoTap);
        let [n, _, hidden_size] = hidden.dims();
        self.logits = self.policy.logits(hidden.reshape([n, hidden_size])); // [live rows, V]
    }
}

impl Row {
    fn push(
        &mut self,
        draw: Draw,
        limits: &GenerationLimits,
        max_positions: usize,
        is_done: &mut dyn FnMut(usize, usize, u32) -> bool,
    ) {
        self.completion.tokens.push(draw.token);
        self.completion.log_probs.push(draw.log_prob);
        let n_tokens = self.completion.tokens.len();
        let is_done = is_done(self.request_idx, self.seed_idx, draw.token);
        let reason = if limits.stop_tokens.contains(&draw.token) {
            StopReason::StopToken
        } else if is_done {
            StopReason::StopString
        } else if n_tokens == limits.max_new_tokens {
            StopReason::Length
        } else if self.n_prompt + n_tokens == max_positions {
            StopReason::ContextFull
        } else {
            return;
        };
        self.completion.stop_reason = reason;
        self.has_ended = true;
    }
}

fn select(rows: Tensor<2>, indices: &[usize]) -> Tensor<2> {
    let indices: Vec<i64> = indices.iter().map(|&idx| idx as i64).collect();
    let n = indices.len();
    let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [n]), &rows.device());
    rows.select(0, indices)
}
