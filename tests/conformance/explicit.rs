//! The explicit spelling: every case of both tables again as nested calls of `antiphon::cps`.
//!
//! A case is written in direct style; it is run here as the [`List`] of its operators, each of which gets the rest of
//! the list as its continuation.

use std::collections::BTreeSet;

use antiphon::{Dual, NdArray, Result};

use crate::array_case::{
    ArrayCase, ArrayVisitor, Expected, Plain, arrays, direction, elements, weighted, weights,
};
use crate::case::{Jet, ScalarCase, ScalarVisitor};
use crate::compare::Report;
use crate::list::{Explicit, List, Listed, Step};
use crate::{for_each_array_case, for_each_scalar_case};

type Array = NdArray<f64>;

struct Function {
    name: &'static str,
    points: Vec<&'static [f64]>,
    jet: fn(&[f64]) -> Jet,
    recorded: fn(&[Listed]) -> Listed,
}

struct Collect(Vec<Function>);

impl ScalarVisitor for Collect {
    fn visit<C: ScalarCase>(&mut self) {
        let points = C::POINTS.iter().chain(C::KINKS).copied().collect();
        self.0.push(Function { name: C::NAME, points, jet: C::jet, recorded: C::call });
    }
}

fn functions() -> Vec<Function> {
    let mut collect = Collect(Vec::new());
    for_each_scalar_case(&mut collect);
    collect.0
}

/// The list of a function of numbers.
fn numbers(f: fn(&[Listed]) -> Listed, x: &[f64]) -> List {
    let x: Vec<Array> = x.iter().map(|&x| Array::scalar(x)).collect();
    List::of(f, &x)
}

#[test]
fn reverse() {
    let mut report = Report::exact("explicit reverse");
    for f in functions() {
        report.cases += 1;
        for &x in &f.points {
            let list = numbers(f.recorded, x);
            let gradient: Result<Vec<f64>> = (0..x.len()).map(|i| list.derivative(x, i)).collect();
            match gradient {
                Err(error) => report.fail(format!("{} at {x:?}: {error}", f.name)),
                Ok(gradient) => {
                    report.numbers(|| format!("{} at {x:?}", f.name), &gradient, &(f.jet)(x).gradient)
                }
            }
        }
    }
    report.finish();
}

#[test]
fn forward_over_reverse() {
    let mut report = Report::exact("forward over explicit reverse");
    for f in functions() {
        report.cases += 1;
        for &x in &f.points {
            let list = numbers(f.recorded, x);
            for (j, expected) in (f.jet)(x).hessian.into_iter().flatten().enumerate() {
                let input = |(k, &x)| if j == k { Dual::new(x, 1.0) } else { Dual::lift(&x) };
                let x_dual: Vec<Dual<f64>> = x.iter().enumerate().map(input).collect();
                let column: Result<Vec<f64>> =
                    (0..x.len()).map(|i| Ok(list.derivative(&x_dual, i)?.tangent())).collect();
                match column {
                    Err(error) => report.fail(format!("{} at {x:?}: {error}", f.name)),
                    Ok(column) => {
                        report.numbers(|| format!("{} at {x:?}, column {j}", f.name), &column, &expected)
                    }
                }
            }
        }
    }
    report.finish();
}

struct ArrayFunction {
    name: &'static str,
    inputs: Vec<Plain>,
    expected: Expected,
    recorded: fn(&[Listed]) -> Listed,
}

impl ArrayFunction {
    /// The list of the weighted sum.
    fn list(&self) -> List {
        List::of(|x| weighted((self.recorded)(x)), &arrays(&self.inputs))
    }

    /// The derivative of a list by every input.
    fn gradient<T: Explicit>(&self, x: &[T]) -> Result<Vec<T>> {
        let list = self.list();
        (0..x.len()).map(|i| list.derivative(x, i)).collect()
    }
}

struct CollectArrays(Vec<ArrayFunction>);

impl ArrayVisitor for CollectArrays {
    fn visit<C: ArrayCase>(&mut self) {
        let inputs = C::inputs();
        let expected = C::expected(&inputs);
        self.0.push(ArrayFunction { name: C::NAME, inputs, expected, recorded: C::call });
    }
}

fn array_functions() -> Vec<ArrayFunction> {
    let mut collect = CollectArrays(Vec::new());
    for_each_array_case(&mut collect);
    collect.0
}

/// Compares each input's part of a gradient.
fn compare(report: &mut Report, f: &ArrayFunction, got: Result<Vec<Array>>, expected: &[Vec<f64>]) {
    match got {
        Err(error) => report.fail(format!("{}: {error}", f.name)),
        Ok(got) => {
            for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
                report.numbers(|| format!("{}, input {i}", f.name), &elements(got), expected);
            }
        }
    }
}

#[test]
fn reverse_of_arrays() {
    let mut report = Report::exact("explicit reverse of arrays");
    for f in array_functions() {
        report.cases += 1;
        let w = weights(f.expected.elements.len());
        compare(&mut report, &f, f.gradient(&arrays(&f.inputs)), &f.expected.gradient(&w, &f.inputs));
    }
    report.finish();
}

#[test]
fn forward_over_reverse_of_arrays() {
    let mut report = Report::exact("forward over explicit reverse of arrays");
    for f in array_functions() {
        report.cases += 1;
        let w = weights(f.expected.elements.len());
        let v = direction(&f.inputs);
        let pairs = arrays::<Array>(&f.inputs).into_iter().zip(arrays::<Array>(&v));
        let x: Vec<Dual<Array>> = pairs.map(|(x, v)| Dual::new(x, v)).collect();
        let got = f.gradient(&x).map(|g| g.iter().map(Dual::tangent).collect());
        compare(&mut report, &f, got, &f.expected.hvp(&w, &v));
    }
    report.finish();
}

/// Of the operators on arrays, each occurs in the table.
#[test]
fn every_array_operator_occurs() {
    let lists: Vec<List> = array_functions().iter().map(ArrayFunction::list).collect();
    let occurring: BTreeSet<&str> = lists.iter().flat_map(List::steps).map(Step::name).collect();
    let missing: Vec<&str> =
        Step::ON_ARRAYS.iter().copied().filter(|name| !occurring.contains(name)).collect();
    assert!(missing.is_empty(), "in no case of the table: {missing:?}");
}
