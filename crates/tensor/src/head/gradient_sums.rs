//! Gradients of hidden states and head, added up tile by tile.

use std::ops::Range;

use burn::tensor::{DType, Tensor};

use super::projection::Projection;
use super::token_loss::HeadWeights;

/// What the tiles so far add up to. `head` is `[V, D]`, and missing when the head is frozen.
#[cfg_attr(feature = "flex", expect(clippy::large_enum_variant, reason = "there is one at a time"))]
pub(super) enum Sums {
    /// In memory that products are added to in place; `hidden` is `[N, D]`.
    #[cfg(feature = "flex")]
    Host { width: usize, hidden: Vec<f32>, head: Option<Tensor<2>> },
    /// By Burn's operations, on any device.
    Device { hidden: Tensor<2>, head: Option<Tensor<2>> },
}

impl Sums {
    /// Nothing yet, but for a sum to go on from.
    ///
    /// # Panics
    /// When that sum is not `[V, D]`, not f32, or under autodiff.
    pub(super) fn new(projection: &Projection, head_weights: HeadWeights) -> Self {
        let (n_rows, n_words, width) = (projection.n_rows(), projection.n_words(), projection.width());
        #[cfg(feature = "flex")]
        if crate::host::on_host(&projection.hidden_rows(0..n_rows)).is_some() {
            let empty = |n: usize| crate::host::from_host(vec![0.0; n * width], [n, width]);
            let head = head_sum(head_weights, [n_words, width], || empty(n_words));
            return Self::Host { width, hidden: vec![0.0; n_rows * width], head };
        }
        let empty = |n| Tensor::zeros([n, width], &projection.device());
        let head = head_sum(head_weights, [n_words, width], || empty(n_words));
        Self::Device { hidden: empty(n_rows), head }
    }

    /// f32 numbers per word of a tile that exist while it is added.
    pub(super) fn per_word(&self) -> usize {
        match self {
            #[cfg(feature = "flex")]
            Self::Host { .. } => 0,
            // A product and the sum with it.
            Self::Device { hidden, head } => head.as_ref().map_or(0, |_| 2 * hidden.dims()[1]),
        }
    }

    /// Adds a tile.
    ///
    /// # Shapes
    /// - `gradient`: of the logits, `[rows, words]`
    /// - `hidden`: where in N, and its rows `[rows, D]`
    /// - `head`: where in V, and its rows `[words, D]`
    pub(super) fn add(
        &mut self,
        gradient: Tensor<2>,
        hidden: (Range<usize>, Tensor<2>),
        head: (Range<usize>, Tensor<2>),
    ) {
        match self {
            #[cfg(feature = "flex")]
            Self::Host { width, hidden: of_hidden, head: of_head } => {
                let width = *width;
                let of_hidden = &mut of_hidden[hidden.0.start * width..hidden.0.end * width];
                let [gradient, hidden, head_rows] =
                    [gradient, hidden.1, head.1].map(|x| crate::host::borrow(&x));
                let [gradient, hidden, head_rows] = [&gradient, &hidden, &head_rows].map(crate::host::f32s);
                crate::kernel::add_product(gradient, head_rows, width, of_hidden);
                *of_head = of_head.take().map(|sum| {
                    crate::host::changed(sum, |sum| {
                        let of_head = &mut sum[head.0.start * width..head.0.end * width];
                        crate::kernel::add_transposed_product(gradient, hidden, width, of_head);
                    })
                });
            }
            Self::Device { hidden: of_hidden, head: of_head } => {
                if let Some(of_head) = of_head {
                    add_to_rows(of_head, head.0, gradient.clone().transpose().matmul(hidden.1));
                }
                add_to_rows(of_hidden, hidden.0, gradient.matmul(head.1));
            }
        }
    }

    /// Gradients of hidden states `[N, D]` and head `[V, D]`.
    pub(super) fn gradients(self) -> (Tensor<2>, Option<Tensor<2>>) {
        match self {
            #[cfg(feature = "flex")]
            Self::Host { width, hidden, head } => {
                let n_rows = hidden.len() / width;
                (crate::host::from_host(hidden, [n_rows, width]), head)
            }
            Self::Device { hidden, head } => (hidden, head),
        }
    }
}

fn head_sum(
    head_weights: HeadWeights,
    dims: [usize; 2],
    empty: impl FnOnce() -> Tensor<2>,
) -> Option<Tensor<2>> {
    match head_weights {
        HeadWeights::Frozen => None,
        HeadWeights::Trained(None) => Some(empty()),
        HeadWeights::Trained(Some(sum)) => {
            assert_eq!(sum.dims(), dims, "the gradient of the head has another shape than the head");
            assert_eq!(sum.dtype(), DType::F32, "the gradient of the head is summed in f32");
            assert!(!sum.device().is_autodiff(), "the gradient of the head must not be under autodiff");
            Some(sum)
        }
    }
}

fn add_to_rows(sums: &mut Tensor<2>, rows: Range<usize>, product: Tensor<2>) {
    let place = [rows, 0..product.dims()[1]];
    // Computed before the sums are taken, so that they have one owner and are written in place.
    let sum = product + sums.clone().slice(place.clone());
    let owned = std::mem::replace(sums, Tensor::empty([0, 0], &sum.device()));
    *sums = owned.slice_assign(place, sum);
}

#[cfg(test)]
mod tests {
    use super::super::test_inputs::{assert_close, matrix, noise, widened};
    use super::*;

    fn host(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    #[test]
    fn operations_of_any_backend_add_up_to_the_same_sums() {
        let (hidden, head) = (matrix(noise(4 * 6, 1), 4), matrix(noise(9 * 6, 2), 9));
        let before = || matrix(noise(9 * 6, 3), 9);
        let projection = Projection::new(hidden, head);
        let here = Sums::new(&projection, HeadWeights::Trained(Some(before())));
        let anywhere =
            Sums::Device { hidden: Tensor::zeros([4, 6], &projection.device()), head: Some(before()) };
        let [(hidden, head), (plain_hidden, plain_head)] = [here, anywhere].map(|mut sums| {
            for (rows, words) in [(0..3, 0..5), (0..3, 5..9), (3..4, 0..9)] {
                let gradient = matrix(noise(rows.len() * words.len(), 4), rows.len());
                let hidden = (rows.clone(), projection.hidden_rows(rows));
                sums.add(gradient, hidden, (words.clone(), projection.head_rows(words)));
            }
            sums.gradients()
        });
        // Sums of up to nine products below 1.
        assert_close(&host(hidden), &widened(&host(plain_hidden)), 1e-6);
        assert_close(&host(head.unwrap()), &widened(&host(plain_head.unwrap())), 1e-6);
    }
}
