//! The gradient that training losses send into hidden states and head, formed while the logits are there.

use std::ops::Range;

use burn::tensor::Tensor;

use super::budget::{Demand, TileBudget, Tiles, pieces};
use super::divergences::{Normalizer, Terms, terms};
use super::gradient_sums::Sums;
use super::logit_gradient::{KlGradient, LogitGradient, logit_gradient};
use super::projection::Projection;
use super::scores::{RowSums, TokenScores, assert_targets, merge_tile, place, row_sums};

/// Whether the head is trained.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there is one per call")]
pub enum HeadWeights {
    /// The gradient of the head is neither formed nor returned.
    Frozen,
    /// The gradient of the head is added to this sum, `[V, D]` in f32, or starts at zero. The sum is changed in its own
    /// memory where it has one owner.
    Trained(Option<Tensor<2>>),
}

/// Under which distribution a KL divergence is an expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KlDirection {
    /// KL(π₀‖π), the paper's forward KL.
    ReferenceToPolicy,
    /// KL(π‖π₀), the usual penalty of reinforcement learning.
    PolicyToReference,
}

/// An exact KL term over the whole vocabulary, at the temperature of the loss for both policies.
///
/// # Shapes
/// - `hidden`: `[N, D0]`, of the reference at the same rows
/// - `head`: `[V, D0]`
/// - `weights`: `[N]`, how much each row's KL counts in the loss; 0 for a row that has none
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "described under Shapes")]
pub struct KlToReference<'a> {
    pub hidden: Tensor<2>,
    pub head: Tensor<2>,
    /// Under which policy the expectation is taken.
    pub direction: KlDirection,
    pub weights: &'a [f32],
}

/// What a training step needs from the end of the model.
#[derive(Debug, Clone)]
pub struct TokenLossGradient {
    /// Scores of the targets at the temperature of the loss, equal to those of [`crate::token_scores`].
    pub scores: TokenScores,
    /// Exact KL of each row in the direction asked for, `[N]` in nats; empty without a reference.
    pub kl: Vec<f32>,
    /// Gradient with respect to the hidden states, `[N, D]` in f32.
    pub hidden: Tensor<2>,
    /// Gradient with respect to the head plus what it was added to, `[V, D]` in f32; `None` when the head is frozen.
    pub head: Option<Tensor<2>>,
}

/// Gradient of Σ_n f_n(log π(target_n)) + Σ_n weight_n · KL_n with respect to hidden states and head.
///
/// π is the softmax of the logits divided by `temperature`, and so is π₀ in the KL. With u_n = f_n′, the gradient of the
/// logits of a row is u (1\[is target\] − π) / T, plus weight · (π − π₀) / T for KL(π₀‖π) or
/// weight · π (log π − log π₀ − KL) / T for KL(π‖π₀).
///
/// Logits are computed once where half of the budget holds enough rows, otherwise again for the gradient, and for
/// KL(π‖π₀) once more: its gradient contains the KL itself.
///
/// # Shapes
/// - `hidden`: `[N, D]`
/// - `head`: `[V, D]`
/// - `targets`: `[N]`, each in `0..V`
/// - `upstream`: from a row and its log π(target) in nats to f_n′; called once per row, rows in ascending order
///
/// # Panics
/// On shapes that do not fit, a target outside the vocabulary, a temperature that is not above 0, under autodiff.
#[expect(clippy::too_many_arguments, reason = "the one door of all losses: policy, loss, reference, memory")]
pub fn token_loss_gradient(
    hidden: Tensor<2>,
    head: Tensor<2>,
    targets: &[u32],
    temperature: f32,
    upstream: &mut dyn FnMut(usize, f32) -> f32,
    kl: Option<KlToReference<'_>>,
    head_weights: HeadWeights,
    budget: TileBudget,
) -> TokenLossGradient {
    assert!(temperature > 0.0 && temperature.is_finite(), "temperature must be above 0, found {temperature}");
    let policy = Projection::new(hidden, head);
    assert_targets(&policy, targets);
    let reference = kl.map(|kl| Reference::new(kl, &policy));
    let mut sums = Sums::new(&policy, head_weights);
    let converted = reference.as_ref().map_or(0, |reference| reference.projection.converted_per_word());
    let tiles = budget.two_sweeps(Demand {
        n_rows: policy.n_rows(),
        n_words: policy.n_words(),
        per_cell: 1 + usize::from(reference.is_some()),
        per_word: policy.converted_per_word() + converted + sums.per_word(),
    });
    let pass = Pass { policy, reference, targets, temperature, tiles };
    let (mut rows_found, mut kl) = (Vec::with_capacity(targets.len()), Vec::new());
    for rows in pieces(targets.len(), tiles.rows) {
        let mut forward = pass.forward(rows.clone());
        let log_probs = forward.policy.iter().map(|row| row.target_log_prob(temperature));
        let coefficients: Vec<_> = rows
            .clone()
            .zip(log_probs)
            .map(|(row, log_prob)| -upstream(row, log_prob) / temperature)
            .collect();
        kl.extend(pass.add_gradient(rows, &mut forward, &coefficients, &mut sums));
        rows_found.extend(forward.policy);
    }
    let (hidden, head) = sums.gradients();
    TokenLossGradient { scores: TokenScores::of(&rows_found, targets, temperature), kl, hidden, head }
}

/// The reference of a KL term.
struct Reference<'a> {
    projection: Projection,
    direction: KlDirection,
    /// `[N]`
    weights: &'a [f32],
}

impl<'a> Reference<'a> {
    fn new(kl: KlToReference<'a>, policy: &Projection) -> Self {
        let projection = Projection::new(kl.hidden, kl.head);
        assert_eq!(projection.n_rows(), policy.n_rows(), "reference and policy must have the same rows");
        assert_eq!(projection.n_words(), policy.n_words(), "reference and policy must have the same words");
        assert_eq!(kl.weights.len(), policy.n_rows(), "expected one weight of the KL per row");
        Self { projection, direction: kl.direction, weights: kl.weights }
    }
}

/// Everything that does not change from one tile to the next.
struct Pass<'a> {
    policy: Projection,
    reference: Option<Reference<'a>>,
    targets: &'a [u32],
    temperature: f32,
    tiles: Tiles,
}

/// Logits of some rows and words.
struct Tile {
    policy: Tensor<2>,
    reference: Option<Tensor<2>>,
}

/// What the first sweep over some rows found.
struct Forward {
    policy: Vec<RowSums>,
    /// Empty without a reference.
    reference: Vec<RowSums>,
    /// All tiles of these rows, where there is room for them.
    kept: Vec<Tile>,
}

impl Pass<'_> {
    fn words(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        pieces(self.policy.n_words(), self.tiles.words)
    }

    fn tile(&self, rows: &Range<usize>, words: &Range<usize>) -> Tile {
        let logits = |projection: &Projection| projection.logits(rows.clone(), words.clone());
        Tile {
            policy: logits(&self.policy),
            reference: self.reference.as_ref().map(|reference| logits(&reference.projection)),
        }
    }

    /// Sums over the vocabulary, and the logits where there is room to keep them.
    fn forward(&self, rows: Range<usize>) -> Forward {
        let mut forward = Forward { policy: Vec::new(), reference: Vec::new(), kept: Vec::new() };
        for words in self.words() {
            let tile = self.tile(&rows, &words);
            let targets = &self.targets[rows.clone()];
            merge_tile(&mut forward.policy, row_sums(&tile.policy, targets, words.start, self.temperature));
            if let Some(logits) = &tile.reference {
                merge_tile(&mut forward.reference, row_sums(logits, &[], words.start, self.temperature));
            }
            if self.tiles.is_kept {
                forward.kept.push(tile);
            }
        }
        forward
    }

    /// Adds the gradients of some rows and returns their KLs; what was not kept is computed again.
    fn add_gradient(
        &self,
        rows: Range<usize>,
        forward: &mut Forward,
        coefficients: &[f32],
        sums: &mut Sums,
    ) -> Vec<f32> {
        let normalizers: Vec<_> = forward.policy.iter().map(Normalizer::of).collect();
        let mut kl = self.reference.as_ref().map(|reference| {
            let of_reference = forward.reference.iter().map(Normalizer::of);
            RowKls::new(of_reference.zip(normalizers.iter().copied()).collect(), reference.direction)
        });
        if let Some(kl) = kl.as_mut().filter(|kl| kl.direction == KlDirection::PolicyToReference) {
            self.sum_kl(&rows, &forward.kept, kl);
        }
        let hidden_rows = self.policy.hidden_rows(rows.clone()); // [rows, D]
        let mut kept = std::mem::take(&mut forward.kept).into_iter();
        for words in self.words() {
            let tile = kept.next().unwrap_or_else(|| self.tile(&rows, &words));
            if let Some(kl) = kl.as_mut().filter(|kl| kl.direction == KlDirection::ReferenceToPolicy) {
                kl.add(&tile, self.temperature);
            }
            let place_of = |&target: &u32| place(target, words.start, words.len());
            let places: Vec<_> = self.targets[rows.clone()].iter().map(place_of).collect();
            let of_kl = self.reference.as_ref().zip(kl.as_ref()).zip(tile.reference);
            let of_kl = of_kl.map(|((reference, kl), logits)| KlGradient {
                logits,
                normalizers: &kl.normalizers,
                weights: &reference.weights[rows.clone()],
                kl: (kl.direction == KlDirection::PolicyToReference).then_some(kl.sums.as_slice()),
            });
            let gradient = logit_gradient(LogitGradient {
                logits: tile.policy,
                places: &places,
                normalizers: &normalizers,
                coefficients,
                kl: of_kl,
                temperature: self.temperature,
            });
            let head_rows = self.policy.head_rows(words.clone()); // [words, D]
            sums.add(gradient, (rows.clone(), hidden_rows.clone()), (words, head_rows));
        }
        kl.map_or_else(Vec::new, |kl| kl.sums.into_iter().map(|kl| kl as f32).collect())
    }

    /// A sweep of its own for the KLs.
    fn sum_kl(&self, rows: &Range<usize>, kept: &[Tile], kl: &mut RowKls) {
        for (tile_idx, words) in self.words().enumerate() {
            match kept.get(tile_idx) {
                Some(tile) => kl.add(tile, self.temperature),
                None => kl.add(&self.tile(rows, &words), self.temperature),
            }
        }
    }
}

/// KLs of some rows, as far as they are summed.
struct RowKls {
    direction: KlDirection,
    /// Of reference and policy, per row.
    normalizers: Vec<(Normalizer, Normalizer)>,
    /// In nats, per row.
    sums: Vec<f64>,
}

impl RowKls {
    fn new(normalizers: Vec<(Normalizer, Normalizer)>, direction: KlDirection) -> Self {
        Self { direction, sums: vec![0.0; normalizers.len()], normalizers }
    }

    fn add(&mut self, tile: &Tile, temperature: f32) {
        let reference = tile.reference.as_ref().expect("a KL has a reference");
        let terms = terms(reference, &tile.policy, &self.normalizers, temperature);
        for (sum, Terms([to_policy, to_reference, ..])) in self.sums.iter_mut().zip(terms) {
            *sum += match self.direction {
                KlDirection::ReferenceToPolicy => to_policy,
                KlDirection::PolicyToReference => to_reference,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Int};

    use super::super::test_inputs::{assert_close, budgets, matrix, noise, widened};
    use super::KlDirection::{PolicyToReference, ReferenceToPolicy};
    use super::*;
    use crate::{label_log_probs, log_probs, token_divergences, token_scores};

    const AMPLE: TileBudget = TileBudget { bytes: 1 << 20 };
    const TARGETS: [u32; 5] = [0, 66, 13, 14, 30];
    /// f_n(x) = SLOPES\[n\] · (x + x² / 20); the third row has no loss but a KL.
    const SLOPES: [f32; 5] = [-0.2, -0.3, 0.0, -0.4, 0.1];
    /// The second row has no KL.
    const KL_WEIGHTS: [f32; 5] = [0.3, 0.0, 0.2, 0.05, -0.1];

    fn policy() -> (Tensor<2>, Tensor<2>) {
        (matrix(noise(5 * 8, 1), 5) * 3.0, matrix(noise(67 * 8, 2), 67))
    }

    fn reference() -> (Tensor<2>, Tensor<2>) {
        (matrix(noise(5 * 4, 3), 5) * 3.0, matrix(noise(67 * 4, 4), 67))
    }

    fn kl(direction: KlDirection) -> KlToReference<'static> {
        let (hidden, head) = reference();
        KlToReference { hidden, head, direction, weights: &KL_WEIGHTS }
    }

    fn upstream(row: usize, log_prob: f32) -> f32 {
        SLOPES[row] * (1.0 + log_prob / 10.0)
    }

    fn host(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    fn found(
        temperature: f32,
        direction: Option<KlDirection>,
        head_weights: HeadWeights,
        budget: TileBudget,
    ) -> TokenLossGradient {
        let (hidden, head) = policy();
        let kl = direction.map(kl);
        token_loss_gradient(hidden, head, &TARGETS, temperature, &mut upstream, kl, head_weights, budget)
    }

    /// Gradients of the same loss by Burn's autodiff, over the whole logits.
    fn by_autodiff(temperature: f32, direction: Option<KlDirection>) -> (Vec<f32>, Vec<f32>) {
        let device = Device::flex().autodiff();
        let (hidden, head) = policy();
        let hidden = Tensor::<2>::from_data(hidden.into_data(), &device).require_grad();
        let head = Tensor::<2>::from_data(head.into_data(), &device).require_grad();
        let log_q = log_probs(hidden.clone().matmul(head.clone().transpose()) * (1.0 / temperature));
        let (of_reference, reference_head) = reference();
        let log_p = log_probs(of_reference.matmul(reference_head.transpose()) * (1.0 / temperature));
        let log_p = Tensor::<2>::from_data(log_p.into_data(), &device);
        let targets = Tensor::<1, Int>::from_data(TARGETS.map(|target| target as i32), &device);
        let taken = label_log_probs(log_q.clone(), targets);
        let mut loss =
            ((taken.clone() * taken.clone() * 0.05 + taken) * Tensor::from_floats(SLOPES, &device)).sum();
        let kls = match direction {
            Some(ReferenceToPolicy) => Some(log_p.clone().exp() * (log_p - log_q)),
            Some(PolicyToReference) => Some(log_q.clone().exp() * (log_q - log_p)),
            None => None,
        };
        if let Some(kls) = kls {
            let kls: Tensor<1> = kls.sum_dim(1).squeeze_dim(1);
            loss = loss + (kls * Tensor::from_floats(KL_WEIGHTS, &device)).sum();
        }
        let gradients = loss.backward();
        let of = |leaf: Tensor<2>| host(leaf.grad(&gradients).unwrap());
        (of(hidden), of(head))
    }

    #[test]
    fn autodiff_agrees_with_every_kl_temperature_and_budget() {
        for temperature in [1.0, 0.7] {
            for direction in [None, Some(ReferenceToPolicy), Some(PolicyToReference)] {
                let (of_hidden, of_head) = by_autodiff(temperature, direction);
                for budget in budgets() {
                    let found = found(temperature, direction, HeadWeights::Trained(None), budget);
                    // Logits of 12 are rounded by 1e-6, and the gradients are sums of 67 or 5 products with them.
                    assert_close(&host(found.hidden), &widened(&of_hidden), 4e-6);
                    assert_close(&host(found.head.unwrap()), &widened(&of_head), 4e-6);
                }
            }
        }
    }

    #[test]
    fn scores_and_kl_are_those_of_their_own_functions() {
        for budget in budgets() {
            for direction in [ReferenceToPolicy, PolicyToReference] {
                let found = found(1.0, Some(direction), HeadWeights::Frozen, budget);
                let (hidden, head) = policy();
                let scores = token_scores(hidden, head, &TARGETS, 1.0, budget);
                assert_close(&found.scores.log_probs, &widened(&scores.log_probs), 3e-6);
                assert_close(&found.scores.entropies, &widened(&scores.entropies), 3e-6);
                assert_eq!(found.scores.is_greedy, scores.is_greedy);
                let divergences = token_divergences(reference(), policy(), budget);
                let kl = match direction {
                    ReferenceToPolicy => divergences.kl_reference_to_policy,
                    PolicyToReference => divergences.kl_policy_to_reference,
                };
                assert_close(&found.kl, &widened(&kl), 5e-6);
            }
        }
    }

    #[test]
    fn the_kl_is_measured_at_the_temperature_of_the_loss() {
        let warm = |(hidden, head): (Tensor<2>, Tensor<2>)| (hidden * (1.0 / 0.7), head);
        let truth = token_divergences(warm(reference()), warm(policy()), AMPLE);
        let kl = |direction| found(0.7, Some(direction), HeadWeights::Frozen, AMPLE).kl;
        assert_close(&kl(ReferenceToPolicy), &widened(&truth.kl_reference_to_policy), 5e-6);
        assert_close(&kl(PolicyToReference), &widened(&truth.kl_policy_to_reference), 5e-6);
        assert!(found(0.7, None, HeadWeights::Frozen, AMPLE).kl.is_empty());
    }

    #[test]
    fn the_gradient_of_the_head_is_added_to_what_is_there() {
        for budget in budgets() {
            let fresh = found(0.7, Some(PolicyToReference), HeadWeights::Trained(None), budget);
            let before = matrix(noise(67 * 8, 9), 67);
            let sum = HeadWeights::Trained(Some(before.clone()));
            let found = found(0.7, Some(PolicyToReference), sum, budget);
            let expected = host(fresh.head.unwrap() + before.clone());
            assert_close(&host(found.head.unwrap()), &widened(&expected), 1e-6);
            assert_eq!(host(before), noise(67 * 8, 9), "a sum that others hold is left as it is");
        }
    }

    #[test]
    fn a_frozen_head_has_no_gradient_and_changes_none_of_the_others() {
        for budget in budgets() {
            let trained = found(1.0, Some(ReferenceToPolicy), HeadWeights::Trained(None), budget);
            let frozen = found(1.0, Some(ReferenceToPolicy), HeadWeights::Frozen, budget);
            assert!(frozen.head.is_none());
            assert_close(&host(frozen.hidden), &widened(&host(trained.hidden)), 1e-6);
        }
    }

    #[test]
    fn rows_are_asked_for_once_and_in_order() {
        for budget in budgets() {
            let (hidden, head) = policy();
            let mut asked = Vec::new();
            let mut upstream = |row, log_prob| {
                asked.push((row, log_prob));
                0.0
            };
            let frozen = HeadWeights::Frozen;
            let found = token_loss_gradient(hidden, head, &TARGETS, 0.7, &mut upstream, None, frozen, budget);
            let (rows, log_probs): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
            assert_eq!(rows, [0, 1, 2, 3, 4]);
            assert_eq!(log_probs, found.scores.log_probs);
        }
    }

    #[test]
    fn the_reference_itself_is_pulled_nowhere() {
        for direction in [ReferenceToPolicy, PolicyToReference] {
            for temperature in [1.0, 0.7] {
                for budget in budgets() {
                    let ((hidden, head), (of_reference, reference_head)) = (policy(), policy());
                    let weights = &[1.0; 5];
                    let kl = KlToReference { hidden: of_reference, head: reference_head, direction, weights };
                    let trained = HeadWeights::Trained(None);
                    let found = token_loss_gradient(
                        hidden,
                        head,
                        &TARGETS,
                        temperature,
                        &mut |_, _| 0.0,
                        Some(kl),
                        trained,
                        budget,
                    );
                    assert_eq!(found.kl, [0.0; 5]);
                    assert!(host(found.hidden).iter().all(|&number| number == 0.0));
                    assert!(host(found.head.unwrap()).iter().all(|&number| number == 0.0));
                }
            }
        }
    }

    #[test]
    fn a_row_without_weight_has_exactly_no_gradient() {
        let found = found(1.0, None, HeadWeights::Frozen, AMPLE);
        assert!(host(found.hidden)[2 * 8..3 * 8].iter().all(|&number| number == 0.0));
    }

    #[test]
    fn no_rows_have_no_gradient() {
        let (hidden, head) = (Tensor::zeros([0, 8], &Device::flex()), policy().1);
        let trained = HeadWeights::Trained(None);
        let found = token_loss_gradient(hidden, head, &[], 1.0, &mut |_, _| 1.0, None, trained, AMPLE);
        assert_eq!(found.hidden.dims(), [0, 8]);
        assert!(host(found.head.unwrap()).iter().all(|&number| number == 0.0));
    }

    #[test]
    fn a_bad_hidden_state_reaches_scores_and_gradients() {
        let (hidden, head) = (matrix(vec![1.0, f32::NAN], 2), matrix(vec![0.5, -1.0], 2));
        let frozen = HeadWeights::Frozen;
        let found = token_loss_gradient(hidden, head, &[0, 0], 1.0, &mut |_, _| 0.5, None, frozen, AMPLE);
        assert_eq!(found.scores.log_probs.iter().map(|x| x.is_nan()).collect::<Vec<_>>(), [false, true]);
        assert_eq!(host(found.hidden).iter().map(|x| x.is_nan()).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    #[should_panic(expected = "another shape than the head")]
    fn a_sum_of_another_shape_is_refused() {
        found(1.0, None, HeadWeights::Trained(Some(matrix(noise(66 * 8, 1), 66))), AMPLE);
    }

    #[test]
    #[should_panic(expected = "the same words")]
    fn a_reference_with_another_vocabulary_is_refused() {
        let kl = KlToReference { head: matrix(noise(66 * 4, 1), 66), ..kl(ReferenceToPolicy) };
        let (hidden, head) = policy();
        let frozen = HeadWeights::Frozen;
        token_loss_gradient(hidden, head, &TARGETS, 1.0, &mut upstream, Some(kl), frozen, AMPLE);
    }
}
