//! How far two language models are apart at given positions, exactly, over the whole vocabulary.

use burn::tensor::Tensor;

use super::budget::{Demand, TileBudget, Tiles, pieces};
use super::projection::Projection;
use super::scores::{RowSums, all_row_sums, merge_tile, numbers_of, row_sums};

/// Divergences between two distributions of the next token, one of each per row, in nats where not said otherwise.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenDivergences {
    /// KL(π₀‖π), `[N]`.
    pub kl_reference_to_policy: Vec<f32>,
    /// KL(π‖π₀), `[N]`.
    pub kl_policy_to_reference: Vec<f32>,
    /// ½ Σ|π − π₀|, `[N]`, in `[0, 1]` up to rounding, no unit.
    pub total_variation: Vec<f32>,
    /// ‖π − π₀‖₂, `[N]`, in `[0, √2]` up to rounding, no unit.
    pub l2: Vec<f32>,
    /// −Σ π₀ log π₀, `[N]`.
    pub reference_entropy: Vec<f32>,
    /// −Σ π log π, `[N]`.
    pub policy_entropy: Vec<f32>,
}

/// Exact divergences of a policy from its reference, each given as hidden states and head; the widths may differ.
///
/// Two sweeps: normalizers first, then the terms. A KL is summed as Σ p (e^d − 1 − d) with d = log q − log p, whose terms
/// are not negative: identical policies give exactly 0, close ones lose no digits (error below 1e-6 nats on the CPU,
/// beside that of the logits), and nothing is clamped. On other devices a tile is summed in f32 by Burn's operations.
///
/// Paper: arXiv 2509.04259, section 4 (KL(π₀‖π) predicts forgetting).
///
/// # Shapes
/// - `reference`, `policy`: hidden states `[N, D]` and head `[V, D]`, same N and V
///
/// # Panics
/// On shapes that do not fit, and under autodiff.
pub fn token_divergences(
    reference: (Tensor<2>, Tensor<2>),
    policy: (Tensor<2>, Tensor<2>),
    budget: TileBudget,
) -> TokenDivergences {
    let reference = Projection::new(reference.0, reference.1);
    let policy = Projection::new(policy.0, policy.1);
    assert_eq!(reference.n_rows(), policy.n_rows(), "reference and policy must have the same rows");
    assert_eq!(reference.n_words(), policy.n_words(), "reference and policy must have the same words");
    let tiles = budget.two_sweeps(Demand {
        n_rows: policy.n_rows(),
        n_words: policy.n_words(),
        per_cell: 2,
        per_word: reference.converted_per_word() + policy.converted_per_word(),
    });
    let mut divergences = TokenDivergences::default();
    for rows in pieces(policy.n_rows(), tiles.rows) {
        let both = Pair { reference: reference.rows(rows.clone()), policy: policy.rows(rows) };
        both.measure(tiles, &mut divergences);
    }
    divergences
}

/// The same rows under both models.
struct Pair {
    reference: Projection,
    policy: Projection,
}

impl Pair {
    fn measure(&self, tiles: Tiles, divergences: &mut TokenDivergences) {
        let (mut of_reference, mut of_policy, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        if tiles.is_kept {
            for words in pieces(self.policy.n_words(), tiles.words) {
                let pair = [&self.reference, &self.policy].map(|model| model.all_logits(words.clone()));
                merge_tile(&mut of_reference, row_sums(&pair[0], &[], words.start, 1.0));
                merge_tile(&mut of_policy, row_sums(&pair[1], &[], words.start, 1.0));
                kept.push(pair);
            }
        } else {
            of_reference = all_row_sums(&self.reference, &[], 1.0, tiles);
            of_policy = all_row_sums(&self.policy, &[], 1.0, tiles);
        }
        let normalizers: Vec<_> = of_reference
            .iter()
            .zip(&of_policy)
            .map(|(p, q)| (Normalizer::of(p), Normalizer::of(q)))
            .collect();
        let mut sums = vec![Terms::default(); normalizers.len()];
        let mut kept = kept.into_iter();
        for words in pieces(self.policy.n_words(), tiles.words) {
            let [reference, policy] = kept.next().unwrap_or_else(|| {
                [&self.reference, &self.policy].map(|model| model.all_logits(words.clone()))
            });
            let terms = terms(&reference, &policy, &normalizers, 1.0);
            sums.iter_mut().zip(terms).for_each(|(sums, terms)| sums.add(&terms));
        }
        divergences.push(&sums, &of_reference, &of_policy);
    }
}

impl TokenDivergences {
    fn push(&mut self, sums: &[Terms], of_reference: &[RowSums], of_policy: &[RowSums]) {
        self.kl_reference_to_policy.extend(sums.iter().map(|Terms([kl, ..])| *kl as f32));
        self.kl_policy_to_reference.extend(sums.iter().map(|Terms([_, kl, ..])| *kl as f32));
        self.total_variation.extend(sums.iter().map(|Terms([_, _, distance, _])| (distance * 0.5) as f32));
        self.l2.extend(sums.iter().map(|Terms([.., square])| square.sqrt() as f32));
        self.reference_entropy.extend(of_reference.iter().map(RowSums::entropy));
        self.policy_entropy.extend(of_policy.iter().map(RowSums::entropy));
    }
}

/// What turns a logit into a log-probability: `(logit − max) / temperature − log_sum`, in an order that keeps digits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Normalizer {
    pub(super) max: f32,
    pub(super) log_sum: f32,
    /// log Σ exp(logit / temperature)
    log_sum_exp: f64,
}

impl Normalizer {
    /// From the sums over the whole vocabulary.
    pub(super) fn of(sums: &RowSums) -> Self {
        let log_sum = sums.sum.ln();
        // As the terms have it: times the rounded inverse, so that identical policies cancel at any temperature.
        let max = f64::from(sums.max) * f64::from(sums.inverse_temperature);
        Self { max: sums.max, log_sum: log_sum as f32, log_sum_exp: max + log_sum }
    }

    /// log-probability of a word.
    #[cfg(feature = "flex")]
    #[inline(always)]
    pub(super) fn log_prob(&self, logit: f32, inverse_temperature: f32) -> f32 {
        (logit - self.max) * inverse_temperature - self.log_sum
    }

    /// Difference of both log-sum-exps.
    pub(super) fn minus(&self, other: &Self) -> f32 {
        (self.log_sum_exp - other.log_sum_exp) as f32
    }
}

/// Sums over words of the terms of KL(p‖q), KL(q‖p), Σ|q − p| and Σ(q − p)².
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Terms(pub(super) [f64; 4]);

impl Terms {
    fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, term)| *sum += term);
    }
}

/// Sums over the words of two tiles `[rows, words]`, for normalizers of reference and policy at this temperature.
pub(super) fn terms(
    reference: &Tensor<2>,
    policy: &Tensor<2>,
    normalizers: &[(Normalizer, Normalizer)],
    temperature: f32,
) -> Vec<Terms> {
    #[cfg(feature = "flex")]
    if let Some(terms) = super::sweep::terms(reference, policy, normalizers, temperature) {
        return terms;
    }
    terms_by_burn(reference, policy, normalizers, temperature)
}

/// [`terms`] by operations that every backend has.
fn terms_by_burn(
    reference: &Tensor<2>,
    policy: &Tensor<2>,
    normalizers: &[(Normalizer, Normalizer)],
    temperature: f32,
) -> Vec<Terms> {
    let inverse_temperature = 1.0 / temperature;
    let device = reference.device();
    let column = |number: fn(&(Normalizer, Normalizer)) -> f32| {
        let numbers: Vec<f32> = normalizers.iter().map(number).collect();
        Tensor::<1>::from_floats(numbers.as_slice(), &device).unsqueeze_dim::<2>(1) // [rows, 1]
    };
    let (x, y) = (reference.clone(), policy.clone()); // [rows, words]
    let scaled = |logits: Tensor<2>| logits * inverse_temperature;
    let p = (scaled(x.clone() - column(|(p, _)| p.max)) - column(|(p, _)| p.log_sum)).exp();
    let q = (scaled(y.clone() - column(|(_, q)| q.max)) - column(|(_, q)| q.log_sum)).exp();
    let d = scaled(y - x) - column(|(p, q)| q.minus(p));
    let is_small = d.clone().abs().lower_elem(0.5);
    let difference = q.clone() - p.clone();
    let change = p.clone() * (d.clone() + beyond_first(d.clone()));
    let forward = (difference.clone() - p.clone() * d.clone())
        .mask_where(is_small.clone(), p * beyond_first(d.clone()));
    let backward =
        (q.clone() * d.clone() - difference.clone()).mask_where(is_small.clone(), q * beyond_first(d.neg()));
    let difference = difference.mask_where(is_small, change);
    let square = difference.clone() * difference.clone();
    let sums = [forward, backward, difference.abs(), square].map(|terms| terms.sum_dim(1)); // [rows, 1]
    let columns = numbers_of(Tensor::cat(sums.to_vec(), 1)); // [rows, 4]
    columns.as_chunks().0.iter().map(|terms: &[f32; 4]| Terms(terms.map(f64::from))).collect()
}

/// e^d − 1 − d where |d| < 0.5, to be masked elsewhere.
fn beyond_first(d: Tensor<2>) -> Tensor<2> {
    let mut series = d.clone() * (1.0 / 40320.0) + 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5] {
        series = series * d.clone() + coefficient;
    }
    series * d.clone() * d
}

#[cfg(test)]
mod tests {
    use super::super::test_inputs::{assert_close, budgets, exact, matrix, noise, widened};
    use super::*;

    const AMPLE: TileBudget = TileBudget { bytes: 8 << 20 };

    fn log_probs(logits: &[f32]) -> Vec<f64> {
        let max = logits.iter().copied().fold(f32::MIN, f32::max);
        let sum: f64 = logits.iter().map(|&x| (f64::from(x) - f64::from(max)).exp()).sum();
        logits.iter().map(|&x| f64::from(x) - f64::from(max) - sum.ln()).collect()
    }

    /// Both KLs, total variation and Euclidean distance in f64.
    fn truth(reference: &[f32], policy: &[f32]) -> [f64; 4] {
        let (log_p, log_q) = (log_probs(reference), log_probs(policy));
        let mut sums = [0.0; 4];
        for (log_p, log_q) in log_p.into_iter().zip(log_q) {
            let (p, q) = (log_p.exp(), log_q.exp());
            let terms = [p * (log_p - log_q), q * (log_q - log_p), (p - q).abs() / 2.0, (p - q) * (p - q)];
            sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        }
        [sums[0], sums[1], sums[2], sums[3].sqrt()]
    }

    fn columns(found: &TokenDivergences) -> [&[f32]; 4] {
        [&found.kl_reference_to_policy, &found.kl_policy_to_reference, &found.total_variation, &found.l2]
    }

    #[test]
    fn divergences_over_a_whole_vocabulary_keep_their_digits() {
        for (scale, distance) in
            [(12.0, 1e-4), (12.0, 1e-2), (0.1, 1e-3), (30.0, 0.3), (12.0, 3.0), (40.0, 60.0)]
        {
            let reference: Vec<f32> = noise(151_936, 7).into_iter().map(|x| x * scale).collect();
            let policy: Vec<f32> =
                reference.iter().zip(noise(151_936, 8)).map(|(x, noise)| x + distance * noise).collect();
            let truth = truth(&reference, &policy);
            let found = token_divergences(exact(&reference), exact(&policy), AMPLE);
            let floors = [1e-12, 1e-12, 2e-7, 2e-7];
            for ((found, truth), floor) in columns(&found).into_iter().zip(truth).zip(floors) {
                // Relative, so that a KL of 1e-9 nats has its digits too.
                assert_close(found, &[truth], 3e-6 * truth + floor);
            }
        }
    }

    #[test]
    fn identical_policies_are_exactly_nothing_apart() {
        let model = || (matrix(noise(4 * 24, 1), 4) * 5.0, matrix(noise(999 * 24, 2), 999));
        for bytes in [5_000, 1 << 20] {
            let found = token_divergences(model(), model(), TileBudget { bytes });
            for found in columns(&found) {
                assert_eq!(found, [0.0; 4]);
            }
            assert_eq!(found.reference_entropy, found.policy_entropy);
        }
    }

    #[test]
    fn a_kl_of_close_policies_is_never_negative() {
        // One word has nearly all the mass: where the plain sum of p log(p / q) falls below 0 by rounding.
        for seed in 0..50 {
            let mut reference = noise(3000, seed);
            reference[17] = 15.0;
            let policy: Vec<f32> =
                reference.iter().zip(noise(3000, seed + 99)).map(|(x, noise)| x + 1e-5 * noise).collect();
            let found = token_divergences(exact(&reference), exact(&policy), AMPLE);
            assert!(
                found.kl_reference_to_policy[0] >= 0.0 && found.kl_policy_to_reference[0] >= 0.0,
                "{found:?}"
            );
        }
    }

    #[test]
    fn nothing_is_capped_where_the_policy_gave_up_a_word() {
        let found = token_divergences(exact(&[0.0, 0.0]), exact(&[0.0, -1000.0]), AMPLE);
        assert_close(&found.kl_reference_to_policy, &[500.0 - 2.0_f64.ln()], 1e-4);
        assert_close(&found.kl_policy_to_reference, &[2.0_f64.ln()], 1e-6);
    }

    #[test]
    fn the_budget_changes_no_divergence() {
        let reference = || (matrix(noise(5 * 8, 1), 5) * 3.0, matrix(noise(67 * 8, 2), 67));
        let policy = || (matrix(noise(5 * 4, 3), 5) * 3.0, matrix(noise(67 * 4, 4), 67));
        let whole = token_divergences(reference(), policy(), AMPLE);
        for budget in budgets() {
            let found = token_divergences(reference(), policy(), budget);
            for (found, whole) in columns(&found).into_iter().zip(columns(&whole)) {
                assert_close(found, &widened(whole), 5e-6);
            }
            assert_close(&found.reference_entropy, &widened(&whole.reference_entropy), 3e-6);
            assert_close(&found.policy_entropy, &widened(&whole.policy_entropy), 3e-6);
        }
    }

    #[test]
    fn operations_of_any_backend_give_the_same_terms() {
        let reference = matrix(noise(3 * 700, 3), 3) * 6.0;
        let policy = reference.clone() + matrix(noise(3 * 700, 4), 3);
        for temperature in [1.0, 0.7] {
            let normalizers = |logits| {
                let sums = row_sums(logits, &[], 0, temperature);
                sums.iter().map(Normalizer::of).collect::<Vec<_>>()
            };
            let normalizers: Vec<_> = normalizers(&reference).into_iter().zip(normalizers(&policy)).collect();
            let found = terms(&reference, &policy, &normalizers, temperature);
            let plain = terms_by_burn(&reference, &policy, &normalizers, temperature);
            for (found, plain) in found.iter().zip(&plain) {
                for (found, plain) in found.0.iter().zip(plain.0) {
                    assert!((found / plain - 1.0).abs() < 3e-6, "{found}, {plain}");
                }
            }
        }
    }

    #[test]
    fn a_logit_that_is_not_finite_reaches_every_divergence_of_its_row() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for (reference, policy) in
                [([1.0, bad, 2.0], [1.0, 1.5, 2.0]), ([1.0, 1.5, 2.0], [bad, 1.0, 2.0])]
            {
                let found = token_divergences(exact(&reference), exact(&policy), TileBudget { bytes: 24 });
                // A word of probability 0 is no reason for a distance in [0, 1] to be undefined.
                let n_undefined = if bad == f32::NEG_INFINITY { 2 } else { 4 };
                for column in &columns(&found)[..n_undefined] {
                    assert!(!column[0].is_finite(), "{bad}: {found:?}");
                }
            }
        }
    }
}
