//! Where pre-training starts.

use std::convert::Infallible;

use burn::tensor::{DType, Device};
use rand::Rng;
use razor_core::Seed;
use razor_models::{Decoder, HostData, HostTensor, LmConfig, TensorSpec};

/// Fresh weights: uniform with variance 1 over the number of inputs, half of that width where a layer writes into the
/// residual stream, a standard deviation of 0.02 for the embedding, biases of 0 and norms of 1.
pub(super) fn initial_decoder(config: &LmConfig, seed: Seed, device: &Device) -> Decoder {
    let draw = |spec: &TensorSpec| {
        let n: usize = spec.shape.iter().product();
        let numbers = match spec.shape.as_slice() {
            [_, n_inputs] => {
                let mut rng = seed.derive(&spec.name, 0).rng();
                let width = 3.0_f64.sqrt() * deviation(config, &spec.name, *n_inputs);
                (0..n).map(|_| ((2.0 * rng.random::<f64>() - 1.0) * width) as f32).collect()
            }
            _ => vec![if spec.name.ends_with("bias") { 0.0 } else { 1.0 }; n],
        };
        Ok::<_, Infallible>(HostTensor { shape: spec.shape.clone(), data: HostData::F32(numbers) })
    };
    match Decoder::build(config, DType::F32, device, draw) {
        Ok(policy) => policy,
        Err(never) => match never {},
    }
}

fn deviation(config: &LmConfig, name: &str, n_inputs: usize) -> f64 {
    if name.ends_with("embed_tokens.weight") {
        return config.initializer_range;
    }
    let writes_to_stream = ["o_proj.weight", "down_proj.weight"].iter().any(|end| name.ends_with(end));
    let share = if writes_to_stream { 0.5 } else { 1.0 };
    share / (n_inputs as f64).sqrt()
}
