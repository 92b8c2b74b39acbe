//! What the derivatives of one step and of the implicit function keep of an iteration does not grow with its steps: stack
//! and heap, eagerly and compiled. One test, since the stack's size is the process's.

#[path = "support/counting.rs"]
mod counting;

use antiphon::solve::{
    Derivative, FixedPointMethod, LinearLimit, LinearMethod, Options, Problem, fixed_point,
};
use antiphon::{Error, NdArray, OrRaise, Real, Result, Tensor, Var, grad, stack};
use counting::peak;

type Array = NdArray<f64>;

/// How many steps are made, eagerly and compiled.
const STEPS: [usize; 3] = [10, 1_000, 100_000];
/// The memory that compiled code may take, in bytes: a hundredth of what the states of most steps take.
#[cfg(feature = "staging")]
const ROOM: usize = 1 << 20;

/// `ρ·x + θ`, of 128 unknowns: a state is a kibibyte.
#[derive(Clone, Debug)]
struct Affine;

impl Problem for Affine {
    type Unknown = Array;
    type Parameters = (Array, Array);
    type Value = Array;
    fn value<T: Tensor>(&self, x: &T, (rho, theta): &(T, T)) -> T {
        x.clone() * rho + theta
    }
}

/// The derivative of the sum of the last state by `θ`.
fn slope<T: Tensor>(theta: &T, steps: usize, derivative: &Derivative) -> Result<T> {
    let options = Options::steps(steps).derivative(derivative.clone());
    grad(
        |theta: Var<'_, T>| {
            let parameters = (Var::constant(0.5), theta.clone());
            fixed_point(&Affine, FixedPointMethod::PICARD, &theta.zeros_like(), &parameters, &options)
                .or_raise()
                .x
                .sum(..)
        },
        theta,
    )
}

/// Each with its derivative at the fixed point.
fn derivatives() -> [(Derivative, f64); 4] {
    let limit = LinearLimit { tolerance: 1e-13, steps: 100 };
    [
        (Derivative::OneStep, 1.0),
        (Derivative::KSteps(3), 1.75),
        (Derivative::Implicit(LinearMethod::BiCgStab(limit)), 2.0),
        (Derivative::Implicit(LinearMethod::Neumann(limit)), 2.0),
    ]
}

fn assert_all(found: &Array, expected: f64) {
    assert!(found.view().iter().all(|x| (x - expected).abs() < 1e-12), "{found} {expected}");
}

#[test]
fn memory_does_not_grow_with_the_steps() {
    let theta = Array::full(&[128], 0.3);
    stack::configure(stack::MIN_SIZE).unwrap();
    for (derivative, expected) in derivatives() {
        // (Of an affine map, the derivatives are the same at every state.)
        let run = |steps: usize| assert_all(&slope(&theta, steps, &derivative).unwrap(), expected);
        run(STEPS[0]);
        let peaks = STEPS.map(|steps| peak(|| run(steps)));
        assert!(peaks[0] < 200 << 10, "{derivative:?}: {peaks:?}");
        for peak in peaks {
            assert!(peak.abs_diff(peaks[0]) <= 1 << 10, "{derivative:?}: {peaks:?}");
        }
    }
    // The same stack does not do for all steps: so it is their frames that are not there.
    let unrolled = slope(&theta, STEPS[2], &Derivative::Unrolled { checkpoints: None });
    assert!(matches!(unrolled, Err(Error::StackExhausted { .. })), "{unrolled:?}");
    stack::configure(None).unwrap();
    #[cfg(feature = "staging")]
    compiled(&theta);
}

#[cfg(feature = "staging")]
fn compiled(theta: &Array) {
    use antiphon::recording::{CompileOptions, Recorded};
    let options = CompileOptions {
        stack_bytes: Some(ROOM / 8),
        arena_bytes: Some(ROOM - ROOM / 8),
        ..CompileOptions::default()
    };
    for (derivative, expected) in derivatives() {
        for steps in STEPS {
            let f = |theta: Recorded| slope(&theta, steps, &derivative).or_raise();
            let mut f = antiphon::compile_with("slope", f, theta, &options).unwrap();
            let mut found = f.call(theta).unwrap();
            // What the caller asks for: the result, and nothing that depends on the steps.
            let heap = peak(|| found = f.call(theta).unwrap());
            assert!(heap < 16 << 10, "{derivative:?}, {steps}: {heap}");
            assert_all(&found, expected);
        }
    }
}
