//! One fine-tuning run of a language model: settings, data, method, folder.

mod memory;
mod run;
mod run_target;
mod settings;
mod task_text;
mod time;

pub use memory::ExpectedMemory;
pub use run::{BaseModel, NothingToLearn, Prepared};
pub use run_target::RunTarget;
pub use settings::{
    AnchorSettings, CadenceSettings, FineTuneSettings, FisherSettings, LoraSettings, MemorySettings,
    MethodSettings, PromptStyle, ReplaySettings, TaskSettings,
};
pub use task_text::{ModelText, TaskQuestions};
pub use time::ExpectedTime;
