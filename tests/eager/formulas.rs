//! How formulas are written: with plain numbers, in place, with references, and with plain values.

use antiphon::{Dual, NdArray, Number, Params, Real, Tensor, Var, function, grad, jvp, value_and_grad};

type Array = NdArray<f64>;

/// `((2x + 1) / 4 − 3)·x`, and then all assignments.
fn formula<T: Number>(x: &T) -> T {
    let mut y = ((x.clone() * 2.0 + 1.0) / 4.0 - 3.0) * x;
    y += 1.5;
    y += x;
    y += x.clone();
    y -= 0.5;
    y -= x;
    y -= x.clone();
    y *= 3.0;
    y *= x;
    y *= x.clone();
    y /= 1.5;
    y /= x;
    y /= x.clone();
    y
}

#[test]
fn scalars_take_plain_numbers_as_arrays_do() {
    let (value, slope) = (2.0 * (((2.0 * 2.0 + 1.0) / 4.0 - 3.0) * 2.0 + 1.0), 2.0 * (2.0 + 0.25 - 3.0));
    assert_eq!(formula(&2.0), value);
    assert_eq!(value_and_grad(|x| formula(&x), &2.0).unwrap(), (value, slope));
    assert_eq!(jvp(|x| formula(&x), &2.0, &1.0).unwrap(), (value, slope));
    assert_eq!(grad(|x| grad(|y| formula(&y), &x).unwrap(), &2.0).unwrap(), 2.0);
    let (single, slope_of_single) = value_and_grad(|x| formula(&x), &2.0f32).unwrap();
    assert_eq!((f64::from(single), f64::from(slope_of_single)), (value, slope));
    let x = NdArray::scalar(2.0);
    assert_eq!(formula(&x).item(), value);
    assert_eq!(grad(|x| formula(&x), &x).unwrap().item(), slope);
}

/// What a rounding mistake would show: operands in their order.
#[test]
fn plain_numbers_stand_on_the_left_and_references_anywhere() {
    let (x, y) = (0.3f64, 0.7);
    let numbers = |x: f64| 1.0 - 2.0 / (3.0 * x + 4.0);
    let slope = grad(|x| 1.0 - 2.0 / (3.0 * &x + 4.0), &x).unwrap();
    assert!((slope - 6.0 / (3.0 * x + 4.0).powi(2)).abs() < 1e-15);
    assert_eq!(value_and_grad(|x| 1.0 - 2.0 / (3.0 * x + 4.0), &x).unwrap().0, numbers(x));
    assert_eq!(jvp(|x| 1.0 - 2.0 / (3.0 * &x + 4.0), &x, &1.0).unwrap().0, numbers(x));
    let array = NdArray::scalar(x);
    assert_eq!((1.0 - 2.0 / (3.0 * &array + 4.0)).item(), numbers(x));
    let expected = (x * y - x / y, y - 1.0 / y);
    let (value, (dx, _)) = value_and_grad(|(x, y)| &x * &y - &x / y, &(x, y)).unwrap();
    assert_eq!((value, dx), expected);
    let (value, dx) = jvp(|(x, y): (Dual<_>, Dual<_>)| &x * &y - &x / y, &(x, y), &(1.0, 0.0)).unwrap();
    assert_eq!((value, dx), expected);
    let other = NdArray::scalar(y);
    assert_eq!((&array * &other - &array / other).item(), expected.0);
}

#[derive(Clone, Params)]
struct Line<T> {
    slope: T,
    offset: T,
}

/// Data that is no parameter, over any interpretation, without `lift`.
fn loss<T: Tensor>(line: &Line<T>, xs: &T, ys: &T) -> (T, Line<T>) {
    let loss = function::<Line<T>, _>(|line| (line.slope * xs + line.offset - ys).square().sum(..));
    value_and_grad(loss, line).unwrap()
}

#[test]
fn plain_values_enter_a_derivative_as_constants() {
    let line = Line { slope: NdArray::scalar(2.0), offset: NdArray::scalar(1.0) };
    let [xs, ys]: [Array; 2] = [vec![1.0, 2.0].into(), vec![2.0, 7.0].into()];
    let (value, gradient) = loss(&line, &xs, &ys);
    assert_eq!((value.item(), gradient.slope.item(), gradient.offset.item()), (5.0, -6.0, -2.0));
    // From both sides, by value and by reference.
    let with = |f: &dyn for<'r> Fn(Var<'r, Array>) -> Var<'r, Array>| grad(|w| f(w).sum(..), &xs).unwrap();
    let expected = ys.clone();
    assert_eq!(with(&|w| w * &ys), expected);
    assert_eq!(with(&|w| w * ys.clone()), expected);
    assert_eq!(with(&|w| &ys * w), expected);
    assert_eq!(with(&|w| ys.clone() * w), expected);
    assert_eq!(with(&|w| w * Var::from(&ys)), expected);
    assert_eq!(with(&|w| w * Var::from(ys.clone())), expected);
    assert_eq!(with(&|w| &ys - w), Array::full(&[2], -1.0));
    let (_, dot) = jvp(|w| (&ys * w).sum(..), &xs, &xs).unwrap();
    assert_eq!(dot.item(), 16.0);
    assert_eq!(Dual::from(2.0).into_parts(), Dual::from(&2.0).into_parts());
}

/// `x += y` of numbers over any `Real`.
#[test]
fn sums_are_made_in_place_over_every_real() {
    fn sum<T: Real>(xs: &[T]) -> T {
        let mut sum = T::constant(0.0);
        xs.iter().for_each(|x| sum += x);
        sum *= xs[0].clone();
        sum
    }
    assert_eq!(sum(&[1.0f32, 2.0]), 3.0);
    assert_eq!(grad(|xs: Vec<Var<'_, f64>>| sum(&xs), &vec![1.0, 2.0]).unwrap(), [4.0, 1.0]);
}

#[test]
fn arrays_are_changed_where_they_lie_and_stay_as_they_are_if_they_cannot_be() {
    let mut x = Array::zeros(&[1000]);
    let place = x.view().as_ptr();
    x += 2.0;
    x *= Array::full(&[1000], 3.0);
    x -= &Array::full(&[], 1.0);
    assert_eq!((x.view().as_ptr(), x.clone()), (place, Array::full(&[1000], 5.0)));
    // What a clone holds is nobody's to change.
    let kept = x.clone();
    x /= 5.0;
    assert_eq!((x.sum(..).item(), kept.sum(..).item()), (1000.0, 5000.0));
    let shared = &mut x;
    let failed = grad(
        |w: Var<'_, Array>| {
            *shared += Array::zeros(&[3]);
            w
        },
        &Array::scalar(0.0),
    );
    let message = failed.unwrap_err().to_string();
    assert!(
        message.starts_with("add: cannot combine [1000] with [3] (tests/eager/formulas.rs:"),
        "{message}"
    );
    assert_eq!(x.sum(..).item(), 1000.0);
}
