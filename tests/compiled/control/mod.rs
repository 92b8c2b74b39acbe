//! Recorded control flow: one program takes the branches, trip counts and recursions that its inputs ask for, and
//! computes the values and derivatives that the same model has eagerly.

#[path = "../../conformance/control.rs"]
mod functions;

mod behaviour;
mod errors;
mod reverse_over_reverse;
mod size;
mod table;

use antiphon::recording::{OptimiseOptions, Recorded, interpret, optimise, record};
use antiphon::{Control, NdArray, OrRaise, Real, State, grad, hvp, jvp, value_and_grad};
use antiphon_staging::jit::{CompileOptions, compile};
use antiphon_staging::{ConcreteTensor, Data, Program};

type Array = NdArray<f64>;

fn arrays(x: &[f64]) -> Vec<Array> {
    x.iter().map(|&x| Array::scalar(x)).collect()
}

/// Runs a program of scalars that is compiled.
fn run(program: &Program, points: &[&[f64]]) -> Vec<Vec<f64>> {
    let mut compiled = compile(program, &CompileOptions::default()).unwrap();
    let at = |x: &&[f64]| {
        let inputs: Vec<ConcreteTensor> = x.iter().map(|&x| ConcreteTensor::from(x)).collect();
        let found = compiled.run(&inputs).unwrap();
        let number = |y: &ConcreteTensor| if let Data::F64(y) = y.data() { y[0] } else { panic!("{y:?}") };
        found.iter().map(number).collect()
    };
    points.iter().map(at).collect()
}

/// Runs a recorded function of scalars at each point, as recorded, optimised and compiled, and compares.
fn check<Q: State<Recorded>>(
    what: &str,
    f: impl FnOnce(Vec<Recorded>) -> Q,
    points: &[&[f64]],
    expected: impl Fn(&[f64]) -> Option<Vec<f64>>,
    failures: &mut Vec<String>,
) {
    let mut program = match record("f", f, &arrays(points[0])) {
        Ok(program) => program,
        Err(error) => return failures.push(format!("{what}: {error}")),
    };
    for form in ["recorded", "optimised"] {
        let compiled = run(&program, points);
        for (x, compiled) in points.iter().zip(compiled) {
            let Some(expected) = expected(x) else { continue };
            let interpreted = match interpret(&program, &arrays(x)) {
                Ok(found) => found.iter().map(Array::item).collect(),
                Err(error) => return failures.push(format!("{what} at {x:?}, {form}: {error}")),
            };
            for (way, found) in [("interpreted", interpreted), ("compiled", compiled)] {
                let close = |(a, b): (&f64, &f64)| a == b || (a - b).abs() <= 1e-12 * b.abs().max(1.0);
                if found.len() != expected.len() || !found.iter().zip(&expected).all(close) {
                    failures.push(format!("{what} at {x:?}, {form}, {way}: {found:?}, not {expected:?}"));
                }
            }
        }
        optimise(&mut program, &OptimiseOptions::default());
    }
}

/// A function in every interpretation that the checks below need.
trait Model {
    fn call<T: Control>(x: &[T]) -> T;
}

/// Holds the recorded value and derivatives of a model, each one program, to the eager ones.
fn agree<M: Model>(points: &[&[f64]]) {
    let failures = &mut Vec::new();
    let eager = |x: &[f64]| {
        let (y, gradient) = value_and_grad(|x| M::call(&x), &x.to_vec()).unwrap();
        Some(std::iter::once(y).chain(gradient).collect::<Vec<f64>>())
    };
    let reverse = |x: Vec<Recorded>| value_and_grad(|x| M::call(&x), &x).or_raise();
    check("reverse", reverse, points, eager, failures);
    for i in 0..points[0].len() {
        let slope = |x: &[f64]| Some(vec![jvp(|x| M::call(&x), &x.to_vec(), &unit(x.len(), i)).unwrap().1]);
        let forward = |x: Vec<Recorded>| jvp(|x| M::call(&x), &x, &direction(&x, i)).or_raise().1;
        check("forward", forward, points, slope, failures);
        let product = |x: &[f64]| Some(hvp(|x| M::call(&x), &x.to_vec(), &unit(x.len(), i)).unwrap().1);
        let forward_over_reverse =
            |x: Vec<Recorded>| hvp(|x| M::call(&x), &x, &direction(&x, i)).or_raise().1;
        check("forward over reverse", forward_over_reverse, points, product, failures);
        let reverse_over_reverse =
            |x: Vec<Recorded>| grad(|x| grad(|x| M::call(&x), &x).or_raise()[i].clone(), &x).or_raise();
        check("reverse over reverse", reverse_over_reverse, points, product, failures);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn constant<T: Real>(value: f64) -> T {
    T::constant(value)
}

fn unit(n: usize, i: usize) -> Vec<f64> {
    (0..n).map(|j| if i == j { 1.0 } else { 0.0 }).collect()
}

/// The unit vector along axis `i`.
fn direction<T: Real>(x: &[T], i: usize) -> Vec<T> {
    unit(x.len(), i).into_iter().map(T::constant).collect()
}
