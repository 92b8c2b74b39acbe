"""What the peers share: flags and data of the reference models in NumPy, and the training loop.

A peer has `prepare(batch)`, which does what has to be done once for a batch of its shape, `gradients(batch)` by name, and
`step(batch)`, which updates its parameters and gives the loss.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

REFERENCE = Path(__file__).resolve().parents[2] / "tests/reference"
sys.path.insert(0, str(REFERENCE))
import char_rnn  # noqa: E402
import cnn  # noqa: E402
import mlp  # noqa: E402
import pictures  # noqa: E402
import transformer  # noqa: E402
import tree_lstm  # noqa: E402

MODULES = {"cnn": cnn, "mlp": mlp, "transformer": transformer, "tree_lstm": tree_lstm}


def source(model, args):
    """From a step's number to its batch, and the number of symbols where it is a text."""
    if model == "char_rnn":
        vocabulary, symbols = np.unique(np.frombuffer(args.text.read_bytes(), np.uint8), return_inverse=True)
        return lambda step: char_rnn.batch_at(symbols, step, args.batch, args.seq), len(vocabulary)
    data = MODULES[model].load(args)
    if model == "tree_lstm":
        return lambda step: data[0][step % len(data[0])], None
    if model == "transformer":
        return lambda step: transformer.batch(args, data, step), data[1]
    return lambda step: pictures.batch(args, data, step), None


def main(make, modes):
    """`make(model, how, args, parameters)` is the peer."""
    model, how = sys.argv[1:3]
    assert how in modes, how
    parser = char_rnn.flags() if model == "char_rnn" else MODULES[model].parser()
    args = parser.parse_args(sys.argv[3:])
    batch, _ = source(model, args)
    with np.load(args.init) as file:
        p = {k: file[k].astype(np.float32 if args.precision == "f32" else np.float64) for k in file.files}
    peer = make(model, how, args, p)
    compile_ms, shapes = 0.0, set()
    for step in range(args.steps):
        shape = peer.shape(batch(step))
        if shape not in shapes:
            shapes.add(shape)
            start = time.perf_counter()
            peer.prepare(batch(step))
            compile_ms += 1e3 * (time.perf_counter() - start)
    if args.grads:
        np.savez(args.grads, **peer.gradients(batch(0)))
    losses, times = [], []
    for step in range(args.steps):
        start = time.perf_counter()
        loss = peer.step(batch(step))
        times.append(1e3 * (time.perf_counter() - start))
        losses.append(loss)
    report = {
        "model": model, "mode": how, "precision": args.precision, "steps": args.steps, "compile_ms": compile_ms,
        "step_ms_median": statistics.median(times), "step_ms_mean": statistics.mean(times), "losses": losses,
    }  # fmt: skip
    args.report.write_text(json.dumps(report) + "\n")
