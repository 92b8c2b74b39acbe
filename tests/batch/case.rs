//! A function of arrays on a batch against a loop over its rows, with operands that differ from row to row and operands
//! that do not in all combinations: values, the gradient of each row, the gradient of the sum over the rows, and forward
//! derivatives; eagerly and recorded.

use antiphon::{Batch, Dual, NdArray, OrRaise, Tensor, Var, grad, hvp, jvp, vmap_axes};

pub type Array = NdArray<f64>;
type Variable<'r> = Var<'r, Array>;
type Inner<'r> = Var<'r, Batch<Array>>;
type Outer<'r> = Batch<Var<'r, Array>>;
type Mixed<'r> = Var<'r, Dual<Batch<Array>>>;
type Second<'r> = Var<'r, Dual<Array>>;
pub type Function<T> = fn(&[T]) -> T;

const ROWS: usize = 3;

/// A function of arrays of these shapes in every interpretation that is needed, as pointers: so that what runs them is
/// compiled once and not for each.
pub struct Case {
    pub name: &'static str,
    pub shapes: &'static [&'static [usize]],
    pub plain: Function<Array>,
    pub batch: Function<Batch<Array>>,
    pub twice: Function<Batch<Batch<Array>>>,
    pub var: for<'r> fn(&[Variable<'r>]) -> Variable<'r>,
    pub var_batch: for<'r> fn(&[Inner<'r>]) -> Inner<'r>,
    pub batch_var: for<'r> fn(&[Outer<'r>]) -> Outer<'r>,
    pub dual: Function<Dual<Array>>,
    pub dual_batch: Function<Dual<Batch<Array>>>,
    pub batch_dual: Function<Batch<Dual<Array>>>,
    pub var_dual: for<'r> fn(&[Second<'r>]) -> Second<'r>,
    pub var_dual_batch: for<'r> fn(&[Mixed<'r>]) -> Mixed<'r>,
    #[cfg(feature = "staging")]
    pub recorded: recorded::Functions,
}

/// The sum of the elements with weights that tell them apart.
pub fn weighted<T: Tensor>(y: T) -> T {
    let shape = y.shape();
    let weights: Vec<f64> = (0..y.size()).map(|i| 0.5 + ((7 * i + 3) % 5) as f64 * 0.25).collect();
    (y * T::from_elements(&shape, &weights).or_raise()).sum(..)
}

/// A function as it is.
#[cfg(feature = "staging")]
pub fn bare<T: Tensor>(x: &[T], f: impl Fn(&[T]) -> T) -> T {
    f(x)
}

/// A function in an arm of a branch that is recorded.
#[cfg(feature = "staging")]
pub fn in_branch<T: Tensor>(x: &[T], f: impl Fn(&[T]) -> T) -> T {
    T::cond(&T::constant(1.0).less(&T::constant(2.0)), || f(x), || f(x) * 2.0)
}

/// Declares functions of arrays `T`, with the operands' shapes, and tests of all of them; of their second derivatives in
/// a recorded batch, too, [`bare`] or [`in_branch`], if they are to be differentiated `twice`.
macro_rules! cases {
    (twice: $within:ident; $($name:ident $shapes:expr, |$x:ident| $f:expr;)*) => {
        #[cfg(feature = "staging")]
        #[test]
        fn twice_in_reverse() {
            use $crate::case::recorded::{Twice, twice};
            twice(cases(), vec![$(Twice {
                var_var: |x| $crate::case::weighted($crate::case::$within(x, |x| function::$name(x))),
                var_var_batch: |x| $crate::case::weighted($crate::case::$within(x, |x| function::$name(x))),
                var_batch_var: |x| $crate::case::weighted($crate::case::$within(x, |x| function::$name(x))),
            },)*]);
        }
        cases! { $($name $shapes, |$x| $f;)* }
    };
    ($($name:ident $shapes:expr, |$x:ident| $f:expr;)*) => {
        #[cfg(feature = "staging")]
        #[test]
        fn compiled() {
            $crate::case::recorded::compiled(cases());
        }
        mod function {
            use super::*;
            $(
                pub fn $name<T: Tensor>($x: &[T]) -> T {
                    $f
                }
            )*
        }
        #[test]
        fn values() {
            $crate::case::values(cases());
        }
        #[test]
        fn values_of_batches_of_batches() {
            $crate::case::values_of_batches_of_batches(cases());
        }
        #[test]
        fn gradients_of_each_row() {
            $crate::case::gradients_of_each_row(cases());
        }
        #[test]
        fn gradients_of_all_rows() {
            $crate::case::gradients_of_all_rows(cases());
        }
        #[test]
        fn directions() {
            $crate::case::directions(cases());
        }
        fn cases() -> Vec<$crate::case::Case> {
            vec![$($crate::case::Case {
                name: stringify!($name),
                shapes: &$shapes,
                plain: |x| function::$name(x),
                batch: |x| function::$name(x),
                twice: |x| function::$name(x),
                var: |x| $crate::case::weighted(function::$name(x)),
                var_batch: |x| $crate::case::weighted(function::$name(x)),
                batch_var: |x| $crate::case::weighted(function::$name(x)),
                dual: |x| $crate::case::weighted(function::$name(x)),
                dual_batch: |x| $crate::case::weighted(function::$name(x)),
                batch_dual: |x| $crate::case::weighted(function::$name(x)),
                var_dual: |x| $crate::case::weighted(function::$name(x)),
                var_dual_batch: |x| $crate::case::weighted(function::$name(x)),
                #[cfg(feature = "staging")]
                recorded: $crate::case::recorded::Functions {
                    batch: |x| function::$name(x),
                    var_batch: |x| $crate::case::weighted(function::$name(x)),
                    batch_var: |x| $crate::case::weighted(function::$name(x)),
                },
            },)*]
        }
    };
}
pub(crate) use cases;

/// Numbers between 0.2 and 1.8 that are all different.
fn numbers(shape: &[usize], seed: usize) -> Array {
    let size: usize = shape.iter().product();
    let elements: Vec<f64> =
        (0..size).map(|i| 0.2 + 1.6 * (((i + 1) * 5741 + seed * 2129) % 7919) as f64 / 7919.0).collect();
    Array::from_elements(shape, &elements).unwrap()
}

/// Operands of a case, of which those that `batched` says differ from row to row.
struct Operands {
    arrays: Vec<Array>,
    axes: Vec<Option<isize>>,
}

impl Operands {
    fn new(case: &Case, batched: usize, seed: usize) -> Operands {
        let axes: Vec<Option<isize>> =
            (0..case.shapes.len()).map(|i| (batched >> i & 1 == 1).then_some(0)).collect();
        let array = |(i, axis): (usize, &Option<isize>)| {
            let rows = axis.map(|_| ROWS);
            numbers(
                &rows.into_iter().chain(case.shapes[i].iter().copied()).collect::<Vec<_>>(),
                10 * seed + i,
            )
        };
        Operands { arrays: axes.iter().enumerate().map(array).collect(), axes }
    }
    /// What a row sees.
    fn row(&self, row: usize) -> Vec<Array> {
        let pick =
            |(x, axis): (&Array, &Option<isize>)| if axis.is_some() { x.index(0, row) } else { x.clone() };
        self.arrays.iter().zip(&self.axes).map(pick).collect()
    }
    /// The axes of two lists of such operands, one after the other.
    fn twice(&self) -> Vec<Option<isize>> {
        [self.axes.clone(), self.axes.clone()].concat()
    }
}

fn stacked(rows: &[Array]) -> Array {
    Array::stack(rows, 0)
}

/// Lists of the rows' results, as the list of all rows'.
fn transposed(rows: &[Vec<Array>]) -> Vec<Array> {
    (0..rows[0].len()).map(|i| stacked(&rows.iter().map(|row| row[i].clone()).collect::<Vec<_>>())).collect()
}

#[track_caller]
fn assert_near(what: &str, found: &[Array], expected: &[Array]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.shape(), expected.shape(), "{what}, {i}");
        for (a, b) in found.view().iter().zip(expected.view().iter()) {
            assert!(
                (a - b).abs() <= 1e-11 * (1.0 + b.abs()),
                "{what}, {i}: {found:?} instead of {expected:?}"
            );
        }
    }
}

/// Shows every case in every combination of operands.
fn for_each(cases: Vec<Case>, mut check: impl FnMut(&Case, &Operands, &str)) {
    for case in cases {
        for batched in 1..1 << case.shapes.len() {
            let operands = Operands::new(&case, batched, 1);
            check(&case, &operands, &format!("{} {:?}", case.name, operands.axes));
        }
    }
}

/// Expected gradients of all rows' sum: those of operands that are the same for all rows are summed.
fn summed(operands: &Operands, gradients: Vec<Array>) -> Vec<Array> {
    let sum = |(g, axis): (Array, &Option<isize>)| if axis.is_some() { g } else { g.sum(0) };
    gradients.into_iter().zip(&operands.axes).map(sum).collect()
}

fn loop_values(case: &Case, operands: &Operands) -> Array {
    stacked(&(0..ROWS).map(|row| (case.plain)(&operands.row(row))).collect::<Vec<_>>())
}

fn loop_gradients(case: &Case, operands: &Operands) -> Vec<Array> {
    let gradient = |row| grad(|x| (case.var)(&x), &operands.row(row)).unwrap();
    transposed(&(0..ROWS).map(gradient).collect::<Vec<_>>())
}

pub fn values(cases: Vec<Case>) {
    for_each(cases, |case, operands, what| {
        let found = vmap_axes(|x| (case.batch)(&x), &operands.arrays, &operands.axes, &[Some(0)]).unwrap();
        assert_near(what, &[found], &[loop_values(case, operands)]);
    });
}

/// The rows of a batch of two batches, of which the outer one differs from row to row where the inner one does not.
pub fn values_of_batches_of_batches(cases: Vec<Case>) {
    for case in cases {
        for batched in 0..1 << case.shapes.len() {
            let outer = Operands::new(&case, !batched, 1);
            let what = format!("{} {:?}", case.name, outer.axes);
            let inner_axes: Vec<Option<isize>> =
                outer.axes.iter().map(|axis| axis.map_or(Some(0), |_| None)).collect();
            // Arrays that the outer batch does not have rows of have those of the inner one.
            let arrays = Operands::new(&case, usize::MAX, 2).arrays;
            if outer.axes.iter().all(Option::is_none) || inner_axes.iter().all(Option::is_none) {
                continue;
            }
            let found = vmap_axes(
                |x| vmap_axes(|x| (case.twice)(&x), &x, &inner_axes, &[Some(0)]).or_raise(),
                &arrays,
                &outer.axes,
                &[Some(0)],
            )
            .unwrap();
            let row = |i: usize, j: usize| {
                let pick =
                    |(x, axis): (&Array, &Option<isize>)| x.index(0, if axis.is_some() { i } else { j });
                (case.plain)(&arrays.iter().zip(&outer.axes).map(pick).collect::<Vec<_>>())
            };
            let rows: Vec<Array> =
                (0..ROWS).map(|i| stacked(&(0..ROWS).map(|j| row(i, j)).collect::<Vec<_>>())).collect();
            assert_near(&what, &[found], &[stacked(&rows)]);
        }
    }
}

pub fn gradients_of_each_row(cases: Vec<Case>) {
    for_each(cases, |case, operands, what| {
        let gradient = |x: Vec<Batch<Array>>| grad(|x| (case.var_batch)(&x), &x).or_raise();
        let found = vmap_axes(gradient, &operands.arrays, &operands.axes, &[Some(0)]).unwrap();
        assert_near(what, &found, &loop_gradients(case, operands));
    });
}

pub fn gradients_of_all_rows(cases: Vec<Case>) {
    for_each(cases, |case, operands, what| {
        let found = grad(|x| loss_of(case, operands, x), &operands.arrays).unwrap();
        assert_near(what, &found, &summed(operands, loop_gradients(case, operands)));
    });
}

pub fn directions(cases: Vec<Case>) {
    for_each(cases, |case, operands, what| {
        let directions = Operands {
            arrays: operands.arrays.iter().enumerate().map(|(i, x)| numbers(&x.shape(), 30 + i)).collect(),
            axes: operands.axes.clone(),
        };
        let n = operands.arrays.len();
        let expected: Vec<Array> = (0..ROWS)
            .map(|row| jvp(|x| (case.dual)(&x), &operands.row(row), &directions.row(row)).unwrap().1)
            .collect();
        let expected = stacked(&expected);
        let both = [operands.arrays.clone(), directions.arrays.clone()].concat();
        let of_each = |x: Vec<Batch<Array>>| {
            jvp(|x| (case.dual_batch)(&x), &x[..n].to_vec(), &x[n..].to_vec()).or_raise().1
        };
        let found = vmap_axes(of_each, &both, &operands.twice(), &[Some(0)]).unwrap();
        assert_near(what, &[found], std::slice::from_ref(&expected));
        let of_all = |x: Vec<Dual<Array>>| {
            vmap_axes(|x| (case.batch_dual)(&x), &x, &operands.axes, &[Some(0)]).or_raise()
        };
        let found = jvp(of_all, &operands.arrays, &directions.arrays).unwrap().1;
        assert_near(what, &[found], &[expected]);
        let products: Vec<Vec<Array>> = (0..ROWS)
            .map(|row| hvp(|x| (case.var_dual)(&x), &operands.row(row), &directions.row(row)).unwrap().1)
            .collect();
        let of_each = |x: Vec<Batch<Array>>| {
            hvp(|x| (case.var_dual_batch)(&x), &x[..n].to_vec(), &x[n..].to_vec()).or_raise().1
        };
        let found = vmap_axes(of_each, &both, &operands.twice(), &[Some(0)]).unwrap();
        assert_near(what, &found, &transposed(&products));
    });
}

fn loss_of<'r>(case: &Case, operands: &Operands, x: Vec<Var<'r, Array>>) -> Var<'r, Array> {
    vmap_axes(|x| (case.batch_var)(&x), &x, &operands.axes, &[Some(0)]).or_raise().sum(..)
}

#[cfg(feature = "staging")]
pub mod recorded {
    use antiphon::recording::{Recorded, interpret, record};
    use antiphon::{Batch, OrRaise, Tensor, Var, compile, grad, vmap_axes};

    use super::{
        Array, Case, Function, Operands, ROWS, assert_near, for_each, loop_gradients, loop_values, summed,
        transposed, weighted,
    };

    type Inner<'r> = Var<'r, Batch<Recorded>>;
    type Outer<'r> = Batch<Var<'r, Recorded>>;

    pub struct Functions {
        pub batch: Function<Batch<Recorded>>,
        pub var_batch: for<'r> fn(&[Inner<'r>]) -> Inner<'r>,
        pub batch_var: for<'r> fn(&[Outer<'r>]) -> Outer<'r>,
    }

    fn loss_of<'r>(case: &Case, operands: &Operands, x: Vec<Var<'r, Recorded>>) -> Var<'r, Recorded> {
        vmap_axes(|x| (case.recorded.batch_var)(&x), &x, &operands.axes, &[Some(0)]).or_raise().sum(..)
    }

    /// Values, gradients of each row and of all rows, in one program.
    pub fn compiled(cases: Vec<Case>) {
        for_each(cases, |case, operands, what| {
            let program = |x: Vec<Recorded>| {
                let values =
                    vmap_axes(|x| (case.recorded.batch)(&x), &x, &operands.axes, &[Some(0)]).or_raise();
                let gradient =
                    |x: Vec<Batch<Recorded>>| grad(|x| (case.recorded.var_batch)(&x), &x).or_raise();
                let of_each = vmap_axes(gradient, &x, &operands.axes, &[Some(0)]).or_raise();
                (values, of_each, grad(|x| loss_of(case, operands, x), &x).or_raise())
            };
            let mut compiled = compile(case.name, program, &operands.arrays).unwrap();
            let (values, of_each, of_all) = compiled.call(&operands.arrays).unwrap();
            assert_near(what, &[values], &[loop_values(case, operands)]);
            let gradients = loop_gradients(case, operands);
            assert_near(what, &of_each, &gradients);
            assert_near(what, &of_all, &summed(operands, gradients));
        });
    }

    type OfArrays<'r, 's> = Var<'s, Var<'r, Array>>;
    type OfEach<'r, 's> = Var<'s, Var<'r, Batch<Recorded>>>;
    type OfAll<'r, 's> = Var<'s, Batch<Var<'r, Recorded>>>;

    /// A case as a function of variables of variables.
    pub struct Twice {
        pub var_var: for<'r, 's> fn(&[OfArrays<'r, 's>]) -> OfArrays<'r, 's>,
        pub var_var_batch: for<'r, 's> fn(&[OfEach<'r, 's>]) -> OfEach<'r, 's>,
        pub var_batch_var: for<'r, 's> fn(&[OfAll<'r, 's>]) -> OfAll<'r, 's>,
    }

    impl Twice {
        /// The slopes of all rows as one number.
        fn of_all<'r>(&self, operands: &Operands, x: Vec<Var<'r, Recorded>>) -> Var<'r, Recorded> {
            let of_row =
                |x: Vec<Batch<Var<'r, Recorded>>>| along(grad(|x| (self.var_batch_var)(&x), &x).or_raise());
            vmap_axes(of_row, &x, &operands.axes, &[Some(0)]).or_raise().sum(..)
        }
    }

    /// All slopes as one number.
    fn along<T: Tensor>(slopes: Vec<T>) -> T {
        slopes.into_iter().map(weighted).reduce(|a, b| a + b).expect("there are operands")
    }

    /// Two derivatives in reverse, of each row and of all rows: recorded, and compiled where all operands are the same
    /// for all rows but the first.
    pub fn twice(cases: Vec<Case>, mut functions: Vec<Twice>) {
        functions.reverse();
        for case in cases {
            let f = functions.pop().expect("as many as cases");
            for_each(vec![case], |case, operands, what| {
                let of_row = |row| {
                    grad(|x| along(grad(|x| (f.var_var)(&x), &x).or_raise()), &operands.row(row)).unwrap()
                };
                let expected = transposed(&(0..ROWS).map(of_row).collect::<Vec<_>>());
                let program = |x: Vec<Recorded>| {
                    let of_each = |x: Vec<Batch<Recorded>>| {
                        grad(|x| along(grad(|x| (f.var_var_batch)(&x), &x).or_raise()), &x).or_raise()
                    };
                    let mut results = vmap_axes(of_each, &x, &operands.axes, &[Some(0)]).or_raise();
                    results.extend(grad(|x| f.of_all(operands, x), &x).or_raise());
                    results
                };
                let recorded = record(case.name, program, &operands.arrays).unwrap();
                let mut found = vec![interpret(&recorded, &operands.arrays).unwrap()];
                if operands.axes.iter().skip(1).all(Option::is_none) {
                    let mut compiled = compile(case.name, program, &operands.arrays).unwrap();
                    found.push(compiled.call(&operands.arrays).unwrap());
                }
                for mut of_each in found {
                    let of_all = of_each.split_off(expected.len());
                    assert_near(&format!("{what}, of each row"), &of_each, &expected);
                    assert_near(&format!("{what}, of all"), &of_all, &summed(operands, expected.clone()));
                }
            });
        }
    }
}
