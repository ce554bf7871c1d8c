//! Twenty steps of supervised fine-tuning.

use razor_core::Seed;
use razor_data::TokenExample;
use razor_trainers::Schedule;
use razor_trainers::language::run::metric_name;
use razor_trainers::language::{Learner, Method, SftMethod};
use serde_json::Value;

use crate::{Golden, Worst, example, integers, learner_config, sft_config, values};

// PyTorch is as far from itself when it reads each sequence alone: 1.3e-7, 2.2e-7 and 1.2e-6; we were 1.4e-7, 3.4e-7 and
// 1.4e-6 from it. Adam divides by the root of the squared gradient: where that is near 0, rounding reaches the weight.
const LOSS_ROUNDING: f64 = 5e-7;
const NORM_ROUNDING: f64 = 1e-6;
const WEIGHT_ROUNDING: f64 = 5e-6;

#[test]
fn the_loss_curve_and_the_weights_are_those_of_transformers_after_twenty_steps() {
    let golden = Golden::open();
    let (run, settings) = (&golden.json["sft"], &golden.json["sft"]["settings"]);
    let batches: Vec<Vec<TokenExample>> = run["batches"].as_array().unwrap().iter().map(examples).collect();
    let schedule: Schedule = serde_json::from_value(settings["schedule"].clone()).unwrap();
    let number = |name: &str| settings[name].as_u64().unwrap() as usize;
    let (n_steps, n_warmup) = (number("n_steps"), number("n_warmup"));
    let peak = settings["learning_rate"].as_f64().unwrap();
    let (order, updates) = (integers(&run["order"]), run["updates"].as_array().unwrap());
    assert_eq!([n_steps, order.len(), updates.len()], [20; 3]);

    let mut learner = Learner::new(golden.base(), learner_config(settings));
    let (mut rates, mut losses, mut norms) = (Worst::default(), Worst::default(), Worst::default());
    for (step_idx, (&batch_idx, expected)) in order.iter().zip(updates).enumerate() {
        let batch = &batches[batch_idx as usize];
        let config = sft_config(batch.len());
        let rate = schedule.learning_rate(peak, step_idx, n_warmup, n_steps);
        let mut method = SftMethod::new(batch, &config, Seed::new(step_idx as u64)).unwrap();
        let record = method.step(&mut learner, 0, rate).unwrap().record;
        let pairs = [
            (&mut rates, metric_name::LEARNING_RATE, "learning_rate"),
            (&mut losses, metric_name::LOSS, "loss"),
            (&mut norms, metric_name::GRAD_NORM, "grad_norm"),
        ];
        for (worst, ours, theirs) in pairs {
            let expected = expected[theirs].as_f64().unwrap();
            worst.see(record.get(ours).unwrap(), expected, expected, &format!("step {step_idx}"));
        }
    }
    let mut weights = Worst::default();
    for (name, parameter) in learner.policy().parameters() {
        weights.see_all(&values(parameter), &golden.floats(&format!("sft/{name}")), &name);
    }
    rates.assert_below(1e-14, "learning rates, f64");
    losses.assert_below(LOSS_ROUNDING, "losses");
    norms.assert_below(NORM_ROUNDING, "gradient norms");
    weights.assert_below(WEIGHT_ROUNDING, "weights");
}

fn examples(batch: &Value) -> Vec<TokenExample> {
    let one = |sequence: &Value| {
        example(integers(&sequence["ids"]), sequence["completion_start"].as_u64().unwrap() as usize)
    };
    batch.as_array().unwrap().iter().map(one).collect()
}
