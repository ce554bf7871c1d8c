//! A language model of Qwen2.5-0.5B's shape, measured.

mod speed;

pub use speed::{LlmSpeed, measure_llm_speed};
