"""What the reference trainings share: flags, the training loop, files. The models are the modules beside this one.

A model module has `initial(args, data, rng)`, which gives parameters by name; `load(args)`, which gives the data; and
`step(args, data, p, number)`, which gives the loss and the gradients of a step. Weights are [in, out].
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from char_rnn import Optimizer, keep_freed_memory  # noqa: E402


def flags(description, optimizer, lr, batch):
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--optimizer", choices=["sgd", "adagrad", "adam"], default=optimizer)
    parser.add_argument("--lr", type=float, default=lr)
    parser.add_argument("--precision", choices=["f32", "f64"], default="f64")
    parser.add_argument("--init", type=Path, help=".npz of initial weights (f64)")
    parser.add_argument("--make-init", action="store_true", help="write --init from --seed first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--grads", type=Path, help=".npz for the first step's gradients")
    parser.add_argument("--report", type=Path, help="JSON for losses and times")
    return parser


def uniform(rng, *shape):
    """Uniform on ±1/√n, where n is the first axis (the fan-in of [in, out])."""
    return rng.uniform(-1, 1, shape) / np.sqrt(shape[0])


def cross_entropy(logits, targets):
    """Cross-entropy of each row of logits [rows, classes] with its target, and the adjoint of the logits of their sum."""
    rows = np.arange(len(targets))
    shifted = logits - logits.max(1, keepdims=True)
    exp = np.exp(shifted)
    total = exp.sum(1, keepdims=True)
    losses = np.log(total[:, 0]) - shifted[rows, targets]
    exp /= total
    exp[rows, targets] -= 1
    return losses, exp


class Sparse:
    """The gradient of a few rows of a table."""

    def __init__(self, rows, values, shape):
        self.rows, self.values, self.shape = rows, values, shape

    def dense(self):
        g = np.zeros(self.shape, self.values.dtype)
        g[self.rows] = self.values
        return g


class SparseOptimizer(Optimizer):
    """SGD and Adagrad, which leave rows alone whose gradient is zero; of other optimisers for dense gradients only."""

    def update(self, p, gradients):
        super().update(p, {k: g for k, g in gradients.items() if not isinstance(g, Sparse)})
        for k, g in gradients.items():
            if isinstance(g, Sparse) and self.name == "sgd":
                p[k][g.rows] -= self.lr * g.values
            elif isinstance(g, Sparse):
                m = self.m[k][g.rows] + g.values * g.values
                self.m[k][g.rows] = m
                p[k][g.rows] -= self.lr * g.values / (np.sqrt(m) + 1e-10)


def main(name, model, args):
    keep_freed_memory()
    data = model.load(args)
    if args.make_init:
        np.savez(args.init, **model.initial(args, data, np.random.default_rng(args.seed)))
    with np.load(args.init) as file:
        p = {k: file[k].astype(np.float32 if args.precision == "f32" else np.float64) for k in file.files}
    optimizer = SparseOptimizer(args.optimizer, args.lr, p)
    losses, times = [], []
    for step in range(args.steps):
        start = time.perf_counter()
        loss, gradients = model.step(args, data, p, step)
        if step == 0 and args.grads:
            dense = {k: g.dense() if isinstance(g, Sparse) else g for k, g in gradients.items()}
            np.savez(args.grads, **dense)
        optimizer.update(p, gradients)
        times.append(1e3 * (time.perf_counter() - start))
        losses.append(float(loss))
    report = {
        "model": name, "mode": "numpy", "precision": args.precision, "steps": args.steps, "compile_ms": 0.0,
        "step_ms_median": statistics.median(times) if times else None,
        "step_ms_mean": statistics.mean(times) if times else None, "losses": losses,
    }  # fmt: skip
    if args.report:
        args.report.write_text(json.dumps(report) + "\n")
