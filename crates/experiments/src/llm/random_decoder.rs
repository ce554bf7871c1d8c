//! Decoders with random weights, for measurements whose result does not depend on them.

use std::convert::Infallible;

use burn::tensor::{DType, Device};
use rand::RngCore;
use rayon::prelude::*;
use razor_core::Seed;
use razor_models::{Decoder, HostData, HostTensor, LmConfig, TensorSpec};

/// Numbers that one thread draws.
const DRAWN_TOGETHER: usize = 1 << 16;

/// A decoder with matrices of `dtype` and of standard deviation 0.02, biases of 0 and norms of 1.
pub(super) fn random_decoder(config: &LmConfig, dtype: DType, device: &Device) -> Decoder {
    let mut tensor_idx = 0;
    let draw = |spec: &TensorSpec| {
        tensor_idx += 1;
        let n = spec.shape.iter().product();
        let data = match spec.shape.len() {
            2 => random_weights(n, dtype, Seed::new(tensor_idx)),
            _ => HostData::F32(vec![if spec.name.ends_with("bias") { 0.0 } else { 1.0 }; n]),
        };
        Ok::<_, Infallible>(HostTensor { shape: spec.shape.clone(), data })
    };
    match Decoder::build(config, DType::F32, device, draw) {
        Ok(policy) => policy,
        Err(never) => match never {},
    }
}

/// Uniform numbers of standard deviation 0.02: half bytes of a generator, many at a time.
pub(super) fn random_weights(n: usize, dtype: DType, seed: Seed) -> HostData {
    let mut bits = vec![0_u16; n];
    bits.par_chunks_mut(DRAWN_TOGETHER).enumerate().for_each(|(idx, bits)| {
        let mut bytes = vec![0_u8; 2 * bits.len()];
        seed.derive("weights", idx as u64).rng().fill_bytes(&mut bytes);
        for (bits, bytes) in bits.iter_mut().zip(bytes.chunks_exact(2)) {
            *bits = u16::from_le_bytes([bytes[0], bytes[1]]);
        }
    });
    let number = |bits: &u16| (f32::from(*bits) / 65_536.0 - 0.5) * 0.02 * 12.0_f32.sqrt();
    match dtype {
        DType::BF16 => {
            HostData::Bf16(bits.par_iter().map(|bits| half::bf16::from_f32(number(bits))).collect())
        }
        _ => HostData::F32(bits.par_iter().map(number).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_weights_do_not_depend_on_the_number_of_threads() {
        let draw = || match random_weights(3 * DRAWN_TOGETHER + 5, DType::F32, Seed::new(1)) {
            HostData::F32(numbers) => numbers,
            HostData::Bf16(_) => unreachable!("f32 was asked for"),
        };
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let numbers = draw();
        assert_eq!(alone.install(draw), numbers);
        let variance = numbers.iter().map(|x| x * x).sum::<f32>() / numbers.len() as f32;
        assert!((variance.sqrt() - 0.02).abs() < 2e-4, "{variance}"); // 0.02 / sqrt(2 * 196,613) is 3e-5
    }
}
