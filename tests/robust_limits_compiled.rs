//! Compiled programs that need more than the machine gives them, as `robust_limits.rs` has them for eager ones; and
//! steps of training for very many shapes.
#![cfg(target_os = "linux")]

#[path = "support/limited.rs"]
mod limited;

use antiphon::recording::Recorded;
use antiphon::stack::Limit;
use antiphon::{
    CompiledFunction, Control, Error, NdArray, OrRaise, Real, Result, Tensor, TrainingStep, Var, compile,
    stack, value_and_grad,
};
use limited::Limits;

type Array = NdArray<f64>;

const CONTAINER: Limits = Limits { memory: Some(256 << 20), ..Limits::NONE };

/// The gradient of a loop that ends where the sum is three to begin with, and never where it is less than two.
fn endless<T: Tensor>(x: &T) -> Result<T> {
    let more = |x: &Var<'_, T>| x.clone().sum(..).less(&Var::constant(2.0));
    value_and_grad(|x| Var::while_loop(x, more, |x| x.sin()).sum(..), x).map(|(_, g)| g)
}

fn compiled(elements: usize) -> CompiledFunction<Array, Array, Array> {
    compile("endless", |x: Recorded| endless(&x).or_raise(), &full(elements, 0.0)).unwrap()
}

fn full(elements: usize, value: f64) -> Array {
    Array::from(vec![value; elements])
}

fn exhausted<T: std::fmt::Debug>(result: Result<T>) -> Limit {
    match result {
        Err(Error::StackExhausted { by, limit, depth: None }) => {
            assert!((256 << 10..1 << 30).contains(&limit), "{limit}");
            by
        }
        other => panic!("{other:?}"),
    }
}

/// A loop's gradient that ends, of a program that has or has not come to its end before.
fn the_next_call_works(forever: &mut CompiledFunction<Array, Array, Array>, elements: usize) {
    assert_eq!(forever.call(&full(elements, 3.0)).unwrap(), full(elements, 1.0));
}

#[test]
fn endless_compiled_gradients_in_a_container_are_errors_and_the_next_call_works() {
    let test = || {
        for elements in [1, 1000] {
            let mut forever = compiled(elements);
            for _ in 0..3 {
                let end = exhausted(forever.call(&full(elements, 0.0)));
                assert!(matches!(end, Limit::Share | Limit::Memory { .. }), "{end:?}");
                the_next_call_works(&mut forever, elements);
            }
            stack::configure(8 << 30).unwrap();
            let end = exhausted(forever.call(&full(elements, 0.0)));
            assert!(matches!(end, Limit::Memory { .. }), "{end:?}");
            stack::configure(1 << 20).unwrap();
            assert_eq!(exhausted(forever.call(&full(elements, 0.0))), Limit::Size);
            the_next_call_works(&mut forever, elements);
            stack::configure(None).unwrap();
        }
    };
    limited::run(
        "endless_compiled_gradients_in_a_container_are_errors_and_the_next_call_works",
        &CONTAINER,
        test,
    );
}

#[test]
fn the_end_of_address_space_is_an_error_in_compiled_code() {
    let test = || {
        let mut forever = compiled(1);
        for _ in 0..2 {
            exhausted(forever.call(&full(1, 0.0)));
            the_next_call_works(&mut forever, 1);
        }
    };
    let limits = Limits { address_space: Some(2 << 30), ..Limits::NONE };
    limited::run("the_end_of_address_space_is_an_error_in_compiled_code", &limits, test);
}

#[test]
fn threads_with_compiled_code_share_the_memory_of_a_container() {
    limited::run("threads_with_compiled_code_share_the_memory_of_a_container", &CONTAINER, || {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut forever = compiled(10);
                    exhausted(forever.call(&full(10, 0.0)));
                    the_next_call_works(&mut forever, 10);
                });
            }
        });
    });
}

/// A model that would need gigabytes to be recorded, or to be lowered, is refused before it takes them.
#[test]
fn models_that_are_too_large_are_errors_in_a_container() {
    limited::run("models_that_are_too_large_are_errors_in_a_container", &CONTAINER, || {
        let sines = |n: usize| {
            let sines = |x: Recorded| (0..n).fold(x, |x, _| x.sin());
            compile("sines", sines, &full(64, 1.0)).map(drop).unwrap_err().to_string()
        };
        let error = sines(10_000_000);
        assert!(error.contains("the program has more than 524288 operators"), "{error}");
        let error = sines(20_000);
        assert!(error.contains("sines has 20000 operators"), "{error}");
    });
}

/// A step whose state is how many elements its data has had.
fn counting() -> TrainingStep<'static, Array, Array, Array> {
    let step = TrainingStep::compiled(Array::scalar(0.0), |total: &mut Recorded, xs: &Recorded| {
        *total += xs.sum(..);
        Ok(*total)
    });
    step.configure(|options| options.cache = None)
}

/// `SHAPES=3000` for more of them.
#[test]
fn variants_of_a_step_share_stack_and_arena() {
    let shapes = std::env::var("SHAPES").map_or(100, |shapes| shapes.parse().unwrap());
    // Each variant has code, but by far not so much address space.
    let limits = Limits { address_space: Some((1 << 30) + (shapes << 20)), ..Limits::NONE };
    limited::run("variants_of_a_step_share_stack_and_arena", &limits, || {
        let mut step = counting();
        let mut total = 0.0;
        for n in 1..=shapes as usize {
            total += n as f64;
            assert_eq!(step.call(&full(n, 1.0)).unwrap().item(), total);
        }
        // The first of them still works, or is compiled again.
        assert_eq!(step.call(&full(1, 1.0)).unwrap().item(), total + 1.0);
    });
}

#[test]
fn compiled_code_runs_in_destructors_of_a_thread_that_ends() {
    struct Last(std::cell::RefCell<Option<TrainingStep<'static, Array, Array, Array>>>);
    impl Drop for Last {
        fn drop(&mut self) {
            let mut step = self.0.take().unwrap();
            assert_eq!(step.call(&full(3, 1.0)).unwrap().item(), 6.0);
            stack::release();
        }
    }
    thread_local!(static LAST: Last = const { Last(std::cell::RefCell::new(None)) });
    limited::run("compiled_code_runs_in_destructors_of_a_thread_that_ends", &Limits::NONE, || {
        // Made before what compiled code keeps for the thread, and after it: destroyed after it, and before it.
        for before in [true, false] {
            let thread = std::thread::spawn(move || {
                if before {
                    LAST.with(|_| ());
                }
                let mut step = counting();
                assert_eq!(step.call(&full(3, 1.0)).unwrap().item(), 3.0);
                LAST.with(|last| last.0.replace(Some(step)));
            });
            thread.join().unwrap();
        }
    });
}
