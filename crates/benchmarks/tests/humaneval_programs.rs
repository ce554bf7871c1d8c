//! Every canonical solution passes its checks in the sandbox, and every broken one fails.

#![expect(clippy::unwrap_used, reason = "a run or file that cannot be had should fail the test here")]

mod isolation;

use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use flate2::read::GzDecoder;
use isolation::sandboxes;
use razor_benchmarks::sandbox::{Limits, Outcome, Program, RunVerdict, Sandbox};
use razor_benchmarks::{HumanEvalRecord, parse_humaneval};

/// The data set where RAZOR_DATA names it, else three records of our own.
fn records() -> Vec<HumanEvalRecord> {
    let text = match env::var_os("RAZOR_DATA") {
        Some(folder) => {
            let file = File::open(Path::new(&folder).join("humaneval/HumanEval.jsonl.gz")).unwrap();
            let mut text = String::new();
            GzDecoder::new(file).read_to_string(&mut text).unwrap();
            text
        }
        None => {
            println!("RAZOR_DATA is not set: three records of our own");
            fs::read_to_string("../../tests/golden/benchmarks/humaneval/HumanEval.jsonl").unwrap()
        }
    };
    parse_humaneval(&text).unwrap()
}

/// Runs the programs, two at a time. Verdicts are in the order of the programs.
fn run_all(sandbox: &Sandbox, programs: &[(String, Program)]) -> Vec<RunVerdict> {
    // A loaded machine may be slow; none of these programs waits for its limit.
    let limits = Limits { wall_seconds: 20.0, cpu_seconds: 20, ..Limits::human_eval() };
    let next = Mutex::new(0..programs.len());
    let verdicts = Mutex::new(vec![None; programs.len()]);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(program_idx) = next.lock().unwrap().next() else { break };
                    let verdict = sandbox.run(&programs[program_idx].1, &limits).unwrap();
                    verdicts.lock().unwrap()[program_idx] = Some(verdict);
                }
            });
        }
    });
    let milliseconds = start.elapsed().as_secs_f64() * 1e3 / programs.len() as f64;
    println!("{}: {} runs, {milliseconds:.1} ms a run, two at a time", sandbox.backend(), programs.len());
    verdicts.into_inner().unwrap().into_iter().map(Option::unwrap).collect()
}

#[test]
fn every_canonical_solution_passes() {
    let programs: Vec<(String, Program)> = records()
        .into_iter()
        .map(|record| (record.task_id.clone(), record.program(&record.canonical_solution)))
        .collect();
    for sandbox in sandboxes() {
        let verdicts = run_all(&sandbox, &programs);
        for ((task, _), verdict) in programs.iter().zip(verdicts) {
            assert!(verdict.passed(), "{task}: {verdict}\n{}", verdict.output);
        }
    }
}

/// Four ways to be wrong: nothing returned, a wrong constant, an exception, and the right value a little off.
fn broken(record: &HumanEvalRecord) -> Vec<(String, Program)> {
    let name = &record.entry_point;
    let off_by_one = format!(
        "{solution}
_right = {name}

def {name}(*arguments):
    value = _right(*arguments)
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return value + \"x\"
    if isinstance(value, (list, tuple)):
        return value + type(value)([None])
    return {{\"wrong\": None}}
",
        solution = record.canonical_solution
    );
    [
        ("no return", "    pass\n".to_string()),
        ("a wrong constant", "    return 'a wrong constant'\n".to_string()),
        ("an exception", "    raise ValueError('broken')\n".to_string()),
        ("off by one", off_by_one),
    ]
    .into_iter()
    .map(|(how, body)| {
        // Not cut at the stop strings: the last way defines the function a second time.
        let source = format!("{}{body}", record.prompt);
        (format!("{} with {how}", record.task_id), Program { source, ..record.program("") })
    })
    .collect()
}

#[test]
fn every_broken_solution_fails() {
    let programs: Vec<(String, Program)> = records().iter().flat_map(broken).collect();
    for (sandbox_idx, sandbox) in sandboxes().iter().enumerate() {
        // Every way in the first sandbox; in another one the last, nearest to right, is enough.
        let step = if sandbox_idx == 0 { 1 } else { 4 };
        let programs: Vec<(String, Program)> =
            programs.iter().skip(step - 1).step_by(step).cloned().collect();
        let verdicts = run_all(sandbox, &programs);
        for ((task, _), verdict) in programs.iter().zip(verdicts) {
            assert!(!verdict.passed(), "{task}: {verdict}");
        }
    }
}

/// Checks of a program `echo`, which returns its argument, or of what else it defines under that name.
fn checks(sandbox: &Sandbox, source: &str, tests: &str) -> RunVerdict {
    let program = Program {
        source: source.into(),
        setup: String::new(),
        tests: tests.into(),
        entry_point: "echo".into(),
    };
    sandbox.run(&program, &Limits { wall_seconds: 20.0, ..Limits::human_eval() }).unwrap()
}

#[test]
fn plain_values_cross_unchanged() {
    let tests = r#"
import math
inf = float("inf")
for value in [None, True, False, 0, -1, 1 << 70, -(1 << 5000), 0.1, -0.0, 5e-324, inf, -inf, 1 + 2j, "", "naïve\n\0\ud800",
        b"\xff\n", [], [1, [2, (3,)]], (), (1,), {1, "a"}, set(), frozenset({(1, 2)}), {}, {"a": {2: [None]}}, range(3, 9, 2)]:
    back = echo(value)
    assert back == value and type(back) is type(value) and repr(back) == repr(value), repr(back)
assert math.isnan(echo(math.nan))
assert list(echo({"b": 1, "a": 2})) == ["b", "a"]
assert echo(x=[1] * 1000) == [1] * 1000
"#;
    for sandbox in sandboxes() {
        let verdict = checks(&sandbox, "def echo(x):\n    return x\n", tests);
        assert!(verdict.passed(), "{verdict}");
    }
}

#[test]
fn values_of_derived_types_arrive_as_what_they_derive_from() {
    let source = "
from collections import Counter, OrderedDict, defaultdict, namedtuple
from enum import IntEnum
def echo(kind):
    return {
        'counter': Counter('aab'), 'ordered': OrderedDict(a=1), 'default': defaultdict(int, a=1),
        'named': namedtuple('Pair', 'x y')(1, 2), 'enum': IntEnum('Colour', 'red')(1),
        'generator': (i * i for i in range(3)), 'map': map(str, [1, 2]), 'object': object(),
    }[kind]
";
    let tests = "
assert echo('counter') == {'a': 2, 'b': 1} and echo('ordered') == {'a': 1} and echo('default') == {'a': 1}
assert echo('named') == (1, 2) and echo('enum') == 1
assert list(echo('generator')) == [0, 1, 4] and echo('generator') != [0, 1, 4] and list(echo('map')) == ['1', '2']
assert echo('object') != 1 and echo('object') != echo('object')
try:
    echo('nothing')
except KeyError:
    pass
else:
    raise AssertionError('no KeyError')
";
    for sandbox in sandboxes() {
        let verdict = checks(&sandbox, source, tests);
        assert!(verdict.passed(), "{verdict}");
    }
}

#[test]
fn checks_that_pass_a_function_are_unsupported_rather_than_failed() {
    for sandbox in sandboxes() {
        let verdict = checks(&sandbox, "def echo(f):\n    return f(1)\n", "assert echo(lambda x: x) == 1");
        assert!(matches!(verdict.outcome, Outcome::Unsupported { .. }), "{verdict}");
    }
}

#[test]
fn a_verdict_does_not_depend_on_the_order_of_a_set() {
    for sandbox in sandboxes() {
        let runs: Vec<String> = (0..3)
            .map(|_| {
                checks(&sandbox, "print({'a', 'b', 'c', 'd'}, flush=True)\ndef echo(): pass\n", "echo()")
            })
            .map(|verdict| verdict.output)
            .collect();
        assert!(runs[0].len() > 10 && runs.iter().all(|run| *run == runs[0]), "{runs:?}");
    }
}

/// What a run costs, one at a time: starting both interpreters in their sandboxes, one call, and ending them.
#[test]
fn one_run_takes_well_under_a_second() {
    for sandbox in sandboxes() {
        let mut milliseconds: Vec<f64> = (0..20)
            .map(|_| {
                let start = Instant::now();
                assert!(checks(&sandbox, "def echo(x):\n    return x\n", "assert echo(1) == 1").passed());
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        milliseconds.sort_by(f64::total_cmp);
        println!("{}: {:.1} ms a run, median of 20, one at a time", sandbox.backend(), milliseconds[10]);
        // Some twenty times what it takes on two busy cores.
        assert!(milliseconds[10] < 1000.0, "{milliseconds:?}");
    }
}
