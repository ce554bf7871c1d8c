//! The command line: every command, option and example.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use razor_data::{DataPolicy, DatasetId, Split, TaskId};

use crate::backend::VERSION;
use crate::eval::EvalArgs;
use crate::generate::GenerateArgs;
use crate::interpolate::InterpolateArgs;
use crate::measure::MeasureArgs;
use crate::merge::MergeArgs;
use crate::pretrain::PretrainArgs;
use crate::score::ScoreArgs;
use crate::train_settings::{GrpoArgs, RejectionSftArgs, SelfDistillArgs, SftArgs, SimpoArgs};

/// Fine-tunes a model on a new task and tells what it forgets.
#[derive(Debug, Parser)]
#[command(name = "razor", version = VERSION, arg_required_else_help = true, max_term_width = 110, after_help = "\
Example:
  razor reproduce parity --preset smoke --procedural")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Reproduce(ReproduceArgs),
    Report(ReportArgs),
    Data(DataArgs),
    Pretrain(PretrainArgs),
    Sft(SftArgs),
    RejectionSft(RejectionSftArgs),
    Grpo(GrpoArgs),
    Simpo(SimpoArgs),
    SelfDistill(SelfDistillArgs),
    Interpolate(InterpolateArgs),
    Merge(MergeArgs),
    Generate(GenerateArgs),
    Score(ScoreArgs),
    Eval(EvalArgs),
    Measure(MeasureArgs),
    Bench(BenchArgs),
}

/// Run a whole study: plan, runs, report
#[derive(Debug, Args)]
#[command(after_help = "\
The plan comes first: data, number of runs, expected time and memory. Finished runs are never \
lost: interrupt with Ctrl-C, continue with --resume.

Examples:
  razor reproduce parity
  razor reproduce llm
  razor reproduce parity --preset standard --data datasets/raw --out runs/parity
  razor reproduce parity --preset smoke --procedural --set finetune.group_size=4 --dry-run")]
pub(crate) struct ReproduceArgs {
    /// Which study: `parity` (does RL forget less than SFT? on images), `llm` (the same on language models) or `theory` (where
    /// on-policy learning ends up)
    #[arg(value_parser = parse_study)]
    pub(crate) study: Study,
    /// Size of the study: smoke, quick, standard or paper of parity and theory [default: quick]; smoke, tiny, tiny-full,
    /// small or paper of llm [default: tiny]
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    #[command(flatten)]
    pub(crate) data: DataChoice,
    /// Folder of the study [default: runs/STUDY-PRESET]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Seed of everything that is random
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Continue a study that was stopped; finished runs are kept
    #[arg(long)]
    pub(crate) resume: bool,
    /// Runs at a time, one core each [default: all cores]
    #[arg(long, value_name = "N", value_parser = parse_n_workers)]
    pub(crate) workers: Option<usize>,
    /// Change one value of the preset, such as finetune.group_size=4; may be given again
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Print the plan, the expected time and memory, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// No plan and no progress, only the result
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Print the result (with --dry-run the plan) as JSON, everything else to standard error
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which images, and from where.
#[derive(Debug, Args)]
pub(crate) struct DataChoice {
    /// Folder of the real images, searched alone [default: $RAZOR_DATA, datasets/raw, the Hugging Face cache and hub]
    #[arg(long, value_name = "DIR", conflicts_with = "procedural")]
    pub(crate) data: Option<PathBuf>,
    /// Use generated stand-ins even when the real images are here
    #[arg(long)]
    pub(crate) procedural: bool,
    /// Fail, instead of using stand-ins, when the real images cannot be had
    #[arg(long, conflicts_with = "procedural")]
    pub(crate) require_real: bool,
}

impl DataChoice {
    pub(crate) fn policy(&self) -> DataPolicy {
        match (self.procedural, self.require_real) {
            (true, _) => DataPolicy::ProceduralOnly,
            (false, true) => DataPolicy::RealOnly,
            (false, false) => DataPolicy::Auto,
        }
    }

    /// The first of these options that was given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let given = [
            (self.data.is_some(), "--data"),
            (self.procedural, "--procedural"),
            (self.require_real, "--require-real"),
        ];
        given.into_iter().find_map(|(is_given, name)| is_given.then_some(name))
    }
}

/// A study that this version has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Study {
    Parity,
    Llm,
    Theory,
}

impl Study {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Parity => "parity",
            Self::Llm => "llm",
            Self::Theory => "theory",
        }
    }

    /// The preset that runs unless another is named.
    const fn default_preset(self) -> &'static str {
        match self {
            Self::Parity | Self::Theory => "quick",
            Self::Llm => "tiny",
        }
    }
}

impl ReproduceArgs {
    /// Size of the study.
    pub(crate) fn preset(&self) -> &str {
        self.preset.as_deref().unwrap_or(self.study.default_preset())
    }
}

fn parse_study(name: &str) -> Result<Study, String> {
    match name {
        "parity" => Ok(Study::Parity),
        "llm" => Ok(Study::Llm),
        "theory" => Ok(Study::Theory),
        "robotics" | "circuits" => {
            Err("this study is not available yet; available now: parity, llm, theory".to_owned())
        }
        _ => Err("no study has this name; expected parity, llm or theory".to_owned()),
    }
}

fn parse_n_workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n_workers @ 1..=1024) => Ok(n_workers),
        _ => Err("expected a whole number from 1 to 1024".to_owned()),
    }
}

/// Redraw a study's report from its records
#[derive(Debug, Args)]
#[command(after_help = "\
Trains nothing. Works on a study that was stopped, with the runs that are done.

Example:
  razor report runs/parity-quick")]
pub(crate) struct ReportArgs {
    /// The folder that `razor reproduce --out` wrote
    pub(crate) dir: PathBuf,
    /// Print nothing but errors
    #[arg(long, conflicts_with = "json")]
    pub(crate) quiet: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The data sets: what there is, where from, whether every byte is right
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Example:
  razor data list"
)]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    pub(crate) command: DataCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// List the data sets: state, licence, where they were found
    #[command(after_help = "\
Example:
  razor data list --data datasets/raw")]
    List(DataQuery),
    /// Download data sets from the Hugging Face hub
    #[command(after_help = "\
Files go to --data DIR or to datasets/raw. HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE are honoured.

Examples:
  razor data fetch
  razor data fetch mnist --data datasets/raw")]
    Fetch(FetchArgs),
    /// Check every file byte for byte; exit 1 when one is missing or wrong
    #[command(after_help = "\
Example:
  razor data verify --data datasets/raw")]
    Verify(DataQuery),
    /// Show one example
    #[command(after_help = "\
Examples:
  razor data show mnist --index 7
  razor data show fashion_mnist --split test --procedural --seed 1
  razor data show gsm8k --index 3 --model Qwen2.5-0.5B-Instruct
  razor data show sciknoweval --completion 'Answer: B'")]
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DataQuery {
    /// Data sets [default: all]
    #[arg(value_name = "NAME", value_parser = parse_dataset)]
    pub(crate) names: Vec<DatasetId>,
    /// Folder of the data sets, searched alone [default: $RAZOR_DATA, datasets/raw, the Hugging Face cache]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// Data sets [default: all]
    #[arg(value_name = "NAME", value_parser = parse_dataset)]
    pub(crate) names: Vec<DatasetId>,
    /// Folder to write to [default: datasets/raw]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// No progress
    #[arg(long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Image set or task, such as mnist, gsm8k, sciknoweval, toolalpaca; `file` shows your own JSON lines (--file)
    #[arg(value_parser = parse_shown)]
    pub(crate) name: Shown,
    /// Which example, from 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) index: usize,
    /// Which part [default: train of an image set, both of a task]
    #[arg(long)]
    pub(crate) split: Option<SplitName>,
    /// Part of a task's data, such as Biology/L3 of sciknoweval [default: the one that the studies use]
    #[arg(long, value_name = "NAME")]
    pub(crate) subset: Option<String>,
    /// Your own task: JSON lines with `prompt` or `messages`, and `completion`, `answer`, `choice` or `tool_calls`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "subset"])]
    pub(crate) file: Option<PathBuf>,
    /// Show a task's example as tokens with their loss mask, as this model (folder or hub id) sees it
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Judge this completion instead of the data set's own
    #[arg(long, value_name = "TEXT")]
    pub(crate) completion: Option<String>,
    /// Folder of the data sets, searched alone [default: $RAZOR_DATA, datasets/raw, the Hugging Face cache]
    #[arg(long, value_name = "DIR", conflicts_with = "procedural")]
    pub(crate) data: Option<PathBuf>,
    /// Show the generated stand-in that a study with the same seed would use
    #[arg(long)]
    pub(crate) procedural: bool,
    /// Seed of the stand-in
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Print label and pixels as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `razor data show` can show.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shown {
    Images(DatasetId),
    Task(TaskId),
}

fn parse_shown(name: &str) -> Result<Shown, String> {
    if name == "file" {
        return Ok(Shown::Task(TaskId::UserFile));
    }
    if let Ok(id) = name.parse() {
        return Ok(Shown::Images(id));
    }
    name.parse().map(Shown::Task).map_err(|error: razor_data::DataError| {
        let images: Vec<&str> = DatasetId::ALL.iter().map(|id| id.name()).collect();
        format!("{error}; image sets: {}", images.join(", "))
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SplitName {
    Train,
    Test,
}

impl From<SplitName> for Split {
    fn from(name: SplitName) -> Self {
        match name {
            SplitName::Train => Self::Train,
            SplitName::Test => Self::Test,
        }
    }
}

fn parse_dataset(name: &str) -> Result<DatasetId, razor_data::DataError> {
    name.parse()
}

/// Measure how fast this machine is
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Example:
  razor bench parity --seconds 2
  razor bench llm --layers 4 --seconds 1
  razor bench train --seconds 2"
)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) command: BenchCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Training and evaluation of the ParityMNIST network, one model per core
    #[command(after_help = "\
`cargo xtask bench parity` runs this beside PyTorch and prints the ratios. Leave the machine alone meanwhile.

Example:
  razor bench parity --seconds 2 --json")]
    Parity(BenchParityArgs),
    /// Reading, scoring and writing with a network of Qwen2.5-0.5B's shape, on all cores
    #[command(after_help = "\
The weights are random: nothing is downloaded. `cargo xtask bench llm` runs this beside transformers and candle and prints \
the ratios. Leave the machine alone meanwhile.

Example:
  razor bench llm --layers 4 --seconds 1 --json")]
    Llm(BenchLlmArgs),
    /// Steps of SFT and GRPO with a model of a million parameters and with Qwen2.5-0.5B's vocabulary, on all cores
    #[command(after_help = "\
The weights are random: nothing is downloaded. `cargo xtask bench train` runs this beside PyTorch and prints the ratios. Takes \
5 GB. Leave the machine alone meanwhile.

Example:
  razor bench train --seconds 2 --json
  razor bench train --head")]
    Train(BenchTrainArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BenchParityArgs {
    /// Least length of each measurement
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = parse_seconds)]
    pub(crate) seconds: f64,
    /// Models at a time, one core each [default: all cores]
    #[arg(long, value_name = "N", value_parser = parse_n_workers)]
    pub(crate) workers: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchLlmArgs {
    /// Least length of each measurement
    #[arg(long, value_name = "S", default_value_t = 5.0, value_parser = parse_seconds)]
    pub(crate) seconds: f64,
    /// Layers of the network; the whole one has 24 and takes 2 GB
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = parse_n_workers)]
    pub(crate) layers: usize,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchTrainArgs {
    /// Least length of each measurement
    #[arg(long, value_name = "S", default_value_t = 5.0, value_parser = parse_seconds)]
    pub(crate) seconds: f64,
    /// Time and memory of the gradient of the head instead, for 2,048 and 8,192 tokens
    #[arg(long)]
    pub(crate) head: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0.0 && seconds <= 3600.0 => Ok(seconds),
        _ => Err("expected a number of seconds above 0, at most 3600".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_every_command_has_an_example() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                help.contains("Example") && help.contains("\n  razor "),
                "{}: {help:?}",
                command.get_name()
            );
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
