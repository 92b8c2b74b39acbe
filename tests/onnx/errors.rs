//! What is not supported, or wrong, is an error that says what and where.

use antiphon::onnx::{Model, Value};
use antiphon::{Error, NdArray, NdInt, Tensor, grad};

use super::messages::{Message, graph, int, integers, ints, model, node, port, reals, text};

type Array = NdArray<f32>;

/// The message with which a file is refused, which has to have all of these parts.
#[track_caller]
fn refused(bytes: &[u8], parts: &[&str]) {
    let error = Model::<Array>::read(bytes).expect_err("it is refused");
    assert!(matches!(error, Error::Format { .. }), "{error:?}");
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

/// A graph with an input of four axes and one output.
fn with(nodes: &[Message], tensors: &[Message]) -> Vec<u8> {
    model(13, graph(nodes, tensors, &[port("x", 1, &[1, 1, 4, 4])], &["y"]))
}

#[test]
fn operators_that_are_not_supported_are_named() {
    for op in
        ["If", "Loop", "Scan", "QuantizeLinear", "NonZero", "StringNormalizer", "Attention", "RandomNormal"]
    {
        refused(
            &with(&[node(op, &["x"], &["y"], &[])], &[]),
            &[op, &format!("\"the {op}\""), "opset 13", "not supported"],
        );
    }
    let foreign = node("FusedMatMul", &["x"], &["y"], &[]).bytes(7, "com.microsoft");
    refused(&with(&[foreign], &[]), &["FusedMatMul", "the FusedMatMul", "com.microsoft"]);
    refused(
        &with(&[node("Relu", &["x"], &["y"], &[int("alpha", 1)])], &[]),
        &["the Relu", "alpha", "not supported"],
    );
    refused(&with(&[node("MaxPool", &["x"], &["y", "places"], &[])], &[]), &["the MaxPool", "2 results"]);
    let body = Message::default().bytes(1, "value").int(20, 5).message(6, Message::default());
    refused(
        &with(&[node("Constant", &[], &["y"], &[body])], &[]),
        &["the Constant", "value", "graphs within graphs"],
    );
}

#[test]
fn versions_are_checked() {
    let relu = graph(&[node("Relu", &["x"], &["y"], &[])], &[], &[port("x", 1, &[2])], &["y"]);
    for opset in [0, 5, 29, i64::MAX] {
        refused(&model(opset, relu.clone()), &["opset", &opset.to_string()]);
    }
    refused(&Message::default().message(7, relu.clone()).0, &["which version"]);
    let two = |version| Message::default().int(2, version);
    refused(
        &Message::default().message(8, two(13)).message(8, two(14)).message(7, relu).0,
        &["two versions"],
    );
    refused(&Message::default().message(8, two(13)).0, &["no graph"]);
    refused(b"PK\x03\x04", &["no ONNX model"]);
    refused(b"", &["which version"]);
}

#[test]
fn graphs_that_do_not_fit_together_are_refused() {
    let relu = |from: &str, to: &str| node("Relu", &[from], &[to], &[]);
    refused(&with(&[relu("z", "y")], &[]), &["the Relu", "\"z\"", "computed nowhere before"]);
    // A cycle.
    refused(
        &with(&[relu("b", "a"), relu("a", "b"), relu("a", "y")], &[]),
        &["\"b\"", "computed nowhere before"],
    );
    refused(&with(&[relu("y", "y")], &[]), &["\"y\"", "computed nowhere before"]);
    refused(&with(&[relu("x", "y"), relu("x", "y")], &[]), &["two values are named \"y\""]);
    refused(&with(&[relu("x", "x")], &[]), &["two values are named \"x\""]);
    refused(&with(&[relu("x", "y")], &[reals("w", &[1]), reals("w", &[1])]), &["two values are named \"w\""]);
    refused(&with(&[relu("x", "z")], &[]), &["output \"y\" is computed nowhere"]);
    refused(&with(&[node("Add", &["x"], &["y"], &[])], &[]), &["the Add", "1 operands"]);
    refused(&with(&[node("Gemm", &["x", "", "x"], &["y"], &[])], &[]), &["the Gemm", "operand 1 is missing"]);
    let twice = node("Softmax", &["x"], &["y"], &[int("axis", 1), int("axis", 1)]);
    refused(&with(&[twice], &[]), &["axis", "twice"]);
}

#[test]
fn tensors_are_checked() {
    let identity = [node("Identity", &["w"], &["y"], &[])];
    let tensor = |kind: i64, dims: &[i64], bytes: &[u8]| {
        let start = dims.iter().fold(Message::default(), |message, &n| message.int(1, n));
        start.int(2, kind).bytes(8, "w").bytes(9, bytes)
    };
    let of = |tensor: Message| with(&identity, &[tensor]);
    refused(&of(tensor(1, &[2], &[0; 7])), &["tensor \"w\"", "7 bytes for 2 elements"]);
    refused(&of(tensor(1, &[-2], &[0; 8])), &["tensor \"w\"", "-2"]);
    refused(&of(tensor(1, &[1 << 50], &[0; 8])), &["tensor \"w\""]);
    refused(&of(tensor(1, &[1; 33], &[0; 4])), &["tensor \"w\"", "33 axes"]);
    refused(&of(tensor(8, &[1], &[])), &["tensor \"w\"", "strings"]);
    refused(&of(tensor(14, &[1], &[0; 8])), &["tensor \"w\"", "type 14"]);
    refused(&of(tensor(1, &[1], &[0; 4]).int(14, 1)), &["tensor \"w\"", "another file"]);
    let location = Message::default().bytes(1, "location").bytes(2, "/etc/passwd");
    refused(&of(tensor(1, &[1], &[0; 4]).message(13, location)), &["tensor \"w\"", "another file"]);
    let sparse = Message::default().bytes(2, "graph").message(15, Message::default());
    refused(&model(13, sparse), &["sparse"]);
}

/// What an evaluation is refused with: operator, node and opset, and the line that asked.
#[track_caller]
fn wrong(nodes: &[Message], tensors: &[Message], parts: &[&str]) {
    let network = Model::<Array>::read(with(nodes, tensors)).unwrap();
    let error = network.predict(&[Array::ones(&[1, 1, 4, 4])]).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }), "{error:?}");
    let message = error.to_string();
    for part in parts.iter().chain(&["opset 13", "tests/onnx/errors.rs"]) {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

#[test]
fn evaluation_names_the_node_that_is_wrong() {
    let w = |shape: &[i64]| [reals("w", shape)];
    wrong(
        &[node("MatMul", &["x", "w"], &["y"], &[])],
        &w(&[3, 2]),
        &["MatMul (node \"the MatMul\"", "cannot multiply"],
    );
    wrong(&[node("Add", &["x", "w"], &["y"], &[])], &w(&[3]), &["the Add", "do not broadcast"]);
    wrong(&[node("Conv", &["x", "w"], &["y"], &[])], &w(&[1, 2, 3, 3]), &["the Conv"]);
    wrong(&[node("Conv", &["x", "w"], &["y"], &[])], &w(&[1, 1, 5, 5]), &["the Conv", "does not fit"]);
    wrong(&[node("Conv", &["x", "w"], &["y"], &[])], &w(&[1, 1, 3]), &["the Conv", "kernel"]);
    wrong(&[node("Gemm", &["x", "w"], &["y"], &[])], &w(&[4, 4]), &["the Gemm", "matrix"]);
    wrong(
        &[node("Transpose", &["x"], &["y"], &[ints("perm", &[0, 1])])],
        &[],
        &["the Transpose", "of 4 axes"],
    );
    wrong(&[node("Transpose", &["x"], &["y"], &[ints("perm", &[0, 1, 1, 2])])], &[], &["the Transpose"]);
    wrong(
        &[node("Softmax", &["x"], &["y"], &[text("axis", "1")])],
        &[],
        &["the Softmax", "axis", "an integer"],
    );
    wrong(&[node("Softmax", &["x"], &["y"], &[int("axis", 4)])], &[], &["the Softmax", "axis 4 of 4"]);
    let shape = [integers("s", &[2], &[3, -1])];
    wrong(
        &[node("Reshape", &["x", "s"], &["y"], &[])],
        &shape,
        &["the Reshape", "16 elements do not divide into 3"],
    );
    wrong(&[node("Gather", &["x", "s"], &["y"], &[])], &shape, &["the Gather", "index 3 of 1"]);
    wrong(&[node("Not", &["x"], &["y"], &[])], &[], &["the Not", "truth values are wanted"]);
    wrong(&[node("Squeeze", &["x"], &["y"], &[ints("axes", &[2])])], &[], &["the Squeeze", "axis 2"]);
    wrong(&[node("Dropout", &["x", "", "t"], &["y"], &[])], &[integers("t", &[], &[1])], &["the Dropout"]);
    // An operand that has to be known, and is an input's.
    let cast = node("Cast", &["x"], &["c"], &[int("to", 7)]);
    let flat = node("Flatten", &["c"], &["f"], &[]);
    wrong(&[cast, flat, node("Reshape", &["x", "f"], &["y"], &[])], &[], &["the Reshape"]);
}

#[test]
fn inputs_are_checked() {
    let network = Model::<Array>::read(with(&[node("Relu", &["x"], &["y"], &[])], &[])).unwrap();
    let of = |inputs: &[Value<Array>]| network.apply(inputs).unwrap_err().to_string();
    assert!(of(&[]).contains("0 inputs for a network of 1"), "{}", of(&[]));
    assert!(of(&[Array::ones(&[4, 4]).into()]).contains("2 axes, and 4"));
    assert!(of(&[Value::Int(NdInt::scalar(1))]).contains("Int"));
    // Lengths may be others than the file says.
    assert_eq!(network.predict(&[Array::ones(&[2, 3, 1, 5])]).unwrap().shape().as_slice(), [2, 3, 1, 5]);
    let error = network.clone().with_limit(10).apply(&[Array::ones(&[1, 1, 4, 4]).into()]);
    assert!(error.is_ok(), "Relu makes nothing larger");
    let mut other = network;
    assert!(other.set(&[("w".to_string(), Array::scalar(1.0))].into()).is_err());
}

/// Within a derivative an error comes out of it, with the line.
#[test]
fn errors_leave_derivatives() {
    let network = Model::<NdArray<f64>>::read(with(
        &[node("MatMul", &["x", "w"], &["y"], &[])],
        &[reals("w", &[3, 2])],
    ));
    let network = network.unwrap();
    let x = NdArray::<f64>::ones(&[1, 1, 4, 4]);
    let error = grad(|model: Model<_>| model.predict(&[antiphon::Var::lift(&x)]).unwrap().sum(..), &network);
    let message = match error {
        Err(error) => error.to_string(),
        Ok(_) => panic!("shapes that do not fit"),
    };
    assert!(message.contains("multiply") && message.contains("tests/onnx/errors.rs"), "{message}");
}

#[test]
fn files_are_opened_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("network.onnx");
    let error = Model::<Array>::open(&path).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    let bytes = with(&[node("Relu", &["x"], &["y"], &[])], &[]);
    std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
    let message = Model::<Array>::open(&path).unwrap_err().to_string();
    assert!(message.contains("network.onnx") && message.contains("no ONNX model"), "{message}");
    let message = Model::<Array>::open(directory.path()).unwrap_err().to_string();
    assert!(message.contains("directory"), "{message}");
}
