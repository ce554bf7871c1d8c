"""PyTorch peer of `cargo xtask bench parity`: how fast ParityMNIST trains and evaluates on all cores.

    python parity_bench.py --json --seconds 2

One single-threaded process per core, started together before every repeat; a rate is the sum over processes.
Needs only torch and numpy. The data are random bytes of the right shape: no rate depends on their values.
README.md beside this file says what is measured and why it is fair.
"""

import argparse
import json
import os
import platform
import statistics
import time

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"  # before the import: thread pools are sized there

import numpy  # noqa: E402
import torch  # noqa: E402
import torch.multiprocessing as multiprocessing  # noqa: E402
import torch.nn.functional as F  # noqa: E402

N_TRAIN, N_TEST, N_PIXELS, N_LABELS = 20_000, 10_000, 784, 10
BATCH, GROUP_SIZE, EVAL_CHUNK = 64, 8, 1_000
MEAN, STD, TASK_BIT = 0.1307, 0.3081, 1.0
MATRIX_SIDE = 512
LEARNING_RATE = 1e-4
MEASURES = ("sft_steps", "grpo_steps", "eval_images", "matrix_gflop")


def make_policy():
    """The 785-512-256-10 ReLU network."""
    return torch.nn.Sequential(
        torch.nn.Linear(N_PIXELS + 1, 512),
        torch.nn.ReLU(),
        torch.nn.Linear(512, 256),
        torch.nn.ReLU(),
        torch.nn.Linear(256, N_LABELS),
    )


def cross_entropy_loss(logits, digits):
    """SFT-1: every even digit is labelled 0, every odd one 1."""
    return F.cross_entropy(logits, digits % 2)


def grpo_loss(logits, digits):
    """Std-normalised GRPO: one forward pass, G labels drawn per row, reward 1 for the right parity."""
    log_probs = logits.log_softmax(1)
    with torch.no_grad():
        labels = torch.multinomial(log_probs.exp(), GROUP_SIZE, replacement=True)
        rewards = (labels % 2 == (digits % 2)[:, None]).float()
        centred = rewards - rewards.mean(1, keepdim=True)
        advantages = centred / (rewards.std(1, keepdim=True) + 1e-4)
    return -(advantages * log_probs.gather(1, labels)).mean()


class Worker:
    """What one process trains and evaluates."""

    def __init__(self, index):
        torch.manual_seed(index)
        self.images = torch.randint(0, 256, (N_TRAIN, N_PIXELS), dtype=torch.uint8)
        self.digits = torch.randint(0, 10, (N_TRAIN,))
        test = torch.randint(0, 256, (N_TEST, N_PIXELS), dtype=torch.uint8)
        self.test = torch.empty(N_TEST, N_PIXELS + 1)
        self.test[:, :N_PIXELS] = (test.float() - 255 * MEAN) / (255 * STD)
        self.test[:, N_PIXELS] = TASK_BIT
        self.test_digits = torch.randint(0, 10, (N_TEST,))
        self.order = torch.randperm(N_TRAIN)
        self.position = 0
        self.batch = torch.full((BATCH, N_PIXELS + 1), TASK_BIT)
        self.policy = make_policy()
        self.optimizer = torch.optim.AdamW(
            self.policy.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, fused=True
        )
        self.left = torch.randn(MATRIX_SIDE, MATRIX_SIDE)
        self.right = torch.randn(MATRIX_SIDE, MATRIX_SIDE)
        self.product = torch.empty(MATRIX_SIDE, MATRIX_SIDE)

    def next_batch(self):
        """Gathers 64 images by index and normalises their bytes, into one buffer that is used again."""
        if self.position + BATCH > N_TRAIN:
            self.order = torch.randperm(N_TRAIN)
            self.position = 0
        rows = self.order[self.position : self.position + BATCH]
        self.position += BATCH
        pixels = self.batch[:, :N_PIXELS]
        pixels.copy_(self.images.index_select(0, rows))
        pixels.sub_(255 * MEAN).mul_(1 / (255 * STD))
        return self.batch, self.digits.index_select(0, rows)

    def step(self, loss_of):
        """One training step."""
        batch, digits = self.next_batch()
        loss = loss_of(self.policy(batch), digits)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return 1.0

    @torch.no_grad()
    def evaluate(self):
        """Greedy parity accuracy of the 10,000 test images, in chunks."""
        right = 0
        for start in range(0, N_TEST, EVAL_CHUNK):
            labels = self.policy(self.test[start : start + EVAL_CHUNK]).argmax(1)
            right += (labels % 2 == self.test_digits[start : start + EVAL_CHUNK] % 2).sum().item()
        assert 0 <= right <= N_TEST
        return float(N_TEST)

    @torch.no_grad()
    def multiply(self):
        """One f32 matrix product, in GFLOP."""
        torch.mm(self.left, self.right, out=self.product)
        return 2e-9 * MATRIX_SIDE**3

    def unit(self, measure):
        """The repeatable piece of work behind a measure; it returns the amount done."""
        return {
            "sft_steps": lambda: self.step(cross_entropy_loss),
            "grpo_steps": lambda: self.step(grpo_loss),
            "eval_images": self.evaluate,
            "matrix_gflop": self.multiply,
        }[measure]


def rate(unit, seconds):
    """Amount per second over at least `seconds`."""
    done, start = 0.0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        done += unit()
    return done / elapsed


def work(index, barrier, results, measures, seconds, repeats):
    """Body of a process: every repeat of every measure begins together with the other processes."""
    torch.set_num_threads(1)
    worker = Worker(index)
    for measure in measures:
        unit = worker.unit(measure)
        rate(unit, 0.25 * seconds)  # warm-up: first-call set-up, page faults, clock
        for repeat in range(repeats):
            barrier.wait()
            results.put((measure, repeat, rate(unit, seconds)))


def measure_all(n_processes, measures, seconds, repeats):
    """Rates summed over processes: measure -> one figure per repeat."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(n_processes), context.Queue()
    shared = (barrier, results, measures, seconds, repeats)
    processes = [context.Process(target=work, args=(index, *shared), daemon=True) for index in range(n_processes)]
    for process in processes:
        process.start()
    totals = {measure: [0.0] * repeats for measure in measures}
    for _ in range(n_processes * len(measures) * repeats):
        measure, repeat, value = results.get(timeout=60 + 10 * seconds)
        totals[measure][repeat] += value
    for process in processes:
        process.join()
    return totals


def summary(rates):
    """Median, best and each repeat."""
    return {"median": statistics.median(rates), "best": max(rates), "each": rates}


def main():
    """Measures, then prints a table or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="least length of one repeat (default: 2)")
    parser.add_argument("--repeats", type=int, default=5, help="repeats of each measure (default: 5)")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="default: one per core")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    arguments = parser.parse_args()
    if arguments.seconds <= 0 or arguments.repeats < 1 or arguments.processes < 1:
        parser.error("--seconds must be above 0, --repeats and --processes at least 1")

    alone = measure_all(1, ("matrix_gflop",), arguments.seconds, arguments.repeats)
    together = measure_all(arguments.processes, MEASURES, arguments.seconds, arguments.repeats)
    report = {
        "peer": "pytorch",
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": len(os.sched_getaffinity(0)),
        "processes": arguments.processes,
        "threads_per_process": 1,
        "allocator": os.environ.get("LD_PRELOAD", "") or "the C library's default",
        "optimizer": "AdamW(fused=True)",
        "batch": BATCH,
        "group_size": GROUP_SIZE,
        "seconds": arguments.seconds,
        "repeats": arguments.repeats,
        "sft_steps_per_second": summary(together["sft_steps"]),
        "grpo_steps_per_second": summary(together["grpo_steps"]),
        "eval_images_per_second": summary(together["eval_images"]),
        "matrix_gflops_one_process": summary(alone["matrix_gflop"]),
        "matrix_gflops_all_processes": summary(together["matrix_gflop"]),
    }
    if arguments.json:
        print(json.dumps(report))
        return
    for name, value in report.items():
        print(f"{name:<28}", f"{value['median']:>12,.1f} median {value['best']:>12,.1f} best" if isinstance(value, dict) else value)


if __name__ == "__main__":
    main()
