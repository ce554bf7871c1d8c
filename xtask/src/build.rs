//! `cargo xtask build`: a release binary for one backend.

use std::ffi::OsString;
use std::process::ExitCode;

use lexopt::prelude::*;

use crate::backend::Backend;
use crate::cargo;
use crate::usage::UsageError;

pub(crate) const HELP: &str = "\
Builds razor in the release profile and prints the path of the binary.

Usage: cargo xtask build [--backend BACKEND]

Options:
  --backend BACKEND   flex (default): CPU; ndarray: CPU, for cross-checks; wgpu: any GPU; cuda: NVIDIA GPUs

`cuda` needs LLVM and a C++ compiler at build time. What is missing is said before anything is built, with how to get
it. The CUDA toolkit is not needed to build; the driver and NVRTC are loaded when razor starts. To build for an older
driver set CUDARC_CUDA_VERSION, for example 12080 for CUDA 12.8.

Example:
  cargo xtask build --backend cuda
";

pub(crate) fn run(args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let mut backend = Backend::default();
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("backend") => {
                let name = parser.value()?.string()?;
                backend = name.parse::<Backend>()?;
            }
            Value(name) => {
                let name = name.to_string_lossy();
                return Err(
                    UsageError::new(format!("unexpected `{name}`; did you mean --backend {name}?")).into()
                );
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    println!("{}", cargo::build_razor(backend)?.display());
    Ok(ExitCode::SUCCESS)
}
