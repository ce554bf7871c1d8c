//! What a ParityMNIST study is made of. Presets spell out every field; there is no `Default`.

use std::path::Path;

use razor_core::load_config;
use razor_trainers::{AdamWConfig, Schedule};
use serde::{Deserialize, Serialize};

use crate::error::ExperimentError;
use crate::parity::method::Method;

/// A whole study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParityConfig {
    /// Independent repetitions, each with its own base policy.
    pub n_seeds: u64,
    /// Methods that are trained over the whole grid.
    pub methods: Vec<Method>,
    /// The images.
    pub data: ImagesConfig,
    /// How the base policy is made.
    pub pretrain: PretrainConfig,
    /// What all fine-tuning runs share.
    pub finetune: FinetuneConfig,
    /// The grid of every method.
    pub grid: GridConfig,
    /// The arm that repeats part of the grid with another AdamW epsilon.
    pub epsilon_arm: EpsilonArmConfig,
    /// The run whose samples teach `sft_distilled`.
    pub teacher: TeacherConfig,
    /// Runs that are watched step by step.
    pub dynamics: DynamicsConfig,
    /// How a policy is measured.
    pub measure: MeasureConfig,
}

/// How many images of each data set are used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagesConfig {
    /// Training images per data set, at most 60,000.
    pub n_train: usize,
    /// Test images per data set, at most 10,000.
    pub n_test: usize,
}

/// Joint pretraining on both tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainConfig {
    /// Images from each data set (the paper: 500).
    pub n_images_per_task: usize,
    /// Passes over them.
    pub n_epochs: usize,
    /// Rows per step.
    pub batch_size: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Share of the steps that warm up, in `[0, 1)`.
    pub warmup_share: f64,
    /// After the warm-up.
    pub schedule: Schedule,
    /// Optimizer.
    pub optimizer: AdamWConfig,
}

/// What all fine-tuning runs share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinetuneConfig {
    /// Training images of the new task, at most what pretraining left over.
    pub n_images: usize,
    /// Images per step (P).
    pub batch_size: usize,
    /// Labels drawn per image by the methods that draw (G); at least 2, or every advantage is 0.
    pub group_size: usize,
    /// Share of the steps that warm up, in `[0, 1)`.
    pub warmup_share: f64,
    /// Measurements per epoch.
    pub n_checkpoints_per_epoch: usize,
    /// Weight of the KL term in the methods that have one.
    pub kl_coefficient: f64,
    /// Optimizer.
    pub optimizer: AdamWConfig,
}

/// The grid that every method is trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridConfig {
    /// Peak learning rates.
    pub learning_rates: Vec<f64>,
    /// Learning-rate schedules.
    pub schedules: Vec<Schedule>,
    /// Numbers of passes over the training images.
    pub n_epochs: Vec<usize>,
}

/// The same grid with another AdamW epsilon, for some methods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpsilonArmConfig {
    /// Epsilons besides the one of [`FinetuneConfig::optimizer`].
    pub epsilons: Vec<f64>,
    /// Methods that are repeated.
    pub methods: Vec<Method>,
    /// Learning rates that are repeated, with constant schedule and the smallest number of epochs.
    pub learning_rates: Vec<f64>,
}

/// Which run teaches `sft_distilled`; it must be part of the grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherConfig {
    /// Method of the teacher.
    pub method: Method,
    /// Its peak learning rate.
    pub learning_rate: f64,
    /// Its schedule.
    pub schedule: Schedule,
    /// Its number of epochs.
    pub n_epochs: usize,
}

/// Runs whose steps are watched (paper: appendix C.3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynamicsConfig {
    /// Methods that are watched, each in one run per seed.
    pub methods: Vec<Method>,
    /// Peak learning rate of these runs, constant after the warm-up.
    pub learning_rate: f64,
    /// Every how many steps.
    pub every_n_steps: usize,
    /// Test images per task on which gradients and KL are taken.
    pub n_images: usize,
}

/// How a policy is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasureConfig {
    /// Old-task test images on which representations are compared.
    pub n_representation_images: usize,
    /// Neighbours of CKNNA.
    pub n_neighbors: usize,
    /// Draws from the base policy for the diagonal Fisher information.
    pub n_fisher_images: usize,
    /// Resamples of the bootstrap over runs.
    pub n_resamples: usize,
}

/// The names of the presets, quickest first.
pub const PARITY_PRESETS: [&str; 4] = ["smoke", "quick", "standard", "paper"];

impl ParityConfig {
    /// The preset `name`, changed by `assignments` (`table.key=value`) and checked.
    ///
    /// # Errors
    /// [`ExperimentError::UnknownPreset`]; [`ExperimentError::Core`] for a bad assignment;
    /// [`ExperimentError::Config`] for values that cannot be trained with.
    pub fn preset(name: &str, assignments: &[String]) -> Result<Self, ExperimentError> {
        let text = match name {
            "smoke" => include_str!("../../presets/parity/smoke.toml"),
            "quick" => include_str!("../../presets/parity/quick.toml"),
            "standard" => include_str!("../../presets/parity/standard.toml"),
            "paper" => include_str!("../../presets/parity/paper.toml"),
            _ => return Err(ExperimentError::unknown_preset("parity", name, &PARITY_PRESETS)),
        };
        let config: Self = load_config(text, Path::new(&format!("presets/parity/{name}.toml")), assignments)?;
        config.checked()
    }

    fn checked(self) -> Result<Self, ExperimentError> {
        let at_least = |field: &'static str, found: usize, least: usize| {
            let expected = format!("at least {least}");
            if found < least { Err(ExperimentError::config(field, expected, &found)) } else { Ok(()) }
        };
        at_least("n_seeds", self.n_seeds as usize, 1)?;
        at_least("pretrain.batch_size", self.pretrain.batch_size, 1)?;
        at_least("pretrain.n_epochs", self.pretrain.n_epochs, 1)?;
        at_least("pretrain.n_images_per_task", self.pretrain.n_images_per_task, 1)?;
        at_least("finetune.batch_size", self.finetune.batch_size, 1)?;
        at_least("finetune.n_images", self.finetune.n_images, 1)?;
        at_least("finetune.group_size", self.finetune.group_size, 2)?;
        at_least("finetune.n_checkpoints_per_epoch", self.finetune.n_checkpoints_per_epoch, 1)?;
        at_least("methods", self.methods.len(), 1)?;
        at_least("grid.learning_rates", self.grid.learning_rates.len(), 1)?;
        at_least("grid.schedules", self.grid.schedules.len(), 1)?;
        at_least("grid.n_epochs", self.grid.n_epochs.len(), 1)?;
        at_least("dynamics.every_n_steps", self.dynamics.every_n_steps, 1)?;
        at_least("dynamics.n_images", self.dynamics.n_images, 1)?;
        at_least("measure.n_fisher_images", self.measure.n_fisher_images, 1)?;
        at_least("measure.n_resamples", self.measure.n_resamples, 2)?;
        at_least("measure.n_neighbors", self.measure.n_neighbors, 1)?;
        let least = self.measure.n_neighbors + 2;
        at_least("measure.n_representation_images", self.measure.n_representation_images, least)?;
        self.check_images()?;
        self.check_rates()?;
        self.check_teacher()?;
        Ok(self)
    }

    fn check_images(&self) -> Result<(), ExperimentError> {
        let at_most = |field: &'static str, found: usize, most: usize| {
            let expected = format!("from 1 to {most}");
            if found == 0 || found > most {
                Err(ExperimentError::config(field, expected, &found))
            } else {
                Ok(())
            }
        };
        at_most("data.n_train", self.data.n_train, 60_000)?;
        at_most("data.n_test", self.data.n_test, 10_000)?;
        let left = self.data.n_train.saturating_sub(self.pretrain.n_images_per_task);
        at_most("finetune.n_images", self.finetune.n_images, left)?;
        at_most("dynamics.n_images", self.dynamics.n_images, self.data.n_test)?;
        at_most("measure.n_fisher_images", self.measure.n_fisher_images, self.data.n_test)?;
        at_most("measure.n_representation_images", self.measure.n_representation_images, self.data.n_test)?;
        Ok(())
    }

    fn check_rates(&self) -> Result<(), ExperimentError> {
        let positive = |field: &'static str, found: f64| {
            let sound = found > 0.0 && found.is_finite();
            if sound { Ok(()) } else { Err(ExperimentError::config(field, "a positive number", &found)) }
        };
        let share = |field: &'static str, found: f64| {
            let sound = (0.0..1.0).contains(&found);
            if sound { Ok(()) } else { Err(ExperimentError::config(field, "a share in [0, 1)", &found)) }
        };
        for &rate in self.grid.learning_rates.iter().chain(&self.epsilon_arm.learning_rates) {
            positive("learning_rates", rate)?;
        }
        for &epsilon in &self.epsilon_arm.epsilons {
            positive("epsilon_arm.epsilons", epsilon)?;
        }
        positive("pretrain.learning_rate", self.pretrain.learning_rate)?;
        positive("dynamics.learning_rate", self.dynamics.learning_rate)?;
        positive("finetune.kl_coefficient", self.finetune.kl_coefficient)?;
        share("pretrain.warmup_share", self.pretrain.warmup_share)?;
        share("finetune.warmup_share", self.finetune.warmup_share)?;
        for optimizer in [self.pretrain.optimizer, self.finetune.optimizer] {
            positive("optimizer.epsilon", optimizer.epsilon)?;
            share("optimizer.beta1", optimizer.beta1)?;
            share("optimizer.beta2", optimizer.beta2)?;
        }
        if let Some(&n_epochs) = self.grid.n_epochs.iter().find(|&&n| n == 0) {
            return Err(ExperimentError::config("grid.n_epochs", "at least 1 each", &n_epochs));
        }
        Ok(())
    }

    /// A student needs its teacher in the same grid.
    fn check_teacher(&self) -> Result<(), ExperimentError> {
        let (teacher, grid) = (&self.teacher, &self.grid);
        let sound = !self.methods.contains(&Method::SftDistilled)
            || (teacher.method != Method::SftDistilled
                && self.methods.contains(&teacher.method)
                && grid.learning_rates.contains(&teacher.learning_rate)
                && grid.schedules.contains(&teacher.schedule)
                && grid.n_epochs.contains(&teacher.n_epochs));
        if sound {
            return Ok(());
        }
        let found = format!("{} at learning rate {}", teacher.method, teacher.learning_rate);
        Err(ExperimentError::config("teacher", "a run of the grid (sft_distilled learns from it)", &found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_sound() {
        for name in PARITY_PRESETS {
            ParityConfig::preset(name, &[]).unwrap();
        }
    }

    #[test]
    fn values_that_cannot_be_trained_with_are_refused_by_field() {
        for (assignment, field) in [
            ("finetune.group_size=1", "finetune.group_size"),
            ("finetune.n_images=60000", "finetune.n_images"),
            ("data.n_test=20000", "data.n_test"),
            ("teacher.learning_rate=0.5", "teacher"),
            ("finetune.warmup_share=1.0", "finetune.warmup_share"),
            ("grid.learning_rates=[-1e-3]", "learning_rates"),
        ] {
            let error = ParityConfig::preset("standard", &[assignment.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(field), "{assignment}: {error}");
        }
    }

    #[test]
    fn an_unknown_preset_is_refused_with_the_names_there_are() {
        let error = ParityConfig::preset("fast", &[]).unwrap_err().to_string();
        assert!(error.contains("`fast`") && error.contains("smoke, quick, standard, paper"), "{error}");
    }
}
