//! What a model ensures and prints, eagerly, recorded and compiled: the same errors and lines, at the user's line.

use antiphon::debug::{check_finite, collect_printed};
use antiphon::error::Direction;
use antiphon::recording::{self, CompileOptions, OptimiseOptions, Recorded};
use antiphon::{
    Control, Error, Int, Mask, NdArray, OrRaise, Real, Result, Tensor, TrainingStep, Var, compile_with, grad,
    hvp, jvp, reset, value_and_grad,
};

type Array = NdArray<f64>;

/// What a function of a number gives: run, its program interpreted, that optimised and interpreted, and both compiled.
macro_rules! every_way {
    ($f:expr, $x:expr) => {{
        let x = Array::scalar($x);
        let reassociate = OptimiseOptions { reassociate: true };
        let program = recording::record("model", |x| $f(x), &x).unwrap();
        let mut optimised = program.clone();
        recording::optimise(&mut optimised, &reassociate);
        let interpreted = |program| recording::interpret(program, &x).map(|mut results| results.remove(0));
        let compiled = |optimise| {
            let options = CompileOptions { optimise, ..CompileOptions::default() };
            compile_with("model", |x| $f(x), &x, &options)?.call(&x)
        };
        [
            ("eager", reset(|_| Ok($f(x.clone())))),
            ("recorded", interpreted(&program)),
            ("optimised", interpreted(&optimised)),
            ("compiled", compiled(None)),
            ("compiled and optimised", compiled(Some(reassociate))),
        ]
    }};
}

/// That a model ends with a message at a line of this file in every way, at `fails`, and not at `holds`, where it gives
/// `value`.
macro_rules! ensures {
    ($f:expr, $holds:expr, $value:expr, $fails:expr, $message:expr, $line:expr) => {{
        for (way, found) in every_way!($f, $holds) {
            let found: Array = found.unwrap_or_else(|error| panic!("{way}: {error}"));
            assert!((found.item() - $value).abs() < 1e-12, "{way}: {found}");
        }
        for (way, found) in every_way!($f, $fails) {
            let error: Error = found.err().unwrap_or_else(|| panic!("{way}: no error"));
            assert!(matches!(&error, Error::Ensure { message, .. } if message == $message), "{way}: {error}");
            let text = error.to_string();
            let start = format!("{} (tests/compiled/probes.rs:{}:", $message, $line);
            assert!(text.starts_with(&start), "{way}: {text} for {start}");
        }
    }};
}

const MESSAGE: &str = "x has to be positive";

/// √x of what is positive.
fn root<T: Tensor>(x: &T) -> T {
    T::ensure(&x.greater(&T::constant(0.0)), MESSAGE);
    x.sqrt()
}
const LINE: u32 = line!() - 3;

#[test]
fn what_is_ensured_holds_or_the_model_ends_at_the_users_line_in_every_mode_and_nesting() {
    fn reverse<T: Tensor>(x: T) -> T {
        grad(|x| root(&x), &x).or_raise()
    }
    fn forward<T: Tensor>(x: T) -> T {
        jvp(|x| root(&x), &x, &x.ones_like()).or_raise().1
    }
    fn forward_over_reverse<T: Tensor>(x: T) -> T {
        hvp(|x| root(&x), &x, &x.ones_like()).or_raise().1
    }
    ensures!(|x| root(&x), 4.0, 2.0, -4.0, MESSAGE, LINE);
    ensures!(reverse, 4.0, 0.25, -4.0, MESSAGE, LINE);
    ensures!(forward, 4.0, 0.25, -4.0, MESSAGE, LINE);
    ensures!(forward_over_reverse, 4.0, -1.0 / 32.0, -4.0, MESSAGE, LINE);
    ensures!(
        |x| grad(|x| grad(|x| root(&x), &x).or_raise(), &x).or_raise(),
        4.0,
        -1.0 / 32.0,
        -4.0,
        MESSAGE,
        LINE
    );
}

#[test]
fn what_is_ensured_survives_where_nothing_depends_on_it() {
    fn beside<T: Tensor>(x: T) -> T {
        root(&x);
        x.square()
    }
    ensures!(beside, 3.0, 9.0, -3.0, MESSAGE, LINE);
    // In a function that is called for nothing else, and in the forward half of what has no derivative.
    fn called<T: Tensor>(x: T) -> T {
        T::cond(&x.less(&T::constant(9.0)), || root(&x).zeros_like(), || x.zeros_like()) + x.square()
    }
    ensures!(called, 3.0, 9.0, -3.0, MESSAGE, LINE);
    fn detached<T: Tensor>(x: T) -> T {
        grad(|x| root(&x.detach()).detach() + x.square(), &x).or_raise()
    }
    ensures!(detached, 3.0, 6.0, -3.0, MESSAGE, LINE);
}

#[test]
fn only_the_arm_that_is_taken_ensures_anything() {
    fn guarded<T: Tensor>(x: T) -> T {
        T::cond(&x.less(&T::constant(0.0)), || x.square(), || root(&(x.clone() - T::constant(1.0))))
    }
    ensures!(guarded, -3.0, 9.0, 0.5, MESSAGE, LINE);
    ensures!(|x| grad(|x| guarded(x), &x).or_raise(), -3.0, -6.0, 0.5, MESSAGE, LINE);
}

#[test]
fn loops_and_recursion_ensure_in_each_round() {
    /// Halves until x is less than one, and counts no more than three rounds.
    fn halved<T: Tensor>(x: T) -> T {
        let (one, three) = (T::constant(1.0), T::constant(3.0));
        let start = (x, T::constant(0.0));
        let round = |(x, rounds): (T, T)| {
            T::ensure(&rounds.less(&three), "more than three rounds");
            (x * T::constant(0.5), rounds + T::constant(1.0))
        };
        T::while_loop(start, |(x, _)| x.greater_equal(&one), round).0
    }
    let line = line!() - 5;
    ensures!(halved, 7.0, 0.875, 100.0, "more than three rounds", line);
    ensures!(|x| grad(|x| halved(x), &x).or_raise(), 7.0, 0.125, 100.0, "more than three rounds", line);
    fn factorial<T: Tensor>(x: T) -> T {
        T::fix(x, |factorial, x: T| {
            T::ensure(&x.greater_equal(&T::constant(0.0)), "no natural number");
            let rest = || x.clone() * factorial(x.clone() - T::constant(1.0));
            T::cond(&x.equal(&T::constant(0.0)), || T::constant(1.0), rest)
        })
    }
    ensures!(factorial, 5.0, 120.0, 4.5, "no natural number", line!() - 5);
    // Of 3·2·1·1 the derivative of x(x−1)(x−2) at 3.
    ensures!(|x| grad(|x| factorial(x), &x).or_raise(), 3.0, 11.0, 2.5, "no natural number", line!() - 7);
}

#[test]
fn all_elements_of_an_array_have_to_hold() {
    fn all<T: Tensor>(x: T) -> T {
        let xs = T::from_elements(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap() * &x;
        let bounded = xs.greater(&T::constant(0.0)).and(&xs.less(&T::constant(12.5)));
        T::ensure(&bounded, "an element out of bounds");
        xs.sum(..)
    }
    ensures!(all, 2.0, 42.0, 2.1, "an element out of bounds", line!() - 3);
}

#[test]
fn a_step_that_does_not_ensure_leaves_the_state_and_goes_on_afterwards() {
    fn step<T: Tensor>(w: &mut T, x: &T) -> Result<T> {
        let (loss, slope) = value_and_grad(|w| root(&(Var::lift(x) - w)), w)?;
        *w = w.clone() - slope;
        Ok(loss)
    }
    let mut losses =
        [TrainingStep::eager(Array::scalar(0.0), step), TrainingStep::compiled(Array::scalar(0.0), step)]
            .map(|mut training| {
                let mut call = |x: f64| training.call(&Array::scalar(x)).map(|loss| loss.item());
                let (first, second) = (call(4.0).unwrap(), call(-1.0).unwrap_err().to_string());
                assert!(
                    second.starts_with(&format!("{MESSAGE} (tests/compiled/probes.rs:{LINE}:")),
                    "{second}"
                );
                let third = call(9.0).unwrap();
                (first, third, training.state().item())
            })
            .into_iter();
    let (eager, compiled) = (losses.next().unwrap(), losses.next().unwrap());
    assert_eq!(eager.0, 2.0);
    assert!((eager.1 - compiled.1).abs() < 1e-12 && (eager.2 - compiled.2).abs() < 1e-12);
}

#[test]
fn values_are_printed_at_run_time_with_their_names_and_the_users_line() {
    fn power<T: Tensor>(x: T) -> T {
        let round = |(y, x): (T, T)| ((y * &x).printed("y"), x);
        T::while_loop((x.clone(), x), |(y, _)| y.less(&T::constant(20.0)), round).0
    }
    let start = format!("[tests/compiled/probes.rs:{}:", line!() - 3);
    // 3, then 9 and 27; the derivative of x³ at 3 is 27.
    let (found, lines) = collect_printed(|| every_way!(|x| grad(|x| power(x), &x).or_raise(), 3.0));
    for (way, value) in found {
        assert_eq!(value.unwrap().item(), 27.0, "{way}");
    }
    assert_eq!(lines.len(), 10, "{lines:#?}");
    for (line, end) in lines.iter().zip(["] y = 9.0", "] y = 27.0"].into_iter().cycle()) {
        assert!(line.starts_with(&start) && line.ends_with(end), "{line}");
    }
}

#[test]
fn arrays_and_integers_are_printed_whole_and_long_ones_in_part() {
    fn model<T: Tensor>(x: T) -> T {
        let xs = T::from_elements(&[2, 2], &[1.0, 2.0, 3.0, 4.0]).unwrap() * &x;
        let largest = xs.printed("xs").argmax(1).printed("largest");
        T::zeros(&[1002]).printed("zeros").sum(..) + T::from_int(&largest).sum(..) * x
    }
    let (found, lines) = collect_printed(|| every_way!(model, 0.5));
    for (way, value) in found {
        assert_eq!(value.unwrap().item(), 1.0, "{way}");
    }
    assert_eq!(lines.len(), 15);
    for lines in lines.chunks(3) {
        assert!(lines[0].ends_with("] xs = [[0.5, 1.0], [1.5, 2.0]]"), "{}", lines[0]);
        assert!(lines[1].ends_with("] largest = [1, 1]"), "{}", lines[1]);
        assert!(lines[2].ends_with(", 0.0, …] and 2 more of shape [1002]"), "{}", lines[2]);
    }
}

#[test]
fn the_text_of_a_program_says_what_it_ensures_and_prints() {
    let model = |x: Recorded| root(&x).printed("the root");
    let text = recording::record("model", model, &Array::scalar(1.0)).unwrap().to_string();
    assert!(text.contains("ensure v0, \"x has to be positive\""), "{text}");
    assert!(text.contains(" as \"the root\""), "{text}");
}

#[test]
fn a_run_that_is_repeated_with_more_room_prints_nothing_twice() {
    fn deep<T: Tensor>(x: T) -> T {
        let x = x.printed("before");
        let y = T::fix(x, |sum, x: T| {
            let rest = || x.sin() + sum(x.clone() - T::constant(1.0));
            T::cond(&x.less(&T::constant(0.0)), || x.clone(), rest)
        });
        y.printed("after")
    }
    let example = Array::scalar(3.0);
    let mut compiled =
        antiphon::compile("deep", |x: Recorded| grad(|x| deep(x), &x).or_raise(), &example).unwrap();
    for depth in [3.0, 400_000.0] {
        let (slope, lines) = collect_printed(|| compiled.call(&Array::scalar(depth)));
        assert!(slope.unwrap().item().is_finite());
        let names: Vec<&str> = lines.iter().map(|line| line.split([' ', ']']).nth(2).unwrap()).collect();
        assert_eq!(names, ["before", "after"], "{lines:?}");
    }
}

/// That a model of a number is found to compute what is not finite, eagerly and compiled: operator, pass, value and line.
macro_rules! not_finite {
    ($f:expr, $x:expr, $op:expr, $direction:expr, $value:expr, $line:expr) => {{
        let x = Array::scalar($x);
        let looking = |optimise| CompileOptions { optimise, check_finite: true, ..CompileOptions::default() };
        let compiled = |options| compile_with("model", |x| $f(x), &x, &options)?.call(&x);
        let program = recording::record_with("model", |x| $f(x), &x, &looking(None)).unwrap();
        let ways: [(&str, Result<Array>); 4] = [
            ("eager", check_finite(|| Ok($f(x.clone())))),
            ("recorded", recording::interpret(&program, &x).map(|mut results| results.remove(0))),
            ("compiled", compiled(looking(None))),
            ("optimised", compiled(looking(Some(OptimiseOptions { reassociate: true })))),
        ];
        for (way, found) in ways {
            let error = found.err().unwrap_or_else(|| panic!("{way}: no error"));
            let Error::NotFinite { op, direction, value, .. } = &error else { panic!("{way}: {error}") };
            assert_eq!((*op, *direction), ($op, $direction), "{way}: {error}");
            assert!(*value == $value || value.is_nan() && f64::is_nan($value), "{way}: {error}");
            let (text, line) = (error.to_string(), $line);
            assert!(
                text.contains(&format!(" pass (tests/compiled/probes.rs:{line}:")),
                "{way}: {text} for {line}"
            );
        }
        // Nobody who does not ask is told.
        assert!(compile_with("model", |x| $f(x), &x, &CompileOptions::default()).unwrap().call(&x).is_ok());
        let _: Array = $f(x);
    }};
}

#[test]
fn the_first_number_that_is_not_finite_is_found_forward_and_backward_with_operator_and_line() {
    use Direction::{Backward, Forward};
    fn slope<T: Tensor>(x: T) -> T {
        grad(|x| (x.clone() - x.detach()).sqrt().exp(), &x).or_raise()
    }
    not_finite!(slope, 3.0, "sqrt", Backward, f64::INFINITY, line!() - 2);
    fn overflow<T: Tensor>(x: T) -> T {
        let y = x.exp();
        y.log() * x
    }
    let line = line!() - 3;
    not_finite!(overflow, 1000.0, "exp", Forward, f64::INFINITY, line);
    not_finite!(|x| grad(|x| overflow(x), &x).or_raise(), 1000.0, "exp", Forward, f64::INFINITY, line);
    not_finite!(|x| hvp(|x| overflow(x), &x, &x).or_raise().1, 1000.0, "exp", Forward, f64::INFINITY, line);
    // Of arrays, in a product: [∞ − ∞].
    fn product<T: Tensor>(x: T) -> T {
        let huge = T::from_elements(&[1, 2], &[1e200, -1e200]).unwrap() * &x;
        huge.matmul(&T::from_elements(&[2, 1], &[1e200, 1e200]).unwrap()).sum(..)
    }
    let found = |error: Error| matches!(error, Error::NotFinite { op: "matmul", direction: Forward, .. });
    assert!(found(check_finite(|| Ok(product(Array::scalar(1.0)))).unwrap_err()));
    // In a derivative of a derivative: √ and its slope are finite where the slope's slope is not.
    fn power<T: Tensor>(x: T) -> T {
        x.pow(&T::constant(1.5)).sum(..)
    }
    let second = |x: Array| grad(|x| grad(|x| power(x), &x).or_raise(), &x).or_raise();
    let line = line!() - 3;
    let error = check_finite(|| Ok(second(Array::scalar(0.0)))).unwrap_err();
    assert!(matches!(error, Error::NotFinite { direction: Backward, .. }), "{error}");
    assert!(error.to_string().contains(&format!("tests/compiled/probes.rs:{line}:")), "{error}");
}

#[test]
fn what_is_finite_is_the_same_whether_it_is_looked_at_or_not() {
    fn step<T: Tensor>(w: &mut T, x: &T) -> Result<T> {
        let (loss, slope) = value_and_grad(
            |w| {
                let h = Var::lift(x).matmul(&w).tanh();
                Var::while_loop(
                    h,
                    |h| h.square().sum(..).less(&Var::constant(40.0)),
                    |h| h * Var::constant(1.5),
                )
                .logsumexp(1)
                .mean(..)
            },
            w,
        )?;
        *w = w.clone() - slope.scale(0.1);
        Ok(loss)
    }
    let array = |shape: &[usize]| {
        let size = shape.iter().product::<usize>();
        Array::from_elements(shape, &(0..size).map(|i| (i as f64 * 0.7).sin()).collect::<Vec<_>>()).unwrap()
    };
    let (w, x) = (array(&[3, 4]), array(&[5, 3]));
    let run = |mut training: TrainingStep<'_, Array, Array, Array>| {
        (0..3).for_each(|_| drop(training.call(&x).unwrap()));
        training.state()
    };
    let eager = run(TrainingStep::eager(w.clone(), step));
    assert_eq!(check_finite(|| Ok(run(TrainingStep::eager(w.clone(), step)))).unwrap(), eager);
    let compiled = |looks: bool| {
        let step = TrainingStep::compiled(w.clone(), step);
        run(step.configure(|options| (options.cache, options.check_finite) = (None, looks)))
    };
    for looks in [false, true] {
        let difference = (compiled(looks) - &eager).abs().max(..).item();
        assert!(difference < 1e-12, "{looks}: {difference:e}");
    }
    // And a step that is not finite says so and leaves the state.
    let diverging = TrainingStep::compiled(w.clone(), |w: &mut Recorded, x: &Recorded| {
        *w = w.exp() * x.sum(..);
        Ok(w.sum(..))
    });
    let mut diverging = diverging.configure(|options| (options.cache, options.check_finite) = (None, true));
    let error = (0..9).find_map(|_| diverging.call(&array(&[2])).err()).unwrap();
    assert!(matches!(error, Error::NotFinite { op: "exp", direction: Direction::Forward, .. }), "{error}");
    assert!(diverging.state().view().iter().all(|x| x.is_finite()));
}

#[test]
fn plain_numbers_are_not_looked_at_and_that_is_said() {
    let error = check_finite(|| grad(|x| x.sqrt(), &0.0f64)).unwrap_err().to_string();
    assert!(error.starts_with("grad: check_finite does not see what plain numbers compute"), "{error}");
    let error = check_finite(|| jvp(|x| x.sqrt(), &0.0f64, &1.0)).unwrap_err().to_string();
    assert!(error.starts_with("jvp: check_finite does not see what plain numbers compute"), "{error}");
    // The next one is not concerned.
    assert_eq!(grad(|x| x.sqrt(), &0.25f64).unwrap(), 1.0);
}
