//! Tiles of the logits that hidden states have under a head.

use std::ops::Range;

use burn::tensor::{DType, Device, Tensor};

use crate::layer::linear;

/// Hidden states and the head that makes logits of them.
#[derive(Clone)]
pub(super) struct Projection {
    hidden: Tensor<2>,
    head: Tensor<2>,
}

impl Projection {
    /// # Shapes
    /// - `hidden`: `[N, D]`
    /// - `head`: `[V, D]`
    ///
    /// # Panics
    /// When the widths differ, a tensor is empty in its width or words, or is under autodiff.
    pub(super) fn new(hidden: Tensor<2>, head: Tensor<2>) -> Self {
        let ([_, width], [n_words, head_width]) = (hidden.dims(), head.dims());
        assert_eq!(
            width,
            head_width,
            "hidden states {:?} do not fit the head {:?}",
            hidden.dims(),
            head.dims()
        );
        assert!(width > 0 && n_words > 0, "the head {:?} is empty", head.dims());
        let is_tracked = hidden.device().is_autodiff() || head.device().is_autodiff();
        assert!(!is_tracked, "hidden states and head must not be under autodiff: pass their inner tensors");
        Self { hidden, head }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.hidden.dims()[0]
    }

    pub(super) fn n_words(&self) -> usize {
        self.head.dims()[0]
    }

    pub(super) fn width(&self) -> usize {
        self.hidden.dims()[1]
    }

    pub(super) fn device(&self) -> Device {
        self.hidden.device()
    }

    /// The same head under some of the rows.
    pub(super) fn rows(&self, rows: Range<usize>) -> Self {
        Self { hidden: self.hidden_rows(rows), head: self.head.clone() }
    }

    /// f32 numbers per word that exist beside a tile of logits.
    pub(super) fn converted_per_word(&self) -> usize {
        if self.head.dtype() == DType::F32 { 0 } else { self.width() }
    }

    /// Some rows of the hidden states, `[rows, D]` in f32.
    pub(super) fn hidden_rows(&self, rows: Range<usize>) -> Tensor<2> {
        as_f32(self.hidden.clone().slice([rows, 0..self.width()]))
    }

    /// Some rows of the head, `[words, D]` in f32.
    pub(super) fn head_rows(&self, words: Range<usize>) -> Tensor<2> {
        as_f32(self.head.clone().slice([words, 0..self.width()]))
    }

    /// Logits `[rows, words]` in f32.
    pub(super) fn logits(&self, rows: Range<usize>, words: Range<usize>) -> Tensor<2> {
        linear(self.hidden_rows(rows), self.head.clone().slice([words, 0..self.width()]), None)
    }

    /// Logits `[N, words]` in f32.
    pub(super) fn all_logits(&self, words: Range<usize>) -> Tensor<2> {
        self.logits(0..self.n_rows(), words)
    }
}

fn as_f32(tensor: Tensor<2>) -> Tensor<2> {
    if tensor.dtype() == DType::F32 { tensor } else { tensor.cast(DType::F32) }
}

#[cfg(test)]
mod tests {
    use super::super::test_inputs::{matrix, noise};
    use super::*;

    #[test]
    fn a_narrow_head_is_widened_before_the_product() {
        let hidden = matrix(noise(2 * 16, 1), 2);
        let head = matrix(noise(5 * 16, 2), 5).cast(DType::BF16);
        let widened = Projection::new(hidden.clone(), head.clone().cast(DType::F32));
        let narrow = Projection::new(hidden, head);
        assert_eq!((narrow.converted_per_word(), widened.converted_per_word()), (16, 0));
        narrow.logits(0..2, 1..4).into_data().assert_eq(&widened.logits(0..2, 1..4).into_data(), true);
    }

    #[test]
    #[should_panic(expected = "do not fit the head [4, 3]")]
    fn widths_that_differ_are_refused() {
        Projection::new(matrix(noise(4, 1), 2), matrix(noise(12, 1), 4));
    }
}
