"""The workloads in JAX, the whole step under `jax.jit`: `jax_peer.py MODEL jit FLAGS`.

Recurrence over time is `lax.scan`. A tree is worked on a height at a time, the numbers of leaves, heights and nodes of a
height rounded up so that a few compilations serve all trees.
"""

import os
from functools import partial

if os.environ.get("OMP_NUM_THREADS", "1") == "1":
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
import jax
import jax.numpy as jnp
import numpy as np
from common import main
from jax import lax


def cross_entropy(logits, targets):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], -1)[..., 0]


def char_rnn(args):
    def rnn(p, state, x):
        h = jnp.tanh(x + state[0] @ p["Wh"])
        return (h,), h

    def lstm(p, state, x):
        i, f, g, o = jnp.split(x + state[0] @ p["Wh"], 4, 1)
        c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    def loss(p, inputs, targets):
        zeros = jnp.zeros((args.batch, args.hidden), p["Wh"].dtype)
        step, state = (lstm, (zeros, zeros)) if args.cell == "lstm" else (rnn, (zeros,))
        _, h = lax.scan(partial(step, p), state, p["Wx"][inputs] + p["b"])
        return cross_entropy(h @ p["Wy"] + p["by"], targets).sum() / args.batch

    return loss


def cnn(args):
    def convolve(x, w):
        y = lax.conv_general_dilated(x, w, (1, 1), "VALID")
        n, c, h, width = y.shape
        return jax.nn.relu(y.reshape(n, c, h // 2, 2, width // 2, 2).max((3, 5)))

    def loss(p, images, labels):
        x = convolve(convolve(images.reshape(-1, 1, 28, 28), p["w1"]), p["w2"]).reshape(-1, 320)
        x = jax.nn.relu(x @ p["f1"] + p["b1"])
        return cross_entropy(x @ p["f2"] + p["b2"], labels).mean()

    return loss


def mlp(args):
    def loss(p, images, labels):
        x = jax.nn.relu(images @ p["w1"] + p["b1"])
        x = jax.nn.relu(x @ p["w2"] + p["b2"])
        return cross_entropy(x @ p["w3"] + p["b3"], labels).mean()

    return loss


def transformer(args):
    width, heads = args.width, args.heads

    def linear(p, name, x):
        return x @ p[name + ".w"] + p[name + ".b"]

    def norm(p, name, x):
        centred = x - x.mean(-1, keepdims=True)
        scale = lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return centred * scale * p[name + ".gain"] + p[name + ".bias"]

    def loss(p, inputs, targets):
        n, t = inputs.shape
        x = p["characters.table"][inputs] + p["positions"][:t]
        for k in range(args.layers):
            b = f"blocks.{k}."
            qkv = linear(p, b + "attention", norm(p, b + "norm1", x)).reshape(n, t, 3, heads, width // heads)
            q, k_, v = qkv.transpose(2, 0, 3, 1, 4)
            scores = q @ k_.swapaxes(-1, -2) / np.sqrt(width // heads).astype(x.dtype)
            weights = jax.nn.softmax(jnp.where(np.tri(t, dtype=bool), scores, -jnp.inf))
            x = x + linear(p, b + "join", (weights @ v).transpose(0, 2, 1, 3).reshape(n, t, width))
            hidden = jax.nn.gelu(linear(p, b + "expand", norm(p, b + "norm2", x)), approximate=False)
            x = x + linear(p, b + "contract", hidden)
        return cross_entropy(linear(p, "output", norm(p, "norm", x)), targets).mean()

    return loss


def tree_lstm(args):
    def loss(p, local, left, right, labels, known):
        """`left` and `right`: [groups, width]; nodes are the leaves, then group after group."""
        i, o, u = jnp.split(p["emb"][local] @ p["Wl"] + p["bl"], 3, 1)
        c_leaves = jax.nn.sigmoid(i) * jnp.tanh(u)
        h_leaves = jax.nn.sigmoid(o) * jnp.tanh(c_leaves)
        inner = jnp.zeros((left.size, h_leaves.shape[1]), h_leaves.dtype)
        h, c = jnp.concatenate((h_leaves, inner)), jnp.concatenate((c_leaves, inner))
        starts = len(local) + left.shape[1] * jnp.arange(left.shape[0])

        def height(state, at):
            (h, c), (left, right, start) = state, at
            both = jnp.concatenate((h[left], h[right]), 1)
            i, fl, fr, o, u = jnp.split(both @ p["U"] + p["bu"], 5, 1)
            gate = jax.nn.sigmoid
            new = gate(i) * jnp.tanh(u) + gate(fl) * c[left] + gate(fr) * c[right]
            put = partial(lax.dynamic_update_slice_in_dim, start_index=start, axis=0)
            return (put(h, gate(o) * jnp.tanh(new)), put(c, new)), None

        (h, _), _ = lax.scan(height, (h, c), (left, right, starts))
        return (cross_entropy(h @ p["Wy"] + p["by"], labels) * known).sum() / args.batch

    return loss


def up(n, multiple):
    return max(multiple, -(-n // multiple) * multiple)


def tree_arrays(tree, dtype):
    """Rows of the words, and the arrays of the loss."""
    leaves = up(len(tree.leaves), 16)
    # All nodes of a height, or up to 32 of them: of many trees few heights have many.
    groups = [group[i : i + 32] for group in tree.order for i in range(0, len(group), 32)]
    width, heights = up(max(map(len, groups), default=1), 8), up(len(groups), 8)
    rows = np.full(leaves, np.iinfo(np.int32).max, np.int32)
    rows[: len(tree.distinct)] = tree.distinct
    local = np.zeros(leaves, np.int32)
    local[: len(tree.local)] = tree.local
    place = np.zeros(len(tree.labels), np.int32)
    place[tree.leaves] = np.arange(len(tree.leaves))
    left, right = np.zeros((2, heights, width), np.int32)
    for k, group in enumerate(groups):
        left[k, : len(group)], right[k, : len(group)] = place[tree.left[group]], place[tree.right[group]]
        place[group] = leaves + k * width + np.arange(len(group))
    labels, known = np.zeros(leaves + heights * width, np.int32), np.zeros(leaves + heights * width, dtype)
    labels[place], known[place] = tree.labels, 1
    return rows, local, left, right, labels, known


MODELS = {"char_rnn": char_rnn, "cnn": cnn, "mlp": mlp, "transformer": transformer, "tree_lstm": tree_lstm}


def update(kind, lr, count, w, g, sums):
    """The reference's update of one parameter."""
    if kind == "sgd":
        return w - lr * g, sums
    if kind == "adagrad":
        m = sums[0] + g * g
        return w - lr * g / (jnp.sqrt(m) + 1e-10), (m,)
    m, v = sums[0] + 0.1 * (g - sums[0]), sums[1] + 0.001 * (g * g - sums[1])
    first, second = m / (1 - 0.9**count), v / (1 - 0.999**count)
    return w - lr * first / (jnp.sqrt(second) + 1e-8), (m, v)


class Peer:
    def __init__(self, model, how, args, p):
        self.args, self.tree, self.count = args, model == "tree_lstm", 0
        self.p = {k: jnp.array(w) for k, w in p.items()}
        self.sums = {k: tuple(map(jnp.zeros_like, [w] * {"sgd": 0, "adagrad": 1, "adam": 2}[args.optimizer])) for k, w in self.p.items()}
        self.loss = MODELS[model](args)
        self.compiled = {}

    def arrays(self, batch):
        if self.tree:
            return tree_arrays(batch, self.p["U"].dtype)
        return tuple(x if x.dtype.kind == "f" else x.astype(np.int32) for x in batch)

    def shape(self, batch):
        return tuple(x.shape for x in self.arrays(batch))

    def whole(self, p, sums, count, *arrays):
        """A step; of a table of words only the rows of the tree."""
        if self.tree:
            rows, *arrays = arrays
            inner = p | {"emb": p["emb"].at[rows].get(mode="fill", fill_value=0)}
            sums_in = sums | {"emb": tuple(s.at[rows].get(mode="fill", fill_value=0) for s in sums["emb"])}
        else:
            inner, sums_in = p, sums
        loss, g = jax.value_and_grad(self.loss)(inner, *arrays)
        if getattr(self.args, "clip", 0) > 0:
            g = {k: jnp.clip(x, -self.args.clip, self.args.clip) for k, x in g.items()}
        p_new, sums_new = {}, {}
        for k in p:
            p_new[k], sums_new[k] = update(self.args.optimizer, self.args.lr, count, inner[k], g[k], sums_in[k])
        if self.tree:
            p_new["emb"] = p["emb"].at[rows].set(p_new["emb"], mode="drop")
            sums_new["emb"] = tuple(s.at[rows].set(n, mode="drop") for s, n in zip(sums["emb"], sums_new["emb"]))
        return loss, p_new, sums_new

    def prepare(self, batch):
        arrays = self.arrays(batch)
        count = np.asarray(1, next(iter(self.p.values())).dtype)
        lowered = jax.jit(self.whole, donate_argnums=(0, 1)).lower(self.p, self.sums, count, *arrays)
        self.compiled[tuple(x.shape for x in arrays)] = lowered.compile()

    def gradients(self, batch):
        arrays, p = self.arrays(batch), self.p
        if self.tree:
            rows, *arrays = arrays
            p = p | {"emb": p["emb"].at[rows].get(mode="fill", fill_value=0)}
        g = jax.jit(jax.grad(self.loss))(p, *arrays)
        if self.tree:
            g["emb"] = jnp.zeros_like(self.p["emb"]).at[rows].set(g["emb"], mode="drop")
        return {k: np.asarray(x) for k, x in g.items()}

    def step(self, batch):
        self.count += 1
        arrays = self.arrays(batch)
        run = self.compiled[tuple(x.shape for x in arrays)]
        count = np.asarray(self.count, next(iter(self.p.values())).dtype)
        loss, self.p, self.sums = run(self.p, self.sums, count, *arrays)
        return float(loss)


def make(model, how, args, p):
    if args.precision == "f64":
        jax.config.update("jax_enable_x64", True)
    return Peer(model, how, args, p)


if __name__ == "__main__":
    main(make, ("jit",))
