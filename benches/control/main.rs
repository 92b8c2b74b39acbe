//! Programs whose control flow depends on data, and their gradients, compiled, eagerly, in C, on a tape and in JAX:
//! `cargo bench --features staging --bench control`.
//!
//! First a table of microseconds; `-- --table` prints it alone. What runs in this process runs in turns, many times,
//! and the table has the least of each; C and JAX time themselves in processes of their own, in turns with these. C is
//! `programs.c`, compiled by `cc -O3 -march=native`. JAX is `../peers/control_peer.py`, run by the Python that
//! `ANTIPHON_PEERS_PYTHON` names (that of `make peers` by default). What is not installed is left out.

mod models;
#[path = "../scalar/settings.rs"]
mod settings;
#[path = "../scalar/tape.rs"]
#[expect(dead_code, reason = "what the scalar operators' table uses")]
mod tape;
mod tapes;

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use antiphon::recording::{OptimiseOptions, Recorded, record};
use antiphon::{NdArray, OrRaise, Real, jvp, value_and_grad};
use antiphon_staging::jit::{CompileOptions, CompiledProgram, compile};
use antiphon_staging::{Elements, ElementsMut};
use tape::Tape;

/// What takes time: a run of the program, of which the first derivative is the result.
type Run = Box<dyn FnMut() -> f64>;

struct Program {
    name: &'static str,
    runs: Vec<(&'static str, Run)>,
}

/// A compiled program of scalars, which is run in memory of its own; the result at an index.
fn running(mut compiled: CompiledProgram, inputs: Vec<f64>, result: usize) -> Run {
    let mut outputs = vec![0.0; compiled.outputs().len()];
    Box::new(move || {
        let from = inputs.iter().map(|x| Some(Elements::F64(std::slice::from_ref(black_box(x)))));
        let to = outputs.iter_mut().map(|y| ElementsMut::F64(std::slice::from_mut(y)));
        compiled.run_into(from, to).expect("it ran before");
        outputs[result]
    })
}

fn compiled(program: &antiphon_staging::Program) -> CompiledProgram {
    let options = CompileOptions { optimise: Some(OptimiseOptions::default()), ..CompileOptions::default() };
    compile(program, &options).expect("LLVM takes the program")
}

macro_rules! program {
    ($model:ident, $inputs:expr) => {{
        let inputs = $inputs;
        let arrays: Vec<NdArray<f64>> = inputs.map(NdArray::scalar).to_vec();
        let plain = record(stringify!($model), |x: Vec<Recorded>| models::$model(&x), &arrays);
        let gradient = |x: Vec<Recorded>| value_and_grad(|x| models::$model(&x), &x).or_raise();
        let gradient = record(stringify!($model), gradient, &arrays);
        let forward = |x: Vec<Recorded>| {
            let along = |i: usize| Recorded::constant(if i == 0 { 1.0 } else { 0.0 });
            let direction: Vec<Recorded> = (0..x.len()).map(along).collect();
            jvp(|x| models::$model(&x), &x, &direction).or_raise()
        };
        let forward = record(stringify!($model), forward, &arrays);
        let [plain, gradient, forward] = [plain, gradient, forward].map(|p| compiled(&p.expect("a program")));
        let (values, mut tape) = (inputs.to_vec(), Tape::default());
        Program {
            name: stringify!($model),
            runs: vec![
                ("evaluation", running(plain, inputs.to_vec(), 0)),
                ("compiled", running(gradient, inputs.to_vec(), 1)),
                ("forward", running(forward, inputs.to_vec(), 1)),
                (
                    "direct",
                    Box::new(move || {
                        value_and_grad(|x| models::$model(&x), black_box(&values)).expect("a gradient").1[0]
                    }),
                ),
                ("tape", Box::new(move || tapes::$model(&mut tape, black_box(inputs)))),
            ],
        }
    }};
}

fn programs() -> Vec<Program> {
    vec![
        program!(recurrence, [0.5, 0.3, 0.8, 1000.0]),
        program!(newton, [2.0, 1000.0]),
        program!(branch, [0.8, 1000.0]),
        program!(tree, [0.2, 9.0]),
    ]
}

/// Nanoseconds and the first derivative, by program and what of it.
type Times = HashMap<(String, String), (f64, f64)>;

/// Takes over what is faster than what is known.
fn keep_time(times: &mut Times, program: &str, what: &str, nanoseconds: f64, derivative: f64) {
    let known = times.entry((program.into(), what.into())).or_insert((f64::INFINITY, derivative));
    known.0 = known.0.min(nanoseconds);
}

/// What another process prints: program, what of it, nanoseconds, value, first derivative.
fn time_others(times: &mut Times, of: &str, command: &mut Command) {
    let Ok(output) = command.output() else { return };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [program, what, numbers @ ..] = fields.as_slice() else { continue };
        let [Ok(nanoseconds), _, Ok(derivative)] =
            numbers.iter().map(|n| n.parse::<f64>()).collect::<Vec<_>>()[..]
        else {
            continue;
        };
        keep_time(times, program, &format!("{of} {what}"), nanoseconds, derivative);
    }
}

fn measured() -> Times {
    const ROUNDS: usize = 5;
    let mut times = Times::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches");
    let c = std::env::temp_dir().join(format!("antiphon-control-{}", std::process::id()));
    let source = sources.join("control/programs.c");
    let mut cc = Command::new("cc");
    cc.args(["-O3", "-march=native"]).arg(source).arg("-o").arg(&c).arg("-lm");
    let has_c = cc.status().is_ok_and(|status| status.success());
    let own = sources.with_file_name(".venv-peers/bin/python").into_os_string();
    let python = std::env::var_os("ANTIPHON_PEERS_PYTHON").unwrap_or(own);
    time_others(&mut times, "JAX", Command::new(python).arg(sources.join("peers/control_peer.py")));
    let mut programs = programs();
    for _ in 0..ROUNDS {
        if has_c {
            time_others(&mut times, "C", &mut Command::new(&c));
        }
        for program in &mut programs {
            for (what, run) in &mut program.runs {
                let repetitions = if *what == "direct" { 2 } else { 20 };
                for _ in 0..30 {
                    let start = Instant::now();
                    let derivative = (0..repetitions).map(|_| black_box(run())).last().expect("one at least");
                    let nanoseconds = start.elapsed().as_nanos() as f64 / f64::from(repetitions);
                    keep_time(&mut times, program.name, what, nanoseconds, derivative);
                }
            }
        }
    }
    // It is gone already where there is no compiler.
    let _ = std::fs::remove_file(c);
    times
}

fn table() {
    const COLUMNS: [&str; 10] = [
        "evaluation",
        "compiled",
        "forward",
        "direct",
        "tape",
        "C evaluation",
        "C gradient",
        "JAX evaluation",
        "JAX gradient",
        "JAX forward",
    ];
    let times = measured();
    println!("microseconds; of gradients unless it says evaluation");
    print!("{:10}", "");
    COLUMNS.iter().for_each(|column| print!(" {column:>14}"));
    println!(" {:>14} {:>12} {:>10}", "compiled/eval.", "C/C eval.", "compiled/C");
    for name in ["recurrence", "newton", "branch", "tree"] {
        let of = |what: &str| times.get(&(name.to_string(), what.to_string())).copied();
        let time = |what: &str| of(what).map_or(f64::NAN, |(nanoseconds, _)| nanoseconds / 1e3);
        let derivative = of("compiled").expect("it ran").1;
        for (what, (_, found)) in COLUMNS.iter().filter_map(|what| Some((what, of(what)?))) {
            let close = (found - derivative).abs() <= 1e-9 * derivative.abs();
            assert!(close || what.ends_with("evaluation"), "{name}, {what}: {found} instead of {derivative}");
        }
        print!("{name:10}");
        for what in COLUMNS {
            match of(what) {
                Some(_) => print!(" {:14.3}", time(what)),
                None => print!(" {:>14}", "-"),
            }
        }
        let ratio = |a: &str, b: &str| time(a) / time(b);
        println!(
            " {:14.2} {:12.2} {:10.2}",
            ratio("compiled", "evaluation"),
            ratio("C gradient", "C evaluation"),
            ratio("compiled", "C gradient")
        );
    }
}

fn main() {
    table();
    let Some(mut criterion) = settings::criterion() else { return };
    for program in programs() {
        let mut group = criterion.benchmark_group(program.name);
        for (what, mut run) in program.runs {
            group.bench_function(what, |b| b.iter(|| black_box(run())));
        }
        group.finish();
    }
    criterion.final_summary();
}
