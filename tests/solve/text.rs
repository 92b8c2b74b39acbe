//! What is recorded of a detached iteration: a loop, and nothing for the way back.

use antiphon::recording::{OptimiseOptions, Recorded, optimise, record};
use antiphon::solve::{Derivative, FixedPointMethod, LinearMethod, Options, fixed_point};
use antiphon::{OrRaise, Real, Tensor, grad};

use crate::problems::{Array, Layer};

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
