//! Log-probabilities of tokens, and how sure the policy was of them.

use burn::tensor::{DType, Int, Tensor, TensorData};

use super::budget::{Demand, TileBudget, Tiles, pieces};
use super::projection::Projection;

/// What a policy thinks of one token per row, everything in nats.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenScores {
    /// log π(target), `[N]`.
    pub log_probs: Vec<f32>,
    /// −Σ π log π over the whole vocabulary, `[N]`, in `[0, ln V]` up to rounding.
    pub entropies: Vec<f32>,
    /// Whether no word is likelier than the target, `[N]`; of equally likely words the first counts.
    pub is_greedy: Vec<bool>,
    /// log Σ exp(logit / temperature), `[N]`.
    pub log_sum_exps: Vec<f32>,
}

/// Scores one token per row, with the logits divided by `temperature`.
///
/// Sums over the vocabulary are f32 in blocks of 256 words and f64 beyond (CPU), so that they add less than 2e-7 nats;
/// what remains is the rounding of the logits themselves. On other devices a tile is summed in f32 by Burn's operations.
///
/// # Shapes
/// - `hidden`: `[N, D]`
/// - `head`: `[V, D]`
/// - `targets`: `[N]`, each in `0..V`
///
/// # Panics
/// On shapes that do not fit, a target outside the vocabulary, a temperature that is not above 0, under autodiff.
pub fn token_scores(
    hidden: Tensor<2>,
    head: Tensor<2>,
    targets: &[u32],
    temperature: f32,
    budget: TileBudget,
) -> TokenScores {
    let projection = Projection::new(hidden, head);
    assert_targets(&projection, targets);
    assert!(temperature > 0.0 && temperature.is_finite(), "temperature must be above 0, found {temperature}");
    let tiles = budget.one_sweep(Demand {
        n_rows: projection.n_rows(),
        n_words: projection.n_words(),
        per_cell: 1,
        per_word: projection.converted_per_word(),
    });
    TokenScores::of(&all_row_sums(&projection, targets, temperature, tiles), targets, temperature)
}

impl TokenScores {
    /// From the sums of every row over the whole vocabulary.
    pub(super) fn of(rows: &[RowSums], targets: &[u32], temperature: f32) -> Self {
        Self {
            log_probs: rows.iter().map(|row| row.target_log_prob(temperature)).collect(),
            entropies: rows.iter().map(RowSums::entropy).collect(),
            is_greedy: rows.iter().zip(targets).map(|(row, &target)| row.is_best(target)).collect(),
            log_sum_exps: rows.iter().map(|row| row.log_sum_exp(temperature) as f32).collect(),
        }
    }
}

pub(super) fn assert_targets(projection: &Projection, targets: &[u32]) {
    let (n_rows, n_words) = (projection.n_rows(), projection.n_words());
    assert_eq!(targets.len(), n_rows, "expected one target for each of {n_rows} rows");
    let outside = targets.iter().find(|&&target| target as usize >= n_words);
    assert!(outside.is_none(), "target {outside:?} is outside a vocabulary of {n_words}");
}

/// Sums of every row over the whole vocabulary; `targets` may be empty.
pub(super) fn all_row_sums(
    projection: &Projection,
    targets: &[u32],
    temperature: f32,
    tiles: Tiles,
) -> Vec<RowSums> {
    let mut all = Vec::with_capacity(projection.n_rows());
    for rows in pieces(projection.n_rows(), tiles.rows) {
        let targets = targets.get(rows.clone()).unwrap_or_default();
        let mut sums = Vec::new();
        for words in pieces(projection.n_words(), tiles.words) {
            let logits = projection.logits(rows.clone(), words.clone());
            merge_tile(&mut sums, row_sums(&logits, targets, words.start, temperature));
        }
        all.extend(sums);
    }
    all
}

/// Adds the sums of further words to those of the words before; `sums` is empty before the first tile.
pub(super) fn merge_tile(sums: &mut Vec<RowSums>, tile: Vec<RowSums>) {
    if sums.is_empty() {
        *sums = tile;
    } else {
        sums.iter_mut().zip(tile).for_each(|(sums, tile)| sums.merge(&tile));
    }
}

/// Sums over some words of one row. With m the largest logit and u = (logit − m) / temperature:
#[derive(Debug, Clone, Copy)]
pub(super) struct RowSums {
    /// m
    pub(super) max: f32,
    /// The first word that has it.
    pub(super) best: usize,
    /// Σ exp(u)
    pub(super) sum: f64,
    /// Σ u exp(u)
    pub(super) weighted: f64,
    /// The target's logit, if it is among these words.
    pub(super) target: Option<f32>,
    /// 1 / temperature
    pub(super) inverse_temperature: f32,
}

impl RowSums {
    fn merge(&mut self, later: &Self) {
        if later.max > self.max {
            self.best = later.best;
        }
        let max = if later.max > self.max { later.max } else { self.max };
        let ([sum, weighted], [later_sum, later_weighted]) = (self.about(max), later.about(max));
        self.max = max;
        self.sum = sum + later_sum;
        self.weighted = weighted + later_weighted;
        self.target = self.target.or(later.target);
    }

    /// Both sums with another number in place of the largest logit.
    fn about(&self, max: f32) -> [f64; 2] {
        let shift = (f64::from(self.max) - f64::from(max)) * f64::from(self.inverse_temperature);
        let scale = shift.exp();
        [self.sum * scale, (self.weighted + shift * self.sum) * scale]
    }

    pub(super) fn log_sum_exp(&self, temperature: f32) -> f64 {
        f64::from(self.max) / f64::from(temperature) + self.sum.ln()
    }

    /// log π(target); NaN without a target.
    pub(super) fn target_log_prob(&self, temperature: f32) -> f32 {
        let logit = f64::from(self.target.unwrap_or(f32::NAN));
        ((logit - f64::from(self.max)) / f64::from(temperature) - self.sum.ln()) as f32
    }

    pub(super) fn entropy(&self) -> f32 {
        (self.sum.ln() - self.weighted / self.sum) as f32
    }

    fn is_best(&self, target: u32) -> bool {
        self.best == target as usize && !self.sum.is_nan()
    }
}

/// Sums over the words of a tile `[rows, words]`, whose first word is `first_word`.
pub(super) fn row_sums(
    logits: &Tensor<2>,
    targets: &[u32],
    first_word: usize,
    temperature: f32,
) -> Vec<RowSums> {
    #[cfg(feature = "flex")]
    if let Some(sums) = super::sweep::row_sums(logits, targets, first_word, temperature) {
        return sums;
    }
    row_sums_by_burn(logits, targets, first_word, temperature)
}

/// The place of a word in a tile.
pub(super) fn place(word: u32, first_word: usize, n_words: usize) -> Option<usize> {
    (word as usize).checked_sub(first_word).filter(|&place| place < n_words)
}

/// [`row_sums`] by operations that every backend has.
fn row_sums_by_burn(
    logits: &Tensor<2>,
    targets: &[u32],
    first_word: usize,
    temperature: f32,
) -> Vec<RowSums> {
    let ([n_rows, n_words], device) = (logits.dims(), logits.device());
    let inverse_temperature = 1.0 / temperature;
    let places: Vec<Option<usize>> =
        (0..n_rows).map(|row| place(*targets.get(row)?, first_word, n_words)).collect();
    let indices: Vec<i32> = places.iter().map(|place| place.unwrap_or(0) as i32).collect();
    let indices = Tensor::<2, Int>::from_data(TensorData::new(indices, [n_rows, 1]), &device);
    let taken = logits.clone().gather(1, indices); // [rows, 1]
    let max = logits.clone().max_dim(1); // [rows, 1]
    let best = numbers_of(logits.clone().argmax(1).float()); // exact: a tile has far fewer than 2²⁴ words
    let shifted = (logits.clone() - max.clone()) * inverse_temperature; // [rows, words]
    let powers = shifted.clone().exp(); // [rows, words]
    let sum = powers.clone().sum_dim(1); // [rows, 1]
    let weighted = (powers * shifted).sum_dim(1); // [rows, 1]
    let columns = numbers_of(Tensor::cat(vec![max, sum, weighted, taken], 1)); // [rows, 4]
    let rows = columns.chunks_exact(4).zip(best).zip(places);
    rows.map(|((column, best), place)| RowSums {
        max: column[0],
        best: first_word + best as usize,
        sum: f64::from(column[1]),
        weighted: f64::from(column[2]),
        target: place.map(|_| column[3]),
        inverse_temperature,
    })
    .collect()
}

pub(super) fn numbers_of(tensor: Tensor<2>) -> Vec<f32> {
    tensor.cast(DType::F32).into_data().try_into_vec().expect("the tensor was made f32")
}

#[cfg(test)]
mod tests {
    use super::super::test_inputs::{assert_close, budgets, exact, matrix, noise, widened};
    use super::*;

    const AMPLE: TileBudget = TileBudget { bytes: 1 << 20 };

    /// log-sum-exp and entropy in f64.
    fn truth(logits: &[f32], temperature: f32) -> (f64, f64) {
        let logits: Vec<f64> = logits.iter().map(|&x| f64::from(x) / f64::from(temperature)).collect();
        let max = logits.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = logits.iter().map(|x| (x - max).exp()).sum();
        let mean: f64 = logits.iter().map(|x| (x - max).exp() * (x - max)).sum::<f64>() / sum;
        (max + sum.ln(), sum.ln() - mean)
    }

    #[test]
    fn scores_over_a_whole_vocabulary_keep_their_digits() {
        for (scale, temperature) in [(0.1, 1.0), (12.0, 1.0), (12.0, 0.5), (60.0, 1.0)] {
            let logits: Vec<f32> = noise(151_936, 7).into_iter().map(|x| x * scale).collect();
            let (log_sum_exp, entropy) = truth(&logits, temperature);
            let (hidden, head) = exact(&logits);
            let found = token_scores(hidden, head, &[4321], temperature, AMPLE);
            let log_prob = f64::from(logits[4321]) / f64::from(temperature) - log_sum_exp;
            // The result itself is an f32: 120 nats are rounded to 4e-6.
            assert_close(&found.log_probs, &[log_prob], 2e-7 + 6e-8 * log_prob.abs());
            assert_close(&found.log_sum_exps, &[log_sum_exp], 2e-7 + 6e-8 * log_sum_exp.abs());
            assert_close(&found.entropies, &[entropy], 1e-6);
        }
    }

    #[test]
    fn the_budget_changes_no_score() {
        let hidden = || matrix(noise(5 * 8, 1), 5) * 3.0;
        let head = || matrix(noise(67 * 8, 2), 67);
        let score = |budget| token_scores(hidden(), head(), &[0, 66, 13, 14, 30], 0.7, budget);
        let whole = score(AMPLE);
        for budget in budgets() {
            let found = score(budget);
            assert_close(&found.log_probs, &widened(&whole.log_probs), 3e-6);
            assert_close(&found.entropies, &widened(&whole.entropies), 3e-6);
            assert_close(&found.log_sum_exps, &widened(&whole.log_sum_exps), 3e-6);
            assert_eq!(found.is_greedy, whole.is_greedy);
        }
    }

    #[test]
    fn operations_of_any_backend_give_the_same_sums() {
        let logits = matrix(noise(3 * 40_000, 3), 3) * 9.0;
        let targets = [5, 105, 50_000]; // before, in and behind this tile
        let found = row_sums(&logits, &targets, 100, 0.5);
        let plain = row_sums_by_burn(&logits, &targets, 100, 0.5);
        for (found, plain) in found.iter().zip(&plain) {
            assert_eq!((found.max, found.best, found.target), (plain.max, plain.best, plain.target));
            assert!((found.sum / plain.sum - 1.0).abs() < 2e-6, "{found:?} {plain:?}");
            assert!((found.weighted / plain.weighted - 1.0).abs() < 2e-6, "{found:?} {plain:?}");
        }
        assert_eq!(found.iter().map(|row| row.target.is_some()).collect::<Vec<_>>(), [false, true, false]);
    }

    #[test]
    fn of_equally_likely_words_the_first_is_greedy() {
        for bytes in [4, 12, 1 << 20] {
            let is_greedy = |target| {
                let (hidden, head) = exact(&[1.0, 3.0, -2.0, 3.0, 3.0]);
                token_scores(hidden, head, &[target], 1.0, TileBudget { bytes }).is_greedy[0]
            };
            assert_eq!([0, 1, 2, 3, 4].map(is_greedy), [false, true, false, false, false]);
        }
    }

    #[test]
    fn a_logit_that_is_not_a_number_reaches_every_score_of_its_row() {
        for bad in [f32::NAN, f32::INFINITY] {
            for bytes in [4, 1 << 20] {
                let (hidden, head) = exact(&[1.0, bad, 2.0]);
                let found = token_scores(hidden, head, &[0], 1.0, TileBudget { bytes });
                assert!(found.log_probs[0].is_nan() && found.entropies[0].is_nan(), "{found:?}");
                assert!(found.log_sum_exps[0].is_nan() && !found.is_greedy[0], "{found:?}");
            }
        }
    }

    #[test]
    fn a_bad_row_leaves_the_others_alone() {
        let hidden = matrix(vec![1.0, f32::NAN, 2.0], 3);
        let found = token_scores(hidden, matrix(vec![0.5, -1.0], 2), &[0, 0, 0], 1.0, AMPLE);
        assert_eq!(found.log_probs.iter().map(|x| x.is_nan()).collect::<Vec<_>>(), [false, true, false]);
    }

    #[test]
    fn no_rows_give_no_scores() {
        let hidden = Tensor::<2>::zeros([0, 3], &burn::tensor::Device::flex());
        let found = token_scores(hidden, matrix(noise(12, 1), 4), &[], 1.0, AMPLE);
        assert!(found.log_probs.is_empty());
    }

    #[test]
    #[should_panic(expected = "outside a vocabulary of 4")]
    fn a_target_outside_the_vocabulary_is_refused() {
        token_scores(matrix(noise(3, 1), 1), matrix(noise(12, 1), 4), &[4], 1.0, AMPLE);
    }

    #[test]
    #[should_panic(expected = "under autodiff")]
    fn tracked_tensors_are_refused() {
        let head = matrix(noise(12, 1), 4).autodiff();
        token_scores(matrix(noise(3, 1), 1).autodiff(), head, &[3], 1.0, AMPLE);
    }
}
