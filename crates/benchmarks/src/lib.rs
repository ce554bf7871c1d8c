//! Prior-ability benchmarks: programs from records and a [`sandbox`] that runs them, [`ifeval`]'s checkers.
//!
//! Nothing here may run generated code outside the sandbox, unless the caller asks for that by name.
//!
//! ```
//! use razor_benchmarks::pass_at_k;
//!
//! assert_eq!(pass_at_k(4, 1, 1), Some(0.25));
//! ```

mod humaneval_program;
pub mod ifeval;
#[cfg(unix)]
pub mod sandbox;

pub use humaneval_program::{
    HUMANEVAL_STOPS, HumanEvalError, HumanEvalRecord, cut_at_stop, parse_humaneval, pass_at_k,
};
