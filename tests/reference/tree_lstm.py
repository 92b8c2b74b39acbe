#!/usr/bin/env python3
"""Binary Tree-LSTM sentiment classifier written by hand in NumPy (Tai, Socher & Manning 2015).

  leaf   i o u = x·Wl + bl;               c = σ(i)·tanh(u);                         h = σ(o)·tanh(c)
  inner  i fl fr o u = [hl; hr]·U + bu;   c = σ(i)·tanh(u) + σ(fl)·cl + σ(fr)·cr;   h = σ(o)·tanh(c)
  all    logits = h·Wy + by; the loss is the sum over all nodes of the cross-entropy of their labels

A step takes one tree, or the mean over `--batch` of them. Nodes are worked on in groups: by default all nodes of one
height at once, of all trees, which is what one would write for speed; with `--node-by-node` one by one, children before
parents, which is what the formulas say.
"""

import sys
from pathlib import Path

import numpy as np

import harness
from char_rnn import sigmoid


class Tree:
    """A tree as arrays over its nodes, children before parents; leaves are those with a word."""

    def __init__(self, line, numbers):
        self.labels, self.words, self.left, self.right, self.height = [], [], [], [], []
        tokens = line.replace("(", " ( ").replace(")", " ) ").split()
        self.at = 0
        self.read(tokens, numbers)
        assert self.at == len(tokens), line
        self.labels, self.words, self.left, self.right, self.height = (
            np.array(x) for x in (self.labels, self.words, self.left, self.right, self.height)
        )
        self.finish([len(self.labels) - 1])

    def finish(self, roots):
        self.roots = roots
        self.leaves = np.flatnonzero(self.words >= 0)
        self.distinct, self.local = np.unique(self.words[self.leaves], return_inverse=True)

    @classmethod
    def together(cls, trees):
        """Several trees as one with several roots."""
        if len(trees) == 1:
            return trees[0]
        all_, starts = cls.__new__(cls), np.cumsum([0, *(len(tree.labels) for tree in trees)])
        for name in ("labels", "words", "height"):
            setattr(all_, name, np.concatenate([getattr(tree, name) for tree in trees]))
        for name in ("left", "right"):
            moved = [np.where((x := getattr(tree, name)) < 0, x, x + start) for tree, start in zip(trees, starts)]
            setattr(all_, name, np.concatenate(moved))
        all_.finish([int(start) - 1 for start in starts[1:]])
        return all_

    def read(self, tokens, numbers):
        assert tokens[self.at] == "("
        label = int(tokens[self.at + 1])
        self.at += 2
        if tokens[self.at] == "(":
            left = self.read(tokens, numbers)
            right = self.read(tokens, numbers)
            height = 1 + max(self.height[left], self.height[right])
            node = (label, -1, left, right, height)
        else:
            node = (label, numbers.setdefault(tokens[self.at], len(numbers)), -1, -1, 0)
            self.at += 1
        assert tokens[self.at] == ")"
        self.at += 1
        for column, value in zip((self.labels, self.words, self.left, self.right, self.height), node):
            column.append(value)
        return len(self.labels) - 1

    def groups(self, node_by_node):
        """The inner nodes in groups, each of which needs only earlier ones."""
        if node_by_node:
            return [np.array([n]) for n in np.flatnonzero(self.words < 0)]
        return [np.flatnonzero(self.height == h) for h in range(1, self.height.max() + 1)]


def load(args):
    numbers = {}
    lines = [line for line in args.trees.read_text().splitlines() if line.strip()]
    trees = [Tree(line, numbers) for line in lines]
    trees = trees[: args.train or len(trees) * 9 // 11]
    # The last step of a pass takes what it lacks from the first ones.
    starts = range(0, len(trees), args.batch)
    steps = [Tree.together([trees[(start + i) % len(trees)] for i in range(args.batch)]) for start in starts]
    for tree in steps:
        tree.order = tree.groups(args.node_by_node)
    return steps, numbers


def initial(args, data, rng):
    n, e, words = args.hidden, args.embedding, len(data[1])
    return {
        "emb": 0.3 * rng.normal(size=(words, e)), "Wl": harness.uniform(rng, e, 3 * n), "bl": 0.1 * rng.normal(size=3 * n),
        "U": harness.uniform(rng, 2 * n, 5 * n), "bu": 0.1 * rng.normal(size=5 * n),
        "Wy": harness.uniform(rng, n, 5), "by": 0.1 * rng.normal(size=5),
    }  # fmt: skip


def step(args, data, p, number):
    tree = data[0][number % len(data[0])]
    n = len(p["Wy"])
    h, c = np.empty((2, len(tree.labels), n), p["U"].dtype)
    rows = p["emb"][tree.distinct]
    x = rows[tree.local]
    a = x @ p["Wl"]
    a += p["bl"]
    gates = sigmoid(a[:, : 2 * n])
    i, o, u = gates[:, :n], gates[:, n:], np.tanh(a[:, 2 * n :])
    c[tree.leaves] = i * u
    tanh_c = np.tanh(c[tree.leaves])
    h[tree.leaves] = o * tanh_c
    leaf = i, o, u, tanh_c
    saved = []
    for group in tree.order:
        left, right = tree.left[group], tree.right[group]
        both = np.concatenate((h[left], h[right]), 1)
        a = both @ p["U"]
        a += p["bu"]
        gates = sigmoid(a[:, : 4 * n])
        i, fl, fr, o = (gates[:, k * n : (k + 1) * n] for k in range(4))
        u = np.tanh(a[:, 4 * n :])
        cl, cr = c[left], c[right]
        new = i * u + fl * cl + fr * cr
        tanh_c = np.tanh(new)
        c[group], h[group] = new, o * tanh_c
        saved.append((group, left, right, both, i, fl, fr, o, u, cl, cr, tanh_c))

    logits = h @ p["Wy"] + p["by"]
    losses, logits_bar = harness.cross_entropy(logits, tree.labels)
    logits_bar /= args.batch
    g = {"Wy": h.T @ logits_bar, "by": logits_bar.sum(0)}
    h_bar, c_bar = logits_bar @ p["Wy"].T, np.zeros_like(c)
    u_t, boths, a_bars = p["U"].T, [], []
    for group, left, right, both, i, fl, fr, o, u, cl, cr, tanh_c in reversed(saved):
        above = h_bar[group]
        c_here = c_bar[group] + above * o * (1 - tanh_c * tanh_c)
        a_bar = np.concatenate(
            (
                c_here * u * i * (1 - i), c_here * cl * fl * (1 - fl), c_here * cr * fr * (1 - fr),
                above * tanh_c * o * (1 - o), c_here * i * (1 - u * u),
            ),
            1,
        )  # fmt: skip
        c_bar[left], c_bar[right] = c_here * fl, c_here * fr
        below = a_bar @ u_t
        h_bar[left] += below[:, :n]
        h_bar[right] += below[:, n:]
        boths.append(both)
        a_bars.append(a_bar)
    if saved:
        # One product for all nodes instead of one a node.
        a_bar = np.concatenate(a_bars)
        g |= {"U": np.concatenate(boths).T @ a_bar, "bu": a_bar.sum(0)}
    else:
        g |= {"U": np.zeros_like(p["U"]), "bu": np.zeros_like(p["bu"])}
    i, o, u, tanh_c = leaf
    above = h_bar[tree.leaves]
    c_here = c_bar[tree.leaves] + above * o * (1 - tanh_c * tanh_c)
    a_bar = np.concatenate(
        (c_here * u * i * (1 - i), above * tanh_c * o * (1 - o), c_here * i * (1 - u * u)), 1
    )
    g |= {"Wl": x.T @ a_bar, "bl": a_bar.sum(0)}
    rows_bar = np.zeros_like(rows)
    np.add.at(rows_bar, tree.local, a_bar @ p["Wl"].T)
    g["emb"] = harness.Sparse(tree.distinct, rows_bar, p["emb"].shape)
    return losses.sum() / args.batch, g


def parser():
    flags = harness.flags(__doc__, "adagrad", 0.05, 1)
    flags.add_argument("--trees", type=Path, required=True)
    flags.add_argument("--hidden", type=int, default=150)
    flags.add_argument("--embedding", type=int, default=300)
    flags.add_argument("--train", type=int, help="trees to train on")
    flags.add_argument("--node-by-node", action="store_true")
    return flags


if __name__ == "__main__":
    harness.main("tree_lstm", sys.modules["__main__"], parser().parse_args())
