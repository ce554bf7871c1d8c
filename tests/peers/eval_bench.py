"""Documents per second of `razor eval` beside lm-evaluation-harness, same model, same cores, same documents.

    python tests/peers/eval_bench.py --razor target/release/razor --model DIR --data DIR --rounds 3

Runs HellaSwag, and MMLU with five examples of every subject (--mmlu-limit documents each), in turn with both. Reading the
model and the data is in neither figure: a run over one document of each task is taken off. Needs what tests/golden/harness.py
needs. Leave the machine alone meanwhile; prints each round and the ratio of the medians.
"""

import argparse
import json
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import transformers
from lm_eval import simple_evaluate

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))
import harness  # noqa: E402


def razor_seconds(args, benchmark, extra, limit):
    with tempfile.TemporaryDirectory() as out:
        command = [args.razor, "eval", "--model", args.model, "--benchmarks", benchmark, "--data", args.data, "--quiet",
                   "--json", "--limit", str(limit), "--out", out, *extra]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    n = sum(count["effective"] for count in found["n-samples"].values())
    return float(found["total_evaluation_time_seconds"]), n


def harness_seconds(lm, specs, shots, limit):
    made = specs()
    start = time.perf_counter()
    found = simple_evaluate(model=lm, tasks=made, num_fewshot=shots, limit=limit, bootstrap_iters=0)
    return time.perf_counter() - start, sum(count["effective"] for count in found["n-samples"].values())


def rate(seconds, limit):
    """Documents a second, less what a run over one document of each task takes."""
    (whole, n), (start, n_start) = seconds(limit), seconds(1)
    return (n - n_start) / max(whole - start, 1e-9)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--razor", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--limit", type=int, default=2000, help="documents of HellaSwag")
    parser.add_argument("--mmlu-limit", type=int, default=20, help="documents of each subject")
    parser.add_argument("--batch", type=int, default=8, help="rows of a batch of the harness")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    logging.disable(logging.WARNING)
    torch.set_num_threads(args.threads)
    harness.serve(Path(args.data))
    lm = harness.model(Path(args.model))
    lm.batch_size_per_gpu = args.batch
    cases = [
        ("hellaswag", [], lambda: harness.tasks("hellaswag"), 0, args.limit),
        ("mmlu", ["--num-fewshot", "5"], lambda: [harness.task("mmlu")], 5, args.mmlu_limit),
    ]
    for name, extra, specs, shots, limit in cases:
        ours, theirs = [], []
        for _ in range(args.rounds):
            ours.append(rate(lambda n: razor_seconds(args, name, extra, n), limit))
            theirs.append(rate(lambda n: harness_seconds(lm, specs, shots, n), limit))
            print(f"{name}: razor {ours[-1]:.1f}, lm-evaluation-harness {theirs[-1]:.1f} documents a second", flush=True)
        ratio = statistics.median(ours) / statistics.median(theirs)
        print(f"{name}: {ratio:.2f} times as many documents a second")


if __name__ == "__main__":
    main()
