"""What PyTorch computes of the reduced SqueezeNet of tests/onnx/networks.py, trained for some steps.

    .venv-peers/bin/python tests/reference/onnx_values.py

It writes tests/reference/onnx_values.json, which is kept with the tests: running them takes no PyTorch. Everything is
computed in double precision, from weights that are rounded to single precision, as the ONNX file has them.
"""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F

FIRES = [(4, 8, False), (6, 12, True)]
torch.set_default_dtype(torch.float64)
parameters = {}


def numbers(seed, *shape):
    """`sin(seed + 1.7·i + 0.3·i²)` for each element, in single precision."""
    i = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(seed + 1.7 * i + 0.3 * i * i).reshape(shape).float()


def conv(name, channels, to, kernel):
    """A convolution's weights, in the order in which the other script makes them."""
    for end, shape, scale in [
        ("weight", (to, channels, kernel, kernel), 2 / math.sqrt(channels * kernel * kernel)),
        ("bias", (to,), 0.1),
    ]:
        x = (numbers(len(parameters) + 1, *shape) * scale).float().double()
        parameters[f"{name}.{end}"] = x.requires_grad_()


conv("stem", 3, 8, 3)
channels = 8
for i, (squeeze, expand, _) in enumerate(FIRES):
    conv(f"fire{i}.squeeze", channels, squeeze, 1)
    conv(f"fire{i}.expand1", squeeze, expand, 1)
    conv(f"fire{i}.expand3", squeeze, expand, 3)
    channels = 2 * expand
conv("classifier", channels, 5, 1)


def apply(x, name, **options):
    return F.relu(F.conv2d(x, parameters[f"{name}.weight"], parameters[f"{name}.bias"], **options))


def scores(x):
    x = F.max_pool2d(apply(x, "stem", stride=2), 3, 2)
    for i, (_, _, pooled) in enumerate(FIRES):
        if pooled:
            x = F.max_pool2d(x, 3, 2)
        s = apply(x, f"fire{i}.squeeze")
        x = torch.cat([apply(s, f"fire{i}.expand1"), apply(s, f"fire{i}.expand3", padding=1)], 1)
    return apply(x, "classifier").mean((2, 3))


images, labels = numbers(0.5, 4, 3, 31, 31).double(), torch.tensor([0, 1, 2, 3])
optimiser, losses = torch.optim.SGD(parameters.values(), lr=1.0), []
for _ in range(12):
    loss = F.cross_entropy(scores(images), labels)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    losses.append(loss.item())
trained = {name: x.detach().reshape(-1).tolist() for name, x in parameters.items()}
path = Path(__file__).with_name("onnx_values.json")
path.write_text(json.dumps({"losses": losses, "parameters": trained}) + "\n")
print(losses)
