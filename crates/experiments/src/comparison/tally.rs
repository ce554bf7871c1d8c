//! The gates in one sentence.

use razor_report::Gate;

/// `9 of 12 gates hold; T2, T7 failed; T9 could not be judged.`
pub(crate) fn gate_sentence(gates: &[Gate]) -> String {
    let named = |pass: Option<bool>| -> Vec<&str> {
        gates.iter().filter(|gate| gate.pass == pass).map(|gate| gate.id.as_str()).collect()
    };
    let (failed, open) = (named(Some(false)), named(None));
    let n_passed = gates.len() - failed.len() - open.len();
    let mut sentence = format!("{n_passed} of {} gates hold", gates.len());
    if !failed.is_empty() {
        sentence += &format!("; {} failed", failed.join(", "));
    }
    if !open.is_empty() {
        sentence += &format!("; {} could not be judged", open.join(", "));
    }
    sentence + "."
}
