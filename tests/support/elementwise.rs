//! NumPy's and SciPy's values of elementwise functions, which `tests/reference/elementwise.py` has written, and the same
//! functions here.

use std::collections::BTreeMap;

use antiphon::{Int, Real};

/// Points of a function, its two operands each (a function of one has no use for the second), and its values there.
pub type Reals = BTreeMap<&'static str, ([Vec<f64>; 2], Vec<f64>)>;
pub type Integers = BTreeMap<&'static str, ([Vec<i64>; 2], Vec<i64>)>;

pub fn reference() -> (Reals, Integers) {
    let (mut reals, mut integers) = (Reals::new(), Integers::new());
    for line in include_str!("../reference/elementwise.txt").lines() {
        let words: Vec<&'static str> = line.split(' ').collect();
        if let ["int", name, numbers @ ..] = &words[..] {
            let [x, y, z] = numbers else { panic!("{line}") };
            let ([xs, ys], zs) = integers.entry(name).or_default();
            for (all, number) in [(xs, x), (ys, y), (zs, z)] {
                all.push(number.parse().unwrap());
            }
            continue;
        }
        let numbers: Vec<f64> = words[1..].iter().map(|word| word.parse().unwrap()).collect();
        let ([xs, ys], zs) = reals.entry(words[0]).or_default();
        xs.push(numbers[0]);
        ys.push(numbers[numbers.len() - 2]);
        zs.push(numbers[numbers.len() - 1]);
    }
    assert!(reals.len() == 30 && integers.len() == 2, "{reals:?} {integers:?}");
    (reals, integers)
}

macro_rules! functions {
    (unary: $($unary:ident)*; binary: $($binary:ident)*) => {
        pub fn apply<T: Real>(name: &str, x: &T, y: &T) -> T {
            match name {
                $(stringify!($unary) => x.$unary(),)*
                $(stringify!($binary) => x.$binary(y),)*
                "polygamma1" => x.polygamma(1),
                "polygamma3" => x.polygamma(3),
                _ => panic!("{name}"),
            }
        }
    };
}
functions! {
    unary: erfc exp2 log2 log10 cbrt sinh cosh asin acos atan asinh acosh atanh lgamma digamma i0 i1 sinc floor ceil
        round trunc;
    binary: atan2 hypot fmod remainder logaddexp xlogy
}

pub fn apply_to_integers<I: Int>(name: &str, x: &I, y: &I) -> I {
    match name {
        "floor_divide" => x.floor_divide(y),
        "remainder" => x.remainder(y),
        _ => panic!("{name}"),
    }
}

/// Whether a value is right, zeros' signs included, to some units in the last place; of those functions that have zeros
/// where their formula cancels, to as many of 1.
pub fn is_right(name: &str, found: f64, expected: f64, unit: f64) -> bool {
    if expected == 0.0 && ["remainder", "xlogy", "logaddexp"].contains(&name) {
        return found == 0.0;
    }
    if expected == 0.0 || !expected.is_finite() {
        return found == expected && found.is_sign_negative() == expected.is_sign_negative()
            || found.is_nan() && expected.is_nan();
    }
    let floor =
        if ["digamma", "lgamma", "sinc", "logaddexp"].contains(&name) { 1.0 } else { f64::MIN_POSITIVE };
    (found - expected).abs() <= 16.0 * unit * expected.abs().max(floor)
}
