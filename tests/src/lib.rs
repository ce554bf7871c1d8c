//! Tests of several crates together; the library itself is empty.
//!
//! - `tests/golden_losses.rs`: losses, divergences, network and optimizer against PyTorch
//! - `tests/golden_metrics.rs`: fits, correlations, spectra and similarities against NumPy, SciPy and scikit-learn
//! - `tests/backends.rs`: the same losses and training steps on two backends (feature `ndarray`)
//! - `tests/parity_study.rs`: a small study, whole, resumed, refused and redrawn
//!
//! `golden/` holds the fixtures with the scripts that made them, `peers/` the programs that speed is compared with.
