//! The same derivative with its machinery in sight: each operator is given the rest of the computation as a closure.
//!
//! An operator computes its value, calls the closure, and when that *returns*, pushes the derivative back. So the
//! calls are the forward pass and the returns are the backward pass. There is no tape, and nothing on the heap.

use antiphon::{Real, Result, cps, grad};

/// d/dx of x²·sin(x) + x, as nested closures.
pub(crate) fn nested<T: Real>(x: &T) -> Result<T> {
    cps::grad(x, |x, k| {
        cps::mul(x, x, |square| {
            cps::sin(x, |sine| {
                cps::mul(square, sine, |product| {
                    cps::add(product, x, k) //
                })
            })
        })
    })
}

/// The same in do-notation, which the macro turns into the nesting above.
pub(crate) fn flat<T: Real>(x: &T) -> Result<T> {
    cps::grad(x, |x, k| {
        cps! {
            let square = cps::mul(x, x);
            let sine = cps::sin(x);
            let product = cps::mul(square, sine);
            cps::add(product, x, k)
        }
    })
}

/// The same in direct style: here each operator captures the rest of the closure as its continuation.
pub(crate) fn direct<T: Real>(x: &T) -> Result<T> {
    grad(|x| x.square() * x.sin() + &x, x)
}

fn main() -> Result<()> {
    let x: f64 = 1.5;
    let by_hand = 2.0 * x * x.sin() + x * x * x.cos() + 1.0;
    println!("nested closures {:.12}", nested(&x)?);
    println!("do-notation     {:.12}", flat(&x)?);
    println!("direct style    {:.12}", direct(&x)?);
    println!("by hand         {by_hand:.12}");
    Ok(())
}
