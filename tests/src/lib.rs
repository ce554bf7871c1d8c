//! Tests of several crates together; the library itself is empty.
//!
//! - `tests/golden_losses.rs`: losses, divergences, network and optimizer against PyTorch
//! - `tests/golden_metrics.rs`: fits, correlations, spectra and similarities against NumPy, SciPy and scikit-learn
//! - `tests/golden_decoder.rs`: both families of decoders, their gradients, training steps and completions against `transformers`
//! - `tests/golden_head.rs`: scores, divergences and gradients over a vocabulary, by tiles, against PyTorch
//! - `tests/golden_trl.rs`: losses of language models, advantages and the linear schedule against TRL
//! - `tests/golden_training/`: loss curves and weights of training against `transformers`, adapters against PEFT
//! - `tests/micro_batches.rs`: the gradient of a loss for every cut into micro-batches
//! - `tests/micro_batch_steps.rs`: the same for whole steps of every method, with adapters and recompute
//! - `tests/measure.rs`: shift of a policy, drift of weights and similarity of hidden states against PyTorch and NumPy
//! - `tests/real_models.rs`: two small trained models, where `RAZOR_DATA` has them
//! - `tests/save_model.rs`: a model that is written and read back
//! - `tests/backends.rs`: the same losses and training steps on two backends (feature `ndarray`)
//! - `tests/parity_study.rs`: a small study, whole, resumed, refused and redrawn
//!
//! `golden/` holds the fixtures with the scripts that made them, `peers/` the programs that speed is compared with.
