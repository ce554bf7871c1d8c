//! Linear layers with the weight as checkpoints keep it, and their gradients.

use burn::tensor::{DType, Tensor};
#[cfg(feature = "flex")]
use half::bf16;

#[cfg(feature = "flex")]
use crate::host::{HostTensor, borrow, changed, f32s, from_host, is_here, numbers, on_host};
#[cfg(feature = "flex")]
use crate::kernel::{
    FEW_ROWS, Weight, add_product, add_transposed_product, few_rows_times_weight, rows_times_weight,
};

/// `rows · weightᵀ + bias`.
///
/// A bf16 weight under f32 rows is widened as it is read: products and sums are f32, so the result is that of the same
/// weight stored as f32.
///
/// # Shapes
/// - `rows`: `[N, in]`
/// - `weight`: `[out, in]`, PyTorch's and the checkpoints' layout
/// - `bias`: `[out]`
/// - returns: `[N, out]`
pub fn linear(rows: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if is_here(&rows) && bias.as_ref().is_none_or(is_here) && is_readable(&weight) {
        return on_cpu(&rows, &weight, bias.as_ref());
    }
    let dtype = rows.dtype();
    let result = rows.matmul(in_type(weight, dtype).transpose()); // [N, out]
    match bias {
        Some(bias) => result + bias.cast(dtype).unsqueeze_dim(0),
        None => result,
    }
}

/// Gradient of a [`linear`] layer's rows: `d_out · weight`.
///
/// # Shapes
/// - `d_out`: `[N, out]`, gradient of the layer's result
/// - `weight`: `[out, in]`, widened or narrowed to the type of `d_out` where it has another
/// - returns: `[N, in]` in the type of `d_out`
pub fn linear_backward(d_out: Tensor<2>, weight: &Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if is_here(&d_out) && is_readable(weight) {
        let [n, width] = d_out.dims();
        let [weight_out, d_in] = weight.dims();
        assert_eq!(width, weight_out, "gradients are {width} wide, the weight gives {weight_out}");
        let (d_out, weight) = (borrow(&d_out), borrow(weight));
        let mut d_rows = vec![0.0_f32; n * d_in];
        match numbers::<f32>(&weight) {
            Some(weight) => add_product(f32s(&d_out), weight, d_in, &mut d_rows),
            None => add_product(f32s(&d_out), bf16s(&weight), d_in, &mut d_rows),
        }
        return from_host(d_rows, [n, d_in]);
    }
    let dtype = d_out.dtype();
    d_out.matmul(in_type(weight.clone(), dtype)) // [N, in]
}

/// Gradient of a [`linear`] layer's weight, added to what earlier rows gave: `sum + d_outᵀ · rows`.
///
/// On the CPU a sum with one owner is changed in its own memory.
///
/// # Shapes
/// - `sum`: `[out, in]` in f32; `None` for a sum of nothing
/// - `d_out`: `[N, out]`, gradient of the layer's result
/// - `rows`: `[N, in]`, what the layer read; taken to the type of `d_out` where it has another
/// - returns: `[out, in]` in f32
pub fn add_weight_gradient(sum: Option<Tensor<2>>, d_out: &Tensor<2>, rows: &Tensor<2>) -> Tensor<2> {
    let ([n, d_result], [n_rows, d_in]) = (d_out.dims(), rows.dims());
    assert_eq!(n, n_rows, "expected as many rows as gradients, found {n_rows} and {n}");
    if let Some(sum) = &sum {
        assert_eq!(sum.dims(), [d_result, d_in], "the sum is not of this weight's shape");
    }
    #[cfg(feature = "flex")]
    if is_here(d_out) && is_here(rows) && sum.as_ref().is_none_or(is_here) {
        let sum = sum.unwrap_or_else(|| from_host(vec![0.0; d_result * d_in], [d_result, d_in]));
        let (d_out, rows) = (borrow(d_out), borrow(rows));
        return changed(sum, |sum| add_transposed_product(f32s(&d_out), f32s(&rows), d_in, sum));
    }
    let rows = in_type(rows.clone(), d_out.dtype());
    let product = in_type(d_out.clone().transpose().matmul(rows), DType::F32); // [out, in]
    match sum {
        Some(sum) => sum + product,
        None => product,
    }
}

fn in_type(tensor: Tensor<2>, dtype: DType) -> Tensor<2> {
    if tensor.dtype() == dtype { tensor } else { tensor.cast(dtype) }
}

/// Whether a weight is on the CPU in a type that is read as it is.
#[cfg(feature = "flex")]
fn is_readable(weight: &Tensor<2>) -> bool {
    is_here(weight) || (weight.dtype() == DType::BF16 && on_host(weight).is_some())
}

#[cfg(feature = "flex")]
fn on_cpu(rows: &Tensor<2>, weight: &Tensor<2>, bias: Option<&Tensor<1>>) -> Tensor<2> {
    let [n, d_in] = rows.dims();
    let [d_out, weight_in] = weight.dims();
    assert_eq!(d_in, weight_in, "rows are {d_in} wide, the weight takes {weight_in}");
    let bias = bias.map(borrow);
    let bias = bias.as_ref().map(f32s);
    let (rows, weight) = (borrow(rows), borrow(weight));
    let result = match numbers::<f32>(&weight) {
        Some(weight) => product(f32s(&rows), weight, bias, d_in),
        None => product(f32s(&rows), bf16s(&weight), bias, d_in),
    };
    from_host(result, [n, d_out])
}

#[cfg(feature = "flex")]
fn product<W: Weight>(rows: &[f32], weight: &[W], bias: Option<&[f32]>, d_in: usize) -> Vec<f32> {
    if rows.len() <= FEW_ROWS * d_in {
        few_rows_times_weight(rows, weight, bias, d_in)
    } else {
        rows_times_weight(rows, weight, bias, d_in)
    }
}

#[cfg(feature = "flex")]
fn bf16s(weight: &HostTensor) -> &[bf16] {
    numbers(weight).expect("the caller knows that it is bf16")
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tolerance};

    use super::*;

    fn matrix(dims: [usize; 2], seed: u32) -> Tensor<2> {
        let number = |idx: u32| {
            f64::from(idx.wrapping_mul(2_654_435_761).wrapping_add(seed * 97) >> 8) / f64::from(1 << 24) - 0.5
        };
        let numbers: Vec<f32> = (0..(dims[0] * dims[1]) as u32).map(|idx| number(idx) as f32).collect();
        Tensor::from_data(burn::tensor::TensorData::new(numbers, dims), &Device::flex())
    }

    /// On a device that knows gradients: computed by Burn's operations.
    fn elsewhere(tensor: &Tensor<2>) -> Tensor<2> {
        Tensor::from_data(tensor.clone().into_data(), &Device::flex().autodiff())
    }

    /// At most 200 products below 0.25 in another order: rounding stays below 200 * 0.25 * 6e-8.
    fn assert_close(found: Tensor<2>, expected: Tensor<2>) {
        found.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(3e-6));
    }

    #[test]
    fn a_layer_and_its_gradients_are_those_of_burns_operations() {
        for (n, d_in, d_out) in [(1, 5, 3), (25, 64, 33), (70, 200, 100), (130, 36, 15)] {
            let (rows, weight, d_result) =
                (matrix([n, d_in], 1), matrix([d_out, d_in], 2), matrix([n, d_out], 3));
            let sum = matrix([d_out, d_in], 4);
            let bias = matrix([1, d_out], 5).squeeze_dim::<1>(0);
            let far_bias = Tensor::from_data(bias.clone().into_data(), &Device::flex().autodiff());
            let (far_rows, far_weight, far_result) =
                (elsewhere(&rows), elsewhere(&weight), elsewhere(&d_result));
            assert_close(
                linear(rows.clone(), weight.clone(), Some(bias)),
                linear(far_rows.clone(), far_weight.clone(), Some(far_bias)),
            );
            assert_close(
                linear_backward(d_result.clone(), &weight),
                linear_backward(far_result.clone(), &far_weight),
            );
            assert_close(
                add_weight_gradient(Some(sum.clone()), &d_result, &rows),
                add_weight_gradient(Some(elsewhere(&sum)), &far_result, &far_rows),
            );
            assert_close(
                add_weight_gradient(None, &d_result, &rows),
                add_weight_gradient(None, &far_result, &far_rows),
            );
        }
    }

    #[test]
    fn gradients_are_those_of_autodiff() {
        let (rows, weight, d_result) = (matrix([40, 24], 1), matrix([31, 24], 2), matrix([40, 31], 3));
        let (far_rows, far_weight) = (elsewhere(&rows).require_grad(), elsewhere(&weight).require_grad());
        let loss = (linear(far_rows.clone(), far_weight.clone(), None) * elsewhere(&d_result)).sum();
        let gradients = loss.backward();
        assert_close(linear_backward(d_result.clone(), &weight), far_rows.grad(&gradients).unwrap());
        assert_close(add_weight_gradient(None, &d_result, &rows), far_weight.grad(&gradients).unwrap());
    }

    #[test]
    fn a_narrow_weight_gives_the_bits_of_the_same_weight_in_f32() {
        for n in [3, 40, 300] {
            let (rows, d_result) = (matrix([n, 70], 1), matrix([n, 33], 2));
            let narrow = matrix([33, 70], 3).cast(DType::BF16);
            let wide = narrow.clone().cast(DType::F32);
            for (found, expected) in [
                (linear(rows.clone(), narrow.clone(), None), linear(rows, wide.clone(), None)),
                (linear_backward(d_result.clone(), &narrow), linear_backward(d_result, &wide)),
            ] {
                found.into_data().assert_eq(&expected.into_data(), true);
            }
        }
    }

    #[test]
    fn a_shared_sum_is_left_as_it_was() {
        let (sum, d_result, rows) = (matrix([5, 7], 1), matrix([9, 5], 2), matrix([9, 7], 3));
        let before = sum.to_data();
        let _added = add_weight_gradient(Some(sum.clone()), &d_result, &rows);
        sum.into_data().assert_eq(&before, true);
    }
}
