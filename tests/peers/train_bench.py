"""PyTorch peer of `cargo xtask bench train`: how fast transformers takes a step of SFT and of GRPO.

    python train_bench.py --json --seconds 5 --threads 2
    python train_bench.py --head --seconds 1    # cross-entropy over 151,936 words instead, with its memory

Needs torch and transformers, and for `--head` Linux. The weights are random: no rate depends on their values.

Two models, Qwen2's architecture with tied embeddings in f32, every weight trained:
  small   4 layers of 128, 1,024 words, 0.87 million parameters. SFT: 64 rows of 10 to 45 tokens. GRPO: 16 prompts of 9
          tokens, 8 completions of 24 tokens each
  wide    4 of Qwen2.5-0.5B's 24 layers and its whole head, 196 million parameters. SFT: 8 rows of 256 tokens, half of
          them prompt. GRPO: 2 prompts of 64 tokens, 4 completions of 64 tokens each

A step of SFT is cross-entropy on the completions, backward, clipping to norm 1, AdamW. A step of GRPO draws completions at
temperature 1 with a cache (nothing ends one early), gives them alternating rewards, centers these in their groups, and
takes one such step on the log-probabilities weighted with the advantages: with one update every ratio is 1.

Figures: `sft_tokens_per_second` counts tokens without padding, prompts included; the others are mean seconds. What
`--head` prints: mean `seconds` of loss and gradients of hidden states and head from whole logits, and `memory_mb`, the
most resident memory less what was resident before, hidden states, head and their gradients (1e6 bytes).

What makes it fair to PyTorch: rows are right-padded, logits are made where a token is trained and nowhere else (a
trainer makes all of them), gradients are set to none, no data loader, no collator, no log; drawing needs no `generate` and
so none of its logits processors. Where one may do either, both are timed on these very steps and the faster one is used;
`chosen` names it:
  optimizer   AdamW `fused` or `foreach`
  mask        the attention mask of the padding, or none: causal attention does not see padding on the right
  logits      of trained tokens, or of all positions
  sampling    a loop over a `dynamic` cache in which prompts are read once a group, a loop over a `static` cache, and
              the library's `generate`
  draw        `multinomial`, or one uniform number a row by `inversion`
`eager` mode only: no `torch.compile`, which needs a C++ compiler at run time.
"""

import argparse
import json
import os
import platform
import resource
import time

import torch
import transformers
from torch.nn import functional
from transformers import DynamicCache, GenerationConfig, Qwen2Config, Qwen2ForCausalLM, StaticCache

WIDE = {
    "vocab_size": 151936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
}
SMALL = {
    "vocab_size": 1024,
    "hidden_size": 128,
    "intermediate_size": 352,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
COMMON = {
    "num_hidden_layers": 4,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
}
LEARNING_RATE = 1e-6  # small, so that the weights stay what they are however many steps are taken
ADAMW = {"lr": LEARNING_RATE, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
NOT_TRAINED = -100


def small_rows():
    """Tokens of prompt and row."""
    for idx in range(64):
        n = 10 + idx * 13 % 36
        yield min(7 + idx % 7, n // 2), n


class Workload:
    """A model and what it is trained on."""

    def __init__(self, shape, rows, prompts, group_size, n_new):
        torch.manual_seed(0)
        self.n_words = shape["vocab_size"]
        self.model = Qwen2ForCausalLM(Qwen2Config(**shape, **COMMON, attn_implementation="sdpa")).train()
        self.rows = list(rows)
        self.group_size, self.n_new = group_size, n_new
        self.prompts = torch.stack([self.ids(row, prompts[1]) for row in range(prompts[0])])  # [P, T]
        self.chosen = {}
        self.optimizer = None

    def ids(self, row, n):
        """Tokens all over the vocabulary."""
        return (row * 7919 + torch.arange(n) * 104729 + 17) % self.n_words

    # Supervised fine-tuning

    def make_batch(self):
        """Padded ids, their mask, and the target of each position."""
        width = max(n for _, n in self.rows)
        ids = torch.zeros(len(self.rows), width, dtype=torch.long)
        mask, targets = torch.zeros_like(ids), torch.full_like(ids, NOT_TRAINED)
        for row, (n_prompt, n) in enumerate(self.rows):
            ids[row, :n], mask[row, :n] = self.ids(row, n), 1
            targets[row, n_prompt - 1 : n - 1] = ids[row, n_prompt:n]
        # The last token of a row is predicted and not read.
        self.batch = ids[:, :-1].contiguous(), mask[:, :-1].contiguous(), targets[:, :-1].contiguous()

    def token_losses(self, ids, mask, targets):
        """Cross-entropy of each trained token, `[M]`."""
        mask = mask if self.chosen["mask"] == "given" else None
        hidden = self.model.model(ids, attention_mask=mask, use_cache=False).last_hidden_state  # [B, T, D]
        is_trained = targets != NOT_TRAINED
        if self.chosen["logits"] == "trained":
            logits = self.model.lm_head(hidden[is_trained])  # [M, V]
            return functional.cross_entropy(logits, targets[is_trained], reduction="none")
        logits = self.model.lm_head(hidden).flatten(0, 1)  # [B * T, V]
        losses = functional.cross_entropy(logits, targets.flatten(), ignore_index=NOT_TRAINED, reduction="none")
        return losses[is_trained.flatten()]

    def update(self, loss):
        """The optimizer's step."""
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def sft_step(self):
        """Seconds of a step."""
        start = time.perf_counter()
        self.update(self.token_losses(*self.batch).mean())
        return (time.perf_counter() - start,)

    # GRPO

    def draw(self, logits):
        """A token for each row. `[B, 1]`"""
        probs = logits.softmax(-1)
        if self.chosen["draw"] == "multinomial":
            return probs.multinomial(1)
        sums = probs.cumsum(-1)
        return torch.searchsorted(sums, torch.rand(len(probs), 1) * sums[:, -1:]).clamp_(max=self.n_words - 1)

    @torch.inference_mode()
    def sample(self):
        """Prompts and completions, `[B, T]`."""
        sampling = self.chosen["sampling"]
        rows = self.prompts.repeat_interleave(self.group_size, 0)  # [B, T]
        if sampling == "generate":
            config = GenerationConfig(
                do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=self.n_new, pad_token_id=0
            )
            return self.model.generate(rows, attention_mask=torch.ones_like(rows), generation_config=config)
        if sampling == "dynamic":
            cache = DynamicCache(config=self.model.config)
            out = self.model(self.prompts, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache.batch_repeat_interleave(self.group_size)
            logits = out.logits[:, -1].repeat_interleave(self.group_size, 0)  # [B, V]
        else:
            cache = StaticCache(config=self.model.config, max_cache_len=rows.shape[1] + self.n_new)
            logits = self.model(rows, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
        tokens = [rows, self.draw(logits)]
        for _ in range(self.n_new - 1):
            out = self.model(tokens[-1], past_key_values=cache, use_cache=True, logits_to_keep=1)
            tokens.append(self.draw(out.logits[:, -1]))
        return torch.cat(tokens, 1)

    def grpo_step(self):
        """Seconds of sampling and of the update."""
        start = time.perf_counter()
        ids = self.sample().clone()
        rewards = (torch.arange(len(ids)) % 2).float().view(-1, self.group_size)  # [P, G]
        advantages = (rewards - rewards.mean(1, keepdim=True)).flatten()  # [B]
        sampled = time.perf_counter()
        targets = torch.full_like(ids[:, 1:], NOT_TRAINED)
        targets[:, -self.n_new :] = ids[:, -self.n_new :]
        losses = self.token_losses(ids[:, :-1].contiguous(), torch.ones_like(targets), targets)
        weights = advantages.repeat_interleave(self.n_new) / losses.numel()
        self.update((losses * weights).sum())
        return sampled - start, time.perf_counter() - sampled

    # What is faster

    def choose(self, seconds):
        """Tries both ways of everything, the ways of one thing after the ways of another."""
        self.make_batch()
        self.chosen = {"mask": "none", "logits": "trained", "sampling": "dynamic", "draw": "multinomial"}
        optimizers = {
            "fused": torch.optim.AdamW(self.model.parameters(), **ADAMW, fused=True),
            "foreach": torch.optim.AdamW(self.model.parameters(), **ADAMW, foreach=True),
        }

        def fastest(name, ways, step, use=None):
            times = {}
            for way in ways:
                self.chosen[name] = way
                if use:
                    use(way)
                times[way] = measure(step, seconds)[0]
            self.chosen[name] = min(times, key=times.get)
            if use:
                use(self.chosen[name])

        def use(way):
            self.optimizer = optimizers[way]

        fastest("optimizer", optimizers, self.sft_step, use)
        optimizers = {self.chosen["optimizer"]: self.optimizer}  # frees the other one's moments
        if len({n for _, n in self.rows}) > 1:
            fastest("mask", ("none", "given"), self.sft_step)
        fastest("logits", ("trained", "all"), self.sft_step)
        fastest("draw", ("multinomial", "inversion"), self.grpo_step)
        fastest("sampling", ("dynamic", "static", "generate"), self.grpo_step)

    def report(self, seconds):
        """All figures."""
        self.choose(0.25 * seconds)
        (sft,) = measure(self.sft_step, seconds)
        sampling, update = measure(self.grpo_step, seconds)
        return {
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "chosen": self.chosen,
            "sft_tokens_per_second": sum(n for _, n in self.rows) / sft,
            "sft_step_seconds": sft,
            "grpo_step_seconds": sampling + update,
            "grpo_sampling_seconds": sampling,
            "grpo_update_seconds": update,
        }


def measure(step, seconds):
    """Means of what a step returns over steps that take at least `seconds`, after a warm-up."""
    for length in (0.25 * seconds, seconds):
        taken = []
        while not taken or sum(map(sum, taken)) < length:
            taken.append(step())
    return [sum(part) / len(taken) for part in zip(*taken)]


def resident_bytes():
    """Resident memory now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def head_cost(n_tokens, seconds):
    """Cross-entropy from whole logits, and its gradients."""
    before = resident_bytes()
    n_words, width = WIDE["vocab_size"], WIDE["hidden_size"]
    hidden = torch.empty(n_tokens, width).uniform_(-0.035, 0.035).requires_grad_()
    head = torch.empty(n_words, width).uniform_(-0.035, 0.035).requires_grad_()
    targets = torch.arange(n_tokens) * 104729 % n_words

    def step():
        hidden.grad = head.grad = None
        start = time.perf_counter()
        functional.cross_entropy(hidden @ head.T, targets).backward()
        return (time.perf_counter() - start,)

    (taken,) = measure(step, seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    inputs_and_results = 2 * 4 * width * (n_tokens + n_words)
    return {
        "seconds": taken,
        "memory_mb": 1e-6 * (peak - before - inputs_and_results),
        "logits_mb": 4e-6 * n_tokens * n_words,
    }


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--seconds", type=float, default=5.0, help="least length of one measurement (default: 5)")
    parser.add_argument("--threads", type=int, default=cores, help="default: one per core")
    parser.add_argument("--head", action="store_true", help="the gradient of the head instead")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    arguments = parser.parse_args()
    if arguments.seconds <= 0 or arguments.threads < 1:
        parser.error("--seconds must be above 0, --threads at least 1")
    return arguments


def main():
    """Measures, then prints a table or one JSON object."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    report = {
        "peer": "pytorch",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "allocator": os.environ.get("LD_PRELOAD", "") or "the C library's default",
        "dtype": "float32",
        "seconds": arguments.seconds,
    }
    if arguments.head:
        report["tokens_2048"] = head_cost(2048, arguments.seconds)
    else:
        report["small"] = Workload(SMALL, small_rows(), (16, 9), 8, 24).report(arguments.seconds)
        report["wide"] = Workload(WIDE, [(128, 256)] * 8, (2, 64), 4, 64).report(arguments.seconds)
    if arguments.json:
        print(json.dumps(report))
        return
    for name, value in report.items():
        if not isinstance(value, dict):
            print(f"{name:<24} {value}")
            continue
        print(name)
        for part, figure in value.items():
            print(f"  {part:<22} {figure:,.4f}" if isinstance(figure, float) else f"  {part:<22} {figure}")


if __name__ == "__main__":
    main()
