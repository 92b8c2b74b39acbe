//! The scalar table in every mode of differentiation, and in their compositions.

use antiphon::{Dual, OrRaise, Result, Var, grad, hvp, jvp, value_and_grad};

use crate::case::{Jet, ScalarCase, ScalarVisitor};
use crate::compare::Report;
use crate::for_each_scalar_case;

type VarDual<'r> = Var<'r, Dual<f64>>;
type DualVar<'r> = Dual<Var<'r, f64>>;
type DualDual = Dual<Dual<f64>>;
type Over2<'r, 's> = Var<'r, Var<'s, f64>>;
type Over3<'r, 's, 't> = Var<'r, Var<'s, Var<'t, f64>>>;
type Sandwich<'r> = Dual<Var<'r, Dual<f64>>>;

/// A case in every interpretation that the modes need, as function pointers: the entry points are then compiled
/// once and not once per case.
struct Function {
    name: &'static str,
    points: Vec<&'static [f64]>,
    jet: fn(&[f64]) -> Jet,
    var: for<'r> fn(&[Var<'r, f64>]) -> Var<'r, f64>,
    dual: fn(&[Dual<f64>]) -> Dual<f64>,
    var_dual: for<'r> fn(&[VarDual<'r>]) -> VarDual<'r>,
    dual_var: for<'r> fn(&[DualVar<'r>]) -> DualVar<'r>,
    dual_dual: fn(&[DualDual]) -> DualDual,
    var_var: for<'r, 's> fn(&[Over2<'r, 's>]) -> Over2<'r, 's>,
    var_var_var: for<'r, 's, 't> fn(&[Over3<'r, 's, 't>]) -> Over3<'r, 's, 't>,
    dual_var_dual: for<'r> fn(&[Sandwich<'r>]) -> Sandwich<'r>,
}

struct Collect(Vec<Function>);

impl ScalarVisitor for Collect {
    fn visit<C: ScalarCase>(&mut self) {
        self.0.push(Function {
            name: C::NAME,
            points: C::POINTS.iter().chain(C::KINKS).copied().collect(),
            jet: C::jet,
            // Closures, because a generic function's item is not general over lifetimes.
            var: |x| C::call(x),
            dual: |x| C::call(x),
            var_dual: |x| C::call(x),
            dual_var: |x| C::call(x),
            dual_dual: |x| C::call(x),
            var_var: |x| C::call(x),
            var_var_var: |x| C::call(x),
            dual_var_dual: |x| C::call(x),
        });
    }
}

/// All scalar cases.
fn functions() -> Vec<Function> {
    let mut collect = Collect(Vec::new());
    for_each_scalar_case(&mut collect);
    collect.0
}

/// The unit vector along axis `i`.
fn unit(n: usize, i: usize) -> Vec<f64> {
    (0..n).map(|j| if i == j { 1.0 } else { 0.0 }).collect()
}

/// Holds a way to value and gradient to the table.
fn check_first(mode: &'static str, derive: impl Fn(&Function, &Vec<f64>) -> Result<(f64, Vec<f64>)>) {
    let mut report = Report::exact(mode);
    for f in functions() {
        report.cases += 1;
        for x in &f.points {
            let jet = (f.jet)(x);
            match derive(&f, &x.to_vec()) {
                Err(error) => report.fail(format!("{} at {x:?}: {error}", f.name)),
                Ok((value, gradient)) => {
                    report.numbers(|| format!("{} at {x:?}, value", f.name), &[value], &[jet.value]);
                    report.numbers(|| format!("{} at {x:?}, gradient", f.name), &gradient, &jet.gradient);
                }
            }
        }
    }
    report.finish();
}

/// Holds a way to a column of the Hessian to the table.
fn check_second(mode: &'static str, derive: impl Fn(&Function, &Vec<f64>, Vec<f64>) -> Result<Vec<f64>>) {
    let mut report = Report::exact(mode);
    for f in functions() {
        report.cases += 1;
        for x in &f.points {
            for (i, expected) in (f.jet)(x).hessian.into_iter().flatten().enumerate() {
                let what = || format!("{} at {x:?}, column {i}", f.name);
                match derive(&f, &x.to_vec(), unit(x.len(), i)) {
                    Err(error) => report.fail(format!("{}: {error}", what())),
                    Ok(column) => report.numbers(what, &column, &expected),
                }
            }
        }
    }
    report.finish();
}

/// Holds a way to the third derivative of functions of one variable to the table.
fn check_third(mode: &'static str, derive: impl Fn(&Function, f64) -> Result<f64>) {
    let mut report = Report::exact(mode);
    for f in functions() {
        report.cases += 1;
        for x in &f.points {
            let Some(expected) = (f.jet)(x).third else { continue };
            match derive(&f, x[0]) {
                Err(error) => report.fail(format!("{} at {x:?}: {error}", f.name)),
                Ok(third) => report.numbers(|| format!("{} at {x:?}", f.name), &[third], &[expected]),
            }
        }
    }
    report.finish();
}

/// Each component of a vector-valued function's derivative in forward mode.
fn each<T>(x: &[T], component: impl Fn(usize) -> Result<f64>) -> Result<Vec<f64>> {
    (0..x.len()).map(component).collect()
}

#[test]
fn reverse() {
    check_first("reverse", |f, x| value_and_grad(|x| (f.var)(&x), x));
}

#[test]
fn forward() {
    check_first("forward", |f, x| {
        // The other inputs are constants and not variables with a tangent of 0, which at a pole would be 0·∞.
        let along = |i: usize| {
            let others = |xi| {
                let mut x: Vec<_> = x.iter().map(Dual::lift).collect();
                x[i] = xi;
                (f.dual)(&x)
            };
            jvp(others, &x[i], &1.0)
        };
        Ok((along(0)?.0, each(x, |i| Ok(along(i)?.1))?))
    });
}

#[test]
fn hessian_vector_product() {
    check_second("hvp", |f, x, v| Ok(hvp(|x| (f.var_dual)(&x), x, &v)?.1));
}

#[test]
fn forward_over_reverse() {
    check_second("forward over reverse", |f, x, v| {
        each(x, |j| {
            let slope = |x: Vec<Dual<f64>>| grad(|x| (f.var_dual)(&x), &x).or_raise()[j].clone();
            Ok(jvp(slope, x, &v)?.1)
        })
    });
}

#[test]
fn reverse_over_forward() {
    check_second("reverse over forward", |f, x, v| {
        grad(
            |x| {
                let v: Vec<_> = v.iter().map(Var::lift).collect();
                jvp(|x| (f.dual_var)(&x), &x, &v).or_raise().1
            },
            x,
        )
    });
}

#[test]
fn reverse_over_reverse() {
    check_second("reverse over reverse", |f, x, v| {
        let i = v.iter().position(|&v| v == 1.0).expect("a unit vector");
        grad(|x| grad(|x| (f.var_var)(&x), &x).or_raise()[i].clone(), x)
    });
}

#[test]
fn forward_over_forward() {
    check_second("forward over forward", |f, x, v| {
        each(x, |j| {
            let slope = |x: Vec<Dual<f64>>| {
                let along: Vec<_> = unit(x.len(), j).iter().map(Dual::lift).collect();
                jvp(|x| (f.dual_dual)(&x), &x, &along).or_raise().1
            };
            Ok(jvp(slope, x, &v)?.1)
        })
    });
}

#[test]
fn reverse_three_times() {
    check_third("reverse over reverse over reverse", |f, x| {
        grad(|x| grad(|x| grad(|x| (f.var_var_var)(&[x]), &x).or_raise(), &x).or_raise(), &x)
    });
}

#[test]
fn forward_over_reverse_over_forward() {
    check_third("forward over reverse over forward", |f, x| {
        let second = |x: Dual<f64>| {
            let one = Dual::lift(&1.0);
            grad(|x| jvp(|x| (f.dual_var_dual)(&[x]), &x, &Var::lift(&one)).or_raise().1, &x).or_raise()
        };
        Ok(jvp(second, &x, &1.0)?.1)
    });
}
