//! Recursion over a data structure: an arithmetic expression is a tree, and evaluating it is differentiable.

use antiphon::{Real, Result, grad};

pub(crate) enum Expression {
    X,
    Number(f64),
    Sum(Box<Expression>, Box<Expression>),
    Product(Box<Expression>, Box<Expression>),
    Sine(Box<Expression>),
}
use Expression::{Number, Product, Sine, Sum, X};

/// An ordinary recursive function. Its derivative recurses too: on the way back.
pub(crate) fn evaluate<T: Real>(expression: &Expression, x: &T) -> T {
    match expression {
        X => x.clone(),
        Number(value) => T::constant(*value),
        Sum(a, b) => evaluate(a, x) + evaluate(b, x),
        Product(a, b) => evaluate(a, x) * evaluate(b, x),
        Sine(a) => evaluate(a, x).sin(),
    }
}

/// `3·x·x + sin(x·x)`.
pub(crate) fn tree() -> Expression {
    let square = || Box::new(Product(Box::new(X), Box::new(X)));
    Sum(Box::new(Product(Box::new(Number(3.0)), square())), Box::new(Sine(square())))
}

fn main() -> Result<()> {
    let tree = tree();
    for x in [0.0, 1.0, 2.0] {
        let value = evaluate(&tree, &x);
        let slope = grad(|x| evaluate(&tree, &x), &x)?;
        let exact = 6.0 * x + 2.0 * x * (x * x).cos();
        println!("x = {x}: value {value:.6}, slope {slope:.6}, by hand {exact:.6}");
    }

    // A tree of a million leaves, 20 levels deep.
    fn full(depth: u32) -> Expression {
        if depth == 0 { X } else { Sum(Box::new(full(depth - 1)), Box::new(full(depth - 1))) }
    }
    println!("a sum of 2^20 times x has the slope {}", grad(|x| evaluate(&full(20), &x), &1.0)?);
    Ok(())
}
