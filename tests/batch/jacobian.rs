//! Jacobians and Hessians in one pass against one pass for each element.

use antiphon::control::scan;
use antiphon::{
    Batch, Dual, NdArray, OrRaise, Params, Real, Tensor, Var, hessian, hessian_blocks, hvp, jacobian, vjp,
    vmap, vmap_axes,
};

type Array = NdArray<f64>;

fn numbers(shape: &[usize], seed: usize) -> Array {
    let size: usize = shape.iter().product();
    let elements: Vec<f64> =
        (0..size).map(|i| 0.2 + 1.6 * (((i + 1) * 5741 + seed * 2129) % 7919) as f64 / 7919.0).collect();
    Array::from_elements(shape, &elements).unwrap()
}

fn unit(shape: &[usize], i: usize) -> Array {
    let size: usize = shape.iter().product();
    let elements: Vec<f64> = (0..size).map(|j| if i == j { 1.0 } else { 0.0 }).collect();
    Array::from_elements(shape, &elements).unwrap()
}

#[track_caller]
fn assert_near(found: &Array, expected: &Array) {
    assert_eq!(found.shape(), expected.shape());
    for (a, b) in found.view().iter().zip(expected.view().iter()) {
        assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()), "{found:?} instead of {expected:?}");
    }
}

/// Of `[3, 2]` and `[2]` to more elements than there are inputs, or fewer.
fn wide<T: Tensor>(x: &T, w: &T) -> T {
    T::concat(&[x.matmul(w).unsqueeze(1) * x, x.sin() * w, x.broadcast_to(&[3, 2])], 1)
}

fn narrow<T: Tensor>(x: &T, w: &T) -> T {
    x.matmul(w).square().log1p()
}

/// With all control flow there is, on conditions that are the same for all rows.
fn controlled<T: Tensor>(x: &T, w: &T) -> T {
    let sum = w.sum(..);
    let y = T::cond(&sum.less(&T::constant(0.0)), || x.square(), || x.sin());
    let y = T::while_loop(y, |y| y.sum(..).less(&T::constant(20.0)), |y| y * 1.5 + w);
    let (last, ys) = scan(w.clone(), &y, |h: T, row| {
        let h = (h * row).tanh();
        (h.clone(), h.sum(..))
    })
    .or_raise();
    T::concat(&[last, ys, w.log()], 0)
}

fn loop_jacobian(
    f: impl for<'r> Fn(Var<'r, Array>, Var<'r, Array>) -> Var<'r, Array>,
    x: &Array,
    w: &Array,
) -> [Array; 2] {
    let pullback = |y_bar: &Array| vjp(|(x, w)| f(x, w), &(x.clone(), w.clone()), y_bar).unwrap();
    let y = pullback(&Array::scalar(1.0)).0;
    let rows: Vec<(Array, Array)> = (0..y.size()).map(|i| pullback(&unit(&y.shape(), i)).1).collect();
    let stacked = |pick: &dyn Fn(&(Array, Array)) -> Array, like: &Array| {
        let rows: Vec<Array> = rows.iter().map(pick).collect();
        Array::stack(&rows, 0).reshape(&[&y.shape()[..], &like.shape()].concat())
    };
    [stacked(&|row| row.0.clone(), x), stacked(&|row| row.1.clone(), w)]
}

macro_rules! check_jacobian {
    ($f:ident) => {{
        let (x, w) = (numbers(&[3, 2], 1), numbers(&[2], 2));
        let [by_x, by_w] = loop_jacobian(|x, w| $f(&x, &w), &x, &w);
        let found = jacobian(|(x, w)| $f(&x, &w), &(x.clone(), w.clone())).unwrap();
        assert_near(&found.0, &by_x);
        assert_near(&found.1, &by_w);
        // By one of the two: fewer inputs.
        let found = jacobian(|w| $f(&Var::lift(&Dual::lift(&Batch::lift(&x))), &w), &w).unwrap();
        assert_near(&found, &by_w);
        // For a batch of points.
        let ws = numbers(&[4, 2], 3);
        let found = vmap_axes(
            |(x, w)| jacobian(|(x, w)| $f(&x, &w), &(x, w)).or_raise(),
            &(x.clone(), ws.clone()),
            &[None, Some(0)],
            &[Some(0)],
        )
        .unwrap();
        for row in 0..4 {
            let [by_x, by_w] = loop_jacobian(|x, w| $f(&x, &w), &x, &ws.index(0, row));
            assert_near(&found.0.index(0, row), &by_x);
            assert_near(&found.1.index(0, row), &by_w);
        }
        #[cfg(feature = "staging")]
        {
            use antiphon::compile;
            use antiphon::recording::Recorded;
            let example = (x.clone(), w.clone());
            let of = |(x, w): (Recorded, Recorded)| jacobian(|(x, w)| $f(&x, &w), &(x, w)).or_raise();
            let found = compile("jacobian", of, &example).unwrap().call(&example).unwrap();
            assert_near(&found.0, &by_x);
            assert_near(&found.1, &by_w);
            // Fewer inputs.
            let of = |(x, w): (Recorded, Recorded)| {
                jacobian(|w| $f(&Var::lift(&Dual::lift(&Batch::lift(&x))), &w), &w).or_raise()
            };
            assert_near(&compile("jacobian", of, &example).unwrap().call(&example).unwrap(), &by_w);
        }
    }};
}

#[test]
fn jacobians_of_more_results_than_inputs() {
    check_jacobian!(wide);
}

#[test]
fn jacobians_of_fewer_results_than_inputs() {
    check_jacobian!(narrow);
}

#[test]
fn jacobians_through_control_flow() {
    check_jacobian!(controlled);
}

#[test]
fn empty_jacobians_have_their_shapes() {
    let (x, none) = (numbers(&[3], 1), numbers(&[0], 1));
    assert_eq!(jacobian(|x| x.slice(0, 0..0), &x).unwrap().shape().as_slice(), [0, 3]);
    assert_eq!(jacobian(|x| x.sum(..).unsqueeze(0), &none).unwrap().shape().as_slice(), [1, 0]);
}

#[derive(Clone, Params)]
struct Model<T> {
    matrix: T,
    biases: Vec<T>,
}

/// A scalar function of a structure.
fn loss<T: Tensor>(model: &Model<T>) -> T {
    let hidden = (model.matrix.square() + &model.biases[0]).tanh();
    let y = hidden.sum(1) * &model.biases[1];
    T::cond(&y.sum(..).less(&T::constant(100.0)), || y.exp().sum(..), || y.sum(..)) * model.matrix.sum(..)
}

fn model() -> Model<Array> {
    Model { matrix: numbers(&[2, 3], 1), biases: vec![numbers(&[3], 2), numbers(&[2], 3)] }
}

#[test]
fn hessians_of_structures_are_blocks() {
    let model = model();
    let blocks = hessian_blocks(|model| loss(&model), &model).unwrap();
    assert_eq!(blocks.len(), 3);
    for (a, block) in blocks.iter().enumerate() {
        let shape = model.leaves()[a].shape();
        let size: usize = shape.iter().product();
        for i in 0..size {
            let mut leaf = 0;
            let direction = model.map_leaves(|x| {
                leaf += 1;
                if leaf - 1 == a { unit(&x.shape(), i) } else { Array::zeros(&x.shape()) }
            });
            let row = hvp(|model| loss(&model), &model, &direction).unwrap().1;
            for (found, expected) in block.leaves().iter().zip(row.leaves()) {
                let flat: Vec<usize> = [size].into_iter().chain(expected.shape()).collect();
                assert_near(&found.reshape(&flat).index(0, i), &expected);
            }
        }
    }
}

#[test]
fn hessians_nest_and_compile() {
    fn f<T: Tensor>(x: &T) -> T {
        (x.matmul(x) + T::constant(1.0)).log() * x.index(0, 0).sin()
    }
    let xs = numbers(&[3, 2], 5);
    let expected: Vec<Array> = (0..3)
        .map(|row| {
            let x = xs.index(0, row);
            let row = |i| hvp(|x| f(&x), &x, &unit(&[2], i)).unwrap().1;
            Array::stack(&[row(0), row(1)], 0)
        })
        .collect();
    let x = xs.index(0, 0);
    assert_near(&hessian(|x| f(&x), &x).unwrap(), &expected[0]);
    let all = vmap(|x| hessian(|x| f(&x), &x).or_raise(), &xs).unwrap();
    assert_near(&all, &Array::stack(&expected, 0));
    #[cfg(feature = "staging")]
    {
        use antiphon::compile;
        use antiphon::recording::Recorded;
        let of_one = |x: Recorded| hessian(|x| f(&x), &x).or_raise();
        assert_near(&compile("hessian", of_one, &x).unwrap().call(&x).unwrap(), &expected[0]);
        let of_all = |xs: Recorded| vmap(|x| hessian(|x| f(&x), &x).or_raise(), &xs).or_raise();
        assert_near(
            &compile("hessians", of_all, &xs).unwrap().call(&xs).unwrap(),
            &Array::stack(&expected, 0),
        );
    }
}
