"""Writes training.safetensors, training.json and adapters/: what transformers, PyTorch and PEFT make of training a tiny Qwen2.

    python training.py                        # rewrites the fixtures beside this file
    python training.py --check                # recomputes and compares, writes nothing
    python training.py --adapter-logits DIR   # prints the logits of the base with the adapter of a folder, by PEFT

Needs torch, transformers, peft, numpy and safetensors. Everything is f32 on one thread, with `eager` attention. The model
has two layers, a tied head, four query heads on two key heads, and 37 words; weights have a spread of 0.3.

training.json holds `made_by`, the model's `config`, and:

| key | meaning |
|---|---|
| `sft` | `batches` of four sequences, the index of the batch of each step, and what came of it |
| `grpo`, `grpo_clipped` | the same with two groups of four completions and their `rewards`; a step has `n_iterations` updates |
| `X.settings` | learning rate, schedule and whatever else a run has to know |
| `X.updates` | per optimizer step: `learning_rate`, `loss` before it, `grad_norm` before clipping, for GRPO `n_clipped` and `kl` |
| `X.spread` | largest distance of the `loss` (relative), the `grad_norm` (relative) and the final `parameters` (absolute) to a |
| | second run of PyTorch that reads each sequence alone and without padding: the rounding of f32, measured |
| `adapters` | `input_ids` [B, T], `completion_start` of each row, and per adapter its folder's `name` and the `scale` |

A sequence is its `ids` with the `completion_start`. Tensors are `base/W` and `X/W` (before and after a run), and behind
`adapter/NAME/`: `logits` [B, T, V], `loss` [1], `merged/W` of the weights that PEFT's merging changes, `gradients/A` and
`adamw/A` (after five steps on the same batch), where A is the factor's name without PEFT's prefix and the name of the
adapter. adapters/NAME is a folder as PEFT saved it.
"""

import argparse
import json
import math
import platform
import sys
import tempfile
from pathlib import Path

import numpy
import peft
import safetensors
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import Qwen2Config, Qwen2ForCausalLM

TENSORS = Path(__file__).with_name("training.safetensors")
CURVES = Path(__file__).with_name("training.json")
ADAPTERS = Path(__file__).with_name("adapters")
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
PEFT_PREFIX = "base_model.model."
N_STEPS = 20
ADAMW = {"betas": (0.9, 0.999), "eps": 1e-8}
MAX_GRAD_NORM = 1.0
CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_act": "silu",
    "hidden_size": 16,
    "intermediate_size": 28,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "sliding_window": 128,
    "use_sliding_window": False,
    "tie_word_embeddings": True,
    "vocab_size": 37,
}
SFT = {"learning_rate": 1e-3, "schedule": "cosine", "n_warmup": 5, "n_steps": N_STEPS, "weight_decay": 0.01,
       "max_grad_norm": MAX_GRAD_NORM}  # fmt: skip
GRPO = {"learning_rate": 1e-3, "schedule": "constant", "n_warmup": 0, "n_steps": N_STEPS, "weight_decay": 0.0,
        "max_grad_norm": MAX_GRAD_NORM, "n_iterations": 1, "temperature": 1.0, "max_completion_tokens": 8, "low": 0.2,
        "high": 0.2, "beta": 0.0, "group_size": 4, "preset": "dr_grpo"}  # fmt: skip
CLIPPED = GRPO | {"learning_rate": 2e-3, "schedule": "linear", "n_iterations": 2, "temperature": 0.9, "high": 0.28,
                  "beta": 0.04, "preset": "trl_grpo"}  # fmt: skip
# A flip of a discrete choice by rounding would not be an error of either side.
MARGIN = 1e-4
ADAPTER_CASES = {
    "plain": {"r": 3, "lora_alpha": 5, "target_modules": ["q_proj", "v_proj", "down_proj"]},
    "all_linear": {"r": 2, "lora_alpha": 3, "target_modules": "all-linear", "use_rslora": True},
}
ADAPTER_STEPS = 5
ADAPTER_RATE, ADAPTER_DECAY = 1e-2, 0.01


def make_model(weights=None):
    """The base, with weights far enough from 0 that no part of it is idle, or with these."""
    model = Qwen2ForCausalLM(Qwen2Config(**CONFIG, attn_implementation="eager")).eval().float()
    generator = torch.Generator().manual_seed(20)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + 0.2 * noise if "norm" in name else 0.3 * noise)
            if weights is not None:
                parameter.copy_(weights[f"base/{name}"])
    return model


def parameters(model):
    """Copies under the names of the checkpoint: a tied head is not among them."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def random_sequence(prompt, n_completion, generator):
    """A prompt with random words after it."""
    completion = torch.randint(1, CONFIG["vocab_size"], (n_completion,), generator=generator).tolist()
    return {"ids": prompt + completion, "completion_start": len(prompt)}


def random_prompt(n_tokens, generator):
    """Random words."""
    return torch.randint(1, CONFIG["vocab_size"], (n_tokens,), generator=generator).tolist()


def padded(batch):
    """Ids, attention mask and labels of a batch, padded on the right."""
    width = max(len(sequence["ids"]) for sequence in batch)
    ids, attention, labels = [], [], []
    for sequence in batch:
        n, start = len(sequence["ids"]), sequence["completion_start"]
        ids.append(sequence["ids"] + [0] * (width - n))
        attention.append([1] * n + [0] * (width - n))
        labels.append([-100] * start + sequence["ids"][start:] + [-100] * (width - n))
    return torch.tensor(ids), torch.tensor(attention), torch.tensor(labels)


def learning_rate(settings, step):
    """Linear warm-up that starts at peak / n_warmup, then the schedule."""
    peak, n_warmup = settings["learning_rate"], settings["n_warmup"]
    if step < n_warmup:
        return peak * (step + 1) / n_warmup
    progress = (step - n_warmup) / (settings["n_steps"] - n_warmup)
    after = {"constant": 1.0, "linear": 1.0 - progress, "cosine": 0.5 * (1.0 + math.cos(math.pi * progress))}
    return peak * after[settings["schedule"]]


def make_optimizer(model, weight_decay):
    """AdamW that spares biases and norms."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in trained if parameter.ndim == 2]
    vectors = [parameter for parameter in trained if parameter.ndim == 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}]
    groups += [{"params": vectors, "weight_decay": 0.0}] if vectors else []
    return torch.optim.AdamW(groups, lr=0.0, **ADAMW)


def update(model, optimizer, rate, max_grad_norm):
    """Clips, steps, and gives the norm before clipping."""
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm).item()
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    return norm


def run_sft(batches, order, is_alone):
    """Updates and final parameters; `is_alone` reads each sequence by itself."""
    model = make_model()
    optimizer = make_optimizer(model, SFT["weight_decay"])
    updates = []
    for step, index in enumerate(order):
        optimizer.zero_grad()
        batch = batches[index]
        if is_alone:
            n_all, loss = sum(len(s["ids"]) - s["completion_start"] for s in batch), 0.0
            for sequence in batch:
                ids, _, labels = padded([sequence])
                part = model(ids, labels=labels).loss * ((labels != -100).sum() / n_all)
                part.backward()
                loss += part.item()
        else:
            ids, attention, labels = padded(batch)
            of_batch = model(ids, attention_mask=attention, labels=labels).loss
            of_batch.backward()
            loss = of_batch.item()
        rate = learning_rate(SFT, step)
        norm = update(model, optimizer, rate, SFT["max_grad_norm"])
        updates.append({"learning_rate": rate, "loss": loss, "grad_norm": norm})
    return updates, parameters(model)


def completion_log_probs(model, batch, temperature, is_alone):
    """Log-probabilities of the completion tokens of each sequence, nats."""
    if is_alone:
        return [completion_log_probs(model, [sequence], temperature, False)[0] for sequence in batch]
    ids, attention, _ = padded(batch)
    log_probs = (model(ids, attention_mask=attention).logits[:, :-1] / temperature).log_softmax(-1)
    taken = log_probs.gather(-1, ids[:, 1:, None])[..., 0]
    return [taken[row, s["completion_start"] - 1 : len(s["ids"]) - 1] for row, s in enumerate(batch)]


def advantages_of(settings, rewards):
    """Relative to the group: standardized with the n - 1 deviation plus 1e-4, or centred for Dr. GRPO."""
    groups = torch.tensor(rewards, dtype=torch.float32).view(-1, settings["group_size"])
    centred = groups - groups.mean(1, keepdim=True)
    if settings["preset"] == "dr_grpo":
        return centred.flatten()
    return (centred / (groups.std(1, keepdim=True) + 1e-4)).flatten()


def policy_loss(settings, log_probs, behavior, reference, advantages):
    """Loss, clipped tokens on either side, and the sum of the KL estimates of one optimizer step."""
    n_tokens = sum(len(row) for row in log_probs)
    is_constant = settings["preset"] == "dr_grpo"
    denominator = len(log_probs) * settings["max_completion_tokens"] if is_constant else n_tokens
    low, high = 1 - settings["low"], 1 + settings["high"]
    total, kl_sum, n_clipped = 0.0, 0.0, [0, 0]
    for row, old, base, advantage in zip(log_probs, behavior, reference, advantages, strict=True):
        ratio = (row - old).exp()
        assert min((ratio - low).abs().min(), (ratio - high).abs().min()) > MARGIN, "a ratio near a bound"
        terms = -torch.min(ratio * advantage, ratio.clamp(low, high) * advantage)
        if settings["beta"]:
            # TRL's default multiplies the estimate by the ratio.
            kl = ((base - row).exp() - (base - row) - 1) * ratio
            terms = terms + settings["beta"] * kl
            kl_sum += kl.sum().item()
        n_clipped[0] += int(((ratio < low) & (advantage < 0)).sum())
        n_clipped[1] += int(((ratio > high) & (advantage > 0)).sum())
        total = total + terms.sum()
    return total / denominator, n_clipped, kl_sum


def run_grpo(settings, batches, order, is_alone):
    """Updates and final parameters of policy gradients on fixed completions."""
    model, base = make_model(), make_model()
    optimizer = make_optimizer(model, settings["weight_decay"])
    updates = []
    for step, index in enumerate(order):
        batch = batches[index]
        advantages = advantages_of(settings, batch["rewards"])
        score = lambda policy: completion_log_probs(policy, batch["sequences"], settings["temperature"], is_alone)  # noqa: E731
        with torch.no_grad():
            reference = score(base)
            # One update per batch: the policy that is trained is the one that sampled.
            behavior = score(model) if settings["n_iterations"] > 1 else None
        rate = learning_rate(settings, step)
        for _ in range(settings["n_iterations"]):
            optimizer.zero_grad()
            log_probs = score(model)
            old = behavior or [row.detach() for row in log_probs]
            loss, n_clipped, kl = policy_loss(settings, log_probs, old, reference, advantages)
            loss.backward()
            norm = update(model, optimizer, rate, settings["max_grad_norm"])
            updates.append({"learning_rate": rate, "loss": loss.item(), "grad_norm": norm, "n_clipped": n_clipped,
                            "kl": kl})  # fmt: skip
    return updates, parameters(model)


def spread_of(one, other):
    """How far two runs of the same training are apart."""
    relative = lambda key: max(  # noqa: E731
        abs(a[key] - b[key]) / max(abs(b[key]), 1e-2) for a, b in zip(one[0], other[0], strict=True)
    )
    distance = max((value - other[1][name]).abs().max().item() for name, value in one[1].items())
    return {"loss": relative("loss"), "grad_norm": relative("grad_norm"), "parameters": distance}


def sft_batches(generator):
    """Five batches of four sequences of different lengths."""
    lengths = [[(3, 5), (1, 2), (5, 1), (2, 8)], [(4, 3), (2, 6), (1, 1), (6, 4)], [(2, 2), (3, 7), (4, 4), (1, 9)],
               [(5, 5), (1, 3), (2, 1), (7, 6)], [(1, 4), (4, 8), (3, 3), (2, 2)]]  # fmt: skip
    return [[random_sequence(random_prompt(p, generator), c, generator) for p, c in row] for row in lengths]


def grpo_batches(generator):
    """Five batches of two prompts with four completions each; a group of the last one has equal rewards."""
    rewards = [[1, 0, 0, 1, 0, 0.5, 1, 0], [0, 0, 0, 1, 1, 1, 0.25, 1], [0.5, 0, 1, 0, 0, 1, 0, 0],
               [1, 1, 0, 1, 0.75, 0, 0, 0.5], [1, 1, 1, 1, 0, 1, 1, 0]]  # fmt: skip
    batches = []
    for row in rewards:
        sequences = []
        for n_prompt in (3, 5):
            prompt = random_prompt(n_prompt, generator)
            lengths = torch.randint(1, 9, (4,), generator=generator).tolist()
            sequences += [random_sequence(prompt, n, generator) for n in lengths]
        batches.append({"sequences": sequences, "rewards": row})
    return batches


def curve(name, settings, batches, order, run):
    """The entry of one training and its final parameters."""
    found, again = run(False), run(True)
    print(f"{name}: loss {found[0][0]['loss']:.4f} to {found[0][-1]['loss']:.4f}, spread {spread_of(found, again)}")
    entry = {"settings": settings, "batches": batches, "order": order, "updates": found[0]}
    entry["spread"] = spread_of(found, again)
    return entry, {f"{name}/{key}": value for key, value in found[1].items()}


def curves():
    """All trainings."""
    generator = torch.Generator().manual_seed(21)
    supervised, groups = sft_batches(generator), grpo_batches(generator)
    order = [step % 5 for step in range(N_STEPS)]
    runs = {
        "sft": (SFT, supervised, lambda alone: run_sft(supervised, order, alone)),
        "grpo": (GRPO, groups, lambda alone: run_grpo(GRPO, groups, order, alone)),
        "grpo_clipped": (CLIPPED, groups, lambda alone: run_grpo(CLIPPED, groups, order, alone)),
    }
    entries, tensors = {}, {}
    for name, (settings, batches, run) in runs.items():
        entries[name], final = curve(name, settings, batches, order, run)
        tensors |= final
    norms = [step["grad_norm"] for entry in entries.values() for step in entry["updates"]]
    assert min(norms) < MAX_GRAD_NORM < max(norms), "clipping is not seen on both sides"
    clipped = [step["n_clipped"] for step in entries["grpo_clipped"]["updates"]]
    assert all(sum(side) > 0 for side in zip(*clipped, strict=True)), "no token is clipped on one side"
    return entries, tensors


def factors(model):
    """Trained parameters of an adapted model under the names of PEFT's files, without its prefix."""
    return {
        name.removeprefix(PEFT_PREFIX).replace(".default", ""): parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def adapter_batch():
    """Three rows with completions that start at different places."""
    generator = torch.Generator().manual_seed(22)
    ids = torch.randint(1, CONFIG["vocab_size"], (3, 9), generator=generator)
    return ids, [2, 5, 1]


def adapter_loss(model, ids, starts):
    """Mean over the completion tokens of the batch."""
    labels = ids.clone()
    for row, start in enumerate(starts):
        labels[row, :start] = -100
    return model(ids, labels=labels).loss


def run_adapter(name, settings, folder):
    """Saves an adapter with random factors; its tensors and its entry."""
    torch.manual_seed(23)
    model = get_peft_model(make_model(), LoraConfig(task_type="CAUSAL_LM", **settings)).eval()
    trained = factors(model)
    with torch.no_grad():
        for key, parameter in trained.items():
            if "lora_B" in key:
                parameter.copy_(0.3 * torch.randn(parameter.shape))
    model.save_pretrained(folder)
    for file in folder.iterdir():
        if file.name not in ADAPTER_FILES:
            file.unlink()
    ids, starts = adapter_batch()
    with torch.no_grad():
        out = {"logits": model(ids).logits}
    base, merged = parameters(make_model()), PeftModel.from_pretrained(make_model(), folder).merge_and_unload()
    out |= {f"merged/{key}": value for key, value in parameters(merged).items() if not value.equal(base[key])}
    optimizer = make_optimizer(model, ADAPTER_DECAY)
    for step in range(ADAPTER_STEPS):
        optimizer.zero_grad()
        loss = adapter_loss(model, ids, starts)
        loss.backward()
        if step == 0:
            out["loss"] = loss.detach().reshape(1)
            out |= {f"gradients/{key}": parameter.grad.clone() for key, parameter in trained.items()}
        update(model, optimizer, ADAPTER_RATE, MAX_GRAD_NORM)
    out |= {f"adamw/{key}": parameter.detach().clone() for key, parameter in trained.items()}
    scale = settings["lora_alpha"] / (math.sqrt(settings["r"]) if settings.get("use_rslora") else settings["r"])
    tensors = {f"adapter/{name}/{key}": value.contiguous() for key, value in out.items()}
    return {"name": name, "scale": scale}, tensors


def adapters(folder):
    """All adapters, saved to folders in `folder`."""
    entries, tensors = [], {}
    for name, settings in ADAPTER_CASES.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        entry, of_case = run_adapter(name, settings, folder / name)
        # PEFT writes a set of names in any order.
        path = folder / name / "adapter_config.json"
        config = json.loads(path.read_text())
        config["target_modules"] = sorted(config["target_modules"])
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        entries.append(entry)
        tensors |= of_case
    ids, starts = adapter_batch()
    settings = {"learning_rate": ADAPTER_RATE, "weight_decay": ADAPTER_DECAY, "max_grad_norm": MAX_GRAD_NORM,
                "n_steps": ADAPTER_STEPS}  # fmt: skip
    return {"input_ids": ids.tolist(), "completion_start": starts, "settings": settings, "cases": entries}, tensors


def print_adapter_logits(folder):
    """What PEFT makes of the adapter in a folder, in the order of the rows, as one list."""
    model = PeftModel.from_pretrained(make_model(load_file(TENSORS)), folder).eval()
    with torch.no_grad():
        print(json.dumps(model(adapter_batch()[0]).logits.flatten().tolist()))


def made_by():
    """Versions and constants."""
    return {
        "script": "tests/golden/training.py",
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "numpy": numpy.__version__,
        "safetensors": safetensors.__version__,
        "adamw": ADAMW,
    }


def tolerance_of(name):
    """Absolute tolerance of a check: another machine's kernels add in another order."""
    if name.startswith("base/"):
        return 1e-7
    is_trained = name.startswith(("sft/", "grpo")) or "/adamw/" in name
    return 2e-4 if is_trained else 2e-5


def check(tensors, entries):
    """What differs from the fixtures."""
    fixture = load_file(TENSORS)
    stored = json.loads(CURVES.read_text())
    differing = sorted(set(tensors) ^ set(fixture))
    for name in set(tensors) & set(fixture):
        if not torch.allclose(tensors[name], fixture[name], rtol=1e-5, atol=tolerance_of(name)):
            differing.append(name)
    for name, entry in json.loads(json.dumps(entries)).items():
        for key in ("settings", "batches", "order", "input_ids", "completion_start", "cases"):
            if entry.get(key) != stored[name].get(key):
                differing.append(f"{name}.{key}")
        for new, old in zip(entry.get("updates", []), stored[name].get("updates", []), strict=True):
            if any(abs(new[key] - old[key]) > 1e-4 * max(abs(old[key]), 1.0) for key in ("loss", "grad_norm")):
                differing.append(f"{name}.updates")
    return differing


def main():
    """Writes the fixtures, or compares with them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the fixtures instead of writing them")
    parser.add_argument("--adapter-logits", metavar="DIR", type=Path, help="print the logits with this adapter")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if arguments.adapter_logits:
        print_adapter_logits(arguments.adapter_logits)
        return
    entries, tensors = curves()
    tensors |= {f"base/{name}": value for name, value in parameters(make_model()).items()}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if arguments.check else ADAPTERS
        entries["adapters"], of_adapters = adapters(folder)
        if arguments.check:
            for name in ADAPTER_CASES:
                for file in ADAPTER_FILES:
                    if (folder / name / file).read_bytes() != (ADAPTERS / name / file).read_bytes():
                        sys.exit(f"differs from {name}/{file}")
    tensors |= of_adapters
    if arguments.check:
        differing = check(tensors, entries)
        sys.exit(f"differs from the fixtures: {', '.join(differing)}" if differing else 0)
    save_file(tensors, TENSORS)
    CURVES.write_text(json.dumps({"made_by": made_by(), "config": json.dumps(CONFIG), **entries}, indent=None) + "\n")
    size = TENSORS.stat().st_size + CURVES.stat().st_size
    print(f"{TENSORS.name}: {len(tensors)} tensors, {size} bytes with {CURVES.name}")


if __name__ == "__main__":
    main()
