//! What the training commands say, and which code they exit with, when settings, data, model, run folder or disk are bad;
//! and that nothing half-written stays behind.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a process or file that cannot be had should fail the test here")]

mod train_support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use train_support::{
    arguments, assert_same_weights, checkpoints, copy_model, last_checkpoint, lines, names, questions, razor,
    stderr, stdout, write_grpo_task, write_rows, write_sft_task,
};

/// A folder with model and rows.
fn study() -> TempDir {
    let dir = TempDir::new().unwrap();
    copy_model(dir.path());
    write_sft_task(dir.path());
    dir
}

/// Questions whose answer no policy here can give.
fn write_hopeless_task(dir: &Path) {
    let row = |prompt| json!({"prompt": prompt, "text": "supercalifragilistic"});
    write_rows(dir, "hopeless.jsonl", questions().map(row));
}

/// Every file below a folder with its bytes.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for name in names(folder) {
        let path = folder.join(name);
        match path.is_dir() {
            true => files.extend(snapshot(&path)),
            false => drop(files.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    files
}

/// Checks the exit code and that standard error ends in an `error:` with these parts and nothing of Rust's insides.
fn assert_refused(output: &Output, code: i32, parts: &[&str]) -> String {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains("error: "), "{said}");
    for part in parts {
        assert!(said.contains(part), "expected `{part}` in: {said}");
    }
    for inside in ["panicked", "stack backtrace", "Error {", "\x1b["] {
        assert!(!said.contains(inside), "{said}");
    }
    said
}

/// Runs `razor` in `dir`; it must refuse and leave everything as it was.
fn assert_refuses(dir: &Path, arguments: &[&str], code: i32, parts: &[&str]) {
    let before = snapshot(dir);
    let output = razor(dir, arguments).output().unwrap();
    assert_refused(&output, code, parts);
    assert!(output.stdout.is_empty(), "{arguments:?}");
    assert!(before == snapshot(dir), "{arguments:?} left something behind");
}

/// An SFT run of `sft.jsonl`.
fn sft<'a>(more: &'a [&'a str]) -> Vec<&'a str> {
    arguments("sft", "sft.jsonl", "out", more)
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// Replaces every number of the model's weights.
fn fill_weights(model: &Path, value: f32) {
    let path = model.join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    for number in bytes[header..].chunks_exact_mut(4) {
        number.copy_from_slice(&value.to_le_bytes());
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn settings_that_make_no_run_are_bad_usage_with_their_name_and_range() {
    let dir = study();
    let from_1 = "expected a whole number from 1";
    let cases: [(&[&str], &[&str]); 21] = [
        (&["--steps", "0"], &["--steps", "zero"]),
        (&["--steps", "many"], &["--steps", "many"]),
        (&["--learning-rate", "nan"], &["learning_rate` is NaN: expected a number above 0"]),
        (&["--learning-rate", "-0.001"], &["learning_rate` is -0.001: expected a number above 0"]),
        (&["--learning-rate", "inf"], &["learning_rate` is inf: expected a number above 0"]),
        (&["--kl-coef", "-1"], &["method.kl.coefficient` is -1: expected a number from 0 up"]),
        (&["--kl-budget", "nan"], &["kl_budget.nats` is NaN: expected a number from 0 up"]),
        (&["--anchor-coef", "-2"], &["anchor.coefficient` is -2: expected a number from 0 up"]),
        (&["--set", "method.config.optimization.adamw.beta2=1"], &["adamw.beta2` is 1: expected", "below 1"]),
        (&["--set", "method.config.optimization.adamw.epsilon=0"], &["adamw.epsilon` is 0", "above 0"]),
        (&["--set", "method.config.optimisation.n_warmup=3"], &["there is no table `optimisation`", "loss"]),
        (&["--set", "cadence.checkpoint=3"], &["there is no key `checkpoint`", "checkpoint_every"]),
        (&["--set", "cadence.checkpoint_every=often"], &["cadence.checkpoint_every", "often"]),
        (&["--set", "base_kl.n_prompts=-1"], &["base_kl", "n_prompts", "-1"]),
        (&["--set", "memory.tile_mib=0"], &["`memory.tile_mib` is 0", from_1]),
        (&["--set", "n_epochs=0"], &["`n_epochs` is 0", from_1]),
        (&["--set", "method.config.n_epochs=5"], &["`method.config.n_epochs`", "set `n_epochs` instead"]),
        (&["--set", "method.config.max_tokens=9999999999999"], &["method.config.max_tokens`", from_1]),
        (&["--lora-rank", "2", "--lora-targets", "q_proj,c_attn"], &["LoRA target `c_attn`", "v_proj"]),
        (&["--lora-rank", "0"], &["rank", "at least 1"]),
        (&["--lora-rank", "2", "--lora-alpha", "nan"], &["LoRA alpha is NaN", "finite"]),
    ];
    for (more, parts) in cases {
        assert_refuses(dir.path(), &sft(more), 2, parts);
    }
    for (more, parts) in [
        (&["--preset", "gppo"][..], &["`gppo`", "--help"][..]),
        (&["--preset", "bnpo", "--set", "method.config.reduction.local_token_mean.local_batch=0"], &["is 0"]),
        (&["--group-size", "0"], &["group_size` is 0", from_1]),
        (&["--group-size", "3"], &["8 completions", "whole groups of 3", "--group-size"]),
        (&["--set", "method.config.n_minibatches=9000000000000000000"], &["n_minibatches`", from_1]),
        (&["--set", "method.config.temperature=0"], &["temperature` is 0: expected a number above 0"]),
    ] {
        assert_refuses(dir.path(), &arguments("grpo", "sft.jsonl", "out", more), 2, parts);
    }
    let mean = ["--set", "method.config.reduction=sequence_mean"];
    let unused = ["`method.config.reduction` is not used", "loss of its own"];
    assert_refuses(dir.path(), &arguments("self-distill", "sft.jsonl", "out", &mean), 2, &unused);
    let no_file = ["sft", "--model", "model", "--out", "out"];
    assert_refuses(dir.path(), &[&no_file[..], &["--task", "gsm9k"]].concat(), 2, &["`gsm9k`", "gsm8k"]);
    assert_refuses(dir.path(), &no_file, 2, &["--task"]);
}

#[test]
fn bad_rows_are_named_by_file_line_and_field() {
    let dir = study();
    let row = r#"{"prompt": "What is 1?", "completion": "The answer is 1."}"#;
    let with = |bad: &str| format!("{row}\n\n{row}\n{bad}\n{row}\n");
    let cases: [(String, &[&str]); 8] = [
        (String::new(), &["rows.jsonl:1", "expected records, found none"]),
        ("\n \n".to_owned(), &["rows.jsonl:1", "expected records, found none"]),
        (with(r#"{"prompt": "What is 2?""#), &["rows.jsonl:4", "expected JSON"]),
        (with(r#"{"completion": "2"}"#), &["rows.jsonl:4", "`prompt` or `messages`, found neither"]),
        (with(r#"{"prompt": 2}"#), &["rows.jsonl:4", "field `prompt`: expected a string, found a number"]),
        (with(r#"{"prompt": "2?", "anser": "2"}"#), &["rows.jsonl:4", "`anser`", "answer"]),
        (
            with(r#"{"prompt": "2?", "completion": " "}"#),
            &["rows.jsonl:4", "field `completion`: expected text, found an empty string"],
        ),
        (format!("{row}\n"), &["rows.jsonl", "held out", "add data"]),
    ];
    for (text, parts) in cases {
        fs::write(dir.path().join("rows.jsonl"), text).unwrap();
        assert_refuses(dir.path(), &arguments("sft", "rows.jsonl", "out", &[]), 1, parts);
    }
    fs::write(dir.path().join("rows.jsonl"), with("{")).unwrap();
    for more in [&["--replay", "rows.jsonl"][..], &["--anchor-coef", "1", "--ewc-prompts", "rows.jsonl"]] {
        assert_refuses(dir.path(), &sft(more), 1, &["rows.jsonl:4", "expected JSON"]);
    }
    let absent = ["sft", "--model", "model", "--out", "out", "--task", "gsm8k"];
    assert_refuses(dir.path(), &absent, 1, &["gsm8k", "was not found; looked in", "--data DIR"]);
    assert_refuses(
        dir.path(),
        &arguments("sft", "nowhere.jsonl", "out", &[]),
        1,
        &["cannot read nowhere.jsonl"],
    );
}

#[test]
fn rows_that_the_method_cannot_use_are_named_with_what_to_give() {
    let dir = study();
    let row = |idx: usize, prompt: String| match idx {
        7 => json!({"prompt": prompt}),
        _ => json!({"prompt": prompt, "completion": "The answer is 1.", "text": "1"}),
    };
    write_rows(dir.path(), "rows.jsonl", questions().enumerate().map(|(idx, prompt)| row(idx, prompt)));
    for (method, parts) in [
        ("sft", ["example rows.jsonl:8 has no completion to imitate", "give `completion`"]),
        ("grpo", ["example rows.jsonl:8 has no answer", "give `answer`"]),
        ("rejection-sft", ["example rows.jsonl:8 has no answer", "give `answer`"]),
        ("simpo", ["example rows.jsonl:8 has no completion", "give `completion`"]),
        ("self-distill", ["example rows.jsonl:8 has no completion to demonstrate", "give `completion`"]),
    ] {
        let limits: &[&str] = if method == "sft" { &[] } else { &["--max-new-tokens", "4"] };
        assert_refuses(dir.path(), &arguments(method, "rows.jsonl", "out", limits), 1, &parts);
    }
    let blank = |(idx, prompt)| json!({"prompt": prompt, "text": if idx == 7 { "..." } else { "1" }});
    write_rows(dir.path(), "blank.jsonl", questions().enumerate().map(blank));
    let parts = ["the answer of example blank.jsonl:8", "neither a letter nor a digit"];
    let grpo = arguments("grpo", "blank.jsonl", "out", &["--max-new-tokens", "4"]);
    assert_refuses(dir.path(), &grpo, 1, &parts);
    let long = |prompt: String| json!({"prompt": prompt.repeat(9), "completion": "It is 1.", "text": "1"});
    write_rows(dir.path(), "long.jsonl", questions().map(long));
    for (method, parts) in [
        ("sft", ["every row is longer than 96 tokens", "shorter rows"]),
        ("grpo", ["no prompt leaves room for 4 new tokens in a context of 96", "--max-new-tokens"]),
        ("self-distill", ["leaves room for 4 new tokens in a context of 96", "--max-new-tokens"]),
    ] {
        let limits: &[&str] = if method == "sft" { &[] } else { &["--max-new-tokens", "4"] };
        assert_refuses(dir.path(), &arguments(method, "long.jsonl", "out", limits), 1, &parts);
    }
}

#[test]
fn what_would_train_the_wrong_tokens_stops_the_run_with_the_row() {
    let dir = study();
    let template = dir.path().join("model/chat_template.jinja");
    let turns = "{%- for m in messages -%}{{ '<|im_start|>' ~ m.role ~ '\\n' ~ m.content ~ END }}{%- endfor -%}\
                 {%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}";
    let drifting =
        format!("{{%- set END = '<|im_end|>' -%}}{turns}").replace("m.content", "m.content | upper");
    let endless = format!("{{%- set END = '\\n' -%}}{turns}");
    let doubled = format!("{{{{- '<|endoftext|><|endoftext|>' }}}}{{%- set END = '<|im_end|>' -%}}{turns}");
    edit(&dir.path().join("model/tokenizer_config.json"), |config| {
        config["bos_token"] = json!("<|endoftext|>")
    });
    for (text, parts) in [
        (
            drifting,
            ["example sft.jsonl:", "the template changes the conversation once it is answered", "expected"],
        ),
        (endless, ["example sft.jsonl:", "does not end with a stop token", "never learn to stop"]),
        (
            doubled.clone(),
            ["example sft.jsonl:", "two beginning tokens (id 420)", "the template or the text"],
        ),
    ] {
        fs::write(&template, text).unwrap();
        assert_refuses(dir.path(), &sft(&[]), 1, &parts);
        assert_refuses(dir.path(), &sft(&["--preview"]), 1, &parts);
    }
    fs::write(&template, doubled).unwrap();
    write_hopeless_task(dir.path());
    let grpo = arguments("grpo", "hopeless.jsonl", "out", &["--max-new-tokens", "4"]);
    assert_refuses(dir.path(), &grpo, 1, &["example hopeless.jsonl:", "two beginning tokens"]);

    let dir = study();
    let row = |prompt| json!({"prompt": prompt, "completion": "It is 1.<|im_end|> And more."});
    write_rows(dir.path(), "stopped.jsonl", questions().map(row));
    let parts = ["example stopped.jsonl:", "stop token 422 stands inside the completion"];
    assert_refuses(dir.path(), &arguments("sft", "stopped.jsonl", "out", &[]), 1, &parts);
}

#[test]
fn a_model_that_cannot_be_trained_is_refused_with_what_it_lacks() {
    let dir = study();
    let model = dir.path().join("model");
    let whole = snapshot(&model);
    let restore = || whole.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());

    let elsewhere = ["sft", "--model", "nowhere", "--file", "sft.jsonl", "--out", "out"];
    assert_refuses(dir.path(), &elsewhere, 1, &["nowhere"]);

    fs::remove_file(model.join("chat_template.jinja")).unwrap();
    assert_refuses(dir.path(), &sft(&[]), 1, &["no chat template", "--prompt-style plain"]);
    let plain = razor(dir.path(), &sft(&["--prompt-style", "plain", "--dry-run"])).output().unwrap();
    assert!(stdout(&plain).contains("steps"));
    restore();

    edit(&model.join("tokenizer_config.json"), |config| config["eos_token"] = Value::Null);
    for name in ["config.json", "generation_config.json"] {
        edit(&model.join(name), |config| config["eos_token_id"] = Value::Null);
    }
    assert_refuses(dir.path(), &sft(&[]), 1, &["no token that ends a completion", "eos_token_id"]);
    restore();

    let weights = model.join("model.safetensors");
    fs::write(&weights, &whole[&weights][..60_000]).unwrap();
    assert_refuses(
        dir.path(),
        &sft(&[]),
        1,
        &["model/model.safetensors", "is cut short", "tensor `model.layers.0."],
    );
    restore();

    edit(&model.join("config.json"), |config| config["intermediate_size"] = json!(44));
    assert_refuses(dir.path(), &sft(&[]), 1, &["model.layers.0.mlp.", "shape"]);
    restore();

    fill_weights(&model, f32::NAN);
    assert_refuses(dir.path(), &sft(&[]), 1, &["model.safetensors", "tensor `", "finite"]);
    fill_weights(&model, 1e38);
    assert_refuses(dir.path(), &sft(&[]), 1, &["logits are not finite", "weights are damaged"]);
}

/// The rows of the file that a run that is not finite names.
fn offending_batch(dir: &Path, said: &str, step: u64) -> Vec<Value> {
    let name = format!("out/not-finite-step-{step}.jsonl");
    assert!(said.contains(&format!("its batch is in {name}")), "{said}");
    lines(&dir.join(name))
}

#[test]
fn a_gradient_that_is_not_finite_stops_the_run_with_its_batch_and_the_last_checkpoint_intact() {
    let dir = study();
    // The KL and its gradient are 0 as long as the policy is the base, so the first step is sound.
    let more = ["--kl-coef", "1e39", "--learning-rate", "1e-2", "--steps", "6"];
    let more = [&more[..], &["--set", "cadence.checkpoint_every=1"]].concat();
    let output = razor(dir.path(), &sft(&more)).output().unwrap();
    let said = assert_refused(&output, 1, &["step 2: the gradient is not finite", "learning rate"]);
    assert!(said.contains("the last checkpoint, of step 1, is intact"), "{said}");
    let batch = offending_batch(dir.path(), &said, 2);
    assert_eq!(batch.len(), 8);
    for row in &batch {
        let n_ids = row["token_ids"].as_array().unwrap().len();
        let n_prompt = row["completion_start"].as_u64().unwrap() as usize;
        assert_eq!(row["log_probs"].as_array().unwrap().len(), n_ids - n_prompt);
    }
    let run = dir.path().join("out");
    assert_eq!(checkpoints(&run), [1]);
    assert_eq!(lines(&run.join("steps.jsonl")).len(), 1);
    assert!(!run.join("done").exists());
    let model = last_checkpoint(&run).join("model").display().to_string();
    fs::write(dir.path().join("prompts.jsonl"), "{\"id\": 1, \"prompt\": \"What\"}\n").unwrap();
    let generate = ["generate", "--model", &model, "--input", "prompts.jsonl", "--max-new-tokens", "2"];
    stdout(&razor(dir.path(), &generate).output().unwrap());
}

#[test]
fn training_that_diverges_stops_with_the_step_whatever_the_method() {
    for (method, more, parts) in [
        ("sft", &[][..], ["step 2: the loss is not finite", "its batch is in out/not-finite-step-2.jsonl"]),
        ("grpo", &GRPO[..], ["step 2: the logits are not finite", "not-finite-step-2.jsonl"]),
        ("self-distill", &GRPO[..4], ["step 2: the logits are not finite", "not-finite-step-2"]),
        // Measured before it is trained on again.
        ("sft", &["--set", "base_kl.every=1"], ["the policy after step 1 cannot be measured", "not finite"]),
    ] {
        let dir = study();
        write_grpo_task(dir.path());
        let file = if method == "grpo" { "grpo.jsonl" } else { "sft.jsonl" };
        let more = [&["--learning-rate", DIVERGING, "--steps", "6"], more].concat();
        let output = razor(dir.path(), &arguments(method, file, "out", &more)).output().unwrap();
        assert_refused(&output, 1, &[&parts[..], &["lower learning rate", "no checkpoint yet"]].concat());
        assert!(checkpoints(&dir.path().join("out")).is_empty());
        if parts[0].starts_with("step 2") {
            let rows = lines(&dir.path().join("out/not-finite-step-2.jsonl"));
            assert!(!rows.is_empty() && rows.iter().all(|row| row["token_ids"].is_array()), "{rows:?}");
        }
    }
}

/// For rows of `write_grpo_task`.
const GRPO: [&str; 6] = [
    "--max-new-tokens",
    "1",
    "--prompt-style",
    "plain",
    "--set",
    "method.config.optimization.sequences_per_step=64",
];

/// A learning rate after whose first step the squares of activations are above the range of f32.
const DIVERGING: &str = "1e30";

#[test]
fn rewards_that_never_differ_are_said_at_once_and_in_the_result_and_change_no_weight() {
    let dir = study();
    write_hopeless_task(dir.path());
    let more = ["--max-new-tokens", "6", "--steps", "4", "--set", "cadence.checkpoint_every=2"];
    let output = razor(dir.path(), &arguments("grpo", "hopeless.jsonl", "out", &more)).output().unwrap();
    let (result, said) = (stdout(&output), stderr(&output));
    assert!(said.contains("warning: step 1:") && said.contains("all rewards are equal"), "{said}");
    assert_eq!(said.matches("warning: ").count(), 1, "{said}");
    assert!(result.contains("4 of 4 steps had nothing to learn from"), "{result}");
    let run = dir.path().join("out");
    for record in lines(&run.join("steps.jsonl")) {
        assert_eq!((&record["zero_variance_share"], &record["grad_norm"]), (&json!(1.0), &json!(0.0)));
    }
    assert_same_weights(&last_checkpoint(&run).join("model"), &dir.path().join("model"));

    let quiet = [&more[..], &["--quiet", "--json"]].concat();
    let output = razor(dir.path(), &arguments("grpo", "hopeless.jsonl", "quiet", &quiet)).output().unwrap();
    let result: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&result["n_idle_steps"], stderr(&output).as_str()), (&json!(4), ""));
}

#[test]
fn completions_that_are_all_cut_off_are_said_and_masked_ones_teach_nothing() {
    let dir = study();
    write_hopeless_task(dir.path());
    let more = ["--preset", "dapo", "--max-new-tokens", "1", "--steps", "2"];
    // All but greedy, and the likeliest token ends no completion.
    let masked = ["--set", "method.config.mask_truncated=true", "--set", "method.config.temperature=0.01"];
    let more = [&more[..], &masked].concat();
    let output = razor(dir.path(), &arguments("grpo", "hopeless.jsonl", "out", &more)).output().unwrap();
    let (result, said) = (stdout(&output), stderr(&output));
    assert!(said.contains("every completion reached the limit of tokens"), "{said}");
    assert!(said.contains("--max-new-tokens"), "{said}");
    assert!(result.contains("2 of 2 steps had nothing to learn from"), "{result}");
    for record in lines(&dir.path().join("out/steps.jsonl")) {
        assert_eq!(record["truncated_share"], json!(1.0));
    }
}

#[test]
fn a_base_that_is_never_right_leaves_nothing_to_imitate() {
    let dir = study();
    write_hopeless_task(dir.path());
    let more = ["--max-new-tokens", "2", "--draws", "2"];
    let parts = ["answers no question rightly in 2 draws", "raise --draws"];
    assert_refuses(dir.path(), &arguments("rejection-sft", "hopeless.jsonl", "out", &more), 1, &parts);
    let fresh = [&more[..], &["--fresh", "--steps", "2"]].concat();
    let output =
        razor(dir.path(), &arguments("rejection-sft", "hopeless.jsonl", "out", &fresh)).output().unwrap();
    assert!(stdout(&output).contains("2 of 2 steps had nothing to learn from"));
    assert!(stderr(&output).contains("warning: step 1: no completion of the base is right"), "{output:?}");
    assert_same_weights(&last_checkpoint(&dir.path().join("out")).join("model"), &dir.path().join("model"));
}

#[test]
fn a_folder_with_a_run_or_anything_else_in_it_is_refused_before_any_work() {
    let dir = study();
    let more = ["--steps", "2", "--quiet"];
    stdout(&razor(dir.path(), &sft(&more)).output().unwrap());
    let refuses = |more: &[&str], parts: &[&str]| assert_refuses(dir.path(), &sft(more), 1, parts);
    refuses(&more, &["out holds this run, finished", "another --out"]);
    refuses(&[&more[..], &["--resume"]].concat(), &["out holds this run, finished", "another --out"]);
    fs::remove_file(dir.path().join("out/done")).unwrap(); // as if it had been killed at its very end
    refuses(&more, &["out holds this run, not finished", "--resume"]);
    refuses(&["--steps", "3", "--resume"], &["`n_steps` is 2 there and 3 here", "change it back"]);
    let rate = ["--steps", "2", "--resume", "--learning-rate", "0.5"];
    refuses(&rate, &["`method.config.optimization.learning_rate` is", "0.5 here"]);

    // A folder or file of the same name with something else in it.
    let weights = dir.path().join("model/model.safetensors");
    let (bytes, rows) = (fs::read(&weights).unwrap(), fs::read(dir.path().join("sft.jsonl")).unwrap());
    let resume = ["--steps", "2", "--quiet", "--resume"];
    fill_weights(&dir.path().join("model"), 0.01);
    refuses(&resume, &["`contents.model` is", "there and", "another --out"]);
    fs::write(&weights, bytes).unwrap();
    fs::write(dir.path().join("sft.jsonl"), [&rows[..], b"\n"].concat()).unwrap();
    refuses(&resume, &["`contents.task` is", "there and", "another --out"]);
    fs::write(dir.path().join("sft.jsonl"), rows).unwrap();
    fs::rename(dir.path().join("model"), dir.path().join("moved")).unwrap();
    let mut moved = sft(&resume);
    moved[2] = "moved";
    assert_refuses(dir.path(), &moved, 1, &["`model` is \"model\" there and \"moved\" here"]);
    fs::rename(dir.path().join("moved"), dir.path().join("model")).unwrap();
    stdout(&razor(dir.path(), &sft(&resume)).output().unwrap());

    let other = |out, more: &[&str], parts: &[&str]| {
        assert_refuses(dir.path(), &arguments("sft", "sft.jsonl", out, more), 1, parts);
    };
    other("absent", &["--resume"], &["absent holds no run to resume", "without --resume"]);
    fs::create_dir(dir.path().join("mine")).unwrap();
    fs::write(dir.path().join("mine/thesis.tex"), "").unwrap();
    other("mine", &[], &["mine holds other files (thesis.tex)", "another --out"]);
    other("mine", &["--resume"], &["mine holds no run to resume"]);
    other("sft.jsonl", &[], &["sft.jsonl"]);
}

/// A run of 6 steps with a checkpoint every second one, stopped after the fourth as a kill there would.
fn stopped_run(dir: &Path) {
    fs::create_dir(dir.join("out")).unwrap();
    for (path, bytes) in snapshot(&dir.join("whole")) {
        let path = dir.join("out").join(path.strip_prefix(dir.join("whole")).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    fs::remove_dir_all(dir.join("out/checkpoints/00000006")).unwrap();
    fs::remove_file(dir.join("out/done")).unwrap();
}

const SIX: [&str; 7] =
    ["--steps", "6", "--set", "cadence.checkpoint_every=2", "--set", "retention.keep_last=9", "--quiet"];

#[test]
fn a_damaged_checkpoint_is_named_with_its_file_and_the_one_before_it_serves() {
    let dir = study();
    stdout(&razor(dir.path(), &arguments("sft", "sft.jsonl", "whole", &SIX)).output().unwrap());
    let resume = [&SIX[..], &["--resume"]].concat();
    let last = dir.path().join("out/checkpoints/00000004");
    let shortened = |name: &'static str| {
        let path = last.join(name);
        move || fs::write(&path, &fs::read(&path).unwrap()[..100]).unwrap()
    };
    let flip = || {
        let path = last.join("state.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let damages: [(&str, &str, &dyn Fn()); 6] = [
        ("model/model.safetensors", "has 100 bytes, expected", &shortened("model/model.safetensors")),
        ("state.json", "has 100 bytes, expected", &shortened("state.json")),
        ("files.json", "is no list of files", &shortened("files.json")),
        ("state.safetensors", "has SHA-256", &flip),
        ("files.json", "cannot be read", &|| fs::remove_file(last.join("files.json")).unwrap()),
        ("model/config.json", "cannot be read", &|| fs::remove_file(last.join("model/config.json")).unwrap()),
    ];
    for (file, what, damage) in damages {
        stopped_run(dir.path());
        damage();
        let (file, remove) = (
            format!("out/checkpoints/00000004/{file}"),
            "remove out/checkpoints/00000004 to use the one before",
        );
        assert_refuses(dir.path(), &sft(&resume), 1, &[&file, what, "damaged", remove]);
        fs::remove_dir_all(&last).unwrap();
        stdout(&razor(dir.path(), &sft(&resume)).output().unwrap());
        let ends = ["whole", "out"].map(|run| dir.path().join(run).join("checkpoints/00000006/model"));
        assert_same_weights(&ends[0], &ends[1]);
        assert_eq!(lines(&dir.path().join("out/steps.jsonl")).len(), 6);
        fs::remove_dir_all(dir.path().join("out")).unwrap();
    }

    stopped_run(dir.path());
    fs::write(dir.path().join("out/steps.jsonl"), "").unwrap();
    let parts = ["out/steps.jsonl has 0 bytes", "the checkpoint to resume from recorded"];
    assert_refused(&razor(dir.path(), &sft(&resume)).output().unwrap(), 1, &parts);
    fs::remove_dir_all(dir.path().join("out")).unwrap();

    stopped_run(dir.path());
    let (own, other) = (last.join("state.safetensors"), dir.path().join("other"));
    fs::copy(dir.path().join("whole/checkpoints/00000002/state.safetensors"), other).unwrap();
    fs::copy(dir.path().join("other"), own).unwrap();
    assert_refuses(dir.path(), &sft(&resume), 1, &["00000004/state.safetensors", "SHA-256"]);
}

/// Runs `razor` where no file may grow beyond `kib`, as on a disk that is full.
fn on_a_full_disk(dir: &Path, kib: usize, arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    // Without the trap the signal would end the process before the write could fail. Blocks have 512 bytes.
    command.args(["-c", "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"", "sh", &(2 * kib).to_string()]);
    let of_razor = razor(dir, arguments);
    command.arg(of_razor.get_program()).args(of_razor.get_args()).current_dir(dir);
    for (name, value) in of_razor.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap()
}

#[test]
fn a_disk_that_fills_up_ends_the_run_with_the_last_checkpoint_intact_and_resuming_loses_nothing() {
    let dir = study();
    stdout(&razor(dir.path(), &arguments("sft", "sft.jsonl", "whole", &SIX)).output().unwrap());
    let (run, resume) = (dir.path().join("out"), [&SIX[..], &["--resume"]].concat());

    // The first checkpoint does not fit: its moments alone have 223 KiB.
    let output = on_a_full_disk(dir.path(), 150, &sft(&SIX));
    let said = assert_refused(&output, 1, &["cannot write out/checkpoints/00000002", "free some space"]);
    assert!(said.contains("there was no checkpoint yet") && said.contains("--resume"), "{said}");
    assert_eq!(names(&run.join("checkpoints")), [""; 0]);
    assert_refuses(dir.path(), &sft(&SIX), 1, &["not finished", "--resume"]);

    // A later one does not fit.
    fs::remove_dir_all(&run).unwrap();
    stopped_run(dir.path());
    let before = snapshot(&run.join("checkpoints"));
    let output = on_a_full_disk(dir.path(), 150, &sft(&resume));
    let said = assert_refused(&output, 1, &["cannot write out/checkpoints/00000006", "free some space"]);
    assert!(said.contains("the last checkpoint, of step 4, is intact"), "{said}");
    assert!(before == snapshot(&run.join("checkpoints")));

    // A log does not fit.
    let output = on_a_full_disk(dir.path(), 1, &sft(&resume));
    let said = assert_refused(&output, 1, &["cannot write out/", ".jsonl", "free some space"]);
    assert!(said.contains("the last checkpoint, of step 4, is intact"), "{said}");
    assert!(before == snapshot(&run.join("checkpoints")));

    stdout(&razor(dir.path(), &sft(&resume)).output().unwrap());
    let ends = ["whole", "out"].map(|run| dir.path().join(run).join("checkpoints/00000006"));
    for name in ["model/model.safetensors", "state.safetensors"] {
        assert!(fs::read(ends[0].join(name)).unwrap() == fs::read(ends[1].join(name)).unwrap(), "{name}");
    }
}

#[test]
fn a_run_is_written_by_one_process_at_a_time() {
    let dir = study();
    let more = ["--steps", "100000"];
    let mut child = razor(dir.path(), &sft(&more)).stderr(Stdio::null()).spawn().unwrap();
    while !fs::read_to_string(dir.path().join("out/steps.jsonl")).is_ok_and(|text| text.contains('\n')) {
        assert!(child.try_wait().unwrap().is_none());
    }
    let output = razor(dir.path(), &sft(&["--steps", "100000", "--resume"])).output().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_refused(&output, 1, &["out is being written by another process", "another --out"]);
}
