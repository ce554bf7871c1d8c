"""Writes tiny_qwen2/ and llm_cli.json: what `razor score` and `razor generate` must answer.

    python llm_cli.py                    # rewrites the model folder and the fixture beside this file
    python llm_cli.py --check            # recomputes and compares, writes nothing
    python llm_cli.py --data DIR         # also asks the real model DIR/models/tinystories_656k (default RAZOR_DATA)
    python llm_cli.py --check-saved DIR  # loads a model folder that Razor saved and compares it with tiny_qwen2

Needs torch, transformers, accelerate and lm-eval. The model is random, so that every number counts; its tokenizer is
text/byte_level, its chat template our own. Scores are those of lm-evaluation-harness (f32), log-probabilities of tokens
those of `transformers` in f64, completions those of its greedy `generate` in f32. The tokenizers are loaded as
`tokenizer.json` has them: `AutoTokenizer` of transformers 5 makes those of the model type qwen2 anew, with Qwen's own
split of text and other ids for added tokens, whatever the file says. Without the real model `--check`
leaves that part out and writing is refused.
"""

import argparse
import json
import logging
import os
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import torch
import transformers
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

HERE = Path(__file__).parent
FIXTURE = HERE / "llm_cli.json"
FOLDER = HERE / "tiny_qwen2"
TOKENIZER = HERE / "text" / "byte_level"
MAX_NEW_TOKENS = 24
MARGIN = 2e-4  # nats between the best and the next token: rounding must not choose the words
# Chosen, among many, for what its completions exercise (ends by token and by length, stop strings, a greedy answer) and for
# having no near tie: a model whose words hang on rounding cannot be compared. No comparison was looked at.
SEED = 30
END, TEXT_END = 422, 420
# " answer" and " task" have one row, so their logits are equal: only the first can be the likeliest.
TWINS = (267, 406)

TEMPLATE = """\
{%- if messages[0]['role'] != 'system' -%}
    {{- '<|im_start|>system\\nAnswer in few words.<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
    {{- '<|im_start|>' ~ message['role'] ~ '\\n' ~ message['content'] | trim ~ '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""

LONG = "The model forgets the old task. " * 16
PAIRS = [
    ("", "The answer is 42."),
    ("", "x"),
    ("", " starts with a space"),
    ("", "<|im_end|>after the token that stands for the empty context"),
    ("The answer", " is 42"),
    ("The answer ", "is 42"),
    ("The answer  ", "is 42"),
    ("The answer\n", "is 42"),
    ("The answer \n\t", " is 42"),
    ("The answer", "is 42"),
    ("The answ", "er is 42"),
    ("The an", "swer is 42"),
    ("T", "he answer"),
    ("for", "get"),
    (" for", "gets the token"),
    ("comple", "tion of the prompt"),
    ("The question is 7 * 8", "?"),
    ("What is 12 + 30?", " 42"),
    ("What is 12 + 30?", " 43"),
    ("What is 12 + 30?", "42"),
    ("ein Modell verg", "isst"),
    ("d\u00e9j", "\u00e0 vu"),
    ("d\u00e9j\u00e0 ", "vu \u00fcber"),
    ("e", "\u0301t\u00e9"),
    ("\u6a21\u578b", "\u5fd8\u8bb0\u4e86"),
    ("smile \U0001f600", "\U0001f468\u200d\U0001f469"),
    ("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", "hello<|im_end|>"),
    ("<|im_end|>begins with the prefix", " and goes on"),
    ("<tool>", "plain added</tool>"),
    ("tab\t", "next"),
    ("non-breaking\u00a0", "space"),
    ("ends in ideographic\u3000", "space"),
    ("def add(left, right):\n", "    return left + right\n"),
    ("def add(left, right):\n    ", "return left + right\n"),
    (LONG, " The end."),
    (LONG + "  ", "The end of the answer."),
    ("short", " and then she stopped and the end of the answer is what they answer, 12 + 30 = 42, 7 * 8 = 56; "),
    ("a\x00b", "\x01c"),
    ("unit separator\x1f", "and on"),
    ("quote: \"", "that's\" \\ and / so on"),
]
PROMPTS = [
    {"prompt": "The answer"},
    {"prompt": "What is 12 + 30?"},
    {"prompt": " token"},
    {"prompt": "The prompt asks, the completion answers, and only the answer is trained. Every token counts."},
    {"prompt": "\u6a21\u578b\u5fd8\u8bb0\u4e86 d\u00e9j\u00e0 vu"},
    {"prompt": "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"},
    {"prompt": "x"},
    {"prompt": "she said: \"that's"},
    {"messages": [{"role": "user", "content": "What is 7 * 8?"}]},
    {"messages": [{"role": "system", "content": "Count."}, {"role": "user", "content": " 1, 2, 3 "}]},
    {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"},
                  {"role": "user", "content": "one \u00e9t\u00e9"}]},
    {"messages": [{"role": "user", "content": "<|im_start|>marks of the user"}]},
]
REAL_PAIRS = [
    ("Once upon a time", ", there was a little girl named Lily."),
    ("Once upon a time ", "there was a little boy"),
    ("<|start_story|>Once upon a time", ", there was"),
    ("<|start_story|> Once upon a time", ", a little girl named Lily"),
    ("", "Once upon a time"),
    ("", "<|start_story|>Once upon a time"),
    ("Lily saw", " a bird"),
    ("Lily saw a", "bird"),
    ("Lily saw a b", "ird."),
    ("The dog was very happy.\n", "He ran"),
    (" The dog", " was"),
]
REAL_PROMPTS = [
    {"prompt": "Once upon a time"},
    {"prompt": "<|start_story|>Once upon a time"},
    {"prompt": "One day, Tom found a"},
    {"prompt": "The end"},
]


def tiny_qwen2(folder):
    """A random model whose logits are far from flat, as a folder that needs nothing else."""
    config = Qwen2Config(
        vocab_size=432, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=96, rms_norm_eps=1e-6, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=END, pad_token_id=None, use_sliding_window=False,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )
    torch.manual_seed(SEED)
    model = Qwen2ForCausalLM(config)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if name.endswith("norm.weight"):
                tensor.copy_(1 + 0.2 * torch.randn_like(tensor))
            else:
                tensor.copy_({1: 0.3}.get(tensor.dim(), 0.4) * torch.randn_like(tensor))
        rows = model.model.embed_tokens.weight
        rows[END] *= 1.5  # so that some completions end
        rows[TWINS[0]] *= 1.5
        rows[TWINS[1]] = rows[TWINS[0]]
    model.generation_config.eos_token_id = [END, TEXT_END]
    model.generation_config.bos_token_id = None
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TOKENIZER / name, folder / name)
    (folder / "chat_template.jinja").write_text(TEMPLATE)


def margin(log_probs):
    """Nats between the best and the next, apart from the twins."""
    others = log_probs.clone()
    others[:, TWINS[1]] = -torch.inf
    best, second = others.topk(2).values.T
    return (best - second).min().item()


class Recorder(HFLM):
    """Keeps the tokens that it was about to score."""

    def _loglikelihood_tokens(self, requests, **options):
        self.requests = requests
        return super()._loglikelihood_tokens(requests, **options)


def scores(folder, pairs):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    lm = Recorder(pretrained=str(folder), tokenizer=tokenizer, dtype="float32", device="cpu", batch_size=5)
    wide = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    instances = [Instance("loglikelihood", {}, pair, idx) for idx, pair in enumerate(pairs)]
    answers = lm.loglikelihood(instances, disable_tqdm=True)
    found = []
    for (context, continuation), (log_prob, is_greedy), (_, before, after) in zip(pairs, answers, lm.requests):
        ids = (before + after)[-(lm.max_length + 1):]
        with torch.no_grad():
            log_probs = wide(torch.tensor([ids[:-1]])).logits[0].log_softmax(-1)[-len(after):]
        of_tokens = log_probs.gather(1, torch.tensor(after)[:, None])[:, 0]
        assert abs(of_tokens.sum().item() - log_prob) < 1e-4, (context, continuation)
        assert margin(log_probs) > MARGIN, (context, continuation)
        found.append({"context": context, "continuation": continuation, "n_context": len(before),
                      "log_prob": log_prob, "is_greedy": is_greedy, "token_log_probs": of_tokens.tolist()})
    return found


def completion(model, tokenizer, prompt, stop=None):
    if "prompt" in prompt:
        ids = tokenizer(prompt["prompt"]).input_ids
        if len(ids) > 1 and ids[0] == ids[1] == tokenizer.bos_token_id:
            ids = ids[1:]  # the text began with the token that the tokenizer puts before it
    else:
        ids = tokenizer.apply_chat_template(prompt["messages"], add_generation_prompt=True, return_dict=False)
    options = {"stop_strings": stop, "tokenizer": tokenizer} if stop else {}
    out = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                         max_new_tokens=MAX_NEW_TOKENS, do_sample=False, output_logits=True,
                         return_dict_in_generate=True, pad_token_id=0, **options)
    drawn = out.sequences[0, len(ids):].tolist()
    log_probs = torch.stack([logits[0].double().log_softmax(-1) for logits in out.logits])
    assert margin(log_probs) > MARGIN, prompt
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    text = tokenizer.decode(drawn, skip_special_tokens=True)
    reason = "stop_token" if drawn[-1] in ends else "length"
    if stop and reason == "length" and any(word in text for word in stop):
        text, reason = text[:min(text.find(word) for word in stop if word in text)], "stop_string"
    taken = log_probs.gather(1, torch.tensor(drawn)[:, None])[:, 0]
    return {**prompt, **({"stop": stop} if stop else {}), "n_prompt": len(ids), "completion": text,
            "token_ids": drawn, "log_probs": taken.tolist(), "stop_reason": reason}


def stop_words(tokenizer, whole):
    """Texts in a completion that begin inside one token and end inside another."""
    for start in range(2, len(whole["token_ids"]) - 2):
        pieces = [tokenizer.decode(token) for token in whole["token_ids"][start:start + 2]]
        if all(len(piece) > 1 and piece.isascii() and piece.isprintable() for piece in pieces):
            return [pieces[0][1:] + pieces[1][:1]]
    return None


def completions(folder, prompts, with_stops):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    wholes = [completion(model, tokenizer, prompt) for prompt in prompts]
    stopped = []
    for prompt, whole in zip(prompts, wholes):
        stop = stop_words(tokenizer, whole) if with_stops else None
        if stop:
            stopped.append(completion(model, tokenizer, prompt, [*stop, "no such text"]))
    return wholes, stopped


def own_words(wholes):
    """What the model says itself is greedy; with the twin of a token in it, it is not."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(FOLDER)
    pairs = []
    for case in wholes:
        for n in range(1, min(8, len(case["token_ids"]))):
            drawn = case["token_ids"][:n]
            text = tokenizer.decode(drawn)
            is_last = n == 7 or drawn[-1] in TWINS
            if "prompt" in case and is_last and tokenizer.encode(case["prompt"] + text)[case["n_prompt"]:] == drawn:
                pairs.append((case["prompt"], text))
                if drawn[-1] in TWINS:
                    pairs.append((case["prompt"], text.removesuffix(" answer") + " task"))
                break
    return pairs


def fixture(real):
    made_by = {name: version(name) for name in ("torch", "transformers", "tokenizers", "lm_eval")}
    wholes, stopped = completions(FOLDER, PROMPTS, True)
    ends = [whole["stop_reason"] for whole in wholes]
    assert ends.count("stop_token") >= 3 and ends.count("length") >= 3, ends
    assert sum(case["stop_reason"] == "stop_string" for case in stopped) >= 3, stopped
    found = {"made_by": made_by, "max_new_tokens": MAX_NEW_TOKENS, "scores": scores(FOLDER, PAIRS + own_words(wholes)),
             "completions": wholes, "stopped": stopped}
    greedy = {(case["context"], case["continuation"]) for case in found["scores"] if case["is_greedy"]}
    assert len(greedy) >= 2, greedy
    assert any(continuation.endswith(" answer") for _, continuation in greedy), greedy
    if real:
        found["tinystories_656k"] = {"scores": scores(real, REAL_PAIRS),
                                     "completions": completions(real, REAL_PROMPTS, False)[0]}
    return found


def differences(stored, found, path=""):
    if isinstance(found, float):
        return [] if abs(stored - found) < 1e-4 else [f"{path}: {stored} is now {found}"]
    if isinstance(found, (dict, list)):
        if type(stored) is not type(found) or len(stored) != len(found):
            return [f"{path}: has other entries now"]
        keys = found if isinstance(found, dict) else range(len(found))
        return [line for key in keys for line in differences(stored[key], found[key], f"{path}/{key}")]
    return [] if stored == found else [f"{path}: {stored!r} is now {found!r}"]


def check_saved(folder):
    """Whether transformers reads what Razor saved, to the same logits."""
    ids = torch.tensor([[5, 77, 301, 422, 9, 260, 431]])
    with torch.no_grad():
        ours, original = (AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)(ids).logits
                          for path in (folder, FOLDER))
    PreTrainedTokenizerFast.from_pretrained(folder)
    difference = (ours - original).abs().max().item()
    print(f"{folder}: largest difference of a logit {difference}")
    return 0 if difference == 0 else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the fixture, write nothing")
    parser.add_argument("--check-saved", type=Path, metavar="DIR", help="compare a saved model folder with tiny_qwen2")
    parser.add_argument("--data", type=Path, default=os.environ.get("RAZOR_DATA"), help="folder of models/")
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    logging.disable(logging.WARNING)
    if args.check_saved:
        return check_saved(args.check_saved)
    real = Path(args.data) / "models" / "tinystories_656k" if args.data else None
    if args.check:
        stored, found = json.loads(FIXTURE.read_text()), fixture(real)
        if not real:
            stored.pop("tinystories_656k")
        stored.pop("made_by"), found.pop("made_by")
        lines = differences(stored, found)
        print("\n".join(lines) or "as stored")
        return 1 if lines else 0
    if not real:
        parser.error("give --data: the real model belongs to the fixture")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    tiny_qwen2(FOLDER)
    FIXTURE.write_text(json.dumps(fixture(real), ensure_ascii=True, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
