//! [`Number`]: formulas with plain numbers in them.

use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Sub, SubAssign};

use crate::language::control::Control;

/// Real numbers, or arrays of them, that take plain numbers on the right of an operator: a formula over `T: Number`
/// reads like one. It has the control flow of [`Control`] as well.
///
/// Everything that is [`Real`](crate::Real) is a number but `f32`: Rust has no `f32 * f64`, and lets no crate add it.
/// Where plain `f32` is to evaluate a model too, write it over `T: Real`, with [`scale`](crate::Real::scale) and
/// [`constant`](crate::Real::constant); differentiated over `f32` a number is a `Var` or a `Dual`, which take them.
///
/// ```
/// use antiphon::{Number, grad};
/// /// `1 + 3x²/2 + 4`, the last term in a loop.
/// fn formula<T: Number>(x: T) -> T {
///     let mut y = x.clone() * x * 3.0 / 2.0 + 1.0;
///     for _ in 0..4 {
///         y += 1.0;
///     }
///     y
/// }
/// assert_eq!(formula(2.0), 11.0);
/// assert_eq!(grad(|x| formula(x), &2.0)?, 6.0);
/// assert_eq!(grad(|x| formula(x), &2.0f32)?, 6.0);
/// # Ok::<(), antiphon::Error>(())
/// ```
pub trait Number:
    Control
    + Add<f64, Output = Self>
    + Sub<f64, Output = Self>
    + Mul<f64, Output = Self>
    + Div<f64, Output = Self>
    + AddAssign<f64>
    + SubAssign<f64>
    + MulAssign<f64>
    + DivAssign<f64>
{
}

impl<T> Number for T where
    T: Control
        + Add<f64, Output = T>
        + Sub<f64, Output = T>
        + Mul<f64, Output = T>
        + Div<f64, Output = T>
        + AddAssign<f64>
        + SubAssign<f64>
        + MulAssign<f64>
        + DivAssign<f64>
{
}
