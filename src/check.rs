//! [`check_gradients`]: derivatives against finite differences and against each other.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use crate::array::NdArray;
use crate::error::{Error, OrRaise, Result, catch};
use crate::forward::Dual;
use crate::reverse::Var;
use crate::shape;
use crate::tensor::Tensor;
use crate::transform::grad;

/// A function of some arrays that every interpretation can run. [`program!`](crate::program) writes one from a
/// closure; implement it for a struct when the function needs data of its own.
pub trait Program {
    /// The function.
    fn call<T: Tensor>(&self, x: &[T]) -> T;
}

/// A [`Program`] from a closure over `x: &[T]`, in which `T` names the interpretation.
///
/// ```
/// use antiphon::{NdArray, Real, Tensor, check_gradients, program};
/// let f = program!(|x| x[0].matmul(&x[1]).tanh());
/// let a = NdArray::from_elements(&[2, 2], &[0.1, 0.2, 0.3, 0.4])?;
/// check_gradients(&f, &[a.clone(), a], 2)?;
/// # Ok::<(), antiphon::Error>(())
/// ```
#[macro_export]
macro_rules! program {
    (|$x:ident| $body:expr) => {{
        struct Closure;
        impl $crate::Program for Closure {
            fn call<T: $crate::Tensor>(&self, $x: &[T]) -> T {
                $body
            }
        }
        Closure
    }};
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
pub fn check_gradients(f: &impl Program, x: &[NdArray<f64>], order: usize) -> Result<()> {
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

fn second(f: &impl Program, x: &[NdArray<f64>], directions: &Directions, of: &str) -> Result<()> {
    first(f, x, directions, of)?;
    let v = &directions.v;
    first(&Forward { f, v }, x, directions, &format!("{of} of the forward derivative"))?;
    first(&Reverse { f, v }, x, directions, &format!("{of} of the reverse derivative"))
}

fn first(f: &impl Program, x: &[NdArray<f64>], directions: &Directions, of: &str) -> Result<()> {
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
    v: Vec<NdArray<f64>>,
}

impl Directions {
    fn random(x: &[NdArray<f64>]) -> Directions {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let v = x.iter().map(|x| random(&mut rng, &x.shape())).collect();
        Directions { v }
    }
}

fn random(rng: &mut ChaCha8Rng, shape: &[usize]) -> NdArray<f64> {
    let elements: Vec<f64> = (0..shape::size(shape)).map(|_| rng.random_range(-1.0..1.0)).collect();
    NdArray::from_elements(shape, &elements).or_raise()
}

/// An array of this interpretation from a plain one.
fn lift<T: Tensor>(x: &NdArray<f64>) -> T {
    T::from_elements(&x.shape(), &x.view().iter().copied().collect::<Vec<_>>()).or_raise()
}

/// `Σ w·f(x)` for weights of no particular pattern: a scalar function that sees every element of the result.
struct Weighted<'a, F>(&'a F);

impl<F: Program> Program for Weighted<'_, F> {
    fn call<T: Tensor>(&self, x: &[T]) -> T {
        let y = self.0.call(x);
        let w = random(&mut ChaCha8Rng::seed_from_u64(2), &y.shape());
        (y * lift::<T>(&w)).sum(..)
    }
}

/// The derivative of `f` in the direction `v`, in forward mode, as a function of `x`.
pub struct Forward<'a, F> {
    /// The function.
    pub f: &'a F,
    /// One array for each of the function's arguments, of its shape.
    pub v: &'a [NdArray<f64>],
}

impl<F: Program> Program for Forward<'_, F> {
    fn call<T: Tensor>(&self, x: &[T]) -> T {
        let x: Vec<Dual<T>> = x.iter().zip(self.v).map(|(x, v)| Dual::new(x.clone(), lift(v))).collect();
        self.f.call(&x).tangent()
    }
}

/// The derivative of the sum of `f`'s result in the direction `v`, in reverse mode, as a function of `x`.
pub struct Reverse<'a, F> {
    /// The function.
    pub f: &'a F,
    /// One array for each of the function's arguments, of its shape.
    pub v: &'a [NdArray<f64>],
}

impl<F: Program> Program for Reverse<'_, F> {
    fn call<T: Tensor>(&self, x: &[T]) -> T {
        let gradient = grad(|x: Vec<Var<'_, T>>| self.f.call(&x).sum(..), &x.to_vec()).or_raise();
        gradient
            .iter()
            .zip(self.v)
            .fold(T::constant(0.0), |sum, (g, v)| sum + (g.clone() * lift::<T>(v)).sum(..))
    }
}
