//! The helper that enters Linux namespaces and becomes the interpreter; only [`razor_benchmarks::sandbox`] starts it.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(code) = razor_benchmarks::sandbox::enter_if_asked() {
        return code;
    }
    eprintln!("razor-sandbox is started by razor's sandbox for generated programs, on Linux");
    ExitCode::FAILURE
}
