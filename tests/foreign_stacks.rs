//! Derivatives on the stacks of other coroutines, which their bodies or their surroundings may leave in the middle.

use std::cell::Cell;

use antiphon::{Control, Dual, Error, Real, grad, jvp, raise, reset, shift, stack};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, ScopedCoroutine, Yielder};

/// Stacks that an endless recursion comes to the end of soon.
fn small_stacks() {
    stack::configure(4 << 20).unwrap();
}

/// A coroutine whose derivative's body is left in the middle, twice.
fn halting(x: f64) -> Coroutine<(), (), Result<f64, Error>> {
    small_stacks();
    Coroutine::new(move |outside, ()| {
        grad(
            |x| {
                let y = x.clone() * &x;
                outside.suspend(());
                let y = y * &x;
                outside.suspend(());
                y
            },
            &x,
        )
    })
}

fn finish(coroutine: &mut Coroutine<(), (), Result<f64, Error>>) -> Result<f64, Error> {
    loop {
        if let CoroutineResult::Return(outcome) = coroutine.resume(()) {
            return outcome;
        }
    }
}

#[track_caller]
fn refused(outcome: Result<f64, Error>) {
    assert!(matches!(outcome, Err(Error::OutsideReset { .. })), "{outcome:?}");
}

#[test]
fn a_body_may_be_left_in_the_middle_if_nothing_else_is_differentiated_meanwhile() {
    let mut alone = halting(2.0);
    alone.resume(());
    assert_eq!(finish(&mut alone).unwrap(), 12.0);
    assert_eq!(grad(|x| x.powi(3), &2.0f64).unwrap(), 12.0);
}

#[test]
fn what_is_differentiated_meanwhile_is_refused() {
    let mut left = halting(2.0);
    left.resume(());
    refused(grad(|x| x.powi(3), &2.0f64));
    refused(reset(|p| Ok(shift(p, |k| k.resume(1.0)))));
    assert_eq!(finish(&mut left).unwrap(), 12.0);
    assert_eq!(grad(|x| x.powi(3), &2.0f64).unwrap(), 12.0);
}

#[test]
fn coroutines_that_take_turns() {
    let mut coroutines = [halting(2.0), halting(3.0), halting(4.0)];
    let mut outcomes = Vec::new();
    for turn in 0..12 {
        let next = &mut coroutines[[0, 1, 2, 1, 0, 2][turn % 6]];
        if !next.done()
            && let CoroutineResult::Return(outcome) = next.resume(())
        {
            outcomes.push(outcome);
        }
    }
    // The first was there first; the others found its derivative in the middle.
    assert_eq!(outcomes.len(), 3);
    let good: Vec<f64> = outcomes.into_iter().filter_map(Result::ok).collect();
    assert!(good.contains(&12.0), "{good:?}");
    assert_eq!(grad(|x| x.powi(3), &2.0f64).unwrap(), 12.0);
}

#[test]
fn errors_name_the_line_of_the_derivative_or_operator() {
    let mut left = halting(2.0);
    left.resume(());
    let error = grad(|x| x.powi(3), &2.0f64).unwrap_err().to_string();
    assert!(error.contains("tests/foreign_stacks.rs:"), "{error}");
    drop(left);
    let on_another = grad(|x| corosensei::on_stack(DefaultStack::default(), || x.clone() * &x), &3.0f64);
    let error = on_another.unwrap_err().to_string();
    assert!(error.contains("tests/foreign_stacks.rs:"), "{error}");
}

#[test]
fn an_error_elsewhere_leaves_the_ends_of_stacks_where_they_are() {
    let mut left = halting(2.0);
    left.resume(());
    // The error is of this stack, which has nothing to do with the one that was left.
    let failed = jvp(|_| -> Dual<f64> { raise(Error::Structure("stop".into())) }, &1.0f64, &1.0);
    assert!(failed.is_err());
    let endless =
        jvp(|x: Dual<f64>| -> Dual<f64> { Dual::fix(x, |again, x| again(x.sin()) + x) }, &1.0, &1.0);
    assert!(matches!(endless, Err(Error::StackExhausted { .. })), "{endless:?}");
    assert_eq!(finish(&mut left).unwrap(), 12.0);
}

#[test]
fn a_body_that_is_dropped_in_the_middle() {
    let mut left = halting(2.0);
    left.resume(());
    drop(left);
    assert_eq!(grad(|x| x.powi(3), &2.0f64).unwrap(), 12.0);
}

#[test]
fn a_handler_that_is_left_in_the_middle() {
    let mut left = Coroutine::new(|outside: &Yielder<(), ()>, ()| {
        reset(|p| {
            Ok(1.0
                + shift(p, |k| {
                    outside.suspend(());
                    let answer = k.resume(2.0);
                    outside.suspend(());
                    answer
                }))
        })
    });
    left.resume(());
    let mut other = halting(2.0);
    other.resume(());
    // The handler resumes its body while another one is in the middle.
    assert!(matches!(left.resume(()), CoroutineResult::Yield(())));
    assert_eq!(finish(&mut other).unwrap(), 12.0);
    let CoroutineResult::Return(outcome) = left.resume(()) else { panic!("two suspensions") };
    refused(outcome);
    assert_eq!(grad(|x| x.powi(3), &2.0f64).unwrap(), 12.0);
}

#[test]
fn an_operator_on_another_stack_inside_of_a_body() {
    let values = Cell::new(0.0);
    refused(grad(
        |x| {
            let inner = ScopedCoroutine::new(|_: &Yielder<(), ()>, ()| {
                // Values are no operators.
                values.set(*x.value());
                x.clone() * &x
            });
            inner.scope(|mut inner| match inner.resume(()) {
                CoroutineResult::Return(y) => y,
                CoroutineResult::Yield(()) => unreachable!(),
            })
        },
        &3.0f64,
    ));
    assert_eq!(values.get(), 3.0);
    refused(grad(|x| corosensei::on_stack(DefaultStack::default(), || x.clone() * &x), &3.0f64));
    assert_eq!(grad(|x| x.powi(3), &2.0f64).unwrap(), 12.0);
}
