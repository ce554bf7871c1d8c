//! Which runs a study is made of, in which order, and what they will cost.

use std::collections::BTreeSet;

use razor_core::{Seed, fingerprint};
use razor_trainers::{AdamWConfig, Schedule};
use serde::{Deserialize, Serialize};

use crate::parity::config::{FinetuneConfig, ParityConfig, PretrainConfig};
use crate::parity::method::Method;

/// Raised whenever the numbers of a run can change with the same config, so that old runs are not taken for new ones.
const RECORD_VERSION: u32 = 1;

/// What tells one fine-tuning run of a seed from another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Setting {
    /// Method.
    pub method: Method,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// After the warm-up.
    pub schedule: Schedule,
    /// Passes over the training images.
    pub n_epochs: usize,
    /// AdamW epsilon.
    pub epsilon: f64,
    /// Which part of the study the run belongs to.
    pub arm: Arm,
}

/// Part of a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Arm {
    /// The grid of every method: frontiers, fits and gates stand on these runs alone.
    Grid,
    /// The same with another AdamW epsilon.
    Epsilon,
    /// Watched step by step.
    Dynamics,
}

impl Setting {
    /// A name that no other setting of a study has.
    pub(crate) fn name(&self) -> String {
        let Self { method, learning_rate, schedule, n_epochs, epsilon, arm } = self;
        let arm = match arm {
            Arm::Grid => String::new(),
            Arm::Epsilon => format!("-eps{epsilon:e}"),
            Arm::Dynamics => "-watched".to_owned(),
        };
        let schedule = match schedule {
            Schedule::Constant => "constant",
            Schedule::Cosine => "cosine",
            Schedule::Linear => "linear",
            Schedule::StableThenLinear => "stable-then-linear",
        };
        format!("{method}{arm}-lr{learning_rate:.2e}-{schedule}-e{n_epochs}")
    }

    pub(crate) fn optimizer(&self, config: &FinetuneConfig) -> AdamWConfig {
        AdamWConfig { epsilon: self.epsilon, ..config.optimizer }
    }
}

/// One run of a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunSpec {
    /// Which repetition, from 0.
    pub seed_idx: u64,
    /// What is trained.
    pub setting: Setting,
}

/// Everything that decides the numbers of a run; written into its folder and hashed into its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunConfig {
    /// Version of the computation.
    pub record_version: u32,
    /// Seed of the study.
    pub seed: Seed,
    /// The run.
    pub run: RunSpec,
    /// Fingerprint of the images.
    pub images: String,
    /// How the base was made.
    pub pretrain: PretrainConfig,
    /// What fine-tuning runs share.
    pub finetune: FinetuneConfig,
    /// How policies are measured and steps are watched, as a fingerprint of these parts of the study's config.
    pub measurement: String,
    /// Folder name of the run whose policy teaches this one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub teacher: Option<String>,
}

impl RunConfig {
    /// Folder name of the run: readable, then a hash of everything in here.
    pub(crate) fn id(&self) -> String {
        format!("{}-s{}-{}", self.run.setting.name(), self.run.seed_idx, &fingerprint(self)[..8])
    }
}

/// All runs of a study.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Runs in the order in which they are handed out: a teacher comes before its students.
    pub runs: Vec<PlannedRun>,
}

/// A run with its folder name.
#[derive(Debug, Clone)]
pub(crate) struct PlannedRun {
    /// Folder name.
    pub id: String,
    /// What it is.
    pub config: RunConfig,
}

impl Plan {
    /// The runs of `config` on images with this fingerprint.
    pub(crate) fn new(config: &ParityConfig, seed: Seed, images: &str) -> Self {
        let mut runs = Vec::new();
        for seed_idx in 0..config.n_seeds {
            let plan = |setting: Setting, teacher: Option<String>| {
                let config = RunConfig {
                    record_version: RECORD_VERSION,
                    seed,
                    run: RunSpec { seed_idx, setting },
                    images: images.to_owned(),
                    pretrain: config.pretrain.clone(),
                    finetune: config.finetune.clone(),
                    measurement: fingerprint(&(&config.dynamics, &config.measure, &config.data)),
                    teacher,
                };
                PlannedRun { id: config.id(), config }
            };
            let teacher_id = plan(teacher_setting(config), None).id;
            for setting in settings(config) {
                let teacher = (setting.method == Method::SftDistilled).then(|| teacher_id.clone());
                runs.push(plan(setting, teacher));
            }
        }
        // Teachers first; then long runs, so that no core is left waiting for one at the end.
        let teachers: BTreeSet<String> = runs.iter().filter_map(|run| run.config.teacher.clone()).collect();
        runs.sort_by_key(|run| {
            let setting = run.config.run.setting;
            (!teachers.contains(&run.id), setting.arm != Arm::Dynamics, std::cmp::Reverse(setting.n_epochs))
        });
        Self { runs }
    }

    /// Folder names of runs that teach others.
    pub(crate) fn teachers(&self) -> BTreeSet<&str> {
        self.runs.iter().filter_map(|run| run.config.teacher.as_deref()).collect()
    }
}

fn teacher_setting(config: &ParityConfig) -> Setting {
    let teacher = &config.teacher;
    Setting {
        method: teacher.method,
        learning_rate: teacher.learning_rate,
        schedule: teacher.schedule,
        n_epochs: teacher.n_epochs,
        epsilon: config.finetune.optimizer.epsilon,
        arm: Arm::Grid,
    }
}

/// The settings of one seed.
fn settings(config: &ParityConfig) -> Vec<Setting> {
    let epsilon = config.finetune.optimizer.epsilon;
    let mut settings = Vec::new();
    for &method in &config.methods {
        for &n_epochs in &config.grid.n_epochs {
            for &schedule in &config.grid.schedules {
                for &learning_rate in &config.grid.learning_rates {
                    settings.push(Setting {
                        method,
                        learning_rate,
                        schedule,
                        n_epochs,
                        epsilon,
                        arm: Arm::Grid,
                    });
                }
            }
        }
    }
    let n_epochs =
        *config.grid.n_epochs.iter().min().expect("a checked config has at least one number of epochs");
    let schedule = Schedule::Constant;
    for &epsilon in &config.epsilon_arm.epsilons {
        for &method in &config.epsilon_arm.methods {
            for &learning_rate in &config.epsilon_arm.learning_rates {
                settings.push(Setting {
                    method,
                    learning_rate,
                    schedule,
                    n_epochs,
                    epsilon,
                    arm: Arm::Epsilon,
                });
            }
        }
    }
    for &method in &config.dynamics.methods {
        let learning_rate = config.dynamics.learning_rate;
        settings.push(Setting { method, learning_rate, schedule, n_epochs, epsilon, arm: Arm::Dynamics });
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(name: &str) -> Plan {
        Plan::new(&ParityConfig::preset(name, &[]).unwrap(), Seed::new(0), "images")
    }

    #[test]
    fn every_run_has_its_own_folder_and_a_teacher_comes_first() {
        let plan = plan("standard");
        let ids: BTreeSet<&str> = plan.runs.iter().map(|run| run.id.as_str()).collect();
        assert_eq!(ids.len(), plan.runs.len());
        let teachers = plan.teachers();
        assert_eq!(teachers.len(), 3, "one per seed");
        assert!(plan.runs[..teachers.len()].iter().all(|run| teachers.contains(run.id.as_str())));
    }

    #[test]
    fn a_changed_config_changes_the_folder() {
        let config = ParityConfig::preset("quick", &[]).unwrap();
        let other = ParityConfig::preset("quick", &["finetune.group_size=4".to_owned()]).unwrap();
        let id = |config: &ParityConfig, seed, images| {
            Plan::new(config, Seed::new(seed), images).runs[0].id.clone()
        };
        assert_ne!(id(&config, 0, "images"), id(&other, 0, "images"));
        assert_ne!(id(&config, 0, "images"), id(&config, 1, "images"));
        assert_ne!(id(&config, 0, "images"), id(&config, 0, "other images"));
    }

    #[test]
    fn the_paper_preset_is_the_grid_of_the_paper() {
        let plan = plan("paper");
        let n_grpo = plan.runs.iter().filter(|run| {
            let setting = run.config.run.setting;
            setting.method == Method::Grpo && setting.arm == Arm::Grid && run.config.run.seed_idx == 0
        });
        assert_eq!(n_grpo.count(), 60, "15 learning rates, 2 schedules, 2 numbers of epochs");
    }
}
