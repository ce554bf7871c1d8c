"""Memory that `razor score` takes with a model of Qwen2.5-0.5B's shape: to load it, and to score long texts.

    python memory_check.py --razor target/release/razor
    python memory_check.py --razor target/release/razor --layers 2 --texts 8    # minutes less: see below

Needs numpy and Linux. Writes model folders with random weights (tied, f32 and bf16; 3 GB) beside the tokenizer of
tests/golden/text/byte_level into a temporary folder, runs `razor score --dtype f32` with its default batches, and reads
each run's peak resident memory.

  loading   peak of a run that scores one digit, over the size of the weights in f32; limit 1.15
  scoring   peak of a run over texts of 1,024 tokens (every token of them scored, vocabulary of 151,936), less the
            weights; limit 1 GiB

Scoring's memory depends neither on the number of layers (no gradients, no cache) nor, above 4 texts (one batch of 4,096
tokens), on the number of texts, so fewer of both tell the same. Ends with 1 when a limit is missed.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_act": "silu",
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
    "vocab_size": 151936,
}
N_TOKENS = 1024
LOADING_LIMIT, SCORING_LIMIT = 1.15, 2**30


def shapes(n_layers):
    """Name and shape of every tensor."""
    d, inner, keys = CONFIG["hidden_size"], CONFIG["intermediate_size"], 128
    yield "model.embed_tokens.weight", (CONFIG["vocab_size"], d)
    for layer in range(n_layers):
        at = f"model.layers.{layer}"
        for part, out in (("q_proj", d), ("k_proj", keys), ("v_proj", keys)):
            yield f"{at}.self_attn.{part}.weight", (out, d)
            yield f"{at}.self_attn.{part}.bias", (out,)
        yield f"{at}.self_attn.o_proj.weight", (d, d)
        yield f"{at}.mlp.gate_proj.weight", (inner, d)
        yield f"{at}.mlp.up_proj.weight", (inner, d)
        yield f"{at}.mlp.down_proj.weight", (d, inner)
        yield f"{at}.input_layernorm.weight", (d,)
        yield f"{at}.post_attention_layernorm.weight", (d,)
    yield "model.norm.weight", (d,)


def write_model(folder, n_layers, dtype):
    """A model folder; returns the number of its parameters."""
    folder.mkdir()
    for path in (ROOT / "tests/golden/text/byte_level").iterdir():
        shutil.copy(path, folder)
    config = CONFIG | {"num_hidden_layers": n_layers, "torch_dtype": {"F32": "float32", "BF16": "bfloat16"}[dtype]}
    (folder / "config.json").write_text(json.dumps(config))
    width, at, header = {"F32": 4, "BF16": 2}[dtype], 0, {"__metadata__": {"format": "pt"}}
    for name, shape in shapes(n_layers):
        end = at + width * int(np.prod(shape))
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    rng = np.random.default_rng(0)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, shape in shapes(n_layers):
            numbers = (rng.random(shape, dtype=np.float32) - np.float32(0.5)) * np.float32(0.07)
            file.write(numbers.tobytes() if dtype == "F32" else (numbers.view(np.uint32) >> 16).astype("<u2").tobytes())
    return at // width


def peak_of(razor, model, lines, folder):
    """Most resident bytes of one run, and the tokens that it scored."""
    pairs, out = folder / "pairs.jsonl", folder / "scores.jsonl"
    pairs.write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = [razor, "score", "--model", model, "--input", pairs, "--out", out, "--dtype", "f32", "--quiet"]
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"`razor score` ended with {child.returncode}")
    n_tokens = sum(json.loads(line)["n_tokens"] for line in out.read_text().splitlines())
    return usage.ru_maxrss * 1024, n_tokens


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--razor", default=ROOT / "target/release/razor", type=pathlib.Path, help="the binary")
    parser.add_argument("--layers", type=int, default=24, help="layers of the model that scores (default: 24)")
    parser.add_argument("--texts", type=int, default=64, help="texts that are scored (default: 64)")
    return parser.parse_args()


def main():
    """Writes the folders, runs, prints and compares with the limits."""
    arguments = parse()
    # Of these digits the fixture's tokenizer joins no two.
    digits = "".join(np.random.default_rng(1).choice(list("0789"), N_TOKENS))
    one = {"id": 0, "context": digits[0], "continuation": digits[1]}
    # A digit is a token; the first one is the context.
    texts = [
        {"id": idx, "context": digits[0], "continuation": digits[1 + idx :] + digits[1 : 1 + idx]}
        for idx in range(arguments.texts)
    ]
    is_missed = False
    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary)
        for dtype in ("F32", "BF16"):
            model = temporary / dtype
            size = 4 * write_model(model, 24, dtype)
            peak, _ = peak_of(arguments.razor, model, [one], temporary)
            print(f"loading {dtype:<4} as f32: peak {peak / 1e6:,.0f} MB, weights {size / 1e6:,.0f} MB, {peak / size:.3f}")
            is_missed |= peak > LOADING_LIMIT * size
            if dtype == "F32" and arguments.layers == 24:
                continue
            shutil.rmtree(model)
        scorer = temporary / "F32"
        n_parameters = sum(int(np.prod(shape)) for _, shape in shapes(arguments.layers))
        if arguments.layers != 24:
            write_model(scorer, arguments.layers, "F32")
        peak, n_tokens = peak_of(arguments.razor, scorer, texts, temporary)
        above = peak - 4 * n_parameters
        print(f"scoring {len(texts)} texts, {n_tokens:,} tokens, {arguments.layers} layers: {above / 2**20:,.0f} MiB above the weights")
        if n_tokens != len(texts) * (N_TOKENS - 1):
            sys.exit(f"expected {len(texts) * (N_TOKENS - 1)} scored tokens: a digit is not a token here")
        is_missed |= above > SCORING_LIMIT
    sys.exit(1 if is_missed else 0)


if __name__ == "__main__":
    main()
