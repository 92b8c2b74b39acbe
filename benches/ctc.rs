//! The CTC loss of logits and its gradient, beside PyTorch: `cargo bench --features staging --bench ctc`.
//!
//! A table of milliseconds, the least of many runs, for a batch of 16 over 29 classes, of different lengths: 200 steps
//! and targets of up to 50 labels, 500 steps and up to 100; in both precisions, eagerly, compiled, and by PyTorch's
//! own loss on one thread (`peers/ctc_peer.py`, run by the Python that `ANTIPHON_PEERS_PYTHON` names, that of `make
//! peers` by default).

#[path = "peers/opponents.rs"]
mod opponents;

use antiphon::nn::ctc::Ctc;
use antiphon::nn::loss::Reduction;
use antiphon::recording::Recorded;
use antiphon::{IntTensor, NdArray, NdInt, OrRaise, Tensor, compile, grad};
use opponents::{Times, numbers, opponents, size_of, time};

const BATCH: usize = 16;
const CLASSES: usize = 29;

/// Targets, and the lengths of inputs and targets.
fn integers(steps: usize, longest: usize) -> (NdInt, (NdInt, NdInt)) {
    let label = |i: i64| 1 + (i * i * 7 + 3 * i) % (CLASSES as i64 - 1);
    let labels: Vec<i64> = (0..(BATCH * longest) as i64).map(label).collect();
    let lengths = |most: usize, less: usize| -> NdInt {
        (0..BATCH).map(|b| (most - less * b) as i64).collect::<Vec<_>>().into()
    };
    let targets = NdInt::from_elements(&[BATCH, longest], &labels).expect("their number");
    (targets, (lengths(steps, 3), lengths(longest, 2)))
}

fn loss<T: Tensor>(x: &T, (targets, (inputs, lengths)): &(T::Int, (T::Int, T::Int))) -> T {
    Ctc::default().of(&x.log_softmax(-1), targets, inputs, lengths, Reduction::Sum)
}

fn row(torch: &Times, what: &str, [eager, compiled]: [f64; 2], size: f64, exact: f64) {
    print!("{what:16} {eager:12.3} {compiled:12.3}");
    match torch.get(what) {
        Some(&(ms, found)) => {
            assert!((found - size).abs() <= exact * size, "{what}: {found} instead of {size}");
            println!(" {ms:12.3} {:8.2}", compiled / ms);
        }
        None => println!(" {:>12} {:>8}", "-", "-"),
    }
}

type Integer = <Recorded as antiphon::Real>::Int;
type Recordings = (Integer, (Integer, Integer));

/// The loss and its gradient.
macro_rules! rows_of {
    ($torch:expr, $kind:ident, $steps:expr, $longest:expr, $exact:expr) => {{
        let ints = integers($steps, $longest);
        let x = numbers::<f64>(&[$steps, BATCH, CLASSES], 1) * 8.0;
        let elements: Vec<f64> = x.view().iter().copied().collect();
        let x = NdArray::<$kind>::from_elements(&[$steps, BATCH, CLASSES], &elements).expect("their number");
        let data = (x.clone(), ints.clone());
        let mut code =
            compile("loss", |(x, ints): (Recorded, Recordings)| loss(&x, &ints), &data).expect("it compiles");
        let found = f64::from(code.call(&data).expect("it runs").item());
        let times = [time(|| loss(&x, &ints)), time(|| code.call(&data).expect("it runs"))];
        row($torch, &format!("loss_{}_{}", stringify!($kind), $steps), times, found, $exact);
        let gradient = |(x, ints): (Recorded, Recordings)| grad(|x| loss(&x, &ints), &x).or_raise();
        let mut code = compile("gradient", gradient, &data).expect("it compiles");
        let found = size_of(&[code.call(&data).expect("it runs")]);
        let eager = time(|| grad(|x| loss(&x, &ints), &x).expect("it has one"));
        let times = [eager, time(|| code.call(&data).expect("it runs"))];
        row($torch, &format!("gradient_{}_{}", stringify!($kind), $steps), times, found, $exact);
    }};
}

fn main() {
    let [torch] = opponents("ctc_peer.py", ["torch"]);
    println!("{:16} {:>12} {:>12} {:>12} {:>8}", "", "eager", "compiled", "PyTorch", "ratio");
    rows_of!(&torch, f32, 200, 50, 1e-3);
    rows_of!(&torch, f32, 500, 100, 1e-3);
    rows_of!(&torch, f64, 200, 50, 1e-9);
    rows_of!(&torch, f64, 500, 100, 1e-9);
}
