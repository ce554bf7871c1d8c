//! Where a context ends and its continuation begins, in tokens.

use crate::error::DataError;
use crate::text::tokenizer::Tokenizer;

/// Token ids of a context and of what is scored after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedContinuation {
    /// What the policy reads first; never empty.
    pub context: Vec<u32>,
    /// What is scored; empty where the text adds no token.
    pub continuation: Vec<u32>,
}

/// Splits as lm-evaluation-harness 0.4.13 does, so that log-probabilities can be compared with its own.
///
/// White space at the end of the context belongs to the continuation. Both together are encoded once, the context alone
/// once, and what the whole has after as many tokens is the continuation. Special tokens are those of the tokenizer's
/// own rule, none where the text begins with the beginning token already. An empty context is the beginning token, or
/// the end token where the model has none.
///
/// # Errors
/// [`DataError::NoPrefixToken`] for an empty context where the model has neither token; [`DataError::Encode`].
pub fn encode_continuation(
    tokenizer: &Tokenizer,
    context: &str,
    continuation: &str,
) -> Result<EncodedContinuation, DataError> {
    if context.is_empty() {
        return after_prefix(tokenizer, continuation);
    }
    let trimmed = context.trim_end();
    let moved = [&context[trimmed.len()..], continuation].concat();
    let mut whole = encode(tokenizer, &[trimmed, &moved].concat())?;
    let n_context = encode(tokenizer, trimmed)?.len().min(whole.len());
    let continuation = whole.split_off(n_context);
    if whole.is_empty() {
        // a context of white space only, and a tokenizer without a beginning token
        return Ok(EncodedContinuation { context: vec![prefix(tokenizer)?], continuation });
    }
    Ok(EncodedContinuation { context: whole, continuation })
}

fn after_prefix(tokenizer: &Tokenizer, continuation: &str) -> Result<EncodedContinuation, DataError> {
    let prefix = prefix(tokenizer)?;
    let mut ids = tokenizer.encode(continuation, false)?;
    if ids.first() == Some(&prefix) {
        ids.remove(0); // it is there already and is not put twice
    }
    Ok(EncodedContinuation { context: vec![prefix], continuation: ids })
}

fn prefix(tokenizer: &Tokenizer) -> Result<u32, DataError> {
    let prefix = tokenizer.bos().or_else(|| tokenizer.eos_ids().first().copied());
    prefix.ok_or(DataError::NoPrefixToken)
}

fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, DataError> {
    let prefix = tokenizer.bos().or_else(|| tokenizer.eos_ids().first().copied());
    let has_prefix = prefix.is_some_and(|id| text.starts_with(&tokenizer.token_text(id)));
    tokenizer.encode(text, !has_prefix)
}
