//! Ten modes: evaluation, reverse, forward, their four nestings, batches of values and of gradients, and compiled code
//! that gives a value, a gradient and a Hessian-vector product.

use antiphon::recording::Recorded;
use antiphon::{Batch, Dual, OrRaise, Result, Tensor, Var, compile, grad, hvp, jvp, value_and_grad, vmap};

use crate::function::{Array, Function, Plain};
use crate::functions;

/// What differences may differ by, relative to the largest of a gradient and of the values around.
const NUMERIC: f64 = 1e-7;
/// What modes may differ by from each other, likewise.
const MODES: f64 = 1e-11;

/// `Σ wᵢ·yᵢ` with weights of no pattern.
fn weighted<T: Tensor>(y: T) -> T {
    let w = T::from_elements(&y.shape(), &Plain::irregular(&[y.size()], 5).elements).or_raise();
    (y * w).sum(..)
}

/// `Σ aₖ·bₖ` over all elements of all arrays.
fn inner<T: Tensor>(a: &[T], b: &[T]) -> T {
    a.iter()
        .zip(b)
        .map(|(a, b)| (a.clone() * b).sum(..))
        .reduce(|sum, x| sum + x)
        .expect("there are operands")
}

fn elements(x: &Array) -> Vec<f64> {
    x.view().iter().copied().collect()
}

fn all_elements(x: &[Array]) -> Vec<f64> {
    x.iter().flat_map(elements).collect()
}

/// Failures so far.
#[derive(Default)]
struct Report {
    compared: usize,
    failures: Vec<String>,
}

impl Report {
    /// Each number to within a part of the largest one, or of `size`. NaN compares as NaN.
    fn close(&mut self, what: &str, found: Result<Vec<f64>>, expected: &[f64], bound: f64, size: f64) {
        let found = match found {
            Ok(found) => found,
            Err(error) => return self.failures.push(format!("{what}: {error}")),
        };
        let size = expected.iter().filter(|x| x.is_finite()).fold(size, |m, x| m.max(x.abs()));
        let close =
            |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= bound * size;
        self.compared += expected.len();
        if found.len() != expected.len() || !found.iter().zip(expected).all(close) {
            self.failures.push(format!("{what}: {found:?} instead of {expected:?}"));
        }
    }
    fn finish(self) {
        let Report { compared, failures } = self;
        assert!(compared >= 2000, "only {compared} numbers were compared");
        assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    }
}

/// A function at a place.
struct At<'a> {
    f: &'a Function,
    x: &'a [Plain],
    name: String,
}

impl At<'_> {
    fn arrays(&self) -> Vec<Array> {
        self.x.iter().map(Plain::array).collect()
    }
    /// A direction.
    fn v(&self) -> Vec<Array> {
        self.x.iter().zip(7..).map(|(x, seed)| Plain::irregular(&x.shape, seed).array()).collect()
    }
    /// Whether derivatives are to be compared.
    fn is_smooth(&self) -> bool {
        (self.f.smooth)(self.x) && (self.f.reference)(self.x).iter().all(|y| y.is_finite())
    }
    fn gradient(&self) -> Result<Vec<Array>> {
        Ok(value_and_grad(|x| weighted((self.f.var)(&x)), &self.arrays())?.1)
    }
    fn product(&self) -> Result<Vec<Array>> {
        Ok(hvp(|x| weighted((self.f.var_dual)(&x)), &self.arrays(), &self.v())?.1)
    }
}

/// Shows each function at each place.
fn for_each(check: impl Fn(&mut Report, At)) {
    let mut report = Report::default();
    for f in &functions() {
        for x in f.groups.iter().flatten() {
            let numbers: Vec<f64> = x.iter().filter(|x| x.shape.is_empty()).map(|x| x.elements[0]).collect();
            check(&mut report, At { f, x, name: format!("{} at {numbers:?}", f.name) });
        }
    }
    report.finish();
}

/// Shows each function at each place where it has derivatives.
fn where_smooth(check: impl Fn(&mut Report, At)) {
    for_each(|report, at| {
        if at.is_smooth() {
            check(report, at);
        }
    });
}

/// The derivative of a function of a number at 0, by central differences, twice extrapolated.
fn difference(f: impl Fn(f64) -> f64, step: f64) -> f64 {
    let central = |h: f64| (f(h) - f(-h)) / (2.0 * h);
    let [a, b, c] = [step, step / 2.0, step / 4.0].map(central);
    let (ab, bc) = ((4.0 * b - a) / 3.0, (4.0 * c - b) / 3.0);
    (16.0 * bc - ab) / 15.0
}

#[test]
fn evaluation() {
    for_each(|report, at| {
        let expected = (at.f.reference)(at.x);
        report.close(&at.name, Ok(elements(&(at.f.plain)(&at.arrays()))), &expected, 1e-13, 1.0);
    });
}

#[test]
fn reverse() {
    where_smooth(|report, at| {
        let value = |x: &[Plain]| -> f64 {
            let y = (at.f.reference)(x);
            y.iter().zip(Plain::irregular(&[y.len()], 5).elements).map(|(y, w)| y * w).sum()
        };
        let mut expected = Vec::new();
        for input in 0..at.x.len() {
            for i in 0..at.x[input].elements.len() {
                let moved = |h: f64| {
                    let mut x = at.x.to_vec();
                    x[input].elements[i] += h;
                    value(&x)
                };
                expected.push(difference(moved, 4e-3 * at.x[input].elements[i].abs()));
            }
        }
        let found = at.gradient().map(|gradient| all_elements(&gradient));
        report.close(&at.name, found, &expected, NUMERIC, 1e-3 + value(at.x).abs());
    });
}

#[test]
fn forward() {
    where_smooth(|report, at| {
        let along = inner(&at.gradient().unwrap(), &at.v()).item();
        let size = inner(&at.gradient().unwrap(), &at.gradient().unwrap()).item().sqrt();
        let found = jvp(|x| weighted((at.f.dual)(&x)), &at.arrays(), &at.v());
        report.close(&at.name, found.map(|y| vec![y.1.item()]), &[along], MODES, size.max(1.0));
    });
}

/// The derivative of the gradient, against its differences.
#[test]
fn forward_over_reverse() {
    where_smooth(|report, at| {
        let v = at.v();
        let slopes = |h: f64| {
            let moved = at.arrays().into_iter().zip(&v).map(|(x, v)| x + v * h).collect::<Vec<_>>();
            all_elements(&grad(|x| weighted((at.f.var)(&x)), &moved).unwrap())
        };
        let least = at.x.iter().flat_map(|x| &x.elements).fold(1.0, |m: f64, x| m.min(x.abs()));
        let step = 1e-3 * least;
        let sides = [1.0, -1.0, 0.5, -0.5, 0.25, -0.25].map(|part| slopes(part * step));
        let at_place = slopes(0.0);
        let pick = |h: f64, i: usize| {
            let side = [1.0, -1.0, 0.5, -0.5, 0.25, -0.25].iter().position(|part| part * step == h);
            sides[side.expect("a step that was taken")][i]
        };
        let expected: Vec<f64> = (0..at_place.len()).map(|i| difference(|h| pick(h, i), step)).collect();
        let size = at_place.iter().fold(1e-2, |m: f64, x| m.max(x.abs()));
        report.close(&at.name, at.product().map(|x| all_elements(&x)), &expected, NUMERIC, 10.0 * size);
    });
}

#[test]
fn reverse_over_forward() {
    where_smooth(|report, at| {
        let expected = all_elements(&at.product().unwrap());
        let found = grad(
            |x| {
                let v: Vec<_> = at.v().iter().map(Var::lift).collect();
                jvp(|x| weighted((at.f.dual_var)(&x)), &x, &v).or_raise().1
            },
            &at.arrays(),
        );
        report.close(&at.name, found.map(|x| all_elements(&x)), &expected, MODES, 1.0);
    });
}

#[test]
fn reverse_over_reverse() {
    where_smooth(|report, at| {
        let expected = all_elements(&at.product().unwrap());
        let found = grad(
            |x| {
                let v: Vec<_> = at.v().iter().map(Var::lift).collect();
                inner(&grad(|x| weighted((at.f.var_var)(&x)), &x).or_raise(), &v)
            },
            &at.arrays(),
        );
        report.close(&at.name, found.map(|x| all_elements(&x)), &expected, MODES, 1.0);
    });
}

#[test]
fn forward_over_forward() {
    where_smooth(|report, at| {
        let curvature = inner(&at.product().unwrap(), &at.v()).item();
        let size = inner(&at.product().unwrap(), &at.product().unwrap()).item().sqrt();
        let slope = |x: Vec<Dual<Array>>| {
            let v: Vec<_> = at.v().iter().map(Dual::lift).collect();
            jvp(|x| weighted((at.f.dual_dual)(&x)), &x, &v).or_raise().1
        };
        let found = jvp(slope, &at.arrays(), &at.v());
        report.close(&at.name, found.map(|y| vec![y.1.item()]), &[curvature], MODES, size.max(1.0));
    });
}

/// All places of a group as the rows of a batch: each takes its own way through branches and loops.
fn batches(check: impl Fn(&mut Report, &Function, &[Vec<Plain>], &[Array])) {
    let mut report = Report::default();
    for f in &functions() {
        for group in &f.groups {
            let operand = |i: usize| Array::stack(&group.iter().map(|x| x[i].array()).collect::<Vec<_>>(), 0);
            let rows: Vec<Array> = (0..group[0].len()).map(operand).collect();
            check(&mut report, f, group, &rows);
        }
    }
    report.finish();
}

#[test]
fn batch_of_evaluation() {
    batches(|report, f, group, rows| {
        let expected: Vec<f64> = group.iter().flat_map(|x| (f.reference)(x)).collect();
        let found = vmap(|x: Vec<Batch<Array>>| (f.batch)(&x), &rows.to_vec());
        report.close(f.name, found.map(|y| elements(&y)), &expected, 1e-13, 1.0);
    });
}

#[test]
fn batch_of_reverse() {
    batches(|report, f, group, rows| {
        let gradient = |x: Vec<Batch<Array>>| grad(|x| weighted((f.var_batch)(&x)), &x).or_raise();
        let found = match vmap(gradient, &rows.to_vec()) {
            Ok(found) => found,
            Err(error) => return report.close(f.name, Err(error), &[], 0.0, 0.0),
        };
        for (row, x) in group.iter().enumerate() {
            let at = At { f, x, name: format!("{}, row {row}", f.name) };
            if at.is_smooth() {
                let found: Vec<Array> = found.iter().map(|g| g.index(0, row)).collect();
                let expected = all_elements(&at.gradient().unwrap());
                report.close(&at.name, Ok(all_elements(&found)), &expected, MODES, 1.0);
            }
        }
    });
}

/// One program that gives the value, the gradient and a Hessian-vector product.
#[test]
fn compiled() {
    let mut report = Report::default();
    for f in &functions() {
        for group in &f.groups {
            let first = At { f, x: &group[0], name: f.name.into() };
            let program = |x: Vec<Recorded>| {
                let v: Vec<Recorded> = first
                    .v()
                    .iter()
                    .map(|v| Recorded::from_elements(&v.shape(), &elements(v)).or_raise())
                    .collect();
                let gradient = grad(|x| weighted((f.var_recorded)(&x)), &x).or_raise();
                let product = hvp(|x| weighted((f.var_dual_recorded)(&x)), &x, &v).or_raise().1;
                ((f.recorded)(&x), gradient, product)
            };
            let mut compiled = match compile(f.name, program, &first.arrays()) {
                Ok(compiled) => compiled,
                Err(error) => {
                    report.close(f.name, Err(error), &[], 0.0, 0.0);
                    continue;
                }
            };
            for x in group {
                let at = At { f, x, name: f.name.into() };
                let (value, gradient, product) = match compiled.call(&at.arrays()) {
                    Ok(found) => found,
                    Err(error) => {
                        report.close(&at.name, Err(error), &[], 0.0, 0.0);
                        continue;
                    }
                };
                report.close(&at.name, Ok(elements(&value)), &(f.reference)(x), 1e-13, 1.0);
                if at.is_smooth() {
                    let expected = all_elements(&at.gradient().unwrap());
                    report.close(&at.name, Ok(all_elements(&gradient)), &expected, MODES, 1.0);
                    let expected = all_elements(&at.product().unwrap());
                    report.close(&at.name, Ok(all_elements(&product)), &expected, MODES, 1.0);
                }
            }
        }
    }
    report.finish();
}
