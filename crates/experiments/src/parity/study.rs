//! A ParityMNIST study from images to report.

use std::path::PathBuf;
use std::sync::Mutex;

use burn::tensor::Device;
use razor_core::fingerprint;
use razor_data::{DataPolicy, DatasetId, ImageDataset, Provenance, load_or_generate, procedural_images};
use razor_models::MlpWeights;
use razor_report::Summary;
use razor_tensor::log_probs;

use crate::error::ExperimentError;
use crate::estimate::Estimate;
use crate::parity::base::pretrain;
use crate::parity::config::ParityConfig;
use crate::parity::dynamics::StepProbe;
use crate::parity::estimate::{estimate, work};
use crate::parity::folder::{StudyConfig, StudyFolder};
use crate::parity::measure::Yardstick;
use crate::parity::plan::{Arm, Plan, PlannedRun};
use crate::parity::report::write_parity_report;
use crate::parity::task::{Task, TaskImages, to_host};
use crate::parity::train::{SeedContext, finetune};
use crate::pool::{run_pool, single_threaded};
use crate::study_event::StudyEvent;
use crate::study_options::StudyOptions;

/// A study whose images are loaded and whose runs are planned; nothing is trained or written yet.
pub struct ParityStudy {
    config: ParityConfig,
    options: StudyOptions,
    parity: ImageDataset,
    fashion: ImageDataset,
    plan: Plan,
    images: String,
    stand_in_reason: Option<String>,
}

impl ParityStudy {
    /// Loads the images and plans the runs.
    ///
    /// # Errors
    /// [`ExperimentError::Data`] for images that are missing where they must not be, or wrong.
    pub fn new(
        config: ParityConfig,
        options: StudyOptions,
        data_policy: DataPolicy,
    ) -> Result<Self, ExperimentError> {
        let load = |id| {
            let seed = options.seed.derive("procedural", 0);
            let (n_train, n_test) = (config.data.n_train, config.data.n_test);
            load_or_generate(id, &options.sources, data_policy, seed, n_train, n_test)
        };
        let (mut parity, mut fashion) = (load(DatasetId::Mnist)?, load(DatasetId::FashionMnist)?);
        let stand_in_reason = parity.stand_in_reason.take().or(fashion.stand_in_reason.take());
        // A half-real study could be taken for a real one: with one data set missing, both are procedural.
        for images in [&mut parity, &mut fashion] {
            if stand_in_reason.is_some() && images.provenance == Provenance::Real {
                let seed = options.seed.derive("procedural", 0);
                *images = procedural_images(images.id, seed, config.data.n_train, config.data.n_test);
            }
        }
        let images = fingerprint(&(
            parity.provenance,
            (&parity.files, &fashion.files),
            (parity.provenance == Provenance::Procedural).then_some(options.seed),
            &config.data,
        ));
        let plan = Plan::new(&config, options.seed, &images);
        Ok(Self { config, options, parity, fashion, plan, images, stand_in_reason })
    }

    /// Whether the images are real.
    pub fn provenance(&self) -> Provenance {
        self.parity.provenance
    }

    /// Why procedural images stand in for real ones, if they do.
    pub fn stand_in_reason(&self) -> Option<&str> {
        self.stand_in_reason.as_deref()
    }

    /// Number of runs.
    pub fn n_runs(&self) -> usize {
        self.plan.runs.len()
    }

    /// Number of times that a policy is measured in all runs together.
    pub fn n_checkpoints(&self) -> usize {
        let per_epoch = self.config.finetune.n_checkpoints_per_epoch;
        self.plan.runs.iter().map(|run| run.config.run.setting.n_epochs * per_epoch).sum()
    }

    /// What the study will cost on this machine, from a short measurement.
    pub fn estimate(&self, device: &Device) -> Estimate {
        single_threaded(|| {
            estimate(&self.config, &self.plan, self.parity_test(), self.options.n_workers, device)
        })
    }

    /// Trains what is not done yet, then writes summary and report.
    ///
    /// # Errors
    /// [`ExperimentError::StudyExists`] or [`ExperimentError::OtherStudy`] when the folder is taken;
    /// [`ExperimentError::Core`] when a file cannot be written. Runs that are done stay done.
    pub fn run(
        &self,
        device: &Device,
        on_event: &mut (dyn FnMut(StudyEvent) + Send),
    ) -> Result<Summary, ExperimentError> {
        let folder = self.open_folder()?;
        let on_event = Mutex::new(on_event);
        let say = |event: StudyEvent| (on_event.lock().expect("no listener panics"))(event);
        let total: f64 = self.plan.runs.iter().map(|run| self.work(run)).sum();
        let done = Mutex::new((0, 0.0));
        let report_done = |run: &PlannedRun| {
            let mut done = done.lock().expect("no holder panics");
            done.0 += 1;
            done.1 += self.work(run) / total;
            say(StudyEvent::Progress { n_done: done.0, n_runs: self.n_runs(), share: done.1 });
        };
        let (finished, pending): (Vec<&PlannedRun>, Vec<&PlannedRun>) =
            self.plan.runs.iter().partition(|run| folder.is_done(&run.id));
        finished.into_iter().for_each(report_done);
        for seed_idx in 0..self.config.n_seeds {
            let of_seed: Vec<&PlannedRun> =
                pending.iter().copied().filter(|run| run.config.run.seed_idx == seed_idx).collect();
            if of_seed.is_empty() && folder.read_base(seed_idx)?.is_some() {
                continue;
            }
            say(StudyEvent::Stage(format!("base policy {} of {}", seed_idx + 1, self.config.n_seeds)));
            let context = single_threaded(|| self.seed_context(seed_idx, &folder, device))?;
            say(StudyEvent::Stage(format!(
                "runs on base policy {} of {}",
                seed_idx + 1,
                self.config.n_seeds
            )));
            let teachers = self.plan.teachers();
            let (first, then): (Vec<&PlannedRun>, Vec<&PlannedRun>) =
                of_seed.into_iter().partition(|run| teachers.contains(run.id.as_str()));
            for stage in [first, then] {
                let work = |run: &&PlannedRun| self.run_one(run, &context, &folder, device);
                run_pool(&stage, self.options.n_workers, work, |run| report_done(run))?;
            }
        }
        say(StudyEvent::Stage("report".to_owned()));
        write_parity_report(&folder)
    }

    /// Steps of a run, in units of a plain training step: what progress and time are measured by.
    fn work(&self, run: &PlannedRun) -> f64 {
        work(&self.config, &run.config.run.setting)
    }

    fn open_folder(&self) -> Result<StudyFolder, ExperimentError> {
        let folder = StudyFolder { path: self.options.out.clone() };
        let config = StudyConfig {
            preset: self.options.preset.clone(),
            seed: self.options.seed.value(),
            images: self.images.clone(),
            provenance: self.provenance(),
            files: self.parity.files.iter().chain(&self.fashion.files).cloned().collect(),
            study: self.config.clone(),
        };
        if folder.path.join("config.toml").is_file() {
            let earlier = folder.read_config()?;
            if earlier != config {
                // The seed first: procedural images differ with it.
                let difference = if earlier.seed != config.seed {
                    "its seed differs"
                } else if earlier.images != config.images {
                    "its images differ"
                } else {
                    "its preset or --set values differ"
                };
                return Err(ExperimentError::OtherStudy {
                    path: folder.path,
                    difference: difference.to_owned(),
                });
            }
            if !self.options.resume {
                let n_done = self.plan.runs.iter().filter(|run| folder.is_done(&run.id)).count();
                return Err(ExperimentError::StudyExists {
                    path: folder.path,
                    n_done,
                    n_runs: self.n_runs(),
                });
            }
        }
        folder.clear_partials()?;
        folder.write_config(&config)?;
        self.options.environment.write(&folder.path)?;
        Ok(folder)
    }

    fn seed_context<'a>(
        &'a self,
        seed_idx: u64,
        folder: &StudyFolder,
        device: &'a Device,
    ) -> Result<SeedContext<'a>, ExperimentError> {
        let seed = self.options.seed.derive("repetition", seed_idx);
        let parity_train = TaskImages { task: Task::Parity, images: &self.parity.train };
        let fashion_train = TaskImages { task: Task::Fashion, images: &self.fashion.train };
        let base = pretrain(parity_train, fashion_train, &self.config.pretrain, seed, device);
        let policy = base.weights.to_mlp(device);
        let idxs: Vec<usize> = (0..self.parity.train.len()).collect();
        let chunks = idxs
            .chunks(1000)
            .map(|chunk| to_host(log_probs(policy.forward(parity_train.inputs(chunk, device)))));
        let base_log_probs = chunks.collect::<Vec<_>>().concat();
        let (parity, fashion) = (self.parity_test(), self.fashion_test());
        let yardstick = Yardstick::new(&base.weights, parity, fashion, &self.config.measure, seed, device)?;
        folder.write_base(seed_idx, &yardstick.measure(&base.weights, 0, 0.0, false)?, &base.weights)?;
        Ok(SeedContext {
            parity_train,
            train_idxs: base.unseen_idxs,
            base: base.weights,
            base_log_probs,
            yardstick,
        })
    }

    fn run_one(
        &self,
        run: &PlannedRun,
        context: &SeedContext<'_>,
        folder: &StudyFolder,
        device: &Device,
    ) -> Result<(), ExperimentError> {
        let setting = &run.config.run.setting;
        let teacher: Option<MlpWeights> =
            run.config.teacher.as_deref().map(|teacher| folder.read_policy(teacher)).transpose()?;
        let dynamics = &self.config.dynamics;
        let probe = StepProbe {
            parity: self.parity_test(),
            fashion: self.fashion_test(),
            n_images: dynamics.n_images,
            every_n_steps: dynamics.every_n_steps,
            device,
        };
        let probe = (setting.arm == Arm::Dynamics).then_some(&probe);
        // Each run has its own stream: runs of a seed share the base policy but not their draws.
        let seed = self.options.seed.derive(&setting.name(), run.config.run.seed_idx);
        let trained =
            finetune(context, &self.config.finetune, setting, teacher.as_ref(), probe, seed, device)?;
        folder.write_run(run, &trained, self.plan.teachers().contains(run.id.as_str()))
    }

    fn parity_test(&self) -> TaskImages<'_> {
        TaskImages { task: Task::Parity, images: &self.parity.test }
    }

    fn fashion_test(&self) -> TaskImages<'_> {
        TaskImages { task: Task::Fashion, images: &self.fashion.test }
    }
}

/// Redraws summary and report of the study in `dir` from its records, as far as its runs are done.
///
/// # Errors
/// [`ExperimentError::NoStudy`] when `dir` is not the folder of a study; [`ExperimentError::Record`] and
/// [`ExperimentError::Core`] for records that cannot be read.
pub fn redraw_parity_report(dir: PathBuf) -> Result<Summary, ExperimentError> {
    write_parity_report(&StudyFolder { path: dir })
}
