//! The array table in every mode of differentiation, and in their compositions.
//!
//! A result `y` is made a number by fixed weights, `Σ wᵢ·yᵢ`; second derivatives are taken in a fixed direction.

use antiphon::{Batch, Dual, NdArray, OrRaise, Result, Tensor, Traced, Var};
use antiphon::{
    grad, hessian_sparsity, hvp, jacobian_sparsity, jvp, sparse_hessian, sparse_jacobian, value_and_grad, vjp,
};

use crate::array_case::{
    ArrayCase, ArrayVisitor, Expected, Plain, arrays, direction, elements, weighted, weights,
};
use crate::compare::Report;
use crate::for_each_array_case;

type Array = NdArray<f64>;
type VarDual<'r> = Var<'r, Dual<Array>>;
type DualVar<'r> = Dual<Var<'r, Array>>;
type DualDual = Dual<Dual<Array>>;
type Over2<'r, 's> = Var<'r, Var<'s, Array>>;
type VarTraced<'r> = Var<'r, Traced<f64>>;
type VarDualBatch<'r> = Var<'r, Dual<Batch<Array>>>;

/// A case in every interpretation that the modes need, as function pointers: the entry points are then compiled
/// once and not once per case.
struct Function {
    name: &'static str,
    inputs: Vec<Plain>,
    expected: Expected,
    plain: fn(&[Array]) -> Array,
    var: for<'r> fn(&[Var<'r, Array>]) -> Var<'r, Array>,
    dual: fn(&[Dual<Array>]) -> Dual<Array>,
    var_dual: for<'r> fn(&[VarDual<'r>]) -> VarDual<'r>,
    dual_var: for<'r> fn(&[DualVar<'r>]) -> DualVar<'r>,
    dual_dual: fn(&[DualDual]) -> DualDual,
    var_var: for<'r, 's> fn(&[Over2<'r, 's>]) -> Over2<'r, 's>,
    traced: fn(&[Traced<f64>]) -> Traced<f64>,
    var_traced: for<'r> fn(&[VarTraced<'r>]) -> VarTraced<'r>,
    var_dual_batch: for<'r> fn(&[VarDualBatch<'r>]) -> VarDualBatch<'r>,
}

struct Collect(Vec<Function>);

impl ArrayVisitor for Collect {
    fn visit<C: ArrayCase>(&mut self) {
        let inputs = C::inputs();
        self.0.push(Function {
            name: C::NAME,
            expected: C::expected(&inputs),
            inputs,
            // Closures, because a generic function's item is not general over lifetimes.
            plain: |x| C::call(x),
            var: |x| C::call(x),
            dual: |x| C::call(x),
            var_dual: |x| C::call(x),
            dual_var: |x| C::call(x),
            dual_dual: |x| C::call(x),
            var_var: |x| C::call(x),
            traced: |x| C::call(x),
            var_traced: |x| C::call(x),
            var_dual_batch: |x| C::call(x),
        });
    }
}

impl Function {
    fn x(&self) -> Vec<Array> {
        arrays(&self.inputs)
    }
    fn v(&self) -> Vec<Array> {
        arrays(&direction(&self.inputs))
    }
    fn w(&self) -> Vec<f64> {
        weights(self.expected.elements.len())
    }
    /// The inputs' parts of a row with an element for each of theirs.
    fn parts(&self, row: &Array) -> Vec<Array> {
        let lengths: Vec<usize> = self.inputs.iter().map(|x| x.elements.len()).collect();
        let parts = row.split(&lengths, 0).into_iter().zip(&self.inputs);
        parts.map(|(part, x)| part.reshape(&x.shape)).collect()
    }
}

/// All array cases.
fn functions() -> Vec<Function> {
    let mut collect = Collect(Vec::new());
    for_each_array_case(&mut collect);
    collect.0
}

/// `Σ aₖ·bₖ` over all elements of all arrays.
fn inner<T: Tensor>(a: &[T], b: &[T]) -> T {
    let products = a.iter().zip(b).map(|(a, b)| (a.clone() * b).sum(..));
    products.fold(T::zeros(&[]), |sum, product| sum + product)
}

/// Compares each input's part of a gradient.
fn compare(report: &mut Report, f: &Function, got: Result<Vec<Array>>, expected: &[Vec<f64>]) {
    match got {
        Err(error) => report.fail(format!("{}: {error}", f.name)),
        Ok(got) => {
            for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
                let shape = &f.inputs[i].shape;
                if got.shape().as_slice() != shape {
                    report.fail(format!(
                        "{}: input {i} of {shape:?} has a gradient of {:?}",
                        f.name,
                        got.shape()
                    ));
                }
                report.numbers(|| format!("{}, input {i}", f.name), &elements(got), expected);
            }
        }
    }
}

/// Holds a way to the gradient of the weighted sum to the table.
fn check_first(mode: &'static str, derive: impl Fn(&Function) -> Result<Vec<Array>>) {
    let mut report = Report::exact(mode);
    for f in functions() {
        report.cases += 1;
        compare(&mut report, &f, derive(&f), &f.expected.gradient(&f.w(), &f.inputs));
    }
    report.finish();
}

/// Holds a way to the Hessian of the weighted sum, times the direction, to the table.
fn check_second(mode: &'static str, derive: impl Fn(&Function) -> Result<Vec<Array>>) {
    let mut report = Report::exact(mode);
    for f in functions() {
        report.cases += 1;
        compare(&mut report, &f, derive(&f), &f.expected.hvp(&f.w(), &direction(&f.inputs)));
    }
    report.finish();
}

/// The numbers of a result, or a failure.
fn numbers(report: &mut Report, what: String, got: Result<Array>, expected: &[f64]) {
    match got {
        Err(error) => report.fail(format!("{what}: {error}")),
        Ok(got) => report.numbers(|| what.clone(), &elements(&got), expected),
    }
}

#[test]
fn reverse() {
    check_first("reverse", |f| Ok(value_and_grad(|x| weighted((f.var)(&x)), &f.x())?.1));
}

#[test]
fn vector_jacobian_product() {
    check_first("vjp", |f| {
        let y = (f.plain)(&f.x());
        Ok(vjp(|x| (f.var)(&x), &f.x(), &Array::from_elements(&y.shape(), &f.w())?)?.1)
    });
}

#[test]
fn forward() {
    let mut report = Report::exact("forward");
    for f in functions() {
        report.cases += 1;
        let tangent = f.expected.tangent(&direction(&f.inputs));
        let got = jvp(|x| (f.dual)(&x), &f.x(), &f.v());
        numbers(&mut report, format!("{}, tangent", f.name), got.map(|y| y.1), &tangent);
    }
    report.finish();
}

#[test]
fn forward_over_reverse() {
    check_second("forward over reverse", |f| Ok(hvp(|x| weighted((f.var_dual)(&x)), &f.x(), &f.v())?.1));
}

#[test]
fn reverse_over_forward() {
    check_second("reverse over forward", |f| {
        grad(
            |x| {
                let v: Vec<_> = f.v().iter().map(Var::lift).collect();
                jvp(|x| weighted((f.dual_var)(&x)), &x, &v).or_raise().1
            },
            &f.x(),
        )
    });
}

#[test]
fn reverse_over_reverse() {
    check_second("reverse over reverse", |f| {
        grad(
            |x| {
                let v: Vec<_> = f.v().iter().map(Var::lift).collect();
                inner(&grad(|x| weighted((f.var_var)(&x)), &x).or_raise(), &v)
            },
            &f.x(),
        )
    });
}

/// The second derivative of the weighted sum along the direction, `vᵀHv`.
#[test]
fn forward_over_forward() {
    let mut report = Report::exact("forward over forward");
    for f in functions() {
        report.cases += 1;
        let v = direction(&f.inputs);
        let along = |(p, v): (&Vec<f64>, &Plain)| p.iter().zip(&v.elements).map(|(p, v)| p * v).sum::<f64>();
        let curvature = f.expected.hvp(&f.w(), &v).iter().zip(&v).map(along).sum::<f64>();
        let slope = |x: Vec<Dual<Array>>| {
            let v: Vec<_> = f.v().iter().map(Dual::lift).collect();
            jvp(|x| weighted((f.dual_dual)(&x)), &x, &v).or_raise().1
        };
        let got = jvp(slope, &f.x(), &f.v());
        numbers(&mut report, f.name.into(), got.map(|y| y.1), &[curvature]);
    }
    report.finish();
}

/// The rows of the sparse Jacobian, weighted.
#[test]
fn sparse_jacobians() {
    check_first("sparse Jacobian", |f| {
        let pattern = jacobian_sparsity(|x| (f.traced)(&x), &f.x())?;
        let matrix = sparse_jacobian(|x| (f.var_dual_batch)(&x), &f.x(), &pattern)?.to_dense()?;
        Ok(f.parts(&Array::from(f.w()).matmul(&matrix)))
    });
}

/// The sparse Hessian, times the direction.
#[test]
fn sparse_hessians() {
    check_second("sparse Hessian", |f| {
        let pattern = hessian_sparsity(|x| weighted((f.var_traced)(&x)), &f.x())?;
        let matrix = sparse_hessian(|x| weighted((f.var_dual_batch)(&x)), &f.x(), &pattern)?.to_dense()?;
        let v: Vec<Array> = f.v().iter().map(|v| v.reshape(&[v.size()])).collect();
        Ok(f.parts(&matrix.matmul(&Tensor::concat(&v, 0))))
    });
}
