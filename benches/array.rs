//! Cost of single array operators at the sizes of small recurrent networks: `cargo bench --bench array`.

use std::hint::black_box;

use antiphon::{NdArray, NdInt, Real, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};

/// Numbers in `[-1, 1)`.
fn random<E: antiphon::Float>(shape: &[usize], seed: i64) -> NdArray<E> {
    NdArray::uniform(shape, &NdInt::scalar(seed)) * 2.0 - 1.0
}

fn elementwise<E: antiphon::Float>(c: &mut Criterion, dtype: &str) {
    for (rows, hidden) in [(20, 50), (32, 256)] {
        let mut group = c.benchmark_group(format!("{dtype} {rows}×{hidden}"));
        let x = random::<E>(&[rows, hidden], 1);
        let y = random::<E>(&[rows, hidden], 2);
        let bias = random::<E>(&[hidden], 3);
        let column = random::<E>(&[rows, 1], 4);
        let gates = random::<E>(&[rows, 4 * hidden], 5);
        let gate = gates.slice(-1, hidden..2 * hidden);
        let big = random::<E>(&[rows, 4 * hidden], 6);
        group.bench_function("clone", |b| b.iter(|| black_box(&x).clone()));
        group.bench_function("slice", |b| b.iter(|| black_box(&gates).slice(-1, hidden..2 * hidden)));
        group.bench_function("add", |b| b.iter(|| black_box(&x) + &y));
        group.bench_function("add in place", |b| {
            let mut sum = Some(&x + 0.0);
            b.iter(|| sum = Some(sum.take().unwrap() + black_box(&y)));
        });
        group.bench_function("mul number", |b| b.iter(|| black_box(&x) * 0.5));
        group.bench_function("add bias", |b| b.iter(|| black_box(&x) + &bias));
        group.bench_function("sub column", |b| b.iter(|| black_box(&x) - &column));
        group.bench_function("mul gate", |b| b.iter(|| black_box(&x) * &gate));
        group.bench_function("exp", |b| b.iter(|| black_box(&x).exp()));
        group.bench_function("tanh", |b| b.iter(|| black_box(&x).tanh()));
        group.bench_function("sigmoid of gate", |b| b.iter(|| black_box(&gate).sigmoid()));
        group.bench_function("sum rows", |b| b.iter(|| black_box(&big).sum(0)));
        group.bench_function("sum all", |b| b.iter(|| black_box(&big).sum(..)));
        group.bench_function("logsumexp", |b| b.iter(|| black_box(&x).logsumexp(-1)));
        group.bench_function("accumulate gate", |b| {
            let adjoint = gates.adjoint();
            b.iter(|| NdArray::accumulate_slice(&adjoint, &gates, 1, hidden..2 * hidden, 1, x.clone()));
        });
        let (w, g) = (random::<E>(&[hidden, 4 * hidden], 7), random::<E>(&[rows, 4 * hidden], 8));
        group.bench_function("matmul", |b| b.iter(|| black_box(&x).matmul(&w)));
        group.bench_function("matmul transposed", |b| b.iter(|| black_box(&g).matmul(&w.transpose())));
        group.bench_function("accumulate matmul", |b| {
            let adjoint = w.adjoint();
            b.iter(|| NdArray::accumulate_matmul(&adjoint, &x.transpose(), black_box(&g)));
        });
        group.finish();
    }
    let one = NdArray::<E>::scalar(E::from_f64(1.5));
    c.bench_function(&format!("{dtype} scalar add"), |b| b.iter(|| black_box(&one) + &one));
}

fn all(c: &mut Criterion) {
    elementwise::<f32>(c, "f32");
    elementwise::<f64>(c, "f64");
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(100))
        .measurement_time(std::time::Duration::from_millis(300))
        .sample_size(20);
    targets = all
}
criterion_main!(benches);
