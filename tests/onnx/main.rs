//! Networks from ONNX files: their outputs against ONNX Runtime's, their derivatives in all modes against each other,
//! and their training, eagerly and compiled, against PyTorch's.

#[path = "../support/onnx.rs"]
#[allow(dead_code, reason = "what other tests share")]
mod messages;
#[path = "../support/mod.rs"]
mod support;

mod backend;
mod derivatives;
mod docs;
mod errors;
mod export;
mod networks;
mod operators;
mod training;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use antiphon::onnx::{Model, Value};
use antiphon::{Float, Int, IntTensor, NdArray, NdBool, NdInt, OrRaise, Tensor};
use ndarray::ArrayD;
use ndarray_npy::NpzReader;
use tempfile::TempDir;

/// A model with what ONNX Runtime made of some inputs.
struct Case {
    name: String,
    path: PathBuf,
    inputs: Vec<Array>,
    outputs: Vec<ArrayD<f64>>,
    /// How far outputs may be from these, relative and absolute.
    tolerance: [f64; 2],
}

/// An array of any kind.
#[derive(Clone)]
enum Array {
    Real(ArrayD<f64>),
    Int(ArrayD<i64>),
    Bool(ArrayD<u8>),
}

impl Array {
    /// As an input of a model over any interpretation, other than one of reals.
    fn constant<T: Tensor>(&self) -> Option<Value<T>> {
        match self {
            Array::Real(_) => None,
            Array::Int(x) => {
                let elements: Vec<i64> = x.iter().copied().collect();
                Some(Value::Int(T::Int::from_elements(x.shape(), &elements).or_raise()))
            }
            Array::Bool(x) => {
                let elements: Vec<i64> = x.iter().map(|&x| x.into()).collect();
                let numbers = T::Int::from_elements(x.shape(), &elements).or_raise();
                Some(Value::Bool(numbers.not_equal(&T::Int::constant(0))))
            }
        }
    }
    fn int(&self) -> &ArrayD<i64> {
        if let Array::Int(x) = self { x } else { panic!("integers") }
    }
    fn real(&self) -> Option<&ArrayD<f64>> {
        if let Array::Real(x) = self { Some(x) } else { None }
    }
}

/// Models that the script makes, once for all tests.
fn made(script: &str, arguments: &[&str], once: &'static OnceLock<TempDir>) -> &'static Path {
    let directory = once.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx").join(script);
        let output =
            Command::new(support::python()).arg(script).arg(directory.path()).args(arguments).output();
        let output = output.expect("Python runs");
        assert!(
            output.status.success(),
            "`make test` installs what the scripts need: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        directory
    });
    directory.path()
}

fn cases(directory: &Path) -> Vec<Case> {
    let names = std::fs::read_to_string(directory.join("cases.txt")).unwrap();
    names.lines().map(|name| case(directory, name)).collect()
}

fn case(directory: &Path, name: &str) -> Case {
    let mut npz = NpzReader::new(File::open(directory.join(format!("{name}.npz"))).unwrap()).unwrap();
    let kinds: ArrayD<i64> = npz.by_name("kinds").unwrap();
    let input = |(i, &kind): (usize, &i64)| match kind {
        0 => Array::Real(npz.by_name(&format!("i{i}")).unwrap()),
        1 => Array::Int(npz.by_name(&format!("i{i}")).unwrap()),
        _ => Array::Bool(npz.by_name(&format!("i{i}")).unwrap()),
    };
    let inputs = kinds.iter().enumerate().map(input).collect();
    let outputs = outputs_of(&mut npz);
    let tolerance: Option<ArrayD<f64>> = npz.by_name("tolerance").ok();
    let tolerance = tolerance.map_or([0.0; 2], |both| [both[0], both[1]]);
    let path = directory.join(format!("{name}.onnx"));
    Case { name: name.into(), path, inputs, outputs, tolerance }
}

/// The arrays `o0`, `o1`, … as numbers, whatever they are of.
fn outputs_of(npz: &mut NpzReader<File>) -> Vec<ArrayD<f64>> {
    let mut outputs = Vec::new();
    for i in 0.. {
        let name = format!("o{i}");
        let any = npz.by_name::<ndarray::OwnedRepr<f64>, ndarray::IxDyn>(&name).ok();
        let any = any.or_else(|| {
            npz.by_name::<ndarray::OwnedRepr<i64>, ndarray::IxDyn>(&name).ok().map(|x| x.mapv(|x| x as f64))
        });
        let any = any.or_else(|| {
            npz.by_name::<ndarray::OwnedRepr<u8>, ndarray::IxDyn>(&name).ok().map(|x| x.mapv(f64::from))
        });
        match any {
            Some(output) => outputs.push(output),
            None => break,
        }
    }
    outputs
}

/// Models of one operator.
fn operator_cases() -> Vec<Case> {
    static MADE: OnceLock<TempDir> = OnceLock::new();
    cases(made("models.py", &["operators"], &MADE))
}

/// The ONNX project's own tests of the operators that are supported.
fn backend_cases() -> Vec<Case> {
    static MADE: OnceLock<TempDir> = OnceLock::new();
    cases(made("backend.py", &Model::<NdArray<f32>>::supported(), &MADE))
}

/// A network.
fn network(name: &str) -> Case {
    static MADE: OnceLock<TempDir> = OnceLock::new();
    case(made("models.py", &["networks"], &MADE), name)
}

impl Case {
    fn model<E: Float>(&self) -> Model<NdArray<E>> {
        Model::open(&self.path).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
    /// The inputs as arrays of single precision.
    fn inputs(&self) -> Vec<Value<NdArray<f32>>> {
        let input = |x: &Array| match x {
            Array::Real(x) => Value::Real(NdArray::from(x.mapv(|x| x as f32))),
            Array::Int(x) => Value::Int(NdInt::from(x.clone())),
            Array::Bool(x) => Value::Bool(NdBool::from(x.mapv(|x| x != 0))),
        };
        self.inputs.iter().map(input).collect()
    }
    /// The inputs that are reals.
    fn reals(&self) -> Vec<NdArray<f64>> {
        self.inputs.iter().filter_map(Array::real).map(|x| NdArray::from(x.clone())).collect()
    }
    /// All inputs, of which the reals are these.
    fn values<T: Tensor>(&self, reals: &[T]) -> Vec<Value<T>> {
        let mut reals = reals.iter();
        let value = |x: &Array| x.constant().unwrap_or_else(|| Value::Real(reals.next().unwrap().clone()));
        self.inputs.iter().map(value).collect()
    }
}

/// An output as numbers, whatever it is of.
fn numbers_of<E: Float>(value: Value<NdArray<E>>) -> ArrayD<f64> {
    match value {
        Value::Real(x) => x.view().mapv(E::to_f64),
        Value::Int(x) => x.view().mapv(|x| x as f64),
        Value::Bool(x) => x.view().mapv(|x| f64::from(u8::from(x))),
    }
}

/// The largest difference of two arrays, in units of the larger of 1 and the expected element.
#[track_caller]
fn difference(found: &ArrayD<f64>, expected: &ArrayD<f64>, what: &str) -> f64 {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    let of = |(a, b): (&f64, &f64)| match a == b || (a.is_nan() && b.is_nan()) {
        true => 0.0,
        false => (a - b).abs() / b.abs().max(1.0),
    };
    // NaN is larger than any number here.
    found.iter().zip(expected).map(of).fold(0.0, |most, x| if x > most || x.is_nan() { x } else { most })
}

/// `sin(seed + 1.7·i + 0.3·i²)` for each element: numbers without pattern, which the scripts make as well.
fn pattern(seed: f64, shape: &[usize]) -> Vec<f64> {
    let count: usize = shape.iter().product();
    (0..count).map(|i| (seed + 1.7 * i as f64 + 0.3 * (i * i) as f64).sin()).collect()
}
