//! Compiled training steps (forward, backward, clipping, Adagrad) of the character models, and what compiling them
//! costs: `cargo bench --bench compiled_step --features staging`, perhaps with names: `-- "rnn 50/20/20" lstm`. The
//! loop over time is unrolled, or recorded as a loop ("scan rnn").
//!
//! Of each model: statements before and after optimisation, the time of recording, of optimising, and of each phase of
//! the compilation (the best of three), the arena's size, and the time of a step (the best of many, and the median).

#[path = "../examples/common/char_model.rs"]
#[allow(dead_code, reason = "generating text is not timed")]
mod char_model;

use std::time::{Duration, Instant};

use antiphon::control::scan;
use antiphon::nn::{Recurrent, Rng};
use antiphon::optim::{Adagrad, OptState, Optimizer, clip_by_value};
use antiphon::recording::{OptimiseOptions, optimise, record};
use antiphon::{IntTensor, NdArray, NdInt, OrRaise, Params, Tensor, Var, value_and_grad};
use antiphon_staging::jit::{CompileOptions, compile};
use antiphon_staging::{Elements, ElementsMut};
use antiphon_staging::{Program, Type};
use char_model::{CharGru, CharLstm, CharModel, CharRnn};

const VOCABULARY: usize = 26;
/// Hidden units, time steps, batch.
const SIZES: [[usize; 3]; 2] = [[50, 20, 20], [256, 50, 32]];

type Array = NdArray<f32>;

/// Symbols `[time, batch]` without a pattern.
fn symbols(seed: u64, [_, time, batch]: [usize; 3]) -> NdInt {
    let mut rng = Rng::new(seed);
    let mut symbol = || (rng.uniform() * VOCABULARY as f64) as i64;
    NdInt::from(ndarray::Array2::from_shape_simple_fn([time, batch], &mut symbol))
}

/// How a model goes over time.
trait Time {
    /// The loss of [`char_model::loss`].
    fn loss<T: Tensor, M: CharModel<T>>(model: &M, inputs: &T::Int, targets: &T::Int) -> T;
}

struct Unrolled;

impl Time for Unrolled {
    fn loss<T: Tensor, M: CharModel<T>>(model: &M, inputs: &T::Int, targets: &T::Int) -> T {
        char_model::loss(model, &[], inputs, targets).0
    }
}

struct Scanned;

impl Time for Scanned {
    fn loss<T: Tensor, M: CharModel<T>>(model: &M, inputs: &T::Int, targets: &T::Int) -> T {
        let (cell, batch) = (model.cell(), inputs.shape()[1]);
        let projected = cell.project_symbols(inputs);
        let step = |state, x: T| {
            let state = cell.advance(&state, &x);
            let output = M::Cell::output(&state).clone();
            (state, output)
        };
        let (_, outputs) = scan(cell.initial(batch), &projected, step).or_raise();
        model.logits(&outputs).cross_entropy(targets).sum(..) * (1.0 / batch as f64)
    }
}

/// The loss, the parameters after one step of Adagrad, and the optimiser's state.
fn step<L, T, M>(
    (mut model, mut state): (M, OptState<M>),
    inputs: &T::Int,
    targets: &T::Int,
) -> (T, (M, OptState<M>))
where
    L: Time,
    T: Tensor,
    M: CharModel<T>,
    for<'r> M::With<Var<'r, T>>: CharModel<Var<'r, T>>,
{
    let (loss, mut gradients) =
        value_and_grad(|model| L::loss(&model, inputs, targets), &model).expect("a gradient");
    clip_by_value(&mut gradients, 5.0);
    Adagrad::default().update(&mut state, &mut model, &gradients, &T::constant(0.1)).expect("an update");
    (loss, (model, state))
}

fn best<R>(rounds: usize, mut f: impl FnMut() -> R) -> (Duration, R) {
    let mut timed = || {
        let start = Instant::now();
        let result = f();
        (start.elapsed(), result)
    };
    (1..rounds).fold(timed(), |fastest, _| {
        let next = timed();
        if next.0 < fastest.0 { next } else { fastest }
    })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

macro_rules! measure {
    ($name:literal, $Model:ident, $Time:ident, $wanted:expr) => {
        for size in SIZES {
            let name = format!("{} {}", $name, size.map(|n| n.to_string()).join("/"));
            if !$wanted.is_empty() && !$wanted.iter().any(|part: &String| name.contains(part.as_str())) {
                continue;
            }
            let model: $Model<Array> = $Model::new(&mut Rng::new(1), VOCABULARY, size[0]);
            let state = Adagrad::default().init(&model);
            let example = ((model, state), symbols(1, size), symbols(2, size));
            let recording = best(3, || {
                record(
                    "step",
                    |(trained, inputs, targets)| step::<$Time, _, _>(trained, &inputs, &targets),
                    &example,
                )
                .expect("a program")
            });
            report(&name, recording, &example.0, [&example.1, &example.2]);
        }
    };
}

fn report(
    name: &str,
    (recording, program): (Duration, Program),
    trained: &impl Params<Leaf = Array>,
    symbols: [&NdInt; 2],
) {
    let (optimising, (optimised, report)) = best(3, || {
        let mut program = program.clone();
        let report = optimise(&mut program, &OptimiseOptions { reassociate: true });
        (program, report)
    });
    let (compiling, compiled) =
        best(3, || compile(&optimised, &CompileOptions::default()).expect("it compiles"));
    println!("{name}: {} statements, {} after {} rounds", report.before, report.after, report.rounds);
    println!(
        "    ms: record {:.1}, optimise {:.1}, compile {:.1} = {}; arena {} KiB",
        milliseconds(recording),
        milliseconds(optimising),
        milliseconds(compiling),
        compiled.phases(),
        compiled.arena_bytes() / 1024,
    );
    println!("    {}", time(&optimised, trained, symbols));
}

/// Runs a step over and over, its parameters in place.
fn time(program: &Program, trained: &impl Params<Leaf = Array>, symbols: [&NdInt; 2]) -> String {
    let updates = (0..trained.leaves().len()).map(|i| (i + 1, i)).collect();
    let options = CompileOptions { updates, flush_denormals: true, ..CompileOptions::default() };
    let mut compiled = compile(program, &options).expect("it compiles");
    let elements = |ty: &Type| vec![0f32; ty.size()];
    let mut outputs: Vec<Vec<f32>> = compiled.outputs().iter().map(elements).collect();
    for (output, leaf) in outputs[1..].iter_mut().zip(trained.leaves()) {
        output.copy_from_slice(leaf.view().as_slice().expect("rows in order"));
    }
    let views = symbols.map(NdInt::view);
    let symbols = views.each_ref().map(|view| Some(Elements::I64(view.as_slice().expect("rows in order"))));
    let (mut losses, mut times, begin) = (Vec::new(), Vec::new(), Instant::now());
    while times.len() < 20 || (begin.elapsed() < Duration::from_secs(2) && times.len() < 5000) {
        let updated = (1..outputs.len()).map(|_| None);
        let start = Instant::now();
        let inputs = updated.chain(symbols);
        compiled.run_into(inputs, outputs.iter_mut().map(|x| ElementsMut::F32(x))).expect("it runs");
        times.push(start.elapsed());
        losses.push(outputs[0][0]);
    }
    times.sort_unstable();
    format!(
        "step: best {:.4} ms, median {:.4} ms; losses {:.4}, {:.4} … {:.4}",
        milliseconds(times[0]),
        milliseconds(times[times.len() / 2]),
        losses[0],
        losses[1],
        losses[19],
    )
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    measure!("rnn", CharRnn, Unrolled, wanted);
    measure!("gru", CharGru, Unrolled, wanted);
    measure!("lstm", CharLstm, Unrolled, wanted);
    measure!("scan rnn", CharRnn, Scanned, wanted);
    measure!("scan gru", CharGru, Scanned, wanted);
    measure!("scan lstm", CharLstm, Scanned, wanted);
}
