//! Variables that are kept from where they belong to: from an inner derivative, from the body of a recorded loop,
//! function or branch. Using them is an error, and never a use of memory that is gone (`make sanitize` runs this under
//! Valgrind).

use std::cell::RefCell;

use antiphon::control::scan;
use antiphon::recording::{self, Recorded};
use antiphon::{Control, Error, NdArray, OrRaise, Real, Result, Tensor, Var, grad};

/// A place for variables of the same derivative as this one.
fn place_for<'r, T: Real>(_: &Var<'r, T>) -> RefCell<Option<Var<'r, T>>> {
    RefCell::new(None)
}

/// Fills a kept variable's place and its neighbours with other things, if they are free.
fn reuse_memory() {
    let blocks: Vec<Vec<u64>> = (1..200).map(|len| vec![u64::MAX; len % 40 + 1]).collect();
    std::hint::black_box(blocks);
}

/// What recording the derivative of `f` at 2 gives; `f` gets the variable and uses what it should not.
#[track_caller]
fn refused(f: impl for<'r> Fn(Var<'r, Recorded>) -> Var<'r, Recorded>) {
    let recorded = recording::record("escape", |x: Recorded| grad(&f, &x).or_raise(), &2.0f64);
    match recorded {
        Err(Error::OutsideReset { .. } | Error::Recording { .. }) => {}
        other => panic!("{other:?}"),
    }
}

/// Control flow of the outer derivative in the body of an inner one, whose result outlives that.
#[track_caller]
fn refused_from_an_inner_derivative(flow: impl for<'r> Fn(&Var<'r, Recorded>) -> Var<'r, Recorded>) {
    refused(|outer| {
        let place = place_for(&outer);
        grad(
            |y| {
                *place.borrow_mut() = Some(flow(&outer));
                y.clone() * y
            },
            outer.value(),
        )
        .or_raise();
        reuse_memory();
        let late = place.take().expect("the inner derivative ran");
        Var::lift(late.value()) + &outer + late
    });
}

fn one<'r>() -> Var<'r, Recorded> {
    Var::constant(1.0)
}

#[test]
fn from_an_inner_derivative() {
    refused_from_an_inner_derivative(|x| Var::cond(&x.less(&one()), one, || Var::constant(2.0)));
    refused_from_an_inner_derivative(|_| Var::while_loop(one(), |y| y.less(&one()), |y| y));
    refused_from_an_inner_derivative(|_| {
        Var::fix(one(), |again, y| Var::cond(&y.less(&one()), || again(y.clone()), || y.clone()))
    });
    refused_from_an_inner_derivative(|_| {
        let (_, ys) = scan(one(), &Var::ones(&[3]), |sum, x| (sum, x)).or_raise();
        ys.sum(..)
    });
}

/// A variable that nothing confines to a derivative: its lifetime is whatever is written down.
#[test]
fn with_a_lifetime_of_the_users_choice() {
    thread_local! {
        static PLACE: RefCell<Option<Var<'static, Recorded>>> = const { RefCell::new(None) };
    }
    let outcome = recording::record(
        "escape",
        |x: Recorded| {
            grad(
                |x| {
                    let c = x.less(&Var::constant(1.0));
                    let kept =
                        Var::<'static, Recorded>::cond(&c, || Var::constant(1.0), || Var::constant(2.0));
                    PLACE.set(Some(kept));
                    x.clone() * x
                },
                &x,
            )
            .or_raise()
        },
        &2.0f64,
    );
    outcome.unwrap();
    reuse_memory();
    let kept = PLACE.take().unwrap();
    let again = recording::record(
        "another",
        |x: Recorded| grad(|x| x * Var::lift(kept.value()), &x).or_raise(),
        &2.0f64,
    );
    assert!(matches!(again, Err(Error::OutsideReset { .. })), "{again:?}");
    let alone = antiphon::reset(|_| Ok(kept.clone() * kept.clone())).map(drop);
    assert!(matches!(alone, Err(Error::OutsideReset { .. })), "{alone:?}");
}

#[test]
fn from_the_body_of_a_loop() {
    refused(|x| {
        let place = place_for(&x);
        let y = Var::while_loop(
            x.clone(),
            |y| y.less(&Var::constant(100.0)),
            |y| {
                let square = y.clone() * y;
                *place.borrow_mut() = Some(square.clone());
                square
            },
        );
        reuse_memory();
        y + place.take().expect("the loop's body was recorded")
    });
}

#[test]
fn from_the_body_of_a_function() {
    refused(|x| {
        let place = place_for(&x);
        let y = Var::fix(x.clone(), |again, y| {
            *place.borrow_mut() = Some(y.sin());
            Var::cond(&y.less(&Var::constant(100.0)), || again(y.clone() * &y), || y.clone())
        });
        reuse_memory();
        y + place.take().expect("the function's body was recorded").exp()
    });
}

#[test]
fn from_the_arm_of_a_branch() {
    refused(|x| {
        let place = place_for(&x);
        let square = || {
            let square = x.clone() * &x;
            *place.borrow_mut() = Some(square.clone());
            square
        };
        let y = Var::cond(&x.less(&Var::constant(1.0)), square, || x.exp());
        reuse_memory();
        y * place.take().expect("the arm was recorded")
    });
}

#[test]
fn from_the_body_of_a_scan() {
    let recorded = recording::record(
        "escape",
        |xs: Recorded| {
            fn kept<'r>(xs: Var<'r, Recorded>) -> Var<'r, Recorded> {
                let place = place_for(&xs);
                let (_, ys) = scan(Var::constant(0.0), &xs, |sum: Var<'r, Recorded>, x| {
                    *place.borrow_mut() = Some(x.clone() * &x);
                    (sum + &x, x)
                })
                .or_raise();
                reuse_memory();
                ys.sum(..) + place.take().expect("the body was recorded")
            }
            grad(kept, &xs).or_raise()
        },
        &NdArray::from(vec![1.0f64, 2.0, 3.0]),
    );
    assert!(matches!(recorded, Err(Error::OutsideReset { .. } | Error::Recording { .. })), "{recorded:?}");
}

#[test]
fn from_a_recording_of_another_thread() {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let recorded = recording::record(
                "theirs",
                |x: Recorded| {
                    let y = x.exp();
                    sender.send(y).unwrap();
                    y
                },
                &2.0f64,
            );
            recorded.unwrap();
        });
    });
    let theirs = receiver.recv().unwrap();
    // On a thread of its own, whose first recording this is, too.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mixed = recording::record("ours", |x: Recorded| x.sin() * theirs, &2.0f64);
            assert!(matches!(mixed, Err(Error::OutsideReset { .. })), "{mixed:?}");
        });
    });
}

/// What is kept and never used does no harm.
#[test]
fn a_variable_that_is_kept_and_not_used() -> Result<()> {
    let program = recording::record(
        "kept",
        |x: Recorded| {
            grad(
                |x| {
                    let place = place_for(&x);
                    let y = Var::while_loop(
                        x,
                        |y| y.less(&Var::constant(100.0)),
                        |y| {
                            *place.borrow_mut() = Some(y.clone());
                            y.clone() * y
                        },
                    );
                    reuse_memory();
                    y
                },
                &x,
            )
            .or_raise()
        },
        &2.0f64,
    )?;
    // x⁸ from 2: 8·2⁷.
    assert_eq!(recording::interpret(&program, &2.0f64)?, [1024.0]);
    Ok(())
}
