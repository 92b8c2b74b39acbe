//! Numbers at the ends of what there are, values that are none, and branches that nearly meet.

use antiphon::lipschitz::{Bound, BoundInt, Domain, auto_lip, lipschitz_bound, spectral_norm};
use antiphon::{Control, Error, Mask, NdArray, NdInt, Real, Tensor, Var, grad};

use super::{Array, Value, assert_close, bound, everywhere, interval};

type Single = NdArray<f32>;

fn single(f: impl FnOnce(Bound<Single>) -> Bound<Single>, low: f32, high: f32) -> f64 {
    let domain = Domain::Box(Single::full(&[2], low.into()), Single::full(&[2], high.into()));
    auto_lip(f, &domain).unwrap().value
}

/// That a constant is what it should be, and not below.
#[track_caller]
fn assert_above(got: f64, exact: f64) {
    assert!(got >= exact * (1.0 - 1e-14) && got <= exact * (1.0 + 1e-9), "{got} instead of {exact}");
}

#[test]
fn small_numbers_do_not_vanish() {
    let tiny = Value::full(&[3], 1e-200);
    let number = Domain::Everywhere(Array::scalar(0.0));
    // √3 whatever the weights are scaled by in between.
    assert_above(bound(|x| x * &tiny * 1e200, &number).value, 3f64.sqrt());
    assert!(bound(|x| x * 1e-200 * 1e-200 * 1e300, &number).value >= 1e-100);
    let tiny = Bound::lift(&Single::full(&[3], 1e-30));
    let got =
        auto_lip(|x: Bound<Single>| x * &tiny * 1e30, &Domain::Everywhere(Single::scalar(0.0))).unwrap();
    assert!(got.value >= 3f64.sqrt() * (1.0 - 1e-6) && got.value < 1.733, "{got}");
    // The derivative of 10³⁰⁰/x at 10²⁰⁰ is 10⁻¹⁰⁰.
    let far = interval(1, 1e200, 2e200);
    assert_above(bound(|x| Value::constant(1e300) / x * 1e100, &far).value, 1.0);
    assert_above(bound(|x| x.asinh() * 1e200, &far).value, 1.0);
    assert_above(bound(|x| x.acosh() * 1e200, &far).value, 1.0);
    assert_above(bound(|x| x.atan2(&Value::constant(1.0)) * 1e200, &far).value, 1.0);
    // These are no numbers, and what they are multiplied by may make them some.
    for f in [
        (|x: Value| x.exp() * 1e300 * 1e300) as fn(Value) -> Value,
        |x| x.tanh() * 1e300 * 1e300,
        |x| x.sigmoid() * 1e300 * 1e300,
        |x| (x.clone() * -1.0).softplus() * 1e300 * 1e300,
        |x| x.erf() * 1e300 * 1e300,
        |x| x.erfc() * 1e300 * 1e300,
        |x| x.powi(-200) * 1e300 * 1e300,
        |x| x.pow(&Value::constant(-200.5)) * 1e300 * 1e300,
        |x| x * 1e-300 * 1e-300 * 1e300 * 1e300,
    ] {
        let got = bound(f, &interval(1, -800.0, -750.0)).value;
        let other = bound(f, &interval(1, 750.0, 800.0)).value;
        assert!(got > 0.0 && other > 0.0, "{got}, {other}");
    }
    // What is more than any number says where it became that, of operands whose squares are none.
    let steep = bound(|x| (x.clone() * 1e200) * (x * 1e200) + 1.0, &interval(1, 0.0, 1.0));
    let reason = steep.reason.unwrap();
    assert!(steep.value.is_infinite() && reason.starts_with("mul"), "{reason}");
    // What is flat is flat.
    assert_eq!(bound(|x| x.relu() * 1e300, &interval(1, -2.0, -1.0)).value, 0.0);
    assert_eq!(bound(|x| x.floor(), &interval(1, 0.25, 0.75)).value, 0.0);
    assert_eq!(bound(|x| x * 0.0, &everywhere(1)).value, 0.0);
}

#[test]
fn turns_of_large_numbers_in_single_precision() {
    // A maximum of the slope lies between both ends, which are known to a tenth of a turn there.
    for start in [1e6f32, 2_345_678.0, 8e6] {
        for k in 0..40 {
            let low = start + k as f32 * 0.5;
            let high = low + 0.5;
            let (a, b) = (f64::from(low), f64::from(high));
            let most = |f: fn(f64) -> f64| {
                (0..=1000).map(|i| f(a + (b - a) * f64::from(i) / 1e3).abs()).fold(0.0, f64::max)
            };
            assert!(single(|x| x.sin(), low, high) >= most(f64::cos) * (1.0 - 1e-6), "{low}");
            assert!(single(|x| x.cos(), low, high) >= most(f64::sin) * (1.0 - 1e-6), "{low}");
        }
    }
    // Γ′/Γ is zero near 1.46.
    let at = 1.461_632_1f32;
    assert!(single(|x| x.lgamma(), at, at) >= 1e-8);
    assert!(single(|x| x.asinh(), 1e20, 2e20) >= 0.99e-20);
}

#[test]
fn remainders_jump_where_they_are() {
    // 0.9/0.1 is rounded to 9, and 0.9 is less than nine times 0.1.
    let f = |x: Value| x.remainder(&Value::constant(0.1));
    assert!(bound(f, &interval(1, 0.9, 0.95)).value.is_infinite());
    assert_close(bound(f, &interval(1, 0.91, 0.95)).value, 1.0, 1e-12);
    assert_close(bound(|x| x.remainder(&Value::constant(1.0)), &interval(1, 1.0, 1.5)).value, 1.0, 1e-12);
    assert!(bound(|x| x.remainder(&Value::constant(1.0)), &interval(1, 0.5, 1.0)).value.is_infinite());
    assert_close(bound(|x| x.fmod(&Value::constant(-1.0)), &interval(1, -0.5, 0.5)).value, 1.0, 1e-12);
    assert!(bound(|x| x.remainder(&Value::constant(-1.0)), &interval(1, -0.5, 0.5)).value.is_infinite());
    assert!(bound(|x| x.remainder(&Value::constant(0.0)), &interval(1, 0.5, 0.6)).value.is_infinite());
}

fn less(x: &Value, than: f64) -> antiphon::lipschitz::BoundBool<antiphon::NdBool> {
    x.less(&Value::constant(than))
}

#[test]
fn arms_that_nearly_meet_do_not() {
    let of = |f: fn(Value) -> Value| bound(f, &everywhere(2)).value;
    // Relative to what is multiplied later, no step is small.
    let step = |x: Value| Value::select(&less(&x, 0.0), &(x.clone() * 1e-30), &Value::constant(1e-15)) * 1e15;
    assert!(of(step).is_infinite());
    // 2⁵³ + 2 less one is no number: half of it is not where the condition changes.
    let edge = 9_007_199_254_740_994.0;
    let far =
        |x: Value| Value::select(&less(&x, 9_007_199_254_740_994.0), &x, &Value::constant(4.5e15 + 3.6e12));
    assert!(of(far).is_infinite());
    let met = bound(|x| Value::select(&less(&x, edge), &x, &Value::constant(edge)), &everywhere(2));
    assert_close(met.value, 1.0, 1e-12);
    // Where the condition changes is known to one digit.
    let vague = |x: Value| {
        let side = less(&(x.clone() * 1e-15 + 1.0), 1.0 + 3e-15);
        Value::select(&side, &x, &Value::constant(3.25))
    };
    assert!(of(vague).is_infinite());
    // In rounded arithmetic x + 10¹⁶ + 1 is x + 10¹⁶.
    let absorbed =
        |x: Value| Value::select(&less(&(x.clone() + 1e16 + 1.0), 1e16), &Value::constant(0.0), &x);
    assert!(of(absorbed).is_infinite());
    // These meet, up to what their own numbers are rounded by.
    let hard_sigmoid = |x: Value| {
        let middle = x.clone() * (1.0 / 6.0) + 0.5;
        let low = Value::select(&less(&x, -3.0), &Value::constant(0.0), &middle);
        low.minimum(&Value::constant(1.0))
    };
    assert_close(of(hard_sigmoid), 1.0 / 6.0, 1e-12);
    let shifted = |x: Value| {
        let t = (x.clone() - 0.1) * 3.0 + 0.2;
        Value::select(&less(&t, 0.5), &t.square(), &(t.clone() - 0.25))
    };
    // By the slope of the square over all of the range, −0.1 to 2.9.
    assert_close(bound(shifted, &interval(2, 0.0, 1.0)).value, 17.4, 1e-12);
}

#[test]
fn arms_are_compared_at_every_bound_of_a_condition() {
    let f = |x: Value| {
        let inside = less(&x, 1.0).and(&x.greater(&Value::constant(-1.0)));
        Value::select(&inside, &x.square(), &(x.abs() * 2.0 - 1.0))
    };
    assert_close(bound(f, &interval(1, -2.0, 3.0)).value, 6.0, 1e-12);
    // They meet at 1, and not at −1.
    let g = |x: Value| {
        let inside = less(&x, 1.0).and(&x.greater(&Value::constant(-1.0)));
        Value::select(&inside, &x.square(), &x)
    };
    assert!(bound(g, &interval(1, -2.0, 3.0)).value.is_infinite());
    assert_close(bound(g, &interval(1, -0.5, 3.0)).value, 6.0, 1e-12);
}

/// A comparison with what may be no number, and a step on it.
fn after_log<T: Control>(x: T) -> T {
    let sure = x.log().tanh().less(&T::constant(2.0));
    T::cond(&sure, || T::constant(1.0), || x.clone().scale(3.0))
}

#[test]
fn comparisons_with_what_is_no_number_are_not_known() {
    let number = |low: f64, high: f64| Domain::Box(Array::scalar(low), Array::scalar(high));
    // ln(−1) is not less than 2, nor is its tanh.
    assert_eq!(after_log(-1.0), -3.0);
    assert!(bound(after_log, &number(-1.0, 1.0)).value.is_infinite());
    assert_eq!(bound(after_log, &number(0.5, 1.0)).value, 0.0);
    let power = |x: Value| {
        let y = x.pow(&x);
        Value::select(&x.less(&y), &Value::constant(0.5), &x)
    };
    assert!(bound(power, &number(-1.3, -1.2)).value.is_infinite());
    // Under derivatives as well.
    let slope = grad(
        |at: Var<'_, Array>| {
            let domain = Domain::Box(at.clone() - 2.0, at.clone());
            lipschitz_bound(|x| x.log().exp().minimum(&(x.clone() * 1e3)), &domain)
        },
        &Array::scalar(1.0),
    );
    assert!(slope.is_ok_and(|slope| !slope.item().is_finite() || slope.item() == 0.0));
}

#[test]
fn weights_that_are_no_numbers() {
    let nan = Value::full(&[2, 2], f64::NAN);
    assert!(bound(|x| x.matmul(&nan), &everywhere(2)).value.is_infinite());
    assert!(!spectral_norm(&Array::full(&[2, 2], f64::NAN)).item().is_finite());
    assert!(!spectral_norm(&Array::full(&[2, 2], f64::INFINITY)).item().is_finite());
    assert!(bound(|x| x + &Value::constant(f64::NAN), &everywhere(2)).value.is_infinite());
    let reason = bound(|x| x.tanh() - f64::NAN, &everywhere(2)).reason.unwrap();
    assert!(reason.contains("not a number") && reason.contains("extremes.rs"), "{reason}");
    let rows = bound(|x| Value::concat(&[x, Value::full(&[1], f64::NAN)], 0), &everywhere(2));
    assert!(rows.value.is_infinite());
    // Masks of −∞ are what they are in attention.
    let mask = Value::lift(&Array::from(vec![0.0, f64::NEG_INFINITY]));
    assert_close(bound(|x| (x + &mask).softmax(0), &everywhere(2)).value, 0.5, 1e-12);
    // What is replaced lies where its replacement does.
    let replaced = |x: Value| {
        let y = (x.clone() + f64::INFINITY).nan_to_num(0.0, 3.0, 0.0) + x;
        y.tanh()
    };
    assert!(bound(replaced, &interval(1, -3.5, -2.5)).value >= 1.0 - 1e-12);
}

#[test]
fn domains_without_elements_or_room() {
    let empty = Domain::Everywhere(Array::zeros(&[0]));
    assert_eq!(bound(|x| x.exp(), &empty).value, 0.0);
    let rows = Domain::Box(Array::zeros(&[0, 3]), Array::zeros(&[0, 3]));
    assert_eq!(bound(|x| x.exp().sum(..), &rows).value, 0.0);
    assert_eq!(auto_lip(|x: Vec<Value>| x, &Domain::Everywhere(Vec::<Array>::new())).unwrap().value, 0.0);
    // One point: the derivative there.
    let point = Domain::Ball(Array::full(&[3], 0.5), 0.0);
    assert_close(bound(|x| x.square(), &point).value, 1.0, 1e-12);
    // Half of all numbers.
    let half = Domain::Box(Array::full(&[2], 0.0), Array::full(&[2], f64::INFINITY));
    assert_close(bound(|x| (-x).exp(), &half).value, 1.0, 1e-12);
    assert!(bound(|x| x.exp(), &half).value.is_infinite());
    assert!(bound(|x| x.clone() * x, &half).value.is_infinite());
    assert_close(bound(|x| x.tanh() * x.sigmoid(), &half).value, 1.25, 1e-12);
    assert_close(bound(|x| (x * 0.0).cos(), &half).value, 0.0, 1e-12);
}

#[test]
fn recursion_that_branches_ends() {
    // Fibonacci's: two calls within each, of a number that nobody knows.
    let fibonacci = |x: Value| {
        Value::fix(x, |f, x: Value| {
            let small = less(&x, 2.0);
            Value::cond(&small, || x.clone(), || f(x.clone() - 1.0) + f(x.clone() - 2.0))
        })
    };
    let error = auto_lip(fibonacci, &Domain::Everywhere(Array::scalar(0.0))).unwrap_err();
    assert!(matches!(error, Error::Argument { op: "fix", .. }), "{error}");
    // A recursion whose depth is known is no longer than it is, in a branch that is not.
    let deep = |x: Value| {
        let start = (antiphon::state::Index::<Value>(antiphon::Int::constant(300)), x.clone());
        let down = |x: (antiphon::state::Index<Value>, Value)| {
            Value::fix(x, |f, (n, x): (antiphon::state::Index<Value>, Value)| {
                let more = antiphon::Int::greater(&n.0, &antiphon::Int::constant(0));
                Value::cond(
                    &more,
                    || f((antiphon::state::Index(n.0.clone() - 1), x.clone() * 0.5)),
                    || x.clone(),
                )
            })
        };
        Value::cond(&less(&x, 0.0), || down(start), || x.clone() * 0.0)
    };
    assert!(auto_lip(deep, &Domain::Everywhere(Array::scalar(0.0))).is_ok());
}

#[test]
fn indices_that_the_input_decides_have_the_shape_of_others() {
    let rows = Value::lift(&Array::zeros(&[3, 2]));
    let f = |x: Value| rows.gather_rows(&x.reshape(&[2, 2]).argmax(-1)).sum(..);
    assert!(bound(f, &interval(4, 0.0, 1.0)).value.is_infinite());
    let wrong = |x: Value| x.reshape(&[2, 2]).gather_last(&x.to_int());
    assert!(
        auto_lip(wrong, &interval(4, 0.0, 1.0)).is_err()
            || bound(wrong, &interval(4, 0.0, 1.0)).value.is_infinite()
    );
    // The last row by both of its names.
    let twice = BoundInt::lift(&NdInt::from(vec![1, 1, 0]));
    assert_close(bound(|x| x.gather_rows(&twice), &everywhere(2)).value, 2f64.sqrt(), 1e-12);
}

#[cfg(feature = "staging")]
#[test]
fn branches_in_compiled_code() {
    use antiphon::compile;
    use antiphon::recording::Recorded;
    /// Leaky ReLU, by a slope that is data.
    fn leaky<T: Tensor>((w, slope): (T, T)) -> T {
        let model = |x: Bound<T>| {
            let h = x * &Bound::lift(&w);
            let positive = h.greater(&Bound::constant(0.0));
            Bound::select(&positive, &h, &(h.clone() * &Bound::lift(&slope)))
        };
        lipschitz_bound(model, &Domain::Everywhere(T::zeros(&[3])))
    }
    let x = (Array::from(vec![0.3, -1.0, 0.7]), Array::scalar(-3.0));
    let mut code = compile("leaky", |x: (Recorded, Recorded)| leaky(x), &x).unwrap();
    assert_close(leaky(x.clone()).item(), 3.0, 1e-12);
    assert_close(code.call(&x).unwrap().item(), 3.0, 1e-12);
    /// A step at data.
    fn stepped<T: Tensor>(at: T) -> T {
        let domain = Domain::Box(T::zeros(&[2]), T::ones(&[2]));
        let model = |x: Bound<T>| {
            let below = x.less(&Bound::lift(&at));
            Bound::select(&below, &(x.clone() * 2.0), &(x.clone() * 5.0))
        };
        lipschitz_bound(model, &domain)
    }
    let mut code = compile("stepped", |at: Recorded| stepped(at), &Array::scalar(0.5)).unwrap();
    assert!(code.call(&Array::scalar(0.5)).unwrap().item().is_infinite());
    assert!(stepped(Array::scalar(0.5)).item().is_infinite());
    for at in [2.0, -1.0] {
        let got = code.call(&Array::scalar(at)).unwrap().item();
        assert!(got.is_finite() && got >= stepped(Array::scalar(at)).item() * (1.0 - 1e-12), "{got} at {at}");
    }
}
