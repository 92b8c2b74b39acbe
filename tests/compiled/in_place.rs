//! Programs that write arrays: compiled they do what they do eagerly, and write where the array lies.

use antiphon::check::RunsOn;
use antiphon::recording::Recorded;
use antiphon::{NdArray, OrRaise, Tensor, compile, grad, hvp, jvp};

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
    let slopes = grad(|x: Vec<_>| loss(program, &x), &x).or_raise();
    let (_, along) = jvp(|x: Vec<_>| loss(program, &x), &x, &x).or_raise();
    [vec![program.call(&x), along], slopes].concat()
}

/// Forward over reverse, and reverse over reverse.
fn second<T: Tensor>(program: &Writing, x: &[T]) -> Vec<T> {
    let x = x.to_vec();
    let (_, product) = hvp(|x: Vec<_>| loss(program, &x), &x, &x).or_raise();
    let squares = |x: Vec<_>| {
        let slopes = grad(|x: Vec<_>| loss(program, &x), &x).or_raise();
        slopes.into_iter().map(|slope| slope.square().sum(..)).reduce(|a, b| a + b).unwrap()
    };
    [product, grad(squares, &x).or_raise()].concat()
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
