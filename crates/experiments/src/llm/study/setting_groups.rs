//! Runs that differ in nothing but the repetition.

use razor_trainers::Schedule;

use crate::llm::study::plan::Setting;
use crate::llm::study::points::Point;

/// The same setting in every repetition.
pub(crate) struct SettingGroup<'a> {
    /// The setting, of the first of its runs.
    pub setting: &'a Setting,
    /// A policy of each run.
    pub points: Vec<&'a Point>,
}

/// Policies by setting: in the order of methods, then by learning rate and epsilon.
pub(crate) fn by_setting<'a>(points: &[&'a Point]) -> Vec<SettingGroup<'a>> {
    let mut groups: Vec<SettingGroup<'a>> = Vec::new();
    for &point in points {
        match groups.iter_mut().find(|group| is_repetition(group.setting, &point.setting)) {
            Some(group) => group.points.push(point),
            None => groups.push(SettingGroup { setting: &point.setting, points: vec![point] }),
        }
    }
    groups.sort_by(|a, b| {
        let key = |group: &SettingGroup<'_>| group.setting.method.order();
        (key(a).cmp(&key(b)))
            .then(a.setting.learning_rate.total_cmp(&b.setting.learning_rate))
            .then(a.setting.epsilon.total_cmp(&b.setting.epsilon))
    });
    groups
}

fn is_repetition(a: &Setting, b: &Setting) -> bool {
    let same = Setting { seed_idx: a.seed_idx, ..b.clone() };
    *a == same
}

/// What tables say of a setting beside method, learning rate and epsilon.
pub(crate) fn details(setting: &Setting) -> String {
    let schedule = match setting.schedule {
        Schedule::Constant => "constant",
        Schedule::Cosine => "cosine",
        Schedule::Linear => "linear",
        Schedule::StableThenLinear => "stable, then linear",
    };
    let length = match (setting.n_steps, setting.n_epochs) {
        (0, 1) => "1 epoch".to_owned(),
        (0, n_epochs) => format!("{n_epochs} epochs"),
        (n_steps, _) => format!("{n_steps} steps"),
    };
    let iterations =
        if setting.n_iterations > 1 { format!(", μ {}", setting.n_iterations) } else { String::new() };
    format!("{schedule}, batch {}, {length}{iterations}", setting.batch_size)
}
