"""LipSDP-Neuron (Fazlyab et al. 2019) of the networks of `cargo bench --bench lipschitz`, as its semidefinite program is
written for cvxpy and solved by Clarabel: `lipschitz_peer.py [FOLDER]`.

The networks are the folder's `.npz` files, whose arrays are the layers' weights `[inputs, outputs]` in their order; of the
largest one a solver may take minutes. Prints the bound and the time of cvxpy's `solve`, and of the solver alone.
"""

import sys
import time
from pathlib import Path

import cvxpy
import numpy as np


def lipsdp(weights):
    """The program for layers `[outputs, inputs]` with ReLU between them."""
    inputs, hidden = weights[0].shape[1], [w.shape[0] for w in weights[:-1]]
    neurons = sum(hidden)
    # Each neuron's input by the network's input and all neurons' outputs.
    rows = np.zeros((neurons, inputs + neurons))
    first, before = 0, 0
    for w in weights[:-1]:
        rows[first : first + w.shape[0], before : before + w.shape[1]] = w
        before, first = inputs + first, first + w.shape[0]
    b = np.hstack([np.zeros((neurons, inputs)), np.eye(neurons)])
    c = b - rows
    output = np.zeros((weights[-1].shape[0], inputs + neurons))
    output[:, before:] = weights[-1]
    of_input = np.diag(np.r_[np.ones(inputs), np.zeros(neurons)])
    rho, multipliers = cvxpy.Variable(nonneg=True), cvxpy.Variable(neurons, nonneg=True)
    half = c.T @ cvxpy.diag(multipliers) @ b
    z = rho * of_input - output.T @ output + half + half.T
    return rho, cvxpy.Problem(cvxpy.Minimize(rho), [(z + z.T) / 2 >> 0])


def narrowed(weights):
    """A network of the same constant, with no more inputs than the first layer has outputs."""
    first = weights[0]
    if first.shape[1] > first.shape[0]:
        return [np.linalg.qr(first.T, mode="r").T, *weights[1:]]
    return weights


def main(folder):
    print("network            LipSDP-Neuron    cvxpy s   solver s")
    for path in sorted(Path(folder).glob("*.npz"), key=lambda path: path.stat().st_size):
        with np.load(path) as file:
            weights = narrowed([file[name].T for name in sorted(file.files, key=lambda name: int(name.strip("[]") or 0))])
        rho, problem = lipsdp(weights)
        start = time.perf_counter()
        problem.solve(solver=cvxpy.CLARABEL)
        seconds = time.perf_counter() - start
        print(f"{path.stem:<18} {np.sqrt(rho.value):>13.9f} {seconds:>10.2f} {problem.solver_stats.solve_time:>10.2f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "out/lipschitz")
