//! Losses of a language model with their gradients, formed while the logits are there.

use std::ops::Range;

use burn::tensor::{Int, Tensor, TensorData};

use super::budget::{Demand, TileBudget, Tiles, pieces};
use super::divergences::Normalizer;
use super::gradient_sums::Sums;
use super::projection::Projection;
use super::scores::{RowSums, assert_targets, merge_tile, place, row_sums};

/// A loss and its gradients.
#[derive(Debug, Clone)]
pub struct HeadGradient {
    /// −Σ weight · log π(target), in nats when the weights sum to 1.
    pub loss: f64,
    /// Gradient with respect to the hidden states, `[N, D]` in f32.
    pub hidden: Tensor<2>,
    /// Gradient with respect to the head, `[V, D]` in f32.
    pub head: Tensor<2>,
}

/// Weighted cross-entropy −Σ_n w_n log π(target_n) and its gradients, in one pass forward.
///
/// # Shapes
/// - `hidden`: `[N, D]`
/// - `head`: `[V, D]`
/// - `targets`: `[N]`, each in `0..V`
/// - `weights`: `[N]`, any sign, normalized already: `1 / N` each for a mean over rows
///
/// # Panics
/// On shapes that do not fit, a target outside the vocabulary, under autodiff.
pub fn cross_entropy_with_gradient(
    hidden: Tensor<2>,
    head: Tensor<2>,
    targets: &[u32],
    weights: &[f32],
    budget: TileBudget,
) -> HeadGradient {
    let mut backward = Backward::new(hidden, head, targets, weights.to_vec(), 1.0, budget);
    let mut loss = 0.0;
    for rows in backward.row_tiles() {
        let (sums, kept) = backward.forward(rows.clone());
        for (sums, &weight) in sums.iter().zip(&weights[rows.clone()]) {
            loss -= f64::from(weight) * f64::from(sums.target_log_prob(1.0));
        }
        let normalizers: Vec<_> = sums.iter().map(Normalizer::of).collect();
        backward.add(rows, &normalizers, kept);
    }
    let (hidden, head) = backward.gradients();
    HeadGradient { loss, hidden, head }
}

/// Gradients of Σ_n upstream_n · log π(target_n), for losses that are made of token log-probabilities.
///
/// The logits are computed again, maybe by tiles of another shape than those behind `log_sum_exps`: probabilities are off
/// by the rounding of the largest logit, about 4e-6 of their value for logits of 40.
///
/// # Shapes
/// - `hidden`: `[N, D]`
/// - `head`: `[V, D]`
/// - `targets`: `[N]`, each in `0..V`
/// - `log_sum_exps`: `[N]`, from [`crate::token_scores`] of the same tensors at the same temperature
/// - `upstream`: `[N]`, derivative of the loss with respect to each log-probability
/// - returns: gradients with respect to `hidden` `[N, D]` and `head` `[V, D]`, in f32
///
/// # Panics
/// On shapes that do not fit, a target outside the vocabulary, a temperature that is not above 0, under autodiff.
pub fn log_prob_gradient(
    hidden: Tensor<2>,
    head: Tensor<2>,
    targets: &[u32],
    log_sum_exps: &[f32],
    upstream: &[f32],
    temperature: f32,
    budget: TileBudget,
) -> (Tensor<2>, Tensor<2>) {
    assert!(temperature > 0.0 && temperature.is_finite(), "temperature must be above 0, found {temperature}");
    let coefficients = upstream.iter().map(|upstream| -upstream / temperature).collect();
    let mut backward = Backward::new(hidden, head, targets, coefficients, temperature, budget);
    assert_eq!(log_sum_exps.len(), targets.len(), "expected one log-sum-exp per row");
    for rows in backward.row_tiles() {
        let of_row = |&log_sum_exp: &f32| Normalizer::from_log_sum_exp(log_sum_exp, temperature);
        let normalizers: Vec<_> = log_sum_exps[rows.clone()].iter().map(of_row).collect();
        backward.add(rows, &normalizers, Vec::new());
    }
    backward.gradients()
}

/// Adds up gradients, one tile of rows after the other. The gradient of a logit is coefficient · (π − [is target]).
struct Backward<'a> {
    projection: Projection,
    targets: &'a [u32],
    /// `[N]`
    coefficients: Vec<f32>,
    temperature: f32,
    tiles: Tiles,
    sums: Sums,
}

impl<'a> Backward<'a> {
    fn new(
        hidden: Tensor<2>,
        head: Tensor<2>,
        targets: &'a [u32],
        coefficients: Vec<f32>,
        temperature: f32,
        budget: TileBudget,
    ) -> Self {
        let projection = Projection::new(hidden, head);
        assert_targets(&projection, targets);
        assert_eq!(coefficients.len(), targets.len(), "expected one weight per row");
        let tiles = budget.two_sweeps(Demand {
            n_rows: projection.n_rows(),
            n_words: projection.n_words(),
            per_cell: 1,
            per_word: projection.converted_per_word() + Sums::per_word(&projection),
        });
        let sums = Sums::new(&projection);
        Self { projection, targets, coefficients, temperature, tiles, sums }
    }

    fn row_tiles(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        pieces(self.projection.n_rows(), self.tiles.rows)
    }

    /// Sums over the vocabulary, and the logits where there is room to keep them.
    fn forward(&self, rows: Range<usize>) -> (Vec<RowSums>, Vec<Tensor<2>>) {
        let (mut sums, mut kept) = (Vec::new(), Vec::new());
        for words in pieces(self.projection.n_words(), self.tiles.words) {
            let logits = self.projection.logits(rows.clone(), words.clone());
            let targets = &self.targets[rows.clone()];
            merge_tile(&mut sums, row_sums(&logits, targets, words.start, self.temperature));
            if self.tiles.is_kept {
                kept.push(logits);
            }
        }
        (sums, kept)
    }

    /// Adds the gradients of some rows; what was not kept is computed again.
    fn add(&mut self, rows: Range<usize>, normalizers: &[Normalizer], kept: Vec<Tensor<2>>) {
        let hidden_rows = self.projection.hidden_rows(rows.clone()); // [rows, D]
        let mut kept = kept.into_iter();
        for words in pieces(self.projection.n_words(), self.tiles.words) {
            let logits = kept.next().unwrap_or_else(|| self.projection.logits(rows.clone(), words.clone()));
            let places: Vec<_> = self.targets[rows.clone()]
                .iter()
                .map(|&target| place(target, words.start, words.len()))
                .collect();
            let coefficients = &self.coefficients[rows.clone()];
            let gradient = logit_gradient(logits, &places, normalizers, coefficients, self.temperature);
            let head_rows = self.projection.head_rows(words.clone()); // [words, D]
            self.sums.add(gradient, (rows.clone(), hidden_rows.clone()), (words, head_rows));
        }
    }

    /// Gradients of hidden states and head.
    fn gradients(self) -> (Tensor<2>, Tensor<2>) {
        self.sums.gradients()
    }
}

/// coefficient · (softmax − one-hot) of a tile `[rows, words]`, in its place; `places` say where the targets are.
fn logit_gradient(
    logits: Tensor<2>,
    places: &[Option<usize>],
    normalizers: &[Normalizer],
    coefficients: &[f32],
    temperature: f32,
) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if super::sweep::is_here(&logits) {
        return super::sweep::logit_gradient(logits, places, normalizers, coefficients, temperature);
    }
    logit_gradient_by_burn(logits, places, normalizers, coefficients, temperature)
}

/// [`logit_gradient`] by operations that every backend has.
fn logit_gradient_by_burn(
    logits: Tensor<2>,
    places: &[Option<usize>],
    normalizers: &[Normalizer],
    coefficients: &[f32],
    temperature: f32,
) -> Tensor<2> {
    let (n_rows, device) = (places.len(), logits.device());
    let column = |numbers: Vec<f32>| Tensor::<2>::from_data(TensorData::new(numbers, [n_rows, 1]), &device);
    let max = column(normalizers.iter().map(|normalizer| normalizer.max).collect());
    let log_sum = column(normalizers.iter().map(|normalizer| normalizer.log_sum).collect());
    let softmax = ((logits - max) * (1.0 / temperature) - log_sum).exp(); // [rows, words]
    let gradient = softmax * column(coefficients.to_vec());
    let here = places.iter().zip(coefficients).map(|(place, coefficient)| match place {
        Some(_) => -coefficient,
        None => 0.0,
    });
    let indices: Vec<i32> = places.iter().map(|place| place.unwrap_or(0) as i32).collect();
    let indices = Tensor::<2, Int>::from_data(TensorData::new(indices, [n_rows, 1]), &device);
    gradient.scatter(1, indices, column(here.collect()), burn::tensor::IndexingUpdateOp::Add)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::test_inputs::{assert_close, budgets, matrix, noise, widened};
    use super::*;
    use crate::{label_log_probs, log_probs, token_scores};

    const AMPLE: TileBudget = TileBudget { bytes: 1 << 20 };
    const TARGETS: [u32; 5] = [0, 66, 13, 14, 30];
    const WEIGHTS: [f32; 5] = [0.2, 0.3, 0.0, 0.4, -0.1];

    fn model() -> (Tensor<2>, Tensor<2>) {
        (matrix(noise(5 * 8, 1), 5) * 3.0, matrix(noise(67 * 8, 2), 67))
    }

    fn host(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    /// Loss and gradients of −Σ w log π(target) by Burn's autodiff, over the whole logits.
    fn by_autodiff(temperature: f32) -> (f32, Vec<f32>, Vec<f32>) {
        let device = Device::flex().autodiff();
        let (hidden, head) = model();
        let hidden = Tensor::<2>::from_data(hidden.into_data(), &device).require_grad();
        let head = Tensor::<2>::from_data(head.into_data(), &device).require_grad();
        let logits = hidden.clone().matmul(head.clone().transpose()) * (1.0 / temperature);
        let targets = Tensor::<1, Int>::from_data(TARGETS.map(|target| target as i32), &device);
        let weights = Tensor::<1>::from_floats(WEIGHTS, &device);
        let loss = (label_log_probs(log_probs(logits), targets) * weights).sum().neg();
        let gradients = loss.clone().backward();
        let of = |leaf: Tensor<2>| host(leaf.grad(&gradients).unwrap());
        (loss.into_scalar::<f32>(), of(hidden), of(head))
    }

    #[test]
    fn the_budget_changes_no_gradient_of_a_cross_entropy_and_autodiff_agrees() {
        let (loss, of_hidden, of_head) = by_autodiff(1.0);
        for budget in budgets() {
            let (hidden, head) = model();
            let found = cross_entropy_with_gradient(hidden, head, &TARGETS, &WEIGHTS, budget);
            assert!((found.loss - f64::from(loss)).abs() < 2e-6, "{budget:?}: {} {loss}", found.loss);
            assert_close(&host(found.hidden), &widened(&of_hidden), 2e-6);
            assert_close(&host(found.head), &widened(&of_head), 2e-6);
        }
    }

    #[test]
    fn the_budget_changes_no_gradient_of_log_probs_and_autodiff_agrees() {
        let (_, of_hidden, of_head) = by_autodiff(0.7);
        let upstream = WEIGHTS.map(|weight| -weight);
        for budget in budgets() {
            let (hidden, head) = model();
            let scores = token_scores(hidden.clone(), head.clone(), &TARGETS, 0.7, budget);
            let sums = &scores.log_sum_exps;
            let (hidden, head) = log_prob_gradient(hidden, head, &TARGETS, sums, &upstream, 0.7, budget);
            assert_close(&host(hidden), &widened(&of_hidden), 3e-6);
            assert_close(&host(head), &widened(&of_head), 3e-6);
        }
    }

    #[test]
    fn operations_of_any_backend_give_the_same_gradient() {
        let logits = matrix(noise(5 * 40, 3), 5) * 9.0;
        let places = [None, Some(0), Some(39), None, Some(7)];
        let normalizers: Vec<_> = row_sums(&logits, &[], 0, 0.5).iter().map(Normalizer::of).collect();
        let found = logit_gradient(logits.clone(), &places, &normalizers, &WEIGHTS, 0.5);
        let plain = logit_gradient_by_burn(logits, &places, &normalizers, &WEIGHTS, 0.5);
        assert_close(&host(found), &widened(&host(plain)), 1e-7);
    }

    #[test]
    fn a_tile_that_others_hold_is_left_as_it_is() {
        let logits = matrix(noise(2 * 9, 3), 2);
        let before = host(logits.clone());
        let normalizers: Vec<_> = row_sums(&logits, &[], 0, 1.0).iter().map(Normalizer::of).collect();
        logit_gradient(logits.clone(), &[None; 2], &normalizers, &[1.0; 2], 1.0);
        assert_eq!(host(logits), before);
    }

    #[test]
    fn a_row_without_weight_has_exactly_no_gradient() {
        let (hidden, head) = model();
        let found = cross_entropy_with_gradient(hidden, head, &TARGETS, &WEIGHTS, AMPLE);
        assert!(host(found.hidden)[2 * 8..3 * 8].iter().all(|&number| number == 0.0));
    }

    #[test]
    fn no_rows_have_a_loss_of_zero_and_no_gradient() {
        let hidden = Tensor::zeros([0, 8], &Device::flex());
        let found = cross_entropy_with_gradient(hidden, model().1, &[], &[], AMPLE);
        assert_eq!((found.loss, found.hidden.dims()), (0.0, [0, 8]));
        assert!(host(found.head).iter().all(|&number| number == 0.0));
    }

    #[test]
    fn a_bad_hidden_state_reaches_loss_and_gradients() {
        let found = cross_entropy_with_gradient(
            matrix(vec![1.0, f32::NAN], 2),
            matrix(vec![0.5, -1.0], 2),
            &[0, 0],
            &[0.5, 0.5],
            AMPLE,
        );
        assert!(found.loss.is_nan());
        assert_eq!(host(found.hidden).iter().map(|x| x.is_nan()).collect::<Vec<_>>(), [false, true]);
    }
}
