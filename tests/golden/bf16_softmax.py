"""Writes bf16_softmax.json: log-probabilities of bf16 logits, as PyTorch has them in bf16.

    python bf16_softmax.py            # rewrites the fixture beside this file
    python bf16_softmax.py --check    # recomputes and compares, writes nothing

Needs torch. `logits` are bf16 numbers, 200 words a row, from nearly flat rows to rows of 40 nats. `rounded_sum` is log_softmax of
the bf16 tensor by PyTorch's CPU kernel, which rounds the sum and its logarithm to bf16 too; `full_sum` is its f32 log_softmax,
rounded at the end, as the CUDA kernel computes (it has f32 accumulators). Each has `log_probs` of the targets, `is_greedy`
(argmax of the bf16 log-probabilities, the first of equal ones) and the `sum` of the log-probabilities, a bf16 number.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

FIXTURE = Path(__file__).with_name("bf16_softmax.json")
N_WORDS = 200


def make():
    generator = torch.Generator().manual_seed(20250904)
    scales = torch.tensor([0.02, 0.1, 0.5, 0.5, 1.0, 2.0, 3.0, 3.0, 6.0, 12.0])
    logits = (torch.randn(len(scales), N_WORDS, generator=generator) * scales[:, None]).bfloat16()
    targets = torch.randint(N_WORDS, (len(scales),), generator=generator)
    best = logits.float().argmax(1)
    targets[::2] = best[::2]
    # Words whose logits bf16 tells apart and whose log-probabilities it does not: the later one is the likelier.
    logits[0, :] = -0.5
    logits[0, 20], logits[0, 40] = 0.5, 0.50390625
    targets[0] = 40
    logits[2, :] = logits[0, :]
    targets[2] = 20
    found = {"logits": logits.tolist(), "targets": targets.tolist(), "torch": torch.__version__.split("+")[0]}
    for name, log_probs in (("rounded_sum", logits.log_softmax(1)),
                            ("full_sum", logits.log_softmax(1, dtype=torch.float32).bfloat16())):
        taken = log_probs.gather(1, targets[:, None])[:, 0]
        found[name] = {"log_probs": taken.tolist(), "is_greedy": (log_probs.argmax(1) == targets).tolist(),
                       "sum": taken.sum().item()}
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the fixture instead of writing it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = make()
    if arguments.check:
        kept = json.loads(FIXTURE.read_text())
        differing = [name for name in found if name != "torch" and found[name] != kept.get(name)]
        sys.exit(f"differs from {FIXTURE.name}: {', '.join(differing)}" if differing else 0)
    FIXTURE.write_text(json.dumps(found) + "\n")
    print(f"{FIXTURE.name}: {FIXTURE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
