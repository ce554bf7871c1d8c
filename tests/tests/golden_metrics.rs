//! Fits, correlations, spectra and representation similarities against NumPy, SciPy, scikit-learn and PyTorch.
//!
//! `tests/golden/metrics.py` made the figures; its versions are in the fixture.

#![expect(clippy::unwrap_used, reason = "a broken fixture should fail the test here")]

use std::fs;
use std::path::Path;

use razor_metrics::{
    ExponentialFit, MeanInterval, MonotoneFit, QuadraticFit, RepresentationProbe, Scatter, WeightChange,
    WeightUpdate, fisher_weighted_change, leave_one_group_out, pearson, spearman,
};
use serde_json::Value;

/// f64 on both sides: a few hundred roundings on sums of about 1.
const ROUNDING: f64 = 1e-11;

fn golden(part: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/metrics.json");
    let text = fs::read_to_string(&path).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[part].take()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn singles(value: &Value) -> Vec<f32> {
    numbers(value).into_iter().map(|value| value as f32).collect()
}

fn count(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn assert_close(found: f64, expected: &Value, tolerance: f64, what: &str) {
    let expected = number(expected);
    let error = (found - expected).abs();
    assert!(error <= tolerance * expected.abs().max(1.0), "{what}: {found}, expected {expected}");
}

#[test]
fn pooled_fits_and_correlations_agree_with_scipy_and_scikit_learn() {
    let golden = golden("law");
    let points = Scatter::new(&numbers(&golden["x"]), &numbers(&golden["y"])).unwrap();
    for case in ["each_once", "weighted"] {
        let expected = &golden[case];
        let weights = numbers(&expected["weights"]);
        let quadratic = QuadraticFit::new(&points, &weights).unwrap();
        let monotone = MonotoneFit::new(&points, &weights).unwrap();
        assert_close(quadratic.r2(), &expected["quadratic_r2"], ROUNDING, case);
        for (found, expected) in quadratic.coefficients().iter().zip(expected["polyfit"].as_array().unwrap())
        {
            assert_close(*found, expected, ROUNDING, case);
        }
        assert_close(monotone.r2(), &expected["isotonic_r2"], ROUNDING, case);
        let levels = numbers(&expected["levels"]);
        for (level, expected) in levels.iter().zip(expected["isotonic_at"].as_array().unwrap()) {
            assert_close(monotone.at(*level).unwrap(), expected, ROUNDING, case);
        }
        assert_close(pearson(&points, &weights).unwrap(), &expected["pearson"], ROUNDING, case);
        assert_close(spearman(&points, &weights).unwrap(), &expected["spearman"], ROUNDING, case);
    }
}

#[test]
fn held_out_groups_agree_with_polyfit() {
    let golden = golden("held_out");
    let points = Scatter::new(&numbers(&golden["x"]), &numbers(&golden["y"])).unwrap();
    let groups: Vec<usize> = golden["groups"].as_array().unwrap().iter().map(count).collect();
    for (group, held_out) in leave_one_group_out(&points, &groups) {
        let (expected, held_out) = (&golden["results"][group], held_out.unwrap());
        assert_close(held_out.r2.unwrap(), &expected["r2"], ROUNDING, "r2");
        assert_close(held_out.mean_residual, &expected["mean_residual"], ROUNDING, "mean residual");
        assert_close(held_out.root_mean_square, &expected["root_mean_square"], ROUNDING, "residual rms");
    }
}

#[test]
fn the_exponential_agrees_with_curve_fit() {
    let golden = golden("exponential");
    let points = Scatter::new(&numbers(&golden["x"]), &numbers(&golden["y"])).unwrap();
    let fit = ExponentialFit::new(&points, points.each_once()).unwrap();
    // Both searches stop where the error is flat, which leaves half of f64's digits to the parameters.
    for (found, name) in [(fit.a, "a"), (fit.b, "b"), (fit.c, "c")] {
        assert_close(found, &golden[name], 1e-6, name);
    }
    assert_close(fit.r2(), &golden["r2"], ROUNDING, "r2");
}

#[test]
fn intervals_over_seeds_agree_with_students_t() {
    for case in golden("seeds").as_array().unwrap() {
        let interval = MeanInterval::new(&numbers(&case["values"])).unwrap();
        // The quantile is an expansion, within 2e-4 from 5 degrees of freedom on.
        assert_close(interval.low.unwrap(), &case["low"], 3e-4, "low");
        assert_close(interval.high.unwrap(), &case["high"], 3e-4, "high");
    }
}

#[test]
fn weight_changes_agree_with_numpy_and_torch_rounding() {
    let golden = golden("weights");
    let (before, after) = (singles(&golden["before"]), singles(&golden["after"]));
    let change = WeightChange::between([(&before[..], &after[..])]).unwrap();
    assert_close(change.mean_abs, &golden["mean_abs"], ROUNDING, "mean_abs");
    // Shares are counts over the same number of weights: equal to the last bit or wrong.
    assert_eq!(change.unchanged_f32, number(&golden["unchanged_f32"]));
    assert_eq!(change.unchanged_bf16, number(&golden["unchanged_bf16"]));
    assert_eq!(change.within_tolerance, number(&golden["within_tolerance"]));
    let fisher = fisher_weighted_change(&singles(&golden["fisher"]), &before, &after).unwrap();
    assert!((fisher / number(&golden["fisher_weighted"]) - 1.0).abs() < ROUNDING);
}

#[test]
fn spectra_agree_with_numpy() {
    let golden = golden("weights");
    let (before, after) = (singles(&golden["before"]), singles(&golden["after"]));
    let (n_rows, n_cols) = (count(&golden["n_rows"]), count(&golden["n_cols"]));
    let update = WeightUpdate::between(&before, &after, n_rows, n_cols).unwrap();
    let expected = numbers(&golden["singular_values"]);
    for (found, expected) in update.singular_values().unwrap().iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-13 * expected.max(1.0), "{found}, expected {expected}");
    }
    assert!((update.spectral_norm() / expected[0] - 1.0).abs() < 1e-6);
}

#[test]
fn representation_similarities_agree_with_whole_kernels() {
    let golden = golden("representation");
    let n_samples = count(&golden["n_samples"]);
    let (left, right) = (singles(&golden["left"]), singles(&golden["right"]));
    let probe = RepresentationProbe::new(&left, n_samples, count(&golden["n_neighbors"])).unwrap();
    let similarity = probe.compare(&right).unwrap();
    // Ours is f32 throughout.
    assert_close(similarity.cka, &golden["cka"], 1e-6, "CKA");
    assert_close(similarity.cknna, &golden["cknna"], 1e-6, "CKNNA");
}
