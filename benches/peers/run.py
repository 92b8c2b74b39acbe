"""The same training by Antiphon and by what one would use instead, side by side: `make peers`.

Every opponent is a program of its own that trains from the same weights on the same data on one core, or on as many as
there are threads (`--threads`); they run in turns, several times, and a figure is the smallest median of a step (mean,
where steps are of different sizes). Before any time is reported, the gradients of the first step and the losses of the
first fifty have to agree with NumPy's.
"""

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "ANTIPHON_THREADS")
# One thread, unless more are asked for, and kernels of OpenBLAS's own choice.
os.environ |= {k: "1" for k in THREADS}
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)

import numpy as np  # noqa: E402
import roofline  # noqa: E402
from chart import chart  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
# How far gradients may be apart, relative to the largest entry of their array, and losses.
GRADIENTS, LOSSES = {"f32": 1e-4, "f64": 1e-10}, {"f32": 1e-3, "f64": 1e-9}


@dataclass
class Workload:
    name: str
    model: str
    flags: list
    steps: int
    # What the time of a step is, of those of a run.
    figure: str = "median"
    peers: tuple = ("numpy", "torch eager", "torch library", "torch compile", "jax jit")


def workloads(data, trees, count):
    """All workloads; `count` trees to train on, and fewer steps of what takes long."""
    text, pictures = ["--text", data / "text.txt"], ["--images", data / "images", "--labels", data / "labels"]
    dynet = ["dynet autobatch"] if importlib.util.find_spec("dynet") else []
    small = [*text, "--hidden", 50, "--seq", 20, "--batch", 20, "--optimizer", "adagrad", "--lr", 0.1]
    large = [*text, "--hidden", 256, "--seq", 50, "--batch", 32, "--optimizer", "adagrad", "--lr", 0.1]
    return [
        Workload("char-RNN 50/20/20", "char_rnn", ["--cell", "rnn", *small], 300),
        Workload("LSTM 50/20/20", "char_rnn", ["--cell", "lstm", *small], 300),
        Workload("LSTM 256/50/32", "char_rnn", ["--cell", "lstm", *large], 50),
        Workload(
            "TreeLSTM", "tree_lstm", ["--trees", trees, "--train", count], count, "mean",
            ("numpy", "numpy by node", *dynet, "torch eager", "torch library", "jax jit"),
        ),
        Workload(
            "TreeLSTM, 25 at once", "tree_lstm", ["--trees", trees, "--train", count, "--batch", 25], -(-count // 25), "mean",
            ("numpy", *dynet, "torch eager", "torch library", "jax jit"),
        ),
        Workload("CNN, batch 100", "cnn", [*pictures, "--batch", 100, "--lr", 0.05], 50),
        Workload("MLP, batch 64", "mlp", [*pictures, "--batch", 64, "--lr", 0.1], 200),
        Workload("MLP, batch 256", "mlp", [*pictures, "--batch", 256, "--lr", 0.1], 100),
        Workload("transformer", "transformer", [*text, "--batch", 16, "--seq", 64], 50),
    ]  # fmt: skip


def command(opponent, workload):
    """Its program with the flags that are its own."""
    kind, _, how = opponent.partition(" ")
    if kind == "antiphon":
        out = ["--checkpoint-every", 1_000_000, "--sample-every", 1_000_000, "--mode", how]
        return [TARGET / "release/examples" / workload.model, *out]
    if kind == "numpy":
        by_node = ["--node-by-node"] if how else []
        return [sys.executable, ROOT / f"tests/reference/{workload.model}.py", *by_node]
    return [sys.executable, ROOT / f"benches/peers/{kind}_peer.py", workload.model, how]


def run(command, cores, directory):
    """Runs a program on some cores, quietly unless it fails; its peak memory in MiB."""
    # What compilations leave is kept from round to round, but not from run to run.
    kept = {"TORCHINDUCTOR_CACHE_DIR": directory / "inductor", "JAX_COMPILATION_CACHE_DIR": directory / "jax"}
    kept |= {"ANTIPHON_CACHE": directory / "antiphon"}
    env = os.environ | {k: str(v) for k, v in kept.items()}
    with open(directory / "said", "w+b") as said:
        start = subprocess.Popen([str(part) for part in command], env=env, stdout=said, stderr=said, preexec_fn=lambda: os.sched_setaffinity(0, cores))
        _, status, usage = os.wait4(start.pid, 0)
        start.returncode = os.waitstatus_to_exitcode(status)
        if start.returncode != 0:
            said.seek(0)
            sys.exit(f"{' '.join(map(str, command))}:\n{said.read().decode()}")
    return usage.ru_maxrss / 1024


def modes(model):
    """The modes that an example has."""
    shown = subprocess.run([TARGET / "release/examples" / model, "--help"], capture_output=True, text=True).stdout
    return [mode for mode in ("eager", "compiled") if re.search(rf"^\s+- {mode}:", shown, re.MULTILINE) or f"possible values: {mode}" in shown]


def apart(a, b):
    """The largest relative difference of the first fifty losses."""
    a, b = np.array(a[:50]), np.array(b[:50])
    return float(abs((a - b) / b).max())


def gradients_apart(a, b):
    with np.load(a) as a, np.load(b) as b:
        assert sorted(a.files) == sorted(b.files), (a.files, b.files)
        return float(np.max([abs(a[k] - b[k]).max() / abs(b[k]).max() for k in b.files]))


def compare(workload, rounds, directory, cores):
    init = directory / "init.npz"
    flags = ["--init", init, *workload.flags]
    run([*command("numpy", workload), *flags, "--make-init", "--steps", 0], cores, directory)
    ours = [f"antiphon {mode}" for mode in modes(workload.model)]
    opponents = [*workload.peers, *ours]
    flags_of = {o: [*flags, *(["--out", directory / "out"] if o in ours else [])] for o in opponents}
    times, memory = {}, {}
    checked = {"f64": check(workload, ["numpy", "torch eager", "jax jit", *ours], "f64", flags_of, directory, cores)}
    checked["f32"] = check(workload, opponents, "f32", flags_of, directory, cores)
    for number in range(1, rounds + 1):
        say(f"round {number} of {rounds}")
        for opponent in opponents:
            report = directory / "report.json"
            more = ["--precision", "f32", "--steps", workload.steps, "--report", report]
            memory[opponent] = run([*command(opponent, workload), *flags_of[opponent], *more], cores, directory)
            said = json.loads(report.read_text())
            times.setdefault(opponent, []).append(said[f"step_ms_{workload.figure}"])
    results = {
        o: {
            "step_ms": min(times[o]), "all_ms": times[o], "compile_ms": checked["f32"]["compile_ms"][o], "peak_mib": memory[o],
            "apart": {precision: c["apart"][o] for precision, c in checked.items() if o in c["apart"]},
        }
        for o in opponents
    }  # fmt: skip
    with np.load(init) as weights:
        # Of word vectors only a few rows change.
        parameters = sum(weights[k].size for k in weights.files if k != "emb")
    pairs = dict(zip(workload.flags[::2], workload.flags[1::2]))
    return {
        "workload": workload.name, "figure": workload.figure, "steps": workload.steps,
        "peers_agree": {precision: c["peers_agree"] for precision, c in checked.items()},
        "multiplications": float(roofline.multiplications(workload, pairs)),
        "bytes": roofline.moved(workload, pairs, parameters), "results": results,
    }  # fmt: skip


def check(workload, opponents, precision, flags_of, directory, cores):
    """Gradients of the first step and losses of fifty against NumPy's; the compile times of this first run."""
    losses, compiling = {}, {}
    for opponent in opponents:
        say(f"checking {TITLES[opponent]} in {precision}")
        report, grads = directory / "check.json", directory / f"{opponent}.npz"
        flags = ["--precision", precision, "--steps", min(50, workload.steps), "--report", report, "--grads", grads]
        run([*command(opponent, workload), *flags_of[opponent], *flags], cores, directory)
        said = json.loads(report.read_text())
        losses[opponent], compiling[opponent] = said["losses"], said["compile_ms"]
    worst = {}
    for o in opponents[1:]:
        gradients = gradients_apart(directory / f"{o}.npz", directory / "numpy.npz")
        worst[o] = {"gradients": gradients, "losses": apart(losses[o], losses["numpy"])}
    agreeing, refused = judge(worst, workload.peers, precision)
    for o in refused:
        sys.exit(f"{workload.name}: {o} does not agree with NumPy in {precision}: {worst[o]}")
    return {"peers_agree": agreeing, "apart": worst, "compile_ms": compiling}


def judge(worst, peers, precision):
    """The peers whose losses agree with NumPy's, and the opponents whose times must not be shown."""
    # Some trainings are chaotic: there two peers do not agree with each other either, and losses show nothing. Where any
    # two do, this crate has to agree with them; where most do, all have to.
    agreeing = [o for o in worst if o in peers and worst[o]["losses"] <= LOSSES[precision]]
    most = 2 * len(agreeing) > sum(o in peers for o in worst)
    refused = []
    for o, found in worst.items():
        held = most if o in peers else agreeing
        # Written so that what is no number agrees with nothing.
        agrees = found["losses"] <= LOSSES[precision] if held else found["losses"] < np.inf
        if not (agrees and found["gradients"] <= GRADIENTS[precision]):
            refused.append(o)
    return agreeing, refused


START = time.monotonic()


def say(what):
    print(f"  {time.monotonic() - START:5.0f} s  {what}", flush=True)


ORDER = ("numpy", "numpy by node", "dynet autobatch", "torch eager", "torch library", "torch compile", "jax jit", "antiphon eager", "antiphon compiled")
TITLES = {
    "numpy": "NumPy", "numpy by node": "NumPy, node by node", "dynet autobatch": "DyNet, autobatching", "torch eager": "PyTorch", "torch library": "PyTorch, library",
    "torch compile": "torch.compile", "jax jit": "jax.jit", "antiphon eager": "Antiphon eager", "antiphon compiled": "Antiphon compiled",
}  # fmt: skip


def table(comparisons):
    """Milliseconds of a step, and how many times as long the best peer takes as each mode; compile times; memory."""
    shown = [o for o in ORDER if any(o in c["results"] for c in comparisons)]
    ours = [o for o in shown if o.startswith("antiphon")]
    parts = []

    def rows(title, cell, more=()):
        parts.append(f"| {title} | {' | '.join([*(TITLES[o] for o in shown), *(m for m, _ in more)])} |")
        parts.append("|---" * (1 + len(shown) + len(more)) + "|")
        for c in comparisons:
            cells = [cell(c["results"][o]) if o in c["results"] else "–" for o in shown]
            parts.append(f"| {' | '.join([c['workload'], *cells, *(f(c) for _, f in more)])} |")
        parts.append("")

    def ratio(mode):
        def of(c):
            best = min(r["step_ms"] for o, r in c["results"].items() if not o.startswith("antiphon"))
            return f"{best / c['results'][mode]['step_ms']:.2f}" if mode in c["results"] else "–"

        return of

    rows("ms a step", lambda r: f"{r['step_ms']:.3g}", [(f"best peer ÷ {TITLES[o].split()[1]}", ratio(o)) for o in ours])
    worst = lambda precision: lambda r: "{gradients:.0e}, {losses:.0e}".format(**r["apart"][precision]) if precision in r["apart"] else "–"
    rows("compiling, s", lambda r: f"{r['compile_ms'] / 1e3:.2g}" if r["compile_ms"] > 0.1 else "–")
    rows("peak memory, MiB", lambda r: f"{r['peak_mib']:.0f}")
    rows("apart from NumPy in f32: gradients, losses", worst("f32"))
    rows("apart from NumPy in f64: gradients, losses", worst("f64"))
    compiled = "antiphon compiled"
    bounds = [(c["workload"], c["multiplications"], c["bytes"], c["results"][compiled]["step_ms"]) for c in comparisons if compiled in c["results"]]
    parts.append(roofline.table(bounds))
    return "\n".join(parts)


def letters(path):
    """The project's own source and documentation, of which only letters are kept: 26 symbols."""
    files = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("src/**/*.rs")]
    text = b"".join(file.read_bytes() for file in sorted(files)).lower()
    path.write_bytes(re.sub(rb"[^a-z]", b"", text))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trees", type=Path, help="trees in brackets, such as the Stanford Sentiment Treebank's; else generated")
    parser.add_argument("--count", type=int, default=900, help="how many of the trees to train on")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="workloads whose names contain this")
    parser.add_argument("--threads", type=int, default=1, help="of each opponent, on as many cores")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="the last of them")
    parser.add_argument("--out", type=Path, default=ROOT / "out/peers")
    args = parser.parse_args()
    # The peaks of the roofline are this process's.
    cores = set(range(args.core - args.threads + 1, args.core + 1))
    if not cores <= os.sched_getaffinity(0):
        sys.exit(f"{args.threads} threads need the processors {sorted(cores)}")
    os.sched_setaffinity(0, cores)
    os.environ.update({k: str(args.threads) for k in THREADS})
    args.out.mkdir(parents=True, exist_ok=True)
    comparisons = []
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        letters(directory / "text.txt")
        make = [TARGET / "release/examples/make_data", "--count", 7200, "--seed", 1]
        run([*make, "--images", directory / "images", "--labels", directory / "labels"], cores, directory)
        if args.trees is None:
            args.trees = directory / "trees"
            run([*make, "--trees", args.trees], cores, directory)
        for workload in workloads(directory, args.trees, args.count):
            if args.only and args.only not in workload.name:
                continue
            print(workload.name, "…", flush=True)
            comparisons.append(compare(workload, args.rounds, directory, cores))
            for o, r in sorted(comparisons[-1]["results"].items(), key=lambda item: item[1]["step_ms"]):
                print(f"  {TITLES[o]:22} {r['step_ms']:9.3f} ms", flush=True)
            (args.out / "peers.json").write_text(json.dumps(comparisons, indent=1) + "\n")
            (args.out / "peers.md").write_text(table(comparisons))
            (args.out / "peers.svg").write_text(chart(comparisons, ORDER, TITLES))
    print(f"\n{table(comparisons)}\nAlso in {args.out}: peers.md, peers.json, peers.svg")


if __name__ == "__main__":
    main()
