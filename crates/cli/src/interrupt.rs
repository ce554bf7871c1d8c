//! Ctrl-C.

use std::path::Path;

use anyhow::Context;

use crate::progress::Progress;
use crate::terminal::command_text;

/// Exit code of a program that was ended by SIGINT, as shells count it.
const INTERRUPTED: i32 = 130;

/// From now on Ctrl-C ends the program at once and says how to go on.
///
/// Nothing has to be tidied up: every file is written whole or not at all, and a run counts once it is complete.
pub(crate) fn say_how_to_resume(out: &Path, progress: Progress) -> anyhow::Result<()> {
    let mut words: Vec<String> = std::env::args().collect();
    if !words.iter().any(|word| word == "--resume") {
        words.push("--resume".to_owned());
    }
    let (out, resume) = (out.display().to_string(), command_text(words));
    let on_interrupt = move || {
        progress.finish();
        eprintln!("\ninterrupted; finished runs are kept in {out}, continue with\n  {resume}");
        std::process::exit(INTERRUPTED);
    };
    ctrlc::set_handler(on_interrupt).context("cannot listen for Ctrl-C")
}
