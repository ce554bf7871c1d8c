//! The one place that names a backend.

use burn::tensor::Device;
use razor_experiments::Environment;

/// Name of the backend that this binary computes with.
pub(crate) const BACKEND: &str = if cfg!(feature = "flex") {
    "flex"
} else if cfg!(feature = "ndarray") {
    "ndarray"
} else if cfg!(feature = "cuda") {
    "cuda"
} else {
    "wgpu"
};

/// What `--version` shows after the name.
pub(crate) const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("RAZOR_COMMIT"), ", burn ", env!("RAZOR_BURN"), ")");

#[cfg(not(any(feature = "flex", feature = "ndarray", feature = "cuda", feature = "wgpu")))]
compile_error!("razor needs a backend: build with one of the features flex, ndarray, wgpu, cuda");

/// The device of the build's backend; `flex` first when several are built in, so that adding a GPU feature moves no result.
pub(crate) fn device() -> Device {
    #[cfg(feature = "flex")]
    return Device::flex();
    #[cfg(all(feature = "ndarray", not(feature = "flex")))]
    #[expect(deprecated, reason = "kept for cross-checks until Burn removes it")]
    return Device::ndarray();
    #[cfg(all(feature = "cuda", not(any(feature = "flex", feature = "ndarray"))))]
    return Device::cuda(0);
    #[cfg(all(feature = "wgpu", not(any(feature = "flex", feature = "ndarray", feature = "cuda"))))]
    return Device::wgpu(Default::default());
}

/// What a study runs on, for its records.
pub(crate) fn environment(n_workers: usize) -> Environment {
    Environment {
        razor: env!("CARGO_PKG_VERSION").to_owned(),
        commit: env!("RAZOR_COMMIT").to_owned(),
        burn: env!("RAZOR_BURN").to_owned(),
        backend: BACKEND.to_owned(),
        platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        n_workers,
    }
}
