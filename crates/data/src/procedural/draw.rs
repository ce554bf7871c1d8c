//! Random draws for pictures.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use razor_core::Seed;

/// A stream of random shapes' parameters.
pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    pub(super) fn new(seed: Seed) -> Self {
        Self(seed.rng())
    }

    /// A stream of its own, so that it can be kept aside.
    pub(super) fn fork(&mut self) -> Self {
        Self::new(Seed::new(self.0.random()))
    }

    /// Uniform in `[low, high)`.
    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.0.random::<f32>()
    }

    /// Bell-shaped around 0 with standard deviation `sigma`, never beyond 3.5 of them.
    ///
    /// A sum of four uniform draws: exact on every machine, unlike a logarithm.
    pub(super) fn bell(&mut self, sigma: f32) -> f32 {
        let sum = (0..4).fold(0.0, |sum, _| sum + self.0.random::<f32>());
        (sum - 2.0) * sigma * 1.732_050_8 // the sum's variance is 1/3
    }

    /// True with probability `p`.
    pub(super) fn chance(&mut self, p: f32) -> bool {
        self.0.random::<f32>() < p
    }

    /// Uniform in `0..n`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n as u32) as usize
    }
}
