"""Networks as ONNX graphs, with weights of a formula and at their real sizes: SqueezeNet 1.1 (Iandola et al., 2016),
ResNet-50 (He et al., 2016), Deep Speech 2 (Amodei et al., 2016), and a transformer. The reduced ones are trained by tests/reference/onnx_values.py as well.
"""

import math

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def numbers(seed, *shape):
    """`sin(seed + 1.7·i + 0.3·i²)` for each element, in single precision."""
    i = np.arange(math.prod(shape), dtype=np.float64)
    return np.sin(seed + 1.7 * i + 0.3 * i * i).reshape(shape).astype(np.float32)


class Graph:
    """A graph that is being written, node by node."""

    def __init__(self):
        self.nodes, self.weights, self.seed = [], {}, 0

    def weight(self, name, *shape, scale=1.0, offset=0.0):
        self.seed += 1
        self.weights[name] = (numbers(self.seed, *shape) * scale + offset).astype(np.float32)
        return name

    def constant(self, name, array):
        self.weights[name] = array
        return name

    def node(self, op, inputs, result, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [result], name=result, **attributes))
        return result

    def conv(self, x, name, channels, to, kernel, stride=1, pad=0, bias=True):
        fan = channels * kernel * kernel
        operands = [x, self.weight(f"{name}.weight", to, channels, kernel, kernel, scale=2 / math.sqrt(fan))]
        if bias:
            operands.append(self.weight(f"{name}.bias", to, scale=0.1))
        sizes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
        return self.node("Conv", operands, f"{name}.out", **sizes)

    def norm(self, x, name, channels, training):
        operands = [
            x,
            self.weight(f"{name}.weight", channels, scale=0.2, offset=0.8),
            self.weight(f"{name}.bias", channels, scale=0.1),
            self.weight(f"{name}.running_mean", channels, scale=0.1),
            self.weight(f"{name}.running_var", channels, scale=0.3, offset=1.0),
        ]
        results = [f"{name}.out"]
        if training:
            results += [f"{name}.next_mean", f"{name}.next_var"]
        self.nodes.append(helper.make_node("BatchNormalization", operands, results, training_mode=int(training)))
        return results[0]

    def model(self, name, inputs, outputs, opset=17):
        initializers = [numpy_helper.from_array(array, key) for key, array in self.weights.items()]
        ports = [helper.make_tensor_value_info(key, kind, shape) for key, kind, shape in inputs]
        ends = [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in outputs]
        graph = helper.make_graph(self.nodes, name, ports, ends, initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def squeezenet(stem, fires, classes, size, batch):
    """SqueezeNet 1.1: a convolution, fire modules with pooling before some of them, a convolution to classes."""
    g = Graph()
    x = g.node("Relu", [g.conv("x", "stem", 3, stem, 3, stride=2)], "stem.relu")
    pool = {"kernel_shape": [3, 3], "strides": [2, 2]}
    x = g.node("MaxPool", [x], "stem.pool", **pool)
    channels = stem
    for i, (squeeze, expand, pooled) in enumerate(fires):
        name = f"fire{i}"
        if pooled:
            x = g.node("MaxPool", [x], f"{name}.pool", **pool)
        s = g.node("Relu", [g.conv(x, f"{name}.squeeze", channels, squeeze, 1)], f"{name}.s")
        a = g.node("Relu", [g.conv(s, f"{name}.expand1", squeeze, expand, 1)], f"{name}.a")
        b = g.node("Relu", [g.conv(s, f"{name}.expand3", squeeze, expand, 3, pad=1)], f"{name}.b")
        x = g.node("Concat", [a, b], f"{name}.out", axis=1)
        channels = 2 * expand
    x = g.node("Dropout", [x], "dropped")
    x = g.node("Relu", [g.conv(x, "classifier", channels, classes, 1)], "scores")
    x = g.node("GlobalAveragePool", [x], "pooled")
    g.node("Flatten", [x], "y", axis=1)
    return g.model("squeezenet", [("x", TensorProto.FLOAT, ["batch", 3, size, size])], [("y", ["batch", classes])])


FIRES = [(16, 64, False), (16, 64, False), (32, 128, True), (32, 128, False), (48, 192, True), (48, 192, False),
         (64, 256, False), (64, 256, False)]  # fmt: skip
SMALL_FIRES = [(4, 8, False), (6, 12, True)]


def small_squeezenet():
    return squeezenet(8, SMALL_FIRES, 5, 31, 4)


def resnet(width, blocks, classes, size, training):
    """ResNet with bottlenecks, of which the 3 × 3 convolution has the stride."""
    g = Graph()
    x = g.conv("x", "stem", 3, width, 7, stride=2, pad=3, bias=False)
    x = g.node("Relu", [g.norm(x, "stem.norm", width, training)], "stem.relu")
    x = g.node("MaxPool", [x], "stem.pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = width
    for stage, count in enumerate(blocks):
        inner = width << stage
        for block in range(count):
            name, stride = f"layer{stage}.{block}", 2 if stage > 0 and block == 0 else 1
            y = g.conv(x, f"{name}.conv1", channels, inner, 1, bias=False)
            y = g.node("Relu", [g.norm(y, f"{name}.norm1", inner, training)], f"{name}.relu1")
            y = g.conv(y, f"{name}.conv2", inner, inner, 3, stride=stride, pad=1, bias=False)
            y = g.node("Relu", [g.norm(y, f"{name}.norm2", inner, training)], f"{name}.relu2")
            y = g.norm(g.conv(y, f"{name}.conv3", inner, 4 * inner, 1, bias=False), f"{name}.norm3", 4 * inner, training)
            if block == 0:
                x = g.conv(x, f"{name}.down", channels, 4 * inner, 1, stride=stride, bias=False)
                x = g.norm(x, f"{name}.down.norm", 4 * inner, training)
            x = g.node("Relu", [g.node("Add", [y, x], f"{name}.sum")], f"{name}.relu3")
            channels = 4 * inner
    x = g.node("Flatten", [g.node("GlobalAveragePool", [x], "pooled")], "features", axis=1)
    scale = 1 / math.sqrt(channels)
    g.node("Gemm", [x, g.weight("fc.weight", classes, channels, scale=scale), g.weight("fc.bias", classes)], "y", transB=1)
    inputs, outputs = [("x", TensorProto.FLOAT, ["batch", 3, size, size])], [("y", ["batch", classes])]
    if training:
        outputs += [("stem.norm.next_mean", [width]), ("stem.norm.next_var", [width])]
    return g.model("resnet", inputs, outputs)


def transformer(vocabulary, width, heads, layers):
    """A causal transformer over token ids, whose shapes are computed from the input's, as exporters write them."""
    g = Graph()
    i64 = lambda *values: np.array(values, dtype=np.int64)  # noqa: E731
    zero, one, minus = (g.constant(n, i64(v)) for n, v in [("zero", 0), ("one", 1), ("minus", -1)])
    shape = g.node("Shape", ["tokens"], "shape")
    length = g.node("Slice", [shape, one, g.constant("two", i64(2)), zero], "length")
    scalar = g.node("Squeeze", [length, zero], "length.scalar")
    g.constant("zero.scalar", np.array(0, np.int64)), g.constant("one.scalar", np.array(1, np.int64))
    positions = g.node("Range", ["zero.scalar", scalar, "one.scalar"], "positions")
    x = g.node("Gather", [g.weight("embedding", vocabulary, width), "tokens"], "embedded")
    p = g.node("Gather", [g.weight("position", 32, width, scale=0.5), positions], "positioned")
    x = g.node("Add", [x, p], "x0")
    square = g.node("Concat", [length, length], "square", axis=0)
    value = numpy_helper.from_array(np.array([-1e9], np.float32))
    mask = g.node("Trilu", [g.node("ConstantOfShape", [square], "masked", value=value), "one.scalar"], "mask", upper=1)
    apart = g.node("Concat", [shape, g.constant("heads", i64(heads, width // heads))], "apart", axis=0)
    together = g.node("Concat", [shape, minus], "together", axis=0)
    for i in range(layers):
        n = f"block{i}"

        def linear(x, name, a, b):
            w = g.weight(f"{name}.weight", a, b, scale=1 / math.sqrt(a))
            return g.node("Add", [g.node("MatMul", [x, w], f"{name}.product"), g.weight(f"{name}.bias", b, scale=0.1)], name)

        def normal(x, name):
            weights = [g.weight(f"{name}.gain", width, scale=0.1, offset=1.0), g.weight(f"{name}.shift", width, scale=0.1)]
            return g.node("LayerNormalization", [x, *weights], name, axis=-1, epsilon=1e-5)

        h = normal(x, f"{n}.norm1")
        parts = []
        for part in "qkv":
            y = g.node("Reshape", [linear(h, f"{n}.{part}", width, width), apart], f"{n}.{part}.apart")
            order = [0, 2, 3, 1] if part == "k" else [0, 2, 1, 3]
            parts.append(g.node("Transpose", [y], f"{n}.{part}.heads", perm=order))
        scale = g.constant(f"{n}.scale", np.array(1 / math.sqrt(width // heads), np.float32))
        scores = g.node("Mul", [g.node("MatMul", parts[:2], f"{n}.scores"), scale], f"{n}.scaled")
        weights = g.node("Softmax", [g.node("Add", [scores, mask], f"{n}.causal")], f"{n}.weights", axis=-1)
        y = g.node("Transpose", [g.node("MatMul", [weights, parts[2]], f"{n}.read")], f"{n}.back", perm=[0, 2, 1, 3])
        y = linear(g.node("Reshape", [y, together], f"{n}.joined"), f"{n}.out", width, width)
        x = g.node("Add", [x, y], f"{n}.attended")
        h = linear(normal(x, f"{n}.norm2"), f"{n}.up", width, 4 * width)
        # GELU as exporters before version 20 write it.
        e = g.node("Erf", [g.node("Div", [h, g.constant(f"{n}.root", np.array(math.sqrt(2), np.float32))], f"{n}.d")], f"{n}.e")
        e = g.node("Mul", [g.node("Add", [e, g.constant(f"{n}.1", np.array(1, np.float32))], f"{n}.p"), h], f"{n}.m")
        h = g.node("Mul", [e, g.constant(f"{n}.half", np.array(0.5, np.float32))], f"{n}.gelu")
        x = g.node("Add", [x, linear(h, f"{n}.down", 4 * width, width)], f"{n}.result")
    g.node("MatMul", [x, g.weight("head", width, vocabulary, scale=1 / math.sqrt(width))], "y")
    inputs = [("tokens", TensorProto.INT64, ["batch", "length"])]
    return g.model("transformer", inputs, [("y", ["batch", "length", vocabulary])])


def deepspeech(bins, convolutions, hidden, layers, classes, training):
    """Deep Speech 2: convolutions over frequency and time of spectrograms `[batch, 1, bins, time]`, with steps behind the
    end of each sequence made zero; bidirectional GRUs, whose two directions are added; a matrix, and log-softmax. Each is
    behind a normalisation over batch and time.
    """
    g = Graph()
    i64 = lambda *values: np.array(values, dtype=np.int64)  # noqa: E731
    for name, value in [("zero", 0), ("one", 1)]:
        g.constant(name, np.array(value, np.int64))
    # Not weights, which would be trained.
    for name, value in [("nothing", 0), ("twenty", 20)]:
        g.node("Constant", [], name, value=numpy_helper.from_array(np.array(value, np.float32)))
    g.constant("column", i64(-1, 1, 1, 1)), g.constant("last", i64(3)), g.constant("directions", i64(1))
    x, lengths, channels = "x", "lengths", 1
    for i, (to, kernel, stride) in enumerate(convolutions):
        n = f"conv{i}"
        pads = [k // 2 for k in kernel]
        scale = 2 / math.sqrt(channels * kernel[0] * kernel[1])
        weights = [g.weight(f"{n}.weight", to, channels, *kernel, scale=scale), g.weight(f"{n}.bias", to, scale=0.1)]
        x = g.node("Conv", [x, *weights], f"{n}.out", kernel_shape=kernel, strides=stride, pads=pads * 2)
        # ⌊(length + 2·pad − kernel)/stride⌋ + 1
        less = g.constant(f"{n}.less", i64(kernel[1] - 2 * pads[1]))
        lengths = g.node("Sub", [lengths, less], f"{n}.covered")
        lengths = g.node("Div", [lengths, g.constant(f"{n}.stride", i64(stride[1]))], f"{n}.steps")
        lengths = g.node("Add", [lengths, "one"], f"{n}.lengths")
        time = g.node("Gather", [g.node("Shape", [x], f"{n}.shape"), "last"], f"{n}.time")
        time = g.node("Squeeze", [time], f"{n}.time.scalar")
        steps = g.node("Range", ["zero", time, "one"], f"{n}.range")
        active = g.node("Less", [steps, g.node("Reshape", [lengths, "column"], f"{n}.column")], f"{n}.active")
        x = g.norm(g.node("Where", [active, x, "nothing"], f"{n}.masked"), f"{n}.norm", to, training)
        x = g.node("Clip", [x, "nothing", "twenty"], f"{n}.clipped")
        x = g.node("Where", [active, x, "nothing"], f"{n}.y")
        channels, bins = to, (bins + 2 * pads[0] - kernel[0]) // stride[0] + 1
    width = channels * bins
    x = g.node("Reshape", [x, g.constant("rows", i64(0, width, -1))], "rows.out")
    x = g.node("Transpose", [x], "sequence", perm=[2, 0, 1])
    lengths = g.node("Cast", [lengths], "steps32", to=TensorProto.INT32)

    def normal(x, name, width):
        flat = g.node("Reshape", [x, g.constant(f"{name}.flat", i64(-1, width))], f"{name}.in")
        return g.node("Reshape", [g.norm(flat, name, width, training), g.node("Shape", [x], f"{name}.shape")], f"{name}.back")

    for i in range(layers):
        n, scale = f"gru{i}", 1.5 / math.sqrt(hidden)
        if i > 0:
            x = normal(x, f"{n}.norm", width)
        operands = [
            x,
            g.weight(f"{n}.weight_ih", 2, 3 * hidden, width, scale=1.5 / math.sqrt(width)),
            g.weight(f"{n}.weight_hh", 2, 3 * hidden, hidden, scale=scale),
            g.weight(f"{n}.bias", 2, 6 * hidden, scale=scale),
            lengths,
        ]
        attributes = {"hidden_size": hidden, "direction": "bidirectional", "linear_before_reset": 1}
        x = g.node("GRU", operands, f"{n}.both", **attributes)
        x = g.node("ReduceSum", [x, "directions"], f"{n}.out", keepdims=0)
        width = hidden
    x = normal(x, "fc.norm", width)
    x = g.node("MatMul", [x, g.weight("fc.weight", width, classes, scale=2 / math.sqrt(width))], "logits")
    g.node("LogSoftmax", [x], "y", axis=-1)
    g.node("Identity", [lengths], "y.lengths")
    inputs = [("x", TensorProto.FLOAT, ["batch", 1, "bins", "time"]), ("lengths", TensorProto.INT64, ["batch"])]
    model = g.model("deepspeech", inputs, [("y", ["steps", "batch", classes])])
    ends = helper.make_tensor_value_info("y.lengths", TensorProto.INT32, ["batch"])
    model.graph.output.append(ends)
    return model


def small_deepspeech():
    return deepspeech(13, [(3, [5, 5], [2, 2]), (4, [3, 5], [2, 1])], 6, 2, 5, True)


def tokens(batch, length, vocabulary):
    i = np.arange(batch * length)
    return ((i * i * 7 + 3 * i) % vocabulary).reshape(batch, length).astype(np.int64)


def all():
    image = numbers(0.5, 1, 3, 224, 224)
    return {
        "squeezenet": (squeezenet(64, FIRES, 1000, 224, 1), [image]),
        "resnet50": (resnet(64, [3, 4, 6, 3], 1000, 224, False), [image]),
        "resnet50_training": (resnet(64, [3, 4, 6, 3], 1000, 224, True), [numbers(0.5, 2, 3, 224, 224)]),
        "transformer": (transformer(29, 32, 4, 2), [tokens(3, 11, 29)]),
        "small_squeezenet": (small_squeezenet(), [numbers(0.5, 4, 3, 31, 31)]),
        "deepspeech": (
            deepspeech(161, [(32, [41, 11], [2, 2]), (32, [21, 11], [2, 1])], 800, 5, 29, False),
            [numbers(0.5, 2, 1, 161, 60), np.array([60, 43])],
        ),
        "small_deepspeech": (small_deepspeech(), [numbers(0.5, 3, 1, 13, 24), np.array([24, 17, 20])]),
        "small_resnet": (resnet(4, [1, 2], 5, 32, False), [numbers(0.5, 4, 3, 32, 32)]),
    }
