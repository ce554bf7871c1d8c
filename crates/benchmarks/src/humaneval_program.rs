//! HumanEval: from a record and a completion to a program with its checks, and pass@k.
//!
//! Source: Chen et al., "Evaluating Large Language Models Trained on Code", arXiv 2107.03374; stop strings as in
//! lm-evaluation-harness 0.4.13.

use serde::{Deserialize, Serialize};

/// A completion ends before the first of these, none of which can be inside the function's body.
pub const HUMANEVAL_STOPS: [&str; 5] = ["\nclass", "\ndef", "\n#", "\nif", "\nprint"];

/// One problem, as in `HumanEval.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HumanEvalRecord {
    /// `HumanEval/0` to `HumanEval/163`.
    pub task_id: String,
    /// Imports, helpers, and the function's head with its description.
    pub prompt: String,
    /// Name of the function to complete.
    pub entry_point: String,
    /// A body that is right.
    pub canonical_solution: String,
    /// Defines `check(candidate)`.
    pub test: String,
}

/// Why a file of problems could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message documents its variant")]
pub enum HumanEvalError {
    #[error("line {line}: not a HumanEval record: {source}")]
    Record { line: usize, source: serde_json::Error },
    #[error("line {line}: field `entry_point` is `{found}`, not the name of a function")]
    EntryPoint { line: usize, found: String },
}

/// Reads problems from JSON lines; empty lines are skipped.
///
/// # Errors
/// With the number of the line, from 1: where it is no record, or names no function.
pub fn parse_humaneval(text: &str) -> Result<Vec<HumanEvalRecord>, HumanEvalError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(line_idx, text)| {
            let line = line_idx + 1;
            let record: HumanEvalRecord =
                serde_json::from_str(text).map_err(|source| HumanEvalError::Record { line, source })?;
            if !is_identifier(&record.entry_point) {
                return Err(HumanEvalError::EntryPoint { line, found: record.entry_point });
            }
            Ok(record)
        })
        .collect()
}

/// The name is written into the checks, so it must be nothing but a name.
fn is_identifier(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_alphanumeric() || letter == '_')
}

/// The text before the first stop string.
pub fn cut_at_stop<'a>(completion: &'a str, stops: &[&str]) -> &'a str {
    let first = stops.iter().filter_map(|stop| completion.find(stop)).min();
    &completion[..first.unwrap_or(completion.len())]
}

#[cfg(unix)]
impl HumanEvalRecord {
    /// The program that a completion makes, cut at [`HUMANEVAL_STOPS`], with the record's checks.
    ///
    /// The checks stand on the prompt as it is given: helpers that it defines are the record's own, not the program's.
    pub fn program(&self, completion: &str) -> crate::sandbox::Program {
        crate::sandbox::Program {
            source: format!("{}{}\n", self.prompt, cut_at_stop(completion, &HUMANEVAL_STOPS)),
            setup: self.prompt.clone(),
            tests: format!("{}\ncheck({})\n", self.test, self.entry_point),
            entry_point: self.entry_point.clone(),
        }
    }
}

/// Unbiased estimate of the probability that at least one of `k` samples passes: 1 - C(n-c, k) / C(n, k).
///
/// `n_samples` completions of one problem were run and `n_passed` of them passed. `None` where the estimate does not
/// exist: `k` of 0 or above `n_samples`, or `n_passed` above `n_samples`.
/// Source: arXiv 2107.03374, equation 1; as a product, for binomials overflow.
pub fn pass_at_k(n_samples: usize, n_passed: usize, k: usize) -> Option<f64> {
    if k == 0 || k > n_samples || n_passed > n_samples {
        return None;
    }
    let n_failed = n_samples - n_passed;
    if n_failed < k {
        return Some(1.0);
    }
    // C(n-c, k) / C(n, k) has a factor for each of the c passed samples, or for each of the k drawn: take the fewer.
    let all_fail: f64 = if n_passed < k {
        (n_failed + 1..=n_samples).map(|i| (i - k) as f64 / i as f64).product()
    } else {
        (0..k).map(|drawn| (n_failed - drawn) as f64 / (n_samples - drawn) as f64).product()
    };
    Some(1.0 - all_fail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_completion_ends_at_the_first_stop_string() {
        let completion = "    return 1\n\ndef other():\n    pass\nclass A: pass\n";
        assert_eq!(cut_at_stop(completion, &HUMANEVAL_STOPS), "    return 1\n");
        assert_eq!(
            cut_at_stop("    if x:\n        return 1\n", &HUMANEVAL_STOPS),
            "    if x:\n        return 1\n"
        );
    }

    #[test]
    fn a_broken_line_is_named() {
        let good = r#"{"task_id":"a","prompt":"","entry_point":"f","canonical_solution":"","test":""}"#;
        let error = parse_humaneval(&format!("{good}\n\n{{\"task_id\": 3}}\n")).unwrap_err();
        assert!(error.to_string().starts_with("line 3: "), "{error}");
        let error = parse_humaneval(&good.replace("\"f\"", "\"f); evil(\"")).unwrap_err();
        assert!(error.to_string().starts_with("line 1: field `entry_point`"), "{error}");
        assert_eq!(parse_humaneval(good).unwrap().len(), 1);
    }

    #[test]
    fn pass_at_k_is_what_counting_all_draws_gives() {
        // Of 5 samples 2 pass: a draw of 2 misses both in C(3,2) = 3 of C(5,2) = 10 ways.
        assert!((pass_at_k(5, 2, 2).unwrap() - 0.7).abs() < 1e-15);
        assert_eq!(pass_at_k(5, 0, 5), Some(0.0));
        assert_eq!(pass_at_k(5, 1, 5), Some(1.0));
        assert_eq!(pass_at_k(5, 2, 6), None);
        assert_eq!(pass_at_k(5, 2, 0), None);
        assert_eq!(pass_at_k(5, 6, 1), None);
    }

    #[test]
    fn pass_at_k_stays_exact_where_binomials_overflow() {
        // k = 1 is the share that passed, whatever the size.
        assert!((pass_at_k(1_000_000, 250_000, 1).unwrap() - 0.25).abs() < 1e-12);
        // One passes of n: a draw of k holds it with probability k / n.
        assert!((pass_at_k(1_000_000, 1, 1000).unwrap() - 1e-3).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn pass_at_k_agrees_with_exact_binomials(n in 1_u64..40, passed in 0_u64..40, k in 1_u64..40) {
            prop_assume!(passed <= n && k <= n);
            let choose = |from: u64, take: u64| (0..take).fold(1_u128, |product, i| {
                if i >= from { 0 } else { product * u128::from(from - i) / u128::from(i + 1) }
            });
            let exact = 1.0 - choose(n - passed, k) as f64 / choose(n, k) as f64;
            let estimate = pass_at_k(n as usize, passed as usize, k as usize).unwrap();
            // At most 40 roundings of one part in 2^53 each.
            prop_assert!((estimate - exact).abs() < 1e-13, "{estimate} {exact}");
        }
    }
}
