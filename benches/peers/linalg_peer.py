"""What `benches/linalg.rs` times, in NumPy and SciPy, and in JAX under `jax.jit`: `linalg_peer.py [numpy | jax]`.

Prints a line for each: its name, least milliseconds of a run, and the root of the sum of the squares of what was computed.
Gradients of NumPy's are written by hand, as one would without a library for them, with SciPy's triangular solutions.
"""

import sys

from timing import numbers, report

import numpy as np

SIZES = (2, 3, 4, 8, 64, 256)


def inputs(n):
    a = numbers([n, n], 1) + np.eye(n) * 2
    return a, numbers([n], 2), a @ a.T + np.eye(n)


def with_numpy():
    from scipy.linalg import lu_factor, lu_solve, solve_triangular

    def solve_gradient(a, b):
        factors = lu_factor(a, check_finite=False)
        x = lu_solve(factors, b, check_finite=False)
        b_bar = lu_solve(factors, 2 * x, trans=1, check_finite=False)
        return np.outer(-b_bar, x), b_bar

    def cholesky_gradient(a):
        factor = np.linalg.cholesky(a)
        # Of the sum of squares of the factor.
        inner = np.tril(factor.T @ (2 * factor))
        inner[np.diag_indices_from(inner)] *= 0.5
        left = solve_triangular(factor, inner, lower=True, trans=1, check_finite=False)
        whole = solve_triangular(factor, left.T, lower=True, trans=1, check_finite=False)
        return (whole + whole.T) / 2

    for n in SIZES:
        a, b, positive = inputs(n)
        report(f"solve_{n}", lambda: np.linalg.solve(a, b), lambda x: [x])
        report(f"solve_gradient_{n}", lambda: solve_gradient(a, b), list)
        report(f"cholesky_{n}", lambda: np.linalg.cholesky(positive), lambda x: [x])
        report(f"cholesky_gradient_{n}", lambda: cholesky_gradient(positive), lambda x: [x])


def with_jax():
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    leaves = lambda x: jax.tree.leaves(jax.block_until_ready(x))
    squares = lambda f: lambda *x: (f(*x) ** 2).sum()
    solve, cholesky = jax.jit(jnp.linalg.solve), jax.jit(jnp.linalg.cholesky)
    solve_gradient = jax.jit(jax.grad(squares(jnp.linalg.solve), (0, 1)))
    cholesky_gradient = jax.jit(jax.grad(squares(jnp.linalg.cholesky)))
    for n in SIZES:
        a, b, positive = map(jnp.array, inputs(n))
        report(f"solve_{n}", lambda: solve(a, b), leaves)
        report(f"solve_gradient_{n}", lambda: solve_gradient(a, b), leaves)
        report(f"cholesky_{n}", lambda: cholesky(positive), leaves)
        report(f"cholesky_gradient_{n}", lambda: cholesky_gradient(positive), leaves)


{"numpy": with_numpy, "jax": with_jax}[sys.argv[1]]()
