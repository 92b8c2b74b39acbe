"""What bounds a training step: how long its arithmetic takes at the peak of one core, and how long what it has to move.

Counted are the products, forward and backward, at two operations a multiplication; and the bytes that have to come from
memory and go back even if everything else stays in a cache: parameters and the optimiser's sums, read and written once.
Elementwise functions, which a recurrent step has many of, come on top of both.
"""

import re
import time

import numpy as np


def best(f, rounds=20):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return min(times)


def peaks():
    """GFLOP/s of a large product in f32 by NumPy, and GB/s of a copy that no cache holds (read and written)."""
    a = np.ones((1024, 1024), np.float32)
    b, c = np.ones(1 << 26, np.float32), np.zeros(1 << 26, np.float32)
    product = np.empty_like(a)
    return 2 * 1024**3 / best(lambda: np.matmul(a, a, out=product)) / 1e9, 2 * b.nbytes / best(lambda: np.copyto(c, b), 5) / 1e9


def leaves_of(path, count):
    lines = [line for line in path.read_text().splitlines() if line.strip()][:count]
    return [len(re.findall(r"\([0-4] [^()]", line)) for line in lines]


def multiplications(workload, flags):
    """Of a step: those of forward products, by how many products each has in all (with gradients of both factors, 3)."""
    get = lambda name, default=0: int(flags.get("--" + name, default))
    if workload.model == "char_rnn":
        hidden, tokens, symbols = get("hidden"), get("seq") * get("batch"), 26
        gates = {"rnn": 1, "gru": 3, "lstm": 4}[flags["--cell"]]
        return 3 * tokens * hidden * (gates * hidden + symbols)
    if workload.model == "tree_lstm":
        hidden, embedding = get("hidden", 150), get("embedding", 300)
        leaves = leaves_of(flags["--trees"], get("train"))
        per_leaf, per_inner, label = embedding * 3 * hidden, 2 * hidden * 5 * hidden, hidden * 5
        return 3 * get("batch", 1) * np.mean([n * per_leaf + (n - 1) * per_inner + (2 * n - 1) * label for n in leaves])
    if workload.model == "cnn":
        first, second, full = 24 * 24 * 10 * 25, 8 * 8 * 20 * 250, 320 * 50 + 50 * 10
        return get("batch") * (2 * first + 3 * (second + full))
    if workload.model == "mlp":
        return get("batch") * (2 * 784 * 256 + 3 * (256 * 128 + 128 * 10))
    width, layers, time_ = get("width", 64), get("layers", 2), get("seq")
    a_token = layers * (12 * width**2 + 2 * time_ * width) + width * 26
    return 3 * get("batch") * time_ * a_token


def moved(workload, flags, parameters):
    """Bytes of parameters and what the optimiser keeps of each."""
    optimizer = flags.get("--optimizer", {"tree_lstm": "adagrad", "transformer": "adam"}.get(workload.model, "sgd"))
    kept = {"sgd": 0, "adagrad": 1, "adam": 2}[optimizer]
    return 2 * 4 * (1 + kept) * parameters


def table(rows):
    """Rows of (name, multiplications, bytes, milliseconds) against the peaks of this core."""
    gflops, gbytes = peaks()
    parts = [
        f"One core does {gflops:.0f} GFLOP/s in a large product in f32, and copies {gbytes:.1f} GB/s.\n",
        "| step | MFLOP | MB | ms at the peak | ms taken | GFLOP/s | share of the bound |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, count, size, ms in rows:
        bound = 1e3 * max(2 * count / gflops, size / gbytes) / 1e9
        what = "arithmetic" if 2 * count / gflops >= size / gbytes else "memory"
        parts.append(
            f"| {name} | {2 * count / 1e6:.1f} | {size / 1e6:.2f} | {bound:.3f} ({what}) | {ms:.3g} | {2 * count / ms / 1e6:.0f} | {100 * bound / ms:.0f} % |"
        )
    return "\n".join(parts) + "\n"
