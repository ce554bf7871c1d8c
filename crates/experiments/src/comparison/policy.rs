//! What a comparison needs to know of a measured policy.

/// A measured policy: a checkpoint of a run.
pub(crate) trait ComparedPolicy {
    /// The study's own type of method.
    type Method: ComparedMethod;

    /// What it was trained by.
    fn method(&self) -> Self::Method;
    /// Number of its run; policies of a run are correlated, so intervals resample runs.
    fn run_idx(&self) -> usize;
    /// Which repetition its run belongs to.
    fn seed_idx(&self) -> u64;
    /// Score on the new task, a fraction.
    fn new_task(&self) -> f64;
    /// Score on the prior tasks, a fraction.
    fn prior_task(&self) -> f64;
    /// Drop of the prior score since the base, a fraction.
    fn forgetting(&self) -> f64;
    /// KL(π₀‖π) on the new task's held-out inputs, nats: the paper's predictor.
    fn forward_kl(&self) -> f64;
}

/// How a policy was trained.
pub(crate) trait ComparedMethod: Copy + Ord {
    /// Name in records.
    fn name(self) -> &'static str;
    /// Name for people.
    fn title(self) -> &'static str;
    /// Colour and marker in every figure.
    fn palette_idx(self) -> usize;
}
