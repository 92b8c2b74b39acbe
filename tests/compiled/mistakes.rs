//! What a user can get wrong in a recorded model or in a call of it is an error that says what and where, and never
//! another result than eagerly.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use antiphon::control::scan;
use antiphon::recording::{self, CompileOptions, Interrupt, Recorded};
use antiphon::{
    Control, Error, Int, Mask, NdArray, OrRaise, Padding, Params, Real, Result, State, Structure, Tensor,
    TrainingStep, Window2d, compile, compile_with, grad,
};

type Array = NdArray<f64>;

/// Checks that an error has this text, and a line of this file behind it.
#[track_caller]
fn says<R>(found: Result<R>, text: &str) {
    let error = found.err().unwrap_or_else(|| panic!("no error, but {text:?} was expected")).to_string();
    assert!(error.starts_with(&format!("{text} (tests/compiled/mistakes.rs:")), "{error}");
}

/// What recording a model of three numbers gives.
fn record<Q: Structure<Recorded>>(model: impl FnMut(Recorded) -> Q) -> Result<()>
where
    Q::With<Array>: State<Array>,
{
    compile("model", model, &Array::zeros(&[3])).map(drop)
}

/// Whether the sum is negative, which is not known while recording.
fn negative<T: Tensor>(x: &T) -> T::Bool {
    x.sum(..).less(&T::constant(0.0))
}

#[derive(Clone, Params)]
struct Model<T> {
    weights: Vec<T>,
    bias: Option<T>,
}

#[test]
fn a_loop_that_was_unrolled_is_refused_and_its_line_named() {
    let step = TrainingStep::compiled(1.0f64, |x, _: &Recorded| {
        *x = (0..10_000).fold(*x, |x, _| x.exp());
        Ok(*x)
    });
    let mut step = step.configure(|options| (options.cache, options.program_instructions) = (None, 10_000));
    let (error, line) = (step.call(&0.0).unwrap_err(), line!());
    let Error::Recording { reason, at } = &error else { panic!("{error:?}") };
    assert!(reason.starts_with("step has 10000 operators"), "{reason}");
    assert!(reason.contains("`scan` or `while_loop`"), "{reason}");
    assert_eq!(at.to_string().split(':').nth(1), Some(line.to_string().as_str()), "{at}");
}

#[test]
fn recording_ends_at_the_line_that_records_more_operators_than_it_may() {
    let options = CompileOptions { operators: 100, ..CompileOptions::default() };
    let text = "the program has more than 100 operators: write what is unrolled as a loop, with `scan` or \
                `while_loop`, or raise `CompileOptions::operators`";
    let zeros = Array::zeros(&[3]);
    let line = AtomicU32::new(0);
    let at_the_line = |found: Result<()>| {
        let error = found.unwrap_err();
        let Error::Recording { at, .. } = &error else { panic!("{error:?}") };
        assert_eq!(at.to_string().split(':').nth(1), Some(line.load(Relaxed).to_string().as_str()), "{at}");
        says(Err::<(), _>(error), text);
    };
    // More of them than there is memory for, without a limit.
    let forever = 1u64 << 40;
    let products = |x: Recorded| (0..forever).fold(x, |y, _| (y * 2.0, line.store(line!(), Relaxed)).0);
    at_the_line(recording::record_with("products", products, &zeros, &options).map(drop));
    let powers = |x: Recorded| (0..forever).fold(x, |y, _| (y.powi(3), line.store(line!(), Relaxed)).0);
    at_the_line(compile_with("powers", powers, &zeros, &options).map(drop));
    // Forward and, since a sine is one operator forward and three backward, backward.
    for n in [forever, 50] {
        let sines = |x: Recorded| {
            grad(|x| (0..n).fold(x.sum(..), |y, _| (y.sin(), line.store(line!(), Relaxed)).0), &x).or_raise()
        };
        let found = compile_with("sines", sines, &zeros, &options).map(drop);
        if n == forever { at_the_line(found) } else { says(found, text) }
    }
    let step = TrainingStep::compiled(1.0f64, |x, _: &Recorded| {
        *x = (0..forever).fold(*x, |y, _| (y.exp(), line.store(line!(), Relaxed)).0);
        Ok(*x)
    });
    let mut step = step.configure(|to| *to = CompileOptions { cache: None, ..options.clone() });
    at_the_line(step.call(&0.0).map(drop));
    let sines = |x: Recorded| (0..100).fold(x, |x, _| x.sin());
    assert_eq!(recording::record_with("sines", sines, &zeros, &options).unwrap().len(), 100);
    assert!(compile_with("sines", sines, &zeros, &options).is_ok());
}

#[test]
fn recording_is_part_of_what_an_interruption_and_a_time_limit_end() {
    let zeros = Array::zeros(&[3]);
    let endless = |x: Recorded| (0..1u64 << 40).fold(x, |y, _| y * 2.0);
    let operators = usize::MAX;
    let limit = Duration::from_millis(20);
    let late = CompileOptions { operators, time_limit: Some(limit), ..CompileOptions::default() };
    let interrupt = Interrupt::default();
    interrupt.raise();
    let raised = CompileOptions { operators, interrupt: Some(interrupt), ..CompileOptions::default() };
    for (options, least) in [(late, limit), (raised, Duration::ZERO)] {
        let found = [
            recording::record_with("endless", endless, &zeros, &options).map(drop),
            compile_with("endless", endless, &zeros, &options).map(drop),
            TrainingStep::compiled(0.0f64, |x: &mut Recorded, _: &Recorded| Ok(endless(*x)))
                .configure(|to| *to = options.clone())
                .call(&0.0)
                .map(drop),
        ];
        for error in found {
            assert!(matches!(&error, Err(Error::Interrupted { after, .. }) if *after >= least), "{error:?}");
        }
    }
    // What is over before the program is there, and is not looked at while it is recorded.
    let slow = |x: Recorded| {
        std::thread::sleep(2 * limit);
        x
    };
    let options = CompileOptions { time_limit: Some(limit), ..CompileOptions::default() };
    let error = compile_with("slow", slow, &zeros, &options).map(drop).unwrap_err();
    assert!(matches!(&error, Error::Interrupted { after, .. } if *after > limit), "{error:?}");
}

#[test]
fn a_step_writes_over_its_state_and_a_compiled_function_over_nothing_whatever_is_asked_for() {
    for wrong in [vec![], vec![(1, 0)], vec![(0, 7)], vec![(7, 0), (0, 0), (0, 0)]] {
        let step = TrainingStep::compiled(
            (1.0f64, 10.0f64),
            |(x, y): &mut (Recorded, Recorded), more: &Recorded| {
                (*x, *y) = (*x + more, *y * more);
                Ok(*x)
            },
        );
        let mut step = step.configure(|options| (options.cache, options.updates) = (None, wrong.clone()));
        assert_eq!((step.call(&2.0).unwrap(), step.state()), (3.0, (3.0, 20.0)), "{wrong:?}");
        let options = CompileOptions { updates: wrong.clone(), ..CompileOptions::default() };
        let found = compile_with("same", |x: Recorded| x, &0.0f64, &options).map(drop);
        if !wrong.is_empty() {
            says(found, "`CompileOptions::updates`: the inputs of a compiled function are not written over");
        }
    }
}

#[test]
fn a_compilation_that_is_interrupted_is_an_error_and_the_next_call_works() {
    let interrupt = Interrupt::default();
    let step = TrainingStep::compiled(1.0f64, |x, y: &Recorded| {
        *x += y;
        Ok(*x)
    });
    let mut step = step.configure(|options| {
        options.cache = None;
        options.interrupt = Some(interrupt.clone());
    });
    interrupt.raise();
    let error = step.call(&2.0).unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }), "{error:?}");
    interrupt.clear();
    assert_eq!((step.call(&2.0).unwrap(), step.compilations()), (3.0, 1));
}

#[test]
fn inputs_are_of_the_examples_structure() {
    let model = |lengths: &[usize], bias: Option<usize>| -> Model<Array> {
        let zeros = |&n: &usize| Array::zeros(&[n]);
        Model { weights: lengths.iter().map(zeros).collect(), bias: bias.as_ref().map(zeros) }
    };
    let sum =
        |model: Model<Recorded>| model.leaves().iter().map(|x| x.sum(..)).reduce(|sum, x| sum + x).unwrap();
    let mut compiled = compile("sum", sum, &model(&[2, 2], None)).unwrap();
    says(compiled.call(&model(&[2, 3], None)), "weights.1 is f64[3], but it was f64[2] in the example");
    says(compiled.call(&model(&[2], None)), "weights.1 is missing, which the example has");
    says(compiled.call(&model(&[2; 3], None)), "there is weights.2, which the example has not");
    // As many components, of the same types.
    says(compiled.call(&model(&[2], Some(2))), "there is bias where the example has weights.1");
    compiled.call(&model(&[2, 2], None)).unwrap();
    let mut sine = compile("sine", |x: Recorded| x.sin(), &Array::zeros(&[2])).unwrap();
    says(sine.call(&Array::zeros(&[])), "the value is f64, but it was f64[2] in the example");
}

#[test]
fn a_step_keeps_the_structure_of_its_state() {
    type Places<T> = (Option<T>, Option<T>);
    /// What a step that changes its state like this says.
    fn step(change: fn(&mut Places<Recorded>, &Recorded)) -> Result<Array> {
        let start: Places<Array> = (Some(Array::zeros(&[2])), None);
        let training = TrainingStep::compiled(start, move |state: &mut Places<Recorded>, x: &Recorded| {
            change(state, x);
            Ok(x.sum(..))
        });
        training.configure(|options| options.cache = None).call(&Array::zeros(&[2]))
    }
    says(
        step(|state, _| state.1 = state.0.take()),
        "there is component 1 where the step's state has component 0",
    );
    says(step(|state, x| state.1 = Some(*x)), "there is component 1, which the step's state has not");
    says(step(|state, _| state.0 = None), "component 0 is missing, which the step's state has");
    says(
        step(|state, x| state.0 = Some(x.sum(..))),
        "component 0 is f64, but it was f64[2] in the step's state",
    );
    step(|state, x| state.0 = Some(*x)).unwrap();
}

#[test]
fn ways_that_meet_bring_the_same_structure_and_shapes() {
    /// A value on either way of a branch.
    fn branch<T: Tensor, S: State<T>>(x: &T, then: S, otherwise: S) -> S {
        T::cond(&negative(x), || then.clone(), || otherwise.clone())
    }
    let types = "the arms of a cond give values of different types: ";
    let mend = "; let both arms give the same structure and shapes, with `zeros_like` or `broadcast_to`, say";
    says(record(|x| branch(&x, x, x.sum(..))), &format!("{types}(f64[3]) and (f64){mend}"));
    says(record(|x| branch(&x, vec![x], vec![x, x])), &format!("{types}(f64[3]) and (f64[3], f64[3]){mend}"));
    says(
        record(|x| grad(|x| branch(&x, x.clone(), x.sum(..)).sum(..), &x).or_raise()),
        &format!("{types}(f64[3]) and (f64){mend}"),
    );
    // As many components, of the same types.
    let places = "lists of different lengths, or an option with something here and nothing there";
    says(
        record(|x| branch(&x, (Some(x), None), (None, Some(x)))),
        &format!("the arms of a cond give {places}{mend}"),
    );
    fn first_of_two<T: Tensor>(x: &T) -> T {
        let [one, two] = branch(x, [vec![x.clone()], vec![]], [vec![], vec![x.clone()]]);
        one.into_iter().chain(two).map(|x| x.sum(..)).next().unwrap()
    }
    says(
        record(|x| grad(|x| first_of_two(&x), &x).or_raise()),
        &format!("the arms of a cond give {places}{mend}"),
    );

    let calls = "before and after a round, the state of a while_loop has";
    let types = format!("{calls} values of different types: ");
    let mend = "; a loop keeps the structure and the shapes of its state: begin with one like that which a round gives";
    fn grown<T: Tensor>(x: T) -> T {
        T::while_loop(x, negative, |x| T::concat(&[x.clone(), x], 0))
    }
    says(record(grown), &format!("{types}(f64[3]) and (f64[6]){mend}"));
    says(
        record(|x| grad(|x| grown(x).sum(..), &x).or_raise()),
        &format!("{types}(f64[3]) and (f64[6]){mend}"),
    );
    let longer = |x| Recorded::while_loop(vec![x], |xs| negative(&xs[0]), |xs| [xs.clone(), xs].concat());
    says(record(longer), &format!("{types}(f64[3]) and (f64[3], f64[3]){mend}"));
    let moves = |x| {
        let start: (Option<Recorded>, Option<Recorded>) = (Some(x), None);
        Recorded::while_loop(start, |(x, _)| negative(&x.unwrap()), |(x, y)| (y, x))
    };
    says(record(moves), &format!("{calls} {places}{mend}"));
    let sums = |x: Recorded| scan(x.sum(..), &x, |sum, x| (Recorded::stack(&[sum, x], 0), x)).or_raise();
    let types = "before and after a step, the carry of a scan has values of different types: ";
    says(record(sums), &format!("{types}(f64) and (f64[2]){mend}"));
    let rows = |x: Recorded| {
        let length = Cell::new(1);
        let next = || length.replace(length.get() + 1);
        scan(x, &x, |carry, x| (carry, x.broadcast_to(&[next()]))).or_raise()
    };
    says(record(rows), "scan: cannot combine [1] with [2]");
}

#[test]
fn a_condition_is_a_single_truth_value() {
    let single = "cond: [3]: the condition is not a single truth value";
    fn three<T: Tensor>(x: T) -> T {
        T::cond(&x.less(&x), || x.clone(), || x.clone())
    }
    says(record(three), single);
    says(record(|x| grad(|x| three(x).sum(..), &x).or_raise()), single);
    let single = "while_loop: [3]: the condition is not a single truth value";
    says(record(|x| Recorded::while_loop(x, |x| x.less(x), |x| x)), single);
    // The only element of an array is one.
    fn step<T: Tensor>(x: &T) -> T {
        T::cond(&x.less(&T::constant(1.0)), || x.square(), || x.clone())
    }
    let one = Array::from(vec![-3.0]);
    let mut compiled =
        compile("step", |x: Recorded| grad(|x| step(&x).sum(..), &x).or_raise(), &one).unwrap();
    assert_eq!(compiled.call(&one).unwrap(), grad(|x| step(&x).sum(..), &one).unwrap());
}

#[test]
fn what_a_recorded_value_is_cannot_be_asked() {
    let known = "`known` gives nothing while a model is recorded, since the value may be another one in each run: in \
                 place of Rust's own `if`, `while` and indexing write `cond`, `while_loop`, `select` and \
                 `gather_rows`, or pass the value as a constant of the program";
    fn sign<T: Tensor>(x: &T) -> T {
        if negative(x).known().unwrap() { -x.clone() } else { x.clone() }
    }
    says(record(|x| sign(&x)), known);
    says(record(|x| grad(|x| sign(&x).sum(..), &x).or_raise()), known);
    says(record(|x| x * x.argmax(0).known().unwrap() as f64), known);
    // Other panics go on, also after one could have been of that.
    let other = std::panic::catch_unwind(|| {
        record(|x| if negative(&x).known().is_none() { panic!("mine") } else { x })
    });
    assert_eq!(other.unwrap_err().downcast_ref(), Some(&"mine"));
}

#[test]
fn no_array_is_larger_than_any_memory() {
    const LONG: usize = 1 << 39;
    let outer = |x: Recorded| {
        let x = x.sum(..);
        x.broadcast_to(&[LONG, 1]).matmul(&x.broadcast_to(&[1, LONG])).sum(..)
    };
    says(record(outer), &format!("matmul: [{LONG}, {LONG}]: no array has so many elements"));
    says(
        record(|x| x.sum(..).reshape(&[LONG, LONG])),
        &format!("reshape: cannot turn [] into [{LONG}, {LONG}]"),
    );
    let most = usize::MAX;
    let all = Padding { before: most, after: most, interior: most };
    let error = record(|x| x.pad(0, all)).unwrap_err().to_string();
    assert!(error.starts_with("pad: [3]: ") && error.contains("is too much"), "{error}");
    let window = Window2d { padding: [most; 2], ..Window2d::default() };
    let image = |x: Recorded| x.reshape(&[1, 1, 1, 3]);
    let error = record(|x| image(x).conv2d(&image(x), window)).unwrap_err().to_string();
    assert!(error.contains("is too much (tests/compiled/mistakes.rs:"), "{error}");
}

#[test]
fn recorded_values_stay_in_their_recording_and_where_they_are_computed() {
    let mut kept = None;
    record(|x| *kept.insert(x)).unwrap();
    says(
        record(|x| x + kept.unwrap()),
        "a recorded value was used outside of the recording that it belongs to",
    );
    let escapes = |x: Recorded| {
        let inner = Cell::new(x);
        let y = Recorded::cond(&negative(&x), || x, || x * inner.replace(x.sin()));
        y + inner.get()
    };
    let error = record(escapes).unwrap_err().to_string();
    assert!(error.contains("is not in scope") && error.contains("(tests/compiled/mistakes.rs:"), "{error}");
}
