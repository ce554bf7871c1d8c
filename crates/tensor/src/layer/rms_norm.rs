//! Root-mean-square normalization.

use burn::tensor::{DType, Tensor};

#[cfg(feature = "flex")]
use crate::host::{borrow, changed, f32s, from_host, is_here};
#[cfg(feature = "flex")]
use crate::kernel::{rms_norm_rows, rms_norm_rows_backward};

/// `rows / √(mean rows² + epsilon) · weight`, with mean and root in f32.
///
/// # Shapes
/// - `rows`: `[N, D]`
/// - `weight`: `[D]`
/// - returns: `[N, D]`
pub fn rms_norm(rows: Tensor<2>, weight: Tensor<1>, epsilon: f64) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if is_here(&rows) && is_here(&weight) {
        let weight = borrow(&weight);
        return changed(rows, |rows| rms_norm_rows(rows, f32s(&weight), epsilon as f32));
    }
    let dtype = rows.dtype();
    let wide = rows.cast(DType::F32); // f32: squares in bf16 lose most of their digits
    let scale = wide.clone().square().mean_dim(1).add_scalar(epsilon).sqrt().recip(); // [N, 1]
    (wide * scale).cast(dtype) * weight.cast(dtype).unsqueeze_dim(0)
}

/// Gradients of rows and weight of an [`rms_norm`].
///
/// # Shapes
/// - `rows`: `[N, D]`, what was normalized
/// - `weight`: `[D]`
/// - `d_out`: `[N, D]`
/// - returns: `[N, D]` in the type of `rows`, and `[D]` in f32
pub fn rms_norm_backward(
    rows: &Tensor<2>,
    weight: &Tensor<1>,
    epsilon: f64,
    d_out: Tensor<2>,
) -> (Tensor<2>, Tensor<1>) {
    assert_eq!(rows.dims(), d_out.dims(), "rows and d_out have one shape");
    #[cfg(feature = "flex")]
    if is_here(rows) && is_here(weight) && is_here(&d_out) {
        let (rows, weight) = (borrow(rows), borrow(weight));
        let mut d_weight = Vec::new();
        let d_rows = changed(d_out, |d_out| {
            d_weight = rms_norm_rows_backward(f32s(&rows), f32s(&weight), epsilon as f32, d_out);
        });
        let width = d_weight.len();
        return (d_rows, from_host(d_weight, [width]));
    }
    backward_by_burn(rows, weight, epsilon, d_out)
}

/// [`rms_norm_backward`] by operations that every backend has.
fn backward_by_burn(
    rows: &Tensor<2>,
    weight: &Tensor<1>,
    epsilon: f64,
    d_out: Tensor<2>,
) -> (Tensor<2>, Tensor<1>) {
    let wide = rows.clone().cast(DType::F32);
    let d_out = d_out.cast(DType::F32);
    let scale = wide.clone().square().mean_dim(1).add_scalar(epsilon).sqrt().recip(); // [N, 1]
    let normalized = wide * scale.clone();
    let d_weight = (d_out.clone() * normalized.clone()).sum_dim(0).squeeze_dim(0); // [D]
    let d_normalized = d_out * weight.clone().cast(DType::F32).unsqueeze_dim(0);
    let along = (d_normalized.clone() * normalized.clone()).mean_dim(1); // [N, 1]
    let d_rows = (d_normalized - normalized * along) * scale;
    (d_rows.cast(rows.dtype()), d_weight)
}

#[cfg(test)]
mod tests {
    use super::super::test_inputs::{assert_close, host, noise, tracked, with_threads};
    use super::*;

    const EPSILON: f64 = 1e-5;

    #[test]
    fn gradients_are_those_of_autodiff_and_of_operations_of_any_backend() {
        // more rows than are summed together, fewer, one; widths of no whole vectors and of several
        for (n, width) in [(150, 37), (5, 64), (1, 3), (90, 800)] {
            let (rows, weight, d_out) = (noise([n, width], 1), noise([width], 2), noise([n, width], 3));
            let (leaf, weight_leaf) = (tracked(&rows), tracked(&weight));
            let out = rms_norm(leaf.clone(), weight_leaf.clone(), EPSILON);
            let gradients = (out * tracked(&d_out)).sum().backward();
            let found = rms_norm_backward(&rows, &weight, EPSILON, d_out.clone());
            let plain = backward_by_burn(&rows, &weight, EPSILON, d_out);
            // sums of up to 800 products in another order: 1e-7 of each, and they partly cancel
            for (d_rows, d_weight) in [found, plain] {
                assert_close(&d_rows, &leaf.grad(&gradients).unwrap(), 1e-6);
                assert_close(&d_weight, &weight_leaf.grad(&gradients).unwrap(), 1e-6);
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (rows, weight, d_out) = (noise([700, 130], 1), noise([130], 2), noise([700, 130], 3));
        let [one, three] = with_threads(|| {
            let (d_rows, d_weight) = rms_norm_backward(&rows, &weight, EPSILON, d_out.clone());
            (host(&d_rows), host(&d_weight))
        });
        assert_eq!(one, three);
    }

    #[test]
    fn gradients_of_bf16_rows_keep_their_type_and_that_of_the_weight_is_f32() {
        let (rows, weight, d_out) = (noise([5, 64], 1), noise([64], 2), noise([5, 64], 3));
        let exact = rms_norm_backward(&rows, &weight, EPSILON, d_out.clone());
        let narrow = |tensor: Tensor<2>| tensor.cast(DType::BF16);
        let found = rms_norm_backward(&narrow(rows), &weight.cast(DType::BF16), EPSILON, narrow(d_out));
        assert_eq!((found.0.dtype(), found.1.dtype()), (DType::BF16, DType::F32));
        // bf16 keeps 8 bits: 4e-3 of each of three factors
        assert_close(&found.0.cast(DType::F32), &exact.0, 0.02);
        assert_close(&found.1, &exact.1, 0.02);
    }
}
