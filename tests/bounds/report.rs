//! What the report says, and what is refused.

use antiphon::lipschitz::{Domain, auto_lip, spectral_norm};
use antiphon::nn::{LayerNorm, Linear, Lstm, Recurrent};
use antiphon::{NdArray, Params, Real, Tensor};

use super::{Array, Value, assert_close, bound, everywhere, interval};

#[derive(Clone, Debug, Params)]
struct Network<T> {
    first: Linear<T>,
    norm: LayerNorm<T>,
    second: Linear<T>,
}

impl<T: Tensor> Network<T> {
    fn apply(&self, x: &T) -> T {
        let h = self.norm.apply(&self.first.apply(x));
        x.clone() + self.second.apply(&h.relu())
    }
}

fn network() -> Network<Array> {
    let mut rng = antiphon::nn::Rng::new(3);
    Network {
        first: Linear::new(&mut rng, 4, 8),
        norm: LayerNorm::new(8),
        second: Linear::new(&mut rng, 8, 4),
    }
}

#[test]
fn models_of_layers() {
    let network = network();
    let lifted = network.map_leaves(Value::lift);
    let report = bound(|x| lifted.apply(&x), &everywhere(4));
    let norm = |w: &Array| spectral_norm(w).item();
    let expected = 1.0 + norm(&network.first.w) / 1e-5f64.sqrt() * norm(&network.second.w);
    assert_close(report.value, expected, 1e-9);
    let text = report.to_string();
    for part in ["standardize", "batch_matmul", "report.rs"] {
        assert!(text.contains(part), "{text}");
    }
    // The product of what the operators on the way multiply is what a report is for.
    let largest = report.contributions.iter().max_by(|a, b| a.factor.total_cmp(&b.factor)).unwrap();
    assert_eq!(largest.operator, "standardize");
}

#[test]
fn a_cell_is_bounded_where_its_state_is() {
    let mut rng = antiphon::nn::Rng::new(5);
    let cell: Lstm<Array> = Lstm::new(&mut rng, 3, 4);
    let lifted = cell.map_leaves(Value::lift);
    let step = |x: Value| {
        let x = x.reshape(&[1, 3]);
        let mut state = lifted.initial(1);
        for _ in 0..3 {
            state = lifted.step(&state, &x);
        }
        state.h
    };
    let report = auto_lip(step, &interval(3, -1.0, 1.0)).unwrap();
    assert!(report.value.is_finite() && report.value > 0.0, "{report}");
}

#[test]
fn results_together() {
    let both = |x: Value| (x.tanh(), x * 2.0);
    let domain = everywhere(3);
    assert_close(auto_lip(both, &domain).unwrap().value, 5f64.sqrt(), 1e-12);
    let pair = Domain::Everywhere((Array::scalar(0.0), Array::scalar(0.0)));
    let sum = auto_lip(|(a, b): (Value, Value)| a + b, &pair).unwrap().value;
    // Bound by AutoLip: each of both changes at most as much as both together.
    assert_close(sum, 2.0, 1e-12);
    assert_eq!(auto_lip(|_: Value| Value::constant(3.0), &domain).unwrap().value, 0.0);
}

#[test]
fn what_is_not_bounded_says_so() {
    for (f, operator) in [
        ((|x: Value| x.exp()) as fn(Value) -> Value, "exp"),
        (|x| x.sqrt(), "sqrt"),
        (|x| x.clone() / x.sin(), "div"),
        (|x| x.floor(), "floor"),
        (|x| x.xlogy(&x), "log"),
        (|x| Value::lift(&Array::zeros(&[3, 2])).gather_rows(&x.argmax(0)), "gather_rows"),
        (|x| antiphon::linalg::inv(&x.reshape(&[2, 2])), "inv"),
    ] {
        let report = bound(f, &interval(4, -1.0, 1.0));
        if operator == "exp" {
            assert!(report.value.is_finite());
            continue;
        }
        assert!(report.value.is_infinite(), "{operator}: {report}");
        let reason = report.reason.expect("there is one");
        assert!(reason.contains("report.rs"), "{reason}");
        let named = reason.starts_with(operator) || operator == "inv";
        assert!(named, "{reason}");
    }
    let weights = Array::from(vec![1.0, f64::NAN]);
    let report = bound(|x| x * &Value::lift(&weights), &everywhere(2));
    assert!(report.value.is_infinite() && report.reason.is_some(), "{report}");
}

#[test]
fn domains_that_are_none() {
    let refused = |domain: Domain<Array>, part: &str| {
        let error = auto_lip(|x: Value| x, &domain).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("report.rs"), "{error}");
    };
    let x = |x: f64| Array::full(&[2], x);
    refused(Domain::Ball(x(0.0), -1.0), "a ball of radius -1");
    refused(Domain::Ball(x(0.0), f64::NAN), "a ball of radius NaN");
    refused(Domain::Ball(x(f64::NAN), 1.0), "no number");
    refused(Domain::Box(x(1.0), x(0.0)), "end is before its start");
    refused(Domain::Box(x(f64::NAN), x(0.0)), "no number");
    refused(Domain::Box(x(1.0), Array::full(&[3], 2.0)), "from [2] to [3]");
}

#[test]
fn single_precision_rounds_outwards_as_well() {
    let w = NdArray::<f32>::from(vec![0.1, 0.2, 0.3]);
    let domain = Domain::Everywhere(NdArray::<f32>::zeros(&[3]));
    let lifted = antiphon::lipschitz::Bound::lift(&w);
    let report = auto_lip(|x: antiphon::lipschitz::Bound<NdArray<f32>>| x * &lifted, &domain).unwrap();
    assert!(report.value >= f64::from(0.3f32) && report.value < 0.300_01, "{report}");
}
