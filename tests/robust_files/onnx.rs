//! ONNX files of strangers: whatever they hold, reading and evaluating them gives a result or an error, in little
//! memory.

use antiphon::onnx::{Model, Value};
use antiphon::{Error, NdArray, NdInt, Real, Tensor};

use super::mutated::{Choices, cases, mutate};
use super::onnx_messages::{Message, float, graph, int, integers, ints, model, node, port, reals, text};
use super::refusing;

type Array = NdArray<f32>;

/// A network of images, one of shapes that are computed, and one of sequences, with an input of each.
fn honest() -> Vec<(Vec<u8>, Vec<Value<Array>>)> {
    let image = Value::Real(Array::full(&[1, 2, 8, 8], 0.5));
    let nodes = [
        node(
            "Conv",
            &["x", "w", "b"],
            &["c"],
            &[ints("pads", &[1, 1, 1, 1]), ints("strides", &[1, 2]), int("group", 1)],
        ),
        node("BatchNormalization", &["c", "b", "b", "b", "v"], &["n"], &[float("epsilon", 1e-3)]),
        node("Relu", &["n"], &["r"], &[]),
        node(
            "MaxPool",
            &["r"],
            &["p"],
            &[ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2]), int("ceil_mode", 1)],
        ),
        node("AveragePool", &["p"], &["a"], &[ints("kernel_shape", &[2, 1]), ints("pads", &[1, 0, 0, 0])]),
        node(
            "ConvTranspose",
            &["a", "t"],
            &["d"],
            &[ints("strides", &[2, 2]), ints("output_padding", &[1, 0])],
        ),
        node("Resize", &["d", "", "s"], &["u"], &[text("mode", "linear")]),
        node("Pad", &["u", "pads"], &["q"], &[text("mode", "reflect")]),
        node("LRN", &["q"], &["l"], &[int("size", 3)]),
        node("GlobalAveragePool", &["l"], &["g"], &[]),
        node("Flatten", &["g"], &["f"], &[int("axis", 1)]),
        node("Gemm", &["f", "fw"], &["y"], &[int("transB", 1), float("alpha", 0.5)]),
    ];
    let mut scales = reals("s", &[4]);
    scales.0.clear();
    let floats = |list: &[f32]| list.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let scales = scales.int(1, 4).int(2, 1).bytes(8, "s").bytes(9, floats(&[1.0, 1.0, 2.0, 1.5]));
    let variance = Message::default().int(1, 3).int(2, 1).bytes(8, "v").bytes(9, floats(&[1.0, 2.0, 3.0]));
    let tensors = [
        reals("w", &[3, 2, 3, 3]),
        reals("b", &[3]),
        variance,
        reals("t", &[3, 2, 2, 2]),
        scales,
        integers("pads", &[8], &[0, 0, 1, 1, 0, 0, 2, 1]),
        reals("fw", &[4, 2]),
    ];
    let images = model(13, graph(&nodes, &tensors, &[port("x", 1, &[1, 2, 8, 8])], &["y"]));

    let nodes = [
        node("Shape", &["t"], &["shape"], &[]),
        node("Slice", &["shape", "one", "two", "zero", "one"], &["length"], &[]),
        node("Squeeze", &["length", "zero"], &["n"], &[]),
        node("Range", &["start", "n", "step"], &["positions"], &[]),
        node("Gather", &["table", "t"], &["e"], &[int("axis", 0)]),
        node("Gather", &["table", "positions"], &["p"], &[]),
        node("Add", &["e", "p"], &["x"], &[]),
        node("Concat", &["length", "length"], &["square"], &[int("axis", 0)]),
        node("ConstantOfShape", &["square"], &["ones"], &[]),
        node("Trilu", &["ones"], &["mask"], &[int("upper", 0)]),
        node("Split", &["x", "parts"], &["a", "c"], &[int("axis", 2)]),
        node("Transpose", &["c"], &["ct"], &[ints("perm", &[0, 2, 1])]),
        node("MatMul", &["a", "ct"], &["s"], &[]),
        node("Add", &["s", "mask"], &["m"], &[]),
        node("Softmax", &["m"], &["w"], &[int("axis", -1)]),
        node("Tile", &["w", "copies"], &["tiled"], &[]),
        node("Expand", &["tiled", "wide"], &["grown"], &[]),
        node("ReduceSum", &["grown", "one"], &["sum"], &[int("keepdims", 0)]),
        node("TopK", &["sum", "two"], &["top", "places"], &[]),
        node("OneHot", &["places", "four", "values"], &["hot"], &[]),
        node("CumSum", &["hot", "start"], &["y"], &[]),
    ];
    let tensors = [
        integers("zero", &[1], &[0]),
        integers("one", &[1], &[1]),
        integers("two", &[1], &[2]),
        integers("four", &[1], &[9]),
        integers("start", &[], &[0]),
        integers("step", &[], &[1]),
        integers("parts", &[2], &[2, 2]),
        integers("copies", &[3], &[1, 2, 1]),
        integers("wide", &[4], &[2, 1, 1, 3]),
        reals("table", &[7, 4]),
        reals("values", &[2]),
    ];
    let shapes = model(13, graph(&nodes, &tensors, &[port("t", 7, &[2, 3])], &["y", "places"]));
    let tokens = Value::Int(NdInt::from(ndarray::arr2(&[[0i64, 3, 6], [2, 2, 1]])));

    let nodes = [
        node(
            "LSTM",
            &["x", "w", "r", "b"],
            &["h", "", "c"],
            &[int("hidden_size", 2), text("direction", "forward")],
        ),
        node("GRU", &["x", "gw", "gr"], &["g"], &[int("hidden_size", 2), int("linear_before_reset", 1)]),
        node("Einsum", &["h", "g"], &["e"], &[text("equation", "sdbh,sdbk->bhk")]),
        node("Reshape", &["e", "to"], &["flat"], &[]),
        node("LayerNormalization", &["flat", "gain"], &["n"], &[int("axis", -1)]),
        node("SpaceToDepth", &["image"], &["deep"], &[int("blocksize", 2)]),
        node("DepthToSpace", &["deep"], &["back"], &[int("blocksize", 2), text("mode", "CRD")]),
        node("GatherElements", &["n", "places"], &["picked"], &[int("axis", 1)]),
        node("Clip", &["picked", "", ""], &["y"], &[]),
        node("ReduceMax", &["back"], &["z"], &[ints("axes", &[1, -1])]),
        node("Slice", &["z", "back1", "backend", "zero", "back1"], &["turned"], &[]),
    ];
    let tensors = [
        reals("w", &[1, 8, 3]),
        reals("r", &[1, 8, 2]),
        reals("b", &[1, 16]),
        reals("gw", &[1, 6, 3]),
        reals("gr", &[1, 6, 2]),
        reals("gain", &[4]),
        reals("image", &[1, 2, 4, 4]),
        integers("to", &[2], &[0, -1]),
        integers("places", &[2, 2], &[0, -1, 2, 3]),
        integers("back1", &[1], &[-1]),
        integers("backend", &[1], &[-9]),
        integers("zero", &[1], &[2]),
    ];
    let sequences = model(14, graph(&nodes, &tensors, &[port("x", 1, &[5, 2, 3])], &["y", "turned"]));
    let sequence = Value::Real(Array::full(&[5, 2, 3], 0.25));
    vec![(images, vec![image]), (shapes, vec![tokens]), (sequences, vec![sequence])]
}

/// Reads a file and evaluates what it holds; an error is one about files or operands, on one line.
fn run(bytes: &[u8], inputs: &[Value<Array>]) -> Result<(), String> {
    let accepted = |error: Error| {
        let is_expected = matches!(
            error,
            Error::Format { .. }
                | Error::Argument { .. }
                | Error::Structure(_)
                | Error::Memory { .. }
                | Error::StackExhausted { .. }
        );
        assert!(is_expected, "{error:?}");
        let message = error.to_string();
        assert!(!message.contains(|c: char| c.is_control()) && message.len() < 8000, "{message:?}");
        message
    };
    let model = Model::<Array>::read(bytes).map_err(accepted)?.with_limit(1 << 16);
    let outputs = model.apply(inputs).map_err(accepted)?;
    assert_eq!(outputs.len(), model.outputs().len());
    Ok(())
}

#[test]
fn mutated_networks_are_read_or_refused() {
    for (which, (whole, inputs)) in honest().into_iter().enumerate() {
        run(&whole, &inputs).unwrap_or_else(|error| panic!("network {which}: {error}"));
        let mut outcomes = [0u64; 2];
        for seed in 0..3 * cases() {
            let mut bytes = whole.clone();
            mutate(&mut bytes, &mut Choices(seed));
            outcomes[usize::from(run(&bytes, &inputs).is_err())] += 1;
            refusing::assert_nothing_was_refused();
        }
        assert!(outcomes.iter().all(|&count| count > cases() / 8), "network {which}: {outcomes:?}");
    }
}

#[test]
fn every_truncation_is_read_or_refused() {
    for (whole, inputs) in honest() {
        // What ends before its graph does is no model; metadata may come after it.
        let refused = (0..whole.len()).filter(|&end| run(&whole[..end], &inputs).is_err()).count();
        assert_eq!(refused, whole.len());
    }
    refusing::assert_nothing_was_refused();
}

/// A file of a node that has these operands, of which `x` is an input of four axes.
fn single(op: &str, inputs: &[&str], attributes: &[Message], tensors: &[Message]) -> Result<(), String> {
    let bytes = model(
        13,
        graph(&[node(op, inputs, &["y"], attributes)], tensors, &[port("x", 1, &[1, 1, 2, 2])], &["y"]),
    );
    run(&bytes, &[Value::Real(Array::constant(0.5).reshape(&[1, 1, 1, 1]))])
}

#[test]
fn what_asks_for_too_much_is_refused() {
    let most = i64::MAX;
    let ask = |dims: &[i64]| integers("dims", &[dims.len() as i64], dims);
    for dims in
        [&[most][..], &[-1], &[i64::MIN], &[1 << 20, 1 << 20], &[1 << 31, 1 << 31, 1 << 31], &[1 << 17]]
    {
        single("ConstantOfShape", &["dims"], &[], &[ask(dims)]).unwrap_err();
        single("Expand", &["x", "dims"], &[], &[ask(dims)]).unwrap_err();
        single("Reshape", &["x", "dims"], &[], &[ask(dims)]).err();
    }
    for counts in [&[most, most, most, most][..], &[1 << 20, 1, 1, 1], &[-1, 1, 1, 1], &[i64::MIN; 4]] {
        single("Tile", &["x", "dims"], &[], &[ask(counts)]).unwrap_err();
    }
    for pads in [[most; 8], [i64::MIN; 8], [1 << 20; 8], [0, 0, 0, most, 0, 0, 0, i64::MIN]] {
        for mode in ["constant", "edge", "reflect", "wrap"] {
            single("Pad", &["x", "dims"], &[text("mode", mode)], &[ask(&pads)]).unwrap_err();
        }
    }
    for bad in [most, i64::MIN, -1, 1 << 30] {
        for op in ["MaxPool", "AveragePool", "LpPool"] {
            let kernel = || ints("kernel_shape", &[1, 1]);
            single(op, &["x"], &[ints("kernel_shape", &[bad, bad])], &[]).unwrap_err();
            single(op, &["x"], &[kernel(), ints("pads", &[bad; 4])], &[]).unwrap_err();
            single(op, &["x"], &[kernel(), ints("dilations", &[bad, bad])], &[]).err();
            single(op, &["x"], &[kernel(), ints("strides", &[bad, bad])], &[]).err();
        }
        let weights = || reals("w", &[1, 1, 1, 1]);
        for op in ["Conv", "ConvTranspose"] {
            single(op, &["x", "w"], &[ints("pads", &[bad; 4])], &[weights()]).unwrap_err();
            single(op, &["x", "w"], &[int("group", bad)], &[weights()]).unwrap_err();
            single(op, &["x", "w"], &[ints("strides", &[bad, bad])], &[weights()]).err();
            single(op, &["x", "w"], &[ints("dilations", &[bad, bad])], &[weights()]).err();
        }
        single("DepthToSpace", &["x"], &[int("blocksize", bad)], &[]).unwrap_err();
        single("SpaceToDepth", &["x"], &[int("blocksize", bad)], &[]).unwrap_err();
        single("Flatten", &["x"], &[int("axis", bad)], &[]).err();
        single("Softmax", &["x"], &[int("axis", bad)], &[]).err();
        single("LRN", &["x"], &[int("size", bad)], &[]).err();
        single("Trilu", &["x", "k"], &[], &[integers("k", &[], &[bad])]).err();
        single("TopK", &["x", "k"], &[], &[integers("k", &[1], &[bad])]).unwrap_err();
        single("Unsqueeze", &["x", "k"], &[], &[integers("k", &[1], &[bad])]).err();
        let numbers = |list: [i64; 3]| {
            ["a", "b", "c"].iter().zip(list).map(|(n, x)| integers(n, &[], &[x])).collect::<Vec<_>>()
        };
        for list in [[0, bad, 1], [0, most, 1], [i64::MIN, most, 1], [0, 1, bad], [0, 1, 0]] {
            single("Range", &["a", "b", "c"], &[], &numbers(list)).err();
        }
    }
    // Each result is small enough, and the next one is larger.
    let mut nodes = vec![node("Concat", &["x", "x"], &["0"], &[int("axis", 0)])];
    for i in 0..60 {
        let (from, to) = (i.to_string(), (i + 1).to_string());
        nodes.push(node("Concat", &[&from, &from], &[&to], &[int("axis", 0)]));
    }
    let bytes = model(13, graph(&nodes, &[], &[port("x", 1, &[1])], &["60"]));
    let error = run(&bytes, &[Value::Real(Array::full(&[1], 1.0))]).unwrap_err();
    assert!(error.contains("limit") && error.contains("Concat"), "{error}");
    // So it is where all is known beforehand.
    let bytes = model(13, graph(&nodes, &[integers("x", &[1], &[1])], &[], &["60"]));
    run(&bytes, &[]).unwrap_err();
    refusing::assert_nothing_was_refused();
}

#[test]
fn tensors_that_claim_to_be_large_cost_nothing() {
    for dims in [&[1 << 40][..], &[1 << 20, 1 << 20], &[i64::MAX], &[-1], &[1; 40], &[3], &[0, 1 << 41]] {
        let tensor = dims.iter().fold(Message::default(), |message, &n| message.int(1, n));
        for (kind, field) in [(1, 9), (7, 9), (9, 9), (10, 9), (11, 9), (1, 4), (7, 7), (6, 5)] {
            let tensor = tensor.clone().int(2, kind).bytes(8, "w").bytes(field, [0; 8]);
            let bytes = model(13, graph(&[node("Identity", &["w"], &["y"], &[])], &[tensor], &[], &["y"]));
            run(&bytes, &[]).unwrap_err();
        }
    }
    refusing::assert_nothing_was_refused();
}

/// Messages within messages, as deep as a file can have them.
#[test]
fn deep_files_are_refused() {
    for field in [1, 5, 6, 7, 11] {
        let mut bytes = Vec::new();
        for _ in 0..10_000 {
            bytes = Message::default().bytes(field, bytes).0;
            if bytes.len() > 1 << 20 {
                break;
            }
        }
        run(&bytes, &[]).unwrap_err();
        // A graph within an attribute of a node within a graph, and so on.
        let mut inner = graph(&[node("Relu", &["x"], &["y"], &[])], &[], &[], &["y"]);
        for _ in 0..500 {
            let body = Message::default().bytes(1, "body").int(20, 5).message(6, inner);
            inner = graph(&[node("Loop", &["x"], &["y"], &[body])], &[], &[], &["y"]);
        }
        let error = run(&model(13, inner), &[]).unwrap_err();
        assert!(error.contains("Loop"), "{error}");
    }
}
