//! The two kinds of weights of a decoder.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use razor_tensor::{linear, linear_backward, rms_norm, rms_norm_backward};

use crate::decoder::gradients::Gradients;
use crate::decoder::lora::Lora;

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
    /// What an adapter adds.
    pub lora: Option<Lora>,
}

impl Projection {
    /// `[N, in]` to `[N, out]`.
    pub(crate) fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        let bias = self.bias.as_ref().map(Param::val);
        match &self.lora {
            None => linear(rows, self.weight.val(), bias),
            Some(lora) => linear(rows.clone(), self.weight.val(), bias) + lora.forward(rows),
        }
    }

    /// Adds the gradients of the trained parameters; gives that of the rows.
    ///
    /// # Shapes
    /// - `d_out`: `[N, out]`
    /// - `rows`, returns: `[N, in]`
    pub(crate) fn backward(
        &self,
        d_out: Tensor<2>,
        rows: &Tensor<2>,
        gradients: &mut Gradients,
    ) -> Tensor<2> {
        gradients.add_product(&self.weight, &d_out, rows);
        if let Some(bias) = &self.bias {
            gradients.add_columns(bias, &d_out);
        }
        match &self.lora {
            None => linear_backward(d_out, &self.weight.val()),
            Some(lora) => {
                let through_adapter = lora.backward(d_out.clone(), rows, gradients);
                linear_backward(d_out, &self.weight.val()) + through_adapter
            }
        }
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

    /// Adds the gradient of the scale; gives that of the rows.
    ///
    /// # Shapes
    /// - `d_out`, `rows`, returns: `[N, D]`
    pub(crate) fn backward(
        &self,
        d_out: Tensor<2>,
        rows: &Tensor<2>,
        gradients: &mut Gradients,
    ) -> Tensor<2> {
        let (d_rows, d_weight) = rms_norm_backward(rows, &self.weight.val(), self.epsilon, d_out);
        gradients.add_vector(&self.weight, d_weight);
        d_rows
    }
}
