//! Every training command for a few steps: what it prints, what it logs, and that its model loads again.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a process or file that cannot be had should fail the test here")]

mod train_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use train_support::{
    arguments, assert_same_weights, checkpoints, copy_folder, copy_model, last_checkpoint, lines, names,
    questions, razor, stderr, stdout, write_rows,
};

const N_STEPS: u64 = 4;

const CADENCE: [&str; 10] = [
    "--steps",
    "4",
    "--set",
    "task.max_new_tokens=8",
    "--set",
    "cadence.checkpoint_every=3",
    "--set",
    "base_kl.every=2",
    "--set",
    "cadence.show_every=2",
];

/// What every step of every method has.
const ALWAYS: [&str; 5] = ["loss", "entropy", "grad_norm", "learning_rate", "epoch"];

/// Questions with a completion to imitate and what a completion is judged by. Which number is right cannot be told from the
/// question.
fn write_task(dir: &Path) {
    let row = |(idx, prompt)| {
        let answer: usize = idx % 3;
        json!({"prompt": prompt, "completion": format!("The answer is {answer}."), "text": answer.to_string()})
    };
    write_rows(dir, "rows.jsonl", questions().enumerate().map(row));
    write_rows(
        dir,
        "old.jsonl",
        questions().map(|prompt| json!({"prompt": prompt, "completion": "The model."})),
    );
}

/// A base that ends its answers and is right now and then: what `razor sft` makes of the model of the goldens.
fn taught_model() -> &'static Path {
    static MODEL: OnceLock<PathBuf> = OnceLock::new();
    MODEL.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("taught");
        let _ = fs::remove_dir_all(&dir); // of an earlier run of these tests
        fs::create_dir_all(&dir).unwrap();
        copy_model(&dir);
        write_task(&dir);
        let more = ["--steps", "60", "--learning-rate", "1e-2", "--quiet", "--json"];
        let output = razor(&dir, &arguments("sft", "rows.jsonl", "run", &more)).output().unwrap();
        let result: Value = serde_json::from_str(&stdout(&output)).unwrap();
        dir.join(result["last_model"].as_str().unwrap())
    })
}

/// A folder with the taught base as `model`, and rows.
fn study() -> TempDir {
    let dir = TempDir::new().unwrap();
    copy_folder(taught_model(), &dir.path().join("model"));
    write_task(dir.path());
    dir
}

/// Runs a command into `out`; gives its result.
fn train(dir: &Path, method: &str, out: &str, more: &[&str]) -> Value {
    let more = [&CADENCE[..], &["--learning-rate", "1e-3", "--json"], more].concat();
    let output = razor(dir, &arguments(method, "rows.jsonl", out, &more)).output().unwrap();
    serde_json::from_str(&stdout(&output)).unwrap()
}

/// Checks the result, the logs, and that `razor generate` reads the model.
fn assert_whole(dir: &Path, out: &str, result: &Value, metrics: &[&str]) {
    let run = dir.join(out);
    assert_eq!((&result["n_steps"], &result["ended_by"]), (&json!(N_STEPS), &json!("steps")));
    assert_eq!(result["n_idle_steps"], json!(0), "{result}");
    assert_eq!(result["evaluation"]["kind"], "accuracy");
    assert!((0.0..=1.0).contains(&result["evaluation"]["score"].as_f64().unwrap()));
    assert!(result["kl_reference_to_policy"].as_f64().unwrap() > 0.0, "{result}");
    assert!(result["best_step"].as_u64().is_some_and(|step| [3, 4].contains(&step)), "{result}");
    let done: Value = serde_json::from_slice(&fs::read(run.join("done")).unwrap()).unwrap();
    assert_eq!(&done, result);

    let steps = lines(&run.join("steps.jsonl"));
    assert!(steps.iter().map(|record| record["step"].as_u64().unwrap()).eq(1..=N_STEPS));
    for record in &steps {
        for name in metrics {
            assert!(record[*name].as_f64().is_some(), "no `{name}` in {record}");
        }
        assert!(record["timing"]["tokens_per_second"].as_f64().unwrap() > 0.0, "{record}");
        assert!(record["timing"]["step_seconds"].as_f64().unwrap() > 0.0, "{record}");
    }
    let kls = lines(&run.join("kl.jsonl"));
    let measured: Vec<u64> = kls.iter().map(|record| record["step"].as_u64().unwrap()).collect();
    assert_eq!(measured, [0, 2, 3, 4]);
    for record in &kls {
        let quantities = record["quantities"].as_array().unwrap();
        for direction in ["reference_to_policy", "policy_to_reference"] {
            for unit in ["token", "sequence"] {
                let name = format!("kl_{direction}_exact_per_{unit}");
                let quantity = quantities.iter().find(|quantity| quantity["name"] == name.as_str()).unwrap();
                let [mean, low, high] = ["mean", "low", "high"].map(|key| quantity[key].as_f64().unwrap());
                assert!(low <= mean && mean <= high, "{quantity}");
                assert_eq!(mean > 0.0, record["step"] != 0, "{quantity}");
            }
        }
    }
    assert_eq!(lines(&run.join("evals.jsonl")).len(), 3); // before the first step and with both checkpoints
    assert_eq!(checkpoints(&run), [3, 4]);
    assert_eq!(names(&run.join("tensorboard")).len(), 1);
    assert_loads(dir, result["last_model"].as_str().unwrap());
    assert_loads(dir, result["best_model"].as_str().unwrap());
}

/// Checks that `razor generate` writes a completion with a model.
fn assert_loads(dir: &Path, model: &str) {
    fs::write(dir.join("prompts.jsonl"), "{\"id\": 1, \"prompt\": \"What is\"}\n").unwrap();
    let generate = ["generate", "--model", model, "--input", "prompts.jsonl", "--max-new-tokens", "3"];
    let text = stdout(&razor(dir, &generate).output().unwrap());
    let line: Value = serde_json::from_str(&text).unwrap();
    assert!(!line["token_ids"].as_array().unwrap().is_empty(), "{line}");
}

#[test]
fn supervised_training_and_its_hybrids_log_what_they_minimize() {
    let dir = study();
    let supervised = [&ALWAYS[..], &["length/mean", "token_accuracy"]].concat();
    let cases: [(&str, &[&str], &[&str]); 8] = [
        ("plain", &[], &[]),
        ("dft", &["--dft", "--preset", "paper"], &[]),
        ("kl", &["--kl-coef", "0.5"], &["kl/in_loss"]),
        ("reverse", &["--kl-coef", "0.5", "--kl-reverse"], &["kl/in_loss"]),
        ("replay", &["--replay", "old.jsonl", "--replay-per-batch", "2"], &[]),
        ("l2sp", &["--anchor-coef", "0.1"], &[]),
        (
            "ewc",
            &[
                "--anchor-coef",
                "100",
                "--ewc-prompts",
                "old.jsonl",
                "--set",
                "anchor.fisher.max_new_tokens=8",
            ],
            &[],
        ),
        ("cut", &["--set", "memory.micro_batch_tokens=40", "--set", "memory.recompute=true"], &[]),
    ];
    for (out, more, metrics) in cases {
        let result = train(dir.path(), "sft", out, more);
        assert_whole(dir.path(), out, &result, &[&supervised[..], metrics].concat());
    }
    let steps = |out: &str| lines(&dir.path().join(out).join("steps.jsonl"));
    let loss = |out: &str, step: usize| steps(out)[step]["loss"].as_f64().unwrap();
    let grad_norm = |out: &str| steps(out)[0]["grad_norm"].as_f64().unwrap();
    // The policy is the base at the first step, so that nothing holds it yet.
    for out in ["kl", "reverse", "l2sp", "ewc"] {
        assert_eq!(loss(out, 0), loss("plain", 0), "{out}");
        assert_ne!(loss(out, 3), loss("plain", 3), "{out}");
    }
    assert_ne!(loss("replay", 0), loss("plain", 0));
    // Cut into pieces and computed again, the same up to rounding.
    assert!((grad_norm("cut") / grad_norm("plain") - 1.0).abs() < 1e-4);
    for out in ["l2sp", "ewc"] {
        assert!(steps(out)[3]["weight_penalty"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn policy_gradients_of_every_preset_log_rewards_clips_lengths_and_the_gap_to_the_sampler() {
    let dir = study();
    let metrics = [
        &ALWAYS[..],
        &["reward/mean", "reward/std", "clip/low", "clip/high", "length/mean", "length/min", "length/max"],
        &["truncated_share", "zero_variance_share", "sampler_gap/mean", "sampler_gap/max"],
    ]
    .concat();
    for preset in
        ["trl_grpo", "trl_rloo", "dr_grpo", "dapo", "gspo", "cispo", "bnpo", "paper_grpo", "reinforce_1_0"]
    {
        let batch = ["--set", "method.config.optimization.sequences_per_step=32"];
        let limits = ["--preset", preset, "--max-new-tokens", "8", "--group-size", "8"];
        let result = train(dir.path(), "grpo", preset, &[&limits[..], &batch].concat());
        assert_whole(dir.path(), preset, &result, &metrics);
        let shown = lines(&dir.path().join(preset).join("completions.jsonl"));
        assert_eq!(shown.len(), 16, "a group at steps 2 and 4");
        assert!(shown.iter().all(|line| !line["reason"].as_str().unwrap().is_empty()), "{shown:?}");
        for record in lines(&dir.path().join(preset).join("steps.jsonl")) {
            assert!(record["sampler_gap/max"].as_f64().unwrap() < 1e-3, "{record}");
        }
    }
    let more = ["--max-new-tokens", "8", "--kl-coef", "0.1", "--set", "method.config.n_iterations=2"];
    let result = train(dir.path(), "grpo", "kl", &more);
    assert_whole(dir.path(), "kl", &result, &[&metrics[..], &["kl/in_loss"]].concat());
}

#[test]
fn the_base_s_own_right_answers_are_imitated_once_drawn_or_drawn_anew() {
    let dir = study();
    let draws = ["--draws", "8", "--max-new-tokens", "8"];
    let result = train(dir.path(), "rejection-sft", "once", &draws);
    assert_whole(dir.path(), "once", &result, &[&ALWAYS[..], &["length/mean"]].concat());
    let fresh = [&draws[..], &["--fresh"]].concat();
    let result = train(dir.path(), "rejection-sft", "fresh", &fresh);
    assert_whole(dir.path(), "fresh", &result, &[&ALWAYS[..], &["length/mean", "right_share"]].concat());
    for record in lines(&dir.path().join("fresh/steps.jsonl")) {
        assert!((0.01..1.0).contains(&record["right_share"].as_f64().unwrap()), "{record}");
    }
}

#[test]
fn preferences_and_self_distillation_log_their_own_numbers() {
    let dir = study();
    let draws = ["--draws", "8", "--max-new-tokens", "8"];
    let pairs = [&ALWAYS[..], &["length/mean", "pairs/reward_gap", "pairs/reward_accuracy"]].concat();
    for preset in ["paper", "standard"] {
        let result = train(dir.path(), "simpo", preset, &[&draws[..], &["--preset", preset]].concat());
        assert_whole(dir.path(), preset, &result, &pairs);
    }
    let distilled = [&ALWAYS[..], &["length/mean", "truncated_share"]].concat();
    for (out, more) in [("reverse", &[][..]), ("forward", &["--forward"])] {
        // In chats question and demonstration do not fit into the context of 96 tokens.
        let limits = ["--max-new-tokens", "8", "--prompt-style", "plain"];
        let result = train(dir.path(), "self-distill", out, &[&limits, more].concat());
        assert_whole(dir.path(), out, &result, &distilled);
    }
}

#[test]
fn a_kl_budget_ends_the_run_or_halves_the_learning_rate() {
    let dir = study();
    let budget = ["--kl-budget", "1e-6", "--set", "method.config.optimization.schedule=constant"];
    let result = train(dir.path(), "sft", "stopped", &budget);
    assert_eq!((&result["n_steps"], &result["ended_by"]), (&json!(2), &json!("kl_budget")));
    assert_eq!((&result["best_step"], &result["best_model"]), (&Value::Null, &Value::Null));
    assert!(result["kl_reference_to_policy"].as_f64().unwrap() > 1e-6 && result["evaluation"].is_object());
    assert_loads(dir.path(), result["last_model"].as_str().unwrap());

    let lowered = [&budget[..], &["--kl-budget-lowers-step"]].concat();
    let result = train(dir.path(), "sft", "lowered", &lowered);
    assert_eq!((&result["n_steps"], &result["ended_by"]), (&json!(4), &json!("steps")));
    let rate = |record: &Value| record["learning_rate"].as_f64().unwrap();
    let rates: Vec<f64> = lines(&dir.path().join("lowered/steps.jsonl")).iter().map(rate).collect();
    assert_eq!(rates, [1e-3, 1e-3, 5e-4, 2.5e-4], "measured after steps 2 and 3");

    // The result for people.
    let more = [&CADENCE[..], &["--learning-rate", "1e-3"], &budget[..]].concat();
    let output = razor(dir.path(), &arguments("sft", "rows.jsonl", "told", &more)).output().unwrap();
    let (result, said) = (stdout(&output), stderr(&output));
    assert!(said.contains("above the budget of 0.000001: the run stops"), "{said}");
    assert!(result.contains("stopped at step 2") && result.contains("no checkpoint is within"), "{result}");
}

#[test]
fn an_average_of_weights_goes_from_one_model_to_the_other() {
    let dir = study();
    let result = train(dir.path(), "sft", "run", &[]);
    let tuned = result["last_model"].as_str().unwrap();
    let interpolate = |alpha: &str, out: &str| {
        let arguments = ["interpolate", "--base", "model", "--tuned", tuned, "--alpha", alpha, "--out", out];
        razor(dir.path(), &arguments).output().unwrap()
    };
    for (alpha, out) in [("0", "none"), ("0.5", "half"), ("1", "all")] {
        assert_eq!(stdout(&interpolate(alpha, out)), format!("{out}\n"));
        assert_loads(dir.path(), out);
    }
    assert_same_weights(&dir.path().join("none"), &dir.path().join("model"));
    assert_same_weights(&dir.path().join("all"), &dir.path().join(tuned));
    let again = interpolate("0.5", "half");
    assert_eq!(again.status.code(), Some(1), "a folder with something in it is not written over");
    assert!(stderr(&again).contains("half"), "{}", stderr(&again));
    let outside = interpolate("1.5", "far");
    assert_eq!(outside.status.code(), Some(2));
    assert!(stderr(&outside).contains("--alpha is 1.5: expected a number from 0 to 1"));
    assert!(!dir.path().join("far").exists());
}

#[test]
fn an_adapter_is_a_folder_for_peft_and_merged_into_its_base_a_model() {
    let dir = study();
    let result = train(dir.path(), "sft", "run", &["--lora-rank", "2", "--lora-targets", "q_proj,v_proj"]);
    let adapter = result["last_model"].as_str().unwrap();
    assert_eq!(names(&dir.path().join(adapter)), ["adapter_config.json", "adapter_model.safetensors"]);
    let config = fs::read(dir.path().join(adapter).join("adapter_config.json")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!((&config["r"], &config["lora_alpha"]), (&json!(2), &json!(4.0)));
    assert_eq!(config["base_model_name_or_path"], "model");

    fs::write(dir.path().join("prompts.jsonl"), "{\"id\": 1, \"prompt\": \"What is\"}\n").unwrap();
    let generate = razor(dir.path(), &["generate", "--model", adapter, "--input", "prompts.jsonl"]).output();
    let said = stderr(&generate.unwrap());
    assert!(said.contains(&format!("razor merge --adapter {adapter} --out DIR")), "{said}");
    let merge = ["merge", "--adapter", adapter, "--out", "merged"];
    assert_eq!(stdout(&razor(dir.path(), &merge).output().unwrap()), "merged\n");
    assert_loads(dir.path(), "merged");
    let before = fs::read(dir.path().join("model/model.safetensors")).unwrap();
    assert!(before != fs::read(dir.path().join("merged/model.safetensors")).unwrap());
}

#[test]
fn plan_and_rows_are_shown_without_a_run() {
    let dir = study();
    let plan = |more: &[&str]| {
        let more = [&CADENCE[..], &["--dry-run"], more].concat();
        stdout(&razor(dir.path(), &arguments("sft", "rows.jsonl", "out", &more)).output().unwrap())
    };
    let text = plan(&[]);
    for part in ["4 steps; ", "parameters are trained", "memory, MiB: ", "[method.config.optimization]"] {
        assert!(text.contains(part), "{text}");
    }
    let json: Value = serde_json::from_str(&plan(&["--json", "--lora-rank", "1"])).unwrap();
    assert_eq!(json["n_steps"], 4);
    assert!(json["n_trained"].as_u64().unwrap() < json["n_parameters"].as_u64().unwrap() / 10);
    assert!(json["memory_mib"]["peak"].as_f64().unwrap() > 0.0 && json["seconds"]["training"].is_number());
    assert_eq!(json["settings"]["lora"]["rank"], 1);

    let preview = |more: &[&str]| {
        let more = [&["--preview", "2"][..], more].concat();
        stdout(&razor(dir.path(), &arguments("sft", "rows.jsonl", "out", &more)).output().unwrap())
    };
    let text = preview(&[]);
    assert!(text.contains("row 0: ") && text.contains("row 1: ") && !text.contains("row 2: "), "{text}");
    let json: Value = serde_json::from_str(&preview(&["--json"])).unwrap();
    for row in json["rows"].as_array().unwrap() {
        let [ids, tokens, mask] =
            ["token_ids", "tokens", "is_trained"].map(|key| row[key].as_array().unwrap());
        assert!(ids.len() == tokens.len() && ids.len() == mask.len());
        let is_trained: Vec<bool> = mask.iter().map(|flag| flag == 1).collect();
        let start = is_trained.iter().position(|&is_trained| is_trained).unwrap();
        assert!(
            is_trained[start..].iter().all(|&is_trained| is_trained),
            "the completion is the end of the row"
        );
        assert_eq!(tokens.last().unwrap(), "<|im_end|>");
    }
    assert!(!dir.path().join("out").exists());
}

#[test]
fn json_is_one_document_and_quiet_says_nothing_else() {
    let dir = study();
    let more = [&CADENCE[..], &["--quiet"][..]].concat();
    let output = razor(dir.path(), &arguments("sft", "rows.jsonl", "quiet", &more)).output().unwrap();
    assert_eq!(stderr(&output), "");
    let text = stdout(&output);
    assert!(
        text.starts_with("4 steps done\n") && text.contains("last model: quiet/checkpoints/00000004"),
        "{text}"
    );

    let more = [&CADENCE[..], &["--json"][..]].concat();
    let output = razor(dir.path(), &arguments("sft", "rows.jsonl", "json", &more)).output().unwrap();
    let said = stderr(&output);
    serde_json::from_str::<Value>(&stdout(&output)).unwrap();
    for part in
        ["questions to train on", "step 1 of 4: loss ", "KL/token base‖policy 0.0000", "step 4 of 4: "]
    {
        assert!(said.contains(part), "expected `{part}` in {said}");
    }
    assert_eq!(last_checkpoint(&dir.path().join("json")).file_name().unwrap(), "00000004");
}
