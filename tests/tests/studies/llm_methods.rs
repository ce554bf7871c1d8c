//! Two steps of every method of the LLM study on a network of Qwen2.5-0.5B's shape, cut to 2 layers: preset `small` as it
//! would run on a GPU. The public questions and benchmarks are asked as well where RAZOR_DATA has them.
//!
//! The weights are random but for what makes a few tokens frequent: completions end by themselves and name an option, so that
//! every method finds right and wrong ones to learn from.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};
use rand::Rng;
use razor_core::Seed;
use razor_data::{Answer, ChatTemplate, Sources, TemplateName, Tokenizer};
use razor_experiments::StudyOptions;
use razor_experiments::llm::fine_tune::{PromptStyle, TaskQuestions, TaskSettings};
use razor_experiments::llm::study::{LlmConfig, LlmStudy, StudyMethod};
use razor_experiments::llm::tiny_base::{read_base, write_tiny_base};
use razor_models::{Decoder, HostData, HostTensor, LmConfig, TensorSpec, WeightDtype};
use serde_json::{Value, json};

use crate::environment;

/// First number of the embedding of a frequent token, and of any other. It is the first of every hidden state too, and as the head
/// is tied to the embedding, the logits of frequent tokens are far above all others and nearly equal.
const FREQUENT: f32 = 12.0;
const OTHER: f32 = 4.0;

/// As Qwen2.5-0.5B's config.json has it, but for the number of layers and of positions.
fn config(eos: u32) -> Value {
    json!({
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": 151_936, "hidden_size": 896,
        "intermediate_size": 4864, "num_hidden_layers": 2, "num_attention_heads": 14, "num_key_value_heads": 2,
        "rms_norm_eps": 1e-6, "rope_theta": 1_000_000.0, "tie_word_embeddings": true, "max_position_embeddings": 4096,
        "hidden_act": "silu", "torch_dtype": "float32", "eos_token_id": eos
    })
}

/// Writes the network with the tokenizer of `files`; completions often have `frequent` in them.
fn write_model(folder: &Path, files: &Path, frequent: &[&str]) {
    let tokenizer = Tokenizer::load(files).unwrap();
    let eos = tokenizer.eos_ids()[0];
    let mut frequent_tokens: Vec<u32> = vec![eos];
    for text in frequent {
        frequent_tokens.extend(tokenizer.encode(text, false).unwrap());
    }
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("config.json"), config(eos).to_string()).unwrap();
    let config = LmConfig::load(folder).unwrap();
    let width = config.hidden_size;
    let mut rng = Seed::new(0).rng();
    let draw = |spec: &TensorSpec| {
        let n: usize = spec.shape.iter().product();
        let mut values: Vec<f32> = match spec.shape.len() {
            2 => (0..n).map(|_| rng.random_range(-0.035..0.035)).collect(),
            _ => vec![if spec.name.ends_with("bias") { 0.0 } else { 1.0 }; n],
        };
        if spec.name.ends_with("embed_tokens.weight") {
            values.iter_mut().step_by(width).for_each(|value| *value = OTHER);
            for &token in &frequent_tokens {
                values[token as usize * width] = FREQUENT;
            }
        }
        Ok::<_, Infallible>(HostTensor { shape: spec.shape.clone(), data: HostData::F32(values) })
    };
    let Ok(policy) = Decoder::build(&config, DType::F32, &Device::flex(), draw);
    policy.save(&folder.join("model"), Some(files), WeightDtype::F32, u64::MAX).unwrap();
}

/// Questions that are trained on.
const N_TRAIN: usize = 2;

/// What makes preset `small` small enough for two cores.
const SHORT: [&str; 14] = [
    "sequence.methods=[]",
    "sequence.batch_sizes=[2, 8]",
    "prior.max_documents=2",
    "training.group_size=8",
    "training.n_draws=32",
    "measure.n_checkpoints=1",
    "measure.keeps_checkpoints=false",
    "measure.n_kl_prompts=2",
    "measure.max_kl_tokens=4",
    "measure.pass_k=2",
    "measure.n_representation_prompts=4",
    "measure.n_neighbors=1",
    "measure.n_resamples=100",
    "memory.generation_rows=16",
];

/// New tasks as TOML: name, source, tokens of a completion.
fn tasks(tasks: &[(&str, &str, usize)]) -> String {
    let task = |(name, source, max_new_tokens): &(&str, &str, usize)| {
        format!(
            "{{name='{name}', source='{source}', subset='', annotations='', imitates_answers=true, max_train={N_TRAIN}, \
             max_test=2, max_new_tokens={max_new_tokens}}}"
        )
    };
    format!("tasks=[{}]", tasks.iter().map(task).collect::<Vec<_>>().join(", "))
}

/// The right options of the questions of tiny_science that are trained on.
fn science_answers() -> [String; N_TRAIN] {
    let settings = TaskSettings {
        name: "tiny_science".to_owned(),
        subset: String::new(),
        file: None,
        annotations: None,
        imitates_answers: true,
        prompt_style: PromptStyle::Plain,
        max_train: N_TRAIN,
        max_test: 1,
        max_new_tokens: 12,
    };
    let questions = TaskQuestions::load(&settings, &Sources::new(None)).unwrap().train;
    let answers: Vec<String> = questions
        .into_iter()
        .map(|question| match question.answer {
            Some(Answer::Choice { label, options }) => {
                options.into_iter().find(|option| option.label == label).unwrap().text
            }
            other => panic!("{other:?} is no choice"),
        })
        .collect();
    answers.try_into().unwrap()
}

/// A sweep of two steps as TOML.
fn sweep(tasks: &[&str], methods: &[StudyMethod], batch_size: usize) -> String {
    let quoted =
        |names: Vec<String>| names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    format!(
        "{{arm='main', tasks=[{}], methods=[{}], learning_rates=[1e-5], epsilons=[1e-8], schedules=['constant'], \
         batch_sizes=[{batch_size}], n_epochs=[1], n_steps=2, n_iterations=[1], n_seeds=1}}",
        quoted(tasks.iter().map(ToString::to_string).collect()),
        quoted(methods.iter().map(ToString::to_string).collect()),
    )
}

fn study(model: &Path, out: &Path, more: &[String]) -> LlmStudy {
    let mut assignments: Vec<String> = SHORT.map(str::to_owned).into();
    assignments.push(format!("base.model={}", model.display()));
    assignments.extend(more.iter().cloned());
    let load = |folder: &str| {
        let folder = Path::new(folder);
        let mut base = read_base(folder, &Device::flex())?;
        base.text.template = ChatTemplate::load(folder, TemplateName::Default, &base.text.tokenizer)?;
        Ok(base)
    };
    let options = StudyOptions {
        out: out.to_owned(),
        preset: "small".to_owned(),
        seed: Seed::new(0),
        resume: false,
        n_workers: 1,
        sources: Sources::new(None),
        environment: environment(1),
    };
    LlmStudy::new(LlmConfig::preset("small", &assignments).unwrap(), options, Box::new(load)).unwrap()
}

/// The folder of the run of a method on a task.
fn run_dir(study: &Path, task: &str, method: StudyMethod) -> PathBuf {
    let prefix = format!("{task}-{method}-lr");
    let mut runs = fs::read_dir(study.join("runs")).unwrap().map(|entry| entry.unwrap().path());
    runs.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&prefix)).unwrap()
}

/// Why there is no more of a run; empty where there is all.
fn failure(study: &Path, task: &str, method: StudyMethod) -> String {
    fs::read_to_string(run_dir(study, task, method).join("failed.json")).unwrap_or_default()
}

/// What the run of a method on a task measured at its end.
fn measured(study: &Path, task: &str, method: StudyMethod) -> Value {
    assert_eq!(failure(study, task, method), "", "{method} on {task}");
    let path = run_dir(study, task, method).join("measurements/2.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn every_method_takes_two_steps_on_the_shape_of_qwen() {
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    write_tiny_base(&files).unwrap();
    let answers = science_answers();
    write_model(&dir.path().join("network"), &files, &answers.each_ref().map(String::as_str));
    let out = dir.path().join("study");
    let (groups, others): (Vec<StudyMethod>, Vec<StudyMethod>) =
        StudyMethod::ALL.into_iter().partition(|method| method.is_policy_gradient());
    let more = [
        "base.prompt_style=plain".to_owned(),
        "prior.benchmarks=['embedded']".to_owned(),
        tasks(&[("science", "tiny_science", 12)]),
        format!("sweeps=[{}, {}]", sweep(&["science"], &others, 2), sweep(&["science"], &groups, 16)),
    ];
    study(&dir.path().join("network/model"), &out, &more).run(&mut |_| {}).unwrap();
    for method in StudyMethod::ALL {
        let moved = measured(&out, "science", method)["weights"]["relative"].as_f64().unwrap();
        assert!(moved > 0.0, "{method} moved the weights by {moved}");
    }
}

/// HumanEval is left out: programs run with the help of `razor` itself, which a test is not. The longest benchmarks are read and
/// put into prompts, and not asked: they would take minutes a policy.
#[test]
fn the_public_questions_and_benchmarks_are_asked_where_they_are() {
    let Some(data) = std::env::var_os("RAZOR_DATA").map(PathBuf::from) else { return };
    let dir = tempfile::tempdir().unwrap();
    write_model(&dir.path().join("network"), &data.join("tokenizers/qwen2.5"), &["A", "B", "7"]);
    let (model, out) = (dir.path().join("network/model"), dir.path().join("study"));
    let all = ["math", "science", "tools"];
    let more = |benchmarks: &str| {
        [
            format!("prior.benchmarks=[{benchmarks}]"),
            tasks(&[("math", "gsm8k", 12), ("science", "sciknoweval", 12), ("tools", "toolalpaca", 12)]),
            format!(
                "sweeps=[{}, {}]",
                sweep(&all, &[StudyMethod::Sft], 2),
                sweep(&["science"], &[StudyMethod::Grpo], 8)
            ),
        ]
    };
    let planned = study(&model, &out, &more("'mmlu', 'truthfulqa_mc2', 'ifeval'"));
    assert_eq!(planned.prior_names(), ["mmlu", "truthfulqa_mc2", "ifeval"]);
    drop(planned);
    study(&model, &out, &more("'hellaswag', 'winogrande'")).run(&mut |_| {}).unwrap();
    let runs = all.iter().map(|task| (*task, StudyMethod::Sft)).chain([("science", StudyMethod::Grpo)]);
    for (task, method) in runs {
        let measured = measured(&out, task, method);
        assert_eq!(measured["prior"].as_array().unwrap().len(), 2, "{task}");
        let kl = measured["kl_on_prior_prompts"].as_f64().unwrap();
        assert!(kl.is_finite(), "{method} on {task}: {kl}");
    }
}
