//! Low-rank adapters.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use razor_tensor::{linear, linear_backward};

use crate::decoder::gradients::Gradients;

/// `scale · B A` beside a weight `[out, in]`. Paper: LoRA, arXiv 2106.09685, section 4.1.
#[derive(Module, Debug)]
pub struct Lora {
    /// A, `[rank, in]`
    pub down: Param<Tensor<2>>,
    /// B, `[out, rank]`
    pub up: Param<Tensor<2>>,
    /// α / rank, or α / √rank where the adapter is rank-stabilized.
    pub scale: f64,
}

impl Lora {
    /// `[N, in]` to `[N, out]`.
    pub(crate) fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        let compute = rows.dtype();
        let narrow = linear(rows, self.down.val().cast(compute), None); // [N, rank]
        linear(narrow, self.up.val().cast(compute), None).mul_scalar(self.scale)
    }

    /// Adds the gradients of both factors; gives that of the rows.
    pub(crate) fn backward(
        &self,
        d_out: Tensor<2>,
        rows: &Tensor<2>,
        gradients: &mut Gradients,
    ) -> Tensor<2> {
        let d_out = d_out.mul_scalar(self.scale);
        let narrow = linear(rows.clone(), self.down.val().cast(rows.dtype()), None); // [N, rank]
        gradients.add_product(&self.up, &d_out, &narrow);
        let d_narrow = linear_backward(d_out, &self.up.val()); // [N, rank]
        gradients.add_product(&self.down, &d_narrow, rows);
        linear_backward(d_narrow, &self.down.val())
    }

    /// `scale · B A`, what merging adds to the weight `[out, in]`.
    pub(crate) fn product(&self) -> Tensor<2> {
        self.up.val().matmul(self.down.val()).mul_scalar(self.scale)
    }
}
