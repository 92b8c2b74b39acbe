//! The array cases, and every operator.

use antiphon::check::RunsOn;
use antiphon::recording::{Recorded, record};
use antiphon::{Dual, NdArray, OrRaise, Result, Tensor, Var, jvp, value_and_grad};

use crate::array_case::{ArrayCase, ArrayVisitor, Plain, arrays, direction, elements, weights};
use crate::operators::{self, Formula};
use crate::ways::{Bound, Ways};
use crate::{elementwise, image, indexing, matrix, reduction, vector};

type Array = NdArray<f64>;

/// A function in every interpretation that is needed, as function pointers: the entry points are then compiled once.
struct Function {
    name: String,
    inputs: Vec<Plain>,
    calls: Calls,
}

/// How to call it.
#[derive(Clone, Copy)]
enum Calls {
    Case {
        var: for<'r> fn(&[Var<'r, Array>]) -> Var<'r, Array>,
        dual: fn(&[Dual<Array>]) -> Dual<Array>,
        var_expr: for<'r> fn(&[Var<'r, Recorded>]) -> Var<'r, Recorded>,
        dual_expr: fn(&[Dual<Recorded>]) -> Dual<Recorded>,
    },
    Formula(&'static str),
}

struct Collect(Vec<Function>);

impl ArrayVisitor for Collect {
    fn visit<C: ArrayCase>(&mut self) {
        let calls = Calls::Case {
            var: |x| C::call(x),
            dual: |x| C::call(x),
            var_expr: |x| C::call(x),
            dual_expr: |x| C::call(x),
        };
        self.0.push(Function { name: C::NAME.into(), inputs: C::inputs(), calls });
    }
}

/// `Σ wᵢ·yᵢ` with fixed weights.
fn weighted<T: Tensor>(y: &T) -> T {
    let w = T::from_elements(&y.shape(), &weights(y.size())).or_raise();
    (y.clone() * w).sum(..)
}

impl Calls {
    fn var<'r>(self, x: &[Var<'r, Array>]) -> Var<'r, Array> {
        match self {
            Calls::Case { var, .. } => var(x),
            Calls::Formula(formula) => Formula(formula).call(x),
        }
    }
    fn dual(self, x: &[Dual<Array>]) -> Dual<Array> {
        match self {
            Calls::Case { dual, .. } => dual(x),
            Calls::Formula(formula) => Formula(formula).call(x),
        }
    }
    fn var_expr<'r>(self, x: &[Var<'r, Recorded>]) -> Var<'r, Recorded> {
        match self {
            Calls::Case { var_expr, .. } => var_expr(x),
            Calls::Formula(formula) => Formula(formula).call(x),
        }
    }
    fn dual_expr(self, x: &[Dual<Recorded>]) -> Dual<Recorded> {
        match self {
            Calls::Case { dual_expr, .. } => dual_expr(x),
            Calls::Formula(formula) => Formula(formula).call(x),
        }
    }
}

impl Function {
    /// The weighted sum and its gradient, the result itself and its derivative in a fixed direction.
    fn eager(&self) -> Result<Vec<Vec<f64>>> {
        let (x, v) = (arrays::<Array>(&self.inputs), arrays::<Array>(&direction(&self.inputs)));
        let (sum, gradient) = value_and_grad(|x| weighted(&self.calls.var(&x)), &x)?;
        let (y, tangent) = jvp(|x| self.calls.dual(&x), &x, &v)?;
        let results = std::iter::once(sum).chain(gradient).chain([y, tangent]);
        Ok(results.map(|y| elements(&y)).collect())
    }

    /// The same, to be recorded.
    fn recorded(&self, x: &Vec<Recorded>) -> Vec<Recorded> {
        let (sum, gradient) = value_and_grad(|x| weighted(&self.calls.var_expr(&x)), x).or_raise();
        let (y, tangent) =
            jvp(|x| self.calls.dual_expr(&x), x, &arrays::<Recorded>(&direction(&self.inputs))).or_raise();
        std::iter::once(sum).chain(gradient).chain([y, tangent]).collect()
    }
}

/// Recursion over shapes, by a Rust `if`: a recorded function has arguments of one shape. Written as Rust's own
/// recursion it would unroll.
const EAGER_ONLY: &str = "compiled_conformance::vector::product_by_a_tree";

/// The eager kernels add up in another order and have elementary functions that vectorise.
const EAGER: Bound = Bound { relative: 1e-13 };

fn check(functions: &[Function], at_least: usize) {
    let mut ways = Ways::default();
    for f in functions {
        let recorded = record("f", |x: Vec<Recorded>| f.recorded(&x), &arrays::<Array>(&f.inputs));
        let (program, expected) = match (recorded, f.eager()) {
            (Ok(program), Ok(expected)) => (program, expected),
            (Err(_), Ok(_)) if f.name == EAGER_ONLY => continue,
            (Err(error), _) | (_, Err(error)) => {
                ways.fail(format!("{}: {error}", f.name));
                continue;
            }
        };
        let tensor = |x: &Plain| {
            antiphon_staging::ConcreteTensor::new(&x.shape, x.elements.clone()).expect("all elements")
        };
        let x = f.inputs.iter().map(tensor).collect();
        ways.check(&f.name, &program, &[(x, expected)], EAGER);
    }
    ways.finish(at_least);
}

#[test]
fn array_functions() {
    let mut collect = Collect(Vec::new());
    elementwise::for_each(&mut collect);
    reduction::for_each(&mut collect);
    vector::for_each(&mut collect);
    matrix::for_each(&mut collect);
    indexing::for_each(&mut collect);
    image::for_each(&mut collect);
    check(&collect.0, 130);
}

#[test]
fn operators_of_all_shapes() {
    let mut functions = Vec::new();
    for &(formula, shapes) in operators::ALL.iter().copied().flatten() {
        for shapes in shapes {
            let plain = |(shape, seed): (&&[usize], u64)| {
                let array = operators::array(shape, seed);
                Plain { shape: shape.to_vec(), elements: elements(&array) }
            };
            let inputs = shapes.iter().zip(1..).map(plain).collect();
            let name = format!("{formula} of {shapes:?}");
            functions.push(Function { name, inputs, calls: Calls::Formula(formula) });
        }
    }
    check(&functions, 300);
}
