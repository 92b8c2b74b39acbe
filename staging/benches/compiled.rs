//! Compiled kernels beside the crate `gemm`: `cargo bench -p antiphon-staging --features llvm`.

use std::hint::black_box;

use antiphon_staging::*;
use antiphon_staging::{Elements, ElementsMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Rows, columns, inner length.
const SHAPES: [(usize, usize, usize); 16] = [
    (20, 50, 50),
    (64, 64, 64),
    (128, 128, 128),
    (256, 256, 256),
    (32, 1024, 256),
    (20, 200, 50),
    (1, 600, 150),
    (50, 50, 20),
    (512, 512, 512),
    (32, 256, 1024),
    (256, 1024, 1600),
    (50, 200, 400),
    (300, 750, 32),
    (64, 256, 784),
    (1, 300, 750),
    (1, 750, 300),
];

fn f32s(shape: &[usize]) -> Type {
    Type::new(Dtype::F32, shape)
}

fn element(i: usize) -> f32 {
    (i % 17) as f32 * 0.1 - 0.8
}

/// `a·b`, where either factor may be stored the other way round.
fn product(m: usize, n: usize, k: usize, turned: [bool; 2]) -> Program {
    let b = Builder::new("product");
    let factor = |name: &str, shape: [usize; 2], turn: bool| {
        let order = [1, 0].as_slice().into();
        let stored = if turn { [shape[1], shape[0]] } else { shape };
        let x = b.input(name, f32s(&stored));
        if turn { b.emit(Expr::Permute(x, order)).expect("a matrix") } else { x }
    };
    let (x, w) = (factor("x", [m, k], turned[0]), factor("w", [k, n], turned[1]));
    let y = b.emit(Expr::Matmul(x, w)).expect("factors that fit");
    b.finish(&[y]).expect("a well-formed program")
}

fn matmul(c: &mut Criterion) {
    for (m, n, k) in SHAPES {
        let mut group = c.benchmark_group("matmul");
        group.throughput(Throughput::Elements(2 * (m * n * k) as u64));
        let (x, w): (Vec<f32>, Vec<f32>) =
            ((0..m * k).map(element).collect(), (0..k * n).map(element).collect());
        let mut y = vec![0f32; m * n];
        for (layout, turned) in [("NN", [false, false]), ("NT", [false, true]), ("TN", [true, false])] {
            let name = format!("{m}x{n}x{k}");
            let mut compiled =
                compile(&product(m, n, k, turned), &CompileOptions::default()).expect("it compiles");
            group.bench_function(BenchmarkId::new(format!("compiled {layout}"), &name), |bench| {
                bench.iter(|| {
                    let inputs = [Some(Elements::F32(black_box(&x))), Some(Elements::F32(&w))];
                    compiled.run_into(inputs, [ElementsMut::F32(&mut y)]).expect("it runs");
                });
            });
            let strides = |rows: usize, columns: usize, turn: bool| {
                if turn { (rows as isize, 1) } else { (1, columns as isize) }
            };
            let ((xc, xr), (wc, wr)) = (strides(m, k, turned[0]), strides(k, n, turned[1]));
            group.bench_function(BenchmarkId::new(format!("gemm {layout}"), &name), |bench| {
                bench.iter(|| {
                    // SAFETY: the pointers are to so many elements as sizes and strides reach.
                    unsafe {
                        gemm::gemm(
                            m,
                            n,
                            k,
                            y.as_mut_ptr(),
                            1,
                            n as isize,
                            false,
                            black_box(&x).as_ptr(),
                            xc,
                            xr,
                            w.as_ptr(),
                            wc,
                            wr,
                            0.0,
                            1.0,
                            false,
                            false,
                            false,
                            gemm::Parallelism::None,
                        );
                    }
                });
            });
        }
    }
}

/// Channels in and out, rows and columns of the image; windows of 5×5, batches of 100.
const CONVOLUTIONS: [[usize; 3]; 2] = [[1, 10, 28], [10, 20, 12]];

/// The three products of a convolution, each as the sum of its elements: what is measured is not the copy of its
/// result.
fn convolution(c: &mut Criterion) {
    let window = Window2d { stride: [1, 1], padding: [0, 0] };
    for [channels, out, side] in CONVOLUTIONS {
        let mut group = c.benchmark_group("convolution");
        let (pixels, kernel, size) = (side - 4, [5, 5], [side, side]);
        group.throughput(Throughput::Elements((2 * 100 * out * pixels * pixels * channels * 25) as u64));
        let shapes = [[100, channels, side, side], [out, channels, 5, 5], [100, out, pixels, pixels]];
        for part in ["result", "image", "kernel"] {
            let b = Builder::new(part);
            let inputs = ["x", "w", "y_bar"].into_iter().zip(&shapes);
            let inputs: Vec<Value> = inputs.map(|(name, shape)| b.input(name, f32s(shape))).collect();
            let [image, w, y_bar] = inputs[..] else { unreachable!("three inputs") };
            let value = b.emit(match part {
                "result" => Expr::Conv2d { image, kernel: w, window },
                "image" => Expr::Conv2dImage { y_bar, kernel: w, size, window },
                _ => Expr::Conv2dKernel { image, y_bar, size: kernel, window },
            });
            let axes = [0, 1, 2, 3].as_slice().into();
            let sum = b.emit(Expr::Reduce(Reduction::Sum, value.expect("operands that fit"), axes));
            let program = b.finish(&[sum.expect("a sum")]).expect("a well-formed program");
            let mut compiled = compile(&program, &CompileOptions::default()).expect("it compiles");
            let data: Vec<Vec<f32>> =
                shapes.iter().map(|s| (0..s.iter().product()).map(element).collect()).collect();
            let mut y = [0f32];
            let name = format!("{channels}to{out} on {side}x{side}");
            group.bench_function(BenchmarkId::new(part, name), |bench| {
                bench.iter(|| {
                    let inputs: [_; 3] = std::array::from_fn(|i| Some(Elements::F32(black_box(&data[i]))));
                    compiled.run_into(inputs, [ElementsMut::F32(&mut y)]).expect("it runs");
                });
            });
        }
    }
}

fn elementwise(c: &mut Criterion) {
    let n = 1024;
    let x: Vec<f32> = (0..n).map(|i| i as f32 * 0.01 - 5.0).collect();
    let positive: Vec<f32> = x.iter().map(|x| x.abs() + 0.1).collect();
    let mut y = vec![0f32; n];
    let mut group = c.benchmark_group("elementwise");
    group.throughput(Throughput::Elements(n as u64));
    for op in [Unary::Exp, Unary::Tanh, Unary::Sigmoid, Unary::Log, Unary::Sin, Unary::Softplus] {
        let b = Builder::new(op.name());
        let input = b.input("x", f32s(&[n]));
        let result = b.unary(op, input).expect("a function of reals");
        let program = b.finish(&[result]).expect("a well-formed program");
        let x = if op == Unary::Log { &positive } else { &x };
        for strict in [false, true] {
            let options = CompileOptions { strict, ..CompileOptions::default() };
            let mut compiled = compile(&program, &options).expect("it compiles");
            let name = if strict { "C library" } else { "compiled" };
            group.bench_function(BenchmarkId::new(name, op.name()), |bench| {
                bench.iter(|| {
                    let inputs = [Some(Elements::F32(black_box(x)))];
                    compiled.run_into(inputs, [ElementsMut::F32(&mut y)]).expect("it runs");
                });
            });
        }
    }
}

criterion_group!(benches, matmul, convolution, elementwise);
criterion_main!(benches);
