#!/usr/bin/env python3
"""Convolutional network written by hand in NumPy, its convolutions as products with the image's windows (im2col).

conv 5×5 1→10, pool, relu, conv 5×5 10→20, pool, relu, 320→50, relu, 50→10; mean cross-entropy of a batch. Kernels are OIHW;
pools take the maximum of 2 × 2.
"""

import sys

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import harness
import pictures
from pictures import load  # noqa: F401

SHAPES = {"w1": (10, 1, 5, 5), "w2": (20, 10, 5, 5), "f1": (320, 50), "b1": (50,), "f2": (50, 10), "b2": (10,)}


def initial(args, data, rng):
    p = {}
    for k, s in SHAPES.items():
        fan_in = np.prod(s[1:]) if len(s) == 4 else s[0]
        p[k] = 0.1 * rng.normal(size=s) if len(s) == 1 else rng.uniform(-1, 1, s) * np.sqrt(6 / fan_in)
    return p


def convolve(x, w):
    """Cross-correlation, and the windows [n, rows, columns, channels·25]."""
    windows = sliding_window_view(x, (5, 5), (2, 3)).transpose(0, 2, 3, 1, 4, 5)
    windows = windows.reshape(*windows.shape[:3], -1)
    return (windows @ w.reshape(len(w), -1).T).transpose(0, 3, 1, 2), windows


def convolve_back(y_bar, windows, w, x_shape):
    """Adjoints of kernel and image (None for none)."""
    rows = y_bar.transpose(0, 2, 3, 1)
    w_bar = np.tensordot(rows, windows, ((0, 1, 2), (0, 1, 2))).reshape(w.shape)
    if x_shape is None:
        return w_bar, None
    back = (rows @ w.reshape(len(w), -1)).reshape(*rows.shape[:3], *w.shape[1:])
    x_bar = np.zeros(x_shape, y_bar.dtype)
    r, c = rows.shape[1:3]
    for u in range(5):
        for v in range(5):
            x_bar[:, :, u : u + r, v : v + c] += back[..., u, v].transpose(0, 3, 1, 2)
    return w_bar, x_bar


def pool(x):
    """Maximum of each 2 × 2, and where in it the maximum stands."""
    n, c, h, w = x.shape
    tiles = x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h // 2, w // 2, 4)
    best = tiles.argmax(-1)[..., None]
    return np.take_along_axis(tiles, best, -1)[..., 0], best


def pool_back(y_bar, best):
    n, c, h, w = y_bar.shape
    tiles = np.zeros((n, c, h, w, 4), y_bar.dtype)
    np.put_along_axis(tiles, best, y_bar[..., None], -1)
    return tiles.reshape(n, c, h, w, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, 2 * h, 2 * w)


def step(args, data, p, number):
    x, labels = pictures.batch(args, data, number)
    n = len(labels)
    y1, windows1 = convolve(x.reshape(n, 1, 28, 28), p["w1"])
    y1, best1 = pool(y1)
    x1 = np.maximum(y1, 0)
    y2, windows2 = convolve(x1, p["w2"])
    y2, best2 = pool(y2)
    x2 = np.maximum(y2, 0).reshape(n, 320)
    x3 = np.maximum(x2 @ p["f1"] + p["b1"], 0)
    losses, bar = harness.cross_entropy(x3 @ p["f2"] + p["b2"], labels)
    bar /= n
    g = {"f2": x3.T @ bar, "b2": bar.sum(0)}
    bar = bar @ p["f2"].T * (x3 > 0)
    g |= {"f1": x2.T @ bar, "b1": bar.sum(0)}
    bar = (bar @ p["f1"].T).reshape(y2.shape) * (y2 > 0)
    g["w2"], bar = convolve_back(pool_back(bar, best2), windows2, p["w2"], x1.shape)
    g["w1"], _ = convolve_back(pool_back(bar * (y1 > 0), best1), windows1, p["w1"], None)
    return losses.mean(), g


def parser():
    return pictures.add_flags(harness.flags(__doc__, "sgd", 0.05, 100))


if __name__ == "__main__":
    harness.main("cnn", sys.modules["__main__"], parser().parse_args())
