//! Language models: fine-tuning runs, an embedded base and how it is pre-trained, and how fast a network of Qwen2.5-0.5B's shape is.

pub mod fine_tune;
mod head_cost;
pub mod pretrain;
mod process_memory;
mod random_decoder;
mod speed;
pub mod study;
pub mod tiny_base;
pub mod tiny_suite;
mod train_speed;

pub use head_cost::{HeadCost, HeadCosts, measure_head_costs};
pub use speed::{LlmSpeed, measure_llm_speed};
pub use train_speed::{StepSpeed, TrainSpeed, measure_train_speed};
