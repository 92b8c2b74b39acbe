//! The scalar cases.

use antiphon::recording::{Recorded, record};
use antiphon::{Dual, NdArray, OrRaise, Real, Result, Var, jvp, value_and_grad};
use antiphon_staging::ConcreteTensor;

use crate::case::{ScalarCase, ScalarVisitor};
use crate::ways::{Bound, Ways};
use crate::{aliasing, binary, composition, control, elementary, polynomial, strong_zero, transcendental};

/// A case in every interpretation that is needed, as function pointers: the entry points are then compiled once.
struct Function {
    name: &'static str,
    points: Vec<&'static [f64]>,
    var: for<'r> fn(&[Var<'r, f64>]) -> Var<'r, f64>,
    dual: fn(&[Dual<f64>]) -> Dual<f64>,
    var_expr: for<'r> fn(&[Var<'r, Recorded>]) -> Var<'r, Recorded>,
    dual_expr: fn(&[Dual<Recorded>]) -> Dual<Recorded>,
}

struct Collect(Vec<Function>);

impl ScalarVisitor for Collect {
    fn visit<C: ScalarCase>(&mut self) {
        self.0.push(Function {
            name: C::NAME,
            points: C::POINTS.iter().chain(C::KINKS).copied().collect(),
            var: |x| C::call(x),
            dual: |x| C::call(x),
            var_expr: |x| C::call(x),
            dual_expr: |x| C::call(x),
        });
    }
}

/// `x` with the `i`-th replaced, the others constant: at a pole a tangent of 0 would be 0·∞.
macro_rules! along {
    ($f:expr, $x:expr, $i:expr, $one:expr) => {
        jvp(
            |xi| {
                let mut x: Vec<_> = $x.iter().map(Dual::lift).collect();
                x[$i] = xi;
                $f(&x)
            },
            &$x[$i],
            &$one,
        )
    };
}

impl Function {
    /// Value, gradient and the same forward.
    fn eager(&self, x: &[f64]) -> Result<Vec<Vec<f64>>> {
        let (y, gradient) = value_and_grad(|x| (self.var)(&x), &x.to_vec())?;
        let mut results = vec![y];
        results.extend(gradient);
        for i in 0..x.len() {
            let (y, slope) = along!(self.dual, x, i, 1.0)?;
            results.extend([y, slope]);
        }
        Ok(results.into_iter().map(|y| vec![y]).collect())
    }

    /// The same, to be recorded.
    fn recorded(&self, x: &[Recorded]) -> Vec<Recorded> {
        let (y, gradient) = value_and_grad(|x| (self.var_expr)(&x), &x.to_vec()).or_raise();
        let mut results = vec![y];
        results.extend(gradient);
        for i in 0..x.len() {
            let one = Recorded::constant(1.0);
            let (y, slope) = along!(self.dual_expr, x, i, one).or_raise();
            results.extend([y, slope]);
        }
        results
    }
}

/// The interpreter computes what plain numbers do.
const EAGER: Bound = Bound { relative: 0.0 };

fn check(collect: Collect, at_least: usize) {
    let mut ways = Ways::default();
    for f in &collect.0 {
        let example: Vec<NdArray<f64>> = f.points[0].iter().map(|&x| NdArray::scalar(x)).collect();
        let program = match record("f", |x: Vec<Recorded>| f.recorded(&x), &example) {
            Ok(program) => program,
            Err(error) => {
                ways.fail(format!("{}: {error}", f.name));
                continue;
            }
        };
        let mut runs = Vec::new();
        for x in &f.points {
            match f.eager(x) {
                Ok(expected) => runs.push((x.iter().map(|&x| ConcreteTensor::from(x)).collect(), expected)),
                Err(error) => ways.fail(format!("{} at {x:?}: {error}", f.name)),
            }
        }
        ways.check(f.name, &program, &runs, EAGER);
    }
    ways.finish(at_least);
}

#[test]
fn elementary_functions() {
    let mut collect = Collect(Vec::new());
    elementary::for_each(&mut collect);
    binary::for_each(&mut collect);
    polynomial::for_each(&mut collect);
    check(collect, 100);
}

#[test]
fn other_transcendental_functions() {
    let mut collect = Collect(Vec::new());
    transcendental::for_each(&mut collect);
    check(collect, 55);
}

#[test]
fn strong_zeros() {
    let mut collect = Collect(Vec::new());
    strong_zero::for_each(&mut collect);
    check(collect, 15);
}

#[test]
fn compositions_and_control_flow() {
    let mut collect = Collect(Vec::new());
    aliasing::for_each(&mut collect);
    composition::for_each(&mut collect);
    control::for_each(&mut collect);
    check(collect, 60);
}
