//! [`check_gradients`]: derivatives against finite differences and against each other.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use crate::array::NdArray;
use crate::continuation::unwinding::{OrRaise, catch};
use crate::error::{Error, Result};
use crate::forward::Dual;
use crate::language::shape;
use crate::language::tensor::Tensor;
use crate::reverse::Var;
use crate::transforms::grad;

/// A function of some arrays, as the interpretation `T` runs it. [`program!`](crate::program) writes one for every
/// interpretation from a closure; implement it for a struct when the function needs data of its own.
pub trait RunsOn<T> {
    /// The function.
    fn call(&self, x: &[T]) -> T;
}

/// A function that [runs on](crate::check::RunsOn) any interpretation, from a closure over `x: &[T]`, in which `T`
/// names the interpretation. After the closure comes what operators of your own ask of `T`, other than [`Tensor`].
///
/// ```
/// use antiphon::{NdArray, Real, Tensor, check_gradients, program};
/// let f = program!(|x| x[0].matmul(&x[1]).tanh());
/// let a = NdArray::from_elements(&[2, 2], &[0.1, 0.2, 0.3, 0.4])?;
/// check_gradients(&f, &[a.clone(), a.clone()], 2)?;
///
/// trait Swish: Real {
///     fn swish(&self) -> Self;
/// }
/// impl<T: Real> Swish for T {
///     fn swish(&self) -> Self {
///         self.sigmoid() * self
///     }
/// }
/// check_gradients(&program!(|x| x[0].swish(), T: Swish), &[a], 3)?;
/// # Ok::<(), antiphon::Error>(())
/// ```
#[macro_export]
macro_rules! program {
    (|$x:ident| $body:expr $(, T: $bound:path)* $(,)?) => {{
        struct Closure;
        impl<T: $crate::Tensor $(+ $bound)*> $crate::check::RunsOn<T> for Closure {
            fn call(&self, $x: &[T]) -> T {
                $body
            }
        }
        Closure
    }};
}

type Array = NdArray<f64>;

macro_rules! programs {
    ($($(#[$doc:meta])* $Name:ident { $($interpretations:tt)* })*) => { $(
        $(#[$doc])*
        pub trait $Name: $($interpretations)* {}
        impl<F: $($interpretations)*> $Name for F {}
    )* };
}
programs! {
    /// What runs over plain arrays and over a first derivative.
    Once { RunsOn<Array> + RunsOn<Dual<Array>> + for<'a> RunsOn<Var<'a, Array>> }
    /// What runs over second derivatives too.
    Twice {
        Once
        + RunsOn<Dual<Dual<Array>>>
        + for<'a> RunsOn<Dual<Var<'a, Array>>>
        + for<'a> RunsOn<Var<'a, Dual<Array>>>
        + for<'a, 'b> RunsOn<Var<'a, Var<'b, Array>>>
    }
    /// What runs over plain arrays, and over derivatives in any mode up to the third order.
    Differentiable {
        Twice
        + RunsOn<Dual<Dual<Dual<Array>>>>
        + for<'a> RunsOn<Dual<Dual<Var<'a, Array>>>>
        + for<'a> RunsOn<Dual<Var<'a, Dual<Array>>>>
        + for<'a, 'b> RunsOn<Dual<Var<'a, Var<'b, Array>>>>
        + for<'a> RunsOn<Var<'a, Dual<Dual<Array>>>>
        + for<'a, 'b> RunsOn<Var<'a, Dual<Var<'b, Array>>>>
        + for<'a, 'b> RunsOn<Var<'a, Var<'b, Dual<Array>>>>
        + for<'a, 'b, 'c> RunsOn<Var<'a, Var<'b, Var<'c, Array>>>>
    }
}

/// Largest relative difference between a derivative and the extrapolated finite difference.
const NUMERIC: f64 = 1e-6;
/// Largest relative difference between forward and reverse mode.
const MODES: f64 = 1e-9;

/// Checks the derivatives of `f` at `x` up to the given order, 1 to 3, in `f64`.
///
/// In one random direction `v` (fixed, and so repeatable) and for a random linear functional of the result, so that
/// the cost does not grow with the dimensions: forward mode and reverse mode are compared with each other and with
/// a central difference that is extrapolated twice (Richardson 1911). For the second order the same is done to the
/// directional derivative, taken in forward mode and taken in reverse mode, as a function; so all of reverse over
/// forward, forward over reverse, reverse over reverse and forward over forward are covered; and so on.
/// Wrap `f` in [`Forward`] or [`Reverse`] for more.
///
/// # Errors
/// [`Error::GradientCheck`] names the mode that disagrees; [`Error::Config`] for an order out of range; whatever
/// `f` raises.
pub fn check_gradients(f: &impl Differentiable, x: &[Array], order: usize) -> Result<()> {
    let directions = Directions::random(x);
    catch(|| match order {
        1 => first(f, x, &directions, ""),
        2 => second(f, x, &directions, ""),
        3 => {
            second(f, x, &directions, "")?;
            second(&Forward { f, v: &directions.v }, x, &directions, " of the forward derivative")?;
            second(&Reverse { f, v: &directions.v }, x, &directions, " of the reverse derivative")
        }
        _ => Err(Error::Config { name: "order", reason: format!("{order} is not 1, 2 or 3") }),
    })
}

fn second(f: &impl Twice, x: &[Array], directions: &Directions, of: &str) -> Result<()> {
    first(f, x, directions, of)?;
    let v = &directions.v;
    first(&Forward { f, v }, x, directions, &format!("{of} of the forward derivative"))?;
    first(&Reverse { f, v }, x, directions, &format!("{of} of the reverse derivative"))
}

fn first(f: &impl Once, x: &[Array], directions: &Directions, of: &str) -> Result<()> {
    let v = &directions.v;
    let weighted = Weighted(f);
    let forward = Forward { f: &weighted, v }.call(x).item();
    let reverse = Reverse { f: &weighted, v }.call(x).item();
    let along = |t: f64| {
        let moved: Vec<_> = x.iter().zip(v).map(|(x, v)| x.clone() + v.clone() * t).collect();
        weighted.call(&moved).item()
    };
    // Half the step twice; each extrapolation removes the leading power of h² from the error.
    let central = |h: f64| (along(h) - along(-h)) / (2.0 * h);
    let [d1, d2, d3] = [4e-3, 2e-3, 1e-3].map(central);
    let [e1, e2] = [d2 + (d2 - d1) / 3.0, d3 + (d3 - d2) / 3.0];
    let numeric = e2 + (e2 - e1) / 15.0;
    let scale = 1.0 + weighted.call(x).item().abs();
    compare(format!("forward against reverse mode{of}"), forward, reverse, scale, MODES)?;
    compare(format!("forward mode against differences{of}"), forward, numeric, scale, NUMERIC)?;
    compare(format!("reverse mode against differences{of}"), reverse, numeric, scale, NUMERIC)
}

fn compare(what: String, got: f64, expected: f64, scale: f64, tolerance: f64) -> Result<()> {
    let error = (got - expected).abs() / (expected.abs() + scale);
    if error <= tolerance { Ok(()) } else { Err(Error::GradientCheck { what, got, expected, error }) }
}

struct Directions {
    v: Vec<Array>,
}

impl Directions {
    fn random(x: &[Array]) -> Directions {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let v = x.iter().map(|x| random(&mut rng, &x.shape())).collect();
        Directions { v }
    }
}

fn random(rng: &mut ChaCha8Rng, shape: &[usize]) -> Array {
    let elements: Vec<f64> = (0..shape::size(shape)).map(|_| rng.random_range(-1.0..1.0)).collect();
    NdArray::from_elements(shape, &elements).or_raise()
}

/// An array of this interpretation from a plain one.
fn lift<T: Tensor>(x: &Array) -> T {
    T::from_elements(&x.shape(), &x.view().iter().copied().collect::<Vec<_>>()).or_raise()
}

/// `Σ w·f(x)` for weights of no particular pattern: a scalar function that sees every element of the result.
struct Weighted<'a, F>(&'a F);

impl<T: Tensor, F: RunsOn<T>> RunsOn<T> for Weighted<'_, F> {
    fn call(&self, x: &[T]) -> T {
        let y = self.0.call(x);
        let w = random(&mut ChaCha8Rng::seed_from_u64(2), &y.shape());
        (y * lift::<T>(&w)).sum(..)
    }
}

/// The derivative of `f` in the direction `v`, in forward mode, as a function of `x`.
#[derive(Debug)]
pub struct Forward<'a, F> {
    /// The function.
    pub f: &'a F,
    /// One array for each of the function's arguments, of its shape.
    pub v: &'a [Array],
}

impl<T: Tensor, F: RunsOn<Dual<T>>> RunsOn<T> for Forward<'_, F> {
    fn call(&self, x: &[T]) -> T {
        let x: Vec<Dual<T>> = x.iter().zip(self.v).map(|(x, v)| Dual::new(x.clone(), lift(v))).collect();
        self.f.call(&x).tangent()
    }
}

/// The derivative of the sum of `f`'s result in the direction `v`, in reverse mode, as a function of `x`.
#[derive(Debug)]
pub struct Reverse<'a, F> {
    /// The function.
    pub f: &'a F,
    /// One array for each of the function's arguments, of its shape.
    pub v: &'a [Array],
}

impl<T: Tensor, F: for<'r> RunsOn<Var<'r, T>>> RunsOn<T> for Reverse<'_, F> {
    fn call(&self, x: &[T]) -> T {
        let gradient = grad(|x: Vec<Var<'_, T>>| self.f.call(&x).sum(..), &x.to_vec()).or_raise();
        gradient
            .iter()
            .zip(self.v)
            .fold(T::constant(0.0), |sum, (g, v)| sum + (g.clone() * lift::<T>(v)).sum(..))
    }
}
