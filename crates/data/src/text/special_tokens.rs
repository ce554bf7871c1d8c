//! Which tokens a model folder names as beginning, end, padding and unknown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::AddedToken;

use crate::error::DataError;
use crate::text::model_folder::JsonFile;

const NAMES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
/// The newer name first: the older one counts only without it.
const LISTS: [&str; 2] = ["extra_special_tokens", "additional_special_tokens"];
const BY_ID: &str = "added_tokens_decoder";

/// What `tokenizer_config.json` and `special_tokens_map.json` say besides `tokenizer.json`.
#[derive(Debug)]
pub(crate) struct DeclaredTokens {
    /// The configuration, to name it in errors.
    pub(crate) config_path: PathBuf,
    /// `bos_token`, `eos_token` and the like to their text.
    pub(crate) named: BTreeMap<String, String>,
    /// Tokens that the vocabulary must hold as special ones, in the order in which they are added.
    pub(crate) special: Vec<AddedToken>,
    /// `added_tokens_decoder`, by rising id.
    pub(crate) by_id: Vec<(u32, AddedToken)>,
}

impl DeclaredTokens {
    /// Reads both files; either may be absent. The map is the older of the two: it is read, and wins, only where the
    /// configuration does not list the added tokens by id.
    pub(crate) fn read(folder: &Path) -> Result<Self, DataError> {
        let config = JsonFile::read(folder, "tokenizer_config.json")?;
        let map = JsonFile::read(folder, "special_tokens_map.json")?;
        let by_id = read_by_id(&config)?;
        let files = if config.fields.contains_key(BY_ID) { vec![&config] } else { vec![&map, &config] };
        let mut tokens = Named::default();
        for name in NAMES {
            if let Some((file, value)) = files.iter().find_map(|file| Some((*file, file.get(name)?))) {
                tokens.add(name, added_token(file, name, value, true)?);
            }
        }
        // Any further field of this form is a token of this model alone, known to its template by that name.
        for (name, value) in &config.fields {
            if name.ends_with("_token") && value.is_string() && !NAMES.contains(&name.as_str()) {
                tokens.add(name, added_token(&config, name, value, true)?);
            }
        }
        for file in files {
            read_list(file, &mut tokens)?;
        }
        Ok(Self { named: tokens.named, special: tokens.special, by_id, config_path: config.path })
    }
}

#[derive(Default)]
struct Named {
    named: BTreeMap<String, String>,
    special: Vec<AddedToken>,
}

impl Named {
    fn add(&mut self, name: &str, token: AddedToken) {
        self.named.insert(name.to_owned(), token.content.clone());
        self.special.push(token);
    }
}

/// Special tokens without a name, or with one of the model's own.
fn read_list(file: &JsonFile, tokens: &mut Named) -> Result<(), DataError> {
    let given = LISTS.into_iter().find_map(|name| Some((name, file.get(name)?)));
    match given {
        None => {}
        Some((name, Value::Array(list))) => {
            for token in list {
                tokens.special.push(added_token(file, name, token, true)?);
            }
        }
        Some((name, Value::Object(entries))) => {
            for (key, token) in entries {
                tokens.add(key, added_token(file, name, token, true)?);
            }
        }
        Some((name, other)) => return Err(file.wrong(name, "a list or object of tokens", other)),
    }
    Ok(())
}

/// Stop ids of `generation_config.json`; those of `config.json` where the former is absent.
pub(crate) fn read_stop_ids(folder: &Path) -> Result<Vec<u32>, DataError> {
    let generation = JsonFile::read(folder, "generation_config.json")?;
    let file = if generation.exists { generation } else { JsonFile::read(folder, "config.json")? };
    let field = "eos_token_id";
    let id = |value: &Value| {
        let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| file.wrong(field, "a token id or a list of them", value))
    };
    match file.get(field) {
        None => Ok(Vec::new()),
        Some(Value::Array(ids)) => ids.iter().map(id).collect(),
        Some(value) => Ok(vec![id(value)?]),
    }
}

fn read_by_id(config: &JsonFile) -> Result<Vec<(u32, AddedToken)>, DataError> {
    let field = BY_ID;
    let mut tokens = Vec::new();
    match config.get(field) {
        None => {}
        Some(Value::Object(entries)) => {
            for (id, entry) in entries {
                let id = id
                    .parse()
                    .map_err(|_| config.wrong(field, "token ids as keys", &Value::from(id.as_str())))?;
                tokens.push((id, added_token(config, field, entry, false)?));
            }
        }
        Some(other) => return Err(config.wrong(field, "an object", other)),
    }
    tokens.sort_by_key(|(id, _)| *id);
    Ok(tokens)
}

/// A token written as a string or as `{"content": .., "lstrip": ..}`; `special` where the text does not say.
fn added_token(file: &JsonFile, field: &str, value: &Value, special: bool) -> Result<AddedToken, DataError> {
    let wrong = || file.wrong(field, "a token as text or as an object with `content`", value);
    match value {
        Value::String(content) => Ok(AddedToken::from(content.clone(), special)),
        Value::Object(entry) => {
            let content = entry.get("content").and_then(Value::as_str).ok_or_else(wrong)?;
            let flag = |name| entry.get(name).and_then(Value::as_bool);
            let special = special || flag("special").unwrap_or(false);
            Ok(AddedToken::from(content, special)
                .lstrip(flag("lstrip").unwrap_or(false))
                .rstrip(flag("rstrip").unwrap_or(false))
                .single_word(flag("single_word").unwrap_or(false))
                .normalized(flag("normalized").unwrap_or(!special)))
        }
        _ => Err(wrong()),
    }
}
