"""The programs of `benches/control` in JAX, under `jax.jit`, in double precision. Prints a line for each: its name, what of
it was run, least nanoseconds of a run, value, first derivative.

Reverse mode does not go through `while_loop`, so loops that are differentiated in reverse are `scan`s: of as many steps as
there are, or, where data says when to stop, of a number that suffices.
"""

import os
import time

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
import jax
import jax.numpy as jnp
from jax import lax

jax.config.update("jax_enable_x64", True)
STEPS, ENOUGH = 1000, 40


def times(step):
    return lambda x: lax.scan(lambda y, _: (step(y), None), x, length=STEPS)[0]


def recurrence(x, a, b):
    return times(lambda x: jnp.sin(x) * a + x * b)(x)


def far(x, a):
    return jnp.abs(x * x - a) > a * 1e-10


def newton(a, x):
    return lax.while_loop(lambda x: far(x, a), lambda x: (x + a / x) * 0.5, x)


def bounded_newton(a, x):
    step = lambda x, _: (lax.cond(far(x, a), lambda x: (x + a / x) * 0.5, lambda x: x, x), None)
    return lax.scan(step, x, length=ENOUGH)[0]


def branch(x):
    return times(lambda y: lax.cond(y < 1, lambda y: y * x + x, lambda y: y * x, y))(x)


def report(name, what, f, inputs, derivative):
    f = jax.jit(f)
    inputs = [jnp.float64(x) for x in inputs]
    result = jax.block_until_ready(f(*inputs))
    best = float("inf")
    for _ in range(300):
        start = time.perf_counter_ns()
        jax.block_until_ready(f(*inputs))
        best = min(best, time.perf_counter_ns() - start)
    value, slope = (result[0], derivative(result[1])) if derivative else (result, 0.0)
    print(name, what, best, repr(float(value)), repr(float(slope)))


def forward(f):
    return lambda x, *rest: jax.jvp(lambda x: f(x, *rest), (x,), (jnp.ones_like(x),))


for name, f, reverse, inputs in [
    ("recurrence", recurrence, recurrence, [0.5, 0.3, 0.8]),
    ("newton", newton, bounded_newton, [2.0, 1000.0]),
    ("branch", branch, branch, [0.8]),
]:
    report(name, "evaluation", f, inputs, None)
    report(name, "gradient", jax.value_and_grad(reverse, tuple(range(len(inputs)))), inputs, lambda g: g[0])
    report(name, "forward", forward(f), inputs, lambda g: g)
