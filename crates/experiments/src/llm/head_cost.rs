//! What the gradient of the head takes where the vocabulary is large: seconds, and memory besides what it is given and gives.
//!
//! `tests/peers/train_bench.py --head` does the same with whole logits in PyTorch, for as many tokens as fit.

use std::time::Instant;

use burn::tensor::{DType, Device, Tensor, TensorData};
use razor_core::Seed;
use razor_models::HostData;
use razor_tensor::{HeadWeights, TileBudget, token_loss_gradient};
use serde::Serialize;

use crate::llm::process_memory::{peak_bytes, resident_bytes};
use crate::llm::random_decoder::random_weights;
use crate::llm::speed::{WARM_UP, timed};

const VOCABULARY: usize = 151_936;
const HIDDEN: usize = 896;
/// The default of training.
const TILES: TileBudget = TileBudget { bytes: 256 << 20 };

/// Cost of the gradient of cross-entropy by hidden states and head, over 151,936 words of 896 numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HeadCosts {
    /// Of 2,048 tokens.
    pub tokens_2048: HeadCost,
    /// Of 8,192 tokens, computed once.
    pub tokens_8192: HeadCost,
}

/// Cost for some tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HeadCost {
    /// Time of one gradient.
    pub seconds: f64,
    /// Most resident memory of the process, 1e6 bytes of it, less what was resident before, hidden states, head and their
    /// gradients; `None` where the system does not tell. It is of all sizes measured so far.
    pub memory_mb: Option<f64>,
    /// What the whole logits would take, 1e6 bytes of it.
    pub logits_mb: f64,
}

/// Measures both sizes, the smaller one for about `seconds`. To be called before anything that takes much memory.
///
/// Memory: 1.5 GB.
pub fn measure_head_costs(seconds: f64, device: &Device) -> HeadCosts {
    let before = resident_bytes();
    let head = matrix([VOCABULARY, HIDDEN], 0, device);
    let cost = |n_tokens: usize, seconds: f64, warm_up: f64| {
        let hidden = matrix([n_tokens, HIDDEN], 1, device);
        let gradient = || gradient_seconds(&hidden, &head);
        if warm_up > 0.0 {
            timed(warm_up, gradient);
        }
        let gradients_per_second = timed(seconds, gradient);
        let inputs_and_results = 2 * 4 * HIDDEN * (n_tokens + VOCABULARY);
        let above = |(peak, before): (usize, usize)| peak as f64 - before as f64 - inputs_and_results as f64;
        HeadCost {
            seconds: 1.0 / gradients_per_second,
            memory_mb: peak_bytes().zip(before).map(above).map(|bytes| bytes * 1e-6),
            logits_mb: (4 * n_tokens * VOCABULARY) as f64 * 1e-6,
        }
    };
    HeadCosts { tokens_2048: cost(2048, seconds, WARM_UP * seconds), tokens_8192: cost(8192, 1e-9, 0.0) }
}

/// One gradient, and the seconds that it took.
fn gradient_seconds(hidden: &Tensor<2>, head: &Tensor<2>) -> (f64, f64) {
    let [n_tokens, _] = hidden.dims();
    let targets: Vec<u32> = (0..n_tokens).map(|token| (token * 104_729 % head.dims()[0]) as u32).collect();
    let start = Instant::now();
    let found = token_loss_gradient(
        hidden.clone(),
        head.clone(),
        &targets,
        1.0,
        &mut |_, _| -1.0 / n_tokens as f32,
        None,
        HeadWeights::Trained(None),
        TILES,
    );
    std::hint::black_box(&found);
    (1.0, start.elapsed().as_secs_f64())
}

fn matrix(dims: [usize; 2], seed: u64, device: &Device) -> Tensor<2> {
    let HostData::F32(numbers) = random_weights(dims[0] * dims[1], DType::F32, Seed::new(seed)) else {
        unreachable!("f32 was asked for")
    };
    Tensor::from_data(TensorData::new(numbers, dims), device)
}
