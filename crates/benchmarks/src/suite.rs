//! Every benchmark, by name.

use razor_data::Sources;

use crate::error::BenchmarkError;
use crate::task::{Shots, Task};
use crate::{arc, gsm8k, hellaswag, humaneval, ifeval, mmlu, truthfulqa, winogrande};

/// A benchmark that can be run by name.
#[derive(Debug, Clone, Copy)]
pub struct Benchmark {
    /// The name: of its task in lm-evaluation-harness, or of the group of its tasks.
    pub name: &'static str,
    /// One line on what it asks.
    pub about: &'static str,
    /// Few-shot examples unless others are asked for.
    pub default_shots: usize,
    /// Reads its tasks.
    pub(crate) read: fn(&Sources) -> Result<Vec<Task>, BenchmarkError>,
    /// Tasks that are also reported together, weighted by their documents: the name, an alias, and which tasks.
    pub groups: &'static [Group],
}

/// Tasks that are reported together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// Its name in lm-evaluation-harness.
    pub name: &'static str,
    /// What it is called inside the benchmark.
    pub alias: &'static str,
    /// Aliases of its tasks; empty for all of the benchmark.
    pub tasks: &'static [&'static str],
    /// Version of its definition there.
    pub version: f64,
}

/// All benchmarks, in the order in which `all` runs them.
pub const BENCHMARKS: &[Benchmark] = &[
    hellaswag::BENCHMARK,
    mmlu::BENCHMARK,
    truthfulqa::MC1,
    truthfulqa::MC2,
    winogrande::BENCHMARK,
    arc::EASY,
    arc::CHALLENGE,
    gsm8k::BENCHMARK,
    ifeval::BENCHMARK,
    humaneval::BENCHMARK,
    humaneval::INSTRUCT,
];

impl Benchmark {
    /// The benchmarks of a list of names, each once; `all` names every one.
    ///
    /// # Errors
    /// [`BenchmarkError::Unknown`].
    pub fn named(names: &[String]) -> Result<Vec<Self>, BenchmarkError> {
        let known = || BENCHMARKS.iter().map(|benchmark| benchmark.name).collect::<Vec<_>>().join(", ");
        let unknown = names
            .iter()
            .find(|&name| name != "all" && BENCHMARKS.iter().all(|benchmark| benchmark.name != name));
        if let Some(name) = unknown {
            return Err(BenchmarkError::Unknown { name: name.clone(), expected: known() });
        }
        let is_named = |benchmark: &Self| names.iter().any(|name| name == "all" || name == benchmark.name);
        Ok(BENCHMARKS.iter().copied().filter(is_named).collect())
    }

    /// Reads the data, with `n_shots` few-shot examples where the benchmark takes any.
    ///
    /// # Errors
    /// [`BenchmarkError::Data`] where a file is missing or damaged; [`BenchmarkError::TooFewShots`].
    pub fn load(&self, sources: &Sources, n_shots: Option<usize>) -> Result<Vec<Task>, BenchmarkError> {
        let mut tasks = (self.read)(sources)?;
        for task in &mut tasks {
            let found = match &task.shots {
                Shots::Never => continue,
                Shots::FirstOf(examples) | Shots::SampledFrom(examples) => examples.len(),
                Shots::FromOtherDocuments => task.documents.len().saturating_sub(1),
            };
            task.n_shots = n_shots.unwrap_or(self.default_shots);
            if task.n_shots > found {
                let (task, wanted) = (task.name.clone(), task.n_shots);
                return Err(BenchmarkError::TooFewShots { task, wanted, found });
            }
        }
        Ok(tasks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_lists_of_them_are_read() {
        let mut names: Vec<&str> = BENCHMARKS.iter().map(|benchmark| benchmark.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), BENCHMARKS.len());
        let named = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            Benchmark::named(&names).map(|list| list.len())
        };
        assert_eq!(named(&["all"]).unwrap(), BENCHMARKS.len());
        assert_eq!(named(&["mmlu", "hellaswag", "mmlu"]).unwrap(), 2);
        let message = named(&["hellaswang"]).unwrap_err().to_string();
        assert!(message.contains("`hellaswang`") && message.contains("hellaswag, mmlu"), "{message}");
    }
}
