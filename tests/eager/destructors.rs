//! Destructors that differentiate, or use operators and `shift`, while a body is unwound: given up, for an error of its
//! own, or in a panic. A process that ends here ends the test.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use antiphon::{Control, Error, OrRaise, Real, Var, grad, jvp, raise, reset, shift, stack, value_and_grad};

fn user_error(message: &str) -> Error {
    let error: Box<dyn std::error::Error + Send + Sync> = message.into();
    error.into()
}

/// Calls a function when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// An operator that fails before it has a result, so that the body which uses it is given up.
fn failing<'r>(x: &Var<'r, f64>) -> Var<'r, f64> {
    Var::shift([x], |_, _| Err(user_error("no result").into()))
}

#[test]
fn destructors_of_a_body_that_is_given_up_can_use_operators() {
    let seen = Cell::new(0.0);
    let error = grad(
        |x| {
            let product = x.clone() * &(x.sin() + &x);
            let _guard = OnDrop(|| seen.set(*(product.exp() + &x.clone().powi(2)).value()));
            failing(&x)
        },
        &0.5f64,
    );
    assert_eq!(error.unwrap_err().to_string(), "no result");
    assert_eq!(seen.get(), (0.5 * (0.5f64.sin() + 0.5)).exp() + 0.25);
    assert_eq!(grad(|x| x.powi(2), &3.0f64).unwrap(), 6.0);
}

#[test]
fn destructors_of_a_body_that_is_given_up_can_differentiate() {
    let seen = Cell::new(0.0);
    let error = grad(
        |x| {
            let _guard = OnDrop(|| {
                let slope = grad(|y| y.powi(3) * &Var::lift(&x), &x).or_raise();
                seen.set(*slope.value());
            });
            failing(&x)
        },
        &2.0f64,
    );
    assert_eq!(error.unwrap_err().to_string(), "no result");
    assert_eq!(seen.get(), 24.0);
}

#[test]
fn destructors_that_run_when_a_body_raises_can_use_operators() {
    let seen = Cell::new(0.0);
    let error = grad(
        |x| {
            let _guard = OnDrop(|| seen.set(*(x.sin() * &x).value()));
            raise(user_error("stop"))
        },
        &0.5f64,
    );
    assert_eq!(error.unwrap_err().to_string(), "stop");
    assert_eq!(seen.get(), 0.5 * 0.5f64.sin());
}

#[test]
fn a_shift_in_a_destructor_of_a_body_that_is_given_up_has_nothing_to_resume() {
    let log = RefCell::new(Vec::new());
    let answer = reset(|p| {
        let log = &log;
        let _guard = OnDrop(move || {
            let five = shift(p, move |k| {
                let outcome = k.resume(5);
                log.borrow_mut().push(outcome.unwrap_err().to_string());
                Ok("an answer without a say")
            });
            log.borrow_mut().push(format!("got {five}"));
        });
        let () = shift(p, |_| Ok("answer"));
        unreachable!("nobody resumed");
    });
    assert_eq!(answer.unwrap(), "answer");
    let log = log.into_inner();
    assert!(log[0].contains("being given up"), "{log:?}");
    assert_eq!(log[1], "got 5");
}

#[test]
fn what_a_destructor_of_an_inner_body_leaves_out_of_a_derivative_is_an_error() {
    // The derivative goes on after the inner body was given up, but the operator had no rest of it to capture.
    let error = grad(
        |x| {
            let product = RefCell::new(x.clone());
            reset(|exit| {
                let (x, product) = (&x, &product);
                let _guard = OnDrop(|| *product.borrow_mut() = x.clone() * x);
                shift(exit, |_| Ok(()))
            })
            .or_raise();
            product.into_inner()
        },
        &3.0f64,
    );
    let error = error.unwrap_err();
    assert!(matches!(error, Error::OutsideReset { .. }), "{error}");
    assert!(error.to_string().contains("destructor"), "{error}");
}

/// Runs `f` `depth` levels down, with a value on each level that uses an operator when it is dropped.
fn deep<'r>(depth: usize, x: &Var<'r, f64>, sum: &Cell<f64>, f: &dyn Fn() -> Var<'r, f64>) -> Var<'r, f64> {
    let _guard = OnDrop(|| sum.set(sum.get() + (x.clone() * x).value()));
    stack::guard(|| if depth == 0 { f() } else { deep(depth - 1, x, sum, f) })
}

#[test]
fn destructors_of_a_body_that_raises_deep_down() {
    let sum = Cell::new(0.0);
    let outcome = grad(|x| deep(1000, &x, &sum, &|| raise(user_error("stop"))), &2.0f64);
    assert_eq!(outcome.unwrap_err().to_string(), "stop");
    assert_eq!(sum.get(), 4.0 * 1001.0);
}

#[test]
fn destructors_of_a_body_that_panics_deep_down() {
    let sum = Cell::new(0.0);
    let payload =
        catch_unwind(AssertUnwindSafe(|| grad(|x| deep(1000, &x, &sum, &|| panic!("stop")), &2.0f64)));
    assert_eq!(payload.unwrap_err().downcast_ref(), Some(&"stop"));
    assert_eq!(sum.get(), 4.0 * 1001.0);
    assert_eq!(grad(|x| x.powi(2), &3.0f64).unwrap(), 6.0);
}

#[test]
fn what_a_destructor_leaves_out_when_an_error_is_caught_inside_of_a_derivative_is_an_error() {
    // The body of `jvp` raises; the derivative around it goes on, without what the destructor computed.
    let error = grad(
        |x| {
            let kept = RefCell::new(x.clone());
            let inner = jvp(
                |_| -> antiphon::Dual<f64> {
                    let _guard = OnDrop(|| *kept.borrow_mut() = x.clone() * &x);
                    raise(user_error("stop"))
                },
                &1.0f64,
                &1.0,
            );
            assert_eq!(inner.unwrap_err().to_string(), "stop");
            kept.into_inner()
        },
        &3.0f64,
    );
    assert!(matches!(error, Err(Error::OutsideReset { .. })), "{error:?}");
}

#[test]
fn a_body_that_caught_an_error_goes_on_as_before() {
    let slope = grad(
        |x| {
            let failed = grad(|_| raise(user_error("stop")), &1.0f64);
            assert!(failed.is_err());
            let _guard = OnDrop(|| assert_eq!(*(x.clone() * &x).value(), 9.0));
            x.clone() * &x
        },
        &3.0f64,
    );
    assert_eq!(slope.unwrap(), 6.0);
}

#[test]
fn a_shift_that_does_not_resume_in_a_destructor_of_a_panicking_body() {
    let outcome = RefCell::new(None);
    let payload = catch_unwind(AssertUnwindSafe(|| {
        reset(|p| {
            let outcome = &outcome;
            let _guard = OnDrop(move || {
                // There is no value to go on with, so `shift` raises; a destructor has to catch that.
                let shifted = catch_unwind(AssertUnwindSafe(|| shift::<i32, _>(p, |_| Ok(7))));
                outcome.replace(Some(shifted.is_err()));
            });
            if outcome.borrow().is_none() {
                panic!("stop");
            }
            Ok(0)
        })
    }));
    assert_eq!(payload.unwrap_err().downcast_ref(), Some(&"stop"));
    assert_eq!(outcome.into_inner(), Some(true));
}

#[test]
fn a_shift_that_resumes_in_a_destructor_of_a_panicking_body() {
    let seen = Cell::new(0);
    let payload = catch_unwind(AssertUnwindSafe(|| {
        reset(|p| {
            let seen = &seen;
            let _guard = OnDrop(move || {
                seen.set(shift(p, |k| {
                    let refused = k.resume(5);
                    assert!(refused.is_err());
                    Ok(())
                }));
            });
            if seen.get() == 0 {
                panic!("stop");
            }
            Ok(())
        })
    }));
    assert_eq!(payload.unwrap_err().downcast_ref(), Some(&"stop"));
    assert_eq!(seen.get(), 5);
}

#[test]
fn a_derivative_in_a_destructor_of_a_panicking_body_may_fail_itself() {
    let log = RefCell::new(Vec::new());
    let payload = catch_unwind(AssertUnwindSafe(|| {
        let _guard = OnDrop(|| {
            let good = value_and_grad(|y| y.powi(3), &2.0f64).unwrap();
            let bad = grad(
                |y| {
                    let _inner = OnDrop(|| log.borrow_mut().push(*(y.clone() * &y).value()));
                    raise(user_error("inside"))
                },
                &5.0f64,
            );
            log.borrow_mut().extend([good.0, good.1]);
            assert_eq!(bad.unwrap_err().to_string(), "inside");
            assert_eq!(grad(|y| y.clone() * &y, &5.0f64).unwrap(), 10.0);
        });
        grad::<f64>(|_| panic!("stop"), &1.0)
    }));
    assert_eq!(payload.unwrap_err().downcast_ref(), Some(&"stop"));
    assert_eq!(log.into_inner(), [25.0, 8.0, 12.0]);
}

#[test]
fn a_handler_that_panics_unwinds_its_body() {
    let seen = Cell::new(0.0);
    let payload = catch_unwind(AssertUnwindSafe(|| {
        grad(
            |x| {
                let _guard = OnDrop(|| seen.set(*(x.clone() * &x).value()));
                Var::shift([&x], |_, _| panic!("stop"))
            },
            &3.0f64,
        )
    }));
    assert_eq!(payload.unwrap_err().downcast_ref(), Some(&"stop"));
    assert_eq!(seen.get(), 9.0);
}

#[test]
fn control_flow_in_a_destructor() {
    let seen = Cell::new(0.0);
    let error = grad(
        |x| {
            let _guard = OnDrop(|| {
                let grown = Var::while_loop(x.clone(), |y| y.less(&Var::constant(100.0)), |y| y.clone() * &y);
                seen.set(*grown.value());
            });
            failing(&x)
        },
        &2.0f64,
    );
    assert_eq!(error.unwrap_err().to_string(), "no result");
    assert_eq!(seen.get(), 256.0);
}

/// Differentiates when its thread ends.
struct AtExit(mpsc::Sender<f64>);

impl Drop for AtExit {
    fn drop(&mut self) {
        let slope = grad(|x| (0..1000).fold(x.clone(), |y, _| y * &x), &1.0f64);
        self.0.send(slope.unwrap()).unwrap();
    }
}

thread_local! {
    static FIRST: RefCell<Option<AtExit>> = const { RefCell::new(None) };
    static SECOND: RefCell<Option<AtExit>> = const { RefCell::new(None) };
}

#[test]
fn derivatives_when_a_thread_ends() {
    let (sender, receiver) = mpsc::channel();
    // One before and one after this thread's stacks were first used: they are dropped in either order.
    let ends = std::thread::spawn(move || {
        FIRST.set(Some(AtExit(sender.clone())));
        assert_eq!(grad(|x| x.powi(2), &3.0f64).unwrap(), 6.0);
        SECOND.set(Some(AtExit(sender)));
    });
    ends.join().unwrap();
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [1001.0, 1001.0]);
}
