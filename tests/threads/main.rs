//! Threads: the same bits with any number of them, eagerly and compiled, and an end to everything.

use std::sync::Mutex;

use antiphon::nn::{Init, Rng};
use antiphon::recording::{CompileOptions, OptimiseOptions, Recorded};
use antiphon::{Float, NdArray, Tensor, Var, Window2d, compile_with, program, threads, value_and_grad};

/// Tests set the number of threads for the whole process: one after the other.
static ONE: Mutex<()> = Mutex::new(());

/// More than there are processors, fewer than parts, and a number that nothing divides by.
const COUNTS: [usize; 4] = [1, 2, 3, 7];

fn random<E: Float>(seed: u64, shape: &[usize]) -> NdArray<E>
where
    NdArray<E>: Tensor,
{
    Init::Normal { mean: 0.0, std: 0.5 }.sample(shape, &mut Rng::new(seed))
}

fn bits<E: Float>(x: &NdArray<E>) -> Vec<u64> {
    x.view().iter().map(|x| x.to_f64().to_bits()).collect()
}

/// Value and gradients of a program of arrays of these shapes, with each number of threads, eagerly and compiled for
/// so many (and run with two): the bits of each kind are the same.
macro_rules! same_bits {
    ($E:ty, $shapes:expr, $program:expr) => {{
        let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let f = &$program;
        let xs: Vec<NdArray<$E>> =
            $shapes.iter().enumerate().map(|(i, shape)| random(i as u64 + 1, shape)).collect();
        let call = |value: NdArray<$E>, slopes: Vec<NdArray<$E>>| {
            std::iter::once(value).chain(slopes).map(|x| bits(&x)).collect::<Vec<_>>()
        };
        let eager: Vec<_> = COUNTS
            .map(|count| {
                threads::set(count).unwrap();
                let (value, slopes) = value_and_grad(|xs: Vec<Var<'_, _>>| f.call(&xs), &xs).unwrap();
                call(value, slopes)
            })
            .into();
        assert!(eager.iter().all(|found| *found == eager[0]), "eagerly");
        let compiled: Vec<_> = COUNTS
            .map(|count| {
                let optimise = Some(OptimiseOptions { reassociate: true });
                let options =
                    CompileOptions { optimise, threads: count, cache: None, ..CompileOptions::default() };
                let slopes = |xs: Vec<Recorded>| {
                    value_and_grad(|xs: Vec<Var<'_, Recorded>>| f.call(&xs), &xs).unwrap()
                };
                let mut step = compile_with("slopes", slopes, &xs, &options).unwrap();
                let runs = [1, 2, 5].map(|run| {
                    threads::set(run).unwrap();
                    let (value, slopes) = step.call(&xs).unwrap();
                    call(value, slopes)
                });
                assert!(runs.iter().all(|found| *found == runs[0]), "compiled for {count}");
                runs[0].clone()
            })
            .into();
        assert!(compiled.iter().all(|found| *found == compiled[0]), "compiled");
        threads::set(1).unwrap();
    }};
}

use antiphon::check::RunsOn as _;

#[test]
fn of_layers() {
    let f = program!(|x| {
        let hidden = (x[0].matmul(&x[1]) + &x[2]).tanh();
        (hidden.matmul(&x[3]).log_softmax(-1) * &x[4]).sum(..)
    });
    same_bits!(f32, [vec![96, 200], vec![200, 260], vec![260], vec![260, 130], vec![96, 130]], f);
    same_bits!(f64, [vec![25, 300], vec![300, 410], vec![410], vec![410, 33], vec![25, 33]], f);
    same_bits!(f64, [vec![64, 3000], vec![3000, 48], vec![48], vec![48, 7], vec![64, 7]], f);
    same_bits!(f32, [vec![41, 2500], vec![2500, 70], vec![70], vec![70, 7], vec![41, 7]], f);
}

#[test]
fn of_sums_and_movements_of_large_arrays() {
    let f = program!(|x| {
        let y = (x[0].sin() * &x[1]).transpose().exp();
        let z = y.sum(0).sigmoid() + y.max(1).sum(..);
        (z * x[0].square().sum(1)).sum(..) + (x[2].exp() * &x[2]).sum(..)
    });
    same_bits!(f32, [vec![257, 1031], vec![1031], vec![100_003]], f);
    same_bits!(f64, [vec![129, 515], vec![515], vec![70_001]], f);
}

#[test]
fn of_attention() {
    let f = program!(|x| {
        let scores = x[0].matmul(&x[1].transpose()) * 0.2;
        scores.softmax(-1).matmul(&x[2]).square().sum(..)
    });
    same_bits!(f32, [vec![3, 4, 70, 33], vec![3, 4, 70, 33], vec![3, 4, 70, 40]], f);
}

#[test]
fn of_convolutions() {
    let f = program!(|x| {
        let halved = Window2d { stride: [2, 2], padding: [1, 1] };
        let y = x[0].conv2d(&x[1], Window2d::default()).relu().max_pool2d([2, 2], halved);
        y.conv2d(&x[2], halved).relu().square().sum(..)
    });
    same_bits!(f32, [vec![20, 3, 20, 20], vec![10, 3, 5, 5], vec![7, 10, 3, 3]], f);
    same_bits!(f64, [vec![3, 3, 20, 20], vec![10, 3, 5, 5], vec![7, 10, 3, 3]], f);
}

#[test]
fn of_recurrence() {
    let f = program!(|x| {
        let (xs, wx, wh) = (&x[0], &x[1], &x[2]);
        let start = T::zeros(&[40, 160]);
        let steps = (0..6).fold(start, |h, t| (xs.index(0, t).matmul(wx) + h.matmul(wh)).tanh());
        steps.square().sum(..)
    });
    same_bits!(f32, [vec![6, 40, 90], vec![90, 160], vec![160, 160]], f);
}

/// Threads of the caller's own, each of which runs work that is shared.
#[test]
fn from_several_threads_at_once_nothing_waits_for_ever() {
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    threads::set(2).unwrap();
    let x: NdArray<f32> = random(1, &[128, 256]);
    let expected = bits(&x.matmul(&x.transpose()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(bits(&x.matmul(&x.transpose())), expected);
                }
            });
        }
    });
    threads::set(1).unwrap();
}

#[test]
fn numbers_of_threads_that_are_none_are_errors() {
    let error = threads::set(0).unwrap_err().to_string();
    assert!(error.contains("0 threads: from 1 to 256") && error.contains("threads/main.rs"), "{error}");
    assert!(threads::set(1000).unwrap_err().to_string().contains("1000 threads"));
}
