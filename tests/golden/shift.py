"""Writes shift.json and shift.safetensors: how far a tuned Qwen2 has moved from its base, by transformers and NumPy.

    python shift.py            # rewrites both fixtures beside this file
    python shift.py --check    # recomputes and compares, writes nothing

Needs torch, transformers, numpy and safetensors. Two tiny models with f32 weights; everything is computed from the same
bits in f64. Weights and changes are multiples of 2^-12, so the changes are exact in f32. Logs are natural.

shift.safetensors, f32 and i64:

| tensor | shape | meaning |
|---|---|---|
| `base/NAME`, `tuned/NAME` | as in a checkpoint | weights |
| `prompt.I`, `completion.I` | [n] i64 | fixed tokens; prompt I // 2 of the intervals' clusters |
| `probe.I` | [n] i64 | prompts of the hidden states |

shift.json, all f64:

- `completions`: per token `reference_log_probs`, `policy_log_probs`, both exact KLs, `total_variation`, `l2`, entropies
- `quantities`: means over all completions by the names that `razor measure` prints, each direction from all of them
- `weights`: per tensor `mean_abs`, `l2`, `fisher_weighted`; per matrix also `spectral_norm`, `rank`, `left_energy` and
  `right_energy` in the top `n_directions` singular directions of the base by NumPy's SVD; `whole` for the model
- `hidden`: CKA and CKNNA per depth of the residual stream averaged over tokens, 0 the embedding
"""

import argparse
import json
import platform
import sys
from pathlib import Path

import numpy as np
import safetensors
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import Qwen2Config, Qwen2ForCausalLM

HERE = Path(__file__).parent
JSON, TENSORS = HERE / "shift.json", HERE / "shift.safetensors"
N_DIRECTIONS, N_NEIGHBORS, STEP = 3, 4, 2.0**-12
CONFIG = {
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": 53, "hidden_size": 16,
    "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": False,
    "hidden_act": "silu", "bos_token_id": None, "eos_token_id": 1,
}


def make_weights():
    """Base, and base plus a change of low rank, of full rank, of few entries or of none."""
    rng = np.random.default_rng(20250904)
    names = {name: tuple(tensor.shape) for name, tensor in empty_model().state_dict().items()}
    base, tuned = {}, {}
    for idx, (name, shape) in enumerate(names.items()):
        scale = 0.1 if len(shape) == 1 else 0.35
        values = np.round(rng.standard_normal(shape) * scale / STEP) * STEP
        if name.endswith("norm.weight"):
            values = 1.0 + values
        if len(shape) == 2 and idx % 4 == 0:
            change = rng.integers(-4, 5, (shape[0], 2)) @ rng.integers(-4, 5, (2, shape[1])) * 4 * STEP
        elif idx % 4 == 1:
            change = np.round(rng.standard_normal(shape) * 0.02 / STEP) * STEP
        elif idx % 4 == 2:
            change = STEP * (rng.random(shape) < 0.1)  # most of these vanish in bf16
        else:
            change = np.zeros(shape)
        base[name] = torch.tensor(values, dtype=torch.float32)
        tuned[name] = torch.tensor(values + change, dtype=torch.float32)
        assert np.array_equal(tuned[name].double().numpy(), values + change), name
    return base, tuned


def empty_model():
    fields = {key: value for key, value in CONFIG.items() if key not in ("architectures", "model_type")}
    return Qwen2ForCausalLM(Qwen2Config(**fields, attn_implementation="eager"))


def model_of(weights):
    model = empty_model().double()
    model.load_state_dict({name: tensor.double() for name, tensor in weights.items()})
    return model.eval()


def make_tokens():
    generator = torch.Generator().manual_seed(7)

    def draw(low, high):
        n = int(torch.randint(low, high, (1,), generator=generator))
        return torch.randint(0, CONFIG["vocab_size"], (n,), generator=generator)

    prompts = [draw(1, 7) for _ in range(4)]
    tokens = {}
    for idx in range(8):
        tokens[f"prompt.{idx}"] = prompts[idx // 2].clone()
        tokens[f"completion.{idx}"] = draw(1, 10)
    tokens |= {f"probe.{idx}": draw(2, 9) for idx in range(14)}
    return tokens


def completion_log_probs(model, tokens, idx):
    """[n, V]: the distribution that each token of the completion could have been drawn from."""
    prompt, completion = tokens[f"prompt.{idx}"], tokens[f"completion.{idx}"]
    logits = model(torch.cat([prompt, completion])[None]).logits[0]
    return logits[len(prompt) - 1 : -1].log_softmax(1)


def completions(base, tuned, tokens):
    out = []
    for idx in range(8):
        with torch.no_grad():
            p, q = (completion_log_probs(model, tokens, idx) for model in (base, tuned))
        target = tokens[f"completion.{idx}"][:, None]
        out.append({
            "reference_log_probs": p.gather(1, target)[:, 0],
            "policy_log_probs": q.gather(1, target)[:, 0],
            "kl_reference_to_policy": (p.exp() * (p - q)).sum(1),
            "kl_policy_to_reference": (q.exp() * (q - p)).sum(1),
            "total_variation": (p.exp() - q.exp()).abs().sum(1) / 2,
            "l2": (p.exp() - q.exp()).norm(dim=1),
            "reference_entropy": -(p.exp() * p).sum(1),
            "policy_entropy": -(q.exp() * q).sum(1),
        })
    return out


def quantities(rows):
    """Every completion counts as drawn by both models: an arithmetic check, no estimate."""
    n_tokens = sum(len(row["l2"]) for row in rows)
    out = {}

    def put(name, terms, per=("per_token", "per_sequence")):
        total = sum(float(term.sum()) for term in terms)
        for each in per:
            suffix = f"_{each}" if len(per) == 2 else ""
            out[name + suffix] = total / (n_tokens if each == "per_token" else len(rows))

    for direction, sampler, other in [("kl_reference_to_policy", "reference", "policy"),
                                      ("kl_policy_to_reference", "policy", "reference")]:
        ratios = [row[f"{sampler}_log_probs"] - row[f"{other}_log_probs"] for row in rows]
        put(f"{direction}_exact", [row[direction] for row in rows])
        put(f"{direction}_k1", ratios)
        put(f"{direction}_k2", [r**2 / 2 for r in ratios])
        put(f"{direction}_k3", [(-r).exp() - 1 + r for r in ratios])
    for name in ("total_variation", "l2", "reference_entropy", "policy_entropy"):
        put(name, [row[name] for row in rows], per=("per_token",))
    out["reference_length"] = out["policy_length"] = n_tokens / len(rows)
    return out


def fisher(base, tokens):
    """Mean over completions of the squared gradient of the log-probability of the whole completion."""
    sums = {name: torch.zeros_like(parameter) for name, parameter in base.named_parameters()}
    for idx in range(8):
        base.zero_grad()
        target = tokens[f"completion.{idx}"][:, None]
        completion_log_probs(base, tokens, idx).gather(1, target).sum().backward()
        for name, parameter in base.named_parameters():
            sums[name] += parameter.grad**2
    return {name: (total / 8).numpy() for name, total in sums.items()}


def weights(base, tuned, of_fisher):
    tensors, inside = {}, {"left_energy": 0.0, "right_energy": 0.0}
    totals = {"abs": 0.0, "square": 0.0, "base": 0.0, "n": 0, "f32": 0, "bf16": 0, "close": 0, "energy": 0.0,
              "spectral": 0.0, "fisher": 0.0, "rank": 0, "full": 0}
    for name in base:
        before, after = (side[name].double().numpy() for side in (base, tuned))
        change = after - before
        entry = {"mean_abs": np.abs(change).mean(), "l2": np.linalg.norm(change),
                 "fisher_weighted": (of_fisher[name] * change**2).sum()}
        totals["abs"] += np.abs(change).sum()
        totals["square"] += (change**2).sum()
        totals["base"] += (before**2).sum()
        totals["n"] += change.size
        totals["f32"] += (change == 0).sum()
        totals["bf16"] += int((base[name].bfloat16() == tuned[name].bfloat16()).sum())
        totals["close"] += (np.abs(change) <= 1e-5).sum()
        totals["fisher"] += entry["fisher_weighted"]
        if change.ndim == 2:
            values = np.linalg.svd(change, compute_uv=False)
            entry |= {"spectral_norm": values[0], "rank": int((values > 1e-6 * values[0]).sum())}
            totals["spectral"] += values[0]
            if values[0] > 0:
                left, _, right = np.linalg.svd(before)
                energy = (change**2).sum()
                entry["left_energy"] = ((left[:, :N_DIRECTIONS].T @ change) ** 2).sum() / energy
                entry["right_energy"] = ((change @ right[:N_DIRECTIONS].T) ** 2).sum() / energy
                for side in inside:
                    inside[side] += entry[side] * energy
                totals["energy"] += energy
                totals["rank"] += entry["rank"]
                totals["full"] += min(change.shape)
        tensors[name] = entry
    n = totals["n"]
    whole = {"mean_abs": totals["abs"] / n, "l2": np.sqrt(totals["square"]),
             "relative_l2": np.sqrt(totals["square"] / totals["base"]), "unchanged_f32": totals["f32"] / n,
             "unchanged_bf16": totals["bf16"] / n, "within_tolerance": totals["close"] / n,
             "spectral_norm_sum": totals["spectral"], "fisher_weighted": totals["fisher"],
             "rank_share": totals["rank"] / totals["full"]}
    whole |= {side: value / totals["energy"] for side, value in inside.items()}
    return {"n_directions": N_DIRECTIONS, "tensors": tensors, "whole": whole}


def residual_stream(model, ids):
    """The residual stream before each layer and after the last, before the final norm, averaged over tokens."""
    states = []
    hooks = [layer.register_forward_pre_hook(lambda _, args, kwargs: states.append(
        args[0] if args else kwargs["hidden_states"]), with_kwargs=True) for layer in model.model.layers]
    hooks.append(model.model.norm.register_forward_pre_hook(lambda _, args: states.append(args[0])))
    with torch.no_grad():
        model(ids[None])
    for hook in hooks:
        hook.remove()
    return [state[0].mean(0).numpy() for state in states]


def similarity(left, right, k):
    """CKA and CKNNA from whole kernels; neighbours have the largest centred kernel values."""
    n = len(left)
    centring = np.eye(n) - 1.0 / n
    kernels = [centring @ f @ f.T @ centring for f in (left, right)]
    masks = []
    for kernel in kernels:
        ranked = np.argsort(-(kernel - np.diag(np.full(n, np.inf))), axis=1)[:, :k]
        mask = np.zeros((n, n), bool)
        mask[np.arange(n)[:, None], ranked] = True
        masks.append(mask)

    def ratio(restrict):
        def inner(a, b):
            return (kernels[a] * kernels[b] * (masks[a] & masks[b] if restrict else 1)).sum()

        return inner(0, 1) / np.sqrt(inner(0, 0) * inner(1, 1))

    return {"cka": ratio(False), "cknna": ratio(True)}


def hidden(base, tuned, tokens):
    probes = [tokens[f"probe.{idx}"] for idx in range(14)]
    streams = [[residual_stream(model, ids) for ids in probes] for model in (base, tuned)]
    depths = range(CONFIG["num_hidden_layers"] + 1)
    sides = [[np.stack([states[depth] for states in stream]) for depth in depths] for stream in streams]
    layers = [similarity(left, right, N_NEIGHBORS) for left, right in zip(*sides)]
    return {"n_neighbors": N_NEIGHBORS, "layers": layers}


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def make():
    torch.manual_seed(0)
    base, tuned = make_weights()
    tokens = make_tokens()
    models = [model_of(weights) for weights in (base, tuned)]
    rows = completions(*models, tokens)
    result = {
        "made_by": {"python": platform.python_version(), "numpy": np.__version__,
                    "torch": torch.__version__.split("+")[0], "transformers": transformers.__version__,
                    "safetensors": safetensors.__version__},
        "config": json.dumps(CONFIG),
        "completions": rows,
        "quantities": quantities(rows),
        "weights": weights(base, tuned, fisher(models[0], tokens)),
        "hidden": hidden(*models, tokens),
    }
    sides = {"base": base, "tuned": tuned}
    tensors = {f"{side}/{name}": tensor for side, all in sides.items() for name, tensor in all.items()}
    return plain(result), tensors | tokens


def close(old, new):
    if isinstance(old, dict):
        return old.keys() == new.keys() and all(close(old[key], new[key]) for key in old if key != "made_by")
    if isinstance(old, list):
        return len(old) == len(new) and all(map(close, old, new))
    if isinstance(old, float):
        return abs(old - new) <= 1e-9 * max(1.0, abs(old))
    return old == new


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the fixtures, write nothing")
    check = parser.parse_args().check
    result, tensors = make()
    if not check:
        JSON.write_text(json.dumps(result, indent=1) + "\n")
        save_file(tensors, TENSORS)
        return
    old = load_file(TENSORS)
    same = old.keys() == tensors.keys() and all(torch.equal(old[name], tensors[name]) for name in old)
    if not (same and close(json.loads(JSON.read_text()), result)):
        sys.exit("shift.json or shift.safetensors differ from what this script computes")
    print("shift.json and shift.safetensors are as this script computes them")


if __name__ == "__main__":
    main()
