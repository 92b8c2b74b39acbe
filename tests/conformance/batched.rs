//! The scalar table with all points of a case in one batch: each row takes its own way through control flow.

use antiphon::{Batch, Dual, NdArray, OrRaise, Real, Result, Var, grad, hvp, value_and_grad, vmap};

use crate::case::{Jet, ScalarCase, ScalarVisitor};
use crate::compare::Report;
use crate::for_each_scalar_case;
use crate::table::points;

type Array = NdArray<f64>;
type Inner<'r> = Var<'r, Batch<Array>>;
type Outer<'r> = Batch<Var<'r, Array>>;
type Mixed<'r> = Var<'r, Dual<Batch<Array>>>;

/// A case in every interpretation that the modes need, as function pointers; see `modes`.
struct Function {
    name: &'static str,
    points: Vec<&'static [f64]>,
    jet: fn(&[f64]) -> Jet,
    var_batch: for<'r> fn(&[Inner<'r>]) -> Inner<'r>,
    batch_var: for<'r> fn(&[Outer<'r>]) -> Outer<'r>,
    var_dual_batch: for<'r> fn(&[Mixed<'r>]) -> Mixed<'r>,
}

struct Collect(Vec<Function>);

impl ScalarVisitor for Collect {
    fn visit<C: ScalarCase>(&mut self) {
        self.0.push(Function {
            name: C::NAME,
            points: points::<C>().collect(),
            jet: C::jet,
            var_batch: |x| C::call(x),
            batch_var: |x| C::call(x),
            var_dual_batch: |x| C::call(x),
        });
    }
}

impl Function {
    /// Each variable at all points.
    fn rows(&self) -> Vec<Array> {
        (0..self.points[0].len())
            .map(|i| self.points.iter().map(|x| x[i]).collect::<Vec<_>>().into())
            .collect()
    }
}

/// Runs every case and holds what comes out, each number an array over the points, to what a point's jet says.
fn check(
    mode: &'static str,
    run: impl Fn(&Function) -> Result<Vec<Array>>,
    expected: impl Fn(&Jet) -> Vec<f64>,
) {
    let mut report = Report::exact(mode);
    let mut collect = Collect(Vec::new());
    for_each_scalar_case(&mut collect);
    for f in &collect.0 {
        report.cases += 1;
        match run(f) {
            Err(error) => report.fail(format!("{}: {error}", f.name)),
            Ok(found) => {
                for (row, x) in f.points.iter().enumerate() {
                    let found: Vec<f64> = found.iter().map(|found| found.view()[[row]]).collect();
                    report.numbers(|| format!("{} at {x:?}", f.name), &found, &expected(&(f.jet)(x)));
                }
            }
        }
    }
    report.finish();
}

fn value_and_gradient(jet: &Jet) -> Vec<f64> {
    [vec![jet.value], jet.gradient.clone()].concat()
}

#[test]
fn batch_of_reverse() {
    let run = |f: &Function| {
        let gradient = |x: Vec<Batch<Array>>| value_and_grad(|x| (f.var_batch)(&x), &x).or_raise();
        let (value, gradient) = vmap(gradient, &f.rows())?;
        Ok([vec![value], gradient].concat())
    };
    check("batch of reverse", run, value_and_gradient);
}

#[test]
fn reverse_of_batch() {
    fn sum<'r>(f: &Function, x: Vec<Var<'r, Array>>) -> Var<'r, Array> {
        use antiphon::Tensor;
        vmap(|x: Vec<Batch<Var<'r, Array>>>| (f.batch_var)(&x), &x).or_raise().sum(..)
    }
    let run = |f: &Function| grad(|x| sum(f, x), &f.rows());
    check("reverse of batch", run, |jet| jet.gradient.clone());
}

#[test]
fn batch_of_forward_over_reverse() {
    let mut report = Report::exact("batch of forward over reverse");
    let mut collect = Collect(Vec::new());
    for_each_scalar_case(&mut collect);
    for f in collect.0.iter().filter(|f| (f.jet)(f.points[0]).hessian.is_some()) {
        report.cases += 1;
        for i in 0..f.points[0].len() {
            let product = |x: Vec<Batch<Array>>| {
                let unit: Vec<Batch<Array>> =
                    (0..x.len()).map(|j| Batch::constant(if i == j { 1.0 } else { 0.0 })).collect();
                hvp(|x| (f.var_dual_batch)(&x), &x, &unit).or_raise().1
            };
            match vmap(product, &f.rows()) {
                Err(error) => report.fail(format!("{}: {error}", f.name)),
                Ok(found) => {
                    for (row, x) in f.points.iter().enumerate() {
                        let found: Vec<f64> = found.iter().map(|found| found.view()[[row]]).collect();
                        let hessian = (f.jet)(x).hessian.expect("filtered above");
                        report.numbers(|| format!("{} at {x:?}, along {i}", f.name), &found, &hessian[i]);
                    }
                }
            }
        }
    }
    report.finish();
}
