//! Elementwise functions against NumPy and SciPy, special values included.

use antiphon::{Batch, Dual, Float, NdArray, NdInt, Real, Tensor, Var, value_and_grad, vmap};

use crate::elementwise_reference::{apply, apply_to_integers, is_right, reference};

/// All functions by one way of computing them, at the points that single precision has if that is what they are for.
#[track_caller]
fn check(way: &str, single: bool, f: impl Fn(&'static str, &[f64], &[f64]) -> Vec<f64>) {
    let mut wrong = Vec::new();
    for (name, ([xs, ys], zs)) in reference().0 {
        for ((x, y), (found, z)) in xs.iter().zip(&ys).zip(f(name, &xs, &ys).into_iter().zip(zs)) {
            let unit = if single { f64::from(f32::EPSILON) } else { f64::EPSILON };
            let exact = |x: f64| !single || f64::from(x as f32) == x || x.is_nan();
            let subnormal = single && z != 0.0 && z.abs() < f64::from(f32::MIN_POSITIVE);
            if !exact(*x) || !exact(*y) || subnormal {
                continue;
            }
            let z = if single && f64::from(z as f32).is_infinite() { f64::from(z as f32) } else { z };
            if !is_right(name, found, z, unit) {
                wrong.push(format!("{name}({x:?}, {y:?}): {found:?}, not {z:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{way}:\n{}", wrong.join("\n"));
}

fn elements<E: Float>(x: &NdArray<E>) -> Vec<f64> {
    x.view().iter().map(|x| x.to_f64()).collect()
}

#[test]
fn numbers_are_numpys() {
    check("f64", false, |name, xs, ys| xs.iter().zip(ys).map(|(x, y)| apply(name, x, y)).collect());
    check("f32", true, |name, xs, ys| {
        xs.iter().zip(ys).map(|(x, y)| apply(name, &(*x as f32), &(*y as f32)).into()).collect()
    });
}

#[test]
fn arrays_are_numpys() {
    check("f64", false, |name, xs, ys| {
        let [x, y] = [xs, ys].map(|x| NdArray::from(x.to_vec()));
        elements(&apply(name, &x, &y))
    });
    check("f32", true, |name, xs, ys| {
        let [x, y] = [xs, ys].map(|x| NdArray::from(x.iter().map(|&x| x as f32).collect::<Vec<_>>()));
        elements(&apply(name, &x, &y))
    });
}

#[test]
fn batches_and_derivatives_have_the_same_values() {
    check("batch", false, |name, xs, ys| {
        let pairs = (NdArray::from(xs.to_vec()), NdArray::from(ys.to_vec()));
        elements(&vmap(|(x, y): (Batch<NdArray<f64>>, Batch<_>)| apply(name, &x, &y), &pairs).unwrap())
    });
    check("reverse", false, |name, xs, ys| {
        let value = |x: f64, y: f64| value_and_grad(|(x, y)| apply(name, &x, &y), &(x, y));
        xs.iter().zip(ys).map(|(&x, &y)| value(x, y).unwrap().0).collect()
    });
    check("forward", false, |name, xs, ys| {
        let value = |x: f64, y: f64| apply(name, &Dual::new(x, 1.0), &Dual::new(y, 1.0)).into_parts().0;
        xs.iter().zip(ys).map(|(&x, &y)| value(x, y)).collect()
    });
}

#[test]
fn quotients_of_integers_are_numpys() {
    for (name, ([xs, ys], zs)) in reference().1 {
        let single: Vec<i64> = xs.iter().zip(&ys).map(|(x, y)| apply_to_integers(name, x, y)).collect();
        assert_eq!(single, zs, "{name}");
        let [x, y] = [xs, ys].map(NdInt::from);
        assert_eq!(apply_to_integers(name, &x, &y), NdInt::from(zs), "{name}");
    }
}

#[test]
fn an_order_without_end_is_an_error_with_its_line() {
    let error = value_and_grad(|x| x.polygamma(31), &1.0).unwrap_err().to_string();
    assert!(
        error.contains("polygamma") && error.contains("31") && error.contains("elementwise.rs"),
        "{error}"
    );
    let shapes = value_and_grad(
        |x| x.hypot(&Var::lift(&NdArray::from(vec![1.0; 3]))).sum(..),
        &NdArray::from(vec![1.0; 2]),
    );
    let error = shapes.unwrap_err().to_string();
    assert!(error.contains("hypot") && error.contains("elementwise.rs"), "{error}");
    let shapes = value_and_grad(
        |x| x.logaddexp(&Var::lift(&NdArray::from(vec![1.0; 3]))).sum(..),
        &NdArray::from(vec![1.0; 2]),
    );
    let error = shapes.unwrap_err().to_string();
    assert!(error.contains("logaddexp") && error.contains("elementwise.rs"), "{error}");
}
