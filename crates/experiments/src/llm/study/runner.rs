//! An LLM study from its base to its report.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result};
use razor_core::write_json;
use razor_models::{fingerprint_model, fingerprint_weights};
use razor_report::Summary;
use razor_trainers::language::TrainingResult;
use razor_trainers::language::run::RunFolder;
use tempfile::TempDir;

use crate::error::ExperimentError;
use crate::llm::fine_tune::BaseModel;
use crate::llm::pretrain::{PretrainRecipe, Pretraining};
use crate::llm::study::config::LlmConfig;
use crate::llm::study::fine_tune_settings::fine_tune_settings;
use crate::llm::study::folder::{FAILED, ON_TASKS, StudyConfig, StudyFolder, is_done};
use crate::llm::study::method::StudyMethod;
use crate::llm::study::plan::{Plan, PlannedRun, Setting};
use crate::llm::study::prior_tasks::PriorTasks;
use crate::llm::study::record::Measurement;
use crate::llm::study::report::write_llm_report;
use crate::llm::study::run::{RunContext, remove_checkpoints, run_in, run_stage};
use crate::llm::study::yardstick::{TaskYardstick, Yardstick};
use crate::llm::tiny_base::write_tiny_base;
use crate::pool::{run_pool, single_threaded};
use crate::study_event::StudyEvent;
use crate::study_options::StudyOptions;

/// Weights above which a run takes all cores instead of one.
const LARGE: usize = 20_000_000;

/// Reads a model folder, or a hub id, onto the build's device.
pub type LoadBase = dyn Fn(&str) -> Result<BaseModel> + Send + Sync;

/// A study whose base is read and whose runs are planned; nothing is trained yet.
pub struct LlmStudy {
    pub(crate) config: LlmConfig,
    pub(crate) options: StudyOptions,
    load_base: Box<LoadBase>,
    pub(crate) base: BaseModel,
    pub(crate) prior: PriorTasks,
    pub(crate) plan: Plan,
    /// Holds the files of the embedded base as long as runs copy from them.
    _unpacked: Option<TempDir>,
}

/// What one worker does at a time.
enum Job<'a> {
    Run(&'a PlannedRun),
    Sequence(StudyMethod),
}

impl LlmStudy {
    /// Reads the base and the prior tasks, and plans the runs.
    ///
    /// # Errors
    /// When the base or a data set cannot be read.
    pub fn new(config: LlmConfig, options: StudyOptions, load_base: Box<LoadBase>) -> Result<Self> {
        let mut unpacked = None;
        let base = if config.is_embedded() {
            let folder = tempfile::tempdir().context("cannot make a folder for the embedded base")?;
            write_tiny_base(folder.path())?;
            let base = load_base(&path_text(folder.path())?)?;
            unpacked = Some(folder);
            base
        } else {
            load_base(&config.base.model)?
        };
        let prior = PriorTasks::load(&config, &base, &options.sources)?;
        let plan = Plan::new(&config);
        Ok(Self { config, options, load_base, base, prior, plan, _unpacked: unpacked })
    }

    /// Number of runs; a sequence of tasks counts as one.
    pub fn n_runs(&self) -> usize {
        self.plan.runs.len() + self.config.sequence.methods.len()
    }

    /// Number of times that a policy is measured in all runs together.
    pub fn n_checkpoints(&self) -> usize {
        self.plan.runs.len() * self.config.measure.n_checkpoints
    }

    /// Runs at a time.
    pub fn n_at_a_time(&self) -> usize {
        if self.is_large() { 1 } else { self.options.n_workers }
    }

    /// What is fine-tuned.
    pub fn base_name(&self) -> &str {
        &self.config.base.model
    }

    /// The new tasks.
    pub fn task_names(&self) -> Vec<&str> {
        self.config.tasks.iter().map(|task| task.name.as_str()).collect()
    }

    /// The prior tasks.
    pub fn prior_names(&self) -> Vec<&str> {
        self.prior.names()
    }

    /// Weights of the base.
    pub fn n_parameters(&self) -> usize {
        self.base.decoder.config().n_parameters()
    }

    /// Trains what is not done yet, then writes summary and report.
    ///
    /// # Errors
    /// When the folder is taken by another study, or something cannot be read, trained or written. Runs that are done stay
    /// done.
    pub fn run(&self, on_event: &mut (dyn FnMut(StudyEvent) + Send)) -> Result<Summary> {
        let folder = self.open_folder()?;
        let on_event = Mutex::new(on_event);
        let say = |event: StudyEvent| (on_event.lock().expect("no listener panics"))(event);
        let total: f64 = self.plan.runs.iter().map(|run| self.work(&run.setting)).sum::<f64>()
            + self.config.sequence.methods.iter().map(|&method| self.sequence_work(method)).sum::<f64>();
        let done = Mutex::new((0, 0.0));
        let report_done = |work: f64| {
            let mut done = done.lock().expect("no holder panics");
            done.0 += 1;
            done.1 += work / total;
            say(StudyEvent::Progress { n_done: done.0, n_runs: self.n_runs(), share: done.1 });
        };
        for base_idx in 0..self.config.base.n_bases {
            let name = format!("base {} of {}", base_idx + 1, self.config.base.n_bases);
            say(StudyEvent::Stage(name.clone()));
            let other = self.other_base(base_idx, &folder)?;
            let base = other.as_ref().unwrap_or(&self.base);
            let seed = self.options.seed.derive("yardstick", base_idx);
            let common = self.alone(|| Yardstick::new(base, &self.prior, &self.config, seed))?;
            let yardsticks = self.task_yardsticks(&common)?;
            let bases = self.measured_bases(base_idx, base, &yardsticks, &folder)?;
            say(StudyEvent::Stage(format!("runs on {name}")));
            let of_base = |run: &&PlannedRun| run.setting.seed_idx % self.config.base.n_bases == base_idx;
            let (finished, pending): (Vec<&PlannedRun>, Vec<&PlannedRun>) =
                self.plan.runs.iter().filter(of_base).partition(|run| is_done(&folder.run(&run.id)));
            finished.iter().for_each(|run| report_done(self.work(&run.setting)));
            let mut jobs: Vec<Job<'_>> = Vec::new();
            if base_idx == 0 {
                jobs.extend(self.config.sequence.methods.iter().map(|&method| Job::Sequence(method)));
            }
            jobs.extend(pending.into_iter().map(Job::Run));
            let work = |job: &Job<'_>| match job {
                Job::Run(run) => self.run_one(run, base, &yardsticks, &bases, &folder),
                Job::Sequence(method) => self.run_sequence(*method, &yardsticks, &folder),
            };
            self.each(&jobs, work, |job| {
                report_done(match job {
                    Job::Run(run) => self.work(&run.setting),
                    Job::Sequence(method) => self.sequence_work(*method),
                });
            })?;
        }
        say(StudyEvent::Stage("report".to_owned()));
        write_llm_report(&folder)
    }

    /// Sequences that a run goes through: what progress is measured by.
    fn work(&self, setting: &Setting) -> f64 {
        let n_steps = match setting.n_steps {
            0 => {
                setting.n_epochs * self.config.task(&setting.task).map_or(1, |task| task.max_train.max(1))
                    / setting.batch_size.max(1)
            }
            n_steps => n_steps,
        };
        // Drawing a completion costs about as much as training on it.
        let draws = if setting.method.is_on_policy() { 2.0 } else { 1.0 };
        n_steps as f64 * setting.batch_size as f64 * draws
    }

    fn sequence_work(&self, method: StudyMethod) -> f64 {
        let tasks = self.config.tasks.iter();
        tasks.map(|task| self.work(&self.stage_setting(method, &task.name))).sum()
    }

    /// Whether one run takes all cores.
    pub(crate) fn is_large(&self) -> bool {
        self.n_parameters() > LARGE
    }

    /// On one core, unless the base is large.
    pub(crate) fn alone<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        if self.is_large() { work() } else { single_threaded(work) }
    }

    /// Several at a time on one core each, unless the base is large.
    fn each<J: Sync>(
        &self,
        jobs: &[J],
        work: impl Fn(&J) -> Result<()> + Sync,
        mut on_done: impl FnMut(&J) + Send,
    ) -> Result<()> {
        if !self.is_large() {
            return run_pool(jobs, self.options.n_workers, work, on_done);
        }
        for job in jobs {
            work(job)?;
            on_done(job);
        }
        Ok(())
    }

    /// Bases after the first are pre-trained here, with other seeds.
    fn other_base(&self, base_idx: u64, folder: &StudyFolder) -> Result<Option<BaseModel>> {
        if base_idx == 0 {
            return Ok(None);
        }
        let path = folder.base(base_idx);
        let model = path.join("pretraining/model");
        if !model.is_dir() {
            let seed = self.options.seed.derive("base", base_idx).value() >> 1; // TOML has no larger numbers
            let recipe = PretrainRecipe::load(None, &[format!("seed={seed}")])?;
            let into = path.join("pretraining");
            let is_begun = into.join("config.toml").is_file();
            let pretraining = Pretraining::new(recipe, &into, is_begun)?;
            let device = self.base.decoder.device();
            pretraining.run(&device, &self.options.environment, &mut |_| ControlFlow::Continue(()))?;
        }
        (self.load_base)(&path_text(&model)?).map(Some)
    }

    fn task_yardsticks<'a>(&'a self, common: &'a Yardstick<'a>) -> Result<Vec<TaskYardstick<'a>>> {
        let tasks: Vec<usize> = (0..self.config.tasks.len()).collect();
        let made: Mutex<Vec<Option<TaskYardstick<'a>>>> = Mutex::new(tasks.iter().map(|_| None).collect());
        let make = |&idx: &usize| {
            let yardstick = TaskYardstick::new(common, &self.config.tasks[idx], &self.options.sources)?;
            made.lock().expect("no holder panics")[idx] = Some(yardstick);
            Ok(())
        };
        self.each(&tasks, make, |_| ())?;
        let made = made.into_inner().expect("no holder panics");
        Ok(made.into_iter().map(|yardstick| yardstick.expect("each was made")).collect())
    }

    /// The base on each new task, from its records where it was measured.
    fn measured_bases(
        &self,
        base_idx: u64,
        base: &BaseModel,
        yardsticks: &[TaskYardstick<'_>],
        folder: &StudyFolder,
    ) -> Result<Vec<Measurement>> {
        let tasks: Vec<usize> = (0..yardsticks.len()).collect();
        let measure = |&idx: &usize| {
            let name = &self.config.tasks[idx].name;
            if folder.read_base(base_idx, name)?.is_none() {
                let measured = yardsticks[idx].measure(&base.decoder, 0, true)?;
                folder.write_base(base_idx, name, &measured)?;
            }
            Ok(())
        };
        self.each(&tasks, measure, |_| ())?;
        let read = |idx: &usize| {
            let found = folder.read_base(base_idx, &self.config.tasks[*idx].name)?;
            Ok(found.expect("it was written"))
        };
        tasks.iter().map(read).collect()
    }

    fn run_one(
        &self,
        run: &PlannedRun,
        base: &BaseModel,
        yardsticks: &[TaskYardstick<'_>],
        bases: &[Measurement],
        folder: &StudyFolder,
    ) -> Result<()> {
        let setting = &run.setting;
        let task_idx = self.task_idx(&setting.task)?;
        let seed = self.options.seed.derive(&setting.task, setting.seed_idx);
        let task = &self.config.tasks[task_idx];
        let settings = fine_tune_settings(&self.config, task, setting, self.config.base.model.clone(), seed);
        let context = RunContext {
            base,
            measured_base: &bases[task_idx],
            yardstick: &yardsticks[task_idx],
            measure: &self.config.measure,
            sources: &self.options.sources,
            environment: &self.options.environment,
        };
        run_in(&folder.run(&run.id), settings, &context)
    }

    /// Each task on the policy of the one before, up to a stage that fails. Weights are kept until all are done.
    fn run_sequence(
        &self,
        method: StudyMethod,
        yardsticks: &[TaskYardstick<'_>],
        folder: &StudyFolder,
    ) -> Result<()> {
        let dirs: Vec<PathBuf> = self
            .config
            .tasks
            .iter()
            .enumerate()
            .map(|(stage, task)| folder.stage(method.name(), stage, &task.name))
            .collect();
        for (stage, dir) in dirs.iter().enumerate() {
            if dir.join(FAILED).is_file() {
                break;
            }
            if dir.join(ON_TASKS).is_file() {
                continue;
            }
            let before = match stage.checked_sub(1) {
                Some(before) => {
                    let trained: Option<TrainingResult> = RunFolder::result(&dirs[before])?;
                    let model = trained.and_then(|trained| trained.last_model);
                    let model = model.with_context(|| format!("no model in {}", dirs[before].display()))?;
                    Some((self.load_base)(&path_text(&model)?)?)
                }
                None => None,
            };
            if !self.run_stage(dir, stage, method, before.as_ref().unwrap_or(&self.base), yardsticks)? {
                break;
            }
        }
        dirs.iter().try_for_each(|dir| remove_checkpoints(dir))
    }

    /// Whether there is a policy to go on from.
    fn run_stage(
        &self,
        dir: &Path,
        stage: usize,
        method: StudyMethod,
        base: &BaseModel,
        yardsticks: &[TaskYardstick<'_>],
    ) -> Result<bool> {
        let task = &self.config.tasks[stage];
        let setting = self.stage_setting(method, &task.name);
        let seed = self.options.seed.derive("sequence", stage as u64);
        let name = match stage.checked_sub(1) {
            Some(before) => format!("the policy of stage {before}"),
            None => self.config.base.model.clone(),
        };
        let settings = fine_tune_settings(&self.config, task, &setting, name, seed);
        let shared = (&self.options.sources, &self.options.environment);
        let trained = run_stage(dir, settings, base, &self.config.measure, shared)
            .with_context(|| format!("stage {}", dir.display()))?;
        let Some(trained) = trained else { return Ok(false) };
        let model = trained.last_model.with_context(|| format!("no model in {}", dir.display()))?;
        let policy = (self.load_base)(&path_text(&model)?)?;
        let mut on_tasks = Vec::with_capacity(yardsticks.len());
        for yardstick in yardsticks {
            on_tasks.push(yardstick.measure(&policy.decoder, trained.n_steps, false)?);
        }
        write_json(&dir.join(ON_TASKS), &on_tasks)?;
        Ok(true)
    }

    pub(crate) fn stage_setting(&self, method: StudyMethod, task: &str) -> Setting {
        let sequence = &self.config.sequence;
        let kind = usize::from(method.is_policy_gradient());
        Setting {
            task: task.to_owned(),
            method,
            learning_rate: sequence.learning_rate,
            epsilon: sequence.epsilon,
            schedule: razor_trainers::Schedule::Constant,
            batch_size: sequence.batch_sizes[kind],
            n_epochs: 1,
            n_steps: sequence.n_steps[kind],
            n_iterations: 1,
            seed_idx: 0,
        }
    }

    fn task_idx(&self, name: &str) -> Result<usize> {
        let found = self.config.tasks.iter().position(|task| task.name == name);
        found.with_context(|| format!("no task of the study is called `{name}`"))
    }

    fn open_folder(&self) -> Result<StudyFolder> {
        let folder = StudyFolder { path: self.options.out.clone() };
        let config = StudyConfig {
            preset: self.options.preset.clone(),
            seed: self.options.seed.value(),
            base: fingerprint_model(&self.base.folder)?,
            weights: fingerprint_weights(&self.base.folder)?,
            base_name: self.config.base.model.clone(),
            n_parameters: self.n_parameters(),
            files: self.prior.files(),
            study: self.config.clone(),
        };
        if folder.path.join("config.toml").is_file() {
            let earlier = folder.read_config()?;
            if earlier != config {
                let difference = if earlier.seed != config.seed {
                    "its seed differs"
                } else if earlier.base != config.base {
                    "its base differs"
                } else if earlier.files != config.files {
                    "its files differ"
                } else {
                    "its preset or --set values differ"
                };
                let difference = difference.to_owned();
                return Err(ExperimentError::OtherStudy { path: folder.path, difference }.into());
            }
            if !self.options.resume {
                let n_done = self.plan.runs.iter().filter(|run| is_done(&folder.run(&run.id))).count();
                let n_runs = self.plan.runs.len();
                return Err(ExperimentError::StudyExists { path: folder.path, n_done, n_runs }.into());
            }
        }
        folder.write_config(&config)?;
        folder.write_documents(&self.prior.document_texts())?;
        self.options.environment.write(&folder.path)?;
        Ok(folder)
    }
}

fn path_text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is no Unicode path", path.display()))
}
