"""ONNX models of single operators, and networks, with what ONNX Runtime makes of them, for tests/onnx.

    models.py DIRECTORY operators
    models.py DIRECTORY networks
    models.py DIRECTORY evaluate

For each model there are `NAME.onnx` and `NAME.npz`, with inputs `i0`, `i1`, … and outputs `o0`, …: reals as f64, integers
as i64, truth values as u8, and the kinds of the inputs as `kinds` (0, 1, 2). `cases.txt` lists the names. The last one evaluates `model.onnx` there on
`inputs.npz`, and writes `outputs.npz`.
"""

import sys
from pathlib import Path

import networks
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(7)
CASES = []
TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "bool": TensorProto.BOOL, "int32": TensorProto.INT32}


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def positive(*shape):
    return RNG.uniform(0.2, 2.0, shape).astype(np.float32)


def unit(*shape):
    return RNG.uniform(-0.9, 0.9, shape).astype(np.float32)


def ints(low, high, *shape):
    return RNG.integers(low, high, shape).astype(np.int64)


def i64(*values):
    return np.array(values, dtype=np.int64)


def f32(*values):
    return np.array(values, dtype=np.float32)


def session(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def stored(array):
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)


def save(directory, name, model, inputs):
    """Evaluates a model and writes it with its inputs and outputs."""
    running = session(model)
    outputs = running.run(None, dict(zip([port.name for port in running.get_inputs()], inputs, strict=True)))
    arrays = {f"i{i}": stored(x) for i, x in enumerate(inputs)} | {f"o{i}": stored(x) for i, x in enumerate(outputs)}
    kinds = [{"f": 0, "i": 1, "b": 2}[x.dtype.kind] for x in inputs]
    np.savez(directory / f"{name}.npz", kinds=np.array(kinds, dtype=np.int64), **arrays)
    onnx.save(model, directory / f"{name}.onnx")
    CASES.append(name)


def case(op, inputs, *, opset=17, name=None, outputs=1, constants=(), skip=(), **attributes):
    """A model of one node. Operands that are `None` are left out; those in `constants` are initializers."""
    names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    # Shapes are not said, so that any operator may have any.
    ports = [
        helper.make_tensor_value_info(names[i], TYPES[str(x.dtype)], [None] * x.ndim)
        for i, x in enumerate(inputs)
        if x is not None and i not in constants
    ]
    given = [x for i, x in enumerate(inputs) if x is not None and i not in constants]
    initializers = [numpy_helper.from_array(inputs[i], names[i]) for i in constants]
    results = ["" if i in skip else f"y{i}" for i in range(outputs)]
    node = helper.make_node(op, names, results, **attributes)
    ends = [onnx.ValueInfoProto(name=result) for result in results if result]
    graph = helper.make_graph([node], op, ports, ends, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model)
    save(DIRECTORY, name or f"{op}_{opset}" + "".join(f"_{k}" for k in attributes), model, given)


def operators():
    x = normal(2, 3, 4)
    for op in ["Abs", "Neg", "Exp", "Sin", "Cos", "Tan", "Atan", "Sinh", "Cosh", "Tanh", "Asinh", "Erf", "Floor", "Ceil",
               "Sign", "Reciprocal", "Sigmoid", "Softplus", "Softsign", "Relu", "LeakyRelu", "Elu", "Selu", "Celu",
               "HardSigmoid", "HardSwish", "Identity", "ThresholdedRelu", "Shrink", "GlobalMaxPool", "Size", "Shape",
               "Softmax", "LogSoftmax", "Hardmax", "Flatten", "LpNormalization", "ArgMax", "ArgMin"]:  # fmt: skip
        case(op, [x])
    case("Round", [f32(-2.5, -1.5, -0.5, 0.5, 1.5, 2.4, 2.6)])
    for op in ["Log", "Sqrt"]:
        case(op, [positive(2, 3)])
    case("Acosh", [positive(2, 3) + 1])
    for op in ["Asin", "Acos", "Atanh"]:
        case(op, [unit(2, 3)])
    case("Mish", [x], opset=18)
    case("Gelu", [x], opset=20)
    case("Gelu", [x], opset=20, approximate="tanh")
    case("LeakyRelu", [x], alpha=0.3)
    case("Elu", [x], alpha=0.7)
    case("Celu", [x], alpha=2.0)
    case("ThresholdedRelu", [x], alpha=0.5)
    case("HardSigmoid", [x], alpha=0.3, beta=0.4)
    case("Shrink", [x], bias=0.1, lambd=0.6)
    case("PRelu", [x, positive(3, 1)])
    case("IsNaN", [f32(1, np.nan, np.inf)])
    case("IsInf", [f32(1, -np.inf, np.inf)])
    case("IsInf", [f32(1, -np.inf, np.inf)], detect_negative=0)
    case("Not", [np.array([True, False])])
    for op in ["Add", "Sub", "Mul", "Div", "Max", "Min", "Mean", "Sum"]:
        case(op, [x, normal(3, 1) + 3])
    case("Max", [x, normal(4), normal(3, 1)], name="Max_three")
    for op in ["Add", "Sub", "Mul", "Div"]:
        case(op, [ints(-9, 9, 2, 5), i64(-3, 2, 4, -5, 1)], name=f"{op}_ints")
    case("Pow", [positive(2, 3), normal(3)])
    case("Pow", [x, f32(3.0).reshape(())], constants=[1], name="Pow_cube")
    case("Mod", [x, positive(4)], fmod=1)
    case("Mod", [ints(-9, 9, 6), i64(-3, 2, 4, -5, 1, 7)], name="Mod_ints")
    case("Mod", [ints(-9, 9, 6), i64(-3, 2, 4, -5, 1, 7)], fmod=1, name="Mod_ints_fmod")
    for op in ["And", "Or", "Xor", "Equal"]:
        case(op, [np.array([True, True, False, False]), np.array([True, False, True, False])])
    for op in ["Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"]:
        case(op, [np.round(normal(8)), np.round(normal(8))], name=f"{op}_reals")
        case(op, [ints(0, 3, 8), ints(0, 3, 8)], name=f"{op}_ints")
    case("Where", [np.array([True, False, True, False]), x, normal(4)])
    case("Where", [np.array([True, False]), ints(0, 9, 2), ints(0, 9, 2)], name="Where_ints")
    case("Clip", [x, f32(-0.5).reshape(()), f32(0.7).reshape(())], constants=[1, 2])
    case("Clip", [x, f32(-0.5).reshape(()), f32(0.7).reshape(())], name="Clip_computed")
    case("Clip", [x], opset=10, min=-0.3, max=0.2)
    case("Dropout", [x])
    case("Dropout", [x], opset=11, ratio=0.4)
    for axis in [0, 1]:
        case("Softmax", [x], opset=11, axis=axis, name=f"Softmax_flat_{axis}")
        case("LogSoftmax", [x], axis=axis, name=f"LogSoftmax_{axis}")
        case("Hardmax", [x], axis=axis, name=f"Hardmax_{axis}")
    for op in ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
               "ReduceLogSumExp", "ReduceSumSquare"]:  # fmt: skip
        case(op, [x], opset=13, name=f"{op}_all")
        axes = i64(1, -1)
        if op == "ReduceSum":
            case(op, [x, axes], opset=13, constants=[1], keepdims=0)
        else:
            case(op, [x], opset=13, axes=[1, -1], keepdims=0)
            case(op, [x, axes], opset=18, constants=[1])
    case("ReduceLogSum", [positive(2, 3)], opset=13, axes=[1])
    case("ReduceSum", [x], opset=11, axes=[0])
    case("ReduceSum", [x, np.zeros(0, np.int64)], constants=[1], noop_with_empty_axes=1)
    case("ReduceMax", [ints(-9, 9, 3, 4)], opset=13, axes=[1], name="ReduceMax_ints")
    case("ArgMax", [ints(0, 3, 4, 5).astype(np.float32)], axis=-1, keepdims=0)
    case("ArgMax", [ints(0, 3, 4, 5).astype(np.float32)], axis=1, select_last_index=1)
    case("ArgMin", [ints(0, 3, 4, 5).astype(np.float32)], axis=0, select_last_index=1)
    for exclusive in [0, 1]:
        for reverse in [0, 1]:
            case("CumSum", [x, i64(1).reshape(())], constants=[1], exclusive=exclusive, reverse=reverse,
                 name=f"CumSum_{exclusive}{reverse}")  # fmt: skip
    case("TopK", [normal(3, 7), i64(3)], constants=[1], outputs=2)
    case("TopK", [normal(3, 7), i64(2)], constants=[1], outputs=2, axis=0, largest=0)
    case("Constant", [], value=numpy_helper.from_array(normal(2, 2)))
    case("Constant", [], value_ints=[3, 1, 2])
    case("ConstantOfShape", [i64(2, 3)], constants=[0], value=numpy_helper.from_array(f32(1.5)))
    case("ConstantOfShape", [i64(2)], constants=[0], value=numpy_helper.from_array(i64(7)), name="ConstantOfShape_ints")
    case("Shape", [x], start=1, end=-1)
    case("Range", [i64(2).reshape(()), i64(11).reshape(()), i64(3).reshape(())], constants=[0, 1, 2])
    case("Range", [i64(5).reshape(()), i64(-4).reshape(()), i64(-2).reshape(())], constants=[0, 1, 2], name="Range_down")
    case("Range", [f32(0.5).reshape(()), f32(2.1).reshape(()), f32(0.25).reshape(())], constants=[0, 1, 2],
         name="Range_reals")  # fmt: skip
    case("EyeLike", [normal(3, 4)], k=1)
    case("Cast", [np.round(normal(5) * 3)], to=TensorProto.INT64)
    case("Cast", [ints(-3, 3, 5)], to=TensorProto.FLOAT, name="Cast_to_real")
    case("Cast", [ints(-1, 2, 5)], to=TensorProto.BOOL, name="Cast_to_bool")
    case("CastLike", [ints(-3, 3, 5), normal(1)])
    case("Reshape", [x, i64(0, -1)], constants=[1])
    case("Reshape", [x, i64(4, 1, 6)], constants=[1], name="Reshape_whole")
    for axis in [0, 2, -1]:
        case("Flatten", [x], axis=axis, name=f"Flatten_{axis}")
    case("Transpose", [x])
    case("Transpose", [x], perm=[1, 2, 0])
    case("Transpose", [ints(0, 9, 2, 3)], name="Transpose_ints")
    case("Squeeze", [normal(1, 3, 1), i64(0)], constants=[1])
    case("Squeeze", [normal(1, 3, 1)], opset=11, axes=[2])
    case("Squeeze", [normal(1, 3, 1)])
    case("Unsqueeze", [x, i64(0, -1)], constants=[1])
    case("Unsqueeze", [x], opset=11, axes=[1, 3])
    for axis in [0, 1, -1]:
        shapes = [[2, 3, 4], [2, 3, 4]]
        shapes[1][axis] = 5
        case("Concat", [normal(*shape) for shape in shapes], axis=axis, name=f"Concat_{axis}")
        case("Concat", [ints(0, 9, *shape) for shape in shapes], axis=axis, name=f"Concat_ints_{axis}")
    case("Split", [normal(6, 2)], outputs=3)
    case("Split", [normal(2, 7), i64(2, 4, 1)], constants=[1], outputs=3, axis=1)
    case("Split", [normal(2, 7)], opset=11, outputs=2, axis=1, split=[3, 4])
    case("Split", [normal(7)], opset=18, outputs=3, num_outputs=3)
    case("Slice", [normal(6, 7), i64(1, -3), i64(5, 100), i64(0, 1), i64(2, 1)], constants=[1, 2, 3, 4])
    case("Slice", [normal(6, 7), i64(-1, 5), i64(-100, 0), i64(0, 1), i64(-2, -1)], constants=[1, 2, 3, 4],
         name="Slice_back")  # fmt: skip
    case("Slice", [ints(0, 9, 6), i64(4), i64(0), i64(0), i64(-3)], constants=[1, 2, 3, 4], name="Slice_ints")
    case("Slice", [normal(6, 7)], opset=9, starts=[1], ends=[4], axes=[1])
    case("Expand", [normal(3, 1), i64(2, 1, 4)], constants=[1])
    case("Expand", [ints(0, 9, 3, 1), i64(2, 1, 4)], constants=[1], name="Expand_ints")
    case("Tile", [normal(2, 3), i64(2, 3)], constants=[1])
    case("Tile", [np.array([[True, False]]), i64(2, 2)], constants=[1], name="Tile_bools")
    case("Pad", [normal(2, 3), i64(1, 0, 2, 1)], constants=[1])
    case("Pad", [normal(2, 3), i64(1, 0, 2, 1), f32(2.5).reshape(())], constants=[1, 2], name="Pad_value")
    case("Pad", [normal(4, 5), i64(-1, 2, 1, -1)], constants=[1], name="Pad_away")
    case("Pad", [ints(0, 9, 3), i64(2, 1), i64(7).reshape(())], constants=[1, 2], name="Pad_ints")
    for mode in ["reflect", "edge", "wrap"]:
        case("Pad", [normal(4, 5), i64(1, 2, 3, 1)], opset=19, constants=[1], mode=mode, name=f"Pad_{mode}")
    case("Pad", [normal(2, 3)], opset=10, pads=[0, 1, 1, 0], value=1.5)
    case("Trilu", [normal(3, 4)])
    case("Trilu", [normal(2, 3, 4), i64(-1).reshape(())], constants=[1], upper=0)
    case("Trilu", [ints(0, 9, 3, 3)], name="Trilu_ints")
    case("DepthToSpace", [normal(2, 8, 2, 3)], blocksize=2)
    case("DepthToSpace", [normal(2, 8, 2, 3)], blocksize=2, mode="CRD")
    case("SpaceToDepth", [normal(2, 3, 4, 6)], blocksize=2)
    scales = f32(1, 1, 1.5, 2)
    image = normal(1, 2, 4, 5)
    for mode in ["nearest", "linear", "cubic"]:
        for coordinates in ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]:
            case("Resize", [image, None, scales], opset=13, constants=[2], mode=mode,
                 coordinate_transformation_mode=coordinates, name=f"Resize_{mode}_{coordinates}")  # fmt: skip
    case("Resize", [image, None, None, i64(1, 2, 3, 4)], opset=13, constants=[3], mode="linear", name="Resize_sizes")
    case("Resize", [image, None, scales], opset=13, constants=[2], mode="cubic", exclude_outside=1)
    for rounding in ["round_prefer_ceil", "floor", "ceil"]:
        case("Resize", [image, None, scales], opset=13, constants=[2], nearest_mode=rounding, name=f"Resize_{rounding}")
    case("Resize", [image, f32(1, 1, 2, 2)], opset=10, constants=[1])
    case("Upsample", [image, f32(1, 1, 2, 3)], opset=9, constants=[1], mode="nearest")
    for axis in [0, 1]:
        case("Gather", [normal(3, 4), ints(-2, 3, 2, 2)], axis=axis, name=f"Gather_{axis}")
        case("Gather", [ints(0, 9, 3, 4), i64(0, -1)], axis=axis, constants=[1], name=f"Gather_ints_{axis}")
        case("GatherElements", [normal(3, 4), ints(-2, 3, 2, 3)], axis=axis, name=f"GatherElements_{axis}")
    case("Gather", [normal(3, 4), i64(1).reshape(())], constants=[1], name="Gather_one")
    case("GatherND", [normal(3, 4, 2), i64(0, 1, 2, -1).reshape(2, 2)])
    case("ScatterND", [normal(3, 4, 2), i64(0, 1, 2, -1).reshape(2, 2), normal(2, 2)])
    case("ScatterND", [normal(4, 2), i64(0, 2, 0).reshape(3, 1), normal(3, 2)], opset=16, reduction="add")
    case("OneHot", [i64(0, 2, -1, 7), i64(4), f32(0.5, 2.0)], constants=[1, 2])
    case("OneHot", [i64(0, 2, 1), i64(4), f32(0, 1)], constants=[1, 2], axis=0)
    for a, b in [((3, 4), (4, 5)), ((4,), (4, 5)), ((2, 3, 4), (4,)), ((2, 1, 3, 4), (5, 4, 2))]:
        case("MatMul", [normal(*a), normal(*b)], name=f"MatMul_{len(a)}_{len(b)}")
    case("Gemm", [normal(3, 4), normal(4, 5), normal(5)])
    case("Gemm", [normal(4, 3), normal(5, 4), normal(3, 1)], alpha=0.5, beta=2.0, transA=1, transB=1)
    case("Gemm", [normal(3, 4), normal(4, 5)], name="Gemm_bare")
    case("Einsum", [normal(2, 3, 4), normal(2, 4, 5)], equation="bij, bjk -> bik")
    case("Einsum", [normal(3, 4), normal(4)], equation="...j,j->...", name="Einsum_batch")
    case("Einsum", [normal(3, 3)], equation="ii->i", name="Einsum_diagonal")
    image = normal(2, 4, 7, 8)
    case("Conv", [image, normal(6, 4, 3, 3), normal(6)])
    case("Conv", [image, normal(6, 4, 3, 2)], strides=[2, 1], pads=[1, 1, 0, 2])
    case("Conv", [image, normal(6, 2, 3, 3), normal(6)], group=2, dilations=[2, 1], pads=[1, 1, 1, 1])
    case("Conv", [image, normal(4, 1, 3, 3)], group=4, auto_pad="SAME_UPPER", strides=[2, 2])
    case("Conv", [image, normal(4, 4, 2, 2)], auto_pad="SAME_LOWER")
    case("Conv", [image, normal(4, 4, 2, 2)], auto_pad="VALID", name="Conv_valid")
    case("Conv", [normal(2, 3, 9), normal(4, 3, 3), normal(4)], pads=[1, 1], strides=[2], name="Conv_line")
    case("ConvTranspose", [normal(2, 4, 3, 4), normal(4, 3, 3, 3), normal(3)])
    case("ConvTranspose", [normal(2, 4, 3, 4), normal(4, 3, 3, 3)], strides=[2, 2], pads=[1, 1, 1, 1],
         output_padding=[1, 1])  # fmt: skip
    case("ConvTranspose", [normal(2, 4, 3, 4), normal(4, 2, 3, 3)], group=2, dilations=[2, 2])
    case("ConvTranspose", [normal(2, 4, 5), normal(4, 2, 3)], strides=[2], name="ConvTranspose_line")
    for op in ["MaxPool", "AveragePool"]:
        case(op, [image], kernel_shape=[3, 3], strides=[2, 2])
        case(op, [image], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        case(op, [image], kernel_shape=[3, 2], strides=[2, 3], pads=[0, 1, 2, 0], name=f"{op}_uneven")
        case(op, [image], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
        case(op, [image], kernel_shape=[2, 2], auto_pad="SAME_UPPER")
        case(op, [image], opset=19, kernel_shape=[2, 3], dilations=[2, 2])
        case(op, [normal(2, 3, 9)], kernel_shape=[3], strides=[2], name=f"{op}_line")
    case("AveragePool", [image], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
    case("LpPool", [image], opset=18, kernel_shape=[2, 2], p=2)
    case("LpPool", [positive(1, 2, 4, 4)], opset=18, kernel_shape=[2, 2], p=3, name="LpPool_3")
    for op in ["GlobalAveragePool", "GlobalMaxPool"]:
        case(op, [image])
    vectors = [positive(4), normal(4), normal(4), positive(4)]
    for opset in [7, 9, 15]:
        case("BatchNormalization", [image, *vectors], opset=opset)
    case("BatchNormalization", [image, *vectors], outputs=3, training_mode=1, momentum=0.8, epsilon=1e-3)
    case("InstanceNormalization", [image, *vectors[:2]], epsilon=1e-3)
    case("LayerNormalization", [x, positive(4), normal(4)])
    case("LayerNormalization", [x, positive(3, 4), normal(3, 4)], axis=1, epsilon=1e-3)
    case("GroupNormalization", [image, *vectors[:2]], opset=21, num_groups=2)
    case("RMSNormalization", [x, positive(4)], opset=23)
    case("MeanVarianceNormalization", [image], opset=13)
    case("MeanVarianceNormalization", [image], opset=13, axes=[2, 3])
    case("LpNormalization", [x], axis=1, p=1)
    case("LRN", [image], size=3, alpha=0.1, beta=0.6, bias=1.2)
    hidden, width, steps, batch = 3, 2, 4, 2
    for op, gates in [("RNN", 1), ("GRU", 3), ("LSTM", 4)]:
        for direction, count in [("forward", 1), ("reverse", 1), ("bidirectional", 2)]:
            operands = [
                normal(steps, batch, width),
                normal(count, gates * hidden, width),
                normal(count, gates * hidden, hidden),
                normal(count, 2 * gates * hidden),
                None,
                normal(count, batch, hidden),
            ]
            if op == "LSTM":
                operands.append(normal(count, batch, hidden))
            case(op, operands, outputs=3 if op == "LSTM" else 2, hidden_size=hidden, direction=direction,
                 name=f"{op}_{direction}")  # fmt: skip
            # Sequences of several lengths, one of which may be all steps, or one.
            case(op, [*operands[:4], np.array([4, 2], np.int32), *operands[5:]], outputs=3 if op == "LSTM" else 2,
                 hidden_size=hidden, direction=direction, name=f"{op}_{direction}_lengths")  # fmt: skip
    operands = [normal(steps, batch, width), normal(1, 9, width), normal(1, 9, hidden), normal(1, 18)]
    case("GRU", [*operands, np.array([1, 3], np.int32)], outputs=2, hidden_size=hidden, linear_before_reset=1,
         name="GRU_short")  # fmt: skip
    case("GRU", operands, outputs=2, hidden_size=hidden, linear_before_reset=1)
    logits, targets = normal(3, 5, 2), ints(0, 5, 3, 2)
    for reduction in ["none", "sum", "mean"]:
        case("SoftmaxCrossEntropyLoss", [logits, targets], reduction=reduction, name=f"SoftmaxCrossEntropy_{reduction}")
        case("NegativeLogLikelihoodLoss", [logits, targets, positive(5)], reduction=reduction,
             name=f"NegativeLogLikelihood_{reduction}")  # fmt: skip
    case("SoftmaxCrossEntropyLoss", [logits, targets, positive(5)], outputs=2, ignore_index=1)


def network(name, model, inputs):
    onnx.checker.check_model(model)
    save(DIRECTORY, name, model, inputs)


def evaluate(directory):
    model = onnx.load(directory / "model.onnx")
    onnx.checker.check_model(model)
    running, given = session(model), np.load(directory / "inputs.npz")
    ports = running.get_inputs()
    outputs = running.run(None, {port.name: given[f"i{i}"] for i, port in enumerate(ports)})
    np.savez(directory / "outputs.npz", **{f"o{i}": stored(x) for i, x in enumerate(outputs)})


if __name__ == "__main__":
    DIRECTORY, which = Path(sys.argv[1]), sys.argv[2]
    if which == "evaluate":
        evaluate(DIRECTORY)
        sys.exit()
    if which == "operators":
        operators()
    else:
        for name, (model, inputs) in networks.all().items():
            network(name, model, inputs)
    (DIRECTORY / "cases.txt").write_text("\n".join(CASES) + "\n")
