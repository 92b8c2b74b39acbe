"""What the example `one_step` times, in JAX under `jax.jit` and in double precision: `one_step_peer.py [logistic | qp] SIZES`.

Newton's method for weighted logistic regression and an interior-point method for quadratic programs, with the derivative
unrolled, implicit, or of one step, which are written here as one would with `jax.custom_vjp` and `lax.stop_gradient`. Prints
a table like the example's, of the least time of five runs. Where they are installed, Optimistix (Newton's method for the
regression's gradient, `ImplicitAdjoint`) and JAXopt (OSQP for the programs: it has no interior-point method, nor Newton's)
are timed as well, and what they find is compared.
"""

import os
import sys
import time

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

jax.config.update("jax_enable_x64", True)
RUNS = 5


def least(f, *x):
    jax.block_until_ready(f(*x))
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        jax.block_until_ready(f(*x))
        times.append((time.perf_counter() - start) * 1e3)
    return min(times)


def logistic(p):
    rng = np.random.default_rng(p)
    y = np.repeat([1.0, -1.0], p)
    x = rng.standard_normal((2 * p, p)) + y[:, None] * rng.standard_normal(p) / np.sqrt(p)
    x, y, w, lam = jnp.array(x), jnp.array(y), jnp.full(2 * p, 1 / (2 * p)), -5.0
    begin = jnp.zeros(p).at[0].set(0.5)

    def loss(beta, w):
        return (w * jax.nn.softplus(-y * (x @ beta))).sum() + 0.5 * jnp.exp(lam) * beta @ beta

    gradient = jax.grad(loss)

    def hessian(beta, w):
        s = jax.nn.sigmoid(y * (x @ beta))
        return x.T @ (x * (w * s * (1 - s))[:, None]) + jnp.exp(lam) * jnp.eye(p)

    def step(beta, w):
        factor = jax.scipy.linalg.cho_factor(hessian(beta, w))
        return beta - jax.scipy.linalg.cho_solve(factor, gradient(beta, w))

    def solve(w):
        return lax.while_loop(lambda b: jnp.linalg.norm(gradient(b, w)) > 1e-10, lambda b: step(b, w), begin)

    beta, steps = begin, 0
    while jnp.linalg.norm(gradient(beta, w)) > 1e-10:
        beta, steps = step(beta, w), steps + 1

    @jax.custom_vjp
    def implicit(w):
        return solve(w)

    def backward(kept, beta_bar):
        beta, w = kept
        u = -jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(hessian(beta, w)), beta_bar)
        return jax.vjp(lambda w: gradient(beta, w), w)[1](u)

    implicit.defvjp(lambda w: (beta := solve(w), (beta, w)), backward)
    value = lambda f: lambda w: 0.5 * (f(w) ** 2).sum()

    def others():
        import optimistix

        solver = optimistix.Newton(rtol=1e-10, atol=1e-10)
        found = lambda w: optimistix.root_find(lambda b, w: gradient(b, w), solver, begin, args=w, max_steps=100).value
        return {"Optimistix, Newton": value(found)}

    one_step = lambda w: step(lax.stop_gradient(solve(lax.stop_gradient(w))), w)
    unrolled = lambda w: lax.fori_loop(0, steps, lambda _, b: step(b, w), begin)
    derivatives = {"implicit": value(implicit), "one_step": value(one_step), "unrolled": value(unrolled)}
    return steps, w, value(solve), derivatives, others


def quadratic(n):
    rng = np.random.default_rng(n)
    uniform = lambda *shape: jnp.array(rng.uniform(-1, 1, shape))
    m, p = n // 4, n // 2
    factor, q, a, g, inside = uniform(n, 2 * n), uniform(n), uniform(m, n), uniform(p, n), uniform(n)
    big, b, h = factor @ factor.T, a @ inside, g @ inside + 0.5 * uniform(p) + 0.5

    def residual(z, b):
        x, y, l, s = jnp.split(z, [n, n + m, n + m + p])
        return jnp.concatenate([big @ x + q + a.T @ y + g.T @ l, a @ x - b, g @ x + s - h, l * s])

    def eliminated(z, r, factor):
        x, y, l, s = jnp.split(z, [n, n + m, n + m + p])
        r1, r2, r3, r4 = jnp.split(r, [n, n + m, n + m + p])
        right = jnp.concatenate([r1 - g.T @ ((r4 - l * r3) / s), r2])
        xy = jax.scipy.linalg.lu_solve(factor, right)
        ds = r3 - g @ xy[:n]
        return jnp.concatenate([xy, (r4 - l * ds) / s, ds])

    def factored(z):
        x, y, l, s = jnp.split(z, [n, n + m, n + m + p])
        kkt = jnp.block([[big + g.T @ (g * (l / s)[:, None]), a.T], [a, jnp.zeros((m, m))]])
        return jax.scipy.linalg.lu_factor(kkt)

    def length(v, d):
        return jnp.min(jnp.where(d < 0, v / jnp.where(d < 0, -d, 1), 1e10))

    def step(z, b):
        factor, r = factored(z), residual(z, b)
        d = -eliminated(z, r, factor)
        l, s = z[n + m : n + m + p], z[n + m + p :]
        dl, ds = d[n + m : n + m + p], d[n + m + p :]
        t = jnp.minimum(length(l, dl), length(s, ds))
        mu = (l * s).mean()
        sigma = (((l + t * dl) * (s + t * ds)).mean() / mu) ** 3
        d = -eliminated(z, r.at[n + m + p :].add(dl * ds - sigma * mu), factor)
        dl, ds = d[n + m : n + m + p], d[n + m + p :]
        t = jnp.minimum(1.0, 0.995 * jnp.minimum(length(l, dl), length(s, ds)))
        return z + t * d

    def newton(z, b):
        return z - eliminated(lax.stop_gradient(z), residual(z, b), lax.stop_gradient(factored(z)))

    begin = jnp.concatenate([jnp.zeros(n + m), jnp.ones(2 * p)])
    enough = lambda z, b: jnp.linalg.norm(residual(z, b)) <= 1e-8

    def solve(b):
        goes_on = lambda c: (~enough(c[0], b)) & (c[1] < 100)
        return lax.while_loop(goes_on, lambda c: (step(c[0], b), c[1] + 1), (begin, 0))[0]

    z, steps = begin, 0
    while not enough(z, b) and steps < 100:
        z, steps = step(z, b), steps + 1

    @jax.custom_vjp
    def implicit(b):
        return solve(b)

    def backward(kept, z_bar):
        z, b = kept
        matrix = jax.jacfwd(residual)(z, b)
        u = -jnp.linalg.solve(matrix.T, z_bar)
        return jax.vjp(lambda b: residual(z, b), b)[1](u)

    implicit.defvjp(lambda b: (z := solve(b), (z, b)), backward)
    value = lambda f: lambda b: 0.5 * (f(b)[:n] ** 2).sum()

    def others():
        import jaxopt

        solver = jaxopt.OSQP(tol=1e-8, maxiter=20000)
        found = lambda b: solver.run(None, (big, q), (a, b), (g, h)).params.primal
        return {"JAXopt, OSQP": value(found)}

    one_step = lambda b: newton(lax.stop_gradient(solve(lax.stop_gradient(b))), b)
    unrolled = lambda b: lax.fori_loop(0, steps, lambda _, z: step(z, b), begin)
    derivatives = {"implicit": value(implicit), "one_step": value(one_step), "unrolled": value(unrolled)}
    return steps, b, value(solve), derivatives, others


def main():
    experiment = {"logistic": logistic, "qp": quadratic}[sys.argv[1]]
    print("size steps    forward   value and gradient over forward: implicit, one-step, unrolled")
    for size in map(int, sys.argv[2:]):
        steps, theta, forward, derivatives, others = experiment(size)
        alone = least(jax.jit(forward), theta)
        times = [least(jax.jit(jax.value_and_grad(f)), theta) for f in derivatives.values()]
        print(f"{size:>4} {steps:>5} {alone:>10.3f} " + " ".join(f"{t / alone:>9.3f}" for t in times), flush=True)
        try:
            libraries = others()
        except ImportError as error:
            print(f"     ({error})")
            continue
        exact = jax.grad(derivatives["implicit"])(theta)
        for name, f in libraries.items():
            alone, both = least(jax.jit(f), theta), least(jax.jit(jax.value_and_grad(f)), theta)
            apart = jnp.linalg.norm(jax.grad(f)(theta) - exact) / jnp.linalg.norm(exact)
            print(f"     {name}: {alone:.3f} ms forward, {both / alone:.3f} with the gradient, {apart:.0e} from the implicit", flush=True)


if __name__ == "__main__":
    main()
