//! A made-up study on disk, for tests: what was forgotten is a formula of method, step and repetition.

use std::fs;
use std::path::Path;

use razor_core::write_json_lines;
use serde_json::json;

use crate::llm::study::config::{LlmConfig, SweepConfig};
use crate::llm::study::folder::{StudyConfig, StudyFolder, write_measurement};
use crate::llm::study::method::StudyMethod;
use crate::llm::study::plan::{Plan, PlannedRun, Setting};
use crate::llm::study::record::{BenchmarkScore, Measurement, NewTaskScore, PartSeconds, WeightMovement};

/// Checkpoints of a run.
const N_CHECKPOINTS: u64 = 4;
const BENCHMARKS: [&str; 4] = ["reverse", "sort", "facts", "compare"];
const N_DOCUMENTS: usize = 100;
/// Documents of each benchmark that the base has right, the first ones.
const N_KNOWN: usize = 80;

/// What differs between made-up studies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Prior documents that SFT loses by the end of a run at epsilon 1e-8, and GRPO.
    pub lost_by_sft: f64,
    pub lost_by_grpo: f64,
    /// Repetitions.
    pub n_seeds: u64,
    /// Whether there are CKNNA, pass@k and gradients.
    pub has_all_figures: bool,
}

/// Two tasks, four methods, two repetitions: SFT costs ten points, GRPO one.
pub(crate) const CLEAR: Sample =
    Sample { lost_by_sft: 40.0, lost_by_grpo: 3.0, n_seeds: 2, has_all_figures: true };

impl Sample {
    /// Writes the records of all runs for which `is_done`.
    pub(crate) fn write(&self, dir: &Path, is_done: impl Fn(&PlannedRun) -> bool) -> StudyFolder {
        let folder = StudyFolder { path: dir.to_owned() };
        let study = self.config();
        let plan = Plan::new(&study);
        for (task_idx, task) in study.tasks.iter().enumerate() {
            folder.write_base(0, &task.name, &self.base(task_idx)).unwrap();
        }
        for run in plan.runs.iter().filter(|run| is_done(run)) {
            let task_idx = study.tasks.iter().position(|task| task.name == run.setting.task).unwrap();
            self.write_run(&folder.run(&run.id), task_idx, &run.setting);
        }
        for (stage, task) in study.tasks.iter().enumerate() {
            for method in &study.sequence.methods {
                let on_tasks: Vec<Measurement> = (0..study.tasks.len())
                    .map(|task_idx| {
                        let score =
                            if task_idx <= stage { 0.9 - 0.1 * (stage - task_idx) as f64 } else { 0.3 };
                        self.measured(score, 5.0 * (stage + 1) as f64, 1, 0.1, 1e-8)
                    })
                    .collect();
                let path = folder.stage(method.name(), stage, &task.name).join("on_tasks.json");
                razor_core::write_json(&path, &on_tasks).unwrap();
            }
        }
        let config = StudyConfig {
            preset: "made_up".to_owned(),
            seed: 7,
            base: "00ff".to_owned(),
            weights: "00fe".to_owned(),
            base_name: "made-up base".to_owned(),
            n_parameters: 1000,
            files: vec![],
            study,
        };
        folder.write_config(&config).unwrap();
        folder
    }

    fn config(&self) -> LlmConfig {
        let mut config = LlmConfig::preset("tiny", &[]).unwrap();
        config.tasks.truncate(2);
        config.measure.n_resamples = 100;
        let sweep = |arm: &str, tasks: &[&str], methods: &[StudyMethod], rates: &[f64], epsilons: &[f64]| {
            SweepConfig {
                arm: arm.to_owned(),
                tasks: tasks.iter().map(|&task| task.to_owned()).collect(),
                methods: methods.to_vec(),
                learning_rates: rates.to_vec(),
                epsilons: epsilons.to_vec(),
                n_seeds: self.n_seeds,
                ..config.sweeps[0].clone()
            }
        };
        use StudyMethod::{Grpo, LoraSft, Reinforce, Sft, Simpo};
        config.sweeps = vec![
            sweep("main", &["math", "tools"], &[Sft, Grpo, Reinforce, Simpo], &[3e-4, 1e-3], &[1e-8]),
            sweep("epsilon", &["math"], &[Sft, Grpo], &[3e-4, 1e-3], &[1e-8, 1e-4]),
            sweep("controls", &["math"], &[Sft], &[1e-4], &[1e-8]),
            sweep("controls", &["math"], &[LoraSft], &[1e-3], &[1e-8]),
        ];
        config
    }

    /// Math starts at 0.55 and tools at 0.30.
    fn base(&self, task_idx: usize) -> Measurement {
        self.measured(if task_idx == 0 { 0.55 } else { 0.30 }, 0.0, 0, 0.0, 1e-8)
    }

    fn write_run(&self, run: &Path, task_idx: usize, setting: &Setting) {
        let base = self.base(task_idx).new_task.sampled;
        let mut shifts = Vec::new();
        for checkpoint in 1..=N_CHECKPOINTS {
            let share = checkpoint as f64 / N_CHECKPOINTS as f64;
            let rate = (setting.learning_rate / 3e-4).sqrt();
            let reached = match setting.method {
                StudyMethod::Simpo => base - 0.1 * share,
                _ => base + (0.97 - base) * (1.0 - (-2.5 * share * rate).exp()),
            };
            let all = match setting.method {
                StudyMethod::Sft => self.lost_by_sft,
                StudyMethod::Grpo => self.lost_by_grpo,
                StudyMethod::Reinforce => 6.0,
                _ => 20.0,
            };
            let lost = all * share * share * if setting.epsilon > 1e-6 { 0.5 } else { 1.0 };
            let lost = lost + setting.seed_idx as f64 * share;
            let step = checkpoint * 30;
            let relative = 0.05 * share * rate;
            write_measurement(run, &self.measured(reached, lost, step, relative, setting.epsilon)).unwrap();
            let kl = 8.0 * share * rate * if setting.method == StudyMethod::Sft { 2.0 } else { 0.5 };
            let quantity = |name: &str, mean: f64| json!({"name": name, "mean": mean, "low": 0.9 * mean, "high": 1.1 * mean});
            shifts.push(json!({"step": step, "quantities": [
                quantity("kl_reference_to_policy_exact_per_sequence", kl),
                quantity("kl_policy_to_reference_exact_per_sequence", 0.8 * kl),
                quantity("total_variation", 0.05 * kl),
                quantity("l2", 0.04 * kl),
            ]}));
        }
        write_json_lines(&run.join("kl.jsonl"), &shifts).unwrap();
        let seconds = PartSeconds { sampling: 1.0, update: 2.0, evaluation: 1.5, kl: 0.5, total: 6.0 };
        razor_core::write_json(&run.join("seconds.json"), &seconds).unwrap();
        fs::write(run.join("done"), "").unwrap();
    }

    /// A policy that lost the last `n_lost` documents that the base knows, spread over the benchmarks.
    fn measured(&self, sampled: f64, n_lost: f64, step: u64, relative: f64, epsilon: f64) -> Measurement {
        let n_lost = n_lost.round() as usize;
        let prior: Vec<BenchmarkScore> = BENCHMARKS
            .iter()
            .enumerate()
            .map(|(idx, name)| {
                let n_own = n_lost / BENCHMARKS.len() + usize::from(idx < n_lost % BENCHMARKS.len());
                let n_right = N_KNOWN - n_own;
                let verdicts = (0..N_DOCUMENTS).map(|idx| f64::from(u8::from(idx < n_right))).collect();
                let score = n_right as f64 / N_DOCUMENTS as f64;
                BenchmarkScore { name: (*name).to_owned(), score, verdicts }
            })
            .collect();
        let prior_score = prior.iter().map(|score| score.score).sum::<f64>() / prior.len() as f64;
        let pass_at_k = if self.has_all_figures {
            [1, 2, 4, 8].map(|k| (k, 1.0 - (1.0 - sampled).powi(k as i32))).into()
        } else {
            vec![]
        };
        // With a small epsilon weights move whatever their gradient.
        let by_gradient: Vec<f64> = (1..=10)
            .map(|tenth| relative * if epsilon > 1e-6 { 0.01 * f64::from(tenth * tenth) } else { 1.0 })
            .collect();
        Measurement {
            step,
            new_task: NewTaskScore {
                sampled,
                sampled_error: 0.02,
                greedy: (sampled + 0.1).min(1.0),
                pass_at_k,
                n: 200,
            },
            prior,
            prior_score,
            kl_on_prior_prompts: 0.01 * n_lost as f64,
            kl_on_random_prompts: 0.02 * n_lost as f64 + relative,
            weights: WeightMovement {
                relative,
                unchanged: 0.0,
                by_gradient: if self.has_all_figures { by_gradient } else { vec![] },
            },
            cknna: self.has_all_figures.then_some(1.0 - 0.01 * n_lost as f64),
        }
    }
}
