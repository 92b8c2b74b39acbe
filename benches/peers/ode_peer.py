"""The example `solvers --example spiral` in diffrax, from the weights and on the data in its report: `ode_peer.py REPORT.json`.

Tsitouras's method with the same tolerances and the derivative of the steps (`RecursiveCheckpointAdjoint`, once as it is by
default and once with room for every step, which computes none of them again), and Adam, all under one `jax.jit`, in double
precision on one thread. Prints median milliseconds of a step of training, and how far the losses are from the report's.
"""

import json
import os
import statistics
import sys
import time

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
import diffrax
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)


def main():
    with open(sys.argv[1]) as file:
        report = json.load(file)
    weights = [jnp.array(np.reshape(leaf["elements"], leaf["shape"])) for leaf in report["weights"]]
    times = jnp.array(report["times"])
    begin = jnp.array(np.reshape(report["begin"], (-1, 2)))
    expected = jnp.array(np.reshape(report["expected"], (len(times) - 1, *begin.shape)))
    tolerance, rate, losses = report["tolerance"], report["rate"], report["losses"]

    def slope(t, y, weights):
        w1, b1, w2, b2 = weights
        return jnp.tanh(y**3 @ w1 + b1) @ w2 + b2

    def loss(weights, adjoint, max_steps):
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(slope),
            diffrax.Tsit5(),
            times[0],
            times[-1],
            None,
            begin,
            weights,
            saveat=diffrax.SaveAt(ts=times[1:]),
            stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
            adjoint=adjoint,
            max_steps=max_steps,
        )
        return ((solution.ys - expected) ** 2).mean(), solution.stats["num_steps"]

    def training(adjoint, max_steps):
        @jax.jit
        def step(weights, m, v, t):
            (value, tried), g = jax.value_and_grad(loss, has_aux=True)(weights, adjoint, max_steps)
            t = t + 1
            m = [0.9 * m + 0.1 * g for m, g in zip(m, g)]
            v = [0.999 * v + 0.001 * g * g for v, g in zip(v, g)]
            new = [
                w - rate * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8) for w, m, v in zip(weights, m, v)
            ]
            return new, m, v, t, value, tried

        zeros = [jnp.zeros_like(w) for w in weights]
        state = (weights, zeros, zeros, jnp.array(0.0))
        jax.block_until_ready(step(*state))
        taken, found = [], []
        for _ in losses:
            start = time.perf_counter()
            *state, value, tried = jax.block_until_ready(step(*state))
            taken.append(1e3 * (time.perf_counter() - start))
            found.append(float(value))
        apart = max(abs(a - b) / abs(b) for a, b in zip(found, losses))
        at_first = max(abs(a - b) / abs(b) for a, b in zip(found[:10], losses[:10]))
        return statistics.median(taken), int(tried), at_first, apart

    print(f"the report's: {report['ms']:.3f} ms a step, {report['tried'][-1]:.0f} steps of the integration at last")
    most = int(2 * max(report["tried"]))
    for name, adjoint, max_steps in [
        ("diffrax", diffrax.RecursiveCheckpointAdjoint(), 4096),
        ("diffrax, room for every step", diffrax.RecursiveCheckpointAdjoint(checkpoints=most), most),
    ]:
        ms, tried, at_first, apart = training(adjoint, max_steps)
        print(
            f"{name}: {ms:.3f} ms a step ({ms / report['ms']:.2f} of the report's), {tried} steps at last; losses apart "
            f"by {at_first:.1e} in ten steps, {apart:.1e} in all",
            flush=True,
        )


if __name__ == "__main__":
    main()
