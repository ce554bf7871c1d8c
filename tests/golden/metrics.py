"""Writes metrics.json: fits, correlations, spectra and representation similarities by NumPy, SciPy and friends.

    python metrics.py            # rewrites the fixture beside this file
    python metrics.py --check    # recomputes and compares, writes nothing

Needs numpy, scipy, scikit-learn and torch (the last for bf16 rounding only). CKA and CKNNA are written out naively.
"""

import argparse
import json
import platform
import sys
from pathlib import Path

import numpy as np
import scipy
import sklearn
import torch
from scipy import optimize, stats
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import r2_score

FIXTURE = Path(__file__).with_name("metrics.json")


def law(rng):
    """Forgetting against KL: skewed x, saturating y, ties in both, and integer weights with zeros."""
    x = np.round(rng.exponential(1.5, 60), 1)  # rounding makes ties
    x[0] = 25.0  # one far outlier
    y = np.round(0.6 * (1 - np.exp(-0.5 * x)) + 0.05 * rng.standard_normal(60), 2)
    weights = rng.integers(0, 4, 60).astype(float)
    cases = {}
    for name, w in [("each_once", np.ones(60)), ("weighted", weights)]:
        repeat = w.astype(int)
        xs, ys = np.repeat(x, repeat), np.repeat(y, repeat)
        coefficients = np.polyfit(xs, ys, 2)
        isotonic = IsotonicRegression(out_of_bounds="nan").fit(x, y, sample_weight=w)
        levels = np.linspace(0.3, 20.0, 9)
        cases[name] = {
            "weights": w,
            "polyfit": coefficients[::-1],
            "quadratic_r2": r2_score(ys, np.polyval(coefficients, xs)),
            "isotonic_r2": r2_score(ys, isotonic.predict(xs)),
            "levels": levels,
            "isotonic_at": isotonic.predict(levels),
            "pearson": stats.pearsonr(xs, ys).statistic,
            "spearman": stats.spearmanr(xs, ys).statistic,
        }
    return {"x": x, "y": y, **cases}


def held_out(rng):
    """Fit on two groups, score on the third."""
    x = rng.uniform(0, 3, 45)
    groups = np.arange(45) % 3
    y = 0.1 * x**2 + 0.02 * rng.standard_normal(45) + 0.03 * (groups == 2)
    results = []
    for group in range(3):
        inside = groups == group
        coefficients = np.polyfit(x[~inside], y[~inside], 2)
        residuals = y[inside] - np.polyval(coefficients, x[inside])
        results.append({
            "r2": r2_score(y[inside], y[inside] - residuals),
            "mean_residual": residuals.mean(),
            "root_mean_square": np.sqrt((residuals**2).mean()),
        })
    return {"x": x, "y": y, "groups": groups, "results": results}


def exponential(rng):
    """y = a - b exp(c (x - end)) with noise, by curve_fit from a good start."""
    x = np.sort(rng.uniform(0.86, 0.97, 25))
    y = 0.74 - 0.35 * np.exp(40.0 * (x - 0.97)) + 0.005 * rng.standard_normal(25)
    model = lambda x, a, b, c: a - b * np.exp(c * (x - x.max()))
    (a, b, c), _ = optimize.curve_fit(model, x, y, p0=(0.74, 0.35, 40.0), ftol=1e-14, xtol=1e-14, gtol=1e-14)
    return {"x": x, "y": y, "a": a, "b": b, "c": c, "r2": r2_score(y, model(x, a, b, c))}


def seeds(rng):
    """Student's interval of a mean, for few and many values."""
    cases = []
    for n in (2, 3, 5, 6, 10, 40):
        values = rng.standard_normal(n)
        half = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)
        cases.append({"values": values, "low": values.mean() - half, "high": values.mean() + half})
    return cases


def weights(rng):
    """Weights before and after steps of many sizes, compared in f32 and after torch's rounding to bf16."""
    before = (0.05 * rng.standard_normal((24, 10))).astype(np.float32)
    before[0, :4] = [0.0, 1.0, 1.0, 2.0]
    step = rng.standard_normal((24, 10)) * 10.0 ** rng.uniform(-9, -2, (24, 10))
    after = (before + step).astype(np.float32)
    after[0, :4] = [-0.0, 1.0 + 2.0**-8, 1.0 + 3 * 2.0**-8, 2.0]  # zero's sign, both directions of a tie
    fisher = rng.exponential(1.0, (24, 10)).astype(np.float32)
    delta = after.astype(np.float64) - before.astype(np.float64)
    rounded = [torch.from_numpy(w).to(torch.bfloat16) for w in (before, after)]
    return {
        "n_rows": 24, "n_cols": 10,
        "before": before, "after": after, "fisher": fisher,
        "mean_abs": np.abs(delta).mean(),
        "unchanged_f32": (before == after).mean(),
        "unchanged_bf16": (rounded[0] == rounded[1]).double().mean().item(),
        "within_tolerance": (np.abs(delta) <= 1e-5).mean(),
        "fisher_weighted": (fisher.astype(np.float64) * delta**2).sum(),
        "singular_values": np.linalg.svd(delta, compute_uv=False),
    }


def neighbours(kernel, k):
    """Boolean [N, N]: j is one of the k largest of row i, i itself left out."""
    kernel = kernel.copy()
    np.fill_diagonal(kernel, -np.inf)
    order = np.argsort(-kernel, axis=1, kind="stable")[:, :k]
    mask = np.zeros(kernel.shape, bool)
    np.put_along_axis(mask, order, True, axis=1)
    return mask


def representation(rng):
    """CKA and CKNNA from whole N x N kernels in f64."""
    n, k = 50, 7
    left = rng.standard_normal((n, 6)).astype(np.float32)
    mix = rng.standard_normal((6, 9))
    right = np.maximum(left @ mix + 0.7 * rng.standard_normal((n, 9)) + 0.5, 0.0).astype(np.float32)
    centring = np.eye(n) - 1.0 / n
    kernels = [centring @ f.astype(np.float64) @ f.astype(np.float64).T @ centring for f in (left, right)]
    masks = [neighbours(kernel, k) for kernel in kernels]

    def inner(a, b, restrict):
        alpha = masks[a] & masks[b] if restrict else np.ones((n, n), bool)
        return (kernels[a] * kernels[b] * alpha).sum()

    def similarity(restrict):
        return inner(0, 1, restrict) / np.sqrt(inner(0, 0, restrict) * inner(1, 1, restrict))

    return {"n_samples": n, "n_neighbors": k, "left": left, "right": right,
            "cka": similarity(False), "cknna": similarity(True)}


def plain(value):
    """NumPy to JSON. An f32 becomes the shortest decimal of its exact f64 value, so it reads back to the same bits."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.ravel().tolist()]
    if isinstance(value, np.generic):
        return value.item()
    return value


def make():
    versions = {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__,
                "scikit-learn": sklearn.__version__, "torch": torch.__version__.split("+")[0]}
    parts = [law, held_out, exponential, seeds, weights, representation]
    return plain({"made_by": versions}
                 | {part.__name__: part(np.random.default_rng(seed)) for seed, part in enumerate(parts)})


def close(old, new):
    if isinstance(old, dict):
        return old.keys() == new.keys() and all(close(old[key], new[key]) for key in old if key != "made_by")
    if isinstance(old, list):
        return len(old) == len(new) and all(map(close, old, new))
    return old == new or bool(np.isclose(old, new, rtol=1e-9, atol=1e-12))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the fixture and write nothing")
    fixture = make()
    if parser.parse_args().check:
        sys.exit(0 if close(json.loads(FIXTURE.read_text()), fixture) else f"{FIXTURE.name} differs")
    lines = [f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in fixture.items()]
    FIXTURE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
