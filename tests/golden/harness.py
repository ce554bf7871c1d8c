"""Writes harness.json: what `razor eval` must find, document by document.

    python harness.py               # rewrites the fixture beside this file
    python harness.py --own         # rewrites what is of our own documents, keeps the rest
    python harness.py --check       # recomputes and compares, writes nothing
    python harness.py --data DIR    # also the published data sets with DIR/models/tinystories_656k (default RAZOR_DATA)

Needs torch, transformers and lm-eval. The tasks are lm-evaluation-harness's own definitions; only its loader of data sets
is replaced by one that reads the files below benchmarks/ (documents of our own making) or DIR. Two things are added to the
definitions: `acc_bytes` where there is `acc_norm`, and few-shot examples from the evaluated split, without the evaluated
document, where the training split is not at hand. The tiny model is tiny_qwen2 as it is, with 96 positions, and with its
positions raised to 4,096. Log-likelihoods are f32 sums of an f32 log-softmax. Without the real model `--check` leaves that
part out and writing is refused. Of published documents only numbers are kept.
"""

import argparse
import ast
import gzip
import json
import logging
import os
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # everything is a local file; before the libraries are loaded

# IFEval's module looks for a sentence model as it is loaded; none of our documents asks for sentences.
NLTK = tempfile.TemporaryDirectory()
(Path(NLTK.name) / "tokenizers/punkt_tab").mkdir(parents=True)
os.environ["NLTK_DATA"] = NLTK.name

import datasets
import evaluate
import langdetect
import lm_eval.evaluator
import transformers
from lm_eval import simple_evaluate
from lm_eval.api.group import Group
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).parent
FIXTURE = HERE / "harness.json"
TINY = HERE / "tiny_qwen2"
OWN = HERE / "benchmarks"
ROWS = HERE / "benchmarks_rows"
POSITIONS = 4096
SUBJECTS = {"stem": ["abstract_algebra"], "other": ["virology"], "social_sciences": ["sociology"],
            "humanities": ["philosophy"]}
LIMIT = 200
MANAGER = TaskManager()
lm_eval.evaluator.add_env_info = lambda _: None  # asks many programs what computer this is, after every run
langdetect.DetectorFactory.seed = 0


class NoPrograms:
    """In place of code_eval: what is no Python fails, and anything else is not run."""

    def compute(self, references, predictions, k):
        for candidates in predictions:
            for program in candidates:
                if "a*b" in program:
                    continue  # the harness tries its metric with this
                try:
                    ast.parse(program)
                except SyntaxError:
                    continue
                raise ValueError(f"would have to be run: {program}")
        return {f"pass@{n}": 0.0 for n in k}, {}


evaluate.load = lambda _: NoPrograms()


def text_of(data, name):
    plain, packed = data / name, data / f"{name}.gz"
    return plain.read_text() if plain.is_file() else gzip.open(packed, "rt", encoding="utf-8").read()


def records(data, name):
    text = text_of(data, name)
    return json.loads(text) if name.endswith(".json") else [json.loads(line) for line in text.split("\n") if line]


def hellaswag(data, _):
    if (data / "hellaswag/hellaswag_val.jsonl").is_file():
        # One type a column, as the hub has it: labels are texts there.
        rows = [{**row, "label": str(row["label"])} for row in records(data, "hellaswag/hellaswag_val.jsonl")]
        return {"train": rows[:1], "validation": rows}
    lines = text_of(data, "hellaswag/hellaswag_val_full.txt").split("\n")
    rows = []
    for start in range(0, len(lines) - 5, 6):
        label, context = lines[start].split(": ", 1)
        # The file has both parts of the context in one, already capitalized.
        rows.append({"activity_label": label, "ctx_a": context, "ctx_b": "", "label": lines[start + 1],
                     "endings": lines[start + 2:start + 6]})
    return {"train": rows[:1], "validation": rows}


def mmlu(data, subject):
    return {split: [row for row in records(data, f"mmlu/{split}.jsonl") if row["subject"] == subject]
            for split in ("test", "dev")}


def truthfulqa(data, _):
    def targets(answers):
        return {"choices": list(answers), "labels": list(answers.values())}

    rows = [{"question": row["question"], "mc1_targets": targets(row["mc1_targets"]),
             "mc2_targets": targets(row["mc2_targets"])} for row in records(data, "truthfulqa/mc_task.json")]
    return {"validation": rows}


def winogrande(data, _):
    rows = records(data, "winogrande/dev.jsonl")
    return {"train": rows[:1], "validation": rows}


def arc(data, name):
    rows = []
    for row in records(data, f"arc/{name.lower().replace('-', '_')}_test.jsonl"):
        labels = "ABCDE"[:len(row["choices"])]
        rows.append({"question": row["query"].removeprefix("Question: "), "answerKey": labels[row["gold"]],
                     "choices": {"text": row["choices"], "label": list(labels)}})
    return {"train": rows[:1], "validation": rows[:1], "test": rows}


def gsm8k(data, _):
    return {split: records(data, f"gsm8k/{split}.jsonl") for split in ("train", "test")}


def ifeval(data, _):
    return {"train": records(data, "ifeval/input_data.jsonl")}


def humaneval(data, _):
    return {"test": records(data, "humaneval/HumanEval.jsonl")}


LOADERS = {"google/IFEval": ifeval, "openai/openai_humaneval": humaneval, "Rowan/hellaswag": hellaswag, "cais/mmlu": mmlu, "truthfulqa/truthful_qa": truthfulqa,
           "allenai/winogrande": winogrande, "allenai/ai2_arc": arc, "openai/gsm8k": gsm8k}


def serve(data):
    """From now on the harness finds its data sets below `data`."""
    def load_dataset(path, name=None, **_):
        splits = LOADERS[path](data, name)
        return datasets.DatasetDict({split: datasets.Dataset.from_list(rows) for split, rows in splits.items()})

    datasets.load_dataset = load_dataset


def metric_list(*names):
    return [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in names]


LENGTHS = {"metric_list": metric_list("acc", "acc_norm", "acc_bytes")}


def other_documents(split):
    """Examples come from the split itself, and the evaluated document is not among them."""
    return {"test_split": split, "fewshot_split": split}


def task(name, **overrides):
    """The harness's own task with some fields replaced."""
    index = MANAGER.task_index
    return MANAGER._factory.build(index[name], overrides=overrides or None, registry=index)


def mmlu_group(subjects):
    def group(name, children):
        found = Group.from_config({"group": name, "metadata": {"version": 2},
                                   "aggregate_metric_list": [{"metric": "acc", "weight_by_size": True}]})
        for child in children:
            found.add(child)
        return found

    return group("mmlu", [group(f"mmlu_{part}", [task(f"mmlu_{subject}") for subject in names])
                          for part, names in subjects.items()])


def tasks(*names):
    """Made anew for each run, as a run changes them."""
    made = {
        "hellaswag": lambda: task("hellaswag", **LENGTHS, **other_documents("validation")),
        "winogrande": lambda: task("winogrande", **other_documents("validation")),
        "arc_easy": lambda: task("arc_easy", **LENGTHS, **other_documents("test")),
        "arc_challenge": lambda: task("arc_challenge", **LENGTHS, **other_documents("test")),
        "mmlu": lambda: mmlu_group(SUBJECTS),
    }
    return [made.get(name, lambda name=name: task(name))() for name in names]


SYSTEM = "Choose well."


def model(folder, positions=None):
    """The model with the tokenizer of its file: AutoTokenizer makes those of the model type qwen2 anew."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    return HFLM(pretrained=str(folder), tokenizer=tokenizer, dtype="float32", device="cpu", batch_size=8,
                max_length=positions)


def task_part(samples, results, digits):
    """Documents in order; each filter's verdicts beside them."""
    metrics = {name: [float(sample[name]) for sample in samples] for name in samples[0]["metrics"]}
    return {
        "log_likelihoods": [[round(float(resp[0][0]), digits) for resp in sample["resps"]] for sample in samples],
        "is_greedy": ["".join(str(int(resp[0][1])) for resp in sample["resps"]) for sample in samples],
        "prompt_hashes": [sample["prompt_hash"][:16] for sample in samples],
        "metrics": {name: [round(value, 9) for value in values] for name, values in metrics.items()},
        "results": numbers(results),
    }


def numbers(results):
    return {name: value for name, value in results.items() if "," in name}


def run(lm, specs, digits, shots=None, limit=None, chat=None, turns=True, system=None):
    found = simple_evaluate(model=lm, tasks=specs, num_fewshot=shots, limit=limit, bootstrap_iters=1000,
                            apply_chat_template=chat is not None, fewshot_as_multiturn=chat is not None and turns,
                            system_instruction=system)
    samples = found["samples"]
    return {
        "shots": shots,
        "tasks": {name: task_part(samples[name], found["results"][name], digits) for name in samples},
        "groups": {name: numbers(values) for name, values in found.get("groups", {}).items()},
    }


def written(lm, shots, chat=None):
    """Greedy answers to GSM8K, as text and as both filters read them."""
    found = simple_evaluate(model=lm, tasks=tasks("gsm8k"), num_fewshot=shots, bootstrap_iters=1000,
                            apply_chat_template=chat is not None, fewshot_as_multiturn=chat is not None)
    samples = found["samples"]["gsm8k"]
    filters = {name: [sample for sample in samples if sample["filter"] == name]
               for name in ("strict-match", "flexible-extract")}
    return {
        "shots": shots,
        "texts": [sample["resps"][0][0] for sample in filters["strict-match"]],
        "prompt_hashes": [sample["prompt_hash"][:16] for sample in filters["strict-match"]],
        "filtered": {name: [sample["filtered_resps"][0] for sample in rows] for name, rows in filters.items()},
        "exact_match": {name: [float(sample["exact_match"]) for sample in rows] for name, rows in filters.items()},
        "results": numbers(found["results"]["gsm8k"]),
    }


def short_answers(lm, name, chat=None):
    """Greedy answers of 40 tokens, what the filter makes of them, and every verdict."""
    stops = task(name).config.generation_kwargs["until"]
    spec = task(name, generation_kwargs={"until": stops, "do_sample": False, "max_gen_toks": 40})
    found = simple_evaluate(model=lm, tasks=[spec], bootstrap_iters=1000, apply_chat_template=chat is not None,
                            confirm_run_unsafe_code=True)
    samples = found["samples"][name]

    def first(value):
        return value[0] if isinstance(value, list) else value

    return {
        "texts": [sample["resps"][0][0] for sample in samples],
        "prompt_hashes": [sample["prompt_hash"][:16] for sample in samples],
        "filtered": [first(sample["filtered_resps"][0]) for sample in samples],
        "metrics": {metric: [sample[metric] for sample in samples] for metric in samples[0]["metrics"]},
        "results": numbers(found["results"][name]),
    }


def own_runs():
    serve(OWN)
    with tempfile.TemporaryDirectory() as long:
        shutil.copytree(TINY, long, dirs_exist_ok=True)
        config = json.loads((TINY / "config.json").read_text())
        (Path(long) / "config.json").write_text(json.dumps({**config, "max_position_embeddings": POSITIONS}))
        lm, short = model(Path(long)), model(TINY)
        with_shots = ("hellaswag", "mmlu", "winogrande", "arc_easy", "arc_challenge")
        found = {
            "zero_shot": run(lm, tasks(*with_shots, "truthfulqa_mc1", "truthfulqa_mc2"), 6),
            "two_shots": run(lm, tasks(*with_shots), 6, shots=2),
            "three_of_few": run(lm, tasks("arc_challenge"), 6, shots=3, limit=3),
            "chat_turns": run(lm, tasks(*with_shots), 6, shots=2, chat=True),
            "chat_one_turn": run(lm, tasks(*with_shots[:3]), 6, shots=2, chat=True, turns=False, system=SYSTEM),
            "system": run(lm, tasks(*with_shots[:2]), 6, system=SYSTEM),
            "written": written(lm, 5),
            "written_chat": written(lm, 2, chat=True),
            "cut": run(short, tasks("hellaswag", "mmlu", "winogrande", "truthfulqa_mc2"), 6),
        }
        found["ifeval"] = short_answers(lm, "ifeval")
        found["ifeval_chat"] = short_answers(lm, "ifeval", chat=True)
        found["humaneval"] = short_answers(lm, "humaneval")
        found["humaneval_instruct"] = short_answers(lm, "humaneval_instruct", chat=True)
        serve(ROWS)  # the published layout of HellaSwag
        found["rows"] = run(lm, tasks("hellaswag"), 6)
        found["rows_two_shots"] = run(lm, tasks("hellaswag"), 6, shots=2)
        return found


def real_runs(data):
    serve(data)
    lm = model(data / "models" / "tinystories_656k")
    zero = ("hellaswag", "winogrande", "arc_easy", "arc_challenge", "truthfulqa_mc1", "truthfulqa_mc2")
    return {
        "zero_shot": run(lm, tasks(*zero), 4, limit=LIMIT),
        # of every subject, so that there are as many in all
        "mmlu": run(lm, [task("mmlu")], 4, shots=0, limit=4),
        "mmlu_5_shot": run(lm, [task("mmlu")], 4, shots=5, limit=4),
    }


def fixture(real):
    found = {"made_by": {name: version(name) for name in ("torch", "transformers", "tokenizers", "lm_eval")},
             "positions": POSITIONS, "limit": LIMIT, "system": SYSTEM, "own": own_runs()}
    if real:
        found["real"] = real_runs(real)
    return found


def differences(stored, found, path=""):
    if isinstance(found, float):
        return [] if abs(stored - found) < 1e-3 else [f"{path}: {stored} is now {found}"]
    if isinstance(found, (dict, list)):
        if type(stored) is not type(found) or len(stored) != len(found):
            return [f"{path}: has other entries now"]
        keys = found if isinstance(found, dict) else range(len(found))
        return [line for key in keys for line in differences(stored[key], found[key], f"{path}/{key}")]
    return [] if stored == found else [f"{path}: {stored!r} is now {found!r}"]


def compact(value, depth=0):
    """JSON with one line for each list of numbers, so that a change is seen where it is."""
    if isinstance(value, dict) and depth < 5:
        inner = ",\n".join(f"{json.dumps(key)}: {compact(part, depth + 1)}" for key, part in value.items())
        return "{\n" + inner + "\n}"
    return json.dumps(value, separators=(",", ":"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the fixture, write nothing")
    parser.add_argument("--own", action="store_true", help="rewrite only what is of our own documents")
    parser.add_argument("--data", type=Path, default=os.environ.get("RAZOR_DATA"), help="folder of the data sets")
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    logging.disable(logging.WARNING)
    real = Path(args.data) if args.data else None
    if args.own:
        stored = json.loads(FIXTURE.read_text())
        FIXTURE.write_text(compact({**stored, **fixture(None)}) + "\n")
        return 0
    if args.check:
        stored, found = json.loads(FIXTURE.read_text()), fixture(real)
        if not real:
            stored.pop("real")
        stored.pop("made_by"), found.pop("made_by")
        lines = differences(stored, found)
        print("\n".join(lines) or "as stored")
        return 1 if lines else 0
    if not real:
        parser.error("give --data: the published data sets belong to the fixture")
    FIXTURE.write_text(compact(fixture(real)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
