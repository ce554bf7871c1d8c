//! Tokenizers against `transformers`, on our own small ones and, where they are, on real ones.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of any `#[test]`")]

use std::fs;
use std::path::{Path, PathBuf};

use razor_data::Tokenizer;
use serde_json::{Value, json};

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn optional_id(value: &Value) -> Option<u32> {
    value.as_u64().map(|id| id as u32)
}

#[test]
fn ids_offsets_and_decoded_text_are_those_of_transformers() {
    let golden = read_json(&golden_folder().join("text.json"));
    let mut n_cases = 0;
    for (name, expected) in golden["encodings"].as_object().unwrap() {
        let tokenizer = Tokenizer::load(&golden_folder().join("text").join(name)).unwrap();
        assert_eq!(tokenizer.vocab_len(), expected["n_tokens"].as_u64().unwrap() as usize);
        assert_eq!(tokenizer.bos(), optional_id(&expected["bos"]));
        assert_eq!(tokenizer.pad(), optional_id(&expected["pad"]));
        assert_eq!(Some(tokenizer.eos_ids()[0]), optional_id(&expected["eos"]));
        assert_eq!(json!(tokenizer.special_tokens()), sorted(&expected["special_tokens"]));
        for case in expected["cases"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            assert_eq!(tokenizer.encode(text, false).unwrap(), ids(&case["ids"]), "{name}: {text:?}");
            let with_special = tokenizer.encode(text, true).unwrap();
            assert_eq!(with_special, ids(&case["with_special"]), "{name}: {text:?}");
            assert_eq!(tokenizer.decode(&with_special, false).unwrap(), case["decoded"], "{name}: {text:?}");
            let plain = tokenizer.decode(&with_special, true).unwrap();
            assert_eq!(plain, case["decoded_without_special"], "{name}: {text:?}");

            let offsets = tokenizer.encode_with_offsets(text, false).unwrap();
            // Python counts characters, we count bytes.
            let byte = |n: &Value| {
                let n = n.as_u64().unwrap() as usize;
                text.char_indices().nth(n).map_or(text.len(), |(at, _)| at)
            };
            for ((_, range), pair) in offsets.iter().zip(case["offsets"].as_array().unwrap()) {
                assert_eq!((range.start, range.end), (byte(&pair[0]), byte(&pair[1])), "{name}: {text:?}");
            }
            n_cases += 1;
        }
    }
    assert_eq!(n_cases, 32);
}

fn sorted(object: &Value) -> Value {
    let map: std::collections::BTreeMap<_, _> = object.as_object().unwrap().iter().collect();
    json!(map)
}

/// A copy of one of our folders with fields of a file set or, where null, removed.
fn changed_folder(name: &str, file: &str, fields: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(golden_folder().join("text").join(name)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = folder.path().join(file);
    let mut content = read_json(&path);
    for (field, value) in fields.as_object().unwrap() {
        if value.is_null() {
            content.as_object_mut().unwrap().remove(field);
        } else {
            content[field] = value.clone();
        }
    }
    fs::write(path, content.to_string()).unwrap();
    folder
}

#[test]
fn flags_for_bos_and_eos_do_what_they_do_in_transformers() {
    let golden = read_json(&golden_folder().join("text.json"));
    for (name, cases) in golden["flags"].as_object().unwrap() {
        for case in cases.as_array().unwrap() {
            let fields =
                json!({"add_bos_token": case["add_bos_token"], "add_eos_token": case["add_eos_token"]});
            let folder = changed_folder(name, "tokenizer_config.json", &fields);
            let tokenizer = Tokenizer::load(folder.path()).unwrap();
            for (text, expected) in ["the answer", "<s>"].iter().zip(case["ids"].as_array().unwrap()) {
                assert_eq!(tokenizer.encode(text, true).unwrap(), ids(expected), "{name}: {fields}");
            }
        }
    }
}

#[test]
fn stop_ids_come_from_the_tokenizer_and_the_generation_settings() {
    let ours = golden_folder().join("text");
    let tokenizer = Tokenizer::load(&ours.join("byte_level")).unwrap();
    let text = |id: &u32| tokenizer.token_text(*id);
    assert_eq!(tokenizer.eos_ids().iter().map(text).collect::<Vec<_>>(), ["<|im_end|>", "<|endoftext|>"]);
    // config.json counts only where there are no generation settings.
    assert_eq!(Tokenizer::load(&ours.join("byte_fallback")).unwrap().eos_ids(), [2]);
    let folder = changed_folder("byte_fallback", "config.json", &json!({"eos_token_id": [2, 7]}));
    assert_eq!(Tokenizer::load(folder.path()).unwrap().eos_ids(), [2, 7]);
    fs::write(folder.path().join("generation_config.json"), r#"{"eos_token_id": 9}"#).unwrap();
    assert_eq!(Tokenizer::load(folder.path()).unwrap().eos_ids(), [2, 9]);
}

#[test]
fn each_refusal_names_the_file_and_the_field() {
    let config = "tokenizer_config.json";
    let token = json!({"3": {"content": "<|im_end|>", "special": true}});
    let refusals = [
        (config, json!({"eos_token": 7}), "tokenizer_config.json: field `eos_token`: expected a token"),
        (config, json!({"pad_token": {"text": "x"}}), "field `pad_token`"),
        (
            config,
            json!({"added_tokens_decoder": [1]}),
            "field `added_tokens_decoder`: expected an object, found [1]",
        ),
        (config, json!({"added_tokens_decoder": {"x": "y"}}), "expected token ids as keys, found \"x\""),
        (
            config,
            json!({"added_tokens_decoder": token}),
            "`<|im_end|>` has id 3, but tokenizer.json gives it 422",
        ),
        (config, json!({"extra_special_tokens": 5}), "field `extra_special_tokens`"),
        (
            "generation_config.json",
            json!({"eos_token_id": "x"}),
            "generation_config.json: field `eos_token_id`",
        ),
        (
            "generation_config.json",
            json!({"eos_token_id": [1, -1]}),
            "expected a token id or a list of them, found -1",
        ),
        ("tokenizer.json", json!({"model": {"type": "no such model"}}), "tokenizer.json: not a tokenizer"),
    ];
    for (file, fields, expected) in refusals {
        let folder = changed_folder("byte_level", file, &fields);
        let message = Tokenizer::load(folder.path()).unwrap_err().to_string();
        assert!(message.contains(expected), "expected `{expected}` in `{message}`");
    }
    let folder = changed_folder("byte_level", config, &json!({}));
    fs::write(folder.path().join(config), "{").unwrap();
    let message = Tokenizer::load(folder.path()).unwrap_err().to_string();
    assert!(message.contains("tokenizer_config.json: not valid JSON"), "{message}");
    fs::write(folder.path().join(config), "[]").unwrap();
    let message = Tokenizer::load(folder.path()).unwrap_err().to_string();
    assert!(message.contains("expected an object, found []"), "{message}");
    fs::remove_file(folder.path().join(config)).unwrap();
    Tokenizer::load(folder.path()).expect("only tokenizer.json is needed");
    fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    let message = Tokenizer::load(folder.path()).unwrap_err().to_string();
    assert!(message.contains("cannot read") && message.contains("tokenizer.json"), "{message}");
}

/// The library panics on each of these.
#[test]
fn files_that_break_the_library_are_errors() {
    let processor = json!({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "no", "type_id": 0}}],
        "pair": [], "special_tokens": {}});
    let folder = changed_folder("byte_level", "tokenizer.json", &json!({"post_processor": processor}));
    let unlisted = Tokenizer::load(folder.path()).and_then(|tokenizer| tokenizer.encode("the answer", true));
    let message = unlisted.unwrap_err().to_string();
    assert!(message.contains("cannot encode") && message.contains("the engine gave up"), "{message}");

    let folder = changed_folder("byte_level", "tokenizer.json", &json!({}));
    let path = folder.path().join("tokenizer.json");
    let written = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        written.replace(r#""decoder":{"type":"ByteLevel""#, "\"decoder\":{\"type\":\"Byte\u{1}"),
    )
    .unwrap();
    let message = Tokenizer::load(folder.path()).unwrap_err().to_string();
    assert!(message.contains("tokenizer.json: not a tokenizer that can be used"), "{message}");
}

#[test]
fn tokens_read_as_text_or_as_their_vocabulary_entry() {
    let byte_level = Tokenizer::load(&golden_folder().join("text/byte_level")).unwrap();
    let shown = |text: &str| -> Vec<String> {
        let ids = byte_level.encode(text, false).unwrap();
        ids.iter().map(|&id| byte_level.token_text(id)).collect()
    };
    assert_eq!(shown("\n the answer"), ["\n", " the", " answer"]);
    assert_eq!(shown("<|im_end|>\u{6a21}").len(), 4);
    assert_eq!(byte_level.token_text(99_999), "<no token 99999>");
    let fallback = Tokenizer::load(&golden_folder().join("text/byte_fallback")).unwrap();
    assert_eq!(fallback.token_text(fallback.encode("the", false).unwrap()[0]), " th"); // merges are few
}

/// Runs only where `RAZOR_DATA` names a folder with the real tokenizers.
#[test]
fn real_tokenizers_give_their_published_ids() {
    let Some(data) = std::env::var_os("RAZOR_DATA").filter(|dir| !dir.is_empty()) else {
        return;
    };
    for (name, add_special, n_cases) in
        [("tokenizers/qwen2.5", true, 65), ("models/tinystories_656k", true, 7)]
    {
        let folder = Path::new(&data).join(name);
        let tokenizer = Tokenizer::load(&folder).unwrap();
        let golden = read_json(&folder.join("golden_encodings.json"));
        let cases = golden["cases"].as_array().unwrap();
        assert_eq!(cases.len(), n_cases);
        for case in cases {
            let text = case["text"].as_str().unwrap();
            let found = tokenizer.encode(text, add_special).unwrap();
            assert_eq!(found, ids(&case["ids"]), "{name}: {text:?}");
            if let Some(decoded) = case["decoded"].as_str() {
                assert_eq!(tokenizer.decode(&found, false).unwrap(), decoded, "{name}: {text:?}");
            }
        }
    }
    let qwen = Tokenizer::load(&Path::new(&data).join("tokenizers/qwen2.5")).unwrap();
    assert_eq!((qwen.bos(), qwen.eos_ids(), qwen.pad()), (None, &[151_645][..], Some(151_643)));
    assert_eq!(qwen.vocab_len(), 151_665);
    let stories = Tokenizer::load(&Path::new(&data).join("models/tinystories_656k")).unwrap();
    assert_eq!((stories.bos(), stories.eos_ids(), stories.unk()), (Some(1), &[2][..], Some(0)));
}
