//! Models of one operator, evaluated.

use std::collections::BTreeSet;

use antiphon::NdArray;
use antiphon::onnx::Model;

use super::{Case, difference, numbers_of, operator_cases};

/// The operator of a case, which its name begins with.
pub fn operator(case: &Case) -> &'static str {
    let supported = Model::<NdArray<f32>>::supported();
    let is_named = |name: &&&str| case.name.split('_').next().is_some_and(|first| first == **name);
    supported.iter().find(is_named).copied().unwrap_or_else(|| match case.name.split('_').next().unwrap() {
        "SoftmaxCrossEntropy" => "SoftmaxCrossEntropyLoss",
        "NegativeLogLikelihood" => "NegativeLogLikelihoodLoss",
        other => panic!("{other}"),
    })
}

#[test]
fn outputs_are_those_of_onnx_runtime() {
    let (mut worst, mut operators) = ((0.0, String::new()), BTreeSet::new());
    let mut wrong = Vec::new();
    let cases = operator_cases();
    for case in &cases {
        operators.insert(operator(case));
        let model: Model<NdArray<f32>> = Model::open(&case.path).unwrap();
        let outputs = match model.apply(&case.inputs()) {
            Ok(outputs) => outputs,
            Err(error) => {
                wrong.push(format!("{}: {error}", case.name));
                continue;
            }
        };
        assert_eq!(outputs.len(), case.outputs.len(), "{}", case.name);
        for (found, expected) in outputs.into_iter().zip(&case.outputs) {
            let found = numbers_of(found);
            if found.shape() != expected.shape() {
                wrong.push(format!("{}: {:?} and not {:?}", case.name, found.shape(), expected.shape()));
                continue;
            }
            let error = difference(&found, expected, &case.name);
            if error > worst.0 {
                worst = (error, case.name.clone());
            }
            if error.is_nan() || error > 1e-5 {
                wrong.push(format!("{}: {error:e}", case.name));
            }
        }
    }
    println!("{} cases of {} operators; the worst is {worst:?}", cases.len(), operators.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(operators.len() >= 130 && cases.len() >= 300);
    // Every operator that is said to be supported is compared, but for one that no released runtime has.
    let supported: BTreeSet<_> = Model::<NdArray<f32>>::supported().into_iter().collect();
    let left: Vec<_> = supported.difference(&operators).collect();
    assert_eq!(left, [&"Swish"]);
}
