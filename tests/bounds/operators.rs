//! Constants of operators: that they are the largest slopes, found by a search over a fine grid, of all numbers or of an
//! interval.

use antiphon::{Int, NdInt, Norm, Number, Real, Tensor, Window2d, grad};

use super::{Array, Value, assert_close, bound, everywhere, interval};

/// The largest slope of a function of one number on a grid, refined about it.
fn largest_slope(f: impl Fn(f64) -> f64, low: f64, high: f64) -> f64 {
    let (mut low, mut high, mut best) = (low, high, 0.0f64);
    for _ in 0..8 {
        let n = 2_000;
        let at = |i: usize| low + (high - low) * i as f64 / n as f64;
        let (place, most) =
            (0..=n).map(|i| (i, f(at(i)).abs())).max_by(|a, b| a.1.total_cmp(&b.1)).expect("a grid");
        best = best.max(most);
        (low, high) = (at(place.saturating_sub(1)), at((place + 1).min(n)));
    }
    best
}

macro_rules! functions {
    ($($name:ident;)*) => { [ $((
        stringify!($name),
        (|x: Value| x.$name()) as fn(Value) -> Value,
        (|x: f64| grad(|x| x.$name(), &x).unwrap()) as fn(f64) -> f64,
        (|x: f64| <f64 as Real>::$name(&x)) as fn(f64) -> f64,
    ),)* ] };
}

#[test]
fn constants_of_all_numbers_are_the_largest_slopes() {
    let functions = functions! {
        relu; tanh; sigmoid; softplus; abs; sin; cos; erf; erfc; atan; asinh; sinc;
    };
    for (name, f, slope, _) in functions {
        let got = bound(f, &everywhere(3)).value;
        assert_close(got, largest_slope(slope, -40.0, 60.0), 1e-9);
        assert!(got >= largest_slope(slope, -40.0, 60.0) * (1.0 - 1e-15), "{name}");
    }
    for f in [
        |x: Value| x.exp(),
        |x: Value| x.square(),
        |x: Value| x.sinh(),
        |x: Value| x.log(),
        |x: Value| x.tan(),
    ] {
        assert!(bound(f, &everywhere(3)).value.is_infinite());
    }
}

#[test]
fn constants_of_intervals_are_the_largest_slopes() {
    let functions = functions! {
        relu; tanh; sigmoid; softplus; abs; sin; cos; erf; erfc; atan; asinh; exp; expm1; exp2; sinh; cosh; square;
        log; log1p; log2; log10; sqrt; cbrt; recip; lgamma; digamma; i0; i1; acosh; asin; acos; atanh; tan; sinc;
    };
    let intervals = [(-0.9, 0.4), (0.2, 0.7), (1.2, 3.0), (-6.0, -1.5), (0.5, 9.0), (-2.0, 2.0)];
    for (name, f, slope, value) in functions {
        let mut finite = 0;
        for (low, high) in intervals {
            let mut range = None;
            let got = bound(
                |x| {
                    let y = f(x);
                    range = y.range();
                    y
                },
                &interval(2, low, high),
            );
            if got.value.is_infinite() {
                assert!(got.reason.is_some(), "{name}");
                continue;
            }
            finite += 1;
            let expected = largest_slope(slope, low, high);
            assert!(
                got.value >= expected * (1.0 - 1e-15),
                "{name} on {low}..{high}: {} < {expected}",
                got.value
            );
            if name != "sinc" {
                assert_close(got.value, expected, if name == "i1" { 1.0 } else { 1e-9 });
            }
            let (least, most) = range.expect("it is known");
            for i in 0..=100 {
                let y = value(low + (high - low) * f64::from(i) / 100.0);
                let (least, most) = (least.view()[[0]], most.view()[[0]]);
                assert!(
                    least <= y && y <= most,
                    "{name} on {low}..{high}: {y} is not from {least} to {most}"
                );
            }
        }
        assert!(finite >= 1, "{name}");
    }
}

#[test]
fn operators_of_arrays() {
    let x = everywhere(6);
    let constant = |f: fn(Value) -> Value| bound(f, &everywhere(6)).value;
    assert_close(constant(|x| x.softmax(0)), 0.5, 1e-12);
    assert_close(constant(|x| x.log_softmax(0)), 6f64.sqrt(), 1e-12);
    assert_close(constant(|x| x.logsumexp(0)), 1.0, 1e-12);
    assert_close(constant(|x| x.sum(0)), 6f64.sqrt(), 1e-12);
    assert_close(constant(|x| x.mean(0)), 1.0 / 6f64.sqrt(), 1e-12);
    assert_close(constant(|x| x.max(0)), 1.0, 1e-12);
    assert_close(constant(|x| x.sort(0)), 1.0, 1e-12);
    assert_close(constant(|x| x.median(0)), 1.0, 1e-12);
    assert_close(constant(|x| x.norm(Norm::Two, 0)), 1.0, 1e-12);
    assert_close(constant(|x| x.norm(Norm::One, 0)), 6f64.sqrt(), 1e-12);
    assert_close(constant(|x| x.gelu()), 1.128_904_145_185_15, 1e-12);
    assert_close(constant(|x| x.clone() + x.tanh()), 2.0, 1e-12);
    assert_close(constant(|x| Value::concat(&[x.tanh(), x.sigmoid()], 0)), 1.0625f64.sqrt(), 1e-12);
    assert_close(constant(|x| x.standardize(-1, 0.25)), 2.0, 1e-12);
    let targets = NdInt::constant(1);
    let lifted = antiphon::lipschitz::BoundInt::lift(&targets);
    assert_close(bound(|x| x.cross_entropy(&lifted), &x).value, 2f64.sqrt(), 1e-12);
    let seed = antiphon::lipschitz::BoundInt::lift(&NdInt::constant(3));
    let dropped = bound(|x| x.dropout(0.2, &seed), &x).value;
    assert_close(dropped, 1.25, 1e-12);
}

#[test]
fn activations_have_their_constants() {
    let constant = |f: fn(Value) -> Value| bound(f, &everywhere(3)).value;
    type Activation = fn(Value) -> Value;
    let table: [(&str, Activation, f64); 4] = [
        ("leaky ReLU", |x| Value::select(&x.greater(&Value::constant(0.0)), &x, &(x.clone() * 0.01)), 1.0),
        ("steep", |x| Value::select(&x.greater(&Value::constant(0.0)), &x, &(x.clone() * -3.0)), 3.0),
        ("hard tanh", |x| x.clamp(-1.0, 1.0), 1.0),
        ("hat", |x| x.abs().maximum(&(x.clone() * 0.5 + 1.0)), 1.0),
    ];
    for (name, f, expected) in table {
        let got = bound(f, &everywhere(3));
        assert!((got.value - expected).abs() < 1e-12, "{name}: {got}");
    }
    assert!(
        constant(|x| Value::select(&x.greater(&Value::constant(0.0)), &x.ones_like(), &x.zeros_like()))
            .is_infinite()
    );
    // An arm that is repeated moves in each place.
    let rows = |x: Value| Value::select(&x.greater(&Value::constant(0.0)), &x, &Value::zeros(&[4, 3]));
    assert_close(constant(rows), 2.0, 1e-12);
    // They meet at 1, and nowhere else.
    assert_close(
        constant(|x| Value::select(&x.greater(&Value::constant(1.0)), &(x.clone() * 2.0 - 1.0), &x)),
        2.0,
        1e-12,
    );
    assert!(
        constant(|x| Value::select(&x.greater(&Value::constant(1.1)), &(x.clone() * 2.0 - 1.0), &x))
            .is_infinite()
    );
}

#[test]
fn images() {
    let domain = antiphon::lipschitz::Domain::Everywhere(Array::zeros(&[1, 1, 6, 6]));
    let constant = |f: &dyn Fn(Value) -> Value| antiphon::lipschitz::auto_lip(f, &domain).unwrap().value;
    let apart = Window2d { stride: [2, 2], padding: [0, 0] };
    let over = Window2d { stride: [2, 2], padding: [1, 1] };
    assert_close(constant(&|x| x.max_pool2d([2, 2], apart)), 1.0, 1e-12);
    // A place in the middle is in four windows.
    assert_close(constant(&|x| x.max_pool2d([3, 3], over)), 2.0, 1e-12);
    assert_close(constant(&|x| x.avg_pool2d([2, 2], apart)), 0.5, 1e-12);
    let kernel = Array::from_elements(&[1, 1, 1, 3], &[1.0, -2.0, 1.0]).unwrap();
    let same = Window2d { stride: [1, 1], padding: [0, 1] };
    let norm = constant(&|x| x.conv2d(&Value::lift(&kernel), same));
    // 2 − 2cos(6π/7), and at most the circular convolution's norm.
    let exact = 2.0 - 2.0 * (6.0 * std::f64::consts::PI / 7.0).cos();
    assert_close(norm, exact, 1e-12);
}

#[test]
fn products_of_what_varies_need_ranges() {
    let f = |x: Value| x.tanh() * x.sigmoid();
    // |σ|·1 + |tanh|·¼
    assert_close(bound(f, &everywhere(3)).value, 1.25, 1e-12);
    let product = |x: Value| x.clone() * &x;
    assert!(bound(product, &everywhere(3)).value.is_infinite());
    assert_close(bound(product, &interval(3, -2.0, 1.0)).value, 4.0, 1e-12);
    let matrix = |x: Value| x.reshape(&[2, 2]).matmul(&x.reshape(&[2, 2]).tanh());
    assert!(bound(matrix, &everywhere(4)).value.is_infinite());
    assert!(bound(matrix, &interval(4, -1.0, 1.0)).value.is_finite());
}

/// A gate with a formula over numbers, as models have it.
fn gated<T: Number>(x: T) -> T {
    (x.clone() * 0.5).tanh() * 2.0 + 1.0 - x
}

#[test]
fn formulas() {
    assert_close(bound(gated, &everywhere(2)).value, 2.0, 1e-12);
    // The paper's example: ln(1 + e^{x/2}) + |x/2 − ω·sin x|.
    for omega in [0.0, 0.3, -2.5] {
        let f = |x: Value| (x.clone() * 0.5).softplus() + (x.clone() * 0.5 - x.sin() * omega).abs();
        assert_close(bound(f, &everywhere(1)).value, 1.0 + omega.abs(), 1e-12);
    }
}
