"""What PyTorch computes of the reduced SqueezeNet and the reduced Deep Speech 2 of tests/onnx/networks.py, trained for some
steps.

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


def trained(parameters, loss, rate, steps):
    optimiser, losses = torch.optim.SGD(parameters.values(), lr=rate), []
    for _ in range(steps):
        value = loss()
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        losses.append(value.item())
    print(losses)
    return {"losses": losses, "parameters": {name: x.detach().reshape(-1).tolist() for name, x in parameters.items()}}


class DeepSpeech:
    """The network, with its weights in ONNX's layout, in the order in which the other script makes them."""

    def __init__(self, bins, convolutions, hidden, layers, classes):
        self.parameters, self.seed = {}, 0
        self.convolutions, self.hidden, self.layers = convolutions, hidden, layers
        channels = 1
        for i, (to, kernel, stride) in enumerate(convolutions):
            scale = 2 / math.sqrt(channels * kernel[0] * kernel[1])
            self.weight(f"conv{i}.weight", to, channels, *kernel, scale=scale)
            self.weight(f"conv{i}.bias", to, scale=0.1)
            self.norm(f"conv{i}.norm", to)
            channels, bins = to, (bins + 2 * (kernel[0] // 2) - kernel[0]) // stride[0] + 1
        width = channels * bins
        for i in range(layers):
            if i > 0:
                self.norm(f"gru{i}.norm", width)
            self.weight(f"gru{i}.weight_ih", 2, 3 * hidden, width, scale=1.5 / math.sqrt(width))
            self.weight(f"gru{i}.weight_hh", 2, 3 * hidden, hidden, scale=1.5 / math.sqrt(hidden))
            self.weight(f"gru{i}.bias", 2, 6 * hidden, scale=1.5 / math.sqrt(hidden))
            width = hidden
        self.norm("fc.norm", width)
        self.weight("fc.weight", width, classes, scale=2 / math.sqrt(width))

    def weight(self, name, *shape, scale, offset=0.0):
        self.seed += 1
        x = (numbers(self.seed, *shape) * scale + offset).float().double()
        self.parameters[name] = x.requires_grad_()

    def norm(self, name, channels):
        self.weight(f"{name}.weight", channels, scale=0.2, offset=0.8)
        self.weight(f"{name}.bias", channels, scale=0.1)
        self.seed += 2  # the running averages

    def normalised(self, x, name):
        p = self.parameters
        return F.batch_norm(x, None, None, p[f"{name}.weight"], p[f"{name}.bias"], training=True)

    def gru(self, x, lengths, i):
        """ONNX's gates are update, reset, candidate; PyTorch's are reset, update, candidate."""
        layer, weights = torch.nn.GRU(x.shape[-1], self.hidden, bidirectional=True), {}
        reordered = lambda w: torch.cat([w.chunk(3)[i] for i in (1, 0, 2)])  # noqa: E731
        for d, end in enumerate(("", "_reverse")):
            weights[f"weight_ih_l0{end}"] = reordered(self.parameters[f"gru{i}.weight_ih"][d])
            weights[f"weight_hh_l0{end}"] = reordered(self.parameters[f"gru{i}.weight_hh"][d])
            of_input, of_state = self.parameters[f"gru{i}.bias"][d].chunk(2)
            weights[f"bias_ih_l0{end}"], weights[f"bias_hh_l0{end}"] = reordered(of_input), reordered(of_state)
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        packed, _ = torch.func.functional_call(layer, weights, (packed,))
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(packed, total_length=len(x))
        return sum(y.chunk(2, -1))

    def log_probabilities(self, x, lengths):
        for i, (_, kernel, stride) in enumerate(self.convolutions):
            pads = [k // 2 for k in kernel]
            weights = self.parameters[f"conv{i}.weight"], self.parameters[f"conv{i}.bias"]
            x = F.conv2d(x, *weights, stride=stride, padding=pads)
            lengths = (lengths + 2 * pads[1] - kernel[1]) // stride[1] + 1
            active = torch.arange(x.shape[3]) < lengths.reshape(-1, 1, 1, 1)
            x = F.hardtanh(self.normalised(x * active, f"conv{i}.norm"), 0, 20) * active
        x = x.flatten(1, 2).permute(2, 0, 1)
        for i in range(self.layers):
            if i > 0:
                x = self.normalised(x.flatten(0, 1), f"gru{i}.norm").reshape(x.shape)
            x = self.gru(x, lengths, i)
        x = self.normalised(x.flatten(0, 1), "fc.norm").reshape(x.shape)
        return (x @ self.parameters["fc.weight"]).log_softmax(-1), lengths


def deepspeech():
    network = DeepSpeech(13, [(3, [5, 5], [2, 2]), (4, [3, 5], [2, 1])], 6, 2, 5)
    x, lengths = numbers(0.5, 3, 1, 13, 24).double(), torch.tensor([24, 17, 20])
    targets, of_targets = torch.tensor([[1, 2, 2, 4], [3, 1, 0, 0], [4, 4, 1, 0]]), torch.tensor([4, 2, 3])

    def loss():
        y, steps = network.log_probabilities(x, lengths)
        return F.ctc_loss(y, targets, steps, of_targets)

    return trained(network.parameters, loss, 0.1, 12)


def squeezenet():
    images, labels = numbers(0.5, 4, 3, 31, 31).double(), torch.tensor([0, 1, 2, 3])
    return trained(parameters, lambda: F.cross_entropy(scores(images), labels), 1.0, 12)


path = Path(__file__).with_name("onnx_values.json")
path.write_text(json.dumps({"squeezenet": squeezenet(), "deepspeech": deepspeech()}) + "\n")
