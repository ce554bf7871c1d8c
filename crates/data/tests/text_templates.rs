//! Chat templates against `transformers`, byte for byte, and refusals that name the line.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of any `#[test]`")]

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use razor_data::{ChatOptions, ChatTemplate, Message, PromptTime, TemplateName, Tokenizer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

fn golden() -> Value {
    serde_json::from_str(&fs::read_to_string(golden_folder().join("text.json")).unwrap()).unwrap()
}

/// Messages, generation prompt and options of a case.
fn case_input(golden: &Value, case: &Value) -> (Vec<Message>, bool, ChatOptions) {
    let name = case["conversation"].as_str().unwrap();
    let messages = serde_json::from_value(golden["conversations"][name].clone()).unwrap();
    let tools = case["tools"].as_bool().unwrap().then(|| golden["tools"].as_array().unwrap().clone());
    let now = Some(PromptTime::from_unix_seconds(golden["now"].as_u64().unwrap() as u32));
    let mut variables = case["variables"].as_object().cloned().unwrap_or_default();
    let documents = variables.remove("documents").map(|list| list.as_array().unwrap().clone());
    (messages, case["prompt"].as_bool().unwrap(), ChatOptions { tools, documents, now, variables })
}

#[test]
fn our_templates_render_as_in_transformers() {
    let golden = golden();
    let special_tokens = serde_json::from_value(golden["special_tokens"].clone()).unwrap();
    let (mut n_texts, mut n_errors) = (0, 0);
    for case in golden["rendered"].as_array().unwrap() {
        let source = golden["templates"][case["template"].as_str().unwrap()].as_str().unwrap();
        let template = ChatTemplate::new(source).unwrap().with_special_tokens(&special_tokens);
        let (messages, prompt, options) = case_input(&golden, case);
        let rendered = template.render(&messages, prompt, &options);
        let what =
            format!("{} {} {} {}", case["template"], case["conversation"], case["tools"], case["prompt"]);
        match case["text"].as_str() {
            Some(expected) => {
                let found = rendered.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(found, expected, "{what}");
                n_texts += 1;
            }
            None => {
                let message = rendered.expect_err(&what).to_string();
                let reason = case["error"].as_str().unwrap();
                assert!(message.contains(reason) && message.contains("line "), "{what}: {message}");
                n_errors += 1;
            }
        }
    }
    assert_eq!((n_texts, n_errors), (213, 12));
}

/// Runs only where `RAZOR_DATA` names a folder with the real template; the fixture holds digests alone.
#[test]
fn the_real_template_of_qwen_renders_and_encodes_as_in_transformers() {
    let Some(data) = std::env::var_os("RAZOR_DATA").filter(|dir| !dir.is_empty()) else {
        return;
    };
    let folder = Path::new(&data).join("tokenizers/qwen2.5");
    let tokenizer = Tokenizer::load(&folder).unwrap();
    let template = ChatTemplate::load(&folder, TemplateName::Default, &tokenizer).unwrap().unwrap();
    let golden = golden();
    let cases = golden["qwen2.5"].as_array().unwrap();
    assert_eq!(cases.len(), 64);
    let hex =
        |bytes: &[u8]| -> String { Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect() };
    for case in cases {
        let (messages, prompt, options) = case_input(&golden, case);
        let text = template.render(&messages, prompt, &options).unwrap();
        let what = format!("{} {} {}", case["conversation"], case["tools"], case["prompt"]);
        assert_eq!(text.len() as u64, case["n_bytes"].as_u64().unwrap(), "{what}: {text}");
        assert_eq!(hex(text.as_bytes()), case["sha256"], "{what}: {text}");
        let ids: Vec<u8> =
            tokenizer.encode(&text, false).unwrap().iter().flat_map(|id| id.to_le_bytes()).collect();
        assert_eq!(hex(&ids), case["ids_sha256"], "{what}");
    }
}

#[test]
fn a_folder_gives_the_template_that_was_asked_for() {
    let golden = golden();
    let folder = golden_folder().join("text/byte_fallback");
    let tokenizer = Tokenizer::load(&folder).unwrap();
    for (name, key) in [(TemplateName::Default, "llama_2"), (TemplateName::ToolUse, "mistral")] {
        let template = ChatTemplate::load(&folder, name, &tokenizer).unwrap().unwrap();
        assert_eq!(template.source(), golden["templates"][key]);
    }
    // A file beside the configuration wins; a model with one template uses it for tools too.
    let folder = golden_folder().join("text/byte_level");
    for name in [TemplateName::Default, TemplateName::ToolUse] {
        let template = ChatTemplate::load(&folder, name, &tokenizer).unwrap().unwrap();
        assert_eq!(template.source(), golden["templates"]["chatml"]);
    }

    let folder = tempfile::tempdir().unwrap();
    let load = |config: Value| {
        fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        ChatTemplate::load(folder.path(), TemplateName::Default, &tokenizer)
    };
    assert!(load(json!({"chat_template": null})).unwrap().is_none());
    assert_eq!(
        load(json!({"chat_template": "{{ bos_token }}"})).unwrap().unwrap().source(),
        "{{ bos_token }}"
    );
    for wrong in [json!(7), json!([]), json!([{"name": "rag", "template": "x"}]), json!([3])] {
        let message = load(json!({ "chat_template": wrong })).unwrap_err().to_string();
        assert!(message.contains("tokenizer_config.json: field `chat_template`"), "{message}");
    }
}

#[test]
fn mistakes_in_a_template_are_errors_with_their_line() {
    let render = |source: &str| {
        let template = ChatTemplate::new(source)?;
        template.render(&[Message::user("hi")], true, &ChatOptions::default())
    };
    let refusals = [
        ("a\n\n{% if %}", "chat template, line 3: syntax error"),
        ("{% for x in messages %}", "chat template, line 1: syntax error"),
        ("\n{{ messages | no_such_filter }}", "line 2: unknown filter"),
        ("\n\n{{ nothing.at.all }}", "line 3: undefined value"),
        ("{{ messages[0].content + 1 }}", "line 1: invalid operation"),
        (
            "\n{{ raise_exception('no ' ~ messages[0].role) }}",
            "line 2: invalid operation: the template refuses: no user",
        ),
        ("{{ strftime_now('%Y') }}", "the template writes the date into the prompt"),
        ("{{ messages | tojson(indent=100000) }}", "indent is larger than 64"),
        ("{{ messages.no_method() }}", "line 1: unknown method"),
        ("{{ nothing | tojson }}", "tojson: a value of kind undefined is not JSON"),
        (
            "{% autoescape true %}{{ 1 }}{% endautoescape %}",
            "line 1: invalid operation: autoescape is not supported",
        ),
        ("{{ 'a\nb' | indent(100000) }}", "indent: the width is larger than 256"),
        ("{% include 'other' %}", "line 1: template not found"),
        ("{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}", "recursion limit exceeded"),
        (
            "{% for a in range(90000) %}{% for b in range(90000) %}{% set c = a %}{% endfor %}{% endfor %}",
            "line 1: engine ran out of fuel",
        ),
    ];
    for (source, expected) in refusals {
        let message = render(source).expect_err(source).to_string();
        assert!(message.contains(expected), "{source}: expected `{expected}` in `{message}`");
    }
}

#[test]
fn the_date_is_the_one_given() {
    let template = ChatTemplate::new("{{ strftime_now('%d %B %Y') }}").unwrap();
    let options = ChatOptions { now: PromptTime::date(2026, 7, 4), ..ChatOptions::default() };
    assert_eq!(template.render(&[], false, &options).unwrap(), "04 July 2026");
}

/// Pieces that together make templates which mostly parse and often do something.
const FRAGMENTS: [&str; 40] = [
    "{% for message in messages %}",
    "{% endfor %}",
    "{% if message.content %}",
    "{% elif tools %}",
    "{% else %}",
    "{% endif %}",
    "{{ message.role }}",
    "{{ message['content'] | trim }}",
    "{{ messages[-1].content[::-1] }}",
    "{{ messages | tojson(indent=2) }}",
    "{{ tools | tojson }}",
    "{%- set x = messages[1:] -%}",
    "{{ x }}",
    "{%- set ns = namespace(n=0) -%}",
    "{% set ns.n = ns.n + 1 %}",
    "{{ ns.n }}",
    "{{ bos_token + 'a' }}",
    "{{ raise_exception('no') }}",
    "{{ loop.previtem }}",
    "{% break %}",
    "{% continue %}",
    "{{ 'a' * 3 }}",
    "{{ message.content.split('a')[0].strip() }}",
    "{{ message.items() | list }}",
    "{% generation %}",
    "{% endgeneration %}",
    "{% macro m(a, b=2) %}",
    "{% endmacro %}",
    "{{ m(1) }}",
    "{# note #}",
    "{{ 1 // 0 }}",
    "{{ messages[0].content[5:-9:-2] }}",
    "{{ strftime_now('%Y%') }}",
    "{{ [1, 2.5, none] ~ {'a': true} }}",
    "{% raw %}",
    "{% endraw %}",
    "{{ '%s %d' | format('x', 3) }}",
    "{{",
    "%}",
    "\n  text \u{e9}",
];

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let content = prop_oneof![
        any::<String>().prop_map(Value::from),
        Just(Value::Null),
        any::<f64>().prop_map(|x| json!([{"type": "text", "text": "a"}, x])),
        any::<i64>().prop_map(|x| json!({"n": x, "deep": [[[{}]]]})),
    ];
    let role = prop_oneof![Just("user"), Just("assistant"), Just("system"), Just("tool"), Just("")];
    let message = (role, content).prop_map(|(role, content)| Message::new(role, "").with("content", content));
    proptest::collection::vec(message, 0..4)
}

/// No file of failures: the seed is printed.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn no_template_and_no_conversation_panics(
        fragments in proptest::collection::vec(proptest::sample::select(&FRAGMENTS[..]), 0..14),
        noise in ".{0,12}",
        at in 0_usize..14,
        messages in messages(),
        prompt in any::<bool>(),
    ) {
        let mut fragments = fragments;
        fragments.insert(at.min(fragments.len()), &noise);
        if let Ok(template) = ChatTemplate::new(&fragments.concat()) {
            let options = ChatOptions { now: PromptTime::date(2024, 2, 29), ..ChatOptions::default() };
            if let Err(error) = template.render(&messages, prompt, &options) {
                prop_assert!(error.to_string().starts_with("chat template"));
            }
        }
    }
}
