//! From conversations to trained spans: what is trained, what is refused, and how it shows.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of any `#[test]`")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proptest::prelude::*;
use razor_data::{
    ChatOptions, ChatTemplate, DataError, ExampleCounts, ExampleProblem, ExampleRecipe, ExampleText,
    LengthPolicy, Message, PreviewStyle, TemplateName, TokenExample, Tokenizer, build_example,
    build_examples, render_tokens,
};
use serde_json::{Value, json};

fn our_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/text").join(name)
}

static BYTE_LEVEL: LazyLock<(Tokenizer, ChatTemplate)> = LazyLock::new(|| load(&our_folder("byte_level")));
static BYTE_FALLBACK: LazyLock<(Tokenizer, ChatTemplate)> =
    LazyLock::new(|| load(&our_folder("byte_fallback")));

fn load(folder: &Path) -> (Tokenizer, ChatTemplate) {
    let tokenizer = Tokenizer::load(folder).unwrap();
    let template = ChatTemplate::load(folder, TemplateName::Default, &tokenizer).unwrap().unwrap();
    (tokenizer, template)
}

fn recipe<'a>((tokenizer, template): &'a (Tokenizer, ChatTemplate)) -> ExampleRecipe<'a> {
    ExampleRecipe {
        tokenizer,
        template: Some(template),
        chat: ChatOptions::default(),
        context_len: 512,
        length_policy: LengthPolicy::Refuse,
    }
}

fn chat(prompt: &str, completion: &str) -> ExampleText {
    ExampleText::Chat { prompt: vec![Message::user(prompt)], completion: completion.to_owned() }
}

fn plain(prompt: &str, completion: &str) -> ExampleText {
    ExampleText::Plain { prompt: prompt.to_owned(), completion: completion.to_owned() }
}

#[test]
fn a_chat_trains_its_answer_and_the_stop_token_but_not_the_line_break_behind() {
    let tokenizer = &BYTE_LEVEL.0;
    let example = build_example(&chat("What is 12 + 30?", "It is 42."), &recipe(&BYTE_LEVEL)).unwrap();
    let prompt = "<|im_start|>user\nWhat is 12 + 30?<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(example.prompt_ids(), tokenizer.encode(prompt, false).unwrap());
    assert_eq!(example.completion_ids(), tokenizer.encode("It is 42.<|im_end|>", false).unwrap());
    assert_eq!(example.completion_ids().last(), Some(&tokenizer.eos_ids()[0]));
    assert!(!example.boundary_differs);
    assert_eq!(example.mask().iter().map(|&bit| usize::from(bit)).sum::<usize>(), example.completion.len());
}

#[test]
fn a_chat_has_only_the_bos_tokens_that_its_template_writes() {
    let tokenizer = &BYTE_FALLBACK.0;
    let example = build_example(&chat("hi", "the answer"), &recipe(&BYTE_FALLBACK)).unwrap();
    assert_eq!(example.prompt_ids(), tokenizer.encode("<s>[INST] hi [/INST]", false).unwrap());
    assert_eq!(example.prompt_ids().iter().filter(|&&id| Some(id) == tokenizer.bos()).count(), 1);
    assert_eq!(tokenizer.decode(example.completion_ids(), false).unwrap(), "the answer</s>");
}

#[test]
fn plain_text_gets_the_models_bos_and_one_stop_token() {
    let tokenizer = &BYTE_FALLBACK.0;
    let example = build_example(&plain("the prompt", "the answer"), &recipe(&BYTE_FALLBACK)).unwrap();
    assert_eq!(example.prompt_ids(), tokenizer.encode("<s>the prompt", false).unwrap());
    assert_eq!(example.prompt_ids()[0], 1);
    // As inside the text: no blank before the completion, which this tokenizer puts before every text of its own.
    assert_eq!(example.ids, tokenizer.encode("<s>the promptthe answer</s>", false).unwrap());
    assert_eq!(tokenizer.decode(&example.ids[1..], true).unwrap(), "the promptthe answer");
}

#[test]
fn a_stop_token_that_the_files_put_after_every_text_does_not_end_the_prompt() {
    let processor = json!({
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "</s>", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]},
            "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}
    });
    let folder = changed_tokenizer(|written| written["post_processor"] = processor);
    let both = load(folder.path());
    assert_eq!(both.0.encode("x", true).unwrap().last(), Some(&2));
    let example = build_example(&plain("the prompt", "the answer"), &recipe(&both)).unwrap();
    assert_eq!(example, build_example(&plain("the prompt", "the answer"), &recipe(&BYTE_FALLBACK)).unwrap());
}

fn changed_tokenizer(change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(our_folder("byte_fallback")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = folder.path().join("tokenizer.json");
    let mut written: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut written);
    fs::write(path, written.to_string()).unwrap();
    folder
}

fn problem(text: &ExampleText, recipe: &ExampleRecipe<'_>) -> ExampleProblem {
    build_example(text, recipe).unwrap_err()
}

#[test]
fn what_trains_on_nothing_or_never_stops_is_refused() {
    let (level, fallback) = (recipe(&BYTE_LEVEL), recipe(&BYTE_FALLBACK));
    assert_eq!(problem(&chat("hi", ""), &level), ExampleProblem::EmptyCompletion);
    assert_eq!(problem(&plain("hi", ""), &fallback), ExampleProblem::EmptyCompletion);
    assert_eq!(problem(&plain("", "hi"), &level), ExampleProblem::EmptyPrompt);
    build_example(&plain("", "hi"), &fallback).expect("its beginning token predicts the first one");

    let no_stop = ChatTemplate::new("{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}").unwrap();
    let without = ExampleRecipe { template: Some(&no_stop), ..level.clone() };
    assert_eq!(problem(&chat("hi", "x"), &without), ExampleProblem::MissingEos { stop_ids: vec![422, 420] });

    let found = problem(&chat("hi", "ab<|im_end|>c"), &level);
    let ExampleProblem::StopInside { at, id: 422 } = found else { panic!("{found}") };
    let n_prompt = build_example(&chat("hi", "ab"), &level).unwrap().completion.start;
    assert_eq!(at, n_prompt + BYTE_LEVEL.0.encode("ab", false).unwrap().len());

    let no_template = ExampleRecipe { template: None, ..level };
    assert!(problem(&chat("hi", "x"), &no_template).to_string().contains("needs the model's chat template"));
}

#[test]
fn two_beginning_tokens_are_refused() {
    let fallback = recipe(&BYTE_FALLBACK);
    assert_eq!(problem(&plain("<s>the prompt", "x"), &fallback), ExampleProblem::DoubleBos { id: 1 });
    let source = ["{{ bos_token }}", BYTE_FALLBACK.1.source()].concat();
    let doubled = ChatTemplate::new(&source).unwrap().with_special_tokens(BYTE_FALLBACK.0.special_tokens());
    let doubled = ExampleRecipe { template: Some(&doubled), ..fallback };
    assert_eq!(problem(&chat("hi", "x"), &doubled), ExampleProblem::DoubleBos { id: 1 });
}

#[test]
fn a_template_that_changes_the_answer_is_refused_with_the_byte() {
    let source = BYTE_LEVEL.1.source().replace("message['content']", "(message['content'] | trim)");
    let trims = ChatTemplate::new(&source).unwrap();
    let trimming = ExampleRecipe { template: Some(&trims), ..recipe(&BYTE_LEVEL) };
    build_example(&chat("hi", "42"), &trimming).expect("nothing to trim");
    let prompt_len = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n".len();
    let expected = ExampleProblem::TemplateDrift {
        at: prompt_len,
        expected: " \u{e9}42".to_owned(),
        found: "\u{e9}42<|im_end|>\n".to_owned(),
    };
    assert_eq!(problem(&chat("hi", " \u{e9}42"), &trimming), expected);

    // A template that opens a thought before the answer but does not keep it there afterwards.
    let source = BYTE_LEVEL.1.source().replace("assistant\\n", "assistant\\n<think>\\n");
    let thinks = ChatTemplate::new(&source).unwrap();
    let thinking = ExampleRecipe { template: Some(&thinks), ..recipe(&BYTE_LEVEL) };
    let found = problem(&chat("hi", "42"), &thinking);
    let ExampleProblem::TemplateDrift { at, ref expected, .. } = found else { panic!("{found}") };
    assert_eq!((at, expected.as_str()), (prompt_len, "<think>\n42"));
}

#[test]
fn text_outside_the_vocabulary_is_refused() {
    let folder = changed_tokenizer(|written| written["model"]["byte_fallback"] = json!(false));
    let both = load(folder.path());
    let found = problem(&plain("the prompt", "the \u{6a21}"), &recipe(&both));
    let ExampleProblem::UnknownToken { at, ref text } = found else { panic!("{found}") };
    let example = build_example(&plain("the prompt", "the "), &recipe(&both)).unwrap();
    assert!(at > example.completion.start && at < example.ids.len() && text.contains("<unk>"), "{found}");
}

#[test]
fn long_rows_are_refused_or_counted_but_never_cut() {
    let rows = || [plain("hi", "x"), plain(&"hi ".repeat(50), "x"), plain("hi", &"y ".repeat(50))];
    let short = ExampleRecipe { context_len: 30, ..recipe(&BYTE_FALLBACK) };
    let refused = build_examples(rows(), &short).unwrap_err();
    let DataError::Example { row: 1, problem: ExampleProblem::PromptTooLong { found, context_len: 30 } } =
        refused
    else {
        panic!("{refused}")
    };
    assert!(found > 30);
    let total = problem(&rows()[2], &short);
    assert!(matches!(total, ExampleProblem::TotalTooLong { context_len: 30, .. }), "{total}");

    let dropping = ExampleRecipe { length_policy: LengthPolicy::DropAndCount, ..short };
    let (examples, counts) = build_examples(rows(), &dropping).unwrap();
    assert_eq!(examples.len(), 1);
    let first = &examples[0];
    let expected = ExampleCounts {
        n_rows: 3,
        n_kept: 1,
        n_prompt_too_long: 1,
        n_total_too_long: 1,
        n_boundary_differs: usize::from(first.boundary_differs),
        n_prompt_tokens: first.completion.start,
        n_completion_tokens: first.completion.len(),
        longest: first.ids.len(),
    };
    assert_eq!(counts, expected);
    // A row that fits to the token is kept, one token less is refused.
    let exact = ExampleRecipe { context_len: first.ids.len(), ..dropping.clone() };
    assert!(build_example(&rows()[0], &exact).is_ok());
    let less = ExampleRecipe { context_len: first.ids.len() - 1, ..dropping.clone() };
    assert!(matches!(problem(&rows()[0], &less), ExampleProblem::TotalTooLong { .. }));
    // Only length is ever dropped.
    let refused = build_examples([plain("hi", "x"), plain("hi", "")], &dropping).unwrap_err();
    assert_eq!(refused.to_string(), "example 1: the completion is empty, so no token would be trained");
}

#[test]
fn merges_over_the_border_are_seen_and_counted() {
    let rows = [plain("the ans", "wer"), plain("the", " answer")];
    let (examples, counts) = build_examples(rows, &recipe(&BYTE_LEVEL)).unwrap();
    assert_eq!((examples[0].boundary_differs, examples[1].boundary_differs), (true, false));
    assert_eq!(counts.n_boundary_differs, 1);
    assert!(build_example(&plain("the ans", "wer"), &recipe(&BYTE_FALLBACK)).unwrap().boundary_differs);
}

#[test]
fn a_preview_shows_borders_spans_ids_and_counts() {
    let example = build_example(&chat("hi", "It is\n42"), &recipe(&BYTE_LEVEL)).unwrap();
    let shown = render_tokens(&example, &BYTE_LEVEL.0, PreviewStyle::Plain);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], "[*<|im_start|>*][u][s][er][\\n]");
    assert_eq!(lines[1], "[h][i][*<|im_end|>*][\\n]");
    assert!(lines[3].starts_with("{I}{t}") && lines[3].ends_with("{\\n}"), "{shown}");
    assert!(lines[4].starts_with("{4") && lines[4].ends_with("{*<|im_end|>*}"), "{shown}");
    assert!(lines[5].starts_with("ids  421 84 82 260 198"), "{shown}");
    assert!(lines[6].starts_with("mask   0  0  0   0   0"), "{shown}");
    assert_eq!(lines[5].len(), lines[6].len());
    assert_eq!(lines[7], "[prompt] {trained} *special*");
    let (n_prompt, n_trained) = (example.completion.start, example.completion.len());
    let counts =
        format!("{n_prompt} prompt tokens, {n_trained} trained tokens, stop token at the end: yes, sha256 ");
    assert!(lines[8].starts_with(&counts), "{shown}");

    let digest = |example: &TokenExample| {
        let shown = render_tokens(example, &BYTE_LEVEL.0, PreviewStyle::Plain);
        shown.split("sha256 ").nth(1).unwrap()[..12].to_owned()
    };
    let mut shifted = example.clone();
    shifted.completion.start += 1;
    assert_ne!(digest(&example), digest(&shifted));
    let mut endless = example.clone();
    endless.ids.pop();
    endless.completion.end -= 1;
    assert!(
        render_tokens(&endless, &BYTE_LEVEL.0, PreviewStyle::Plain).contains("stop token at the end: NO")
    );
}

#[test]
fn control_characters_of_a_data_set_do_not_reach_the_terminal() {
    let example = build_example(&chat("hi", "\u{1b}[2J\r\u{7}x"), &recipe(&BYTE_LEVEL)).unwrap();
    let shown = render_tokens(&example, &BYTE_LEVEL.0, PreviewStyle::Plain);
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
    let coloured = render_tokens(&example, &BYTE_LEVEL.0, PreviewStyle::Ansi);
    assert!(!coloured.contains("\u{1b}[2J") && coloured.contains("\u{1b}[30;42m"), "{coloured:?}");
}

/// No file of failures: the seed is printed.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn the_trained_span_decodes_to_the_completion(
        prompt in "[a-zA-Z0-9 .,\n\u{e9}\u{6a21}]{0,30}",
        completion in "[a-zA-Z0-9 .,\n\u{e9}\u{6a21}\u{1f600}]{1,30}",
        as_chat in any::<bool>(),
    ) {
        let text = if as_chat { chat(&prompt, &completion) } else { plain(&prompt, &completion) };
        match build_example(&text, &recipe(&BYTE_LEVEL)) {
            Ok(example) => {
                let decoded = BYTE_LEVEL.0.decode(example.completion_ids(), true).unwrap();
                prop_assert_eq!(decoded, completion);
                prop_assert_eq!(example.completion.end, example.ids.len());
                prop_assert!(BYTE_LEVEL.0.eos_ids().contains(example.ids.last().unwrap()));
            }
            Err(problem) => prop_assert!(problem == ExampleProblem::EmptyPrompt && prompt.is_empty() && !as_chat),
        }
    }
}

/// Runs only where `RAZOR_DATA` names a folder with the real tokenizers.
#[test]
fn the_real_template_trains_the_answer_and_its_stop_token() {
    let Some(data) = std::env::var_os("RAZOR_DATA").filter(|dir| !dir.is_empty()) else {
        return;
    };
    let both = load(&Path::new(&data).join("tokenizers/qwen2.5"));
    let rows = [chat("What is 2+2?", "It is 4."), chat("na\u{ef}ve \u{6a21}", " \n spaced \n")];
    let (examples, counts) = build_examples(rows, &recipe(&both)).unwrap();
    for example in &examples {
        assert_eq!(example.completion_ids().iter().filter(|&&id| id == 151_645).count(), 1);
        assert_eq!(example.ids.last(), Some(&151_645));
    }
    assert_eq!(both.0.decode(examples[1].completion_ids(), true).unwrap(), " \n spaced \n");
    // "\n" of the generation prompt and " \n" of the answer merge when encoded as one text.
    assert_eq!(examples.iter().map(|example| example.boundary_differs).collect::<Vec<_>>(), [false, true]);
    assert_eq!(counts.n_boundary_differs, 1);
}
