"""What transformers makes of a few configs: tensor names and shapes, number of parameters, rotary frequencies.

Needs torch and transformers; nothing is downloaded.

    python tests/golden/checkpoint.py          # rewrites checkpoint.json
    python tests/golden/checkpoint.py --check  # compares only
"""

import argparse
import json
import pathlib
import sys
import tempfile

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

PATH = pathlib.Path(__file__).with_suffix(".json")

SIZES = dict(vocab_size=48, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4)
LLAMA3 = dict(
    rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192
)


def configs():
    """Small models with the heads and rotary parameters of real ones."""
    yield "qwen2_tied", Qwen2Config(**SIZES, num_key_value_heads=2, tie_word_embeddings=True, rope_theta=1e6)
    yield "qwen2_5_heads", Qwen2Config(
        **{**SIZES, "hidden_size": 128, "num_attention_heads": 2}, num_key_value_heads=1, rope_theta=1e6
    )
    yield "qwen2_linear", Qwen2Config(
        **SIZES, num_key_value_heads=4, rope_scaling=dict(rope_type="linear", factor=2.5), eos_token_id=[7, 9]
    )
    yield "llama_default", LlamaConfig(**SIZES)
    yield "llama_3_1_heads", LlamaConfig(
        **SIZES, num_key_value_heads=2, head_dim=128, rope_theta=500_000.0, rope_scaling=LLAMA3,
        max_position_embeddings=131_072,
    )
    yield "llama_biases", LlamaConfig(
        **SIZES, num_key_value_heads=1, attention_bias=True, mlp_bias=True, tie_word_embeddings=True
    )


def saved(config, model):
    """The text of config.json, as save_pretrained writes it."""
    config.architectures = [type(model).__name__]
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        return json.loads(pathlib.Path(folder, "config.json").read_text())


def case(name, config):
    kind = Qwen2ForCausalLM if isinstance(config, Qwen2Config) else LlamaForCausalLM
    model = kind(config)
    tied = config.tie_word_embeddings
    tensors = {k: list(v.shape) for k, v in model.state_dict().items() if not (tied and k == "lm_head.weight")}
    return {
        "name": name,
        "config": saved(config, model),
        "tensors": tensors,
        "n_parameters": model.num_parameters(),
        "inv_frequencies": model.model.rotary_emb.inv_freq.to(torch.float64).tolist(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    check = parser.parse_args().check
    versions = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
    cases = [case(name, config) for name, config in configs()]
    if check:
        sys.exit(0 if json.loads(PATH.read_text())["cases"] == cases else f"{PATH.name} differs")
    lines = ",\n".join(json.dumps(case) for case in cases)
    PATH.write_text(f'{{"made_by": {json.dumps(versions)},\n"cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
