//! Branches, loops and recursion.

use antiphon::lipschitz::{Domain, auto_lip};
use antiphon::{Control, Error, Int, Mask, Real, Tensor};

use super::{Array, Value, assert_close, bound};

fn number(low: f64, high: f64) -> Domain<Array> {
    Domain::Box(Array::scalar(low), Array::scalar(high))
}

fn huber<T: Control>(x: T) -> T {
    let small = x.abs().less(&T::constant(1.0));
    T::cond(&small, || x.square().scale(0.5), || x.abs().offset(-0.5))
}

#[test]
fn branches_on_the_input() {
    let everywhere = Domain::Everywhere(Array::scalar(0.0));
    let relu = |x: Value| Value::cond(&x.greater(&Value::constant(0.0)), || x.clone(), || x.clone() * 0.25);
    assert_close(bound(relu, &everywhere).value, 1.0, 1e-12);
    // Which arm is known: that one alone.
    assert_close(bound(relu, &number(-3.0, -1.0)).value, 0.25, 1e-12);
    let step = |x: Value| Value::cond(&x.greater(&Value::constant(0.0)), || x.ones_like(), || x.zeros_like());
    let jump = bound(step, &everywhere);
    assert!(jump.value.is_infinite());
    let reason = jump.reason.expect("there is one");
    assert!(reason.contains("may not meet") && reason.contains("control.rs"), "{reason}");
    assert_eq!(bound(step, &number(1.0, 2.0)).value, 0.0);
    // |x| is no affine function of the input, so that nobody knows where the arms meet.
    assert!(bound(huber, &number(-2.0, 2.0)).value.is_infinite());
    assert_close(bound(huber, &number(-0.5, 0.75)).value, 0.75, 1e-12);
}

#[test]
fn loops() {
    // Whose number of rounds is known: L of ten rounds of a contraction.
    let rounds = |x: Value| {
        let start = (antiphon::state::Index::<Value>(Int::constant(0)), x);
        let more = |(i, _): &(antiphon::state::Index<Value>, Value)| i.0.less(&Int::constant(10));
        Value::while_loop(start, more, |(i, x)| (antiphon::state::Index(i.0 + 1), (x * 0.5).tanh())).1
    };
    let everywhere = Domain::Everywhere(Array::scalar(0.0));
    assert_close(bound(rounds, &everywhere).value, 0.5f64.powi(10), 1e-12);
    // Whose end the input decides: the number of rounds jumps.
    let until = |x: Value| Value::while_loop(x, |x| x.abs().greater(&Value::constant(1.0)), |x| x * 0.5);
    let some = bound(until, &number(0.5, 8.0));
    assert!(some.value.is_infinite() && some.reason.is_some());
    // It ends at once, for all inputs.
    assert_close(bound(until, &number(-0.5, 0.5)).value, 1.0, 1e-12);
    // There is no end that anybody could find.
    let endless = |x: Value| Value::while_loop(x, |x| x.sin().less(&Value::constant(0.9)), |x| x + 1.0);
    let error = auto_lip(endless, &everywhere).unwrap_err();
    assert!(matches!(error, Error::Argument { op: "while_loop", .. }), "{error}");
}

#[test]
fn recursion() {
    let grow = |x: Value| {
        Value::fix(x, |grow, x: Value| {
            let small = x.less(&Value::constant(100.0));
            Value::cond(&small, || grow(x.square()), || x.clone())
        })
    };
    // Three squares: 8·x⁷.
    assert_close(bound(grow, &number(2.0, 2.1)).value, 8.0 * 2.1f64.powi(7), 1e-9);
    let endless = |x: Value| {
        Value::fix(x, |again, x: Value| {
            Value::cond(&x.less(&Value::constant(0.0)), || again(x.tanh()), || x.clone())
        })
    };
    let error = auto_lip(endless, &Domain::Everywhere(Array::scalar(0.0))).unwrap_err();
    assert!(matches!(error, Error::Argument { op: "fix", .. }), "{error}");
}

#[test]
fn trees_by_their_depth() {
    use antiphon::NdInt;
    use antiphon::control::TreeArrays;
    use antiphon::lipschitz::BoundInt;
    // ((a·b)·c) with ½(l + r) at each node.
    let ints = |x: [i64; 5]| BoundInt::lift(&NdInt::from(x.to_vec()));
    let tree = TreeArrays {
        left: ints([1, 2, -1, -1, -1]),
        right: ints([4, 3, -1, -1, -1]),
        root: BoundInt::constant(0),
    };
    let mean = |x: Value| {
        Value::fold_tree(&tree, |node| x.gather_rows(node), |_, left: Value, right| (left + right) * 0.5)
    };
    let got = bound(mean, &super::everywhere(5)).value;
    // By AutoLip ½(½(1 + 1) + 1) = 1; the true constant is √(1/16 + 1/16 + 1/4).
    assert_close(got, 1.0, 1e-12);
}

#[test]
fn masks_are_known_where_the_domain_decides() {
    let f = |x: Value| {
        let positive = x.greater(&Value::constant(0.0));
        assert_eq!(positive.known(), Some(true));
        assert_eq!(x.less(&Value::constant(5.0)).known(), None);
        assert_eq!(x.less(&Value::constant(5.0)).or(&positive).known(), Some(true));
        x
    };
    bound(f, &number(1.0, 9.0));
}
