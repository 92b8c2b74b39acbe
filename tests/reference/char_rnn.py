#!/usr/bin/env python3
"""Character-level RNN, LSTM and GRU written by hand in NumPy: what the library's training is compared with.

Independent of the library: the gradients are derived on paper (back-propagation through time), checked by
`--self-check` against differences. Written as one would for speed, too, so that its step time is a fair opponent:
the input projection gathers rows for all time steps at once, the gates are slices of one product, the output layer
and every weight gradient are one product over all time steps.

Data: the vocabulary is the file's distinct bytes, sorted. Step s takes characters from p = (s mod S)·B·T, where
S = (length − 1) // (B·T); chunk j is the T characters from p + j·T, its targets are shifted by one. The hidden state
is zero at every step unless `--carry`. Loss: sum over time of the batch mean cross-entropy. Weights are [in, out].

  rnn   h' = tanh(x·Wx + h·Wh + b)
  lstm  i f g o = x·Wx + h·Wh + b;  c' = σ(f)·c + σ(i)·tanh(g);  h' = σ(o)·tanh(c')
  gru   r, z = σ(x·Wx + b + h·Wh);  n = tanh(x·Wx + b + r·(h·Wh + bhn));  h' = (1 − z)·n + z·h   (gates r z n)
  all   logits = h'·Wy + by
"""

import argparse
import ctypes
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

GATES = {"rnn": 1, "lstm": 4, "gru": 3}


def keep_freed_memory():
    """Stops glibc from giving freed arrays back to the system: fetching them again would dominate small steps."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mmap_threshold, trim_threshold = -3, -1
        mallopt(mmap_threshold, 32 << 20)  # the largest that glibc takes
        mallopt(trim_threshold, 1 << 30)


def sigmoid(x):
    """1/(1 + e⁻ˣ) without overflow."""
    return 0.5 * np.tanh(0.5 * x) + 0.5


class Rnn:
    """Forward and backward pass of the simple cell over [time, batch, hidden]."""

    def __init__(self, p, shape):
        self.p = p
        self.h = np.zeros((shape[0] + 1, *shape[1:]), p["Wh"].dtype)

    def forward(self, xw, state):
        """`xw` is x·Wx + b for all time steps; returns all outputs and the last state."""
        h, wh = self.h, self.p["Wh"]
        h[0] = state[0]
        for t in range(len(xw)):
            a = h[t] @ wh
            a += xw[t]
            np.tanh(a, out=h[t + 1])
        return h[1:], (h[-1].copy(),)

    def backward(self, h_bar):
        """From the adjoints of all outputs: the adjoint of `xw`, and gradients of the cell's own weights."""
        wh_t = self.p["Wh"].T.copy()
        slope = 1 - self.h[1:] ** 2
        a_bar = np.empty_like(h_bar)
        carried = 0
        for t in reversed(range(len(h_bar))):
            np.multiply(h_bar[t] + carried, slope[t], out=a_bar[t])
            carried = a_bar[t] @ wh_t
        return a_bar, {"Wh": over_time(self.h[:-1]).T @ over_time(a_bar)}


class Lstm:
    """Forward and backward pass of long short-term memory."""

    def __init__(self, p, shape):
        steps, batch, hidden = shape
        self.p, self.hidden = p, hidden
        self.h, self.c = np.zeros((2, steps + 1, batch, hidden), p["Wh"].dtype)
        self.gates = np.empty((steps, batch, 4 * hidden), p["Wh"].dtype)
        self.tanh_c = np.empty(shape, p["Wh"].dtype)

    def forward(self, xw, state):
        n, wh, h, c = self.hidden, self.p["Wh"], self.h, self.c
        h[0], c[0] = state
        for t in range(len(xw)):
            a = np.matmul(h[t], wh, out=self.gates[t])
            a += xw[t]
            # σ(x) = ½ + ½·tanh(x/2): one tanh serves the four gates.
            a[:, : 2 * n] *= 0.5
            a[:, 3 * n :] *= 0.5
            np.tanh(a, out=a)
            for sigmoids in (a[:, : 2 * n], a[:, 3 * n :]):
                sigmoids *= 0.5
                sigmoids += 0.5
            np.multiply(a[:, n : 2 * n], c[t], out=c[t + 1])
            c[t + 1] += a[:, :n] * a[:, 2 * n : 3 * n]
            np.tanh(c[t + 1], out=self.tanh_c[t])
            np.multiply(a[:, 3 * n :], self.tanh_c[t], out=h[t + 1])
        return h[1:], (h[-1].copy(), c[-1].copy())

    def backward(self, h_bar):
        n, wh_t = self.hidden, self.p["Wh"].T.copy()
        i, f, g, o = (self.gates[:, :, k * n : (k + 1) * n] for k in range(4))
        # What the adjoint of c' (of h', for o) is multiplied by, for all time steps at once.
        slope = np.empty_like(self.gates)
        slope[:, :, :n] = g * i * (1 - i)
        slope[:, :, n : 2 * n] = self.c[:-1] * f * (1 - f)
        slope[:, :, 2 * n : 3 * n] = i * (1 - g * g)
        slope[:, :, 3 * n :] = self.tanh_c * o * (1 - o)
        from_h = o * (1 - self.tanh_c**2)
        a_bar = np.empty_like(self.gates)
        h_carried, c_carried = 0, 0
        for t in reversed(range(len(h_bar))):
            h_total = h_bar[t] + h_carried
            c_total = h_total * from_h[t] + c_carried
            s, a = slope[t], a_bar[t]
            for k in range(3):
                np.multiply(c_total, s[:, k * n : (k + 1) * n], out=a[:, k * n : (k + 1) * n])
            np.multiply(h_total, s[:, 3 * n :], out=a[:, 3 * n :])
            h_carried = a @ wh_t
            c_carried = c_total * f[t]
        return a_bar, {"Wh": over_time(self.h[:-1]).T @ over_time(a_bar)}


class Gru:
    """Forward and backward pass of the gated recurrent unit (the reset gate multiplies the product h·Wh)."""

    def __init__(self, p, shape):
        steps, batch, hidden = shape
        self.p, self.hidden = p, hidden
        self.h = np.zeros((steps + 1, batch, hidden), p["Wh"].dtype)
        self.rz = np.empty((steps, batch, 2 * hidden), p["Wh"].dtype)
        self.n, self.hn = np.empty((2, *shape), p["Wh"].dtype)

    def forward(self, xw, state):
        k, p, h = self.hidden, self.p, self.h
        h[0] = state[0]
        for t in range(len(xw)):
            hw = h[t] @ p["Wh"]
            self.rz[t] = sigmoid(xw[t, :, : 2 * k] + hw[:, : 2 * k])
            np.add(hw[:, 2 * k :], p["bhn"], out=self.hn[t])
            np.tanh(xw[t, :, 2 * k :] + self.rz[t, :, :k] * self.hn[t], out=self.n[t])
            h[t + 1] = self.n[t] + self.rz[t, :, k:] * (h[t] - self.n[t])
        return h[1:], (h[-1].copy(),)

    def backward(self, h_bar):
        k, wh_t = self.hidden, self.p["Wh"].T.copy()
        r, z = self.rz[:, :, :k], self.rz[:, :, k:]
        n_slope = (1 - z) * (1 - self.n**2)
        z_slope = (self.h[:-1] - self.n) * z * (1 - z)
        r_slope = self.hn * r * (1 - r)
        steps, batch, _ = h_bar.shape
        # The candidate's input part and recurrent part have adjoints of their own: n̄ and n̄·r.
        x_bar, hw_bar = np.empty((2, steps, batch, 3 * k), h_bar.dtype)
        carried = 0
        for t in reversed(range(steps)):
            total = h_bar[t] + carried
            n_bar = total * n_slope[t]
            x_bar[t, :, :k] = n_bar * r_slope[t]
            x_bar[t, :, k : 2 * k] = total * z_slope[t]
            x_bar[t, :, 2 * k :] = n_bar
            hw_bar[t, :, : 2 * k] = x_bar[t, :, : 2 * k]
            hw_bar[t, :, 2 * k :] = n_bar * r[t]
            carried = hw_bar[t] @ wh_t + total * z[t]
        gradients = {
            "Wh": over_time(self.h[:-1]).T @ over_time(hw_bar),
            "bhn": hw_bar[:, :, 2 * k :].sum((0, 1)),
        }
        return x_bar, gradients


CELLS = {"rnn": Rnn, "lstm": Lstm, "gru": Gru}


def over_time(x):
    """[time, batch, n] as [time·batch, n]."""
    return x.reshape(-1, x.shape[-1])


def loss_and_gradients(cell, p, inputs, targets, state):
    """Loss of [time, batch] symbols, the gradients of all parameters, and the state after the last step."""
    steps, batch = inputs.shape
    rows = np.arange(steps * batch)
    run = CELLS[cell](p, (steps, batch, len(p["Wh"])))
    xw = p["Wx"][inputs]
    xw += p["b"]
    h, last = run.forward(xw, state)
    h = over_time(h)

    logits = h @ p["Wy"]
    logits += p["by"]
    logits -= logits.max(1, keepdims=True)
    chosen = logits[rows, targets.ravel()]
    exp = np.exp(logits, out=logits)
    total = exp.sum(1, keepdims=True)
    loss = float((np.log(total[:, 0]) - chosen).sum() / batch)

    logits_bar = exp
    logits_bar /= total * batch
    logits_bar[rows, targets.ravel()] -= 1 / batch
    h_bar = (logits_bar @ p["Wy"].T).reshape(steps, batch, -1)
    x_bar, gradients = run.backward(h_bar)
    x_bar = over_time(x_bar)
    # Rows scattered back by a product with the one-hot inputs: far faster than np.add.at.
    one_hot = np.zeros((len(rows), len(p["Wx"])), h.dtype)
    one_hot[rows, inputs.ravel()] = 1
    gradients |= {"Wx": one_hot.T @ x_bar, "b": x_bar.sum(0), "Wy": h.T @ logits_bar, "by": logits_bar.sum(0)}
    return loss, gradients, last


def zero_state(cell, batch, hidden, dtype):
    return tuple(np.zeros((batch, hidden), dtype) for _ in range(2 if cell == "lstm" else 1))


def shapes(cell, vocabulary, hidden):
    """Names and shapes of the parameters, in order."""
    gates = GATES[cell] * hidden
    bhn = {"bhn": (hidden,)} if cell == "gru" else {}
    recurrent = {"Wx": (vocabulary, gates), "Wh": (hidden, gates), "b": (gates,), **bhn}
    return recurrent | {"Wy": (hidden, vocabulary), "by": (vocabulary,)}


def initial(cell, vocabulary, hidden, seed):
    """Everything uniform on ±1/√hidden, in f64; the output bias zero."""
    rng = np.random.default_rng(seed)
    limit = 1 / np.sqrt(hidden)
    p = {name: rng.uniform(-limit, limit, shape) for name, shape in shapes(cell, vocabulary, hidden).items()}
    p["by"][:] = 0
    return p


def batch_at(symbols, step, batch, length):
    """Inputs and targets of a step, each [time, batch]."""
    steps = (len(symbols) - 1) // (batch * length)
    p = step % steps * batch * length
    cut = symbols[p : p + batch * length + 1]
    return cut[:-1].reshape(batch, length).T, cut[1:].reshape(batch, length).T


class Optimizer:
    """SGD `w -= lr·g`; Adagrad `m += g²; w -= lr·g/(√m + 1e-10)`; Adam (Kingma & Ba 2015, algorithm 1)."""

    def __init__(self, name, lr, p):
        self.name, self.lr, self.count = name, lr, 0
        self.m, self.v = ({k: np.zeros_like(w) for k, w in p.items()} for _ in range(2))

    def update(self, p, gradients):
        self.count += 1
        for k, g in gradients.items():
            if self.name == "sgd":
                p[k] -= self.lr * g
            elif self.name == "adagrad":
                self.m[k] += g * g
                p[k] -= self.lr * g / (np.sqrt(self.m[k]) + 1e-10)
            else:
                self.m[k] += 0.1 * (g - self.m[k])
                self.v[k] += 0.001 * (g * g - self.v[k])
                m = self.m[k] / (1 - 0.9**self.count)
                p[k] -= self.lr * m / (np.sqrt(self.v[k] / (1 - 0.999**self.count)) + 1e-8)


def train(args, symbols, p):
    """Losses and milliseconds of every step, and the first step's gradients before clipping."""
    dtype = p["Wx"].dtype
    optimizer = Optimizer(args.optimizer, args.lr, p)
    zero = state = zero_state(args.cell, args.batch, args.hidden, dtype)
    losses, times, first = [], [], None
    for step in range(args.steps):
        start = time.perf_counter()
        inputs, targets = batch_at(symbols, step, args.batch, args.seq)
        loss, gradients, last = loss_and_gradients(args.cell, p, inputs, targets, state)
        state = last if args.carry else zero
        if first is None:
            first = {name: g.copy() for name, g in gradients.items()}
        if args.clip > 0:
            for g in gradients.values():
                np.clip(g, -args.clip, args.clip, out=g)
        optimizer.update(p, gradients)
        times.append(1e3 * (time.perf_counter() - start))
        losses.append(loss)
    return losses, times, first


def self_check():
    """Every gradient of every cell against differences, with a state carried in; returns the worst error."""
    rng = np.random.default_rng(1)
    worst = 0.0
    for cell in CELLS:
        p = initial(cell, 7, 5, 2)
        p["by"] += rng.normal(size=7)
        inputs, targets = rng.integers(0, 7, (2, 6, 3))
        state = tuple(rng.normal(size=s.shape) for s in zero_state(cell, 3, 5, float))
        _, gradients, _ = loss_and_gradients(cell, p, inputs, targets, state)
        for name, w in p.items():
            for i in np.ndindex(w.shape):

                def moved(h):
                    kept, w[i] = w[i], w[i] + h
                    loss = loss_and_gradients(cell, p, inputs, targets, state)[0]
                    w[i] = kept
                    return loss

                h = 1e-3
                difference = (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
                worst = max(worst, abs(difference - gradients[name][i]) / (1 + abs(difference)))
        if set(gradients) != set(p):
            sys.exit(f"{cell}: gradients of {sorted(gradients)} for parameters {sorted(p)}")
    return worst


def load(path, cell, vocabulary, hidden):
    """Parameters from an .npz, which must have the names and shapes of this model."""
    with np.load(path) as file:
        p = {name: file[name] for name in file.files}
    expected = shapes(cell, vocabulary, hidden)
    found = {name: w.shape for name, w in p.items()}
    if found != expected:
        sys.exit(f"{path}: has {found}, but the model needs {expected}")
    return {name: p[name] for name in expected}


def flags():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, help="file to train on")
    parser.add_argument("--cell", choices=CELLS, default="rnn")
    parser.add_argument("--hidden", type=int, default=50)
    parser.add_argument("--seq", type=int, default=20, help="characters a chunk")
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--optimizer", choices=["sgd", "adagrad", "adam"], default="sgd")
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--clip", type=float, default=5.0, help="limit of each gradient element; 0 for none")
    parser.add_argument("--precision", choices=["f32", "f64"], default="f64")
    parser.add_argument("--carry", action="store_true", help="carry the hidden state from step to step")
    parser.add_argument("--init", type=Path, help=".npz of initial weights (f64)")
    parser.add_argument("--make-init", action="store_true", help="write --init from --seed first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--grads", type=Path, help=".npz for the first step's gradients, before clipping")
    parser.add_argument("--report", type=Path, help="JSON for losses and times")
    parser.add_argument("--self-check", action="store_true", help="check the gradients against differences, and end")
    return parser


def main():
    parser = flags()
    args = parser.parse_args()
    keep_freed_memory()

    if args.self_check:
        worst = self_check()
        print(f"worst error of a gradient against differences: {worst:.1e}")
        sys.exit(0 if worst < 1e-9 else 1)
    if args.text is None:
        parser.error("--text is required")
    text = np.frombuffer(args.text.read_bytes(), np.uint8)
    vocabulary, symbols = np.unique(text, return_inverse=True)
    if len(symbols) < args.batch * args.seq + 1:
        sys.exit(f"{args.text}: {len(symbols)} bytes are too few for one step of {args.batch}·{args.seq} + 1")
    if args.make_init:
        if args.init is None:
            parser.error("--make-init needs --init")
        np.savez(args.init, **initial(args.cell, len(vocabulary), args.hidden, args.seed))
    if args.init:
        p = load(args.init, args.cell, len(vocabulary), args.hidden)
    else:
        p = initial(args.cell, len(vocabulary), args.hidden, args.seed)
    dtype = np.float32 if args.precision == "f32" else np.float64
    p = {name: w.astype(dtype) for name, w in p.items()}

    losses, times, first = train(args, symbols, p)
    if args.grads and first is not None:
        np.savez(args.grads, **first)
    median = statistics.median(times) if times else 0.0
    report = {
        "model": "char_rnn", "cell": args.cell, "mode": "numpy", "precision": args.precision, "steps": args.steps,
        "compile_ms": 0.0, "step_ms_median": median, "step_ms_min": min(times, default=0.0), "losses": losses,
    }  # fmt: skip
    if args.report:
        args.report.write_text(json.dumps(report, indent=1) + "\n")
    if losses:
        print(f"{args.cell} {args.precision}: {median:.3f} ms a step (at best {min(times):.3f}), loss {losses[0]:.6f} -> {losses[-1]:.6f}")


if __name__ == "__main__":
    main()
