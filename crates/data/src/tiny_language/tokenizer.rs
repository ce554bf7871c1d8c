//! The tokenizer of the language in Hugging Face's layout: a word is a token, words are between spaces.

use serde_json::{Map, Value, json};

use crate::tiny_language::vocabulary::{END, PAD, UNKNOWN, WORDS};

/// Files of the tokenizer, by name; their number of tokens is that of the vocabulary.
///
/// Text is split at spaces alone, since a line break is a word.
pub fn tokenizer_files() -> Vec<(&'static str, String)> {
    let id = |word: &str| WORDS.iter().position(|known| known == word);
    let special = [PAD, END, UNKNOWN].map(|content| {
        json!({
            "id": id(content), "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    });
    let vocabulary: Map<String, Value> =
        WORDS.iter().enumerate().map(|(id, word)| (word.clone(), Value::from(id))).collect();
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": special,
        "normalizer": null,
        "pre_tokenizer": {
            "type": "Split", "pattern": { "String": " " }, "behavior": "Removed", "invert": false,
        },
        "post_processor": null,
        "decoder": null,
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": UNKNOWN },
    });
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": PAD,
        "eos_token": END,
        "unk_token": UNKNOWN,
        "clean_up_tokenization_spaces": false,
        "model_max_length": 1_000_000,
    });
    let generation = json!({ "eos_token_id": id(END), "pad_token_id": id(PAD) });
    let pretty = |value: &Value| format!("{value:#}\n");
    vec![
        ("tokenizer.json", pretty(&tokenizer)),
        ("tokenizer_config.json", pretty(&config)),
        ("generation_config.json", pretty(&generation)),
    ]
}

#[cfg(test)]
mod tests {
    use crate::tiny_language::vocabulary::{END, WORDS};
    use crate::{TaskId, Tokenizer, load_task};

    #[test]
    fn the_tokenizer_gives_texts_back_and_ends_them() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in super::tokenizer_files() {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let tokenizer = Tokenizer::load(dir.path()).unwrap();
        assert_eq!(tokenizer.vocab_len(), WORDS.len());
        assert_eq!(tokenizer.eos_ids(), tokenizer.encode(END, false).unwrap());
        for task in TaskId::GENERATED {
            for example in load_task(task, None, dir.path()).unwrap().examples.iter().take(200) {
                let (prompt, target) = (&example.prompt[0].content, example.target.as_ref().unwrap());
                let ids = tokenizer.encode(&[prompt.as_str(), target].concat(), true).unwrap();
                let parts = [prompt, target].map(|text| tokenizer.encode(text, true).unwrap());
                assert_eq!(ids, parts.concat(), "nothing is merged over the border");
                assert_eq!(format!(" {}", tokenizer.decode(&parts[1], true).unwrap()), *target);
            }
        }
    }
}
