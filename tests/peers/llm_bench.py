"""PyTorch peer of `cargo xtask bench llm`: how fast a model of Qwen2.5-0.5B's shape reads a prompt and writes.

    python llm_bench.py --json --seconds 5 --threads 2
    python llm_bench.py --layers 2 --seconds 1    # a quick look: two blocks instead of 24, the head is whole

Needs torch and transformers. The weights are random: no rate depends on their values.

Figures, all in tokens per second:
  prefill       512 tokens through the network into a new key/value cache, logits of the last position only
  score         the same 512 tokens without a cache, logits of every position (512 x 151,936)
  decode_batch_B  one token a row and step, greedy, after a prompt of 64 tokens; the prompt is not timed. Both caches
                of transformers are measured in turn, the faster one counts and is named in `cache`

What makes it fair to PyTorch: inference mode, `sdpa` attention, logits only where they are asked for, no tokenizer, no
`generate` and so none of its logits processors, caches reused between repeats. Every figure is a `median`, `best` and
`each` over `--repeats` repeats of at least `--seconds`, after a warm-up. `eager` mode only: no `torch.compile`, which
needs a C++ compiler at run time.
"""

import argparse
import json
import os
import platform
import statistics
import time

import torch
import transformers
from transformers import DynamicCache, Qwen2Config, Qwen2ForCausalLM, StaticCache

# Qwen2.5-0.5B, from the config.json that it is published with.
SHAPE = {
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
N_LAYERS = 24
N_PREFILL, N_PROMPT, N_NEW = 512, 64, 64
BATCHES = (1, 8)
MATRIX_SIDE = 512


def make_model(n_layers, dtype):
    """The network with random weights, ready for inference."""
    torch.manual_seed(0)
    config = Qwen2Config(**SHAPE, num_hidden_layers=n_layers, attn_implementation="sdpa")
    return Qwen2ForCausalLM(config).to(dtype).eval()


class Prefill:
    """Reads 512 tokens; `is_whole` asks for the logits of every position."""

    def __init__(self, model, is_whole):
        self.model, self.is_whole = model, is_whole
        self.ids = torch.randint(SHAPE["vocab_size"], (1, N_PREFILL))

    def run(self):
        """Tokens read and seconds taken."""
        start = time.perf_counter()
        kept = 0 if self.is_whole else 1  # 0 keeps all
        logits = self.model(self.ids, use_cache=not self.is_whole, logits_to_keep=kept).logits
        elapsed = time.perf_counter() - start
        assert logits.shape[1] == (N_PREFILL if self.is_whole else 1)
        return N_PREFILL, elapsed


class Decode:
    """Writes 64 tokens a row after a prompt of 64, which is not timed."""

    def __init__(self, model, batch, cache):
        self.model, self.batch, self.cache = model, batch, cache
        self.ids = torch.randint(SHAPE["vocab_size"], (batch, N_PROMPT))
        self.static = StaticCache(config=model.config, max_cache_len=N_PROMPT + N_NEW) if cache == "static" else None

    def empty_cache(self):
        """A cache without a token in it; the static one keeps its memory."""
        if self.static is None:
            return DynamicCache(config=self.model.config)
        self.static.reset()
        return self.static

    def run(self):
        """Tokens written and seconds taken."""
        cache = self.empty_cache()
        out = self.model(self.ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        token = out.logits[:, -1:].argmax(-1)  # [B, 1]
        start = time.perf_counter()
        for _ in range(N_NEW):
            out = self.model(token, past_key_values=cache, use_cache=True, logits_to_keep=1)
            token = out.logits[:, -1:].argmax(-1)  # [B, 1]
        return self.batch * N_NEW, time.perf_counter() - start


class Matrix:
    """A 512 x 512 x 512 product into a buffer that exists, f32: the machine's measured rate in GFLOP/s."""

    def __init__(self):
        self.left, self.right = torch.randn(MATRIX_SIDE, MATRIX_SIDE), torch.randn(MATRIX_SIDE, MATRIX_SIDE)
        self.product = torch.empty(MATRIX_SIDE, MATRIX_SIDE)

    def run(self):
        """GFLOP and seconds."""
        start = time.perf_counter()
        torch.mm(self.left, self.right, out=self.product)
        return 2e-9 * MATRIX_SIDE**3, time.perf_counter() - start


def rate(work, seconds):
    """Amount per timed second, over at least `seconds` timed ones."""
    done = elapsed = 0.0
    while elapsed < seconds:
        amount, took = work.run()
        done, elapsed = done + amount, elapsed + took
    return done / elapsed


def measure(work, seconds, repeats):
    """Median, best and each repeat, after a warm-up: first-call set-up, page faults, clock."""
    rate(work, 0.25 * seconds)
    rates = [rate(work, seconds) for _ in range(repeats)]
    return {"median": statistics.median(rates), "best": max(rates), "each": rates}


def measure_decode(model, batch, seconds, repeats):
    """The faster of both caches."""
    figures = [
        measure(Decode(model, batch, cache), seconds, repeats) | {"cache": cache} for cache in ("dynamic", "static")
    ]
    return max(figures, key=lambda figure: figure["median"])


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--seconds", type=float, default=5.0, help="least length of one repeat (default: 5)")
    parser.add_argument("--repeats", type=int, default=3, help="repeats of each measure (default: 3)")
    parser.add_argument("--threads", type=int, default=cores, help="default: one per core")
    parser.add_argument("--layers", type=int, default=N_LAYERS, help=f"blocks of the network (default: {N_LAYERS})")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of weights and work")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    arguments = parser.parse_args()
    if arguments.seconds <= 0 or min(arguments.repeats, arguments.threads, arguments.layers) < 1:
        parser.error("--seconds must be above 0, --repeats, --threads and --layers at least 1")
    return arguments


def main():
    """Measures, then prints a table or one JSON object."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    length = (arguments.seconds, arguments.repeats)
    with torch.inference_mode():
        model = make_model(arguments.layers, getattr(torch, arguments.dtype))
        report = {
            "peer": "pytorch",
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "python": platform.python_version(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "cores": len(os.sched_getaffinity(0)),
            "threads": torch.get_num_threads(),
            "allocator": os.environ.get("LD_PRELOAD", "") or "the C library's default",
            "dtype": arguments.dtype,
            "layers": arguments.layers,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "prefill_tokens": N_PREFILL,
            "prompt_tokens": N_PROMPT,
            "new_tokens": N_NEW,
            "seconds": arguments.seconds,
            "repeats": arguments.repeats,
            "matrix_gflops": measure(Matrix(), *length),
            "prefill_tokens_per_second": measure(Prefill(model, is_whole=False), *length),
            "score_tokens_per_second": measure(Prefill(model, is_whole=True), *length),
        }
        for batch in BATCHES:
            report[f"decode_batch_{batch}_tokens_per_second"] = measure_decode(model, batch, *length)
    if arguments.json:
        print(json.dumps(report))
        return
    for name, value in report.items():
        shown = f"{value['median']:>10,.1f} median {value['best']:>10,.1f} best" if isinstance(value, dict) else value
        print(f"{name:<34}", shown)


if __name__ == "__main__":
    main()
