//! Text for language models: chat templates, tokens, the span that is trained, and what stops a completion.
//!
//! Order of use: [`Message`]s are rendered by a [`ChatTemplate`], a [`Tokenizer`] turns the text into a
//! [`TokenExample`], several examples make a [`TokenBatch`]. [`render_tokens`] shows what is trained on;
//! [`StopStrings`] cuts what was sampled.

mod chat_template;
mod continuation;
mod conversation;
mod model_folder;
mod panic_guard;
mod preview;
mod prompt_time;
mod python_filters;
mod python_json;
mod python_methods;
mod python_repr;
mod special_tokens;
mod stop;
mod token_batch;
mod token_example;
mod tokenizer;

pub use chat_template::{ChatOptions, ChatTemplate, TemplateName};
pub use continuation::{EncodedContinuation, encode_continuation, encode_continuations};
pub use conversation::Message;
pub use preview::{PreviewStyle, render_tokens};
pub use prompt_time::PromptTime;
pub use stop::StopStrings;
pub use token_batch::TokenBatch;
pub use token_example::{
    ExampleCounts, ExampleProblem, ExampleRecipe, ExampleText, LengthPolicy, TokenExample, build_example,
    build_examples,
};
pub use tokenizer::Tokenizer;
