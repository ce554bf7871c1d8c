"""Writes decoder.safetensors and decoder.json: small Qwen2 and Llama models by transformers, forwards and backwards.

    python decoder.py            # rewrites the two fixtures beside this file
    python decoder.py --check    # recomputes and compares, writes nothing

Needs torch, transformers, numpy and safetensors. Everything is f32 on one thread, with `eager` attention; ids and masks
are i64. Weights have a spread of 0.3, norms lie around 1. decoder.json holds per case its `name`, its `config` as a
published config.json would have it, the same as this version of transformers saves it (`saved_config`), and the
`eos_token_id` of its greedy answers. A tensor is called `case/...`:

| tensor | shape | meaning |
|---|---|---|
| `input_ids`, `completion_mask` | [B, T] | a batch, and 1 where a token is learned from |
| `weights/W` | as in a checkpoint | W is the name in a checkpoint; a tied head is not stored |
| `logits` | [B, T, V] | of the whole batch |
| `loss`, `gradients/W` | [1], as W | mean of -log p over the masked tokens after the first; absent for T = 1 |
| `adamw/W` | as W | after ten steps of AdamW on that batch, everything decayed, norms and biases too |
| `hidden_states/I` | [B, T, D] | 0: embeddings; then after each block, the last one after the final norm |
| `padded/input_ids`, `padded/attention_mask` | [3, 6] | prompts with padding on the left, mask 0 there |
| `padded/logits` | [3, 6, V] | positions count from the first real token; 0 where the mask is 0 |
| `greedy/tokens`, `greedy/log_probs` | [3, 12] | answers to the padded prompts; pad and 0 after the end of a row |
"""

import argparse
import json
import platform
import sys
from pathlib import Path

import numpy
import safetensors
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

TENSORS = Path(__file__).with_name("decoder.safetensors")
CASES = Path(__file__).with_name("decoder.json")
PAD = 0
MAX_NEW_TOKENS = 12
ADAMW = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}
ADAMW_STEPS = 10
MARGIN = 1e-3  # nats between the best and the next token: rounding must not choose the words

QWEN = {
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
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "attention_bias": False,
    "hidden_act": "silu",
    "hidden_size": 16,
    "intermediate_size": 28,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 128,
    "mlp_bias": False,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "tie_word_embeddings": False,
    "vocab_size": 41,
}
LLAMA3_ROPE = {
    "factor": 8.0,
    "high_freq_factor": 4.0,
    "low_freq_factor": 1.0,
    "original_max_position_embeddings": 64,
    "rope_type": "llama3",
}
FULL = ("adamw", "padded", "greedy")
# name, seed, config, (B, T), what is stored besides weights, logits, loss and gradients
# Seeds for which no greedy choice is a near tie and few rows repeat one word.
GRID = [
    ("qwen_tied", 5, QWEN, (2, 7), (*FULL, "hidden_states")),
    ("qwen_untied_mha", 1, QWEN | {"hidden_size": 24, "num_key_value_heads": 4, "rope_theta": 10000.0,
                                "tie_word_embeddings": False, "vocab_size": 43}, (3, 13), ()),
    ("qwen_mqa_one_token", 2, QWEN | {"num_key_value_heads": 1, "vocab_size": 41}, (2, 1), ()),
    ("llama_tied", 6, LLAMA | {"tie_word_embeddings": True, "vocab_size": 37}, (2, 7), ()),
    ("llama_head_dim", 4, LLAMA | {"head_dim": 8, "num_key_value_heads": 2}, (2, 13), FULL),
    ("llama_attention_bias", 7, LLAMA | {"attention_bias": True, "num_key_value_heads": 1, "hidden_size": 24,
                                      "rope_theta": 1000000.0, "vocab_size": 61}, (3, 7), ()),
    ("llama_mlp_bias_linear_rope", 8, LLAMA | {"mlp_bias": True, "num_key_value_heads": 2,
                                            "rope_scaling": {"type": "linear", "factor": 2.0}}, (2, 13), ()),
    ("llama_llama3_rope", 3, LLAMA | {"head_dim": 8, "num_key_value_heads": 2, "rope_scaling": LLAMA3_ROPE,
                                   "rope_theta": 500000.0, "tie_word_embeddings": True}, (2, 13), FULL),
]  # fmt: skip


def make_model(config, seed):
    """The model of a published config.json, with weights far enough from 0 that no part of it is idle."""
    classes = {"qwen2": (Qwen2Config, Qwen2ForCausalLM), "llama": (LlamaConfig, LlamaForCausalLM)}
    make_config, make = classes[config["model_type"]]
    parsed = make_config(**json.loads(json.dumps(config)), attn_implementation="eager")
    rope = parsed.rope_parameters
    scaling = config.get("rope_scaling") or {}
    assert rope["rope_theta"] == config["rope_theta"], rope
    assert rope["rope_type"] == scaling.get("rope_type", scaling.get("type", "default")), rope
    model = make(parsed).eval().float()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + 0.2 * noise if "norm" in name else 0.3 * noise)
    return model


def parameters(model):
    """Copies under the names of the checkpoint: a tied head is not among them."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def batch_of(config, shape, generator):
    """Token ids and the mask of completion tokens: each row has a prompt of another length."""
    ids = torch.randint(1, config["vocab_size"], shape, generator=generator)
    mask = torch.ones(shape, dtype=torch.int64)
    for row in range(shape[0]):
        mask[row, : 1 + row] = 0
    if shape[1] > 7:
        mask[0, -2:] = 0  # a completion that ends before its row does
    return ids, mask


def loss_of(model, ids, completion_mask):
    """Mean negative log-probability of the completion tokens, in nats."""
    return model(ids, labels=ids.masked_fill(completion_mask == 0, -100)).loss


def adamw(model, ids, completion_mask):
    """Parameters after ten steps on one batch; the model is changed."""
    optimizer = torch.optim.AdamW(model.parameters(), **ADAMW)
    for _ in range(ADAMW_STEPS):
        optimizer.zero_grad()
        loss_of(model, ids, completion_mask).backward()
        optimizer.step()
    return parameters(model)


def left_padded(config, generator):
    """Three prompts of 2, 6 and 4 tokens, padded on the left."""
    ids = torch.randint(1, config["vocab_size"], (3, 6), generator=generator)
    mask = torch.ones_like(ids)
    mask[0, :4] = 0
    mask[2, :2] = 0
    return ids.masked_fill(mask == 0, PAD), mask


@torch.no_grad()
def padded_logits(model, ids, mask):
    """Logits with the positions that `generate` uses; zeros where the mask is 0, for those mean nothing."""
    positions = (mask.cumsum(-1) - 1).masked_fill(mask == 0, 0)
    logits = model(ids, attention_mask=mask, position_ids=positions).logits
    return logits * mask[:, :, None]


@torch.no_grad()
def greedy(model, ids, mask, eos):
    """Token ids and their log-probabilities, both [B, steps]; pad and 0 after the end of a row."""
    out = model.generate(
        input_ids=ids,
        attention_mask=mask,
        do_sample=False,
        num_beams=1,
        max_new_tokens=MAX_NEW_TOKENS,
        eos_token_id=eos,
        pad_token_id=PAD,
        output_logits=True,
        return_dict_in_generate=True,
    )
    new = out.sequences[:, ids.shape[1] :]
    log_probs = torch.stack(out.logits, 1).log_softmax(-1)  # [B, steps, V]
    ended = (new == eos).cumsum(1) - (new == eos).long() > 0 if eos is not None else torch.zeros_like(new).bool()
    best = log_probs.topk(2, -1).values
    assert ((best[..., 0] - best[..., 1])[~ended] > MARGIN).all(), "a tie: choose another seed"
    taken = log_probs.gather(-1, new[:, :, None])[:, :, 0]
    return new, taken.masked_fill(ended, 0.0)


def choose_eos(new):
    """A token which ends the first row in its middle, so that rows end at different steps."""
    row = new[0].tolist()
    return next(token for step, token in enumerate(row) if step >= 3 and token not in row[:step] and token != PAD)


def run_case(name, seed, config, shape, extras):
    """Every tensor of a case, by name, and its entry in the JSON file."""
    model = make_model(config, seed)
    generator = torch.Generator().manual_seed(1000 + seed)
    ids, completion_mask = batch_of(config, shape, generator)
    out = {"input_ids": ids, "completion_mask": completion_mask}
    out |= {f"weights/{key}": value for key, value in parameters(model).items()}
    with torch.no_grad():
        forward = model(ids, output_hidden_states=True)
    out["logits"] = forward.logits
    if "hidden_states" in extras:
        out |= {f"hidden_states/{index}": state for index, state in enumerate(forward.hidden_states)}
    # The second is the config as this version of transformers writes it: the rotary settings have moved.
    entry = {"name": name, "config": json.dumps(config, indent=2), "saved_config": model.config.to_json_string(), "eos_token_id": None}
    padded = left_padded(config, generator)
    if "padded" in extras:
        out |= {"padded/input_ids": padded[0], "padded/attention_mask": padded[1]}
        out["padded/logits"] = padded_logits(model, *padded)
    if "greedy" in extras:
        if name == "qwen_tied":
            entry["eos_token_id"] = choose_eos(greedy(model, *padded, None)[0])
        out["greedy/tokens"], out["greedy/log_probs"] = greedy(model, *padded, entry["eos_token_id"])
    if shape[1] > 1:
        loss = loss_of(model, ids, completion_mask)
        loss.backward()
        out["loss"] = loss.detach().reshape(1)
        out |= {f"gradients/{key}": value.grad.clone() for key, value in model.named_parameters()}
    if "adamw" in extras:
        out |= {f"adamw/{key}": value for key, value in adamw(model, ids, completion_mask).items()}
    return {f"{name}/{key}": value.contiguous() for key, value in out.items()}, entry


def made_by():
    """Versions and constants."""
    return {
        "script": "tests/golden/decoder.py",
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
        "numpy": numpy.__version__,
        "safetensors": safetensors.__version__,
        "adamw": ADAMW | {"steps": ADAMW_STEPS},
        "pad_token_id": PAD,
        "max_new_tokens": MAX_NEW_TOKENS,
    }


def tolerance_of(name):
    """Absolute tolerance of a check: another machine's kernels add in another order."""
    if "/weights/" in name:
        return 1e-7
    # Adam divides by the root of the squared gradient: where that is near 0, its rounding reaches the step.
    return 2e-4 if "/adamw/" in name else 2e-5


def check(tensors):
    """Names of tensors that differ from the fixture."""
    fixture = load_file(TENSORS)
    if missing := set(tensors) ^ set(fixture):
        return sorted(missing)
    differing = []
    for name, value in tensors.items():
        expected = fixture[name]
        if value.shape != expected.shape or value.dtype != expected.dtype:
            differing.append(name)
        elif not torch.allclose(value.double(), expected.double(), rtol=1e-5, atol=tolerance_of(name)):
            differing.append(name)
    return differing


def main():
    """Writes the fixtures, or compares with them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the fixtures instead of writing them")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    tensors, entries = {}, []
    for case in GRID:
        of_case, entry = run_case(*case)
        tensors |= of_case
        entries.append(entry)
    if arguments.check:
        differing = check(tensors)
        stored = json.loads(CASES.read_text())["cases"]
        differing += [entry["name"] for entry, old in zip(entries, stored, strict=True)
                      if entry["config"] != old["config"] or entry["eos_token_id"] != old["eos_token_id"]]  # fmt: skip
        sys.exit(f"differs from {TENSORS.name}: {', '.join(differing)}" if differing else 0)
    save_file(tensors, TENSORS)
    CASES.write_text(json.dumps({"made_by": made_by(), "cases": entries}, indent=1) + "\n")
    size = TENSORS.stat().st_size + CASES.stat().st_size
    print(f"{TENSORS.name}: {len(tensors)} tensors, {size} bytes with {CASES.name}")


if __name__ == "__main__":
    main()
