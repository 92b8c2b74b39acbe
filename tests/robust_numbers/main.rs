//! Numbers of any size, as lengths, steps, axes, indices, bounds and elements, through every operator: no panic, no
//! abort, no wrap-around; every interpretation gives the same results, or the same error, which names the line here.
//!
//! `CASES` says how many are drawn, 1,000 if it is not set; `SEED` where to begin.

mod draw;
mod memory;
mod nan;
mod operators;

use antiphon::recording::{Recorded, interpret, interpret_components, record};
use antiphon::{Error, NdArray, OrRaise, Result, Tensor, compile, grad, hvp, jvp};

use draw::Draw;
use operators::{NAMES, apply};

type Array = NdArray<f64>;

/// An operator, its operands, and the choices to come.
struct Case {
    name: &'static str,
    operands: (Array, Array),
    draw: Draw,
}

/// A result, or the error without the place that it names.
type Outcome = Result<Array, String>;

/// The error's text, which ends in a line of this test.
fn text(error: &Error) -> String {
    let message = error.to_string();
    let place =
        message.rsplit_once(" (tests/robust_numbers/").unwrap_or_else(|| panic!("no place here: {message}"));
    place.0.to_owned()
}

fn environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

impl Case {
    fn new(seed: u64) -> Case {
        let mut draw = Draw::new(seed);
        let name = NAMES[draw.below(NAMES.len())];
        let shape = draw.small();
        let other = if draw.below(2) == 0 { shape.clone() } else { draw.small() };
        // Images and kernels have four axes.
        let [shape, other] = [shape, other].map(|mut shape| {
            if name.contains("2d") || name == "convolution" {
                shape.resize(4, 2);
            }
            shape
        });
        let operands = (draw.array(&shape), draw.array(&other));
        let operands = (draw.spoilt(operands.0), draw.spoilt(operands.1));
        Case { name, operands, draw }
    }

    fn apply<T: Tensor>(&self, x: &[T; 2]) -> T {
        apply(self.name, x, &mut self.draw.clone())
    }

    /// On plain arrays, inside of an entry point that returns the error.
    fn plain(&self) -> Outcome {
        let (a, b) = self.operands.clone();
        let mut y = None;
        let run = grad(
            |one| {
                y = Some(self.apply(&[a, b]));
                one
            },
            &1.0,
        );
        run.map_err(|error| text(&error))?;
        Ok(y.expect("it ran"))
    }

    fn reverse(&self) -> Outcome {
        let mut value = None;
        let run = grad(
            |(a, b)| {
                let y = self.apply(&[a, b]);
                value = Some(y.value().clone());
                y.sum(..)
            },
            &self.operands,
        );
        let (a_bar, b_bar) = run.map_err(|error| text(&error))?;
        assert_eq!((a_bar.shape(), b_bar.shape()), (self.operands.0.shape(), self.operands.1.shape()));
        Ok(value.expect("it ran"))
    }

    fn forward(&self) -> Outcome {
        let run = jvp(|(a, b)| self.apply(&[a, b]), &self.operands, &self.operands);
        let (y, tangent) = run.map_err(|error| text(&error))?;
        assert_eq!(y.shape(), tangent.shape());
        Ok(y)
    }

    /// Forward over reverse: whether it has an error, and which.
    fn second(&self) -> Result<(), String> {
        let run = hvp(|(a, b)| self.apply(&[a, b]).sum(..), &self.operands, &self.operands);
        run.map(drop).map_err(|error| text(&error))
    }

    fn recorded(&self) -> Outcome {
        let model = |(a, b): (Recorded, Recorded)| self.apply(&[a, b]);
        let program = record("f", model, &self.operands).map_err(|error| text(&error))?;
        let mut results = interpret(&program, &self.operands).map_err(|error| text(&error))?;
        Ok(results.pop().expect("one result"))
    }

    /// The recorded gradient, interpreted: whether it has an error, and which.
    fn recorded_gradient(&self) -> Result<(), String> {
        let slope = |x: (Recorded, Recorded)| grad(|(a, b)| self.apply(&[a, b]).sum(..), &x).or_raise();
        let program = record("f", slope, &self.operands).map_err(|error| text(&error))?;
        interpret_components(&program, &self.operands).map(drop).map_err(|error| text(&error))
    }

    fn compiled(&self) -> Outcome {
        let model = |(a, b): (Recorded, Recorded)| self.apply(&[a, b]);
        let mut compiled = compile("f", model, &self.operands).map_err(|error| text(&error))?;
        compiled.call(&self.operands).map_err(|error| text(&error))
    }
}

/// Whether numbers are the same up to rounding.
fn close(a: &Array, b: &Array) -> bool {
    let alike = |(x, y): (&f64, &f64)| {
        x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= 1e-9 * (1.0 + x.abs())
    };
    a.shape() == b.shape() && a.view().iter().zip(b.view().iter()).all(alike)
}

/// Whether errors are the same. While recording, shapes are compared before any index is known.
fn same_error(plain: &str, other: &str) -> bool {
    plain == other || plain.contains("is out of range")
}

#[track_caller]
fn agree(seed: u64, case: &Case, mode: &str, plain: &Outcome, other: &Outcome) {
    let same = match (plain, other) {
        (Ok(a), Ok(b)) => close(a, b),
        (Err(a), Err(b)) => same_error(a, b),
        _ => false,
    };
    assert!(same, "SEED={seed} CASES=1: {} of {:?}: {plain:?}, {mode} {other:?}", case.name, case.operands);
}

#[test]
fn numbers_of_any_size_give_the_same_results_or_errors_in_every_interpretation() {
    let (first, cases) = (environment("SEED", 1), environment("CASES", 1_000));
    let mut refused = 0;
    for seed in first..first + cases {
        let case = Case::new(seed);
        let plain = case.plain();
        agree(seed, &case, "reverse", &plain, &case.reverse());
        agree(seed, &case, "forward", &plain, &case.forward());
        agree(seed, &case, "recorded", &plain, &case.recorded());
        for (mode, derivative) in [("second", case.second()), ("recorded gradient", case.recorded_gradient())]
        {
            agree(seed, &case, mode, &plain, &derivative.and_then(|()| plain.clone()));
        }
        if seed.is_multiple_of(100) {
            agree(seed, &case, "compiled", &plain, &case.compiled());
        }
        refused += u64::from(plain.is_err());
    }
    // Of both kinds there are many.
    assert!(
        cases < 1000 || (cases / 5..cases * 4 / 5).contains(&refused),
        "{refused} of {cases} were refused"
    );
}
