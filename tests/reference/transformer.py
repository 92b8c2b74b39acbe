#!/usr/bin/env python3
"""Decoder-only character transformer written by hand in NumPy: pre-norm blocks, exact GELU, learnt positions.

Mean over all characters of the cross-entropy. Data order as in char_rnn, rows [batch, time]; the last tenth of the text is
held out, the vocabulary is the whole text's.
"""

import math
import sys
from pathlib import Path

import numpy as np

import harness

erf = np.vectorize(math.erf, otypes=[float])


def load(args):
    text = np.frombuffer(args.text.read_bytes(), np.uint8)
    vocabulary, symbols = np.unique(text, return_inverse=True)
    return symbols[: len(symbols) - len(symbols) // 10], len(vocabulary)


def batch(args, data, number):
    length = args.batch * args.seq
    p = number % ((len(data[0]) - 1) // length) * length
    symbols = data[0][p : p + length + 1]
    return symbols[:-1].reshape(args.batch, -1), symbols[1:].reshape(args.batch, -1)


def initial(args, data, rng):
    d, v = args.width, data[1]
    small = lambda *s: 0.1 * rng.normal(size=s)  # noqa: E731
    p = {"characters.table": small(v, d), "positions": small(args.seq, d)}

    def norm(name):
        p.update({name + ".gain": 1 + small(d), name + ".bias": small(d)})

    def linear(name, i, o):
        p.update({name + ".w": harness.uniform(rng, i, o), name + ".b": small(o)})

    for k in range(args.layers):
        b = f"blocks.{k}."
        norm(b + "norm1")
        linear(b + "attention", d, 3 * d)
        linear(b + "join", d, d)
        norm(b + "norm2")
        linear(b + "expand", d, 4 * d)
        linear(b + "contract", 4 * d, d)
    norm("norm")
    linear("output", d, v)
    return p


def step(args, data, p, number):
    """Forward as a list of what pulls adjoints back, which is then run from its end."""
    inputs, targets = batch(args, data, number)
    (n, t), d, heads = inputs.shape, args.width, args.heads
    g = {}

    def norm(name, x):
        centred = x - x.mean(-1, keepdims=True)
        scale = 1 / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        y = centred * scale

        def back(bar):
            g[name + ".gain"], g[name + ".bias"] = (bar * y).sum((0, 1)), bar.sum((0, 1))
            bar = bar * p[name + ".gain"]
            return scale * (bar - bar.mean(-1, keepdims=True) - y * (bar * y).mean(-1, keepdims=True))

        return y * p[name + ".gain"] + p[name + ".bias"], back

    def linear(name, x):
        w = p[name + ".w"]

        def back(bar):
            g[name + ".w"] = x.reshape(-1, len(w)).T @ bar.reshape(-1, w.shape[1])
            g[name + ".b"] = bar.sum((0, 1))
            return bar @ w.T

        return x @ w + p[name + ".b"], back

    def attend(name, x):
        qkv, back_in = linear(name + "attention", x)
        q, k, v = qkv.reshape(n, t, 3, heads, d // heads).transpose(2, 0, 3, 1, 4)
        scale = 1 / math.sqrt(d // heads)
        scores = q @ k.swapaxes(-1, -2) * scale
        scores = np.where(np.tri(t, dtype=bool), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        mixed = (weights @ v).transpose(0, 2, 1, 3).reshape(n, t, d)
        y, back_out = linear(name + "join", mixed)

        def back(bar):
            bar = back_out(bar).reshape(n, t, heads, -1).transpose(0, 2, 1, 3)
            v_bar = weights.swapaxes(-1, -2) @ bar
            w_bar = bar @ v.swapaxes(-1, -2)
            s_bar = scale * weights * (w_bar - (w_bar * weights).sum(-1, keepdims=True))
            parts = np.stack((s_bar @ k, s_bar.swapaxes(-1, -2) @ q, v_bar))
            return back_in(parts.transpose(1, 3, 0, 2, 4).reshape(n, t, 3 * d))

        return y, back

    def feed(name, x):
        a, back_in = linear(name + "expand", x)
        cdf = (0.5 * (1 + erf(a / math.sqrt(2)))).astype(a.dtype)
        y, back_out = linear(name + "contract", a * cdf)
        density = np.exp(-0.5 * a * a) / math.sqrt(2 * math.pi)
        return y, lambda bar: back_in(back_out(bar) * (cdf + a * density))

    x = p["characters.table"][inputs] + p["positions"][:t]
    backs = []
    for k in range(args.layers):
        name = f"blocks.{k}."
        for part, which in ((attend, "norm1"), (feed, "norm2")):
            y, back_norm = norm(name + which, x)
            y, back_part = part(name, y)
            x = x + y
            backs.append((back_norm, back_part))
    y, back_norm = norm("norm", x)
    logits, back_out = linear("output", y)
    losses, bar = harness.cross_entropy(logits.reshape(n * t, -1), targets.ravel())
    bar = back_norm(back_out(bar.reshape(logits.shape) / (n * t)))
    for back_norm, back_part in reversed(backs):
        bar = bar + back_norm(back_part(bar))
    g["positions"] = np.zeros_like(p["positions"])
    g["positions"][:t] = bar.sum(0)
    g["characters.table"] = np.zeros_like(p["characters.table"])
    np.add.at(g["characters.table"], inputs, bar)
    return losses.mean(), {name: g[name] for name in p}


def parser():
    flags = harness.flags(__doc__, "adam", 1e-3, 16)
    flags.add_argument("--text", type=Path, required=True)
    flags.add_argument("--seq", type=int, default=64)
    flags.add_argument("--width", type=int, default=64)
    flags.add_argument("--heads", type=int, default=4)
    flags.add_argument("--layers", type=int, default=2)
    return flags


if __name__ == "__main__":
    harness.main("transformer", sys.modules["__main__"], parser().parse_args())
