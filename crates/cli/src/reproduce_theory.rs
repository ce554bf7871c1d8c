//! `razor reproduce theory`.

use std::process::ExitCode;

use razor_core::Seed;
use razor_experiments::theory::{TheoryConfig, TheoryStudy};
use serde_json::json;

use crate::args::ReproduceArgs;
use crate::reproduce::{out_dir, print_plan, print_result};
use crate::terminal::{print, print_json};
use crate::{UsageError, backend};

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
    let config =
        TheoryConfig::preset(args.preset(), &args.set).map_err(|error| UsageError(error.to_string()))?;
    let study = TheoryStudy { preset: args.preset().to_owned(), seed, study: config };
    if args.dry_run && args.json {
        print_json(&json!({"study": "theory", "preset": args.preset(), "seed": args.seed, "out": out}))?;
        return Ok(ExitCode::SUCCESS);
    }
    let plan = format!(
        "study    theory, preset {}, seed {}\n\
         data     none is needed: exact problems and random bandits\n\
         expect   less than a minute on one core, and less than 100 MiB of memory\n\
         out      {}\n\n",
        args.preset(),
        args.seed,
        out.display()
    );
    print_plan(&plan, args)?;
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let summary = study.run(&out, args.resume, &backend::environment(1))?;
    print_result(&summary, &out, args.json)?;
    if !args.json {
        print(&format!("redraw   razor report {}\n", out.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
