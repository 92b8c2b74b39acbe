#!/usr/bin/env python3
"""Multi-layer perceptron 784-256-128-10 with relu, written by hand in NumPy; mean cross-entropy of a batch."""

import sys

import numpy as np

import harness
import pictures
from pictures import load  # noqa: F401

SHAPES = {"w1": (784, 256), "b1": (256,), "w2": (256, 128), "b2": (128,), "w3": (128, 10), "b3": (10,)}


def initial(args, data, rng):
    return {k: harness.uniform(rng, *s) * np.sqrt(6) if len(s) == 2 else 0.1 * rng.normal(size=s) for k, s in SHAPES.items()}


def step(args, data, p, number):
    x, labels = pictures.batch(args, data, number)
    layers = [x]
    for k in "12":
        layers.append(np.maximum(layers[-1] @ p["w" + k] + p["b" + k], 0))
    losses, bar = harness.cross_entropy(layers[-1] @ p["w3"] + p["b3"], labels)
    bar /= len(labels)
    g = {}
    for k in "321":
        x = layers[int(k) - 1]
        g |= {"w" + k: x.T @ bar, "b" + k: bar.sum(0)}
        if k != "1":
            bar = bar @ p["w" + k].T * (x > 0)
    return losses.mean(), g


def parser():
    return pictures.add_flags(harness.flags(__doc__, "sgd", 0.1, 64))


if __name__ == "__main__":
    harness.main("mlp", sys.modules["__main__"], parser().parse_args())
