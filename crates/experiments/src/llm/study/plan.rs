//! The runs of a study.

use std::collections::{BTreeMap, BTreeSet};

use razor_core::fingerprint;
use razor_trainers::Schedule;
use serde::{Deserialize, Serialize};

use crate::llm::study::config::{LlmConfig, SweepConfig};
use crate::llm::study::method::StudyMethod;

/// What makes one run different from another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// New task.
    pub task: String,
    /// Method.
    pub method: StudyMethod,
    /// Peak learning rate; an adapter's is this times `training.lora_rate_factor`.
    pub learning_rate: f64,
    /// AdamW's epsilon.
    pub epsilon: f64,
    /// What follows the warm-up.
    pub schedule: Schedule,
    /// Sequences per optimizer step.
    pub batch_size: usize,
    /// Passes over the questions, where `n_steps` is 0.
    pub n_epochs: usize,
    /// Steps; 0 for as many as the epochs make.
    pub n_steps: usize,
    /// Times that a batch of completions is gone through (μ).
    pub n_iterations: usize,
    /// Which repetition.
    pub seed_idx: u64,
}

impl Setting {
    /// The peak learning rate that the optimizer is given.
    pub(crate) fn peak_rate(&self, config: &LlmConfig) -> f64 {
        let factor = if self.method.is_lora() { config.training.lora_rate_factor } else { 1.0 };
        self.learning_rate * factor
    }
}

/// A run that is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlannedRun {
    /// Folder of the run: readable, and different for different settings.
    pub id: String,
    /// What is run.
    pub setting: Setting,
    /// The sweeps that ask for it.
    pub arms: BTreeSet<String>,
}

/// All runs, in the order in which they are started.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub runs: Vec<PlannedRun>,
}

impl Plan {
    /// The runs of all sweeps, each once. Repetition by repetition, so that a study that is stopped has whole ones.
    pub(crate) fn new(config: &LlmConfig) -> Self {
        let mut found: BTreeMap<String, PlannedRun> = BTreeMap::new();
        let mut order = Vec::new();
        for sweep in &config.sweeps {
            for setting in settings(sweep) {
                let id = run_id(&setting);
                let run = found.entry(id.clone()).or_insert_with(|| {
                    order.push(id.clone());
                    PlannedRun { id, setting, arms: BTreeSet::new() }
                });
                run.arms.insert(sweep.arm.clone());
            }
        }
        let mut runs: Vec<PlannedRun> = order.iter().filter_map(|id| found.remove(id)).collect();
        runs.sort_by_key(|run| run.setting.seed_idx);
        Self { runs }
    }
}

/// Every combination of the values of a sweep.
fn settings(sweep: &SweepConfig) -> Vec<Setting> {
    let first = Setting {
        task: String::new(),
        method: StudyMethod::Sft,
        learning_rate: 0.0,
        epsilon: 0.0,
        schedule: Schedule::Constant,
        batch_size: 0,
        n_epochs: 0,
        n_steps: sweep.n_steps,
        n_iterations: 1,
        seed_idx: 0,
    };
    let seeds: Vec<u64> = (0..sweep.n_seeds).collect();
    let settings = varied(&[first], &seeds, |setting, &seed_idx| setting.seed_idx = seed_idx);
    let settings = varied(&settings, &sweep.tasks, |setting, task| setting.task.clone_from(task));
    let settings = varied(&settings, &sweep.methods, |setting, &method| setting.method = method);
    let settings = varied(&settings, &sweep.learning_rates, |setting, &rate| setting.learning_rate = rate);
    let settings = varied(&settings, &sweep.epsilons, |setting, &epsilon| setting.epsilon = epsilon);
    let settings = varied(&settings, &sweep.schedules, |setting, &schedule| setting.schedule = schedule);
    let settings = varied(&settings, &sweep.batch_sizes, |setting, &size| setting.batch_size = size);
    let settings = varied(&settings, &sweep.n_epochs, |setting, &n_epochs| setting.n_epochs = n_epochs);
    varied(&settings, &sweep.n_iterations, |setting, &n_iterations| {
        setting.n_iterations = if setting.method.is_policy_gradient() { n_iterations } else { 1 };
    })
}

/// Each setting with each value.
fn varied<V>(settings: &[Setting], values: &[V], set: impl Fn(&mut Setting, &V)) -> Vec<Setting> {
    let with = |setting: &Setting, value: &V| {
        let mut setting = setting.clone();
        set(&mut setting, value);
        setting
    };
    settings.iter().flat_map(|setting| values.iter().map(|value| with(setting, value))).collect()
}

fn run_id(setting: &Setting) -> String {
    let Setting { task, method, learning_rate, epsilon, seed_idx, .. } = setting;
    let hash = &fingerprint(setting)[..8];
    format!("{task}-{method}-lr{learning_rate:e}-eps{epsilon:e}-s{seed_idx}-{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_two_sweeps_ask_for_is_planned_once() {
        let config = LlmConfig::preset("tiny", &[]).unwrap();
        let mut twice = config.clone();
        twice.sweeps.extend(
            config.sweeps.iter().cloned().map(|sweep| SweepConfig { arm: "again".to_owned(), ..sweep }),
        );
        let (once, twice) = (Plan::new(&config), Plan::new(&twice));
        assert_eq!(once.runs.len(), twice.runs.len());
        assert!(twice.runs.iter().all(|run| run.arms.contains("again")));
    }

    #[test]
    fn every_setting_has_a_folder_of_its_own() {
        for preset in crate::llm::study::config::LLM_PRESETS {
            let plan = Plan::new(&LlmConfig::preset(preset, &[]).unwrap());
            let ids: BTreeSet<&str> = plan.runs.iter().map(|run| run.id.as_str()).collect();
            assert_eq!(ids.len(), plan.runs.len(), "{preset}");
        }
    }

    #[test]
    fn supervised_runs_do_not_multiply_by_the_iterations_of_policy_gradients() {
        let mut config = LlmConfig::preset("tiny", &[]).unwrap();
        let n_supervised = |config: &LlmConfig| {
            Plan::new(config).runs.iter().filter(|run| !run.setting.method.is_policy_gradient()).count()
        };
        let before = n_supervised(&config);
        config.sweeps.iter_mut().for_each(|sweep| sweep.n_iterations = vec![1, 2]);
        assert_eq!(n_supervised(&config), before);
    }
}
