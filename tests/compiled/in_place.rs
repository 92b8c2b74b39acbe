//! Programs that write arrays: compiled they do what they do eagerly, and write where the array lies.

use antiphon::check::RunsOn;
use antiphon::recording::{Program, Recorded};
use antiphon::{NdArray, OrRaise, Real, Tensor, compile, grad, hvp, jvp, value_and_grad};

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
