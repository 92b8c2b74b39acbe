//! What is recorded of a detached iteration: a loop, and nothing for the way back.

use antiphon::control::Checkpoints;
use antiphon::recording::{CompileOptions, OptimiseOptions, Recorded, optimise, record};
use antiphon::solve::{Derivative, FixedPointMethod, LinearMethod, Options, fixed_point};
use antiphon::{Error, OrRaise, Real, Tensor, compile_with, grad};

use crate::problems::{Array, Layer, assert_near};

/// The gradient of the sum of a fixed point by its parameters.
fn slopes(parameters: &(Recorded, Recorded), options: &Options) -> (Recorded, Recorded) {
    grad(
        |parameters: (_, _)| {
            let begin = Real::zeros_like(&parameters.1);
            fixed_point(&Layer, FixedPointMethod::PICARD, &begin, &parameters, options).or_raise().x.sum(..)
        },
        parameters,
    )
    .or_raise()
}

fn parameters() -> (Array, Array) {
    (Array::full(&[3, 3], 0.1), Array::full(&[3], 0.2))
}

/// The text of the gradient's program.
fn gradient(derivative: Derivative) -> String {
    let options = Options::default().derivative(derivative);
    let f = |parameters: (Recorded, Recorded)| slopes(&parameters, &options);
    let mut program = record("slope", f, &parameters()).unwrap();
    optimise(&mut program, &OptimiseOptions::default());
    program.forget_lines();
    program.to_string()
}

/// The text between the braces of the loops.
fn loops(text: &str) -> String {
    let mut inside = String::new();
    let mut depth = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        match depth {
            None if line.trim_start().starts_with("loop ") => depth = Some(indent),
            Some(outer) if indent == outer => depth = None,
            Some(_) => inside.push_str(&format!("{line}\n")),
            None => {}
        }
    }
    inside
}

#[test]
fn detached_steps_leave_no_adjoint_code() {
    let unrolled = gradient(Derivative::Unrolled { checkpoints: None });
    assert!(unrolled.contains("} backward"), "{unrolled}");
    assert!(loops(&unrolled).contains("_bar"), "{unrolled}");
    for (derivative, rounds) in [
        (Derivative::OneStep, 1),
        // The last steps are there as often as there are.
        (Derivative::KSteps(3), 3),
        (Derivative::Implicit(LinearMethod::Direct), 1),
    ] {
        let text = gradient(derivative.clone());
        let inside = loops(&text);
        assert!(inside.contains("tanh"), "the iteration is a loop: {text}");
        // No way back through the loop, nothing that is kept of its rounds, and no adjoint in it.
        for word in ["backward", "_bar", "cell", "+=", "present"] {
            assert!(!inside.contains(word), "{derivative:?}: {word}\n{text}");
        }
        assert_eq!(text.matches("loop ").count(), 1, "{text}");
        // What is differentiated, once each, stands outside of it: tanh, of which the derivative takes the value.
        let outside = text.matches("tanh").count() - inside.matches("tanh").count();
        // (One more is that of the residual where the iteration begins.)
        assert!((rounds..=rounds + 2).contains(&outside), "{derivative:?}: {outside}\n{text}");
    }
}

/// The same stack and the same arena are enough for any number of steps, but not for all of them unrolled.
#[test]
fn what_is_kept_does_not_grow_with_the_steps() {
    let run = |derivative: Derivative, steps: usize| {
        let options = Options::steps(steps).derivative(derivative);
        let room = CompileOptions {
            stack_bytes: Some(1 << 20),
            arena_bytes: Some(1 << 20),
            ..CompileOptions::default()
        };
        let f = |parameters: (Recorded, Recorded)| slopes(&parameters, &options);
        compile_with("slopes", f, &parameters(), &room).unwrap().call(&parameters())
    };
    for derivative in [
        Derivative::OneStep,
        Derivative::KSteps(3),
        Derivative::Implicit(LinearMethod::Direct),
        Derivative::Implicit(LinearMethod::default()),
    ] {
        let short = run(derivative.clone(), 100).unwrap();
        for steps in [10, 1_000, 100_000] {
            let found = run(derivative.clone(), steps).unwrap();
            assert_near(&found, &short, if steps == 10 { 1e-4 } else { 1e-12 });
        }
    }
    let all = Derivative::Unrolled { checkpoints: None };
    assert!(run(all.clone(), 100).is_ok());
    assert!(matches!(run(all, 100_000), Err(Error::StackExhausted { .. })));
    // With checkpoints, 10⁵ steps have room.
    let square_root = Derivative::Unrolled { checkpoints: Some(Checkpoints::SquareRoot) };
    assert!(run(square_root, 100_000).is_ok());
}
