//! Operators of the host in recorded and compiled programs.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

use antiphon::control::scan;
use antiphon::host::{ArrayViewD, ArrayViewMutD, HostElement, HostOperator};
use antiphon::recording::{Recorded, interpret, record};
use antiphon::{
    Batch, CompiledFunction, Error, NdArray, OrRaise, Real, Tensor, Var, compile, compile_with, grad,
    hessian, hvp, jvp, value_and_grad, vmap,
};
use antiphon_staging::CompileOptions;

use crate::host_operators::solve_lower;

type Array = NdArray<f64>;

fn matrix() -> Array {
    Array::from_elements(&[3, 3], &[2.0, 9.0, 9.0, 0.5, 1.5, 9.0, -0.4, 0.3, 0.8]).unwrap()
}

fn vector() -> Array {
    Array::from(vec![1.0, -2.0, 0.5])
}

fn point() -> (Array, Array) {
    (matrix(), vector())
}

fn assert_near(what: &str, found: &Array, expected: &Array) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for (found, expected) in found.view().iter().zip(expected.view()) {
        assert!((found - expected).abs() <= 1e-12 * (1.0 + expected.abs()), "{what}: {found} {expected}");
    }
}

type Pair = (Array, Array);

/// The functions, one of each kind of control flow, of a matrix and a vector.
macro_rules! functions {
    ($($name:ident |$m:ident, $b:ident| $f:expr;)*) => {
        mod function {
            use super::*;
            $(pub fn $name<T: Tensor>($m: &T, $b: &T) -> T {
                $f
            })*
        }
        /// Eagerly, interpreted and compiled, with derivatives in all orders of modes, and as rows of a batch.
        #[test]
        fn programs_agree_with_eager_runs() {
            $(
                let f = stringify!($name);
                let eager = (
                    value_and_grad(|(m, b)| function::$name(&m, &b), &point()).unwrap(),
                    jvp(|(m, b)| function::$name(&m, &b), &point(), &point()).unwrap().1,
                    hvp(|(m, b)| function::$name(&m, &b), &point(), &point()).unwrap().1,
                    grad(
                        |x| {
                            let (m, b) = grad(|(m, b)| function::$name(&m, &b), &x).or_raise();
                            m.square().sum(..) + b.sum(..)
                        },
                        &point(),
                    )
                    .unwrap(),
                );
                let program = |x: (Recorded, Recorded)| {
                    (
                        value_and_grad(|(m, b)| function::$name(&m, &b), &x).or_raise(),
                        jvp(|(m, b)| function::$name(&m, &b), &x, &x).or_raise().1,
                        hvp(|(m, b)| function::$name(&m, &b), &x, &x).or_raise().1,
                        grad(
                            |x| {
                                let (m, b) = grad(|(m, b)| function::$name(&m, &b), &x).or_raise();
                                m.square().sum(..) + b.sum(..)
                            },
                            &x,
                        )
                        .or_raise(),
                    )
                };
                let recorded = record(f, program, &point()).unwrap();
                let mut compiled = compile(f, program, &point()).unwrap();
                let interpreted = interpret(&recorded, &point()).unwrap();
                let flat = |((v, (gm, gb)), t, (hm, hb), (rm, rb)): ((Array, Pair), Array, Pair, Pair)| {
                    [v, gm, gb, t, hm, hb, rm, rb]
                };
                let expected = flat(eager);
                for (found, expected) in interpreted.iter().zip(&expected) {
                    assert_near(&format!("{f} interpreted"), found, expected);
                }
                for (found, expected) in flat(compiled.call(&point()).unwrap()).iter().zip(&expected) {
                    assert_near(&format!("{f} compiled"), found, expected);
                }
                // Rows of a batch, of which each has its vector.
                let rows = Array::stack(&[vector(), vector() * 0.5, vector() * -3.0], 0);
                let each = |i| grad(|b| function::$name(&Var::lift(&matrix()), &b), &rows.index(0, i)).unwrap();
                let expected = Array::stack(&[each(0), each(1), each(2)], 0);
                let of_rows = |rows: Recorded| {
                    let m = Recorded::from_elements(&[3, 3], matrix().view().as_slice().unwrap()).or_raise();
                    vmap(
                        |b: Batch<Recorded>| {
                            grad(|b| function::$name(&Var::lift(&Batch::lift(&m)), &b), &b).or_raise()
                        },
                        &rows,
                    )
                    .or_raise()
                };
                let found = compile(f, of_rows, &rows).unwrap().call(&rows).unwrap();
                assert_near(&format!("{f} of rows"), &found, &expected);
            )*
        }
    };
}

functions! {
    plain |m, b| solve_lower(m, b).square().sum(..);
    twice_the_same |m, b| (solve_lower(m, b) * solve_lower(m, b)).sum(..);
    in_an_arm |m, b| {
        T::cond(&b.sum(..).less(&T::constant(10.0)), || solve_lower(m, b).sin().sum(..), || b.sum(..))
    };
    in_a_loop |m, b| {
        let goes_on = |x: &T| x.square().sum(..).less(&T::constant(30.0));
        T::while_loop(b.clone() * 1.5, goes_on, |x| solve_lower(m, &x) * 1.5 + x * 2.0).sum(..)
    };
    in_recursion |m, b| {
        T::fix(b.clone(), |again, x: T| {
            let small = x.square().sum(..).less(&T::constant(30.0));
            T::cond(&small, || again(solve_lower(m, &x) * 2.0 + x.clone() * 2.0) * 0.5, || x.clone())
        })
        .sum(..)
    };
    in_a_scan |m, b| {
        let (last, sums) = scan(b.clone(), m, |x: T, row| {
            let y = solve_lower(m, &(x + row * 0.1));
            (y.clone(), y.sum(..))
        })
        .or_raise();
        last.sum(..) + sums.square().sum(..)
    };
}

/// Of the matrix above.
fn exponentials<T: Tensor>(b: &T) -> T {
    let matrix = T::from_elements(&[3, 3], matrix().view().as_slice().expect("row-major")).or_raise();
    solve_lower(&matrix, b).exp().sum(..)
}

#[test]
fn hessians() {
    let eager = hessian(|b| exponentials(&b), &vector()).unwrap();
    let program = |b: Recorded| hessian(|b| exponentials(&b), &b).or_raise();
    assert_near("hessian", &compile("hessian", program, &vector()).unwrap().call(&vector()).unwrap(), &eager);
}

/// An error of the host is an error of the run, with the line that calls the operator; the next run is as ever.
#[test]
fn errors_of_the_host() {
    let program = |(m, b)| solve_lower(&m, &b);
    let mut compiled = compile("solve", program, &point()).unwrap();
    let singular = (Array::zeros(&[3, 3]), vector());
    for _ in 0..2 {
        let error = compiled.call(&singular).unwrap_err();
        assert!(matches!(error, Error::Argument { .. }), "{error}");
        let error = error.to_string();
        assert!(error.starts_with("solve_lower: element 0 of the diagonal is 0 ("), "{error}");
        assert!(error.contains("tests/compiled/host.rs"), "{error}");
        assert_eq!(compiled.call(&point()).unwrap(), solve_lower(&matrix(), &vector()));
    }
    let recorded = record("solve", program, &point()).unwrap();
    let error = interpret(&recorded, &singular).unwrap_err().to_string();
    assert!(error.starts_with("solve_lower: element 0 of the diagonal is 0 ("), "{error}");
}

/// What a checkpoint computes again names the operator's line as well, and not its own.
#[test]
fn errors_of_the_host_in_checkpoints() {
    fn model<T: Tensor>(point: (T, T)) -> T {
        T::checkpoint(point, |(m, b): (T, T)| {
            let y = solve_lower(&m, &b);
            y.sin().sum(..)
        })
    }
    let line = format!("tests/compiled/host.rs:{}:", line!() - 4);
    let singular = (Array::zeros(&[3, 3]), vector());
    let program = |point: (Recorded, Recorded)| grad(|point| model(point), &point).or_raise();
    let error = compile("model", program, &point()).unwrap().call(&singular).unwrap_err().to_string();
    assert!(
        error.starts_with("solve_lower: element 0 of the diagonal is 0 (") && error.contains(&line),
        "{error}"
    );
}

thread_local! {
    static SEEN: Cell<f64> = const { Cell::new(0.0) };
}

/// What it halves, it notes; of a negative number it panics.
#[derive(Clone, Debug)]
struct Halve;

impl HostOperator for Halve {
    const NAME: &'static str = "halve";
    const RANKS: &'static [usize] = &[0];
    fn shape(&self, _: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(vec![])
    }
    fn value<E: HostElement>(
        &self,
        x: &[ArrayViewD<'_, E>],
        mut y: ArrayViewMutD<'_, E>,
    ) -> Result<(), String> {
        let x = x[0][[]];
        assert!(x >= E::zero(), "negative");
        y[[]] = x / (E::one() + E::one());
        SEEN.set(y[[]].to_f64().unwrap());
        Ok(())
    }
    fn pull<T: Tensor>(&self, _: &[T], _: &T, y_bar: &T, _: &[bool]) -> Vec<Option<T>> {
        vec![Some(T::host(&Halve, &[y_bar]))]
    }
    fn push<T: Tensor>(&self, _: &[T], _: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].as_ref().map(|dx| T::host(&Halve, &[dx]))
    }
}

/// The host's functions run on the caller's stack, with the processor's mode as it was, and may panic there.
#[test]
fn the_host_is_as_it_was() {
    let program = |x: Recorded| Tensor::host(&Halve, &[&x]);
    let options = CompileOptions { flush_denormals: true, ..CompileOptions::default() };
    let mut compiled = compile_with("halve", program, &Array::scalar(1.0), &options).unwrap();
    let smallest = f64::MIN_POSITIVE;
    compiled.call(&Array::scalar(smallest)).unwrap();
    assert_eq!(SEEN.get(), smallest / 2.0, "denormal numbers are numbers");
    let panic = catch_unwind(AssertUnwindSafe(|| compiled.call(&Array::scalar(-1.0)))).unwrap_err();
    assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "negative");
    assert_eq!(compiled.call(&Array::scalar(3.0)).unwrap(), Array::scalar(1.5));
    let single = NdArray::<f32>::scalar(5.0);
    assert_eq!(compile("halve", program, &single).unwrap().call(&single).unwrap(), NdArray::scalar(2.5f32));
}

/// What it computes is what another compiled function does.
#[derive(Clone, Debug)]
struct Nested;

thread_local! {
    static SQUARE: RefCell<Option<CompiledFunction<Array, Array, Array>>> = const { RefCell::new(None) };
}

impl HostOperator for Nested {
    const NAME: &'static str = "nested";
    const RANKS: &'static [usize] = &[0];
    fn shape(&self, _: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(vec![])
    }
    fn value<E: HostElement>(
        &self,
        x: &[ArrayViewD<'_, E>],
        mut y: ArrayViewMutD<'_, E>,
    ) -> Result<(), String> {
        let x = Array::scalar(x[0][[]].to_f64().unwrap());
        let square = SQUARE.with_borrow_mut(|square| {
            let square =
                square.get_or_insert_with(|| compile("square", |x: Recorded| x.square(), &x).unwrap());
            square.call(&x).unwrap()
        });
        // And a gradient, which switches stacks of its own.
        let slope = grad(|x| x.square(), &x).unwrap();
        y[[]] = E::nearest(square.item() + slope.item());
        Ok(())
    }
    fn pull<T: Tensor>(&self, x: &[T], _: &T, y_bar: &T, _: &[bool]) -> Vec<Option<T>> {
        vec![Some((x[0].clone() + 1.0) * 2.0 * y_bar)]
    }
    fn push<T: Tensor>(&self, x: &[T], _: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].as_ref().map(|dx| (x[0].clone() + 1.0) * 2.0 * dx)
    }
}

#[test]
fn functions_of_the_host_run_compiled_code_and_derivatives_of_their_own() {
    let program = |x: Recorded| value_and_grad(|x| Tensor::host(&Nested, &[&x]).sin(), &x).or_raise();
    let mut compiled = compile("nested", program, &Array::scalar(3.0)).unwrap();
    for x in [3.0f64, 0.5] {
        let (y, slope) = compiled.call(&Array::scalar(x)).unwrap();
        let inner = x * x + 2.0 * x;
        assert!((y.item() - inner.sin()).abs() < 1e-14, "{y}");
        assert!((slope.item() - inner.cos() * (2.0 * x + 2.0)).abs() < 1e-13, "{slope}");
    }
}

#[test]
fn programs_name_their_operators() {
    let program = record("solve", |(m, b)| solve_lower(&m, &b), &point()).unwrap();
    let text = program.to_string();
    assert!(text.contains("host solve_lower.1(x0, x1)"), "{text}");
}

/// Of numbers: in recursion that becomes loops, in loops, and in arms, with gradients.
#[test]
fn numbers_of_the_host() {
    fn recursion<T: Tensor>(x: &T) -> T {
        T::fix(x.clone(), |again, x: T| {
            let large = T::constant(1.0).less(&x);
            T::cond(&large, || again(T::host(&Halve, &[&x])) * &x, || T::host(&Halve, &[&x.square()]))
        })
    }
    fn rounds<T: Tensor>(x: &T) -> T {
        T::while_loop(x.clone(), |x| T::constant(1.0).less(x), |x| T::host(&Halve, &[&x]).square() * 0.9)
    }
    let program = |x: Recorded| {
        (
            value_and_grad(|x| recursion(&x), &x).or_raise(),
            value_and_grad(|x| rounds(&x), &x).or_raise(),
            grad(|x| grad(|x| recursion(&x), &x).or_raise(), &x).or_raise(),
        )
    };
    let mut compiled = compile("numbers", program, &Array::scalar(3.0)).unwrap();
    for x in [3.0, 2.2, 0.4] {
        let x = Array::scalar(x);
        let ((y, slope), (z, other), second) = compiled.call(&x).unwrap();
        let eager = value_and_grad(|x| recursion(&x), &x).unwrap();
        assert_near("recursion", &y, &eager.0);
        assert_near("slope of recursion", &slope, &eager.1);
        let eager = value_and_grad(|x| rounds(&x), &x).unwrap();
        assert_near("rounds", &z, &eager.0);
        assert_near("slope of rounds", &other, &eager.1);
        assert_near("second", &second, &grad(|x| grad(|x| recursion(&x), &x).or_raise(), &x).unwrap());
    }
}
