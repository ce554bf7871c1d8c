//! Reading and replacing what flows inside a decoder.

use burn::tensor::Tensor;

/// Sees the activations of a forward pass and may hand back others.
///
/// Each method gets a tensor and returns the one that the pass goes on with; what is not overridden changes nothing.
pub trait Tap {
    /// The residual stream before layer `layer_idx`; with `layer_idx` = the number of layers, after the last one and
    /// before the final norm.
    ///
    /// # Shapes
    /// - `hidden`, returns: `[B, T, D]`
    fn hidden(&mut self, layer_idx: usize, hidden: Tensor<3>) -> Tensor<3> {
        let _ = layer_idx;
        hidden
    }

    /// What each head of layer `layer_idx` found, before the output projection mixes the heads.
    ///
    /// # Shapes
    /// - `heads`, returns: `[B, T, H, C]`
    fn heads(&mut self, layer_idx: usize, heads: Tensor<4>) -> Tensor<4> {
        let _ = layer_idx;
        heads
    }
}

/// Looks at nothing.
#[derive(Debug)]
pub struct NoTap;

impl Tap for NoTap {}

/// Keeps the residual stream before every layer and after the last.
#[derive(Debug, Default)]
pub struct HiddenStates {
    /// One `[B, T, D]` per layer, and the last one's output (before the final norm).
    pub states: Vec<Tensor<3>>,
}

impl Tap for HiddenStates {
    fn hidden(&mut self, _: usize, hidden: Tensor<3>) -> Tensor<3> {
        self.states.push(hidden.clone());
        hidden
    }
}
