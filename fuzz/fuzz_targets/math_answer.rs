//! First line: a gold answer. The rest: a completion.
#![no_main]

use libfuzzer_sys::fuzz_target;
use razor_envs::{MathGold, Outcome};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (gold, completion) = text.split_once('\n').unwrap_or((&text, ""));
    if let Ok(parsed) = MathGold::parse(&[gold]) {
        let itself = parsed.judge_answer(gold);
        assert_eq!(itself.outcome, Outcome::Correct, "{gold:?} is not itself: {}", itself.reason);
        let _ = parsed.judge(completion);
        let _ = parsed.judge_answer(completion);
    }
});
