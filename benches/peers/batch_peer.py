"""What `benches/batch.rs` times, in JAX under `jax.jit` and in PyTorch's `torch.func`: `batch_peer.py [jax | torch]`.

Prints a line for each: its name, least milliseconds of a run, and the root of the sum of the squares of what was computed.
"""

import sys

from timing import numbers, report

import numpy as np

OBSERVATIONS = 31_843


def mlp():
    sizes = [784, 256, 128, 10]
    weights = [numbers([a, b], i) * 0.1 for i, (a, b) in enumerate(zip(sizes, sizes[1:]))]
    biases = [numbers([b], i) for i, b in enumerate(sizes[1:])]
    labels = numbers([64, 10], 6).argmax(1)
    return weights, biases, numbers([64, 784], 5), labels


def observations():
    n = OBSERVATIONS
    return numbers([n, 11], 1) + 2.0, numbers([n, 3], 2), numbers([n], 3) + 1.0, numbers([n, 2], 4)


def with_jax():
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    leaves = lambda x: jax.tree.leaves(jax.block_until_ready(x))

    def rosenbrock(x):
        return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()

    hessian, x = jax.jit(jax.hessian(rosenbrock)), jnp.array(numbers([100], 1))
    report("hessian", lambda: hessian(x), leaves)

    def loss(weights, biases, x, label):
        for w, b in zip(weights[:-1], biases):
            x = jax.nn.relu(x @ w + b)
        return -jax.nn.log_softmax(x @ weights[-1] + biases[-1])[label]

    weights, biases, xs, labels = mlp()
    single = lambda x: jnp.array(x, jnp.float32)
    weights, biases, xs, labels = list(map(single, weights)), list(map(single, biases)), single(xs), jnp.array(labels)
    gradients = jax.jit(jax.vmap(jax.grad(loss, (0, 1)), (None, None, 0, 0)))
    report("samples", lambda: gradients(weights, biases, xs, labels), leaves)

    def residual(camera, point, weight, feature):
        rotation, centre = camera[:3], camera[3:6]
        angle = jnp.sqrt((rotation**2).sum())
        axis, moved = rotation / angle, point - centre
        along = (axis @ moved) * (1 - jnp.cos(angle))
        seen = moved * jnp.cos(angle) + jnp.cross(axis, moved) * jnp.sin(angle) + axis * along
        plane = seen[:2] / seen[2]
        square = (plane**2).sum()
        projected = plane * (1 + square * camera[9] + square**2 * camera[10]) * camera[6] + camera[7:9]
        return (projected - feature) * weight

    data = list(map(jnp.array, observations()))
    for name, jacobian in (("blocks_reverse", jax.jacrev), ("blocks_forward", jax.jacfwd)):
        blocks = jax.jit(jax.vmap(jacobian(residual, (0, 1, 2))))
        report(name, lambda: blocks(*data), leaves)

    def unrolled(xs, w):
        h = jnp.zeros(64)
        for x in xs:
            h = jnp.tanh(w @ h + x)
        return h

    w, xs = jnp.array(numbers([64, 64], 1) * 0.3), jnp.array(numbers([50, 64], 2))
    adjoints = [jnp.array(numbers([64], i)) for i in range(64)]
    value = jax.jit(lambda w, xs: jax.vjp(lambda xs: unrolled(xs, w), xs))
    apply = jax.jit(lambda back, y_bar: back(y_bar))

    def pulled():
        _, back = value(w, xs)
        return [apply(back, y_bar) for y_bar in adjoints]

    report("pulled", pulled, leaves)


def with_torch():
    import torch

    torch.set_num_threads(1)
    func = torch.func

    def leaves(x):
        if isinstance(x, torch.Tensor):
            return [x.detach().numpy()]
        return [leaf for part in x for leaf in leaves(part)]

    def rosenbrock(x):
        return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()

    hessian, x = func.hessian(rosenbrock), torch.tensor(numbers([100], 1))
    report("hessian", lambda: hessian(x), leaves)

    def loss(weights, biases, x, label):
        for w, b in zip(weights[:-1], biases):
            x = torch.relu(x @ w + b)
        return -torch.log_softmax(x @ weights[-1] + biases[-1], -1).gather(-1, label[None])[0]

    weights, biases, xs, labels = mlp()
    single = lambda x: torch.tensor(x, dtype=torch.float32)
    weights, biases = tuple(map(single, weights)), tuple(map(single, biases))
    xs, labels = single(xs), torch.tensor(labels)
    gradients = func.vmap(func.grad(loss, (0, 1)), (None, None, 0, 0))
    report("samples", lambda: gradients(weights, biases, xs, labels), leaves)

    def unrolled(xs, w):
        h = torch.zeros(64, dtype=torch.float64)
        for x in xs:
            h = torch.tanh(w @ h + x)
        return h

    w, xs = torch.tensor(numbers([64, 64], 1) * 0.3), torch.tensor(numbers([50, 64], 2), requires_grad=True)
    adjoints = [torch.tensor(numbers([64], i)) for i in range(64)]

    def pulled():
        y = unrolled(xs, w)
        return [torch.autograd.grad(y, xs, y_bar, retain_graph=True)[0] for y_bar in adjoints]

    report("pulled", pulled, leaves)


if __name__ == "__main__":
    {"jax": with_jax, "torch": with_torch}[sys.argv[1]]()
