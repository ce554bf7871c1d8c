"""Writes parity_losses.safetensors: the losses, divergences and optimizer steps of ParityMNIST, by PyTorch.

    python parity_losses.py            # rewrites the fixture beside this file
    python parity_losses.py --check    # recomputes and compares, writes nothing

Needs torch, numpy and safetensors. README.md beside this file documents every tensor.
"""

import argparse
import json
import platform
import sys
from pathlib import Path

import numpy
import safetensors
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file

FIXTURE = Path(__file__).with_name("parity_losses.safetensors")
N_ROWS, N_LABELS = 5, 10
KL_COEFFICIENT = 0.1  # GRPO+KL and SFT+KL
SIMPO_MARGIN = 1.0
STD_EPSILON = 1e-4  # TRL divides by torch.std (unbiased) plus this
LEARNING_RATES = [1e-3, 8e-4, 6e-4, 4e-4, 2e-4]


def make_inputs():
    """Inputs are f32, so that Razor and PyTorch start from the same bits."""
    generator = torch.Generator().manual_seed(20250904)
    logits = 2.0 * torch.randn(N_ROWS, N_LABELS, generator=generator)
    reference_logits = logits + torch.randn(N_ROWS, N_LABELS, generator=generator)
    # Row 0 spans 60 nats: clamped probabilities or a softmax without the maximum taken off would fail here.
    logits[0] = torch.tensor([30.0, -30.0, 29.0, -12.5, 0.0, 3.0, -30.0, 28.5, 1.0, -7.0])
    reference_logits[0] = torch.tensor([-4.0, 2.0, 30.0, 1.0, 29.5, -30.0, 0.0, 2.0, -1.0, 0.5])
    parities = torch.tensor([0, 1, 0, 1, 0])  # parity of the digit in each row: the reward is a label's match with it
    group_labels = torch.tensor(
        [
            [0, 2, 7, 0, 4, 1, 0, 7],  # mixed, with labels 60 nats below the top
            [1, 3, 5, 7, 9, 1, 1, 3],  # all right: centred advantages are 0, those of 1-0 REINFORCE are not
            [1, 3, 1, 5, 7, 9, 9, 1],  # all wrong
            [5, 2, 4, 6, 8, 0, 2, 2],  # one right
            [6, 6, 6, 6, 6, 6, 6, 3],  # one wrong
        ]
    )
    return {
        "logits": logits,
        "reference_logits": reference_logits,
        "parities": parities,
        "group_labels": group_labels,
        "rewards": (group_labels % 2 == parities[:, None]).float(),
        "labels": torch.tensor([6, 3, 0, 9, 4]),
        "rejected_labels": torch.tensor([7, 0, 5, 8, 1]),
    }


def oracle_targets(reference_logits, parities):
    """The soft oracle q*: the reference conditioned on the labels of the right parity, [B, V]."""
    right = torch.arange(N_LABELS)[None, :] % 2 == parities[:, None]
    return reference_logits.masked_fill(~right, -torch.inf).softmax(1)


def advantage_variants(rewards):
    """Advantages [B, G] of each on-policy method."""
    centred = rewards - rewards.mean(1, keepdim=True)
    return {
        "grpo": centred / (rewards.std(1, keepdim=True) + STD_EPSILON),
        "dr_grpo": centred,
        "reinforce": rewards,
    }


def kl_divergence(log_p, log_q):
    """KL(P||Q) of each row, [B]."""
    return (log_p.exp() * (log_p - log_q)).sum(1)


def policy_gradient(log_probs, group_labels, advantages):
    """-(1/(B*G)) sum A log pi(y)."""
    return -(advantages * log_probs.gather(1, group_labels)).mean()


def simpo(log_probs, chosen, rejected):
    """-log sigmoid(log pi(y_w) - log pi(y_l) - 1), mean over rows."""
    margin = log_probs.gather(1, chosen[:, None]) - log_probs.gather(1, rejected[:, None])
    return -F.logsigmoid(margin - SIMPO_MARGIN).mean()


def losses(inputs):
    """Value [1] and gradient with respect to the logits [B, V] of each loss."""
    reference = inputs["reference_logits"].double().log_softmax(1)
    oracle = oracle_targets(inputs["reference_logits"].double(), inputs["parities"])
    advantages = advantage_variants(inputs["rewards"].double())

    def sft(policy):
        return F.nll_loss(policy, inputs["labels"])

    def kl(policy):
        return kl_divergence(policy, reference).mean()

    def on_policy(name):
        return lambda policy: policy_gradient(policy, inputs["group_labels"], advantages[name])

    functions = {
        "cross_entropy": sft,
        "soft_cross_entropy": lambda policy: -(oracle * policy).sum(1).mean(),
        "grpo": on_policy("grpo"),
        "dr_grpo": on_policy("dr_grpo"),
        "reinforce": on_policy("reinforce"),
        "kl_policy_to_reference": kl,
        "kl_reference_to_policy": lambda policy: kl_divergence(reference, policy).mean(),
        "grpo_kl": lambda policy: on_policy("grpo")(policy) + KL_COEFFICIENT * kl(policy),
        "sft_kl": lambda policy: sft(policy) + KL_COEFFICIENT * kl(policy),
        "simpo": lambda policy: simpo(policy, inputs["labels"], inputs["rejected_labels"]),
    }
    tensors = {"oracle_targets": oracle}
    tensors |= {f"advantages.{name}": value for name, value in advantages.items()}
    for name, function in functions.items():
        logits = inputs["logits"].double().requires_grad_()
        value = function(logits.log_softmax(1))
        value.backward()
        tensors |= {f"loss.{name}.value": value.detach()[None], f"loss.{name}.grad": logits.grad}
    return tensors


def divergences(inputs):
    """Log-probabilities [B, V] and the distances of each row [B]."""
    policy = inputs["logits"].double().log_softmax(1)
    reference = inputs["reference_logits"].double().log_softmax(1)
    gap = policy.exp() - reference.exp()
    return {
        "log_probs": policy,
        "divergence.kl_reference_to_policy": kl_divergence(reference, policy),
        "divergence.kl_policy_to_reference": kl_divergence(policy, reference),
        "divergence.total_variation": 0.5 * gap.abs().sum(1),
        "divergence.l2": gap.norm(dim=1),
    }


def mlp():
    """A 13-8-6-10 ReLU network: inputs, weights in PyTorch layout [out, in], logits, gradients of cross-entropy."""
    torch.manual_seed(4)  # with this one every hidden unit is on in some row and off in another
    sizes = [("fc1", 13, 8), ("fc2", 8, 6), ("fc3", 6, N_LABELS)]
    layers = torch.nn.ModuleDict({name: torch.nn.Linear(n_in, n_out) for name, n_in, n_out in sizes})
    # Three times the usual start: gradients far above rounding.
    weights = {name: 3.0 * value.detach() for name, value in layers.named_parameters()}
    batch = torch.randn(N_ROWS, 13)
    labels = torch.tensor([2, 9, 0, 5, 5])

    leaves = {name: value.double().requires_grad_() for name, value in weights.items()}
    hidden = batch.double()
    for name in ("fc1", "fc2"):
        hidden = F.linear(hidden, leaves[f"{name}.weight"], leaves[f"{name}.bias"]).relu()
    logits = F.linear(hidden, leaves["fc3.weight"], leaves["fc3.bias"])
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    tensors = {"mlp.inputs": batch, "mlp.labels": labels}
    tensors |= {"mlp.logits": logits.detach(), "mlp.loss": loss.detach()[None]}
    tensors |= {f"mlp.{name}": value for name, value in weights.items()}
    return tensors | {f"mlp.grad.{name}": leaf.grad for name, leaf in leaves.items()}


def adamw():
    """The parameter after each of five AdamW steps on fixed gradients, [S, 7, 5]."""
    generator = torch.Generator().manual_seed(11)
    start = torch.randn(7, 5, generator=generator)
    gradients = torch.randn(len(LEARNING_RATES), 7, 5, generator=generator)
    # Epsilon decides where gradients are tiny: rows 1 and 2 are near 1e-5 and 1e-8, row 3 is exactly zero.
    gradients *= torch.tensor([1.0, 1e-5, 1e-8, 0.0, 10.0, 1e-3, 1.0])[:, None]
    cases = {
        f"wd{decay:g}_eps{epsilon:.0e}": {"weight_decay": decay, "eps": epsilon}
        for decay in (0.0, 0.01)
        for epsilon in (1e-8, 1e-4)
    }

    def steps(options):
        parameter = start.double().requires_grad_()
        optimizer = torch.optim.AdamW([parameter], betas=(0.9, 0.999), foreach=False, **options)
        trajectory = []
        for rate, gradient in zip(LEARNING_RATES, gradients):
            optimizer.param_groups[0]["lr"] = rate
            parameter.grad = gradient.double()
            optimizer.step()
            trajectory.append(parameter.detach().clone())
        return torch.stack(trajectory)

    rates = torch.tensor(LEARNING_RATES, dtype=torch.float64)
    inputs = {"adamw.start": start, "adamw.gradients": gradients, "adamw.learning_rates": rates}
    return inputs | {f"adamw.{name}.parameters": steps(options) for name, options in cases.items()}


def metadata():
    """Versions and constants as one JSON value: safetensors writes several in an order that changes."""
    constants = {
        "kl_coefficient": KL_COEFFICIENT,
        "simpo_margin": SIMPO_MARGIN,
        "std_epsilon": STD_EPSILON,
    }
    versions = {
        "script": "tests/golden/parity_losses.py",
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "numpy": numpy.__version__,
        "safetensors": safetensors.__version__,
    }
    return {"made_by": json.dumps(versions | constants)}


def check(tensors):
    """Compares with the fixture: loose enough for another machine's kernels, tight enough for any real change."""
    differing = []
    with safe_open(FIXTURE, "pt") as fixture:
        if missing := set(tensors) ^ set(fixture.keys()):
            return sorted(missing)
        for name, value in tensors.items():
            tolerance = 1e-12 if value.dtype == torch.float64 else 1e-6
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
    tensors = inputs | losses(inputs) | divergences(inputs) | mlp() | adamw()
    if arguments.check:
        differing = check(tensors)
        sys.exit(f"differs from {FIXTURE.name}: {', '.join(differing)}" if differing else 0)
    save_file(tensors, FIXTURE, metadata=metadata())
    print(f"{FIXTURE.name}: {len(tensors)} tensors, {FIXTURE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
