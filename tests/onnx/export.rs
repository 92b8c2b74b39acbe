//! Networks written, and read again by ONNX Runtime.

use std::path::Path;
use std::process::Command;

use antiphon::nn::{Conv2d, Embedding, GroupNorm, LayerNorm, Linear, MultiHeadAttention, Rng, causal};
use antiphon::onnx::{Model, Value, export};
use antiphon::recording::Recorded;
use antiphon::state::Index;
use antiphon::{
    Border, Control, Convolution, Error, Mask, NdArray, NdInt, Padding, Params, Real, Tensor, Window2d,
};
use ndarray::ArrayD;
use ndarray_npy::{NpzReader, NpzWriter};

use super::{Case, difference, network, numbers_of, support};

/// What ONNX Runtime makes of a file and inputs.
fn evaluated(directory: &Path, model: &[u8], inputs: &[Value<NdArray<f32>>]) -> Vec<ArrayD<f64>> {
    let at = |name: &str| directory.join(name);
    std::fs::write(at("model.onnx"), model).unwrap();
    let mut npz = NpzWriter::new(std::fs::File::create(at("inputs.npz")).unwrap());
    for (i, x) in inputs.iter().enumerate() {
        match x {
            Value::Real(x) => npz.add_array(format!("i{i}"), &x.view()).unwrap(),
            Value::Int(x) => npz.add_array(format!("i{i}"), &x.view()).unwrap(),
            Value::Bool(x) => npz.add_array(format!("i{i}"), &x.view()).unwrap(),
        }
    }
    npz.finish().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/models.py");
    let output = Command::new(support::python()).arg(script).arg(directory).arg("evaluate").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut npz = NpzReader::new(std::fs::File::open(at("outputs.npz")).unwrap()).unwrap();
    super::outputs_of(&mut npz)
}

/// Writes a network with other parameters; ONNX Runtime makes of it what evaluation does.
fn written(case: &Case) {
    let directory = tempfile::tempdir().unwrap();
    let model: Model<NdArray<f32>> = case.model();
    let trained = model.map_leaves(|x| x.clone() * 0.9 + 0.01);
    let bytes = trained.to_bytes();
    let found = evaluated(directory.path(), &bytes, &case.inputs());
    let expected: Vec<_> = trained.apply(&case.inputs()).unwrap().into_iter().map(numbers_of).collect();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert!(difference(found, expected, &case.name) < 1e-5, "{}", case.name);
        assert!(difference(found, &case.outputs[0], &case.name) > 1e-4, "the parameters make a difference");
    }
    // Read again it is the same.
    let again = Model::<NdArray<f32>>::read(bytes.clone()).unwrap();
    assert_eq!((again.names(), again.leaves()), (trained.names(), trained.leaves()));
    assert_eq!(again.to_bytes(), bytes);
    let path = directory.path().join("saved.onnx");
    trained.save(&path).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), bytes);
}

#[test]
fn trained_networks_are_written_as_onnx_runtime_reads_them() {
    written(&network("small_squeezenet"));
    written(&network("small_resnet"));
}

/// A network of images: layers, grouped and dilated convolutions, pooling of every kind, a transposed convolution.
#[derive(Clone, Params)]
struct Images<T> {
    first: Conv2d<T>,
    grouped: T,
    upwards: T,
    norm: GroupNorm<T>,
    head: Linear<T>,
}

fn images<T: Tensor>(net: &Images<T>, x: &T) -> (T, T) {
    let window = Window2d { stride: [2, 2], padding: [1, 1] };
    let h = net.first.apply(x).relu().max_pool2d([3, 3], window);
    let grouped = Convolution { groups: 2, dilation: [2, 1], border: Border::Same, ..Convolution::default() };
    let h = net.norm.apply(&h.convolve2d(&net.grouped, &grouped)).gelu();
    let wide = Convolution { stride: [2, 2], border: Border::Both([1, 1]), ..Convolution::default() };
    let up = h.conv_transpose2d(&net.upwards, &wide, [1, 1]).flip(-1);
    let pooled = up.avg_pool2d([2, 2], Window2d { stride: [2, 2], padding: [0, 0] });
    let flat = pooled.mean([2, 3]);
    (net.head.apply(&flat).log_softmax(-1), up.logsumexp([2, 3]))
}

/// A block of a transformer on token ids.
#[derive(Clone, Params)]
struct Block<T> {
    embedding: Embedding<T>,
    norm: LayerNorm<T>,
    attention: MultiHeadAttention<T>,
    head: Linear<T>,
}

fn block<T: Tensor>(net: &Block<T>, tokens: &T::Int) -> (T, T::Int) {
    let x = net.embedding.apply(tokens);
    let n = x.shape()[1];
    let h = net.norm.apply(&x);
    let h = x + net.attention.apply(&h, &h, Some(&causal::<T>(n, n)));
    let logits = net.head.apply(&h);
    let best = logits.argmax(-1);
    (logits.cross_entropy(tokens), best)
}

/// Elementwise functions, and elements moved.
fn pieces<T: Tensor>(x: &T) -> Vec<T> {
    let y = x.clone() * 0.5;
    let unary = [
        x.sin() + x.cos(),
        y.tan().atan() + y.tanh(),
        y.sinh() - y.cosh(),
        y.clamp(-0.9, 0.9).asin() + y.clamp(-0.9, 0.9).acos() + y.clamp(-0.9, 0.9).atanh(),
        x.asinh() + (x.abs() + 1.5).acosh(),
        x.exp().log() + x.abs().sqrt() + (x.abs() + 0.5).log2() + (x.abs() + 0.5).log10() + x.exp2(),
        x.floor() + x.ceil() + x.round() + x.trunc() + x.sign(),
        x.sigmoid() + x.softplus() + x.erf(),
        (x.clone() + 3.0).recip() + x.powi(3) + x.abs().pow(&T::constant(1.5)),
        x.maximum(&y) - x.minimum(&y) + x.fmod(&T::constant(0.7)),
    ];
    let moved = [
        x.transpose(),
        x.slice_step(-1, 0..3, 2),
        x.flip(0),
        T::concat(&[x.clone(), y.clone()], 0),
        x.pad(-1, Padding { before: 1, after: 2, interior: 0 }),
        x.tile(&[2, 1]),
        x.max(-1) + x.sum(-1) + x.mean(-1),
        T::select(&x.less(&y).or(&x.equal(&y)).not(), x, &y),
        x.softmax(0).matmul(&x.transpose()),
        x.index(0, 1),
        T::full(&[2], 2.5),
    ];
    unary.into_iter().chain(moved).collect()
}

/// Exports a model, and compares what ONNX Runtime makes of it, and what reading it again does, with evaluation.
fn exported(bytes: Vec<u8>, inputs: &[Value<NdArray<f32>>], expected: &[ArrayD<f64>], leaves: usize) {
    let directory = tempfile::tempdir().unwrap();
    let found = evaluated(directory.path(), &bytes, inputs);
    let model = Model::<NdArray<f32>>::read(bytes).unwrap();
    assert!(model.names().len() >= leaves);
    let again: Vec<_> = model.apply(inputs).unwrap().into_iter().map(numbers_of).collect();
    assert_eq!((found.len(), again.len()), (expected.len(), expected.len()));
    for (i, expected) in expected.iter().enumerate() {
        let off = difference(&found[i], expected, "ONNX Runtime").max(difference(
            &again[i],
            expected,
            "read again",
        ));
        assert!(off < 1e-5, "output {i}: {off:e}");
    }
}

#[test]
fn models_of_ones_own_are_exported() {
    let rng = &mut Rng::new(3);
    let weights = |seed: f64, shape: &[usize]| {
        NdArray::<f32>::from_elements(shape, &super::pattern(seed, shape)).unwrap() * 0.3
    };
    let net = Images {
        first: Conv2d::new(rng, 3, 4, [3, 3]),
        grouped: weights(1.0, &[6, 2, 3, 3]),
        upwards: weights(2.0, &[6, 2, 3, 3]),
        norm: GroupNorm::new(3, 6),
        head: Linear::new(rng, 2, 5),
    };
    let x = NdArray::from_elements(&[2, 3, 11, 12], &super::pattern(3.0, &[2, 3, 11, 12])).unwrap();
    let bytes = export("images", |net, x| images(&net, &x), &net, &x).unwrap();
    let (a, b) = images(&net, &x);
    let expected = [a, b].map(|y| numbers_of(Value::Real(y)));
    exported(bytes, &[Value::Real(x)], &expected, net.names().len());

    let net: Block<NdArray<f32>> = Block {
        embedding: Embedding::new(rng, 9, 8),
        norm: LayerNorm::new(8),
        attention: MultiHeadAttention::new(rng, 8, 2),
        head: Linear::new(rng, 8, 9),
    };
    let tokens = NdInt::from(ndarray::arr2(&[[0i64, 3, 8, 1], [2, 2, 1, 5]]));
    let bytes = export(
        "block",
        |net, Index(tokens)| block(&net, &tokens),
        &net,
        &Index::<NdArray<f32>>(tokens.clone()),
    );
    let (a, b) = block(&net, &tokens);
    let expected = [numbers_of(Value::Real(a)), numbers_of::<f32>(Value::Int(b))];
    exported(bytes.unwrap(), &[Value::Int(tokens)], &expected, net.names().len());

    let x = weights(5.0, &[3, 4]) * 3.0;
    let bytes = export("pieces", |(), x| pieces(&x), &(), &x).unwrap();
    let expected: Vec<_> = pieces(&x).into_iter().map(|y| numbers_of(Value::Real(y))).collect();
    exported(bytes, &[Value::Real(x)], &expected, 0);
}

#[test]
fn what_has_no_counterpart_is_refused() {
    type Single = NdArray<f32>;
    let x = Single::ones(&[3]);
    let refused = |result: antiphon::Result<Vec<u8>>, part: &str| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Argument { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains(part) && message.contains("tests/onnx/export.rs"), "{message}");
    };
    refused(export("f", |(), x: Recorded| x.lgamma(), &(), &x), "lgamma");
    refused(export("f", |(), x: Recorded| x.atan2(&x), &(), &x), "atan2");
    let branch =
        |(), x: Recorded| Recorded::cond(&x.sum(..).less(&Recorded::constant(0.0)), || x, || x.sin());
    refused(export("f", branch, &(), &x), "control flow");
    let random = |(), x: Recorded| x + Recorded::uniform(&[3], &antiphon::Int::constant(1));
    refused(export("f", random, &(), &x), "random");
    refused(export("f", |(), x: Recorded| x.at(0).set(&Recorded::constant(1.0)), &(), &x), "by index");
    refused(export("f", |(), x: Recorded| x.printed("x"), &(), &x), "prints");
    // Shapes that do not fit are found on the way.
    assert!(matches!(
        export("f", |(), x: Recorded| x.matmul(&x.unsqueeze(0)), &(), &x),
        Err(Error::Shape { .. })
    ));
}
