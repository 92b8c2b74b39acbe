//! Bounds of a random model: its values lie in their range, and no two of them are farther apart than the Lipschitz
//! constant says.

use std::slice::from_ref;

use antiphon::lipschitz::{Bound, BoundBool, BoundInt, Domain, auto_lip};
use antiphon::{NdArray, Real, Result, Tensor, vjp};

use crate::arrays::ArrayOp;
use crate::evaluate::{Inputs, Noise, Run};
use crate::ways::Case;

type Array = NdArray<f64>;

/// Half the sides of boxes; no box, but everything, in the end.
const RADII: [f64; 4] = [1e-3, 0.1, 1.0, f64::INFINITY];

/// Pairs of points in each domain.
const PAIRS: u64 = 6;

/// How many models had a finite constant, and how many runs there were.
#[derive(Clone, Copy, Default)]
pub struct Tally {
    pub finite: u64,
    pub runs: u64,
    /// Models whose constant is as large as differences are, to a tenth.
    pub tight: u64,
}

/// A number between −1 and 1 that differs from place to place.
fn number(seed: u64, place: u64) -> f64 {
    let mut bits = (seed << 20 ^ place).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (bits >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

/// Arrays that differ from others by numbers of at most so much.
fn moved(x: &[Array], by: f64, seed: u64) -> Vec<Array> {
    let leaf = |(i, x): (usize, &Array)| {
        let elements = x
            .view()
            .iter()
            .zip(0..)
            .map(|(x, j)| x + by * number(seed, (i as u64) << 8 | j))
            .collect::<Vec<_>>();
        Array::from_elements(&x.shape(), &elements).expect("as many elements")
    };
    x.iter().enumerate().map(leaf).collect()
}

fn distance(a: &[Array], b: &[Array]) -> f64 {
    let elements =
        |x: &[Array]| x.iter().flat_map(|x| x.view().iter().copied().collect::<Vec<_>>()).collect();
    let (a, b): (Vec<f64>, Vec<f64>) = (elements(a), elements(b));
    // What is not a number in both, or the same infinity, has not moved.
    let same = |a: f64, b: f64| a == b || a.is_nan() && b.is_nan();
    let apart = a.iter().zip(&b).map(|(&a, &b)| if same(a, b) { 0.0 } else { a - b });
    // By steps, as squares may be more than numbers are.
    apart.fold(0.0, f64::hypot)
}

/// A point that is a step away from another, along a direction, within a box.
fn along(
    a: &[Array],
    direction: &[Array],
    step: f64,
    inside: impl Fn(Vec<Array>) -> Vec<Array>,
) -> Vec<Array> {
    let size = distance(direction, &direction.iter().map(|x| x.zeros_like()).collect::<Vec<_>>());
    let moved = |(a, d): (&Array, &Array)| a.clone() + d.clone() * (step / size);
    inside(a.iter().zip(direction).map(moved).collect())
}

/// The bound of a model in single precision, on a box that is no smaller; nothing if there is none.
fn in_single_precision(case: &Case, radius: f64) -> Option<f64> {
    let x = case.arrays::<NdArray<f32>>(&case.points[0]);
    let wide = radius * (1.0 + 1e-6) + 1e-6;
    let domain = match radius {
        f64::INFINITY => Domain::Everywhere(x.reals.clone()),
        _ => Domain::Box(
            x.reals.iter().map(|x| x.clone() - wide).collect(),
            x.reals.iter().map(|x| x.clone() + wide).collect(),
        ),
    };
    let model = |reals: Vec<Bound<NdArray<f32>>>| {
        let inputs = Inputs {
            reals,
            ints: x.ints.iter().map(BoundInt::lift).collect(),
            flags: x.flags.iter().map(BoundBool::lift).collect(),
            indices: BoundInt::lift(&x.indices),
        };
        Run { model: &case.model, arrays: ArrayOp::apply, noise: Noise::default() }.call(inputs)
    };
    let bound = auto_lip(model, &domain).ok()?;
    bound.value.is_finite().then_some(bound.value)
}

/// That a model's bound holds at the first point.
///
/// # Errors
/// Says what it does not hold for.
pub fn check_bounds(case: &Case, seed: u64) -> std::result::Result<Tally, String> {
    let x = case.arrays::<Array>(&case.points[0]);
    let (model, noise) = (&case.model, Noise::default());
    let value = |reals: Vec<Array>| -> Result<Array> {
        // As the result of an entry point, which catches what the model raises.
        antiphon::vmap(
            |_: antiphon::Batch<Array>| {
                antiphon::Batch::lift(&Run { model, arrays: ArrayOp::apply, noise }.call(x.with(reals)))
            },
            &Array::zeros(&[1]),
        )
    };
    let mut tally = Tally::default();
    for (&radius, number_of) in RADII.iter().zip(0..) {
        let domain = match radius {
            f64::INFINITY => Domain::Everywhere(x.reals.clone()),
            _ => Domain::Box(
                x.reals.iter().map(|x| x.clone() - radius).collect(),
                x.reals.iter().map(|x| x.clone() + radius).collect(),
            ),
        };
        let mut range = None;
        let bound = auto_lip(
            |reals: Vec<Bound<Array>>| {
                let inputs = Inputs {
                    reals,
                    ints: x.ints.iter().map(BoundInt::lift).collect(),
                    flags: x.flags.iter().map(BoundBool::lift).collect(),
                    indices: BoundInt::lift(&x.indices),
                };
                let result = Run { model, arrays: ArrayOp::apply, noise }.call(inputs);
                range = result.range();
                result
            },
            &domain,
        );
        tally.runs += 1;
        let Ok(bound) = bound else { continue };
        if bound.value.is_infinite() {
            if bound.reason.is_none() {
                return Err(format!("an infinite constant without a reason, in a box of {radius}: {bound}"));
            }
            continue;
        }
        tally.finite += 1;
        let mut largest: f64 = 0.0;
        // How the result changed last: where it is that it changes most is a product with the derivative from there.
        let mut change_of_result: Option<Array> = None;
        for pair in 0..PAIRS {
            let reach = if radius.is_finite() { radius } else { 3.0 };
            let a = moved(&x.reals, reach, seed * 1000 + number_of * 100 + pair * 2);
            // Near each other or far apart.
            let near = moved(&a, reach * 1e-3, seed * 1000 + number_of * 100 + pair * 2 + 1);
            let clip = |b: Vec<Array>| -> Vec<Array> {
                if radius.is_infinite() {
                    return b;
                }
                b.iter()
                    .zip(&x.reals)
                    .map(|(b, x)| b.clip(&(x.clone() - radius), &(x.clone() + radius)))
                    .collect()
            };
            let uphill = change_of_result.take().filter(|_| pair % 2 == 0).and_then(|change| {
                let pulled = vjp(
                    |reals| Run { model, arrays: ArrayOp::apply, noise }.call(x.with(reals)),
                    &a,
                    &change,
                );
                let slope = pulled.ok()?.1;
                let known = |x: &Array| x.view().iter().all(|x| x.is_finite());
                let moves = |x: &Array| x.view().iter().any(|x| *x != 0.0);
                (slope.iter().all(known) && slope.iter().any(moves)).then_some(slope)
            });
            let b = match pair % 2 {
                0 if let Some(slope) = &uphill => along(&a, slope, reach * 1e-3, clip),
                0 => clip(near),
                _ => moved(&x.reals, reach, seed * 1000 + number_of * 100 + pair * 2 + 1),
            };
            let said =
                |error| format!("a bound of {}, and at a point of the box of {radius}: {error}", bound.value);
            let (fa, fb) = (value(a.clone()).map_err(said)?, value(b.clone()).map_err(said)?);
            let (fa, fb) = (fa.index(0, 0), fb.index(0, 0));
            let infinite = |x: &Array| x.view().iter().any(|x| !x.is_finite());
            if bound.value == 0.0 && infinite(&fa) && infinite(&fb) {
                // What is constant is so where it is no number.
                continue;
            }
            let (apart, change) = (distance(&a, &b), distance(from_ref(&fa), from_ref(&fb)));
            if pair % 2 == 0 && !infinite(&fa) && !infinite(&fb) {
                change_of_result = Some(fb.clone() - &fa).filter(|x| x.view().iter().any(|x| *x != 0.0));
            }
            let size = fa.view().iter().chain(fb.view()).fold(1.0f64, |most, x| most.max(x.abs()));
            let holds = change <= bound.value * apart * (1.0 + 1e-9) + 1e-11 * size;
            if !holds {
                return Err(format!(
                    "in a box of {radius}: {a:?} and {b:?} are {apart} apart, {fa:?} and {fb:?} {change}: more than\n{bound}"
                ));
            }
            if apart > 0.0 {
                // Less what may be rounding, of which points that are near make much.
                let rounding = if size.is_finite() { 1e-11 * size } else { 0.0 };
                largest = largest.max((change - rounding) / apart);
            }
            // (What is no number lies nowhere.)
            let Some((low, high)) = &range else { continue };
            for y in [&fa, &fb] {
                let inside = y
                    .view()
                    .iter()
                    .zip(low.broadcast_to(&y.shape()).view())
                    .all(|(y, low)| *y >= low - 1e-11 * size || y.is_nan())
                    && y.view()
                        .iter()
                        .zip(high.broadcast_to(&y.shape()).view())
                        .all(|(y, high)| *y <= high + 1e-11 * size || y.is_nan());
                if !inside {
                    return Err(format!("in a box of {radius}: {y:?} is not from {low:?} to {high:?}"));
                }
            }
        }
        tally.tight += u64::from(largest >= 0.9 * bound.value);
        // In single precision it is the constant of nearly the same function.
        if let Some(single) = in_single_precision(case, radius)
            && single < largest * (1.0 - 1e-3) - 1e-3
        {
            return Err(format!(
                "in a box of {radius}: {largest} is found, and {single} a bound in single precision"
            ));
        }
    }
    Ok(tally)
}
