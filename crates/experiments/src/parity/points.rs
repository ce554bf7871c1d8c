//! All measurements of a study, read from its records.

use crate::comparison::ComparedPolicy;
use crate::error::ExperimentError;
use crate::parity::folder::{StudyConfig, StudyFolder};
use crate::parity::method::Method;
use crate::parity::plan::{Arm, Plan, Setting};
use crate::parity::record::{DynamicsRecord, EvalRecord};

use razor_core::Seed;

/// One measured checkpoint.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    /// Number of its run; checkpoints of a run are correlated, so intervals resample runs.
    pub run_idx: usize,
    /// Which repetition.
    pub seed_idx: u64,
    /// What was trained.
    pub setting: Setting,
    /// Whether this is the end of the run.
    pub is_last: bool,
    /// Drop of prior-task accuracy since the base policy, as a fraction (absolute; the paper writes no formula).
    pub forgetting: f64,
    /// The measurement.
    pub eval: EvalRecord,
}

impl ComparedPolicy for Point {
    type Method = Method;

    fn method(&self) -> Method {
        self.setting.method
    }

    fn run_idx(&self) -> usize {
        self.run_idx
    }

    fn seed_idx(&self) -> u64 {
        self.seed_idx
    }

    fn new_task(&self) -> f64 {
        self.eval.new_task
    }

    fn prior_task(&self) -> f64 {
        self.eval.prior_task
    }

    fn forgetting(&self) -> f64 {
        self.forgetting
    }

    fn forward_kl(&self) -> f64 {
        self.eval.shift_new.kl_reference_to_policy
    }
}

/// The steps of one watched run.
#[derive(Debug, Clone)]
pub(crate) struct WatchedRun {
    pub method: Method,
    pub records: Vec<DynamicsRecord>,
}

/// A study as its records tell it.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub config: StudyConfig,
    /// Base policy of each repetition.
    pub bases: Vec<EvalRecord>,
    /// Checkpoints of all arms.
    pub points: Vec<Point>,
    pub watched: Vec<WatchedRun>,
    /// The run that taught `sft_distilled`, last checkpoint of each repetition.
    pub teachers: Vec<Point>,
    /// Runs of the plan, and how many of them are done.
    pub n_runs: usize,
    pub n_done: usize,
}

impl Measured {
    /// Reads what is done.
    pub(crate) fn read(folder: &StudyFolder) -> Result<Self, ExperimentError> {
        let config = folder.read_config()?;
        let plan = Plan::new(&config.study, Seed::new(config.seed), &config.images);
        let mut bases = Vec::new();
        for seed_idx in 0..config.study.n_seeds {
            let Some(base) = folder.read_base(seed_idx)? else { break };
            bases.push(base);
        }
        if bases.is_empty() {
            return Err(ExperimentError::NoStudy {
                path: folder.path.clone(),
                missing: "bases/s0/evals.jsonl",
            });
        }
        let mut measured = Self {
            n_runs: plan.runs.len(),
            n_done: 0,
            config,
            bases,
            points: Vec::new(),
            watched: Vec::new(),
            teachers: Vec::new(),
        };
        let teacher_ids = plan.teachers();
        for (run_idx, run) in plan.runs.iter().enumerate().filter(|(_, run)| folder.is_done(&run.id)) {
            measured.n_done += 1;
            measured.add_run(folder, run_idx, &run.id, teacher_ids.contains(run.id.as_str()))?;
        }
        Ok(measured)
    }

    fn add_run(
        &mut self,
        folder: &StudyFolder,
        run_idx: usize,
        id: &str,
        is_teacher: bool,
    ) -> Result<(), ExperimentError> {
        let run = folder.read_run(id)?;
        let (seed_idx, setting) = (run.config.run.seed_idx, run.config.run.setting);
        let base = self.bases[seed_idx as usize].prior_task;
        let n_evals = run.evals.len();
        for (eval_idx, eval) in run.evals.into_iter().enumerate() {
            let forgetting = base - eval.prior_task;
            let is_last = eval_idx + 1 == n_evals;
            let point = Point { run_idx, seed_idx, setting, is_last, forgetting, eval };
            if is_teacher && is_last {
                self.teachers.push(point.clone());
            }
            self.points.push(point);
        }
        if setting.arm == Arm::Dynamics {
            self.watched.push(WatchedRun { method: setting.method, records: run.dynamics });
        }
        Ok(())
    }

    /// Checkpoints of the grid, of these methods.
    pub(crate) fn grid(&self, methods: &[Method]) -> Vec<&Point> {
        let wanted =
            |point: &&Point| point.setting.arm == Arm::Grid && methods.contains(&point.setting.method);
        self.points.iter().filter(wanted).collect()
    }

    /// The methods of the grid that have a finished run, in the order of figures.
    pub(crate) fn methods(&self) -> Vec<Method> {
        let is_there = |method: &Method| !self.grid(&[*method]).is_empty();
        Method::ALL.into_iter().filter(is_there).collect()
    }

    /// Mean accuracy of the base policies on new and prior task.
    pub(crate) fn base_accuracy(&self) -> (f64, f64) {
        let mean =
            |of: fn(&EvalRecord) -> f64| self.bases.iter().map(of).sum::<f64>() / self.bases.len() as f64;
        (mean(|base| base.new_task), mean(|base| base.prior_task))
    }
}
