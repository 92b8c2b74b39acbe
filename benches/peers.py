"""The same training by Antiphon and by NumPy, side by side from the same weights: `make peers`.

Both programs run in turns, several times; each figure is the smallest median of a step. NumPy runs with one thread,
which is its fastest at these sizes, and so does Antiphon. The gradients of the first step have to agree before any
time is believed.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
OURS = [str(TARGET / "release/examples/char_rnn"), "--checkpoint-every", "1000000", "--sample-every", "1000000"]
NUMPY = [sys.executable, str(ROOT / "tests/reference/char_rnn.py")]
STEPS = 300
ROUNDS = 3
# The sizes of the classic character RNN (hidden, sequence, batch), and larger ones.
SIZES = [(50, 20, 20), (256, 50, 32)]


def text(directory):
    """The project's own source: what `make demo` reads."""
    files = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("src/**/*.rs")]
    path = directory / "text.txt"
    path.write_bytes(b"".join(file.read_bytes() for file in sorted(files)))
    return path


def run(command):
    """Runs a program, quietly unless it fails. OpenBLAS chooses its kernels for this machine by itself."""
    kept = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    done = subprocess.run(command, env=kept | {"OPENBLAS_NUM_THREADS": "1"}, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")


def compare(directory, source, cell, size, precision):
    """Median milliseconds of a step: Antiphon's and NumPy's."""
    hidden, seq, batch = map(str, size)
    steps = str(STEPS if size == SIZES[0] else STEPS // 10)
    init = str(directory / "init.npz")
    flags = ["--text", str(source), "--cell", cell, "--hidden", hidden, "--seq", seq, "--batch", batch]
    flags += ["--precision", precision, "--optimizer", "adagrad", "--lr", "0.1", "--steps", steps]
    run([*NUMPY, *flags, "--init", init, "--make-init", "--steps", "0"])
    best = {}
    for _ in range(ROUNDS):
        for name, program in (("antiphon", [*OURS, "--out", str(directory / "out")]), ("numpy", NUMPY)):
            report, grads = directory / f"{name}.json", directory / f"{name}.npz"
            run([*program, *flags, "--init", init, "--report", str(report), "--grads", str(grads)])
            best[name] = min(best.get(name, np.inf), json.loads(report.read_text())["step_ms_median"])
    tolerance = 1e-10 if precision == "f64" else 1e-3
    with np.load(directory / "antiphon.npz") as ours, np.load(directory / "numpy.npz") as theirs:
        for name in theirs.files:
            worst = abs(ours[name] - theirs[name]).max() / abs(theirs[name]).max()
            if not worst <= tolerance:
                sys.exit(f"{cell} {precision}: the gradients of {name} differ by {worst:.1e}")
    return best["antiphon"], best["numpy"]


def main():
    print(f"NumPy {np.__version__}, one thread; milliseconds a step, the best of {ROUNDS} medians")
    print(f"{'cell':5} {'hidden':>6} {'seq':>4} {'batch':>5} {'':>4} {'antiphon':>9} {'numpy':>9} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        source = text(directory)
        for size in SIZES:
            for cell in ("rnn", "lstm", "gru"):
                for precision in ("f32", "f64"):
                    ours, numpy = compare(directory, source, cell, size, precision)
                    hidden, seq, batch = size
                    print(
                        f"{cell:5} {hidden:6} {seq:4} {batch:5} {precision:>4} {ours:9.3f} {numpy:9.3f} "
                        f"{ours / numpy:6.2f}",
                        flush=True,
                    )
    print("A ratio below 1 means that Antiphon is faster.")


if __name__ == "__main__":
    main()
