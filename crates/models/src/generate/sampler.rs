//! One token from a row of logits.

use rand::Rng;
use razor_tensor::unnormalized_probs;

use crate::error::ModelError;

/// How tokens are drawn. The steps are applied in this order, as in `transformers`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Logits are divided by it; 0 takes the likeliest token.
    pub temperature: f32,
    /// Only the so many likeliest tokens; 0 keeps all. Ties with the last of them are kept.
    pub top_k: usize,
    /// Only the likeliest tokens that together have this probability, in (0, 1]; at least one.
    pub top_p: f32,
    /// Only tokens at least this share as likely as the likeliest, in [0, 1).
    pub min_p: f32,
}

impl Sampling {
    /// The likeliest token, always.
    pub const GREEDY: Self = Self { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0 };

    /// The policy's own distribution.
    pub const PLAIN: Self = Self { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0 };

    /// Which value is out of its range, with the range.
    pub fn problem(&self) -> Option<String> {
        let found =
            |name: &str, range: &str, value: f32| Some(format!("{name} is {value}, expected {range}"));
        match *self {
            Self { temperature, .. } if !(temperature >= 0.0 && temperature.is_finite()) => {
                found("temperature", "a number from 0 up", temperature)
            }
            Self { top_p, .. } if !(top_p > 0.0 && top_p <= 1.0) => {
                found("top_p", "above 0, at most 1", top_p)
            }
            Self { min_p, .. } if !(0.0..1.0).contains(&min_p) => found("min_p", "from 0, below 1", min_p),
            _ => None,
        }
    }
}

/// A token and its log-probability in nats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// The token.
    pub token: u32,
    /// Under the distribution that it was drawn from: after temperature and truncation, over the tokens that were left.
    /// A greedy token has its log-probability at temperature 1 instead, as the distribution has one token only.
    pub log_prob: f32,
}

/// Draws a token with one uniform number, by inversion in the order of the vocabulary.
///
/// # Errors
/// [`ModelError::Logits`] when a logit is NaN or the largest is not finite: a draw from it would mean nothing.
pub fn sample_token(logits: &[f32], sampling: Sampling, rng: &mut impl Rng) -> Result<Draw, ModelError> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if !max.is_finite() || logits.iter().any(|logit| logit.is_nan()) {
        return Err(ModelError::Logits);
    }
    if sampling.temperature == 0.0 {
        return Ok(greedy(logits, max));
    }
    let mut probs = unnormalized_probs(logits, max, sampling.temperature);
    truncate(logits, &mut probs, sampling);
    let total: f64 = probs.iter().map(|&prob| f64::from(prob)).sum(); // f64: a sum over 150,000 tokens
    let mut remaining = rng.random::<f64>() * total;
    let mut drawn = None;
    for (token, &prob) in probs.iter().enumerate().filter(|&(_, &prob)| prob > 0.0) {
        drawn = Some(token);
        remaining -= f64::from(prob);
        if remaining < 0.0 {
            break;
        }
    }
    let token = drawn.expect("the likeliest token has weight 1");
    let log_prob = f64::from(logits[token] - max) / f64::from(sampling.temperature) - total.ln();
    Ok(Draw { token: token as u32, log_prob: log_prob as f32 })
}

/// The first of the likeliest tokens.
fn greedy(logits: &[f32], max: f32) -> Draw {
    let token = logits.iter().position(|&logit| logit == max).expect("the maximum is one of them");
    let total: f64 = unnormalized_probs(logits, max, 1.0).iter().map(|&prob| f64::from(prob)).sum();
    Draw { token: token as u32, log_prob: -total.ln() as f32 }
}

/// Sets the shares of tokens that may not be drawn to 0.
fn truncate(logits: &[f32], probs: &mut [f32], sampling: Sampling) {
    if sampling.top_k > 0 && sampling.top_k < logits.len() {
        let floor = nth_largest(&mut logits.to_vec(), sampling.top_k);
        probs.iter_mut().zip(logits).filter(|&(_, &logit)| logit < floor).for_each(|(prob, _)| *prob = 0.0);
    }
    // The likeliest token has share 1, so neither floor can be above it.
    if sampling.top_p < 1.0 {
        let floor = nucleus_floor(probs, sampling.top_p);
        probs.iter_mut().filter(|prob| **prob < floor).for_each(|prob| *prob = 0.0);
    }
    if sampling.min_p > 0.0 {
        probs.iter_mut().filter(|prob| **prob < sampling.min_p).for_each(|prob| *prob = 0.0);
    }
}

fn nth_largest(logits: &mut [f32], n: usize) -> f32 {
    *logits.select_nth_unstable_by(n - 1, |a, b| b.total_cmp(a)).1
}

/// The share of the last token of the nucleus: the likeliest tokens whose sum first reaches `top_p` of all.
///
/// Sorts only as many of the likeliest as it needs: a vocabulary has 150,000, a nucleus usually tens.
fn nucleus_floor(probs: &[f32], top_p: f32) -> f32 {
    let mut kept: Vec<f32> = probs.iter().copied().filter(|&prob| prob > 0.0).collect();
    let wanted = f64::from(top_p) * kept.iter().map(|&prob| f64::from(prob)).sum::<f64>();
    let mut n_sorted = 64;
    loop {
        let n = n_sorted.min(kept.len());
        if n < kept.len() {
            kept.select_nth_unstable_by(n - 1, |a, b| b.total_cmp(a));
        }
        kept[..n].sort_unstable_by(|a, b| b.total_cmp(a));
        let mut sum = 0.0;
        for &prob in &kept[..n] {
            sum += f64::from(prob);
            if sum >= wanted {
                return prob;
            }
        }
        if n == kept.len() {
            return kept[n - 1]; // rounding kept the sum below
        }
        n_sorted *= 8;
    }
}

#[cfg(test)]
mod tests {
    use razor_core::Seed;

    use super::*;

    /// Probabilities .4, .3, .15, .1, .05 in another order.
    fn logits() -> [f32; 5] {
        [0.15, 0.4, 0.05, 0.3, 0.1].map(f32::ln)
    }

    fn support(sampling: Sampling) -> Vec<(u32, f32)> {
        let mut rng = Seed::new(3).rng();
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..2_000 {
            let draw = sample_token(&logits(), sampling, &mut rng).unwrap();
            seen.insert(draw.token, draw.log_prob.exp());
        }
        seen.into_iter().collect()
    }

    fn assert_support(sampling: Sampling, expected: &[(u32, f32)]) {
        let found = support(sampling);
        let close = found.len() == expected.len()
            && found.iter().zip(expected).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-5);
        assert!(close, "expected {expected:?}, found {found:?}");
    }

    #[test]
    fn every_truncation_keeps_its_tokens_and_renormalizes_them() {
        let plain = Sampling::PLAIN;
        assert_support(plain, &[(0, 0.15), (1, 0.4), (2, 0.05), (3, 0.3), (4, 0.1)]);
        assert_support(Sampling { top_k: 2, ..plain }, &[(1, 0.4 / 0.7), (3, 0.3 / 0.7)]);
        assert_support(Sampling { top_p: 0.7, ..plain }, &[(1, 0.4 / 0.7), (3, 0.3 / 0.7)]);
        assert_support(
            Sampling { top_p: 0.71, ..plain },
            &[(0, 0.15 / 0.85), (1, 0.4 / 0.85), (3, 0.3 / 0.85)],
        );
        assert_support(
            Sampling { min_p: 0.3, ..plain },
            &[(0, 0.15 / 0.85), (1, 0.4 / 0.85), (3, 0.3 / 0.85)],
        );
        // top-p counts shares of what top-k left: .4 of .7 is above a half
        assert_support(Sampling { top_k: 2, top_p: 0.5, ..plain }, &[(1, 1.0)]);
    }

    #[test]
    fn temperature_comes_before_truncation() {
        // at temperature 1/2 the shares are .16 .09 .0225 .01 .0025 of .285
        let cold = Sampling { temperature: 0.5, top_p: 0.8, ..Sampling::PLAIN };
        assert_support(cold, &[(1, 0.16 / 0.25), (3, 0.09 / 0.25)]);
    }

    #[test]
    fn a_greedy_token_carries_its_log_probability() {
        let draw = sample_token(&logits(), Sampling::GREEDY, &mut Seed::new(0).rng()).unwrap();
        assert_eq!(draw.token, 1);
        assert!((draw.log_prob - 0.4_f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn tokens_come_as_often_as_they_should() {
        let mut rng = Seed::new(1).rng();
        let mut counts = [0_u32; 5];
        for _ in 0..100_000 {
            counts[sample_token(&logits(), Sampling::PLAIN, &mut rng).unwrap().token as usize] += 1;
        }
        for (count, logit) in counts.iter().zip(logits()) {
            let prob = f64::from(logit).exp();
            // five standard errors of a binomial share
            assert!(
                (f64::from(*count) / 1e5 - prob).abs() < 5.0 * (prob * (1.0 - prob) / 1e5).sqrt(),
                "{counts:?}"
            );
        }
    }

    #[test]
    fn a_wide_nucleus_equals_a_full_sort() {
        let mut rng = Seed::new(2).rng();
        let probs: Vec<f32> = (0..5_000).map(|_| rng.random::<f32>()).collect();
        let mut sorted = probs.clone();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        let total: f64 = sorted.iter().map(|&prob| f64::from(prob)).sum();
        let mut sum = 0.0;
        let last = sorted.iter().find(|&&prob| {
            sum += f64::from(prob);
            sum >= f64::from(0.9_f32) * total
        });
        assert_eq!(Some(&nucleus_floor(&probs, 0.9)), last);
    }

    #[test]
    fn logits_that_are_not_numbers_are_refused() {
        for broken in [[0.0, f32::NAN], [f32::NEG_INFINITY; 2], [0.0, f32::INFINITY]] {
            let drawn = sample_token(&broken, Sampling::PLAIN, &mut Seed::new(0).rng());
            assert!(matches!(drawn, Err(ModelError::Logits)), "{broken:?} gave {drawn:?}");
        }
    }

    #[test]
    fn values_out_of_range_are_named() {
        let problem = |sampling: Sampling| sampling.problem().unwrap_or_default();
        assert!(problem(Sampling { temperature: -1.0, ..Sampling::PLAIN }).contains("temperature is -1"));
        assert!(problem(Sampling { top_p: 0.0, ..Sampling::PLAIN }).contains("top_p is 0"));
        assert!(problem(Sampling { min_p: f32::NAN, ..Sampling::PLAIN }).contains("min_p is NaN"));
        assert_eq!(Sampling::PLAIN.problem(), None);
    }
}
