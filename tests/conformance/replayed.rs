//! Both tables with derivatives that are made once and applied again and again, and these nested in others.

use antiphon::{Dual, NdArray, OrRaise, Partial, Result, Tensor, Var, grad, linearize, pullback};

use crate::array_case::{
    ArrayCase, ArrayVisitor, Expected, Plain, arrays, direction, elements, weighted, weights,
};
use crate::case::{Jet, ScalarCase, ScalarVisitor};
use crate::compare::Report;
use crate::{for_each_array_case, for_each_scalar_case};

type Number = Partial<f64>;
type Array = NdArray<f64>;
type OfVar<'r, 's> = Var<'r, Var<'s, Number>>;
type OfDual<'r> = Var<'r, Dual<Number>>;
type WithinVar<'r, 's> = Var<'r, Partial<Var<'s, f64>>>;
type WithinDual<'r> = Var<'r, Partial<Dual<Number>>>;
type ArrayVar<'r> = Var<'r, Partial<Array>>;
type ArrayDual = Dual<Partial<Array>>;
type ArrayVarDual<'r> = Var<'r, Dual<Partial<Array>>>;
type ArrayVarVar<'r, 's> = Var<'r, Var<'s, Partial<Array>>>;

/// A scalar case in every interpretation that the modes need, as function pointers; see `modes`.
struct Scalar {
    name: &'static str,
    points: Vec<&'static [f64]>,
    jet: fn(&[f64]) -> Jet,
    var: for<'r> fn(&[Var<'r, Number>]) -> Var<'r, Number>,
    dual: fn(&[Dual<Number>]) -> Dual<Number>,
    var_var: for<'r, 's> fn(&[OfVar<'r, 's>]) -> OfVar<'r, 's>,
    var_dual: for<'r> fn(&[OfDual<'r>]) -> OfDual<'r>,
    var_of_var: for<'r, 's> fn(&[WithinVar<'r, 's>]) -> WithinVar<'r, 's>,
    var_of_dual: for<'r> fn(&[WithinDual<'r>]) -> WithinDual<'r>,
}

struct Scalars(Vec<Scalar>);

impl ScalarVisitor for Scalars {
    fn visit<C: ScalarCase>(&mut self) {
        self.0.push(Scalar {
            name: C::NAME,
            points: C::POINTS.iter().chain(C::KINKS).copied().collect(),
            jet: C::jet,
            var: |x| C::call(x),
            dual: |x| C::call(x),
            var_var: |x| C::call(x),
            var_dual: |x| C::call(x),
            var_of_var: |x| C::call(x),
            var_of_dual: |x| C::call(x),
        });
    }
}

/// Calls `check` with every scalar case, at each of its points.
fn each_point(mode: &'static str, check: impl Fn(&mut Report, &Scalar, &Vec<f64>, Jet) -> Result<()>) {
    let mut report = Report::exact(mode);
    let mut scalars = Scalars(Vec::new());
    for_each_scalar_case(&mut scalars);
    for f in &scalars.0 {
        report.cases += 1;
        for x in &f.points {
            if let Err(error) = check(&mut report, f, &x.to_vec(), (f.jet)(x)) {
                report.fail(format!("{} at {x:?}: {error}", f.name));
            }
        }
    }
    report.finish();
}

fn unit(n: usize, i: usize) -> Vec<f64> {
    (0..n).map(|j| if i == j { 1.0 } else { 0.0 }).collect()
}

#[test]
fn pullback_of_numbers() {
    each_point("pullback", |report, f, x, jet| {
        let (value, back): (f64, _) = pullback(|x| (f.var)(&x), x)?;
        for scale in [1.0, -2.0, 0.0] {
            let found = back.apply(&scale)?;
            let expected: Vec<f64> =
                jet.gradient.iter().map(|g| if scale == 0.0 { 0.0 } else { g * scale }).collect();
            // An adjoint of zero times an infinite derivative is zero, but in products.
            if scale != 0.0 || jet.gradient.iter().all(|g| g.is_finite()) {
                report.numbers(|| format!("{} at {x:?}, {scale} times", f.name), &found, &expected);
            }
        }
        report.numbers(|| format!("{} at {x:?}, value", f.name), &[value], &[jet.value]);
        Ok(())
    });
}

#[test]
fn linearize_of_numbers() {
    each_point("linearize", |report, f, x, jet| {
        for (i, slope) in jet.gradient.iter().enumerate() {
            // The other inputs are constants and not variables with a tangent of 0, which at a pole would be 0·∞.
            let along = |xi| {
                let mut x: Vec<_> = x.iter().map(|x| Dual::lift(&Partial::lift(x))).collect();
                x[i] = xi;
                (f.dual)(&x)
            };
            let (value, derivative) = linearize(along, &x[i])?;
            let found = [value, derivative.apply(&1.0)?, derivative.apply(&-2.0)?];
            let expected = [jet.value, *slope, -2.0 * slope];
            report.numbers(|| format!("{} at {x:?}, by {i}", f.name), &found, &expected);
        }
        Ok(())
    });
}

/// Holds a way to a Hessian to the table.
fn check_hessian(mode: &'static str, hessian: impl Fn(&Scalar, &Vec<f64>) -> Result<Vec<Vec<f64>>>) {
    each_point(mode, |report, f, x, jet| {
        let Some(expected) = jet.hessian else { return Ok(()) };
        for (i, (found, expected)) in hessian(f, x)?.iter().zip(&expected).enumerate() {
            report.numbers(|| format!("{} at {x:?}, row {i}", f.name), found, expected);
        }
        Ok(())
    });
}

#[test]
fn pullback_of_reverse() {
    check_hessian("pullback of reverse", |f, x| {
        let (_, back): (Vec<f64>, _) = pullback(|x| grad(|x| (f.var_var)(&x), &x).or_raise(), x)?;
        (0..x.len()).map(|i| back.apply(&unit(x.len(), i))).collect()
    });
}

#[test]
fn linearize_of_reverse() {
    check_hessian("linearize of reverse", |f, x| {
        let (_, derivative) = linearize(|x| grad(|x| (f.var_dual)(&x), &x).or_raise(), x)?;
        (0..x.len()).map(|i| derivative.apply(&unit(x.len(), i))).collect()
    });
}

#[test]
fn reverse_of_pullback() {
    check_hessian("reverse of pullback", |f, x| {
        let component = |i: usize| {
            grad(
                |x| {
                    let (_, back): (Var<'_, f64>, _) = pullback(|x| (f.var_of_var)(&x), &x).or_raise();
                    back.apply(&Var::lift(&1.0)).or_raise()[i].clone()
                },
                x,
            )
        };
        (0..x.len()).map(component).collect()
    });
}

#[test]
fn linearize_of_pullback() {
    check_hessian("linearize of pullback", |f, x| {
        let slope = |x: Vec<Dual<Number>>| -> Vec<Dual<Number>> {
            let (_, back): (Dual<Number>, _) = pullback(|x| (f.var_of_dual)(&x), &x).or_raise();
            back.apply(&Dual::lift(&Partial::lift(&1.0))).or_raise()
        };
        let (_, derivative) = linearize(slope, x)?;
        (0..x.len()).map(|i| derivative.apply(&unit(x.len(), i))).collect()
    });
}

/// An array case; see [`Scalar`].
struct Arrays {
    name: &'static str,
    inputs: Vec<Plain>,
    expected: Expected,
    var: for<'r> fn(&[ArrayVar<'r>]) -> ArrayVar<'r>,
    dual: fn(&[ArrayDual]) -> ArrayDual,
    var_dual: for<'r> fn(&[ArrayVarDual<'r>]) -> ArrayVarDual<'r>,
    var_var: for<'r, 's> fn(&[ArrayVarVar<'r, 's>]) -> ArrayVarVar<'r, 's>,
}

struct ArrayCases(Vec<Arrays>);

impl ArrayVisitor for ArrayCases {
    fn visit<C: ArrayCase>(&mut self) {
        let inputs = C::inputs();
        self.0.push(Arrays {
            name: C::NAME,
            expected: C::expected(&inputs),
            inputs,
            var: |x| C::call(x),
            dual: |x| C::call(x),
            var_dual: |x| C::call(x),
            var_var: |x| C::call(x),
        });
    }
}

fn check_arrays(
    mode: &'static str,
    run: impl Fn(&Arrays) -> Result<Vec<Array>>,
    expected: impl Fn(&Arrays) -> Vec<Vec<f64>>,
) {
    let mut report = Report::exact(mode);
    let mut cases = ArrayCases(Vec::new());
    for_each_array_case(&mut cases);
    for f in &cases.0 {
        report.cases += 1;
        match run(f) {
            Err(error) => report.fail(format!("{}: {error}", f.name)),
            Ok(found) => {
                for (i, (found, expected)) in found.iter().zip(expected(f)).enumerate() {
                    report.numbers(|| format!("{}, {i}", f.name), &elements(found), &expected);
                }
            }
        }
    }
    report.finish();
}

fn inputs(f: &Arrays) -> Vec<Array> {
    arrays(&f.inputs)
}

fn directions(f: &Arrays) -> Vec<Array> {
    arrays(&direction(&f.inputs))
}

fn w(f: &Arrays) -> Vec<f64> {
    weights(f.expected.elements.len())
}

#[test]
fn pullback_of_arrays() {
    check_arrays(
        "pullback",
        |f| {
            let (y, back): (Array, _) = pullback(|x| (f.var)(&x), &inputs(f))?;
            // The second time from the same program.
            back.apply(&Array::full(&y.shape(), 0.5))?;
            back.apply(&Array::from_elements(&y.shape(), &w(f))?)
        },
        |f| f.expected.gradient(&w(f), &f.inputs),
    );
}

#[test]
fn linearize_of_arrays() {
    check_arrays(
        "linearize",
        |f| {
            let (_, derivative) = linearize(|x| (f.dual)(&x), &inputs(f))?;
            derivative.apply(&inputs(f))?;
            Ok(vec![derivative.apply(&directions(f))?])
        },
        |f| vec![f.expected.tangent(&direction(&f.inputs))],
    );
}

#[test]
fn second_derivatives_of_arrays_by_pullback() {
    check_arrays(
        "pullback of reverse",
        |f| {
            let (_, back): (Vec<Array>, _) =
                pullback(|x| grad(|x| weighted((f.var_var)(&x)), &x).or_raise(), &inputs(f))?;
            back.apply(&directions(f))
        },
        |f| f.expected.hvp(&w(f), &direction(&f.inputs)),
    );
}

#[test]
fn second_derivatives_of_arrays_by_linearize() {
    check_arrays(
        "linearize of reverse",
        |f| {
            let slope = |x: Vec<Dual<Partial<Array>>>| grad(|x| weighted((f.var_dual)(&x)), &x).or_raise();
            linearize(slope, &inputs(f))?.1.apply(&directions(f))
        },
        |f| f.expected.hvp(&w(f), &direction(&f.inputs)),
    );
}
