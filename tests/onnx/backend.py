"""The ONNX project's own tests of operators and networks, which come with its Python package, for tests/onnx/backend.rs.

    backend.py DIRECTORY OPERATOR…

Of the tests whose operators are all among the given ones, and whose inputs and outputs are tensors, it writes models,
inputs and expected outputs as models.py does, with `tolerance` (relative, absolute). `NAME.fixed.onnx` is the same model
with all inputs but the first as initializers, for what has to be known beforehand. `left.txt` says how many tests have
other operators.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

DIRECTORY, SUPPORTED = Path(sys.argv[1]), set(sys.argv[2:])
TYPES = {"float32", "float64", "float16", "bool"} | {f"{sign}int{bits}" for sign in ["", "u"] for bits in [8, 16, 32, 64]}
CASES, LEFT = [], []


def stored(array):
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)


def tensors(values):
    arrays = [np.asarray(x) if isinstance(x, (np.ndarray, np.generic)) else None for x in values]
    return None if any(x is None or str(x.dtype) not in TYPES for x in arrays) else arrays


def save(name, model, inputs, outputs, tolerance):
    inputs, outputs = tensors(inputs), tensors(outputs)
    given = {tensor.name for tensor in model.graph.initializer}
    ports = [port for port in model.graph.input if port.name not in given]
    operators = {node.op_type for node in model.graph.node}
    if inputs is None or outputs is None or not operators <= SUPPORTED or len(ports) != len(inputs):
        LEFT.append(name)
        return
    kinds = [{"f": 0, "i": 1, "u": 1, "b": 2}[x.dtype.kind] for x in inputs]
    arrays = {f"i{i}": stored(x) for i, x in enumerate(inputs)} | {f"o{i}": stored(x) for i, x in enumerate(outputs)}
    np.savez(DIRECTORY / f"{name}.npz", kinds=np.array(kinds, dtype=np.int64), tolerance=np.array(tolerance), **arrays)
    onnx.save(model, DIRECTORY / f"{name}.onnx")
    for port, x in list(zip(ports, inputs))[1:]:
        model.graph.initializer.append(numpy_helper.from_array(x, port.name))
    onnx.save(model, DIRECTORY / f"{name}.fixed.onnx")
    CASES.append(name)


def from_file(path, port):
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return numpy_helper.to_array(tensor)


warnings.simplefilter("ignore")
for case in collect_testcases(None):
    if case.model is not None:
        for inputs, outputs in case.data_sets[:1]:
            save(case.name, case.model, inputs, outputs, [case.rtol, case.atol])
data = Path(onnx.__file__).parent / "backend" / "test" / "data"
for folder in ["pytorch-operator", "pytorch-converted", "simple"]:
    for directory in sorted((data / folder).iterdir()):
        model = onnx.load(directory / "model.onnx")
        sets = directory / "test_data_set_0"
        try:
            arrays = [
                [from_file(path, None) for path in sorted(sets.glob(f"{which}_*.pb"), key=lambda p: int(p.stem.split("_")[1]))]
                for which in ["input", "output"]
            ]
        except Exception:
            LEFT.append(directory.name)
            continue
        save(f"{folder}_{directory.name}", model, *arrays, [1e-3, 1e-5])
(DIRECTORY / "cases.txt").write_text("\n".join(CASES) + "\n")
(DIRECTORY / "left.txt").write_text("\n".join(LEFT) + "\n")
print(len(CASES), len(LEFT))
