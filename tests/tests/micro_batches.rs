//! The gradient of an optimizer step does not depend on how the step is cut into micro-batches.
//!
//! Every loss of language models goes the whole way: weights from all lengths, log-probabilities, terms, and gradients of
//! hidden states and of a head whose sum is carried from one micro-batch to the next.

#![expect(clippy::unwrap_used, reason = "a tensor without data should fail the test here")]

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use razor_core::Seed;
use razor_tensor::{HeadWeights, KlDirection, KlToReference, TileBudget, token_loss_gradient, token_scores};
use razor_trainers::language::loss::{
    Reduction, SequenceInput, SftLoss, active_lengths, paper_simpo, policy_gradient_preset, standard_simpo,
};

const LENGTHS: [usize; 6] = [4, 1, 7, 3, 5, 2];
const IS_TRUNCATED: [bool; 6] = [false, false, true, false, false, false];
const ADVANTAGES: [f32; 6] = [1.5, -0.75, 1.0, 0.25, -1.25, 0.5];
const N_TOKENS: usize = 22;
const N_WORDS: usize = 13;
const WIDTH: usize = 5;
const BUDGET: TileBudget = TileBudget { bytes: 1 << 20 };

/// Derivatives of the loss by the log-probabilities of some sequences, and weights of an exact KL at their tokens.
type Loss<'a> = Box<dyn Fn(Range<usize>, &[f32]) -> (Vec<f32>, Vec<f32>) + 'a>;

fn numbers(label: &str, n: usize) -> Vec<f32> {
    let mut rng = Seed::new(3).derive(label, 0).rng();
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn matrix(label: &str, n_rows: usize, rows: Range<usize>) -> Tensor<2> {
    let all = numbers(label, n_rows * WIDTH);
    let taken = all[rows.start * WIDTH..rows.end * WIDTH].to_vec();
    Tensor::from_data(TensorData::new(taken, [rows.len(), WIDTH]), &Device::flex())
}

/// Where the tokens of some sequences are.
fn tokens(sequences: Range<usize>) -> Range<usize> {
    LENGTHS[..sequences.start].iter().sum()..LENGTHS[..sequences.end].iter().sum()
}

/// Gradients of hidden states and head of a whole step, `size` sequences at a time.
fn step(loss: &Loss<'_>, size: usize) -> (Vec<f32>, Vec<f32>) {
    let head = matrix("head", N_WORDS, 0..N_WORDS);
    let (mut of_hidden, mut of_head) = (Vec::new(), None);
    for start in (0..LENGTHS.len()).step_by(size) {
        let sequences = start..LENGTHS.len().min(start + size);
        let rows = tokens(sequences.clone());
        let targets: Vec<u32> = rows.clone().map(|row| (row * 5 % N_WORDS) as u32).collect();
        let hidden = matrix("hidden", N_TOKENS, rows.clone()) * 3.0;
        let log_probs = token_scores(hidden.clone(), head.clone(), &targets, 0.7, BUDGET).log_probs;
        let (upstream, kl_weights) = loss(sequences, &log_probs);
        let kl = KlToReference {
            hidden: matrix("reference", N_TOKENS, rows) * 3.0,
            head: head.clone(),
            direction: KlDirection::PolicyToReference,
            weights: &kl_weights,
        };
        let found = token_loss_gradient(
            hidden,
            head.clone(),
            &targets,
            0.7,
            &mut |row, _| upstream[row],
            Some(kl),
            HeadWeights::Trained(of_head.take()),
            BUDGET,
        );
        of_hidden.extend(found.hidden.into_data().try_into_vec::<f32>().unwrap());
        of_head = found.head;
    }
    (of_hidden, of_head.unwrap().into_data().try_into_vec().unwrap())
}

fn assert_same_for_every_size(loss: &Loss<'_>, sizes: &[usize], name: &str) {
    let (whole_hidden, whole_head) = step(loss, LENGTHS.len());
    assert!(whole_head.iter().any(|number| number.abs() > 1e-4), "{name} has no gradient");
    for &size in sizes {
        let (hidden, head) = step(loss, size);
        for (found, whole) in hidden.iter().zip(&whole_hidden).chain(head.iter().zip(&whole_head)) {
            // The same f32 terms in another order, sums below 4.
            assert!((found - whole).abs() < 1e-6, "{name}, {size} at a time: {found}, whole {whole}");
        }
    }
}

#[test]
fn policy_gradients_are_the_same_for_every_size() {
    let (behavior, reference) = (numbers("behavior", N_TOKENS), numbers("reference log-probs", N_TOKENS));
    for name in
        ["trl_grpo", "trl_rloo", "dr_grpo", "dapo", "gspo", "cispo", "bnpo", "paper_grpo", "reinforce_1_0"]
    {
        let preset = policy_gradient_preset(name).unwrap();
        let reduction = match preset.reduction {
            Reduction::LocalTokenMean { .. } => Reduction::LocalTokenMean { local_batch: 4 },
            reduction => reduction,
        };
        let lengths = active_lengths(&LENGTHS, &IS_TRUNCATED, preset.mask_truncated);
        let weights = reduction.weights(&lengths, 8);
        let loss: Loss<'_> = Box::new(|sequences, log_probs| {
            let (mut gradient, mut kl_weights) = (Vec::new(), Vec::new());
            let first = tokens(sequences.clone()).start;
            for idx in sequences {
                let rows = tokens(idx..idx + 1);
                let log_probs = &log_probs[rows.start - first..rows.end - first];
                let drift = behavior[rows.clone()].iter().zip(log_probs);
                let behavior: Vec<_> = drift.map(|(noise, log_prob)| log_prob + 0.5 * noise).collect();
                let input = SequenceInput {
                    log_probs,
                    behavior_log_probs: &behavior,
                    reference_log_probs: Some(&reference[rows.clone()]),
                    advantage: ADVANTAGES[idx],
                    sampler_correction: None,
                };
                gradient.extend(preset.loss.sequence(&input, weights[idx]).gradient);
                kl_weights.extend(vec![0.1 * weights[idx] as f32; rows.len()]);
            }
            (gradient, kl_weights)
        });
        assert_same_for_every_size(&loss, &[1, 2, 3, 4, 5], name);
    }
}

#[test]
fn supervised_gradients_are_the_same_for_every_size() {
    let weights = Reduction::TokenMean.weights(&LENGTHS, 8);
    for loss in [SftLoss::Nll, SftLoss::Dft] {
        let of_tokens: Loss<'_> = Box::new(|_, log_probs| {
            let gradient = log_probs.iter().map(|&log_prob| loss.token(log_prob, weights[0]).gradient);
            (gradient.collect(), vec![0.0; log_probs.len()])
        });
        assert_same_for_every_size(&of_tokens, &[1, 2, 3, 4, 5], &format!("{loss:?}"));
    }
}

#[test]
fn gradients_of_pairs_are_the_same_for_every_size() {
    for loss in [paper_simpo(), standard_simpo()] {
        let of_pairs: Loss<'_> = Box::new(|sequences, log_probs| {
            let first = tokens(sequences.clone()).start;
            let of = |rows: &Range<usize>| &log_probs[rows.start - first..rows.end - first];
            let mut gradient = Vec::new();
            for idx in sequences.step_by(2) {
                let (chosen, rejected) = (tokens(idx..idx + 1), tokens(idx + 1..idx + 2));
                let term = loss.pair(of(&chosen), of(&rejected), 1.0 / 3.0);
                gradient.extend(vec![term.chosen_gradient; chosen.len()]);
                gradient.extend(vec![term.rejected_gradient; rejected.len()]);
            }
            (gradient, vec![0.0; log_probs.len()])
        });
        assert_same_for_every_size(&of_pairs, &[2, 4], &format!("{loss:?}"));
    }
}
