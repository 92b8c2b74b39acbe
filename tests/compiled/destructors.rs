//! Destructors that use operators and control flow while a body that is recorded is unwound.

use std::cell::{Cell, RefCell};
use std::sync::mpsc;

use antiphon::control::scan;
use antiphon::recording::{Recorded, interpret, record};
use antiphon::{Control, Error, NdArray, OrRaise, Real, Tensor, Var, grad, raise};

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

/// Records the derivative of a body that raises "stop", with `in_destructor` run by a destructor; says whether that
/// came to its end.
fn recorded(in_destructor: impl for<'r> Fn(&Var<'r, Recorded>)) -> bool {
    let ran = Cell::new(false);
    let slope = |x: Recorded| {
        let outcome = grad(
            |x| {
                let _guard = OnDrop(|| {
                    in_destructor(&x);
                    ran.set(true);
                });
                raise(user_error("stop"))
            },
            &x,
        );
        outcome.or_raise()
    };
    let error = record("stopped", slope, &NdArray::from(vec![1.0f64, 2.0])).unwrap_err();
    assert_eq!(error.to_string(), "stop");
    ran.get()
}

#[test]
fn control_flow_in_a_destructor_of_a_recorded_body() {
    assert!(recorded(|x| {
        let small = x.sum(..).less(&Var::constant(1.0));
        let y = Var::cond(&small, || x.clone() * x, || x.exp());
        Var::while_loop(y.sum(..), |y| y.less(&Var::constant(100.0)), |y| y.clone() * &y);
    }));
    assert!(recorded(|x| {
        scan(Var::constant(0.0), x, |sum: Var<'_, Recorded>, x| (sum + &x, x)).map(drop).or_raise();
    }));
}

#[test]
fn operators_in_destructors_of_a_function_that_is_only_tried() {
    let slope = |x: Recorded| {
        let outcome = grad(
            |x| {
                Var::fix(x, |again, x: Var<'_, Recorded>| {
                    let _guard = OnDrop(|| {
                        let _ = x.clone() * &x;
                    });
                    let small = x.less(&Var::constant(100.0));
                    Var::cond(&small, || again(x.clone() * &x), || x.clone())
                })
            },
            &x,
        );
        outcome.or_raise()
    };
    let program = record("grown", slope, &2.0f64).unwrap();
    // x⁸ from 2: 8·2⁷.
    assert_eq!(interpret(&program, &2.0f64).unwrap(), [1024.0]);
}

/// Records when its thread ends.
struct RecordsAtExit(mpsc::Sender<usize>);

impl Drop for RecordsAtExit {
    fn drop(&mut self) {
        let program = record("late", |x: Recorded| x * x, &2.0f64).unwrap();
        self.0.send(interpret(&program, &3.0f64).unwrap()[0] as usize).unwrap();
    }
}

thread_local! {
    static FIRST: RefCell<Option<RecordsAtExit>> = const { RefCell::new(None) };
    static SECOND: RefCell<Option<RecordsAtExit>> = const { RefCell::new(None) };
}

#[test]
fn recordings_when_a_thread_ends() {
    let (sender, receiver) = mpsc::channel();
    let ends = std::thread::spawn(move || {
        FIRST.set(Some(RecordsAtExit(sender.clone())));
        record("early", |x: Recorded| x * x, &2.0f64).unwrap();
        SECOND.set(Some(RecordsAtExit(sender)));
    });
    ends.join().unwrap();
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [9, 9]);
}

#[test]
fn a_recursive_call_in_a_destructor_of_the_functions_body() {
    let ran = Cell::new(0);
    let slope = |x: Recorded| {
        let outcome = grad(
            |x| {
                Var::fix(x, |again, x| {
                    let small = x.less(&Var::constant(100.0));
                    // The first run of the body only finds out what it gives.
                    let run = ran.replace(ran.get() + 1);
                    let _guard = OnDrop(|| {
                        if run > 0 {
                            let _ = again(x.clone());
                            ran.set(-1);
                        }
                    });
                    if run > 0 {
                        raise(user_error("stop"));
                    }
                    Var::cond(&small, || again(x.clone() * &x), || x.clone())
                })
            },
            &x,
        );
        outcome.or_raise()
    };
    let error = record("stopped", slope, &2.0f64).unwrap_err();
    assert_eq!(error.to_string(), "stop");
    assert_eq!(ran.get(), -1);
}
