//! A policy that is trained: its gradients, its optimizer, its steps.
//!
//! Losses come as a function from a token's log-probability to the derivative of the loss with respect to it, made from
//! the whole batch before it is cut into micro-batches. So the gradient does not depend on how a batch is cut or packed.

use std::collections::HashMap;

use burn::module::ParamId;
use burn::tensor::{DType, Tensor};
use razor_data::TokenExample;
use razor_models::{Decoder, Gradients, ParameterRef};
use razor_tensor::{
    AdamWTensors, HeadWeights, KlDirection, KlToReference, TileBudget, token_loss_gradient, token_scores,
};
use serde::{Deserialize, Serialize};

use crate::AdamWConfig;
use crate::language::micro_batch::MicroBatch;
use crate::language::weight_anchor::WeightAnchor;

/// How a policy is updated, besides the learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnerConfig {
    /// The optimizer. Weight decay spares biases and norms, as transformers' trainer does.
    pub adamw: AdamWConfig,
    /// The global norm that gradients are clipped to; 0 does not clip.
    pub max_grad_norm: f64,
    /// Tokens of one pass through the network; a longer sequence is alone. Changes memory and speed, no gradient.
    pub micro_batch_tokens: usize,
    /// Keep only the stream between layers and compute the layers again: less memory, a third more time.
    pub recompute: bool,
    /// MiB that tiles of logits may take.
    pub tile_mib: usize,
}

/// A parameter that is trained.
#[derive(Debug, Clone)]
pub struct TrainedParameter {
    /// Its name in the checkpoint or the adapter.
    pub name: String,
    /// What gradients and moments are kept under.
    pub id: ParamId,
    /// A bias or the scale of a norm, which weight decay spares.
    pub is_vector: bool,
    /// Numbers in it.
    pub n_values: usize,
}

/// A policy with its gradients and its optimizer.
#[derive(Debug)]
pub struct Learner {
    /// There between steps.
    pub(super) policy: Option<Decoder>,
    parameters: Vec<TrainedParameter>,
    gradients: Gradients,
    pub(super) moments: HashMap<ParamId, Moments>,
    config: LearnerConfig,
    anchor: Option<WeightAnchor>,
    pub(super) n_updates: usize,
}

#[derive(Debug)]
pub(super) struct Moments {
    pub(super) mean: Tensor<2>,
    pub(super) square: Tensor<2>,
    /// The parameter in f32, where the policy holds it in fewer digits.
    pub(super) master: Option<Tensor<2>>,
}

/// What a policy says of the completion of one sequence, a value per token.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SequenceScores {
    /// log π(token), nats, at the temperature of the loss.
    pub log_probs: Vec<f32>,
    /// Of the next token, nats.
    pub entropies: Vec<f32>,
    /// Whether the token is the likeliest.
    pub is_greedy: Vec<bool>,
    /// Exact KL in the direction of the loss, nats; empty without such a term.
    pub kl: Vec<f32>,
}

/// An exact KL to a frozen policy as a part of the loss.
#[derive(Debug)]
pub struct KlTerm<'a> {
    /// The frozen policy.
    pub reference: &'a Decoder,
    /// Which of both the expectation is taken under.
    pub direction: KlDirection,
    /// Weight of each token of a sequence of the batch in the loss.
    pub weights: &'a [f64],
    /// Sequences that the reference reads instead, such as prompts with a demonstration; same completions.
    pub read_by_reference: Option<&'a [&'a TokenExample]>,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// Global norm of the gradient before clipping.
    pub grad_norm: f64,
    /// What holding the weights near their start added to the loss; 0 without an anchor.
    pub penalty: f64,
    /// Whether weights changed: not where the gradient is not finite.
    pub is_finite: bool,
}

impl Learner {
    /// A learner of all weights, or of the adapters alone where the policy has some.
    pub fn new(policy: Decoder, config: LearnerConfig) -> Self {
        let describe = |(name, parameter): (String, ParameterRef<'_>)| TrainedParameter {
            name,
            id: parameter.id(),
            is_vector: matches!(parameter, ParameterRef::Vector(_)),
            n_values: parameter.values().shape().num_elements(),
        };
        let parameters: Vec<TrainedParameter> = trained(&policy).into_iter().map(describe).collect();
        let gradients = Gradients::of(parameters.iter().map(|parameter| parameter.id));
        let moments = trained(&policy)
            .into_iter()
            .map(|(_, parameter)| (parameter.id(), Moments::of(&parameter.values())))
            .collect();
        Self { policy: Some(policy), parameters, gradients, moments, config, anchor: None, n_updates: 0 }
    }

    /// The policy as it is now.
    pub fn policy(&self) -> &Decoder {
        self.policy.as_ref().expect("the policy is there between steps")
    }

    /// What is trained, in a fixed order.
    pub fn parameters(&self) -> &[TrainedParameter] {
        &self.parameters
    }

    /// Optimizer steps so far.
    pub fn n_updates(&self) -> usize {
        self.n_updates
    }

    pub(super) fn micro_batch_tokens(&self) -> usize {
        self.config.micro_batch_tokens
    }

    pub(super) fn tiles(&self) -> TileBudget {
        TileBudget { bytes: self.config.tile_mib << 20 }
    }

    /// Scores the completions of a batch without any gradient.
    pub fn score(&self, batch: &[&TokenExample], temperature: f32) -> Vec<SequenceScores> {
        score(self.policy(), batch, temperature, self.config.micro_batch_tokens, self.tiles())
    }

    /// Adds the gradient of a loss over the completions of a batch, and gives what the policy says of them.
    ///
    /// `upstream(sequence, token, log_prob)` is the derivative of the loss with respect to the log-probability of that
    /// token of the completion; it is called once per token, in order.
    pub fn accumulate(
        &mut self,
        batch: &[&TokenExample],
        temperature: f32,
        kl: Option<&KlTerm<'_>>,
        upstream: &mut dyn FnMut(usize, usize, f32) -> f32,
    ) -> Vec<SequenceScores> {
        let mut scores = Vec::with_capacity(batch.len());
        for micro_batch in MicroBatch::cut(batch, self.config.micro_batch_tokens) {
            scores.extend(self.accumulate_micro_batch(batch, micro_batch, temperature, kl, upstream));
        }
        scores
    }

    fn accumulate_micro_batch(
        &mut self,
        batch: &[&TokenExample],
        micro_batch: MicroBatch,
        temperature: f32,
        kl: Option<&KlTerm<'_>>,
        upstream: &mut dyn FnMut(usize, usize, f32) -> f32,
    ) -> Vec<SequenceScores> {
        let tiles = self.tiles();
        let policy = self.policy.as_ref().expect("the policy is there between steps");
        let MicroBatch { members, tokens, rows, targets, completions } = micro_batch;
        let weights: Vec<f32> = match kl {
            Some(kl) => members
                .clone()
                .zip(&completions)
                .flat_map(|(idx, tokens)| std::iter::repeat_n(kl.weights[idx] as f32, tokens.len()))
                .collect(),
            None => Vec::new(),
        };
        let reference = kl.map(|kl| {
            let read = kl.read_by_reference.unwrap_or(batch);
            let read = MicroBatch::cut(&read[members.clone()], usize::MAX).swap_remove(0);
            KlToReference {
                hidden: kl.reference.forward_packed(&read.tokens, &read.rows),
                head: kl.reference.head(),
                direction: kl.direction,
                weights: &weights,
            }
        });
        let (hidden, activations) = policy.forward_for_training(tokens, &rows, self.config.recompute);
        let head = policy.head_parameter();
        let head_weights = match self.gradients.wants(head) {
            true => HeadWeights::Trained(self.gradients.take(head)),
            false => HeadWeights::Frozen,
        };
        let mut places = members
            .zip(&completions)
            .flat_map(|(idx, tokens)| (0..tokens.len()).map(move |token| (idx, token)));
        let mut of_row = |_: usize, log_prob: f32| {
            let (sequence, token) = places.next().expect("one call per row");
            upstream(sequence, token, log_prob)
        };
        let found = token_loss_gradient(
            hidden,
            policy.head(),
            &targets,
            temperature,
            &mut of_row,
            reference,
            head_weights,
            tiles,
        );
        if let Some(sum) = found.head {
            self.gradients.put(head, sum);
        }
        policy.backward(activations, found.hidden, &mut self.gradients);
        completions
            .into_iter()
            .map(|range| SequenceScores {
                log_probs: found.scores.log_probs[range.clone()].to_vec(),
                entropies: found.scores.entropies[range.clone()].to_vec(),
                is_greedy: found.scores.is_greedy[range.clone()].to_vec(),
                kl: found.kl.get(range).unwrap_or_default().to_vec(),
            })
            .collect()
    }

    /// Holds all weights near their start from now on.
    ///
    /// # Panics
    /// When adapters are trained, which start at zero.
    #[must_use]
    pub fn with_anchor(self, anchor: WeightAnchor) -> Self {
        assert!(self.policy().adapter_parameters().is_empty(), "weights are held, adapters are not");
        Self { anchor: Some(anchor), ..self }
    }

    /// Adds the gradient of the penalty; gives the penalty.
    fn add_penalty(&mut self) -> f64 {
        let Some(anchor) = &self.anchor else { return 0.0 };
        let policy = self.policy.as_ref().expect("the policy is there between steps");
        let mut penalty = 0.0;
        for (name, parameter) in policy.parameters() {
            let (loss, gradient) = anchor.penalty(&name, parameter.values());
            penalty += loss;
            let sum = match self.gradients.take(parameter.id()) {
                Some(sum) => sum + gradient,
                None => gradient,
            };
            self.gradients.put(parameter.id(), sum);
        }
        penalty
    }

    /// Takes an optimizer step with the gradients so far, and starts new ones.
    ///
    /// Without any gradient the step is taken by the momentum alone. Where the gradient is not finite nothing changes, and the caller stops.
    pub fn step(&mut self, learning_rate: f64) -> Update {
        let penalty = self.add_penalty();
        let ids = self.parameters.iter().map(|parameter| parameter.id);
        let grad_norm = self.gradients.sum_of_squares(ids).sqrt();
        if !grad_norm.is_finite() {
            return Update { grad_norm, penalty, is_finite: false };
        }
        let clip = self.config.max_grad_norm;
        // The floor is PyTorch's.
        let scale = if clip > 0.0 { (clip / (grad_norm + 1e-6)).min(1.0) } else { 1.0 };
        self.n_updates += 1;
        let update = |decays: bool| {
            let weight_decay = if decays { self.config.adamw.weight_decay } else { 0.0 };
            let config = AdamWConfig { weight_decay, ..self.config.adamw };
            config.update(self.n_updates, learning_rate).with_gradient_scale(scale as f32)
        };
        let (with_decay, without) = (update(true), update(false));
        let is_vector: HashMap<ParamId, bool> =
            self.parameters.iter().map(|parameter| (parameter.id, parameter.is_vector)).collect();
        let (gradients, moments) = (&mut self.gradients, &mut self.moments);
        let policy = self.policy.take().expect("the policy is there between steps");
        self.policy = Some(policy.updated(|id, values| {
            let Some(kept) = moments.remove(&id) else { return values }; // frozen
            // A step in which nothing was learned still moves by its momentum, as in PyTorch.
            let gradient = gradients.take(id).unwrap_or_else(|| kept.mean.zeros_like());
            let update = if is_vector[&id] { without } else { with_decay };
            let (values, kept) = kept.step(values, update, &gradient);
            moments.insert(id, kept);
            values
        }));
        Update { grad_norm, penalty, is_finite: true }
    }
}

impl Moments {
    fn of(values: &Tensor<2>) -> Self {
        let zeros = || Tensor::zeros(values.dims(), (&values.device(), DType::F32));
        let master = (values.dtype() != DType::F32).then(|| values.clone().cast(DType::F32));
        Self { mean: zeros(), square: zeros(), master }
    }

    fn step(
        self,
        values: Tensor<2>,
        update: razor_tensor::AdamWUpdate,
        gradient: &Tensor<2>,
    ) -> (Tensor<2>, Self) {
        let Self { mean, square, master } = self;
        match master {
            None => {
                let AdamWTensors { values, mean, square } =
                    update.apply_to(AdamWTensors { values, mean, square }, gradient);
                (values, Self { mean, square, master: None })
            }
            Some(master) => {
                let dtype = values.dtype();
                let AdamWTensors { values: master, mean, square } =
                    update.apply_to(AdamWTensors { values: master, mean, square }, gradient);
                (master.clone().cast(dtype), Self { mean, square, master: Some(master) })
            }
        }
    }
}

/// What a learner of this policy trains.
fn trained(policy: &Decoder) -> Vec<(String, ParameterRef<'_>)> {
    let adapters = policy.adapter_parameters();
    if adapters.is_empty() { policy.parameters() } else { adapters }
}

/// Scores the completions of a batch under a policy.
pub fn score(
    policy: &Decoder,
    batch: &[&TokenExample],
    temperature: f32,
    micro_batch_tokens: usize,
    tiles: TileBudget,
) -> Vec<SequenceScores> {
    let mut all = Vec::with_capacity(batch.len());
    for micro_batch in MicroBatch::cut(batch, micro_batch_tokens) {
        let hidden = policy.forward_packed(&micro_batch.tokens, &micro_batch.rows);
        let found = token_scores(hidden, policy.head(), &micro_batch.targets, temperature, tiles);
        all.extend(micro_batch.completions.into_iter().map(|range| SequenceScores {
            log_probs: found.log_probs[range.clone()].to_vec(),
            entropies: found.entropies[range.clone()].to_vec(),
            is_greedy: found.is_greedy[range].to_vec(),
            kl: Vec::new(),
        }));
    }
    all
}
