//! What benchmarks beside programs of others share: numbers, times, and what an opponent printed.

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use antiphon::{Float, NdArray, Tensor};

/// Irregular numbers between −½ and ½.
pub fn numbers<E: Float>(shape: &[usize], seed: usize) -> NdArray<E> {
    let size: usize = shape.iter().product();
    let number = |i: usize| ((i + 1) as f64 * 0.618_033_988_749_895 + seed as f64 * 0.237).fract() - 0.5;
    NdArray::from_elements(shape, &(0..size).map(number).collect::<Vec<_>>())
        .expect("as many as the shape has")
}

/// Milliseconds of the fastest of the runs that fit into a second, at least three.
pub fn time<R>(mut run: impl FnMut() -> R) -> f64 {
    let (start, mut least, mut runs) = (Instant::now(), f64::INFINITY, 0);
    while runs < 3 || start.elapsed().as_secs_f64() < 1.0 {
        let before = Instant::now();
        black_box(run());
        least = least.min(before.elapsed().as_secs_f64() * 1e3);
        runs += 1;
    }
    least
}

/// By name, what an opponent printed: milliseconds, and the root of the sum of squares of the results.
pub type Times = HashMap<String, (f64, f64)>;

/// Times of opponents as a script of `peers` prints them; nothing where they are not installed.
pub fn opponents<const N: usize>(script: &str, names: [&str; N]) -> [Times; N] {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches");
    let own = sources.with_file_name(".venv-peers/bin/python").into_os_string();
    let python = std::env::var_os("ANTIPHON_PEERS_PYTHON").unwrap_or(own);
    names.map(|which| {
        let mut times = Times::new();
        let script = sources.join("peers").join(script);
        let Ok(output) = Command::new(&python).arg(script).arg(which).output() else { return times };
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let mut fields = line.split(' ');
            let name = fields.next().unwrap_or_default();
            if let [Ok(ms), Ok(size)] = fields.map(str::parse).collect::<Vec<_>>()[..] {
                times.insert(name.into(), (ms, size));
            }
        }
        times
    })
}

/// The root of the sum of squares.
pub fn size_of<E: Float>(results: &[NdArray<E>]) -> f64 {
    let squares = |x: &NdArray<E>| x.view().iter().map(|&x| x.to_f64().powi(2)).sum::<f64>();
    results.iter().map(squares).sum::<f64>().sqrt()
}
