//! The laws of `shift` and `reset`.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

use antiphon::{Error, OrRaise, Real, Var, cps, grad, raise, reset, shift};

/// Notes when it is dropped.
struct Noted<'a>(&'a RefCell<Vec<&'static str>>, &'static str);

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.0.borrow_mut().push(self.1);
    }
}

fn user_error(message: &str) -> Error {
    Error::from(Box::<dyn std::error::Error + Send + Sync>::from(message))
}

#[test]
fn reset_of_a_value_is_the_value() {
    assert_eq!(reset(|_| Ok(7)).unwrap(), 7);
    assert_eq!(reset(|_| reset(|_| Ok(7))).unwrap(), 7);
}

#[test]
fn a_body_may_own_more_than_a_coroutine_starts_with() {
    let owned = [1u64; 1000];
    assert_eq!(reset(move |_| Ok(owned.iter().sum::<u64>())).unwrap(), 1000);
}

#[test]
fn resuming_with_a_value_is_the_value() {
    assert_eq!(reset(|p| Ok(2 * shift(p, |k| k.resume(21)))).unwrap(), 42);
}

#[test]
fn the_toy_example_of_the_paper() {
    // 1 + reset(10 + shift(k → k(k(100))))  =  1 + 10 + 10 + 100, but here a continuation is called once at most,
    // which its type enforces; so each call is a shift of its own.
    let once = 1 + reset(|p| Ok(10 + shift(p, |k| k.resume(100)))).unwrap();
    assert_eq!(once, 111);
    let after = 1 + reset(|p| Ok(10 + shift(p, |k| Ok(k.resume(100)? + k_less(100))))).unwrap();
    assert_eq!(after, 1 + 110 + 110);
    fn k_less(x: i32) -> i32 {
        10 + x
    }
}

#[test]
fn a_handler_that_never_resumes_abandons_the_body_and_drops_its_values() {
    let log = RefCell::new(Vec::new());
    let answer = reset(|p| {
        let _value = Noted(&log, "body's value");
        let log = &log;
        let () = shift(p, move |_| {
            log.borrow_mut().push("handler");
            Ok("answer")
        });
        unreachable!("nobody resumed");
    });
    assert_eq!(answer.unwrap(), "answer");
    assert_eq!(*log.borrow(), ["handler", "body's value"]);
}

#[test]
fn what_handlers_do_after_resuming_happens_in_reverse() {
    let log = RefCell::new(Vec::new());
    let note = |what| log.borrow_mut().push(what);
    let answer = reset(|p| {
        for (before, after) in [("a", "a'"), ("b", "b'"), ("c", "c'")] {
            let note = &note;
            shift(p, move |k| {
                note(before);
                let answer: i32 = k.resume(())?;
                note(after);
                Ok(answer * 10)
            });
        }
        note("end");
        Ok(1)
    });
    assert_eq!(answer.unwrap(), 1000);
    assert_eq!(*log.borrow(), ["a", "b", "c", "end", "c'", "b'", "a'"]);
}

#[test]
fn a_shift_to_an_outer_prompt_captures_the_inner_reset() {
    let log = RefCell::new(Vec::new());
    let answer = reset(|outer| {
        let inner = reset(|inner| {
            let note = &log;
            let x: i32 = shift(outer, move |k| {
                note.borrow_mut().push("outer handler");
                let rest: String = k.resume(5)?;
                note.borrow_mut().push("outer done");
                Ok(format!("<{rest}>"))
            });
            let y = shift(inner, move |k| {
                note.borrow_mut().push("inner handler");
                Ok(k.resume(x)? + 1)
            });
            Ok(x + y)
        })?;
        Ok(format!("inner = {inner}"))
    });
    assert_eq!(answer.unwrap(), "<inner = 11>");
    assert_eq!(*log.borrow(), ["outer handler", "inner handler", "outer done"]);
}

#[test]
fn abandoning_an_outer_body_unwinds_the_inner_ones_first() {
    let log = RefCell::new(Vec::new());
    let answer = reset(|outer| {
        let _o = Noted(&log, "outer");
        reset(|_inner| {
            let _i = Noted(&log, "inner");
            let () = shift(outer, |_| Ok(3));
            Ok(())
        })?;
        Ok(0)
    });
    assert_eq!(answer.unwrap(), 3);
    assert_eq!(*log.borrow(), ["inner", "outer"]);
}

#[test]
fn a_continuation_can_be_resumed_under_another_prompt() {
    // Under a prompt that its handler made, whose handlers and the outer ones still work.
    let answer = reset(|p1| {
        let x: i32 = shift(p1, |k| {
            let inner = reset(|p2| {
                let rest = k.resume(1)?;
                let y: i32 = shift(p2, |k| k.resume(5));
                Ok(rest + y)
            });
            Ok(inner?)
        });
        Ok(x + 10)
    });
    assert_eq!(answer.unwrap(), 16);
    let answer = reset(|p0| {
        reset(|p1| {
            let x: i32 = shift(p1, |k| Ok(reset::<i32>(|_| Ok(k.resume(1)? + 100))?));
            let y: i32 = shift(p0, |k| Ok(k.resume(5)? * 2));
            Ok(x + y)
        })
    });
    assert_eq!(answer.unwrap(), 212);
}

#[test]
fn an_abandoned_body_has_no_say() {
    // Even one that swallows the unwinding and goes on.
    let answer = reset(|p| {
        let _ = catch_unwind(AssertUnwindSafe(|| shift::<i32, i32>(p, |_| Ok(7))));
        Ok(99)
    });
    assert_eq!(answer.unwrap(), 7);
    let answer = reset(|outer| {
        let inner: i32 = reset(|p| {
            let _ = catch_unwind(AssertUnwindSafe(|| shift::<i32, i32>(p, |_| Ok(7))));
            Ok(shift(outer, |k| k.resume(1000)))
        })?;
        Ok(inner + 1000)
    });
    assert_eq!(answer.unwrap(), 1007);
}

#[test]
fn errors_leave_through_every_handler() {
    let cleaned = Cell::new(0);
    for depth in [0, 1, 10] {
        cleaned.set(0);
        let result: antiphon::Result<()> = reset(|p| {
            for _ in 0..depth {
                let cleaned = &cleaned;
                shift(p, move |k| {
                    let result = k.resume(());
                    cleaned.set(cleaned.get() + 1);
                    result
                });
            }
            raise(user_error("stop"))
        });
        assert_eq!(result.unwrap_err().to_string(), "stop");
        assert_eq!(cleaned.get(), depth);
    }
    // Returned by the body, returned by a handler before and after it resumes.
    assert!(reset::<()>(|_| Err(user_error("body"))).is_err());
    assert!(reset::<i32>(|p| Ok(shift(p, |_| Err(user_error("before").into())))).is_err());
    let after = reset::<()>(|p| {
        shift(p, |k| {
            k.resume(())?;
            Err(user_error("after").into())
        });
        Ok(())
    });
    assert_eq!(after.unwrap_err().to_string(), "after");
    // A handler may recover.
    let recovered = reset(|p| {
        shift(p, |k| Ok(k.resume(()).unwrap_or(-1)));
        Err::<i32, _>(user_error("lost"))
    });
    assert_eq!(recovered.unwrap(), -1);
}

#[test]
fn panics_pass_through_unharmed() {
    let panics = |f: &dyn Fn() -> antiphon::Result<i32>| {
        let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("panics");
        assert_eq!(*payload.downcast_ref::<&str>().unwrap(), "boom");
        // The machinery still works.
        assert_eq!(reset(|p| Ok(1 + shift(p, |k| k.resume(1)))).unwrap(), 2);
        assert_eq!(grad(|x| x.powi(2), &3.0f64).unwrap(), 6.0);
    };
    let boom = || -> i32 { std::panic::panic_any("boom") };
    panics(&|| reset(|_| Ok(boom())));
    panics(&|| reset(|p| Ok(shift(p, |_| Ok(boom())))));
    panics(&|| {
        reset(|p| {
            shift(p, |k| {
                k.resume(())?;
                Ok(boom())
            });
            Ok(0)
        })
    });
    panics(&|| {
        reset(|p| {
            shift(p, |k| k.resume(()));
            shift(p, |k| k.resume(()));
            Ok(boom())
        })
    });
    panics(&|| {
        grad(|x| if x.value() > &0.0 { x.sin().scale(f64::from(boom())) } else { x }, &1.0f64).map(|_| 0)
    });
}

#[test]
fn a_panic_can_be_caught_around_a_continuation() {
    let answer = reset(|p| {
        shift(p, |k| match catch_unwind(AssertUnwindSafe(|| k.resume(()))) {
            Ok(_) => Ok("no panic"),
            Err(_) => Ok("caught"),
        });
        std::panic::panic_any("boom")
    });
    assert_eq!(answer.unwrap(), "caught");
    assert_eq!(reset(|p| Ok(1 + shift(p, |k| k.resume(1)))).unwrap(), 2);
}

#[test]
fn a_handler_runs_outside_of_its_prompt() {
    let error = reset(|p| {
        let () = shift(p, move |k| {
            let () = shift(p, |k| k.resume(()));
            k.resume(())
        });
        Ok(())
    })
    .unwrap_err();
    assert!(matches!(error, Error::OutsideReset { .. }), "{error}");
    assert!(error.to_string().contains("shift_reset.rs"), "{error}");
}

#[test]
fn values_go_in_both_directions_and_are_dropped_once() {
    let answer = reset(|p| {
        let s: String = shift(p, |k| {
            let answer: String = k.resume("in".to_owned())?;
            Ok(answer + "!")
        });
        Ok(s + " and out")
    });
    assert_eq!(answer.unwrap(), "in and out!");
}

#[test]
fn a_generator_as_a_user_defined_effect() {
    // `emit` hands a value to the consumer; what the consumer adds up, the body gets back in the end.
    let total = reset(|p| {
        let emit = |x: i32| shift(p, move |k| Ok(x + k.resume(())?));
        for i in 1..=10 {
            emit(i * i);
        }
        Ok(1000)
    });
    assert_eq!(total.unwrap(), 1385);
}

#[test]
fn an_operator_and_an_early_exit_of_the_users_own() {
    // A derivative in whose body a loop is left from inside of a nested function, by a control operator.
    fn first_above<'r, T: Real + Into<f64> + Copy + 'r>(x: &Var<'r, T>, limit: f64) -> Var<'r, T> {
        reset(|exit| {
            let mut power = x.clone();
            loop {
                if (*power.value()).into() > limit {
                    let found = power.clone();
                    let () = shift(exit, move |_| Ok(found));
                }
                power *= x;
            }
        })
        .or_raise()
    }
    // 3, 9, 27: x³ is the first above 10.
    assert_eq!(grad(|x| first_above(&x, 10.0), &3.0f64).unwrap(), 27.0);
    // Variables of an outer derivative flow through as well.
    let second = grad(
        |x| grad(|y| first_above(&y, 10.0).scale(2.0), x.value()).map(|g| Var::lift(&g)).or_raise() * x,
        &3.0f64,
    );
    assert_eq!(second.unwrap(), 54.0);
}

#[test]
fn explicit_operators_of_two_derivatives_do_not_mix() {
    let error = cps::grad(&2.0f64, |x, k| {
        cps::grad(&3.0f64, |y, k| cps::mul(x, y, k))?;
        k(x)
    })
    .unwrap_err();
    assert!(matches!(error, Error::OutsideReset { .. }), "{error}");
}

#[test]
fn direct_style_needs_its_reset() {
    let error = cps::grad(&2.0f64, |x, k| k(&x.sin())).unwrap_err();
    assert!(matches!(error, Error::OutsideReset { .. }), "{error}");
    assert!(error.to_string().contains("shift_reset.rs"), "{error}");
}
