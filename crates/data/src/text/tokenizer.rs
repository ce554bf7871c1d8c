//! Text to token ids and back, as the model's own files say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::Path;

use crate::error::DataError;
use crate::text::panic_guard::guarded;
use crate::text::special_tokens::{DeclaredTokens, read_stop_ids};

/// A model's tokenizer with its beginning, end, padding and stop tokens.
///
/// Gives the ids of `AutoTokenizer` of `transformers` 5. The post-processor of `tokenizer.json` says what surrounds a
/// text; `add_bos_token` and `add_eos_token` of `tokenizer_config.json` are not read where `tokenizer.json` exists, as
/// there. One difference is kept: for some classes (`LlamaTokenizer`) that library rebuilds the tokenizer and loses the
/// unknown token, so text outside the vocabulary vanishes; here `tokenizer.json` is taken as it is.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    named: BTreeMap<String, String>,
    special_ids: BTreeSet<u32>,
    bos: Option<u32>,
    pad: Option<u32>,
    unk: Option<u32>,
    eos_ids: Vec<u32>,
    vocab_len: usize,
}

impl Tokenizer {
    /// Reads a model folder: `tokenizer.json`, and where they exist `tokenizer_config.json`,
    /// `special_tokens_map.json` and `generation_config.json` (or else `config.json`) for the stop ids.
    ///
    /// # Errors
    /// [`DataError::Read`], [`Json`](DataError::Json), [`JsonField`](DataError::JsonField),
    /// [`TokenizerFile`](DataError::TokenizerFile), or [`TokenId`](DataError::TokenId) where two files disagree on the
    /// id of a token.
    pub fn load(folder: &Path) -> Result<Self, DataError> {
        let path = folder.join("tokenizer.json");
        let bytes = fs::read(&path).map_err(|source| DataError::Read { path: path.clone(), source })?;
        let unusable = |reason: String| DataError::TokenizerFile { path: path.clone(), reason };
        let mut inner = run_engine(|| tokenizers::Tokenizer::from_bytes(&bytes), unusable)?;
        // A file may ask for padding and truncation; neither may happen without being asked for here.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| unusable(error.to_string()))?;

        let declared = DeclaredTokens::read(folder)?;
        add_declared_tokens(&mut inner, &declared, &path)?;
        let id_of = |name: &str| inner.token_to_id(declared.named.get(name)?);
        let (bos, pad, unk) = (id_of("bos_token"), id_of("pad_token"), id_of("unk_token"));
        let mut eos_ids: Vec<u32> = id_of("eos_token").into_iter().collect();
        for id in read_stop_ids(folder)? {
            if !eos_ids.contains(&id) {
                eos_ids.push(id);
            }
        }
        let special = inner.get_added_tokens_decoder().into_iter().filter(|(_, token)| token.special);
        let special_ids = special.map(|(id, _)| id).collect();
        let vocab_len = inner.get_vocab(true).values().max().map_or(0, |&id| id as usize + 1);
        Ok(Self { inner, named: declared.named, special_ids, bos, pad, unk, eos_ids, vocab_len })
    }

    /// The ids of a text. `add_special` puts the beginning and end tokens around it that the model's files ask for;
    /// special tokens written in the text become their ids in any case.
    ///
    /// # Errors
    /// [`DataError::Encode`] where the vocabulary has no token for some text and no unknown token either.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, DataError> {
        let run = || self.inner.encode_fast(text, add_special);
        let encoding = run_engine(run, |reason| encode_error(text, reason))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The ids of a text, each with the bytes of `text` it stands for; added tokens have an empty range.
    ///
    /// Ranges of neighbours overlap where one character takes several tokens.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_with_offsets(
        &self,
        text: &str,
        add_special: bool,
    ) -> Result<Vec<(u32, Range<usize>)>, DataError> {
        let run = || self.inner.encode(text, add_special);
        let encoding = run_engine(run, |reason| encode_error(text, reason))?;
        let offsets = encoding.get_offsets().iter().map(|&(start, end)| start..end);
        Ok(encoding.get_ids().iter().copied().zip(offsets).collect())
    }

    /// The text of ids; `skip_special` leaves special tokens out. Ids without a token give nothing, and bytes that are
    /// not UTF-8 give U+FFFD.
    ///
    /// # Errors
    /// [`DataError::Decode`] where the decoder of `tokenizer.json` refuses the tokens.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, DataError> {
        let refuse = |reason| DataError::Decode { n_tokens: ids.len(), reason };
        run_engine(|| self.inner.decode(ids, skip_special), refuse)
    }

    /// One token as text for a reader: its text, its vocabulary entry where it is only part of a character, or
    /// `<no token 7>`. Not for joining: use [`decode`](Self::decode).
    pub fn token_text(&self, id: u32) -> String {
        let Some(piece) = self.inner.id_to_token(id) else {
            return format!("<no token {id}>");
        };
        if self.is_special(id) {
            return piece;
        }
        if piece.contains('\u{2581}') {
            // SentencePiece's mark of a space, which decoding alone would strip at the start.
            return piece.replace('\u{2581}', " ");
        }
        match self.decode(&[id], false) {
            Ok(text) if !text.is_empty() && !text.contains('\u{fffd}') => text,
            _ => piece,
        }
    }

    /// The token that begins a text, if the model has one.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// Every id that ends a completion: the tokenizer's end token first, then those of the generation settings. Empty
    /// if the files name none.
    pub fn eos_ids(&self) -> &[u32] {
        &self.eos_ids
    }

    /// The token that fills short rows, if the model has one.
    pub fn pad(&self) -> Option<u32> {
        self.pad
    }

    /// The token that stands for text outside the vocabulary, if the model has one.
    pub fn unk(&self) -> Option<u32> {
        self.unk
    }

    /// One more than the largest id with a token. A model may have more rows in its embedding.
    pub fn vocab_len(&self) -> usize {
        self.vocab_len
    }

    /// Whether a token is special: never plain text, left out of decoded text on request.
    pub fn is_special(&self, id: u32) -> bool {
        self.special_ids.contains(&id)
    }

    /// `bos_token`, `eos_token` and the like with their text, as chat templates see them.
    pub fn special_tokens(&self) -> &BTreeMap<String, String> {
        &self.named
    }

    /// Whether an id has a token that is part of the text; ids without one decode to nothing.
    pub(crate) fn is_text(&self, id: u32) -> bool {
        !self.is_special(id) && self.inner.id_to_token(id).is_some()
    }

    /// Whether a token stands for one byte, written `<0x0A>`, which decodes only together with its neighbours.
    pub(crate) fn is_byte_token(&self, id: u32) -> bool {
        self.inner.id_to_token(id).is_some_and(|piece| {
            let digits = piece.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
            digits.is_some_and(|digits| digits.len() == 2)
        })
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the vocabulary: 150,000 lines help nobody.
        f.debug_struct("Tokenizer")
            .field("vocab_len", &self.vocab_len)
            .field("named", &self.named)
            .field("eos_ids", &self.eos_ids)
            .finish_non_exhaustive()
    }
}

/// Adds the tokens that other files declare and `tokenizer.json` lacks.
fn add_declared_tokens(
    inner: &mut tokenizers::Tokenizer,
    declared: &DeclaredTokens,
    path: &Path,
) -> Result<(), DataError> {
    let unusable = |reason: String| DataError::TokenizerFile { path: path.to_owned(), reason };
    let known = |inner: &tokenizers::Tokenizer, content: &str| {
        let id = inner.token_to_id(content);
        id.is_some_and(|id| inner.get_added_tokens_decoder().contains_key(&id))
    };
    for (id, token) in &declared.by_id {
        if !known(inner, &token.content) {
            inner.add_tokens([token.clone()]).map_err(|error| unusable(error.to_string()))?;
        }
        match inner.token_to_id(&token.content) {
            Some(found) if found != *id => {
                let (path, token) = (declared.config_path.clone(), token.content.clone());
                return Err(DataError::TokenId { path, token, declared: *id, found });
            }
            _ => {}
        }
    }
    for token in &declared.special {
        if !known(inner, &token.content) {
            inner.add_special_tokens([token.clone()]).map_err(|error| unusable(error.to_string()))?;
        }
    }
    Ok(())
}

/// Runs the engine. Its version 0.23.2 panics on some files, such as one that adds a token it does not list.
fn run_engine<T>(
    run: impl FnOnce() -> tokenizers::Result<T>,
    refuse: impl Fn(String) -> DataError,
) -> Result<T, DataError> {
    guarded(|| run().map_err(|error| refuse(error.to_string())), &refuse)
}

fn encode_error(text: &str, reason: String) -> DataError {
    DataError::Encode { start: text.chars().take(40).collect(), reason }
}
