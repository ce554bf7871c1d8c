//! What a training run will take, before it starts.

use std::fmt;
use std::time::Duration;

use razor_experiments::llm::fine_tune::{
    BaseModel, ExpectedMemory, ExpectedTime, FineTuneSettings, Prepared,
};
use serde::Serialize;

use crate::terminal::duration_text;

/// Size of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Plan {
    /// About the data, a line each.
    notes: Vec<String>,
    /// Numbers that are trained.
    n_trained: usize,
    /// Numbers of the model.
    n_parameters: usize,
    n_steps: usize,
    /// Seconds by part, with every completion at its longest.
    seconds: ExpectedTime,
    /// MiB by part.
    memory_mib: ExpectedMemory,
    settings: FineTuneSettings,
}

impl Plan {
    pub(crate) fn new(prepared: &Prepared, base: &BaseModel) -> anyhow::Result<Self> {
        let memory_mib = prepared.expected_memory(base); // before the look at its speed
        Ok(Self {
            notes: prepared.notes.clone(),
            n_trained: prepared.n_trained(base),
            n_parameters: base.decoder.config().n_parameters(),
            n_steps: prepared.n_steps(),
            seconds: prepared.expected_time(base)?,
            memory_mib,
            settings: prepared.settings.clone(),
        })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        let Self { n_trained, n_parameters, n_steps, memory_mib: memory, .. } = self;
        writeln!(f, "{n_steps} steps; {n_trained} of {n_parameters} parameters are trained")?;
        let time =
            |seconds: f64| duration_text(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
        let parts = [
            ("training", self.seconds.training),
            ("sampling", self.seconds.sampling),
            ("measuring", self.seconds.measuring),
        ];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(_, seconds)| *seconds > 0.0)
            .map(|(name, seconds)| format!("{name} {}", time(seconds)))
            .collect();
        let total = time(self.seconds.total());
        writeln!(f, "time, if completions run to their limit: about {total} ({})", parts.join(", "))?;
        writeln!(
            f,
            "memory, MiB: program {:.0}, base {:.0}, policy {:.0}, gradients {:.0}, optimizer {:.0}, activations {:.0}, \
             logits tiles {:.0}, anchor {:.0}, cache {:.0}, measuring {:.0}, writing {:.0}; peak {:.0}",
            memory.program,
            memory.base,
            memory.policy,
            memory.gradients,
            memory.optimizer,
            memory.activations,
            memory.logits_tiles,
            memory.anchor,
            memory.cache,
            memory.measuring,
            memory.writing,
            memory.peak
        )
    }
}
