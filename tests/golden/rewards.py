"""Verdicts of math_verify, for crates/envs/tests/peer.rs to compare ours with.

Needs: pip install math-verify[antlr4_13_2] (made with 0.9.0, latex2sympy2_extended 1.11.0, sympy 1.14.0).

    python tests/golden/rewards.py            # rewrites rewards.json
    python tests/golden/rewards.py --check    # recomputes and compares
    python tests/golden/rewards.py --data DIR --verdicts FILE
                                              # pairs drawn from the real sets; FILE is not for the repository

The pairs of rewards.json are written here by hand or built from hand-written parts; none comes from a data set.
"""

import argparse
import gzip
import importlib.metadata
import json
import pathlib
import random
import re

from math_verify import parse, verify

HERE = pathlib.Path(__file__).parent

# Each row: expressions that are all the same answer. Rows are compared within and across.
CLASSES = [
    ["7", "7.0", "\\frac{14}{2}", "+7"],
    ["-12", "-\\frac{24}{2}", "-12.0"],
    ["2400", "2,400", "2{,}400", "2.4 \\times 10^{3}"],
    ["\\frac{3}{8}", "\\dfrac{3}{8}", "3/8", "0.375", "\\frac{6}{16}"],
    ["-\\frac{5}{6}", "\\frac{-5}{6}", "-5/6"],
    ["\\frac{11}{4}", "2.75", "2\\frac{3}{4}"],
    ["0.003", "3 \\times 10^{-3}", "\\frac{3}{1000}"],
    ["\\sqrt{18}", "3\\sqrt{2}", "3 \\sqrt 2"],
    ["\\frac{\\sqrt{5}}{5}", "\\frac{1}{\\sqrt{5}}"],
    ["\\sqrt[3]{54}", "3\\sqrt[3]{2}"],
    ["6\\pi", "\\pi\\cdot 6", "\\frac{12\\pi}{2}"],
    ["3+4i", "4i+3"],
    ["e^2", "e^{2}"],
    ["2^{10}", "1024"],
    ["x^2-9", "(x-3)(x+3)"],
    ["a^2+2ab+b^2", "(a+b)^2"],
    ["\\frac{x+1}{2}", "\\frac{1}{2}x+\\frac{1}{2}"],
    ["3y-1", "-1+3y"],
    ["\\frac{1}{n(n+1)}", "\\frac{1}{n}-\\frac{1}{n+1}"],
    ["(4,-7)", "\\left(4, -7\\right)"],
    ["(1,2,3)", "( 1, 2, 3 )"],
    ["[0,5)", "\\left[0, 5\\right)"],
    ["(-\\infty,3)", "\\left(-\\infty, 3\\right)"],
    ["(-\\infty,-1)\\cup(1,\\infty)", "(1,\\infty)\\cup(-\\infty,-1)"],
    ["\\{2,9\\}", "\\{9, 2\\}"],
    ["x=11", "x = 11"],
    ["y=3x-2", "y = -2+3x"],
    ["x<4", "4>x"],
    ["60^\\circ", "60"],
    ["17\\text{ cm}", "17"],
    ["15\\%", "15%"],
    ["\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", "\\begin{bmatrix} 1 & 2 \\\\ 3 & 4 \\end{bmatrix}"],
    ["\\sin^2 x", "1-\\cos^2 x"],
    ["\\ln 8", "3\\ln 2"],
    ["\\log_{2} 32", "5"],
    ["\\binom{6}{2}", "15"],
    ["5!", "120"],
    ["|x-2|", "|2-x|"],
]

# Pairs across classes that could be mistaken for each other, and habits on which graders differ.
EDGES = [
    ("\\frac{1}{3}", "0.333"), ("\\frac{1}{3}", "0.3333333333"), ("3.14", "\\pi"), ("\\pi", "3.14159"), ("\\sqrt{2}", "1.4142"),
    ("50\\%", "0.5"), ("50\\%", "50"), ("0.5", "50\\%"), ("50", "50\\%"), ("x=3", "x=-3"), ("x=3", "y=3"), ("x=3", "3"), ("3", "x=3"),
    ("y=x+1", "x+1=y"), ("y=x+1", "x=y-1"), ("2x+y=4", "4x+2y=8"), ("(1,2)", "(2,1)"), ("(1,2)", "1,2"), ("1,2", "2,1"), ("1,2", "\\{1,2\\}"),
    ("[1,2]", "(1,2)"), ("(1,2]", "[1,2)"), ("x>2", "(2,\\infty)"), ("x\\ge 2", "[2,\\infty)"), ("x>2", "x\\ge 2"), ("1\\pm\\sqrt{3}", "1+\\sqrt{3},1-\\sqrt{3}"),
    ("\\{3\\}", "3"), ("25_8", "25"), ("25_8", "25_9"), ("25_8", "25_{8}"), ("\\text{(B)}", "B"), ("\\text{Tuesday}", "Tuesday"), ("\\text{Tuesday}", "Sunday"),
    ("\\frac{7}{2}", "3\\frac{1}{2}"), ("3\\frac{1}{2}", "\\frac{3}{2}"), ("8\\text{ m}", "8\\text{ km}"), ("\\$12.50", "12.50"), ("12.5", "\\$12.50"),
    ("10^{30}", "10^{30}+1"), ("2^{300}", "4^{150}"), ("\\sqrt{x^2}", "x"), ("\\sqrt{ab}", "\\sqrt{a}\\sqrt{b}"), ("f(x)=2x", "2x"), ("2.50", "2.5"), (".75", "0.75"),
    ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "(1,2)"), ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix} 2 \\\\ 1 \\end{pmatrix}"), ("5,5", "5"),
    ("90^\\circ", "\\frac{\\pi}{2}"), ("\\sin 30^\\circ", "\\frac{1}{2}"), ("1,000", "1000"), ("1,000", "1"), ("6", "5"), ("6", "2\\cdot 3 = 6"), ("n^2", "n^{2}"), ("\\infty", "-\\infty"),
    ("0.1", "0.10000001"), ("123456789", "123456788"), ("x+y", "y+x"), ("x-y", "y-x"), ("i", "-i"), ("\\sqrt{-9}", "3i"),
]


def pairs():
    drawn = []
    for row in CLASSES:
        drawn += [(row[0], other) for other in row] + [(other, row[0]) for other in row[1:]]
    for index, row in enumerate(CLASSES):
        for step in (1, 2, 7):
            drawn.append((row[0], CLASSES[(index + step) % len(CLASSES)][-1]))
    drawn += EDGES
    seen = set()
    return [pair for pair in drawn if not (pair in seen or seen.add(pair))]


def peer(gold, answer):
    try:
        wanted = parse(f"${gold}$", parsing_timeout=5)
        found = parse(f"The answer is $\\boxed{{{answer}}}$", parsing_timeout=5)
        return bool(verify(wanted, found, timeout_seconds=5))
    except Exception:  # its time-outs and crashes score 0, as a trainer would have it
        return False


def versions():
    return {name: importlib.metadata.version(name) for name in ("math-verify", "latex2sympy2_extended", "sympy")}


def fixture():
    rows = [{"gold": gold, "answer": answer, "peer": peer(gold, answer)} for gold, answer in pairs()]
    return {"made_by": versions(), "pairs": rows}


def rewritten(gold):
    """The same answer in the habits of another writer; text only, no algebra."""
    forms = [gold.replace("\\frac", "\\dfrac"), gold.replace("\\left", "").replace("\\right", ""), gold.replace(" ", ""), f"x = {gold}"]
    forms.append(re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r"\1/\2", gold))
    if re.search(r"\\[a-zA-Z]+ [a-zA-Z]|text|mbox|and", gold):
        forms.pop(2)
    if not re.fullmatch(r"[-\d./]+|-?\\frac\{\d+\}\{\d+\}|-?\d*\\sqrt\{\d+\}", gold):
        forms.remove(f"x = {gold}")
    return [form for form in forms if form != gold]


def perturbed(gold):
    """Near misses: another last digit, another sign."""
    digits = [found.start() for found in re.finditer(r"\d", gold)]
    forms = []
    if digits:
        place = digits[-1]
        forms.append(gold[:place] + str((int(gold[place]) + 1) % 10) + gold[place + 1 :])
    forms.append(gold[1:] if gold.startswith("-") else f"-{gold}")
    return forms


def real_golds(data):
    read = lambda name: [json.loads(line) for line in gzip.open(data / name, "rt")]
    math500 = json.load(gzip.open(data / "open_reasoner_zero/math500.json.gz"))
    first = lambda rows: [row["answer"][0].strip() for row in rows]
    return {
        "math500": [row["final_answer"] for row in math500],
        "math_test_5000": [row["answer"] for row in read("math_extra/math_test_5000.jsonl.gz")],
        "olympiad": [gold.strip().strip("$") for gold in first(read("math_extra/olympiad_bench.jsonl.gz"))],
        "minerva": first(read("math_extra/minerva_math.jsonl.gz")),
    }


def real(data, limit):
    rows = []
    for name, golds in real_golds(data).items():
        order = list(range(len(golds)))
        random.Random(0).shuffle(order)
        for index in order[:limit]:
            gold = golds[index]
            rows.append({"set": name, "kind": "itself", "gold": gold, "answer": gold})
            rows.append({"set": name, "kind": "another", "gold": gold, "answer": golds[order[(order.index(index) + 1) % len(order)]]})
            rows += [{"set": name, "kind": "rewritten", "gold": gold, "answer": form} for form in rewritten(gold)]
            rows += [{"set": name, "kind": "perturbed", "gold": gold, "answer": form} for form in perturbed(gold)]
    for row in rows:
        row["peer"] = peer(row["gold"], row["answer"])
    return rows


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true", help="recompute and compare, write nothing")
    arguments.add_argument("--data", type=pathlib.Path, help="folder of the real data sets")
    arguments.add_argument("--verdicts", type=pathlib.Path, help="where the verdicts on real pairs go")
    arguments.add_argument("--limit", type=int, default=500, help="gold answers drawn from each real set")
    options = arguments.parse_args()
    if options.data:
        options.verdicts.write_text(json.dumps(real(options.data, options.limit)))
        return
    made = fixture()
    path = HERE / "rewards.json"
    if options.check:
        stored = json.loads(path.read_text())
        different = [row for row, old in zip(made["pairs"], stored["pairs"]) if row != old]
        if different or len(made["pairs"]) != len(stored["pairs"]):
            raise SystemExit(f"{len(different)} verdicts differ: {different[:5]}")
        print(f"{len(made['pairs'])} verdicts are the same")
        return
    lines = ",\n".join(json.dumps(row) for row in made["pairs"])
    path.write_text(f'{{"made_by": {json.dumps(made["made_by"])}, "pairs": [\n{lines}\n]}}\n')
    agreed = sum(row["peer"] for row in made["pairs"])
    print(f"{len(made['pairs'])} pairs, {agreed} of them equal")


if __name__ == "__main__":
    main()
