"""What scripts share that print times for a benchmark of `benches`: its numbers, and a line for each time.

Imported before NumPy, so that everything runs on one thread.
"""

import os
import time

os.environ |= {k: "1" for k in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
import numpy as np  # noqa: E402


def numbers(shape, seed):
    """Irregular numbers between -1/2 and 1/2, as the benchmark's own."""
    i = np.arange(1, np.prod(shape, dtype=int) + 1)
    return ((i * 0.618_033_988_749_895 + seed * 0.237) % 1.0 - 0.5).reshape(shape)


def report(name, run, leaves):
    """`leaves` waits for a result, and gives its arrays."""
    results = leaves(run())
    size = float(np.sqrt(sum((np.asarray(x, np.float64) ** 2).sum() for x in results)))
    best, begin, runs = float("inf"), time.perf_counter(), 0
    while runs < 3 or time.perf_counter() - begin < 1:
        start = time.perf_counter()
        leaves(run())
        best = min(best, time.perf_counter() - start)
        runs += 1
    print(name, best * 1e3, repr(size), flush=True)
