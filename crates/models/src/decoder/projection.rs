//! The two kinds of weights of a decoder.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use razor_tensor::{linear, rms_norm};

/// A linear layer with the weight `[out, in]`, as checkpoints keep it.
///
/// Burn's own `Linear` keeps `[in, out]`. This layout is read from and written to a file without a transposition, serves
/// as embedding and as head of a tied model, and lies in memory as the products of decoding read it.
#[derive(Module, Debug)]
pub struct Projection {
    /// `[out, in]`
    pub weight: Param<Tensor<2>>,
    /// `[out]`
    pub bias: Option<Param<Tensor<1>>>,
}

impl Projection {
    /// `[N, in]` to `[N, out]`.
    pub(crate) fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        linear(rows, self.weight.val(), self.bias.as_ref().map(Param::val))
    }
}

/// Root-mean-square normalization with a learned scale.
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// `[D]`
    pub weight: Param<Tensor<1>>,
    /// Added to the mean square.
    pub epsilon: f64,
}

impl RmsNorm {
    /// `[N, D]` to `[N, D]`.
    pub(crate) fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        rms_norm(rows, self.weight.val(), self.epsilon)
    }
}
