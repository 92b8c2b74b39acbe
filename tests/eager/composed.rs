//! Operators that are composed of others: values against plain loops and against NumPy's, at what is special, and
//! errors.

use antiphon::{
    Int, IntTensor, NdArray, NdBool, NdInt, Norm, Real, Result, Side, Tensor, Var, grad, hessian, jvp,
};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use crate::array::reference::{Plain, assert_close};

type Array = NdArray<f64>;

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

fn array(x: &[f64]) -> Array {
    x.to_vec().into()
}

fn matrix<const M: usize, const N: usize>(rows: [[f64; N]; M]) -> Array {
    Array::from_elements(&[M, N], rows.as_flattened()).unwrap()
}

/// Small integers, so that some are equal.
fn with_ties(shape: &[usize], seed: u64) -> Plain {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Plain::from_fn(shape, |_| f64::from(rng.random_range(-4i32..5)))
}

/// Equal, NaN to NaN.
#[track_caller]
fn assert_same(found: &Array, expected: &[f64]) {
    let found: Vec<f64> = found.view().iter().copied().collect();
    let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
    assert!(
        found.len() == expected.len() && found.iter().zip(expected).all(same),
        "{found:?}, not {expected:?}"
    );
}

const SHAPES: &[&[usize]] = &[
    &[1],
    &[2],
    &[3],
    &[8],
    &[13],
    &[4, 1],
    &[1, 4],
    &[3, 5],
    &[2, 3, 4],
    &[0],
    &[2, 0],
    &[0, 2],
    &[130],
    &[70, 3],
    &[2, 40, 2],
];

#[test]
fn along_an_axis() {
    for (shape, seed) in SHAPES.iter().zip(1..) {
        let x = with_ties(shape, seed);
        let nd = x.nd();
        for axis in 0..shape.len() {
            let folded = |f: fn(f64, f64) -> f64| {
                Plain::from_fn(shape, |at| {
                    let along = (0..=at[axis]).map(|i| {
                        let mut at = at.clone();
                        at[axis] = i;
                        x.at(&at)
                    });
                    along.reduce(f).unwrap()
                })
            };
            let signed = axis as isize - shape.len() as isize;
            assert_close(&nd.cumsum(signed), &folded(|a, b| a + b));
            assert_close(&nd.cumprod(signed), &folded(|a, b| a * b));
            assert_close(&nd.cummax(signed), &folded(f64::max));
            assert_close(&nd.cummin(signed), &folded(f64::min));
            // What stands at each place, of all in their order.
            let order = |at: &Vec<usize>| {
                let mut along: Vec<(usize, f64)> = (0..shape[axis])
                    .map(|i| {
                        let mut at = at.clone();
                        at[axis] = i;
                        (i, x.at(&at))
                    })
                    .collect();
                along.sort_by(|a, b| a.1.total_cmp(&b.1));
                along
            };
            assert_close(&nd.sort(signed), &Plain::from_fn(shape, |at| order(at)[at[axis]].1));
            let places = Plain::from_fn(shape, |at| order(at)[at[axis]].0 as f64);
            assert_close(&Array::from_int(&nd.argsort(signed)), &places);
            if shape[axis] > 0 {
                let first = x.reduce(&[axis], |row| {
                    let least = row.iter().copied().fold(INF, f64::min);
                    row.iter().position(|&x| x == least).unwrap() as f64
                });
                assert_close(&Array::from_int(&nd.argmin(signed)), &first);
            }
            for k in 0..=shape[axis] {
                let (largest, places) = nd.topk(k, signed);
                let mut of = shape.to_vec();
                of[axis] = k;
                // From the last on; of equal ones from the first on.
                let descending = |at: &Vec<usize>| {
                    let mut along = order(at);
                    along.sort_by(|a, b| b.1.total_cmp(&a.1));
                    along[at[axis]]
                };
                assert_close(&largest, &Plain::from_fn(&of, |at| descending(at).1));
                assert_close(&Array::from_int(&places), &Plain::from_fn(&of, |at| descending(at).0 as f64));
            }
        }
    }
}

#[test]
fn over_axes() {
    for (shape, seed) in SHAPES.iter().zip(1..) {
        let x = with_ties(shape, seed);
        let nd = x.nd();
        for set in 0..1usize << shape.len() {
            let axes: Vec<usize> = (0..shape.len()).filter(|axis| set >> axis & 1 == 1).collect();
            let of = |f: fn(&[f64]) -> f64| x.reduce(&axes, f);
            assert_close(&nd.prod(&axes[..]), &of(|row| row.iter().product()));
            assert_close(&nd.norm(Norm::One, &axes[..]), &of(|row| row.iter().map(|x| x.abs()).sum()));
            assert_close(
                &nd.norm(Norm::Two, &axes[..]),
                &of(|row| row.iter().map(|x| x * x).sum::<f64>().sqrt()),
            );
            assert_close(
                &nd.norm(Norm::Infinity, &axes[..]),
                &of(|row| row.iter().fold(0.0, |most, x| most.max(x.abs()))),
            );
            let positive = nd.greater(&Array::scalar(0.0));
            let mask = |mask: &NdBool| Array::from_mask(mask);
            let holds = |held: bool| if held { 1.0 } else { 0.0 };
            assert_close(
                &mask(&Array::any(&positive, &axes[..])),
                &x.reduce(&axes, |row| holds(row.iter().any(|&x| x > 0.0))),
            );
            assert_close(
                &mask(&Array::all(&positive, &axes[..])),
                &x.reduce(&axes, |row| holds(row.iter().all(|&x| x > 0.0))),
            );
            assert_close(
                &Array::count_nonzero(&positive, &axes[..]),
                &of(|row| row.iter().filter(|&&x| x > 0.0).count() as f64),
            );
            if axes.iter().any(|&axis| shape[axis] == 0) {
                continue;
            }
            let spread = |row: &[f64], ddof: f64| {
                let mean = row.iter().sum::<f64>() / row.len() as f64;
                row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (row.len() as f64 - ddof)
            };
            assert_close(&nd.std(&axes[..]), &x.reduce(&axes, |row| spread(row, 0.0).sqrt()));
            if axes.iter().map(|&axis| shape[axis]).product::<usize>() > 1 {
                assert_close(&nd.var_ddof(&axes[..], 1), &x.reduce(&axes, |row| spread(row, 1.0)));
                assert_close(&nd.std_ddof(&axes[..], 1), &x.reduce(&axes, |row| spread(row, 1.0).sqrt()));
            }
            for q in [0.0, 0.1, 0.25, 0.5, 0.77, 1.0] {
                let interpolated = x.reduce(&axes, |row| {
                    let mut row = row.to_vec();
                    row.sort_by(f64::total_cmp);
                    let place = q * (row.len() - 1) as f64;
                    let (low, high) = (row[place.floor() as usize], row[place.ceil() as usize]);
                    low + (high - low) * place.fract()
                });
                assert_close(&nd.quantile(q, &axes[..]), &interpolated);
                if q == 0.5 {
                    assert_close(&nd.median(&axes[..]), &interpolated);
                }
            }
        }
    }
}

/// What NumPy 2 gives; but for the quantile that is itself infinite, of which it makes NaN.
#[test]
fn values_that_are_special() {
    let x = array(&[2.0, NAN, -INF, 1.0, INF, NAN]);
    assert_same(&x.sort(0), &[-INF, 1.0, 2.0, INF, NAN, NAN]);
    assert_eq!(x.argsort(0).elements(), Some(vec![2, 3, 0, 4, 1, 5]));
    assert_eq!(x.argmin(0).elements(), Some(vec![1]));
    let (largest, places) = x.topk(3, 0);
    assert_same(&largest, &[NAN, NAN, INF]);
    assert_eq!(places.elements(), Some(vec![1, 5, 4]));
    assert_same(&x.cummax(0), &[2.0, NAN, NAN, NAN, NAN, NAN]);
    assert_same(&array(&[2.0, -INF, INF, 1.0, NAN]).cumsum(0), &[2.0, -INF, NAN, NAN, NAN]);
    assert_same(&array(&[2.0, INF, 0.0, 1.0]).cumprod(0), &[2.0, INF, NAN, NAN]);
    assert_same(&x.median(..), &[NAN]);
    assert_same(&array(&[INF, 1.0, 2.0]).median(..), &[2.0]);
    assert_same(&array(&[INF, 1.0, 2.0, 3.0]).quantile(0.25, ..), &[1.75]);
    assert_same(&array(&[INF, INF, -INF, 3.0]).quantile(1.0, ..), &[INF]);
    assert_same(&array(&[1.0, -INF, INF]).norm(Norm::Two, ..), &[INF]);
    assert_same(&array(&[1.0, NAN]).norm(Norm::Infinity, ..), &[NAN]);
    assert_same(&Array::zeros(&[0, 2]).prod(0), &[1.0, 1.0]);
    assert_same(&Array::zeros(&[0]).norm(Norm::Infinity, ..), &[0.0]);
    let (low, high) = (array(&[0.0, NAN, 0.0, 3.0]), Array::scalar(2.0));
    assert_same(&array(&[NAN, 1.0, -1.0, 5.0]).clip(&low, &high), &[NAN, NAN, 0.0, 2.0]);
    let edges = array(&[0.0, 1.0, 1.0, 2.0, NAN]);
    let x = matrix([[-1.0, 0.0, 1.0], [1.5, 2.0, NAN]]);
    assert_eq!(edges.searchsorted(&x, Side::Left).elements(), Some(vec![0, 0, 1, 3, 3, 4]));
    assert_eq!(edges.searchsorted(&x, Side::Right).elements(), Some(vec![0, 1, 3, 3, 4, 5]));
    assert_eq!(edges.searchsorted(&x, Side::Right).shape()[..], [2, 3]);
    assert_eq!(edges.searchsorted(&Array::scalar(INF), Side::Right).known(), Some(4));
    assert_eq!(Array::zeros(&[0]).searchsorted(&x, Side::Left).elements(), Some(vec![0; 6]));
    let classes = NdInt::from(vec![2, 0]);
    assert_eq!(Array::one_hot(&classes, 3), matrix([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]));
    assert_eq!(Array::one_hot(&NdInt::constant(1), 2), array(&[0.0, 1.0]));
}

#[test]
fn in_single_precision() {
    let n = 70_000;
    let x: NdArray<f32> = (0..n).map(|i| (i * 48_271 % 65_537) as f32).collect::<Vec<_>>().into();
    let sorted: Vec<f32> = x.sort(0).view().iter().copied().collect();
    assert!(sorted.is_sorted() && sorted[0] == 0.0);
    let places = x.argsort(0).elements().unwrap();
    let mut seen = places.clone();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..n));
    assert_eq!(x.cumsum(0).index(0, 3).item(), x.slice(0, 0..4).sum(..).item());
    let ones = NdArray::<f32>::ones(&[1 << 22]);
    assert_eq!(ones.cumsum(0).index(0, (1 << 22) - 1).item(), (1 << 22) as f32);
}

#[test]
fn products_at_zeros_to_every_order() {
    for zeros in 0..4 {
        let x: Vec<f64> = (0..4).map(|i| if i < zeros { 0.0 } else { 1.0 + i as f64 }).collect();
        let others = |without: &[usize]| -> f64 {
            x.iter().enumerate().filter(|(i, _)| !without.contains(i)).map(|(_, x)| x).product()
        };
        let slope = grad(|x| x.prod(..), &array(&x)).unwrap();
        assert_same(&slope, &(0..4).map(|i| others(&[i])).collect::<Vec<_>>());
        let slope = grad(|x| x.cumprod(0).index(0, 3), &array(&x)).unwrap();
        assert_same(&slope, &(0..4).map(|i| others(&[i])).collect::<Vec<_>>());
        let curvature = hessian(|x| x.prod(..), &array(&x)).unwrap();
        let pairs = |ij: usize| if ij / 4 == ij % 4 { 0.0 } else { others(&[ij / 4, ij % 4]) };
        assert_same(&curvature, &(0..16).map(pairs).collect::<Vec<_>>());
    }
}

#[test]
fn derivatives_at_kinks() {
    let zeros = Array::zeros(&[2, 2]);
    for norm in [Norm::One, Norm::Two, Norm::Infinity] {
        assert_eq!(grad(|x| x.norm(norm, ..), &zeros).unwrap(), zeros);
        assert_eq!(jvp(|x| x.norm(norm, ..), &zeros, &Array::ones(&[2, 2])).unwrap().1.item(), 0.0);
    }
    assert_eq!(grad(|x| x.std(..), &Array::ones(&[3])).unwrap(), Array::zeros(&[3]));
    // Both attain the norm.
    assert_eq!(grad(|x| x.norm(Norm::Infinity, ..), &array(&[2.0, -2.0])).unwrap(), array(&[0.5, -0.5]));
    assert_eq!(grad(|x| x.cummax(0).index(0, 1), &array(&[1.0, 1.0])).unwrap(), array(&[0.5, 0.5]));
    // Equal elements keep their order.
    assert_eq!(grad(|x| x.sort(0).index(0, 1), &array(&[1.0, 1.0, 0.0])).unwrap(), array(&[1.0, 0.0, 0.0]));
    let (x, bound) = (array(&[-1.0, 0.0, 1.0, 3.0]), (Array::scalar(0.0), Array::scalar(1.0)));
    let slopes = grad(|(x, (low, high))| x.clip(&low, &high).sum(..), &(x, bound)).unwrap();
    assert_eq!(slopes, (array(&[0.0, 1.0, 1.0, 0.0]), (Array::scalar(1.0), Array::scalar(1.0))));
    // The mean of the two in the middle.
    assert_eq!(grad(|x| x.median(..), &array(&[5.0, 1.0, 2.0, 0.0])).unwrap(), array(&[0.0, 0.5, 0.5, 0.0]));
}

/// The error's message begins so, and names the line of the macro's call.
macro_rules! refuses {
    ($expected:literal, $f:expr, $x:expr) => {{
        let line = line!();
        let found: Result<Array> = grad($f, &$x);
        let message = found.map(drop).unwrap_err().to_string();
        assert!(message.starts_with($expected), "{message}");
        let place = message.rsplit_once("composed.rs:").expect(&message).1.split(':').next().unwrap();
        assert!((line..line + 6).contains(&place.parse().unwrap()), "{message}, expected at line {line}");
    }};
}

#[test]
fn mistakes() {
    let x = Array::ones(&[2, 3]);
    refuses!("cumsum: ", |x| x.cumsum(2).sum(..), x);
    refuses!("sort: ", |x| x.sort(-3).sum(..), x);
    refuses!("argsort: ", |x| (x.clone() * Var::from_int(&x.argsort(2))).sum(..), x);
    refuses!("prod: ", |x| x.prod([0, 0]).sum(..), x);
    refuses!("norm: ", |x| x.norm(Norm::Infinity, 2).sum(..), x);
    refuses!("std: 3 degrees of freedom are taken from 3 elements", |x| x.std_ddof(1, 3).sum(..), x);
    refuses!("topk: 4 elements of an axis of 3", |x| x.topk(4, 1).0.sum(..), x);
    refuses!("quantile: 1.5 is not between 0 and 1", |x| x.quantile(1.5, ..), x);
    refuses!("quantile: NaN is not between 0 and 1", |x| x.quantile(NAN, ..), x);
    refuses!("median: ", |x| x.median(..), Array::zeros(&[0]));
    refuses!("clip: cannot combine [2, 3] with [2]", |x| x.clip(&x.sum(0), &x.sum(1)).sum(..), x);
    let third = NdInt::constant(3);
    refuses!("scatter_last: ", |x| (x * Var::one_hot(&third, 3)).sum(..), Array::scalar(1.0));
    refuses!(
        "searchsorted: [3] differs from the sorted [2, 3]",
        |x| (x.clone() * Var::from_int(&x.searchsorted(&x.sum(0), Side::Left))).sum(..),
        x
    );
}

/// Errors of sums do not grow with the number of elements, from either end.
#[test]
fn long_sums() {
    let n = 1 << 20;
    let single = NdArray::<f32>::full(&[n], 0.1);
    for (x, what) in
        [(single.cumsum(0), "sums"), (grad(|x| x.cumsum(0).sum(..), &single).unwrap().flip(0), "adjoints")]
    {
        for i in [1, 63, 64, 1000, 100_000, n - 1] {
            let expected = if what == "sums" { (i + 1) as f64 * f64::from(0.1f32) } else { (i + 1) as f64 };
            let found = f64::from(x.index(0, i).item());
            assert!((found / expected - 1.0).abs() < 3e-6, "{what} at {i}: {found} instead of {expected}");
        }
    }
    let x = array(&[1.0, INF, 2.0, -INF, 3.0]).tile(&[40]);
    let sums = x.cumsum(0);
    assert_same(&sums.slice(0, 0..4), &[1.0, INF, INF, NAN]);
    assert!(sums.slice(0, 3..200).view().iter().all(|x| x.is_nan()));
    assert!(array(&[1.0, INF]).tile(&[100]).cumsum(0).slice(0, 1..200).view().iter().all(|&x| x == INF));
}

/// Zeros, and elements that equal the largest before them, of arrays that are short and long.
#[test]
fn derivatives_of_cumulative_products_and_extrema() {
    for n in [6, 30] {
        let mut x = vec![1.25; n];
        (x[2], x[4]) = (0.0, 0.0);
        let slope = grad(|x| x.cumprod(0).sum(..), &array(&x)).unwrap();
        for i in 0..n {
            let product = |j: usize| (0..=j).filter(|&k| k != i).map(|k| x[k]).product::<f64>();
            let expected: f64 = (i..n).map(product).sum();
            assert!((slope.index(0, i).item() - expected).abs() < 1e-12, "{slope}");
        }
        let mut ties = vec![0.0; n];
        (ties[1], ties[3], ties[5]) = (2.0, 2.0, 1.0);
        let slope =
            grad(|x| x.cummax(0).index(0, n - 1) + x.cummin(0).index(0, n - 1), &array(&ties)).unwrap();
        assert_eq!((slope.index(0, 1).item(), slope.index(0, 3).item()), (0.5, 0.5), "{slope}");
        assert!((slope.sum(..).item() - 2.0).abs() < 1e-15);
    }
}
