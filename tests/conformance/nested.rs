//! Derivatives inside of functions that are differentiated: perturbation confusion and its relatives.

use antiphon::{Dual, OrRaise, Real, Result, Var, grad, jvp, value_and_grad};

/// Holds a derivative to its closed form.
#[track_caller]
fn close(got: f64, expected: f64) {
    assert!((got - expected).abs() <= 1e-12 * expected.abs(), "got {got:?}, expected {expected:?}");
}

/// The derivative of a function of one variable in forward mode.
fn slope<T: Real>(f: impl FnOnce(Dual<T>) -> Dual<T>, x: &T) -> T {
    jvp(f, x, &x.ones_like()).or_raise().1
}

#[test]
fn perturbation_confusion_in_reverse() -> Result<()> {
    // d/dx x·(d/dy (x + y)) = 1
    close(grad(|x| x.clone() * grad(|y| Var::lift(&x) + y, &x).or_raise(), &1.0)?, 1.0);
    close(grad(|x| x.clone() * grad(|y| Var::lift(&x) + y, &Var::constant(3.0)).or_raise(), &2.5)?, 1.0);
    Ok(())
}

#[test]
fn perturbation_confusion_forward() {
    close(slope(|x: Dual<f64>| x.clone() * slope(|y| Dual::lift(&x) + y, &x), &1.0), 1.0);
}

#[test]
fn perturbation_confusion_in_mixed_modes() -> Result<()> {
    close(grad(|x| x.clone() * slope(|y| Dual::lift(&x) + y, &x), &1.0)?, 1.0);
    close(slope(|x: Dual<f64>| x.clone() * grad(|y| Var::lift(&x) + y, &x).or_raise(), &1.0), 1.0);
    Ok(())
}

#[test]
fn inner_derivative_of_a_product_with_the_outer_variable() -> Result<()> {
    // d/dx x·(d/dy x·y²)|y=x = d/dx 2x³ = 6x²
    let x = 1.7;
    let expected = 6.0 * x * x;
    close(grad(|x| x.clone() * grad(|y| Var::lift(&x) * y.square(), &x).or_raise(), &x)?, expected);
    close(slope(|x: Dual<f64>| x.clone() * slope(|y| Dual::lift(&x) * y.square(), &x), &x), expected);
    close(grad(|x| x.clone() * slope(|y| Dual::lift(&x) * y.square(), &x), &x)?, expected);
    close(
        slope(|x: Dual<f64>| x.clone() * grad(|y| Var::lift(&x) * y.square(), &x).or_raise(), &x),
        expected,
    );
    Ok(())
}

#[test]
fn inner_derivative_at_a_constant() -> Result<()> {
    // d/dx (d/dy sin(x·y))|y=2 = d/dx x·cos(2x) = cos(2x) − 2x·sin(2x)
    let x = 0.6f64;
    let got = grad(|x| grad(|y| (Var::lift(&x) * y).sin(), &Var::constant(2.0)).or_raise(), &x)?;
    close(got, (2.0 * x).cos() - 2.0 * x * (2.0 * x).sin());
    Ok(())
}

#[test]
fn inner_derivative_that_ignores_the_outer_variable() -> Result<()> {
    close(grad(|x| x * Var::constant(grad(|y| y.powi(3), &2.0).or_raise()), &5.0)?, 12.0);
    Ok(())
}

#[test]
fn inner_derivative_that_ignores_its_own_variable() -> Result<()> {
    // d/dx [x² + d/dy x³] = 2x
    close(grad(|x| x.square() + grad(|_| Var::lift(&x).powi(3), &x).or_raise(), &1.5)?, 3.0);
    Ok(())
}

#[test]
fn inner_gradient_by_two_variables() -> Result<()> {
    // g(a, b) = a²·b·x; at a = x, b = 2: ∂a = 4x²; ∂b = x³; d/dx (4x²·x³) = 20x⁴
    let x = 1.2f64;
    let got = grad(
        |x| {
            let at = (x.clone(), Var::constant(2.0));
            let (a, b) = grad(|(a, b)| a.square() * b * Var::lift(&x), &at).or_raise();
            a * b
        },
        &x,
    )?;
    close(got, 20.0 * x.powi(4));
    Ok(())
}

#[test]
fn two_inner_derivatives_side_by_side() -> Result<()> {
    // d/dx [(d/dy y³)(x) · (d/dz z²)(x)] = d/dx 6x³ = 18x²
    let got = grad(|x| grad(|y| y.powi(3), &x).or_raise() * grad(|z| z.square(), &x).or_raise(), &0.9)?;
    close(got, 18.0 * 0.81);
    Ok(())
}

#[test]
fn three_levels_with_every_variable_used_inside() -> Result<()> {
    // h(x) = d/dy [ y · d/dz (x·y·z³) at z = y ] at y = x. The inner one is 3x·y³, times y: 3x·y⁴;
    // its derivative by y is 12x·y³, at y = x: 12x⁴; h′ = 48x³.
    let x = 1.1f64;
    let got = grad(
        |x| {
            let middle = grad(
                |y| {
                    let inner = grad(|z| Var::lift(&Var::lift(&x)) * Var::lift(&y) * z.powi(3), &y);
                    y * inner.or_raise()
                },
                &x,
            );
            middle.or_raise()
        },
        &x,
    )?;
    close(got, 48.0 * x.powi(3));
    Ok(())
}

#[test]
fn inner_value_and_gradient_both_used() -> Result<()> {
    // (f, f′) of sin at x: f·f′ = ½·sin 2x, whose derivative is cos 2x.
    let x = 0.4f64;
    let got = grad(
        |x| {
            let (value, gradient) = value_and_grad(|y| y.sin(), &x).or_raise();
            value * gradient
        },
        &x,
    )?;
    close(got, (2.0 * x).cos());
    Ok(())
}

#[test]
fn newton_on_a_derivative_inside_of_a_derivative() -> Result<()> {
    // The minimum of y ↦ y⁴/4 − x·y by Newton's method is y = x^(1/3); dy/dx = 1/(3·x^(2/3)).
    let x = 2.0f64;
    let got = grad(
        |x| {
            let mut y = Var::constant(1.2);
            for _ in 0..8 {
                let slope = value_and_grad(
                    |y| {
                        let quartic = grad(|z| z.powi(4).scale(0.25) - Var::lift(&Var::lift(&x)) * z, &y);
                        quartic.or_raise()
                    },
                    &y,
                );
                let (first, second) = slope.or_raise();
                y -= first / second;
            }
            y
        },
        &x,
    )?;
    close(got, x.powf(-2.0 / 3.0) / 3.0);
    Ok(())
}
