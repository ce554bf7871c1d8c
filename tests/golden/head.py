"""Writes head.safetensors: token scores, divergences and gradients at the end of a language model, by PyTorch in f64.

    python head.py            # rewrites the fixture beside this file
    python head.py --check    # recomputes and compares, writes nothing

Needs torch, numpy and safetensors. Inputs are f32; results are computed from the same bits in f64. N = 9 rows,
V = 61 words, logits from -40 to 40; D = 12, but 8 in the model called `narrow`. Logs are natural.

| tensor | shape | meaning |
|---|---|---|
| `policy.hidden`, `policy.head` | [N, D], [V, D] | the policy |
| `close.*`, `narrow.*` | as above | references: the policy plus noise of 1e-4; another, narrower model |
| `targets` | [N] i64 | tokens to score; the first three are the likeliest words |
| `weights`, `upstream` | [N] | row weights of a cross-entropy; derivatives of a loss by the log-probabilities |
| `scores.T.*` | [N] | at temperature T: `log_probs`, `entropies`, `log_sum_exps`, `is_greedy` (i64) |
| `divergence.X.*` | [N] | of the policy from reference X: both KLs, `total_variation`, `l2`, both entropies |
| `cross_entropy.loss`, `.hidden`, `.head` | [1], [N, D], [V, D] | −Σ w log π(target) and its gradients |
| `log_prob.T.hidden`, `.head` | [N, D], [V, D] | gradients of Σ upstream · log π(target) at temperature T |
"""

import argparse
import json
import platform
import sys
from pathlib import Path

import numpy
import safetensors
import torch
from safetensors import safe_open
from safetensors.torch import save_file

FIXTURE = Path(__file__).with_name("head.safetensors")
N_ROWS, N_WORDS, WIDTH, NARROW = 9, 61, 12, 8
TEMPERATURES = {"1": 1.0, "0.7": 0.7}


def make_inputs():
    """Inputs are f32, so that Razor and PyTorch start from the same bits."""
    generator = torch.Generator().manual_seed(20250904)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    hidden, head = normal(N_ROWS, WIDTH), normal(N_WORDS, WIDTH)
    hidden[0] *= 4.0  # a row that is nearly certain
    hidden[5] *= 0.01  # a row that knows nothing
    targets = torch.randint(N_WORDS, (N_ROWS,), generator=generator)
    targets[:3] = (hidden @ head.T).argmax(1)[:3]
    weights = torch.rand(N_ROWS, generator=generator)
    weights[4] = 0.0  # a row outside the completion
    return {
        "policy.hidden": hidden,
        "policy.head": head,
        "close.hidden": hidden + 1e-4 * normal(N_ROWS, WIDTH),
        "close.head": head + 1e-4 * normal(N_WORDS, WIDTH),
        "narrow.hidden": normal(N_ROWS, NARROW),
        "narrow.head": normal(N_WORDS, NARROW),
        "targets": targets,
        "weights": weights / weights.sum(),
        "upstream": normal(N_ROWS),
    }


def log_probs_of(inputs, name):
    """[N, V] in f64."""
    return (inputs[f"{name}.hidden"].double() @ inputs[f"{name}.head"].double().T).log_softmax(1)


def scores(inputs):
    """Token scores at both temperatures."""
    out = {}
    for name, temperature in TEMPERATURES.items():
        logits = inputs["policy.hidden"].double() @ inputs["policy.head"].double().T / temperature
        log_probs = logits.log_softmax(1)
        taken = log_probs.gather(1, inputs["targets"][:, None])[:, 0]
        out[f"scores.{name}.log_probs"] = taken
        out[f"scores.{name}.entropies"] = -(log_probs.exp() * log_probs).sum(1)
        out[f"scores.{name}.log_sum_exps"] = logits.logsumexp(1)
        out[f"scores.{name}.is_greedy"] = (logits.argmax(1) == inputs["targets"]).long()
    return out


def divergences(inputs):
    """Of the policy from both references; `log_q` is the policy."""
    out = {}
    log_q = log_probs_of(inputs, "policy")
    for name in ("close", "narrow"):
        log_p = log_probs_of(inputs, name)
        p, q = log_p.exp(), log_q.exp()
        out |= {
            f"divergence.{name}.kl_reference_to_policy": (p * (log_p - log_q)).sum(1),
            f"divergence.{name}.kl_policy_to_reference": (q * (log_q - log_p)).sum(1),
            f"divergence.{name}.total_variation": (p - q).abs().sum(1) / 2,
            f"divergence.{name}.l2": (p - q).norm(dim=1),
            f"divergence.{name}.reference_entropy": -(p * log_p).sum(1),
            f"divergence.{name}.policy_entropy": -(q * log_q).sum(1),
        }
    return out


def taken_with_leaves(inputs, temperature):
    """Target log-probabilities [N] and the leaves to differentiate by."""
    hidden = inputs["policy.hidden"].double().requires_grad_()
    head = inputs["policy.head"].double().requires_grad_()
    log_probs = (hidden @ head.T / temperature).log_softmax(1)
    return log_probs.gather(1, inputs["targets"][:, None])[:, 0], (hidden, head)


def gradients(inputs):
    """Of the weighted cross-entropy and of the weighted log-probabilities."""
    taken, leaves = taken_with_leaves(inputs, 1.0)
    loss = -(inputs["weights"].double() * taken).sum()
    hidden, head = torch.autograd.grad(loss, leaves)
    out = {"cross_entropy.loss": loss.detach().reshape(1), "cross_entropy.hidden": hidden, "cross_entropy.head": head}
    for name, temperature in TEMPERATURES.items():
        taken, leaves = taken_with_leaves(inputs, temperature)
        hidden, head = torch.autograd.grad((inputs["upstream"].double() * taken).sum(), leaves)
        out |= {f"log_prob.{name}.hidden": hidden, f"log_prob.{name}.head": head}
    return out


def metadata():
    """Versions as one JSON value: safetensors writes several in an order that changes."""
    versions = {
        "script": "tests/golden/head.py",
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "numpy": numpy.__version__,
        "safetensors": safetensors.__version__,
    }
    return {"made_by": json.dumps(versions)}


def check(tensors):
    """Names of tensors that differ from the fixture."""
    differing = []
    with safe_open(FIXTURE, "pt") as fixture:
        if missing := set(tensors) ^ set(fixture.keys()):
            return sorted(missing)
        for name, value in tensors.items():
            tolerance = 1e-11 if value.dtype == torch.float64 else 1e-6
            if not torch.allclose(value, fixture.get_tensor(name), rtol=tolerance, atol=tolerance * 1e-2):
                differing.append(name)
    return differing


def main():
    """Writes the fixture, or compares with it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the fixture instead of writing it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    inputs = make_inputs()
    tensors = inputs | scores(inputs) | divergences(inputs) | gradients(inputs)
    if arguments.check:
        differing = check(tensors)
        sys.exit(f"differs from {FIXTURE.name}: {', '.join(differing)}" if differing else 0)
    save_file(tensors, FIXTURE, metadata=metadata())
    FIXTURE.chmod(0o644)
    print(f"{FIXTURE.name}: {len(tensors)} tensors, {FIXTURE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
