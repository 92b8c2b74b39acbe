//! What compiled code means beyond its numbers is what the eager operators mean: errors, seeds, NaN and infinities.

use antiphon::nn::Dropout;
use antiphon::recording::{OptimiseOptions, Recorded, interpret, optimise, record};
use antiphon::{
    Control, Dual, Error, Int, IntTensor, NdArray, NdInt, OrRaise, Padding, Real, Structure, Tensor, Var,
    compile, grad, jvp, value_and_grad,
};

type Array = NdArray<f64>;

/// Runs a model eagerly, interpreted (optimised and not) and compiled, and gives all four results.
macro_rules! four_ways {
    ($f:expr, $x:expr) => {{
        let x = $x;
        let eager = $f(x.clone());
        let mut program = record("f", |x| $f(x), &x).unwrap();
        let recorded = interpret(&program, &x).unwrap().remove(0);
        optimise(&mut program, &OptimiseOptions::default());
        let optimised = interpret(&program, &x).unwrap().remove(0);
        let compiled: Array = compile("f", |x| $f(x), &x).unwrap().call(&x).unwrap();
        [eager, recorded, optimised, compiled]
    }};
}

fn numbers(x: &Array) -> Vec<f64> {
    x.view().iter().copied().collect()
}

/// Equal, with NaN equal to NaN.
fn same_array(a: &Array, b: &Array) -> bool {
    numbers(a).iter().zip(numbers(b)).all(|(a, b)| *a == b || (a.is_nan() && b.is_nan()))
}

#[test]
fn a_seed_gives_the_same_mask_in_every_mode_and_may_be_data() {
    fn masked<T: Tensor>((x, seed): (T, T::Int)) -> T {
        let dropout = Dropout::new(0.4).unwrap();
        grad(|x| dropout.apply(&x, &seed).square().sum(..), &x).or_raise()
    }
    let x = Array::from((1..=200).map(f64::from).collect::<Vec<_>>());
    let masks = [1, 2, -7].map(|seed| {
        let [eager, others @ ..] = four_ways!(masked, (x.clone(), NdInt::constant(seed)));
        others.iter().for_each(|other| assert!((other.clone() - &eager).abs().max(..).item() < 1e-9));
        let dropped: Vec<bool> = numbers(&eager).iter().map(|g| *g == 0.0).collect();
        assert!((50..110).contains(&dropped.iter().filter(|dropped| **dropped).count()));
        others.iter().for_each(|other| {
            assert!(numbers(other).iter().zip(&dropped).all(|(g, dropped)| (*g == 0.0) == *dropped));
        });
        dropped
    });
    assert!(masks[0] != masks[1] && masks[1] != masks[2]);
    // One program draws what each seed asks for.
    let seed = |seed| (x.clone(), NdInt::constant(seed));
    let mut compiled = compile("masked", masked, &seed(0)).unwrap();
    for (i, expected) in [1, 2, -7].into_iter().zip(&masks) {
        let found = compiled.call(&seed(i)).unwrap();
        assert!(numbers(&found).iter().zip(expected).all(|(g, dropped)| (*g == 0.0) == *dropped));
    }
}

#[test]
fn a_constant_out_of_a_branch_has_no_derivative_in_any_mode() {
    fn root<T: Control>(x: &T) -> T {
        let positive = x.greater(&T::constant(0.0));
        T::cond(&positive, || x.clone(), || T::constant(0.0)).sqrt()
    }
    fn forward<T: Tensor>(x: T) -> T {
        jvp(|x: Dual<T>| root(&x), &x, &x.ones_like()).or_raise().1
    }
    fn reverse<T: Tensor>(x: T) -> T {
        grad(|x: Var<'_, T>| root(&x), &x).or_raise()
    }
    for (x, slope) in [(4.0, 0.25), (-1.0, 0.0)] {
        let x = Array::scalar(x);
        four_ways!(forward, x.clone()).iter().for_each(|tangent| assert_eq!(tangent.item(), slope));
        four_ways!(reverse, x).iter().for_each(|gradient| assert_eq!(gradient.item(), slope));
    }
}

#[test]
fn kinks_nan_and_infinities_are_where_they_are_eagerly() {
    /// Values and both derivatives of what has kinks and poles.
    fn all<T: Tensor>(x: T) -> T {
        fn f<T: Tensor>(x: &T) -> T {
            let zeros = x.zeros_like();
            let parts = [
                x.abs(),
                x.relu(),
                x.maximum(&zeros),
                x.minimum(&zeros),
                x.clamp(-1.0, 1.0),
                x.sqrt(),
                x.log(),
                x.recip(),
                x.sign(),
                x.pow(&x.full_like(0.5)),
                x.tanh(),
                x.sigmoid(),
                x.softplus(),
                x.exp(),
                T::select(&x.less(&zeros), &x.sqrt(), &x.square()),
            ];
            T::concat(&parts, 0)
        }
        let (y, slope) = jvp(|x: Dual<T>| f(&x), &x, &x.ones_like()).or_raise();
        let ((_, gradient), (_, largest)) = (
            value_and_grad(|x: Var<'_, T>| f(&x).sum(..), &x).or_raise(),
            value_and_grad(|x: Var<'_, T>| x.max(..) + x.logsumexp(..), &x).or_raise(),
        );
        T::concat(&[y, slope, gradient, largest], 0)
    }
    for x in [
        vec![0.0, -0.0, 1.0, -1.0],
        vec![f64::INFINITY, f64::NEG_INFINITY, 1.0, -2.0],
        vec![f64::NAN, 0.0, 3.0, 3.0],
        vec![1e-310, -1e-310, 1e308, -1e308],
    ] {
        let [eager, others @ ..] = four_ways!(all, Array::from(x.clone()));
        for other in &others {
            for (i, (a, b)) in numbers(&eager).iter().zip(numbers(other)).enumerate() {
                let close = (a - b).abs() <= 1e-13 * a.abs().max(1e-300);
                assert!(
                    *a == b || close || (a.is_nan() && b.is_nan()),
                    "at {x:?}, element {i}: {a:?}, {b:?}"
                );
            }
        }
    }
    // A pole in an arm that is not taken, and one in a value that nothing depends on, is not seen in the derivative.
    fn guarded<T: Tensor>(x: T) -> T {
        fn f<T: Control>(x: T) -> T {
            let (root, _unused) = (x.sqrt(), x.log());
            T::cond(&x.greater(&T::constant(0.0)), || root.clone(), || x.square())
        }
        grad(|x| f(x), &x).or_raise()
    }
    for x in [0.0, 4.0, -1.0] {
        let ways = four_ways!(guarded, Array::scalar(x));
        ways.iter()
            .for_each(|way| assert!(same_array(way, &ways[0]) && !way.item().is_nan(), "at {x}: {way}"));
    }
}

#[test]
fn an_index_out_of_range_names_operator_index_size_and_line() {
    fn check<P: Structure<Array> + Clone, F: Fn(P::With<Recorded>) -> Recorded>(
        f: F,
        good: P,
        bad: P,
        expected: &str,
        line: u32,
    ) {
        let mut compiled = compile("f", f, &good).unwrap();
        let before: Array = compiled.call(&good).unwrap();
        for _ in 0..2 {
            let error = compiled.call(&bad).unwrap_err();
            assert!(matches!(error, Error::Index { .. }), "{error}");
            // That of the operator, not that of the call.
            let message = format!("{expected} (tests/compiled/semantics.rs:{line}:");
            assert!(error.to_string().starts_with(&message), "{error}");
            assert_eq!(compiled.call(&good).unwrap(), before);
        }
    }
    let table = Array::from_elements(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    let with = |i: &[i64]| (table.clone(), NdInt::from_elements(&[i.len()], i).unwrap());
    let line = line!() + 1;
    let rows = |(x, i): (Recorded, _)| grad(|x| x.gather_rows(&i).square().sum(..), &x).or_raise();
    let range = "is out of range for a dimension of length";
    check(rows, with(&[0, 2]), with(&[1, 3]), &format!("gather_rows: index 3 {range} 3"), line);
    check(rows, with(&[0, 2]), with(&[-1, 0]), &format!("gather_rows: index -1 {range} 3"), line);
    let line = line!() + 1;
    let scattered = |(x, i): (Recorded, _)| x.scatter_rows(&i, 4);
    check(scattered, with(&[0, 1, 2]), with(&[0, 1, 4]), &format!("scatter_rows: index 4 {range} 4"), line);
    let line = line!() + 1;
    let picked = |(x, i): (Recorded, _)| x.gather_last(&i);
    check(picked, with(&[0, 1, 0]), with(&[0, 1, 2]), &format!("gather_last: index 2 {range} 2"), line);
    // Through a loop whose index is data.
    let line = line!() + 5;
    fn walk((x, i): (Recorded, <Recorded as Real>::Int)) -> Recorded {
        let go_on = |(i, _): &(<Recorded as Real>::Int, Recorded)| i.less(&Int::constant(5));
        let start = i.gather_rows(&Int::constant(0));
        let step = |(i, sum): (<Recorded as Real>::Int, Recorded)| {
            let sum = sum + x.gather_rows(&i).sum(..);
            (i + <Recorded as Real>::Int::constant(1), sum)
        };
        Recorded::while_loop((start, Recorded::constant(0.0)), go_on, step).1
    }
    check(walk, with(&[5]), with(&[2]), &format!("gather_rows: index 3 {range} 3"), line);
}

#[test]
fn shapes_are_checked_while_recording_at_the_users_line() {
    let x = Array::zeros(&[2, 4]);
    let refuses = |error: Error, line: u32, message: &str| {
        let place = format!("(tests/compiled/semantics.rs:{line}:");
        let error = error.to_string();
        assert!(error.starts_with(message) && error.contains(&place), "{error}, not at {line}");
    };
    let line = line!() + 1;
    let product = |x: Recorded| x.matmul(&x);
    refuses(compile("f", product, &x).err().unwrap(), line, "matmul: cannot multiply [2, 4] by [2, 4]");
    let line = line!() + 1;
    let sum = |x: Recorded| grad(|x| (x.clone() + &x.slice(1, 0..3)).sum(..), &x).or_raise();
    refuses(compile("f", sum, &x).err().unwrap(), line, "add: cannot combine [2, 4] with [2, 3]");
    let line = line!() + 2;
    fn within<T: Tensor>(x: T) -> T {
        T::while_loop(x, |y| y.sum(..).less(&T::constant(0.0)), |y| y.reshape(&[3, 3]).reshape(&[2, 4]))
    }
    let within = |x: Recorded| grad(|x| within(x).sum(..), &x).or_raise();
    refuses(compile("f", within, &x).err().unwrap(), line, "reshape: ");
}

#[test]
fn arrays_without_elements_are_arrays_in_every_mode() {
    /// What becomes of rows that are none, and of some beside them.
    fn f<T: Tensor>((none, some): &(T, T)) -> T {
        let indices = T::Int::from_elements(&[0], &[]).or_raise();
        let parts = [
            none.matmul(some),
            none.permute(&[1, 0]).matmul(none),
            T::concat(&[none.clone(), some.permute(&[1, 0])], 0).square(),
            some.gather_rows(&indices).exp(),
            some.slice(1, 1..1).tanh(),
            none.sum(0).exp() * some.sum(1),
            none.mean(1),
            none.max(1),
            none.softmax(1),
            none.broadcast_to(&[0, 3]) + none.sum(0),
            some.pad(0, Padding { before: 2, ..Padding::default() }),
        ];
        parts.iter().map(|part| part.sum(..)).reduce(|sum, part| sum + part).expect("parts")
    }
    fn gradients<T: Tensor>(x: (T, T)) -> T {
        let (value, (none, some)) = value_and_grad(|x| f(&x), &x).or_raise();
        T::concat(&[value.reshape(&[1]), none.reshape(&[0]), some.reshape(&[6])], 0)
    }
    let some = Array::from_elements(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    let [eager, others @ ..] = four_ways!(gradients, (Array::zeros(&[0, 3]), some.clone()));
    assert_eq!(eager.slice(0, 1..3), Array::from(vec![4.0, 6.0]));
    others.iter().for_each(|other| assert_eq!(*other, eager));
    // Nothing but what is empty goes in and comes out.
    fn nothing<T: Tensor>(x: T) -> T {
        grad(|x| x.square().sum(..), &x).or_raise()
    }
    four_ways!(nothing, Array::zeros(&[0])).iter().for_each(|x| assert_eq!(x.shape()[..], [0]));
    // A mean of nothing is 0/0, and the largest of nothing an error.
    fn mean<T: Tensor>(x: T) -> T {
        x.mean(..)
    }
    four_ways!(mean, Array::zeros(&[0])).iter().for_each(|mean| assert!(mean.item().is_nan()));
    let error = compile("largest", |x: Recorded| x.max(..), &Array::zeros(&[0])).err().unwrap().to_string();
    assert!(error.starts_with("max: ") && error.contains("(tests/compiled/semantics.rs:"), "{error}");
}
