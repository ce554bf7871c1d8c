//! The two tasks: which inputs the policy sees and which labels are right.
//!
//! New task, ParityMNIST: any digit of the parity of the shown digit is right. Prior task, FashionMNIST: the class.
//! Both share one 10-way head; an extra input tells the task. Paper: arXiv 2509.04259, appendix B.3.

use burn::tensor::{Device, Tensor, TensorData};
use razor_data::ImageSet;

/// Labels of the shared head.
pub(crate) const N_LABELS: usize = 10;
/// Pixels of an image and the task bit.
pub(crate) const N_INPUTS: usize = 785;
/// Widths of the network of the paper.
pub(crate) const WIDTHS: [usize; 4] = [N_INPUTS, 512, 256, N_LABELS];

/// Full rank of each weight matrix: its smaller side.
pub(crate) const FULL_RANKS: [usize; 3] = [512, 256, 10];

/// Which of the two tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// ParityMNIST, the new task.
    Parity,
    /// FashionMNIST, the prior task.
    Fashion,
}

impl Task {
    /// The extra input. It names the task, not the answer.
    fn bit(self) -> f32 {
        match self {
            Self::Parity => 1.0,
            Self::Fashion => -1.0,
        }
    }

    /// Mean and standard deviation of the pixels of the real training images, in units of full ink: the customary
    /// constants (the paper states no scaling).
    fn pixel_moments(self) -> (f32, f32) {
        match self {
            Self::Parity => (0.1307, 0.3081),
            Self::Fashion => (0.2860, 0.3530),
        }
    }

    /// Whether `label` is a right answer to an image whose class is `class`.
    pub(crate) fn is_right(self, class: u8, label: usize) -> bool {
        match self {
            Self::Parity => usize::from(class % 2) == label % 2,
            Self::Fashion => usize::from(class) == label,
        }
    }
}

/// Images of one task, ready to become rows of inputs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaskImages<'a> {
    /// Which task they belong to.
    pub task: Task,
    /// The images and their classes.
    pub images: &'a ImageSet,
}

impl TaskImages<'_> {
    /// Input rows of the images `idxs`.
    ///
    /// # Shapes
    /// - returns: `[B, 785]` row by row: 784 standardized pixels, then the task bit
    pub(crate) fn rows(&self, idxs: &[usize]) -> Vec<f32> {
        let (mean, deviation) = self.task.pixel_moments();
        let (scale, shift) = (1.0 / (255.0 * deviation), -mean / deviation);
        let mut rows = vec![self.task.bit(); idxs.len() * N_INPUTS];
        for (row, &idx) in rows.chunks_exact_mut(N_INPUTS).zip(idxs) {
            for (value, &pixel) in row.iter_mut().zip(self.images.image(idx)) {
                *value = f32::from(pixel) * scale + shift;
            }
        }
        rows
    }

    /// [`Self::rows`] on a device.
    pub(crate) fn inputs(&self, idxs: &[usize], device: &Device) -> Tensor<2> {
        inputs_from_rows(self.rows(idxs), device)
    }

    /// Classes of the images `idxs`.
    pub(crate) fn classes(&self, idxs: &[usize]) -> Vec<u8> {
        idxs.iter().map(|&idx| self.images.label(idx)).collect()
    }
}

/// Host rows as an input tensor `[B, 785]`.
pub(crate) fn inputs_from_rows(rows: Vec<f32>, device: &Device) -> Tensor<2> {
    let n_rows = rows.len() / N_INPUTS;
    Tensor::from_data(TensorData::new(rows, [n_rows, N_INPUTS]), device)
}

/// Values of a tensor in row-major order.
pub(crate) fn to_host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("the study computes in f32")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_standardized_pixels_and_the_task_bit() {
        let images = ImageSet::new([vec![0; 784], vec![255; 784]].concat(), vec![3, 4]);
        let fashion = TaskImages { task: Task::Fashion, images: &images };
        let rows = fashion.rows(&[1, 0]);
        assert_eq!(rows.len(), 2 * N_INPUTS);
        assert!((rows[0] - (1.0 - 0.2860) / 0.3530).abs() < 1e-6);
        assert!((rows[N_INPUTS] + 0.2860 / 0.3530).abs() < 1e-6);
        assert_eq!((rows[784], rows[1569]), (-1.0, -1.0));
        assert_eq!(fashion.classes(&[1, 0]), [4, 3]);
    }

    #[test]
    fn full_ranks_are_the_smaller_sides() {
        let smaller = WIDTHS.windows(2).map(|pair| pair[0].min(pair[1]));
        assert!(smaller.eq(FULL_RANKS));
    }

    #[test]
    fn five_digits_answer_a_parity_question_and_one_class_a_fashion_question() {
        let right =
            |task: Task, class| (0..N_LABELS).filter(|&y| task.is_right(class, y)).collect::<Vec<_>>();
        assert_eq!(right(Task::Parity, 7), [1, 3, 5, 7, 9]);
        assert_eq!(right(Task::Parity, 0), [0, 2, 4, 6, 8]);
        assert_eq!(right(Task::Fashion, 7), [7]);
    }
}
