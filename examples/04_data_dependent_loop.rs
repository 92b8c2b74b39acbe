//! A loop whose length depends on its data: the derivative of a solver, through its iterations.

use antiphon::{Control, Result, grad, jvp};

/// The root of `y³ + y = a` by Newton's method: iterates until the step is small.
pub(crate) fn root<T: Control>(a: &T) -> T {
    let step = |y: &T| (y.powi(3) + y - a) / (y.square().scale(3.0).offset(1.0));
    T::while_loop(
        a.clone(),
        |y| step(y).abs().greater(&T::constant(1e-12)),
        |y| {
            let step = step(&y);
            y - step
        },
    )
}

/// The same with Rust's own loop, which does as well where values are computed at once.
fn root_by_while(a: f64) -> (f64, usize) {
    let (mut y, mut iterations) = (a, 0);
    loop {
        let step = (y.powi(3) + y - a) / (3.0 * y * y + 1.0);
        if step.abs() <= 1e-12 {
            return (y, iterations);
        }
        y -= step;
        iterations += 1;
    }
}

fn main() -> Result<()> {
    for a in [0.5, 10.0, 1000.0] {
        let (y, iterations) = root_by_while(a);
        assert_eq!(y, root(&a));
        let backward = grad(|a| root(&a), &a)?;
        let (_, forward) = jvp(|a| root(&a), &a, &1.0)?;
        // By the implicit function theorem.
        let exact = 1.0 / (3.0 * y * y + 1.0);
        println!(
            "a = {a}: {iterations} iterations, y = {y:.6}, dy/da = {backward:.9} = {forward:.9} = {exact:.9}"
        );
    }
    Ok(())
}
