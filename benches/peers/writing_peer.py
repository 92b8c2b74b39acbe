"""What `benches/writing.rs` times, in PyTorch and in JAX under `jax.jit`: `writing_peer.py [torch | jax]`.

Prints a line for each: its name, least milliseconds of a run, and the root of the sum of the squares of what was computed.
The longest programs are left out where a run would take more than seconds.
"""

import sys

from timing import numbers, report

import numpy as np


def with_torch():
    import torch

    torch.set_num_threads(1)

    def chain(x, c):
        b = torch.zeros_like(x)
        last = torch.zeros((), dtype=x.dtype)
        for i in range(len(x)):
            last = last * c + x[i]
            b[i] = last
        return b

    def rows(x, w):
        h = torch.zeros(len(x) + 1, len(w), dtype=x.dtype)
        for t in range(len(x)):
            h[t + 1] = x[t] @ w + h[t]
        return h

    def gradient(f, *x):
        x = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in x]
        return torch.autograd.grad((f(*x) ** 2).sum(), x)

    for n in (1_000, 10_000):
        x, c = numbers([n], 1), 0.5
        report(f"chain_{n}", lambda: chain(torch.tensor(x), torch.tensor(c, dtype=torch.float64)), lambda x: [x.numpy()])
        report(f"chain_gradient_{n}", lambda: gradient(chain, x, c), lambda x: [x.numpy() for x in x])
    for n in (1_000, 10_000):
        x, w = numbers([n, 32], 2), numbers([32, 32], 3)
        report(f"rows_{n}", lambda: rows(torch.tensor(x), torch.tensor(w)), lambda x: [x.numpy()])
        report(f"rows_gradient_{n}", lambda: gradient(rows, x, w), lambda x: [x.numpy() for x in x])


def with_jax():
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    leaves = lambda x: jax.tree.leaves(jax.block_until_ready(x))

    def chain(x, c):
        def step(i, state):
            last, b = state
            last = last * c + x[i]
            return last, b.at[i].set(last)

        return jax.lax.fori_loop(0, len(x), step, (0.0, jnp.zeros_like(x)))[1]

    def rows(x, w):
        step = lambda t, h: h.at[t + 1].set(x[t] @ w + h[t])
        return jax.lax.fori_loop(0, len(x), step, jnp.zeros((len(x) + 1, len(w))))

    def both(name, f, *x):
        run, slope = jax.jit(f), jax.jit(jax.grad(lambda *x: (f(*x) ** 2).sum(), (0, 1)))
        report(name, lambda: run(*x), leaves)
        report(name.replace("_", "_gradient_"), lambda: slope(*x), leaves)

    for n in (1_000, 10_000, 100_000):
        both(f"chain_{n}", chain, jnp.array(numbers([n], 1)), 0.5)
    for n in (1_000, 10_000):
        both(f"rows_{n}", rows, jnp.array(numbers([n, 32], 2)), jnp.array(numbers([32, 32], 3)))


{"torch": with_torch, "jax": with_jax}[sys.argv[1]]()
