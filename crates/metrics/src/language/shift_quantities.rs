//! What completions of both models say about the distance of their distributions.

use razor_core::Seed;
use serde::Serialize;

use crate::bootstrap::{BootstrapInterval, RunBootstrap};
use crate::language::CompletionShift;

/// Which model drew a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SampleSource {
    /// The base model π₀.
    Reference,
    /// The tuned model π.
    Policy,
}

/// One completion that was drawn at temperature 1, without truncation of the distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct ShiftSample {
    /// Which prompt; completions of one prompt share a number.
    pub prompt_idx: usize,
    /// Who drew it.
    pub source: SampleSource,
    /// Whether it was cut before a stop token came.
    pub is_truncated: bool,
    /// What both models say of it.
    pub shift: CompletionShift,
}

/// One figure with its 95 % interval.
///
/// A figure that has no value, such as the standard error from a single prompt, is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShiftQuantity {
    /// `kl_reference_to_policy_exact_per_token`, ...
    pub name: String,
    /// Sum over all tokens (completions) by their number.
    pub mean: Option<f64>,
    /// 2.5th percentile over resampled prompts.
    pub low: Option<f64>,
    /// 97.5th percentile over resampled prompts.
    pub high: Option<f64>,
    /// Prompts.
    pub n: usize,
    /// Standard deviation over resampled prompts.
    pub standard_error: Option<f64>,
    /// `nats`, `tokens`, or empty for a share or a distance.
    pub unit: &'static str,
    /// Who drew the completions.
    pub samples_from: SampleSource,
    /// Completions.
    pub n_samples: usize,
    /// Their tokens.
    pub n_tokens: usize,
}

/// Means over completions with intervals, the same names in the same order whatever the samples.
///
/// For each direction, KL(π₀‖π) on completions of π₀ and KL(π‖π₀) on those of π, with r the log-probability of the drawn
/// token under the sampler less that under the other model:
///
/// - `kl_X_to_Y_exact_*`: at each position the KL over the whole vocabulary given the tokens before it. Its sum over a
///   completion has the mean KL(X‖Y) of whole completions, as k1 has, with less variance (Rao and Blackwell);
/// - `kl_X_to_Y_k1_*`: r, unbiased; `k2`: r²/2, biased; `k3`: exp(−r) − 1 + r, unbiased and never negative. Each is taken
///   per token and summed.
///
/// `*_per_sequence` is the mean over completions of the sum over tokens; `*_per_token` is the sum over all tokens by
/// their number, so long completions count more. A completion that was cut at its longest length counts as it is: the KL is
/// that of completions up to that length.
///
/// On completions of π₀ also `total_variation`, `l2` and `reference_entropy` per token, `reference_length` and
/// `reference_truncated_share`; on those of π `policy_entropy`, `policy_length` and `policy_truncated_share`.
///
/// Intervals resample prompts with all their completions, and every quantity sees the same resamples, so they may be
/// subtracted. With a single prompt there is none, and from fewer than about twenty they are too narrow.
///
/// Paper: arXiv 2509.04259, section 4 (KL(π₀‖π) on new-task inputs predicts forgetting).
pub fn shift_quantities(samples: &[ShiftSample], n_resamples: usize, seed: Seed) -> Vec<ShiftQuantity> {
    let mut prompts: Vec<usize> = samples.iter().map(|sample| sample.prompt_idx).collect();
    prompts.sort_unstable();
    prompts.dedup();
    let mut sums = vec![[Sums::default(); 2]; prompts.len()];
    for sample in samples {
        let at = prompts.binary_search(&sample.prompt_idx).expect("every prompt is in the list");
        sums[at][sample.source as usize].add(sample);
    }
    let definitions = definitions();
    let means = |weights: &[f64]| {
        let mut total = [Sums::default(); 2];
        for (weight, of_prompt) in weights.iter().zip(&sums) {
            total.iter_mut().zip(of_prompt).for_each(|(total, sums)| total.add_weighted(*weight, sums));
        }
        definitions.iter().map(|definition| definition.mean(&total)).collect::<Vec<_>>()
    };
    let intervals = match RunBootstrap::new(&prompts, n_resamples, seed.derive("prompts", 0)) {
        Ok(bootstrap) => bootstrap.intervals(means),
        Err(_) => vec![None; definitions.len()], // a single prompt
    };
    let means = means(&vec![1.0; prompts.len()]);
    let quantity = |((definition, mean), interval): ((&Definition, Option<f64>), _)| {
        definition.quantity(mean.filter(|mean| mean.is_finite()), interval, &sums)
    };
    definitions.iter().zip(means).zip(intervals).map(quantity).collect()
}

/// What is summed over completions.
#[derive(Debug, Clone, Copy)]
enum Sum {
    Samples,
    Tokens,
    Truncated,
    Exact,
    K1,
    K2,
    K3,
    TotalVariation,
    L2,
    Entropy,
}

const N_SUMS: usize = Sum::Entropy as usize + 1;

/// Sums over the completions of one model, indexed by [`Sum`].
#[derive(Debug, Clone, Copy, Default)]
struct Sums([f64; N_SUMS]);

impl Sums {
    fn add(&mut self, sample: &ShiftSample) {
        let CompletionShift { reference_log_probs, policy_log_probs, divergences } = &sample.shift;
        let (sampler, other, exact, entropy) = match sample.source {
            SampleSource::Reference => (
                reference_log_probs,
                policy_log_probs,
                &divergences.kl_reference_to_policy,
                &divergences.reference_entropy,
            ),
            SampleSource::Policy => (
                policy_log_probs,
                reference_log_probs,
                &divergences.kl_policy_to_reference,
                &divergences.policy_entropy,
            ),
        };
        self.put(Sum::Samples, 1.0);
        self.put(Sum::Tokens, sampler.len() as f64);
        self.put(Sum::Truncated, if sample.is_truncated { 1.0 } else { 0.0 });
        for (&sampler, &other) in sampler.iter().zip(other) {
            let log_ratio = f64::from(sampler) - f64::from(other);
            self.put(Sum::K1, log_ratio);
            self.put(Sum::K2, log_ratio * log_ratio / 2.0);
            self.put(Sum::K3, (-log_ratio).exp_m1() + log_ratio); // keeps the digits of a small ratio
        }
        self.put(Sum::Exact, total(exact));
        self.put(Sum::TotalVariation, total(&divergences.total_variation));
        self.put(Sum::L2, total(&divergences.l2));
        self.put(Sum::Entropy, total(entropy));
    }

    fn put(&mut self, sum: Sum, value: f64) {
        self.0[sum as usize] += value;
    }

    fn add_weighted(&mut self, weight: f64, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, other)| *sum += weight * other);
    }

    fn get(&self, sum: Sum) -> f64 {
        self.0[sum as usize]
    }
}

fn total(column: &[f32]) -> f64 {
    column.iter().copied().map(f64::from).sum()
}

/// A quantity as a ratio of two sums.
struct Definition {
    name: String,
    unit: &'static str,
    source: SampleSource,
    numerator: Sum,
    denominator: Sum,
}

fn definitions() -> Vec<Definition> {
    use SampleSource::{Policy, Reference};
    let define = |name: String, unit, source, numerator, denominator| Definition {
        name,
        unit,
        source,
        numerator,
        denominator,
    };
    let mut list = Vec::new();
    for (source, direction) in [(Reference, "kl_reference_to_policy"), (Policy, "kl_policy_to_reference")] {
        for (per, denominator) in [("per_token", Sum::Tokens), ("per_sequence", Sum::Samples)] {
            for (estimator, sum) in [("exact", Sum::Exact), ("k1", Sum::K1), ("k2", Sum::K2), ("k3", Sum::K3)]
            {
                list.push(define(format!("{direction}_{estimator}_{per}"), "nats", source, sum, denominator));
            }
        }
    }
    list.push(define("total_variation".into(), "", Reference, Sum::TotalVariation, Sum::Tokens));
    list.push(define("l2".into(), "", Reference, Sum::L2, Sum::Tokens));
    for (source, name) in [(Reference, "reference"), (Policy, "policy")] {
        list.push(define(format!("{name}_entropy"), "nats", source, Sum::Entropy, Sum::Tokens));
        list.push(define(format!("{name}_length"), "tokens", source, Sum::Tokens, Sum::Samples));
        list.push(define(format!("{name}_truncated_share"), "", source, Sum::Truncated, Sum::Samples));
    }
    list
}

impl Definition {
    fn mean(&self, totals: &[Sums; 2]) -> Option<f64> {
        let totals = &totals[self.source as usize];
        let count = totals.get(self.denominator);
        (count > 0.0).then(|| totals.get(self.numerator) / count)
    }

    fn quantity(
        &self,
        mean: Option<f64>,
        interval: Option<BootstrapInterval>,
        sums: &[[Sums; 2]],
    ) -> ShiftQuantity {
        let own = || sums.iter().map(|of_prompt| &of_prompt[self.source as usize]);
        let count = |sum: Sum| own().map(|sums| sums.get(sum)).sum::<f64>() as usize;
        ShiftQuantity {
            name: self.name.clone(),
            mean,
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high),
            n: own().filter(|sums| sums.get(Sum::Samples) > 0.0).count(),
            standard_error: interval.map(|interval| interval.standard_deviation),
            unit: self.unit,
            samples_from: self.source,
            n_samples: count(Sum::Samples),
            n_tokens: count(Sum::Tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use razor_tensor::TokenDivergences;

    use super::*;

    /// A completion whose tokens all look alike.
    fn sample(prompt_idx: usize, source: SampleSource, n_tokens: usize, log_ratio: f32) -> ShiftSample {
        let column = |value: f32| vec![value; n_tokens];
        let (reference, policy) = match source {
            SampleSource::Reference => (-1.0 + log_ratio, -1.0),
            SampleSource::Policy => (-1.0, -1.0 + log_ratio),
        };
        ShiftSample {
            prompt_idx,
            source,
            is_truncated: n_tokens > 3,
            shift: CompletionShift {
                reference_log_probs: column(reference),
                policy_log_probs: column(policy),
                divergences: TokenDivergences {
                    kl_reference_to_policy: column(log_ratio.abs()),
                    kl_policy_to_reference: column(2.0 * log_ratio.abs()),
                    total_variation: column(0.25),
                    l2: column(0.5),
                    reference_entropy: column(1.5),
                    policy_entropy: column(1.25),
                },
            },
        }
    }

    fn samples() -> Vec<ShiftSample> {
        let of = |source| {
            (0..12).map(move |idx| sample(idx / 2, source, 1 + idx % 4, 0.125 * ((idx * 7) % 5) as f32))
        };
        of(SampleSource::Reference).chain(of(SampleSource::Policy)).collect()
    }

    fn find<'a>(quantities: &'a [ShiftQuantity], name: &str) -> &'a ShiftQuantity {
        quantities.iter().find(|quantity| quantity.name == name).unwrap()
    }

    #[test]
    fn a_token_mean_weighs_tokens_and_a_sequence_mean_weighs_completions() {
        let samples =
            [sample(0, SampleSource::Reference, 1, 0.5), sample(1, SampleSource::Reference, 3, 0.25)];
        let quantities = shift_quantities(&samples, 50, Seed::new(0));
        let mean = |name: &str| find(&quantities, name).mean.unwrap();
        assert_eq!(mean("kl_reference_to_policy_exact_per_token"), (0.5 + 3.0 * 0.25) / 4.0);
        assert_eq!(mean("kl_reference_to_policy_exact_per_sequence"), (0.5 + 3.0 * 0.25) / 2.0);
        assert_eq!(mean("kl_reference_to_policy_k1_per_token"), (0.5 + 3.0 * 0.25) / 4.0);
        assert_eq!(mean("kl_reference_to_policy_k2_per_sequence"), (0.125 + 3.0 * 0.03125) / 2.0);
        let k3 = |r: f64| (-r).exp() - 1.0 + r;
        let expected = (k3(0.5) + 3.0 * k3(0.25)) / 4.0;
        assert!((mean("kl_reference_to_policy_k3_per_token") - expected).abs() < 1e-15);
        assert_eq!(mean("reference_length"), 2.0);
        assert_eq!(
            find(&quantities, "kl_policy_to_reference_exact_per_token").mean,
            None,
            "nobody drew from π"
        );
    }

    #[test]
    fn each_direction_uses_the_completions_of_its_first_model() {
        let quantities = shift_quantities(&samples(), 50, Seed::new(0));
        for quantity in &quantities {
            let by_reference = quantity.name.starts_with("kl_reference")
                || quantity.name.starts_with("reference")
                || ["total_variation", "l2"].contains(&quantity.name.as_str());
            let expected = if by_reference { SampleSource::Reference } else { SampleSource::Policy };
            assert_eq!(quantity.samples_from, expected, "{}", quantity.name);
            assert_eq!((quantity.n, quantity.n_samples, quantity.n_tokens), (6, 12, 30), "{}", quantity.name);
        }
        assert_eq!(find(&quantities, "reference_entropy").mean, Some(1.5));
        assert_eq!(find(&quantities, "policy_entropy").mean, Some(1.25));
        assert_eq!(find(&quantities, "policy_truncated_share").mean, Some(0.25));
    }

    #[test]
    fn the_interval_holds_the_mean_and_repeats_with_its_seed() {
        let [first, again, other] = [0, 0, 1].map(|seed| shift_quantities(&samples(), 400, Seed::new(seed)));
        assert_eq!(first, again);
        assert_ne!(first, other);
        for quantity in &first {
            let (mean, low, high) = (quantity.mean.unwrap(), quantity.low.unwrap(), quantity.high.unwrap());
            assert!(low <= mean && mean <= high, "{quantity:?}");
            assert!(quantity.standard_error.unwrap() >= 0.0);
        }
    }

    #[test]
    fn a_single_prompt_has_means_and_no_interval() {
        let samples = [sample(4, SampleSource::Reference, 2, 0.5), sample(4, SampleSource::Policy, 2, 0.5)];
        for quantity in shift_quantities(&samples, 50, Seed::new(0)) {
            assert!(quantity.mean.is_some(), "{quantity:?}");
            assert_eq!((quantity.low, quantity.high, quantity.standard_error), (None, None, None));
        }
    }
}
