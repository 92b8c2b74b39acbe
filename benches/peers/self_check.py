"""Checks that opponents are refused whose gradients or losses are not the others': `self_check.py`, quiet if so."""

import tempfile
from pathlib import Path

import numpy as np
import run

OURS = "antiphon compiled"
PEERS = ("numpy", "torch eager", "torch library", "jax jit")
NAN = float("nan")


def refused(precision="f32", **changed):
    """Who is refused, where these differences are not nothing."""
    worst = {o: {"gradients": 0.0, "losses": 0.0} for o in (*PEERS[1:], OURS)}
    for key, found in changed.items():
        part, o = key.split("_", 1)
        worst[o.replace("_", " ")][part] = found
    return run.judge(worst, PEERS, precision)[1]


def check_differences():
    losses = [3 / (1 + k) for k in range(50)]
    for step, value in ((0, 3.1), (49, NAN)):
        other = [*losses]
        other[step] = value
        assert run.apart(losses, losses) == 0.0 and not run.apart(other, losses) <= 1e-3
    with tempfile.TemporaryDirectory() as directory:
        a, b = Path(directory) / "a.npz", Path(directory) / "b.npz"
        for name in "wb":
            arrays = {"w": np.ones((3, 4)), "b": np.ones(4)}
            np.savez(b, **arrays)
            for value in (1.1, NAN):
                arrays[name].flat[2] = value
                np.savez(a, **arrays)
                assert run.gradients_apart(b, b) == 0.0 and not run.gradients_apart(a, b) <= 1e-4, (name, value)


def check_judgement():
    assert refused() == []
    for o in (OURS, "jax jit"):
        key = o.replace(" ", "_")
        assert refused(**{"gradients_" + key: 2e-4}) == refused(**{"gradients_" + key: NAN}) == [o]
        assert refused(**{"losses_" + key: 2e-3}) == refused(**{"losses_" + key: NAN}) == [o]
        assert refused("f64", **{"losses_" + key: 2e-9}) == refused("f64", **{"gradients_" + key: 2e-10}) == [o]
    # Chaos: no two agree, and nobody is held to losses; but two that agree hold this crate.
    chaos = {f"losses_{o.replace(' ', '_')}": 0.1 for o in (*PEERS[1:], OURS)}
    assert refused(**chaos) == []
    assert refused(**chaos | {"losses_torch_eager": 1e-4}) == [OURS]
    assert refused(**chaos | {"losses_antiphon_compiled": NAN}) == [OURS]
    assert refused(**chaos | {"gradients_jax_jit": 1.0}) == ["jax jit"]


if __name__ == "__main__":
    check_differences()
    check_judgement()
