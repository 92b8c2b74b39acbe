//! What compiled code closes over is a constant: a change of it is an error that names it, and not a wrong number.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

use antiphon::nn::Rng;
use antiphon::recording::Recorded;
use antiphon::{Control, Error, NdArray, NdInt, Real, Tensor, TrainingStep, compile, grad};

type Array = NdArray<f64>;
type Step<'f> = TrainingStep<'f, Array, Array, Array>;

/// A step without a cache on the disk, from zero on.
fn step<'f>(f: impl Fn(&Recorded, &Recorded) -> Recorded + Send + 'f) -> Step<'f> {
    let step = TrainingStep::compiled(Array::scalar(0.0), move |w: &mut Recorded, x: &Recorded| {
        *w = f(w, x);
        Ok(*w)
    });
    step.configure(|options| options.cache = None)
}

/// The error of a step or a function that is not what was compiled: what differs, and this line.
#[track_caller]
fn differs<T>(found: antiphon::Result<T>, what: &str, line: u32) {
    let error = found.err().expect("the change is an error");
    assert!(matches!(error, Error::Recording { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(what) && text.contains("pass what changes as an input"), "{text}");
    assert!(text.ends_with(&format!("(tests/compiled/captures.rs:{line}:{})", column(&text))), "{text}");
}

fn column(text: &str) -> &str {
    text.trim_end_matches(')').rsplit(':').next().unwrap()
}

#[test]
fn a_captured_learning_rate_that_changes_is_an_error_that_names_it_and_leaves_the_state() {
    let rate = AtomicI64::new(1000);
    let lr = || Recorded::constant(rate.load(Relaxed) as f64 / 1000.0).named("lr");
    let (line, mut named) = (line!(), step(|w, x| *w - *x * lr()));
    let (one, line_of_lr) = (Array::scalar(1.0), line - 1);
    assert_eq!(named.call(&one).unwrap().item(), -1.0);
    rate.store(500, Relaxed);
    // As often as it is called.
    for _ in 0..3 {
        differs(
            named.call(&one),
            "the step is no longer what was compiled: `lr` was 1.0, and is 0.5 now",
            line_of_lr,
        );
        assert_eq!(named.state().item(), -1.0);
    }
    // Once the step is what it was, it goes on.
    rate.store(1000, Relaxed);
    assert_eq!(named.call(&one).unwrap().item(), -2.0);
    // Dropping the code compiles the step as it is now.
    rate.store(500, Relaxed);
    let mut named = named.configure(|_| ());
    assert_eq!(named.call(&one).unwrap().item(), -2.5);
}

#[test]
fn changes_are_found_at_later_calls_too() {
    let rate = AtomicI64::new(2);
    let (line, mut halved) = (line!(), step(|w, x| *w - *x * rate.load(Relaxed) as f64));
    let one = Array::scalar(1.0);
    let calls = |step: &mut Step<'_>| (1..).find(|_| step.call(&one).is_err()).unwrap();
    (0..2).for_each(|_| drop(halved.call(&one).unwrap()));
    rate.store(1, Relaxed);
    assert!(calls(&mut halved) > 1, "not at the third call");
    differs(halved.call(&one), "a constant was 2.0, and is 1.0 now", line);
    // What is data may change.
    let mut step = step(|w, x| *w - *x);
    (0..40).for_each(|i| drop(step.call(&Array::scalar(f64::from(i))).unwrap()));
    assert_eq!(step.state().item(), -780.0);
}

#[test]
fn arrays_operators_and_their_number_are_compared() {
    let calls = AtomicUsize::new(0);
    let second = || calls.fetch_add(1, Relaxed) > 0;
    let data = Array::from(vec![1.0, 2.0]);
    let twice = |f: &(dyn Fn(&Recorded) -> Recorded + Sync), what: &str, line: Option<u32>| {
        calls.store(0, Relaxed);
        let (used, mut step) = (line!(), step(|w, x| *w + f(x).sum(..)));
        step.call(&data).unwrap();
        differs(step.call(&data), what, line.unwrap_or(used));
        calls.store(0, Relaxed);
        let (used, model) = (line!(), |x: Recorded| f(&x).sum(..));
        let what = format!("`model` is no longer what was compiled: {what}");
        differs(compile("model", model, &data), &what, line.unwrap_or(used));
    };
    let constant = || Recorded::from_elements(&[2], &[1.0, f64::from(u8::from(second()))]).unwrap();
    twice(&|x| *x + constant(), "a constant array had other elements than now", Some(line!() - 1));
    let (line, sine) = (line!(), |x: &Recorded| if second() { x.sin() } else { x.cos() });
    twice(&sine, "an operator was `cos`, and is `sin` now", Some(line));
    let (line, longer) = (line!(), |x: &Recorded| if second() { x.sin().sin() } else { x.sin() });
    twice(&longer, "an operator was `sum`, and is `sin` now", Some(line));
    let (line, slice) = (line!(), |x: &Recorded| x.slice(0, usize::from(second())..2));
    twice(&slice, "`slice` had other operands or constants than now", Some(line));
    // The same operators, of which another is used: by the sum.
    let other = |x: &Recorded| [x.sin(), x.cos()][usize::from(second())];
    twice(&other, "`sum` had other operands or constants than now", None);
}

#[test]
fn random_numbers_that_rust_draws_while_recording_are_found_and_those_of_a_seed_are_not() {
    let rng = std::sync::Mutex::new(Rng::new(1));
    let (line, drawn) = (line!(), |x: Recorded| x * rng.lock().unwrap().uniform());
    differs(compile("noisy", drawn, &1.0f64), "a constant was 0.", line);
    let seeded = |(x, seed): (Recorded, <Recorded as Real>::Int)| x * Recorded::uniform(&[], &seed);
    let mut seeded = compile("seeded", seeded, &(Array::scalar(1.0), NdInt::scalar(1))).unwrap();
    let one = seeded.call(&(Array::scalar(1.0), NdInt::scalar(1))).unwrap().item();
    assert_ne!(one, seeded.call(&(Array::scalar(1.0), NdInt::scalar(2))).unwrap().item());
}

#[test]
fn what_changes_inside_of_a_recorded_loop_or_a_derivative_is_found_at_its_line() {
    let power = AtomicI64::new(2);
    fn grow<T: Control>(x: T, factor: &dyn Fn() -> f64) -> T {
        T::while_loop(x, |y| y.less(&T::constant(10.0)), |y| y.square().scale(factor()))
    }
    let line = line!() - 2;
    let model = |x: &Recorded| grad(|x| grow(x, &|| power.load(Relaxed) as f64), x).unwrap();
    let mut step = step(|w, x| *w + model(x));
    let data = Array::scalar(1.5);
    step.call(&data).unwrap();
    power.store(3, Relaxed);
    differs(step.call(&data), "a constant was 2.0, and is 3.0 now", line);
}
