"""What PyTorch computes, for tests/surface: numbers of losses, layers and optimisers, and a file of weights.

    python3 -m venv .venv-peers && .venv-peers/bin/pip install torch numpy safetensors
    .venv-peers/bin/python tests/reference/torch_values.py

It writes tests/reference/torch_values.json and tests/reference/pretrained.safetensors, which are kept with the tests:
running them takes no PyTorch. Everything is computed in double precision from numbers without pattern, whose formula
tests/surface/reference.rs has as well.
"""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

HERE = Path(__file__).parent
torch.set_default_dtype(torch.float64)


def numbers(seed, *shape):
    """`sin(seed + 1.7·i + 0.3·i²)` for each element."""
    count = math.prod(shape)
    return torch.tensor([math.sin(seed + 1.7 * i + 0.3 * i * i) for i in range(count)]).reshape(shape)


def plain(value):
    """A tensor as its shape and its elements."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, torch.Tensor):
        value = value.detach()
        elements = [float(x) for x in value.reshape(-1)]
        return {"shape": list(value.shape), "elements": elements}
    return value


def pretrained():
    """A state dict as PyTorch's layers have it, in several precisions."""
    weights = {
        "features.0.weight": numbers(1, 3, 2, 2, 2).half(),
        "features.0.bias": numbers(2, 3).half(),
        "features.1.running_mean": numbers(3, 3).float(),
        "features.1.num_batches_tracked": torch.tensor(17, dtype=torch.int64),
        "fc.weight": numbers(4, 4, 3).bfloat16(),
        "fc.bias": numbers(5, 4),
        "head.weight": numbers(6, 10, 4).float(),
        "mask": torch.tensor([True, False, True]),
    }
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, HERE / "pretrained.safetensors")
    return {name: tensor.double() for name, tensor in weights.items()}


def gradients(loss, *inputs):
    """Value of a scalar, and its gradients."""
    inputs = [x.clone().requires_grad_() for x in inputs]
    value = loss(*inputs)
    value.backward()
    return {"value": value, "gradients": [x.grad for x in inputs]}


def losses():
    x, y = 2 * numbers(1, 4, 3), 2 * numbers(2, 4, 3)
    x[0, 0], y[0, 0] = 60.0, -60.0
    share = torch.sigmoid(numbers(3, 4, 3))
    p, q = torch.log_softmax(x, -1), torch.softmax(y, -1)
    alike = torch.tensor([1, -1, -1, 1])
    targets = torch.tensor([2, 0, 1, 1])
    ignored = torch.tensor([2, -100, 1, -100])
    pairs = {
        "mse": (F.mse_loss, x, y, {}),
        "l1": (F.l1_loss, x, y, {}),
        "huber": (F.huber_loss, x, y, {"delta": 0.7}),
        "smooth_l1": (F.smooth_l1_loss, x, y, {"beta": 0.4}),
        "bce": (F.binary_cross_entropy_with_logits, x, share, {}),
        "kl": (F.kl_div, p, q, {}),
        "kl_log": (F.kl_div, p, torch.log(q), {"log_target": True}),
        "cosine": (lambda a, b, reduction: F.cosine_embedding_loss(a, b, alike, 0.1, reduction=reduction), x, y, {}),
    }
    found = {}
    for name, (loss, a, b, options) in pairs.items():
        found[name] = {"x": a, "y": b, "none": loss(a, b, reduction="none", **options)}
        for reduction in ("mean", "sum"):
            found[name][reduction] = gradients(lambda a, b: loss(a, b, reduction=reduction, **options), a, b)
    classes = {
        "nll": lambda x, reduction: F.nll_loss(x, targets, reduction=reduction),
        "nll_ignored": lambda x, reduction: F.nll_loss(x, ignored, reduction=reduction),
        "ce": lambda x, reduction: F.cross_entropy(x, targets, reduction=reduction),
        "ce_ignored": lambda x, reduction: F.cross_entropy(x, ignored, reduction=reduction),
        "ce_smooth": lambda x, reduction: F.cross_entropy(
            x, ignored, reduction=reduction, label_smoothing=0.2
        ),
    }
    for name, loss in classes.items():
        found[name] = {"x": x, "none": loss(x, "none")}
        for reduction in ("mean", "sum"):
            found[name][reduction] = gradients(lambda x: loss(x, reduction), x)
    return found


def optimisers():
    """Parameters `w: [2, 3]` and `b: [3]` after each of some steps, whose gradients are numbers(10 + step)."""
    steps = 6

    def trained(make, update=None):
        w, b = numbers(1, 2, 3).requires_grad_(), numbers(2, 3).requires_grad_()
        optimiser = make(w, b)
        path = []
        for step in range(steps):
            w.grad, b.grad = numbers(10 + step, 2, 3), numbers(20 + step, 3)
            optimiser.step()
            path.append([w.detach().clone(), b.detach().clone()])
        return path

    class Lion:
        """The paper's algorithm 2, in its own words; PyTorch has none."""

        def __init__(self, *params):
            self.params, self.m = params, [torch.zeros_like(p) for p in params]

        @torch.no_grad()
        def step(self):
            for i, p in enumerate(self.params):
                c = 0.9 * self.m[i] + 0.1 * p.grad
                p -= 0.1 * (torch.sign(c) + 0.3 * p)
                self.m[i] = 0.99 * self.m[i] + 0.01 * p.grad

    class Lamb:
        """The paper's algorithm 2; PyTorch has none."""

        def __init__(self, *params):
            self.params, self.t = params, 0
            self.m, self.v = ([torch.zeros_like(p) for p in params] for _ in range(2))

        @torch.no_grad()
        def step(self):
            self.t += 1
            for i, p in enumerate(self.params):
                self.m[i] = 0.9 * self.m[i] + 0.1 * p.grad
                self.v[i] = 0.999 * self.v[i] + 0.001 * p.grad**2
                m, v = self.m[i] / (1 - 0.9**self.t), self.v[i] / (1 - 0.999**self.t)
                r = m / (v.sqrt() + 1e-6) + 0.01 * p
                p -= 0.1 * p.norm() / r.norm() * r

    def groups(w, b):
        return torch.optim.AdamW(
            [{"params": [w], "lr": 0.03}, {"params": [b], "weight_decay": 0.0}], lr=0.01, weight_decay=0.1
        )

    def average():
        holder = torch.nn.ParameterList([numbers(1, 2, 3), numbers(2, 3)])
        ema = torch.optim.swa_utils.AveragedModel(
            holder, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
        )
        ema.update_parameters(holder)  # the first is a copy
        path = []
        for step in range(steps):
            with torch.no_grad():
                holder[0] += numbers(10 + step, 2, 3)
                holder[1] += numbers(20 + step, 3)
            ema.update_parameters(holder)
            path.append([p.detach().clone() for p in ema.module])
        return path

    def rates(make, count):
        optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
        scheduler = make(optimiser)
        found = []
        for _ in range(count):
            found.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            scheduler.step()
        return torch.tensor(found)

    def lbfgs():
        x, y = numbers(5, 12, 3), (numbers(6, 12) > 0).double()
        w = torch.zeros(3, requires_grad=True)
        optimiser = torch.optim.LBFGS(
            [w], max_iter=200, tolerance_grad=1e-12, tolerance_change=0.0, line_search_fn="strong_wolfe"
        )

        def closure():
            optimiser.zero_grad()
            loss = F.binary_cross_entropy_with_logits(x @ w, y) + 0.05 * (w**2).sum()
            loss.backward()
            return loss

        optimiser.step(closure)
        return {"x": x, "y": y, "w": w, "value": closure()}

    def lbfgs_steps():
        """Without a line search, a step at a time, of two parameters; more steps than are remembered."""
        x, y = numbers(5, 12, 3), (numbers(6, 12) > 0).double()
        w, b = torch.zeros(3, requires_grad=True), torch.tensor(0.3, requires_grad=True)
        optimiser = torch.optim.LBFGS(
            [w, b], lr=0.8, max_iter=1, history_size=3, tolerance_grad=0.0, tolerance_change=0.0
        )

        def closure():
            optimiser.zero_grad()
            loss = F.binary_cross_entropy_with_logits(x @ w + b, y) + 0.05 * (w**2).sum()
            loss.backward()
            return loss

        found = []
        for _ in range(8):
            optimiser.step(closure)
            found.append({"w": w.detach().clone(), "b": b.detach().clone()})
        return found

    lr_scheduler = torch.optim.lr_scheduler
    return {
        "lion": trained(Lion),
        "lamb": trained(Lamb),
        "groups": trained(groups),
        "average": average(),
        "one_cycle": rates(lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.5, total_steps=20), 20),
        "warm_up": rates(
            lambda o: lr_scheduler.LambdaLR(o, lambda s: (s + 1) / 4 if s < 4 else max(0.0, (12 - s) / 8)), 15
        ),
        "cosine": rates(lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=10, eta_min=0.01), 11),
        "lbfgs": lbfgs(),
        "lbfgs_steps": lbfgs_steps(),
    }


def rotary(x, interleaved):
    """Su et al. 2021, eq. 34, by complex numbers; PyTorch has none."""
    time, dim = x.shape[-2:]
    angles = torch.outer(torch.arange(time).double(), 10_000.0 ** (-torch.arange(dim // 2).double() / (dim // 2)))
    turn = torch.polar(torch.ones_like(angles), angles)
    if interleaved:
        pairs = torch.complex(x[..., 0::2], x[..., 1::2]) * turn
        return torch.stack((pairs.real, pairs.imag), -1).reshape(x.shape)
    pairs = torch.complex(x[..., : dim // 2], x[..., dim // 2 :]) * turn
    return torch.cat((pairs.real, pairs.imag), -1)


def layers():
    nn = torch.nn
    found = {}

    # Normalisation: values and gradients of the sum of squares times numbers(30).
    def weighted(y):
        return (y * numbers(30, *y.shape)).sum()

    image = numbers(1, 3, 4, 2, 2)
    norm = nn.BatchNorm2d(4)
    norm.weight.data, norm.bias.data = numbers(2, 4), numbers(3, 4)
    x = image.clone().requires_grad_()
    y = norm(x)
    weighted(y).backward()
    found["batch_norm"] = {
        "x": image, "y": y, "dx": x.grad, "gain": norm.weight.grad, "bias": norm.bias.grad,
        "mean": norm.running_mean.clone(), "variance": norm.running_var.clone(),
    }
    norm(2 * image)
    found["batch_norm"]["mean2"], found["batch_norm"]["variance2"] = norm.running_mean, norm.running_var
    norm.eval()
    found["batch_norm"]["evaluated"] = norm(image)
    flat = nn.BatchNorm1d(3)
    found["batch_norm"]["flat"] = flat(numbers(4, 5, 3))

    def normalised(layer, x, has_bias):
        layer.weight.data = numbers(2, *layer.weight.shape)
        if has_bias:
            layer.bias.data = numbers(3, *layer.bias.shape)
        return {"x": x, "y": layer(x), **gradients(lambda x: weighted(layer(x)), x)}

    found["group_norm"] = normalised(nn.GroupNorm(2, 4), image, True)
    found["rms_norm"] = normalised(nn.RMSNorm(5, eps=1e-6), numbers(5, 2, 3, 5), False)

    # Attention of two heads over [2, 4, 6] and a memory of [2, 3, 6].
    layer = nn.MultiheadAttention(6, 2, batch_first=True)
    layer.in_proj_weight.data, layer.in_proj_bias.data = numbers(6, 18, 6), numbers(7, 18)
    layer.out_proj.weight.data, layer.out_proj.bias.data = numbers(8, 6, 6), numbers(9, 6)
    q, memory = numbers(10, 2, 4, 6), numbers(11, 2, 3, 6)
    causal = torch.triu(torch.ones(4, 4, dtype=torch.bool), 1)
    padding = torch.tensor([[False, False, True], [False, False, False]])
    cases = {
        "self": lambda q, m: layer(q, q, q, need_weights=False)[0] + 0 * m.sum(),
        "causal": lambda q, m: layer(q, q, q, need_weights=False, attn_mask=causal)[0] + 0 * m.sum(),
        "padded": lambda q, m: layer(q, m, m, need_weights=False, key_padding_mask=padding)[0],
    }
    found["attention"] = {"q": q, "memory": memory}
    for name, weights in (("in", layer.in_proj_weight), ("out", layer.out_proj.weight)):
        found["attention"][f"{name}_weight"] = weights
    found["attention"]["in_bias"], found["attention"]["out_bias"] = layer.in_proj_bias, layer.out_proj.bias
    for name, apply in cases.items():
        layer.zero_grad()
        case = gradients(lambda q, m: weighted(apply(q, m)), q, memory)
        found["attention"][name] = {"y": apply(q, memory), **case, "in_weight": layer.in_proj_weight.grad.clone()}
    x = numbers(12, 2, 5, 6)
    found["rotary"] = {"x": x, "pairs": rotary(x, True), "halves": rotary(x, False)}
    table = torch.zeros(7, 6)
    for t in range(7):
        for i in range(3):
            table[t, 2 * i] = math.sin(t / 10_000 ** (2 * i / 6))
            table[t, 2 * i + 1] = math.cos(t / 10_000 ** (2 * i / 6))
    found["sinusoidal"] = table

    # Recurrence of two layers over a padded batch, [time 5, batch 3, in 2], hidden 4.
    lengths = torch.tensor([5, 2, 4])
    xs = numbers(13, 5, 3, 2)
    for kind in ("RNN", "GRU", "LSTM"):
        for both_ways in (False, True):
            layer = getattr(nn, kind)(2, 4, num_layers=2, bidirectional=both_ways)
            for i, (name, weights) in enumerate(layer.named_parameters()):
                weights.data = numbers(40 + i, *weights.shape)

            def run(xs):
                packed = nn.utils.rnn.pack_padded_sequence(xs, lengths, enforce_sorted=False)
                packed, state = layer(packed)
                outputs, _ = nn.utils.rnn.pad_packed_sequence(packed, total_length=5)
                return outputs, state

            outputs, state = run(xs)
            case = gradients(lambda xs: weighted(run(xs)[0]), xs)
            key = f"{kind.lower()}_{'both' if both_ways else 'one'}"
            found[key] = {"xs": xs, "outputs": outputs, **case}
            found[key]["h"] = state[0] if kind == "LSTM" else state
            if kind == "LSTM":
                found[key]["c"] = state[1]
    return found


# Name, steps, classes, blank, targets, lengths of inputs and of targets.
CTC = [
    ("plain", 7, 5, 0, [[1, 2, 3], [4, 1, 2]], [7, 7], [3, 3]),
    ("repeated", 8, 4, 0, [[1, 1, 1], [2, 2, 3], [3, 1, 3]], [8, 6, 7], [3, 3, 3]),
    ("lengths", 9, 6, 2, [[5, 1, 9, -7], [0, 0, 1, 3], [4, 2, 2, 2]], [4, 9, 6], [2, 4, 1]),
    ("empty", 5, 4, 3, [[0, 0], [1, 2], [1, 0]], [5, 0, 0], [0, 0, 1]),
    ("no_label", 4, 3, 1, [[], []], [4, 2], [0, 0]),
    ("too_long", 4, 4, 0, [[1, 2, 3, 1, 2], [1, 1, 1, 0, 0], [2, 2, 3, 0, 0]], [4, 4, 4], [5, 3, 3]),
    ("tight", 3, 5, 4, [[0, 1, 2], [0, 0, 9]], [3, 3], [3, 2]),
    ("long", 30, 12, 11, [[(7 * i * i + 3 * i) % 11 for i in range(12)]] * 2, [30, 23], [12, 9]),
]


def ctc():
    """The loss of logits, `numbers(1)` five times, and its gradients by them; where it is infinite, there is none."""
    found = {}
    for name, time, classes, blank, targets, inputs, lengths in CTC:
        # `numbers`, rounded as tests/surface/reference.rs rounds them: of large arguments it matters.
        count = time * len(inputs) * classes
        logits = 5 * torch.tensor([math.sin(1 + 1.7 * i + 0.3 * (i * i)) for i in range(count)])
        logits = logits.reshape(time, len(inputs), classes)
        targets, inputs, lengths = (torch.tensor(x, dtype=torch.int64) for x in (targets, inputs, lengths))
        # PyTorch refuses what stands behind a target, if it is no class.
        behind = torch.arange(targets.shape[1]) >= lengths[:, None]
        inside = torch.where(behind, (blank + 1) % classes, targets)

        def loss(x, reduction, zero_infinity):
            x = torch.log_softmax(x, -1)
            return F.ctc_loss(x, inside, inputs, lengths, blank, reduction, zero_infinity)

        found[name] = {
            "sizes": torch.tensor([time, len(inputs), classes, blank, targets.shape[1]]).double(),
            "targets": targets.double(), "inputs": inputs.double(), "lengths": lengths.double(),
            "none": torch.nan_to_num(loss(logits, "none", False), posinf=-1.0),
            "mean": gradients(lambda x: loss(x, "mean", True), logits),
            "sum": gradients(lambda x: loss(x, "sum", True), logits),
        }
    return found


TABLE = [pretrained, losses, optimisers, layers, ctc]


def main():
    values = {make.__name__: plain(make()) for make in TABLE}
    text = ",\n".join(json.dumps({name: value}, separators=(",", ":"))[1:-1] for name, value in values.items())
    (HERE / "torch_values.json").write_text("{\n" + text + "\n}\n")


if __name__ == "__main__":
    main()
