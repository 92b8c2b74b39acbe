"""What `benches/ctc.rs` times, in PyTorch: `ctc_peer.py [torch | jax]`.

Prints a line for each: its name, least milliseconds of a run, and the root of the sum of the squares of what was computed.
JAX has no such loss of its own.
"""

import sys

from timing import numbers, report

import numpy as np


def with_torch():
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(1)
    for kind, dtype in (("f32", torch.float32), ("f64", torch.float64)):
        for time, batch, classes, longest in ((200, 16, 29, 50), (500, 16, 29, 100)):
            x = torch.tensor(8 * numbers([time, batch, classes], 1), dtype=dtype)
            i = np.arange(batch * longest)
            targets = torch.tensor(1 + (i * i * 7 + 3 * i) % (classes - 1)).reshape(batch, longest)
            inputs = torch.tensor([time - 3 * b for b in range(batch)])
            lengths = torch.tensor([longest - 2 * b for b in range(batch)])

            def loss(x):
                return F.ctc_loss(x.log_softmax(-1), targets, inputs, lengths, reduction="sum")

            def gradient():
                y = x.clone().requires_grad_()
                return torch.autograd.grad(loss(y), y)

            report(f"loss_{kind}_{time}", lambda: loss(x), lambda y: [y.numpy()])
            report(f"gradient_{kind}_{time}", gradient, lambda y: [y[0].numpy()])


if sys.argv[1] == "torch":
    with_torch()
