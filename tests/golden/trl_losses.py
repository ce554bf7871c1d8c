"""Writes trl_losses.json: losses of language models and their gradients by TRL's own code, in f64.

    python trl_losses.py            # rewrites the fixture beside this file
    python trl_losses.py --check    # recomputes and compares, writes nothing

Needs torch, transformers and trl. Logits stand in for a model: the trainers' loss methods are called unbound, on a
stand-in for the trainer that holds their settings and turns logits into token log-probabilities. Where TRL has no
function to call, the formula is written out in PyTorch; `source` of every case says which. Inputs are f32, results are
computed from the same bits in f64. Everything is run as two micro-batches of three sequences, accumulated as the
trainer would. Arrays over tokens hold the tokens of all sequences one after the other, without padding.

| key | meaning |
|---|---|
| `logits`, `targets` | [N, V] and [N]: what the policy says at each token, and the token |
| `lengths`, `is_truncated`, `advantages` | of each sequence |
| `behavior`, `reference`, `sampler` | [N] log-probabilities under other policies, at the temperature |
| `policy_gradient` | cases: settings as Razor's configs spell them, `loss`, `gradient` [N, V], clip counts and KL sum |
| `sft`, `simpo` | cases at temperature 1; pairs are sequences 0 and 1, 2 and 3, 4 and 5 |
| `advantage` | rewards [P, G], null where undefined, and what they become |
| `linear_schedule` | learning rates of ten steps without warm-up, peak 1 |
"""

import argparse
import json
import math
import platform
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import torch
import transformers
import trl
from trl.experimental.cpo.cpo_trainer import CPOTrainer
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_trainer import RLOOTrainer
from trl.trainer.sft_trainer import SFTTrainer
from trl.trainer.utils import nanstd

FIXTURE = Path(__file__).with_name("trl_losses.json")
N_WORDS, TEMPERATURE, MAX_TOKENS, MICRO = 11, 0.7, 8, 3
LENGTHS = [4, 1, 6, 3, 5, 2]
TRUNCATED = [False, False, True, False, True, False]
ADVANTAGES = [1.5, -0.75, -1.25, 0.25, 0.875, -0.5]
# log(policy / behavior): below, in and above every clip range, under advantages of both signs
LOG_RATIOS = [
    [0.0, 0.5, -0.5, 0.1],
    [-0.3],
    [1.1, 0.05, -0.8, 0.3, -0.1, 0.6],
    [0.9, 0.4, -0.6],
    [-0.4, 0.7, 0.02, -0.15, 0.22],
    [-0.9, 0.5],
]
GRPO, FORMULA = "trl GRPOTrainer._compute_loss", "formula in PyTorch"


def padded(values):
    """[B, T] in f64 from a flat list over tokens."""
    out, rows = torch.zeros(len(LENGTHS), max(LENGTHS), dtype=torch.float64), iter(values)
    for i, length in enumerate(LENGTHS):
        for t in range(length):
            out[i, t] = next(rows)
    return out


MASK = torch.tensor([[t < n for t in range(max(LENGTHS))] for n in LENGTHS])


def flat(tensor):
    """The tokens of a padded tensor."""
    return tensor[MASK].tolist()


def token_log_probs(logits, targets, rows, temperature):
    """[B, T], 0 at padding."""
    log_probs = (logits / temperature).log_softmax(-1)
    return log_probs.gather(-1, targets[..., None])[..., 0].masked_fill(~MASK[rows], 0)


def make_inputs():
    """Everything random is f32."""
    generator = torch.Generator().manual_seed(20250904)
    n = sum(LENGTHS)
    logits = (2 * torch.randn(n, N_WORDS, generator=generator)).float()
    targets = torch.randint(N_WORDS, (n,), generator=generator)
    log_probs = (logits.double() / TEMPERATURE).log_softmax(1).gather(1, targets[:, None])[:, 0]
    ratios = torch.tensor([r for row in LOG_RATIOS for r in row], dtype=torch.float64)
    behavior = (log_probs - ratios).float()
    reference = (log_probs + 0.6 * torch.randn(n, generator=generator)).float()
    sampler = (behavior + 0.25 * torch.randn(n, generator=generator)).float()
    return {
        "logits": logits.tolist(),
        "targets": targets.tolist(),
        "lengths": LENGTHS,
        "is_truncated": TRUNCATED,
        "advantages": ADVANTAGES,
        "behavior": behavior.tolist(),
        "reference": reference.tolist(),
        "sampler": sampler.tolist(),
        "temperature": TEMPERATURE,
        "max_completion_tokens": MAX_TOKENS,
    }


class Batch:
    """Padded inputs with a leaf to differentiate by."""

    def __init__(self, inputs):
        n, t = len(LENGTHS), max(LENGTHS)
        logits = torch.zeros(n, t, N_WORDS, dtype=torch.float64)
        logits[MASK] = torch.tensor(inputs["logits"], dtype=torch.float64)
        self.logits = logits.requires_grad_()
        self.targets = padded(inputs["targets"]).long()
        self.behavior, self.reference, self.sampler = (padded(inputs[k]) for k in ("behavior", "reference", "sampler"))
        self.advantages = torch.tensor(ADVANTAGES, dtype=torch.float64)

    def result(self, loss):
        """Value and gradient as the fixture has them."""
        (gradient,) = torch.autograd.grad(loss, self.logits)
        return {"loss": loss.item(), "gradient": flat(gradient)}


def micro_batches():
    return [slice(start, start + MICRO) for start in range(0, len(LENGTHS), MICRO)]


def importance_ratio(batch, mask, mode, low, high):
    """As GRPOTrainer._generate_and_score_completions has it, which cannot be called alone."""
    difference = (batch.behavior - batch.sampler) * mask
    if mode.startswith("sequence"):
        difference = difference.sum(-1, keepdim=True)
    ratio = difference.exp()
    if mode.endswith("truncate"):
        return ratio.clamp(min=low, max=high)
    low, high = (-math.inf if low is None else low), (math.inf if high is None else high)
    return ratio.masked_fill((ratio < low) | (ratio > high), 0.0)


def stand_in(batch, rows, **settings):
    """What a trainer's loss method asks its trainer for."""
    def log_probs(*_, **__):
        taken = token_log_probs(batch.logits[rows], batch.targets[rows], rows, TEMPERATURE)
        return taken, torch.zeros_like(taken), None

    n_micro = len(micro_batches())
    args = {"use_bias_correction_kl": settings.pop("bias_correction", True), "delta": settings.pop("delta", None)}
    defaults = {
        "_get_per_token_logps_and_entropies": log_probs,
        "get_off_policy_mask": GRPOTrainer.get_off_policy_mask,
        "aux_loss_enabled": False,
        "top_entropy_quantile": 1.0,
        "off_policy_mask_threshold": None,
        "importance_sampling_level": "token",
        "beta": 0.0,
        "loss_type": "dapo",
        "epsilon_low": 0.2,
        "epsilon_high": 0.2,
        "use_vllm": False,
        "vllm_importance_sampling_correction": True,
        "max_completion_length": MAX_TOKENS,
        "current_gradient_accumulation_steps": n_micro,
        "_entropy_bonus_enabled": False,
        "_metrics": {"train": defaultdict(list)},
        "model": SimpleNamespace(training=True),
        "accelerator": SimpleNamespace(num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x),
    }
    args = SimpleNamespace(steps_per_generation=n_micro, **args)
    return SimpleNamespace(args=args, **(defaults | settings))


def by_grpo_trainer(inputs, mask_truncated=False, correction=None, on_policy=False, opsm=None, **settings):
    """Loss, gradient, tokens clipped and KL of GRPOTrainer."""
    batch, total, counts = Batch(inputs), 0.0, defaultdict(float)
    mask = MASK & ~(torch.tensor(TRUNCATED)[:, None] & mask_truncated)
    ratio = None if correction is None else importance_ratio(batch, mask, **correction)
    for rows in micro_batches():
        trainer = stand_in(
            batch, rows, use_vllm=correction is not None, off_policy_mask_threshold=opsm, **settings
        )
        feed = {
            "prompt_ids": torch.zeros(MICRO, 1, dtype=torch.long),
            "prompt_mask": torch.ones(MICRO, 1, dtype=torch.long),
            "completion_ids": batch.targets[rows],
            "completion_mask": mask[rows].double(),
            "advantages": batch.advantages[rows],
            "old_per_token_logps": None if on_policy else batch.behavior[rows],
            "ref_per_token_logps": batch.reference[rows],
            "num_items_in_batch": mask.sum().double(),
        }
        if opsm is not None:
            feed["sampling_per_token_logps"] = batch.sampler[rows]
        if ratio is not None:
            feed["importance_sampling_ratio"] = ratio[rows]
        total = total + GRPOTrainer._compute_loss(trainer, None, feed)
        metrics, n_tokens = trainer._metrics["train"], mask[rows].sum().item()
        for key, name in (("n_clipped_low", "clip_ratio/low_mean"), ("n_clipped_high", "clip_ratio/high_mean"),
                          ("n_clipped_high", "cispo_clip_ratio"), ("kl", "kl")):
            counts[key] += sum(metrics.get(name, [0.0])) * n_tokens
    if settings.get("importance_sampling_level") == "sequence":
        counts = {"kl": counts["kl"]}  # TRL counts sequences there
    else:
        counts = {key: round(value) if key != "kl" else value for key, value in counts.items()}
    return batch.result(total) | counts


def by_rloo_trainer(inputs):
    batch, total = Batch(inputs), 0.0
    for rows in micro_batches():
        feed = {
            "prompt_ids": torch.zeros(MICRO, 1, dtype=torch.long),
            "prompt_mask": torch.ones(MICRO, 1, dtype=torch.long),
            "completion_ids": batch.targets[rows],
            "completion_mask": MASK[rows].double(),
            "old_logps": (batch.behavior * MASK).sum(1)[rows],
            "advantages": batch.advantages[rows],
        }
        # The Trainer divides RLOO's loss by the accumulation steps.
        total = total + RLOOTrainer._compute_loss(stand_in(batch, rows), None, feed) / len(micro_batches())
    return batch.result(total)


def by_formula(inputs, surrogate, kl=None, by_ratio=False):
    """Token mean of −A log π or of nothing, plus 0.3 KL of one token."""
    batch = Batch(inputs)
    log_probs = token_log_probs(batch.logits, batch.targets, slice(None), TEMPERATURE)
    term = torch.zeros_like(log_probs)
    if surrogate:
        term = -batch.advantages[:, None] * log_probs
    if kl is not None:
        k1 = log_probs - batch.reference
        k2, k3 = k1**2 / 2, torch.exp(-k1) - 1 + k1
        estimate = {"k1": k1, "k2": k2, "k3_with_k2_gradient": k3.detach() + k2 - k2.detach()}[kl]
        term = term + 0.3 * estimate * (torch.exp(log_probs - batch.behavior) if by_ratio else 1.0)
    return batch.result((term * MASK).sum() / MASK.sum())


def clipped(low=0.2, high=0.2, two_sided=None):
    return {"clipped": {"low": low, "high": high, "two_sided": two_sided}}


def case(name, source, result, surrogate, reduction, importance="token", kl=None, **rest):
    """Settings in Razor's words beside what TRL makes of them."""
    loss = {"surrogate": surrogate, "importance": importance, "kl": kl}
    defaults = {"mask_truncated": False, "sampler_correction": None, "off_policy_threshold": None, "on_policy": False}
    return {"name": name, "source": source, "policy_loss": loss, "reduction": reduction} | defaults | rest | result


def policy_gradient(inputs):
    cases = []
    reductions = {
        "grpo": "sequence_mean",
        "bnpo": {"local_token_mean": {"local_batch": MICRO}},
        "dapo": "token_mean",
        "dr_grpo": "constant_length",
    }

    def add(name, trl, surrogate=None, reduction=None, **ours):
        surrogate = surrogate or clipped()
        reduction = reduction or reductions[trl["loss_type"]]
        cases.append(case(name, GRPO, by_grpo_trainer(inputs, **trl), surrogate, reduction, **ours))

    for loss_type in reductions:
        add(loss_type, {"loss_type": loss_type})
        masked = {"loss_type": loss_type, "mask_truncated": True}
        add(f"{loss_type}, truncated masked", masked, mask_truncated=True)
    add("dapo, two ranges", {"loss_type": "dapo", "epsilon_high": 0.28}, clipped(high=0.28))
    add("dapo, on-policy", {"loss_type": "dapo", "on_policy": True}, on_policy=True)
    add("grpo, two-sided", {"loss_type": "grpo", "delta": 1.6}, clipped(two_sided=1.6))
    add("cispo", {"loss_type": "cispo", "epsilon_high": 1.4}, {"cispo": {"max": 1.4}}, "token_mean")
    sequence = {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon_low": 0.05, "epsilon_high": 0.06}
    gspo = {"surrogate": clipped(0.05, 0.06), "importance": "sequence_mean"}
    add("gspo", sequence, **gspo)
    for by_ratio in (False, True):
        kl = {"coefficient": 0.3, "estimator": "k3", "multiply_by_ratio": by_ratio}
        trl_kl = {"beta": 0.3, "bias_correction": by_ratio}
        times = " times ratio" if by_ratio else ""
        add(f"grpo, k3{times}", {"loss_type": "grpo"} | trl_kl, kl=kl)
        add(f"gspo, k3{times}", sequence | trl_kl, kl=kl, **gspo)
        add(f"cispo, k3{times}", {"loss_type": "cispo", "epsilon_high": 1.4} | trl_kl, {"cispo": {"max": 1.4}},
            "token_mean", kl=kl)
    for level in ("token", "sequence"):
        for bound in ("truncate", "mask"):
            correction = {"mode": f"{level}_{bound}", "low": 0.8, "high": 1.2}
            ours = {"level": level, "bound": bound, "min": 0.8, "max": 1.2}
            trl_kl = {"beta": 0.3, "bias_correction": False}
            kl = {"coefficient": 0.3, "estimator": "k3", "multiply_by_ratio": False}
            add(f"dapo, {level} {bound}", {"loss_type": "dapo", "correction": correction} | trl_kl,
                sampler_correction=ours, kl=kl)
    add("dapo, off-policy sequences dropped", {"loss_type": "dapo", "opsm": 0.05}, off_policy_threshold=0.05)
    source = "trl RLOOTrainer._compute_loss"
    cases.append(case("rloo", source, by_rloo_trainer(inputs), clipped(), "sequence_mean", "sequence_sum"))
    cases.append(case("reinforce", FORMULA, by_formula(inputs, True), "reinforce", "token_mean"))
    for estimator in ("k1", "k2", "k3_with_k2_gradient"):
        for by_ratio in (False, True):
            kl = {"coefficient": 0.3, "estimator": estimator, "multiply_by_ratio": by_ratio}
            result = by_formula(inputs, True, estimator, by_ratio)
            name = f"reinforce, {estimator}{' times ratio' if by_ratio else ''}"
            cases.append(case(name, FORMULA, result, "reinforce", "token_mean", kl=kl))
    return cases


def sft(inputs):
    """SFTTrainer.compute_loss with num_items_in_batch, on a model that answers as its fused head does."""
    cases = []
    for loss in ("nll", "dft"):
        batch, total = Batch(inputs), 0.0
        for rows in micro_batches():
            def model(rows=rows, **_):
                taken = token_log_probs(batch.logits[rows], batch.targets[rows], rows, 1.0)
                zeros = torch.zeros_like(taken)
                return SimpleNamespace(log_probs=taken, label_mask=MASK[rows], entropy=zeros, is_top1=zeros)

            trainer = SimpleNamespace(
                model=SimpleNamespace(training=True),
                aux_loss_enabled=False,
                accelerator=SimpleNamespace(parallelism_config=None, num_processes=1, gather_for_metrics=lambda x: x),
                compute_loss_func=None,
                label_smoother=None,
                args=SimpleNamespace(loss_type=loss, average_tokens_across_devices=True),
                get_tp_size=lambda: 1,
                _metrics={"train": defaultdict(list)},
                _total_train_tokens=0,
                _tp_size=1,
            )
            feed = {"labels": batch.targets[rows], "attention_mask": MASK[rows].long()}
            total = total + SFTTrainer.compute_loss(trainer, model, feed, num_items_in_batch=MASK.sum())
        cases.append({"source": "trl SFTTrainer.compute_loss", "sft_loss": loss} | batch.result(total))
    return cases


def simpo(inputs):
    """CPOTrainer.get_batch_logps and CPOTrainer.cpo_loss, mean over pairs as its caller takes it."""
    cases = []
    for beta, gamma, normalized in ((1.0, 1.0, False), (2.0, 1.0, True)):
        batch = Batch(inputs)
        # TRL shifts: a label in front, a row of logits behind, both unused.
        labels = torch.cat([torch.full((len(LENGTHS), 1), -100), batch.targets.masked_fill(~MASK, -100)], 1)
        logits = torch.cat([batch.logits, torch.zeros_like(batch.logits[:, :1])], 1)
        sums = CPOTrainer.get_batch_logps(logits, labels, average_log_prob=normalized)
        trainer = SimpleNamespace(
            alpha=0.0, loss_type="simpo", simpo_gamma=gamma, beta=beta, label_smoothing=0.0,
            accelerator=SimpleNamespace(device="cpu"),
        )
        losses, _, _ = CPOTrainer.cpo_loss(trainer, sums[0::2], sums[1::2])
        settings = {"beta": beta, "gamma": gamma, "is_length_normalized": normalized}
        cases.append({"source": "trl CPOTrainer.cpo_loss", "simpo_loss": settings} | batch.result(losses.mean()))
    return cases


def advantages():
    """As the trainers' _generate_and_score_completions have it, which cannot be called alone, with TRL's nanstd."""
    undefined = math.nan
    mixed, partly, equal = [1.0, 0.0, 0.5, 0.25], [1.0, undefined, 0.0, 0.0], [0.75] * 4
    rewards = torch.tensor([mixed, partly, equal, [undefined, 2.0, undefined, undefined]], dtype=torch.float64)
    centered = rewards - rewards.nanmean(1, keepdim=True)
    known = (~rewards.isnan()).sum(1, keepdim=True)
    found = {
        "standardized": centered / (nanstd(rewards, dim=1, keepdim=True) + 1e-4),
        "centered": centered,
        "batch_standardized": centered / (nanstd(rewards) + 1e-4),
        "leave_one_out": rewards - (rewards.nansum(1, keepdim=True) - rewards) / (known - 1),
    }
    plain = [[None if math.isnan(x) else x for x in row] for row in rewards.tolist()]
    return {"source": FORMULA, "rewards": plain} | {k: v.nan_to_num(nan=0.0).tolist() for k, v in found.items()}


def linear_schedule():
    """Of transformers, without warm-up."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, 0, 10)
    rates = []
    for _ in range(10):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return rates


def make():
    inputs = make_inputs()
    versions = {
        "script": "tests/golden/trl_losses.py",
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
        "trl": trl.__version__,
    }
    return {
        "made_by": versions,
        "inputs": inputs,
        "policy_gradient": policy_gradient(inputs),
        "sft": sft(inputs),
        "simpo": simpo(inputs),
        "advantage": advantages(),
        "linear_schedule": linear_schedule(),
    }


def differing(found, stored, path=""):
    """Where two fixtures differ by more than f64 rounding; versions do not count."""
    if isinstance(found, dict):
        keys = sorted((found.keys() | stored.keys()) - {"made_by"})
        return [d for k in keys for d in differing(found.get(k), stored.get(k), f"{path}/{k}")]
    if isinstance(found, list) and isinstance(stored, list) and len(found) == len(stored):
        return [d for i, (a, b) in enumerate(zip(found, stored)) for d in differing(a, b, f"{path}/{i}")]
    if isinstance(found, float) and isinstance(stored, (int, float)):
        return [] if math.isclose(found, stored, rel_tol=1e-10, abs_tol=1e-12) else [path]
    return [] if found == stored else [path]


def main():
    """Writes the fixture, or compares with it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the fixture instead of writing it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    fixture = make()
    if arguments.check:
        places = differing(fixture, json.loads(FIXTURE.read_text()))
        sys.exit(f"differs from {FIXTURE.name}: {', '.join(places[:9])}" if places else 0)
    FIXTURE.write_text(json.dumps(fixture, separators=(",", ":")) + "\n")
    print(f"{FIXTURE.name}: {len(fixture['policy_gradient'])} cases, {FIXTURE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
