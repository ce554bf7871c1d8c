//! Stop strings, token by token, against decoding everything at once.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of any `#[test]`")]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use razor_data::{StopStrings, Tokenizer};

static TOKENIZERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/text");
    let mut all: Vec<Tokenizer> = ["byte_level", "byte_fallback"]
        .iter()
        .map(|name| Tokenizer::load(&folder.join(name)).unwrap())
        .collect();
    // One whose decoder takes three blanks from the start, not one.
    let written = fs::read_to_string(folder.join("byte_fallback/tokenizer.json")).unwrap();
    let strips = written.replace(r#""start":1,"#, r#""start":3,"#);
    assert_ne!(strips, written);
    let changed = tempfile::tempdir().unwrap();
    fs::write(changed.path().join("tokenizer.json"), strips).unwrap();
    all.push(Tokenizer::load(changed.path()).unwrap());
    all
});

/// When the naive way stops, and its text.
fn naive(tokenizer: &Tokenizer, stops: &[String], ids: &[u32]) -> (bool, String) {
    let text = tokenizer.decode(ids, true).unwrap();
    match stops.iter().filter_map(|stop| text.find(stop.as_str())).min() {
        Some(at) => (true, text[..at].to_owned()),
        None => (false, text),
    }
}

fn agrees_with_naive(tokenizer: &Tokenizer, stops: &[String], ids: &[u32]) {
    let mut matcher = StopStrings::new(tokenizer, stops).unwrap();
    for n in 1..=ids.len() {
        let stopped = matcher.push(ids[n - 1]).unwrap();
        assert_eq!((stopped, matcher.text()), naive(tokenizer, stops, &ids[..n]), "after {:?}", &ids[..n]);
        if stopped {
            let before = matcher.text();
            assert!(matcher.push(ids[0]).unwrap());
            assert_eq!(matcher.text(), before, "tokens after the stop are ignored");
            return;
        }
    }
}

#[test]
fn a_stop_string_is_found_across_token_borders() {
    for tokenizer in &*TOKENIZERS {
        let ids = tokenizer.encode("It is 42.\n\nQuestion: and then?", false).unwrap();
        let mut matcher = StopStrings::new(tokenizer, &["\n\nQ".to_owned(), "Question:".to_owned()]).unwrap();
        let n_taken = ids.iter().take_while(|&&id| !matcher.push(id).unwrap()).count();
        assert!(n_taken + 1 < ids.len());
        assert_eq!(matcher.text(), "It is 42.");
    }
}

#[test]
fn characters_of_several_tokens_come_whole() {
    for tokenizer in &*TOKENIZERS {
        let text = "\u{6a21}\u{578b} \u{1f468}\u{200d}\u{1f469} na\u{ef}ve";
        let ids = tokenizer.encode(text, false).unwrap();
        let mut matcher = StopStrings::new(tokenizer, &["\u{1f469}".to_owned()]).unwrap();
        for &id in &ids {
            if matcher.push(id).unwrap() {
                break;
            }
        }
        assert_eq!(matcher.text(), "\u{6a21}\u{578b} \u{1f468}\u{200d}");
    }
}

#[test]
fn special_tokens_are_not_text_and_an_empty_stop_string_is_refused() {
    let tokenizer = &TOKENIZERS[0];
    let ids = tokenizer.encode("the<|im_end|> answer", false).unwrap();
    let mut matcher = StopStrings::new(tokenizer, &["the answer".to_owned()]).unwrap();
    assert!(ids.iter().any(|&id| matcher.push(id).unwrap()));
    let message = StopStrings::new(tokenizer, &["a".to_owned(), String::new()]).unwrap_err().to_string();
    assert!(message.contains("stop string 1 is empty"), "{message}");
}

/// Many blanks, which decoders may take from the start.
fn blanks() -> impl Strategy<Value = Vec<u32>> {
    let texts = [" ", "  ", "    ", "a", " the"];
    let ids: Vec<u32> = texts.iter().flat_map(|text| TOKENIZERS[2].encode(text, false).unwrap()).collect();
    proptest::collection::vec(proptest::sample::select(ids), 0..12)
}

fn ids() -> impl Strategy<Value = Vec<u32>> {
    // Bytes, pieces, specials and ids without a token; runs of one id make the worst windows.
    let run = (0_u32..430, 1_usize..5).prop_map(|(id, n)| vec![id; n]);
    let long_run = (0_u32..430, 20_usize..60).prop_map(|(id, n)| vec![id; n]);
    proptest::collection::vec(prop_oneof![12 => run, 1 => long_run], 0..40).prop_map(|runs| runs.concat())
}

fn stops() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec("(the| a|ans|er|\n|[a-z ]{1,2}|\u{e9}|\u{fffd}\u{fffd})", 0..3)
}

/// No file of failures: the seed is printed.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn any_tokens_give_what_decoding_at_once_gives(ids in ids(), stops in stops(), which in 0_usize..3) {
        agrees_with_naive(&TOKENIZERS[which], &stops, &ids);
    }

    #[test]
    fn blanks_at_the_start_are_those_of_decoding_at_once(ids in blanks(), which in 1_usize..3) {
        agrees_with_naive(&TOKENIZERS[which], &["zz".to_owned()], &ids);
    }

    #[test]
    fn any_text_gives_what_decoding_at_once_gives(text in any::<String>(), stops in stops(), which in 0_usize..2) {
        let tokenizer = &TOKENIZERS[which];
        agrees_with_naive(tokenizer, &stops, &tokenizer.encode(&text, true).unwrap());
    }
}
