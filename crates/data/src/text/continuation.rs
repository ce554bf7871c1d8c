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
/// once, and what the whole has after as many tokens is the continuation. It is scored after the context's own tokens,
/// even where the whole joins text over the border. Special tokens are those of the tokenizer's
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
    let mut encoded = encode_continuations(tokenizer, context, &[continuation])?;
    Ok(encoded.pop().expect("one was given"))
}

/// [`encode_continuation`] for several continuations of one context, which is encoded once.
///
/// # Errors
/// As there.
pub fn encode_continuations<C: AsRef<str>>(
    tokenizer: &Tokenizer,
    context: &str,
    continuations: &[C],
) -> Result<Vec<EncodedContinuation>, DataError> {
    let continuations = continuations.iter().map(AsRef::as_ref);
    if context.is_empty() {
        return continuations.map(|continuation| after_prefix(tokenizer, continuation)).collect();
    }
    let trimmed = context.trim_end_matches(is_python_space);
    let mut alone = encode(tokenizer, trimmed)?;
    let n_context = alone.len();
    if alone.is_empty() {
        // a context of white space only, and a tokenizer without a beginning token
        alone.push(prefix(tokenizer)?);
    }
    let split = |continuation: &str| {
        let mut whole = encode(tokenizer, &[context, continuation].concat())?;
        let continuation = whole.split_off(n_context.min(whole.len()));
        Ok(EncodedContinuation { context: alone.clone(), continuation })
    };
    continuations.map(split).collect()
}

fn after_prefix(tokenizer: &Tokenizer, continuation: &str) -> Result<EncodedContinuation, DataError> {
    let prefix = prefix(tokenizer)?;
    let mut ids = tokenizer.encode(continuation, false)?;
    if ids.first() == Some(&prefix) {
        ids.remove(0); // it is there already and is not put twice
    }
    Ok(EncodedContinuation { context: vec![prefix], continuation: ids })
}

/// White space as Python's `str.rstrip` has it: the four separators of ASCII are some.
fn is_python_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

fn prefix(tokenizer: &Tokenizer) -> Result<u32, DataError> {
    let prefix = tokenizer.bos().or_else(|| tokenizer.eos_ids().first().copied());
    prefix.ok_or(DataError::NoPrefixToken)
}

fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, DataError> {
    let prefix = tokenizer.bos().or_else(|| tokenizer.eos_ids().first().copied());
    // The decoded token: its name in the vocabulary may begin with the mark of a space that no text has.
    let prefix = prefix.map(|id| tokenizer.decode(&[id], false)).transpose()?;
    let has_prefix = prefix.is_some_and(|prefix| text.starts_with(&prefix));
    tokenizer.encode(text, !has_prefix)
}
