//! A function's sparse Jacobian, or Hessian, against the dense one: eagerly and compiled.

use antiphon::check::RunsOn;
use antiphon::{
    Batch, Dual, NdArray, OrRaise, SparseMatrix, Sparsity, Tensor, Traced, Var, hessian_blocks,
    hessian_sparsity, jacobian, jacobian_sparsity, sparse_hessian, sparse_jacobian,
};

pub type Array = NdArray<f64>;
pub type Point = Vec<Array>;

/// What runs on everything that a test of it needs.
pub trait Function:
    RunsOn<Traced<f64>>
    + for<'r> RunsOn<Var<'r, Traced<f64>>>
    + for<'r> RunsOn<Var<'r, Dual<Batch<Array>>>>
    + compiled::Function
{
}
impl<F> Function for F where
    F: RunsOn<Traced<f64>>
        + for<'r> RunsOn<Var<'r, Traced<f64>>>
        + for<'r> RunsOn<Var<'r, Dual<Batch<Array>>>>
        + compiled::Function
{
}

/// Irregular numbers between 0.2 and 1.8.
pub fn numbers(shape: &[usize], seed: usize) -> Array {
    let size: usize = shape.iter().product();
    let elements: Vec<f64> =
        (0..size).map(|i| 0.2 + 1.6 * (((i + 1) * 5741 + seed * 2129) % 7919) as f64 / 7919.0).collect();
    Array::from_elements(shape, &elements).unwrap()
}

/// The sum of the elements with weights that tell them apart.
pub fn weighted<T: Tensor>(y: T) -> T {
    let shape = y.shape();
    let weights: Vec<f64> = (0..y.size()).map(|i| 0.5 + ((7 * i + 3) % 5) as f64 * 0.25).collect();
    (y * T::from_elements(&shape, &weights).or_raise()).sum(..)
}

/// A function's weighted sum.
pub struct Weighted<'a, F>(pub &'a F);

impl<T: Tensor, F: RunsOn<T>> RunsOn<T> for Weighted<'_, F> {
    fn call(&self, x: &[T]) -> T {
        weighted(self.0.call(x))
    }
}

/// Blocks `[rows.., shape of a leaf..]` side by side.
fn beside(blocks: &[Array], rows: usize, x: &Point) -> Array {
    let flat = |(block, x): (&Array, &Array)| block.reshape(&[rows, x.size()]);
    Array::concat(&blocks.iter().zip(x).map(flat).collect::<Vec<_>>(), 1)
}

/// The dense Jacobian `[m, n]`.
pub fn dense_jacobian(f: &impl Function, x: &Point) -> Array {
    let blocks = jacobian(|x| f.call(&x), x).unwrap();
    let rank = blocks[0].rank() - x[0].rank();
    beside(&blocks, blocks[0].shape()[..rank].iter().product(), x)
}

/// The dense Hessian `[n, n]`.
pub fn dense_hessian(f: &impl Function, x: &Point) -> Array {
    let blocks = hessian_blocks(|x| f.call(&x), x).unwrap();
    let rows: Vec<Array> = blocks.iter().zip(x).map(|(row, of)| beside(row, of.size(), x)).collect();
    Array::concat(&rows, 0)
}

/// That the pattern has all entries of the matrix that are not zero.
#[track_caller]
pub fn assert_covers(what: &str, pattern: &Sparsity, dense: &Array) {
    assert_eq!(dense.shape().as_slice(), pattern.shape(), "{what}");
    let mut entries = pattern.entries().peekable();
    for ((i, j), value) in dense.view().into_dimensionality::<ndarray::Ix2>().unwrap().indexed_iter() {
        let there = entries.next_if_eq(&(i, j)).is_some();
        assert!(there || *value == 0.0, "{what}: ({i}, {j}) is {value}, and no entry of {pattern:?}");
    }
}

#[track_caller]
pub fn assert_near(what: &str, found: &Array, expected: &Array) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for (a, b) in found.view().iter().zip(expected.view().iter()) {
        let near = (a - b).abs() <= 1e-11 * (1.0 + b.abs()) || a.to_bits() == b.to_bits();
        assert!(near, "{what}: {found:?} instead of {expected:?}");
    }
}

#[track_caller]
fn assert_is(what: &str, found: &SparseMatrix<Array>, pattern: &Sparsity, dense: &Array) {
    assert_covers(what, pattern, dense);
    assert_eq!(found.pattern(), pattern);
    assert_eq!(found.values().shape().as_slice(), [pattern.nnz()]);
    assert_near(what, &found.to_dense().unwrap(), dense);
}

/// The pattern of the Jacobian, with which it is the dense one.
#[track_caller]
pub fn check_jacobian(what: &str, f: &impl Function, x: &Point) -> Sparsity {
    let pattern = jacobian_sparsity(|x| f.call(&x), x).unwrap();
    let found = sparse_jacobian(|x| f.call(&x), x, &pattern).unwrap();
    assert_is(what, &found, &pattern, &dense_jacobian(f, x));
    pattern
}

/// The pattern of the Hessian, with which it is the dense one.
#[track_caller]
pub fn check_hessian(what: &str, f: &impl Function, x: &Point) -> Sparsity {
    let pattern = hessian_sparsity(|x| f.call(&x), x).unwrap();
    let found = sparse_hessian(|x| f.call(&x), x, &pattern).unwrap();
    assert_is(what, &found, &pattern, &dense_hessian(f, x));
    pattern
}

/// The same functions, compiled.
pub mod compiled {
    #[cfg(feature = "staging")]
    mod staged {
        use antiphon::check::RunsOn;
        use antiphon::recording::Recorded;
        use antiphon::{
            Batch, Dual, OrRaise, SparseMatrix, Sparsity, Var, compile, sparse_hessian, sparse_jacobian,
        };

        use crate::case::{Point, assert_near};

        pub trait Function: for<'r> RunsOn<Var<'r, Dual<Batch<Recorded>>>> {}
        impl<F: for<'r> RunsOn<Var<'r, Dual<Batch<Recorded>>>>> Function for F {}

        #[track_caller]
        pub fn check_jacobian(what: &str, f: &impl crate::case::Function, x: &Point, pattern: &Sparsity) {
            let of = |x: Vec<Recorded>| sparse_jacobian(|x| f.call(&x), &x, pattern).or_raise().into_values();
            let values = compile("jacobian", of, x).unwrap().call(x).unwrap();
            let found = SparseMatrix::new(pattern, values).unwrap();
            assert_near(what, &found.to_dense().unwrap(), &crate::case::dense_jacobian(f, x));
        }

        #[track_caller]
        pub fn check_hessian(what: &str, f: &impl crate::case::Function, x: &Point, pattern: &Sparsity) {
            let of = |x: Vec<Recorded>| sparse_hessian(|x| f.call(&x), &x, pattern).or_raise().into_values();
            let values = compile("hessian", of, x).unwrap().call(x).unwrap();
            let found = SparseMatrix::new(pattern, values).unwrap();
            assert_near(what, &found.to_dense().unwrap(), &crate::case::dense_hessian(f, x));
        }
    }
    #[cfg(not(feature = "staging"))]
    mod staged {
        use antiphon::Sparsity;

        use crate::case::Point;

        pub trait Function {}
        impl<F> Function for F {}
        pub fn check_jacobian(_: &str, _: &impl crate::case::Function, _: &Point, _: &Sparsity) {}
        pub fn check_hessian(_: &str, _: &impl crate::case::Function, _: &Point, _: &Sparsity) {}
    }
    pub use staged::{Function, check_hessian, check_jacobian};
}

/// Declares functions of arrays `T`, with the operands' shapes, and tests of their Jacobians and of the Hessians of
/// their sums.
macro_rules! cases {
    (twice: $within:ident; $($cases:tt)*) => {
        cases! { $($cases)* }
    };
    ($($name:ident $shapes:expr, |$x:ident| $f:expr;)*) => {
        mod function {
            use super::*;
            $(
                pub fn $name<T: Tensor>($x: &[T]) -> T {
                    $f
                }
            )*
        }
        /// One program for all cases, so that what runs them is compiled once and not for each.
        struct Case(&'static str);
        impl<T: Tensor> antiphon::check::RunsOn<T> for Case {
            fn call(&self, x: &[T]) -> T {
                match self.0 {
                    $(stringify!($name) => function::$name(x),)*
                    name => unreachable!("{name}"),
                }
            }
        }
        const CASES: &[(&str, &[&[usize]])] = &[$((stringify!($name), &$shapes)),*];
        fn for_each(check: impl Fn(&str, &Case, &$crate::case::Point)) {
            for (name, shapes) in CASES {
                let x = shapes.iter().zip(1..).map(|(shape, seed)| $crate::case::numbers(shape, seed));
                check(name, &Case(name), &x.collect());
            }
        }
        #[test]
        fn jacobians() {
            for_each(|name, f, x| {
                $crate::case::check_jacobian(name, f, x);
            });
        }
        #[test]
        fn hessians() {
            for_each(|name, f, x| {
                $crate::case::check_hessian(name, &$crate::case::Weighted(f), x);
            });
        }
    };
}
pub(crate) use cases;
