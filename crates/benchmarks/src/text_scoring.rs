//! Written answers: greedy completions, and what is read in them.

use std::cell::RefCell;

use razor_core::Seed;
use razor_data::{StopStrings, Tokenizer};
use razor_models::{
    Completion, Decoder, GenerationLimits, GenerationRequest, Sampling, StopReason, generate,
};

use crate::error::BenchmarkError;
use crate::ifeval::Punkt;
#[cfg(unix)]
use crate::sandbox::{Sandbox, SandboxOptions};
use crate::task::{Document, Scoring, Task};
use crate::verdict::Verdict;

/// How a task's answers are written and judged.
#[derive(Debug, Clone, Copy)]
pub struct TextScoring {
    /// An answer ends before the first of these.
    pub stops: &'static [&'static str],
    /// Tokens after which an answer is cut.
    pub max_new_tokens: usize,
    /// What is said of an answer.
    pub(crate) judge: fn(&Document, &str, &Judges) -> Result<Vec<Verdict>, BenchmarkError>,
    /// Whether judging runs what the policy wrote.
    pub runs_programs: bool,
}

/// What verdicts stand on besides document and answer.
#[derive(Debug)]
pub struct Judges {
    /// Splits sentences.
    pub(crate) punkt: Punkt,
    /// Runs programs; a task that runs programs is refused without one.
    #[cfg(unix)]
    pub(crate) sandbox: Option<Sandbox>,
}

impl Judges {
    /// What these tasks need. Where one runs programs, a sandbox is looked for and tried; its helper is the running
    /// program, which must call `sandbox::enter_if_asked` first. `allow_unsandboxed` runs programs without one where there is
    /// none.
    ///
    /// # Errors
    /// [`BenchmarkError::Sandbox`] where nothing isolates programs, [`BenchmarkError::NoSandbox`] on systems that are no
    /// Unix; [`BenchmarkError::Ifeval`] where the model of sentences that is named cannot be read.
    pub fn for_tasks(tasks: &[&Task], allow_unsandboxed: bool) -> Result<Self, BenchmarkError> {
        let runs_programs =
            |task: &&Task| matches!(&task.scoring, Scoring::Text(scoring) if scoring.runs_programs);
        let needs_sandbox = tasks.iter().any(runs_programs);
        let punkt = Punkt::from_environment()?;
        Self::with_sandbox(punkt, needs_sandbox, allow_unsandboxed)
    }

    #[cfg(unix)]
    fn with_sandbox(punkt: Punkt, is_needed: bool, allow_unsandboxed: bool) -> Result<Self, BenchmarkError> {
        let options = SandboxOptions {
            helper: std::env::current_exe().ok(),
            unsafe_without_sandbox: allow_unsandboxed,
            ..SandboxOptions::default()
        };
        let sandbox = if is_needed { Some(Sandbox::probe(&options)?) } else { None };
        Ok(Self { punkt, sandbox })
    }

    #[cfg(not(unix))]
    fn with_sandbox(punkt: Punkt, is_needed: bool, _: bool) -> Result<Self, BenchmarkError> {
        if is_needed { Err(BenchmarkError::NoSandbox) } else { Ok(Self { punkt }) }
    }

    /// What holds programs, where some are run.
    pub fn sandbox_name(&self) -> Option<String> {
        #[cfg(unix)]
        return self.sandbox.as_ref().map(|sandbox| sandbox.backend().to_string());
        #[cfg(not(unix))]
        return None;
    }
}

/// How answers are written.
#[derive(Debug, Clone, Copy)]
pub struct TextLimits<'a> {
    /// Tokens that end an answer.
    pub stop_tokens: &'a [u32],
    /// Answers at a time.
    pub max_rows: usize,
    /// Tokens after which an answer is cut.
    pub max_new_tokens: usize,
}

/// Writes the greedy answer to each prompt, given in tokens, ended before the first of `stops`. `on_answer` gets each as its batch ends.
///
/// A prompt that leaves less room than `max_new_tokens` in the model's positions is cut from the left, as in
/// lm-evaluation-harness.
///
/// # Errors
/// [`BenchmarkError::Model`] for a prompt without tokens; [`BenchmarkError::Room`] where the model has no more positions than an
/// answer may take.
pub fn write_answers(
    policy: &Decoder,
    tokenizer: &Tokenizer,
    prompts: Vec<Vec<u32>>,
    stops: &[&str],
    limits: TextLimits<'_>,
    on_answer: &mut dyn FnMut(usize, String),
) -> Result<(), BenchmarkError> {
    let positions = policy.config().max_positions;
    let TextLimits { stop_tokens, max_rows, max_new_tokens } = limits;
    let room = positions
        .checked_sub(max_new_tokens)
        .filter(|&room| room > 0)
        .ok_or(BenchmarkError::Room { positions, max_new_tokens })?;
    let request = |mut prompt: Vec<u32>| {
        prompt.drain(..prompt.len().saturating_sub(room));
        GenerationRequest { prompt, seeds: vec![Seed::new(0)] } // greedy: nothing is drawn
    };
    let requests: Vec<GenerationRequest> = prompts.into_iter().map(request).collect();
    let stops: Vec<String> = stops.iter().map(ToString::to_string).collect();
    let matcher = StopStrings::new(tokenizer, &stops)?;
    let matchers = RefCell::new(vec![matcher; requests.len()]);
    let failure = RefCell::new(None);
    let mut is_done = |request: usize, _: usize, token: u32| {
        matchers.borrow_mut()[request].push(token).unwrap_or_else(|error| {
            failure.replace(Some(error));
            true
        })
    };
    let mut on_end = |request: usize, _: usize, completion: Completion| {
        let text = match completion.stop_reason {
            StopReason::StopString => Ok(matchers.borrow()[request].text()),
            _ => tokenizer.decode(&completion.tokens, true),
        };
        match text {
            Ok(text) => on_answer(request, text),
            Err(error) => drop(failure.replace(Some(error))),
        }
    };
    let limits = GenerationLimits { max_new_tokens, stop_tokens: stop_tokens.to_vec(), max_rows };
    generate(policy, &requests, Sampling::GREEDY, &limits, &mut is_done, &mut on_end)?;
    failure.into_inner().map_or(Ok(()), |error| Err(error.into()))
}
