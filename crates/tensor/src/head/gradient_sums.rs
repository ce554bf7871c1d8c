//! Gradients of hidden states and head, added up tile by tile.

use std::ops::Range;

use burn::tensor::Tensor;

use super::projection::Projection;

/// What the tiles so far add up to.
#[cfg_attr(feature = "flex", expect(clippy::large_enum_variant, reason = "there is one at a time"))]
pub(super) enum Sums {
    /// In memory that products are added to in place: `[N, D]` and `[V, D]`.
    #[cfg(feature = "flex")]
    Host { width: usize, hidden: Vec<f32>, head: Vec<f32> },
    /// By Burn's operations, on any device.
    Device { hidden: Tensor<2>, head: Tensor<2> },
}

impl Sums {
    /// Nothing yet.
    pub(super) fn new(projection: &Projection) -> Self {
        let (n_rows, n_words, width) = (projection.n_rows(), projection.n_words(), projection.width());
        #[cfg(feature = "flex")]
        if crate::host::on_host(&projection.hidden_rows(0..n_rows)).is_some() {
            return Self::Host { width, hidden: vec![0.0; n_rows * width], head: vec![0.0; n_words * width] };
        }
        let empty = |n| Tensor::zeros([n, width], &projection.device());
        Self::Device { hidden: empty(n_rows), head: empty(n_words) }
    }

    /// f32 numbers per word of a tile that exist while it is added.
    pub(super) fn per_word(projection: &Projection) -> usize {
        2 * projection.width() // on a device: a product and the sum with it
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
                let of_hidden = &mut of_hidden[hidden.0.start * *width..hidden.0.end * *width];
                let of_head = &mut of_head[head.0.start * *width..head.0.end * *width];
                add_on_host([&gradient, &hidden.1, &head.1], *width, of_hidden, of_head);
            }
            Self::Device { hidden: of_hidden, head: of_head } => {
                let to_head = gradient.clone().transpose().matmul(hidden.1);
                add_to_rows(of_hidden, hidden.0, gradient.matmul(head.1));
                add_to_rows(of_head, head.0, to_head);
            }
        }
    }

    /// Gradients of hidden states `[N, D]` and head `[V, D]`.
    pub(super) fn gradients(self) -> (Tensor<2>, Tensor<2>) {
        match self {
            #[cfg(feature = "flex")]
            Self::Host { width, hidden, head } => {
                let tensor = |sums: Vec<f32>| {
                    let n = sums.len() / width;
                    crate::host::from_host(sums, [n, width])
                };
                (tensor(hidden), tensor(head))
            }
            Self::Device { hidden, head } => (hidden, head),
        }
    }
}

#[cfg(feature = "flex")]
fn add_on_host(tensors: [&Tensor<2>; 3], width: usize, of_hidden: &mut [f32], of_head: &mut [f32]) {
    use crate::host::{numbers, on_host};
    use crate::kernel::{add_product, add_transposed_product};

    let tensors = tensors.map(|tensor| on_host(tensor).expect("the projection is on the CPU"));
    let [gradient, hidden, head] =
        tensors.each_ref().map(|tensor| numbers::<f32>(tensor).expect("tiles are f32"));
    add_product(gradient, head, width, of_hidden);
    add_transposed_product(gradient, hidden, width, of_head);
}

fn add_to_rows(sums: &mut Tensor<2>, rows: Range<usize>, product: Tensor<2>) {
    let place = [rows, 0..product.dims()[1]];
    // Computed before the sums are taken, so that they have one owner and are written in place.
    let sum = product + sums.clone().slice(place.clone());
    let owned = std::mem::replace(sums, Tensor::empty([0, 0], &sum.device()));
    *sums = owned.slice_assign(place, sum);
}
