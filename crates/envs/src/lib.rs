//! Rewards: whether a completion answers its task, and why.
//!
//! A gold answer is parsed once, by [`Judge::new`]; one that cannot be parsed is an error there and never rewards
//! anything. Every completion then gets a [`Verdict`]: correct, wrong, or unparseable, with the reason and the text that
//! was taken for the answer.
//!
//! A reward is a function of its arguments alone. This crate must never read a clock, a file or a random source, start a
//! thread, or panic on what a policy wrote: work is bounded by the limits of [`limits`], not by time-outs.
//!
//! ```
//! use razor_data::Answer;
//! use razor_envs::{Judge, Outcome};
//!
//! let judge = Judge::new(&Answer::Math { accepted: vec![r"\frac{1}{2}".to_owned()] })?;
//! let verdict = judge.judge(r"Half of it is \boxed{0.5}.");
//! assert_eq!(verdict.outcome, Outcome::Correct);
//! assert_eq!(verdict.extracted.as_deref(), Some("0.5"));
//! assert_eq!(judge.judge("I do not know").outcome, Outcome::Unparseable);
//! # Ok::<(), razor_envs::RewardError>(())
//! ```

mod chemistry;
mod choice;
mod error;
mod judge;
pub mod limits;
mod math;
mod text;
mod tool_call;
mod tool_call_parse;
mod verdict;

pub use choice::{ChoiceGold, choice_answer};
pub use error::RewardError;
pub use judge::{Judge, judge};
pub use math::{MathGold, math_answer};
pub use text::{TextGold, text_answer};
pub use tool_call::{ToolCallGold, tool_call};
pub use verdict::{Outcome, Verdict};
