//! Elementwise functions in compiled code, against NumPy and SciPy, special values included.

use antiphon::recording::{Recorded, RecordedInt};
use antiphon::{NdArray, NdInt, compile_with};
use antiphon_staging::CompileOptions;

use crate::elementwise_reference::{apply, apply_to_integers, is_right, reference};

/// Strictly, and for speed.
fn options() -> [CompileOptions; 2] {
    [true, false].map(|strict| CompileOptions { strict, ..CompileOptions::default() })
}

#[test]
fn reals_are_numpys() {
    let mut wrong = Vec::new();
    for (name, ([xs, ys], zs)) in reference().0 {
        let points = (NdArray::from(xs.clone()), NdArray::from(ys.clone()));
        for options in options() {
            let function = |(x, y): (Recorded, Recorded)| apply(name, &x, &y);
            let mut function = compile_with(name, function, &points, &options).unwrap();
            let found = function.call(&points).unwrap();
            for ((x, y), (found, z)) in xs.iter().zip(&ys).zip(found.view().iter().zip(&zs)) {
                if !is_right(name, *found, *z, f64::EPSILON) {
                    wrong.push(format!("{name}({x:?}, {y:?}), {}: {found:?}, not {z:?}", options.strict));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// No quotient ends the process, not even those that the processor has no result for.
#[test]
fn quotients_of_integers_are_numpys() {
    for (name, ([xs, ys], zs)) in reference().1 {
        let points = (NdInt::from(xs), NdInt::from(ys));
        for options in options() {
            let function = |(x, y): (RecordedInt, RecordedInt)| apply_to_integers(name, &x, &y);
            let mut function = compile_with::<NdArray<f64>, _, _>(name, function, &points, &options).unwrap();
            assert_eq!(function.call(&points).unwrap(), NdInt::from(zs.clone()), "{name}");
        }
    }
}
