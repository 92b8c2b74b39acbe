//! An interior-point method for quadratic programs, and the derivative of `½‖x‖²` by the right sides of the equalities.

use std::path::Path;

use antiphon::random::Key;
use antiphon::recording::Recorded;
use antiphon::solve::{Derivative, LinearLimit, LinearMethod, Options, QuadraticProgram, quadratic_program};
use antiphon::{Int, NdArray, NdInt, OrRaise, Params, Real, Result, Tensor, Var, compile, value_and_grad};
use serde_json::{Value, json};

use crate::picture::{self, Panel, Series};
use crate::timing::in_turns;

type Array = NdArray<f64>;

/// `Q = MMᵀ`, all entries of `U(−1, 1)`, `M` of `2n` columns, `n/4` equalities and `n/2` inequalities, which a point
/// satisfies.
fn made(n: usize) -> QuadraticProgram<Array> {
    let keys: [Key<NdInt>; 5] = Key::new(&NdInt::constant(n as i64)).split();
    let [low, high] = [-1.0, 1.0].map(Array::scalar);
    let uniform = |key: &Key<NdInt>, shape: &[usize]| -> Array { key.uniform_in(shape, &low, &high) };
    let [m, q, a, g, slack] = &keys;
    let factor = uniform(m, &[n, 2 * n]);
    let (a, g) = (uniform(a, &[n / 4, n]), uniform(g, &[n / 2, n]));
    let inside = uniform(slack, &[n]);
    let room = uniform(slack, &[n / 2]) * 0.5 + 0.5;
    QuadraticProgram {
        quadratic: factor.matmul(&factor.transpose()),
        linear: uniform(q, &[n]),
        equalities: Some((a.clone(), a.matmul(&inside))),
        inequalities: Some((g.clone(), g.matmul(&inside) + room)),
    }
}

fn options(derivative: Derivative) -> Options {
    Options::default().absolute(1e-8).max_steps(60).derivative(derivative)
}

const CHOLESKY: LinearMethod = LinearMethod::Cholesky;

fn forward<T: Tensor>(program: &QuadraticProgram<T>) -> (T, T) {
    let found =
        quadratic_program(program, &CHOLESKY, None, &options(Derivative::Implicit(CHOLESKY))).or_raise();
    (found.info.steps, found.x.square().sum(..) * 0.5)
}

fn gradient<T: Tensor>(program: &QuadraticProgram<T>, options: &Options) -> (T, T) {
    let (_, b) = program.equalities.as_ref().expect("it has some");
    value_and_grad(
        |b: Var<'_, T>| {
            let mut lifted = program.map_leaves(|leaf| Var::lift(leaf));
            if let Some(equalities) = &mut lifted.equalities {
                equalities.1 = b;
            }
            quadratic_program(&lifted, &CHOLESKY, None, options).or_raise().x.square().sum(..) * 0.5
        },
        b,
    )
    .or_raise()
}

fn derivatives() -> [(&'static str, Derivative); 3] {
    [
        ("unrolled", Derivative::Unrolled { checkpoints: None }),
        ("implicit", Derivative::Implicit(LinearMethod::LastFactors(LinearLimit::default()))),
        ("one_step", Derivative::OneStep),
    ]
}

/// Programs of several sizes.
pub fn of_sizes(sizes: &[usize], runs: usize, out: &Path) -> Result<Value> {
    println!("    n steps    forward  time of value and gradient over forward's   one-step beside implicit");
    println!("                    ms   implicit  one-step  unrolled");
    let mut reports = Vec::new();
    for &n in sizes {
        let program = made(n.max(4));
        let mut solved =
            compile("forward", |program: QuadraticProgram<Recorded>| forward(&program), &program)?;
        let mut compiled = Vec::new();
        for (name, derivative) in derivatives() {
            let options = options(derivative);
            let f = |program: QuadraticProgram<Recorded>| gradient(&program, &options);
            compiled.push(compile(name, f, &program)?);
        }
        let steps = solved.call(&program)?.0.item();
        let mut functions: Vec<Box<dyn FnMut() -> Result<Array> + '_>> = Vec::new();
        functions.push(Box::new(|| Ok(solved.call(&program)?.1)));
        for f in &mut compiled {
            functions.push(Box::new(|| Ok(f.call(&program)?.1)));
        }
        let found = in_turns(runs, &mut functions)?;
        // By the whole matrix, in other factors.
        let exact = gradient(&program, &options(Derivative::Implicit(LinearMethod::Direct))).1;
        let forward_ms = found[0].1;
        let mut report = json!({ "n": n, "steps": steps, "forward_ms": forward_ms });
        for ((name, _), (gradient, ms)) in derivatives().iter().zip(&found[1..]) {
            let difference =
                (gradient.clone() - &exact).square().sum(..).item() / exact.square().sum(..).item();
            report[*name] = json!({ "ms": ms, "over_forward": ms / forward_ms, "relative_difference": difference.sqrt() });
        }
        let of = |name: &str, key: &str| report[name][key].as_f64().unwrap_or(f64::NAN);
        println!(
            "{n:>5} {steps:>5} {forward_ms:>10.3} {:>10.3} {:>9.3} {:>9.3}   {:.1e}",
            of("implicit", "over_forward"),
            of("one_step", "over_forward"),
            of("unrolled", "over_forward"),
            of("one_step", "relative_difference"),
        );
        reports.push(report);
    }
    let curve = |name: &str| {
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let of = |report: &Value| match name {
            "forward" => number(&report["forward_ms"]),
            name => number(&report[name]["ms"]),
        };
        let points = reports.iter().map(|report| (number(&report["n"]), of(report)));
        Series::line(&name.replace('_', "-"), points.collect())
    };
    let curves = ["unrolled", "implicit", "one_step", "forward"].map(curve).into();
    let title = "Interior point, quadratic program: value and gradient";
    let panel = Panel::new(title, ["unknowns", "milliseconds"], curves).of_powers();
    picture::draw(&out.join("qp.svg"), &[panel])?;
    Ok(json!({ "experiment": "qp", "runs": reports }))
}
