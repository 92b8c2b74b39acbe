//! What ranks cost each other: `cargo bench --features staging,mpi --bench distributed`, which starts itself again under
//! `mpirun -n 2`.
//!
//! Three tables: the time of `all_reduce` by size, with the fit of a cost model; steps of training of one rank alone, of
//! two that do not communicate, and of two that do, one after the other in turns, so that what else the machine does is
//! the same for all; and what the model predicts for more ranks ([docs/scale.md](../docs/scale.md)). With `--quick` a
//! tenth of it.

#[path = "../examples/common/char_model.rs"]
#[allow(dead_code, reason = "its samples are not drawn")]
mod char_model;

use std::env;
use std::process::{Command, ExitCode};
use std::thread::sleep;
use std::time::{Duration, Instant};

use antiphon::distributed::{self, Communicator, ReduceOp};
use antiphon::nn::Rng;
use antiphon::optim::{Adagrad, OptState, Optimizer};
use antiphon::{IntTensor, NdArray, NdInt, Params, Real, Result, Tensor, TrainingStep, Var, value_and_grad};
use char_model::{CharLstm, CharModel};

type Array = NdArray<f32>;
type Trained<T> = (CharLstm<T>, OptState<CharLstm<T>>);
type Symbols<T> = (<T as Real>::Int, <T as Real>::Int);
type Step<'a> = TrainingStep<'a, Trained<Array>, Symbols<Array>, Array>;

/// How ranks train.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Alone,
    Together,
    Early,
}

const VOCABULARY: usize = 90;

/// A recurrent network.
#[derive(Clone, Copy)]
struct Workload {
    name: &'static str,
    hidden: usize,
    seq: usize,
    batch: usize,
}

const WORKLOADS: [Workload; 3] = [
    Workload { name: "LSTM 50/20/20", hidden: 50, seq: 20, batch: 20 },
    Workload { name: "LSTM 256/50/32", hidden: 256, seq: 50, batch: 32 },
    Workload { name: "LSTM 1024/50/32", hidden: 1024, seq: 50, batch: 32 },
];

impl Workload {
    fn model(self) -> CharLstm<Array> {
        CharLstm::new(&mut Rng::new(0), VOCABULARY, self.hidden)
    }

    fn symbols(self, batch: usize, seed: u64) -> Symbols<Array> {
        let mut rng = Rng::new(seed);
        let mut symbols = || {
            let symbols: Vec<i64> =
                (0..self.seq * batch).map(|_| (rng.uniform() * VOCABULARY as f64) as i64).collect();
            NdInt::from_elements(&[self.seq, batch], &symbols).unwrap()
        };
        (symbols(), symbols())
    }

    fn step<'a>(self, world: &'a Communicator, way: Way) -> Step<'a> {
        let model = self.model();
        let state = Adagrad::default().init(&model);
        TrainingStep::compiled((model, state), move |trained, symbols| step(world, way, trained, symbols))
    }
}

fn step<T: Tensor>(
    world: &Communicator,
    way: Way,
    (model, state): &mut Trained<T>,
    (inputs, targets): &Symbols<T>,
) -> Result<T> {
    let (mut loss, mut gradients) = value_and_grad(
        |model: CharLstm<Var<'_, T>>| {
            let early = |model: &CharLstm<_>| match way {
                Way::Early => model.map_head(|name, x| world.early(name, x)),
                _ => model.clone(),
            };
            char_model::loss_with_head(&model, &[], inputs, targets, early).0
        },
        model,
    )?;
    if way != Way::Alone {
        world.mean_gradients(&mut loss, &mut gradients)?;
    }
    Adagrad::default().update(state, model, &gradients, &T::constant(0.01))?;
    Ok(loss)
}

/// Milliseconds of each of so many calls.
fn times(count: usize, mut f: impl FnMut()) -> Vec<f64> {
    let timed = |_| {
        let start = Instant::now();
        f();
        start.elapsed().as_secs_f64() * 1e3
    };
    (0..count).map(timed).collect()
}

/// The least, and the first quartile: half of the times are those of a machine that does something else as well.
fn low(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[0], times[times.len() / 4])
}

fn meet(world: &Communicator) {
    world.all_reduce(&Array::scalar(0.0), ReduceOp::Sum);
}

/// `all_reduce` by size; latency and time per byte of the model `3α + β·bytes` (see docs/scale.md), least squares of
/// relative errors.
fn collectives(world: &Communicator, share: usize) -> (f64, f64) {
    let first = world.rank() == 0;
    if first {
        println!("all_reduce of f32 on two ranks, least and first quartile");
        println!("{:>10} {:>11} {:>11} {:>9}", "bytes", "µs", "µs", "GB/s");
    }
    let mut measured = Vec::new();
    for power in (2..=24).step_by(2) {
        let x = Array::ones(&[(1 << power) / 4]);
        let count = ((1 << 26 >> power.max(14)) / share).max(20);
        meet(world);
        let (least, quartile) = low(times(count, || {
            world.all_reduce(&x, ReduceOp::Sum);
        }));
        let bytes = f64::from(1 << power);
        if first {
            println!(
                "{bytes:10} {:11.1} {:11.1} {:9.2}",
                least * 1e3,
                quartile * 1e3,
                bytes / (quartile * 1e6)
            );
        }
        measured.push((bytes, quartile * 1e-3));
    }
    // Weighted normal equations of time = a + b·bytes.
    let (mut s, mut sx, mut sxx, mut sy, mut sxy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (x, y) in measured {
        let w = 1.0 / (y * y);
        (s, sx, sxx, sy, sxy) = (s + w, sx + w * x, sxx + w * x * x, sy + w * y, sxy + w * x * y);
    }
    let b = (s * sxy - sx * sy) / (s * sxx - sx * sx);
    let a = (sy - b * sx) / s;
    let (alpha, beta) = (a / 3.0, b);
    if first {
        println!("α = {:.2} µs, β = 1/({:.2} GB/s)\n", alpha * 1e6, 1e-9 / beta);
    }
    (alpha, beta)
}

/// What a step costs a rank: milliseconds apart from the batch, and for each of its rows.
struct Compute {
    fixed: f64,
    row: f64,
    bytes: f64,
}

fn training(world: &Communicator, workload: Workload, share: usize) -> Result<Compute> {
    let rounds = (if workload.hidden > 500 { 6 } else { 40 } / share).max(3);
    let steps = if workload.hidden < 100 { 40 } else { 4 };
    let symbols = workload.symbols(workload.batch, world.rank() as u64);
    let mut one = workload.step(world, Way::Alone);
    let mut ways = [Way::Together, Way::Early].map(|way| workload.step(world, way));
    one.call(&symbols)?;
    for step in &mut ways {
        (0..2).try_for_each(|_| step.call(&symbols).map(drop))?;
    }
    let mut found: [Vec<f64>; 4] = Default::default();
    let mut span = Duration::ZERO;
    for _ in 0..rounds {
        // One works, the other one does not.
        meet(world);
        let start = Instant::now();
        match world.rank() {
            0 => found[0].extend(times(steps, || drop(one.call(&symbols).unwrap()))),
            _ => sleep(span),
        }
        if world.rank() == 0 {
            span = start.elapsed();
        }
        let of_first = Array::scalar(span.as_secs_f32());
        span = Duration::from_secs_f32(world.broadcast(&of_first, 0).item() * 1.2);
        meet(world);
        found[1].extend(times(steps, || drop(one.call(&symbols).unwrap())));
        for (step, found) in ways.iter_mut().zip(&mut found[2..]) {
            meet(world);
            found.extend(times(steps, || drop(step.call(&symbols).unwrap())));
        }
    }
    let count: usize = workload.model().shapes().iter().map(|shape| shape.iter().product::<usize>()).sum();
    // Of what only rank 0 does the other one has no time.
    found[0].push(f64::INFINITY);
    let [one, two, together, early] = found.map(low);
    if world.rank() == 0 {
        println!(
            "{:16} {:9} {:8.2} {:8.2} {:8.2} {:8.2} {:10.0} % {:10.0} % {:10.0} %",
            workload.name,
            4 * count,
            one.1,
            two.1,
            together.1,
            early.1,
            100.0 * one.1 / together.1,
            100.0 * two.1 / together.1,
            100.0 * one.0 / together.0,
        );
    }
    // By batch: one rank alone.
    let mut by_batch = Vec::new();
    for batch in [workload.batch / 4, workload.batch] {
        meet(world);
        if world.rank() == 0 {
            let symbols = workload.symbols(batch, 0);
            let mut step = workload.step(world, Way::Alone);
            step.call(&symbols)?;
            by_batch.push(low(times(rounds * steps / 2, || drop(step.call(&symbols).unwrap()))).1);
        }
    }
    meet(world);
    let &[small, whole] = &by_batch[..] else {
        return Ok(Compute { fixed: 0.0, row: 0.0, bytes: 0.0 });
    };
    // Where small batches are dearer by the row than large ones are, rows are all there is.
    let batch = workload.batch as f64;
    let row = ((whole - small) / (batch - (workload.batch / 4) as f64)).min(whole / batch);
    Ok(Compute { fixed: whole - row * batch, row, bytes: 4.0 * count as f64 })
}

type Layers<T> = Vec<(T, T)>;

/// A step of a perceptron of several equal layers.
fn perceptron<T: Tensor>(
    world: &Communicator,
    way: Way,
    layers: &mut Layers<T>,
    (x, y): &(T, T),
) -> Result<T> {
    let (mut loss, mut gradients) = value_and_grad(
        |layers: Layers<Var<'_, T>>| {
            let mut h = Var::lift(x);
            for (i, layer) in layers.into_iter().enumerate() {
                let (w, b) = if way == Way::Early { world.early(&i.to_string(), &layer) } else { layer };
                h = (h.matmul(&w) + &b).tanh();
            }
            (h - Var::lift(y)).square().mean(..)
        },
        layers,
    )?;
    if way != Way::Alone {
        world.mean_gradients(&mut loss, &mut gradients)?;
    }
    for ((w, b), (dw, db)) in layers.iter_mut().zip(gradients) {
        *w = w.clone() - dw.scale(0.01);
        *b = b.clone() - db.scale(0.01);
    }
    Ok(loss)
}

/// Whether it is worth to begin early where most gradients are there early.
fn overlap(world: &Communicator, share: usize) -> Result<()> {
    const WIDTH: usize = 1024;
    let mut rng = Rng::new(0);
    let mut uniform = |shape: &[usize]| {
        let size = shape.iter().product();
        let elements: Vec<f64> = (0..size).map(|_| (rng.uniform() - 0.5) * 0.06).collect();
        Array::from_elements(shape, &elements).unwrap()
    };
    let layers: Layers<Array> = (0..6).map(|_| (uniform(&[WIDTH, WIDTH]), uniform(&[WIDTH]))).collect();
    let data = (uniform(&[128, WIDTH]), uniform(&[128, WIDTH]));
    let mut ways = [Way::Alone, Way::Together, Way::Early].map(|way| {
        TrainingStep::compiled(layers.clone(), move |layers: &mut Layers<_>, data: &(_, _)| {
            perceptron(world, way, layers, data)
        })
    });
    for step in &mut ways {
        (0..2).try_for_each(|_| step.call(&data).map(drop::<Array>))?;
    }
    let mut found: [Vec<f64>; 3] = Default::default();
    for _ in 0..(40 / share).max(4) {
        for (step, found) in ways.iter_mut().zip(&mut found) {
            meet(world);
            found.extend(times(4, || drop::<Array>(step.call(&data).unwrap())));
        }
    }
    let [alone, together, early] = found.map(low);
    if world.rank() == 0 {
        println!(
            "\nPerceptron of 6 layers of {WIDTH}, batch 128, 25 MB of gradients: each for itself {:.1} ms, together \
             {:.1}, with `early` for each layer {:.1}; least {:.1}, {:.1}, {:.1}",
            alone.1, together.1, early.1, alone.0, together.0, early.0
        );
    }
    Ok(())
}

/// Seconds that the ranks' agreement and an all-reduce of so many bytes take: as a ring, and as a tree (recursive
/// halving and doubling).
fn all_reduce(ranks: f64, bytes: f64, alpha: f64, beta: f64) -> [f64; 2] {
    let hops = ranks.log2().ceil();
    let agreement = hops * alpha + 32.0 * (ranks - 1.0) * beta;
    let moved = 2.0 * (ranks - 1.0) / ranks * bytes * beta;
    [2.0 * (ranks - 1.0) * alpha + moved, 2.0 * hops * alpha + moved].map(|time| agreement + time)
}

fn predictions(measured: (f64, f64), computed: &[Compute]) {
    let networks = [
        ("as measured, shared memory", measured.0, measured.1),
        ("25 Gbit/s Ethernet, α = 15 µs", 15e-6, 8.0 / 25e9),
        ("200 Gbit/s InfiniBand, α = 1.5 µs", 1.5e-6, 8.0 / 200e9),
    ];
    for (network, alpha, beta) in networks {
        println!("\nEfficiency, {network}: ring and tree; the batch of a rank stays | all ranks' is 1,024");
        print!("{:16}", "ranks");
        for ranks in [2, 8, 32, 128, 512, 1024] {
            print!(" {ranks:>22}");
        }
        println!();
        for (workload, computed) in WORKLOADS.iter().zip(computed) {
            print!("{:16}", workload.name);
            for ranks in [2.0, 8.0, 32.0, 128.0, 512.0, 1024.0] {
                let together = all_reduce(ranks, computed.bytes, alpha, beta).map(|seconds| seconds * 1e3);
                let step = |batch: f64| computed.fixed + computed.row * batch;
                let weak = together.map(|time| {
                    let alone = step(workload.batch as f64);
                    100.0 * alone / (alone + time)
                });
                let strong =
                    together.map(|time| 100.0 * step(1024.0) / (ranks * (step(1024.0 / ranks) + time)));
                print!(" {:4.0} {:4.0} | {:5.1} {:5.1}", weak[0], weak[1], strong[0], strong[1]);
            }
            println!();
        }
    }
}

fn main() -> ExitCode {
    let quick = env::args().any(|arg| arg == "--quick");
    if distributed::launched().is_none() {
        let mut command = Command::new("mpirun");
        command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
        command.args(["-n", "2"]).arg(env::current_exe().unwrap());
        command.args(quick.then_some("--quick"));
        let status = command.status().expect("mpirun: apt-get install openmpi-bin libopenmpi-dev");
        return if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let share = if quick { 10 } else { 1 };
    let outcome = distributed::run(|world| {
        let fit = collectives(world, share);
        if world.rank() == 0 {
            println!(
                "Milliseconds of a compiled step, each rank with the whole batch of the name, first quartiles"
            );
            println!(
                "{:16} {:>9} {:>8} {:>8} {:>8} {:>8} {:>12} {:>12} {:>12}",
                "", "bytes", "one", "two", "together", "early", "one/together", "two/together", "least"
            );
        }
        let computed = WORKLOADS
            .into_iter()
            .map(|workload| training(world, workload, share))
            .collect::<Result<Vec<_>>>()?;
        overlap(world, share)?;
        if world.rank() == 0 {
            println!("\nMilliseconds of a step apart from its rows, and of each row");
            for (workload, Compute { fixed, row, .. }) in WORKLOADS.iter().zip(&computed) {
                println!("{:16} {fixed:8.3} {row:8.4}", workload.name);
            }
            predictions(fit, &computed);
        }
        Ok(())
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
