//! Ctrl-C.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use razor_trainers::language::{EndedBy, TrainingResult};

use crate::progress::Progress;
use crate::terminal::{command_text, tell};

/// Exit code of a program that was ended by SIGINT, as shells count it.
const INTERRUPTED: u8 = 130;

/// From now on Ctrl-C ends the program at once and says how to go on.
///
/// Nothing has to be tidied up: every file is written whole or not at all, and a run counts once it is complete.
pub(crate) fn say_how_to_resume(out: &Path, progress: Progress) -> anyhow::Result<()> {
    let (out, resume) = (out.display().to_string(), resume_text());
    let on_interrupt = move || {
        progress.finish();
        eprintln!("\ninterrupted; finished runs are kept in {out}, continue with\n  {resume}");
        std::process::exit(INTERRUPTED.into());
    };
    ctrlc::set_handler(on_interrupt).context("cannot listen for Ctrl-C")
}

/// From now on Ctrl-C asks for an end, and a second one ends the program at once. Gives what says whether it was asked.
pub(crate) fn stop_after_a_step() -> anyhow::Result<impl Fn() -> ControlFlow<()>> {
    let is_interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&is_interrupted);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED.into()); // the last checkpoint is whole
        }
        tell("\ninterrupted: writing a checkpoint after this step; once more ends at once");
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(move || match is_interrupted.load(Ordering::SeqCst) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    })
}

/// How to go on with a run that was stopped, if it was, and the exit code that belongs to its end.
pub(crate) fn exit_code(result: &TrainingResult) -> ExitCode {
    match result.ended_by {
        EndedBy::Interrupt => {
            tell(&format!("the run is kept at step {}; continue with\n  {}", result.n_steps, resume_text()));
            ExitCode::from(INTERRUPTED)
        }
        EndedBy::Steps | EndedBy::KlBudget => ExitCode::SUCCESS,
    }
}

/// This very command, going on.
fn resume_text() -> String {
    let mut words: Vec<String> = std::env::args().collect();
    if !words.iter().any(|word| word == "--resume") {
        words.push("--resume".to_owned());
    }
    command_text(words)
}
