//! Whole networks at their real sizes, and their derivatives.

use antiphon::onnx::Model;
use antiphon::{NdArray, OrRaise, Params, Real, Tensor, Var, value_and_grad};

use super::{Case, difference, network, numbers_of};

/// The largest difference of a network's outputs from ONNX Runtime's, in units of the largest expected number.
fn compared(case: &Case) -> f64 {
    let outputs = case.model::<f32>().apply(&case.inputs()).unwrap();
    assert_eq!(outputs.len(), case.outputs.len());
    let of = |(found, expected): (_, &ndarray::ArrayD<f64>)| {
        let size = expected.iter().fold(1.0f64, |most, x| most.max(x.abs()));
        difference(&(numbers_of(found) / size), &(expected / size), &case.name)
    };
    outputs.into_iter().zip(&case.outputs).map(of).fold(0.0, f64::max)
}

#[test]
fn outputs_are_those_of_onnx_runtime() {
    for name in [
        "squeezenet",
        "resnet50",
        "deepspeech",
        "transformer",
        "small_squeezenet",
        "small_resnet",
        "small_deepspeech",
    ] {
        let off = compared(&network(name));
        println!("{name}: {off:e}");
        assert!(off < 1e-5, "{name}: {off:e}");
    }
}

/// Fifty-three layers that divide by the deviations of a batch of two images magnify rounding, ONNX Runtime's as well
/// as ours: both are as far from double precision as from each other.
#[test]
fn outputs_in_training_are_those_of_onnx_runtime() {
    let case = network("resnet50_training");
    let off = compared(&case);
    let exact = case.model::<f64>().apply(&case.values(&case.reals())).unwrap().remove(0).real().unwrap();
    let size = exact.view().iter().fold(1.0f64, |most, x| most.max(x.abs()));
    let exact = exact.view().to_owned() / size;
    let theirs = difference(&(&case.outputs[0] / size), &exact, "ONNX Runtime");
    let ours = case.model::<f32>().apply(&case.inputs()).unwrap().remove(0);
    let ours = difference(&(numbers_of(ours) / size), &exact, "single precision");
    println!("{off:e} from each other, {theirs:e} and {ours:e} from double precision");
    assert!(off < 1e-4 && ours < 1e-4 && ours < 10.0 * theirs, "{off:e}, {theirs:e}, {ours:e}");
}

#[test]
fn networks_have_their_real_sizes() {
    let parameters = |name: &str| network(name).model::<f32>().count();
    assert_eq!(parameters("squeezenet"), 1_235_496);
    // With the running averages.
    assert_eq!(parameters("resnet50"), 25_557_032 + 53_120);
    let convolutions = 32 * (41 * 11 + 1) + 32 * (32 * 21 * 11 + 1) + 2 * 4 * 32;
    let recurrent = 6 * 800 * (41 * 32 + 800 + 2) + 4 * (6 * 800 * (800 + 800 + 2) + 4 * 800);
    assert_eq!(parameters("deepspeech"), convolutions + recurrent + 4 * 800 + 800 * 29);
}

/// Half of the sum of squares of a network's first output.
fn energy<T: Tensor>(model: &Model<T>, x: &T) -> T {
    model.predict(std::slice::from_ref(x)).or_raise().square().sum(..) * 0.5
}

/// Slopes along a parameter, of networks at their real sizes, against a difference.
fn slope_of_a_network(name: &str, parameter: &str) {
    let case = network(name);
    let model: Model<NdArray<f32>> = case.model();
    let x: NdArray<f32> = case.inputs().remove(0).real().unwrap();
    let (value, slopes) = value_and_grad(|model: Model<_>| energy(&model, &Var::lift(&x)), &model).unwrap();
    assert_eq!(slopes.names(), model.names());
    let slope = slopes.parameter(parameter).unwrap();
    // A step that changes the value by one part in two hundred along the slope itself.
    let squares = slope.square().sum(..).item();
    let step = 5e-3 * value.item() / squares;
    let at = |sign: f32| {
        let mut moved = model.clone();
        let x = model.parameter(parameter).unwrap().clone() + slope.clone() * f64::from(sign * step);
        moved.set(&[(parameter.to_string(), x)].into()).unwrap();
        energy(&moved, &x_of(&case)).item()
    };
    let change = at(1.0) - at(-1.0);
    let expected = 2.0 * step * squares;
    assert!((change - expected).abs() < 0.02 * expected, "{name}: {change} but expected {expected}");
}

fn x_of(case: &Case) -> NdArray<f32> {
    case.inputs().remove(0).real().unwrap()
}

#[test]
fn squeezenet_is_differentiated() {
    slope_of_a_network("squeezenet", "classifier.bias");
}

#[test]
fn resnet_is_differentiated() {
    slope_of_a_network("resnet50", "fc.weight");
}
