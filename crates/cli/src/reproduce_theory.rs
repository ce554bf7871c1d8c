//! `razor reproduce theory`, and redrawing its report.
//!
//! The folder holds `config.toml` (preset, seed and resolved config), `env.toml`, `result.json` and the report.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use razor_core::{Seed, load_config, write_atomic, write_json};
use razor_experiments::Environment;
use razor_experiments::theory::{TheoryConfig, TheoryResult, run_theory, theory_report};
use razor_report::{Summary, write_report};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::args::ReproduceArgs;
use crate::reproduce::{out_dir, print_plan, print_result};
use crate::terminal::{print, print_json};
use crate::{UsageError, backend};

/// The file that only this study's folder has.
pub(crate) const RESULT: &str = "result.json";

/// What the study was started with.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Started {
    study: String,
    preset: String,
    seed: Seed,
    config: TheoryConfig,
}

pub(crate) fn run(args: &ReproduceArgs) -> anyhow::Result<ExitCode> {
    if let Some(option) = args.data.given() {
        return Err(UsageError(format!("{option}: the theory study reads no images; leave it out")).into());
    }
    if args.workers.is_some() {
        return Err(
            UsageError("--workers: the theory study runs on one core; leave it out".to_owned()).into()
        );
    }
    let (out, seed) = (out_dir(args), Seed::new(args.seed));
    let started = Started {
        study: "theory".to_owned(),
        preset: args.preset.clone(),
        seed,
        config: config(&args.preset, &args.set)?,
    };
    if args.dry_run && args.json {
        print_json(&json!({"study": "theory", "preset": args.preset, "seed": args.seed, "out": out}))?;
        return Ok(ExitCode::SUCCESS);
    }
    let plan = format!(
        "study    theory, preset {}, seed {}\n\
         data     none is needed: exact problems and random bandits\n\
         expect   less than a minute on one core, and less than 100 MiB of memory\n\
         out      {}\n\n",
        args.preset,
        args.seed,
        out.display()
    );
    print_plan(&plan, args)?;
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    refuse_other_study(&out, &started, args.resume)?;
    write_toml(&out.join("config.toml"), &started)?;
    write_toml(&out.join("env.toml"), &backend::environment(1))?;
    let result = run_theory(&started.config, seed)?;
    write_json(&out.join(RESULT), &result)?;
    let summary = redraw(&out)?;
    print_result(&summary, &out, args.json)?;
    if !args.json {
        print(&format!("redraw   razor report {}\n", out.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Draws the report of the study in `dir` from its records.
pub(crate) fn redraw(dir: &Path) -> anyhow::Result<Summary> {
    let started: Started = read_toml(&dir.join("config.toml"))?;
    let environment: Environment = read_toml(&dir.join("env.toml"))?;
    let path = dir.join(RESULT);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let result: TheoryResult = serde_json::from_str(&text)
        .with_context(|| format!("{}: not a result of the theory study", path.display()))?;
    let (page, summary) = theory_report(&result, &started.preset, environment_map(&environment))?;
    write_report(dir, &page, &summary)?;
    Ok(summary)
}

fn config(preset: &str, assignments: &[String]) -> Result<TheoryConfig, UsageError> {
    let text = match preset {
        "smoke" => include_str!("../../experiments/presets/theory/smoke.toml"),
        "quick" => include_str!("../../experiments/presets/theory/quick.toml"),
        "standard" => include_str!("../../experiments/presets/theory/standard.toml"),
        _ => include_str!("../../experiments/presets/theory/paper.toml"),
    };
    let origin = format!("presets/theory/{preset}.toml");
    let config: TheoryConfig =
        load_config(text, Path::new(&origin), assignments).map_err(|error| UsageError(error.to_string()))?;
    config.check().map_err(|error| UsageError(error.to_string()))?;
    Ok(config)
}

fn refuse_other_study(out: &Path, started: &Started, resume: bool) -> anyhow::Result<()> {
    let path = out.join("config.toml");
    if !path.is_file() {
        return Ok(());
    }
    let is_same = read_toml::<Started>(&path).is_ok_and(|earlier| earlier == *started);
    match (is_same, resume) {
        (true, true) => Ok(()),
        (true, false) => {
            bail!("{} holds an earlier study; add --resume, or choose another --out", out.display())
        }
        (false, _) => bail!("{} holds another study; choose another --out", out.display()),
    }
}

fn environment_map(environment: &Environment) -> BTreeMap<String, String> {
    let Environment { razor, commit, burn, backend, platform, n_workers } = environment;
    let n_workers = n_workers.to_string();
    let pairs = [
        ("razor", razor),
        ("commit", commit),
        ("burn", burn),
        ("backend", backend),
        ("platform", platform),
        ("n_workers", &n_workers),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect()
}

fn write_toml(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    Ok(write_atomic(path, toml::to_string(value)?.as_bytes())?)
}

fn read_toml<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(load_config(&text, path, &[])?)
}
