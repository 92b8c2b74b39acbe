"""What `benches/linalg.rs` times, in NumPy and SciPy, and in JAX under `jax.jit`: `linalg_peer.py [numpy | jax]`.

Prints a line for each: its name, least milliseconds of a run, and the root of the sum of the squares of what was computed.
Gradients of NumPy's are written by hand, as one would without a library for them, with SciPy's triangular solutions.
"""

import sys

from timing import numbers, report

import numpy as np

# Matrices at once and their rows; a number is not a batch.
SIZES = [("", (), n) for n in (2, 3, 4, 8, 64, 256)] + [("_of_1000", (1000,), n) for n in (2, 4, 8)]


def inputs(batch, n):
    a = numbers([*batch, n, n], 1) + np.eye(n) * 2
    return a, numbers([*batch, n, 1] if batch else [n], 2), a @ a.mT + np.eye(n)


def with_numpy():
    from scipy.linalg import lu_factor, lu_solve, solve_triangular

    def solve_gradient(a, b):
        if b.ndim > 1:
            # SciPy's factors are of one matrix, or loop over them.
            x = np.linalg.solve(a, b)
            b_bar = np.linalg.solve(a.mT, 2 * x)
            return -b_bar @ x.mT, b_bar
        factors = lu_factor(a, check_finite=False)
        x = lu_solve(factors, b, check_finite=False)
        b_bar = lu_solve(factors, 2 * x, trans=1, check_finite=False)
        return np.outer(-b_bar, x), b_bar

    def cholesky_gradient(a):
        factor = np.linalg.cholesky(a)
        # Of the sum of squares of the factor.
        inner = np.tril(factor.mT @ (2 * factor))
        inner *= 1 - np.eye(len(inner[0])) / 2
        if factor.ndim > 2:
            left = np.linalg.solve(factor.mT, inner)
            whole = np.linalg.solve(factor.mT, left.mT)
            return (whole + whole.mT) / 2
        left = solve_triangular(factor, inner, lower=True, trans=1, check_finite=False)
        whole = solve_triangular(factor, left.T, lower=True, trans=1, check_finite=False)
        return (whole + whole.T) / 2

    for many, batch, n in SIZES:
        a, b, positive = inputs(batch, n)
        report(f"solve{many}_{n}", lambda: np.linalg.solve(a, b), lambda x: [x])
        report(f"solve_gradient{many}_{n}", lambda: solve_gradient(a, b), list)
        report(f"cholesky{many}_{n}", lambda: np.linalg.cholesky(positive), lambda x: [x])
        report(f"cholesky_gradient{many}_{n}", lambda: cholesky_gradient(positive), lambda x: [x])


def with_jax():
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    leaves = lambda x: jax.tree.leaves(jax.block_until_ready(x))
    squares = lambda f: lambda *x: (f(*x) ** 2).sum()
    solve, cholesky = jax.jit(jnp.linalg.solve), jax.jit(jnp.linalg.cholesky)
    solve_gradient = jax.jit(jax.grad(squares(jnp.linalg.solve), (0, 1)))
    cholesky_gradient = jax.jit(jax.grad(squares(jnp.linalg.cholesky)))
    for many, batch, n in SIZES:
        a, b, positive = map(jnp.array, inputs(batch, n))
        report(f"solve{many}_{n}", lambda: solve(a, b), leaves)
        report(f"solve_gradient{many}_{n}", lambda: solve_gradient(a, b), leaves)
        report(f"cholesky{many}_{n}", lambda: cholesky(positive), leaves)
        report(f"cholesky_gradient{many}_{n}", lambda: cholesky_gradient(positive), leaves)


{"numpy": with_numpy, "jax": with_jax}[sys.argv[1]]()
