//! Sweeps over tiles of logits in the memory of Burn's CPU backend: vectorized, rows in parallel.
//!
//! A row is worked on by one thread in a fixed order, so nothing depends on the number of threads. f32 sums are at most
//! 16 numbers long ([`BLOCK`] words in [`LANES`] lanes); beyond that they are f64.

use burn::backend::Flex;
use burn::tensor::Tensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::divergences::{Normalizer, Terms};
use super::logit_gradient::LogitGradient;
use super::scores::{RowSums, place};
use crate::simd_exp::exp_f32;

const LANES: usize = 16;
const BLOCK: usize = 16 * LANES;

/// See [`super::scores::row_sums`]; `None` when the tile is on another device.
pub(super) fn row_sums(
    logits: &Tensor<2>,
    targets: &[u32],
    first_word: usize,
    temperature: f32,
) -> Option<Vec<RowSums>> {
    let [_, n_words] = logits.dims();
    let logits = logits.clone().try_into_primitive::<Flex>().ok()?;
    let inverse_temperature = 1.0 / temperature;
    let rows = logits.as_slice::<f32>()?.par_chunks_exact(n_words).enumerate();
    let sums = rows.map(|(row, logits)| {
        let (max, [sum, weighted]) = Arch::new().dispatch(ExpSums { logits, inverse_temperature });
        let best = first_word + logits.iter().position(|&logit| logit == max).unwrap_or(0);
        let target = targets.get(row).and_then(|&target| place(target, first_word, n_words));
        let target = target.map(|place| logits[place]);
        RowSums { max, best, sum, weighted, target, inverse_temperature }
    });
    Some(sums.collect())
}

/// See [`super::divergences::terms`]; `None` when a tile is on another device.
pub(super) fn terms(
    reference: &Tensor<2>,
    policy: &Tensor<2>,
    normalizers: &[(Normalizer, Normalizer)],
    temperature: f32,
) -> Option<Vec<Terms>> {
    let [_, n_words] = reference.dims();
    let reference = reference.clone().try_into_primitive::<Flex>().ok()?;
    let policy = policy.clone().try_into_primitive::<Flex>().ok()?;
    let reference = reference.as_slice::<f32>()?.par_chunks_exact(n_words);
    let rows = reference.zip(policy.as_slice::<f32>()?.par_chunks_exact(n_words)).zip(normalizers);
    let terms = rows.map(|((reference, policy), (of_reference, of_policy))| {
        let inverse_temperature = 1.0 / temperature;
        Arch::new().dispatch(DivergenceSums {
            reference,
            policy,
            of_reference,
            of_policy,
            inverse_temperature,
        })
    });
    Some(terms.collect())
}

/// Whether a tile is in memory that [`logit_gradient`] can write to.
pub(super) fn is_here(logits: &Tensor<2>) -> bool {
    logits.clone().try_into_primitive::<Flex>().is_ok_and(|tile| {
        tile.as_slice::<f32>().is_some_and(|numbers| numbers.len() == tile.storage::<f32>().len())
    })
}

/// See [`super::logit_gradient::logit_gradient`]; for tiles that are [here](is_here).
pub(super) fn logit_gradient(tile: LogitGradient<'_>) -> Tensor<2> {
    let [_, n_words] = tile.logits.dims();
    let inverse_temperature = 1.0 / tile.temperature;
    let mut logits = tile.logits.try_into_primitive::<Flex>().expect("the caller asked whether it is here");
    let reference = tile.kl.as_ref().map(|kl| crate::host::borrow(&kl.logits));
    let reference = reference.as_ref().map(crate::host::f32s);
    let rows = logits.storage_mut::<f32>().par_chunks_exact_mut(n_words).enumerate();
    rows.for_each(|(row, logits)| {
        let (normalizer, coefficient) = (tile.normalizers[row], tile.coefficients[row]);
        let softmax = ToGradient { logits: &mut *logits, normalizer, coefficient, inverse_temperature };
        match tile.kl.as_ref().zip(reference) {
            Some((kl, reference)) => Arch::new().dispatch(ToGradientWithKl {
                softmax,
                reference: &reference[row * n_words..][..n_words],
                of_reference: kl.normalizers[row].0,
                weight: kl.weights[row] * inverse_temperature,
                kl: kl.kl.map(|kl| kl[row] as f32),
            }),
            None => Arch::new().dispatch(softmax),
        }
        if let Some(place) = tile.places[row] {
            logits[place] -= coefficient;
        }
    });
    Tensor::from_primitive::<Flex>(logits)
}

// Structs in place of closures: a closure this long is not inlined into the function that has the vector instructions.

struct ExpSums<'a> {
    logits: &'a [f32],
    inverse_temperature: f32,
}

impl WithSimd for ExpSums<'_> {
    /// The largest logit, Σ exp(u) and Σ u exp(u) with u = (logit − largest) / temperature.
    type Output = (f32, [f64; 2]);

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let max = max_of(self.logits);
        let sums = sum_terms(self.logits, self.logits, |x, _| {
            let u = (x - max) * self.inverse_temperature;
            let power = exp_f32(u);
            [power, u * power]
        });
        (max, sums)
    }
}

struct DivergenceSums<'a> {
    reference: &'a [f32],
    policy: &'a [f32],
    of_reference: &'a Normalizer,
    of_policy: &'a Normalizer,
    inverse_temperature: f32,
}

impl WithSimd for DivergenceSums<'_> {
    type Output = Terms;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Terms {
        let (of_reference, of_policy) = (self.of_reference, self.of_policy);
        let shift = of_policy.minus(of_reference);
        Terms(sum_terms(self.reference, self.policy, |x, y| {
            let p = exp_f32(of_reference.log_prob(x, self.inverse_temperature));
            let q = exp_f32(of_policy.log_prob(y, self.inverse_temperature));
            word_terms(p, q, (y - x) * self.inverse_temperature - shift)
        }))
    }
}

struct ToGradient<'a> {
    logits: &'a mut [f32],
    normalizer: Normalizer,
    coefficient: f32,
    inverse_temperature: f32,
}

impl WithSimd for ToGradient<'_> {
    type Output = ();

    /// Turns logits into coefficient · softmax.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for x in self.logits {
            *x = self.coefficient * exp_f32(self.normalizer.log_prob(*x, self.inverse_temperature));
        }
    }
}

struct ToGradientWithKl<'a> {
    softmax: ToGradient<'a>,
    reference: &'a [f32],
    of_reference: Normalizer,
    /// Divided by the temperature already.
    weight: f32,
    kl: Option<f32>,
}

impl WithSimd for ToGradientWithKl<'_> {
    type Output = ();

    /// Turns logits into coefficient · softmax plus the gradient of the KL.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let ToGradient { logits, normalizer, coefficient, inverse_temperature } = self.softmax;
        let words = logits.iter_mut().zip(self.reference);
        if let Some(kl) = self.kl {
            let shift = normalizer.minus(&self.of_reference) + kl;
            for (y, x) in words {
                let q = exp_f32(normalizer.log_prob(*y, inverse_temperature));
                *y = coefficient * q + self.weight * (q * ((*y - x) * inverse_temperature - shift));
            }
        } else {
            for (y, x) in words {
                let q = exp_f32(normalizer.log_prob(*y, inverse_temperature));
                let p = exp_f32(self.of_reference.log_prob(*x, inverse_temperature));
                *y = coefficient * q + self.weight * (q - p);
            }
        }
    }
}

/// The largest number; NaN is passed over here and met in the sums.
#[inline(always)]
fn max_of(row: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = larger(lanes[lane], chunk[lane]);
        }
    }
    lanes.into_iter().chain(rest.iter().copied()).fold(f32::NEG_INFINITY, larger)
}

/// Sums of K terms of each pair of numbers: f32 within a block, f64 beyond.
#[inline(always)]
fn sum_terms<const K: usize>(left: &[f32], right: &[f32], terms: impl Fn(f32, f32) -> [f32; K]) -> [f64; K] {
    let mut sums = [0.0; K];
    for (left, right) in left.chunks(BLOCK).zip(right.chunks(BLOCK)) {
        let mut lanes = [[0.0_f32; LANES]; K];
        let ((left, left_rest), (right, right_rest)) =
            (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
        for (left, right) in left.iter().zip(right) {
            for lane in 0..LANES {
                let terms = terms(left[lane], right[lane]);
                for k in 0..K {
                    lanes[k][lane] += terms[k];
                }
            }
        }
        for (lane, (&left, &right)) in left_rest.iter().zip(right_rest).enumerate() {
            let terms = terms(left, right);
            for k in 0..K {
                lanes[k][lane] += terms[k];
            }
        }
        for (sum, lanes) in sums.iter_mut().zip(lanes) {
            *sum += lanes.into_iter().map(f64::from).sum::<f64>();
        }
    }
    sums
}

/// What one word adds to KL(p‖q), KL(q‖p), Σ|q − p| and Σ(q − p)², with d = log q − log p.
///
/// KL(p‖q) = Σ p (e^d − 1 − d), since both sum to 1: no term is negative, and an error of the normalizers counts in
/// second order only. Where d is small a series keeps the digits that q − p would lose.
#[inline(always)]
fn word_terms(p: f32, q: f32, d: f32) -> [f32; 4] {
    let is_small = d.abs() < 0.5;
    let change = p * (d + beyond_first(d));
    let difference = if is_small { change } else { q - p };
    let forward = if is_small { p * beyond_first(d) } else { (q - p) - p * d };
    let backward = if is_small { q * beyond_first(-d) } else { (p - q) + q * d };
    [forward, backward, difference.abs(), difference * difference]
}

/// e^d − 1 − d for |d| up to 0.5, relative error below 1e-6; finite elsewhere only by luck.
#[inline(always)]
fn beyond_first(d: f32) -> f32 {
    let mut series = 1.0 / 40320.0_f32;
    for coefficient in [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5] {
        series = series.mul_add(d, coefficient);
    }
    series * d * d
}

#[cfg(test)]
mod tests {
    use super::super::test_inputs::{matrix, noise};
    use super::*;

    #[test]
    fn the_series_has_the_digits_that_a_difference_would_lose() {
        for step in -500..=500 {
            let d = step as f32 * 1e-3;
            let truth = f64::from(d).exp_m1() - f64::from(d);
            let error = (f64::from(beyond_first(d)) - truth).abs();
            // exp_m1(d) − d in f64 itself loses all but 1e-17.
            assert!(error <= 1e-6 * truth + 2e-17, "{d}: {error}");
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let logits = matrix(noise(7 * 5000, 1), 7) * 9.0;
        let sums = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let sums = pool.install(|| row_sums(&logits, &[3; 7], 0, 0.7)).unwrap();
            sums.iter().map(|row| [row.sum.to_bits(), row.weighted.to_bits()]).collect::<Vec<_>>()
        };
        assert_eq!(sums(1), sums(3));
    }

    #[test]
    fn terms_of_equal_words_are_exactly_zero() {
        assert_eq!(word_terms(0.3, 0.3, 0.0), [0.0; 4]);
    }
}
