//! A prompt and its completion as token ids, with the trained span known exactly.
//!
//! Generation sees the prompt's ids and then samples. Where the ids of the whole text begin with those of the prompt, what
//! follows is the completion: so tokenizers that put a space before every text of their own put none in the middle. Where
//! the encoding merges over the border it gives ids that no sampler would have produced after this prompt; prompt and
//! completion are then encoded apart and joined, and such rows are counted ([`TokenExample::boundary_differs`]).

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::text::chat_template::{ChatOptions, ChatTemplate};
use crate::text::conversation::Message;
use crate::text::tokenizer::Tokenizer;

/// One row to train on, as text.
#[derive(Debug, Clone, PartialEq)]
pub enum ExampleText {
    /// A conversation that the model answers.
    Chat {
        /// Everything before the answer.
        prompt: Vec<Message>,
        /// The answer, without any token that ends it.
        completion: String,
    },
    /// Text that the model goes on with; no template.
    Plain {
        /// Text before.
        prompt: String,
        /// Text to train on, without an end token.
        completion: String,
    },
}

/// How rows become tokens.
#[derive(Debug, Clone)]
pub struct ExampleRecipe<'a> {
    /// The model's tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The model's chat template; needed for [`ExampleText::Chat`].
    pub template: Option<&'a ChatTemplate>,
    /// Tools, documents and the date of every chat.
    pub chat: ChatOptions,
    /// Tokens a row may have, prompt and completion together.
    pub context_len: usize,
    /// What happens to longer rows.
    pub length_policy: LengthPolicy,
}

/// What happens to rows that do not fit into the context. Rows are never cut: a cut completion has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LengthPolicy {
    /// The first one is an error.
    Refuse,
    /// They are left out and counted in [`ExampleCounts`].
    DropAndCount,
}

/// Why a row cannot be trained on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message documents its variant")]
pub enum ExampleProblem {
    #[error("the completion is empty, so no token would be trained")]
    EmptyCompletion,
    #[error("the prompt has no token, so nothing predicts the first token of the completion")]
    EmptyPrompt,
    #[error(
        "the prompt begins with two beginning tokens (id {id}); the template or the text already has one"
    )]
    DoubleBos { id: u32 },
    #[error(
        "the completion does not end with a stop token (ids {stop_ids:?}), so the model would never learn to stop"
    )]
    MissingEos { stop_ids: Vec<u32> },
    #[error(
        "stop token {id} stands inside the completion, at token {at} of the row; generation would end there"
    )]
    StopInside { at: usize, id: u32 },
    #[error("text {text:?} at token {at} of the row is not in the vocabulary")]
    UnknownToken { at: usize, text: String },
    #[error(
        "the template changes the conversation once it is answered: at byte {at} expected {expected:?} (prompt and \
         completion), found {found:?} (whole conversation)"
    )]
    TemplateDrift { at: usize, expected: String, found: String },
    #[error("the prompt has {found} tokens, which leaves no room in a context of {context_len}")]
    PromptTooLong { found: usize, context_len: usize },
    #[error("prompt and completion have {found} tokens, the context {context_len}")]
    TotalTooLong { found: usize, context_len: usize },
    #[error("{reason}")]
    Unusable { reason: String },
}

/// A row of token ids of which the last part is trained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenExample {
    /// Prompt, then completion.
    pub ids: Vec<u32>,
    /// Tokens of `ids` to train on: the completion with the stop token that ends it.
    pub completion: Range<usize>,
    /// Whether encoding prompt and completion as one text merges over the border, so that both were encoded apart.
    pub boundary_differs: bool,
}

impl TokenExample {
    /// Tokens before the completion.
    pub fn prompt_ids(&self) -> &[u32] {
        &self.ids[..self.completion.start]
    }

    /// Tokens of the completion, the stop token included.
    pub fn completion_ids(&self) -> &[u32] {
        &self.ids[self.completion.clone()]
    }

    /// For each token 1 if it is trained, else 0.
    pub fn mask(&self) -> Vec<u8> {
        (0..self.ids.len()).map(|token_idx| u8::from(self.completion.contains(&token_idx))).collect()
    }
}

/// What became of the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExampleCounts {
    /// Rows given.
    pub n_rows: usize,
    /// Rows kept.
    pub n_kept: usize,
    /// Rows left out because their prompt fills the context.
    pub n_prompt_too_long: usize,
    /// Rows left out because prompt and completion exceed the context.
    pub n_total_too_long: usize,
    /// Rows kept whose joined text encodes to other ids.
    pub n_boundary_differs: usize,
    /// Prompt tokens of the rows kept.
    pub n_prompt_tokens: usize,
    /// Trained tokens of the rows kept, stop tokens included.
    pub n_completion_tokens: usize,
    /// Tokens of the longest row kept.
    pub longest: usize,
}

/// Builds every row and counts what was kept and left out.
///
/// # Errors
/// [`DataError::Example`] with the number of the first row that has a problem. Only rows that are too long may be left
/// out instead, if [`LengthPolicy`] says so.
pub fn build_examples(
    rows: impl IntoIterator<Item = ExampleText>,
    recipe: &ExampleRecipe<'_>,
) -> Result<(Vec<TokenExample>, ExampleCounts), DataError> {
    let drops = recipe.length_policy == LengthPolicy::DropAndCount;
    let (mut examples, mut counts) = (Vec::new(), ExampleCounts::default());
    for (row, text) in rows.into_iter().enumerate() {
        counts.n_rows += 1;
        match build_example(&text, recipe) {
            Ok(example) => {
                counts.n_kept += 1;
                counts.n_boundary_differs += usize::from(example.boundary_differs);
                counts.n_prompt_tokens += example.completion.start;
                counts.n_completion_tokens += example.completion.len();
                counts.longest = counts.longest.max(example.ids.len());
                examples.push(example);
            }
            Err(ExampleProblem::PromptTooLong { .. }) if drops => counts.n_prompt_too_long += 1,
            Err(ExampleProblem::TotalTooLong { .. }) if drops => counts.n_total_too_long += 1,
            Err(problem) => return Err(DataError::Example { row, problem }),
        }
    }
    Ok((examples, counts))
}

/// One row as tokens.
///
/// Chat: the prompt is the rendered conversation with the generation prompt, encoded without added tokens (a template
/// writes its own). The completion is its text and then what the template itself puts after an answer, up to and with
/// the first stop token; a line break behind that is not trained. Plain: the prompt gets the tokens the model's files put
/// before a text (none after it), the completion gets the end token.
///
/// # Errors
/// The first [`ExampleProblem`]; a row that is too long is one, whatever the policy.
pub fn build_example(text: &ExampleText, recipe: &ExampleRecipe<'_>) -> Result<TokenExample, ExampleProblem> {
    let parts = match text {
        ExampleText::Chat { prompt, completion } => chat_parts(prompt, completion, recipe)?,
        ExampleText::Plain { prompt, completion } => plain_parts(prompt, completion, recipe)?,
    };
    let start = parts.prompt.len();
    let boundary_differs = !parts.joint.starts_with(&parts.prompt);
    let ids = if boundary_differs { [parts.prompt, parts.completion].concat() } else { parts.joint };
    let example = TokenExample { completion: start..ids.len(), ids, boundary_differs };
    check(&example, recipe)?;
    Ok(example)
}

/// Ids of both parts, and of the same text encoded as one.
struct Parts {
    prompt: Vec<u32>,
    completion: Vec<u32>,
    joint: Vec<u32>,
}

fn chat_parts(
    messages: &[Message],
    completion: &str,
    recipe: &ExampleRecipe<'_>,
) -> Result<Parts, ExampleProblem> {
    let Some(template) = recipe.template else {
        return Err(ExampleProblem::Unusable { reason: "a chat needs the model's chat template".to_owned() });
    };
    if completion.is_empty() {
        return Err(ExampleProblem::EmptyCompletion);
    }
    let prompt = template.render(messages, true, &recipe.chat).map_err(unusable)?;
    let answered: Vec<Message> = messages.iter().cloned().chain([Message::assistant(completion)]).collect();
    let full = template.render(&answered, false, &recipe.chat).map_err(unusable)?;
    let expected = [prompt.as_str(), completion].concat();
    let Some(tail) = full.strip_prefix(expected.as_str()) else {
        return Err(drift(&expected, &full));
    };

    let tokenizer = recipe.tokenizer;
    let encode = |text: &str| tokenizer.encode(text, false).map_err(unusable);
    let tail_ids = tokenizer.encode_with_offsets(tail, false).map_err(unusable)?;
    let stop = tail_ids.iter().position(|(id, _)| tokenizer.eos_ids().contains(id));
    let Some(stop) = stop else {
        return Err(ExampleProblem::MissingEos { stop_ids: tokenizer.eos_ids().to_vec() });
    };
    let end = expected.len() + tail_ids[stop].1.end;
    let mut completion = encode(completion)?;
    completion.extend(tail_ids[..=stop].iter().map(|(id, _)| id));
    Ok(Parts { prompt: encode(&prompt)?, completion, joint: encode(&full[..end])? })
}

fn plain_parts(prompt: &str, completion: &str, recipe: &ExampleRecipe<'_>) -> Result<Parts, ExampleProblem> {
    let tokenizer = recipe.tokenizer;
    let Some(&eos) = tokenizer.eos_ids().first() else {
        return Err(ExampleProblem::MissingEos { stop_ids: Vec::new() });
    };
    if completion.is_empty() {
        return Err(ExampleProblem::EmptyCompletion);
    }
    // Some models' files also put the end token after every text; between prompt and completion it would be wrong.
    let encode_open = |text: &str| {
        let mut ids = tokenizer.encode(text, true).map_err(unusable)?;
        let bare = tokenizer.encode(text, false).map_err(unusable)?;
        if ids.last() == Some(&eos) && ids.ends_with(&[bare.as_slice(), &[eos]].concat()) {
            ids.pop();
        }
        Ok(ids)
    };
    let mut completion_ids = tokenizer.encode(completion, false).map_err(unusable)?;
    completion_ids.push(eos);
    let mut joint = encode_open(&[prompt, completion].concat())?;
    joint.push(eos);
    Ok(Parts { prompt: encode_open(prompt)?, completion: completion_ids, joint })
}

fn check(example: &TokenExample, recipe: &ExampleRecipe<'_>) -> Result<(), ExampleProblem> {
    let tokenizer = recipe.tokenizer;
    let stop_ids = tokenizer.eos_ids();
    let (prompt, completion) = (example.prompt_ids(), example.completion_ids());
    let Some((last, inside)) = completion.split_last() else {
        return Err(ExampleProblem::EmptyCompletion);
    };
    if inside.is_empty() {
        return Err(ExampleProblem::EmptyCompletion); // the text vanished, as control characters may
    }
    if prompt.is_empty() {
        return Err(ExampleProblem::EmptyPrompt);
    }
    if let Some(id) = tokenizer.bos().filter(|&bos| prompt.starts_with(&[bos, bos])) {
        return Err(ExampleProblem::DoubleBos { id });
    }
    if !stop_ids.contains(last) {
        return Err(ExampleProblem::MissingEos { stop_ids: stop_ids.to_vec() });
    }
    if let Some(at) = inside.iter().position(|id| stop_ids.contains(id)) {
        return Err(ExampleProblem::StopInside { at: prompt.len() + at, id: inside[at] });
    }
    if let Some(at) = tokenizer.unk().and_then(|unk| example.ids.iter().position(|&id| id == unk)) {
        let around = &example.ids[at.saturating_sub(4)..example.ids.len().min(at + 5)];
        let text = around.iter().map(|&id| tokenizer.token_text(id)).collect();
        return Err(ExampleProblem::UnknownToken { at, text });
    }
    let context_len = recipe.context_len;
    if prompt.len() >= context_len {
        return Err(ExampleProblem::PromptTooLong { found: prompt.len(), context_len });
    }
    if example.ids.len() > context_len {
        return Err(ExampleProblem::TotalTooLong { found: example.ids.len(), context_len });
    }
    Ok(())
}

fn drift(expected: &str, found: &str) -> ExampleProblem {
    let mut at = expected.bytes().zip(found.bytes()).take_while(|(left, right)| left == right).count();
    while !(expected.is_char_boundary(at) && found.is_char_boundary(at)) {
        at -= 1;
    }
    let show = |text: &str| text[at..].chars().take(40).collect();
    ExampleProblem::TemplateDrift { at, expected: show(expected), found: show(found) }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn unusable(error: DataError) -> ExampleProblem {
    ExampleProblem::Unusable { reason: error.to_string() }
}
