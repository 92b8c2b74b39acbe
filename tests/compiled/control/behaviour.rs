//! Conditions, trip counts and recursions that depend on data.

use antiphon::recording::{OptimiseOptions, Recorded, interpret, optimise, record};
use antiphon::state::Index;
use antiphon::{Control, Int, IntTensor, NdArray, OrRaise, Real, Tensor, grad, value_and_grad};

use super::{Array, Model, agree, arrays, check, constant};

#[test]
fn newtons_method_stops_when_it_has_converged() {
    struct Root;
    impl Model for Root {
        fn call<T: Control>(x: &[T]) -> T {
            let done = |y: &T| (y.square() - &x[0]).abs().greater(&constant(1e-13));
            T::while_loop(x[0].clone(), done, |y| (y.clone() + x[0].clone() / &y).scale(0.5)) * &x[1]
        }
    }
    agree::<Root>(&[&[2.0, 1.0], &[1.0, 3.0], &[900.0, 0.5], &[0.01, -1.0]]);
}

#[test]
fn variables_from_outside_collect_what_arms_loops_and_calls_contribute() {
    struct Captures;
    impl Model for Captures {
        fn call<T: Control>(x: &[T]) -> T {
            let shared = x[0].clone() * &x[1];
            let unused = T::cond(&x[0].less(&x[1]), || shared.exp(), || x[1].log());
            drop(unused);
            let y = T::cond(&x[0].less(&x[1]), || shared.sin() * &x[0], || x[1].clone());
            // The diamond: both operands come from the branch.
            let z = y.clone() * &y + &shared;
            let w = T::while_loop(
                z,
                |w| w.less(&constant(3.0)),
                |w| w.clone() * &w + x[0].abs() + &shared.square(),
            );
            let f = T::fix((w.clone(), x[1].clone()), |f, (a, b): (T, T)| {
                let small = a.less(&constant(0.2));
                T::cond(
                    &small,
                    || a.clone() * &b,
                    || f((a.clone().scale(0.4), b.clone() * &x[0])) * &shared + &a,
                )
            });
            T::cond(&w.less(&x[1]), || f.clone(), || f.clone() * &w + &x[0])
        }
    }
    agree::<Captures>(&[&[0.7, 0.9], &[1.2, 0.8], &[-0.5, 0.3], &[0.1, 9.0], &[2.5, 1.5]]);
}

#[test]
fn a_dead_branch_contributes_nothing() {
    // The derivative of the square root at 0 is infinite; nothing may be multiplied by it where it is not used.
    struct Dead;
    impl Model for Dead {
        fn call<T: Control>(x: &[T]) -> T {
            let root = x[0].sqrt();
            let far = x[0].greater(&constant(1.0));
            T::cond(&far, || root.clone() * &x[1], || x[1].square())
        }
    }
    let gradient = |x: Vec<Recorded>| grad(|x| Dead::call(&x), &x).or_raise();
    let mut program = record("f", gradient, &arrays(&[0.0, 0.0])).unwrap();
    for _ in 0..2 {
        let run = |x: &[f64]| {
            interpret(&program, &arrays(x)).unwrap().iter().map(Array::item).collect::<Vec<f64>>()
        };
        assert_eq!(run(&[0.0, 3.0]), [0.0, 6.0]);
        assert_eq!(run(&[4.0, 3.0]), [0.75, 2.0]);
        optimise(&mut program, &OptimiseOptions::default());
    }
}

/// The sum over a binary tree in arrays: node `i` has the children `left[i]` and `right[i]`, or none if that is −1.
fn tree<T: Tensor>(children: &[T::Int; 2], weight: &T, root: T::Int) -> T
where
    T::Int: IntTensor,
{
    T::fix(Index::<T>(root), |node: &dyn Fn(Index<T>) -> T, i| {
        let child = |side: usize| children[side].gather_rows(&i.0);
        let leaf = child(0).less(&T::Int::constant(0));
        let value = T::from_int(&i.0) * weight;
        T::cond(&leaf, || value.sin(), || (node(Index(child(0))) * node(Index(child(1))) + &value).tanh())
    })
}

#[test]
fn a_tree_in_arrays_is_data() {
    let left: &[i64] = &[1, 3, -1, -1, 5, -1, -1];
    let right: &[i64] = &[2, 4, -1, -1, 6, -1, -1];
    fn model<T: Tensor>(left: &[i64], right: &[i64], weight: &T) -> T
    where
        T::Int: IntTensor,
    {
        let n = [left.len()];
        let children = [left, right].map(|side| T::Int::from_elements(&n, side).or_raise());
        tree(&children, weight, T::Int::constant(0))
    }
    let w = Array::scalar(0.3);
    let (value, slope) = value_and_grad(|w| model(left, right, &w), &w).unwrap();
    let recorded = |w: Recorded| value_and_grad(|w| model(left, right, &w), &w).or_raise();
    let mut program = record("tree", recorded, &w).unwrap();
    for _ in 0..2 {
        let found = interpret(&program, &w).unwrap();
        assert!((found[0].item() - value.item()).abs() < 1e-14, "{found:?} {value:?}");
        assert!((found[1].item() - slope.item()).abs() < 1e-14, "{found:?} {slope:?}");
        optimise(&mut program, &OptimiseOptions::default());
    }
}

#[test]
fn arrays_flow_as_well() {
    fn model<T: Tensor>(w: &T) -> T {
        let x = T::from_elements(&[2], &[0.3, -0.4]).or_raise();
        let small = |h: &T| h.square().sum(..).less(&constant(4.0));
        let h = T::while_loop(x, small, |h| h.matmul(w).tanh().scale(1.5) + &h);
        T::cond(&h.sum(..).less(&constant(0.0)), || h.clone() * &w.sum(0), || h.exp()).sum(..)
    }
    for w in [[0.5, -0.2, 0.3, 0.9], [0.1, 0.2, -0.9, 0.7]] {
        let w = Array::from_elements(&[2, 2], &w).unwrap();
        let (value, gradient) = value_and_grad(|w| model(&w), &w).unwrap();
        let recorded = |w: Recorded| value_and_grad(|w| model(&w), &w).or_raise();
        let mut program = record("f", recorded, &w).unwrap();
        for _ in 0..2 {
            let found = interpret(&program, &w).unwrap();
            let differs = |a: &Array, b: &Array| (a.clone() - b).abs().max(..).item() > 1e-12;
            assert!(!differs(&found[0], &value) && !differs(&found[1], &gradient), "{found:?}");
            optimise(&mut program, &OptimiseOptions::default());
        }
    }
}

#[test]
fn a_loop_is_as_long_as_its_data_say_and_in_single_precision_too() {
    // x ← x + 2⁻ᵏ·sin x until it exceeds a limit: the number of steps depends on both inputs.
    fn model<T: Control>(x: &[T]) -> T {
        let step = |y: T| y.sin().scale(1.0 / 4096.0) + &y;
        T::while_loop(x[0].clone(), |y| y.less(&x[1]), step)
    }
    let recorded = |x: Vec<Recorded>| value_and_grad(|x| model(&x), &x).or_raise();
    let failures = &mut Vec::new();
    let eager = |x: &[f64]| {
        let (y, gradient) = value_and_grad(|x| model(&x), &x.to_vec()).unwrap();
        Some(std::iter::once(y).chain(gradient).collect::<Vec<f64>>())
    };
    check("long loop", recorded, &[&[0.5, 0.4], &[0.5, 0.501], &[0.5, 2.0]], eager, failures);
    assert!(failures.is_empty(), "{}", failures.join("\n"));

    let x: Vec<NdArray<f32>> = [0.5, 1.5].map(NdArray::scalar).into();
    let program = record("f", recorded, &x).unwrap();
    let (value, gradient) = value_and_grad(|x| model(&x), &vec![0.5f32, 1.5]).unwrap();
    let found: Vec<f32> = interpret(&program, &x).unwrap().iter().map(NdArray::item).collect();
    let expected: Vec<f32> = std::iter::once(value).chain(gradient).collect();
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {expected:?}");
}
