//! Every operator on a batch against a loop over its rows, with operands that differ from row to row and operands that
//! do not in all combinations: values, the gradient of each row, the gradient of the sum over the rows, and forward
//! derivatives; eagerly and recorded.

use antiphon::{
    Batch, Dual, Int, IntTensor, Mask, MaskTensor, NdArray, OrRaise, Padding, Real, Tensor, Var, Window2d,
    grad, hvp, jvp, vmap_axes,
};

type Array = NdArray<f64>;
type Function<T> = fn(&[T]) -> T;

const ROWS: usize = 3;

/// A function of arrays of these shapes in every interpretation that is needed, as pointers: so that what runs them is
/// compiled once and not for each.
struct Case {
    name: &'static str,
    shapes: &'static [&'static [usize]],
    plain: Function<Array>,
    batch: Function<Batch<Array>>,
    twice: Function<Batch<Batch<Array>>>,
    var: for<'r> fn(&[Var<'r, Array>]) -> Var<'r, Array>,
    var_batch: for<'r> fn(&[Var<'r, Batch<Array>>]) -> Var<'r, Batch<Array>>,
    batch_var: for<'r> fn(&[Batch<Var<'r, Array>>]) -> Batch<Var<'r, Array>>,
    dual: Function<Dual<Array>>,
    dual_batch: Function<Dual<Batch<Array>>>,
    batch_dual: Function<Batch<Dual<Array>>>,
    var_dual: for<'r> fn(&[Var<'r, Dual<Array>>]) -> Var<'r, Dual<Array>>,
    var_dual_batch: for<'r> fn(&[Var<'r, Dual<Batch<Array>>>]) -> Var<'r, Dual<Batch<Array>>>,
    #[cfg(feature = "staging")]
    recorded: recorded::Functions,
}

/// The sum of the elements with weights that tell them apart.
fn weighted<T: Tensor>(y: T) -> T {
    let shape = y.shape();
    let weights: Vec<f64> = (0..y.size()).map(|i| 0.5 + ((7 * i + 3) % 5) as f64 * 0.25).collect();
    (y * T::from_elements(&shape, &weights).or_raise()).sum(..)
}

macro_rules! cases {
    ($($name:ident $shapes:expr, |$x:ident| $f:expr;)*) => {
        mod function {
            use super::*;
            $(
                pub fn $name<T: Tensor>($x: &[T]) -> T {
                    $f
                }
            )*
        }
        fn cases() -> Vec<Case> {
            vec![$(Case {
                name: stringify!($name),
                shapes: &$shapes,
                plain: |x| function::$name(x),
                batch: |x| function::$name(x),
                twice: |x| function::$name(x),
                var: |x| weighted(function::$name(x)),
                var_batch: |x| weighted(function::$name(x)),
                batch_var: |x| weighted(function::$name(x)),
                dual: |x| weighted(function::$name(x)),
                dual_batch: |x| weighted(function::$name(x)),
                batch_dual: |x| weighted(function::$name(x)),
                var_dual: |x| weighted(function::$name(x)),
                var_dual_batch: |x| weighted(function::$name(x)),
                #[cfg(feature = "staging")]
                recorded: recorded::Functions {
                    batch: |x| function::$name(x),
                    var_batch: |x| weighted(function::$name(x)),
                    batch_var: |x| weighted(function::$name(x)),
                },
            },)*]
        }
    };
}

/// Indices of an array's largest elements along its last axis: they differ from row to row where it does.
fn largest<T: Tensor>(x: &T) -> T::Int {
    x.argmax(-1)
}

fn ints<T: Tensor>(shape: &[usize], elements: &[i64]) -> T::Int {
    T::Int::from_elements(shape, elements).or_raise()
}

fn window() -> Window2d {
    Window2d { stride: [2, 1], padding: [1, 0] }
}

fn one<T: Tensor>() -> T {
    T::constant(1.0)
}

cases! {
    add [&[2, 3], &[3]], |x| x[0].clone() + &x[1];
    sub [&[3], &[2, 3]], |x| x[0].clone() - &x[1];
    mul [&[2, 1], &[3]], |x| x[0].clone() * &x[1];
    div [&[2, 3], &[]], |x| x[0].clone() / &x[1];
    owned [&[2], &[2, 2]], |x| (x[0].clone() * x[1].clone() + x[1].clone()) / x[0].clone() - x[1].clone();
    numbers [&[2]], |x| (x[0].clone() * 2.0 + 1.0) / 3.0 - 0.5;
    neg [&[2]], |x| -x[0].clone();
    recip [&[2, 2]], |x| x[0].recip();
    abs [&[2]], |x| (x[0].clone() - 0.9).abs();
    sign [&[2]], |x| (x[0].clone() - 0.9).sign() * &x[0];
    exp [&[2]], |x| x[0].exp();
    expm1 [&[2]], |x| x[0].expm1();
    log [&[2]], |x| x[0].log();
    log1p [&[2]], |x| x[0].log1p();
    sqrt [&[2]], |x| x[0].sqrt();
    sin [&[2]], |x| x[0].sin();
    cos [&[2]], |x| x[0].cos();
    tan [&[2]], |x| (x[0].clone() * 0.5).tan();
    tanh [&[2]], |x| x[0].tanh();
    sigmoid [&[2]], |x| x[0].sigmoid();
    softplus [&[2]], |x| x[0].softplus();
    relu [&[4]], |x| (x[0].clone() - 0.9).relu() * &x[0];
    erf [&[2]], |x| x[0].erf();
    gelu [&[2]], |x| x[0].gelu();
    powi [&[2]], |x| x[0].powi(3) + x[0].powi(-2) + x[0].powi(0);
    pow [&[2, 3], &[3]], |x| x[0].pow(&x[1]);
    maximum [&[2, 3], &[3]], |x| x[0].maximum(&x[1]) * &x[0];
    minimum [&[2, 3], &[2, 1]], |x| x[0].minimum(&x[1]) * &x[0];
    clamp [&[6]], |x| x[0].clamp(0.5, 1.2) * &x[0];
    square [&[2]], |x| x[0].square();
    scale [&[2]], |x| x[0].clone().scale(3.0).offset(1.0);
    detach [&[2]], |x| x[0].detach() * &x[0];
    likes [&[2]], |x| (x[0].zeros_like() + x[0].ones_like() + x[0].full_like(0.5)) * &x[0];
    named [&[2]], |x| x[0].square().named("squares");
    less [&[2, 3], &[3]], |x| T::select(&x[0].less(&x[1]), &x[0].square(), &x[1]);
    less_equal [&[3], &[2, 3]], |x| T::select(&x[0].less_equal(&x[1]), &x[0], &x[1].square());
    equal [&[3]], |x| T::select(&x[0].sign().equal(&T::constant(1.0)), &x[0].square(), &T::constant(0.0));
    greater [&[], &[3]], |x| T::select(&x[0].greater(&x[1]), &x[0], &x[1].square());
    greater_equal [&[], &[3]], |x| T::select(&x[0].greater_equal(&x[1]), &x[0], &x[1].square());
    not_equal [&[2], &[2]], |x| T::select(&x[0].not_equal(&x[1]), &x[0], &x[1].square());
    select [&[3], &[2, 1], &[]], |x| T::select(&x[0].less(&one()), &x[1], &x[2]);
    and_or_not [&[2, 3], &[3]], |x| {
        let (a, b) = (x[0].less(&one()), x[1].less(&one()));
        let mask = a.and(&b).or(&b.not().and(&a.not()));
        T::select(&mask, &x[0], &x[1].square())
    };
    any [&[4], &[4]], |x| T::select(&x[0].less(&T::constant(0.0)).any(), &x[0], &x[1].square());
    mask_reshape [&[2, 3], &[3, 2]], |x| T::select(&x[0].less(&one()).reshape(&[3, 2]), &x[1], &x[1].square());
    mask_shape [&[2, 3]], |x| T::full(&x[0].less(&one()).shape(), 2.0) * &x[0];
    from_mask [&[2, 3], &[3]], |x| T::from_mask(&x[0].less(&one())) * &x[1];
    from_int [&[2, 3], &[2]], |x| T::from_int(&largest(&x[0])) * &x[1];
    int_arithmetic [&[2, 3], &[2]], |x| {
        let i = largest(&x[0]) * ints::<T>(&[2], &[2, 3]) + T::Int::constant(1);
        T::from_int(&(i - ints::<T>(&[], &[2]))) * &x[1]
    };
    int_comparison [&[2, 3], &[2, 3]], |x| {
        let (i, j) = (largest(&x[0]), largest(&x[1]));
        let mask = i.less(&j).or(&i.equal(&j));
        T::select(&mask, &x[0].sum(1), &x[1].mean(1))
    };
    int_select [&[2, 3], &[2]], |x| {
        let i = T::Int::select(&x[1].less(&one()), &largest(&x[0]), &ints::<T>(&[], &[7]));
        T::from_int(&i) * &x[1]
    };
    int_shapes [&[2, 3], &[3, 2]], |x| {
        let i = largest(&x[0]).reshape(&[2, 1]).slice(0, 1..2);
        T::full(&i.shape(), 2.0) * x[1].gather_rows(&i).sum(..)
    };
    int_gather [&[4, 3], &[2, 4], &[2]], |x| {
        T::from_int(&largest(&x[0]).gather_rows(&largest(&x[1]))) * &x[2]
    };
    full [&[2]], |x| T::full(&[3, 2], 2.0) * &x[0] + T::zeros(&[2]) + T::ones(&[2]);
    from_elements [&[2]], |x| T::from_elements(&[2], &[1.0, 2.0]).or_raise() * &x[0];
    uniform [&[3], &[4]], |x| T::uniform(&[4], &largest(&x[0])) * &x[1];
    dropout [&[3], &[8]], |x| x[1].dropout(0.5, &largest(&x[0]));
    reshape [&[2, 3]], |x| x[0].reshape(&[3, 2]).square();
    permute [&[2, 3, 2]], |x| x[0].permute(&[2, 0, 1]).square();
    transpose [&[2, 3]], |x| x[0].transpose().square();
    unsqueeze [&[2]], |x| x[0].unsqueeze(-1).unsqueeze(0).square();
    broadcast_to [&[2, 1], &[3]], |x| x[0].broadcast_to(&[2, 2, 3]) * x[1].broadcast_to(&[2, 3]);
    sum [&[2, 3, 2]], |x| x[0].sum([0, -1]).square();
    sum_all [&[2, 3]], |x| x[0].sum(..).square();
    mean_var [&[2, 3]], |x| x[0].mean(0).sum(..) + x[0].var(-1);
    max [&[2, 3]], |x| x[0].max(-1).square();
    min [&[2, 3]], |x| x[0].min(..).square();
    logsumexp [&[2, 3]], |x| x[0].logsumexp(0).square();
    argmax [&[3, 2], &[2]], |x| T::from_int(&x[0].argmax(0)) * &x[1];
    batch_matmul [&[2, 2, 3], &[3, 2]], |x| x[0].batch_matmul(&x[1]);
    batch_matmul_broadcast [&[2, 1, 2, 2], &[3, 2, 2]], |x| x[0].batch_matmul(&x[1]);
    matmul [&[2, 3], &[3, 4]], |x| x[0].matmul(&x[1]);
    matmul_vectors [&[3], &[3]], |x| x[0].matmul(&x[1]);
    matmul_vector_matrix [&[2], &[2, 3]], |x| x[0].matmul(&x[1]);
    matmul_matrix_vector [&[2, 3], &[3]], |x| x[0].matmul(&x[1]);
    concat [&[2, 1], &[2, 3]], |x| T::concat(&[x[0].clone(), x[1].square(), T::ones(&[2, 1])], -1);
    stack [&[2], &[2]], |x| T::stack(&[x[0].clone(), x[1].square()], 1);
    split [&[5]], |x| { let parts = x[0].split(&[2, 3], 0); parts[0].square().sum(..) * &parts[1] };
    slice [&[2, 5]], |x| x[0].slice(1, 1..4).square() * x[0].slice_step(-1, 0..5, 2);
    index [&[3, 2]], |x| x[0].index(0, 1) * x[0].index(0, 2);
    pad [&[2, 2]], |x| x[0].square().pad(-1, Padding { before: 1, after: 2, interior: 1 });
    flip [&[2, 3]], |x| x[0].flip(-1) * &x[0];
    gather_rows [&[3, 2], &[2, 2, 3]], |x| x[0].gather_rows(&largest(&x[1])).square();
    gather_row [&[3], &[3]], |x| x[0].gather_rows(&largest(&x[1])).square();
    scatter_rows [&[2, 3], &[2, 3]], |x| x[0].scatter_rows(&largest(&x[1]), 3).square();
    gather_last [&[2, 3], &[2, 3]], |x| x[0].gather_last(&largest(&x[1])).square();
    scatter_last [&[2], &[2, 3]], |x| x[0].scatter_last(&largest(&x[1]), 3).square();
    softmax [&[2, 3]], |x| x[0].softmax(-1) * x[0].log_softmax(0);
    cross_entropy [&[2, 3], &[2, 3]], |x| x[0].cross_entropy(&largest(&x[1]));
    conv2d [&[2, 2, 4, 3], &[3, 2, 2, 2]], |x| x[0].conv2d(&x[1], window());
    conv2d_image [&[2, 3, 3, 2], &[3, 2, 2, 2]], |x| x[0].conv2d_image(&x[1], [4, 3], window());
    conv2d_kernel [&[2, 2, 4, 3], &[2, 3, 3, 2]], |x| x[0].conv2d_kernel(&x[1], [2, 2], window());
    unfold2d [&[2, 2, 4, 3]], |x| x[0].unfold2d([2, 2], window()).square();
    fold2d [&[1, 2, 4, 3, 2]], |x| x[0].fold2d([4, 3], [2, 2], window()).square();
    max_pool2d [&[1, 2, 4, 3]], |x| x[0].max_pool2d([2, 2], window());
    avg_pool2d [&[1, 2, 4, 3]], |x| x[0].avg_pool2d([2, 2], Window2d { stride: [1, 1], padding: [0, 0] });
    shape_rank_size [&[2, 3]], |x| x[0].clone() * (x[0].shape()[1] * x[0].rank() * x[0].size()) as f64;
}

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
fn for_each(mut check: impl FnMut(&Case, &Operands, &str)) {
    for case in cases() {
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

#[test]
fn values() {
    for_each(|case, operands, what| {
        let found = vmap_axes(|x| (case.batch)(&x), &operands.arrays, &operands.axes, &[Some(0)]).unwrap();
        assert_near(what, &[found], &[loop_values(case, operands)]);
    });
}

/// The rows of a batch of two batches, of which the outer one differs from row to row where the inner one does not.
#[test]
fn values_of_batches_of_batches() {
    for case in cases() {
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

#[test]
fn gradients_of_each_row() {
    for_each(|case, operands, what| {
        let gradient = |x: Vec<Batch<Array>>| grad(|x| (case.var_batch)(&x), &x).or_raise();
        let found = vmap_axes(gradient, &operands.arrays, &operands.axes, &[Some(0)]).unwrap();
        assert_near(what, &found, &loop_gradients(case, operands));
    });
}

#[test]
fn gradients_of_all_rows() {
    for_each(|case, operands, what| {
        let found = grad(|x| loss_of(case, operands, x), &operands.arrays).unwrap();
        assert_near(what, &found, &summed(operands, loop_gradients(case, operands)));
    });
}

#[test]
fn directions() {
    for_each(|case, operands, what| {
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
        assert_near(what, &[found], &[expected.clone()]);
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
mod recorded {
    use antiphon::recording::Recorded;
    use antiphon::{Batch, OrRaise, Tensor, Var, compile, grad, vmap_axes};

    use super::{Case, Function, Operands, assert_near, for_each, loop_gradients, loop_values, summed};

    pub struct Functions {
        pub batch: Function<Batch<Recorded>>,
        pub var_batch: for<'r> fn(&[Var<'r, Batch<Recorded>>]) -> Var<'r, Batch<Recorded>>,
        pub batch_var: for<'r> fn(&[Batch<Var<'r, Recorded>>]) -> Batch<Var<'r, Recorded>>,
    }

    fn loss_of<'r>(case: &Case, operands: &Operands, x: Vec<Var<'r, Recorded>>) -> Var<'r, Recorded> {
        vmap_axes(|x| (case.recorded.batch_var)(&x), &x, &operands.axes, &[Some(0)]).or_raise().sum(..)
    }

    /// Values, gradients of each row and of all rows, in one program.
    #[test]
    fn compiled() {
        for_each(|case, operands, what| {
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
}
