//! Programs that write arrays: compiled they do what they do eagerly, and write where the array lies.

use antiphon::check::RunsOn;
use antiphon::recording::{Program, Recorded, RecordedInt};
use antiphon::state::Index;
use antiphon::{Int, NdArray, NdInt, OrRaise, Real, Tensor, compile, grad, hvp, jvp, value_and_grad, vmap};

use crate::writing::{WRITING, Writing};

type Array = NdArray<f64>;

fn inputs(shapes: &[&[usize]]) -> Vec<Array> {
    let mut next = 0.0f64;
    let mut input = |shape: &&[usize]| {
        let elements: Vec<f64> = (0..shape.iter().product())
            .map(|_| {
                next += 1.0;
                (next * 1.7).sin() * 0.9
            })
            .collect();
        Array::from_elements(shape, &elements).unwrap()
    };
    shapes.iter().map(&mut input).collect()
}

/// The sum of the squares of what a program gives.
fn loss<T: Tensor>(program: &Writing, x: &[T]) -> T {
    program.call(x).square().sum(..)
}

/// Value, gradient, derivative in a direction.
fn first<T: Tensor>(program: &Writing, x: &[T]) -> Vec<T> {
    let x = x.to_vec();
    let slopes = grad(|x| loss(program, &x), &x).or_raise();
    let (_, along) = jvp(|x| loss(program, &x), &x, &x).or_raise();
    [vec![program.call(&x), along], slopes].concat()
}

/// Forward over reverse, and reverse over reverse.
fn second<T: Tensor>(program: &Writing, x: &[T]) -> Vec<T> {
    let x = x.to_vec();
    let (_, product) = hvp(|x| loss(program, &x), &x, &x).or_raise();
    let squares = grad(
        |x| {
            let slopes = grad(|y| loss(program, &y), &x).or_raise();
            slopes.into_iter().map(|slope| slope.square().sum(..)).reduce(|a, b| a + b).unwrap()
        },
        &x,
    );
    [product, squares.or_raise()].concat()
}

fn assert_near(name: &str, found: &[Array], expected: &[Array]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.shape(), expected.shape(), "{name}, {i}");
        let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-12 * b.abs().max(1.0);
        assert!(found.view().iter().zip(expected.view()).all(near), "{name}, {i}: {found} {expected}");
    }
}

#[test]
fn as_eagerly_to_the_first_order() {
    for &(name, shapes) in WRITING {
        let (program, x) = (Writing(name), inputs(shapes));
        let mut code = compile(name, |x: Vec<Recorded>| first(&program, &x), &x).unwrap();
        for _ in 0..2 {
            assert_near(name, &code.call(&x).unwrap(), &first(&program, &x));
        }
    }
}

#[test]
fn as_eagerly_to_the_second_order() {
    for &(name, shapes) in WRITING {
        let (program, x) = (Writing(name), inputs(shapes));
        let mut code = compile(name, |x: Vec<Recorded>| second(&program, &x), &x).unwrap();
        assert_near(name, &code.call(&x).unwrap(), &second(&program, &x));
    }
}

/// Functions that take or give an array: what a loop would hand from round to round.
fn handing_arrays(program: &Program) -> Vec<String> {
    let is_array = |shape: &[usize]| !shape.is_empty();
    let funcs = program.funcs.iter().filter(|&(func, data)| {
        let blocks = program.reachable();
        func != program.entry
            && blocks.contains(&data.body)
            && (data.params.iter().any(|&v| is_array(&program.ty(v).shape))
                || data.results.iter().any(|ty| is_array(&ty.shape)))
    });
    funcs.map(|(_, data)| data.name.clone()).collect()
}

#[test]
fn no_array_is_handed_from_round_to_round() {
    // Those in which an old version is needed when a new one was written.
    let copied = ["exchanged", "read_before_and_after"];
    let mut wrong = Vec::new();
    for &(name, shapes) in WRITING {
        let (program, x) = (Writing(name), inputs(shapes));
        let code = compile(name, |x: Vec<Recorded>| loss(&program, &x), &x).unwrap();
        let value = handing_arrays(code.program());
        let slopes = |x: Vec<Recorded>| value_and_grad(|x| loss(&program, &x), &x).or_raise();
        let code = compile(name, slopes, &x).unwrap();
        let slope = handing_arrays(code.program());
        if copied.contains(&name) == (value.is_empty() && slope.is_empty()) {
            wrong.push(format!("{name}: {value:?} {slope:?}\n{}", code.program()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A loop whose state is an array that a round reads a part of and hands on, and the array behind it.
fn reads<T: Tensor>(kind: usize, a: &T) -> T {
    let number = |k: i64| T::Int::constant(k);
    let begin = (Index::<T>(number(0)), a.clone(), T::constant(0.0));
    let (_, a, b) = T::while_loop(
        begin,
        |(j, _, _)| j.0.less(&number(2)),
        |(j, a, b): (Index<T>, T, T)| {
            let part = match kind {
                0 => a.get((2, 1)),
                1 => a.get((&j.0, 1)),
                2 => a.get((1, &j.0)),
                3 => a.get((.., 1)).sum(..),
                4 => a.get((1..3, 1)).square().sum(..),
                _ => a.get(&j.0).sum(..),
            };
            (Index(j.0 + 1), a, b + part)
        },
    );
    a.square().sum(..) + b.square()
}

/// What is read of several axes in a loop adds to an adjoint that has come from behind the loop, in each row of a batch.
#[test]
fn parts_that_the_rows_of_a_batch_read_in_loops() {
    let x =
        Array::from_elements(&[2, 3, 3], &(0..18).map(|j| (f64::from(j) * 1.7).sin()).collect::<Vec<_>>());
    let x = x.unwrap();
    for kind in 0..6 {
        fn gradient<T: Tensor>(kind: usize, a: &T) -> T {
            grad(|a| reads(kind, &a), a).or_raise()
        }
        fn product<T: Tensor>(kind: usize, a: &T) -> T {
            hvp(|a| reads(kind, &a), a, &(a.clone() * 0.5)).or_raise().1
        }
        let each = |f: fn(usize, &Array) -> Array| Array::stack(&[0, 1].map(|i| f(kind, &x.index(0, i))), 0);
        let (slopes, products) = (each(gradient), each(product));
        assert_near("evaluated", &[vmap(|a| gradient(kind, &a), &x).unwrap()], std::slice::from_ref(&slopes));
        let of_rows = |a: Recorded| vmap(|a| gradient(kind, &a), &a).or_raise();
        assert_near(
            "compiled",
            &[compile("rows", of_rows, &x).unwrap().call(&x).unwrap()],
            std::slice::from_ref(&slopes),
        );
        let of_rows = |a: Recorded| vmap(|a| product(kind, &a), &a).or_raise();
        assert_near("hvp", &[compile("rows", of_rows, &x).unwrap().call(&x).unwrap()], &[products]);
        let of_sum = |a: Recorded| grad(|a| vmap(|a| reads(kind, &a), &a).or_raise().sum(..), &a).or_raise();
        assert_near("sum", &[compile("sum", of_sum, &x).unwrap().call(&x).unwrap()], &[slopes]);
    }
}

/// Positions that nobody knows before the code runs, one of which is none.
#[test]
fn positions_that_are_out_of_range() {
    let x = (Array::zeros(&[3, 4]), NdInt::constant(1), NdInt::constant(9));
    let write =
        |(x, i, j): (Recorded, RecordedInt, RecordedInt)| x.at((&i, &j)).set(&Recorded::constant(5.0));
    let mut code = compile("write", write, &x).unwrap();
    for (i, j) in [(1, 9), (1, -1), (0, 4), (3, 0), (-1, 0), (i64::MIN, 1), (1, i64::MAX), (9, 9)] {
        let point = (x.0.clone(), NdInt::constant(i), NdInt::constant(j));
        let error = code.call(&point).unwrap_err().to_string();
        let said = "a position along one of several axes, which have 12 together, is out of range";
        assert!(error.contains(said) && error.contains("in_place.rs"), "{error}");
    }
    let written = code.call(&(x.0.clone(), NdInt::constant(2), NdInt::constant(3))).unwrap();
    assert_eq!(written.get((2, 3)).item(), 5.0);
}
