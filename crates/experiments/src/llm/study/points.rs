//! All measurements of an LLM study, read from its records.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use razor_core::read_json_lines;
use serde_json::Value;

use crate::comparison::ComparedPolicy;
use crate::llm::study::config::MAIN_ARM;
use crate::llm::study::folder::{
    FAILED, ON_TASKS, SECONDS, StudyConfig, StudyFolder, is_done, read_failure, read_json, read_measurements,
};
use crate::llm::study::method::StudyMethod;
use crate::llm::study::plan::{Plan, PlannedRun, Setting};
use crate::llm::study::record::{Measurement, PartSeconds};

/// One measured policy of a run.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    /// Number of its run; policies of a run are correlated, so intervals resample runs.
    pub run_idx: usize,
    /// Its run's folder name.
    pub run: String,
    /// What was trained.
    pub setting: Setting,
    /// Its peak learning rate as the optimizer saw it.
    pub peak_rate: f64,
    /// The sweeps that its run belongs to.
    pub arms: BTreeSet<String>,
    /// Which of the study's bases it started from.
    pub base_idx: u64,
    /// Whether this is the end of the run; no policy is where the run failed.
    pub is_last: bool,
    /// Drop of the prior score since the base, as a fraction.
    pub forgetting: f64,
    /// Distances on the new task's held-out prompts.
    pub shift: Shift,
    /// Everything else.
    pub measured: Measurement,
}

/// Distances of the policy from its base on the new task's held-out prompts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shift {
    /// KL(π₀‖π), nats per completion, on the base's completions: the paper's predictor.
    pub kl_reference_to_policy: f64,
    /// 2.5th and 97.5th percentile over resampled prompts.
    pub kl_interval: Option<(f64, f64)>,
    /// KL(π‖π₀), nats per completion, on the policy's completions.
    pub kl_policy_to_reference: f64,
    /// Total variation per token, on the base's completions.
    pub total_variation: f64,
    /// L2 distance per token, on the base's completions.
    pub l2: f64,
}

impl Point {
    /// ln(learning rate × steps): what a forecaster knows without any measurement.
    pub(crate) fn log_step(&self) -> f64 {
        (self.peak_rate * self.measured.step as f64).ln()
    }
}

impl ComparedPolicy for Point {
    type Method = StudyMethod;

    fn method(&self) -> StudyMethod {
        self.setting.method
    }

    fn run_idx(&self) -> usize {
        self.run_idx
    }

    fn seed_idx(&self) -> u64 {
        self.setting.seed_idx
    }

    /// Sampled at temperature 1.
    fn new_task(&self) -> f64 {
        self.measured.new_task.sampled
    }

    fn prior_task(&self) -> f64 {
        self.measured.prior_score
    }

    fn forgetting(&self) -> f64 {
        self.forgetting
    }

    fn forward_kl(&self) -> f64 {
        self.shift.kl_reference_to_policy
    }
}

/// One stage of a sequence of tasks.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub method: StudyMethod,
    /// The policy at its end, on every new task, in the order of the study.
    pub on_tasks: Vec<Measurement>,
}

/// A study as its records tell it.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub config: StudyConfig,
    /// By base, then by new task in the order of the study.
    pub bases: Vec<Vec<Measurement>>,
    /// Policies of all finished runs, without the base itself.
    pub points: Vec<Point>,
    /// The finished stages of all sequences, each sequence in its order.
    pub stages: Vec<Stage>,
    /// Stages that diverged or had nothing to learn from: method, task, reason. Their sequences end there.
    pub failed_stages: Vec<(StudyMethod, String, String)>,
    /// Wall-clock time of each finished run.
    pub seconds: Vec<(String, PartSeconds)>,
    /// Runs that diverged or had nothing to learn from, with the reason; what was measured before that is among the points.
    pub failed: Vec<(String, String)>,
    /// Runs of the plan, and how many of them are done.
    pub n_runs: usize,
    pub n_done: usize,
}

impl Measured {
    /// Reads what is done.
    pub(crate) fn read(folder: &StudyFolder) -> Result<Self> {
        let config = folder.read_config()?;
        let plan = Plan::new(&config.study);
        let mut bases = Vec::new();
        for base_idx in 0..config.study.base.n_bases {
            let mut of_base = Vec::new();
            for task in &config.study.tasks {
                of_base.extend(folder.read_base(base_idx, &task.name)?);
            }
            if of_base.len() < config.study.tasks.len() {
                break;
            }
            bases.push(of_base);
        }
        if bases.is_empty() {
            let (path, missing) = (folder.path.clone(), "bases/b0");
            return Err(crate::ExperimentError::NoStudy { path, missing }.into());
        }
        let mut measured = Self {
            n_runs: plan.runs.len(),
            n_done: 0,
            config,
            bases,
            points: Vec::new(),
            stages: Vec::new(),
            failed_stages: Vec::new(),
            seconds: Vec::new(),
            failed: Vec::new(),
        };
        for (run_idx, run) in plan.runs.iter().enumerate() {
            let path = folder.run(&run.id);
            if is_done(&path) {
                measured.n_done += 1;
                // Not there where a study was killed between the end of the run and this file.
                if path.join(SECONDS).is_file() {
                    measured.seconds.push((run.id.clone(), read_json(&path.join(SECONDS))?));
                }
                measured.failed.extend(read_failure(&path)?.map(|reason| (run.id.clone(), reason)));
                if !path.join("measurements").is_dir() {
                    continue;
                }
                measured.add_run(&path, run_idx, run)?;
            }
        }
        measured.add_stages(folder)?;
        Ok(measured)
    }

    fn add_run(&mut self, path: &Path, run_idx: usize, run: &PlannedRun) -> Result<()> {
        let setting = &run.setting;
        let base_idx = setting.seed_idx % self.config.study.base.n_bases;
        let task_idx = self.task_idx(&setting.task).context("a run's task is one of the study")?;
        let base = &self.bases[base_idx as usize][task_idx];
        let (base_prior, shifts) = (base.prior_score, read_shifts(path)?);
        let measurements = read_measurements(path)?;
        let last = measurements.last().map_or(0, |last| last.step);
        let has_failed = path.join(FAILED).is_file();
        for measured in measurements.into_iter().filter(|measured| measured.step > 0) {
            let shift = shifts.get(&measured.step).with_context(|| {
                format!("{}: no KL after step {}", path.join("kl.jsonl").display(), measured.step)
            })?;
            self.points.push(Point {
                run_idx,
                run: run.id.clone(),
                setting: setting.clone(),
                peak_rate: setting.peak_rate(&self.config.study),
                arms: run.arms.clone(),
                base_idx,
                is_last: !has_failed && measured.step == last,
                forgetting: base_prior - measured.prior_score,
                shift: *shift,
                measured,
            });
        }
        Ok(())
    }

    fn add_stages(&mut self, folder: &StudyFolder) -> Result<()> {
        for &method in &self.config.study.sequence.methods {
            for (stage, task) in self.config.study.tasks.iter().enumerate() {
                let path = folder.stage(method.name(), stage, &task.name);
                if let Some(reason) = read_failure(&path)? {
                    self.failed_stages.push((method, task.name.clone(), reason));
                }
                if !path.join(ON_TASKS).is_file() {
                    break;
                }
                let on_tasks = read_json(&path.join(ON_TASKS))?;
                self.stages.push(Stage { method, on_tasks });
            }
        }
        Ok(())
    }

    /// The place of a new task in the study.
    pub(crate) fn task_idx(&self, task: &str) -> Option<usize> {
        self.config.study.tasks.iter().position(|known| known.name == task)
    }

    /// Policies of an arm on a task.
    pub(crate) fn arm(&self, arm: &str, task: &str) -> Vec<&Point> {
        self.points.iter().filter(|point| point.setting.task == task && point.arms.contains(arm)).collect()
    }

    /// Policies that methods are compared by.
    pub(crate) fn main(&self, task: &str) -> Vec<&Point> {
        self.arm(MAIN_ARM, task)
    }

    /// The methods among points, in the order of figures.
    pub(crate) fn methods(points: &[&Point]) -> Vec<StudyMethod> {
        let is_there = |method: &StudyMethod| points.iter().any(|point| point.setting.method == *method);
        StudyMethod::ALL.into_iter().filter(is_there).collect()
    }
}

/// What `kl.jsonl` of a run says, by step.
fn read_shifts(run: &Path) -> Result<BTreeMap<u64, Shift>> {
    let path = run.join("kl.jsonl");
    let lines: Vec<Value> = read_json_lines(&path)?;
    let mut shifts = BTreeMap::new();
    for line in &lines {
        let quantity = |name: &str| {
            let all = line["quantities"].as_array()?;
            all.iter().find(|quantity| quantity["name"] == name)
        };
        let mean = |name: &str| {
            let found = quantity(name).and_then(|quantity| quantity["mean"].as_f64());
            found.with_context(|| format!("{}: `{name}` is missing", path.display()))
        };
        let forward = "kl_reference_to_policy_exact_per_sequence";
        let bound = |name: &str| quantity(forward).and_then(|quantity| quantity[name].as_f64());
        let step = line["step"].as_u64();
        let step = step.with_context(|| format!("{}: `step` is missing", path.display()))?;
        shifts.insert(
            step,
            Shift {
                kl_reference_to_policy: mean(forward)?,
                kl_interval: bound("low").zip(bound("high")),
                kl_policy_to_reference: mean("kl_policy_to_reference_exact_per_sequence")?,
                total_variation: mean("total_variation")?,
                l2: mean("l2")?,
            },
        );
    }
    Ok(shifts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::study::sample_study::CLEAR;

    #[test]
    fn a_run_that_failed_has_no_end() {
        let dir = tempfile::tempdir().unwrap();
        let folder = CLEAR.write(dir.path(), |_| true);
        let id = Plan::new(&folder.read_config().unwrap().study).runs[0].id.clone();
        let n_ends = || {
            let measured = Measured::read(&folder).unwrap();
            let own = measured.points.iter().filter(|point| point.run == id);
            (own.clone().count(), own.filter(|point| point.is_last).count())
        };
        assert_eq!(n_ends(), (4, 1));
        let failed = serde_json::json!({ "message": "training diverged" });
        razor_core::write_json(&folder.run(&id).join(FAILED), &failed).unwrap();
        assert_eq!(n_ends(), (4, 0));
    }
}
