//! The array cases against themselves, as `table` does for the scalar ones: values by running each function on plain
//! arrays, closed forms of derivatives against differences.

use antiphon::{NdArray, Tensor};

use crate::array_case::{ArrayCase, ArrayVisitor, arrays, direction, elements, weights};
use crate::compare::Report;
use crate::differences::derivative;
use crate::for_each_array_case;

struct Values(Report);

impl ArrayVisitor for Values {
    fn visit<C: ArrayCase>(&mut self) {
        self.0.cases += 1;
        let x = C::inputs();
        let expected = C::expected(&x);
        let y = C::call(&arrays::<NdArray<f64>>(&x));
        if y.shape().as_slice() != expected.shape {
            self.0.fail(format!("{}: shape {:?}, expected {:?}", C::NAME, y.shape(), expected.shape));
        }
        self.0.numbers(|| C::NAME.into(), &elements(&y), &expected.value());
    }
}

#[test]
fn values_on_plain_arrays() {
    let mut values = Values(Report::exact("values"));
    for_each_array_case(&mut values);
    values.0.finish();
}

struct Formulas(Report);

impl Formulas {
    fn close(&mut self, what: impl Fn() -> String, got: f64, expected: f64) {
        self.0.number(what, (got - expected) / (1.0 + expected.abs()) + 1.0, 1.0, 1.0);
    }
}

impl ArrayVisitor for Formulas {
    fn visit<C: ArrayCase>(&mut self) {
        if !C::SMOOTH {
            return;
        }
        self.0.cases += 1;
        let (x, v) = (C::inputs(), direction(&C::inputs()));
        let expected = C::expected(&x);
        let w = weights(expected.elements.len());
        let gradient = expected.gradient(&w, &x);
        let hvp = expected.hvp(&w, &v);
        let step = 2e-3;
        for input in 0..x.len() {
            for i in 0..x[input].elements.len() {
                let moved = |h: f64| {
                    let mut x = x.clone();
                    x[input].elements[i] += h;
                    C::expected(&x).value().iter().zip(&w).map(|(y, w)| y * w).sum()
                };
                let name =
                    |order: &str| format!("{}: {order} derivative by element {i} of input {input}", C::NAME);
                self.close(|| name("first"), derivative(moved, step), gradient[input][i]);
                let slope = |h: f64| {
                    let mut x = x.clone();
                    for (x, v) in x.iter_mut().zip(&v) {
                        x.elements.iter_mut().zip(&v.elements).for_each(|(x, v)| *x += h * v);
                    }
                    C::expected(&x).gradient(&w, &x)[input][i]
                };
                self.close(|| name("second"), derivative(slope, step), hvp[input][i]);
            }
        }
    }
}

#[test]
fn closed_forms_agree_with_differences() {
    let mut formulas = Formulas(Report::within("formulas", 1e-7));
    for_each_array_case(&mut formulas);
    formulas.0.finish();
}

#[derive(Default)]
struct Census(Vec<&'static str>);

impl ArrayVisitor for Census {
    fn visit<C: ArrayCase>(&mut self) {
        self.0.push(C::NAME);
    }
}

#[test]
fn the_table_is_as_large_as_promised() {
    let mut census = Census::default();
    for_each_array_case(&mut census);
    let total = census.0.len();
    census.0.sort_unstable();
    census.0.dedup();
    assert_eq!(census.0.len(), total, "two cases of one name");
    assert!(total >= 130, "{total}");
}
