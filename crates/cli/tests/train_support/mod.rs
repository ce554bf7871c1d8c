//! What the tests of training share: a model of 28 thousand weights, tasks of a few words, and `razor` in a folder.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// `razor` in `dir`, where no data set is to be found and no hub is asked.
pub(crate) fn razor(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_razor"));
    command.current_dir(dir).args(arguments).env_remove("RAZOR_DATA");
    command.env("HF_HUB_OFFLINE", "1").env("HF_HOME", dir.join("hub"));
    command
}

/// The tiny model of the goldens, as `dir/model`: a short name that does not depend on where the repository is.
pub(crate) fn copy_model(dir: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tiny_qwen2");
    let to = dir.join("model");
    copy_folder(&from, &to);
    to
}

/// Copies the files of a folder.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in names(from) {
        fs::write(to.join(&name), fs::read(from.join(&name)).unwrap()).unwrap();
    }
}

/// Writes `dir/NAME` with one value a line.
pub(crate) fn write_rows(dir: &Path, name: &str, rows: impl IntoIterator<Item = Value>) {
    let lines: String = rows.into_iter().map(|row| format!("{row}\n")).collect();
    fs::write(dir.join(name), lines).unwrap();
}

/// Sixty questions, about a tenth of which are held out.
pub(crate) fn questions() -> impl Iterator<Item = String> {
    (0..60).map(|idx| format!("The task {idx} asks: what is {} + {}?", idx % 7, idx % 11))
}

/// `sft.jsonl`: questions with completions to imitate, and no answer to check.
pub(crate) fn write_sft_task(dir: &Path) {
    let row = |(idx, prompt)| json!({"prompt": prompt, "completion": format!("The answer is {}.", idx % 5)});
    write_rows(dir, "sft.jsonl", questions().enumerate().map(row));
}

/// `grpo.jsonl`: questions that are rightly answered by the token that the model itself finds likeliest, so that it is right
/// now and then. For plain prompts and completions of one token.
pub(crate) fn write_grpo_task(dir: &Path) {
    write_rows(dir, "prompts.jsonl", questions().map(|prompt| json!({"id": prompt, "prompt": prompt})));
    let greedy = ["generate", "--model", "model", "--input", "prompts.jsonl", "--temperature", "0"];
    let output = razor(dir, &[&greedy[..], &["--max-new-tokens", "1"]].concat()).output().unwrap();
    let rows = stdout(&output);
    let rows = rows.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let answer = line["completion"].as_str().unwrap().trim();
        let is_checkable = answer.contains(char::is_alphanumeric);
        json!({"prompt": line["id"], "text": if is_checkable { answer } else { "the" }})
    });
    write_rows(dir, "grpo.jsonl", rows);
}

/// The arguments of a run of `dir/model` in small steps, with more after them.
pub(crate) fn arguments<'a>(method: &'a str, file: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec![method, "--model", "model", "--file", file, "--out", out];
    for assignment in ["base_kl.n_prompts=3", "base_kl.n_resamples=20", "base_kl.max_new_tokens=4"] {
        arguments.extend(["--set", assignment]);
    }
    for assignment in ["task.max_new_tokens=4", "task.max_test=4"] {
        arguments.extend(["--set", assignment]);
    }
    arguments.extend(more);
    arguments
}

/// The values of a file of JSON lines.
pub(crate) fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line of {} is whole", path.display());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Names in a folder, sorted; none where there is no folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    // Another process may remove an entry while this one looks.
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    names.sort_unstable();
    names
}

/// Steps of the whole checkpoints of a run, ascending.
pub(crate) fn checkpoints(run: &Path) -> Vec<u64> {
    names(&run.join("checkpoints")).iter().filter_map(|name| name.parse().ok()).collect()
}

/// The newest checkpoint of a run.
pub(crate) fn last_checkpoint(run: &Path) -> PathBuf {
    let step = checkpoints(run).pop().unwrap();
    run.join("checkpoints").join(format!("{step:08}"))
}

/// Standard error of a process.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Standard output of a process that succeeded.
pub(crate) fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Checks that two model folders have the same numbers.
pub(crate) fn assert_same_weights(left: &Path, right: &Path) {
    let [left, right] = [left, right].map(|folder| numbers(&folder.join("model.safetensors")));
    assert!(left == right, "the weights differ");
}

/// The tensors of a file by name, as bytes.
fn numbers(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(path).unwrap();
    let n_header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let (header, numbers) = bytes[8..].split_at(n_header);
    let header: serde_json::Map<String, Value> = serde_json::from_slice(header).unwrap();
    let place = |offset: &Value| offset.as_u64().unwrap() as usize;
    let tensors = header.into_iter().filter(|(name, _)| name != "__metadata__");
    let slice = |entry: &Value| {
        let offsets = &entry["data_offsets"];
        numbers[place(&offsets[0])..place(&offsets[1])].to_vec()
    };
    tensors.map(|(name, entry)| (name, slice(&entry))).collect()
}
