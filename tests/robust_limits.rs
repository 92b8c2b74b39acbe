//! Programs that need more than the machine gives them: an error and no killed process, in a control group of 256 MiB,
//! under limits on address space, and with very many threads.
//!
//! Each test runs this program again as a child under its limit. Where no control group can be made (that takes root,
//! or a group that was delegated), the child has a limit on its data instead.
#![cfg(target_os = "linux")]

#[path = "support/limited.rs"]
mod limited;

use std::sync::Barrier;

use antiphon::io::{
    Metadata, load_checkpoint, load_npz, load_safetensors, save_checkpoint, save_npz, save_safetensors,
};
use antiphon::stack::Limit;
use antiphon::{Control, Error, NdArray, Real, Result, Tensor, Var, cps, grad, reset, stack};
use limited::Limits;

type Array = NdArray<f64>;

const CONTAINER: Limits = Limits { memory: Some(256 << 20), ..Limits::NONE };

fn address_space(bytes: u64) -> Limits {
    Limits { address_space: Some(bytes), ..Limits::NONE }
}

fn power<T: Real>(n: usize, x: &T) -> T {
    (1..n).fold(x.clone(), |y, _| y * x)
}

fn endless<T: Control>(x: T) -> T {
    T::while_loop(x, |x| x.less(&T::constant(2.0)), |x| x.sin())
}

/// Derivatives in derivatives, without an end.
fn endless_nesting() -> Result<()> {
    reset(|_| endless_nesting())
}

fn exhausted<T: std::fmt::Debug>(result: Result<T>) -> Limit {
    match result {
        Err(Error::StackExhausted { by, limit, .. }) => {
            assert!(limit < 1 << 30, "{limit}");
            by
        }
        other => panic!("{other:?}"),
    }
}

fn the_next_call_works() {
    assert_eq!(grad(|x| power(1000, &x), &1.0f64).unwrap(), 1000.0);
}

#[test]
fn endless_gradients_in_a_container_are_errors_and_the_next_call_works() {
    limited::run("endless_gradients_in_a_container_are_errors_and_the_next_call_works", &CONTAINER, || {
        for _ in 0..2 {
            assert_eq!(exhausted(grad(|x| endless(x), &1.0f64)), Limit::Share);
            the_next_call_works();
            // One more derivative around it, which has stacks of its own.
            exhausted(grad(
                |x| grad(|y| endless(y), &x).unwrap_or_else(|error| antiphon::raise(error)),
                &1.0f64,
            ));
            the_next_call_works();
            let recursion = |x: f64| f64::fix(x, |again: &dyn Fn(f64) -> f64, x: f64| again(x + 1.0));
            exhausted(reset(|_| Ok(recursion(1.0))));
            the_next_call_works();
        }
        assert_eq!(stack::size(), 128 << 20);
        // A size that is configured does not help where there is no memory.
        stack::configure(8 << 30).unwrap();
        let end = exhausted(grad(|x| endless(x), &1.0f64));
        assert!(matches!(end, Limit::Memory { available } if available < 64 << 20), "{end:?}");
        the_next_call_works();
    });
}

#[test]
fn an_endless_loop_in_the_explicit_spelling_is_an_error() {
    fn forever(x: &Var<'_, f64>, _k: cps::Return<'_, f64>) -> cps::Result<()> {
        cps::sin(x, |y| forever(y, _k))
    }
    limited::run("an_endless_loop_in_the_explicit_spelling_is_an_error", &CONTAINER, || {
        for _ in 0..2 {
            exhausted(cps::grad(&1.0, |x, k| forever(x, k)));
            the_next_call_works();
        }
    });
}

#[test]
fn endless_gradients_of_arrays_are_errors_before_the_arrays_fill_the_container() {
    limited::run(
        "endless_gradients_of_arrays_are_errors_before_the_arrays_fill_the_container",
        &CONTAINER,
        || {
            for elements in [10, 1000, 100_000, 500_000] {
                for _ in 0..2 {
                    let x = Array::from(vec![1.0; elements]);
                    let sum = |x: &Array| grad(|x| (0..usize::MAX).fold(x, |x, _| x.sin()).sum(..), x);
                    exhausted(sum(&x));
                    the_next_call_works();
                }
            }
        },
    );
}

#[test]
fn nested_derivatives_without_an_end_are_an_error() {
    limited::run("nested_derivatives_without_an_end_are_an_error", &CONTAINER, || {
        for _ in 0..2 {
            exhausted(endless_nesting());
            the_next_call_works();
        }
    });
}

#[test]
fn threads_share_the_memory_of_a_container() {
    limited::run("threads_share_the_memory_of_a_container", &CONTAINER, || {
        let start = Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    exhausted(grad(|x| endless(x), &1.0f64));
                    the_next_call_works();
                });
            }
        });
    });
}

/// So many threads, which are all in a derivative at the same time.
fn derivatives_in_threads(threads: usize) {
    let all = Barrier::new(threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let derivative = || {
                let slope = grad(
                    |x| {
                        let y = power(10, &x);
                        all.wait();
                        y
                    },
                    &1.0f64,
                );
                assert_eq!(slope.unwrap(), 10.0);
            };
            std::thread::Builder::new().stack_size(2 << 20).spawn_scoped(scope, derivative).unwrap();
        }
    });
}

#[test]
fn a_thousand_threads_have_a_derivative_each_in_8_gib_of_address_space() {
    limited::run(
        "a_thousand_threads_have_a_derivative_each_in_8_gib_of_address_space",
        &address_space(8 << 30),
        || derivatives_in_threads(1000),
    );
}

/// Goes down the stack as far as this address, without an operator.
fn down_to(address: usize) -> f64 {
    let frame = std::hint::black_box([1u8; 512]);
    if frame.as_ptr().addr() > address { down_to(address) } else { f64::from(std::hint::black_box(frame)[0]) }
}

/// Takes so many bytes of stack.
fn plain_recursion(bytes: usize) -> f64 {
    let here = 0u8;
    down_to((&raw const here).addr() - bytes)
}

#[test]
fn under_a_limit_code_between_operators_has_room_too() {
    let test = || {
        for _ in 0..3 {
            assert_eq!(grad(|x| x.scale(plain_recursion(3 << 19)), &1.0f64).unwrap(), 1.0);
            // Also on a stack that has grown, and has given back what it took.
            assert_eq!(grad(|x| power(100_000, &x), &1.0f64).unwrap(), 1e5);
        }
    };
    limited::run("under_a_limit_code_between_operators_has_room_too", &address_space(8 << 30), test);
}

#[test]
fn a_text_that_does_not_fit_twice_is_read_and_one_that_does_not_fit_is_an_error() {
    use antiphon::data::Text;
    let test = || {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("text");
        for (bytes, fits) in [(96u64 << 20, true), (3 << 30, false), (1 << 43, false)] {
            std::fs::File::create(&path).unwrap().set_len(bytes).unwrap();
            assert_eq!(Text::open(&path).is_ok(), fits, "{bytes} bytes");
        }
    };
    let name = "a_text_that_does_not_fit_twice_is_read_and_one_that_does_not_fit_is_an_error";
    limited::run(name, &address_space(256 << 20), test);
}

#[test]
fn without_limits_there_are_stacks_for_thousands_of_threads() {
    limited::run("without_limits_there_are_stacks_for_thousands_of_threads", &Limits::NONE, || {
        derivatives_in_threads(2500)
    });
}

#[test]
fn a_limit_on_address_space_leaves_room_for_nesting_threads_and_depth() {
    let test = || {
        fn nested(depth: usize) -> Result<f64> {
            if depth == 0 { grad(|x| power(100, &x), &1.0f64) } else { reset(|_| nested(depth - 1)) }
        }
        assert_eq!(nested(50).unwrap(), 100.0);
        derivatives_in_threads(4);
        // A stack grows to what a million operators need, without being configured.
        assert_eq!(grad(|x| power(1_000_000, &x), &1.0f64).unwrap(), 1e6);
        assert_eq!(nested(50).unwrap(), 100.0);
    };
    let limits = address_space(8 << 30);
    limited::run("a_limit_on_address_space_leaves_room_for_nesting_threads_and_depth", &limits, test);
}

#[test]
fn the_end_of_address_space_is_an_error_and_so_is_a_size_that_does_not_fit() {
    let test = || {
        for _ in 0..2 {
            let end = exhausted(grad(|x| endless(x), &1.0f64));
            assert!(matches!(end, Limit::Share | Limit::Size), "{end:?}");
            the_next_call_works();
        }
        let error = stack::configure(1 << 30).unwrap_err();
        assert!(matches!(error, Error::Config { .. }), "{error:?}");
        the_next_call_works();
        stack::configure(64 << 20).unwrap();
        assert_eq!(exhausted(grad(|x| endless(x), &1.0f64)), Limit::Size);
        the_next_call_works();
    };
    let name = "the_end_of_address_space_is_an_error_and_so_is_a_size_that_does_not_fit";
    limited::run(name, &address_space(1 << 30), test);
    limited::run(name, &Limits { data: Some(1 << 30), ..Limits::NONE }, test);
}

#[test]
fn derivatives_in_destructors_of_a_thread_that_ends_work() {
    struct Last;
    impl Drop for Last {
        fn drop(&mut self) {
            the_next_call_works();
            exhausted(grad(|x| endless(x), &1.0f64));
            the_next_call_works();
            stack::release();
        }
    }
    thread_local!(static LAST: Last = const { Last });
    limited::run("derivatives_in_destructors_of_a_thread_that_ends_work", &CONTAINER, || {
        // Made before what the derivative keeps for the thread, and after it: destroyed after it, and before it.
        for before in [true, false] {
            let thread = std::thread::spawn(move || {
                if !before {
                    the_next_call_works();
                }
                LAST.with(|_| ());
                the_next_call_works();
            });
            thread.join().unwrap();
        }
    });
}

#[test]
fn what_a_deep_derivative_took_is_given_back() {
    limited::run("what_a_deep_derivative_took_is_given_back", &CONTAINER, || {
        let before = resident_bytes();
        exhausted(grad(|x| endless(x), &1.0f64));
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown < 16 << 20, "{grown} bytes are kept after the end of a derivative");
    });
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Files, as many as this process may have open.
fn all_descriptors() -> Vec<std::fs::File> {
    let few = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
    // SAFETY: the call reads the structure that it is given, and nothing else.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const few) }, 0);
    std::iter::from_fn(|| std::fs::File::open("/dev/zero").ok()).collect()
}

#[test]
fn a_container_counts_where_its_limits_cannot_be_read_at_first() {
    limited::run("a_container_counts_where_its_limits_cannot_be_read_at_first", &CONTAINER, || {
        let files = all_descriptors();
        the_next_call_works();
        exhausted(grad(|x| endless(x), &1.0f64));
        drop(files);
        exhausted(grad(|x| endless(x), &1.0f64));
        assert_eq!(stack::size(), 128 << 20);
        the_next_call_works();
        // Nor do they count less where they cannot be read any more.
        let _files = all_descriptors();
        assert_eq!(stack::size(), 128 << 20);
        exhausted(grad(|x| endless(x), &1.0f64));
        the_next_call_works();
    });
}

#[test]
fn saving_takes_no_memory_for_arrays_and_loading_without_it_is_an_error() {
    let test = || {
        // 128 MiB, in rows and in columns.
        let mut model = Array::from(vec![1.0; 1 << 24]).reshape(&[1 << 12, 1 << 12]);
        let turned = model.transpose();
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        limited::leave_address_space(32 << 20);
        save_npz(at("npz"), &model).unwrap();
        save_safetensors(at("safetensors"), &model).unwrap();
        save_checkpoint(at("checkpoint"), &turned, &Array::scalar(0.0), &Metadata::new()).unwrap();
        let loaded = [
            load_npz(at("npz"), &mut model),
            load_safetensors(at("safetensors"), &mut model),
            load_checkpoint(at("checkpoint"), &mut turned.clone(), &mut Array::scalar(0.0)).map(drop),
        ];
        for result in loaded {
            let no_memory = |source: &std::io::Error| source.kind() == std::io::ErrorKind::OutOfMemory;
            assert!(matches!(&result, Err(Error::Io { source, .. }) if no_memory(source)), "{result:?}");
        }
        // Numbers are converted while they are read, not in a second array.
        limited::leave_address_space(1 << 30);
        let mut narrow = NdArray::<f32>::from(vec![0.0; 1 << 24]).reshape(&[1 << 12, 1 << 12]);
        limited::leave_address_space(80 << 20);
        load_npz(at("npz"), &mut narrow).unwrap();
        assert_eq!(narrow.slice(0, 0..1).sum(..).item(), 4096.0);
        limited::leave_address_space(1 << 30);
        let mut loaded = (Array::from(vec![0.0; 1 << 24]).reshape(&[1 << 12, 1 << 12]), Array::scalar(1.0));
        load_checkpoint(at("checkpoint"), &mut loaded.0, &mut loaded.1).unwrap();
        assert_eq!((loaded.0.sum(..).item(), loaded.1.item()), (f64::from(1 << 24), 0.0));
    };
    let name = "saving_takes_no_memory_for_arrays_and_loading_without_it_is_an_error";
    limited::run(name, &Limits::NONE, test);
}
