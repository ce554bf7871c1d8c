//! The numbers of one training step.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

/// Key of the object with wall-clock quantities in a record. Two runs that are equal in everything else differ there.
pub const TIMING: &str = "timing";

const STEP: &str = "step";

/// One line of `steps.jsonl`: `{"step": 3, "loss": 0.5, ..., "timing": {"tokens_per_second": 812.0}}`.
///
/// Names keep the order in which they were first set; [`metric_name`](crate::language::run::metric_name) has the usual
/// ones. A number that is not finite is `null` in JSON, and reads back as NaN.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct StepRecord {
    step: u64,
    metrics: Vec<(String, f64)>,
    timing: Vec<(String, f64)>,
}

impl StepRecord {
    /// The record of step `step`, counted from 1: optimizer steps taken, this one included.
    pub const fn new(step: u64) -> Self {
        Self { step, metrics: Vec::new(), timing: Vec::new() }
    }

    /// Sets a number that another run of the same config repeats bit for bit.
    ///
    /// # Panics
    /// For the names `step` and `timing`, which are taken.
    #[must_use]
    pub fn with(mut self, name: &str, value: f64) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a number that depends on the clock.
    #[must_use]
    pub fn with_timing(mut self, name: &str, value: f64) -> Self {
        self.set_timing(name, value);
        self
    }

    /// As [`StepRecord::with`].
    ///
    /// # Panics
    /// For the names `step` and `timing`, which are taken.
    pub fn set(&mut self, name: &str, value: f64) {
        assert!(name != STEP && name != TIMING, "`{name}` cannot name a metric: the record has its own");
        put(&mut self.metrics, name, value);
    }

    /// As [`StepRecord::with_timing`].
    pub fn set_timing(&mut self, name: &str, value: f64) {
        put(&mut self.timing, name, value);
    }

    /// Optimizer steps taken, this one included.
    pub const fn step(&self) -> u64 {
        self.step
    }

    /// The number of that name, wall-clock or not.
    pub fn get(&self, name: &str) -> Option<f64> {
        let mut both = self.metrics.iter().chain(&self.timing);
        both.find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// The record without its wall-clock quantities: what two runs of one config have in common.
    #[must_use]
    pub fn without_timing(mut self) -> Self {
        self.timing.clear();
        self
    }

    /// Every number with its tag in TensorBoard.
    pub(super) fn scalars(&self) -> Vec<(String, f64)> {
        let timing = self.timing.iter().map(|(name, value)| (format!("{TIMING}/{name}"), *value));
        self.metrics.iter().cloned().chain(timing).collect()
    }
}

fn put(values: &mut Vec<(String, f64)>, name: &str, value: f64) {
    match values.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => *old = value,
        None => values.push((name.to_owned(), value)),
    }
}

impl Serialize for StepRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(STEP, &self.step)?;
        for (name, value) in &self.metrics {
            map.serialize_entry(name, &finite(*value))?;
        }
        if !self.timing.is_empty() {
            let timing: Map<String, Value> =
                self.timing.iter().map(|(name, value)| (name.clone(), Value::from(finite(*value)))).collect();
            map.serialize_entry(TIMING, &timing)?;
        }
        map.end()
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

impl TryFrom<Map<String, Value>> for StepRecord {
    type Error = String;

    fn try_from(mut fields: Map<String, Value>) -> Result<Self, String> {
        let step = fields.shift_remove(STEP).as_ref().and_then(Value::as_u64);
        let timing = match fields.shift_remove(TIMING) {
            None => Map::new(),
            Some(Value::Object(timing)) => timing,
            Some(other) => return Err(format!("`{TIMING}` is {other}, expected an object")),
        };
        let step = step.ok_or_else(|| format!("`{STEP}` is missing or no whole number"))?;
        Ok(Self { step, metrics: numbers(fields)?, timing: numbers(timing)? })
    }
}

fn numbers(fields: Map<String, Value>) -> Result<Vec<(String, f64)>, String> {
    let number = |(name, value): (String, Value)| match value {
        Value::Null => Ok((name, f64::NAN)),
        value => value
            .as_f64()
            .map(|number| (name.clone(), number))
            .ok_or_else(|| format!("`{name}` is {value}, expected a number or null")),
    };
    fields.into_iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::run::metric_name;

    fn record() -> StepRecord {
        StepRecord::new(3)
            .with_timing(metric_name::TOKENS_PER_SECOND, 812.5)
            .with(metric_name::REWARD_MEAN, 0.1)
            .with(metric_name::LOSS, f64::NAN)
            .with(metric_name::GRAD_NORM, f64::INFINITY)
            .with(metric_name::REWARD_MEAN, 0.25)
    }

    #[test]
    fn names_keep_their_order_and_what_is_not_finite_is_null() {
        let json = serde_json::to_string(&record()).unwrap();
        let expected = r#"{"step":3,"reward/mean":0.25,"loss":null,"grad_norm":null,"timing":{"tokens_per_second":812.5}}"#;
        assert_eq!(json, expected);
        let back: StepRecord = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), expected);
        assert!(back.get("loss").unwrap().is_nan());
        assert_eq!(back.get("tokens_per_second"), Some(812.5));
    }

    #[test]
    fn event_files_keep_what_is_not_finite_and_have_the_clock_apart() {
        let scalars = record().scalars();
        let names: Vec<&str> = scalars.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["reward/mean", "loss", "grad_norm", "timing/tokens_per_second"]);
        assert!(scalars[1].1.is_nan() && scalars[2].1 == f64::INFINITY);
    }

    #[test]
    fn runs_are_compared_without_the_clock() {
        let slower = record().with_timing(metric_name::TOKENS_PER_SECOND, 7.0);
        let [a, b] = [record(), slower].map(|r| serde_json::to_string(&r.without_timing()).unwrap());
        assert_eq!(a, b);
        assert!(!a.contains("timing"));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for text in
            [r#"{"loss":1}"#, r#"{"step":-1}"#, r#"{"step":1,"loss":"x"}"#, r#"{"step":1,"timing":2}"#]
        {
            assert!(serde_json::from_str::<StepRecord>(text).is_err(), "{text}");
        }
    }

    #[test]
    #[should_panic(expected = "`step` cannot name a metric")]
    fn the_name_of_the_step_is_taken() {
        StepRecord::new(1).set("step", 2.0);
    }
}
