//! Names of the numbers of a step, the same in `steps.jsonl`, in TensorBoard and on the terminal.
//!
//! KL divergences are in nats and named after their direction, expectation under the first name. Shares are in `[0, 1]`.

/// Loss of the batch that was minimized.
pub const LOSS: &str = "loss";
/// Mean reward of the step's completions.
pub const REWARD_MEAN: &str = "reward/mean";
/// Standard deviation of the step's rewards.
pub const REWARD_STD: &str = "reward/std";
/// KL(π₀‖π), the paper's "forward KL", mean per token.
pub const KL_REFERENCE_TO_POLICY: &str = "kl/reference_to_policy";
/// KL(π‖π₀), mean per token.
pub const KL_POLICY_TO_REFERENCE: &str = "kl/policy_to_reference";
/// Entropy of the policy's next token, mean per token, nats.
pub const ENTROPY: &str = "entropy";
/// Share of tokens whose ratio of probabilities was cut at the lower bound.
pub const CLIP_LOW: &str = "clip/low";
/// Share of tokens whose ratio of probabilities was cut at the upper bound.
pub const CLIP_HIGH: &str = "clip/high";
/// Mean length of the completions, tokens.
pub const LENGTH_MEAN: &str = "length/mean";
/// Length of the shortest completion, tokens.
pub const LENGTH_MIN: &str = "length/min";
/// Length of the longest completion, tokens.
pub const LENGTH_MAX: &str = "length/max";
/// Share of completions that ended at the limit of tokens rather than by themselves.
pub const TRUNCATED_SHARE: &str = "truncated_share";
/// Share of groups whose rewards are all equal, so that they teach nothing.
pub const ZERO_VARIANCE_SHARE: &str = "zero_variance_share";
/// Norm of the gradient before it was clipped.
pub const GRAD_NORM: &str = "grad_norm";
/// Step size of the optimizer.
pub const LEARNING_RATE: &str = "learning_rate";
/// Mean absolute difference of log-probabilities between sampler and trainer on the same tokens, nats.
pub const SAMPLER_GAP_MEAN: &str = "sampler_gap/mean";
/// The largest such difference, nats.
pub const SAMPLER_GAP_MAX: &str = "sampler_gap/max";

/// Wall-clock: tokens that went through the policy for each second of the step.
pub const TOKENS_PER_SECOND: &str = "tokens_per_second";
/// Wall-clock: seconds of the whole step.
pub const STEP_SECONDS: &str = "step_seconds";
/// Wall-clock: seconds of drawing completions.
pub const SAMPLING_SECONDS: &str = "sampling_seconds";
/// Wall-clock: seconds of forward, backward and optimizer.
pub const TRAINING_SECONDS: &str = "training_seconds";

/// Epochs of the data so far.
pub const EPOCH: &str = "epoch";
/// The KL that is a part of the loss, mean per trained token, nats.
pub const KL_IN_LOSS: &str = "kl/in_loss";
/// Share of trained tokens that are the policy's likeliest.
pub const TOKEN_ACCURACY: &str = "token_accuracy";
/// Mean of the scaled difference between preferred and rejected completion.
pub const REWARD_GAP: &str = "pairs/reward_gap";
/// Share of pairs whose preferred completion scores higher.
pub const REWARD_ACCURACY: &str = "pairs/reward_accuracy";
/// What holding the weights near their start adds to the loss.
pub const WEIGHT_PENALTY: &str = "weight_penalty";
/// Share of the completions drawn by the base that are right.
pub const RIGHT_SHARE: &str = "right_share";
