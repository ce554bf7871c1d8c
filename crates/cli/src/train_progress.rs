//! How far a training run is and how it goes: a bar on a terminal, a line every few seconds elsewhere, nothing with
//! `--quiet`.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use razor_trainers::language::run::{StepRecord, metric_name};

use crate::terminal::{duration_text, tell};

/// Lines are this far apart.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Shows the steps of a run. All output goes to standard error.
pub(crate) enum TrainProgress {
    Bar(ProgressBar),
    Lines(Lines),
    Silent,
}

impl TrainProgress {
    /// For a run of `n_steps`, the first `n_done` of which an earlier sitting has taken.
    pub(crate) fn new(n_done: u64, n_steps: u64, is_quiet: bool) -> Self {
        if is_quiet {
            return Self::Silent;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines(Lines { n_done, n_steps, start: Instant::now(), last_line: None });
        }
        let bar = ProgressBar::new(n_steps).with_position(n_done);
        let template =
            "{spinner} {wide_bar} step {pos} of {len}  {elapsed_precise}, about {eta} left\n  {msg}";
        bar.set_style(ProgressStyle::with_template(template).expect("the template is sound"));
        bar.reset_eta(); // steps of an earlier sitting do not count as speed
        bar.enable_steady_tick(Duration::from_millis(200));
        Self::Bar(bar)
    }

    /// Shows a step that was taken.
    pub(crate) fn show(&mut self, record: &StepRecord) {
        match self {
            Self::Bar(bar) => {
                bar.set_message(text(record).join("\n  "));
                bar.set_position(record.step());
            }
            Self::Lines(lines) => {
                if let Some(line) = lines.line(record, Instant::now()) {
                    tell(&line);
                }
            }
            Self::Silent => {}
        }
    }

    /// Prints a line above the bar.
    pub(crate) fn say(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.suspend(|| tell(text)),
            Self::Lines(_) | Self::Silent => tell(text),
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// When the next line is due and what it says of the time left.
pub(crate) struct Lines {
    n_done: u64,
    n_steps: u64,
    start: Instant,
    last_line: Option<Instant>,
}

impl Lines {
    /// The line for a step, if one is due: at the first step, the last one, and every few seconds.
    fn line(&mut self, record: &StepRecord, now: Instant) -> Option<String> {
        let step = record.step();
        let is_due = self.last_line.is_none_or(|last| now.duration_since(last) >= LINE_INTERVAL);
        if !is_due && step < self.n_steps {
            return None;
        }
        self.last_line = Some(now);
        let told = text(record).into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
        let mut line = format!("step {step} of {}: {told}", self.n_steps);
        let (n_taken, n_left) = (step.saturating_sub(self.n_done), self.n_steps.saturating_sub(step));
        if n_taken > 0 && n_left > 0 {
            let left = now.duration_since(self.start).mul_f64(n_left as f64 / n_taken as f64);
            line.push_str(&format!(", about {} left", duration_text(left)));
        }
        Some(line)
    }
}

/// What a person watches, in two parts that each fit on a line; numbers that the step does not have are left out.
fn text(record: &StepRecord) -> [String; 2] {
    let get = |name: &str| record.get(name);
    let clipped = match (get(metric_name::CLIP_LOW), get(metric_name::CLIP_HIGH)) {
        (None, None) => None,
        (low, high) => Some(low.unwrap_or(0.0) + high.unwrap_or(0.0)),
    };
    let reward = get(metric_name::REWARD_MEAN);
    let loss = get(metric_name::LOSS).filter(|_| reward.is_none());
    let percent = |label: &'static str| move |share: f64| format!("{label} {:.1} %", 100.0 * share);
    let learning = [
        reward.map(|value| format!("reward {value:.3}")),
        loss.map(|value| format!("loss {}", number(value, 4))),
        get(metric_name::KL_REFERENCE_TO_POLICY).map(|value| format!("KL/token base‖policy {value:.4}")),
        get(metric_name::KL_POLICY_TO_REFERENCE).map(|value| format!("policy‖base {value:.4}")),
        get(metric_name::ENTROPY).map(|value| format!("entropy {value:.3}")),
    ];
    let batch = [
        clipped.map(percent("clipped")),
        get(metric_name::LENGTH_MEAN).map(|value| format!("length {value:.0}")),
        get(metric_name::TRUNCATED_SHARE).map(percent("truncated")),
        get(metric_name::ZERO_VARIANCE_SHARE).map(percent("no variance")),
        get(metric_name::RIGHT_SHARE).map(percent("right")),
        get(metric_name::GRAD_NORM).map(|value| format!("gradient {}", number(value, 3))),
        get(metric_name::TOKENS_PER_SECOND).map(|value| format!("{value:.0} tokens/s")),
    ];
    let joined = |parts: &[Option<String>]| parts.iter().flatten().cloned().collect::<Vec<_>>().join(", ");
    [joined(&learning), joined(&batch)]
}

/// With so many decimals, or in powers of ten where these would be many digits before the point.
fn number(value: f64, decimals: usize) -> String {
    if value.abs() < 1e6 || !value.is_finite() {
        format!("{value:.decimals$}")
    } else {
        format!("{value:.2e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grpo(step: u64) -> StepRecord {
        StepRecord::new(step)
            .with(metric_name::LOSS, 0.1)
            .with(metric_name::REWARD_MEAN, 0.5)
            .with(metric_name::KL_REFERENCE_TO_POLICY, 0.01234)
            .with(metric_name::KL_POLICY_TO_REFERENCE, 0.02)
            .with(metric_name::ENTROPY, 0.8)
            .with(metric_name::CLIP_LOW, 0.01)
            .with(metric_name::CLIP_HIGH, 0.02)
            .with(metric_name::LENGTH_MEAN, 311.6)
            .with(metric_name::TRUNCATED_SHARE, 0.25)
            .with(metric_name::ZERO_VARIANCE_SHARE, 0.5)
            .with(metric_name::GRAD_NORM, f64::NAN)
            .with_timing(metric_name::TOKENS_PER_SECOND, 812.4)
    }

    #[test]
    fn a_step_is_told_by_what_it_has() {
        let [learning, batch] = text(&grpo(1));
        assert_eq!(learning, "reward 0.500, KL/token base‖policy 0.0123, policy‖base 0.0200, entropy 0.800");
        assert_eq!(
            batch,
            "clipped 3.0 %, length 312, truncated 25.0 %, no variance 50.0 %, gradient NaN, 812 tokens/s"
        );
        let loss = |value: f64| text(&StepRecord::new(1).with(metric_name::LOSS, value));
        assert_eq!(loss(0.5), ["loss 0.5000", ""]);
        assert_eq!(loss(-3.68e33), ["loss -3.68e33", ""]);
    }

    #[test]
    fn lines_are_some_seconds_apart_and_foretell_by_this_sitting_alone() {
        let start = Instant::now();
        let mut lines = Lines { n_done: 100, n_steps: 120, start, last_line: None };
        // Two seconds a step.
        let told: Vec<(u64, String)> = (101..=120)
            .filter_map(|step| {
                let now = start + Duration::from_secs(2 * (step - 100));
                Some((step, lines.line(&StepRecord::new(step).with(metric_name::LOSS, 0.5), now)?))
            })
            .collect();
        let steps: Vec<u64> = told.iter().map(|(step, _)| *step).collect();
        assert_eq!(steps, [101, 104, 107, 110, 113, 116, 119, 120]);
        assert_eq!(told[3].1, "step 110 of 120: loss 0.5000, about 20 s left");
        assert_eq!(told[7].1, "step 120 of 120: loss 0.5000");
    }
}
