//! `razor data`.

use std::process::ExitCode;

use razor_core::Seed;
use razor_data::{
    DatasetEntry, DatasetId, DatasetState, Fetched, FileCheck, ImageDataset, Manifest, PictureStyle, Sources,
    Split, fetch, inspect, load_images, procedural_images, render_example,
};
use serde_json::{Value, json};

use crate::args::{DataArgs, DataCommand, DataQuery, FetchArgs, ShowArgs, Shown, SplitName};
use crate::benchmark_list::{self, BenchmarkState};
use crate::progress::download_listener;
use crate::task_list::{self, TaskState};
use crate::terminal::{allows_colours, print, print_json};
use crate::{UsageError, data_task};

pub(crate) fn run(args: &DataArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        DataCommand::List(args) => list(args),
        DataCommand::Fetch(args) => fetch_all(args),
        DataCommand::Verify(args) => verify(args),
        DataCommand::Show(args) => show(args),
    }
}

fn wanted(names: &[DatasetId]) -> Vec<DatasetId> {
    if names.is_empty() { DatasetId::ALL.to_vec() } else { names.to_vec() }
}

fn inspect_all(args: &DataQuery) -> Vec<(&'static DatasetEntry, DatasetState)> {
    let sources = Sources::new(args.data.clone());
    let ids = wanted(&args.names).into_iter();
    ids.map(|id| (Manifest::embedded().entry(id), inspect(id, &sources))).collect()
}

/// The tasks, where no image sets were named.
fn task_states(args: &DataQuery) -> Vec<TaskState> {
    if args.names.is_empty() { TaskState::of_all(&Sources::new(args.data.clone())) } else { Vec::new() }
}

/// The benchmarks, where no image sets were named.
fn benchmark_states(args: &DataQuery) -> Vec<BenchmarkState> {
    if args.names.is_empty() { BenchmarkState::of_all(&Sources::new(args.data.clone())) } else { Vec::new() }
}

fn print_states(
    found: &[(&DatasetEntry, DatasetState)],
    tasks: &[TaskState],
    benchmarks: &[BenchmarkState],
) -> anyhow::Result<()> {
    let images = found.iter().map(|(entry, state)| state_json(entry, state));
    let texts = tasks.iter().map(TaskState::to_json).chain(benchmarks.iter().map(BenchmarkState::to_json));
    print_json(&images.chain(texts).collect::<Vec<_>>())
}

fn list(args: &DataQuery) -> anyhow::Result<ExitCode> {
    let (found, tasks, benchmarks) = (inspect_all(args), task_states(args), benchmark_states(args));
    if args.json {
        print_states(&found, &tasks, &benchmarks)?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = found.iter().map(|(entry, _)| entry.licence.chars().count()).max().unwrap_or(0);
    let row = |name: &str, state: &str, licence: &str, place: &str| {
        format!("{name:<14} {state:<8} {licence:<width$} {place}\n")
    };
    let mut text = row("image set", "state", "licence", "where");
    for (entry, state) in &found {
        text.push_str(&row(entry.id.name(), state_name(state), &entry.licence, &place_text(state)));
    }
    for (entry, _) in &found {
        text.push_str(&format!(
            "\n{}: {}\n  {}\n  from {}\n",
            entry.id, entry.title, entry.about, entry.source
        ));
    }
    if found.iter().any(|(_, state)| !state.is_sound()) {
        text.push_str(ADVICE);
    }
    if !tasks.is_empty() {
        text.push_str(&format!("\n{}{TASK_ADVICE}", task_list::table(&tasks)));
    }
    if !benchmarks.is_empty() {
        text.push_str(&format!("\n{}", benchmark_list::table(&benchmarks)));
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn place_text(state: &DatasetState) -> String {
    match state {
        DatasetState::Found { place, .. } => place.clone(),
        DatasetState::Missing(looked) => {
            let places = looked.iter().map(|looked| looked.place.as_str());
            format!("not in {}", places.collect::<Vec<_>>().join(", nor in "))
        }
        DatasetState::Refused(error) => error.to_string(),
    }
}

const ADVICE: &str = "\n`razor data fetch` downloads what is missing; `razor data verify` tells what is wrong. Without real images\n\
                      studies run on generated stand-ins, and say so.\n";

const TASK_ADVICE: &str = "\n`razor data show TASK` shows an example. A task's files go below a data folder as in datasets/TASK/sample;\n\
                           nothing downloads them yet.\n";

fn verify(args: &DataQuery) -> anyhow::Result<ExitCode> {
    let (found, tasks, benchmarks) = (inspect_all(args), task_states(args), benchmark_states(args));
    let is_sound = found.iter().all(|(_, state)| state.is_sound())
        && tasks.iter().all(TaskState::is_sound)
        && benchmarks.iter().all(BenchmarkState::is_sound);
    if args.json {
        print_states(&found, &tasks, &benchmarks)?;
    } else {
        let images: String = found.iter().map(|(entry, state)| verify_text(entry, state)).collect();
        print(&(images + &task_list::verify_text(&tasks) + &benchmark_list::verify_text(&benchmarks)))?;
    }
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verify_text(entry: &DatasetEntry, state: &DatasetState) -> String {
    match state {
        DatasetState::Found { place, files } => {
            let lines = files.iter().map(|file| match &file.outcome {
                Ok(record) => format!("  ok     {}  {} bytes\n", file.name, record.bytes),
                Err(error) => format!("  WRONG  {error}\n"),
            });
            format!("{} in {place}\n{}", entry.id, lines.collect::<String>())
        }
        DatasetState::Missing(looked) => {
            let lines = looked.iter().map(|looked| format!("  looked in {looked}\n"));
            format!("{} is MISSING\n{}", entry.id, lines.collect::<String>())
        }
        DatasetState::Refused(error) => format!("{} cannot be used\n  WRONG  {error}\n", entry.id),
    }
}

fn state_name(state: &DatasetState) -> &'static str {
    match state {
        DatasetState::Found { .. } if state.is_sound() => "ok",
        DatasetState::Missing(_) => "missing",
        DatasetState::Found { .. } | DatasetState::Refused(_) => "WRONG",
    }
}

fn state_json(entry: &DatasetEntry, state: &DatasetState) -> Value {
    let mut object = json!({
        "name": entry.id,
        "state": state_name(state).to_lowercase(),
        "title": entry.title,
        "source": entry.source,
        "licence": entry.licence,
    });
    match state {
        DatasetState::Found { place, files } => {
            object["place"] = json!(place);
            object["files"] = files.iter().map(file_json).collect();
        }
        DatasetState::Missing(looked) => {
            object["looked"] = looked.iter().map(ToString::to_string).collect();
        }
        DatasetState::Refused(error) => object["error"] = json!(error.to_string()),
    }
    object
}

fn file_json(file: &FileCheck) -> Value {
    match &file.outcome {
        Ok(record) => json!({"name": file.name, "ok": true, "bytes": record.bytes, "sha256": record.sha256}),
        Err(error) => json!({"name": file.name, "ok": false, "error": error.to_string()}),
    }
}

fn fetch_all(args: &FetchArgs) -> anyhow::Result<ExitCode> {
    let sources = Sources::new(args.data.clone());
    for id in wanted(&args.names) {
        let text = match fetch(id, &sources, &download_listener(args.quiet))? {
            Fetched::AlreadyThere(folder) => {
                format!("{id}: already in {}, every byte right\n", folder.display())
            }
            Fetched::Stored(folder) => format!("{id}: now in {}, every byte right\n", folder.display()),
        };
        if !args.quiet {
            print(&text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    match args.name {
        Shown::Images(id) => show_image(id, args),
        Shown::Task(task) => data_task::show(task, args),
    }
}

fn show_image(id: DatasetId, args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let given = [
        (args.subset.is_some(), "--subset"),
        (args.file.is_some(), "--file"),
        (args.model.is_some(), "--model"),
        (args.completion.is_some(), "--completion"),
    ];
    if let Some((_, option)) = given.into_iter().find(|(is_given, _)| *is_given) {
        return Err(UsageError(format!("{option} belongs to a task; {id} is an image set")).into());
    }
    let split = Split::from(args.split.unwrap_or(SplitName::Train));
    let dataset = if args.procedural {
        let n = args.index.saturating_add(1).min(60_000); // image i does not depend on how many are drawn
        let n_of = |part| if part == split { n } else { 0 };
        // The seed that a study derives, so that one sees what it trains on.
        let seed = Seed::new(args.seed).derive("procedural", 0);
        procedural_images(id, seed, n_of(Split::Train), n_of(Split::Test))
    } else {
        load_images(id, &Sources::new(args.data.clone()))?
    };
    let style = if allows_colours(&std::io::stdout()) { PictureStyle::Ansi } else { PictureStyle::Ascii };
    let picture = render_example(&dataset, split, args.index, style)?; // refuses an index past the end
    if args.json {
        print_json(&example_json(&dataset, split, args.index))?;
    } else {
        print(&picture)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// An example that [`render_example`] has found.
fn example_json(dataset: &ImageDataset, split: Split, idx: usize) -> Value {
    let images = if split == Split::Train { &dataset.train } else { &dataset.test };
    let label = images.label(idx);
    json!({
        "dataset": dataset.id,
        "split": split.name(),
        "index": idx,
        "label": label,
        "class": Manifest::embedded().entry(dataset.id).class_name(label),
        "data": dataset.provenance,
        "pixels": images.image(idx),
    })
}
