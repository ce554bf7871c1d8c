//! Cutting a completion at the first of some texts, token by token.

use crate::error::DataError;
use crate::text::tokenizer::Tokenizer;

/// Undecoded tokens from which on a damaged character is no longer waited for.
const MAX_PENDING: usize = 24;
/// A character has at most four bytes, hence four tokens.
const LONGEST_CHARACTER: usize = 4;

/// Watches the tokens of one row for stop strings.
///
/// After every token, the text so far equals [`Tokenizer::decode`] of all its tokens without special ones, but only the
/// last few are decoded again. Stop strings are found across token borders.
#[derive(Debug, Clone)]
pub struct StopStrings<'a> {
    tokenizer: &'a Tokenizer,
    stops: Vec<String>,
    longest: usize,
    /// Text that further tokens cannot change.
    settled: String,
    /// The last tokens: those before `n_context` are settled and only give the others their context.
    window: Vec<u32>,
    n_context: usize,
    /// Text of the window's context, and of the tokens after it.
    context_text: String,
    pending: String,
    cut: Option<usize>,
}

impl<'a> StopStrings<'a> {
    /// A matcher before the first token; clone it for each row.
    ///
    /// # Errors
    /// [`DataError::EmptyStopString`].
    pub fn new(tokenizer: &'a Tokenizer, stops: &[String]) -> Result<Self, DataError> {
        if let Some(idx) = stops.iter().position(String::is_empty) {
            return Err(DataError::EmptyStopString { idx });
        }
        Ok(Self {
            tokenizer,
            stops: stops.to_vec(),
            longest: stops.iter().map(String::len).max().unwrap_or(0),
            settled: String::new(),
            window: Vec::new(),
            n_context: 0,
            context_text: String::new(),
            pending: String::new(),
            cut: None,
        })
    }

    /// Takes the next token; `true` once a stop string is in the text. Tokens after that are ignored.
    ///
    /// # Errors
    /// [`DataError::Decode`].
    pub fn push(&mut self, id: u32) -> Result<bool, DataError> {
        if self.cut.is_some() {
            return Ok(true);
        }
        if !self.tokenizer.is_text(id) {
            return Ok(false);
        }
        self.window.push(id);
        let text = self.tokenizer.decode(&self.window, true)?;
        // The context may decode differently now only while it is empty; then nothing is settled yet.
        self.pending = text.strip_prefix(self.context_text.as_str()).unwrap_or(&text).to_owned();
        self.search();
        if self.cut.is_none() {
            self.settle(id, &text)?;
        }
        Ok(self.cut.is_some())
    }

    /// The completion so far, cut before the stop string if one was found.
    pub fn text(&self) -> String {
        let mut text = [self.settled.as_str(), &self.pending].concat();
        if let Some(cut) = self.cut {
            text.truncate(cut);
        }
        text
    }

    /// Looks for stop strings that end in the pending text.
    fn search(&mut self) {
        let mut from = self.settled.len().saturating_sub(self.longest.saturating_sub(1));
        while !self.settled.is_char_boundary(from) {
            from -= 1;
        }
        let tail = [&self.settled[from..], self.pending.as_str()].concat();
        let first = self.stops.iter().filter_map(|stop| tail.find(stop.as_str())).min();
        self.cut = first.map(|at| from + at);
    }

    /// Moves pending text to the settled one where no later token can change it.
    fn settle(&mut self, last: u32, text: &str) -> Result<(), DataError> {
        if self.pending.is_empty() || self.tokenizer.is_byte_token(last) {
            return Ok(());
        }
        if !self.pending.ends_with('\u{fffd}') {
            return self.settle_all();
        }
        if self.window.len() - self.n_context <= MAX_PENDING {
            return Ok(());
        }
        // Damaged text: settle all but the last tokens, at a place where decoding apart gives the same.
        for n in (self.n_context + 1..=self.window.len() - LONGEST_CHARACTER).rev() {
            let head = self.tokenizer.decode(&self.window[..n], true)?;
            let tail = self.tokenizer.decode(&self.window[n - 1..], true)?;
            let context = self.tokenizer.decode(&self.window[n - 1..n], true)?;
            let joined = tail.strip_prefix(context.as_str()).map(|rest| [&head, rest].concat());
            if !context.is_empty() && joined.as_deref() == Some(text) {
                let n_settled = head.len() - self.context_text.len();
                let rest = self.pending.split_off(n_settled);
                self.settled.push_str(&self.pending);
                self.pending = rest;
                self.window.drain(..n - 1);
                self.n_context = 1;
                self.context_text = context;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Settles all pending text; its tokens become the context of the next.
    fn settle_all(&mut self) -> Result<(), DataError> {
        let context_text = self.tokenizer.decode(&self.window[self.n_context..], true)?;
        if context_text.is_empty() {
            // Alone these tokens say nothing, as a space that is stripped at the start: keep more of them.
            return Ok(());
        }
        self.settled.push_str(&self.pending);
        self.pending.clear();
        self.window.drain(..self.n_context);
        self.n_context = self.window.len();
        self.context_text = context_text;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_window_stays_short_however_long_and_damaged_the_text() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/text/byte_level");
        let tokenizer = Tokenizer::load(&folder).unwrap();
        let bytes = tokenizer.encode("\u{6a21}", false).unwrap();
        let runs = [
            tokenizer.encode(&"the answer \u{6a21} ".repeat(50), false).unwrap(),
            vec![bytes[0]; 300],
            vec![bytes[1]; 300],
            [bytes[0], bytes[1]].repeat(150),
        ];
        // A character that ends after damage of any length is whole.
        let repaired = (15..40).map(|n| [vec![bytes[0]; n], bytes.clone()].concat());
        for ids in runs.into_iter().chain(repaired) {
            let mut matcher = StopStrings::new(&tokenizer, &["no such text".to_owned()]).unwrap();
            for &id in &ids {
                assert!(!matcher.push(id).unwrap());
                assert!(matcher.window.len() <= MAX_PENDING + 4, "{} tokens", matcher.window.len());
            }
            assert_eq!(matcher.text(), tokenizer.decode(&ids, true).unwrap());
        }
    }
}
